/* Softmax and its logarithm over the last axis, their gradients; the cross-entropy of classes and the number of hits, as engine/ops/softmax.c and loss.c
 * define them. One block a row. */
#include "engine/cuda/cuda.h"

#include <math.h>

static unsigned grid_rows(int64_t rows) { return (unsigned)(rows < 65535 ? rows : 65535); }

struct row_stat {
    float max, sum;
};
static __device__ row_stat stat(const vec &x, int64_t from, int64_t c) {
    float m = -INFINITY, s = 0;
    for (int64_t i = threadIdx.x; i < c; i += blockDim.x) {
        float v = x.get(from + i);
        m = v > m ? v : m;
    }
    m = block_all<larger>(m);
    for (int64_t i = threadIdx.x; i < c; i += blockDim.x) s += expf(x.get(from + i) - m);
    return row_stat{m, block_all<plus>(s)};
}
template <bool logarithm> __global__ void soft(vec x, vec y, int64_t rows, int64_t c) {
    for (int64_t r = blockIdx.x; r < rows; r += gridDim.x) {
        row_stat t = stat(x, r * c, c);
        float k = logarithm ? logf(t.sum) : 1.0f / t.sum;
        for (int64_t i = threadIdx.x; i < c; i += blockDim.x) {
            float z = x.get(r * c + i) - t.max;
            y.put(r * c + i, logarithm ? z - k : expf(z) * k);
        }
        __syncthreads();
    }
}
template <bool logarithm> __global__ void soft_grad(vec y, vec d, vec o, int64_t rows, int64_t c) {
    for (int64_t r = blockIdx.x; r < rows; r += gridDim.x) {
        float s = 0;
        for (int64_t i = threadIdx.x; i < c; i += blockDim.x) s += logarithm ? d.get(r * c + i) : y.get(r * c + i) * d.get(r * c + i);
        s = block_all<plus>(s);
        for (int64_t i = threadIdx.x; i < c; i += blockDim.x) {
            float v = y.get(r * c + i), g = d.get(r * c + i);
            o.put(r * c + i, logarithm ? g - expf(v) * s : v * (g - s));
        }
        __syncthreads();
    }
}
template <bool logarithm> static int soft_run(struct cuda *c, const struct exec *x, const uint64_t *, struct err *) {
    int64_t n = last_of(&x->in[0]), rows = n ? x->in[0].len / n : 0;
    if (rows > 0) LAUNCH((soft<logarithm>), grid_rows(rows), threads_for(n), c->stream, vec_of(&x->in[0]), vec_of(&x->out[0]), rows, n);
    return 0;
}
template <bool logarithm> static int soft_grad_run(struct cuda *c, const struct exec *x, const uint64_t *, struct err *) {
    int64_t n = last_of(&x->in[0]), rows = n ? x->in[0].len / n : 0;
    if (rows > 0) LAUNCH((soft_grad<logarithm>), grid_rows(rows), threads_for(n), c->stream, vec_of(&x->in[0]), vec_of(&x->in[1]), vec_of(&x->out[0]), rows, n);
    return 0;
}

