/* Attention on operands rounded to bf16 or f16: the five products as tiles of half_tile.h, softmax and sums in f32. Blocks, the softmax carried along, what
 * is kept for the gradient and the random numbers of dropout are those of attention.c. Queries are scaled behind the product, so that their rounding is that
 * of the values themselves. */
#include "engine/ops/attention_half.h"

#include <math.h>

#include "engine/ops/half_tile.h"
#include "engine/ops/kit.h"
#include "engine/ops/math.h"
#include "engine/ops/random.h"

#define BQ 48 /* rows of queries at a time: a multiple of every MM_MR */
#define BK 192 /* keys at a time: a multiple of every MM_MR and MM_NR */
#define D_MAX 256 /* values of a head, an even number of pairs */
#define SLACK 64 /* tiles may read this far behind a block */

/* One head of one text. */
struct head {
    struct half_mat q, k, v, out, dout, dq; /* dq: gradient of q; those of k and v lie n, 2 n values behind it */
    int64_t next, next_out, next_n; /* values from q and from out to those of the next tile, and its tokens; 0: there is none */
    float *lse, *sum; /* of each row, `heads` apart */
    int64_t n, d, heads, width, token, head; /* width: values of all heads */
    float scale, keep; /* keep: 1 / (1 - p), or 0: no dropout */
    uint32_t limit;
    bool causal;
    enum dtype as;
    uint64_t stream, step;
};
static struct half_mat at(const struct view *v, int64_t i, int64_t ld) { return (struct half_mat){half_at(v->dtype, v->data, i), ld, v->dtype}; }
static struct half_mat row_of(struct half_mat m, int64_t r) { return (struct half_mat){half_at(m.type, m.data, r * m.ld), m.ld, m.type}; }
static struct half_mat part(struct half_mat m, int64_t i) { return (struct half_mat){half_at(m.type, m.data, i), m.ld, m.type}; }

static struct head head_of(const struct exec *x, struct attn_shape a, int64_t tile, int p_in) {
    int64_t r = tile / a.heads, h = tile % a.heads, w = x->in[0].n[1] / 3, d = w / a.heads;
    const int32_t *off = x->in[1].data;
    int64_t token = off[r], first = token * 3 * w + h * d;
    double p = kit_has(x, p_in) ? (double)*(const float *)x->in[p_in].data : 0;
    return (struct head){.q = at(&x->in[0], first, 3 * w),
        .k = at(&x->in[0], first + w, 3 * w),
        .v = at(&x->in[0], first + 2 * w, 3 * w),
        .n = off[r + 1] - token,
        .d = d,
        .heads = a.heads,
        .width = w,
        .token = token,
        .head = h,
        .scale = (float)(1 / sqrt((double)d)),
        .keep = p > 0 && p < 1 ? (float)(1 / (1 - p)) : 0,
        .limit = (uint32_t)(p < 1 ? random_limit(p) : 0),
        .causal = a.causal,
        .as = x->node->half,
        .stream = x->stream,
        .step = x->step};
}
/* Rows of the next tile and those to be written are fetched while a row is at work, as in attention.c. */
static void next_is(struct head *h, const struct exec *x, int64_t tile, int64_t end) {
    const int32_t *off = x->in[1].data;
    if (tile + 1 >= end) return;
    bool same = h->head + 1 < h->heads;
    h->next = same ? h->d : h->n * 3 * h->width - h->head * h->d;
    h->next_out = same ? h->d : h->n * h->width - h->head * h->d;
    h->next_n = same ? h->n : off[(tile + 1) / h->heads + 1] - (h->token + h->n);
}
static inline __attribute__((always_inline)) void fetch(struct half_mat m, int64_t at, int64_t d, const int write) {
    const char *from = half_at(m.type, m.data, at), *to = half_at(m.type, from, d);
    for (; from < to; from += 64) write ? __builtin_prefetch(from, 1, 2) : __builtin_prefetch(from, 0, 2);
}
static inline __attribute__((always_inline)) void fetch_rows(const struct head *h, int64_t row) {
    int64_t q = row * 3 * h->width, out = row * h->width;
    bool more = row < h->next_n, back = h->dq.data;
    for (int p = 0; p < 3 && more; p++) fetch(h->q, q + h->next + p * h->width, h->d, 0);
    for (int p = 0; p < 3 && back; p++) fetch(h->dq, q + p * h->width, h->d, 1);
    if (!back) fetch(h->out, out, h->d, 1);
    if (back && more) fetch(h->out, out + h->next_out, h->d, 0), fetch(h->dout, out + h->next_out, h->d, 0);
}

