/* Attention over packed texts and its gradient, as engine/ops/attention.c defines them: softmax carried along over blocks of keys, no T x T matrix, no
 * padding. A block of threads owns a few tokens of one head and walks over the tokens of the texts they belong to; what does not share a token's text counts
 * nothing. A warp owns some of the tokens: its lanes are keys while products are taken and columns while they are summed, so every sum has one order. Under
 * mixed precision attention_half.cu serves. */
#include "engine/cuda/attention.cuh"

#include <math.h>

static const int SPAN = 32, WARPS = 4, D_MAX = 128, COLS = D_MAX / 32;

/* Rows from .. from + SPAN of one head: part 0, 1, 2 of qkv, or a (T, n) tensor (part -1); zeros behind `end`. */
static __device__ void load(const heads &a, const vec &x, int part, int64_t h, int64_t from, int64_t end, int rows, float *buf, int pitch) {
    for (int64_t i = threadIdx.x; i < rows * a.d; i += blockDim.x) {
        int64_t r = i / a.d, j = i % a.d, t = from + r;
        buf[r * pitch + j] = t >= end ? 0.0f : part < 0 ? x.get(t * a.n + h * a.d + j) : x.get((t * 3 + part) * a.n + h * a.d + j);
    }
}
static __device__ float dot(const float *a, const float *b, int64_t d) {
    float s = 0;
    for (int64_t j = 0; j < d; j++) s += a[j] * b[j];
    return s;
}
static const int FR = 8; /* tokens of a warp, where rows are queries */
__global__ void forward(heads a, vec out, float *lse) {
    __shared__ float q[SPAN * D_MAX], kv[SPAN * (D_MAX + 1)];
    int lane = (int)threadIdx.x % 32, warp = (int)threadIdx.x / 32;
    int64_t first = (int64_t)blockIdx.x * SPAN, h = blockIdx.y, last = first + SPAN < a.tokens ? first + SPAN : a.tokens;
    range lo = text_range(a, first), hi = text_range(a, last - 1), mine[FR];
    float m[FR], sum[FR], p[FR], acc[FR][COLS];
    load(a, a.qkv, 0, h, first, last, SPAN, q, (int)a.d);
    for (int r = 0; r < FR; r++) {
        int64_t t = first + warp * FR + r;
        mine[r] = t < last ? text_range(a, t) : range{0, 0};
        m[r] = -INFINITY, sum[r] = 0;
        for (int c = 0; c < COLS; c++) acc[r][c] = 0;
    }
    for (int64_t from = lo.from; from < hi.to; from += SPAN) {
        __syncthreads();
        load(a, a.qkv, 1, h, from, hi.to, SPAN, kv, (int)a.d + 1);
        __syncthreads();
        for (int r = 0; r < FR; r++) {
            int64_t t = first + warp * FR + r, key = from + lane;
            bool on = t < last && sees(a, mine[r], t, key);
            float s = on ? dot(q + (warp * FR + r) * a.d, kv + lane * (a.d + 1), a.d) * a.scale : -INFINITY, top = s;
            for (int w = 16; w > 0; w >>= 1) top = fmaxf(top, __shfl_xor_sync(0xffffffffu, top, w));
            top = fmaxf(top, m[r]);
            float back = m[r] > -INFINITY ? expf(m[r] - top) : 0.0f, v = on ? expf(s - top) : 0.0f, all = v;
            for (int w = 16; w > 0; w >>= 1) all += __shfl_xor_sync(0xffffffffu, all, w);
            sum[r] = sum[r] * back + all;
            m[r] = top;
            for (int c = 0; c < COLS; c++) acc[r][c] *= back;
            p[r] = on ? v * keep_of(a, t, h, key - mine[r].from) : 0.0f;
        }
        __syncthreads();
        load(a, a.qkv, 2, h, from, hi.to, SPAN, kv, (int)a.d + 1);
        __syncthreads();
        for (int r = 0; r < FR; r++)
            for (int k = 0; k < SPAN; k++) {
                float w = __shfl_sync(0xffffffffu, p[r], k);
                for (int c = 0; c < COLS; c++)
                    if (lane + 32 * c < a.d) acc[r][c] += w * kv[k * (a.d + 1) + lane + 32 * c];
            }
    }
    for (int r = 0; r < FR; r++) {
        int64_t t = first + warp * FR + r;
        if (t >= last) continue;
        for (int c = 0; c < COLS; c++)
            if (lane + 32 * c < a.d) out.put(t * a.n + h * a.d + lane + 32 * c, acc[r][c] / sum[r]);
        if (lane == 0) lse[t * a.count + h] = m[r] + logf(sum[r]);
    }
}

