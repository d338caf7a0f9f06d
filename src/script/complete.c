/* Completion. What the rows know (commands, constructors, arguments, properties, metrics, runs, files) is read on the asker's
 * thread; names in Lua tables are asked of the script thread, which gets 40 ms: busy, it simply adds nothing. */
#include "config.h"

#include "src/script/state.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "src/base/io.h"
#include "src/base/json.h"
#include "src/base/mem.h"
#include "src/base/thread.h"
#include "src/call/settings.h"

#define ASK_MS 40
#define MOST 200

struct completer {
    struct script *s;
    const char *line;
    size_t pos, start; /* the word to replace is line[start, pos) */
    struct val *out;
};

static void offer(struct completer *c, const char *name, const char *suffix) {
    size_t n = c->pos - c->start;
    char text[512];
    if (strncmp(name, c->line + c->start, n) != 0 || val_len(c->out) >= MOST) return;
    snprintf(text, sizeof text, "%s%s", name, suffix);
    for (size_t i = 0; i < val_len(c->out); i++)
        if (strcmp(val_at(c->out, i)->u.s.p, text) == 0) return;
    val_push(c->out, val_str(text));
}

static void offer_args(struct completer *c, const struct kind *k) {
    for (const struct arg *a = k->args; a && a->name; a++) offer(c, a->name, " = ");
}

static void offer_props(struct completer *c) {
    for (size_t i = 0; i < hub_count(c->s->hub); i++)
        for (const struct arg *a = hub_cmd(c->s->hub, i)->kind.args; a && a->name; a++)
            if (a->flags & ARG_LIVE) offer(c, a->name, "");
    for (const struct arg *a = settings_kind.args; a && a->name; a++) offer(c, a->name, "");
}

static void offer_commands(struct completer *c, bool methods) {
    for (size_t i = 0; i < hub_count(c->s->hub); i++) {
        const struct cmd *m = hub_cmd(c->s->hub, i);
        bool method = m->kind.args && m->kind.args[0].name && m->kind.args[0].type == ARG_HANDLE;
        if (!(m->flags & CMD_HIDDEN) && (method || !methods)) offer(c, m->kind.name, "");
    }
    offer(c, "on", "");
    if (!methods) offer(c, "prop", "");
}

static void offer_kinds(struct completer *c, const char *group, size_t n) {
    for (const struct catalog *g = c->s->catalogs; g->group; g++)
        if (strlen(g->group) == n && strncmp(g->group, group, n) == 0)
            for (const struct kind *const *k = g->kinds; *k; k++) offer(c, (*k)->name, "");
    if (n == 2 && strncmp(group, "nn", 2) == 0) offer(c, "model", "");
}

static void offer_metrics(struct completer *c) {
    char names[64][32];
    struct runs *rs = hub_runs(c->s->hub);
    struct run *r = rs ? runs_current(rs) : NULL;
    size_t n = r ? run_series_names(r, names, LEN(names)) : 0;
    for (size_t i = 0; i < n; i++) offer(c, names[i], "");
}

/* Of the model that the current run trains. */
static void offer_layers(struct completer *c) {
    struct runs *rs = hub_runs(c->s->hub);
    struct run *r = rs ? runs_current(rs) : NULL;
    struct val *report = r ? run_last_report(r, "model") : NULL;
    const struct val *layers = val_get(report, "layers");
    for (size_t i = 0; i < val_len(layers); i++) offer(c, val_get_str(val_at(layers, i), "path", ""), "");
    val_free(report);
}

static void offer_runs(struct completer *c) {
    struct runs *rs = hub_runs(c->s->hub);
    for (size_t i = 0; rs && i < runs_count(rs); i++) offer(c, run_name(runs_at(rs, i)), "");
}

static void offer_folder(struct completer *c, const char *dir, const char *prefix) {
    DIR *d = opendir(dir);
    char path[1024];
    if (!d) return;
    for (struct dirent *f; (f = readdir(d)) && val_len(c->out) < MOST;) {
        if (f->d_name[0] == '.') continue;
        snprintf(path, sizeof path, "%s/%s", dir, f->d_name);
        bool is_dir = io_is_dir(path);
        snprintf(path, sizeof path, "%s%s", prefix, f->d_name);
        offer(c, path, is_dir ? "/" : "");
    }
    closedir(d);
}

static void offer_files(struct completer *c, bool data) {
    char word[1024], dir[1024];
    snprintf(word, sizeof word, "%.*s", (int)(c->pos - c->start), c->line + c->start);
    char *slash = strrchr(word, '/');
    if (slash) slash[1] = '\0';
    else word[0] = '\0';
    snprintf(dir, sizeof dir, "%s", slash ? word : ".");
    offer_folder(c, dir, word);
    const char *places = data && !slash ? getenv("HONE_DATA") : NULL;
    while (places && *places) {
        size_t n = strcspn(places, ":");
        snprintf(dir, sizeof dir, "%.*s", (int)n, places);
        if (n) offer_folder(c, dir, "");
        places += n + (places[n] == ':');
    }
}

