/* A linear layer with optional bias and activation (dense.c). */
#include "engine/layers/layer.h"

struct linear_args { int64_t out; bool bias; int act; };
static const char *const acts[] = {"none", "relu", "gelu", "tanh", "sigmoid", "silu", "leaky_relu", "elu", "softplus", NULL};

static int linear_build(struct builder *b, const void *args, const tid *in, int n_in, tid *out, struct err *e) {
    const struct linear_args *a = args;
    struct graph *g = build_graph(b);
    const struct tensor *x = graph_tensor(g, in[0]);
    (void)n_in;
    if (x->ndim < 1 || x->dim[x->ndim - 1].axis != AXIS_ONE) {
        struct buf shape = BUF_INIT;
        tensor_shape(&shape, x);
        err_set(e, "%s: a linear layer needs a fixed number of values, its input is %s: put an embedding or a pooling layer before it", build_path(b), shape.data);
        buf_release(&shape);
        return -1;
    }
    *out = build_dense(b, "", in[0], a->out, a->bias, e);
    if (*out >= 0 && a->act > 0) *out = graph_add1(g, acts[a->act], *out, e);
    return *out < 0 ? -1 : 0;
}

static const struct arg linear_arg[] = {
    {.name = "out", .help = "number of outputs", .type = ARG_INT, .flags = ARG_POSITIONAL | ARG_REQUIRED, .offset = offsetof(struct linear_args, out), .lo = 1, .hi = 1 << 24},
    {.name = "bias", .help = "adds a bias", .def = "true", .type = ARG_BOOL, .offset = offsetof(struct linear_args, bias)},
    {.name = "act", .help = "activation behind it", .def = "none", .type = ARG_ENUM, .offset = offsetof(struct linear_args, act), .names = acts},
    {0}};
extern const struct layer layer_linear;
const struct layer layer_linear = {
    .kind = {.name = "linear", .help = "fully connected: x weight^T + bias", .example = "nn.linear{ 128, act=\"relu\" }", .args = linear_arg, .size = sizeof(struct linear_args)},
    .in_min = 1, .in_max = 1, .build = linear_build};
