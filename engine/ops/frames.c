/* Dense rows of frames and packed ones: frames (R, T, D) and the offsets of a ragged axis -> (F, D), the first frames of each row behind those of the row
 * before; unframes is the way back, with zeros behind the end of a row. frame_offsets gives the offsets of rows that all have the same number of frames.
 * Copies are whole frames. */
#include <string.h>

#include "engine/ops/kit.h"

#define GRAIN 32768

struct frames_args {
    int64_t axis, count;
};

static bool dense(const struct tensor *x) {
    return x->ndim == 3 && x->dim[0].axis == AXIS_R && x->dim[0].k == 1 && x->dim[1].axis == AXIS_ONE && x->dim[2].axis == AXIS_ONE;
}
static bool ends(const struct shaping *s, int i) { return kit_int(s, i) && s->in[i]->ndim == 1 && s->in[i]->dim[0].axis == AXIS_R1; }
static int frames_shape(struct shaping *s, struct err *e) {
    const struct frames_args *a = s->attr;
    const struct tensor *x = s->in[0];
    if (!kit_float(s, 0) || !dense(x) || !ends(s, 1)) return err_set(e, "needs rows of frames (R, T, D) and offsets (R+1)");
    s->out[0] = (struct tensor){.ndim = 2, .dim = {{1, (int)a->axis}, x->dim[2]}, .dtype = x->dtype, .offsets = -1};
    s->n_out = 1;
    return 0;
}
static int unframes_shape(struct shaping *s, struct err *e) {
    const struct frames_args *a = s->attr;
    const struct tensor *x = s->in[0];
    if (!kit_float(s, 0) || x->ndim != 2 || x->dim[0].axis < AXIS_T0 || x->dim[1].axis != AXIS_ONE || !ends(s, 1))
        return err_set(e, "needs packed frames (F, D) and offsets (R+1)");
    s->out[0] = (struct tensor){.ndim = 3, .dim = {{1, AXIS_R}, {a->count, AXIS_ONE}, x->dim[1]}, .dtype = x->dtype, .offsets = -1};
    s->n_out = 1;
    return 0;
}
static int frames_grad(struct graph *g, const struct node *n, const tid *dout, tid *din, struct err *e) {
    struct val *v = val_table();
    val_set_int(v, "count", graph_tensor(g, n->in[0])->dim[1].k);
    return (din[0] = kit_add_take(g, "unframes", v, (tid[]){dout[0], n->in[1]}, 2, NULL, e)) < 0 ? -1 : 0;
}
static int unframes_grad(struct graph *g, const struct node *n, const tid *dout, tid *din, struct err *e) {
    struct val *v = val_table();
    val_set_int(v, "axis", graph_tensor(g, n->in[0])->dim[0].axis);
    return (din[0] = kit_add_take(g, "frames", v, (tid[]){dout[0], n->in[1]}, 2, NULL, e)) < 0 ? -1 : 0;
}

static int64_t rows_in(const struct exec *x) { return kit_grain(GRAIN, x->in[0].n[1] * kit_last(&x->out[0])); }
static int64_t frames_tiles(const struct exec *x) { return kit_tiles(x->in[1].len - 1, rows_in(x)); }
/* Frames of row r, at most T. */
static int64_t length(const int32_t *off, int64_t r, int64_t t) { return kit_min(off[r + 1] - off[r], t); }
static void copy_rows(const struct exec *x, bool back, int64_t from, int64_t to) {
    const struct view *d = back ? &x->out[0] : &x->in[0]; /* the dense one */
    const int32_t *off = x->in[1].data;
    size_t w = dtype_bytes(d->dtype, 1) * (size_t)d->n[2];
    const char *in = x->in[0].data;
    char *out = x->out[0].data;
    for (int64_t r = from; r < to; r++) {
        size_t n = (size_t)length(off, r, d->n[1]) * w, all = (size_t)d->n[1] * w, at = (size_t)r * all, packed = (size_t)off[r] * w,
               end = (size_t)off[r + 1] * w;
        if (n) memcpy(out + (back ? at : packed), in + (back ? packed : at), n);
        if (back && n < all) memset(out + at + n, 0, all - n);
        if (!back && packed + n < end) memset(out + packed + n, 0, end - packed - n);
    }
}
static void frames_ref(const struct exec *x) { copy_rows(x, false, 0, x->in[1].len - 1); }
static void frames_run(const struct exec *x, int64_t lo, int64_t hi) { copy_rows(x, false, lo * rows_in(x), kit_min(hi * rows_in(x), x->in[1].len - 1)); }
static int64_t back_tiles(const struct exec *x) { return kit_tiles(x->in[1].len - 1, kit_grain(GRAIN, x->out[0].n[1] * x->out[0].n[2])); }
static void unframes_ref(const struct exec *x) { copy_rows(x, true, 0, x->in[1].len - 1); }
static void unframes_run(const struct exec *x, int64_t lo, int64_t hi) {
    int64_t n = kit_grain(GRAIN, x->out[0].n[1] * x->out[0].n[2]);
    copy_rows(x, true, lo * n, kit_min(hi * n, x->in[1].len - 1));
}

