/* Group normalisation (Wu and He 2018): the channels of x (N, C, ..) in groups, each with mean 0 and variance 1 over its channels and pixels in one
 * example, then gain (C) and bias (C); for tokens (T, C) over the channels of each token. Mean and 1/deviation (N, groups) are outputs. With n = (x - mean) r
 * and g = dy gain over a group: dx = r (g - mean(g) - n mean(g n)), dgain = sum(dy n), dbias = sum(dy). */
#include <math.h>
#include <string.h>

#include "engine/ops/kit.h"

#define WORK 16384
#define CHANNELS 16 /* a tile of the gradients to gain and bias */

struct norm_args {
    int64_t groups;
    double eps;
};
struct geo {
    int64_t n, c, g, cg, p;
}; /* examples, channels, groups, channels a group, pixels */

static struct geo geo_of(const struct exec *x) {
    const struct view *v = &x->in[0];
    struct geo g = {v->n[0], v->n[1], ((const struct norm_args *)x->attr)->groups, 0, 1};
    for (int i = 2; i < v->ndim; i++) g.p *= v->n[i];
    g.cg = g.c / g.g;
    return g;
}
static bool channels_ok(const struct shaping *s, struct err *e) {
    const struct tensor *x = s->in[0];
    int64_t groups = ((const struct norm_args *)s->attr)->groups;
    bool ok = kit_float(s, 0) && x->ndim >= 2;
    for (int i = 1; ok && i < x->ndim; i++) ok = x->dim[i].axis == AXIS_ONE;
    if (!ok) return err_set(e, "needs x (N, C, ..) with fixed extents after the first") == 0;
    if (x->dim[1].k % groups) return err_set(e, "%lld groups do not divide %lld channels", (long long)groups, (long long)x->dim[1].k) == 0;
    return true;
}
static bool per_channel(const struct shaping *s, int i) { return kit_float(s, i) && s->in[i]->ndim == 1 && dim_same(s->in[i]->dim[0], s->in[0]->dim[1]); }
static int norm_shape(struct shaping *s, struct err *e) {
    if (!channels_ok(s, e)) return -1;
    if (!per_channel(s, 1) || !per_channel(s, 2)) return err_set(e, "needs a gain and a bias for each channel");
    kit_like(&s->out[0], s->in[0]);
    for (int i = 1; i < 3; i++) {
        kit_like(&s->out[i], s->in[0]);
        s->out[i].ndim = 2;
        s->out[i].dim[1].k = ((const struct norm_args *)s->attr)->groups;
    }
    s->n_out = 3;
    return 0;
}
static int norm_grad(struct graph *g, const struct node *n, const tid *dout, tid *din, struct err *e) {
    struct node k = *n;
    tid in[] = {k.in[0], dout[0], k.out[1], k.out[2], k.in[1]}, out[2];
    struct val *a = args_to_val(&k.op->kind, k.attr);
    int rc = kit_needs(g, k.in[0]) && (din[0] = graph_add(g, "group_norm_dx", a, in, 5, NULL, e)) < 0 ? -1 : 0;
    if (rc == 0 && (kit_needs(g, k.in[1]) || kit_needs(g, k.in[2]))) {
        rc = graph_add(g, "group_norm_dw", a, in, 4, out, e) < 0 ? -1 : 0;
        if (rc == 0) din[1] = out[0], din[2] = out[1];
    }
    val_free(a);
    return rc;
}

static void norm_ref(const struct exec *x) {
    struct geo g = geo_of(x);
    int64_t len = g.cg * g.p;
    for (int64_t i = 0; i < g.n * g.g; i++) {
        double m = 0, v = 0;
        for (int64_t j = 0; j < len; j++) m += view_get(&x->in[0], i * len + j);
        m /= (double)len;
        for (int64_t j = 0; j < len; j++) v += (view_get(&x->in[0], i * len + j) - m) * (view_get(&x->in[0], i * len + j) - m);
        double k = 1 / sqrt(v / (double)len + ((const struct norm_args *)x->attr)->eps);
        for (int64_t j = 0; j < len; j++) {
            int64_t c = i % g.g * g.cg + j / g.p;
            view_put(&x->out[0], i * len + j, (view_get(&x->in[0], i * len + j) - m) * k * view_get(&x->in[1], c) + view_get(&x->in[2], c));
        }
        view_put(&x->out[1], i, m);
        view_put(&x->out[2], i, k);
    }
}
static int64_t grain(const struct geo *g) { return kit_grain(WORK, g->c * g->p); }
static int64_t norm_tiles(const struct exec *x) {
    struct geo g = geo_of(x);
    return kit_tiles(g.n, grain(&g));
}
static void norm_run(const struct exec *x, int64_t lo, int64_t hi) {
    struct geo g = geo_of(x);
    int64_t len = g.cg * g.p;
    const float *w = x->in[1].data, *b = x->in[2].data;
    float eps = (float)((const struct norm_args *)x->attr)->eps;
    for (int64_t i = lo * grain(&g) * g.g; i < kit_min(g.n, hi * grain(&g)) * g.g; i++) {
        const float *a = (const float *)x->in[0].data + i * len, *gain = w + i % g.g * g.cg, *bias = b + i % g.g * g.cg;
        float *y = (float *)x->out[0].data + i * len, m = 0, v = 0;
#pragma omp simd reduction(+ : m)
        for (int64_t j = 0; j < len; j++) m += a[j];
        m /= (float)len;
#pragma omp simd reduction(+ : v)
        for (int64_t j = 0; j < len; j++) v += (a[j] - m) * (a[j] - m);
        float k = 1.0f / sqrtf(v / (float)len + eps);
        for (int64_t j = 0; g.p == 1 && j < len; j++) y[j] = (a[j] - m) * k * gain[j] + bias[j];
        for (int64_t c = 0; g.p > 1 && c < g.cg; c++)
            for (int64_t j = c * g.p; j < (c + 1) * g.p; j++) y[j] = (a[j] - m) * k * gain[c] + bias[c];
        ((float *)x->out[1].data)[i] = m;
        ((float *)x->out[2].data)[i] = k;
    }
}

