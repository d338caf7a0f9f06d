/* Sequences of classes: what they are made of, how long they get, a padded table of class numbers. */
#include "datasets/sequence.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/mem.h"
#include "src/base/utf8.h"

#define MAX_CLASSES 100000
#define MAX_LABELS 10000 /* of one sequence */
#define MAX_TABLE ((int64_t)1 << 28) /* labels of all rows, padded */
#define POINTS 0x110000

static int64_t number_at(const struct column *c, int64_t i) { return c->type == COL_U8 ? ((const uint8_t *)c->data)[i] : ((const int32_t *)c->data)[i]; }
/* Where a sequence of a row of numbers ends. */
static int64_t row_length(const struct column *c, int64_t row) {
    int64_t n = 0;
    while (n < c->width && number_at(c, row * c->width + n) > 0) n++;
    return n;
}
static int by_point(const void *a, const void *b) {
    uint32_t x = ((const struct target_point *)a)->cp, y = ((const struct target_point *)b)->cp;
    return (x > y) - (x < y);
}
/* Class of a code point, 0: none has it. */
static int32_t class_of(const struct target *t, uint32_t cp) {
    for (int64_t lo = 0, hi = t->n_point; lo < hi;) {
        int64_t mid = (lo + hi) / 2;
        if (t->point[mid].cp == cp) return t->point[mid].cls;
        if (t->point[mid].cp < cp) lo = mid + 1;
        else hi = mid;
    }
    return 0;
}
static void add_point(struct target *t, uint32_t cp, int32_t cls) {
    t->point = X_GROW(t->point, struct target_point, (size_t)t->n_point + 1);
    t->point[t->n_point++] = (struct target_point){cp, cls};
}

/* The code points of the rows, each a class. */
static int learn_text(struct target *t, const struct table *tab, int col, struct err *e) {
    char tmp[32], where[512];
    uint8_t *seen = X_NEW(uint8_t, POINTS);
    int rc = 0, n_seen = 0;
    for (int64_t i = 0; rc == 0 && i < tab->n; i++) {
        size_t n, at = 0;
        const char *s = target_text(tab, col, i, tmp, &n);
        while (rc == 0 && at < n) {
            uint32_t c;
            at += utf8_next(s + at, n - at, &c);
            if (!c || c >= POINTS)
                rc = err_set(
                    e, "%s: the target in column \"%.100s\" is not UTF-8 text; mend the row", table_where(tab, i, where, sizeof where), tab->col[col].name);
            else if (!seen[c] && ++n_seen == MAX_CLASSES) rc = err_set(e, "%s: the targets have %d different characters or more", tab->file, MAX_CLASSES);
            else seen[c] = 1;
        }
    }
    for (uint32_t c = 0; rc == 0 && c < POINTS; c++)
        if (seen[c]) add_point(t, c, (int32_t)t->n_point + 1);
    free(seen);
    t->n_class = 1 + (int)t->n_point;
    return rc;
}

/* The classes of a model; those of a text column have names of one character. */
static int given_classes(struct target *t, const struct column *c, const struct val *classes, struct err *e) {
    t->n_class = (int)val_len(classes);
    t->name = X_NEW(char *, (size_t)t->n_class);
    for (int i = 0; i < t->n_class; i++) {
        const struct val *v = val_at(classes, (size_t)i);
        const char *s = v->type == VAL_STR ? v->u.s.p : "";
        t->name[i] = mem_str(s);
        if (!i || c->type != COL_TEXT) continue;
        uint32_t cp;
        if (!*s || utf8_next(s, strlen(s), &cp) != strlen(s) || cp >= POINTS)
            return err_set(e, "column \"%.100s\" holds texts, but class %d of the model, \"%.60s\", is not one character", c->name, i, s);
        add_point(t, cp, i);
    }
    if (t->n_point) qsort(t->point, (size_t)t->n_point, sizeof *t->point, by_point);
    return 0;
}

