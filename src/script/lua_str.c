/* string.find, match, gmatch, gsub, rep, upper, lower, reverse, format and pack, utf8.len and tonumber with bounded work: the matcher counts its steps and
 * looks at the interrupt flag, which a hook cannot do inside a C function. The pattern language is Lua's (reference manual 6.4.1). */
#include "config.h"

#include "src/script/state.h"

#include <ctype.h>
#include <string.h>

#define DEPTH 200 /* recursion of the matcher */
#define CAPTURES 32
#define PIECE 65536 /* bytes that a loop may take without a look at the interrupt */
enum { CAP_OPEN = -1, CAP_POSITION = -2 };

struct match {
    lua_State *L;
    const char *src, *src_end, *pat_end;
    unsigned steps;
    int depth, level;
    struct {
        const char *at;
        ptrdiff_t len;
    } cap[CAPTURES];
};

static const char *match(struct match *m, const char *s, const char *p);

static void step(struct match *m) {
    if ((++m->steps & 4095) == 0) state_tick(m->L);
}

static int closing(struct match *m, int c) {
    int i = c - '1';
    if (i < 0 || i >= m->level || m->cap[i].len == CAP_OPEN) return luaL_error(m->L, "invalid capture index %%%d", i + 1);
    return i;
}

static const char *class_end(struct match *m, const char *p) {
    if (p == m->pat_end) luaL_error(m->L, "malformed pattern (ends with '%%')");
    if (*p++ == '%') {
        if (p == m->pat_end) luaL_error(m->L, "malformed pattern (ends with '%%')");
        return p + 1;
    }
    if (p[-1] != '[') return p;
    if (*p == '^') p++;
    do {
        if (p == m->pat_end) luaL_error(m->L, "malformed pattern (missing ']')");
        if (*p++ == '%') p++;
        if (p > m->pat_end) luaL_error(m->L, "malformed pattern (missing ']')");
    } while (p == m->pat_end || *p != ']');
    return p + 1;
}

static bool in_class(int c, int cl) {
    bool r;
    switch (tolower(cl)) {
    case 'a': r = isalpha(c); break;
    case 'c': r = iscntrl(c); break;
    case 'd': r = isdigit(c); break;
    case 'g': r = isgraph(c); break;
    case 'l': r = islower(c); break;
    case 'p': r = ispunct(c); break;
    case 's': r = isspace(c); break;
    case 'u': r = isupper(c); break;
    case 'w': r = isalnum(c); break;
    case 'x': r = isxdigit(c); break;
    default: return cl == c;
    }
    return isupper(cl) ? !r : r;
}

/* p at '[', ec at the closing ']' */
static bool in_set(int c, const char *p, const char *ec) {
    bool want = true;
    if (p[1] == '^') want = false, p++;
    while (++p < ec) {
        if (*p == '%') {
            if (in_class(c, (unsigned char)*++p)) return want;
        } else if (p[1] == '-' && p + 2 < ec) {
            p += 2;
            if ((unsigned char)p[-2] <= c && c <= (unsigned char)*p) return want;
        } else if ((unsigned char)*p == c) return want;
    }
    return !want;
}

static bool single(struct match *m, const char *s, const char *p, const char *ep) {
    if (s >= m->src_end) return false;
    int c = (unsigned char)*s;
    switch (*p) {
    case '.': return true;
    case '%': return in_class(c, (unsigned char)p[1]);
    case '[': return in_set(c, p, ep - 1);
    default: return (unsigned char)*p == c;
    }
}

static const char *balance(struct match *m, const char *s, const char *p) {
    if (p >= m->pat_end - 1) luaL_error(m->L, "malformed pattern (missing arguments to '%%b')");
    if (s >= m->src_end || *s != *p) return NULL;
    int open = *p, close = p[1], n = 1;
    while (++s < m->src_end) {
        step(m);
        if (*s == close) {
            if (--n == 0) return s + 1;
        } else if (*s == open) n++;
    }
    return NULL;
}

