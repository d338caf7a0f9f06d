/* Functions of one number and their gradients, as engine/ops/unary.c defines them; scale, neg, cast. */
#include "engine/cuda/cuda.h"

#include <math.h>
#include <string.h>

#define F(name, expr)                                                  \
    struct name {                                                      \
        static __device__ __forceinline__ float of(float x, float a) { \
            (void)a;                                                   \
            return expr;                                               \
        }                                                              \
    }
#define SIGMOID(x) (1.0f / (1.0f + expf(-(x))))
#define ROOT_2_PI 0.79788456080286535588f
#define TANH_ARG(x) (ROOT_2_PI * ((x) + 0.044715f * (x) * (x) * (x)))

F(relu, x > 0 ? x : x != x ? x : 0.0f);
F(relu_g, x > 0 ? 1.0f : 0.0f);
F(tanh_f, tanhf(x));
F(tanh_f_g, 1.0f - x * x);
F(sigmoid, SIGMOID(x));
F(sigmoid_g, x *(1.0f - x));
F(silu, x *SIGMOID(x));
F(silu_g, SIGMOID(x) * (1.0f + x * (1.0f - SIGMOID(x))));
F(gelu, 0.5f * x * (1.0f + erff(x * 0.70710678118654752440f)));
F(gelu_g, 0.5f * (1.0f + erff(x * 0.70710678118654752440f)) + x * 0.39894228040143267794f * expf(-0.5f * x * x));
F(gelu_tanh, 0.5f * x * (1.0f + tanhf(TANH_ARG(x))));
struct gelu_tanh_g {
    static __device__ __forceinline__ float of(float x, float) {
        float t = tanhf(TANH_ARG(x));
        return 0.5f * (1.0f + t) + 0.5f * x * (1.0f - t * t) * ROOT_2_PI * (1.0f + 0.134145f * x * x);
    }
};
F(leaky, x > 0 ? x : a * x);
F(leaky_g, x > 0 ? 1.0f : a);
F(elu, x > 0 ? x : a * expm1f(x));
F(elu_g, x > 0 ? 1.0f : a * expf(x));
F(softplus, (x > 0 ? x : 0.0f) + log1pf(expf(-fabsf(a * x))) / a);
F(softplus_g, SIGMOID(a *x));
F(exp_f, expf(x));
F(exp_f_g, x);
F(log_f, logf(x));
F(log_f_g, 1.0f / x);
F(sqrt_f, sqrtf(x));
F(sqrt_f_g, 0.5f / x);
F(square, x *x);
F(square_g, 2.0f * x);
F(abs_f, fabsf(x));
F(abs_f_g, x > 0 ? 1.0f : x < 0 ? -1.0f : 0.0f);
F(neg, -x);
F(scale, a *x);

template <class f> __global__ void map(vec x, vec y, int64_t n, float a) { EACH(i, n) y.put(i, f::of(x.get(i), a)); }
template <class f> __global__ void map_grad(vec x, vec dy, vec dx, int64_t n, float a) { EACH(i, n) dx.put(i, dy.get(i) * f::of(x.get(i), a)); }

/* arg: the op's argument that f takes, or NULL */
template <class f> static int forward(struct cuda *c, const struct exec *x, const char *arg) {
    float a = arg ? (float)c->host->number(x->node, arg) : 0;
    if (x->in[0].len > 0) LAUNCH((map<f>), grid_for(c, x->in[0].len), 256, c->stream, vec_of(&x->in[0]), vec_of(&x->out[0]), x->in[0].len, a);
    return 0;
}
template <class f> static int backward(struct cuda *c, const struct exec *x, const char *arg) {
    float a = arg ? (float)c->host->number(x->node, arg) : 0;
    if (x->in[0].len > 0)
        LAUNCH((map_grad<f>), grid_for(c, x->in[0].len), 256, c->stream, vec_of(&x->in[0]), vec_of(&x->in[1]), vec_of(&x->out[0]), x->in[0].len, a);
    return 0;
}
#define RUN(name, call) \
    static int name(struct cuda *c, const struct exec *x, const uint64_t *, struct err *) { return call; }
