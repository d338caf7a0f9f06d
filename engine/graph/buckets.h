/* What devices sum among themselves behind a backward pass, in buckets: gradients in the order in which they become final, so that a bucket is summed while
 * the steps behind it run. Cut by the plan alone, so that every device and every run has the same ones. */
#ifndef HONE_ENGINE_GRAPH_BUCKETS_H
#define HONE_ENGINE_GRAPH_BUCKETS_H

#include "engine/graph/plan_priv.h"

#define BUCKETS_MAX 8
struct buckets {
    int n, n_piece;
    struct bucket {
        int step; /* its pieces are final behind this one */
        int first, n; /* in at, len */
    } bucket[BUCKETS_MAX];
    float **at; /* pieces: addresses on the device */
    int64_t *len;
};
/* t: float tensors of no axis that moves, -1: none, each written by steps up to phase `to`. The plan has its memory on the device. */
struct buckets *buckets_new(const struct plan *p, const tid *t, int n, enum phase to);
void buckets_free(struct buckets *b);

#endif
