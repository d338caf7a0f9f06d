/* Reading and writing safetensors (format: huggingface/safetensors README): 8-byte little-endian header length, a JSON object, then the data without holes
 * or overlap. Every rule is checked and says which tensor broke it; sizes are checked arithmetic bounded by the file. Files are written in the order of the
 * Python writer (wide types first, then names), so equal content gives equal bytes. Any thread. */
#include "engine/model/safetensors.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/io.h"
#include "src/base/json.h"
#include "src/base/mem.h"
#include "src/base/size.h"
#include "src/base/utf8.h"

#define HEADER_MAX ((size_t)16 << 20)
#define META_NODES 65536 /* values in __metadata__, and in the entry of a tensor: bound the memory of a hostile header */
#define TENSOR_NODES 64

/* A foreign name made harmless, cut to 60 columns; static storage of the caller. */
static const char *shown(struct buf *b, const char *s) {
    buf_clear(b);
    utf8_show(b, s, strlen(s), 60, UTF8_FULL);
    return b->data ? b->data : "";
}

static int parse_dtype(const char *s, enum dtype *d) {
    for (int i = 0; i < DT_N; i++)
        if (dtypes[i].safetensors && strcmp(s, dtypes[i].safetensors) == 0) {
            *d = (enum dtype)i;
            return 0;
        }
    return -1;
}

static int parse_shape(const struct val *v, struct st_tensor *t, const char *name, int64_t *len, struct err *e) {
    if (!v || v->type != VAL_TABLE || v->u.t.n_field || (!val_len(v) && !v->is_list)) return err_set(e, "tensor %s: shape is missing or not a list", name);
    if (val_len(v) > TENSOR_DIMS) return err_set(e, "tensor %s: it has %zu dimensions, at most %d can be read", name, val_len(v), TENSOR_DIMS);
    *len = 1;
    t->ndim = (int)val_len(v);
    for (int i = 0; i < t->ndim; i++) {
        const struct val *k = val_at(v, (size_t)i);
        if (k->type != VAL_INT || k->u.i < 0) return err_set(e, "tensor %s: extent %d of the shape is not a whole number >= 0", name, i + 1);
        t->dim[i] = k->u.i;
        if (!size_mul_i64(*len, k->u.i, len)) return err_set(e, "tensor %s: the product of its shape does not fit 64 bits", name);
    }
    return 0;
}

static int parse_tensor(const struct val *v, const char *name, size_t data_bytes, struct st_tensor *t, size_t *begin, struct err *e) {
    const char *dtype = val_get_str(v, "dtype", NULL);
    const struct val *off = val_get(v, "data_offsets");
    int64_t len = 0;
    struct buf b = BUF_INIT;
    if (v->type != VAL_TABLE || val_len(v)) return err_set(e, "tensor %s: its entry is not an object with dtype, shape and data_offsets", name);
    if (!dtype) return err_set(e, "tensor %s: dtype is missing or not a string", name);
    if (parse_dtype(dtype, &t->dtype) < 0) {
        err_set(e, "tensor %s: dtype %s cannot be read: it must be one of F64 F32 F16 BF16 I64 I32 I8 U8 BOOL", name, shown(&b, dtype));
        buf_release(&b);
        return -1;
    }
    if (parse_shape(val_get(v, "shape"), t, name, &len, e) < 0) return -1;
    if (val_len(off) != 2 || val_at(off, 0)->type != VAL_INT || val_at(off, 1)->type != VAL_INT)
        return err_set(e, "tensor %s: data_offsets is not a list of two whole numbers", name);
    int64_t from = val_at(off, 0)->u.i, to = val_at(off, 1)->u.i, bytes;
    if (from < 0 || to < from) return err_set(e, "tensor %s: data_offsets %lld..%lld run backwards", name, (long long)from, (long long)to);
    if ((uint64_t)to > data_bytes)
        return err_set(e, "tensor %s: data_offsets end at byte %lld, the file has %zu bytes of data: it is cut short", name, (long long)to, data_bytes);
    if (!size_mul_i64(len, dtypes[t->dtype].bits / 8, &bytes) || bytes != to - from)
        return err_set(e, "tensor %s: %lld values of %s need %lld bytes, data_offsets hold %lld", name, (long long)len, dtype,
            len <= INT64_MAX / 8 ? (long long)len * dtypes[t->dtype].bits / 8 : -1LL, (long long)(to - from));
    *begin = (size_t)from;
    t->bytes = (size_t)(to - from);
    return 0;
}

