/* rmsprop, with a centred variance and momentum if asked. Formulas: torch.optim.RMSprop (Tieleman and Hinton 2012; Graves 2013). */
#include <math.h>

#include "engine/optims/optim.h"
#include "engine/optims/update.h"

struct rmsprop_args {
    struct optim_common common;
    double alpha, eps, momentum;
    bool centered;
};

/* States in order: square, mean (centred), momentum buffer (momentum > 0). */
enum { C_LR, C_ALPHA, C_EPS, C_MOMENTUM };
enum { V_CENTERED = 1, V_MOMENTUM = 2 };

static inline __attribute__((always_inline)) void rmsprop_loop(float *restrict p, float *restrict sq, float *restrict mean, float *restrict buf,
    const float *restrict g, int64_t n, struct update_grad h, const float *c, bool centered, bool momentum) {
    const float lr = c[C_LR], alpha = c[C_ALPHA], eps = c[C_EPS], mu = c[C_MOMENTUM];
#pragma omp simd
    for (int64_t i = 0; i < n; i++) {
        float x = g ? update_g(h, g[i], p[i]) : update_g0(h, p[i]), v = alpha * sq[i] + (1 - alpha) * x * x;
        sq[i] = v;
        if (centered) {
            float m = mean[i] + (1 - alpha) * (x - mean[i]);
            mean[i] = m;
            v = v > m * m ? v - m * m : 0; /* rounding must not make a variance negative */
        }
        float d = x / (sqrtf(v) + eps);
        if (momentum) buf[i] = d = mu * buf[i] + d;
        p[i] -= lr * d;
    }
}

static void rmsprop_step(float *p, float *const *s, const float *g, int64_t n, struct update_grad h, const float *c, int64_t variant) {
    if (variant == (V_CENTERED | V_MOMENTUM)) rmsprop_loop(p, s[0], s[1], s[2], g, n, h, c, true, true);
    else if (variant == V_CENTERED) rmsprop_loop(p, s[0], s[1], NULL, g, n, h, c, true, false);
    else if (variant == V_MOMENTUM) rmsprop_loop(p, s[0], NULL, s[1], g, n, h, c, false, true);
    else rmsprop_loop(p, s[0], NULL, NULL, g, n, h, c, false, false);
}

static double rmsprop_one(double p, double *s, double g, const double *c, int64_t variant) {
    double *buf = variant & V_CENTERED ? &s[2] : &s[1];
    s[0] = c[C_ALPHA] * s[0] + (1 - c[C_ALPHA]) * g * g;
    double v = s[0];
    if (variant & V_CENTERED) {
        s[1] += (1 - c[C_ALPHA]) * (g - s[1]);
        v = fmax(v - s[1] * s[1], 0);
    }
    double d = g / (sqrt(v) + c[C_EPS]);
    if (variant & V_MOMENTUM) *buf = d = c[C_MOMENTUM] * *buf + d;
    return p - c[C_LR] * d;
}

static void rmsprop_run(const struct exec *x, int64_t lo, int64_t hi) { update_run(x, lo, hi, rmsprop_step); }

static void rmsprop_ref(const struct exec *x) { update_ref(x, rmsprop_one); }

static void rmsprop_coef(const void *args, int64_t t, double lr, double *memory, double *c) {
    const struct rmsprop_args *a = args;
    (void)memory, (void)t;
    c[C_LR] = lr;
    c[C_ALPHA] = a->alpha;
    c[C_EPS] = a->eps;
    c[C_MOMENTUM] = a->momentum;
}

static int rmsprop_variant(const void *args) {
    const struct rmsprop_args *a = args;
    return (a->centered ? V_CENTERED : 0) | (a->momentum > 0 ? V_MOMENTUM : 0);
}

static int rmsprop_states(const void *args, const char *names[OPTIM_STATES]) {
    int n = 0, v = rmsprop_variant(args);
    names[n++] = "square";
    if (v & V_CENTERED) names[n++] = "mean";
    if (v & V_MOMENTUM) names[n++] = "momentum";
    return n;
}

static const struct arg rmsprop_table[] = {
    OPTIM_ARGS(rmsprop_args, "0.01", "0"),
    {"alpha", "decay of the running mean of squares", NULL, "0.99", ARG_NUM, offsetof(struct rmsprop_args, alpha), ARG_LIVE, AT_STEP, 0, 1},
    {"eps", "added to the denominator", NULL, "1e-8", ARG_NUM, offsetof(struct rmsprop_args, eps), ARG_LIVE, AT_STEP, 0, 1},
    {"momentum", "share of the last step kept; 0: no momentum, no state", NULL, "0", ARG_NUM, offsetof(struct rmsprop_args, momentum), 0, AT_RUN, 0, 0.999999},
    {"centered", "divide by the variance instead of the mean square", NULL, "false", ARG_BOOL, offsetof(struct rmsprop_args, centered), 0, AT_RUN},
    {NULL},
};

const struct optim ISA(optim_rmsprop) = {
    .kind = {"rmsprop", "RMSprop (Tieleman and Hinton 2012)", "optim.rmsprop{lr=0.01, momentum=0.9}", rmsprop_table, sizeof(struct rmsprop_args)},
    .op = "rmsprop_update",
    .states = rmsprop_states,
    .variant = rmsprop_variant,
    .coef = rmsprop_coef,
};
const struct op ISA(op_rmsprop_update) = {
    .kind = {"rmsprop_update", "one step of rmsprop", NULL, update_args, sizeof(struct update_attr)},
    .in_min = 4,
    .in_max = 8,
    .n_out = 4,
    .flags = OP_UPDATE | OP_TIED | OP_NO_GRAD,
    .shape = update_shape,
    .cost = update_cost,
    .ref = rmsprop_ref,
    .tiles = update_tiles,
    .run = rmsprop_run,
    .samples = update_samples,
};