static const char *longest(struct match *m, const char *s, const char *p, const char *ep) {
    ptrdiff_t i = 0;
    while (single(m, s + i, p, ep)) i++, step(m);
    for (; i >= 0; i--) {
        const char *r = match(m, s + i, ep + 1);
        if (r) return r;
    }
    return NULL;
}

static const char *shortest(struct match *m, const char *s, const char *p, const char *ep) {
    for (;;) {
        const char *r = match(m, s, ep + 1);
        if (r) return r;
        if (!single(m, s, p, ep)) return NULL;
        s++;
    }
}

static const char *start_capture(struct match *m, const char *s, const char *p, int what) {
    if (m->level >= CAPTURES) luaL_error(m->L, "too many captures");
    m->cap[m->level].at = s;
    m->cap[m->level++].len = what;
    const char *r = match(m, s, p);
    if (!r) m->level--;
    return r;
}

static const char *end_capture(struct match *m, const char *s, const char *p) {
    int l = m->level;
    while (--l >= 0 && m->cap[l].len != CAP_OPEN) {}
    if (l < 0) luaL_error(m->L, "invalid pattern capture");
    m->cap[l].len = s - m->cap[l].at;
    const char *r = match(m, s, p);
    if (!r) m->cap[l].len = CAP_OPEN;
    return r;
}

static const char *frontier(struct match *m, const char *s, const char **p) {
    *p += 2;
    if (*p >= m->pat_end || **p != '[') luaL_error(m->L, "missing '[' after '%%f' in pattern");
    const char *ep = class_end(m, *p);
    int before = s == m->src ? 0 : (unsigned char)s[-1], here = s < m->src_end ? (unsigned char)*s : 0;
    bool ok = !in_set(before, *p, ep - 1) && in_set(here, *p, ep - 1);
    *p = ep;
    return ok ? s : NULL;
}

static const char *back_reference(struct match *m, const char *s, int c) {
    int l = closing(m, c);
    size_t len = (size_t)m->cap[l].len;
    if ((size_t)(m->src_end - s) >= len && memcmp(m->cap[l].at, s, len) == 0) return s + len;
    return NULL;
}

/* One item that is not a capture; sets *p to what follows. Returns NULL for "no match", or the new place; *done: a suffix
 * matched the rest already. */
static const char *item(struct match *m, const char *s, const char **p, bool *done) {
    const char *ep = class_end(m, *p), *at = *p;
    char suffix = ep < m->pat_end ? *ep : '\0';
    if (suffix == '*' || suffix == '-' || suffix == '+') {
        *done = true;
        if (suffix == '-') return shortest(m, s, at, ep);
        if (suffix == '+') return single(m, s, at, ep) ? longest(m, s + 1, at, ep) : NULL;
        return longest(m, s, at, ep);
    }
    bool ok = single(m, s, at, ep);
    if (suffix == '?') {
        const char *r;
        if (ok && (r = match(m, s + 1, ep + 1))) {
            *done = true;
            return r;
        }
        *p = ep + 1;
        return s;
    }
    *p = ep;
    return ok ? s + 1 : NULL;
}

static const char *match(struct match *m, const char *s, const char *p) {
    if (++m->depth > DEPTH) luaL_error(m->L, "pattern too complex");
    bool done = false;
    while (s && !done && p != m->pat_end) {
        step(m);
        if (*p == '(') {
            s = p + 1 < m->pat_end && p[1] == ')' ? start_capture(m, s, p + 2, CAP_POSITION) : start_capture(m, s, p + 1, CAP_OPEN);
            done = true;
        } else if (*p == ')') {
            s = end_capture(m, s, p + 1);
            done = true;
        } else if (*p == '$' && p + 1 == m->pat_end) {
            if (s != m->src_end) s = NULL;
            done = true;
        } else if (*p == '%' && p + 1 < m->pat_end && p[1] == 'b') {
            s = balance(m, s, p + 2);
            p += 4;
        } else if (*p == '%' && p + 1 < m->pat_end && p[1] == 'f') {
            s = frontier(m, s, &p);
        } else if (*p == '%' && p + 1 < m->pat_end && isdigit((unsigned char)p[1])) {
            s = back_reference(m, s, (unsigned char)p[1]);
            p += 2;
        } else s = item(m, s, &p, &done);
    }
    m->depth--;
    return s;
}

