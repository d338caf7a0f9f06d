/* Compare: up to 8 runs over one chart of a metric, a table of their best values with the difference to the baseline, and only those values of the
 * configuration that differ. Every column of the chart holds what its run logged there; nothing is put between runs. The curves are read on the
 * helper thread (command curves), the values out of the list of runs. UI thread. */
#include "config.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/mem.h"
#include "src/base/utf8.h"
#include "src/stored/diff.h"
#include "ui/draw/fmt.h"
#include "ui/rows.h"
#include "ui/runs.h"
#include "ui/scroll.h"

enum { DIFFS = 256 };
static const double OLD = 2; /* seconds: curves of live runs are read anew after that */

struct curve {
    char name[96];
    struct bucket *b; /* contiguous buckets of 2^k steps from step 0 */
    size_t n;
};
struct compare_state {
    char want[MARKED * 64 + 128], have[MARKED * 64 + 128]; /* runs, metric and size that are asked for and shown */
    enum { EACH, SPREAD, INTERVAL, SEEDS_N } seeds; /* of runs that differ only in the seed: every curve, or their mean with a band */
    bool asked, live; /* live: a run was, when its curve was read */
    double asked_t;
    struct curve curve[MARKED];
    int n, k;
    struct plot_mark mark[MARKS];
    char mark_text[MARKS][32];
    int n_marks;
    struct plot_range range;
    char refused[200];
    int top; /* first difference shown */
};

static struct compare_state *state(const struct ui *u) { return u->state[SCR_COMPARE]; }

static void forget(struct compare_state *s) {
    for (int i = 0; i < s->n; i++) free(s->curve[i].b);
    s->n = s->n_marks = 0;
}

static void release(struct ui *u) { forget(state(u)); }

/* ---- curves ---- */

static void points_take(struct curve *c, const struct val *points, int k, bool interval) {
    const struct val *last = val_at(points, val_len(points) - 1);
    int64_t end = val_len(points) ? (val_get_int(last, "step", 0) >> k) + 1 : 0;
    c->n = end > 0 && end <= PLOT_COLS ? (size_t)end : 0;
    c->b = X_NEW(struct bucket, c->n + 1);
    for (size_t i = 0; i < c->n; i++) c->b[i].step0 = (int64_t)i << k;
    for (size_t i = 0; i < val_len(points) && c->n; i++) {
        const struct val *p = val_at(points, i);
        int64_t at = val_get_int(p, "step", 0) >> k;
        if (at < 0 || at >= end) continue;
        struct bucket *b = &c->b[at];
        b->mean = val_get_num(p, "mean", NAN);
        b->count = isfinite(b->mean) ? val_get_int(p, "count", 0) : 0;
        b->min = (float)val_get_num(p, interval ? "lo" : "min", b->mean);
        b->max = (float)val_get_num(p, interval ? "hi" : "max", b->mean);
        b->bad = val_get_int(p, "bad", 0);
        b->at_min = b->at_max = b->step0;
    }
}

/* run:set("lr", 0.001) becomes lr 0.001, hone.stop{after="epoch"} stop after=epoch, hone.note{text="so"} note so */
static void mark_text(char out[32], char run, const char *lua) {
    char what[28];
    size_t n = 0;
    const char *note = strstr(lua, "note{text=\"");
    if (note) {
        snprintf(out, 32, "%c note %.24s", run, note + 11);
        out[strcspn(out, "\"")] = 0;
        return;
    }
    if (strncmp(lua, "run:set", 7) == 0) lua += 8;
    else if (strncmp(lua, "hone.", 5) == 0) lua += 5;
    else if (strncmp(lua, "run:", 4) == 0) lua += 4;
    for (; *lua && n < sizeof what - 1; lua++)
        if (*lua == '(' || *lua == '{') what[n++] = ' ';
        else if (!strchr("\"')},", *lua)) what[n++] = *lua;
    what[n] = 0;
    snprintf(out, 32, "%c %s", run, what);
}

static void marks_take(struct compare_state *s, const struct val *marks, char run) {
    for (size_t i = 0; i < val_len(marks) && s->n_marks < MARKS; i++) {
        mark_text(s->mark_text[s->n_marks], run, val_get_str(val_at(marks, i), "text", ""));
        s->mark[s->n_marks] = (struct plot_mark){.step = val_get_int(val_at(marks, i), "step", 0), .text = s->mark_text[s->n_marks]};
        s->n_marks++;
    }
}

