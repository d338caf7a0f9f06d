/* Normalisations without statistics of a batch: group_norm (Wu and He 2018) and rms_norm (Zhang and Sennrich 2019), with gain (1) and, of group_norm, bias
 * (0). */
#include "engine/graph/op.h"
#include "engine/layers/layer.h"

struct group_args {
    int64_t groups;
    double eps;
};
struct rms_args {
    double eps;
};

static int group_build(struct builder *b, const void *args, const tid *in, int n_in, tid *out, struct err *e) {
    const struct group_args *a = args;
    const struct tensor *x = graph_tensor(build_graph(b), in[0]);
    (void)n_in;
    if (x->ndim < 2 || x->dim[1].axis != AXIS_ONE) return err_set(e, "%s: group_norm needs channels: (C), (C, L) or (C, H, W)", build_path(b));
    int64_t c = x->dim[1].k;
    if (c % a->groups) return err_set(e, "%s: %lld groups do not divide %lld channels", build_path(b), (long long)a->groups, (long long)c);
    tid w = build_param(b, "weight", &c, 1, INIT_ONE, 0, e), z = w < 0 ? -1 : build_param(b, "bias", &c, 1, INIT_ZERO, 0, e), all[OP_OUT];
    if (z < 0) return -1;
    struct val *v = val_table();
    val_set_int(v, "groups", a->groups);
    val_set_num(v, "eps", a->eps);
    *out = graph_add(build_graph(b), "group_norm", v, (tid[]){in[0], w, z}, 3, all, e);
    val_free(v);
    return *out < 0 ? -1 : 0;
}
static int rms_build(struct builder *b, const void *args, const tid *in, int n_in, tid *out, struct err *e) {
    const struct tensor *x = graph_tensor(build_graph(b), in[0]);
    (void)n_in;
    if (x->ndim < 1 || x->dim[x->ndim - 1].axis != AXIS_ONE) return err_set(e, "%s: rms_norm needs a fixed last extent", build_path(b));
    int64_t n = x->dim[x->ndim - 1].k;
    tid w = build_param(b, "weight", &n, 1, INIT_ONE, 0, e), all[OP_OUT];
    if (w < 0) return -1;
    struct val *v = val_table();
    val_set_num(v, "eps", ((const struct rms_args *)args)->eps);
    *out = graph_add(build_graph(b), "rms_norm", v, (tid[]){in[0], w}, 2, all, e);
    val_free(v);
    return *out < 0 ? -1 : 0;
}

#define EPS(T, d) \
    { .name = "eps", .help = "added to what is divided by", .def = d, .type = ARG_NUM, .offset = offsetof(struct T, eps), .lo = 0, .hi = 1 }
static const struct arg group_arg[] = {{.name = "groups",
                                           .help = "groups of channels; 1: all together, as many as channels: each alone",
                                           .type = ARG_INT,
                                           .flags = ARG_POSITIONAL | ARG_REQUIRED,
                                           .offset = offsetof(struct group_args, groups),
                                           .lo = 1,
                                           .hi = 1 << 20},
    EPS(group_args, "1e-5"), {0}};
static const struct arg rms_arg[] = {EPS(rms_args, "1e-6"), {0}};
extern const struct layer layer_group_norm, layer_rms_norm;
const struct layer layer_group_norm = {.kind = {.name = "group_norm",
                                           .help = "mean 0 and variance 1 over groups of channels of each example, then gain and bias",
                                           .example = "nn.group_norm{ 8 }",
                                           .args = group_arg,
                                           .size = sizeof(struct group_args)},
    .in_min = 1,
    .in_max = 1,
    .build = group_build};
const struct layer layer_rms_norm = {.kind = {.name = "rms_norm",
                                         .help = "mean square 1 over the last axis, then gain",
                                         .example = "nn.rms_norm{}",
                                         .args = rms_arg,
                                         .size = sizeof(struct rms_args)},
    .in_min = 1,
    .in_max = 1,
    .build = rms_build};
