/* Histograms over time as a heat map: a column a look, rows are intervals of the values, the darker the more values. Pure: sizes and counts to cells. */
#ifndef HONE_UI_DRAW_HEAT_H
#define HONE_UI_DRAW_HEAT_H

#include "ui/draw/grid.h"

enum { HEAT_BINS = 40, HEAT_COLS = 64 };
struct heat_col { /* a histogram: counts in equal parts of lo..hi, relative to the fullest */
    int64_t step;
    bool there;
    double lo, hi, bin[HEAT_BINS];
};
/* Title, then the map with labels of the values at its left and of steps below it. False: nothing to draw. */
bool heat_draw(
    struct grid *g, struct rect r, const struct heat_col *col, int n, enum glyphs set, struct style ink, struct style title_style, const char *title);
bool heat_read(const char *text, struct heat_col *c); /* "LO HI BINS", BINS as two hexadecimal digits each; false: it is not */

#endif
