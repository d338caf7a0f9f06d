/* table.concat, insert, move, remove, sort and unpack with loops that look at the interrupt flag: a table may lie about its
 * length, and a comparison may never agree with itself. They go through metamethods as the standard ones do. */
#include "config.h"

#include "src/script/state.h"

#include <limits.h>

#define TICK 1024
#define TICK_BYTES 65536
#define UNPACK_MAX 1000000

static lua_Integer len_of(lua_State *L, int idx) {
    if (lua_type(L, idx) != LUA_TTABLE) {
        if (luaL_getmetafield(L, idx, "__index") == LUA_TNIL) luaL_checktype(L, idx, LUA_TTABLE);
        lua_pop(L, 1);
    }
    return luaL_len(L, idx);
}

static int tab_insert(lua_State *L) {
    int n = lua_gettop(L);
    lua_Integer e = (lua_Integer)((lua_Unsigned)len_of(L, 1) + 1), pos = e;
    if (n == 3) {
        pos = luaL_checkinteger(L, 2);
        luaL_argcheck(L, (lua_Unsigned)pos - 1u < (lua_Unsigned)e, 2, "position out of bounds");
        for (lua_Integer i = e; i > pos; i--) {
            if ((i & (TICK - 1)) == 0) state_tick(L);
            lua_geti(L, 1, i - 1);
            lua_seti(L, 1, i);
        }
    } else if (n != 2) return luaL_error(L, "wrong number of arguments to 'insert'");
    lua_seti(L, 1, pos);
    return 0;
}

static int tab_remove(lua_State *L) {
    bool given = !lua_isnone(L, 2);
    lua_settop(L, 2);
    lua_Integer size = len_of(L, 1), pos = given ? luaL_checkinteger(L, 2) : size;
    if (given && size + 1 != pos) luaL_argcheck(L, (lua_Unsigned)pos - 1u <= (lua_Unsigned)size, 2, "position out of bounds");
    lua_geti(L, 1, pos);
    for (; pos < size; pos++) {
        if ((pos & (TICK - 1)) == 0) state_tick(L);
        lua_geti(L, 1, pos + 1);
        lua_seti(L, 1, pos);
    }
    lua_pushnil(L);
    lua_seti(L, 1, pos);
    return 1;
}

static int tab_move(lua_State *L) {
    lua_Integer f = luaL_checkinteger(L, 2), e = luaL_checkinteger(L, 3), t = luaL_checkinteger(L, 4);
    int to = lua_isnoneornil(L, 5) ? 1 : 5;
    if (e < f) {
        lua_pushvalue(L, to);
        return 1;
    }
    luaL_argcheck(L, f > 0 || e < LUA_MAXINTEGER + f, 3, "too many elements to move");
    lua_Integer n = e - f + 1;
    luaL_argcheck(L, t <= LUA_MAXINTEGER - n + 1, 4, "destination wrap around");
    bool up = t > e || t <= f || (to != 1 && !lua_compare(L, 1, to, LUA_OPEQ));
    for (lua_Integer k = 0; k < n; k++) {
        lua_Integer i = up ? k : n - 1 - k;
        if ((k & (TICK - 1)) == TICK - 1) state_tick(L);
        lua_geti(L, 1, f + i);
        lua_seti(L, to, t + i);
    }
    lua_pushvalue(L, to);
    return 1;
}

static int tab_concat(lua_State *L) {
    size_t lsep;
    lua_settop(L, 4);
    const char *sep = luaL_optlstring(L, 2, "", &lsep);
    lua_Integer i = luaL_optinteger(L, 3, 1), last = lua_isnoneornil(L, 4) ? len_of(L, 1) : luaL_checkinteger(L, 4);
    luaL_Buffer b;
    luaL_buffinit(L, &b);
    for (unsigned n = 1; i <= last; n++) {
        if ((n & (TICK - 1)) == 0) state_tick(L);
        lua_geti(L, 1, i);
        if (!lua_isstring(L, -1)) return luaL_error(L, "invalid value (at index %I) in table for 'concat'", (LUAI_UACINT)i);
        size_t more = lua_rawlen(L, -1);
        if (lua_type(L, -1) == LUA_TSTRING && (more > SCRIPT_TEXT_MAX || luaL_bufflen(&b) + lsep > SCRIPT_TEXT_MAX - more))
            return luaL_error(L, "table.concat would make more than 16 MiB");
        if (more > TICK_BYTES) state_tick(L);
        luaL_addvalue(&b);
        if (i == last) break;
        luaL_addlstring(&b, sep, lsep);
        i++;
    }
    luaL_pushresult(&b);
    return 1;
}

