/* The commands about models: model makes one, load and save, clone, and what it is: summary, params, macs. Engine thread. */
#include "config.h"

#include <string.h>

#include "engine/cmds/objects.h"
#include "engine/cmds/pick.h"
#include "src/call/call.h"
#include "src/call/settings.h"

struct model_args {
    struct val *layers, *input, *classes, *data;
    char *name;
    int64_t n_class, seed;
};
struct of_args {
    struct handle model;
    char *path;
    int64_t tokens;
};
struct load_args {
    char *path;
    int pool;
    int64_t classes, len;
    double dropout;
};
static const char *const pools[] = {"auto", "first", "mean", "none", NULL};

static bool is_data(const struct val *v) { return v && v->type == VAL_HANDLE && (v->u.h.kind == HANDLE_DATA || v->u.h.kind == HANDLE_PART); }

/* The table as the user wrote it, without what is ours. */
static struct val *user_table(const struct model_args *a) {
    struct val *t = val_table();
    for (size_t i = 0; i < val_len(a->layers); i++) val_push(t, val_at(a->layers, i) ? val_copy(val_at(a->layers, i)) : val_nil());
    if (a->name) val_set_str(t, "name", a->name);
    if (a->input && !is_data(a->input)) val_set(t, "input", val_copy(a->input));
    if (a->classes) val_set(t, "classes", val_copy(a->classes));
    if (a->n_class != ARG_NONE_INT) val_set_int(t, "n_class", a->n_class);
    return t;
}

static int model_run(struct call *c, const void *args, struct err *e) {
    const struct model_args *a = args;
    struct dataset *d = NULL;
    struct settings s;
    settings_get(&s);
    int64_t seed = a->seed != ARG_NONE_INT ? a->seed : s.seed;
    args_release(&settings_kind, &s);
    const struct val *from = is_data(a->input) ? a->input : a->data;
    if (from && from->type != VAL_NIL && !(d = pick_data(from, NULL, e))) return -1;
    struct val *user = user_table(a), *desc = model_describe(user, d, e);
    struct model *m = desc ? model_new(desc, (uint64_t)seed, e) : NULL;
    val_free(user);
    if (d) dataset_unref(d);
    if (!m) return -1;
    call_result(c, val_handle(objects_add_model(m)));
    return 0;
}

/* What d needs: the model that the handle or, on the command line, the path names. */
static struct model *of(const struct of_args *a, struct err *e) {
    if (a->model.id) return objects_model(a->model, e);
    struct val *v = a->path ? val_str(a->path) : NULL;
    struct model *m = pick_model(v, e);
    val_free(v);
    return m;
}

static int summary_run(struct call *c, const void *args, struct err *e) {
    const struct model *m = of(args, e);
    struct buf b = BUF_INIT;
    if (!m) return -1;
    model_summary(m, &b);
    call_result(c, val_strn(b.data ? b.data : "", b.len));
    buf_release(&b);
    return 0;
}

static int params_run(struct call *c, const void *args, struct err *e) {
    const struct model *m = of(args, e);
    if (!m) return -1;
    call_result(c, val_int(model_params(m)));
    return 0;
}

/* Tokens of one example of a text model: as given, else the length texts are cut to, else 128. */
static int macs_run(struct call *c, const void *args, struct err *e) {
    const struct of_args *a = args;
    const struct model *m = of(a, e);
    if (!m) return -1;
    int64_t tokens = a->tokens != ARG_NONE_INT ? a->tokens : val_get_int(val_at(val_get(m->desc, "input"), 0), "len", 128), n = model_macs(m, tokens, e);
    if (n < 0) return -1;
    call_result(c, val_int(n));
    return 0;
}

static int clone_run(struct call *c, const void *args, struct err *e) {
    const struct model *m = of(args, e);
    struct model *copy = m ? model_clone(m) : NULL;
    if (m && !copy) return err_set(e, "there is not enough memory for a copy of %zu MiB", m->bytes >> 20);
    if (!copy) return -1;
    call_result(c, val_handle(objects_add_model(copy)));
    return 0;
}

static int save_run(struct call *c, const void *args, struct err *e) {
    const struct of_args *a = args;
    struct of_args self = {a->model, NULL, 0};
    const struct model *m = of(&self, e);
    if (!m || model_save(m, a->path, e) < 0) return -1;
    call_result(c, val_str(a->path));
    return 0;
}

static int load_run(struct call *c, const void *args, struct err *e) {
    const struct load_args *a = args;
    struct settings s;
    settings_get(&s);
    struct hf_options o = {
        a->pool ? pools[a->pool] : NULL, a->classes == ARG_NONE_INT ? 0 : a->classes, a->len == ARG_NONE_INT ? 0 : a->len, a->dropout, (uint64_t)s.seed};
    args_release(&settings_kind, &s);
    struct model *m = pick_load(a->path, &o, e);
    if (!m) return -1;
    call_result(c, val_handle(objects_add_model(m)));
    return 0;
}

