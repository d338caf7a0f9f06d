/* Lines of the prompt that are no Lua: ?name, ??text, !shell line, :who, :reload. Each stands for a call of a command, so nothing here has a way of its
 * own; and the commands that only they needed: who, reload. Script thread. */
#include "config.h"

#include "src/script/state.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/json.h"
#include "src/base/mem.h"

static bool word_is(const char *p, size_t n, const char *word) {
    size_t k = strlen(word);
    return n >= k && memcmp(p, word, k) == 0 && (n == k || isspace((unsigned char)p[k]));
}

bool meta_line(const char *text, size_t n, struct buf *out) {
    while (n && isspace((unsigned char)*text)) text++, n--;
    while (n && isspace((unsigned char)text[n - 1])) n--;
    if (n == 0) return false;
    bool who = word_is(text, n, ":who");
    if (who || word_is(text, n, ":reload")) {
        buf_adds(out, who ? "return hone.who()" : "return hone.reload()");
        return true;
    }
    if (*text != '?' && *text != '!') return false;
    const char *call = *text == '!' ? "sh" : n > 1 && text[1] == '?' ? "apropos" : "help";
    size_t skip = call[0] == 'a' ? 2 : 1;
    text += skip, n -= skip;
    while (n && isspace((unsigned char)*text)) text++, n--;
    while (n && call[0] == 'h' && (text[n - 1] == '?' || isspace((unsigned char)text[n - 1]))) n--;
    if (n == 0 && call[0] != 'h') return false; /* a lone ! or ??: Lua says what is wrong */
    buf_addf(out, "return hone.%s(", call);
    struct val *arg = val_strn(text, n);
    if (n) lua_write(out, arg);
    buf_addc(out, ')');
    val_free(arg);
    return true;
}

/* ---- who ---- */

void meta_base(lua_State *L) { /* what is there before the user's first line */
    lua_newtable(L);
    lua_pushglobaltable(L);
    for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
        lua_pushvalue(L, -2);
        lua_pushboolean(L, 1);
        lua_rawset(L, -6);
    }
    lua_pop(L, 1);
    lua_setfield(L, LUA_REGISTRYINDEX, "hone.base");
}

/* One global a line: name, type, and what the prompt would show of it, cut. */
static int who_protected(lua_State *L) {
    struct buf *out = lua_touserdata(L, 1);
    char *names[256];
    size_t n = 0, left = 0;
    lua_getfield(L, LUA_REGISTRYINDEX, "hone.base");
    lua_pushglobaltable(L);
    for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
        if (lua_type(L, -2) != LUA_TSTRING) continue;
        lua_pushvalue(L, -2);
        bool base = lua_rawget(L, -5) != LUA_TNIL;
        lua_pop(L, 1);
        if (base || strcmp(lua_tostring(L, -2), "arg") == 0 || names_is_kept(lua_tostring(L, -2))) continue;
        if (n < LEN(names)) names[n++] = mem_str(lua_tostring(L, -2));
        else left++;
    }
    qsort(names, n, sizeof *names, names_order);
    for (size_t i = 0; i < n; i++) {
        struct buf one = BUF_INIT;
        lua_pushstring(L, names[i]);
        lua_rawget(L, -2);
        const char *type = luaL_typename(L, -1);
        show_values(L, lua_gettop(L), lua_gettop(L), &one);
        size_t line = strcspn(one.data ? one.data : "", "\n");
        buf_addf(out, "%s%-16s %-9s %.*s%s", out->len ? "\n" : "", names[i], type, (int)(line > 50 ? 50 : line), one.data ? one.data : "",
            one.len > (line > 50 ? 50 : line) ? " .." : "");
        lua_pop(L, 1);
        buf_release(&one);
        free(names[i]);
    }
    if (left) buf_addf(out, "\n%zu more", left);
    return 0;
}

static int run_who(struct call *c, const void *args, struct err *e) {
    struct script *s = cmds_script_of(e);
    struct buf out = BUF_INIT;
    (void)args;
    if (!s) return -1;
    lua_pushcfunction(s->L, who_protected);
    lua_pushlightuserdata(s->L, &out);
    if (lua_pcall(s->L, 1, 0, 0) != LUA_OK) {
        err_set(e, "%s", lua_type(s->L, -1) == LUA_TSTRING ? lua_tostring(s->L, -1) : "the globals cannot be listed");
        lua_pop(s->L, 1);
        buf_release(&out);
        return -1;
    }
    call_result(c, val_strn(out.len ? out.data : "no globals of your own", out.len ? out.len : strlen("no globals of your own")));
    buf_release(&out);
    return 0;
}
const struct cmd cmd_who = {.kind = {.name = "who", .help = "lists your own globals; :who at the prompt", .example = "print(hone.who())"},
    .owner = OWNER_SCRIPT,
    .flags = CMD_WHILE_RUNNING,
    .run = run_who};

/* ---- reload: the last script again, with its modules read anew ---- */

/* Forgets modules that were read from files; those of hone and of Lua stay. Appends their names. */
static int forget_protected(lua_State *L) {
    struct buf *names = lua_touserdata(L, 1);
    lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    lua_getfield(L, LUA_REGISTRYINDEX, "hone.base");
    for (lua_pushnil(L); lua_next(L, 2); lua_pop(L, 1)) {
        if (lua_type(L, -2) != LUA_TSTRING) continue;
        const char *name = lua_tostring(L, -2);
        lua_pushvalue(L, -2);
        bool base = lua_rawget(L, 3) != LUA_TNIL || strncmp(name, "hone", 4) == 0 || strcmp(name, "_G") == 0;
        lua_pop(L, 1);
        if (base) continue;
        buf_addf(names, "%s%s", names->len ? ", " : "", name);
        lua_pushvalue(L, -2);
        lua_pushnil(L);
        lua_rawset(L, 2);
    }
    return 0;
}

static int run_reload(struct call *c, const void *args, struct err *e) {
    struct script *s = cmds_script_of(e);
    struct buf names = BUF_INIT;
    (void)args;
    if (!s) return -1;
    lua_pushcfunction(s->L, forget_protected);
    lua_pushlightuserdata(s->L, &names);
    if (lua_pcall(s->L, 1, 0, 0) != LUA_OK) lua_pop(s->L, 1);
    if (!s->last_path && !names.len) return err_set(e, "no script was run in this session; hone run SCRIPT, or run_script, comes first");
    if (!s->last_path) {
        buf_adds(&names, names.len ? ": the next require reads it anew" : "");
        call_result(c, val_strn(names.data, names.len));
        buf_release(&names);
        return 0;
    }
    buf_release(&names);
    char *path = mem_str(s->last_path); /* which running it sets again */
    struct val *again = val_copy(s->last_args);
    call_defer(c);
    cmds_run_file(s, c, path, NULL, again);
    val_free(again);
    free(path);
    return 0;
}
const struct cmd cmd_reload = {
    .kind = {.name = "reload", .help = "runs the last script again as it is on disk now; :reload at the prompt", .example = "hone.reload()"},
    .owner = OWNER_SCRIPT,
    .flags = CMD_WHILE_RUNNING,
    .run = run_reload};
