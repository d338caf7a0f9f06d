/* Philox4x32-10 (Salmon, Moraes, Dror, Shaw, SC 2011) and what is drawn from it. Pure functions: no state, any thread.
 * The 64-bit stream is the key, the counter is (block, step). */
#include "config.h"

#include "src/base/rng.h"

#include <math.h>
#include <string.h>

#include "src/base/hash.h"

#define PI 3.14159265358979323846

static uint64_t mix(uint64_t x) { /* the finaliser of splitmix64 */
    x ^= x >> 30;
    x *= UINT64_C(0xbf58476d1ce4e5b9);
    x ^= x >> 27;
    x *= UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

uint64_t rng_stream(uint64_t seed, const char *path, uint32_t draw) {
    uint64_t h = hash_bytes(HASH_START, path, strlen(path));
    for (int i = 0; i < 4; i++) h = hash_byte(h, (unsigned char)(draw >> (8 * i)));
    return mix(h ^ mix(seed + UINT64_C(0x9e3779b97f4a7c15)));
}

void rng_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]) {
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3], k0 = key[0], k1 = key[1];
    for (int round = 0; round < 10; round++) {
        uint64_t a = (uint64_t)0xD2511F53u * c0, b = (uint64_t)0xCD9E8D57u * c2;
        c0 = (uint32_t)(b >> 32) ^ c1 ^ k0;
        c1 = (uint32_t)b;
        c2 = (uint32_t)(a >> 32) ^ c3 ^ k1;
        c3 = (uint32_t)a;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    out[0] = c0, out[1] = c1, out[2] = c2, out[3] = c3;
}

void rng_block(uint64_t stream, uint64_t step, uint64_t block, uint32_t out[4]) {
    const uint32_t counter[4] = {(uint32_t)block, (uint32_t)(block >> 32), (uint32_t)step, (uint32_t)(step >> 32)};
    const uint32_t key[2] = {(uint32_t)stream, (uint32_t)(stream >> 32)};
    rng_philox(counter, key, out);
}

uint32_t rng_u32(uint64_t stream, uint64_t step, uint64_t element) {
    uint32_t b[4];
    rng_block(stream, step, element >> 2, b);
    return b[element & 3];
}

double rng_unit(uint64_t stream, uint64_t step, uint64_t element) { return rng_u32(stream, step, element) * 0x1p-32; }

double rng_normal(uint64_t stream, uint64_t step, uint64_t element) {
    uint32_t b[4];
    rng_block(stream, step, element >> 2, b);
    const uint32_t *pair = b + (element & 2); /* neighbours share the pair: cosine and sine of one draw */
    double r = sqrt(-2 * log((pair[0] + 1.0) * 0x1p-32)), angle = 2 * PI * 0x1p-32 * pair[1];
    return element & 1 ? r * sin(angle) : r * cos(angle);
}

/* high 64 bits of a 128-bit product, so that the part of [0, n) is cut without a division */
static uint64_t mul_high(uint64_t a, uint64_t b) {
    uint64_t al = (uint32_t)a, ah = a >> 32, bl = (uint32_t)b, bh = b >> 32;
    uint64_t mid = ah * bl + ((al * bl) >> 32), low = (uint32_t)mid + al * bh;
    return ah * bh + (mid >> 32) + (low >> 32);
}

uint64_t rng_below(uint64_t stream, uint64_t step, uint64_t element, uint64_t n) {
    uint32_t b[4];
    rng_block(stream, step, element >> 1, b);
    const uint32_t *pair = b + 2 * (element & 1);
    return mul_high((uint64_t)pair[0] << 32 | pair[1], n);
}

void rng_shuffle(uint64_t stream, uint64_t step, int64_t *index, size_t n) {
    for (size_t i = n; i-- > 1;) {
        size_t j = (size_t)rng_below(stream, step, i, i + 1);
        int64_t t = index[i];
        index[i] = index[j];
        index[j] = t;
    }
}
