/* Convolution of images, y (R, O, OH, OW) = x (R, C, H, W) * weight (O, C/groups, KH, KW) + bias (O), as in PyTorch, and its gradients as ops of their own.
 * Channels that fill vectors go through the direct kernels on channel blocks (conv_direct.h); the rest through im2col and a product. Both need no
 * library. Work is cut into groups of whole images, by shape only; the weight gradient leaves a partial sum a group, added in their order.
 * Above 600 lines would be a second idea: pooling and norms are files of their own. */
#include <string.h>

#include "engine/cpu/gemm.h"
#include "engine/ops/conv_direct.h"

#define TILES 16 /* groups of images in a forward pass */
#define DW_TILES 8 /* partial sums of the weight gradient */
#define TAPS 1024 /* of the direct kernels */

struct conv_args {
    struct arg_shape stride, pad, dilation, size;
    int64_t groups;
}; /* size: what the gradients cannot know, the input's or the kernel's extents */
struct geo { /* of the forward convolution, whoever asks */
    int64_t n, c, h, w, o, kh, kw, oh, ow, s[2], p[2], d[2], g;
    bool direct;
};

static int64_t pick(const struct arg_shape *a, int i, int64_t def) { return a->n < 1 ? def : a->d[i < a->n ? i : 0]; }
static void geo_args(struct geo *g, const struct conv_args *a) {
    for (int i = 0; i < 2; i++) g->s[i] = pick(&a->stride, i, 1), g->p[i] = pick(&a->pad, i, 0), g->d[i] = pick(&a->dilation, i, 1);
    g->g = a->groups;
}
static void geo_out(struct geo *g) {
    g->oh = (g->h + 2 * g->p[0] - g->d[0] * (g->kh - 1) - 1) / g->s[0] + 1;
    g->ow = (g->w + 2 * g->p[1] - g->d[1] * (g->kw - 1) - 1) / g->s[1] + 1;
}
/* The direct kernels: f32, one group, output channels in full vectors, inputs too unless they are few. */
static bool geo_direct(const struct geo *g, bool few) { return g->g == 1 && g->o % IMAGE_B == 0 && g->kh * g->kw <= TAPS && (g->c % IMAGE_B == 0 || few); }
static int fixed(const struct tensor *t, int from) {
    for (int i = from; i < t->ndim; i++)
        if (t->dim[i].axis != AXIS_ONE) return 0;
    return 1;
}
static int geo_check(const struct geo *g, struct err *e) {
    for (int i = 0; i < 2; i++)
        if (g->s[i] < 1 || g->s[i] > 4096 || g->p[i] < 0 || g->p[i] > 4096 || g->d[i] < 1 || g->d[i] > 4096)
            return err_set(e, "stride and dilation are 1 to 4096, padding 0 to 4096");
    if (g->g < 1 || g->c % g->g || g->o % g->g)
        return err_set(e, "%lld groups do not divide %lld input and %lld output channels", (long long)g->g, (long long)g->c, (long long)g->o);
    if (g->kh < 1 || g->kw < 1 || g->h + 2 * g->p[0] < g->d[0] * (g->kh - 1) + 1 || g->w + 2 * g->p[1] < g->d[1] * (g->kw - 1) + 1)
        return err_set(e, "the kernel %lld x %lld is larger than the padded image", (long long)g->kh, (long long)g->kw);
    return 0;
}
static void image_shape(struct tensor *t, struct dim n, int64_t c, int64_t h, int64_t w) {
    t->ndim = 4;
    t->dim[0] = n, t->dim[1] = (struct dim){c, AXIS_ONE}, t->dim[2] = (struct dim){h, AXIS_ONE}, t->dim[3] = (struct dim){w, AXIS_ONE};
    t->offsets = -1;
}
static int64_t pad_h(const struct geo *g) { return (g->oh - 1) * g->s[0] + (g->kh - 1) * g->d[0] + 1; }
static int64_t pad_w(const struct geo *g) { return (g->ow - 1) * g->s[1] + (g->kw - 1) * g->d[1] + 1; }
static size_t floats(int64_t n) { return ((size_t)n + 15) / 16 * 16; }
static float *line_up(const struct exec *x) { return (float *)(((uintptr_t)x->scratch + 63) / 64 * 64); }

