/* Axes that follow from others: a strided convolution leaves ceil(n / stride) tokens of a text of n. The offsets are a node; the total is counted from the input's offsets
 * before a run, so that every kernel sees exact extents. Planned for as many tokens as the axis it comes from. */
#include "engine/graph/derive.h"

#include <stdio.h>

static bool in_use(const struct graph *g, int axis) {
    for (int t = 0; t < g->n_tensor; t++)
        for (int i = 0; i < g->tensor[t].ndim; i++)
            if (g->tensor[t].dim[i].axis == axis) return true;
    return false;
}

int derive_strided(struct graph *g, tid t, int64_t stride, tid *offsets, struct err *e) {
    int from = g->tensor[t].dim[0].axis, axis = AXIS_T3;
    tid of = g->tensor[t].offsets;
    for (int i = 0; i < g->n_derived; i++)
        if (g->derived[i].of == of && g->derived[i].stride == stride) return *offsets = g->derived[i].offsets, g->derived[i].axis;
    while (axis >= AXIS_T0 && in_use(g, axis)) axis--;
    if (axis < AXIS_T0 || g->n_derived == (int)LEN(g->derived))
        return err_set(e, "a model has at most 4 lengths of text, inputs and strided convolutions together");
    char line[48];
    snprintf(line, sizeof line, "stride=%lld", (long long)stride);
    if ((*offsets = graph_attr(g, "strided_offsets", line, &of, 1, NULL, e)) < 0) return -1;
    g->derived[g->n_derived++] = (struct derived){axis, from, stride, of, *offsets};
    return axis;
}

void derive_extents(const struct graph *g, struct extents *x, bool most) {
    for (int i = 0; i < g->n_derived; i++) {
        int64_t n = x->n[g->derived[i].from], s = most ? 1 : g->derived[i].stride;
        x->n[g->derived[i].axis] = (n + s - 1) / s;
    }
}

void derive_count(const struct graph *g, struct extents *x, const int32_t *(*data)(const void *ctx, tid t), const void *ctx) {
    for (int i = 0; i < g->n_derived; i++) {
        int64_t stride = 1, sum = 0;
        tid root = g->derived[i].offsets;
        for (int j = i; j >= 0; j--) /* ceil(ceil(n / a) / b) = ceil(n / (a b)) */
            if (g->derived[j].offsets == root) stride *= g->derived[j].stride, root = g->derived[j].of;
        const int32_t *off = data(ctx, root);
        for (int64_t r = 0; off && r < x->n[AXIS_R]; r++) sum += (off[r + 1] - off[r] + stride - 1) / stride;
        x->n[g->derived[i].axis] = sum;
    }
}
