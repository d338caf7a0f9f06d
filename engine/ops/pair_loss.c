/* Losses of pairs of vectors. Each gives (sum, rows).
 * cosine_loss (torch.nn.CosineEmbeddingLoss): of a pair that belongs together 1 - cos, of one that does not max(0, cos - margin);
 * cos = x.y / sqrt((x.x + e)(y.y + e)), e = 1e-12. Marks (..) of 1 and -1 say which; without them all belong together.
 * contrastive (InfoNCE: van den Oord et al. 2018; symmetric: Radford et al. 2021): s_ij = a_i . b_j / temperature, row loss = log sum_j exp s_ij - s_ii,
 * symmetric the mean with the same over columns. Row and column sums (R) are outputs, so that the gradients make s again in pieces of ROWS x COLS: nothing
 * of R x R is kept. */
#include <string.h>

#include "engine/cpu/gemm.h"
#include "engine/ops/kit.h"
#include "engine/ops/math.h"

#define WORK 8192
#define ROWS 32
#define COLS 64
#define EPS 1e-12

/* ---- cosine_loss: (x (.., n), y (.., n), marks (..) or none) */
struct cos_args {
    double margin;
};

static bool vectors(const struct shaping *s, int mark) {
    const struct tensor *x = s->in[0], *m = mark < s->n_in ? s->in[mark] : NULL;
    return kit_float(s, 0) && kit_float(s, 1) && x->ndim >= 1 && kit_same(x, s->in[1]) && (!m || (kit_float(s, mark) && m->ndim == x->ndim - 1));
}
static int cos_shape(struct shaping *s, struct err *e) {
    if (!vectors(s, 2) || !kit_sums(s, s->in[0], WORK))
        return err_set(e, "needs two tensors of vectors (.., n) of one shape and optionally a mark for each pair");
    return 0;
}
static int cos_grad_shape(struct shaping *s, struct err *e) {
    if (!vectors(s, 3) || !kit_float(s, 2)) return err_set(e, "needs two tensors of vectors of one shape and the gradient of the sum");
    kit_like(&s->out[0], s->in[0]);
    kit_like(&s->out[1], s->in[1]);
    s->n_out = 2;
    return 0;
}
static int cos_grad(struct graph *g, const struct node *n, const tid *dout, tid *din, struct err *e) {
    struct node k = *n;
    tid in[] = {k.in[0], k.in[1], dout[0], k.n_in > 2 ? k.in[2] : -1}, out[2];
    if (kit_add_take(g, "cosine_loss_grad", args_to_val(&k.op->kind, k.attr), in, k.n_in > 2 ? 4 : 3, out, e) < 0) return -1;
    din[0] = out[0], din[1] = out[1];
    return 0;
}
static double pair_loss(const struct exec *x, double cos, double mark, double *slope) {
    double margin = ((const struct cos_args *)x->attr)->margin;
    if (mark > 0) return *slope = -1, 1 - cos;
    return *slope = cos > margin, cos > margin ? cos - margin : cos != cos ? cos : 0;
}
static double cos_ref_of(const struct exec *x, int64_t at, int64_t n, double *xx, double *yy) {
    double xy = 0;
    *xx = *yy = EPS;
    for (int64_t i = at; i < at + n; i++) {
        double a = view_get(&x->in[0], i), b = view_get(&x->in[1], i);
        xy += a * b, *xx += a * a, *yy += b * b;
    }
    return xy / sqrt(*xx * *yy);
}
static void cos_ref(const struct exec *x) {
    int64_t n = kit_last(&x->in[0]);
    double sum = 0, xx, yy, slope;
    for (int64_t r = 0; r < kit_rows(&x->in[0]); r++)
        sum += pair_loss(x, cos_ref_of(x, r * n, n, &xx, &yy), kit_has(x, 2) ? view_get(&x->in[2], r) : 1, &slope);
    view_put(&x->out[0], 0, sum);
    view_put(&x->out[1], 0, (double)kit_rows(&x->in[0]));
}
static void cos_grad_ref(const struct exec *x) {
    int64_t n = kit_last(&x->in[0]);
    double xx, yy, slope;
    for (int64_t r = 0; r < kit_rows(&x->in[0]); r++) {
        double c = cos_ref_of(x, r * n, n, &xx, &yy), both = sqrt(xx * yy);
        pair_loss(x, c, kit_has(x, 3) ? view_get(&x->in[3], r) : 1, &slope);
        slope *= view_get(&x->in[2], 0);
        for (int64_t i = r * n; i < (r + 1) * n; i++) {
            double a = view_get(&x->in[0], i), b = view_get(&x->in[1], i);
            view_put(&x->out[0], i, slope * (b / both - c * a / xx));
            view_put(&x->out[1], i, slope * (a / both - c * b / yy));
        }
    }
}
static float cos_of(const float *a, const float *b, int64_t n, float *xx, float *yy) {
    float xy = 0, x = (float)EPS, y = (float)EPS;
#pragma omp simd reduction(+ : xy, x, y)
    for (int64_t i = 0; i < n; i++) xy += a[i] * b[i], x += a[i] * a[i], y += b[i] * b[i];
    *xx = x, *yy = y;
    return xy / sqrtf(x) / sqrtf(y);
}
static int64_t cos_tiles(const struct exec *x) { return kit_max(1, kit_tiles(kit_rows(&x->in[0]), kit_grain(WORK, kit_last(&x->in[0])))); }
static void cos_run(const struct exec *x, int64_t lo, int64_t hi) {
    int64_t n = kit_last(&x->in[0]), grain = kit_grain(WORK, n);
    const float *a = x->in[0].data, *b = x->in[1].data, *mark = kit_has(x, 2) ? x->in[2].data : NULL;
    for (int64_t t = lo; t < hi; t++) {
        double sum = 0, slope;
        float xx, yy;
        for (int64_t r = t * grain; r < kit_min(kit_rows(&x->in[0]), (t + 1) * grain); r++)
            sum += pair_loss(x, (double)cos_of(a + r * n, b + r * n, n, &xx, &yy), mark ? (double)mark[r] : 1, &slope);
        ((double *)x->scratch)[t] = sum;
    }
}
static void cos_finish(const struct exec *x) {
    double sum = 0;
    for (int64_t t = 0; t < cos_tiles(x); t++) sum += ((double *)x->scratch)[t];
    view_put(&x->out[0], 0, sum);
    view_put(&x->out[1], 0, (double)kit_rows(&x->in[0]));
}
static void cos_grad_run(const struct exec *x, int64_t lo, int64_t hi) {
    int64_t n = kit_last(&x->in[0]), grain = kit_grain(WORK, n);
    const float *mark = kit_has(x, 3) ? x->in[3].data : NULL;
    for (int64_t r = lo * grain; r < kit_min(kit_rows(&x->in[0]), hi * grain); r++) {
        const float *a = (const float *)x->in[0].data + r * n, *b = (const float *)x->in[1].data + r * n;
        float *da = (float *)x->out[0].data + r * n, *db = (float *)x->out[1].data + r * n, xx, yy, c = cos_of(a, b, n, &xx, &yy);
        double slope;
        pair_loss(x, (double)c, mark ? (double)mark[r] : 1, &slope);
        float d = (float)slope * *(const float *)x->in[2].data, k = d / sqrtf(xx) / sqrtf(yy), ka = d * c / xx, kb = d * c / yy;
#pragma omp simd
        for (int64_t i = 0; i < n; i++) {
            float p = a[i], q = b[i];
            da[i] = k * q - ka * p;
            db[i] = k * p - kb * q;
        }
    }
}

