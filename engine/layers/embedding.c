/* A table of vectors by id; uniform in (-0.05, 0.05) at the start. Without n the table has a row for each id of the data. */
#include "engine/layers/layer.h"

struct embedding_args { int64_t n, dim; };

static int embedding_build(struct builder *b, const void *args, const tid *in, int n_in, tid *out, struct err *e) {
    const struct embedding_args *a = args;
    int64_t ids = build_ids(b, in[0]), n = a->n == ARG_NONE_INT ? ids : a->n;
    (void)n_in;
    if (graph_tensor(build_graph(b), in[0])->dtype != DT_I32) return err_set(e, "%s: an embedding takes ids, its input holds numbers", build_path(b));
    if (n < 1) return err_set(e, "%s: say how many ids there are: embedding{ n, dim }", build_path(b));
    if (ids > n) return err_set(e, "%s: the table has %lld rows but the input has %lld ids: make n at least that", build_path(b), (long long)n, (long long)ids);
    int64_t dim[2] = {n, a->dim};
    tid ins[3] = {in[0], build_param(b, "weight", dim, 2, INIT_UNIFORM, 0.05, e), -1};
    if (ins[1] < 0) return -1;
    bool i8 = build_is_i8(b, ins[1]);
    if (i8 && (ins[2] = build_scale(b, "weight", n, e)) < 0) return -1;
    return (*out = graph_attr(build_graph(b), i8 ? "embedding_i8" : "embedding", NULL, ins, i8 ? 3 : 2, NULL, e)) < 0 ? -1 : 0;
}

static const struct arg embedding_arg[] = {
    {.name = "n", .help = "number of ids; default: those of the data", .type = ARG_INT, .flags = ARG_POSITIONAL, .offset = offsetof(struct embedding_args, n), .lo = 1, .hi = 1 << 28},
    {.name = "dim", .help = "values a vector", .type = ARG_INT, .flags = ARG_POSITIONAL | ARG_REQUIRED, .offset = offsetof(struct embedding_args, dim), .lo = 1, .hi = 1 << 20},
    {0}};
extern const struct layer layer_embedding;
const struct layer layer_embedding = {
    .kind = {.name = "embedding", .help = "a vector for each id", .example = "nn.embedding{ 10000, 128 }", .args = embedding_arg, .size = sizeof(struct embedding_args)},
    .in_min = 1, .in_max = 1, .build = embedding_build};
