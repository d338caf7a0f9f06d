/* What the files of src/script share. Everything here belongs to the script thread, but what is marked otherwise. */
#ifndef HONE_SCRIPT_STATE_H
#define HONE_SCRIPT_STATE_H

#include <pthread.h>
#include <stdatomic.h>

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

#include "src/base/buf.h"
#include "src/base/queue.h"
#include "src/call/job.h"
#include "src/call/port.h"
#include "src/run/record.h"

#define SCRIPT_TEXT_MAX (16u << 20) /* bytes of one Lua source, and of one string */
#define SCRIPT_TABLE_MAX (32u << 20) /* bytes of one block of a table: 2 M items, or 1 M with names */
#define SCRIPT_BIG (1u << 20) /* bytes: an instruction on a larger string takes long enough to look at the interrupt more often */
#define SCRIPT_BIG_STRINGS 256 /* more cannot be alive under the memory cap */

enum task_kind { TASK_PROMPT, TASK_SCRIPT, TASK_LUA, TASK_CALLBACK, TASK_CONFIG, TASK_ASK }; /* ASK: of another thread, whose call gets the value */

/* A call that a task waits for. Outlives the task if that was interrupted: then the late reply frees it. */
struct wait {
    struct task *task; /* NULL: abandoned */
    struct call *done; /* the reply, or NULL */
    const struct cmd *cmd;
    struct val *args; /* of a job that is waited for: its own are found by them */
    struct val **box; /* on the waiting thread's stack: takes the result */
    bool interrupted;
};

/* A coroutine that the scheduler runs: a prompt line, a script, a callback. */
struct task {
    enum task_kind kind;
    lua_State *co;
    int ref; /* of co in the registry */
    struct queue *reply; /* TASK_PROMPT: a slot is reserved in it */
    void *tag;
    struct call *call; /* TASK_SCRIPT, TASK_LUA, TASK_ASK: the deferred command */
    struct wait *wait;
    bool queued, running, unwind; /* unwind: interrupted, every instruction raises until the top is reached */
    bool show, draining; /* show: print the values; draining: ended, its jobs run on */
    struct buf out; /* TASK_PROMPT: output that is not sent yet */
    double out_at; /* when the last was sent */
    double slice; /* when it last began to run */
    uint64_t seq; /* of a prompt's: its number */
    int nargs; /* on co's stack for the first resume */
    char *name, *text; /* chunk name and source (of a prompt line), for messages */
    struct handle *jobs;
    size_t n_jobs, dropped; /* dropped: output pieces that found the reply queue full */
    struct err err;
    struct task *next;
};

struct sub { /* run:on(event, fn) */
    char *run, *event; /* run NULL: of any, or not made yet */
    struct handle h; /* id 0: of any run */
    int ref;
    struct sub *next;
};

struct complete_ask { /* lives on the asker's heap; the script thread fills it */
    pthread_mutex_t lock;
    pthread_cond_t done;
    char *chain;
    struct val *names; /* under the lock */
    bool answered, abandoned;
};

enum msg_kind { MSG_EVAL, MSG_COMPLETE };
struct msg { /* in the inbox */
    enum msg_kind kind;
    char *text, *chunk;
    size_t n;
    struct queue *reply;
    void *tag;
    uint64_t seq;
    struct complete_ask *ask;
};

struct script {
    /* immutable after start */
    struct hub *hub;
    const struct catalog *catalogs;
    char *lib_dirs, *config; /* config: a file that is run first, or NULL */
    pthread_t thread;
    void (*print)(void *ctx, const char *text, size_t n);
    void *print_ctx;
    size_t cap; /* bytes of Lua memory */
    /* any thread */
    _Atomic int intr; /* 1: an interrupt waits to be seen; 2: what ran has taken it */
    _Atomic uint64_t submitted, intr_upto; /* evaluations so far; those the interrupt means */
    _Atomic bool quit;
    _Atomic int live, scripts; /* tasks that a user waits for; those of them that run a script file */
    struct queue inbox; /* struct msg */
    struct queue replies; /* struct call, ctx = struct wait */
    int wake[2]; /* a byte: interrupt, quit, or news in the run record */
    /* script thread */
    lua_State *L;
    size_t used;
    size_t outstanding; /* calls whose reply is not here yet */
    bool over_block; /* a block was refused for its own size since this was last cleared */
    void *big[SCRIPT_BIG_STRINGS]; /* strings over SCRIPT_BIG bytes that are alive */
    size_t n_big;
    struct task *tasks, *cur;
    struct sub *subs;
    uint64_t next_event;
    int depth; /* of serving inside a wait that cannot yield */
    char *last_path; /* of the script run last, and its arguments */
    struct val *last_args;
    double prompt_ended; /* when the last evaluation did */
    struct watched *watched; /* files that were read */
    size_t n_watched;
    double deadline; /* 0: none; past it every instruction raises (printing, completion) */
    bool late; /* the deadline was hit */
    struct buf show, text; /* reused by printing (show) and conversions (text), so that an error in the middle leaks nothing */
};