struct place {
    size_t begin, end;
    const char *name;
};
static int by_place(const void *a, const void *b) {
    const struct place *x = a, *y = b;
    return x->begin < y->begin ? -1 : x->begin > y->begin ? 1 : x->end < y->end ? -1 : x->end > y->end;
}
static int check_places(struct place *p, size_t n, size_t data_bytes, struct err *e) {
    size_t at = 0;
    struct buf b = BUF_INIT;
    int rc = 0;
    if (n) qsort(p, n, sizeof *p, by_place);
    for (size_t i = 0; i < n && rc == 0; i++) {
        if (p[i].begin > at) rc = err_set(e, "tensor %s: a hole of %zu bytes lies before its data", shown(&b, p[i].name), p[i].begin - at);
        else if (p[i].begin < at) rc = err_set(e, "tensor %s: its data overlaps another tensor's by %zu bytes", shown(&b, p[i].name), at - p[i].begin);
        at = p[i].end;
    }
    if (rc == 0 && at != data_bytes) rc = err_set(e, "%zu bytes after the last tensor belong to none", data_bytes - at);
    buf_release(&b);
    return rc;
}

static int check_meta(const struct val *meta, struct err *e) {
    if (meta->type != VAL_TABLE || val_len(meta) || meta->is_list) return err_set(e, "__metadata__ is not an object");
    for (size_t i = 0; i < meta->u.t.n_field; i++)
        if (meta->u.t.field[i].v->type != VAL_STR)
            return err_set(e, "__metadata__ may hold strings only, entry %zu is a %s", i + 1, val_type_name(meta->u.t.field[i].v));
    return 0;
}

/* ---- the header: its members are found by a scanner and parsed one at a time, so that a hostile header never becomes one tree ---- */
struct span {
    const char *p;
    size_t n;
};
struct scan {
    const char *p, *end;
    size_t n;
};

static const char *blanks(const char *p, const char *end) {
    while (p < end && (*p == ' ' || *p == '\t' || *p == '\n' || *p == '\r')) p++;
    return p;
}

/* Behind the string that begins at p, or NULL. */
static const char *past_string(const char *p, const char *end) {
    for (p++; p < end && *p != '"'; p++)
        if (*p == '\\') p++;
    return p < end ? p + 1 : NULL;
}

/* Behind the value that begins at p, or NULL; *nodes: how many values it may hold. What lies between is for the JSON parser to judge. */
static const char *past_value(const char *p, const char *end, size_t *nodes) {
    int depth = 0;
    for (*nodes = 1; p < end;) {
        char c = *p;
        if (depth == 0 && (c == ',' || c == '}' || c == ']')) return p;
        if (c == '"') {
            if (!(p = past_string(p, end))) return NULL;
        } else {
            if (c == '[' || c == '{') depth++;
            if (c == ']' || c == '}') depth--;
            *nodes += c == ',' || c == '[' || c == '{';
            p++;
        }
    }
    return NULL;
}

/* 1: the next member; 0: the end of the object and of the header; -1: an error. */
static int next_member(struct scan *s, struct span *key, struct span *value, size_t *nodes, struct err *e) {
    const char *p = blanks(s->p, s->end), *q;
    if (p < s->end && *p == '}' && blanks(p + 1, s->end) == s->end) return 0;
    if (s->n && (p == s->end || *p++ != ',')) return err_set(e, "the header is not valid JSON after entry %zu: , or } is expected", s->n);
    p = blanks(p, s->end);
    if (p == s->end || *p != '"' || !(q = past_string(p, s->end))) return err_set(e, "the header is not valid JSON: entry %zu has no name", s->n + 1);
    *key = (struct span){p, (size_t)(q - p)};
    p = blanks(q, s->end);
    if (p == s->end || *p != ':') return err_set(e, "the header is not valid JSON: entry %zu has no value", s->n + 1);
    p = blanks(p + 1, s->end);
    if (!(q = past_value(p, s->end, nodes)) || q == p) return err_set(e, "the header is not valid JSON: the value of entry %zu does not end", s->n + 1);
    *value = (struct span){p, (size_t)(q - p)};
    s->p = q;
    s->n++;
    return 1;
}

