/* Overview: state, progress with ETA, last value and trend of up to 9 metrics, one big chart, alerts, last event. UI thread. */
#include "config.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "src/base/err.h"
#include "ui/chart.h"
#include "ui/draw/fmt.h"

static double metric_value(const struct ui *u, const char *name) {
    int i = chart_metric(u, name);
    return i < 0 ? NAN : u->now.metric[i].value;
}

static void no_run_title(const struct ui *u, struct grid *g) {
    struct style plain = {INK_TEXT, 0};
    grid_text(g, 0, 1, g->cols - 1, (struct style){INK_TITLE, AT_BOLD}, "hone");
    if (ui_works(u))
        grid_textf(g, 1, 1, g->cols - 1, plain, "%s, %.0f s; it has started no run yet.", u->working == WORKING_SCRIPT ? "A script runs" : "Lua works",
            floor(u->clock() - u->working_since));
    else grid_text(g, 1, 1, g->cols - 1, plain, "No run yet.");
}

/* Epoch, step, time, time left: how many texts there are, and their columns with the gaps. brief: the step without its total. */
static int progress_parts(const struct run_now *n, bool brief, char part[4][64], int *cols) {
    char a[FMT_MAX];
    int count = 0;
    if (n->epochs > 0) snprintf(part[count++], 64, "ep %.0f/%.0f", fmin(floor(n->epoch) + 1, n->epochs), n->epochs);
    if (n->steps > 0 && !brief) snprintf(part[count++], 64, "step %lld/%lld", (long long)n->step, (long long)n->steps);
    else snprintf(part[count++], 64, "step %lld", (long long)n->step);
    snprintf(part[count++], 64, "%s", fmt_clock(a, n->t));
    if (n->eta >= 0 && !run_state_ended(n->state)) snprintf(part[count++], 64, "eta %s", fmt_left(a, n->eta));
    *cols = 0;
    for (int i = 0; i < count; i++) *cols += (int)strlen(part[i]) + 2;
    return count;
}

/* Name, state and progress; true: they fit the first row. */
static bool title_row(const struct ui *u, struct grid *g) {
    const struct run_now *n = &u->now;
    char state[16], part[4][64];
    snprintf(state, sizeof state, "%s", run_state_names[n->state]);
    for (char *p = state; *p; p++)
        if (*p >= 'a' && *p <= 'z') *p = (char)(*p - 32);
    enum ink ink = n->state == RUN_FAILED || n->state == RUN_CRASHED ? INK_BAD : n->state == RUN_PAUSED ? INK_WARN : n->state == RUN_DONE ? INK_GOOD : INK_TEXT;
    int x = 1 + grid_text(g, 0, 1, g->cols < 80 ? g->cols - 14 : 28, (struct style){INK_TITLE, AT_BOLD}, n->name) + 2;
    x += grid_text(g, 0, x, g->cols - x, (struct style){(uint8_t)ink, AT_BOLD}, state) + 2;
    int len, count = progress_parts(n, false, part, &len), row = 0;
    if (g->cols >= 60 && x + len > g->cols + 2) count = progress_parts(n, true, part, &len); /* what is left matters more than the number of steps */
    for (int i = 0; i < count; i++) { /* what does not fit the first line goes to the second */
        int width = (int)strlen(part[i]);
        if (row == 0 && x + width > g->cols) {
            if (g->cols >= 60) break;
            row = 1, x = 1;
        }
        if (x + width <= g->cols) x += grid_text(g, row, x, -1, (struct style){INK_TEXT, 0}, part[i]) + 2;
    }
    return row == 0;
}

