/* Predicates on runs: `lr > 1e-3 and tag.baseline`. They are evaluated in a Lua state of their own, made for one filter and closed after it: it sees
 * one run and nothing else of hone, so a filter answers while the script thread computes, and no global of a script can change what it means. The
 * state belongs to the thread that filters. Memory and time are capped as for scripts, and no library is there but a few functions on numbers and
 * strings: an expression cannot do more than compare. A run for which the expression raises (a name that it does not have, compared) is left out. */
#include "config.h"

#include <lauxlib.h>
#include <lua.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/thread.h"
#include "src/stored/shelf.h"
#include "src/script/script.h"

enum { MEMORY = 8 << 20, TEXT_MAX = 4096, TICK = 1000 };
static const double TIME = 0.25; /* seconds for all runs together */

struct filter {
    size_t used;
    double until;
    bool late;
    const struct shelf_run *run;
};

static struct filter *filter_of(lua_State *L) { return *(struct filter **)lua_getextraspace(L); }

static void *alloc(void *ud, void *p, size_t osize, size_t nsize) {
    struct filter *f = ud;
    size_t old = p ? osize : 0;
    if (nsize == 0) {
        f->used -= old;
        free(p);
        return NULL;
    }
    if (nsize > old && (nsize - old > MEMORY || f->used > MEMORY - (nsize - old))) return NULL;
    void *q = realloc(p, nsize);
    if (q) f->used = f->used - old + nsize;
    return q;
}

static void hook(lua_State *L, lua_Debug *ar) {
    struct filter *f = filter_of(L);
    (void)ar;
    if (!f->late && clock_now() < f->until) return;
    f->late = true;
    lua_sethook(L, hook, LUA_MASKCOUNT, 1); /* a loop around an error ends too */
    luaL_error(L, "the expression takes too long");
}

/* ---- what an expression sees ---- */

static void push_num(lua_State *L, double v, bool known) {
    if (!known || isnan(v)) lua_pushnil(L);
    else if (v == floor(v) && fabs(v) < 9e15) lua_pushinteger(L, (lua_Integer)v);
    else lua_pushnumber(L, v);
}

static void push_value(lua_State *L, const struct shelf_value *v) {
    if (!v) lua_pushnil(L);
    else if (!isnan(v->num)) push_num(L, v->num, true);
    else if (strcmp(v->text, "true") == 0 || strcmp(v->text, "false") == 0) lua_pushboolean(L, v->text[0] == 't');
    else lua_pushstring(L, v->text);
}

static int tag_index(lua_State *L) {
    lua_pushboolean(L, shelf_tagged(filter_of(L)->run, luaL_checkstring(L, 2)));
    return 1;
}
static int config_index(lua_State *L) {
    push_value(L, shelf_value(filter_of(L)->run, luaL_checkstring(L, 2)));
    return 1;
}
enum { LAST, BEST, LOWEST, HIGHEST, BEST_STEP };
static int metric_index(lua_State *L) {
    int what = (int)lua_tointeger(L, lua_upvalueindex(1));
    const struct metric_ends *m = shelf_metric(filter_of(L)->run, luaL_checkstring(L, 2));
    int64_t step = 0;
    double best = m ? shelf_best(m, &step) : 0;
    double v[] = {m ? m->ends.value : 0, best, m ? m->ends.lo : 0, m ? m->ends.hi : 0, (double)step}; /* ORDER the enum above */
    push_num(L, v[what], m != NULL);
    return 1;
}

static const struct {
    const char *name;
    size_t at;
} numbers[] = {{"created", offsetof(struct shelf_run, created)}, {"seconds", offsetof(struct shelf_run, seconds)},
    {"epoch", offsetof(struct shelf_run, epoch)}},
  counts[] = {{"step", offsetof(struct shelf_run, step)}, {"steps", offsetof(struct shelf_run, steps)}, {"params", offsetof(struct shelf_run, params)},
      {"bytes", offsetof(struct shelf_run, bytes)}};

/* A bare name: a field of the row, else a value of the configuration, else the last value of a metric. */
static int bare_index(lua_State *L) {
    const struct shelf_run *r = filter_of(L)->run;
    const char *name = luaL_checkstring(L, 2);
    const struct { const char *name, *text; } texts[] = {{"run", r->name}, {"state", run_state_names[r->state]}, {"model", r->model}, {"parent", r->parent}};
    for (size_t i = 0; i < LEN(texts); i++)
        if (strcmp(name, texts[i].name) == 0) return lua_pushstring(L, texts[i].text), 1;
    for (size_t i = 0; i < LEN(numbers); i++)
        if (strcmp(name, numbers[i].name) == 0) return push_num(L, *(const double *)((const char *)r + numbers[i].at), true), 1;
    for (size_t i = 0; i < LEN(counts); i++)
        if (strcmp(name, counts[i].name) == 0) {
            int64_t v = *(const int64_t *)((const char *)r + counts[i].at);
            return push_num(L, (double)v, v >= 0), 1;
        }
    const struct shelf_value *v = shelf_value(r, name);
    const struct metric_ends *m = v ? NULL : shelf_metric(r, name);
    if (strcmp(name, "data") == 0 && !v) return lua_pushstring(L, r->data), 1;
    if (v) push_value(L, v);
    else push_num(L, m ? m->ends.value : 0, m != NULL);
    return 1;
}

