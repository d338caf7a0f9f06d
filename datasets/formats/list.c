/* The list of formats and what they share: unpacking a file into memory, choosing a reader, tables and their cells.
 * Helper thread; no state. */
#include "datasets/formats/format.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "datasets/formats/image.h"
#include "src/base/io.h"
#include "src/base/mem.h"
#include "src/base/utf8.h"

void table_free(struct table *t) {
    for (int i = 0; i < t->n_col; i++) {
        free(t->col[i].name);
        free(t->col[i].data);
        free(t->col[i].offset);
    }
    if (t->origin)
        for (int64_t i = 0; i < t->n; i++) free(t->origin[i]);
    free(t->origin);
    for (int i = 0; i < t->n_label_name; i++) free(t->label_name[i]);
    free(t->label_name);
    free(t->rows);
    free(t->col);
    free(t->line);
    free(t->file);
    memset(t, 0, sizeof *t);
}

struct column *table_add(struct table *t, const char *name, enum col_type type) {
    t->col = X_GROW(t->col, struct column, (size_t)t->n_col + 1);
    struct column *c = &t->col[t->n_col++];
    *c = (struct column){.name = mem_str(name), .type = type, .scale = 1};
    return c;
}

void table_keep(struct table *t, const int64_t *row, int64_t n) {
    for (int c = 0; c < t->n_col; c++) {
        struct column *x = &t->col[c];
        int64_t to = 0;
        if (x->type != COL_TEXT) BUG("rows of numbers are not left out");
        for (int64_t i = 0; i < n; i++) {
            int64_t from = x->offset[row[i]], k = x->offset[row[i] + 1] - from;
            memmove((char *)x->data + to, (char *)x->data + from, (size_t)k);
            x->offset[i] = to; /* row[i] >= i: what follows is still as it was */
            to += k;
        }
        x->offset[n] = to;
        ((char *)x->data)[to] = 0;
    }
    for (int64_t i = 0; i < n && t->line; i++) t->line[i] = t->line[row[i]];
    for (int64_t i = 0, k = 0; i < t->n && t->origin; i++) {
        if (k < n && row[k] == i) t->origin[k++] = t->origin[i];
        else free(t->origin[i]);
    }
    t->n = n;
}

int table_find(const struct table *t, const char *name) {
    for (int i = 0; i < t->n_col; i++)
        if (!strcmp(t->col[i].name, name)) return i;
    return -1;
}

const char *table_where(const struct table *t, int64_t row, char *out, size_t n) {
    if (t->origin) snprintf(out, n, "%s", t->origin[row]);
    else snprintf(out, n, "%s %s %lld", t->file, t->line ? "line" : "row", t->line ? (long long)t->line[row] : (long long)row + 1);
    return out;
}

const char *table_text(const struct table *t, int col, int64_t row, size_t *n) {
    const struct column *c = &t->col[col];
    *n = (size_t)(c->offset[row + 1] - c->offset[row]);
    return (const char *)c->data + c->offset[row];
}

void cells_add(struct cells *c, const void *p, size_t n) {
    if (c->cap - c->len < n) {
        c->cap = c->cap + c->cap / 2 + n + 256;
        c->data = X_GROW(c->data, char, c->cap);
    }
    if (n) memcpy(c->data + c->len, p, n);
    c->len += n;
}

void cells_end_cell(struct cells *c) {
    if (c->cap_n < c->n + 2) {
        c->cap_n = c->cap_n + c->cap_n / 2 + 64;
        c->offset = X_GROW(c->offset, int64_t, (size_t)c->cap_n);
        c->offset[0] = 0;
    }
    c->offset[++c->n] = (int64_t)c->len;
}

void cells_into(struct cells *c, struct column *out) {
    if (!c->offset) c->offset = X_NEW(int64_t, 1);
    cells_add(c, "", 1); /* so that number readers may look at the byte after the last cell */
    out->data = c->data;
    out->offset = c->offset;
    memset(c, 0, sizeof *c);
}