/* The kind of "hone.train", "nn.linear", "run:set"; n bytes. NULL: unknown. */
static const struct kind *kind_of(struct script *s, const char *name, size_t n, bool *method) {
    char text[128];
    snprintf(text, sizeof text, "%.*s", (int)n, name);
    char *sep = strpbrk(text, ".:");
    *method = sep && *sep == ':';
    const char *last = sep ? sep + 1 : text;
    if (sep && *sep == '.' && strncmp(text, "hone.", 5) != 0) {
        *sep = '\0';
        for (const struct catalog *g = s->catalogs; g->group; g++)
            for (const struct kind *const *k = g->kinds; strcmp(g->group, text) == 0 && *k; k++)
                if (strcmp((*k)->name, last) == 0) return *k;
    }
    const struct cmd *m = sep ? hub_find(s->hub, last) : NULL;
    return m ? &m->kind : NULL;
}

/* The innermost call that is open at `end`: its kind, and how many commas of its own stand before. */
static const struct kind *open_call(struct script *s, const char *line, size_t end, int *commas, bool *method) {
    int depth = 0;
    *commas = 0;
    for (size_t i = end; i-- > 0;) {
        char ch = line[i];
        if (ch == ')' || ch == '}') depth++;
        else if (ch == ',' && depth == 0) ++*commas;
        else if ((ch == '(' || ch == '{') && depth-- == 0) {
            size_t to = i, from;
            while (to && (line[to - 1] == ' ' || line[to - 1] == '(')) to--;
            for (from = to; from && (isalnum((unsigned char)line[from - 1]) || strchr("_.:", line[from - 1])); from--) {}
            return from < to ? kind_of(s, line + from, to - from, method) : NULL;
        }
    }
    return NULL;
}

/* Names in the Lua table at `chain` ("" is the globals). */
static void ask_lua(struct completer *c, const char *chain, size_t n);
#define MODEL_NAMES "=models" /* no chain: the names of scripts/lib/hone/models.lua */

/* Inside a string that began at `quote`. */
static void in_string(struct completer *c, size_t quote) {
    int commas;
    bool method = false;
    const struct kind *k = open_call(c->s, c->line, quote, &commas, &method);
    const struct arg *a = k ? k->args : NULL;
    size_t end = quote;
    while (end && c->line[end - 1] == ' ') end--;
    c->start = quote + 1;
    if (a && end && c->line[end - 1] == '=') { /* name = "..." */
        size_t to = end - 1, from;
        char name[64];
        while (to && c->line[to - 1] == ' ') to--;
        for (from = to; from && (isalnum((unsigned char)c->line[from - 1]) || c->line[from - 1] == '_'); from--) {}
        snprintf(name, sizeof name, "%.*s", (int)(to - from), c->line + from);
        a = args_find(k, name);
    } else if (a) {
        for (int i = commas + method; i > 0 && a->name; i--) a++;
        if (!a->name) a = NULL;
    }
    if (a && a->type == ARG_ENUM)
        for (const char *const *n = a->names; n && *n; n++) offer(c, *n, "");
    switch (a ? a->source : SRC_NONE) {
    case SRC_RUN: offer_runs(c); break;
    case SRC_METRIC: offer_metrics(c); break;
    case SRC_LAYER: offer_layers(c); break;
    case SRC_PROP: offer_props(c); break;
    case SRC_COMMAND: offer_commands(c, false); break;
    case SRC_MODEL:
        ask_lua(c, MODEL_NAMES, sizeof MODEL_NAMES - 1);
        offer_runs(c);
        offer_files(c, false);
        break;
    default:
        if (method && quote >= 4 && strstr(c->line, ":series")) offer_metrics(c);
        else if (!a || a->type != ARG_ENUM) offer_files(c, k && a && (a->source == SRC_DATA || strcmp(k->name, "data") == 0));
    }
}

