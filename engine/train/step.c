/* Building and running the step graph. */
#include "config.h"

#include "engine/train/step.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/graph/backend.h"
#include "src/base/mem.h"

/* a <- share * a + rest * b, one number each. */
static tid blend(struct step *s, tid a, tid b, struct err *e) {
    tid x = graph_add2(s->g, "mul", a, s->share, e), y = x < 0 ? -1 : graph_add2(s->g, "mul", b, s->rest, e);
    return y < 0 ? -1 : graph_add2(s->g, "add", x, y, e);
}

/* The cross-entropy with the soft target share * e_y + rest * e_other is this sum, as it is linear in the target. */
static int build_mixed(struct step *s, const struct step_spec *spec, struct err *e) {
    tid sum, weight;
    s->share = graph_scalar(s->g, "share");
    s->rest = graph_scalar(s->g, "rest");
    if (loss_build_other(spec->loss, s->g, s->io.out, &s->other, s->class_weight, &sum, &weight, e) < 0) return -1;
    if ((s->loss = blend(s, s->loss, sum, e)) < 0 || (s->weight = blend(s, s->weight, weight, e)) < 0) return -1;
    return 0;
}

static int build_forward(struct step *s, const struct step_spec *spec, struct err *e) {
    if (model_build(spec->model, s->g, &s->io, e) < 0) return -1;
    if (!spec->loss) return 0;
    if (loss_build(spec->loss, s->g, s->io.out, &s->target, &s->class_weight, &s->loss, &s->weight, e) < 0) return -1;
    if (!spec->loss->row->labels) return 0;
    if (spec->mixed && build_mixed(s, spec, e) < 0) return -1;
    s->hits = graph_attr(s->g, "accuracy_count", NULL, (tid[]){s->io.out, s->target}, 2, NULL, e);
    return s->hits < 0 ? -1 : 0;
}

/* What the optimiser knows of the parameters. */
static void optim_params(const struct model *m, struct optim_param *out) {
    for (int i = 0; i < m->n_param; i++) {
        const struct param *p = &m->param[i];
        out[i] = (struct optim_param){.name = p->name, .ndim = p->ndim, .len = p->len, .trained = p->trainable && !p->frozen, .table = p->table};
        memcpy(out[i].dim, p->dim, sizeof out[i].dim);
    }
}

/* Recompute: whatever makes these gradients and results has to be there. */
static int build_again(struct step *s, enum recompute how, const tid *grad, int n, struct err *e) {
    tid *keep = X_NEW(tid, (size_t)n + 4), results[] = {s->io.out, s->loss, s->weight, s->hits};
    memcpy(keep, results, sizeof results);
    memcpy(keep + LEN(results), grad, (size_t)n * sizeof *grad);
    s->recomputed = recompute_build(s->g, how, &s->max, keep, n + (int)LEN(results), e);
    free(keep);
    return s->recomputed < 0 ? -1 : 0;
}

static int build_sums(struct step *s, tid *grad, int n, bool dense, struct err *e) {
    for (int i = 0; i < n && dense; i++)
        if (grad[i] >= 0 && (grad[i] = grad_dense(s->g, grad[i], e)) < 0) return -1;
    s->first = graph_scalar(s->g, "first");
    if (grad_accumulate(s->g, grad, n, s->first, e) < 0) return -1;
    s->grad = X_NEW(tid, (size_t)n + 1);
    s->n_grad = n;
    memcpy(s->grad, grad, (size_t)n * sizeof *grad);
    if ((s->sum_loss = grad_sum(s->g, "loss", s->loss, s->first, e)) < 0 || (s->sum_weight = grad_sum(s->g, "weight", s->weight, s->first, e)) < 0) return -1;
    return s->hits >= 0 && (s->sum_hits = grad_sum(s->g, "hits", s->hits, s->first, e)) < 0 ? -1 : 0;
}

