/* The dynamic 8-bit linear layer, as engine/ops/linear_i8.c defines it. Rows of inputs get the CPU's bytes 0..255, shifted by 128 to the signed bytes that
 * products take; the zero point is shifted with them, so the sums are the CPU's integers. Two ways lead to the product, and the faster is taken by measuring:
 * few rows go over the weights as they lie (panels of engine/ops/i8.h) with products of four bytes, and bias and activation follow in the registers; many rows
 * go through cuBLASLt on weights in plain rows, its sums pass through the cache to a second kernel. Sums of floats are not contracted: without gelu the
 * results are the CPU's bits. */
#include "engine/cuda/cuda.h"

#include <math.h>

#include "engine/ops/i8.h"

enum { ACT_RELU = 1, ACT_GELU = 2, R = 8 /* rows of a warp */, WARPS = 4, FEW = 16 /* rows that take the first way where nothing is measured */ };
static const int64_t AT_ONCE = (WORKSPACE - PRODUCT_SPACE) / 8; /* bytes of sums, of inputs: what is read back at once stays in the cache */
enum route { ROUTE_LIBRARY, ROUTE_PANELS };

struct row8 {
    float scale;
    int32_t zero;
};

/* ---- inputs: a warp a row; bytes behind the k are 0 */
template <class N> __global__ void rows8(const typename N::word *x, int8_t *q, row8 *row, int64_t m, int64_t k, int64_t pitch) {
    int lane = (int)threadIdx.x % 32;
    int64_t step = (int64_t)gridDim.x * (blockDim.x / 32);
    for (int64_t r = (int64_t)blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32; r < m; r += step) {
        const typename N::word *at = x + r * k;
        float lo = 0, hi = 0;
        int bad = 0;
        for (int64_t i = lane * 4; i < k; i += 128) {
            four<N> w = {};
            if (k % 4 == 0) w = *(const four<N> *)(at + i);
            else
                for (int j = 0; j < 4 && i + j < k; j++) w.v[j] = at[i + j];
            for (int j = 0; j < 4; j++) {
                float v = N::up(w.v[j]);
                lo = v < lo ? v : lo, hi = v > hi ? v : hi;
                bad |= !(fabsf(v) < INFINITY);
            }
        }
        for (int d = 16; d > 0; d >>= 1) {
            float a = __shfl_xor_sync(0xffffffffu, lo, d), b = __shfl_xor_sync(0xffffffffu, hi, d);
            lo = a < lo ? a : lo, hi = b > hi ? b : hi;
            bad |= __shfl_xor_sync(0xffffffffu, bad, d);
        }
        /* engine/ops/quant8.h */
        float range = __fsub_rn(hi, lo), inv = range > 0 ? 255.0f / range : 0.0f, scale = range / 255.0f;
        if (bad || !(range < INFINITY) || !(inv < INFINITY)) {
            scale = !bad && range < 1 ? 0.0f : NAN;
            inv = 0;
        }
        float zero = (float)(int32_t)__fadd_rn(__fmul_rn(-lo, inv), 0.5f), shift = __fadd_rn(zero, 0.5f);
        if (lane == 0) row[r] = row8{scale, (int32_t)zero - 128};
        for (int64_t i = lane * 4; i < pitch; i += 128) {
            uint32_t bytes = 0;
            for (int j = 0; j < 4; j++) {
                if (i + j >= k) continue;
                float v = __fadd_rn(__fmul_rn(N::up(at[i + j]), inv), shift);
                v = v > 255.0f ? 255.0f : v;
                v = v > 0 ? v : 0.0f;
                bytes |= ((uint32_t)((int32_t)v - 128) & 255u) << (8 * j);
            }
            *(uint32_t *)(q + r * pitch + i) = bytes;
        }
    }
}

/* ---- behind the sums */
struct behind {
    const float *scale, *bias;
    const int32_t *sum;
    int act;
};
static __device__ __forceinline__ float finished(int32_t s, row8 r, const behind &b, int64_t j) {
    float v = __fmul_rn((float)(s - r.zero * b.sum[j]), __fmul_rn(r.scale, b.scale[j]));
    if (b.bias) v = __fadd_rn(v, b.bias[j]);
    if (b.act == ACT_RELU) v = v < 0 ? 0.0f : v;
    if (b.act == ACT_GELU) v = 0.5f * v * (1.0f + erff(v * 0.70710678118654752440f));
    return v;
}
template <class N> __global__ void finish8(const int32_t *s, const row8 *row, behind b, typename N::word *y, int64_t m, int64_t n, int64_t pitch) {
    int64_t j = ((int64_t)blockIdx.x * blockDim.x + threadIdx.x) * 4;
    for (int64_t r = blockIdx.y; r < m && j < n; r += gridDim.y) {
        int4 v = *(const int4 *)(s + r * pitch + j);
        int32_t sum[4] = {v.x, v.y, v.z, v.w};
        four<N> o;
        for (int q = 0; q < 4; q++) o.v[q] = N::down(j + q < n ? finished(sum[q], row[r], b, j + q) : 0.0f);
        if (n % 4 == 0) *(four<N> *)(y + r * n + j) = o;
        else
            for (int q = 0; q < 4 && j + q < n; q++) y[r * n + j + q] = o.v[q];
    }
}

