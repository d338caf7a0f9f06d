/* The product with a weight in PyTorch's layout: y (.., out) = x (.., in) weight(out, in)^T + bias(out), optionally through GELU, and its gradients as ops
 * of their own, so that an input that wants no gradient costs nothing. Which kernel of packed.h or library (tiles of gemm_cut) makes a product is told by the
 * choice measured for it (choose.h), else by its shape alone: many rows share the weight packed once; few rows are packed themselves and multiplied by the
 * weight where it lies. */
#include <math.h>
#include <string.h>

#include "engine/cpu/gemm.h"
#include "engine/ops/half.h"
#include "engine/ops/kit.h"
#include "engine/ops/linear_half.h"
#include "engine/ops/packed.h"

struct linear_args {
    int act;
};
enum how { LIBRARY, FEW, MANY };
struct way {
    enum how how;
    gemm_fn gemm; /* LIBRARY */
};
/* (m, n) from k products each */
static enum how by_shape(int64_t m, int64_t n, int64_t k) {
    if (m < 24 || n < 32 || k < 32) return LIBRARY;
    return m <= 384 && m * k <= 1 << 18 ? FEW : MANY; /* few: the rows stay in the second cache */
}
/* rows of x and dy; weight (out, in) */
static struct way way_of(const struct exec *x, enum product_op what, int64_t rows, int64_t out, int64_t in) {
    const struct route *r = choose_route(x->products, what, rows, out, in);
    if (r && r->gemm) return (struct way){LIBRARY, r->gemm};
    enum how h = what == PRODUCT_Y ? by_shape(rows, out, in) : what == PRODUCT_DX ? by_shape(rows, in, out) : by_shape(out, in, rows);
    return (struct way){h, gemm_f32};
}
static int64_t tile_rows(int64_t m) { return m >= 16 * 192 ? 192 : m >= 8 * 96 ? 96 : 48; } /* multiples of every MM_MR */
#define FEW_TILE 48 /* rows of the weight in a tile of few rows of x */
#define NN_TILE 96 /* columns in a tile of few rows of dy */
#define TN_TILE 192 /* rows and columns in a tile of dw */

