/* What differs between runs: the same functions behind the command diff and screen Compare. No files; any thread. */
#ifndef HONE_STORED_DIFF_H
#define HONE_STORED_DIFF_H

#include "src/stored/shelf.h"

const struct shelf_value *value_named(const struct shelf_run *r, const char *name); /* by full name; NULL: the run has no such value */
bool diff_one(const struct shelf_run *const *run, size_t n, const char *name); /* differs, or not all have it */
/* The full names whose values differ, in the runs' own order. How many, at most max. */
size_t diff_names(const struct shelf_run *const *run, size_t n, const char **out, size_t max);
/* The same names for many runs: each is looked at once. Pointers into the runs. */
size_t vary_names(const struct shelf_run *const *run, size_t n, const char **out, size_t max);
size_t metric_names(const struct shelf_run *const *run, size_t n, const char **out, size_t max); /* of all of them, the newest run's first */
bool same_but_seed(const struct shelf_run *a, const struct shelf_run *b); /* the same experiment with another seed; threads and device may differ */

#endif
