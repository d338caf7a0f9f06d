/* JSON to value tree and back. Reading is libjansson (duplicate keys refused, depth bounded); writing is ours, because
 * numbers must be in shortest round-trip form and non-finite ones are the strings "nan" "inf" "-inf". */
#ifndef HONE_BASE_JSON_H
#define HONE_BASE_JSON_H

#include <stddef.h>

#include "src/base/buf.h"
#include "src/base/err.h"
#include "src/base/val.h"

#define JSON_DEPTH 200 /* deepest nesting that is read */
struct val *json_parse(const char *text, size_t n, const char *where, struct err *e); /* where: file name for the message */
/* How many values the text may hold at most: bounds the tree of a foreign text (80 to 250 bytes a value) before it is made. */
size_t json_count(const char *text, size_t n);
struct val *json_read_file(const char *path, size_t max_bytes, struct err *e);
void json_write(struct buf *b, const struct val *v); /* one line, no spaces outside strings */
void json_write_pretty(struct buf *b, const struct val *v); /* two-space indent and a newline at the end, for files people read */
extern const char *const lua_keywords[22];
void lua_write(struct buf *b, const struct val *v); /* the same tree as a Lua expression: {"imdb", train=10000} */

#endif
