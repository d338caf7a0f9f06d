/* Measuring the machine with the two loops of engine/ops/plain.c. Engine thread; the pool's threads run the loops. */
#include "engine/cpu/yard.h"

#include <stdlib.h>

#include "src/base/mem.h"
#include "src/base/thread.h"

struct loop {
    const struct isa *isa;
    int64_t rounds; /* fma */
    float *mem; /* stream: 2 n floats a tile */
    int64_t n;
};

static void fma_tiles(void *ctx, int64_t lo, int64_t hi) {
    const struct loop *l = ctx;
    for (int64_t i = lo; i < hi; i++) l->isa->fma_flop(l->rounds);
}

/* As many tiles as threads; each takes about 2 ms, so that every thread gets one. */
double yard_gflops(struct pool *p, const struct isa *isa) {
    int64_t tiles = pool_threads(p);
    struct loop l = {.isa = isa, .rounds = 2000};
    double t = clock_now(), best = 0;
    isa->fma_flop(l.rounds);
    t = clock_now() - t;
    l.rounds = (int64_t)((double)l.rounds * 2e-3 / (t > 1e-7 ? t : 1e-7)) + 1;
    double flop = isa->fma_flop(l.rounds) * (double)tiles;
    for (int r = 0; r < 6; r++) {
        t = clock_now();
        pool_run(p, tiles, fma_tiles, &l);
        double rate = flop / (clock_now() - t) * 1e-9;
        if (rate > best) best = rate;
    }
    return best;
}

static void stream_tiles(void *ctx, int64_t lo, int64_t hi) {
    const struct loop *l = ctx;
    for (int64_t i = lo; i < hi; i++) l->isa->stream(l->mem + 2 * i * l->n, l->mem + (2 * i + 1) * l->n, l->n);
}

double yard_memory(struct pool *p, const struct isa *isa) {
    int64_t tiles = pool_threads(p), n = (int64_t)8 << 20;
    struct loop l = {.isa = isa, .n = n, .mem = mem_try((size_t)(2 * n * tiles), sizeof(float), "the memory test", NULL)};
    double best = 0;
    if (!l.mem) return 0;
    for (int r = 0; r < 4; r++) {
        double t = clock_now();
        pool_run(p, tiles, stream_tiles, &l);
        double rate = 12.0 * (double)n * (double)tiles / (clock_now() - t) * 1e-9;
        if (r > 0 && rate > best) best = rate; /* the first touches the pages */
    }
    free(l.mem);
    return best;
}
