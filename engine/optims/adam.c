/* The Adam family: adam, adamw, adamax, nadam, radam. One walk over memory: parameter, moments and gradient are read once, written once.
 * Formulas: torch.optim (Kingma and Ba 2015; Loshchilov and Hutter 2019; Dozat 2016; Liu et al. 2020). */
#include <math.h>

#include "engine/optims/adam.h"
#include "engine/optims/optim.h"
#include "engine/optims/update.h"

enum { V_AMSGRAD = 1 };

static inline __attribute__((always_inline)) void adam_loop(float *restrict p, float *restrict m, float *restrict v, float *restrict top,
    const float *restrict g, int64_t n, struct update_grad h, const float *c, bool nesterov) {
    const float shrink = c[C_SHRINK], step = c[C_STEP], step_g = c[C_STEP_G], root = c[C_ROOT], eps = c[C_EPS], n1 = c[C_N1], b2 = c[C_B2], n2 = c[C_N2];
#pragma omp simd
    for (int64_t i = 0; i < n; i++) {
        float x = g ? update_g(h, g[i], p[i]) : update_g0(h, p[i]);
        float a = m[i] + n1 * (x - m[i]), b = b2 * v[i] + n2 * x * x;
        m[i] = a;
        v[i] = b;
        if (top) top[i] = b = top[i] > b ? top[i] : b;
        float num = nesterov ? a * step + x * step_g : a * step;
        p[i] = p[i] * shrink - num / (sqrtf(b) * root + eps);
    }
}

static void adam_step(float *p, float *const *s, const float *g, int64_t n, struct update_grad h, const float *c, int64_t variant) {
    if (variant & V_AMSGRAD) {
        if (g) adam_loop(p, s[0], s[1], s[2], g, n, h, c, true);
        else adam_loop(p, s[0], s[1], s[2], NULL, n, h, c, true);
    } else if (c[C_STEP_G] != 0) {
        if (g) adam_loop(p, s[0], s[1], NULL, g, n, h, c, true);
        else adam_loop(p, s[0], s[1], NULL, NULL, n, h, c, true);
    } else if (g) adam_loop(p, s[0], s[1], NULL, g, n, h, c, false);
    else adam_loop(p, s[0], s[1], NULL, NULL, n, h, c, false);
}

static double adam_one(double p, double *s, double g, const double *c, int64_t variant) {
    s[0] += c[C_N1] * (g - s[0]);
    s[1] = c[C_B2] * s[1] + c[C_N2] * g * g;
    double b = s[1];
    if (variant & V_AMSGRAD) s[2] = b = fmax(s[2], b);
    return p * c[C_SHRINK] - (c[C_STEP] * s[0] + c[C_STEP_G] * g) / (sqrt(b) * c[C_ROOT] + c[C_EPS]);
}

static void adam_run(const struct exec *x, int64_t lo, int64_t hi) { update_run(x, lo, hi, adam_step); }

static void adam_ref(const struct exec *x) { update_ref(x, adam_one); }

/* adamax: u = max(b2 u, |g| + eps); p = p - lr / (1 - b1^t) m / u */
static void adamax_step(float *restrict p, float *const *s, const float *g, int64_t n, struct update_grad h, const float *c, int64_t variant) {
    float *restrict m = s[0], *restrict u = s[1];
    (void)variant;
#pragma omp simd
    for (int64_t i = 0; i < n; i++) {
        float x = g ? update_g(h, g[i], p[i]) : update_g0(h, p[i]), a = m[i] + c[C_N1] * (x - m[i]), b = c[C_B2] * u[i], d = fabsf(x) + c[C_EPS];
        m[i] = a;
        u[i] = b = b > d ? b : d;
        p[i] -= c[C_STEP] * a / b;
    }
}

static double adamax_one(double p, double *s, double g, const double *c, int64_t variant) {
    (void)variant;
    s[0] += c[C_N1] * (g - s[0]);
    s[1] = fmax(c[C_B2] * s[1], fabs(g) + c[C_EPS]);
    return p - c[C_STEP] * s[0] / s[1];
}

static void adamax_run(const struct exec *x, int64_t lo, int64_t hi) { update_run(x, lo, hi, adamax_step); }

static void adamax_ref(const struct exec *x) { update_ref(x, adamax_one); }

void ISA(adam_numbers)(double beta1, double beta2, double eps, int64_t t, double lr, double *c) {
    c[C_SHRINK] = 1;
    c[C_STEP] = lr / (1 - pow(beta1, (double)t));
    c[C_STEP_G] = 0;
    c[C_ROOT] = 1 / sqrt(1 - pow(beta2, (double)t));
    c[C_EPS] = eps;
    c[C_B1] = beta1;
    c[C_N1] = 1 - beta1;
    c[C_B2] = beta2;
    c[C_N2] = 1 - beta2;
}

