/* A residual sum and the layer normalisation behind it in one pass: s = a + b, y = gain (s - mean) / sqrt(var + eps) + bias over the last axis. The gradient
 * of s, gain and bias is one pass as well: each tile of rows leaves its column sums in the scratch, the end adds them in the order of the tiles. */
#include <math.h>
#include <string.h>

#include "engine/ops/kit.h"

#define WORK 65536 /* values a tile */

struct norm_args {
    double eps;
};

static bool norm_inputs(const struct shaping *s) {
    const struct tensor *x = s->in[0];
    bool ok = kit_float(s, 0) && kit_float(s, 1) && x->ndim >= 1 && x->dim[x->ndim - 1].axis == AXIS_ONE && kit_same(x, s->in[1]);
    for (int i = 2; ok && i < 4; i++) ok = kit_float(s, i) && s->in[i]->ndim == 1 && dim_same(s->in[i]->dim[0], x->dim[x->ndim - 1]);
    return ok;
}
/* -> s, y, mean, 1/deviation */
static int norm_shape(struct shaping *s, struct err *e) {
    if (!norm_inputs(s)) return err_set(e, "needs a (.., n), b of its shape, gain (n) and bias (n)");
    for (int i = 0; i < 4; i++) {
        kit_like(&s->out[i], s->in[0]);
        if (i > 1) s->out[i].ndim--;
    }
    s->n_out = 4;
    return 0;
}
static int norm_grad(struct graph *g, const struct node *n, const tid *dout, tid *din, struct err *e) {
    struct node k = *n;
    tid in[] = {k.out[0], dout[1], k.out[2], k.out[3], k.in[2], dout[0]}, out[3];
    if (dout[1] < 0) { /* only the sum is used */
        for (int i = 0; i < 2; i++)
            if (kit_needs(g, k.in[i])) din[i] = dout[0];
        return 0;
    }
    if (graph_add(g, "add_norm_grad", NULL, in, dout[0] >= 0 ? 6 : 5, out, e) < 0) return -1;
    for (int i = 0; i < 2; i++)
        if (kit_needs(g, k.in[i])) din[i] = out[0];
    if (kit_needs(g, k.in[2])) din[2] = out[1];
    if (kit_needs(g, k.in[3])) din[3] = out[2];
    return 0;
}
static int64_t norm_grain(const struct exec *x) { return kit_grain(WORK, kit_last(&x->in[0])); }
static int64_t norm_tiles(const struct exec *x) { return kit_tiles(kit_rows(&x->in[0]), norm_grain(x)); }
static void norm_ref(const struct exec *x) {
    int64_t n = kit_last(&x->in[0]);
    for (int64_t r = 0; r < kit_rows(&x->in[0]); r++) {
        double m = 0, v = 0;
        for (int64_t i = r * n; i < (r + 1) * n; i++) {
            double s = view_get(&x->in[0], i) + view_get(&x->in[1], i);
            view_put(&x->out[0], i, s);
            m += s;
        }
        m /= (double)n;
        for (int64_t i = r * n; i < (r + 1) * n; i++) v += (view_get(&x->out[0], i) - m) * (view_get(&x->out[0], i) - m);
        double k = 1 / sqrt(v / (double)n + ((const struct norm_args *)x->attr)->eps);
        for (int64_t i = 0; i < n; i++)
            view_put(&x->out[1], r * n + i, (view_get(&x->out[0], r * n + i) - m) * k * view_get(&x->in[2], i) + view_get(&x->in[3], i));
        view_put(&x->out[2], r, m);
        view_put(&x->out[3], r, k);
    }
}
static void norm_run(const struct exec *x, int64_t lo, int64_t hi) {
    int64_t n = kit_last(&x->in[0]), grain = norm_grain(x), to = kit_min(kit_rows(&x->in[0]), hi * grain);
    const float *w = x->in[2].data, *z = x->in[3].data;
    float eps = (float)((const struct norm_args *)x->attr)->eps;
    for (int64_t r = lo * grain; r < to; r++) {
        const float *a = (const float *)x->in[0].data + r * n, *b = (const float *)x->in[1].data + r * n;
        float *s = (float *)x->out[0].data + r * n, *y = (float *)x->out[1].data + r * n, m = 0, v = 0;
#pragma omp simd reduction(+ : m)
        for (int64_t i = 0; i < n; i++) {
            s[i] = a[i] + b[i];
            m += s[i];
        }
        m /= (float)n;
#pragma omp simd reduction(+ : v)
        for (int64_t i = 0; i < n; i++) v += (s[i] - m) * (s[i] - m);
        float k = 1.0f / sqrtf(v / (float)n + eps);
#pragma omp simd
        for (int64_t i = 0; i < n; i++) y[i] = (s[i] - m) * k * w[i] + z[i];
        ((float *)x->out[2].data)[r] = m;
        ((float *)x->out[3].data)[r] = k;
    }
}

