/* The thread pool. A run publishes fn and tiles, then a 64-bit ticket (generation, next tile); whoever swaps the ticket owns the
 * tiles it moved over. A worker that comes late finds another generation and touches nothing, so a run never waits for a thread
 * that did not start. Workers spin for some tens of microseconds after the last work, then sleep on a condition. */
#include "config.h"

#include "engine/cpu/pool.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/cpu/denormal.h"
#include "src/base/mem.h"
#include "src/base/thread.h"

#define SPIN_SECONDS 50e-6
struct pool {
    int threads; /* immutable, with the caller's */
    bool spin; /* immutable: a core for each thread */
    pthread_t *worker; /* immutable: threads - 1 */
    _Atomic(pool_fn) fn; /* of the run; read before a ticket is taken, valid if it is */
    _Atomic(void *) ctx;
    _Atomic int64_t tiles, chunk;
    _Atomic uint64_t ticket; /* generation << 32 | next tile */
    _Atomic int64_t done; /* tiles finished */
    _Atomic bool quit;
    _Atomic int sleepers;
    pthread_mutex_t lock; /* a leaf lock: protects going to sleep */
    pthread_cond_t wake;
};

static inline void relax(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
}

/* Takes tiles of the generation until there are none. */
static void work(struct pool *p, uint32_t gen) {
    pool_fn fn = atomic_load(&p->fn);
    void *ctx = atomic_load(&p->ctx);
    int64_t tiles = atomic_load(&p->tiles), chunk = atomic_load(&p->chunk);
    uint64_t t = atomic_load(&p->ticket);
    while ((uint32_t)(t >> 32) == gen) {
        int64_t lo = (int64_t)(t & 0xffffffffu), hi = lo + chunk < tiles ? lo + chunk : tiles;
        if (lo >= tiles) return;
        if (!atomic_compare_exchange_weak(&p->ticket, &t, (uint64_t)gen << 32 | (uint64_t)hi)) continue;
        fn(ctx, lo, hi);
        atomic_fetch_add(&p->done, hi - lo);
        t = atomic_load(&p->ticket);
    }
}

/* Waits until the generation is not `seen`; spins first. */
static uint32_t next_generation(struct pool *p, uint32_t seen) {
    double until = p->spin ? clock_now() + SPIN_SECONDS : 0;
    for (int i = 0; p->spin; i++) {
        uint32_t g = (uint32_t)(atomic_load(&p->ticket) >> 32);
        if (g != seen || atomic_load(&p->quit)) return g;
        relax();
        if (i % 64 == 63 && clock_now() > until) break;
    }
    pthread_mutex_lock(&p->lock);
    atomic_fetch_add(&p->sleepers, 1);
    while ((uint32_t)(atomic_load(&p->ticket) >> 32) == seen && !atomic_load(&p->quit)) pthread_cond_wait(&p->wake, &p->lock);
    atomic_fetch_sub(&p->sleepers, 1);
    pthread_mutex_unlock(&p->lock);
    return (uint32_t)(atomic_load(&p->ticket) >> 32);
}

static void *worker(void *arg) {
    struct pool *p = arg;
    uint32_t seen = 0;
    denormal_off();
    for (;;) {
        seen = next_generation(p, seen);
        if (atomic_load(&p->quit)) return NULL;
        work(p, seen);
    }
}

static void wake_all(struct pool *p) {
    if (atomic_load(&p->sleepers) == 0) return;
    pthread_mutex_lock(&p->lock);
    pthread_cond_broadcast(&p->wake);
    pthread_mutex_unlock(&p->lock);
}

struct pool *pool_new(int threads, struct err *e) {
    int cores = thread_cores();
    struct pool *p = X_NEW(struct pool, 1);
    p->threads = threads <= 0 ? cores : threads;
    p->spin = p->threads <= cores;
    p->worker = X_NEW(pthread_t, (size_t)p->threads);
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->wake, NULL);
    for (int i = 0; i + 1 < p->threads; i++) {
        char name[16];
        snprintf(name, sizeof name, "hone-pool-%d", (i + 1) % 1000);
        if (thread_start(&p->worker[i], name, worker, p, e) < 0) {
            p->threads = i + 1;
            pool_free(p);
            return NULL;
        }
    }
    return p;
}

void pool_free(struct pool *p) {
    if (!p) return;
    pthread_mutex_lock(&p->lock);
    atomic_store(&p->quit, true);
    pthread_cond_broadcast(&p->wake);
    pthread_mutex_unlock(&p->lock);
    for (int i = 0; i + 1 < p->threads; i++) pthread_join(p->worker[i], NULL);
    pthread_cond_destroy(&p->wake);
    pthread_mutex_destroy(&p->lock);
    free(p->worker);
    free(p);
}

int pool_threads(const struct pool *p) { return p ? p->threads : 1; }

void pool_run(struct pool *p, int64_t tiles, pool_fn fn, void *ctx) {
    if (tiles <= 0) return;
    if (!p || p->threads == 1 || tiles == 1) {
        fn(ctx, 0, tiles);
        return;
    }
    if (tiles > INT32_MAX) BUG("%lld tiles in one run", (long long)tiles);
    uint32_t gen = (uint32_t)(atomic_load(&p->ticket) >> 32) + 2;
    int64_t chunk = tiles / (8 * p->threads);
    /* The odd generation between is closed: a late worker that already sees the new tiles cannot take one with the old ticket. */
    atomic_store(&p->ticket, (uint64_t)(gen - 1) << 32 | 0xffffffffu);
    atomic_store(&p->fn, fn);
    atomic_store(&p->ctx, ctx);
    atomic_store(&p->tiles, tiles);
    atomic_store(&p->chunk, chunk > 0 ? chunk : 1);
    atomic_store(&p->done, 0);
    atomic_store(&p->ticket, (uint64_t)gen << 32);
    wake_all(p);
    work(p, gen);
    for (int i = 0; atomic_load(&p->done) < tiles; i++) {
        if (i < 4096) relax();
        else sched_yield();
    }
}
