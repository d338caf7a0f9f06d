/* Attention with products in 8 bits, for inference: out = softmax(q k^T / sqrt(d)) v within each text, as the op attention gives it. Per head of a text:
 * keys to 8 bits with a scale a token, values with a scale a channel, queries as rows of a linear layer; scores are exact sums of bytes; their softmax, before
 * the division by its sum, becomes bytes of 1/255 (its largest is 1), and so does its sum, so that weights add up to 1. Keys come in blocks of BK, the softmax
 * is carried along (Milakov and Gimelshein 2018). A tile is a head of a text. */
#pragma GCC optimize("fp-contract=off", "no-associative-math", "no-reciprocal-math")
#include <math.h>
#include <string.h>

#include "engine/ops/kit.h"
#include "engine/ops/math.h"
#include "engine/ops/quant8.h"

#define BK 512 /* keys at a time, a multiple of I8_PANEL */
#define D_MAX 128 /* values of a head */

struct attn_args {
    int64_t heads;
};

static int attn_i8_shape(struct shaping *s, struct err *e) {
    const struct tensor *q = s->in[0], *o = s->in[1];
    int64_t h = ((const struct attn_args *)s->attr)->heads;
    if (q->dtype != DT_F32 || !kit_int(s, 1) || q->ndim != 2 || o->ndim != 1 || o->dim[0].axis != AXIS_R1 || q->dim[1].axis != AXIS_ONE)
        return err_set(e, "needs queries, keys and values side by side (T, 3 n) in f32 and offsets (R+1)");
    if (q->dim[1].k % (3 * h) != 0)
        return err_set(e, "%lld values do not split into queries, keys and values of %lld heads", (long long)q->dim[1].k, (long long)h);
    if (q->dim[1].k / (3 * h) > D_MAX)
        return err_set(e, "a head has %lld values, at most %d are possible in 8 bits", (long long)(q->dim[1].k / (3 * h)), D_MAX);
    kit_like(&s->out[0], q);
    s->out[0].dim[1].k /= 3;
    s->n_out = 1;
    return 0;
}
static int no_grad(struct graph *g, const struct node *n, const tid *dout, tid *din, struct err *e) {
    (void)g, (void)dout, (void)din;
    return err_set(e, "%s: its attention is in 8 bits, behind which nothing can be trained", n->path);
}
static void attn_i8_cost(const struct exec *x, struct cost *c) {
    double t = (double)x->in[0].n[0], r = (double)kit_max(1, x->in[1].len - 1);
    c->macs = 2 * t * (t / r) * (double)(x->in[0].n[1] / 3);
    c->flop = 2 * c->macs;
    c->bytes = 4 * ((double)x->in[0].len + (double)x->out[0].len);
}

struct block { /* keys and values of one head, up to BK tokens */
    int8_t k[BK * D_MAX], v[BK * D_MAX]; /* panels of 32 tokens by d; panels of 32 channels by tokens */
    float k_scale[BK], v_scale[D_MAX];
    int32_t k_sum[BK];
} __attribute__((aligned(64)));
struct head {
    const float *q, *k, *v;
    int64_t t, d, stride;
    float *out;
    int64_t out_stride;
};

static struct head head_of(const struct exec *x, int64_t tile) {
    int64_t h = ((const struct attn_args *)x->attr)->heads, n = x->in[0].n[1] / 3, d = n / h, r = tile / h, i = tile % h;
    const int32_t *off = x->in[1].data;
    const float *q = (const float *)x->in[0].data + off[r] * 3 * n + i * d;
    return (struct head){q, q + n, q + 2 * n, off[r + 1] - off[r], d, 3 * n, (float *)x->out[0].data + off[r] * n + i * d, n};
}

/* The functions below are made for the usual widths of a head, so that their loops have constant lengths. */
#define ALWAYS static inline __attribute__((always_inline))

