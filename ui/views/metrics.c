/* Metrics: a grid of 1x1 to 3x3 charts, each metric with its validation twin; the selected one can be zoomed and read point
 * by point. UI thread. */
#include "config.h"

#include <stdio.h>
#include <string.h>

#include "ui/draw/fmt.h"
#include "ui/private.h"

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
    shape(u, r, n, &rows, &cols);
    for (int i = 0; i < n; i++)
        if (list[i] <= u->sel) sel = i;
    int per = rows * cols;
    if (sel < u->page) u->page = sel;
    if (sel >= u->page + per) u->page = sel - per + 1;
    if (u->page + per > n) u->page = n > per ? n - per : 0;
    for (int i = 0; i < per && u->page + i < n; i++) {
        int m = list[u->page + i], y = i / cols, x = i % cols;
        struct rect a = {r.row + y * r.rows / rows, x * r.cols / cols, (y + 1) * r.rows / rows - y * r.rows / rows,
            (x + 1) * r.cols / cols - x * r.cols / cols - (x + 1 < cols)};
        char title[96], v[FMT_MAX], t[FMT_MAX];
        snprintf(title, sizeof title, "%c %.31s  %s  %s", u->page + i == sel ? '>' : ' ', u->now.metric[m].name, fmt_value(v, u->now.metric[m].value),
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

const struct view view_metrics = {"metrics", "Metrics", draw, move, enter};
