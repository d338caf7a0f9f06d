/* What packed texts need: pooling over the tokens of a text, the sum of word, position and type vectors, the first token, rotary positions, rows of length
 * 1, as engine/ops/pool.c and tokens.c define them. One block a text, or a thread a value. */
#include "engine/cuda/random.cuh"

#include <math.h>

static unsigned grid_rows(int64_t rows) { return (unsigned)(rows < 65535 ? rows : 65535); }
static int64_t width_of(const struct view *v) {
    int64_t n = 1;
    for (int i = 1; i < v->ndim; i++) n *= v->n[i];
    return n;
}

/* ---- mean and sum */
static __device__ float text_factor(const int32_t *off, const float *w, int64_t r, bool mean) {
    if (!mean) return 1.0f;
    double s = (double)(off[r + 1] - off[r]);
    if (w) {
        s = 0;
        for (int t = off[r]; t < off[r + 1]; t++) s += (double)w[t];
    }
    return s != 0 ? (float)(1 / s) : 0.0f;
}
__global__ void pool(vec x, const int32_t *off, const float *w, vec y, int64_t rows, int64_t d, bool mean) {
    for (int64_t r = blockIdx.x; r < rows; r += gridDim.x) {
        float k = text_factor(off, w, r, mean);
        for (int64_t i = threadIdx.x; i < d; i += blockDim.x) {
            float s = 0;
            for (int64_t t = off[r]; t < off[r + 1]; t++) s += x.get(t * d + i) * (w ? w[t] : 1.0f);
            y.put(r * d + i, k * s);
        }
    }
}
template <bool mean> static int pool_run(struct cuda *c, const struct exec *x, const uint64_t *, struct err *) {
    int64_t rows = x->out[0].n[0], d = width_of(&x->out[0]);
    if (rows * d > 0)
        LAUNCH(pool, grid_rows(rows), threads_for(d), c->stream, vec_of(&x->in[0]), (const int32_t *)x->in[1].data,
            has(x, 2) ? (const float *)x->in[2].data : NULL, vec_of(&x->out[0]), rows, d, mean);
    return 0;
}
__global__ void pool_grad(vec dy, const int32_t *off, const float *w, vec dx, int64_t rows, int64_t d, bool mean) {
    for (int64_t r = blockIdx.x; r < rows; r += gridDim.x) {
        float k = text_factor(off, w, r, mean);
        for (int64_t i = threadIdx.x; i < d; i += blockDim.x) {
            float g = k * dy.get(r * d + i);
            for (int64_t t = off[r]; t < off[r + 1]; t++) dx.put(t * d + i, g * (w ? w[t] : 1.0f));
        }
    }
}
template <bool mean> static int pool_grad_run(struct cuda *c, const struct exec *x, const uint64_t *, struct err *) {
    int64_t rows = x->in[0].n[0], d = width_of(&x->in[0]);
    if (rows * d > 0)
        LAUNCH(pool_grad, grid_rows(rows), threads_for(d), c->stream, vec_of(&x->in[0]), (const int32_t *)x->in[1].data,
            has(x, 2) ? (const float *)x->in[2].data : NULL, vec_of(&x->out[0]), rows, d, mean);
    return 0;
}

