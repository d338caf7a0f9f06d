/* One product by cuBLASLt: its description, made once for each shape, and which of the library's algorithms serves it. Several are asked for; before the
 * first run of a new shape (c->preparing) each is timed on the operands it will see, one that fails is out, and the fastest is kept by device, driver and
 * shape (host->keep). A shape whose rows are within a factor of two of a timed one takes its algorithm; where nothing may be measured the library's first
 * choice serves. */
#include "engine/cuda/cuda.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CHAINS = 1024, PLANS_MAX = 1 << 14, WANTED = 8, ROUNDS = 3, REPEAT = 4 };
#define PAYS 0.97f /* of the time of the library's first choice, or that one stays */
#define LONG_MS 20 /* a product that takes longer is timed once a round */

struct plan_of_product {
    struct plan_of_product *next;
    struct product_shape shape;
    cublasLtMatmulDesc_t desc;
    cublasLtMatrixLayout_t a, b, y;
    cublasLtMatmulAlgo_t algo;
    size_t workspace;
    bool timed; /* or taken from a timed one, or nothing is measured */
};
static const struct {
    int dtype;
    const char *name;
    cudaDataType_t lt;
    size_t bytes;
} types[] = {{DT_F32, "f32", CUDA_R_32F, 4}, {DT_BF16, "bf16", CUDA_R_16BF, 2}, {DT_F16, "f16", CUDA_R_16F, 2}, {DT_I8, "i8", CUDA_R_8I, 1},
    {DT_I32, "i32", CUDA_R_32I, 4}, {TYPE_E4M3, "e4m3", CUDA_R_8F_E4M3, 1}};
static int row_of(int dtype) {
    int i = 0;
    while (i + 1 < (int)(sizeof types / sizeof *types) && types[i].dtype != dtype) i++;
    return i;
}
static cudaDataType_t type_of(int dtype) { return types[row_of(dtype)].lt; }
static cublasComputeType_t compute_of(const struct product_shape *s) {
    return s->type == DT_I8 ? CUBLAS_COMPUTE_32I : s->tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F;
}
static bool whole(const struct product_shape *s) { return s->type == DT_I8; } /* sums are exact 32-bit integers */

static void product_release(struct plan_of_product *p) {
    if (p->desc) cublasLtMatmulDescDestroy(p->desc);
    if (p->a) cublasLtMatrixLayoutDestroy(p->a);
    if (p->b) cublasLtMatrixLayoutDestroy(p->b);
    if (p->y) cublasLtMatrixLayoutDestroy(p->y);
}
static void product_free(struct plan_of_product *p) {
    product_release(p);
    free(p);
}
void products_free(struct cuda *c) {
    for (int i = 0; c->products && i < CHAINS; i++)
        for (struct plan_of_product *p = c->products[i], *next; p; p = next) {
            next = p->next;
            product_free(p);
        }
    free(c->products);
    c->products = NULL;
    c->n_products = 0;
}

static int lt_fail(struct cuda *c, cublasStatus_t rc, const struct product_shape *s, struct err *e) {
    cudaGetLastError(); /* it is told here */
    return c->host->fail(e, "cuBLASLt refuses the product (%lld, %lld) from %lld: status %d", (long long)s->n, (long long)s->m, (long long)s->k, (int)rc);
}
static bool same(const struct product_shape *a, const struct product_shape *b) {
    return a->m == b->m && a->n == b->n && a->k == b->k && a->ta == b->ta && a->tb == b->tb && a->type == b->type && a->out == b->out && a->bias == b->bias &&
           a->align == b->align && a->tf32 == b->tf32;
}
static unsigned chain_of(const struct product_shape *s) {
    uint64_t h = (uint64_t)s->m * 0x9E3779B97F4A7C15u + (uint64_t)s->n * 0xC2B2AE3D27D4EB4Fu + (uint64_t)s->k * 0x165667B19E3779F9u + s->ta + 2 * s->tb;
    return (unsigned)(h >> 40) % CHAINS;
}

