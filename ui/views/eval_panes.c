/* The panes of the Eval screen beside the counts: the rows that went wrong as text or picture, how far probabilities can be trusted, thresholds of two
 * classes. UI thread. */
#include "config.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "ui/draw/bars.h"
#include "ui/draw/fmt.h"
#include "ui/scroll.h"
#include "ui/views/eval.h"

const char *class_name(const struct eval_state *s, int64_t c, char *own) {
    const struct val *name = val_at(val_get(s->report, "classes"), (size_t)c);
    if (s->now.n > 0 && c >= 0 && c < s->now.n) return s->now.name[c];
    if (name && name->type == VAL_STR) return name->u.s.p;
    snprintf(own, FMT_MAX, "%lld", (long long)c);
    return own;
}

/* ---- examples ---- */

static bool asked_for(const struct eval_state *s, const struct val *x) {
    if (s->want_y < 0) return true;
    return val_get_int(x, "y", -1) == s->want_y && (s->want_g < 0 || val_get_int(x, "g", -1) == s->want_g);
}

int examples_count(const struct eval_state *s) {
    const struct val *list = val_get(s->report, "examples");
    int n = 0;
    for (size_t i = 0; i < val_len(list); i++) n += asked_for(s, val_at(list, i));
    return n;
}

static const struct val *example_at(const struct eval_state *s, int k) {
    const struct val *list = val_get(s->report, "examples");
    for (size_t i = 0; i < val_len(list); i++)
        if (asked_for(s, val_at(list, i)) && k-- == 0) return val_at(list, i);
    return NULL;
}

static void outcome(const struct eval_state *s, const struct val *x, char *out, size_t size) {
    char a[FMT_MAX], b[FMT_MAX];
    const struct val *y = val_get(x, "y");
    double v;
    if (y && y->type == VAL_INT) snprintf(out, size, "%.40s -> %.40s", class_name(s, val_get_int(x, "y", -1), a), class_name(s, val_get_int(x, "g", -1), b));
    else snprintf(out, size, "%s -> %s", fmt_value(a, val_as_num(y, &v) ? v : NAN), fmt_value(b, val_get_num(x, "g", NAN)));
}

static int picture(struct ui *u, struct grid *g, struct rect r, const struct val *v) {
    int h = (int)val_get_int(v, "h", 0), w = (int)val_get_int(v, "w", 0);
    const char *hex = val_get_str(v, "pixels", "");
    uint8_t px[64 * 64];
    if (h < 1 || w < 1 || h > 64 || w > 64 || strlen(hex) < (size_t)(h * w)) return 0;
    for (int i = 0; i < h * w; i++) {
        char c = hex[i];
        px[i] = (uint8_t)(17 * (c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= '0' && c <= '9' ? c - '0' : 0));
    }
    return draw_picture(g, r, px, 1, h, w, u->glyphs);
}

/* One in full: numbers, then text or picture. */
static void example_draw(struct ui *u, struct grid *g, struct rect r, const struct val *x) {
    const struct eval_state *s = u->state[SCR_EVAL];
    char a[FMT_MAX], b[FMT_MAX], c[FMT_MAX], what[160];
    struct style plain = {INK_TEXT, 0};
    if (!x || r.rows < 2) return;
    outcome(s, x, what, sizeof what);
    grid_text(g, r.row, r.col, r.cols, (struct style){INK_TEXT, AT_BOLD}, what);
    if (val_get(x, "p"))
        grid_textf(g, r.row + 1, r.col, r.cols, plain, "row %lld  said with %s, truth had %s  loss %s", (long long)val_get_int(x, "i", 0),
            fmt_value(a, val_get_num(x, "p", NAN)), fmt_value(b, val_get_num(x, "q", NAN)), fmt_value(c, val_get_num(x, "loss", NAN)));
    else
        grid_textf(
            g, r.row + 1, r.col, r.cols, plain, "row %lld  squared error %s", (long long)val_get_int(x, "i", 0), fmt_value(c, val_get_num(x, "loss", NAN)));
    struct rect body = {r.row + 3, r.col, r.rows - 3, r.cols};
    if (body.rows < 1) return;
    if (val_get(x, "picture")) picture(u, g, body, val_get(x, "picture"));
    else grid_wrap(g, body, (struct style){INK_TEXT, 0}, val_get_str(x, "text", "(nothing of this row can be shown)"));
}

