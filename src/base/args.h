/* Typed argument tables: a name is written once. A kind is a name, its help and its arguments; command, layer, op,
 * optimiser, schedule, compressor rows start with one. Parser, help, completion, Lua constructors, saved form derive from it. */
#ifndef HONE_BASE_ARGS_H
#define HONE_BASE_ARGS_H

#include <stddef.h>
#include <stdint.h>

#include "src/base/buf.h"
#include "src/base/err.h"
#include "src/base/val.h"

enum arg_type {
    ARG_INT, /* int64_t; absent without default: INT64_MIN (ARG_NONE_INT) */
    ARG_NUM, /* double;  absent: NAN */
    ARG_BOOL, /* bool;    absent: false */
    ARG_STR, /* char *;  absent: NULL */
    ARG_PATH, /* char *;  absent: NULL */
    ARG_ENUM, /* int, index into names; absent: -1 */
    ARG_SHAPE, /* struct arg_shape; a number or a list of numbers; absent: n = 0 */
    ARG_HANDLE, /* struct handle; absent: id 0 */
    ARG_TABLE, /* struct val *, a table (kept as given, owned by the struct); absent: NULL */
    ARG_VAL /* struct val *, anything; absent: NULL */
};
#define ARG_NONE_INT INT64_MIN

enum arg_flags {
    ARG_POSITIONAL = 1, /* may be given without its name, in table order */
    ARG_REQUIRED = 2,
    ARG_LIVE = 4, /* a property of a running run: run:set(name, v) */
    ARG_REST = 8, /* ARG_TABLE: takes all remaining positional items */
    ARG_LOG = 16 /* edits of more than 10x ask once */
};
enum arg_when { AT_STEP, AT_EPOCH, AT_RUN, AT_REBUILD }; /* an edit takes effect there */
enum arg_source { SRC_NONE, SRC_RUN, SRC_LAYER, SRC_METRIC, SRC_FILE, SRC_DATA, SRC_COMMAND, SRC_PROP, SRC_MODEL }; /* what completes it */

#define ARG_SHAPE_MAX 6
struct arg_shape {
    int n;
    int64_t d[ARG_SHAPE_MAX];
};

struct arg {
    const char *name, *help, *unit, *def; /* def: text form, as a user would type it; NULL: none */
    enum arg_type type;
    uint16_t offset; /* into the parsed struct */
    uint8_t flags, when; /* enum arg_flags, enum arg_when */
    double lo, hi; /* both 0: no range. Inclusive. For INT and NUM (and each extent of SHAPE) */
    const char *const *names; /* of an enum, NULL-terminated */
    enum arg_source source;
};
struct kind {
    const char *name, *help, *example; /* help: one line; example: runnable Lua */
    const struct arg *args; /* ends with name == NULL; NULL: no arguments */
    size_t size; /* of the parsed struct; 0: none */
};

/* Parses a table (items = positional, fields = named) into the zeroed struct `out` of kind->size bytes. A wrong name
 * names the nearest one; a wrong type, range or enum value names the argument, the value and what is allowed.
 * On failure everything already stored is released. A first argument of type HANDLE that is not required may be left out: the first
 * item then goes to the next one. nil as a value is the same as leaving it out; nil among the items is refused. */
int args_parse(const struct kind *k, const struct val *table, void *out, struct err *e);
/* {"1":"imdb","train":10000} of JSON becomes {"imdb", train=10000}: names that are 1, 2, .. become items, if there are none yet. */
void args_number(struct val *table);
/* The same checks; gives a new table with only what was given, as named fields in table order. */
struct val *args_normalise(const struct kind *k, const struct val *table, struct err *e);
/* Sets one argument of a parsed struct from a value (live edits). Non-finite numbers are refused; nil sets the default. On failure the old value stays. */
int args_set(const struct kind *k, void *out, const char *name, const struct val *v, struct err *e);
struct val *args_get(const struct kind *k, const void *in, const char *name); /* NULL: no such argument; else a new value, nil if absent */
void args_release(const struct kind *k, void *out);
struct val *args_to_val(const struct kind *k, const void *in); /* fields in table order, absent ones left out */
const struct arg *args_find(const struct kind *k, const char *name);
bool args_required(const struct kind *k); /* one of them has to be given */
void args_allowed(struct buf *b, const struct arg *a); /* "a whole number from 1 to 100" */
const char *args_when(const struct arg *a); /* "at once", "from the next epoch" ...; "" if not LIVE */
void args_help(struct buf *b, const struct kind *k); /* name, help, one line an argument with type, default, range, unit; example */
/* The nearest of n names to a wrong one (Damerau-Levenshtein <= 1/3 of the length), or NULL. */
const char *args_nearest(const char *wrong, const char *const *names, size_t n);
/* Text "128", "1e-3", "true", "adam", "{10,20}" to a value: numbers, booleans and nil are recognised, the rest is a string. */
struct val *args_text(const char *text);

#endif