/* delta = out . dout of a token's head: a warp each */
__global__ void deltas(heads a, vec out, vec dout, float *delta) {
    int lane = (int)threadIdx.x % 32;
    int64_t step = (int64_t)gridDim.x * (blockDim.x / 32);
    for (int64_t i = (int64_t)blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32; i < a.tokens * a.count; i += step) {
        int64_t at = i * a.d; /* (t, h) -> t n + h d */
        float s = 0;
        for (int64_t j = lane; j < a.d; j += 32) s += out.get(at + j) * dout.get(at + j);
        for (int w = 16; w > 0; w >>= 1) s += __shfl_xor_sync(0xffffffffu, s, w);
        if (lane == 0) delta[i] = s;
    }
}

static const int QR = 4; /* tokens of a warp in the gradients */
__global__ void grad_queries(heads a, const float *lse, const float *delta, vec dout, vec dqkv) {
    __shared__ float q[WARPS * QR * D_MAX], g[WARPS * QR * D_MAX], kv[SPAN * (D_MAX + 1)];
    const int rows = WARPS * QR;
    int lane = (int)threadIdx.x % 32, warp = (int)threadIdx.x / 32;
    int64_t first = (int64_t)blockIdx.x * rows, h = blockIdx.y, last = first + rows < a.tokens ? first + rows : a.tokens;
    range lo = text_range(a, first), hi = text_range(a, last - 1), mine[QR];
    float w[QR], ds[QR], keep[QR], acc[QR][COLS];
    load(a, a.qkv, 0, h, first, last, rows, q, (int)a.d);
    load(a, dout, -1, h, first, last, rows, g, (int)a.d);
    for (int r = 0; r < QR; r++) {
        int64_t t = first + warp * QR + r;
        mine[r] = t < last ? text_range(a, t) : range{0, 0};
        for (int c = 0; c < COLS; c++) acc[r][c] = 0;
    }
    for (int64_t from = lo.from; from < hi.to; from += SPAN) {
        __syncthreads();
        load(a, a.qkv, 1, h, from, hi.to, SPAN, kv, (int)a.d + 1);
        __syncthreads();
        for (int r = 0; r < QR; r++) {
            int64_t t = first + warp * QR + r, key = from + lane;
            bool on = t < last && sees(a, mine[r], t, key);
            w[r] = on ? expf(dot(q + (warp * QR + r) * a.d, kv + lane * (a.d + 1), a.d) * a.scale - lse[t * a.count + h]) : 0.0f;
            keep[r] = on ? keep_of(a, t, h, key - mine[r].from) : 0.0f;
        }
        __syncthreads();
        load(a, a.qkv, 2, h, from, hi.to, SPAN, kv, (int)a.d + 1);
        __syncthreads();
        for (int r = 0; r < QR; r++) {
            int64_t t = first + warp * QR + r;
            float dw = dot(g + (warp * QR + r) * a.d, kv + lane * (a.d + 1), a.d);
            ds[r] = t < last ? w[r] * (dw * keep[r] - delta[t * a.count + h]) * a.scale : 0.0f;
        }
        __syncthreads();
        load(a, a.qkv, 1, h, from, hi.to, SPAN, kv, (int)a.d + 1);
        __syncthreads();
        for (int r = 0; r < QR; r++)
            for (int k = 0; k < SPAN; k++) {
                float v = __shfl_sync(0xffffffffu, ds[r], k);
                for (int c = 0; c < COLS; c++)
                    if (lane + 32 * c < a.d) acc[r][c] += v * kv[k * (a.d + 1) + lane + 32 * c];
            }
    }
    for (int r = 0; r < QR; r++) {
        int64_t t = first + warp * QR + r;
        for (int c = 0; c < COLS && t < last; c++)
            if (lane + 32 * c < a.d) dqkv.put(t * 3 * a.n + h * a.d + lane + 32 * c, acc[r][c]);
    }
}
__global__ void grad_keys(heads a, const float *lse, const float *delta, vec dout, vec dqkv) {
    __shared__ float k[WARPS * QR * D_MAX], v[WARPS * QR * D_MAX], qg[SPAN * (D_MAX + 1)];
    const int rows = WARPS * QR;
    int lane = (int)threadIdx.x % 32, warp = (int)threadIdx.x / 32;
    int64_t first = (int64_t)blockIdx.x * rows, h = blockIdx.y, last = first + rows < a.tokens ? first + rows : a.tokens;
    range lo = text_range(a, first), hi = text_range(a, last - 1), mine[QR];
    float w[QR], used[QR], ds[QR], keep[QR], dk[QR][COLS], dv[QR][COLS];
    load(a, a.qkv, 1, h, first, last, rows, k, (int)a.d);
    load(a, a.qkv, 2, h, first, last, rows, v, (int)a.d);
    for (int r = 0; r < QR; r++) {
        int64_t t = first + warp * QR + r;
        mine[r] = t < last ? text_range(a, t) : range{0, 0};
        for (int c = 0; c < COLS; c++) dk[r][c] = dv[r][c] = 0;
    }
    for (int64_t from = lo.from; from < hi.to; from += SPAN) {
        int64_t query = from + lane;
        __syncthreads();
        load(a, a.qkv, 0, h, from, hi.to, SPAN, qg, (int)a.d + 1);
        __syncthreads();
        for (int r = 0; r < QR; r++) {
            int64_t t = first + warp * QR + r;
            bool on = t < last && query >= mine[r].from && query < mine[r].to && (!a.causal || t <= query);
            w[r] = on ? expf(dot(k + (warp * QR + r) * a.d, qg + lane * (a.d + 1), a.d) * a.scale - lse[query * a.count + h]) : 0.0f;
            keep[r] = on ? keep_of(a, query, h, t - mine[r].from) : 0.0f;
            used[r] = w[r] * keep[r];
        }
        __syncthreads();
        load(a, dout, -1, h, from, hi.to, SPAN, qg, (int)a.d + 1);
        __syncthreads();
        for (int r = 0; r < QR; r++) {
            float dw = dot(v + (warp * QR + r) * a.d, qg + lane * (a.d + 1), a.d);
            ds[r] = w[r] > 0 ? w[r] * (dw * keep[r] - delta[query * a.count + h]) * a.scale : 0.0f;
            for (int j = 0; j < SPAN; j++) {
                float u = __shfl_sync(0xffffffffu, used[r], j);
                for (int c = 0; c < COLS; c++)
                    if (lane + 32 * c < a.d) dv[r][c] += u * qg[j * (a.d + 1) + lane + 32 * c];
            }
        }
        __syncthreads();
        load(a, a.qkv, 0, h, from, hi.to, SPAN, qg, (int)a.d + 1);
        __syncthreads();
        for (int r = 0; r < QR; r++)
            for (int j = 0; j < SPAN; j++) {
                float u = __shfl_sync(0xffffffffu, ds[r], j);
                for (int c = 0; c < COLS; c++)
                    if (lane + 32 * c < a.d) dk[r][c] += u * qg[j * (a.d + 1) + lane + 32 * c];
            }
    }
    for (int r = 0; r < QR; r++) {
        int64_t t = first + warp * QR + r;
        for (int c = 0; c < COLS && t < last; c++)
            if (lane + 32 * c < a.d) {
                dqkv.put((t * 3 + 1) * a.n + h * a.d + lane + 32 * c, dk[r][c]);
                dqkv.put((t * 3 + 2) * a.n + h * a.d + lane + 32 * c, dv[r][c]);
            }
    }
}

