/* Attention on tensor cores: operands rounded to bf16 or f16, products summed in float, softmax in float and carried along over blocks of keys
 * (FlashAttention-2, Dao 2023), no T x T matrix, no padding, no atomic sums. Texts, masks and dropout as in attention.cu. A block of threads owns ROWS tokens
 * of one head, a warp 16 of them; the other side passes by in tiles of BK tokens. Gradients in two passes, one that owns queries, one that owns keys, so that
 * every sum has one order. Heads of up to 128 values, padded with zeros to D = 32, 64 or 128. All shared memory is static, below 48 KiB. */
#include "engine/cuda/attention.cuh"

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <math.h>
#include <mma.h>
#include <stdlib.h>

using namespace nvcuda;

static const int BK = 32, SP = BK + 4; /* tokens of a tile; floats between rows of a warp's scores */
template <class N> struct word_of;
template <> struct word_of<bf16> {
    typedef __nv_bfloat16 type;
    enum { dtype = DT_BF16 };
};
template <> struct word_of<f16> {
    typedef __half type;
    enum { dtype = DT_F16 };
};
template <int D> struct dims {
    static constexpr int WARPS = D > 64 ? 2 : 4, ROWS = 16 * WARPS, PITCH = D + 8, STEPS = D / 16; /* PITCH: 16-bit words between rows in shared memory */
};
typedef wmma::fragment<wmma::accumulator, 16, 16, 16, float> sums;

/* Rows from .. from + rows of one head into shared memory: part 0, 1, 2 of qkv, or a (T, n) tensor (part -1); zeros behind `end` and behind the head's
 * values. */
template <class N, int D> static __device__ void tile(const heads &a, const vec &x, int part, int64_t h, int64_t from, int64_t end, int rows, uint16_t *buf) {
    int64_t width = part < 0 ? a.n : 3 * a.n, base = (part < 0 ? 0 : part * a.n) + h * a.d;
    if (x.dtype == word_of<N>::dtype && a.d % 8 == 0) { /* 16 bytes at a time */
        for (int i = (int)threadIdx.x; i < rows * (D / 8); i += (int)blockDim.x) {
            int r = i / (D / 8), j = i % (D / 8) * 8;
            int64_t t = from + r;
            uint4 v = {0, 0, 0, 0};
            if (t < end && j < a.d) v = *(const uint4 *)((const uint16_t *)x.p + t * width + base + j);
            *(uint4 *)(buf + r * dims<D>::PITCH + j) = v;
        }
        return;
    }
    for (int i = (int)threadIdx.x; i < rows * D; i += (int)blockDim.x) {
        int r = i / D, j = i % D;
        int64_t t = from + r;
        buf[r * dims<D>::PITCH + j] = t < end && j < a.d ? N::down(x.get(t * width + base + j)) : (uint16_t)0;
    }
}

/* s (16, BK) = a (16, D) b (BK, D)^T, by a warp */
template <class N, int D> static __device__ void scores(const uint16_t *a, const uint16_t *b, float *s) {
    typedef typename word_of<N>::type T;
    const int P = dims<D>::PITCH;
    sums acc[BK / 16];
    for (int c = 0; c < BK / 16; c++) wmma::fill_fragment(acc[c], 0.0f);
    for (int k = 0; k < D; k += 16) {
        wmma::fragment<wmma::matrix_a, 16, 16, 16, T, wmma::row_major> fa;
        wmma::load_matrix_sync(fa, (const T *)(a + k), P);
        for (int c = 0; c < BK / 16; c++) {
            wmma::fragment<wmma::matrix_b, 16, 16, 16, T, wmma::col_major> fb;
            wmma::load_matrix_sync(fb, (const T *)(b + c * 16 * P + k), P);
            wmma::mma_sync(acc[c], fa, fb, acc[c]);
        }
    }
    for (int c = 0; c < BK / 16; c++) wmma::store_matrix_sync(s + c * 16, acc[c], SP, wmma::mem_row_major);
}
/* acc (16, D) += p (16, BK) b (BK, D); p: 16-bit words, 2 SP between rows */
template <class N, int D> static __device__ void add(sums *acc, const uint16_t *p, const uint16_t *b) {
    typedef typename word_of<N>::type T;
    const int P = dims<D>::PITCH;
    for (int k = 0; k < BK; k += 16) {
        wmma::fragment<wmma::matrix_a, 16, 16, 16, T, wmma::row_major> fp;
        wmma::load_matrix_sync(fp, (const T *)(p + k), 2 * SP);
        for (int c = 0; c < dims<D>::STEPS; c++) {
            wmma::fragment<wmma::matrix_b, 16, 16, 16, T, wmma::row_major> fb;
            wmma::load_matrix_sync(fb, (const T *)(b + k * P + c * 16), P);
            wmma::mma_sync(acc[c], fp, fb, acc[c]);
        }
    }
}
template <int D> static __device__ void clear(sums *acc) {
    for (int c = 0; c < dims<D>::STEPS; c++) wmma::fill_fragment(acc[c], 0.0f);
}
/* The warp's 16 rows go out, each times `by` of the lane's row; `to`: first value of the lane's row, below 0: none. */
template <int D> static __device__ void give(const heads &a, const sums *acc, float *s, float by, const vec &out, int64_t to) {
    int lane = (int)threadIdx.x % 32, r = lane / 2, j0 = lane % 2 * 8;
    for (int c = 0; c < dims<D>::STEPS; c++) {
        __syncwarp();
        wmma::store_matrix_sync(s, acc[c], SP, wmma::mem_row_major);
        __syncwarp();
        for (int j = j0; j < j0 + 8; j++)
            if (to >= 0 && c * 16 + j < a.d) out.put(to + c * 16 + j, s[r * SP + j] * by);
    }
}
/* The rows of a warp, the lane's own among them (two lanes a row, 16 columns each), and what they see together. */
struct place {
    int64_t t, from, to; /* t: the lane's token; tokens its warp has to look at */
    bool on;
    range text; /* of the lane's token */
};
static __device__ place place_of(const heads &a, int64_t first, int64_t last) {
    int lane = (int)threadIdx.x % 32;
    int64_t w = first + (int64_t)(threadIdx.x / 32) * 16, end = w + 16 < last ? w + 16 : last;
    place p = {w + lane / 2, 0, 0, w + lane / 2 < last, {0, 0}};
    if (w < last) p.from = text_range(a, w).from, p.to = text_range(a, end - 1).to;
    if (p.on) p.text = text_range(a, p.t);
    return p;
}

