/* Recurrent cells over packed texts and their gradients, as engine/ops/recurrent.c defines them. A block of threads walks through TEXTS texts of one
 * direction, from step to step without leaving the kernel: how long they are is known on the device alone, and a kept run serves batches of other lengths. A
 * warp takes rows of the weight (forward) or a thread columns of it (backward), so a weight is read once for all texts of the block and every sum has one
 * order. State, carried gradient and products of a text lie in the scratch of the step. */
#include "engine/cuda/cuda.h"

#include <math.h>

struct cells {
    const int32_t *off;
    int64_t rows, dirs, h;
    float *room; /* (dirs, rows, (g + 2) h): state, carried, products */
};
struct one_way { /* of a direction; NULL where there is none */
    const float *x, *w, *bias; /* (T, g h), (g h, h), (g h) */
    float *dx, *dg, *prev; /* outputs of the gradient: (T, g h), (T, g h), (T, h); lstm: dx and dg are one */
};
struct ways {
    one_way d[2];
};
static __device__ __forceinline__ int64_t length_of(const cells &r, int64_t row) { return row < r.rows ? r.off[row + 1] - r.off[row] : 0; }
/* Those of the block's texts; the longest. */
template <int TEXTS> static __device__ __forceinline__ int64_t lengths(const cells &r, int64_t first, int64_t len[TEXTS]) {
    int64_t longest = 0;
    for (int i = 0; i < TEXTS; i++) {
        len[i] = length_of(r, first + i);
        if (len[i] > longest) longest = len[i];
    }
    return longest;
}
static __device__ __forceinline__ int64_t token_of(const cells &r, int64_t dir, int64_t row, int64_t step) {
    return dir ? r.off[row + 1] - 1 - step : r.off[row] + step;
}
static __device__ __forceinline__ float sigmoid_of(float v) { return 1.0f / (1.0f + expf(-v)); }

