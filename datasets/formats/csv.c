/* CSV and TSV: separator and header guessed or given, RFC 4180 quotes (a cell may span lines, "" is a quote).
 * A tab-separated file has no quotes unless asked for. Every row must have as many cells as the first. */
#include "datasets/formats/format.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "datasets/tabular.h"
#include "src/base/mem.h"

struct field {
    const char *p;
    size_t n;
    bool doubled; /* holds "" pairs */
};
struct scan {
    const char *p, *end, *name;
    int sep;
    bool quote;
    int64_t line; /* of the row that was read last */
    int64_t next_line;
    struct field *f;
    int n, cap;
};

static struct field *add_field(struct scan *s) {
    if (s->n == s->cap) {
        s->cap = s->cap ? 2 * s->cap : 16;
        s->f = X_GROW(s->f, struct field, (size_t)s->cap);
    }
    return &s->f[s->n++];
}

static int quoted(struct scan *s, struct field *f, struct err *e) {
    const char *p = s->p + 1, *begin = p;
    for (;; p += 2) {
        while (p < s->end && *p != '"') s->next_line += *p++ == '\n';
        if (p == s->end)
            return err_set(
                e, "%s line %lld: a quote (\") is opened and never closed; close it, or double quotes that belong to the text", s->name, (long long)s->line);
        if (p + 1 < s->end && p[1] == '"') f->doubled = true;
        else break;
    }
    f->p = begin;
    f->n = (size_t)(p - begin);
    s->p = p + 1;
    if (s->p < s->end && *s->p != s->sep && *s->p != '\n' && *s->p != '\r')
        return err_set(e, "%s line %lld: \"%c\" after the closing quote of cell %d; double the quotes that belong to the text", s->name,
            (long long)s->next_line, (unsigned char)*s->p < 0x20 || (unsigned char)*s->p > 0x7e ? '?' : *s->p, s->n);
    return 0;
}

/* Next row that is not blank into s->f[0 .. s->n). Returns 1, 0 at the end, -1. */
static int scan_row(struct scan *s, struct err *e) {
    s->n = 0;
    while (s->p < s->end && (*s->p == '\n' || *s->p == '\r')) s->next_line += *s->p++ == '\n';
    if (s->p == s->end) return 0;
    s->line = s->next_line;
    for (;;) {
        if (s->n == FORMAT_MAX_COLUMNS)
            return err_set(e, "%s line %lld has more than %d columns; give the separator with sep=", s->name, (long long)s->line, FORMAT_MAX_COLUMNS);
        struct field *f = add_field(s);
        *f = (struct field){s->p, 0, false};
        if (s->quote && s->p < s->end && *s->p == '"') {
            if (quoted(s, f, e)) return -1;
        } else {
            const char *p = s->p;
            while (p < s->end && *p != s->sep && *p != '\n') p++;
            f->n = (size_t)(p - s->p);
            s->p = p;
            if (f->n && (p == s->end || *p == '\n') && p[-1] == '\r') f->n--;
        }
        if (s->p < s->end && *s->p == '\r' && (s->p + 1 == s->end || s->p[1] == '\n')) s->p++;
        if (s->p == s->end) return 1;
        if (*s->p == '\n') {
            s->p++;
            s->next_line++;
            return 1;
        }
        if (*s->p != s->sep) return err_set(e, "%s line %lld: a carriage return inside a row; convert the line ends to LF", s->name, (long long)s->line);
        s->p++;
    }
}

static bool field_is(const struct field *f, const char *s) { return f->n == strlen(s) && !strncasecmp(f->p, s, f->n); }

/* "1,5" where columns are separated by semicolons: the comma of the decimals, as spreadsheets write it where those are the habit. NULL: it is none. */
static const char *decimal_comma(const struct scan *s, const struct field *f) {
    const char *p = f->p, *end = f->p + f->n, *comma = NULL;
    if (s->sep != ';' || f->doubled) return NULL;
    if (p < end && (*p == '-' || *p == '+')) p++;
    for (const char *first = p; p < end; p++) {
        if (*p == ',' && !comma && p > first) comma = p;
        else if (*p < '0' || *p > '9') return NULL;
    }
    return comma && comma + 1 < end ? comma : NULL;
}

