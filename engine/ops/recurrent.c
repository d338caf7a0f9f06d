/* Recurrent cells over packed texts: LSTM (Hochreiter and Schmidhuber 1997) and GRU (Cho et al. 2014) with the gates and the order of PyTorch:
 *   lstm  i f g o: c = f c' + i g, h = o tanh(c)            gru  r z n: n = tanh(x_n + r (W_n h' + b_n)), h = (1 - z) n + z h'
 * Inputs: offsets (R+1), then for each of one or two directions the products of the tokens with the input weights (T, G H), weight (G H, H) and bias (G H)
 * or none; the second direction reads each text from its end. Outputs: h (T, D H), the gates (T, D 4 H) (gru: r z n and W_n h' + b_n) and, lstm only, c
 * (T, D H). Nothing is padded: the texts of a tile are sorted by length and a step multiplies the rows still alive with the packed weight. A tile is a
 * direction of a group of texts, dealt in turn from longest to shortest; the cut depends on the shape alone. The gradients give what the products with x and
 * h need: (T, G H) each, and h' (T, H). */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/ops/kit.h"
#include "engine/ops/math.h"
#include "engine/ops/packed.h"

#define GROUP 48 /* texts a tile of two directions; half of it with one */

struct rnn {
    int64_t dirs, h, g, rows, groups;
    const int32_t *off;
}; /* h units, g gates with weights: 4 lstm, 3 gru */

static struct rnn rnn_of(const struct exec *x, const struct view *y, int64_t g) {
    struct rnn r = {.g = g, .h = x->in[x->n_in > 4 ? 5 : 2].n[1], .rows = x->in[0].len - 1, .off = x->in[0].data};
    r.dirs = r.h ? kit_last(y) / r.h : 1;
    r.groups = kit_max(1, (r.rows * 2 / kit_max(1, r.dirs) + GROUP - 1) / GROUP);
    return r;
}
static int64_t token(const struct rnn *r, int64_t dir, int64_t row, int64_t step) { return dir ? r->off[row + 1] - 1 - step : r->off[row] + step; }
static int64_t length(const struct rnn *r, int64_t row) { return r->off[row + 1] - r->off[row]; }

/* ---- shapes */
static void ragged(struct tensor *t, const struct tensor *like, int64_t width) {
    kit_like(t, like);
    t->ndim = 2;
    t->dim[1] = (struct dim){width, AXIS_ONE};
}
static bool direction_ok(const struct shaping *s, int i, int64_t g, int64_t h) {
    const struct tensor *x = s->in[i], *w = s->in[i + 1], *b = i + 2 < s->n_in ? s->in[i + 2] : NULL;
    return kit_float(s, i) && kit_float(s, i + 1) && x->ndim == 2 && x->dim[0].axis >= AXIS_T0 && w->ndim == 2 && w->dim[1].k == h && w->dim[0].k == g * h &&
           dim_same(x->dim[1], w->dim[0]) && (!b || (b->ndim == 1 && dim_same(b->dim[0], w->dim[0])));
}
static void room(struct shaping *s, int64_t dirs, int64_t h, int64_t g) { /* keys, packed weights, per text: state, carried, products */
    s->scratch_fixed = (size_t)dirs * sizeof(float) * (ISA(packed_size)(h, g * h) + ISA(packed_size)(g * h, h) + 4 * (size_t)h + 64) + 256;
    s->scratch = (struct dim){8 + dirs * 4 * (g + 2) * h, AXIS_R};
}
static int cell_shape(struct shaping *s, int64_t g, struct err *e) {
    const struct tensor *x = s->in[1];
    int64_t dirs = s->n_in > 4 ? 2 : 1, h = s->in[2]->ndim == 2 ? s->in[2]->dim[1].k : 0;
    if (!kit_int(s, 0) || s->in[0]->ndim != 1 || s->in[0]->dim[0].axis != AXIS_R1 || h < 1 || !direction_ok(s, 1, g, h) ||
        (dirs == 2 && (s->n_in < 6 || !direction_ok(s, 4, g, h))))
        return err_set(e, "needs offsets (R+1) and, a direction, products (T, %lld h), weight (%lld h, h) and optionally bias (%lld h)", (long long)g,
            (long long)g, (long long)g);
    ragged(&s->out[0], x, dirs * h);
    ragged(&s->out[1], x, dirs * 4 * h);
    ragged(&s->out[2], x, dirs * h);
    s->n_out = g == 4 ? 3 : 2;
    room(s, dirs, h, g);
    return 0;
}
static int lstm_shape(struct shaping *s, struct err *e) { return cell_shape(s, 4, e); }
static int gru_shape(struct shaping *s, struct err *e) { return cell_shape(s, 3, e); }