/* (x, dy, mean, r, gain) -> dx */
static bool saved_ok(const struct shaping *s) {
    return kit_float(s, 1) && kit_same(s->in[0], s->in[1]) && kit_float(s, 2) && kit_float(s, 3) && kit_same(s->in[2], s->in[3]);
}
static int dx_shape(struct shaping *s, struct err *e) {
    if (!channels_ok(s, e)) return -1;
    if (!saved_ok(s) || !per_channel(s, 4)) return err_set(e, "needs x, dy of its shape, mean, 1/deviation and gain");
    kit_like(&s->out[0], s->in[0]);
    s->n_out = 1;
    return 0;
}
static void dx_ref(const struct exec *x) {
    struct geo g = geo_of(x);
    int64_t len = g.cg * g.p;
    for (int64_t i = 0; i < g.n * g.g; i++) {
        double m = view_get(&x->in[2], i), k = view_get(&x->in[3], i), sg = 0, sn = 0;
        for (int pass = 0; pass < 2; pass++)
            for (int64_t j = 0; j < len; j++) {
                double d = view_get(&x->in[1], i * len + j) * view_get(&x->in[4], i % g.g * g.cg + j / g.p), z = (view_get(&x->in[0], i * len + j) - m) * k;
                if (pass) view_put(&x->out[0], i * len + j, k * (d - sg / (double)len - z * sn / (double)len));
                else sg += d, sn += d * z;
            }
    }
}
static void dx_run(const struct exec *x, int64_t lo, int64_t hi) {
    struct geo g = geo_of(x);
    int64_t len = g.cg * g.p;
    for (int64_t i = lo * grain(&g) * g.g; i < kit_min(g.n, hi * grain(&g)) * g.g; i++) {
        const float *a = (const float *)x->in[0].data + i * len, *d = (const float *)x->in[1].data + i * len,
                    *w = (const float *)x->in[4].data + i % g.g * g.cg;
        float *y = (float *)x->out[0].data + i * len, m = ((const float *)x->in[2].data)[i], k = ((const float *)x->in[3].data)[i], sg = 0, sn = 0;
        for (int64_t c = 0; c < g.cg; c += g.p == 1 ? g.cg : 1) { /* one pixel: along the channels; else along the pixels */
            float one_g = 0, one_n = 0;
            int64_t from = c * g.p, n = g.p == 1 ? g.cg : g.p;
            if (g.p == 1) {
#pragma omp simd reduction(+ : one_g, one_n)
                for (int64_t j = 0; j < n; j++) one_g += d[j] * w[j], one_n += d[j] * w[j] * (a[j] - m);
                sg += one_g, sn += one_n;
                continue;
            }
#pragma omp simd reduction(+ : one_g, one_n)
            for (int64_t j = from; j < from + n; j++) one_g += d[j], one_n += d[j] * (a[j] - m);
            sg += one_g * w[c], sn += one_n * w[c];
        }
        sg /= (float)len, sn *= k * k / (float)len;
        for (int64_t j = 0; g.p == 1 && j < len; j++) y[j] = k * (d[j] * w[j] - sg - (a[j] - m) * sn);
        for (int64_t c = 0; g.p > 1 && c < g.cg; c++)
            for (int64_t j = c * g.p; j < (c + 1) * g.p; j++) y[j] = k * (d[j] * w[c] - sg - (a[j] - m) * sn);
    }
}

