/* Eval: counts of the last evaluation as a matrix (up to 20 classes) or as the most confused pairs and a table of the classes, against the evaluation
 * before if wanted; the examples behind a cell, calibration and thresholds are panes of eval_panes.c. Rates of classes without samples are "-". UI thread. */
#include "config.h"

#include "ui/views/eval.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/mem.h"
#include "ui/draw/fmt.h"
#include "ui/rows.h"
#include "ui/scroll.h"

enum { MATRIX_CLASSES = 20, PAGE = 30 };

/* ---- reading ---- */

static void take(struct val **to, struct evaluation *e, struct val *report) {
    evaluation_release(e);
    val_free(*to);
    *to = report;
    evaluation_read(e, report);
}

/* The current run, else the newest before it that was evaluated: a script's next run begins while its last one is looked at. */
static struct run *evaluated(struct ui *u) {
    if (!u->run || run_has_report(u->run, "eval")) return u->run;
    for (size_t i = runs_count(u->runs); i-- > 0;)
        if (run_has_report(runs_at(u->runs, i), "eval")) return runs_at(u->runs, i);
    return u->run;
}

static void refresh(struct ui *u) {
    struct eval_state *s = u->state[SCR_EVAL];
    struct run *run = evaluated(u);
    if (s->run != run) {
        take(&s->report, &s->now, NULL);
        take(&s->before, &s->old, NULL);
        if (s->run) { /* of another run: nothing of the view holds; what was typed before the first look does */
            s->row = s->col = s->pair = s->pair_top = s->top = s->example = s->example_top = 0;
            s->want_y = s->want_g = -1;
            s->pane = PANE_COUNTS;
        }
        s->run = run;
        s->seen = s->seen_before = 0;
    }
    if (!run) return;
    struct val *v = run_report_since(run, "eval", &s->seen);
    if (v) take(&s->report, &s->now, v);
    if ((v = run_report_since(run, "eval_before", &s->seen_before))) take(&s->before, &s->old, v);
    int n = s->now.n;
    s->row = clamp_index(s->row, n);
    s->col = clamp_index(s->col, n);
    if (s->want_y >= n || s->want_g >= n) s->want_y = s->want_g = -1;
}

static void start(struct ui *u) {
    struct eval_state *s = u->state[SCR_EVAL];
    s->want_y = s->want_g = -1;
}

static void release(struct ui *u) {
    struct eval_state *s = u->state[SCR_EVAL];
    take(&s->report, &s->now, NULL);
    take(&s->before, &s->old, NULL);
}

static bool differs(const struct eval_state *s) { return s->diff && s->old.n == s->now.n && s->now.n > 0; }

/* ---- tables ---- */

/* Pairs by their change, for the difference; the caller frees it. */
static int by_size(const void *a, const void *b) {
    const struct confused *x = a, *y = b;
    int64_t p = x->n < 0 ? -x->n : x->n, q = y->n < 0 ? -y->n : y->n;
    if (p != q) return p > q ? -1 : 1;
    return x->i != y->i ? x->i - y->i : x->j - y->j;
}
static struct confused *changes(const struct eval_state *s, int *n) {
    size_t c = (size_t)s->now.n, m = 0;
    struct confused *p = X_NEW(struct confused, (size_t)(s->now.n_pair + s->old.n_pair) + 1);
    for (size_t k = 0; k < c * c; k++) {
        int64_t d = s->now.v[k] - s->old.v[k];
        if (d && k / c != k % c) p[m++] = (struct confused){(int)(k / c), (int)(k % c), d};
    }
    if (m) qsort(p, m, sizeof *p, by_size);
    *n = (int)m;
    return p;
}