static const struct arg model_table[] = {
    {"layers", "layers, one after another", NULL, NULL, ARG_TABLE, offsetof(struct model_args, layers), ARG_POSITIONAL | ARG_REST, 0, 0, 0, NULL, SRC_LAYER},
    {"input", "a data set, or the shape of one example", NULL, NULL, ARG_VAL, offsetof(struct model_args, input), 0, 0, 0, 0, NULL, SRC_DATA},
    {"name", "name of the model", NULL, NULL, ARG_STR, offsetof(struct model_args, name)},
    {"classes", "names of the classes, a list", NULL, NULL, ARG_VAL, offsetof(struct model_args, classes)},
    {"n_class", "number of classes", NULL, NULL, ARG_INT, offsetof(struct model_args, n_class), 0, 0, 1, 1e9},
    {"data", "a data set for classes and preparation where input is a shape", NULL, NULL, ARG_VAL, offsetof(struct model_args, data), 0, 0, 0, 0, NULL,
        SRC_DATA},
    {"seed", "seed of the first weights; the session's if not given", NULL, NULL, ARG_INT, offsetof(struct model_args, seed), 0, 0, 0, 9e15},
    {NULL},
};
#define MODEL \
    { "model", "the model", NULL, NULL, ARG_HANDLE, offsetof(struct of_args, model), ARG_POSITIONAL }
#define PATH(flags) \
    { "path", "a saved model", NULL, NULL, ARG_PATH, offsetof(struct of_args, path), ARG_POSITIONAL | (flags), 0, 0, 0, NULL, SRC_FILE }
static const struct arg of_table[] = {MODEL, PATH(0), {NULL}};
static const struct arg macs_table[] = {
    MODEL,
    PATH(0),
    {"tokens", "tokens of one text", NULL, NULL, ARG_INT, offsetof(struct of_args, tokens), 0, 0, 1, 1e9},
    {NULL},
};
static const struct arg save_table[] = {
    MODEL,
    {"path", "folder, or a file PATH.hone", NULL, NULL, ARG_PATH, offsetof(struct of_args, path), ARG_POSITIONAL | ARG_REQUIRED, 0, 0, 0, NULL, SRC_FILE},
    {NULL},
};
static const struct arg load_table[] = {
    {"path", "a saved model, a folder of transformers with config.json and model.safetensors, or the name of a known one", NULL, NULL, ARG_PATH,
        offsetof(struct load_args, path), ARG_POSITIONAL | ARG_REQUIRED, 0, 0, 0, NULL, SRC_FILE},
    {"pool", "of a folder of transformers: what becomes of the tokens", NULL, "auto", ARG_ENUM, offsetof(struct load_args, pool), 0, 0, 0, 0, pools},
    {"classes", "of a folder of transformers: puts a new head with so many classes behind it", NULL, NULL, ARG_INT, offsetof(struct load_args, classes), 0, 0,
        1, 1e6},
    {"len", "of a folder of transformers: texts are cut to so many tokens; default 128", NULL, NULL, ARG_INT, offsetof(struct load_args, len), 0, 0, 1,
        1 << 20},
    {"dropout", "of a folder of transformers: share dropped in training; default as config.json says", NULL, NULL, ARG_NUM, offsetof(struct load_args, dropout),
        0, 0, 0, 0.999},
    {NULL},
};

extern const struct cmd cmd_model, cmd_summary, cmd_params, cmd_macs, cmd_clone, cmd_save, cmd_load;
const struct cmd cmd_model = {
    {"model", "makes a model", "m = nn.model{ input = d, nn.flatten{}, nn.linear{10} }", model_table, sizeof(struct model_args)}, OWNER_ENGINE, 0, model_run};
const struct cmd cmd_summary = {{"summary", "a table of the model's layers", "print(m:summary())", of_table, sizeof(struct of_args)}, OWNER_ENGINE,
    CMD_WHILE_RUNNING | CMD_WATCHER | CMD_LINE, summary_run};
const struct cmd cmd_params = {{"params", "number of trainable parameters", "print(m:params())", of_table, sizeof(struct of_args)}, OWNER_ENGINE,
    CMD_WHILE_RUNNING | CMD_WATCHER, params_run};
const struct cmd cmd_macs = {
    {"macs", "multiply-adds of one example", "print(m:macs())", macs_table, sizeof(struct of_args)}, OWNER_ENGINE, CMD_WHILE_RUNNING | CMD_WATCHER, macs_run};
const struct cmd cmd_clone = {{"clone", "a copy of the model", "m2 = m:clone()", of_table, sizeof(struct of_args)}, OWNER_ENGINE, CMD_WHILE_RUNNING, clone_run};
const struct cmd cmd_save = {{"save", "saves the model", "m:save(\"best\")", save_table, sizeof(struct of_args)}, OWNER_ENGINE, CMD_WHILE_RUNNING, save_run};
const struct cmd cmd_load = {
    {"load", "loads a saved model", "m = hone.load(\"best\")", load_table, sizeof(struct load_args)}, OWNER_ENGINE, CMD_WHILE_RUNNING, load_run};