static heads heads_of(const struct cuda *c, const struct exec *x, int p_in, const uint64_t *at) {
    heads a = {};
    a.qkv = vec_of(&x->in[0]), a.off = (const int32_t *)x->in[1].data, a.p = has(x, p_in) ? (const float *)x->in[p_in].data : NULL;
    a.tokens = x->in[0].n[0], a.texts = x->in[1].len - 1, a.n = x->in[0].n[1] / 3, a.count = (int64_t)c->host->number(x->node, "heads"), a.d = a.n / a.count;
    a.scale = (float)(1 / sqrt((double)a.d)), a.causal = c->host->number(x->node, "causal") != 0, a.stream = x->stream, a.step = at;
    return a;
}
/* The type its operands are rounded to: the node's, or that of what is kept in 16 bits (also input `other`); else float. */
static int half_of(const struct exec *x, int other) {
    if (x->node->half != DT_F32) return x->node->half;
    return x->in[0].dtype != DT_F32 || other < 0 ? x->in[0].dtype : x->in[other].dtype;
}
static unsigned blocks(int64_t tokens, int rows) { return (unsigned)((tokens + rows - 1) / rows); }
static int attention_run(struct cuda *c, const struct exec *x, const uint64_t *at, struct err *e) {
    heads a = heads_of(c, x, 2, at);
    int type = half_of(x, -1);
    if (a.d > D_MAX) return c->host->fail(e, "a head has %lld values, at most %d are possible on this device", (long long)a.d, D_MAX);
    if (a.tokens > 0 && attention_half_can(c, a, type)) {
        attention_half(c, a, type, vec_of(&x->out[0]), (float *)x->out[1].data);
        return 0;
    }
    if (a.tokens > 0) LAUNCH(forward, dim3(blocks(a.tokens, SPAN), (unsigned)a.count), 32 * WARPS, c->stream, a, vec_of(&x->out[0]), (float *)x->out[1].data);
    return 0;
}
/* Attention "in 8 bits" is the CPU's way to be fast; what its bytes stand for is computed here, in bf16 on tensor cores where the device has them: its
 * rounding is no coarser than that of bytes and holds numbers of any size. */
