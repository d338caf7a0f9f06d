/* One training step as one graph: forward, fusion, loss, gradients, norm and gate, updates. Built and planned once, run many times without
 * allocation; also forward and loss alone for evaluation. Used by the training loop, evaluation and the bench. Engine thread. */
#ifndef HONE_ENGINE_TRAIN_STEP_H
#define HONE_ENGINE_TRAIN_STEP_H

#include "engine/graph/choose.h"
#include "engine/model/model.h"
#include "engine/optims/optim.h"
#include "engine/train/loss.h"

#define STEP_COLS 6
struct step_spec {
    const struct model *model; /* borrowed; its data is updated in place */
    const struct loss_spec *loss; /* borrowed; NULL: forward only, no target */
    struct optimiser
        *optim; /* borrowed; NULL: evaluation, nothing is updated. Its layout and state are made by step_new; optimiser_settle ends the life of those before */
    struct backend_device *device; /* NULL: the CPU */
    struct pool *pool; /* NULL: the caller's thread */
    uint64_t seed; /* of dropout and the like */
    int64_t rows, tokens[STEP_COLS]; /* the largest batch: rows, and tokens of each input in order */
    enum recompute recompute; /* which activations are computed again in the backward pass */
    bool mixed; /* rows are mixed in pairs (mixup): the loss is share * that of the target + rest * that of the other target */
    enum dtype half; /* mixed precision in this type: DT_BF16, DT_F16; DT_F32: none */
    bool fp8; /* with DT_BF16, not trained: as graph.fp8 */
    struct products *products; /* borrowed: routes of its products, measured by step_new unless they are pinned; NULL: by shape */
    bool accum; /* gradients are sums over micro-batches: see step_micro */
    bool dense; /* accum: those of tables too are kept dense */
    bool reference, profile, scan; /* scan: every tensor stays valid and nothing is updated, to find a non-finite one */
};
struct step {
    struct graph *g;
    struct plan *plan;
    struct model_io io;
    tid target, class_weight, loss, weight, ctl, hyper, hits; /* -1: not there */
    tid sum_loss, sum_weight, sum_hits, first; /* accum: over the micro-batches of a step, and whether a new sum begins; -1: not there */
    tid other, share, rest; /* mixed: classes of the rows mixed in, and the two shares; -1: not there */
    tid seed; /* DT_F16: the gradient of the loss to begin with; -1: it is 1 */
    double loss_scale; /* its value, a power of two, by which updates divide; 1 at first */
    bool begun; /* a micro-batch was run since the last update */
    bool summed; /* the plan knows what is summed over devices */
    struct optimiser *optim;
    struct extents max;
    int recomputed; /* nodes that run twice */
    tid *grad; /* accum: the sums of the gradients by parameter, -1: none */
    int n_grad;
};
struct step_result {
    double loss, weight, hits, grad_norm;
    bool ok;
}; /* loss: mean; hits: rows guessed right, NAN without labels */

struct step *step_new(const struct step_spec *spec, struct err *e);
void step_free(struct step *s);
/* Where a batch goes before step_run: input i of the model, or the target. NULL: not there. */
void *step_input(const struct step *s, int i, int32_t **offsets, float **weights);
void *step_target(const struct step *s);
/* A micro-batch that is not the last of its step (spec.accum): forward and backward, gradients are added, nothing is updated. */
int step_micro(struct step *s, const struct extents *now, uint64_t number, struct err *e);
/* The same for the last one of this of several joined devices: gradients, loss, weight and hits become those of all of them. now NULL: this one has none in
 * this step. */
int step_micro_summed(struct step *s, const struct extents *now, uint64_t number, struct err *e);
/* Runs it, with accum as the last micro-batch of its step: loss, weight and hits are those of all of them.
 * number: the step's number, of which random layers are a function. hyper: CTL_N control numbers, of which
 * the optimiser has those of more groups (NULL: evaluation). */
int step_run(struct step *s, const struct extents *now, uint64_t number, const double *hyper, struct step_result *out, struct err *e);
/* With accum, when all batches of a step went through step_micro: the update alone, on the sums as they stand. n: number of its last batch. */
int step_update(struct step *s, const struct extents *now, uint64_t n, const double *hyper, struct step_result *out, struct err *e);
const float *step_output(const struct step *s, const struct extents *now, int64_t *rows, int64_t *width); /* logits of the last run */
bool step_has_frames(const struct step *s); /* the output is an answer for each frame: (rows, frames, classes) or packed */
/* Row r of the last run where the output is an answer for each frame: its logits (frames, classes). */
const float *step_frames(const struct step *s, const struct extents *now, int64_t r, int64_t *frames, int64_t *classes);
size_t step_memory(const struct step *s, struct val **report); /* bytes in all; *report (may be NULL): a table by role */
/* Extents of a batch: rows, and tokens of each ragged input in order. */
struct extents step_extents(const struct step *s, int64_t rows, const int64_t *tokens, int n_tokens);
/* Live values of the layers (dropout p) as the model's description has them now. */
void step_class_weights(struct step *s, const struct loss_spec *l); /* where the loss has them */
void step_live(struct step *s, const struct model *m);

#endif
