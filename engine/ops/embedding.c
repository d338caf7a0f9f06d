/* Rows of a table by id, and the mean (or sum) of the rows of each text in one pass, without the (T, D) values in between. The gradient of a table
 * is row-sparse: values (T, D) of which the first `count` rows count, their row ids (T), count (1), and the slot of each table row or -1 (V).
 * Slots are given in order of first appearance by a serial counting sort; tiles then run over slots, so sums have one order at any thread count.
 * An id outside the table is read as a row of zeros and gets no gradient: data sets check ids before. */
#include <string.h>

#include "engine/ops/kit.h"

#define WORK 32768 /* values a tile */

enum { MODE_MEAN, MODE_SUM };
struct bag_args {
    int mode;
};
static bool is_mean(const struct exec *x) { return ((const struct bag_args *)x->attr)->mode == MODE_MEAN; }

/* ---- lookup: (ids (..), table (V, D)) -> (.., D) */
static int embedding_shape(struct shaping *s, struct err *e) {
    const struct tensor *ids = s->in[0], *w = s->in[1];
    if (!kit_int(s, 0) || !kit_float(s, 1) || w->ndim != 2 || ids->ndim >= TENSOR_DIMS) return err_set(e, "needs i32 ids (..) and a table (rows, width)");
    kit_like(&s->out[0], ids);
    s->out[0].dim[s->out[0].ndim++] = w->dim[1];
    s->out[0].dtype = w->dtype;
    s->n_out = 1;
    return 0;
}
static int embedding_grad(struct graph *g, const struct node *n, const tid *dout, tid *din, struct err *e) {
    tid in[] = {n->in[0], n->in[1], dout[0]}, out[4];
    if (!kit_needs(g, n->in[1])) return 0;
    return (din[1] = graph_add(g, "embedding_grad", NULL, in, 3, out, e)) < 0 ? -1 : 0;
}
static void embedding_ref(const struct exec *x) {
    int64_t d = kit_last(&x->in[1]), v = x->in[1].n[0];
    for (int64_t t = 0; t < x->in[0].len; t++) {
        int64_t id = (int64_t)view_get(&x->in[0], t);
        for (int64_t i = 0; i < d; i++) view_put(&x->out[0], t * d + i, id < 0 || id >= v ? 0 : view_get(&x->in[1], id * d + i));
    }
}
static int64_t embedding_tiles(const struct exec *x) { return kit_tiles(x->in[0].len, kit_grain(2 * WORK, kit_last(&x->in[1]))); }
static void embedding_run(const struct exec *x, int64_t lo, int64_t hi) {
    int64_t d = kit_last(&x->in[1]), v = x->in[1].n[0], grain = kit_grain(2 * WORK, d), to = kit_min(x->in[0].len, hi * grain);
    const int32_t *ids = x->in[0].data;
    const float *w = x->in[1].data;
    float *y = x->out[0].data;
    for (int64_t t = lo * grain; t < to; t++) {
        if (ids[t] >= 0 && ids[t] < v) memcpy(y + t * d, w + ids[t] * d, (size_t)d * sizeof(float));
        else memset(y + t * d, 0, (size_t)d * sizeof(float));
    }
}

/* ---- the row-sparse outputs both gradients share */
static int sparse_shape(struct shaping *s, const struct tensor *ids, const struct tensor *w, struct err *e) {
    struct dim n;
    if (!kit_flat(ids, 0, ids->ndim, &n)) return err_set(e, "the ids have two axis symbols");
    s->out[0].ndim = 2;
    s->out[0].dim[0] = n;
    s->out[0].dim[1] = w->dim[1];
    s->out[0].dtype = w->dtype;
    struct dim one[3] = {n, {1, AXIS_ONE}, w->dim[0]};
    for (int i = 1; i < 4; i++) {
        s->out[i].ndim = 1;
        s->out[i].dim[0] = one[i - 1];
        s->out[i].dtype = DT_I32;
    }
    s->scratch = (struct dim){16 * n.k, n.axis};
    s->scratch_fixed = 64;
    s->n_out = 4;
    return 0;
}
/* Scratch: per slot its first list entry and then its end, per token its slot, the list of tokens (or texts) slot by slot. */
struct lists {
    int32_t *end, *slot_of, *list, *count, *row, *slot;
    int64_t n;
};
static struct lists lists_of(const struct exec *x) {
    int64_t n = x->in[0].len;
    int32_t *s = x->scratch;
    return (struct lists){s, s + n + 1, s + 2 * n + 1, x->out[2].data, x->out[1].data, x->out[3].data, n};
}
/* Gives slots in order of first appearance and counts; end[s + 1] becomes the end of slot s's list while it is filled. */
static void give_slots(const struct exec *x, struct lists l) {
    const int32_t *ids = x->in[0].data;
    int32_t v = (int32_t)x->out[3].len, count = 0;
    memset(l.slot, 0xff, (size_t)v * sizeof(int32_t));
    for (int64_t t = 0; t < l.n; t++) {
        int32_t id = ids[t], s = -1;
        if (id >= 0 && id < v) {
            s = l.slot[id];
            if (s < 0) {
                s = l.slot[id] = count;
                l.row[count++] = id;
                l.end[s] = 0;
            }
            l.end[s]++;
        }
        l.slot_of[t] = s;
    }
    *l.count = count;
    int32_t at = 0;
    for (int32_t s = 0; s < count; s++) { /* counts become starts */
        int32_t k = l.end[s];
        l.end[s] = at;
        at += k;
    }
}
static int64_t slot_tiles(const struct exec *x) { return kit_tiles(x->in[0].len, kit_grain(WORK, kit_last(&x->out[0]))); }

