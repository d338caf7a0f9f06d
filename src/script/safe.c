/* The standard libraries, less what would let a script run on after an interrupt, leave Lua, or load bytecode: load, loadfile,
 * dofile, require, xpcall, setmetatable, collectgarbage, coroutine.wrap and close, debug, os and io are looked after here;
 * string and table in lua_str.c and lua_tab.c. This guards against accidents of the user's own scripts, it is no sandbox. */
#include "config.h"

#include "src/script/state.h"

#include <string.h>
#include <sys/stat.h>

#include "src/base/io.h"

#define LOAD_PIECE 16384 /* bytes */
#define OUT_PIECE 65536 /* bytes */

/* The compiler gets the text in pieces: between two of them it can be interrupted. */
struct pieces {
    const char *p;
    size_t left;
};
static const char *next_piece(lua_State *L, void *ud, size_t *n) {
    struct pieces *x = ud;
    const char *p = x->p;
    state_tick(L);
    *n = x->left < LOAD_PIECE ? x->left : LOAD_PIECE;
    x->p += *n;
    x->left -= *n;
    return p;
}

int safe_load_text(lua_State *L, const char *text, size_t n, const char *chunk, int env) {
    int rc = LUA_ERRSYNTAX;
    if (n > SCRIPT_TEXT_MAX)
        lua_pushfstring(L, "%s is larger than 16 MiB: data belongs in a data file", *chunk == '@' || *chunk == '=' ? chunk + 1 : "the chunk");
    else if (n && text[0] == LUA_SIGNATURE[0])
        lua_pushfstring(L, "%s is bytecode, which is never loaded: give the Lua source", *chunk == '@' || *chunk == '=' ? chunk + 1 : "the chunk");
    else rc = lua_load(L, next_piece, &(struct pieces){text, n}, chunk, "t");
    if (rc == LUA_OK && env) {
        lua_pushvalue(L, env);
        if (!lua_setupvalue(L, -2, 1)) lua_pop(L, 1);
    }
    return rc;
}

/* Pushes what holds the file's text, so that nothing leaks when Lua raises; or a message, and gives NULL. */
static const char *slurp(lua_State *L, const char *path, size_t *n) {
    struct val **box = val_box(L);
    struct buf text = BUF_INIT;
    struct err e = {0};
    if (io_read_file(path, SCRIPT_TEXT_MAX, &text, &e) == 0) {
        *box = val_strn(text.data, text.len);
        *n = text.len;
    }
    buf_release(&text);
    if (!*box) lua_pushstring(L, e.text);
    return *box ? (*box)->u.s.p : NULL;
}

/* Without a byte order mark and a first line that starts with #. */
static int load_body(lua_State *L, const char *p, size_t n, const char *chunk, int env) {
    if (n >= 3 && memcmp(p, "\xef\xbb\xbf", 3) == 0) p += 3, n -= 3;
    if (n && *p == '#')
        while (n && *p != '\n') p++, n--;
    return safe_load_text(L, p, n, chunk, env);
}

/* Pushes the chunk, or a message. */
static int load_path(lua_State *L, const char *path, int env) {
    size_t n;
    const char *p = slurp(L, path, &n);
    if (!p) return LUA_ERRFILE;
    const char *chunk = lua_pushfstring(L, "@%s", path);
    int rc = load_body(L, p, n, chunk, env);
    lua_insert(L, -3);
    lua_pop(L, 2);
    return rc;
}

int safe_load_script(lua_State *L, const char *text, size_t n, const char *chunk) { return load_body(L, text, n, chunk, 0) == LUA_OK ? 1 : lua_error(L); }

int safe_load_file(lua_State *L, const char *path) {
    int rc = load_path(L, path, 0);
    if (rc != LUA_OK) return lua_error(L);
    return 1;
}

static int result_of_load(lua_State *L, int rc) {
    if (rc == LUA_OK) return 1;
    luaL_pushfail(L);
    lua_insert(L, -2);
    return 2;
}

