/* lion: the sign of an interpolated momentum, decoupled weight decay. Formula: Chen et al. 2023, "Symbolic discovery of optimization algorithms", Algorithm
 * 2. */
#include "engine/optims/optim.h"
#include "engine/optims/update.h"

struct lion_args {
    struct optim_common common;
    double beta1, beta2;
};

enum { C_SHRINK, C_LR, C_B1, C_B2 };

/* c = b1 m + (1 - b1) g;  p = p (1 - lr wd) - lr sign(c);  m = b2 m + (1 - b2) g */
static void lion_step(float *restrict p, float *const *s, const float *restrict g, int64_t n, struct update_grad h, const float *c, int64_t variant) {
    float *restrict m = s[0];
    const float shrink = c[C_SHRINK], lr = c[C_LR], b1 = c[C_B1], b2 = c[C_B2];
    (void)variant;
#pragma omp simd
    for (int64_t i = 0; i < n; i++) {
        float x = g ? update_g(h, g[i], p[i]) : update_g0(h, p[i]), d = b1 * m[i] + (1 - b1) * x;
        m[i] = b2 * m[i] + (1 - b2) * x;
        p[i] = p[i] * shrink - (d > 0 ? lr : 0.0f) + (d < 0 ? lr : 0.0f);
    }
}

static double lion_one(double p, double *s, double g, const double *c, int64_t variant) {
    double d = c[C_B1] * s[0] + (1 - c[C_B1]) * g;
    (void)variant;
    s[0] = c[C_B2] * s[0] + (1 - c[C_B2]) * g;
    return p * c[C_SHRINK] - c[C_LR] * ((d > 0) - (d < 0));
}

static void lion_run(const struct exec *x, int64_t lo, int64_t hi) { update_run(x, lo, hi, lion_step); }

static void lion_ref(const struct exec *x) { update_ref(x, lion_one); }

static void lion_coef(const void *args, int64_t t, double lr, double *memory, double *c) {
    const struct lion_args *a = args;
    (void)memory, (void)t;
    c[C_SHRINK] = 1 - lr * a->common.weight_decay;
    c[C_LR] = lr;
    c[C_B1] = a->beta1;
    c[C_B2] = a->beta2;
}

static int lion_states(const void *args, const char *names[OPTIM_STATES]) {
    (void)args;
    names[0] = "m";
    return 1;
}

static const struct arg lion_table[] = {
    OPTIM_ARGS(lion_args, "1e-4", "0"),
    {"beta1", "share of the momentum in the step", NULL, "0.9", ARG_NUM, offsetof(struct lion_args, beta1), ARG_LIVE, AT_STEP, 0, 0.999999},
    {"beta2", "decay of the momentum", NULL, "0.99", ARG_NUM, offsetof(struct lion_args, beta2), ARG_LIVE, AT_STEP, 0, 0.999999},
    {NULL},
};

const struct optim ISA(optim_lion) = {
    .kind = {"lion", "sign of the momentum (Chen et al. 2023)", "optim.lion{lr=1e-4, weight_decay=0.1}", lion_table, sizeof(struct lion_args)},
    .op = "lion_update",
    .decoupled = true,
    .states = lion_states,
    .coef = lion_coef,
};
const struct op ISA(op_lion_update) = {
    .kind = {"lion_update", "one step of lion", NULL, update_args, sizeof(struct update_attr)},
    .in_min = 4,
    .in_max = 6,
    .n_out = 2,
    .flags = OP_UPDATE | OP_TIED | OP_NO_GRAD,
    .shape = update_shape,
    .cost = update_cost,
    .ref = lion_ref,
    .tiles = update_tiles,
    .run = lion_run,
    .samples = update_samples,
};