/* ---- forward */
static int conv_shape(struct shaping *s, struct err *e) {
    const struct tensor *x = s->in[0], *w = s->in[1], *b = s->n_in > 2 ? s->in[2] : NULL;
    struct geo g = {0};
    if (!kit_float(s, 0) || !kit_float(s, 1) || x->ndim != 4 || w->ndim != 4 || !fixed(x, 1) || !fixed(w, 0))
        return err_set(e, "needs images (R, C, H, W) and weight (out, C / groups, height, width)");
    geo_args(&g, s->attr);
    g.c = x->dim[1].k, g.h = x->dim[2].k, g.w = x->dim[3].k, g.o = w->dim[0].k, g.kh = w->dim[2].k, g.kw = w->dim[3].k;
    if (geo_check(&g, e) < 0) return -1;
    if (w->dim[1].k * g.g != g.c)
        return err_set(e, "the weight is for %lld input channels, the image has %lld", (long long)(w->dim[1].k * g.g), (long long)g.c);
    if (b && (!kit_float(s, 2) || b->ndim != 1 || b->dim[0].k != g.o || b->dim[0].axis))
        return err_set(e, "the bias must have one value for each output channel");
    geo_out(&g);
    image_shape(&s->out[0], x->dim[0], g.o, g.oh, g.ow);
    s->out[0].dtype = x->dtype;
    s->n_out = 1;
    g.direct = !s->g->plain && geo_direct(&g, true) && image_blocks(&s->out[0]);
    if (g.direct) {
        s->out[0].block = IMAGE_B;
        s->want[0] = image_blocks(x) ? IMAGE_B : 0;
        s->scratch_fixed = sizeof(float) * (floats(w->dim[1].k * g.kh * g.kw * g.o) + TILES * floats(g.c * pad_h(&g) * pad_w(&g)) + 16);
    } else s->scratch_fixed = sizeof(float) * (TILES * floats(g.c / g.g * g.kh * g.kw * g.oh * g.ow) + 16);
    return 0;
}
static struct val *conv_val(const struct conv_args *a, int64_t size0, int64_t size1) {
    struct val *v = val_table(), *l;
    const struct arg_shape *all[] = {&a->stride, &a->pad, &a->dilation};
    static const char *const names[] = {"stride", "pad", "dilation"};
    for (int i = 0; i < 3; i++) {
        if (!all[i]->n) continue;
        l = val_list();
        for (int j = 0; j < all[i]->n; j++) val_push(l, val_int(all[i]->d[j]));
        val_set(v, names[i], l);
    }
    l = val_list();
    val_push(l, val_int(size0));
    val_push(l, val_int(size1));
    val_set(v, "size", l);
    val_set_int(v, "groups", a->groups);
    return v;
}
static int conv_grad(struct graph *g, const struct node *n, const tid *dout, tid *din, struct err *e) {
    struct node k = *n;
    const struct conv_args *a = k.attr;
    tid x = k.in[0], w = k.in[1];
    struct tensor tx = *graph_tensor(g, x), tw = *graph_tensor(g, w);
    if (kit_needs(g, w) && (din[1] = kit_add_take(g, "conv2d_dw", conv_val(a, tw.dim[2].k, tw.dim[3].k), (tid[]){dout[0], x}, 2, NULL, e)) < 0) return -1;
    if (k.n_in > 2 && kit_needs(g, k.in[2]) && (din[2] = graph_add1(g, "channel_sum", dout[0], e)) < 0) return -1;
    if (kit_needs(g, x) && (din[0] = kit_add_take(g, "conv2d_dx", conv_val(a, tx.dim[2].k, tx.dim[3].k), (tid[]){dout[0], w}, 2, NULL, e)) < 0) return -1;
    return 0;
}
/* From the image, the gradient or output, and the extents of the weight. */
static struct geo geo_of(const struct exec *x, const struct view *img, const struct view *out, int64_t kh, int64_t kw) {
    struct geo g = {.n = img->n[0], .c = img->n[1], .h = img->n[2], .w = img->n[3], .o = out->n[1], .kh = kh, .kw = kw};
    geo_args(&g, x->attr);
    geo_out(&g);
    return g;
}
static struct geo geo_fwd(const struct exec *x) {
    struct geo g = geo_of(x, &x->in[0], &x->out[0], x->in[1].n[2], x->in[1].n[3]);
    g.direct = x->out[0].block != 0;
    return g;
}
static void conv_cost(const struct exec *x, struct cost *c) {
    struct geo g = geo_fwd(x);
    c->macs = (double)g.n * (double)g.o * (double)(g.oh * g.ow) * (double)(g.c / g.g * g.kh * g.kw);
    c->flop = 2 * c->macs;
    c->bytes = 4.0 * ((double)x->in[0].len + (double)x->in[1].len + (double)x->out[0].len);
}
/* Every product of the convolution in a fixed order; what: 0 y, 1 dx, 2 dw. img, out, w as in the forward direction. */
static void conv_all(const struct geo *g, const struct view *img, const struct view *out, const struct view *w, int what) {
    int64_t cg = g->c / g->g, og = g->o / g->g;
    for (int64_t n = 0; n < g->n; n++)
        for (int64_t o = 0; o < g->o; o++)
            for (int64_t q = 0; q < g->oh * g->ow; q++) {
                int64_t to = image_at(out, n, o, q);
                double sum = what == 0 ? view_get(out, to) : 0, d = what == 0 ? 0 : view_get(out, to);
                for (int64_t k = 0; k < cg * g->kh * g->kw; k++) {
                    int64_t c = o / og * cg + k / (g->kh * g->kw), a = k / g->kw % g->kh, b = k % g->kw;
                    int64_t ih = q / g->ow * g->s[0] + a * g->d[0] - g->p[0], iw = q % g->ow * g->s[1] + b * g->d[1] - g->p[1];
                    if (ih < 0 || iw < 0 || ih >= g->h || iw >= g->w) continue;
                    int64_t at = image_at(img, n, c, ih * g->w + iw), wt = o * cg * g->kh * g->kw + k;
                    if (what == 0) sum += view_get(img, at) * view_get(w, wt);
                    if (what == 1) view_put(img, at, view_get(img, at) + d * view_get(w, wt));
                    if (what == 2) view_put(w, wt, view_get(w, wt) + d * view_get(img, at));
                }
                if (what == 0) view_put(out, to, sum);
            }
}
static void conv_ref(const struct exec *x) {
    struct geo g = geo_fwd(x);
    int64_t pixels = g.oh * g.ow;
    for (int64_t i = 0; i < g.n * g.o * pixels; i++)
        view_put(&x->out[0], image_at(&x->out[0], i / (g.o * pixels), i / pixels % g.o, i % pixels), kit_has(x, 2) ? view_get(&x->in[2], i / pixels % g.o) : 0);
    conv_all(&g, &x->in[0], &x->out[0], &x->in[1], 0);
}