static int linear_shape(struct shaping *s, struct err *e) {
    const struct tensor *x = s->in[0], *w = s->in[1], *b = s->n_in > 2 ? s->in[2] : NULL;
    if (!kit_float(s, 0) || !kit_float(s, 1) || x->ndim < 1 || w->ndim != 2) return err_set(e, "needs x (.., in), weight (out, in) and optionally bias (out)");
    if (!dim_same(x->dim[x->ndim - 1], w->dim[1])) return err_set(e, "the last extent of the input must be the second of the weight");
    if (b && (b->ndim != 1 || !dim_same(b->dim[0], w->dim[0]))) return err_set(e, "the bias must have one value for each row of the weight");
    kit_like(&s->out[0], x);
    s->out[0].dim[x->ndim - 1] = w->dim[0];
    int64_t out = w->dim[0].k, in = w->dim[1].k;
    if (out >= 32 && in >= 32) s->scratch_fixed = sizeof(float) * (ISA(packed_size)(in, out) + (1 << 18) + 64 * (size_t)in) + 64; /* or few rows */
    ISA(linear_half_shape)(s, PRODUCT_Y, out, w->dim[1]);
    s->n_out = 1;
    return 0;
}
static int linear_grad(struct graph *g, const struct node *n, const tid *dout, tid *din, struct err *e) {
    struct node k = *n;
    tid x = k.in[0], w = k.in[1], b = k.n_in > 2 ? k.in[2] : -1;
    if (((const struct linear_args *)k.attr)->act) return err_set(e, "a product joined with its activation has no gradient");
    if (kit_needs(g, w) && (din[1] = graph_add2(g, "linear_dw", dout[0], x, e)) < 0) return -1;
    if (kit_needs(g, b) && (din[2] = graph_add1(g, "colsum", dout[0], e)) < 0) return -1;
    if (kit_needs(g, x) && (din[0] = graph_add2(g, "linear_dx", dout[0], w, e)) < 0) return -1;
    return 0;
}
static void linear_cost(const struct exec *x, struct cost *c) {
    int64_t m = kit_rows(&x->in[0]), k = kit_last(&x->in[0]), n = x->in[1].n[0];
    c->macs = (double)m * (double)k * (double)n;
    c->flop = 2 * c->macs;
    c->bytes = 4.0 * ((double)m * (double)k + (double)n * (double)k + (double)m * (double)n);
}
static double act_of(int act, double x) {
    if (act && x < -1e3) return 0; /* also at infinity, where the formulas give NaN */
    return act == PACKED_GELU        ? 0.5 * x * (1 + erf(x * sqrt(0.5)))
           : act == PACKED_GELU_TANH ? 0.5 * x * (1 + tanh(0.79788456080286535588 * (x + 0.044715 * x * x * x)))
                                     : x;
}
static void linear_ref(const struct exec *x) {
    int64_t m = kit_rows(&x->in[0]), k = kit_last(&x->in[0]), n = x->in[1].n[0];
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++) {
            double s = kit_has(x, 2) ? view_get(&x->in[2], j) : 0;
            for (int64_t p = 0; p < k; p++) s += view_get(&x->in[0], i * k + p) * view_get(&x->in[1], j * k + p);
            view_put(&x->out[0], i * n + j, act_of(((const struct linear_args *)x->attr)->act, s));
        }
}
static int64_t linear_pack_tiles(const struct exec *x) {
    if (linear_half(x)) return ISA(linear_half_tiles)(x, PRODUCT_Y);
    int64_t m = kit_rows(&x->in[0]), k = kit_last(&x->in[0]), n = x->in[1].n[0];
    enum how h = way_of(x, PRODUCT_Y, m, n, k).how;
    return h == LIBRARY ? 0 : kit_tiles(h == FEW ? m : n, PACKED_COLS);
}
static void linear_pack(const struct exec *x, int64_t lo, int64_t hi) {
    if (linear_half(x)) {
        ISA(linear_half_run)(x, PRODUCT_Y, lo, hi);
        return;
    }
    int64_t m = kit_rows(&x->in[0]), k = kit_last(&x->in[0]), n = x->in[1].n[0];
    bool few = way_of(x, PRODUCT_Y, m, n, k).how == FEW;
    ISA(packed_put_tiles)(true, few ? x->in[0].data : x->in[1].data, k, k, few ? m : n, lo, hi, x->scratch);
}
static int64_t linear_tiles(const struct exec *x) {
    if (linear_half(x)) return ISA(linear_half_tiles2)(x, PRODUCT_Y);
    int64_t m = kit_rows(&x->in[0]), k = kit_last(&x->in[0]), n = x->in[1].n[0];
    enum how h = way_of(x, PRODUCT_Y, m, n, k).how;
    if (h != LIBRARY) return h == FEW ? kit_tiles(n, FEW_TILE) : kit_tiles(m, tile_rows(m));
    struct gemm_cut c = gemm_cut(m, n, k);
    return c.nr * c.nc;
}
static void linear_run(const struct exec *x, int64_t lo, int64_t hi) {
    if (linear_half(x)) {
        ISA(linear_half_run2)(x, PRODUCT_Y, lo, hi);
        ISA(linear_half_activate)(x, ((const struct linear_args *)x->attr)->act, lo, hi);
        return;
    }
    int64_t m = kit_rows(&x->in[0]), k = kit_last(&x->in[0]), n = x->in[1].n[0];
    const float *a = x->in[0].data, *w = x->in[1].data, *b = kit_has(x, 2) ? x->in[2].data : NULL;
    float *y = x->out[0].data;
    enum packed_act act = (enum packed_act)((const struct linear_args *)x->attr)->act;
    struct way way = way_of(x, PRODUCT_Y, m, n, k);
    if (way.how == FEW) {
        ISA(packed_few)(m, k, x->scratch, w, b, act, y, n, lo * FEW_TILE, kit_min(n, hi * FEW_TILE));
        return;
    }
    if (way.how == MANY) {
        int64_t from = lo * tile_rows(m), to = kit_min(m, hi * tile_rows(m));
        ISA(packed_gemm_act)(to - from, n, k, a + from * k, k, x->scratch, b, act, y + from * n, n);
        return;
    }
    struct gemm_cut c = gemm_cut(m, n, k);
    for (int64_t t = lo; t < hi; t++) {
        int64_t r = t / c.nc * c.rows, q = t % c.nc * c.cols, rows = kit_min(c.rows, m - r), cols = kit_min(c.cols, n - q);
        if (b)
            for (int64_t i = 0; i < rows; i++) memcpy(y + (r + i) * n + q, b + q, (size_t)cols * sizeof(float));
        way.gemm(false, true, rows, cols, k, 1, a + r * k, k, w + q * k, k, b ? 1 : 0, y + r * n + q, n);
        ISA(packed_activate)(act, y + r * n + q, n, rows, cols);
    }
}

