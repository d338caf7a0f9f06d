/* Images between row-major (R, C, H, W) and blocks of channels (R, C/B, H, W, B), and the sum of each channel. Conversions are put in by graph_add. */
#include <string.h>

#include "engine/ops/image.h"

struct layout_args {
    int64_t block;
};

static int relayout_shape(struct shaping *s, struct err *e) {
    const struct tensor *x = s->in[0];
    int64_t b = ((const struct layout_args *)s->attr)->block;
    if (!kit_float(s, 0) || (b && (x->ndim != 4 || x->dim[1].k % b))) return err_set(e, "channels of images in full blocks of %lld are needed", (long long)b);
    kit_like(&s->out[0], x);
    s->want[0] = x->block;
    s->out[0].block = (int)b;
    s->n_out = 1;
    return 0;
}
static int relayout_grad(struct graph *g, const struct node *n, const tid *dout, tid *din, struct err *e) {
    int block = graph_tensor(g, n->in[0])->block;
    if (graph_tensor(g, dout[0])->block == block) {
        din[0] = dout[0];
        return 0;
    }
    struct val *a = val_table();
    val_set_int(a, "block", block);
    din[0] = kit_add_take(g, "relayout", a, dout, 1, NULL, e);
    return din[0] < 0 ? -1 : 0;
}
static void relayout_ref(const struct exec *x) {
    const struct view *a = &x->in[0], *y = &x->out[0];
    if (a->ndim < 2 || a->block == y->block) {
        for (int64_t i = 0; i < a->len; i++) view_put(y, i, view_get(a, i));
        return;
    }
    int64_t p = image_pixels(a), c = a->n[1];
    for (int64_t i = 0; i < a->len; i++) view_put(y, image_at(y, i / (c * p), i / p % c, i % p), view_get(a, image_at(a, i / (c * p), i / p % c, i % p)));
}
static int64_t relayout_tiles(const struct exec *x) { return image_tiles(x->in[0].ndim ? x->in[0].n[0] : 1, 64); }
static void relayout_run(const struct exec *x, int64_t lo, int64_t hi) {
    const struct view *a = &x->in[0], *y = &x->out[0];
    int64_t tiles = relayout_tiles(x), images = a->ndim ? a->n[0] : 1, size = images ? a->len / images : 0, b = a->block ? a->block : y->block;
    int64_t from = image_from(images, tiles, lo), to = image_from(images, tiles, hi);
    if (a->block == y->block || (a->block && y->block)) {
        memcpy((float *)y->data + from * size, (const float *)a->data + from * size, (size_t)((to - from) * size) * sizeof(float));
        return;
    }
    int64_t p = image_pixels(a);
    for (int64_t k = from * size / (b * p); k < to * size / (b * p); k++) { /* one block of channels of one image */
        const float *s = (const float *)a->data + k * b * p;
        float *d = (float *)y->data + k * b * p;
        for (int64_t i = 0; i < b; i++)
            for (int64_t q = 0; q < p; q++) {
                if (y->block) d[q * b + i] = s[i * p + q];
                else d[i * p + q] = s[q * b + i];
            }
    }
}

/* (C) = the sum of x (R, C, ..) over all but the channels: the gradient of a bias */
#define SUM_TILES 8
static int sum_shape(struct shaping *s, struct err *e) {
    const struct tensor *x = s->in[0];
    if (!kit_float(s, 0) || x->ndim < 2 || x->dim[1].axis != AXIS_ONE) return err_set(e, "needs x (R, C, ..)");
    s->want[0] = x->block;
    s->out[0].ndim = 1;
    s->out[0].dim[0] = x->dim[1];
    s->out[0].dtype = x->dtype;
    s->n_out = 1;
    s->scratch_fixed = SUM_TILES * sizeof(float) * (size_t)x->dim[1].k + 64;
    return 0;
}
static void sum_ref(const struct exec *x) {
    const struct view *a = &x->in[0];
    int64_t p = image_pixels(a);
    for (int64_t c = 0; c < a->n[1]; c++) {
        double s = 0;
        for (int64_t n = 0; n < a->n[0]; n++)
            for (int64_t q = 0; q < p; q++) s += view_get(a, image_at(a, n, c, q));
        view_put(&x->out[0], c, s);
    }
}
static int64_t sum_tiles(const struct exec *x) { return image_tiles(x->in[0].n[0], SUM_TILES); }
static void sum_run(const struct exec *x, int64_t lo, int64_t hi) {
    const struct view *a = &x->in[0];
    int64_t tiles = sum_tiles(x), p = image_pixels(a), c = a->n[1], b = a->block ? a->block : 1;
    for (int64_t t = lo; t < hi; t++) {
        float *s = (float *)x->scratch + t * c;
        memset(s, 0, (size_t)c * sizeof(float));
        for (int64_t n = image_from(a->n[0], tiles, t); n < image_from(a->n[0], tiles, t + 1); n++)
            for (int64_t k = 0; k < c; k += b) {
                const float *v = (const float *)a->data + (n * c + k) * p;
                if (b > 1)
                    for (int64_t q = 0; q < p; q++)
                        for (int64_t i = 0; i < b; i++) s[k + i] += v[q * b + i];
                else {
                    float one = 0;
#pragma omp simd reduction(+ : one)
                    for (int64_t q = 0; q < p; q++) one += v[q];
                    s[k] += one;
                }
            }
    }
}
static void sum_finish(const struct exec *x) {
    const float *s = x->scratch;
    float *y = x->out[0].data;
    int64_t tiles = sum_tiles(x), c = x->in[0].n[1];
    for (int64_t i = 0; i < c; i++) {
        float one = 0;
        for (int64_t t = 0; t < tiles; t++) one += s[t * c + i];
        y[i] = one;
    }
}

