/* Rows of tables in 8 bits, a scale a row (i8.h, plain rows): lookup (embedding_i8), the mean or sum of the rows of each text (embedding_bag_i8), and words
 * with positions and types (embed_i8). As their namesakes in floats (embedding.c, tokens.c); a table in 8 bits is not trained, so there are no gradients.
 * Scaled values are not contracted, so that all instruction sets give the same bits. */
#pragma GCC optimize("fp-contract=off", "no-associative-math")
#include <string.h>

#include "engine/ops/kit.h"

#define WORK 32768 /* values a tile */

enum { MODE_MEAN, MODE_SUM };
struct bag_args {
    int mode;
};
struct embed_args {
    int64_t start;
};

static bool is_table(const struct shaping *s, int table, int scale) {
    const struct tensor *w = s->in[table], *c = scale < s->n_in ? s->in[scale] : NULL;
    return w && w->dtype == DT_I8 && w->ndim == 2 && c && c->dtype == DT_F32 && c->ndim == 1 && dim_same(c->dim[0], w->dim[0]);
}
static int no_grad(struct graph *g, const struct node *n, const tid *dout, tid *din, struct err *e) {
    (void)g, (void)n, (void)dout, (void)din, (void)e; /* ids and tables take none */
    return 0;
}
/* y (+)= k times row id; a row outside the table is zero. */
static inline __attribute__((always_inline)) void row_add(float *y, const int8_t *w, float k, int64_t d, const bool add) {
#pragma omp simd
    for (int64_t i = 0; i < d; i++) y[i] = add ? y[i] + k * (float)w[i] : k * (float)w[i];
}

/* ---- lookup: (ids (..), table (V, D), scale (V)) -> (.., D) */
static int embedding_i8_shape(struct shaping *s, struct err *e) {
    const struct tensor *ids = s->in[0];
    if (!kit_int(s, 0) || !is_table(s, 1, 2) || ids->ndim >= TENSOR_DIMS)
        return err_set(e, "needs i32 ids (..), an i8 table (rows, width) and its scales (rows)");
    kit_like(&s->out[0], ids);
    s->out[0].dim[s->out[0].ndim++] = s->in[1]->dim[1];
    s->out[0].dtype = DT_F32;
    s->n_out = 1;
    return 0;
}
static int64_t embedding_i8_tiles(const struct exec *x) { return kit_tiles(x->in[0].len, kit_grain(2 * WORK, kit_last(&x->in[1]))); }
static void embedding_i8_run(const struct exec *x, int64_t lo, int64_t hi) {
    int64_t d = kit_last(&x->in[1]), v = x->in[1].n[0], grain = kit_grain(2 * WORK, d), to = kit_min(x->in[0].len, hi * grain);
    const int32_t *ids = x->in[0].data;
    const int8_t *w = x->in[1].data;
    const float *scale = x->in[2].data;
    for (int64_t t = lo * grain; t < to; t++) {
        float *y = (float *)x->out[0].data + t * d;
        if (ids[t] >= 0 && ids[t] < v) row_add(y, w + ids[t] * d, scale[ids[t]], d, false);
        else memset(y, 0, (size_t)d * sizeof(float));
    }
}
static void embedding_i8_ref(const struct exec *x) {
    int64_t d = kit_last(&x->in[1]), v = x->in[1].n[0];
    for (int64_t t = 0; t < x->in[0].len; t++) {
        int64_t id = (int64_t)view_get(&x->in[0], t);
        for (int64_t i = 0; i < d; i++) view_put(&x->out[0], t * d + i, id < 0 || id >= v ? 0 : view_get(&x->in[2], id) * view_get(&x->in[1], id * d + i));
    }
}

