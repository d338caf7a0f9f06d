/* What the files of src/call share about the hub. */
#ifndef HONE_CALL_PRIVATE_H
#define HONE_CALL_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>

#include "src/call/call.h"
#include "src/call/job.h"
#include "src/call/port.h"

struct work { /* a call or a job that waits for its turn on the engine thread */
    struct call *call;
    struct job *job;
};
struct waiter {
    struct call *call; /* deferred: done when the job ends */
    struct job *job;
};
struct edit { /* what undo takes back */
    struct job *job; /* NULL: a setting */
    char *name;
    struct val *back; /* {{name=, value=}, ..}: the sets that do it */
};
struct edits {
    struct edit *at;
    size_t n, cap;
};

struct hub {
    /* immutable after the start */
    const struct cmd **cmd;
    size_t n_cmd;
    struct runs *runs;
    const struct catalog *catalogs;
    const struct key *keys;
    const char *read_only; /* NULL: everything goes */
    /* with locks of their own */
    struct queue queue[OWNER_N];
    _Atomic bool quit, resumer;
    /* protected by lock */
    pthread_mutex_t lock;
    struct job **job;
    size_t n_job, cap_job;
    struct waiter *waiter;
    size_t n_waiter, cap_waiter;
    struct buf history; /* Lua lines of earlier calls that made things: they start every journal */
    /* engine thread only */
    struct work *work; /* in order of arrival */
    size_t n_work, cap_work;
    struct waiter *parked;
    size_t n_parked, cap_parked;
    struct edits undo, redo;
    struct job *running;
    bool serving; /* a call is being served at a boundary */
};

void call_serve(struct call *c); /* runs it and finishes it unless deferred; owner thread */
void call_fail(struct call *c, const struct err *e); /* finishes an unserved one */
void call_lua_set(struct buf *out, const char *name, const struct val *value, bool setting, bool force);
/* edits.c */
void edits_release(struct edits *list);
struct val *edits_one(const char *name, struct val *value_take); /* the list of one set */
struct val *edits_back(struct job *j, const char *name); /* what the job itself says; NULL: nothing */
void edits_remember(struct hub *h, struct job *j, const char *name, struct val *back_take); /* of a new edit: nothing is left to redo */
int edits_take(struct call *c, bool redo, struct err *e);
/* cmds.c: sets them in order, as one edit of `name` with one event; *was: what takes this back. */
int call_set_all(struct call *c, struct job *j, const char *name, const struct val *sets, struct val **was, struct err *e);
void job_take(struct hub *h, struct call *c); /* engine thread: serve, queue, or start a job of it */
void job_end_waiters(struct hub *h, struct job *j);
void job_free(struct job *j);
void journal_call(struct hub *h, const struct call *c); /* after success */
void journal_job(struct job *j); /* once its run exists */

#endif
