/* A model and the data set it is for, named together: hone.train{ model = "resnet20", data = "pictures/" }. The model's row in scripts/lib/hone/models.lua
 * says how its data are read and what it wants; its layers come from there too, by the hidden commands model_rows and model_layers of the script thread, which
 * this thread asks at a job's boundary. A folder of transformers gives its tokenizer to the texts and gets a head for their classes; a saved model its whole
 * preparation. Engine thread. */
#include "config.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "datasets/formats/format.h"
#include "datasets/recipes/recipes.h"
#include "engine/cmds/objects.h"
#include "engine/cmds/pick.h"
#include "src/base/io.h"
#include "src/base/log.h"
#include "src/base/err.h"
#include "src/base/queue.h"
#include "src/base/thread.h"
#include "src/call/job.h"
#include "src/call/settings.h"

/* ---- asking the script thread ---- */

enum { ANSWERS = 16, POLL_MS = 20 };
static struct queue answers; /* stays: the answer to a question that was given up finds its slot */
static size_t given_up;

/* The result of a command of the script thread. The script may be in the middle of something: the job's world goes on meanwhile. */
static struct val *ask(struct job *j, const char *name, struct val *args_take, struct err *e) {
    static char token;
    struct call *c;
    if (!answers.slot && queue_init(&answers, ANSWERS) != 0) {
        val_free(args_take);
        err_sys(e, "make", "a queue");
        return NULL;
    }
    for (; given_up && (c = queue_get(&answers, 0)); given_up--) call_free(c);
    c = call_new(j->hub, name, args_take, BY_HONE, e);
    if (!c || call_submit(c, &answers, &token, e) != 0) return NULL;
    double said = clock_now() + 2;
    while (!(c = queue_get(&answers, POLL_MS))) {
        if (job_boundary(j) != STOP_NONE) {
            given_up++;
            err_code(e, ERR_STOPPED, "%s was stopped while it waited for the script", j->call->cmd->kind.name);
            return NULL;
        }
        if (clock_now() > said) log_write(LOG_INFO, "the model is named, and its layers come from the script thread, which is busy: waiting"), said = HUGE_VAL;
    }
    struct val *v = c->status == 0 ? c->result : NULL;
    c->result = NULL;
    if (c->status != 0) {
        *e = c->err;
        e->code = e->code == ERR_STOPPED ? ERR_STOPPED : ERR_USAGE;
    } else if (!v || v->type != VAL_TABLE) err_set(e, "scripts/lib/hone/models.lua answers %s with nothing", name);
    call_free(c);
    return v && v->type == VAL_TABLE ? v : NULL;
}

/* ---- what the data are ---- */

static const char *kind_of(const struct dataset *d) {
    const struct part *p = &d->part[PART_TRAIN];
    const struct column *x = p->n_col ? &p->col[0] : NULL;
    if (!x || d->n_input != 1) return "several inputs";
    if (x->type == COL_TOKENS) return p->n_col > 1 && p->col[1].type == COL_TOKENS ? "stream" : "texts";
    if (x->type == COL_U8) return x->ndim >= 2 ? "pictures" : "values";
    if (x->type == COL_F32) return x->ndim == 3 ? "pictures" : x->ndim == 2 ? "frames" : "values";
    return "ids";
}

static void say_data(struct buf *b, const struct dataset *d, const char *kind) {
    const struct column *x = &d->part[PART_TRAIN].col[0];
    buf_addf(b, "%.60s has ", d->name);
    if (strcmp(kind, "values") == 0) buf_addf(b, "%lld number%s a row", (long long)x->width, x->width == 1 ? "" : "s");
    else if (strcmp(kind, "stream") == 0) buf_adds(b, "a stream of tokens");
    else buf_adds(b, kind);
}

static struct val *facts_of(const struct dataset *d, const char *kind) {
    const struct column *x = &d->part[PART_TRAIN].col[0];
    struct val *v = val_table(), *shape = val_list();
    for (int i = 0; i < x->ndim; i++) val_push(shape, val_int(x->dim[i]));
    val_set_str(v, "kind", kind);
    val_set_int(v, "classes", d->n_class > 0 ? d->n_class : 1);
    val_set(v, "shape", shape);
    if (x->type == COL_TOKENS) val_set_int(v, "ids", x->max_id);
    if (x->type == COL_TOKENS && d->len > 0) val_set_int(v, "len", d->len);
    else if (strcmp(kind, "stream") == 0) val_set_int(v, "len", x->offset[1]);
    if (d->longest > 0) val_set_bool(v, "sequence", true);
    return v;
}

static bool wants(const struct val *row, const char *kind) {
    const struct val *list = val_get(row, "wants");
    for (size_t i = 0; i < val_len(list); i++)
        if (val_at(list, i)->type == VAL_STR && strcmp(val_at(list, i)->u.s.p, kind) == 0) return true;
    return false;
}