/* ---- contrastive: (a (R, n), b (R, n)) -> sum, rows, row sums (R), column sums (R) as logarithms */
struct nce_args {
    double temperature;
    bool symmetric;
};

static bool towers(const struct shaping *s) {
    return kit_float(s, 0) && kit_float(s, 1) && s->in[0]->ndim == 2 && kit_same(s->in[0], s->in[1]) && s->in[0]->dim[1].axis == AXIS_ONE;
}
static int nce_shape(struct shaping *s, struct err *e) {
    if (!towers(s)) return err_set(e, "needs two tensors of vectors (R, n) of one shape");
    for (int i = 0; i < 4; i++) {
        kit_one(&s->out[i], s->in[0]->dtype);
        if (i > 1) s->out[i].ndim = 1, s->out[i].dim[0] = s->in[0]->dim[0];
    }
    s->scratch = (struct dim){2 * (int64_t)sizeof(float) * s->in[0]->dim[0].k, s->in[0]->dim[0].axis}; /* loss of each row, of each column */
    s->scratch_fixed = 64;
    s->n_out = 4;
    return 0;
}
static int nce_grad_shape(struct shaping *s, struct err *e) {
    if (!towers(s) || !kit_float(s, 2) || !kit_float(s, 3) || !kit_float(s, 4))
        return err_set(e, "needs two tensors of vectors (R, n), their row and column sums and the gradient of the sum");
    kit_like(&s->out[0], s->in[0]);
    kit_like(&s->out[1], s->in[1]);
    s->n_out = 2;
    return 0;
}
static int nce_grad(struct graph *g, const struct node *n, const tid *dout, tid *din, struct err *e) {
    struct node k = *n;
    tid in[] = {k.in[0], k.in[1], k.out[2], k.out[3], dout[0]}, out[2];
    if (kit_add_take(g, "contrastive_grad", args_to_val(&k.op->kind, k.attr), in, 5, out, e) < 0) return -1;
    din[0] = out[0], din[1] = out[1];
    return 0;
}
static double dot_ref(const struct exec *x, int64_t i, int64_t j) {
    int64_t n = x->in[0].n[1];
    double s = 0;
    for (int64_t k = 0; k < n; k++) s += view_get(&x->in[0], i * n + k) * view_get(&x->in[1], j * n + k);
    return s / ((const struct nce_args *)x->attr)->temperature;
}
static void nce_ref(const struct exec *x) {
    int64_t rows = x->in[0].n[0], both = ((const struct nce_args *)x->attr)->symmetric;
    double sum = 0;
    for (int64_t i = 0; i < rows; i++)
        for (int side = 0; side < 2; side++) {
            double m = -INFINITY, s = 0;
            for (int64_t j = 0; j < rows; j++) m = fmax(m, side ? dot_ref(x, j, i) : dot_ref(x, i, j));
            for (int64_t j = 0; j < rows; j++) s += exp((side ? dot_ref(x, j, i) : dot_ref(x, i, j)) - m);
            view_put(&x->out[2 + side], i, m + log(s));
            if (both || !side) sum += (m - dot_ref(x, i, i) + log(s)) / (both ? 2 : 1);
        }
    view_put(&x->out[0], 0, sum);
    view_put(&x->out[1], 0, (double)rows);
}
/* d loss / d s_ij times the temperature's share */
static double weight_ref(const struct exec *x, int64_t i, int64_t j) {
    const struct nce_args *a = x->attr;
    double s = dot_ref(x, i, j), w = exp(s - view_get(&x->in[2], i));
    if (a->symmetric) w = (w + exp(s - view_get(&x->in[3], j))) / 2;
    return (w - (i == j)) * view_get(&x->in[4], 0) / a->temperature;
}
static void nce_grad_ref(const struct exec *x) {
    int64_t rows = x->in[0].n[0], n = x->in[0].n[1];
    for (int64_t i = 0; i < rows * n; i++) view_put(&x->out[0], i, 0), view_put(&x->out[1], i, 0);
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < rows; j++) {
            double w = weight_ref(x, i, j);
            for (int64_t k = 0; k < n; k++) {
                view_put(&x->out[0], i * n + k, view_get(&x->out[0], i * n + k) + w * view_get(&x->in[1], j * n + k));
                view_put(&x->out[1], j * n + k, view_get(&x->out[1], j * n + k) + w * view_get(&x->in[0], i * n + k));
            }
        }
}
/* Tiles: ROWS rows of a against all b, then ROWS rows of b against all a. */
static int64_t nce_tiles(const struct exec *x) { return 2 * kit_tiles(x->in[0].n[0], ROWS); }
struct piece {
    const float *own, *other;
    int side;
    int64_t from, n, rows, width;
    float k;
};
static struct piece piece_of(const struct exec *x, int64_t tile) {
    int64_t rows = x->in[0].n[0], half = kit_tiles(rows, ROWS), from = tile % half * ROWS;
    int side = tile >= half;
    return (struct piece){x->in[side].data, x->in[!side].data, side, from, kit_min(ROWS, rows - from), rows, x->in[0].n[1],
        (float)(1 / ((const struct nce_args *)x->attr)->temperature)};
}
static int64_t scores(const struct piece *p, int64_t j, float *s) { /* (n, COLS) of columns j.. */
    int64_t cols = kit_min(COLS, p->rows - j);
    gemm_f32(false, true, p->n, cols, p->width, p->k, p->own + p->from * p->width, p->width, p->other + j * p->width, p->width, 0, s, COLS);
    return cols;
}
static void nce_run(const struct exec *x, int64_t lo, int64_t hi) {
    float s[ROWS * COLS];
    for (int64_t t = lo; t < hi; t++) {
        struct piece p = piece_of(x, t);
        float top[ROWS], sum[ROWS] = {0}, self[ROWS] = {0};
        for (int64_t i = 0; i < p.n; i++) top[i] = -INFINITY;
        for (int64_t j = 0; j < p.rows; j += COLS) {
            int64_t cols = scores(&p, j, s);
            for (int64_t i = 0; i < p.n; i++) {
                float m = top[i], add = 0;
                const float *v = s + i * COLS;
                for (int64_t c = 0; c < cols; c++) m = v[c] > m || v[c] != v[c] ? v[c] : m;
#pragma omp simd reduction(+ : add)
                for (int64_t c = 0; c < cols; c++) add += math_exp(v[c] - m);
                sum[i] = add + (sum[i] > 0 ? sum[i] * math_exp(top[i] - m) : 0);
                top[i] = m;
                if (p.from + i >= j && p.from + i < j + cols) self[i] = v[p.from + i - j];
            }
        }
        for (int64_t i = 0; i < p.n; i++) {
            ((float *)x->out[2 + p.side].data)[p.from + i] = top[i] + logf(sum[i]);
            ((float *)x->scratch)[p.side * p.rows + p.from + i] = top[i] - self[i] + logf(sum[i]); /* exact where a vector is sure of its partner */
        }
    }
}
static void nce_finish(const struct exec *x) {
    int64_t rows = x->in[0].n[0], both = ((const struct nce_args *)x->attr)->symmetric;
    const float *loss = x->scratch;
    double sum = 0;
    for (int64_t i = 0; i < (both ? 2 : 1) * rows; i++) sum += (double)loss[i] / (both ? 2 : 1);
    view_put(&x->out[0], 0, sum);
    view_put(&x->out[1], 0, (double)rows);
}
static void nce_grad_run(const struct exec *x, int64_t lo, int64_t hi) {
    float s[ROWS * COLS];
    bool both = ((const struct nce_args *)x->attr)->symmetric;
    for (int64_t t = lo; t < hi; t++) {
        struct piece p = piece_of(x, t);
        const float *own = (const float *)x->in[2 + p.side].data + p.from, *other = x->in[3 - p.side].data;
        float *y = (float *)x->out[p.side].data + p.from * p.width, d = *(const float *)x->in[4].data * p.k;
        float w_own = both ? 0.5f : p.side ? 0 : 1, w_other = both ? 0.5f : p.side ? 1 : 0;
        for (int64_t j = 0; j < p.rows; j += COLS) {
            int64_t cols = scores(&p, j, s);
            for (int64_t i = 0; i < p.n; i++) {
                float *v = s + i * COLS;
#pragma omp simd
                for (int64_t c = 0; c < cols; c++)
                    v[c] = d * ((w_own > 0 ? w_own * math_exp(v[c] - own[i]) : 0) + (w_other > 0 ? w_other * math_exp(v[c] - other[j + c]) : 0));
                if (p.from + i >= j && p.from + i < j + cols) v[p.from + i - j] -= d;
            }
            gemm_f32(false, false, p.n, p.width, cols, 1, s, COLS, p.other + j * p.width, p.width, j > 0, y, p.width);
        }
    }
}
static void nce_cost(const struct exec *x, struct cost *c) { c->flop = 4.0 * (double)x->in[0].len * (double)x->in[0].n[0]; }
static void nce_grad_cost(const struct exec *x, struct cost *c) { c->flop = 8.0 * (double)x->in[0].len * (double)x->in[0].n[0]; }