void examples_draw(struct ui *u, struct grid *g, struct rect r) {
    struct eval_state *s = u->state[SCR_EVAL];
    int n = examples_count(s), list = r.rows * 2 / 5 < 3 ? 3 : r.rows * 2 / 5;
    char a[FMT_MAX], b[FMT_MAX], what[160], head[200];
    bool wide = r.cols >= 110;
    if (wide) list = r.rows;
    if (s->want_y >= 0 && s->want_g < 0) snprintf(head, sizeof head, "%.40s: %d of its rows that went wrong are kept", class_name(s, s->want_y, a), n);
    else if (s->want_y >= 0)
        snprintf(head, sizeof head, "%lld of %.40s were called %.40s; %d of them are kept", (long long)s->now.v[s->want_y * s->now.n + s->want_g],
            class_name(s, s->want_y, a), class_name(s, s->want_g, b), n);
    else snprintf(head, sizeof head, "the %d worst rows that are kept, by loss", n);
    grid_text(g, r.row, 1, r.cols - 1, (struct style){INK_TITLE, AT_BOLD}, n || s->want_y >= 0 ? head : "no row was kept as wrong; e evaluates now");
    if (!n) return;
    int rows = list - 1, half = wide ? r.cols * 2 / 5 : r.cols;
    s->example = clamp_index(s->example, n);
    s->example_top = first_shown(s->example_top, s->example, rows);
    for (int y = 0; y < rows && s->example_top + y < n; y++) {
        const struct val *x = example_at(s, s->example_top + y);
        bool sel = s->example_top + y == s->example;
        int row = r.row + 1 + y;
        outcome(s, x, what, sizeof what);
        grid_put(g, row, 0, (struct style){INK_TEXT, 0}, sel ? '>' : ' ');
        grid_right(g, row, 9, 8, (struct style){INK_TEXT, 0}, fmt_value(a, val_get_num(x, "loss", NAN)));
        const char *text = val_get_str(x, "text", val_get(x, "picture") ? "(picture)" : "");
        struct style st = {INK_TEXT, sel ? AT_REVERSE : 0};
        if (s->want_y >= 0 && s->want_g >= 0) { /* what became of them is the same of all */
            grid_text(g, row, 11, half - 12, st, text[0] ? text : what);
            continue;
        }
        bool alone = wide && half < 70; /* the text stands beside the list */
        int room = alone ? half - 12 : half / 2 - 11 > 30 ? half / 2 - 11 : 30;
        int used = grid_text(g, row, 11, room, st, what), at = 11 + used + 2;
        if (half / 2 > at) at = half / 2;
        if (!alone) grid_text(g, row, at, half - at - 1, (struct style){INK_DIM, 0}, text);
    }
    if (n > rows) grid_textf(g, 1, g->cols - 30, 29, (struct style){INK_TEXT, 0}, " +%d hidden, arrows move ", n - rows);
    struct rect one = wide ? (struct rect){r.row + 1, half + 1, r.rows - 1, r.cols - half - 2}
                           : (struct rect){r.row + list + 1, 1, r.rows - list - 1, r.cols - 2};
    example_draw(u, g, one, example_at(s, s->example));
}

/* ---- calibration ---- */

void calibration_draw(struct ui *u, struct grid *g, struct rect r) {
    const struct eval_state *s = u->state[SCR_EVAL];
    const struct val *bins = val_get(s->report, "calibration");
    char a[FMT_MAX], b[FMT_MAX];
    struct style plain = {INK_TEXT, 0};
    size_t n = val_len(bins);
    if (!n) {
        grid_text(g, r.row, 1, r.cols - 1, plain, "This evaluation kept no probabilities; a regression has none.");
        return;
    }
    double ece = calibration_error(bins);
    grid_textf(
        g, r.row, 1, r.cols - 1, (struct style){INK_TITLE, AT_BOLD}, "calibration: expected error %s; right, where it says it is sure to", fmt_value(a, ece));
    grid_text(g, r.row + 1, 1, 12, (struct style){INK_TITLE, AT_BOLD}, "says");
    grid_right(g, r.row + 1, 21, 8, (struct style){INK_TITLE, AT_BOLD}, "is right");
    grid_right(g, r.row + 1, 31, 9, (struct style){INK_TITLE, AT_BOLD}, "rows");
    grid_text(g, r.row + 1, 34, r.cols - 35, (struct style){INK_TITLE, AT_BOLD}, "right (bar) against said (|): a bar short of | is overconfident");
    int w = r.cols - 36 > 100 ? 100 : r.cols - 36;
    for (size_t i = 0; i < n && (int)i + 2 < r.rows; i++) {
        const struct val *v = val_at(bins, n - 1 - i);
        int row = r.row + 2 + (int)i;
        double rows = val_get_num(v, "n", 0), acc = val_get_num(v, "acc", NAN), conf = val_get_num(v, "conf", NAN);
        grid_textf(g, row, 1, 13, plain, "%.2f..%.2f", (double)(n - 1 - i) / (double)n, (double)(n - i) / (double)n);
        grid_right(g, row, 21, 8, plain, isnan(acc) ? "-" : fmt_value(a, acc));
        grid_right(g, row, 31, 9, plain, fmt_count(b, (int64_t)rows));
        if (isnan(acc) || w < 10) continue;
        draw_share(g, row, 34, w, acc, u->glyphs, (struct style){INK_SERIES, 0});
        grid_put(g, row, 34 + (int)lround(conf * (w - 1)), (struct style){INK_TEXT, AT_BOLD}, '|');
    }
    if (r.rows - 2 < (int)n) grid_textf(g, 1, g->cols - 30, 29, plain, " +%d bins hidden, z or resize ", (int)n - (r.rows - 2));
}

