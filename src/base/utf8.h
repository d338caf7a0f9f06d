/* UTF-8, widths, and the one text sink: every string that hone did not write itself (labels, samples, file names, error
 * texts of others) passes utf8_show before a terminal sees it. */
#ifndef HONE_BASE_UTF8_H
#define HONE_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "src/base/buf.h"

/* Next code point; returns bytes used (1..4), 0 at the end. Bad byte: *cp = 0xFFFD | UTF8_BAD, one byte used. */
#define UTF8_BAD 0x80000000u
size_t utf8_next(const char *s, size_t n, uint32_t *cp);
size_t utf8_put(char out[4], uint32_t cp);
bool utf8_valid(const char *s, size_t n);
bool utf8_harmless(const char *s, const char *allowed); /* UTF-8 without control characters but those of ASCII in allowed */
int utf8_width(uint32_t cp); /* columns 0..2 by utf8proc; -1: not printable */
int utf8_columns(const char *s, size_t n); /* of a string that went through utf8_show */

enum utf8_set { UTF8_FULL, UTF8_ASCII }; /* UTF8_ASCII: everything above 0x7e is escaped as \u{..} */
/* Appends s made harmless: control, escape, bidi, zero-width, unassigned and private code points and bad bytes as \x1b, \u{200f} ...;
 * tab and newline become one space. At most max_cols columns (< 0: no limit). Where text was left out, or the last character of s
 * is incomplete, "~" (one column) stands at the end. Returns the columns used. */
int utf8_show(struct buf *out, const char *s, size_t n, int max_cols, enum utf8_set set);

#endif
