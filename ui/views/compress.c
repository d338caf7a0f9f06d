/* Compress: what hone.compress measured: a row a step with accuracy and its interval, the paired test, size and time; size and time against accuracy; what
 * became of each weight. Every row names the command that gives its numbers again. Of the newest run that compressed something. UI thread. */
#include "config.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "src/base/err.h"
#include "ui/draw/fmt.h"
#include "ui/rows.h"
#include "ui/scroll.h"

enum compress_pane { PANE_FRONTIER, PANE_LAYERS, COMPRESS_PANES };
struct compress_state {
    struct run *run; /* whose report it is */
    struct val *rep; /* the report "compress", or NULL */
    uint64_t seen;
    enum compress_pane pane;
    int sel, top, layer_top; /* step selected, first ones shown */
    char said[200]; /* what became of the last apply, revert, compare */
};

static const struct val *steps_of(const struct compress_state *s) { return val_get(s->rep, "steps"); }
static double number(const struct val *row, const char *name) { return val_get_num(row, name, NAN); }

/* ---- the table ---- */

struct column {
    const char *head;
    int width;
};
static const struct column cols[] = {
    {"step", 17}, {"kept", 5}, {"acc", 8}, {"95 %", 15}, {"p", 8}, {"bytes", 11}, {"p50 ms", 8}, {"ex/s", 7}}; /* ORDER step_cells */

static void value_or_dash(char *out, double v) {
    if (isnan(v)) snprintf(out, FMT_MAX, "-");
    else fmt_value(out, v);
}

static void step_cells(const struct val *row, bool first, char text[LEN(cols)][FMT_MAX]) {
    double lo = number(row, "acc_lo"), hi = number(row, "acc_hi"), quality = number(row, "acc");
    snprintf(text[0], FMT_MAX, "%.39s", val_get_str(row, "name", "?"));
    snprintf(text[1], FMT_MAX, "%s", first ? "" : val_get_bool(row, "kept", false) ? "yes" : "no");
    value_or_dash(text[2], isnan(quality) ? number(row, "r2") : quality);
    if (isnan(lo)) snprintf(text[3], FMT_MAX, "%s", isnan(number(row, "r2")) ? "-" : "r2");
    else snprintf(text[3], FMT_MAX, "%.4f-%.4f", lo, hi);
    value_or_dash(text[4], number(row, "p_mcnemar"));
    double bytes = number(row, "bytes");
    if (isnan(bytes)) snprintf(text[5], FMT_MAX, "-");
    else fmt_count(text[5], (int64_t)bytes);
    value_or_dash(text[6], number(row, "p50_ms"));
    double rate = number(row, "examples_s");
    if (isnan(rate)) snprintf(text[7], FMT_MAX, "-");
    else fmt_short(text[7], rate);
}

static int table_draw(struct compress_state *s, struct grid *g, struct rect r) {
    int n = (int)val_len(steps_of(s)), room = r.rows - 1, x = r.col + 1, more = r.cols - 82 > 0 ? (r.cols - 82 > 30 ? 30 : r.cols - 82) : 0;
    char text[LEN(cols)][FMT_MAX];
    for (size_t c = 0; c < LEN(cols); c++) {
        int w = cols[c].width + (c ? 0 : more);
        if (c == 0) grid_text(g, r.row, x, w - 1, (struct style){INK_TITLE, AT_BOLD}, cols[c].head);
        else grid_right(g, r.row, x + w - 1, w - 1, (struct style){INK_TITLE, AT_BOLD}, cols[c].head);
        x += w;
    }
    s->sel = clamp_index(s->sel, n);
    s->top = first_shown(s->top, s->sel, room);
    for (int y = 0; y < room && s->top + y < n; y++) {
        int i = s->top + y, row = r.row + 1 + y;
        bool kept = i == 0 || val_get_bool(val_at(steps_of(s), (size_t)i), "kept", false);
        step_cells(val_at(steps_of(s), (size_t)i), i == 0, text);
        grid_put(g, row, r.col, (struct style){INK_TEXT, 0}, i == s->sel ? '>' : ' ');
        x = r.col + 1;
        for (size_t c = 0; c < LEN(cols); c++) {
            int w = cols[c].width + (c ? 0 : more);
            struct style st = {kept ? INK_TEXT : INK_DIM, c == 0 && i == s->sel ? AT_REVERSE : 0};
            if (c == 0) grid_text(g, row, x, w - 1, st, text[c]);
            else grid_right(g, row, x + w - 1, w - 1, st, text[c]);
            x += w;
        }
    }
    return n < room ? n + 1 : room + 1;
}

