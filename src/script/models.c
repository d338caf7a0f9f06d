/* The list of whole models in scripts/lib/hone/models.lua as commands: models shows it; model_rows and model_layers are what the engine asks for when a
 * model is given by its name. Each is a coroutine whose value becomes the call's result. Script thread. */
#include "config.h"

#include "src/script/state.h"

#include <stddef.h>
#include <string.h>

#include "src/base/mem.h"

struct named_args {
    char *name;
    struct val *args, *data;
};

struct asking {
    struct task *t;
    const char *function;
    const struct named_args *a;
};
static const char chunk[] = "local f, name, args, data = ... return require('hone.models')[f](name, args, data)";

static void push_or_nil(lua_State *L, const struct val *v) {
    if (v) val_push_lua(L, v);
    else lua_pushnil(L);
}

static int push_question(lua_State *L) {
    const struct asking *q = lua_touserdata(L, 1);
    luaL_checkstack(L, 8, "a question");
    if (safe_load_text(L, chunk, sizeof chunk - 1, "=models", 0) != LUA_OK) return lua_error(L);
    lua_pushstring(L, q->function);
    lua_pushstring(L, q->a ? q->a->name : NULL);
    push_or_nil(L, q->a ? q->a->args : NULL);
    push_or_nil(L, q->a ? q->a->data : NULL);
    if (!lua_checkstack(q->t->co, 8)) return luaL_error(L, "the script's memory is used up");
    lua_xmove(L, q->t->co, 5);
    q->t->nargs = 4;
    return 0;
}

static int ask(struct call *c, const char *function, const struct named_args *a, struct err *e) {
    struct script *s = cmds_script_of(e);
    struct task *t = s ? task_new(s, TASK_ASK, "models") : NULL;
    if (!t) return s ? err_set(e, "the script's memory is used up") : -1;
    struct asking q = {t, function, a};
    struct err why = {0};
    t->call = c;
    call_defer(c);
    lua_pushcfunction(s->L, push_question);
    lua_pushlightuserdata(s->L, &q);
    if (lua_pcall(s->L, 1, 0, 0) == LUA_OK) {
        task_start(s, t);
        return 0;
    }
    err_set(&why, "%s", lua_type(s->L, -1) == LUA_TSTRING ? lua_tostring(s->L, -1) : "the models cannot be asked");
    lua_pop(s->L, 1);
    task_end(s, t, -1, &why, NULL);
    return 0;
}

static int read_answer(lua_State *L) { /* the answer, the value */
    struct val **out = lua_touserdata(L, 1), **box = val_box(L);
    val_into(L, 2, "the answer of scripts/lib/hone/models.lua", box);
    *out = *box;
    *box = NULL;
    return 0;
}

void models_answer(struct script *s, struct task *t, int idx) {
    struct val *v = NULL;
    struct err e = {0};
    lua_pushcfunction(s->L, read_answer);
    lua_pushlightuserdata(s->L, &v);
    if (idx) lua_pushvalue(t->co, idx);
    else lua_pushnil(t->co);
    lua_xmove(t->co, s->L, 1);
    if (lua_pcall(s->L, 2, 0, 0) == LUA_OK) {
        call_result(t->call, v);
        task_end(s, t, 0, &e, NULL);
        return;
    }
    err_set(&e, "%s", lua_type(s->L, -1) == LUA_TSTRING ? lua_tostring(s->L, -1) : "the answer does not fit into the script's memory");
    lua_pop(s->L, 1);
    task_end(s, t, -1, &e, NULL);
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
