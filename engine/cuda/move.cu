/* Values that move: concat, slice and its adjoint, transpose, sums over micro-batches, as engine/ops/move.c and accumulate.c define them. */
#include "engine/cuda/cuda.h"

#include <string.h>

/* Pieces of `k` values from rows of `from` to rows of `to`: values before each piece, values of a row. T: a word of the element's size. */
template <class T> __global__ void pieces(const T *x, T *y, int64_t outer, int64_t k, int64_t x_row, int64_t x_at, int64_t y_row, int64_t y_at) {
    EACH(i, outer * k) y[i / k * y_row + y_at + i % k] = x[i / k * x_row + x_at + i % k];
}
__global__ void pieces_as(
    vec x, vec y, int64_t outer, int64_t k, int64_t x_row, int64_t x_at, int64_t y_row, int64_t y_at) { /* from one float type to another */
    EACH(i, outer * k) y.put(i / k * y_row + y_at + i % k, x.get(i / k * x_row + x_at + i % k));
}
static size_t bytes_of(const struct view *v) {
    return v->dtype == DT_F64 || v->dtype == DT_I64 ? 8 : v->dtype == DT_F32 || v->dtype == DT_I32 ? 4 : v->dtype == DT_BF16 || v->dtype == DT_F16 ? 2 : 1;
}
static void move(
    struct cuda *c, const struct view *from, const struct view *to, int64_t outer, int64_t k, int64_t x_row, int64_t x_at, int64_t y_row, int64_t y_at) {
    unsigned grid = grid_for(c, outer * k);
    size_t w = bytes_of(to);
    const void *x = from->data;
    void *y = to->data;
    if (outer * k == 0) return;
    if (from->dtype != to->dtype) LAUNCH(pieces_as, grid, 256, c->stream, vec_of(from), vec_of(to), outer, k, x_row, x_at, y_row, y_at);
    else if (w == 8) LAUNCH((pieces<uint64_t>), grid, 256, c->stream, (const uint64_t *)x, (uint64_t *)y, outer, k, x_row, x_at, y_row, y_at);
    else if (w == 4) LAUNCH((pieces<uint32_t>), grid, 256, c->stream, (const uint32_t *)x, (uint32_t *)y, outer, k, x_row, x_at, y_row, y_at);
    else if (w == 2) LAUNCH((pieces<uint16_t>), grid, 256, c->stream, (const uint16_t *)x, (uint16_t *)y, outer, k, x_row, x_at, y_row, y_at);
    else LAUNCH((pieces<uint8_t>), grid, 256, c->stream, (const uint8_t *)x, (uint8_t *)y, outer, k, x_row, x_at, y_row, y_at);
}
struct cut {
    int64_t outer, n, inner;
};
static cut cut_of(const struct view *v, int axis) {
    cut c = {1, v->n[axis], 1};
    for (int i = 0; i < axis; i++) c.outer *= v->n[i];
    for (int i = axis + 1; i < v->ndim; i++) c.inner *= v->n[i];
    return c;
}
static int axis_of(const struct cuda *c, const struct exec *x, int ndim) {
    int a = (int)c->host->number(x->node, "axis");
    return a < 0 ? a + ndim : a;
}
static int concat_run(struct cuda *c, const struct exec *x, const uint64_t *, struct err *) {
    int axis = axis_of(c, x, x->out[0].ndim);
    cut o = cut_of(&x->out[0], axis);
    int64_t at = 0;
    for (int i = 0; i < x->n_in; i++) {
        int64_t k = x->in[i].n[axis] * o.inner;
        move(c, &x->in[i], &x->out[0], o.outer, k, k, 0, o.n * o.inner, at);
        at += k;
    }
    return 0;
}
static int slice_run(struct cuda *c, const struct exec *x, const uint64_t *, struct err *) {
    int axis = axis_of(c, x, x->in[0].ndim);
    cut o = cut_of(&x->in[0], axis);
    int64_t k = x->out[0].n[axis] * o.inner;
    move(c, &x->in[0], &x->out[0], o.outer, k, o.n * o.inner, (int64_t)c->host->number(x->node, "start") * o.inner, k, 0);
    return 0;
}
static int unslice_run(struct cuda *c, const struct exec *x, const uint64_t *, struct err *e) {
    int at = (int)c->host->number(x->node, "at");
    cut o = cut_of(&x->out[0], at);
    int64_t k = x->in[0].n[at] * o.inner;
    size_t w = bytes_of(&x->out[0]);
    if (x->out[0].len > 0 && cuda_fail(c, cudaMemsetAsync(x->out[0].data, 0, (size_t)x->out[0].len * w, c->stream), "clearing", e) < 0) return -1;
    move(c, &x->in[0], &x->out[0], o.outer, k, k, 0, o.n * o.inner, (int64_t)c->host->number(x->node, "start") * o.inner);
    return 0;
}

struct order {
    int ndim;
    int64_t n[TENSOR_DIMS], st[TENSOR_DIMS]; /* extents of the output; strides of the input along them */
};
__global__ void transpose(vec x, vec y, order o, int64_t n) {
    EACH(i, n) {
        int64_t at = 0, j = i;
        for (int d = o.ndim - 1; d >= 0; d--) at += j % o.n[d] * o.st[d], j /= o.n[d];
        y.put(i, x.get(at));
    }
}
static int transpose_run(struct cuda *c, const struct exec *x, const uint64_t *, struct err *) {
    int64_t perm[TENSOR_DIMS] = {0}, st[TENSOR_DIMS], step = 1;
    order o = {};
    o.ndim = c->host->shape(x->node, "perm", perm, TENSOR_DIMS);
    for (int d = x->in[0].ndim - 1; d >= 0; d--) st[d] = step, step *= x->in[0].n[d];
    for (int d = 0; d < o.ndim; d++) o.n[d] = x->out[0].n[d], o.st[d] = st[perm[d]];
    if (x->out[0].len > 0) LAUNCH(transpose, grid_for(c, x->out[0].len), 256, c->stream, vec_of(&x->in[0]), vec_of(&x->out[0]), o, x->out[0].len);
    return 0;
}

/* acc, x, first -> acc */
__global__ void accumulate(float *a, const float *b, const float *first, int64_t n) {
    bool begin = *first != 0;
    EACH(i, n) a[i] = begin ? b[i] : a[i] + b[i];
}
static int accumulate_run(struct cuda *c, const struct exec *x, const uint64_t *, struct err *) {
    if (x->in[1].len > 0)
        LAUNCH(accumulate, grid_for(c, x->in[1].len), 256, c->stream, (float *)x->out[0].data, (const float *)x->in[1].data, (const float *)x->in[2].data,
            x->in[1].len);
    return 0;
}

extern const struct kernel move_kernels[];
const struct kernel move_kernels[] = {{"concat", 0, 0, false, NULL, concat_run}, {"slice", 1, 1, false, NULL, slice_run},
    {"unslice", 0, 0, false, NULL, unslice_run}, {"transpose", 1, 1, false, NULL, transpose_run}, {"accumulate", 0, 0, false, NULL, accumulate_run}, {}};
