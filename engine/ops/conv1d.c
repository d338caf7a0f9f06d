/* Convolution over the tokens or frames of packed texts (PyTorch's conv1d of each text alone): x (T, C), weight (O, C / groups, K), offsets (R+1),
 * optionally bias (O) and the offsets of an output of other lengths (U, O) (engine/graph/derive.h). Output q of a text sums tap k at position q stride + k
 * dilation - left; positions outside the text are zeros, so no tap crosses into a neighbour. left: as many as right of it ("same"; of an odd number the
 * smaller half, as PyTorch) or all ("causal"). A tile gathers some rows of (K, C / groups) values and multiplies them with the packed weight; the gradient to
 * x is the same with the taps turned round. The gradient to the weight sums a fixed number of pieces, whose cut depends on the shape alone. */
#include <string.h>

#include "engine/cpu/gemm.h"
#include "engine/ops/kit.h"
#include "engine/ops/packed.h"

#define COL 65536 /* gathered values a thread holds */
#define ROWS 96 /* outputs a tile */
#define PIECES 8 /* of the gradient to the weight */
#define PIECE_ROWS 192

enum { PAD_SAME, PAD_CAUSAL };
struct conv_args {
    int64_t stride, dilation, groups, size, axis;
    int pad;
};
struct geo {
    int64_t c, o, k, g, cg, og, left, stride, dil;
    const int32_t *in, *out;
    int64_t rows;
}; /* c, o: channels of x and y; offsets of both */

static struct geo geo_of(const struct conv_args *a, int64_t c, int64_t o, int64_t k) {
    int64_t all = a->dilation * (k - 1);
    return (struct geo){.c = c,
        .o = o,
        .k = k,
        .g = a->groups,
        .cg = c / a->groups,
        .og = o / a->groups,
        .left = a->pad == PAD_CAUSAL ? all : all / 2,
        .stride = a->stride,
        .dil = a->dilation};
}
static struct geo geo_run(const struct exec *x, int64_t c, int64_t o, int64_t k, int in, int out) {
    struct geo g = geo_of(x->attr, c, o, k);
    g.in = x->in[in].data;
    g.out = kit_has(x, out) ? x->in[out].data : g.in;
    g.rows = x->in[in].len - 1;
    return g;
}
/* Which token of the other side tap k of output u pairs with, or -1: forward: input of output; back: output of input. */
static int64_t pair(const struct geo *g, bool back, int64_t r, int64_t t, int64_t k) {
    if (!back) {
        int64_t p = (t - g->out[r]) * g->stride + k * g->dil - g->left;
        return p < 0 || p >= g->in[r + 1] - g->in[r] ? -1 : g->in[r] + p;
    }
    int64_t p = t - g->in[r] + g->left - k * g->dil;
    if (p < 0 || p % g->stride || p / g->stride >= g->out[r + 1] - g->out[r]) return -1;
    return g->out[r] + p / g->stride;
}

