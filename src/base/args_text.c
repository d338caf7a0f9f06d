/* The texts around argument tables: the nearest name, words to values, help. No state, any thread. */
#include "config.h"

#include <ctype.h>
#include <locale.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/args_text.h"
#include "src/base/mem.h"

/* ---- nearest name ---- */

#define NAME_MAX_LEN 64

static char fold(char c) { return c == '-' ? '_' : c >= 'A' && c <= 'Z' ? (char)(c + 32) : c; }

/* Damerau-Levenshtein, adjacent swaps only (optimal string alignment). */
static size_t distance(const char *a, size_t n, const char *b, size_t m) {
    unsigned char row[3][NAME_MAX_LEN + 1];
    for (size_t j = 0; j <= m; j++) row[0][j] = (unsigned char)j;
    for (size_t i = 1; i <= n; i++) {
        unsigned char *now = row[i % 3], *last = row[(i - 1) % 3];
        const unsigned char *before = row[(i + 1) % 3];
        now[0] = (unsigned char)i;
        for (size_t j = 1; j <= m; j++) {
            int best = last[j - 1] + (fold(a[i - 1]) != fold(b[j - 1]));
            if (last[j] + 1 < best) best = last[j] + 1;
            if (now[j - 1] + 1 < best) best = now[j - 1] + 1;
            if (i > 1 && j > 1 && fold(a[i - 1]) == fold(b[j - 2]) && fold(a[i - 2]) == fold(b[j - 1]) && before[j - 2] + 1 < best) best = before[j - 2] + 1;
            now[j] = (unsigned char)best;
        }
    }
    return row[n % 3][m];
}

const char *args_nearest(const char *wrong, const char *const *names, size_t n) {
    size_t len = strlen(wrong), best = SIZE_MAX;
    const char *found = NULL;
    if (len < 2 || len > NAME_MAX_LEN) return NULL;
    for (size_t i = 0; i < n; i++) {
        size_t m = strlen(names[i]);
        if (m > NAME_MAX_LEN) continue;
        size_t longer = m > len ? m : len, limit = longer < 3 ? 1 : longer / 3, d = distance(wrong, len, names[i], m);
        if (d <= limit && d < best) best = d, found = names[i];
    }
    return found;
}

/* ---- text to value ---- */

static locale_t c_locale;
static pthread_once_t c_once = PTHREAD_ONCE_INIT;
static void c_make(void) { c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0); }

/* A decimal number as JSON, Lua and C write it; anything else (hex, nan, spaces) is not one. NULL: no. */
static struct val *number(const char *s, size_t n) {
    char t[64];
    size_t i = 0, digits = 0;
    bool whole = true;
    if (n == 0 || n >= sizeof t) return NULL;
    memcpy(t, s, n);
    t[n] = '\0';
    if (t[i] == '-' || t[i] == '+') i++;
    while (isdigit((unsigned char)t[i])) i++, digits++;
    if (t[i] == '.') {
        whole = false;
        i++;
        while (isdigit((unsigned char)t[i])) i++, digits++;
    }
    if (digits && (t[i] == 'e' || t[i] == 'E')) {
        whole = false;
        i++;
        if (t[i] == '-' || t[i] == '+') i++;
        if (!isdigit((unsigned char)t[i])) return NULL;
        while (isdigit((unsigned char)t[i])) i++;
    }
    if (!digits || i != n) return NULL;
    if (whole && digits <= 18) return val_int(strtoll(t, NULL, 10));
    pthread_once(&c_once, c_make);
    double d = strtod_l(t, NULL, c_locale);
    return isfinite(d) ? val_num(d) : NULL;
}

static struct val *word(const char *s, size_t n) {
    struct val *v = number(s, n);
    if (v) return v;
    if (n == 4 && memcmp(s, "true", 4) == 0) return val_bool(true);
    if (n == 5 && memcmp(s, "false", 5) == 0) return val_bool(false);
    if (n == 3 && memcmp(s, "nil", 3) == 0) return val_nil();
    return val_strn(s, n);
}