static void pairs_draw(struct eval_state *s, struct grid *g, struct rect a, bool focus) {
    int n = s->now.n_pair, room = a.rows - 1;
    bool diff = differs(s);
    struct confused *list = diff ? changes(s, &n) : s->now.pair;
    s->pair = clamp_index(s->pair, n);
    s->pair_top = first_shown(s->pair_top, s->pair, room);
    grid_text(g, a.row, a.col + 1, a.cols - 1, (struct style){INK_TITLE, AT_BOLD}, diff ? "most changed: true -> said" : "most confused: true -> said");
    for (int y = 0; y < room && s->pair_top + y < n; y++) {
        const struct confused *q = &list[s->pair_top + y];
        bool sel = focus && s->pair_top + y == s->pair;
        int row = a.row + 1 + y, name = (a.cols - 13) / 2;
        if (sel) grid_put(g, row, a.col, (struct style){INK_TEXT, 0}, '>');
        grid_textf(g, row, a.col + 1, 6, (struct style){diff ? (q->n > 0 ? INK_BAD : INK_GOOD) : INK_TEXT, 0}, diff ? "%+5lld" : "%5lld", (long long)q->n);
        int x = a.col + 8 + grid_middle(g, row, a.col + 8, name, (struct style){INK_TEXT, sel ? AT_REVERSE : 0}, s->now.name[q->i]);
        grid_text(g, row, x, 4, (struct style){INK_DIM, 0}, " -> ");
        grid_middle(g, row, x + 4, a.col + a.cols - x - 5, (struct style){INK_TEXT, sel ? AT_REVERSE : 0}, s->now.name[q->j]);
    }
    if (s->now.left)
        grid_textf(g, a.row, a.col + 30, a.cols - 31, (struct style){INK_DIM, 0}, "(%s small cells left out)", fmt_count((char[FMT_MAX]){0}, s->now.left));
    if (!n) grid_text(g, a.row + 1, a.col + 1, a.cols - 1, (struct style){INK_TEXT, 0}, diff ? "nothing changed" : "nothing was confused");
    if (diff) free(list);
}

static void rate(struct grid *g, int row, int end, double v, double old, bool diff) {
    char t[FMT_MAX];
    if (isnan(v) || (diff && isnan(old))) snprintf(t, sizeof t, "-");
    else if (diff) snprintf(t, sizeof t, "%+.3f", v - old);
    else snprintf(t, sizeof t, "%.3f", v);
    grid_right(g, row, end, 7, (struct style){INK_TEXT, 0}, t);
}

static void classes_draw(struct eval_state *s, struct grid *g, struct rect a, bool focus) {
    static const char *const cols[] = {"prec", "recall", "F1", "union", "errors", "n"};
    const struct evaluation *e = &s->now, *o = &s->old;
    bool more = a.cols >= 58, diff = differs(s);
    int shown = more ? 6 : 4, name = a.cols - 2 - 8 * shown < 8 ? 8 : a.cols - 2 - 8 * shown;
    struct style head = {INK_TITLE, AT_BOLD};
    grid_text(g, a.row, a.col + 1, name, head, s->by_error ? "class, most errors" : "class");
    for (int c = 0, k = 0; c < 6; c++)
        if (more || (c != 3 && c != 4)) grid_right(g, a.row, a.col + name + 8 * ++k, 8, head, cols[c]);
    if (s->top > e->n - (a.rows - 1)) s->top = e->n > a.rows - 1 ? e->n - (a.rows - 1) : 0;
    for (int y = 1; y < a.rows && s->top + y - 1 < e->n; y++) {
        int i = s->by_error ? e->order[s->top + y - 1] : s->top + y - 1, row = a.row + y, x = a.col + name;
        bool sel = i == s->row;
        char t[FMT_MAX];
        if (focus && sel) grid_put(g, row, a.col, (struct style){INK_TEXT, 0}, '>');
        grid_middle(g, row, a.col + 1, name, (struct style){INK_TEXT, sel ? AT_REVERSE : 0}, e->name[i]);
        rate(g, row, x += 8, class_precision(e, i), diff ? class_precision(o, i) : 0, diff);
        rate(g, row, x += 8, class_recall(e, i), diff ? class_recall(o, i) : 0, diff);
        rate(g, row, x += 8, class_f1(e, i), diff ? class_f1(o, i) : 0, diff);
        if (more) {
            rate(g, row, x += 8, class_union(e, i), diff ? class_union(o, i) : 0, diff);
            grid_right(g, row, x += 8, 7, (struct style){INK_TEXT, 0}, fmt_count(t, e->error[i] - (diff ? o->error[i] : 0)));
        }
        grid_right(g, row, x + 8, 7, (struct style){INK_TEXT, 0}, e->row[i] ? fmt_count(t, e->row[i]) : "-");
    }
}

/* ---- counts ---- */

