/* Jobs: one at a time on the engine thread, in order of arrival with the calls that may not run beside them. job_boundary is the
 * only place where the world touches a running job. */
#include "config.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/mem.h"
#include "src/base/thread.h"
#include "src/call/private.h"
#include "src/run/record.h"

enum { WORK_MAX = 1024 };

static bool ended(enum job_state s) { return s >= JOB_DONE; }

/* ---- any thread ---- */

struct job *hub_job(struct hub *h, struct handle which) {
    struct job *j = NULL;
    pthread_mutex_lock(&h->lock);
    if (which.id) {
        if (which.id <= h->n_job && which.gen <= 1) j = h->job[which.id - 1];
    } else if (h->n_job) {
        j = h->job[h->n_job - 1];
        for (size_t i = h->n_job; i-- > 0;) {
            if (ended(h->job[i]->state)) continue;
            j = h->job[i];
            if (j->state == JOB_RUNNING) break; /* the one that runs before those that wait behind it */
        }
    }
    pthread_mutex_unlock(&h->lock);
    return j;
}

size_t hub_jobs(struct hub *h, struct job **out, size_t max) {
    pthread_mutex_lock(&h->lock);
    size_t n = h->n_job < max ? h->n_job : max;
    for (size_t i = 0; i < n; i++) out[i] = h->job[h->n_job - n + i];
    pthread_mutex_unlock(&h->lock);
    return n;
}

enum job_state hub_job_state(struct hub *h, const struct job *j) {
    pthread_mutex_lock(&h->lock);
    enum job_state s = j->state;
    pthread_mutex_unlock(&h->lock);
    return s;
}

struct run *hub_job_run(const struct job *j) {
    return j->run;
}

bool hub_run_handle(struct hub *h, const char *name, struct handle *out) {
    bool found = false;
    pthread_mutex_lock(&h->lock);
    for (size_t i = h->n_job; i-- > 0 && !found;) {
        struct run *r = h->job[i]->run;
        if ((found = r && strcmp(run_name(r), name) == 0)) *out = h->job[i]->h;
    }
    pthread_mutex_unlock(&h->lock);
    return found;
}

bool hub_busy(struct hub *h) {
    bool busy = false;
    pthread_mutex_lock(&h->lock);
    for (size_t i = h->n_job; i-- > 0 && !busy;) busy = !ended(h->job[i]->state);
    pthread_mutex_unlock(&h->lock);
    return busy;
}

int hub_stop(struct hub *h, struct job *j, enum job_stop how) {
    pthread_mutex_lock(&h->lock);
    enum job_state was = j->state;
    if (!ended(was)) {
        if (atomic_load(&j->stop) < (int)how) atomic_store(&j->stop, how);
        atomic_store(&j->pause, false);
    }
    if (was == JOB_QUEUED) {
        j->state = JOB_STOPPED;
        err_code(&j->err, ERR_STOPPED, "%s was stopped before it began", j->call->cmd->kind.name);
    }
    pthread_mutex_unlock(&h->lock);
    if (was == JOB_QUEUED) job_end_waiters(h, j);
    queue_wake(&h->queue[OWNER_ENGINE]);
    return ended(was) ? -1 : 0;
}

int hub_pause(struct hub *h, struct job *j, bool on) {
    pthread_mutex_lock(&h->lock);
    bool over = ended(j->state);
    if (!over) atomic_store(&j->pause, on);
    pthread_mutex_unlock(&h->lock);
    queue_wake(&h->queue[OWNER_ENGINE]);
    return over ? -1 : 0;
}

/* ---- the end of a job ---- */

/* {state, run, step, epoch, metrics...} and the fields of the job's own result. */
static struct val *outcome(struct job *j, enum job_state s) {
    struct val *t = val_table();
    struct run *r = j->run;
    if (r) {
        struct run_now *now = X_NEW(struct run_now, 1);
        run_now(r, now);
        val_set_str(t, "state", run_state_names[now->state]);
        val_set_str(t, "run", now->name);
        val_set_int(t, "step", now->step);
        val_set_num(t, "epoch", now->epoch);
        for (int i = 0; i < now->n; i++) val_set_num(t, now->metric[i].name, now->metric[i].value);
        free(now);
    } else val_set_str(t, "state", job_state_names[s]);
    for (size_t i = 0; j->result && j->result->type == VAL_TABLE && i < j->result->u.t.n_field; i++)
        val_set(t, j->result->u.t.field[i].name, val_copy(j->result->u.t.field[i].v));
    return t;
}

/* j has ended: its result and error do not change any more. */
static void answer(struct hub *h, struct call *c, struct job *j) {
    enum job_state s = hub_job_state(h, j);
    bool own = c->job == j; /* the call that made the job, not one that waits for it */
    if (s == JOB_FAILED || (own && s == JOB_STOPPED && !j->result)) {
        c->err = j->err;
        if (!c->err.code) err_code(&c->err, ERR_STOPPED, "%s was stopped", j->call->cmd->kind.name);
        call_done(c, -1);
        return;
    }
    call_result(c, own && j->result ? val_copy(j->result) : outcome(j, s));
    call_done(c, 0);
}