/* ---- shapes */
static int fits(const struct geo *g, const struct conv_args *a, struct err *e) {
    if (g->k < 1 || g->k > 4096 || a->stride > 4096 || a->dilation > 4096) return err_set(e, "taps, stride and dilation are 1 to 4096");
    if (g->c % g->g || g->o % g->g)
        return err_set(e, "%lld groups do not divide %lld input and %lld output channels", (long long)g->g, (long long)g->c, (long long)g->o);
    if (g->k * g->cg > COL || g->k * g->og > COL)
        return err_set(e, "%lld taps of this many channels are more than %d products an output", (long long)g->k, COL);
    return 0;
}
static bool tokens(const struct shaping *s, int i) {
    return kit_float(s, i) && s->in[i]->ndim == 2 && s->in[i]->dim[0].axis >= AXIS_T0 && s->in[i]->dim[1].axis == AXIS_ONE;
}
static bool ends(const struct shaping *s, int i) {
    return i >= s->n_in || !s->in[i] || (kit_int(s, i) && s->in[i]->ndim == 1 && s->in[i]->dim[0].axis == AXIS_R1);
}
static void axis_of(const struct shaping *s, struct tensor *t, const struct tensor *like) { /* rows of an output: those of x, or of the axis named */
    const struct conv_args *a = s->attr;
    kit_like(t, like);
    if (a->axis) t->dim[0] = (struct dim){1, (int)a->axis}, t->offsets = -1;
}
static void pack_room(struct shaping *s, const struct geo *g, bool back) {
    size_t one = back ? ISA(packed_size)(g->k * g->og, g->cg) : ISA(packed_size)(g->k * g->cg, g->og);
    s->scratch_fixed = sizeof(float) * ((size_t)g->g * (one + 16) + (size_t)(g->og * g->k * g->cg) + 64);
}
static int conv_shape(struct shaping *s, struct err *e) {
    const struct tensor *x = s->in[0], *w = s->in[1], *b = s->n_in > 3 ? s->in[3] : NULL;
    const struct conv_args *a = s->attr;
    if (!tokens(s, 0) || !kit_float(s, 1) || w->ndim != 3 || !kit_int(s, 2) || !ends(s, 2) || !ends(s, 4) ||
        (b && (b->ndim != 1 || !dim_same(b->dim[0], w->dim[0]))))
        return err_set(e, "needs tokens (T, C), weight (O, C / groups, K), offsets (R+1), optionally bias (O) and the offsets of the output");
    struct geo g = geo_of(a, x->dim[1].k, w->dim[0].k, w->dim[2].k);
    if (fits(&g, a, e) < 0) return -1;
    if (w->dim[1].k != g.cg) return err_set(e, "each output channel sees %lld input channels, the weight has %lld", (long long)g.cg, (long long)w->dim[1].k);
    if ((a->axis != 0) != (s->n_in > 4 && s->in[4])) return err_set(e, "an output of other lengths needs its axis and its offsets");
    axis_of(s, &s->out[0], x);
    s->out[0].dim[1].k = g.o;
    pack_room(s, &g, false);
    s->n_out = 1;
    return 0;
}
static int dx_shape(struct shaping *s, struct err *e) { /* (dy (U, O), weight, offsets, output offsets or none) */
    const struct tensor *d = s->in[0], *w = s->in[1];
    const struct conv_args *a = s->attr;
    if (!tokens(s, 0) || !kit_float(s, 1) || w->ndim != 3 || !kit_int(s, 2) || !ends(s, 2) || !ends(s, 3))
        return err_set(e, "needs dy (U, O), weight (O, C / groups, K) and offsets");
    struct geo g = geo_of(a, w->dim[1].k * a->groups, d->dim[1].k, w->dim[2].k);
    if (fits(&g, a, e) < 0) return -1;
    if (w->dim[0].k != g.o) return err_set(e, "the weight does not have the channels of the gradient");
    axis_of(s, &s->out[0], d);
    s->out[0].dim[1].k = g.c;
    pack_room(s, &g, true);
    s->n_out = 1;
    return 0;
}
static int dw_shape(struct shaping *s, struct err *e) { /* (dy (U, O), x (T, C), offsets, output offsets or none) -> (O, C / groups, K); size: K */
    const struct conv_args *a = s->attr;
    if (!tokens(s, 0) || !tokens(s, 1) || !kit_int(s, 2) || !ends(s, 2) || !ends(s, 3)) return err_set(e, "needs dy (U, O), tokens (T, C) and offsets");
    struct geo g = geo_of(a, s->in[1]->dim[1].k, s->in[0]->dim[1].k, a->size);
    if (fits(&g, a, e) < 0) return -1;
    s->out[0] = (struct tensor){.ndim = 3, .dim = {{g.o, AXIS_ONE}, {g.cg, AXIS_ONE}, {g.k, AXIS_ONE}}, .dtype = s->in[0]->dtype, .offsets = -1};
    s->scratch_fixed = sizeof(float) * (PIECES * (size_t)(g.o * g.cg * g.k) + 16);
    s->n_out = 1;
    return 0;
}
static int conv_grad(struct graph *g, const struct node *n, const tid *dout, tid *din, struct err *e) {
    struct node k = *n;
    const struct conv_args *a = k.attr;
    tid own = k.n_in > 4 ? k.in[4] : -1, dx[] = {dout[0], k.in[1], k.in[2], own}, dw[] = {dout[0], k.in[0], k.in[2], own};
    struct val *v = args_to_val(&k.op->kind, a);
    int rc = 0;
    val_set_int(v, "size", graph_tensor(g, k.in[1])->dim[2].k);
    if (kit_needs(g, k.in[1])) rc = (din[1] = graph_add(g, "conv1d_dw", v, dw, own < 0 ? 3 : 4, NULL, e)) < 0 ? -1 : 0;
    if (rc == 0 && k.n_in > 3 && kit_needs(g, k.in[3])) rc = (din[3] = graph_add1(g, "colsum", dout[0], e)) < 0 ? -1 : 0;
    if (a->axis) val_set_int(v, "axis", graph_tensor(g, k.in[0])->dim[0].axis);
    if (rc == 0 && kit_needs(g, k.in[0])) {
        rc = (din[0] = graph_add(g, "conv1d_dx", v, dx, own < 0 ? 3 : 4, NULL, e)) < 0 ? -1 : 0;
        if (rc == 0) g->tensor[din[0]].offsets = graph_tensor(g, k.in[0])->offsets;
    }
    val_free(v);
    return rc;
}
static void conv_cost(const struct exec *x, struct cost *c) {
    c->macs = (double)x->out[0].n[0] * (double)x->in[1].len;
    c->flop = 2 * c->macs;
}
static void dx_cost(const struct exec *x, struct cost *c) {
    c->macs = (double)x->in[0].n[0] * (double)x->in[1].len;
    c->flop = 2 * c->macs;
}
static void dw_cost(const struct exec *x, struct cost *c) {
    c->macs = (double)x->in[0].n[0] * (double)x->out[0].len;
    c->flop = 2 * c->macs;
}

