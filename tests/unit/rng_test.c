/* Philox known answers (the vectors of the Random123 distribution), moments, independence of order, shuffles. */
#include "config.h"

#include <stdlib.h>

#include "src/base/err.h"
#include "src/base/rng.h"
#include "tests/tap.h"

static const struct {
    uint32_t ctr[4], key[2], out[4];
} known[] = {{{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
    {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, {0xffffffff, 0xffffffff}, {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
    {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}, {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}}};

int main(void) {
    for (size_t i = 0; i < LEN(known); i++) {
        uint32_t out[4];
        rng_philox(known[i].ctr, known[i].key, out);
        tap_ok(memcmp(out, known[i].out, sizeof out) == 0, "Philox4x32-10 known answer %zu", i);
    }
    uint64_t s = rng_stream(1, "layer.0/dropout", 0);
    tap_ok(s != rng_stream(2, "layer.0/dropout", 0) && s != rng_stream(1, "layer.0/dropout", 1) && s != rng_stream(1, "layer.1/dropout", 0),
        "streams differ by seed, draw, path");
    uint32_t b[4];
    rng_block(s, 5, 2, b);
    tap_ok(rng_u32(s, 5, 9) == b[1] && rng_u32(s, 5, 9) != rng_u32(s, 6, 9), "an element is its place in its block");
    enum { N = 200000 };
    double m = 0, v = 0, q = 0, u = 0;
    int count[7] = {0};
    for (uint64_t i = 0; i < N; i++) {
        double x = rng_normal(s, 1, i);
        m += x, v += x * x, q += x * x * x * x;
        double f = rng_unit(s, 2, i);
        u += f;
        if (!(f >= 0 && f < 1)) tap_bad++;
        count[rng_below(s, 3, i, 7)]++;
    }
    tap_near(m / N, 0, 0.01, "normal mean");
    tap_near(v / N, 1, 0.02, "normal variance");
    tap_near(q / N, 3, 0.1, "normal fourth moment");
    tap_near(u / N, 0.5, 0.005, "unit mean");
    bool even = true;
    for (int i = 0; i < 7; i++) even = even && abs(count[i] - N / 7) < 800;
    tap_ok(even, "rng_below is even");
    int64_t a[100], c[100], seen[100] = {0};
    for (int i = 0; i < 100; i++) a[i] = c[i] = i;
    rng_shuffle(s, 4, a, 100);
    rng_shuffle(s, 4, c, 100);
    int same = 0;
    for (int i = 0; i < 100; i++) seen[a[i]]++, same += a[i] == i;
    bool all = memcmp(a, c, sizeof a) == 0 && same < 10;
    for (int i = 0; i < 100; i++) all = all && seen[i] == 1;
    tap_ok(all, "a shuffle is a permutation and repeatable");
    rng_shuffle(s, 4, a, 0);
    return tap_done();
}
