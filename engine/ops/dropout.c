/* Dropout with a live probability: y = x / (1 - p) where the random number of the element is >= p, else 0. The mask is not stored: the gradient is the same
 * op on dy with the same stream. Numbers are Philox blocks of (stream, step, element / 4), so any cut into tiles gives the same mask. */
#include "engine/ops/kit.h"
#include "src/base/rng.h"

#define GRAIN 4096 /* elements a tile, a multiple of 4 LANES */

static int dropout_shape(struct shaping *s, struct err *e) {
    if (!kit_float(s, 0) || !kit_float(s, 1) || s->in[1]->ndim != 0) return err_set(e, "needs values and one probability");
    kit_like(&s->out[0], s->in[0]);
    s->n_out = 1;
    return 0;
}
static int dropout_grad(struct graph *g, const struct node *n, const tid *dout, tid *din, struct err *e) {
    return (din[0] = graph_add2(g, "dropout", dout[0], n->in[1], e)) < 0 ? -1 : 0;
}
/* An element stays if its 32 random bits are >= p 2^32; p >= 1 drops all. */
static uint64_t limit_of(double p) { return !(p > 0) ? 0 : p >= 1 ? (uint64_t)1 << 32 : (uint64_t)(p * 4294967296.0); }
static void dropout_ref(const struct exec *x) {
    double p = view_get(&x->in[1], 0), k = p < 1 ? 1 / (1 - (p > 0 ? p : 0)) : 0;
    for (int64_t i = 0; i < x->in[0].len; i++) {
        bool stays = rng_u32(x->stream, x->step, (uint64_t)i) >= limit_of(p);
        view_put(&x->out[0], i, stays ? k * view_get(&x->in[0], i) : 0);
    }
}
static int64_t dropout_tiles(const struct exec *x) { return kit_tiles(x->in[0].len, GRAIN); }
/* LANES blocks of rng_block at once (Philox4x32-10, as src/base/rng.c), element by element; the op test holds them together. */
#define LANES 16
static void random_lanes(const struct exec *x, uint64_t first, uint32_t out[4 * LANES]) {
    uint32_t c0[LANES], c1[LANES], c2[LANES], c3[LANES], k0 = (uint32_t)x->stream, k1 = (uint32_t)(x->stream >> 32);
    for (int i = 0; i < LANES; i++) {
        c0[i] = (uint32_t)(first + (uint64_t)i), c1[i] = (uint32_t)((first + (uint64_t)i) >> 32);
        c2[i] = (uint32_t)x->step, c3[i] = (uint32_t)(x->step >> 32);
    }
    for (int round = 0; round < 10; round++, k0 += 0x9E3779B9u, k1 += 0xBB67AE85u) {
#pragma omp simd
        for (int i = 0; i < LANES; i++) {
            uint64_t a = (uint64_t)0xD2511F53u * c0[i], b = (uint64_t)0xCD9E8D57u * c2[i];
            c0[i] = (uint32_t)(b >> 32) ^ c1[i] ^ k0;
            c1[i] = (uint32_t)b;
            c2[i] = (uint32_t)(a >> 32) ^ c3[i] ^ k1;
            c3[i] = (uint32_t)a;
        }
    }
    for (int i = 0; i < LANES; i++) out[4 * i] = c0[i], out[4 * i + 1] = c1[i], out[4 * i + 2] = c2[i], out[4 * i + 3] = c3[i];
}
static void dropout_run(const struct exec *x, int64_t lo, int64_t hi) {
    double p = (double)*(const float *)x->in[1].data;
    float k = p < 1 ? (float)(1 / (1 - (p > 0 ? p : 0))) : 0;
    uint32_t limit = p < 1 ? (uint32_t)limit_of(p) : 0, r[4 * LANES];
    const float *a = x->in[0].data;
    float *y = x->out[0].data;
    int64_t to = kit_min(x->in[0].len, hi * GRAIN);
    for (int64_t i = lo * GRAIN; i < to; i += 4 * LANES) {
        int64_t n = kit_min(4 * LANES, to - i);
        random_lanes(x, (uint64_t)i / 4, r);
        for (int64_t j = 0; j < n; j++) y[i + j] = r[j] >= limit && k > 0 ? k * a[i + j] : 0;
    }
}

static const struct sample dropout_samples[] = {{NULL, "f(R,4) s(0.5)"}, {NULL, "f(R,3,5) s(0.1)"}, {NULL, "f(T0,33) s(0)"}, {NULL, "f(R,7) s(0.9)"}, {0}};

const struct op ISA(op_dropout) = {
    .kind = {.name = "dropout", .help = "sets a share p of the values to 0 and scales the rest by 1 / (1 - p)"}, .in_min = 2, .in_max = 2, .n_out = 1,
    .flags = OP_RANDOM | OP_INPLACE, .shape = dropout_shape, .grad = dropout_grad, .ref = dropout_ref, .tiles = dropout_tiles, .run = dropout_run, .samples = dropout_samples};
