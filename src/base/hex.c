/* Digits without printf and scanf: of what is read nothing but the digits is taken, no sign and no blank. */
#include "config.h"

#include "src/base/hex.h"

#include <string.h>

void hex_of(char *out, const void *p, size_t n) {
    static const char digit[] = "0123456789abcdef";
    const unsigned char *b = p;
    for (size_t i = 0; i < n; i++) {
        *out++ = digit[b[i] >> 4];
        *out++ = digit[b[i] & 15];
    }
    *out = 0;
}

static int nibble(char c) { return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1; }

bool hex_to(const char *hex, void *p, size_t n) {
    unsigned char *b = p;
    if (!hex || strlen(hex) != 2 * n) return false;
    for (size_t i = 0; i < n; i++) {
        int hi = nibble(hex[2 * i]), lo = nibble(hex[2 * i + 1]);
        if (hi < 0 || lo < 0) return false;
        b[i] = (unsigned char)(hi << 4 | lo);
    }
    return true;
}
