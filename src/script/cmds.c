/* Commands of the script thread: lua, run_script, rerun, interrupt; those behind lines that are no Lua stand in shell.c and meta.c. A command knows only
 * the hub, so the one script of the process is kept here; it is set before the thread starts and cleared after it ended. */
#include "config.h"

#include "src/script/state.h"

#include <libgen.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/io.h"
#include "src/base/json.h"
#include "src/base/mem.h"
#include "src/stored/folder.h"

static struct script *_Atomic the_script;

void cmds_bind(struct script *s) { atomic_store(&the_script, s); }

struct script *cmds_script_of(struct err *e) {
    struct script *s = atomic_load(&the_script);
    if (!s) err_set(e, "no script thread runs in this process");
    return s;
}

/* ---- lua ---- */
struct lua_args {
    char *code;
};
static int run_lua(struct call *c, const void *args, struct err *e) {
    const struct lua_args *a = args;
    struct script *s = cmds_script_of(e);
    bool incomplete;
    if (!s) return -1;
    struct task *t = task_new(s, TASK_LUA, "lua");
    if (!t) return err_set(e, "the script's memory is used up");
    t->call = c;
    t->seq = atomic_fetch_add(&s->submitted, 1) + 1;
    t->text = mem_str(a->code);
    call_defer(c);
    if (chunk_prompt(s, t, t->text, strlen(t->text), &incomplete) == 0) task_start(t);
    else task_end(s, t, -1, &t->err, NULL);
    return 0;
}

/* ---- run_script ---- */
struct load {
    struct script *s;
    struct task *t;
    const char *path, *text; /* text: instead of the file */
    const struct val *args;
};

/* Puts the chunk and its arguments on the task's thread; the script's folder is searched by require. */
static int load_script(lua_State *L) {
    struct load *l = lua_touserdata(L, 1);
    size_t n = l->args ? val_len(l->args) : 0;
    char dir[4096];
    luaL_checkstack(L, (int)(n < 200 ? n : 200) + 8, "arguments");
    if (l->t->kind == TASK_SCRIPT) {
        snprintf(dir, sizeof dir, "%s", l->path);
        lua_getglobal(L, "package");
        lua_getfield(L, -1, "path");
        const char *old = luaL_optstring(L, -1, "");
        const char *d = dirname(dir);
        lua_pushfstring(L, "%s/?.lua;", d);
        if (strncmp(old, lua_tostring(L, -1), strlen(lua_tostring(L, -1))) != 0) {
            lua_pushvalue(L, -2);
            lua_concat(L, 2);
            lua_setfield(L, -3, "path");
        }
        lua_settop(L, 1);
        lua_newtable(L); /* the global arg */
        lua_pushstring(L, l->path);
        lua_rawseti(L, -2, 0);
        for (size_t i = 0; i < n; i++) val_push_lua(L, val_at(l->args, i)), lua_rawseti(L, -2, (lua_Integer)i + 1);
        lua_setglobal(L, "arg");
    }
    if (l->text) safe_load_script(L, l->text, strlen(l->text), "=stdin");
    else safe_load_file(L, l->path);
    if (l->t->kind == TASK_SCRIPT && !l->text) watch_add(l->s, l->path);
    if (n > 200) n = 200;
    for (size_t i = 0; i < n; i++) val_push_lua(L, val_at(l->args, i));
    if (!lua_checkstack(l->t->co, (int)n + 1)) return luaL_error(L, "too many arguments");
    lua_xmove(L, l->t->co, (int)n + 1);
    l->t->nargs = (int)n;
    return 0;
}

