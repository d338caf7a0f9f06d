/* A fixed pyramid of min/max/mean/count/non-finite per bucket of 2^k steps: at most 64 kB whatever the length, and a
 * one-step spike in 10,000,000 steps stays visible. Not thread-safe: the run record's lock protects it. */
#ifndef HONE_RUN_SERIES_H
#define HONE_RUN_SERIES_H

#include "src/run/record.h"

struct series;
struct series *series_new(const char *name);
void series_free(struct series *s);
const char *series_name(const struct series *s);
void series_add(struct series *s, int64_t step, double v); /* steps do not go back */
size_t series_read(const struct series *s, struct bucket *out, size_t n, int *k);
size_t series_window(const struct series *s, int64_t from, int64_t to, struct bucket *out, size_t n);
double series_last(const struct series *s, int64_t *step);
/* Relative change of the mean of the last tenth of the steps against the tenth before; NAN: unknown. */
double series_trend(const struct series *s);
size_t series_bytes(const struct series *s);

#endif
