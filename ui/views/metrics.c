/* Metrics: a grid of 1x1 to 3x3 charts, each metric with its validation twin; the selected one can be zoomed and read point
 * by point. UI thread. */
#include "config.h"

#include <stdio.h>
#include <string.h>

#include "ui/draw/fmt.h"
#include "ui/rows.h"

struct metrics_state {
    int page; /* first chart shown */
};

/* Indices of the metrics that lead a chart. */
static int charts(const struct ui *u, int out[RUN_MAX_METRICS]) {
    int n = 0;
    for (int i = 0; i < u->now.n; i++) {
        const char *names[2];
        int m;
        metric_pair(u, i, names, &m);
        if (names[0] == u->now.metric[i].name) out[n++] = i;
    }
    return n;
}

static void shape(const struct ui *u, struct rect r, int n, int *rows, int *cols) {
    *cols = r.cols / 38 < 1 ? 1 : r.cols / 38 > 3 ? 3 : r.cols / 38;
    *rows = r.rows / 9 < 1 ? 1 : r.rows / 9 > 3 ? 3 : r.rows / 9;
    if (u->zoom) *rows = *cols = 1;
    while (*rows > 1 && (*rows - 1) * *cols >= n) (*rows)--;
    while (*cols > 1 && *rows * (*cols - 1) >= n) (*cols)--;
}

static void draw(struct ui *u, struct grid *g, struct rect r) {
    int list[RUN_MAX_METRICS], n = charts(u, list), rows, cols, sel = 0;
    if (!n) {
        grid_text(g, r.row, 1, -1, (struct style){INK_TEXT, 0}, "No metrics yet.");
        return;
    }
    struct metrics_state *s = u->state[SCR_METRICS];
    shape(u, r, n, &rows, &cols);
    for (int i = 0; i < n; i++)
        if (list[i] <= u->sel) sel = i;
    int per = rows * cols;
    if (sel < s->page) s->page = sel;
    if (sel >= s->page + per) s->page = sel - per + 1;
    if (s->page + per > n) s->page = n > per ? n - per : 0;
    for (int i = 0; i < per && s->page + i < n; i++) {
        int m = list[s->page + i], y = i / cols, x = i % cols;
        struct rect a = {r.row + y * r.rows / rows, x * r.cols / cols, (y + 1) * r.rows / rows - y * r.rows / rows,
            (x + 1) * r.cols / cols - x * r.cols / cols - (x + 1 < cols)};
        char title[96], v[FMT_MAX], t[FMT_MAX];
        snprintf(title, sizeof title, "%c %.31s  %s  %s", s->page + i == sel ? '>' : ' ', u->now.metric[m].name, fmt_value(v, u->now.metric[m].value),
            fmt_trend(t, u->now.metric[m].trend));
        chart_draw(u, g, a, m, &u->range[m], title, u->zoom ? u->cursor : -1);
    }
    if (n > per) {
        char text[64];
        snprintf(text, sizeof text, " +%d hidden, %s ", n - per, u->zoom ? "z to see them" : "arrows move, z to zoom");
        grid_right(g, 1, g->cols - 1, 60, (struct style){INK_TEXT, 0}, text);
    }
}

static void move(struct ui *u, enum move m) {
    int list[RUN_MAX_METRICS], n = charts(u, list), rows, cols, sel = 0;
    if (!n) return;
    shape(u, (struct rect){2, 0, u->rows - 3, u->cols}, n, &rows, &cols);
    for (int i = 0; i < n; i++)
        if (list[i] <= u->sel) sel = i;
    if (u->zoom && (m == MOVE_LEFT || m == MOVE_RIGHT)) {
        u->cursor = u->cursor < 0 ? u->cols / 2 : u->cursor + (m == MOVE_LEFT ? -1 : 1);
        if (u->cursor < 0) u->cursor = 0;
        if (u->cursor > u->cols - 8) u->cursor = u->cols - 8;
        return;
    }
    int by[MOVE_N] = {[MOVE_UP] = -cols,
        [MOVE_DOWN] = cols,
        [MOVE_LEFT] = -1,
        [MOVE_RIGHT] = 1,
        [MOVE_PGUP] = -rows * cols,
        [MOVE_PGDN] = rows * cols,
        [MOVE_HOME] = -n,
        [MOVE_END] = n,
        [MOVE_NEXT] = 1,
        [MOVE_PREV] = -1};
    if (m == MOVE_NEXT && sel == n - 1) sel = -1;
    sel += by[m];
    u->sel = list[sel < 0 ? 0 : sel >= n ? n - 1 : sel];
}

static void enter(struct ui *u) { u->zoom = !u->zoom; }

/* ---- commands ---- */

static int smooth_run(struct call *c, const void *args, struct err *e) {
    static const double levels[] = {0, 0.6, 0.9, 0.97, 0.99, 0.999};
    BEGIN(pick_args);
    size_t i = 0;
    while (i + 1 < LEN(levels) && levels[i] < u->smooth) i++;
    if (a->what == 0 && i + 1 < LEN(levels)) i++;
    if (a->what == 1 && i > 0) i--;
    u->smooth = a->what == 2 ? 0 : levels[i];
    return 0;
}
static int axis_run(struct call *c, const void *args, struct err *e) {
    BEGIN(none_args);
    u->log_axis = !u->log_axis;
    return 0;
}
static int outliers_run(struct call *c, const void *args, struct err *e) {
    BEGIN(none_args);
    u->outliers = !u->outliers;
    memset(u->range, 0, sizeof u->range);
    return 0;
}
static const char *const smooth_names[] = {"up", "down", "off", NULL};
PICK(by, "which way", smooth_names, ARG_REQUIRED, NULL);
ROW_EX(smooth, "Smoothing of the charts", "hone.smooth{\"up\"}", by_table, pick_args);
ROW(axis, "Logarithmic y axis on and off", none_table, none_args);
ROW(outliers, "Lets outliers set the range of the charts, or not", none_table, none_args);

static const struct key_row keys[] = {{"metrics", "+", "smooth up", "smooth more", NULL}, {"metrics", "-", "smooth down", "smooth less", NULL},
    {"metrics", "L", "axis", "logarithmic y axis on and off", NULL}, {"metrics", "o", "outliers", "y range holds every outlier, or the middle", NULL}, {0}};

const struct view view_metrics = {.name = "metrics",
    .title = "Metrics",
    .draw = draw,
    .move = move,
    .enter = enter,
    .footer = " ?help :cmd  arrows  z zoom  + - smooth  L log  o outliers  1 overview  q detach",
    .keys = keys,
    .state_size = sizeof(struct metrics_state)};