void hub_on_job_end(struct hub *h, struct call *c_deferred, struct job *j) {
    pthread_mutex_lock(&h->lock);
    bool over = ended(j->state);
    if (!over) {
        h->waiter = X_ROOM(h->waiter, struct waiter, h->n_waiter, &h->cap_waiter);
        h->waiter[h->n_waiter++] = (struct waiter){c_deferred, j};
    }
    pthread_mutex_unlock(&h->lock);
    if (over) answer(h, c_deferred, j);
}

void job_end_waiters(struct hub *h, struct job *j) {
    for (;;) {
        struct call *c = NULL;
        pthread_mutex_lock(&h->lock);
        for (size_t i = 0; i < h->n_waiter && !c; i++) {
            if (h->waiter[i].job != j) continue;
            c = h->waiter[i].call;
            memmove(h->waiter + i, h->waiter + i + 1, (h->n_waiter - i - 1) * sizeof *h->waiter);
            h->n_waiter--;
        }
        pthread_mutex_unlock(&h->lock);
        if (!c) return;
        answer(h, c, j);
    }
}

void job_free(struct job *j) {
    call_free(j->call);
    val_free(j->result);
    free(j);
}

void job_result(struct job *j, struct val *v_take) {
    val_free(j->result);
    j->result = v_take;
}

/* ---- engine thread ---- */

static void push_work(struct hub *h, struct call *c, struct job *j) {
    h->work = X_ROOM(h->work, struct work, h->n_work, &h->cap_work);
    h->work[h->n_work++] = (struct work){c, j};
}

static struct job *job_new(struct hub *h, struct call *c) {
    struct job *j = X_NEW(struct job, 1);
    j->hub = h;
    j->call = X_NEW(struct call, 1); /* the caller's own goes back with the answer */
    j->call->cmd = c->cmd;
    j->call->args = val_copy(c->args);
    j->call->by = c->by;
    j->call->hub = h;
    pthread_mutex_lock(&h->lock);
    h->job = X_ROOM(h->job, struct job *, h->n_job, &h->cap_job);
    h->job[h->n_job++] = j;
    j->h = (struct handle){(uint32_t)h->n_job, 1, c->cmd->flags & CMD_WAIT ? HANDLE_JOB : HANDLE_RUN, 0};
    pthread_mutex_unlock(&h->lock);
    return j;
}

void job_take(struct hub *h, struct call *c) {
    struct err e = {0};
    bool now = c->cmd->run && (c->cmd->flags & CMD_WHILE_RUNNING || (!h->running && h->n_work == 0));
    if (now) {
        call_serve(c);
        return;
    }
    if (h->n_work >= WORK_MAX) {
        err_set(&e, "%s: %d calls wait for the engine already; try again when some are done", c->cmd->kind.name, WORK_MAX);
        call_fail(c, &e);
        return;
    }
    if (c->cmd->run) {
        push_work(h, c, NULL);
        return;
    }
    struct job *j = job_new(h, c);
    push_work(h, NULL, j);
    c->job = j;
    if (c->cmd->flags & CMD_WAIT) hub_on_job_end(h, c, j);
    else {
        call_result(c, val_handle(j->h));
        call_done(c, 0);
    }
}

void hub_park(struct hub *h, struct call *c, struct job *j) {
    call_defer(c);
    h->parked = X_ROOM(h->parked, struct waiter, h->n_parked, &h->cap_parked);
    h->parked[h->n_parked++] = (struct waiter){c, j};
}

static void serve_parked(struct hub *h, struct job *j) {
    for (size_t i = 0; i < h->n_parked;) {
        struct call *c = h->parked[i].call;
        if (h->parked[i].job != j) {
            i++;
            continue;
        }
        memmove(h->parked + i, h->parked + i + 1, (h->n_parked - i - 1) * sizeof *h->parked);
        h->n_parked--;
        call_serve(c);
    }
}

static void drain(struct job *j, int timeout_ms) {
    struct hub *h = j->hub;
    struct call *c;
    h->serving = true;
    if (j->ops && h->n_parked) serve_parked(h, j);
    while ((c = queue_get(&h->queue[OWNER_ENGINE], timeout_ms))) {
        job_take(h, c);
        timeout_ms = 0;
    }
    h->serving = false;
}

/* A call waits for a boundary at which the job serves it: a pause there, not here (in an evaluation), or the caller would wait for the resume. */
static bool must_go_on(const struct job *j) {
    const struct hub *h = j->hub;
    for (size_t i = 0; !j->ops && i < h->n_parked; i++)
        if (h->parked[i].job == j) return true;
    return false;
}