/* ---- frame_offsets: any tensor of rows -> 0, count, 2 count .. */
static int offsets_shape(struct shaping *s, struct err *e) {
    const struct tensor *x = s->in[0];
    if (!x || x->ndim < 1 || x->dim[0].axis != AXIS_R || x->dim[0].k != 1) return err_set(e, "needs a tensor with a row for each example");
    s->out[0] = (struct tensor){.ndim = 1, .dim = {{1, AXIS_R1}}, .dtype = DT_I32, .offsets = -1};
    s->n_out = 1;
    return 0;
}
static void offsets_ref(const struct exec *x) {
    int64_t count = ((const struct frames_args *)x->attr)->count;
    for (int64_t r = 0; r < x->out[0].len; r++) ((int32_t *)x->out[0].data)[r] = (int32_t)(r * count);
}
static void offsets_run(const struct exec *x, int64_t lo, int64_t hi) { /* one tile */
    (void)lo;
    (void)hi;
    offsets_ref(x);
}

static const struct arg frames_arg[] = {{.name = "axis",
                                            .help = "axis symbol of the packed frames",
                                            .def = "3",
                                            .type = ARG_INT,
                                            .offset = offsetof(struct frames_args, axis),
                                            .lo = AXIS_T0,
                                            .hi = AXIS_N - 1},
    {.name = "count", .help = "frames of a row", .def = "1", .type = ARG_INT, .offset = offsetof(struct frames_args, count), .lo = 1, .hi = 1 << 24}, {0}};
static const struct sample frames_samples[] = {{NULL, "f(R,7,3) o(T0)"}, {"axis=4", "f(R,6,1) o(T1)"}, {"axis=3", "f(R,4,17) o(T0)"}, {0}};
static const struct sample unframes_samples[] = {{"count=7", "f(T0,3) o(T0)"}, {"count=3", "f(T1,5) o(T1)"}, {0}};
static const struct sample offsets_samples[] = {{"count=5", "f(R,5,2)"}, {NULL, "f(R)"}, {0}};

const struct op ISA(op_frames) = {.kind = {.name = "frames", .help = "dense rows of frames, packed", .args = frames_arg, .size = sizeof(struct frames_args)},
    .in_min = 2,
    .in_max = 2,
    .n_out = 1,
    .shape = frames_shape,
    .grad = frames_grad,
    .ref = frames_ref,
    .tiles = frames_tiles,
    .run = frames_run,
    .samples = frames_samples};
const struct op ISA(op_unframes) = {.kind = {.name = "unframes", .help = "packed frames in dense rows", .args = frames_arg, .size = sizeof(struct frames_args)},
    .in_min = 2,
    .in_max = 2,
    .n_out = 1,
    .shape = unframes_shape,
    .grad = unframes_grad,
    .ref = unframes_ref,
    .tiles = back_tiles,
    .run = unframes_run,
    .samples = unframes_samples};
const struct op ISA(op_frame_offsets) = {
    .kind = {.name = "frame_offsets", .help = "offsets of rows with the same number of frames", .args = frames_arg, .size = sizeof(struct frames_args)},
    .in_min = 1,
    .in_max = 1,
    .n_out = 1,
    .flags = OP_NO_GRAD,
    .shape = offsets_shape,
    .ref = offsets_ref,
    .run = offsets_run,
    .samples = offsets_samples};