void cmds_run_file(struct script *s, struct call *c, const char *path, const char *text, const struct val *args) {
    struct task *t = task_new(s, c ? TASK_SCRIPT : TASK_CONFIG, path);
    struct err e = {0};
    if (!t) {
        err_set(&e, "the script's memory is used up");
        if (c) c->err = e, call_done(c, -1);
        return;
    }
    struct load l = {s, t, path, text, args};
    t->call = c;
    lua_pushcfunction(s->L, load_script);
    lua_pushlightuserdata(s->L, &l);
    if (lua_pcall(s->L, 1, 0, 0) == LUA_OK) {
        task_start(t);
        return;
    }
    err_set(&e, "%s", lua_type(s->L, -1) == LUA_TSTRING ? lua_tostring(s->L, -1) : "the script cannot be loaded");
    lua_pop(s->L, 1);
    task_end(s, t, -1, &e, NULL);
}

struct run_script_args {
    char *path, *text;
    struct val *args;
};
static int run_run_script(struct call *c, const void *args, struct err *e) {
    const struct run_script_args *a = args;
    struct script *s = cmds_script_of(e);
    if (!s) return -1;
    free(s->last_path);
    val_free(s->last_args);
    s->last_path = a->text ? NULL : mem_str(a->path);
    s->last_args = val_copy(a->args);
    call_defer(c);
    cmds_run_file(s, c, a->path, a->text, a->args);
    return 0;
}

/* ---- rerun ---- */

/* The lines of a journal that made the run, without those that were typed while it went on. *skipped: how many those are. edits: the sets among these
 * are gathered before, in a table that the line of the run takes, so that each is made again at its own step. */
static void beginning(const char *journal, bool edits, struct buf *out, int *skipped) {
    struct buf made = BUF_INIT;
    if (edits)
        buf_adds(out, "local edits, at = {}, 0\ndo local run = { set = function(_, name, v) if type(name) == 'table' then name, v = name[1], name[2] end "
                      "edits[#edits + 1] = { at, name, v } end }\n");
    for (const char *p = journal; *p;) {
        size_t n = strcspn(p, "\n"), body = n;
        const char *step = NULL;
        for (const char *q = p; (q = strstr(q, " -- step ")) && q < p + n; q++) step = q;
        bool first = strncmp(p, "run = ", 6) == 0, set = strncmp(p, "run:set", 7) == 0;
        if (step) body = (size_t)(step - p);
        if (step && !first && edits && set) {
            buf_addf(out, "at = %lld; ", strtoll(step + 9, NULL, 10));
            buf_add(out, p, body);
            buf_addc(out, '\n');
        } else if (step && !first) {
            ++*skipped;
        } else if (first && edits && body && p[body - 1] == '}') {
            buf_add(&made, p, body - 1);
            buf_adds(&made, ", edits=edits}\n");
        } else {
            buf_add(&made, p, n);
            buf_addc(&made, '\n');
        }
        p += n + (p[n] == '\n');
    }
    if (edits) buf_adds(out, "end\n");
    buf_add(out, made.data ? made.data : "", made.len);
    buf_release(&made);
}

struct rerun_args {
    char *run;
    bool edits;
};
static int run_rerun(struct call *c, const void *args, struct err *e) {
    const struct rerun_args *a = args;
    struct script *s = cmds_script_of(e);
    struct folder f;
    struct buf journal = BUF_INIT, text = BUF_INIT;
    int skipped = 0;
    bool incomplete;
    if (!s || folder_open(s->hub ? hub_runs(s->hub) : NULL, a->run, &f, e) != 0) return -1;
    char *path = io_join(f.dir, "journal.lua"), *meta = io_join(f.dir, "run.json");
    struct val *v = json_read_file(meta, 64 << 20, NULL);
    int64_t seed = val_get_int(val_get(v, "start"), "seed", -1);
    int rc = io_read_file(path, SCRIPT_TEXT_MAX, &journal, e);
    if (rc == 0 && seed >= 0) buf_addf(&text, "hone.prop.seed = %lld\n", (long long)seed);
    if (rc == 0) beginning(journal.data ? journal.data : "", a->edits, &text, &skipped);
    if (skipped) {
        char note[160];
        snprintf(note, sizeof note, "rerun: %d lines of the journal of %.64s were typed while it went on and are left out", skipped, f.name);
        runs_notice(hub_runs(s->hub), "info", note);
    }
    struct task *t = rc == 0 ? task_new(s, TASK_SCRIPT, "rerun") : NULL;
    if (rc == 0 && !t) rc = err_set(e, "the script's memory is used up");
    if (rc == 0) {
        t->call = c;
        call_defer(c);
        if (chunk_prompt(s, t, text.data, text.len, &incomplete) == 0) task_start(t);
        else task_end(s, t, -1, &t->err, NULL);
    }
    val_free(v);
    free(path);
    free(meta);
    buf_release(&journal);
    buf_release(&text);
    folder_close(&f);
    return rc;
}

