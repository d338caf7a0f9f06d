/* JSON lines: one object a line. The keys of the first object are the columns; later objects must have them all (others are
 * ignored). Values are texts, numbers or booleans; null is a missing cell. */
#include "datasets/formats/format.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/json.h"
#include "src/base/mem.h"

#define LINE_VALUES (4 * FORMAT_MAX_COLUMNS) /* beyond it the line is not made a tree at all */

static bool jsonl_probe(const struct bytes *h) {
    size_t i = 0;
    if (h->n >= 3 && !memcmp(h->p, "\xef\xbb\xbf", 3)) i = 3;
    while (i < h->n && (h->p[i] == ' ' || h->p[i] == '\n' || h->p[i] == '\r')) i++;
    return i + 1 < h->n && h->p[i] == '{' && (h->p[i + 1] == '"' || h->p[i + 1] == ' ' || h->p[i + 1] == '}');
}

static int add_value(struct cells *c, const struct val *v, const char *where, const char *key, struct err *e) {
    struct buf b = BUF_INIT;
    switch (v->type) {
    case VAL_NIL: break;
    case VAL_STR:
        if (memchr(v->u.s.p, 0, v->u.s.len)) return err_set(e, "%s: the text of \"%.100s\" holds a NUL character; remove it", where, key);
        cells_add(c, v->u.s.p, v->u.s.len);
        break;
    case VAL_BOOL: cells_add(c, v->u.b ? "true" : "false", v->u.b ? 4 : 5); break;
    case VAL_INT:
    case VAL_NUM:
        if (v->type == VAL_INT) buf_addf(&b, "%lld", (long long)v->u.i);
        else buf_addnum(&b, v->u.n);
        cells_add(c, b.data, b.len);
        buf_release(&b);
        break;
    default: return err_set(e, "%s: the value of \"%.100s\" is a list or object; only texts, numbers and booleans can be columns", where, key);
    }
    cells_end_cell(c);
    return 0;
}

static int add_row(struct table *out, struct cells **cells, const struct val *row, const char *where, struct err *e) {
    if (row->type != VAL_TABLE || row->is_list || row->u.t.n_item)
        return err_set(e, "%s is not an object: each line needs the form {\"text\":\"..\",\"label\":\"..\"}", where);
    if (!out->n_col) {
        if (!row->u.t.n_field || row->u.t.n_field > FORMAT_MAX_COLUMNS)
            return err_set(e, "%s has %zu keys; 1 to %d can be columns", where, row->u.t.n_field, FORMAT_MAX_COLUMNS);
        for (size_t i = 0; i < row->u.t.n_field; i++) table_add(out, row->u.t.field[i].name, COL_TEXT);
        *cells = X_NEW(struct cells, row->u.t.n_field);
        out->named = true;
    }
    for (int i = 0; i < out->n_col; i++) {
        const struct val *v = i < (int)row->u.t.n_field && !strcmp(row->u.t.field[i].name, out->col[i].name) ? row->u.t.field[i].v
                                                                                                             : val_get(row, out->col[i].name);
        if (!v) return err_set(e, "%s lacks \"%.100s\", which the first line has; every line needs the same keys", where, out->col[i].name);
        if (add_value(&(*cells)[i], v, where, out->col[i].name, e)) return -1;
    }
    return 0;
}

static int jsonl_read(const struct bytes *in, const struct read_opts *o, struct table *out, struct err *e) {
    struct bytes t;
    char *own, where[512];
    if (text_open(in, o && o->latin1, &t, &own, e)) return -1;
    struct cells *cells = NULL;
    size_t cap = 0;
    int r = 0;
    int32_t line = 0;
    const char *p = (const char *)t.p, *end = p + t.n;
    while (p < end && !r) {
        const char *nl = memchr(p, '\n', (size_t)(end - p)), *to = nl ? nl : end, *q = p;
        line++;
        while (q < to && (*q == ' ' || *q == '\t' || *q == '\r')) q++;
        if (q < to) {
            snprintf(where, sizeof where, "%s line %d", in->name, line);
            if (json_count(q, (size_t)(to - q)) > LINE_VALUES) {
                r = err_set(e, "%s holds more than %d values; 1 to %d can be columns", where, LINE_VALUES, FORMAT_MAX_COLUMNS);
                break;
            }
            struct val *row = json_parse(q, (size_t)(to - q), where, e);
            r = row ? add_row(out, &cells, row, where, e) : -1;
            val_free(row);
            if (!r) {
                if ((size_t)out->n == cap) out->line = X_GROW(out->line, int32_t, cap = cap ? 2 * cap : 256);
                out->line[out->n++] = line;
            }
        }
        if (!r && !(line & 4095) && o && o->progress && o->progress(o->ctx, in->name, (double)((const unsigned char *)to - t.p) / (double)t.n))
            r = err_code(e, ERR_STOPPED, "reading %s was stopped", in->name);
        p = to + 1;
    }
    for (int i = 0; cells && i < out->n_col; i++) cells_into(&cells[i], &out->col[i]);
    free(cells);
    free(own);
    if (!r && !out->n) r = err_set(e, "%s holds only blank lines; it needs at least one row", in->name);
    return r;
}

static const char *const ext[] = {".jsonl", ".ndjson", ".json", NULL};
const struct format format_jsonl = {"jsonl", "JSON lines, one object a row", ext, jsonl_probe, jsonl_read, NULL, NULL, "encoding"};
