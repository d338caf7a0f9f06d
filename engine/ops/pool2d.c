/* Maximum and mean over windows of images (R, C, H, W), and the mean over all pixels: (R, C, H, W) -> (R, C). Padding never wins a maximum and counts as
 * zeros in a mean (as in PyTorch); the first of equal maxima gets the gradient. Tiles are groups of channel planes. */
#include <string.h>

#include "engine/ops/image.h"

struct pool_args {
    struct arg_shape k, stride, pad, size;
};
struct win {
    int64_t h, w, oh, ow, k[2], s[2], p[2];
};

static int64_t pick(const struct arg_shape *a, int i, int64_t def) { return a->n < 1 ? def : a->d[i < a->n ? i : 0]; }
static struct win win_of(const struct pool_args *a, int64_t h, int64_t w) {
    struct win g = {.h = h, .w = w};
    for (int i = 0; i < 2; i++) g.k[i] = pick(&a->k, i, 2), g.s[i] = pick(&a->stride, i, g.k[i]), g.p[i] = pick(&a->pad, i, 0);
    if (g.s[0] < 1 || g.s[1] < 1) return g;
    g.oh = (h + 2 * g.p[0] - g.k[0]) / g.s[0] + 1;
    g.ow = (w + 2 * g.p[1] - g.k[1]) / g.s[1] + 1;
    return g;
}
static int win_check(const struct win *g, struct err *e) {
    for (int i = 0; i < 2; i++)
        if (g->k[i] < 1 || g->k[i] > 4096 || g->s[i] < 1 || g->s[i] > 4096 || g->p[i] < 0 || 2 * g->p[i] > g->k[i])
            return err_set(e, "window and stride are 1 to 4096, padding at most half the window");
    if (g->h + 2 * g->p[0] < g->k[0] || g->w + 2 * g->p[1] < g->k[1])
        return err_set(e, "the window %lld x %lld is larger than the padded image", (long long)g->k[0], (long long)g->k[1]);
    return 0;
}
static bool image_ok(const struct shaping *s, int i) {
    return kit_float(s, i) && s->in[i]->ndim == 4 && s->in[i]->dim[1].axis == AXIS_ONE && s->in[i]->dim[2].axis == AXIS_ONE &&
           s->in[i]->dim[3].axis == AXIS_ONE;
}
static int pool_shape(struct shaping *s, struct err *e) {
    if (!image_ok(s, 0)) return err_set(e, "needs images (R, C, H, W)");
    struct win g = win_of(s->attr, s->in[0]->dim[2].k, s->in[0]->dim[3].k);
    if (win_check(&g, e) < 0) return -1;
    s->want[0] = s->in[0]->block;
    kit_like(&s->out[0], s->in[0]);
    s->out[0].dim[2].k = g.oh, s->out[0].dim[3].k = g.ow;
    s->n_out = 1;
    return 0;
}
static struct val *pool_val(const struct pool_args *a, const struct tensor *x) {
    const struct arg_shape *all[] = {&a->k, &a->stride, &a->pad};
    static const char *const names[] = {"k", "stride", "pad"};
    struct val *v = val_table(), *l;
    for (int i = 0; i < 3; i++) {
        if (!all[i]->n) continue;
        l = val_list();
        for (int j = 0; j < all[i]->n; j++) val_push(l, val_int(all[i]->d[j]));
        val_set(v, names[i], l);
    }
    l = val_list();
    val_push(l, val_int(x->dim[2].k));
    val_push(l, val_int(x->dim[3].k));
    val_set(v, "size", l);
    return v;
}
static int max_grad(struct graph *g, const struct node *n, const tid *dout, tid *din, struct err *e) {
    struct node k = *n;
    din[0] = kit_add_take(g, "max_pool2d_grad", pool_val(k.attr, graph_tensor(g, k.in[0])), (tid[]){dout[0], k.in[0]}, 2, NULL, e);
    return din[0] < 0 ? -1 : 0;
}
static int avg_grad(struct graph *g, const struct node *n, const tid *dout, tid *din, struct err *e) {
    struct node k = *n;
    din[0] = kit_add_take(g, "avg_pool2d_grad", pool_val(k.attr, graph_tensor(g, k.in[0])), dout, 1, NULL, e);
    return din[0] < 0 ? -1 : 0;
}
/* The window of an output pixel inside the image. */
static void window(const struct win *g, int64_t o, int64_t *r0, int64_t *r1, int64_t *c0, int64_t *c1) {
    int64_t r = o / g->ow * g->s[0] - g->p[0], c = o % g->ow * g->s[1] - g->p[1];
    *r0 = kit_max(r, 0), *r1 = kit_min(r + g->k[0], g->h), *c0 = kit_max(c, 0), *c1 = kit_min(c + g->k[1], g->w);
}
static int64_t planes(const struct view *v) { return v->n[0] * (v->n[1] / (v->block ? v->block : 1)); }
static int64_t pool_tiles(const struct exec *x) { return image_tiles(planes(&x->in[0]), 64); }

