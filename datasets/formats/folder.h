/* Names in a folder, for the formats that are folders. */
#ifndef HONE_DATASETS_FORMATS_FOLDER_H
#define HONE_DATASETS_FORMATS_FOLDER_H

#include <stdbool.h>
#include <stddef.h>

#include "src/base/err.h"

struct names {
    char **p;
    size_t n;
};
/* Folders or files in path, sorted by bytes; names that begin with a dot and the folder "unsup" (texts without a label, as in the original of IMDB) are
 * left out, links to folders are not followed. */
int folder_list(const char *path, bool folders, struct names *out, struct err *e);
void names_release(struct names *n);

#endif
