/* What texts need besides attention: the sum of word, position and type vectors (embed), the first token of each text (first_token), rotary positions
 * (rope; Su et al. 2021, halves rotated as in GPT-NeoX), rows scaled to length 1 (l2_norm). Positions count from `start` in each text; a word or position
 * outside its table adds nothing, data sets and models check before. */
#include <math.h>
#include <string.h>

#include "engine/ops/kit.h"

#define WORK 32768 /* values a tile */

struct embed_args {
    int64_t start;
};
struct rope_args {
    int64_t heads;
    double base;
    bool back;
};
struct l2_args {
    double eps;
};

static int64_t start_of(const struct exec *x) { return ((const struct embed_args *)x->attr)->start; }

/* ---- embed: (ids (T), word (V, D), offsets (R+1), position (P, D) or none, type (K, D) or none) -> (T, D); the type is 0 */
static bool embed_inputs(const struct shaping *s) {
    const struct tensor *ids = s->in[0], *w = s->in[1], *o = s->in[2];
    bool ok = kit_int(s, 0) && kit_float(s, 1) && kit_int(s, 2) && ids->ndim == 1 && w->ndim == 2 && o->ndim == 1 && o->dim[0].axis == AXIS_R1;
    for (int i = 3; ok && i < 5 && i < s->n_in; i++) ok = !s->in[i] || (kit_float(s, i) && s->in[i]->ndim == 2 && dim_same(s->in[i]->dim[1], w->dim[1]));
    return ok;
}
static int embed_shape(struct shaping *s, struct err *e) {
    if (!embed_inputs(s)) return err_set(e, "needs i32 ids (T), words (rows, width), offsets (R+1) and optionally positions and types of that width");
    kit_like(&s->out[0], s->in[0]);
    s->out[0].dim[s->out[0].ndim++] = s->in[1]->dim[1];
    s->out[0].dtype = s->in[1]->dtype;
    s->n_out = 1;
    return 0;
}
static int embed_grad(struct graph *g, const struct node *n, const tid *dout, tid *din, struct err *e) {
    struct node k = *n;
    tid words[] = {k.in[0], k.in[1], dout[0]}, out[4];
    if (kit_needs(g, k.in[1]) && (din[1] = graph_add(g, "embedding_grad", NULL, words, 3, out, e)) < 0) return -1;
    for (int i = 3; i < 5 && i < k.n_in; i++) {
        tid in[] = {dout[0], k.in[2], k.in[i]};
        struct val *a = val_table();
        val_set_int(a, "start", i == 3 ? ((const struct embed_args *)k.attr)->start : -1);
        din[i] = kit_needs(g, k.in[i]) ? graph_add(g, "embed_grad", a, in, 3, out, e) : -1;
        val_free(a);
        if (kit_needs(g, k.in[i]) && din[i] < 0) return -1;
    }
    return 0;
}
static void embed_ref(const struct exec *x) {
    int64_t d = kit_last(&x->in[1]), v = x->in[1].n[0], rows = x->in[2].len - 1;
    for (int64_t r = 0; r < rows; r++)
        for (int64_t from = (int64_t)view_get(&x->in[2], r), t = from, to = (int64_t)view_get(&x->in[2], r + 1); t < to; t++)
            for (int64_t i = 0; i < d; i++) {
                int64_t id = (int64_t)view_get(&x->in[0], t), p = t - from + start_of(x);
                double s = id >= 0 && id < v ? view_get(&x->in[1], id * d + i) : 0;
                if (kit_has(x, 3) && p < x->in[3].n[0]) s += view_get(&x->in[3], p * d + i);
                if (kit_has(x, 4)) s += view_get(&x->in[4], i);
                view_put(&x->out[0], t * d + i, s);
            }
}
static int64_t token_tiles(const struct exec *x) { return kit_tiles(x->out[0].n[0], kit_grain(WORK, kit_last(&x->out[0]))); }
static void embed_run(const struct exec *x, int64_t lo, int64_t hi) {
    int64_t d = kit_last(&x->in[1]), v = x->in[1].n[0], rows = x->in[2].len - 1, grain = kit_grain(WORK, d), to = kit_min(x->in[0].len, hi * grain),
            t = lo * grain;
    const int32_t *ids = x->in[0].data, *off = x->in[2].data;
    const float *word = x->in[1].data, *pos = kit_has(x, 3) ? x->in[3].data : NULL, *type = kit_has(x, 4) ? x->in[4].data : NULL;
    int64_t r = t < to ? kit_text(off, rows, t) : 0;
    for (; t < to; t++) {
        while (t >= off[r + 1]) r++;
        int64_t p = t - off[r] + start_of(x);
        float *y = (float *)x->out[0].data + t * d;
        if (ids[t] >= 0 && ids[t] < v) memcpy(y, word + ids[t] * d, (size_t)d * sizeof(float));
        else memset(y, 0, (size_t)d * sizeof(float));
        for (int64_t i = 0; i < d && pos && p < x->in[3].n[0]; i++) y[i] += pos[p * d + i];
        for (int64_t i = 0; i < d && type; i++) y[i] += type[i];
    }
}

