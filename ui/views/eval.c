/* Eval: the confusion matrix of the last evaluation (up to 20 classes), or the most confused pairs and a table of the classes.
 * Rates of classes without samples are "-". UI thread. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/mem.h"
#include "ui/draw/fmt.h"
#include "ui/rows.h"

struct eval_state {
    enum matrix_mode mode;
    int row, col, top; /* selected truth and answer, first class shown */
};

struct result {
    int n;
    int64_t *v;
    const char **names;
    char (*own)[16];
};

static void result_free(struct result *r) {
    free(r->v);
    free(r->names);
    free(r->own);
}

/* confusion: list of rows (truth, answer); classes: list of names. */
static bool result_read(const struct val *report, struct result *r) {
    const struct val *m = val_get(report, "confusion"), *names = val_get(report, "classes");
    size_t n = val_len(m);
    *r = (struct result){0};
    if (!n || n > 4096) return false;
    r->n = (int)n;
    r->v = X_NEW(int64_t, n * n);
    r->names = X_NEW(const char *, n);
    r->own = mem_new(n, sizeof *r->own);
    for (size_t i = 0; i < n; i++) {
        const struct val *name = val_at(names, i);
        snprintf(r->own[i], sizeof r->own[i], "class %zu", i);
        r->names[i] = name && name->type == VAL_STR ? name->u.s.p : r->own[i];
        for (size_t j = 0; j < n; j++) {
            int64_t v = 0;
            if (val_at(m, i) && val_at(val_at(m, i), j)) val_as_int(val_at(val_at(m, i), j), &v);
            r->v[i * n + j] = v > 0 ? v : 0;
        }
    }
    return true;
}

struct pair {
    int i, j;
    int64_t n;
};
static int by_count(const void *a, const void *b) {
    const struct pair *x = a, *y = b;
    return x->n > y->n ? -1 : x->n < y->n ? 1 : x->i != y->i ? x->i - y->i : x->j - y->j;
}

static void pairs_draw(struct grid *g, struct rect a, const struct result *r, int top) {
    size_t m = 0;
    struct pair *p = X_NEW(struct pair, (size_t)r->n * (size_t)r->n);
    for (int i = 0; i < r->n; i++)
        for (int j = 0; j < r->n; j++)
            if (i != j && r->v[i * r->n + j]) p[m++] = (struct pair){i, j, r->v[i * r->n + j]};
    if (m) qsort(p, m, sizeof *p, by_count);
    grid_text(g, a.row, a.col + 1, a.cols - 1, (struct style){INK_TITLE, AT_BOLD}, "most confused: true -> said");
    for (int y = 1; y < a.rows && (size_t)(top + y - 1) < m; y++) {
        const struct pair *q = &p[top + y - 1];
        grid_textf(g, a.row + y, a.col + 1, 7, (struct style){INK_TEXT, 0}, "%6lld", (long long)q->n);
        grid_textf(g, a.row + y, a.col + 8, a.cols - 8, (struct style){INK_TEXT, 0}, "%.40s -> %.40s", r->names[q->i], r->names[q->j]);
    }
    free(p);
}

static void rate(struct grid *g, int row, int end, double part, double whole) {
    char t[FMT_MAX];
    if (whole > 0) snprintf(t, sizeof t, "%.3f", part / whole);
    else snprintf(t, sizeof t, "-");
    grid_right(g, row, end, 6, (struct style){INK_TEXT, 0}, t);
}

static void classes_draw(struct grid *g, struct rect a, const struct result *r, int top, int sel) {
    int name = a.cols - 30 < 8 ? 8 : a.cols - 30;
    struct style head = {INK_TITLE, AT_BOLD};
    grid_text(g, a.row, a.col + 1, name, head, "class");
    static const char *const cols[] = {"prec", "recall", "F1", "n"};
    for (int c = 0; c < 4; c++) grid_right(g, a.row, a.col + name + 8 + c * 7, 7, head, cols[c]);
    for (int y = 1; y < a.rows && top + y - 1 < r->n; y++) {
        int i = top + y - 1;
        int64_t row = 0, col = 0, hit = r->v[i * r->n + i];
        for (int j = 0; j < r->n; j++) row += r->v[i * r->n + j], col += r->v[j * r->n + i];
        grid_text(g, a.row + y, a.col + 1, name, (struct style){INK_TEXT, i == sel ? AT_REVERSE : 0}, r->names[i]);
        rate(g, a.row + y, a.col + name + 8, (double)hit, (double)col);
        rate(g, a.row + y, a.col + name + 15, (double)hit, (double)row);
        rate(g, a.row + y, a.col + name + 22, 2 * (double)hit, (double)(row + col));
        char t[FMT_MAX];
        grid_right(g, a.row + y, a.col + name + 29, 7, (struct style){INK_TEXT, 0}, fmt_count(t, row));
    }
}

