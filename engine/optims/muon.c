/* muon: momentum whose matrices are made nearly orthogonal by five Newton-Schulz steps; everything that is no matrix of weights (vectors, embedding tables,
 * kernels of convolutions, what `rest` names) is trained by AdamW. Formulas: torch.optim.Muon and its reference implementation (Jordan et al. 2024).
 * The iteration X = a X + (b A + c A A) X, A = X X^T (or from the right where there are more rows than columns), is products of the graph. */
#include <math.h>
#include <stdio.h>

#include "engine/optims/adam.h"
#include "engine/optims/optim.h"
#include "engine/optims/update.h"

struct muon_args {
    struct optim_common common;
    double momentum, adam_lr, beta1, beta2, eps;
    bool nesterov;
    int64_t ns_steps;
    int adjust;
    struct val *rest;
};

enum { M_LR, M_SHRINK, M_MOMENTUM };
enum { V_NESTEROV = 1, V_RMS = 2 };
enum { ADJUST_ORIGINAL, ADJUST_RMS };
#define FLOOR 1e-7 /* of the norm */
#define GRAIN 16384

/* ---- muon_direction: buf, grad, param, ctl -> the step's matrix, of norm 1 ---- */
static int direction_shape(struct shaping *s, struct err *e) {
    if (s->in[0]->ndim != 2 || s->in[1]->ndim != 2) return err_set(e, "muon works on matrices");
    s->n_out = 1;
    s->out[0] = *s->in[0];
    s->out[0].offsets = -1;
    s->scratch_fixed = 64 + sizeof(double) * ((size_t)(s->in[0]->dim[0].k * s->in[0]->dim[1].k) / GRAIN + 2);
    return 0;
}

static int64_t grains(const struct exec *x) { return (x->in[0].len + GRAIN - 1) / GRAIN; }
static const float *muon_ctl(const struct exec *x, int i) { return (const float *)x->in[i].data + ((const struct update_attr *)x->attr)->group * CTL_N; }

static void direction_run(const struct exec *x, int64_t lo, int64_t hi) {
    const float *ctl = muon_ctl(x, 3), *restrict buf = x->in[0].data, *restrict g = x->in[1].data, *restrict p = x->in[2].data, mu = ctl[CTL_COEF + M_MOMENTUM];
    float *restrict out = x->out[0].data;
    double *part = x->scratch;
    struct update_grad h = {ctl[CTL_SCALE], ctl[CTL_CLIP_VALUE], ctl[CTL_L1], ctl[CTL_L2]};
    const float own = ((const struct update_attr *)x->attr)->variant & V_NESTEROV ? 1 - mu : 0.0f;
    for (int64_t t = lo; t < hi; t++) {
        double sum = 0;
        int64_t end = (t + 1) * GRAIN < x->in[0].len ? (t + 1) * GRAIN : x->in[0].len;
        for (int64_t at = t * GRAIN; at < end; at += 1024) {
            float s = 0;
            int64_t to = at + 1024 < end ? at + 1024 : end;
#pragma omp simd reduction(+ : s)
            for (int64_t i = at; i < to; i++) {
                float y = update_g(h, g[i], p[i]), b = buf[i] + (1 - mu) * (y - buf[i]), u = b + own * (y - b);
                out[i] = u;
                s += u * u;
            }
            sum += s;
        }
        part[t] = sum;
    }
}

static void direction_mid(const struct exec *x) {
    double *part = x->scratch, sum = 0;
    for (int64_t t = 0, n = grains(x); t < n; t++) sum += part[t];
    part[0] = 1 / fmax(sqrt(sum), FLOOR);
}

static void direction_run2(const struct exec *x, int64_t lo, int64_t hi) {
    float *restrict out = x->out[0].data, s = (float)*(const double *)x->scratch;
    int64_t end = hi * GRAIN < x->in[0].len ? hi * GRAIN : x->in[0].len;
#pragma omp simd
    for (int64_t i = lo * GRAIN; i < end; i++) out[i] *= s;
}

static double muon_ref_ctl(const struct exec *x, int i, double *ctl) {
    for (int k = 0; k < CTL_N; k++) ctl[k] = view_get(&x->in[i], ((const struct update_attr *)x->attr)->group * CTL_N + k);
    return ctl[CTL_COEF + M_MOMENTUM];
}

