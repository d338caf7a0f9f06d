/* Sum, mean and maximum over one axis, and the index of the maximum.
 * keep leaves an extent of 1. The axis must be fixed, not the batch. Of equal maxima the first wins; NaN wins over all. */
#include <math.h>

#include "engine/ops/kit.h"

#define WORK 16384

struct reduce_args {
    int64_t axis;
    bool keep;
};
struct undo_args {
    struct arg_shape k, axis;
    int64_t at;
};
struct cut {
    int64_t outer, n, inner;
};

static int axis_of(int64_t axis, int ndim) { return axis < 0 ? (int)axis + ndim : (int)axis; }
static struct cut cut_of(const struct view *v, int axis) {
    struct cut c = {1, v->n[axis], 1};
    for (int i = 0; i < axis; i++) c.outer *= v->n[i];
    for (int i = axis + 1; i < v->ndim; i++) c.inner *= v->n[i];
    return c;
}
static struct cut cut_in(const struct exec *x) { return cut_of(&x->in[0], axis_of(((const struct reduce_args *)x->attr)->axis, x->in[0].ndim)); }
static int reduce_shape(struct shaping *s, struct err *e) {
    const struct reduce_args *a = s->attr;
    const struct tensor *x = s->in[0];
    int axis = axis_of(a->axis, x->ndim), n = 0;
    if (!kit_float(s, 0) || axis < 0 || axis >= x->ndim || x->dim[axis].axis != AXIS_ONE)
        return err_set(e, "axis %lld is not there or has no fixed extent", (long long)a->axis);
    if (x->dim[axis].k < 1) return err_set(e, "axis %d is empty", axis);
    kit_like(&s->out[0], x);
    for (int i = 0; i < x->ndim; i++)
        if (i != axis || a->keep) s->out[0].dim[n++] = i == axis ? (struct dim){1, AXIS_ONE} : x->dim[i];
    s->out[0].ndim = n;
    s->n_out = 1;
    return 0;
}
static int max_shape(struct shaping *s, struct err *e) {
    if (reduce_shape(s, e) < 0) return -1;
    s->out[1] = s->out[0];
    s->out[1].dtype = DT_I32;
    s->n_out = 2;
    return 0;
}
static int argmax_shape(struct shaping *s, struct err *e) {
    if (reduce_shape(s, e) < 0) return -1;
    s->out[0].dtype = DT_I32;
    return 0;
}
static int undo(struct graph *g, const struct node *n, const char *op, tid second, const tid *dout, tid *din, struct err *e) {
    const struct tensor *x = graph_tensor(g, n->in[0]);
    struct val *v = kit_dims_val(x);
    val_set_int(v, "at", axis_of(((const struct reduce_args *)n->attr)->axis, x->ndim));
    tid in[] = {dout[0], second};
    return (din[0] = kit_add_take(g, op, v, in, second < 0 ? 1 : 2, NULL, e)) < 0 ? -1 : 0;
}
static int sum_grad(struct graph *g, const struct node *n, const tid *dout, tid *din, struct err *e) { return undo(g, n, "sum_grad", -1, dout, din, e); }
static int mean_grad(struct graph *g, const struct node *n, const tid *dout, tid *din, struct err *e) { return undo(g, n, "mean_grad", -1, dout, din, e); }
static int max_grad(struct graph *g, const struct node *n, const tid *dout, tid *din, struct err *e) { return undo(g, n, "max_grad", n->out[1], dout, din, e); }
static int undo_shape(struct shaping *s, struct err *e) {
    const struct undo_args *a = s->attr;
    struct kit_dims d = {a->k, a->axis};
    struct dim have, want;
    kit_dims_get(&d, &s->out[0]);
    s->out[0].dtype = s->in[0]->dtype;
    if (a->at < 0 || a->at >= s->out[0].ndim) return err_set(e, "there is no axis %lld", (long long)a->at);
    struct tensor t = s->out[0];
    t.dim[a->at] = (struct dim){1, AXIS_ONE};
    if (!kit_flat(s->in[0], 0, s->in[0]->ndim, &have) || !kit_flat(&t, 0, t.ndim, &want) || !dim_same(have, want))
        return err_set(e, "the gradient does not have the reduced shape");
    s->n_out = 1;
    return 0;
}

