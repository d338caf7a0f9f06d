/* The hub: command table, one bounded queue per owner thread, calls, jobs. One hub a process; passed down, not global. */
#ifndef HONE_CALL_CALL_H
#define HONE_CALL_CALL_H

#include <stdatomic.h>
#include <stdbool.h>

#include "src/base/buf.h"
#include "src/base/queue.h"
#include "src/base/val.h"
#include "src/call/cmd.h"

struct runs; /* src/run/record.h */
struct hub;

/* Where a call came from; part of the event that it leaves. */
enum by { BY_USER, BY_KEY, BY_PALETTE, BY_PROMPT, BY_SCRIPT, BY_LINE, BY_SOCKET, BY_CONFIG, BY_HONE, BY_N };
extern const char *const by_names[BY_N];

struct call {
    const struct cmd *cmd; /* immutable */
    struct val *args; /* normalised: named fields in table order; immutable after submit */
    enum by by;
    struct queue *reply; /* where the finished call goes (a slot was reserved), or NULL: freed when done */
    void *ctx; /* the submitter's */
    /* owned by the thread that holds the call */
    int status; /* 0 ok, -1 failed */
    struct val *result; /* or NULL */
    struct err err;
    bool *deferred; /* set by call_defer for the thread that serves the call; NULL outside run */
    struct hub *hub;
    struct job *job; /* of an async command, once queued; borrowed */
};

/* cmds: array of NULL-terminated lists, itself NULL-terminated. */
struct hub *hub_new(const struct cmd *const *const *cmds, struct runs *runs);
void hub_free(struct hub *h);
/* Before any other thread starts: what exists besides commands, for help and completion. Borrowed, NULL-terminated by group / keys. */
struct catalog; /* src/call/port.h */
struct key;
void hub_set_catalogs(struct hub *h, const struct catalog *catalogs);
const struct catalog *hub_catalogs(const struct hub *h); /* never NULL */
void hub_set_keys(struct hub *h, const struct key *keys);
const struct key *hub_keys(const struct hub *h); /* never NULL */
void hub_absent(struct hub *h, enum owner o); /* nobody will serve this owner in this process: its calls fail at once with a sentence */
struct runs *hub_runs(struct hub *h);
/* Before other threads start. From then on only what changes nothing, settings of this process and the dashboard's own commands are
 * run; `why` is the answer to all others. */
void hub_set_read_only(struct hub *h, const char *why);
const char *hub_read_only(const struct hub *h); /* that answer, or NULL */
bool hub_acts(const struct cmd *cmd, const struct val *args); /* it changes something: read-only refuses it; args may be NULL */
void hub_add_resumer(struct hub *h); /* somebody here can resume a paused job: a session, a prompt, a hook on alerts */
bool hub_can_resume(struct hub *h); /* false: a job that pauses by itself would wait for ever */
const struct cmd *hub_find(const struct hub *h, const char *name);
size_t hub_count(const struct hub *h);
const struct cmd *hub_cmd(const struct hub *h, size_t i);
struct queue *hub_queue(struct hub *h, enum owner o);

/* args_take: a table or NULL. Parses against the row at once, so a bad argument fails here. NULL on failure.
 * A run's name stands for its handle; {lr=1} of a command about properties is {name="lr", value=1}. */
struct call *call_new(struct hub *h, const char *name, struct val *args_take, enum by by, struct err *e);
/* A line "train epochs=3 'two words'" -> call. Words without = are positional, the first may be a property: "lr 0.1", "lr=0.1", "lr". Handles are written
 * as name#id or a run's name. */
struct call *call_parse(struct hub *h, const char *line, enum by by, struct err *e);
/* Puts the call on its owner's queue (OWNER_ANY: runs it here). The call is taken, also on failure. reply: where it comes back;
 * NULL: a failure on another thread becomes a notice, one here is returned. */
int call_submit(struct call *c_take, struct queue *reply, void *ctx, struct err *e);
/* Submit and wait here, for threads that own no queue (main in line mode, tests). *result is the caller's. */
int call_sync(struct hub *h, const char *name, struct val *args_take, enum by by, struct val **result, struct err *e);
void call_free(struct call *c);
void call_lua(const struct call *c, struct buf *out); /* the Lua line that does the same: hone.train{epochs=3} or run:set("lr", 0.1) */

/* In a command's run: */
void call_result(struct call *c, struct val *v_take);
void call_defer(struct call *c); /* the reply comes later, by call_done from any thread */
void call_done(struct call *c, int status);

/* The owner threads' loop bodies. hub_serve: waits up to timeout_ms for a call and runs those that are there; returns how many. */
int hub_serve(struct hub *h, enum owner o, int timeout_ms);
void hub_engine_loop(struct hub *h); /* the engine thread: calls and jobs until hub_quit */
void hub_quit(struct hub *h); /* stops jobs at the next boundary, closes queues */
/* Appends the Lua line to the current run's journal; the hub does it itself for every call of the engine's that may change something. */
void hub_journal(struct hub *h, const struct call *c, int64_t step);

#endif