/* (offsets, dy, y, gates, c or the gates again, weight, weight 2 or none) -> for each direction: lstm dz, h'; gru dx, dg, h' */
static int back_shape(struct shaping *s, int64_t g, struct err *e) {
    const struct tensor *y = s->in[2], *w = s->n_in > 5 ? s->in[5] : NULL;
    if (!kit_int(s, 0) || !kit_float(s, 1) || !kit_float(s, 2) || !kit_same(s->in[1], y) || y->ndim != 2 || !w || w->ndim != 2 ||
        w->dim[0].k != g * w->dim[1].k)
        return err_set(e, "needs offsets, the gradient of h, h, gates, c and the weight of each direction");
    int64_t h = w->dim[1].k, dirs = y->dim[1].k / h, per = g == 4 ? 2 : 3;
    if (dirs * h != y->dim[1].k || dirs != s->n_in - 5 || s->in[3]->dim[1].k != dirs * 4 * h)
        return err_set(e, "h and gates do not have the width of the weights");
    for (int64_t d = 0; d < dirs; d++)
        for (int64_t k = 0; k < per; k++) ragged(&s->out[d * per + k], y, k + 1 < per ? g * h : h);
    s->n_out = (int)(dirs * per);
    room(s, dirs, h, g);
    return 0;
}
static int lstm_back_shape(struct shaping *s, struct err *e) { return back_shape(s, 4, e); }
static int gru_back_shape(struct shaping *s, struct err *e) { return back_shape(s, 3, e); }

static int cell_grad(struct graph *g, const struct node *n, const char *op, int per, const tid *dout, tid *din, struct err *e) {
    struct node k = *n;
    tid in[] = {k.in[0], dout[0], k.out[0], k.out[1], k.out[per == 2 ? 2 : 1], k.in[2], k.in[5]}, out[OP_OUT];
    if (graph_add(g, op, NULL, in, k.n_in > 4 ? 7 : 6, out, e) < 0) return -1;
    for (int d = 0; d < (k.n_in > 4 ? 2 : 1); d++) {
        tid *o = out + d * per;
        int at = 1 + 3 * d;
        din[at] = o[0];
        if (kit_needs(g, k.in[at + 1]) && (din[at + 1] = graph_add2(g, "linear_dw", o[per - 2], o[per - 1], e)) < 0) return -1;
        if (at + 2 < k.n_in && kit_needs(g, k.in[at + 2]) && (din[at + 2] = graph_add1(g, "colsum", o[per - 2], e)) < 0) return -1;
    }
    return 0;
}
static int lstm_grad(struct graph *g, const struct node *n, const tid *dout, tid *din, struct err *e) { return cell_grad(g, n, "lstm_grad", 2, dout, din, e); }
static int gru_grad(struct graph *g, const struct node *n, const tid *dout, tid *din, struct err *e) { return cell_grad(g, n, "gru_grad", 3, dout, din, e); }

static void fwd_cost(const struct exec *x, struct cost *c) {
    c->macs = (double)x->in[1].n[0] * (double)x->in[2].len * (x->n_in > 4 ? 2 : 1);
    c->flop = 2 * c->macs;
}
static void back_cost(const struct exec *x, struct cost *c) {
    c->macs = (double)x->in[2].n[0] * (double)x->in[5].len * (x->n_in > 6 ? 2 : 1);
    c->flop = 2 * c->macs;
}

