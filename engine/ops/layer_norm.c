/* Layer normalisation over the last axis (Ba et al. 2016): y = gain (x - mean) / sqrt(var + eps) + bias, biased variance. Mean and 1/deviation of each row
 * are outputs, so that the gradients need no second pass: dx = r (g - mean(g) - n mean(g n)) with g = dy gain, n = (x - mean) r; dgain = sum(dy n); dbias =
 * sum(dy). */
#include <math.h>
#include <string.h>

#include "engine/ops/kit.h"

#define WORK 16384
#define COLS 64

struct norm_args {
    double eps;
};

static int norm_shape(struct shaping *s, struct err *e) {
    const struct tensor *x = s->in[0];
    bool ok = kit_float(s, 0) && x->ndim >= 1;
    for (int i = 1; ok && i < 3; i++) ok = kit_float(s, i) && s->in[i]->ndim == 1 && dim_same(s->in[i]->dim[0], x->dim[x->ndim - 1]);
    if (!ok) return err_set(e, "needs x (.., n), gain (n) and bias (n)");
    kit_like(&s->out[0], x);
    for (int i = 1; i < 3; i++) {
        kit_like(&s->out[i], x);
        s->out[i].ndim = x->ndim - 1;
    }
    s->n_out = 3;
    return 0;
}
static int norm_grad(struct graph *g, const struct node *n, const tid *dout, tid *din, struct err *e) {
    tid in[] = {n->in[0], dout[0], n->out[1], n->out[2], n->in[1]}, out[2];
    if (kit_needs(g, n->in[0]) && (din[0] = graph_add(g, "layer_norm_dx", NULL, in, 5, out, e)) < 0) return -1;
    if (!kit_needs(g, n->in[1]) && !kit_needs(g, n->in[2])) return 0;
    if (graph_add(g, "layer_norm_dw", NULL, in, 4, out, e) < 0) return -1;
    din[1] = out[0];
    din[2] = out[1];
    return 0;
}
static int64_t rows_of(const struct exec *x) { return kit_rows(&x->in[0]); }
static void norm_ref(const struct exec *x) {
    int64_t n = kit_last(&x->in[0]);
    for (int64_t r = 0; r < rows_of(x); r++) {
        double m = 0, v = 0;
        for (int64_t i = 0; i < n; i++) m += view_get(&x->in[0], r * n + i);
        m /= (double)n;
        for (int64_t i = 0; i < n; i++) v += (view_get(&x->in[0], r * n + i) - m) * (view_get(&x->in[0], r * n + i) - m);
        double k = 1 / sqrt(v / (double)n + ((const struct norm_args *)x->attr)->eps);
        for (int64_t i = 0; i < n; i++)
            view_put(&x->out[0], r * n + i, (view_get(&x->in[0], r * n + i) - m) * k * view_get(&x->in[1], i) + view_get(&x->in[2], i));
        view_put(&x->out[1], r, m);
        view_put(&x->out[2], r, k);
    }
}
static int64_t norm_tiles(const struct exec *x) { return kit_tiles(rows_of(x), kit_grain(WORK, kit_last(&x->in[0]))); }
static void norm_run(const struct exec *x, int64_t lo, int64_t hi) {
    int64_t n = kit_last(&x->in[0]), grain = kit_grain(WORK, n), to = kit_min(rows_of(x), hi * grain);
    const float *w = x->in[1].data, *b = x->in[2].data;
    float eps = (float)((const struct norm_args *)x->attr)->eps;
    for (int64_t r = lo * grain; r < to; r++) {
        const float *a = (const float *)x->in[0].data + r * n;
        float *y = (float *)x->out[0].data + r * n, m = 0, v = 0;
        for (int64_t i = 0; i < n; i++) m += a[i];
        m /= (float)n;
        for (int64_t i = 0; i < n; i++) v += (a[i] - m) * (a[i] - m);
        float k = 1.0f / sqrtf(v / (float)n + eps);
        for (int64_t i = 0; i < n; i++) y[i] = (a[i] - m) * k * w[i] + b[i];
        ((float *)x->out[1].data)[r] = m;
        ((float *)x->out[2].data)[r] = k;
    }
}

/* (x, dy, mean, r, gain) -> dx */
static int dx_shape(struct shaping *s, struct err *e) {
    if (!kit_float(s, 0) || !kit_float(s, 1) || !kit_same(s->in[0], s->in[1]) || !kit_float(s, 2) || !kit_float(s, 3) || !kit_float(s, 4))
        return err_set(e, "needs x, dy of its shape, mean, 1/deviation and gain");
    kit_like(&s->out[0], s->in[0]);
    s->n_out = 1;
    return 0;
}
static void dx_ref(const struct exec *x) {
    int64_t n = kit_last(&x->in[0]);
    for (int64_t r = 0; r < rows_of(x); r++) {
        double m = view_get(&x->in[2], r), k = view_get(&x->in[3], r), sg = 0, sn = 0;
        for (int64_t i = 0; i < n; i++) {
            double g = view_get(&x->in[1], r * n + i) * view_get(&x->in[4], i);
            sg += g;
            sn += g * (view_get(&x->in[0], r * n + i) - m) * k;
        }
        for (int64_t i = 0; i < n; i++) {
            double g = view_get(&x->in[1], r * n + i) * view_get(&x->in[4], i), z = (view_get(&x->in[0], r * n + i) - m) * k;
            view_put(&x->out[0], r * n + i, k * (g - sg / (double)n - z * sn / (double)n));
        }
    }
}
static void dx_run(const struct exec *x, int64_t lo, int64_t hi) {
    int64_t n = kit_last(&x->in[0]), grain = kit_grain(WORK, n), to = kit_min(rows_of(x), hi * grain);
    const float *w = x->in[4].data;
    for (int64_t r = lo * grain; r < to; r++) {
        const float *a = (const float *)x->in[0].data + r * n, *d = (const float *)x->in[1].data + r * n;
        float *y = (float *)x->out[0].data + r * n, m = ((const float *)x->in[2].data)[r], k = ((const float *)x->in[3].data)[r], sg = 0, sn = 0;
        for (int64_t i = 0; i < n; i++) {
            float g = d[i] * w[i];
            sg += g;
            sn += g * (a[i] - m);
        }
        sg /= (float)n;
        sn *= k * k / (float)n;
        for (int64_t i = 0; i < n; i++) y[i] = k * (d[i] * w[i] - sg - (a[i] - m) * sn);
    }
}

