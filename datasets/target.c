/* Classes in the order of the recipe, else in rising order: as numbers if all labels are integers, else by bytes. */
#include "datasets/target.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "datasets/sequence.h"
#include "datasets/tabular.h"
#include "src/base/log.h"
#include "src/base/mem.h"

#define MAX_CLASSES 100000
#define SOME 20 /* different whole numbers, above which they may be no classes */

/* Which value of a row is 1 while all others are 0, as Keras' to_categorical writes a class; -1: it is another row. */
static int hot(const struct column *c, int64_t row) {
    int at = -1;
    for (int64_t i = 0; i < c->width; i++) {
        double v = c->type == COL_U8 ? ((const uint8_t *)c->data)[row * c->width + i] : (double)((const float *)c->data)[row * c->width + i];
        if (v == 0) continue;
        if (v != 1 || at >= 0) return -1;
        at = (int)i;
    }
    return at;
}

static bool one_hot(const struct column *c, int64_t n) {
    if ((c->type != COL_F32 && c->type != COL_U8) || c->width < 2) return false;
    for (int64_t i = 0; i < n; i++)
        if (hot(c, i) < 0) return false;
    return true;
}

const char *target_text(const struct table *tab, int col, int64_t row, char tmp[32], size_t *n) {
    const struct column *c = &tab->col[col];
    switch (c->type) {
    case COL_TEXT: {
        const char *s = table_text(tab, col, row, n);
        while (*n && (s[*n - 1] == ' ' || s[*n - 1] == '\r')) --*n;
        while (*n && *s == ' ') s++, --*n;
        return s;
    }
    case COL_U8: *n = (size_t)snprintf(tmp, 32, "%d", c->width > 1 ? hot(c, row) : ((const uint8_t *)c->data)[row]); break;
    case COL_I32: *n = (size_t)snprintf(tmp, 32, "%d", ((const int32_t *)c->data)[row]); break;
    default:
        if (c->width > 1) *n = (size_t)snprintf(tmp, 32, "%d", hot(c, row));
        else *n = (size_t)snprintf(tmp, 32, "%.9g", ((const float *)c->data)[row]);
    }
    return tmp;
}

const char *target_label(const struct table *tab, int col, int64_t row, char tmp[32], size_t *n) {
    const char *s = target_text(tab, col, row, tmp, n), *why;
    double v;
    if (tab->col[col].type != COL_TEXT || *n >= 32 || !memchr(s, '.', *n) || *s > '9' || !tabular_number(s, *n, &v, &why)) return s;
    if (fabs(v) >= 1e15 || rint(v) != v) return s;
    *n = (size_t)snprintf(tmp, 32, "%.0f", v + 0.0);
    return tmp;
}

static bool is_int(const char *s, size_t n) {
    if (n && (*s == '-' || *s == '+')) s++, n--;
    if (!n || n > 15) return false;
    for (size_t i = 0; i < n; i++)
        if (s[i] < '0' || s[i] > '9') return false;
    return true;
}

struct order {
    char *s;
    bool number;
    int32_t id;
};
static int by_label(const void *pa, const void *pb) {
    const struct order *a = pa, *b = pb;
    if (a->number && b->number) {
        long long x = atoll(a->s), y = atoll(b->s);
        if (x != y) return x < y ? -1 : 1;
    }
    return strcmp(a->s, b->s);
}

static int learn_labels(struct target *t, const struct table *tab, int col, bool *all_int, bool *all_number, struct err *e) {
    char tmp[32], where[512];
    int64_t miss = -1, numbers = 0;
    *all_int = *all_number = true;
    t->label = vocab_new();
    for (int64_t i = 0; i < tab->n; i++) {
        size_t n;
        const char *s = target_label(tab, col, i, tmp, &n), *why;
        double d;
        if (!n)
            return err_set(e, "%s: the label in column \"%.100s\" is empty; remove the row, fill it in, or give missing=\"drop\"",
                table_where(tab, i, where, sizeof where), tab->col[col].name);
        if (*all_int && !is_int(s, n)) *all_int = false;
        bool number = *all_number && tabular_number(s, n, &d, &why);
        if (number) numbers++;
        else if (tab->col[col].type == COL_TEXT && tabular_missing(s, n)) miss = miss < 0 ? i : miss;
        else *all_number = false;
        vocab_count(t->label, s, n);
    }
    if (miss >= 0 && *all_number && numbers > 0) {
        size_t n;
        const char *s = target_label(tab, col, miss, tmp, &n);
        return err_set(e, "%s: the target in column \"%.100s\" is missing (%.*s), all others are numbers; remove the row, fill it in, or give missing=\"drop\"",
            table_where(tab, miss, where, sizeof where), tab->col[col].name, (int)n, s);
    }
    if (miss >= 0) *all_number = false;
    vocab_finish(t->label, 0);
    return 0;
}