/* Tiles are groups of outer indices. */
static int64_t reduce_tiles(const struct exec *x) {
    struct cut c = cut_in(x);
    return kit_tiles(c.outer, kit_grain(WORK, c.n * c.inner));
}
static void sum_all(const struct exec *x, bool mean) {
    struct cut c = cut_in(x);
    for (int64_t o = 0; o < c.outer; o++)
        for (int64_t i = 0; i < c.inner; i++) {
            double s = 0;
            for (int64_t k = 0; k < c.n; k++) s += view_get(&x->in[0], (o * c.n + k) * c.inner + i);
            view_put(&x->out[0], o * c.inner + i, mean ? s / (double)c.n : s);
        }
}
static void sum_tile(const struct exec *x, int64_t lo, int64_t hi, bool mean) {
    struct cut c = cut_in(x);
    int64_t grain = kit_grain(WORK, c.n * c.inner), to = kit_min(c.outer, hi * grain);
    float f = mean ? 1.0f / (float)c.n : 1.0f;
    for (int64_t o = lo * grain; o < to; o++) {
        const float *a = (const float *)x->in[0].data + o * c.n * c.inner;
        float *y = (float *)x->out[0].data + o * c.inner;
        if (c.inner == 1) {
            float s = 0;
            for (int64_t k = 0; k < c.n; k++) s += a[k];
            *y = f * s;
            continue;
        }
        for (int64_t i = 0; i < c.inner; i++) y[i] = f * a[i];
        for (int64_t k = 1; k < c.n; k++)
            for (int64_t i = 0; i < c.inner; i++) y[i] += f * a[k * c.inner + i];
    }
}
static void sum_ref(const struct exec *x) { sum_all(x, false); }
static void mean_ref(const struct exec *x) { sum_all(x, true); }
static void sum_run(const struct exec *x, int64_t lo, int64_t hi) { sum_tile(x, lo, hi, false); }
static void mean_run(const struct exec *x, int64_t lo, int64_t hi) { sum_tile(x, lo, hi, true); }
static int64_t best(const struct exec *x, struct cut c, int64_t o, int64_t i) {
    int64_t at = 0;
    double m = view_get(&x->in[0], o * c.n * c.inner + i);
    for (int64_t k = 1; k < c.n; k++) {
        double v = view_get(&x->in[0], (o * c.n + k) * c.inner + i);
        if (v > m || (isnan(v) && !isnan(m))) m = v, at = k;
    }
    return at;
}
static void best_of(const struct exec *x, const struct view *value, const struct view *index, int64_t from, int64_t to) {
    struct cut c = cut_in(x);
    for (int64_t o = from; o < to; o++)
        for (int64_t i = 0; i < c.inner; i++) {
            int64_t at = best(x, c, o, i);
            if (value) view_put(value, o * c.inner + i, view_get(&x->in[0], (o * c.n + at) * c.inner + i));
            view_put(index, o * c.inner + i, (double)at);
        }
}
static void max_ref(const struct exec *x) { best_of(x, &x->out[0], &x->out[1], 0, cut_in(x).outer); }
static void argmax_ref(const struct exec *x) { best_of(x, NULL, &x->out[0], 0, cut_in(x).outer); }
static void max_run(const struct exec *x, int64_t lo, int64_t hi) {
    struct cut c = cut_in(x);
    int64_t grain = kit_grain(WORK, c.n * c.inner);
    best_of(x, &x->out[0], &x->out[1], lo * grain, kit_min(c.outer, hi * grain));
}
static void argmax_run(const struct exec *x, int64_t lo, int64_t hi) {
    struct cut c = cut_in(x);
    int64_t grain = kit_grain(WORK, c.n * c.inner);
    best_of(x, NULL, &x->out[0], lo * grain, kit_min(c.outer, hi * grain));
}
enum { BACK_SUM, BACK_MEAN, BACK_MAX };
static void back(const struct exec *x, int how) {
    struct cut c = cut_of(&x->out[0], (int)((const struct undo_args *)x->attr)->at);
    for (int64_t o = 0; o < c.outer; o++)
        for (int64_t k = 0; k < c.n; k++)
            for (int64_t i = 0; i < c.inner; i++) {
                double d = view_get(&x->in[0], o * c.inner + i);
                if (how == BACK_MEAN) d /= (double)c.n;
                if (how == BACK_MAX && (int64_t)view_get(&x->in[1], o * c.inner + i) != k) d = 0;
                view_put(&x->out[0], (o * c.n + k) * c.inner + i, d);
            }
}
static void sum_grad_ref(const struct exec *x) { back(x, BACK_SUM); }
static void mean_grad_ref(const struct exec *x) { back(x, BACK_MEAN); }
static void max_grad_ref(const struct exec *x) { back(x, BACK_MAX); }

