/* Names at the prompt: the values of the lines before (_, _1, _2), and what a name that means nothing may have meant. Script thread. */
#include "config.h"

#include "src/script/state.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define NAMES_MAX 4096
#define LIST_COLUMNS 76
#define CHAIN_MAX 200 /* bytes of a.b.c */

/* ---- _, _1, _2 ---- */
static const char *const kept[] = {"_", "_1", "_2"};

bool names_is_kept(const char *name) {
    for (size_t i = 0; i < LEN(kept); i++)
        if (strcmp(name, kept[i]) == 0) return true;
    return false;
}

/* Without = before it, the blanks around it and the semicolons behind it. */
static void bare(const char **text, size_t *n) {
    script_equals(text, n);
    while (*n && isspace((unsigned char)**text)) ++*text, --*n;
    while (*n && (isspace((unsigned char)(*text)[*n - 1]) || (*text)[*n - 1] == ';')) --*n;
}

static int keep_protected(lua_State *L) { /* the value */
    lua_pushglobaltable(L);
    for (size_t i = LEN(kept); i-- > 1;) {
        lua_pushstring(L, kept[i]);
        lua_pushstring(L, kept[i - 1]);
        lua_rawget(L, 2);
        lua_rawset(L, 2);
    }
    lua_pushstring(L, kept[0]);
    lua_pushvalue(L, 1);
    lua_rawset(L, 2);
    return 0;
}

void names_keep(struct script *s, struct task *t, int idx) {
    char name[8];
    const char *text = t->text ? t->text : "";
    size_t n = strlen(text);
    bare(&text, &n);
    snprintf(name, sizeof name, "%.*s", n < sizeof name ? (int)n : 0, text);
    if (lua_isnil(t->co, idx) || names_is_kept(name)) return; /* looking at one moves none */
    if (!lua_checkstack(t->co, 2) || !lua_checkstack(s->L, 3)) return;
    lua_pushcfunction(s->L, keep_protected);
    lua_pushvalue(t->co, idx);
    lua_xmove(t->co, s->L, 1);
    if (lua_pcall(s->L, 1, 0, 0) != LUA_OK) lua_pop(s->L, 1);
}

/* ---- what was meant ---- */

static bool is_listed(const struct cmd *c) { return !(c->flags & (CMD_HIDDEN | CMD_SHELL)); }

size_t names_commands(const struct hub *h, const char **names, size_t most) {
    size_t n = 0;
    for (size_t i = 0; i < hub_count(h) && n < most; i++)
        if (is_listed(hub_cmd(h, i))) names[n++] = hub_cmd(h, i)->kind.name;
    return n;
}

/* The key of the table on the top that is nearest to `wrong`; of the globals also the commands, as hone.NAME, and the constructors. */
static bool nearest(lua_State *L, struct script *s, const char *prefix, const char *wrong, struct buf *out) {
    const char **names = lua_newuserdatauv(L, NAMES_MAX * sizeof *names, 0), *found;
    size_t n = 0;
    for (lua_pushnil(L); lua_next(L, -3); lua_pop(L, 1))
        if (n < NAMES_MAX && lua_type(L, -2) == LUA_TSTRING) names[n++] = lua_tostring(L, -2);
    if ((found = args_nearest(wrong, names, n))) buf_addf(out, "%s%s", prefix, found);
    lua_pop(L, 1);
    if (found || *prefix) return found;
    n = names_commands(s->hub, names, NAMES_MAX);
    if ((found = args_nearest(wrong, names, n))) {
        buf_addf(out, "hone.%s", found);
        return true;
    }
    for (const struct catalog *g = s->catalogs; g && g->group; g++) {
        for (n = 0; g->tag && g->kinds[n] && n < NAMES_MAX; n++) names[n] = g->kinds[n]->name;
        if (!(found = args_nearest(wrong, names, n))) continue;
        buf_addf(out, "%s.%s", g->group, found);
        return true;
    }
    return false;
}