/* Rows as words, D_MAX / 2 pairs apart; zero rows up to a multiple of MM_MR. */
static void rows_words(enum dtype as, struct half_mat m, int64_t rows, int64_t k, int64_t ldp, float *out) {
    int64_t len = pair_len(as), ld = ldp * len;
    for (int64_t i = 0; i < rows; i++) put_row(as, m.type, half_at(m.type, m.data, i * m.ld), k, out + i * ld);
    for (int64_t i = rows; i < up(rows, MM_MR); i++) memset(out + i * ld, 0, (size_t)((k + 1) / 2 * len) * sizeof(float));
}
/* Right panels of n columns, sums of k; t: m holds columns as rows. `gap` floats a panel. */
static void right(enum dtype as, bool t, struct half_mat m, int64_t k, int64_t n, int64_t gap, float *out) {
    for (int64_t j = 0; j < n; j += MM_NR) put_panel(as, t, t ? row_of(m, j) : part(m, j), k, least(MM_NR, n - j), out + j / MM_NR * gap);
}
#define GAP_D (D_MAX * MM_NR)
#define GAP_K (BK * MM_NR)
#define GAP_Q (BQ * MM_NR)

/* s (rows, keys) = rows of words times right panels of sums over d */
static void scores(const struct head *h, const float *a, const float *pt, int64_t rows, int64_t keys, float *s) {
    int64_t words = (h->d + 1) / 2 * pair_len(h->as);
    for (int64_t j = 0; j < keys; j += MM_NR)
        for (int64_t i = 0; i < rows; i += MM_MR)
            rows_tile(h->as, words, a + i * pair_len(h->as) * (D_MAX / 2), D_MAX / 2, pt + j / MM_NR * GAP_D, s + i * BK + j, BK, false);
}
/* o (rows, d) = words (rows, keys) times right panels of sums over keys */
static void weigh(const struct head *h, const float *w, const float *p, int64_t rows, int64_t keys, float *o) {
    int64_t words = (keys + 1) / 2 * pair_len(h->as);
    for (int64_t j = 0; j < h->d; j += MM_NR)
        for (int64_t i = 0; i < rows; i += MM_MR)
            rows_tile(h->as, words, w + i * pair_len(h->as) * (BK / 2), BK / 2, p + j / MM_NR * GAP_K, o + i * D_MAX + j, D_MAX, false);
}
/* o (keys, d) += s (rows, keys)^T times right panels of sums over rows */
static void gather(const struct head *h, const float *s, const float *p, int64_t keys, int64_t rows, float *o) {
    float left[BQ * MM_MR] __attribute__((aligned(64)));
    int64_t words = (rows + 1) / 2 * pair_len(h->as);
    for (int64_t i = 0; i < keys; i += MM_MR) {
        put_columns(h->as, (struct half_mat){s + i, BK, DT_F32}, rows, least(MM_MR, keys - i), left);
        for (int64_t j = 0; j < h->d; j += MM_NR) columns_tile(h->as, words, left, p + j / MM_NR * GAP_Q, o + i * D_MAX + j, D_MAX, true);
    }
}
static void drop(const struct head *h, int64_t row, int64_t key0, int64_t n, float *w) {
    random_drop(h->stream, h->step, ((uint64_t)((h->token + row) * h->heads + h->head) << 20) + (uint64_t)key0, h->limit, h->keep, n, w);
}
static int64_t visible(const struct head *h, int64_t row, int64_t key0, int64_t keys) {
    return !h->causal ? keys : row < key0 ? 0 : kit_min(keys, row - key0 + 1);
}

struct forward { /* blocks of one head; on the stack of the thread */
    float q[BQ * D_MAX + SLACK], w[BQ * BK + SLACK], o[BQ * D_MAX], s[BQ * BK], kt[BK * D_MAX], v[BK * D_MAX], rescale[BQ];
} __attribute__((aligned(64)));

