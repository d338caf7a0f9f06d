/* An optimiser beside functions of a few small tensors that a test writes in C: loss and gradients go into the graph's inputs, the updates run as in
 * engine/train/step.c. */
#ifndef HONE_TESTS_ENGINE_OPTIM_FIX_H
#define HONE_TESTS_ENGINE_OPTIM_FIX_H

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/graph/op.h"
#include "engine/graph/plan.h"
#include "engine/optims/optim.h"
#include "src/base/mem.h"

enum { TRIAL_PARAMS = 5, TRIAL_ALL = 128, TRIAL_BYTES = 512 };
struct trial_shape {
    int64_t dim[4];
    int ndim, len, at; /* at: where it begins among the weights of all tensors */
};
typedef double (*trial_function)(const double *w, double *g); /* gives its value, and the gradient */

struct trial {
    struct optimiser *o;
    struct graph *g;
    struct plan *plan;
    const struct trial_shape *shape;
    int n;
    tid param[TRIAL_PARAMS], grad[TRIAL_PARAMS], hyper, loss, weight, ctl;
    char *weights;
    enum dtype real;
    double *path; /* if not NULL: the weights of each evaluation, one behind the other, room of them at most */
    int evaluations, room;
};

static inline void real_put(enum dtype real, void *to, int64_t i, double v) {
    if (real == DT_F64) ((double *)to)[i] = v;
    else ((float *)to)[i] = (float)v;
}
static inline double real_get(enum dtype real, const void *from, int64_t i) {
    return real == DT_F64 ? ((const double *)from)[i] : (double)((const float *)from)[i];
}
static inline int trial_all(const struct trial *t) { return t->shape[t->n - 1].at + t->shape[t->n - 1].len; }

static inline int trial_open(
    struct trial *t, const struct val *spec, enum dtype real, const struct trial_shape *shape, int n, const double *start, struct err *e) {
    static const char *const names[TRIAL_PARAMS] = {"p0", "p1", "p2", "p3", "p4"};
    struct optim_param p[TRIAL_PARAMS];
    struct extents x = {{1, 1, 2}};
    *t = (struct trial){.real = real, .shape = shape, .n = n, .o = optimiser_new(spec, e), .g = graph_new(real, true, 1)};
    if (!t->o) return -1;
    t->weights = mem_try(TRIAL_PARAMS, TRIAL_BYTES, "weights", e);
    for (int k = 0; k < n; k++) {
        struct dim d[4];
        p[k] = (struct optim_param){.name = names[k], .ndim = shape[k].ndim, .len = shape[k].len, .trained = true};
        for (int j = 0; j < shape[k].ndim; j++) d[j] = (struct dim){p[k].dim[j] = shape[k].dim[j], AXIS_ONE};
        t->param[k] = graph_param(t->g, names[k], real, d, shape[k].ndim, (size_t)k * TRIAL_BYTES, true);
        t->grad[k] = graph_input(t->g, "g", real, d, shape[k].ndim, -1);
    }
    if (optimiser_layout(t->o, p, n, real, e) < 0) return -1;
    struct dim h = {CTL_N * t->o->l.n_group, AXIS_ONE};
    t->hyper = graph_input(t->g, "hyper", real, &h, 1, -1);
    t->loss = graph_scalar(t->g, "loss");
    t->weight = graph_scalar(t->g, "weight");
    if (optimiser_build(t->o, t->g, t->param, t->grad, n, t->hyper, t->loss, t->weight, &t->ctl, e) < 0) return -1;
    struct plan_options po = {.keep = &t->ctl, .n_keep = 1, .param = t->weights, .state = t->o->l.state};
    t->plan = plan_new(t->g, &x, &po, e);
    if (!t->plan || plan_alloc(t->plan, e) < 0) return -1;
    for (int k = 0; k < n; k++)
        for (int i = 0; i < shape[k].len; i++) real_put(t->real, t->weights + k * TRIAL_BYTES, i, start[shape[k].at + i]);
    return 0;
}

static inline void trial_close(struct trial *t) {
    plan_free(t->plan);
    graph_free(t->g);
    optimiser_free(t->o);
    free(t->weights);
}

static inline void trial_weights(const struct trial *t, double *w) {
    for (int k = 0; k < t->n; k++)
        for (int i = 0; i < t->shape[k].len; i++) w[t->shape[k].at + i] = real_get(t->real, t->weights + k * TRIAL_BYTES, i);
}

/* How far apart two points of n numbers are, relative to the second where that is larger than 1. */
static inline double trial_off(const double *w, const struct val *want, int n) {
    double worst = val_len(want) == (size_t)n ? 0 : INFINITY, v;
    for (int i = 0; i < n; i++) {
        if (!val_as_num(val_at(want, (size_t)i), &v)) return INFINITY;
        double d = fabs(w[i] - v) / fmax(1, fabs(v));
        if (!(d <= worst)) worst = isnan(d) ? INFINITY : d;
    }
    return worst;
}

/* Loss and gradients of the weights as they are, in four rows. */
static inline void trial_evaluate(struct trial *t, trial_function f) {
    double w[TRIAL_ALL], g[TRIAL_ALL];
    trial_weights(t, w);
    if (t->path && t->evaluations < t->room) memcpy(t->path + t->evaluations * trial_all(t), w, (size_t)trial_all(t) * sizeof *w);
    t->evaluations++;
    plan_scalar(t->plan, t->loss, 4 * f(w, g));
    plan_scalar(t->plan, t->weight, 4);
    for (int k = 0; k < t->n; k++)
        for (int i = 0; i < t->shape[k].len; i++) real_put(t->real, plan_data(t->plan, t->grad[k]), i, 4 * g[t->shape[k].at + i]);
}

/* One step; the gradient clipped by its norm and by element, 0: not. */
static inline int trial_step(struct trial *t, trial_function f, double clip_norm, double clip_value, struct err *e) {
    double h[CTL_N], lr = optimiser_common(t->o)->lr;
    struct extents x = {{1, 1, 2}};
    optimiser_hyper(t->o, lr, clip_norm, clip_value, h);
    for (int i = 0; i < CTL_N * t->o->l.n_group; i++) real_put(t->real, plan_data(t->plan, t->hyper), i, t->o->l.hyper[i]);
    trial_evaluate(t, f);
    if (plan_run(t->plan, &x, PHASE_UPDATE, PHASE_UPDATE, e) < 0) return -1;
    for (bool again = optimiser_searches(t->o); again;) {
        if (plan_run(t->plan, &x, PHASE_SEARCH, PHASE_SEARCH, e) < 0) return -1;
        if ((again = optimiser_again(t->o))) trial_evaluate(t, f);
    }
    optimiser_applied(t->o, lr);
    return 0;
}

#endif
