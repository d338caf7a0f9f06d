/* The growing buffer and the shortest text of a number, which does not depend on the locale. Not thread-safe. */
#include "config.h"

#include "src/base/buf.h"

#include <float.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/err.h"
#include "src/base/mem.h"
#include "src/base/size.h"

void buf_reserve(struct buf *b, size_t extra) {
    size_t need;
    if (!size_add(b->len, extra, &need) || !size_add(need, 1, &need)) BUG("the size of a buffer overflows");
    if (need <= b->cap) return;
    size_t cap = b->cap < 64 ? 64 : b->cap;
    while (cap < need) cap = cap > SIZE_MAX / 2 ? need : cap * 2;
    b->data = mem_grow(b->data, cap, 1);
    b->cap = cap;
}

void buf_add(struct buf *b, const void *p, size_t n) {
    buf_reserve(b, n);
    if (n) memcpy(b->data + b->len, p, n);
    b->len += n;
    b->data[b->len] = '\0';
}

void buf_adds(struct buf *b, const char *s) { buf_add(b, s, strlen(s)); }

void buf_addc(struct buf *b, char c) { buf_add(b, &c, 1); }

void buf_addf(struct buf *b, const char *fmt, ...) {
    va_list ap;
    char small[256];
    va_start(ap, fmt);
    int n = vsnprintf(small, sizeof small, fmt, ap);
    va_end(ap);
    if (n < 0) BUG("the format '%s' failed", fmt);
    if ((size_t)n < sizeof small) {
        buf_add(b, small, (size_t)n);
        return;
    }
    buf_reserve(b, (size_t)n);
    va_start(ap, fmt);
    vsnprintf(b->data + b->len, (size_t)n + 1, fmt, ap);
    va_end(ap);
    b->len += (size_t)n;
}

void buf_addnum(struct buf *b, double v) {
    char t[48];
    if (isnan(v)) {
        buf_adds(b, "nan");
        return;
    }
    if (isinf(v)) {
        buf_adds(b, v > 0 ? "inf" : "-inf");
        return;
    }
    if (v == 0) {
        buf_adds(b, signbit(v) ? "-0.0" : "0");
        return;
    }
    /* a normal number of up to 15 digits is shortest at 15; a subnormal one has fewer */
    for (int digits = fabs(v) < DBL_MIN ? 1 : 15; digits <= 17; digits++) {
        snprintf(t, sizeof t, "%.*g", digits, v);
        if (strtod(t, NULL) == v) break;
    }
    char *out = t;
    for (char *p = t; *p;) { /* whatever the locale's decimal point is becomes '.' */
        if (strchr("0123456789e+-", *p)) {
            *out++ = *p++;
            continue;
        }
        *out++ = '.';
        while (*p && !strchr("0123456789e+-", *p)) p++;
    }
    buf_add(b, t, (size_t)(out - t));
}

void buf_clear(struct buf *b) {
    b->len = 0;
    if (b->data) b->data[0] = '\0';
}

void buf_release(struct buf *b) {
    free(b->data);
    b->data = NULL;
    b->len = b->cap = 0;
}

char *buf_take(struct buf *b) {
    char *s = b->data ? b->data : mem_strn("", 0);
    b->data = NULL;
    b->len = b->cap = 0;
    return s;
}