/* ---- reference */
static double sig(double v) { return 1 / (1 + exp(-v)); }
static double hidden(const struct exec *x, const struct rnn *r, int64_t d, int64_t gate, int64_t j,
    int64_t before) { /* (W h' + b) of a gate's unit; before: token of h', -1: zeros */
    int64_t row = gate * r->h + j;
    int in = 1 + 3 * (int)d;
    double s = kit_has(x, in + 2) ? view_get(&x->in[in + 2], row) : 0;
    for (int64_t i = 0; before >= 0 && i < r->h; i++)
        s += view_get(&x->in[in + 1], row * r->h + i) * view_get(&x->out[0], before * r->dirs * r->h + d * r->h + i);
    return s;
}
static void unit_ref(const struct exec *x, const struct rnn *r, int64_t d, int64_t j, int64_t t, int64_t before) {
    int64_t h = r->h, at = t * r->dirs * h + d * h + j, ga = t * r->dirs * 4 * h + d * 4 * h + j;
    double z[4] = {0}, q = 0;
    for (int64_t k = 0; k < r->g; k++) z[k] = hidden(x, r, d, k, j, before);
    if (r->g == 3) q = z[2];
    for (int64_t k = 0; k < r->g; k++) {
        double v = view_get(&x->in[1 + 3 * d], t * r->g * h + k * h + j) + (r->g == 3 && k == 2 ? z[0] * q : z[k]);
        z[k] = k == 2 ? tanh(v) : sig(v);
        view_put(&x->out[1], ga + k * h, z[k]);
    }
    if (r->g == 3) {
        view_put(&x->out[1], ga + 3 * h, q);
        view_put(&x->out[0], at, (1 - z[1]) * z[2] + z[1] * (before < 0 ? 0 : view_get(&x->out[0], before * r->dirs * h + d * h + j)));
        return;
    }
    double c = z[1] * (before < 0 ? 0 : view_get(&x->out[2], before * r->dirs * h + d * h + j)) + z[0] * z[2];
    view_put(&x->out[2], at, c);
    view_put(&x->out[0], at, z[3] * tanh(c));
}
static void fwd_ref(const struct exec *x, int64_t g) {
    struct rnn r = rnn_of(x, &x->out[0], g);
    for (int64_t d = 0; d < r.dirs; d++)
        for (int64_t row = 0; row < r.rows; row++)
            for (int64_t s = 0; s < length(&r, row); s++)
                for (int64_t j = 0; j < r.h; j++) unit_ref(x, &r, d, j, token(&r, d, row, s), s ? token(&r, d, row, s - 1) : -1);
}
static void lstm_ref(const struct exec *x) { fwd_ref(x, 4); }
static void gru_ref(const struct exec *x) { fwd_ref(x, 3); }

/* One unit of one token; dh: gradient of its h; keep: in, dc carried back (lstm); out, what goes straight to h' (gru) or c' (lstm). */
static void unit_back(const struct exec *x, const struct rnn *r, int64_t d, int64_t j, int64_t t, int64_t before, double dh, double *keep) {
    int64_t h = r->h, at = t * r->dirs * h + d * h + j, ga = t * r->dirs * 4 * h + d * 4 * h + j, o = t * r->g * h + j, per = r->g == 4 ? 2 : 3,
            old = before * r->dirs * h + d * h + j;
    const struct view *out = &x->out[d * per];
    double a[4];
    for (int k = 0; k < 4; k++) a[k] = view_get(&x->in[3], ga + k * h);
    double was = before < 0 ? 0 : view_get(&x->in[2], old);
    view_put(&out[per - 1], t * h + j, was);
    if (r->g == 3) {
        double dn = dh * (1 - a[1]) * (1 - a[2] * a[2]), dz = dh * (was - a[2]) * a[1] * (1 - a[1]), dr = dn * a[3] * a[0] * (1 - a[0]);
        for (int k = 0; k < 2; k++) view_put(&out[k], o, dr), view_put(&out[k], o + h, dz), view_put(&out[k], o + 2 * h, k ? dn * a[0] : dn);
        *keep = dh * a[1];
        return;
    }
    double tc = tanh(view_get(&x->in[4], at)), dc = *keep + dh * a[3] * (1 - tc * tc), c = before < 0 ? 0 : view_get(&x->in[4], old);
    view_put(out, o, dc * a[2] * a[0] * (1 - a[0]));
    view_put(out, o + h, dc * c * a[1] * (1 - a[1]));
    view_put(out, o + 2 * h, dc * a[0] * (1 - a[2] * a[2]));
    view_put(out, o + 3 * h, dh * tc * a[3] * (1 - a[3]));
    *keep = dc * a[1];
}
static void back_ref(const struct exec *x, int64_t g) {
    struct rnn r = rnn_of(x, &x->in[2], g);
    double *keep = x->scratch, *carry = keep + r.h;
    int64_t per = g == 4 ? 2 : 3;
    for (int64_t d = 0; d < r.dirs; d++)
        for (int64_t row = 0; row < r.rows; row++) {
            memset(keep, 0, 2 * (size_t)r.h * sizeof(double));
            for (int64_t s = length(&r, row) - 1; s >= 0; s--) {
                int64_t t = token(&r, d, row, s);
                const struct view *dg = &x->out[d * per + per - 2], *w = &x->in[5 + d];
                for (int64_t j = 0; j < r.h; j++)
                    unit_back(x, &r, d, j, t, s ? token(&r, d, row, s - 1) : -1,
                        view_get(&x->in[1], t * r.dirs * r.h + d * r.h + j) + carry[j] + (g == 3 ? keep[j] : 0), &keep[j]);
                for (int64_t j = 0; j < r.h; j++) {
                    carry[j] = 0;
                    for (int64_t i = 0; i < g * r.h; i++) carry[j] += view_get(w, i * r.h + j) * view_get(dg, t * g * r.h + i);
                }
            }
        }
}
static void lstm_back_ref(const struct exec *x) { back_ref(x, 4); }
static void gru_back_ref(const struct exec *x) { back_ref(x, 3); }

