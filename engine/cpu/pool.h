/* The one thread pool. Work is cut into tiles by shape only; which thread runs which tile is left to chance, so bits do not
 * depend on the number of threads. n == 1: the caller's thread, no other thread exists. */
#ifndef HONE_ENGINE_CPU_POOL_H
#define HONE_ENGINE_CPU_POOL_H

#include <stdint.h>

#include "src/base/err.h"

struct pool;
typedef void (*pool_fn)(void *ctx, int64_t lo, int64_t hi);
struct pool *pool_new(int threads, struct err *e); /* threads <= 0: all this process may use */
void pool_free(struct pool *p);
int pool_threads(const struct pool *p);
/* Runs fn over tiles [0, tiles); returns when all are done. Only one thread may call at a time. p NULL: here. */
void pool_run(struct pool *p, int64_t tiles, pool_fn fn, void *ctx);

#endif