/* ---- reference. what: 0 y, 1 dx, 2 dw */
static void all_pairs(const struct geo *g, const struct view *x, const struct view *y, const struct view *w, int what) {
    for (int64_t r = 0; r < g->rows; r++)
        for (int64_t u = g->out[r]; u < g->out[r + 1]; u++)
            for (int64_t i = 0; i < g->o * g->cg * g->k; i++) {
                int64_t o = i / (g->cg * g->k), c = i / g->k % g->cg, t = pair(g, false, r, u, i % g->k), at = t * g->c + o / g->og * g->cg + c;
                if (t < 0) continue;
                if (what == 0) view_put(y, u * g->o + o, view_get(y, u * g->o + o) + view_get(x, at) * view_get(w, i));
                if (what == 1) view_put(x, at, view_get(x, at) + view_get(y, u * g->o + o) * view_get(w, i));
                if (what == 2) view_put(w, i, view_get(w, i) + view_get(y, u * g->o + o) * view_get(x, at));
            }
}
static struct geo fwd_geo(const struct exec *x) { return geo_run(x, x->in[0].n[1], x->in[1].n[0], x->in[1].n[2], 2, 4); }
static struct geo dx_geo(const struct exec *x) { return geo_run(x, x->out[0].n[1], x->in[0].n[1], x->in[1].n[2], 2, 3); }
static struct geo dw_geo(const struct exec *x) { return geo_run(x, x->in[1].n[1], x->in[0].n[1], x->out[0].n[2], 2, 3); }
static void conv_ref(const struct exec *x) {
    struct geo g = fwd_geo(x);
    for (int64_t i = 0; i < x->out[0].len; i++) view_put(&x->out[0], i, kit_has(x, 3) ? view_get(&x->in[3], i % g.o) : 0);
    all_pairs(&g, &x->in[0], &x->out[0], &x->in[1], 0);
}
static void dx_ref(const struct exec *x) {
    struct geo g = dx_geo(x);
    for (int64_t i = 0; i < x->out[0].len; i++) view_put(&x->out[0], i, 0);
    all_pairs(&g, &x->out[0], &x->in[0], &x->in[1], 1);
}
static void dw_ref(const struct exec *x) {
    struct geo g = dw_geo(x);
    for (int64_t i = 0; i < x->out[0].len; i++) view_put(&x->out[0], i, 0);
    all_pairs(&g, &x->in[1], &x->in[0], &x->out[0], 2);
}

