/* The table hone, made from the command rows: hone.NAME{...} is a call of that command; h:NAME(...) the command whose first
 * argument is the handle h. There is no code for single commands here, but for what takes a Lua function (on). */
#include "config.h"

#include "src/script/state.h"

#include <string.h>

#include "src/base/mem.h"

#define HANDLE_META "hone.handle"

static const enum by by_of[] = {
    [TASK_PROMPT] = BY_PROMPT,
    [TASK_SCRIPT] = BY_SCRIPT,
    [TASK_LUA] = BY_SCRIPT,
    [TASK_CALLBACK] = BY_SCRIPT,
    [TASK_CONFIG] = BY_CONFIG,
    [TASK_ASK] = BY_SCRIPT,
};

/* ---- calls ---- */
static void keep_job(struct task *t, const struct val *v) {
    if (t->kind != TASK_SCRIPT || v->type != VAL_HANDLE || (v->u.h.kind != HANDLE_RUN && v->u.h.kind != HANDLE_JOB)) return;
    t->jobs = X_GROW(t->jobs, struct handle, t->n_jobs + 1);
    t->jobs[t->n_jobs++] = v->u.h;
}

/* Gives a job's result, and how a run ended, the methods of scripts/lib/hone/report.lua. */
static void dress(lua_State *L, const struct cmd *cmd) {
    if (!lua_istable(L, -1) || (!cmd->job && strcmp(cmd->kind.name, "wait") != 0)) return;
    lua_getglobal(L, "require");
    lua_pushliteral(L, "hone.report");
    if (lua_pcall(L, 1, 1, 0) == LUA_OK && lua_istable(L, -1)) {
        lua_getfield(L, -1, "wrap");
        lua_pushvalue(L, -3);
        lua_pushstring(L, cmd->kind.name);
        if (lua_pcall(L, 2, 0, 0) != LUA_OK) lua_pop(L, 1);
    }
    lua_pop(L, 1);
}

/* The job of an evaluation that was interrupted: nobody waits for it any more. */
static void stop_job(struct script *s, const struct cmd *cmd, const struct val *args) {
    struct job *all[16];
    for (size_t n = hub_jobs(s->hub, all, LEN(all)); n-- > 0;) {
        if (all[n]->call->cmd != cmd || hub_job_state(s->hub, all[n]) >= JOB_DONE || !val_equal(all[n]->call->args, args)) continue;
        hub_stop(s->hub, all[n], STOP_NOW);
        return;
    }
}

static int finish(lua_State *L, int status, lua_KContext ctx) {
    struct script *s = state_of(L);
    struct wait *w = (struct wait *)ctx;
    struct call *c = w->done;
    const struct cmd *cmd = w->cmd;
    struct val **box = w->box;
    (void)status;
    if (!c || w->interrupted) {
        if (w->args) stop_job(s, cmd, w->args);
        task_abandon(w);
        return state_interrupt(L);
    }
    task_wait_free(w);
    if (c->status != 0) {
        char text[ERR_TEXT];
        if (s->cur) s->cur->err = c->err;
        memcpy(text, c->err.text, sizeof text);
        call_free(c);
        return luaL_error(L, "%s", text[0] ? text : "the command failed");
    }
    *box = c->result;
    c->result = NULL;
    call_free(c);
    if (*box && s->cur && cmd->job && !(cmd->flags & CMD_WAIT)) keep_job(s->cur, *box);
    val_push_lua(L, *box);
    val_free(*box);
    *box = NULL;
    dress(L, cmd);
    return 1;
}

/* A command whose only argument is a table takes a table of free names whole: hone.result{acc=0.9}. */
static void whole_table(const struct cmd *cmd, struct val **args) {
    const struct arg *a = cmd->kind.args;
    if (!a || !a[0].name || a[1].name || a[0].type != ARG_TABLE || !*args || (*args)->u.t.n_field == 0 || val_get(*args, a[0].name)) return;
    struct val *outer = val_table();
    val_set(outer, a[0].name, *args);
    *args = outer;
}

int bind_call(lua_State *L, const char *name, struct val **args) {
    struct script *s = state_of(L);
    struct err e = {0};
    const struct cmd *cmd = hub_find(s->hub, name);
    if (!cmd) return luaL_error(L, "this build of hone has no command %s", name);
    whole_table(cmd, args);
    struct val *taken = *args;
    *args = NULL;
    struct call *c = call_new(s->hub, name, taken, s->cur ? by_of[s->cur->kind] : BY_SCRIPT, &e);
    if (!c) return luaL_error(L, "%s", e.text);
    struct wait *w = X_NEW(struct wait, 1);
    w->task = s->cur;
    w->cmd = cmd;
    if (cmd->job && (cmd->flags & CMD_WAIT)) w->args = val_copy(c->args);
    w->box = args;
    if (call_submit(c, &s->replies, w, &e) != 0) {
        task_wait_free(w);
        return luaL_error(L, "%s", e.text);
    }
    s->outstanding++;
    return task_wait(L, w, finish);
}