void cells_release(struct cells *c) {
    free(c->data);
    free(c->offset);
    memset(c, 0, sizeof *c);
}

int64_t text_bad_byte(const unsigned char *p, size_t n) {
    size_t i = 0;
    while (i < n) {
        uint64_t w;
        while (i + 8 <= n && (memcpy(&w, p + i, 8), !(w & 0x8080808080808080u))) i += 8;
        while (i < n && p[i] < 0x80) {
            i++;
            if (!(i & 7)) break;
        }
        while (i < n && p[i] >= 0x80) {
            uint32_t cp;
            size_t k = utf8_next((const char *)p + i, n - i, &cp);
            if (cp & UTF8_BAD) return (int64_t)i;
            i += k;
        }
    }
    return -1;
}

static char *from_latin1(const unsigned char *p, size_t n, size_t *out_n) {
    size_t high = 0;
    for (size_t i = 0; i < n; i++) high += p[i] >> 7;
    char *s = X_NEW(char, n + high + 1), *o = s;
    for (size_t i = 0; i < n; i++)
        if (p[i] < 0x80) *o++ = (char)p[i];
        else {
            *o++ = (char)(0xc0 | p[i] >> 6);
            *o++ = (char)(0x80 | (p[i] & 0x3f));
        }
    *out_n = (size_t)(o - s);
    return s;
}

int text_open(const struct bytes *in, bool latin1, struct bytes *out, char **own, struct err *e) {
    *own = NULL;
    *out = *in;
    if (in->n >= 2 && ((in->p[0] == 0xff && in->p[1] == 0xfe) || (in->p[0] == 0xfe && in->p[1] == 0xff)))
        return err_set(e, "%s is UTF-16 text; convert it first: iconv -f UTF-16 -t UTF-8", in->name);
    if (in->n >= 3 && !memcmp(in->p, "\xef\xbb\xbf", 3)) out->p += 3, out->n -= 3;
    if (!out->n) return err_set(e, "%s is empty; it needs at least one row", in->name);
    const unsigned char *nul = memchr(out->p, 0, out->n);
    if (nul) return err_set(e, "%s holds a NUL byte at offset %zu, so it is not a text file", in->name, (size_t)(nul - in->p));
    if (latin1) {
        size_t n;
        *own = from_latin1(out->p, out->n, &n);
        out->p = (const unsigned char *)*own;
        out->n = n;
        return 0;
    }
    int64_t bad = text_bad_byte(out->p, out->n);
    if (bad < 0) return 0;
    int64_t line = 1;
    for (int64_t i = 0; i < bad; i++) line += out->p[i] == '\n';
    return err_set(e, "%s line %lld is not UTF-8 (byte 0x%02x at offset %lld); give encoding=\"latin1\" or convert the file with iconv", in->name,
        (long long)line, out->p[bad], (long long)bad + (out->p - in->p));
}

/* ---- files ---- */
static size_t bare_len(const char *path) { /* without .gz .xz */
    size_t n = strlen(path);
    if (n > 3 && (!strcasecmp(path + n - 3, ".gz") || !strcasecmp(path + n - 3, ".xz"))) n -= 3;
    return n;
}

bool format_ends(const char *path, const char *const *ext, bool packed) {
    size_t n = packed ? bare_len(path) : strlen(path);
    for (const char *const *x = ext; *x; x++) {
        size_t k = strlen(*x);
        if (n > k && !strncasecmp(path + n - k, *x, k)) return true;
    }
    return false;
}

bool format_has_ext(const struct format *f, const char *path) { return format_ends(path, f->ext, true); }

bool format_known_name(const char *path) {
    for (const struct format *const *f = formats; *f; f++)
        if (format_has_ext(*f, path)) return true;
    return false;
}

