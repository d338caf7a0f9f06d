/* Layers over images (C, H, W): conv2d, batch_norm, pooling over windows, the padded shortcut. First weights as torch.nn.Conv2d: uniform in +-1/sqrt(inputs
 * of an output), weight and bias. batch_norm keeps its running mean and variance beside the weights under PyTorch's names. */
#include <math.h>
#include <string.h>

#include "engine/graph/op.h"
#include "engine/layers/layer.h"

struct conv_args {
    int64_t out;
    struct arg_shape k, stride, pad, dilation;
    int64_t groups;
    bool bias;
};
struct norm_args {
    double eps, momentum;
};
struct pool_args {
    struct arg_shape k, stride, pad;
};
struct short_args {
    int64_t out, stride;
};

static int64_t pick(const struct arg_shape *a, int i, int64_t def) { return a->n < 1 ? def : a->d[i < a->n ? i : 0]; }
static void set_shape(struct val *v, const char *name, const struct arg_shape *a) {
    if (!a->n) return;
    struct val *l = val_list();
    for (int i = 0; i < a->n; i++) val_push(l, val_int(a->d[i]));
    val_set(v, name, l);
}
static int need_images(struct builder *b, tid x, struct err *e) {
    const struct tensor *t = graph_tensor(build_graph(b), x);
    if (t->ndim == 4 && t->dim[0].axis == AXIS_R && t->dim[1].axis == AXIS_ONE && t->dim[2].axis == AXIS_ONE && t->dim[3].axis == AXIS_ONE) return 0;
    struct buf shape = BUF_INIT;
    tensor_shape(&shape, t);
    err_set(e, "%s: %s needs images (C, H, W), its input is %s", build_path(b), build_kind(b), shape.data);
    buf_release(&shape);
    return -1;
}
static int conv_build(struct builder *b, const void *args, const tid *in, int n_in, tid *out, struct err *e) {
    const struct conv_args *a = args;
    struct graph *g = build_graph(b);
    (void)n_in;
    if (need_images(b, in[0], e) < 0) return -1;
    int64_t c = graph_tensor(g, in[0])->dim[1].k, dim[4] = {a->out, c / a->groups, pick(&a->k, 0, 3), pick(&a->k, 1, 3)};
    if (a->k.n > 2 || a->stride.n > 2 || a->pad.n > 2 || a->dilation.n > 2)
        return err_set(e, "%s: sizes of conv2d are one number or {height, width}", build_path(b));
    if (c % a->groups || a->out % a->groups || dim[2] < 1 || dim[3] < 1 || dim[2] > 4096 || dim[3] > 4096)
        return err_set(e, "%s: %lld groups do not divide %lld input and %lld output channels, or the kernel is not 1 to 4096 wide", build_path(b),
            (long long)a->groups, (long long)c, (long long)a->out);
    double r = 1 / sqrt((double)(dim[1] * dim[2] * dim[3]));
    tid w = build_param(b, "weight", dim, 4, INIT_UNIFORM, r, e), z = w >= 0 && a->bias ? build_param(b, "bias", dim, 1, INIT_UNIFORM, r, e) : -1;
    if (w < 0 || (a->bias && z < 0)) return -1;
    struct val *v = val_table();
    set_shape(v, "stride", &a->stride);
    set_shape(v, "pad", &a->pad);
    set_shape(v, "dilation", &a->dilation);
    val_set_int(v, "groups", a->groups);
    tid ins[] = {in[0], w, z};
    *out = graph_add(g, "conv2d", v, ins, a->bias ? 3 : 2, out, e);
    val_free(v);
    return *out < 0 ? -1 : 0;
}
static int norm_build(struct builder *b, const void *args, const tid *in, int n_in, tid *out, struct err *e) {
    const struct norm_args *a = args;
    struct graph *g = build_graph(b);
    const struct tensor *x = graph_tensor(g, in[0]);
    tid all[OP_OUT];
    (void)n_in;
    if (x->ndim < 2 || x->dim[1].axis != AXIS_ONE) return err_set(e, "%s: batch_norm needs channels: (C), (C, L) or (C, H, W)", build_path(b));
    int64_t c = x->dim[1].k;
    tid w = build_param(b, "weight", &c, 1, INIT_ONE, 0, e), z = w < 0 ? -1 : build_param(b, "bias", &c, 1, INIT_ZERO, 0, e);
    tid mean = z < 0 ? -1 : build_buffer(b, "running_mean", &c, 1, INIT_ZERO, e), var = mean < 0 ? -1 : build_buffer(b, "running_var", &c, 1, INIT_ONE, e);
    if (var < 0) return -1;
    struct val *v = val_table();
    val_set_num(v, "eps", a->eps);
    val_set_bool(v, "train", g->training);
    *out = graph_add(g, "batch_norm", v, (tid[]){in[0], w, z, mean, var}, 5, all, e);
    val_free(v);
    if (*out < 0 || !g->training) return *out < 0 ? -1 : 0;
    enum phase phase = g->phase;
    v = val_table();
    val_set_num(v, "momentum", a->momentum);
    g->phase = PHASE_BUFFERS;
    tid two[OP_OUT], rc = graph_add(g, "batch_norm_update", v, (tid[]){mean, var, all[1], all[3]}, 4, two, e);
    g->phase = phase;
    val_free(v);
    return rc < 0 ? -1 : 0;
}
static int pool_build(struct builder *b, const void *args, const tid *in, int n_in, tid *out, struct err *e) {
    const struct pool_args *a = args;
    (void)n_in;
    if (need_images(b, in[0], e) < 0) return -1;
    struct val *v = val_table();
    set_shape(v, "k", &a->k);
    set_shape(v, "stride", &a->stride);
    set_shape(v, "pad", &a->pad);
    *out = graph_add(build_graph(b), build_kind(b), v, in, 1, out, e);
    val_free(v);
    return *out < 0 ? -1 : 0;
}
static int global_max_build(struct builder *b, const void *args, const tid *in, int n_in, tid *out, struct err *e) {
    (void)args;
    (void)n_in;
    if (need_images(b, in[0], e) < 0) return -1;
    const struct tensor *x = graph_tensor(build_graph(b), in[0]);
    struct arg_shape all = {.n = 2, .d = {x->dim[2].k, x->dim[3].k}};
    struct val *v = val_table();
    set_shape(v, "k", &all);
    *out = graph_add(build_graph(b), "max_pool2d", v, in, 1, NULL, e);
    val_free(v);
    return *out < 0 || (*out = graph_add1(build_graph(b), "flatten", *out, e)) < 0 ? -1 : 0;
}
static int short_build(struct builder *b, const void *args, const tid *in, int n_in, tid *out, struct err *e) {
    const struct short_args *a = args;
    (void)n_in;
    if (need_images(b, in[0], e) < 0) return -1;
    struct val *v = val_table();
    val_set_int(v, "out", a->out);
    val_set_int(v, "stride", a->stride);
    *out = graph_add(build_graph(b), "pad_shortcut", v, in, 1, out, e);
    val_free(v);
    return *out < 0 ? -1 : 0;
}

