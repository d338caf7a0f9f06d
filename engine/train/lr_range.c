/* The learning rate range test: its loop is that of a training without evaluation, schedule and checkpoint, on a copy of the model. */
#include "config.h"

#include "engine/train/lr_range.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "engine/cpu/pool.h"
#include "engine/train/eval.h"
#include "engine/train/loader.h"
#include "engine/train/step.h"
#include "src/base/mem.h"
#include "src/call/settings.h"
#include "src/run/record.h"

#define SKIP 10 /* steps at the beginning that the suggestion does not look at: the running mean has seen too little */

struct range {
    struct job *j;
    struct run *run;
    const struct lr_range_args *a;
    const struct part *part;
    struct model *model; /* the copy */
    struct loss_spec loss;
    struct optimiser *optim;
    struct pool *pool;
    struct step *step;
    struct loader *loader;
    double *smooth, mean, best; /* smoothed losses; the running mean before its correction */
    int64_t n, best_at;
    bool diverged;
};

int64_t lr_range_steepest(const double *loss, int64_t n, int64_t skip) {
    int64_t at = -1;
    double least = 0;
    for (int64_t i = skip > 1 ? skip : 1; i + 1 < n; i++) {
        double slope = (loss[i + 1] - loss[i - 1]) / 2;
        if (slope < least) least = slope, at = i;
    }
    return at;
}

static double rate(const struct lr_range_args *a, int64_t i) { return a->from * pow(a->to / a->from, (double)i / (double)(a->steps - 1)); }

static int open_range(struct range *r, const struct model *m, const struct dataset *d, struct err *e) {
    struct settings set;
    settings_get(&set);
    int threads = (int)set.threads;
    uint64_t seed = (uint64_t)(r->a->seed == ARG_NONE_INT ? set.seed : r->a->seed);
    args_release(&settings_kind, &set);
    if (r->a->from >= r->a->to) return err_code(e, ERR_USAGE, "lr_range: from (%g) must be below to (%g)", r->a->from, r->a->to);
    if (r->part->n == 0) return err_set(e, "data set %s has no training part", d->name);
    if (loss_for(&r->loss, r->a->loss, d, e) < 0 || !(r->optim = optimiser_new(r->a->optim, e))) return -1;
    if (!(r->model = model_clone(m))) return err_set(e, "there is not enough memory for a copy of the model (%zu MiB)", m->bytes >> 20);
    if (!(r->pool = pool_new(threads, e))) return -1;
    struct step_spec ss = {.model = r->model, .loss = &r->loss, .optim = r->optim, .pool = r->pool, .seed = seed};
    struct loader_spec ls = {.part = r->part, .seed = seed, .shuffle = true, .batch = r->a->batch, .batch_tokens = r->a->batch_tokens};
    loader_limits(r->part, r->a->batch, r->a->batch_tokens, false, &ss.rows, ss.tokens);
    if (!(r->step = step_new(&ss, e)) || step_check(r->step, r->part, &r->loss, e) < 0 || step_fits(r->step, r->part, &r->loss, e) < 0) return -1;
    for (int i = 0; i < r->step->io.n_in; i++) ls.weights |= r->step->io.in[i].weight >= 0;
    if (!(r->loader = loader_new(&ls, 0, 0, e))) return -1;
    r->smooth = X_NEW(double, (size_t)r->a->steps);
    return 0;
}

static void emit_start(const struct range *r, const struct dataset *d) {
    struct val *v = val_table(), *config = val_table();
    val_set_str(v, "model", val_get_str(r->model->desc, "name", "model"));
    val_set_int(v, "params", model_params(r->model));
    val_set_str(v, "device", "cpu");
    val_set_int(v, "threads", pool_threads(r->pool));
    val_set_str(v, "version", PACKAGE_VERSION);
    val_set_str(v, "data", d->name);
    val_set_int(config, "steps", r->a->steps);
    val_set_int(config, "batch", r->a->batch);
    val_set_num(config, "lr_from", r->a->from);
    val_set_num(config, "lr_to", r->a->to);
    val_set(config, "optim", optimiser_val(r->optim));
    val_set(v, "config", config);
    run_info(r->run, v);
}

