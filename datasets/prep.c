/* New inputs prepared as the training part was, from what is saved with the model. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "datasets/dataset.h"
#include "datasets/formats/format.h"
#include "datasets/formats/sound.h"
#include "datasets/tabular.h"
#include "datasets/text/encoder.h"
#include "src/base/buf.h"
#include "src/base/io.h"
#include "src/base/log.h"
#include "src/base/mem.h"
#include "src/base/size.h"

static struct part *new_part(int64_t n) {
    struct part *p = X_NEW(struct part, 1);
    p->n = n;
    p->n_col = 1;
    p->col = X_NEW(struct column, 1);
    p->col[0].name = mem_str("x");
    p->col[0].scale = 1;
    return p;
}

bool dataset_is_rows(const char *path) {
    static const char *const ends[] = {".csv", ".tsv", ".tab", ".jsonl", ".ndjson", ".json", NULL};
    return format_ends(path, ends, true);
}

static int text_column(const struct table *t, const char *name) {
    int best = table_find(t, name);
    size_t most = 0;
    if (best >= 0 && t->col[best].type == COL_TEXT) return best;
    best = -1;
    for (int c = 0; c < t->n_col; c++) {
        size_t sum = 0, k;
        if (t->col[c].type != COL_TEXT) continue;
        for (int64_t i = 0; i < t->n && i < 200; i++) table_text(t, c, i, &k), sum += k;
        if (best < 0 || sum > most) best = c, most = sum;
    }
    return best;
}

struct val *dataset_texts(const char *path, const char *column, struct err *e) {
    struct table t;
    struct read_opts o = {.header = -1, .quote = -1};
    struct val *list = NULL;
    if (format_read(path, &o, &t, e)) return NULL;
    int at = text_column(&t, column);
    if (at < 0 || !t.n) err_set(e, "%s holds no texts", path);
    else list = val_list();
    for (int64_t i = 0; list && i < t.n; i++) {
        size_t n;
        const char *s = table_text(&t, at, i, &n);
        val_push(list, val_strn(s, n));
    }
    table_free(&t);
    return list;
}

static struct part *prepare_texts(const struct val *prep, const struct val *in, struct err *e) {
    struct encoder x;
    struct cells cells = {0};
    struct part *p = NULL;
    size_t n = in->type == VAL_STR ? 1 : val_len(in);
    if (encoder_from_val(&x, prep, e)) goto out;
    for (size_t i = 0; i < n; i++) {
        const struct val *v = in->type == VAL_STR ? in : val_at(in, i);
        if (v->type != VAL_STR) {
            err_set(e, "input %zu is a %s; this model takes texts", i + 1, val_type_name(v));
            goto out;
        }
        int64_t bad = text_bad_byte((const unsigned char *)v->u.s.p, v->u.s.len);
        if (bad >= 0) {
            err_set(e, "input %zu is not UTF-8 (byte 0x%02x at offset %lld)", i + 1, (unsigned char)v->u.s.p[bad], (long long)bad);
            goto out;
        }
        cells_add(&cells, v->u.s.p, v->u.s.len);
        cells_end_cell(&cells);
    }
    p = new_part((int64_t)n);
    p->raw = X_NEW(struct column, 1);
    *p->raw = (struct column){.name = mem_str("text"), .type = COL_TEXT, .scale = 1};
    cells_into(&cells, p->raw);
    struct texts t = {p->raw, NULL, p->n, NULL, NULL, 0};
    if (encoder_encode(&x, &t, false, &p->col[0], e)) part_free(p), p = NULL;
    else if (x.cut) log_write(LOG_WARN, "%lld of %lld texts are longer than %lld tokens and were cut", (long long)x.cut, (long long)p->n, (long long)x.len);
out:
    cells_release(&cells);
    encoder_release(&x);
    return p;
}

/* Numbers of a nested list in reading order. Returns how many were found, -1 for something else. */
static int64_t flatten(const struct val *v, float *out, int64_t max, int depth, struct err *e) {
    double d;
    if (v->type != VAL_TABLE) {
        if (!val_as_num(v, &d) || !isfinite(d)) return err_set(e, "an input value is a %s; this model takes finite numbers", val_type_name(v));
        if (max > 0) *out = (float)d;
        return 1;
    }
    int64_t n = 0;
    for (size_t i = 0; i < val_len(v); i++) {
        int64_t k = depth > 6 ? err_set(e, "the input is nested deeper than 6 lists")
                              : flatten(val_at(v, i), n < max ? out + n : NULL, n < max ? max - n : 0, depth + 1, e);
        if (k < 0) return -1;
        n += k;
    }
    return n;
}

