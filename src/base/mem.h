/* Small allocations: failure ends the program tidily through BUG. Sizes are checked. Big buffers whose size
 * depends on the user or a file use mem_try, which reports. */
#ifndef HONE_BASE_MEM_H
#define HONE_BASE_MEM_H

#include <stddef.h>

#include "src/base/err.h"

void *mem_new(size_t n, size_t size); /* zeroed; BUG on failure or overflow */
void *mem_grow(void *p, size_t n, size_t size); /* realloc; BUG on failure or overflow */
/* Room for one more behind n items of `size` bytes, of which *cap fit: p, or a larger block that takes its place. */
void *mem_room(void *p, size_t n, size_t *cap, size_t size);
char *mem_str(const char *s); /* strdup; NULL stays NULL */
char *mem_strn(const char *s, size_t n);
/* Zeroed, 64-byte aligned, or NULL with a sentence naming `what` and MiB; release with free(). */
void *mem_try(size_t n, size_t size, const char *what, struct err *e);
#define X_NEW(type, n) ((type *)mem_new((n), sizeof(type)))
#define X_GROW(p, type, n) ((type *)mem_grow((p), (n), sizeof(type)))
#define X_ROOM(p, type, n, cap) ((type *)mem_room((p), (n), (cap), sizeof(type)))

#endif
