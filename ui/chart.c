/* Charts of the current run, as Overview and Metrics show them: series are read from the record at the resolution it keeps, smoothed there,
 * and put into the columns of the x axis that was chosen; behind them the curve of another run. How charts look is a matter of settings
 * (chart_*), which the commands at the end change; what part of the run they show is a window of steps. UI thread. */
#include "config.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/mem.h"
#include "src/call/settings.h"
#include "src/run/series.h"
#include "ui/chart.h"
#include "ui/draw/fmt.h"
#include "ui/ghost.h"
#include "ui/rows.h"

enum { FINE = 1024 }; /* buckets read of a series: all that the record keeps of a whole run */

struct chart_work { /* buffers of one chart while it is made */
    struct bucket fine[FINE], axis[FINE], whole[FINE];
    struct bucket col[CHART_SERIES][PLOT_COLS];
    double ema[FINE], line[CHART_SERIES][PLOT_COLS];
};

struct axis { /* from steps to the other x axes */
    enum plot_axis kind;
    const struct bucket *b;
    size_t n;
    double base;
};

/* ---- look ---- */

/* The y ranges begin anew. */
static void window_changed(struct ui *u) {
    u->cursor = -1;
    memset(u->range, 0, sizeof u->range);
    memset(&u->main_range, 0, sizeof u->main_range);
}

void chart_look(struct ui *u) {
    struct settings s;
    struct chart_look *l = &u->look;
    settings_get(&s);
    if (l->outliers != s.chart_outliers || l->log != s.chart_log) window_changed(u);
    l->smooth = s.chart_smooth;
    l->log = s.chart_log;
    l->outliers = s.chart_outliers;
    l->x = (enum plot_axis)s.chart_x; /* ORDER enum plot_axis */
    l->grid = s.chart_grid;
    l->ghost = s.chart_ghost;
    snprintf(l->filter, sizeof l->filter, "%.*s", (int)sizeof l->filter - 1, s.chart_filter ? s.chart_filter : "");
    snprintf(l->pins, sizeof l->pins, "%.*s", (int)sizeof l->pins - 1, s.chart_pins ? s.chart_pins : "");
    args_release(&settings_kind, &s);
}

void chart_free(struct ui *u) {
    ghost_free(u);
    free(u->chart);
}

int chart_set(struct ui *u, const char *name, struct val *v_take, struct err *e) {
    int rc = settings_set(name, v_take, NULL, e);
    val_free(v_take);
    chart_look(u);
    return rc;
}

/* ---- the window: a power of two of steps, which moves on by quarters ---- */

static int64_t last_step(const struct ui *u) {
    int64_t last = 0;
    for (int i = 0; i < u->now.n; i++)
        if (u->now.metric[i].step > last) last = u->now.metric[i].step;
    return last;
}

static void window_follow(struct ui *u) {
    struct chart_look *l = &u->look;
    if (!l->span || !l->follow) return;
    int64_t last = last_step(u), quarter = l->span / 4 > 0 ? l->span / 4 : 1;
    if (last >= l->from + l->span) l->from += (last - l->from - l->span) / quarter * quarter + quarter;
}

void chart_whole(struct ui *u) {
    u->look.from = u->look.span = 0;
    u->look.follow = true;
    window_changed(u);
}

/* About the step in the middle, or the one under the cursor. */
static void window_zoom(struct ui *u, bool in) {
    struct chart_look *l = &u->look;
    int64_t last = last_step(u), whole = 16;
    while (whole <= last) whole *= 2;
    bool all = l->span == 0;
    if (all && !in) return;
    int64_t span = all ? whole : l->span, mid = u->cursor >= 0 && l->cursor_step >= 0 ? l->cursor_step : all ? last : l->from + span / 2;
    span = in ? span / 2 : span * 2;
    if (span < 16) span = 16;
    if (span >= whole) {
        chart_whole(u);
        return;
    }
    int64_t quarter = span / 4;
    l->from = (mid - span / 2) / quarter * quarter;
    if (l->follow && u->cursor < 0) l->from = (last / quarter + 1) * quarter - span; /* the end of the run */
    if (l->from < 0) l->from = 0;
    l->span = span;
    l->follow = last < l->from + span;
    window_changed(u);
}