static void curves_came(struct ui *u, void *ctx, const struct call *c) {
    struct compare_state *s = state(u);
    (void)ctx;
    s->asked = false;
    if (strcmp(s->want, s->have) != 0) memset(&s->range, 0, sizeof s->range);
    memcpy(s->have, s->want, sizeof s->have);
    s->refused[0] = 0;
    forget(s);
    if (c->status != 0) snprintf(s->refused, sizeof s->refused, "%.199s", c->err.text);
    for (size_t i = 0; c->status == 0 && i < val_len(c->result) && s->n < MARKED; i++) {
        const struct val *v = val_at(c->result, i);
        struct curve *to = &s->curve[s->n++];
        size_t seeds = val_len(val_get(v, "runs"));
        snprintf(to->name, sizeof to->name, seeds > 1 ? "%.60s +%zu seed%s" : "%.60s", val_get_str(v, "run", ""), seeds - 1, seeds > 2 ? "s" : "");
        s->k = (int)val_get_int(v, "k", 0);
        points_take(to, val_get(v, "points"), s->k < 0 || s->k > 62 ? 0 : s->k, s->seeds == INTERVAL);
        marks_take(s, val_get(v, "marks"), plot_marks[s->n - 1]);
    }
}

static int columns(const struct ui *u) {
    struct plot p = {.area = {0, 0, 10, u->cols}};
    int n = plot_columns(&p) * (u->glyphs == GLYPHS_BRAILLE ? 2 : 1);
    return n > 1024 ? 1024 : n; /* the most that curves gives */
}

static bool some_live(const struct ui *u, const char *const *name, int n) {
    for (int i = 0; i < n; i++) {
        const struct shelf_run *r = shelf_find(runs_list(u), name[i]);
        if (r && !run_state_ended(r->state)) return true;
    }
    return false;
}

static void refresh(struct ui *u) {
    struct compare_state *s = state(u);
    const char *name[MARKED];
    runs_want(u);
    int n = runs_list(u) ? runs_chosen(u, name) : 0;
    if (!n || !runs_metric(u)[0]) return;
    struct val *t = val_table();
    struct buf want = BUF_INIT;
    for (int i = 0; i < n; i++) {
        val_push(t, val_str(name[i]));
        buf_addf(&want, "%s ", name[i]);
    }
    buf_addf(&want, "%s %d %d", runs_metric(u), columns(u), (int)s->seeds);
    val_set_str(t, "metric", runs_metric(u));
    val_set_int(t, "points", columns(u));
    if (s->seeds) val_set_bool(t, "seeds", true);
    bool live = some_live(u, name, n), other = strcmp(want.data, s->have) != 0, old = s->live && (!live || u->clock() - s->asked_t > OLD);
    if (!s->asked && (other || old)) {
        snprintf(s->want, sizeof s->want, "%s", want.data);
        s->asked_t = u->clock();
        s->live = live;
        s->asked = ui_ask(u, "curves", t, curves_came, NULL) == 0;
    } else val_free(t);
    buf_release(&want);
}

/* ---- drawing ---- */

static int series_of(const struct compare_state *s, const char *run) { /* the curve that a run lies in; -1: of a group's other members */
    for (int i = 0; i < s->n; i++)
        if (strncmp(s->curve[i].name, run, strlen(run)) == 0 && (s->curve[i].name[strlen(run)] == 0 || s->curve[i].name[strlen(run)] == ' ')) return i;
    return -1;
}

static void chart(struct ui *u, struct grid *g, struct rect area) {
    struct compare_state *s = state(u);
    struct plot_series series[MARKED];
    for (int i = 0; i < s->n; i++)
        series[i] = (struct plot_series){s->curve[i].name, s->curve[i].b, s->curve[i].n, i, s->n > 2 && !s->seeds ? PLOT_NO_BAND : 0, NULL};
    struct plot p = {.area = area,
        .set = u->glyphs,
        .log = u->look.log,
        .outliers = u->look.outliers,
        .smooth = u->look.smooth,
        .x = {.k = s->k, .sub = u->glyphs == GLYPHS_BRAILLE ? 2 : 1},
        .s = series,
        .n = s->n,
        .marks = s->mark,
        .n_marks = s->n_marks,
        .cursor = -1};
    plot_draw(g, &p, &s->range, u->clock());
}

struct shown { /* the compared runs and the one that the others are compared with */
    const struct shelf_run *run[MARKED], *base;
    int n;
};

static void shown_find(struct ui *u, struct shown *out) {
    const char *name[MARKED];
    const struct shelf_run *base = shelf_baseline(runs_list(u));
    int n = runs_chosen(u, name);
    out->n = 0;
    for (int i = 0; i < n; i++) {
        const struct shelf_run *r = shelf_find(runs_list(u), name[i]);
        if (r) out->run[out->n++] = r;
    }
    out->base = base ? base : out->n ? out->run[0] : NULL;
}