/* ---- what is remembered: the key says the shape with its rows rounded up to a power of two */
static int log2_up(int64_t v) {
    int b = 0;
    while (b < 62 && (int64_t)1 << b < v) b++;
    return b;
}
static void key_of(const struct product_shape *s, int off, char *key, size_t n) {
    int64_t rows = s->rows == 'k' ? s->k : s->n;
    int bits = log2_up(rows) + off;
    int64_t round = (int64_t)1 << (bits < 0 ? 0 : bits);
    const char *type = types[row_of(s->type)].name, *out = types[row_of(s->out)].name;
    snprintf(key, n, "%lld x %lld from %lld %c%c %s to %s%s%s, aligned %d", (long long)s->m, (long long)(s->rows == 'n' ? round : s->n),
        (long long)(s->rows == 'k' ? round : s->k), s->ta ? 'T' : 'N', s->tb ? 'T' : 'N', type, out,
        s->bias == BIAS_NONE  ? ""
        : s->bias == BIAS_F32 ? " and bias"
                              : " and bias of its type",
        s->tf32 ? " by TF32" : "", s->align);
}
void device_identity(const struct cuda *c, char *out, size_t n) {
    snprintf(out, n, "%s; compute capability %s; driver for CUDA %s, runtime %s; cuBLASLt %zu", c->info.name, c->info.capability, c->info.driver,
        c->info.runtime, cublasLtGetVersion());
}
/* "<algorithm in hexadecimal> <microseconds of the first choice> <of this one>" */
static void remember(struct cuda *c, const struct plan_of_product *p, float first, float best) {
    char id[256], key[128], value[2 * sizeof p->algo + 64], *at = value;
    const unsigned char *bytes = (const unsigned char *)&p->algo;
    for (size_t i = 0; i < sizeof p->algo; i++) at += snprintf(at, 3, "%02x", bytes[i]);
    snprintf(at, 60, " %.2f %.2f", (double)first * 1e3, (double)best * 1e3);
    device_identity(c, id, sizeof id);
    key_of(&p->shape, 0, key, sizeof key);
    c->host->keep(id, key, value);
}
static bool recall(struct cuda *c, struct plan_of_product *p, int off) {
    char id[256], key[128], value[2 * sizeof p->algo + 64];
    unsigned char bytes[sizeof p->algo];
    cublasLtMatmulHeuristicResult_t result;
    device_identity(c, id, sizeof id);
    key_of(&p->shape, off, key, sizeof key);
    if (c->host->recall(id, key, value, sizeof value) < 0 || strcspn(value, " ") != 2 * sizeof bytes) return false;
    for (size_t i = 0; i < sizeof bytes; i++) {
        unsigned v = 0;
        if (sscanf(value + 2 * i, "%2x", &v) != 1) return false;
        bytes[i] = (unsigned char)v;
    }
    cublasLtMatmulAlgo_t algo;
    memcpy(&algo, bytes, sizeof algo);
    memset(&result, 0, sizeof result);
    if (cublasLtMatmulAlgoCheck(c->lt, p->desc, p->a, p->b, p->y, p->y, &algo, &result) != CUBLAS_STATUS_SUCCESS ||
        result.workspaceSize > (size_t)PRODUCT_SPACE)
        return false;
    p->algo = algo, p->workspace = result.workspaceSize;
    return true;
}

