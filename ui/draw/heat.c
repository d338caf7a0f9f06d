/* Heat maps of histograms; see the header. */
#include "config.h"

#include "ui/draw/heat.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "ui/draw/fmt.h"

enum { LABEL = 8 }; /* columns of the labels, axis included */

bool heat_read(const char *text, struct heat_col *c) {
    int used = 0;
    if (!text || sscanf(text, "%lf %lf %n", &c->lo, &c->hi, &used) < 2 || !isfinite(c->lo) || !isfinite(c->hi) || strlen(text + used) < 2 * HEAT_BINS)
        return false;
    for (int i = 0; i < HEAT_BINS; i++) {
        unsigned x;
        if (sscanf(text + used + 2 * i, "%2x", &x) != 1) return false;
        c->bin[i] = x;
    }
    c->there = true;
    return true;
}

/* What holds all bins with at least 1 % of the fullest, over all columns. */
static bool range(const struct heat_col *col, int n, double *lo, double *hi) {
    bool any = false;
    for (int i = 0; i < n; i++) {
        double most = 0, w = (col[i].hi - col[i].lo) / HEAT_BINS;
        int first = HEAT_BINS, last = -1;
        for (int b = 0; b < HEAT_BINS && col[i].there; b++) most = fmax(most, col[i].bin[b]);
        for (int b = 0; b < HEAT_BINS && most > 0; b++)
            if (col[i].bin[b] >= 0.01 * most) first = b < first ? b : first, last = b;
        if (last < 0) continue;
        double a = col[i].lo + first * w, z = col[i].lo + (last + 1) * w;
        *lo = any ? fmin(*lo, a) : a;
        *hi = any ? fmax(*hi, z) : z;
        any = true;
    }
    if (any && !(*hi > *lo)) *hi = *lo + fmax(fabs(*lo) * 0.1, 1e-12), *lo -= *hi - *lo;
    return any;
}

/* Mass of one histogram in each of `rows` equal parts of lo..hi, the first the highest values; as a share of the fullest. */
static void spread(const struct heat_col *c, double lo, double hi, int rows, double *out) {
    double w = (c->hi - c->lo) / HEAT_BINS, each = (hi - lo) / rows, most = 0;
    for (int y = 0; y < rows; y++) out[y] = 0;
    for (int b = 0; b < HEAT_BINS; b++) {
        double a = c->lo + b * w, z = a + w;
        for (int y = 0; y < rows; y++) {
            double bottom = hi - (y + 1) * each, top = hi - y * each, part = fmin(z, top) - fmax(a, bottom);
            if (w <= 0) part = a >= bottom && a <= top ? 1 : 0; /* all values are one */
            else part = part > 0 ? part / w : 0;
            out[y] += c->bin[b] * part;
        }
    }
    for (int y = 0; y < rows; y++) most = fmax(most, out[y]);
    for (int y = 0; y < rows && most > 0; y++) out[y] /= most;
}

static uint32_t shade(double part, enum glyphs set) {
    static const char plain[] = " .:-=+*#%@";
    static const uint32_t blocks[] = {' ', 0x2591, 0x2592, 0x2593, 0x2588};
    bool asc = set == GLYPHS_ASCII;
    int last = asc ? 9 : 4, level = part <= 0.004 ? 0 : 1 + (int)(sqrt(part) * last - 1e-9); /* tails are seen as well */
    if (level > last) level = last;
    return asc ? (uint32_t)plain[level] : blocks[level];
}

bool heat_draw(
    struct grid *g, struct rect r, const struct heat_col *col, int n, enum glyphs set, struct style ink, struct style title_style, const char *title) {
    int rows = r.rows - 2, cols = r.cols - LABEL;
    double lo, hi, part[256];
    char text[FMT_MAX];
    struct style plain = {INK_TEXT, 0};
    grid_text(g, r.row, r.col, r.cols, title_style, title);
    if (rows < 2 || cols < 4) return false;
    if (rows > 256) rows = 256;
    if (n > cols) col += n - cols, n = cols;
    if (!range(col, n, &lo, &hi)) return false;
    int wide = cols / n > 8 ? 8 : cols / n;
    for (int y = 0; y < rows; y++) grid_put(g, r.row + 1 + y, r.col + LABEL - 1, plain, set == GLYPHS_ASCII ? '|' : 0x2502);
    int zero = lo < 0 && hi > 0 ? (int)(hi / (hi - lo) * rows) : -1;
    grid_right(g, r.row + 1, r.col + LABEL - 1, LABEL - 1, plain, fmt_short(text, hi));
    grid_right(g, r.row + rows, r.col + LABEL - 1, LABEL - 1, plain, fmt_short(text, lo));
    if (zero > 0 && zero < rows - 1) grid_right(g, r.row + 1 + zero, r.col + LABEL - 1, LABEL - 1, plain, "0");
    for (int i = 0; i < n; i++) {
        if (!col[i].there) continue;
        spread(&col[i], lo, hi, rows, part);
        for (int y = 0; y < rows; y++)
            if (part[y] > 0.004) grid_fill(g, r.row + 1 + y, r.col + LABEL + i * wide, wide, ink, shade(part[y], set));
    }
    int below = r.row + 1 + rows;
    int used = grid_text(g, below, r.col + LABEL, cols, plain, fmt_count(text, col[0].step));
    fmt_count(text, col[n - 1].step);
    int end = n * wide < used + 2 + (int)strlen(text) ? used + 2 + (int)strlen(text) : n * wide;
    if (n > 1 && end <= cols) grid_right(g, below, r.col + LABEL + end, cols, plain, text);
    return true;
}
