/* The dynamic 8-bit linear layer: y = x weight^T + bias with weights in 8 bits a scale an output (i8.h) and inputs quantised as they come: each row to
 * 0..255 with a scale and a zero point of its own (its range, zero included). Sums are exact in 32 bits; behind them stands y = (sum - zero * weights' sum) *
 * (row scale * weight scale) + bias and, joined in, an activation. First pass: rows to 8 bits; second pass: products, cut by shape. A row that holds something
 * not finite becomes NaN. Sums of floats are not contracted or reordered here, so that without gelu all instruction sets give the same bits. */
#pragma GCC optimize("fp-contract=off", "no-associative-math", "no-reciprocal-math")
#include <math.h>

#include "engine/ops/kit.h"
#include "engine/ops/math.h"
#include "engine/ops/quant8.h"

enum { ACT_NONE, ACT_RELU, ACT_GELU };
static const char *const acts[] = {"none", "relu", "gelu", NULL};
struct i8_args {
    int act;
};

#define Q_WORK 65536 /* values a tile of the first pass */
#define MACS_TILE 4194304 /* about, of the second */

static int linear_i8_shape(struct shaping *s, struct err *e) {
    const struct tensor *x = s->in[0], *w = s->in[1], *c = s->in[2], *b = s->n_in > 3 ? s->in[3] : NULL;
    struct dim rows;
    if (!kit_float(s, 0) || x->ndim < 1 || w->dtype != DT_I8 || w->ndim != 2 || !kit_float(s, 2))
        return err_set(e, "needs x (.., in), an i8 weight (out, in), its scales (out) and optionally bias (out)");
    if (x->dtype != DT_F32) return err_set(e, "an 8-bit layer works in f32 alone");
    if (!dim_same(x->dim[x->ndim - 1], w->dim[1])) return err_set(e, "the last extent of the input must be the second of the weight");
    if (c->ndim != 1 || !dim_same(c->dim[0], w->dim[0]) || (b && (b->ndim != 1 || !dim_same(b->dim[0], w->dim[0]))))
        return err_set(e, "scales and bias must have one value for each row of the weight");
    if (w->dim[1].axis != AXIS_ONE || w->dim[1].k > I8_MAX_IN) return err_set(e, "an 8-bit layer takes at most %d inputs", I8_MAX_IN);
    if (!kit_flat(x, 0, x->ndim - 1, &rows)) return err_set(e, "the leading extents have two axis symbols");
    kit_like(&s->out[0], x);
    s->out[0].dim[x->ndim - 1] = w->dim[0];
    s->scratch = (struct dim){rows.k * (i8_in(w->dim[1].k) * (int64_t)sizeof(dot8_in) + (int64_t)sizeof(struct row8)), rows.axis};
    s->scratch_fixed = 128;
    s->n_out = 1;
    return 0;
}
static int linear_i8_grad(struct graph *g, const struct node *n, const tid *dout, tid *din, struct err *e) {
    (void)g, (void)dout, (void)din;
    return err_set(e, "%s: its weights are in 8 bits, which training cannot change, nor what comes before it: train the model before quant.int8", n->path);
}
static void linear_i8_cost(const struct exec *x, struct cost *c) {
    int64_t m = kit_rows(&x->in[0]), k = kit_last(&x->in[0]), n = x->in[1].n[0];
    c->macs = (double)m * (double)k * (double)n;
    c->flop = 2 * c->macs;
    c->bytes = 4.0 * ((double)m * (double)k + (double)m * (double)n) + (double)n * (double)k;
}

/* Scratch: scale and zero point of each row, then the rows. */
static struct row8 *rows_of(const struct exec *x) { return x->scratch; }
static dot8_in *values_of(const struct exec *x, int64_t m) { return (dot8_in *)((char *)x->scratch + (m * (int64_t)sizeof(struct row8) + 63) / 64 * 64); }

static int64_t linear_i8_tiles(const struct exec *x) { return kit_tiles(kit_rows(&x->in[0]), kit_grain(Q_WORK, kit_last(&x->in[0]))); }
static void linear_i8_run(const struct exec *x, int64_t lo, int64_t hi) {
    int64_t m = kit_rows(&x->in[0]), k = kit_last(&x->in[0]), grain = kit_grain(Q_WORK, k), to = kit_min(m, hi * grain);
    for (int64_t i = lo * grain; i < to; i++) rows_of(x)[i] = quant8_row((const float *)x->in[0].data + i * k, k, values_of(x, m) + i * i8_in(k));
}

struct cut {
    int64_t rows, cols, nr, nc;
};
static struct cut cut_of(const struct exec *x) {
    int64_t m = kit_rows(&x->in[0]), n = i8_out(x->in[1].n[0]), k = kit_max(1, kit_last(&x->in[0]));
    struct cut c = {.rows = m >= 1536 ? 96 : kit_max(1, kit_min(m, 192))};
    int64_t panels = kit_max(1, MACS_TILE / (c.rows * k * I8_PANEL));
    c.cols = m >= 1536 ? n : kit_min(n, panels * I8_PANEL);
    c.nr = kit_tiles(m, c.rows), c.nc = kit_tiles(n, c.cols);
    return c;
}
static int64_t linear_i8_tiles2(const struct exec *x) {
    struct cut c = cut_of(x);
    return c.nr * c.nc;
}

/* x times the normal distribution function, |error| <= 3e-6 beyond |x| of 1, a hundredth of a step of the 8 bits that follow: erf by Abramowitz and Stegun
 * 7.1.28, which takes half the time of math_erf. */