/* ---- maximum and where it came from */
__global__ void pool_max(vec x, const int32_t *off, vec y, int32_t *at, int64_t rows, int64_t d) {
    for (int64_t r = blockIdx.x; r < rows; r += gridDim.x)
        for (int64_t i = threadIdx.x; i < d; i += blockDim.x) {
            int64_t from = off[r], to = off[r + 1], best = from < to ? from : -1;
            float v = from < to ? x.get(from * d + i) : 0.0f;
            for (int64_t t = from + 1; t < to; t++) {
                float u = x.get(t * d + i);
                if (u > v) v = u, best = t;
            }
            y.put(r * d + i, v);
            at[r * d + i] = (int32_t)best;
        }
}
static int pool_max_run(struct cuda *c, const struct exec *x, const uint64_t *, struct err *) {
    int64_t rows = x->out[0].n[0], d = width_of(&x->out[0]);
    if (rows * d > 0)
        LAUNCH(pool_max, grid_rows(rows), threads_for(d), c->stream, vec_of(&x->in[0]), (const int32_t *)x->in[1].data, vec_of(&x->out[0]),
            (int32_t *)x->out[1].data, rows, d);
    return 0;
}
__global__ void pool_max_grad(vec dy, const int32_t *off, const int32_t *at, vec dx, int64_t rows, int64_t d) {
    for (int64_t r = blockIdx.x; r < rows; r += gridDim.x)
        for (int64_t i = threadIdx.x; i < d; i += blockDim.x)
            for (int64_t t = off[r]; t < off[r + 1]; t++) dx.put(t * d + i, at[r * d + i] == (int32_t)t ? dy.get(r * d + i) : 0.0f);
}
static int pool_max_grad_run(struct cuda *c, const struct exec *x, const uint64_t *, struct err *) {
    int64_t rows = x->in[0].n[0], d = width_of(&x->in[0]);
    if (rows * d > 0)
        LAUNCH(pool_max_grad, grid_rows(rows), threads_for(d), c->stream, vec_of(&x->in[0]), (const int32_t *)x->in[1].data, (const int32_t *)x->in[2].data,
            vec_of(&x->out[0]), rows, d);
    return 0;
}

/* ---- embed */
__global__ void embed(
    const int32_t *ids, vec word, const int32_t *off, vec pos, vec type, vec y, int64_t n, int64_t rows, int64_t d, int64_t v, int64_t np, int64_t start) {
    EACH(i, n * d) {
        int64_t t = i / d, k = i % d, id = ids[t];
        float s = id >= 0 && id < v ? word.get(id * d + k) : 0.0f;
        if (pos.p) {
            int64_t p = t - off[text_of(off, rows, t)] + start;
            if (p < np) s += pos.get(p * d + k);
        }
        if (type.p) s += type.get(k);
        y.put(i, s);
    }
}
static const vec nothing = {NULL, DT_F32};
static int embed_run(struct cuda *c, const struct exec *x, const uint64_t *, struct err *) {
    if (x->out[0].len > 0)
        LAUNCH(embed, grid_for(c, x->out[0].len), 256, c->stream, (const int32_t *)x->in[0].data, vec_of(&x->in[1]), (const int32_t *)x->in[2].data,
            has(x, 3) ? vec_of(&x->in[3]) : nothing, has(x, 4) ? vec_of(&x->in[4]) : nothing, vec_of(&x->out[0]), x->in[0].len, x->in[2].len - 1,
            last_of(&x->in[1]), x->in[1].n[0], has(x, 3) ? x->in[3].n[0] : 0, (int64_t)c->host->number(x->node, "start"));
    return 0;
}
/* By position: one block a row of the table, over texts in order. start -1: all of it to row 0, in groups of tokens first. */
__global__ void embed_grad(vec dy, const int32_t *off, vec y, int64_t table, int64_t rows, int64_t d, int64_t start) {
    for (int64_t p = blockIdx.x; p < table; p += gridDim.x)
        for (int64_t i = threadIdx.x; i < d; i += blockDim.x) {
            float s = 0;
            for (int64_t r = 0; r < rows && p >= start; r++)
                if (p - start < off[r + 1] - off[r]) s += dy.get((off[r] + p - start) * d + i);
            y.put(p * d + i, s);
        }
}
__global__ void type_part(vec dy, float *part, int64_t n, int64_t d, int64_t per) {
    int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x, from = (int64_t)blockIdx.y * per, to = from + per < n ? from + per : n;
    if (i >= d) return;
    float s = 0;
    for (int64_t t = from; t < to; t++) s += dy.get(t * d + i);
    part[(int64_t)blockIdx.y * d + i] = s;
}
__global__ void type_sum(const float *part, int groups, vec y, int64_t table, int64_t d) {
    EACH(i, table * d) {
        float s = 0;
        for (int q = 0; i < d && q < groups; q++) s += part[(int64_t)q * d + i];
        y.put(i, s);
    }
}
static int embed_grad_run(struct cuda *c, const struct exec *x, const uint64_t *, struct err *e) {
    int64_t start = (int64_t)c->host->number(x->node, "start"), table = x->out[0].n[0], d = last_of(&x->out[0]), n = x->in[0].n[0];
    int64_t per = n > 64 * 64 ? (n + 63) / 64 : 64, groups = n > 0 ? (n + per - 1) / per : 0;
    float *part = (float *)c->workspace;
    if (table * d == 0) return 0;
    if (start >= 0) {
        LAUNCH(embed_grad, grid_rows(table), threads_for(d), c->stream, vec_of(&x->in[0]), (const int32_t *)x->in[1].data, vec_of(&x->out[0]), table,
            x->in[1].len - 1, d, start);
        return 0;
    }
    if (groups * d * (int64_t)sizeof(float) > WORKSPACE) return c->host->fail(e, "rows of %lld are too wide for the workspace", (long long)d);
    if (groups > 0) LAUNCH(type_part, dim3((unsigned)((d + 127) / 128), (unsigned)groups), 128, c->stream, vec_of(&x->in[0]), part, n, d, per);
    LAUNCH(type_sum, grid_for(c, table * d), 256, c->stream, part, (int)groups, vec_of(&x->out[0]), table, d);
    return 0;
}

