/* The three products of a linear layer on rounded operands (packed_half.h), as two passes over tiles. */
#include "engine/ops/linear_half.h"

#include "engine/ops/half.h"
#include "engine/ops/kit.h"
#include "engine/ops/packed.h"
#include "engine/ops/packed_half.h"

#define LEAST 32 /* outputs and inputs of a layer from which rounding pays: a head with fewer classes stays exact */
#define COLS 64 /* columns packed in a tile: a multiple of every MM_NR */

struct mul {
    int64_t m, n, k;
    bool ta, tb;
    struct half_mat a, b, c;
    const float *bias;
};

static struct half_mat mat(const struct view *v, int64_t ld) { return (struct half_mat){v->data, ld, v->dtype}; }
static struct mul mul_of(const struct exec *x, enum product_op what) {
    const struct view *in = x->in, *out = &x->out[0];
    if (what == PRODUCT_Y) {
        int64_t k = kit_last(&in[0]), n = in[1].n[0];
        return (struct mul){kit_rows(&in[0]), n, k, false, true, mat(&in[0], k), mat(&in[1], k), mat(out, n), kit_has(x, 2) ? in[2].data : NULL};
    }
    if (what == PRODUCT_DX) {
        int64_t k = in[1].n[0], n = in[1].n[1];
        return (struct mul){kit_rows(&in[0]), n, k, false, false, mat(&in[0], k), mat(&in[1], n), mat(out, n), NULL};
    }
    int64_t m = out->n[0], n = out->n[1];
    return (struct mul){m, n, kit_rows(&in[0]), true, false, mat(&in[0], m), mat(&in[1], n), mat(out, n), NULL};
}
static int64_t tile_rows(int64_t m) { return m >= 16 * 192 ? 192 : m >= 8 * 96 ? 96 : 48; } /* multiples of every MM_MR */

void ISA(linear_half_shape)(struct shaping *s, enum product_op what, int64_t n, struct dim k) {
    const struct tensor *w = what == PRODUCT_DW ? &s->out[0] : s->in[1];
    if (s->g->half == DT_F32 || w->dim[0].k < LEAST || w->dim[1].k < LEAST) return;
    s->half = true;
    s->half_in = what == PRODUCT_DW ? 3 : 1;
    s->half_out = what != PRODUCT_DW && k.k <= HALF_BLOCK;
    struct dim bytes = {(int64_t)ISA(half_size)(k.k, n), k.axis};
    s->scratch_fixed = 64;
    if (k.axis == AXIS_ONE) s->scratch_fixed += (size_t)bytes.k, s->scratch = (struct dim){0};
    else s->scratch_fixed += ISA(half_size)(2, n), s->scratch = bytes; /* an odd number of rows is rounded up */
}
int64_t ISA(linear_half_tiles)(const struct exec *x, enum product_op what) {
    struct mul p = mul_of(x, what);
    return p.m > 0 ? kit_tiles(p.n, COLS) : 0;
}
void ISA(linear_half_run)(const struct exec *x, enum product_op what, int64_t lo, int64_t hi) {
    struct mul p = mul_of(x, what);
    ISA(half_put)(x->node->half, p.tb, p.b, p.k, p.n, lo * COLS, kit_min(p.n, hi * COLS), x->scratch);
}
int64_t ISA(linear_half_tiles2)(const struct exec *x, enum product_op what) {
    struct mul p = mul_of(x, what);
    return kit_tiles(p.m, tile_rows(p.m));
}
void ISA(linear_half_run2)(const struct exec *x, enum product_op what, int64_t lo, int64_t hi) {
    struct mul p = mul_of(x, what);
    int64_t from = lo * tile_rows(p.m), to = kit_min(p.m, hi * tile_rows(p.m));
    size_t item = p.a.type == DT_F32 ? 4 : 2, item_c = p.c.type == DT_F32 ? 4 : 2;
    p.a.data = (const char *)p.a.data + (size_t)(p.ta ? from : from * p.a.ld) * item;
    p.c.data = (const char *)p.c.data + (size_t)(from * p.c.ld) * item_c;
    ISA(half_gemm)(x->node->half, p.ta, to - from, p.n, p.k, p.a, x->scratch, p.bias, p.c);
}
void ISA(linear_half_activate)(const struct exec *x, int act, int64_t lo, int64_t hi) {
    enum { PIECE = 1024 };
    struct mul p = mul_of(x, PRODUCT_Y);
    int64_t from = lo * tile_rows(p.m) * p.n, to = kit_min(p.m, hi * tile_rows(p.m)) * p.n;
    float own[PIECE];
    for (int64_t at = from; act && at < to; at += PIECE) {
        int64_t n = kit_min(PIECE, to - at);
        void *y = (char *)x->out[0].data + at * (p.c.type == DT_F32 ? 4 : 2);
        const float *v = half_up(p.c.type, y, n, own);
        ISA(packed_activate)((enum packed_act)act, (float *)(uintptr_t)v, n, 1, n);
        half_down(p.c.type, v, n, y);
    }
}
