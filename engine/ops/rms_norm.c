/* Root mean square normalisation over the last axis (Zhang and Sennrich 2019): y = x r gain with r = 1 / sqrt(mean(x x) + eps). r of each row is an output.
 * With g = dy gain: dx = r (g - x r r mean(g x)); dgain = sum(dy x r). */
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
    if (!kit_float(s, 0) || x->ndim < 1 || !kit_float(s, 1) || s->in[1]->ndim != 1 || !dim_same(s->in[1]->dim[0], x->dim[x->ndim - 1]))
        return err_set(e, "needs x (.., n) and gain (n)");
    kit_like(&s->out[0], x);
    kit_like(&s->out[1], x);
    s->out[1].ndim = x->ndim - 1;
    s->n_out = 2;
    return 0;
}
static int norm_grad(struct graph *g, const struct node *n, const tid *dout, tid *din, struct err *e) {
    struct node k = *n;
    tid in[] = {k.in[0], dout[0], k.out[1], k.in[1]};
    if (kit_needs(g, k.in[0]) && (din[0] = graph_add(g, "rms_norm_dx", NULL, in, 4, NULL, e)) < 0) return -1;
    return kit_needs(g, k.in[1]) && (din[1] = graph_add(g, "rms_norm_dw", NULL, in, 3, NULL, e)) < 0 ? -1 : 0;
}
static int64_t rows_of(const struct exec *x) { return kit_rows(&x->in[0]); }
static int64_t row_grain(const struct exec *x) { return kit_grain(WORK, kit_last(&x->in[0])); }
static int64_t norm_tiles(const struct exec *x) { return kit_tiles(rows_of(x), row_grain(x)); }
static void norm_ref(const struct exec *x) {
    int64_t n = kit_last(&x->in[0]);
    for (int64_t r = 0; r < rows_of(x); r++) {
        double s = 0;
        for (int64_t i = 0; i < n; i++) s += view_get(&x->in[0], r * n + i) * view_get(&x->in[0], r * n + i);
        double k = 1 / sqrt(s / (double)n + ((const struct norm_args *)x->attr)->eps);
        for (int64_t i = 0; i < n; i++) view_put(&x->out[0], r * n + i, view_get(&x->in[0], r * n + i) * k * view_get(&x->in[1], i));
        view_put(&x->out[1], r, k);
    }
}
static void norm_run(const struct exec *x, int64_t lo, int64_t hi) {
    int64_t n = kit_last(&x->in[0]), to = kit_min(rows_of(x), hi * row_grain(x));
    const float *w = x->in[1].data;
    float eps = (float)((const struct norm_args *)x->attr)->eps;
    for (int64_t r = lo * row_grain(x); r < to; r++) {
        const float *a = (const float *)x->in[0].data + r * n;
        float *y = (float *)x->out[0].data + r * n, s = 0;
#pragma omp simd reduction(+ : s)
        for (int64_t i = 0; i < n; i++) s += a[i] * a[i];
        float k = 1.0f / sqrtf(s / (float)n + eps);
        for (int64_t i = 0; i < n; i++) y[i] = a[i] * k * w[i];
        ((float *)x->out[1].data)[r] = k;
    }
}

/* (x, dy, r, gain) -> dx */
static bool saved_ok(const struct shaping *s) {
    return kit_float(s, 0) && kit_float(s, 1) && s->in[0]->ndim >= 1 && kit_same(s->in[0], s->in[1]) && kit_float(s, 2) && s->in[2]->ndim == s->in[0]->ndim - 1;
}
static int dx_shape(struct shaping *s, struct err *e) {
    if (!saved_ok(s) || !kit_float(s, 3)) return err_set(e, "needs x, dy of its shape, 1/deviation and gain");
    kit_like(&s->out[0], s->in[0]);
    s->n_out = 1;
    return 0;
}
static void dx_ref(const struct exec *x) {
    int64_t n = kit_last(&x->in[0]);
    for (int64_t r = 0; r < rows_of(x); r++) {
        double k = view_get(&x->in[2], r), s = 0;
        for (int64_t i = 0; i < n; i++) s += view_get(&x->in[1], r * n + i) * view_get(&x->in[3], i) * view_get(&x->in[0], r * n + i);
        for (int64_t i = 0; i < n; i++)
            view_put(
                &x->out[0], r * n + i, k * (view_get(&x->in[1], r * n + i) * view_get(&x->in[3], i) - view_get(&x->in[0], r * n + i) * k * k * s / (double)n));
    }
}
static void dx_run(const struct exec *x, int64_t lo, int64_t hi) {
    int64_t n = kit_last(&x->in[0]), to = kit_min(rows_of(x), hi * row_grain(x));
    const float *w = x->in[3].data;
    for (int64_t r = lo * row_grain(x); r < to; r++) {
        const float *a = (const float *)x->in[0].data + r * n, *d = (const float *)x->in[1].data + r * n;
        float *y = (float *)x->out[0].data + r * n, k = ((const float *)x->in[2].data)[r], s = 0;
#pragma omp simd reduction(+ : s)
        for (int64_t i = 0; i < n; i++) s += d[i] * w[i] * a[i];
        s *= k * k / (float)n;
        for (int64_t i = 0; i < n; i++) y[i] = k * (d[i] * w[i] - a[i] * s);
    }
}

