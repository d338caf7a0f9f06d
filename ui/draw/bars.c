/* Bars and pictures from block characters; ASCII where the set asks for it. */
#include "config.h"

#include "ui/draw/bars.h"

#include <math.h>

#define FULL_BLOCK 0x2588
#define LOWER_HALF 0x2584
#define UPPER_HALF 0x2580

void draw_hist(struct grid *g, struct rect r, const double *v, int n, enum glyphs set, struct style s) {
    double most = 0;
    if (n < 1 || r.rows < 1) return;
    for (int i = 0; i < n; i++)
        if (isfinite(v[i]) && v[i] > most) most = v[i];
    for (int x = 0; x < r.cols && most > 0; x++) {
        int from = x * n / r.cols, to = (x + 1) * n / r.cols;
        double h = 0;
        for (int i = from; i < n && (i < to || i == from); i++)
            if (v[i] > h) h = v[i];
        int units = (int)ceil(h / most * 2 * r.rows - 1e-9);
        for (int y = 0; y * 2 < units; y++) {
            bool whole = units - 2 * y >= 2;
            grid_put(g, r.row + r.rows - 1 - y, r.col + x, s, set == GLYPHS_ASCII ? (whole ? '#' : ':') : whole ? FULL_BLOCK : LOWER_HALF);
        }
    }
}

void draw_share(struct grid *g, int row, int col, int cols, double share, enum glyphs set, struct style s) {
    int n = !(share > 0) ? 0 : (int)lround((share < 1 ? share : 1) * cols);
    if (share >= 0.005 && n == 0) n = 1;
    grid_fill(g, row, col, n, s, set == GLYPHS_ASCII ? '#' : set == GLYPHS_LINE ? 0x2501 : FULL_BLOCK);
}

/* Mean brightness 0..1 of a box of pixels. */
static double bright(const uint8_t *p, int c, int h, int w, double y0, double y1, double x0, double x1) {
    double sum = 0;
    int n = 0;
    for (int y = (int)y0; y < h && y < (int)ceil(y1); y++)
        for (int x = (int)x0; x < w && x < (int)ceil(x1); x++)
            for (int k = 0; k < c; k++, n++) sum += p[((size_t)k * (size_t)h + (size_t)y) * (size_t)w + (size_t)x];
    return n ? sum / (255.0 * n) : 0;
}

int draw_picture(struct grid *g, struct rect r, const uint8_t *p, int c, int h, int w, enum glyphs set) {
    static const char ramp[] = " .:-=+*#%@";
    int cols = w < r.cols ? w : r.cols, lines = h < 2 * r.rows ? h : 2 * r.rows; /* a cell is twice as high as wide */
    if (cols < 1 || lines < 1) return 0;
    double sx = (double)w / cols, sy = (double)h / lines, s = sx > sy ? sx : sy; /* one scale both ways */
    cols = (int)(w / s), lines = (int)(h / s);
    for (int y = 0; y < (lines + 1) / 2; y++)
        for (int x = 0; x < cols; x++) {
            double top = bright(p, c, h, w, 2 * y * s, (2 * y + 1) * s, x * s, (x + 1) * s);
            double low = 2 * y + 1 < lines ? bright(p, c, h, w, (2 * y + 1) * s, (2 * y + 2) * s, x * s, (x + 1) * s) : 0;
            uint32_t cp;
            if (set == GLYPHS_ASCII || set == GLYPHS_LINE) cp = (uint32_t)ramp[(int)((top + low) / 2 * 9.999)];
            else cp = top >= 0.35 ? (low >= 0.35 ? FULL_BLOCK : UPPER_HALF) : low >= 0.35 ? LOWER_HALF : top + low >= 0.3 ? 0x2591 : ' ';
            grid_put(g, r.row + y, r.col + x, (struct style){INK_TEXT, 0}, cp);
        }
    return (lines + 1) / 2;
}
