/* Requests for memory of a fuzz target pass here (linked with --wrap): one beyond fuzz_limit is a finding. */
#include <stdio.h>
#include <stdlib.h>

#include "tests/fuzz/fuzz.h"

size_t fuzz_limit;

static void test(size_t n, size_t size) {
    if (!fuzz_limit || !size || n <= fuzz_limit / size) return;
    fprintf(stderr, "a request for %zu x %zu bytes, the limit is %zu\n", n, size, fuzz_limit);
    abort();
}

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
int __real_posix_memalign(void **p, size_t align, size_t n);
void *__real_aligned_alloc(size_t align, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);
int __wrap_posix_memalign(void **p, size_t align, size_t n);
void *__wrap_aligned_alloc(size_t align, size_t n);

void *__wrap_malloc(size_t n) { return test(n, 1), __real_malloc(n); }
void *__wrap_calloc(size_t n, size_t size) { return test(n, size), __real_calloc(n, size); }
void *__wrap_realloc(void *p, size_t n) { return test(n, 1), __real_realloc(p, n); }
int __wrap_posix_memalign(void **p, size_t align, size_t n) { return test(n, 1), __real_posix_memalign(p, align, n); }
void *__wrap_aligned_alloc(size_t align, size_t n) { return test(n, 1), __real_aligned_alloc(align, n); }