static void ask_lua(struct completer *c, const char *chain, size_t n) {
    struct complete_ask *a = X_NEW(struct complete_ask, 1);
    struct msg *m = X_NEW(struct msg, 1);
    pthread_mutex_init(&a->lock, NULL);
    pthread_cond_init(&a->done, NULL);
    a->chain = mem_strn(chain, n);
    *m = (struct msg){.kind = MSG_COMPLETE, .ask = a};
    struct timespec until = clock_after(CLOCK_REALTIME, ASK_MS * 1e-3);
    pthread_mutex_lock(&a->lock);
    if (queue_put(&c->s->inbox, m) != 0) {
        a->answered = true;
        free(m);
    }
    while (!a->answered && pthread_cond_timedwait(&a->done, &a->lock, &until) != ETIMEDOUT) {}
    bool mine = a->answered;
    a->abandoned = !mine;
    pthread_mutex_unlock(&a->lock);
    if (!mine) return;
    for (size_t i = 0; a->names && i < val_len(a->names); i++) offer(c, val_at(a->names, i)->u.s.p, "");
    val_free(a->names);
    free(a->chain);
    pthread_mutex_destroy(&a->lock);
    pthread_cond_destroy(&a->done);
    free(a);
}

struct walk {
    const char *chain;
    struct val *names;
};
static int walk_protected(lua_State *L) {
    struct walk *w = lua_touserdata(L, 1);
    const char *p = w->chain;
    size_t looked = 0;
    if (strcmp(p, MODEL_NAMES) == 0) {
        lua_getglobal(L, "require");
        lua_pushliteral(L, "hone.models");
        lua_call(L, 1, 1);
        lua_getfield(L, -1, "names");
        p = "";
    } else lua_pushglobaltable(L);
    while (*p) {
        size_t n = strcspn(p, ".:");
        if (!lua_istable(L, -1)) return 0;
        lua_pushlstring(L, p, n);
        lua_rawget(L, -2);
        p += n + (p[n] != '\0');
    }
    if (!lua_istable(L, -1)) return 0;
    for (lua_pushnil(L); lua_next(L, -2) && ++looked < 20000; lua_pop(L, 1))
        if (lua_type(L, -2) == LUA_TSTRING && val_len(w->names) < 2000) val_push(w->names, val_str(lua_tostring(L, -2)));
    return 0;
}

void complete_answer(struct script *s, struct complete_ask *a) {
    struct walk w = {a->chain, val_list()};
    lua_pushcfunction(s->L, walk_protected);
    lua_pushlightuserdata(s->L, &w);
    if (lua_pcall(s->L, 1, 0, 0) != LUA_OK) lua_pop(s->L, 1);
    pthread_mutex_lock(&a->lock);
    a->answered = true;
    a->names = w.names;
    bool abandoned = a->abandoned;
    pthread_cond_signal(&a->done);
    pthread_mutex_unlock(&a->lock);
    if (!abandoned) return;
    val_free(w.names);
    free(a->chain);
    pthread_mutex_destroy(&a->lock);
    pthread_cond_destroy(&a->done);
    free(a);
}

static int by_text(const void *a, const void *b) {
    const struct val *const *x = a, *const *y = b;
    return strcmp((*x)->u.s.p, (*y)->u.s.p);
}

static void in_code(struct completer *c) {
    size_t chain = c->pos, sep;
    while (chain && (isalnum((unsigned char)c->line[chain - 1]) || strchr("_.:", c->line[chain - 1]))) chain--;
    for (sep = c->pos; sep > chain && !strchr(".:", c->line[sep - 1]); sep--) {}
    c->start = sep;
    if (sep > chain) {
        const char *base = c->line + chain;
        size_t n = sep - 1 - chain;
        if (c->line[sep - 1] == ':') {
            offer_commands(c, true);
            return;
        }
        if (n == 4 && strncmp(base, "hone", 4) == 0) offer_commands(c, false);
        else if (n == 9 && strncmp(base, "hone.prop", 9) == 0) offer_props(c);
        else offer_kinds(c, base, n);
        ask_lua(c, base, n);
        return;
    }
    int commas;
    bool method, help = c->line[0] == '?';
    const struct kind *k = open_call(c->s, c->line, chain, &commas, &method);
    if (k) offer_args(c, k);
    if (help) offer_commands(c, false);
    if (!k && !help && c->pos > c->start)
        for (size_t i = 0; i < LEN(lua_keywords); i++) offer(c, lua_keywords[i], "");
    ask_lua(c, "", 0);
}

struct val *complete_ask(struct script *s, const char *line, size_t pos) {
    struct completer c = {s, line, pos, pos, val_list()};
    char open = 0;
    size_t quote = 0;
    for (size_t i = 0; i < pos && line[i]; i++) {
        if (open && line[i] == '\\') i++;
        else if (open && line[i] == open) open = 0;
        else if (!open && (line[i] == '"' || line[i] == '\'')) open = line[i], quote = i;
        else if (line[i] == '\n' && open) open = 0;
    }
    if (open) in_string(&c, quote);
    else in_code(&c);
    if (val_len(c.out) > 1) qsort(c.out->u.t.item, val_len(c.out), sizeof *c.out->u.t.item, by_text);
    val_set_int(c.out, "start", (int64_t)c.start);
    return c.out;
}