/* One image with its zero border: x of `planes` blocks of `width` channels; `from` row-major or blocked. */
struct border {
    int64_t planes, width, h, w, hp, wp, top, left;
};
static void border_copy(const struct border *b, const struct view *v, int64_t n, float *to) {
    int64_t rows = kit_min(b->h, b->hp - b->top), cols = kit_min(b->w, b->wp - b->left), pixels = b->h * b->w, c = b->planes * b->width;
    const float *from = (const float *)v->data + n * c * pixels;
    for (int64_t k = 0; k < b->planes; k++)
        for (int64_t r = 0; r < rows; r++) {
            float *o = to + ((k * b->hp + r + b->top) * b->wp + b->left) * b->width;
            if (v->block) memcpy(o, from + (k * pixels + r * b->w) * b->width, (size_t)(cols * b->width) * sizeof(float));
            else
                for (int64_t i = 0; i < b->width; i++)
                    for (int64_t q = 0; q < cols; q++) o[q * b->width + i] = from[i * pixels + r * b->w + q];
        }
}
static void conv_begin(const struct exec *x) { /* weights to [block of o][block of c][tap][c][o] */
    struct geo g = geo_fwd(x);
    if (!g.direct) return;
    const float *w = x->in[1].data;
    float *to = line_up(x);
    int64_t width = x->in[0].block ? IMAGE_B : g.c, taps = g.kh * g.kw;
    for (int64_t o = 0; o < g.o; o += IMAGE_B)
        for (int64_t c = 0; c < g.c; c += width)
            for (int64_t t = 0; t < taps; t++)
                for (int64_t i = 0; i < width; i++)
                    for (int64_t j = 0; j < IMAGE_B; j++) *to++ = w[((o + j) * g.c + c + i) * taps + t];
}
/* Output rows or columns whose tap at `off` falls inside n: from, and how many. */
static int64_t inside(int64_t off, int64_t stride, int64_t n, int64_t out, int64_t *from) {
    *from = off < 0 ? (-off + stride - 1) / stride : 0;
    int64_t to = n - 1 - off < 0 ? 0 : kit_min(out, (n - 1 - off) / stride + 1);
    return kit_max(0, to - *from);
}
static struct direct_span span(int64_t off, int64_t stride, int64_t n, int64_t out) {
    struct direct_span s;
    s.n = inside(off, stride, n, out, &s.from);
    return s;
}
static int64_t conv_tiles(const struct exec *x) { return image_tiles(x->out[0].n[0], TILES); }
static void conv_direct(const struct exec *x, const struct geo *g, int64_t tile) {
    int64_t tiles = conv_tiles(x), width = x->in[0].block ? IMAGE_B : g->c, hp = pad_h(g), wp = pad_w(g), planes = g->c / width, taps = g->kh * g->kw;
    int64_t xoff[TAPS], woff[TAPS];
    float *w = line_up(x), *image = w + floats(g->c * taps * g->o) + (size_t)tile * floats(g->c * hp * wp), *y = x->out[0].data;
    const float *bias = kit_has(x, 2) ? x->in[2].data : NULL;
    struct border b = {planes, width, g->h, g->w, hp, wp, g->p[0], g->p[1]};
    struct direct_edges edges;
    bool few = taps <= EDGE_TAPS, lies = few && x->in[0].block; /* lies: the image is read where it lies, no border is needed */
    for (int64_t t = 0; few && t < taps; t++) {
        struct direct_span row = span(t / g->kw * g->d[0] - g->p[0], g->s[0], g->h, g->oh), col = span(t % g->kw * g->d[1] - g->p[1], g->s[1], g->w, g->ow);
        direct_edge(&edges, t, row, g->oh, col, g->ow);
        lies = lies && direct_exact(row, g->oh, col, g->ow);
    }
    if (lies) hp = g->h, wp = g->w;
    for (int64_t t = 0; t < taps; t++) {
        int64_t a = t / g->kw * g->d[0] - (lies ? g->p[0] : 0), c = t % g->kw * g->d[1] - (lies ? g->p[1] : 0);
        xoff[t] = (a * wp + c) * width, woff[t] = t * width * IMAGE_B;
    }
    struct direct d = {.planes = planes,
        .plane = hp * wp * width,
        .wplane = taps * width * IMAGE_B,
        .taps = taps,
        .width = width,
        .xoff = xoff,
        .woff = woff,
        .xs = g->s[1] * width,
        .xr = g->s[0] * wp * width,
        .ys = IMAGE_B,
        .yr = g->ow * IMAGE_B,
        .x = image,
        .edges = few ? &edges : NULL};
    if (!lies) memset(image, 0, (size_t)(g->c * hp * wp) * sizeof(float));
    for (int64_t n = image_from(g->n, tiles, tile); n < image_from(g->n, tiles, tile + 1); n++) {
        if (lies) d.x = (const float *)x->in[0].data + n * g->c * g->h * g->w;
        else border_copy(&b, &x->in[0], n, image);
        for (int64_t o = 0; o < g->o; o += IMAGE_B) {
            d.w = w + o * g->c * taps;
            d.bias = bias ? *(const image_vec_u *)(bias + o) : (image_vec){0};
            direct_rows(&d, g->oh, g->ow, y + (n * g->o + o) * g->oh * g->ow);
        }
    }
}
/* (c kh kw, oh ow) of one group of one image; back: added to the image instead. */
static void im2col(const struct geo *g, float *img, float *col, bool back) {
    for (int64_t k = 0; k < g->c / g->g * g->kh * g->kw; k++) {
        int64_t c = k / (g->kh * g->kw), a = k / g->kw % g->kh * g->d[0] - g->p[0], b = k % g->kw * g->d[1] - g->p[1];
        for (int64_t r = 0; r < g->oh; r++) {
            int64_t ih = r * g->s[0] + a;
            float *line = img + (c * g->h + ih) * g->w, *to = col + (k * g->oh + r) * g->ow;
            if (ih < 0 || ih >= g->h) {
                if (!back) memset(to, 0, (size_t)g->ow * sizeof(float));
                continue;
            }
            for (int64_t q = 0; q < g->ow; q++) {
                int64_t iw = q * g->s[1] + b;
                bool in = iw >= 0 && iw < g->w;
                if (!back) to[q] = in ? line[iw] : 0;
                else if (in) line[iw] += to[q];
            }
        }
    }
}
static int64_t col_rows(const struct geo *g) { return g->c / g->g * g->kh * g->kw; }
static void conv_columns(const struct exec *x, const struct geo *g, int64_t tile) {
    int64_t tiles = conv_tiles(x), k = col_rows(g), p = g->oh * g->ow, og = g->o / g->g, cg = g->c / g->g;
    float *col = line_up(x) + (size_t)tile * floats(k * p);
    const float *bias = kit_has(x, 2) ? x->in[2].data : NULL;
    for (int64_t n = image_from(g->n, tiles, tile); n < image_from(g->n, tiles, tile + 1); n++)
        for (int64_t q = 0; q < g->g; q++) {
            float *y = (float *)x->out[0].data + (n * g->o + q * og) * p;
            im2col(g, (float *)x->in[0].data + (n * g->c + q * cg) * g->h * g->w, col, false);
            for (int64_t o = 0; bias && o < og; o++)
                for (int64_t i = 0; i < p; i++) y[o * p + i] = bias[q * og + o];
            gemm_f32(false, false, og, p, k, 1, (const float *)x->in[1].data + q * og * k, k, col, p, bias ? 1 : 0, y, p);
        }
}
static void conv_run(const struct exec *x, int64_t lo, int64_t hi) {
    struct geo g = geo_fwd(x);
    for (int64_t t = lo; t < hi; t++) (g.direct ? conv_direct : conv_columns)(x, &g, t);
}