static const struct arg reduce_arg[] = {{.name = "axis",
                                            .help = "which axis, -1 the last",
                                            .def = "-1",
                                            .type = ARG_INT,
                                            .flags = ARG_POSITIONAL,
                                            .offset = offsetof(struct reduce_args, axis),
                                            .lo = -6,
                                            .hi = 5},
    {.name = "keep", .help = "leaves an extent of 1", .def = "false", .type = ARG_BOOL, .offset = offsetof(struct reduce_args, keep)}, {0}};
static const struct arg undo_arg[] = {
    KIT_DIMS(struct undo_args), {.name = "at", .help = "which axis was reduced", .def = "0", .type = ARG_INT, .offset = offsetof(struct undo_args, at)}, {0}};
static const struct sample reduce_samples[] = {{NULL, "f(R,4)"}, {"axis=1", "f(R,3,5)"}, {"axis=-2 keep=true", "f(R,33,7)"}, {0}};
static const struct sample undo_samples[] = {
    {"k={1,4} axis={1,0} at=1", "f(R)"}, {"k={1,3,5} axis={1,0,0} at=1", "f(R,5)"}, {"k={1,3,7} axis={1,0,0} at=2", "f(R,3,1)"}, {0}};
static const struct sample undo_max_samples[] = {{"k={1,4} axis={1,0} at=1", "f(R) i(R)[0,3]"}, {"k={1,3,5} axis={1,0,0} at=1", "f(R,5) i(R,5)[0,2]"},
    {"k={1,3,7} axis={1,0,0} at=2", "f(R,3,1) i(R,3,1)[0,6]"}, {0}};

#define REDUCE(n, h, outs, shape_, undo_s)                                                                                                             \
    const struct op ISA(op_##n) = {.kind = {.name = #n, .help = h, .args = reduce_arg, .size = sizeof(struct reduce_args)},                            \
        .in_min = 1,                                                                                                                                   \
        .in_max = 1,                                                                                                                                   \
        .n_out = outs,                                                                                                                                 \
        .flags = OP_LAYER,                                                                                                                             \
        .shape = shape_,                                                                                                                               \
        .grad = n##_grad,                                                                                                                              \
        .ref = n##_ref,                                                                                                                                \
        .tiles = reduce_tiles,                                                                                                                         \
        .run = n##_run,                                                                                                                                \
        .samples = reduce_samples};                                                                                                                    \
    const struct op ISA(op_##n##_grad) = {.kind = {.name = #n "_grad", .help = "gradient of " #n, .args = undo_arg, .size = sizeof(struct undo_args)}, \
        .in_min = 1,                                                                                                                                   \
        .in_max = 2,                                                                                                                                   \
        .n_out = 1,                                                                                                                                    \
        .shape = undo_shape,                                                                                                                           \
        .ref = n##_grad_ref,                                                                                                                           \
        .samples = undo_s};
REDUCE(sum, "sum over an axis", 1, reduce_shape, undo_samples)
REDUCE(mean, "mean over an axis", 1, reduce_shape, undo_samples)
REDUCE(max, "maximum over an axis and its index", 2, max_shape, undo_max_samples)
const struct op ISA(op_argmax) = {
    .kind = {.name = "argmax", .help = "index of the maximum over an axis", .args = reduce_arg, .size = sizeof(struct reduce_args)},
    .in_min = 1,
    .in_max = 1,
    .n_out = 1,
    .flags = OP_NO_GRAD,
    .shape = argmax_shape,
    .ref = argmax_ref,
    .tiles = reduce_tiles,
    .run = argmax_run,
    .samples = reduce_samples};
