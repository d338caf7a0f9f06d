/* Multi-head attention over packed texts: out = softmax(q k^T / sqrt(d) [, causal]) v within each text, from one (T, 3 H d) tensor of queries, keys and
 * values as the product before it wrote them. Texts are never padded and no T x T matrix exists: keys come in blocks of BK, rows of queries in blocks of BQ,
 * the softmax is carried along online (Milakov and Gimelshein 2018; Dao et al. 2022). The log of each row's sum is an output, so that the gradient recomputes
 * the weights. Dropout acts on the weights; the random number of weight (token, head, key) has element ((token H + head) 2^20 + key). A tile is a head of a
 * text. */
#include <math.h>
#include <string.h>

#include "engine/ops/attention_half.h"
#include "engine/ops/kit.h"
#include "engine/ops/math.h"
#include "engine/ops/mm.h"
#include "engine/ops/random.h"
#include "engine/ops/turn.h"
#include "src/base/rng.h"

#define BQ 48 /* rows of queries at a time: a multiple of every MM_MR */
#define BK 192 /* keys at a time: a multiple of every MM_MR and MM_NR */
#define D_MAX 256 /* values of a head */
#define SLACK 64 /* tiles may read this far behind a block */

struct attn_args {
    int64_t heads;
    bool causal;
};

static int qkv_check(const struct shaping *s, struct err *e) {
    const struct tensor *q = s->in[0], *o = s->in[1];
    int64_t h = ((const struct attn_args *)s->attr)->heads;
    if (!kit_float(s, 0) || !kit_int(s, 1) || q->ndim != 2 || o->ndim != 1 || o->dim[0].axis != AXIS_R1 || q->dim[1].axis != AXIS_ONE)
        return err_set(e, "needs queries, keys and values side by side (T, 3 n) and offsets (R+1)");
    if (q->dim[1].k % (3 * h) != 0)
        return err_set(e, "%lld values do not split into queries, keys and values of %lld heads", (long long)q->dim[1].k, (long long)h);
    if (q->dim[1].k / (3 * h) > D_MAX)
        return err_set(e, "a head has %lld values, at most %d are possible: use more heads", (long long)(q->dim[1].k / (3 * h)), D_MAX);
    return 0;
}
static int attn_shape(struct shaping *s, struct err *e) {
    if (qkv_check(s, e) < 0) return -1;
    if (s->n_in > 2 && s->in[2] && (!kit_float(s, 2) || s->in[2]->ndim != 0)) return err_set(e, "the third input is one probability");
    kit_like(&s->out[0], s->in[0]);
    s->out[0].dim[1].k /= 3;
    kit_like(&s->out[1], s->in[0]);
    s->out[1].dim[1].k = ((const struct attn_args *)s->attr)->heads;
    s->scratch = (struct dim){(int64_t)sizeof(float) * s->out[1].dim[1].k * s->in[0]->dim[0].k, s->in[0]->dim[0].axis};
    s->scratch_fixed = 64;
    s->half = true, s->half_in = s->half_out = 1;
    if (s->g->half != DT_F32) s->scratch.k += (int64_t)sizeof(float) * s->out[0].dim[1].k * s->in[0]->dim[0].k;
    s->n_out = 2;
    return 0;
}
static int attn_grad(struct graph *g, const struct node *n, const tid *dout, tid *din, struct err *e) {
    struct node k = *n;
    tid in[] = {k.in[0], k.in[1], k.out[0], k.out[1], dout[0], k.n_in > 2 ? k.in[2] : -1};
    if (!kit_needs(g, k.in[0]) || dout[0] < 0) return 0;
    return (din[0] = kit_add_take(g, "attention_grad", args_to_val(&k.op->kind, k.attr), in, in[5] >= 0 ? 6 : 5, NULL, e)) < 0 ? -1 : 0;
}
static void attn_cost(const struct exec *x, struct cost *c) {
    double t = (double)x->in[0].n[0], r = (double)kit_max(1, x->in[1].len - 1);
    c->macs = 2 * t * (t / r) * (double)(x->in[0].n[1] / 3);
    c->flop = 2 * c->macs;
    c->bytes = 4 * ((double)x->in[0].len + (double)x->out[0].len);
}
static void agrad_cost(const struct exec *x, struct cost *c) {
    attn_cost(x, c);
    c->macs *= 2;
    c->flop *= 2.5;
}