#define SIZE(T, n, h, f) \
    { .name = #n, .help = h, .type = ARG_SHAPE, .flags = f, .offset = offsetof(struct T, n) }
#define COUNT(T, n, h, d, f, most) \
    { .name = #n, .help = h, .def = d, .type = ARG_INT, .flags = f, .offset = offsetof(struct T, n), .lo = 1, .hi = most }
static const struct arg conv_arg[] = {COUNT(conv_args, out, "output channels", NULL, ARG_POSITIONAL | ARG_REQUIRED, 1 << 20),
    SIZE(conv_args, k, "kernel, one number or {height, width}; default 3", ARG_POSITIONAL),
    SIZE(conv_args, stride, "pixels from one output to the next; default 1", 0), SIZE(conv_args, pad, "zero pixels at each side; default 0", 0),
    SIZE(conv_args, dilation, "pixels from one tap to the next; default 1", 0),
    COUNT(conv_args, groups, "channel groups that do not see each other", "1", 0, 1 << 20),
    {.name = "bias", .help = "adds a bias", .def = "true", .type = ARG_BOOL, .offset = offsetof(struct conv_args, bias)}, {0}};
static const struct arg norm_arg[] = {
    {.name = "eps", .help = "added to the variance", .def = "1e-5", .type = ARG_NUM, .offset = offsetof(struct norm_args, eps), .lo = 0, .hi = 1},
    {.name = "momentum",
        .help = "share of a batch in the running statistics",
        .def = "0.1",
        .type = ARG_NUM,
        .offset = offsetof(struct norm_args, momentum),
        .lo = 0,
        .hi = 1},
    {0}};
static const struct arg pool_arg[] = {SIZE(pool_args, k, "window; default 2", ARG_POSITIONAL),
    SIZE(pool_args, stride, "step of the window; default its size", 0), SIZE(pool_args, pad, "pixels added at each side; default 0", 0), {0}};
static const struct arg short_arg[] = {COUNT(short_args, out, "output channels", NULL, ARG_POSITIONAL | ARG_REQUIRED, 1 << 20),
    COUNT(short_args, stride, "every stride-th pixel", "2", ARG_POSITIONAL, 4096), {0}};
#define LAYER(n, h, ex, args_, T, build_) \
    extern const struct layer layer_##n;  \
    const struct layer layer_##n = {      \
        .kind = {.name = #n, .help = h, .example = ex, .args = args_, .size = sizeof(struct T)}, .in_min = 1, .in_max = 1, .build = build_};
LAYER(conv2d, "convolution of images", "nn.conv2d{ 16, 3, pad=1 }", conv_arg, conv_args, conv_build)
LAYER(batch_norm, "mean 0 and variance 1 of each channel over the batch, then gain and bias", "nn.batch_norm{}", norm_arg, norm_args, norm_build)
LAYER(max_pool2d, "maximum over windows of images", "nn.max_pool2d{ 2 }", pool_arg, pool_args, pool_build)
LAYER(avg_pool2d, "mean over windows of images", "nn.avg_pool2d{ 2 }", pool_arg, pool_args, pool_build)
extern const struct layer layer_global_max_pool;
const struct layer layer_global_max_pool = {
    .kind = {.name = "global_max_pool", .help = "maximum over all pixels of each channel", .example = "nn.global_max_pool{}"},
    .in_min = 1,
    .in_max = 1,
    .build = global_max_build};
LAYER(pad_shortcut, "fewer pixels and zero channels: a residual path without weights", "nn.pad_shortcut{ 32 }", short_arg, short_args, short_build)
