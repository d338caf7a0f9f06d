/* Shared by the two files of the Eval screen: its state, and the panes beside the counts. UI thread. */
#ifndef HONE_UI_VIEWS_EVAL_H
#define HONE_UI_VIEWS_EVAL_H

#include "ui/evaluation.h"
#include "ui/private.h"

enum eval_pane { PANE_COUNTS, PANE_EXAMPLES, PANE_CALIBRATION, PANE_CURVES, PANE_N };
enum eval_focus { FOCUS_MATRIX, FOCUS_PAIRS, FOCUS_CLASSES };
struct eval_state {
    struct run *run;
    struct val *report, *before; /* of the run, or NULL */
    uint64_t seen, seen_before;
    struct evaluation now, old; /* of report and before */
    enum matrix_mode mode;
    enum eval_pane pane;
    enum eval_focus focus;
    bool by_error, diff;
    int row, col; /* selected truth and answer */
    int pair, pair_top, top; /* selected pair, first pair and class shown */
    int example, example_top; /* selected of those that are shown */
    int want_y, want_g; /* the cell whose examples are shown; -1: all */
};
void examples_draw(struct ui *u, struct grid *g, struct rect r);
int examples_count(const struct eval_state *s); /* of those that are asked for */
void calibration_draw(struct ui *u, struct grid *g, struct rect r);
void curves_draw(struct ui *u, struct grid *g, struct rect r);
const char *class_name(const struct eval_state *s, int64_t c, char *own); /* own: FMT_MAX bytes for a number */

#endif