/* Appends the examples of a file. */
static int array_file(const char *path, struct part *p, const struct column *like, int size, int64_t rate, struct err *e) {
    struct table t;
    struct read_opts o = {.header = -1, .quote = -1, .size = size, .rate = rate};
    if (rate) o.frames = like->dim[0], o.mel = (int)like->dim[1];
    if (format_read(path, &o, &t, e)) return -1;
    int r = 0, at = table_find(&t, "x");
    struct column *c = &t.col[at < 0 ? 0 : at];
    if (c->type == COL_TEXT || c->width != like->width)
        r = err_set(e, "%s: an example has %lld values; this model takes %lld", path, (long long)c->width, (long long)like->width);
    else if (c->type == COL_I32) r = err_set(e, "%s holds 32-bit integers; this model takes bytes or floating point numbers", path);
    else if (p->n && c->type != p->col[0].type) r = err_set(e, "%s holds numbers of another type than the files before it", path);
    int64_t n = t.rows ? t.rows[at < 0 ? 0 : at] : t.n;
    size_t row = (size_t)c->width * (c->type == COL_U8 ? 1 : 4);
    char *all = r ? NULL : p->n ? mem_try(((size_t)p->n + (size_t)n) * row + 1, 1, "the inputs", e) : c->data;
    if (!r && !all) r = -1;
    if (!r && p->n) {
        memcpy(all, p->col[0].data, (size_t)p->n * row);
        memcpy(all + (size_t)p->n * row, c->data, (size_t)n * row);
        free(p->col[0].data);
    } else if (!r) c->data = NULL;
    if (!r) {
        p->n += n;
        p->col[0].type = c->type;
        p->col[0].data = all;
    }
    table_free(&t);
    return r;
}

static struct part *prepare_array(const struct val *prep, const struct val *in, struct err *e) {
    const struct val *shape = val_get(prep, "shape");
    struct part *p = new_part(0);
    struct column *c = &p->col[0];
    c->type = COL_F32;
    c->width = 1;
    for (size_t i = 0; i < val_len(shape) && c->ndim < 4; i++) {
        int64_t d = 0;
        if (!val_as_int(val_at(shape, i), &d) || d < 1 || !size_mul_i64(c->width, d, &c->width) || c->width > INT32_MAX) {
            err_set(e, "the saved preparation has a damaged shape");
            return part_free(p), NULL;
        }
        c->dim[c->ndim++] = d;
    }
    c->scale = (float)val_get_num(prep, "scale", 1);
    c->shift = (float)val_get_num(prep, "shift", 0);
    int size = (int)val_get_int(prep, "size", 0);
    if (size < 0 || size > IMAGE_MAX_SIDE) {
        err_set(e, "the saved preparation of pictures is damaged: size %d", size);
        return part_free(p), NULL;
    }
    int64_t rate = val_get_int(prep, "rate", 0);
    if (rate && (rate < 0 || c->ndim != 2 || c->dim[1] > SOUND_MAX_MEL)) {
        err_set(e, "the saved preparation of sounds is damaged: %d axes, %lld samples a second", c->ndim, (long long)rate);
        return part_free(p), NULL;
    }
    const struct val *one = val_len(in) ? val_at(in, 0) : in;
    if (one->type == VAL_STR) {
        for (size_t i = 0; i < (val_len(in) ? val_len(in) : 1); i++) {
            const struct val *v = val_len(in) ? val_at(in, i) : in;
            int r = v->type == VAL_STR ? array_file(v->u.s.p, p, c, size, rate, e) : err_set(e, "input %zu is no file, but the first is one", i + 1);
            if (r) return part_free(p), NULL;
        }
        return p;
    }
    bool single = one->type != VAL_TABLE ||
                  (c->ndim > 1 && one->type == VAL_TABLE && flatten(in, NULL, 0, 0, NULL) == c->width); /* one example, not a list of them */
    p->n = single ? 1 : (int64_t)val_len(in);
    int64_t total;
    if (!size_mul_i64(p->n, c->width, &total) || !(c->data = mem_try((size_t)total + 1, 4, "the inputs", e))) return part_free(p), NULL;
    for (int64_t i = 0; i < p->n; i++) {
        int64_t k = flatten(single ? in : val_at(in, (size_t)i), (float *)c->data + i * c->width, c->width, 0, e);
        if (k >= 0 && k != c->width) err_set(e, "input %lld has %lld values; this model takes %lld", (long long)i + 1, (long long)k, (long long)c->width);
        if (k != c->width) return part_free(p), NULL;
    }
    return p;
}