/* dx (.., in) = dy (.., out) weight (out, in) */
static int dx_shape(struct shaping *s, struct err *e) {
    const struct tensor *d = s->in[0], *w = s->in[1];
    if (!kit_float(s, 0) || !kit_float(s, 1) || d->ndim < 1 || w->ndim != 2 || !dim_same(d->dim[d->ndim - 1], w->dim[0]))
        return err_set(e, "needs dy (.., out) and weight (out, in)");
    kit_like(&s->out[0], d);
    s->out[0].dim[d->ndim - 1] = w->dim[1];
    s->scratch_fixed = ISA(packed_size)(w->dim[0].k, w->dim[1].k) * sizeof(float) + 64;
    ISA(linear_half_shape)(s, PRODUCT_DX, w->dim[1].k, w->dim[0]);
    s->n_out = 1;
    return 0;
}
static void dx_ref(const struct exec *x) {
    int64_t m = kit_rows(&x->in[0]), n = x->in[1].n[0], k = x->in[1].n[1];
    for (int64_t i = 0; i < m; i++)
        for (int64_t p = 0; p < k; p++) {
            double s = 0;
            for (int64_t j = 0; j < n; j++) s += view_get(&x->in[0], i * n + j) * view_get(&x->in[1], j * k + p);
            view_put(&x->out[0], i * k + p, s);
        }
}
static int64_t dx_pack_tiles(const struct exec *x) {
    if (linear_half(x)) return ISA(linear_half_tiles)(x, PRODUCT_DX);
    return way_of(x, PRODUCT_DX, kit_rows(&x->in[0]), x->in[1].n[0], x->in[1].n[1]).how == MANY ? kit_tiles(x->in[1].n[1], PACKED_COLS) : 0;
}
static void dx_pack(const struct exec *x, int64_t lo, int64_t hi) {
    if (linear_half(x)) {
        ISA(linear_half_run)(x, PRODUCT_DX, lo, hi);
        return;
    }
    int64_t n = x->in[1].n[0], k = x->in[1].n[1];
    ISA(packed_put_tiles)(false, x->in[1].data, k, n, k, lo, hi, x->scratch);
}
static int64_t dx_tiles(const struct exec *x) {
    if (linear_half(x)) return ISA(linear_half_tiles2)(x, PRODUCT_DX);
    int64_t m = kit_rows(&x->in[0]), n = x->in[1].n[0], k = x->in[1].n[1];
    enum how h = way_of(x, PRODUCT_DX, m, n, k).how;
    if (h != LIBRARY) return h == FEW ? kit_tiles(k, NN_TILE) : kit_tiles(m, tile_rows(m));
    struct gemm_cut c = gemm_cut(m, k, n);
    return c.nr * c.nc;
}
static void dx_run(const struct exec *x, int64_t lo, int64_t hi) {
    if (linear_half(x)) {
        ISA(linear_half_run2)(x, PRODUCT_DX, lo, hi);
        return;
    }
    int64_t m = kit_rows(&x->in[0]), n = x->in[1].n[0], k = x->in[1].n[1];
    const float *d = x->in[0].data, *w = x->in[1].data;
    float *y = x->out[0].data;
    struct way way = way_of(x, PRODUCT_DX, m, n, k);
    if (way.how == FEW) {
        int64_t from = lo * NN_TILE, to = kit_min(k, hi * NN_TILE);
        ISA(packed_nn)(m, to - from, n, d, n, w + from, k, y + from, k);
        return;
    }
    if (way.how == MANY) {
        int64_t from = lo * tile_rows(m), to = kit_min(m, hi * tile_rows(m));
        ISA(packed_gemm)(to - from, k, n, d + from * n, n, x->scratch, NULL, y + from * k, k);
        return;
    }
    struct gemm_cut c = gemm_cut(m, k, n);
    for (int64_t t = lo; t < hi; t++) {
        int64_t r = t / c.nc * c.rows, q = t % c.nc * c.cols;
        way.gemm(false, false, kit_min(c.rows, m - r), kit_min(c.cols, k - q), n, 1, d + r * n, n, w + q, k, 0, y + r * k + q, k);
    }
}
static void dx_cost(const struct exec *x, struct cost *c) {
    c->macs = (double)kit_rows(&x->in[0]) * (double)x->in[1].len;
    c->flop = 2 * c->macs;
    c->bytes = 4.0 * ((double)x->in[0].len + (double)x->in[1].len + (double)x->out[0].len);
}

