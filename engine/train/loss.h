/* Losses: const rows that append nodes giving a sum and a weight; the division happens once a step, in the gate before the update. Engine thread. */
#ifndef HONE_ENGINE_TRAIN_LOSS_H
#define HONE_ENGINE_TRAIN_LOSS_H

#include "datasets/dataset.h"
#include "engine/graph/graph.h"
#include "src/base/args.h"

struct loss {
    struct kind kind; /* first */
    bool labels; /* the target is one label a row (i32) */
    bool sequence; /* it is a sequence of classes a row (i32), which the output gives for each frame; else values of the output's shape */
    int (*build)(struct graph *g, const void *args, tid out, tid target, tid class_weight, tid *sum, tid *weight, struct err *e);
};
struct loss_spec { /* a loss with its arguments */
    const struct loss *row;
    void *args;
    struct val *weights; /* class weights, a list of numbers, borrowed from args; NULL: none */
    int64_t longest; /* sequences: labels a row, of which those behind the end are -1 */
};
/* spec: NULL (by the data: cross_entropy with classes, else mse), "mse", {loss="cross_entropy", label_smoothing=0.1}. */
int loss_init(struct loss_spec *l, const struct val *spec, bool has_classes, struct err *e);
/* The same for the target of a data set: without a spec ctc where it is sequences. */
int loss_for(struct loss_spec *l, const struct val *spec, const struct dataset *d, struct err *e);
void loss_release(struct loss_spec *l);
struct val *loss_val(const struct loss_spec *l);
/* Changes an argument (label_smoothing): the graph has to be built again. -1: no such argument or a bad value. */
int loss_set(struct loss_spec *l, const char *name, const struct val *v, struct err *e);
extern const struct kind *const loss_kinds[]; /* for the catalogue "loss" */

/* Appends target input "y" and the loss nodes for output `out`. *target: the input, *class_weight: input (C) or -1. */
int loss_build(const struct loss_spec *l, struct graph *g, tid out, tid *target, tid *class_weight, tid *sum, tid *weight, struct err *e);
/* The same loss of the same output with another target, input "y2"; class_weight: as loss_build gave it. Label losses only. */
int loss_build_other(const struct loss_spec *l, struct graph *g, tid out, tid *target, tid class_weight, tid *sum, tid *weight, struct err *e);

#endif
