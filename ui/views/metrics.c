/* Metrics: a grid of 1x1 to 3x3 charts, each metric with its validation twin: those that a glob lets through, pinned ones first, then
 * group by group (a group is what stands before the slash: layer1/grad_norm). The selected one can be zoomed and read point by point.
 * Grid, filter and pins are settings. UI thread. */
#include "config.h"

#include <fnmatch.h>
#include <stdio.h>
#include <string.h>

#include "src/call/settings.h"
#include "ui/chart.h"
#include "ui/draw/fmt.h"
#include "ui/rows.h"
#include "ui/scroll.h"
#include "ui/views/histograms.h"

struct metrics_state {
    int page; /* first chart shown */
    bool over_time; /* histograms instead of metrics */
    struct histograms *hist;
};

/* ---- which charts, in which order ---- */

static bool pinned(const struct ui *u, const char *name) {
    size_t n = strlen(name);
    for (const char *p = u->look.pins; *p;) {
        size_t len = strcspn(p, ",");
        if (len == n && strncmp(p, name, n) == 0) return true;
        p += len + (p[len] == ',');
    }
    return false;
}

static bool passes(const struct ui *u, const char *const *names, int n) {
    bool pass = !u->look.filter[0];
    for (int i = 0; i < n && !pass; i++) pass = fnmatch(u->look.filter, names[i], 0) == 0;
    return pass;
}

/* Length of the group's name with its slash; 0: none. */
static size_t group_len(const char *name) {
    const char *slash = strchr(name, '/');
    return slash ? (size_t)(slash - name) + 1 : 0;
}

static bool same_group(const char *a, const char *b) { return group_len(a) == group_len(b) && strncmp(a, b, group_len(a)) == 0; }

/* Indices of the metrics that lead a chart, in the order of their charts. */
static int charts(const struct ui *u, int out[RUN_MAX_METRICS]) {
    int all[RUN_MAX_METRICS], n_all = 0, n = 0;
    bool taken[RUN_MAX_METRICS] = {false};
    for (int i = 0; i < u->now.n; i++) {
        const char *names[2];
        int m;
        metric_pair(u, i, names, &m);
        if (names[0] == u->now.metric[i].name && passes(u, names, m)) all[n_all++] = i;
    }
    for (int i = 0; i < n_all; i++)
        if (pinned(u, u->now.metric[all[i]].name)) taken[i] = true, out[n++] = all[i];
    for (int i = 0; i < n_all; i++) {
        if (taken[i]) continue;
        taken[i] = true, out[n++] = all[i];
        for (int k = i + 1; k < n_all; k++)
            if (!taken[k] && same_group(u->now.metric[all[i]].name, u->now.metric[all[k]].name)) taken[k] = true, out[n++] = all[k];
    }
    return n;
}

/* Place of the selected metric among the charts; one that is filtered away: the first. */
static int selected(const struct ui *u, const int *list, int n) {
    const char *names[2];
    int m;
    if (u->sel >= u->now.n) return 0;
    metric_pair(u, u->sel, names, &m);
    for (int i = 0; i < n; i++)
        if (strcmp(u->now.metric[list[i]].name, names[0]) == 0) return i;
    return 0;
}

static void shape(const struct ui *u, struct rect r, int n, int *rows, int *cols) {
    *cols = r.cols / 38 < 1 ? 1 : r.cols / 38 > 3 ? 3 : r.cols / 38;
    *rows = r.rows / 9 < 1 ? 1 : r.rows / 9 > 3 ? 3 : r.rows / 9;
    if (u->look.grid > 0) { /* "2x3", as far as there is room for it */
        const char *text = chart_grid_names[u->look.grid];
        *rows = r.rows / 5 < 1 ? 1 : r.rows / 5 < text[0] - '0' ? r.rows / 5 : text[0] - '0';
        *cols = r.cols / 24 < 1 ? 1 : r.cols / 24 < text[2] - '0' ? r.cols / 24 : text[2] - '0';
    }
    if (u->zoom) *rows = *cols = 1;
    while (*rows > 1 && (*rows - 1) * *cols >= n) (*rows)--;
    while (*cols > 1 && *rows * (*cols - 1) >= n) (*cols)--;
}

/* ---- drawing ---- */

static void header(const struct ui *u, struct grid *g, int n, int per) {
    char text[160];
    int len = 0;
    if (u->look.filter[0]) len += snprintf(text, sizeof text, " %.60s: %d ", u->look.filter, n);
    if (n > per) len += snprintf(text + len, sizeof text - (size_t)len, " +%d hidden, %s ", n - per, u->zoom ? "z to see them" : "arrows move, z to zoom");
    if (len) grid_right(g, 1, g->cols - 1, g->cols - 2, (struct style){INK_TEXT, 0}, text);
}