ALWAYS int32_t byte_of(float v, float inv) {
    float q = inv > 0 ? v * inv : 0;
    return (int32_t)(q + (q < 0 ? -0.5f : 0.5f));
}
/* What a value is multiplied by; 0 where all are 0, denormal or one is not a number. */
ALWAYS float inverse(float max, float bad) { return max > 0 && 127.0f / max < INFINITY && bad == 0 ? 127.0f / max : 0; }

ALWAYS void put_keys(const struct head *h, const int64_t d, int64_t from, int64_t n, struct block *b) {
    int8_t row[D_MAX] __attribute__((aligned(64))) = {0};
    int64_t d4 = i8_in(d);
    if (n % I8_PANEL) memset(b->k + n / I8_PANEL * I8_PANEL * d4, 0, (size_t)(I8_PANEL * d4));
    for (int64_t j = 0; j < n; j++) {
        const float *k = h->k + (from + j) * h->stride;
        float max = 0, bad = 0;
        int32_t sum = 0;
#pragma omp simd reduction(max : max) reduction(+ : bad)
        for (int64_t i = 0; i < d; i++) {
            float a = fabsf(k[i]);
            max = a > max ? a : max;
            bad += k[i] - k[i];
        }
        float inv = inverse(max, bad);
        b->k_scale[j] = bad == 0 ? max / 127.0f : NAN;
#pragma omp simd reduction(+ : sum)
        for (int64_t i = 0; i < d; i++) {
            int32_t q = byte_of(k[i], inv);
            row[i] = (int8_t)q;
            sum += q;
        }
        b->k_sum[j] = sum;
        int8_t *to = b->k + j / I8_PANEL * I8_PANEL * d4 + j % I8_PANEL * 4;
        for (int64_t i = 0; i < d4; i += 4) memcpy(to + i * I8_PANEL, row + i, 4);
    }
}

/* Tokens of values and weights are filled up to a multiple of 16 with zeros. */
static inline int64_t filled(int64_t n) { return (n + 15) / 16 * 16; }

/* Channels in panels: for four tokens the four bytes of each of 32 channels. */
ALWAYS void put_values(const struct head *h, const int64_t d, int64_t from, int64_t n, struct block *b) {
    float inv[D_MAX] __attribute__((aligned(64))), bad[D_MAX] __attribute__((aligned(64))) = {0}, max[D_MAX] __attribute__((aligned(64))) = {0};
    static const float nothing[D_MAX];
    int64_t full = filled(n);
    for (int64_t j = 0; j < n; j++) {
        const float *v = h->v + (from + j) * h->stride;
#pragma omp simd
        for (int64_t c = 0; c < d; c++) {
            float a = fabsf(v[c]);
            max[c] = a > max[c] ? a : max[c];
            bad[c] += v[c] - v[c];
        }
    }
    for (int64_t c = 0; c < d; c++) inv[c] = inverse(max[c], bad[c]), b->v_scale[c] = bad[c] == 0 ? max[c] / 127.0f : NAN;
    for (int64_t c0 = 0; c0 < d; c0 += I8_PANEL)
        for (int64_t j = 0; j < full; j += 4) {
            const float *r[4];
            uint32_t *to = (uint32_t *)(void *)(b->v + c0 * full + j * I8_PANEL);
            for (int t = 0; t < 4; t++) r[t] = j + t < n ? h->v + (from + j + t) * h->stride + c0 : nothing;
            const float *r0 = r[0], *r1 = r[1], *r2 = r[2], *r3 = r[3];
            int64_t w = kit_min(I8_PANEL, d - c0);
#pragma omp simd
            for (int64_t c = 0; c < w; c++) {
                float k = inv[c0 + c];
                to[c] = ((uint32_t)byte_of(r0[c], k) & 255u) | ((uint32_t)byte_of(r1[c], k) & 255u) << 8 | ((uint32_t)byte_of(r2[c], k) & 255u) << 16 |
                        (uint32_t)byte_of(r3[c], k) << 24;
            }
            for (int64_t c = w; c < I8_PANEL; c++) to[c] = 0;
        }
}