/* load(text or function [, name [, mode [, env]]]): pieces are joined first, so that an endless reader meets the limit. */
static int l_load(lua_State *L) {
    int env = lua_isnone(L, 4) ? 0 : 4;
    state_tick(L);
    lua_settop(L, 4);
    if (lua_type(L, 1) == LUA_TSTRING) {
        size_t n;
        const char *text = lua_tolstring(L, 1, &n);
        return result_of_load(L, safe_load_text(L, text, n, luaL_optstring(L, 2, text), env));
    }
    luaL_checktype(L, 1, LUA_TFUNCTION);
    luaL_Buffer b;
    size_t total = 0;
    lua_settop(L, 5); /* 5: the piece, below the buffer's own slot */
    luaL_buffinit(L, &b);
    for (;;) {
        state_tick(L);
        lua_pushvalue(L, 1);
        lua_call(L, 0, 1);
        size_t n = 0;
        const char *p = lua_type(L, -1) == LUA_TSTRING ? lua_tolstring(L, -1, &n) : NULL;
        if (!p && !lua_isnil(L, -1)) return luaL_error(L, "reader function must return a string");
        if (p && (total += n) > SCRIPT_TEXT_MAX) return luaL_error(L, "the chunk that the reader function gives is larger than 16 MiB");
        if (!n) break;
        lua_replace(L, 5);
        luaL_addlstring(&b, lua_tostring(L, 5), n);
    }
    lua_pop(L, 1);
    luaL_pushresult(&b);
    size_t n;
    const char *text = lua_tolstring(L, -1, &n);
    return result_of_load(L, safe_load_text(L, text, n, luaL_optstring(L, 2, "=(load)"), env));
}

static int l_loadfile(lua_State *L) {
    const char *path = luaL_checkstring(L, 1);
    int env = lua_isnone(L, 3) ? 0 : 3;
    lua_settop(L, 3);
    return result_of_load(L, load_path(L, path, env));
}

static int dofile_k(lua_State *L, int status, lua_KContext ctx) {
    (void)status, (void)ctx;
    return lua_gettop(L) - 1;
}
static int l_dofile(lua_State *L) {
    const char *path = luaL_checkstring(L, 1);
    lua_settop(L, 1);
    safe_load_file(L, path);
    watch_add(state_of(L), path);
    lua_callk(L, 0, LUA_MULTRET, 0, dofile_k);
    return dofile_k(L, LUA_OK, 0);
}

/* package.searchers[2]; upvalues: package, package.searchpath */
static int searcher(lua_State *L) {
    const char *name = luaL_checkstring(L, 1);
    state_tick(L);
    lua_pushvalue(L, lua_upvalueindex(2));
    lua_pushstring(L, name);
    lua_getfield(L, lua_upvalueindex(1), "path");
    lua_call(L, 2, 2);
    if (lua_isnil(L, -2)) return 1; /* why not */
    lua_pop(L, 1);
    const char *path = lua_tostring(L, -1);
    if (load_path(L, path, 0) != LUA_OK) return luaL_error(L, "module '%s' does not load: %s", name, lua_tostring(L, -1));
    watch_add(state_of(L), path);
    lua_pushvalue(L, -2);
    return 2;
}

/* A message handler runs with hooks off when the error came from the hook: the user's is skipped then. */
static int handler(lua_State *L) {
    struct script *s = state_of(L);
    lua_settop(L, 1);
    if ((s->cur && s->cur->unwind) || s->late) return 1;
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, 1, 1);
    return 1;
}
static int xpcall_k(lua_State *L, int status, lua_KContext extra) {
    if (status != LUA_OK && status != LUA_YIELD) {
        lua_pushboolean(L, 0);
        lua_pushvalue(L, -2);
        return 2;
    }
    return lua_gettop(L) - (int)extra;
}
static int l_xpcall(lua_State *L) {
    int n = lua_gettop(L);
    luaL_checktype(L, 2, LUA_TFUNCTION);
    lua_pushvalue(L, 2);
    lua_pushcclosure(L, handler, 1);
    lua_replace(L, 2);
    lua_pushboolean(L, 1);
    lua_pushvalue(L, 1);
    lua_rotate(L, 3, 2);
    return xpcall_k(L, lua_pcallk(L, n - 2, LUA_MULTRET, 2, 2, xpcall_k), 2);
}

/* Finalizers run with hooks off: one that loops could not be stopped. */
static int l_setmetatable(lua_State *L) {
    int t = lua_type(L, 2);
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_argexpected(L, t == LUA_TNIL || t == LUA_TTABLE, 2, "nil or table");
    if (t == LUA_TTABLE) {
        lua_pushliteral(L, "__gc");
        if (lua_rawget(L, 2) != LUA_TNIL)
            return luaL_error(L, "finalizers (__gc) are not available, because an interrupt could not stop them: use a local with <close>");
        lua_pop(L, 1);
    }
    if (luaL_getmetafield(L, 1, "__metatable") != LUA_TNIL) return luaL_error(L, "cannot change a protected metatable");
    lua_settop(L, 2);
    lua_setmetatable(L, 1);
    return 1;
}