/* ---- embed_grad: (dy (T, D), offsets, table) -> (rows, D): by position, or all of it to row 0 (start -1) */
static int egrad_shape(struct shaping *s, struct err *e) {
    if (!kit_float(s, 0) || !kit_int(s, 1) || !kit_float(s, 2) || s->in[0]->ndim != 2 || s->in[2]->ndim != 2 || !dim_same(s->in[0]->dim[1], s->in[2]->dim[1]))
        return err_set(e, "needs a gradient (T, width), offsets (R+1) and the table (rows, width)");
    kit_like(&s->out[0], s->in[2]);
    s->out[0].offsets = -1;
    s->n_out = 1;
    return 0;
}
static void egrad_ref(const struct exec *x) {
    int64_t d = kit_last(&x->out[0]), start = start_of(x);
    for (int64_t i = 0; i < x->out[0].len; i++) view_put(&x->out[0], i, 0);
    for (int64_t r = 0; r + 1 < x->in[1].len; r++)
        for (int64_t from = (int64_t)view_get(&x->in[1], r), t = from, to = (int64_t)view_get(&x->in[1], r + 1); t < to; t++)
            for (int64_t i = 0; i < d; i++) {
                int64_t p = start < 0 ? 0 : t - from + start;
                if (p < x->out[0].n[0]) view_put(&x->out[0], p * d + i, view_get(&x->out[0], p * d + i) + view_get(&x->in[0], t * d + i));
            }
}
/* Position tables: a tile is a few rows of the table; types: a tile is 64 columns. */
#define COLS 64
static int64_t egrad_tiles(const struct exec *x) { return start_of(x) < 0 ? kit_tiles(kit_last(&x->out[0]), COLS) : kit_tiles(x->out[0].n[0], 8); }
static void egrad_run(const struct exec *x, int64_t lo, int64_t hi) {
    int64_t d = kit_last(&x->out[0]), start = start_of(x), rows = x->in[1].len - 1;
    const int32_t *off = x->in[1].data;
    const float *dy = x->in[0].data;
    float *y = x->out[0].data;
    if (start < 0) {
        int64_t from = lo * COLS, to = kit_min(d, hi * COLS);
        for (int64_t p = 0; p < x->out[0].n[0]; p++) memset(y + p * d + from, 0, (size_t)(to - from) * sizeof(float));
        for (int64_t t = 0; t < x->in[0].n[0]; t++)
            for (int64_t i = from; i < to; i++) y[i] += dy[t * d + i];
        return;
    }
    for (int64_t p = lo * 8; p < kit_min(x->out[0].n[0], hi * 8); p++) {
        float *o = y + p * d;
        memset(o, 0, (size_t)d * sizeof(float));
        for (int64_t r = 0; r < rows && p >= start; r++) {
            if (p - start >= off[r + 1] - off[r]) continue;
            const float *a = dy + (off[r] + p - start) * d;
#pragma omp simd
            for (int64_t i = 0; i < d; i++) o[i] += a[i];
        }
    }
}

