/* Products by cuBLASLt: linear (with bias, GELU behind it), its gradients, colsum. Row-major matrices are the transposes of column-major ones, so y = x w^T
 * + b is y^T (out, m) = w (out, in) x^T. Which algorithm serves a shape is lt.cu's business. Operands are rounded to 16 bits where the node says so (mixed
 * precision); sums are always in float. */
#include "engine/cuda/cuda.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- operands in another type */
__global__ void converted(vec x, vec y, int64_t n) { EACH(i, n) y.put(i, x.get(i)); }
void convert(struct cuda *c, vec from, vec to, int64_t n) {
    if (n > 0) LAUNCH(converted, grid_for(c, n), 256, c->stream, from, to, n);
}
void *operand_room(struct cuda *c, int64_t n, size_t *used, struct err *e) {
    size_t bytes = ((size_t)n * 4 + 255) / 256 * 256;
    if ((size_t)PRODUCT_SPACE + *used + bytes > (size_t)WORKSPACE) {
        c->host->fail(e, "an operand of %lld numbers is too large for the workspace", (long long)n);
        return NULL;
    }
    void *at = c->workspace + PRODUCT_SPACE + *used;
    *used += bytes;
    return at;
}
const void *operand(struct cuda *c, const struct view *v, int type, size_t *used, struct err *e) {
    if ((int)v->dtype == type) return v->data;
    vec y = {operand_room(c, v->len, used, e), type};
    if (y.p) convert(c, vec_of(v), y, v->len);
    return y.p;
}
static void make_bf16(struct cuda *c, const void *from, void *to, int64_t n, int64_t k) {
    convert(c, vec{(void *)(uintptr_t)from, DT_F32}, vec{to, DT_BF16}, n * k);
}
static void make_f16(struct cuda *c, const void *from, void *to, int64_t n, int64_t k) {
    convert(c, vec{(void *)(uintptr_t)from, DT_F32}, vec{to, DT_F16}, n * k);
}
const void *weight_as(struct cuda *c, const struct exec *x, int i, int type, size_t *used, struct err *e) {
    const struct view *v = &x->in[i];
    const void *kept = NULL;
    if (x->node->still && v->dtype == DT_F32 && (type == DT_BF16 || type == DT_F16))
        kept = held(c, v->data, type == DT_BF16 ? make_bf16 : make_f16, (size_t)v->len * 2, rows_of(v), last_of(v));
    return kept ? kept : operand(c, v, type, used, e);
}
/* float, unless the node rounds its operands, or one of them is kept in 16 bits */
static int operand_type(const struct exec *x) {
    if (x->node->half != DT_F32) return x->node->half;
    for (int i = 0; i < 2; i++)
        if (x->in[i].dtype != DT_F32) return x->in[i].dtype;
    return DT_F32;
}