/* ---- dx (R, C, H, W) from dy and the weight; size: H, W */
static int dx_shape(struct shaping *s, struct err *e) {
    const struct tensor *d = s->in[0], *w = s->in[1];
    const struct conv_args *a = s->attr;
    struct geo g = {0};
    if (!kit_float(s, 0) || !kit_float(s, 1) || d->ndim != 4 || w->ndim != 4 || !fixed(d, 1) || !fixed(w, 0) || a->size.n != 2)
        return err_set(e, "needs dy (R, out, H, W), a weight and the size of the image");
    geo_args(&g, a);
    g.c = w->dim[1].k * g.g, g.h = a->size.d[0], g.w = a->size.d[1], g.o = d->dim[1].k, g.kh = w->dim[2].k, g.kw = w->dim[3].k;
    if (g.h < 1 || g.w < 1 || geo_check(&g, e) < 0) return err_set(e, "the image and the kernel do not fit");
    geo_out(&g);
    if (w->dim[0].k != g.o || g.oh != d->dim[2].k || g.ow != d->dim[3].k) return err_set(e, "the gradient does not have the output's shape");
    image_shape(&s->out[0], d->dim[0], g.c, g.h, g.w);
    s->out[0].dtype = d->dtype;
    s->n_out = 1;
    if (!s->g->plain && geo_direct(&g, false) && image_blocks(&s->out[0])) {
        s->out[0].block = s->want[0] = IMAGE_B;
        int64_t hp = g.h + g.oh + g.kh * g.d[0], wp = g.w + g.ow + g.kw * g.d[1]; /* more than dx_border needs */
        s->scratch_fixed = sizeof(float) * (floats(g.c * g.kh * g.kw * g.o) + TILES * floats(g.o * hp * wp) + 16);
    } else s->scratch_fixed = sizeof(float) * (TILES * floats(g.c / g.g * g.kh * g.kw * g.oh * g.ow) + 16);
    return 0;
}
static struct geo geo_dx(const struct exec *x) {
    struct geo g = geo_of(x, &x->out[0], &x->in[0], x->in[1].n[2], x->in[1].n[3]);
    g.direct = x->out[0].block != 0;
    return g;
}
static void dx_ref(const struct exec *x) {
    struct geo g = geo_dx(x);
    for (int64_t i = 0; i < x->out[0].len; i++) view_put(&x->out[0], i, 0);
    conv_all(&g, &x->out[0], &x->in[0], &x->in[1], 1);
}
static void dx_begin(const struct exec *x) { /* weights to [block of c][block of o][tap][o][c] */
    struct geo g = geo_dx(x);
    if (!g.direct) return;
    const float *w = x->in[1].data;
    float *to = line_up(x);
    int64_t taps = g.kh * g.kw;
    for (int64_t c = 0; c < g.c; c += IMAGE_B)
        for (int64_t o = 0; o < g.o; o += IMAGE_B)
            for (int64_t t = 0; t < taps; t++)
                for (int64_t i = 0; i < IMAGE_B; i++)
                    for (int64_t j = 0; j < IMAGE_B; j++) *to++ = w[((o + i) * g.c + c + j) * taps + t];
}
static int64_t down(int64_t a, int64_t b) { return a >= 0 ? a / b : -((-a + b - 1) / b); }
/* Along one axis: zero rows needed before the gradient's first, and rows in all. */
static int64_t dx_before(const struct geo *g, int i, int64_t k) { return kit_max(0, -down(g->p[i] - (k - 1) * g->d[i], g->s[i])); }
static int64_t dx_total(const struct geo *g, int i, int64_t k, int64_t n, int64_t out) {
    return dx_before(g, i, k) + kit_max(out, (n - 1) / g->s[i] + (g->s[i] - 1 + g->p[i]) / g->s[i] + 1);
}
/* The output pixels of one phase (ph, pw) of the stride, of a tile's images: a convolution of stride 1 with the taps that meet them. */
static void dx_phase(const struct exec *x, const struct geo *g, int64_t tile, int64_t ph, int64_t pw) {
    int64_t xoff[TAPS], woff[TAPS], taps = 0, tiles = conv_tiles(x), all = g->kh * g->kw, top = dx_before(g, 0, g->kh), left = dx_before(g, 1, g->kw);
    int64_t rows = (g->h - ph + g->s[0] - 1) / g->s[0], cols = (g->w - pw + g->s[1] - 1) / g->s[1];
    struct border b = {g->o / IMAGE_B, IMAGE_B, g->oh, g->ow, dx_total(g, 0, g->kh, g->h, g->oh), dx_total(g, 1, g->kw, g->w, g->ow), top, left};
    float *image = line_up(x) + floats(g->c * all * g->o) + (size_t)tile * floats(g->o * b.hp * b.wp), *dx = x->out[0].data;
    int32_t rr[TAPS], qq[TAPS];
    struct direct_edges edges;
    bool few = all <= EDGE_TAPS, lies = few; /* lies: the gradient is read where it lies, no border is needed */
    for (int64_t t = 0; t < all; t++) {
        int64_t r = ph + g->p[0] - t / g->kw * g->d[0], q = pw + g->p[1] - t % g->kw * g->d[1];
        if (r - down(r, g->s[0]) * g->s[0] || q - down(q, g->s[1]) * g->s[1]) continue;
        r = down(r, g->s[0]), q = down(q, g->s[1]);
        struct direct_span row = span(r, 1, g->oh, rows), col = span(q, 1, g->ow, cols);
        if (few) direct_edge(&edges, taps, row, rows, col, cols), lies = lies && direct_exact(row, rows, col, cols);
        rr[taps] = (int32_t)r, qq[taps] = (int32_t)q;
        woff[taps++] = t * IMAGE_B * IMAGE_B;
    }
    for (int64_t t = 0; t < taps; t++) xoff[t] = (lies ? rr[t] * g->ow + qq[t] : (rr[t] + top) * b.wp + qq[t] + left) * IMAGE_B;
    struct direct d = {.planes = g->o / IMAGE_B,
        .plane = (lies ? g->oh * g->ow : b.hp * b.wp) * IMAGE_B,
        .wplane = all * IMAGE_B * IMAGE_B,
        .taps = taps,
        .width = IMAGE_B,
        .xoff = xoff,
        .woff = woff,
        .xs = IMAGE_B,
        .xr = (lies ? g->ow : b.wp) * IMAGE_B,
        .ys = g->s[1] * IMAGE_B,
        .yr = g->s[0] * g->w * IMAGE_B,
        .x = image,
        .edges = few ? &edges : NULL,
        .bias = (image_vec){0}};
    if (!lies) memset(image, 0, (size_t)(g->o * b.hp * b.wp) * sizeof(float));
    for (int64_t n = image_from(g->n, tiles, tile); n < image_from(g->n, tiles, tile + 1); n++) {
        if (lies) d.x = (const float *)x->in[0].data + n * g->o * g->oh * g->ow;
        else border_copy(&b, &x->in[0], n, image);
        for (int64_t c = 0; c < g->c; c += IMAGE_B) {
            d.w = line_up(x) + c * g->o * all;
            direct_rows(&d, rows, cols, dx + (n * g->c + c) * g->h * g->w + (ph * g->w + pw) * IMAGE_B);
        }
    }
}
static void dx_direct(const struct exec *x, const struct geo *g, int64_t tile) {
    for (int64_t ph = 0; ph < kit_min(g->s[0], g->h); ph++)
        for (int64_t pw = 0; pw < kit_min(g->s[1], g->w); pw++) dx_phase(x, g, tile, ph, pw);
}
static void dx_columns(const struct exec *x, const struct geo *g, int64_t tile) {
    int64_t tiles = conv_tiles(x), k = col_rows(g), p = g->oh * g->ow, og = g->o / g->g, cg = g->c / g->g;
    float *col = line_up(x) + (size_t)tile * floats(k * p);
    for (int64_t n = image_from(g->n, tiles, tile); n < image_from(g->n, tiles, tile + 1); n++)
        for (int64_t q = 0; q < g->g; q++) {
            float *dx = (float *)x->out[0].data + (n * g->c + q * cg) * g->h * g->w;
            gemm_f32(
                true, false, k, p, og, 1, (const float *)x->in[1].data + q * og * k, k, (const float *)x->in[0].data + (n * g->o + q * og) * p, p, 0, col, p);
            memset(dx, 0, (size_t)(cg * g->h * g->w) * sizeof(float));
            im2col(g, dx, col, true);
        }
}
static void dx_run(const struct exec *x, int64_t lo, int64_t hi) {
    struct geo g = geo_dx(x);
    for (int64_t t = lo; t < hi; t++) (g.direct ? dx_direct : dx_columns)(x, &g, t);
}
static void back_cost(const struct exec *x, struct cost *c) {
    bool dx = x->out[0].n[0] == x->in[0].n[0] && x->in[1].n[0] == x->in[0].n[1];
    const struct view *w = dx ? &x->in[1] : &x->out[0], *d = &x->in[0];
    c->macs = (double)d->len * (double)(w->len / kit_max(1, w->n[0]));
    c->flop = 2 * c->macs;
    c->bytes = 4.0 * ((double)x->in[0].len + (double)x->in[1].len + (double)x->out[0].len);
}

