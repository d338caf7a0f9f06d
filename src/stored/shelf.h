/* The folder of runs as a table: what lists, filters and comparisons read. A shelf is a snapshot that does not change; it is shared by counting
 * references. A row is made from the run's own files; an index file (.index in the folder) only saves reading those whose size and time of change
 * are still the same, so that a thousand runs open at once. shelf_read reads files: not for the UI thread. */
#ifndef HONE_STORED_SHELF_H
#define HONE_STORED_SHELF_H

#include <stdatomic.h>

#include "src/run/pyramid.h"

struct shelf_value { /* of the configuration, nested names joined by dots: optim.lr */
    const char *name, *text; /* text: as JSON, strings without quotes */
    double num; /* NAN: not a number */
};
struct shelf_run {
    const char *name, *model, *data, *parent; /* "" where unknown; parent: the run it was forked or resumed from */
    enum run_state state;
    int exit_code; /* -1: unknown */
    double created, seconds, epoch; /* created: seconds of the wall clock */
    int64_t step, steps, seed, params, bytes; /* -1 where unknown; bytes: on disk */
    const char *const *tag;
    size_t n_tag;
    const struct shelf_value *value;
    size_t n_value;
    const struct metric_ends *metric;
    size_t n_metric;
    const char *search; /* lower-case text of all of the above but numbers of metrics, for a filter */
};
struct shelf {
    atomic_int refs;
    uint64_t version; /* another one: another snapshot */
    size_t n;
    const struct shelf_run **run; /* oldest first */
    size_t read_anew; /* rows that the index did not have */
    double seconds; /* that reading took */
};
/* dir: the folder of runs. was: a snapshot to take unchanged rows from, or NULL; only borrowed. NULL with an error: the folder cannot be read. */
struct shelf *shelf_read(const char *dir, const struct shelf *was, struct err *e);
struct shelf *shelf_ref(struct shelf *s);
void shelf_unref(struct shelf *s);
const struct shelf_run *shelf_find(const struct shelf *s, const char *name); /* NULL: none */
const struct shelf_value *shelf_value(const struct shelf_run *r, const char *name); /* full name, or a last part that is the only one; NULL */
const struct metric_ends *shelf_metric(const struct shelf_run *r, const char *name);
bool shelf_tagged(const struct shelf_run *r, const char *tag);
const struct shelf_run *shelf_baseline(const struct shelf *s); /* the newest run tagged baseline, or NULL */
double shelf_best(const struct metric_ends *m, int64_t *step); /* the best value and its step; where neither is better the last one */

/* The snapshot of a process's own folder. runs_shelf_read reads it anew (any thread but UI); runs_shelf: the last one, NULL: none yet. Both are
 * references of the caller's. */
struct shelf *runs_shelf_read(struct runs *rs, struct err *e);
struct shelf *runs_shelf(struct runs *rs);

/* Predicates are Lua, which lives elsewhere: main joins them. keep: one flag a row. 0, or -1: the text is no predicate. Any thread. */
typedef int shelf_where_fn(const char *text, const struct shelf *s, bool *keep, struct err *e);
void runs_set_where(struct runs *rs, shelf_where_fn *fn);
int runs_where(struct runs *rs, const char *text, const struct shelf *s, bool *keep, struct err *e);

/* One row from a run's files, and back; shelf_row.c. */
struct shelf_row;
struct shelf_row *row_read(const char *dir, const char *name); /* never NULL: what cannot be read is unknown */
void row_pack(const struct shelf_row *r, struct buf *out);
struct shelf_row *row_unpack(const void *p, size_t n); /* NULL: not what row_pack writes */
bool row_fresh(const struct shelf_row *r, const char *dir); /* the files are as they were, and the run has ended */
struct shelf_row *row_ref(const struct shelf_row *r);
void row_unref(struct shelf_row *r);
const struct shelf_run *row_run(const struct shelf_row *r);
struct shelf_row *row_of(const struct shelf_run *r); /* the row that a run of a shelf lies in */
int64_t tree_bytes(const char *path, int depth); /* of a file, or of the files in a folder and at most depth - 1 folders below it */
/* What a run was asked for, flattened out of the start fields of run.json: the configuration, then seed, device, threads .., then data.NAME. Calls fn
 * with the full name and the value's text. */
void config_flatten(const struct val *start, void (*fn)(void *ctx, const char *name, const char *text, double num), void *ctx);

#endif