const struct format *format_find(const char *path, const struct bytes *head) {
    for (const struct format *const *f = formats; *f; f++)
        if ((*f)->read && format_has_ext(*f, path)) return *f;
    for (const struct format *const *f = formats; *f; f++)
        if ((*f)->read && (*f)->probe && (*f)->probe(head)) return *f;
    return &format_csv;
}

static int slurp(const char *path, const struct read_opts *o, unsigned char **out, size_t *n, struct err *e) {
    struct io_stream *s = io_stream_open(path, e);
    struct stat st;
    if (!s) return -1;
    uint64_t packed = stat(path, &st) == 0 ? (uint64_t)st.st_size : 0;
    size_t cap = 1 << 16, len = 0;
    unsigned char *p = X_NEW(unsigned char, cap);
    for (;;) {
        if (cap - len < 1 << 15) {
            unsigned char *q = realloc(p, cap += cap / 2);
            if (!q) {
                err_set(e, "%s needs more than %zu MiB of memory, which is not there", path, cap >> 20);
                goto fail;
            }
            p = q;
        }
        ssize_t k = io_stream_read(s, p + len, cap - len, e);
        if (k < 0) goto fail;
        if (!k) break;
        len += (size_t)k;
        if (format_bomb(packed, len)) {
            err_set(e, "%s unpacks to more than %d times its %llu bytes, as files do that are made to fill a memory; unpack it first if it is right", path,
                FORMAT_BOMB_RATIO, (unsigned long long)packed);
            goto fail;
        }
        if ((int64_t)len > FORMAT_MAX_BYTES) {
            err_set(e, "%s is larger than %lld MiB unpacked; split it", path, (long long)(FORMAT_MAX_BYTES >> 20));
            goto fail;
        }
        if (o && o->progress && o->progress(o->ctx, path, -1)) {
            err_code(e, ERR_STOPPED, "reading %s was stopped", path);
            goto fail;
        }
    }
    io_stream_close(s);
    *out = p;
    *n = len;
    return 0;
fail:
    io_stream_close(s);
    free(p);
    return -1;
}

static const struct format *choose(const char *path, const struct bytes *in, const struct read_opts *o) {
    if (o && o->stream) return &format_plain;
    const struct format *f = format_find(path, in);
    return o && o->pick && f != &format_tar ? &format_jsonlists : f;
}

/* "1 3:0.5 7:2": a label, then numbers of features with their values to the end of the line, as far as it is looked at. */
static bool libsvm(const struct bytes *in) {
    char head[128], *end;
    size_t n = in->n < sizeof head - 1 ? in->n : sizeof head - 1;
    int pairs = 0;
    memcpy(head, in->p, n);
    head[n] = 0;
    strtod(head, &end);
    for (char *p = end; end > head && *p == ' ' && p[1] >= '0' && p[1] <= '9'; p = end) {
        strtoul(p + 1, &end, 10);
        if (!*end) return pairs > 1;
        if (*end != ':') return false;
        char *value = end + 1;
        strtod(value, &end);
        if (!*end) return pairs > 1;
        if (end == value) return false;
        pairs++;
    }
    return pairs > 0 && (*end == '\n' || *end == '\r' || (*end == ' ' && (end[1] == '\n' || end[1] == '\r')));
}