static void window_move(struct ui *u, int by) {
    struct chart_look *l = &u->look;
    if (!l->span) return;
    int64_t last = last_step(u), quarter = l->span / 4 > 0 ? l->span / 4 : 1;
    l->from += by * quarter;
    if (l->from > last) l->from = last / quarter * quarter;
    if (l->from < 0) l->from = 0;
    l->follow = last < l->from + l->span;
    window_changed(u);
}

/* ---- metrics that go together ---- */

int chart_metric(const struct ui *u, const char *name) {
    for (int i = 0; i < u->now.n; i++)
        if (strcmp(u->now.metric[i].name, name) == 0) return i;
    return -1;
}

void metric_pair(const struct ui *u, int sel, const char *names[2], int *n) {
    char val[40];
    const char *name = u->now.metric[sel].name, *base = strncmp(name, "val_", 4) == 0 && chart_metric(u, name + 4) >= 0 ? name + 4 : name;
    int b = chart_metric(u, base);
    snprintf(val, sizeof val, "val_%.31s", base);
    int v = chart_metric(u, val);
    names[0] = u->now.metric[b].name;
    *n = 1;
    if (v >= 0) names[(*n)++] = u->now.metric[v].name;
}

/* ---- steps to columns ---- */

static void axis_read(struct ui *u, struct run *r, struct axis *a, int64_t from, int64_t to) {
    static const enum run_axis of[PLOT_AXES] = {[PLOT_EPOCH] = RUN_EPOCH, [PLOT_TIME] = RUN_BUSY, [PLOT_CLOCK] = RUN_CLOCK};
    *a = (struct axis){.kind = u->look.x, .b = u->chart->axis};
    if (a->kind == PLOT_STEP) return;
    a->n = run_axis(r, of[a->kind], from, to, u->chart->axis, FINE);
    a->base = a->kind == PLOT_CLOCK ? floor(run_created(r)) : 0;
}

/* Between the first and the last step of a bucket time passes evenly. */
static double axis_at(const struct axis *a, int64_t step) {
    if (a->kind == PLOT_STEP) return (double)step;
    size_t lo = 0, hi = a->n;
    while (hi - lo > 1) {
        size_t mid = (lo + hi) / 2;
        if (a->b[mid].step0 <= step) lo = mid;
        else hi = mid;
    }
    while (lo > 0 && !a->b[lo].count) lo--;
    if (lo >= a->n || !a->b[lo].count) return a->base;
    const struct bucket *b = &a->b[lo];
    double part = b->at_max > b->at_min ? (double)(step - b->at_min) / (double)(b->at_max - b->at_min) : 0;
    return a->base + b->min + ((double)b->max - b->min) * (part < 0 ? 0 : part > 1 ? 1 : part);
}

/* The axis of a chart of so many columns; last: the last step there is. */
static void axis_choose(const struct chart_look *l, const struct axis *a, int64_t last, size_t cols, struct plot_x *x) {
    int64_t from = l->span ? l->from : 0, width = l->span ? l->span : last + 1;
    x->kind = a->kind;
    x->k = 0;
    if (a->kind == PLOT_STEP) {
        while ((uint64_t)((width - 1) >> x->k) >= cols) x->k++;
        x->from = from >> x->k << x->k;
        return;
    }
    double x0 = l->span || a->kind == PLOT_CLOCK ? axis_at(a, from) : 0, x1 = axis_at(a, from + width - 1 < last ? from + width - 1 : last);
    if (l->span && last > from && last < from + width - 1) x1 = x0 + (x1 - x0) * (double)(width - 1) / (double)(last - from); /* to come */
    for (x->dx = 0x1p-12; x->dx * ((double)cols - 1) <= x1 - x0 && x->dx < 0x1p40;) x->dx *= 2;
    x->x0 = a->kind == PLOT_CLOCK && !l->span ? x0 : floor(x0 / x->dx) * x->dx;
}

