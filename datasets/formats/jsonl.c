/* JSON lines, one object a line, or one JSON list of objects. The keys of all objects are the columns; a key that an object lacks, like null, is a missing
 * cell. Values are texts, numbers, booleans or lists of those, which become one text with blanks between; columns that hold objects are left out. */
#include "datasets/formats/format.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/json.h"
#include "src/base/log.h"
#include "src/base/mem.h"

#define LINE_VALUES (4 * FORMAT_MAX_COLUMNS) /* beyond it the line is not made a tree at all */

static bool jsonl_probe(const struct bytes *h) {
    size_t i = 0;
    if (h->n >= 3 && !memcmp(h->p, "\xef\xbb\xbf", 3)) i = 3;
    bool list = false;
    for (; i < h->n && (h->p[i] == ' ' || h->p[i] == '\n' || h->p[i] == '\r' || (h->p[i] == '[' && !list)); i++) list |= h->p[i] == '[';
    return i + 1 < h->n && h->p[i] == '{' && (h->p[i + 1] == '"' || h->p[i + 1] == ' ' || h->p[i + 1] == '}' || (list && h->p[i + 1] == '\n'));
}

/* A column while it is read. */
struct keyed {
    struct cells cells;
    int64_t lacking; /* objects without the key */
    bool nested; /* some value is an object, or a list of other than plain values */
};
struct rows {
    struct table *t;
    struct keyed *col;
    size_t cap;
};

static void add_plain(struct cells *c, const struct val *v) {
    struct buf b = BUF_INIT;
    if (v->type == VAL_STR) cells_add(c, v->u.s.p, v->u.s.len);
    else if (v->type == VAL_BOOL) cells_add(c, v->u.b ? "true" : "false", v->u.b ? 4 : 5);
    else if (v->type == VAL_INT) buf_addf(&b, "%lld", (long long)v->u.i);
    else if (v->type == VAL_NUM) buf_addnum(&b, v->u.n);
    if (b.len) cells_add(c, b.data, b.len);
    buf_release(&b);
}

static int add_value(struct keyed *k, const struct val *v, const char *where, const char *key, struct err *e) {
    if (v->type == VAL_STR && memchr(v->u.s.p, 0, v->u.s.len)) return err_set(e, "%s: the text of \"%.100s\" holds a NUL character; remove it", where, key);
    if (v->type == VAL_TABLE) {
        k->nested |= v->u.t.n_field > 0 || (!v->is_list && !val_len(v));
        for (size_t i = 0; i < val_len(v); i++) {
            const struct val *one = val_at(v, i);
            k->nested |= one->type == VAL_TABLE || (one->type == VAL_STR && memchr(one->u.s.p, 0, one->u.s.len));
            if (k->nested) break;
            if (i) cells_add(&k->cells, " ", 1);
            add_plain(&k->cells, one);
        }
    } else add_plain(&k->cells, v);
    cells_end_cell(&k->cells);
    return 0;
}

/* A key that no object before had. */
static int add_column(struct rows *r, const char *name, const char *where, struct err *e) {
    if (r->t->n_col == FORMAT_MAX_COLUMNS) return err_set(e, "%s: more than %d keys; that many can be columns", where, FORMAT_MAX_COLUMNS);
    table_add(r->t, name, COL_TEXT);
    r->col = X_GROW(r->col, struct keyed, (size_t)r->t->n_col);
    struct keyed *k = &r->col[r->t->n_col - 1];
    *k = (struct keyed){.lacking = r->t->n};
    for (int64_t i = 0; i < r->t->n; i++) cells_end_cell(&k->cells);
    return 0;
}

static int add_row(struct rows *r, const struct val *row, const char *where, int64_t line, struct err *e) {
    if (row->type != VAL_TABLE || row->is_list || row->u.t.n_item)
        return err_set(e, "%s is not an object: each needs the form {\"text\":\"..\",\"label\":\"..\"}", where);
    if (!row->u.t.n_field && !r->t->n) return err_set(e, "%s has no keys; 1 to %d can be columns", where, FORMAT_MAX_COLUMNS);
    for (size_t i = 0; i < row->u.t.n_field; i++) {
        const char *name = row->u.t.field[i].name;
        bool in_place = i < (size_t)r->t->n_col && !strcmp(r->t->col[i].name, name);
        if (!in_place && table_find(r->t, name) < 0 && add_column(r, name, where, e)) return -1;
    }
    for (int i = 0; i < r->t->n_col; i++) {
        bool in_place = (size_t)i < row->u.t.n_field && !strcmp(row->u.t.field[i].name, r->t->col[i].name);
        const struct val *v = in_place ? row->u.t.field[i].v : val_get(row, r->t->col[i].name);
        if (v && add_value(&r->col[i], v, where, r->t->col[i].name, e)) return -1;
        if (v) continue;
        r->col[i].lacking++;
        cells_end_cell(&r->col[i].cells);
    }
    if ((size_t)r->t->n == r->cap) r->t->line = X_GROW(r->t->line, int32_t, r->cap = r->cap ? 2 * r->cap : 256);
    r->t->line[r->t->n++] = line > INT32_MAX ? INT32_MAX : (int32_t)line;
    return 0;
}