/* ---- (s, dy, mean, r, gain [, ds]) -> ds (.., n), dgain (n), dbias (n) */
static int back_shape(struct shaping *s, struct err *e) {
    const struct tensor *x = s->in[0];
    bool ok = kit_float(s, 0) && kit_float(s, 1) && kit_same(x, s->in[1]) && x->ndim >= 1 && kit_float(s, 2) && kit_float(s, 3) && kit_float(s, 4) &&
              (s->n_in < 6 || (kit_float(s, 5) && kit_same(x, s->in[5])));
    struct dim rows;
    if (!ok || !kit_flat(x, 0, x->ndim - 1, &rows))
        return err_set(e, "needs the sum, dy of its shape, mean, 1/deviation, gain and optionally a gradient of the sum");
    for (int i = 0; i < 3; i++) {
        kit_like(&s->out[i], x);
        if (i) s->out[i].ndim = 1, s->out[i].dim[0] = x->dim[x->ndim - 1], s->out[i].offsets = -1;
    }
    int64_t n = x->dim[x->ndim - 1].k, grain = kit_grain(WORK, n); /* two sums a tile: 2 n floats for each `grain` rows */
    s->scratch = (struct dim){(int64_t)sizeof(float) * (2 * n * rows.k + grain - 1) / grain, rows.axis};
    s->scratch_fixed = 2 * sizeof(float) * (size_t)n + 64;
    s->n_out = 3;
    return 0;
}
static void back_ref(const struct exec *x) {
    int64_t n = kit_last(&x->in[0]), rows = kit_rows(&x->in[0]);
    for (int64_t i = 0; i < n; i++) view_put(&x->out[1], i, 0), view_put(&x->out[2], i, 0);
    for (int64_t r = 0; r < rows; r++) {
        double m = view_get(&x->in[2], r), k = view_get(&x->in[3], r), sg = 0, sn = 0;
        for (int64_t i = 0; i < n; i++) {
            double d = view_get(&x->in[1], r * n + i), g = d * view_get(&x->in[4], i), z = (view_get(&x->in[0], r * n + i) - m) * k;
            sg += g;
            sn += g * z;
            view_put(&x->out[1], i, view_get(&x->out[1], i) + d * z);
            view_put(&x->out[2], i, view_get(&x->out[2], i) + d);
        }
        for (int64_t i = 0; i < n; i++) {
            double g = view_get(&x->in[1], r * n + i) * view_get(&x->in[4], i), z = (view_get(&x->in[0], r * n + i) - m) * k;
            view_put(&x->out[0], r * n + i, k * (g - sg / (double)n - z * sn / (double)n) + (kit_has(x, 5) ? view_get(&x->in[5], r * n + i) : 0));
        }
    }
}
static void back_run(const struct exec *x, int64_t lo, int64_t hi) {
    int64_t n = kit_last(&x->in[0]), grain = norm_grain(x), rows = kit_rows(&x->in[0]);
    const float *w = x->in[4].data;
    for (int64_t t = lo; t < hi; t++) {
        float *restrict dg = (float *)x->scratch + 2 * n * t, *restrict db = dg + n;
        memset(dg, 0, (size_t)(2 * n) * sizeof(float));
        for (int64_t r = t * grain; r < kit_min(rows, (t + 1) * grain); r++) {
            const float *restrict s = (const float *)x->in[0].data + r * n, *restrict d = (const float *)x->in[1].data + r * n,
                                  *extra = kit_has(x, 5) ? (const float *)x->in[5].data + r * n : NULL;
            float *y = (float *)x->out[0].data + r * n, m = ((const float *)x->in[2].data)[r], k = ((const float *)x->in[3].data)[r], sg = 0, sn = 0;
#pragma omp simd reduction(+ : sg, sn)
            for (int64_t i = 0; i < n; i++) {
                float z = (s[i] - m) * k, g = d[i] * w[i];
                sg += g;
                sn += g * z;
                dg[i] += d[i] * z;
                db[i] += d[i];
            }
            sg /= (float)n;
            sn *= k / (float)n;
            for (int64_t i = 0; i < n; i++) y[i] = k * (d[i] * w[i] - sg - (s[i] - m) * sn) + (extra ? extra[i] : 0);
        }
    }
}
static void back_finish(const struct exec *x) {
    int64_t n = kit_last(&x->in[0]), tiles = norm_tiles(x);
    float *dg = x->out[1].data, *db = x->out[2].data;
    memset(dg, 0, (size_t)n * sizeof(float));
    memset(db, 0, (size_t)n * sizeof(float));
    for (int64_t t = 0; t < tiles; t++) {
        const float *a = (const float *)x->scratch + 2 * n * t;
        for (int64_t i = 0; i < n; i++) dg[i] += a[i], db[i] += a[n + i];
    }
}

static const struct arg norm_arg[] = {
    {.name = "eps", .help = "added to the variance", .def = "1e-5", .type = ARG_NUM, .offset = offsetof(struct norm_args, eps), .lo = 0, .hi = 1}, {0}};
static const struct sample norm_samples[] = {
    {NULL, "f(R,4) f(R,4) f(4) f(4) > 2"}, {"eps=0.1", "f(R,3,5) f(R,3,5) f(5) f(5) > 2"}, {NULL, "f(T0,33) f(T0,33) f(33) f(33) > 2"}, {0}};
static const struct sample back_samples[] = {{NULL, "f(R,4) f(R,4) c(R) c(R)[0.5,2] f(4) > 0"},
    {NULL, "f(R,3,5) f(R,3,5) c(R,3) c(R,3)[0.5,2] f(5) f(R,3,5) > 0"}, {NULL, "f(R,133) f(R,133) c(R) c(R)[0.5,2] f(133) > 0"}, {0}};

const struct op ISA(op_add_norm) = {
    .kind = {.name = "add_norm", .help = "a + b, and its layer normalisation", .args = norm_arg, .size = sizeof(struct norm_args)},
    .in_min = 4,
    .in_max = 4,
    .n_out = 4,
    .flags = OP_INPLACE,
    .shape = norm_shape,
    .grad = norm_grad,
    .ref = norm_ref,
    .tiles = norm_tiles,
    .run = norm_run,
    .samples = norm_samples};
const struct op ISA(op_add_norm_grad) = {.kind = {.name = "add_norm_grad", .help = "gradients of add_norm"},
    .in_min = 5,
    .in_max = 6,
    .n_out = 3,
    .shape = back_shape,
    .ref = back_ref,
    .tiles = norm_tiles,
    .run = back_run,
    .finish = back_finish,
    .samples = back_samples};
