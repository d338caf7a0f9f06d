/* A fixed pyramid of min/max/mean/count/non-finite per bucket of 2^k steps: at most 64 kB whatever the length, and a
 * one-step spike in 10,000,000 steps stays visible. Not thread-safe: the run record's lock protects it. */
#ifndef HONE_RUN_SERIES_H
#define HONE_RUN_SERIES_H

#include "src/run/record.h"

struct series;
struct series *series_new(const char *name);
struct series *series_copy(const struct series *s);
void series_free(struct series *s);
const char *series_name(const struct series *s);
void series_add(struct series *s, int64_t step, double v); /* steps do not go back */
size_t series_read(const struct series *s, struct bucket *out, size_t n, int *k);
size_t series_window(const struct series *s, int64_t from, int64_t to, struct bucket *out, size_t n);
double series_last(const struct series *s, int64_t *step);
/* Relative change of the mean of the last tenth of the steps against the tenth before; NAN: unknown. */
double series_trend(const struct series *s);
/* An exponential moving average with start-up correction: sum (1-w) w^(i-j) x_j / (1 - w^(i+1)) over the finite x. */
struct ema {
    double sum, left; /* left: w to the power of the values seen */
};
#define EMA_START \
    { 0, 1 }
double ema_next(struct ema *m, double x, double w); /* w in [0, 1); NAN before the first finite value */
/* Its last value over the buckets of the whole run (one step each up to 1,024 steps, then 2, 4, ..). NAN: empty. */
double series_smooth(const struct series *s, double w);
size_t series_bytes(const struct series *s);

struct series_ends { /* exact, over the finite values; steps -1: there were none */
    double value, lo, hi; /* value: the last one, finite or not */
    int64_t step, lo_step, hi_step; /* the first step with that value; step: of value */
    int64_t count, bad;
};
void series_ends(const struct series *s, struct series_ends *out);
/* The pyramid of the whole run as bytes for a file, and back. What is unpacked goes on with series_add; its windows have the resolution of the whole. */
#define SERIES_HEAD 96
void series_pack(const struct series *s, struct buf *out);
struct series *series_unpack(const char *name, const void *p, size_t n); /* NULL: not what series_pack writes */

/* By the metric's name: 1 larger is better (accuracies and their like), -1 smaller is (losses, errors, times), 0 neither (lr, grad_norm ..). */
int metric_direction(const char *name);

#endif