#define BOTH(name, f, arg)                 \
    RUN(name##_run, forward<f>(c, x, arg)) \
    RUN(name##_grad_run, backward<f##_g>(c, x, arg))
BOTH(relu, relu, NULL)
BOTH(tanh, tanh_f, NULL)
BOTH(sigmoid, sigmoid, NULL)
BOTH(silu, silu, NULL)
BOTH(leaky_relu, leaky, "slope")
BOTH(elu, elu, "alpha")
BOTH(softplus, softplus, "beta")
BOTH(exp, exp_f, NULL)
BOTH(log, log_f, NULL)
BOTH(sqrt, sqrt_f, NULL)
BOTH(square, square, NULL)
BOTH(abs, abs_f, NULL)
RUN(neg_run, forward<neg>(c, x, NULL))
RUN(scale_run, forward<scale>(c, x, "by"))
RUN(gelu_run, c->host->number(x->node, "approx") == 1 ? forward<gelu_tanh>(c, x, NULL) : forward<gelu>(c, x, NULL))
RUN(gelu_grad_run, c->host->number(x->node, "approx") == 1 ? backward<gelu_tanh_g>(c, x, NULL) : backward<gelu_g>(c, x, NULL))

/* ---- gated linear units (engine/ops/glu.c): two halves of the last axis; first: the act of the first gates the second, else the other way round */
template <class f, class g> __global__ void gated(vec x, vec dy, vec y, int64_t len, int64_t n, bool first) {
    EACH(i, len) {
        int64_t at = i / n * 2 * n + i % n, gate = first ? at : at + n, plain = first ? at + n : at;
        float v = x.get(gate), other = x.get(plain);
        if (!dy.p) {
            y.put(i, f::of(v, 0) * other);
            continue;
        }
        float d = dy.get(i);
        y.put(gate, d * other * g::of(v, 0));
        y.put(plain, d * f::of(v, 0));
    }
}
struct sigmoid_x_g { /* slopes by x, where the rows above take y */
    static __device__ __forceinline__ float of(float x, float) { return SIGMOID(x) * (1.0f - SIGMOID(x)); }
};
struct tanh_x_g {
    static __device__ __forceinline__ float of(float x, float) { return 1.0f - tanhf(x) * tanhf(x); }
};
template <class f, class g> static int gate(struct cuda *c, const struct exec *x, bool back) {
    const struct view *half = back ? &x->in[1] : &x->out[0];
    vec none = {NULL, DT_F32};
    if (half->len > 0)
        LAUNCH((gated<f, g>), grid_for(c, half->len), 256, c->stream, vec_of(&x->in[0]), back ? vec_of(&x->in[1]) : none, vec_of(&x->out[0]), half->len,
            last_of(half), c->host->number(x->node, "gate") == 1);
    return 0;
}
template <bool back> static int glu_run(struct cuda *c, const struct exec *x, const uint64_t *, struct err *) {
    switch ((int)c->host->number(x->node, "act")) {
    case 0: return gate<sigmoid, sigmoid_x_g>(c, x, back);
    case 1: return gate<silu, silu_g>(c, x, back);
    case 2: return gate<gelu, gelu_g>(c, x, back);
    case 3: return gate<gelu_tanh, gelu_tanh_g>(c, x, back);
    case 4: return gate<relu, relu_g>(c, x, back);
    default: return gate<tanh_f, tanh_x_g>(c, x, back);
    }
}

#define ROWS(name) \
    {#name, 1, 1, false, NULL, name##_run}, { #name "_grad", 3, 1, false, NULL, name##_grad_run }
extern const struct kernel unary_kernels[];
const struct kernel unary_kernels[] = {ROWS(relu), ROWS(tanh), ROWS(sigmoid), ROWS(silu), ROWS(gelu), ROWS(leaky_relu), ROWS(elu), ROWS(softplus), ROWS(exp),
    ROWS(log), ROWS(sqrt), ROWS(square), ROWS(abs), {"neg", 1, 1, false, NULL, neg_run}, {"scale", 1, 1, false, NULL, scale_run},
    {"glu", 1, 1, false, NULL, glu_run<false>}, {"glu_grad", 3, 1, false, NULL, glu_run<true>}, {}};
