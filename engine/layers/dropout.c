/* Dropout: acts in training only. Its probability is live: run:set("PATH.p", v). */
#include "engine/layers/layer.h"

struct dropout_args {
    double p;
};

static int dropout_build(struct builder *b, const void *args, const tid *in, int n_in, tid *out, struct err *e) {
    struct graph *g = build_graph(b);
    (void)n_in;
    *out = in[0];
    if (!g->training) return 0;
    tid p = build_live(b, "p", ((const struct dropout_args *)args)->p, e);
    return p < 0 || (*out = graph_add2(g, "dropout", in[0], p, e)) < 0 ? -1 : 0;
}

static const struct arg dropout_arg[] = {{.name = "p",
                                             .help = "share of values set to 0",
                                             .def = "0.5",
                                             .type = ARG_NUM,
                                             .flags = ARG_POSITIONAL | ARG_LIVE,
                                             .offset = offsetof(struct dropout_args, p),
                                             .lo = 0,
                                             .hi = 0.999},
    {0}};
extern const struct layer layer_dropout;
const struct layer layer_dropout = {.kind = {.name = "dropout",
                                        .help = "sets a random share of the values to 0 in training",
                                        .example = "nn.dropout{ 0.2 }",
                                        .args = dropout_arg,
                                        .size = sizeof(struct dropout_args)},
    .in_min = 1,
    .in_max = 1,
    .build = dropout_build};
