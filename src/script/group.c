/* Constructors: nn.linear{10} is the table {layer="linear", out=10}, checked against the kind's row at once, so that a mistake is
 * found where it was made. Composition stays data: nothing is built here. */
#include "config.h"

#include "src/script/state.h"

#include <string.h>

#include "src/base/json.h"

#define KIND_META "hone.kind"

/* Fields that any layer takes beside its own arguments; the model's build reads them. */
static const char *const common[] = {"name", "from", "share", "store"};

static void set_aside(const struct kind *k, struct val *args, struct val *aside) {
    for (size_t i = 0; i < LEN(common); i++) {
        const struct val *v = val_get(args, common[i]);
        if (!v || args_find(k, common[i])) continue;
        val_set(aside, common[i], val_copy(v));
        val_unset(args, common[i]);
    }
}

/* upvalues: kind, catalog */
static int construct(lua_State *L) {
    const struct kind *k = lua_touserdata(L, lua_upvalueindex(1));
    const struct catalog *c = lua_touserdata(L, lua_upvalueindex(2));
    struct err e = {0};
    int last = lua_gettop(L);
    lua_pushfstring(L, "%s.%s", c->group, k->name);
    const char *what = lua_tostring(L, -1);
    struct val **args = val_box(L), **aside = val_box(L);
    void *parsed = lua_newuserdatauv(L, k->size + 1, 0);
    memset(parsed, 0, k->size + 1);
    *aside = val_table();
    if (last == 1 && lua_istable(L, 1) && !lua_getmetatable(L, 1)) val_into(L, 1, what, args);
    else {
        *args = val_table();
        for (int i = 1; i <= last; i++) {
            val_push(*args, val_nil());
            val_into(L, i, what, &(*args)->u.t.item[i - 1]);
        }
    }
    val_set_str(*aside, c->tag, k->name);
    if (strcmp(c->group, "nn") == 0) set_aside(k, *args, *aside);
    if (args_parse(k, *args, parsed, &e) != 0) return luaL_error(L, "%s: %s", what, e.text);
    struct val *full = args_to_val(k, parsed);
    args_release(k, parsed);
    for (size_t i = 0; full && i < full->u.t.n_field; i++) val_set(*aside, full->u.t.field[i].name, val_copy(full->u.t.field[i].v));
    val_free(full);
    val_push_lua(L, *aside);
    luaL_setmetatable(L, KIND_META);
    return 1;
}

static int kind_tostring(lua_State *L) {
    struct script *s = state_of(L);
    struct val **v = val_box(L);
    val_into(L, 1, "the value", v);
    buf_clear(&s->text);
    lua_write(&s->text, *v);
    lua_pushlstring(L, s->text.data ? s->text.data : "", s->text.len);
    return 1;
}

/* The names of all its kinds, on top of the stack. */
static const char **group_names(lua_State *L, const struct script *s, const char *group, size_t *n) {
    size_t most = 0;
    for (const struct catalog *c = s->catalogs; c->group; c++)
        for (const struct kind *const *k = c->kinds; strcmp(c->group, group) == 0 && *k; k++) most++;
    const char **names = lua_newuserdatauv(L, (most + 1) * sizeof *names, 0);
    *n = 0;
    for (const struct catalog *c = s->catalogs; c->group; c++)
        for (const struct kind *const *k = c->kinds; strcmp(c->group, group) == 0 && *k; k++) names[(*n)++] = (*k)->name;
    return names;
}

static int group_index(lua_State *L) { /* upvalue: group name */
    struct script *s = state_of(L);
    const char *group = lua_tostring(L, lua_upvalueindex(1)), *name = luaL_checkstring(L, 2);
    size_t n;
    for (const struct catalog *c = s->catalogs; c->group; c++) {
        if (strcmp(c->group, group) != 0) continue;
        for (const struct kind *const *k = c->kinds; *k; k++) {
            if (strcmp((*k)->name, name) != 0) continue;
            lua_pushlightuserdata(L, (void *)*k);
            lua_pushlightuserdata(L, (void *)c);
            lua_pushcclosure(L, construct, 2);
            luaL_getsubtable(L, LUA_REGISTRYINDEX, "hone.names");
            lua_pushvalue(L, -2);
            lua_pushfstring(L, "%s.%s", group, name);
            lua_rawset(L, -3);
            lua_pop(L, 1);
            lua_pushvalue(L, 2);
            lua_pushvalue(L, -2);
            lua_rawset(L, 1);
            return 1;
        }
    }
    if (hub_find(s->hub, name)) { /* nn.model is the command model */
        lua_getglobal(L, "hone");
        lua_getfield(L, -1, name);
        return 1;
    }
    const char **names = group_names(L, s, group, &n), *near = args_nearest(name, names, n);
    if (near) return luaL_error(L, "%s has no %s: did you mean %s.%s?", group, name, group, near);
    return luaL_error(L, "%s has no %s", group, name);
}

static int group_tostring(lua_State *L) { /* upvalue: group name */
    struct script *s = state_of(L);
    const char *group = lua_tostring(L, lua_upvalueindex(1));
    char what[96];
    size_t n;
    const char **names = group_names(L, s, group, &n);
    snprintf(what, sizeof what, "%.30s (?%.30s.NAME helps)", group, group);
    buf_clear(&s->text);
    names_list(&s->text, what, names, n);
    lua_pushlstring(L, s->text.data, s->text.len);
    return 1;
}

static const struct catalog none[] = {{NULL, NULL, NULL}};

void group_open(lua_State *L) {
    struct script *s = state_of(L);
    if (!s->catalogs) s->catalogs = none;
    luaL_newmetatable(L, KIND_META);
    lua_pushcfunction(L, kind_tostring);
    lua_setfield(L, -2, "__tostring");
    lua_settop(L, 0);
    for (const struct catalog *c = s->catalogs; c->group; c++) {
        lua_pushglobaltable(L);
        lua_pushstring(L, c->group);
        bool there = lua_rawget(L, -2) != LUA_TNIL;
        lua_settop(L, 0);
        if (there || !c->tag) continue;
        lua_newtable(L);
        lua_createtable(L, 0, 2);
        lua_pushstring(L, c->group);
        lua_pushcclosure(L, group_index, 1);
        lua_setfield(L, -2, "__index");
        lua_pushstring(L, c->group);
        lua_pushcclosure(L, group_tostring, 1);
        lua_setfield(L, -2, "__tostring");
        lua_setmetatable(L, -2);
        lua_setglobal(L, c->group);
    }
}