/* The classes of the recipe: labels found must be among them. */
static void recipe_order(struct target *t, const struct recipe *r) {
    while (r->value[t->n_class]) t->n_class++;
    struct vocab *v = vocab_new();
    for (int i = 0; i < t->n_class; i++) vocab_count(v, r->value[i], strlen(r->value[i]));
    vocab_finish(v, 0);
    vocab_free(t->label);
    t->label = v;
    t->cls = X_NEW(int32_t, (size_t)t->n_class);
    t->name = X_NEW(char *, (size_t)t->n_class);
    for (int i = 0; i < t->n_class; i++) {
        t->cls[i] = i;
        t->name[i] = mem_str(r->class_name ? r->class_name[i] : r->value[i]);
    }
}

/* Classes of a model by their names; labels found must be among them. */
static void given_order(struct target *t, const struct val *classes) {
    t->n_class = (int)val_len(classes);
    struct vocab *v = vocab_new();
    t->cls = X_NEW(int32_t, (size_t)t->n_class + 1);
    t->name = X_NEW(char *, (size_t)t->n_class + 1);
    for (int i = 0; i < t->n_class; i++) {
        const struct val *c = val_at(classes, (size_t)i);
        t->name[i] = mem_str(c->type == VAL_STR ? c->u.s.p : "");
        t->cls[i] = i;
        vocab_count(v, t->name[i], strlen(t->name[i]));
    }
    vocab_finish(v, 0);
    for (int i = 0; i < t->n_class; i++) t->cls[vocab_id(v, t->name[i], strlen(t->name[i])) - 2] = i;
    vocab_free(t->label);
    t->label = v;
}

/* Is a label a name of the model? Where none is, the labels are numbers of named classes (IDX). */
static bool names_fit(const struct target *t, const struct val *classes) {
    int64_t n = vocab_size(t->label) - 2;
    for (int64_t i = 0; i < n; i++) {
        size_t k;
        const char *s = vocab_word(t->label, i + 2, &k);
        for (size_t c = 0; c < val_len(classes); c++) {
            const struct val *v = val_at(classes, c);
            if (v->type == VAL_STR && v->u.s.len == k && !memcmp(v->u.s.p, s, k)) return true;
        }
    }
    return false;
}

static int sorted_order(struct target *t, const struct table *tab, bool all_int, struct err *e) {
    int64_t n = vocab_size(t->label) - 2;
    if (n > MAX_CLASSES || (n > 1000 && n > tab->n / 2))
        return err_set(e, "%s: the target has %lld different values in %lld rows; give y= if another column is the label, or target=\"number\"", tab->file,
            (long long)n, (long long)tab->n);
    struct order *o = X_NEW(struct order, (size_t)n);
    for (int64_t i = 0; i < n; i++) {
        size_t k;
        const char *s = vocab_word(t->label, i + 2, &k);
        o[i] = (struct order){mem_strn(s, k), all_int, (int32_t)i};
    }
    qsort(o, (size_t)n, sizeof *o, by_label);
    t->n_class = (int)n;
    t->cls = X_NEW(int32_t, (size_t)n);
    t->name = X_NEW(char *, (size_t)n);
    for (int64_t i = 0; i < n; i++) {
        t->cls[o[i].id] = (int32_t)i;
        t->name[i] = o[i].s;
        char *end;
        long k = strtol(o[i].s, &end, 10); /* the format knows names of the labels 0, 1, .. */
        if (!all_int || k < 0 || k >= tab->n_label_name) continue;
        free(o[i].s);
        t->name[i] = mem_str(tab->label_name[k]);
    }
    free(o);
    return 0;
}

/* The different labels are class numbers: they begin at 0 or 1 and leave hardly any out. */
static bool count_up(const struct target *t, int64_t n) {
    double least = INFINITY, most = -INFINITY;
    for (int64_t i = 0; i < n; i++) {
        size_t k;
        const char *s = vocab_word(t->label, i + 2, &k), *why;
        double v = 0;
        tabular_number(s, k, &v, &why);
        least = fmin(least, v), most = fmax(most, v);
    }
    return (least == 0 || least == 1) && (most - least + 1) * 9 <= (double)n * 10;
}

/* Labels that are all numbers may be classes that somebody numbered, or numbers: prices, ages, counts. */
static bool looks_number(const struct target *t, const struct table *tab, int col, bool all_int) {
    int64_t n = vocab_size(t->label) - 2;
    bool whole = true;
    for (int64_t i = 0; i < n && whole; i++) { /* "1.0": what pandas writes of classes where some were missing */
        size_t k;
        const char *s = vocab_word(t->label, i + 2, &k), *why;
        double v;
        whole = tabular_number(s, k, &v, &why) && rint(v) == v;
    }
    if (!whole) return true;
    if (tab->col[col].type != COL_TEXT) return tab->col[col].type == COL_F32 && n > 1000;
    if (all_int ? n <= SOME || (n <= tab->n / 2 && count_up(t, n)) : n <= SOME && n <= tab->n / 2) return false;
    log_write(LOG_INFO,
        "%s: column \"%.100s\" has %lld different whole numbers in %lld rows: they are taken as numbers, not as classes (target=\"class\" for those)",
        tab->file, tab->col[col].name, (long long)n, (long long)tab->n);
    return true;
}

