/* Bump allocator for things that die together (a graph, a parsed file). Zeroed memory, 16-byte aligned. */
#ifndef HONE_BASE_ARENA_H
#define HONE_BASE_ARENA_H

#include <stddef.h>

struct arena_block;
struct arena {
    struct arena_block *head;
    size_t used; /* bytes handed out */
};

void *arena_new(struct arena *a, size_t n, size_t size);
char *arena_str(struct arena *a, const char *s);
char *arena_fmt(struct arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void arena_release(struct arena *a);
#define ARENA_NEW(a, type, n) ((type *)arena_new((a), (n), sizeof(type)))

#endif