/* ---- dw (O, C / groups, KH, KW) from dy and x; size: KH, KW */
static int dw_shape(struct shaping *s, struct err *e) {
    const struct tensor *d = s->in[0], *x = s->in[1];
    const struct conv_args *a = s->attr;
    struct geo g = {0};
    if (!kit_float(s, 0) || !kit_float(s, 1) || d->ndim != 4 || x->ndim != 4 || !fixed(d, 1) || !fixed(x, 1) || a->size.n != 2 ||
        !dim_same(d->dim[0], x->dim[0]))
        return err_set(e, "needs dy (R, out, H, W), images (R, C, H, W) and the size of the kernel");
    geo_args(&g, a);
    g.c = x->dim[1].k, g.h = x->dim[2].k, g.w = x->dim[3].k, g.o = d->dim[1].k, g.kh = a->size.d[0], g.kw = a->size.d[1];
    if (geo_check(&g, e) < 0) return -1;
    geo_out(&g);
    if (g.oh != d->dim[2].k || g.ow != d->dim[3].k) return err_set(e, "the gradient does not have the output's shape");
    image_shape(&s->out[0], (struct dim){g.o, AXIS_ONE}, g.c / g.g, g.kh, g.kw);
    s->out[0].dtype = d->dtype;
    s->n_out = 1;
    size_t sum = floats(g.o * g.c / g.g * g.kh * g.kw), each;
    if (!s->g->plain && geo_direct(&g, true) && image_blocks(d)) {
        s->want[0] = IMAGE_B;
        s->want[1] = image_blocks(x) ? IMAGE_B : 0;
        each = floats(g.c * pad_h(&g) * pad_w(&g));
    } else each = floats(col_rows(&g) * g.oh * g.ow);
    s->scratch_fixed = sizeof(float) * (DW_TILES * (sum + each) + 16);
    return 0;
}
static struct geo geo_dw(const struct exec *x) {
    struct geo g = geo_of(x, &x->in[1], &x->in[0], x->out[0].n[2], x->out[0].n[3]);
    g.direct = x->in[0].block != 0;
    return g;
}
static void dw_ref(const struct exec *x) {
    struct geo g = geo_dw(x);
    for (int64_t i = 0; i < x->out[0].len; i++) view_put(&x->out[0], i, 0);
    conv_all(&g, &x->in[1], &x->in[0], &x->out[0], 2);
}
static int64_t dw_tiles(const struct exec *x) { return image_tiles(x->in[0].n[0], DW_TILES); }
#define STRIP 4 /* output rows whose inputs stay in the first cache */
/* Channel blocks on both sides: no border is needed, each tap runs over the pixels it meets. Partial: [o block][c block][tap][c][o]. */
static void dw_blocks(const struct geo *g, const float *x, const float *dy, float *sum) {
    int64_t taps = g->kh * g->kw, unit = IMAGE_B * IMAGE_B;
    for (int64_t o = 0; o < g->o / IMAGE_B; o++)
        for (int64_t c = 0; c < g->c / IMAGE_B; c++)
            for (int64_t r0 = 0; r0 < g->oh; r0 += STRIP)
                for (int64_t t = 0; t < taps; t++) {
                    int64_t a = t / g->kw * g->d[0] - g->p[0], b = t % g->kw * g->d[1] - g->p[1], rf, cf;
                    int64_t cols = inside(b, g->s[1], g->w, g->ow, &cf), rows = inside(a, g->s[0], g->h, g->oh, &rf);
                    int64_t from = kit_max(rf, r0), to = kit_min(rf + rows, kit_min(g->oh, r0 + STRIP));
                    if (to <= from || cols <= 0) continue;
                    outer(IMAGE_B, x + ((c * g->h + from * g->s[0] + a) * g->w + cf * g->s[1] + b) * IMAGE_B, g->s[1] * IMAGE_B, g->s[0] * g->w * IMAGE_B,
                        dy + ((o * g->oh + from) * g->ow + cf) * IMAGE_B, g->ow * IMAGE_B, to - from, cols,
                        sum + ((o * (g->c / IMAGE_B) + c) * taps + t) * unit);
                }
}
/* Few input channels: a row of taps is one run of kw c values in the padded image. Partial: [o block][kh][kw][c][o]. */
static void dw_few(const struct geo *g, const float *image, int64_t wp, const float *dy, float *sum) {
    int64_t run = g->d[1] == 1 ? g->kw * g->c : g->c, runs = g->d[1] == 1 ? 1 : g->kw;
    for (int64_t o = 0; o < g->o / IMAGE_B; o++)
        for (int64_t r0 = 0; r0 < g->oh; r0 += STRIP)
            for (int64_t a = 0; a < g->kh; a++)
                for (int64_t b = 0; b < runs; b++)
                    outer(run, image + ((r0 * g->s[0] + a * g->d[0]) * wp + b * g->d[1]) * g->c, g->s[1] * g->c, g->s[0] * wp * g->c,
                        dy + (o * g->oh + r0) * g->ow * IMAGE_B, g->ow * IMAGE_B, kit_min(STRIP, g->oh - r0), g->ow,
                        sum + (((o * g->kh + a) * g->kw + b) * g->c) * IMAGE_B);
}
static void dw_tile(const struct exec *x, const struct geo *g, int64_t tile) {
    int64_t tiles = dw_tiles(x), n_out = g->oh * g->ow * g->o, hp = pad_h(g), wp = pad_w(g), k = col_rows(g), p = g->oh * g->ow;
    size_t size = floats(x->out[0].len), each = g->direct ? floats(g->c * hp * wp) : floats(k * p);
    float *sum = line_up(x) + (size_t)tile * size, *image = line_up(x) + DW_TILES * size + (size_t)tile * each;
    struct border b = {1, g->c, g->h, g->w, hp, wp, g->p[0], g->p[1]};
    bool few = g->direct && !x->in[1].block;
    memset(sum, 0, size * sizeof(float));
    if (few) memset(image, 0, each * sizeof(float));
    for (int64_t n = image_from(g->n, tiles, tile); n < image_from(g->n, tiles, tile + 1); n++) {
        const float *dy = (const float *)x->in[0].data + n * n_out;
        float *img = (float *)x->in[1].data + n * g->c * g->h * g->w;
        if (few) {
            border_copy(&b, &x->in[1], n, image);
            dw_few(g, image, wp, dy, sum);
        } else if (g->direct) dw_blocks(g, img, dy, sum);
        else
            for (int64_t q = 0, og = g->o / g->g; q < g->g; q++) {
                im2col(g, img + q * (g->c / g->g) * g->h * g->w, image, false);
                gemm_f32(false, true, og, k, p, 1, dy + q * og * p, p, image, p, 1, sum + q * og * k, k);
            }
    }
}
static void dw_run(const struct exec *x, int64_t lo, int64_t hi) {
    struct geo g = geo_dw(x);
    for (int64_t t = lo; t < hi; t++) dw_tile(x, &g, t);
}
/* The partial sums in the order of their tiles, back to the weight's layout; a tile is a vector of output channels. */
static int64_t dw_tiles2(const struct exec *x) { return (x->out[0].n[0] + IMAGE_B - 1) / IMAGE_B; }
static void dw_sum(const struct exec *x, int64_t lo, int64_t hi) {
    struct geo g = geo_dw(x);
    int64_t tiles = dw_tiles(x), k = x->out[0].len / g.o, taps = g.kh * g.kw, width = x->in[1].block ? IMAGE_B : g.c;
    size_t size = floats(x->out[0].len);
    const float *sum = line_up(x);
    float *w = x->out[0].data;
    for (int64_t o = lo * IMAGE_B; o < kit_min(g.o, hi * IMAGE_B); o++)
        for (int64_t i = 0; i < k; i++) {
            int64_t c = i / taps, t = i % taps, at = o * k + i;
            if (g.direct) at = ((o / IMAGE_B * (g.c / width) + c / width) * taps + t) * width * IMAGE_B + c % width * IMAGE_B + o % IMAGE_B;
            float s = 0;
            for (int64_t j = 0; j < tiles; j++) s += sum[(size_t)j * size + (size_t)at];
            w[o * k + i] = s;
        }
}

