/* Layer normalisation, alone or joined with the residual sum before it, and RMS normalisation, with their gradients, as engine/ops/layer_norm.c, add_norm.c
 * and rms_norm.c define them. Values: one block a row. Gradients of gain and bias: columns by blocks, rows by groups that leave partial sums in the workspace,
 * summed in their order. */
#include "engine/cuda/cuda.h"

#include <math.h>

static unsigned grid_rows(int64_t rows) { return (unsigned)(rows < 65535 ? rows : 65535); }
static const vec nothing = {NULL, DT_F32};

/* s = a + b where b is there; y = (s - mean) k gain + bias */
__global__ void norm(vec a, vec b, vec s, vec y, const float *gain, const float *bias, float *mean, float *k_out, int64_t rows, int64_t n, float eps) {
    for (int64_t r = blockIdx.x; r < rows; r += gridDim.x) {
        float m = 0, v = 0;
        for (int64_t i = threadIdx.x; i < n; i += blockDim.x) {
            float x = a.get(r * n + i) + (b.p ? b.get(r * n + i) : 0.0f);
            if (s.p) s.put(r * n + i, x);
            m += x;
        }
        m = block_all<plus>(m) / (float)n;
        __syncthreads();
        for (int64_t i = threadIdx.x; i < n; i += blockDim.x) {
            float x = (s.p ? s.get(r * n + i) : a.get(r * n + i)) - m;
            v += x * x;
        }
        float k = 1.0f / sqrtf(block_all<plus>(v) / (float)n + eps);
        for (int64_t i = threadIdx.x; i < n; i += blockDim.x) {
            float x = (s.p ? s.get(r * n + i) : a.get(r * n + i)) - m;
            y.put(r * n + i, x * k * gain[i] + bias[i]);
        }
        if (threadIdx.x == 0) mean[r] = m, k_out[r] = k;
        __syncthreads();
    }
}
static int norm_run(struct cuda *c, const struct exec *x, const uint64_t *, struct err *) {
    int64_t n = last_of(&x->in[0]), rows = rows_of(&x->in[0]);
    if (rows > 0)
        LAUNCH(norm, grid_rows(rows), threads_for(n), c->stream, vec_of(&x->in[0]), nothing, nothing, vec_of(&x->out[0]), (const float *)x->in[1].data,
            (const float *)x->in[2].data, (float *)x->out[1].data, (float *)x->out[2].data, rows, n, (float)c->host->number(x->node, "eps"));
    return 0;
}
static int add_norm_run(struct cuda *c, const struct exec *x, const uint64_t *, struct err *) {
    int64_t n = last_of(&x->in[0]), rows = rows_of(&x->in[0]);
    if (rows > 0)
        LAUNCH(norm, grid_rows(rows), threads_for(n), c->stream, vec_of(&x->in[0]), vec_of(&x->in[1]), vec_of(&x->out[0]), vec_of(&x->out[1]),
            (const float *)x->in[2].data, (const float *)x->in[3].data, (float *)x->out[2].data, (float *)x->out[3].data, rows, n,
            (float)c->host->number(x->node, "eps"));
    return 0;
}

