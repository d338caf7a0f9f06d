/* Losses of pairs and of distributions and their gradients, as engine/ops/pair_loss.c and soft_loss.c define them: cosine_loss, contrastive, kl_div. Row
 * losses become partial sums in double by blocks, joined in their order. contrastive multiplies all vectors with all others by cuBLASLt into the workspace. */
#include "engine/cuda/cuda.h"

#include <math.h>

static const int PARTS = 1024; /* blocks at most: as many partial sums, in front of the workspace */
static unsigned blocks_of(int64_t rows) { return (unsigned)(rows < 1 ? 1 : rows < PARTS ? rows : PARTS); }
__global__ void sum_parts(const double *part, int parts, double times, float *sum, float *count, float rows) {
    double s = 0;
    for (int i = (int)threadIdx.x; i < parts; i += (int)blockDim.x) s += part[i];
    s = block_all<plus>(s);
    if (threadIdx.x == 0) *sum = (float)(times * s), *count = rows;
}

/* ---- cosine_loss: a block a row */
struct angle {
    float cos, xx, yy;
};
static __device__ angle angle_of(const vec &a, const vec &b, int64_t at, int64_t n) {
    float xy = 0, xx = 0, yy = 0;
    for (int64_t i = threadIdx.x; i < n; i += blockDim.x) {
        float p = a.get(at + i), q = b.get(at + i);
        xy += p * q, xx += p * p, yy += q * q;
    }
    xy = block_all<plus>(xy);
    __syncthreads();
    xx = block_all<plus>(xx) + 1e-12f;
    __syncthreads();
    yy = block_all<plus>(yy) + 1e-12f;
    __syncthreads();
    return angle{xy / sqrtf(xx) / sqrtf(yy), xx, yy};
}
/* mark > 0: 1 - cos, else max(0, cos - margin); *slope: by the cosine */
static __device__ double cosine_of(float cos, float mark, double margin, float *slope) {
    *slope = mark > 0 ? -1.0f : cos > margin ? 1.0f : 0.0f;
    return mark > 0 ? 1 - (double)cos : cos > margin ? (double)cos - margin : cos != cos ? (double)cos : 0;
}
__global__ void cosine(vec a, vec b, const float *mark, double margin, double *part, int64_t rows, int64_t n) {
    double sum = 0;
    float slope;
    for (int64_t r = blockIdx.x; r < rows; r += gridDim.x) sum += cosine_of(angle_of(a, b, r * n, n).cos, mark ? mark[r] : 1.0f, margin, &slope);
    if (threadIdx.x == 0) part[blockIdx.x] = sum;
}
__global__ void cosine_back(vec a, vec b, const float *d, const float *mark, double margin, vec da, vec db, int64_t rows, int64_t n) {
    for (int64_t r = blockIdx.x; r < rows; r += gridDim.x) {
        angle g = angle_of(a, b, r * n, n);
        float slope;
        cosine_of(g.cos, mark ? mark[r] : 1.0f, margin, &slope);
        slope *= *d;
        float k = slope / sqrtf(g.xx) / sqrtf(g.yy), ka = slope * g.cos / g.xx, kb = slope * g.cos / g.yy;
        for (int64_t i = r * n + threadIdx.x; i < (r + 1) * n; i += blockDim.x) {
            float p = a.get(i), q = b.get(i);
            da.put(i, k * q - ka * p);
            db.put(i, k * p - kb * q);
        }
    }
}
static int cosine_run(struct cuda *c, const struct exec *x, const uint64_t *, struct err *) {
    int64_t n = last_of(&x->in[0]), rows = rows_of(&x->in[0]);
    double *part = (double *)c->workspace;
    LAUNCH(cosine, blocks_of(rows), threads_for(n), c->stream, vec_of(&x->in[0]), vec_of(&x->in[1]), has(x, 2) ? (const float *)x->in[2].data : NULL,
        c->host->number(x->node, "margin"), part, rows, n);
    LAUNCH(sum_parts, 1, 256, c->stream, part, (int)blocks_of(rows), 1.0, (float *)x->out[0].data, (float *)x->out[1].data, (float)rows);
    return 0;
}
static int cosine_back_run(struct cuda *c, const struct exec *x, const uint64_t *, struct err *) {
    int64_t n = last_of(&x->in[0]), rows = rows_of(&x->in[0]);
    if (x->in[0].len > 0)
        LAUNCH(cosine_back, blocks_of(rows), threads_for(n), c->stream, vec_of(&x->in[0]), vec_of(&x->in[1]), (const float *)x->in[2].data,
            has(x, 3) ? (const float *)x->in[3].data : NULL, c->host->number(x->node, "margin"), vec_of(&x->out[0]), vec_of(&x->out[1]), rows, n);
    return 0;
}

