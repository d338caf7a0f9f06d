/* Layer normalisation over the last axis with gain (1) and bias (0) (Ba et al. 2016). */
#include "engine/graph/op.h"
#include "engine/layers/layer.h"

struct norm_args {
    double eps;
};

static int norm_build(struct builder *b, const void *args, const tid *in, int n_in, tid *out, struct err *e) {
    struct graph *g = build_graph(b);
    const struct tensor *x = graph_tensor(g, in[0]);
    (void)n_in;
    if (x->ndim < 1 || x->dim[x->ndim - 1].axis != AXIS_ONE) return err_set(e, "%s: layer_norm needs a fixed last extent", build_path(b));
    int64_t n = x->dim[x->ndim - 1].k;
    tid w = build_param(b, "weight", &n, 1, INIT_ONE, 0, e), z = w < 0 ? -1 : build_param(b, "bias", &n, 1, INIT_ZERO, 0, e), all[OP_OUT];
    if (z < 0) return -1;
    struct val *a = val_table();
    val_set_num(a, "eps", ((const struct norm_args *)args)->eps);
    tid ins[] = {in[0], w, z};
    *out = graph_add(g, "layer_norm", a, ins, 3, all, e);
    val_free(a);
    return *out < 0 ? -1 : 0;
}

static const struct arg norm_arg[] = {
    {.name = "eps", .help = "added to the variance", .def = "1e-5", .type = ARG_NUM, .offset = offsetof(struct norm_args, eps), .lo = 0, .hi = 1}, {0}};
extern const struct layer layer_layer_norm;
const struct layer layer_layer_norm = {.kind = {.name = "layer_norm",
                                           .help = "mean 0 and variance 1 over the last axis, then gain and bias",
                                           .example = "nn.layer_norm{}",
                                           .args = norm_arg,
                                           .size = sizeof(struct norm_args)},
    .in_min = 1,
    .in_max = 1,
    .build = norm_build};