/* ---- products over panels: a lane an output, a warp R rows. split: the warps of a block share the inputs instead of the rows */
template <bool split>
__global__ void panels8(const int8_t *q, const row8 *row, const int32_t *w, behind b, vec y, int64_t m, int64_t n, int64_t k4, int64_t pitch) {
    __shared__ int32_t part[split ? WARPS : 1][R][I8_PANEL];
    int lane = (int)threadIdx.x % 32, warp = (int)threadIdx.x / 32;
    int64_t j = (int64_t)blockIdx.x * I8_PANEL + lane, first = split ? (int64_t)blockIdx.y * R : ((int64_t)blockIdx.y * WARPS + warp) * R;
    const int32_t *panel = w + (int64_t)blockIdx.x * I8_PANEL * k4 + lane;
    const int4 *a[R];
    int32_t s[R];
    for (int r = 0; r < R; r++) {
        int64_t at = first + r < m ? first + r : m - 1; /* what is too much is thrown away */
        a[r] = (const int4 *)(q + at * pitch);
        s[r] = 0;
    }
    for (int64_t p = split ? 4 * warp : 0; p < k4; p += split ? 4 * WARPS : 4) {
        int32_t w0 = panel[p * I8_PANEL], w1 = p + 1 < k4 ? panel[(p + 1) * I8_PANEL] : 0, w2 = p + 2 < k4 ? panel[(p + 2) * I8_PANEL] : 0,
                w3 = p + 3 < k4 ? panel[(p + 3) * I8_PANEL] : 0;
        for (int r = 0; r < R; r++) {
            int4 v = a[r][p / 4];
            s[r] = __dp4a(v.x, w0, s[r]);
            s[r] = __dp4a(v.y, w1, s[r]);
            s[r] = __dp4a(v.z, w2, s[r]);
            s[r] = __dp4a(v.w, w3, s[r]);
        }
    }
    if (split) {
        for (int r = 0; r < R; r++) part[warp][r][lane] = s[r];
        __syncthreads();
        if (warp > 0) return;
        for (int r = 0; r < R; r++)
            for (int o = 1; o < WARPS; o++) s[r] += part[o][r][lane];
    }
    for (int r = 0; r < R; r++)
        if (first + r < m && j < n) y.put((first + r) * n + j, finished(s[r], row[first + r], b, j));
}

/* ---- weights in plain rows, both extents filled up to multiples of 16 with zeros */
static int64_t up16(int64_t v) { return (v + 15) / 16 * 16; }
__global__ void plain_rows(const int32_t *w, int32_t *y, int64_t n, int64_t k4, int64_t n16, int64_t words) {
    EACH(i, n16 * words) {
        int64_t o = i / words, p = i % words;
        y[i] = o < n && p < k4 ? w[(o / I8_PANEL * k4 + p) * I8_PANEL + o % I8_PANEL] : 0;
    }
}
static void make_plain(struct cuda *c, const void *from, void *to, int64_t n, int64_t k) {
    int64_t words = up16(k) / 4;
    LAUNCH(plain_rows, grid_for(c, up16(n) * words), 256, c->stream, (const int32_t *)from, (int32_t *)to, n, i8_in(k) / 4, up16(n), words);
}