static void push_capture(struct match *m, int i, const char *s, const char *e) {
    if (i >= m->level) {
        if (i != 0) luaL_error(m->L, "invalid capture index %%%d", i + 1);
        lua_pushlstring(m->L, s, (size_t)(e - s));
    } else if (m->cap[i].len == CAP_OPEN) luaL_error(m->L, "unfinished capture");
    else if (m->cap[i].len == CAP_POSITION) lua_pushinteger(m->L, m->cap[i].at - m->src + 1);
    else lua_pushlstring(m->L, m->cap[i].at, (size_t)m->cap[i].len);
}

static int push_captures(struct match *m, const char *s, const char *e) {
    int n = m->level == 0 && s ? 1 : m->level;
    luaL_checkstack(m->L, n, "too many captures");
    for (int i = 0; i < n; i++) push_capture(m, i, s, e);
    return n;
}

static void prepare(struct match *m, lua_State *L, const char *s, size_t ls, const char *p, size_t lp) {
    m->L = L;
    m->src = s;
    m->src_end = s + ls;
    m->pat_end = p + lp;
    m->steps = 0;
}

static const char *try_at(struct match *m, const char *s, const char *p) {
    m->level = m->depth = 0;
    step(m);
    return match(m, s, p);
}

static size_t start_of(lua_Integer pos, size_t len) {
    if (pos > 0) return (size_t)pos;
    if (pos == 0 || pos < -(lua_Integer)len) return 1;
    return len + (size_t)pos + 1;
}

/* memmem in pieces, because "a" repeated against "aaa..b" is slow in some libraries */
static const char *plain_find(lua_State *L, const char *s, size_t ls, const char *p, size_t lp) {
    if (lp == 0) return s;
    for (unsigned n = 0; ls >= lp; n++) {
        const char *c = memchr(s, *p, ls - lp + 1);
        if (!c) return NULL;
        if (memcmp(c, p, lp) == 0) return c;
        ls -= (size_t)(c + 1 - s);
        s = c + 1;
        if ((n & 255) == 0) state_tick(L);
    }
    return NULL;
}

static int find_aux(lua_State *L, bool find) {
    size_t ls, lp;
    const char *s = luaL_checklstring(L, 1, &ls), *p = luaL_checklstring(L, 2, &lp);
    size_t init = start_of(luaL_optinteger(L, 3, 1), ls) - 1;
    struct match m;
    if (init > ls) {
        luaL_pushfail(L);
        return 1;
    }
    if (find && (lua_toboolean(L, 4) || strcspn(p, "^$*+?.([%-") >= lp)) {
        const char *r = memchr(p, 0, lp) && !lua_toboolean(L, 4) ? NULL : plain_find(L, s + init, ls - init, p, lp);
        if (r) {
            lua_pushinteger(L, r - s + 1);
            lua_pushinteger(L, (lua_Integer)((size_t)(r - s) + lp));
            return 2;
        }
    } else {
        bool anchor = *p == '^';
        const char *at = s + init;
        prepare(&m, L, s, ls, p, lp);
        if (anchor) p++;
        do {
            const char *e = try_at(&m, at, p);
            if (!e) continue;
            if (!find) return push_captures(&m, at, e);
            lua_pushinteger(L, at - s + 1);
            lua_pushinteger(L, e - s);
            return push_captures(&m, NULL, NULL) + 2;
        } while (at++ < m.src_end && !anchor);
    }
    luaL_pushfail(L);
    return 1;
}
static int str_find(lua_State *L) { return find_aux(L, true); }
static int str_match(lua_State *L) { return find_aux(L, false); }