/* ---- description */
struct operands {
    const void *a, *b, *bias;
    void *y;
    const float *scale_a, *scale_b; /* on the device; NULL: 1 */
};
static cublasStatus_t set_scales(struct plan_of_product *p, const struct operands *o) {
    cublasStatus_t rc = cublasLtMatmulDescSetAttribute(p->desc, CUBLASLT_MATMUL_DESC_A_SCALE_POINTER, &o->scale_a, sizeof o->scale_a);
    return rc == CUBLAS_STATUS_SUCCESS ? cublasLtMatmulDescSetAttribute(p->desc, CUBLASLT_MATMUL_DESC_B_SCALE_POINTER, &o->scale_b, sizeof o->scale_b) : rc;
}
static cublasStatus_t describe(const struct cuda *c, struct plan_of_product *p) {
    const struct product_shape *s = &p->shape;
    cublasOperation_t ta = s->ta ? CUBLAS_OP_T : CUBLAS_OP_N, tb = s->tb ? CUBLAS_OP_T : CUBLAS_OP_N;
    cublasLtEpilogue_t epilogue = CUBLASLT_EPILOGUE_BIAS;
    cudaDataType_t bias = s->bias == BIAS_F32 ? CUDA_R_32F : type_of(s->out);
    cublasStatus_t rc = cublasLtMatmulDescCreate(&p->desc, compute_of(s), whole(s) ? CUDA_R_32I : CUDA_R_32F);
    if (rc == CUBLAS_STATUS_SUCCESS) rc = cublasLtMatmulDescSetAttribute(p->desc, CUBLASLT_MATMUL_DESC_TRANSA, &ta, sizeof ta);
    if (rc == CUBLAS_STATUS_SUCCESS) rc = cublasLtMatmulDescSetAttribute(p->desc, CUBLASLT_MATMUL_DESC_TRANSB, &tb, sizeof tb);
    if (rc == CUBLAS_STATUS_SUCCESS && s->bias) rc = cublasLtMatmulDescSetAttribute(p->desc, CUBLASLT_MATMUL_DESC_EPILOGUE, &epilogue, sizeof epilogue);
    if (rc == CUBLAS_STATUS_SUCCESS && s->bias) rc = cublasLtMatmulDescSetAttribute(p->desc, CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, &bias, sizeof bias);
    if (rc == CUBLAS_STATUS_SUCCESS && s->bias) /* some address, until there is the right one: choices depend on its alignment */
        rc = cublasLtMatmulDescSetAttribute(p->desc, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &c->workspace, sizeof c->workspace);
    if (rc == CUBLAS_STATUS_SUCCESS && s->type == TYPE_E4M3) {
        static const int8_t fast = 1; /* sums of 8-bit products stay in the tensor cores, with less than 24 bits: those of inference */
        rc = cublasLtMatmulDescSetAttribute(p->desc, CUBLASLT_MATMUL_DESC_FAST_ACCUM, &fast, sizeof fast);
        struct operands some = {NULL, NULL, NULL, NULL, (const float *)c->workspace, (const float *)c->workspace};
        if (rc == CUBLAS_STATUS_SUCCESS) rc = set_scales(p, &some);
    }
    if (rc == CUBLAS_STATUS_SUCCESS)
        rc = cublasLtMatrixLayoutCreate(&p->a, type_of(s->type), (uint64_t)(s->ta ? s->k : s->m), (uint64_t)(s->ta ? s->m : s->k), s->ta ? s->k : s->m);
    if (rc == CUBLAS_STATUS_SUCCESS)
        rc = cublasLtMatrixLayoutCreate(&p->b, type_of(s->type), (uint64_t)(s->tb ? s->n : s->k), (uint64_t)(s->tb ? s->k : s->n), s->tb ? s->n : s->k);
    if (rc == CUBLAS_STATUS_SUCCESS) rc = cublasLtMatrixLayoutCreate(&p->y, type_of(s->out), (uint64_t)s->m, (uint64_t)s->n, s->m);
    return rc;
}
/* The library's choices, its best guess first. */
static cublasStatus_t guesses(struct cuda *c, const struct plan_of_product *p, int want, cublasLtMatmulHeuristicResult_t *found, int *n) {
    cublasLtMatmulPreference_t pref = NULL;
    size_t space = (size_t)PRODUCT_SPACE;
    uint32_t align = (uint32_t)p->shape.align;
    static const cublasLtMatmulPreferenceAttributes_t of[] = {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES};
    cublasStatus_t rc = cublasLtMatmulPreferenceCreate(&pref);
    if (rc == CUBLAS_STATUS_SUCCESS) rc = cublasLtMatmulPreferenceSetAttribute(pref, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &space, sizeof space);
    for (int i = 0; rc == CUBLAS_STATUS_SUCCESS && i < 4; i++) rc = cublasLtMatmulPreferenceSetAttribute(pref, of[i], &align, sizeof align);
    *n = 0;
    if (rc == CUBLAS_STATUS_SUCCESS) rc = cublasLtMatmulAlgoGetHeuristic(c->lt, p->desc, p->a, p->b, p->y, p->y, pref, want, found, n);
    if (pref) cublasLtMatmulPreferenceDestroy(pref);
    int good = 0;
    for (int i = 0; rc == CUBLAS_STATUS_SUCCESS && i < *n; i++)
        if (found[i].state == CUBLAS_STATUS_SUCCESS && found[i].workspaceSize <= space) found[good++] = found[i];
    *n = good;
    return rc == CUBLAS_STATUS_SUCCESS && good == 0 ? CUBLAS_STATUS_NOT_SUPPORTED : rc;
}
static struct plan_of_product *product_of(struct cuda *c, const struct product_shape *s, struct err *e) {
    if (c->n_products >= PLANS_MAX) products_free(c);
    if (!c->products) c->products = (struct plan_of_product **)calloc(CHAINS, sizeof *c->products);
    unsigned at = chain_of(s);
    for (struct plan_of_product *p = c->products ? c->products[at] : NULL; p; p = p->next)
        if (same(&p->shape, s)) return p;
    struct plan_of_product *p = c->products ? (struct plan_of_product *)calloc(1, sizeof *p) : NULL;
    cublasLtMatmulHeuristicResult_t found[1];
    int n = 0;
    if (!p) {
        c->host->fail(e, "no memory for the description of a product");
        return NULL;
    }
    p->shape = *s;
    bool measuring = c->host->measuring();
    p->timed = !measuring;
    cublasStatus_t rc = describe(c, p);
    for (int i = 0; rc == CUBLAS_STATUS_SUCCESS && measuring && !p->timed && i < 3; i++) p->timed = recall(c, p, i == 2 ? -1 : i);
    if (rc == CUBLAS_STATUS_SUCCESS && (!p->timed || !measuring)) {
        rc = guesses(c, p, 1, found, &n);
        if (rc == CUBLAS_STATUS_SUCCESS) p->algo = found[0].algo, p->workspace = found[0].workspaceSize;
    }
    if (rc != CUBLAS_STATUS_SUCCESS) {
        lt_fail(c, rc, s, e);
        product_free(p);
        return NULL;
    }
    p->next = c->products[at];
    c->n_products++;
    return c->products[at] = p;
}