static const struct arg conv_arg[] = {
    {.name = "stride", .help = "pixels from one output to the next", .type = ARG_SHAPE, .offset = offsetof(struct conv_args, stride)},
    {.name = "pad", .help = "zero pixels at each side", .type = ARG_SHAPE, .offset = offsetof(struct conv_args, pad)},
    {.name = "dilation", .help = "pixels from one tap to the next", .type = ARG_SHAPE, .offset = offsetof(struct conv_args, dilation)},
    {.name = "size", .help = "extents that a gradient cannot see", .type = ARG_SHAPE, .offset = offsetof(struct conv_args, size)},
    {.name = "groups",
        .help = "channel groups that do not see each other",
        .def = "1",
        .type = ARG_INT,
        .offset = offsetof(struct conv_args, groups),
        .lo = 1,
        .hi = 1 << 20},
    {0}};
static const struct sample conv_samples[] = {{"pad=1", "f(R,3,5,4) f(2,3,3,3) f(2)"}, {"stride=2 pad=1", "f(R,3,6,5) f(16,3,3,3) f(16)"},
    {"pad=1", "f(R,16,8,8) f(16,16,3,3)"}, {"stride={2,1} pad={0,2} dilation={1,2}", "f(R,16,7,6) f(32,16,3,2) f(32)"},
    {"groups=2 pad=1", "f(R,4,5,5) f(6,2,3,3) f(6)"}, {"stride=2", "f(R,16,7,7) f(16,16,1,1)"}, {"dilation=2", "f(R,5,9,7) f(16,5,3,3)"},
    {"pad=1", "f(R,16,3,16) f(16,16,3,3)"}, {"pad=1", "f(R,16,7,7) f(16,16,3,3)"}, {"pad=1", "f(R,16,3,12) f(16,16,3,3)"}, {"pad=2", "f(R,3,4,8) f(16,3,5,5)"},
    {0}};