/* ---- (ids, table, dy (.., D)) -> sparse */
static int egrad_shape(struct shaping *s, struct err *e) {
    const struct tensor *ids = s->in[0], *w = s->in[1], *d = s->in[2];
    bool ok = kit_int(s, 0) && kit_float(s, 1) && kit_float(s, 2) && w->ndim == 2 && d->ndim == ids->ndim + 1 && dim_same(d->dim[d->ndim - 1], w->dim[1]);
    for (int i = 0; ok && i < ids->ndim; i++) ok = dim_same(ids->dim[i], d->dim[i]);
    if (!ok) return err_set(e, "needs ids (..), the table (rows, width) and a gradient (.., width)");
    return sparse_shape(s, ids, w, e);
}
static void egrad_begin(const struct exec *x) {
    struct lists l = lists_of(x);
    give_slots(x, l);
    for (int64_t t = 0; t < l.n; t++)
        if (l.slot_of[t] >= 0) l.list[l.end[l.slot_of[t]]++] = (int32_t)t;
}
static void egrad_ref(const struct exec *x) {
    egrad_begin(x);
    struct lists l = lists_of(x);
    int64_t d = kit_last(&x->out[0]);
    for (int64_t i = 0; i < *l.count * d; i++) view_put(&x->out[0], i, 0);
    for (int64_t t = 0; t < l.n; t++)
        for (int64_t i = 0; i < d && l.slot_of[t] >= 0; i++) {
            int64_t o = l.slot_of[t] * d + i;
            view_put(&x->out[0], o, view_get(&x->out[0], o) + view_get(&x->in[2], t * d + i));
        }
}
static void egrad_run(const struct exec *x, int64_t lo, int64_t hi) {
    struct lists l = lists_of(x);
    int64_t d = kit_last(&x->out[0]), grain = kit_grain(WORK, d), to = kit_min(*l.count, hi * grain);
    const float *dy = x->in[2].data;
    for (int64_t s = lo * grain; s < to; s++) {
        float *y = (float *)x->out[0].data + s * d;
        int32_t j = s ? l.end[s - 1] : 0;
        memcpy(y, dy + l.list[j] * d, (size_t)d * sizeof(float));
        for (j++; j < l.end[s]; j++) {
            const float *a = dy + l.list[j] * d;
#pragma omp simd
            for (int64_t i = 0; i < d; i++) y[i] += a[i];
        }
    }
}

