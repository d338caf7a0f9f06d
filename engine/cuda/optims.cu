/* Optimisers that need more than one pass: lamb, adafactor, muon, and adam with moments of 8 bits, as engine/optims define them. Norms are partial sums in
 * double by blocks, in front of the workspace, joined in their order by one block; nothing is written where the gate says no. */
#include "engine/cuda/update.cuh"
#include "engine/optims/code8.h"

#include <math.h>

static const int PARTS = 1024; /* blocks at most */
/* In front of the workspace: two partial sums a block, then what they give. */
struct shared_sums {
    double part[2 * 1024], result;
};
static unsigned parts_for(const struct cuda *c, int64_t n) {
    unsigned g = grid_for(c, n);
    return g < (unsigned)PARTS ? g : (unsigned)PARTS;
}
static __device__ void keep_parts(shared_sums *w, double a, double b) {
    a = block_all<plus>(a);
    __syncthreads();
    b = block_all<plus>(b);
    if (threadIdx.x == 0) w->part[2 * blockIdx.x] = a, w->part[2 * blockIdx.x + 1] = b;
}
/* Both sums, for every thread of one block. */
static __device__ void join_parts(const shared_sums *w, int parts, double *a, double *b) {
    double p = 0, q = 0;
    for (int i = (int)threadIdx.x; i < parts; i += (int)blockDim.x) p += w->part[2 * i], q += w->part[2 * i + 1];
    *a = block_all<plus>(p);
    __syncthreads();
    *b = block_all<plus>(q);
}
static __device__ __forceinline__ const float *coef(const float *ctl) { return ctl + CTL_COEF; } /* the optimiser's own numbers */
static const float *ctl_of(const struct cuda *c, const struct exec *x, int in) {
    return (const float *)x->in[in].data + (int64_t)c->host->number(x->node, "group") * CTL_N;
}

/* ---- lamb: p, m, v, g, ctl */
enum { LAMB_LR, LAMB_STEP, LAMB_ROOT, LAMB_EPS, LAMB_DECAY, LAMB_N1, LAMB_B2, LAMB_N2 };
static __device__ __forceinline__ float lamb_step(const float *c, float m, float v, float p) {
    return m * c[LAMB_STEP] / (sqrtf(v) * c[LAMB_ROOT] + c[LAMB_EPS]) + c[LAMB_DECAY] * p;
}
__global__ void lamb_moments(const float *p, float *m, float *v, const float *g, const float *ctl, shared_sums *w, int64_t n) {
    const float *c = ctl + CTL_COEF;
    double pp = 0, uu = 0;
    if (ctl[CTL_OK] == 0) return; /* the same for every thread */
    EACH(i, n) {
        float y = sees(ctl, g[i], p[i]), mi = m[i] + c[LAMB_N1] * (y - m[i]), vi = c[LAMB_B2] * v[i] + c[LAMB_N2] * y * y, u = lamb_step(c, mi, vi, p[i]);
        m[i] = mi;
        v[i] = vi;
        pp += (double)p[i] * p[i];
        uu += (double)u * u;
    }
    keep_parts(w, pp, uu);
}
__global__ void lamb_ratio(shared_sums *w, int parts, const float *ctl) {
    double pp, uu;
    join_parts(w, parts, &pp, &uu);
    if (threadIdx.x == 0) w->result = pp > 0 && uu > 0 ? (double)coef(ctl)[LAMB_LR] * sqrt(pp / uu) : (double)coef(ctl)[LAMB_LR];
}
__global__ void lamb_weights(float *p, const float *m, const float *v, const float *ctl, const shared_sums *w, int64_t n) {
    float rate = (float)w->result;
    if (ctl[CTL_OK] == 0) return;
    EACH(i, n) p[i] -= rate * lamb_step(ctl + CTL_COEF, m[i], v[i], p[i]);
}
static int lamb_run(struct cuda *c, const struct exec *x, const uint64_t *, struct err *) {
    int64_t n = x->in[0].len;
    unsigned parts = parts_for(c, n);
    float *p = (float *)x->in[0].data, *m = (float *)x->in[1].data, *v = (float *)x->in[2].data;
    const float *g = (const float *)x->in[3].data, *ctl = ctl_of(c, x, 4);
    shared_sums *w = (shared_sums *)c->workspace;
    if (n == 0) return 0;
    LAUNCH(lamb_moments, parts, 256, c->stream, p, m, v, g, ctl, w, n);
    LAUNCH(lamb_ratio, 1, 256, c->stream, w, (int)parts, ctl);
    LAUNCH(lamb_weights, grid_for(c, n), 256, c->stream, p, m, v, ctl, w, n);
    return 0;
}