/* ---- fast: a tile's memory */
struct team {
    int64_t n;
    const uint64_t *key;
    int64_t stride;
    float *state, *keep, *prod;
    const float *packed;
}; /* n texts, the i-th is key[i stride] */
static float *line_up(void *p) { return (float *)(((uintptr_t)p + 63) & ~(uintptr_t)63); }
static int longer(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x < y) - (x > y);
}
static int64_t text(const struct team *m, int64_t i) { return (int64_t)(UINT32_MAX - (uint32_t)m->key[i * m->stride]); }
static int64_t text_length(const struct team *m, int64_t i) { return (int64_t)(m->key[i * m->stride] >> 32); }
static size_t packed_room(const struct rnn *r, bool back) { return (back ? ISA(packed_size)(r->g * r->h, r->h) : ISA(packed_size)(r->h, r->g * r->h)) + 16; }
static void sort_texts(const struct exec *x, const struct rnn *r, bool back) {
    uint64_t *key = x->scratch;
    for (int64_t i = 0; i < r->rows; i++) key[i] = (uint64_t)length(r, i) << 32 | (UINT32_MAX - (uint32_t)i); /* longest first, then in order */
    qsort(key, (size_t)r->rows, sizeof *key, longer);
    float *packed = line_up(key + r->rows);
    for (int64_t d = 0; d < r->dirs; d++, packed += packed_room(r, back)) {
        if (back) ISA(packed_put)(false, x->in[5 + d].data, r->h, r->g * r->h, r->h, packed);
        else ISA(packed_put)(true, x->in[2 + 3 * d].data, r->h, r->h, r->g * r->h, packed);
    }
}
static struct team team_of(const struct exec *x, const struct rnn *r, int64_t tile, bool back) {
    int64_t d = tile / r->groups, g = tile % r->groups, per = r->rows / r->groups, more = r->rows % r->groups, first = d * r->rows + g * per + kit_min(g, more);
    const uint64_t *key = x->scratch;
    float *packed = line_up((void *)(uintptr_t)(key + r->rows)), *mem = packed + (size_t)r->dirs * packed_room(r, back), *keep = mem + r->dirs * r->rows * r->h;
    return (struct team){per + (g < more), key + g, r->groups, mem + first * r->h, keep + first * r->h, keep + r->dirs * r->rows * r->h + first * r->g * r->h,
        packed + (size_t)d * packed_room(r, back)};
}
static int64_t fwd_tiles(const struct exec *x) {
    struct rnn r = rnn_of(x, &x->out[0], 4);
    return r.rows ? r.dirs * r.groups : 0;
}
static int64_t back_tiles(const struct exec *x) {
    struct rnn r = rnn_of(x, &x->in[2], 4);
    return r.rows ? r.dirs * r.groups : 0;
}

