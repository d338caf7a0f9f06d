/* The packed product of packed_half.h: left panels of MC rows, right panels of blocks of at most BLOCK pairs. */
#include "engine/ops/packed_half.h"

#include "engine/ops/half_tile.h"

#define BLOCK (HALF_BLOCK / 2)
#define DEEP 256 /* of sums that take more than one block: it and the next of the left operand share the second cache */
#define MC (16 * MM_MR)

static inline int64_t left_ld(enum dtype as) { return pair_len(as) * BLOCK; } /* floats between rows of the left panel */
/* Pairs of a block, so that blocks are about equally deep. */
static int64_t block_of(int64_t k) {
    int64_t pairs = (k + 1) / 2, most = pairs > BLOCK ? DEEP : BLOCK, blocks = (pairs + most - 1) / most;
    return blocks > 1 ? up((pairs + blocks - 1) / blocks, 16) : pairs;
}

size_t ISA(half_size)(int64_t k, int64_t n) { return (size_t)up(k, 2) * (size_t)up(n, MM_NR) * sizeof(float); }

void ISA(half_put)(enum dtype as, bool t, struct half_mat b, int64_t k, int64_t n, int64_t from, int64_t to, void *out) {
    float *o = out;
    int64_t block = 2 * block_of(k), len = pair_len(as);
    for (int64_t p = 0; p < k; p += block) {
        int64_t kc = least(block, k - p), words = (kc + 1) / 2 * len;
        for (int64_t j = from; j < to; j += MM_NR) {
            struct half_mat at = {half_at(b.type, b.data, t ? j * b.ld + p : p * b.ld + j), b.ld, b.type};
            put_panel(as, t, at, kc, least(MM_NR, n - j), o + j * words);
        }
        o += up(n, MM_NR) * words;
    }
}

/* MC rows of the left operand: rows left_ld apart, or for a transposed one panels of [words][MM_MR]. Rows up to a multiple of MM_MR are zero. */
static void put_left(enum dtype as, bool t, struct half_mat a, int64_t m, int64_t k, float *out) {
    int64_t pairs = (k + 1) / 2, len = pair_len(as);
    if (!t) {
        for (int64_t r = 0; r < m; r++) put_row(as, a.type, half_at(a.type, a.data, r * a.ld), k, out + r * left_ld(as));
        for (int64_t r = m; r < up(m, MM_MR); r++) memset(out + r * left_ld(as), 0, (size_t)(pairs * len) * sizeof(float));
        return;
    }
    for (int64_t i = 0; i < m; i += MM_MR, out += pairs * len * MM_MR)
        put_columns(as, (struct half_mat){half_at(a.type, a.data, i), a.ld, a.type}, k, least(MM_MR, m - i), out);
}

static void multiply(enum dtype as, bool t, int64_t k, const float *a, const float *b, float *c, int64_t ldc, bool add) {
    if (t) columns_tile(as, k, a, b, c, ldc, add);
    else rows_tile(as, k, a, BLOCK, b, c, ldc, add);
}
/* One tile of C: whole ones are summed where they lie, others beside. */
static void tile(enum dtype as, bool t, int64_t k, const float *a, const float *b, const float *bias, bool first, struct half_mat c, int64_t rows, int64_t w) {
    float own[MM_MR * MM_NR] __attribute__((aligned(64))), *o = (float *)(uintptr_t)c.data;
    if (c.type == DT_F32 && rows == MM_MR && w == MM_NR) {
        for (int r = 0; first && bias && r < MM_MR; r++) memcpy(o + r * c.ld, bias, sizeof(float) * MM_NR);
        multiply(as, t, k, a, b, o, c.ld, !first || bias);
        return;
    }
    for (int r = 0; first && bias && r < MM_MR; r++) memcpy(own + r * MM_NR, bias, (size_t)w * sizeof(float));
    multiply(as, t, k, a, b, own, MM_NR, first && bias);
    for (int64_t r = 0; r < rows; r++) {
        if (c.type != DT_F32) half_down(c.type, own + r * MM_NR, w, (void *)(uintptr_t)half_at(c.type, c.data, r * c.ld));
        else
            for (int64_t j = 0; j < w; j++) o[r * c.ld + j] = first ? own[r * MM_NR + j] : o[r * c.ld + j] + own[r * MM_NR + j];
    }
}

/* The rows of the left operand that come next are fetched a few lines a tile. */
struct ahead {
    const char *row;
    int64_t ld, lines, line, left, each; /* bytes between rows, lines of a row, the one that is next, lines to go, lines of a tile */
};
static struct ahead ahead_of(struct half_mat a, int64_t rows, int64_t w, int64_t tiles) {
    int64_t item = a.type == DT_F32 ? 4 : 2, lines = (w * item + 63) / 64;
    return (struct ahead){a.data, a.ld * item, lines, 0, rows * lines, (rows * lines + tiles - 1) / tiles};
}
static inline void ahead_fetch(struct ahead *f) {
    for (int64_t i = least(f->each, f->left); i > 0; i--) {
        __builtin_prefetch(f->row + 64 * f->line, 0, 2);
        if (++f->line == f->lines) f->line = 0, f->row += f->ld;
    }
    f->left -= least(f->each, f->left);
}

void ISA(half_gemm)(enum dtype as, bool ta, int64_t m, int64_t n, int64_t k, struct half_mat a, const void *packed, const float *bias, struct half_mat c) {
    float left[MC * 2 * BLOCK] __attribute__((aligned(64)));
    int64_t block = 2 * block_of(k), len = pair_len(as);
    for (int64_t i0 = 0; i0 < m; i0 += MC) {
        int64_t mc = least(MC, m - i0), tiles = up(mc, MM_MR) / MM_MR * (up(n, MM_NR) / MM_NR);
        const float *b = packed;
        for (int64_t p = 0; p < k; p += block) {
            int64_t kc = least(block, k - p), words = (kc + 1) / 2 * len, p1 = p + block < k ? p + block : 0, i1 = p1 ? i0 : i0 + MC, kn = least(block, k - p1);
            struct half_mat from = {half_at(a.type, a.data, ta ? p * a.ld + i0 : i0 * a.ld + p), a.ld, a.type},
                            next = {half_at(a.type, a.data, ta ? p1 * a.ld + i1 : i1 * a.ld + p1), a.ld, a.type};
            struct ahead f = ahead_of(next, ta ? kn : mc, ta ? mc : kn, tiles);
            put_left(as, ta, from, mc, kc, left);
            for (int64_t j = 0; j < n; j += MM_NR, b += words * MM_NR)
                for (int64_t i = 0; i < mc; i += MM_MR) {
                    struct half_mat to = {half_at(c.type, c.data, (i0 + i) * c.ld + j), c.ld, c.type};
                    ahead_fetch(&f);
                    tile(as, ta, words, left + (ta ? i * words : i * left_ld(as)), b, bias ? bias + j : NULL, p == 0, to, least(MM_MR, mc - i),
                        least(MM_NR, n - j));
                }
        }
    }
}