/* dw (out, in) = dy (.., out)^T x (.., in) */
static int dw_shape(struct shaping *s, struct err *e) {
    const struct tensor *d = s->in[0], *x = s->in[1];
    bool ok = kit_float(s, 0) && kit_float(s, 1) && d->ndim >= 1 && d->ndim == x->ndim;
    for (int i = 0; ok && i + 1 < d->ndim; i++) ok = dim_same(d->dim[i], x->dim[i]);
    if (!ok) return err_set(e, "needs dy (.., out) and x (.., in) with the same leading extents");
    s->out[0].ndim = 2;
    s->out[0].dim[0] = d->dim[d->ndim - 1];
    s->out[0].dim[1] = x->dim[x->ndim - 1];
    s->out[0].dtype = d->dtype;
    s->out[0].offsets = -1;
    struct dim rows;
    if (!kit_flat(x, 0, x->ndim - 1, &rows)) return err_set(e, "the leading extents have two axis symbols");
    ISA(linear_half_shape)(s, PRODUCT_DW, s->out[0].dim[1].k, rows);
    s->n_out = 1;
    return 0;
}
static void dw_ref(const struct exec *x) {
    int64_t m = kit_rows(&x->in[0]), n = x->out[0].n[0], k = x->out[0].n[1];
    for (int64_t j = 0; j < n; j++)
        for (int64_t p = 0; p < k; p++) {
            double s = 0;
            for (int64_t i = 0; i < m; i++) s += view_get(&x->in[0], i * n + j) * view_get(&x->in[1], i * k + p);
            view_put(&x->out[0], j * k + p, s);
        }
}
static int64_t dw_pack_tiles(const struct exec *x) { return linear_half(x) ? ISA(linear_half_tiles)(x, PRODUCT_DW) : 0; }
static void dw_pack(const struct exec *x, int64_t lo, int64_t hi) { ISA(linear_half_run)(x, PRODUCT_DW, lo, hi); }
static int64_t dw_tiles(const struct exec *x) {
    if (linear_half(x)) return ISA(linear_half_tiles2)(x, PRODUCT_DW);
    int64_t m = kit_rows(&x->in[0]), n = x->out[0].n[0], k = x->out[0].n[1];
    if (way_of(x, PRODUCT_DW, m, n, k).how != LIBRARY) return kit_tiles(n, TN_TILE) * kit_tiles(k, TN_TILE);
    struct gemm_cut c = gemm_cut(n, k, m);
    return c.nr * c.nc;
}
static void dw_run(const struct exec *x, int64_t lo, int64_t hi) {
    if (linear_half(x)) {
        ISA(linear_half_run2)(x, PRODUCT_DW, lo, hi);
        return;
    }
    int64_t m = kit_rows(&x->in[0]), n = x->out[0].n[0], k = x->out[0].n[1];
    const float *d = x->in[0].data, *a = x->in[1].data;
    float *y = x->out[0].data;
    struct way way = way_of(x, PRODUCT_DW, m, n, k);
    if (way.how != LIBRARY) {
        for (int64_t t = lo, across = kit_tiles(k, TN_TILE); t < hi; t++) {
            int64_t r = t / across * TN_TILE, q = t % across * TN_TILE;
            ISA(packed_tn)(kit_min(TN_TILE, n - r), kit_min(TN_TILE, k - q), m, d + r, n, a + q, k, y + r * k + q, k);
        }
        return;
    }
    struct gemm_cut c = gemm_cut(n, k, m);
    for (int64_t t = lo; t < hi; t++) {
        int64_t r = t / c.nc * c.rows, q = t % c.nc * c.cols, rows = kit_min(c.rows, n - r), cols = kit_min(c.cols, k - q);
        if (m == 0)
            for (int64_t i = 0; i < rows; i++) memset(y + (r + i) * k + q, 0, (size_t)cols * sizeof(float));
        else way.gemm(true, false, rows, cols, m, 1, d + r, n, a + q, k, 0, y + r * k + q, k);
    }
}
static void dw_cost(const struct exec *x, struct cost *c) {
    c->macs = (double)kit_rows(&x->in[0]) * (double)x->out[0].len;
    c->flop = 2 * c->macs;
    c->bytes = 4.0 * ((double)x->in[0].len + (double)x->in[1].len + (double)x->out[0].len);
}