static int tab_unpack(lua_State *L) {
    lua_settop(L, 3);
    lua_Integer i = luaL_optinteger(L, 2, 1), e = lua_isnoneornil(L, 3) ? luaL_len(L, 1) : luaL_checkinteger(L, 3);
    if (i > e) return 0;
    state_tick(L);
    lua_Unsigned n = (lua_Unsigned)e - (lua_Unsigned)i;
    if (n >= UNPACK_MAX || !lua_checkstack(L, (int)++n)) return luaL_error(L, "too many results to unpack");
    for (; i < e; i++) {
        if ((i & (TICK - 1)) == 0) state_tick(L);
        lua_geti(L, 1, i);
    }
    lua_geti(L, 1, e);
    return (int)n;
}

/* ---- sort: quicksort on the table itself, median of three, the smaller half first. Table at 1, comparison at 2 ---- */
static bool less(lua_State *L, int a, int b) {
    state_tick(L);
    if (lua_isnil(L, 2)) return lua_compare(L, a, b, LUA_OPLT);
    lua_pushvalue(L, 2);
    lua_pushvalue(L, a < 0 ? a - 1 : a);
    lua_pushvalue(L, b < 0 ? b - 2 : b);
    lua_call(L, 2, 1);
    bool r = lua_toboolean(L, -1);
    lua_pop(L, 1);
    return r;
}

static void set2(lua_State *L, lua_Integer i, lua_Integer j) {
    lua_seti(L, 1, i);
    lua_seti(L, 1, j);
}

/* Orders a[i] and a[j] (i < j). */
static void order(lua_State *L, lua_Integer i, lua_Integer j) {
    lua_geti(L, 1, i);
    lua_geti(L, 1, j);
    if (less(L, -1, -2)) set2(L, i, j);
    else lua_pop(L, 2);
}

/* The pivot is on the top and at up - 1; returns its final place and pops it. */
static lua_Integer partition(lua_State *L, lua_Integer lo, lua_Integer up) {
    lua_Integer i = lo, j = up - 1;
    for (;;) {
        while (lua_geti(L, 1, ++i), less(L, -1, -2)) {
            if (i == up - 1) luaL_error(L, "invalid order function for sorting");
            lua_pop(L, 1);
        }
        while (lua_geti(L, 1, --j), less(L, -3, -1)) {
            if (j < i) luaL_error(L, "invalid order function for sorting");
            lua_pop(L, 1);
        }
        if (j < i) {
            lua_pop(L, 1);
            set2(L, up - 1, i);
            return i;
        }
        set2(L, i, j);
    }
}

static void sort_range(lua_State *L, lua_Integer lo, lua_Integer up, lua_Unsigned seed) {
    luaL_checkstack(L, 8, "sort");
    while (lo < up) {
        order(L, lo, up);
        if (up - lo == 1) return;
        lua_Integer mid = lo + (up - lo) / 2;
        if (up - lo > 100) { /* a fixed choice has bad orders, this one none that repeats */
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            lua_Integer quarter = (up - lo) / 4;
            mid = lo + quarter + (lua_Integer)((seed >> 33) % (lua_Unsigned)(quarter * 2));
        }
        order(L, lo, mid);
        order(L, mid, up);
        if (up - lo == 2) return;
        lua_geti(L, 1, mid);
        lua_pushvalue(L, -1);
        lua_geti(L, 1, up - 1);
        set2(L, mid, up - 1);
        lua_Integer p = partition(L, lo, up);
        if (p - lo < up - p) {
            sort_range(L, lo, p - 1, seed);
            lo = p + 1;
        } else {
            sort_range(L, p + 1, up, seed);
            up = p - 1;
        }
    }
}

static int tab_sort(lua_State *L) {
    lua_Integer n = len_of(L, 1);
    if (n > 1) {
        luaL_argcheck(L, n < INT_MAX, 1, "array too big");
        if (!lua_isnoneornil(L, 2)) luaL_checktype(L, 2, LUA_TFUNCTION);
        lua_settop(L, 2);
        sort_range(L, 1, n, 1);
    }
    return 0;
}

static const luaL_Reg functions[] = {
    {"concat", tab_concat},
    {"insert", tab_insert},
    {"move", tab_move},
    {"remove", tab_remove},
    {"sort", tab_sort},
    {"unpack", tab_unpack},
    {NULL, NULL},
};

void lua_tab_open(lua_State *L) {
    lua_getglobal(L, "table");
    luaL_setfuncs(L, functions, 0);
    lua_pop(L, 1);
}
