/* a + b, a - b, a b, a / b with numpy's broadcasting over trailing extents, and what their gradients need: sum_to (sums a broadcast gradient back to a shape)
 * and spread (repeats a tensor to a shape). Extents of 1 or missing leading ones repeat. Fast loops: equal shapes, a repeated row, one number. */
#include <string.h>

#include "engine/ops/kit.h"

#define GRAIN 16384

static bool is_one(struct dim d) { return d.k == 1 && d.axis == AXIS_ONE; }
static int binary_shape(struct shaping *s, struct err *e) {
    const struct tensor *a = s->in[0], *b = s->in[1];
    struct tensor *o = &s->out[0];
    if (!kit_float(s, 0) || !kit_float(s, 1)) return err_set(e, "both inputs must be of a float type");
    kit_like(o, a->ndim >= b->ndim ? a : b);
    for (int i = 1; i <= o->ndim; i++) {
        struct dim da = i <= a->ndim ? a->dim[a->ndim - i] : (struct dim){1, AXIS_ONE}, db = i <= b->ndim ? b->dim[b->ndim - i] : (struct dim){1, AXIS_ONE};
        if (!dim_same(da, db) && !is_one(da) && !is_one(db)) return err_set(e, "extent %d from the end differs and neither is 1", i);
        o->dim[o->ndim - i] = is_one(da) ? db : da;
    }
    o->offsets = a->offsets >= 0 ? a->offsets : b->offsets;
    s->n_out = 1;
    return 0;
}
/* Strides of v in the shape of out: 0 where it repeats. */
static void strides(const struct view *v, const struct view *out, int64_t *st) {
    int64_t step = 1;
    for (int i = 1; i <= out->ndim; i++) {
        int64_t n = i <= v->ndim ? v->n[v->ndim - i] : 1;
        st[out->ndim - i] = n == 1 ? 0 : step;
        step *= n;
    }
}
static int64_t at(const struct view *out, const int64_t *st, int64_t i) {
    int64_t o = 0;
    for (int d = out->ndim - 1; d >= 0; d--) {
        o += i % out->n[d] * st[d];
        i /= out->n[d];
    }
    return o;
}
typedef double (*fn_d)(double, double);
typedef float (*fn_f)(float, float);
static void binary_ref(const struct exec *x, fn_d f) {
    int64_t sa[TENSOR_DIMS] = {0}, sb[TENSOR_DIMS] = {0};
    strides(&x->in[0], &x->out[0], sa);
    strides(&x->in[1], &x->out[0], sb);
    for (int64_t i = 0; i < x->out[0].len; i++)
        view_put(&x->out[0], i, f(view_get(&x->in[0], at(&x->out[0], sa, i)), view_get(&x->in[1], at(&x->out[0], sb, i))));
}
static int64_t binary_tiles(const struct exec *x) { return kit_tiles(x->out[0].len, GRAIN); }

