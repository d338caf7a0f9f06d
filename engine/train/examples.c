/* Wrong rows are collected as numbers while an evaluation runs; text and pictures are taken from the part at its end, for the few that are shown. */
#include "config.h"

#include "engine/train/examples.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/mem.h"
#include "src/run/record.h"

enum { KEPT = 8192, WORST = 100, SHOWN = 400, A_CELL = 5, TEXT_MAX = 240, SIDE = 32, CELLS = 40000, LIST_CLASSES = 200, NUMBERS = 12 };

struct wrong {
    int64_t row;
    double y, g; /* class numbers, or values */
    float p, q, loss;
};
struct examples {
    int n_class;
    struct wrong *w; /* 2 * KEPT places; above KEPT the better half goes */
    size_t n;
    double conf[CALIBRATION_BINS], acc[CALIBRATION_BINS], rows[CALIBRATION_BINS];
    int64_t pos[THRESHOLD_BINS], neg[THRESHOLD_BINS];
};

struct examples *examples_new(int n_class) {
    struct examples *x = X_NEW(struct examples, 1);
    x->n_class = n_class;
    x->w = X_NEW(struct wrong, 2 * KEPT);
    return x;
}

void examples_free(struct examples *x) {
    if (!x) return;
    free(x->w);
    free(x);
}

void examples_clear(struct examples *x) {
    struct examples old = *x;
    *x = (struct examples){.n_class = old.n_class, .w = old.w};
}

static int by_loss(const void *a, const void *b) {
    const struct wrong *x = a, *y = b;
    if (x->loss != y->loss) return x->loss > y->loss ? -1 : 1;
    return x->row < y->row ? -1 : x->row > y->row;
}

static void add(struct examples *x, struct wrong w) {
    if (!isfinite(w.loss)) w.loss = INFINITY; /* a loss that is no number is the worst there is */
    if (x->n == 2 * KEPT) {
        qsort(x->w, x->n, sizeof *x->w, by_loss);
        x->n = KEPT;
    }
    x->w[x->n++] = w;
}

void examples_logits(struct examples *x, const float *logits, const int32_t *label, int64_t rows, int64_t first) {
    int c = x->n_class;
    for (int64_t r = 0; r < rows; r++) {
        const float *z = logits + r * c;
        int32_t y = label[r], g = 0;
        if (y < 0 || y >= c) continue;
        for (int32_t i = 1; i < c; i++)
            if (z[i] > z[g]) g = i;
        double sum = 0;
        for (int i = 0; i < c; i++) sum += exp((double)z[i] - (double)z[g]);
        double p = 1 / sum, q = exp((double)z[y] - (double)z[g]) / sum, loss = log(sum) - ((double)z[y] - (double)z[g]);
        int b = (int)ceil(p * CALIBRATION_BINS) - 1; /* bins as of the metric ece */
        b = !(p > 0) || b < 0 ? 0 : b >= CALIBRATION_BINS ? CALIBRATION_BINS - 1 : b;
        x->conf[b] += isfinite(p) ? p : 0, x->acc[b] += g == y, x->rows[b]++;
        if (c == 2) {
            double one = y == 1 ? q : 1 - q;
            int k = (int)(one * THRESHOLD_BINS);
            (y == 1 ? x->pos : x->neg)[!(one > 0) ? 0 : k >= THRESHOLD_BINS ? THRESHOLD_BINS - 1 : k]++;
        }
        if (g != y) add(x, (struct wrong){first + r, y, g, (float)p, (float)q, (float)loss});
    }
}

void examples_values(struct examples *x, const float *guess, const float *y, int64_t rows, int64_t width, int64_t first) {
    for (int64_t r = 0; r < rows; r++) {
        double loss = 0;
        for (int64_t i = 0; i < width; i++) {
            double d = (double)guess[r * width + i] - (double)y[r * width + i];
            loss += d * d;
        }
        add(x, (struct wrong){first + r, (double)y[r * width], (double)guess[r * width], NAN, NAN, (float)loss});
    }
}

/* ---- rows as people see them ---- */