static void direction_ref(const struct exec *x) {
    double ctl[CTL_N], sum = 0, mu = muon_ref_ctl(x, 3, ctl);
    bool nesterov = ((const struct update_attr *)x->attr)->variant & V_NESTEROV;
    for (int64_t i = 0; i < x->in[0].len; i++) {
        double g = update_ref_g(ctl, view_get(&x->in[1], i), view_get(&x->in[2], i)), b = view_get(&x->in[0], i);
        b += (1 - mu) * (g - b);
        double u = nesterov ? g + mu * (b - g) : b;
        sum += u * u;
        view_put(&x->out[0], i, u);
    }
    for (int64_t i = 0; i < x->in[0].len; i++) view_put(&x->out[0], i, view_get(&x->out[0], i) / fmax(sqrt(sum), FLOOR));
}

/* ---- muon_mix: a x + b y ---- */
struct mix_attr {
    double a, b;
};
static const struct arg mix_args[] = {{"a", "factor of the first", NULL, "1", ARG_NUM, offsetof(struct mix_attr, a), 0, AT_REBUILD},
    {"b", "factor of the second", NULL, "1", ARG_NUM, offsetof(struct mix_attr, b), 0, AT_REBUILD}, {NULL}};

static int mix_shape(struct shaping *s, struct err *e) {
    if (s->in[0]->ndim != s->in[1]->ndim) return err_set(e, "needs two tensors of one shape");
    for (int i = 0; i < s->in[0]->ndim; i++)
        if (!dim_same(s->in[0]->dim[i], s->in[1]->dim[i])) return err_set(e, "needs two tensors of one shape");
    s->n_out = 1;
    s->out[0] = *s->in[0];
    return 0;
}

static void mix_ref(const struct exec *x) {
    const struct mix_attr *a = x->attr;
    for (int64_t i = 0; i < x->in[0].len; i++) view_put(&x->out[0], i, a->a * view_get(&x->in[0], i) + a->b * view_get(&x->in[1], i));
}

static void mix_run(const struct exec *x, int64_t lo, int64_t hi) {
    const struct mix_attr *a = x->attr;
    const float *p = x->in[0].data, *q = x->in[1].data, fa = (float)a->a, fb = (float)a->b;
    float *out = x->out[0].data;
    int64_t end = hi * GRAIN < x->in[0].len ? hi * GRAIN : x->in[0].len;
#pragma omp simd
    for (int64_t i = lo * GRAIN; i < end; i++) out[i] = fa * p[i] + fb * q[i];
}

/* ---- muon_update: param, buf, orthogonal step, grad, ctl -> param, buf ---- */
static int muon_shape(struct shaping *s, struct err *e) {
    for (int i = 0; i < 4; i++)
        if (s->in[i]->ndim != 2) return err_set(e, "muon works on matrices");
    s->n_out = 2;
    s->out[0] = *s->in[0];
    s->out[1] = *s->in[1];
    s->out[0].offsets = s->out[1].offsets = -1;
    return 0;
}

static double adjusted(const struct exec *x) {
    double r = (double)x->in[0].n[0], c = (double)x->in[0].n[1];
    return ((const struct update_attr *)x->attr)->variant & V_RMS ? 0.2 * sqrt(fmax(r, c)) : sqrt(fmax(1, r / c));
}

static void muon_run(const struct exec *x, int64_t lo, int64_t hi) {
    const float *ctl = muon_ctl(x, 4), *restrict o = x->in[2].data, *restrict g = x->in[3].data;
    float *restrict p = x->in[0].data, *restrict buf = x->in[1].data;
    struct update_grad h = {ctl[CTL_SCALE], ctl[CTL_CLIP_VALUE], ctl[CTL_L1], ctl[CTL_L2]};
    const float rate = (float)(ctl[CTL_COEF + M_LR] * adjusted(x)), shrink = ctl[CTL_COEF + M_SHRINK], n1 = 1 - ctl[CTL_COEF + M_MOMENTUM];
    int64_t end = hi * GRAIN < x->in[0].len ? hi * GRAIN : x->in[0].len;
    if (ctl[CTL_OK] == 0) return;
#pragma omp simd
    for (int64_t i = lo * GRAIN; i < end; i++) {
        buf[i] += n1 * (update_g(h, g[i], p[i]) - buf[i]);
        p[i] = p[i] * shrink - rate * o[i];
    }
}

