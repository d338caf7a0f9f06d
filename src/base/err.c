/* Error sentences and the end of a program that found itself wrong. Callable from any thread; the bug hook is installed once by main. */
#include "config.h"

#include "src/base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static _Atomic(void (*)(const char *)) bug_hook;
static atomic_flag bug_seen = ATOMIC_FLAG_INIT;

/* A sentence that was cut must still be UTF-8: drops an incomplete character at the end. */
static void mend_cut(char *text, size_t n) {
    size_t i = n, back = 0;
    while (i > 0 && back < 3 && ((unsigned char)text[i - 1] & 0xc0) == 0x80) i--, back++;
    if (i == 0) return;
    unsigned char lead = (unsigned char)text[i - 1];
    size_t want = lead >= 0xf0 ? 3 : lead >= 0xe0 ? 2 : lead >= 0xc0 ? 1 : 0;
    if (back < want) text[i - 1] = '\0';
}

static int put(struct err *e, int code, const char *fmt, va_list ap) __attribute__((format(printf, 3, 0)));
static int put(struct err *e, int code, const char *fmt, va_list ap) {
    char text[ERR_TEXT]; /* arguments may point into e->text */
    if (!e) return -1;
    int n = vsnprintf(text, sizeof text, fmt, ap);
    if (n < 0) snprintf(text, sizeof text, "an error whose text could not be written");
    else if ((size_t)n >= sizeof text) mend_cut(text, sizeof text - 1);
    memcpy(e->text, text, sizeof text);
    e->code = code;
    return -1;
}

int err_set(struct err *e, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    put(e, ERR_FAIL, fmt, ap);
    va_end(ap);
    return -1;
}

int err_code(struct err *e, int code, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    put(e, code, fmt, ap);
    va_end(ap);
    return -1;
}

int err_sys(struct err *e, const char *what, const char *path) {
    char why[128];
    int saved = errno;
#if defined __GLIBC__ && defined _GNU_SOURCE
    const char *s = strerror_r(saved, why, sizeof why);
#else
    const char *s = strerror_r(saved, why, sizeof why) == 0 ? why : "unknown error";
#endif
    if (path) err_code(e, ERR_SYS, "cannot %s %s: %s", what, path, s);
    else err_code(e, ERR_SYS, "cannot %s: %s", what, s);
    errno = saved;
    return -1;
}

int err_wrap(struct err *e, const char *fmt, ...) {
    char head[ERR_TEXT / 2], tail[ERR_TEXT];
    if (!e) return -1;
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(head, sizeof head, fmt, ap);
    va_end(ap);
    if (n >= (int)sizeof head) mend_cut(head, sizeof head - 1);
    memcpy(tail, e->text, sizeof tail);
    return err_code(e, e->code ? e->code : ERR_FAIL, "%s: %s", n < 0 ? "" : head, tail);
}

void err_clear(struct err *e) {
    if (!e) return;
    e->code = 0;
    e->text[0] = '\0';
}

void bug_set_hook(void (*hook)(const char *text)) { bug_hook = hook; }

_Noreturn void bug_at(const char *file, int line, const char *fmt, ...) {
    char text[ERR_TEXT], what[ERR_TEXT / 2];
    va_list ap;
    va_start(ap, fmt);
    if (vsnprintf(what, sizeof what, fmt, ap) < 0) what[0] = '\0';
    va_end(ap);
    int n = snprintf(text, sizeof text, "hone has a bug: %s (%s:%d)", what, file, line);
    void (*hook)(const char *) = bug_hook;
    if (!atomic_flag_test_and_set(&bug_seen) && hook) hook(text); /* a bug inside the hook must not call it again */
    else if (n > 0 && (write(2, text, (size_t)n) < 0 || write(2, "\n", 1) < 0)) abort();
    abort();
}