/* ---- timing */
static cublasStatus_t multiply(struct cuda *c, struct plan_of_product *p, const struct operands *o, const cublasLtMatmulAlgo_t *algo, size_t space) {
    static const float one = 1, zero = 0;
    static const int32_t one_i = 1, zero_i = 0;
    const void *alpha = whole(&p->shape) ? (const void *)&one_i : &one, *beta = whole(&p->shape) ? (const void *)&zero_i : &zero;
    cublasStatus_t rc = CUBLAS_STATUS_SUCCESS;
    if (p->shape.bias) rc = cublasLtMatmulDescSetAttribute(p->desc, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &o->bias, sizeof o->bias);
    if (rc == CUBLAS_STATUS_SUCCESS && p->shape.type == TYPE_E4M3) rc = set_scales(p, o);
    if (rc != CUBLAS_STATUS_SUCCESS) return rc;
    return cublasLtMatmul(c->lt, p->desc, alpha, o->a, p->a, o->b, p->b, beta, o->y, p->y, o->y, p->y, algo, c->workspace, space, c->stream);
}
/* Milliseconds of one product; below 0: it does not run. */
static float time_of(struct cuda *c, struct plan_of_product *p, const struct operands *o, const cublasLtMatmulHeuristicResult_t *r, int times, cudaEvent_t from,
    cudaEvent_t to) {
    float ms = -1;
    bool ok = cudaEventRecord(from, c->stream) == cudaSuccess;
    for (int i = 0; ok && i < times; i++) ok = multiply(c, p, o, &r->algo, r->workspaceSize) == CUBLAS_STATUS_SUCCESS;
    ok = ok && cudaEventRecord(to, c->stream) == cudaSuccess && cudaEventSynchronize(to) == cudaSuccess && cudaEventElapsedTime(&ms, from, to) == cudaSuccess;
    if (!ok) cudaGetLastError(); /* what the library tried and could not start is no mistake of the kernels behind it */
    return ok ? ms / (float)times : -1;
}
static float median(float *t, int n) {
    for (int i = 1; i < n; i++)
        for (int j = i; j > 0 && t[j] < t[j - 1]; j--) {
            float x = t[j];
            t[j] = t[j - 1], t[j - 1] = x;
        }
    return t[n / 2];
}
/* The algorithm of p becomes the fastest of those the library names. What cannot be measured leaves its first choice. */
static void measure(struct cuda *c, struct plan_of_product *p, const struct operands *given) {
    cublasLtMatmulHeuristicResult_t found[WANTED];
    float t[WANTED][ROUNDS], least = INFINITY, ms[WANTED];
    struct operands o = *given;
    cudaEvent_t from = NULL, to = NULL;
    int n = 0, best = -1, first = -1;
    if (guesses(c, p, WANTED, found, &n) != CUBLAS_STATUS_SUCCESS || n < 2) return;
    if (cudaMalloc(&o.y, (size_t)p->shape.m * (size_t)p->shape.n * types[row_of(p->shape.out)].bytes) !=
        cudaSuccess) { /* the result's own memory stays as it is */
        cudaGetLastError();
        return;
    }
    bool ok = cudaEventCreate(&from) == cudaSuccess && cudaEventCreate(&to) == cudaSuccess;
    for (int i = 0; ok && i < n; i++) { /* the first run does not count: modules are loaded, memory is touched */
        ms[i] = time_of(c, p, &o, &found[i], 1, from, to);
        if (ms[i] >= 0) ms[i] = time_of(c, p, &o, &found[i], 1, from, to);
        if (ms[i] >= 0 && ms[i] < least) least = ms[i];
    }
    for (int r = 0; ok && r < ROUNDS; r++)
        for (int i = 0; i < n; i++)
            if (ms[i] >= 0 && (ms[i] <= 1.5f * least || first < 0 || i == first)) {
                if (first < 0) first = i;
                t[i][r] = time_of(c, p, &o, &found[i], ms[i] > LONG_MS ? 1 : REPEAT, from, to);
                if (t[i][r] < 0) ms[i] = -1;
            }
    for (int i = 0; ok && i < n; i++) {
        if (ms[i] < 0 || (ms[i] > 1.5f * least && i != first)) continue;
        ms[i] = median(t[i], ROUNDS);
        if (best < 0 || (ms[i] < PAYS * ms[first] && ms[i] < ms[best])) best = i;
    }
    if (best >= 0) {
        p->algo = found[best].algo, p->workspace = found[best].workspaceSize;
        remember(c, p, ms[first], ms[best]);
    }
    if (from) cudaEventDestroy(from);
    if (to) cudaEventDestroy(to);
    cudaFree(o.y);
}

