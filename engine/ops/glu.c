/* Gated linear units (Dauphin et al. 2017; Shazeer 2020): x (.., 2 n) in two halves a, b -> (.., n). gate=second: a act(b) (torch.nn.functional.glu with
 * sigmoid); gate=first: act(a) b (SwiGLU with silu, GEGLU with gelu). The gradient is one op: the other half times dy, and dy act' times the plain half. */
#include "engine/ops/kit.h"
#include "engine/ops/math.h"

#define WORK 8192
#define END 1e3 /* beyond it the activations are their limits */
#define SQRT1_2 0.70710678118654752440
#define SQRT_2_PI 0.79788456080286535588 /* sqrt(2 / pi) */
#define INV_SQRT_2PI 0.39894228040143267794

enum { SIGMOID, SILU, GELU, GELU_TANH, RELU, TANH };
enum { SECOND, FIRST };
struct glu_args {
    int act, gate;
};
typedef float (*fn)(float);

static int halves(const struct tensor *x, struct err *e) {
    if (x->ndim >= 1 && x->dim[x->ndim - 1].axis == AXIS_ONE && x->dim[x->ndim - 1].k % 2 == 0) return 0;
    return err_set(e, "needs values (.., 2 n): the last extent is cut in two halves");
}
static int glu_shape(struct shaping *s, struct err *e) {
    if (!kit_float(s, 0)) return err_set(e, "the input must be of a float type");
    if (halves(s->in[0], e) < 0) return -1;
    kit_like(&s->out[0], s->in[0]);
    s->out[0].dim[s->out[0].ndim - 1].k /= 2;
    s->n_out = 1;
    return 0;
}
static int grad_shape(struct shaping *s, struct err *e) {
    if (!kit_float(s, 0) || !kit_float(s, 1) || halves(s->in[0], e) < 0 || s->in[1]->ndim != s->in[0]->ndim)
        return err_set(e, "needs values (.., 2 n) and a gradient (.., n)");
    kit_like(&s->out[0], s->in[0]);
    s->n_out = 1;
    return 0;
}
static int glu_grad(struct graph *g, const struct node *n, const tid *dout, tid *din, struct err *e) {
    struct node k = *n;
    tid in[] = {k.in[0], dout[0]};
    return (din[0] = kit_add_take(g, "glu_grad", args_to_val(&k.op->kind, k.attr), in, 2, NULL, e)) < 0 ? -1 : 0;
}

static double act_ref(int act, double x, double *slope) {
    if (x > END && act != RELU) return *slope = act != SIGMOID && act != TANH, *slope > 0 ? x : 1; /* where 0 times an infinite number would be NaN */
    x = x < -END ? -END : x;
    double s = 1 / (1 + exp(-x)), t, u;
    switch (act) {
    case SIGMOID: return *slope = s * (1 - s), s;
    case SILU: return *slope = s * (1 + x * (1 - s)), x * s;
    case GELU: return t = 0.5 * (1 + erf(x * SQRT1_2)), *slope = t + x * INV_SQRT_2PI * exp(-0.5 * x * x), x * t;
    case GELU_TANH:
        u = tanh(SQRT_2_PI * (x + 0.044715 * x * x * x));
        return *slope = 0.5 * (1 + u) + 0.5 * x * (1 - u * u) * SQRT_2_PI * (1 + 3 * 0.044715 * x * x), 0.5 * x * (1 + u);
    case RELU: return *slope = x > 0, x > 0 ? x : isnan(x) ? x : 0;
    default: return t = tanh(x), *slope = 1 - t * t, t;
    }
}
static void glu_ref(const struct exec *x) {
    const struct glu_args *a = x->attr;
    int64_t n = kit_last(&x->out[0]);
    double slope;
    for (int64_t i = 0; i < x->out[0].len; i++) {
        double p = view_get(&x->in[0], i / n * 2 * n + i % n), q = view_get(&x->in[0], i / n * 2 * n + n + i % n);
        view_put(&x->out[0], i, a->gate == FIRST ? act_ref(a->act, p, &slope) * q : p * act_ref(a->act, q, &slope));
    }
}
static void grad_ref(const struct exec *x) {
    const struct glu_args *a = x->attr;
    int64_t n = kit_last(&x->in[1]);
    for (int64_t i = 0; i < x->in[1].len; i++) {
        int64_t at = i / n * 2 * n + i % n, gate = a->gate == FIRST ? at : at + n, plain = a->gate == FIRST ? at + n : at;
        double d = view_get(&x->in[1], i), slope, v = act_ref(a->act, view_get(&x->in[0], gate), &slope), other = view_get(&x->in[0], plain);
        view_put(&x->out[0], gate, d * other * slope);
        view_put(&x->out[0], plain, d * v);
    }
}

static float f_sigmoid(float x) { return math_sigmoid(x); }
static float f_silu(float x) { return math_silu(x); }
static float f_gelu(float x) { return math_gelu(x); }
static float f_gelu_tanh(float x) { return math_gelu_tanh(x); }
static float f_relu(float x) { return x > 0 ? x : x != x ? x : 0; }
static float f_tanh(float x) { return math_tanh(x); }
static float d_sigmoid(float x) {
    float s = math_sigmoid(x);
    return s * (1 - s);
}
static float d_silu(float x) { return math_silu_slope(x); }
static float d_gelu(float x) { return math_gelu_slope(x); }
static float d_gelu_tanh(float x) { return math_gelu_tanh_slope(x); }
static float d_relu(float x) { return x > 0; }
static float d_tanh(float x) {
    float t = math_tanh(x);
    return 1 - t * t;
}