static int build_update(struct step *s, const struct step_spec *spec, struct err *e) {
    const struct model *m = spec->model;
    tid *want = X_NEW(tid, (size_t)m->n_param + 1), *grad = X_NEW(tid, (size_t)m->n_param + 1);
    struct optim_param *p = X_NEW(struct optim_param, (size_t)m->n_param + 1);
    optim_params(m, p);
    for (int i = 0; i < m->n_param; i++) {
        want[i] = p[i].trained ? s->io.param[i] : -1;
        grad[i] = -1;
    }
    s->g->phase = PHASE_BACKWARD;
    if (spec->half == DT_F16) s->seed = graph_scalar(s->g, "loss_scale");
    int rc = grad_build(s->g, s->loss, s->seed >= 0 ? s->seed : graph_const(s->g, 1), want, m->n_param, grad, e);
    if (rc == 0) rc = build_again(s, spec->recompute, grad, m->n_param, e);
    if (rc == 0 && spec->accum && optimiser_searches(spec->optim))
        rc = err_code(e, ERR_USAGE, "a line search computes its batch again, so a step is one batch: leave out accum");
    if (rc == 0 && spec->accum) rc = build_sums(s, grad, m->n_param, spec->dense, e);
    if (rc == 0) rc = optimiser_layout(spec->optim, p, m->n_param, s->g->real, e);
    struct dim n = {CTL_N * (rc == 0 ? spec->optim->l.n_group : 1), AXIS_ONE};
    s->g->phase = PHASE_UPDATE;
    s->hyper = graph_input(s->g, "hyper", s->g->real, &n, 1, -1);
    if (rc == 0)
        rc = optimiser_build(spec->optim, s->g, s->io.param, grad, m->n_param, s->hyper, s->first >= 0 ? s->sum_loss : s->loss,
            s->first >= 0 ? s->sum_weight : s->weight, &s->ctl, e);
    free(want);
    free(grad);
    free(p);
    return rc;
}

void step_live(struct step *s, const struct model *m) {
    for (int i = 0; i < s->io.n_live; i++) plan_scalar(s->plan, s->io.live[i].scalar, model_live(m, s->io.live[i].name));
}

void step_class_weights(struct step *s, const struct loss_spec *l) {
    float *w = plan_data(s->plan, s->class_weight);
    double v;
    if (!w || !l) return;
    for (size_t i = 0; i < val_len(l->weights); i++)
        if (val_as_num(val_at(l->weights, i), &v)) w[i] = (float)v;
}

struct step *step_new(const struct step_spec *spec, struct err *e) {
    struct step *s = X_NEW(struct step, 1);
    bool train = spec->optim != NULL;
    s->g = graph_new(DT_F32, train, spec->seed);
    s->optim = spec->optim;
    s->other = s->share = s->rest = -1;
    s->target = s->class_weight = s->loss = s->weight = s->ctl = s->hyper = s->hits = s->sum_loss = s->sum_weight = s->sum_hits = s->first = s->seed = -1;
    s->g->half = spec->half;
    s->g->fp8 = spec->fp8 && !train;
    s->g->plain = spec->device != NULL;
    s->loss_scale = 1;
    if (build_forward(s, spec, e) < 0 || fuse_forward(s->g, e) < 0) goto fail;
    s->max = step_extents(s, spec->rows, spec->tokens, STEP_COLS);
    if (train && build_update(s, spec, e) < 0) goto fail;
    tid keep[] = {s->io.out, s->loss, s->weight, s->ctl, s->hits, s->sum_loss, s->sum_weight, s->sum_hits, graph_tensor(s->g, s->io.out)->offsets};
    if (spec->device) backend_half(spec->device, s->g);
    half_store(s->g, keep, LEN(keep));
    struct plan_options o = {.device = spec->device,
        .pool = spec->pool,
        .reference = spec->reference,
        .profile = spec->profile,
        .keep = keep,
        .n_keep = LEN(keep),
        .param = spec->model->data,
        .state = train ? spec->optim->l.state : NULL,
        .no_reuse = spec->scan};
    if (spec->products && !spec->device) choose_products(spec->products, s->g, &s->max);
    s->g->products = spec->products;
    s->plan = plan_new(s->g, &s->max, &o, e);
    if (!s->plan || plan_alloc(s->plan, e) < 0) goto fail;
    step_class_weights(s, spec->loss);
    step_live(s, spec->model);
    return s;
fail:
    if (train) optimiser_settle(spec->optim, false);
    step_free(s);
    return NULL;
}