/* ---- bag: (ids (T), table (V, D), offsets (R+1), weight (T) or none) -> (R, D): sum w e / sum w (mean; 0 where the sum is 0) or sum w e */
static bool bag_inputs(const struct shaping *s) {
    const struct tensor *ids = s->in[0], *w = s->in[1], *o = s->in[2], *tw = s->n_in > 3 ? s->in[3] : NULL;
    return kit_int(s, 0) && kit_float(s, 1) && kit_int(s, 2) && ids->ndim == 1 && w->ndim == 2 && o->ndim == 1 && o->dim[0].axis == AXIS_R1 &&
           (!tw || (kit_float(s, 3) && kit_same(tw, ids)));
}
static int bag_shape(struct shaping *s, struct err *e) {
    if (!bag_inputs(s)) return err_set(e, "needs i32 ids (T), a table (rows, width), offsets (R+1) and optionally a weight for each id");
    s->out[0].ndim = 2;
    s->out[0].dim[0] = (struct dim){1, AXIS_R};
    s->out[0].dim[1] = s->in[1]->dim[1];
    s->out[0].dtype = s->in[1]->dtype;
    s->n_out = 1;
    return 0;
}
static int bag_grad(struct graph *g, const struct node *n, const tid *dout, tid *din, struct err *e) {
    tid in[] = {n->in[0], n->in[1], n->in[2], dout[0], n->n_in > 3 ? n->in[3] : -1}, out[4];
    if (!kit_needs(g, n->in[1])) return 0;
    din[1] = kit_add_take(g, "embedding_bag_grad", args_to_val(&n->op->kind, n->attr), in, 5, out, e);
    return din[1] < 0 ? -1 : 0;
}
static void bag_ref(const struct exec *x) {
    int64_t d = kit_last(&x->in[1]), v = x->in[1].n[0];
    for (int64_t r = 0; r < x->out[0].n[0]; r++) {
        int64_t from = (int64_t)view_get(&x->in[2], r), to = (int64_t)view_get(&x->in[2], r + 1);
        for (int64_t i = 0; i < d; i++) {
            double s = 0, sw = 0;
            for (int64_t t = from; t < to; t++) {
                int64_t id = (int64_t)view_get(&x->in[0], t);
                double w = kit_has(x, 3) ? view_get(&x->in[3], t) : 1;
                sw += w;
                if (id >= 0 && id < v) s += w * view_get(&x->in[1], id * d + i);
            }
            view_put(&x->out[0], r * d + i, !is_mean(x) ? s : sw != 0 ? s / sw : 0);
        }
    }
}
static int64_t bag_grain(const struct exec *x, int64_t rows, int64_t width) { return kit_grain(WORK, x->in[0].len / kit_max(1, rows) * width); }
static int64_t bag_tiles(const struct exec *x) { return kit_tiles(x->out[0].n[0], bag_grain(x, x->out[0].n[0], kit_last(&x->in[1]))); }
static void bag_run(const struct exec *x, int64_t lo, int64_t hi) {
    int64_t d = kit_last(&x->in[1]), v = x->in[1].n[0], grain = bag_grain(x, x->out[0].n[0], d), to = kit_min(x->out[0].n[0], hi * grain);
    const int32_t *ids = x->in[0].data, *off = x->in[2].data;
    const float *table = x->in[1].data, *tw = kit_has(x, 3) ? x->in[3].data : NULL;
    for (int64_t r = lo * grain; r < to; r++) {
        float *y = (float *)x->out[0].data + r * d, sw = 0;
        memset(y, 0, (size_t)d * sizeof(float));
        for (int32_t t = off[r]; t < off[r + 1]; t++) {
            float w = tw ? tw[t] : 1.0f;
            sw += w;
            if (ids[t] < 0 || ids[t] >= v) continue;
            const float *a = table + ids[t] * d;
            if (t + 4 < off[r + 1] && ids[t + 4] >= 0 && ids[t + 4] < v) __builtin_prefetch(table + ids[t + 4] * d);
#pragma omp simd
            for (int64_t i = 0; i < d; i++) y[i] += w * a[i];
        }
        if (!is_mean(x)) continue;
        float k = sw != 0 ? 1.0f / sw : 0;
        for (int64_t i = 0; i < d; i++) y[i] *= k;
    }
}
static void bag_cost(const struct exec *x, struct cost *c) {
    c->flop = (double)x->in[0].len * (double)kit_last(&x->in[1]);
    c->bytes = 4 * (c->flop + (double)x->out[0].len + (double)x->in[0].len);
}