/* (x, dy, mean, r) -> dgain (n), dbias (n); tiles are columns */
static int dw_shape(struct shaping *s, struct err *e) {
    if (!kit_float(s, 0) || !kit_float(s, 1) || !kit_same(s->in[0], s->in[1]) || s->in[0]->ndim < 1 || !kit_float(s, 2) || !kit_float(s, 3))
        return err_set(e, "needs x, dy of its shape, mean and 1/deviation");
    for (int i = 0; i < 2; i++) {
        s->out[i].ndim = 1;
        s->out[i].dim[0] = s->in[0]->dim[s->in[0]->ndim - 1];
        s->out[i].dtype = s->in[0]->dtype;
    }
    s->n_out = 2;
    return 0;
}
static void dw_ref(const struct exec *x) {
    int64_t n = kit_last(&x->in[0]);
    for (int64_t i = 0; i < n; i++) {
        double g = 0, b = 0;
        for (int64_t r = 0; r < rows_of(x); r++) {
            double d = view_get(&x->in[1], r * n + i);
            g += d * (view_get(&x->in[0], r * n + i) - view_get(&x->in[2], r)) * view_get(&x->in[3], r);
            b += d;
        }
        view_put(&x->out[0], i, g);
        view_put(&x->out[1], i, b);
    }
}
static int64_t dw_tiles(const struct exec *x) { return kit_tiles(kit_last(&x->in[0]), COLS); }
static void dw_run(const struct exec *x, int64_t lo, int64_t hi) {
    int64_t n = kit_last(&x->in[0]), from = lo * COLS, w = kit_min(n, hi * COLS) - from;
    const float *a = (const float *)x->in[0].data + from, *d = (const float *)x->in[1].data + from;
    float *g = (float *)x->out[0].data + from, *b = (float *)x->out[1].data + from;
    memset(g, 0, (size_t)w * sizeof(float));
    memset(b, 0, (size_t)w * sizeof(float));
    for (int64_t r = 0; r < rows_of(x); r++, a += n, d += n) {
        float m = ((const float *)x->in[2].data)[r], k = ((const float *)x->in[3].data)[r];
#pragma omp simd
        for (int64_t i = 0; i < w; i++) {
            g[i] += d[i] * (a[i] - m) * k;
            b[i] += d[i];
        }
    }
}

static const struct arg norm_arg[] = {
    {.name = "eps", .help = "added to the variance", .def = "1e-5", .type = ARG_NUM, .offset = offsetof(struct norm_args, eps), .lo = 0, .hi = 1}, {0}};
static const struct sample norm_samples[] = {{NULL, "f(R,4) f(4) f(4)"}, {"eps=0.1", "f(R,3,5) f(5) f(5)"}, {NULL, "f(T0,33) f(33) f(33)"}, {0}};
static const struct sample dx_samples[] = {{NULL, "f(R,4) f(R,4) c(R) c(R)[0.5,2] f(4)"}, {NULL, "f(R,3,5) f(R,3,5) c(R,3) c(R,3)[0.5,2] f(5)"},
    {NULL, "f(R,33) f(R,33) c(R) c(R)[0.5,2] f(33)"}, {0}};
static const struct sample dw_samples[] = {
    {NULL, "f(R,4) f(R,4) c(R) c(R)[0.5,2]"}, {NULL, "f(R,3,5) f(R,3,5) c(R,3) c(R,3)[0.5,2]"}, {NULL, "f(R,133) f(R,133) c(R) c(R)[0.5,2]"}, {0}};

const struct op ISA(op_layer_norm) = {
    .kind = {.name = "layer_norm", .help = "mean 0 and variance 1 over the last axis, then gain and bias", .args = norm_arg, .size = sizeof(struct norm_args)},
    .in_min = 3,
    .in_max = 3,
    .n_out = 3,
    .shape = norm_shape,
    .grad = norm_grad,
    .ref = norm_ref,
    .tiles = norm_tiles,
    .run = norm_run,
    .samples = norm_samples};
const struct op ISA(op_layer_norm_dx) = {.kind = {.name = "layer_norm_dx", .help = "gradient of layer_norm to its input"},
    .in_min = 5,
    .in_max = 5,
    .n_out = 1,
    .shape = dx_shape,
    .ref = dx_ref,
    .tiles = norm_tiles,
    .run = dx_run,
    .samples = dx_samples};
const struct op ISA(op_layer_norm_dw) = {.kind = {.name = "layer_norm_dw", .help = "gradients of layer_norm to gain and bias"},
    .in_min = 4,
    .in_max = 4,
    .n_out = 2,
    .shape = dw_shape,
    .ref = dw_ref,
    .tiles = dw_tiles,
    .run = dw_run,
    .samples = dw_samples};