/* ---- cross-entropy: the rows' losses and weights into the workspace, then one block sums them in double */
struct ce {
    const float *z, *cw;
    const int32_t *label;
    float smooth;
    int ignore;
    int64_t rows, c;
};
static __device__ __forceinline__ float weight_of(const ce &a, int64_t c) { return a.cw ? a.cw[c] : 1.0f; }
__global__ void ce_rows(ce a, pair_of_sums *part) {
    for (int64_t r = blockIdx.x; r < a.rows; r += gridDim.x) {
        int y = a.label[r];
        vec z = {(void *)a.z, DT_F32};
        row_stat t = stat(z, r * a.c, a.c);
        float lse = t.max + logf(t.sum), all = 0;
        for (int64_t i = threadIdx.x; i < a.c && a.smooth > 0; i += blockDim.x) all += weight_of(a, i) * (lse - a.z[r * a.c + i]);
        all = block_all<plus>(all);
        if (threadIdx.x == 0) {
            bool in = y >= 0 && y < a.c;
            double w = in ? (double)weight_of(a, y) : 0;
            part[r].a = y == a.ignore ? 0
                        : !in         ? (double)NAN
                                      : (1 - (double)a.smooth) * w * (double)(lse - a.z[r * a.c + y]) + (double)a.smooth / (double)a.c * (double)all;
            part[r].b = y == a.ignore ? 0 : w;
        }
        __syncthreads();
    }
}
__global__ void pair_sum(const pair_of_sums *part, int64_t n, vec sum, vec weight) {
    double s = 0, w = 0;
    for (int64_t i = threadIdx.x; i < n; i += blockDim.x) s += part[i].a, w += part[i].b;
    s = block_all<plus>(s);
    __syncthreads();
    w = block_all<plus>(w);
    if (threadIdx.x == 0) {
        sum.put(0, (float)s);
        if (weight.p) weight.put(0, (float)w);
    }
}
static ce ce_of(const struct cuda *c, const struct exec *x, int cw) {
    ce a = {(const float *)x->in[0].data, has(x, cw) ? (const float *)x->in[cw].data : NULL, (const int32_t *)x->in[1].data,
        (float)c->host->number(x->node, "label_smoothing"), (int)c->host->number(x->node, "ignore_index"), x->in[1].len, last_of(&x->in[0])};
    return a;
}
static bool fits(const struct exec *x) { return x->in[1].len * (int64_t)sizeof(pair_of_sums) <= WORKSPACE; }
static int ce_run(struct cuda *c, const struct exec *x, const uint64_t *, struct err *e) {
    ce a = ce_of(c, x, 2);
    pair_of_sums *part = (pair_of_sums *)c->workspace;
    if (!fits(x)) return c->host->fail(e, "%lld rows are more than the workspace holds", (long long)x->in[1].len);
    if (a.rows > 0) LAUNCH(ce_rows, grid_rows(a.rows), threads_for(a.c), c->stream, a, part);
    LAUNCH(pair_sum, 1, 256, c->stream, part, a.rows, vec_of(&x->out[0]), vec_of(&x->out[1]));
    return 0;
}
__global__ void ce_grad(ce a, const float *dsum, float *o) {
    float d = *dsum, w_all = (float)a.c;
    if (a.cw) {
        w_all = 0;
        for (int64_t i = threadIdx.x; i < a.c; i += blockDim.x) w_all += a.cw[i];
        w_all = block_all<plus>(w_all);
        __syncthreads();
    }
    float soft_share = a.smooth / (float)a.c;
    for (int64_t r = blockIdx.x; r < a.rows; r += gridDim.x) {
        int y = a.label[r];
        bool in = y >= 0 && y < a.c;
        vec z = {(void *)a.z, DT_F32};
        row_stat t = stat(z, r * a.c, a.c);
        float hit = (1.0f - a.smooth) * (in ? weight_of(a, y) : 0.0f), k = d * (hit + soft_share * w_all) / t.sum;
        for (int64_t i = threadIdx.x; i < a.c; i += blockDim.x) {
            float v = k * expf(a.z[r * a.c + i] - t.max) - d * soft_share * weight_of(a, i) - (i == y ? d * hit : 0.0f);
            o[r * a.c + i] = y == a.ignore ? 0.0f : in ? v : NAN;
        }
        __syncthreads();
    }
}
static int ce_grad_run(struct cuda *c, const struct exec *x, const uint64_t *, struct err *) {
    ce a = ce_of(c, x, 3);
    if (a.rows > 0) LAUNCH(ce_grad, grid_rows(a.rows), threads_for(a.c), c->stream, a, (const float *)x->in[2].data, (float *)x->out[0].data);
    return 0;
}

