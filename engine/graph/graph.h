/* A graph of nodes over tensors: describing only. Adding a node checks shapes and dtypes and fails with both shapes. The gradient,
 * fusion and the update are graph building too. One phase mark a node: forward, backward, buffers, update. */
#ifndef HONE_ENGINE_GRAPH_GRAPH_H
#define HONE_ENGINE_GRAPH_GRAPH_H

#include "engine/graph/tensor.h"
#include "src/base/arena.h"
#include "src/base/buf.h"
#include "src/base/err.h"
#include "src/base/val.h"

struct op;
struct products;

enum phase { PHASE_FORWARD, PHASE_BACKWARD, PHASE_BUFFERS, PHASE_UPDATE, PHASE_SEARCH, PHASE_N };
/* BUFFERS: running statistics, after each micro-batch; SEARCH: of an optimiser with a line search, after each pass over the batch of a step
 * (engine/train/step.c) */
struct node {
    const struct op *op;
    const void *attr; /* parsed arguments, in the graph's arena; NULL if the op has none */
    bool own_attr; /* released with this node (a fused node may borrow) */
    const char *path; /* layer path "block1.conv", for messages, profile and the random stream */
    tid in[8], out[6];
    int n_in, n_out;
    uint64_t stream; /* rng_stream(seed, path, draw) */
    enum phase phase;
    int part; /* of the forward pass, see recompute_build; -1: none */
    size_t scratch_fixed;
    struct dim scratch;
    enum dtype half; /* operands of its products are rounded to this type: DT_F32 (as they are), DT_BF16, DT_F16 */
    uint8_t half_in, half_out; /* bit i: input, output i may be kept in 16 bits (graph->half) */
    bool still; /* on a device: nothing is trained, so what is made from its weights may be kept */
    bool fp8; /* likewise: its product may round its operands to fp8 (graph->fp8) */
};
struct derived {
    int axis, from;
    int64_t stride, times; /* times: 0, or frames of each row, and `from` is the axis of the rows */
    tid of, offsets;
}; /* an axis with ceil(n / stride) of the tokens of each text (derive.h) */
struct graph {
    struct arena mem;
    struct tensor *tensor;
    int n_tensor, cap_tensor;
    struct node *node;
    int n_node, cap_node;
    bool training; /* random ops act */
    bool plain; /* images stay row-major: for devices. Set before nodes are added */
    enum dtype real; /* DT_F32; DT_F64 for gradient checks and references */
    enum dtype half; /* mixed precision: DT_BF16, DT_F16; DT_F32: none. Set before nodes are added */
    bool fp8; /* with DT_BF16, where nothing is trained: products of weights in fp8 where a device has them. Set before nodes are added */
    const struct products *products; /* which routes compute its products (choose.h), borrowed; NULL: by shape */
    uint64_t seed;
    enum phase phase; /* of nodes added from now on */
    const char *path; /* layer path of nodes added from now on */
    int part; /* of nodes added from now on; -1: none */
    struct derived derived[4];
    int n_derived;
    const struct node *of; /* while grad_build differentiates a node: nodes added get its path and stream */
};

struct graph *graph_new(enum dtype real, bool training, uint64_t seed);
void graph_free(struct graph *g);
void graph_path(struct graph *g, const char *path); /* copies */
/* Sources. name is copied. */
tid graph_input(struct graph *g, const char *name, enum dtype d, const struct dim *dim, int ndim, tid offsets);
tid graph_scalar(struct graph *g, const char *name); /* a live f32 (f64 in a DT_F64 graph) number, set before each run */
tid graph_param(struct graph *g, const char *name, enum dtype d, const struct dim *dim, int ndim, size_t offset, bool trainable); /* ROLE_PARAM */
tid graph_state(struct graph *g, const char *name, enum dtype d, const struct dim *dim, int ndim, size_t offset); /* ROLE_STATE */
tid graph_sum(struct graph *g, const char *name, enum dtype d, const struct dim *dim, int ndim); /* ROLE_GRAD: stays from run to run */
tid graph_const(struct graph *g, double v); /* one element, ROLE_CONST */
/* Adds a node. attr: value table of the op's arguments or NULL (borrowed). in: tids, -1 for an absent optional one. out gets op->n_out tids.
 * Returns the first output, or -1. A random op in a graph that is not training adds nothing: its first output is its first input. */
tid graph_add(struct graph *g, const char *op, const struct val *attr, const tid *in, int n_in, tid *out, struct err *e);
tid graph_add1(struct graph *g, const char *op, tid a, struct err *e); /* one input, no attr */
tid graph_add2(struct graph *g, const char *op, tid a, tid b, struct err *e);
tid graph_attr(struct graph *g, const char *op, const char *attr_line, const tid *in, int n_in, tid *out, struct err *e); /* attr as text "axis=1 keep=true" */
const struct tensor *graph_tensor(const struct graph *g, tid t);

/* engine/graph/grad.c: appends the backward nodes for d(sum of `loss` tid) with the seed tensor `dloss` (same shape as loss).
 * grad_of[n]: tid of the gradient of want[n], -1 if none flows. Row-sparse parameter gradients: see rows_of. */
int grad_build(struct graph *g, tid loss, tid dloss, const tid *want, int n_want, tid *grad_of, struct err *e);
tid grad_dense(struct graph *g, tid t, struct err *e); /* a row-sparse gradient as a dense one; another stays as it is */
/* Gradients (-1: none) become sums over micro-batches: each run of the backward phase adds to them, or begins anew where the scalar `first` is not 0. */
int grad_accumulate(struct graph *g, tid *grad, int n, tid first, struct err *e);
/* The same for one tensor. */
tid grad_sum(struct graph *g, const char *name, tid t, tid first, struct err *e);
/* The gradient of an embedding table is row-sparse: op "embedding_grad"/"embedding_bag_grad" gives out[0] values (T, D) compact,
 * out[1] row ids (T) i32, out[2] count (1) i32, out[3] slot of each table row or -1 (V) i32. True if t is such values; fills rows[0..2] with out 1..3. */
bool grad_rows(const struct graph *g, tid t, tid rows[3]);

/* engine/graph/recompute.c: after the gradient is built, before the plan. BLOCKS: parts are those of the nodes (graph.part); AUTO: they are chosen for the
 * least memory at these extents; LIGHT: functions of one number alone, whose input stays for the backward pass anyway. keep: tensors that are read from
 * outside. Returns how many nodes run twice. */
enum recompute { RECOMPUTE_NONE, RECOMPUTE_BLOCKS, RECOMPUTE_AUTO, RECOMPUTE_LIGHT };
int recompute_build(struct graph *g, enum recompute how, const struct extents *max, const tid *keep, int n_keep, struct err *e);

/* engine/graph/fuse.c: rewrites before the gradient is built (embedding + mean_pool -> embedding_bag ...). `loss` and names keep their tids valid. */
int fuse_forward(struct graph *g, struct err *e);
/* engine/graph/half.c: with mixed precision, tensors whose maker and all readers can take it are kept in graph->half. Last, before the plan. */
void half_store(struct graph *g, const tid *keep, int n_keep);
void graph_dump(const struct graph *g, struct buf *b);

#endif