static void draw(struct ui *u, struct grid *g, struct rect r) {
    int list[RUN_MAX_METRICS], n = charts(u, list), rows, cols, sel = selected(u, list, n);
    struct metrics_state *s = u->state[SCR_METRICS];
    if (s->over_time) {
        shape(u, r, histograms_count(u, s->hist), &rows, &cols);
        histograms_draw(u, s->hist, g, r, rows, cols);
        return;
    }
    if (!n) {
        if (u->now.n) grid_textf(g, r.row, 1, -1, (struct style){INK_TEXT, 0}, "No metric is called like %s; / changes that.", u->look.filter);
        else grid_text(g, r.row, 1, -1, (struct style){INK_TEXT, 0}, "No metrics yet.");
        return;
    }
    shape(u, r, n, &rows, &cols);
    int per = rows * cols;
    s->page = first_shown(s->page, sel, per);
    if (s->page + per > n) s->page = n > per ? n - per : 0;
    for (int i = 0; i < per && s->page + i < n; i++) {
        int m = list[s->page + i], y = i / cols, x = i % cols;
        struct rect a = {r.row + y * r.rows / rows, x * r.cols / cols, (y + 1) * r.rows / rows - y * r.rows / rows,
            (x + 1) * r.cols / cols - x * r.cols / cols - (x + 1 < cols)};
        char title[96], v[FMT_MAX], t[FMT_MAX];
        const char *name = u->now.metric[m].name;
        snprintf(title, sizeof title, "%c %s%.31s  %s  %s", s->page + i == sel ? '>' : ' ', pinned(u, name) ? "! " : "", name,
            fmt_value(v, u->now.metric[m].value), fmt_trend(t, u->trend[m]));
        chart_draw(u, g, a, m, &u->range[m], title, s->page + i == sel ? u->cursor : -1);
    }
    header(u, g, n, per);
}

/* ---- moving ---- */

/* Columns that can be read: those of the selected chart. */
static int columns(const struct ui *u, int cols) { return (u->cols - cols + 1) / cols - 7; }

static void move(struct ui *u, enum move m) {
    struct metrics_state *s = u->state[SCR_METRICS];
    int list[RUN_MAX_METRICS], n = charts(u, list), rows, cols, sel = selected(u, list, n), all = s->over_time ? histograms_count(u, s->hist) : n;
    if (!all) return;
    shape(u, (struct rect){2, 0, u->rows - 3, u->cols}, all, &rows, &cols);
    if (u->zoom && !s->over_time && (m == MOVE_LEFT || m == MOVE_RIGHT)) {
        u->cursor = u->cursor < 0 ? columns(u, cols) / 2 : u->cursor + (m == MOVE_LEFT ? -1 : 1);
        if (u->cursor < 0) u->cursor = 0;
        if (u->cursor >= columns(u, cols)) u->cursor = columns(u, cols) - 1;
        return;
    }
    int by[MOVE_N] = {[MOVE_UP] = -cols,
        [MOVE_DOWN] = cols,
        [MOVE_LEFT] = -1,
        [MOVE_RIGHT] = 1,
        [MOVE_PGUP] = -rows * cols,
        [MOVE_PGDN] = rows * cols,
        [MOVE_HOME] = -all,
        [MOVE_END] = all,
        [MOVE_NEXT] = 1,
        [MOVE_PREV] = -1};
    if (s->over_time) {
        histograms_move(u, s->hist, by[m], m == MOVE_NEXT);
        return;
    }
    if (m == MOVE_NEXT && sel == n - 1) sel = -1;
    sel += by[m];
    u->sel = list[clamp_index(sel, n)];
}

static void start(struct ui *u) { ((struct metrics_state *)u->state[SCR_METRICS])->hist = histograms_new(); }
static void release(struct ui *u) { histograms_free(((struct metrics_state *)u->state[SCR_METRICS])->hist); }

static void refresh(struct ui *u) {
    struct metrics_state *s = u->state[SCR_METRICS];
    if (s->over_time) histograms_refresh(u, s->hist);
}

static void enter(struct ui *u) { u->zoom = !u->zoom; }

static const char *filter_now(const struct ui *u) { return u->look.filter; }
static const struct view_filter filter = {
    "Which metrics have charts", "A glob such as val_* or layer1/*; nothing shows all.", "filter", "glob", filter_now, NULL};

/* ---- commands ---- */

static int grid_run(struct call *c, const void *args, struct err *e) {
    BEGIN(pick_args);
    int n = 0;
    while (chart_grid_names[n]) n++;
    return chart_set(u, "chart_grid", val_str(chart_grid_names[a->what > 0 ? a->what - 1 : (u->look.grid + 1) % n]), e);
}

