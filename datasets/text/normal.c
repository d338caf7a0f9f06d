/* Normalising passes: BERT's cleaning, spaces around ideographs, decomposition without marks, lower case; the Unicode forms by
 * utf8proc. ASCII runs through a table; the rest a code point at a time. No state, any thread. */
#include <stdlib.h>
#include <string.h>

#include <utf8proc.h>

#include "datasets/text/subword.h"
#include "datasets/text/unicode.h"
#include "src/base/utf8.h"

#define RUN 128 /* marks that are put into canonical order together */

struct run {
    utf8proc_int32_t cp[RUN];
    int n;
};

static void put(struct buf *out, uint32_t cp) {
    char u[4];
    buf_add(out, u, utf8_put(u, cp));
}

static void emit(unsigned flags, uint32_t cp, struct buf *out) {
    if (flags & NORMAL_STRIP && unicode_mark(cp)) return;
    if (flags & NORMAL_LOWER) {
        if (cp == 0x130) {
            buf_adds(out, "i\xcc\x87");
            return;
        }
        cp = (uint32_t)utf8proc_tolower((utf8proc_int32_t)cp);
    }
    put(out, cp);
}

static int combining(utf8proc_int32_t cp) { return utf8proc_get_property(cp)->combining_class; }

/* The run holds a starter and what combines with it, in canonical order after this. */
static void flush(unsigned flags, struct run *r, struct buf *out) {
    for (int i = 1; i < r->n; i++) {
        utf8proc_int32_t cp = r->cp[i];
        int c = combining(cp), k = i;
        for (; c && k > 0 && combining(r->cp[k - 1]) > c; k--) r->cp[k] = r->cp[k - 1];
        r->cp[k] = cp;
    }
    for (int i = 0; i < r->n; i++) emit(flags, (uint32_t)r->cp[i], out);
    r->n = 0;
}

static void decomposed(unsigned flags, uint32_t cp, struct run *r, struct buf *out) {
    utf8proc_int32_t d[32];
    int boundary = 0;
    utf8proc_ssize_t n = utf8proc_decompose_char((utf8proc_int32_t)cp, d, 32, UTF8PROC_DECOMPOSE | UTF8PROC_STABLE, &boundary);
    if (n < 1 || n > 32) n = 1, d[0] = (utf8proc_int32_t)cp;
    for (utf8proc_ssize_t i = 0; i < n; i++) {
        if (r->n == RUN || (r->n && !combining(d[i]))) flush(flags, r, out);
        r->cp[r->n++] = d[i];
    }
}

static size_t ascii_run(unsigned flags, const unsigned char *s, size_t n, struct buf *out) {
    size_t i = 0;
    buf_reserve(out, n + 1);
    char *o = out->data + out->len;
    bool clean = flags & NORMAL_CLEAN, lower = flags & NORMAL_LOWER;
    for (; i < n && s[i] < 0x80; i++) {
        unsigned char c = s[i];
        if (c >= 'A' && c <= 'Z' && lower) c += 32;
        else if (clean && (c < ' ' || c == 0x7f)) {
            if (c != '\t' && c != '\n' && c != '\r') continue;
            c = ' ';
        }
        *o++ = (char)c;
    }
    *o = 0;
    out->len = (size_t)(o - out->data);
    return i;
}

static void whole(unsigned flags, const char *s, size_t n, struct buf *out) {
    int form = flags & NORMAL_NFC    ? UTF8PROC_COMPOSE
               : flags & NORMAL_NFD  ? UTF8PROC_DECOMPOSE
               : flags & NORMAL_NFKC ? UTF8PROC_COMPOSE | UTF8PROC_COMPAT
                                     : UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT;
    utf8proc_uint8_t *p = NULL;
    utf8proc_ssize_t k = utf8proc_map((const utf8proc_uint8_t *)s, (utf8proc_ssize_t)n, &p, (utf8proc_option_t)(form | UTF8PROC_STABLE));
    if (k >= 0) buf_add(out, p, (size_t)k);
    else buf_add(out, s, n);
    free(p);
}

void normal_pass(unsigned flags, const char *s, size_t n, struct buf *out) {
    if (flags & (NORMAL_NFC | NORMAL_NFD | NORMAL_NFKC | NORMAL_NFKD)) {
        whole(flags, s, n, out);
        return;
    }
    struct run r = {.n = 0};
    for (size_t i = 0; i < n;) {
        if ((unsigned char)s[i] < 0x80) {
            if (r.n) flush(flags, &r, out);
            i += ascii_run(flags, (const unsigned char *)s + i, n - i, out);
            continue;
        }
        uint32_t cp;
        i += utf8_next(s + i, n - i, &cp);
        if (cp & UTF8_BAD) cp = 0xfffd;
        if (flags & NORMAL_CLEAN) {
            if (cp == 0xfffd || unicode_control(cp)) continue;
            if (unicode_space(cp)) cp = ' ';
        }
        bool alone = flags & NORMAL_CJK && unicode_cjk(cp);
        if (alone) {
            if (r.n) flush(flags, &r, out);
            buf_addc(out, ' ');
        }
        if (flags & NORMAL_STRIP) decomposed(flags, cp, &r, out);
        else emit(flags, cp, out);
        if (alone) {
            if (r.n) flush(flags, &r, out);
            buf_addc(out, ' ');
        }
    }
    if (r.n) flush(flags, &r, out);
}
