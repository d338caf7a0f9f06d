/* The commands about data sets: data loads one and gives its handle; data_fetch, data_ls and data_show are the words fetch, ls and
 * show after `hone data`. All run on the helper thread, so training goes on meanwhile. */
#include "config.h"

#include "engine/cmds/data.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "datasets/data_args.h"
#include "datasets/fetch.h"
#include "datasets/recipes/recipes.h"
#include "datasets/source.h"
#include "engine/cmds/objects.h"
#include "src/base/io.h"
#include "src/base/log.h"
#include "src/base/mem.h"
#include "src/base/thread.h"
#include "src/call/call.h"
#include "src/call/settings.h"

static _Atomic bool stopping;
void data_interrupt(bool on) { atomic_store(&stopping, on); }

static void add_folder(char ***list, size_t *n, char *path_take) {
    for (size_t i = 0; i < *n; i++)
        if (!strcmp((*list)[i], path_take)) {
            free(path_take);
            return;
        }
    *list = X_GROW(*list, char *, *n + 2);
    (*list)[(*n)++] = path_take;
    (*list)[*n] = NULL;
}

static void add_colon_list(char ***list, size_t *n, const char *text) {
    for (const char *p = text; p && *p;) {
        size_t k = strcspn(p, ":");
        if (k) add_folder(list, n, mem_strn(p, k));
        p += k + (p[k] == ':');
    }
}

char **data_search(void) {
    char **list = NULL;
    size_t n = 0;
    struct settings s;
    settings_get(&s);
    dataset_set_threads((int)s.threads);
    add_colon_list(&list, &n, s.data);
    args_release(&settings_kind, &s);
    add_colon_list(&list, &n, getenv("HONE_DATA"));
    add_folder(&list, &n, mem_str("./data"));
    char *exe = io_exe_dir(); /* the samples: beside the program (links in a build tree), or where make install put them */
    static const char *const beside[] = {"share/hone/samples", "../share/hone/samples"};
    for (size_t i = 0; i < LEN(beside) && exe; i++) {
        char *p = io_join(exe, beside[i]);
        if (io_is_dir(p)) add_folder(&list, &n, p);
        else free(p);
    }
    free(exe);
    if (io_is_dir(HONE_DATADIR "/samples")) add_folder(&list, &n, mem_str(HONE_DATADIR "/samples"));
    add_folder(&list, &n, mem_str("/usr/share/datasets"));
    return list;
}

void data_search_free(char **list) {
    for (char **p = list; *p; p++) free(*p);
    free(list);
}

/* Says what goes on when it lasts: a line after 2 s, then at most one every 5 s. */
struct notice {
    double next;
};
static int on_progress(void *ctx, const char *phase, double fraction) {
    struct notice *n = ctx;
    double now = clock_now();
    if (atomic_load(&stopping)) return 1;
    if (now < n->next) return 0;
    n->next = now + 5;
    if (fraction < 0) log_write(LOG_INFO, "data: %s ..", phase);
    else log_write(LOG_INFO, "data: %s, %.0f %%", phase, 100 * fraction);
    return 0;
}

void data_asked(struct dataset *d, const struct val *args) {
    static const char *const paths[] = {"name", "tokenizer"}; /* mean the same from any folder later */
    struct val *asked = val_table();
    const struct val *first = val_at(args, 0);
    for (size_t i = 0; i < args->u.t.n_field; i++) val_set(asked, args->u.t.field[i].name, val_copy(args->u.t.field[i].v));
    if (first) val_set(asked, "name", val_copy(first));
    for (size_t i = 0; i < LEN(paths); i++) {
        const char *path = val_get_str(asked, paths[i], "");
        char *real = io_exists(path) ? realpath(path, NULL) : NULL;
        if (real) val_set_str(asked, paths[i], real);
        free(real);
    }
    val_set(d->identity, "asked", asked);
}

static int load(struct call *c, const void *args, struct err *e) {
    struct notice n = {clock_now() + 2};
    char **search = data_search();
    struct dataset *d = dataset_load(args, (const char *const *)search, on_progress, &n, e);
    data_search_free(search);
    if (!d) return -1;
    data_asked(d, c->args);
    call_result(c, val_handle(objects_add_data(d)));
    return 0;
}

/* ---- fetch ---- */
struct fetch_args {
    char *name, *to, *from, *variant;
};
#define AT(f) offsetof(struct fetch_args, f)
static const struct arg fetch_table[] = {
    {"name", "name of the data set or model", NULL, NULL, ARG_STR, AT(name), ARG_POSITIONAL | ARG_REQUIRED, AT_RUN, 0, 0, NULL, SRC_DATA},
    {"to", "folder that gets a folder NAME", NULL, "./data", ARG_PATH, AT(to), 0, AT_RUN, 0, 0, NULL, SRC_FILE},
    {"from", "an address that has the files under their own names; otherwise the publisher's", NULL, NULL, ARG_STR, AT(from)},
    {"variant", "which one of a set that has several", NULL, NULL, ARG_STR, AT(variant)}, {NULL}};

static int unknown_name(const char *name, struct err *e) {
    const char *near = recipe_nearest(name);
    return err_code(e, ERR_USAGE, "there is no known data set \"%.100s\"%s%s%s: hone data ls lists them", name, near ? "; did you mean " : "", near ? near : "",
        near ? "?" : "");
}