void step_free(struct step *s) {
    if (!s) return;
    plan_free(s->plan);
    graph_free(s->g);
    free(s->grad);
    free(s);
}

struct extents step_extents(const struct step *s, int64_t rows, const int64_t *tokens, int n_tokens) {
    struct extents x = {{1}};
    x.n[AXIS_R] = rows;
    x.n[AXIS_R1] = rows + 1;
    for (int i = 0; i < s->io.n_in && i < n_tokens; i++)
        if (s->io.in[i].axis >= AXIS_T0) x.n[s->io.in[i].axis] = tokens[i];
    for (int i = 0; i < s->g->n_derived; i++)
        if (s->g->derived[i].times) x.n[s->g->derived[i].axis] = rows * s->g->derived[i].times;
    return x;
}

void *step_input(const struct step *s, int i, int32_t **offsets, float **weights) {
    if (offsets) *offsets = plan_data(s->plan, s->io.in[i].offsets);
    if (weights) *weights = plan_data(s->plan, s->io.in[i].weight);
    return plan_data(s->plan, s->io.in[i].data);
}

void *step_target(const struct step *s) { return plan_data(s->plan, s->target); }

static double number(const struct step *s, tid t) {
    const float *p = plan_data(s->plan, t);
    return p ? (double)*p : NAN;
}

static void begin_micro(struct step *s, uint64_t n) {
    plan_step(s->plan, n);
    if (s->seed >= 0) plan_scalar(s->plan, s->seed, s->loss_scale);
    plan_scalar(s->plan, s->first, !s->begun);
    s->begun = true;
}

int step_micro(struct step *s, const struct extents *now, uint64_t n, struct err *e) {
    begin_micro(s, n);
    return plan_run(s->plan, now, PHASE_FORWARD, PHASE_BUFFERS, e);
}

int step_micro_summed(struct step *s, const struct extents *now, uint64_t n, struct err *e) {
    if (!s->summed) {
        tid *all = X_NEW(tid, (size_t)s->n_grad + 3);
        const tid number[] = {s->sum_loss, s->sum_weight, s->sum_hits};
        memcpy(all, s->grad, (size_t)s->n_grad * sizeof *all);
        memcpy(all + s->n_grad, number, sizeof number);
        plan_sums(s->plan, all, s->n_grad + (int)LEN(number));
        free(all);
        s->summed = true;
    }
    if (!now) return plan_sum_none(s->plan, PHASE_BUFFERS, e);
    begin_micro(s, n);
    return plan_run_summed(s->plan, now, PHASE_FORWARD, PHASE_BUFFERS, e);
}

/* A line search: the same batch again, with the same random numbers, at each point that the optimiser asks for. Running statistics moved once, before. */
static int search(struct step *s, const struct extents *now, struct err *e) {
    for (;;) {
        if (plan_run(s->plan, now, PHASE_SEARCH, PHASE_SEARCH, e) < 0) return -1;
        if (!optimiser_again(s->optim)) return 0;
        if (plan_run(s->plan, now, PHASE_FORWARD, PHASE_BACKWARD, e) < 0) return -1;
    }
}

