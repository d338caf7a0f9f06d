/* The product of layers: x weight^T + bias, in 8 bits where the layer's `store` holds the weight so. Weights start as in PyTorch: uniform in +-1/sqrt(inputs),
 * weight and bias (kaiming_uniform with a = sqrt 5, torch.nn.Linear.reset_parameters). */
#include <math.h>
#include <stdio.h>

#include "engine/layers/layer.h"

tid build_dense(struct builder *b, const char *prefix, tid x, int64_t out, bool bias, struct err *e) {
    struct graph *g = build_graph(b);
    const struct tensor *t = graph_tensor(g, x);
    int64_t k = t->dim[t->ndim - 1].k, dim[2] = {out, k};
    double r = k > 0 ? 1 / sqrt((double)k) : 0;
    tid in[4] = {x, -1, -1, -1};
    char name[48];
    int n = 1;
    snprintf(name, sizeof name, "%sweight", prefix);
    if ((in[n++] = build_matrix(b, name, dim, r, e)) < 0) return -1;
    bool i8 = build_is_i8(b, in[1]);
    if (i8 && (in[n++] = build_scale(b, name, out, e)) < 0) return -1;
    snprintf(name, sizeof name, "%sbias", prefix);
    if (bias && (in[n++] = build_param(b, name, dim, 1, INIT_UNIFORM, r, e)) < 0) return -1;
    return graph_attr(g, i8 ? "linear_i8" : "linear", NULL, in, n, NULL, e);
}
