/* Rows between f32 and the 16-bit floats in which products compute and activations are kept: bf16 (8 bits of exponent) and f16 (IEEE 754 binary16). All
 * round to nearest even; numbers below the normal range of a float are 0, as kernels treat them (engine/cpu/denormal.h). The vector forms give the bits of the
 * plain ones. */
#ifndef HONE_ENGINE_OPS_HALF_H
#define HONE_ENGINE_OPS_HALF_H

#include <string.h>
#if defined(__F16C__)
#include <immintrin.h>
#endif

#include "engine/graph/tensor.h"

static inline uint32_t half_bits(float f) {
    uint32_t u;
    memcpy(&u, &f, 4);
    return u;
}
static inline float half_float(uint32_t u) {
    float f;
    memcpy(&f, &u, 4);
    return f;
}
static inline uint32_t half_bf16(float f) { /* in the low 16 bits */
    uint32_t u = half_bits(f), sure = (u + 0x7fff + ((u >> 16) & 1)) >> 16;
    uint32_t a = u & 0x7fffffff;
    return a > 0x7f800000 ? u >> 16 | 0x40 : a < 0x00800000 ? u >> 31 << 15 : sure;
}
static inline uint32_t half_f16(float f) {
    uint32_t u = half_bits(f), sign = u >> 31 << 15, a = u & 0x7fffffff;
    uint32_t normal = (a - (112u << 23) + 0xfff + ((a >> 13) & 1)) >> 13; /* the exponent's offset is 112 less */
    uint32_t small = half_bits(half_float(a) + half_float(126u << 23)) - (126u << 23); /* the sum's unit in the last place is 2^-24 */
    return sign | (a > 0x7f800000 ? 0x7e00 : a >= 143u << 23 ? 0x7c00 : a < 113u << 23 ? small : normal);
}
static inline float half_from_f16(uint32_t h) {
    uint32_t e = h >> 10 & 31, a = (h & 0x7fff) << 13;
    float small = half_float(a + (113u << 23)) - half_float(113u << 23);
    uint32_t u = e == 31 ? a + (224u << 23) : e ? a + (112u << 23) : half_bits(small);
    return half_float(u | (h & 0x8000) << 16);
}

static inline void half_down_bf16(const float *restrict x, int64_t n, uint16_t *restrict y) {
    int64_t i = 0;
#if defined(__AVX512BF16__)
    for (; i + 32 <= n; i += 32) _mm512_storeu_si512(y + i, (__m512i)_mm512_cvtne2ps_pbh(_mm512_loadu_ps(x + i + 16), _mm512_loadu_ps(x + i)));
#endif
#pragma omp simd
    for (int64_t j = i; j < n; j++) y[j] = (uint16_t)half_bf16(x[j]);
}
static inline void half_up_bf16(const uint16_t *restrict x, int64_t n, float *restrict y) {
#pragma omp simd
    for (int64_t i = 0; i < n; i++) y[i] = half_float((uint32_t)x[i] << 16);
}
static inline void half_down_f16(const float *restrict x, int64_t n, uint16_t *restrict y) {
    int64_t i = 0;
#if defined(__F16C__)
    for (; i + 8 <= n; i += 8)
        _mm_storeu_si128((__m128i *)(void *)(y + i), _mm256_cvtps_ph(_mm256_loadu_ps(x + i), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
#endif
    for (; i < n; i++) y[i] = (uint16_t)half_f16(x[i]);
}
static inline void half_up_f16(const uint16_t *restrict x, int64_t n, float *restrict y) {
    int64_t i = 0;
#if defined(__F16C__)
    for (; i + 8 <= n; i += 8) _mm256_storeu_ps(y + i, _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)(x + i))));
#endif
    for (; i < n; i++) y[i] = half_from_f16(x[i]);
}

/* n values at x of type t as floats: where they lie if they are f32, else in own. */
static inline const float *half_up(enum dtype t, const void *x, int64_t n, float *own) {
    if (t == DT_F32) return x;
    if (t == DT_BF16) half_up_bf16(x, n, own);
    else half_up_f16(x, n, own);
    return own;
}
static inline void half_down(enum dtype t, const float *x, int64_t n, void *y) {
    if (t == DT_BF16) half_down_bf16(x, n, y);
    else if (t == DT_F16) half_down_f16(x, n, y);
    else if (x != y) memcpy(y, x, (size_t)n * sizeof *x);
}
/* The floats that type t holds nearest to x. */
static inline void half_round(enum dtype t, const float *restrict x, int64_t n, float *restrict y) {
    uint16_t h[64];
    for (int64_t i = 0; i < n; i += 64) {
        int64_t m = n - i < 64 ? n - i : 64;
        half_down(t, x + i, m, h);
        half_up(t, h, m, y + i);
    }
}
static inline const void *half_at(enum dtype t, const void *x, int64_t i) { return (const char *)x + i * (t == DT_F32 ? 4 : 2); }

#endif