/* The command behind the selected row's numbers, and why it was refused. */
static int row_notes(const struct compress_state *s, struct grid *g, struct rect r) {
    const struct val *row = val_at(steps_of(s), (size_t)s->sel);
    const char *command = val_get_str(row, "command", NULL), *why = val_get_str(row, "why", NULL), *claim = val_get_str(row, "claim", NULL);
    int y = 0;
    char text[700];
    if (command) snprintf(text, sizeof text, "again by: %.600s", command);
    else snprintf(text, sizeof text, "this report names no command (it is of an earlier version)");
    for (size_t n = strlen(text), at = 0, w = (size_t)(r.cols - 2); at < n && y < 2; y++) {
        size_t len = n - at < w ? n - at : w;
        bool more = y == 1 && at + len < n;
        grid_textf(g, r.row + y, 1, r.cols - 1, (struct style){INK_TEXT, 0}, "%.*s%s", (int)len - (more ? 2 : 0), text + at, more ? ".." : "");
        at += len;
    }
    double one = number(row, "faster_1"), many = number(row, "faster_32");
    if (!isnan(one))
        grid_textf(g, r.row + y++, 1, r.cols - 1, (struct style){INK_TEXT, 0}, "%.2f times as fast at batch 1 (%.2f-%.2f), %.2f at 32 (%.2f-%.2f)%s%s", one,
            number(row, "faster_1_lo"), number(row, "faster_1_hi"), many, number(row, "faster_32_lo"), number(row, "faster_32_hi"), claim ? "; " : "",
            claim ? claim : "");
    if (why) grid_textf(g, r.row + y++, 1, r.cols - 1, (struct style){INK_WARN, 0}, "refused: %s", why);
    if (s->said[0]) grid_text(g, r.row + y++, 1, r.cols - 1, (struct style){INK_GOOD, 0}, s->said);
    return y;
}

/* ---- frontier ---- */

static double quality_of(const struct val *row) { return isnan(number(row, "acc")) ? number(row, "r2") : number(row, "acc"); }

/* Steps as their numbers, `what` to the right, accuracy upwards. */
static void scatter(const struct ui *u, struct grid *g, struct rect r, const struct compress_state *s, const char *what, const char *title) {
    double lo = INFINITY, hi = -INFINITY, bottom = INFINITY, top = -INFINITY;
    char a[FMT_MAX], b[FMT_MAX];
    size_t n = val_len(steps_of(s));
    if (r.rows < 5 || r.cols < 20) return;
    draw_box(g, r, u->glyphs, title);
    for (size_t i = 0; i < n; i++) {
        double x = number(val_at(steps_of(s), i), what), y = quality_of(val_at(steps_of(s), i));
        if (isnan(x) || isnan(y)) continue;
        lo = fmin(lo, x), hi = fmax(hi, x), bottom = fmin(bottom, y), top = fmax(top, y);
    }
    if (!(hi >= lo)) {
        grid_text(g, r.row + 1, r.col + 2, r.cols - 4, (struct style){INK_DIM, 0}, "nothing was measured yet");
        return;
    }
    if (hi == lo) hi = lo + 1;
    if (top == bottom) top = bottom + 1e-3;
    bool bytes = strcmp(what, "bytes") == 0;
    grid_text(g, r.row + 1, r.col + 1, 8, (struct style){INK_DIM, 0}, fmt_value(a, top));
    grid_text(g, r.row + r.rows - 2, r.col + 1, 8, (struct style){INK_DIM, 0}, fmt_value(b, bottom));
    grid_text(g, r.row + r.rows - 1, r.col + 9, 12, (struct style){INK_DIM, 0}, bytes ? fmt_bytes(a, lo) : fmt_value(a, lo));
    grid_right(g, r.row + r.rows - 1, r.col + r.cols - 2, 12, (struct style){INK_DIM, 0}, bytes ? fmt_bytes(b, hi) : fmt_value(b, hi));
    int left = r.col + 9, w = r.cols - 12;
    for (size_t i = n; i-- > 0;) { /* the first lie on top */
        const struct val *row = val_at(steps_of(s), i);
        double x = number(row, what), y = quality_of(row);
        if (isnan(x) || isnan(y)) continue;
        bool kept = i == 0 || val_get_bool(row, "kept", false);
        int cx = left + (int)lround((x - lo) / (hi - lo) * (w - 1)), cy = r.row + r.rows - 2 - (int)lround((y - bottom) / (top - bottom) * (r.rows - 3));
        grid_put(g, cy, cx, (struct style){kept ? INK_SERIES : INK_DIM, (int)i == s->sel ? AT_REVERSE : AT_BOLD}, i < 10 ? (uint32_t)('0' + i) : '+');
    }
}

