/* HTML of the report. A dozen lines of escaping do: libxml2's writer would bring a library of XML parsing along for them. */
#include "config.h"

#include "src/stored/html.h"

#include <math.h>
#include <string.h>

#include "src/base/json.h"
#include "src/base/utf8.h"

enum { DEPTH = 12, ROWS = 2000, CLASSES = 60 };

void html_text(struct buf *b, const char *s) {
    struct buf t = BUF_INIT;
    utf8_show(&t, s, strlen(s), -1, UTF8_FULL);
    for (const char *p = t.data ? t.data : ""; *p; p++) {
        switch (*p) {
        case '&': buf_adds(b, "&amp;"); break;
        case '<': buf_adds(b, "&lt;"); break;
        case '>': buf_adds(b, "&gt;"); break;
        case '"': buf_adds(b, "&quot;"); break;
        case '\'': buf_adds(b, "&#39;"); break;
        default: buf_addc(b, *p);
        }
    }
    buf_release(&t);
}

void html_num(struct buf *b, double v) {
    if (v == floor(v) && fabs(v) < 1e15) buf_addf(b, "%.0f", v);
    else buf_addf(b, "%.6g", v);
}

static void scalar(struct buf *b, const struct val *v) {
    double d;
    if (!v || v->type == VAL_NIL) buf_adds(b, "-");
    else if (v->type == VAL_STR) html_text(b, v->u.s.p);
    else if (v->type != VAL_BOOL && val_as_num(v, &d)) html_num(b, d);
    else {
        struct buf t = BUF_INIT;
        json_write(&t, v);
        html_text(b, t.data ? t.data : "");
        buf_release(&t);
    }
}

static bool tables_only(const struct val *v) {
    size_t n = val_len(v);
    for (size_t i = 0; i < n; i++)
        if (val_at(v, i)->type != VAL_TABLE || !val_at(v, i)->u.t.n_field) return false;
    return n > 0 && !v->u.t.n_field;
}

static void value(struct buf *b, const struct val *v, int depth);

/* The columns are the fields of the rows, in the order in which they first appear. */
static void list_table(struct buf *b, const struct val *v, int depth) {
    enum { COLS = 40 };
    const char *col[COLS];
    size_t n = 0;
    for (size_t i = 0; i < val_len(v); i++)
        for (size_t f = 0; f < val_at(v, i)->u.t.n_field && n < COLS; f++) {
            const char *name = val_at(v, i)->u.t.field[f].name;
            size_t k = 0;
            while (k < n && strcmp(col[k], name) != 0) k++;
            if (k == n) col[n++] = name;
        }
    buf_adds(b, "<table><thead><tr>");
    for (size_t k = 0; k < n; k++) buf_adds(b, "<th>"), html_text(b, col[k]), buf_adds(b, "</th>");
    buf_adds(b, "</tr></thead><tbody>\n");
    for (size_t i = 0; i < val_len(v) && i < ROWS; i++) {
        buf_adds(b, "<tr>");
        for (size_t k = 0; k < n; k++) {
            buf_adds(b, "<td>");
            const struct val *cell = val_get(val_at(v, i), col[k]);
            if (cell) value(b, cell, depth + 1);
            buf_adds(b, "</td>");
        }
        buf_adds(b, "</tr>\n");
    }
    buf_adds(b, "</tbody></table>\n");
    if (val_len(v) > ROWS) buf_addf(b, "<p>The first %d of %zu.</p>\n", ROWS, val_len(v));
}

static void value(struct buf *b, const struct val *v, int depth) {
    if (!v || v->type != VAL_TABLE) {
        scalar(b, v);
        return;
    }
    if (depth >= DEPTH) buf_adds(b, "...");
    else if (tables_only(v)) list_table(b, v, depth);
    else if (v->u.t.n_field) {
        buf_adds(b, "<table><tbody>\n");
        for (size_t i = 0; i < v->u.t.n_field && i < ROWS; i++) {
            buf_adds(b, "<tr><th>");
            html_text(b, v->u.t.field[i].name);
            buf_adds(b, "</th><td>");
            value(b, v->u.t.field[i].v, depth + 1);
            buf_adds(b, "</td></tr>\n");
        }
        buf_adds(b, "</tbody></table>\n");
    } else
        for (size_t i = 0; i < val_len(v) && i < ROWS; i++) {
            if (i) buf_adds(b, ", ");
            value(b, val_at(v, i), depth + 1);
        }
}

void html_value(struct buf *b, const struct val *v) { value(b, v, 0); }

static double cell_at(const struct val *m, size_t i, size_t k) {
    double v = 0;
    const struct val *c = val_at(val_at(m, i), k);
    return c && val_as_num(c, &v) && v >= 0 ? v : 0;
}

void html_confusion(struct buf *b, const struct val *matrix, const struct val *classes) {
    size_t n = val_len(matrix);
    if (n > CLASSES) {
        buf_addf(b, "<p>%zu classes: the table of classes below says more than a matrix of that size.</p>\n", n);
        return;
    }
    buf_adds(b, "<table class=\"confusion\"><thead><tr><th>true \\ predicted</th>");
    for (size_t k = 0; k < n; k++) {
        buf_adds(b, "<th class=\"up\"><span>");
        scalar(b, val_at(classes, k));
        buf_adds(b, "</span></th>");
    }
    buf_adds(b, "</tr></thead><tbody>\n");
    for (size_t i = 0; i < n; i++) {
        double sum = 0;
        for (size_t k = 0; k < n; k++) sum += cell_at(matrix, i, k);
        buf_adds(b, "<tr><th>");
        scalar(b, val_at(classes, i));
        buf_adds(b, "</th>");
        for (size_t k = 0; k < n; k++) {
            double v = cell_at(matrix, i, k), share = sum > 0 ? v / sum : 0;
            buf_addf(b, "<td class=\"%s\" style=\"--s:%.3f\">", i == k ? "hit" : "miss", share);
            if (v > 0) html_num(b, v);
            buf_adds(b, "</td>");
        }
        buf_adds(b, "</tr>\n");
    }
    buf_adds(b, "</tbody></table>\n");
}
