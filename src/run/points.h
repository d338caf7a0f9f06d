/* Points of metrics.bin as bytes: the one place that knows how names, rows and their packed form are laid out (store.h says it). No files, no locks. */
#ifndef HONE_RUN_POINTS_H
#define HONE_RUN_POINTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "src/base/buf.h"
#include "src/run/store.h"

#define POINTS_MAX ((size_t)64 << 20) /* bytes of a record, packed or not */

void points_names(struct buf *out, const char *const *names, size_t n); /* the begin of a payload */
void points_row(struct buf *out, int64_t step, double t, double epoch, const int *ids, const double *values, size_t n); /* ids below 0 are left out */
/* names and rows as a payload: packed where that is shorter. */
void points_pack(struct buf *out, const struct buf *names, const struct buf *rows);
/* All rows of a payload. 1: fn took them all, 0: it had enough, -1: the bytes are no payload. */
int points_each(const unsigned char *p, size_t n, bool (*fn)(void *ctx, const struct point *p), void *ctx);

#endif