static int64_t column_of(const struct plot_x *x, const struct axis *a, int64_t step) {
    if (x->kind == PLOT_STEP) return step < x->from ? -1 : (step - x->from) >> x->k;
    return (int64_t)floor((axis_at(a, step) - x->x0) / x->dx + 1e-9);
}

/* The smoothed value at each of n buckets, w the weight of what was before. The average runs over the buckets of the whole run; finer ones in a window weigh
 * as much less. */
static void smooth(struct ui *u, struct run *r, const char *name, double w, const struct bucket *b, size_t n) {
    double *y = u->chart->ema;
    struct ema m = EMA_START;
    if (u->look.span && n) {
        int k = 0;
        size_t all = run_series(r, name, u->chart->whole, FINE, &k);
        int64_t fine = n > 1 ? b[1].step0 - b[0].step0 : (int64_t)1 << k;
        for (size_t i = 0; i < all && u->chart->whole[i].step0 + ((int64_t)1 << k) <= b[0].step0; i++)
            if (u->chart->whole[i].count) ema_next(&m, u->chart->whole[i].mean, w);
        w = pow(w, fmin(1, (double)fine / (double)((int64_t)1 << k)));
    }
    for (size_t i = 0; i < n; i++) y[i] = b[i].count ? ema_next(&m, b[i].mean, w) : NAN;
}

/* Buckets as columns, with the averages at them if there are any (NULL); the number of columns. */
static size_t to_columns(struct ui *u, const struct bucket *b, size_t n, const double *ema, const struct plot_x *x, const struct axis *a, size_t cols, int at) {
    struct chart_work *w = u->chart;
    size_t m = 0;
    memset(w->col[at], 0, cols * sizeof w->col[at][0]);
    for (size_t i = 0; i < n; i++) {
        if (!b[i].count && !b[i].bad) continue;
        int64_t c = column_of(x, a, b[i].step0);
        if (c < 0 && u->look.span && i + 1 < n && column_of(x, a, b[i + 1].step0) > 0) c = 0; /* coarser than the window: it reaches into it */
        if (c < 0 || c >= (int64_t)cols) continue;
        bucket_merge(&w->col[at][c], &b[i]);
        if (ema && b[i].count) w->line[at][c] = ema[i];
        if ((size_t)c >= m) m = (size_t)c + 1;
    }
    return m;
}

/* One series of a run as columns. weight: of its smoothing, in [0, 1); 0: none. */
static size_t series_columns(struct ui *u, struct run *r, const char *name, double weight, const struct plot_x *x, const struct axis *a, size_t cols, int at) {
    struct chart_work *w = u->chart;
    const struct chart_look *l = &u->look;
    size_t whole = weight > 0 || a->kind != PLOT_STEP ? FINE : cols; /* on an axis of steps the buckets of a column are merged where they lie */
    size_t n = l->span ? run_series_window(r, name, l->from, l->from + l->span, w->fine, FINE) : run_series(r, name, w->fine, whole, &(int){0});
    if (weight > 0) smooth(u, r, name, weight, w->fine, n);
    return to_columns(u, w->fine, n, weight > 0 ? w->ema : NULL, x, a, cols, at);
}

/* ---- ghosts ---- */

/* Another run is placed by what its own steps were; on the clock as if both had begun together. */
static size_t other_columns(struct ui *u, struct run *r, const char *name, const struct plot_x *x, const struct axis *ours, size_t cols, int at) {
    struct axis a;
    axis_read(u, r, &a, u->look.span ? u->look.from : 0, u->look.span ? u->look.from + u->look.span : INT64_MAX);
    a.base = ours->base;
    return series_columns(u, r, name, 0, x, &a, cols, at);
}