int target_learn(struct target *t, const struct table *tab, int col, enum data_target want, const struct recipe *r, const struct val *classes, struct err *e) {
    memset(t, 0, sizeof *t);
    t->width = 1;
    if (want == TARGET_SEQUENCE) return sequence_learn(t, tab, col, classes, e);
    bool hots = want != TARGET_NUMBER && one_hot(&tab->col[col], tab->n);
    if (hots)
        log_write(LOG_INFO, "%s: each row of %.60s has one 1 among %lld values: they are taken as classes (target=\"number\" for those values)", tab->file,
            tab->col[col].name, (long long)tab->col[col].width);
    if (tab->col[col].type == COL_F32 && tab->col[col].width > 1 && want != TARGET_CLASS && !hots) {
        t->number = true;
        t->width = tab->col[col].width;
        return 0;
    }
    if (tab->col[col].type != COL_TEXT && tab->col[col].width != 1 && !hots)
        return err_set(e, "%s: a label is one value an example, but column \"%.100s\" has %lld", tab->file, tab->col[col].name, (long long)tab->col[col].width);
    if (want == TARGET_NUMBER) {
        t->number = true;
        return 0;
    }
    bool all_int, all_number;
    if (learn_labels(t, tab, col, &all_int, &all_number, e)) return -1;
    if (r && r->value) {
        recipe_order(t, r);
        return 0;
    }
    if (val_len(classes) && (names_fit(t, classes) || (!all_int && tab->col[col].type == COL_TEXT))) { /* what does not fit is said by its row */
        given_order(t, classes);
        return 0;
    }
    if (want == TARGET_AUTO && all_number && (t->number = looks_number(t, tab, col, all_int))) return 0;
    if (sorted_order(t, tab, all_int, e)) return -1;
    if (t->n_class == 1 && !val_len(classes) && tab->n > 1)
        log_write(LOG_WARN, "%s: all %lld targets in column \"%.100s\" are \"%.60s\": with one class there is nothing to learn", tab->file, (long long)tab->n,
            tab->col[col].name, t->name[0]);
    return 0;
}

int32_t *target_classes(const struct target *t, const struct table *tab, int col, struct err *e) {
    if (t->sequence) return sequence_classes(t, tab, col, e);
    int32_t *out = X_NEW(int32_t, (size_t)tab->n + 1);
    char tmp[32], where[512];
    for (int64_t i = 0; i < tab->n; i++) {
        size_t n;
        const char *s = target_label(tab, col, i, tmp, &n);
        int32_t id = vocab_id(t->label, s, n);
        if (id >= 2) {
            out[i] = t->cls[id - 2];
            continue;
        }
        free(out);
        err_set(e, "%s: the label \"%.*s\" is none of the %d classes (%.60s to %.60s); mend the label%s", table_where(tab, i, where, sizeof where),
            (int)(n < 60 ? n : 60), s, t->n_class, t->name[0], t->name[t->n_class - 1], tab->col[col].type == COL_TEXT ? " or give y=" : "");
        return NULL;
    }
    return out;
}

static float *target_vectors(const struct table *tab, int col, struct err *e) {
    int64_t n = tab->n * tab->col[col].width;
    const float *from = tab->col[col].data;
    float *out = X_NEW(float, (size_t)n + 1);
    char where[512];
    for (int64_t i = 0; i < n; i++) {
        out[i] = from[i];
        if (isfinite(out[i])) continue;
        free(out);
        err_set(e, "%s, column \"%.100s\": a target of this example is not a finite number; remove the row",
            table_where(tab, i / tab->col[col].width, where, sizeof where), tab->col[col].name);
        return NULL;
    }
    return out;
}

float *target_numbers(const struct target *t, const struct table *tab, int col, struct err *e) {
    if (t->width > 1) return target_vectors(tab, col, e);
    float *out = X_NEW(float, (size_t)tab->n + 1);
    char tmp[32], where[512];
    for (int64_t i = 0; i < tab->n; i++) {
        size_t n;
        const char *s = target_label(tab, col, i, tmp, &n), *why;
        double v;
        if (tabular_number(s, n, &v, &why)) {
            out[i] = (float)v;
            continue;
        }
        free(out);
        err_set(
            e, "%s, column \"%.100s\": the target \"%.*s\" %s", table_where(tab, i, where, sizeof where), tab->col[col].name, (int)(n < 60 ? n : 60), s, why);
        return NULL;
    }
    return out;
}

void target_release(struct target *t) {
    vocab_free(t->label);
    free(t->cls);
    free(t->point);
    for (int i = 0; t->name && i < t->n_class; i++) free(t->name[i]);
    free(t->name);
    memset(t, 0, sizeof *t);
}
