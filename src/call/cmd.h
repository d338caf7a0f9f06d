/* A command: what a user can do, as a const row. Keys, palette, Lua, command line and socket only build calls of these. */
#ifndef HONE_CALL_CMD_H
#define HONE_CALL_CMD_H

#include "src/base/args.h"

struct call;
struct job;

/* The thread that runs it; ANY: the caller's, for what only reads or uses locks. */
enum owner { OWNER_UI, OWNER_SCRIPT, OWNER_ENGINE, OWNER_HELPER, OWNER_ANY, OWNER_N };
enum cmd_flags {
    CMD_WHILE_RUNNING = 1, /* OWNER_ENGINE: served inside job_boundary; otherwise it waits for the job's end */
    CMD_CONFIRM = 2, /* asks on a terminal before it acts */
    CMD_WATCHER = 4, /* changes nothing: a read-only client may call it; not in the journal */
    CMD_WAIT = 8, /* a job whose caller (Lua, command line) waits for its result; otherwise the reply is the job's handle at once */
    CMD_HIDDEN = 16, /* plumbing: not in help or palette */
    CMD_LINE = 32, /* also a top-level word of the command line: hone NAME ... */
    CMD_SHELL = 64 /* only that: it acts in the client, the palette leaves it out */
};

struct cmd {
    struct kind kind; /* kind.name is the command's name; a first argument of ARG_HANDLE makes it a method too */
    enum owner owner;
    unsigned flags;
    int (*run)(struct call *c, const void *args, struct err *e); /* 0 or -1; result by call_result; may call_defer */
    int (*job)(struct job *j, const void *args, struct err *e); /* or this: async, on the engine thread */
};

/* Lists of rows, each ending with NULL, in the file that the comment names. */
extern const struct cmd *const cmds_call[]; /* src/call/cmds.c: help, set, get, undo, note, wait, jobs ... */
extern const struct cmd *const cmds_run[]; /* src/stored/cmds.c: log, result, status, ls, diff, export ... */
extern const struct cmd *const cmds_engine[]; /* engine/cmds/list.c: data, model, train, eval, predict, bench, doctor ... */
extern const struct cmd *const cmds_ui[]; /* ui/cmds.c: screen, open, zoom, freeze, glyphs, detach ... */
extern const struct cmd *const cmds_session[]; /* src/session/cmds.c: attach, stop of a session ... */
extern const struct cmd *const cmds_script[]; /* src/script/cmds.c: lua, run_script, interrupt ... */

#endif
