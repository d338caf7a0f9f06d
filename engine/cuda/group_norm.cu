/* Group normalisation and its gradients, as engine/ops/group_norm.c defines them. A block of threads a group of an example; gradients of gain and bias: a
 * block a channel. */
#include "engine/cuda/cuda.h"

#include <math.h>

struct geo {
    int64_t n, c, g, cg, p; /* examples, channels, groups, channels of a group, pixels */
};
static geo geo_of(const struct cuda *c, const struct exec *x) {
    const struct view *v = &x->in[0];
    geo g = {v->n[0], v->n[1], (int64_t)c->host->number(x->node, "groups"), 0, 1};
    for (int i = 2; i < v->ndim; i++) g.p *= v->n[i];
    g.cg = g.c / g.g;
    return g;
}
static unsigned grid_groups(const geo &g) { return (unsigned)(g.n * g.g < 65535 ? g.n * g.g : 65535); }

__global__ void group_norm(vec x, vec y, const float *gain, const float *bias, float *mean, float *k_out, geo g, float eps) {
    int64_t len = g.cg * g.p;
    for (int64_t r = blockIdx.x; r < g.n * g.g; r += gridDim.x) {
        float m = 0, v = 0;
        for (int64_t i = threadIdx.x; i < len; i += blockDim.x) m += x.get(r * len + i);
        m = block_all<plus>(m) / (float)len;
        __syncthreads();
        for (int64_t i = threadIdx.x; i < len; i += blockDim.x) {
            float d = x.get(r * len + i) - m;
            v += d * d;
        }
        float k = 1.0f / sqrtf(block_all<plus>(v) / (float)len + eps);
        for (int64_t i = threadIdx.x; i < len; i += blockDim.x) {
            int64_t c = r % g.g * g.cg + i / g.p;
            y.put(r * len + i, (x.get(r * len + i) - m) * k * gain[c] + bias[c]);
        }
        if (threadIdx.x == 0) mean[r] = m, k_out[r] = k;
        __syncthreads();
    }
}
/* dx = k (d - mean(d) - z mean(d z)), d = dy gain, z = (x - mean) k */
__global__ void group_norm_dx(vec x, vec dy, const float *mean, const float *kk, const float *gain, vec dx, geo g) {
    int64_t len = g.cg * g.p;
    for (int64_t r = blockIdx.x; r < g.n * g.g; r += gridDim.x) {
        float m = mean[r], k = kk[r], sg = 0, sn = 0;
        for (int64_t i = threadIdx.x; i < len; i += blockDim.x) {
            float d = dy.get(r * len + i) * gain[r % g.g * g.cg + i / g.p];
            sg += d;
            sn += d * (x.get(r * len + i) - m) * k;
        }
        sg = block_all<plus>(sg) / (float)len;
        __syncthreads();
        sn = block_all<plus>(sn) / (float)len;
        for (int64_t i = threadIdx.x; i < len; i += blockDim.x) {
            float d = dy.get(r * len + i) * gain[r % g.g * g.cg + i / g.p];
            dx.put(r * len + i, k * (d - sg - (x.get(r * len + i) - m) * k * sn));
        }
        __syncthreads();
    }
}
__global__ void group_norm_dw(vec x, vec dy, const float *mean, const float *kk, float *dgain, float *dbias, geo g) {
    for (int64_t c = blockIdx.x; c < g.c; c += gridDim.x) {
        float w = 0, b = 0;
        for (int64_t q = threadIdx.x; q < g.n * g.p; q += blockDim.x) {
            int64_t n = q / g.p, at = (n * g.c + c) * g.p + q % g.p, s = n * g.g + c / g.cg;
            float d = dy.get(at);
            w += d * (x.get(at) - mean[s]) * kk[s];
            b += d;
        }
        w = block_all<plus>(w);
        __syncthreads();
        b = block_all<plus>(b);
        if (threadIdx.x == 0) dgain[c] = w, dbias[c] = b;
        __syncthreads();
    }
}
static int norm_run(struct cuda *c, const struct exec *x, const uint64_t *, struct err *) {
    geo g = geo_of(c, x);
    if (x->in[0].len > 0)
        LAUNCH(group_norm, grid_groups(g), threads_for(g.cg * g.p), c->stream, vec_of(&x->in[0]), vec_of(&x->out[0]), (const float *)x->in[1].data,
            (const float *)x->in[2].data, (float *)x->out[1].data, (float *)x->out[2].data, g, (float)c->host->number(x->node, "eps"));
    return 0;
}
static int dx_run(struct cuda *c, const struct exec *x, const uint64_t *, struct err *) {
    geo g = geo_of(c, x);
    if (x->in[0].len > 0)
        LAUNCH(group_norm_dx, grid_groups(g), threads_for(g.cg * g.p), c->stream, vec_of(&x->in[0]), vec_of(&x->in[1]), (const float *)x->in[2].data,
            (const float *)x->in[3].data, (const float *)x->in[4].data, vec_of(&x->out[0]), g);
    return 0;
}
static int dw_run(struct cuda *c, const struct exec *x, const uint64_t *, struct err *) {
    geo g = geo_of(c, x);
    LAUNCH(group_norm_dw, (unsigned)(g.c < 65535 ? g.c : 65535), 256, c->stream, vec_of(&x->in[0]), vec_of(&x->in[1]), (const float *)x->in[2].data,
        (const float *)x->in[3].data, (float *)x->out[0].data, (float *)x->out[1].data, g);
    return 0;
}

extern const struct kernel group_norm_kernels[];
const struct kernel group_norm_kernels[] = {
    {"group_norm", 1, 1, false, NULL, norm_run}, {"group_norm_dx", 3, 1, false, NULL, dx_run}, {"group_norm_dw", 3, 0, false, NULL, dw_run}, {}};