/* One row of scores becomes weights exp(scale s - m) and their words, zero behind the visible ones. m: largest so far, in and out; returns the sum. */
static float softmax_row(float *s, int64_t n, int64_t keys, float scale, float *m) {
    float sum = 0, top = -INFINITY;
#pragma omp simd reduction(max : top)
    for (int64_t j = 0; j < n; j++) top = s[j] > top ? s[j] : top;
    *m = top = fmaxf(*m, top * scale);
#pragma omp simd reduction(+ : sum)
    for (int64_t j = 0; j < n; j++) {
        s[j] = math_exp_down(s[j] * scale - top);
        sum += s[j];
    }
    for (int64_t j = n; j < keys; j++) s[j] = 0;
    return sum;
}
/* Queries i0 .. i0 + rows against the keys in f; out, lse, sum carry the state between blocks of keys. */
static void forward_block(const struct head *h, struct forward *f, int64_t i0, int64_t rows, int64_t key0, int64_t keys, float *acc) {
    bool last = key0 + keys >= h->n || (h->causal && i0 + rows <= key0 + keys);
    rows_words(h->as, row_of(h->q, i0), rows, h->d, D_MAX / 2, f->q);
    scores(h, f->q, f->kt, rows, keys, f->s);
    for (int64_t i = 0; i < rows; i++) {
        float *s = f->s + i * BK, *lse = &h->lse[(i0 + i) * h->heads], *sum = &h->sum[(i0 + i) * h->heads], old = key0 ? *lse : -INFINITY, m = old;
        int64_t n = visible(h, i0 + i, key0, keys);
        float add = softmax_row(s, n, keys, h->scale, &m);
        f->rescale[i] = key0 ? math_exp(old - m) : 0;
        *sum = add + (key0 ? *sum * f->rescale[i] : 0);
        *lse = m;
        if (h->keep > 0) drop(h, i0 + i, key0, n, s);
        if (!key0) fetch_rows(h, i0 + i);
    }
    rows_words(h->as, (struct half_mat){f->s, BK, DT_F32}, rows, keys, BK / 2, f->w);
    weigh(h, f->w, f->v, rows, keys, f->o);
    for (int64_t i = 0; i < rows; i++) {
        float *lse = &h->lse[(i0 + i) * h->heads], sum = h->sum[(i0 + i) * h->heads], k = last ? 1 / sum : 1, *o = f->o + i * D_MAX,
              *a = acc ? acc + (i0 + i) * h->d : o;
        if (!key0)
            for (int64_t j = 0; j < h->d; j++) a[j] = o[j] * k;
        else
            for (int64_t j = 0; j < h->d; j++) a[j] = (a[j] * f->rescale[i] + o[j]) * k;
        if (!last) continue;
        half_down(h->out.type, a, h->d, (void *)(uintptr_t)row_of(h->out, i0 + i).data);
        *lse += logf(sum);
    }
}
/* acc (n, d): sums between blocks of keys, where there is more than one. */
static __attribute__((noinline)) void forward_head(const struct head *h, float *acc) {
    struct forward f;
    for (int64_t key0 = 0; key0 < h->n; key0 += BK) {
        int64_t keys = kit_min(BK, h->n - key0), first = h->causal ? key0 / BQ * BQ : 0; /* BK is a multiple of BQ */
        right(h->as, true, row_of(h->k, key0), h->d, keys, GAP_D, f.kt);
        right(h->as, false, row_of(h->v, key0), keys, h->d, GAP_K, f.v);
        for (int64_t i0 = first; i0 < h->n; i0 += BQ) forward_block(h, &f, i0, kit_min(BQ, h->n - i0), key0, keys, h->n > BK ? acc : NULL);
    }
}
/* scratch: (T, heads) sums, then (T, width) for texts of more than one block */
void ISA(attention_half_run)(const struct exec *x, struct attn_shape a, int64_t lo, int64_t hi) {
    float *acc = (float *)x->scratch + x->out[1].len;
    for (int64_t t = lo; t < hi; t++) {
        struct head h = head_of(x, a, t, 2);
        h.out = at(&x->out[0], h.token * h.width + h.head * h.d, h.width);
        h.lse = (float *)x->out[1].data + h.token * h.heads + h.head;
        h.sum = (float *)x->scratch + h.token * h.heads + h.head;
        next_is(&h, x, t, hi);
        if (h.n > 0) forward_head(&h, acc + h.token * h.width + h.head * h.n * h.d);
    }
}

struct backward {
    float q[BQ * D_MAX + SLACK], g[BQ * D_MAX + SLACK], qp[BQ * D_MAX], gp[BQ * D_MAX], w[BQ * BK + SLACK], o[BQ * D_MAX], s[BQ * BK], t[BQ * BK];
    float kt[BK * D_MAX], vt[BK * D_MAX], k[BK * D_MAX], dk[BK * D_MAX + MM_MR * D_MAX], dv[BK * D_MAX + MM_MR * D_MAX];
} __attribute__((aligned(64)));

/* s: scores -> the weights that were used; t: gradient of the weights -> gradient of the scores. */
static void score_gradient(const struct head *h, struct backward *b, int64_t i0, int64_t i, int64_t key0, int64_t keys) {
    float *s = b->s + i * BK, *t = b->t + i * BK, lse = h->lse[(i0 + i) * h->heads], dot = 0, scale = h->scale, own_o[D_MAX], own_g[D_MAX];
    struct half_mat ro = row_of(h->out, i0 + i), rg = row_of(h->dout, i0 + i);
    const float *o = half_up(ro.type, ro.data, h->d, own_o), *g = half_up(rg.type, rg.data, h->d, own_g);
    int64_t n = visible(h, i0 + i, key0, keys);
#pragma omp simd reduction(+ : dot)
    for (int64_t j = 0; j < h->d; j++) dot += o[j] * g[j];
    if (h->keep > 0) {
        float used[BK];
        for (int64_t j = 0; j < n; j++) s[j] = math_exp_down(s[j] * scale - lse), used[j] = 1;
        drop(h, i0 + i, key0, n, used);
        for (int64_t j = 0; j < n; j++) t[j] = s[j] * (t[j] * used[j] - dot) * scale, s[j] *= used[j];
    } else {
#pragma omp simd
        for (int64_t j = 0; j < n; j++) {
            s[j] = math_exp_down(s[j] * scale - lse);
            t[j] = s[j] * (t[j] - dot) * scale;
        }
    }
    for (int64_t j = n; j < keys; j++) s[j] = t[j] = 0;
}
static void put_gradient(struct half_mat m, int64_t i, const float *x, int64_t n) { half_down(m.type, x, n, (void *)(uintptr_t)row_of(m, i).data); }