/* rows whose label is among the k largest; of equal logits the first wins */
__global__ void hits(vec z, const int32_t *label, int64_t rows, int64_t c, int k, pair_of_sums *part) {
    for (int64_t r = blockIdx.x; r < rows; r += gridDim.x) {
        int y = label[r];
        bool in = y >= 0 && y < c;
        float v = in ? z.get(r * c + y) : NAN, before = 0;
        for (int64_t i = threadIdx.x; i < c; i += blockDim.x) {
            float u = z.get(r * c + i);
            before += !(u < v) && i != y && (u > v || i < y || u != u) ? 1.0f : 0.0f;
        }
        before = block_all<plus>(before);
        if (threadIdx.x == 0) part[r].a = in && v == v && before < (float)k ? 1 : 0, part[r].b = 0;
        __syncthreads();
    }
}
static int hits_run(struct cuda *c, const struct exec *x, const uint64_t *, struct err *e) {
    int64_t rows = x->in[1].len, n = last_of(&x->in[0]);
    pair_of_sums *part = (pair_of_sums *)c->workspace;
    if (!fits(x)) return c->host->fail(e, "%lld rows are more than the workspace holds", (long long)rows);
    if (rows > 0)
        LAUNCH(hits, grid_rows(rows), threads_for(n), c->stream, vec_of(&x->in[0]), (const int32_t *)x->in[1].data, rows, n, (int)c->host->number(x->node, "k"),
            part);
    vec none = {NULL, DT_F32};
    LAUNCH(pair_sum, 1, 256, c->stream, part, rows, vec_of(&x->out[0]), none);
    return 0;
}

/* ---- losses of values (engine/ops/value_loss.c): squared, absolute, huber, logistic */
static __device__ double value_of(int form, double delta, double z, double y) {
    double d = z - y, m = fabs(d);
    if (form == 1) return m;
    if (form == 2) return m <= delta ? d * d / 2 : delta * (m - delta / 2);
    if (form == 3) return (z > 0 ? z : z != z ? z : 0) - z * y + log1p(exp(-fabs(z)));
    return d * d;
}
static __device__ double slope_of(int form, double delta, double z, double y) {
    double d = z - y;
    if (form == 1) return d > 0 ? 1 : d < 0 ? -1 : d;
    if (form == 2) return d > delta ? delta : d < -delta ? -delta : d;
    if (form == 3) return 1 / (1 + exp(-z)) - y;
    return 2 * d;
}
__global__ void value_part(vec z, vec y, int64_t n, int form, double delta, pair_of_sums *part) {
    double s = 0;
    EACH(i, n) s += value_of(form, delta, (double)z.get(i), (double)y.get(i));
    s = block_all<plus>(s);
    if (threadIdx.x == 0) part[blockIdx.x].a = s, part[blockIdx.x].b = blockIdx.x == 0 ? (double)n : 0;
}
static int value_run(struct cuda *c, const struct exec *x, const uint64_t *, struct err *) {
    pair_of_sums *part = (pair_of_sums *)c->workspace;
    unsigned grid = grid_for(c, x->in[0].len);
    LAUNCH(value_part, grid, 256, c->stream, vec_of(&x->in[0]), vec_of(&x->in[1]), x->in[0].len, (int)c->host->number(x->node, "form"),
        c->host->number(x->node, "delta"), part);
    LAUNCH(pair_sum, 1, 256, c->stream, part, (int64_t)grid, vec_of(&x->out[0]), vec_of(&x->out[1]));
    return 0;
}
__global__ void value_grad(vec z, vec y, const float *d, vec o, int64_t n, int form, double delta) {
    EACH(i, n) o.put(i, *d * (float)slope_of(form, delta, (double)z.get(i), (double)y.get(i)));
}
static int value_grad_run(struct cuda *c, const struct exec *x, const uint64_t *, struct err *) {
    if (x->in[0].len > 0)
        LAUNCH(value_grad, grid_for(c, x->in[0].len), 256, c->stream, vec_of(&x->in[0]), vec_of(&x->in[1]), (const float *)x->in[2].data, vec_of(&x->out[0]),
            x->in[0].len, (int)c->host->number(x->node, "form"), c->host->number(x->node, "delta"));
    return 0;
}

extern const struct kernel softmax_kernels[];
const struct kernel softmax_kernels[] = {{"softmax", 1, 1, false, NULL, soft_run<false>}, {"log_softmax", 1, 1, false, NULL, soft_run<true>},
    {"softmax_grad", 3, 1, false, NULL, soft_grad_run<false>}, {"log_softmax_grad", 3, 1, false, NULL, soft_grad_run<true>},
    {"softmax_ce", 0, 0, false, NULL, ce_run}, {"softmax_ce_grad", 0, 0, false, NULL, ce_grad_run}, {"accuracy_count", 1, 0, false, NULL, hits_run},
    {"value_loss", 0, 0, false, NULL, value_run}, {"value_loss_grad", 0, 0, false, NULL, value_grad_run}, {}};