/* One member into f; a tensor's place at place[f->n]. */
static int take_member(struct st_file *f, struct span key, struct span value, size_t nodes, struct place *place, size_t header, struct err *e) {
    struct buf b = BUF_INIT;
    struct val *k = json_parse(key.p, key.n, "the name of a tensor", e), *v = NULL;
    const char *name = k ? k->u.s.p : "";
    bool meta = k && strcmp(name, "__metadata__") == 0;
    struct st_tensor *t = &f->tensor[f->n];
    size_t begin = 0;
    int rc = -1;
    if (!k) goto out;
    if (!*name || strlen(name) != k->u.s.len) err_set(e, "a tensor has no name, or one with a zero byte");
    else if (nodes > (meta ? META_NODES : TENSOR_NODES))
        err_set(e, "tensor %s: its entry holds more than %d values", shown(&b, name), meta ? META_NODES : TENSOR_NODES);
    else if (!(v = json_parse(value.p, value.n, shown(&b, name), e))) err_wrap(e, "in the header");
    else if (meta && f->meta) err_set(e, "__metadata__ stands there twice");
    else if (meta) {
        if ((rc = check_meta(v, e)) == 0) f->meta = v, v = NULL;
    } else if ((rc = parse_tensor(v, shown(&b, name), f->n_bytes - 8 - header, t, &begin, e)) == 0) {
        t->name = mem_str(name);
        t->data = f->bytes + 8 + header + begin;
        place[f->n++] = (struct place){begin, begin + t->bytes, t->name};
    }
out:
    buf_release(&b);
    val_free(k);
    val_free(v);
    return rc;
}

static int by_name(const void *a, const void *b) { return strcmp(((const struct place *)a)->name, ((const struct place *)b)->name); }
static int check_names(struct place *p, size_t n, struct err *e) {
    struct buf b = BUF_INIT;
    int rc = 0;
    if (n) qsort(p, n, sizeof *p, by_name);
    for (size_t i = 1; i < n && rc == 0; i++)
        if (strcmp(p[i - 1].name, p[i].name) == 0) rc = err_set(e, "the header names tensor %s twice", shown(&b, p[i].name));
    buf_release(&b);
    return rc;
}

static int parse_header(struct st_file *f, size_t header, struct err *e) {
    const char *text = f->bytes + 8;
    struct span key, value;
    size_t nodes;
    int rc;
    if (text[0] != '{') return err_set(e, "the header does not begin with {");
    if (!utf8_valid(text, header)) return err_set(e, "the header is not UTF-8");
    struct scan first = {text + 1, text + header, 0}, s = first;
    while ((rc = next_member(&first, &key, &value, &nodes, e)) > 0) {}
    if (rc < 0) return -1;
    struct place *place = X_NEW(struct place, first.n + 1);
    f->tensor = X_NEW(struct st_tensor, first.n + 1);
    while (rc == 0 && next_member(&s, &key, &value, &nodes, e) > 0) rc = take_member(f, key, value, nodes, place, header, e);
    if (rc == 0) rc = check_names(place, f->n, e);
    if (rc == 0) rc = check_places(place, f->n, f->n_bytes - 8 - header, e);
    free(place);
    return rc;
}

int st_parse(char *bytes_take, size_t n, const char *where, struct st_file *out, struct err *e) {
    *out = (struct st_file){.bytes = bytes_take, .n_bytes = n};
    uint64_t header = 0;
    int rc = 0;
    for (size_t i = 0; i < 8 && n >= 8; i++) header |= (uint64_t)(unsigned char)bytes_take[i] << (8 * i);
    if (n < 8) rc = err_set(e, "it has %zu bytes, a safetensors file at least 10", n);
    else if (header > HEADER_MAX)
        rc = err_set(e, "its header would be %llu bytes long, at most 16 MiB are read: this is no safetensors file", (unsigned long long)header);
    else if (header > n - 8)
        rc = err_set(e, "its header should be %llu bytes long but only %zu follow: the file is cut short", (unsigned long long)header, n - 8);
    else if (header < 2) rc = err_set(e, "its header is %llu bytes long, at least {} is needed", (unsigned long long)header);
    else rc = parse_header(out, (size_t)header, e);
    if (rc == 0) return 0;
    err_wrap(e, "%s", where);
    st_release(out);
    return -1;
}

int st_read(const char *path, struct st_file *out, struct err *e) {
    struct buf b = BUF_INIT;
    *out = (struct st_file){0};
    if (io_read_file(path, (size_t)1 << 37, &b, e) < 0) return -1;
    size_t n = b.len;
    return st_parse(buf_take(&b), n, path, out, e);
}

