/* The Lua state: capped memory, and the hook that lets an interrupt stop any script. The hook is installed by the script thread
 * on every Lua thread (new ones inherit it); other threads only set an atomic flag. Once it has raised it re-arms itself with
 * count 1, so that a loop around pcall dies too. Hooks are off in finalizers and message handlers: see safe.c for both. */
#include "config.h"

#include "src/script/state.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/thread.h"

#define HOOK_COUNT 50 /* instructions; one may copy 128 MiB, so few pass between two looks at the flag */

/* Each Lua thread keeps the script in its extra space, copied from the main thread; bit 0 marks a poisoned thread. */
static uintptr_t *slot(lua_State *L) { return (uintptr_t *)lua_getextraspace(L); }
struct script *state_of(lua_State *L) { return (struct script *)(*slot(L) & ~(uintptr_t)1); }
bool state_poisoned(lua_State *L) { return *slot(L) & 1; }

static void *alloc(void *ud, void *p, size_t osize, size_t nsize) {
    struct script *s = ud;
    size_t old = p ? osize : 0;
    if (nsize == 0) {
        s->used -= old;
        free(p);
        return NULL;
    }
    if (nsize > old && (nsize - old > s->cap || s->used > s->cap - (nsize - old))) {
        s->over_cap = true;
        return NULL;
    }
    void *q = realloc(p, nsize);
    if (!q) return NULL;
    s->used = s->used - old + nsize;
    return q;
}

static void check(lua_State *L, bool in_hook);
static void hook(lua_State *L, lua_Debug *ar) {
    (void)ar;
    check(L, true);
}

void state_rearm(lua_State *L) { lua_sethook(L, hook, LUA_MASKCOUNT, HOOK_COUNT); }

static void check(lua_State *L, bool in_hook) {
    struct script *s = state_of(L);
    struct task *t = s->cur;
    if (t && (t->unwind || task_stopping(s, t))) {
        if (in_hook) *slot(L) |= 1;
        state_interrupt(L);
    }
    if (t && t->out.len) task_flush(s, t, false);
    if (s->deadline > 0 && (s->late || clock_now() > s->deadline)) {
        if (in_hook) *slot(L) |= 1;
        s->late = true;
        lua_sethook(L, hook, LUA_MASKCOUNT, 1);
        lua_pushliteral(L, "this took too long");
        lua_error(L);
    }
    if (in_hook && lua_gethookcount(L) != HOOK_COUNT) state_rearm(L);
}

void state_tick(lua_State *L) { check(L, false); }

int state_interrupt(lua_State *L) {
    struct script *s = state_of(L);
    if (s->cur) s->cur->unwind = true;
    lua_sethook(L, hook, LUA_MASKCOUNT, 1);
    lua_pushliteral(L, "interrupted");
    return lua_error(L);
}

static int panic(lua_State *L) {
    BUG("Lua error outside a protected call: %s", lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "(not a string)");
    return 0;
}

static int open_all(lua_State *L) {
    luaL_checkversion(L);
    safe_open(L);
    lua_str_open(L);
    lua_tab_open(L);
    bind_open(L);
    group_open(L);
    return 0;
}

int state_open(struct script *s, struct err *e) {
    s->L = lua_newstate(alloc, s);
    if (!s->L) return err_set(e, "the Lua state cannot be made: out of memory");
    *slot(s->L) = (uintptr_t)s;
    lua_atpanic(s->L, panic);
    state_rearm(s->L);
    lua_pushcfunction(s->L, open_all);
    if (lua_pcall(s->L, 0, 0, 0) != LUA_OK) {
        err_set(e, "the Lua state cannot be made: %s", lua_type(s->L, -1) == LUA_TSTRING ? lua_tostring(s->L, -1) : "unknown error");
        state_close(s);
        return -1;
    }
    return 0;
}

void state_close(struct script *s) {
    if (s->L) lua_close(s->L);
    s->L = NULL;
}