static const struct arg cos_arg[] = {{.name = "margin",
                                         .help = "cosine up to which a pair that does not belong together costs nothing",
                                         .def = "0",
                                         .type = ARG_NUM,
                                         .offset = offsetof(struct cos_args, margin),
                                         .lo = -1,
                                         .hi = 1},
    {0}};
static const struct arg nce_arg[] = {{.name = "temperature",
                                         .help = "products are divided by it",
                                         .def = "0.07",
                                         .type = ARG_NUM,
                                         .offset = offsetof(struct nce_args, temperature),
                                         .lo = 1e-3,
                                         .hi = 1e3},
    {.name = "symmetric",
        .help = "both ways: the mean over rows and columns",
        .def = "false",
        .type = ARG_BOOL,
        .offset = offsetof(struct nce_args, symmetric)},
    {0}};
static const struct sample cos_samples[] = {{NULL, "f(R,4) f(R,4)"}, {"margin=-0.9", "f(R,3,33) f(R,3,33) c(R,3)"}, {"margin=0.5", "f(R,5) f(R,5) c(R)"}, {0}};
static const struct sample cos_grad_samples[] = {{NULL, "f(R,4) f(R,4) s(0.5)"}, {"margin=-0.9", "f(R,33) f(R,33) s(1) c(R)"}, {0}};
static const struct sample nce_samples[] = {
    {"temperature=0.5", "f(R,4) f(R,4)"}, {"temperature=2 symmetric=true", "f(R,33) f(R,33)"}, {NULL, "f(R,3) f(R,3)"}, {0}};