static inline __attribute__((always_inline)) float gelu(float x) {
    float c = math_ends(x, 64), t = fabsf(c) * 0.70710678f, p = 4.30638e-5f;
    p = math_fma(p, t, 2.765672e-4f);
    p = math_fma(p, t, 1.520143e-4f);
    p = math_fma(p, t, 9.2705272e-3f);
    p = math_fma(p, t, 4.22820123e-2f);
    p = math_fma(p, t, 7.05230784e-2f);
    p = math_fma(p, t, 1.0f);
    p *= p, p *= p, p *= p, p *= p;
    float half = 0.5f / p; /* (1 - erf) / 2; p may be infinite */
    return x > 0 ? x - c * half : c * half;
}
/* One row of a panel. */
struct behind {
    const float *scale, *bias;
    const int32_t *sum;
    int act;
};
static inline __attribute__((always_inline)) void finish(const int32_t *s, struct row8 r, const struct behind b, const int act, float *y, int64_t w) {
#pragma omp simd
    for (int64_t j = 0; j < w; j++) {
        float v = (float)(s[j] - r.zero * b.sum[j]) * (r.scale * b.scale[j]);
        v += b.bias ? b.bias[j] : 0;
        if (act == ACT_RELU) v = v < 0 ? 0.0f : v; /* NaN stays */
        if (act == ACT_GELU) v = gelu(v);
        y[j] = v;
    }
}
static inline void finish_rows(const int32_t *s, const struct row8 *r, int rows, const struct behind b, float *y, int64_t ldy, int64_t w) {
    for (int i = 0; i < rows; i++, s += I8_PANEL, y += ldy) {
        if (w == I8_PANEL && b.act == ACT_GELU) finish(s, r[i], b, ACT_GELU, y, I8_PANEL);
        else if (w == I8_PANEL && b.act == ACT_RELU) finish(s, r[i], b, ACT_RELU, y, I8_PANEL);
        else if (w == I8_PANEL) finish(s, r[i], b, ACT_NONE, y, I8_PANEL);
        else finish(s, r[i], b, b.act, y, w);
    }
}
static void linear_i8_run2(const struct exec *x, int64_t lo, int64_t hi) {
    int64_t m = kit_rows(&x->in[0]), k = kit_last(&x->in[0]), k4 = i8_in(k), n = x->in[1].n[0];
    const dot8_in *a = values_of(x, m);
    const struct row8 *row = rows_of(x);
    struct cut c = cut_of(x);
    const float *scale = x->in[2].data, *bias = kit_has(x, 3) ? x->in[3].data : NULL;
    const int32_t *sum = i8_sums(x->in[1].data, n, k);
    int act = ((const struct i8_args *)x->attr)->act;
    int32_t s[DOT8_MR * I8_PANEL] __attribute__((aligned(64)));
    for (int64_t t = lo; t < hi; t++) {
        int64_t r0 = t / c.nc * c.rows, r1 = kit_min(m, r0 + c.rows), j0 = t % c.nc * c.cols, j1 = kit_min(n, j0 + c.cols);
        for (int64_t j = j0; j < j1; j += I8_PANEL) {
            const int8_t *b = (const int8_t *)x->in[1].data + j * k4;
            struct behind h = {scale + j, bias ? bias + j : NULL, sum + j, act};
            for (int64_t i = r0; i < r1; i += DOT8_MR) {
                int rows = (int)kit_min(DOT8_MR, r1 - i);
                dot8_tile(rows, k4 / 4, a + i * k4, k4, b, s);
                finish_rows(s, row + i, rows, h, (float *)x->out[0].data + i * n + j, n, kit_min(I8_PANEL, n - j));
            }
        }
    }
}
/* The same integers in plain loops. */
static void linear_i8_ref(const struct exec *x) {
    int64_t m = kit_rows(&x->in[0]), k = kit_last(&x->in[0]), k4 = i8_in(k), n = x->in[1].n[0];
    const float *scale = x->in[2].data, *bias = kit_has(x, 3) ? x->in[3].data : NULL;
    const int8_t *w = x->in[1].data;
    for (int64_t i = 0; i < m; i++) {
        struct row8 r = rows_of(x)[i] = quant8_row((const float *)x->in[0].data + i * k, k, values_of(x, m) + i * k4);
        const dot8_in *a = values_of(x, m) + i * k4;
        for (int64_t j = 0; j < n; j++) {
            int32_t s = 0;
            for (int64_t p = 0; p < k; p++) s += a[p] * w[j / I8_PANEL * I8_PANEL * k4 + p / 4 * 4 * I8_PANEL + j % I8_PANEL * 4 + p % 4];
            struct behind h = {scale + j, bias ? bias + j : NULL, i8_sums(w, n, k) + j, 0};
            finish(&s, r, h, ((const struct i8_args *)x->attr)->act, (float *)x->out[0].data + i * n + j, 1);
        }
    }
}

static const struct arg i8_arg[] = {
    {.name = "act", .help = "activation joined in", .def = "none", .type = ARG_ENUM, .offset = offsetof(struct i8_args, act), .names = acts}, {0}};
static const struct sample none[] = {{0}}; /* tests/engine/int8_test.c */
const struct op ISA(op_linear_i8) = {
    .kind = {.name = "linear_i8", .help = "x weight^T + bias with weights and inputs in 8 bits", .args = i8_arg, .size = sizeof(struct i8_args)},
    .in_min = 3,
    .in_max = 4,
    .n_out = 1,
    .shape = linear_i8_shape,
    .grad = linear_i8_grad,
    .cost = linear_i8_cost,
    .ref = linear_i8_ref,
    .tiles = linear_i8_tiles,
    .run = linear_i8_run,
    .tiles2 = linear_i8_tiles2,
    .run2 = linear_i8_run2,
    .samples = none};