/* (x, dy, mean, r) -> dgain (C), dbias (C); tiles are channels */
static int dw_shape(struct shaping *s, struct err *e) {
    if (!channels_ok(s, e)) return -1;
    if (!saved_ok(s)) return err_set(e, "needs x, dy of its shape, mean and 1/deviation");
    for (int i = 0; i < 2; i++) s->out[i] = (struct tensor){.ndim = 1, .dim = {s->in[0]->dim[1]}, .dtype = s->in[0]->dtype, .offsets = -1};
    s->n_out = 2;
    return 0;
}
static void dw_ref(const struct exec *x) {
    struct geo g = geo_of(x);
    for (int64_t c = 0; c < g.c; c++) {
        double sg = 0, sb = 0;
        for (int64_t i = 0; i < g.n * g.p; i++) {
            int64_t at = (i / g.p * g.c + c) * g.p + i % g.p, s = i / g.p * g.g + c / g.cg;
            sg += view_get(&x->in[1], at) * (view_get(&x->in[0], at) - view_get(&x->in[2], s)) * view_get(&x->in[3], s);
            sb += view_get(&x->in[1], at);
        }
        view_put(&x->out[0], c, sg);
        view_put(&x->out[1], c, sb);
    }
}
static int64_t dw_tiles(const struct exec *x) { return kit_tiles(x->in[0].n[1], CHANNELS); }
static void dw_run(const struct exec *x, int64_t lo, int64_t hi) {
    struct geo g = geo_of(x);
    int64_t from = lo * CHANNELS, to = kit_min(g.c, hi * CHANNELS);
    float *w = x->out[0].data, *b = x->out[1].data;
    memset(w + from, 0, (size_t)(to - from) * sizeof(float));
    memset(b + from, 0, (size_t)(to - from) * sizeof(float));
    for (int64_t i = 0; i < g.n; i++) {
        const float *m = (const float *)x->in[2].data + i * g.g, *k = (const float *)x->in[3].data + i * g.g;
        const float *a = (const float *)x->in[0].data + i * g.c * g.p, *d = (const float *)x->in[1].data + i * g.c * g.p;
        for (int64_t c = from; g.p == 1 && c < to; c++) w[c] += d[c] * (a[c] - m[c / g.cg]) * k[c / g.cg], b[c] += d[c];
        for (int64_t c = from; g.p > 1 && c < to; c++) {
            float sw = 0, sb = 0, mean = m[c / g.cg];
#pragma omp simd reduction(+ : sw, sb)
            for (int64_t j = c * g.p; j < (c + 1) * g.p; j++) sw += d[j] * (a[j] - mean), sb += d[j];
            w[c] += sw * k[c / g.cg], b[c] += sb;
        }
    }
}

static const struct arg norm_arg[] = {
    {.name = "groups", .help = "groups of channels", .def = "1", .type = ARG_INT, .offset = offsetof(struct norm_args, groups), .lo = 1, .hi = 1 << 20},
    {.name = "eps", .help = "added to the variance", .def = "1e-5", .type = ARG_NUM, .offset = offsetof(struct norm_args, eps), .lo = 0, .hi = 1}, {0}};
static const struct sample norm_samples[] = {{"groups=2", "f(R,4,3) f(4) f(4)"}, {"groups=3 eps=0.1", "f(R,6,3,5) f(6) f(6)"},
    {"groups=2", "f(T0,34) f(34) f(34)"}, {"groups=1", "f(R,3,2,2) f(3) f(3)"}, {0}};
static const struct sample dx_samples[] = {
    {"groups=2", "f(R,4,3) f(R,4,3) c(R,2) c(R,2)[0.5,2] f(4)"}, {"groups=2", "f(T0,34) f(T0,34) c(T0,2) c(T0,2)[0.5,2] f(34)"}, {0}};
static const struct sample dw_samples[] = {
    {"groups=2", "f(R,4,3) f(R,4,3) c(R,2) c(R,2)[0.5,2]"}, {"groups=2", "f(T0,34) f(T0,34) c(T0,2) c(T0,2)[0.5,2]"}, {0}};

#define ROW(n, h, in_, out_, ...)   \
    const struct op ISA(op_##n) = { \
        .kind = {.name = #n, .help = h, .args = norm_arg, .size = sizeof(struct norm_args)}, .in_min = in_, .in_max = in_, .n_out = out_, __VA_ARGS__};
ROW(group_norm, "mean 0 and variance 1 over groups of channels, then gain and bias", 3, 3, .shape = norm_shape, .grad = norm_grad, .ref = norm_ref,
    .tiles = norm_tiles, .run = norm_run, .samples = norm_samples)
ROW(group_norm_dx, "gradient of group_norm to its input", 5, 1, .shape = dx_shape, .ref = dx_ref, .tiles = norm_tiles, .run = dx_run, .samples = dx_samples)
ROW(group_norm_dw, "gradients of group_norm to gain and bias", 4, 2, .shape = dw_shape, .ref = dw_ref, .tiles = dw_tiles, .run = dw_run, .samples = dw_samples)