const char *format_foreign(const struct bytes *in) {
#define PICTURE ": PNG, JPEG, PPM and PGM are read, convert it, with ImageMagick's mogrify -format png for example"
#define ARFF "an ARFF file: remove what stands before the line @data and give the columns by their numbers, or write it as CSV"
#define PANDAS(read) "; write it as CSV, in Python: pandas.read_" read ".to_csv(\"data.csv\", index=False)"
    static const struct {
        const char *magic;
        size_t n;
        const char *what;
    } row[] = {{"PAR1\x15", 5, "a Parquet file" PANDAS("parquet(..)")}, {"ARROW1\0", 7, "a Feather file" PANDAS("feather(..)")},
        {"\x89HDF", 4, "an HDF5 file" PANDAS("hdf(..)") ", or its arrays as npz"}, {"\xd0\xcf\x11\xe0", 4, "an Excel file: save it as CSV"},
        {"SQLite format 3", 15, "an SQLite database: write the table as CSV, with sqlite3 -header -csv FILE \"select * from TABLE\""},
        {"\x80\4\x95", 3, "a Python pickle" PANDAS("pickle(..)")}, {"\x80\5\x95", 3, "a Python pickle" PANDAS("pickle(..)")},
        {"BZh91AY&SY", 10, "packed with bzip2: unpack it with bunzip2, or pack it with gzip or xz"},
        {"\x28\xb5\x2f\xfd", 4, "packed with zstd: unpack it with unzstd, or pack it with gzip or xz"},
        {"7z\xbc\xaf", 4, "a 7z archive: unpack it, or make a tar archive of it"}, {"Rar!\x1a", 5, "a RAR archive: unpack it, or make a tar archive of it"},
        {"GIF87a", 6, "a GIF picture" PICTURE}, {"GIF89a", 6, "a GIF picture" PICTURE}, {"II*\0", 4, "a TIFF picture" PICTURE},
        {"MM\0*", 4, "a TIFF picture" PICTURE}, {"%PDF-", 5, "a PDF document: take the text out, with pdftotext"}};
    for (size_t i = 0; i < LEN(row); i++)
        if (in->n >= row[i].n && !memcmp(in->p, row[i].magic, row[i].n)) return row[i].what;
    if (in->n >= 12 && !memcmp(in->p, "RIFF", 4) && !memcmp(in->p + 8, "WEBP", 4)) return "a WebP picture" PICTURE;
    if (libsvm(in))
        return "a LIBSVM file; write it as npz, in Python: X, y = sklearn.datasets.load_svmlight_file(..); numpy.savez(\"data.npz\", X=X.toarray(), y=y)";
    if (in->n >= 14 && !memcmp(in->p, "BM", 2) && !memcmp(in->p + 6, "\0\0\0\0", 4)) return "a BMP picture" PICTURE;
    if (in->n < 30 || memcmp(in->p, "PK\3\4", 4)) return NULL;
    static const char *const office[] = {"[Content_Types].xml", "docProps/", "xl/", "mimetype"}; /* the first member */
    for (size_t i = 0; i < LEN(office); i++)
        if (in->n >= 30 + strlen(office[i]) && !memcmp(in->p + 30, office[i], strlen(office[i])))
            return "an Excel file or another document of an office program: save it as CSV";
    return "a zip archive: unpack it, or make a tar archive of it";
}

int format_read(const char *path, const struct read_opts *o, struct table *out, struct err *e) {
    memset(out, 0, sizeof *out);
    if (io_is_dir(path)) {
        const struct format *d = imagedir_is(path) ? &format_imagedir : &format_textdir;
        if (d->read_dir(path, o, out, e)) return table_free(out), -1;
        out->format = d;
        return 0;
    }
    struct bytes in = {path, NULL, 0};
    unsigned char *p;
    if (slurp(path, o, &p, &in.n, e)) return -1;
    in.p = p;
    int r = -1;
    const struct format *f = choose(path, &in, o);
    const char *other = f == &format_csv || f == &format_plain || f == &format_jsonl ? format_foreign(&in) : NULL;
    if (!in.n) err_set(e, "%s is empty", path);
    else if (other) err_set(e, "%s is %s", path, other);
    else r = f->read(&in, o, out, e);
    free(p);
    if (!r && !out->n && !(o && o->optional)) r = err_set(e, "%s holds no rows", path);
    if (!r && f->beside) r = f->beside(path, out, e);
    if (r) return table_free(out), r;
    if (!out->file) out->file = mem_str(path);
    out->format = f;
    return 0;
}

const struct format *const formats[] = {&format_idx, &format_npz, &format_npy, &format_jsonl, &format_cifar, &format_image, &format_sound, &format_tar,
    &format_csv, &format_textdir, &format_imagedir, &format_plain, NULL};