/* One head of one text: where it is and how it is read. */
struct head {
    const float *q, *k, *v; /* rows of stride ld */
    float *out, *lse, *sum; /* out: rows of stride ldo; lse, sum: stride heads */
    const float *dout;
    float *dq; /* gradient, laid out as q; keys and values behind it */
    int64_t next, next_out, next_n; /* from q and from out to those of the next tile, and its tokens; 0: there is none */
    int64_t n, d, ld, ldo, heads;
    int64_t token, head; /* of row 0, for the random numbers */
    float scale, keep; /* keep: 1 / (1 - p), or 0: no dropout */
    uint32_t limit;
    bool causal;
    uint64_t stream, step;
};
static struct head head_of(const struct exec *x, int64_t tile, int p_in) {
    const struct attn_args *a = x->attr;
    int64_t r = tile / a->heads, h = tile % a->heads, n = x->in[0].n[1] / 3, d = n / a->heads;
    const int32_t *off = x->in[1].data;
    int64_t at = off[r];
    const float *q = (const float *)x->in[0].data + at * 3 * n + h * d;
    double p = kit_has(x, p_in) ? (double)*(const float *)x->in[p_in].data : 0;
    return (struct head){.q = q,
        .k = q + n,
        .v = q + 2 * n,
        .n = off[r + 1] - at,
        .d = d,
        .ld = 3 * n,
        .ldo = n,
        .heads = a->heads,
        .token = at,
        .head = h,
        .scale = (float)(1 / sqrt((double)d)),
        .keep = p > 0 && p < 1 ? (float)(1 / (1 - p)) : 0,
        .limit = (uint32_t)(p < 1 ? random_limit(p) : 0),
        .causal = a->causal,
        .stream = x->stream,
        .step = x->step};
}
/* The rows of a tile are short pieces far apart, which the hardware does not foresee: those of the next tile, and those to be written, are fetched while a row
 * is at work. */
static void next_is(struct head *h, const struct exec *x, int64_t tile, int64_t end) {
    const int32_t *off = x->in[1].data;
    if (tile + 1 >= end) return;
    bool same = h->head + 1 < h->heads;
    h->next = same ? h->d : h->n * h->ld - h->head * h->d;
    h->next_out = same ? h->d : h->n * h->ldo - h->head * h->d;
    h->next_n = same ? h->n : off[(tile + 1) / h->heads + 1] - (h->token + h->n);
}
static inline __attribute__((always_inline)) void fetch(const float *x, int64_t d, const int write) {
    for (int64_t j = 0; j < d; j += 16) /* the builtin takes literals */
        write ? __builtin_prefetch(x + j, 1, 2) : __builtin_prefetch(x + j, 0, 2);
}
static inline __attribute__((always_inline)) void fetch_rows(const struct head *h, int64_t row) {
    const float *q = h->q + row * h->ld + h->next, *out = h->out + row * h->ldo;
    for (int part = 0; part < 3 && row < h->next_n; part++) fetch(q + part * h->ldo, h->d, 0);
    if (!h->dq) fetch(out, h->d, 1);
    if (h->dq && row < h->next_n) fetch(out + h->next_out, h->d, 0), fetch(h->dout + row * h->ldo + h->next_out, h->d, 0);
    for (int part = 0; part < 3 && h->dq; part++) fetch(h->dq + row * h->ld + part * h->ldo, h->d, 1);
}
static int64_t up(int64_t n, int64_t to) { return (n + to - 1) / to * to; }

/* Blocks in memory have rows of this many values: close together, so that they do not meet in one set of the first cache. */
static int64_t pitch(const struct head *h) { return up(h->d, MM_NR); }

