/* A linear layer with optional bias and activation. Weights start as in PyTorch: uniform in +-1/sqrt(inputs), weight and bias
 * (kaiming_uniform with a = sqrt 5, torch.nn.Linear.reset_parameters). */
#include <math.h>

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
    int64_t k = x->dim[x->ndim - 1].k, dim[2] = {a->out, k};
    double r = k > 0 ? 1 / sqrt((double)k) : 0;
    tid w = build_param(b, "weight", dim, 2, INIT_UNIFORM, r, e);
    if (w < 0) return -1;
    tid bias = a->bias ? build_param(b, "bias", dim, 1, INIT_UNIFORM, r, e) : -1;
    if (a->bias && bias < 0) return -1;
    tid ins[] = {in[0], w, bias};
    *out = graph_add(g, "linear", NULL, ins, a->bias ? 3 : 2, out, e);
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
