/* Products by cuBLASLt: linear (with bias, GELU behind it), its gradients, colsum. Row-major matrices are the transposes of column-major ones, so y = x w^T + b is
 * y^T (out, m) = w (out, in) x^T. Which of the library's algorithms serves a shape is timed once and kept by shape; a run that is being kept takes what is known.
 * Operands are rounded to 16 bits where the node says so (mixed precision); sums are always in float. */
#include "engine/cuda/cuda.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct shape_of_product {
    int64_t m, n, k; /* of the column-major product y (m, n) */
    bool ta, tb;
    int type, out; /* enum dtype of the operands, of the result */
    bool bias;
};
struct plan_of_product {
    struct plan_of_product *next;
    struct shape_of_product shape;
    cublasLtMatmulDesc_t desc;
    cublasLtMatrixLayout_t a, b, y;
    cublasLtMatmulAlgo_t algo;
    size_t workspace;
};
static cudaDataType_t type_of(int d) { return d == DT_BF16 ? CUDA_R_16BF : d == DT_F16 ? CUDA_R_16F : CUDA_R_32F; }

static void product_free(struct plan_of_product *p) {
    if (p->desc) cublasLtMatmulDescDestroy(p->desc);
    if (p->a) cublasLtMatrixLayoutDestroy(p->a);
    if (p->b) cublasLtMatrixLayoutDestroy(p->b);
    if (p->y) cublasLtMatrixLayoutDestroy(p->y);
    free(p);
}
void products_free(struct cuda *c) {
    for (struct plan_of_product *p = c->products, *next; p; p = next) {
        next = p->next;
        product_free(p);
    }
    c->products = NULL;
}

static int lt_fail(struct cuda *c, cublasStatus_t rc, const struct shape_of_product *s, struct err *e) {
    return c->host->fail(e, "cuBLASLt refuses the product (%lld, %lld) from %lld: status %d", (long long)s->n, (long long)s->m, (long long)s->k, (int)rc);
}

static bool same(const struct shape_of_product *a, const struct shape_of_product *b) {
    return a->m == b->m && a->n == b->n && a->k == b->k && a->ta == b->ta && a->tb == b->tb && a->type == b->type && a->out == b->out && a->bias == b->bias;
}

/* The description of a product and the library's first choice for it; made once for each shape. */
static struct plan_of_product *product_of(struct cuda *c, const struct shape_of_product *s, struct err *e) {
    for (struct plan_of_product *p = c->products; p; p = p->next)
        if (same(&p->shape, s)) return p;
    struct plan_of_product *p = (struct plan_of_product *)calloc(1, sizeof *p);
    cublasOperation_t ta = s->ta ? CUBLAS_OP_T : CUBLAS_OP_N, tb = s->tb ? CUBLAS_OP_T : CUBLAS_OP_N;
    cublasLtEpilogue_t epilogue = CUBLASLT_EPILOGUE_BIAS;
    cudaDataType_t bias = CUDA_R_32F;
    cublasLtMatmulPreference_t want = NULL;
    cublasLtMatmulHeuristicResult_t found[1];
    size_t space = (size_t)PRODUCT_SPACE;
    int n = 0;
    if (!p) return NULL;
    p->shape = *s;
    cublasStatus_t rc = cublasLtMatmulDescCreate(&p->desc, CUBLAS_COMPUTE_32F, CUDA_R_32F);
    if (rc == CUBLAS_STATUS_SUCCESS) rc = cublasLtMatmulDescSetAttribute(p->desc, CUBLASLT_MATMUL_DESC_TRANSA, &ta, sizeof ta);
    if (rc == CUBLAS_STATUS_SUCCESS) rc = cublasLtMatmulDescSetAttribute(p->desc, CUBLASLT_MATMUL_DESC_TRANSB, &tb, sizeof tb);
    if (rc == CUBLAS_STATUS_SUCCESS && s->bias) rc = cublasLtMatmulDescSetAttribute(p->desc, CUBLASLT_MATMUL_DESC_EPILOGUE, &epilogue, sizeof epilogue);
    if (rc == CUBLAS_STATUS_SUCCESS && s->bias) rc = cublasLtMatmulDescSetAttribute(p->desc, CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, &bias, sizeof bias);
    if (rc == CUBLAS_STATUS_SUCCESS)
        rc = cublasLtMatrixLayoutCreate(&p->a, type_of(s->type), (uint64_t)(s->ta ? s->k : s->m), (uint64_t)(s->ta ? s->m : s->k), s->ta ? s->k : s->m);
    if (rc == CUBLAS_STATUS_SUCCESS)
        rc = cublasLtMatrixLayoutCreate(&p->b, type_of(s->type), (uint64_t)(s->tb ? s->n : s->k), (uint64_t)(s->tb ? s->k : s->n), s->tb ? s->n : s->k);
    if (rc == CUBLAS_STATUS_SUCCESS) rc = cublasLtMatrixLayoutCreate(&p->y, type_of(s->out), (uint64_t)s->m, (uint64_t)s->n, s->m);
    if (rc == CUBLAS_STATUS_SUCCESS) rc = cublasLtMatmulPreferenceCreate(&want);
    if (rc == CUBLAS_STATUS_SUCCESS) rc = cublasLtMatmulPreferenceSetAttribute(want, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &space, sizeof space);
    if (rc == CUBLAS_STATUS_SUCCESS) rc = cublasLtMatmulAlgoGetHeuristic(c->lt, p->desc, p->a, p->b, p->y, p->y, want, 1, found, &n);
    if (want) cublasLtMatmulPreferenceDestroy(want);
    if (rc != CUBLAS_STATUS_SUCCESS || n < 1) {
        lt_fail(c, rc, s, e);
        product_free(p);
        return NULL;
    }
    p->algo = found[0].algo, p->workspace = found[0].workspaceSize;
    p->next = c->products;
    return c->products = p;
}