/* (x, dy, r) -> dgain (n); tiles are columns */
static int dw_shape(struct shaping *s, struct err *e) {
    if (!saved_ok(s)) return err_set(e, "needs x, dy of its shape and 1/deviation");
    s->out[0] = (struct tensor){.ndim = 1, .dim = {s->in[0]->dim[s->in[0]->ndim - 1]}, .dtype = s->in[0]->dtype, .offsets = -1};
    s->n_out = 1;
    return 0;
}
static void dw_ref(const struct exec *x) {
    int64_t n = kit_last(&x->in[0]);
    for (int64_t i = 0; i < n; i++) {
        double s = 0;
        for (int64_t r = 0; r < rows_of(x); r++) s += view_get(&x->in[1], r * n + i) * view_get(&x->in[0], r * n + i) * view_get(&x->in[2], r);
        view_put(&x->out[0], i, s);
    }
}
static int64_t dw_tiles(const struct exec *x) { return kit_tiles(kit_last(&x->in[0]), COLS); }
static void dw_run(const struct exec *x, int64_t lo, int64_t hi) {
    int64_t n = kit_last(&x->in[0]), from = lo * COLS, w = kit_min(n, hi * COLS) - from;
    const float *a = (const float *)x->in[0].data + from, *d = (const float *)x->in[1].data + from;
    float *y = (float *)x->out[0].data + from;
    memset(y, 0, (size_t)w * sizeof(float));
    for (int64_t r = 0; r < rows_of(x); r++, a += n, d += n) {
        float k = ((const float *)x->in[2].data)[r];
#pragma omp simd
        for (int64_t i = 0; i < w; i++) y[i] += d[i] * a[i] * k;
    }
}

static const struct arg norm_arg[] = {
    {.name = "eps", .help = "added to the mean square", .def = "1e-6", .type = ARG_NUM, .offset = offsetof(struct norm_args, eps), .lo = 0, .hi = 1}, {0}};
static const struct sample norm_samples[] = {{NULL, "f(R,4) f(4)"}, {"eps=0.1", "f(R,3,5) f(5)"}, {NULL, "f(T0,33) f(33)"}, {0}};
static const struct sample dx_samples[] = {
    {NULL, "f(R,4) f(R,4) c(R)[0.5,2] f(4)"}, {NULL, "f(R,3,5) f(R,3,5) c(R,3)[0.5,2] f(5)"}, {NULL, "f(R,33) f(R,33) c(R)[0.5,2] f(33)"}, {0}};
static const struct sample dw_samples[] = {
    {NULL, "f(R,4) f(R,4) c(R)[0.5,2]"}, {NULL, "f(R,3,5) f(R,3,5) c(R,3)[0.5,2]"}, {NULL, "f(R,133) f(R,133) c(R)[0.5,2]"}, {0}};

const struct op ISA(op_rms_norm) = {
    .kind = {.name = "rms_norm", .help = "mean square 1 over the last axis, then gain", .args = norm_arg, .size = sizeof(struct norm_args)},
    .in_min = 2,
    .in_max = 2,
    .n_out = 2,
    .shape = norm_shape,
    .grad = norm_grad,
    .ref = norm_ref,
    .tiles = norm_tiles,
    .run = norm_run,
    .samples = norm_samples};
const struct op ISA(op_rms_norm_dx) = {.kind = {.name = "rms_norm_dx", .help = "gradient of rms_norm to its input"},
    .in_min = 4,
    .in_max = 4,
    .n_out = 1,
    .shape = dx_shape,
    .ref = dx_ref,
    .tiles = norm_tiles,
    .run = dx_run,
    .samples = dx_samples};
const struct op ISA(op_rms_norm_dw) = {.kind = {.name = "rms_norm_dw", .help = "gradient of rms_norm to its gain"},
    .in_min = 3,
    .in_max = 3,
    .n_out = 1,
    .shape = dw_shape,
    .ref = dw_ref,
    .tiles = dw_tiles,
    .run = dw_run,
    .samples = dw_samples};