/* The rows of a file of a table, its columns by name. */
static struct part *table_file(const struct tabular *t, const char *path, struct err *e) {
    struct table tab;
    struct read_opts o = {.header = -1, .quote = -1};
    const char **want = X_NEW(const char *, (size_t)t->n + 1);
    int *cols = X_NEW(int, (size_t)t->n);
    for (int i = 0; i < t->n; i++) want[i] = t->f[i].name; /* a header has these */
    o.want = want;
    struct part *p = NULL;
    int r = format_read(path, &o, &tab, e);
    for (int i = 0; i < t->n && !r; i++) {
        cols[i] = table_find(&tab, t->f[i].name);
        if (cols[i] < 0)
            r = err_set(
                e, "%s has no column \"%.100s\", which the model takes%s", path, t->f[i].name, tab.named ? "" : ": its first row holds no names of columns");
        else if (tab.col[cols[i]].type != COL_TEXT) r = err_set(e, "%s holds arrays; this model takes rows of a table", path);
    }
    if (!r) {
        p = new_part(tab.n);
        if (tabular_fill(t, &tab, cols, NULL, tab.n, &p->col[0], e)) part_free(p), p = NULL;
    }
    table_free(&tab);
    free(want);
    free(cols);
    return p;
}

/* Rows {1, "A11", ..} in column order or {age = 3, ..} by name, as cells of a table; or one file of them. */
static struct part *prepare_table(const struct val *prep, const struct val *in, struct err *e) {
    struct tabular t = {0};
    struct table tab = {.file = mem_str("input")};
    struct cells *cells = NULL;
    int *cols = NULL;
    struct part *p = NULL;
    if (tabular_from_val(&t, prep, e)) goto out;
    const struct val *only = val_len(in) == 1 ? val_at(in, 0) : in;
    if (only->type == VAL_STR && io_exists(only->u.s.p)) {
        p = table_file(&t, only->u.s.p, e);
        goto out;
    }
    cells = X_NEW(struct cells, (size_t)t.n);
    cols = X_NEW(int, (size_t)t.n);
    for (int i = 0; i < t.n; i++) {
        table_add(&tab, t.f[i].name, COL_TEXT);
        cols[i] = i;
    }
    const struct val *one = val_at(in, 0);
    bool single = in->type == VAL_TABLE && (!one || one->type != VAL_TABLE);
    int64_t n = single ? 1 : (int64_t)val_len(in);
    for (int64_t r = 0; r < n; r++) {
        const struct val *row = single ? in : val_at(in, (size_t)r);
        if (row->type != VAL_TABLE || (val_len(row) && (int)val_len(row) != t.n)) {
            err_set(e, "input %lld has %zu values; this model takes %d: %s ..", (long long)r + 1, val_len(row), t.n, t.f[0].name);
            goto out;
        }
        for (int i = 0; i < t.n; i++) {
            const struct val *v = val_len(row) ? val_at(row, (size_t)i) : val_get(row, t.f[i].name);
            struct buf b = BUF_INIT;
            double d;
            if (v && v->type == VAL_STR) buf_add(&b, v->u.s.p, v->u.s.len);
            else if (v && val_as_num(v, &d)) buf_addnum(&b, d);
            cells_add(&cells[i], b.data ? b.data : "", b.len);
            cells_end_cell(&cells[i]);
            buf_release(&b);
        }
    }
    for (int i = 0; i < t.n; i++) cells_into(&cells[i], &tab.col[i]);
    tab.n = n;
    p = new_part(n);
    if (tabular_fill(&t, &tab, cols, NULL, n, &p->col[0], e)) part_free(p), p = NULL;
out:
    for (int i = 0; cells && i < t.n; i++) cells_release(&cells[i]);
    free(cells);
    free(cols);
    table_free(&tab);
    tabular_release(&t);
    return p;
}

struct part *dataset_prepare(const struct val *prep, const struct val *inputs, struct err *e) {
    const char *kind = val_get_str(prep, "kind", "");
    if (!inputs || inputs->type == VAL_NIL || (inputs->type == VAL_TABLE && !val_len(inputs) && !inputs->u.t.n_field)) {
        err_set(e, "there is no input; give a text, a list of texts or rows of numbers");
        return NULL;
    }
    if (!strcmp(kind, "text")) return prepare_texts(prep, inputs, e);
    if (!strcmp(kind, "table")) return prepare_table(prep, inputs, e);
    if (!strcmp(kind, "array")) return prepare_array(prep, inputs, e);
    err_set(e, "the model has no saved preparation for raw inputs%s%s; give it a data set", *kind ? " of the kind " : "", kind);
    return NULL;
}
