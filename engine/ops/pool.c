/* Mean, sum and maximum over the tokens of each text: x (T, ..) and offsets (R+1) -> (R, ..). An empty text gives 0 and gets no gradient. A weight for each
 * token makes the mean sum w x / sum w. Tiles are groups of texts. max_pool also gives the token each maximum came from, or -1. */
#include <string.h>

#include "engine/ops/kit.h"

#define WORK 32768

static int pool_shape(struct shaping *s, struct err *e) {
    const struct tensor *x = s->in[0], *o = s->in[1], *w = s->n_in > 2 ? s->in[2] : NULL;
    if (!kit_float(s, 0) || !kit_int(s, 1) || x->ndim < 1 || x->dim[0].axis < AXIS_T0 || x->dim[0].k != 1 || o->ndim != 1 || o->dim[0].axis != AXIS_R1)
        return err_set(e, "needs values of tokens (T, ..) and offsets (R+1)");
    if (w && (!kit_float(s, 2) || w->ndim != 1 || !dim_same(w->dim[0], x->dim[0]))) return err_set(e, "the weights must be one for each token");
    kit_like(&s->out[0], x);
    s->out[0].dim[0] = (struct dim){1, AXIS_R};
    s->out[0].offsets = -1;
    s->n_out = 1;
    return 0;
}
static int max_shape(struct shaping *s, struct err *e) {
    if (pool_shape(s, e) < 0) return -1;
    s->out[1] = s->out[0];
    s->out[1].dtype = DT_I32;
    s->n_out = 2;
    return 0;
}
static int spread_grad(struct graph *g, const struct node *n, const char *op, tid third, const tid *dout, tid *din, struct err *e) {
    tid in[] = {dout[0], n->in[1], third};
    din[0] = kit_add_take(g, op, kit_dims_val(graph_tensor(g, n->in[0])), in, 3, NULL, e);
    return din[0] < 0 ? -1 : 0;
}
static int mean_grad(struct graph *g, const struct node *n, const tid *dout, tid *din, struct err *e) {
    return spread_grad(g, n, "mean_pool_grad", n->n_in > 2 ? n->in[2] : -1, dout, din, e);
}
static int sum_grad(struct graph *g, const struct node *n, const tid *dout, tid *din, struct err *e) {
    return spread_grad(g, n, "sum_pool_grad", n->n_in > 2 ? n->in[2] : -1, dout, din, e);
}
static int max_grad(struct graph *g, const struct node *n, const tid *dout, tid *din, struct err *e) {
    return spread_grad(g, n, "max_pool_grad", n->out[1], dout, din, e);
}
static int pgrad_shape(struct shaping *s, struct err *e) {
    struct tensor *o = &s->out[0];
    if (!kit_float(s, 0) || s->in[0]->ndim < 1 || !kit_int(s, 1)) return err_set(e, "needs a gradient (R, ..) and offsets (R+1)");
    kit_dims_get(s->attr, o);
    bool ok = o->ndim == s->in[0]->ndim;
    for (int i = 1; ok && i < o->ndim; i++) ok = dim_same(o->dim[i], s->in[0]->dim[i]);
    if (!ok) return err_set(e, "the gradient does not have the pooled shape");
    o->dtype = s->in[0]->dtype;
    s->n_out = 1;
    return 0;
}

struct span {
    int64_t from, to, d;
}; /* texts of these tiles; values a token */
static int64_t width(const struct view *v) {
    int64_t n = 1;
    for (int i = 1; i < v->ndim; i++) n *= v->n[i];
    return n;
}
static int64_t grain(const struct view *tokens, const struct view *texts) { return kit_grain(WORK, tokens->n[0] / kit_max(1, texts->n[0]) * width(texts)); }
static struct span span_of(const struct view *tokens, const struct view *texts, int64_t lo, int64_t hi) {
    int64_t k = grain(tokens, texts);
    return (struct span){lo * k, kit_min(texts->n[0], hi * k), width(texts)};
}
static int64_t pool_tiles(const struct exec *x) { return kit_tiles(x->out[0].n[0], grain(&x->in[0], &x->out[0])); }
static int64_t pgrad_tiles(const struct exec *x) { return kit_tiles(x->in[0].n[0], grain(&x->out[0], &x->in[0])); }