/* One value of a window; fast in f32, else through view_get. The loops are the same: `lane` is a channel of the block. */
static void pool_plane(const struct exec *x, const struct win *g, int64_t k, bool max, bool back) {
    const struct view *a = &x->in[0], *y = &x->out[0];
    int64_t b = a->block ? a->block : 1, pi = g->h * g->w * b, po = g->oh * g->ow * b;
    float share = 1.0f / (float)(g->k[0] * g->k[1]);
    const float *v = (const float *)(back ? (max ? x->in[1].data : NULL) : a->data), *dy = a->data;
    float *out = (float *)y->data + k * (back ? pi : po);
    if (v) v += k * pi;
    if (back) dy += k * po, memset(out, 0, (size_t)pi * sizeof(float));
    for (int64_t o = 0; o < g->oh * g->ow; o++) {
        int64_t r0, r1, c0, c1;
        window(g, o, &r0, &r1, &c0, &c1);
        if (!max)
            for (int64_t i = 0; i < b; i++) {
                float s = 0;
                for (int64_t r = r0; r < r1; r++)
                    for (int64_t c = c0; c < c1; c++) {
                        if (back) out[(r * g->w + c) * b + i] += dy[o * b + i] * share;
                        else s += v[(r * g->w + c) * b + i];
                    }
                if (!back) out[o * b + i] = s * share;
            }
        else
            for (int64_t i = 0; i < b; i++) {
                int64_t best = r0 * g->w + c0;
                for (int64_t r = r0; r < r1; r++)
                    for (int64_t c = c0; c < c1; c++)
                        if (v[(r * g->w + c) * b + i] > v[best * b + i]) best = r * g->w + c;
                if (back) out[best * b + i] += dy[o * b + i];
                else out[o * b + i] = v[best * b + i];
            }
    }
}
static void pool_any(const struct exec *x, int64_t lo, int64_t hi, bool max, bool back) {
    const struct view *img = back ? &x->out[0] : &x->in[0];
    struct win g = win_of(x->attr, img->n[2], img->n[3]);
    int64_t tiles = pool_tiles(x), n = planes(&x->in[0]);
    for (int64_t k = image_from(n, tiles, lo); k < image_from(n, tiles, hi); k++) pool_plane(x, &g, k, max, back);
}
static void pool_ref(const struct exec *x, bool max, bool back) {
    const struct view *img = back ? &x->out[0] : &x->in[0], *in = back ? &x->in[1] : &x->in[0], *o = back ? &x->in[0] : &x->out[0];
    struct win g = win_of(x->attr, img->n[2], img->n[3]);
    for (int64_t i = 0; back && i < img->len; i++) view_put(img, i, 0);
    for (int64_t k = 0; k < img->n[0] * img->n[1]; k++)
        for (int64_t q = 0; q < g.oh * g.ow; q++) {
            int64_t r0, r1, c0, c1, n = k / img->n[1], ch = k % img->n[1], to = image_at(o, n, ch, q), best = -1;
            double s = 0, most = 0, d = back ? view_get(o, to) : 0;
            window(&g, q, &r0, &r1, &c0, &c1);
            for (int64_t p = r0 * g.w; p < r1 * g.w; p++) {
                if (p % g.w < c0 || p % g.w >= c1) continue;
                int64_t at = image_at(img, n, ch, p);
                if (max) {
                    double v = view_get(in, at);
                    if (best < 0 || v > most) best = at, most = v;
                } else if (back) view_put(img, at, view_get(img, at) + d / (double)(g.k[0] * g.k[1]));
                else s += view_get(in, at) / (double)(g.k[0] * g.k[1]);
            }
            if (!back) view_put(o, to, max ? most : s);
            else if (max) view_put(img, best, view_get(img, best) + d);
        }
}
static int pgrad_shape(struct shaping *s, struct err *e) {
    const struct pool_args *a = s->attr;
    const struct tensor *d = s->in[0];
    if (!image_ok(s, 0) || a->size.n != 2 || a->size.d[0] < 1 || a->size.d[1] < 1) return err_set(e, "needs a gradient (R, C, H, W) and the size of the image");
    struct win g = win_of(a, a->size.d[0], a->size.d[1]);
    if (win_check(&g, e) < 0) return -1;
    kit_like(&s->out[0], d);
    s->out[0].dim[2].k = g.h, s->out[0].dim[3].k = g.w;
    if (g.oh != d->dim[2].k || g.ow != d->dim[3].k || (s->n_in > 1 && (!image_ok(s, 1) || !kit_same(s->in[1], &s->out[0]))))
        return err_set(e, "the gradient does not have the pooled shape");
    int b = s->n_in > 1 ? s->in[1]->block : d->block;
    s->want[0] = s->want[1] = s->out[0].block = b;
    s->n_out = 1;
    return 0;
}
static void max_ref(const struct exec *x) { pool_ref(x, true, false); }
static void avg_ref(const struct exec *x) { pool_ref(x, false, false); }
static void max_back_ref(const struct exec *x) { pool_ref(x, true, true); }
static void avg_back_ref(const struct exec *x) { pool_ref(x, false, true); }
static void max_run(const struct exec *x, int64_t lo, int64_t hi) { pool_any(x, lo, hi, true, false); }
static void avg_run(const struct exec *x, int64_t lo, int64_t hi) { pool_any(x, lo, hi, false, false); }
static void max_back(const struct exec *x, int64_t lo, int64_t hi) { pool_any(x, lo, hi, true, true); }
static void avg_back(const struct exec *x, int64_t lo, int64_t hi) { pool_any(x, lo, hi, false, true); }