template <class N, int D> __global__ void __launch_bounds__(32 * dims<D>::WARPS) half_forward(heads a, vec out, float *lse) {
    typedef dims<D> S;
    __shared__ __align__(32) uint16_t q[S::ROWS * S::PITCH], k[BK * S::PITCH], v[BK * S::PITCH];
    __shared__ __align__(32) float all[S::WARPS * 16 * SP];
    __shared__ float scale[S::ROWS];
    int lane = (int)threadIdx.x % 32, warp = (int)threadIdx.x / 32, r = lane / 2, c0 = lane % 2 * 16;
    int64_t first = (int64_t)blockIdx.x * S::ROWS, h = blockIdx.y, last = first + S::ROWS < a.tokens ? first + S::ROWS : a.tokens;
    int64_t begin = text_range(a, first).from, end = a.causal ? last : text_range(a, last - 1).to;
    place me = place_of(a, first, last);
    float *s = all + warp * 16 * SP, m = -INFINITY, sum = 0;
    uint16_t *p = (uint16_t *)s;
    sums acc[S::STEPS], row;
    for (int i = lane; i < 256; i += 32) s[i / 16 * SP + i % 16] = (float)(i / 16);
    __syncwarp();
    wmma::load_matrix_sync(row, s, SP, wmma::mem_row_major); /* which row each of the lane's sums belongs to */
    clear<D>(acc);
    tile<N, D>(a, a.qkv, 0, h, first, last, S::ROWS, q);
    for (int64_t from = begin; from < end; from += BK) {
        __syncthreads();
        tile<N, D>(a, a.qkv, 1, h, from, end, BK, k);
        tile<N, D>(a, a.qkv, 2, h, from, end, BK, v);
        __syncthreads();
        if (from >= me.to || from + BK <= me.from) continue; /* the same for all lanes; the barriers are outside */
        scores<N, D>(q + warp * 16 * S::PITCH, k, s);
        __syncwarp();
        float x[16], top = m, more = 0;
        unsigned seen = 0;
        for (int j = 0; j < 16; j++) {
            bool on = me.on && sees(a, me.text, me.t, from + c0 + j);
            x[j] = s[r * SP + c0 + j] * a.scale;
            if (on) top = fmaxf(top, x[j]), seen |= 1u << j;
        }
        top = fmaxf(top, __shfl_xor_sync(0xffffffffu, top, 1));
        float back = m > -INFINITY ? __expf(m - top) : 0.0f;
        for (int j = 0; j < 16; j++) {
            x[j] = seen >> j & 1 ? __expf(x[j] - top) : 0.0f;
            more += x[j];
            if (a.p && (seen >> j & 1)) x[j] *= keep_of(a, me.t, h, from + c0 + j - me.text.from);
        }
        more += __shfl_xor_sync(0xffffffffu, more, 1);
        sum = sum * back + more;
        m = top;
        scale[warp * 16 + r] = back;
        __syncwarp(); /* all have read their scores */
        for (int j = 0; j < 16; j++) p[r * 2 * SP + c0 + j] = N::down(x[j]);
        __syncwarp();
        for (int i = 0; i < (int)sums::num_elements; i++) {
            float by = scale[warp * 16 + (int)row.x[i]];
            for (int c = 0; c < S::STEPS; c++) acc[c].x[i] *= by;
        }
        add<N, D>(acc, p, v);
    }
    __syncwarp();
    give<D>(a, acc, s, 1.0f / sum, out, me.on ? me.t * a.n + h * a.d : -1);
    if (me.on && lane % 2 == 0) lse[me.t * a.count + h] = m + logf(sum);
}