/* ---- bag: (ids (T), table (V, D), offsets (R+1), scale (V), weight (T) or none) -> (R, D): sum w e / sum w (mean; 0 where the sum is 0) or sum w e */
static int bag_i8_shape(struct shaping *s, struct err *e) {
    const struct tensor *ids = s->in[0], *o = s->in[2], *tw = s->n_in > 4 ? s->in[4] : NULL;
    bool ok = kit_int(s, 0) && is_table(s, 1, 3) && kit_int(s, 2) && ids->ndim == 1 && o->ndim == 1 && o->dim[0].axis == AXIS_R1 &&
              (!tw || (tw->dtype == DT_F32 && kit_same(tw, ids)));
    if (!ok) return err_set(e, "needs i32 ids (T), an i8 table (rows, width), offsets (R+1), the scales (rows) and optionally a weight for each id");
    s->out[0].ndim = 2;
    s->out[0].dim[0] = (struct dim){1, AXIS_R};
    s->out[0].dim[1] = s->in[1]->dim[1];
    s->out[0].dtype = DT_F32;
    s->n_out = 1;
    return 0;
}
static int64_t bag_grain(const struct exec *x) {
    int64_t rows = x->out[0].n[0], width = kit_last(&x->in[1]);
    return kit_grain(WORK, x->in[0].len / kit_max(1, rows) * width);
}
static int64_t bag_i8_tiles(const struct exec *x) { return kit_tiles(x->out[0].n[0], bag_grain(x)); }
static void bag_i8_run(const struct exec *x, int64_t lo, int64_t hi) {
    int64_t d = kit_last(&x->in[1]), v = x->in[1].n[0], grain = bag_grain(x), to = kit_min(x->out[0].n[0], hi * grain);
    const int32_t *ids = x->in[0].data, *off = x->in[2].data;
    const int8_t *table = x->in[1].data;
    const float *scale = x->in[3].data, *tw = kit_has(x, 4) ? x->in[4].data : NULL;
    bool mean = ((const struct bag_args *)x->attr)->mode == MODE_MEAN;
    for (int64_t r = lo * grain; r < to; r++) {
        float *y = (float *)x->out[0].data + r * d, sw = 0;
        memset(y, 0, (size_t)d * sizeof(float));
        for (int32_t t = off[r]; t < off[r + 1]; t++) {
            float w = tw ? tw[t] : 1.0f;
            sw += w;
            if (ids[t] < 0 || ids[t] >= v) continue;
            if (t + 4 < off[r + 1] && ids[t + 4] >= 0 && ids[t + 4] < v) {
                __builtin_prefetch(table + ids[t + 4] * d);
                __builtin_prefetch(scale + ids[t + 4]);
            }
            row_add(y, table + ids[t] * d, w * scale[ids[t]], d, true);
        }
        float k = sw != 0 ? 1.0f / sw : 0;
        for (int64_t i = 0; i < d && mean; i++) y[i] *= k;
    }
}
static void bag_i8_ref(const struct exec *x) {
    int64_t d = kit_last(&x->in[1]), v = x->in[1].n[0];
    bool mean = ((const struct bag_args *)x->attr)->mode == MODE_MEAN;
    for (int64_t r = 0; r < x->out[0].n[0]; r++)
        for (int64_t i = 0; i < d; i++) {
            double s = 0, sw = 0;
            for (int64_t t = (int64_t)view_get(&x->in[2], r), to = (int64_t)view_get(&x->in[2], r + 1); t < to; t++) {
                int64_t id = (int64_t)view_get(&x->in[0], t);
                double w = kit_has(x, 4) ? view_get(&x->in[4], t) : 1;
                sw += w;
                if (id >= 0 && id < v) s += w * view_get(&x->in[3], id) * view_get(&x->in[1], id * d + i);
            }
            view_put(&x->out[0], r * d + i, !mean ? s : sw != 0 ? s / sw : 0);
        }
}

