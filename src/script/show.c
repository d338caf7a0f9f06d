/* Values as text for the prompt: at most a screen and 50 ms (SECONDS and a last line) whatever the value is. Tables are read raw; only __tostring is
 * called, protected and under the deadline. */
#include "config.h"

#include "src/script/state.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/thread.h"

#define SECONDS 0.04 /* what is printed after it needs the rest */
#define COLUMNS 78
#define LINES 15 /* with the line that asked, 80x24 holds it */
#define STRING_MAX 16384 /* bytes of a string that is the value itself */
#define QUOTED_MAX 64 /* bytes of a string inside a table */
#define ENTRY_MAX 58 /* bytes of a table inside one, before what is left out is counted: a row holds it */
#define DEPTH 4
#define WALK_MAX 100000 /* entries looked at while naming those of a table */
#define SORT_MAX 256

struct shower {
    struct script *s;
    lua_State *L;
    struct buf *b;
    const void *open[DEPTH + 1]; /* tables being shown */
};

static void number(lua_State *L, int idx, struct buf *b) {
    if (lua_isinteger(L, idx)) {
        buf_addf(b, "%lld", (long long)lua_tointeger(L, idx));
        return;
    }
    size_t at = b->len;
    double v = lua_tonumber(L, idx);
    buf_addnum(b, v);
    if (isfinite(v) && !strpbrk(b->data + at, ".eE")) buf_adds(b, ".0");
}

void show_plain(lua_State *L, int idx, struct buf *out) {
    if (lua_type(L, idx) == LUA_TNUMBER) {
        number(L, idx, out);
        return;
    }
    size_t n;
    const char *p = luaL_tolstring(L, idx, &n);
    buf_add(out, p, n);
    lua_pop(L, 1);
}

static void quoted(struct buf *b, const char *p, size_t n) {
    buf_addc(b, '"');
    for (size_t i = 0; i < n && i < QUOTED_MAX; i++) {
        unsigned char c = (unsigned char)p[i];
        if (c == '"' || c == '\\') buf_addf(b, "\\%c", c);
        else if (c == '\n') buf_adds(b, "\\n");
        else if (c < 32 || c == 127) buf_addf(b, "\\%03d", c);
        else buf_addc(b, (char)c);
    }
    buf_adds(b, n > QUOTED_MAX ? "...\"" : "\"");
}

static int call_tostring(lua_State *L) {
    luaL_tolstring(L, 1, NULL);
    return 1;
}

/* Anything with a name of its own: userdata, functions, tables with __tostring. */
static void named(struct shower *w, int idx) {
    lua_State *L = w->L;
    lua_pushcfunction(L, call_tostring);
    lua_pushvalue(L, idx);
    if (lua_pcall(L, 1, 1, 0) == LUA_OK) {
        size_t n;
        const char *p = lua_tolstring(L, -1, &n);
        buf_add(w->b, p, n < STRING_MAX ? n : STRING_MAX);
    } else buf_adds(w->b, w->s->late ? "<__tostring took too long>" : "<__tostring failed>");
    lua_pop(L, 1);
}

static bool function_name(struct shower *w, int idx) {
    lua_State *L = w->L;
    luaL_getsubtable(L, LUA_REGISTRYINDEX, "hone.names");
    lua_pushvalue(L, idx);
    lua_rawget(L, -2);
    const char *name = lua_tostring(L, -1);
    if (name) buf_addf(w->b, "function %s%s", strchr(name, '.') ? "" : "hone.", name);
    lua_pop(L, 2);
    return name;
}

static void value(struct shower *w, int idx, int depth, size_t limit);

static bool is_word(const char *p, size_t n) {
    if (!n || n > 64 || (*p >= '0' && *p <= '9')) return false;
    for (size_t i = 0; i < n; i++)
        if (!(p[i] == '_' || (p[i] >= '0' && p[i] <= '9') || (p[i] >= 'a' && p[i] <= 'z') || (p[i] >= 'A' && p[i] <= 'Z'))) return false;
    return true;
}