struct reader {
    const char *p;
};

static void space(struct reader *r) {
    while (*r->p == ' ' || *r->p == '\t' || *r->p == '\n') r->p++;
}

static struct val *value(struct reader *r, int depth);

static struct val *quoted(struct reader *r) {
    struct buf b = BUF_INIT;
    char q = *r->p++;
    while (*r->p && *r->p != q) {
        if (*r->p == '\\' && r->p[1]) r->p++;
        buf_addc(&b, *r->p++);
    }
    struct val *v = *r->p == q ? val_strn(b.data ? b.data : "", b.len) : NULL;
    if (v) r->p++;
    buf_release(&b);
    return v;
}

static struct val *table(struct reader *r, int depth) {
    struct val *t = val_list();
    for (r->p++, space(r); *r->p && *r->p != '}'; space(r)) {
        size_t n = 0;
        while (isalnum((unsigned char)r->p[n]) || r->p[n] == '_') n++;
        size_t eq = n;
        while (r->p[eq] == ' ') eq++;
        char *name = n && !isdigit((unsigned char)r->p[0]) && r->p[eq] == '=' ? mem_strn(r->p, n) : NULL;
        if (name) r->p += eq + 1, space(r);
        struct val *v = value(r, depth + 1);
        if (v && name) val_set(t, name, v);
        else if (v) val_push(t, v);
        free(name);
        space(r);
        if (v && *r->p == ',') r->p++;
        else if (!v || *r->p != '}') break;
    }
    if (*r->p == '}') {
        r->p++;
        return t;
    }
    val_free(t);
    return NULL;
}

/* NULL: not well formed */
static struct val *value(struct reader *r, int depth) {
    if (depth > 32) return NULL;
    if (*r->p == '{') return table(r, depth);
    if (*r->p == '"' || *r->p == '\'') return quoted(r);
    size_t n = 0;
    while (r->p[n] && !strchr(",{}\"' \t\n", r->p[n])) n++;
    if (n == 0) return NULL;
    r->p += n;
    return word(r->p - n, n);
}

struct val *args_text(const char *text) {
    struct reader r = {text};
    if (*text == '{') {
        struct val *v = value(&r, 0);
        if (v && *r.p == '\0') return v;
        val_free(v);
        return val_str(text);
    }
    return word(text, strlen(text));
}

/* ---- help ---- */

static const char *const when_names[] = {"at once", "from the next epoch", "with the next run", "rebuilds the graph"}; /* ORDER enum arg_when */

const char *args_when(const struct arg *a) { return a->flags & ARG_LIVE ? when_names[a->when] : ""; }

void args_about(struct buf *b, const struct arg *a) {
    buf_adds(b, a->help);
    if (a->type != ARG_VAL) buf_adds(b, ": ");
    if (a->type != ARG_VAL) args_allowed(b, a);
    if (a->unit) buf_addf(b, " (%s)", a->unit);
    if (a->def) buf_addf(b, ", default %s", *a->def ? a->def : "empty");
}

void args_help(struct buf *b, const struct kind *k) {
    size_t wide = 0;
    buf_addf(b, "%s - %s\n", k->name, k->help);
    for (const struct arg *a = k->args; a && a->name; a++)
        if (strlen(a->name) > wide) wide = strlen(a->name);
    for (const struct arg *a = k->args; a && a->name; a++) {
        buf_addf(b, "  %-*s  ", (int)wide, a->name);
        args_about(b, a);
        if (a->flags & ARG_REQUIRED) buf_adds(b, ", required");
        if (a->flags & ARG_LIVE) buf_addf(b, ", can be set while a run goes on (%s)", args_when(a));
        buf_addc(b, '\n');
    }
    if (k->example) buf_addf(b, "example: %s\n", k->example);
}