/* An exact name that only lacks where it lives: train for hone.train, linear for nn.linear. */
static bool elsewhere(struct script *s, const char *name, struct buf *out) {
    const struct cmd *c = hub_find(s->hub, name);
    if (c && is_listed(c)) {
        buf_addf(out, "hone.%s", name);
        return true;
    }
    for (const struct catalog *g = s->catalogs; g && g->group; g++)
        for (const struct kind *const *k = g->kinds; g->tag && *k; k++)
            if (strcmp((*k)->name, name) == 0) {
                buf_addf(out, "%s.%s", g->group, name);
                return true;
            }
    return false;
}

struct meant {
    const char *chain;
    struct buf *out;
    bool exists, found;
};
static int meant_protected(lua_State *L) {
    struct meant *m = lua_touserdata(L, 1);
    struct script *s = state_of(L);
    char prefix[CHAIN_MAX + 2] = "", part[CHAIN_MAX + 1];
    lua_pushglobaltable(L);
    for (const char *p = m->chain; *p;) {
        size_t n = strcspn(p, ".");
        snprintf(part, sizeof part, "%.*s", (int)n, p);
        lua_pushlstring(L, p, n);
        lua_rawget(L, -2);
        if (lua_isnil(L, -1)) {
            lua_pop(L, 1);
            m->found = (!*prefix && elsewhere(s, part, m->out)) || nearest(L, s, prefix, part, m->out);
            return 0;
        }
        if (!lua_istable(L, -1)) break; /* fields of handles answer for themselves */
        size_t at = strlen(prefix);
        snprintf(prefix + at, sizeof prefix - at, "%s.", part);
        p += n + (p[n] == '.');
    }
    m->exists = true;
    return 0;
}

bool names_near(struct script *s, const char *chain, struct buf *out, bool *exists) {
    struct meant m = {chain, out, false, false};
    if (strlen(chain) <= CHAIN_MAX && lua_checkstack(s->L, 3)) {
        lua_pushcfunction(s->L, meant_protected);
        lua_pushlightuserdata(s->L, &m);
        if (lua_pcall(s->L, 1, 0, 0) != LUA_OK) lua_pop(s->L, 1);
    }
    if (exists) *exists = m.exists;
    return m.found;
}

int names_order(const void *a, const void *b) { return strcmp(*(const char *const *)a, *(const char *const *)b); }

void names_list(struct buf *out, const char *what, const char **names, size_t n) {
    size_t line = out->len;
    if (n) qsort(names, n, sizeof *names, names_order);
    buf_addf(out, "%s:", what);
    for (size_t i = 0; i < n; i++) {
        if (out->len - line + strlen(names[i]) + 2 > LIST_COLUMNS) {
            buf_adds(out, "\n ");
            line = out->len - 1;
        }
        buf_addf(out, " %s%s", names[i], i + 1 < n ? "," : "");
    }
}

/* A line that is only a name, of nothing: says so. */
void names_nil(struct script *s, const char *text, struct buf *out) {
    char chain[CHAIN_MAX + 1];
    struct buf near = BUF_INIT;
    size_t n = strlen(text);
    bool exists;
    bare(&text, &n);
    if (!n || n > CHAIN_MAX || isdigit((unsigned char)*text)) return;
    for (size_t i = 0; i < n; i++)
        if (!isalnum((unsigned char)text[i]) && text[i] != '_' && (text[i] != '.' || i == 0 || i + 1 == n || text[i - 1] == '.')) return;
    snprintf(chain, sizeof chain, "%.*s", (int)n, text);
    if (strcmp(chain, "nil") == 0 || names_is_kept(chain)) return;
    bool found = names_near(s, chain, &near, &exists);
    if (found) buf_addf(out, " (nothing is named %s: did you mean %s?)", chain, near.data);
    else if (!exists) buf_addf(out, " (nothing is named %s)", chain);
    buf_release(&near);
}
