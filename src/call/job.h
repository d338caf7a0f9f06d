/* A job is an async command: a plain function on the engine thread that calls job_boundary at least once a batch. */
#ifndef HONE_CALL_JOB_H
#define HONE_CALL_JOB_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "src/base/err.h"
#include "src/base/val.h"
#include "src/call/call.h"

struct run; /* src/run/record.h */

enum job_state { JOB_QUEUED, JOB_RUNNING, JOB_DONE, JOB_FAILED, JOB_STOPPED };
enum job_stop { STOP_NONE, STOP_AFTER_EPOCH, STOP_AFTER_STEP, STOP_NOW, STOP_DISCARD, STOP_PREEMPT };

struct job {
    struct handle h; /* immutable; kind HANDLE_JOB with CMD_WAIT, else HANDLE_RUN; ids are of one table */
    struct hub *hub; /* immutable */
    struct call *call; /* the call that made it: name, args; owned by the job */
    _Atomic(struct run *) run; /* engine thread sets it once */
    _Atomic int stop; /* enum job_stop, by any thread */
    _Atomic bool pause; /* by any thread */
    /* owned by the engine thread while running */
    void *data; /* the job's own struct, for commands that act on a running job (set, checkpoint, eval now) */
    const struct job_ops *ops; /* what such commands may ask; NULL: nothing */
    int64_t step;
    double busy_s; /* time outside pauses, as of the last boundary */
    double t_start, t_paused; /* of job.c */
    double pause_limit; /* a pause that nobody can end (hub_can_resume) becomes unanswered at this time; 0: never */
    bool unanswered; /* it did: the job ends as it sees fit */
    bool journaled;
    /* protected by the hub's lock */
    enum job_state state;
    struct val *result;
    struct err err;
};

/* What a running job offers to commands, called on the engine thread at a boundary. Slots may be NULL. */
struct job_ops {
    int (*set)(struct job *j, const char *name, const struct val *v, struct val **old, struct err *e);
    struct val *(*get)(struct job *j, const char *name); /* NULL: no such property */
    void (*props)(struct job *j, void (*each)(void *ctx, const char *name, const struct arg *a, const struct val *v), void *ctx);
    int (*checkpoint)(struct job *j, struct val **result, struct err *e);
    int (*evaluate)(struct job *j, struct val **result, struct err *e);
    int (*look)(struct job *j, struct val **result, struct err *e); /* at its layers: the report "model" */
    /* The sets, {{name=, value=}, ..}, that bring the property back to where it is now even when it moves by itself. NULL slot or NULL: its value. */
    struct val *(*back)(struct job *j, const char *name);
    /* What the property will be over the rest of the run: {from=, k=, now={..}, new={..}}, at most n values 2^k steps apart from step `from` on, as things
     * stand and with v set (NULL: as they stand only). Changes nothing. NULL slot, or NULL with an error: nothing is known of it. */
    struct val *(*ahead)(struct job *j, const char *name, const struct val *v, int n, struct err *e);
};
extern const char *const job_state_names[]; /* queued running done failed stopped */

/* A job returns 0, or -1 with *e; ERR_STOPPED and ERR_PREEMPTED mean stopped, not failed. A run that it did not end is ended for it. */
void job_result(struct job *j, struct val *v_take); /* the job's result, from its function */

/* The only place where the world touches a run: serves calls, waits while paused, tells whether to stop (enum job_stop; a job
 * that gets STOP_AFTER_EPOCH goes on to the end of its epoch). */
int job_boundary(struct job *j);
/* Any thread. */
struct job *hub_job(struct hub *h, struct handle which); /* id 0: the newest live job, else the newest. NULL: none. Jobs are kept until hub_free */
enum job_state hub_job_state(struct hub *h, const struct job *j);
struct run *hub_job_run(const struct job *j); /* NULL: it has none (yet) */
int hub_stop(
    struct hub *h, struct job *j, enum job_stop how); /* 0, or -1: it has ended. Never weakens an earlier stop; ends a pause; a queued job ends at once */
int hub_pause(struct hub *h, struct job *j, bool on);
bool hub_busy(struct hub *h); /* a job runs or waits */
/* Answers the call with the job's result when the job ends (at once if it has); the call fails if the job failed. */
void hub_on_job_end(struct hub *h, struct call *c_deferred, struct job *j);
size_t hub_jobs(struct hub *h, struct job **out, size_t max); /* the newest max, oldest first; how many */
bool hub_run_handle(struct hub *h, const char *name, struct handle *out);
/* Engine thread: the edits of j that undo can take back, for its checkpoint, and back from there. */
struct val *hub_edits(struct hub *h, const struct job *j);
void hub_edits_restore(struct hub *h, struct job *j, const struct val *list);
/* Engine thread, in a command's run: the call is served again at j's first boundary with ops, or when it ends. */
void hub_park(struct hub *h, struct call *c, struct job *j);

#endif