/* upvalues: string, pattern, next place, end of the last match (offsets) */
static int gmatch_next(lua_State *L) {
    size_t ls, lp;
    const char *s = lua_tolstring(L, lua_upvalueindex(1), &ls), *p = lua_tolstring(L, lua_upvalueindex(2), &lp);
    lua_Integer last = lua_tointeger(L, lua_upvalueindex(4));
    struct match m;
    prepare(&m, L, s, ls, p, lp);
    for (const char *at = s + lua_tointeger(L, lua_upvalueindex(3)); at <= m.src_end; at++) {
        const char *e = try_at(&m, at, p);
        if (!e || e - s == last) continue;
        lua_pushinteger(L, e - s);
        lua_pushvalue(L, -1);
        lua_replace(L, lua_upvalueindex(3));
        lua_replace(L, lua_upvalueindex(4));
        return push_captures(&m, at, e);
    }
    return 0;
}
static int str_gmatch(lua_State *L) {
    size_t ls;
    luaL_checklstring(L, 1, &ls);
    luaL_checkstring(L, 2);
    size_t init = start_of(luaL_optinteger(L, 3, 1), ls) - 1;
    lua_settop(L, 2);
    lua_pushinteger(L, (lua_Integer)(init > ls ? ls + 1 : init));
    lua_pushinteger(L, -1);
    lua_pushcclosure(L, gmatch_next, 4);
    return 1;
}

static void add_text(struct match *m, luaL_Buffer *b, const char *s, const char *e) {
    size_t n;
    const char *r = lua_tolstring(m->L, 3, &n);
    for (size_t i = 0; i < n; i++) {
        if (r[i] != '%') luaL_addchar(b, r[i]);
        else if (++i < n && r[i] == '%') luaL_addchar(b, '%');
        else if (i < n && r[i] == '0') luaL_addlstring(b, s, (size_t)(e - s));
        else if (i < n && isdigit((unsigned char)r[i])) {
            push_capture(m, r[i] - '1', s, e);
            luaL_tolstring(m->L, -1, NULL);
            lua_remove(m->L, -2);
            luaL_addvalue(b);
        } else luaL_error(m->L, "invalid use of '%%' in replacement string");
    }
}

/* Adds what replaces s..e; true: it changed something. */
static void add_value(struct match *m, luaL_Buffer *b, const char *s, const char *e, int type) {
    lua_State *L = m->L;
    if (type == LUA_TFUNCTION) {
        lua_pushvalue(L, 3);
        lua_call(L, push_captures(m, s, e), 1);
    } else if (type == LUA_TTABLE) {
        push_capture(m, 0, s, e);
        lua_gettable(L, 3);
    } else {
        add_text(m, b, s, e);
        return;
    }
    if (!lua_toboolean(L, -1)) {
        lua_pop(L, 1);
        luaL_addlstring(b, s, (size_t)(e - s));
    } else if (!lua_isstring(L, -1)) luaL_error(L, "invalid replacement value (a %s)", luaL_typename(L, -1));
    else luaL_addvalue(b);
}

static int str_gsub(lua_State *L) {
    size_t ls, lp;
    const char *s = luaL_checklstring(L, 1, &ls), *p = luaL_checklstring(L, 2, &lp), *last = NULL;
    int type = lua_type(L, 3);
    lua_Integer max = luaL_optinteger(L, 4, (lua_Integer)ls + 1), n = 0;
    bool anchor = *p == '^';
    struct match m;
    luaL_Buffer b;
    luaL_argexpected(L, type == LUA_TNUMBER || type == LUA_TSTRING || type == LUA_TFUNCTION || type == LUA_TTABLE, 3, "string/function/table");
    luaL_buffinit(L, &b);
    prepare(&m, L, s, ls, p, lp);
    if (anchor) p++;
    while (n < max) {
        const char *e = try_at(&m, s, p);
        if (e && e != last) {
            n++;
            if ((n & 63) == 0) state_tick(L);
            add_value(&m, &b, s, e, type);
            if (luaL_bufflen(&b) > SCRIPT_TEXT_MAX) return luaL_error(L, "string.gsub would make more than 16 MiB");
            s = last = e;
        } else if (s < m.src_end) luaL_addchar(&b, *s++);
        else break;
        if (anchor) break;
    }
    luaL_addlstring(&b, s, (size_t)(m.src_end - s));
    luaL_pushresult(&b);
    lua_pushinteger(L, n);
    return 2;
}

