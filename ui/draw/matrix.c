/* A confusion matrix as cells: rows are the truth, columns the answers; the shade grows with the share of the row. Pure. */
#include "config.h"

#include <stdio.h>
#include <string.h>

#include "ui/draw/fmt.h"
#include "ui/draw/plot.h"

static void matrix_cell(char *out, const struct matrix *m, int i, int j, enum matrix_mode mode, int64_t row_sum, int64_t col_sum) {
    int64_t v = m->v[i * m->n + j], whole = mode == MATRIX_ROW ? row_sum : col_sum;
    if (mode == MATRIX_COUNT && v < 100000) snprintf(out, FMT_MAX, v ? "%lld" : ".", (long long)v);
    else if (mode == MATRIX_COUNT) fmt_short(out, (double)v);
    else if (!whole) snprintf(out, FMT_MAX, "-");
    else if (!v) snprintf(out, FMT_MAX, ".");
    else snprintf(out, FMT_MAX, "%.1f", 100.0 * (double)v / (double)whole);
}

void draw_matrix(struct grid *g, struct rect r, const struct matrix *m, enum matrix_mode mode, int sel_row, int sel_col) {
    int name = r.cols / 5 < 8 ? 8 : r.cols / 5 > 20 ? 20 : r.cols / 5;
    int w = (r.cols - name - 7) / (m->n ? m->n : 1);
    w = w < 4 ? 4 : w > 8 ? 8 : w;
    char text[FMT_MAX];
    grid_text(g, r.row, r.col, name, (struct style){INK_DIM, 0}, "true \\ said");
    for (int j = 0; j < m->n; j++) {
        snprintf(text, sizeof text, "%d", j);
        grid_right(g, r.row, r.col + name + (j + 1) * w, w, (struct style){INK_DIM, j == sel_col ? AT_REVERSE : 0}, text);
    }
    for (int i = 0; i < m->n && i + 1 < r.rows; i++) {
        int64_t row_sum = 0;
        for (int j = 0; j < m->n; j++) row_sum += m->v[i * m->n + j];
        snprintf(text, sizeof text, "%d", i);
        int nr = grid_text(g, r.row + 1 + i, r.col, 3, (struct style){INK_TEXT, 0}, text);
        grid_text(g, r.row + 1 + i, r.col + nr + 1, name - nr - 1, (struct style){INK_TEXT, i == sel_row ? AT_REVERSE : 0}, m->names[i]);
        for (int j = 0; j < m->n; j++) {
            int64_t col_sum = 0;
            for (int k = 0; k < m->n; k++) col_sum += m->v[k * m->n + j];
            double share = row_sum ? (double)m->v[i * m->n + j] / (double)row_sum : 0;
            struct style s = {i == j ? INK_GOOD : share >= 0.1 ? INK_BAD : share >= 0.05 ? INK_WARN : INK_TEXT, share >= 0.1 ? AT_BOLD : 0};
            if (i == sel_row && j == sel_col) s.at |= AT_REVERSE;
            matrix_cell(text, m, i, j, mode, row_sum, col_sum);
            grid_right(g, r.row + 1 + i, r.col + name + (j + 1) * w, w, s, text);
        }
        snprintf(text, sizeof text, "%lld", (long long)row_sum);
        grid_right(g, r.row + 1 + i, r.col + name + m->n * w + 7, 7, (struct style){INK_TEXT, 0}, text);
    }
}
