/* Batch normalisation over all but the channels of x (R, C, ..), with an optional residual input and ReLU behind it in the same pass:
 * y = relu?(gain (x - mean) / sqrt(var + eps) + bias [+ residual]). In training mean and variance are the batch's (Ioffe and Szegedy 2015; as in PyTorch the
 * running variance takes the unbiased one), otherwise the running ones. Moments of an image's plane are taken in two passes and combined in double in the
 * order of the images (Chan et al. 1979), so the cut into tiles follows the shape alone. */
#include <math.h>
#include <string.h>

#include "engine/ops/image.h"

#define TILES 16

struct bn_args {
    double eps;
    bool train, relu;
};

static bool per_channel(const struct shaping *s, int i) {
    const struct tensor *t = s->in[i];
    return kit_float(s, i) && t->ndim == 1 && dim_same(t->dim[0], s->in[0]->dim[1]);
}
static bool bn_image(const struct tensor *x) {
    if (x->ndim < 2) return false;
    for (int i = 1; i < x->ndim; i++)
        if (x->dim[i].axis != AXIS_ONE) return false;
    return true;
}
static void vector_of(struct tensor *out, const struct tensor *x) {
    out->ndim = 1, out->dim[0] = x->dim[1], out->dtype = x->dtype, out->offsets = -1, out->block = 0;
}
/* x, gain, bias, running mean, running variance [, residual] -> y, mean, 1/deviation, unbiased variance */
static int bn_shape(struct shaping *s, struct err *e) {
    const struct tensor *x = s->in[0];
    if (!kit_float(s, 0) || !bn_image(x) || !per_channel(s, 1) || !per_channel(s, 2) || !per_channel(s, 3) || !per_channel(s, 4))
        return err_set(e, "needs x (R, C, ..) and gain, bias, running mean and running variance (C)");
    if (s->n_in > 5 && s->in[5] && (!kit_float(s, 5) || !kit_same(s->in[5], x))) return err_set(e, "the residual must have the shape of x");
    kit_like(&s->out[0], x);
    for (int i = 1; i < 4; i++) vector_of(&s->out[i], x);
    s->want[0] = x->block;
    if (s->n_in > 5) s->want[5] = x->block;
    s->scratch_fixed = (TILES * 2 * sizeof(double) + 2 * sizeof(float)) * (size_t)x->dim[1].k + 64;
    s->n_out = 4;
    return 0;
}
static int bn_grad(struct graph *g, const struct node *n, const tid *dout, tid *din, struct err *e) {
    struct node k = *n;
    const struct bn_args *a = k.attr;
    tid res = k.n_in > 5 ? k.in[5] : -1, out[4];
    struct val *v = val_table();
    val_set_bool(v, "train", a->train);
    val_set_bool(v, "relu", a->relu);
    tid in[] = {k.in[0], dout[0], k.out[1], k.out[2], k.in[1], k.in[2], res >= 0 ? k.out[0] : -1};
    if (dout[0] < 0) {
        val_free(v);
        return 0;
    }
    if (kit_add_take(g, "batch_norm_grad", v, in, res >= 0 ? 7 : 6, out, e) < 0) return -1;
    if (kit_needs(g, k.in[0])) din[0] = out[0];
    if (kit_needs(g, k.in[1])) din[1] = out[1];
    if (kit_needs(g, k.in[2])) din[2] = out[2];
    if (res >= 0 && kit_needs(g, res)) din[5] = out[3];
    return 0;
}
struct bn {
    int64_t n, c, p, b, tiles;
}; /* images, channels, pixels, block (1: row-major), tiles */
static struct bn bn_of(const struct view *x) {
    struct bn k = {x->n[0], x->n[1], image_pixels(x), x->block ? x->block : 1, 0};
    k.tiles = image_tiles(k.n, TILES);
    return k;
}
static double at(const struct view *v, const struct bn *k, int64_t i) { return view_get(v, image_at(v, i / (k->c * k->p), i / k->p % k->c, i % k->p)); }
static void put(const struct view *v, const struct bn *k, int64_t i, double x) { view_put(v, image_at(v, i / (k->c * k->p), i / k->p % k->c, i % k->p), x); }
static void bn_ref(const struct exec *x) {
    const struct bn_args *a = x->attr;
    const struct bn k = bn_of(&x->in[0]);
    double m = (double)(k.n * k.p);
    for (int64_t c = 0; c < k.c; c++) {
        double mean = view_get(&x->in[3], c), var = view_get(&x->in[4], c), unbiased = var;
        if (a->train) {
            mean = var = 0;
            for (int64_t i = 0; i < k.n * k.p; i++) mean += at(&x->in[0], &k, (i / k.p * k.c + c) * k.p + i % k.p) / m;
            for (int64_t i = 0; i < k.n * k.p; i++) {
                double d = at(&x->in[0], &k, (i / k.p * k.c + c) * k.p + i % k.p) - mean;
                var += d * d / m;
            }
            unbiased = m > 1 ? var * m / (m - 1) : var;
        }
        double r = 1 / sqrt(var + a->eps);
        view_put(&x->out[1], c, mean), view_put(&x->out[2], c, r), view_put(&x->out[3], c, unbiased);
        for (int64_t i = 0; i < k.n * k.p; i++) {
            int64_t e = (i / k.p * k.c + c) * k.p + i % k.p;
            double y = (at(&x->in[0], &k, e) - mean) * r * view_get(&x->in[1], c) + view_get(&x->in[2], c) + (kit_has(x, 5) ? at(&x->in[5], &k, e) : 0);
            put(&x->out[0], &k, e, a->relu && y <= 0 ? 0 : y);
        }
    }
}