static void wait_paused(struct job *j) {
    struct hub *h = j->hub;
    struct run *r = j->run;
    double t = clock_now();
    enum run_state was = r ? run_state(r) : RUN_QUEUED;
    if (r) run_set_state(r, RUN_PAUSED);
    while (atomic_load(&j->pause) && !atomic_load(&h->quit) && !must_go_on(j) && !j->unanswered) {
        bool limited = j->pause_limit > 0 && !hub_can_resume(h);
        drain(j, limited ? 20 : -1);
        j->unanswered = limited && clock_now() > j->pause_limit && !hub_can_resume(h);
    }
    if (j->unanswered) atomic_store(&j->pause, false);
    if (!atomic_load(&j->pause)) j->pause_limit = 0;
    if (r && run_state(r) == RUN_PAUSED) run_set_state(r, was == RUN_PAUSED ? RUN_TRAINING : was);
    j->t_paused += clock_now() - t;
}

int job_boundary(struct job *j) {
    struct hub *h = j->hub;
    if (h->serving) return atomic_load(&j->stop); /* inside a command that the job serves: the world waits until it is done */
    if (!j->journaled && j->run) journal_job(j);
    drain(j, 0);
    if (atomic_load(&j->pause) && atomic_load(&j->stop) == STOP_NONE && !must_go_on(j)) wait_paused(j);
    j->busy_s = clock_now() - j->t_start - j->t_paused;
    return atomic_load(&j->stop);
}

static enum job_state state_after(struct job *j, int rc, struct err *e) {
    struct run *r = j->run;
    if (rc != 0) return e->code == ERR_STOPPED || e->code == ERR_PREEMPTED ? JOB_STOPPED : JOB_FAILED;
    if (r && run_state_ended(run_state(r))) return run_state(r) == RUN_STOPPED ? JOB_STOPPED : JOB_DONE;
    return atomic_load(&j->stop) != STOP_NONE ? JOB_STOPPED : JOB_DONE;
}

/* A job that failed before it had a run says so where nobody may wait for it: a key, the palette and the prompt go on once it has begun. */
static void say_failed(const struct job *j, const struct err *e) {
    const struct call *c = j->call;
    bool unseen = !(c->cmd->flags & CMD_WAIT) && (c->by == BY_KEY || c->by == BY_PALETTE || c->by == BY_PROMPT);
    if (unseen && hub_runs(j->hub)) runs_notice(hub_runs(j->hub), "error", e->text);
}

/* What the job left open in its run record. */
static void close_run(struct job *j, enum job_state s, const struct err *e) {
    struct run *r = j->run;
    if (!r && s == JOB_FAILED) say_failed(j, e);
    if (!r) return;
    journal_job(j);
    if (run_state_ended(run_state(r))) return;
    if (s == JOB_FAILED) {
        run_say(r, "notice", j->step, "error", e->text);
        run_end(r, RUN_FAILED, e->code == ERR_GOAL ? 4 : 1);
    } else if (s == JOB_STOPPED) run_end(r, RUN_STOPPED, e->code == ERR_PREEMPTED || j->stop == STOP_PREEMPT ? 75 : 3);
    else run_end(r, RUN_DONE, 0);
}

static void run_job(struct hub *h, struct job *j) {
    const struct kind *k = &j->call->cmd->kind;
    struct err e = {0};
    pthread_mutex_lock(&h->lock);
    bool go = j->state == JOB_QUEUED;
    if (go) j->state = JOB_RUNNING;
    pthread_mutex_unlock(&h->lock);
    if (go) {
        void *args = mem_new(1, k->size ? k->size : 1);
        h->running = j;
        j->t_start = clock_now();
        int rc = args_parse(k, j->call->args, args, &e);
        if (rc == 0) {
            rc = j->call->cmd->job(j, args, &e);
            args_release(k, args);
        }
        free(args);
        j->ops = NULL;
        j->data = NULL;
        j->busy_s = clock_now() - j->t_start - j->t_paused;
        enum job_state s = state_after(j, rc, &e);
        close_run(j, s, &e);
        pthread_mutex_lock(&h->lock);
        j->err = e;
        j->state = s;
        pthread_mutex_unlock(&h->lock);
        h->running = NULL;
        job_end_waiters(h, j);
    }
    serve_parked(h, j);
}

void hub_engine_loop(struct hub *h) {
    struct call *c;
    struct err e = {0};
    while (!atomic_load(&h->quit)) {
        while ((c = queue_get(&h->queue[OWNER_ENGINE], h->n_work ? 0 : -1))) job_take(h, c);
        if (!h->n_work) continue;
        struct work w = h->work[0];
        memmove(h->work, h->work + 1, --h->n_work * sizeof *h->work);
        if (w.job) run_job(h, w.job);
        else call_serve(w.call);
    }
    err_code(&e, ERR_STOPPED, "hone is ending");
    for (size_t i = 0; i < h->n_work; i++) {
        if (h->work[i].call) call_fail(h->work[i].call, &e);
        else hub_stop(h, h->work[i].job, STOP_NOW);
    }
    for (size_t i = 0; i < h->n_parked; i++) call_fail(h->parked[i].call, &e);
    h->n_work = h->n_parked = 0;
}

const char *const job_state_names[] = {"queued", "running", "done", "failed", "stopped"}; /* ORDER enum job_state */
