/* Values that move: concat and slice along an axis, transpose by a permutation of extents, cast between types. Copies are whole rows, so concat and slice
 * have no second path. */
#include <math.h>
#include <string.h>

#include "engine/ops/kit.h"

#define GRAIN 32768

struct concat_args {
    int64_t axis;
};
struct slice_args {
    int64_t axis, start, stop;
};
struct unslice_args {
    struct arg_shape k, axis;
    int64_t at, start;
};
struct transpose_args {
    struct arg_shape perm;
};
struct cast_args {
    int to;
};

static int axis_of(int64_t axis, int ndim) { return axis < 0 ? (int)axis + ndim : (int)axis; }
/* Values before, along and behind an axis. */
struct cut {
    int64_t outer, n, inner;
};
static struct cut cut_of(const struct view *v, int axis) {
    struct cut c = {1, v->n[axis], 1};
    for (int i = 0; i < axis; i++) c.outer *= v->n[i];
    for (int i = axis + 1; i < v->ndim; i++) c.inner *= v->n[i];
    return c;
}
static size_t item(const struct view *v) { return dtype_bytes(v->dtype, 1); }

/* ---- concat */
static int concat_shape(struct shaping *s, struct err *e) {
    const struct tensor *a = s->in[0];
    int axis = axis_of(((const struct concat_args *)s->attr)->axis, a->ndim);
    if (axis < 0 || axis >= a->ndim) return err_set(e, "there is no axis %lld", (long long)((const struct concat_args *)s->attr)->axis);
    kit_like(&s->out[0], a);
    for (int i = 1; i < s->n_in; i++) {
        const struct tensor *b = s->in[i];
        bool ok = b && b->ndim == a->ndim && b->dtype == a->dtype;
        for (int d = 0; ok && d < a->ndim; d++) ok = d == axis ? b->dim[d].axis == AXIS_ONE && a->dim[d].axis == AXIS_ONE : dim_same(a->dim[d], b->dim[d]);
        if (!ok) return err_set(e, "all extents but that of axis %d must agree, and that one must be fixed", axis);
        s->out[0].dim[axis].k += b->dim[axis].k;
    }
    s->n_out = 1;
    return 0;
}
static int concat_grad(struct graph *g, const struct node *n, const tid *dout, tid *din, struct err *e) {
    int64_t at = 0;
    int axis = axis_of(((const struct concat_args *)n->attr)->axis, graph_tensor(g, n->in[0])->ndim);
    for (int i = 0; i < n->n_in; i++) {
        int64_t k = graph_tensor(g, n->in[i])->dim[axis].k;
        if (kit_needs(g, n->in[i])) {
            struct val *v = val_table();
            val_set_int(v, "axis", axis);
            val_set_int(v, "start", at);
            val_set_int(v, "stop", at + k);
            if ((din[i] = kit_add_take(g, "slice", v, dout, 1, NULL, e)) < 0) return -1;
        }
        at += k;
    }
    return 0;
}
static void concat_ref(const struct exec *x) {
    int axis = axis_of(((const struct concat_args *)x->attr)->axis, x->out[0].ndim);
    struct cut o = cut_of(&x->out[0], axis);
    size_t w = item(&x->out[0]);
    int64_t at = 0;
    for (int i = 0; i < x->n_in; i++) {
        int64_t k = x->in[i].n[axis] * o.inner;
        for (int64_t r = 0; r < o.outer; r++)
            memcpy((char *)x->out[0].data + (size_t)(r * o.n * o.inner + at) * w, (const char *)x->in[i].data + (size_t)(r * k) * w, (size_t)k * w);
        at += k;
    }
}