struct rows { /* a few rows of queries at work */
    dot8_in q[DOT8_MR * D_MAX], p[DOT8_MR * BK] __attribute__((aligned(64)));
    float s[DOT8_MR * BK] __attribute__((aligned(64))), o[DOT8_MR * D_MAX] __attribute__((aligned(64))), max[DOT8_MR], sum[DOT8_MR];
    struct row8 row[DOT8_MR];
};

/* Scores of a row against the m keys of a panel; returns the largest so far. */
ALWAYS float scores(float *s, const int32_t *c, const int32_t *k_sum, const float *k_scale, int32_t zero, float scale, float max, int64_t m) {
#pragma omp simd reduction(max : max)
    for (int64_t j = 0; j < m; j++) {
        float v = (float)(c[j] - zero * k_sum[j]) * (scale * k_scale[j]);
        s[j] = v;
        max = v > max ? v : max;
    }
    return max;
}
/* Bytes of exp(s - max), n a multiple of 16; their sum. */
ALWAYS int32_t weights(const float *s, int64_t n, float max, dot8_in *p) {
    int32_t sum = 0;
    int64_t m = n & ~(int64_t)15; /* the compiler sees that nothing is left over */
#pragma omp simd reduction(+ : sum)
    for (int64_t j = 0; j < m; j++) {
        float v = math_exp_down(s[j] - max) * 255.0f + 0.5f;
        int32_t q = (int32_t)(v < 256.0f ? v : 0); /* not a number: 0 */
        p[j] = (dot8_in)q;
        sum += q;
    }
    return sum;
}

ALWAYS void some_rows(struct rows *w, const int64_t d, const struct block *b, int rows, int64_t n, bool first) {
    int64_t d4 = i8_in(d), full = filled(n);
    int32_t c[DOT8_MR * I8_PANEL] __attribute__((aligned(64)));
    float max[DOT8_MR], scale = 1.0f / sqrtf((float)d);
    for (int r = 0; r < rows; r++) max[r] = first ? -INFINITY : w->max[r];
    for (int64_t j = 0; j < n; j += I8_PANEL) {
        dot8_tile(rows, d4 / 4, w->q, d4, b->k + j * d4, c);
        for (int r = 0; r < rows; r++) {
            float *s = w->s + r * BK + j, k = w->row[r].scale * scale;
            if (n - j >= I8_PANEL) max[r] = scores(s, c + r * I8_PANEL, b->k_sum + j, b->k_scale + j, w->row[r].zero, k, max[r], I8_PANEL);
            else max[r] = scores(s, c + r * I8_PANEL, b->k_sum + j, b->k_scale + j, w->row[r].zero, k, max[r], n - j);
        }
    }
    for (int r = 0; r < rows; r++) {
        float back = first ? 0 : math_exp(w->max[r] - max[r]); /* what was summed before belongs to a smaller largest score */
        for (int64_t j = n; j < full; j++) w->s[r * BK + j] = -INFINITY;
        w->sum[r] = w->sum[r] * back + (float)weights(w->s + r * BK, full, max[r], w->p + r * full);
        for (int64_t i = 0; i < d; i++) w->o[r * D_MAX + i] = first ? 0 : w->o[r * D_MAX + i] * back;
        w->max[r] = max[r];
        if (!(w->row[r].scale < INFINITY)) w->sum[r] = NAN; /* whatever its bytes became */
    }
    for (int64_t i = 0; i < d; i += I8_PANEL) {
        int64_t m = kit_min(I8_PANEL, d - i);
        dot8_tile(rows, full / 4, w->p, full, b->v + i * full, c);
        for (int r = 0; r < rows; r++) {
            float *o = w->o + r * D_MAX + i;
#pragma omp simd
            for (int64_t j = 0; j < m; j++) o[j] += (float)c[r * I8_PANEL + j] * b->v_scale[i + j];
        }
    }
}