static int str_rep(lua_State *L) {
    size_t l, lsep;
    const char *s = luaL_checklstring(L, 1, &l), *sep = luaL_optlstring(L, 3, "", &lsep);
    lua_Integer n = luaL_checkinteger(L, 2);
    if (n <= 0 || l + lsep == 0) {
        lua_pushliteral(L, "");
        return 1;
    }
    if (n > 1 && ((lua_Unsigned)n > SCRIPT_TEXT_MAX / (l + lsep))) return luaL_error(L, "string.rep would make more than 16 MiB");
    if ((lua_Unsigned)n * (l + lsep) > 4096) state_tick(L);
    size_t total = (size_t)n * l + (size_t)(n - 1) * lsep, have = l + lsep;
    luaL_Buffer b;
    char *out = luaL_buffinitsize(L, &b, total + lsep);
    memcpy(out, s, l);
    memcpy(out + l, sep, lsep);
    while (have < total) { /* doubling; the last separator falls off the end */
        size_t k = have < total + lsep - have ? have : total + lsep - have;
        memcpy(out + have, out, k);
        have += k;
    }
    luaL_pushresultsize(&b, total);
    return 1;
}

/* string.format and string.pack (upvalues: the library's, its name) copy all their arguments before anything looks at the interrupt. A
 * precision may cut strings, so a format with a point is left to the limit of one block. */
static int bounded(lua_State *L) {
    size_t total = 0, n;
    const char *f = luaL_checklstring(L, 1, &n);
    bool cut = memchr(f, '.', n) && lua_toboolean(L, lua_upvalueindex(3));
    for (int i = 2; i <= lua_gettop(L); i++) {
        if (lua_type(L, i) == LUA_TSTRING) total += lua_rawlen(L, i);
        if (total > SCRIPT_TEXT_MAX && !cut) return luaL_error(L, "%s would make more than 16 MiB", lua_tostring(L, lua_upvalueindex(2)));
    }
    if (total > PIECE) state_tick(L);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
    return lua_gettop(L);
}

/* Bytes of the character that begins with c, as utf8.len counts them. */
static size_t char_bytes(unsigned char c) { return c < 0xc0 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : c < 0xf8 ? 4 : c < 0xfc ? 5 : 6; }

/* utf8.len(s [, i [, j [, lax]]]) in pieces that the library's (the upvalue) counts: those of a string up to PIECE in one. */
static int utf8_len(lua_State *L) {
    size_t n;
    const char *s = luaL_checklstring(L, 1, &n);
    lua_Integer from = luaL_optinteger(L, 2, 1), to = luaL_optinteger(L, 3, -1), count = 0;
    if (from < 0) from = from < -(lua_Integer)n ? 0 : (lua_Integer)n + from + 1;
    if (to < 0) to = to < -(lua_Integer)n ? 0 : (lua_Integer)n + to + 1;
    luaL_argcheck(L, from >= 1 && from - 1 <= (lua_Integer)n, 2, "initial position out of bounds");
    luaL_argcheck(L, to <= (lua_Integer)n, 3, "final position out of bounds");
    lua_settop(L, 4);
    while (from <= to) {
        lua_Integer end = to - from < PIECE ? to : from + PIECE;
        state_tick(L);
        lua_pushvalue(L, lua_upvalueindex(1));
        lua_pushvalue(L, 1);
        lua_pushinteger(L, from);
        lua_pushinteger(L, end);
        lua_pushvalue(L, 4);
        lua_call(L, 4, 2);
        if (lua_isnil(L, -2)) return 2;
        count += lua_tointeger(L, -2);
        lua_settop(L, 4);
        lua_Integer last = end; /* where the last character counted begins */
        while (last > from && ((unsigned char)s[last - 1] & 0xc0) == 0x80) last--;
        from = last + (lua_Integer)char_bytes((unsigned char)s[last - 1]);
    }
    lua_pushinteger(L, count);
    return 1;
}

