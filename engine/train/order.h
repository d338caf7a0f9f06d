/* The order of the rows of an epoch: a function of (part, seed, epoch) alone, so a resumed run goes on in it. Loader thread; no allocation in order_make. */
#ifndef HONE_ENGINE_TRAIN_ORDER_H
#define HONE_ENGINE_TRAIN_ORDER_H

#include <stdbool.h>
#include <stdint.h>

#include "datasets/dataset.h"

struct order_spec {
    const struct part *part; /* borrowed */
    uint64_t seed;
    bool shuffle;
    bool balanced; /* every class equally often: rows of rare classes come again, of frequent ones only some */
    int64_t bucket, block; /* texts are sorted by length inside runs of `bucket` shuffled rows, then their blocks of `block` rows shuffled; 0: not */
};
struct order;
int order_check(const struct order_spec *s, struct err *e); /* what the data must have */
struct order *order_new(const struct order_spec *s);
void order_free(struct order *o);
const int64_t *order_make(struct order *o, int64_t epoch); /* part->n rows, valid until the next call */

#endif