/* Mean and sum of squared deviations of one plane: one channel row-major, IMAGE_B of them in a block. */
static void plane_moments(const float *v, int64_t p, int64_t b, float *mean, float *dev) {
    if (b == 1) {
        float s = 0, q = 0;
#pragma omp simd reduction(+ : s)
        for (int64_t i = 0; i < p; i++) s += v[i];
        s /= (float)p;
#pragma omp simd reduction(+ : q)
        for (int64_t i = 0; i < p; i++) q += (v[i] - s) * (v[i] - s);
        *mean = s, *dev = q;
        return;
    }
    image_vec s[4] = {{0}}, q[4] = {{0}};
    const image_vec *w = (const image_vec *)v;
    int64_t i = 0;
    for (; i + 4 <= p; i += 4)
        for (int j = 0; j < 4; j++) s[j] += w[i + j];
    for (; i < p; i++) s[0] += w[i];
    image_vec m = (s[0] + s[1] + s[2] + s[3]) / (float)p;
    for (i = 0; i + 4 <= p; i += 4)
        for (int j = 0; j < 4; j++) q[j] += (w[i + j] - m) * (w[i + j] - m);
    for (; i < p; i++) q[0] += (w[i] - m) * (w[i] - m);
    *(image_vec_u *)mean = m;
    *(image_vec_u *)dev = q[0] + q[1] + q[2] + q[3];
}
static void join(double *mean, double *dev, double n, double mean2, double dev2, double n2) { /* n + n2 values (Chan et al.) */
    double d = mean2 - *mean, all = n + n2;
    *mean += d * n2 / all;
    *dev += dev2 + d * d * n * n2 / all;
}
static int64_t bn_tiles(const struct exec *x) { return ((const struct bn_args *)x->attr)->train ? image_tiles(x->in[0].n[0], TILES) : 0; }
static void bn_run(const struct exec *x, int64_t lo, int64_t hi) {
    const struct bn k = bn_of(&x->in[0]);
    float mean[IMAGE_B], dev[IMAGE_B];
    for (int64_t t = lo; t < hi; t++) {
        double *m = (double *)x->scratch + t * 2 * k.c, *v = m + k.c;
        memset(m, 0, 2 * (size_t)k.c * sizeof *m);
        int64_t from = image_from(k.n, k.tiles, t), to = image_from(k.n, k.tiles, t + 1);
        for (int64_t n = from; n < to; n++)
            for (int64_t c = 0; c < k.c; c += k.b) {
                plane_moments((const float *)x->in[0].data + (n * k.c + c) * k.p, k.p, k.b, mean, dev);
                for (int64_t i = 0; i < k.b; i++) join(&m[c + i], &v[c + i], (double)((n - from) * k.p), mean[i], dev[i], (double)k.p);
            }
    }
}
static void bn_mid(const struct exec *x) { /* statistics, then factor and shift of each channel behind the partial ones */
    const struct bn_args *a = x->attr;
    const struct bn k = bn_of(&x->in[0]);
    const double *part = x->scratch;
    double count = (double)(k.n * k.p);
    for (int64_t c = 0; c < k.c; c++) {
        double m = 0, v = 0;
        float mean = ((const float *)x->in[3].data)[c], var = ((const float *)x->in[4].data)[c], unbiased = var;
        if (a->train) {
            for (int64_t t = 0, n = 0; t < k.tiles; t++) {
                int64_t here = (image_from(k.n, k.tiles, t + 1) - image_from(k.n, k.tiles, t)) * k.p;
                join(&m, &v, (double)n, part[t * 2 * k.c + c], part[t * 2 * k.c + k.c + c], (double)here);
                n += here;
            }
            mean = (float)m, var = count > 0 ? (float)(v / count) : 0, unbiased = count > 1 ? (float)(v / (count - 1)) : var;
        }
        ((float *)x->out[1].data)[c] = mean;
        ((float *)x->out[2].data)[c] = (float)(1 / sqrt((double)var + a->eps));
        ((float *)x->out[3].data)[c] = unbiased;
    }
}
/* One plane; res may be NULL. */
static inline __attribute__((always_inline)) void plane_apply(
    const float *v, const float *res, float *y, int64_t p, int64_t b, const float *mean, const float *f, const float *z, const bool relu) {
    if (b == 1) {
        float m = *mean, g = *f, s = *z;
#pragma omp simd
        for (int64_t i = 0; i < p; i++) {
            float o = (v[i] - m) * g + s;
            if (res) o += res[i];
            y[i] = relu && o <= 0 ? 0 : o;
        }
        return;
    }
    image_vec m = *(const image_vec_u *)mean, g = *(const image_vec_u *)f, s = *(const image_vec_u *)z, none = {0};
    for (int64_t i = 0; i < p; i++) {
        image_vec o = (((const image_vec *)v)[i] - m) * g + s;
        if (res) o += ((const image_vec *)res)[i];
        image_int on = ~(o <= none); /* not a number stays one */
        if (relu) image_where(&on, &o);
        ((image_vec *)y)[i] = o;
    }
}
static int64_t bn_tiles2(const struct exec *x) { return image_tiles(x->in[0].n[0], 64); }
static void bn_apply(const struct exec *x, int64_t lo, int64_t hi) {
    const struct bn_args *a = x->attr;
    const struct bn k = bn_of(&x->in[0]);
    const float *mean = x->out[1].data, *r = x->out[2].data, *gain = x->in[1].data, *bias = x->in[2].data;
    int64_t tiles = bn_tiles2(x);
    for (int64_t n = image_from(k.n, tiles, lo); n < image_from(k.n, tiles, hi); n++)
        for (int64_t c = 0; c < k.c; c += k.b) {
            float f[IMAGE_B];
            int64_t o = (n * k.c + c) * k.p;
            for (int64_t i = 0; i < k.b; i++) f[i] = gain[c + i] * r[c + i];
            const float *v = (const float *)x->in[0].data + o, *res = kit_has(x, 5) ? (const float *)x->in[5].data + o : NULL;
            float *y = (float *)x->out[0].data + o;
            if (res && a->relu) plane_apply(v, res, y, k.p, k.b, mean + c, f, bias + c, true);
            else if (res) plane_apply(v, res, y, k.p, k.b, mean + c, f, bias + c, false);
            else if (a->relu) plane_apply(v, NULL, y, k.p, k.b, mean + c, f, bias + c, true);
            else plane_apply(v, NULL, y, k.p, k.b, mean + c, f, bias + c, false);
        }
}

