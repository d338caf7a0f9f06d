/* RANDOM_LANES blocks of rng_block at once (Philox4x32-10, as src/base/rng.c), for kernels that draw a number an element; the op test holds them together.
 * Numbers of the elements 4 first .. 4 (first + RANDOM_LANES) - 1. */
#ifndef HONE_ENGINE_OPS_RANDOM_H
#define HONE_ENGINE_OPS_RANDOM_H

#include <stdint.h>

#define RANDOM_LANES 16
static inline void random_lanes(uint64_t stream, uint64_t step, uint64_t first, uint32_t out[4 * RANDOM_LANES]) {
    uint32_t c0[RANDOM_LANES], c1[RANDOM_LANES], c2[RANDOM_LANES], c3[RANDOM_LANES], k0 = (uint32_t)stream, k1 = (uint32_t)(stream >> 32);
    for (int i = 0; i < RANDOM_LANES; i++) {
        c0[i] = (uint32_t)(first + (uint64_t)i), c1[i] = (uint32_t)((first + (uint64_t)i) >> 32);
        c2[i] = (uint32_t)step, c3[i] = (uint32_t)(step >> 32);
    }
    for (int round = 0; round < 10; round++, k0 += 0x9E3779B9u, k1 += 0xBB67AE85u) {
#pragma omp simd
        for (int i = 0; i < RANDOM_LANES; i++) {
            uint64_t a = (uint64_t)0xD2511F53u * c0[i], b = (uint64_t)0xCD9E8D57u * c2[i];
            c0[i] = (uint32_t)(b >> 32) ^ c1[i] ^ k0;
            c1[i] = (uint32_t)b;
            c2[i] = (uint32_t)(a >> 32) ^ c3[i] ^ k1;
            c3[i] = (uint32_t)a;
        }
    }
    for (int i = 0; i < RANDOM_LANES; i++) out[4 * i] = c0[i], out[4 * i + 1] = c1[i], out[4 * i + 2] = c2[i], out[4 * i + 3] = c3[i];
}
/* An element stays if its 32 random bits are >= p 2^32; p >= 1 drops all. */
static inline uint64_t random_limit(double p) { return !(p > 0) ? 0 : p >= 1 ? (uint64_t)1 << 32 : (uint64_t)(p * 4294967296.0); }

/* Dropout of n values: those whose random number is below limit become 0, the rest grow by keep. first: the element of the first, a multiple of 4. */
static inline void random_drop(uint64_t stream, uint64_t step, uint64_t first, uint32_t limit, float keep, int64_t n, float *w) {
    uint32_t r[4 * RANDOM_LANES];
    for (int64_t j = 0; j < n; j += 4 * RANDOM_LANES) {
        int64_t m = n - j < 4 * RANDOM_LANES ? n - j : 4 * RANDOM_LANES;
        random_lanes(stream, step, (first + (uint64_t)j) / 4, r);
        for (int64_t i = 0; i < m; i++) w[j + i] = r[i] >= limit ? w[j + i] * keep : 0;
    }
}

#endif