/* ---- slice start..stop-1 of an axis, and its adjoint: zeros around */
static int slice_shape(struct shaping *s, struct err *e) {
    const struct slice_args *a = s->attr;
    const struct tensor *x = s->in[0];
    int axis = axis_of(a->axis, x->ndim);
    if (axis < 0 || axis >= x->ndim || x->dim[axis].axis != AXIS_ONE) return err_set(e, "axis %lld is not there or has no fixed extent", (long long)a->axis);
    int64_t stop = a->stop == ARG_NONE_INT ? x->dim[axis].k : a->stop;
    if (a->start < 0 || stop < a->start || stop > x->dim[axis].k)
        return err_set(e, "%lld..%lld does not lie in the extent %lld", (long long)a->start, (long long)stop, (long long)x->dim[axis].k);
    kit_like(&s->out[0], x);
    s->out[0].dim[axis].k = stop - a->start;
    s->n_out = 1;
    return 0;
}
static int slice_grad(struct graph *g, const struct node *n, const tid *dout, tid *din, struct err *e) {
    const struct slice_args *a = n->attr;
    const struct tensor *x = graph_tensor(g, n->in[0]);
    struct val *v = kit_dims_val(x);
    val_set_int(v, "at", axis_of(a->axis, x->ndim));
    val_set_int(v, "start", a->start);
    return (din[0] = kit_add_take(g, "unslice", v, dout, 1, NULL, e)) < 0 ? -1 : 0;
}
static void slice_ref(const struct exec *x) {
    const struct slice_args *a = x->attr;
    int axis = axis_of(a->axis, x->in[0].ndim);
    struct cut c = cut_of(&x->in[0], axis);
    int64_t k = x->out[0].n[axis] * c.inner;
    size_t w = item(&x->in[0]);
    for (int64_t r = 0; r < c.outer; r++)
        memcpy((char *)x->out[0].data + (size_t)(r * k) * w, (const char *)x->in[0].data + (size_t)((r * c.n + a->start) * c.inner) * w, (size_t)k * w);
}
static int unslice_shape(struct shaping *s, struct err *e) {
    const struct unslice_args *a = s->attr;
    struct kit_dims d = {a->k, a->axis};
    kit_dims_get(&d, &s->out[0]);
    s->out[0].dtype = s->in[0]->dtype;
    if (a->at < 0 || a->at >= s->out[0].ndim || s->in[0]->ndim != s->out[0].ndim || a->start < 0 || a->start + s->in[0]->dim[a->at].k > s->out[0].dim[a->at].k)
        return err_set(e, "the slice does not lie in the shape asked for");
    s->n_out = 1;
    return 0;
}
static void unslice_ref(const struct exec *x) {
    const struct unslice_args *a = x->attr;
    struct cut c = cut_of(&x->out[0], (int)a->at);
    int64_t k = x->in[0].n[a->at] * c.inner;
    size_t w = item(&x->in[0]);
    memset(x->out[0].data, 0, (size_t)x->out[0].len * w);
    for (int64_t r = 0; r < c.outer; r++)
        memcpy((char *)x->out[0].data + (size_t)((r * c.n + a->start) * c.inner) * w, (const char *)x->in[0].data + (size_t)(r * k) * w, (size_t)k * w);
}

