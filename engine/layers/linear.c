/* A linear layer with optional bias and activation (dense.c), and the gated ones (Shazeer 2020): a product of twice the width whose halves meet as act(a) b. */
#include <string.h>

#include "engine/layers/layer.h"

struct linear_args {
    int64_t out;
    bool bias;
    int act;
};
static const char *const acts[] = {"none", "relu", "gelu", "tanh", "sigmoid", "silu", "leaky_relu", "elu", "softplus", NULL};
static const char *const gated[][2] = {{"swiglu", "act=silu gate=first"}, {"geglu", "act=gelu gate=first"}, {"reglu", "act=relu gate=first"}};

static int linear_build(struct builder *b, const void *args, const tid *in, int n_in, tid *out, struct err *e) {
    const struct linear_args *a = args;
    struct graph *g = build_graph(b);
    const struct tensor *x = graph_tensor(g, in[0]);
    (void)n_in;
    if (x->ndim < 1 || x->dim[x->ndim - 1].axis != AXIS_ONE) {
        struct buf shape = BUF_INIT;
        tensor_shape(&shape, x);
        err_set(
            e, "%s: a linear layer needs a fixed number of values, its input is %s: put an embedding or a pooling layer before it", build_path(b), shape.data);
        buf_release(&shape);
        return -1;
    }
    const char *gate = NULL;
    for (size_t i = 0; i < sizeof gated / sizeof *gated; i++)
        if (strcmp(build_kind(b), gated[i][0]) == 0) gate = gated[i][1];
    *out = build_dense(b, "", in[0], gate ? 2 * a->out : a->out, a->bias, e);
    if (*out >= 0 && gate) *out = graph_attr(g, "glu", gate, out, 1, NULL, e);
    else if (*out >= 0 && a->act > 0) *out = graph_add1(g, acts[a->act], *out, e);
    return *out < 0 ? -1 : 0;
}

#define SIZES                                                                                                                \
    {.name = "out",                                                                                                          \
        .help = "number of outputs",                                                                                         \
        .type = ARG_INT,                                                                                                     \
        .flags = ARG_POSITIONAL | ARG_REQUIRED,                                                                              \
        .offset = offsetof(struct linear_args, out),                                                                         \
        .lo = 1,                                                                                                             \
        .hi = 1 << 24},                                                                                                      \
    {                                                                                                                        \
        .name = "bias", .help = "adds a bias", .def = "true", .type = ARG_BOOL, .offset = offsetof(struct linear_args, bias) \
    }
static const struct arg linear_arg[] = {
    SIZES, {.name = "act", .help = "activation behind it", .def = "none", .type = ARG_ENUM, .offset = offsetof(struct linear_args, act), .names = acts}, {0}};
static const struct arg gated_arg[] = {SIZES, {0}};
#define LAYER(n, h, ex, args_)           \
    extern const struct layer layer_##n; \
    const struct layer layer_##n = {     \
        .kind = {.name = #n, .help = h, .example = ex, .args = args_, .size = sizeof(struct linear_args)}, .in_min = 1, .in_max = 1, .build = linear_build};
LAYER(linear, "fully connected: x weight^T + bias", "nn.linear{ 128, act=\"relu\" }", linear_arg)
LAYER(swiglu, "silu of one linear map times another", "nn.swiglu{ 128 }", gated_arg)
LAYER(geglu, "gelu of one linear map times another", "nn.geglu{ 128 }", gated_arg)
LAYER(reglu, "relu of one linear map times another", "nn.reglu{ 128 }", gated_arg)
