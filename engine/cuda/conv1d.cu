/* Convolution over the tokens of packed texts and its gradients, as engine/ops/conv1d.c defines them: a thread an output value, which sums its taps in
 * their order. */
#include "engine/cuda/random.cuh"

struct taps {
    const int32_t *in, *out; /* offsets of both sides */
    int64_t texts, c, o, k, cg, og, left, stride, dilation;
};
/* The token of the other side that tap k of token t (text r) pairs with, or -1. */
static __device__ __forceinline__ int64_t input_of(const taps &g, int64_t r, int64_t u, int64_t k) {
    int64_t p = (u - g.out[r]) * g.stride + k * g.dilation - g.left;
    return p < 0 || p >= g.in[r + 1] - g.in[r] ? -1 : g.in[r] + p;
}
static __device__ __forceinline__ int64_t output_of(const taps &g, int64_t r, int64_t t, int64_t k) {
    int64_t p = t - g.in[r] + g.left - k * g.dilation;
    return p < 0 || p % g.stride || p / g.stride >= g.out[r + 1] - g.out[r] ? -1 : g.out[r] + p / g.stride;
}
static taps taps_of(const struct cuda *c, const struct exec *x, int64_t channels, int64_t outputs, int64_t k, int in, int out) {
    taps g = {};
    int64_t groups = (int64_t)c->host->number(x->node, "groups");
    g.dilation = (int64_t)c->host->number(x->node, "dilation"), g.stride = (int64_t)c->host->number(x->node, "stride");
    g.c = channels, g.o = outputs, g.k = k, g.cg = channels / groups, g.og = outputs / groups;
    int64_t all = g.dilation * (k - 1);
    g.left = c->host->number(x->node, "pad") == 1 ? all : all / 2; /* causal: all */
    g.in = (const int32_t *)x->in[in].data, g.out = has(x, out) ? (const int32_t *)x->in[out].data : g.in, g.texts = x->in[in].len - 1;
    return g;
}

__global__ void forward(vec x, const float *w, const float *bias, vec y, taps g, int64_t n) {
    EACH(i, n * g.o) {
        int64_t u = i / g.o, o = i % g.o, r = text_of(g.out, g.texts, u);
        float s = bias ? bias[o] : 0.0f;
        for (int64_t k = 0; k < g.k; k++) {
            int64_t t = input_of(g, r, u, k);
            for (int64_t c = 0; c < g.cg && t >= 0; c++) s += x.get(t * g.c + o / g.og * g.cg + c) * w[(o * g.cg + c) * g.k + k];
        }
        y.put(i, s);
    }
}
static int forward_run(struct cuda *c, const struct exec *x, const uint64_t *, struct err *) {
    taps g = taps_of(c, x, x->in[0].n[1], x->in[1].n[0], x->in[1].n[2], 2, 4);
    if (x->out[0].len > 0)
        LAUNCH(forward, grid_for(c, x->out[0].len), 256, c->stream, vec_of(&x->in[0]), (const float *)x->in[1].data,
            has(x, 3) ? (const float *)x->in[3].data : NULL, vec_of(&x->out[0]), g, x->out[0].n[0]);
    return 0;
}
__global__ void grad_x(vec dy, const float *w, vec dx, taps g, int64_t n) {
    EACH(i, n * g.c) {
        int64_t t = i / g.c, c = i % g.c, q = c / g.cg, r = text_of(g.in, g.texts, t);
        float s = 0;
        for (int64_t k = 0; k < g.k; k++) {
            int64_t u = output_of(g, r, t, k);
            for (int64_t o = q * g.og; o < (q + 1) * g.og && u >= 0; o++) s += dy.get(u * g.o + o) * w[(o * g.cg + c % g.cg) * g.k + k];
        }
        dx.put(i, s);
    }
}
static int grad_x_run(struct cuda *c, const struct exec *x, const uint64_t *, struct err *) {
    taps g = taps_of(c, x, x->out[0].n[1], x->in[0].n[1], x->in[1].n[2], 2, 3);
    if (x->out[0].len > 0)
        LAUNCH(grad_x, grid_for(c, x->out[0].len), 256, c->stream, vec_of(&x->in[0]), (const float *)x->in[1].data, vec_of(&x->out[0]), g, x->out[0].n[0]);
    return 0;
}
/* A block a weight: its threads share the outputs. */
__global__ void grad_w(vec dy, vec x, float *dw, taps g, int64_t outputs) {
    for (int64_t i = blockIdx.x; i < g.o * g.cg * g.k; i += gridDim.x) {
        int64_t k = i % g.k, c = i / g.k % g.cg, o = i / g.k / g.cg;
        float s = 0;
        for (int64_t u = threadIdx.x; u < outputs; u += blockDim.x) {
            int64_t t = input_of(g, text_of(g.out, g.texts, u), u, k);
            if (t >= 0) s += dy.get(u * g.o + o) * x.get(t * g.c + o / g.og * g.cg + c);
        }
        s = block_all<plus>(s);
        if (threadIdx.x == 0) dw[i] = s;
        __syncthreads();
    }
}
static int grad_w_run(struct cuda *c, const struct exec *x, const uint64_t *, struct err *) {
    taps g = taps_of(c, x, x->in[1].n[1], x->in[0].n[1], x->out[0].n[2], 2, 3);
    int64_t n = x->out[0].len;
    if (n > 0)
        LAUNCH(grad_w, (unsigned)(n < 65535 ? n : 65535), 128, c->stream, vec_of(&x->in[0]), vec_of(&x->in[1]), (float *)x->out[0].data, g, x->in[0].n[0]);
    return 0;
}
__global__ void strided(const int32_t *off, int32_t *out, int64_t texts, int64_t stride) {
    int at = 0;
    for (int64_t r = 0; r <= texts; r++) {
        out[r] = at;
        if (r < texts) at += (int)((off[r + 1] - off[r] + stride - 1) / stride);
    }
}
static int strided_run(struct cuda *c, const struct exec *x, const uint64_t *, struct err *) {
    LAUNCH(strided, 1, 1, c->stream, (const int32_t *)x->in[0].data, (int32_t *)x->out[0].data, x->in[0].len - 1, (int64_t)c->host->number(x->node, "stride"));
    return 0;
}

extern const struct kernel conv1d_kernels[];
const struct kernel conv1d_kernels[] = {{"conv1d", 1, 1, false, NULL, forward_run}, {"conv1d_dx", 1, 1, false, NULL, grad_x_run},
    {"conv1d_dw", 3, 0, false, NULL, grad_w_run}, {"strided_offsets", 0, 0, false, NULL, strided_run}, {}};
