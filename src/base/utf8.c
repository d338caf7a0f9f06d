/* Strict UTF-8, widths, and the text sink. Pure functions, any thread. Zero-width marks are joined to the letter before them
 * where Unicode has the joined letter, and escaped otherwise: no output character is wider or narrower than its count. */
#include "config.h"

#include "src/base/utf8.h"

#include <stdio.h>
#include <string.h>
#include <utf8proc.h>

size_t utf8_next(const char *s, size_t n, uint32_t *cp) {
    const unsigned char *p = (const unsigned char *)s;
    if (n == 0) return 0;
    if (p[0] < 0x80) {
        *cp = p[0];
        return 1;
    }
    size_t len = p[0] >= 0xc2 && p[0] <= 0xdf ? 2 : (p[0] & 0xf0) == 0xe0 ? 3 : p[0] >= 0xf0 && p[0] <= 0xf4 ? 4 : 0;
    uint32_t c = len ? p[0] & (0x7fu >> len) : 0;
    *cp = 0xFFFD | UTF8_BAD;
    if (len == 0 || len > n) return 1;
    for (size_t i = 1; i < len; i++) {
        if ((p[i] & 0xc0) != 0x80) return 1;
        c = c << 6 | (p[i] & 0x3f);
    }
    if ((len == 3 && (c < 0x800 || (c >= 0xd800 && c <= 0xdfff))) || (len == 4 && (c < 0x10000 || c > 0x10ffff))) return 1;
    *cp = c;
    return len;
}

size_t utf8_put(char out[4], uint32_t cp) {
    if (cp < 0x80) {
        out[0] = (char)cp;
        return 1;
    }
    if (cp > 0x10ffff || (cp >= 0xd800 && cp <= 0xdfff)) cp = 0xfffd;
    size_t n = cp < 0x800 ? 2 : cp < 0x10000 ? 3 : 4;
    for (size_t i = n; i-- > 1; cp >>= 6) out[i] = (char)(0x80 | (cp & 0x3f));
    out[0] = (char)((0xf00u >> n & 0xff) | cp);
    return n;
}

bool utf8_valid(const char *s, size_t n) {
    uint32_t cp;
    for (size_t used; (used = utf8_next(s, n, &cp)) > 0; s += used, n -= used)
        if (cp & UTF8_BAD) return false;
    return true;
}

bool utf8_harmless(const char *s, const char *allowed) {
    if (!utf8_valid(s, strlen(s))) return false;
    for (const unsigned char *p = (const unsigned char *)s; *p; p++)
        if ((*p < 32 && !strchr(allowed, *p)) || *p == 127 || (*p == 0xc2 && p[1] < 0xa0)) return false;
    return true;
}

int utf8_width(uint32_t cp) {
    if (cp >= 0x20 && cp < 0x7f) return 1;
    if (cp < 0xa0 || cp > 0x10ffff) return -1;
    switch (utf8proc_category((utf8proc_int32_t)cp)) {
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP: return -1;
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_ME: return 0;
    default: break;
    }
    if (cp == 0x115f || (cp >= 0x1160 && cp <= 0x11ff) || cp == 0x3164 || cp == 0xffa0) return -1; /* letters that show nothing or only join */
    int w = utf8proc_charwidth((utf8proc_int32_t)cp);
    return w > 2 ? 2 : w;
}

int utf8_columns(const char *s, size_t n) {
    uint32_t cp;
    int cols = 0;
    for (size_t used; (used = utf8_next(s, n, &cp)) > 0; s += used, n -= used) {
        int w = cp & UTF8_BAD ? 1 : utf8_width(cp);
        if (w > 0) cols += w;
    }
    return cols;
}

/* One piece of output: a character or an escape, never split by a cut. */
struct piece {
    char text[16];
    size_t len;
    int cols;
};

static void escape(struct piece *p, const char *fmt, unsigned v) {
    p->cols = snprintf(p->text, sizeof p->text, fmt, v);
    p->len = (size_t)p->cols;
}

/* Joins the marks that follow at s to *cp as long as there is one joined character for both; returns the bytes used. */
static size_t join(uint32_t *cp, const char *s, size_t n) {
    size_t total = 0, used;
    uint32_t mark;
    while ((used = utf8_next(s + total, n - total, &mark)) > 0 && !(mark & UTF8_BAD) && mark >= 0x300 && utf8_width(mark) == 0) {
        utf8proc_int32_t two[3] = {(utf8proc_int32_t)*cp, (utf8proc_int32_t)mark, 0};
        if (utf8proc_normalize_utf32(two, 2, UTF8PROC_COMPOSE | UTF8PROC_STABLE) != 1 || utf8_width((uint32_t)two[0]) < 1) break;
        *cp = (uint32_t)two[0];
        total += used;
    }
    return total;
}

/* All that is left is the beginning of a character: the text was cut to a number of bytes. */
static bool is_cut(const char *s, size_t n) {
    unsigned char c = (unsigned char)s[0];
    size_t need = c >= 0xf0 && c < 0xf5 ? 4 : c >= 0xe0 ? 3 : c >= 0xc2 ? 2 : 0;
    if (c >= 0xf5 || n >= need) return false;
    for (size_t i = 1; i < n; i++)
        if (((unsigned char)s[i] & 0xc0) != 0x80) return false;
    return true;
}

static size_t next_piece(struct piece *p, const char *s, size_t n, enum utf8_set set) {
    uint32_t cp;
    size_t used = utf8_next(s, n, &cp);
    if (used == 0) return 0;
    if (cp == '\r' && n > 1 && s[1] == '\n') used = 2, cp = '\n';
    if (cp == '\t' || cp == '\n') cp = ' ';
    if (cp & UTF8_BAD) {
        bool cut = is_cut(s, n);
        escape(p, cut ? "~" : "\\x%02x", (unsigned char)s[0]);
        return cut ? n : used;
    }
    if (cp < 0x20 || cp == 0x7f) {
        escape(p, "\\x%02x", cp);
        return used;
    }
    if (cp >= 0x7f || (used < n && (unsigned char)s[used] >= 0x80)) {
        int w = utf8_width(cp);
        if (w > 0 && set == UTF8_FULL) used += join(&cp, s + used, n - used), w = utf8_width(cp);
        if (w < 1 || (cp > 0x7e && set == UTF8_ASCII)) {
            escape(p, "\\u{%x}", cp);
            return used;
        }
        p->cols = w;
    } else p->cols = 1;
    p->len = utf8_put(p->text, cp);
    return used;
}

int utf8_show(struct buf *out, const char *s, size_t n, int max_cols, enum utf8_set set) {
    struct piece p;
    int cols = 0, cut_cols = 0;
    size_t cut_len = out->len;
    if (max_cols == 0) {
        buf_add(out, "", 0);
        return 0;
    }
    buf_reserve(out, max_cols > 0 && (size_t)max_cols < n ? (size_t)max_cols : n);
    for (size_t used; (used = next_piece(&p, s, n, set)) > 0; s += used, n -= used) {
        if (max_cols > 0 && p.cols > max_cols - cols) {
            out->len = cut_len;
            buf_addc(out, '~');
            return cut_cols + 1;
        }
        buf_add(out, p.text, p.len);
        cols += p.cols;
        if (cols < max_cols) cut_len = out->len, cut_cols = cols;
    }
    buf_add(out, "", 0);
    return cols;
}
