/* What a model is worth on this machine: accuracy on a part, bytes on disk, and its time, alone or beside another model's, interleaved so that both see the
 * same machine. Engine thread. */
#ifndef HONE_ENGINE_COMPRESS_MEASURE_H
#define HONE_ENGINE_COMPRESS_MEASURE_H

#include "engine/train/eval.h"
#include "engine/train/precision.h"

enum { SPEED_ONE, SPEED_MANY, SPEEDS }; /* batches of 1 and of 32 rows */
#define SPEED_ROWS 32

/* Where it is measured. */
struct bed {
    const struct part *part; /* rows as the models take them, with a target; borrowed */
    struct pool *pool;
    struct backend_device *device; /* models run there; NULL: on the CPU */
    double seconds; /* for one pair of models, or a model alone, at one batch size, about */
    bool (*stop)(void *ctx); /* asked between samples; may be NULL */
    void (*phase)(void *ctx, const char *what, int64_t done, int64_t total); /* may be NULL */
    /* Seconds of one run of model a (which 0) or b (1) on `rows` rows from row `from`; NULL: the model is run and timed. For tests. */
    double (*timer)(void *ctx, int which, int64_t from, int64_t rows);
    double (*layer_timer)(void *ctx, bool i8, int64_t rows, int64_t out, int64_t in); /* likewise of a product of layers; NULL: it is run and timed */
    void *ctx;
};
struct pair_speed { /* a is the model before, b the one after */
    double a50, b50, a99, b99; /* seconds a run: medians and 99th percentiles over samples */
    double ratio, lo, hi; /* b over a: median of the pairs, its 95 % interval by order statistics */
    int n;
};
int measure_pair(const struct bed *bed, const struct model *a, const struct model *b, struct pair_speed out[SPEEDS], struct err *e);
/* b is slower than a: by more than 2 %, and not by chance. */
bool pair_slower(const struct pair_speed *p);
/* The median of n pairs' ratios b/a and its interval; sorts nothing of the caller's. */
void pair_ratio(const double *a, const double *b, int n, struct pair_speed *out);

struct speed { /* of one model */
    double p50, p90, p99; /* seconds a run: quantiles over n runs, nearest rank */
    int64_t rows; /* a run */
    int n;
};
/* One model alone, at the batch sizes whose bits are in `which` (1 << SPEED_ONE ..); pr: what it is computed in. */
int measure_alone(const struct bed *bed, const struct model *m, const struct precision *pr, unsigned which, struct speed out[SPEEDS], struct err *e);

struct worth {
    double quality; /* acc, or r2 without classes */
    struct val *values; /* metrics; the owner's */
    struct val *counts; /* the same with the confusion, as examples.h has it; the owner's */
    int32_t *guess; /* (part->n) or NULL; the owner's */
    int64_t bytes, memory; /* on disk; of weights and a run of 32 rows */
    int64_t params, macs;
};
int measure_worth(const struct bed *bed, const struct model *m, const struct loss_spec *loss, struct worth *out, struct err *e);
void worth_release(struct worth *w);

#endif
