/* Other shapes over the same memory: flatten and reshape keep the first extent (the batch), view takes the whole shape. No values move. */
#include "engine/ops/kit.h"
#include "src/base/size.h"

struct reshape_args {
    struct arg_shape shape;
};

static bool product(const struct tensor *t, int from, int64_t *n) {
    struct dim d;
    if (!kit_flat(t, from, t->ndim, &d) || d.axis != AXIS_ONE) return false;
    *n = d.k;
    return true;
}
static int flatten_shape(struct shaping *s, struct err *e) {
    const struct tensor *x = s->in[0];
    int64_t n;
    if (x->ndim < 1 || !product(x, 1, &n)) return err_set(e, "only extents after the first can be joined, and none of them may be ragged");
    kit_like(&s->out[0], x);
    s->out[0].ndim = 2;
    s->out[0].dim[1] = (struct dim){n, AXIS_ONE};
    s->n_out = 1;
    return 0;
}
static int reshape_shape(struct shaping *s, struct err *e) {
    const struct reshape_args *a = s->attr;
    const struct tensor *x = s->in[0];
    int64_t n, have = 1;
    int open = -1;
    if (x->ndim < 1 || !product(x, 1, &n)) return err_set(e, "only extents after the first can be reshaped, and none of them may be ragged");
    kit_like(&s->out[0], x);
    s->out[0].ndim = a->shape.n + 1;
    if (s->out[0].ndim > TENSOR_DIMS) return err_set(e, "a tensor has at most %d extents", TENSOR_DIMS);
    for (int i = 0; i < a->shape.n; i++) {
        int64_t k = a->shape.d[i];
        if (k == -1 && open >= 0) return err_set(e, "only one extent may be -1");
        if (k == -1) open = i;
        else if (k < 1 || !size_mul_i64(have, k, &have)) return err_set(e, "the extent %lld is not positive", (long long)k);
        s->out[0].dim[i + 1] = (struct dim){k, AXIS_ONE};
    }
    if (open >= 0 && n % have == 0) {
        s->out[0].dim[open + 1].k = n / have;
        have = n;
    }
    if (have != n) return err_set(e, "the shape asked for holds %lld values an example, the input %lld", (long long)have, (long long)n);
    s->n_out = 1;
    return 0;
}
static int view_shape(struct shaping *s, struct err *e) {
    struct dim a, b;
    kit_dims_get(s->attr, &s->out[0]);
    s->out[0].dtype = s->in[0]->dtype;
    if (!kit_flat(s->in[0], 0, s->in[0]->ndim, &a) || !kit_flat(&s->out[0], 0, s->out[0].ndim, &b) || !dim_same(a, b))
        return err_set(e, "the shapes hold different numbers of values");
    s->n_out = 1;
    return 0;
}
static int any_grad(struct graph *g, const struct node *n, const tid *dout, tid *din, struct err *e) {
    return (din[0] = kit_add_take(g, "view", kit_dims_val(graph_tensor(g, n->in[0])), dout, 1, NULL, e)) < 0 ? -1 : 0;
}
static void view_ref(const struct exec *x) {
    if (x->out[0].data == x->in[0].data) return;
    for (int64_t i = 0; i < x->in[0].len; i++) view_put(&x->out[0], i, view_get(&x->in[0], i));
}

static const struct arg reshape_arg[] = {{.name = "shape",
                                             .help = "extents of one example; one may be -1",
                                             .type = ARG_SHAPE,
                                             .flags = ARG_POSITIONAL | ARG_REQUIRED,
                                             .offset = offsetof(struct reshape_args, shape)},
    {0}};
static const struct arg view_arg[] = {KIT_DIMS(struct kit_dims), {0}};
static const struct sample flatten_samples[] = {{NULL, "f(R,4)"}, {NULL, "f(R,3,5)"}, {NULL, "f(R,2,3,7)"}, {NULL, "f(R)"}, {0}};
static const struct sample reshape_samples[] = {{"shape={2,2}", "f(R,4)"}, {"shape={5,-1}", "f(R,3,5)"}, {"shape={-1}", "f(R,2,3,7)"}, {0}};
static const struct sample view_samples[] = {{"k={4,1} axis={0,1}", "f(R,4)"}, {"k={15} axis={1}", "f(R,3,5)"}, {"k={1,6,7} axis={1,0,0}", "f(R,2,3,7)"}, {0}};

const struct op ISA(op_flatten) = {.kind = {.name = "flatten", .help = "all values of an example in one row"},
    .in_min = 1,
    .in_max = 1,
    .n_out = 1,
    .flags = OP_LAYER | OP_VIEW,
    .shape = flatten_shape,
    .grad = any_grad,
    .ref = view_ref,
    .samples = flatten_samples};
const struct op ISA(op_reshape) = {
    .kind = {.name = "reshape", .help = "another shape for each example", .args = reshape_arg, .size = sizeof(struct reshape_args)},
    .in_min = 1,
    .in_max = 1,
    .n_out = 1,
    .flags = OP_LAYER | OP_VIEW,
    .shape = reshape_shape,
    .grad = any_grad,
    .ref = view_ref,
    .samples = reshape_samples};
const struct op ISA(op_view) = {.kind = {.name = "view", .help = "the same values in a whole new shape", .args = view_arg, .size = sizeof(struct kit_dims)},
    .in_min = 1,
    .in_max = 1,
    .n_out = 1,
    .flags = OP_VIEW,
    .shape = view_shape,
    .grad = any_grad,
    .ref = view_ref,
    .samples = view_samples};
