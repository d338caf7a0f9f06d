/* Random numbers as src/base/rng.c defines them: Philox4x32-10 of (stream, step, element / 4). */
#ifndef HONE_ENGINE_CUDA_RANDOM_CUH
#define HONE_ENGINE_CUDA_RANDOM_CUH

#include "engine/cuda/cuda.h"

static __device__ __forceinline__ uint32_t random_u32(uint64_t stream, uint64_t step, uint64_t element) {
    uint64_t block = element >> 2;
    uint32_t c0 = (uint32_t)block, c1 = (uint32_t)(block >> 32), c2 = (uint32_t)step, c3 = (uint32_t)(step >> 32), k0 = (uint32_t)stream,
             k1 = (uint32_t)(stream >> 32);
    for (int round = 0; round < 10; round++) {
        uint64_t a = (uint64_t)0xD2511F53u * c0, b = (uint64_t)0xCD9E8D57u * c2;
        c0 = (uint32_t)(b >> 32) ^ c1 ^ k0;
        c1 = (uint32_t)b;
        c2 = (uint32_t)(a >> 32) ^ c3 ^ k1;
        c3 = (uint32_t)a;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    return element & 2 ? (element & 1 ? c3 : c2) : (element & 1 ? c1 : c0);
}
/* An element stays if its 32 random bits are >= p 2^32. */
static __device__ __forceinline__ uint64_t random_limit(double p) { return !(p > 0) ? 0 : p >= 1 ? (uint64_t)1 << 32 : (uint64_t)(p * 4294967296.0); }
/* What dropout multiplies an element with: 0 or 1 / (1 - p). */
static __device__ __forceinline__ float random_keep(uint64_t stream, uint64_t step, uint64_t element, float p) {
    if (!(p > 0)) return 1.0f;
    return p < 1 && random_u32(stream, step, element) >= random_limit((double)p) ? (float)(1 / (1 - (double)p)) : 0.0f;
}
/* The text of token t: the last r with off[r] <= t; texts may be empty. */
static __device__ __forceinline__ int64_t text_of(const int32_t *off, int64_t rows, int64_t t) {
    int64_t lo = 0, hi = rows - 1;
    while (lo < hi) {
        int64_t m = (lo + hi + 1) / 2;
        if (off[m] <= t) lo = m;
        else hi = m - 1;
    }
    return lo;
}

#endif
