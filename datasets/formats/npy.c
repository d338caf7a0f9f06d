/* NumPy arrays: magic, version, header (a Python dictionary literal of descr, fortran_order, shape), values. Object arrays are
 * refused: they are pickles, which are programs. Numbers become u8, i32 or f32; i64 must fit into 32 bits. Texts, one an example, may be labels. */
#include "datasets/formats/npy.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/mem.h"
#include "src/base/size.h"
#include "src/base/utf8.h"

#define MAX_TEXT 4096 /* code points or bytes of a text */

struct head {
    char kind, order; /* u i f b U S; < > | */
    int size;
    bool fortran;
    int ndim;
    int64_t dim[8];
};

/* A tiny scanner over the header's text. */
struct lit {
    const char *p, *end;
};
static void blanks(struct lit *s) {
    while (s->p < s->end && (*s->p == ' ' || *s->p == '\n' || *s->p == '\t')) s->p++;
}
static bool eat(struct lit *s, const char *word) {
    size_t n = strlen(word);
    blanks(s);
    if ((size_t)(s->end - s->p) < n || memcmp(s->p, word, n)) return false;
    s->p += n;
    return true;
}
static bool text(struct lit *s, char *out, size_t cap) {
    blanks(s);
    if (s->p == s->end || (*s->p != '\'' && *s->p != '"')) return false;
    char q = *s->p++;
    size_t n = 0;
    while (s->p < s->end && *s->p != q && n + 1 < cap) out[n++] = *s->p++;
    out[n] = 0;
    return s->p < s->end && *s->p++ == q;
}

static int parse_shape(struct lit *s, struct head *h) {
    if (!eat(s, "(")) return -1;
    while (!eat(s, ")")) {
        blanks(s);
        int64_t v = 0;
        const char *b = s->p;
        while (s->p < s->end && *s->p >= '0' && *s->p <= '9')
            if (!size_mul_i64(v, 10, &v) || !size_add_i64(v, *s->p++ - '0', &v)) return -1;
        if (s->p == b || h->ndim == (int)LEN(h->dim)) return -1;
        h->dim[h->ndim++] = v;
        eat(s, "L");
        if (!eat(s, ",") && !(eat(s, ")") && (s->p--, 1))) return -1;
    }
    return 0;
}

static int parse_head(const char *name, const char *p, size_t n, struct head *h, struct err *e) {
    struct lit s = {p, p + n};
    char key[32], descr[32] = "";
    bool have_order = false, have_shape = false;
    if (!eat(&s, "{")) return err_set(e, "%s: the npy header is not a Python dictionary; save the array again with numpy.save", name);
    while (!eat(&s, "}")) {
        bool ok = text(&s, key, sizeof key) && eat(&s, ":");
        if (ok && !strcmp(key, "descr")) {
            if (!text(&s, descr, sizeof descr)) return err_set(e, "%s holds records (a structured dtype); save one array a file", name);
            for (const char *c = descr; *c; c++) ok = ok && *c > ' ' && *c < 127; /* it may be said in a sentence */
        } else if (ok && !strcmp(key, "fortran_order")) {
            have_order = true;
            if (eat(&s, "True")) h->fortran = true;
            else ok = eat(&s, "False");
        } else if (ok && !strcmp(key, "shape")) have_shape = ok = !parse_shape(&s, h);
        else ok = false;
        if (!ok) return err_set(e, "%s: the npy header is damaged near byte %zu; save the array again with numpy.save", name, (size_t)(s.p - p));
        eat(&s, ",");
    }
    if (!*descr || !have_order || !have_shape)
        return err_set(e, "%s: the npy header lacks descr, fortran_order or shape; save the array again with numpy.save", name);
    if (strchr(descr, 'O'))
        return err_set(
            e, "%s holds Python objects (dtype object), which would run code when read; save it with a numeric dtype: x.astype(numpy.float32)", name);
    h->order = descr[0];
    h->kind = descr[1];
    h->size = descr[1] ? atoi(descr + 2) : 0;
    bool known = (h->kind == 'u' && (h->size == 1 || h->size == 2 || h->size == 4)) ||
                 (h->kind == 'i' && (h->size == 1 || h->size == 2 || h->size == 4 || h->size == 8)) ||
                 (h->kind == 'f' && (h->size == 2 || h->size == 4 || h->size == 8)) || (h->kind == 'b' && h->size == 1) ||
                 (h->kind == 'U' && h->size > 0 && h->size <= MAX_TEXT) || (h->kind == 'S' && h->size > 0 && h->size <= MAX_TEXT);
    if (!known || !strchr("<>|=", h->order))
        return err_set(e, "%s has dtype \"%s\"; u1 u2 u4 i1 i2 i4 i8 f2 f4 f8 b1 and texts can be read: x.astype(numpy.float32)", name, descr);
    if (h->kind == 'U') h->size *= 4; /* bytes of a code point */
    return 0;
}