static void muon_ref(const struct exec *x) {
    double ctl[CTL_N], mu = muon_ref_ctl(x, 4, ctl), rate = ctl[CTL_COEF + M_LR] * adjusted(x);
    if (ctl[CTL_OK] == 0) return;
    for (int64_t i = 0; i < x->in[0].len; i++) {
        double p = view_get(&x->in[0], i), b = view_get(&x->in[1], i);
        view_put(&x->in[1], i, b + (1 - mu) * (update_ref_g(ctl, view_get(&x->in[3], i), p) - b));
        view_put(&x->in[0], i, p * ctl[CTL_COEF + M_SHRINK] - rate * view_get(&x->in[2], i));
    }
}

/* ---- the optimiser ---- */
static void muon_coef(const void *args, int64_t t, double lr, double *memory, double *c) {
    const struct muon_args *a = args;
    (void)memory, (void)t;
    c[M_LR] = lr;
    c[M_SHRINK] = 1 - lr * a->common.weight_decay;
    c[M_MOMENTUM] = a->momentum;
}

static void rest_coef(const void *args, int64_t t, double lr, double *memory, double *c) {
    const struct muon_args *a = args;
    double own = a->common.lr > 0 ? lr / a->common.lr * a->adam_lr : 0; /* follows the schedule */
    (void)memory;
    ISA(adam_numbers)(a->beta1, a->beta2, a->eps, t, own, c);
    c[C_SHRINK] = 1 - own * a->common.weight_decay;
}

static int muon_states(const void *args, const char *names[OPTIM_STATES]) {
    (void)args;
    names[0] = "momentum";
    return 1;
}

static int rest_states(const void *args, const char *names[OPTIM_STATES]) {
    (void)args;
    names[0] = "m";
    names[1] = "v";
    return 2;
}

static int muon_variant(const void *args) {
    const struct muon_args *a = args;
    return (a->nesterov ? V_NESTEROV : 0) | (a->adjust == ADJUST_RMS ? V_RMS : 0);
}

/* A product of matrices: linear x w^T, linear_dx x w, linear_dw x^T w. */
static tid mix(struct graph *g, tid x, double a, tid y, double b, struct err *e) {
    char attr[64];
    snprintf(attr, sizeof attr, "a=%.17g b=%.17g", a, b);
    return x < 0 || y < 0 ? -1 : graph_attr(g, "muon_mix", attr, (tid[]){x, y}, 2, NULL, e);
}

static int muon_build(struct graph *g, const struct optim_update *u, struct err *e) {
    const struct muon_args *a = u->o->args;
    const struct tensor *p = graph_tensor(g, u->param);
    bool tall = p->dim[0].k > p->dim[1].k;
    tid grad = optim_dense_grad(g, u, e);
    char attr[64];
    snprintf(attr, sizeof attr, "group=%d variant=%d", u->slot->group, muon_variant(a));
    tid x = grad < 0 ? -1 : graph_attr(g, "muon_direction", attr, (tid[]){u->state[0], grad, u->param, u->ctl}, 4, NULL, e);
    for (int64_t i = 0; i < a->ns_steps && x >= 0; i++) {
        tid gram = graph_add2(g, tall ? "linear_dw" : "linear", x, x, e), square = gram < 0 ? -1 : graph_add2(g, "linear", gram, gram, e);
        tid b = mix(g, gram, -4.7750, square, 2.0315, e), y = b < 0 ? -1 : graph_add2(g, "linear_dx", tall ? x : b, tall ? b : x, e);
        x = mix(g, x, 3.4445, y, 1, e);
    }
    return x < 0 || graph_attr(g, "muon_update", attr, (tid[]){u->param, u->state[0], x, grad, u->ctl}, 5, NULL, e) < 0 ? -1 : 0;
}

static const struct optim muon_rest = {
    .kind = {.name = "muon_rest"},
    .op = "adam_update",
    .decoupled = true,
    .states = rest_states,
    .coef = rest_coef,
};

static bool named(const struct val *rest, const char *name) {
    if (rest && rest->type == VAL_STR) return optim_match(rest->u.s.p, name);
    for (size_t i = 0; i < val_len(rest); i++)
        if (val_at(rest, i)->type == VAL_STR && optim_match(val_at(rest, i)->u.s.p, name)) return true;
    return false;
}

extern const struct optim ISA(optim_muon);
static const struct optim *muon_rule(const void *args, const struct optim_param *p) {
    return p->ndim == 2 && !p->table && !named(((const struct muon_args *)args)->rest, p->name) ? &ISA(optim_muon) : &muon_rest;
}

static int muon_check(const void *args, struct err *e) {
    const struct val *r = ((const struct muon_args *)args)->rest;
    bool ok = !r || r->type == VAL_STR || r->type == VAL_TABLE || r->type == VAL_NIL;
    for (size_t i = 0; ok && i < val_len(r); i++) ok = val_at(r, i)->type == VAL_STR;
    return ok ? 0 : err_code(e, ERR_USAGE, "rest must be a name of a layer or a list of names, such as \"head\"");
}