/* ---- layers ---- */

static void layers_draw(struct compress_state *s, struct grid *g, struct rect r) {
    const struct val *list = val_get(s->rep, "layers");
    int n = (int)val_len(list), room = r.rows - 1, name = r.cols - 62 < 18 ? 18 : r.cols - 62 > 50 ? 50 : r.cols - 62;
    static const char *const heads[] = {"values", "bits", "bytes", "before", "zeros"};
    static const int widths[] = {12, 10, 12, 12, 9};
    char text[FMT_MAX], a[FMT_MAX];
    if (!n) {
        grid_text(g, r.row, 1, r.cols - 1, (struct style){INK_TEXT, 0}, "What became of each weight is known when the last step is done.");
        return;
    }
    grid_text(g, r.row, 1, name, (struct style){INK_TITLE, AT_BOLD}, "weight");
    for (int c = 0, x = 1 + name; c < 5; c++) grid_right(g, r.row, (x += widths[c]), widths[c] - 1, (struct style){INK_TITLE, AT_BOLD}, heads[c]);
    if (s->layer_top > n - room) s->layer_top = n > room ? n - room : 0;
    for (int y = 0; y < room && s->layer_top + y < n; y++) {
        const struct val *l = val_at(list, (size_t)(s->layer_top + y));
        int row = r.row + 1 + y, x = 1 + name;
        struct style st = {INK_TEXT, 0};
        int64_t bits = val_get_int(l, "bits", 0), was = val_get_int(l, "bits_before", 0);
        grid_text(g, row, 1, name, st, val_get_str(l, "name", "?"));
        grid_right(g, row, x += widths[0], widths[0] - 1, st, fmt_count(a, val_get_int(l, "n", 0)));
        if (was && was != bits) snprintf(text, sizeof text, "%lld (%lld)", (long long)bits, (long long)was);
        else snprintf(text, sizeof text, "%lld", (long long)bits);
        grid_right(g, row, x += widths[1], widths[1] - 1, st, text);
        grid_right(g, row, x += widths[2], widths[2] - 1, st, fmt_count(a, val_get_int(l, "bytes", 0)));
        if (val_get(l, "bytes_before")) fmt_count(a, val_get_int(l, "bytes_before", 0));
        else snprintf(a, sizeof a, "-");
        grid_right(g, row, x += widths[3], widths[3] - 1, st, a);
        snprintf(text, sizeof text, "%.1f%%", 100 * val_get_num(l, "sparsity", 0));
        grid_right(g, row, x + widths[4], widths[4] - 1, st, text);
    }
    if (n > room) grid_textf(g, 1, g->cols - 36, 35, (struct style){INK_TEXT, 0}, " +%d weights hidden, PgDn shows ", n - room);
}

/* ---- the screen ---- */