/* ---- fast */
static float *line_up(const struct exec *x) { return (float *)(((uintptr_t)x->scratch + 63) & ~(uintptr_t)63); }
/* Weights of each group as (K cg, og), or turned (K og, cg), packed; the group's own follows the last. */
static void pack(const struct exec *x, const struct geo *g, const float *w, bool back) {
    size_t one = (back ? ISA(packed_size)(g->k * g->og, g->cg) : ISA(packed_size)(g->k * g->cg, g->og)) + 16;
    float *to = line_up(x), *own = to + (size_t)g->g * one;
    for (int64_t q = 0; q < g->g; q++) {
        for (int64_t o = 0; o < g->og; o++)
            for (int64_t c = 0; c < g->cg; c++)
                for (int64_t k = 0; k < g->k; k++)
                    own[back ? (k * g->og + o) * g->cg + c : (k * g->cg + c) * g->og + o] = w[((q * g->og + o) * g->cg + c) * g->k + k];
        int64_t rows = g->k * (back ? g->og : g->cg), cols = back ? g->cg : g->og;
        ISA(packed_put)(false, own, cols, rows, cols, to + (size_t)q * one);
    }
}
/* Rows from..from+n of the gathered operand of group q: (n, K, width) out of the other side's values. r: text of `from`, moved on. */
static void gather(const struct geo *g, bool back, int64_t q, int64_t from, int64_t n, const float *other, float *col) {
    const int32_t *off = back ? g->in : g->out;
    int64_t width = back ? g->og : g->cg, pitch = back ? g->o : g->c, r = kit_text(off, g->rows, from);
    for (int64_t t = from; t < from + n; t++) {
        while (t >= off[r + 1]) r++;
        for (int64_t k = 0; k < g->k; k++, col += width) {
            int64_t at = pair(g, back, r, t, k);
            if (at < 0) memset(col, 0, (size_t)width * sizeof(float));
            else memcpy(col, other + at * pitch + q * width, (size_t)width * sizeof(float));
        }
    }
}
static void rows_run(const struct exec *x, const struct geo *g, bool back, int64_t lo, int64_t hi) {
    float col[COL] __attribute__((aligned(64)));
    int64_t deep = g->k * (back ? g->og : g->cg), wide = back ? g->cg : g->og, pitch = back ? g->c : g->o, step = kit_min(ROWS, kit_max(1, COL / deep)),
            to = kit_min(x->out[0].n[0], hi * ROWS);
    size_t one = ISA(packed_size)(deep, wide) + 16;
    const float *bias = !back && kit_has(x, 3) ? x->in[3].data : NULL;
    for (int64_t t = lo * ROWS; t < to; t += step)
        for (int64_t q = 0; q < g->g; q++) {
            int64_t n = kit_min(step, to - t);
            gather(g, back, q, t, n, x->in[0].data, col);
            ISA(packed_gemm)
            (n, wide, deep, col, deep, line_up(x) + (size_t)q * one, bias ? bias + q * wide : NULL, (float *)x->out[0].data + t * pitch + q * wide, pitch);
        }
}
static int64_t row_tiles(const struct exec *x) { return kit_tiles(x->out[0].n[0], ROWS); }
static void conv_begin(const struct exec *x) {
    struct geo g = fwd_geo(x);
    if (x->out[0].n[0]) pack(x, &g, x->in[1].data, false);
}
static void conv_run(const struct exec *x, int64_t lo, int64_t hi) {
    struct geo g = fwd_geo(x);
    rows_run(x, &g, false, lo, hi);
}
static void dx_begin(const struct exec *x) {
    struct geo g = dx_geo(x);
    if (x->out[0].n[0]) pack(x, &g, x->in[1].data, true);
}
static void dx_run(const struct exec *x, int64_t lo, int64_t hi) {
    struct geo g = dx_geo(x);
    rows_run(x, &g, true, lo, hi);
}