static bool keys_finite(const struct block *b, int64_t n) {
    float bad = 0;
    for (int64_t j = 0; j < n; j++) bad += b->k_scale[j] - b->k_scale[j];
    return bad == 0;
}

/* Texts longer than a block quantise keys and values once for each few rows; shorter ones, the usual case, once. */
ALWAYS void attend(const struct head *h, const int64_t d) {
    struct block b;
    struct rows w;
    int64_t blocks = (h->t + BK - 1) / BK, d4 = i8_in(d);
    bool keys = true;
    for (int64_t i = 0; i < h->t; i += DOT8_MR) {
        int rows = (int)kit_min(DOT8_MR, h->t - i);
        bool finite = true;
        for (int r = 0; r < rows; r++) w.row[r] = quant8_row(h->q + (i + r) * h->stride, d, w.q + r * d4), w.sum[r] = 0;
        for (int64_t k = 0; k < blocks; k++) {
            int64_t n = kit_min(BK, h->t - k * BK);
            if (i == 0 || blocks > 1) {
                put_keys(h, d, k * BK, n, &b);
                put_values(h, d, k * BK, n, &b);
                keys = keys_finite(&b, n);
            }
            finite = finite && keys;
            some_rows(&w, d, &b, rows, n, k == 0);
        }
        for (int r = 0; r < rows; r++) {
            float *y = h->out + (i + r) * h->out_stride, inv = finite ? 1.0f / w.sum[r] : NAN;
            for (int64_t c = 0; c < d; c++) y[c] = w.o[r * D_MAX + c] * inv;
        }
    }
}
static int64_t attn_i8_tiles(const struct exec *x) { return (x->in[1].len - 1) * ((const struct attn_args *)x->attr)->heads; }
static void attn_i8_run(const struct exec *x, int64_t lo, int64_t hi) {
    for (int64_t t = lo; t < hi; t++) {
        struct head h = head_of(x, t);
        if (h.d == 32) attend(&h, 32);
        else if (h.d == 64) attend(&h, 64);
        else attend(&h, h.d);
    }
}
/* In plain loops and floats: what the bytes stand for. */
static void attn_i8_ref(const struct exec *x) {
    for (int64_t t = 0; t < attn_i8_tiles(x); t++) {
        struct head h = head_of(x, t);
        for (int64_t i = 0; i < h.t; i++)
            for (int64_t c = 0; c < h.d; c++) {
                double max = -INFINITY, sum = 0, o = 0;
                for (int pass = 0; pass < 2; pass++)
                    for (int64_t j = 0; j < h.t; j++) {
                        double s = 0;
                        for (int64_t k = 0; k < h.d; k++) s += (double)h.q[i * h.stride + k] * (double)h.k[j * h.stride + k];
                        s /= sqrt((double)h.d);
                        if (pass == 0) max = fmax(max, s);
                        else sum += exp(s - max), o += exp(s - max) * (double)h.v[j * h.stride + c];
                    }
                h.out[i * h.out_stride + c] = (float)(o / sum);
            }
    }
}

static const struct arg attn_arg[] = {
    {.name = "heads", .help = "heads", .type = ARG_INT, .flags = ARG_REQUIRED, .offset = offsetof(struct attn_args, heads), .lo = 1, .hi = 4096}, {0}};
static const struct sample none[] = {{0}}; /* tests/engine/int8_test.c */
const struct op ISA(op_attention_i8) = {
    .kind = {.name = "attention_i8", .help = "attention within each text, products in 8 bits", .args = attn_arg, .size = sizeof(struct attn_args)},
    .in_min = 2,
    .in_max = 2,
    .n_out = 1,
    .shape = attn_i8_shape,
    .grad = no_grad,
    .cost = attn_i8_cost,
    .ref = attn_i8_ref,
    .tiles = attn_i8_tiles,
    .run = attn_i8_run,
    .samples = none};