/* A multiple of MM_MR rows of x: where they lie, or copied with zero rows behind. */
static const float *rows_of(const float *x, int64_t ld, int64_t n, int64_t d, float *copy, int64_t *step) {
    *step = ld;
    if (n % MM_MR == 0) return x;
    for (int64_t i = 0; i < n; i++) memcpy(copy + i * d, x + i * ld, (size_t)d * sizeof(float));
    memset(copy + n * d, 0, (size_t)((up(n, MM_MR) - n) * d) * sizeof(float));
    *step = d;
    return copy;
}
/* The transpose in panels of MM_NR rows: out[row / NR][column][row % NR], zero-filled. */
static void panels_t(const float *x, int64_t ld, int64_t n, int64_t d, float *out) {
    for (int64_t i = 0; i < n; i += MM_NR, out += d * MM_NR) {
        int64_t w = kit_min(MM_NR, n - i);
        if (w < MM_NR) memset(out, 0, (size_t)(d * MM_NR) * sizeof(float));
        turn(x + i * ld, ld, w, d, out, MM_NR);
    }
}
/* Panels of MM_NR columns: out[column / NR][row][column % NR], `gap` rows a panel. */
static void panels(const float *x, int64_t ld, int64_t n, int64_t d, int64_t gap, float *out) {
    for (int64_t j = 0; j < d; j += MM_NR, out += gap * MM_NR) {
        int64_t w = kit_min(MM_NR, d - j);
        if (w == MM_NR)
            for (int64_t i = 0; i < n; i++) memcpy(out + i * MM_NR, x + i * ld + j, MM_NR * sizeof(float));
        else
            for (int64_t i = 0; i < n; i++)
                for (int64_t c = 0; c < MM_NR; c++) out[i * MM_NR + c] = c < w ? x[i * ld + j + c] : 0;
    }
}

/* s (rows, w) = a (rows, d) times transposed panels; w a multiple of MM_NR. */
static void scores(const float *a, int64_t la, const float *pt, int64_t rows, int64_t w, int64_t d, float *s) {
    for (int64_t j = 0; j < w; j += MM_NR)
        for (int64_t i = 0; i < rows; i += MM_MR) mm_tile(d, a + i * la, la, 1, pt + j * d, MM_NR, s + i * BK + j, BK, false);
}
/* o (rows, d) = s (rows, n) times panels of `gap` rows. */
static void weigh(const float *s, const float *p, int64_t rows, int64_t n, int64_t d, int64_t gap, float *o, int64_t lo) {
    for (int64_t j = 0; j < d; j += MM_NR)
        for (int64_t i = 0; i < rows; i += MM_MR) mm_tile(n, s + i * BK, BK, 1, p + j * gap, MM_NR, o + i * lo + j, lo, false);
}
/* o (keys, d) (+)= s (rows, keys)^T times panels of BQ rows. */
static void gather(const float *s, const float *p, int64_t keys, int64_t rows, int64_t d, bool add, float *o, int64_t lo) {
    for (int64_t j = 0; j < d; j += MM_NR)
        for (int64_t i = 0; i < keys; i += MM_MR) {
            if (add) mm_tile(rows, s + i, 1, BK, p + j * BQ, MM_NR, o + i * lo + j, lo, true);
            else mm_tile(rows, s + i, 1, BK, p + j * BQ, MM_NR, o + i * lo + j, lo, false);
        }
}

/* Weights that are dropped become 0, the rest grow. */
static void drop_row(const struct head *h, int64_t row, int64_t key0, int64_t n, float *w) {
    uint64_t first = ((uint64_t)((h->token + row) * h->heads + h->head) << 20) + (uint64_t)key0; /* key0 is a multiple of BK, so of 4 */
    random_drop(h->stream, h->step, first, h->limit, h->keep, n, w);
}
/* How many of the keys of a block row `row` may look at. */
static int64_t visible(const struct head *h, int64_t row, int64_t key0, int64_t keys) {
    return !h->causal ? keys : row < key0 ? 0 : kit_min(keys, row - key0 + 1);
}

/* One row of products becomes weights exp(scale s - m), zero behind the visible ones; returns their sum. */
static float softmax_row(float *s, int64_t n, int64_t w, float scale, float m) {
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t j = 0; j < n; j++) {
        s[j] = math_exp_down(s[j] * scale - m);
        sum += s[j];
    }
    for (int64_t j = n; j < w; j++) s[j] = 0;
    return sum;
}
static float row_max(const float *s, int64_t n) {
    float m = -INFINITY;
#pragma omp simd reduction(max : m)
    for (int64_t j = 0; j < n; j++) m = s[j] > m ? s[j] : m;
    return m;
}

