/* Counts from lists of rows ("confusion") or from text ("cells" with exact "sums"). */
#include "config.h"

#include "ui/evaluation.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/mem.h"

enum { CLASSES_MAX = 4096 };

void evaluation_release(struct evaluation *e) {
    free(e->v);
    free(e->row);
    free(e->col);
    free(e->hit);
    free(e->error);
    free(e->name);
    free(e->own);
    free(e->pair);
    free(e->order);
    *e = (struct evaluation){0};
}

static int64_t count_at(const struct val *list, size_t i) {
    int64_t n = 0;
    const struct val *v = val_at(list, i);
    return v && val_as_int(v, &n) && n > 0 ? n : 0;
}

static void from_rows(struct evaluation *e, const struct val *m) {
    for (size_t i = 0; i < (size_t)e->n; i++)
        for (size_t j = 0; j < (size_t)e->n; j++) {
            int64_t v = count_at(val_at(m, i), j);
            e->v[i * (size_t)e->n + j] = v;
            e->row[i] += v, e->col[j] += v;
            if (i == j) e->hit[i] = v;
        }
}

static void from_cells(struct evaluation *e, const char *text, const struct val *sums) {
    for (size_t i = 0; i < (size_t)e->n; i++) {
        e->row[i] = count_at(val_get(sums, "rows"), i);
        e->col[i] = count_at(val_get(sums, "cols"), i);
        e->hit[i] = count_at(val_get(sums, "hits"), i);
    }
    for (char *p = (char *)(uintptr_t)text; p && *p;) {
        char *end;
        long long i = strtoll(p, &end, 10), j = strtoll(end, &end, 10), n = strtoll(end, &end, 10);
        if (end == p || i < 0 || j < 0 || i >= e->n || j >= e->n || n < 0) break;
        e->v[(size_t)i * (size_t)e->n + (size_t)j] = n;
        p = end;
    }
}

static int by_count(const void *a, const void *b) {
    const struct confused *x = a, *y = b;
    if (x->n != y->n) return x->n > y->n ? -1 : 1;
    return x->i != y->i ? x->i - y->i : x->j - y->j;
}

static void make_pairs(struct evaluation *e) {
    size_t m = 0, n = (size_t)e->n;
    for (size_t k = 0; k < n * n; k++) m += e->v[k] > 0 && k / n != k % n;
    e->pair = X_NEW(struct confused, m + 1);
    for (size_t k = 0; k < n * n; k++)
        if (e->v[k] > 0 && k / n != k % n) e->pair[e->n_pair++] = (struct confused){(int)(k / n), (int)(k % n), e->v[k]};
    if (m) qsort(e->pair, m, sizeof *e->pair, by_count);
}

/* Error mass of a class: examples it lost and answers it took from others. */
static void make_order(struct evaluation *e) {
    struct confused *by = X_NEW(struct confused, (size_t)e->n);
    for (int c = 0; c < e->n; c++) {
        e->error[c] = e->row[c] + e->col[c] - 2 * e->hit[c];
        by[c] = (struct confused){c, 0, e->error[c]};
    }
    qsort(by, (size_t)e->n, sizeof *by, by_count);
    for (int c = 0; c < e->n; c++) e->order[c] = by[c].i;
    free(by);
}

bool evaluation_read(struct evaluation *e, const struct val *report) {
    const struct val *m = val_get(report, "confusion"), *names = val_get(report, "classes"), *sums = val_get(report, "sums");
    size_t n = m ? val_len(m) : val_len(val_get(sums, "rows"));
    *e = (struct evaluation){0};
    if (!n || n > CLASSES_MAX) return false;
    e->n = (int)n;
    e->v = X_NEW(int64_t, n * n);
    e->row = X_NEW(int64_t, n);
    e->col = X_NEW(int64_t, n);
    e->hit = X_NEW(int64_t, n);
    e->error = X_NEW(int64_t, n);
    e->name = X_NEW(const char *, n);
    e->own = mem_new(n, sizeof *e->own);
    e->order = X_NEW(int, n);
    for (size_t i = 0; i < n; i++) {
        const struct val *name = val_at(names, i);
        snprintf(e->own[i], sizeof e->own[i], "class %zu", i);
        e->name[i] = name && name->type == VAL_STR ? name->u.s.p : e->own[i];
    }
    if (m) from_rows(e, m);
    else from_cells(e, val_get_str(report, "cells", ""), sums);
    for (size_t i = 0; i < n; i++) e->total += e->row[i], e->right += e->hit[i];
    e->left = val_get_int(report, "cells_left", 0);
    make_pairs(e);
    make_order(e);
    return true;
}

static double share(int64_t part, int64_t whole) { return whole > 0 ? (double)part / (double)whole : NAN; }

double class_precision(const struct evaluation *e, int c) { return share(e->hit[c], e->col[c]); }
double class_recall(const struct evaluation *e, int c) { return share(e->hit[c], e->row[c]); }
double class_f1(const struct evaluation *e, int c) { return share(2 * e->hit[c], e->row[c] + e->col[c]); }
double class_union(const struct evaluation *e, int c) { return e->row[c] > 0 ? share(e->hit[c], e->row[c] + e->col[c] - e->hit[c]) : NAN; }

static double mean(const struct evaluation *e, double (*of)(const struct evaluation *, int)) {
    double sum = 0;
    int n = 0;
    for (int c = 0; c < e->n; c++) {
        double v = of(e, c);
        if (isnan(v)) continue;
        sum += v;
        n++;
    }
    return n ? sum / n : NAN;
}
double mean_row(const struct evaluation *e) { return mean(e, class_recall); }
double mean_union(const struct evaluation *e) { return mean(e, class_union); }
double overall(const struct evaluation *e) { return share(e->right, e->total); }

double calibration_error(const struct val *bins) {
    double sum = 0, all = 0;
    for (size_t i = 0; i < val_len(bins); i++) {
        double n = val_get_num(val_at(bins, i), "n", 0);
        if (!(n > 0)) continue;
        sum += n * fabs(val_get_num(val_at(bins, i), "acc", 0) - val_get_num(val_at(bins, i), "conf", 0));
        all += n;
    }
    return all > 0 ? sum / all : NAN;
}
