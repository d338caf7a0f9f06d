/* What images need besides convolutions: batch normalisation with residual and ReLU, maximum and mean over windows and over all pixels, sums of channels,
 * the shortcut without weights, as engine/ops/batch_norm.c, pool2d.c and layout.c define them, on row-major images (R, C, H, W). Sums over a channel are made
 * of groups of images, joined in their order. */
#include "engine/cuda/cuda.h"

#include <math.h>

static int64_t pixels_of(const struct view *v) {
    int64_t n = 1;
    for (int i = 2; i < v->ndim; i++) n *= v->n[i];
    return n;
}
static const vec nothing = {NULL, DT_F32};

struct planes {
    int64_t n, c, p; /* images, channels, pixels */
    int groups;
    int64_t per; /* images of a group */
};
static planes planes_of(const struct view *v) {
    planes k = {v->n[0], v->n[1], pixels_of(v), 0, 1};
    k.per = k.n > 64 ? (k.n + 63) / 64 : 1;
    k.groups = (int)((k.n + k.per - 1) / k.per);
    return k;
}
static bool fits(const planes &k) { return (int64_t)k.groups * k.c * (int64_t)sizeof(pair_of_sums) <= WORKSPACE; }
static int too_wide(struct cuda *c, const planes &k, struct err *e) {
    return c->host->fail(e, "%lld channels are more than the workspace holds", (long long)k.c);
}