struct forward { /* blocks of one head; on the stack of the thread */
    float q[BQ * D_MAX + SLACK], o[BQ * D_MAX + SLACK], s[BQ * BK + SLACK], kt[BK * D_MAX], v[BK * D_MAX], rescale[BQ];
} __attribute__((aligned(64)));

/* Queries i0 .. i0 + rows against the keys in f; out, lse, sum carry the state between blocks of keys. */
static void forward_block(const struct head *h, struct forward *f, int64_t i0, int64_t rows, int64_t key0, int64_t keys) {
    int64_t w = up(keys, MM_NR), lo = pitch(h), lq;
    bool last = key0 + keys >= h->n || (h->causal && i0 + rows <= key0 + keys);
    const float *q = rows_of(h->q + i0 * h->ld, h->ld, rows, h->d, f->q, &lq);
    scores(q, lq, f->kt, rows, w, h->d, f->s);
    for (int64_t i = 0; i < rows; i++) {
        float *s = f->s + i * BK, *lse = &h->lse[(i0 + i) * h->heads], *sum = &h->sum[(i0 + i) * h->heads];
        int64_t n = visible(h, i0 + i, key0, keys);
        float old = key0 ? *lse : -INFINITY, m = fmaxf(old, row_max(s, n) * h->scale);
        f->rescale[i] = key0 ? math_exp(old - m) : 0;
        *sum = softmax_row(s, n, w, h->scale, m) + (key0 ? *sum * f->rescale[i] : 0);
        *lse = m;
        if (h->keep > 0) drop_row(h, i0 + i, key0, n, s);
        if (!key0) fetch_rows(h, i0 + i);
    }
    weigh(f->s, f->v, rows, keys, h->d, BK, f->o, lo);
    for (int64_t i = 0; i < rows; i++) {
        float *out = h->out + (i0 + i) * h->ldo, *lse = &h->lse[(i0 + i) * h->heads], sum = h->sum[(i0 + i) * h->heads], k = last ? 1 / sum : 1;
        const float *o = f->o + i * lo;
        if (!key0)
            for (int64_t j = 0; j < h->d; j++) out[j] = o[j] * k;
        else
            for (int64_t j = 0; j < h->d; j++) out[j] = (out[j] * f->rescale[i] + o[j]) * k;
        if (last) *lse += logf(sum);
    }
}
static __attribute__((noinline)) void forward_head(const struct head *h) {
    struct forward f;
    for (int64_t key0 = 0; key0 < h->n; key0 += BK) {
        int64_t keys = kit_min(BK, h->n - key0), first = h->causal ? key0 / BQ * BQ : 0; /* BK is a multiple of BQ */
        panels_t(h->k + key0 * h->ld, h->ld, keys, h->d, f.kt);
        panels(h->v + key0 * h->ld, h->ld, keys, h->d, BK, f.v);
        for (int64_t i0 = first; i0 < h->n; i0 += BQ) forward_block(h, &f, i0, kit_min(BQ, h->n - i0), key0, keys);
    }
}
static int64_t attn_tiles(const struct exec *x) { return (x->in[1].len - 1) * ((const struct attn_args *)x->attr)->heads; }
static bool is_half(const struct exec *x) { return x->node->half != DT_F32; }
static struct attn_shape shape_of(const struct exec *x) {
    return (struct attn_shape){((const struct attn_args *)x->attr)->heads, ((const struct attn_args *)x->attr)->causal};
}
static void attn_run(const struct exec *x, int64_t lo, int64_t hi) {
    if (is_half(x)) {
        ISA(attention_half_run)(x, shape_of(x), lo, hi);
        return;
    }
    for (int64_t t = lo; t < hi; t++) {
        struct head h = head_of(x, t, 2);
        h.out = (float *)x->out[0].data + h.token * h.ldo + h.head * h.d;
        h.lse = (float *)x->out[1].data + h.token * h.heads + h.head;
        h.sum = (float *)x->scratch + h.token * h.heads + h.head;
        next_is(&h, x, t, hi);
        if (h.n > 0) forward_head(&h);
    }
}