/* ---- kl_div: a block a row */
struct top_sum {
    float top, sum; /* log sum exp = top + log(sum) */
};
static __device__ top_sum lse_of(const vec &v, int64_t at, int64_t n, float k) {
    float top = -INFINITY, sum = 0;
    for (int64_t i = threadIdx.x; i < n; i += blockDim.x) top = fmaxf(top, v.get(at + i) * k);
    top = block_all<larger>(top);
    __syncthreads();
    for (int64_t i = threadIdx.x; i < n; i += blockDim.x) sum += expf(v.get(at + i) * k - top);
    sum = block_all<plus>(sum);
    __syncthreads();
    return top_sum{top, sum};
}
__global__ void kl(vec z, vec t, bool logits, float k, double *part, int64_t rows, int64_t n) {
    double all = 0;
    for (int64_t r = blockIdx.x; r < rows; r += gridDim.x) {
        top_sum a = lse_of(z, r * n, n, k), b = {0, 1};
        if (logits) b = lse_of(t, r * n, n, k);
        float lz = a.top + logf(a.sum), lt = b.top + logf(b.sum), s = 0;
        for (int64_t i = r * n + threadIdx.x; i < (r + 1) * n; i += blockDim.x) {
            float q = t.get(i), lq = q * k - lt, rest = lz - z.get(i) * k;
            if (logits) s += expf(lq) * (lq + rest);
            else if (q != 0) s += q * (logf(q) + rest);
        }
        all += (double)block_all<plus>(s);
        __syncthreads();
    }
    if (threadIdx.x == 0) part[blockIdx.x] = all;
}
__global__ void kl_back(vec z, vec t, const float *d, bool logits, float k, float temperature, vec y, int64_t rows, int64_t n) {
    for (int64_t r = blockIdx.x; r < rows; r += gridDim.x) {
        top_sum a = lse_of(z, r * n, n, k), b = {0, 1};
        float by = *d * temperature, all = 0;
        if (logits) b = lse_of(t, r * n, n, k);
        for (int64_t i = r * n + threadIdx.x; !logits && i < (r + 1) * n; i += blockDim.x) all += t.get(i);
        all = logits ? 1.0f : block_all<plus>(all);
        for (int64_t i = r * n + threadIdx.x; i < (r + 1) * n; i += blockDim.x) {
            float q = logits ? expf(t.get(i) * k - b.top) / b.sum : t.get(i);
            y.put(i, by * (expf(z.get(i) * k - a.top) / a.sum * all - q));
        }
        __syncthreads();
    }
}
static int kl_run(struct cuda *c, const struct exec *x, const uint64_t *, struct err *) {
    int64_t n = last_of(&x->in[0]), rows = rows_of(&x->in[0]);
    double *part = (double *)c->workspace, t = c->host->number(x->node, "temperature");
    LAUNCH(kl, blocks_of(rows), threads_for(n), c->stream, vec_of(&x->in[0]), vec_of(&x->in[1]), c->host->number(x->node, "target") == 1, (float)(1 / t), part,
        rows, n);
    LAUNCH(sum_parts, 1, 256, c->stream, part, (int)blocks_of(rows), t * t, (float *)x->out[0].data, (float *)x->out[1].data, (float)rows);
    return 0;
}
static int kl_back_run(struct cuda *c, const struct exec *x, const uint64_t *, struct err *) {
    int64_t n = last_of(&x->in[0]), rows = rows_of(&x->in[0]);
    double t = c->host->number(x->node, "temperature");
    if (x->in[0].len > 0)
        LAUNCH(kl_back, blocks_of(rows), threads_for(n), c->stream, vec_of(&x->in[0]), vec_of(&x->in[1]), (const float *)x->in[2].data,
            c->host->number(x->node, "target") == 1, (float)(1 / t), (float)t, vec_of(&x->out[0]), rows, n);
    return 0;
}