static uint64_t raw(const unsigned char *p, int size, bool swap) {
    uint64_t v = 0;
    for (int i = 0; i < size; i++) v |= (uint64_t)p[i] << 8 * (swap ? size - 1 - i : i);
    return v;
}

static double half(uint16_t h) {
    int x = h >> 10 & 31, m = h & 1023;
    double v = x == 31 ? (m ? NAN : INFINITY) : x ? ldexp(1024 + m, x - 25) : ldexp(m, -24);
    return h & 0x8000 ? -v : v;
}

static int convert(struct column *c, const struct head *h, const unsigned char *p, int64_t n, const char *name, struct err *e) {
    bool swap = h->order == '>';
    if (!(c->data = mem_try((size_t)(n ? n : 1), c->type == COL_U8 ? 1 : 4, name, e))) return -1;
    if (c->type == COL_U8 || (c->type == COL_F32 && h->size == 4 && !swap)) memcpy(c->data, p, (size_t)n * (size_t)h->size);
    else
        for (int64_t i = 0; i < n; i++) {
            uint64_t u = raw(p + i * h->size, h->size, swap);
            if (h->kind == 'f') {
                float f;
                double d;
                uint32_t w = (uint32_t)u;
                if (h->size == 2) f = (float)half((uint16_t)u);
                else if (h->size == 4) memcpy(&f, &w, 4);
                else memcpy(&d, &u, 8), f = (float)d;
                ((float *)c->data)[i] = f;
            } else {
                int64_t v = h->kind == 'u' ? (int64_t)u : h->size == 8 ? (int64_t)u : (int64_t)(u << (64 - 8 * h->size)) >> (64 - 8 * h->size);
                if (v < INT32_MIN || v > INT32_MAX)
                    return err_set(e, "%s: value %lld (number %lld) does not fit into 32 bits; save it as float32", name, (long long)v, (long long)i + 1);
                ((int32_t *)c->data)[i] = (int32_t)v;
            }
        }
    for (int64_t i = 0; c->type == COL_F32 && i < n; i++)
        if (!isfinite(((float *)c->data)[i]))
            return err_set(e, "%s: value %lld of example %lld is %s; replace it before saving", name, (long long)(i % c->width) + 1,
                (long long)(i / c->width) + 1, isnan(((float *)c->data)[i]) ? "NaN" : "infinite");
    return 0;
}

/* Texts of one length with NULs behind them, of code points ('U') or bytes. */
static int texts(struct column *c, const struct head *h, const unsigned char *p, int64_t n, const char *name, struct err *e) {
    struct cells cells = {0};
    int each = h->kind == 'U' ? 4 : 1;
    for (int64_t i = 0; i < n; i++, p += h->size) {
        for (int k = 0; k < h->size; k += each) {
            char u[4];
            uint32_t cp = (uint32_t)raw(p + k, each, h->order == '>');
            if (!cp) break;
            if (each == 1) cells_add(&cells, p + k, 1);
            else if (cp <= 0x10ffff && (cp & ~0x7ffu) != 0xd800) cells_add(&cells, u, utf8_put(u, cp));
            else {
                cells_release(&cells);
                return err_set(e, "%s: example %lld holds the number %u, which is no character; the file is damaged", name, (long long)i + 1, cp);
            }
        }
        cells_end_cell(&cells);
    }
    cells_into(&cells, c);
    c->type = COL_TEXT;
    int64_t bad = text_bad_byte(c->data, (size_t)c->offset[n]);
    return bad < 0 ? 0 : err_set(e, "%s holds bytes that are not UTF-8 (0x%02x); save it with dtype str", name, ((unsigned char *)c->data)[bad]);
}

/* Columns first, as the values of a pandas frame often lie: into the order of rows. */
static unsigned char *rows_first(const struct head *h, const unsigned char *p, int64_t count, const char *name, struct err *e) {
    unsigned char *out = mem_try((size_t)count, (size_t)h->size, name, e);
    int64_t at[8] = {0};
    for (int64_t i = 0; out && i < count; i++) {
        int64_t from = 0;
        for (int d = h->ndim - 1; d >= 0; d--) from = from * h->dim[d] + at[d];
        memcpy(out + i * h->size, p + from * h->size, (size_t)h->size);
        for (int d = h->ndim - 1; d >= 0 && ++at[d] == h->dim[d]; d--) at[d] = 0;
    }
    return out;
}