/* ---- interrupt ---- */
static int run_interrupt(struct call *c, const void *args, struct err *e) {
    struct script *s = cmds_script_of(e);
    (void)c, (void)args;
    if (!s) return -1;
    script_interrupt(s);
    return 0;
}

static const struct arg lua_argv[] = {
    {"code", "a chunk or an expression; the text of its values is the result", NULL, NULL, ARG_STR, offsetof(struct lua_args, code),
        ARG_POSITIONAL | ARG_REQUIRED},
    {NULL},
};
static const struct arg run_script_argv[] = {
    {"path", "a Lua file", NULL, NULL, ARG_PATH, offsetof(struct run_script_args, path), ARG_POSITIONAL | ARG_REQUIRED, 0, 0, 0, NULL, SRC_FILE},
    {"args", "what the script sees in the table arg and in ...", NULL, NULL, ARG_TABLE, offsetof(struct run_script_args, args), ARG_POSITIONAL | ARG_REST},
    {"text", "the script itself, as hone run - reads it: no file is opened then", NULL, NULL, ARG_STR, offsetof(struct run_script_args, text)},
    {NULL},
};

static const struct cmd cmd_lua = {
    {"lua", "evaluates Lua in the session", "hone.lua{\"1 + 1\"}", lua_argv, sizeof(struct lua_args)},
    OWNER_SCRIPT,
    CMD_WHILE_RUNNING,
    run_lua,
    NULL,
};
static const struct cmd cmd_run_script = {
    {"run_script", "runs a Lua script; ends when the script and the jobs it started have ended", "hone.run_script{\"fashion.lua\"}", run_script_argv,
        sizeof(struct run_script_args)},
    OWNER_SCRIPT,
    CMD_WHILE_RUNNING,
    run_run_script,
    NULL,
};
static const struct arg rerun_argv[] = {
    {"run", "name of a run; the newest without", NULL, NULL, ARG_STR, offsetof(struct rerun_args, run), ARG_POSITIONAL, 0, 0, 0, NULL, SRC_RUN},
    {"edits", "with the edits made while it went on, each at its step", NULL, NULL, ARG_BOOL, offsetof(struct rerun_args, edits), 0, 0, 0, 0, NULL, SRC_NONE},
    {NULL},
};
static const struct cmd cmd_rerun = {
    {"rerun", "makes a run again: its journal with its seed, without what was typed while it went on, or with its edits", "hone.rerun{\"fashion-1\"}",
        rerun_argv, sizeof(struct rerun_args)},
    OWNER_SCRIPT,
    CMD_LINE | CMD_WHILE_RUNNING,
    run_rerun,
    NULL,
};
static const struct cmd cmd_interrupt = {
    {"interrupt", "interrupts the evaluation at the prompt, or else the script; runs go on", "hone.interrupt{}", NULL, 0},
    OWNER_ANY,
    CMD_WHILE_RUNNING | CMD_LINE,
    run_interrupt,
    NULL,
};

const struct cmd *const cmds_script[] = {
    &cmd_lua, &cmd_run_script, &cmd_rerun, &cmd_interrupt, &cmd_sh, &cmd_who, &cmd_reload, &cmd_models, &cmd_model_rows, &cmd_model_layers, &cmd_sheet, NULL};