static void common_coef(const struct adam_args *a, int64_t t, double lr, double *c) { ISA(adam_numbers)(a->beta1, a->beta2, a->eps, t, lr, c); }

static void adam_coef(const void *args, int64_t t, double lr, double *memory, double *c) {
    (void)memory;
    common_coef(args, t, lr, c);
}

static void adamw_coef(const void *args, int64_t t, double lr, double *memory, double *c) {
    const struct adam_args *a = args;
    (void)memory;
    common_coef(a, t, lr, c);
    c[C_SHRINK] = 1 - lr * a->common.weight_decay;
}

/* mu_t = b1 (1 - 0.5 0.96^(t momentum_decay)); memory[0]: product of mu so far */
static void nadam_coef(const void *args, int64_t t, double lr, double *memory, double *c) {
    const struct adam_args *a = args;
    common_coef(a, t, lr, c);
    double mu = a->beta1 * (1 - 0.5 * pow(0.96, (double)t * a->momentum_decay)), next = a->beta1 * (1 - 0.5 * pow(0.96, (double)(t + 1) * a->momentum_decay));
    double product = (t == 1 ? 1 : memory[0]) * mu;
    memory[0] = product;
    c[C_STEP_G] = lr * (1 - mu) / (1 - product);
    c[C_STEP] = lr * next / (1 - product * next);
}

/* Liu et al. 2020 as torch.optim.RAdam: while rho_t <= 5 the step has no denominator. */
static void radam_coef(const void *args, int64_t t, double lr, double *memory, double *c) {
    const struct adam_args *a = args;
    (void)memory;
    common_coef(a, t, lr, c);
    double b2t = pow(a->beta2, (double)t), rho_inf = 2 / (1 - a->beta2) - 1, rho = rho_inf - 2 * (double)t * b2t / (1 - b2t);
    if (rho > 5) {
        double rect = sqrt((rho - 4) * (rho - 2) * rho_inf / ((rho_inf - 4) * (rho_inf - 2) * rho));
        c[C_STEP] *= rect * sqrt(1 - b2t); /* adaptive: sqrt(1 - b2^t) / (sqrt(v) + eps) */
        c[C_ROOT] = 1;
    } else {
        c[C_ROOT] = 0;
        c[C_EPS] = 1;
    }
}

static int two(const void *args, const char *names[OPTIM_STATES]) {
    (void)args;
    names[0] = "m";
    names[1] = "v";
    return 2;
}

static int adam_states(const void *args, const char *names[OPTIM_STATES]) {
    const struct adam_args *a = args;
    two(args, names);
    names[2] = "vmax";
    return a->amsgrad ? 3 : 2;
}

/* Embedding tables and small parameters keep 32 bits (Dettmers et al. 2022, sections 2.3 and 3). */
static bool eight(const void *args, const struct optim_param *p) { return ((const struct adam_args *)args)->bits == 8 && !p->table && p->len >= ADAM8_MIN; }

static const struct optim *adam_rule(const void *args, const struct optim_param *p) { return eight(args, p) ? &ISA(optim_adam8) : &ISA(optim_adam); }

static const struct optim *adamw_rule(const void *args, const struct optim_param *p) { return eight(args, p) ? &ISA(optim_adamw8) : &ISA(optim_adamw); }

static int adam_check(const void *args, struct err *e) {
    const struct adam_args *a = args;
    if (a->bits != 8 && a->bits != 32) return err_code(e, ERR_USAGE, "bits must be 32 or 8, not %lld", (long long)a->bits);
    return a->bits == 8 && a->amsgrad ? err_code(e, ERR_USAGE, "amsgrad keeps its state in 32 bits: leave out amsgrad or bits=8") : 0;
}

static int adam_variant(const void *args) { return ((const struct adam_args *)args)->amsgrad ? V_AMSGRAD : 0; }

#define BITS                                                                                                                                            \
    {                                                                                                                                                   \
        "bits",                                                                                                                                         \
            "32 or 8, of the moments; 8: blocks of 256 with a scale each, a quarter of the memory, but for embedding tables and parameters below 4096 " \
            "elements",                                                                                                                                 \
            NULL, "32", ARG_INT, offsetof(struct adam_args, bits), 0, AT_RUN, 8, 32                                                                     \
    }
