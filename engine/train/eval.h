/* Evaluation of a model on a part: forward and loss alone, a tally, metrics. Prepared once, run as often as wanted. Engine thread. */
#ifndef HONE_ENGINE_TRAIN_EVAL_H
#define HONE_ENGINE_TRAIN_EVAL_H

#include "engine/metrics/metric.h"
#include "engine/train/examples.h"
#include "engine/train/loader.h"
#include "engine/train/step.h"

struct eval_spec {
    const struct model *model; /* borrowed */
    const struct part *part; /* borrowed */
    const struct loss_spec *loss; /* borrowed */
    struct backend_device *device; /* as step_spec.device */
    struct pool *pool;
    enum dtype half; /* as step_spec.half */
    bool fp8; /* likewise */
    struct products *products; /* likewise; NULL: its own */
    int64_t batch, batch_tokens; /* batch 0: 256, fewer where texts are long */
    bool probabilities; /* keep them, for auroc, ap, log_loss, brier, ece */
    bool guesses; /* keep the guess of every row */
    bool examples; /* collect what examples.h shows */
};
struct eval;
struct eval *eval_new(const struct eval_spec *spec, struct err *e);
void eval_free(struct eval *v);
/* Evaluates these weights from here on, laid out as the model's, which they were until now. */
void eval_weights(struct eval *v, const float *data);
/* One pass. stop (may be NULL) is asked between batches; true ends it early with ERR_STOPPED. */
typedef bool (*eval_stop)(void *ctx, int64_t done, int64_t total);
int eval_run(struct eval *v, eval_stop stop, void *ctx, struct err *e);
const struct tally *eval_tally(const struct eval *v);
const int32_t *eval_guesses(const struct eval *v); /* (part->n), in the order of the part; NULL if not kept */
enum { EVAL_PROBABILITIES = 64 << 20 }; /* numbers that are kept at most */
struct examples *eval_examples(const struct eval *v); /* of the last run; NULL: not asked for */
size_t eval_memory(const struct eval *v);
/* Copies a batch to where a step reads it; its extents. */
struct extents step_load(const struct step *s, const struct part *part, const struct batch *b);
/* The same for the batch after the one that runs (plan_meanwhile): its inputs go ahead, and step_load finds them there. */
void step_load_ahead(const struct step *s, const struct part *part, const struct batch *b);
/* The data columns must fit the model: number, kind, width of the inputs and the target. step_check_inputs: kind and width of as many columns as the model has
 * inputs, where that many are there. step_load trusts that one of them said yes. */
int step_check_inputs(const struct step *s, const struct part *part, struct err *e);
int step_check(const struct step *s, const struct part *part, const struct loss_spec *loss, struct err *e);
/* To learn from: each target that is a sequence must fit into the frames of its row, else the first that does not is named; with zero_infinity of the loss a
 * warning counts them. */
int step_fits(const struct step *s, const struct part *part, const struct loss_spec *loss, struct err *e);

#endif