static void key(struct shower *w, int idx) {
    size_t n;
    const char *p = lua_type(w->L, idx) == LUA_TSTRING ? lua_tolstring(w->L, idx, &n) : NULL;
    if (p && is_word(p, n)) {
        buf_add(w->b, p, n);
        buf_adds(w->b, " = ");
        return;
    }
    buf_addc(w->b, '[');
    value(w, idx, DEPTH, QUOTED_MAX);
    buf_adds(w->b, "] = ");
}

struct layout {
    size_t start, line, limit; /* of the table's text, of the current line; limit: bytes */
    int lines;
    bool top, first, full, dropped; /* dropped: the last entry, which was too long */
};

/* Ends an entry that began at `at`: puts the comma and wraps. False: no room for more. */
static void entry_begin(struct shower *w, struct layout *l) {
    if (!l->first) buf_adds(w->b, ", ");
    l->first = false;
}
static bool entry_end(struct shower *w, struct layout *l, size_t at) {
    size_t len = w->b->len - at;
    if (l->top && w->b->len - l->line > COLUMNS && at > l->line + 2) { /* to a line of its own */
        char saved[4096];
        if (len > sizeof saved) len = sizeof saved;
        memcpy(saved, w->b->data + at, len);
        w->b->len = at;
        while (w->b->len && w->b->data[w->b->len - 1] == ' ') w->b->len--;
        buf_adds(w->b, "\n  ");
        l->line = w->b->len - 2;
        buf_add(w->b, saved, len);
        l->lines++;
    }
    if (l->top ? l->lines >= LINES : w->b->len - l->start > l->limit) l->full = true;
    if (!l->top && l->full && at > l->start + 1) {
        w->b->len = at - 2; /* with the comma before it */
        l->dropped = true;
    }
    return !l->full && !w->s->late && clock_now() < w->s->deadline;
}

static void more(struct shower *w, struct layout *l, lua_Integer left) {
    if (left >= 0) left += l->dropped;
    entry_begin(w, l);
    if (left > 0) buf_addf(w->b, "... %lld more", (long long)left);
    else buf_adds(w->b, "...");
}

/* The string keys of a small table in order; SIZE_MAX: too many, or other keys. */
static size_t sorted_keys(struct shower *w, int idx, lua_Integer n_item, const char **names, bool *others) {
    size_t n = 0, walked = 0;
    *others = false;
    for (lua_pushnil(w->L); lua_next(w->L, idx); lua_pop(w->L, 1)) {
        if (++walked > WALK_MAX || (n == SORT_MAX)) {
            lua_pop(w->L, 2);
            *others = true;
            break;
        }
        if (lua_type(w->L, -2) == LUA_TSTRING) names[n++] = lua_tostring(w->L, -2);
        else if (!lua_isinteger(w->L, -2) || lua_tointeger(w->L, -2) < 1 || lua_tointeger(w->L, -2) > n_item) *others = true;
    }
    qsort(names, n, sizeof *names, names_order);
    return n;
}

static void other_keys(struct shower *w, int idx, lua_Integer n_item, struct layout *l, int depth) {
    lua_State *L = w->L;
    size_t walked = 0;
    for (lua_pushnil(L); lua_next(L, idx); lua_pop(L, 1)) {
        if (++walked > WALK_MAX) {
            lua_pop(L, 2);
            more(w, l, -1);
            return;
        }
        if (lua_type(L, -2) == LUA_TSTRING || (lua_isinteger(L, -2) && lua_tointeger(L, -2) >= 1 && lua_tointeger(L, -2) <= n_item)) continue;
        entry_begin(w, l);
        size_t at = w->b->len;
        key(w, lua_gettop(L) - 1);
        value(w, lua_gettop(L), depth + 1, ENTRY_MAX);
        if (!entry_end(w, l, at)) {
            lua_pop(L, 2);
            more(w, l, -1);
            return;
        }
    }
}