static void table(struct ui *u, struct grid *g, struct rect a, const struct shown *sh, int name_cols) {
    const struct compare_state *s = state(u);
    const char *metric = runs_metric(u);
    const struct metric_ends *mb = sh->base ? shelf_metric(sh->base, metric) : NULL;
    struct style bold = {INK_TITLE, AT_BOLD}, text = {INK_TEXT, 0};
    int x = 3 + name_cols, state_at = x + 1, best = state_at + 8 + 10, step = best + 10, delta = step + 10, last = delta + 10;
    char t[FMT_MAX];
    grid_text(g, a.row, 3, name_cols, bold, "run");
    grid_text(g, a.row, state_at, 8, bold, "state");
    grid_right(g, a.row, best, 9, bold, metric_direction(metric) ? "best" : "last");
    grid_right(g, a.row, step, 9, bold, "at step");
    grid_right(g, a.row, delta, 9, bold, "delta");
    if (last <= g->cols) grid_right(g, a.row, last, 9, bold, "last");
    for (int i = 0; i < sh->n && i + 1 < a.rows; i++) {
        const struct shelf_run *r = sh->run[i];
        const struct metric_ends *m = shelf_metric(r, metric);
        int row = a.row + 1 + i, at = series_of(s, r->name);
        int64_t when = -1;
        double v = m && m->ends.count ? shelf_best(m, &when) : NAN;
        if (at >= 0) grid_put(g, row, 1, (struct style){(uint8_t)(INK_SERIES + at), AT_BOLD}, (uint32_t)plot_marks[at]);
        grid_text(g, row, 3, name_cols, text, r->name);
        grid_text(g, row, state_at, 8, text, run_state_names[r->state]);
        grid_right(g, row, best, 9, text, isnan(v) ? "-" : fmt_value(t, v));
        if (when >= 0) grid_right(g, row, step, 9, text, fmt_count(t, when));
        if (r == sh->base) grid_right(g, row, delta, 9, text, "base");
        else if (mb && mb->ends.count) runs_delta(g, row, delta, 9, metric, v, shelf_best(mb, NULL));
        if (last <= g->cols) grid_right(g, row, last, 9, text, m ? fmt_value(t, m->ends.value) : "-");
    }
}

static const char *short_name(const char *name, int cols) { /* its last part where the whole does not fit */
    const char *dot = strrchr(name, '.');
    return (int)strlen(name) > cols && dot && dot[1] && !isdigit((unsigned char)dot[1]) ? dot + 1 : name;
}

/* Rows of names that differ, a column a run, under the marks of the chart. */
static void differences(struct ui *u, struct grid *g, struct rect a, const struct shown *sh, const char *const *name, int n) {
    struct compare_state *s = state(u);
    int key = 20, w = sh->n ? (g->cols - 3 - key) / sh->n : 0, room = a.rows - 1;
    if (w > 16) w = 16;
    if (room < 1) return;
    if (s->top > n - room) s->top = n - room;
    if (s->top < 0) s->top = 0;
    int below = n - s->top - room;
    struct style bold = {INK_TITLE, AT_BOLD};
    if (below > 0) grid_textf(g, a.row, 3, key - 1, bold, "%d differ, +%d Down", n, below);
    else grid_textf(g, a.row, 3, n ? key - 1 : g->cols - 3, bold, n ? "%d differ" : "The configurations are the same.", n);
    for (int i = 0; i < sh->n && n; i++) {
        int at = series_of(s, sh->run[i]->name);
        char t[8];
        snprintf(t, sizeof t, "%c", at >= 0 ? plot_marks[at] : ' ');
        grid_right(g, a.row, 3 + key + (i + 1) * w, w - 1, (struct style){(uint8_t)(at >= 0 ? INK_SERIES + at : INK_TEXT), AT_BOLD}, t);
    }
    for (int y = 0; y < room && s->top + y < n; y++) {
        const char *full = name[s->top + y];
        grid_text(g, a.row + 1 + y, 3, key - 1, (struct style){INK_TEXT, 0}, short_name(full, key - 1));
        for (int i = 0; i < sh->n; i++) {
            const struct shelf_value *v = value_named(sh->run[i], full), *b = sh->base ? value_named(sh->base, full) : NULL;
            bool same = v && b && strcmp(v->text, b->text) == 0;
            char num[64];
            grid_right(g, a.row + 1 + y, 3 + key + (i + 1) * w, w - 1, (struct style){INK_TEXT, same ? 0 : AT_BOLD}, value_text(num, v));
        }
    }
}