/* dx = k (g - mean(g) - z mean(g z)) [+ ds], g = dy gain, z = (x - mean) k */
__global__ void norm_dx(vec x, vec dy, const float *mean, const float *kk, const float *gain, vec ds, vec dx, int64_t rows, int64_t n) {
    for (int64_t r = blockIdx.x; r < rows; r += gridDim.x) {
        float m = mean[r], k = kk[r], sg = 0, sn = 0;
        for (int64_t i = threadIdx.x; i < n; i += blockDim.x) {
            float g = dy.get(r * n + i) * gain[i];
            sg += g;
            sn += g * (x.get(r * n + i) - m) * k;
        }
        sg = block_all<plus>(sg) / (float)n;
        __syncthreads();
        sn = block_all<plus>(sn) / (float)n;
        for (int64_t i = threadIdx.x; i < n; i += blockDim.x) {
            float g = dy.get(r * n + i) * gain[i], z = (x.get(r * n + i) - m) * k;
            dx.put(r * n + i, k * (g - sg - z * sn) + (ds.p ? ds.get(r * n + i) : 0.0f));
        }
        __syncthreads();
    }
}
/* Partial sums over `per` rows: part (groups, 2, n) */
__global__ void norm_dw(vec x, vec dy, const float *mean, const float *kk, float *part, int64_t rows, int64_t n, int64_t per) {
    int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x, from = (int64_t)blockIdx.y * per, to = from + per < rows ? from + per : rows;
    if (i >= n) return;
    float g = 0, b = 0;
    for (int64_t r = from; r < to; r++) {
        float d = dy.get(r * n + i);
        g += d * (x.get(r * n + i) - mean[r]) * kk[r];
        b += d;
    }
    part[((int64_t)blockIdx.y * 2) * n + i] = g;
    part[((int64_t)blockIdx.y * 2 + 1) * n + i] = b;
}
__global__ void norm_dw_sum(const float *part, int groups, float *dgain, float *dbias, int64_t n) {
    EACH(i, n) {
        float g = 0, b = 0;
        for (int q = 0; q < groups; q++) g += part[((int64_t)q * 2) * n + i], b += part[((int64_t)q * 2 + 1) * n + i];
        dgain[i] = g;
        dbias[i] = b;
    }
}
static int dw(struct cuda *c, const struct exec *x, const struct view *dgain, const struct view *dbias, struct err *e) {
    int64_t n = last_of(&x->in[0]), rows = rows_of(&x->in[0]), per = rows > 64 * 64 ? (rows + 63) / 64 : 64, groups = rows > 0 ? (rows + per - 1) / per : 0;
    float *part = (float *)c->workspace;
    if (groups * 2 * n * (int64_t)sizeof(float) > WORKSPACE) return c->host->fail(e, "rows of %lld are too wide for the workspace", (long long)n);
    if (groups > 0 && n > 0)
        LAUNCH(norm_dw, dim3((unsigned)((n + 127) / 128), (unsigned)groups), 128, c->stream, vec_of(&x->in[0]), vec_of(&x->in[1]), (const float *)x->in[2].data,
            (const float *)x->in[3].data, part, rows, n, per);
    if (n > 0) LAUNCH(norm_dw_sum, grid_for(c, n), 256, c->stream, part, (int)groups, (float *)dgain->data, (float *)dbias->data, n);
    return 0;
}
static int dx(struct cuda *c, const struct exec *x, vec ds) {
    int64_t n = last_of(&x->in[0]), rows = rows_of(&x->in[0]);
    if (rows > 0)
        LAUNCH(norm_dx, grid_rows(rows), threads_for(n), c->stream, vec_of(&x->in[0]), vec_of(&x->in[1]), (const float *)x->in[2].data,
            (const float *)x->in[3].data, (const float *)x->in[4].data, ds, vec_of(&x->out[0]), rows, n);
    return 0;
}
static int norm_dx_run(struct cuda *c, const struct exec *x, const uint64_t *, struct err *) { return dx(c, x, nothing); }
static int norm_dw_run(struct cuda *c, const struct exec *x, const uint64_t *, struct err *e) { return dw(c, x, &x->out[0], &x->out[1], e); }
static int add_norm_grad_run(struct cuda *c, const struct exec *x, const uint64_t *, struct err *e) {
    return dx(c, x, has(x, 5) ? vec_of(&x->in[5]) : nothing) < 0 ? -1 : dw(c, x, &x->out[1], &x->out[2], e);
}