/* ---- first_token: (x (T, D), offsets) -> (R, D), zeros for an empty text; back: (dy (R, D), offsets, x) -> (T, D) */
static int first_shape(struct shaping *s, struct err *e) {
    if (!kit_float(s, 0) || !kit_int(s, 1) || s->in[0]->ndim != 2 || s->in[1]->ndim != 1 || s->in[1]->dim[0].axis != AXIS_R1)
        return err_set(e, "needs tokens (T, width) and offsets (R+1)");
    s->out[0] = (struct tensor){.ndim = 2, .dim = {{1, AXIS_R}, s->in[0]->dim[1]}, .dtype = s->in[0]->dtype, .offsets = -1};
    s->n_out = 1;
    return 0;
}
static int first_grad(struct graph *g, const struct node *n, const tid *dout, tid *din, struct err *e) {
    struct node k = *n;
    tid in[] = {dout[0], k.in[1], k.in[0]};
    return (din[0] = graph_attr(g, "first_token_grad", NULL, in, 3, NULL, e)) < 0 ? -1 : 0;
}
static void first_ref(const struct exec *x) {
    int64_t d = kit_last(&x->in[0]);
    for (int64_t r = 0; r < x->out[0].n[0]; r++) {
        int64_t from = (int64_t)view_get(&x->in[1], r), to = (int64_t)view_get(&x->in[1], r + 1);
        for (int64_t i = 0; i < d; i++) view_put(&x->out[0], r * d + i, from < to ? view_get(&x->in[0], from * d + i) : 0);
    }
}
static void first_run(const struct exec *x, int64_t lo, int64_t hi) {
    (void)lo;
    (void)hi;
    first_ref(x);
}
static int fgrad_shape(struct shaping *s, struct err *e) {
    if (!kit_float(s, 0) || !kit_int(s, 1) || !kit_float(s, 2) || s->in[0]->ndim != 2 || s->in[2]->ndim != 2)
        return err_set(e, "needs a gradient (R, width), offsets (R+1) and the tokens (T, width)");
    kit_like(&s->out[0], s->in[2]);
    s->n_out = 1;
    return 0;
}
static void fgrad_ref(const struct exec *x) {
    int64_t d = kit_last(&x->out[0]);
    for (int64_t i = 0; i < x->out[0].len; i++) view_put(&x->out[0], i, 0);
    for (int64_t r = 0; r < x->in[0].n[0]; r++) {
        int64_t from = (int64_t)view_get(&x->in[1], r), to = (int64_t)view_get(&x->in[1], r + 1);
        for (int64_t i = 0; i < d && from < to; i++) view_put(&x->out[0], from * d + i, view_get(&x->in[0], r * d + i));
    }
}
static void fgrad_run(const struct exec *x, int64_t lo, int64_t hi) {
    int64_t d = kit_last(&x->out[0]), grain = kit_grain(WORK, d), from = lo * grain, to = kit_min(x->out[0].n[0], hi * grain), rows = x->in[0].n[0];
    const int32_t *off = x->in[1].data;
    float *y = x->out[0].data;
    if (from >= to) return;
    memset(y + from * d, 0, (size_t)((to - from) * d) * sizeof(float));
    for (int64_t r = kit_text(off, rows, from); r < rows && off[r] < to; r++)
        if (off[r] >= from && off[r + 1] > off[r]) memcpy(y + off[r] * d, (const float *)x->in[0].data + r * d, (size_t)d * sizeof(float));
}

