/* Vectorisable expf, logf, tanhf, erff for op kernels: no branch, no call, relative error <= 2e-7 (tests/engine/model_math.c holds
 * them against libm). NaN stays NaN; exp overflows to infinity and underflows through denormals to 0.
 * erff: two minimax polynomials joined at 475/512; tanhf: odd polynomial below 0.625 (Cephes, Moshier), else by exp.
 * math_exp_down and math_gelu take half the time of the general forms: they are most of what is not a product in a transformer. */
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
/* exp for what is at most 0, as in a softmax (right up to 88); below -87.3 the result is 0. A minimax polynomial on [-ln 2 / 2, ln 2 / 2]. */
static inline __attribute__((always_inline)) float math_exp_down(float x) {
    union {
        float f;
        uint32_t u;
    } n, two;
#ifdef __FMA__ /* adding 1.5 2^23 rounds to a whole number, which then lies in the last bits */
    n.f = math_fma(x, 1.44269504f, 12582912.0f);
    float fn = n.f - 12582912.0f;
#else /* such a sum would be taken apart */
    float z = (x < -88.0f ? -88.0f : x) * 1.44269504f;
    int whole = (int)(z + (z < 0 ? -0.5f : 0.5f));
    n.u = (uint32_t)whole;
    float fn = (float)whole;
#endif
    float r = math_fma(fn, -0.693145752f, x);
    r = math_fma(fn, -1.42860677e-6f, r);
    float p = 1.38146104e-3f;
    p = math_fma(p, r, 8.36871099e-3f);
    p = math_fma(p, r, 4.16683890e-2f);
    p = math_fma(p, r, 1.66665211e-1f);
    p = math_fma(p, r, 4.99999940e-1f);
    p = math_fma(p, r * r, r) + 1.0f;
    two.u = (n.u << 23) + 0x3f800000u;
    return x < -87.3f ? 0 : p * two.f;
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
/* 1 - Phi(t) of the normal distribution for t >= 0 as 1 / p(t)^8 (the form of Abramowitz and Stegun 26.2.19, p fitted anew): absolute error <= 3e-7, and
 * in the tail no digits are lost to a difference from 1. It is 0 from t = 21 on. */
static inline __attribute__((always_inline)) float math_normal_tail(float t) {
    float u = 3.66869443e-7f;
    u = math_fma(u, t, -2.08359143e-6f);
    u = math_fma(u, t, 1.29414775e-5f);
    u = math_fma(u, t, 8.33279501e-6f);
    u = math_fma(u, t, 2.99122708e-4f);
    u = math_fma(u, t, 8.81703745e-4f);
    u = math_fma(u, t, 9.48036648e-3f);
    u = math_fma(u, t, 4.88095619e-2f);
    u = math_fma(u, t, 1.08762696e-1f) * t;
    float p = math_fma(u, u + 2.18101549f, 1.18920708f); /* (u + 2^(1/8))^2 */
    p *= p;
    return 1.0f / (p * p);
}
/* At infinity the functions below are their limits: a factor that is 0 from some point on would give NaN there, so the other one ends at a number. NaN
 * passes. */
static inline __attribute__((always_inline)) float math_end(float x, float end) { return end < x ? end : x; }
static inline __attribute__((always_inline)) float math_ends(float x, float end) {
    float c = math_end(x, end);
    return -end > c ? -end : c;
}
/* GELU (Hendrycks & Gimpel 2016): x Phi(x), its derivative, and its tanh form with its derivative */
static inline __attribute__((always_inline)) float math_gelu(float x) {
    float t = math_end(fabsf(x), 64);
    return math_fma(-t, math_normal_tail(t), x > 0 ? x : 0);
}
static inline __attribute__((always_inline)) float math_gelu_slope(float x) {
    float c = math_ends(x, 64), q = math_normal_tail(fabsf(c)), density = 0.39894228f * math_exp_down(-0.5f * c * c);
    return math_fma(c, density, c > 0 ? 1.0f - q : q);
}
static inline __attribute__((always_inline)) float math_gelu_tanh(float x) {
    float u = 1.0f + math_tanh(0.79788456f * (x + 0.044715f * x * x * x));
    return 0.5f * (-64 > x ? -64 : x) * u;
}
static inline __attribute__((always_inline)) float math_gelu_tanh_slope(float x) {
    float c = math_ends(x, 64), t = math_tanh(0.79788456f * (c + 0.044715f * c * c * c));
    return 0.5f * (1.0f + t) + 0.5f * c * (1.0f - t * t) * 0.79788456f * (1.0f + 0.134145f * c * c);
}
/* SiLU (Elfwing et al. 2018): x sigmoid(x), and its derivative */
static inline __attribute__((always_inline)) float math_silu(float x) { return (-104 > x ? -104 : x) * math_sigmoid(x); }
static inline __attribute__((always_inline)) float math_silu_slope(float x) {
    float c = math_ends(x, 104), s = math_sigmoid(c);
    return s * (1.0f + c * (1.0f - s));
}

#endif