static int misfit(const struct val *rows, const struct val *row, const struct dataset *d, const char *kind, struct err *e) {
    struct buf b = BUF_INIT, near = BUF_INIT;
    bool shape = wants(row, kind);
    for (size_t i = 0, n = 0; i < val_len(rows) && n < 3; i++)
        if (wants(val_at(rows, i), kind) && (!d->longest || val_get_bool(val_at(rows, i), "sequence", false)))
            buf_addf(&near, "%smodel=%s", n++ ? ", " : ": ", val_get_str(val_at(rows, i), "name", ""));
    const struct val *list = val_get(row, "wants");
    buf_addf(&b, "%s wants ", val_get_str(row, "name", ""));
    for (size_t i = 0; i < val_len(list); i++) buf_addf(&b, "%s%s", i ? " or " : "", val_at(list, i)->type == VAL_STR ? val_at(list, i)->u.s.p : "?");
    if (shape) buf_addf(&b, " with one target a row; %.60s has sequences as targets", d->name);
    else buf_adds(&b, "; "), say_data(&b, d, kind);
    err_code(e, ERR_USAGE, "%s%s", b.data, near.len ? near.data : ": write the model with nn.model{..} in a script");
    buf_release(&b);
    buf_release(&near);
    return -1;
}

/* ---- loading ---- */

/* data= as a table of hone.data's arguments that may be added to; NULL: it is no name. */
static struct val *data_table(const struct val *v) {
    if (v && v->type == VAL_TABLE) return val_copy(v);
    if (!v || v->type != VAL_STR) return NULL;
    struct val *t = val_table();
    val_set(t, "name", val_copy(v));
    return t;
}

static void set_default(struct val *t, const char *name, const struct val *v) {
    if (v && !val_get(t, name)) val_set(t, name, val_copy(v));
}

/* A file of rows, a folder or a known set with targets is no plain text, whatever the model wants. */
static bool may_stream(const struct val *t) {
    const struct val *first = val_at(t, 0);
    const char *name = val_get_str(t, "name", first && first->type == VAL_STR ? first->u.s.p : "");
    const struct recipe *r = strchr(name, '/') ? NULL : recipe_find(name);
    return r ? r->stream : !io_is_dir(name) && (strstr(name, ".txt") || !format_known_name(name));
}

/* Named data are read with these defaults, a data set that is there is taken as it is. */
static struct dataset *load_with(const struct val *data, const struct val *defaults, int *part, struct err *e) {
    struct val *t = data_table(data);
    if (!t) return pick_data(data, part, e);
    for (size_t i = 0; defaults && defaults->type == VAL_TABLE && i < defaults->u.t.n_field; i++)
        if (strcmp(defaults->u.t.field[i].name, "stream") != 0 || may_stream(t)) set_default(t, defaults->u.t.field[i].name, defaults->u.t.field[i].v);
    *part = -1;
    struct dataset *d = pick_load_data(t, NULL, e);
    val_free(t);
    return d;
}

/* ---- a name of the list ---- */

static const struct val *find_row(const struct val *rows, const char *name, struct err *e) {
    const char *names[256];
    size_t n = 0;
    for (size_t i = 0; i < val_len(rows) && n < LEN(names); i++) {
        names[n] = val_get_str(val_at(rows, i), "name", "");
        if (strcmp(names[n++], name) == 0) return val_at(rows, i);
    }
    for (const struct recipe *r = recipes; r->name && n < LEN(names); r++)
        if (r->model) names[n++] = r->name;
    const char *near = args_nearest(name, names, n);
    if (near) err_code(e, ERR_USAGE, "there is no model \"%.100s\"; did you mean %s?", name, near);
    else
        err_code(e, ERR_USAGE,
            "there is no model \"%.100s\": hone models lists those that have a name; else give the path of a saved one, a run, or a folder of transformers",
            name);
    return NULL;
}

static uint64_t session_seed(void) {
    struct settings s;
    settings_get(&s);
    uint64_t seed = (uint64_t)s.seed;
    args_release(&settings_kind, &s);
    return seed;
}

static struct model *build(struct job *j, const char *name, const struct val *given, const struct dataset *d, const char *kind, struct err *e) {
    struct val *q = val_table(), *args = val_table();
    for (size_t i = 0; given && i < given->u.t.n_field; i++) val_set(args, given->u.t.field[i].name, val_copy(given->u.t.field[i].v));
    val_set_str(q, "name", name);
    val_set(q, "args", args);
    val_set(q, "data", facts_of(d, kind));
    struct val *spec = ask(j, "model_layers", q, e), *desc = spec ? model_describe(spec, d, e) : NULL;
    val_free(spec);
    bool built = spec != NULL;
    struct model *m = desc ? model_new(desc, session_seed(), e) : NULL;
    if (!m && built) err_wrap(e, "model %s", name);
    return m;
}

