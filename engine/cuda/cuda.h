/* Shared by the files of engine/cuda: the opened device, rows of kernels, launching, loads and stores of every float type, sums over a block. The same
 * sources are compiled by nvcc for GPUs and by g++ against tests/cuda/fake, where they run on the CPU: launches go through LAUNCH and nothing else. */
#ifndef HONE_ENGINE_CUDA_CUDA_H
#define HONE_ENGINE_CUDA_CUDA_H

#define _Noreturn [[noreturn]]
extern "C" {
#include "engine/graph/backend.h"
}
#include <cublasLt.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>
#include <string.h>

/* Of the workspace the libraries get the first part, the rest is for operands in another type. The fake device has little memory. */
#ifdef __CUDACC__
static const int64_t WORKSPACE = (int64_t)256 << 20, PRODUCT_SPACE = (int64_t)64 << 20;
#else
static const int64_t WORKSPACE = (int64_t)64 << 20, PRODUCT_SPACE = (int64_t)32 << 20;
#endif

struct plan_of_product; /* lt.cu */
struct plan_of_conv; /* conv.cu */
struct block; /* held.cu */
struct way;
struct nccl;
struct cuda {
    const struct host *host;
    struct device info;
    int sms; /* multiprocessors: grids that walk are cut by them */
    cudaStream_t stream;
    cublasLtHandle_t lt;
    char *workspace; /* WORKSPACE bytes on the device, of whoever runs now */
    struct plan_of_product **products; /* chains by shape */
    int n_products;
    long n_allocations, n_waits, n_ahead; /* of device memory; of the host for the device; uploads beside a run */
    cudaStream_t uploads; /* of those; NULL: none yet */
    cudaEvent_t arrived, taken; /* what went ahead is there; what was there is read */
    bool took;
    struct nccl *nccl; /* nccl.cu; NULL: not opened */
    bool tf32; /* products and convolutions of fp32 may round their operands */
    bool lost; /* nothing more runs in this process */
    bool preparing; /* a kernel that prepares only measures its products */
    uint8_t bias[4]; /* product.cu: which biases the library adds to results of f32, bf16, f16, and to bf16 from fp8 */
    void *dnn; /* cuDNN's handle, made at first need */
    struct plan_of_conv *convs;
    struct block *blocks; /* memory with weights */
    bool keeping; /* what is queued is kept instead of run */
    bool held_stale, held_used; /* a form of weights is out of date; one was used since the kept run began */
    struct way *ways; /* way.cu */
    int n_ways;
    int fp8_known; /* fp8.cu: 1 the library multiplies fp8 here, -1 it does not, 0 not asked */
    bool i8_known, i8_library; /* linear_i8.cu: was the library asked, does it multiply bytes? */
};

/* How one op runs on the device. */
struct kernel {
    const char *op;
    uint8_t half_in, half_out; /* bit i: takes input, makes output i in 16 bits */
    bool rounds; /* its products take operands rounded to 16 bits */
    bool (*can)(const struct cuda *c, const struct node *n); /* NULL: always */
    int (*run)(struct cuda *c, const struct exec *x, const uint64_t *at, struct err *e);
    bool
        prepares = false,
        fp8 =
            false; /* its products are chosen before the first run: run is called with c->preparing, and then writes to the workspace alone; it has products in fp8 */
};
extern const struct kernel *const kernel_lists[]; /* each ended by a row without op */

/* ---- several devices (nccl.cu) */
int comm_id(struct cuda *c, char *out, struct err *e);
int comm_open(struct cuda *c, const char *id, int rank, int size, struct err *e);
int comm_sum(struct cuda *c, float *const *p, const int64_t *len, int count, struct err *e);
int comm_join(struct cuda *c, struct err *e);
void comm_close(struct cuda *c, bool broken);
int comm_look(struct cuda *c, struct err *e);

int cuda_fail(struct cuda *c, cudaError_t rc, const char *what, struct err *e); /* 0 if rc is success */
int cuda_launched(struct cuda *c, struct err *e);

#ifdef __CUDACC__
#define LAUNCH(kernel, grid, block, stream, ...) (kernel)<<<(grid), (block), 0, (stream)>>>(__VA_ARGS__)
#else
#define LAUNCH(kernel, grid, block, stream, ...) fake_launch((grid), (block), (stream), [=] { (kernel)(__VA_ARGS__); })
#endif

