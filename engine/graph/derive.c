/* Axes that follow from others: a strided convolution leaves ceil(n / stride) tokens of a text of n, dense rows of T frames have T a row. The offsets are a
 * node; the total is counted from the input's offsets before a run, so that every kernel sees exact extents. Planned for as many tokens as the axis it comes
 * from. */
#include "engine/graph/derive.h"

#include <stdio.h>

static bool in_use(const struct graph *g, int axis) {
    for (int t = 0; t < g->n_tensor; t++)
        for (int i = 0; i < g->tensor[t].ndim; i++)
            if (g->tensor[t].dim[i].axis == axis) return true;
    return false;
}

/* A new axis whose offsets the op makes of tensor `in`. */
static int derive(struct graph *g, struct derived d, const char *op, const char *line, tid in, tid *offsets, struct err *e) {
    d.axis = AXIS_T3;
    while (d.axis >= AXIS_T0 && in_use(g, d.axis)) d.axis--;
    if (d.axis < AXIS_T0 || g->n_derived == (int)LEN(g->derived))
        return err_set(e, "a model has at most 4 lengths of text, inputs, strided convolutions and frames together");
    if ((*offsets = d.offsets = graph_attr(g, op, line, &in, 1, NULL, e)) < 0) return -1;
    g->derived[g->n_derived++] = d;
    return d.axis;
}
int derive_strided(struct graph *g, tid t, int64_t stride, tid *offsets, struct err *e) {
    int from = g->tensor[t].dim[0].axis;
    tid of = g->tensor[t].offsets;
    char line[48];
    for (int i = 0; i < g->n_derived; i++)
        if (g->derived[i].of == of && g->derived[i].stride == stride) return *offsets = g->derived[i].offsets, g->derived[i].axis;
    snprintf(line, sizeof line, "stride=%lld", (long long)stride);
    return derive(g, (struct derived){.from = from, .stride = stride, .of = of}, "strided_offsets", line, of, offsets, e);
}
int derive_frames(struct graph *g, tid t, int64_t count, tid *offsets, struct err *e) {
    char line[48];
    for (int i = 0; i < g->n_derived; i++)
        if (g->derived[i].times == count) return *offsets = g->derived[i].offsets, g->derived[i].axis;
    snprintf(line, sizeof line, "count=%lld", (long long)count);
    return derive(g, (struct derived){.from = AXIS_R, .stride = 1, .times = count, .of = -1}, "frame_offsets", line, t, offsets, e);
}

void derive_extents(const struct graph *g, struct extents *x, bool most) {
    for (int i = 0; i < g->n_derived; i++) {
        const struct derived *d = &g->derived[i];
        int64_t n = x->n[d->from] * (d->times ? d->times : 1), s = most ? 1 : d->stride;
        x->n[d->axis] = (n + s - 1) / s;
    }
}

void derive_count(const struct graph *g, struct extents *x, const int32_t *(*data)(const void *ctx, tid t), const void *ctx) {
    for (int i = 0; i < g->n_derived; i++) {
        int64_t stride = 1, sum = 0, times = 0;
        tid root = g->derived[i].offsets;
        for (int j = i; j >= 0; j--) /* ceil(ceil(n / a) / b) = ceil(n / (a b)) */
            if (g->derived[j].offsets == root) stride *= g->derived[j].stride, times = g->derived[j].times, root = g->derived[j].of;
        const int32_t *off = root < 0 ? NULL : data(ctx, root);
        if (times) sum = x->n[AXIS_R] * ((times + stride - 1) / stride);
        for (int64_t r = 0; off && r < x->n[AXIS_R]; r++) sum += (off[r + 1] - off[r] + stride - 1) / stride;
        x->n[g->derived[i].axis] = sum;
    }
}
