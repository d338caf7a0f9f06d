/* An op: a const row, no state. Each op file is compiled once per instruction set into its own table; rows are found by name.
 * ISA(x) gives a symbol its suffix (x_base, x_avx2, x_avx512, x_avx512bf16). */
#ifndef HONE_ENGINE_GRAPH_OP_H
#define HONE_ENGINE_GRAPH_OP_H

#include "engine/graph/graph.h"
#include "src/base/args.h"

#ifndef HONE_ISA
#define HONE_ISA base
#endif
#define ISA_JOIN2(a, b) a##_##b
#define ISA_JOIN(a, b) ISA_JOIN2(a, b)
#define ISA(x) ISA_JOIN(x, HONE_ISA)

#define OP_IN 8
#define OP_OUT 6

struct shaping { /* given to op->shape: fill n_out and out[] (dim, ndim, dtype, offsets); may set scratch */
    struct graph *g;
    const void *attr;
    const char *path;
    int n_in;
    const struct tensor *in[OP_IN];
    int n_out;
    struct tensor out[OP_OUT];
    int want[OP_IN]; /* OP_BLOCKS: the layout (tensor.block) each input must have; graph_add converts */
    struct dim scratch; /* bytes of scratch = scratch.k * axis + scratch_fixed */
    size_t scratch_fixed;
    bool half; /* its products run on operands of graph->half (mixed precision) */
    uint8_t half_in, half_out; /* bit i: its fast path takes input, makes output i in 16 bits */
};
struct view { /* a tensor at run time: contiguous, row-major unless block */
    void *data;
    int64_t n[TENSOR_DIMS];
    int ndim;
    int64_t len;
    enum dtype dtype;
    int block; /* as tensor.block */
};
struct exec { /* everything a kernel sees */
    const struct node *node;
    const void *attr;
    int n_in, n_out;
    struct view in[OP_IN], out[OP_OUT]; /* an optional input that is absent has data == NULL */
    void *scratch; /* 64-byte aligned */
    size_t scratch_bytes;
    uint64_t stream, step; /* random numbers: rng_*(stream, step, element) */
    const struct extents *x;
    const struct products *products; /* as graph.products */
};
struct cost {
    double flop, macs, bytes;
};
/* Inputs for the tests that walk the op table (tests/engine/op_test.c): gradient check in double, instruction sets, thread counts.
 * attr: "out=3" as on the command line, or NULL. in: inputs separated by spaces, in order, each KIND(DIMS)RANGE. DIMS: numbers and axes, "R", "R+1",
 * "T0", "T1", "3*R". The tests run each sample with R = 0, 1, 3, 7 and ragged lengths that include empty ones.
 *   f  floats in (-1, 1), pairwise apart and away from 0 (kinks and ties are safe); gradient-checked        f(R,4)  f(5,3)[0.1,2]
 *   c  floats like f that no gradient is asked for (saved statistics, a mask that scales)                    c(R,4)  c(R)[0,1]
 *   m  floats 0 or 1, no gradient     q  rows of probabilities (last dim sums to 1), no gradient             m(R,4)  q(R,5)
 *   i  i32, inclusive range needed                                                                            i(R)[0,4]  i(R)[-1,4]
 *   b  bool     u  u8                                                                                        b(R,3)
 *   o  the i32 offsets (R+1) of an axis; tensors on that axis get it as their offsets                        o(T0)
 *   s  a live scalar (graph_scalar) with this value     -  an absent optional input                          s(0.5)  -
 * A trailing "> N": the first N outputs are differentiable (else only out[0], if float). "> 0": no gradient check. */
struct sample {
    const char *attr;
    const char *in;
};