/* ---- mean over all pixels */
static int global_shape(struct shaping *s, struct err *e) {
    if (!image_ok(s, 0)) return err_set(e, "needs images (R, C, H, W)");
    s->want[0] = s->in[0]->block;
    s->out[0].ndim = 2, s->out[0].dim[0] = s->in[0]->dim[0], s->out[0].dim[1] = s->in[0]->dim[1];
    s->out[0].dtype = s->in[0]->dtype;
    s->n_out = 1;
    return 0;
}
static int global_grad(struct graph *g, const struct node *n, const tid *dout, tid *din, struct err *e) {
    struct tensor x = *graph_tensor(g, n->in[0]);
    struct val *v = val_table(), *l = val_list();
    val_push(l, val_int(x.dim[2].k));
    val_push(l, val_int(x.dim[3].k));
    val_set(v, "size", l);
    val_set_int(v, "block", x.block);
    din[0] = kit_add_take(g, "global_pool_grad", v, dout, 1, NULL, e);
    return din[0] < 0 ? -1 : 0;
}
struct global_args {
    struct arg_shape size;
    int64_t block;
};
static int gback_shape(struct shaping *s, struct err *e) {
    const struct global_args *a = s->attr;
    const struct tensor *d = s->in[0];
    if (!kit_float(s, 0) || d->ndim != 2 || d->dim[1].axis != AXIS_ONE || a->size.n != 2 || (a->block && d->dim[1].k % a->block))
        return err_set(e, "needs a gradient (R, C) and the size of the image");
    s->out[0].ndim = 4, s->out[0].dim[0] = d->dim[0], s->out[0].dim[1] = d->dim[1];
    for (int i = 0; i < 2; i++) s->out[0].dim[2 + i] = (struct dim){a->size.d[i], AXIS_ONE};
    s->out[0].dtype = d->dtype, s->out[0].block = (int)a->block;
    s->n_out = 1;
    return 0;
}
static void global_ref(const struct exec *x) {
    int64_t p = image_pixels(&x->in[0]), c = x->in[0].n[1];
    for (int64_t i = 0; i < x->out[0].len; i++) {
        double s = 0;
        for (int64_t q = 0; q < p; q++) s += view_get(&x->in[0], image_at(&x->in[0], i / c, i % c, q));
        view_put(&x->out[0], i, s / (double)p);
    }
}
static void gback_ref(const struct exec *x) {
    int64_t p = image_pixels(&x->out[0]), c = x->in[0].n[1];
    for (int64_t i = 0; i < x->in[0].len; i++)
        for (int64_t q = 0; q < p; q++) view_put(&x->out[0], image_at(&x->out[0], i / c, i % c, q), view_get(&x->in[0], i) / (double)p);
}
static int64_t global_tiles(const struct exec *x) { return image_tiles(x->in[0].n[0], 32); }
static void global_run(const struct exec *x, int64_t lo, int64_t hi) {
    const struct view *a = &x->in[0];
    int64_t tiles = global_tiles(x), p = image_pixels(a), c = a->n[1], b = a->block ? a->block : 1;
    for (int64_t k = image_from(a->n[0], tiles, lo) * c / b; k < image_from(a->n[0], tiles, hi) * c / b; k++) {
        const float *v = (const float *)a->data + k * b * p;
        float *y = (float *)x->out[0].data + k * b;
        memset(y, 0, (size_t)b * sizeof(float));
        for (int64_t q = 0; q < p; q++)
            for (int64_t i = 0; i < b; i++) y[i] += v[q * b + i];
        for (int64_t i = 0; i < b; i++) y[i] /= (float)p;
    }
}
static void gback_run(const struct exec *x, int64_t lo, int64_t hi) {
    const struct view *o = &x->out[0];
    int64_t tiles = global_tiles(x), p = image_pixels(o), c = o->n[1], b = o->block ? o->block : 1;
    for (int64_t k = image_from(o->n[0], tiles, lo) * c / b; k < image_from(o->n[0], tiles, hi) * c / b; k++) {
        const float *d = (const float *)x->in[0].data + k * b;
        float *y = (float *)o->data + k * b * p;
        for (int64_t q = 0; q < p; q++)
            for (int64_t i = 0; i < b; i++) y[q * b + i] = d[i] / (float)p;
    }
}