/* state.c */
int state_open(struct script *s, struct err *e);
void state_close(struct script *s);
struct script *state_of(lua_State *L);
bool state_poisoned(lua_State *L); /* an interrupt was raised there by the hook: hooks may be off in that thread for good */
void state_tick(lua_State *L); /* long C loops: raises when interrupted */
void state_collect(lua_State *L); /* a whole garbage collection in small steps, each followed by a tick */
int state_interrupt(lua_State *L); /* raises "interrupted" and keeps raising */
void state_rearm(lua_State *L); /* puts the hook on a thread at its normal count */
/* safe.c, lua_str.c, lua_tab.c: replaced library functions */
void safe_open(lua_State *L);
int safe_load_file(lua_State *L, const char *path); /* pushes the chunk, or raises */
int safe_load_script(lua_State *L, const char *text, size_t n, const char *chunk); /* the same of what stands in a file */
/* LUA_OK and the chunk on the stack, or the status of lua_load and a message; raises for bytecode. env: index of its _ENV, 0: the globals. */
int safe_load_text(lua_State *L, const char *text, size_t n, const char *chunk, int env);
void lua_str_open(lua_State *L);
void lua_tab_open(lua_State *L);
/* lua_val.c */
struct val **val_box(lua_State *L); /* pushes a userdata that frees the value it holds, whatever raises */
struct val *val_from(lua_State *L, int idx, const char *what); /* raises a sentence that names `what` */
void val_into(lua_State *L, int idx, const char *what, struct val **into); /* the same, leak-free into a box's slot */
void val_push_lua(lua_State *L, const struct val *v);
/* bind.c, group.c, on.c */
void bind_open(lua_State *L);
void bind_handle(lua_State *L, struct handle h);
const struct handle *bind_is_handle(lua_State *L, int idx);
/* Calls a command with the table in *args (taken) and leaves its result on the stack: the C function's own return value. */
int bind_call(lua_State *L, const char *name, struct val **args);
void group_open(lua_State *L);
int on_lua(lua_State *L); /* run:on(event, fn), hone.on(event, fn) */
void on_events(struct script *s); /* news from the run record -> callbacks */
void on_release(struct script *s);
/* task.c */
struct task *task_new(struct script *s, enum task_kind kind, const char *name);
void task_start(struct task *t); /* the function and nargs arguments are on t->co */
void task_end(struct script *s, struct task *t, int status, struct err *err, const char *text); /* replies and frees; text: for the prompt, NULL: that of err */
void script_interrupt(struct script *s); /* any thread */
bool task_stopping(struct script *s, struct task *t); /* an interrupt that means this task */
int task_wait(lua_State *L, struct wait *w, lua_KFunction k); /* yields or serves until w->done; then k */
void task_abandon(struct wait *w);
void task_wait_free(struct wait *w);
void task_run_ready(struct script *s);
void task_interrupt_waiting(struct script *s);
void task_drain(struct script *s);
bool task_draining(const struct script *s);
void task_output(struct script *s, struct task *t, const char *text, size_t n);
void task_flush(struct script *s, struct task *t, bool now);
void task_kill_all(struct script *s);
/* script.c */
void script_serve(struct script *s, int timeout_ms);
void script_replies(struct script *s);
/* chunk.c */
void script_equals(const char **text, size_t *n); /* without the = before an expression */
int chunk_prompt(struct script *s, struct task *t, const char *text, size_t n, bool *incomplete); /* compiles a prompt line onto t->co; -1: t->err */
void chunk_error(struct script *s, lua_State *co, struct buf *out, const struct task *t); /* the error on top of co as a sentence and a short traceback */
/* meta.c: ?name, ??text, !line, :who, :reload as the Lua line they stand for; false: it is none of them. meta_base: what is there before the user's first
 * line */
bool meta_line(const char *text, size_t n, struct buf *out);
void meta_base(lua_State *L);
extern const struct cmd cmd_who, cmd_reload;
/* models.c */
extern const struct cmd cmd_models, cmd_model_rows, cmd_model_layers;
/* sheet.c */
extern const struct cmd cmd_sheet;
/* ask.c */
void cmds_answer(struct script *s, struct task *t, int idx); /* a TASK_ASK has ended with the value at idx of its stack; 0: nil */
/* In a command's run: what this function of the module gives for three values (NULL: nil) will be the call's result. */
int cmds_ask(struct call *c, const char *module, const char *function, const struct val *const v[3], struct err *e);
/* shell.c */
extern const struct cmd cmd_sh;
void shell_interrupt(void); /* any thread: ends the programs that run */
/* show.c */
void show_values(lua_State *L, int first, int last, struct buf *out); /* never raises; bounded to a screen and 50 ms */
void show_plain(lua_State *L, int idx, struct buf *out); /* as print does; may raise */
/* names.c */
void names_keep(struct script *s, struct task *t, int idx); /* the value at idx of t->co becomes _, what was there _1, that _2 */
bool names_is_kept(const char *name); /* one of these */
bool names_near(struct script *s, const char *chain, struct buf *out, bool *exists); /* what a.b.c may have meant; exists: it is something */
size_t names_commands(const struct hub *h, const char **names, size_t most); /* of hone.NAME, without plumbing */
int names_order(const void *a, const void *b); /* of strings, for qsort */
void names_list(struct buf *out, const char *what, const char **names, size_t n); /* sorts them; "what: a, b, .." over rows of a terminal */
void names_nil(struct script *s, const char *text, struct buf *out); /* behind "nil" where the line is only a name */
/* watch.c */
void watch_add(struct script *s, const char *path); /* was read now */
void watch_say(struct script *s, struct buf *out); /* a line for each that changed since, once */
void watch_release(struct script *s);
/* complete.c */
struct val *complete_ask(struct script *s, const char *line, size_t pos);
void complete_answer(struct script *s, struct complete_ask *ask);
/* cmds.c */
void cmds_bind(struct script *s);
struct script *cmds_script_of(struct err *e); /* the one of the process; NULL with an error */
void cmds_run_file(struct script *s, struct call *c, const char *path, const char *text, const struct val *args); /* text: instead of the file, or NULL */

#endif
