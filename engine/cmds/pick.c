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
#include "src/base/mem.h"
#include "src/call/settings.h"

static bool absent(const struct val *v) { return !v || v->type == VAL_NIL; }

static struct handle newest(enum handle_kind kind) {
    struct handle last = {0}, h;
    for (size_t i = 0; (h = objects_at(kind, i)).id; i++) last = h;
    return last;
}

static struct dataset *load_like(const struct val *args, const struct model *m, struct err *e) {
    struct data_args *a = mem_new(1, data_kind.size);
    char **search = data_search();
    struct dataset *d = NULL;
    if (args_parse(&data_kind, args, a, e) == 0) {
        if (m && val_get(m->desc, "prep")) a->like = m->desc; /* its fields prep and classes */
        d = dataset_load(a, (const char *const *)search, NULL, NULL, e);
        if (d) data_asked(d, args);
        args_release(&data_kind, a);
    }
    data_search_free(search);
    free(a);
    return d;
}

struct dataset *pick_load_data(const struct val *args, struct err *e) {
    return load_like(args, NULL, e);
}

struct dataset *pick_data(const struct val *v, int *part, struct err *e) {
    return pick_data_for(v, NULL, part, e);
}

struct dataset *pick_data_for(const struct val *v, const struct model *m, int *part, struct err *e) {
    if (part) *part = -1;
    if (absent(v)) {
        struct handle h = newest(HANDLE_DATA);
        if (h.id) return objects_data(h, e);
        err_code(e, ERR_USAGE, "no data set is given and none is loaded; give data=hone.data{\"imdb\"} or data=NAME");
        return NULL;
    }
    if (v->type == VAL_STR) {
        struct val *t = val_table();
        val_set_str(t, "name", v->u.s.p);
        struct dataset *d = load_like(t, m, e);
        val_free(t);
        return d;
    }
    if (v->type == VAL_TABLE) return load_like(v, m, e); /* {banking77, val=1000}: as hone.data takes it */
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

static struct val *layer(const char *kind, int64_t size) {
    struct val *l = val_table();
    val_set_str(l, "layer", kind);
    if (size > 0) val_push(l, val_int(size));
    return l;
}

static bool has_texts(const struct dataset *d) { return d->part[PART_TRAIN].n_col > 0 && d->part[PART_TRAIN].col[0].type == COL_TOKENS; }

struct val *pick_known(const char *name, const struct dataset *d) {
    struct val *t = val_table();
    int64_t out = d->n_class > 0 ? d->n_class : 1;
    bool text = has_texts(d), image = !text && d->part[PART_TRAIN].n_col > 0 && d->part[PART_TRAIN].col[0].ndim > 1;
    val_set_str(t, "name", name);
    if (strcmp(name, "bag") == 0 && text) {
        val_push(t, layer("embedding", 0));
        struct val *e = val_at(t, 0);
        val_push(e, val_int(d->part[PART_TRAIN].col[0].max_id));
        val_push(e, val_int(128));
        val_push(t, layer("mean_pool", 0));
    } else if ((strcmp(name, "mlp") == 0 || strcmp(name, "linear") == 0) && !text) {
        if (image) val_push(t, layer("flatten", 0));
        if (strcmp(name, "mlp") == 0) {
            val_push(t, layer("linear", 512));
            val_push(t, layer("relu", 0));
        }
    } else {
        val_free(t);
        return NULL;
    }
    val_push(t, layer("linear", out));
    return t;
}

static const char *runs_at;
void pick_runs(const char *dir) { runs_at = dir; }

/* The checkpoint of a run's folder, of its ckpt folder or of its name that is worth most: the best where one was kept, else the newest. NULL: it is no run;
 * heap, as is the run's folder. *e is set where it is one without a whole checkpoint. */
static char *checkpoint_of(const char *path, char **folder, int64_t *step, struct err *e) {
    char *inside = io_join(path, "model.json"), *ckpt = io_join(path, "ckpt"), *named = NULL, *out = NULL;
    const char *run = io_exists(inside) ? NULL : io_is_dir(ckpt) ? path : NULL;
    if (!run && runs_at && !strchr(path, '/') && !io_exists(path) && !recipe_find(path)) {
        named = io_join(runs_at, path);
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

struct model *pick_load(const char *path, const struct hf_options *o, struct err *e) {
    struct err why = {0};
    char *folder = NULL;
    int64_t step = -1;
    char *found = checkpoint_of(path, &folder, &step, &why);
    const struct recipe *r = found || io_exists(path) ? NULL : recipe_find(path);
    if (why.code) {
        *e = why;
        return NULL;
    }
    if (r && r->model) {
        char **search = data_search();
        found = source_model(path, (const char *const *)search, e);
        data_search_free(search);
        if (!found) return NULL;
    }
    const char *at = found ? found : path;
    bool foreign = hf_is(at);
    struct model *m = NULL;
    if (!foreign && (o->pool || o->classes || o->len || o->dropout >= 0))
        err_code(e, ERR_USAGE, "pool, classes, len and dropout are for folders of transformers (config.json); %s is not one", at);
    else m = foreign ? hf_load(at, o, e) : model_load(at, e);
    if (m) m->stored = folder, m->stored_step = step;
    else free(folder);
    free(found);
    return m;
}

static bool pick_is_run(const char *name) {
    char *dir = runs_at && !strchr(name, '/') ? io_join(runs_at, name) : NULL, *ckpt = dir ? io_join(dir, "ckpt") : NULL;
    bool is = ckpt && io_is_dir(ckpt);
    free(ckpt);
    free(dir);
    return is;
}

static struct model *make_known(const char *name, const struct dataset *d, struct err *e) {
    struct val *user = d ? pick_known(name, d) : NULL;
    if (!user) {
        bool known = strcmp(name, "mlp") == 0 || strcmp(name, "linear") == 0 || strcmp(name, "bag") == 0;
        if (d && known)
            err_code(e, ERR_USAGE, "model \"%s\" takes %s and %.60s holds %s: %s, or nn.model{..} in a script", name,
                strcmp(name, "bag") == 0 ? "texts" : "values or images", d->name, has_texts(d) ? "texts" : "values or images",
                has_texts(d) ? "model=bag" : "model=mlp or model=linear");
        else
            err_code(e, ERR_USAGE, "there is no model \"%s\": give the path of a saved one%s", name, d ? ", or mlp, linear (values, images), bag (texts)" : "");
        return NULL;
    }
    struct settings s;
    settings_get(&s);
    struct val *desc = model_describe(user, d, e);
    struct model *m = desc ? model_new(desc, (uint64_t)s.seed, e) : NULL;
    args_release(&settings_kind, &s);
    val_free(user);
    return m;
}

struct model *pick_model(const struct val *v, const struct dataset *d, struct err *e) {
    if (absent(v)) {
        struct handle h = newest(HANDLE_MODEL);
        if (h.id) return objects_model(h, e);
        err_code(e, ERR_USAGE, "no model is given and none is there; give model=nn.model{...} or model=PATH");
        return NULL;
    }
    if (v->type == VAL_HANDLE && v->u.h.kind == HANDLE_MODEL) return objects_model(v->u.h, e);
    if (v->type != VAL_STR) {
        err_code(e, ERR_USAGE, "model is a model or the path of a saved one, not a %s", val_type_name(v));
        return NULL;
    }
    const struct recipe *r = recipe_find(v->u.s.p);
    struct model *m = io_exists(v->u.s.p) || (r && r->model) || pick_is_run(v->u.s.p) ? pick_load(v->u.s.p, &(struct hf_options){.dropout = -1}, e)
                                                                                      : make_known(v->u.s.p, d, e);
    if (m) objects_add_model(m);
    return m;
}
