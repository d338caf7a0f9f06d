/* The type of bfloat16, for the fake device. */
#ifndef HONE_TESTS_CUDA_FAKE_BF16_H
#define HONE_TESTS_CUDA_FAKE_BF16_H
#include <stdint.h>
struct __nv_bfloat16 {
    uint16_t bits;
};
#endif
