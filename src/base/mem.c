/* Allocation with checked sizes. Small failures end the program through BUG; mem_try reports. */
#include "config.h"

#include "src/base/mem.h"

#include <stdlib.h>
#include <string.h>

#include "src/base/size.h"

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
    room = size_up(bytes ? bytes : 1, 64);
    if (room > PTRDIFF_MAX || posix_memalign(&p, 64, room) != 0) {
        err_set(e, "there is no memory for %s: %.1f MiB could not be allocated; make it smaller or use a machine with more", what, (double)bytes / (1 << 20));
        return NULL;
    }
    memset(p, 0, room);
    return p;
}
