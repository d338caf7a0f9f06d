/* lamb: Adam whose step is scaled for each tensor by the norm of the weights over the norm of the step. Formula: You et al. 2020, "Large batch optimization
 * for deep learning", Algorithm 2, phi the identity; a norm of 0 makes the ratio 1. Two passes: moments and norms, then the weights. */
#include <math.h>
#include <stdio.h>

#include "engine/optims/optim.h"
#include "engine/optims/update.h"

struct lamb_args {
    struct optim_common common;
    double beta1, beta2, eps;
};

/* u = m step / (sqrt(v) root + eps) + decay p;  p = p - lr |p| / |u| u */
enum { C_LR, C_STEP, C_ROOT, C_EPS, C_DECAY, C_N1, C_B2, C_N2 };
enum { IN_P, IN_M, IN_V, IN_G, IN_CTL };

static int lamb_shape(struct shaping *s, struct err *e) {
    int64_t len = 1;
    if (update_shape(s, e) < 0) return -1;
    for (int i = 0; i < s->in[0]->ndim; i++) len *= s->in[0]->dim[i].k;
    s->scratch_fixed = 64 + 2 * sizeof(double) * ((size_t)len / UPDATE_TILE + 2); /* |p|^2 and |u|^2 of each tile, then the ratio */
    return 0;
}

static const float *lamb_ctl(const struct exec *x) { return (const float *)x->in[IN_CTL].data + ((const struct update_attr *)x->attr)->group * CTL_N; }

static void lamb_moments(const struct exec *x, int64_t from, int64_t to, double *pp, double *uu) {
    const float *ctl = lamb_ctl(x), *c = ctl + CTL_COEF, *restrict p = x->in[IN_P].data, *restrict g = x->in[IN_G].data;
    float *restrict m = x->in[IN_M].data, *restrict v = x->in[IN_V].data;
    struct update_grad h = {ctl[CTL_SCALE], ctl[CTL_CLIP_VALUE], ctl[CTL_L1], ctl[CTL_L2]};
    const float step = c[C_STEP], root = c[C_ROOT], eps = c[C_EPS], decay = c[C_DECAY], n1 = c[C_N1], b2 = c[C_B2], n2 = c[C_N2];
    *pp = *uu = 0;
    for (int64_t at = from; at < to; at += 1024) {
        int64_t end = at + 1024 < to ? at + 1024 : to;
        float a = 0, b = 0;
#pragma omp simd reduction(+ : a, b)
        for (int64_t i = at; i < end; i++) {
            float y = update_g(h, g[i], p[i]), mi = m[i] + n1 * (y - m[i]), vi = b2 * v[i] + n2 * y * y,
                  u = mi * step / (sqrtf(vi) * root + eps) + decay * p[i];
            m[i] = mi;
            v[i] = vi;
            a += p[i] * p[i];
            b += u * u;
        }
        *pp += a;
        *uu += b;
    }
}

static int64_t lamb_end(const struct exec *x, int64_t tile) { return (tile + 1) * UPDATE_TILE < x->in[IN_P].len ? (tile + 1) * UPDATE_TILE : x->in[IN_P].len; }

static void lamb_run(const struct exec *x, int64_t lo, int64_t hi) {
    double *part = x->scratch;
    if (lamb_ctl(x)[CTL_OK] == 0) return;
    for (int64_t t = lo; t < hi; t++) lamb_moments(x, t * UPDATE_TILE, lamb_end(x, t), &part[2 * t + 2], &part[2 * t + 3]);
}

static void lamb_mid(const struct exec *x) {
    double *part = x->scratch, pp = 0, uu = 0;
    if (lamb_ctl(x)[CTL_OK] == 0) return;
    for (int64_t t = 0, n = update_tiles(x); t < n; t++) pp += part[2 * t + 2], uu += part[2 * t + 3];
    part[0] = pp > 0 && uu > 0 ? sqrt(pp / uu) : 1;
}

static void lamb_run2(const struct exec *x, int64_t lo, int64_t hi) {
    const float *ctl = lamb_ctl(x), *c = ctl + CTL_COEF, *restrict m = x->in[IN_M].data, *restrict v = x->in[IN_V].data;
    float *restrict p = x->in[IN_P].data;
    if (ctl[CTL_OK] == 0) return;
    const float rate = (float)(c[C_LR] * *(const double *)x->scratch), step = c[C_STEP], root = c[C_ROOT], eps = c[C_EPS], decay = c[C_DECAY];
    int64_t end = lamb_end(x, hi - 1);
#pragma omp simd
    for (int64_t i = lo * UPDATE_TILE; i < end; i++) p[i] -= rate * (m[i] * step / (sqrtf(v[i]) * root + eps) + decay * p[i]);
}