/* ---- rope: rotates the queries and keys in (T, 3 n) by their position; the gradient turns back */
static int rope_shape(struct shaping *s, struct err *e) {
    int64_t h = ((const struct rope_args *)s->attr)->heads;
    if (!kit_float(s, 0) || !kit_int(s, 1) || s->in[0]->ndim != 2 || s->in[1]->ndim != 1 || s->in[1]->dim[0].axis != AXIS_R1 ||
        s->in[0]->dim[1].k % (6 * h) != 0)
        return err_set(e, "needs queries, keys and values side by side (T, 3 n) with an even number of values a head, and offsets (R+1)");
    kit_like(&s->out[0], s->in[0]);
    s->n_out = 1;
    return 0;
}
static int rope_grad(struct graph *g, const struct node *n, const tid *dout, tid *din, struct err *e) {
    struct node k = *n;
    tid in[] = {dout[0], k.in[1]};
    struct val *a = args_to_val(&k.op->kind, k.attr);
    val_set_bool(a, "back", !((const struct rope_args *)k.attr)->back);
    return (din[0] = kit_add_take(g, "rope", a, in, 2, NULL, e)) < 0 ? -1 : 0;
}
static void rope_ref(const struct exec *x) {
    const struct rope_args *a = x->attr;
    int64_t n = x->in[0].n[1] / 3, d = n / a->heads, half = d / 2;
    for (int64_t r = 0; r + 1 < x->in[1].len; r++)
        for (int64_t from = (int64_t)view_get(&x->in[1], r), t = from, to = (int64_t)view_get(&x->in[1], r + 1); t < to; t++)
            for (int64_t i = 0; i < 3 * n; i++) {
                int64_t in_head = i % d, at = t * 3 * n + i, j = in_head % half, other = in_head < half ? at + half : at - half;
                double v = view_get(&x->in[0], at), w = (double)(t - from) * pow(a->base, -2.0 * (double)j / (double)d) * (a->back ? -1 : 1);
                if (in_head >= half && i < 2 * n) continue; /* done with its other half */
                if (i >= 2 * n) view_put(&x->out[0], at, v);
                else {
                    double u = view_get(&x->in[0], other);
                    view_put(&x->out[0], at, v * cos(w) - u * sin(w));
                    view_put(&x->out[0], other, u * cos(w) + v * sin(w));
                }
            }
}
static void rope_row(const float *in, float *out, int64_t heads, int64_t half, const float *c, const float *s) {
    for (int64_t h = 0; h < 2 * heads; h++, in += 2 * half, out += 2 * half)
        for (int64_t j = 0; j < half; j++) {
            float v = in[j], u = in[j + half];
            out[j] = v * c[j] - u * s[j];
            out[j + half] = u * c[j] + v * s[j];
        }
}
#define HALF_MAX 512
static void rope_run(const struct exec *x, int64_t lo, int64_t hi) {
    const struct rope_args *a = x->attr;
    int64_t w = x->in[0].n[1], n = w / 3, half = n / a->heads / 2, grain = kit_grain(WORK, w), to = kit_min(x->in[0].n[0], hi * grain), rows = x->in[1].len - 1,
            t = lo * grain;
    const int32_t *off = x->in[1].data;
    float c[HALF_MAX], s[HALF_MAX];
    double rate[HALF_MAX];
    if (half > HALF_MAX) {
        if (lo == 0) rope_ref(x); /* one tile does it all: heads this wide are not made for speed */
        return;
    }
    for (int64_t j = 0; j < half; j++) rate[j] = pow(a->base, -(double)j / (double)half) * (a->back ? -1 : 1);
    int64_t r = t < to ? kit_text(off, rows, t) : 0;
    for (; t < to; t++) {
        while (t >= off[r + 1]) r++;
        for (int64_t j = 0; j < half; j++) {
            double v = (double)(t - off[r]) * rate[j];
            c[j] = (float)cos(v), s[j] = (float)sin(v);
        }
        const float *in = (const float *)x->in[0].data + t * w;
        float *out = (float *)x->out[0].data + t * w;
        rope_row(in, out, a->heads, half, c, s);
        if (in != out) memcpy(out + 2 * n, in + 2 * n, (size_t)n * sizeof(float));
    }
}