/* ---- thresholds ---- */

/* Right and wrong alarms with the threshold at bin b: answers of class 1 are the bins from b on. */
struct at_threshold {
    double tp, fp, pos, neg;
};
static struct at_threshold threshold(const struct val *t, size_t b) {
    const struct val *pos = val_get(t, "pos"), *neg = val_get(t, "neg");
    struct at_threshold x = {0};
    for (size_t i = 0; i < val_len(pos) && i < val_len(neg); i++) {
        double p = 0, q = 0;
        val_as_num(val_at(pos, i), &p);
        val_as_num(val_at(neg, i), &q);
        x.pos += p, x.neg += q;
        if (i >= b) x.tp += p, x.fp += q;
    }
    return x;
}

static void curve_box(struct ui *u, struct grid *g, struct rect r, const char *title, const char *x_name, const char *y_name) {
    draw_box(g, r, u->glyphs, title);
    grid_right(g, r.row + r.rows - 1, r.col + r.cols - 2, r.cols - 6, (struct style){INK_DIM, 0}, x_name);
    grid_text(g, r.row + 1, r.col + 2, r.cols - 4, (struct style){INK_DIM, 0}, y_name);
}

static void curve_point(struct ui *u, struct grid *g, struct rect r, double x, double y, bool best) {
    if (isnan(x) || isnan(y)) return;
    int col = r.col + 1 + (int)lround(x * (r.cols - 3)), row = r.row + r.rows - 2 - (int)lround(y * (r.rows - 3));
    uint32_t dot = u->glyphs == GLYPHS_ASCII ? '*' : 0x2022;
    grid_put(g, row, col, (struct style){best ? INK_WARN : INK_SERIES, best ? AT_BOLD : 0}, best ? 'o' : dot);
}

void curves_draw(struct ui *u, struct grid *g, struct rect r) {
    const struct eval_state *s = u->state[SCR_EVAL];
    const struct val *t = val_get(s->report, "thresholds");
    size_t n = val_len(val_get(t, "pos")), best = 0;
    char a[FMT_MAX], b[FMT_MAX], c[FMT_MAX], d[FMT_MAX];
    double most = -1;
    if (!n) {
        grid_text(g, r.row, 1, r.cols - 1, (struct style){INK_TEXT, 0}, "Threshold curves need an evaluation with two classes.");
        return;
    }
    for (size_t i = 0; i <= n; i++) {
        struct at_threshold x = threshold(t, i);
        double f1 = x.tp + x.fp + x.pos > 0 ? 2 * x.tp / (x.tp + x.fp + x.pos) : 0;
        if (f1 > most) most = f1, best = i;
    }
    struct at_threshold at = threshold(t, best);
    grid_textf(g, r.row, 1, r.cols - 1, (struct style){INK_TITLE, AT_BOLD}, "\"%.30s\" against the rest: F1 is best, %s, from a probability of %.2f on (o)",
        class_name(s, 1, a), fmt_value(b, most), (double)best / (double)n);
    grid_textf(g, r.row + 1, 1, r.cols - 1, (struct style){INK_TEXT, 0}, "there precision %s, recall %s, false alarms %s",
        at.tp + at.fp > 0 ? fmt_value(c, at.tp / (at.tp + at.fp)) : "-", at.pos > 0 ? fmt_value(d, at.tp / at.pos) : "-",
        at.neg > 0 ? fmt_value(b, at.fp / at.neg) : "-");
    int half = r.cols / 2;
    struct rect roc = {r.row + 2, 0, r.rows - 2, half}, pr = {r.row + 2, half, r.rows - 2, r.cols - half};
    if (roc.rows < 5) return;
    curve_box(u, g, roc, "ROC", "false alarms", "recall");
    curve_box(u, g, pr, "precision and recall", "recall", "precision");
    for (size_t i = 0; i <= n; i++) {
        struct at_threshold x = threshold(t, i);
        curve_point(u, g, roc, x.neg > 0 ? x.fp / x.neg : NAN, x.pos > 0 ? x.tp / x.pos : NAN, false);
        curve_point(u, g, pr, x.pos > 0 ? x.tp / x.pos : NAN, x.tp + x.fp > 0 ? x.tp / (x.tp + x.fp) : NAN, false);
    }
    curve_point(u, g, roc, at.neg > 0 ? at.fp / at.neg : NAN, at.pos > 0 ? at.tp / at.pos : NAN, true);
    curve_point(u, g, pr, at.pos > 0 ? at.tp / at.pos : NAN, at.tp + at.fp > 0 ? at.tp / (at.tp + at.fp) : NAN, true);
}
