/* Checked arithmetic on sizes that come from files or users. True: *out holds the result. False: overflow. */
#ifndef HONE_BASE_SIZE_H
#define HONE_BASE_SIZE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline bool size_mul(size_t a, size_t b, size_t *out) { return !__builtin_mul_overflow(a, b, out); }
static inline bool size_add(size_t a, size_t b, size_t *out) { return !__builtin_add_overflow(a, b, out); }
static inline bool size_mul_i64(int64_t a, int64_t b, int64_t *out) { return !__builtin_mul_overflow(a, b, out); }
static inline bool size_add_i64(int64_t a, int64_t b, int64_t *out) { return !__builtin_add_overflow(a, b, out); }
static inline size_t size_up(size_t n, size_t to) { return (n + to - 1) / to * to; } /* n + to must not overflow, to > 0 */

#endif