static struct val *text_of(const struct column *c, int64_t row) {
    const char *p = (const char *)c->data + c->offset[row];
    size_t n = (size_t)(c->offset[row + 1] - c->offset[row]);
    bool cut = n > TEXT_MAX;
    if (cut)
        for (n = TEXT_MAX; n > 0 && ((unsigned char)p[n] & 0xc0) == 0x80; n--) {}
    struct buf b = BUF_INIT;
    buf_add(&b, p, n);
    if (cut) buf_adds(&b, " ..");
    struct val *v = val_strn(b.data ? b.data : "", b.len);
    buf_release(&b);
    return v;
}

/* (C, H, W) or (H, W) bytes: the mean over channels, at most SIDE x SIDE. */
static struct val *picture_of(const struct column *c, int64_t row) {
    int64_t ch = c->ndim == 3 ? c->dim[0] : 1, h = c->dim[c->ndim - 2], w = c->dim[c->ndim - 1], step = (h > w ? h : w) / SIDE;
    const uint8_t *p = (const uint8_t *)c->data + row * c->width;
    if (step * SIDE < (h > w ? h : w)) step++;
    int64_t oh = h / step, ow = w / step;
    if (ch < 1 || ch > 4 || oh < 2 || ow < 2) return NULL;
    char *text = X_NEW(char, (size_t)(oh * ow) + 1);
    for (int64_t y = 0; y < oh; y++)
        for (int64_t x = 0; x < ow; x++) {
            int64_t sum = 0;
            for (int64_t k = 0; k < ch; k++)
                for (int64_t i = 0; i < step * step; i++) sum += p[(k * h + y * step + i / step) * w + x * step + i % step];
            text[y * ow + x] = "0123456789abcdef"[sum / (ch * step * step) / 16];
        }
    struct val *v = val_table();
    val_set_int(v, "h", oh);
    val_set_int(v, "w", ow);
    val_set(v, "pixels", val_strn(text, (size_t)(oh * ow)));
    free(text);
    return v;
}

static struct val *numbers_of(const struct part *p, int64_t row) {
    struct buf b = BUF_INIT;
    int n = 0;
    for (int i = 0; i + 1 < p->n_col; i++) {
        const struct column *c = &p->col[i];
        if (c->type == COL_TOKENS || c->type == COL_TEXT) continue;
        int64_t width = c->width > 0 ? c->width : 1;
        for (int64_t k = 0; k < width && n < NUMBERS; k++, n++) {
            double v = c->type == COL_U8    ? ((const uint8_t *)c->data)[row * width + k]
                       : c->type == COL_I32 ? ((const int32_t *)c->data)[row * width + k]
                                            : (double)((const float *)c->data)[row * width + k];
            buf_addf(&b, "%s%.4g", n ? ", " : "", v);
        }
    }
    struct val *v = b.len ? val_strn(b.data, b.len) : NULL;
    buf_release(&b);
    return v;
}

static void put_row(struct val *v, const struct part *p, int64_t row) {
    const struct column *c = &p->col[0];
    struct val *t = NULL;
    if (row < 0 || row >= p->n) return;
    if (p->raw && p->raw->offset) val_append(v, "text", text_of(p->raw, row));
    else if (c->type == COL_TEXT && c->offset) val_append(v, "text", text_of(c, row));
    else if (c->type == COL_U8 && c->ndim >= 2 && c->ndim <= 3 && (t = picture_of(c, row))) val_append(v, "picture", t);
    else if ((t = numbers_of(p, row))) val_append(v, "text", t);
}

static struct val *row_val(const struct examples *x, const struct wrong *w, const struct part *p) {
    struct val *v = val_table();
    val_append(v, "i", val_int(w->row));
    val_append(v, "y", x->n_class ? val_int((int64_t)w->y) : val_num(w->y));
    val_append(v, "g", x->n_class ? val_int((int64_t)w->g) : val_num(w->g));
    if (x->n_class) {
        val_append(v, "p", val_num((double)w->p));
        val_append(v, "q", val_num((double)w->q));
    }
    val_append(v, "loss", val_num((double)w->loss));
    put_row(v, p, w->row);
    return v;
}

