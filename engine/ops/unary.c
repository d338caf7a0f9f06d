/* Functions of one number, element by element: y = f(x), and their gradients dx = dy f'(x, y) as ops "NAME_grad" with the inputs
 * (x or y, dy): those whose derivative is simple in y take y, so that f may work in place. The double forms are the definition. */
#include <stdio.h>

#include "engine/ops/half.h"
#include "engine/ops/kit.h"
#include "engine/ops/math.h"

#define GRAIN 16384 /* elements a tile */
#define SQRT1_2 0.70710678118654752440
#define SQRT_2_PI 0.79788456080286535588 /* sqrt(2 / pi) */
#define INV_SQRT_2PI 0.39894228040143267794

struct unary_args {
    double a;
    int approx;
};
typedef float (*fn_f)(float x, float a);
typedef double (*fn_d)(double x, double a);
static double unary_a(const struct exec *x) { return ((const struct unary_args *)x->attr)->a; }

static int unary_shape(struct shaping *s, struct err *e) {
    if (!kit_float(s, 0)) return err_set(e, "the input must be of a float type");
    kit_like(&s->out[0], s->in[0]);
    s->half_in = s->half_out = 1;
    s->n_out = 1;
    return 0;
}
static int pair_shape(struct shaping *s, struct err *e) {
    if (!kit_float(s, 0) || !kit_float(s, 1) || !kit_same(s->in[0], s->in[1])) return err_set(e, "value and gradient must have one shape");
    kit_like(&s->out[0], s->in[1]);
    s->half_in = 3, s->half_out = 1;
    s->n_out = 1;
    return 0;
}
static int64_t unary_tiles(const struct exec *x) { return kit_tiles(x->in[0].len, GRAIN); }

/* The loops; f is a constant at every use, so it is inlined and vectorised. They go through pieces, which are floats beside where a tensor is kept in 16
 * bits. */
#define PIECE 1024
static inline const float *piece(const struct view *v, int64_t at, int64_t n, float *own) { return half_up(v->dtype, half_at(v->dtype, v->data, at), n, own); }
static inline float *piece_out(const struct view *v, int64_t at, float *own) { return v->dtype == DT_F32 ? (float *)v->data + at : own; }
static inline void piece_end(const struct view *v, int64_t at, int64_t n, const float *y) {
    if (v->dtype != DT_F32) half_down(v->dtype, y, n, (uint16_t *)v->data + at);
}
static inline __attribute__((always_inline)) void map(const struct exec *x, int64_t lo, int64_t hi, fn_f f) {
    int64_t end = kit_min(x->in[0].len, hi * GRAIN);
    const float p = (float)unary_a(x);
    float own[PIECE], own_y[PIECE];
    for (int64_t at = lo * GRAIN; at < end; at += PIECE) {
        int64_t n = kit_min(PIECE, end - at);
        const float *a = piece(&x->in[0], at, n, own);
        float *y = piece_out(&x->out[0], at, own_y);
#pragma omp simd
        for (int64_t i = 0; i < n; i++) y[i] = f(a[i], p);
        piece_end(&x->out[0], at, n, y);
    }
}
static inline __attribute__((always_inline)) void map_grad(const struct exec *x, int64_t lo, int64_t hi, fn_f f) {
    int64_t end = kit_min(x->in[0].len, hi * GRAIN);
    const float p = (float)unary_a(x);
    float own[PIECE], own_d[PIECE], own_y[PIECE];
    for (int64_t at = lo * GRAIN; at < end; at += PIECE) {
        int64_t n = kit_min(PIECE, end - at);
        const float *a = piece(&x->in[0], at, n, own), *d = piece(&x->in[1], at, n, own_d);
        float *y = piece_out(&x->out[0], at, own_y);
#pragma omp simd
        for (int64_t i = 0; i < n; i++) y[i] = d[i] * f(a[i], p);
        piece_end(&x->out[0], at, n, y);
    }
}
static inline void map_ref(const struct exec *x, fn_d f) {
    for (int64_t i = 0; i < x->in[0].len; i++) view_put(&x->out[0], i, f(view_get(&x->in[0], i), unary_a(x)));
}
static inline void map_grad_ref(const struct exec *x, fn_d f) {
    for (int64_t i = 0; i < x->in[0].len; i++) view_put(&x->out[0], i, view_get(&x->in[1], i) * f(view_get(&x->in[0], i), unary_a(x)));
}
/* Appends OP_grad(input or output of the node, dy) with the node's own arguments. */
static int unary_grad(struct graph *g, const struct node *n, const tid *dout, tid *din, bool of_y, struct err *e) {
    struct node k = *n;
    char name[32];
    snprintf(name, sizeof name, "%s_grad", k.op->kind.name);
    tid in[] = {of_y ? k.out[0] : k.in[0], dout[0]};
    din[0] = kit_add_take(g, name, args_to_val(&k.op->kind, k.attr), in, 2, NULL, e);
    return din[0] < 0 ? -1 : 0;
}
static int grad_x(struct graph *g, const struct node *n, const tid *dout, tid *din, struct err *e) { return unary_grad(g, n, dout, din, false, e); }
static int grad_y(struct graph *g, const struct node *n, const tid *dout, tid *din, struct err *e) { return unary_grad(g, n, dout, din, true, e); }