/* ---- adafactor: a tensor as matrices (batch, rows, cols); a vector is one row */
enum { FACTOR_NEW, FACTOR_RHO, FACTOR_SHRINK, FACTOR_EPS1, FACTOR_EPS2, FACTOR_D };
struct matrices {
    int64_t batch, rows, cols, len;
};
static matrices matrices_of(const struct view *v) {
    matrices m = {1, 1, v->len, v->len};
    if (v->ndim < 2) return m;
    m.rows = v->n[v->ndim - 2], m.cols = v->n[v->ndim - 1];
    m.batch = m.rows * m.cols > 0 ? m.len / (m.rows * m.cols) : 0;
    return m;
}
/* Means of the squares of rows; a block a row. */
__global__ void factor_rows(float *row, const float *p, const float *g, const float *ctl, matrices m) {
    if (ctl[CTL_OK] == 0) return;
    for (int64_t r = blockIdx.x; r < m.batch * m.rows; r += gridDim.x) {
        float s = 0;
        for (int64_t i = r * m.cols + threadIdx.x; i < (r + 1) * m.cols; i += blockDim.x) {
            float y = sees(ctl, g[i], p[i]);
            s += y * y;
        }
        s = block_all<plus>(s);
        if (threadIdx.x == 0) row[r] += coef(ctl)[FACTOR_NEW] * (s / (float)m.cols - row[r]);
        __syncthreads();
    }
}
/* Sums of the squares of columns over `per` rows: part (groups, batch cols); then their means. */
__global__ void factor_columns(float *part, const float *p, const float *g, const float *ctl, matrices m, int64_t per) {
    int64_t from = (int64_t)blockIdx.y * per, to = from + per < m.rows ? from + per : m.rows, n = m.batch * m.cols;
    if (ctl[CTL_OK] == 0) return;
    EACH(i, n) {
        float s = 0;
        for (int64_t r = from; r < to; r++) {
            int64_t at = (i / m.cols * m.rows + r) * m.cols + i % m.cols;
            float y = sees(ctl, g[at], p[at]);
            s += y * y;
        }
        part[(int64_t)blockIdx.y * n + i] = s;
    }
}
__global__ void factor_column_means(float *col, const float *part, int groups, const float *ctl, matrices m) {
    int64_t n = m.batch * m.cols;
    if (ctl[CTL_OK] == 0) return;
    EACH(i, n) {
        float s = 0;
        for (int k = 0; k < groups; k++) s += part[(int64_t)k * n + i];
        col[i] += coef(ctl)[FACTOR_NEW] * (s * (1 / (float)m.rows) - col[i]);
    }
}
static int moments_run(struct cuda *c, const struct exec *x, const uint64_t *, struct err *e) {
    matrices m = matrices_of(&x->in[2]);
    int64_t per = m.rows > 64 * 64 ? (m.rows + 63) / 64 : 64, groups = (m.rows + per - 1) / per, n = m.batch * m.cols;
    const float *p = (const float *)x->in[2].data, *g = (const float *)x->in[3].data, *ctl = ctl_of(c, x, 4);
    float *row = (float *)x->in[0].data, *col = (float *)x->in[1].data, *part = (float *)c->workspace;
    if (m.len == 0) return 0;
    if (groups * n * (int64_t)sizeof(float) > WORKSPACE)
        return c->host->fail(e, "matrices of %lld columns in all are too wide for the workspace", (long long)n);
    int64_t rows = m.batch * m.rows;
    LAUNCH(factor_rows, (unsigned)(rows < 65535 ? rows : 65535), threads_for(m.cols), c->stream, row, p, g, ctl, m);
    LAUNCH(factor_columns, dim3(grid_for(c, n), (unsigned)groups), 256, c->stream, part, p, g, ctl, m, per);
    LAUNCH(factor_column_means, grid_for(c, n), 256, c->stream, col, part, (int)groups, ctl, m);
    return 0;
}
/* 1 / mean of the row means of a matrix */
__global__ void factor_scale(const float *row, float *scale, const float *ctl, matrices m) {
    for (int64_t b = blockIdx.x; b < m.batch; b += gridDim.x) {
        double s = 0;
        for (int64_t r = threadIdx.x; r < m.rows; r += blockDim.x) s += row[b * m.rows + r];
        s = block_all<plus>(s);
        if (threadIdx.x == 0) scale[b] = (float)(1 / fmax(s / (double)m.rows, (double)coef(ctl)[FACTOR_EPS1]));
        __syncthreads();
    }
}
/* The step of an element before the rate: g / sqrt(max(v, eps^2)), v = row scale col, or the whole second moment of a vector (col NULL). */
static __device__ __forceinline__ float factor_step(
    const float *ctl, const matrices &m, const float *row, const float *col, const float *scale, float g, float p, int64_t i) {
    float v, floor = coef(ctl)[FACTOR_EPS1] * coef(ctl)[FACTOR_EPS1];
    if (col) {
        int64_t r = i / m.cols, b = r / m.rows;
        v = row[r] * scale[b] * col[b * m.cols + i % m.cols];
    } else v = row[i];
    return sees(ctl, g, p) / sqrtf(v > floor ? v : floor);
}
__global__ void factor_norms(const float *p, float *row, const float *col, const float *scale, const float *g, const float *ctl, matrices m, shared_sums *w) {
    double pp = 0, uu = 0;
    if (ctl[CTL_OK] == 0) return;
    EACH(i, m.len) {
        if (!col) {
            float y = sees(ctl, g[i], p[i]);
            row[i] += coef(ctl)[FACTOR_NEW] * (y * y - row[i]);
        }
        float u = factor_step(ctl, m, row, col, scale, g[i], p[i], i);
        pp += (double)p[i] * p[i];
        uu += (double)u * u;
    }
    keep_parts(w, pp, uu);
}
__global__ void factor_rate(shared_sums *w, int parts, const float *ctl, double len) {
    const float *c = ctl + CTL_COEF;
    double pp, uu;
    join_parts(w, parts, &pp, &uu);
    if (threadIdx.x == 0) w->result = fmax((double)c[FACTOR_EPS2], sqrt(pp / len)) * c[FACTOR_RHO] / fmax(1.0, sqrt(uu / len) / c[FACTOR_D]);
}
__global__ void factor_weights(
    float *p, const float *row, const float *col, const float *scale, const float *g, const float *ctl, matrices m, const shared_sums *w) {
    float rate = (float)w->result;
    if (ctl[CTL_OK] == 0) return;
    EACH(i, m.len) p[i] = p[i] * coef(ctl)[FACTOR_SHRINK] - rate * factor_step(ctl, m, row, col, scale, g[i], p[i], i);
}
static int factor_run(struct cuda *c, const struct exec *x, const uint64_t *, struct err *e) {
    bool vector = x->n_in == 4;
    matrices m = matrices_of(&x->in[0]);
    unsigned parts = parts_for(c, m.len);
    float *p = (float *)x->in[0].data, *row = (float *)x->in[1].data;
    const float *col = vector ? NULL : (const float *)x->in[2].data, *g = (const float *)x->in[x->n_in - 2].data, *ctl = ctl_of(c, x, x->n_in - 1);
    shared_sums *w = (shared_sums *)c->workspace;
    float *scale = (float *)(c->workspace + sizeof *w);
    if (m.len == 0) return 0;
    if ((int64_t)sizeof *w + m.batch * (int64_t)sizeof(float) > WORKSPACE)
        return c->host->fail(e, "%lld matrices are too many for the workspace", (long long)m.batch);
    if (!vector) LAUNCH(factor_scale, (unsigned)(m.batch < 65535 ? m.batch : 65535), threads_for(m.rows), c->stream, row, scale, ctl, m);
    LAUNCH(factor_norms, parts, 256, c->stream, p, row, col, scale, g, ctl, m, w);
    LAUNCH(factor_rate, 1, 256, c->stream, w, (int)parts, ctl, (double)m.len);
    LAUNCH(factor_weights, grid_for(c, m.len), 256, c->stream, p, row, col, scale, g, ctl, m, w);
    return 0;
}

