/* asgd: averaged stochastic gradient descent. Formula: torch.optim.ASGD (Polyak and Juditsky 1992; the rates of Bottou's sgd). Its rate and weight of the
 * average are closed forms of the step, so a parameter has one state: the average. */
#include <math.h>

#include "engine/optims/optim.h"
#include "engine/optims/update.h"

struct asgd_args {
    struct optim_common common;
    double lambd, alpha, t0;
};

enum { C_ETA, C_SHRINK, C_MU };

/* p = p (1 - lambd eta) - eta g;  ax = ax + mu (p - ax) */
static void asgd_step(float *restrict p, float *const *st, const float *restrict g, int64_t n, struct update_grad h, const float *c, int64_t variant) {
    float *restrict ax = st[0];
    const float eta = c[C_ETA], shrink = c[C_SHRINK], mu = c[C_MU];
    (void)variant;
#pragma omp simd
    for (int64_t i = 0; i < n; i++) {
        float x = g ? update_g(h, g[i], p[i]) : update_g0(h, p[i]), q = p[i] * shrink - eta * x;
        p[i] = q;
        ax[i] = mu < 1 ? ax[i] + mu * (q - ax[i]) : q;
    }
}

static double asgd_one(double p, double *s, double g, const double *c, int64_t variant) {
    double q = p * c[C_SHRINK] - c[C_ETA] * g;
    (void)variant;
    s[0] = c[C_MU] < 1 ? s[0] + c[C_MU] * (q - s[0]) : q;
    return q;
}

static void asgd_run(const struct exec *x, int64_t lo, int64_t hi) { update_run(x, lo, hi, asgd_step); }

static void asgd_ref(const struct exec *x) { update_ref(x, asgd_one); }

/* The rates that step t - 1 left: eta = lr / (1 + lambd lr (t - 1))^alpha, mu = 1 / max(1, t - 1 - t0) */
static void asgd_coef(const void *args, int64_t t, double lr, double *memory, double *c) {
    const struct asgd_args *a = args;
    double before = (double)(t - 1);
    (void)memory;
    c[C_ETA] = lr / pow(1 + a->lambd * lr * before, a->alpha);
    c[C_SHRINK] = 1 - a->lambd * c[C_ETA];
    c[C_MU] = 1 / fmax(1, before - a->t0);
}

static int asgd_states(const void *args, const char *names[OPTIM_STATES]) {
    (void)args;
    names[0] = "ax";
    return 1;
}

static const struct arg asgd_table[] = {
    OPTIM_ARGS(asgd_args, "0.01", "0"),
    {"lambd", "decay of weights and rate", NULL, "1e-4", ARG_NUM, offsetof(struct asgd_args, lambd), ARG_LIVE, AT_STEP, 0, 1e6},
    {"alpha", "power of the falling rate", NULL, "0.75", ARG_NUM, offsetof(struct asgd_args, alpha), ARG_LIVE, AT_STEP, 0, 10},
    {"t0", "step from which the average is taken; it stands in checkpoints as NAME/ax", NULL, "1e6", ARG_NUM, offsetof(struct asgd_args, t0), ARG_LIVE, AT_STEP,
        0, 1e15},
    {NULL},
};

const struct optim ISA(optim_asgd) = {
    .kind = {"asgd", "averaged stochastic gradient descent (Polyak and Juditsky 1992)", "optim.asgd{lr=0.01, t0=1000}", asgd_table, sizeof(struct asgd_args)},
    .op = "asgd_update",
    .states = asgd_states,
    .coef = asgd_coef,
};
const struct op ISA(op_asgd_update) = {
    .kind = {"asgd_update", "one step of asgd", NULL, update_args, sizeof(struct update_attr)},
    .in_min = 4,
    .in_max = 6,
    .n_out = 2,
    .flags = OP_UPDATE | OP_TIED | OP_NO_GRAD,
    .shape = update_shape,
    .cost = update_cost,
    .ref = asgd_ref,
    .tiles = update_tiles,
    .run = asgd_run,
    .samples = update_samples,
};
