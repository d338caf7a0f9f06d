/* Conversions of half precision, for the fake device. */
#ifndef HONE_TESTS_CUDA_FAKE_FP16_H
#define HONE_TESTS_CUDA_FAKE_FP16_H
#include <stdint.h>
typedef _Float16 __half;
static inline __half __ushort_as_half(uint16_t v) {
    __half h;
    __builtin_memcpy(&h, &v, 2);
    return h;
}
static inline uint16_t __half_as_ushort(__half h) {
    uint16_t v;
    __builtin_memcpy(&v, &h, 2);
    return v;
}
static inline float __half2float(__half h) { return (float)h; }
static inline __half __float2half_rn(float f) { return (__half)f; }
#endif
