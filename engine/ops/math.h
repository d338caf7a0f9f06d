/* Vectorisable expf, logf, tanhf, erff for op kernels: no branch, no call, relative error <= 2e-7 (tests/engine/model_math.c holds
 * them against libm). NaN stays NaN; exp overflows to infinity and underflows through denormals to 0.
 * erff: two minimax polynomials joined at 475/512; tanhf: odd polynomial below 0.625 (Cephes, Moshier), else by exp. */
#ifndef HONE_ENGINE_OPS_MATH_H
#define HONE_ENGINE_OPS_MATH_H

#include <math.h>
#include <stdint.h>

/* One rounding where the hardware has it; the compiler must not take these sums apart. */
static inline __attribute__((always_inline)) float math_fma(float a, float b, float c) {
#ifdef __FMA__
    return __builtin_fmaf(a, b, c);
#else
    return a * b + c;
#endif
}
static inline __attribute__((always_inline)) float math_pow2(int n) { /* 2^n, n in -126..127 */
    union {
        uint32_t u;
        float f;
    } v = {(uint32_t)(n + 127) << 23};
    return v.f;
}
static inline __attribute__((always_inline)) float math_exp(float x) {
    float c = x < -104.0f ? -104.0f : x;
    c = c > 89.0f ? 89.0f : c;
    float z = c * 1.44269504f;
    int n = (int)(z + (z < 0 ? -0.5f : 0.5f));
    float fn = (float)n;
    float r = math_fma(fn, -0.693145752f, c);
    r = math_fma(fn, -1.42860677e-6f, r);
    float p = 1.98412698e-4f;
    p = math_fma(p, r, 1.38888889e-3f);
    p = math_fma(p, r, 8.33333333e-3f);
    p = math_fma(p, r, 4.16666667e-2f);
    p = math_fma(p, r, 1.66666667e-1f);
    p = math_fma(p, r, 0.5f);
    p = math_fma(p, r * r, r);
    p = p + 1.0f;
    int h = n / 2;
    return p * math_pow2(h) * math_pow2(n - h);
}
static inline __attribute__((always_inline)) float math_tanh(float x) {
    float s = x * x, a = fabsf(x);
    float p = -5.70498872745e-3f;
    p = math_fma(p, s, 2.06390887954e-2f);
    p = math_fma(p, s, -5.37397155531e-2f);
    p = math_fma(p, s, 1.33314422036e-1f);
    p = math_fma(p, s, -3.33332819422e-1f);
    float small = math_fma(p * s, x, x);
    float big = 1.0f - 2.0f / (math_exp(a + a) + 1.0f);
    big = x < 0 ? -big : big;
    return a < 0.625f ? small : big;
}
/* log of a positive normal number (Cephes logf, Moshier); others: NaN below 0, anything at 0 and denormals */
static inline __attribute__((always_inline)) float math_log(float x) {
    union {
        float f;
        int32_t i;
    } v = {x};
    int32_t n = (v.i - 0x3f3504f3) >> 23; /* x = m 2^n, m in [sqrt 1/2, sqrt 2) */
    v.i -= (int32_t)((uint32_t)n << 23);
    float f = v.f - 1.0f, z = f * f, fn = (float)n, p = 7.0376836292e-2f;
    p = math_fma(p, f, -1.1514610310e-1f);
    p = math_fma(p, f, 1.1676998740e-1f);
    p = math_fma(p, f, -1.2420140846e-1f);
    p = math_fma(p, f, 1.4249322787e-1f);
    p = math_fma(p, f, -1.6668057665e-1f);
    p = math_fma(p, f, 2.0000714765e-1f);
    p = math_fma(p, f, -2.4999993993e-1f);
    p = math_fma(p, f, 3.3333331174e-1f);
    float y = math_fma(p * f, z, fn * -2.12194440e-4f);
    float r = math_fma(fn, 0.693359375f, f + math_fma(-0.5f, z, y));
    return x < 0 ? NAN : x != x ? x : r;
}
static inline __attribute__((always_inline)) float math_sigmoid(float x) { return 1.0f / (1.0f + math_exp(-x)); }
static inline __attribute__((always_inline)) float math_erf(float x) {
    float t = fabsf(x), s = x * x;
    float r = math_fma(-1.72853470e-5f, t, 3.83197126e-4f);
    float u = math_fma(-3.88396438e-3f, t, 2.42546219e-2f);
    r = math_fma(r, s, u);
    r = math_fma(r, t, -1.06777877e-1f);
    r = math_fma(r, t, -6.34846687e-1f);
    r = math_fma(r, t, -1.28717512e-1f);
    r = math_fma(r, t, -t);
    float big = 1.0f - math_exp(t > 5.0f ? -104.0f : r);
    big = x < 0 ? -big : big;
    float q = -5.96761703e-4f;
    q = math_fma(q, s, 4.99119423e-3f);
    q = math_fma(q, s, -2.67681349e-2f);
    q = math_fma(q, s, 1.12819925e-1f);
    q = math_fma(q, s, -3.76125336e-1f);
    q = math_fma(q, s, 1.28379166e-1f);
    float small = math_fma(q, x, x);
    return t > 0.927734375f ? big : x != x ? x : small;
}
/* GELU (Hendrycks & Gimpel 2016): x Phi(x), or its tanh form */
static inline __attribute__((always_inline)) float math_gelu(float x) { return 0.5f * x * (1.0f + math_erf(x * 0.70710678f)); }
static inline __attribute__((always_inline)) float math_gelu_tanh(float x) { return 0.5f * x * (1.0f + math_tanh(0.79788456f * (x + 0.044715f * x * x * x))); }

#endif