/* (n) = the sum of x (.., n) over all rows: the gradient of a bias */
#define PIECE 512
#define COLS 64
static int colsum_shape(struct shaping *s, struct err *e) {
    const struct tensor *x = s->in[0];
    if (!kit_float(s, 0) || x->ndim < 1) return err_set(e, "needs x (.., n)");
    s->out[0].ndim = 1;
    s->out[0].dim[0] = x->dim[x->ndim - 1];
    s->out[0].dtype = x->dtype;
    s->out[0].offsets = -1;
    s->half_in = 1;
    s->n_out = 1;
    return 0;
}
static int colsum_grad(struct graph *g, const struct node *n, const tid *dout, tid *din, struct err *e) {
    struct node k = *n;
    tid in[] = {dout[0]};
    din[0] = kit_add_take(g, "spread", kit_dims_val(graph_tensor(g, k.in[0])), in, 1, NULL, e);
    return din[0] < 0 ? -1 : 0;
}
static void colsum_ref(const struct exec *x) {
    int64_t m = kit_rows(&x->in[0]), n = kit_last(&x->in[0]);
    for (int64_t j = 0; j < n; j++) {
        double s = 0;
        for (int64_t i = 0; i < m; i++) s += view_get(&x->in[0], i * n + j);
        view_put(&x->out[0], j, s);
    }
}
static int64_t colsum_tiles(const struct exec *x) { return kit_tiles(kit_last(&x->in[0]), COLS); }
static void colsum_run(const struct exec *x, int64_t lo, int64_t hi) {
    int64_t m = kit_rows(&x->in[0]), n = kit_last(&x->in[0]), from = lo * COLS, w = kit_min(n, hi * COLS) - from;
    enum dtype t = x->in[0].dtype;
    float *y = (float *)x->out[0].data + from, own[PIECE];
    memset(y, 0, (size_t)w * sizeof(float));
    for (int64_t i = 0; i < m; i++)
        for (int64_t q = 0; q < w; q += PIECE) {
            int64_t l = kit_min(PIECE, w - q);
            const float *a = half_up(t, half_at(t, x->in[0].data, i * n + from + q), l, own);
#pragma omp simd
            for (int64_t j = 0; j < l; j++) y[q + j] += a[j];
        }
}