static bool as_matrix(const struct ui *u, int cols, int rows) {
    const struct eval_state *s = u->state[SCR_EVAL];
    return s->now.n <= MATRIX_CLASSES && 8 + 7 + s->now.n * 4 <= cols && s->now.n + 1 <= rows && !u->zoom;
}

static int class_place(const struct eval_state *s, int c) {
    int at = 0;
    if (!s->by_error) return c;
    while (at < s->now.n - 1 && s->now.order[at] != c) at++;
    return at;
}

/* The selected class is among the rows that are shown. */
static void class_seen(struct eval_state *s, int room) { s->top = first_shown(s->top, class_place(s, s->row), room); }

static void matrix_part(struct eval_state *s, struct grid *g, struct rect a) {
    size_t n = (size_t)s->now.n;
    struct matrix m = {s->now.n, s->now.v, s->now.name};
    int64_t *change = NULL;
    if (differs(s)) {
        change = X_NEW(int64_t, n * n);
        for (size_t k = 0; k < n * n; k++) change[k] = s->now.v[k] - s->old.v[k];
        m.v = change;
    }
    draw_matrix(g, a, &m, change ? MATRIX_COUNT : s->mode, s->row, s->col);
    free(change);
}

static void counts_draw(struct ui *u, struct grid *g, struct rect a) {
    struct eval_state *s = u->state[SCR_EVAL];
    int n = s->now.n;
    bool matrix = as_matrix(u, a.cols, a.rows);
    if (matrix) {
        matrix_part(s, g, (struct rect){a.row, 1, n + 1, a.cols - 2});
        a.row += n + 2;
        a.rows -= n + 2;
        s->top = 0;
        s->focus = FOCUS_MATRIX;
    } else if (s->focus == FOCUS_MATRIX) {
        s->focus = FOCUS_PAIRS;
    }
    if (a.rows < 3) {
        grid_textf(g, 1, g->cols - 34, 34, (struct style){INK_TEXT, 0}, " +2 tables hidden, z shows them ");
        return;
    }
    struct rect left = a, right = a;
    if (!matrix && a.cols < 80 && a.rows < 8) { /* one of the two */
        if (s->focus == FOCUS_CLASSES) {
            class_seen(s, a.rows - 1);
            classes_draw(s, g, a, true);
        } else {
            pairs_draw(s, g, a, true);
        }
        grid_right(g, 1, g->cols - 1, 40, (struct style){INK_TEXT, 0}, s->focus == FOCUS_CLASSES ? " Left: confused pairs " : " Right: the classes ");
        return;
    }
    if (!matrix && a.cols < 110 && a.rows >= 8) { /* names need the width: one above the other */
        left.rows = a.rows * 2 / 5;
        right.row += left.rows;
        right.rows -= left.rows;
    } else {
        left.cols = right.col = a.cols < 100 ? a.cols * 2 / 5 : (a.cols - 63) / 3 * 2 + 13; /* three names of one width */
        right.cols -= left.cols;
    }
    if (s->focus == FOCUS_CLASSES) class_seen(s, right.rows - 1);
    pairs_draw(s, g, left, s->focus == FOCUS_PAIRS);
    classes_draw(s, g, right, s->focus == FOCUS_CLASSES);
    int hidden = n - (right.rows - 1);
    if (hidden > 0)
        grid_textf(g, 1, g->cols - 42, 42, (struct style){INK_TEXT, 0},
            matrix ? " +%d classes hidden, z shows them " : " +%d classes hidden, right and arrows ", hidden);
}

/* ---- head ---- */

static const char *const panes[] = {"counts", "examples", "calibration", "curves"}; /* ORDER enum eval_pane */

