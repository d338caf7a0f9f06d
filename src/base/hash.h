/* The hash FNV-1a of 64 bits (Fowler, Noll, Vo), byte by byte. Random streams and saved models depend on it: it never changes. */
#ifndef HONE_BASE_HASH_H
#define HONE_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

static const uint64_t HASH_START = UINT64_C(0xcbf29ce484222325);
static inline uint64_t hash_byte(uint64_t h, unsigned char c) { return (h ^ c) * UINT64_C(0x100000001b3); }
static inline uint64_t hash_bytes(uint64_t h, const char *s, size_t n) {
    for (size_t i = 0; i < n; i++) h = hash_byte(h, (unsigned char)s[i]);
    return h;
}

#endif
