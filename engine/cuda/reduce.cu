/* Sum, mean and maximum over one axis with the index of the maximum, and their gradients, as engine/ops/reduce.c defines them. A thread an output. */
#include "engine/cuda/cuda.h"

struct cut {
    int64_t outer, n, inner;
};
static cut cut_of(const struct view *v, int axis) {
    cut c = {1, v->n[axis], 1};
    for (int i = 0; i < axis; i++) c.outer *= v->n[i];
    for (int i = axis + 1; i < v->ndim; i++) c.inner *= v->n[i];
    return c;
}
static cut cut_in(const struct cuda *c, const struct exec *x) {
    int a = (int)c->host->number(x->node, "axis");
    return cut_of(&x->in[0], a < 0 ? a + x->in[0].ndim : a);
}
__global__ void sum(vec x, vec y, cut c, bool mean) {
    EACH(i, c.outer * c.inner) {
        float s = 0;
        for (int64_t k = 0; k < c.n; k++) s += x.get((i / c.inner * c.n + k) * c.inner + i % c.inner);
        y.put(i, mean ? s / (float)c.n : s);
    }
}
template <bool mean> static int sum_run(struct cuda *c, const struct exec *x, const uint64_t *, struct err *) {
    cut k = cut_in(c, x);
    if (k.outer * k.inner > 0) LAUNCH(sum, grid_for(c, k.outer * k.inner), 256, c->stream, vec_of(&x->in[0]), vec_of(&x->out[0]), k, mean);
    return 0;
}
/* of equal ones the first wins, NaN wins over all */
__global__ void best(vec x, vec value, int32_t *index, cut c) {
    EACH(i, c.outer * c.inner) {
        int64_t from = i / c.inner * c.n * c.inner + i % c.inner, at = 0;
        float m = x.get(from);
        for (int64_t k = 1; k < c.n; k++) {
            float v = x.get(from + k * c.inner);
            if (v > m || (v != v && m == m)) m = v, at = k;
        }
        if (value.p) value.put(i, m);
        index[i] = (int32_t)at;
    }
}
template <bool with_value> static int best_run(struct cuda *c, const struct exec *x, const uint64_t *, struct err *) {
    cut k = cut_in(c, x);
    vec none = {NULL, DT_F32};
    if (k.outer * k.inner > 0)
        LAUNCH(best, grid_for(c, k.outer * k.inner), 256, c->stream, vec_of(&x->in[0]), with_value ? vec_of(&x->out[0]) : none,
            (int32_t *)x->out[with_value ? 1 : 0].data, k);
    return 0;
}
__global__ void back(vec d, const int32_t *index, vec y, cut c, bool mean) {
    EACH(i, c.outer * c.n * c.inner) {
        int64_t inner = i % c.inner, k = i / c.inner % c.n, o = i / c.inner / c.n * c.inner + inner;
        float v = d.get(o);
        if (mean) v /= (float)c.n;
        if (index && index[o] != (int32_t)k) v = 0;
        y.put(i, v);
    }
}
template <bool mean, bool indexed> static int back_run(struct cuda *c, const struct exec *x, const uint64_t *, struct err *) {
    cut k = cut_of(&x->out[0], (int)c->host->number(x->node, "at"));
    if (x->out[0].len > 0)
        LAUNCH(back, grid_for(c, x->out[0].len), 256, c->stream, vec_of(&x->in[0]), indexed ? (const int32_t *)x->in[1].data : (const int32_t *)NULL,
            vec_of(&x->out[0]), k, mean);
    return 0;
}

extern const struct kernel reduce_kernels[];
const struct kernel reduce_kernels[] = {{"sum", 1, 1, false, NULL, sum_run<false>}, {"mean", 1, 1, false, NULL, sum_run<true>},
    {"max", 1, 1, false, NULL, best_run<true>}, {"argmax", 1, 0, false, NULL, best_run<false>}, {"sum_grad", 1, 1, false, NULL, back_run<false, false>},
    {"mean_grad", 1, 1, false, NULL, back_run<true, false>}, {"max_grad", 1, 1, false, NULL, back_run<false, true>}, {}};
