/* a + b, a - b, a b, a / b with repeated extents, sum_to and spread, as engine/ops/binary.c defines them. */
#include "engine/cuda/cuda.h"

/* How the elements of a shape map to those of another that repeats to it. */
struct walk {
    int ndim;
    int64_t n[TENSOR_DIMS], st[TENSOR_DIMS]; /* extents of the large shape; strides in the small one, 0 where it repeats */
    bool same; /* one to one */
};
static walk walk_of(const struct view *small, const struct view *large) {
    walk w = {};
    int64_t step = 1;
    w.ndim = large->ndim;
    for (int i = 1; i <= large->ndim; i++) {
        int64_t n = i <= small->ndim ? small->n[small->ndim - i] : 1;
        w.n[large->ndim - i] = large->n[large->ndim - i];
        w.st[large->ndim - i] = n == 1 ? 0 : step;
        step *= n;
    }
    w.same = small->len == large->len;
    return w;
}
static __device__ __forceinline__ int64_t at(const walk &w, int64_t i) {
    if (w.same) return i;
    int64_t o = 0;
    for (int d = w.ndim - 1; d >= 0; d--) {
        o += i % w.n[d] * w.st[d];
        i /= w.n[d];
    }
    return o;
}

struct add {
    static __device__ __forceinline__ float of(float a, float b) { return a + b; }
};
struct sub {
    static __device__ __forceinline__ float of(float a, float b) { return a - b; }
};
struct mul {
    static __device__ __forceinline__ float of(float a, float b) { return a * b; }
};
struct quotient {
    static __device__ __forceinline__ float of(float a, float b) { return a / b; }
};
template <class f> __global__ void combine(vec a, vec b, vec y, walk wa, walk wb, int64_t n) { EACH(i, n) y.put(i, f::of(a.get(at(wa, i)), b.get(at(wb, i)))); }
template <class f> static int binary(struct cuda *c, const struct exec *x, const uint64_t *, struct err *) {
    if (x->out[0].len > 0)
        LAUNCH((combine<f>), grid_for(c, x->out[0].len), 256, c->stream, vec_of(&x->in[0]), vec_of(&x->in[1]), vec_of(&x->out[0]),
            walk_of(&x->in[0], &x->out[0]), walk_of(&x->in[1], &x->out[0]), x->out[0].len);
    return 0;
}

__global__ void spread(vec a, vec y, walk w, int64_t n) { EACH(i, n) y.put(i, a.get(at(w, i))); }
static int spread_run(struct cuda *c, const struct exec *x, const uint64_t *, struct err *) {
    if (x->out[0].len > 0)
        LAUNCH(spread, grid_for(c, x->out[0].len), 256, c->stream, vec_of(&x->in[0]), vec_of(&x->out[0]), walk_of(&x->in[0], &x->out[0]), x->out[0].len);
    return 0;
}

/* One block an output; its threads walk over the extents that repeat, in the order of memory, and are summed in a fixed order. */
struct fold {
    int nr, nk; /* repeated and kept extents */
    int64_t rn[TENSOR_DIMS], rst[TENSOR_DIMS], kn[TENSOR_DIMS], kst[TENSOR_DIMS]; /* extents; strides in the large tensor */
    int64_t repeats;
};
static fold fold_of(const struct view *small, const struct view *large) {
    fold f = {};
    walk w = walk_of(small, large);
    int64_t step = 1, st[TENSOR_DIMS];
    f.repeats = 1;
    for (int i = large->ndim - 1; i >= 0; i--) st[i] = step, step *= large->n[i];
    for (int i = 0; i < large->ndim; i++) {
        if (large->n[i] == 1) continue;
        if (w.st[i] == 0) f.rn[f.nr] = large->n[i], f.rst[f.nr++] = st[i], f.repeats *= large->n[i];
        else f.kn[f.nk] = large->n[i], f.kst[f.nk++] = st[i];
    }
    return f;
}
__global__ void sum_to(vec a, vec y, fold f, int64_t n) {
    for (int64_t o = blockIdx.x; o < n; o += gridDim.x) {
        int64_t base = 0, i = o;
        for (int d = f.nk - 1; d >= 0; d--) base += i % f.kn[d] * f.kst[d], i /= f.kn[d];
        float s = 0;
        for (int64_t r = threadIdx.x; r < f.repeats; r += blockDim.x) {
            int64_t q = base, j = r;
            for (int d = f.nr - 1; d >= 0; d--) q += j % f.rn[d] * f.rst[d], j /= f.rn[d];
            s += a.get(q);
        }
        s = block_all<plus>(s);
        if (threadIdx.x == 0) y.put(o, s);
        __syncthreads();
    }
}
static int sum_to_run(struct cuda *c, const struct exec *x, const uint64_t *, struct err *) {
    fold f = fold_of(&x->out[0], &x->in[0]);
    if (x->out[0].len > 0)
        LAUNCH(sum_to, (unsigned)(x->out[0].len < 65535 ? x->out[0].len : 65535), threads_for(f.repeats), c->stream, vec_of(&x->in[0]), vec_of(&x->out[0]), f,
            x->out[0].len);
    return 0;
}

extern const struct kernel binary_kernels[];
const struct kernel binary_kernels[] = {{"add", 3, 1, false, NULL, binary<add>}, {"sub", 3, 1, false, NULL, binary<sub>},
    {"mul", 3, 1, false, NULL, binary<mul>}, {"div", 3, 1, false, NULL, binary<quotient>}, {"spread", 1, 1, false, NULL, spread_run},
    {"sum_to", 1, 1, false, NULL, sum_to_run}, {}};
