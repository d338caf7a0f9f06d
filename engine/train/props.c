/* What a running training lets the world read and change: live arguments of training, optimiser, loss and layers. Called at a boundary, so a change
 * takes effect with the next step. */
#include "config.h"

#include <math.h>
#include <string.h>

#include "engine/train/parallel.h"
#include "engine/train/train.h"

static const struct arg dropout_arg = {"p", "share of values set to 0", NULL, NULL, ARG_NUM, 0, ARG_LIVE, AT_STEP, 0, 0.999};

/* The loader and, where the plan is too small, the step are made for the new batch. */
static int set_batch(struct train *t, const struct val *v, struct err *e) {
    int64_t old = t->a.batch;
    if (args_set(&train_kind, &t->a, "batch", v, e) < 0) return -1;
    if (t->a.batch <= t->planned_batch) {
        loader_seek(t->loader, t->epoch, t->pos, t->a.batch);
        return 0;
    }
    if (train_build_step(t, e) == 0) return 0;
    t->a.batch = old;
    return -1;
}

/* Sums over batches are nodes of the graph; they may as well sum one batch. */
static int set_accum(struct train *t, const struct val *v, struct err *e) {
    int64_t old = t->a.accum;
    if (args_set(&train_kind, &t->a, "accum", v, e) < 0) return -1;
    if (t->a.accum == 1 || t->step->first >= 0 || train_build_step(t, e) == 0) return 0;
    t->a.accum = old;
    return -1;
}

static int set_precision(struct train *t, const struct val *v, struct err *e) {
    int old = t->a.precision;
    struct precision was = t->precision;
    if (args_set(&train_kind, &t->a, "precision", v, e) < 0) return -1;
    if (train_choose_precision(t, e) == 0 && train_build_step(t, e) == 0) {
        eval_free(t->eval);
        t->eval = NULL;
        return 0;
    }
    t->a.precision = old;
    t->precision = was;
    return -1;
}

static int set_loss(struct train *t, const char *name, const struct val *v, struct err *e) {
    struct val *old = args_get(&t->loss.row->kind, t->loss.args, name);
    int rc = loss_set(&t->loss, name, v, e);
    if (rc == 0 && (rc = train_build_step(t, e)) < 0) loss_set(&t->loss, name, old, NULL);
    val_free(old);
    return rc;
}

static bool live(const struct kind *k, const char *name) {
    const struct arg *a = args_find(k, name);
    return a && (a->flags & ARG_LIVE);
}

static struct val *get(struct job *j, const char *name) {
    struct train *t = j->data;
    if (train_lr_has(name)) return train_lr_get(t, name);
    if (strcmp(name, "freeze") == 0) return val_copy(t->freeze);
    if (live(&t->optim->row->kind, name)) return args_get(&t->optim->row->kind, t->optim->args, name);
    if (live(&train_kind, name)) return args_get(&train_kind, &t->a, name);
    if (live(&t->loss.row->kind, name)) return args_get(&t->loss.row->kind, t->loss.args, name);
    double p = model_live(t->model, name);
    return isnan(p) ? NULL : val_num(p);
}

static int set(struct job *j, const char *name, const struct val *v, struct val **old, struct err *e) {
    struct train *t = j->data;
    struct val *was = get(j, name);
    double p;
    int rc;
    if (!was) return err_code(e, ERR_USAGE, "a training run has no property \"%s\"; run:props() lists them", name);
    if (train_lr_has(name)) rc = train_lr_set(t, name, v, e);
    else if (strcmp(name, "freeze") == 0) rc = train_freeze_set(t, v, e);
    else if (strcmp(name, "batch") == 0) rc = set_batch(t, v, e);
    else if (strcmp(name, "accum") == 0) rc = set_accum(t, v, e);
    else if (strcmp(name, "precision") == 0) rc = set_precision(t, v, e);
    else if (live(&t->optim->row->kind, name)) rc = args_set(&t->optim->row->kind, t->optim->args, name, v, e);
    else if (live(&train_kind, name)) rc = args_set(&train_kind, &t->a, name, v, e);
    else if (live(&t->loss.row->kind, name)) rc = set_loss(t, name, v, e);
    else if (!val_as_num(v, &p)) rc = err_code(e, ERR_USAGE, "%s must be a number, not a %s", name, val_type_name(v));
    else if ((rc = model_live_set(t->model, name, p, e)) == 0) step_live(t->step, t->model);
    if (rc < 0) {
        val_free(was);
        return -1;
    }
    if (!train_lr_has(name)) parallel_changed(t); /* the learning rate comes with each step */
    if (old) *old = was;
    else val_free(was);
    return 0;
}

typedef void (*each_fn)(void *ctx, const char *name, const struct arg *a, const struct val *v);

static void offer(struct job *j, const char *name, const struct arg *a, each_fn each, void *ctx) {
    struct val *v = get(j, name);
    if (v) each(ctx, name, a, v);
    val_free(v);
}

static void offer_kind(struct job *j, const struct kind *k, each_fn each, void *ctx) {
    for (const struct arg *a = k->args; a && a->name; a++)
        if ((a->flags & ARG_LIVE) && !train_lr_has(a->name)) offer(j, a->name, a, each, ctx);
}

static void props(struct job *j, each_fn each, void *ctx) {
    struct train *t = j->data;
    for (const struct arg *a = train_kind.args; a->name; a++)
        if (train_lr_has(a->name)) offer(j, a->name, a, each, ctx);
    offer_kind(j, &t->optim->row->kind, each, ctx);
    offer_kind(j, &t->loss.row->kind, each, ctx);
    offer_kind(j, &train_kind, each, ctx);
    if (t->step->io.n_live > 1) offer(j, "dropout", &dropout_arg, each, ctx);
    for (int i = 0; i < t->step->io.n_live; i++) offer(j, t->step->io.live[i].name, &dropout_arg, each, ctx);
}

static int checkpoint(struct job *j, struct val **result, struct err *e) {
    struct train *t = j->data;
    if (!t->writer) return err_set(e, "this run keeps nothing on disk, so there is no checkpoint");
    if (train_checkpoint(t, false, e) < 0) return -1;
    *result = val_table();
    val_set_int(*result, "step", t->n_step);
    return 0;
}

static int evaluate(struct job *j, struct val **result, struct err *e) {
    struct train *t = j->data;
    struct val *values = NULL;
    if (train_evaluate(t, &values, e) < 0) return -1;
    struct val *ev = val_copy(values);
    val_set_str(ev, "split", t->val ? "val" : "train");
    run_event(t->run, "eval", t->n_step, ev);
    *result = values;
    return 0;
}

static int look(struct job *j, struct val **result, struct err *e) {
    (void)result;
    return train_look(j->data, e);
}

static struct val *back(struct job *j, const char *name) { return train_lr_has(name) ? train_lr_back(j->data, name) : NULL; }

static struct val *ahead(struct job *j, const char *name, const struct val *v, int n, struct err *e) {
    if (train_lr_has(name)) return train_lr_ahead(j->data, name, v, n, e);
    err_set(e, "ahead: nothing is known of how %s goes on; lr, lr_scale and lr_ramp are", name);
    return NULL;
}

const struct job_ops train_ops = {set, get, props, checkpoint, evaluate, look, back, ahead};