struct backward {
    float q[BQ * D_MAX + SLACK], g[BQ * D_MAX + SLACK], qp[BQ * D_MAX], gp[BQ * D_MAX], o[BQ * D_MAX + SLACK];
    float s[BQ * BK + SLACK], t[BQ * BK + SLACK];
    float kt[BK * D_MAX], vt[BK * D_MAX], k[BK * D_MAX], dk[BK * D_MAX + MM_MR * D_MAX], dv[BK * D_MAX + MM_MR * D_MAX];
} __attribute__((aligned(64)));

/* s: scores -> the weights that were used; t: gradient of the weights -> gradient of the scores. */
static void score_gradient(const struct head *h, struct backward *b, int64_t i0, int64_t i, int64_t key0, int64_t keys, int64_t w) {
    float *s = b->s + i * BK, *t = b->t + i * BK, lse = h->lse[(i0 + i) * h->heads], dot = 0;
    const float *o = h->out + (i0 + i) * h->ldo, *g = h->dout + (i0 + i) * h->ldo;
    int64_t n = visible(h, i0 + i, key0, keys);
#pragma omp simd reduction(+ : dot)
    for (int64_t j = 0; j < h->d; j++) dot += o[j] * g[j];
    if (h->keep > 0) {
        float used[BK];
        for (int64_t j = 0; j < n; j++) s[j] = math_exp_down(s[j] * h->scale - lse), used[j] = 1;
        drop_row(h, i0 + i, key0, n, used);
        for (int64_t j = 0; j < n; j++) t[j] = s[j] * (t[j] * used[j] - dot), s[j] *= used[j];
    } else {
#pragma omp simd
        for (int64_t j = 0; j < n; j++) {
            s[j] = math_exp_down(s[j] * h->scale - lse);
            t[j] = s[j] * (t[j] - dot);
        }
    }
    for (int64_t j = n; j < w; j++) s[j] = t[j] = 0;
}
/* The gradient of the scores lacks the factor `scale`: it comes in where dq and dk are written. */
static void backward_block(const struct head *h, struct backward *b, int64_t i0, int64_t rows, int64_t key0, int64_t keys, bool add) {
    int64_t w = up(keys, MM_NR), lo = pitch(h), lq, lg;
    const float *q = rows_of(h->q + i0 * h->ld, h->ld, rows, h->d, b->q, &lq), *g = rows_of(h->dout + i0 * h->ldo, h->ldo, rows, h->d, b->g, &lg);
    panels(q, lq, rows, h->d, BQ, b->qp);
    panels(g, lg, rows, h->d, BQ, b->gp);
    scores(q, lq, b->kt, rows, w, h->d, b->s);
    scores(g, lg, b->vt, rows, w, h->d, b->t);
    for (int64_t i = 0; i < rows; i++) {
        score_gradient(h, b, i0, i, key0, keys, w);
        if (!key0) fetch_rows(h, i0 + i);
    }
    gather(b->s, b->gp, keys, rows, h->d, add, b->dv, lo);
    gather(b->t, b->qp, keys, rows, h->d, add, b->dk, lo);
    weigh(b->t, b->k, rows, keys, h->d, BK, b->o, lo);
    for (int64_t i = 0; i < rows; i++) {
        float *dq = h->dq + (i0 + i) * h->ld;
        const float *o = b->o + i * lo;
        if (key0) /* the first block of keys is seen by every row */
            for (int64_t j = 0; j < h->d; j++) dq[j] += o[j] * h->scale;
        else
            for (int64_t j = 0; j < h->d; j++) dq[j] = o[j] * h->scale;
    }
}
static __attribute__((noinline)) void backward_head(const struct head *h) {
    struct backward b;
    int64_t lo = pitch(h);
    for (int64_t key0 = 0; key0 < h->n; key0 += BK) {
        int64_t keys = kit_min(BK, h->n - key0), first = h->causal ? key0 / BQ * BQ : 0;
        panels_t(h->k + key0 * h->ld, h->ld, keys, h->d, b.kt);
        panels_t(h->v + key0 * h->ld, h->ld, keys, h->d, b.vt);
        panels(h->k + key0 * h->ld, h->ld, keys, h->d, BK, b.k);
        for (int64_t i0 = first; i0 < h->n; i0 += BQ) backward_block(h, &b, i0, kit_min(BQ, h->n - i0), key0, keys, i0 > first);
        for (int64_t i = 0; i < keys; i++) {
            float *dk = h->dq + h->ldo + (key0 + i) * h->ld, *dv = dk + h->ldo;
            for (int64_t j = 0; j < h->d; j++) dk[j] = b.dk[i * lo + j] * h->scale, dv[j] = b.dv[i * lo + j];
        }
    }
}