static void draw(struct ui *u, struct grid *g, struct rect r) {
    struct compress_state *s = u->state[SCR_COMPRESS];
    static const char *const panes[] = {"frontier", "weights"};
    int n = (int)val_len(steps_of(s)), room = n + 1 > r.rows / 3 ? r.rows / 3 : n + 1;
    char right[40];
    if (!n) {
        static const char *const lines[] = {"Nothing was compressed yet. For example, in the prompt (`):", "",
            "hone.compress{ model=m, data=d, recipe={ quant.int8{} }, max_drop=0.01 }", "", "d needs a validation part: hone.data{ NAME, val = 1000 }"};
        for (int i = 0, y = 0; i < (int)LEN(lines) && y < r.rows; i++)
            y += *lines[i] ? grid_wrap(g, (struct rect){r.row + y, 1, r.rows - y, r.cols - 2}, (struct style){INK_TEXT, 0}, lines[i]) : 1;
        return;
    }
    grid_textf(g, r.row, 1, r.cols - 20, (struct style){INK_TEXT, 0}, "%.30s on the %.10s part of %.30s, %lld threads, %.20s",
        val_get_str(s->rep, "model", u->now.model), val_get_str(s->rep, "split", "val"), val_get_str(s->rep, "data", val_get_str(u->start, "data", "?")),
        (long long)val_get_int(s->rep, "threads", val_get_int(u->start, "threads", 1)), val_get_str(s->rep, "kernels", ""));
    snprintf(right, sizeof right, "Tab %d/%d %s", (int)s->pane + 1, COMPRESS_PANES, panes[s->pane]);
    grid_right(g, r.row, r.cols - 1, 18, (struct style){INK_DIM, 0}, right);
    int y = r.row + 1;
    y += table_draw(s, g, (struct rect){y, 0, room < 3 ? 3 : room, r.cols});
    y += row_notes(s, g, (struct rect){y, 0, 5, r.cols}) + 1;
    struct rect low = {y, 0, r.row + r.rows - y, r.cols};
    if (low.rows < 3) {
        grid_textf(g, 1, 2, 40, (struct style){INK_TEXT, 0}, " +1 pane hidden, more rows show it ");
    } else if (s->pane == PANE_LAYERS) {
        layers_draw(s, g, low);
    } else {
        if (low.rows > 24) low.rows = 24;
        scatter(u, g, (struct rect){low.row, 0, low.rows, r.cols / 2}, s, "bytes", "accuracy and bytes");
        scatter(u, g, (struct rect){low.row, r.cols / 2, low.rows, r.cols - r.cols / 2}, s, "p50_ms", "accuracy and ms of one row");
    }
}

/* ---- reading ---- */

static void take(struct compress_state *s, struct run *r, struct val *rep) {
    val_free(s->rep);
    s->rep = rep;
    if (r == s->run) return;
    s->run = r;
    s->sel = s->top = s->layer_top = 0;
    s->said[0] = 0;
}

/* The run on show, else the newest before it that has such a report. */
static void refresh(struct ui *u) {
    struct compress_state *s = u->state[SCR_COMPRESS];
    struct val *v = s->run ? run_report_since(s->run, "compress", &s->seen) : NULL;
    if (v) take(s, s->run, v);
    for (size_t i = runs_count(u->runs); i-- > 0;) {
        struct run *r = runs_at(u->runs, i);
        uint64_t seen = 0;
        if (r == s->run) return;
        if (!(v = run_report_since(r, "compress", &seen))) continue;
        take(s, r, v);
        s->seen = seen;
        return;
    }
}

static void release(struct ui *u) { val_free(((struct compress_state *)u->state[SCR_COMPRESS])->rep); }

/* ---- keys ---- */

static void move(struct ui *u, enum move m) {
    struct compress_state *s = u->state[SCR_COMPRESS];
    int n = (int)val_len(steps_of(s));
    if (m == MOVE_NEXT || m == MOVE_PREV) s->pane = (enum compress_pane)((s->pane + 1) % COMPRESS_PANES);
    s->sel = clamp_index(s->sel + move_by(m, 0, n), n);
    s->layer_top += m == MOVE_PGUP ? -10 : m == MOVE_PGDN ? 10 : 0;
    if (s->layer_top < 0) s->layer_top = 0;
}

static void applied(struct ui *u, void *ctx, const struct call *c) {
    struct compress_state *s = ctx;
    char text[48] = "";
    (void)u;
    if (c->result && c->result->type == VAL_HANDLE) handle_text(c->result->u.h, text);
    if (c->status != 0) snprintf(s->said, sizeof s->said, "%.199s", c->err.text);
    else snprintf(s->said, sizeof s->said, "%.40s is the newest model now: evaluate, train, predict take it", text);
}

