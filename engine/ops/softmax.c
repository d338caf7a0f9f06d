/* Softmax and its logarithm over the last axis, and their gradients from the output: dx = y (dy - sum(dy y)); dx = dy - exp(y) sum(dy).
 * Tiles are groups of rows. */
#include "engine/ops/kit.h"
#include "engine/ops/math.h"

#define WORK 8192

static int soft_shape(struct shaping *s, struct err *e) {
    if (!kit_float(s, 0) || s->in[0]->ndim < 1) return err_set(e, "the input must be of a float type with a last axis to normalise");
    kit_like(&s->out[0], s->in[0]);
    s->n_out = 1;
    return 0;
}
static int soft_grad_shape(struct shaping *s, struct err *e) {
    if (!kit_float(s, 0) || !kit_float(s, 1) || s->in[0]->ndim < 1 || !kit_same(s->in[0], s->in[1]))
        return err_set(e, "output and gradient must have one shape");
    kit_like(&s->out[0], s->in[0]);
    s->n_out = 1;
    return 0;
}
static int softmax_grad(struct graph *g, const struct node *n, const tid *dout, tid *din, struct err *e) {
    return (din[0] = graph_add2(g, "softmax_grad", n->out[0], dout[0], e)) < 0 ? -1 : 0;
}
static int log_softmax_grad(struct graph *g, const struct node *n, const tid *dout, tid *din, struct err *e) {
    return (din[0] = graph_add2(g, "log_softmax_grad", n->out[0], dout[0], e)) < 0 ? -1 : 0;
}
static int64_t soft_tiles(const struct exec *x) { return kit_tiles(kit_rows(&x->in[0]), kit_grain(WORK, kit_last(&x->in[0]))); }
struct rows {
    int64_t c, from, to;
};
static struct rows soft_rows(const struct exec *x, int64_t lo, int64_t hi) {
    int64_t c = kit_last(&x->in[0]), grain = kit_grain(WORK, c);
    return (struct rows){c, lo * grain, kit_min(kit_rows(&x->in[0]), hi * grain)};
}
static inline float row_max(const float *a, int64_t c) {
    float m = -INFINITY;
    for (int64_t i = 0; i < c; i++) m = a[i] > m ? a[i] : m;
    return m;
}
static void soft_ref(const struct exec *x, bool logarithm) {
    int64_t c = kit_last(&x->in[0]), rows = c ? x->in[0].len / c : 0;
    for (int64_t r = 0; r < rows; r++) {
        double m = -INFINITY, s = 0;
        for (int64_t i = 0; i < c; i++) m = fmax(m, view_get(&x->in[0], r * c + i));
        for (int64_t i = 0; i < c; i++) s += exp(view_get(&x->in[0], r * c + i) - m);
        for (int64_t i = 0; i < c; i++) {
            double z = view_get(&x->in[0], r * c + i) - m;
            view_put(&x->out[0], r * c + i, logarithm ? z - log(s) : exp(z) / s);
        }
    }
}
static void softmax_ref(const struct exec *x) { soft_ref(x, false); }
static void log_softmax_ref(const struct exec *x) { soft_ref(x, true); }
static void softmax_run(const struct exec *x, int64_t lo, int64_t hi) {
    struct rows r = soft_rows(x, lo, hi);
    for (int64_t j = r.from; j < r.to; j++) {
        const float *a = (const float *)x->in[0].data + j * r.c;
        float *y = (float *)x->out[0].data + j * r.c, m = row_max(a, r.c), s = 0;
#pragma omp simd reduction(+ : s)
        for (int64_t i = 0; i < r.c; i++) s += y[i] = math_exp(a[i] - m);
        float k = 1.0f / s;
        for (int64_t i = 0; i < r.c; i++) y[i] *= k;
    }
}
static void log_softmax_run(const struct exec *x, int64_t lo, int64_t hi) {
    struct rows r = soft_rows(x, lo, hi);
    for (int64_t j = r.from; j < r.to; j++) {
        const float *a = (const float *)x->in[0].data + j * r.c;
        float *y = (float *)x->out[0].data + j * r.c, m = row_max(a, r.c), s = 0;
#pragma omp simd reduction(+ : s)
        for (int64_t i = 0; i < r.c; i++) s += math_exp(a[i] - m);
        float k = logf(s);
        for (int64_t i = 0; i < r.c; i++) y[i] = (a[i] - m) - k;
    }
}
static void softmax_grad_ref(const struct exec *x) {
    int64_t c = kit_last(&x->in[0]), rows = c ? x->in[0].len / c : 0;
    for (int64_t r = 0; r < rows; r++) {
        double s = 0;
        for (int64_t i = r * c; i < r * c + c; i++) s += view_get(&x->in[0], i) * view_get(&x->in[1], i);
        for (int64_t i = r * c; i < r * c + c; i++) view_put(&x->out[0], i, view_get(&x->in[0], i) * (view_get(&x->in[1], i) - s));
    }
}
static void softmax_grad_run(const struct exec *x, int64_t lo, int64_t hi) {
    struct rows r = soft_rows(x, lo, hi);
    for (int64_t j = r.from; j < r.to; j++) {
        const float *y = (const float *)x->in[0].data + j * r.c, *d = (const float *)x->in[1].data + j * r.c;
        float *o = (float *)x->out[0].data + j * r.c, s = 0;
        for (int64_t i = 0; i < r.c; i++) s += y[i] * d[i];
        for (int64_t i = 0; i < r.c; i++) o[i] = y[i] * (d[i] - s);
    }
}
static void log_softmax_grad_ref(const struct exec *x) {
    int64_t c = kit_last(&x->in[0]), rows = c ? x->in[0].len / c : 0;
    for (int64_t r = 0; r < rows; r++) {
        double s = 0;
        for (int64_t i = r * c; i < r * c + c; i++) s += view_get(&x->in[1], i);
        for (int64_t i = r * c; i < r * c + c; i++) view_put(&x->out[0], i, view_get(&x->in[1], i) - exp(view_get(&x->in[0], i)) * s);
    }
}
static void log_softmax_grad_run(const struct exec *x, int64_t lo, int64_t hi) {
    struct rows r = soft_rows(x, lo, hi);
    for (int64_t j = r.from; j < r.to; j++) {
        const float *y = (const float *)x->in[0].data + j * r.c, *d = (const float *)x->in[1].data + j * r.c;
        float *o = (float *)x->out[0].data + j * r.c, s = 0;
        for (int64_t i = 0; i < r.c; i++) s += d[i];
#pragma omp simd
        for (int64_t i = 0; i < r.c; i++) o[i] = d[i] - math_exp(y[i]) * s;
    }
}

