/* Sums over the micro-batches of a step. accumulate: acc = first ? x : acc + x. rows_accumulate: the same for row-sparse gradients of a table, whose rows get
 * slots in order of first appearance, so that at most as many rows are held as the table has. Both write where the sum lies (OP_TIED) and run as soon as
 * x is there, so that x itself lives for one step only. */
#include <string.h>

#include "engine/ops/kit.h"

#define TILE 32768 /* elements */

/* ---- acc, x of its shape, first () -> acc */
static int acc_shape(struct shaping *s, struct err *e) {
    if (!kit_float(s, 0) || !kit_float(s, 1) || !kit_same(s->in[0], s->in[1]) || s->in[2]->ndim != 0)
        return err_set(e, "needs a sum, a summand of its shape and one number");
    kit_like(&s->out[0], s->in[0]);
    s->out[0].offsets = -1;
    s->n_out = 1;
    return 0;
}
static void acc_ref(const struct exec *x) {
    bool first = view_get(&x->in[2], 0) != 0;
    for (int64_t i = 0; i < x->in[1].len; i++) view_put(&x->out[0], i, view_get(&x->in[1], i) + (first ? 0 : view_get(&x->in[0], i)));
}
static int64_t acc_tiles(const struct exec *x) { return kit_tiles(x->in[1].len, TILE); }
static void acc_run(const struct exec *x, int64_t lo, int64_t hi) {
    float *restrict a = x->out[0].data;
    const float *restrict b = x->in[1].data;
    int64_t from = lo * TILE, to = kit_min(x->in[1].len, hi * TILE);
    if (*(const float *)x->in[2].data != 0) memcpy(a + from, b + from, (size_t)(to - from) * sizeof *a);
    else {
#pragma omp simd
        for (int64_t i = from; i < to; i++) a[i] += b[i];
    }
}

/* ---- sum: values (V, D), row ids (V), count (1), slot of each table row (V); summand: values (N, D), row ids (N), count (1); first () -> the sum's four */
static bool is_list(const struct shaping *s, int i) { return kit_int(s, i) && s->in[i]->ndim == 1; }
static int rows_shape(struct shaping *s, struct err *e) {
    const struct tensor *a = s->in[0], *b = s->in[4];
    if (!kit_float(s, 0) || !kit_float(s, 4) || a->ndim != 2 || b->ndim != 2 || !dim_same(a->dim[1], b->dim[1]) || !is_list(s, 1) || !is_list(s, 2) ||
        !is_list(s, 3) || !is_list(s, 5) || !is_list(s, 6) || !dim_same(b->dim[0], s->in[5]->dim[0]) || s->in[7]->ndim != 0)
        return err_set(e, "needs a row-sparse sum (values, ids, count, slots), a row-sparse summand (values, ids, count) and one number");
    for (int i = 0; i < 4; i++) kit_like(&s->out[i], s->in[i]), s->out[i].offsets = -1;
    s->scratch = (struct dim){(int64_t)sizeof(int32_t) * b->dim[0].k, b->dim[0].axis};
    s->scratch_fixed = 64;
    s->n_out = 4;
    return 0;
}
/* Where each row of the summand goes: slot s, or ~s if the slot is new. */
static void rows_begin(const struct exec *x) {
    int32_t *id = x->out[1].data, *count = x->out[2].data, *slot = x->out[3].data, *to = x->scratch;
    const int32_t *ids = x->in[5].data, n = *(const int32_t *)x->in[6].data;
    if (view_get(&x->in[7], 0) != 0) {
        memset(slot, 0xff, (size_t)x->out[3].len * sizeof *slot);
        *count = 0;
    }
    for (int32_t r = 0; r < n; r++) {
        int32_t s = slot[ids[r]];
        to[r] = s;
        if (s >= 0) continue;
        slot[ids[r]] = s = (*count)++;
        id[s] = ids[r];
        to[r] = ~s;
    }
}
static void rows_ref(const struct exec *x) {
    int64_t d = kit_last(&x->out[0]), n = *(const int32_t *)x->in[6].data;
    const int32_t *to = x->scratch;
    rows_begin(x);
    for (int64_t r = 0; r < n; r++)
        for (int64_t i = 0, s = to[r] < 0 ? ~to[r] : to[r]; i < d; i++)
            view_put(&x->out[0], s * d + i, view_get(&x->in[4], r * d + i) + (to[r] < 0 ? 0 : view_get(&x->out[0], s * d + i)));
}
static int64_t rows_grain(const struct exec *x) { return kit_grain(TILE, kit_last(&x->out[0])); }
static int64_t rows_tiles(const struct exec *x) { return kit_tiles(x->in[4].n[0], rows_grain(x)); }
static void rows_run(const struct exec *x, int64_t lo, int64_t hi) {
    int64_t d = kit_last(&x->out[0]), grain = rows_grain(x), end = kit_min(*(const int32_t *)x->in[6].data, hi * grain);
    const int32_t *to = x->scratch;
    for (int64_t r = lo * grain; r < end; r++) {
        float *restrict a = (float *)x->out[0].data + (to[r] < 0 ? ~to[r] : to[r]) * d;
        const float *restrict b = (const float *)x->in[4].data + r * d;
        if (to[r] < 0) {
            memcpy(a, b, (size_t)d * sizeof *a);
            continue;
        }
#pragma omp simd
        for (int64_t i = 0; i < d; i++) a[i] += b[i];
    }
}

static const struct sample none[] = {{0}};
const struct op ISA(op_accumulate) = {.kind = {.name = "accumulate", .help = "a sum over the micro-batches of a step"},
    .in_min = 3,
    .in_max = 3,
    .n_out = 1,
    .flags = OP_NO_GRAD | OP_TIED | OP_EARLY,
    .shape = acc_shape,
    .ref = acc_ref,
    .tiles = acc_tiles,
    .run = acc_run,
    .samples = none};
const struct op ISA(op_rows_accumulate) = {.kind = {.name = "rows_accumulate", .help = "a sum of row-sparse gradients over the micro-batches of a step"},
    .in_min = 8,
    .in_max = 8,
    .n_out = 4,
    .flags = OP_NO_GRAD | OP_TIED | OP_EARLY,
    .shape = rows_shape,
    .ref = rows_ref,
    .tiles = rows_tiles,
    .begin = rows_begin,
    .run = rows_run,
    .samples = none};
