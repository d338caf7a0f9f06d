/* The direct convolution over channel blocks: register tiles of output pixels times one vector of channels, weights packed so that they stream.
 * No intrinsics: GCC vector types, constants where a tile is called. */
#ifndef HONE_ENGINE_OPS_CONV_DIRECT_H
#define HONE_ENGINE_OPS_CONV_DIRECT_H

#include "engine/ops/image.h"

/* Taps that meet only the zero border at some pixels of a tile are cut to the others: 0 all, else 3 row + column with 1: not the first row or column, 2: not
 * the last; or left out. By the tile's number of rows (1, 2, 4) and where it touches the image: bit 0 at its start, bit 1 at its end. */
#define EDGE_TAPS 25
#define EDGE_SKIP 9
struct direct_edges {
    uint8_t cut[3][4][4][EDGE_TAPS];
};
struct direct_span { /* output rows or columns at which a tap falls inside the image */
    int64_t from, n;
};

struct direct { /* one output row (or two) of one channel block */
    const float *x, *w; /* padded input at the row's first pixel; weights of this output block */
    int64_t planes, plane, wplane; /* input blocks, floats from one to the next, of the input and of the weights */
    int64_t taps, width; /* taps; input channels of a tap */
    const int64_t *xoff, *woff; /* of each tap */
    const struct direct_edges *edges; /* NULL: no tap is cut */
    int64_t xs, xr, ys, yr; /* floats from a pixel to the next in its row, and from a row to the next */
    image_vec bias;
};

/* The cut of a tap in a tile of `tile` rows (or columns) that touches the image at `at`; EDGE_SKIP: it meets only zeros. */
static inline int direct_cut(struct direct_span in, int64_t all, int64_t tile, int at) {
    int64_t first = at & 1 ? in.from : 0, last = at & 2 ? all - in.from - in.n : 0;
    if (first >= tile || last >= tile || in.n <= 0) return EDGE_SKIP;
    return first == 1 && last == 0 ? 1 : last == 1 && first == 0 ? 2 : 0;
}
/* Do the cuts leave out every border pixel this tap would read, so that no border is needed? Not where tiles are left over that have no cuts: single pixels
 * (a last row of 7) and four rows at once. */
static inline bool direct_exact(struct direct_span row, int64_t rows, struct direct_span col, int64_t cols) {
    return rows - row.n <= 1 && cols - col.n <= 1 && rows > 1 && ((cols == 7 && rows % 2 == 0) || (cols > 4 && cols % 4 == 0) || cols % 14 == 0);
}
static inline void direct_edge(struct direct_edges *e, int64_t tap, struct direct_span row, int64_t rows, struct direct_span col, int64_t cols) {
    static const int64_t tile_rows[3] = {1, 2, 4};
    for (int i = 0; i < 3; i++)
        for (int r = 0; r < 4; r++)
            for (int c = 0; c < 4; c++) {
                int down = direct_cut(row, rows, tile_rows[i], r), across = direct_cut(col, cols, 4, c);
                if (down != EDGE_SKIP && i != 1) down = 0;
                e->cut[i][r][c][tap] = (uint8_t)(down == EDGE_SKIP ? EDGE_SKIP : 3 * down + (across == EDGE_SKIP ? 0 : across));
            }
}

struct direct_at { /* what one tap of a tile reads */
    const float *x, *w;
    int64_t xs, xr, width;
};
/* Rows r0 .. r1 and columns c0 .. c1 of a tile of T pixels, TW in a row. */
static inline __attribute__((always_inline)) void direct_tap(
    image_vec *acc, struct direct_at t, const int T, const int TW, const int r0, const int r1, const int c0, const int c1) {
    for (int64_t i = 0; i < t.width; i++, t.w += IMAGE_B, t.x++) {
        image_vec v = *(const image_vec *)t.w;
#pragma GCC unroll 16
        for (int r = 0; r < T; r++)
            if (r / TW >= r0 && r / TW < r1 && r % TW >= c0 && r % TW < c1) acc[r] += t.x[r / TW * t.xr + r % TW * t.xs] * v;
    }
}
static inline __attribute__((always_inline)) void direct_row_taps(
    image_vec *acc, struct direct_at t, const int T, const int TW, const int r0, const int r1, int across) {
    if (across == 0) direct_tap(acc, t, T, TW, r0, r1, 0, TW);
    else if (across == 1) direct_tap(acc, t, T, TW, r0, r1, 1, TW);
    else direct_tap(acc, t, T, TW, r0, r1, 0, TW - 1);
}
/* T pixels, TW of them in a row; cut: of each tap. DENSE: pixels and input channels lie side by side, so that addresses fold into the instructions. */
static inline __attribute__((always_inline)) void direct_tile(
    const struct direct *d, const int T, const int TW, const bool DENSE, const float *x, float *y, const uint8_t *cut) {
    image_vec acc[16];
    const int64_t xs = DENSE ? IMAGE_B : d->xs, xr = d->xr, width = DENSE ? IMAGE_B : d->width;
    const int TR = T / TW;
#pragma GCC unroll 16
    for (int r = 0; r < T; r++) acc[r] = d->bias;
    for (int64_t c = 0; c < d->planes; c++)
        for (int64_t t = 0; t < d->taps; t++) {
            struct direct_at at = {x + c * d->plane + d->xoff[t], d->w + c * d->wplane + d->woff[t], xs, xr, width};
            int k = cut ? cut[t] : 0;
            if (k < 3) direct_row_taps(acc, at, T, TW, 0, TR, k);
            else if (k == EDGE_SKIP) continue;
            else if (TR == 2 && k < 6) direct_row_taps(acc, at, T, TW, 1, TR, k - 3);
            else if (TR == 2) direct_row_taps(acc, at, T, TW, 0, TR - 1, k - 6);
        }
#pragma GCC unroll 16
    for (int r = 0; r < T; r++) *(image_vec *)(y + r / TW * d->yr + r % TW * d->ys) = acc[r];
}
/* The cuts of a tile of n rows (1, 2 or 4) and w columns at (r, c) of rows x cols. */
static inline const uint8_t *direct_cuts(const struct direct *d, int64_t r, int64_t n, int64_t rows, int64_t c, int64_t w, int64_t cols) {
    return d->edges ? d->edges->cut[n == 1 ? 0 : n == 2 ? 1 : 2][(r == 0) + 2 * (r + n == rows)][(c == 0) + 2 * (c + w == cols)] : NULL;
}

