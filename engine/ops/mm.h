/* The register-blocked inner product of this instruction set, for the packed product (plain.c) and attention: C (MR, NR) = A (MR, k) B (k, NR), B in panels
 * of NR columns, A by any two strides (constants where it is called, so addresses fold into the instructions). GCC vector types, no intrinsics. */
#ifndef HONE_ENGINE_OPS_MM_H
#define HONE_ENGINE_OPS_MM_H

#include <stdbool.h>
#include <stdint.h>

#if defined(__AVX512F__)
#define MM_VL 16
#define MM_MR 12
#elif defined(__AVX2__)
#define MM_VL 8
#define MM_MR 6
#else
#define MM_VL 4
#define MM_MR 4
#endif
#define MM_NR (2 * MM_VL)
typedef float mm_vec __attribute__((vector_size(MM_VL * 4)));
typedef float mm_vec_u __attribute__((vector_size(MM_VL * 4), aligned(4)));

/* One step of the sum: s += column of a, rows r at a + r ar, times a row of b. */
static inline __attribute__((always_inline)) void mm_products(const float *a, const int64_t ar, const float *b, mm_vec s[MM_MR][2]) {
    mm_vec b0 = *(const mm_vec_u *)b, b1 = *(const mm_vec_u *)(b + MM_VL);
#pragma GCC unroll 12
    for (int r = 0; r < MM_MR; r++) s[r][0] += a[r * ar] * b0, s[r][1] += a[r * ar] * b1;
}
/* c (+)= a b; element (i, p) of a at i ar + p ak; row p of b at p bk. Writes MR rows of NR. */
static inline __attribute__((always_inline)) void mm_tile(
    int64_t k, const float *a, const int64_t ar, const int64_t ak, const float *b, const int64_t bk, float *c, const int64_t ldc, const bool add) {
    mm_vec s[MM_MR][2] = {{{0}}};
    for (int64_t p = 0; p < k; p++, a += ak, b += bk) mm_products(a, ar, b, s);
#pragma GCC unroll 12
    for (int r = 0; r < MM_MR; r++) {
        mm_vec_u *o = (mm_vec_u *)(c + r * ldc), *q = (mm_vec_u *)(c + r * ldc + MM_VL);
        *o = add ? *o + s[r][0] : s[r][0];
        *q = add ? *q + s[r][1] : s[r][1];
    }
}

#endif
