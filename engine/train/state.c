/* The training state beside the tensors, as a value in the checkpoint's metadata, and the way back. Numbers are kept exactly: JSON's shortest round-trip
 * form of a double reads back as the same double. */
#include "config.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/graph/backend.h"
#include "engine/train/train.h"
#include "src/base/log.h"
#include "src/base/mem.h"

struct val *train_state(const struct train *t) {
    struct val *v = val_table(), *s = sched_state(t->sched), *ramp = train_lr_state(t);
    val_set_str(v, "format", "hone-train");
    val_set_int(v, "version", 1);
    val_set_int(v, "step", t->n_step);
    val_set_int(v, "epoch", t->epoch);
    val_set_int(v, "pos", t->pos);
    val_set_int(v, "rows", t->part->n);
    val_set_int(v, "seed", t->a.seed);
    val_set_int(v, "epochs", t->a.epochs);
    val_set_int(v, "steps", t->a.steps);
    val_set_int(v, "micro", t->n_micro);
    val_set_int(v, "accum", t->a.accum);
    val_set_num(v, "ema", t->a.ema);
    val_set_num(v, "swa", t->a.swa);
    val_set_int(v, "swa_every", t->a.swa_every);
    if (t->average) val_set_int(v, "averaged", t->average->n);
    val_set_int(v, "batch", t->a.batch);
    val_set_int(v, "batch_tokens", t->a.batch_tokens);
    val_set_int(v, "patience", t->a.patience);
    val_set_num(v, "clip_norm", t->a.clip_norm);
    val_set_num(v, "clip_value", t->a.clip_value);
    val_set_bool(v, "shuffle", t->a.shuffle);
    val_set_int(v, "crop", t->a.crop);
    val_set_bool(v, "flip", t->a.flip);
    val_set_int(v, "cutout", t->a.cutout);
    val_set_num(v, "mixup", t->a.mixup);
    val_set_bool(v, "balanced", t->a.balanced);
    val_set_int(v, "buckets", t->a.buckets);
    val_set_int(v, "block", t->block);
    val_set_num(v, "lr_scale", t->lr_scale);
    if (ramp) val_set(v, "lr_ramp", ramp);
    val_set(v, "edits", hub_edits(t->j->hub, t->j));
    val_set(v, "optim", optimiser_val(t->optim));
    optimiser_progress(t->optim, v);
    if (val_len(t->freeze) || t->freeze->type == VAL_STR) val_set(v, "freeze", val_copy(t->freeze));
    val_set(v, "sched", sched_val(t->sched));
    if (s) val_set(v, "sched_state", s);
    val_set(v, "loss", loss_val(&t->loss));
    val_set_num(v, "best", t->best_step >= 0 ? t->best : 0);
    val_set_int(v, "best_step", t->best_step);
    val_set_int(v, "waited", t->waited);
    val_set_int(v, "due", t->due);
    val_set_num(v, "sum_loss", t->sum_loss);
    val_set_num(v, "sum_weight", t->sum_weight);
    val_set_num(v, "sum_hits", t->sum_hits);
    val_set_int(v, "skipped", t->skipped);
    val_set(v, "precision", precision_val(&t->precision));
    if (t->products.n) val_set(v, "products", choose_val(&t->products));
    if (t->precision.half == DT_F16) {
        val_set_num(v, "loss_scale", t->a.loss_scale);
        val_set_num(v, "loss_unit", t->loss_unit);
        val_set_int(v, "good", t->good);
    }
    val_set_str(v, "data", t->data->name);
    return v;
}

/* A number the run was asked for again may differ (more epochs); what decides the bits comes from the checkpoint. */
static int take_arguments(struct train *t, const struct val *v, struct err *e) {
    if (val_get_int(v, "rows", -1) != t->part->n)
        return err_set(e, "the checkpoint was made with %" PRId64 " training rows of %s, this data has %" PRId64 ": give the same data",
            val_get_int(v, "rows", -1), val_get_str(v, "data", "?"), t->part->n);
    struct optimiser *o = optimiser_new(val_get(v, "optim"), e);
    if (!o) return -1;
    optimiser_free(t->optim);
    t->optim = o;
    optimiser_restore(o, v);
    struct sched *s = sched_new(val_get(v, "sched"), e);
    if (!s) return -1;
    sched_free(t->sched);
    t->sched = s;
    sched_restore(s, val_get(v, "sched_state"));
    struct loss_spec l;
    if (loss_for(&l, val_get(v, "loss"), t->data, e) < 0) return -1;
    loss_release(&t->loss);
    t->loss = l;
    if (train_freeze(t, val_get(v, "freeze"), e) < 0) return -1;
    t->a.seed = val_get_int(v, "seed", t->a.seed);
    t->a.batch = val_get_int(v, "batch", t->a.batch);
    t->a.accum = val_get_int(v, "accum", 1);
    t->a.ema = val_get_num(v, "ema", 0);
    t->a.swa = val_get_num(v, "swa", 0);
    t->a.swa_every = val_get_int(v, "swa_every", 0);
    if (train_average_start(t, e) < 0) return -1;
    if (t->average) t->average->n = val_get_int(v, "averaged", 0), t->average->stale = true;
    if (precision_from(&t->precision, val_get(v, "precision"), e) < 0) return -1;
    if (choose_from(&t->products, val_get(v, "products"), e) < 0) return -1;
    t->a.precision = t->precision.half == DT_BF16 ? PRECISION_BF16 : t->precision.half == DT_F16 ? PRECISION_FP16 : PRECISION_FP32;
    t->a.loss_scale = val_get_num(v, "loss_scale", t->a.loss_scale);
    t->loss_unit = val_get_num(v, "loss_unit", t->loss_unit);
    t->good = val_get_int(v, "good", 0);
    if (!(t->a.loss_scale > 0) || !(t->loss_unit > 0) || t->good < 0) return err_set(e, "its loss scale is not sound: %g", t->a.loss_scale);
    t->a.batch_tokens = val_get_int(v, "batch_tokens", t->a.batch_tokens);
    t->a.clip_norm = val_get_num(v, "clip_norm", t->a.clip_norm);
    t->a.clip_value = val_get_num(v, "clip_value", t->a.clip_value);
    t->a.shuffle = val_get_bool(v, "shuffle", t->a.shuffle);
    t->a.crop = val_get_int(v, "crop", 0); /* absent in a checkpoint of before there was such a thing */
    t->a.flip = val_get_bool(v, "flip", false);
    t->a.cutout = val_get_int(v, "cutout", 0);
    t->a.mixup = val_get_num(v, "mixup", 0);
    t->a.balanced = val_get_bool(v, "balanced", false);
    t->a.buckets = val_get_int(v, "buckets", 0);
    t->block = val_get_int(v, "block", t->a.batch);
    const struct val *said = t->j ? t->j->call->args : NULL;
    if (!val_get(said, "epochs") && !val_get(said, "steps")) {
        t->a.epochs = val_get_int(v, "epochs", t->a.epochs);
        t->a.steps = val_get_int(v, "steps", t->a.steps);
    }
    if (!val_get(said, "patience")) t->a.patience = val_get_int(v, "patience", t->a.patience);
    return 0;
}

