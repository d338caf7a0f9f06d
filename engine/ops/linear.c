/* The product with a weight in PyTorch's layout: y (.., out) = x (.., in) weight(out, in)^T + bias(out), and its gradients as ops
 * of their own, so that an input that wants no gradient costs nothing. Products with many rows pack the operand that their tiles share once, before the tiles, and cut
 * rows (packed.c: 5 to 15 % faster than a library that packs it for every tile); the others go to the library in tiles of gemm_cut. The choice is by shape alone. */
#include <string.h>

#include "engine/cpu/gemm.h"
#include "engine/ops/kit.h"
#include "engine/ops/packed.h"

/* (m, n) from k products each: packed? */
static bool is_packed(int64_t m, int64_t n, int64_t k) { return m >= 256 && n >= 32 && k >= 32; }
static int64_t tile_rows(int64_t m) { return m >= 16 * 192 ? 192 : m >= 8 * 96 ? 96 : 48; } /* multiples of every MM_MR */
static int64_t packed_tiles(int64_t m) { return kit_tiles(m, tile_rows(m)); }
static void packed_scratch(struct shaping *s, int64_t k, int64_t n) { s->scratch_fixed = ISA(packed_size)(k, n) * sizeof(float) + 64; }

static int linear_shape(struct shaping *s, struct err *e) {
    const struct tensor *x = s->in[0], *w = s->in[1], *b = s->n_in > 2 ? s->in[2] : NULL;
    if (!kit_float(s, 0) || !kit_float(s, 1) || x->ndim < 1 || w->ndim != 2) return err_set(e, "needs x (.., in), weight (out, in) and optionally bias (out)");
    if (!dim_same(x->dim[x->ndim - 1], w->dim[1])) return err_set(e, "the last extent of the input must be the second of the weight");
    if (b && (b->ndim != 1 || !dim_same(b->dim[0], w->dim[0]))) return err_set(e, "the bias must have one value for each row of the weight");
    kit_like(&s->out[0], x);
    s->out[0].dim[x->ndim - 1] = w->dim[0];
    packed_scratch(s, w->dim[1].k, w->dim[0].k);
    s->n_out = 1;
    return 0;
}
static int linear_grad(struct graph *g, const struct node *n, const tid *dout, tid *din, struct err *e) {
    struct node k = *n;
    tid x = k.in[0], w = k.in[1], b = k.n_in > 2 ? k.in[2] : -1;
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
static void linear_ref(const struct exec *x) {
    int64_t m = kit_rows(&x->in[0]), k = kit_last(&x->in[0]), n = x->in[1].n[0];
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++) {
            double s = kit_has(x, 2) ? view_get(&x->in[2], j) : 0;
            for (int64_t p = 0; p < k; p++) s += view_get(&x->in[0], i * k + p) * view_get(&x->in[1], j * k + p);
            view_put(&x->out[0], i * n + j, s);
        }
}
static void linear_begin(const struct exec *x) {
    int64_t k = kit_last(&x->in[0]), n = x->in[1].n[0];
    if (is_packed(kit_rows(&x->in[0]), n, k)) ISA(packed_put)(true, x->in[1].data, k, k, n, x->scratch);
}
static int64_t linear_tiles(const struct exec *x) {
    if (is_packed(kit_rows(&x->in[0]), x->in[1].n[0], kit_last(&x->in[0]))) return packed_tiles(kit_rows(&x->in[0]));
    struct gemm_cut c = gemm_cut(kit_rows(&x->in[0]), x->in[1].n[0], kit_last(&x->in[0]));
    return c.nr * c.nc;
}
static void linear_run(const struct exec *x, int64_t lo, int64_t hi) {
    int64_t m = kit_rows(&x->in[0]), k = kit_last(&x->in[0]), n = x->in[1].n[0];
    const float *a = x->in[0].data, *w = x->in[1].data, *b = kit_has(x, 2) ? x->in[2].data : NULL;
    float *y = x->out[0].data;
    if (is_packed(m, n, k)) {
        int64_t from = lo * tile_rows(m), to = kit_min(m, hi * tile_rows(m));
        ISA(packed_gemm)(false, to - from, n, k, a + from * k, k, x->scratch, b, y + from * n, n);
        return;
    }
    struct gemm_cut c = gemm_cut(m, n, k);
    for (int64_t t = lo; t < hi; t++) {
        int64_t r = t / c.nc * c.rows, q = t % c.nc * c.cols, rows = kit_min(c.rows, m - r), cols = kit_min(c.cols, n - q);
        if (b)
            for (int64_t i = 0; i < rows; i++) memcpy(y + (r + i) * n + q, b + q, (size_t)cols * sizeof(float));
        gemm_f32(false, true, rows, cols, k, 1, a + r * k, k, w + q * k, k, b ? 1 : 0, y + r * n + q, n);
    }
}

