/* Notices from anywhere: one sink installed by main (the run record, or stderr in line mode). Thread-safe, never blocks. */
#ifndef HONE_BASE_LOG_H
#define HONE_BASE_LOG_H

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

void log_write(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void log_set_sink(void (*sink)(void *ctx, enum log_level level, const char *text), void *ctx);
const char *log_level_name(enum log_level level); /* debug info warn error */

#endif