/* ---- (ids, table, offsets, dy (R, D), weight or none) -> sparse, straight from the pooled gradient */
static int bgrad_shape(struct shaping *s, struct err *e) {
    struct shaping in = *s;
    in.in[3] = s->n_in > 4 ? s->in[4] : NULL;
    in.n_in = 4;
    const struct tensor *d = s->in[3];
    if (!bag_inputs(&in) || d->ndim != 2 || d->dim[0].axis != AXIS_R || !dim_same(d->dim[1], s->in[1]->dim[1]))
        return err_set(e, "needs ids (T), the table (rows, width), offsets (R+1), a gradient (R, width) and optionally a weight for each id");
    if (sparse_shape(s, s->in[0], s->in[1], e) < 0) return -1;
    s->scratch.k += 8 * (s->scratch.k / 16); /* a factor for each list entry */
    return 0;
}
static double *factors(const struct exec *x) { return (double *)((char *)x->scratch + 16 * (size_t)x->in[0].len + 16); }
static void bgrad_begin(const struct exec *x) {
    struct lists l = lists_of(x);
    double *factor = factors(x);
    const int32_t *off = x->in[2].data;
    give_slots(x, l);
    for (int64_t r = 0; r < x->in[3].n[0]; r++) {
        double sw = off[r + 1] - off[r];
        if (kit_has(x, 4)) {
            sw = 0;
            for (int32_t t = off[r]; t < off[r + 1]; t++) sw += view_get(&x->in[4], t);
        }
        double k = !is_mean(x) ? 1 : sw != 0 ? 1 / sw : 0;
        for (int32_t t = off[r]; t < off[r + 1]; t++) {
            if (l.slot_of[t] < 0) continue;
            int32_t at = l.end[l.slot_of[t]]++;
            l.list[at] = (int32_t)r;
            factor[at] = kit_has(x, 4) ? k * view_get(&x->in[4], t) : k;
        }
    }
}
static void bgrad_ref(const struct exec *x) {
    bgrad_begin(x);
    struct lists l = lists_of(x);
    const double *factor = factors(x);
    int64_t d = kit_last(&x->out[0]);
    for (int64_t s = 0; s < *l.count; s++)
        for (int64_t i = 0; i < d; i++) {
            double sum = 0;
            for (int32_t j = s ? l.end[s - 1] : 0; j < l.end[s]; j++) sum += factor[j] * view_get(&x->in[3], l.list[j] * d + i);
            view_put(&x->out[0], s * d + i, sum);
        }
}
static void bgrad_run(const struct exec *x, int64_t lo, int64_t hi) {
    struct lists l = lists_of(x);
    const double *factor = factors(x);
    int64_t d = kit_last(&x->out[0]), grain = kit_grain(WORK, d), to = kit_min(*l.count, hi * grain);
    const float *dy = x->in[3].data;
    for (int64_t s = lo * grain; s < to; s++) {
        float *y = (float *)x->out[0].data + s * d;
        int32_t j = s ? l.end[s - 1] : 0;
        const float *a = dy + l.list[j] * d;
        float k = (float)factor[j];
        for (int64_t i = 0; i < d; i++) y[i] = k * a[i];
        for (j++; j < l.end[s]; j++) {
            a = dy + l.list[j] * d;
            k = (float)factor[j];
#pragma omp simd
            for (int64_t i = 0; i < d; i++) y[i] += k * a[i];
        }
    }
}

/* ---- (values (T, D), ids (T), count (1), slot (V)) -> (V, D): the dense form, for sums of gradients and for tests */
static int dense_shape(struct shaping *s, struct err *e) {
    if (!kit_float(s, 0) || s->in[0]->ndim != 2 || !kit_int(s, 1) || !kit_int(s, 2) || !kit_int(s, 3) || s->in[3]->ndim != 1)
        return err_set(e, "needs the four outputs of a row-sparse gradient");
    s->out[0].ndim = 2;
    s->out[0].dim[0] = s->in[3]->dim[0];
    s->out[0].dim[1] = s->in[0]->dim[1];
    s->out[0].dtype = s->in[0]->dtype;
    s->n_out = 1;
    return 0;
}
static void dense_ref(const struct exec *x) {
    int64_t d = kit_last(&x->in[0]);
    for (int64_t r = 0; r < x->in[3].len; r++)
        for (int64_t i = 0; i < d; i++) {
            int64_t s = (int64_t)view_get(&x->in[3], r);
            view_put(&x->out[0], r * d + i, s < 0 ? 0 : view_get(&x->in[0], s * d + i));
        }
}
static int64_t dense_tiles(const struct exec *x) { return kit_tiles(x->in[3].len, kit_grain(2 * WORK, kit_last(&x->in[0]))); }
static void dense_run(const struct exec *x, int64_t lo, int64_t hi) {
    int64_t d = kit_last(&x->in[0]), grain = kit_grain(2 * WORK, d), to = kit_min(x->in[3].len, hi * grain);
    const int32_t *slot = x->in[3].data;
    for (int64_t r = lo * grain; r < to; r++) {
        float *y = (float *)x->out[0].data + r * d;
        if (slot[r] < 0) memset(y, 0, (size_t)d * sizeof(float));
        else memcpy(y, (const float *)x->in[0].data + slot[r] * d, (size_t)d * sizeof(float));
    }
}