static const struct sample dx_samples[] = {{"pad=1 size={5,4}", "f(R,2,5,4) f(2,3,3,3)"}, {"stride=2 pad=1 size={8,8}", "f(R,16,4,4) f(16,16,3,3)"},
    {"size={7,7} stride=2", "f(R,16,4,4) f(16,16,1,1)"}, {"stride={2,1} pad={0,2} dilation={1,2} size={7,6}", "f(R,32,3,8) f(32,16,3,2)"},
    {"groups=2 pad=1 size={5,5}", "f(R,6,5,5) f(6,2,3,3)"}, {"stride=3 size={9,10}", "f(R,16,3,3) f(16,16,2,2)"},
    {"pad=1 size={3,8}", "f(R,16,3,8) f(16,16,3,3)"}, {"pad=1 size={7,7}", "f(R,16,7,7) f(16,16,3,3)"},
    {"pad=1 stride=2 size={6,16}", "f(R,16,3,8) f(16,16,3,3)"}, {0}};
static const struct sample dw_samples[] = {{"pad=1 size={3,3}", "f(R,2,5,4) f(R,3,5,4)"}, {"stride=2 pad=1 size={3,3}", "f(R,16,4,4) f(R,16,8,8)"},
    {"pad=1 size={3,3}", "f(R,16,9,9) f(R,3,9,9)"}, {"stride={2,1} pad={0,2} dilation={1,2} size={3,2}", "f(R,32,3,8) f(R,16,7,6)"},
    {"groups=2 pad=1 size={3,3}", "f(R,6,5,5) f(R,4,5,5)"}, {"dilation=2 size={3,3}", "f(R,16,5,3) f(R,5,9,7)"}, {0}};