/* ---- fast: one token. x: products with the input, z: with the state; a: gates out; *was: c' or h'. */
static void lstm_cell(int64_t h, const float *restrict x, const float *restrict z, const float *restrict was, float *restrict a, float *restrict c,
    float *restrict y, float *restrict state) {
#pragma omp simd
    for (int64_t j = 0; j < h; j++) {
        float i = math_sigmoid(x[j] + z[j]), f = math_sigmoid(x[j + h] + z[j + h]), g = math_tanh(x[j + 2 * h] + z[j + 2 * h]),
              o = math_sigmoid(x[j + 3 * h] + z[j + 3 * h]);
        float v = f * was[j] + i * g, out = o * math_tanh(v);
        a[j] = i, a[j + h] = f, a[j + 2 * h] = g, a[j + 3 * h] = o;
        c[j] = v, y[j] = out, state[j] = out;
    }
}
static void gru_cell(int64_t h, const float *restrict x, const float *restrict z, float *restrict a, float *restrict y, float *restrict state) {
#pragma omp simd
    for (int64_t j = 0; j < h; j++) {
        float r = math_sigmoid(x[j] + z[j]), u = math_sigmoid(x[j + h] + z[j + h]), q = z[j + 2 * h], n = math_tanh(x[j + 2 * h] + r * q),
              out = (1 - u) * n + u * state[j];
        a[j] = r, a[j + h] = u, a[j + 2 * h] = n, a[j + 3 * h] = q;
        y[j] = out, state[j] = out;
    }
}
static void fwd_tile(const struct exec *x, const struct rnn *r, int64_t tile) {
    struct team m = team_of(x, r, tile, false);
    int64_t d = tile / r->groups, h = r->h, gh = r->g * h, wide = r->dirs * h, live = m.n;
    int in = 1 + 3 * (int)d;
    const float *xw = x->in[in].data, *bias = kit_has(x, in + 2) ? x->in[in + 2].data : NULL;
    float *y = (float *)x->out[0].data + d * h, *gates = (float *)x->out[1].data + d * 4 * h, *c = r->g == 4 ? (float *)x->out[2].data + d * h : NULL;
    memset(m.state, 0, (size_t)(m.n * h) * sizeof(float));
    memset(m.keep, 0, (size_t)h * sizeof(float)); /* the c before the first */
    for (int64_t s = 0;; s++) {
        while (live > 0 && text_length(&m, live - 1) <= s) live--;
        if (!live) return;
        if (s) ISA(packed_gemm)(live, gh, h, m.state, h, m.packed, bias, m.prod, gh);
        for (int64_t i = 0; i < live; i++) {
            int64_t row = text(&m, i), t = token(r, d, row, s), old = s ? token(r, d, row, s - 1) : -1;
            float *z = m.prod + i * gh;
            if (!s && bias) memcpy(z, bias, (size_t)gh * sizeof(float));
            else if (!s) memset(z, 0, (size_t)gh * sizeof(float));
            if (r->g == 4) lstm_cell(h, xw + t * gh, z, s ? c + old * wide : m.keep, gates + t * 4 * wide, c + t * wide, y + t * wide, m.state + i * h);
            else gru_cell(h, xw + t * gh, z, gates + t * 4 * wide, y + t * wide, m.state + i * h);
        }
    }
}
static void lstm_begin(const struct exec *x) {
    struct rnn r = rnn_of(x, &x->out[0], 4);
    sort_texts(x, &r, false);
}
static void gru_begin(const struct exec *x) {
    struct rnn r = rnn_of(x, &x->out[0], 3);
    sort_texts(x, &r, false);
}
static void lstm_run(const struct exec *x, int64_t lo, int64_t hi) {
    struct rnn r = rnn_of(x, &x->out[0], 4);
    for (int64_t t = lo; t < hi; t++) fwd_tile(x, &r, t);
}
static void gru_run(const struct exec *x, int64_t lo, int64_t hi) {
    struct rnn r = rnn_of(x, &x->out[0], 3);
    for (int64_t t = lo; t < hi; t++) fwd_tile(x, &r, t);
}

