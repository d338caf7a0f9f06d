/* A folder of pictures: one folder a class, one file a picture, in the order of their names. Files whose name does not end like a picture are left out. */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "datasets/formats/folder.h"
#include "datasets/formats/image.h"
#include "src/base/buf.h"
#include "src/base/io.h"
#include "src/base/log.h"
#include "src/base/mem.h"

#define MAX_FILE ((size_t)256 << 20)

static bool has_pictures(const char *dir) {
    struct names f = {0};
    struct err e = {0};
    bool any = false;
    if (!folder_list(dir, false, &f, &e))
        for (size_t i = 0; i < f.n && !any; i++) any = image_name(f.p[i]);
    names_release(&f);
    return any;
}

bool imagedir_is(const char *path) {
    struct names cls = {0};
    struct err e = {0};
    bool any = false;
    if (!folder_list(path, true, &cls, &e))
        for (size_t i = 0; i < cls.n && !any && i < 4; i++) { /* an empty class or two may come first */
            char *dir = io_join(path, cls.p[i]);
            any = has_pictures(dir);
            free(dir);
        }
    names_release(&cls);
    return any;
}

static int add_class(struct images *s, const char *path, const char *label, double done, const struct read_opts *o, int64_t *skipped, struct err *e) {
    char *dir = io_join(path, label);
    struct names files = {0};
    int64_t before = s->t->n;
    int r = text_bad_byte((const unsigned char *)label, strlen(label)) < 0
                ? folder_list(dir, false, &files, e)
                : err_set(e, "the name of a folder in %s is not UTF-8; it becomes the name of a class", path);
    for (size_t i = 0; i < files.n && !r; i++) {
        if (!image_name(files.p[i])) {
            ++*skipped;
            continue;
        }
        char *file = io_join(dir, files.p[i]);
        struct buf b = BUF_INIT;
        r = io_read_file(file, MAX_FILE, &b, e);
        if (!r && !b.len) r = err_set(e, "%s is empty", file);
        struct bytes in = {file, (const unsigned char *)b.data, b.len};
        if (!r) r = images_add(s, &in, label, o, e);
        buf_release(&b);
        free(file);
        if (!r && !(i & 63) && o && o->progress && o->progress(o->ctx, path, done)) r = err_code(e, ERR_STOPPED, "reading %s was stopped", path);
    }
    if (!r && s->t->n == before) r = err_set(e, "%s holds no pictures; each class needs at least one", dir);
    names_release(&files);
    free(dir);
    return r;
}

static int read_dir(const char *path, const struct read_opts *o, struct table *out, struct err *e) {
    struct names cls = {0};
    struct images s = {.t = out};
    int64_t skipped = 0;
    int r = folder_list(path, true, &cls, e);
    out->file = mem_str(path);
    for (size_t c = 0; c < cls.n && !r; c++) r = add_class(&s, path, cls.p[c], (double)c / (double)cls.n, o, &skipped, e);
    names_release(&cls);
    images_into(&s, true);
    if (skipped) log_write(LOG_INFO, "%s: %lld files are no pictures and were left out", path, (long long)skipped);
    return r;
}

static const char *const ext[] = {NULL};
const struct format format_imagedir = {"imagedir", "a folder of pictures, one folder a class", ext, NULL, NULL, read_dir};