static int fetch(struct call *c, const void *args, struct err *e) {
    const struct fetch_args *a = args;
    struct notice n = {clock_now() + 1};
    const struct recipe *r = recipe_find(a->name);
    if (!r) return unknown_name(a->name, e);
    int got = fetch_recipe(r, a->variant, a->to, a->from, on_progress, &n, e);
    if (got < 0) return -1;
    char *path = io_join(a->to, a->name);
    struct val *v = val_table();
    val_set_str(v, "name", a->name);
    val_set_str(v, "path", path);
    val_set_bool(v, "fetched", !got);
    val_set_str(v, "licence", r->licence);
    val_set_str(v, "by", r->attribution);
    free(path);
    call_result(c, v);
    return 0;
}

/* ---- ls, show ---- */
#define LISTED 100 /* names of a list that show gives */
static int ls(struct call *c, const void *args, struct err *e) {
    (void)args, (void)e;
    char **search = data_search();
    struct val *list = val_list();
    for (const struct recipe *r = recipes; r->name; r++) {
        struct val *v = val_table();
        struct source s;
        struct err why = {0};
        bool url = r->file->url || r->python;
        val_set_str(v, "name", r->name);
        val_set_str(v, "what", r->task);
        val_set_str(v, "licence", r->licence);
        char *model = r->model ? source_model(r->name, (const char *const *)search, &why) : NULL;
        if (model) val_set_str(v, "path", model);
        else if (!r->model && !source_find(r->name, NULL, (const char *const *)search, &s, &why)) {
            val_set_str(v, "path", s.path);
            source_free(&s);
        } else val_set_str(v, "path", url ? "not here: hone data fetch" : "not here");
        free(model);
        val_push(list, v);
    }
    data_search_free(search);
    call_result(c, list);
    return 0;
}

/* A long list by its begin: 30,000 columns or classes are no answer. */
static void shorten(struct val *of, const char *name) {
    const struct val *l = val_get(of, name);
    size_t n = val_len(l);
    if (n <= LISTED) return;
    struct val *few = val_list();
    char more[48];
    for (size_t i = 0; i < LISTED; i++) val_push(few, val_copy(val_at(l, i)));
    snprintf(more, sizeof more, ".. and %zu more", n - LISTED);
    val_push(few, val_str(more));
    val_set(of, name, few);
}

/* Rows of each class in the training part. */
static struct val *class_rows(const struct dataset *d) {
    const struct part *p = &d->part[PART_TRAIN];
    const struct column *y = p->n_col ? &p->col[p->n_col - 1] : NULL;
    struct val *l = val_list();
    if (!y || y->type != COL_I32 || d->longest || p->n_col == 1) return l;
    int64_t *n = X_NEW(int64_t, (size_t)d->n_class + 1);
    for (int64_t i = 0; i < p->n; i++) {
        int32_t k = ((const int32_t *)y->data)[i];
        if (k >= 0 && k < d->n_class) n[k]++;
    }
    for (int i = 0; i < d->n_class; i++) val_push(l, val_int(n[i]));
    free(n);
    return l;
}

static int show(struct call *c, const void *args, struct err *e) {
    struct notice n = {clock_now() + 2};
    char **search = data_search();
    struct dataset *d = dataset_load(args, (const char *const *)search, on_progress, &n, e);
    data_search_free(search);
    if (!d) return -1;
    struct val *v = val_copy(d->identity), *classes = val_list(), *prep = val_table();
    for (int i = 0; i < d->n_class; i++) val_push(classes, val_str(d->class_name[i]));
    val_set(v, "classes", classes);
    val_set(v, "class_rows", class_rows(d));
    if (d->n_class > 0) val_set_int(v, "n_class", d->n_class);
    shorten(v, "classes"), shorten(v, "class_rows");
    if (val_get(v, "columns")) shorten(val_get(v, "columns"), "inputs"), shorten(val_get(v, "columns"), "left_out");
    for (size_t i = 0; i < d->prep->u.t.n_field; i++) /* without the long lists */
        if (d->prep->u.t.field[i].v->type != VAL_TABLE || (!val_get(d->prep->u.t.field[i].v, "text") && val_len(d->prep->u.t.field[i].v) <= 8))
            val_set(prep, d->prep->u.t.field[i].name, val_copy(d->prep->u.t.field[i].v));
    val_set(v, "prepared", prep);
    dataset_unref(d);
    call_result(c, v);
    return 0;
}

const struct cmd cmd_data = {{"data", "loads a data set: by name, or from a file or folder",
                                 "d = hone.data{ \"banking77\", val = 1000, vocab = 5000, len = 32 }", data_arg_table, sizeof(struct data_args)},
    OWNER_HELPER, CMD_LINE, load, NULL};
const struct cmd cmd_data_fetch = {{"data_fetch", "fetches a public data set or pretrained model into ./data, checked against its known sum",
                                       "hone.data_fetch{ \"banking77\" }", fetch_table, sizeof(struct fetch_args)},
    OWNER_HELPER, CMD_LINE, fetch, NULL};
const struct cmd cmd_data_ls = {{"data_ls", "lists the known data sets and pretrained models and where they lie", "hone.data_ls{}", NULL, 0}, OWNER_HELPER,
    CMD_LINE | CMD_WATCHER, ls, NULL};
const struct cmd cmd_data_show = {{"data_show", "what a data set is: files, sums, rows, classes, preparation", "hone.data_show{ \"german-credit\" }",
                                      data_arg_table, sizeof(struct data_args)},
    OWNER_HELPER, CMD_LINE, show, NULL};
