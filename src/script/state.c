/* The Lua state: capped memory, and the hook that lets an interrupt stop any script. The hook is installed by the script thread
 * on every Lua thread (new ones inherit it); other threads only set an atomic flag. Once it has raised it re-arms itself with
 * count 1, so that a loop around pcall dies too. Hooks are off in finalizers and message handlers: see safe.c for both. */
#include "config.h"

#include "src/script/state.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/thread.h"

#define HOOK_COUNT 50 /* instructions between two looks at the flag; one on a string of 1 MiB takes 0.3 ms */
#define HOOK_COUNT_BIG 4 /* while larger strings are alive: one of 16 MiB takes 5 ms */

/* Each Lua thread keeps the script in its extra space, copied from the main thread; bit 0 marks a poisoned thread. */
static uintptr_t *slot(lua_State *L) { return (uintptr_t *)lua_getextraspace(L); }
struct script *state_of(lua_State *L) {
    return (struct script *)(*slot(L) & ~(uintptr_t)1);
}
bool state_poisoned(lua_State *L) { return *slot(L) & 1; }

/* A string is one block that never grows. Nothing in a C function of Lua looks at the interrupt, but each asks here for memory: once an
 * interrupt waits, large requests are refused, so that a chain of long copies ends at the next of them. */
static bool refused(struct script *s, size_t old, size_t nsize, bool string) {
    if (nsize <= old) return false;
    if (nsize > (string ? SCRIPT_TEXT_MAX + 64 : SCRIPT_TABLE_MAX)) return s->over_block = true;
    if (nsize - old > s->cap || s->used > s->cap - (nsize - old)) return true;
    return nsize > SCRIPT_BIG / 4 && s->cur && (s->cur->unwind || task_stopping(s, s->cur));
}

static void forget(struct script *s, const void *p) {
    for (size_t i = 0; i < s->n_big; i++)
        if (s->big[i] == p) {
            s->big[i] = s->big[--s->n_big];
            return;
        }
}

/* Without a block, osize is the kind of the new object. */
static void *alloc(void *ud, void *p, size_t osize, size_t nsize) {
    struct script *s = ud;
    size_t old = p ? osize : 0;
    bool string = !p && osize == LUA_TSTRING;
    if (old > SCRIPT_BIG) forget(s, p);
    if (nsize == 0) {
        s->used -= old;
        free(p);
        return NULL;
    }
    if (refused(s, old, nsize, string)) return NULL;
    void *q = realloc(p, nsize);
    if (!q) return NULL;
    if (string && nsize > SCRIPT_BIG && s->n_big < SCRIPT_BIG_STRINGS) s->big[s->n_big++] = q;
    s->used = s->used - old + nsize;
    return q;
}

static void check(lua_State *L, bool in_hook);
static void hook(lua_State *L, lua_Debug *ar) {
    (void)ar;
    check(L, true);
}

static int count_wanted(const struct script *s) { return s->n_big ? HOOK_COUNT_BIG : HOOK_COUNT; }
void state_rearm(lua_State *L) { lua_sethook(L, hook, LUA_MASKCOUNT, count_wanted(state_of(L))); }

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
    if (in_hook && lua_gethookcount(L) != count_wanted(s)) state_rearm(L);
}

void state_tick(lua_State *L) { check(L, false); }

void state_collect(lua_State *L) {
    for (int cycle = 0; cycle < 2; cycle++) /* the first may have begun long ago */
        while (!lua_gc(L, LUA_GCSTEP, 0)) state_tick(L);
}

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
    meta_base(s->L);
    return 0;
}

void state_close(struct script *s) {
    free(s->last_path);
    val_free(s->last_args);
    watch_release(s);
    s->last_path = NULL;
    s->last_args = NULL;
    if (s->L) lua_close(s->L);
    s->L = NULL;
}