static int histograms_run(struct call *c, const void *args, struct err *e) {
    BEGIN_NONE;
    struct metrics_state *s = u->state[SCR_METRICS];
    s->over_time = u->screen != SCR_METRICS || !s->over_time;
    if (u->screen != SCR_METRICS) ui_open_screen(u, SCR_METRICS);
    return 0;
}

struct filter_args {
    char *glob;
};

static int filter_run(struct call *c, const void *args, struct err *e) {
    BEGIN(filter_args);
    return chart_set(u, "chart_filter", a->glob && a->glob[0] ? val_str(a->glob) : val_nil(), e);
}

struct pin_args {
    char *metric;
};

static int pin_run(struct call *c, const void *args, struct err *e) {
    BEGIN(pin_args);
    const char *name = a->metric, *names[2];
    char pins[sizeof u->look.pins] = "";
    int m, len = 0;
    if (!name && u->sel < u->now.n) metric_pair(u, u->sel, names, &m), name = names[0];
    if (!name) return err_set(e, "pin: there is no metric to pin yet");
    bool on = !pinned(u, name);
    for (const char *p = u->look.pins; *p;) {
        size_t n = strcspn(p, ",");
        if (n != strlen(name) || strncmp(p, name, n) != 0) len += snprintf(pins + len, sizeof pins - (size_t)len, "%s%.*s", len ? "," : "", (int)n, p);
        p += n + (p[n] == ',');
    }
    if (on && (size_t)len + strlen(name) + 2 > sizeof pins) return err_set(e, "pin: there is no room for one more; unpin another");
    if (on) snprintf(pins + len, sizeof pins - (size_t)len, "%s%s", len ? "," : "", name);
    return chart_set(u, "chart_pins", pins[0] ? val_str(pins) : val_nil(), e);
}

/* To the first chart of the group before or after. */
static int group_run(struct call *c, const void *args, struct err *e) {
    BEGIN(pick_args);
    int list[RUN_MAX_METRICS], n = charts(u, list), i = selected(u, list, n), by = a->what == 0 ? 1 : -1;
    if (!n) return 0;
    const char *here = u->now.metric[list[i]].name;
    while (i + by >= 0 && i + by < n && same_group(here, u->now.metric[list[i]].name)) i += by;
    here = u->now.metric[list[i]].name;
    while (by < 0 && i > 0 && same_group(here, u->now.metric[list[i - 1]].name)) i--;
    u->sel = list[i];
    return 0;
}

static const char *const grid_names[] = {"next", "auto", "1x1", "1x2", "2x1", "2x2", "2x3", "3x2", "3x3", NULL}; /* next, then ORDER chart_grid_names */
static const char *const group_names[] = {"next", "prev", NULL};
PICK(size, "rows x columns", grid_names, 0, "next");
PICK(to, "which", group_names, 0, "next");
static const struct arg glob_table[] = {
    {"glob", "a pattern with * and ?; none: all", NULL, NULL, ARG_STR, offsetof(struct filter_args, glob), ARG_POSITIONAL, 0, 0, 0, NULL, SRC_METRIC}, {0}};
static const struct arg pin_table[] = {
    {"metric", "which; without it the selected one", NULL, NULL, ARG_STR, offsetof(struct pin_args, metric), ARG_POSITIONAL, 0, 0, 0, NULL, SRC_METRIC}, {0}};
ROW_EX(grid, "how many charts the screen Metrics shows", "hone.grid{\"2x3\"}", size_table, pick_args);
ROW_EX(filter, "which metrics have charts on the screen Metrics", "hone.filter{\"val_*\"}", glob_table, filter_args);
ROW_EX(pin, "puts a metric before the others, or back", "hone.pin{\"val_acc\"}", pin_table, pin_args);
ROW_NONE(histograms, "weights and gradients over time on the screen Metrics, or the metrics again");
ROW(group, "to the next group of metrics (layer1/..)", to_table, pick_args);

static const struct key_row keys[] = {{"metrics", "G", "grid", "how many charts: auto, 1x1 .. 3x3", NULL},
    {"metrics", "P", "pin", "pin the metric before the others, or unpin it", NULL},
    {"metrics", "H", "histograms", "weights and gradients over time, or the metrics again", NULL},
    {"metrics", "}", "group next", "next group of metrics", NULL}, {"metrics", "{", "group prev", "group before", NULL}, {0}};

const struct view view_metrics = {.name = "metrics",
    .title = "Metrics",
    .draw = draw,
    .move = move,
    .enter = enter,
    .footer = " ?help :cmd  z zoom  i I window  + - smooth  L log  X axis  / filter  q detach",
    .keys = keys,
    .also = chart_keys,
    .filter = &filter,
    .state_size = sizeof(struct metrics_state),
    .start = start,
    .refresh = refresh,
    .release = release};