/* Runs along the last axis; each operand is a row (step 1) or one number (step 0). */
static inline __attribute__((always_inline)) void binary_row(const float *a, int64_t sa, const float *b, int64_t sb, float *y, int64_t n, fn_f f) {
    if (sa && sb)
        for (int64_t i = 0; i < n; i++) y[i] = f(a[i], b[i]);
    else if (sa)
        for (int64_t i = 0; i < n; i++) y[i] = f(a[i], *b);
    else if (sb)
        for (int64_t i = 0; i < n; i++) y[i] = f(*a, b[i]);
    else
        for (int64_t i = 0; i < n; i++) y[i] = f(*a, *b);
}
static inline __attribute__((always_inline)) void binary_run(const struct exec *x, int64_t lo, int64_t hi, fn_f f) {
    const struct view *o = &x->out[0];
    const float *a = x->in[0].data, *b = x->in[1].data;
    float *y = o->data;
    int64_t from = lo * GRAIN, to = kit_min(o->len, hi * GRAIN);
    bool la = x->in[0].len == o->len, lb = x->in[1].len == o->len;
    if ((la || x->in[0].len == 1) && (lb || x->in[1].len == 1)) {
        binary_row(la ? a + from : a, la && o->len > 1, lb ? b + from : b, lb && o->len > 1, y + from, to - from, f);
        return;
    }
    int64_t sa[TENSOR_DIMS] = {0}, sb[TENSOR_DIMS] = {0}, w = kit_last(o);
    strides(&x->in[0], o, sa);
    strides(&x->in[1], o, sb);
    for (int64_t i = from; i < to;) { /* pieces of rows */
        int64_t n = kit_min(w - i % w, to - i);
        binary_row(a + at(o, sa, i), sa[o->ndim - 1], b + at(o, sb, i), sb[o->ndim - 1], y + i, n, f);
        i += n;
    }
}
static inline float add_f(float a, float b) { return a + b; }
static inline float sub_f(float a, float b) { return a - b; }
static inline float mul_f(float a, float b) { return a * b; }
static inline float div_f(float a, float b) { return a / b; }
static double add_d(double a, double b) { return a + b; }
static double sub_d(double a, double b) { return a - b; }
static double mul_d(double a, double b) { return a * b; }
static double div_d(double a, double b) { return a / b; }
#define LOOPS(n)                                                                                        \
    static void n##_run(const struct exec *x, int64_t lo, int64_t hi) { binary_run(x, lo, hi, n##_f); } \
    static void n##_ref(const struct exec *x) { binary_ref(x, n##_d); }
LOOPS(add)
LOOPS(sub)
LOOPS(mul)
LOOPS(div)

/* d summed to the shape of `like` (as it is if that is its shape already). */
static tid back_to(struct graph *g, tid d, tid like, struct err *e) {
    if (d < 0 || kit_same(graph_tensor(g, d), graph_tensor(g, like))) return d;
    return kit_add_take(g, "sum_to", kit_dims_val(graph_tensor(g, like)), &d, 1, NULL, e);
}
static int add_grad(struct graph *g, const struct node *n, const tid *dout, tid *din, struct err *e) {
    for (int i = 0; i < 2; i++)
        if (kit_needs(g, n->in[i]) && (din[i] = back_to(g, dout[0], n->in[i], e)) < 0) return -1;
    return 0;
}
static int sub_grad(struct graph *g, const struct node *n, const tid *dout, tid *din, struct err *e) {
    if (kit_needs(g, n->in[0]) && (din[0] = back_to(g, dout[0], n->in[0], e)) < 0) return -1;
    if (!kit_needs(g, n->in[1])) return 0;
    tid d = graph_add1(g, "neg", dout[0], e);
    return d < 0 || (din[1] = back_to(g, d, n->in[1], e)) < 0 ? -1 : 0;
}
static int mul_grad(struct graph *g, const struct node *n, const tid *dout, tid *din, struct err *e) {
    for (int i = 0; i < 2; i++) {
        if (!kit_needs(g, n->in[i])) continue;
        tid d = graph_add2(g, "mul", dout[0], n->in[!i], e);
        if (d < 0 || (din[i] = back_to(g, d, n->in[i], e)) < 0) return -1;
    }
    return 0;
}
static int div_grad(struct graph *g, const struct node *n, const tid *dout, tid *din, struct err *e) {
    tid d = graph_add2(g, "div", dout[0], n->in[1], e);
    if (d < 0 || (kit_needs(g, n->in[0]) && (din[0] = back_to(g, d, n->in[0], e)) < 0)) return -1;
    if (!kit_needs(g, n->in[1])) return 0;
    if ((d = graph_add2(g, "mul", d, n->out[0], e)) < 0 || (d = graph_add1(g, "neg", d, e)) < 0) return -1;
    return (din[1] = back_to(g, d, n->in[1], e)) < 0 ? -1 : 0;
}

