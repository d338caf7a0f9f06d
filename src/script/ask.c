/* Commands that a module of scripts/lib/hone answers: a coroutine calls a function of it, whose value becomes the call's result. Script thread. */
#include "config.h"

#include "src/script/state.h"

#include <string.h>

enum { ASK_VALUES = 3 };
struct asking {
    struct task *t;
    const char *module, *function;
    const struct val *const *v;
};
static const char chunk[] = "local m, f, a, b, c = ... return require(m)[f](a, b, c)";

static void push_or_nil(lua_State *L, const struct val *v) {
    if (v) val_push_lua(L, v);
    else lua_pushnil(L);
}

static int push_question(lua_State *L) {
    const struct asking *q = lua_touserdata(L, 1);
    luaL_checkstack(L, 8, "a question");
    if (safe_load_text(L, chunk, sizeof chunk - 1, "=ask", 0) != LUA_OK) return lua_error(L);
    lua_pushstring(L, q->module);
    lua_pushstring(L, q->function);
    for (int i = 0; i < ASK_VALUES; i++) push_or_nil(L, q->v[i]);
    if (!lua_checkstack(q->t->co, 8)) return luaL_error(L, "the script's memory is used up");
    lua_xmove(L, q->t->co, 3 + ASK_VALUES);
    q->t->nargs = 2 + ASK_VALUES;
    return 0;
}

int cmds_ask(struct call *c, const char *module, const char *function, const struct val *const v[3], struct err *e) {
    struct script *s = cmds_script_of(e);
    struct task *t = s ? task_new(s, TASK_ASK, module) : NULL;
    if (!t) return s ? err_set(e, "the script's memory is used up") : -1;
    struct asking q = {t, module, function, v};
    struct err why = {0};
    t->call = c;
    call_defer(c);
    lua_pushcfunction(s->L, push_question);
    lua_pushlightuserdata(s->L, &q);
    if (lua_pcall(s->L, 1, 0, 0) == LUA_OK) {
        task_start(t);
        return 0;
    }
    err_set(&why, "%s", lua_type(s->L, -1) == LUA_TSTRING ? lua_tostring(s->L, -1) : "the library cannot be asked");
    lua_pop(s->L, 1);
    task_end(s, t, -1, &why, NULL);
    return 0;
}

static int read_answer(lua_State *L) { /* the answer, the value */
    struct val **out = lua_touserdata(L, 1), **box = val_box(L);
    val_into(L, 2, "the answer of scripts/lib/hone", box);
    *out = *box;
    *box = NULL;
    return 0;
}

void cmds_answer(struct script *s, struct task *t, int idx) {
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