static int attention_i8_run(struct cuda *c, const struct exec *x, const uint64_t *at, struct err *e) {
    heads a = {};
    a.qkv = vec_of(&x->in[0]), a.off = (const int32_t *)x->in[1].data, a.tokens = x->in[0].n[0], a.texts = x->in[1].len - 1, a.n = x->in[0].n[1] / 3;
    a.count = (int64_t)c->host->number(x->node, "heads"), a.d = a.n / a.count, a.scale = (float)(1 / sqrt((double)a.d)), a.step = at;
    int type = half_of(x, -1);
    float *lse = (float *)c->workspace;
    if (type == DT_F32) type = DT_BF16;
    if (a.tokens * a.count * (int64_t)sizeof(float) > WORKSPACE) return c->host->fail(e, "%lld tokens are more than the workspace holds", (long long)a.tokens);
    if (a.tokens == 0) return 0;
    if (attention_half_can(c, a, type)) attention_half(c, a, type, vec_of(&x->out[0]), lse);
    else LAUNCH(forward, dim3(blocks(a.tokens, SPAN), (unsigned)a.count), 32 * WARPS, c->stream, a, vec_of(&x->out[0]), lse);
    return 0;
}
static int attention_grad_run(struct cuda *c, const struct exec *x, const uint64_t *at, struct err *e) {
    heads a = heads_of(c, x, 5, at);
    float *delta = (float *)c->workspace;
    if (a.d > D_MAX) return c->host->fail(e, "a head has %lld values, at most %d are possible on this device", (long long)a.d, D_MAX);
    if (a.tokens * a.count * (int64_t)sizeof(float) > WORKSPACE) return c->host->fail(e, "%lld tokens are more than the workspace holds", (long long)a.tokens);
    if (a.tokens == 0) return 0;
    vec out = vec_of(&x->in[2]), dout = vec_of(&x->in[4]), dqkv = vec_of(&x->out[0]);
    const float *lse = (const float *)x->in[3].data;
    dim3 grid(blocks(a.tokens, WARPS * QR), (unsigned)a.count);
    LAUNCH(deltas, grid_for(c, a.tokens * a.count * 32), 256, c->stream, a, out, dout, delta);
    int type = half_of(x, 4);
    if (attention_half_can(c, a, type)) {
        attention_half_grad(c, a, type, lse, delta, dout, dqkv);
        return 0;
    }
    LAUNCH(grad_queries, grid, 32 * WARPS, c->stream, a, lse, delta, dout, dqkv);
    LAUNCH(grad_keys, grid, 32 * WARPS, c->stream, a, lse, delta, dout, dqkv);
    return 0;
}

extern const struct kernel attention_kernels[];
const struct kernel attention_kernels[] = {{"attention", 1, 1, true, NULL, attention_run}, {"attention_i8", 1, 1, true, NULL, attention_i8_run},
    {"attention_grad", 21, 1, true, NULL, attention_grad_run}, {}};