static const char *const act_names[] = {"none", "gelu", "gelu_tanh", NULL};
static const struct arg linear_arg[] = {{.name = "act",
                                            .help = "activation joined with the product where no gradient is asked for",
                                            .def = "none",
                                            .type = ARG_ENUM,
                                            .offset = offsetof(struct linear_args, act),
                                            .names = act_names},
    {0}};
static const struct sample linear_samples[] = {{"act=gelu", "c(R,41) c(35,41) c(35) > 0"}, {"act=gelu_tanh", "c(R,13,41) c(77,41) > 0"},
    {"act=gelu", "c(R,4) c(3,4) > 0"}, {NULL, "f(R,4) f(3,4) f(3)"}, {NULL, "f(R,7) f(1,7)"}, {NULL, "f(R,2,5) f(33,5) f(33)"},
    {NULL, "f(T0,17) f(19,17) f(19)"}, {NULL, "f(R,97,37) f(45,37) f(45)"}, {0}};
static const struct sample dx_samples[] = {{NULL, "f(R,3) f(3,4)"}, {NULL, "f(R,1) f(1,7)"}, {NULL, "f(R,2,33) f(33,5)"}, {NULL, "f(R,97,45) f(45,37)"}, {0}};
static const struct sample dw_samples[] = {
    {NULL, "f(R,3) f(R,4)"}, {NULL, "f(R,1) f(R,7)"}, {NULL, "f(R,2,33) f(R,2,5)"}, {NULL, "f(R,97,45) f(R,97,37)"}, {0}};
static const struct sample colsum_samples[] = {{NULL, "f(R,3)"}, {NULL, "f(R,65)"}, {NULL, "f(R,3,131)"}, {0}};

const struct op ISA(op_linear) = {
    .kind = {.name = "linear", .help = "x weight^T + bias, through an activation", .args = linear_arg, .size = sizeof(struct linear_args)},
    .in_min = 2,
    .in_max = 3,
    .n_out = 1,
    .shape = linear_shape,
    .grad = linear_grad,
    .cost = linear_cost,
    .ref = linear_ref,
    .tiles = linear_pack_tiles,
    .run = linear_pack,
    .tiles2 = linear_tiles,
    .run2 = linear_run,
    .samples = linear_samples};
const struct op ISA(op_linear_dx) = {.kind = {.name = "linear_dx", .help = "gradient of linear to its input"},
    .in_min = 2,
    .in_max = 2,
    .n_out = 1,
    .shape = dx_shape,
    .cost = dx_cost,
    .ref = dx_ref,
    .tiles = dx_pack_tiles,
    .run = dx_pack,
    .tiles2 = dx_tiles,
    .run2 = dx_run,
    .samples = dx_samples};
const struct op ISA(op_linear_dw) = {.kind = {.name = "linear_dw", .help = "gradient of linear to its weight"},
    .in_min = 2,
    .in_max = 2,
    .n_out = 1,
    .shape = dw_shape,
    .cost = dw_cost,
    .ref = dw_ref,
    .tiles = dw_pack_tiles,
    .run = dw_pack,
    .tiles2 = dw_tiles,
    .run2 = dw_run,
    .samples = dw_samples};
const struct op ISA(op_colsum) = {.kind = {.name = "colsum", .help = "sum over all rows"},
    .in_min = 1,
    .in_max = 1,
    .n_out = 1,
    .shape = colsum_shape,
    .grad = colsum_grad,
    .ref = colsum_ref,
    .tiles = colsum_tiles,
    .run = colsum_run,
    .samples = colsum_samples};
