/* Data parallel training: the batches of a step are dealt to the ranks, gradients are summed, every rank makes the same update. Rank 0 is the run:
 * schedule, edits, evaluation, checkpoints and the world are its own; the others are told what a checkpoint would hold, then the learning rate of each step.
 * Engine thread. */
#ifndef HONE_ENGINE_TRAIN_PARALLEL_H
#define HONE_ENGINE_TRAIN_PARALLEL_H

#include "engine/train/train.h"

/* As the arguments say, before the step is built: with accum=1 the batch is cut into as many parts as there are ranks. */
int parallel_start(struct train *t, struct err *e);
void parallel_stop(struct train *t);
void parallel_changed(struct train *t); /* something was edited: the others are told everything again */
/* Rank 0, in a step: tells the others to take part. */
int parallel_begin(struct train *t, double lr, struct err *e);
/* Does this rank compute batch i (0, 1 ..) of a step? */
bool parallel_mine(const struct train *t, int64_t i);
/* Before a batch of this rank is loaded: one that waits to be run, as it might have been the rank's last, is run. */
int parallel_next(struct train *t, struct err *e);
/* Batch i of a step, on every rank; x: it was loaded here, NULL: it is another rank's; end: it is the step's last. Runs it, at once or when it is known
 * whether this rank has another one. Once each rank has had its turn the sums of gradients, loss, weight and hits become those of all batches so far. */
int parallel_batch(struct train *t, const struct extents *x, int64_t i, bool end, struct err *e);
bool parallel_lead(const struct train *t); /* rank 0 */
bool parallel_broken(const struct train *t); /* a rank has ended or does not answer */
/* Rank 0, after a failure: the others are started anew and will be told everything again. -1: it happens too often. */
int parallel_again(struct train *t, const char *why, struct err *e);
/* The life of another rank, which ends with rank 0: -1. */
int parallel_serve(int rank, int fd, struct err *e);

#endif
