/* Convolution over the tokens or frames of texts; first weights as torch.nn.Conv1d: uniform in +-1/sqrt(inputs of an output), weight and bias. With a
 * stride the layer behind it sees ceil(n / stride) tokens of a text of n. */
#include <math.h>

#include "engine/graph/derive.h"
#include "engine/layers/layer.h"

struct conv_args {
    int64_t out, k, stride, dilation, groups;
    int pad;
    bool bias;
};
static const char *const pads[] = {"same", "causal", NULL};

static int conv_build(struct builder *b, const void *args, const tid *in, int n_in, tid *out, struct err *e) {
    const struct conv_args *a = args;
    struct graph *g = build_graph(b);
    const struct tensor *x = graph_tensor(g, in[0]);
    (void)n_in;
    if (x->offsets < 0 || x->ndim != 2 || x->dim[1].axis != AXIS_ONE || !dtypes[x->dtype].is_float)
        return err_set(e, "%s: conv1d works on the tokens of texts or frames of rows: put an embedding or frames{} before it and no pooling", build_path(b));
    int64_t c = x->dim[1].k, dim[3] = {a->out, c / a->groups, a->k};
    if (c % a->groups || a->out % a->groups)
        return err_set(
            e, "%s: %lld groups do not divide %lld input and %lld output channels", build_path(b), (long long)a->groups, (long long)c, (long long)a->out);
    double r = 1 / sqrt((double)(dim[1] * dim[2]));
    tid off = x->offsets, w = build_param(b, "weight", dim, 3, INIT_UNIFORM, r, e),
        z = w >= 0 && a->bias ? build_param(b, "bias", dim, 1, INIT_UNIFORM, r, e) : -1, own = -1;
    if (w < 0 || (a->bias && z < 0)) return -1;
    int axis = a->stride > 1 ? derive_strided(g, in[0], a->stride, &own, e) : 0;
    if (axis < 0) return -1;
    struct val *v = val_table();
    val_set_int(v, "stride", a->stride);
    val_set_int(v, "dilation", a->dilation);
    val_set_int(v, "groups", a->groups);
    val_set_str(v, "pad", pads[a->pad]);
    val_set_int(v, "axis", axis);
    tid ins[] = {in[0], w, off, z, own};
    *out = graph_add(g, "conv1d", v, ins, own >= 0 ? 5 : 4, NULL, e);
    val_free(v);
    if (*out >= 0 && own >= 0) g->tensor[*out].offsets = own;
    return *out < 0 ? -1 : 0;
}

#define COUNT(n, h, d, f, most) \
    { .name = #n, .help = h, .def = d, .type = ARG_INT, .flags = f, .offset = offsetof(struct conv_args, n), .lo = 1, .hi = most }
static const struct arg conv_arg[] = {COUNT(out, "output channels", NULL, ARG_POSITIONAL | ARG_REQUIRED, 1 << 20), COUNT(k, "taps", "3", ARG_POSITIONAL, 4096),
    COUNT(stride, "tokens from one output to the next", "1", 0, 4096),
    {.name = "pad",
        .help = "zeros at both ends of each text, or all before its first token",
        .def = "same",
        .type = ARG_ENUM,
        .offset = offsetof(struct conv_args, pad),
        .names = pads},
    COUNT(dilation, "tokens from one tap to the next", "1", 0, 4096), COUNT(groups, "channel groups that do not see each other", "1", 0, 1 << 20),
    {.name = "bias", .help = "adds a bias", .def = "true", .type = ARG_BOOL, .offset = offsetof(struct conv_args, bias)}, {0}};
extern const struct layer layer_conv1d;
const struct layer layer_conv1d = {.kind = {.name = "conv1d",
                                       .help = "convolution over the tokens of each text",
                                       .example = "nn.conv1d{ 100, 3 }",
                                       .args = conv_arg,
                                       .size = sizeof(struct conv_args)},
    .in_min = 1,
    .in_max = 1,
    .build = conv_build};