static const struct arg layout_arg[] = {{.name = "block",
                                            .help = "channels of a block, 0: row-major",
                                            .def = "0",
                                            .type = ARG_INT,
                                            .offset = offsetof(struct layout_args, block),
                                            .lo = 0,
                                            .hi = 64},
    {0}};
static const struct sample layout_samples[] = {{NULL, "f(R,16,3,5)"}, {"block=16", "f(R,32,3,5)"}, {"block=8", "f(R,16,1,1)"}, {0}};
static const struct sample sum_samples[] = {{NULL, "f(R,3,4,5)"}, {NULL, "f(R,7)"}, {NULL, "f(R,5,9)"}, {0}};
const struct op ISA(op_relayout) = {
    .kind = {.name = "relayout", .help = "the same images in another order in memory", .args = layout_arg, .size = sizeof(struct layout_args)},
    .in_min = 1,
    .in_max = 1,
    .n_out = 1,
    .flags = OP_BLOCKS,
    .shape = relayout_shape,
    .grad = relayout_grad,
    .ref = relayout_ref,
    .tiles = relayout_tiles,
    .run = relayout_run,
    .samples = layout_samples};
const struct op ISA(op_channel_sum) = {.kind = {.name = "channel_sum", .help = "sum over all but the channels"},
    .in_min = 1,
    .in_max = 1,
    .n_out = 1,
    .flags = OP_BLOCKS,
    .shape = sum_shape,
    .ref = sum_ref,
    .tiles = sum_tiles,
    .run = sum_run,
    .finish = sum_finish,
    .samples = sum_samples};

/* ---- the shortcut without weights of He et al. 2015, option A: every stride-th pixel, zero channels at both sides: y[c] = x[c - (out - C) / 2] */
struct short_args {
    int64_t out, stride;
    struct arg_shape size;
}; /* size of the gradient's image */