/* ---- transpose: out extent i is input extent perm[i] */
static int transpose_shape(struct shaping *s, struct err *e) {
    const struct arg_shape *p = &((const struct transpose_args *)s->attr)->perm;
    const struct tensor *x = s->in[0];
    unsigned seen = 0;
    if (p->n != x->ndim) return err_set(e, "the permutation names %d extents", p->n);
    kit_like(&s->out[0], x);
    for (int i = 0; i < p->n; i++) {
        if (p->d[i] < 0 || p->d[i] >= p->n || seen >> p->d[i] & 1) return err_set(e, "perm must name each of 0..%d once", p->n - 1);
        seen |= 1u << p->d[i];
        s->out[0].dim[i] = x->dim[p->d[i]];
    }
    s->n_out = 1;
    return 0;
}
static int transpose_grad(struct graph *g, const struct node *n, const tid *dout, tid *din, struct err *e) {
    const struct arg_shape *p = &((const struct transpose_args *)n->attr)->perm;
    int64_t inv[TENSOR_DIMS] = {0};
    struct val *v = val_table(), *l = val_list();
    for (int i = 0; i < p->n; i++) inv[p->d[i]] = i;
    for (int i = 0; i < p->n; i++) val_push(l, val_int(inv[i]));
    val_set(v, "perm", l);
    return (din[0] = kit_add_take(g, "transpose", v, dout, 1, NULL, e)) < 0 ? -1 : 0;
}
static int64_t source_of(const struct exec *x, int64_t i) { /* element of the input for element i of the output */
    const struct arg_shape *p = &((const struct transpose_args *)x->attr)->perm;
    int64_t st[TENSOR_DIMS], step = 1, at = 0;
    for (int d = x->in[0].ndim - 1; d >= 0; d--) {
        st[d] = step;
        step *= x->in[0].n[d];
    }
    for (int d = p->n - 1; d >= 0; d--) {
        at += i % x->out[0].n[d] * st[p->d[d]];
        i /= x->out[0].n[d];
    }
    return at;
}
static void transpose_ref(const struct exec *x) {
    for (int64_t i = 0; i < x->out[0].len; i++) view_put(&x->out[0], i, view_get(&x->in[0], source_of(x, i)));
}
static int64_t move_tiles(const struct exec *x) { return kit_tiles(x->out[0].len, GRAIN); }
static void transpose_run(const struct exec *x, int64_t lo, int64_t hi) {
    int64_t to = kit_min(x->out[0].len, hi * GRAIN), w = kit_last(&x->out[0]);
    for (int64_t i = lo * GRAIN; i < to;) { /* the last extent of the output has one stride */
        int64_t n = kit_min(w - i % w, to - i), from = source_of(x, i), step = n > 1 ? source_of(x, i + 1) - from : 0;
        const float *a = (const float *)x->in[0].data + from;
        float *y = (float *)x->out[0].data + i;
        for (int64_t j = 0; j < n; j++) y[j] = a[j * step];
        i += n;
    }
}

/* ---- cast */
static const char *const cast_names[] = {"f32", "f64", "i32", "i64", "u8", "i8", NULL};
static const enum dtype cast_types[] = {DT_F32, DT_F64, DT_I32, DT_I64, DT_U8, DT_I8};
static int cast_shape(struct shaping *s, struct err *e) {
    (void)e;
    kit_like(&s->out[0], s->in[0]);
    s->out[0].dtype = cast_types[((const struct cast_args *)s->attr)->to];
    s->n_out = 1;
    return 0;
}
static int cast_grad(struct graph *g, const struct node *n, const tid *dout, tid *din, struct err *e) {
    enum dtype d = graph_tensor(g, n->in[0])->dtype;
    struct val *v = val_table();
    if (!dtypes[d].is_float) {
        val_free(v);
        return 0;
    }
    val_set_str(v, "to", dtypes[d].name);
    return (din[0] = kit_add_take(g, "cast", v, dout, 1, NULL, e)) < 0 ? -1 : 0;
}
static void cast_ref(const struct exec *x) {
    for (int64_t i = 0; i < x->in[0].len; i++) {
        double v = view_get(&x->in[0], i);
        view_put(&x->out[0], i, dtypes[x->out[0].dtype].is_float ? v : trunc(v));
    }
}

static const struct arg concat_arg[] = {
    {.name = "axis", .help = "which axis grows, -1 the last", .def = "-1", .type = ARG_INT, .offset = offsetof(struct concat_args, axis), .lo = -6, .hi = 5},
    {0}};
static const struct arg slice_arg[] = {
    {.name = "axis", .help = "which axis is cut, -1 the last", .def = "-1", .type = ARG_INT, .offset = offsetof(struct slice_args, axis), .lo = -6, .hi = 5},
    {.name = "start", .help = "first index", .def = "0", .type = ARG_INT, .offset = offsetof(struct slice_args, start)},
    {.name = "stop", .help = "index after the last; default: all", .type = ARG_INT, .offset = offsetof(struct slice_args, stop)}, {0}};
