/* Allocation with checked sizes. Small failures end the program through BUG; mem_try reports. */
#include "config.h"

#include "src/base/mem.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "src/base/size.h"

#define HUGE_PAGE ((size_t)2 << 20)
#define LARGE (2 * HUGE_PAGE) /* from here on large pages are asked for: numbers are walked in long strides */

void *mem_new(size_t n, size_t size) {
    void *p = calloc(n ? n : 1, size ? size : 1);
    if (!p) BUG("no memory for %zu x %zu bytes", n, size);
    return p;
}

void *mem_grow(void *p, size_t n, size_t size) {
    size_t bytes;
    if (!size_mul(n, size, &bytes)) BUG("the size of %zu x %zu bytes overflows", n, size);
    void *q = realloc(p, bytes ? bytes : 1);
    if (!q) BUG("no memory for %zu bytes", bytes);
    return q;
}

void *mem_room(void *p, size_t n, size_t *cap, size_t size) {
    if (n < *cap) return p;
    *cap = *cap ? 2 * *cap : 4;
    return mem_grow(p, *cap, size);
}

char *mem_str(const char *s) { return s ? mem_strn(s, strlen(s)) : NULL; }

char *mem_strn(const char *s, size_t n) {
    size_t bytes;
    if (!size_add(n, 1, &bytes)) BUG("the size of a string overflows");
    char *p = mem_grow(NULL, bytes, 1);
    if (n) memcpy(p, s, n);
    p[n] = '\0';
    return p;
}

void *mem_try(size_t n, size_t size, const char *what, struct err *e) {
    size_t bytes, room;
    void *p = NULL;
    if (!size_mul(n, size, &bytes) || !size_add(bytes, 63, &room)) {
        err_set(e, "%s needs %zu x %zu bytes, more than an address can hold", what, n, size);
        return NULL;
    }
    bool large = bytes >= LARGE;
    room = size_up(bytes ? bytes : 1, 64);
    if (room > PTRDIFF_MAX || posix_memalign(&p, large ? HUGE_PAGE : 64, room) != 0) {
        err_set(e, "there is no memory for %s: %.1f MiB could not be allocated; make it smaller or use a machine with more", what, (double)bytes / (1 << 20));
        return NULL;
    }
    if (large) (void)madvise(p, room / HUGE_PAGE * HUGE_PAGE, MADV_HUGEPAGE); /* whole pages only: what is resident does not grow */
    memset(p, 0, room);
    return p;
}
