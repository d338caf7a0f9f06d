/* The Test Anything Protocol in a few lines: tap_ok, tap_skip, tap_done. One program, one plan at the end. */
#ifndef HONE_TESTS_TAP_H
#define HONE_TESTS_TAP_H

/* Factor on limits of time: a sanitizer's code is no measure of it. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define TAP_SLOW 10
#else
#define TAP_SLOW 1
#endif

#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static int tap_n, tap_bad;
static inline bool __attribute__((format(printf, 2, 3))) tap_ok(bool ok, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    printf("%sok %d - ", ok ? "" : "not ", ++tap_n);
    vprintf(fmt, ap);
    printf("\n");
    fflush(stdout);
    va_end(ap);
    if (!ok) tap_bad++;
    return ok;
}
static inline bool tap_is(const char *got, const char *want, const char *name) {
    bool ok = got && want ? strcmp(got, want) == 0 : got == want;
    tap_ok(ok, "%s", name);
    if (!ok) printf("# got:  %s\n# want: %s\n", got ? got : "(null)", want ? want : "(null)");
    return ok;
}
static inline bool tap_near(double got, double want, double tol, const char *name) {
    bool ok = fabs(got - want) <= tol;
    tap_ok(ok, "%s", name);
    if (!ok) printf("# got %.17g, want %.17g within %g\n", got, want, tol);
    return ok;
}
static inline void tap_skip(const char *name, const char *why) { printf("ok %d - %s # SKIP %s\n", ++tap_n, name, why); }
static inline void tap_note(const char *text) { /* lines of any text, as comments */
    for (size_t n; *text; text += n + (text[n] == '\n')) {
        n = strcspn(text, "\n");
        printf("# %.*s\n", (int)n, text);
    }
}
static inline int tap_done(void) {
    printf("1..%d\n", tap_n);
    return tap_bad ? 1 : 0;
}

#endif
