/* Handles, paths and names to objects. */
#include "config.h"

#include "engine/cmds/pick.h"

#include <stdlib.h>
#include <string.h>

#include "datasets/data_args.h"
#include "datasets/recipes/recipes.h"
#include "datasets/source.h"
#include "engine/cmds/data.h"
#include "engine/cmds/objects.h"
#include "engine/train/ckpt.h"
#include "src/base/io.h"
#include "src/base/log.h"
#include "src/base/mem.h"
#include "src/run/store.h"

static bool absent(const struct val *v) { return !v || v->type == VAL_NIL; }

static struct handle newest(enum handle_kind kind) {
    struct handle last = {0}, h;
    for (size_t i = 0; (h = objects_at(kind, i)).id; i++) last = h;
    return last;
}

struct dataset *pick_load_data(const struct val *args, const struct val *like, struct err *e) {
    struct data_args *a = mem_new(1, data_kind.size);
    char **search = data_search();
    struct dataset *d = NULL;
    if (args_parse(&data_kind, args, a, e) == 0) {
        if (like && val_get(like, "prep")) a->like = like; /* its fields prep and classes */
        d = dataset_load(a, (const char *const *)search, NULL, NULL, e);
        if (d) data_asked(d, args);
        args_release(&data_kind, a);
    }
    data_search_free(search);
    free(a);
    return d;
}

struct dataset *pick_data(const struct val *v, int *part, struct err *e) {
    return pick_data_for(v, NULL, part, e);
}

struct dataset *pick_data_of_run(const struct model *m, struct err *e) {
    struct val *run = m && m->stored ? store_describe(m->stored, NULL) : NULL;
    const struct val *asked = val_get(val_get(val_get(run, "start"), "identity"), "asked");
    struct dataset *d = asked && asked->type == VAL_TABLE ? pick_load_data(asked, m->desc, e) : NULL;
    if (asked && !d) err_wrap(e, "the data set of %s cannot be loaded again, give data=", m->stored);
    val_free(run);
    return d;
}

struct dataset *pick_data_for(const struct val *v, const struct model *m, int *part, struct err *e) {
    if (part) *part = -1;
    if (absent(v)) {
        struct dataset *d = pick_data_of_run(m, e);
        if (d || e->code) return d;
        struct handle h = newest(HANDLE_DATA);
        if (h.id && (d = objects_data(h, e))) log_write(LOG_INFO, "no data set is given: the newest is taken, %.80s", d->name);
        if (h.id) return d;
        err_code(e, ERR_USAGE, "no data set is given and none is loaded; give data=hone.data{\"imdb\"} or data=NAME");
        return NULL;
    }
    if (v->type == VAL_STR) {
        struct val *t = val_table();
        val_set_str(t, "name", v->u.s.p);
        struct dataset *d = pick_load_data(t, m ? m->desc : NULL, e);
        val_free(t);
        return d;
    }
    if (v->type == VAL_TABLE) return pick_load_data(v, m ? m->desc : NULL, e); /* {banking77, val=1000}: as hone.data takes it */
    if (v->type != VAL_HANDLE || (v->u.h.kind != HANDLE_DATA && v->u.h.kind != HANDLE_PART)) {
        err_code(e, ERR_USAGE, "data is a data set, one of its parts, a name or a path, not a %s", val_type_name(v));
        return NULL;
    }
    if (part && v->u.h.kind == HANDLE_PART) *part = (int)v->u.h.sub;
    return objects_data(v->u.h, e);
}

const struct part *pick_part(const struct dataset *d, int part, const char **name, struct err *e) {
    static const int order[] = {PART_TEST, PART_VAL, PART_TRAIN};
    for (size_t i = 0; part < 0 && i < LEN(order); i++)
        if (d->part[order[i]].n > 0) part = order[i];
    if (part < 0 || d->part[part].n == 0) {
        err_set(e, "data set %s has no %s part", d->name, part < 0 ? "filled" : part_names[part]);
        return NULL;
    }
    *name = part_names[part];
    return &d->part[part];
}

static const char *runs_folder;
void pick_runs(const char *dir) { runs_folder = dir; }

/* The checkpoint of a run's folder, of its ckpt folder or of its name that is worth most: the best where one was kept, else the newest. NULL: it is no run;
 * heap, as is the run's folder. *e is set where it is one without a whole checkpoint. */
