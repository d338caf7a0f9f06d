/* Bytes as hexadecimal digits, for where only text goes. */
#ifndef HONE_BASE_HEX_H
#define HONE_BASE_HEX_H

#include <stdbool.h>
#include <stddef.h>

void hex_of(char *out, const void *p, size_t n); /* out holds 2n + 1 */
bool hex_to(const char *hex, void *p, size_t n); /* false: not 2n lower-case digits */

#endif