/* The largest power of two up to 256 that divides the address. */
static int align_of(const void *p, int least) {
    int a = (int)((uintptr_t)p & (~(uintptr_t)p + 1) & 511);
    return (uintptr_t)p % 256 == 0 ? least : a < least ? a : least;
}
int product(struct cuda *c, const struct product_shape *given, const void *a, const void *b, const void *bias, void *y, struct err *e) {
    return product_scaled(c, given, a, NULL, b, NULL, bias, y, e);
}
int product_scaled(struct cuda *c, const struct product_shape *given, const void *a, const float *scale_a, const void *b, const float *scale_b,
    const void *bias, void *y, struct err *e) {
    struct product_shape s = *given;
    struct operands o = {a, b, bias, y, scale_a, scale_b};
    if (s.m == 0 || s.n == 0) return 0;
    s.align = align_of(a, align_of(b, align_of(y, 256)));
    s.tf32 = c->tf32 && s.type == DT_F32;
    struct plan_of_product *p = product_of(c, &s, e);
    if (!p) return -1;
    if (c->preparing) {
        if (!p->timed) measure(c, p, &o);
        p->timed = true;
        return 0;
    }
    cublasStatus_t rc = multiply(c, p, &o, &p->algo, p->workspace);
    return rc == CUBLAS_STATUS_SUCCESS ? 0 : lt_fail(c, rc, &s, e);
}
bool product_can(struct cuda *c, const struct product_shape *s) {
    struct plan_of_product p = {};
    cublasLtMatmulHeuristicResult_t found[1];
    int n = 0;
    p.shape = *s;
    p.shape.align = 16;
    bool ok = describe(c, &p) == CUBLAS_STATUS_SUCCESS && guesses(c, &p, 1, found, &n) == CUBLAS_STATUS_SUCCESS;
    product_release(&p);
    return ok;
}