const struct st_tensor *st_find(const struct st_file *f, const char *name) {
    for (size_t i = 0; i < f->n; i++)
        if (strcmp(f->tensor[i].name, name) == 0) return &f->tensor[i];
    return NULL;
}

static float half_float(uint16_t h) {
    uint32_t s = (uint32_t)(h & 0x8000) << 16, ex = h >> 10 & 31, f = h & 1023;
    float v = ex == 31 ? (f ? NAN : INFINITY) : ex ? ldexpf((float)(f | 1024), (int)ex - 25) : ldexpf((float)f, -24);
    return s ? -v : v;
}
static float float_at(const struct st_tensor *t, int64_t i) {
    union {
        uint32_t u;
        float f;
    } w;
    uint16_t h;
    double d;
    const char *p = t->data;
    switch (t->dtype) {
    case DT_F64: memcpy(&d, p + 8 * i, 8); return (float)d;
    case DT_F16: memcpy(&h, p + 2 * i, 2); return half_float(h);
    case DT_BF16:
        memcpy(&h, p + 2 * i, 2);
        w.u = (uint32_t)h << 16;
        return w.f;
    default: memcpy(&w.f, p + 4 * i, 4); return w.f;
    }
}

void st_floats(const struct st_tensor *t, float *out) {
    int64_t n = (int64_t)(t->bytes * 8 / (size_t)dtypes[t->dtype].bits);
    if (t->dtype == DT_F32 && t->bytes) memcpy(out, t->data, t->bytes);
    for (int64_t i = 0; i < n && t->dtype != DT_F32; i++) out[i] = float_at(t, i);
}

void st_release(struct st_file *f) {
    for (size_t i = 0; i < f->n; i++) free((char *)(uintptr_t)f->tensor[i].name);
    free(f->tensor);
    val_free(f->meta);
    free(f->bytes);
    *f = (struct st_file){0};
}

static int rank_of(enum dtype d) { /* the Python writer puts later types first */
    static const enum dtype order[] = {DT_BOOL, DT_U8, DT_I8, DT_F16, DT_BF16, DT_I32, DT_F32, DT_F64, DT_I64};
    for (size_t i = 0; i < LEN(order); i++)
        if (order[i] == d) return (int)i;
    return -1;
}
static int by_rank(const void *a, const void *b) {
    const struct st_tensor *x = *(const struct st_tensor *const *)a, *y = *(const struct st_tensor *const *)b;
    int d = rank_of(y->dtype) - rank_of(x->dtype);
    return d ? d : strcmp(x->name, y->name);
}

void st_bytes(const struct st_tensor *t, size_t n, const struct val *meta, struct buf *out) {
    const struct st_tensor **order = X_NEW(const struct st_tensor *, n + 1);
    struct buf h = BUF_INIT;
    size_t at = 0;
    for (size_t i = 0; i < n; i++) order[i] = &t[i];
    if (n) qsort(order, n, sizeof *order, by_rank);
    buf_addc(&h, '{');
    if (meta) {
        buf_adds(&h, "\"__metadata__\":");
        json_write(&h, meta);
    }
    for (size_t i = 0; i < n; i++) {
        struct val *name = val_str(order[i]->name);
        if (i || meta) buf_addc(&h, ',');
        json_write(&h, name);
        val_free(name);
        buf_addf(&h, ":{\"dtype\":\"%s\",\"shape\":[", dtypes[order[i]->dtype].safetensors);
        for (int d = 0; d < order[i]->ndim; d++) buf_addf(&h, "%s%lld", d ? "," : "", (long long)order[i]->dim[d]);
        buf_addf(&h, "],\"data_offsets\":[%zu,%zu]}", at, at + order[i]->bytes);
        at += order[i]->bytes;
    }
    buf_addc(&h, '}');
    while (h.len % 8) buf_addc(&h, ' ');
    unsigned char len[8];
    for (int i = 0; i < 8; i++) len[i] = (unsigned char)(h.len >> (8 * i));
    buf_reserve(out, 8 + h.len + at);
    buf_add(out, len, 8);
    buf_add(out, h.data, h.len);
    for (size_t i = 0; i < n; i++)
        if (order[i]->bytes) buf_add(out, order[i]->data, order[i]->bytes);
    buf_release(&h);
    free(order);
}

int st_write(const char *path, const struct st_tensor *t, size_t n, const struct val *meta, struct err *e) {
    struct buf b = BUF_INIT;
    st_bytes(t, n, meta, &b);
    int rc = io_write_file(path, b.data, b.len, e);
    buf_release(&b);
    return rc;
}
