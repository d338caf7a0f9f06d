/* CSV and TSV: separator and header guessed or given, RFC 4180 quotes (a cell may span lines, "" is a quote).
 * A tab-separated file has no quotes unless asked for. Every row must have as many cells as the first. */
#include "datasets/formats/format.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "datasets/tabular.h"
#include "src/base/mem.h"

#define APART_ROWS 1000
#define APART_VALUES 100
#define APART_COLUMNS 64
struct field {
    const char *p;
    size_t n;
    bool doubled; /* holds "" pairs */
};
struct scan {
    const char *p, *end, *name;
    int sep;
    bool quote, blanks; /* sep is a blank: see skip_blanks */
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
    if (s->p < s->end && *s->p != s->sep && *s->p != '\n' && *s->p != '\r' && !(s->blanks && *s->p == '\t'))
        return err_set(e, "%s line %lld: \"%c\" after the closing quote of cell %d; double the quotes that belong to the text", s->name,
            (long long)s->next_line, (unsigned char)*s->p < 0x20 || (unsigned char)*s->p > 0x7e ? '?' : *s->p, s->n);
    return 0;
}

/* Where blanks separate, any number of them, tabs too, is one separator, and none at the ends of a row. */
static void skip_blanks(struct scan *s) {
    while (s->blanks && s->p < s->end && (*s->p == ' ' || *s->p == '\t')) s->p++;
    if (s->blanks && s->p < s->end && *s->p == '\r' && s->p + 1 < s->end && s->p[1] == '\n') s->p++;
}

/* Next row that is not blank into s->f[0 .. s->n). Returns 1, 0 at the end, -1. */
static int scan_row(struct scan *s, struct err *e) {
    s->n = 0;
    while (s->p < s->end && (*s->p == '\n' || *s->p == '\r')) s->next_line += *s->p++ == '\n';
    if (s->p == s->end) return 0;
    s->line = s->next_line;
    skip_blanks(s);
    for (;;) {
        if (s->n == FORMAT_MAX_COLUMNS)
            return err_set(e, "%s line %lld has more than %d columns; give the separator with sep=", s->name, (long long)s->line, FORMAT_MAX_COLUMNS);
        struct field *f = add_field(s);
        *f = (struct field){s->p, 0, false};
        if (s->quote && s->p < s->end && *s->p == '"') {
            if (quoted(s, f, e)) return -1;
        } else {
            const char *p = s->p;
            while (p < s->end && *p != s->sep && *p != '\n' && !(s->blanks && *p == '\t')) p++;
            f->n = (size_t)(p - s->p);
            s->p = p;
            if (f->n && (p == s->end || *p == '\n') && p[-1] == '\r') f->n--;
        }
        skip_blanks(s);
        if (s->p < s->end && *s->p == '\r' && (s->p + 1 == s->end || s->p[1] == '\n')) s->p++;
        if (s->p == s->end) return 1;
        if (*s->p == '\n') {
            s->p++;
            s->next_line++;
            return 1;
        }
        if (s->blanks) continue;
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
    memcpy(tmp, f->p, f->n); /* strtod passes over blanks before it */
    tmp[f->n] = 0;
    strtod(tmp, &end);
    return end != tmp && !*end;
}

/* Rows of as many numbers or words, most of them numbers, between blanks: what numpy and many instruments write. */
static bool guess_blanks(const struct bytes *t, const char *name) {
    struct scan s = {.p = (const char *)t->p, .end = (const char *)t->p + t->n, .name = name, .sep = ' ', .blanks = true, .quote = true, .next_line = 1};
    int n = 0, rows = 0, numbers = 0, cells = 0;
    bool even = true;
    while (even && rows < 50 && scan_row(&s, NULL) == 1) {
        even = rows ? s.n == n : s.n > 1;
        n = s.n;
        for (int i = 0; rows && i < s.n; i++) numbers += field_number(&s, &s.f[i]), cells++;
        rows++;
    }
    free(s.f);
    return even && rows > 2 && numbers * 2 > cells;
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
    return !count[best] && guess_blanks(t, name) ? ' ' : seps[best];
}

/* 0, 1, 2 .. as pandas names columns that have no names, maybe behind the blank name of the numbers of the rows. */
static bool counts_up(const struct scan *s) {
    int from = s->f[0].n == 0;
    char tmp[16];
    for (int i = from; i < s->n; i++) {
        int n = snprintf(tmp, sizeof tmp, "%d", i - from);
        if (s->f[i].n != (size_t)n || memcmp(s->f[i].p, tmp, s->f[i].n) != 0) return false;
    }
    return s->n - from > 2;
}

static bool same_cell(const struct field *a, const struct field *b) { return a->n == b->n && !memcmp(a->p, b->p, a->n); }

/* Words in the first row that no later row has, one of them over a column of a few values that come again and again. s: with the first row read. */
static bool apart(struct scan s) {
    struct scan at = s;
    int n = s.n < APART_COLUMNS ? s.n : APART_COLUMNS, rows = 0, *values = X_NEW(int, (size_t)n), again = 0;
    struct field *seen = X_NEW(struct field, (size_t)n * APART_VALUES);
    bool yes = true;
    at.f = NULL, at.cap = 0;
    for (int c = 0; c < n; c++) yes &= s.f[c].n > 0 || c == 0;
    for (; yes && rows < APART_ROWS && scan_row(&at, NULL) == 1; rows++) {
        yes = at.n == s.n;
        for (int c = 0; yes && c < n; c++) {
            struct field *have = seen + (size_t)c * APART_VALUES;
            int k = 0;
            yes = !same_cell(&at.f[c], &s.f[c]);
            if (values[c] > APART_VALUES) continue;
            while (k < values[c] && !same_cell(&have[k], &at.f[c])) k++;
            if (k == values[c] && values[c]++ < APART_VALUES) have[k] = at.f[c];
        }
    }
    for (int c = 0; c < n; c++) again += values[c] <= APART_VALUES && values[c] * 3 <= rows;
    free(at.f);
    free(seen);
    free(values);
    return yes && again > 0 && rows >= 10;
}

/* A header is a first row with a known name, a name that was asked for, words over a column of numbers, of which some may be missing, or words that stand
 * apart. */
static bool guess_header(struct scan s, const struct read_opts *o) {
    static const char *const known[] = {
        "text", "label", "category", "class", "sentence", "target", "review", "id", "y", "intent", "query", "title", "text_a", NULL};
    s.f = NULL, s.cap = 0;
    struct scan begin = s;
    bool yes = false, any_number = false;
    if (scan_row(&s, NULL) == 1) {
        int n = s.n;
        bool *word = X_NEW(bool, (size_t)n), counted = counts_up(&s);
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
        any_number &= !counted;
        yes |= counted && rows;
        free(seen);
        free(word);
        free(numbers);
    }
    free(s.f);
    if (yes || any_number) return yes && !any_number;
    yes = scan_row(&begin, NULL) == 1 && apart(begin);
    free(begin.f);
    return yes;
}

static int header_row(struct scan *s, struct table *out, struct err *e) {
    out->blank_first = s->n > 1 && !s->f[0].n;
    for (int i = 0; i < s->n; i++) {
        struct field f = s->f[i];
        while (f.n && *f.p == ' ') f.p++, f.n--; /* "a, b" */
        while (f.n && f.p[f.n - 1] == ' ') f.n--;
        char *name = mem_strn(f.p, f.n), tmp[16];
        if (i || !counts_up(s)) snprintf(tmp, sizeof tmp, "%d", i + 1);
        else *tmp = 0; /* "1" is the name of another one */
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
    s.blanks = s.sep == ' ';
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