/* ---- muon: buf, grad, param, ctl -> the step's matrix of norm 1; a x + b y; param, buf, orthogonal step, grad, ctl */
enum { MUON_LR, MUON_SHRINK, MUON_MOMENTUM };
__global__ void muon_direction(const float *buf, const float *g, const float *p, const float *ctl, float *out, bool nesterov, shared_sums *w, int64_t n) {
    float mu = coef(ctl)[MUON_MOMENTUM], own = nesterov ? 1 - mu : 0.0f;
    double s = 0;
    EACH(i, n) {
        float y = sees(ctl, g[i], p[i]), b = buf[i] + (1 - mu) * (y - buf[i]), u = b + own * (y - b);
        out[i] = u;
        s += (double)u * u;
    }
    keep_parts(w, s, 0);
}
__global__ void muon_norm(shared_sums *w, int parts) {
    double s, none;
    join_parts(w, parts, &s, &none);
    if (threadIdx.x == 0) w->result = 1 / fmax(sqrt(s), 1e-7);
}
__global__ void muon_scale(float *out, const shared_sums *w, int64_t n) {
    float s = (float)w->result;
    EACH(i, n) out[i] *= s;
}
static int direction_run(struct cuda *c, const struct exec *x, const uint64_t *, struct err *) {
    int64_t n = x->in[0].len;
    unsigned parts = parts_for(c, n);
    shared_sums *w = (shared_sums *)c->workspace;
    bool nesterov = (int)c->host->number(x->node, "variant") & 1;
    if (n == 0) return 0;
    LAUNCH(muon_direction, parts, 256, c->stream, (const float *)x->in[0].data, (const float *)x->in[1].data, (const float *)x->in[2].data, ctl_of(c, x, 3),
        (float *)x->out[0].data, nesterov, w, n);
    LAUNCH(muon_norm, 1, 256, c->stream, w, (int)parts);
    LAUNCH(muon_scale, grid_for(c, n), 256, c->stream, (float *)x->out[0].data, w, n);
    return 0;
}
__global__ void muon_mix(vec x, vec y, vec out, float a, float b, int64_t n) { EACH(i, n) out.put(i, a * x.get(i) + b * y.get(i)); }
static int mix_run(struct cuda *c, const struct exec *x, const uint64_t *, struct err *) {
    if (x->in[0].len > 0)
        LAUNCH(muon_mix, grid_for(c, x->in[0].len), 256, c->stream, vec_of(&x->in[0]), vec_of(&x->in[1]), vec_of(&x->out[0]),
            (float)c->host->number(x->node, "a"), (float)c->host->number(x->node, "b"), x->in[0].len);
    return 0;
}
__global__ void muon_weights(float *p, float *buf, const float *o, const float *g, const float *ctl, double adjust, int64_t n) {
    const float *c = ctl + CTL_COEF;
    float rate = (float)(c[MUON_LR] * adjust);
    if (ctl[CTL_OK] == 0) return;
    EACH(i, n) {
        buf[i] += (1 - c[MUON_MOMENTUM]) * (sees(ctl, g[i], p[i]) - buf[i]);
        p[i] = p[i] * c[MUON_SHRINK] - rate * o[i];
    }
}
static int muon_run(struct cuda *c, const struct exec *x, const uint64_t *, struct err *) {
    double rows = (double)x->in[0].n[0], cols = (double)x->in[0].n[1];
    double adjust = (int)c->host->number(x->node, "variant") & 2 ? 0.2 * sqrt(fmax(rows, cols)) : sqrt(fmax(1.0, rows / cols));
    if (x->in[0].len > 0)
        LAUNCH(muon_weights, grid_for(c, x->in[0].len), 256, c->stream, (float *)x->in[0].data, (float *)x->in[1].data, (const float *)x->in[2].data,
            (const float *)x->in[3].data, ctl_of(c, x, 4), adjust, x->in[0].len);
    return 0;
}