/* ---- l2_norm: y = x / max(|x|, eps) by row, and 1/length; dx = r (dy - y (dy . y)) */
static int l2_shape(struct shaping *s, struct err *e) {
    if (!kit_float(s, 0) || s->in[0]->ndim < 1) return err_set(e, "needs x (.., n)");
    kit_like(&s->out[0], s->in[0]);
    kit_like(&s->out[1], s->in[0]);
    s->out[1].ndim--;
    s->n_out = 2;
    return 0;
}
static int l2_grad(struct graph *g, const struct node *n, const tid *dout, tid *din, struct err *e) {
    struct node k = *n;
    tid in[] = {k.out[0], k.out[1], dout[0]};
    return (din[0] = graph_attr(g, "l2_norm_grad", NULL, in, 3, NULL, e)) < 0 ? -1 : 0;
}
static int64_t l2_tiles(const struct exec *x) { return kit_tiles(kit_rows(&x->in[0]), kit_grain(WORK, kit_last(&x->in[0]))); }
static void l2_ref(const struct exec *x) {
    int64_t n = kit_last(&x->in[0]);
    for (int64_t r = 0; r < kit_rows(&x->in[0]); r++) {
        double s = 0;
        for (int64_t i = r * n; i < (r + 1) * n; i++) s += view_get(&x->in[0], i) * view_get(&x->in[0], i);
        double k = 1 / fmax(sqrt(s), ((const struct l2_args *)x->attr)->eps);
        for (int64_t i = r * n; i < (r + 1) * n; i++) view_put(&x->out[0], i, view_get(&x->in[0], i) * k);
        view_put(&x->out[1], r, k);
    }
}
static void l2_run(const struct exec *x, int64_t lo, int64_t hi) {
    int64_t n = kit_last(&x->in[0]), grain = kit_grain(WORK, n), to = kit_min(kit_rows(&x->in[0]), hi * grain);
    for (int64_t r = lo * grain; r < to; r++) {
        const float *a = (const float *)x->in[0].data + r * n;
        float *y = (float *)x->out[0].data + r * n, s = 0;
        for (int64_t i = 0; i < n; i++) s += a[i] * a[i];
        float k = 1 / fmaxf(sqrtf(s), (float)((const struct l2_args *)x->attr)->eps);
        for (int64_t i = 0; i < n; i++) y[i] = a[i] * k;
        ((float *)x->out[1].data)[r] = k;
    }
}
static int l2g_shape(struct shaping *s, struct err *e) {
    if (!kit_float(s, 0) || !kit_float(s, 1) || !kit_float(s, 2) || !kit_same(s->in[0], s->in[2]))
        return err_set(e, "needs y, 1/length and dy of the shape of y");
    kit_like(&s->out[0], s->in[0]);
    s->n_out = 1;
    return 0;
}
static void l2g_ref(const struct exec *x) {
    int64_t n = kit_last(&x->in[0]);
    for (int64_t r = 0; r < kit_rows(&x->in[0]); r++) {
        double dot = 0, k = view_get(&x->in[1], r);
        for (int64_t i = r * n; i < (r + 1) * n; i++) dot += view_get(&x->in[0], i) * view_get(&x->in[2], i);
        for (int64_t i = r * n; i < (r + 1) * n; i++) view_put(&x->out[0], i, k * (view_get(&x->in[2], i) - view_get(&x->in[0], i) * dot));
    }
}
static void l2g_run(const struct exec *x, int64_t lo, int64_t hi) {
    int64_t n = kit_last(&x->in[0]), grain = kit_grain(WORK, n), to = kit_min(kit_rows(&x->in[0]), hi * grain);
    for (int64_t r = lo * grain; r < to; r++) {
        const float *y = (const float *)x->in[0].data + r * n, *d = (const float *)x->in[2].data + r * n;
        float *o = (float *)x->out[0].data + r * n, dot = 0, k = ((const float *)x->in[1].data)[r];
        for (int64_t i = 0; i < n; i++) dot += y[i] * d[i];
        for (int64_t i = 0; i < n; i++) o[i] = k * (d[i] - y[i] * dot);
    }
}

static const struct arg embed_arg[] = {{.name = "start",
                                           .help = "position of the first token",
                                           .def = "0",
                                           .type = ARG_INT,
                                           .offset = offsetof(struct embed_args, start),
                                           .lo = -1,
                                           .hi = 1 << 20},
    {0}};
static const struct arg rope_arg[] = {
    {.name = "heads", .help = "heads", .def = "1", .type = ARG_INT, .offset = offsetof(struct rope_args, heads), .lo = 1, .hi = 4096},
    {.name = "base",
        .help = "wave length of the slowest pair, as a factor",
        .def = "10000",
        .type = ARG_NUM,
        .offset = offsetof(struct rope_args, base),
        .lo = 1,
        .hi = 1e9},
    {.name = "back", .help = "turns back", .def = "false", .type = ARG_BOOL, .offset = offsetof(struct rope_args, back)}, {0}};