/* Column by column the mean of the runs' means, and as extremes the least and the largest of them. */
static size_t seeds_columns(struct ui *u, const char *name, const struct plot_x *x, const struct axis *a, size_t cols, int at, int *n_runs) {
    struct chart_work *w = u->chart;
    struct bucket *sum = X_NEW(struct bucket, cols);
    size_t m = 0;
    for (size_t i = 0; i < runs_count(u->runs); i++) {
        struct run *r = runs_at(u->runs, i);
        if (!ghost_twin(u, r, name)) continue;
        size_t got = other_columns(u, r, name, x, a, cols, at);
        for (size_t c = 0; c < got; c++) {
            struct bucket *b = &w->col[at][c];
            if (!b->count) continue;
            b->count = 1;
            b->min = b->max = (float)b->mean;
            bucket_merge(&sum[c], b);
        }
        if (got > m) m = got;
        (*n_runs)++;
    }
    memcpy(w->col[at], sum, cols * sizeof *sum);
    free(sum);
    return m;
}

/* Adds the other run's curve as the last series. */
static void ghost_add(
    struct ui *u, const struct plot_x *x, const struct axis *a, const char *name, size_t cols, struct plot_series *s, int *n, char label[64]) {
    int runs = 0, at = *n;
    bool seeds = u->look.ghost == GHOST_SEEDS;
    struct plot_series g = {.name = label, .b = u->chart->col[at], .ink = 7, .flags = PLOT_GHOST | (seeds ? 0 : PLOT_NO_BAND)};
    if (seeds) g.n = seeds_columns(u, name, x, a, cols, at, &runs);
    if (seeds && runs > 1) {
        snprintf(label, 64, "%d seeds", runs);
    } else {
        const struct ghost *other = ghost_find(u, name);
        g.n = !other ? 0 : other->live ? other_columns(u, other->live, name, x, a, cols, at) : to_columns(u, other->b, other->n, NULL, x, a, cols, at);
        snprintf(label, 64, "%s", other ? other->name : "");
    }
    if (g.n) s[(*n)++] = g;
}

/* ---- a chart ---- */

/* Reading a point gives what was logged and at which step, never an interpolation. */
static void read_point(struct ui *u, struct grid *g, const struct plot *p, int cursor) {
    struct rect r = p->area;
    char a[FMT_MAX], b[FMT_MAX], c[FMT_MAX], d[FMT_MAX], text[400] = "";
    size_t len = 0;
    u->look.cursor_step = -1;
    for (int i = 0; i < p->n; i++) {
        struct bucket q = {0};
        double line = NAN;
        for (int k = 0; k < p->x.sub; k++) {
            size_t at = (size_t)(cursor * p->x.sub + k);
            if (at >= p->s[i].n || (!p->s[i].b[at].count && !p->s[i].b[at].bad)) continue;
            bucket_merge(&q, &p->s[i].b[at]);
            if (p->s[i].line) line = p->s[i].line[at];
        }
        if (!q.count && !q.bad) continue;
        if (u->look.cursor_step < 0) u->look.cursor_step = q.count == 1 ? q.at_min : q.step0;
        if (len > sizeof text - 160) break;
        len += (size_t)snprintf(text + len, sizeof text - len, " %.31s ", p->s[i].name);
        if (q.count && p->s[i].flags & PLOT_GHOST)
            len += (size_t)snprintf(text + len, sizeof text - len, "%s (%s..%s)", fmt_value(a, q.mean), fmt_value(b, q.min), fmt_value(c, q.max));
        else if (q.count == 1) len += (size_t)snprintf(text + len, sizeof text - len, "%s at step %s", fmt_value(a, q.mean), fmt_count(b, q.at_min));
        else if (q.count)
            len += (size_t)snprintf(text + len, sizeof text - len, "%s at %s .. %s at %s, of %lld", fmt_value(a, q.min), fmt_count(b, q.at_min),
                fmt_value(c, q.max), fmt_count(d, q.at_max), (long long)q.count);
        if (q.bad) len += (size_t)snprintf(text + len, sizeof text - len, ", %lld not finite from step %s", (long long)q.bad, fmt_count(a, q.step0));
        if (isfinite(line)) len += (size_t)snprintf(text + len, sizeof text - len, ", ema %s", fmt_value(a, line));
        len += (size_t)snprintf(text + len, sizeof text - len, " ");
    }
    if (len) grid_text(g, r.row + r.rows - 1, r.col, r.cols, (struct style){INK_TEXT, AT_REVERSE}, text);
}

