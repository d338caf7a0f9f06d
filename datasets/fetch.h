/* Fetching a public data set with curl or wget: into a folder of its own, checked, then renamed. Nothing half-made is ever left
 * under the set's name. Helper thread. */
#ifndef HONE_DATASETS_FETCH_H
#define HONE_DATASETS_FETCH_H

#include "datasets/recipes/recipes.h"
#include "src/base/err.h"

/* Fetches NAME (one variant) into ROOT/NAME. from: an address whose files have the names of the recipe, or NULL: the recipe's own.
 * Returns 1 if it was there already, 0 if fetched, -1. */
int fetch_recipe(const struct recipe *r, const char *variant, const char *root, const char *from, data_progress fn, void *ctx, struct err *e);
/* The same for any list of files, for tests. */
int fetch_files(
    const char *name, const struct recipe_file *files, const char *variant, const char *root, const char *from, data_progress fn, void *ctx, struct err *e);

#endif