/* y, c (T, dirs h), gates (T, dirs 4 h) */
template <int g, int TEXTS> __global__ void __launch_bounds__(256) cells_forward(cells r, ways all, float *y, float *gates, float *c) {
    int lane = (int)threadIdx.x % 32, warp = (int)threadIdx.x / 32, warps = (int)blockDim.x / 32;
    int64_t dir = blockIdx.y, first = (int64_t)blockIdx.x * TEXTS, h = r.h, wide = r.dirs * h, size = (g + 2) * h;
    const one_way &o = all.d[dir];
    float *room = r.room + (dir * r.rows + first) * size;
    int64_t len[TEXTS], longest = lengths<TEXTS>(r, first, len);
    for (int64_t s = 0; s < longest; s++) {
        for (int64_t k = warp; k < g * h; k += warps) { /* products of the weight's row k with every text's state */
            float sum[TEXTS];
            for (int i = 0; i < TEXTS; i++) sum[i] = 0;
            for (int64_t j = lane; s > 0 && j < h; j += 32) {
                float w = o.w[k * h + j];
                for (int i = 0; i < TEXTS; i++)
                    if (len[i] > s) sum[i] += w * room[i * size + j];
            }
            for (int i = 0; i < TEXTS; i++) {
                for (int d = 16; d > 0; d >>= 1) sum[i] += __shfl_xor_sync(0xffffffffu, sum[i], d);
                if (lane == 0 && len[i] > s) room[i * size + 2 * h + k] = sum[i] + (o.bias ? o.bias[k] : 0.0f);
            }
        }
        __syncthreads();
        for (int64_t q = threadIdx.x; q < TEXTS * h; q += blockDim.x) {
            int64_t i = q / h, j = q % h;
            if (length_of(r, first + i) <= s) continue;
            int64_t t = token_of(r, dir, first + i, s), at = t * wide + dir * h + j, ga = (t * r.dirs + dir) * 4 * h + j;
            const float *x = o.x + t * g * h + j, *z = room + i * size + 2 * h + j;
            float out, was = s > 0 ? room[i * size + j] : 0.0f;
            if (g == 4) {
                float a = sigmoid_of(x[0] + z[0]), f = sigmoid_of(x[h] + z[h]), n = tanhf(x[2 * h] + z[2 * h]), e = sigmoid_of(x[3 * h] + z[3 * h]);
                float v = f * (s > 0 ? c[token_of(r, dir, first + i, s - 1) * wide + dir * h + j] : 0.0f) + a * n;
                gates[ga] = a, gates[ga + h] = f, gates[ga + 2 * h] = n, gates[ga + 3 * h] = e;
                c[at] = v;
                out = e * tanhf(v);
            } else {
                float a = sigmoid_of(x[0] + z[0]), u = sigmoid_of(x[h] + z[h]), n = tanhf(x[2 * h] + a * z[2 * h]);
                gates[ga] = a, gates[ga + h] = u, gates[ga + 2 * h] = n, gates[ga + 3 * h] = z[2 * h];
                out = (1 - u) * n + u * was;
            }
            y[at] = out;
            room[i * size + j] = out;
        }
        __syncthreads();
    }
}
/* dy, y (T, dirs h), gates (T, dirs 4 h), c (T, dirs h); room: dh that comes back through the product, what goes straight to c' or h', dz */
template <int g, int TEXTS>
__global__ void __launch_bounds__(256) cells_back(cells r, ways all, const float *dy, const float *y, const float *gates, const float *c) {
    int64_t dir = blockIdx.y, first = (int64_t)blockIdx.x * TEXTS, h = r.h, wide = r.dirs * h, size = (g + 2) * h;
    const one_way &o = all.d[dir];
    float *room = r.room + (dir * r.rows + first) * size;
    int64_t len[TEXTS], longest = lengths<TEXTS>(r, first, len);
    for (int64_t s = longest - 1; s >= 0; s--) {
        for (int64_t q = threadIdx.x; q < TEXTS * h; q += blockDim.x) {
            int64_t i = q / h, j = q % h, n = length_of(r, first + i);
            if (n <= s) continue;
            int64_t t = token_of(r, dir, first + i, s), at = t * wide + dir * h + j, ga = (t * r.dirs + dir) * 4 * h + j, to = t * g * h + j,
                    old = s > 0 ? token_of(r, dir, first + i, s - 1) * wide + dir * h + j : -1;
            float *mine = room + i * size + j, *z = mine + 2 * h, a[4];
            bool end = s == n - 1; /* nothing comes back yet */
            float dh = dy[at] + (end ? 0.0f : mine[0]), keep = end ? 0.0f : mine[h], was = old < 0 ? 0.0f : y[old];
            for (int k = 0; k < 4; k++) a[k] = gates[ga + k * h];
            o.prev[t * h + j] = was;
            if (g == 4) {
                float tc = tanhf(c[at]), dc = keep + dh * a[3] * (1 - tc * tc), before = old < 0 ? 0.0f : c[old];
                z[0] = dc * a[2] * a[0] * (1 - a[0]);
                z[h] = dc * before * a[1] * (1 - a[1]);
                z[2 * h] = dc * a[0] * (1 - a[2] * a[2]);
                z[3 * h] = dh * tc * a[3] * (1 - a[3]);
                mine[h] = dc * a[1];
                for (int k = 0; k < 4; k++) o.dg[to + k * h] = z[k * h];
            } else {
                dh += keep;
                float dn = dh * (1 - a[1]) * (1 - a[2] * a[2]), du = dh * (was - a[2]) * a[1] * (1 - a[1]), dr = dn * a[3] * a[0] * (1 - a[0]);
                o.dx[to] = z[0] = dr, o.dx[to + h] = z[h] = du, o.dx[to + 2 * h] = dn, z[2 * h] = dn * a[0];
                for (int k = 0; k < 3; k++) o.dg[to + k * h] = z[k * h];
                mine[h] = dh * a[1];
            }
        }
        __syncthreads();
        for (int64_t j = threadIdx.x; s > 0 && j < h; j += blockDim.x) { /* W^T dz */
            float sum[TEXTS];
            for (int i = 0; i < TEXTS; i++) sum[i] = 0;
            for (int64_t k = 0; k < g * h; k++) {
                float w = o.w[k * h + j];
                for (int i = 0; i < TEXTS; i++)
                    if (len[i] > s) sum[i] += w * room[i * size + 2 * h + k];
            }
            for (int i = 0; i < TEXTS; i++)
                if (len[i] > s) room[i * size + j] = sum[i];
        }
        __syncthreads();
    }
}

