/* The products of packed.h on the vectors of this instruction set (Goto and van de Geijn 2008): blocks of the sum stay in the second cache while tiles of
 * the result are made in registers. What costs is waiting for memory, so the tile at work fetches the lines of its result and those of the operands that come
 * next; copying the left operand into panels does not pay, but for rows so far apart that they meet in one set of the first cache. */
#include "engine/ops/packed.h"

#include <string.h>

#include "engine/ops/math.h"
#include "engine/ops/mm.h"
#include "engine/ops/turn.h"

#define KC 384 /* products of a block */
#define MC 96 /* rows of a block: a multiple of every MM_MR */
#define KT 128 /* of a block of packed_tn: it and the next of both operands, and the result, share the second cache */

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t columns(int64_t n) { return (n + MM_NR - 1) / MM_NR * MM_NR; }

size_t ISA(packed_size)(int64_t k, int64_t n) { return (size_t)k * (size_t)columns(n); }

/* One panel of a block: out[p][j]; t: b holds columns as rows. */
static void put_panel(bool t, const float *b, int64_t ldb, int64_t k, int64_t w, float *out) {
    if (w < MM_NR) memset(out, 0, (size_t)(k * MM_NR) * sizeof(float));
    if (t) turn(b, ldb, w, k, out, MM_NR);
    else if (w == MM_NR)
        for (int64_t p = 0; p < k; p++) memcpy(out + p * MM_NR, b + p * ldb, MM_NR * sizeof(float));
    else
        for (int64_t p = 0; p < k; p++)
            for (int64_t j = 0; j < w; j++) out[p * MM_NR + j] = b[p * ldb + j];
}
void ISA(packed_put_tiles)(bool t, const float *b, int64_t ldb, int64_t k, int64_t n, int64_t lo, int64_t hi, float *out) {
    int64_t to = least(n, hi * PACKED_COLS);
    for (int64_t p = 0; p < k; p += KC) {
        int64_t kc = least(KC, k - p);
        float *block = out + p * columns(n);
        for (int64_t j = lo * PACKED_COLS; j < to; j += MM_NR)
            put_panel(t, t ? b + j * ldb + p : b + p * ldb + j, ldb, kc, least(MM_NR, n - j), block + j * kc);
    }
}

void ISA(packed_put)(bool t, const float *b, int64_t ldb, int64_t k, int64_t n, float *out) {
    ISA(packed_put_tiles)(t, b, ldb, k, n, 0, (n + PACKED_COLS - 1) / PACKED_COLS, out);
}

/* What a tile fetches besides its result: two lines, `far` bytes apart and `step` further for each 8 products. */
struct ahead {
    const char *at;
    int64_t step, far;
};

/* c = init + a b; element (i, p) of a at i ar + p ak, row p of b at p bk; rows of init at i li. */
static inline __attribute__((always_inline)) void kernel(int64_t k, const float *a, const int64_t ar, const int64_t ak, const float *b, const int64_t bk,
    const float *init, int64_t li, float *c, int64_t ldc, struct ahead f) {
    mm_vec s[MM_MR][2] = {{{0}}};
    for (int64_t r = 0; k >= 8; k -= 8, r++, f.at += f.step) {
        if (r < MM_MR) __builtin_prefetch(c + r * ldc, 1), __builtin_prefetch(c + r * ldc + MM_NR - 1, 1);
        __builtin_prefetch(f.at, 0, 2), __builtin_prefetch(f.at + f.far, 0, 2);
        for (int q = 0; q < 8; q++, a += ak, b += bk) mm_products(a, ar, b, s);
    }
    for (; k > 0; k--, a += ak, b += bk) mm_products(a, ar, b, s);
#pragma GCC unroll 12
    for (int r = 0; r < MM_MR; r++) {
        mm_vec_u *o = (mm_vec_u *)(c + r * ldc);
        const mm_vec_u *z = (const mm_vec_u *)(init + r * li);
        o[0] = z[0] + s[r][0];
        o[1] = z[1] + s[r][1];
    }
}

struct tile { /* MM_MR x MM_NR of a product; what is not there of rows and columns is not written */
    const float *a, *b, *init; /* init: columns of row 0; li 0: the same for all rows */
    int64_t as, bk, li; /* as: stride of a that is not 1 */
    float *c;
    int64_t ldc, rows, w;
};
static const float zero[MM_NR];

