/* Axes whose lengths follow from those of another axis. */
#ifndef HONE_ENGINE_GRAPH_DERIVE_H
#define HONE_ENGINE_GRAPH_DERIVE_H

#include "engine/graph/graph.h"

/* The axis of every stride-th token of ragged t, and its offsets (R+1); one for each pair of offsets and stride. -1: no axis is left. */
int derive_strided(struct graph *g, tid t, int64_t stride, tid *offsets, struct err *e);
/* The axis of the frames of dense rows (R, count, D), and its offsets (R+1); one for each count. */
int derive_frames(struct graph *g, tid t, int64_t count, tid *offsets, struct err *e);
/* Fills the derived axes from the totals of the others: of one text, or the most there can be. */
void derive_extents(const struct graph *g, struct extents *x, bool most);
/* The same from the offsets of this batch. */
void derive_count(const struct graph *g, struct extents *x, const int32_t *(*data)(const void *ctx, tid t), const void *ctx);

#endif