/* ---- fast: backward. dh: carried through the product; keep: as in unit_back. Writes dz in order of the texts and at its token. */
static void lstm_cell_back(int64_t h, const float *restrict a, const float *restrict c, const float *restrict was, const float *restrict dy,
    const float *restrict dh, float *restrict keep, float *restrict dz, float *restrict out) {
#pragma omp simd
    for (int64_t j = 0; j < h; j++) {
        float i = a[j], f = a[j + h], g = a[j + 2 * h], o = a[j + 3 * h], tc = math_tanh(c[j]), d = dy[j] + dh[j], dc = keep[j] + d * o * (1 - tc * tc);
        float di = dc * g * i * (1 - i), df = dc * was[j] * f * (1 - f), dg = dc * i * (1 - g * g), dq = d * tc * o * (1 - o);
        dz[j] = di, dz[j + h] = df, dz[j + 2 * h] = dg, dz[j + 3 * h] = dq;
        out[j] = di, out[j + h] = df, out[j + 2 * h] = dg, out[j + 3 * h] = dq;
        keep[j] = dc * f;
    }
}
static void gru_cell_back(int64_t h, const float *restrict a, const float *restrict was, const float *restrict dy, const float *restrict dh,
    float *restrict keep, float *restrict dz, float *restrict dx, float *restrict out) {
#pragma omp simd
    for (int64_t j = 0; j < h; j++) {
        float r = a[j], z = a[j + h], n = a[j + 2 * h], d = dy[j] + dh[j] + keep[j];
        float dn = d * (1 - z) * (1 - n * n), du = d * (was[j] - n) * z * (1 - z), dr = dn * a[j + 3 * h] * r * (1 - r);
        dx[j] = dr, dx[j + h] = du, dx[j + 2 * h] = dn;
        dz[j] = dr, dz[j + h] = du, dz[j + 2 * h] = dn * r;
        out[j] = dr, out[j + h] = du, out[j + 2 * h] = dn * r;
        keep[j] = d * z;
    }
}
static void back_tile(const struct exec *x, const struct rnn *r, int64_t tile) {
    struct team m = team_of(x, r, tile, true);
    int64_t d = tile / r->groups, h = r->h, gh = r->g * h, wide = r->dirs * h, live = 0, per = r->g == 4 ? 2 : 3;
    const struct view *o = &x->out[d * per];
    const float *dy = (const float *)x->in[1].data + d * h, *y = (const float *)x->in[2].data + d * h, *gates = (const float *)x->in[3].data + d * 4 * h;
    const float *c = r->g == 4 ? (const float *)x->in[4].data + d * h : NULL;
    float *prev = o[per - 1].data, *dg = o[per - 2].data, *dx = o[0].data;
    if (!m.n) return;
    memset(m.state, 0, (size_t)(m.n * h) * sizeof(float));
    memset(m.keep, 0, (size_t)(m.n * h) * sizeof(float));
    for (int64_t s = text_length(&m, 0) - 1; s >= 0; s--) {
        while (live < m.n && text_length(&m, live) > s) live++;
        for (int64_t i = 0; i < live; i++) {
            int64_t row = text(&m, i), t = token(r, d, row, s), old = s ? token(r, d, row, s - 1) : -1;
            float *h0 = prev + t * h, *dz = m.prod + i * gh;
            if (s) memcpy(h0, y + old * wide, (size_t)h * sizeof(float));
            else memset(h0, 0, (size_t)h * sizeof(float));
            if (r->g == 4)
                lstm_cell_back(h, gates + t * 4 * wide, c + t * wide, s ? c + old * wide : h0, dy + t * wide, m.state + i * h, m.keep + i * h, dz, dg + t * gh);
            else gru_cell_back(h, gates + t * 4 * wide, h0, dy + t * wide, m.state + i * h, m.keep + i * h, dz, dx + t * gh, dg + t * gh);
        }
        if (s) ISA(packed_gemm)(live, h, gh, m.prod, gh, m.packed, NULL, m.state, h);
    }
}
static void lstm_back_begin(const struct exec *x) {
    struct rnn r = rnn_of(x, &x->in[2], 4);
    sort_texts(x, &r, true);
}
static void gru_back_begin(const struct exec *x) {
    struct rnn r = rnn_of(x, &x->in[2], 3);
    sort_texts(x, &r, true);
}
static void lstm_back_run(const struct exec *x, int64_t lo, int64_t hi) {
    struct rnn r = rnn_of(x, &x->in[2], 4);
    for (int64_t t = lo; t < hi; t++) back_tile(x, &r, t);
}
static void gru_back_run(const struct exec *x, int64_t lo, int64_t hi) {
    struct rnn r = rnn_of(x, &x->in[2], 3);
    for (int64_t t = lo; t < hi; t++) back_tile(x, &r, t);
}

/* ---- last_state: (x (T, D h), offsets) -> (R, D h): what each direction ends with: the last token, of the second direction the first; zeros for an empty
 * text */