static int64_t dw_tiles(const struct exec *x) { return kit_min(PIECES, kit_tiles(x->in[0].n[0], PIECE_ROWS)); }
static void dw_run(const struct exec *x, int64_t lo, int64_t hi) { /* pieces as [group][o][k][c] */
    float col[COL] __attribute__((aligned(64)));
    struct geo g = dw_geo(x);
    int64_t deep = g.k * g.cg, step = kit_min(PIECE_ROWS, kit_max(1, COL / deep)), all = x->in[0].n[0], tiles = dw_tiles(x);
    for (int64_t p = lo; p < hi; p++) {
        float *sum = line_up(x) + p * x->out[0].len;
        int64_t from = all * p / tiles, to = all * (p + 1) / tiles;
        for (int64_t t = from; t < to; t += step)
            for (int64_t q = 0, n = kit_min(step, to - t); q < g.g; q++) {
                gather(&g, false, q, t, n, x->in[1].data, col);
                gemm_f32(
                    true, false, g.og, deep, n, 1, (const float *)x->in[0].data + t * g.o + q * g.og, g.o, col, deep, t > from, sum + q * g.og * deep, deep);
            }
    }
}
static int64_t dw_tiles2(const struct exec *x) { return kit_tiles(x->out[0].n[0], 8); }
static void dw_sum(const struct exec *x, int64_t lo, int64_t hi) {
    struct geo g = dw_geo(x);
    int64_t tiles = dw_tiles(x), deep = g.k * g.cg;
    const float *sum = line_up(x);
    float *w = x->out[0].data;
    for (int64_t o = lo * 8; o < kit_min(g.o, hi * 8); o++)
        for (int64_t i = 0; i < deep; i++) {
            float s = 0;
            for (int64_t p = 0; p < tiles; p++) s += sum[p * x->out[0].len + o * deep + i];
            w[o * deep + i % g.cg * g.k + i / g.cg] = s;
        }
}

/* ---- strided_offsets: offsets (R+1) -> offsets of ceil(n / stride) tokens of each text */
static int offsets_shape(struct shaping *s, struct err *e) {
    if (!ends(s, 0)) return err_set(e, "needs offsets (R+1)");
    kit_like(&s->out[0], s->in[0]);
    s->n_out = 1;
    return 0;
}
static void offsets_ref(const struct exec *x) {
    int64_t at = 0, stride = ((const struct conv_args *)x->attr)->stride;
    for (int64_t r = 0; r < x->in[0].len; r++) {
        if (r) at += ((int64_t)view_get(&x->in[0], r) - (int64_t)view_get(&x->in[0], r - 1) + stride - 1) / stride;
        view_put(&x->out[0], r, (double)at);
    }
}
static void offsets_run(const struct exec *x, int64_t lo, int64_t hi) { /* a sum over all texts: one tile */
    (void)lo;
    (void)hi;
    offsets_ref(x);
}