/* Phase, bar, speed. */
static void phase_row(const struct ui *u, struct grid *g) {
    const struct run_now *n = &u->now;
    struct style plain = {INK_TEXT, 0};
    char a[FMT_MAX], text[96] = "";
    int64_t done = n->steps > 0 ? n->step : n->done, total = n->steps > 0 ? n->steps : n->total;
    int x = 1 + grid_text(g, 1, 1, 24, plain, n->phase[0] && !run_state_ended(n->state) ? n->phase : run_state_names[n->state]) + 1, len = 0;
    if (n->state == RUN_PREPARING) x += grid_textf(g, 1, x, -1, plain, "%.0f s", n->phase_t) + 1;
    double ex = metric_value(u, "examples_s"), ms = metric_value(u, "step_ms");
    if (isfinite(ex)) len += snprintf(text, sizeof text, "%s ex/s   ", fmt_count(a, (int64_t)ex));
    if (isfinite(ms)) len += snprintf(text + len, sizeof text - (size_t)len, "%.*f ms/step", ms < 9.995 ? 2 : ms < 99.95 ? 1 : 0, ms);
    len = (len + 3) / 4 * 4; /* the bar does not move with every digit */
    if (total > 0) { /* the bar takes what the numbers leave */
        int w = g->cols - x - len - 10;
        w = w > g->cols / 2 ? g->cols / 2 : w;
        w = w > 60 ? 60 : w;
        if (w >= 8) draw_bar(g, 1, x, w, (double)done / (double)total, u->glyphs, (struct style){INK_SERIES, 0});
        x += w >= 8 ? w + 1 : 0;
        x += grid_text(g, 1, x, -1, plain, fmt_percent(a, (double)done, (double)total)) + 3;
    }
    grid_text(g, 1, x, -1, plain, text);
}

static bool above_list(const char *name) { return strcmp(name, "examples_s") == 0 || strcmp(name, "step_ms") == 0; } /* in the line above */

static void metric_list(struct ui *u, struct grid *g, struct rect r) {
    char a[FMT_MAX];
    int shown = 0, all = 0, room;
    for (int i = 0; i < u->now.n; i++) all += !above_list(u->now.metric[i].name);
    room = all <= r.rows && all <= 9 ? all : r.rows - 1 < 9 ? r.rows - 1 : 9;
    for (int i = 0; i < u->now.n && shown < room; i++) {
        const struct run_metric *m = &u->now.metric[i];
        if (above_list(m->name)) continue;
        int row = r.row + shown++;
        grid_put(g, row, r.col, (struct style){INK_TEXT, 0}, i == u->sel ? '>' : ' ');
        grid_text(g, row, r.col + 1, 11, (struct style){INK_TEXT, 0}, m->name);
        grid_text(g, row, r.col + 13, 8, (struct style){isfinite(m->value) ? INK_TEXT : INK_BAD, AT_BOLD}, fmt_value(a, m->value));
        bool edited = strcmp(u->edited, m->name) == 0 && u->now.step - u->edited_step <= u->now.step / 10;
        grid_text(g, row, r.col + 21, 5, (struct style){edited ? INK_WARN : INK_TEXT, 0}, edited ? "!edit" : fmt_trend(a, u->trend[i]));
    }
    if (all > room && room < r.rows)
        grid_textf(g, r.row + (room > 0 ? room : 0), r.col + 1, r.cols - 1, (struct style){INK_DIM, 0}, "+%d hidden, 2 shows all", all - room);
}

static void info_line(struct ui *u, struct grid *g, int row) {
    char a[FMT_MAX], text[200];
    int n = snprintf(text, sizeof text, "%.24s", val_get_str(u->start, "device", "no device"));
    int64_t threads = val_get_int(u->start, "threads", 0), params = val_get_int(u->start, "params", 0);
    if (threads > 0) n += snprintf(text + n, sizeof text - (size_t)n, "  threads %lld", (long long)threads);
    if (params > 0) n += snprintf(text + n, sizeof text - (size_t)n, "  params %s", fmt_count(a, params));
    if (u->now.model[0]) n += snprintf(text + n, sizeof text - (size_t)n, "  model %.40s", u->now.model);
    snprintf(text + n, sizeof text - (size_t)n, "  %s", u->ckpt[0] ? u->ckpt : "no ckpt");
    grid_text(g, row, 1, g->cols - 1, (struct style){INK_TEXT, 0}, text);
}

/* What a new user can do; in place of an empty chart. */
static void welcome(struct ui *u, struct grid *g, struct rect r) {
    static const char *const lines[] = {"hone demo               a built-in example: Fashion-MNIST", "hone run SCRIPT.lua     an experiment of your own", "",
        "`  a line of Lua: hone.data{ 'banking77' }", ":  every command, by a few letters of its name", "?  the keys of this screen; 9 the log; 0 settings",
        "q  leaves; what runs goes on, hone attach comes back"};
    if (ui_works(u)) return;
    if (u->alerts && u->alert[0]) { /* what a script failed with matters more */
        int y = grid_wrap(g, (struct rect){r.row, r.col + 2, r.rows < 6 ? r.rows : 6, r.cols - 4}, (struct style){INK_BAD, 0}, u->alert) + 1;
        r.row += y, r.rows -= y;
    }
    for (int i = 0; i < (int)LEN(lines) && i < r.rows; i++) grid_text(g, r.row + i, r.col + 2, r.cols - 2, (struct style){INK_TEXT, 0}, lines[i]);
}