/* ---- sum_to: the adjoint of repeating */
static int repeat_shape(struct shaping *s, const struct tensor *small, const struct tensor *large, struct err *e) {
    bool ok = kit_float(s, 0) && small->ndim <= large->ndim;
    for (int i = 1; ok && i <= small->ndim; i++) ok = dim_same(small->dim[small->ndim - i], large->dim[large->ndim - i]) || is_one(small->dim[small->ndim - i]);
    if (!ok) return err_set(e, "the shape asked for does not repeat to the other");
    s->n_out = 1;
    return 0;
}
static int sum_to_shape(struct shaping *s, struct err *e) {
    kit_dims_get(s->attr, &s->out[0]);
    s->out[0].dtype = s->in[0]->dtype;
    return repeat_shape(s, &s->out[0], s->in[0], e);
}
static int spread_shape(struct shaping *s, struct err *e) {
    kit_dims_get(s->attr, &s->out[0]);
    s->out[0].dtype = s->in[0]->dtype;
    return repeat_shape(s, s->in[0], &s->out[0], e);
}
static int sum_to_grad(struct graph *g, const struct node *n, const tid *dout, tid *din, struct err *e) {
    return (din[0] = kit_add_take(g, "spread", kit_dims_val(graph_tensor(g, n->in[0])), dout, 1, NULL, e)) < 0 ? -1 : 0;
}
static int spread_grad(struct graph *g, const struct node *n, const tid *dout, tid *din, struct err *e) {
    return (din[0] = back_to(g, dout[0], n->in[0], e)) < 0 ? -1 : 0;
}
static void sum_to_ref(const struct exec *x) {
    int64_t st[TENSOR_DIMS] = {0};
    strides(&x->out[0], &x->in[0], st);
    for (int64_t i = 0; i < x->out[0].len; i++) view_put(&x->out[0], i, 0);
    for (int64_t i = 0; i < x->in[0].len; i++) {
        int64_t o = at(&x->in[0], st, i);
        view_put(&x->out[0], o, view_get(&x->out[0], o) + view_get(&x->in[0], i));
    }
}
/* Leading repeats (a bias) are cut into columns; anything else is one tile, row by row. */
#define COLS 64
static bool leading(const struct exec *x) {
    int64_t st[TENSOR_DIMS] = {0}, step = 1;
    strides(&x->out[0], &x->in[0], st);
    int d = x->in[0].ndim - 1;
    for (; d >= 0 && (st[d] == step || x->in[0].n[d] == 1); d--) step *= x->in[0].n[d];
    for (; d >= 0 && st[d] == 0; d--) {}
    return d < 0 && step == x->out[0].len;
}
static int64_t sum_to_tiles(const struct exec *x) { return leading(x) ? kit_tiles(x->out[0].len, COLS) : x->out[0].len > 0; }
static void sum_to_run(const struct exec *x, int64_t lo, int64_t hi) {
    const struct view *v = &x->in[0];
    const float *a = v->data;
    float *y = x->out[0].data;
    int64_t w = kit_last(v), st[TENSOR_DIMS] = {0};
    if (leading(x)) {
        int64_t n = x->out[0].len, from = lo * COLS, to = kit_min(n, hi * COLS);
        memset(y + from, 0, (size_t)(to - from) * sizeof(float));
        for (int64_t i = 0; i < v->len; i += n)
            for (int64_t j = from; j < to; j++) y[j] += a[i + j];
        return;
    }
    strides(&x->out[0], v, st);
    memset(y, 0, (size_t)x->out[0].len * sizeof(float));
    for (int64_t i = 0; i < v->len; i += w) {
        float *o = y + at(v, st, i), s = 0;
        if (st[v->ndim - 1])
            for (int64_t j = 0; j < w; j++) o[j] += a[i + j];
        else {
            for (int64_t j = 0; j < w; j++) s += a[i + j];
            *o += s;
        }
    }
}
static void spread_ref(const struct exec *x) {
    int64_t st[TENSOR_DIMS] = {0};
    strides(&x->in[0], &x->out[0], st);
    for (int64_t i = 0; i < x->out[0].len; i++) view_put(&x->out[0], i, view_get(&x->in[0], at(&x->out[0], st, i)));
}
static void spread_run(const struct exec *x, int64_t lo, int64_t hi) {
    int64_t st[TENSOR_DIMS] = {0}, w = kit_last(&x->out[0]), to = kit_min(x->out[0].len, hi * GRAIN);
    strides(&x->in[0], &x->out[0], st);
    const float *a = x->in[0].data;
    float *y = x->out[0].data;
    for (int64_t i = lo * GRAIN; i < to;) {
        int64_t n = kit_min(w - i % w, to - i);
        const float *from = a + at(&x->out[0], st, i);
        if (x->out[0].ndim && st[x->out[0].ndim - 1]) memcpy(y + i, from, (size_t)n * sizeof(float));
        else
            for (int64_t j = 0; j < n; j++) y[i + j] = *from;
        i += n;
    }
}