#define SHAPE(n, h) \
    { .name = #n, .help = h, .type = ARG_SHAPE, .offset = offsetof(struct pool_args, n) }
static const struct arg pool_arg[] = {SHAPE(k, "window, default 2"), SHAPE(stride, "step of the window, default its size"),
    SHAPE(pad, "pixels added at each side"), SHAPE(size, "extents of the image"), {0}};
static const struct arg global_arg[] = {{.name = "size", .help = "extents of the image", .type = ARG_SHAPE, .offset = offsetof(struct global_args, size)},
    {.name = "block",
        .help = "channels of a block, 0: row-major",
        .def = "0",
        .type = ARG_INT,
        .offset = offsetof(struct global_args, block),
        .lo = 0,
        .hi = 64},
    {0}};
static const struct sample pool_samples[] = {{"k=2", "f(R,3,4,6)"}, {"k=3 stride=2 pad=1", "f(R,2,7,6)"}, {"k={2,3} stride={1,2}", "f(R,16,5,7)"}, {0}};
static const struct sample max_back_samples[] = {{"k=2 size={4,6}", "f(R,3,2,3) f(R,3,4,6)"}, {"k=3 stride=2 pad=1 size={7,6}", "f(R,2,4,3) f(R,2,7,6)"}, {0}};
static const struct sample avg_back_samples[] = {{"k=2 size={4,6}", "f(R,3,2,3)"}, {"k=3 stride=2 pad=1 size={7,6}", "f(R,2,4,3)"}, {0}};
static const struct sample global_samples[] = {{NULL, "f(R,3,4,5)"}, {NULL, "f(R,16,1,3)"}, {0}};
static const struct sample gback_samples[] = {{"size={4,5}", "f(R,3)"}, {"size={2,2} block=8", "f(R,16)"}, {0}};
#define POOL(n, h, g_, lo, back_, bs)                                                                                                      \
    const struct op ISA(op_##n##_pool2d) = {.kind = {.name = #n "_pool2d", .help = h, .args = pool_arg, .size = sizeof(struct pool_args)}, \
        .in_min = 1,                                                                                                                       \
        .in_max = 1,                                                                                                                       \
        .n_out = 1,                                                                                                                        \
        .flags = OP_BLOCKS,                                                                                                                \
        .shape = pool_shape,                                                                                                               \
        .grad = g_,                                                                                                                        \
        .ref = n##_ref,                                                                                                                    \
        .tiles = pool_tiles,                                                                                                               \
        .run = n##_run,                                                                                                                    \
        .samples = pool_samples};                                                                                                          \
    const struct op ISA(op_##n##_pool2d_grad) = {                                                                                          \
        .kind = {.name = #n "_pool2d_grad", .help = "gradient of " #n "_pool2d", .args = pool_arg, .size = sizeof(struct pool_args)},      \
        .in_min = lo,                                                                                                                      \
        .in_max = lo,                                                                                                                      \
        .n_out = 1,                                                                                                                        \
        .flags = OP_BLOCKS,                                                                                                                \
        .shape = pgrad_shape,                                                                                                              \
        .ref = back_##_ref,                                                                                                                \
        .tiles = pool_tiles,                                                                                                               \
        .run = back_,                                                                                                                      \
        .samples = bs};
POOL(max, "maximum over windows of images", max_grad, 2, max_back, max_back_samples)
POOL(avg, "mean over windows of images", avg_grad, 1, avg_back, avg_back_samples)
const struct op ISA(op_global_pool) = {.kind = {.name = "global_pool", .help = "mean over all pixels of each channel"},
    .in_min = 1,
    .in_max = 1,
    .n_out = 1,
    .flags = OP_BLOCKS | OP_LAYER,
    .shape = global_shape,
    .grad = global_grad,
    .ref = global_ref,
    .tiles = global_tiles,
    .run = global_run,
    .samples = global_samples};
const struct op ISA(op_global_pool_grad) = {
    .kind = {.name = "global_pool_grad", .help = "gradient of global_pool", .args = global_arg, .size = sizeof(struct global_args)},
    .in_min = 1,
    .in_max = 1,
    .n_out = 1,
    .flags = OP_BLOCKS,
    .shape = gback_shape,
    .ref = gback_ref,
    .tiles = global_tiles,
    .run = gback_run,
    .samples = gback_samples};