/* The end of the object that begins at p: behind the brace that closes it, or `end`. */
static const char *object_end(const char *p, const char *end) {
    int depth = 0;
    for (bool in = false; p < end; p++) {
        if (*p == '\\' && in) p++;
        else if (*p == '"') in = !in;
        else if (!in && (*p == '{' || *p == '[')) depth++;
        else if (!in && (*p == '}' || *p == ']') && --depth == 0) return p + 1;
    }
    return end;
}

static bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

/* The columns in their place, without those of nested values. */
static int finish(struct rows *r, bool ok, struct err *e) {
    struct table *t = r->t;
    int n = 0, all = t->n_col;
    for (int i = 0; i < all; i++) {
        cells_into(&r->col[i].cells, &t->col[i]);
        if (!ok) continue;
        if (r->col[i].nested) {
            log_write(LOG_INFO, "%s: the values of \"%.100s\" are objects or nested lists, which cannot be a column; it is left out", t->file, t->col[i].name);
            free(t->col[i].name), free(t->col[i].data), free(t->col[i].offset);
            continue;
        }
        if (r->col[i].lacking)
            log_write(LOG_WARN, "%s: %lld of %lld objects lack \"%.100s\", which counts as missing", t->file, (long long)r->col[i].lacking, (long long)t->n,
                t->col[i].name);
        t->col[n++] = t->col[i];
    }
    free(r->col);
    if (!ok) return -1;
    t->n_col = n;
    t->named = true;
    if (n) return 0;
    return err_set(e,
        "%s: all its values are objects or nested lists; write one object a row, {\"text\":\"..\",\"label\":\"..\"}, as pandas does with orient=\"records\"",
        t->file);
}

struct scan {
    const char *p, *end;
    bool list, closed; /* one list of objects; its end was seen */
    int64_t line;
};

/* "[" and then an object or the end: a list of objects, no line that is a list. */
static void begin(struct scan *s) {
    for (; s->p < s->end && is_blank(*s->p); s->p++) s->line += *s->p == '\n';
    const char *q = s->p + 1;
    if (s->p == s->end || *s->p != '[') return;
    while (q < s->end && is_blank(*q)) q++;
    s->list = q == s->end || *q == '{' || *q == ']';
    if (s->list) s->p++;
}

static bool next(struct scan *s) {
    for (; s->p < s->end; s->p++) {
        bool of_list = s->list && !s->closed && (*s->p == ',' || *s->p == ']');
        if (!of_list && !is_blank(*s->p)) return true;
        s->closed |= of_list && *s->p == ']';
        s->line += *s->p == '\n';
    }
    return false;
}

static int jsonl_read(const struct bytes *in, const struct read_opts *o, struct table *out, struct err *e) {
    struct bytes t;
    char *own, where[512];
    if (text_open(in, o && o->latin1, &t, &own, e)) return -1;
    struct rows rows = {.t = out};
    struct scan s = {.p = (const char *)t.p, .end = (const char *)t.p + t.n, .line = 1};
    int r = 0;
    out->file = mem_str(in->name);
    begin(&s);
    while (!r && next(&s)) {
        const char *nl = memchr(s.p, '\n', (size_t)(s.end - s.p)), *to = s.list ? object_end(s.p, s.end) : nl ? nl : s.end;
        snprintf(where, sizeof where, "%s line %lld", in->name, (long long)s.line);
        if (json_count(s.p, (size_t)(to - s.p)) > LINE_VALUES) {
            r = err_set(e, "%s holds more than %d values; 1 to %d can be columns", where, LINE_VALUES, FORMAT_MAX_COLUMNS);
            break;
        }
        struct val *row = json_parse(s.p, (size_t)(to - s.p), where, e);
        r = row ? add_row(&rows, row, where, s.line, e) : -1;
        val_free(row);
        if (!r && !(out->n & 4095) && o && o->progress && o->progress(o->ctx, in->name, (double)(to - (const char *)t.p) / (double)t.n))
            r = err_code(e, ERR_STOPPED, "reading %s was stopped", in->name);
        for (; s.p < to; s.p++) s.line += *s.p == '\n';
    }
    free(own);
    if (!r && s.list && !s.closed) r = err_set(e, "%s is cut short: the ] that closes its list is missing; fetch it again", in->name);
    if (!r && !out->n) r = err_set(e, "%s holds no objects; it needs at least one row", in->name);
    return finish(&rows, !r, e);
}

static const char *const ext[] = {".jsonl", ".ndjson", ".json", NULL};
const struct format format_jsonl = {"jsonl", "JSON lines, one object a row", ext, jsonl_probe, jsonl_read, NULL, NULL, "encoding"};
