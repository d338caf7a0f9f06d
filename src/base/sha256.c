/* SHA-256 (FIPS 180-4). Ours because it is the one hash that hone needs and no other part would link a crypto library. */
#include "config.h"

#include "src/base/sha256.h"

#include <stdio.h>
#include <string.h>

#if defined __x86_64__ && defined __GNUC__
#define SHA256_X86
#include <cpuid.h>
#include <stdatomic.h>

#include "src/base/sha256_x86.h"
#endif

static const uint32_t k[64] = {0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01,
    0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc,
    0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13,
    0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116,
    0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb,
    0xbef9a3f7, 0xc67178f2};

static uint32_t rot(uint32_t x, int n) { return x >> n | x << (32 - n); }

/* One round, the eight words named in the order they stand in now: instead of moving them, the next round names them one further on. */
#define ROUND(a, b, c, d, e, f, g, h, i)                                                            \
    do {                                                                                            \
        uint32_t t = h + (rot(e, 6) ^ rot(e, 11) ^ rot(e, 25)) + (g ^ (e & (f ^ g))) + k[i] + w[i]; \
        d += t;                                                                                     \
        h = t + (rot(a, 2) ^ rot(a, 13) ^ rot(a, 22)) + ((a & b) | (c & (a | b)));                  \
    } while (0)

static void blocks_plain(uint32_t state[8], const unsigned char *p, size_t n) {
    for (; n > 0; n--, p += 64) {
        uint32_t w[64], a = state[0], b = state[1], c = state[2], d = state[3], e = state[4], f = state[5], g = state[6], h = state[7];
        for (int i = 0; i < 16; i++) w[i] = (uint32_t)p[4 * i] << 24 | (uint32_t)p[4 * i + 1] << 16 | (uint32_t)p[4 * i + 2] << 8 | p[4 * i + 3];
        for (int i = 16; i < 64; i++) {
            uint32_t x = w[i - 15], y = w[i - 2];
            w[i] = w[i - 16] + (rot(x, 7) ^ rot(x, 18) ^ x >> 3) + w[i - 7] + (rot(y, 17) ^ rot(y, 19) ^ y >> 10);
        }
        for (int i = 0; i < 64; i += 8) {
            ROUND(a, b, c, d, e, f, g, h, i);
            ROUND(h, a, b, c, d, e, f, g, i + 1);
            ROUND(g, h, a, b, c, d, e, f, i + 2);
            ROUND(f, g, h, a, b, c, d, e, i + 3);
            ROUND(e, f, g, h, a, b, c, d, i + 4);
            ROUND(d, e, f, g, h, a, b, c, i + 5);
            ROUND(c, d, e, f, g, h, a, b, i + 6);
            ROUND(b, c, d, e, f, g, h, a, i + 7);
        }
        state[0] += a, state[1] += b, state[2] += c, state[3] += d, state[4] += e, state[5] += f, state[6] += g, state[7] += h;
    }
}

#ifdef SHA256_X86
static bool has_sha(void) {
    static _Atomic signed char known; /* asked once: cpuid is slow in a virtual machine */
    signed char is = atomic_load(&known);
    if (!is) {
        unsigned a, b, c, d;
        is = __get_cpuid_count(7, 0, &a, &b, &c, &d) && b >> 29 & 1 ? 1 : -1; /* leaf 7, EBX bit 29: SHA */
        atomic_store(&known, is);
    }
    return is > 0;
}
#endif

static void blocks(struct sha256 *h, const unsigned char *p, size_t n) {
#ifdef SHA256_X86
    if (!h->plain && has_sha()) {
        sha256_blocks_x86(h->state, p, n, k);
        return;
    }
#endif
    blocks_plain(h->state, p, n);
}

void sha256_init(struct sha256 *h) {
    *h = (struct sha256){.state = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19}};
}

void sha256_add(struct sha256 *h, const void *data, size_t n) {
    const unsigned char *p = data;
    size_t have = h->bytes % 64;
    h->bytes += n;
    if (have) {
        size_t take = n < 64 - have ? n : 64 - have;
        if (take) memcpy(h->part + have, p, take);
        p += take, n -= take;
        if (have + take < 64) return;
        blocks(h, h->part, 1);
    }
    if (n >= 64) blocks(h, p, n / 64);
    p += n - n % 64, n %= 64;
    if (n) memcpy(h->part, p, n);
}

void sha256_hex(struct sha256 *h, char hex[65]) {
    unsigned char tail[72] = {0x80};
    uint64_t bits = h->bytes * 8;
    size_t pad = 64 - (h->bytes + 8) % 64;
    for (int i = 0; i < 8; i++) tail[pad + (size_t)i] = (unsigned char)(bits >> (56 - 8 * i));
    sha256_add(h, tail, pad + 8);
    for (int i = 0; i < 8; i++) snprintf(hex + 8 * i, 9, "%08x", h->state[i]);
}