/* ---- batch normalisation: mean and squared deviations of each group (Chan et al. 1979), joined in order */
__global__ void moments_part(vec x, planes k, pair_of_sums *part) {
    int64_t c = blockIdx.x, from = (int64_t)blockIdx.y * k.per, to = from + k.per < k.n ? from + k.per : k.n, count = (to - from) * k.p;
    double s = 0, q = 0;
    for (int64_t i = threadIdx.x; i < count; i += blockDim.x) s += (double)x.get(((from + i / k.p) * k.c + c) * k.p + i % k.p);
    s = block_all<plus>(s) / (double)(count > 0 ? count : 1);
    __syncthreads();
    for (int64_t i = threadIdx.x; i < count; i += blockDim.x) {
        double d = (double)x.get(((from + i / k.p) * k.c + c) * k.p + i % k.p) - s;
        q += d * d;
    }
    q = block_all<plus>(q);
    if (threadIdx.x == 0) part[c * k.groups + blockIdx.y].a = s, part[c * k.groups + blockIdx.y].b = q;
}
__global__ void moments(
    planes k, const pair_of_sums *part, const float *run_mean, const float *run_var, float *mean, float *r, float *unbiased, double eps, bool train) {
    EACH(c, k.c) {
        double m = 0, v = 0, n = 0, var = (double)run_var[c], un = var, mu = (double)run_mean[c];
        for (int g = 0; train && g < k.groups; g++) {
            int64_t to = (g + 1) * k.per < k.n ? (g + 1) * k.per : k.n;
            double n2 = (double)((to - g * k.per) * k.p), d = part[c * k.groups + g].a - m, all = n + n2;
            if (!(all > 0)) continue;
            m += d * n2 / all;
            v += part[c * k.groups + g].b + d * d * n * n2 / all;
            n = all;
        }
        if (train) mu = m, var = n > 0 ? v / n : 0, un = n > 1 ? v / (n - 1) : var;
        mean[c] = (float)mu;
        r[c] = (float)(1 / sqrt((double)(float)var + eps));
        unbiased[c] = (float)un;
    }
}
__global__ void normalise(vec x, vec res, vec y, planes k, const float *mean, const float *r, const float *gain, const float *bias, bool relu) {
    EACH(i, k.n * k.c * k.p) {
        int64_t c = i / k.p % k.c;
        float v = (x.get(i) - mean[c]) * (gain[c] * r[c]) + bias[c] + (res.p ? res.get(i) : 0.0f);
        y.put(i, relu && v <= 0 ? 0.0f : v);
    }
}
static int norm_run(struct cuda *c, const struct exec *x, const uint64_t *, struct err *e) {
    planes k = planes_of(&x->in[0]);
    pair_of_sums *part = (pair_of_sums *)c->workspace;
    bool train = c->host->number(x->node, "train") != 0;
    if (!fits(k)) return too_wide(c, k, e);
    if (train && k.groups > 0) LAUNCH(moments_part, dim3((unsigned)k.c, (unsigned)k.groups), threads_for(k.per * k.p), c->stream, vec_of(&x->in[0]), k, part);
    LAUNCH(moments, grid_for(c, k.c), 256, c->stream, k, part, (const float *)x->in[3].data, (const float *)x->in[4].data, (float *)x->out[1].data,
        (float *)x->out[2].data, (float *)x->out[3].data, c->host->number(x->node, "eps"), train);
    if (x->out[0].len > 0)
        LAUNCH(normalise, grid_for(c, x->out[0].len), 256, c->stream, vec_of(&x->in[0]), has(x, 5) ? vec_of(&x->in[5]) : nothing, vec_of(&x->out[0]), k,
            (const float *)x->out[1].data, (const float *)x->out[2].data, (const float *)x->in[1].data, (const float *)x->in[2].data,
            c->host->number(x->node, "relu") != 0);
    return 0;
}
struct back {
    vec x, dy, y; /* y: nothing where no residual was added */
    const float *mean, *r, *gain, *bias;
    bool relu;
};
static __device__ __forceinline__ float behind(const back &b, int64_t i, int64_t c) { /* dy where ReLU let through */
    float d = b.dy.get(i);
    if (!b.relu) return d;
    float y = b.y.p ? b.y.get(i) : (b.x.get(i) - b.mean[c]) * (b.gain[c] * b.r[c]) + b.bias[c];
    return y > 0 ? d : 0.0f;
}
__global__ void back_part(back b, planes k, vec dres, pair_of_sums *part) {
    int64_t c = blockIdx.x, from = (int64_t)blockIdx.y * k.per, to = from + k.per < k.n ? from + k.per : k.n, count = (to - from) * k.p;
    double s = 0, q = 0;
    for (int64_t j = threadIdx.x; j < count; j += blockDim.x) {
        int64_t i = ((from + j / k.p) * k.c + c) * k.p + j % k.p;
        float d = behind(b, i, c);
        s += (double)d;
        q += (double)d * (double)((b.x.get(i) - b.mean[c]) * b.r[c]);
        if (dres.p) dres.put(i, d);
    }
    s = block_all<plus>(s);
    __syncthreads();
    q = block_all<plus>(q);
    if (threadIdx.x == 0) part[c * k.groups + blockIdx.y].a = s, part[c * k.groups + blockIdx.y].b = q;
}
__global__ void pairs_join(planes k, const pair_of_sums *part, float *a, float *b) {
    EACH(c, k.c) {
        double s = 0, q = 0;
        for (int g = 0; g < k.groups; g++) s += part[c * k.groups + g].a, q += part[c * k.groups + g].b;
        a[c] = (float)s;
        if (b) b[c] = (float)q;
    }
}
__global__ void back_dx(back b, planes k, const float *dgain, const float *dbias, vec dx, bool train) {
    float count = (float)(k.n * k.p);
    EACH(i, k.n * k.c * k.p) {
        int64_t c = i / k.p % k.c;
        float h = (b.x.get(i) - b.mean[c]) * b.r[c], d = behind(b, i, c);
        dx.put(i, b.gain[c] * b.r[c] * (train ? d - dbias[c] / count - h * dgain[c] / count : d));
    }
}
static int norm_grad_run(struct cuda *c, const struct exec *x, const uint64_t *, struct err *e) {
    planes k = planes_of(&x->in[0]);
    pair_of_sums *part = (pair_of_sums *)c->workspace;
    back b = {vec_of(&x->in[0]), vec_of(&x->in[1]), has(x, 6) ? vec_of(&x->in[6]) : nothing, (const float *)x->in[2].data, (const float *)x->in[3].data,
        (const float *)x->in[4].data, (const float *)x->in[5].data, c->host->number(x->node, "relu") != 0};
    float *dgain = (float *)x->out[1].data, *dbias = (float *)x->out[2].data;
    if (!fits(k)) return too_wide(c, k, e);
    if (k.groups > 0)
        LAUNCH(
            back_part, dim3((unsigned)k.c, (unsigned)k.groups), threads_for(k.per * k.p), c->stream, b, k, x->n_out > 3 ? vec_of(&x->out[3]) : nothing, part);
    LAUNCH(pairs_join, grid_for(c, k.c), 256, c->stream, k, part, dbias, dgain);
    if (x->out[0].len > 0)
        LAUNCH(back_dx, grid_for(c, x->out[0].len), 256, c->stream, b, k, dgain, dbias, vec_of(&x->out[0]), c->host->number(x->node, "train") != 0);
    return 0;
}
__global__ void running(float *mean, float *var, const float *m, const float *v, int64_t n, float share) {
    float bad = 0;
    for (int64_t i = threadIdx.x; i < n; i += blockDim.x) bad += isfinite(m[i]) && isfinite(v[i]) ? 0.0f : 1.0f;
    bad = block_all<plus>(bad);
    for (int64_t i = threadIdx.x; i < n && bad == 0; i += blockDim.x) {
        mean[i] += share * (m[i] - mean[i]);
        var[i] += share * (v[i] - var[i]);
    }
}
static int running_run(struct cuda *c, const struct exec *x, const uint64_t *, struct err *) {
    LAUNCH(running, 1, 256, c->stream, (float *)x->out[0].data, (float *)x->out[1].data, (const float *)x->in[2].data, (const float *)x->in[3].data,
        x->in[0].len, (float)c->host->number(x->node, "momentum"));
    return 0;
}