/* ---- the first token of each text */
__global__ void first(vec x, const int32_t *off, vec y, int64_t rows, int64_t d) {
    EACH(i, rows * d) {
        int64_t r = i / d;
        y.put(i, off[r] < off[r + 1] ? x.get(off[r] * d + i % d) : 0.0f);
    }
}
static int first_run(struct cuda *c, const struct exec *x, const uint64_t *, struct err *) {
    if (x->out[0].len > 0)
        LAUNCH(first, grid_for(c, x->out[0].len), 256, c->stream, vec_of(&x->in[0]), (const int32_t *)x->in[1].data, vec_of(&x->out[0]), x->out[0].n[0],
            last_of(&x->in[0]));
    return 0;
}
__global__ void first_grad(vec dy, const int32_t *off, vec dx, int64_t rows, int64_t n, int64_t d) {
    EACH(i, n * d) {
        int64_t t = i / d, r = rows > 0 ? text_of(off, rows, t) : 0;
        dx.put(i, rows > 0 && off[r] == t && off[r + 1] > t ? dy.get(r * d + i % d) : 0.0f);
    }
}
static int first_grad_run(struct cuda *c, const struct exec *x, const uint64_t *, struct err *) {
    if (x->out[0].len > 0)
        LAUNCH(first_grad, grid_for(c, x->out[0].len), 256, c->stream, vec_of(&x->in[0]), (const int32_t *)x->in[1].data, vec_of(&x->out[0]), x->in[0].n[0],
            x->out[0].n[0], last_of(&x->out[0]));
    return 0;
}

/* ---- rope: one thread a pair; values are copied */
__global__ void rope(vec x, const int32_t *off, vec y, int64_t tokens, int64_t rows, int64_t n, int64_t heads, double base, double sign) {
    int64_t d = n / heads, half = d / 2, pairs = 2 * heads * half + n;
    EACH(i, tokens * pairs) {
        int64_t t = i / pairs, q = i % pairs, at = t * 3 * n;
        if (q >= 2 * heads * half) { /* a value */
            int64_t k = at + 2 * n + (q - 2 * heads * half);
            y.put(k, x.get(k));
            continue;
        }
        int64_t h = q / half, j = q % half, lo = at + h * d + j, hi = lo + half;
        double w = (double)(t - off[text_of(off, rows, t)]) * pow(base, -2.0 * (double)j / (double)d) * sign;
        float c = (float)cos(w), s = (float)sin(w), v = x.get(lo), u = x.get(hi);
        y.put(lo, v * c - u * s);
        y.put(hi, u * c + v * s);
    }
}
static int rope_run(struct cuda *c, const struct exec *x, const uint64_t *, struct err *) {
    int64_t n = x->in[0].n[1] / 3, heads = (int64_t)c->host->number(x->node, "heads"), tokens = x->in[0].n[0];
    if (tokens > 0)
        LAUNCH(rope, grid_for(c, tokens * 2 * n), 256, c->stream, vec_of(&x->in[0]), (const int32_t *)x->in[1].data, vec_of(&x->out[0]), tokens,
            x->in[1].len - 1, n, heads, c->host->number(x->node, "base"), c->host->number(x->node, "back") != 0 ? -1.0 : 1.0);
    return 0;
}

