/* A step whose loss or gradient was not finite: it was not applied; the first tensor that is to blame is found by running its batches once more, and the
 * policy of the settings says how to go on. */
#include "config.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "engine/graph/backend.h"
#include "engine/train/train.h"
#include "src/base/log.h"
#include "src/base/thread.h"
#include "src/call/settings.h"

#define ANSWER_S 1.0 /* a script may still be about to hook alerts */
#define BAD_ROW 100 /* refused steps in a row that end a run whose policy is skip */

static bool finite_block(const float *p, int64_t n) {
    for (int64_t i = 0; i < n; i++)
        if (!isfinite(p[i])) return false;
    return true;
}

/* The first tensor of batch `number` in forward and backward order that is not finite: an input, a parameter, or a layer's output. False: all are. */
static bool find_first(struct train *t, const struct batch *b, int64_t number, char *out, size_t size) {
    for (int i = 0; i < t->step->io.n_in; i++)
        if (t->part->col[i].type != COL_TOKENS && t->part->col[i].type != COL_I32 && !finite_block(b->col[i].data, b->rows * t->part->col[i].width)) {
            snprintf(out, size, "input %s", t->part->col[i].name);
            return true;
        }
    mirror_read(t->model->data);
    for (int i = 0; i < t->model->n_param; i++)
        if (!finite_block((const float *)((const char *)t->model->data + t->model->param[i].offset), t->model->param[i].len)) {
            snprintf(out, size, "%s", t->model->param[i].name);
            return true;
        }
    struct step_spec ss = {.model = t->model,
        .loss = &t->loss,
        .optim = t->optim,
        .pool = t->pool,
        .seed = (uint64_t)t->a.seed,
        .scan = true,
        .mixed = t->a.mixup > 0,
        .half = t->precision.half,
        .products = &t->products,
        .rows = b->rows};
    memcpy(ss.tokens, b->tokens, sizeof b->tokens);
    struct err e = {0};
    struct step *s = step_new(&ss, &e);
    const struct node *n = NULL;
    if (s) {
        s->loss_scale = t->step->loss_scale;
        struct extents y = step_load(s, t->part, b);
        double h[CTL_N];
        struct step_result r;
        optimiser_hyper(t->optim, 0, 0, 0, h);
        h[CTL_OK] = 0; /* look, change nothing */
        if (step_run(s, &y, (uint64_t)number, h, &r, &e) == 0) n = plan_first_nonfinite(s->plan, &y);
    }
    snprintf(out, size, "%s", n ? n->path : "an unknown layer");
    step_free(s);
    return n != NULL;
}

/* The same over all batches of a step, which are read again if there were several. b: the last of them. */
static void find_in_group(struct train *t, const struct batch *b, const struct group *g, char *out, size_t size) {
    if (g->n == 1) {
        find_first(t, b, t->n_micro, out, size);
        return;
    }
    loader_seek(t->loader, t->epoch, g->start, t->a.batch);
    for (int64_t i = 1; i <= g->n && (b = loader_next(t->loader)); i++)
        if (find_first(t, b, t->n_micro - g->n + i, out, size)) break;
    loader_seek(t->loader, g->last ? t->epoch + 1 : t->epoch, g->last ? 0 : g->start + g->rows, t->a.batch);
}

/* The step was refused: weights are as before it. Policy pause, stop or skip. */
int train_not_finite(struct train *t, const struct batch *b, const struct group *g, const struct step_result *r, struct err *e) {
    struct settings set;
    char layer[160];
    settings_get(&set);
    int policy = set.nonfinite;
    args_release(&settings_kind, &set);
    find_in_group(t, b, g, layer, sizeof layer);
    t->skipped++;
    t->bad_row++;
    struct buf text = BUF_INIT;
    buf_addf(&text, "step %" PRId64 " was not applied: %s is not finite, first in %s (epoch %" PRId64 ", rows %" PRId64 " to %" PRId64 ")", t->n_step + 1,
        isfinite(r->loss) ? "the gradient" : "the loss", layer, t->epoch + 1, g->start, g->start + g->rows - 1);
    struct val *v = val_table();
    val_set_str(v, "level", policy == 2 ? "warn" : "error");
    val_set_str(v, "text", text.data);
    val_set_str(v, "layer", layer);
    val_set_num(v, "loss", r->loss);
    val_set_num(v, "grad_norm", r->grad_norm);
    val_set_bool(v, "bell", true);
    if (policy == 0) { /* before the event: what answers it may resume at once */
        snprintf(t->refused, sizeof t->refused, "%s", text.data);
        t->j->pause_limit = clock_now() + ANSWER_S;
        hub_pause(t->j->hub, t->j, true);
    }
    run_event(t->run, "alert", t->n_step, v);
    if (t->bad_row == 1 && train_checkpoint(t, false, e) < 0) log_write(LOG_ERROR, "%s", e->text);
    int rc = 0;
    if (policy == 1) rc = err_code(e, ERR_GOAL, "%s; stopped by nonfinite=stop, the state before it is saved", text.data);
    else if (policy == 2 && t->bad_row >= BAD_ROW)
        rc = err_code(e, ERR_GOAL, "%s; this was the %dth refused step in a row: lower the learning rate or clip the gradient", text.data, BAD_ROW);
    buf_release(&text);
    return rc;
}

/* fp16: the gradient left its range. Not an alert: the loss scale is sought this way, and the step's data is not at fault. */
int train_overflow(struct train *t, struct err *e) {
    t->skipped++;
    t->bad_row++;
    log_write(LOG_INFO, "step %" PRId64 " was not applied: its gradient left the range of fp16 at loss_scale %g; it is %g now", t->n_step + 1,
        t->a.loss_scale * 2, t->a.loss_scale);
    if (t->bad_row < BAD_ROW) return 0;
    return err_code(e, ERR_GOAL, "step %" PRId64 " was the %dth in a row whose gradient left the range of fp16: lower the learning rate or use precision=bf16",
        t->n_step + 1, BAD_ROW);
}