/* ---- sums of channels */
__global__ void channel_part(vec x, planes k, pair_of_sums *part) {
    int64_t c = blockIdx.x, from = (int64_t)blockIdx.y * k.per, to = from + k.per < k.n ? from + k.per : k.n, count = (to - from) * k.p;
    double s = 0;
    for (int64_t j = threadIdx.x; j < count; j += blockDim.x) s += (double)x.get(((from + j / k.p) * k.c + c) * k.p + j % k.p);
    s = block_all<plus>(s);
    if (threadIdx.x == 0) part[c * k.groups + blockIdx.y].a = s, part[c * k.groups + blockIdx.y].b = 0;
}
static int channel_sum_run(struct cuda *c, const struct exec *x, const uint64_t *, struct err *e) {
    planes k = planes_of(&x->in[0]);
    pair_of_sums *part = (pair_of_sums *)c->workspace;
    if (!fits(k)) return too_wide(c, k, e);
    if (k.groups > 0) LAUNCH(channel_part, dim3((unsigned)k.c, (unsigned)k.groups), threads_for(k.per * k.p), c->stream, vec_of(&x->in[0]), k, part);
    LAUNCH(pairs_join, grid_for(c, k.c), 256, c->stream, k, part, (float *)x->out[0].data, (float *)NULL);
    return 0;
}