/* f and d are constants at every use, so they are inlined and vectorised. */
static inline __attribute__((always_inline)) void rows_of(const struct exec *x, int64_t lo, int64_t hi, fn f, fn d) {
    const struct view *small = d ? &x->in[1] : &x->out[0];
    int64_t n = kit_last(small), grain = kit_grain(WORK, n), first = ((const struct glu_args *)x->attr)->gate == FIRST;
    for (int64_t r = lo * grain; r < kit_min(kit_rows(small), hi * grain); r++) {
        const float *gate = (const float *)x->in[0].data + r * 2 * n + (first ? 0 : n), *plain = (const float *)x->in[0].data + r * 2 * n + (first ? n : 0);
        if (!d) {
            float *y = (float *)x->out[0].data + r * n;
#pragma omp simd
            for (int64_t i = 0; i < n; i++) y[i] = f(gate[i]) * plain[i];
            continue;
        }
        const float *dy = (const float *)x->in[1].data + r * n;
        float *dg = (float *)x->out[0].data + r * 2 * n + (first ? 0 : n), *dp = (float *)x->out[0].data + r * 2 * n + (first ? n : 0);
#pragma omp simd
        for (int64_t i = 0; i < n; i++) dg[i] = dy[i] * plain[i] * d(gate[i]);
#pragma omp simd
        for (int64_t i = 0; i < n; i++) dp[i] = dy[i] * f(gate[i]);
    }
}
#define CASE(A, name) \
    case A: rows_of(x, lo, hi, f_##name, back ? d_##name : NULL); break;
static inline __attribute__((always_inline)) void run_act(const struct exec *x, int64_t lo, int64_t hi, const bool back) {
    switch (((const struct glu_args *)x->attr)->act) {
        CASE(SIGMOID, sigmoid)
        CASE(SILU, silu)
        CASE(GELU, gelu)
        CASE(GELU_TANH, gelu_tanh)
        CASE(RELU, relu)
        CASE(TANH, tanh)
    }
}
static void glu_run(const struct exec *x, int64_t lo, int64_t hi) { run_act(x, lo, hi, false); }
static void grad_run(const struct exec *x, int64_t lo, int64_t hi) { run_act(x, lo, hi, true); }
static int64_t glu_tiles(const struct exec *x) { return kit_tiles(kit_rows(&x->out[0]), kit_grain(WORK, kit_last(&x->out[0]))); }
static int64_t grad_tiles(const struct exec *x) { return kit_tiles(kit_rows(&x->in[1]), kit_grain(WORK, kit_last(&x->in[1]))); }

static const char *const acts[] = {"sigmoid", "silu", "gelu", "gelu_tanh", "relu", "tanh", NULL}, *const gates[] = {"second", "first", NULL};
static const struct arg glu_arg[] = {{.name = "act",
                                         .help = "function of the gate",
                                         .def = "sigmoid",
                                         .type = ARG_ENUM,
                                         .flags = ARG_POSITIONAL,
                                         .offset = offsetof(struct glu_args, act),
                                         .names = acts},
    {.name = "gate", .help = "which half is the gate", .def = "second", .type = ARG_ENUM, .offset = offsetof(struct glu_args, gate), .names = gates}, {0}};
static const struct sample glu_samples[] = {{NULL, "f(R,4)"}, {"act=silu gate=first", "f(R,3,6)[-3,3]"}, {"act=gelu gate=first", "f(T0,34)[-3,3]"},
    {"act=gelu_tanh", "f(R,6)[-3,3]"}, {"act=relu gate=first", "f(R,8)"}, {"act=tanh", "f(R,66)[-2,2]"}, {0}};
static const struct sample grad_samples[] = {{NULL, "f(R,4) f(R,2)"}, {"act=silu gate=first", "f(R,3,6)[-3,3] f(R,3,3)"},
    {"act=gelu gate=first", "f(R,34)[-3,3] f(R,17)"}, {"act=relu", "f(R,6) f(R,3)"}, {0}};

const struct op ISA(op_glu) = {.kind = {.name = "glu",
                                   .help = "one half of the values times a function of the other",
                                   .example = "nn.glu{}",
                                   .args = glu_arg,
                                   .size = sizeof(struct glu_args)},
    .in_min = 1,
    .in_max = 1,
    .n_out = 1,
    .flags = OP_LAYER,
    .shape = glu_shape,
    .grad = glu_grad,
    .ref = glu_ref,
    .tiles = glu_tiles,
    .run = glu_run,
    .samples = glu_samples};
const struct op ISA(op_glu_grad) = {.kind = {.name = "glu_grad", .help = "gradient of glu", .args = glu_arg, .size = sizeof(struct glu_args)},
    .in_min = 2,
    .in_max = 2,
    .n_out = 1,
    .shape = grad_shape,
    .ref = grad_ref,
    .tiles = grad_tiles,
    .run = grad_run,
    .samples = grad_samples};