static int take_position(struct train *t, const struct val *v, struct err *e) {
    t->n_step = val_get_int(v, "step", 0);
    t->n_micro = val_get_int(v, "micro", t->n_step);
    t->epoch = val_get_int(v, "epoch", 0);
    t->pos = val_get_int(v, "pos", 0);
    train_lr_restore(t, val_get_num(v, "lr_scale", 1), val_get(v, "lr_ramp"));
    t->best = val_get_num(v, "best", 0);
    t->best_step = val_get_int(v, "best_step", -1);
    t->waited = val_get_int(v, "waited", 0);
    t->due = (int)val_get_int(v, "due", 0);
    t->sum_loss = val_get_num(v, "sum_loss", 0);
    t->sum_weight = val_get_num(v, "sum_weight", 0);
    t->sum_hits = val_get_num(v, "sum_hits", 0);
    t->skipped = val_get_int(v, "skipped", 0);
    if (t->n_step < 0 || t->epoch < 0 || t->pos < 0 || t->pos >= t->part->n || t->due < 0 || t->due > DUE_EPOCH || t->a.batch < 1 || t->a.accum < 1 ||
        t->n_micro < 0)
        return err_set(e, "its training state is not sound: step %" PRId64 ", epoch %" PRId64 ", row %" PRId64, t->n_step, t->epoch, t->pos);
    return 0;
}

/* The description holds live edits of the layers (dropout p): the model's own is replaced by the one of the checkpoint. */
static void take_live(struct train *t, const char *folder) {
    struct err e = {0};
    struct model *m = model_load(folder, &e);
    for (int i = 0; m && i < t->step->io.n_live; i++) {
        double v = model_live(m, t->step->io.live[i].name);
        if (!isnan(v)) model_live_set(t->model, t->step->io.live[i].name, v, &e);
    }
    model_free(m);
}

/* The weights of the best step, for keep=best, and their checkpoint, which stays beside the last one in this run's folder too. */
static void take_best(struct train *t, const char *folder) {
    struct err e = {0};
    if (t->best_step < 0) return;
    char *best = t->best_step == t->n_step ? mem_str(folder) : ckpt_at(folder, t->best_step);
    int rc = best ? 0 : err_set(&e, "it is not beside %s", folder);
    if (rc == 0 && t->a.keep == 1 && t->best_data) rc = ckpt_weights(best, t->model, t->best_data, &e);
    if (rc == 0 && t->writer) rc = ckpt_writer_adopt(t->writer, best, &e);
    if (rc < 0) {
        log_write(LOG_WARN, "the checkpoint of the best step, %" PRId64 ", cannot be kept: %s; the best from here on counts", t->best_step, e.text);
        if (t->a.keep == 1) t->best_step = -1;
    }
    free(best);
}

int train_state_take(struct train *t, const struct val *v, struct err *e) { return take_arguments(t, v, e) < 0 ? -1 : take_position(t, v, e); }

int train_resume(struct train *t, const char *path, struct err *e) {
    struct val *meta = NULL;
    char *folder = ckpt_find(path, &meta, e);
    if (!folder) return -1;
    int rc = train_state_take(t, meta, e);
    if (rc == 0) rc = train_build_step(t, e); /* again: optimiser, loss, batch and position are those of the checkpoint */
    if (rc == 0) rc = ckpt_load(folder, t->model, t->optim, t->average && t->average->n > 0 ? t->average->data : NULL, e);
    if (t->average) mirror_wrote(t->average->data);
    if (rc == 0) {
        take_best(t, folder);
        take_live(t, folder);
        hub_edits_restore(t->j->hub, t->j, val_get(meta, "edits"));
        step_live(t->step, t->model);
    }
    val_free(meta);
    free(folder);
    return rc;
}