static const struct sample soft_samples[] = {{NULL, "f(R,4)"}, {NULL, "f(R,3,5)[-9,9]"}, {NULL, "f(T0,131)[-20,20]"}, {NULL, "f(R,1)"}, {0}};
static const struct sample grad_samples[] = {{NULL, "q(R,4) f(R,4)"}, {NULL, "q(R,3,5) f(R,3,5)"}, {NULL, "q(R,131) f(R,131)"}, {0}};
#define SOFT(n, h)                                                                                 \
    const struct op ISA(op_##n) = {.kind = {.name = #n, .help = h},                                \
        .in_min = 1,                                                                               \
        .in_max = 1,                                                                               \
        .n_out = 1,                                                                                \
        .flags = OP_LAYER | OP_INPLACE,                                                            \
        .shape = soft_shape,                                                                       \
        .grad = n##_grad,                                                                          \
        .ref = n##_ref,                                                                            \
        .tiles = soft_tiles,                                                                       \
        .run = n##_run,                                                                            \
        .samples = soft_samples};                                                                  \
    const struct op ISA(op_##n##_grad) = {.kind = {.name = #n "_grad", .help = "gradient of " #n}, \
        .in_min = 2,                                                                               \
        .in_max = 2,                                                                               \
        .n_out = 1,                                                                                \
        .shape = soft_grad_shape,                                                                  \
        .ref = n##_grad_ref,                                                                       \
        .tiles = soft_tiles,                                                                       \
        .run = n##_grad_run,                                                                       \
        .samples = grad_samples};
SOFT(softmax, "exp(x) / sum exp(x) over the last axis")
SOFT(log_softmax, "logarithm of softmax over the last axis")