/* ---- x, dy, mean, 1/deviation, gain, bias [, y] -> dx, dgain, dbias [, dresidual]. y is given where a residual was added: it tells where ReLU let through. */
static int back_shape(struct shaping *s, struct err *e) {
    const struct tensor *x = s->in[0];
    bool ok = kit_float(s, 0) && kit_float(s, 1) && bn_image(x) && kit_same(x, s->in[1]);
    for (int i = 2; ok && i < 6; i++) ok = per_channel(s, i);
    if (!ok || (s->n_in > 6 && (!kit_float(s, 6) || !kit_same(x, s->in[6]))))
        return err_set(e, "needs x, dy of its shape, mean, 1/deviation, gain, bias and optionally y");
    s->want[0] = s->want[1] = x->block;
    kit_like(&s->out[0], x);
    vector_of(&s->out[1], x);
    vector_of(&s->out[2], x);
    s->n_out = 3;
    if (s->n_in > 6) {
        s->want[6] = x->block;
        kit_like(&s->out[3], x);
        s->n_out = 4;
    }
    s->scratch_fixed = TILES * 2 * sizeof(double) * (size_t)x->dim[1].k + 64;
    return 0;
}
static void back_ref(const struct exec *x) {
    const struct bn_args *a = x->attr;
    const struct bn k = bn_of(&x->in[0]);
    double m = (double)(k.n * k.p);
    for (int64_t c = 0; c < k.c; c++) {
        double mean = view_get(&x->in[2], c), r = view_get(&x->in[3], c), g = view_get(&x->in[4], c), z = view_get(&x->in[5], c), sd = 0, sx = 0;
        for (int pass = 0; pass < 2; pass++)
            for (int64_t i = 0; i < k.n * k.p; i++) {
                int64_t e = (i / k.p * k.c + c) * k.p + i % k.p;
                double h = (at(&x->in[0], &k, e) - mean) * r, y = kit_has(x, 6) ? at(&x->in[6], &k, e) : h * g + z, d = at(&x->in[1], &k, e);
                if (a->relu && !(y > 0)) d = 0;
                if (pass == 0) {
                    sd += d, sx += d * h;
                    if (x->n_out > 3) put(&x->out[3], &k, e, d);
                } else put(&x->out[0], &k, e, g * r * (a->train ? d - sd / m - h * sx / m : d));
            }
        view_put(&x->out[1], c, sx), view_put(&x->out[2], c, sd);
    }
}
static int64_t back_tiles(const struct exec *x) { return image_tiles(x->in[0].n[0], TILES); }
static inline __attribute__((always_inline)) void back_plane(const float *v, const float *dy, const float *y, float *dres, int64_t p, int64_t b,
    const float *mean, const float *r, const float *f, const float *z, const bool relu, float *sd, float *sx) {
    if (b == 1) {
        float s = 0, q = 0;
#pragma omp simd reduction(+ : s, q)
        for (int64_t i = 0; i < p; i++) {
            float h = v[i] - *mean, o = y ? y[i] : h * *f + *z, d = relu && !(o > 0) ? 0 : dy[i];
            s += d, q += d * h;
            if (dres) dres[i] = d;
        }
        *sd = s, *sx = q * *r;
        return;
    }
    image_vec m = *(const image_vec_u *)mean, g = *(const image_vec_u *)f, t = *(const image_vec_u *)z, none = {0}, s[2] = {{0}}, q[2] = {{0}};
    for (int64_t i = 0; i < p; i++) {
        image_vec h = ((const image_vec *)v)[i] - m, d = ((const image_vec *)dy)[i];
        if (relu) {
            image_vec o = y ? ((const image_vec *)y)[i] : h * g + t;
            image_int on = o > none;
            image_where(&on, &d);
        }
        s[i & 1] += d, q[i & 1] += d * h;
        if (dres) ((image_vec *)dres)[i] = d;
    }
    *(image_vec_u *)sd = s[0] + s[1];
    *(image_vec_u *)sx = (q[0] + q[1]) * *(const image_vec_u *)r;
}
static void back_run(const struct exec *x, int64_t lo, int64_t hi) {
    const struct bn_args *a = x->attr;
    const struct bn k = bn_of(&x->in[0]);
    const float *mean = x->in[2].data, *r = x->in[3].data, *gain = x->in[4].data, *bias = x->in[5].data;
    for (int64_t t = lo; t < hi; t++) {
        double *sd = (double *)x->scratch + t * 2 * k.c, *sx = sd + k.c;
        memset(sd, 0, 2 * (size_t)k.c * sizeof *sd);
        for (int64_t n = image_from(k.n, k.tiles, t); n < image_from(k.n, k.tiles, t + 1); n++)
            for (int64_t c = 0; c < k.c; c += k.b) {
                float f[IMAGE_B], d[IMAGE_B], q[IMAGE_B];
                int64_t o = (n * k.c + c) * k.p;
                for (int64_t i = 0; i < k.b; i++) f[i] = gain[c + i] * r[c + i];
                const float *v = (const float *)x->in[0].data + o, *dy = (const float *)x->in[1].data + o;
                if (kit_has(x, 6)) {
                    const float *y = (const float *)x->in[6].data + o;
                    float *dres = (float *)x->out[3].data + o;
                    if (a->relu) back_plane(v, dy, y, dres, k.p, k.b, mean + c, r + c, f, bias + c, true, d, q);
                    else back_plane(v, dy, y, dres, k.p, k.b, mean + c, r + c, f, bias + c, false, d, q);
                } else if (a->relu) back_plane(v, dy, NULL, NULL, k.p, k.b, mean + c, r + c, f, bias + c, true, d, q);
                else back_plane(v, dy, NULL, NULL, k.p, k.b, mean + c, r + c, f, bias + c, false, d, q);
                for (int64_t i = 0; i < k.b; i++) sd[c + i] += (double)d[i], sx[c + i] += (double)q[i];
            }
    }
}
static void back_mid(const struct exec *x) {
    const struct bn k = bn_of(&x->in[0]);
    const double *part = x->scratch;
    for (int64_t c = 0; c < k.c; c++) {
        double d = 0, q = 0;
        for (int64_t t = 0; t < k.tiles; t++) d += part[t * 2 * k.c + c], q += part[t * 2 * k.c + k.c + c];
        ((float *)x->out[1].data)[c] = (float)q;
        ((float *)x->out[2].data)[c] = (float)d;
    }
}
/* dx = f (d - u - h w), h = x - mean; d: dy behind ReLU, already so where dres is. */
static inline __attribute__((always_inline)) void back_dx(const float *v, const float *d, float *dx, int64_t p, int64_t b, const float *mean, const float *f,
    const float *z, const float *u, const float *w, const bool mask) {
    if (b == 1) {
#pragma omp simd
        for (int64_t i = 0; i < p; i++) {
            float h = v[i] - *mean, g = mask && !(h * *f + *z > 0) ? 0 : d[i];
            dx[i] = *f * (g - *u - h * *w);
        }
        return;
    }
    image_vec m = *(const image_vec_u *)mean, g = *(const image_vec_u *)f, t = *(const image_vec_u *)z, a = *(const image_vec_u *)u,
              c = *(const image_vec_u *)w, none = {0};
    for (int64_t i = 0; i < p; i++) {
        image_vec h = ((const image_vec *)v)[i] - m, s = ((const image_vec *)d)[i];
        image_int on = h * g + t > none;
        if (mask) image_where(&on, &s);
        ((image_vec *)dx)[i] = g * (s - a - h * c);
    }
}
static void back_run2(const struct exec *x, int64_t lo, int64_t hi) {
    const struct bn_args *a = x->attr;
    const struct bn k = bn_of(&x->in[0]);
    const float *mean = x->in[2].data, *r = x->in[3].data, *gain = x->in[4].data, *bias = x->in[5].data, *dg = x->out[1].data, *db = x->out[2].data;
    float count = (float)(k.n * k.p);
    int64_t tiles = bn_tiles2(x);
    for (int64_t n = image_from(k.n, tiles, lo); n < image_from(k.n, tiles, hi); n++)
        for (int64_t c = 0; c < k.c; c += k.b) {
            float f[IMAGE_B], u[IMAGE_B], w[IMAGE_B];
            int64_t o = (n * k.c + c) * k.p;
            for (int64_t i = 0; i < k.b; i++) {
                f[i] = gain[c + i] * r[c + i];
                u[i] = a->train ? db[c + i] / count : 0;
                w[i] = a->train ? dg[c + i] / count * r[c + i] : 0;
            }
            const float *v = (const float *)x->in[0].data + o, *d = (const float *)(kit_has(x, 6) ? x->out[3].data : x->in[1].data) + o;
            float *dx = (float *)x->out[0].data + o;
            if (a->relu && !kit_has(x, 6)) back_dx(v, d, dx, k.p, k.b, mean + c, f, bias + c, u, w, true);
            else back_dx(v, d, dx, k.p, k.b, mean + c, f, bias + c, u, w, false);
        }
}