/* f and f' in float and double; the second argument is slope, alpha or beta where there is one. At infinity they are their limits, where 0 times an
 * infinite number would be NaN; NaN passes: tests/engine/ends_test.c. */
#define END 1e3 /* what is beyond it changes nothing, in double */
static double ends(double x) { return x < -END ? -END : x > END ? END : x; }
static inline float relu_f(float x, float a) {
    (void)a;
    return x > 0 ? x : x != x ? x : 0;
}
static double relu_d(double x, double a) {
    (void)a;
    return x > 0 ? x : isnan(x) ? x : 0;
}
static inline float relu_gf(float y, float a) {
    (void)a;
    return y > 0 ? 1.0f : 0.0f;
}
static double relu_gd(double y, double a) {
    (void)a;
    return y > 0 ? 1 : 0;
}
static inline float tanh_f(float x, float a) {
    (void)a;
    return math_tanh(x);
}
static double tanh_d(double x, double a) {
    (void)a;
    return tanh(x);
}
static inline float tanh_gf(float y, float a) {
    (void)a;
    return 1.0f - y * y;
}
static double tanh_gd(double y, double a) {
    (void)a;
    return 1 - y * y;
}
static inline float sigmoid_f(float x, float a) {
    (void)a;
    return math_sigmoid(x);
}
static double sigmoid_d(double x, double a) {
    (void)a;
    return 1 / (1 + exp(-x));
}
static inline float sigmoid_gf(float y, float a) {
    (void)a;
    return y * (1.0f - y);
}
static double sigmoid_gd(double y, double a) {
    (void)a;
    return y * (1 - y);
}
static inline float silu_f(float x, float a) {
    (void)a;
    return math_silu(x);
}
static double silu_d(double x, double a) {
    (void)a;
    x = x < -END ? -END : x;
    return x / (1 + exp(-x));
}
static inline float silu_gf(float x, float a) {
    (void)a;
    return math_silu_slope(x);
}
static double silu_gd(double x, double a) {
    (void)a;
    x = ends(x);
    double s = 1 / (1 + exp(-x));
    return s * (1 + x * (1 - s));
}
static inline float leaky_relu_f(float x, float a) { return x > 0 ? x : a * x; }
static double leaky_relu_d(double x, double a) { return x > 0 ? x : a * x; }
static inline float leaky_relu_gf(float x, float a) { return x > 0 ? 1.0f : a; }
static double leaky_relu_gd(double x, double a) { return x > 0 ? 1 : a; }
static inline float elu_f(float x, float a) {
    float t = math_tanh(0.5f * (x > 0 ? 0 : x)); /* expm1(x) = 2 t / (1 - t) keeps its digits near 0 */
    return x > 0 ? x : a * (2.0f * t / (1.0f - t));
}
static double elu_d(double x, double a) { return x > 0 ? x : a * expm1(x); }
static inline float elu_gf(float x, float a) { return x > 0 ? 1.0f : a * math_exp(x); }
static double elu_gd(double x, double a) { return x > 0 ? 1 : a * exp(x); }
static inline float softplus_f(float x, float a) { return (x > 0 ? x : 0) + log1pf(math_exp(-fabsf(a * x))) / a; }
static double softplus_d(double x, double a) { return (x > 0 ? x : 0) + log1p(exp(-fabs(a * x))) / a; }
static inline float softplus_gf(float x, float a) { return math_sigmoid(a * x); }
static double softplus_gd(double x, double a) { return 1 / (1 + exp(-a * x)); }
static inline float exp_f(float x, float a) {
    (void)a;
    return math_exp(x);
}
static double exp_d(double x, double a) {
    (void)a;
    return exp(x);
}
static inline float exp_gf(float y, float a) {
    (void)a;
    return y;
}
static double exp_gd(double y, double a) {
    (void)a;
    return y;
}
static inline float log_f(float x, float a) {
    (void)a;
    return logf(x);
}
static double log_d(double x, double a) {
    (void)a;
    return log(x);
}
static inline float log_gf(float x, float a) {
    (void)a;
    return 1.0f / x;
}
static double log_gd(double x, double a) {
    (void)a;
    return 1 / x;
}
static inline float sqrt_f(float x, float a) {
    (void)a;
    return sqrtf(x);
}
static double sqrt_d(double x, double a) {
    (void)a;
    return sqrt(x);
}
static inline float sqrt_gf(float y, float a) {
    (void)a;
    return 0.5f / y;
}
static double sqrt_gd(double y, double a) {
    (void)a;
    return 0.5 / y;
}
static inline float square_f(float x, float a) {
    (void)a;
    return x * x;
}
static double square_d(double x, double a) {
    (void)a;
    return x * x;
}
static inline float square_gf(float x, float a) {
    (void)a;
    return 2.0f * x;
}
static double square_gd(double x, double a) {
    (void)a;
    return 2 * x;
}
static inline float abs_f(float x, float a) {
    (void)a;
    return fabsf(x);
}
static double abs_d(double x, double a) {
    (void)a;
    return fabs(x);
}
static inline float abs_gf(float x, float a) {
    (void)a;
    return x > 0 ? 1.0f : x < 0 ? -1.0f : 0.0f;
}
static double abs_gd(double x, double a) {
    (void)a;
    return x > 0 ? 1 : x < 0 ? -1 : 0;
}
static inline float neg_f(float x, float a) {
    (void)a;
    return -x;
}
static double neg_d(double x, double a) {
    (void)a;
    return -x;
}
static inline float scale_f(float x, float a) { return a * x; }
static double scale_d(double x, double a) { return a * x; }

