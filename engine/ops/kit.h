/* What op files share: shape copies, tile arithmetic. The functions (kit.c) are compiled once;
 * the inline ones once per instruction set. */
#ifndef HONE_ENGINE_OPS_KIT_H
#define HONE_ENGINE_OPS_KIT_H

#include "engine/graph/op.h"

bool kit_float(const struct shaping *s, int i); /* input i is there and of a float type */
bool kit_int(const struct shaping *s, int i); /* input i is there and i32 */
bool kit_same(const struct tensor *a, const struct tensor *b); /* shapes */
void kit_like(struct tensor *out, const struct tensor *t); /* shape, dtype, offsets */
void kit_one(struct tensor *out, enum dtype d); /* () */
bool kit_flat(const struct tensor *t, int from, int to, struct dim *d); /* product of extents from..to-1; false: two symbols or too large */
void kit_partials(struct shaping *s, const struct tensor *t, int64_t grain); /* scratch: one double a tile of `grain` elements, twice */
/* The outputs sum and weight of a loss over vectors (.., n), and scratch for one double a tile of about `work` elements; false: two symbols or too large */
bool kit_sums(struct shaping *s, const struct tensor *t, int64_t work);
bool kit_needs(const struct graph *g, tid t); /* wants a gradient */
/* A shape as arguments `k` and `axis`, for ops whose output shape no input has (gradients of pooling, slicing, sums). */
struct kit_dims {
    struct arg_shape k, axis;
};
#define KIT_DIMS(T)                                                                                           \
    {.name = "k", .help = "extents", .type = ARG_SHAPE, .offset = offsetof(T, k)}, {                          \
        .name = "axis", .help = "axis symbols of the extents", .type = ARG_SHAPE, .offset = offsetof(T, axis) \
    }
struct val *kit_dims_val(const struct tensor *t);
void kit_dims_get(const struct kit_dims *d, struct tensor *out);
/* graph_add with the attributes released afterwards; one output. */
tid kit_add_take(struct graph *g, const char *op, struct val *attr_take, const tid *in, int n_in, tid *out, struct err *e);

static inline bool kit_has(const struct exec *x, int i) { return i < x->n_in && x->in[i].data; }
static inline int64_t kit_tiles(int64_t n, int64_t grain) { return n > 0 ? (n + grain - 1) / grain : 0; }
static inline int64_t kit_min(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t kit_max(int64_t a, int64_t b) { return a > b ? a : b; }
/* Rows in a tile so that it holds about `work` elements. */
static inline int64_t kit_grain(int64_t work, int64_t width) { return kit_max(1, work / kit_max(1, width)); }
static inline int64_t kit_last(const struct view *v) { return v->ndim ? v->n[v->ndim - 1] : 1; }
static inline int64_t kit_rows(const struct view *v) { /* all extents but the last */
    int64_t n = 1;
    for (int i = 0; i + 1 < v->ndim; i++) n *= v->n[i];
    return n;
}
/* The text of token t: the last r with off[r] <= t; texts may be empty. */
static inline int64_t kit_text(const int32_t *off, int64_t rows, int64_t t) {
    int64_t lo = 0, hi = rows - 1;
    while (lo < hi) {
        int64_t m = (lo + hi + 1) / 2;
        if (off[m] <= t) lo = m;
        else hi = m - 1;
    }
    return lo;
}

#endif
