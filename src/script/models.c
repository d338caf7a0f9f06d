/* The list of whole models in scripts/lib/hone/models.lua as commands: models shows it; model_rows and model_layers are what the engine asks for when a
 * model is given by its name. Script thread. */
#include "config.h"

#include "src/script/state.h"

#include <stddef.h>

struct named_args {
    char *name;
    struct val *args, *data;
};

static int ask(struct call *c, const char *function, const struct named_args *a, struct err *e) {
    struct val *name = a && a->name ? val_str(a->name) : NULL;
    int rc = cmds_ask(c, "hone.models", function, (const struct val *const[]){name, a ? a->args : NULL, a ? a->data : NULL}, e);
    val_free(name);
    return rc;
}

static int run_models(struct call *c, const void *args, struct err *e) { return ask(c, "show", args, e); }
static int run_rows(struct call *c, const void *args, struct err *e) {
    (void)args;
    return ask(c, "list", NULL, e);
}
static int run_layers(struct call *c, const void *args, struct err *e) { return ask(c, "spec", args, e); }

#define AT(f) offsetof(struct named_args, f)
static const struct arg models_argv[] = {
    {"name", "one of them: its arguments; all without", NULL, NULL, ARG_STR, AT(name), ARG_POSITIONAL, .source = SRC_MODEL},
    {NULL},
};
static const struct arg layers_argv[] = {
    {"name", "the model", NULL, NULL, ARG_STR, AT(name), ARG_POSITIONAL | ARG_REQUIRED, .source = SRC_MODEL},
    {"args", "its arguments", NULL, NULL, ARG_TABLE, AT(args), 0},
    {"data", "what the data are: kind, classes, ids, len, shape, sequence", NULL, NULL, ARG_TABLE, AT(data), 0},
    {NULL},
};
const struct cmd cmd_models = {
    {"models", "lists the whole models that can be given by name, as in hone.train{ model = \"resnet20\" }; or the arguments of one", "hone.models{}",
        models_argv, sizeof(struct named_args)},
    OWNER_SCRIPT,
    CMD_LINE | CMD_WHILE_RUNNING | CMD_WATCHER,
    run_models,
    NULL,
};
const struct cmd cmd_model_rows = {
    {"model_rows", "the models as the engine reads them", NULL, NULL, 0}, OWNER_SCRIPT, CMD_HIDDEN | CMD_WATCHER, run_rows, NULL};
const struct cmd cmd_model_layers = {{"model_layers", "the layers of a model for a data set", NULL, layers_argv, sizeof(struct named_args)}, OWNER_SCRIPT,
    CMD_HIDDEN | CMD_WATCHER, run_layers, NULL};