/* ---- embed: (ids (T), word (V, D), offsets (R+1), position (P, D) or none, type (K, D) or none, scale (V)) -> (T, D); the type is 0 */
static int embed_i8_shape(struct shaping *s, struct err *e) {
    const struct tensor *ids = s->in[0], *w = s->in[1], *o = s->in[2];
    bool ok = kit_int(s, 0) && is_table(s, 1, 5) && kit_int(s, 2) && ids->ndim == 1 && o->ndim == 1 && o->dim[0].axis == AXIS_R1;
    for (int i = 3; ok && i < 5; i++) ok = !s->in[i] || (s->in[i]->dtype == DT_F32 && s->in[i]->ndim == 2 && dim_same(s->in[i]->dim[1], w->dim[1]));
    if (!ok)
        return err_set(e, "needs i32 ids (T), i8 words (rows, width), offsets (R+1), positions and types of that width or none, and the words' scales (rows)");
    kit_like(&s->out[0], ids);
    s->out[0].dim[s->out[0].ndim++] = w->dim[1];
    s->out[0].dtype = DT_F32;
    s->n_out = 1;
    return 0;
}
static int64_t embed_i8_tiles(const struct exec *x) { return kit_tiles(x->out[0].n[0], kit_grain(WORK, kit_last(&x->out[0]))); }
static void embed_i8_run(const struct exec *x, int64_t lo, int64_t hi) {
    int64_t d = kit_last(&x->in[1]), v = x->in[1].n[0], rows = x->in[2].len - 1, grain = kit_grain(WORK, d), to = kit_min(x->in[0].len, hi * grain),
            t = lo * grain;
    const int32_t *ids = x->in[0].data, *off = x->in[2].data;
    const int8_t *word = x->in[1].data;
    const float *pos = kit_has(x, 3) ? x->in[3].data : NULL, *type = kit_has(x, 4) ? x->in[4].data : NULL, *scale = x->in[5].data;
    int64_t r = t < to ? kit_text(off, rows, t) : 0, start = ((const struct embed_args *)x->attr)->start;
    for (; t < to; t++) {
        while (t >= off[r + 1]) r++;
        int64_t p = t - off[r] + start;
        float *y = (float *)x->out[0].data + t * d;
        if (ids[t] >= 0 && ids[t] < v) row_add(y, word + ids[t] * d, scale[ids[t]], d, false);
        else memset(y, 0, (size_t)d * sizeof(float));
        for (int64_t i = 0; i < d && pos && p < x->in[3].n[0]; i++) y[i] += pos[p * d + i];
        for (int64_t i = 0; i < d && type; i++) y[i] += type[i];
    }
}
static void embed_i8_ref(const struct exec *x) {
    int64_t d = kit_last(&x->in[1]), v = x->in[1].n[0], rows = x->in[2].len - 1, start = ((const struct embed_args *)x->attr)->start;
    for (int64_t r = 0; r < rows; r++)
        for (int64_t from = (int64_t)view_get(&x->in[2], r), t = from, to = (int64_t)view_get(&x->in[2], r + 1); t < to; t++)
            for (int64_t i = 0; i < d; i++) {
                int64_t id = (int64_t)view_get(&x->in[0], t), p = t - from + start;
                double s = id >= 0 && id < v ? view_get(&x->in[5], id) * view_get(&x->in[1], id * d + i) : 0;
                if (kit_has(x, 3) && p < x->in[3].n[0]) s += view_get(&x->in[3], p * d + i);
                if (kit_has(x, 4)) s += view_get(&x->in[4], i);
                view_put(&x->out[0], t * d + i, s);
            }
}

static const char *const modes[] = {"mean", "sum", NULL};
static const struct arg bag_arg[] = {
    {.name = "mode", .help = "mean or sum of the rows", .def = "mean", .type = ARG_ENUM, .offset = offsetof(struct bag_args, mode), .names = modes}, {0}};
static const struct arg embed_arg[] = {{.name = "start",
                                           .help = "position of the first token",
                                           .def = "0",
                                           .type = ARG_INT,
                                           .offset = offsetof(struct embed_args, start),
                                           .lo = -1,
                                           .hi = 1 << 20},
    {0}};
static const struct sample none[] = {{0}}; /* tests/engine/int8_test.c */
const struct op ISA(op_embedding_i8) = {.kind = {.name = "embedding_i8", .help = "rows of a table in 8 bits"},
    .in_min = 3,
    .in_max = 3,
    .n_out = 1,
    .shape = embedding_i8_shape,
    .grad = no_grad,
    .ref = embedding_i8_ref,
    .tiles = embedding_i8_tiles,
    .run = embedding_i8_run,
    .samples = none};
const struct op ISA(op_embedding_bag_i8) = {.kind = {.name = "embedding_bag_i8",
                                                .help = "mean or sum of the rows of each text, of a table in 8 bits",
                                                .args = bag_arg,
                                                .size = sizeof(struct bag_args)},
    .in_min = 4,
    .in_max = 5,
    .n_out = 1,
    .shape = bag_i8_shape,
    .grad = no_grad,
    .ref = bag_i8_ref,
    .tiles = bag_i8_tiles,
    .run = bag_i8_run,
    .samples = none};
const struct op ISA(op_embed_i8) = {.kind = {.name = "embed_i8",
                                        .help = "sum of the vectors of word, position and type, words in 8 bits",
                                        .args = embed_arg,
                                        .size = sizeof(struct embed_args)},
    .in_min = 3,
    .in_max = 6,
    .n_out = 1,
    .shape = embed_i8_shape,
    .grad = no_grad,
    .ref = embed_i8_ref,
    .tiles = embed_i8_tiles,
    .run = embed_i8_run,
    .samples = none};