static void set_hyper(struct step *s, const double *hyper) {
    float *h = plan_data(s->plan, s->hyper);
    if (!h || !hyper) return;
    for (int i = 0; i < CTL_N * s->optim->l.n_group; i++) h[i] = (float)(i < CTL_N ? hyper[i] : s->optim->l.hyper[i]);
    if (s->seed < 0) return;
    plan_scalar(s->plan, s->seed, s->loss_scale);
    for (int i = CTL_SCALE; i < CTL_N * s->optim->l.n_group; i += CTL_N) h[i] = (float)((double)h[i] / s->loss_scale);
}

static void result(const struct step *s, bool sums, bool updated, struct step_result *out) {
    double sum = number(s, sums ? s->sum_loss : s->loss), weight = number(s, sums ? s->sum_weight : s->weight), hits = number(s, sums ? s->sum_hits : s->hits);
    *out = (struct step_result){weight > 0 ? sum / weight : sum, weight, hits, NAN, isfinite(sum)};
    const float *c = updated ? plan_data(s->plan, s->ctl) : NULL;
    if (c) out->ok = c[CTL_OK] != 0, out->grad_norm = (double)c[CTL_NORM];
}

int step_run(struct step *s, const struct extents *now, uint64_t n, const double *hyper, struct step_result *out, struct err *e) {
    bool sums = hyper && s->first >= 0;
    set_hyper(s, hyper);
    plan_step(s->plan, n);
    if (sums) plan_scalar(s->plan, s->first, !s->begun);
    s->begun = false;
    if (plan_run(s->plan, now, PHASE_FORWARD, hyper ? PHASE_UPDATE : PHASE_FORWARD, e) < 0) return -1;
    result(s, sums, hyper != NULL, out);
    return hyper && optimiser_searches(s->optim) ? search(s, now, e) : 0;
}

int step_update(struct step *s, const struct extents *now, uint64_t n, const double *hyper, struct step_result *out, struct err *e) {
    set_hyper(s, hyper);
    plan_step(s->plan, n);
    s->begun = false;
    if (plan_run(s->plan, now, PHASE_UPDATE, PHASE_UPDATE, e) < 0) return -1;
    result(s, true, true, out);
    return 0;
}

const float *step_output(const struct step *s, const struct extents *now, int64_t *rows, int64_t *width) {
    const struct tensor *t = graph_tensor(s->g, s->io.out);
    int64_t n = tensor_len(t, now);
    *rows = t->ndim ? dim_value(t->dim[0], now) : 1;
    *width = *rows > 0 ? n / *rows : 0;
    return plan_data(s->plan, s->io.out);
}

bool step_has_frames(const struct step *s) {
    const struct tensor *t = graph_tensor(s->g, s->io.out);
    return t->offsets >= 0 ? t->ndim == 2 : t->ndim == 3;
}

const float *step_frames(const struct step *s, const struct extents *now, int64_t r, int64_t *frames, int64_t *classes) {
    const struct tensor *t = graph_tensor(s->g, s->io.out);
    const float *z = plan_data(s->plan, s->io.out);
    *classes = dim_value(t->dim[t->ndim - 1], now);
    if (t->offsets >= 0) {
        const int32_t *off = plan_data(s->plan, t->offsets);
        *frames = off[r + 1] - off[r];
        return z + off[r] * *classes;
    }
    *frames = dim_value(t->dim[1], now);
    return z + r * *frames * *classes;
}

size_t step_memory(const struct step *s, struct val **report) {
    static const char *const names[ROLE_N] = {"inputs", "scalars", "parameters", "gradients", "optimiser", "activations", "constants"};
    size_t sum = 0;
    if (report) *report = val_table();
    for (int r = 0; r < ROLE_N; r++) {
        size_t b = plan_bytes(s->plan, (enum arena_role)r);
        if (r == ROLE_STATE && s->optim) b = s->optim->l.bytes;
        sum += b;
        if (report && b) val_set_int(*report, names[r], (int64_t)b);
    }
    if (report) val_set_int(*report, "total", (int64_t)sum);
    return sum;
}
