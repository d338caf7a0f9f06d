/* Mean, sum and maximum over the tokens of each text. The mean and the sum use the token weights of the data where it has some. */
#include <string.h>

#include "engine/graph/op.h"
#include "engine/layers/layer.h"

static int pool_build(struct builder *b, const void *args, const tid *in, int n_in, tid *out, struct err *e) {
    struct graph *g = build_graph(b);
    tid off = graph_tensor(g, in[0])->offsets, all[OP_OUT];
    bool max = strcmp(build_kind(b), "max_pool") == 0;
    (void)args;
    (void)n_in;
    if (off < 0) return err_set(e, "%s: %s works over the tokens of texts, its input has none: use flatten{}", build_path(b), build_kind(b));
    tid ins[] = {in[0], off, max ? -1 : build_weights(b, in[0])};
    *out = graph_add(g, build_kind(b), NULL, ins, ins[2] >= 0 ? 3 : 2, all, e);
    return *out < 0 ? -1 : 0;
}

#define POOL(n, h)                       \
    extern const struct layer layer_##n; \
    const struct layer layer_##n = {.kind = {.name = #n, .help = h, .example = "nn." #n "{}"}, .in_min = 1, .in_max = 1, .build = pool_build};
POOL(mean_pool, "mean over the tokens of each text")
POOL(sum_pool, "sum over the tokens of each text")
POOL(max_pool, "maximum over the tokens of each text")