/* ---- running += momentum (batch - running), for mean and variance; a batch that is not finite leaves them alone */
struct update_args {
    double momentum;
};
static int update_shape(struct shaping *s, struct err *e) {
    for (int i = 0; i < 4; i++)
        if (!kit_float(s, i) || s->in[i]->ndim != 1 || !dim_same(s->in[i]->dim[0], s->in[0]->dim[0]))
            return err_set(e, "needs running mean and variance and those of the batch (C)");
    for (int i = 0; i < 2; i++) kit_like(&s->out[i], s->in[i]);
    s->n_out = 2;
    return 0;
}
static void update_ref(const struct exec *x) {
    double k = ((const struct update_args *)x->attr)->momentum;
    bool ok = true;
    for (int64_t i = 0; i < x->in[0].len; i++) ok = ok && isfinite(view_get(&x->in[2], i)) && isfinite(view_get(&x->in[3], i));
    for (int j = 0; ok && j < 2; j++)
        for (int64_t i = 0; i < x->in[0].len; i++) {
            double r = view_get(&x->in[j], i);
            view_put(&x->out[j], i, r + k * (view_get(&x->in[2 + j], i) - r));
        }
}

static const struct arg bn_arg[] = {
    {.name = "eps", .help = "added to the variance", .def = "1e-5", .type = ARG_NUM, .offset = offsetof(struct bn_args, eps), .lo = 0, .hi = 1},
    {.name = "train", .help = "the batch's statistics, not the running ones", .def = "true", .type = ARG_BOOL, .offset = offsetof(struct bn_args, train)},
    {.name = "relu", .help = "max(y, 0) behind it", .def = "false", .type = ARG_BOOL, .offset = offsetof(struct bn_args, relu)}, {0}};