static bool field_number(const struct scan *s, const struct field *f) {
    char tmp[64], *end;
    if (!f->n || f->n >= sizeof tmp) return false;
    if (decimal_comma(s, f)) return true;
    memcpy(tmp, f->p, f->n);
    tmp[f->n] = 0;
    strtod(tmp, &end);
    return end != tmp && !*end;
}

static int guess_sep(const struct bytes *t, const char *name) {
    size_t n = strlen(name);
    if (n > 3 && (!strcasecmp(name + n - 3, ".gz") || !strcasecmp(name + n - 3, ".xz"))) n -= 3;
    if (n > 4 && (!strncasecmp(name + n - 4, ".tsv", 4) || !strncasecmp(name + n - 4, ".tab", 4))) return '\t';
    static const char seps[] = ",\t;|";
    size_t count[sizeof seps] = {0};
    bool in = false;
    for (size_t i = 0; i < t->n && (in || t->p[i] != '\n'); i++) {
        if (t->p[i] == '"') in = !in;
        const char *c = in || !t->p[i] ? NULL : strchr(seps, t->p[i]);
        if (c) count[c - seps]++;
    }
    if (count[1]) return '\t';
    int best = 0;
    for (int i = 1; i < 4; i++)
        if (count[i] > count[best]) best = i;
    return seps[best];
}

/* A header is a first row with a known name, a name that was asked for, or words over a column of numbers, of which some may be missing. */
static bool guess_header(struct scan s, const struct read_opts *o) {
    static const char *const known[] = {
        "text", "label", "category", "class", "sentence", "target", "review", "id", "y", "intent", "query", "title", "text_a", NULL};
    s.f = NULL, s.cap = 0;
    bool yes = false, any_number = false;
    if (scan_row(&s, NULL) == 1) {
        int n = s.n;
        bool *word = X_NEW(bool, (size_t)n);
        for (int i = 0; i < n; i++) {
            for (const char *const *k = known; *k; k++) yes |= field_is(&s.f[i], *k);
            for (const char *const *k = o ? o->want : NULL; k && *k; k++) yes |= field_is(&s.f[i], *k);
            any_number |= field_number(&s, &s.f[i]);
            word[i] = s.f[i].n && !field_number(&s, &s.f[i]);
        }
        int rows = 0;
        bool *numbers = X_NEW(bool, (size_t)n);
        int *seen = X_NEW(int, (size_t)n);
        memset(numbers, 1, (size_t)n);
        while (rows < 20 && scan_row(&s, NULL) == 1 && s.n == n) {
            rows++;
            for (int i = 0; i < n; i++) {
                bool is = field_number(&s, &s.f[i]);
                numbers[i] &= is || tabular_missing(s.f[i].p, s.f[i].n);
                seen[i] += is;
            }
        }
        for (int i = 0; i < n && rows && !any_number; i++) yes |= word[i] && numbers[i] && seen[i];
        free(seen);
        free(word);
        free(numbers);
    }
    free(s.f);
    return yes && !any_number;
}

static int header_row(struct scan *s, struct table *out, struct err *e) {
    for (int i = 0; i < s->n; i++) {
        char *name = mem_strn(s->f[i].p, s->f[i].n), tmp[16];
        snprintf(tmp, sizeof tmp, "%d", i + 1);
        int at = *name ? table_find(out, name) : -1;
        if (at >= 0) {
            err_set(e, "%s line %lld: the header names \"%.100s\" twice, columns %d and %d; rename one", s->name, (long long)s->line, name, at + 1, i + 1);
            free(name);
            return -1;
        }
        table_add(out, *name ? name : tmp, COL_TEXT);
        free(name);
    }
    out->named = true;
    return 0;
}