struct last_args {
    int64_t dirs;
};
static int last_shape(struct shaping *s, struct err *e) {
    const struct tensor *x = s->in[0];
    if (!kit_float(s, 0) || !kit_int(s, 1) || x->ndim != 2 || x->dim[0].axis < AXIS_T0 || s->in[1]->ndim != 1 || s->in[1]->dim[0].axis != AXIS_R1 ||
        x->dim[1].k % ((const struct last_args *)s->attr)->dirs)
        return err_set(e, "needs tokens (T, directions h) and offsets (R+1)");
    s->out[0] = (struct tensor){.ndim = 2, .dim = {{1, AXIS_R}, x->dim[1]}, .dtype = x->dtype, .offsets = -1};
    s->n_out = 1;
    return 0;
}
static int last_grad(struct graph *g, const struct node *n, const tid *dout, tid *din, struct err *e) {
    struct node k = *n;
    tid in[] = {dout[0], k.in[1], k.in[0]};
    return (din[0] = kit_add_take(g, "last_state_grad", args_to_val(&k.op->kind, k.attr), in, 3, NULL, e)) < 0 ? -1 : 0;
}
static int64_t end_token(const struct exec *x, int64_t row, int64_t column, int64_t width) { /* -1: an empty text */
    int64_t from = (int64_t)view_get(&x->in[1], row), to = (int64_t)view_get(&x->in[1], row + 1);
    if (from == to) return -1;
    return column / (width / ((const struct last_args *)x->attr)->dirs) ? from : to - 1;
}
static void last_ref(const struct exec *x) {
    int64_t w = kit_last(&x->in[0]);
    for (int64_t i = 0; i < x->out[0].len; i++) {
        int64_t t = end_token(x, i / w, i % w, w);
        view_put(&x->out[0], i, t < 0 ? 0 : view_get(&x->in[0], t * w + i % w));
    }
}
static int last_back_shape(struct shaping *s, struct err *e) {
    if (!kit_float(s, 0) || !kit_int(s, 1) || !kit_float(s, 2) || s->in[0]->ndim != 2 || s->in[2]->ndim != 2 || !dim_same(s->in[0]->dim[1], s->in[2]->dim[1]))
        return err_set(e, "needs a gradient (R, n), offsets (R+1) and the tokens (T, n)");
    kit_like(&s->out[0], s->in[2]);
    s->n_out = 1;
    return 0;
}
static void last_back_ref(const struct exec *x) {
    int64_t w = kit_last(&x->in[0]);
    for (int64_t i = 0; i < x->out[0].len; i++) view_put(&x->out[0], i, 0);
    for (int64_t i = 0; i < x->in[0].len; i++) {
        int64_t t = end_token(x, i / w, i % w, w);
        if (t >= 0) view_put(&x->out[0], t * w + i % w, view_get(&x->in[0], i));
    }
}
static int64_t last_tiles(const struct exec *x) { return kit_tiles(x->in[1].len - 1, 16); }
static void last_run(const struct exec *x, int64_t lo, int64_t hi) { /* 16 texts a tile, each direction's part in one copy */
    int64_t w = kit_last(&x->in[0]), dirs = ((const struct last_args *)x->attr)->dirs, h = w / dirs;
    const int32_t *off = x->in[1].data;
    for (int64_t r = lo * 16; r < kit_min(x->in[1].len - 1, hi * 16); r++)
        for (int64_t d = 0; d < dirs; d++) {
            float *y = (float *)x->out[0].data + r * w + d * h;
            if (off[r] == off[r + 1]) memset(y, 0, (size_t)h * sizeof(float));
            else memcpy(y, (const float *)x->in[0].data + (d ? off[r] : off[r + 1] - 1) * w + d * h, (size_t)h * sizeof(float));
        }
}
static void last_back_run(const struct exec *x, int64_t lo, int64_t hi) {
    int64_t w = kit_last(&x->in[0]), dirs = ((const struct last_args *)x->attr)->dirs, h = w / dirs;
    const int32_t *off = x->in[1].data;
    for (int64_t r = lo * 16; r < kit_min(x->in[1].len - 1, hi * 16); r++) {
        float *dx = x->out[0].data;
        memset(dx + off[r] * w, 0, (size_t)((off[r + 1] - off[r]) * w) * sizeof(float));
        for (int64_t d = 0; d < dirs && off[r] < off[r + 1]; d++)
            memcpy(dx + (d ? off[r] : off[r + 1] - 1) * w + d * h, (const float *)x->in[0].data + r * w + d * h, (size_t)h * sizeof(float));
    }
}