template <class N, int D>
__global__ void __launch_bounds__(32 * dims<D>::WARPS) half_grad_queries(heads a, const float *lse, const float *delta, vec dout, vec dqkv) {
    typedef dims<D> S;
    __shared__ __align__(32) uint16_t q[S::ROWS * S::PITCH], g[S::ROWS * S::PITCH], k[BK * S::PITCH], v[BK * S::PITCH];
    __shared__ __align__(32) float all[2 * S::WARPS * 16 * SP];
    int lane = (int)threadIdx.x % 32, warp = (int)threadIdx.x / 32, r = lane / 2, c0 = lane % 2 * 16;
    int64_t first = (int64_t)blockIdx.x * S::ROWS, h = blockIdx.y, last = first + S::ROWS < a.tokens ? first + S::ROWS : a.tokens;
    int64_t begin = text_range(a, first).from, end = a.causal ? last : text_range(a, last - 1).to;
    place me = place_of(a, first, last);
    float *s = all + warp * 32 * SP, *dp = s + 16 * SP, mine = me.on ? lse[me.t * a.count + h] : 0.0f, own = me.on ? delta[me.t * a.count + h] : 0.0f;
    uint16_t *p = (uint16_t *)s;
    sums acc[S::STEPS];
    clear<D>(acc);
    tile<N, D>(a, a.qkv, 0, h, first, last, S::ROWS, q);
    tile<N, D>(a, dout, -1, h, first, last, S::ROWS, g);
    for (int64_t from = begin; from < end; from += BK) {
        __syncthreads();
        tile<N, D>(a, a.qkv, 1, h, from, end, BK, k);
        tile<N, D>(a, a.qkv, 2, h, from, end, BK, v);
        __syncthreads();
        if (from >= me.to || from + BK <= me.from) continue;
        scores<N, D>(q + warp * 16 * S::PITCH, k, s);
        scores<N, D>(g + warp * 16 * S::PITCH, v, dp);
        __syncwarp();
        float x[16];
        for (int j = 0; j < 16; j++) {
            int64_t key = from + c0 + j;
            bool on = me.on && sees(a, me.text, me.t, key);
            float w = on ? __expf(s[r * SP + c0 + j] * a.scale - mine) : 0.0f, d = dp[r * SP + c0 + j];
            if (a.p && on) d *= keep_of(a, me.t, h, key - me.text.from);
            x[j] = on ? w * (d - own) * a.scale : 0.0f;
        }
        __syncwarp();
        for (int j = 0; j < 16; j++) p[r * 2 * SP + c0 + j] = N::down(x[j]);
        __syncwarp();
        add<N, D>(acc, p, k);
    }
    __syncwarp();
    give<D>(a, acc, s, 1.0f, dqkv, me.on ? me.t * 3 * a.n + h * a.d : -1);
}