static void add_cell(const struct scan *s, struct cells *c, const struct field *f) {
    const char *comma = decimal_comma(s, f);
    if (comma) {
        cells_add(c, f->p, (size_t)(comma - f->p));
        cells_add(c, ".", 1);
        cells_add(c, comma + 1, (size_t)(f->p + f->n - comma - 1));
    } else if (f->doubled)
        for (const char *p = f->p, *end = p + f->n; p < end;) {
            const char *q = memchr(p, '"', (size_t)(end - p));
            size_t n = q ? (size_t)(q - p) + 1 : (size_t)(end - p);
            cells_add(c, p, n);
            p += n + (q != NULL);
        }
    else cells_add(c, f->p, f->n);
    cells_end_cell(c);
}

static int read_rows(struct scan *s, struct table *out, struct cells *cells, const struct read_opts *o, struct err *e) {
    size_t cap = 0;
    int r;
    while ((r = scan_row(s, e)) == 1) {
        if (s->n != out->n_col)
            return err_set(e, "%s line %lld: %d column%s instead of %d (it begins \"%.*s\"); quote cells that hold the separator, or give sep=", s->name,
                (long long)s->line, s->n, s->n == 1 ? "" : "s", out->n_col, (int)(s->f[0].n < 40 ? s->f[0].n : 40), s->f[0].p);
        if ((size_t)out->n == cap) {
            cap = cap ? 2 * cap : 256;
            out->line = X_GROW(out->line, int32_t, cap);
        }
        out->line[out->n++] = s->line > INT32_MAX ? INT32_MAX : (int32_t)s->line;
        for (int i = 0; i < s->n; i++) add_cell(s, &cells[i], &s->f[i]);
        if (!(out->n & 4095) && o && o->progress && o->progress(o->ctx, s->name, -1)) return err_code(e, ERR_STOPPED, "reading %s was stopped", s->name);
    }
    return r;
}

static int csv_read(const struct bytes *in, const struct read_opts *o, struct table *out, struct err *e) {
    struct bytes t;
    char *own;
    if (text_open(in, o && o->latin1, &t, &own, e)) return -1;
    if (memchr(t.p, '\r', t.n) && !memchr(t.p, '\n', t.n)) { /* line ends of old Macs */
        char *lf = mem_strn((const char *)t.p, t.n);
        for (char *p = lf; (p = memchr(p, '\r', (size_t)(lf + t.n - p)));) *p++ = '\n';
        free(own);
        t.p = (const unsigned char *)(own = lf);
    }
    struct scan s = {.p = (const char *)t.p, .end = (const char *)t.p + t.n, .name = in->name, .next_line = 1};
    s.sep = o && o->sep ? o->sep : guess_sep(&t, in->name);
    s.quote = o && o->quote >= 0 ? o->quote : s.sep != '\t';
    bool header = o && o->header >= 0 ? o->header : guess_header(s, o);
    struct cells *cells = NULL;
    struct scan first = s;
    int r = scan_row(&first, e);
    if (!r) r = err_set(e, "%s holds only blank lines; it needs at least one row", in->name);
    if (r < 0) goto out;
    r = -1;
    if (header) {
        if (header_row(&first, out, e)) goto out;
        s.p = first.p;
        s.next_line = first.next_line;
    } else
        for (int i = 0; i < first.n; i++) {
            char tmp[16];
            snprintf(tmp, sizeof tmp, "%d", i + 1);
            table_add(out, tmp, COL_TEXT);
        }
    cells = X_NEW(struct cells, (size_t)out->n_col);
    r = read_rows(&s, out, cells, o, e);
    for (int i = 0; i < out->n_col; i++) cells_into(&cells[i], &out->col[i]);
    if (!r && !out->n) r = err_set(e, "%s holds a header and no rows", in->name);
out:
    free(cells);
    free(first.f);
    free(s.f);
    free(own);
    return r;
}

static const char *const ext[] = {".csv", ".tsv", ".tab", ".txt", ".data", NULL};
const struct format format_csv = {"csv", "CSV, TSV or any separated text", ext, NULL, csv_read, NULL, NULL, "sep header quote encoding"};