static const struct arg last_arg[] = {
    {.name = "dirs", .help = "directions side by side", .def = "1", .type = ARG_INT, .offset = offsetof(struct last_args, dirs), .lo = 1, .hi = 2}, {0}};
static const struct sample lstm_samples[] = {{NULL, "o(T0) f(T0,12) f(12,3) f(12)"}, {NULL, "o(T0) f(T0,20) f(20,5)"},
    {NULL, "o(T0) f(T0,16) f(16,4) f(16) f(T0,16) f(16,4) f(16)"}, {NULL, "o(T0) f(T0,68)[-3,3] f(68,17) - f(T0,68)[-3,3] f(68,17) -"}, {0}};
static const struct sample gru_samples[] = {{NULL, "o(T0) f(T0,9) f(9,3) f(9)"}, {NULL, "o(T0) f(T0,15) f(15,5)"},
    {NULL, "o(T0) f(T0,12) f(12,4) f(12) f(T0,12) f(12,4) f(12)"}, {NULL, "o(T0) f(T0,51)[-3,3] f(51,17) - f(T0,51)[-3,3] f(51,17) -"}, {0}};
static const struct sample lstm_back_samples[] = {
    {NULL, "o(T0) f(T0,3) f(T0,3) f(T0,12) f(T0,3) f(12,3) > 0"}, {NULL, "o(T0) f(T0,34) f(T0,34) f(T0,136) f(T0,34) f(68,17) f(68,17) > 0"}, {0}};
static const struct sample gru_back_samples[] = {
    {NULL, "o(T0) f(T0,3) f(T0,3) f(T0,12) f(T0,12) f(9,3) > 0"}, {NULL, "o(T0) f(T0,34) f(T0,34) f(T0,136) f(T0,136) f(51,17) f(51,17) > 0"}, {0}};
static const struct sample last_samples[] = {{NULL, "f(T0,3) o(T0)"}, {"dirs=2", "f(T0,8) o(T0)"}, {0}};
static const struct sample last_back_samples[] = {{NULL, "f(R,3) o(T0) c(T0,3) > 0"}, {"dirs=2", "f(R,8) o(T0) c(T0,8) > 0"}, {0}};

#define CELL(n, h, text_)                                                                           \
    const struct op ISA(op_##n) = {.kind = {.name = #n, .help = text_},                             \
        .in_min = 3,                                                                                \
        .in_max = 7,                                                                                \
        .n_out = h,                                                                                 \
        .shape = n##_shape,                                                                         \
        .grad = n##_grad,                                                                           \
        .cost = fwd_cost,                                                                           \
        .ref = n##_ref,                                                                             \
        .tiles = fwd_tiles,                                                                         \
        .begin = n##_begin,                                                                         \
        .run = n##_run,                                                                             \
        .samples = n##_samples};                                                                    \
    const struct op ISA(op_##n##_grad) = {.kind = {.name = #n "_grad", .help = "gradients of " #n}, \
        .in_min = 6,                                                                                \
        .in_max = 7,                                                                                \
        .n_out = 2 * (5 - h),                                                                       \
        .shape = n##_back_shape,                                                                    \
        .cost = back_cost,                                                                          \
        .ref = n##_back_ref,                                                                        \
        .tiles = back_tiles,                                                                        \
        .begin = n##_back_begin,                                                                    \
        .run = n##_back_run,                                                                        \
        .samples = n##_back_samples};
CELL(lstm, 3, "long short-term memory over the tokens of each text")
CELL(gru, 2, "gated recurrent unit over the tokens of each text")
const struct op ISA(op_last_state) = {
    .kind = {.name = "last_state", .help = "what each direction ends with", .args = last_arg, .size = sizeof(struct last_args)},
    .in_min = 2,
    .in_max = 2,
    .n_out = 1,
    .shape = last_shape,
    .grad = last_grad,
    .ref = last_ref,
    .tiles = last_tiles,
    .run = last_run,
    .samples = last_samples};
const struct op ISA(op_last_state_grad) = {
    .kind = {.name = "last_state_grad", .help = "gradient of last_state", .args = last_arg, .size = sizeof(struct last_args)},
    .in_min = 3,
    .in_max = 3,
    .n_out = 1,
    .shape = last_back_shape,
    .ref = last_back_ref,
    .tiles = last_tiles,
    .run = last_back_run,
    .samples = last_back_samples};