/* ---- rows of length 1 */
__global__ void l2(vec x, vec y, float *k_out, int64_t rows, int64_t n, float eps) {
    for (int64_t r = blockIdx.x; r < rows; r += gridDim.x) {
        float s = 0;
        for (int64_t i = threadIdx.x; i < n; i += blockDim.x) s += x.get(r * n + i) * x.get(r * n + i);
        float k = 1.0f / fmaxf(sqrtf(block_all<plus>(s)), eps);
        for (int64_t i = threadIdx.x; i < n; i += blockDim.x) y.put(r * n + i, x.get(r * n + i) * k);
        if (threadIdx.x == 0) k_out[r] = k;
        __syncthreads();
    }
}
static int l2_run(struct cuda *c, const struct exec *x, const uint64_t *, struct err *) {
    int64_t n = last_of(&x->in[0]), rows = rows_of(&x->in[0]);
    if (rows > 0)
        LAUNCH(l2, grid_rows(rows), threads_for(n), c->stream, vec_of(&x->in[0]), vec_of(&x->out[0]), (float *)x->out[1].data, rows, n,
            (float)c->host->number(x->node, "eps"));
    return 0;
}
__global__ void l2_grad(vec y, const float *k, vec dy, vec dx, int64_t rows, int64_t n) {
    for (int64_t r = blockIdx.x; r < rows; r += gridDim.x) {
        float dot = 0;
        for (int64_t i = threadIdx.x; i < n; i += blockDim.x) dot += y.get(r * n + i) * dy.get(r * n + i);
        dot = block_all<plus>(dot);
        for (int64_t i = threadIdx.x; i < n; i += blockDim.x) dx.put(r * n + i, k[r] * (dy.get(r * n + i) - y.get(r * n + i) * dot));
        __syncthreads();
    }
}
static int l2_grad_run(struct cuda *c, const struct exec *x, const uint64_t *, struct err *) {
    int64_t n = last_of(&x->in[0]), rows = rows_of(&x->in[0]);
    if (rows > 0)
        LAUNCH(l2_grad, grid_rows(rows), threads_for(n), c->stream, vec_of(&x->in[0]), (const float *)x->in[1].data, vec_of(&x->in[2]), vec_of(&x->out[0]),
            rows, n);
    return 0;
}

extern const struct kernel text_kernels[];
const struct kernel text_kernels[] = {{"mean_pool", 1, 1, false, NULL, pool_run<true>}, {"sum_pool", 1, 1, false, NULL, pool_run<false>},
    {"mean_pool_grad", 1, 1, false, NULL, pool_grad_run<true>}, {"sum_pool_grad", 1, 1, false, NULL, pool_grad_run<false>},
    {"max_pool", 1, 1, false, NULL, pool_max_run}, {"max_pool_grad", 1, 1, false, NULL, pool_max_grad_run}, {"embed", 0, 1, false, NULL, embed_run},
    {"embed_grad", 1, 0, false, NULL, embed_grad_run}, {"first_token", 1, 1, false, NULL, first_run}, {"first_token_grad", 1, 1, false, NULL, first_grad_run},
    {"rope", 1, 1, false, NULL, rope_run}, {"l2_norm", 1, 1, false, NULL, l2_run}, {"l2_norm_grad", 5, 1, false, NULL, l2_grad_run}, {}};