static void summary(struct ui *u, struct grid *g, int row) {
    const struct eval_state *s = u->state[SCR_EVAL];
    static const char *const shown[] = {"acc", "f1_macro", "precision_macro", "recall_macro", "loss", "ece"};
    static const char *const modes[] = {"counts", "row %", "column %"};
    char a[FMT_MAX];
    int x = 1 + grid_text(g, row, 1, 12, (struct style){INK_TITLE, AT_BOLD}, val_get_str(u->eval, "split", "eval"));
    for (size_t i = 0; i < LEN(shown) && x < g->cols - 24; i++) {
        double v;
        if (val_as_num(val_get(u->eval, shown[i]), &v))
            x += 2 + grid_textf(g, row, x + 2, g->cols - 14 - x, (struct style){INK_TEXT, 0}, "%s %s", shown[i], fmt_value(a, v));
    }
    grid_right(g, row, g->cols - 1, 12, (struct style){INK_DIM, 0}, modes[s->mode]);
}

static void draw(struct ui *u, struct grid *g, struct rect r) {
    struct eval_state *s = u->state[SCR_EVAL];
    struct result res;
    if (!u->eval) {
        grid_text(g, r.row, 1, -1, (struct style){INK_TEXT, 0}, "No evaluation yet; e evaluates now.");
        return;
    }
    summary(u, g, r.row);
    struct rect a = {r.row + 1, 0, r.rows - 1, r.cols};
    if (!result_read(u->eval, &res)) {
        grid_text(g, a.row, 1, -1, (struct style){INK_TEXT, 0}, "This evaluation has no confusion matrix.");
        return;
    }
    if (s->row >= res.n) s->row = res.n - 1;
    if (s->col >= res.n) s->col = res.n - 1;
    int need = 8 + 7 + res.n * 4;
    bool matrix = res.n <= 20 && need <= r.cols && !u->zoom;
    if (matrix) {
        struct matrix m = {res.n, res.v, res.names};
        draw_matrix(g, (struct rect){a.row, 1, res.n + 1 < a.rows ? res.n + 1 : a.rows, r.cols - 2}, &m, s->mode, s->row, s->col);
        a.row += res.n + 2;
        a.rows -= res.n + 2;
        s->top = 0;
    }
    if (s->top > res.n - 1) s->top = res.n - 1;
    if (a.rows >= 3) {
        int half = r.cols / 2;
        pairs_draw(g, (struct rect){a.row, 0, a.rows, half}, &res, matrix ? 0 : s->top);
        classes_draw(g, (struct rect){a.row, half, a.rows, r.cols - half}, &res, s->top, s->row);
        int hidden = res.n - s->top - (a.rows - 1);
        if (hidden > 0) grid_textf(g, 1, g->cols - 30, 30, (struct style){INK_TEXT, 0}, " +%d classes hidden, arrows ", hidden);
    } else {
        grid_textf(g, 1, g->cols - 34, 34, (struct style){INK_TEXT, 0}, " +2 tables hidden, z shows them ");
    }
    result_free(&res);
}

static void move(struct ui *u, enum move m) {
    struct eval_state *s = u->state[SCR_EVAL];
    int n = (int)val_len(val_get(u->eval, "confusion")), page = 30;
    if (n < 1) return;
    int by = m == MOVE_UP ? -1 : m == MOVE_DOWN ? 1 : m == MOVE_PGUP ? -page : m == MOVE_PGDN ? page : m == MOVE_HOME ? -n : m == MOVE_END ? n : 0;
    s->row += by;
    s->top += by;
    s->col += m == MOVE_LEFT ? -1 : m == MOVE_RIGHT ? 1 : 0;
    int *v[] = {&s->row, &s->top, &s->col};
    for (size_t i = 0; i < LEN(v); i++) *v[i] = *v[i] < 0 ? 0 : *v[i] >= n ? n - 1 : *v[i];
}

static void enter(struct ui *u) { u->zoom = !u->zoom; }

static int matrix_run(struct call *c, const void *args, struct err *e) {
    BEGIN(none_args);
    struct eval_state *s = u->state[SCR_EVAL];
    s->mode = (enum matrix_mode)((s->mode + 1) % MATRIX_MODES);
    return 0;
}
ROW(matrix, "Confusion matrix: counts, shares of rows, of columns", none_table, none_args);

static const struct key_row keys[] = {{"eval", "t", "matrix", "counts, share of the row, share of the column", NULL}, {0}};

const struct view view_eval = {.name = "eval",
    .title = "Eval",
    .draw = draw,
    .move = move,
    .enter = enter,
    .footer = " ?help :cmd  arrows  t counts/row%/col%  e eval  1 overview  q detach",
    .keys = keys,
    .state_size = sizeof(struct eval_state)};