/* GELU (Hendrycks & Gimpel 2016): x Phi(x), or its tanh form */
static inline float gelu_f(float x, float a) {
    (void)a;
    return math_gelu(x);
}
static double gelu_d(double x, double a) {
    (void)a;
    return 0.5 * (x < -END ? -END : x) * (1 + erf(x * SQRT1_2));
}
static inline float gelu_gf(float x, float a) {
    (void)a;
    return math_gelu_slope(x);
}
static double gelu_gd(double x, double a) {
    (void)a;
    x = ends(x);
    return 0.5 * (1 + erf(x * SQRT1_2)) + x * INV_SQRT_2PI * exp(-0.5 * x * x);
}
static inline float gelut_f(float x, float a) {
    (void)a;
    return math_gelu_tanh(x);
}
static double gelut_d(double x, double a) {
    (void)a;
    x = x < -END ? -END : x;
    return 0.5 * x * (1 + tanh(SQRT_2_PI * (x + 0.044715 * x * x * x)));
}
static inline float gelut_gf(float x, float a) {
    (void)a;
    return math_gelu_tanh_slope(x);
}
static double gelut_gd(double x, double a) {
    (void)a;
    x = ends(x);
    double t = tanh(SQRT_2_PI * (x + 0.044715 * x * x * x));
    return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * SQRT_2_PI * (1 + 0.134145 * x * x);
}
static bool is_tanh(const struct exec *x) { return ((const struct unary_args *)x->attr)->approx == 1; }
static void gelu_run(const struct exec *x, int64_t lo, int64_t hi) {
    if (is_tanh(x)) map(x, lo, hi, gelut_f);
    else map(x, lo, hi, gelu_f);
}
static void gelu_ref(const struct exec *x) { map_ref(x, is_tanh(x) ? gelut_d : gelu_d); }
static void gelu_grad_run(const struct exec *x, int64_t lo, int64_t hi) {
    if (is_tanh(x)) map_grad(x, lo, hi, gelut_gf);
    else map_grad(x, lo, hi, gelu_gf);
}
static void gelu_grad_ref(const struct exec *x) { map_grad_ref(x, is_tanh(x) ? gelut_gd : gelu_gd); }