enum op_flags {
    OP_LAYER = 1, /* also a layer of the same name with one input */
    OP_INPLACE = 2, /* out[0] may be in[0]'s memory */
    OP_RANDOM = 4, /* uses stream; replaced by identity when not training */
    OP_UPDATE = 8, /* changes parameters or state: runs last, in the order added */
    OP_NO_GRAD = 16, /* integer or index output: no gradient flows */
    OP_VIEW = 32, /* out[0] always is in[0]'s memory with another shape (reshape) */
    OP_TIED = 64, /* out[i] is in[i]'s memory (updates in place) for all outputs */
    OP_BLOCKS = 256, /* its shape function says in want[] and out[].block which layouts it works on */
    OP_ELEMENTS = 512, /* works on elements one by one: takes any layout that its inputs have in common. Others get row-major inputs */
    OP_EARLY = 1024, /* runs as soon as its inputs are there, not where it was added (within its phase) */
    OP_DRAWS = 128 /* uses stream as OP_RANDOM does, but acts in every graph: its layer leaves the probability out when not training */
};
struct op {
    struct kind kind; /* first: name, help, arguments (attr) */
    uint8_t in_min, in_max, n_out;
    unsigned flags;
    int (*shape)(struct shaping *s, struct err *e); /* checks shapes and dtypes; both shapes in the message */
    int (*grad)(struct graph *g, const struct node *n, const tid *dout, tid *din, struct err *e); /* dout -1: no gradient came; set din[i] or leave -1 */
    void (*cost)(const struct exec *x, struct cost *c); /* NULL: 0 macs, bytes by shapes */
    void (*ref)(const struct exec *x); /* plain, in double, any float dtype through view_get/view_put */
    int64_t (*tiles)(const struct exec *x); /* how the work is cut: by shape only, never by thread count. NULL: 1 */
    void (*begin)(const struct exec *x); /* serial, before the tiles; may be NULL */
    void (*run)(const struct exec *x, int64_t lo, int64_t hi); /* f32 fast path on tiles lo..hi; NULL: ref */
    void (*mid)(const struct exec *x); /* serial, after the tiles and before those of run2; may be NULL */
    int64_t (*tiles2)(const struct exec *x); /* a second pass over tiles that needs all of the first; NULL: none */
    void (*run2)(const struct exec *x, int64_t lo, int64_t hi);
    void (*finish)(const struct exec *x); /* serial, after the tiles; may be NULL */
    const struct sample *samples; /* ends with in == NULL; an empty list: the op has tests of its own */
};

/* Each op file ends in rows `const struct op ISA(op_relu) = {...};`, named one a line, sorted, in engine/ops/list.h as OP(relu).
 * The nodes that op->grad appends for a node get its path and its random stream. A shape function needs to say only what is wrong:
 * graph_add puts op and path before it and all input shapes behind it. */

/* The table in force: chosen once at start by ops_select, const afterwards. */
const struct op *op_find(const char *name);
const struct op *const *op_all(void); /* NULL-terminated */
int ops_select(const char *isa, struct err *e); /* "auto", "base", "avx2", "avx512", "avx512bf16"; before any graph is built */
const char *ops_isa(void);
const struct op *op_find_isa(const char *isa, const char *name); /* for tests: NULL if this machine cannot run it */

/* What is compiled once per instruction set besides the rows. */
struct isa {
    const char *name;
    const struct op *const *op; /* NULL-terminated, in the order of list.h */
    void (*gemm)(bool ta, bool tb, int64_t m, int64_t n, int64_t k, float alpha, const float *a, int64_t lda, const float *b, int64_t ldb, float beta, float *c,
        int64_t ldc);
    double (*fma_flop)(int64_t rounds); /* executes a chain-free FMA loop; returns the FLOP done (the yard) */
    double (*stream)(float *p, const float *q, int64_t n); /* p[i] += q[i]; returns bytes moved */
};
const struct isa *isa_all(int i); /* 0, 1, ...: those this machine can run, slowest first; NULL: no more */
const struct isa *isa_now(void);

/* Loads and stores that know every dtype, for ref. */
double view_get(const struct view *v, int64_t i);
void view_put(const struct view *v, int64_t i, double x);

#endif
