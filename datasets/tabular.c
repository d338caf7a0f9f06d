/* A column is a number column if every training cell that is not missing is a finite number; otherwise each of its values
 * becomes a one-hot entry. */
#include "datasets/tabular.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "src/base/err.h"
#include "src/base/log.h"
#include "src/base/mem.h"

bool tabular_missing(const char *s, size_t n) {
    while (n && (*s == ' ' || *s == '\t')) s++, n--;
    while (n && (s[n - 1] == ' ' || s[n - 1] == '\t')) n--;
    if (n > 4 || (n && !strchr("?Nn", *s))) return false; /* no word of the list */
    static const char *const words[] = {"?", "NA", "N/A", "NaN", "nan", "null", "NULL"};
    for (size_t i = 0; i < LEN(words); i++)
        if (n == strlen(words[i]) && !memcmp(s, words[i], n)) return true;
    return !n;
}

/* Digits with at most one point, 15 of them at most: both the digits as a whole number and the power of ten are exact, so their quotient is what strtod
 * gives (Clinger 1990). */
static bool short_number(const char *s, size_t n, double *out) {
    static const double ten[] = {1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};
    size_t i = n && (*s == '-' || *s == '+'), digits = 0, behind = 0;
    int64_t v = 0;
    bool point = false;
    for (; i < n; i++) {
        if (s[i] == '.' && !point) {
            point = true;
            continue;
        }
        if (s[i] < '0' || s[i] > '9' || ++digits > 15) return false;
        v = 10 * v + (s[i] - '0');
        behind += point;
    }
    if (!digits) return false;
    *out = (double)v / ten[behind];
    if (*s == '-') *out = -*out;
    return true;
}

bool tabular_number(const char *s, size_t n, double *out, const char **why) {
    char tmp[64], *end;
    *why = "is not a number";
    while (n && (*s == ' ' || *s == '\t')) s++, n--;
    while (n && (s[n - 1] == ' ' || s[n - 1] == '\t')) n--;
    if (!n || n >= sizeof tmp) return false;
    if (short_number(s, n, out)) return true;
    memcpy(tmp, s, n);
    tmp[n] = 0;
    if (tmp[0] == '0' && (tmp[1] == 'x' || tmp[1] == 'X')) return false;
    *out = strtod(tmp, &end);
    if (*end) return false;
    if (isfinite(*out)) return true;
    *why = "is not a finite number";
    return false;
}

