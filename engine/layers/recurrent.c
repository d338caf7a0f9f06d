/* LSTM and GRU over packed texts: several layers, one or two directions, dropout between layers. Parameters have PyTorch's names (weight_ih_l0,
 * bias_hh_l1_reverse ..) and first values (torch.nn.RNNBase.reset_parameters: uniform in +-1/sqrt(units)). Without padding the second direction starts at the
 * last token of each text. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "engine/graph/op.h"
#include "engine/layers/layer.h"

struct rnn_args {
    int64_t units, num_layers;
    bool bidirectional, bias;
    double dropout;
    int states;
};
enum { STATES_ALL, STATES_LAST };

/* Products with the input, weight and bias of one direction: in[0..2]. */
static int direction(struct builder *b, const struct rnn_args *a, tid x, int64_t gates, int64_t layer, bool reverse, tid *in, struct err *e) {
    struct graph *g = build_graph(b);
    const struct tensor *t = graph_tensor(g, x);
    int64_t ih[2] = {gates * a->units, t->dim[1].k}, hh[2] = {gates * a->units, a->units};
    double r = 1 / sqrt((double)a->units);
    static const char *const names[] = {"weight_ih", "weight_hh", "bias_ih", "bias_hh"};
    tid p[4] = {-1, -1, -1, -1}, ins[4] = {x, -1, -1, -1};
    int n = 2;
    for (int i = 0; i < (a->bias ? 4 : 2); i++) {
        char name[48];
        snprintf(name, sizeof name, "%s_l%lld%s", names[i], (long long)layer, reverse ? "_reverse" : "");
        p[i] = i ? build_param(b, name, i == 1 ? hh : ih, i < 2 ? 2 : 1, INIT_UNIFORM, r, e) : build_matrix(b, name, ih, r, e);
        if (p[i] < 0) return -1;
        if (i == 0 && build_is_i8(b, p[0]) && (ins[n++] = build_scale(b, name, ih[0], e)) < 0) return -1;
    }
    bool i8 = n > 2;
    ins[1] = p[0];
    if (a->bias) ins[n++] = p[2];
    in[1] = p[1], in[2] = p[3];
    return (in[0] = graph_add(g, i8 ? "linear_i8" : "linear", NULL, ins, n, NULL, e)) < 0 ? -1 : 0;
}
static int rnn_build(struct builder *b, const void *args, const tid *in, int n_in, tid *out, struct err *e) {
    const struct rnn_args *a = args;
    struct graph *g = build_graph(b);
    const struct tensor *t = graph_tensor(g, in[0]);
    int64_t gates = strcmp(build_kind(b), "lstm") == 0 ? 4 : 3;
    tid off = t->offsets, x = in[0], p = -1, all[OP_OUT];
    (void)n_in;
    if (off < 0 || t->ndim != 2 || t->dim[1].axis != AXIS_ONE || !dtypes[t->dtype].is_float)
        return err_set(
            e, "%s: %s works on the tokens of texts or frames of rows: put an embedding or frames{} before it and no pooling", build_path(b), build_kind(b));
    if (g->training && a->dropout > 0 && a->num_layers > 1 && (p = build_live(b, "dropout", a->dropout, e)) < 0) return -1;
    for (int64_t l = 0; l < a->num_layers; l++) {
        tid ins[7] = {off, -1, -1, -1, -1, -1, -1};
        if (l && p >= 0 && (x = graph_add2(g, "dropout", x, p, e)) < 0) return -1;
        for (int d = 0; d < (a->bidirectional ? 2 : 1); d++)
            if (direction(b, a, x, gates, l, d, ins + 1 + 3 * d, e) < 0) return -1;
        if ((x = graph_add(g, build_kind(b), NULL, ins, a->bidirectional ? 7 : 4, all, e)) < 0) return -1;
    }
    *out = x;
    if (a->states == STATES_LAST) *out = graph_attr(g, "last_state", a->bidirectional ? "dirs=2" : NULL, (tid[]){x, off}, 2, NULL, e);
    return *out < 0 ? -1 : 0;
}

static const char *const states[] = {"all", "last", NULL};
static const struct arg rnn_arg[] = {{.name = "units",
                                         .help = "values of the state, a direction",
                                         .type = ARG_INT,
                                         .flags = ARG_POSITIONAL | ARG_REQUIRED,
                                         .offset = offsetof(struct rnn_args, units),
                                         .lo = 1,
                                         .hi = 1 << 16},
    {.name = "num_layers", .help = "layers above each other", .def = "1", .type = ARG_INT, .offset = offsetof(struct rnn_args, num_layers), .lo = 1, .hi = 64},
    {.name = "bidirectional",
        .help = "a second direction reads from the end; both lie side by side",
        .def = "false",
        .type = ARG_BOOL,
        .offset = offsetof(struct rnn_args, bidirectional)},
    {.name = "bias", .help = "products add a bias", .def = "true", .type = ARG_BOOL, .offset = offsetof(struct rnn_args, bias)},
    {.name = "dropout",
        .help = "share of values dropped between layers in training",
        .def = "0",
        .type = ARG_NUM,
        .flags = ARG_LIVE,
        .offset = offsetof(struct rnn_args, dropout),
        .lo = 0,
        .hi = 0.999},
    {.name = "states",
        .help = "gives all states, one a token, or the last of each text",
        .def = "all",
        .type = ARG_ENUM,
        .offset = offsetof(struct rnn_args, states),
        .names = states},
    {0}};
#define RNN(n, h)                                                                                                                             \
    extern const struct layer layer_##n;                                                                                                      \
    const struct layer layer_##n = {                                                                                                          \
        .kind = {.name = #n, .help = h, .example = "nn." #n "{ 128, bidirectional=true }", .args = rnn_arg, .size = sizeof(struct rnn_args)}, \
        .in_min = 1,                                                                                                                          \
        .in_max = 1,                                                                                                                          \
        .build = rnn_build};
RNN(lstm, "long short-term memory over the tokens of each text")
RNN(gru, "gated recurrent unit over the tokens of each text")
