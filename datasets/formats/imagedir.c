/* A folder of pictures or of sounds: one folder a class, one file an example, in the order of their names. Sounds may as well lie in the folder itself and
 * begin with their class, LABEL_REST.wav. Files whose name does not end like a picture or a sound are left out. */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "datasets/formats/folder.h"
#include "datasets/formats/sound.h"
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
        for (size_t i = 0; i < f.n && !any; i++) any = media_name(f.p[i]);
    names_release(&f);
    return any;
}

/* Sounds in the folder itself, each with its class at the begin of its name. */
static bool is_flat(const char *dir) {
    struct names f = {0};
    struct err e = {0};
    const char *label;
    size_t n;
    bool any = false, all = true;
    if (!folder_list(dir, false, &f, &e))
        for (size_t i = 0; i < f.n && all; i++)
            if (sound_name(f.p[i])) any = true, all = sound_label(f.p[i], &label, &n);
    names_release(&f);
    return any && all;
}

bool imagedir_is(const char *path) {
    struct names cls = {0};
    struct err e = {0};
    bool any = is_flat(path);
    if (!folder_list(path, true, &cls, &e))
        for (size_t i = 0; i < cls.n && !any && i < 4; i++) { /* an empty class or two may come first */
            char *dir = io_join(path, cls.p[i]);
            any = has_pictures(dir);
            free(dir);
        }
    names_release(&cls);
    return any;
}

/* label NULL: the names give it, and files that are none of ours are passed over. */
static int add_class(struct media *s, const char *path, const char *label, double done, const struct read_opts *o, int64_t *skipped, struct err *e) {
    char *dir = label ? io_join(path, label) : mem_str(path);
    struct names files = {0};
    int64_t before = s->t->n;
    int r = !label || text_bad_byte((const unsigned char *)label, strlen(label)) < 0
                ? folder_list(dir, false, &files, e)
                : err_set(e, "the name of a folder in %s is not UTF-8; it becomes the name of a class", path);
    for (size_t i = 0; i < files.n && !r; i++) {
        const char *own;
        size_t n;
        if (!media_name(files.p[i]) || (!label && !sound_label(files.p[i], &own, &n))) {
            ++*skipped;
            continue;
        }
        char *cls = label ? mem_str(label) : mem_strn(own, n);
        char *file = io_join(dir, files.p[i]);
        struct buf b = BUF_INIT;
        r = io_read_file(file, MAX_FILE, &b, e);
        struct bytes in = {file, (const unsigned char *)b.data, b.len};
        if (!r) r = media_add(s, &in, cls, o, e);
        buf_release(&b);
        free(file);
        free(cls);
        if (!r && !(i & 63) && o && o->progress && o->progress(o->ctx, path, done)) r = err_code(e, ERR_STOPPED, "reading %s was stopped", path);
    }
    if (!r && s->t->n == before) r = err_set(e, "%s holds no pictures or sounds; each class needs at least one", dir);
    names_release(&files);
    free(dir);
    return r;
}

static int read_dir(const char *path, const struct read_opts *o, struct table *out, struct err *e) {
    struct names cls = {0};
    struct media s = {.t = out};
    struct err none = {0};
    int64_t skipped = 0;
    bool flat = is_flat(path);
    int r = flat ? add_class(&s, path, NULL, 0, o, &skipped, e) : folder_list(path, true, &cls, e);
    out->file = mem_str(path);
    for (size_t c = 0; c < cls.n && !r; c++) r = add_class(&s, path, cls.p[c], (double)c / (double)cls.n, o, &skipped, e);
    names_release(&cls);
    if (media_into(&s, true, o, r ? &none : e)) r = -1;
    if (skipped) log_write(LOG_INFO, "%s: %lld file%s no picture or sound, left out", path, (long long)skipped, skipped == 1 ? " is" : "s are");
    return r;
}

static const char *const ext[] = {NULL};
const struct format format_imagedir = {
    "imagedir", "a folder of pictures or sounds, one folder a class", ext, NULL, NULL, read_dir, NULL, "size frames mel rate"};
