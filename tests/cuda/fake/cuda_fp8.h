/* Conversion to fp8 (E4M3), for the fake device: to nearest, ties to even, what is too large becomes 448 (Micikevicius et al. 2022, table 1: bias 7, no
 * infinity). */
#ifndef HONE_TESTS_CUDA_FAKE_FP8_H
#define HONE_TESTS_CUDA_FAKE_FP8_H
#include <math.h>
#include <stdint.h>
typedef uint8_t __nv_fp8_storage_t;
typedef enum { __NV_NOSAT, __NV_SATFINITE } __nv_saturation_t;
typedef enum { __NV_E4M3, __NV_E5M2 } __nv_fp8_interpretation_t;
static inline float fake_from_e4m3(uint8_t v) {
    int e = v >> 3 & 15, f = v & 7;
    float a = (v & 127) == 127 ? NAN : e ? ldexpf(1 + (float)f / 8, e - 7) : ldexpf((float)f, -9);
    return v & 128 ? -a : a;
}
static inline __nv_fp8_storage_t __nv_cvt_float_to_fp8(float x, __nv_saturation_t, __nv_fp8_interpretation_t) {
    uint8_t sign = signbit(x) ? 128 : 0;
    float a = fabsf(x);
    int e;
    if (x != x) return 0x7f;
    if (a >= 448) return (uint8_t)(sign | 0x7e);
    frexpf(a, &e); /* a = 0.5 .. 1 times 2^e */
    int step = (e < -5 ? -5 : e) - 4; /* of the last bit of the fraction, a power of two */
    float n = nearbyintf(ldexpf(a, -step)); /* in steps: below 8 without the leading bit, 16: the next power */
    return (uint8_t)(sign | (n < 8 ? (int)n : ((step + 9) << 3) + (int)n));
}
#endif