static void alert_line(const struct ui *u, struct grid *g, int row, int cols, bool whole) {
    struct style s = {u->alerts ? INK_WARN : INK_TEXT, u->alerts ? AT_BOLD : 0};
    const char *none = u->alert[0] ? "none new" : "none";
    if (whole) grid_textf(g, row, 1, cols, s, "alert: %s", u->alerts ? u->alert : none);
    else if (u->alerts) grid_textf(g, row, 1, cols, s, "alerts: %d, see 9", u->alerts);
    else grid_textf(g, row, 1, cols, s, "alerts: %s", none);
}

static void draw(struct ui *u, struct grid *g, struct rect r) {
    bool wide = g->cols >= 64 && r.rows >= 14, tall = r.rows >= 14;
    int bottom = r.rows - (tall ? 4 : 3), left = g->cols < 64 ? g->cols : 27, top = 3;
    if (!u->run) no_run_title(u, g);
    else if (title_row(u, g)) phase_row(u, g);
    if (r.rows > 2) draw_rule(g, 2, 0, g->cols);
    if (r.rows < 6) return; /* behind a drawer */
    struct rect list = {top, 0, bottom - top - (tall ? 1 : 0), left};
    if (!u->run) {
        welcome(u, g, (struct rect){top + 1, 0, bottom - top - 1, g->cols});
    } else if (u->zoom && wide) {
        char title[80];
        snprintf(title, sizeof title, "%.40s", u->sel < u->now.n ? u->now.metric[u->sel].name : "");
        chart_draw(u, g, (struct rect){top, 0, bottom - top, g->cols}, u->sel, &u->main_range, title, u->cursor);
    } else {
        metric_list(u, g, list);
        if (wide) {
            alert_line(u, g, bottom - 1, left - 1, false);
            for (int y = top; y < bottom; y++) grid_put(g, y, left, (struct style){INK_TEXT, 0}, u->glyphs == GLYPHS_ASCII ? '|' : 0x2502);
            chart_draw(u, g, (struct rect){top, left + 1, bottom - top, g->cols - left - 1}, u->sel, &u->main_range, NULL, u->cursor);
        } else if (tall) {
            alert_line(u, g, bottom - 1, g->cols - 1, true);
        }
    }
    int y = bottom;
    if (tall) {
        draw_rule(g, y++, 0, g->cols);
        info_line(u, g, y++);
    } else {
        alert_line(u, g, y++, g->cols - 1, true);
    }
    grid_text(g, y++, 1, g->cols - 1, (struct style){INK_TEXT, 0}, u->last);
    if (y < r.rows) draw_rule(g, y, 0, g->cols);
}

/* The chart follows the selected metric; those in the line above the list are passed over. */
static void step_metric(struct ui *u, int by) {
    for (int i = 0; i < u->now.n; i++) {
        u->sel = (u->sel + by + u->now.n) % u->now.n;
        if (!above_list(u->now.metric[u->sel].name)) break;
    }
    memset(&u->main_range, 0, sizeof u->main_range);
}

static void move(struct ui *u, enum move m) {
    if (!u->now.n) return;
    if (m == MOVE_UP || m == MOVE_PREV) step_metric(u, -1);
    else if (m == MOVE_DOWN || m == MOVE_NEXT) step_metric(u, 1);
    else if (m == MOVE_LEFT) u->cursor = u->cursor < 0 ? u->cols / 3 : u->cursor > 0 ? u->cursor - 1 : 0;
    else if (m == MOVE_RIGHT) u->cursor = u->cursor < u->cols - 8 ? u->cursor + 1 : u->cursor;
    else if (m == MOVE_HOME) u->cursor = -1;
}

static void enter(struct ui *u) { u->zoom = !u->zoom; }

static const struct key_row keys[] = {{"overview", "Tab", "move next", "the next metric in the chart", NULL}, {0}};

const struct view view_overview = {.name = "overview",
    .title = "Overview",
    .draw = draw,
    .move = move,
    .enter = enter,
    .footer = " ?help :cmd  p %s  l lr  c ckpt  e eval  s stop..  `prompt  q detach",
    .keys = keys,
    .also = chart_keys};