static int l_collectgarbage(lua_State *L) {
    const char *what = luaL_optstring(L, 1, "collect");
    state_tick(L);
    if (strcmp(what, "count") == 0) lua_pushnumber(L, (double)lua_gc(L, LUA_GCCOUNT) + (double)lua_gc(L, LUA_GCCOUNTB) / 1024);
    else if (strcmp(what, "step") == 0) lua_pushboolean(L, lua_gc(L, LUA_GCSTEP, 0));
    else if (strcmp(what, "collect") == 0) state_collect(L), lua_pushinteger(L, 0);
    else return luaL_error(L, "collectgarbage knows collect, step and count, not %s", what);
    return 1;
}

/* Moves n values from one thread to another; the rest as the standard library does it, but that poisoned threads are not closed. */
static int resume(lua_State *L, lua_State *co, int narg) {
    int n, status;
    if (!lua_checkstack(co, narg)) {
        lua_pushliteral(L, "too many arguments to resume");
        return -1;
    }
    lua_xmove(L, co, narg);
    status = lua_resume(co, L, narg, &n);
    if (status == LUA_OK || status == LUA_YIELD) {
        if (lua_checkstack(L, n + 1)) {
            lua_xmove(co, L, n);
            return n;
        }
        lua_pop(co, n);
        lua_pushliteral(L, "too many results to resume");
        return -1;
    }
    lua_xmove(co, L, 1);
    return -1;
}

static int wrapped(lua_State *L) {
    lua_State *co = lua_tothread(L, lua_upvalueindex(1));
    int n = resume(L, co, lua_gettop(L));
    if (n >= 0) return n;
    int status = lua_status(co);
    if (status != LUA_OK && status != LUA_YIELD && !state_poisoned(co)) {
        status = lua_resetthread(co);
        if (status != LUA_OK) lua_xmove(co, L, 1);
    }
    if (status != LUA_ERRMEM && lua_type(L, -1) == LUA_TSTRING && !(state_of(L)->cur && state_of(L)->cur->unwind)) {
        luaL_where(L, 1);
        lua_insert(L, -2);
        lua_concat(L, 2);
    }
    return lua_error(L);
}
static int l_wrap(lua_State *L) {
    luaL_checktype(L, 1, LUA_TFUNCTION);
    lua_State *co = lua_newthread(L);
    lua_pushvalue(L, 1);
    lua_xmove(L, co, 1);
    lua_pushcclosure(L, wrapped, 1);
    return 1;
}
static int l_close(lua_State *L) { /* upvalue: the library's */
    lua_State *co = lua_tothread(L, 1);
    luaL_argexpected(L, co, 1, "coroutine");
    lua_settop(L, 1);
    if (co != L && state_poisoned(co) && lua_status(co) != LUA_YIELD) {
        lua_pushboolean(L, 0);
        lua_pushliteral(L, "interrupted");
        return 2;
    }
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, 1, LUA_MULTRET);
    return lua_gettop(L);
}

/* Opening a named pipe blocks where nothing can interrupt it. */
static int l_open(lua_State *L) { /* upvalue: the library's */
    struct stat st;
    const char *path = luaL_checkstring(L, 1);
    if (stat(path, &st) == 0 && (S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode))) {
        luaL_pushfail(L);
        lua_pushfstring(L, "%s: a pipe or socket is not opened, because a wait on it could not be interrupted", path);
        return 2;
    }
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
    return lua_gettop(L);
}

static int refused(lua_State *L) { return luaL_error(L, "%s", lua_tostring(L, lua_upvalueindex(1))); }
static void refuse(lua_State *L, const char *lib, const char *name, const char *why) {
    lua_getglobal(L, lib);
    lua_pushfstring(L, "%s.%s is not available: %s", lib, name, why);
    lua_pushcclosure(L, refused, 1);
    lua_setfield(L, -2, name);
    lua_pop(L, 1);
}

static void put(lua_State *L, const char *s, size_t n) {
    struct script *c = state_of(L);
    for (size_t k; n > OUT_PIECE; s += k, n -= k) {
        state_tick(L);
        task_output(c, c->cur, s, k = OUT_PIECE);
    }
    task_output(c, c->cur, s, n);
}
static int l_print(lua_State *L) {
    struct script *s = state_of(L);
    int n = lua_gettop(L);
    luaL_Buffer b;
    luaL_buffinit(L, &b);
    for (int i = 1; i <= n; i++) {
        if (i > 1) luaL_addchar(&b, '\t');
        if (lua_isinteger(L, i) || lua_type(L, i) != LUA_TNUMBER) luaL_tolstring(L, i, NULL);
        else {
            buf_clear(&s->text);
            show_plain(L, i, &s->text);
            lua_pushlstring(L, s->text.data, s->text.len);
        }
        luaL_addvalue(&b);
    }
    luaL_addchar(&b, '\n');
    luaL_pushresult(&b);
    size_t len;
    const char *p = lua_tolstring(L, -1, &len);
    put(L, p, len);
    return 0;
}
static int l_write(lua_State *L) {
    int n = lua_gettop(L);
    for (int i = 1; i <= n; i++) {
        size_t len;
        const char *p = luaL_checklstring(L, i, &len);
        put(L, p, len);
    }
    lua_getglobal(L, "io");
    lua_getfield(L, -1, "stdout");
    return 1;
}