/* dx (.., in) = dy (.., out) weight (out, in) */
static int dx_shape(struct shaping *s, struct err *e) {
    const struct tensor *d = s->in[0], *w = s->in[1];
    if (!kit_float(s, 0) || !kit_float(s, 1) || d->ndim < 1 || w->ndim != 2 || !dim_same(d->dim[d->ndim - 1], w->dim[0]))
        return err_set(e, "needs dy (.., out) and weight (out, in)");
    kit_like(&s->out[0], d);
    s->out[0].dim[d->ndim - 1] = w->dim[1];
    packed_scratch(s, w->dim[0].k, w->dim[1].k);
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
static void dx_begin(const struct exec *x) {
    int64_t n = x->in[1].n[0], k = x->in[1].n[1];
    if (is_packed(kit_rows(&x->in[0]), k, n)) ISA(packed_put)(false, x->in[1].data, k, n, k, x->scratch);
}
static int64_t dx_tiles(const struct exec *x) {
    if (is_packed(kit_rows(&x->in[0]), x->in[1].n[1], x->in[1].n[0])) return packed_tiles(kit_rows(&x->in[0]));
    struct gemm_cut c = gemm_cut(kit_rows(&x->in[0]), x->in[1].n[1], x->in[1].n[0]);
    return c.nr * c.nc;
}
static void dx_run(const struct exec *x, int64_t lo, int64_t hi) {
    int64_t m = kit_rows(&x->in[0]), n = x->in[1].n[0], k = x->in[1].n[1];
    const float *d = x->in[0].data, *w = x->in[1].data;
    float *y = x->out[0].data;
    if (is_packed(m, k, n)) {
        int64_t from = lo * tile_rows(m), to = kit_min(m, hi * tile_rows(m));
        ISA(packed_gemm)(false, to - from, k, n, d + from * n, n, x->scratch, NULL, y + from * k, k);
        return;
    }
    struct gemm_cut c = gemm_cut(m, k, n);
    for (int64_t t = lo; t < hi; t++) {
        int64_t r = t / c.nc * c.rows, q = t % c.nc * c.cols;
        gemm_f32(false, false, kit_min(c.rows, m - r), kit_min(c.cols, k - q), n, 1, d + r * n, n, w + q, k, 0, y + r * k + q, k);
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
    s->scratch = (struct dim){(int64_t)ISA(packed_size)(rows.k, s->out[0].dim[1].k) * (int64_t)sizeof(float), rows.axis};
    s->scratch_fixed = 64;
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
static void dw_begin(const struct exec *x) {
    int64_t m = kit_rows(&x->in[0]), k = x->out[0].n[1];
    if (is_packed(x->out[0].n[0], k, m)) ISA(packed_put)(false, x->in[1].data, k, m, k, x->scratch);
}
static int64_t dw_tiles(const struct exec *x) {
    if (is_packed(x->out[0].n[0], x->out[0].n[1], kit_rows(&x->in[0]))) return packed_tiles(x->out[0].n[0]);
    struct gemm_cut c = gemm_cut(x->out[0].n[0], x->out[0].n[1], kit_rows(&x->in[0]));
    return c.nr * c.nc;
}
static void dw_run(const struct exec *x, int64_t lo, int64_t hi) {
    int64_t m = kit_rows(&x->in[0]), n = x->out[0].n[0], k = x->out[0].n[1];
    const float *d = x->in[0].data, *a = x->in[1].data;
    float *y = x->out[0].data;
    if (is_packed(n, k, m)) {
        int64_t from = lo * tile_rows(n), to = kit_min(n, hi * tile_rows(n));
        ISA(packed_gemm)(true, to - from, k, m, d + from, n, x->scratch, NULL, y + from * k, k);
        return;
    }
    struct gemm_cut c = gemm_cut(n, k, m);
    for (int64_t t = lo; t < hi; t++) {
        int64_t r = t / c.nc * c.rows, q = t % c.nc * c.cols, rows = kit_min(c.rows, n - r), cols = kit_min(c.cols, k - q);
        if (m == 0)
            for (int64_t i = 0; i < rows; i++) memset(y + (r + i) * k + q, 0, (size_t)cols * sizeof(float));
        else gemm_f32(true, false, rows, cols, m, 1, d + r, n, a + q, k, 0, y + r * k + q, k);
    }
}
static void dw_cost(const struct exec *x, struct cost *c) {
    c->macs = (double)kit_rows(&x->in[0]) * (double)x->out[0].len;
    c->flop = 2 * c->macs;
    c->bytes = 4.0 * ((double)x->in[0].len + (double)x->in[1].len + (double)x->out[0].len);
}

/* (n) = the sum of x (.., n) over all rows: the gradient of a bias */
#define COLS 64
static int colsum_shape(struct shaping *s, struct err *e) {
    const struct tensor *x = s->in[0];
    if (!kit_float(s, 0) || x->ndim < 1) return err_set(e, "needs x (.., n)");
    s->out[0].ndim = 1;
    s->out[0].dim[0] = x->dim[x->ndim - 1];
    s->out[0].dtype = x->dtype;
    s->out[0].offsets = -1;
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
    const float *a = (const float *)x->in[0].data + from;
    float *y = (float *)x->out[0].data + from;
    memset(y, 0, (size_t)w * sizeof(float));
    for (int64_t i = 0; i < m; i++, a += n) {
#pragma omp simd
        for (int64_t j = 0; j < w; j++) y[j] += a[j];
    }
}

static const struct sample linear_samples[] = {
    {NULL, "f(R,4) f(3,4) f(3)"}, {NULL, "f(R,7) f(1,7)"}, {NULL, "f(R,2,5) f(33,5) f(33)"}, {NULL, "f(T0,17) f(19,17) f(19)"}, {NULL, "f(R,97,37) f(45,37) f(45)"}, {0}};
static const struct sample dx_samples[] = {{NULL, "f(R,3) f(3,4)"}, {NULL, "f(R,1) f(1,7)"}, {NULL, "f(R,2,33) f(33,5)"}, {0}};
static const struct sample dw_samples[] = {{NULL, "f(R,3) f(R,4)"}, {NULL, "f(R,1) f(R,7)"}, {NULL, "f(R,2,33) f(R,2,5)"}, {0}};
static const struct sample colsum_samples[] = {{NULL, "f(R,3)"}, {NULL, "f(R,65)"}, {NULL, "f(R,3,131)"}, {0}};

const struct op ISA(op_linear) = {
    .kind = {.name = "linear", .help = "x weight^T + bias"}, .in_min = 2, .in_max = 3, .n_out = 1,
    .shape = linear_shape, .grad = linear_grad, .cost = linear_cost, .ref = linear_ref, .tiles = linear_tiles, .begin = linear_begin, .run = linear_run, .samples = linear_samples};
const struct op ISA(op_linear_dx) = {
    .kind = {.name = "linear_dx", .help = "gradient of linear to its input"}, .in_min = 2, .in_max = 2, .n_out = 1,
    .shape = dx_shape, .cost = dx_cost, .ref = dx_ref, .tiles = dx_tiles, .begin = dx_begin, .run = dx_run, .samples = dx_samples};
const struct op ISA(op_linear_dw) = {
    .kind = {.name = "linear_dw", .help = "gradient of linear to its weight"}, .in_min = 2, .in_max = 2, .n_out = 1,
    .shape = dw_shape, .cost = dw_cost, .ref = dw_ref, .tiles = dw_tiles, .begin = dw_begin, .run = dw_run, .samples = dw_samples};
const struct op ISA(op_colsum) = {
    .kind = {.name = "colsum", .help = "sum over all rows"}, .in_min = 1, .in_max = 1, .n_out = 1,
    .shape = colsum_shape, .grad = colsum_grad, .ref = colsum_ref, .tiles = colsum_tiles, .run = colsum_run, .samples = colsum_samples};