/* ---- behind a product: bias and activation in one pass */
template <class N> __global__ void finish(typename N::word *y, const float *bias, int act, int64_t m, int64_t n) {
    int64_t j = ((int64_t)blockIdx.x * blockDim.x + threadIdx.x) * 4;
    for (int64_t r = blockIdx.y; r < m && j < n; r += gridDim.y) {
        typename N::word *at = y + r * n + j;
        four<N> o = {};
        if (n % 4 == 0) o = *(const four<N> *)at;
        else
            for (int q = 0; q < 4 && j + q < n; q++) o.v[q] = at[q];
        for (int q = 0; q < 4; q++) {
            float v = N::up(o.v[q]) + (bias && j + q < n ? bias[j + q] : 0.0f);
            if (act == 1) v = 0.5f * v * (1.0f + erff(v * 0.70710678118654752440f));
            if (act == 2) v = 0.5f * v * (1.0f + tanhf(0.79788456080286535588f * (v + 0.044715f * v * v * v)));
            o.v[q] = N::down(v);
        }
        if (n % 4 == 0) *(four<N> *)at = o;
        else
            for (int q = 0; q < 4 && j + q < n; q++) at[q] = o.v[q];
    }
}
template <class N> static void finish_rows(struct cuda *c, void *y, const float *bias, int act, int64_t m, int64_t n) {
    LAUNCH((finish<N>), grid_of_rows(c, m, n), 128, c->stream, (typename N::word *)y, bias, act, m, n);
}
/* Which bias the library adds by itself to results of this type: of float, else of their own type, else none. Asked once. */
int bias_of(struct cuda *c, int type, int out) {
    uint8_t *known = &c->bias[type == TYPE_E4M3 ? 3 : out == DT_BF16 ? 1 : out == DT_F16 ? 2 : 0];
    static const int order[] = {BIAS_F32, BIAS_SAME};
    if (type == TYPE_E4M3 && out != DT_BF16) return BIAS_NONE;
    for (int i = 0; *known == 0 && i < 2; i++) {
        struct product_shape s = {64, 64, 64, true, false, type, out, order[i], 0, 0};
        if (product_can(c, &s)) *known = (uint8_t)(1 + order[i]);
    }
    if (*known == 0) *known = 1 + BIAS_NONE;
    return *known - 1;
}
/* The product with operands as their type says, to y; what bias and activation the library does not add comes behind it. */
static int product_linear(struct cuda *c, const struct exec *x, bool fp8, void *y, struct err *e) {
    int64_t m = rows_of(&x->in[0]), k = last_of(&x->in[0]), n = x->in[1].n[0];
    const float *bias = has(x, 2) ? (const float *)x->in[2].data : NULL;
    int act = (int)c->host->number(x->node, "act"), type = operand_type(x);
    bool added = false;
    if (fp8) {
        if (fp8_linear(c, x, y, &added, e) < 0) return -1;
    } else {
        size_t used = 0;
        struct product_shape s = {n, m, k, true, false, type, x->out[0].dtype, BIAS_NONE, 'n', 0};
        const void *a = weight_as(c, x, 1, type, &used, e), *b = a ? operand(c, &x->in[0], type, &used, e) : NULL;
        const void *with = NULL;
        if (b && bias && !act) {
            s.bias = bias_of(c, type, s.out);
            if (s.bias == BIAS_F32) with = bias;
            if (s.bias == BIAS_SAME && !(with = weight_as(c, x, 2, s.out, &used, e))) return -1;
        }
        if (!b || product(c, &s, a, b, with, y, e) < 0) return -1;
        added = with != NULL;
    }
    if ((act || (bias && !added)) && !c->preparing) BY_TYPE(x->out[0].dtype, finish_rows, c, y, bias, act, m, n);
    return 0;
}
static int linear_to(struct cuda *c, void *ctx, int which, void *y, struct err *e) { return product_linear(c, (const struct exec *)ctx, which == 1, y, e); }
static const struct two_ways in_fp8 = {"linear layer in bf16 or fp8", {"bf16", "fp8"}, linear_to};
static int linear_run(struct cuda *c, const struct exec *x, const uint64_t *, struct err *e) {
    int64_t m = rows_of(&x->in[0]), k = last_of(&x->in[0]), n = x->in[1].n[0];
    void *y = x->out[0].data;
    if (k == 0 || m == 0) {
        if (m * n > 0 && !c->preparing) {
            if (cuda_fail(c, cudaMemsetAsync(y, 0, (size_t)(m * n) * (x->out[0].dtype == DT_F32 ? 4 : 2), c->stream), "clearing", e) < 0) return -1;
            const float *bias = has(x, 2) ? (const float *)x->in[2].data : NULL;
            BY_TYPE(x->out[0].dtype, finish_rows, c, y, bias, (int)c->host->number(x->node, "act"), m, n);
        }
        return 0;
    }
    if (!fp8_can(c, x)) return product_linear(c, x, false, y, e);
    if (c->preparing) { /* of the library's algorithms first; that it refuses this shape in fp8 is no mistake */
        if (product_linear(c, x, false, y, e) < 0) return -1;
        product_linear(c, x, true, y, NULL);
    }
    int which = way_of(c, &in_fp8, n, k, m, 1, (void *)(uintptr_t)x, (size_t)(m * n) * 4);
    if (c->preparing || (which == 1 && product_linear(c, x, true, y, NULL) == 0)) return 0;
    return product_linear(c, x, false, y, e);
}
/* dx (m, in) = dy (m, out) w (out, in) */
static int dx_run(struct cuda *c, const struct exec *x, const uint64_t *, struct err *e) {
    int64_t m = rows_of(&x->in[0]), n = x->in[1].n[0], k = x->in[1].n[1];
    int type = operand_type(x);
    size_t used = 0;
    struct product_shape s = {k, m, n, false, false, type, x->out[0].dtype, BIAS_NONE, 'n', 0};
    if (m == 0) return 0;
    const void *a = operand(c, &x->in[1], type, &used, e), *b = a ? operand(c, &x->in[0], type, &used, e) : NULL;
    return b ? product(c, &s, a, b, NULL, x->out[0].data, e) : -1;
}
/* dw (out, in) = dy (m, out)^T x (m, in) */
static int dw_run(struct cuda *c, const struct exec *x, const uint64_t *, struct err *e) {
    int64_t m = rows_of(&x->in[0]), n = last_of(&x->in[0]), k = last_of(&x->in[1]);
    int type = operand_type(x);
    size_t used = 0;
    struct product_shape s = {k, n, m, false, true, type, x->out[0].dtype, BIAS_NONE, 'k', 0};
    if (m == 0 && c->preparing) return 0;
    if (m == 0) return cuda_fail(c, cudaMemsetAsync(x->out[0].data, 0, (size_t)(n * k) * 4, c->stream), "clearing", e);
    const void *a = operand(c, &x->in[1], type, &used, e), *b = a ? operand(c, &x->in[0], type, &used, e) : NULL;
    return b ? product(c, &s, a, b, NULL, x->out[0].data, e) : -1;
}