/* rows x cols output pixels. */
static inline __attribute__((always_inline)) void direct_all(const struct direct *d, int64_t rows, int64_t cols, float *y, const bool dense) {
#define WHOLE_ROWS(W, N) \
    for (; cols == W && r + N <= rows; r += N) direct_tile(d, N *W, W, dense, d->x + r * d->xr, y + r * d->yr, direct_cuts(d, r, N, rows, 0, W, cols));
#define PART_ROW(W, fits) \
    for (; fits; c += W) direct_tile(d, W, W, dense, x + c * d->xs, o + c * d->ys, direct_cuts(d, r, 1, rows, c, W, cols));
    int64_t r = 0;
    WHOLE_ROWS(8, 2)
    WHOLE_ROWS(7, 2)
    WHOLE_ROWS(4, 4)
    for (; r < rows; r++) {
        const float *x = d->x + r * d->xr;
        float *o = y + r * d->yr;
        int64_t c = 0;
        PART_ROW(14, cols % 14 == 0 && c < cols)
        PART_ROW(16, c + 16 <= cols)
        PART_ROW(8, c + 8 <= cols)
        PART_ROW(4, c + 4 <= cols)
        for (; c < cols; c++) direct_tile(d, 1, 1, dense, x + c * d->xs, o + c * d->ys, NULL);
    }
#undef WHOLE_ROWS
#undef PART_ROW
}
static inline void direct_rows(const struct direct *d, int64_t rows, int64_t cols, float *y) {
    if (d->xs == IMAGE_B && d->width == IMAGE_B) direct_all(d, rows, cols, y, true);
    else direct_all(d, rows, cols, y, false);
}

/* w[j] += sum over rows x cols pixels of x[pixel][j] dy[pixel], j < M: a rank-1 update a pixel, held in registers. */
static inline __attribute__((always_inline)) void outer_tile(
    const int M, const float *x, int64_t xs, int64_t xr, const float *dy, int64_t dyr, int64_t rows, int64_t cols, float *w) {
    image_vec acc[16];
#pragma GCC unroll 16
    for (int j = 0; j < M; j++) acc[j] = *(image_vec *)(w + j * IMAGE_B);
    for (int64_t r = 0; r < rows; r++) {
        const float *p = x + r * xr, *q = dy + r * dyr;
        for (int64_t c = 0; c < cols; c++, p += xs, q += IMAGE_B) {
            image_vec v = *(const image_vec *)q;
#pragma GCC unroll 16
            for (int j = 0; j < M; j++) acc[j] += p[j] * v;
        }
    }
#pragma GCC unroll 16
    for (int j = 0; j < M; j++) *(image_vec *)(w + j * IMAGE_B) = acc[j];
}
static inline void outer(int64_t m, const float *x, int64_t xs, int64_t xr, const float *dy, int64_t dyr, int64_t rows, int64_t cols, float *w) {
    for (; m >= 16; m -= 16, x += 16, w += 16 * IMAGE_B) outer_tile(16, x, xs, xr, dy, dyr, rows, cols, w);
    for (; m >= 8; m -= 8, x += 8, w += 8 * IMAGE_B) outer_tile(8, x, xs, xr, dy, dyr, rows, cols, w);
    for (; m >= 3; m -= 3, x += 3, w += 3 * IMAGE_B) outer_tile(3, x, xs, xr, dy, dyr, rows, cols, w);
    for (; m >= 1; m--, x++, w += IMAGE_B) outer_tile(1, x, xs, xr, dy, dyr, rows, cols, w);
}

#endif