/* Column-major y (m, n) = op(a) op(b) [+ bias (m) on every column] */
static int product(struct cuda *c, const struct shape_of_product *s, const void *a, const void *b, const void *bias, void *y, struct err *e) {
    if (s->m == 0 || s->n == 0) return 0;
    const float one = 1, zero = 0;
    struct plan_of_product *p = product_of(c, s, e);
    if (!p) return -1;
    cublasStatus_t rc = s->bias ? cublasLtMatmulDescSetAttribute(p->desc, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &bias, sizeof bias) : CUBLAS_STATUS_SUCCESS;
    if (rc == CUBLAS_STATUS_SUCCESS)
        rc = cublasLtMatmul(c->lt, p->desc, &one, a, p->a, b, p->b, &zero, y, p->y, y, p->y, &p->algo, c->workspace, p->workspace, c->stream);
    return rc == CUBLAS_STATUS_SUCCESS ? 0 : lt_fail(c, rc, s, e);
}

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
/* float, unless the node rounds its operands, or one of them is kept in 16 bits */
static int operand_type(const struct exec *x) {
    if (x->node->half != DT_F32) return x->node->half;
    for (int i = 0; i < 2; i++)
        if (x->in[i].dtype != DT_F32) return x->in[i].dtype;
    return DT_F32;
}

/* ---- behind a product: bias and activation in one pass */
__global__ void finish(vec y, const float *bias, int act, int64_t m, int64_t n) {
    EACH(i, m * n) {
        float v = y.get(i) + (bias ? bias[i % n] : 0.0f);
        if (act == 1) v = 0.5f * v * (1.0f + erff(v * 0.70710678118654752440f));
        if (act == 2) v = 0.5f * v * (1.0f + tanhf(0.79788456080286535588f * (v + 0.044715f * v * v * v)));
        y.put(i, v);
    }
}
static int linear_run(struct cuda *c, const struct exec *x, const uint64_t *, struct err *e) {
    int64_t m = rows_of(&x->in[0]), k = last_of(&x->in[0]), n = x->in[1].n[0];
    const float *bias = has(x, 2) ? (const float *)x->in[2].data : NULL;
    int act = (int)c->host->number(x->node, "act"), type = operand_type(x);
    size_t used = 0;
    struct shape_of_product s = {n, m, k, true, false, type, x->out[0].dtype, bias && !act};
    if (k == 0 || m == 0) {
        if (m * n > 0) {
            if (cuda_fail(c, cudaMemsetAsync(x->out[0].data, 0, (size_t)(m * n) * (x->out[0].dtype == DT_F32 ? 4 : 2), c->stream), "clearing", e) < 0)
                return -1;
            LAUNCH(finish, grid_for(c, m * n), 256, c->stream, vec_of(&x->out[0]), bias, act, m, n);
        }
        return 0;
    }
    const void *a = operand(c, &x->in[1], type, &used, e), *b = a ? operand(c, &x->in[0], type, &used, e) : NULL;
    if (!b || product(c, &s, a, b, bias, x->out[0].data, e) < 0) return -1;
    if (act) LAUNCH(finish, grid_for(c, m * n), 256, c->stream, vec_of(&x->out[0]), bias, act, m, n);
    return 0;
}
/* dx (m, in) = dy (m, out) w (out, in) */
static int dx_run(struct cuda *c, const struct exec *x, const uint64_t *, struct err *e) {
    int64_t m = rows_of(&x->in[0]), n = x->in[1].n[0], k = x->in[1].n[1];
    int type = operand_type(x);
    size_t used = 0;
    struct shape_of_product s = {k, m, n, false, false, type, x->out[0].dtype, false};
    if (m == 0) return 0;
    const void *a = operand(c, &x->in[1], type, &used, e), *b = a ? operand(c, &x->in[0], type, &used, e) : NULL;
    return b ? product(c, &s, a, b, NULL, x->out[0].data, e) : -1;
}
/* dw (out, in) = dy (m, out)^T x (m, in) */
static int dw_run(struct cuda *c, const struct exec *x, const uint64_t *, struct err *e) {
    int64_t m = rows_of(&x->in[0]), n = last_of(&x->in[0]), k = last_of(&x->in[1]);
    int type = operand_type(x);
    size_t used = 0;
    struct shape_of_product s = {k, n, m, false, true, type, x->out[0].dtype, false};
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
const struct kernel product_kernels[] = {{"linear", 3, 1, true, NULL, linear_run}, {"linear_dx", 3, 1, true, NULL, dx_run},
    {"linear_dw", 3, 0, true, NULL, dw_run}, {"colsum", 1, 0, false, NULL, colsum_run}, {}};