/* ---- by the root mean square: y = x k gain, k = 1 / sqrt(mean(x x) + eps) */
__global__ void rms(vec x, vec y, const float *gain, float *k_out, int64_t rows, int64_t n, float eps) {
    for (int64_t r = blockIdx.x; r < rows; r += gridDim.x) {
        float s = 0;
        for (int64_t i = threadIdx.x; i < n; i += blockDim.x) s += x.get(r * n + i) * x.get(r * n + i);
        float k = 1.0f / sqrtf(block_all<plus>(s) / (float)n + eps);
        for (int64_t i = threadIdx.x; i < n; i += blockDim.x) y.put(r * n + i, x.get(r * n + i) * k * gain[i]);
        if (threadIdx.x == 0) k_out[r] = k;
        __syncthreads();
    }
}
static int rms_run(struct cuda *c, const struct exec *x, const uint64_t *, struct err *) {
    int64_t n = last_of(&x->in[0]), rows = rows_of(&x->in[0]);
    if (rows > 0)
        LAUNCH(rms, grid_rows(rows), threads_for(n), c->stream, vec_of(&x->in[0]), vec_of(&x->out[0]), (const float *)x->in[1].data, (float *)x->out[1].data,
            rows, n, (float)c->host->number(x->node, "eps"));
    return 0;
}
__global__ void rms_dx(vec x, vec dy, const float *kk, const float *gain, vec dx, int64_t rows, int64_t n) {
    for (int64_t r = blockIdx.x; r < rows; r += gridDim.x) {
        float k = kk[r], s = 0;
        for (int64_t i = threadIdx.x; i < n; i += blockDim.x) s += dy.get(r * n + i) * gain[i] * x.get(r * n + i);
        s = block_all<plus>(s);
        for (int64_t i = threadIdx.x; i < n; i += blockDim.x) dx.put(r * n + i, k * (dy.get(r * n + i) * gain[i] - x.get(r * n + i) * k * k * s / (float)n));
        __syncthreads();
    }
}
static int rms_dx_run(struct cuda *c, const struct exec *x, const uint64_t *, struct err *) {
    int64_t n = last_of(&x->in[0]), rows = rows_of(&x->in[0]);
    if (rows > 0)
        LAUNCH(rms_dx, grid_rows(rows), threads_for(n), c->stream, vec_of(&x->in[0]), vec_of(&x->in[1]), (const float *)x->in[2].data,
            (const float *)x->in[3].data, vec_of(&x->out[0]), rows, n);
    return 0;
}
__global__ void rms_dw(vec x, vec dy, const float *kk, float *part, int64_t rows, int64_t n, int64_t per) {
    int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x, from = (int64_t)blockIdx.y * per, to = from + per < rows ? from + per : rows;
    if (i >= n) return;
    float g = 0;
    for (int64_t r = from; r < to; r++) g += dy.get(r * n + i) * x.get(r * n + i) * kk[r];
    part[(int64_t)blockIdx.y * n + i] = g;
}
__global__ void rms_dw_sum(const float *part, int groups, float *dgain, int64_t n) {
    EACH(i, n) {
        float g = 0;
        for (int q = 0; q < groups; q++) g += part[(int64_t)q * n + i];
        dgain[i] = g;
    }
}
static int rms_dw_run(struct cuda *c, const struct exec *x, const uint64_t *, struct err *e) {
    int64_t n = last_of(&x->in[0]), rows = rows_of(&x->in[0]), per = rows > 64 * 64 ? (rows + 63) / 64 : 64, groups = rows > 0 ? (rows + per - 1) / per : 0;
    float *part = (float *)c->workspace;
    if (groups * n * (int64_t)sizeof(float) > WORKSPACE) return c->host->fail(e, "rows of %lld are too wide for the workspace", (long long)n);
    if (groups > 0 && n > 0)
        LAUNCH(rms_dw, dim3((unsigned)((n + 127) / 128), (unsigned)groups), 128, c->stream, vec_of(&x->in[0]), vec_of(&x->in[1]), (const float *)x->in[2].data,
            part, rows, n, per);
    if (n > 0) LAUNCH(rms_dw_sum, grid_for(c, n), 256, c->stream, part, (int)groups, (float *)x->out[0].data, n);
    return 0;
}

extern const struct kernel norm_kernels[];
const struct kernel norm_kernels[] = {{"layer_norm", 1, 1, false, NULL, norm_run}, {"layer_norm_dx", 3, 1, false, NULL, norm_dx_run},
    {"layer_norm_dw", 3, 0, false, NULL, norm_dw_run}, {"add_norm", 3, 3, false, NULL, add_norm_run}, {"add_norm_grad", 35, 1, false, NULL, add_norm_grad_run},
    {"rms_norm", 1, 1, false, NULL, rms_run}, {"rms_norm_dx", 3, 1, false, NULL, rms_dx_run}, {"rms_norm_dw", 3, 0, false, NULL, rms_dw_run}, {}};
