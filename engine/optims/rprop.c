/* rprop: the sign of the gradient, with a step size of its own for every weight. Formula: torch.optim.Rprop (Riedmiller and Braun 1993, without backtracking).
 * For whole batches: the sign of a small batch's gradient is mostly noise. */
#include <math.h>

#include "engine/optims/optim.h"
#include "engine/optims/update.h"

struct rprop_args {
    struct optim_common common;
    double eta_minus, eta_plus, step_min, step_max;
};

enum { C_FIRST, C_MINUS, C_PLUS, C_MIN, C_MAX };

/* s = clamp(s eta, min, max), eta by the sign of g prev;  g = 0 where it turned;  p = p - sign(g) s.  A step size of 0 was never set: it begins at lr. */
static void rprop_step(float *restrict p, float *const *st, const float *restrict g, int64_t n, struct update_grad h, const float *c, int64_t variant) {
    float *restrict prev = st[0], *restrict size = st[1];
    const float first = c[C_FIRST], minus = c[C_MINUS], plus = c[C_PLUS], lo = c[C_MIN], hi = c[C_MAX];
    (void)variant;
#pragma omp simd
    for (int64_t i = 0; i < n; i++) {
        float x = g ? update_g(h, g[i], p[i]) : update_g0(h, p[i]), was = prev[i], s = size[i] > 0 ? size[i] : first;
        bool up = (x > 0 && was > 0) || (x < 0 && was < 0), turn = (x > 0 && was < 0) || (x < 0 && was > 0);
        s *= up ? plus : turn ? minus : 1.0f;
        s = s < lo ? lo : s;
        s = s > hi ? hi : s;
        x = turn ? 0.0f : x;
        size[i] = s;
        prev[i] = x;
        p[i] -= (x > 0 ? s : 0.0f) - (x < 0 ? s : 0.0f);
    }
}

static double rprop_one(double p, double *s, double g, const double *c, int64_t variant) {
    double sign = (g > 0) - (g < 0), was = (s[0] > 0) - (s[0] < 0), eta = sign * was > 0 ? c[C_PLUS] : sign * was < 0 ? c[C_MINUS] : 1;
    (void)variant;
    s[1] = fmin(fmax((s[1] > 0 ? s[1] : c[C_FIRST]) * eta, c[C_MIN]), c[C_MAX]);
    s[0] = sign * was < 0 ? 0 : g;
    return p - ((s[0] > 0) - (s[0] < 0)) * s[1];
}

static void rprop_run(const struct exec *x, int64_t lo, int64_t hi) { update_run(x, lo, hi, rprop_step); }

static void rprop_ref(const struct exec *x) { update_ref(x, rprop_one); }

static void rprop_coef(const void *args, int64_t t, double lr, double *memory, double *c) {
    const struct rprop_args *a = args;
    (void)memory, (void)t;
    c[C_FIRST] = lr;
    c[C_MINUS] = a->eta_minus;
    c[C_PLUS] = a->eta_plus;
    c[C_MIN] = a->step_min;
    c[C_MAX] = a->step_max;
}

static int rprop_states(const void *args, const char *names[OPTIM_STATES]) {
    (void)args;
    names[0] = "grad";
    names[1] = "size";
    return 2;
}

static const struct arg rprop_table[] = {
    OPTIM_ARGS(rprop_args, "0.01", "0"),
    {"eta_minus", "factor of a step size when the gradient turned", NULL, "0.5", ARG_NUM, offsetof(struct rprop_args, eta_minus), ARG_LIVE, AT_STEP, 1e-6, 1},
    {"eta_plus", "factor when it kept its sign", NULL, "1.2", ARG_NUM, offsetof(struct rprop_args, eta_plus), ARG_LIVE, AT_STEP, 1, 1e3},
    {"step_min", "smallest step", NULL, "1e-6", ARG_NUM, offsetof(struct rprop_args, step_min), ARG_LIVE, AT_STEP, 1e-30, 1e6},
    {"step_max", "largest step", NULL, "50", ARG_NUM, offsetof(struct rprop_args, step_max), ARG_LIVE, AT_STEP, 1e-30, 1e6},
    {NULL},
};

const struct optim ISA(optim_rprop) = {
    .kind = {"rprop", "sign of the gradient, a step size a weight (Riedmiller and Braun 1993); for whole batches, lr is the first step", "optim.rprop{lr=0.01}",
        rprop_table, sizeof(struct rprop_args)},
    .op = "rprop_update",
    .states = rprop_states,
    .coef = rprop_coef,
};
const struct op ISA(op_rprop_update) = {
    .kind = {"rprop_update", "one step of rprop", NULL, update_args, sizeof(struct update_attr)},
    .in_min = 5,
    .in_max = 7,
    .n_out = 3,
    .flags = OP_UPDATE | OP_TIED | OP_NO_GRAD,
    .shape = update_shape,
    .cost = update_cost,
    .ref = rprop_ref,
    .tiles = update_tiles,
    .run = rprop_run,
    .samples = update_samples,
};