static int one_step(struct range *r, struct err *e) {
    static const char *const names[] = {"loss", "loss_smooth", "lr", "grad_norm"};
    const struct batch *b = loader_next(r->loader);
    if (!b) return err_set(e, "the loader gave no batch at step %" PRId64, r->n);
    double h[CTL_N], lr = rate(r->a, r->n), keep = r->a->smooth;
    struct extents x = step_load(r->step, r->part, b);
    struct step_result s;
    optimiser_hyper(r->optim, lr, 0, 0, h);
    if (step_run(r->step, &x, (uint64_t)r->n + 1, h, &s, e) < 0) return -1;
    if (s.ok) optimiser_applied(r->optim, lr);
    r->mean = keep * r->mean + (1 - keep) * s.loss;
    double smooth = r->mean / (1 - pow(keep, (double)(r->n + 1)));
    r->diverged = !s.ok || !isfinite(smooth) || (r->n > 0 && smooth > r->a->diverge * r->best);
    if (isfinite(smooth) && (r->n == 0 || smooth < r->best)) r->best = smooth, r->best_at = r->n;
    r->smooth[r->n++] = smooth;
    r->j->step = r->n;
    run_metrics(r->run, r->n, (double)r->n * (double)r->a->batch / (double)r->part->n, names, (double[]){s.loss, smooth, lr, s.grad_norm}, LEN(names));
    run_progress(r->run, r->n, r->a->steps, r->n, r->a->steps, 0, 0);
    return 0;
}

static struct val *outcome(const struct range *r) {
    struct val *v = val_table();
    int64_t n = r->diverged ? r->n - 1 : r->n, at = lr_range_steepest(r->smooth, n, SKIP < n / 4 ? SKIP : n / 4);
    if (at >= 0) val_set_num(v, "lr", rate(r->a, at));
    if (r->n > 0) val_set_num(v, "best_lr", rate(r->a, r->best_at));
    if (r->n > 0) val_set_num(v, "best_loss", r->best);
    val_set_num(v, "from", r->a->from);
    val_set_num(v, "to", rate(r->a, r->n > 0 ? r->n - 1 : 0));
    val_set_int(v, "steps", r->n);
    val_set_bool(v, "diverged", r->diverged);
    val_set_str(v, "run", run_name(r->run));
    return v;
}

static void notice(const struct range *r, const struct val *out) {
    struct buf b = BUF_INIT;
    if (val_get(out, "lr"))
        buf_addf(&b, "the smoothed loss falls fastest at lr = %.3g and is least, %.4g, at %.3g%s", val_get_num(out, "lr", 0), r->best,
            val_get_num(out, "best_lr", 0),
            r->diverged                          ? "; above, it diverges"
            : r->best_at >= r->n - 1 - r->n / 10 ? "; it still fell at the end: try a larger `to`"
                                                 : "");
    else buf_addf(&b, "the smoothed loss falls nowhere between lr = %.3g and %.3g: no rate to suggest", r->a->from, val_get_num(out, "to", 0));
    run_say(r->run, "notice", r->n, val_get(out, "lr") ? "info" : "warn", b.data);
    buf_release(&b);
}

static int loop(struct range *r, struct err *e) {
    while (r->n < r->a->steps && !r->diverged) {
        if (job_boundary(r->j) != STOP_NONE) return err_code(e, ERR_STOPPED, "stopped at step %" PRId64 " of the range test", r->n);
        if (one_step(r, e) < 0) return -1;
    }
    return 0;
}

int lr_range_run(struct job *j, const struct lr_range_args *a, const struct model *m, struct dataset *d, struct err *e) {
    struct range r = {.j = j, .a = a, .part = &d->part[PART_TRAIN]};
    j->run = r.run = run_new(hub_runs(j->hub), a->name ? a->name : "lr-range", e);
    if (!r.run) return -1;
    run_set_state(r.run, RUN_PREPARING);
    run_log_every(r.run, 1);
    int rc = open_range(&r, m, d, e);
    if (rc == 0) {
        emit_start(&r, d);
        run_set_state(r.run, RUN_TRAINING);
        run_phase(r.run, "learning rate range test");
        rc = loop(&r, e);
    }
    if (rc == 0) {
        struct val *out = outcome(&r);
        notice(&r, out);
        run_report(r.run, "lr_range", val_copy(out));
        job_result(j, out);
        run_end(r.run, RUN_DONE, 0);
    } else if (e->code == ERR_STOPPED) run_end(r.run, RUN_STOPPED, 3);
    loader_free(r.loader);
    step_free(r.step);
    optimiser_free(r.optim);
    loss_release(&r.loss);
    pool_free(r.pool);
    model_free(r.model);
    free(r.smooth);
    return rc;
}
