/* The histograms over time on the screen Metrics. UI thread. */
#ifndef HONE_UI_VIEWS_HISTOGRAMS_H
#define HONE_UI_VIEWS_HISTOGRAMS_H

#include "ui/private.h"

struct histograms;
struct histograms *histograms_new(void);
void histograms_free(struct histograms *h);
void histograms_refresh(struct ui *u, struct histograms *h);
int histograms_count(const struct ui *u, const struct histograms *h); /* of heat maps */
void histograms_draw(struct ui *u, struct histograms *h, struct grid *g, struct rect r, int rows, int cols);
void histograms_move(const struct ui *u, struct histograms *h, int by, bool around);

#endif