/* ---- sum over all rows: partial sums of groups of rows, then in their order */
__global__ void column_part(vec x, float *part, int64_t rows, int64_t n, int64_t per) {
    int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x, from = (int64_t)blockIdx.y * per, to = from + per < rows ? from + per : rows;
    if (i >= n) return;
    float s = 0;
    for (int64_t r = from; r < to; r++) s += x.get(r * n + i);
    part[(int64_t)blockIdx.y * n + i] = s;
}
__global__ void column_sum(const float *part, int groups, vec y, int64_t n) {
    EACH(i, n) {
        float s = 0;
        for (int q = 0; q < groups; q++) s += part[(int64_t)q * n + i];
        y.put(i, s);
    }
}
static int colsum_run(struct cuda *c, const struct exec *x, const uint64_t *, struct err *e) {
    int64_t n = last_of(&x->in[0]), rows = rows_of(&x->in[0]), per = rows > 64 * 64 ? (rows + 63) / 64 : 64, groups = rows > 0 ? (rows + per - 1) / per : 0;
    float *part = (float *)c->workspace;
    if (groups * n * (int64_t)sizeof(float) > WORKSPACE) return c->host->fail(e, "rows of %lld are too wide for the workspace", (long long)n);
    if (groups > 0 && n > 0) LAUNCH(column_part, dim3((unsigned)((n + 127) / 128), (unsigned)groups), 128, c->stream, vec_of(&x->in[0]), part, rows, n, per);
    if (n > 0) LAUNCH(column_sum, grid_for(c, n), 256, c->stream, part, (int)groups, vec_of(&x->out[0]), n);
    return 0;
}

extern const struct kernel product_kernels[];
const struct kernel product_kernels[] = {{"linear", 3, 1, true, NULL, linear_run, true, true}, {"linear_dx", 3, 1, true, NULL, dx_run, true},
    {"linear_dw", 3, 0, true, NULL, dw_run, true}, {"colsum", 1, 0, false, NULL, colsum_run}, {}};