/* given: the table {NAME, ARG=..}, or NULL. */
static int named(struct job *j, const char *name, const struct val *given, const struct val *data, struct pair *out, struct err *e) {
    struct val *rows = ask(j, "model_rows", NULL, e);
    const struct val *row = rows ? find_row(rows, name, e) : NULL;
    if (row && (out->d = load_with(data, val_get(row, "read"), &out->part, e))) {
        const char *kind = kind_of(out->d);
        bool fits = wants(row, kind) && (!out->d->longest || val_get_bool(row, "sequence", false));
        if (!fits) misfit(rows, row, out->d, kind, e);
        else out->m = build(j, name, given, out->d, kind, e);
        if (out->m) objects_add_model(out->m);
    }
    val_free(rows);
    return out->m ? 0 : -1;
}

/* ---- folders of transformers, saved models ---- */

static bool same_cut(const struct val *a, const struct val *b) {
    const struct val *x = val_get(a, "tokenizer"), *y = val_get(b, "tokenizer");
    return x && y && val_equal(x, y);
}

static bool has_head(const struct model *m) {
    const struct val *list = val_get(m->desc, "layers");
    return val_len(list) && strcmp(val_get_str(val_at(list, val_len(list) - 1), "name", ""), "head") == 0;
}

/* The texts are cut by the folder's tokenizer; a head with as many outputs as there are classes, the folder's own if it has that. */
static int foreign(const char *path, const struct val *data, struct pair *out, struct err *e) {
    struct hf_options o = {.dropout = -1, .seed = session_seed()};
    struct val *t = data_table(data), *defaults = val_table();
    char *real = realpath(path, NULL);
    o.len = val_get_int(t, "len", 0);
    struct model *m = hf_load(path, &o, e);
    const struct val *prep = m ? val_get(m->desc, "prep") : NULL;
    if (m && !prep) err_set(e, "%s has no tokenizer.json or vocab.txt, so it cannot say how texts are cut: load it and the data in a script", path);
    if (prep) {
        val_set_str(defaults, "tokenizer", real ? real : path);
        val_set(defaults, "len", val_int(val_get_int(prep, "len", 128)));
        out->d = load_with(data, defaults, &out->part, e);
    }
    if (out->d) {
        struct dataset *d = out->d;
        const char *kind = kind_of(d);
        struct buf b = BUF_INIT;
        int64_t outputs = d->n_class > 0 ? d->n_class : 1;
        say_data(&b, d, kind);
        if (strcmp(kind, "texts") != 0 || d->longest) err_code(e, ERR_USAGE, "%s wants texts, each with one target; %s", path, b.data);
        else if (!same_cut(prep, d->prep))
            err_code(e, ERR_USAGE, "the texts of %.60s were not cut by the tokenizer of %s: name the data here, or load them with tokenizer=\"%s\"", d->name,
                path, path);
        else if (has_head(m) && model_outputs(m, NULL) == outputs) out->m = m, m = NULL;
        else {
            o.classes = outputs;
            o.len = d->len;
            out->m = hf_load(path, &o, e);
        }
        buf_release(&b);
    }
    model_free(m);
    free(real);
    val_free(t);
    val_free(defaults);
    if (!out->m) return -1;
    model_name_classes(out->m, out->d);
    const struct val *scale = val_get(out->d->prep, "target");
    if (scale) val_set(val_get(out->m->desc, "prep"), "target", val_copy(scale));
    objects_add_model(out->m);
    return 0;
}

static int stored(const struct val *model, const struct val *data, struct pair *out, struct err *e) {
    out->m = pick_model(model, e);
    if (out->m) out->d = pick_data_for(data, out->m, &out->part, e);
    return out->d ? 0 : -1;
}

int pick_pair(struct job *j, const struct val *model, const struct val *data, struct pair *out, struct err *e) {
    const struct val *first = model && model->type == VAL_TABLE ? val_at(model, 0) : model;
    const char *name = first && first->type == VAL_STR ? first->u.s.p : NULL;
    char *folder = NULL;
    int rc;
    *out = (struct pair){.part = -1};
    if (model && model->type == VAL_TABLE && (!name || val_len(model) != 1))
        return err_code(
            e, ERR_USAGE, "model={..} is the name of a model and its arguments, as {\"resnet\", depth=32}; layers are made into one with nn.model{..}");
    if (!name || (model->type != VAL_TABLE && pick_is_stored(name, &folder, e))) rc = folder ? foreign(folder, data, out, e) : stored(model, data, out, e);
    else rc = e->code ? -1 : named(j, name, model->type == VAL_TABLE ? model : NULL, data, out, e);
    free(folder);
    if (rc == 0) return 0;
    if (out->d) dataset_unref(out->d);
    *out = (struct pair){.part = -1};
    return -1;
}
