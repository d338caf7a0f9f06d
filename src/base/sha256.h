/* SHA-256 of bytes that come in pieces. io_sha256 and io_sha256_file do it in one call. */
#ifndef HONE_BASE_SHA256_H
#define HONE_BASE_SHA256_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sha256 {
    uint32_t state[8];
    uint64_t bytes;
    unsigned char part[64];
    bool plain; /* without the processor's own instructions; the digest is the same */
};
void sha256_init(struct sha256 *h);
void sha256_add(struct sha256 *h, const void *data, size_t n);
void sha256_hex(struct sha256 *h, char hex[65]); /* ends it */

#endif
