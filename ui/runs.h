/* The list of runs that screens Runs and Compare share: a snapshot of the folder, read on the helper thread, with what is marked in it. UI thread. */
#ifndef HONE_UI_RUNS_H
#define HONE_UI_RUNS_H

#include "src/stored/shelf.h"
#include "ui/private.h"

enum { MARKED = 8 };

void runs_want(struct ui *u); /* has it read anew unless that was a moment ago */
const struct shelf *runs_list(const struct ui *u); /* NULL: not read yet */
/* The marked runs, else the selected one, else the current one; the baseline with one alone. Names, valid until the next call. */
int runs_chosen(struct ui *u, const char *out[MARKED]);
const char *runs_metric(const struct ui *u); /* the one whose best values are listed, "" without runs */
void runs_metric_step(struct ui *u, int by);
void runs_delta(struct grid *g, int row, int end, int cols, const char *metric, double v, double base); /* v - base, in colour if that is better or worse */
const char *value_text(char out[64], const struct shelf_value *v); /* numbers in at most 6 digits; "-" for NULL */

#endif
