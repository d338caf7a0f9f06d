/* Finding a data set: a recipe's name in the search folders, or a path to a file, a folder of files named after the parts,
 * or a folder of texts (one folder a class). */
#include "datasets/source.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "datasets/formats/format.h"
#include "src/base/buf.h"
#include "src/base/io.h"
#include "src/base/mem.h"

static void add(struct source *s, int part, int role, char *path_take) {
    s->file = X_GROW(s->file, struct source_file, (size_t)s->n + 1);
    s->file[s->n++] = (struct source_file){.part = part, .role = role, .path = path_take};
}

void source_free(struct source *s) {
    for (int i = 0; i < s->n; i++) free(s->file[i].path);
    free(s->file);
    free(s->name);
    free(s->path);
    memset(s, 0, sizeof *s);
}

static char *with_packing(const char *dir, const char *name) {
    static const char *const pack[] = {"", ".gz", ".xz"};
    size_t n = strlen(name);
    if (n > 3 && (!strcmp(name + n - 3, ".gz") || !strcmp(name + n - 3, ".xz"))) n -= 3;
    for (size_t i = 0; i < LEN(pack); i++) {
        struct buf b = BUF_INIT;
        buf_addf(&b, "%s/%.*s%s", dir, (int)n, name, pack[i]);
        if (io_exists(b.data) && !io_is_dir(b.data)) return buf_take(&b);
        buf_release(&b);
    }
    return NULL;
}

char *source_recipe_file(const char *dir, const struct recipe_file *f) { return with_packing(dir, f->path); }

/* All files of the recipe in dir: 1; none: 0; some: -1 with the sentence. */
static int recipe_in(struct source *s, const char *dir, struct err *e) {
    const char *missing = NULL;
    for (const struct recipe_file *f = s->recipe->file; f->path; f++) {
        if (!recipe_file_is(f, s->variant)) continue;
        char *p = source_recipe_file(dir, f);
        if (p) {
            add(s, f->part, f->role, p);
            s->file[s->n - 1].pick = f->pick;
        } else if (!missing) missing = f->path;
    }
    if (!missing) {
        s->path = mem_str(dir);
        return 1;
    }
    if (!s->n) return 0;
    int n = s->n;
    source_free(s);
    return err_set(
        e, "the data set in %s is not complete: %d file%s there, but %s (packed or not) is missing; fetch it again", dir, n, n == 1 ? " is" : "s are", missing);
}

static void list_search(struct buf *b, const char *const *search) {
    for (int i = 0; search && search[i]; i++) buf_addf(b, "%s%s", i ? ", " : "", search[i]);
    if (!b->len) buf_adds(b, "(no folder)");
}

static int by_recipe(struct source *s, const char *const *search, struct err *e) {
    for (int i = 0; search && search[i]; i++) {
        char *dir = io_join(search[i], s->name);
        int r = io_is_dir(dir) ? recipe_in(s, dir, e) : 0;
        free(dir);
        if (r) return r < 0 ? -1 : 0;
    }
    struct buf b = BUF_INIT, how = BUF_INIT;
    list_search(&b, search);
    bool url = false;
    for (const struct recipe_file *f = s->recipe->file; f->path; f++) url |= f->url != NULL;
    if (url || s->recipe->python) buf_addf(&how, "fetch it with: hone data fetch %s", s->name);
    else if (s->recipe->hint) buf_addf(&how, "%s", s->recipe->hint);
    if (s->recipe->package) buf_addf(&how, "%sinstall the package %s", how.len ? ", or " : "", s->recipe->package);
    err_set(e, "%s is in none of these folders: %s; %s, or give its folder with --data", s->name, b.data, how.data);
    buf_release(&b);
    buf_release(&how);
    return -1;
}

static char *try_names(const char *dir, const char *stem) {
    static const char *const end[] = {".tsv", ".csv", ".jsonl", ".txt", ".npz", ".bin", NULL};
    for (int i = 0; end[i]; i++) {
        char name[64];
        snprintf(name, sizeof name, "%s%s", stem, end[i]);
        char *p = with_packing(dir, name);
        if (p) return p;
    }
    return NULL;
}