/* ---- numbers ---- */
struct f32 {
    typedef float word;
    static __device__ __forceinline__ float up(float v) { return v; }
    static __device__ __forceinline__ float down(float v) { return v; }
};
struct bf16 {
    typedef uint16_t word;
    static __device__ __forceinline__ float up(uint16_t v) {
        uint32_t bits = (uint32_t)v << 16;
        float f;
        memcpy(&f, &bits, 4);
        return f;
    }
    static __device__ __forceinline__ uint16_t down(float v) { /* to nearest, ties to even; NaN stays NaN */
        uint32_t bits;
        memcpy(&bits, &v, 4);
        return v != v ? (uint16_t)0x7fc0 : (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
    }
};
struct f16 {
    typedef uint16_t word;
    static __device__ __forceinline__ float up(uint16_t v) { return __half2float(__ushort_as_half(v)); }
    static __device__ __forceinline__ uint16_t down(float v) { return __half_as_ushort(__float2half_rn(v)); }
};
/* Four neighbours, read and written as one; their address is a multiple of their size. */
template <class N> struct alignas(4 * sizeof(typename N::word)) four { typename N::word v[4]; };
/* Calls f<type>(..) by the type of a tensor. */
#define BY_TYPE(dtype, f, ...) ((dtype) == DT_F32 ? f<f32>(__VA_ARGS__) : (dtype) == DT_BF16 ? f<bf16>(__VA_ARGS__) : f<f16>(__VA_ARGS__))
/* A float tensor of any of these types as a kernel argument. */
struct vec {
    void *p;
    int dtype;
    __device__ __forceinline__ float get(int64_t i) const {
        return dtype == DT_F32 ? ((const float *)p)[i] : dtype == DT_BF16 ? bf16::up(((const uint16_t *)p)[i]) : f16::up(((const uint16_t *)p)[i]);
    }
    __device__ __forceinline__ void put(int64_t i, float v) const {
        if (dtype == DT_F32) ((float *)p)[i] = v;
        else ((uint16_t *)p)[i] = dtype == DT_BF16 ? bf16::down(v) : f16::down(v);
    }
};
static inline vec vec_of(const struct view *v) { return vec{v->data, v->dtype}; }

/* ---- shapes ---- */
static inline int64_t last_of(const struct view *v) { return v->ndim ? v->n[v->ndim - 1] : 1; }
static inline int64_t rows_of(const struct view *v) {
    int64_t n = 1;
    for (int i = 0; i + 1 < v->ndim; i++) n *= v->n[i];
    return n;
}
static inline bool has(const struct exec *x, int i) { return i < x->n_in && x->in[i].data; }
/* Blocks of 256 threads for n elements: enough to fill the device, each thread walks with the stride of the grid. */
static inline unsigned grid_for(const struct cuda *c, int64_t n) {
    int64_t want = (n + 255) / 256, most = (int64_t)c->sms * 16;
    return (unsigned)(want < 1 ? 1 : want > most ? most : want);
}
/* Blocks of 128 threads that own four columns each of n and walk down m rows. */
static inline dim3 grid_of_rows(const struct cuda *c, int64_t m, int64_t n) {
    int64_t wide = (n + 511) / 512, high = ((int64_t)c->sms * 16 + wide - 1) / wide;
    return dim3((unsigned)wide, (unsigned)(m < high ? m : high < 65535 ? high : 65535));
}
#define EACH(i, n) for (int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x; i < (n); i += (int64_t)gridDim.x * blockDim.x)

struct pair_of_sums {
    double a, b;
};

/* ---- products by cuBLASLt (lt.cu) */
enum { TYPE_E4M3 = 64 }; /* operands in fp8, a type of products alone: beside those of enum dtype */
enum product_bias { BIAS_NONE, BIAS_F32, BIAS_SAME /* of the type of the result */ };
struct product_shape {
    int64_t m, n, k; /* of the column-major product y (m, n) */
    bool ta, tb;
    int type, out; /* enum dtype of the operands, of the result */
    int bias; /* enum product_bias */
    char rows; /* 'n' or 'k': what changes from batch to batch; 0: nothing */
    int align; /* set by product: of all operands, bytes */
    bool tf32 = false; /* set by product */
};
/* Column-major y (m, n) = op(a) op(b) [+ bias (m) on every column], sums in float, of i8 in i32. */
int product(struct cuda *c, const struct product_shape *s, const void *a, const void *b, const void *bias, void *y, struct err *e);
/* With a scale for each operand, one float on the device (TYPE_E4M3). */
int product_scaled(struct cuda *c, const struct product_shape *s, const void *a, const float *scale_a, const void *b, const float *scale_b, const void *bias,
    void *y, struct err *e);
bool product_can(struct cuda *c, const struct product_shape *s); /* does the library know a way at all? */
void device_identity(const struct cuda *c, char *out, size_t n); /* what was measured holds for: host.keep */

/* ---- two ways to the same result (way.cu) */
struct two_ways {
    const char *name, *names[2];
    int (*run)(struct cuda *c, void *ctx, int which, void *y, struct err *e); /* queues the work by one of them, its result goes to y */
};
/* Which of them serves a layer of n from k for these rows, measured if need be with a result of `bytes`; otherwise: where nothing is known. */
int way_of(struct cuda *c, const struct two_ways *what, int64_t n, int64_t k, int64_t rows, int otherwise, void *ctx, size_t bytes);

/* ---- weights in another form, made once (held.cu) */
typedef void (*held_make)(struct cuda *c, const void *from, void *to, int64_t n, int64_t k); /* queues it; n, k: extents of the matrix */
/* Where the form of `bytes` lies that `make` gives of the matrix (n, k) at `from`; NULL: it cannot be held, make it in the workspace. */
const void *held(struct cuda *c, const void *from, held_make make, size_t bytes, int64_t n, int64_t k);
void held_weights(struct cuda *c, const void *p, size_t n); /* as backend.weights */
void held_renew(struct cuda *c); /* before anything is kept or replayed */
void held_free(struct cuda *c);

int bias_of(struct cuda *c, int type, int out); /* product.cu: enum product_bias that the library adds by itself */
/* ---- products in fp8 (fp8.cu) */
bool fp8_can(struct cuda *c, const struct exec *x); /* this linear layer? */
/* The linear layer x with its result, of the type of x->out[0], at y; act and bias that the library does not add are left to the caller: *added. */
int fp8_linear(struct cuda *c, const struct exec *x, void *y, bool *added, struct err *e);

/* ---- operands in another type, in the workspace behind PRODUCT_SPACE; used: bytes taken so far */
void *operand_room(struct cuda *c, int64_t n, size_t *used, struct err *e); /* for n numbers of 16 bits, or float */
const void *operand(struct cuda *c, const struct view *v, int type, size_t *used, struct err *e); /* where it lies if it has that type */
/* Input i, a weight: made once where nothing is trained. */
const void *weight_as(struct cuda *c, const struct exec *x, int i, int type, size_t *used, struct err *e);
void convert(struct cuda *c, vec from, vec to, int64_t n);

/* ---- sums over a block of up to 1024 threads, in an order that depends on its size alone; every thread gets the result ---- */
struct plus {
    static __device__ __forceinline__ float of(float a, float b) { return a + b; }
    static __device__ __forceinline__ double of(double a, double b) { return a + b; }
};
struct larger {
    static __device__ __forceinline__ float of(float a, float b) { return a > b || a != a ? a : b; }
};
template <class F, class T> __device__ T block_all(T v) {
    __shared__ T part[32];
    int t = (int)threadIdx.x, warps = ((int)blockDim.x + 31) / 32;
    for (int d = 16; d > 0; d >>= 1) v = F::of(v, __shfl_xor_sync(0xffffffffu, v, d));
    if (warps == 1) return v;
    __syncthreads();
    if (t % 32 == 0) part[t / 32] = v;
    __syncthreads();
    v = part[0];
    for (int w = 1; w < warps; w++) v = F::of(v, part[w]);
    return v;
}
/* Threads for rows of n elements, a multiple of 32. */
static inline unsigned threads_for(int64_t n) { return n <= 32 ? 32 : n <= 128 ? 64 : n <= 512 ? 128 : 256; }

#endif
