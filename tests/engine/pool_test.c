/* The thread pool under stress: every tile exactly once, whatever the number of tiles, threads and the pauses between runs. */
#include <stdatomic.h>
#include <string.h>

#include "engine/cpu/pool.h"
#include "src/base/thread.h"
#include "tests/tap.h"

enum { MAX = 3000 };
struct ctx {
    unsigned char hit[MAX];
    _Atomic int64_t sum;
};

static void touch(void *c, int64_t lo, int64_t hi) {
    struct ctx *x = c;
    int64_t s = 0;
    for (int64_t i = lo; i < hi; i++) x->hit[i]++, s += i + 1;
    atomic_fetch_add(&x->sum, s);
}

static bool stress(int threads, int runs) {
    struct err e = {0};
    struct pool *p = pool_new(threads, &e);
    if (!p) return false;
    static struct ctx c;
    bool ok = true;
    uint32_t s = 1;
    for (int r = 0; r < runs && ok; r++) {
        s = s * 1664525u + 1013904223u;
        int64_t tiles = (s >> 8) % (r % 3 == 0 ? MAX : 9);
        memset(&c, 0, sizeof c);
        pool_run(p, tiles, touch, &c);
        ok = atomic_load(&c.sum) == tiles * (tiles + 1) / 2;
        for (int64_t i = 0; i < MAX && ok; i++) ok = c.hit[i] == (i < tiles);
        if (r % 500 == 0) clock_sleep(0.0005); /* lets the workers fall asleep */
    }
    pool_free(p);
    return ok;
}

int main(void) {
    static const int threads[] = {1, 2, 3, 4, 8};
    for (size_t i = 0; i < LEN(threads); i++) tap_ok(stress(threads[i], 6000), "%d threads run each of 6000 sets of tiles once", threads[i]);
    struct pool *p = pool_new(0, NULL);
    tap_ok(p && pool_threads(p) == thread_cores(), "0 threads asked: one a processor (%d)", pool_threads(p));
    static struct ctx c;
    double t = clock_now();
    for (int i = 0; i < 2000; i++) pool_run(p, 4, touch, &c);
    t = (clock_now() - t) / 2000;
    tap_ok(t < 1e-3, "an almost empty run takes %.1f us", t * 1e6);
    pool_free(p);
    pool_run(NULL, 4, touch, &c);
    tap_ok(pool_threads(NULL) == 1, "no pool is one thread");
    return tap_done();
}