static const char *const pads[] = {"same", "causal", NULL};
#define COUNT(n, h, d, most) \
    { .name = #n, .help = h, .def = d, .type = ARG_INT, .offset = offsetof(struct conv_args, n), .lo = 1, .hi = most }
static const struct arg conv_arg[] = {COUNT(stride, "tokens from one output to the next", "1", 4096),
    COUNT(dilation, "tokens from one tap to the next", "1", 4096), COUNT(groups, "channel groups that do not see each other", "1", 1 << 20),
    {.name = "pad",
        .help = "zeros at both ends, or all before the first token",
        .def = "same",
        .type = ARG_ENUM,
        .offset = offsetof(struct conv_args, pad),
        .names = pads},
    {.name = "size",
        .help = "taps, for the gradient to the weight",
        .def = "1",
        .type = ARG_INT,
        .offset = offsetof(struct conv_args, size),
        .lo = 1,
        .hi = 4096},
    {.name = "axis",
        .help = "axis symbol of an output of other lengths; 0: that of the input",
        .def = "0",
        .type = ARG_INT,
        .offset = offsetof(struct conv_args, axis),
        .hi = AXIS_N - 1},
    {0}};
static const struct sample conv_samples[] = {{NULL, "f(T0,3) f(4,3,3) o(T0) f(4)"}, {"pad=causal", "f(T0,5) f(2,5,2) o(T0)"},
    {"dilation=2 groups=2", "f(T0,4) f(6,2,3) o(T0) f(6)"}, {NULL, "f(T0,33) f(17,33,5) o(T0) f(17)"}, {"stride=2 axis=4", "f(T0,3) f(4,3,3) o(T0) f(4) o(T1)"},
    {"stride=3 axis=4 dilation=2 pad=causal", "f(T0,3) f(5,3,4) o(T0) - o(T1)"}, {0}};
static const struct sample dx_samples[] = {{NULL, "f(T0,4) f(4,3,3) o(T0)"}, {"dilation=2 groups=2 pad=causal", "f(T0,6) f(6,2,4) o(T0)"},
    {NULL, "f(T0,17) f(17,33,5) o(T0)"}, {"stride=2 axis=3", "f(T1,4) f(4,3,3) o(T0) o(T1)"}, {0}};
static const struct sample dw_samples[] = {{"size=3", "f(T0,4) f(T0,3) o(T0)"}, {"size=4 dilation=2 groups=2 pad=causal", "f(T0,6) f(T0,4) o(T0)"},
    {"size=5", "f(T0,17) f(T0,33) o(T0)"}, {"size=3 stride=2", "f(T1,4) f(T0,3) o(T0) o(T1)"}, {0}};
static const struct sample offsets_samples[] = {{"stride=2", "o(T0)"}, {"stride=3", "o(T1)"}, {0}};

const struct op ISA(op_conv1d) = {
    .kind = {.name = "conv1d", .help = "convolution over the tokens of each text", .args = conv_arg, .size = sizeof(struct conv_args)},
    .in_min = 3,
    .in_max = 5,
    .n_out = 1,
    .shape = conv_shape,
    .grad = conv_grad,
    .cost = conv_cost,
    .ref = conv_ref,
    .tiles = row_tiles,
    .begin = conv_begin,
    .run = conv_run,
    .samples = conv_samples};
const struct op ISA(op_conv1d_dx) = {
    .kind = {.name = "conv1d_dx", .help = "gradient of conv1d to its tokens", .args = conv_arg, .size = sizeof(struct conv_args)},
    .in_min = 3,
    .in_max = 4,
    .n_out = 1,
    .shape = dx_shape,
    .cost = dx_cost,
    .ref = dx_ref,
    .tiles = row_tiles,
    .begin = dx_begin,
    .run = dx_run,
    .samples = dx_samples};
const struct op ISA(op_conv1d_dw) = {
    .kind = {.name = "conv1d_dw", .help = "gradient of conv1d to its weight", .args = conv_arg, .size = sizeof(struct conv_args)},
    .in_min = 3,
    .in_max = 4,
    .n_out = 1,
    .shape = dw_shape,
    .cost = dw_cost,
    .ref = dw_ref,
    .tiles = dw_tiles,
    .run = dw_run,
    .tiles2 = dw_tiles2,
    .run2 = dw_sum,
    .samples = dw_samples};
const struct op ISA(op_strided_offsets) = {
    .kind = {.name = "strided_offsets", .help = "offsets of every stride-th token", .args = conv_arg, .size = sizeof(struct conv_args)},
    .in_min = 1,
    .in_max = 1,
    .n_out = 1,
    .flags = OP_NO_GRAD,
    .shape = offsets_shape,
    .ref = offsets_ref,
    .run = offsets_run,
    .samples = offsets_samples};