const struct op ISA(op_conv2d) = {.kind = {.name = "conv2d", .help = "convolution of images", .args = conv_arg, .size = sizeof(struct conv_args)},
    .in_min = 2,
    .in_max = 3,
    .n_out = 1,
    .flags = OP_BLOCKS,
    .shape = conv_shape,
    .grad = conv_grad,
    .cost = conv_cost,
    .ref = conv_ref,
    .tiles = conv_tiles,
    .begin = conv_begin,
    .run = conv_run,
    .samples = conv_samples};
const struct op ISA(op_conv2d_dx) = {
    .kind = {.name = "conv2d_dx", .help = "gradient of conv2d to its images", .args = conv_arg, .size = sizeof(struct conv_args)},
    .in_min = 2,
    .in_max = 2,
    .n_out = 1,
    .flags = OP_BLOCKS,
    .shape = dx_shape,
    .cost = back_cost,
    .ref = dx_ref,
    .tiles = conv_tiles,
    .begin = dx_begin,
    .run = dx_run,
    .samples = dx_samples};
const struct op ISA(op_conv2d_dw) = {
    .kind = {.name = "conv2d_dw", .help = "gradient of conv2d to its weight", .args = conv_arg, .size = sizeof(struct conv_args)},
    .in_min = 2,
    .in_max = 2,
    .n_out = 1,
    .flags = OP_BLOCKS,
    .shape = dw_shape,
    .cost = back_cost,
    .ref = dw_ref,
    .tiles = dw_tiles,
    .run = dw_run,
    .tiles2 = dw_tiles2,
    .run2 = dw_sum,
    .samples = dw_samples};
