/* The bump allocator: a chain of blocks, released together. Not thread-safe. */
#include "config.h"

#include "src/base/arena.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/err.h"
#include "src/base/mem.h"
#include "src/base/size.h"

struct arena_block {
    struct arena_block *next;
    size_t len, cap;
    _Alignas(16) char data[];
};

void *arena_new(struct arena *a, size_t n, size_t size) {
    size_t bytes, room;
    if (!size_mul(n, size, &bytes) || !size_add(bytes, 15 + sizeof(struct arena_block), &room)) BUG("the size of %zu x %zu bytes overflows", n, size);
    bytes = size_up(bytes ? bytes : 1, 16);
    struct arena_block *b = a->head;
    if (!b || b->cap - b->len < bytes) {
        size_t cap = bytes > 4096 ? bytes : 4096;
        b = mem_new(1, sizeof *b + cap);
        b->cap = cap;
        if (a->head && bytes > 4096) { /* a big one goes behind, so that the rest of the current block stays in use */
            b->next = a->head->next;
            a->head->next = b;
        } else {
            b->next = a->head;
            a->head = b;
        }
    }
    void *p = b->data + b->len;
    b->len += bytes;
    a->used += bytes;
    return p;
}

char *arena_str(struct arena *a, const char *s) {
    if (!s) return NULL;
    size_t n = strlen(s);
    char *p = arena_new(a, n + 1, 1);
    memcpy(p, s, n + 1);
    return p;
}

char *arena_fmt(struct arena *a, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n < 0) BUG("the format '%s' failed", fmt);
    char *p = arena_new(a, (size_t)n + 1, 1);
    va_start(ap, fmt);
    vsnprintf(p, (size_t)n + 1, fmt, ap);
    va_end(ap);
    return p;
}

void arena_release(struct arena *a) {
    for (struct arena_block *b = a->head, *next; b; b = next) {
        next = b->next;
        free(b);
    }
    a->head = NULL;
    a->used = 0;
}
