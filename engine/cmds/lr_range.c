/* The command lr_range. */
#include "config.h"

#include "engine/train/lr_range.h"

#include "engine/cmds/pick.h"
#include "src/call/cmd.h"

#define A(name, help, def, type, field, ...) \
    { name, help, NULL, def, type, offsetof(struct lr_range_args, field), __VA_ARGS__ }
static const struct arg table[] = {
    A("model", "a model, its name or path, as hone.train takes it; the newest if not given. It is copied and stays as it is", NULL, ARG_VAL, model,
        ARG_POSITIONAL, 0, 0, 0, NULL, SRC_MODEL),
    A("data", "a data set, a name, a path, or {NAME, val=N, ..} with the arguments of hone.data; the newest if not given", NULL, ARG_VAL, data, 0, 0, 0, 0,
        NULL, SRC_DATA),
    A("from", "first learning rate", "1e-7", ARG_NUM, from, 0, 0, 1e-30, 1e6),
    A("to", "last learning rate, if the loss does not diverge before", "1", ARG_NUM, to, 0, 0, 1e-30, 1e6),
    A("steps", "steps from the first to the last", "100", ARG_INT, steps, 0, 0, 4, 1e9),
    A("batch", "rows of a step", "32", ARG_INT, batch, 0, 0, 1, 1e9),
    A("batch_tokens", "at most so many tokens in a step", "0", ARG_INT, batch_tokens, 0, 0, 0, 1e12),
    A("optim", "optimiser: a name or optim.NAME{..}; adam if not given", NULL, ARG_VAL, optim, 0),
    A("loss", "loss: a name or loss.NAME{..}; by the data if not given", NULL, ARG_VAL, loss, 0),
    A("smooth", "share of the running mean that each step keeps", "0.9", ARG_NUM, smooth, 0, 0, 0, 0.999),
    A("diverge", "ends the test when the smoothed loss is so many times its least value", "4", ARG_NUM, diverge, 0, 0, 1, 1e9),
    A("seed", "seed of order and dropout; the session's if not given", NULL, ARG_INT, seed, 0, 0, 0, 9e15),
    A("name", "name of the run that draws the curve", NULL, ARG_STR, name, 0),
    {NULL},
};

static int lr_range_job(struct job *j, const void *args, struct err *e) {
    const struct lr_range_args *a = args;
    struct pair p;
    int rc = pick_pair_training(j, a->model, a->data, &p, e);
    if (rc == 0) rc = lr_range_run(j, a, p.m, p.d, e);
    if (p.d) dataset_unref(p.d);
    return rc;
}

extern const struct cmd cmd_lr_range;
const struct cmd cmd_lr_range = {{"lr_range", "learning rate range test: the loss while the rate grows, on a copy of the model, and a rate to begin with",
                                     "r = hone.lr_range{ model = m, data = d }", table, sizeof(struct lr_range_args)},
    OWNER_ENGINE, CMD_WAIT | CMD_LINE, NULL, lr_range_job};