#define BETAS                                                                                                                                  \
    {"beta1", "decay of the first moment", NULL, "0.9", ARG_NUM, offsetof(struct adam_args, beta1), ARG_LIVE, AT_STEP, 0, 0.999999},           \
        {"beta2", "decay of the second moment", NULL, "0.999", ARG_NUM, offsetof(struct adam_args, beta2), ARG_LIVE, AT_STEP, 0, 0.9999999}, { \
        "eps", "added to the denominator", NULL, "1e-8", ARG_NUM, offsetof(struct adam_args, eps), ARG_LIVE, AT_STEP, 0, 1                     \
    }
static const struct arg adam_table[] = {
    OPTIM_ARGS(adam_args, "0.001", "0"),
    BETAS,
    {"amsgrad", "the largest second moment so far is used", NULL, "false", ARG_BOOL, offsetof(struct adam_args, amsgrad), 0, AT_RUN},
    BITS,
    {NULL},
};
static const struct arg adamw_table[] = {
    OPTIM_ARGS(adam_args, "0.001", "0.01"),
    BETAS,
    {"amsgrad", "the largest second moment so far is used", NULL, "false", ARG_BOOL, offsetof(struct adam_args, amsgrad), 0, AT_RUN},
    BITS,
    {NULL},
};
static const struct arg adamax_table[] = {OPTIM_ARGS(adam_args, "0.002", "0"), BETAS, {NULL}};
static const struct arg nadam_table[] = {
    OPTIM_ARGS(adam_args, "0.002", "0"),
    BETAS,
    {"momentum_decay", "how fast the momentum schedule rises", NULL, "0.004", ARG_NUM, offsetof(struct adam_args, momentum_decay), 0, AT_RUN, 0, 1},
    {NULL},
};
static const struct arg radam_table[] = {OPTIM_ARGS(adam_args, "0.001", "0"), BETAS, {NULL}};

const struct optim ISA(optim_adam) = {
    .kind = {"adam", "Adam (Kingma and Ba 2015)", "optim.adam{lr=1e-3}", adam_table, sizeof(struct adam_args)},
    .op = "adam_update",
    .states = adam_states,
    .variant = adam_variant,
    .coef = adam_coef,
    .check = adam_check,
    .rule = adam_rule,
};
const struct optim ISA(optim_adamw) = {
    .kind = {"adamw", "Adam with decoupled weight decay (Loshchilov and Hutter 2019)", "optim.adamw{lr=1e-3, weight_decay=0.01}", adamw_table,
        sizeof(struct adam_args)},
    .op = "adam_update",
    .decoupled = true,
    .states = adam_states,
    .variant = adam_variant,
    .coef = adamw_coef,
    .check = adam_check,
    .rule = adamw_rule,
};
const struct optim ISA(optim_adamax) = {
    .kind = {"adamax", "Adam with the infinity norm (Kingma and Ba 2015)", "optim.adamax{lr=2e-3}", adamax_table, sizeof(struct adam_args)},
    .op = "adamax_update",
    .states = two,
    .coef = adam_coef,
};
const struct optim ISA(optim_nadam) = {
    .kind = {"nadam", "Adam with Nesterov momentum (Dozat 2016)", "optim.nadam{lr=2e-3}", nadam_table, sizeof(struct adam_args)},
    .op = "adam_update",
    .states = two,
    .coef = nadam_coef,
};
const struct optim ISA(optim_radam) = {
    .kind = {"radam", "rectified Adam (Liu et al. 2020)", "optim.radam{lr=1e-3}", radam_table, sizeof(struct adam_args)},
    .op = "adam_update",
    .states = two,
    .coef = radam_coef,
};
const struct op ISA(op_adam_update) = {
    .kind = {"adam_update", "one step of adam, adamw, nadam or radam", NULL, update_args, sizeof(struct update_attr)},
    .in_min = 5,
    .in_max = 8,
    .n_out = 4,
    .flags = OP_UPDATE | OP_TIED | OP_NO_GRAD,
    .shape = update_shape,
    .cost = update_cost,
    .ref = adam_ref,
    .tiles = update_tiles,
    .run = adam_run,
    .samples = update_samples,
};
const struct op ISA(op_adamax_update) = {
    .kind = {"adamax_update", "one step of adamax", NULL, update_args, sizeof(struct update_attr)},
    .in_min = 5,
    .in_max = 7,
    .n_out = 3,
    .flags = OP_UPDATE | OP_TIED | OP_NO_GRAD,
    .shape = update_shape,
    .cost = update_cost,
    .ref = adamax_ref,
    .tiles = update_tiles,
    .run = adamax_run,
    .samples = update_samples,
};