int sequence_learn(struct target *t, const struct table *tab, int col, const struct val *classes, struct err *e) {
    const struct column *c = &tab->col[col];
    t->sequence = true;
    t->width = 1;
    if (c->type != COL_TEXT && c->type != COL_U8 && c->type != COL_I32)
        return err_set(e, "%s: column \"%.100s\" holds fractions; a sequence of classes is a text or a row of whole numbers", tab->file, c->name);
    if (val_len(classes)) return given_classes(t, c, classes, e);
    if (c->type != COL_TEXT && c->width < 2)
        return err_set(
            e, "%s: column \"%.100s\" holds one label an example: a sequence is a text or a row of several; use target=\"class\"", tab->file, c->name);
    int64_t most = 0;
    if (c->type == COL_TEXT && learn_text(t, tab, col, e)) return -1;
    for (int64_t i = 0; c->type != COL_TEXT && i < tab->n * c->width; i++) most = number_at(c, i) > most ? number_at(c, i) : most;
    if (most >= MAX_CLASSES) return err_set(e, "%s: class %lld in column \"%.100s\" is beyond %d", tab->file, (long long)most, c->name, MAX_CLASSES - 1);
    if (c->type != COL_TEXT) t->n_class = 1 + (int)most;
    if (t->n_class == 1) return err_set(e, "%s: all sequences in column \"%.100s\" are empty; nothing can be learned from them", tab->file, c->name);
    t->name = X_NEW(char *, (size_t)t->n_class);
    for (int i = 0; i < t->n_class; i++) {
        char one[16] = "";
        if (i && c->type == COL_TEXT) one[utf8_put(one, t->point[i - 1].cp)] = 0;
        else if (i) snprintf(one, sizeof one, "%d", i);
        t->name[i] = mem_str(one);
    }
    return 0;
}

int sequence_widen(struct target *t, const struct table *tab, int col, struct err *e) {
    char tmp[32], where[512];
    for (int64_t i = 0; i < tab->n; i++) {
        size_t n = 0, at = 0;
        int64_t len = 0;
        const char *s = tab->col[col].type == COL_TEXT ? target_text(tab, col, i, tmp, &n) : NULL;
        uint32_t cp;
        for (; s && at < n; len++) at += utf8_next(s + at, n - at, &cp);
        if (!s) len = row_length(&tab->col[col], i);
        if (len > MAX_LABELS)
            return err_set(e, "%s: the sequence in column \"%.100s\" has %lld labels, more than %d; cut the row into shorter ones",
                table_where(tab, i, where, sizeof where), tab->col[col].name, (long long)len, MAX_LABELS);
        t->width = len > t->width ? len : t->width;
    }
    return 0;
}

static int fill_row(const struct target *t, const struct table *tab, int col, int64_t row, int32_t *out, struct err *e) {
    const struct column *c = &tab->col[col];
    char tmp[32], where[512];
    size_t n = 0, at = 0;
    const char *s = c->type == COL_TEXT ? target_text(tab, col, row, tmp, &n) : NULL;
    int64_t len = s ? 0 : row_length(c, row), k = 0;
    while (s ? at < n : k < len) {
        size_t from = at;
        int64_t v;
        uint32_t cp = 0;
        if (s) at += utf8_next(s + at, n - at, &cp), v = class_of(t, cp);
        else v = number_at(c, row * c->width + k);
        if (v > 0 && v < t->n_class) {
            out[k++] = (int32_t)v;
            continue;
        }
        table_where(tab, row, where, sizeof where);
        return s ? err_set(e, "%s: the character \"%.*s\" is none of the %d that were learned; mend the row or train with it", where, (int)(at - from),
                       s + from, t->n_class - 1)
                 : err_set(e, "%s: class %lld is beyond the last one that was learned, %d; mend the row or train with it", where, (long long)v, t->n_class - 1);
    }
    for (int64_t i = len; !s && i < c->width; i++)
        if (number_at(c, row * c->width + i) > 0)
            return err_set(e, "%s: class %lld stands behind a 0, which is the blank and ends a sequence: number the classes from 1",
                table_where(tab, row, where, sizeof where), (long long)number_at(c, row * c->width + i));
    while (k < t->width) out[k++] = -1;
    return 0;
}

int32_t *sequence_classes(const struct target *t, const struct table *tab, int col, struct err *e) {
    if (tab->n > MAX_TABLE / t->width) {
        err_set(
            e, "%s: %lld sequences of up to %lld labels are too many; cut the longest into shorter ones", tab->file, (long long)tab->n, (long long)t->width);
        return NULL;
    }
    int32_t *out = X_NEW(int32_t, (size_t)(tab->n * t->width) + 1);
    for (int64_t i = 0; i < tab->n; i++)
        if (fill_row(t, tab, col, i, out + i * t->width, e)) return free(out), NULL;
    return out;
}
