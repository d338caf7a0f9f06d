/* Linear layers of inference with products in fp8 (E4M3: 4 bits of exponent, 3 of fraction, up to 448; Micikevicius et al. 2022): each operand is scaled by
 * one number so that its largest finite magnitude becomes 448, weights once, inputs each time, without a stop of the host. What is not finite becomes NaN and
 * spoils its own row alone. Shapes whose extents are no multiples of 16 stay in 16 bits, as does whatever is measured to be faster so (product.cu). */
#include "engine/cuda/cuda.h"

#include <cuda_fp8.h>
#include <math.h>
#include <stdlib.h>

#define LARGEST 448.0f

/* ---- a tensor to fp8: its largest magnitude, then its bytes and its scale. Magnitudes compare as their bits. */
template <class N> __global__ void largest8(const typename N::word *x, int64_t fours, uint32_t *top) {
    float v = 0;
    EACH(i, fours) {
        four<N> w = ((const four<N> *)x)[i];
        for (int q = 0; q < 4; q++) {
            float a = fabsf(N::up(w.v[q]));
            v = a > v && a < INFINITY ? a : v;
        }
    }
    v = block_all<larger>(v);
    uint32_t bits;
    memcpy(&bits, &v, 4);
    if (threadIdx.x == 0) atomicMax(top, bits);
}
template <class N> __global__ void bytes8(const typename N::word *x, uint32_t *q, int64_t fours, const uint32_t *top, float *scale) {
    float most;
    memcpy(&most, top, 4);
    float inv = most > 0 && LARGEST / most < INFINITY ? LARGEST / most : 0.0f; /* magnitudes too small for an inverse are zeros */
    EACH(i, fours) {
        four<N> w = ((const four<N> *)x)[i];
        uint32_t bytes = 0;
        for (int j = 0; j < 4; j++) {
            float v = N::up(w.v[j]);
            uint32_t b = fabsf(v) < INFINITY ? (uint32_t)__nv_cvt_float_to_fp8(v * inv, __NV_SATFINITE, __NV_E4M3) : 0x7fu;
            bytes |= b << (8 * j);
        }
        q[i] = bytes;
    }
    if (blockIdx.x == 0 && threadIdx.x == 0) *scale = inv > 0 ? most / LARGEST : 0.0f;
}
/* q: n bytes, n a multiple of 4; scale: two words */
template <class N> static void bytes_of(struct cuda *c, const void *from, uint8_t *to, int64_t n, float *scale) {
    uint32_t *top = (uint32_t *)scale + 1, *q = (uint32_t *)to;
    const typename N::word *x = (const typename N::word *)from;
    cudaMemsetAsync(top, 0, sizeof *top, c->stream); /* what fails shows at the launches */
    LAUNCH((largest8<N>), grid_for(c, n / 4), 256, c->stream, x, n / 4, top);
    LAUNCH((bytes8<N>), grid_for(c, n / 4), 256, c->stream, x, q, n / 4, top, scale);
}
static void to_fp8(struct cuda *c, vec x, uint8_t *q, int64_t n, float *scale) { BY_TYPE(x.dtype, bytes_of, c, x.p, q, n, scale); }
/* Bytes of a weight, its scale behind them. */
static void make_fp8(struct cuda *c, const void *from, void *to, int64_t n, int64_t k) {
    to_fp8(c, vec{(void *)(uintptr_t)from, DT_F32}, (uint8_t *)to, n * k, (float *)((char *)to + n * k));
}

bool fp8_can(struct cuda *c, const struct exec *x) {
    int64_t k = last_of(&x->in[0]), n = x->in[1].n[0];
    if (!x->node->fp8 || k == 0 || k % 16 || n % 16 || x->in[1].dtype != DT_F32 || x->in[0].len > (WORKSPACE - PRODUCT_SPACE) * 3 / 4) return false;
    if (c->fp8_known == 0) {
        struct product_shape s = {64, 64, 64, true, false, TYPE_E4M3, DT_BF16, BIAS_NONE, 0, 0};
        c->fp8_known = atof(c->info.capability) > 8.85 && product_can(c, &s) ? 1 : -1;
    }
    return c->fp8_known > 0;
}
int fp8_linear(struct cuda *c, const struct exec *x, void *y, bool *added, struct err *e) {
    int64_t m = rows_of(&x->in[0]), k = last_of(&x->in[0]), n = x->in[1].n[0];
    size_t used = 0;
    struct product_shape s = {n, m, k, true, false, TYPE_E4M3, x->out[0].dtype, BIAS_NONE, 'n', 0};
    uint8_t *q = (uint8_t *)operand_room(c, m * k / 4, &used, e);
    float *scale = q ? (float *)operand_room(c, 2, &used, e) : NULL;
    const void *with = NULL;
    if (!scale) return -1;
    const char *w = (const char *)held(c, x->in[1].data, make_fp8, (size_t)(n * k) + 16, n, k);
    if (!w) {
        void *to = operand_room(c, n * k / 4 + 4, &used, e);
        if (!to) return -1;
        make_fp8(c, x->in[1].data, to, n, k);
        w = (const char *)to;
    }
    *added = false;
    if (has(x, 2) && c->host->number(x->node, "act") == 0) {
        s.bias = bias_of(c, TYPE_E4M3, s.out);
        if (s.bias == BIAS_F32) with = x->in[2].data;
        if (s.bias == BIAS_SAME && !(with = weight_as(c, x, 2, s.out, &used, e))) return -1;
        *added = s.bias != BIAS_NONE;
    }
    if (!c->preparing) to_fp8(c, vec_of(&x->in[0]), q, m * k, scale);
    return product_scaled(c, &s, w, (const float *)(w + n * k), q, scale, with, y, e);
}
