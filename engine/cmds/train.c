/* The command train: its arguments, and the job that trains. */
#include "config.h"

#include <string.h>

#include "engine/cmds/pick.h"
#include "engine/cmds/resume.h"
#include "engine/train/train.h"

static const char *const recomputes[] = {"none", "blocks", "auto", "light", NULL}; /* as enum recompute */
static const char *const keeps[] = {"last", "best", NULL};
#define A(name, help, def, type, field, ...) \
    { name, help, NULL, def, type, offsetof(struct train_args, field), __VA_ARGS__ }
static const struct arg table[] = {
    A("model",
        "a model, a name of the list that hone models shows, or {NAME, ARGUMENT=..}, a run, the path of a saved one or of a folder of transformers; the newest "
        "if not given",
        NULL, ARG_VAL, model, 0, 0, 0, 0, NULL, SRC_MODEL),
    A("data", "a data set, a name, a path, or {NAME, val=N, ..} with the arguments of hone.data; the newest if not given", NULL, ARG_VAL, data, 0, 0, 0, 0,
        NULL, SRC_DATA),
    A("epochs", "passes over the training part; 3 if neither epochs nor steps is given", NULL, ARG_INT, epochs, ARG_LIVE, AT_STEP, 1, 1e9),
    A("steps", "steps instead of epochs", NULL, ARG_INT, steps, ARG_LIVE, AT_STEP, 1, 1e15),
    A("batch", "rows of a step, of each of its parts with accum", "32", ARG_INT, batch, ARG_LIVE, AT_STEP, 1, 1e9),
    A("accum", "batches whose gradients are summed before a step: a step of accum x batch rows in the memory of one batch; the last of an epoch may have fewer",
        "1", ARG_INT, accum, ARG_LIVE, AT_STEP, 1, 1e6),
    A("batch_tokens", "at most so many tokens in a batch", "0", ARG_INT, batch_tokens, 0, AT_RUN, 0, 1e12),
    A("optim", "optimiser: a name or optim.NAME{..}; adam if not given", NULL, ARG_VAL, optim, 0),
    A("lr", "learning rate, the optimiser's own if not given; while a run goes on that of the next step, to which the schedule is scaled", NULL, ARG_NUM, lr,
        ARG_LIVE | ARG_LOG, AT_STEP, 0, 1e6),
    A("sched", "schedule of the learning rate, counted from the start of the run: a name or sched.NAME{..}", NULL, ARG_VAL, sched, ARG_LIVE, AT_STEP),
    A("lr_scale", "factor on what the schedule gives; 1: the schedule itself", "1", ARG_NUM, lr_scale, ARG_LIVE | ARG_LOG, AT_STEP, 0, 1e9),
    A("lr_ramp", "goes straight to another learning rate, from which the schedule goes on: {to=1e-4, steps=200}", NULL, ARG_VAL, lr_ramp, ARG_LIVE, AT_STEP),
    A("edits", "sets to make when so many steps are done, in order: {{100, \"lr\", 0.001}, ..}; each is an edit as one made by hand", NULL, ARG_TABLE, edits,
        0),
    A("freeze", "layers or parameters that are not trained: a name, with * and ? if wanted, or a list of names", NULL, ARG_VAL, freeze, ARG_LIVE, AT_REBUILD, 0,
        0, NULL, SRC_LAYER),
    A("loss", "loss: a name or loss.NAME{..}; by the data if not given", NULL, ARG_VAL, loss, 0),
    A("metric", "what best, patience and plateau look at; acc or loss by the data", NULL, ARG_STR, metric, 0, 0, 0, 0, NULL, SRC_METRIC),
    A("patience", "evaluations without progress before the run ends; 0: never", "0", ARG_INT, patience, ARG_LIVE, AT_STEP, 0, 1e9),
    A("min_delta", "progress that counts", "0", ARG_NUM, min_delta, ARG_LIVE, AT_STEP, 0, 1e9),
    A("clip_norm", "largest norm of the whole gradient; 0: no limit", "0", ARG_NUM, clip_norm, ARG_LIVE, AT_STEP, 0, 1e9),
    A("clip_value", "largest element of the gradient; 0: no limit", "0", ARG_NUM, clip_value, ARG_LIVE, AT_STEP, 0, 1e9),
    A("eval_every", "steps between evaluations; 0: at the end of each epoch", "0", ARG_INT, eval_every, ARG_LIVE, AT_STEP, 0, 1e15),
    A("ckpt_every", "steps between checkpoints; 0: at the end of each epoch", "0", ARG_INT, ckpt_every, ARG_LIVE, AT_STEP, 0, 1e15),
    A("recompute",
        "what the backward pass computes again to the same bits instead of keeping it: the insides of blocks, of parts chosen for the least memory (auto), "
        "outputs of activations (light)",
        "none", ARG_ENUM, recompute, 0, AT_RUN, 0, 0, recomputes),
    A("ema", "moving average of the weights with this decay, 0.999 for example: evaluated, kept in checkpoints, and what the model has at the end; 0: none",
        "0", ARG_NUM, ema, 0, AT_RUN, 0, 0.9999999),
    A("swa",
        "plain mean of the weights from this epoch on (2.5: from the middle of the third), used as with ema; running statistics are taken anew for it; 0: none",
        "0", ARG_NUM, swa, 0, AT_RUN, 0, 1e9),
    A("swa_every", "steps between the weights that swa takes; 0: at the end of each epoch", "0", ARG_INT, swa_every, 0, AT_RUN, 0, 1e15),
    A("look_every",
        "steps between looks at the layers: ranges of values and gradients, dead units, histograms; each costs a forward and backward pass of a small batch; "
        "0: "
        "only when asked, as the Model screen does",
        "0", ARG_INT, look_every, ARG_LIVE, AT_STEP, 0, 1e15),
    A("keep", "weights the model has at the end", "last", ARG_ENUM, keep, 0, AT_RUN, 0, 0, keeps),
    A("precision", PRECISION_HELP, "fp32", ARG_ENUM, precision, ARG_LIVE, AT_STEP, 0, 0, precision_names),
    A("force_precision", PRECISION_FORCE_HELP, "false", ARG_BOOL, force_precision, 0, AT_RUN),
    A("loss_scale",
        "precision=fp16: factor on the loss while gradients are made; doubles after 2000 steps in a row, halves with each step whose gradient overflows",
        "65536", ARG_NUM, loss_scale, ARG_LIVE | ARG_LOG, AT_STEP, 1e-9, 1e30),
    A("shuffle", "a new order each epoch", "true", ARG_BOOL, shuffle, 0, AT_RUN),
    A("balanced", "draws every class equally often", "false", ARG_BOOL, balanced, 0, AT_RUN),
    A("buckets", "rows, out of the shuffled ones, whose texts are sorted by length before batches are cut; 0: none", "0", ARG_INT, buckets, 0, AT_RUN, 0, 1e9),
    A("crop", "pictures: pixels added around, of which a window of the old size is taken anywhere; 0: none", "0", ARG_INT, crop, 0, AT_RUN, 0, 4096),
    A("flip", "pictures: mirrored left to right every second time", "false", ARG_BOOL, flip, 0, AT_RUN),
    A("cutout", "pictures: side of a square somewhere in them that is set to 0; 0: none", "0", ARG_INT, cutout, 0, AT_RUN, 0, 4096),
    A("mixup", "rows are mixed in pairs, their targets too, by a share drawn from Beta(mixup, mixup); 0: not", "0", ARG_NUM, mixup, 0, AT_RUN, 0, 100),
    A("seed", "seed of order and dropout; the session's if not given", NULL, ARG_INT, seed, 0, AT_RUN, 0, 9e15),
    A("name", "name of the run; the data set's if not given", NULL, ARG_STR, name, 0),
    A("resume", "a run, its name, or the path of a checkpoint to go on from; model, data and all else that is not given are those of that run", NULL, ARG_VAL,
        resume, 0, 0, 0, 0, NULL, SRC_RUN),
    {NULL},
};
const struct kind train_kind = {"train", "trains a model; the run goes on in the background",
    "run = hone.train{ model = m, data = d, epochs = 3, optim = optim.adam{ lr = 1e-3 } }", table, sizeof(struct train_args)};

static int train_job(struct job *j, const void *args, struct err *e) {
    (void)args;
    return train_with(j, resume_args(j, e), e); /* more than args: what a run that is resumed was made with */
}

int train_with(struct job *j, struct val *args_take, struct err *e) {
    struct train_args a;
    memset(&a, 0, sizeof a);
    int parsed = args_take ? args_parse(&train_kind, args_take, &a, e) : -1;
    val_free(args_take);
    if (parsed < 0) return -1;
    if (a.epochs == ARG_NONE_INT) a.epochs = 0;
    if (a.steps == ARG_NONE_INT) a.steps = 0;
    struct pair p;
    int rc = pick_pair_training(j, a.model, a.data, &p, e);
    if (rc == 0) rc = train_run(j, &a, p.m, p.d, e);
    if (p.d) dataset_unref(p.d);
    args_release(&train_kind, &a);
    return rc;
}

extern const struct cmd cmd_train;
const struct cmd cmd_train = {{"train", "trains a model; the run goes on in the background",
                                  "run = hone.train{ model = m, data = d, epochs = 3, optim = optim.adam{ lr = 1e-3 } }", table, sizeof(struct train_args)},
    OWNER_ENGINE, CMD_LINE, NULL, train_job};
