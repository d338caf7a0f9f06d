/* Dropout with a live probability: y = x / (1 - p) where the random number of the element is >= p, else 0. The mask is not stored: the gradient is the same
 * op on dy with the same stream. Numbers are Philox blocks of (stream, step, element / 4), so any cut into tiles gives the same mask.
 * drop_path drops whole examples in the same way (stochastic depth: Huang et al. 2016): x (R, ..), or tokens (T, ..) with their offsets. */
#include <string.h>

#include "engine/ops/kit.h"
#include "engine/ops/random.h"
#include "src/base/rng.h"

#define GRAIN 4096 /* elements a tile, a multiple of 4 LANES */

static int dropout_shape(struct shaping *s, struct err *e) {
    if (!kit_float(s, 0) || !kit_float(s, 1) || s->in[1]->ndim != 0) return err_set(e, "needs values and one probability");
    kit_like(&s->out[0], s->in[0]);
    s->n_out = 1;
    return 0;
}
static int dropout_grad(struct graph *g, const struct node *n, const tid *dout, tid *din, struct err *e) {
    return (din[0] = graph_add2(g, "dropout", dout[0], n->in[1], e)) < 0 ? -1 : 0;
}
static void dropout_ref(const struct exec *x) {
    double p = view_get(&x->in[1], 0), k = p < 1 ? 1 / (1 - (p > 0 ? p : 0)) : 0;
    for (int64_t i = 0; i < x->in[0].len; i++) {
        bool stays = rng_u32(x->stream, x->step, (uint64_t)i) >= random_limit(p);
        view_put(&x->out[0], i, stays ? k * view_get(&x->in[0], i) : 0);
    }
}
static int64_t dropout_tiles(const struct exec *x) { return kit_tiles(x->in[0].len, GRAIN); }
static void dropout_run(const struct exec *x, int64_t lo, int64_t hi) {
    double p = (double)*(const float *)x->in[1].data;
    float k = p < 1 ? (float)(1 / (1 - (p > 0 ? p : 0))) : 0;
    uint32_t limit = p < 1 ? (uint32_t)random_limit(p) : 0, r[4 * RANDOM_LANES];
    const float *a = x->in[0].data;
    float *y = x->out[0].data;
    int64_t to = kit_min(x->in[0].len, hi * GRAIN);
    for (int64_t i = lo * GRAIN; i < to; i += 4 * RANDOM_LANES) {
        int64_t n = kit_min(4 * RANDOM_LANES, to - i);
        random_lanes(x->stream, x->step, (uint64_t)i / 4, r);
        for (int64_t j = 0; j < n; j++) y[i + j] = r[j] >= limit && k > 0 ? k * a[i + j] : 0;
    }
}

static int path_shape(struct shaping *s, struct err *e) {
    const struct tensor *x = s->in[0], *o = s->n_in > 2 ? s->in[2] : NULL;
    bool texts = kit_float(s, 0) && x->ndim >= 1 && x->dim[0].axis >= AXIS_T0;
    if (!kit_float(s, 0) || !kit_float(s, 1) || s->in[1]->ndim != 0 || x->ndim < 1 || (!texts && x->dim[0].axis != AXIS_R))
        return err_set(e, "needs values of examples (R, ..) or of tokens (T, ..) and one probability");
    if (texts != (o != NULL) || (o && (!kit_int(s, 2) || o->ndim != 1 || o->dim[0].axis != AXIS_R1)))
        return err_set(e, "tokens, and only they, need the offsets (R+1) of their texts");
    kit_like(&s->out[0], x);
    s->n_out = 1;
    return 0;
}
static int path_grad(struct graph *g, const struct node *n, const tid *dout, tid *din, struct err *e) {
    struct node k = *n;
    tid in[] = {dout[0], k.in[1], k.n_in > 2 ? k.in[2] : -1};
    return (din[0] = graph_add(g, "drop_path", NULL, in, k.n_in, NULL, e)) < 0 ? -1 : 0;
}
static void path_part(const struct exec *x, int64_t r, int64_t *from, int64_t *to) { /* elements of example r */
    int64_t width = 1;
    for (int i = 1; i < x->in[0].ndim; i++) width *= x->in[0].n[i];
    *from = kit_has(x, 2) ? (int64_t)view_get(&x->in[2], r) * width : r * width;
    *to = kit_has(x, 2) ? (int64_t)view_get(&x->in[2], r + 1) * width : (r + 1) * width;
}
static int64_t path_tiles(const struct exec *x) { return kit_has(x, 2) ? x->in[2].len - 1 : x->in[0].n[0]; }
static void path_ref(const struct exec *x) {
    double p = view_get(&x->in[1], 0), k = p < 1 ? 1 / (1 - (p > 0 ? p : 0)) : 0;
    for (int64_t r = 0, from, to; r < path_tiles(x); r++) {
        bool stays = rng_u32(x->stream, x->step, (uint64_t)r) >= random_limit(p);
        path_part(x, r, &from, &to);
        for (int64_t i = from; i < to; i++) view_put(&x->out[0], i, stays ? k * view_get(&x->in[0], i) : 0);
    }
}
static void path_run(const struct exec *x, int64_t lo, int64_t hi) {
    double p = (double)*(const float *)x->in[1].data;
    for (int64_t r = lo, from, to; r < hi; r++) {
        float k = rng_u32(x->stream, x->step, (uint64_t)r) >= random_limit(p) && p < 1 ? (float)(1 / (1 - (p > 0 ? p : 0))) : 0;
        const float *a = x->in[0].data;
        float *y = x->out[0].data;
        path_part(x, r, &from, &to);
        if (k > 0)
            for (int64_t i = from; i < to; i++) y[i] = k * a[i];
        else memset(y + from, 0, (size_t)(to - from) * sizeof(float));
    }
}

static const struct sample dropout_samples[] = {{NULL, "f(R,4) s(0.5)"}, {NULL, "f(R,3,5) s(0.1)"}, {NULL, "f(T0,33) s(0)"}, {NULL, "f(R,7) s(0.9)"}, {0}};

const struct op ISA(op_dropout) = {.kind = {.name = "dropout", .help = "sets a share p of the values to 0 and scales the rest by 1 / (1 - p)"},
    .in_min = 2,
    .in_max = 2,
    .n_out = 1,
    .flags = OP_RANDOM | OP_INPLACE,
    .shape = dropout_shape,
    .grad = dropout_grad,
    .ref = dropout_ref,
    .tiles = dropout_tiles,
    .run = dropout_run,
    .samples = dropout_samples};
static const struct sample path_samples[] = {{NULL, "f(R,4) s(0.5)"}, {NULL, "f(R,3,5) s(0.3)"}, {NULL, "f(T0,33) s(0.5) o(T0)"}, {NULL, "f(R,7) s(0)"}, {0}};
const struct op ISA(op_drop_path) = {.kind = {.name = "drop_path", .help = "sets a share p of the examples to 0 and scales the rest by 1 / (1 - p)"},
    .in_min = 2,
    .in_max = 3,
    .n_out = 1,
    .flags = OP_RANDOM | OP_INPLACE,
    .shape = path_shape,
    .grad = path_grad,
    .ref = path_ref,
    .tiles = path_tiles,
    .run = path_run,
    .samples = path_samples};