static inline __attribute__((always_inline)) void tile_any(int64_t k, const struct tile *t, const bool down, const int64_t bk, struct ahead f) {
    float own[MM_MR * MM_NR] __attribute__((aligned(64)));
    const int64_t ar = down ? 1 : t->as, ak = down ? t->as : 1;
    if (t->rows == MM_MR && t->w == MM_NR) {
        kernel(k, t->a, ar, ak, t->b, bk, t->init, t->li, t->c, t->ldc, f);
        return;
    }
    kernel(k, t->a, ar, ak, t->b, bk, zero, 0, own, MM_NR, f);
    for (int64_t r = 0; r < t->rows; r++)
        for (int64_t j = 0; j < t->w; j++) t->c[r * t->ldc + j] = t->init[r * t->li + j] + own[r * MM_NR + j];
}
/* a in rows, b in panels | a in rows, b where it lies | a in columns, b where it lies */
static __attribute__((noinline)) void tile_panel(int64_t k, const struct tile *t, struct ahead f) { tile_any(k, t, false, MM_NR, f); }
static __attribute__((noinline)) void tile_rows(int64_t k, const struct tile *t, struct ahead f) { tile_any(k, t, false, t->bk, f); }
static __attribute__((noinline)) void tile_down(int64_t k, const struct tile *t, struct ahead f) { tile_any(k, t, true, t->bk, f); }

void ISA(packed_activate)(enum packed_act act, float *c, int64_t ldc, int64_t rows, int64_t w) {
    for (int64_t r = 0; act == PACKED_GELU && r < rows; r++) {
#pragma omp simd
        for (int64_t j = 0; j < w; j++) c[r * ldc + j] = math_gelu(c[r * ldc + j]);
    }
    for (int64_t r = 0; act == PACKED_GELU_TANH && r < rows; r++) {
#pragma omp simd
        for (int64_t j = 0; j < w; j++) c[r * ldc + j] = math_gelu_tanh(c[r * ldc + j]);
    }
}

/* Rows that meet in one set of the first cache (4 KiB apart), and the last few, are copied. */
static const float *rows_at(const float *a, int64_t lda, int64_t rows, int64_t kc, float *copy, int64_t *as) {
    *as = lda;
    if (rows % MM_MR == 0 && lda % 1024 != 0) return a;
    int64_t from = lda % 1024 == 0 ? 0 : rows / MM_MR * MM_MR, up = (rows + MM_MR - 1) / MM_MR * MM_MR;
    for (int64_t r = from; r < rows; r++) memcpy(copy + r * kc, a + r * lda, (size_t)kc * sizeof(float));
    if (up > rows) memset(copy + rows * kc, 0, (size_t)((up - rows) * kc) * sizeof(float));
    if (!from) *as = kc;
    return from ? a : copy;
}

/* Rows of at most MC; b: packed, or where it lies. */
static void rows_block(int64_t m, int64_t n, int64_t k, const float *a, int64_t lda, bool packed, const float *b, int64_t ldb, const float *bias,
    enum packed_act act, float *c, int64_t ldc) {
    float copy[MC * KC] __attribute__((aligned(64))), edge[KC * MM_NR] __attribute__((aligned(64)));
    for (int64_t p = 0; p < k; p += KC) {
        int64_t kc = least(KC, k - p), as;
        const float *rows = rows_at(a + p, lda, m, kc, copy, &as);
        for (int64_t j = 0; j < n; j += MM_NR) {
            struct tile t = {.b = packed ? b + p * columns(n) + j * kc : b + p * ldb + j, .bk = packed ? MM_NR : ldb, .ldc = ldc, .w = least(MM_NR, n - j)};
            if (!packed && t.w < MM_NR) {
                put_panel(false, t.b, ldb, kc, t.w, edge);
                t.b = edge, t.bk = MM_NR;
            }
            struct ahead f = packed ? (struct ahead){(const char *)(t.b + kc * MM_NR), 64, kc / 8 * 64}
                                    : (struct ahead){(const char *)(t.b + MM_NR), 4 * ldb, kc / 8 * 4 * ldb};
            for (int64_t i = 0; i < m; i += MM_MR) {
                bool last = i + MM_MR > m && rows == a + p;
                t.a = last ? copy + i * kc : rows + i * as, t.as = last ? kc : as, t.rows = least(MM_MR, m - i);
                t.c = c + i * ldc + j, t.init = p ? t.c : bias ? bias + j : zero, t.li = p ? ldc : 0;
                if (packed || t.b == edge) tile_panel(kc, &t, f);
                else tile_rows(kc, &t, f);
                f.at += 2 * f.far;
                if (act && p + kc == k) ISA(packed_activate)(act, t.c, ldc, t.rows, t.w);
            }
        }
    }
}
void ISA(packed_gemm_act)(
    int64_t m, int64_t n, int64_t k, const float *a, int64_t lda, const float *packed, const float *bias, enum packed_act act, float *c, int64_t ldc) {
    for (int64_t i = 0; i < m; i += MC) rows_block(least(MC, m - i), n, k, a + i * lda, lda, true, packed, 0, bias, act, c + i * ldc, ldc);
}
void ISA(packed_gemm)(int64_t m, int64_t n, int64_t k, const float *a, int64_t lda, const float *packed, const float *bias, float *c, int64_t ldc) {
    ISA(packed_gemm_act)(m, n, k, a, lda, packed, bias, PACKED_NO_ACT, c, ldc);
}
void ISA(packed_nn)(int64_t m, int64_t n, int64_t k, const float *a, int64_t lda, const float *b, int64_t ldb, float *c, int64_t ldc) {
    for (int64_t i = 0; i < m; i += MC) rows_block(least(MC, m - i), n, k, a + i * lda, lda, false, b, ldb, NULL, PACKED_NO_ACT, c + i * ldc, ldc);
}

