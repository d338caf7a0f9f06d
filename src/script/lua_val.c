/* Value trees to Lua and back. A tree under construction hangs in a userdata (a box), so that a Lua error frees it. */
#include "config.h"

#include "src/script/state.h"

#include <stdlib.h>
#include <string.h>

#define MAX_DEPTH 64
#define MAX_VALUES 1000000
#define MAX_FIELDS 10000 /* of one table: their names are kept unique by search */

static int box_gc(lua_State *L) {
    struct val **b = lua_touserdata(L, 1);
    val_free(*b);
    *b = NULL;
    return 0;
}

struct val **val_box(lua_State *L) {
    struct val **b = lua_newuserdatauv(L, sizeof *b, 0);
    *b = NULL;
    if (luaL_newmetatable(L, "hone.box")) {
        lua_pushcfunction(L, box_gc);
        lua_setfield(L, -2, "__gc");
    }
    lua_setmetatable(L, -2);
    return b;
}

struct reader {
    lua_State *L;
    const char *what;
    size_t n;
};

static void read_value(struct reader *r, int idx, int depth, struct val **out);

static int by_name(const void *a, const void *b) { return strcmp(((const struct val_field *)a)->name, ((const struct val_field *)b)->name); }

/* Items are the keys 1..n without a hole; named fields are sorted, because Lua keeps no order. */
static void read_table(struct reader *r, int idx, int depth, struct val **out) {
    lua_State *L = r->L;
    lua_Integer max = 0, count = 0;
    struct val *t = *out = val_table();
    if (depth > MAX_DEPTH) luaL_error(L, "%s is nested deeper than %d tables (does it contain itself?)", r->what, MAX_DEPTH);
    luaL_checkstack(L, 8, "value");
    for (lua_pushnil(L); lua_next(L, idx); lua_pop(L, 1)) {
        if (lua_isinteger(L, -2)) {
            lua_Integer k = lua_tointeger(L, -2);
            if (k < 1) luaL_error(L, "%s has the index %I; lists begin at 1", r->what, (LUAI_UACINT)k);
            if (k > max) max = k;
            count++;
        } else if (lua_type(L, -2) == LUA_TSTRING) {
            const char *name = lua_tostring(L, -2);
            if (t->u.t.n_field >= MAX_FIELDS) luaL_error(L, "%s has more than %d named fields", r->what, MAX_FIELDS);
            val_set(t, name, val_nil()); /* unique already: appended, then filled in place */
            read_value(r, lua_gettop(L), depth + 1, &t->u.t.field[t->u.t.n_field - 1].v);
        } else luaL_error(L, "%s has a key that is a %s; keys are names or 1, 2, 3 ...", r->what, luaL_typename(L, -2));
    }
    if (t->u.t.n_field > 1) qsort(t->u.t.field, t->u.t.n_field, sizeof *t->u.t.field, by_name);
    if (max > count + 1) luaL_error(L, "%s has a hole: it holds %I items, but one of them is at index %I", r->what, (LUAI_UACINT)count, (LUAI_UACINT)max);
    for (lua_Integer i = 1; i <= max; i++) {
        if (lua_rawgeti(L, idx, i) == LUA_TNIL) luaL_error(L, "%s has a hole: item %I is nil, but item %I is not", r->what, (LUAI_UACINT)i, (LUAI_UACINT)max);
        val_push(t, val_nil());
        read_value(r, lua_gettop(L), depth + 1, &t->u.t.item[t->u.t.n_item - 1]);
        lua_pop(L, 1);
    }
}

static void read_value(struct reader *r, int idx, int depth, struct val **out) {
    lua_State *L = r->L;
    size_t n;
    const char *p;
    const struct handle *h;
    val_free(*out);
    *out = NULL;
    if (++r->n > MAX_VALUES) luaL_error(L, "%s holds more than %d values: data belongs in a data file", r->what, MAX_VALUES);
    if ((r->n & 4095) == 0) state_tick(L);
    switch (lua_type(L, idx)) {
    case LUA_TNIL: *out = val_nil(); break;
    case LUA_TBOOLEAN: *out = val_bool(lua_toboolean(L, idx)); break;
    case LUA_TNUMBER: *out = lua_isinteger(L, idx) ? val_int(lua_tointeger(L, idx)) : val_num(lua_tonumber(L, idx)); break;
    case LUA_TSTRING:
        p = lua_tolstring(L, idx, &n);
        *out = val_strn(p, n);
        break;
    case LUA_TTABLE:
        if (luaL_getmetafield(L, idx, "__handle") == LUA_TNIL) { /* a result that stands for the model it came with */
            read_table(r, idx, depth, out);
            break;
        }
        h = bind_is_handle(L, -1);
        if (!h) luaL_error(L, "%s contains a table whose __handle is no handle", r->what);
        *out = val_handle(*h);
        lua_pop(L, 1);
        break;
    default:
        if (!(h = bind_is_handle(L, idx)))
            luaL_error(L, "%s contains a %s, which hone cannot take%s", r->what, luaL_typename(L, idx),
                lua_isfunction(L, idx) ? ": a layer, optimiser or schedule has braces after its name, as in nn.relu{}" : "");
        *out = val_handle(*h);
    }
}

void val_into(lua_State *L, int idx, const char *what, struct val **into) {
    struct reader r = {L, what, 0};
    read_value(&r, lua_absindex(L, idx), 0, into);
}

struct val *val_from(lua_State *L, int idx, const char *what) {
    idx = lua_absindex(L, idx);
    struct val **b = val_box(L), *v;
    val_into(L, idx, what, b);
    v = *b;
    *b = NULL;
    lua_pop(L, 1);
    return v;
}

void val_push_lua(lua_State *L, const struct val *v) {
    luaL_checkstack(L, 4, "value");
    if (!v) {
        lua_pushnil(L);
        return;
    }
    switch (v->type) {
    case VAL_NIL: lua_pushnil(L); break;
    case VAL_BOOL: lua_pushboolean(L, v->u.b); break;
    case VAL_INT: lua_pushinteger(L, v->u.i); break;
    case VAL_NUM: lua_pushnumber(L, v->u.n); break;
    case VAL_STR: lua_pushlstring(L, v->u.s.p, v->u.s.len); break;
    case VAL_HANDLE: bind_handle(L, v->u.h); break;
    case VAL_TABLE:
        lua_createtable(L, (int)v->u.t.n_item, (int)v->u.t.n_field);
        for (size_t i = 0; i < v->u.t.n_item; i++) val_push_lua(L, v->u.t.item[i]), lua_rawseti(L, -2, (lua_Integer)i + 1);
        for (size_t i = 0; i < v->u.t.n_field; i++) val_push_lua(L, v->u.t.field[i].v), lua_setfield(L, -2, v->u.t.field[i].name);
        break;
    }
}