/* ---- (qkv, offsets, out, lse, dout [, p]) -> dqkv */
static int agrad_shape(struct shaping *s, struct err *e) {
    if (qkv_check(s, e) < 0) return -1;
    if (!kit_float(s, 2) || !kit_float(s, 3) || !kit_float(s, 4) || !kit_same(s->in[2], s->in[4]))
        return err_set(e, "needs the output, its row sums and a gradient of the output's shape");
    kit_like(&s->out[0], s->in[0]);
    s->half = true, s->half_in = 1 | 1 << 2 | 1 << 4, s->half_out = 1;
    if (s->g->half != DT_F32)
        s->scratch = (struct dim){(int64_t)sizeof(float) * s->in[2]->dim[1].k * s->in[2]->dim[0].k, s->in[2]->dim[0].axis}, s->scratch_fixed = 64;
    s->n_out = 1;
    return 0;
}
static void agrad_run(const struct exec *x, int64_t lo, int64_t hi) {
    if (is_half(x)) {
        ISA(attention_half_grad_run)(x, shape_of(x), lo, hi);
        return;
    }
    for (int64_t t = lo; t < hi; t++) {
        struct head h = head_of(x, t, 5);
        int64_t at = h.token * h.ldo + h.head * h.d;
        h.out = (float *)x->in[2].data + at;
        h.lse = (float *)x->in[3].data + h.token * h.heads + h.head;
        h.dout = (const float *)x->in[4].data + at;
        h.dq = (float *)x->out[0].data + h.token * h.ld + h.head * h.d;
        next_is(&h, x, t, hi);
        if (h.n > 0) backward_head(&h);
    }
}

