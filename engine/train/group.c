/* The batches of one step: those that this rank computes are run, gradients are summed, the update follows. Engine thread. */
#include "config.h"

#include <inttypes.h>

#include "engine/train/parallel.h"
#include "src/base/thread.h"

/* Runs the batches of a step up to its last one. Alone the last is loaded but not run, as it goes together with the update. The last step of an epoch may
 * have fewer. */
static const struct batch *run_batches(struct train *t, struct extents *x, struct group *g, struct err *e) {
    *g = (struct group){.start = t->pos};
    for (;;) {
        bool mine = parallel_mine(t, g->n);
        if (mine && t->par && parallel_next(t, e) < 0) return NULL;
        double from = clock_now();
        const struct batch *b = loader_next(t->loader);
        if (!b) {
            err_set(e, "the loader gave no batch at epoch %" PRId64 ", row %" PRId64, t->epoch, t->pos + g->rows);
            return NULL;
        }
        if (mine) *x = step_load(t->step, t->part, b);
        t->spent.data += clock_now() - from;
        t->n_micro++;
        g->n++, g->rows += b->rows, g->tokens += b->total_tokens, g->last = b->last;
        bool end = b->last || g->n >= t->a.accum;
        if (end && !t->par) return b;
        if (!t->par && step_micro(t->step, x, (uint64_t)t->n_micro, e) < 0) return NULL;
        if (t->par && parallel_batch(t, mine ? x : NULL, g->n - 1, end, e) < 0) return NULL;
        if (end) return b;
    }
}

static int run_together(struct train *t, const double *h, struct group *g, struct step_result *r, const struct batch **last, struct err *e) {
    struct extents x = t->step->max; /* of a rank that has no batch in this step */
    if (!(*last = run_batches(t, &x, g, e))) return -1;
    return step_update(t->step, &x, (uint64_t)t->n_micro, h, r, e);
}

int train_group(struct train *t, double lr, struct group *g, struct step_result *r, const struct batch **last, struct err *e) {
    double h[CTL_N];
    struct extents x;
    if (t->precision.half == DT_F16) t->step->loss_scale = t->a.loss_scale / t->loss_unit;
    optimiser_hyper(t->optim, lr, t->a.clip_norm, t->a.clip_value, h);
    if (!t->par) {
        if (!(*last = run_batches(t, &x, g, e))) return -1;
        return step_run(t->step, &x, (uint64_t)t->n_micro, h, r, e);
    }
    bool lead = parallel_lead(t);
    int64_t micro = t->n_micro;
    for (;;) {
        int rc = lead ? parallel_begin(t, lr, e) : 0;
        if (rc == 0) rc = run_together(t, h, g, r, last, e);
        if (rc == 0 || !lead || !parallel_broken(t)) return rc;
        struct err why = *e; /* nothing was updated: the step begins anew */
        t->n_micro = micro;
        t->step->begun = false;
        loader_seek(t->loader, t->epoch, t->pos, t->a.batch);
        if (parallel_again(t, why.text, e) < 0) return -1;
    }
}