/* The arguments from stack index `first` on: one plain table is the argument table itself, anything else is positional. */
static void read_args(lua_State *L, const char *name, int first, int last, struct val **args) {
    if (last == first && lua_istable(L, first) && !lua_getmetatable(L, first)) {
        val_into(L, first, name, args);
        return;
    }
    *args = val_table();
    for (int i = first; i <= last; i++) {
        val_push(*args, val_nil());
        val_into(L, i, name, &(*args)->u.t.item[(*args)->u.t.n_item - 1]);
    }
}

static int command(lua_State *L) { /* upvalue: name */
    const char *name = lua_tostring(L, lua_upvalueindex(1));
    int last = lua_gettop(L);
    struct val **args = val_box(L);
    if (strcmp(name, "help") == 0 && last >= 1 && lua_isfunction(L, 1)) { /* help of a constructor or command by value */
        luaL_getsubtable(L, LUA_REGISTRYINDEX, "hone.names");
        lua_pushvalue(L, 1);
        if (lua_rawget(L, -2) == LUA_TSTRING) lua_replace(L, 1);
    }
    read_args(L, name, 1, last, args);
    return bind_call(L, name, args);
}

static int method(lua_State *L) { /* upvalue: name; h, ... */
    const char *name = lua_tostring(L, lua_upvalueindex(1));
    const struct handle *h = bind_is_handle(L, 1);
    if (!h) return luaL_error(L, "%s is a method: write h:%s(...), with a colon", name, name);
    int last = lua_gettop(L);
    struct val **args = val_box(L);
    read_args(L, name, 2, last, args);
    val_push(*args, val_handle(*h)); /* in front of the others */
    struct val **item = (*args)->u.t.item, *v = item[(*args)->u.t.n_item - 1];
    memmove(item + 1, item, ((*args)->u.t.n_item - 1) * sizeof *item);
    item[0] = v;
    return bind_call(L, name, args);
}

/* Remembers that the function on the top is "hone.NAME", for help, printing and completion. */
static void name_function(lua_State *L, const char *prefix, const char *name) {
    luaL_getsubtable(L, LUA_REGISTRYINDEX, "hone.names");
    lua_pushvalue(L, -2);
    lua_pushfstring(L, "%s%s", prefix, name);
    lua_rawset(L, -3);
    lua_pop(L, 1);
}

static int hone_index(lua_State *L) {
    struct script *s = state_of(L);
    const char *name = luaL_checkstring(L, 2);
    if (hub_find(s->hub, name)) {
        lua_pushstring(L, name);
        lua_pushcclosure(L, command, 1);
        name_function(L, "", name);
        lua_pushvalue(L, 2);
        lua_pushvalue(L, -2);
        lua_rawset(L, 1);
        return 1;
    }
    size_t n = hub_count(s->hub), m = 0;
    const char **names = lua_newuserdatauv(L, (n + 3) * sizeof *names, 0);
    for (size_t i = 0; i < n; i++)
        if (!(hub_cmd(s->hub, i)->flags & CMD_HIDDEN)) names[m++] = hub_cmd(s->hub, i)->kind.name;
    names[m++] = "prop";
    names[m++] = "on";
    const char *near = args_nearest(name, names, m);
    if (near) return luaL_error(L, "hone has no command %s: did you mean hone.%s?", name, near);
    return luaL_error(L, "hone has no command %s: hone.help() lists them", name);
}

static int prop_index(lua_State *L) {
    const char *name = luaL_checkstring(L, 2);
    struct val **args = val_box(L);
    *args = val_table();
    val_set_str(*args, "name", name);
    return bind_call(L, "get", args);
}
static int prop_newindex(lua_State *L) {
    const char *name = luaL_checkstring(L, 2);
    struct val **args = val_box(L);
    *args = val_table();
    val_set_str(*args, "name", name);
    val_set(*args, "value", val_nil());
    val_into(L, 3, name, &(*args)->u.t.field[1].v);
    return bind_call(L, "set", args);
}

/* ---- handles ---- */
const struct handle *bind_is_handle(lua_State *L, int idx) { return luaL_testudata(L, idx, HANDLE_META); }

void bind_handle(lua_State *L, struct handle h) {
    *(struct handle *)lua_newuserdatauv(L, sizeof h, 0) = h;
    luaL_setmetatable(L, HANDLE_META);
}

static bool is_method(struct script *s, const char *name) {
    const struct cmd *c = hub_find(s->hub, name);
    return c && !(c->flags & CMD_HIDDEN) && c->kind.args && c->kind.args[0].name && c->kind.args[0].type == ARG_HANDLE;
}