static const char *const adjust_names[] = {"original", "match_rms_adamw", NULL};
static const struct arg muon_table[] = {
    OPTIM_ARGS(muon_args, "0.001", "0.1"),
    {"momentum", "share of the momentum kept", NULL, "0.95", ARG_NUM, offsetof(struct muon_args, momentum), ARG_LIVE, AT_STEP, 0, 0.999999},
    {"nesterov", "look ahead by one momentum step", NULL, "true", ARG_BOOL, offsetof(struct muon_args, nesterov), 0, AT_RUN},
    {"ns_steps", "Newton-Schulz steps", NULL, "5", ARG_INT, offsetof(struct muon_args, ns_steps), 0, AT_RUN, 1, 20},
    {"adjust", "of the rate to the shape: sqrt(max(1, rows / columns)), or 0.2 sqrt(max(rows, columns)), with which rates of AdamW can be kept", NULL,
        "original", ARG_ENUM, offsetof(struct muon_args, adjust), 0, AT_RUN, 0, 0, adjust_names},
    {"rest", "layers or parameters that AdamW trains as it does vectors and embedding tables: a name or a list; the output layer is best there", NULL, NULL,
        ARG_VAL, offsetof(struct muon_args, rest), 0, AT_RUN},
    {"adam_lr", "learning rate of AdamW; follows the schedule", NULL, "3e-4", ARG_NUM, offsetof(struct muon_args, adam_lr), ARG_LIVE | ARG_LOG, AT_STEP, 0,
        1e6},
    {"beta1", "AdamW: decay of the first moment", NULL, "0.9", ARG_NUM, offsetof(struct muon_args, beta1), ARG_LIVE, AT_STEP, 0, 0.999999},
    {"beta2", "AdamW: decay of the second moment", NULL, "0.999", ARG_NUM, offsetof(struct muon_args, beta2), ARG_LIVE, AT_STEP, 0, 0.9999999},
    {"eps", "AdamW: added to the denominator", NULL, "1e-8", ARG_NUM, offsetof(struct muon_args, eps), ARG_LIVE, AT_STEP, 0, 1},
    {NULL},
};

static const struct sample mix_samples[] = {{"a=2 b=-3", "c(3,5) c(3,5) > 0"}, {"a=1 b=0.5", "c(150,131) c(150,131) > 0"}, {NULL, NULL}};

const struct optim ISA(optim_muon) = {
    .kind = {"muon", "momentum made orthogonal for matrices, AdamW for the rest (Jordan et al. 2024)", "optim.muon{lr=0.02, rest=\"head\"}", muon_table,
        sizeof(struct muon_args)},
    .op = "muon_update",
    .decoupled = true,
    .states = muon_states,
    .variant = muon_variant,
    .coef = muon_coef,
    .check = muon_check,
    .rule = muon_rule,
    .build = muon_build,
};
const struct op ISA(op_muon_direction) = {
    .kind = {"muon_direction", "the step of muon before it is made orthogonal, of norm 1", NULL, update_args, sizeof(struct update_attr)},
    .in_min = 4,
    .in_max = 4,
    .n_out = 1,
    .flags = OP_NO_GRAD,
    .shape = direction_shape,
    .ref = direction_ref,
    .tiles = grains,
    .run = direction_run,
    .mid = direction_mid,
    .tiles2 = grains,
    .run2 = direction_run2,
    .samples = update_samples,
};
const struct op ISA(op_muon_mix) = {
    .kind = {"muon_mix", "a x + b y", NULL, mix_args, sizeof(struct mix_attr)},
    .in_min = 2,
    .in_max = 2,
    .n_out = 1,
    .flags = OP_NO_GRAD | OP_INPLACE,
    .shape = mix_shape,
    .ref = mix_ref,
    .tiles = grains,
    .run = mix_run,
    .samples = mix_samples,
};
const struct op ISA(op_muon_update) = {
    .kind = {"muon_update", "one step of muon", NULL, update_args, sizeof(struct update_attr)},
    .in_min = 5,
    .in_max = 5,
    .n_out = 2,
    .flags = OP_UPDATE | OP_TIED | OP_NO_GRAD,
    .shape = muon_shape,
    .ref = muon_ref,
    .tiles = grains,
    .run = muon_run,
    .samples = update_samples,
};