/* The factor of a text: 1 / (its weight), or 1. */
static double factor(const struct exec *x, int64_t from, int64_t to, bool mean) {
    if (!mean) return 1;
    double w = (double)(to - from);
    if (kit_has(x, 2)) {
        w = 0;
        for (int64_t t = from; t < to; t++) w += view_get(&x->in[2], t);
    }
    return w != 0 ? 1 / w : 0;
}
static void pool_ref(const struct exec *x, bool mean) {
    int64_t d = width(&x->out[0]);
    for (int64_t r = 0; r < x->out[0].n[0]; r++) {
        int64_t from = (int64_t)view_get(&x->in[1], r), to = (int64_t)view_get(&x->in[1], r + 1);
        double k = factor(x, from, to, mean);
        for (int64_t i = 0; i < d; i++) {
            double s = 0;
            for (int64_t t = from; t < to; t++) s += view_get(&x->in[0], t * d + i) * (kit_has(x, 2) ? view_get(&x->in[2], t) : 1);
            view_put(&x->out[0], r * d + i, k * s);
        }
    }
}
static void pool_run(const struct exec *x, int64_t lo, int64_t hi, bool mean) {
    struct span p = span_of(&x->in[0], &x->out[0], lo, hi);
    const int32_t *off = x->in[1].data;
    const float *tw = kit_has(x, 2) ? x->in[2].data : NULL;
    for (int64_t r = p.from; r < p.to; r++) {
        float *y = (float *)x->out[0].data + r * p.d, k = (float)factor(x, off[r], off[r + 1], mean);
        memset(y, 0, (size_t)p.d * sizeof(float));
        for (int32_t t = off[r]; t < off[r + 1]; t++) {
            const float *a = (const float *)x->in[0].data + t * p.d;
            float w = tw ? tw[t] * k : k;
#pragma omp simd
            for (int64_t i = 0; i < p.d; i++) y[i] += w * a[i];
        }
    }
}
static void mean_ref(const struct exec *x) { pool_ref(x, true); }
static void sum_ref(const struct exec *x) { pool_ref(x, false); }
static void mean_run(const struct exec *x, int64_t lo, int64_t hi) { pool_run(x, lo, hi, true); }
static void sum_run(const struct exec *x, int64_t lo, int64_t hi) { pool_run(x, lo, hi, false); }

static void pgrad_ref(const struct exec *x, bool mean) {
    int64_t d = width(&x->in[0]);
    for (int64_t r = 0; r < x->in[0].n[0]; r++) {
        int64_t from = (int64_t)view_get(&x->in[1], r), to = (int64_t)view_get(&x->in[1], r + 1);
        double k = factor(x, from, to, mean);
        for (int64_t t = from; t < to; t++)
            for (int64_t i = 0; i < d; i++) view_put(&x->out[0], t * d + i, k * view_get(&x->in[0], r * d + i) * (kit_has(x, 2) ? view_get(&x->in[2], t) : 1));
    }
}
static void pgrad_run(const struct exec *x, int64_t lo, int64_t hi, bool mean) {
    struct span p = span_of(&x->out[0], &x->in[0], lo, hi);
    const int32_t *off = x->in[1].data;
    const float *tw = kit_has(x, 2) ? x->in[2].data : NULL;
    for (int64_t r = p.from; r < p.to; r++) {
        const float *a = (const float *)x->in[0].data + r * p.d;
        float k = (float)factor(x, off[r], off[r + 1], mean);
        for (int32_t t = off[r]; t < off[r + 1]; t++) {
            float *y = (float *)x->out[0].data + t * p.d, w = tw ? tw[t] * k : k;
            for (int64_t i = 0; i < p.d; i++) y[i] = w * a[i];
        }
    }
}
static void mean_grad_ref(const struct exec *x) { pgrad_ref(x, true); }
static void sum_grad_ref(const struct exec *x) { pgrad_ref(x, false); }
static void mean_grad_run(const struct exec *x, int64_t lo, int64_t hi) { pgrad_run(x, lo, hi, true); }
static void sum_grad_run(const struct exec *x, int64_t lo, int64_t hi) { pgrad_run(x, lo, hi, false); }