/* ---- the definition, in double */
struct ref_head {
    int64_t at, n, d, h, heads, ld;
    double scale, p;
    bool causal;
};
static struct ref_head ref_of(const struct exec *x, int64_t tile, int p_in) {
    const struct attn_args *a = x->attr;
    int64_t r = tile / a->heads, n = x->in[0].n[1] / 3, at = (int64_t)view_get(&x->in[1], r);
    return (struct ref_head){at, (int64_t)view_get(&x->in[1], r + 1) - at, n / a->heads, tile % a->heads, a->heads, n, 1 / sqrt((double)(n / a->heads)),
        kit_has(x, p_in) ? view_get(&x->in[p_in], 0) : 0, a->causal};
}
static double ref_in(const struct exec *x, const struct ref_head *h, int64_t i, int part, int64_t j) {
    return view_get(&x->in[0], ((h->at + i) * 3 + part) * h->ld + h->h * h->d + j);
}
static double ref_score(const struct exec *x, const struct ref_head *h, int64_t i, int64_t k) {
    double s = 0;
    for (int64_t j = 0; j < h->d; j++) s += ref_in(x, h, i, 0, j) * ref_in(x, h, k, 1, j);
    return s * h->scale;
}
/* What dropout makes of weight (i, k): 0 or 1 / (1 - p). */
static double ref_keep(const struct exec *x, const struct ref_head *h, int64_t i, int64_t k) {
    if (!(h->p > 0)) return 1;
    uint64_t element = ((uint64_t)((h->at + i) * h->heads + h->h) << 20) + (uint64_t)k;
    return h->p < 1 && rng_u32(x->stream, x->step, element) >= random_limit(h->p) ? 1 / (1 - h->p) : 0;
}
static void attn_ref(const struct exec *x) {
    for (int64_t t = 0; t < attn_tiles(x); t++) {
        struct ref_head h = ref_of(x, t, 2);
        for (int64_t i = 0; i < h.n; i++) {
            int64_t n = h.causal ? i + 1 : h.n;
            double m = -INFINITY, sum = 0;
            for (int64_t k = 0; k < n; k++) m = fmax(m, ref_score(x, &h, i, k));
            for (int64_t k = 0; k < n; k++) sum += exp(ref_score(x, &h, i, k) - m);
            view_put(&x->out[1], (h.at + i) * h.heads + h.h, m + log(sum));
            for (int64_t j = 0; j < h.d; j++) {
                double o = 0;
                for (int64_t k = 0; k < n; k++) o += exp(ref_score(x, &h, i, k) - m) / sum * ref_keep(x, &h, i, k) * ref_in(x, &h, k, 2, j);
                view_put(&x->out[0], (h.at + i) * h.ld + h.h * h.d + j, o);
            }
        }
    }
}
static void ref_add(const struct exec *x, const struct ref_head *h, int64_t i, int part, int64_t j, double v) {
    int64_t at = ((h->at + i) * 3 + part) * h->ld + h->h * h->d + j;
    view_put(&x->out[0], at, view_get(&x->out[0], at) + v);
}
static void agrad_ref(const struct exec *x) {
    for (int64_t i = 0; i < x->out[0].len; i++) view_put(&x->out[0], i, 0);
    for (int64_t t = 0; t < attn_tiles(x); t++) {
        struct ref_head h = ref_of(x, t, 5);
        for (int64_t i = 0; i < h.n; i++) {
            int64_t at = (h.at + i) * h.ld + h.h * h.d, n = h.causal ? i + 1 : h.n;
            double dot = 0, lse = view_get(&x->in[3], (h.at + i) * h.heads + h.h);
            for (int64_t j = 0; j < h.d; j++) dot += view_get(&x->in[2], at + j) * view_get(&x->in[4], at + j);
            for (int64_t k = 0; k < n; k++) {
                double w = exp(ref_score(x, &h, i, k) - lse), keep = ref_keep(x, &h, i, k), dw = 0;
                for (int64_t j = 0; j < h.d; j++) dw += view_get(&x->in[4], at + j) * ref_in(x, &h, k, 2, j);
                double ds = w * (dw * keep - dot) * h.scale;
                for (int64_t j = 0; j < h.d; j++) {
                    ref_add(x, &h, i, 0, j, ds * ref_in(x, &h, k, 1, j));
                    ref_add(x, &h, k, 1, j, ds * ref_in(x, &h, i, 0, j));
                    ref_add(x, &h, k, 2, j, w * keep * view_get(&x->in[4], at + j));
                }
            }
        }
    }
}

static const struct arg attn_arg[] = {
    {.name = "heads", .help = "heads", .def = "1", .type = ARG_INT, .flags = ARG_POSITIONAL, .offset = offsetof(struct attn_args, heads), .lo = 1, .hi = 4096},
    {.name = "causal", .help = "a token sees itself and earlier ones only", .def = "false", .type = ARG_BOOL, .offset = offsetof(struct attn_args, causal)},
    {0}};
static const struct sample attn_samples[] = {{"heads=2", "f(T0,24)[-2,2] o(T0)"}, {"heads=1 causal=true", "f(T0,15)[-2,2] o(T0)"},
    {"heads=3 causal=true", "f(T0,99)[-1,1] o(T0) s(0.3)"}, {"heads=2", "f(T0,12) o(T0) s(0.5)"}, {0}};
static const struct sample agrad_samples[] = {{NULL, NULL}};

const struct op ISA(op_attention) = {
    .kind = {.name = "attention", .help = "softmax(q k^T / sqrt(d)) v within each text", .args = attn_arg, .size = sizeof(struct attn_args)},
    .in_min = 2,
    .in_max = 3,
    .n_out = 2,
    .flags = OP_DRAWS,
    .shape = attn_shape,
    .grad = attn_grad,
    .cost = attn_cost,
    .ref = attn_ref,
    .tiles = attn_tiles,
    .run = attn_run,
    .samples = attn_samples};
const struct op ISA(op_attention_grad) = {
    .kind = {.name = "attention_grad", .help = "gradient of attention", .args = attn_arg, .size = sizeof(struct attn_args)},
    .in_min = 5,
    .in_max = 6,
    .n_out = 1,
    .shape = agrad_shape,
    .cost = agrad_cost,
    .ref = agrad_ref,
    .tiles = attn_tiles,
    .run = agrad_run,
    .samples = agrad_samples};
