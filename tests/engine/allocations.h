/* Counts every allocation of the process, libraries included: `allocations`, where COUNTED is defined. Not under a sanitizer, which owns the allocator.
 * For the one source file of a test program. */
#ifndef HONE_TESTS_ALLOCATIONS_H
#define HONE_TESTS_ALLOCATIONS_H

#include <stdlib.h> /* also says whether this is glibc */

#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define COUNTED 1
extern void *__libc_malloc(size_t n), *__libc_calloc(size_t n, size_t m), *__libc_realloc(void *p, size_t n), *__libc_memalign(size_t a, size_t n);
static _Atomic long allocations;
static void *counted(void *p) {
    allocations++;
    return p;
}
void *malloc(size_t n) { return counted(__libc_malloc(n)); }
void *calloc(size_t n, size_t m) { return counted(__libc_calloc(n, m)); }
void *realloc(void *p, size_t n) { return counted(__libc_realloc(p, n)); }
void *aligned_alloc(size_t a, size_t n) { return counted(__libc_memalign(a, n)); }
int posix_memalign(void **p, size_t a, size_t n) { return (*p = counted(__libc_memalign(a, n))) ? 0 : 12; }
#endif

#endif