void chart_draw(struct ui *u, struct grid *g, struct rect area, int sel, struct plot_range *range, const char *title, int cursor) {
    const char *names[2];
    char ghost[64];
    struct plot_series s[CHART_SERIES];
    struct plot_mark mark[MARKS];
    struct axis a;
    const struct chart_look *l = &u->look;
    int n = 0;
    if (!u->chart) u->chart = X_NEW(struct chart_work, 1);
    window_follow(u);
    struct plot p = {.area = area, .set = u->glyphs, .log = l->log, .outliers = l->outliers, .smooth = l->smooth, .cursor = cursor, .title = title};
    p.x.sub = u->glyphs == GLYPHS_BRAILLE ? 2 : 1;
    size_t cols = (size_t)(plot_columns(&p) * p.x.sub);
    if (u->run && sel < u->now.n) {
        int64_t last = last_step(u);
        if (l->ghost && u->now.steps > last) last = u->now.steps; /* room for the whole of the other curve */
        metric_pair(u, sel, names, &n);
        axis_read(u, u->run, &a, l->span ? l->from : 0, l->span ? l->from + l->span : INT64_MAX);
        axis_choose(l, &a, last, cols, &p.x);
        for (int i = 0; i < n; i++) {
            size_t m = series_columns(u, u->run, names[i], u->look.smooth, &p.x, &a, cols, i);
            s[i] = (struct plot_series){.name = names[i], .b = u->chart->col[i], .n = m, .ink = i, .line = l->smooth > 0 ? u->chart->line[i] : NULL};
        }
        for (int i = 0; i < u->n_marks; i++) {
            mark[i] = u->mark[i];
            mark[i].x = axis_at(&a, mark[i].step);
        }
        if (l->ghost) ghost_add(u, &p.x, &a, names[0], cols, s, &n, ghost);
        p.marks = mark;
        p.n_marks = u->n_marks;
    }
    p.s = s;
    p.n = n;
    plot_draw(g, &p, range, u->clock());
    if (cursor >= 0 && area.rows >= 5) read_point(u, g, &p, cursor);
}

/* ---- commands ---- */

static int smooth_run(struct call *c, const void *args, struct err *e) {
    static const double levels[] = {0, 0.6, 0.9, 0.97, 0.99, 0.999};
    BEGIN(pick_args);
    size_t i = 0;
    while (i + 1 < LEN(levels) && levels[i] < u->look.smooth) i++;
    if (a->what == 0 && i + 1 < LEN(levels) && levels[i] <= u->look.smooth) i++;
    if (a->what == 1 && i > 0) i--;
    return chart_set(u, "chart_smooth", val_num(a->what == 2 ? 0 : levels[i]), e);
}

static int axis_run(struct call *c, const void *args, struct err *e) {
    BEGIN_NONE;
    return chart_set(u, "chart_log", val_bool(!u->look.log), e);
}

static int outliers_run(struct call *c, const void *args, struct err *e) {
    BEGIN_NONE;
    return chart_set(u, "chart_outliers", val_bool(!u->look.outliers), e);
}

static int names_count(const char *const *names) {
    int n = 0;
    while (names[n]) n++;
    return n;
}

static int x_axis_run(struct call *c, const void *args, struct err *e) {
    BEGIN(pick_args);
    int next = a->what > 0 ? a->what - 1 : ((int)u->look.x + 1) % names_count(chart_x_names);
    u->cursor = -1;
    return chart_set(u, "chart_x", val_str(chart_x_names[next]), e);
}

static int ghost_run_(struct call *c, const void *args, struct err *e) {
    BEGIN(pick_args);
    int next = a->what > 0 ? a->what - 1 : (u->look.ghost + 1) % names_count(chart_ghost_names);
    return chart_set(u, "chart_ghost", val_str(chart_ghost_names[next]), e);
}

