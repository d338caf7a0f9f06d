/* adagrad and adadelta: steps scaled by the gradients seen. Formulas: torch.optim.Adagrad (Duchi et al. 2011), torch.optim.Adadelta (Zeiler 2012). */
#include <math.h>

#include "engine/optims/optim.h"
#include "engine/optims/update.h"

struct adagrad_args {
    struct optim_common common;
    double lr_decay, eps;
};
struct adadelta_args {
    struct optim_common common;
    double rho, eps;
};

enum { C_LR, C_EPS, C_RHO };

/* s = s + g^2;  p = p - lr / (1 + (t - 1) decay) g / (sqrt(s) + eps) */
static void adagrad_step(float *restrict p, float *const *st, const float *restrict g, int64_t n, struct update_grad h, const float *c, int64_t variant) {
    float *restrict s = st[0];
    const float lr = c[C_LR], eps = c[C_EPS];
    (void)variant;
#pragma omp simd
    for (int64_t i = 0; i < n; i++) {
        float x = g ? update_g(h, g[i], p[i]) : update_g0(h, p[i]), v = s[i] + x * x;
        s[i] = v;
        p[i] -= lr * x / (sqrtf(v) + eps);
    }
}

static double adagrad_one(double p, double *s, double g, const double *c, int64_t variant) {
    (void)variant;
    s[0] += g * g;
    return p - c[C_LR] * g / (sqrt(s[0]) + c[C_EPS]);
}

static void adagrad_run(const struct exec *x, int64_t lo, int64_t hi) { update_run(x, lo, hi, adagrad_step); }

static void adagrad_ref(const struct exec *x) { update_ref(x, adagrad_one); }

/* s = rho s + (1 - rho) g^2;  d = sqrt(u + eps) / sqrt(s + eps) g;  u = rho u + (1 - rho) d^2;  p = p - lr d */
static void adadelta_step(float *restrict p, float *const *st, const float *restrict g, int64_t n, struct update_grad h, const float *c, int64_t variant) {
    float *restrict s = st[0], *restrict u = st[1];
    const float lr = c[C_LR], eps = c[C_EPS], rho = c[C_RHO];
    (void)variant;
#pragma omp simd
    for (int64_t i = 0; i < n; i++) {
        float x = g ? update_g(h, g[i], p[i]) : update_g0(h, p[i]), a = rho * s[i] + (1 - rho) * x * x, d = sqrtf(u[i] + eps) / sqrtf(a + eps) * x;
        s[i] = a;
        u[i] = rho * u[i] + (1 - rho) * d * d;
        p[i] -= lr * d;
    }
}

static double adadelta_one(double p, double *s, double g, const double *c, int64_t variant) {
    (void)variant;
    s[0] = c[C_RHO] * s[0] + (1 - c[C_RHO]) * g * g;
    double d = sqrt(s[1] + c[C_EPS]) / sqrt(s[0] + c[C_EPS]) * g;
    s[1] = c[C_RHO] * s[1] + (1 - c[C_RHO]) * d * d;
    return p - c[C_LR] * d;
}

static void adadelta_run(const struct exec *x, int64_t lo, int64_t hi) { update_run(x, lo, hi, adadelta_step); }

static void adadelta_ref(const struct exec *x) { update_ref(x, adadelta_one); }

static void adagrad_coef(const void *args, int64_t t, double lr, double *memory, double *c) {
    const struct adagrad_args *a = args;
    (void)memory;
    c[C_LR] = lr / (1 + (double)(t - 1) * a->lr_decay);
    c[C_EPS] = a->eps;
}

static void adadelta_coef(const void *args, int64_t t, double lr, double *memory, double *c) {
    const struct adadelta_args *a = args;
    (void)memory, (void)t;
    c[C_LR] = lr;
    c[C_EPS] = a->eps;
    c[C_RHO] = a->rho;
}

static int adagrad_states(const void *args, const char *names[OPTIM_STATES]) {
    (void)args;
    names[0] = "sum";
    return 1;
}

static int adadelta_states(const void *args, const char *names[OPTIM_STATES]) {
    (void)args;
    names[0] = "square";
    names[1] = "delta";
    return 2;
}

static const struct arg adagrad_table[] = {
    OPTIM_ARGS(adagrad_args, "0.01", "0"),
    {"lr_decay", "the learning rate falls as 1 / (1 + decay t)", NULL, "0", ARG_NUM, offsetof(struct adagrad_args, lr_decay), ARG_LIVE, AT_STEP, 0, 1e6},
    {"eps", "added to the denominator", NULL, "1e-10", ARG_NUM, offsetof(struct adagrad_args, eps), ARG_LIVE, AT_STEP, 0, 1},
    {NULL},
};
static const struct arg adadelta_table[] = {
    OPTIM_ARGS(adadelta_args, "1", "0"),
    {"rho", "decay of the running means", NULL, "0.9", ARG_NUM, offsetof(struct adadelta_args, rho), ARG_LIVE, AT_STEP, 0, 1},
    {"eps", "added under the roots", NULL, "1e-6", ARG_NUM, offsetof(struct adadelta_args, eps), ARG_LIVE, AT_STEP, 0, 1},
    {NULL},
};

const struct optim ISA(optim_adagrad) = {
    .kind = {"adagrad", "Adagrad (Duchi et al. 2011)", "optim.adagrad{lr=0.01}", adagrad_table, sizeof(struct adagrad_args)},
    .op = "adagrad_update",
    .states = adagrad_states,
    .coef = adagrad_coef,
};
const struct optim ISA(optim_adadelta) = {
    .kind = {"adadelta", "Adadelta (Zeiler 2012)", "optim.adadelta{lr=1}", adadelta_table, sizeof(struct adadelta_args)},
    .op = "adadelta_update",
    .states = adadelta_states,
    .coef = adadelta_coef,
};
const struct op ISA(op_adagrad_update) = {
    .kind = {"adagrad_update", "one step of adagrad", NULL, update_args, sizeof(struct update_attr)},
    .in_min = 4,
    .in_max = 6,
    .n_out = 2,
    .flags = OP_UPDATE | OP_TIED | OP_NO_GRAD,
    .shape = update_shape,
    .cost = update_cost,
    .ref = adagrad_ref,
    .tiles = update_tiles,
    .run = adagrad_run,
    .samples = update_samples,
};
const struct op ISA(op_adadelta_update) = {
    .kind = {"adadelta_update", "one step of adadelta", NULL, update_args, sizeof(struct update_attr)},
    .in_min = 5,
    .in_max = 7,
    .n_out = 3,
    .flags = OP_UPDATE | OP_TIED | OP_NO_GRAD,
    .shape = update_shape,
    .cost = update_cost,
    .ref = adadelta_ref,
    .tiles = update_tiles,
    .run = adadelta_run,
    .samples = update_samples,
};
