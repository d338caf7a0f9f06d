/* What products of rounded operands share, packed (packed_half.c) and in attention (attention_half.c). A word is a pair of bf16 (2p below, 2p + 1 above),
 * or two floats one after the other, the odd one first (packed_half.h says why). Left panels are rows of words, which the product broadcasts from memory, or
 * for a transposed operand words of MM_MR rows side by side. Right panels hold MM_NR columns side by side. */
#ifndef HONE_ENGINE_OPS_HALF_TILE_H
#define HONE_ENGINE_OPS_HALF_TILE_H

#include "engine/ops/half.h"
#include "engine/ops/mm.h"
#include "engine/ops/packed_half.h"

#if defined(__AVX512BF16__)
#include <immintrin.h>
#define PAIRED 1
#else
#define PAIRED 0
#endif

static inline int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t up(int64_t n, int64_t to) { return (n + to - 1) / to * to; }
/* Floats that a pair takes. */
static inline int64_t pair_len(enum dtype as) { return PAIRED && as == DT_BF16 ? 1 : 2; }
/* Values of rows 2p and 2p + 1, w columns, as one row of `wide` words; row1 NULL: zeros. */
static inline void put_pair(enum dtype as, enum dtype type, const void *row0, const void *row1, int64_t w, int64_t wide, float *out) {
    float even[MM_NR] = {0}, odd[MM_NR] = {0}, tmp[MM_NR];
#if PAIRED
    if (as == DT_BF16) {
        if (type == DT_BF16 && w == wide && row1) {
            const uint16_t *a = row0, *b = row1;
            uint32_t *o = (uint32_t *)(void *)out;
#pragma omp simd
            for (int64_t j = 0; j < w; j++) o[j] = a[j] | (uint32_t)b[j] << 16;
            return;
        }
        const float *a = half_up(type, row0, w, even), *b = row1 ? half_up(type, row1, w, odd) : odd;
        const __m512i mix = _mm512_set_epi16(
            31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
        for (int64_t j = 0; j < wide; j += 16) {
            __mmask16 in = (__mmask16)(w - j >= 16 ? 0xffff
                                       : w > j     ? (1u << (w - j)) - 1
                                                   : 0),
                      all = (__mmask16)(wide - j >= 16 ? 0xffff : (1u << (wide - j)) - 1);
            __m512i v = (__m512i)_mm512_cvtne2ps_pbh(_mm512_maskz_loadu_ps(in, b + j), _mm512_maskz_loadu_ps(in, a + j));
            _mm512_mask_storeu_epi32(out + j, all, _mm512_permutexvar_epi16(mix, v));
        }
        return;
    }
#endif
    if (row1) half_round(as, half_up(type, row1, w, tmp), w, odd);
    half_round(as, half_up(type, row0, w, tmp), w, even);
    memcpy(out, odd, (size_t)wide * sizeof(float));
    memcpy(out + wide, even, (size_t)wide * sizeof(float));
}
/* n values of a row, from an even one on, as words. */
static inline void put_row(enum dtype as, enum dtype type, const void *x, int64_t n, float *out) {
    float own[64], r[64];
    if (pair_len(as) == 1) {
        uint16_t *o = (uint16_t *)(void *)out;
        if (type == DT_BF16) memcpy(o, x, (size_t)n * 2);
        else if (type == DT_F32) half_down_bf16(x, n, o);
        else
            for (int64_t i = 0; i < n; i += 64) half_down_bf16(half_up(type, half_at(type, x, i), least(64, n - i), own), least(64, n - i), o + i);
        if (n & 1) o[n] = 0;
        return;
    }
    for (int64_t i = 0; i < n; i += 64, out += 64) {
        int64_t m = least(64, n - i);
        half_round(as, half_up(type, half_at(type, x, i), m, own), m, r);
        if (m & 1) r[m] = 0;
        for (int64_t j = 0; j < m; j += 2) out[j] = r[j + 1], out[j + 1] = r[j];
    }
}

/* One panel of a block of pairs; t: b holds columns as rows. k: values. */
static inline void put_panel(enum dtype as, bool t, struct half_mat b, int64_t k, int64_t w, float *out) {
    enum { DEEP = 16 };
    int64_t pairs = (k + 1) / 2, len = pair_len(as);
    if (!t) {
        for (int64_t p = 0; p < pairs; p++, out += len * MM_NR)
            put_pair(as, b.type, half_at(b.type, b.data, 2 * p * b.ld), 2 * p + 1 < k ? half_at(b.type, b.data, (2 * p + 1) * b.ld) : NULL, w, MM_NR, out);
        return;
    }
    float some[MM_NR * 2 * DEEP] __attribute__((aligned(64)));
    for (int64_t p0 = 0; p0 < pairs; p0 += DEEP) {
        int64_t m = least(DEEP, pairs - p0) * len;
        for (int64_t j = 0; j < MM_NR; j++)
            if (j < w) put_row(as, b.type, half_at(b.type, b.data, j * b.ld + 2 * p0), least(2 * DEEP, k - 2 * p0), some + j * 2 * DEEP);
            else memset(some + j * 2 * DEEP, 0, (size_t)m * sizeof(float));
        for (int64_t p = 0; p < m; p++, out += MM_NR)
            for (int64_t j = 0; j < MM_NR; j++) out[j] = some[j * 2 * DEEP + p];
    }
}
/* A left panel of MM_MR transposed rows: element (r, p) at a[p ld + r]. */
static inline void put_columns(enum dtype as, struct half_mat a, int64_t k, int64_t rows, float *out) {
    for (int64_t p = 0; p < k; p += 2, out += pair_len(as) * MM_MR)
        put_pair(as, a.type, half_at(a.type, a.data, p * a.ld), p + 1 < k ? half_at(a.type, a.data, (p + 1) * a.ld) : NULL, rows, MM_MR, out);
}

#if PAIRED
/* As mm_tile, on words of bf16 pairs. */
static inline __attribute__((always_inline)) void pair_tile(
    int64_t k, const float *a, const int64_t ar, const int64_t ak, const float *b, float *c, const int64_t ldc, const bool add) {
    __m512 s[MM_MR][2];
#pragma GCC unroll 12
    for (int r = 0; r < MM_MR; r++) s[r][0] = s[r][1] = _mm512_setzero_ps();
    for (int64_t p = 0; p < k; p++, a += ak, b += MM_NR) {
        __m512bh b0 = (__m512bh)_mm512_loadu_ps(b), b1 = (__m512bh)_mm512_loadu_ps(b + 16);
#pragma GCC unroll 12
        for (int r = 0; r < MM_MR; r++) {
            __m512bh v = (__m512bh)_mm512_set1_ps(a[r * ar]);
            s[r][0] = _mm512_dpbf16_ps(s[r][0], v, b0), s[r][1] = _mm512_dpbf16_ps(s[r][1], v, b1);
        }
    }
#pragma GCC unroll 12
    for (int r = 0; r < MM_MR; r++) {
        float *o = c + r * ldc;
        _mm512_storeu_ps(o, add ? _mm512_add_ps(_mm512_loadu_ps(o), s[r][0]) : s[r][0]);
        _mm512_storeu_ps(o + 16, add ? _mm512_add_ps(_mm512_loadu_ps(o + 16), s[r][1]) : s[r][1]);
    }
}
#else
#define pair_tile(k, a, ar, ak, b, c, ldc, add) mm_tile(k, a, ar, ak, b, MM_NR, c, ldc, add)
#endif
/* c (MM_MR, MM_NR) (+)= rows of words, pair_len ldp floats apart, times a right panel. */
static inline __attribute__((always_inline)) void rows_tile(
    enum dtype as, int64_t words, const float *a, const int64_t ldp, const float *b, float *c, const int64_t ldc, const bool add) {
    if (PAIRED && as == DT_BF16) pair_tile(words, a, ldp, 1, b, c, ldc, add);
    else mm_tile(words, a, 2 * ldp, 1, b, MM_NR, c, ldc, add);
}
/* The same with a panel of put_columns. */
static inline __attribute__((always_inline)) void columns_tile(
    enum dtype as, int64_t words, const float *a, const float *b, float *c, const int64_t ldc, const bool add) {
    if (PAIRED && as == DT_BF16) pair_tile(words, a, 1, MM_MR, b, c, ldc, add);
    else mm_tile(words, a, 1, MM_MR, b, MM_NR, c, ldc, add);
}

#endif