template <class N, int D>
__global__ void __launch_bounds__(32 * dims<D>::WARPS) half_grad_keys(heads a, const float *lse, const float *delta, vec dout, vec dqkv) {
    typedef dims<D> S;
    __shared__ __align__(32) uint16_t k[S::ROWS * S::PITCH], v[S::ROWS * S::PITCH], q[BK * S::PITCH], g[BK * S::PITCH];
    __shared__ __align__(32) float all[2 * S::WARPS * 16 * SP];
    __shared__ float lse_of[BK], delta_of[BK];
    int lane = (int)threadIdx.x % 32, warp = (int)threadIdx.x / 32, r = lane / 2, c0 = lane % 2 * 16;
    int64_t first = (int64_t)blockIdx.x * S::ROWS, h = blockIdx.y, last = first + S::ROWS < a.tokens ? first + S::ROWS : a.tokens;
    int64_t begin = a.causal ? first : text_range(a, first).from, end = text_range(a, last - 1).to;
    place me = place_of(a, first, last);
    float *s = all + warp * 32 * SP, *dp = s + 16 * SP;
    uint16_t *p = (uint16_t *)s, *ds = (uint16_t *)dp;
    sums dk[S::STEPS], dv[S::STEPS];
    clear<D>(dk);
    clear<D>(dv);
    tile<N, D>(a, a.qkv, 1, h, first, last, S::ROWS, k);
    tile<N, D>(a, a.qkv, 2, h, first, last, S::ROWS, v);
    for (int64_t from = begin; from < end; from += BK) {
        __syncthreads();
        tile<N, D>(a, a.qkv, 0, h, from, end, BK, q);
        tile<N, D>(a, dout, -1, h, from, end, BK, g);
        for (int i = (int)threadIdx.x; i < BK; i += (int)blockDim.x) {
            lse_of[i] = from + i < end ? lse[(from + i) * a.count + h] : 0.0f;
            delta_of[i] = from + i < end ? delta[(from + i) * a.count + h] : 0.0f;
        }
        __syncthreads();
        if (from >= me.to || from + BK <= me.from) continue;
        scores<N, D>(k + warp * 16 * S::PITCH, q, s);
        scores<N, D>(v + warp * 16 * S::PITCH, g, dp);
        __syncwarp();
        float w[16], d[16];
        for (int j = 0; j < 16; j++) {
            int64_t query = from + c0 + j;
            bool on = me.on && query >= me.text.from && query < me.text.to && (!a.causal || me.t <= query);
            float keep = a.p && on ? keep_of(a, query, h, me.t - me.text.from) : 1.0f;
            w[j] = on ? __expf(s[r * SP + c0 + j] * a.scale - lse_of[c0 + j]) : 0.0f;
            d[j] = on ? w[j] * (dp[r * SP + c0 + j] * keep - delta_of[c0 + j]) * a.scale : 0.0f;
            w[j] *= keep;
        }
        __syncwarp();
        for (int j = 0; j < 16; j++) p[r * 2 * SP + c0 + j] = N::down(w[j]), ds[r * 2 * SP + c0 + j] = N::down(d[j]);
        __syncwarp();
        add<N, D>(dv, p, g);
        add<N, D>(dk, ds, q);
    }
    __syncwarp();
    int64_t to = me.on ? (me.t * 3 + 1) * a.n + h * a.d : -1;
    give<D>(a, dk, s, 1.0f, dqkv, to);
    give<D>(a, dv, s, 1.0f, dqkv, me.on ? to + a.n : -1);
}

bool attention_half_can(const struct cuda *c, const heads &a, int type) {
    int major = atoi(c->info.capability);
    return a.d <= 128 && (type == DT_BF16 ? major >= 8 : type == DT_F16 && major >= 7);
}
template <int D> static dim3 grid_of(const heads &a) { return dim3((unsigned)((a.tokens + dims<D>::ROWS - 1) / dims<D>::ROWS), (unsigned)a.count); }
template <class N, int D> static void run_forward(struct cuda *c, const heads &a, vec out, float *lse) {
    LAUNCH((half_forward<N, D>), grid_of<D>(a), 32 * dims<D>::WARPS, c->stream, a, out, lse);
}
template <class N, int D> static void run_grad(struct cuda *c, const heads &a, const float *lse, const float *delta, vec dout, vec dqkv) {
    LAUNCH((half_grad_queries<N, D>), grid_of<D>(a), 32 * dims<D>::WARPS, c->stream, a, lse, delta, dout, dqkv);
    LAUNCH((half_grad_keys<N, D>), grid_of<D>(a), 32 * dims<D>::WARPS, c->stream, a, lse, delta, dout, dqkv);
}
template <class N> static void by_width(struct cuda *c, const heads &a, vec out, float *lse) {
    if (a.d <= 32) run_forward<N, 32>(c, a, out, lse);
    else if (a.d <= 64) run_forward<N, 64>(c, a, out, lse);
    else run_forward<N, 128>(c, a, out, lse);
}
template <class N> static void grad_by_width(struct cuda *c, const heads &a, const float *lse, const float *delta, vec dout, vec dqkv) {
    if (a.d <= 32) run_grad<N, 32>(c, a, lse, delta, dout, dqkv);
    else if (a.d <= 64) run_grad<N, 64>(c, a, lse, delta, dout, dqkv);
    else run_grad<N, 128>(c, a, lse, delta, dout, dqkv);
}
void attention_half(struct cuda *c, const heads &a, int type, vec out, float *lse) {
    if (type == DT_BF16) by_width<bf16>(c, a, out, lse);
    else by_width<f16>(c, a, out, lse);
}
void attention_half_grad(struct cuda *c, const heads &a, int type, const float *lse, const float *delta, vec dout, vec dqkv) {
    if (type == DT_BF16) grad_by_width<bf16>(c, a, lse, delta, dout, dqkv);
    else grad_by_width<f16>(c, a, lse, delta, dout, dqkv);
}