static void lamb_ref(const struct exec *x) {
    const int64_t base = ((const struct update_attr *)x->attr)->group * CTL_N;
    double ctl[CTL_N], pp = 0, uu = 0;
    const double *c = ctl + CTL_COEF;
    for (int i = 0; i < CTL_N; i++) ctl[i] = view_get(&x->in[IN_CTL], base + i);
    if (ctl[CTL_OK] == 0) return;
    for (int pass = 0; pass < 2; pass++)
        for (int64_t i = 0; i < x->in[IN_P].len; i++) {
            double p = view_get(&x->in[IN_P], i), m = view_get(&x->in[IN_M], i), v = view_get(&x->in[IN_V], i);
            if (pass == 0) {
                double g = update_ref_g(ctl, view_get(&x->in[IN_G], i), p);
                m += c[C_N1] * (g - m);
                v = c[C_B2] * v + c[C_N2] * g * g;
                view_put(&x->in[IN_M], i, m);
                view_put(&x->in[IN_V], i, v);
            }
            double u = c[C_STEP] * m / (sqrt(v) * c[C_ROOT] + c[C_EPS]) + c[C_DECAY] * p;
            if (pass == 0) pp += p * p, uu += u * u;
            else view_put(&x->in[IN_P], i, p - c[C_LR] * (pp > 0 && uu > 0 ? sqrt(pp / uu) : 1) * u);
        }
}

static void lamb_coef(const void *args, int64_t t, double lr, double *memory, double *c) {
    const struct lamb_args *a = args;
    (void)memory;
    c[C_LR] = lr;
    c[C_STEP] = 1 / (1 - pow(a->beta1, (double)t));
    c[C_ROOT] = 1 / sqrt(1 - pow(a->beta2, (double)t));
    c[C_EPS] = a->eps;
    c[C_DECAY] = a->common.weight_decay;
    c[C_N1] = 1 - a->beta1;
    c[C_B2] = a->beta2;
    c[C_N2] = 1 - a->beta2;
}

static int lamb_states(const void *args, const char *names[OPTIM_STATES]) {
    (void)args;
    names[0] = "m";
    names[1] = "v";
    return 2;
}

/* The norms are those of whole tensors: a row-sparse gradient is made dense. */
static int lamb_build(struct graph *g, const struct optim_update *u, struct err *e) {
    tid grad = optim_dense_grad(g, u, e);
    char attr[32];
    snprintf(attr, sizeof attr, "group=%d", u->slot->group);
    return grad < 0 ? -1 : graph_attr(g, "lamb_update", attr, (tid[]){u->param, u->state[0], u->state[1], grad, u->ctl}, 5, NULL, e) < 0 ? -1 : 0;
}

static const struct arg lamb_table[] = {
    OPTIM_ARGS(lamb_args, "0.001", "0.01"),
    {"beta1", "decay of the first moment", NULL, "0.9", ARG_NUM, offsetof(struct lamb_args, beta1), ARG_LIVE, AT_STEP, 0, 0.999999},
    {"beta2", "decay of the second moment", NULL, "0.999", ARG_NUM, offsetof(struct lamb_args, beta2), ARG_LIVE, AT_STEP, 0, 0.9999999},
    {"eps", "added to the denominator", NULL, "1e-6", ARG_NUM, offsetof(struct lamb_args, eps), ARG_LIVE, AT_STEP, 0, 1},
    {NULL},
};

const struct optim ISA(optim_lamb) = {
    .kind = {"lamb", "Adam for large batches, a rate for each tensor (You et al. 2020)", "optim.lamb{lr=2e-3, weight_decay=0.01}", lamb_table,
        sizeof(struct lamb_args)},
    .op = "lamb_update",
    .decoupled = true,
    .states = lamb_states,
    .coef = lamb_coef,
    .build = lamb_build,
};
const struct op ISA(op_lamb_update) = {
    .kind = {"lamb_update", "one step of lamb", NULL, update_args, sizeof(struct update_attr)},
    .in_min = 5,
    .in_max = 5,
    .n_out = 3,
    .flags = OP_UPDATE | OP_TIED | OP_NO_GRAD,
    .shape = lamb_shape,
    .cost = update_cost,
    .ref = lamb_ref,
    .tiles = update_tiles,
    .run = lamb_run,
    .mid = lamb_mid,
    .tiles2 = update_tiles,
    .run2 = lamb_run2,
    .samples = update_samples,
};