static cells cells_of(const struct exec *x, int64_t h, int64_t wide) {
    cells r = {(const int32_t *)x->in[0].data, x->in[0].len - 1, h ? wide / h : 1, h, (float *)x->scratch};
    return r;
}
/* One text a block while the device has room for them, four when texts are many. */
static bool few(const struct cuda *c, const cells &r) { return r.rows * r.dirs <= 2 * c->sms; }
static dim3 grid_of(const cells &r, int64_t texts) { return dim3((unsigned)((r.rows + texts - 1) / texts), (unsigned)r.dirs); }
template <int g> static int forward_run(struct cuda *c, const struct exec *x, const uint64_t *, struct err *) {
    cells r = cells_of(x, x->in[2].n[1], last_of(&x->out[0]));
    ways all = {};
    for (int64_t d = 0; d < r.dirs; d++) {
        int at = 1 + 3 * (int)d;
        all.d[d].x = (const float *)x->in[at].data, all.d[d].w = (const float *)x->in[at + 1].data;
        all.d[d].bias = has(x, at + 2) ? (const float *)x->in[at + 2].data : NULL;
    }
    float *y = (float *)x->out[0].data, *gates = (float *)x->out[1].data, *cell = g == 4 ? (float *)x->out[2].data : NULL;
    if (r.rows < 1 || x->out[0].len == 0) return 0;
    if (few(c, r)) LAUNCH((cells_forward<g, 1>), grid_of(r, 1), 256, c->stream, r, all, y, gates, cell);
    else LAUNCH((cells_forward<g, 4>), grid_of(r, 4), 256, c->stream, r, all, y, gates, cell);
    return 0;
}
template <int g> static int back_run(struct cuda *c, const struct exec *x, const uint64_t *, struct err *) {
    cells r = cells_of(x, x->in[5].n[1], last_of(&x->in[2]));
    ways all = {};
    const int per = g == 4 ? 2 : 3;
    for (int64_t d = 0; d < r.dirs; d++) {
        all.d[d].w = (const float *)x->in[5 + d].data;
        all.d[d].dx = (float *)x->out[d * per].data, all.d[d].dg = (float *)x->out[d * per + per - 2].data,
        all.d[d].prev = (float *)x->out[d * per + per - 1].data;
    }
    const float *dy = (const float *)x->in[1].data, *y = (const float *)x->in[2].data, *gates = (const float *)x->in[3].data,
                *cell = g == 4 ? (const float *)x->in[4].data : NULL;
    if (r.rows < 1 || x->in[2].len == 0) return 0;
    if (few(c, r)) LAUNCH((cells_back<g, 1>), grid_of(r, 1), 256, c->stream, r, all, dy, y, gates, cell);
    else LAUNCH((cells_back<g, 4>), grid_of(r, 4), 256, c->stream, r, all, dy, y, gates, cell);
    return 0;
}

/* ---- what each direction ends with: its last token, of the second direction the first */
static __device__ __forceinline__ int64_t end_of(const int32_t *off, int64_t row, bool second) {
    return off[row] == off[row + 1] ? -1 : second ? off[row] : off[row + 1] - 1;
}
__global__ void last_state(vec x, const int32_t *off, vec y, int64_t rows, int64_t w, int64_t h) {
    EACH(i, rows * w) {
        int64_t t = end_of(off, i / w, i % w >= h);
        y.put(i, t < 0 ? 0.0f : x.get(t * w + i % w));
    }
}
__global__ void last_state_back(vec dy, const int32_t *off, vec dx, int64_t rows, int64_t w, int64_t h) {
    EACH(i, rows * w) {
        int64_t t = end_of(off, i / w, i % w >= h);
        if (t >= 0) dx.put(t * w + i % w, dy.get(i));
    }
}
static int64_t half_width(struct cuda *c, const struct exec *x, int64_t w) { return w / (int64_t)c->host->number(x->node, "dirs"); }
static int last_run(struct cuda *c, const struct exec *x, const uint64_t *, struct err *) {
    int64_t w = last_of(&x->in[0]), rows = x->in[1].len - 1;
    if (rows * w > 0)
        LAUNCH(last_state, grid_for(c, rows * w), 256, c->stream, vec_of(&x->in[0]), (const int32_t *)x->in[1].data, vec_of(&x->out[0]), rows, w,
            half_width(c, x, w));
    return 0;
}
static int last_back_run(struct cuda *c, const struct exec *x, const uint64_t *, struct err *e) {
    int64_t w = last_of(&x->in[0]), rows = x->in[1].len - 1;
    size_t bytes = (size_t)x->out[0].len * (x->out[0].dtype == DT_F32 ? 4 : 2);
    if (bytes && cuda_fail(c, cudaMemsetAsync(x->out[0].data, 0, bytes, c->stream), "clearing", e) < 0) return -1;
    if (rows * w > 0 && bytes)
        LAUNCH(last_state_back, grid_for(c, rows * w), 256, c->stream, vec_of(&x->in[0]), (const int32_t *)x->in[1].data, vec_of(&x->out[0]), rows, w,
            half_width(c, x, w));
    return 0;
}

extern const struct kernel recurrent_kernels[];
const struct kernel recurrent_kernels[] = {{"lstm", 0, 0, false, NULL, forward_run<4>}, {"gru", 0, 0, false, NULL, forward_run<3>},
    {"lstm_grad", 0, 0, false, NULL, back_run<4>}, {"gru_grad", 0, 0, false, NULL, back_run<3>}, {"last_state", 1, 1, false, NULL, last_run},
    {"last_state_grad", 1, 1, false, NULL, last_back_run}, {}};