static void compared(struct ui *u, void *ctx, const struct call *c) {
    struct compress_state *s = ctx;
    char a[FMT_MAX], b[FMT_MAX], p[FMT_MAX];
    (void)u;
    const struct val *rows = c->status == 0 ? c->result : NULL, *was = val_at(rows, 0), *now = val_at(rows, 1);
    const char *what = val_get(was, "acc") ? "acc" : "r2";
    if (!now) snprintf(s->said, sizeof s->said, "%.199s", c->status != 0 ? c->err.text : "the comparison gave nothing");
    else
        snprintf(s->said, sizeof s->said, "on the %.8s part: %s %s before, %s after; lost %lld, won %lld, p %s", val_get_str(now, "split", "?"), what,
            fmt_value(a, number(was, what)), fmt_value(b, number(now, what)), (long long)val_get_int(now, "lost", 0), (long long)val_get_int(now, "won", 0),
            val_get(now, "p_mcnemar") ? fmt_value(p, number(now, "p_mcnemar")) : "-");
}

static int report_there(struct compress_state *s, struct err *e) {
    if (s->rep && val_get(s->rep, "path")) return 0;
    return err_set(e, "there is no finished compression whose result was saved; hone.compress{ model = m, data = d } makes one");
}

/* What was given to compress, as it was given: a handle or a path. */
static const struct val *given(const struct compress_state *s, const char *name) { return val_get(val_get(s->rep, "given"), name); }

static int compress_apply_run(struct call *c, const void *args, struct err *e) {
    BEGIN_NONE;
    struct compress_state *s = u->state[SCR_COMPRESS];
    if (report_there(s, e) < 0) return -1;
    struct val *t = val_table();
    val_set_str(t, "path", val_get_str(s->rep, "path", ""));
    return ui_ask(u, "load", t, applied, s);
}
static int compress_revert_run(struct call *c, const void *args, struct err *e) {
    BEGIN_NONE;
    struct compress_state *s = u->state[SCR_COMPRESS];
    const struct val *m = given(s, "model");
    if (report_there(s, e) < 0) return -1;
    if (!m || (m->type != VAL_HANDLE && m->type != VAL_STR)) return err_set(e, "the compression does not say which model it was given; clone or load that one");
    struct val *t = val_table();
    val_set(t, m->type == VAL_STR ? "path" : "model", val_copy(m));
    return ui_ask(u, m->type == VAL_STR ? "load" : "clone", t, applied, s);
}
static int compress_compare_run(struct call *c, const void *args, struct err *e) {
    BEGIN_NONE;
    struct compress_state *s = u->state[SCR_COMPRESS];
    const struct val *m = given(s, "model"), *d = given(s, "data");
    if (report_there(s, e) < 0) return -1;
    if (!m || !d) return err_set(e, "the compression does not say which model and data it was given; hone.compare{ a, b, data = d } compares any two");
    struct val *t = val_table(), *models = val_list();
    val_push(models, val_copy(m));
    val_push(models, val_str(val_get_str(s->rep, "path", "")));
    val_set(t, "models", models);
    val_set(t, "data", val_copy(d));
    val_set_str(t, "split", val_get_str(s->rep, "split", "val")); /* where it was judged */
    return ui_ask(u, "compare", t, compared, s);
}
ROW_NONE(compress_apply, "compress screen: makes the compressed model the newest one, which commands take");
ROW_NONE(compress_revert, "compress screen: makes a copy of the model that was given to compress the newest one");
ROW_NONE(compress_compare, "compress screen: both models on the same rows, with the paired test");

static const struct key_row keys[] = {{"compress", "a", "compress_apply", "apply: the compressed model becomes the newest", NULL},
    {"compress", "r", "compress_revert", "revert: the model before becomes the newest", NULL},
    {"compress", "b", "compress_compare", "compare both on the same rows", NULL}, {0}};

const struct view view_compress = {.name = "compress",
    .title = "Compress",
    .draw = draw,
    .move = move,
    .footer = " ?help :cmd  arrows  Tab pane  a apply  r revert  b compare  1 overview  q",
    .keys = keys,
    .state_size = sizeof(struct compress_state),
    .refresh = refresh,
    .release = release};
