/* A folder of texts: one folder a class, one file a text, in the order of their names. */
#include "config.h"

#include "datasets/formats/folder.h"
#include "datasets/formats/format.h"

#include <stdlib.h>
#include <string.h>

#include "src/base/io.h"
#include "src/base/mem.h"

#define MAX_TEXT ((size_t)16 << 20)

static int add_file(const char *path, const char *label, const struct read_opts *o, struct table *out, struct cells cells[2], size_t *cap, struct err *e) {
    struct buf b = BUF_INIT;
    if (io_read_file(path, MAX_TEXT, &b, e)) return -1;
    struct bytes in = {path, (const unsigned char *)b.data, b.len}, t;
    char *own = NULL;
    const char *other = format_foreign(&in);
    int r = other ? err_set(e, "%s is %s", path, other) : text_open(&in, o && o->latin1, &t, &own, e);
    if (!r) {
        cells_add(&cells[0], t.p, t.n);
        cells_end_cell(&cells[0]);
        cells_add(&cells[1], label, strlen(label));
        cells_end_cell(&cells[1]);
        if ((size_t)out->n == *cap) out->origin = X_GROW(out->origin, char *, *cap = *cap ? 2 * *cap : 256);
        out->origin[out->n++] = mem_str(path);
    }
    free(own);
    buf_release(&b);
    return r;
}

static int read_dir(const char *path, const struct read_opts *o, struct table *out, struct err *e) {
    struct names cls = {0};
    struct cells cells[2] = {{0}};
    size_t cap = 0;
    int r = folder_list(path, true, &cls, e);
    if (!r && !cls.n)
        r = err_set(e, "%s holds no folders: texts or pictures are expected as CLASS/FILE, one folder a class; sounds may also be CLASS_REST.wav", path);
    out->named = true;
    out->file = mem_str(path);
    table_add(out, "text", COL_TEXT);
    table_add(out, "label", COL_TEXT);
    for (size_t c = 0; c < cls.n && !r; c++) {
        char *dir = io_join(path, cls.p[c]);
        struct names files = {0};
        r = folder_list(dir, false, &files, e);
        if (!r && !files.n)
            r = err_set(e,
                "%s holds no files; each class needs at least one text or picture in the folder itself, as CLASS/FILE (folders in it are not looked into)",
                dir);
        for (size_t i = 0; i < files.n && !r; i++) {
            char *file = io_join(dir, files.p[i]);
            r = add_file(file, cls.p[c], o, out, cells, &cap, e);
            free(file);
            if (!r && !(out->n & 255) && o && o->progress && o->progress(o->ctx, path, (double)c / (double)cls.n))
                r = err_code(e, ERR_STOPPED, "reading %s was stopped", path);
        }
        names_release(&files);
        free(dir);
    }
    names_release(&cls);
    cells_into(&cells[0], &out->col[0]);
    cells_into(&cells[1], &out->col[1]);
    return r;
}

static const char *const ext[] = {NULL};
const struct format format_textdir = {"textdir", "a folder of texts, one folder a class", ext, NULL, NULL, read_dir, NULL, "encoding"};