static int field(lua_State *L, struct handle h, int key, const char *name) {
    struct val **args = val_box(L);
    *args = val_table();
    val_push(*args, val_handle(h));
    val_push(*args, val_nil());
    if (name) val_free((*args)->u.t.item[1]), (*args)->u.t.item[1] = val_str(name);
    else val_into(L, key, "the field", &(*args)->u.t.item[1]);
    return bind_call(L, "field", args);
}

static int handle_index(lua_State *L) {
    struct script *s = state_of(L);
    struct handle h = *(struct handle *)luaL_checkudata(L, 1, HANDLE_META);
    if (lua_type(L, 2) == LUA_TSTRING) {
        const char *name = lua_tostring(L, 2);
        luaL_getsubtable(L, LUA_REGISTRYINDEX, "hone.methods");
        if (lua_getfield(L, -1, name) != LUA_TNIL) return 1;
        if (is_method(s, name)) {
            lua_pushstring(L, name);
            lua_pushcclosure(L, method, 1);
            name_function(L, "", name);
            lua_pushvalue(L, -1);
            lua_setfield(L, -4, name);
            return 1;
        }
        lua_settop(L, 2);
    }
    return field(L, h, 2, NULL);
}

static int handle_len(lua_State *L) { return field(L, *(struct handle *)luaL_checkudata(L, 1, HANDLE_META), 0, "#"); }

static int handle_eq(lua_State *L) {
    const struct handle *a = bind_is_handle(L, 1), *b = bind_is_handle(L, 2);
    lua_pushboolean(L, a && b && a->id == b->id && a->gen == b->gen && a->kind == b->kind && a->sub == b->sub);
    return 1;
}

static int handle_newindex(lua_State *L) {
    return luaL_error(L, "a field of a handle cannot be assigned: use h:set(\"%s\", value)", luaL_tolstring(L, 2, NULL));
}

static int handle_tostring(lua_State *L) {
    char text[48];
    struct script *s = state_of(L);
    const struct handle *h = luaL_checkudata(L, 1, HANDLE_META);
    if (h->kind == HANDLE_RUN || h->kind == HANDLE_JOB) {
        struct job *j = hub_job(s->hub, *h);
        struct run *r = j ? hub_job_run(j) : NULL;
        if (r) {
            lua_pushfstring(L, "run %s", run_name(r));
            return 1;
        }
    }
    handle_text(*h, text);
    lua_pushstring(L, text);
    return 1;
}

static const luaL_Reg handle_meta[] = {
    {"__index", handle_index},
    {"__newindex", handle_newindex},
    {"__len", handle_len},
    {"__eq", handle_eq},
    {"__tostring", handle_tostring},
    {NULL, NULL},
};

/* At the prompt `run` is the run that goes on, as in the lines of log and journal, unless the user has a run of that name. */
static int global_index(lua_State *L) {
    struct script *s = state_of(L);
    const char *name = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "";
    bool asked = s->cur && (s->cur->kind == TASK_PROMPT || s->cur->kind == TASK_LUA) && strcmp(name, "run") == 0;
    const struct job *j = asked ? hub_job(s->hub, (struct handle){0}) : NULL;
    if (j && j->h.kind == HANDLE_RUN) bind_handle(L, j->h);
    else lua_pushnil(L);
    return 1;
}

static int hone_tostring(lua_State *L) {
    struct script *s = state_of(L);
    const char **names = lua_newuserdatauv(L, (hub_count(s->hub) + 1) * sizeof *names, 0);
    size_t n = names_commands(s->hub, names, hub_count(s->hub));
    buf_clear(&s->text);
    names_list(&s->text, "hone (?NAME helps)", names, n);
    lua_pushlstring(L, s->text.data, s->text.len);
    return 1;
}

void bind_open(lua_State *L) {
    luaL_newmetatable(L, HANDLE_META);
    luaL_setfuncs(L, handle_meta, 0);
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    luaL_getsubtable(L, LUA_REGISTRYINDEX, "hone.methods");
    lua_pushcfunction(L, on_lua);
    lua_setfield(L, -2, "on");
    lua_newtable(L); /* hone */
    lua_pushcfunction(L, on_lua);
    lua_setfield(L, -2, "on");
    lua_newtable(L); /* hone.prop */
    lua_createtable(L, 0, 2);
    lua_pushcfunction(L, prop_index);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, prop_newindex);
    lua_setfield(L, -2, "__newindex");
    lua_setmetatable(L, -2);
    lua_setfield(L, -2, "prop");
    lua_createtable(L, 0, 2);
    lua_pushcfunction(L, hone_index);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, hone_tostring);
    lua_setfield(L, -2, "__tostring");
    lua_setmetatable(L, -2);
    lua_pushvalue(L, -1);
    lua_setglobal(L, "hone");
    lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    lua_insert(L, -2);
    lua_setfield(L, -2, "hone");
    lua_pushglobaltable(L);
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, global_index);
    lua_setfield(L, -2, "__index");
    lua_setmetatable(L, -2);
    lua_settop(L, 0);
}
