/* The inner product of the 8-bit linear layer on this instruction set: sums (rows, 32) i32 of unsigned inputs 0..255 and one panel of packed weights
 * (i8.h). The sums are exact, so every set gives the same integers. With dot products of bytes (VNNI) inputs are bytes; elsewhere they are held in 16 bits and
 * multiplied as 16-bit pairs, because pairs of byte products (pmaddubsw) saturate at 2^15. These instructions have no form in C: hence intrinsics, in this
 * file alone. */
#ifndef HONE_ENGINE_OPS_DOT8_H
#define HONE_ENGINE_OPS_DOT8_H

#include <stdint.h>
#include <string.h>
#if defined(__AVX2__)
#include <immintrin.h>
#endif

#include "engine/ops/i8.h"

#if defined(__AVX512VNNI__)
typedef uint8_t dot8_in;
#define DOT8_MR 12
#elif defined(__AVX512BW__)
typedef uint16_t dot8_in;
#define DOT8_MR 12
#elif defined(__AVX2__)
typedef uint16_t dot8_in;
#define DOT8_MR 6
#else
typedef uint16_t dot8_in;
#define DOT8_MR 4
#endif
typedef int32_t dot8_i32 __attribute__((aligned(1), may_alias));
typedef int64_t dot8_i64 __attribute__((aligned(1), may_alias));

#if defined(__AVX512VNNI__)
/* Rows in threes, so that addresses fold into the loads. */
static inline __attribute__((always_inline)) void dot8_rows(const int rows, int64_t k4, const dot8_in *a, int64_t lda, const int8_t *b, int32_t *c) {
    __m512i s[DOT8_MR][2];
    const dot8_in *g[4] = {a, a + 3 * lda, a + 6 * lda, a + 9 * lda};
#pragma GCC unroll 12
    for (int r = 0; r < rows; r++) s[r][0] = s[r][1] = _mm512_setzero_si512();
    for (int64_t p = 0; p < k4; p++, b += 4 * I8_PANEL) {
        __m512i b0 = _mm512_loadu_si512(b), b1 = _mm512_loadu_si512(b + 64);
#pragma GCC unroll 12
        for (int r = 0; r < rows; r++) {
            __m512i x = _mm512_set1_epi32(*(const dot8_i32 *)(g[r / 3] + r % 3 * lda + 4 * p));
            s[r][0] = _mm512_dpbusd_epi32(s[r][0], x, b0);
            s[r][1] = _mm512_dpbusd_epi32(s[r][1], x, b1);
        }
    }
#pragma GCC unroll 12
    for (int r = 0; r < rows; r++) {
        _mm512_storeu_si512(c + r * I8_PANEL, s[r][0]);
        _mm512_storeu_si512(c + r * I8_PANEL + 16, s[r][1]);
    }
}
#elif defined(__AVX2__)
#if defined(__AVX512BW__)
#define DOT8_VEC __m512i
#define DOT8_COLS 8 /* of a vector: two sums of pairs each */
#define DOT8_ZERO _mm512_setzero_si512
#define DOT8_WIDE(p) _mm512_cvtepi8_epi16(_mm256_loadu_si256((const __m256i *)(p)))
#define DOT8_SPREAD(p) _mm512_set1_epi64(*(const dot8_i64 *)(p))
#define DOT8_ADD(s, x, y) _mm512_add_epi32(s, _mm512_madd_epi16(x, y))
#define DOT8_STORE(p, v) _mm512_storeu_si512(p, v)
#else
#define DOT8_VEC __m256i
#define DOT8_COLS 4
#define DOT8_ZERO _mm256_setzero_si256
#define DOT8_WIDE(p) _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(p)))
#define DOT8_SPREAD(p) _mm256_set1_epi64x(*(const dot8_i64 *)(p))
#define DOT8_ADD(s, x, y) _mm256_add_epi32(s, _mm256_madd_epi16(x, y))
#define DOT8_STORE(p, v) _mm256_storeu_si256((__m256i *)(p), v)
#endif
static inline __attribute__((always_inline)) void dot8_part(const int rows, int64_t k4, const dot8_in *a, int64_t lda, const int8_t *b, int32_t *c) {
    DOT8_VEC s[DOT8_MR][2];
    int32_t pair[4 * DOT8_COLS];
    const dot8_in *g[4] = {a, a + 3 * lda, a + 6 * lda, a + 9 * lda};
#pragma GCC unroll 12
    for (int r = 0; r < rows; r++) s[r][0] = s[r][1] = DOT8_ZERO();
    for (int64_t p = 0; p < k4; p++, b += 4 * I8_PANEL) {
        DOT8_VEC b0 = DOT8_WIDE(b), b1 = DOT8_WIDE(b + 4 * DOT8_COLS);
#pragma GCC unroll 12
        for (int r = 0; r < rows; r++) {
            DOT8_VEC x = DOT8_SPREAD(g[r / 3] + r % 3 * lda + 4 * p);
            s[r][0] = DOT8_ADD(s[r][0], x, b0);
            s[r][1] = DOT8_ADD(s[r][1], x, b1);
        }
    }
#pragma GCC unroll 12
    for (int r = 0; r < rows; r++) {
        DOT8_STORE(pair, s[r][0]);
        DOT8_STORE(pair + 2 * DOT8_COLS, s[r][1]);
        for (int j = 0; j < 2 * DOT8_COLS; j++) c[r * I8_PANEL + j] = pair[2 * j] + pair[2 * j + 1];
    }
}
static inline __attribute__((always_inline)) void dot8_rows(const int rows, int64_t k4, const dot8_in *a, int64_t lda, const int8_t *b, int32_t *c) {
    for (int j = 0; j < I8_PANEL; j += 2 * DOT8_COLS) dot8_part(rows, k4, a, lda, b + 4 * j, c + j);
}
#else
static inline __attribute__((always_inline)) void dot8_rows(const int rows, int64_t k4, const dot8_in *a, int64_t lda, const int8_t *b, int32_t *c) {
    for (int r = 0; r < rows; r++) {
        const int8_t *w = b;
        int32_t s[I8_PANEL] = {0};
        for (int64_t p = 0; p < k4; p++, w += 4 * I8_PANEL) {
            const dot8_in *x = a + r * lda + 4 * p;
            for (int j = 0; j < I8_PANEL; j++) s[j] += x[0] * w[4 * j] + x[1] * w[4 * j + 1] + x[2] * w[4 * j + 2] + x[3] * w[4 * j + 3];
        }
        memcpy(c + r * I8_PANEL, s, sizeof s);
    }
}
#endif

/* c (rows, 32) = a (rows, 4 k4) times the panel b; rows 1 .. DOT8_MR. */
static inline void dot8_tile(int rows, int64_t k4, const dot8_in *a, int64_t lda, const int8_t *b, int32_t *c) {
    if (rows == DOT8_MR) dot8_rows(DOT8_MR, k4, a, lda, b, c);
    else if (rows == 1) dot8_rows(1, k4, a, lda, b, c);
    else {
        int r = 0;
#if DOT8_MR > 4
        for (; rows - r >= 4; r += 4) dot8_rows(4, k4, a + r * lda, lda, b, c + r * I8_PANEL);
#endif
        for (; rows - r >= 2; r += 2) dot8_rows(2, k4, a + r * lda, lda, b, c + r * I8_PANEL);
        if (r < rows) dot8_rows(1, k4, a + r * lda, lda, b, c + r * I8_PANEL);
    }
}

#endif