/* ---- adam with codes of 8 bits and a scale for each 256 elements (engine/optims/adam8.c): a block of threads a block of elements */
enum { ADAM_SHRINK, ADAM_STEP, ADAM_STEP_G, ADAM_ROOT, ADAM_EPS, ADAM_B1, ADAM_N1, ADAM_B2, ADAM_N2 };
enum { BLOCK = CODE8_BLOCK };
__global__ void __launch_bounds__(BLOCK) adam8(float *p, uint8_t *qm, float *ms, uint8_t *qv, float *vs, const float *g, const float *ctl, int64_t len) {
    __shared__ float book[2][256];
    __shared__ struct code8 code[2];
    int t = (int)threadIdx.x;
    const float *c = ctl + CTL_COEF;
    if (ctl[CTL_OK] == 0) return; /* the same for every thread */
    book[0][t] = (float)code8_value(t - 127, 0), book[1][t] = (float)code8_value(t, 1);
    if (t < 2 * CODE8_DECADES) code8_init(&code[t / CODE8_DECADES], t / CODE8_DECADES, t % CODE8_DECADES);
    __syncthreads();
    for (int64_t b = blockIdx.x; b * BLOCK < len; b += gridDim.x) {
        int64_t i = b * BLOCK + t;
        bool on = i < len;
        float m = 0, v = 0;
        if (on) {
            float y = sees(ctl, g[i], p[i]);
            m = book[0][qm[i]] * ms[b], v = book[1][qv[i]] * vs[b];
            m += c[ADAM_N1] * (y - m);
            v = c[ADAM_B2] * v + c[ADAM_N2] * y * y;
            p[i] = p[i] * c[ADAM_SHRINK] - m * c[ADAM_STEP] / (sqrtf(v) * c[ADAM_ROOT] + c[ADAM_EPS]);
        }
        float mm = block_all<larger>(fabsf(m));
        __syncthreads();
        float vm = block_all<larger>(v);
        if (on) {
            float x = fabsf(m) * (mm > 0 ? 1 / mm : 0.0f);
            int k = (int)code8_of(&code[0], x, m < 0 ? 127.0f : 128.0f); /* there is no code for -1 */
            qm[i] = (uint8_t)(127 + (m < 0 ? -k : k));
            qv[i] = (uint8_t)(int)code8_of(&code[1], v * (vm > 0 ? 1 / vm : 0.0f), 255.0f);
        }
        __syncthreads(); /* all have read the scales */
        if (t == 0) ms[b] = mm, vs[b] = vm;
    }
}
static int adam8_run(struct cuda *c, const struct exec *x, const uint64_t *, struct err *) {
    if (x->in[0].len > 0)
        LAUNCH(adam8, grid_for(c, x->in[0].len), BLOCK, c->stream, (float *)x->in[0].data, (uint8_t *)x->in[1].data, (float *)x->in[2].data,
            (uint8_t *)x->in[3].data, (float *)x->in[4].data, (const float *)x->in[5].data, ctl_of(c, x, 6), x->in[0].len);
    return 0;
}

extern const struct kernel optims_kernels[];
const struct kernel optims_kernels[] = {{"lamb_update", 0, 0, false, NULL, lamb_run}, {"adafactor_moments", 0, 0, false, NULL, moments_run},
    {"adafactor_update", 0, 0, false, NULL, factor_run}, {"muon_direction", 0, 0, false, NULL, direction_run}, {"muon_mix", 3, 1, false, NULL, mix_run},
    {"muon_update", 0, 0, false, NULL, muon_run}, {"adam8_update", 0, 0, false, NULL, adam8_run}, {}};