/* One line a function: its loops with f put in. */
#define LOOPS(n)                                                                                 \
    static void n##_run(const struct exec *x, int64_t lo, int64_t hi) { map(x, lo, hi, n##_f); } \
    static void n##_ref(const struct exec *x) { map_ref(x, n##_d); }
#define LOOPS_GRAD(n)                                                                                       \
    LOOPS(n)                                                                                                \
    static void n##_grad_run(const struct exec *x, int64_t lo, int64_t hi) { map_grad(x, lo, hi, n##_gf); } \
    static void n##_grad_ref(const struct exec *x) { map_grad_ref(x, n##_gd); }
LOOPS_GRAD(relu)
LOOPS_GRAD(tanh)
LOOPS_GRAD(sigmoid)
LOOPS_GRAD(silu)
LOOPS_GRAD(leaky_relu)
LOOPS_GRAD(elu)
LOOPS_GRAD(softplus)
LOOPS_GRAD(exp)
LOOPS_GRAD(log)
LOOPS_GRAD(sqrt)
LOOPS_GRAD(square)
LOOPS_GRAD(abs)
LOOPS(neg)
LOOPS(scale)
static int neg_grad(struct graph *g, const struct node *n, const tid *dout, tid *din, struct err *e) {
    (void)n;
    return (din[0] = graph_add1(g, "neg", dout[0], e)) < 0 ? -1 : 0;
}
static int scale_grad(struct graph *g, const struct node *n, const tid *dout, tid *din, struct err *e) {
    din[0] = kit_add_take(g, "scale", args_to_val(&n->op->kind, n->attr), dout, 1, NULL, e);
    return din[0] < 0 ? -1 : 0;
}

static const char *const approx_names[] = {"none", "tanh", NULL};
#define A(n, d, h, low, high) \
    { .name = n, .help = h, .def = d, .type = ARG_NUM, .flags = ARG_POSITIONAL, .offset = offsetof(struct unary_args, a), .lo = low, .hi = high }
static const struct arg no_args[] = {{0}};
static const struct arg gelu_args[] = {{.name = "approx",
                                           .help = "none: by the error function; tanh: the tanh formula",
                                           .def = "none",
                                           .type = ARG_ENUM,
                                           .offset = offsetof(struct unary_args, approx),
                                           .names = approx_names},
    {0}};
static const struct arg leaky_args[] = {A("slope", "0.01", "slope below zero", -1e6, 1e6), {0}};
static const struct arg elu_args[] = {A("alpha", "1", "minus the limit at minus infinity", 0, 1e6), {0}};
static const struct arg softplus_args[] = {A("beta", "1", "sharpness", 1e-6, 1e6), {0}};
static const struct arg scale_args[] = {A("by", "1", "factor", 0, 0), {0}};

#define F "f(R,4)"
#define P "f(R,4)[0.1,2]"
static const struct sample any[] = {{NULL, F}, {NULL, "f(R,3,5)"}, {NULL, "f(T0,131)"}, {NULL, "f(R,33)[-9,9]"}, {0}};
static const struct sample pair[] = {{NULL, F " " F}, {NULL, "f(R,3,5) f(R,3,5)"}, {NULL, "f(R,33)[-9,9] f(R,33)"}, {0}};
static const struct sample positive[] = {{NULL, P}, {NULL, "f(R,3,5)[0.1,5]"}, {NULL, "f(R,33)[0.3,9]"}, {0}};
static const struct sample positive_pair[] = {{NULL, P " " F}, {NULL, "f(R,3,5)[0.1,5] f(R,3,5)"}, {NULL, "f(R,33)[0.3,9] f(R,33)"}, {0}};
static const struct sample gelu_s[] = {{NULL, F}, {"approx=tanh", "f(R,3,5)"}, {NULL, "f(R,33)[-5,5]"}, {"approx=tanh", "f(R,33)[-5,5]"}, {0}};
static const struct sample gelu_gs[] = {{NULL, F " " F}, {"approx=tanh", "f(R,3,5) f(R,3,5)"}, {NULL, "f(R,33)[-5,5] f(R,33)"}, {0}};
static const struct sample leaky_s[] = {{NULL, F}, {"slope=0.2", "f(R,3,5)"}, {"slope=-1", "f(R,33)"}, {0}};
static const struct sample leaky_gs[] = {{NULL, F " " F}, {"slope=0.2", "f(R,3,5) f(R,3,5)"}, {"slope=-1", "f(R,33) f(R,33)"}, {0}};
static const struct sample elu_s[] = {{NULL, F}, {"alpha=0.5", "f(R,3,5)"}, {"alpha=2", "f(R,33)[-5,5]"}, {0}};
static const struct sample elu_gs[] = {{NULL, F " " F}, {"alpha=0.5", "f(R,3,5) f(R,3,5)"}, {"alpha=2", "f(R,33)[-5,5] f(R,33)"}, {0}};
static const struct sample softplus_s[] = {{NULL, F}, {"beta=0.5", "f(R,3,5)"}, {"beta=3", "f(R,33)[-5,5]"}, {0}};
static const struct sample softplus_gs[] = {{NULL, F " " F}, {"beta=0.5", "f(R,3,5) f(R,3,5)"}, {"beta=3", "f(R,33)[-5,5] f(R,33)"}, {0}};
static const struct sample scale_s[] = {{"by=2", F}, {"by=-0.5", "f(R,3,5)"}, {"by=0", "f(R,33)"}, {0}};

