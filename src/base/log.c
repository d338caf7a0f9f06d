/* Notices: formatted here, handed to the one sink. Until main installs another, and for debug text never, stderr. */
#include "config.h"

#include "src/base/log.h"

#include <pthread.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "src/base/buf.h"
#include "src/base/utf8.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* protects the two below */
static void (*sink_fn)(void *, enum log_level, const char *);
static void *sink_ctx;

static void to_stderr(enum log_level level, const char *text) {
    struct buf b = BUF_INIT;
    if (level == LOG_DEBUG) return;
    if (level >= LOG_WARN) buf_addf(&b, "%s: ", level == LOG_WARN ? "warning" : log_level_name(level)); /* as ui/plain.c */
    utf8_show(&b, text, strlen(text), -1, UTF8_FULL);
    buf_addc(&b, '\n');
    for (size_t done = 0; done < b.len;) {
        ssize_t n = write(2, b.data + done, b.len - done);
        if (n <= 0) break; /* a notice that cannot be shown is not worth waiting for */
        done += (size_t)n;
    }
    buf_release(&b);
}

void log_write(enum log_level level, const char *fmt, ...) {
    char text[2048];
    va_list ap;
    va_start(ap, fmt);
    if (vsnprintf(text, sizeof text, fmt, ap) < 0) text[0] = '\0';
    va_end(ap);
    pthread_mutex_lock(&lock);
    void (*fn)(void *, enum log_level, const char *) = sink_fn;
    void *ctx = sink_ctx;
    pthread_mutex_unlock(&lock); /* the sink takes locks of its own */
    if (fn) fn(ctx, level, text);
    else to_stderr(level, text);
}

void log_set_sink(void (*sink)(void *ctx, enum log_level level, const char *text), void *ctx) {
    pthread_mutex_lock(&lock);
    sink_fn = sink;
    sink_ctx = ctx;
    pthread_mutex_unlock(&lock);
}

static const char *const names[] = {"debug", "info", "warn", "error"}; /* ORDER enum log_level */

const char *log_level_name(enum log_level level) { return names[level]; }