/* Wraps lib.name in fn, which gets the old function as its upvalue. */
static void wrap(lua_State *L, const char *lib, const char *name, lua_CFunction fn) {
    lua_getglobal(L, lib);
    lua_getfield(L, -1, name);
    lua_pushcclosure(L, fn, 1);
    lua_setfield(L, -2, name);
    lua_pop(L, 1);
}

static void open_package(lua_State *L, const char *dirs) {
    luaL_Buffer b;
    lua_getglobal(L, "package");
    luaL_buffinit(L, &b);
    while (dirs && *dirs) {
        size_t n = strcspn(dirs, ":");
        for (int i = 0; i < 2 && n; i++) {
            luaL_addlstring(&b, dirs, n);
            luaL_addstring(&b, i ? "/?/init.lua;" : "/?.lua;");
        }
        dirs += n + (dirs[n] == ':');
    }
    luaL_pushresult(&b);
    lua_setfield(L, -2, "path");
    lua_pushliteral(L, "");
    lua_setfield(L, -2, "cpath");
    lua_pushnil(L);
    lua_setfield(L, -2, "loadlib");
    lua_getfield(L, -1, "searchers");
    lua_pushvalue(L, -2);
    lua_getfield(L, -3, "searchpath");
    lua_pushcclosure(L, searcher, 2);
    lua_rawseti(L, -2, 2);
    for (int i = 3; i <= 4; i++) lua_pushnil(L), lua_rawseti(L, -2, i);
    lua_pop(L, 2);
}

static void keep_only(lua_State *L, const char *lib, const char *const *names) {
    lua_newtable(L);
    lua_getglobal(L, lib);
    for (; *names; names++) lua_getfield(L, -1, *names), lua_setfield(L, -3, *names);
    lua_pop(L, 1);
    lua_pushvalue(L, -1);
    lua_setglobal(L, lib);
    lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    lua_insert(L, -2);
    lua_setfield(L, -2, lib);
    lua_pop(L, 1);
}

static const luaL_Reg libs[] = {
    {LUA_GNAME, luaopen_base},
    {LUA_LOADLIBNAME, luaopen_package},
    {LUA_COLIBNAME, luaopen_coroutine},
    {LUA_TABLIBNAME, luaopen_table},
    {LUA_IOLIBNAME, luaopen_io},
    {LUA_OSLIBNAME, luaopen_os},
    {LUA_STRLIBNAME, luaopen_string},
    {LUA_MATHLIBNAME, luaopen_math},
    {LUA_UTF8LIBNAME, luaopen_utf8},
    {LUA_DBLIBNAME, luaopen_debug},
};
static const luaL_Reg globals[] = {
    {"load", l_load},
    {"loadfile", l_loadfile},
    {"dofile", l_dofile},
    {"xpcall", l_xpcall},
    {"setmetatable", l_setmetatable},
    {"collectgarbage", l_collectgarbage},
    {"print", l_print},
    {NULL, NULL},
};
static const char *const debug_names[] = {"traceback", "getinfo", NULL};
static const char *const os_names[] = {"clock", "date", "difftime", "getenv", "remove", "rename", "time", "tmpname", NULL};

void safe_open(lua_State *L) {
    for (size_t i = 0; i < LEN(libs); i++) luaL_requiref(L, libs[i].name, libs[i].func, 1), lua_pop(L, 1);
    lua_pushglobaltable(L);
    luaL_setfuncs(L, globals, 0);
    lua_pop(L, 1);
    keep_only(L, "debug", debug_names);
    keep_only(L, "os", os_names);
    refuse(L, "debug", "sethook", "an interrupt needs the hook");
    refuse(L, "os", "exit", "a script ends at its last line or with error()");
    refuse(L, "os", "execute", "a session starts no shell");
    refuse(L, "io", "popen", "a session starts no shell");
    refuse(L, "string", "dump", "bytecode is never loaded");
    wrap(L, "io", "open", l_open);
    wrap(L, "coroutine", "close", l_close);
    lua_getglobal(L, "coroutine");
    lua_pushcfunction(L, l_wrap);
    lua_setfield(L, -2, "wrap");
    lua_getglobal(L, "io");
    lua_pushcfunction(L, l_write);
    lua_setfield(L, -2, "write");
    luaL_getmetatable(L, LUA_FILEHANDLE); /* its finalizer stays ours */
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 3);
    open_package(L, state_of(L)->lib_dirs);
}