/* Tiles of the transposed result: rows are weights, columns the packed rows. */
void ISA(packed_few)(
    int64_t m, int64_t k, const float *packed, const float *w, const float *bias, enum packed_act act, float *c, int64_t ldc, int64_t lo, int64_t hi) {
    float copy[MM_MR * KC] __attribute__((aligned(64))), own[MM_MR * MM_NR] __attribute__((aligned(64)));
    for (int64_t i = lo; i < hi; i += MM_MR) {
        int64_t rows = least(MM_MR, hi - i);
        for (int64_t j = 0; j < m; j += MM_NR) {
            for (int r = 0; r < MM_MR; r++)
                for (int q = 0; q < MM_NR; q++) own[r * MM_NR + q] = bias && r < rows ? bias[i + r] : 0;
            for (int64_t p = 0; p < k; p += KC) {
                int64_t kc = least(KC, k - p), as;
                struct tile t = {.b = packed + p * columns(m) + j * kc, .init = own, .li = MM_NR, .c = own, .ldc = MM_NR, .rows = MM_MR, .w = MM_NR};
                t.a = rows_at(w + i * k + p, k, rows, kc, copy, &as), t.as = as;
                tile_panel(kc, &t, (struct ahead){(const char *)(w + (i + MM_MR) * k) + (j / MM_NR * k + p) / 8 * 128, 128, 64});
            }
            turn(own, MM_NR, rows, least(MM_NR, m - j), c + j * ldc + i, ldc);
        }
    }
    ISA(packed_activate)(act, c + lo, ldc, m, hi - lo);
}

/* Columns of a (rows of the result) and of b that fill no tile, copied with zeros behind. */
static const float *edge_of(const float *x, int64_t ld, int64_t k, int64_t w, int64_t to, float *copy) {
    memset(copy, 0, (size_t)(k * to) * sizeof(float));
    for (int64_t p = 0; p < k; p++)
        for (int64_t j = 0; j < w; j++) copy[p * to + j] = x[p * ld + j];
    return copy;
}
void ISA(packed_tn)(int64_t m, int64_t n, int64_t k, const float *a, int64_t lda, const float *b, int64_t ldb, float *c, int64_t ldc) {
    float ea[KT * MM_MR] __attribute__((aligned(64))), eb[KT * MM_NR] __attribute__((aligned(64)));
    int64_t la = (m + 15) / 16, lb = (n + 15) / 16, calls = ((m + MM_MR - 1) / MM_MR) * ((n + MM_NR - 1) / MM_NR); /* lines of a row, tiles */
    for (int64_t p = 0; p < k; p += KT) {
        int64_t kc = least(KT, k - p), each = kc / 8 * 2, groups = each ? (kc + each - 1) / each : 1, q = 0;
        const float *pa = a + p * lda, *pb = b + p * ldb;
        if (m % MM_MR) edge_of(pa + m / MM_MR * MM_MR, lda, kc, m % MM_MR, MM_MR, ea);
        if (n % MM_NR) edge_of(pb + n / MM_NR * MM_NR, ldb, kc, n % MM_NR, MM_NR, eb);
        for (int64_t j = 0; j < n; j += MM_NR)
            for (int64_t i = 0; i < m; i += MM_MR, q++) {
                int64_t u = q * groups * (la + lb) / calls, col = u / groups, row = KT + u % groups * each; /* each call fetches a piece of the next block */
                struct ahead f = col < la ? (struct ahead){(const char *)(pa + row * lda + col * 16), 4 * lda, each * 2 * lda}
                                          : (struct ahead){(const char *)(pb + row * ldb + (col - la) * 16), 4 * ldb, each * 2 * ldb};
                struct tile t = {
                    .a = pa + i, .as = lda, .b = pb + j, .bk = ldb, .c = c + i * ldc + j, .ldc = ldc, .rows = least(MM_MR, m - i), .w = least(MM_NR, n - j)};
                if (t.rows < MM_MR) t.a = ea, t.as = MM_MR;
                if (t.w < MM_NR) t.b = eb, t.bk = MM_NR;
                t.init = p ? t.c : zero, t.li = p ? ldc : 0;
                tile_down(kc, &t, f);
            }
    }
}