static const struct arg update_arg[] = {
    {.name = "momentum", .help = "share of the new", .def = "0.1", .type = ARG_NUM, .offset = offsetof(struct update_args, momentum), .lo = 0, .hi = 1}, {0}};
#define S3 " f(3) f(3) c(3) c(3)[0.5,2]"
#define S16 " f(16) f(16) c(16) c(16)[0.5,2]"
static const struct sample bn_samples[] = {{"eps=0.1", "f(R,3,4,5)" S3}, {"train=false", "f(R,3,5)" S3},
    {"eps=0.1 train=false relu=true", "f(R,16,3,3)" S16 " f(R,16,3,3)"}, {"eps=0.1", "f(R,3)" S3 " f(R,3)"}, {0}};
static const struct sample back_samples[] = {{"relu=true", "f(R,3,4,5) f(R,3,4,5) c(3) c(3)[0.5,2] f(3) f(3)"},
    {NULL, "f(R,16,3,3) f(R,16,3,3) c(16) c(16)[0.5,2] f(16) f(16)"}, {"relu=true train=false", "f(R,3,7) f(R,3,7) c(3) c(3)[0.5,2] f(3) f(3) f(R,3,7)"}, {0}};
static const struct sample update_samples[] = {{0}};
const struct op ISA(op_batch_norm) = {.kind = {.name = "batch_norm",
                                          .help = "mean 0 and variance 1 of each channel over the batch, then gain and bias",
                                          .args = bn_arg,
                                          .size = sizeof(struct bn_args)},
    .in_min = 5,
    .in_max = 6,
    .n_out = 4,
    .flags = OP_BLOCKS,
    .shape = bn_shape,
    .grad = bn_grad,
    .ref = bn_ref,
    .tiles = bn_tiles,
    .run = bn_run,
    .mid = bn_mid,
    .tiles2 = bn_tiles2,
    .run2 = bn_apply,
    .samples = bn_samples};
const struct op ISA(op_batch_norm_grad) = {
    .kind = {.name = "batch_norm_grad", .help = "gradients of batch_norm", .args = bn_arg, .size = sizeof(struct bn_args)},
    .in_min = 6,
    .in_max = 7,
    .n_out = 4,
    .flags = OP_BLOCKS,
    .shape = back_shape,
    .ref = back_ref,
    .tiles = back_tiles,
    .run = back_run,
    .mid = back_mid,
    .tiles2 = bn_tiles2,
    .run2 = back_run2,
    .samples = back_samples};
const struct op ISA(op_batch_norm_update) = {
    .kind = {.name = "batch_norm_update", .help = "running statistics of batch_norm", .args = update_arg, .size = sizeof(struct update_args)},
    .in_min = 4,
    .in_max = 4,
    .n_out = 2,
    .flags = OP_UPDATE | OP_TIED,
    .shape = update_shape,
    .ref = update_ref,
    .samples = update_samples};