/* (N, H, W, C) with 1, 3 or 4 channels last becomes (N, C, H, W). */
static int channels_first(struct column *c, int64_t n, const char *name, struct err *e) {
    int64_t h = c->dim[0], w = c->dim[1], ch = c->dim[2];
    if (c->ndim != 3 || (ch != 1 && ch != 3 && ch != 4) || h == 1 || h == 3 || h == 4) return 0;
    size_t each = c->type == COL_U8 ? 1 : 4;
    char *out = mem_try((size_t)(n * c->width), each, name, e), *in = c->data;
    if (!out) return -1;
    for (int64_t i = 0; i < n; i++)
        for (int64_t y = 0; y < h * w; y++)
            for (int64_t k = 0; k < ch; k++) memcpy(out + (size_t)(i * c->width + k * h * w + y) * each, in + (size_t)(i * c->width + y * ch + k) * each, each);
    free(c->data);
    c->data = out;
    c->dim[0] = ch, c->dim[1] = h, c->dim[2] = w;
    return 0;
}

int npy_read_column(const char *name, const unsigned char *p, size_t n, struct column *c, int64_t *rows, struct err *e) {
    if (n < 10 || memcmp(p, "\x93NUMPY", 6)) return err_set(e, "%s is not an npy array: it does not begin with \\x93NUMPY", name);
    size_t len = p[8] | (size_t)p[9] << 8, at = 10;
    if (p[6] < 1 || p[6] > 3) return err_set(e, "%s is of npy version %d; 1 to 3 can be read", name, p[6]);
    if (p[6] > 1) {
        if (n < 12) return err_set(e, "%s ends inside its header; fetch it again", name);
        len |= (size_t)p[10] << 16 | (size_t)p[11] << 24;
        at = 12;
    }
    if (len > n - at) return err_set(e, "%s: the header says it is %zu bytes long, but the file has only %zu; fetch it again", name, len, n - at);
    if (len > 65536) return err_set(e, "%s: a header of %zu bytes; an array of numbers needs less than 65536", name, len);
    struct head h = {0};
    if (parse_head(name, (const char *)p + at, len, &h, e)) return -1;
    at += len;
    if (h.ndim < 1 || h.ndim > 5) return err_set(e, "%s has %d dimensions; 1 (labels) to 5 can be read, examples first", name, h.ndim);
    int64_t count = 1, bytes;
    bool fits = true;
    for (int i = 0; i < h.ndim; i++) {
        if (!h.dim[i]) return err_set(e, "%s holds no values: size %d of its shape is 0", name, i + 1);
        fits = fits && size_mul_i64(count, h.dim[i], &count);
    }
    if (!fits || !size_mul_i64(count, h.size, &bytes) || bytes > (int64_t)(n - at))
        return err_set(e, "%s is cut short: its shape needs more than the %zu bytes that follow the header; fetch it again", name, n - at);
    if (bytes < (int64_t)(n - at))
        return err_set(e, "%s has %lld bytes after its values; the shape does not fit the file", name, (long long)((int64_t)(n - at) - bytes));
    bool text = h.kind == 'U' || h.kind == 'S';
    if (text && count != h.dim[0]) return err_set(e, "%s holds %lld texts an example; one can be read", name, (long long)(count / h.dim[0]));
    *rows = h.dim[0];
    if (text) return texts(c, &h, p + at, count, name, e);
    c->type = h.size == 1 && (h.kind == 'u' || h.kind == 'b') ? COL_U8 : h.kind == 'f' ? COL_F32 : COL_I32;
    c->width = count / h.dim[0];
    if (h.ndim == 3) c->dim[c->ndim++] = 1; /* (N, H, W) are images of one channel */
    for (int i = 1; i < h.ndim; i++) c->dim[c->ndim++] = h.dim[i];
    unsigned char *turned = h.fortran && h.ndim > 1 ? rows_first(&h, p + at, count, name, e) : NULL;
    if (h.fortran && h.ndim > 1 && !turned) return -1;
    int r = convert(c, &h, turned ? turned : p + at, count, name, e);
    free(turned);
    return r || (h.ndim == 4 && channels_first(c, *rows, name, e)) ? -1 : 0;
}

static bool npy_probe(const struct bytes *h) { return h->n >= 6 && !memcmp(h->p, "\x93NUMPY", 6); }

static int npy_read(const struct bytes *in, const struct read_opts *o, struct table *out, struct err *e) {
    (void)o;
    struct column *c = table_add(out, "x", COL_F32);
    return npy_read_column(in->name, in->p, in->n, c, &out->n, e);
}

static const char *const ext[] = {".npy", NULL};
const struct format format_npy = {"npy", "one NumPy array", ext, npy_probe, npy_read, NULL};
