/* A table of vectors by id; uniform in (-0.05, 0.05) at the start. Without n the table has a row for each id of the data. embedding_bag gives their mean,
 * sum or maximum over each text; mean and sum use the token weights of the data where it has some. */
#include <string.h>

#include "engine/graph/op.h"
#include "engine/layers/layer.h"

struct embedding_args {
    int64_t n, dim;
    int mode;
};
static const char *const modes[] = {"mean", "sum", "max", NULL};
enum { MEAN, SUM, MAX };

/* in: ids, table and, of a table in 8 bits, its scales */
static int bag_build(struct builder *b, const struct embedding_args *a, const tid *in, bool i8, tid *out, struct err *e) {
    struct graph *g = build_graph(b);
    tid off = graph_tensor(g, in[0])->offsets, weight = build_weights(b, in[0]), bag[] = {in[0], in[1], off, weight}, all[OP_OUT];
    if (off < 0) return err_set(e, "%s: embedding_bag works over the ids of texts, its input has no lengths: use embedding{} and flatten{}", build_path(b));
    if (a->mode != MAX && !i8)
        return (*out = graph_attr(g, "embedding_bag", a->mode == SUM ? "mode=sum" : NULL, bag, weight >= 0 ? 4 : 3, NULL, e)) < 0 ? -1 : 0;
    static const char *const pools[] = {"mean_pool", "sum_pool", "max_pool"};
    if ((*out = graph_attr(g, i8 ? "embedding_i8" : "embedding", NULL, in, i8 ? 3 : 2, NULL, e)) < 0) return -1;
    *out = graph_add(g, pools[a->mode], NULL, (tid[]){*out, off, weight}, a->mode != MAX && weight >= 0 ? 3 : 2, all, e);
    return *out < 0 ? -1 : 0;
}

static int embedding_build(struct builder *b, const void *args, const tid *in, int n_in, tid *out, struct err *e) {
    const struct embedding_args *a = args;
    int64_t ids = build_ids(b, in[0]), n = a->n == ARG_NONE_INT ? ids : a->n;
    (void)n_in;
    if (graph_tensor(build_graph(b), in[0])->dtype != DT_I32) return err_set(e, "%s: %s takes ids, its input holds numbers", build_path(b), build_kind(b));
    if (n < 1) return err_set(e, "%s: say how many ids there are: %s{ n, dim }", build_path(b), build_kind(b));
    if (ids > n) return err_set(e, "%s: the table has %lld rows but the input has %lld ids: make n at least that", build_path(b), (long long)n, (long long)ids);
    int64_t dim[2] = {n, a->dim};
    tid ins[3] = {in[0], build_param(b, "weight", dim, 2, INIT_UNIFORM, 0.05, e), -1};
    if (ins[1] < 0) return -1;
    bool i8 = build_is_i8(b, ins[1]);
    if (i8 && (ins[2] = build_scale(b, "weight", n, e)) < 0) return -1;
    if (strcmp(build_kind(b), "embedding_bag") == 0) return bag_build(b, a, ins, i8, out, e);
    return (*out = graph_attr(build_graph(b), i8 ? "embedding_i8" : "embedding", NULL, ins, i8 ? 3 : 2, NULL, e)) < 0 ? -1 : 0;
}

#define SIZES                                                                                                                                              \
    {.name = "n",                                                                                                                                          \
        .help = "number of ids; default: those of the data",                                                                                               \
        .type = ARG_INT,                                                                                                                                   \
        .flags = ARG_POSITIONAL,                                                                                                                           \
        .offset = offsetof(struct embedding_args, n),                                                                                                      \
        .lo = 1,                                                                                                                                           \
        .hi = 1 << 28},                                                                                                                                    \
    {                                                                                                                                                      \
        .name = "dim", .help = "values a vector", .type = ARG_INT, .flags = ARG_POSITIONAL | ARG_REQUIRED, .offset = offsetof(struct embedding_args, dim), \
        .lo = 1, .hi = 1 << 20                                                                                                                             \
    }
static const struct arg embedding_arg[] = {SIZES, {0}};
static const struct arg bag_arg[] = {SIZES,
    {.name = "mode",
        .help = "what is made of the vectors of a text",
        .def = "mean",
        .type = ARG_ENUM,
        .offset = offsetof(struct embedding_args, mode),
        .names = modes},
    {0}};
#define LAYER(n, h, ex, args_)                                                                                                            \
    extern const struct layer layer_##n;                                                                                                  \
    const struct layer layer_##n = {.kind = {.name = #n, .help = h, .example = ex, .args = args_, .size = sizeof(struct embedding_args)}, \
        .in_min = 1,                                                                                                                      \
        .in_max = 1,                                                                                                                      \
        .build = embedding_build};
LAYER(embedding, "a vector for each id", "nn.embedding{ 10000, 128 }", embedding_arg)
LAYER(embedding_bag, "mean, sum or maximum of the vectors of a text", "nn.embedding_bag{ 10000, 128, mode=\"mean\" }", bag_arg)
