/* A growing byte buffer, always NUL-terminated after the first add. BUF_INIT is an empty one. */
#ifndef HONE_BASE_BUF_H
#define HONE_BASE_BUF_H

#include <stddef.h>

struct buf {
    char *data;
    size_t len, cap;
};
#define BUF_INIT \
    { NULL, 0, 0 }

void buf_add(struct buf *b, const void *p, size_t n);
void buf_adds(struct buf *b, const char *s);
void buf_addc(struct buf *b, char c);
void buf_addf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void buf_addnum(struct buf *b, double v); /* shortest form that reads back as the same double; nan inf -inf as words */
void buf_reserve(struct buf *b, size_t extra);
void buf_clear(struct buf *b); /* keeps the memory */
void buf_release(struct buf *b); /* frees it */
char *buf_take(struct buf *b); /* the string (never NULL), owner is the caller; b is empty after */

#endif