static void table(struct shower *w, int idx, int depth, size_t limit) {
    lua_State *L = w->L;
    lua_Integer n = (lua_Integer)lua_rawlen(L, idx);
    const char *names[SORT_MAX];
    bool others;
    struct layout l = {w->b->len, w->b->len, limit, 1, depth == 0, true, false, false};
    buf_addc(w->b, '{');
    for (lua_Integer i = 1; i <= n; i++) {
        entry_begin(w, &l);
        size_t at = w->b->len;
        lua_rawgeti(L, idx, i);
        value(w, lua_gettop(L), depth + 1, ENTRY_MAX);
        lua_pop(L, 1);
        if (!entry_end(w, &l, at)) {
            more(w, &l, n - i);
            buf_addc(w->b, '}');
            return;
        }
    }
    size_t n_name = sorted_keys(w, idx, n, names, &others);
    for (size_t i = 0; i < n_name; i++) {
        entry_begin(w, &l);
        size_t at = w->b->len;
        lua_pushstring(L, names[i]);
        key(w, lua_gettop(L));
        lua_rawget(L, idx);
        value(w, lua_gettop(L), depth + 1, ENTRY_MAX);
        lua_pop(L, 1);
        if (!entry_end(w, &l, at)) {
            more(w, &l, others ? -1 : (lua_Integer)(n_name - i - 1));
            buf_addc(w->b, '}');
            return;
        }
    }
    if (others && n_name < SORT_MAX) other_keys(w, idx, n, &l, depth);
    else if (others) more(w, &l, -1);
    buf_addc(w->b, '}');
}

static void value(struct shower *w, int idx, int depth, size_t limit) {
    lua_State *L = w->L;
    size_t n;
    const char *p;
    luaL_checkstack(L, 10, "value");
    switch (lua_type(L, idx)) {
    case LUA_TNIL: buf_adds(w->b, "nil"); return;
    case LUA_TBOOLEAN: buf_adds(w->b, lua_toboolean(L, idx) ? "true" : "false"); return;
    case LUA_TNUMBER: number(L, idx, w->b); return;
    case LUA_TSTRING:
        p = lua_tolstring(L, idx, &n);
        quoted(w->b, p, n);
        return;
    case LUA_TFUNCTION:
        if (function_name(w, idx)) return;
        break;
    case LUA_TTABLE:
        if (luaL_getmetafield(L, idx, "__tostring") != LUA_TNIL) {
            lua_pop(L, 1);
            break;
        }
        for (int i = 0; i < depth && i <= DEPTH; i++) {
            if (w->open[i] != lua_topointer(L, idx)) continue;
            buf_adds(w->b, "<the table itself>");
            return;
        }
        if (depth >= DEPTH) {
            buf_adds(w->b, lua_rawlen(L, idx) ? "{...}" : "{}");
            return;
        }
        w->open[depth] = lua_topointer(L, idx);
        table(w, idx, depth, limit);
        w->open[depth] = NULL;
        return;
    default: break;
    }
    named(w, idx);
}

static int show_protected(lua_State *L) {
    struct shower *w = lua_touserdata(L, 2);
    size_t n;
    const char *p;
    w->L = L;
    lua_remove(L, 2);
    if (lua_type(L, 1) == LUA_TSTRING) {
        p = lua_tolstring(L, 1, &n);
        buf_add(w->b, p, n < STRING_MAX ? n : STRING_MAX);
        if (n > STRING_MAX) buf_addf(w->b, "... %zu more bytes", n - STRING_MAX);
    } else value(w, 1, 0, 0);
    return 0;
}

void show_values(lua_State *L, int first, int last, struct buf *out) {
    struct script *s = state_of(L);
    struct shower w = {.s = s, .b = &s->show};
    if (last - first >= 20) last = first + 19;
    if (!lua_checkstack(L, 2) || !lua_checkstack(s->L, 8)) return;
    s->deadline = clock_now() + SECONDS;
    for (int i = first; i <= last; i++) {
        if (i > first) buf_addc(out, '\n');
        buf_clear(&s->show);
        lua_pushcfunction(s->L, show_protected);
        lua_pushvalue(L, i);
        if (L != s->L) lua_xmove(L, s->L, 1);
        lua_pushlightuserdata(s->L, &w);
        int rc = lua_pcall(s->L, 2, 0, 0);
        buf_add(out, s->show.data ? s->show.data : "", s->show.len);
        if (rc != LUA_OK) {
            buf_adds(out, s->late ? " ... (printing took too long)" : " ... (cannot be printed)");
            lua_pop(s->L, 1);
        }
    }
    s->deadline = 0;
    s->late = false;
    state_rearm(s->L);
}