static const struct arg unslice_arg[] = {KIT_DIMS(struct unslice_args),
    {.name = "at", .help = "which axis was cut", .def = "0", .type = ARG_INT, .offset = offsetof(struct unslice_args, at)},
    {.name = "start", .help = "first index", .def = "0", .type = ARG_INT, .offset = offsetof(struct unslice_args, start)}, {0}};
static const struct arg transpose_arg[] = {{.name = "perm",
                                               .help = "which extent comes first, second, ...; 0 is the batch",
                                               .type = ARG_SHAPE,
                                               .flags = ARG_REQUIRED,
                                               .offset = offsetof(struct transpose_args, perm)},
    {0}};
static const struct arg cast_arg[] = {
    {.name = "to", .help = "type", .def = "f32", .type = ARG_ENUM, .offset = offsetof(struct cast_args, to), .names = cast_names}, {0}};
static const struct sample concat_samples[] = {{NULL, "f(R,4) f(R,3)"}, {"axis=1", "f(R,3,5) f(R,1,5) f(R,2,5)"}, {"axis=-2", "f(R,1,7) f(R,2,7)"}, {0}};
static const struct sample slice_samples[] = {{"start=1 stop=3", "f(R,4)"}, {"axis=1 start=2", "f(R,3,5)"}, {"stop=0", "f(R,7)"}, {0}};
static const struct sample unslice_samples[] = {
    {"k={1,4} axis={1,0} at=1 start=1", "f(R,2)"}, {"k={1,3,5} axis={1,0,0} at=1 start=2", "f(R,1,5)"}, {"k={1,7} axis={1,0} at=1", "f(R,7)"}, {0}};
static const struct sample transpose_samples[] = {{"perm={1,0}", "f(R,4)"}, {"perm={0,2,1}", "f(R,3,5)"}, {"perm={2,0,3,1}", "f(R,2,3,7)"}, {0}};
static const struct sample cast_samples[] = {{"to=i32", "f(R,4)[-9,9] > 0"}, {"to=u8", "i(R,3,5)[0,255] > 0"}, {"to=i64", "f(R,7)[-9,9] > 0"}, {0}};

const struct op ISA(op_concat) = {
    .kind = {.name = "concat", .help = "inputs side by side along an axis", .args = concat_arg, .size = sizeof(struct concat_args)},
    .in_min = 1,
    .in_max = OP_IN,
    .n_out = 1,
    .shape = concat_shape,
    .grad = concat_grad,
    .ref = concat_ref,
    .samples = concat_samples};
const struct op ISA(op_slice) = {.kind = {.name = "slice", .help = "part of an axis", .args = slice_arg, .size = sizeof(struct slice_args)},
    .in_min = 1,
    .in_max = 1,
    .n_out = 1,
    .flags = OP_LAYER,
    .shape = slice_shape,
    .grad = slice_grad,
    .ref = slice_ref,
    .samples = slice_samples};
const struct op ISA(op_unslice) = {
    .kind = {.name = "unslice", .help = "zeros around a slice: its gradient", .args = unslice_arg, .size = sizeof(struct unslice_args)},
    .in_min = 1,
    .in_max = 1,
    .n_out = 1,
    .shape = unslice_shape,
    .ref = unslice_ref,
    .samples = unslice_samples};
const struct op ISA(op_transpose) = {
    .kind = {.name = "transpose", .help = "extents in another order", .args = transpose_arg, .size = sizeof(struct transpose_args)},
    .in_min = 1,
    .in_max = 1,
    .n_out = 1,
    .flags = OP_LAYER,
    .shape = transpose_shape,
    .grad = transpose_grad,
    .ref = transpose_ref,
    .tiles = move_tiles,
    .run = transpose_run,
    .samples = transpose_samples};
const struct op ISA(op_cast) = {.kind = {.name = "cast", .help = "another type", .args = cast_arg, .size = sizeof(struct cast_args)},
    .in_min = 1,
    .in_max = 1,
    .n_out = 1,
    .shape = cast_shape,
    .grad = cast_grad,
    .ref = cast_ref,
    .samples = cast_samples};
