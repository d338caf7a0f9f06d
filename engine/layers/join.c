/* Layers of several inputs: add, mul, concat; and residual, whose layers' result is added to its own input. */
#include "engine/graph/op.h"
#include "engine/layers/layer.h"

struct concat_args {
    int64_t axis;
};
struct residual_args {
    struct val *layers;
    double drop;
};

static int fold_build(struct builder *b, const void *args, const tid *in, int n_in, tid *out, struct err *e) {
    (void)args;
    *out = in[0];
    for (int i = 1; i < n_in; i++)
        if ((*out = graph_add2(build_graph(b), build_kind(b), *out, in[i], e)) < 0) return -1;
    return 0;
}
static int concat_build(struct builder *b, const void *args, const tid *in, int n_in, tid *out, struct err *e) {
    struct val *a = val_table();
    val_set_int(a, "axis", ((const struct concat_args *)args)->axis);
    *out = graph_add(build_graph(b), "concat", a, in, n_in, out, e);
    val_free(a);
    return *out < 0 ? -1 : 0;
}
static int residual_build(struct builder *b, const void *args, const tid *in, int n_in, tid *out, struct err *e) {
    const struct residual_args *a = args;
    struct graph *g = build_graph(b);
    tid y, p;
    (void)n_in;
    build_part(b);
    if (build_chain(b, a->layers, in[0], &y, e) < 0) return -1;
    if (g->training && a->drop > 0) {
        tid off = graph_tensor(g, y)->offsets;
        if ((p = build_live(b, "drop", a->drop, e)) < 0 || (y = graph_attr(g, "drop_path", NULL, (tid[]){y, p, off}, off < 0 ? 2 : 3, NULL, e)) < 0) return -1;
    }
    return (*out = graph_add2(build_graph(b), "add", in[0], y, e)) < 0 ? -1 : 0;
}

static const struct arg concat_arg[] = {{.name = "axis",
                                            .help = "which axis grows, -1 the last; 0 is the batch",
                                            .def = "-1",
                                            .type = ARG_INT,
                                            .flags = ARG_POSITIONAL,
                                            .offset = offsetof(struct concat_args, axis),
                                            .lo = -6,
                                            .hi = 5},
    {0}};
static const struct arg residual_arg[] = {{.name = "layers",
                                              .help = "the layers inside",
                                              .type = ARG_TABLE,
                                              .flags = ARG_POSITIONAL | ARG_REST | ARG_REQUIRED,
                                              .offset = offsetof(struct residual_args, layers)},
    {.name = "drop",
        .help = "share of the examples that skip the layers inside in training (stochastic depth)",
        .def = "0",
        .type = ARG_NUM,
        .flags = ARG_LIVE,
        .offset = offsetof(struct residual_args, drop),
        .lo = 0,
        .hi = 0.999},
    {0}};
#define JOIN(n, h, ex, lo, hi, build_, args_, size_) \
    extern const struct layer layer_##n;             \
    const struct layer layer_##n = {.kind = {.name = #n, .help = h, .example = ex, .args = args_, .size = size_}, .in_min = lo, .in_max = hi, .build = build_};
JOIN(add, "sum of its inputs", "nn.add{ from={\"a\", \"b\"} }", 2, OP_IN, fold_build, NULL, 0)
JOIN(mul, "product of its inputs", "nn.mul{ from={\"a\", \"b\"} }", 2, OP_IN, fold_build, NULL, 0)
JOIN(concat, "its inputs side by side", "nn.concat{ from={\"a\", \"b\"} }", 2, OP_IN, concat_build, concat_arg, sizeof(struct concat_args))
JOIN(residual, "x + layers(x)", "nn.residual{ nn.linear{ 64 }, nn.relu{} }", 1, 1, residual_build, residual_arg, sizeof(struct residual_args))