/* tonumber(text, base), digits past the last of an integer wrap around; without a base it is the library's (the upvalue). */
static int to_number(lua_State *L) {
    if (lua_type(L, 1) != LUA_TSTRING || lua_isnoneornil(L, 2)) {
        lua_pushvalue(L, lua_upvalueindex(1));
        lua_insert(L, 1);
        lua_call(L, lua_gettop(L) - 1, 1);
        return 1;
    }
    size_t n, i = 0;
    const char *s = lua_tolstring(L, 1, &n);
    lua_Integer base = luaL_checkinteger(L, 2);
    lua_Unsigned v = 0;
    luaL_argcheck(L, 2 <= base && base <= 36, 2, "base out of range");
    while (i < n && strchr(" \f\n\r\t\v", s[i]) && s[i]) i++;
    bool minus = i < n && s[i] == '-', ok = false;
    if (i < n && (s[i] == '-' || s[i] == '+')) i++;
    for (; i < n && isalnum((unsigned char)s[i]); i++) {
        int d = isdigit((unsigned char)s[i]) ? s[i] - '0' : toupper((unsigned char)s[i]) - 'A' + 10;
        if (!(ok = d < base)) break;
        v = v * (lua_Unsigned)base + (lua_Unsigned)d;
        if ((i & (PIECE - 1)) == 0) state_tick(L);
    }
    while (ok && i < n && s[i] && strchr(" \f\n\r\t\v", s[i])) i++;
    if (ok && i == n) lua_pushinteger(L, (lua_Integer)(minus ? 0u - v : v));
    else luaL_pushfail(L);
    return 1;
}

/* upper, lower and reverse: what is the same but for the byte that comes out */
static int mapped(lua_State *L, int (*map)(int)) {
    size_t n;
    const unsigned char *s = (const unsigned char *)luaL_checklstring(L, 1, &n);
    luaL_Buffer b;
    char *out = luaL_buffinitsize(L, &b, n);
    for (size_t i = 0; i < n; i++) {
        if ((i & (PIECE - 1)) == PIECE - 1) state_tick(L);
        out[i] = (char)(map ? map(s[i]) : s[n - 1 - i]);
    }
    luaL_pushresultsize(&b, n);
    return 1;
}
static int str_upper(lua_State *L) { return mapped(L, toupper); }
static int str_lower(lua_State *L) { return mapped(L, tolower); }
static int str_reverse(lua_State *L) { return mapped(L, NULL); }

static const luaL_Reg functions[] = {
    {"find", str_find},
    {"match", str_match},
    {"gmatch", str_gmatch},
    {"gsub", str_gsub},
    {"rep", str_rep},
    {"upper", str_upper},
    {"lower", str_lower},
    {"reverse", str_reverse},
    {NULL, NULL},
};

/* Puts fn in the place of the library's, which becomes its first upvalue; the name and `flag` follow. */
static void wrap(lua_State *L, const char *lib, const char *name, lua_CFunction fn, bool flag) {
    lua_getglobal(L, lib);
    lua_getfield(L, -1, name);
    lua_pushfstring(L, "%s.%s", lib, name);
    lua_pushboolean(L, flag);
    lua_pushcclosure(L, fn, 3);
    lua_setfield(L, -2, name);
    lua_pop(L, 1);
}

void lua_str_open(lua_State *L) {
    lua_getglobal(L, "string");
    luaL_setfuncs(L, functions, 0);
    lua_pop(L, 1);
    wrap(L, "string", "format", bounded, true);
    wrap(L, "string", "pack", bounded, false);
    wrap(L, "utf8", "len", utf8_len, false);
    wrap(L, LUA_GNAME, "tonumber", to_number, false);
}
