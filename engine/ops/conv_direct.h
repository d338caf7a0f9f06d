/* The direct convolution over channel blocks: register tiles of output pixels times one vector of channels, weights packed so that they stream.
 * No intrinsics: GCC vector types, constants where a tile is called. */
#ifndef HONE_ENGINE_OPS_CONV_DIRECT_H
#define HONE_ENGINE_OPS_CONV_DIRECT_H

#include "engine/ops/image.h"

struct direct { /* one output row (or two) of one channel block */
    const float *x, *w; /* padded input at the row's first pixel; weights of this output block */
    int64_t planes, plane, wplane; /* input blocks, floats from one to the next, of the input and of the weights */
    int64_t taps, width; /* taps; input channels of a tap */
    const int64_t *xoff, *woff; /* of each tap */
    int64_t xs, xr, ys, yr; /* floats from a pixel to the next in its row, and from a row to the next */
    image_vec bias;
};

/* T pixels, TW of them in a row. DENSE: pixels and input channels lie side by side, so that addresses fold into the instructions. */
static inline __attribute__((always_inline)) void direct_tile(const struct direct *d, const int T, const int TW, const bool DENSE, const float *x, float *y) {
    image_vec acc[16];
    const int64_t xs = DENSE ? IMAGE_B : d->xs, xr = d->xr, width = DENSE ? IMAGE_B : d->width;
#pragma GCC unroll 16
    for (int r = 0; r < T; r++) acc[r] = d->bias;
    for (int64_t c = 0; c < d->planes; c++)
        for (int64_t t = 0; t < d->taps; t++) {
            const float *w = d->w + c * d->wplane + d->woff[t], *p = x + c * d->plane + d->xoff[t];
            for (int64_t i = 0; i < width; i++, w += IMAGE_B, p++) {
                image_vec v = *(const image_vec *)w;
#pragma GCC unroll 16
                for (int r = 0; r < T; r++) acc[r] += p[r / TW * xr + r % TW * xs] * v;
            }
        }
#pragma GCC unroll 16
    for (int r = 0; r < T; r++) *(image_vec *)(y + r / TW * d->yr + r % TW * d->ys) = acc[r];
}

/* rows x cols output pixels. */
static inline __attribute__((always_inline)) void direct_all(const struct direct *d, int64_t rows, int64_t cols, float *y, const bool dense) {
    int64_t r = 0;
    for (; cols == 8 && r + 2 <= rows; r += 2) direct_tile(d, 16, 8, dense, d->x + r * d->xr, y + r * d->yr);
    for (; cols == 7 && r + 2 <= rows; r += 2) direct_tile(d, 14, 7, dense, d->x + r * d->xr, y + r * d->yr);
    for (; cols == 4 && r + 4 <= rows; r += 4) direct_tile(d, 16, 4, dense, d->x + r * d->xr, y + r * d->yr);
    for (; r < rows; r++) {
        const float *x = d->x + r * d->xr;
        float *o = y + r * d->yr;
        int64_t c = 0;
        for (; cols % 14 == 0 && c < cols; c += 14) direct_tile(d, 14, 14, dense, x + c * d->xs, o + c * d->ys);
        for (; c + 16 <= cols; c += 16) direct_tile(d, 16, 16, dense, x + c * d->xs, o + c * d->ys);
        for (; c + 8 <= cols; c += 8) direct_tile(d, 8, 8, dense, x + c * d->xs, o + c * d->ys);
        for (; c + 4 <= cols; c += 4) direct_tile(d, 4, 4, dense, x + c * d->xs, o + c * d->ys);
        for (; c < cols; c++) direct_tile(d, 1, 1, dense, x + c * d->xs, o + c * d->ys);
    }
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