/* ---- windows */
struct win {
    int64_t h, w, oh, ow, k[2], s[2], p[2];
};
static win win_of(const struct cuda *c, const struct exec *x, const struct view *img) {
    win g = {};
    int64_t v[TENSOR_DIMS];
    g.h = img->n[2], g.w = img->n[3];
    static const char *const names[] = {"k", "stride", "pad"};
    int64_t *to[] = {g.k, g.s, g.p};
    for (int j = 0; j < 3; j++) {
        int n = c->host->shape(x->node, names[j], v, TENSOR_DIMS);
        for (int i = 0; i < 2; i++) to[j][i] = n < 1 ? (j == 0 ? 2 : j == 1 ? g.k[i] : 0) : v[i < n ? i : 0];
    }
    g.oh = (g.h + 2 * g.p[0] - g.k[0]) / g.s[0] + 1;
    g.ow = (g.w + 2 * g.p[1] - g.k[1]) / g.s[1] + 1;
    return g;
}
struct window {
    int64_t r0, r1, c0, c1;
};
static __device__ __forceinline__ window window_of(const win &g, int64_t o) {
    int64_t r = o / g.ow * g.s[0] - g.p[0], c = o % g.ow * g.s[1] - g.p[1];
    window w = {r > 0 ? r : 0, r + g.k[0] < g.h ? r + g.k[0] : g.h, c > 0 ? c : 0, c + g.k[1] < g.w ? c + g.k[1] : g.w};
    return w;
}
static __device__ int64_t best_of(const vec &x, int64_t base, const win &g, const window &w) { /* pixel of the first largest value */
    int64_t best = w.r0 * g.w + w.c0;
    float most = x.get(base + best);
    for (int64_t r = w.r0; r < w.r1; r++)
        for (int64_t c = w.c0; c < w.c1; c++) {
            float v = x.get(base + r * g.w + c);
            if (v > most) most = v, best = r * g.w + c;
        }
    return best;
}
template <bool max> __global__ void pool(vec x, vec y, win g, int64_t planes) {
    int64_t po = g.oh * g.ow;
    EACH(i, planes * po) {
        int64_t base = i / po * g.h * g.w;
        window w = window_of(g, i % po);
        if (max) {
            y.put(i, x.get(base + best_of(x, base, g, w)));
            continue;
        }
        float s = 0;
        for (int64_t r = w.r0; r < w.r1; r++)
            for (int64_t c = w.c0; c < w.c1; c++) s += x.get(base + r * g.w + c);
        y.put(i, s / (float)(g.k[0] * g.k[1]));
    }
}
/* A thread a pixel: it asks the windows that hold it. */
template <bool max> __global__ void pool_grad(vec dy, vec x, vec dx, win g, int64_t planes) {
    int64_t pi = g.h * g.w, po = g.oh * g.ow;
    EACH(i, planes * pi) {
        int64_t q = i % pi, r = q / g.w, c = q % g.w, base = i / pi * pi, from[2], to[2], at[2] = {r, c}, n[2] = {g.oh, g.ow};
        float s = 0;
        for (int d = 0; d < 2; d++) {
            int64_t lo = at[d] + g.p[d] - g.k[d] + 1;
            from[d] = lo <= 0 ? 0 : (lo + g.s[d] - 1) / g.s[d];
            to[d] = (at[d] + g.p[d]) / g.s[d] + 1 < n[d] ? (at[d] + g.p[d]) / g.s[d] + 1 : n[d];
        }
        for (int64_t a = from[0]; a < to[0]; a++)
            for (int64_t b = from[1]; b < to[1]; b++) {
                int64_t o = a * g.ow + b;
                if (max && best_of(x, base, g, window_of(g, o)) != q) continue;
                s += dy.get(i / pi * po + o);
            }
        dx.put(i, max ? s : s / (float)(g.k[0] * g.k[1]));
    }
}
template <bool max> static int pool_run(struct cuda *c, const struct exec *x, const uint64_t *, struct err *) {
    if (x->out[0].len > 0)
        LAUNCH((pool<max>), grid_for(c, x->out[0].len), 256, c->stream, vec_of(&x->in[0]), vec_of(&x->out[0]), win_of(c, x, &x->in[0]),
            x->in[0].n[0] * x->in[0].n[1]);
    return 0;
}
template <bool max> static int pool_grad_run(struct cuda *c, const struct exec *x, const uint64_t *, struct err *) {
    if (x->out[0].len > 0)
        LAUNCH((pool_grad<max>), grid_for(c, x->out[0].len), 256, c->stream, vec_of(&x->in[0]), max ? vec_of(&x->in[1]) : nothing, vec_of(&x->out[0]),
            win_of(c, x, &x->out[0]), x->out[0].n[0] * x->out[0].n[1]);
    return 0;
}