static const struct arg dims_arg[] = {KIT_DIMS(struct kit_dims), {0}};
static const struct sample binary_samples[] = {
    {NULL, "f(R,4) f(R,4)"}, {NULL, "f(R,3,5) f(5)"}, {NULL, "f(R,33) f(R,1)"}, {NULL, "f(2,1,3) f(R,1,4,1)"}, {NULL, "f(T0,7) s(0.5)"}, {0}};
static const struct sample div_samples[] = {
    {NULL, "f(R,4) f(R,4)[0.5,2]"}, {NULL, "f(R,3,5) f(5)[0.5,2]"}, {NULL, "f(R,33) f(R,1)[-2,-0.5]"}, {NULL, "f(2,1,3) f(R,1,4,1)[0.5,2]"}, {0}};
static const struct sample sum_to_samples[] = {
    {"k={5} axis={0}", "f(R,3,5)"}, {"k={1,1} axis={1,0}", "f(R,33)"}, {"k={3,1} axis={0,0}", "f(R,3,7)"}, {"k={1,1,7} axis={1,0,0}", "f(R,3,7)"}, {0}};
static const struct sample spread_samples[] = {
    {"k={1,3,5} axis={1,0,0}", "f(5)"}, {"k={1,33} axis={1,0}", "f(R,1)"}, {"k={1,3,7} axis={1,0,0}", "f(3,1)"}, {0}};

#define BINARY(n, h, flags_, samples_)                              \
    const struct op ISA(op_##n) = {.kind = {.name = #n, .help = h}, \
        .in_min = 2,                                                \
        .in_max = 2,                                                \
        .n_out = 1,                                                 \
        .flags = flags_,                                            \
        .shape = binary_shape,                                      \
        .grad = n##_grad,                                           \
        .ref = n##_ref,                                             \
        .tiles = binary_tiles,                                      \
        .run = n##_run,                                             \
        .samples = samples_};
BINARY(add, "a + b, repeated to one shape", OP_ELEMENTS, binary_samples)
BINARY(sub, "a - b, repeated to one shape", OP_ELEMENTS, binary_samples)
BINARY(mul, "a b, repeated to one shape", OP_ELEMENTS, binary_samples)
BINARY(div, "a / b, repeated to one shape", OP_ELEMENTS, div_samples)
const struct op ISA(op_sum_to) = {
    .kind = {.name = "sum_to", .help = "sums repeated extents back to a shape", .args = dims_arg, .size = sizeof(struct kit_dims)},
    .in_min = 1,
    .in_max = 1,
    .n_out = 1,
    .shape = sum_to_shape,
    .grad = sum_to_grad,
    .ref = sum_to_ref,
    .tiles = sum_to_tiles,
    .run = sum_to_run,
    .samples = sum_to_samples};
const struct op ISA(op_spread) = {.kind = {.name = "spread", .help = "repeats a tensor to a shape", .args = dims_arg, .size = sizeof(struct kit_dims)},
    .in_min = 1,
    .in_max = 1,
    .n_out = 1,
    .shape = spread_shape,
    .grad = spread_grad,
    .ref = spread_ref,
    .tiles = binary_tiles,
    .run = spread_run,
    .samples = spread_samples};