static const char *const modes[] = {"mean", "sum", NULL};
static const struct arg bag_arg[] = {
    {.name = "mode", .help = "mean or sum of the rows of a text", .def = "mean", .type = ARG_ENUM, .offset = offsetof(struct bag_args, mode), .names = modes},
    {0}};
static const struct sample embedding_samples[] = {{NULL, "i(T0)[0,4] f(5,3)"}, {NULL, "i(R)[-1,2] f(3,7)"}, {NULL, "i(R,3)[0,10] f(11,33)"}, {0}};
static const struct sample egrad_samples[] = {
    {NULL, "i(T0)[0,4] f(5,3) f(T0,3)"}, {NULL, "i(R)[-1,2] f(3,7) f(R,7)"}, {NULL, "i(R,3)[0,10] f(11,33) f(R,3,33)"}, {0}};
static const struct sample bag_samples[] = {{NULL, "i(T0)[0,4] f(5,3) o(T0)"}, {"mode=sum", "i(T0)[-1,2] f(3,7) o(T0)"},
    {NULL, "i(T0)[0,10] f(11,33) o(T0) c(T0)[0.1,2]"}, {"mode=sum", "i(T0)[0,1] f(2,1) o(T0) c(T0)"}, {0}};
static const struct sample bgrad_samples[] = {
    {NULL, "i(T0)[0,4] f(5,3) o(T0) f(R,3)"}, {"mode=sum", "i(T0)[-1,2] f(3,7) o(T0) f(R,7)"}, {NULL, "i(T0)[0,10] f(11,33) o(T0) f(R,33) c(T0)[0.1,2]"}, {0}};
static const struct sample dense_samples[] = {
    {NULL, "f(3,4) i(3)[0,4] i(1)[3,3] i(5)[-1,2]"}, {NULL, "f(2,1) i(2)[0,4] i(1)[2,2] i(7)[-1,1]"}, {NULL, "f(9,33) i(9)[0,4] i(1)[9,9] i(3)[-1,8]"}, {0}};

const struct op ISA(op_embedding) = {.kind = {.name = "embedding", .help = "rows of a table by id"},
    .in_min = 2,
    .in_max = 2,
    .n_out = 1,
    .shape = embedding_shape,
    .grad = embedding_grad,
    .ref = embedding_ref,
    .tiles = embedding_tiles,
    .run = embedding_run,
    .samples = embedding_samples};
const struct op ISA(op_embedding_grad) = {.kind = {.name = "embedding_grad", .help = "row-sparse gradient of embedding"},
    .in_min = 3,
    .in_max = 3,
    .n_out = 4,
    .flags = OP_NO_GRAD,
    .shape = egrad_shape,
    .ref = egrad_ref,
    .tiles = slot_tiles,
    .begin = egrad_begin,
    .run = egrad_run,
    .samples = egrad_samples};
const struct op ISA(op_embedding_bag) = {
    .kind = {.name = "embedding_bag", .help = "mean or sum of table rows over each text", .args = bag_arg, .size = sizeof(struct bag_args)},
    .in_min = 3,
    .in_max = 4,
    .n_out = 1,
    .shape = bag_shape,
    .grad = bag_grad,
    .cost = bag_cost,
    .ref = bag_ref,
    .tiles = bag_tiles,
    .run = bag_run,
    .samples = bag_samples};
const struct op ISA(op_embedding_bag_grad) = {
    .kind = {.name = "embedding_bag_grad", .help = "row-sparse gradient of embedding_bag", .args = bag_arg, .size = sizeof(struct bag_args)},
    .in_min = 4,
    .in_max = 5,
    .n_out = 4,
    .flags = OP_NO_GRAD,
    .shape = bgrad_shape,
    .ref = bgrad_ref,
    .tiles = slot_tiles,
    .begin = bgrad_begin,
    .run = bgrad_run,
    .samples = bgrad_samples};
const struct op ISA(op_rows_dense) = {.kind = {.name = "rows_dense", .help = "a row-sparse gradient as a whole table"},
    .in_min = 4,
    .in_max = 4,
    .n_out = 1,
    .flags = OP_NO_GRAD,
    .shape = dense_shape,
    .ref = dense_ref,
    .tiles = dense_tiles,
    .run = dense_run,
    .samples = dense_samples};