#define UNARY(n, g, h, args_, samples_)                                                                               \
    const struct op ISA(op_##n) = {.kind = {.name = #n, .help = h, .args = args_, .size = sizeof(struct unary_args)}, \
        .in_min = 1,                                                                                                  \
        .in_max = 1,                                                                                                  \
        .n_out = 1,                                                                                                   \
        .flags = OP_LAYER | OP_INPLACE | OP_ELEMENTS,                                                                 \
        .shape = unary_shape,                                                                                         \
        .grad = g,                                                                                                    \
        .ref = n##_ref,                                                                                               \
        .tiles = unary_tiles,                                                                                         \
        .run = n##_run,                                                                                               \
        .samples = samples_};
#define UNARY_GRAD(n, args_, samples_)                                                                                                               \
    const struct op ISA(op_##n##_grad) = {.kind = {.name = #n "_grad", .help = "gradient of " #n, .args = args_, .size = sizeof(struct unary_args)}, \
        .in_min = 2,                                                                                                                                 \
        .in_max = 2,                                                                                                                                 \
        .n_out = 1,                                                                                                                                  \
        .flags = OP_ELEMENTS | OP_INPLACE,                                                                                                           \
        .shape = pair_shape,                                                                                                                         \
        .ref = n##_grad_ref,                                                                                                                         \
        .tiles = unary_tiles,                                                                                                                        \
        .run = n##_grad_run,                                                                                                                         \
        .samples = samples_};
UNARY(relu, grad_y, "max(x, 0)", no_args, any)
UNARY_GRAD(relu, no_args, pair)
UNARY(tanh, grad_y, "hyperbolic tangent", no_args, any)
UNARY_GRAD(tanh, no_args, pair)
UNARY(sigmoid, grad_y, "1 / (1 + exp(-x))", no_args, any)
UNARY_GRAD(sigmoid, no_args, pair)
UNARY(silu, grad_x, "x sigmoid(x)", no_args, any)
UNARY_GRAD(silu, no_args, pair)
UNARY(gelu, grad_x, "x times the normal distribution function", gelu_args, gelu_s)
UNARY_GRAD(gelu, gelu_args, gelu_gs)
UNARY(leaky_relu, grad_x, "x, or slope x below zero", leaky_args, leaky_s)
UNARY_GRAD(leaky_relu, leaky_args, leaky_gs)
UNARY(elu, grad_x, "x, or alpha (exp(x) - 1) below zero", elu_args, elu_s)
UNARY_GRAD(elu, elu_args, elu_gs)
UNARY(softplus, grad_x, "log(1 + exp(beta x)) / beta", softplus_args, softplus_s)
UNARY_GRAD(softplus, softplus_args, softplus_gs)
UNARY(exp, grad_y, "e to the x", no_args, any)
UNARY_GRAD(exp, no_args, pair)
UNARY(log, grad_x, "natural logarithm", no_args, positive)
UNARY_GRAD(log, no_args, positive_pair)
UNARY(sqrt, grad_y, "square root", no_args, positive)
UNARY_GRAD(sqrt, no_args, positive_pair)
UNARY(square, grad_x, "x times x", no_args, any)
UNARY_GRAD(square, no_args, pair)
UNARY(abs, grad_x, "absolute value", no_args, any)
UNARY_GRAD(abs, no_args, pair)
UNARY(neg, neg_grad, "minus x", no_args, any)
UNARY(scale, scale_grad, "x times a number", scale_args, scale_s)