/* ---- contrastive: s = a b^T in the workspace (R, R), behind the parts */
static float *room_of(struct cuda *c, int64_t rows, struct err *e) {
    size_t used = 0;
    float *s = (float *)operand_room(c, rows * rows, &used, NULL);
    if (!s)
        c->host->fail(e, "a batch of %lld is too large for contrastive on this device: its %.0f MiB of products do not fit the workspace", (long long)rows,
            (double)rows * (double)rows * 4 / 1048576);
    return s;
}
/* Of row (side 0) or column (side 1) i: the logarithm of its sum, and its loss. */
__global__ void nce(const float *s, int64_t rows, float k, float *row_lse, float *col_lse, double *loss) {
    for (int64_t q = blockIdx.x; q < 2 * rows; q += gridDim.x) {
        int64_t i = q % rows, st = q < rows ? 1 : rows, at = q < rows ? i * rows : i;
        float top = -INFINITY, sum = 0;
        for (int64_t j = threadIdx.x; j < rows; j += blockDim.x) {
            float v = s[at + j * st] * k;
            top = v > top || v != v ? v : top;
        }
        top = block_all<larger>(top);
        __syncthreads();
        for (int64_t j = threadIdx.x; j < rows; j += blockDim.x) sum += expf(s[at + j * st] * k - top);
        sum = block_all<plus>(sum);
        if (threadIdx.x == 0) {
            (q < rows ? row_lse : col_lse)[i] = top + logf(sum);
            loss[q] = (double)(top - s[i * rows + i] * k + logf(sum)); /* exact where a vector is sure of its partner */
        }
        __syncthreads();
    }
}
__global__ void nce_weights(float *s, int64_t rows, float k, const float *row_lse, const float *col_lse, const float *d, bool both) {
    EACH(q, rows * rows) {
        int64_t i = q / rows, j = q % rows;
        float v = s[q] * k, w = expf(v - row_lse[i]);
        if (both) w = 0.5f * (w + expf(v - col_lse[j]));
        s[q] = (w - (i == j ? 1.0f : 0.0f)) * *d * k;
    }
}
static int scores(struct cuda *c, const struct exec *x, float *s, struct err *e) {
    int64_t rows = x->in[0].n[0], n = x->in[0].n[1];
    struct product_shape p = {rows, rows, n, true, false, DT_F32, DT_F32, BIAS_NONE, 0, 0};
    return product(c, &p, x->in[1].data, x->in[0].data, NULL, s, e);
}
static int nce_run(struct cuda *c, const struct exec *x, const uint64_t *, struct err *e) {
    int64_t rows = x->in[0].n[0];
    bool both = c->host->number(x->node, "symmetric") != 0;
    float *s = room_of(c, rows + 1, e), k = (float)(1 / c->host->number(x->node, "temperature"));
    double *loss = (double *)c->workspace; /* where products may write: after them */
    if (!s) return -1;
    if (2 * rows * (int64_t)sizeof(double) > PRODUCT_SPACE)
        return c->host->fail(e, "a batch of %lld is too large for contrastive on this device", (long long)rows);
    if (rows > 0 && scores(c, x, s, e) < 0) return -1;
    if (c->preparing) return 0;
    if (rows > 0)
        LAUNCH(nce, (unsigned)(2 * rows < 65535 ? 2 * rows : 65535), threads_for(rows), c->stream, s, rows, k, (float *)x->out[2].data, (float *)x->out[3].data,
            loss);
    LAUNCH(sum_parts, 1, 256, c->stream, loss, (int)(both ? 2 * rows : rows), both ? 0.5 : 1.0, (float *)x->out[0].data, (float *)x->out[1].data, (float)rows);
    return 0;
}
static int nce_back_run(struct cuda *c, const struct exec *x, const uint64_t *, struct err *e) {
    int64_t rows = x->in[0].n[0], n = x->in[0].n[1];
    float *s = room_of(c, rows, e), k = (float)(1 / c->host->number(x->node, "temperature"));
    struct product_shape da = {n, rows, rows, false, false, DT_F32, DT_F32, BIAS_NONE, 0, 0},
                         db = {n, rows, rows, false, true, DT_F32, DT_F32, BIAS_NONE, 0, 0};
    if (!s) return -1;
    if (rows * n == 0) return 0;
    if (scores(c, x, s, e) < 0) return -1;
    if (!c->preparing)
        LAUNCH(nce_weights, grid_for(c, rows * rows), 256, c->stream, s, rows, k, (const float *)x->in[2].data, (const float *)x->in[3].data,
            (const float *)x->in[4].data, c->host->number(x->node, "symmetric") != 0);
    return product(c, &da, x->in[1].data, s, NULL, x->out[0].data, e) < 0 || product(c, &db, x->in[0].data, s, NULL, x->out[1].data, e) < 0 ? -1 : 0;
}

extern const struct kernel pair_loss_kernels[];
const struct kernel pair_loss_kernels[] = {{"cosine_loss", 3, 0, false, NULL, cosine_run}, {"cosine_loss_grad", 3, 3, false, NULL, cosine_back_run},
    {"kl_div", 3, 0, false, NULL, kl_run}, {"kl_div_grad", 3, 1, false, NULL, kl_back_run}, {"contrastive", 0, 0, false, NULL, nce_run, true},
    {"contrastive_grad", 0, 0, false, NULL, nce_back_run, true}, {}};