static void summary(struct ui *u, struct grid *g, int row) {
    const struct eval_state *s = u->state[SCR_EVAL];
    static const char *const shown[] = {"acc", "f1_macro", "precision_macro", "recall_macro", "loss", "ece", "ler", "rmse", "mae", "r2"};
    static const char *const modes[] = {"counts", "row %", "column %"};
    char a[FMT_MAX], text[64];
    int x = 1;
    if (s->run && s->run != u->run) x += 1 + grid_text(g, row, x, 24, (struct style){INK_WARN, 0}, run_name(s->run));
    x += grid_text(g, row, x, 12, (struct style){INK_TITLE, AT_BOLD}, val_get_str(s->report, "split", "eval"));
    if (val_get(s->report, "step"))
        x += 1 + grid_textf(g, row, x + 1, 20, (struct style){INK_TEXT, 0}, "step %s", fmt_count(a, val_get_int(s->report, "step", 0)));
    for (size_t i = 0; i < LEN(shown); i++) {
        double v, old;
        if (!val_as_num(val_get(s->report, shown[i]), &v)) continue;
        if (s->diff && val_as_num(val_get(s->before, shown[i]), &old)) snprintf(text, sizeof text, "%s %+.4f", shown[i], v - old);
        else snprintf(text, sizeof text, "%s %s", shown[i], fmt_value(a, v));
        if (x + 2 + (int)strlen(text) > g->cols - 12) break;
        x += 2 + grid_text(g, row, x + 2, -1, (struct style){INK_TEXT, 0}, text);
    }
    grid_right(g, row, g->cols - 1, 11, (struct style){INK_DIM, 0}, s->pane == PANE_COUNTS && s->now.n ? modes[s->mode] : "");
}

static void means(struct ui *u, struct grid *g, int row) {
    const struct eval_state *s = u->state[SCR_EVAL];
    char a[FMT_MAX], b[FMT_MAX], c[FMT_MAX], d[FMT_MAX], right[48];
    int x = 1, room = g->cols - 21;
    if (s->diff && !s->before) x += grid_text(g, row, x, room, (struct style){INK_WARN, 0}, "no evaluation before to compare with") + 2;
    else if (s->diff)
        x += 2 + grid_textf(g, row, x, room, (struct style){INK_WARN, 0}, "against %s %s", val_get_str(s->before, "split", ""),
                     val_get(s->before, "step") ? fmt_count(a, val_get_int(s->before, "step", 0)) : val_get_str(s->before, "model", "before"));
    if (s->now.n && room - x > 20) {
        x += grid_textf(g, row, x, room - x, (struct style){INK_TEXT, 0}, "row mean %s  union mean %s  overall %s", fmt_value(a, mean_row(&s->now)),
            fmt_value(b, mean_union(&s->now)), fmt_value(c, overall(&s->now)));
        if (room - x > 12) grid_textf(g, row, x + 2, room - x - 2, (struct style){INK_TEXT, 0}, "n %s", fmt_count(d, s->now.total));
    }
    snprintf(right, sizeof right, "Tab %d/%d %s", (int)s->pane + 1, PANE_N, panes[s->pane]);
    grid_right(g, row, g->cols - 1, 19, (struct style){INK_DIM, 0}, right);
}

static void draw(struct ui *u, struct grid *g, struct rect r) {
    struct eval_state *s = u->state[SCR_EVAL];
    if (!s->report) {
        grid_text(g, r.row, 1, -1, (struct style){INK_TEXT, 0}, u->run ? "No evaluation yet; e evaluates now." : "No run yet, so nothing was evaluated.");
        return;
    }
    summary(u, g, r.row);
    means(u, g, r.row + 1);
    struct rect a = {r.row + 2, 0, r.rows - 2, r.cols};
    if (s->pane == PANE_EXAMPLES) examples_draw(u, g, a);
    else if (s->pane == PANE_CALIBRATION) calibration_draw(u, g, a);
    else if (s->pane == PANE_CURVES) curves_draw(u, g, a);
    else if (s->now.n) counts_draw(u, g, a);
    else grid_text(g, a.row, 1, -1, (struct style){INK_TEXT, 0}, "This evaluation has no confusion matrix; Tab shows its worst rows.");
}

/* ---- keys ---- */

/* The class table is in the order of the report or of errors; s->row is the class itself. */
static void class_move(struct eval_state *s, int by) {
    int n = s->now.n, at = clamp_index(class_place(s, s->row) + by, n);
    s->row = s->by_error ? s->now.order[at] : at;
    if (by == PAGE || by == -PAGE) s->top = clamp_index(s->top + by, n);
}

