/* Sorted names of a folder. Helper thread; no state. */
#include "config.h"

#include "datasets/formats/folder.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/io.h"
#include "src/base/mem.h"

#define MAX_FILES 2000000

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

int folder_list(const char *path, bool folders, struct names *out, struct err *e) {
    DIR *d = opendir(path);
    if (!d) return err_sys(e, "list", path);
    size_t cap = 0;
    for (struct dirent *x; (x = readdir(d));) {
        if (x->d_name[0] == '.' || (folders && !strcmp(x->d_name, "unsup"))) continue;
        bool dir = x->d_type == DT_DIR;
        if (x->d_type == DT_UNKNOWN) {
            char *full = io_join(path, x->d_name);
            dir = io_is_dir(full);
            free(full);
        }
        if (dir != folders) continue;
        if (out->n == cap) out->p = X_GROW(out->p, char *, cap = cap ? 2 * cap : 256);
        out->p[out->n++] = mem_str(x->d_name);
        if (out->n > MAX_FILES) break;
    }
    closedir(d);
    if (out->n > MAX_FILES) return err_set(e, "%s holds more than %d files; put the texts into one CSV or JSON lines file", path, MAX_FILES);
    if (out->n) qsort(out->p, out->n, sizeof *out->p, by_name);
    return 0;
}

void names_release(struct names *n) {
    for (size_t i = 0; i < n->n; i++) free(n->p[i]);
    free(n->p);
}
