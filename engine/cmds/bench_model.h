/* Timing a user's model: latency of single rows, throughput of batches. Engine thread. */
#ifndef HONE_ENGINE_CMDS_BENCH_MODEL_H
#define HONE_ENGINE_CMDS_BENCH_MODEL_H

#include "engine/compress/measure.h"
#include "engine/train/precision.h"

/* Rows of the shapes that the model's inputs have, made up: texts of the length the model keeps (128 tokens where it says none), ids and numbers at random. */
struct part *bench_rows(const struct model *m); /* part_free */
enum bench_scenario { SCENARIO_SINGLE, SCENARIO_BATCH };
extern const char *const bench_scenarios[]; /* NULL-terminated */
/* {event, model, data, threads, precision, p50_ms, p90_ms, p99_ms of single rows, batch, examples_s of batches, params, macs, bytes on disk, n_single,
 * n_batch}; scenario below 0: both. data: its name, or NULL where rows are made up. */
struct val *bench_model(const struct bed *bed, const struct model *m, const struct precision *pr, int scenario, const char *data, struct err *e);

#endif
