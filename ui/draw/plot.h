/* Charts as pure functions from series to cells. The x axis is the whole run in columns of 2^k steps (or a window of steps);
 * each column keeps min, max, mean, count and non-finite count, so a one-step spike never vanishes. UI thread, tests. */
#ifndef HONE_UI_DRAW_PLOT_H
#define HONE_UI_DRAW_PLOT_H

#include "src/run/record.h"
#include "ui/draw/grid.h"

enum { PLOT_SERIES = 8, PLOT_COLS = 2048 };

/* The y range of one chart, kept between frames: widens at once, narrows only after 10 s, so a chart is not repainted for nothing. */
struct plot_range {
    double lo, hi, step; /* 1-2-5 ticks; step 0: not set yet. In log10 units on a log axis */
    bool log;
    double narrow_since; /* < 0: not waiting */
};
struct plot_mark {
    int64_t step;
    const char *text;
    double x; /* where the step is on an axis that is not of steps */
}; /* an edit or a note */

enum plot_flags { PLOT_GHOST = 1, PLOT_NO_BAND = 2 }; /* GHOST: another run's, drawn dim and dotted below all others */

struct plot_series {
    const char *name;
    const struct bucket *b; /* contiguous buckets of 2^k steps, the first at x.from */
    size_t n;
    int ink; /* 0..7: colour, mark and pattern */
    unsigned flags;
    const double *line; /* n smoothed values; then the means are drawn dim. NULL: the means are the line */
};
enum plot_axis { PLOT_STEP, PLOT_EPOCH, PLOT_TIME, PLOT_CLOCK, PLOT_AXES }; /* time: seconds of training; clock: seconds since 1970, labelled in local time */
extern const char *const plot_axis_names[]; /* step epoch time clock, NULL */
struct plot_x {
    int64_t from;
    int k;
    int sub;
    enum plot_axis kind;
    double x0, dx; /* of the other kinds: the first column begins at x0, a bucket is dx wide */
}; /* a column is sub buckets; of steps: 2^k of them each. sub: 2 with braille, else 1 */
struct plot {
    struct rect area; /* axis and labels included; the last row is the legend if there are 5 rows or more */
    enum glyphs set;
    bool log, outliers; /* outliers: the range holds everything */
    double smooth; /* 0: none .. 0.999: said in the legend; series without a line are smoothed column by column */
    struct plot_x x;
    const struct plot_series *s;
    int n;
    const struct plot_mark *marks;
    int n_marks;
    int cursor; /* column read by the user, -1: none */
    const char *title;
};
void plot_draw(struct grid *g, const struct plot *p, struct plot_range *keep, double now);
int plot_columns(const struct plot *p); /* columns of the data part */
struct rect plot_data(const struct plot *p); /* where it is */

/* Pieces, apart for tests. */
double plot_nice(double span, int ticks); /* a step of 1, 2 or 5 x 10^n giving at most `ticks` steps */
/* lo..hi of the columns' extremes, robustly: those further away than 3 times the spread of the middle 96 % are left to the edge marks. */
bool plot_limits(const struct plot_series *s, int n, bool log, bool outliers, double *lo, double *hi);
void plot_range_update(struct plot_range *keep, double lo, double hi, int ticks, bool log, double now);
/* Exponential smoothing with start-up correction: y[i] = m[i]/(1 - w^i), m[i] = w m[i-1] + (1-w) x[i]; non-finite x are passed over. */
void plot_smooth(const double *x, double *y, size_t n, double w);
extern const char plot_marks[PLOT_SERIES + 1]; /* the mark of each series: * o + x # @ % & */

/* Counts (or shares of row or column) of a confusion matrix; rows are the truth. */
enum matrix_mode { MATRIX_COUNT, MATRIX_ROW, MATRIX_COL, MATRIX_MODES };
struct matrix {
    int n;
    const int64_t *v;
    const char *const *names;
}; /* (n, n) */
void draw_matrix(struct grid *g, struct rect r, const struct matrix *m, enum matrix_mode mode, int sel_row, int sel_col);

#endif
