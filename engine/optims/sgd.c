/* sgd: plain, with momentum, with Nesterov momentum. Formulas: torch.optim.SGD (Sutskever et al. 2013). */
#include "engine/optims/optim.h"
#include "engine/optims/update.h"

struct sgd_args {
    struct optim_common common;
    double momentum, dampening;
    bool nesterov;
};

/* b = momentum b + damp g;  p = p - lr b, or with Nesterov p = p - lr (g + momentum b) */
enum { C_LR, C_MOMENTUM, C_DAMP };
enum { V_NESTEROV = 1 };

static void plain_step(float *restrict p, const float *restrict g, int64_t n, struct update_grad h, float lr) {
#pragma omp simd
    for (int64_t i = 0; i < n; i++) p[i] -= lr * (g ? update_g(h, g[i], p[i]) : update_g0(h, p[i]));
}

static void sgd_step(float *restrict p, float *const *s, const float *restrict g, int64_t n, struct update_grad h, const float *c, int64_t variant) {
    float *restrict b = s[0];
    const float lr = c[C_LR], mu = c[C_MOMENTUM], damp = c[C_DAMP], own = variant & V_NESTEROV ? 1.0f : 0.0f, back = variant & V_NESTEROV ? mu : 1.0f;
    if (!b) {
        plain_step(p, g, n, h, lr);
        return;
    }
#pragma omp simd
    for (int64_t i = 0; i < n; i++) {
        float x = g ? update_g(h, g[i], p[i]) : update_g0(h, p[i]), v = mu * b[i] + damp * x;
        b[i] = v;
        p[i] -= lr * (own * x + back * v);
    }
}

static void sgd_run(const struct exec *x, int64_t lo, int64_t hi) { update_run(x, lo, hi, sgd_step); }

static double plain_one(double p, double *s, double g, const double *c, int64_t variant) {
    (void)s, (void)variant;
    return p - c[C_LR] * g;
}

static double momentum_one(double p, double *s, double g, const double *c, int64_t variant) {
    s[0] = c[C_MOMENTUM] * s[0] + c[C_DAMP] * g;
    return p - c[C_LR] * (variant & V_NESTEROV ? g + c[C_MOMENTUM] * s[0] : s[0]);
}

static void sgd_ref(const struct exec *x) { update_ref(x, update_states(x) ? momentum_one : plain_one); }

static void sgd_coef(const void *args, int64_t t, double lr, double *memory, double *c) {
    const struct sgd_args *a = args;
    (void)memory;
    c[C_LR] = lr;
    c[C_MOMENTUM] = a->momentum;
    c[C_DAMP] = t == 1 ? 1 : 1 - a->dampening; /* the first buffer is the gradient itself */
}

static int sgd_states(const void *args, const char *names[OPTIM_STATES]) {
    names[0] = "momentum";
    return ((const struct sgd_args *)args)->momentum > 0;
}

static int sgd_variant(const void *args) { return ((const struct sgd_args *)args)->nesterov ? V_NESTEROV : 0; }

static const struct arg sgd_table[] = {
    OPTIM_ARGS(sgd_args, "0.01", "0"),
    {"momentum", "share of the last step kept; 0: no momentum, no state", NULL, "0", ARG_NUM, offsetof(struct sgd_args, momentum), 0, AT_RUN, 0, 0.999999},
    {"dampening", "share of the gradient kept out of the momentum", NULL, "0", ARG_NUM, offsetof(struct sgd_args, dampening), 0, AT_RUN, 0, 1},
    {"nesterov", "look ahead by one momentum step", NULL, "false", ARG_BOOL, offsetof(struct sgd_args, nesterov), 0, AT_RUN},
    {NULL},
};

const struct optim ISA(optim_sgd) = {
    .kind = {"sgd", "stochastic gradient descent, with momentum if given", "optim.sgd{lr=0.1, momentum=0.9, nesterov=true}", sgd_table,
        sizeof(struct sgd_args)},
    .op = "sgd_update",
    .states = sgd_states,
    .variant = sgd_variant,
    .coef = sgd_coef,
};
const struct op ISA(op_sgd_update) = {
    .kind = {"sgd_update", "one step of sgd", NULL, update_args, sizeof(struct update_attr)},
    .in_min = 3,
    .in_max = 6,
    .n_out = 2,
    .flags = OP_UPDATE | OP_TIED | OP_NO_GRAD,
    .shape = update_shape,
    .cost = update_cost,
    .ref = sgd_ref,
    .tiles = update_tiles,
    .run = sgd_run,
    .samples = update_samples,
};