static int fn_has(lua_State *L) { /* has(text, part): plain, in either case */
    size_t n, m;
    const char *s = luaL_checklstring(L, 1, &n), *part = luaL_checklstring(L, 2, &m);
    lua_pushboolean(L, n < TEXT_MAX && m < TEXT_MAX && strcasestr(s, part) != NULL);
    return 1;
}
static int fn_abs(lua_State *L) {
    lua_pushnumber(L, fabs(luaL_checknumber(L, 1)));
    return 1;
}

static void table_with(lua_State *L, const char *name, lua_CFunction index, int what) {
    lua_newtable(L);
    lua_newtable(L);
    lua_pushinteger(L, what);
    lua_pushcclosure(L, index, 1);
    lua_setfield(L, -2, "__index");
    lua_setmetatable(L, -2);
    if (name) lua_setfield(L, -2, name);
}

/* Leaves the compiled expression in the registry slot 1 above: called protected. */
static int open_state(lua_State *L) {
    const char *text = lua_touserdata(L, 1);
    table_with(L, NULL, bare_index, 0); /* the environment */
    table_with(L, "tag", tag_index, 0);
    table_with(L, "config", config_index, 0);
    table_with(L, "last", metric_index, LAST);
    table_with(L, "best", metric_index, BEST);
    table_with(L, "min", metric_index, LOWEST);
    table_with(L, "max", metric_index, HIGHEST);
    table_with(L, "best_step", metric_index, BEST_STEP);
    lua_pushcfunction(L, fn_has);
    lua_setfield(L, -2, "has");
    lua_pushcfunction(L, fn_abs);
    lua_setfield(L, -2, "abs");
    lua_pushfstring(L, "return %s", text);
    size_t n;
    const char *chunk = lua_tolstring(L, -1, &n);
    if (luaL_loadbufferx(L, chunk, n, "=filter", "t") != LUA_OK) return lua_error(L);
    lua_pushvalue(L, -3);
    if (!lua_setupvalue(L, -2, 1)) lua_pop(L, 1);
    return 1;
}

static void reason(lua_State *L, struct err *e, const char *text) {
    const char *why = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "it cannot be read", *colon = strstr(why, ": ");
    if (strncmp(why, "filter:", 7) == 0 && colon) why = colon + 2;
    err_code(e, ERR_USAGE, "\"%.200s\" is no condition on runs: %.300s", text, why);
}

static int test_all(lua_State *L, struct filter *f, const char *text, const struct shelf *s, bool *keep, struct err *e) {
    size_t raised = 0;
    struct err first = {0};
    for (size_t i = 0; i < s->n && !f->late; i++) {
        f->run = s->run[i];
        lua_pushvalue(L, 1);
        int rc = lua_pcall(L, 0, 1, 0);
        keep[i] = rc == LUA_OK && lua_toboolean(L, -1);
        if (rc != LUA_OK && raised++ == 0) reason(L, &first, text);
        lua_settop(L, 1);
    }
    if (f->late) return err_code(e, ERR_USAGE, "\"%.200s\" takes too long as a condition on runs: more than %g s for all of them", text, TIME);
    if (raised == s->n && s->n) {
        if (e) *e = first;
        return -1;
    }
    return 0;
}

int script_where(const char *text, const struct shelf *s, bool *keep, struct err *e) {
    struct filter f = {.until = clock_now() + TIME};
    if (strlen(text) > TEXT_MAX) return err_code(e, ERR_USAGE, "a condition on runs has at most %d bytes, not %zu", TEXT_MAX, strlen(text));
    lua_State *L = lua_newstate(alloc, &f);
    if (!L) return err_set(e, "there is no memory for a condition on runs");
    *(struct filter **)lua_getextraspace(L) = &f;
    lua_sethook(L, hook, LUA_MASKCOUNT, TICK);
    lua_pushcfunction(L, open_state);
    lua_pushlightuserdata(L, (void *)(uintptr_t)text);
    int rc = lua_pcall(L, 1, 1, 0) == LUA_OK ? 0 : (reason(L, e, text), -1);
    if (rc == 0) rc = test_all(L, &f, text, s, keep, e);
    lua_close(L);
    return rc;
}