/* How often the cell (y, g) is among the first n of the list; lists are short. */
static int of_cell(const struct val *list, const struct wrong *w) {
    int n = 0;
    for (size_t i = 0; i < val_len(list); i++)
        n += val_get_int(val_at(list, i), "y", -1) == (int64_t)w->y && val_get_int(val_at(list, i), "g", -1) == (int64_t)w->g;
    return n;
}

void examples_report(struct examples *x, const struct part *p, struct val *report) {
    struct val *list = val_list();
    qsort(x->w, x->n, sizeof *x->w, by_loss);
    for (size_t i = 0; i < x->n && val_len(list) < SHOWN; i++) {
        if (i >= WORST && (!x->n_class || of_cell(list, &x->w[i]) >= A_CELL)) continue;
        val_push(list, row_val(x, &x->w[i], p));
    }
    val_set(report, "examples", list);
    if (!x->n_class) return;
    struct val *bins = val_list();
    for (int b = 0; b < CALIBRATION_BINS; b++) {
        struct val *v = val_table();
        val_append(v, "n", val_int((int64_t)x->rows[b]));
        if (x->rows[b] > 0) {
            val_append(v, "conf", val_num(x->conf[b] / x->rows[b]));
            val_append(v, "acc", val_num(x->acc[b] / x->rows[b]));
        }
        val_push(bins, v);
    }
    val_set(report, "calibration", bins);
    if (x->n_class != 2) return;
    struct val *t = val_table(), *pos = val_list(), *neg = val_list();
    for (int b = 0; b < THRESHOLD_BINS; b++) {
        val_push(pos, val_int(x->pos[b]));
        val_push(neg, val_int(x->neg[b]));
    }
    val_set(t, "pos", pos);
    val_set(t, "neg", neg);
    val_set(report, "thresholds", t);
}

/* ---- confusion ---- */

struct cell {
    int32_t i, j;
    int64_t n;
};
static int by_count(const void *a, const void *b) {
    const struct cell *x = a, *y = b;
    if (x->n != y->n) return x->n > y->n ? -1 : 1;
    return x->i != y->i ? x->i - y->i : x->j - y->j;
}

void examples_confusion(const struct tally *t, struct val *report) {
    int n = t->n_class;
    if (!t->confusion) return;
    if (n <= LIST_CLASSES) {
        val_set(report, "confusion", tally_confusion(t));
        return;
    }
    struct val *rows = val_list(), *cols = val_list(), *hits = val_list(), *sums = val_table();
    size_t m = 0, cap = 0;
    struct cell *c = NULL;
    for (int i = 0; i < n; i++) {
        int64_t row = 0, col = 0;
        for (int j = 0; j < n; j++) {
            int64_t v = t->confusion[(size_t)i * (size_t)n + (size_t)j];
            row += v, col += t->confusion[(size_t)j * (size_t)n + (size_t)i];
            if (!v) continue;
            if (m == cap) c = X_GROW(c, struct cell, cap = cap ? 2 * cap : 4096);
            c[m++] = (struct cell){i, j, v};
        }
        val_push(rows, val_int(row));
        val_push(cols, val_int(col));
        val_push(hits, val_int(t->confusion[(size_t)i * (size_t)n + (size_t)i]));
    }
    if (m) qsort(c, m, sizeof *c, by_count);
    struct buf b = BUF_INIT;
    for (size_t k = 0; k < m && k < CELLS; k++) buf_addf(&b, "%s%" PRId32 " %" PRId32 " %" PRId64, k ? " " : "", c[k].i, c[k].j, c[k].n);
    val_set(sums, "rows", rows);
    val_set(sums, "cols", cols);
    val_set(sums, "hits", hits);
    val_set(report, "sums", sums);
    val_set(report, "cells", val_strn(b.data ? b.data : "", b.len));
    val_set_int(report, "cells_left", m > CELLS ? (int64_t)(m - CELLS) : 0);
    buf_release(&b);
    free(c);
}

void examples_publish(struct run *r, struct val *report_take) {
    struct val *before = run_last_report(r, "eval");
    if (before && before->type == VAL_TABLE) {
        val_unset(before, "examples");
        run_report_live(r, "eval_before", before);
    } else {
        val_free(before);
    }
    run_report(r, "eval", report_take);
}