static int by_text(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

/* The distinct values of one column, at most max of them; returns -1 if there are more. */
static int distinct(struct feature *f, const struct table *tab, int col, const int64_t *idx, int64_t n, int max) {
    int cap = 0;
    for (int64_t i = 0; i < n; i++) {
        size_t k;
        const char *s = table_text(tab, col, idx[i], &k);
        if (tabular_missing(s, k)) continue;
        int lo = 0, hi = f->n_value;
        while (lo < hi) { /* kept sorted */
            int mid = (lo + hi) / 2, c = strncmp(f->value[mid], s, k);
            if (!c) c = f->value[mid][k] != 0;
            if (c < 0) lo = mid + 1;
            else hi = mid;
        }
        if (lo < f->n_value && strlen(f->value[lo]) == k && !memcmp(f->value[lo], s, k)) continue;
        if (f->n_value == max) return -1;
        if (f->n_value == cap) f->value = X_GROW(f->value, char *, (size_t)(cap = cap ? 2 * cap : 16));
        memmove(f->value + lo + 1, f->value + lo, (size_t)(f->n_value - lo) * sizeof *f->value);
        f->value[lo] = mem_strn(s, k);
        f->n_value++;
    }
    return 0;
}

static int learn_column(
    struct feature *f, const struct table *tab, int col, const int64_t *idx, int64_t n, bool standardize, enum data_missing missing, struct err *e) {
    char where[512];
    double sum = 0, sq = 0;
    int64_t count = 0, bad = -1, miss = -1, missed = 0;
    const char *why = NULL, *why_bad = NULL;
    f->name = mem_str(tab->col[col].name);
    for (int64_t i = 0; i < n; i++) {
        size_t k;
        const char *s = table_text(tab, col, idx[i], &k);
        double v;
        if (tabular_missing(s, k)) {
            if (!missed++) miss = idx[i];
        } else if (tabular_number(s, k, &v, &why)) {
            count++;
            double d = v - sum;
            sum += d / (double)count; /* running mean and squares (Welford 1962) */
            sq += d * (v - sum);
        } else if (bad < 0) bad = idx[i], why_bad = why;
    }
    if (miss >= 0 && missing == MISSING_ERROR)
        return err_set(e,
            "%s, column \"%.100s\": the value is missing, in %lld of %lld rows; give missing=\"mean\", missing=\"drop\" for those rows, or drop=\"%.100s\" for "
            "the "
            "column",
            table_where(tab, miss, where, sizeof where), f->name, (long long)missed, (long long)n, f->name);
    if (!count && bad < 0) return err_set(e, "%s: column \"%.100s\" has no value at all; leave it out with drop=\"%.100s\"", tab->file, f->name, f->name);
    if (bad >= 0 && (count > 9 * (n - count) || !strcmp(why_bad, "is not a finite number"))) { /* numbers with a few strays: an error, not a category */
        size_t k;
        const char *s = table_text(tab, col, bad, &k);
        return err_set(e, "%s, column \"%.100s\": \"%.*s\" %s; mend the cell or remove the row", table_where(tab, bad, where, sizeof where), f->name,
            (int)(k < 60 ? k : 60), s, why_bad);
    }
    if (bad < 0) {
        double var = count ? sq / (double)count : 0;
        f->mean = standardize ? sum : 0;
        f->std = standardize && var > 0 ? sqrt(var) : 1;
        if (missing == MISSING_MEAN) f->mean = sum; /* the value of missing cells */
        return 0;
    }
    f->category = true;
    if (distinct(f, tab, col, idx, n, 1000))
        return err_set(e,
            "%s: column \"%.100s\" is not numeric and has more than 1000 different values; give text=\"%.100s\" if it is the text, or leave it out with "
            "drop=\"%.100s\"",
            tab->file, f->name, f->name, f->name);
    return 0;
}

int tabular_learn(struct tabular *t, const struct table *tab, const int *cols, int n, const int64_t *idx, int64_t n_row, bool standardize, struct err *e) {
    t->f = X_NEW(struct feature, (size_t)n + 1);
    t->n = n;
    t->width = 0;
    for (int i = 0; i < n; i++) {
        if (learn_column(&t->f[i], tab, cols[i], idx, n_row, standardize, t->missing, e)) return -1;
        t->width += t->f[i].category ? t->f[i].n_value : 1;
        if (t->width > TABULAR_MAX_WIDTH)
            return err_set(e, "%s: the columns become more than %d numbers an example; leave some out of x", tab->file, TABULAR_MAX_WIDTH);
    }
    return 0;
}

static int find_value(const struct feature *f, const char *s, size_t n) {
    char *key = mem_strn(s, n);
    char **p = bsearch(&key, f->value, (size_t)f->n_value, sizeof *f->value, by_text);
    free(key);
    return p ? (int)(p - f->value) : -1;
}

static int cell(const struct tabular *t, const struct feature *f, const char *s, size_t n, const struct table *tab, int64_t row, float *out, struct err *e) {
    char where[512];
    const char *why = "";
    if (tabular_missing(s, n)) {
        if (t->missing == MISSING_ERROR)
            return err_set(e, "%s, column \"%.100s\": the value is missing; fill it in, or load the training data with missing=\"mean\"",
                table_where(tab, row, where, sizeof where), f->name);
        return 0; /* all zero: the mean of a standardised column, no value of a category */
    }
    if (f->category) {
        int i = find_value(f, s, n);
        if (i >= 0) {
            out[i] = 1;
            return 0;
        }
        if (t->missing == MISSING_MEAN) return 1;
        return err_set(e,
            "%s, column \"%.100s\": the training part has no value \"%.*s\", only \"%.60s\" and %d more; mend the cell, or load the training data with "
            "missing=\"mean\": then it counts as missing",
            table_where(tab, row, where, sizeof where), f->name, (int)(n < 60 ? n : 60), s, f->value[0], f->n_value - 1);
    }
    double v;
    if (!tabular_number(s, n, &v, &why))
        return err_set(e, "%s, column \"%.100s\": \"%.*s\" %s; mend the cell or remove the row", table_where(tab, row, where, sizeof where), f->name,
            (int)(n < 60 ? n : 60), s, why);
    *out = (float)((v - f->mean) / f->std);
    return 0;
}

int tabular_fill(const struct tabular *t, const struct table *tab, const int *cols, const int64_t *idx, int64_t n_row, struct column *out, struct err *e) {
    out->type = COL_F32;
    out->ndim = 1;
    out->dim[0] = out->width = t->width;
    out->scale = 1;
    float *p = out->data = mem_try((size_t)n_row * (size_t)t->width + 1, sizeof(float), "the table", e);
    int64_t unknown = 0, first = 0;
    int of = 0;
    char where[512];
    if (!p) return -1;
    for (int64_t r = 0; r < n_row; r++)
        for (int i = 0; i < t->n; i++) {
            size_t n;
            int64_t row = idx ? idx[r] : r;
            const char *s = table_text(tab, cols[i], row, &n);
            int got = cell(t, &t->f[i], s, n, tab, row, p, e);
            if (got < 0) return -1;
            if (got && !unknown++) first = row, of = i;
            p += t->f[i].category ? t->f[i].n_value : 1;
        }
    if (unknown)
        log_write(LOG_WARN, "%s, column \"%.100s\": a value that the training part never had; it and %lld more like it count as missing",
            table_where(tab, first, where, sizeof where), t->f[of].name, (long long)unknown - 1);
    return 0;
}

struct val *tabular_to_val(const struct tabular *t) {
    static const char *const names[] = {"error", "drop", "mean"};
    struct val *v = val_table(), *l = val_list();
    val_set_str(v, "kind", "table");
    val_set_str(v, "missing", names[t->missing]);
    for (int i = 0; i < t->n; i++) {
        struct val *c = val_table();
        val_set_str(c, "name", t->f[i].name);
        if (t->f[i].category) {
            struct val *values = val_list();
            for (int k = 0; k < t->f[i].n_value; k++) val_push(values, val_str(t->f[i].value[k]));
            val_set(c, "values", values);
        } else {
            val_set_num(c, "mean", t->f[i].mean);
            val_set_num(c, "std", t->f[i].std);
        }
        val_push(l, c);
    }
    val_set(v, "columns", l);
    return v;
}

int tabular_from_val(struct tabular *t, const struct val *v, struct err *e) {
    const struct val *l = val_get(v, "columns");
    size_t n = val_len(l);
    memset(t, 0, sizeof *t);
    t->missing = !strcmp(val_get_str(v, "missing", "error"), "error") ? MISSING_ERROR : MISSING_MEAN;
    if (!n || n > FORMAT_MAX_COLUMNS) return err_set(e, "the saved preparation of a table has %zu columns; the model file is damaged", n);
    t->f = X_NEW(struct feature, n);
    for (size_t i = 0; i < n; i++) {
        const struct val *c = val_at(l, i), *values = val_get(c, "values");
        struct feature *f = &t->f[t->n++];
        f->name = mem_str(val_get_str(c, "name", "?"));
        f->category = values != NULL;
        f->mean = val_get_num(c, "mean", 0);
        f->std = val_get_num(c, "std", 1);
        f->n_value = 0;
        f->value = X_NEW(char *, val_len(values) + 1);
        for (size_t k = 0; k < val_len(values); k++) {
            const struct val *s = val_at(values, k);
            f->value[f->n_value++] = mem_str(s->type == VAL_STR ? s->u.s.p : "");
        }
        if ((f->category && !f->n_value) || !(f->std > 0)) return err_set(e, "the saved preparation of column \"%.100s\" is damaged", f->name);
        t->width += f->category ? f->n_value : 1;
    }
    return 0;
}

void tabular_release(struct tabular *t) {
    for (int i = 0; i < t->n; i++) {
        for (int k = 0; k < t->f[i].n_value; k++) free(t->f[i].value[k]);
        free(t->f[i].value);
        free(t->f[i].name);
    }
    free(t->f);
    memset(t, 0, sizeof *t);
}
