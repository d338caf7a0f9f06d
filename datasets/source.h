/* From a name or path to the files of each part. Looks at the file system, reads nothing. */
#ifndef HONE_DATASETS_SOURCE_H
#define HONE_DATASETS_SOURCE_H

#include "datasets/recipes/recipes.h"
#include "src/base/err.h"

struct source_file {
    int part, role; /* PART_..., ROLE_... */
    char *path;
    const char *pick; /* lists of a JSON file or a folder of an archive; or NULL */
    bool optional; /* that folder may be missing */
};
struct source {
    char *name, *path; /* path: the folder or file */
    const struct recipe *recipe; /* or NULL */
    const char *variant;
    struct source_file *file;
    int n;
};
int source_find(const char *name, const char *variant, const char *const *search, struct source *out, struct err *e);
/* The folder of a pretrained model of the recipe table: name is one. New string, or NULL with how to get it. */
char *source_model(const char *name, const char *const *search, struct err *e);
void source_free(struct source *s);
/* The file of a recipe in a folder: as named, or with .gz or .xz. New string, or NULL. */
char *source_recipe_file(const char *dir, const struct recipe_file *f);

#endif