static char *checkpoint_of(const char *path, char **folder, int64_t *step, struct err *e) {
    char *inside = io_join(path, "model.json"), *ckpt = io_join(path, "ckpt"), *named = NULL, *out = NULL;
    const char *run = io_exists(inside) ? NULL : io_is_dir(ckpt) ? path : NULL;
    if (!run && runs_folder && !strchr(path, '/') && !io_exists(path) && !recipe_find(path)) {
        named = io_join(runs_folder, path);
        free(ckpt);
        ckpt = io_join(named, "ckpt");
        if (io_is_dir(ckpt)) run = named;
    }
    struct val *meta = NULL;
    if (run && (out = ckpt_find(run, &meta, e))) {
        int64_t best = val_get_int(meta, "best_step", -1);
        *step = val_get_int(meta, "step", -1);
        char *at = best >= 0 && best != *step ? ckpt_at(out, best) : NULL;
        if (at) free(out), out = at, *step = best;
        *folder = mem_strn(run, strlen(run) - (strlen(run) > 1 && run[strlen(run) - 1] == '/'));
    }
    val_free(meta);
    free(inside);
    free(ckpt);
    free(named);
    return out;
}

/* The folder of a pretrained model of the recipe table; NULL without an error: it is none. */
static char *pretrained(const char *name, struct err *e) {
    const struct recipe *r = recipe_find(name);
    if (!r || !r->model) return NULL;
    char **search = data_search(), *folder = source_model(name, (const char *const *)search, e);
    data_search_free(search);
    return folder;
}

struct model *pick_load(const char *path, const struct hf_options *o, struct err *e) {
    struct err why = {0};
    char *folder = NULL;
    int64_t step = -1;
    char *found = checkpoint_of(path, &folder, &step, &why);
    if (!why.code && !found && !io_exists(path)) found = pretrained(path, &why);
    if (why.code) {
        *e = why;
        return NULL;
    }
    const char *at = found ? found : path;
    bool foreign = hf_is(at);
    struct model *m = NULL;
    if (!io_exists(at)) m = model_load(at, e); /* says that there is none */
    else if (!foreign && (o->pool || o->classes || o->len || o->dropout >= 0))
        err_code(e, ERR_USAGE, "pool, classes, len and dropout are for folders of transformers (config.json); %s is not one", at);
    else m = foreign ? hf_load(at, o, e) : model_load(at, e);
    if (m) m->stored = folder, m->stored_step = step;
    else free(folder);
    free(found);
    return m;
}

static bool is_run(const char *name) {
    char *dir = runs_folder && !strchr(name, '/') ? io_join(runs_folder, name) : NULL, *ckpt = dir ? io_join(dir, "ckpt") : NULL;
    bool is = ckpt && io_is_dir(ckpt);
    free(ckpt);
    free(dir);
    return is;
}

bool pick_is_stored(const char *name, char **folder, struct err *e) {
    *folder = NULL;
    if (io_exists(name)) {
        if (hf_is(name)) *folder = mem_str(name);
        return true;
    }
    if (is_run(name)) return true;
    *folder = pretrained(name, e);
    return *folder != NULL;
}

static int no_model(const char *name, struct err *e) {
    char *dir = runs_folder && *name && !strchr(name, '/') ? io_join(runs_folder, name) : NULL;
    bool run = dir && io_is_dir(dir);
    free(dir);
    if (run) return err_code(e, ERR_USAGE, "run %.100s has no checkpoint to take a model from: it ended before the first was saved", name);
    return err_code(e, ERR_USAGE, "there is no model \"%.100s\": give the path of a saved one, or a run (hone ls lists them)", name);
}

struct model *pick_model(const struct val *v, struct err *e) {
    if (absent(v)) {
        struct handle h = newest(HANDLE_MODEL);
        struct model *m = h.id ? objects_model(h, e) : NULL;
        if (m) log_write(LOG_INFO, "no model is given: the newest is taken, %.80s", val_get_str(m->desc, "name", "model"));
        if (h.id) return m;
        err_code(e, ERR_USAGE, "no model is given and none is there; give model=nn.model{...}, model=PATH or a name (hone models)");
        return NULL;
    }
    if (v->type == VAL_HANDLE && v->u.h.kind == HANDLE_MODEL) return objects_model(v->u.h, e);
    if (v->type != VAL_STR) {
        err_code(e, ERR_USAGE, "model is a model or the path of a saved one, not a %s", val_type_name(v));
        return NULL;
    }
    const struct recipe *r = recipe_find(v->u.s.p);
    if (!io_exists(v->u.s.p) && !is_run(v->u.s.p) && !(r && r->model)) {
        no_model(v->u.s.p, e);
        return NULL;
    }
    struct model *m = pick_load(v->u.s.p, &(struct hf_options){.dropout = -1}, e);
    if (m) objects_add_model(m);
    return m;
}