/* ---- mean over all pixels: a warp a plane */
__global__ void global_mean(vec x, vec y, int64_t planes, int64_t p) {
    for (int64_t k = blockIdx.x; k < planes; k += gridDim.x) {
        float s = 0;
        for (int64_t i = threadIdx.x; i < p; i += blockDim.x) s += x.get(k * p + i);
        s = block_all<plus>(s);
        if (threadIdx.x == 0) y.put(k, s / (float)p);
        __syncthreads();
    }
}
static int global_run(struct cuda *c, const struct exec *x, const uint64_t *, struct err *) {
    int64_t n = x->out[0].len;
    if (n > 0) LAUNCH(global_mean, (unsigned)(n < 65535 ? n : 65535), 32, c->stream, vec_of(&x->in[0]), vec_of(&x->out[0]), n, pixels_of(&x->in[0]));
    return 0;
}
__global__ void global_back(vec d, vec y, int64_t n, int64_t p) { EACH(i, n) y.put(i, d.get(i / p) / (float)p); }
static int global_grad_run(struct cuda *c, const struct exec *x, const uint64_t *, struct err *) {
    if (x->out[0].len > 0)
        LAUNCH(global_back, grid_for(c, x->out[0].len), 256, c->stream, vec_of(&x->in[0]), vec_of(&x->out[0]), x->out[0].len, pixels_of(&x->out[0]));
    return 0;
}

/* ---- the shortcut without weights */
struct shortcut {
    int64_t c, h, w, ic, ih, iw, stride;
    bool back;
};
__global__ void pad_shortcut(vec x, vec y, shortcut s, int64_t n) {
    EACH(i, n) {
        int64_t q = i % (s.h * s.w), ch = i / (s.h * s.w) % s.c, image = i / (s.c * s.h * s.w), from = ch + (s.ic - s.c) / 2, r = q / s.w, k = q % s.w;
        bool in = from >= 0 && from < s.ic && (!s.back || (r % s.stride == 0 && k % s.stride == 0));
        int64_t pixel = s.back ? r / s.stride * s.iw + k / s.stride : r * s.stride * s.iw + k * s.stride;
        y.put(i, in ? x.get((image * s.ic + from) * s.ih * s.iw + pixel) : 0.0f);
    }
}
static int shortcut_run(struct cuda *c, const struct exec *x, const uint64_t *, struct err *) {
    const struct view *a = &x->in[0], *y = &x->out[0];
    int64_t size[TENSOR_DIMS];
    shortcut s = {y->n[1], y->n[2], y->n[3], a->n[1], a->n[2], a->n[3], (int64_t)c->host->number(x->node, "stride"),
        c->host->shape(x->node, "size", size, TENSOR_DIMS) == 2};
    if (y->len > 0) LAUNCH(pad_shortcut, grid_for(c, y->len), 256, c->stream, vec_of(a), vec_of(y), s, y->len);
    return 0;
}

extern const struct kernel image_kernels[];
const struct kernel image_kernels[] = {{"batch_norm", 33, 1, false, NULL, norm_run}, {"batch_norm_grad", 67, 9, false, NULL, norm_grad_run},
    {"batch_norm_update", 0, 0, false, NULL, running_run}, {"channel_sum", 1, 0, false, NULL, channel_sum_run},
    {"max_pool2d", 1, 1, false, NULL, pool_run<true>}, {"avg_pool2d", 1, 1, false, NULL, pool_run<false>},
    {"max_pool2d_grad", 3, 1, false, NULL, pool_grad_run<true>}, {"avg_pool2d_grad", 1, 1, false, NULL, pool_grad_run<false>},
    {"global_pool", 1, 1, false, NULL, global_run}, {"global_pool_grad", 1, 1, false, NULL, global_grad_run}, {"pad_shortcut", 1, 1, false, NULL, shortcut_run},
    {}};