static void backward_block(const struct head *h, struct backward *b, int64_t i0, int64_t rows, int64_t key0, int64_t keys, float *acc) {
    rows_words(h->as, row_of(h->q, i0), rows, h->d, D_MAX / 2, b->q);
    rows_words(h->as, row_of(h->dout, i0), rows, h->d, D_MAX / 2, b->g);
    right(h->as, false, row_of(h->q, i0), rows, h->d, GAP_Q, b->qp);
    right(h->as, false, row_of(h->dout, i0), rows, h->d, GAP_Q, b->gp);
    scores(h, b->q, b->kt, rows, keys, b->s);
    scores(h, b->g, b->vt, rows, keys, b->t);
    for (int64_t i = 0; i < rows; i++) {
        score_gradient(h, b, i0, i, key0, keys);
        if (!key0) fetch_rows(h, i0 + i);
    }
    gather(h, b->s, b->gp, keys, rows, b->dv);
    gather(h, b->t, b->qp, keys, rows, b->dk);
    rows_words(h->as, (struct half_mat){b->t, BK, DT_F32}, rows, keys, BK / 2, b->w);
    weigh(h, b->w, b->k, rows, keys, b->o);
    bool last = key0 + keys >= h->n || (h->causal && i0 + rows <= key0 + keys);
    for (int64_t i = 0; i < rows; i++) {
        float *o = b->o + i * D_MAX, *a = acc ? acc + (i0 + i) * h->d : o;
        for (int64_t j = 0; acc && j < h->d; j++) a[j] = (key0 ? a[j] : 0) + o[j]; /* the first block of keys is seen by every row */
        if (last) put_gradient(h->dq, i0 + i, a, h->d);
    }
}
static __attribute__((noinline)) void backward_head(const struct head *h, float *acc) {
    struct backward b;
    int64_t wide = up(h->d, MM_NR);
    for (int64_t key0 = 0; key0 < h->n; key0 += BK) {
        int64_t keys = kit_min(BK, h->n - key0), first = h->causal ? key0 / BQ * BQ : 0;
        right(h->as, true, row_of(h->k, key0), h->d, keys, GAP_D, b.kt);
        right(h->as, true, row_of(h->v, key0), h->d, keys, GAP_D, b.vt);
        right(h->as, false, row_of(h->k, key0), keys, h->d, GAP_K, b.k);
        for (int64_t i = 0; i < up(keys, MM_MR); i++) {
            memset(b.dk + i * D_MAX, 0, (size_t)wide * sizeof(float));
            memset(b.dv + i * D_MAX, 0, (size_t)wide * sizeof(float));
        }
        for (int64_t i0 = first; i0 < h->n; i0 += BQ) backward_block(h, &b, i0, kit_min(BQ, h->n - i0), key0, keys, h->n > BK ? acc : NULL);
        for (int64_t i = 0; i < keys; i++) {
            put_gradient(part(h->dq, h->width), key0 + i, b.dk + i * D_MAX, h->d);
            put_gradient(part(h->dq, 2 * h->width), key0 + i, b.dv + i * D_MAX, h->d);
        }
    }
}
/* scratch: (T, width) for texts of more than one block */
void ISA(attention_half_grad_run)(const struct exec *x, struct attn_shape a, int64_t lo, int64_t hi) {
    for (int64_t t = lo; t < hi; t++) {
        struct head h = head_of(x, a, t, 5);
        int64_t first = h.token * h.width + h.head * h.d;
        h.out = at(&x->in[2], first, h.width);
        h.lse = (float *)x->in[3].data + h.token * h.heads + h.head;
        h.dout = at(&x->in[4], first, h.width);
        h.dq = at(&x->out[0], h.token * 3 * h.width + h.head * h.d, 3 * h.width);
        next_is(&h, x, t, hi);
        if (h.n > 0) backward_head(&h, (float *)x->scratch + h.token * h.width + h.head * h.n * h.d);
    }
}
