/* Bars as cells: histograms that stand, shares that lie. Pure. UI thread, tests. */
#ifndef HONE_UI_DRAW_BARS_H
#define HONE_UI_DRAW_BARS_H

#include "ui/draw/grid.h"

/* n values >= 0 as columns over the whole width of r, relative to the largest; two heights a cell. A value above 0 always shows. */
void draw_hist(struct grid *g, struct rect r, const double *v, int n, enum glyphs set, struct style s);
/* A share 0..1 as a lying bar of `cols` cells without a frame; the rest stays blank. From half a percent on something shows. */
void draw_share(struct grid *g, int row, int col, int cols, double share, enum glyphs set, struct style s);
/* A picture as cells, two rows of pixels a cell with half blocks and braille, one character a pixel pair with line and ASCII; c 1 or 3 planes of 8 bits,
 * (c, h, w). Scaled down to r; never up beyond one pixel a column. Returns the rows used. */
int draw_picture(struct grid *g, struct rect r, const uint8_t *p, int c, int h, int w, enum glyphs set);

#endif