static void title(struct ui *u, struct grid *g, int row, const struct shown *sh) {
    static const char *const bands[SEEDS_N] = {"", "mean over seeds, min to max", "mean over seeds, 95 %"};
    const struct compare_state *s = state(u);
    const char *names[DIFFS];
    const struct shelf *l = runs_list(u);
    size_t n = metric_names(l->run, l->n, names, DIFFS), at = 0;
    while (at < n && strcmp(names[at], runs_metric(u)) != 0) at++;
    int x = 1 + grid_text(g, row, 1, 40, (struct style){INK_TITLE, AT_BOLD}, runs_metric(u));
    x += 1 + grid_textf(g, row, x + 1, 24, (struct style){INK_TEXT, 0}, "%zu of %zu, arrows", at + 1, n);
    char base[100] = "";
    if (sh->base && sh->n > 1) snprintf(base, sizeof base, "%s%s", shelf_tagged(sh->base, "baseline") ? "baseline " : "compared with ", sh->base->name);
    x += 3;
    if (x + 8 < g->cols) x += grid_text(g, row, x, g->cols - x - 1, (struct style){INK_TEXT, 0}, base);
    if (s->seeds && x + 14 < g->cols) grid_text(g, row, x + 3, g->cols - x - 4, (struct style){INK_TITLE, 0}, bands[s->seeds]);
}

static void draw(struct ui *u, struct grid *g, struct rect r) {
    struct compare_state *s = state(u);
    struct shown sh;
    struct style text = {INK_TEXT, 0};
    if (!runs_list(u) || !runs_list(u)->n) {
        grid_text(g, r.row, 1, -1, text, runs_dir(u->runs) ? "There are no runs in the folder yet." : "Runs are not kept on disk here.");
        return;
    }
    shown_find(u, &sh);
    if (!sh.n) {
        grid_text(g, r.row, 1, -1, text, "No run is marked: x in Runs (3) marks one.");
        return;
    }
    const char *names[DIFFS];
    int diffs = sh.n > 1 ? (int)diff_names(sh.run, (size_t)sh.n, names, DIFFS) : 0, name_cols = 8;
    for (int i = 0; i < sh.n; i++) {
        int w = utf8_columns(sh.run[i]->name, strlen(sh.run[i]->name));
        if (w > name_cols) name_cols = w > 24 ? 24 : w;
    }
    int rows = r.rows - 1, tab = sh.n + 1, diff_rows = sh.n > 1 ? diffs + 1 : 0, least = rows * 2 / 5 < 7 ? 7 : rows * 2 / 5;
    int chart_rows = rows - tab - diff_rows;
    if (chart_rows < least) chart_rows = least;
    if (u->zoom) chart_rows = 0;
    if (chart_rows + tab > rows) chart_rows = rows - tab > 0 ? rows - tab : 0;
    title(u, g, r.row, &sh);
    if (s->refused[0]) grid_text(g, r.row + 1, 1, g->cols - 1, (struct style){INK_BAD, 0}, s->refused);
    else if (chart_rows >= 4) chart(u, g, (struct rect){r.row + 1, 0, chart_rows, r.cols});
    table(u, g, (struct rect){r.row + 1 + chart_rows, 0, tab, r.cols}, &sh, name_cols);
    if (sh.n > 1) differences(u, g, (struct rect){r.row + 1 + chart_rows + tab, 0, rows - chart_rows - tab, r.cols}, &sh, names, diffs);
    if (rows - chart_rows - tab < 1 && diffs) grid_textf(g, 1, g->cols - 34, 34, text, " +%d differences hidden, z shows ", diffs);
}

static void move(struct ui *u, enum move m) {
    struct compare_state *s = state(u);
    if (m == MOVE_LEFT || m == MOVE_RIGHT) runs_metric_step(u, m == MOVE_RIGHT ? 1 : -1);
    s->top += move_by(m, 8, DIFFS);
    if (s->top < 0) s->top = 0;
}

static int seeds_run(struct call *c, const void *args, struct err *e) {
    BEGIN_NONE;
    struct compare_state *s = state(u);
    s->seeds = (s->seeds + 1) % SEEDS_N;
    return 0;
}
ROW_NONE(seeds, "joins compared runs that differ only in the seed: mean with min to max, mean with its 95 % interval, every run");

static const struct key_row keys[] = {
    {"compare", "a", "seeds", "runs that differ only in the seed: mean with min to max, with its 95 % interval, or each", NULL}, {0}};

const struct view view_compare = {.name = "compare",
    .title = "Compare",
    .draw = draw,
    .move = move,
    .footer = " ?help :cmd  Left Right metric  Down more  a seeds  z table  3 runs  q detach",
    .keys = keys,
    .every = 5, /* other processes have runs too */
    .state_size = sizeof(struct compare_state),
    .refresh = refresh,
    .release = release};