static int short_shape(struct shaping *s, struct err *e) {
    const struct short_args *a = s->attr;
    const struct tensor *x = s->in[0];
    if (!kit_float(s, 0) || x->ndim != 4 || x->dim[1].axis || x->dim[2].axis || x->dim[3].axis) return err_set(e, "needs images (R, C, H, W)");
    kit_like(&s->out[0], x);
    s->n_out = 1;
    s->out[0].dim[1].k = a->out;
    if (a->size.n == 2) { /* backwards: fewer channels, more pixels */
        if (a->out > x->dim[1].k || (x->dim[1].k - a->out) % 2 || a->size.d[0] < 1 || a->size.d[1] < 1)
            return err_set(e, "the gradient does not have the output's shape");
        s->out[0].dim[2].k = a->size.d[0], s->out[0].dim[3].k = a->size.d[1];
    } else {
        if (a->out < x->dim[1].k || (a->out - x->dim[1].k) % 2)
            return err_set(e, "%lld channels cannot be padded evenly to %lld", (long long)x->dim[1].k, (long long)a->out);
        for (int i = 2; i < 4; i++) s->out[0].dim[i].k = (x->dim[i].k - 1) / a->stride + 1;
    }
    s->out[0].block = 0;
    if (!s->g->plain && image_blocks(&s->out[0]) && image_blocks(x)) s->want[0] = s->out[0].block = IMAGE_B;
    return 0;
}
static int short_grad(struct graph *g, const struct node *n, const tid *dout, tid *din, struct err *e) {
    struct tensor x = *graph_tensor(g, n->in[0]);
    struct val *v = val_table(), *l = val_list();
    val_set_int(v, "out", x.dim[1].k);
    val_set_int(v, "stride", ((const struct short_args *)n->attr)->stride);
    val_push(l, val_int(x.dim[2].k));
    val_push(l, val_int(x.dim[3].k));
    if (((const struct short_args *)n->attr)->size.n == 2) val_free(l);
    else val_set(v, "size", l);
    din[0] = kit_add_take(g, "pad_shortcut", v, dout, 1, NULL, e);
    return din[0] < 0 ? -1 : 0;
}
/* Where the value of (channel, pixel) of the output comes from in its image: channel and pixel of the input, or -1. */
static int64_t short_channel(const struct exec *x, int64_t c) {
    int64_t have = x->in[0].n[1], want = x->out[0].n[1], from = c + (have - want) / 2;
    return from >= 0 && from < have ? from : -1;
}
static int64_t short_pixel(const struct exec *x, int64_t p) {
    const struct short_args *a = x->attr;
    int64_t w = x->out[0].n[3], iw = x->in[0].n[3];
    if (a->size.n != 2) return p / w * a->stride * iw + p % w * a->stride;
    return p / w % a->stride || p % w % a->stride ? -1 : p / w / a->stride * iw + p % w / a->stride;
}
static void short_ref(const struct exec *x) {
    int64_t p = image_pixels(&x->out[0]), c = x->out[0].n[1];
    for (int64_t i = 0; i < x->out[0].len; i++) {
        int64_t from = short_channel(x, i / p % c), pixel = short_pixel(x, i % p);
        view_put(&x->out[0], image_at(&x->out[0], i / (c * p), i / p % c, i % p),
            from < 0 || pixel < 0 ? 0 : view_get(&x->in[0], image_at(&x->in[0], i / (c * p), from, pixel)));
    }
}
static int64_t short_tiles(const struct exec *x) { return image_tiles(x->in[0].n[0], 32); }
static void short_run(const struct exec *x, int64_t lo, int64_t hi) {
    const struct view *a = &x->in[0], *y = &x->out[0];
    int64_t tiles = short_tiles(x), b = y->block ? y->block : 1, p = image_pixels(y), c = y->n[1], ab = a->block ? a->block : 1, base[IMAGE_B];
    for (int64_t n = image_from(y->n[0], tiles, lo); n < image_from(y->n[0], tiles, hi); n++)
        for (int64_t k = 0; k < c; k += b) {
            float *o = (float *)y->data + (n * c + k) * p;
            for (int64_t i = 0; i < b; i++) base[i] = short_channel(x, k + i) < 0 ? -1 : image_at(a, n, short_channel(x, k + i), 0);
            for (int64_t q = 0; q < p; q++, o += b) {
                int64_t from = short_pixel(x, q);
                for (int64_t i = 0; i < b; i++) o[i] = base[i] < 0 || from < 0 ? 0 : ((const float *)a->data)[base[i] + from * ab];
            }
        }
}
static const struct arg short_arg[] = {{.name = "out",
                                           .help = "output channels",
                                           .type = ARG_INT,
                                           .flags = ARG_POSITIONAL | ARG_REQUIRED,
                                           .offset = offsetof(struct short_args, out),
                                           .lo = 1,
                                           .hi = 1 << 24},
    {.name = "stride",
        .help = "every stride-th pixel",
        .def = "2",
        .type = ARG_INT,
        .flags = ARG_POSITIONAL,
        .offset = offsetof(struct short_args, stride),
        .lo = 1,
        .hi = 4096},
    {.name = "size", .help = "backwards: extents of the image", .type = ARG_SHAPE, .offset = offsetof(struct short_args, size)}, {0}};
static const struct sample short_samples[] = {{"out=6", "f(R,4,5,4)"}, {"out=32", "f(R,16,4,4)"}, {"out=16 stride=2 size={5,6}", "f(R,32,3,3)"}, {0}};
const struct op ISA(op_pad_shortcut) = {.kind = {.name = "pad_shortcut",
                                            .help = "fewer pixels and zero channels at both sides: the residual path without weights",
                                            .args = short_arg,
                                            .size = sizeof(struct short_args)},
    .in_min = 1,
    .in_max = 1,
    .n_out = 1,
    .flags = OP_BLOCKS,
    .shape = short_shape,
    .grad = short_grad,
    .ref = short_ref,
    .tiles = short_tiles,
    .run = short_run,
    .samples = short_samples};
