/* The loader thread: fills the next batches while the engine computes. Order, sizes and contents of the batches are a function of (part, seed, epoch,
 * position, batch, batch_tokens, and what the order and augmentation are asked to do) alone. A row that is longer than batch_tokens makes a batch of its own;
 * the last, shorter batch of an epoch is not dropped. */
#ifndef HONE_ENGINE_TRAIN_LOADER_H
#define HONE_ENGINE_TRAIN_LOADER_H

#include <stdbool.h>
#include <stdint.h>

#include "datasets/dataset.h"
#include "engine/train/augment.h"

#define LOADER_COLS 6
struct batch {
    int64_t epoch, start, rows; /* rows [start, start + rows) of the epoch's order */
    int64_t tokens[LOADER_COLS]; /* of each column; 0: dense */
    int64_t total_tokens;
    bool last; /* ends the epoch */
    struct batch_col col[LOADER_COLS];
    int64_t *index; /* rows of the part, in order */
    uint64_t serial; /* no two batches of a process have the same */
    float share; /* mixup: of the row itself; 1: rows are not mixed */
    int32_t *other; /* mixup: classes of the rows mixed in; NULL: not asked for */
};
struct loader_spec {
    const struct part *part; /* borrowed; must outlive the loader */
    uint64_t seed;
    bool shuffle, weights; /* weights: token weights are wanted (1 where the data has none) */
    int64_t batch, batch_tokens; /* batch_tokens 0: no bound */
    int64_t epochs; /* passes to offer; 0: without end */
    struct augment_spec augment;
    bool balanced; /* every class equally often */
    int64_t bucket, block; /* as in struct order_spec */
};
/* The largest batch: rows, and tokens of each column. again: a row may come several times (balanced). */
void loader_limits(const struct part *p, int64_t batch, int64_t batch_tokens, bool again, int64_t *rows, int64_t tokens[LOADER_COLS]);

struct loader;
struct loader *loader_new(const struct loader_spec *spec, int64_t epoch, int64_t start, struct err *e); /* begins at row `start` of that epoch */
void loader_free(struct loader *l);
/* The next batch, valid until the next call; NULL: no more. */
const struct batch *loader_next(struct loader *l);
/* What loader_next would give at once, valid until it or loader_seek is called; NULL: nothing is ready. */
const struct batch *loader_peek(struct loader *l);
/* Goes on from (epoch, start) with another batch size, at most the one it was made with; what was read ahead is dropped. */
void loader_seek(struct loader *l, int64_t epoch, int64_t start, int64_t batch);

#endif