/* A folder that no recipe describes: train.csv .., IDX quads, x_train.npy .., folders of texts. */
static int by_folder(struct source *s, struct err *e) {
    static const struct {
        int part, role;
        const char *name;
    } quad[] = {{PART_TRAIN, ROLE_X, "train-images-idx3-ubyte"}, {PART_TRAIN, ROLE_Y, "train-labels-idx1-ubyte"}, {PART_TEST, ROLE_X, "t10k-images-idx3-ubyte"},
        {PART_TEST, ROLE_Y, "t10k-labels-idx1-ubyte"}, {PART_TRAIN, ROLE_X, "x_train.npy"}, {PART_TRAIN, ROLE_Y, "y_train.npy"},
        {PART_TRAIN, ROLE_X, "X_train.npy"}, {PART_VAL, ROLE_X, "X_val.npy"}, {PART_TEST, ROLE_X, "X_test.npy"}, {PART_TRAIN, ROLE_X, "X.npy"},
        {PART_TRAIN, ROLE_X, "x.npy"}, {PART_TRAIN, ROLE_Y, "y.npy"}, {PART_VAL, ROLE_X, "x_val.npy"}, {PART_VAL, ROLE_Y, "y_val.npy"},
        {PART_TEST, ROLE_X, "x_test.npy"}, {PART_TEST, ROLE_Y, "y_test.npy"}, {PART_TRAIN, ROLE_ALL, "data_batch_1.bin"},
        {PART_TRAIN, ROLE_ALL, "data_batch_2.bin"}, {PART_TRAIN, ROLE_ALL, "data_batch_3.bin"}, {PART_TRAIN, ROLE_ALL, "data_batch_4.bin"},
        {PART_TRAIN, ROLE_ALL, "data_batch_5.bin"}, {PART_TEST, ROLE_ALL, "test_batch.bin"}};
    static const struct {
        int part;
        const char *name;
    } stem[] = {{PART_TRAIN, "train"}, {PART_VAL, "val"}, {PART_VAL, "valid"}, {PART_VAL, "validation"}, {PART_VAL, "dev"}, {PART_TEST, "test"}};
    for (size_t i = 0; i < LEN(quad); i++) {
        char *p = with_packing(s->path, quad[i].name);
        if (p) add(s, quad[i].part, quad[i].role, p);
    }
    bool have[PART_N] = {false};
    bool listed = s->n > 0;
    for (size_t i = 0; i < LEN(stem) && !listed; i++) {
        char *p = have[stem[i].part] ? NULL : try_names(s->path, stem[i].name);
        if (!p && !have[stem[i].part]) {
            p = io_join(s->path, stem[i].name);
            if (!io_is_dir(p)) free(p), p = NULL;
        }
        if (!p) continue;
        have[stem[i].part] = true;
        add(s, stem[i].part, ROLE_ALL, p);
    }
    if (!s->n) add(s, PART_TRAIN, ROLE_ALL, mem_str(s->path)); /* the class folders themselves */
    for (int i = 0; i < s->n; i++)
        if (s->file[i].part == PART_TRAIN && s->file[i].role != ROLE_Y) return 0;
    return err_set(e,
        "%s has no training part: a file train.csv, train.tsv, train.jsonl, train-images-idx3-ubyte or x_train.npy (also as .gz), or a folder train", s->path);
}

/* One file is the training part; of an archive its folders may be the parts, so it is read once for each. */
static int by_file(struct source *s) {
    for (int p = 0; p < (format_has_ext(&format_tar, s->path) ? PART_N : 1); p++) {
        add(s, p, ROLE_ALL, mem_str(s->path));
        s->file[p].pick = format_has_ext(&format_tar, s->path) ? part_names[p] : NULL;
        s->file[p].optional = s->file[p].pick != NULL;
    }
    return 0;
}

static int by_path(struct source *s, struct err *e) {
    if (!io_is_dir(s->path)) return by_file(s);
    size_t n = strlen(s->path);
    while (n > 1 && s->path[n - 1] == '/') s->path[--n] = 0;
    const char *base = strrchr(s->path, '/');
    base = base ? base + 1 : s->path;
    const struct recipe *r = recipe_find(base);
    if (r) { /* the folder of a known set, given by its path */
        bool ok;
        char *dir = s->path;
        s->recipe = r;
        s->variant = recipe_variant(r, s->variant, &ok);
        s->path = NULL;
        int got = ok ? recipe_in(s, dir, NULL) : 0;
        if (got == 1) {
            free(s->name);
            s->name = mem_str(r->name);
            free(dir);
            return 0;
        }
        source_free(s);
        s->name = mem_str(dir);
        s->path = dir;
    }
    return by_folder(s, e);
}

char *source_model(const char *name, const char *const *search, struct err *e) {
    struct source s = {.name = mem_str(name), .recipe = recipe_find(name)};
    char *path = NULL;
    if (by_recipe(&s, search, e) == 0) path = mem_str(s.path);
    source_free(&s);
    return path;
}

int source_find(const char *name, const char *variant, const char *const *search, struct source *out, struct err *e) {
    memset(out, 0, sizeof *out);
    out->name = mem_str(name);
    out->variant = variant;
    out->recipe = strchr(name, '/') ? NULL : recipe_find(name);
    int r;
    if (out->recipe && out->recipe->model)
        r = err_code(
            e, ERR_USAGE, "%s is a pretrained model, no data set: hone.load(\"%s\") loads it, and tokenizer=\"%s\" cuts texts for it", name, name, name);
    else if (out->recipe) {
        bool ok;
        const char *v = recipe_variant(out->recipe, variant, &ok);
        if (!ok) {
            r = out->recipe->variants ? err_set(e, "%s has no variant \"%s\"; there are: %s", name, variant, out->recipe->variants)
                                      : err_set(e, "%s has no variants; leave out variant=\"%s\"", name, variant);
        } else {
            out->variant = v;
            r = by_recipe(out, search, e);
        }
    } else {
        if (!*name) return err_code(e, ERR_USAGE, "the name of the data set is empty; give a known one (hone data ls) or a path");
        if (io_exists(name)) out->path = mem_str(name);
        for (int i = 0; !out->path && name[0] != '/' && search && search[i]; i++) {
            char *p = io_join(search[i], name);
            if (io_exists(p)) out->path = p;
            else free(p);
        }
        if (out->path) r = by_path(out, e);
        else if (strchr(name, '/') || format_known_name(name)) r = err_set(e, "there is no file or folder %s", name);
        else {
            const char *near = recipe_nearest(name);
            struct buf b = BUF_INIT;
            list_search(&b, search);
            r = err_set(e, "there is no data set %s%s%s%s; it is neither a known name (hone data ls) nor a file or folder here or in %s", name,
                near ? ", did you mean " : "", near ? near : "", near ? "?" : "", b.data);
            buf_release(&b);
        }
    }
    if (r) source_free(out);
    return r;
}