struct window_args {
    int what;
    int64_t from, to;
};

static int window_run(struct call *c, const void *args, struct err *e) {
    BEGIN(window_args);
    if (a->from != ARG_NONE_INT || a->to != ARG_NONE_INT) {
        int64_t from = a->from == ARG_NONE_INT ? 0 : a->from, to = a->to == ARG_NONE_INT ? last_step(u) + 1 : a->to;
        if (to <= from) return err_code(e, ERR_USAGE, "window: from=%lld must be below to=%lld", (long long)from, (long long)to);
        u->look.from = from;
        u->look.span = to - from;
        u->look.follow = false;
        window_changed(u);
        return 0;
    }
    if (a->what < 2) window_zoom(u, a->what == 0);
    else if (a->what < 4) window_move(u, a->what == 2 ? -1 : 1);
    else chart_whole(u);
    return 0;
}

static const char *const smooth_names[] = {"up", "down", "off", NULL};
static const char *const x_names[] = {"next", "step", "epoch", "time", "clock", NULL}; /* next, then ORDER chart_x_names */
static const char *const ghost_names[] = {"next", "off", "previous", "best", "seeds", NULL}; /* next, then ORDER chart_ghost_names */
static const char *const window_names[] = {"in", "out", "left", "right", "whole", NULL};
PICK(by, "which way", smooth_names, ARG_REQUIRED, NULL);
PICK(x, "which axis", x_names, 0, "next");
PICK(curve, "whose curve", ghost_names, 0, "next");
static const struct arg window_table[] = {{"to_do", "closer, wider, a quarter back or on, the whole run", NULL, "whole", ARG_ENUM,
                                              offsetof(struct window_args, what), ARG_POSITIONAL, 0, 0, 0, window_names, SRC_NONE},
    {"from", "the first step shown", NULL, NULL, ARG_INT, offsetof(struct window_args, from), 0, 0, 0, 0x1p53, NULL, SRC_NONE},
    {"to", "the step after the last one shown", NULL, NULL, ARG_INT, offsetof(struct window_args, to), 0, 0, 0, 0x1p53, NULL, SRC_NONE}, {0}};
ROW_EX(smooth, "smoothing of the charts", "hone.smooth{\"up\"}", by_table, pick_args);
ROW_NONE(axis, "logarithmic y axis on and off");
ROW_NONE(outliers, "lets outliers set the range of the charts, or not");
ROW_EX(x_axis, "the x axis of the charts: steps, epochs, time of training, clock", "hone.x_axis{\"epoch\"}", x_table, pick_args);
ROW_EX(window, "the part of the run that charts show", "hone.window{from=1000, to=2000}", window_table, window_args);
const struct cmd ghost_cmd = {{"ghost", "the curve of another run behind each: the one before, the best, mean and range over seeds", "hone.ghost{\"previous\"}",
                                  curve_table, sizeof(struct pick_args)},
    OWNER_UI, CMD_WHILE_RUNNING, ghost_run_, NULL};

#define CHARTS "charts"
const struct key_row chart_keys[] = {{CHARTS, "i", "window in", "charts: fewer steps, closer", NULL}, {CHARTS, "I", "window out", "charts: more steps", NULL},
    {CHARTS, "[", "window left", "charts: a quarter of the window back", NULL}, {CHARTS, "]", "window right", "charts: a quarter of the window on", NULL},
    {CHARTS, "w", "window whole", "charts: the whole run", NULL}, {CHARTS, "X", "x_axis", "charts: x in steps, epochs, time of training, clock", NULL},
    {CHARTS, "+", "smooth up", "charts: smooth more", NULL}, {CHARTS, "-", "smooth down", "charts: smooth less", NULL},
    {CHARTS, "L", "axis", "charts: logarithmic y axis on and off", NULL}, {CHARTS, "o", "outliers", "charts: y range holds every outlier, or the middle", NULL},
    {CHARTS, "b", "ghost", "charts: behind each the run before, the best, seeds, none", NULL}, {NULL, NULL, NULL, NULL, NULL}};
