/* Fixed workloads, timed: models, data and step are those of real training. Engine thread. */
#ifndef HONE_ENGINE_CMDS_BENCH_WORK_H
#define HONE_ENGINE_CMDS_BENCH_WORK_H

#include "engine/cpu/pool.h"
#include "src/base/err.h"
#include "src/base/val.h"

/* The token batch of the benches: id i has weight 1/(i + 2.7), drawn by a linear congruential generator from 7. */
void bench_zipf(int32_t *ids, int64_t n, int32_t vocab);
extern const char *const bench_names[]; /* NULL-terminated */
bool bench_fits(const char *name); /* false: its precision is not there where runs compute */
/* Times one workload with `rows` of its rows a step (0: its own number) for about `seconds` of steps: {event, work, rows if given, threads or device, ms
 * (median), min, max, n, yard_gflops, flop, of_yard, bytes_peak}; on a device without the yard.
 * stop (may be NULL) is asked now and then; nonzero ends it with ERR_STOPPED. nodes (may be NULL): gets a list with {op, path, ms, flop, macs} of one step
 * for each node. */
struct val *bench_work(const char *name, int64_t rows, struct pool *pool, double seconds, int (*stop)(void *ctx), void *ctx, struct val **nodes, struct err *e);

#endif