static const struct sample nce_grad_samples[] = {
    {"temperature=0.5", "f(R,4) f(R,4) c(R)[1,2] c(R)[1,2] s(0.5)"}, {"temperature=2 symmetric=true", "f(R,33) f(R,33) c(R)[1,2] c(R)[1,2] s(1)"}, {0}};

#define ROW(n, h, lo, hi, outs, args_, T, ...) \
    const struct op ISA(op_##n) = {            \
        .kind = {.name = #n, .help = h, .args = args_, .size = sizeof(struct T)}, .in_min = lo, .in_max = hi, .n_out = outs, __VA_ARGS__};
ROW(cosine_loss, "loss of the angle between pairs: sum and rows", 2, 3, 2, cos_arg, cos_args, .shape = cos_shape, .grad = cos_grad, .ref = cos_ref,
    .tiles = cos_tiles, .run = cos_run, .finish = cos_finish, .samples = cos_samples)
ROW(cosine_loss_grad, "gradients of cosine_loss", 3, 4, 2, cos_arg, cos_args, .shape = cos_grad_shape, .ref = cos_grad_ref, .tiles = cos_tiles,
    .run = cos_grad_run, .samples = cos_grad_samples)
ROW(contrastive, "each vector must pick its partner among those of the batch: sum and rows", 2, 2, 4, nce_arg, nce_args, .shape = nce_shape, .grad = nce_grad,
    .cost = nce_cost, .ref = nce_ref, .tiles = nce_tiles, .run = nce_run, .finish = nce_finish, .samples = nce_samples)
ROW(contrastive_grad, "gradients of contrastive", 5, 5, 2, nce_arg, nce_args, .shape = nce_grad_shape, .cost = nce_grad_cost, .ref = nce_grad_ref,
    .tiles = nce_tiles, .run = nce_grad_run, .samples = nce_grad_samples)