/* ---- a run of rows */
struct job {
    vec x, y;
    const void *w, *rows; /* weights in panels, in plain rows */
    behind b;
    int64_t m, n, k;
    int8_t *q; /* in the workspace, as what follows */
    row8 *row;
    int32_t *sum;
};
static struct product_shape shape_of(const job *j) { return product_shape{up16(j->n), j->m, up16(j->k), true, false, DT_I8, DT_I32, BIAS_NONE, 'n', 0}; }
template <class N> static void to_bytes(struct cuda *c, const job j) {
    LAUNCH((rows8<N>), grid_for(c, j.m * 32), 256, c->stream, (const typename N::word *)j.x.p, j.q, j.row, j.m, j.k, up16(j.k));
}
template <class N> static void finish_sums(struct cuda *c, const job j) {
    LAUNCH((finish8<N>), grid_of_rows(c, j.m, j.n), 128, c->stream, j.sum, j.row, j.b, (typename N::word *)j.y.p, j.m, j.n, up16(j.n));
}
static int go(struct cuda *c, const job j, enum route route, struct err *e) {
    BY_TYPE(j.x.dtype, to_bytes, c, j);
    if (route == ROUTE_PANELS) {
        bool split = j.m <= R;
        dim3 blocks((unsigned)(i8_out(j.n) / I8_PANEL), (unsigned)(split ? 1 : (j.m + R * WARPS - 1) / (R * WARPS)));
        const int32_t *w = (const int32_t *)j.w;
        int64_t k4 = i8_in(j.k) / 4, pitch = up16(j.k);
        if (split) LAUNCH((panels8<true>), blocks, 32 * WARPS, c->stream, j.q, j.row, w, j.b, j.y, j.m, j.n, k4, pitch);
        else LAUNCH((panels8<false>), blocks, 32 * WARPS, c->stream, j.q, j.row, w, j.b, j.y, j.m, j.n, k4, pitch);
        return 0;
    }
    struct product_shape s = shape_of(&j);
    if (product(c, &s, j.rows, j.q, NULL, j.sum, e) < 0) return -1;
    BY_TYPE(j.y.dtype, finish_sums, c, j);
    return 0;
}

/* ---- which way */
static int go_to(struct cuda *c, void *ctx, int route, void *y, struct err *e) {
    job j = *(const job *)ctx;
    j.y.p = y;
    return go(c, j, (enum route)route, e);
}
static const struct two_ways ways8 = {"8-bit layer", {"library", "panels"}, go_to};
static bool library_can(struct cuda *c, const job *j) {
    struct product_shape s = shape_of(j);
    if (!c->i8_known) c->i8_library = product_can(c, &s), c->i8_known = true;
    return c->i8_library;
}
static enum route route_of(struct cuda *c, job *j) {
    if (!library_can(c, j)) return ROUTE_PANELS;
    return (enum route)way_of(c, &ways8, j->n, j->k, j->m, j->m <= FEW ? ROUTE_PANELS : ROUTE_LIBRARY, j, (size_t)(j->m * j->n) * 4);
}

static int linear_i8_run(struct cuda *c, const struct exec *x, const uint64_t *, struct err *e) {
    int64_t m = rows_of(&x->in[0]), k = last_of(&x->in[0]), n = x->in[1].n[0], wide = up16(n) * 4 > up16(k) ? up16(n) * 4 : up16(k);
    int64_t rows = AT_ONCE / wide; /* at a time */
    const char *w = (const char *)x->in[1].data;
    size_t used = 0, in_bytes = x->in[0].dtype == DT_F32 ? 4 : 2, out_bytes = x->out[0].dtype == DT_F32 ? 4 : 2;
    if (m == 0 || n == 0) return 0;
    rows = rows >= 128 ? rows / 128 * 128 : rows > 1 ? rows : 1;
    if (rows > m) rows = m;
    job j = {vec_of(&x->in[0]), vec_of(&x->out[0]), w, NULL, {}, rows, n, k, NULL, NULL, NULL};
    j.b = behind{(const float *)x->in[2].data, has(x, 3) ? (const float *)x->in[3].data : NULL, (const int32_t *)(w + i8_out(n) * i8_in(k)),
        (int)c->host->number(x->node, "act")};
    j.q = (int8_t *)operand_room(c, (rows * up16(k) + 3) / 4, &used, e);
    j.row = j.q ? (row8 *)operand_room(c, rows * 2, &used, e) : NULL;
    j.sum = j.row ? (int32_t *)operand_room(c, rows * up16(n), &used, e) : NULL;
    if (!j.sum) return -1;
    j.rows = held(c, w, make_plain, (size_t)(up16(n) * up16(k)), n, k);
    if (!j.rows) {
        void *to = operand_room(c, up16(n) * up16(k) / 4, &used, e);
        if (!to) return -1;
        make_plain(c, w, to, n, k);
        j.rows = to;
    }
    for (int64_t from = 0; from < m; from += rows) {
        j.m = m - from < rows ? m - from : rows;
        j.x.p = (char *)x->in[0].data + (size_t)(from * k) * in_bytes;
        j.y.p = (char *)x->out[0].data + (size_t)(from * n) * out_bytes;
        struct product_shape s = shape_of(&j);
        if (c->preparing) { /* choices alone: of the library's algorithms, then the way */
            if (library_can(c, &j) && product(c, &s, j.rows, j.q, NULL, j.sum, e) < 0) return -1;
            route_of(c, &j);
        } else if (go(c, j, route_of(c, &j), e) < 0) return -1;
    }
    return 0;
}

extern const struct kernel linear_i8_kernels[];
const struct kernel linear_i8_kernels[] = {{"linear_i8", 1, 1, false, NULL, linear_i8_run, true}, {}};