static void move(struct ui *u, enum move m) {
    struct eval_state *s = u->state[SCR_EVAL];
    int n = s->now.n, most = n > s->now.n_pair ? n : s->now.n_pair;
    int by = move_by(m, PAGE, most + 1), side = m == MOVE_LEFT ? -1 : m == MOVE_RIGHT ? 1 : 0;
    if (m == MOVE_NEXT || m == MOVE_PREV) {
        s->pane = (enum eval_pane)((s->pane + (m == MOVE_NEXT ? 1 : PANE_N - 1)) % PANE_N);
        s->want_y = s->want_g = -1;
        s->example = s->example_top = 0;
    } else if (s->pane == PANE_EXAMPLES) {
        int count = examples_count(s), page = m == MOVE_PGUP || m == MOVE_PGDN ? by / 6 : by;
        s->example = clamp_index(s->example + (m == MOVE_HOME ? -count : m == MOVE_END ? count : page), count);
    } else if (s->pane == PANE_COUNTS && n) {
        if (as_matrix(u, u->cols, u->rows - 5)) {
            s->row = clamp_index(s->row + by, n);
            s->col = clamp_index(s->col + side, n);
        } else if (side) {
            s->focus = side < 0 ? FOCUS_PAIRS : FOCUS_CLASSES;
        } else if (s->focus == FOCUS_CLASSES) {
            class_move(s, by);
        } else {
            s->pair = s->pair + by < 0 ? 0 : s->pair + by; /* pairs_draw knows how many there are */
            if (by == PAGE || by == -PAGE) s->pair_top = s->pair_top + by < 0 ? 0 : s->pair_top + by;
        }
    }
}

/* The examples behind what is selected; what else the table shows stays where it was. */
static void enter(struct ui *u) {
    struct eval_state *s = u->state[SCR_EVAL];
    if (s->pane != PANE_COUNTS || !s->now.n) return;
    bool matrix = as_matrix(u, u->cols, u->rows - 5);
    int n = 0;
    struct confused *list = !matrix && s->focus == FOCUS_PAIRS && differs(s) ? changes(s, &n) : NULL;
    if (!list) n = s->now.n_pair;
    s->want_y = s->row;
    s->want_g = matrix ? s->col : -1;
    if (!matrix && s->focus == FOCUS_PAIRS && s->pair < n) {
        s->want_y = (list ? list : s->now.pair)[s->pair].i;
        s->want_g = (list ? list : s->now.pair)[s->pair].j;
    }
    free(list);
    s->pane = PANE_EXAMPLES;
    s->example = s->example_top = 0;
}

static bool back(struct ui *u) {
    struct eval_state *s = u->state[SCR_EVAL];
    if (s->pane == PANE_COUNTS) return false;
    s->pane = PANE_COUNTS;
    s->want_y = s->want_g = -1;
    return true;
}

static int matrix_run(struct call *c, const void *args, struct err *e) {
    BEGIN_NONE;
    struct eval_state *s = u->state[SCR_EVAL];
    s->mode = (enum matrix_mode)((s->mode + 1) % MATRIX_MODES);
    return 0;
}
static int by_error_run(struct call *c, const void *args, struct err *e) {
    BEGIN_NONE;
    struct eval_state *s = u->state[SCR_EVAL];
    s->by_error = !s->by_error;
    s->top = 0;
    return 0;
}
static int eval_diff_run(struct call *c, const void *args, struct err *e) {
    BEGIN_NONE;
    struct eval_state *s = u->state[SCR_EVAL];
    s->diff = !s->diff;
    return 0;
}
ROW_NONE(matrix, "confusion matrix: counts, shares of rows, of columns");
ROW_NONE(by_error, "classes of the Eval screen by their errors, or in their own order");
ROW_NONE(eval_diff, "eval screen: what changed since the evaluation before, or the numbers themselves");

static const struct key_row keys[] = {{"eval", "t", "matrix", "counts, share of the row, share of the column", NULL},
    {"eval", "o", "by_error", "classes by their errors, or in their own order", NULL},
    {"eval", "d", "eval_diff", "what changed since the evaluation before", NULL}, {0}};

const struct view view_eval = {.name = "eval",
    .title = "Eval",
    .draw = draw,
    .move = move,
    .enter = enter,
    .back = back,
    .footer = " ?help :cmd  arrows  Enter rows  Tab pane  t mode  o order  d diff  e eval  q",
    .keys = keys,
    .state_size = sizeof(struct eval_state),
    .start = start,
    .refresh = refresh,
    .release = release};