static void max_ref(const struct exec *x) {
    int64_t d = width(&x->out[0]);
    for (int64_t r = 0; r < x->out[0].n[0]; r++) {
        int64_t from = (int64_t)view_get(&x->in[1], r), to = (int64_t)view_get(&x->in[1], r + 1);
        for (int64_t i = 0; i < d; i++) {
            int64_t at = from < to ? from : -1;
            for (int64_t t = from + 1; t < to; t++)
                if (view_get(&x->in[0], t * d + i) > view_get(&x->in[0], at * d + i)) at = t;
            view_put(&x->out[0], r * d + i, at < 0 ? 0 : view_get(&x->in[0], at * d + i));
            view_put(&x->out[1], r * d + i, (double)at);
        }
    }
}
static void max_run(const struct exec *x, int64_t lo, int64_t hi) {
    struct span p = span_of(&x->in[0], &x->out[0], lo, hi);
    const int32_t *off = x->in[1].data;
    for (int64_t r = p.from; r < p.to; r++) {
        float *y = (float *)x->out[0].data + r * p.d;
        int32_t *at = (int32_t *)x->out[1].data + r * p.d, from = off[r], to = off[r + 1];
        const float *a = (const float *)x->in[0].data + from * p.d;
        for (int64_t i = 0; i < p.d; i++) y[i] = from < to ? a[i] : 0, at[i] = from < to ? from : -1;
        for (int32_t t = from + 1; t < to; t++) {
            a += p.d;
#pragma omp simd
            for (int64_t i = 0; i < p.d; i++) {
                at[i] = a[i] > y[i] ? t : at[i];
                y[i] = a[i] > y[i] ? a[i] : y[i];
            }
        }
    }
}
static void max_grad_ref(const struct exec *x) {
    int64_t d = width(&x->in[0]);
    for (int64_t i = 0; i < x->out[0].len; i++) view_put(&x->out[0], i, 0);
    for (int64_t r = 0; r < x->in[0].n[0]; r++)
        for (int64_t i = 0; i < d; i++) {
            int64_t at = (int64_t)view_get(&x->in[2], r * d + i), from = (int64_t)view_get(&x->in[1], r), to = (int64_t)view_get(&x->in[1], r + 1);
            if (at >= from && at < to) view_put(&x->out[0], at * d + i, view_get(&x->in[0], r * d + i));
        }
}
static void max_grad_run(const struct exec *x, int64_t lo, int64_t hi) {
    struct span p = span_of(&x->out[0], &x->in[0], lo, hi);
    const int32_t *off = x->in[1].data, *at = x->in[2].data;
    float *y = x->out[0].data;
    for (int64_t r = p.from; r < p.to; r++) {
        memset(y + off[r] * p.d, 0, (size_t)(off[r + 1] - off[r]) * (size_t)p.d * sizeof(float));
        for (int64_t i = 0; i < p.d; i++)
            if (at[r * p.d + i] >= off[r] && at[r * p.d + i] < off[r + 1]) y[at[r * p.d + i] * p.d + i] = ((const float *)x->in[0].data)[r * p.d + i];
    }
}

static const struct arg pool_arg[] = {KIT_DIMS(struct kit_dims), {0}};
static const struct sample pool_samples[] = {
    {NULL, "f(T0,3) o(T0)"}, {NULL, "f(T0,33) o(T0)"}, {NULL, "f(T0,2,5) o(T0) c(T0)[0.1,2]"}, {NULL, "f(T0) o(T0)"}, {0}};
static const struct sample max_samples[] = {{NULL, "f(T0,3) o(T0)"}, {NULL, "f(T0,33) o(T0)"}, {NULL, "f(T0,2,5) o(T0)"}, {NULL, "f(T0) o(T0)"}, {0}};
static const struct sample pgrad_samples[] = {
    {"k={1,3} axis={3,0}", "f(R,3) o(T0)"}, {"k={1,33} axis={3,0}", "f(R,33) o(T0)"}, {"k={1,2,5} axis={3,0,0}", "f(R,2,5) o(T0) c(T0)[0.1,2]"}, {0}};
static const struct sample max_grad_samples[] = {{"k={1,3} axis={3,0}", "f(R,3) o(T0) i(R,3)[-1,-1]"}, {"k={1} axis={3}", "f(R) o(T0) i(R)[-1,-1]"},
    {"k={1,5} axis={3,0}", "f(R,5) o(T0) i(R,5)[0,0]"}, {0}};

#define POOL(n, h, shape_, outs, in_max_, samples_, grad_samples_)                                                               \
    const struct op ISA(op_##n##_pool) = {.kind = {.name = #n "_pool", .help = h},                                               \
        .in_min = 2,                                                                                                             \
        .in_max = in_max_,                                                                                                       \
        .n_out = outs,                                                                                                           \
        .shape = shape_,                                                                                                         \
        .grad = n##_grad,                                                                                                        \
        .ref = n##_ref,                                                                                                          \
        .tiles = pool_tiles,                                                                                                     \
        .run = n##_run,                                                                                                          \
        .samples = samples_};                                                                                                    \
    const struct op ISA(op_##n##_pool_grad) = {                                                                                  \
        .kind = {.name = #n "_pool_grad", .help = "gradient of " #n "_pool", .args = pool_arg, .size = sizeof(struct kit_dims)}, \
        .in_min = 2,                                                                                                             \
        .in_max = 3,                                                                                                             \
        .n_out = 1,                                                                                                              \
        .shape = pgrad_shape,                                                                                                    \
        .ref = n##_grad_ref,                                                                                                     \
        .tiles = pgrad_tiles,                                                                                                    \
        .run = n##_grad_run,                                                                                                     \
        .samples = grad_samples_};
POOL(mean, "mean over the tokens of each text", pool_shape, 1, 3, pool_samples, pgrad_samples)
POOL(sum, "sum over the tokens of each text", pool_shape, 1, 3, pool_samples, pgrad_samples)
POOL(max, "maximum over the tokens of each text", max_shape, 2, 2, max_samples, max_grad_samples)