static const struct arg l2_arg[] = {
    {.name = "eps", .help = "the least length", .def = "1e-12", .type = ARG_NUM, .offset = offsetof(struct l2_args, eps), .lo = 0, .hi = 1}, {0}};
static const struct sample embed_samples[] = {
    {NULL, "i(T0)[0,4] f(5,3) o(T0)"}, {"start=2", "i(T0)[0,2] f(3,7) o(T0) f(9,7) f(2,7)"}, {NULL, "i(T0)[-1,10] f(11,33) o(T0) f(3,33)"}, {0}};
static const struct sample egrad_samples[] = {
    {NULL, "f(T0,3) o(T0) f(5,3)"}, {"start=2", "f(T0,7) o(T0) f(11,7)"}, {"start=-1", "f(T0,97) o(T0) f(2,97)"}, {0}};
static const struct sample first_samples[] = {{NULL, "f(T0,3) o(T0)"}, {NULL, "f(T0,33) o(T0)"}, {0}};
static const struct sample fgrad_samples[] = {{NULL, "f(R,3) o(T0) c(T0,3)"}, {NULL, "f(R,33) o(T0) c(T0,33)"}, {0}};
static const struct sample rope_samples[] = {
    {"heads=2", "f(T0,24) o(T0)"}, {"heads=1 base=100 back=true", "f(T0,18) o(T0)"}, {"heads=3", "f(T0,36) o(T0)"}, {0}};
static const struct sample l2_samples[] = {{NULL, "f(R,4)"}, {NULL, "f(R,3,5)"}, {NULL, "f(R,33)"}, {0}};
static const struct sample l2g_samples[] = {{NULL, "f(R,4) c(R)[0.5,2] f(R,4) > 0"}, {NULL, "f(R,3,5) c(R,3)[0.5,2] f(R,3,5) > 0"}, {0}};

#define OP_ROW(n, h, lo, hi, outs, ...) const struct op ISA(op_##n) = {.kind = {.name = #n, .help = h, __VA_ARGS__}, .in_min = lo, .in_max = hi, .n_out = outs,
OP_ROW(embed, "sum of the vectors of word, position and type", 3, 5, 1, .args = embed_arg, .size = sizeof(struct embed_args)).shape = embed_shape,
                                                                                                                 .grad = embed_grad, .ref = embed_ref,
                                                                                                                 .tiles = token_tiles, .run = embed_run,
                                                                                                                 .samples = embed_samples
}
;
OP_ROW(embed_grad, "gradient of embed to its positions or types", 3, 3, 1, .args = embed_arg, .size = sizeof(struct embed_args)).shape = egrad_shape,
                                                                                                                    .ref = egrad_ref, .tiles = egrad_tiles,
                                                                                                                    .run = egrad_run, .samples = egrad_samples
}
;
OP_ROW(first_token, "the first token of each text", 2, 2, 1, .args = NULL).shape = first_shape, .grad = first_grad, .ref = first_ref, .run = first_run,
                                                                     .samples = first_samples
}
;
OP_ROW(first_token_grad, "gradient of first_token", 3, 3, 1, .args = NULL).shape = fgrad_shape, .ref = fgrad_ref, .tiles = token_tiles, .run = fgrad_run,
                                                                     .samples = fgrad_samples
}
;
OP_ROW(rope, "rotates queries and keys by their position", 2, 2, 1, .args = rope_arg, .size = sizeof(struct rope_args)).flags = OP_INPLACE, .shape = rope_shape,
                                                                                                            .grad = rope_grad, .ref = rope_ref,
                                                                                                            .tiles = token_tiles, .run = rope_run,
                                                                                                            .samples = rope_samples
}
;
OP_ROW(l2_norm, "each row scaled to length 1", 1, 1, 2, .args = l2_arg, .size = sizeof(struct l2_args)).flags = OP_LAYER, .shape = l2_shape, .grad = l2_grad,
                                                                                              .ref = l2_ref, .tiles = l2_tiles, .run = l2_run,
                                                                                              .samples = l2_samples
}
;
OP_ROW(l2_norm_grad, "gradient of l2_norm", 3, 3, 1, .args = NULL).shape = l2g_shape, .ref = l2g_ref, .tiles = l2_tiles, .run = l2g_run, .samples = l2g_samples
}
;
