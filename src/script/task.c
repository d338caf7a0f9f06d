/* Tasks: the coroutines of prompt lines, scripts, config.lua and callbacks, and how they wait. A task that waits for a command
 * yields; where it cannot (inside a comparison, a metamethod called from C, a coroutine of its own) the queue is served in place, so
 * callbacks and the prompt stay alive. An interrupt means the prompt's tasks; without one, the scripts. */
#include "config.h"

#include "src/script/state.h"

#include <stdlib.h>
#include <string.h>

#include "src/base/log.h"
#include "src/base/mem.h"
#include "src/base/thread.h"

#define DEPTH_MAX 8 /* of serving in place; deeper only takes replies */
#define SLICE_MAX 0.02 /* seconds: a script or callback that runs longer when Ctrl-C comes is what blocks the prompt */
#define JUST_NOW 0.2 /* seconds */
#define OUT_BYTES 4096
#define OUT_SECONDS 0.02

enum { INTR_SET = 1, INTR_USED = 2 };

static bool of_prompt(const struct task *t) { return t->kind == TASK_PROMPT || t->kind == TASK_LUA; }

/* ---- making and ending ---- */
static int new_thread(lua_State *L) {
    struct task *t = lua_touserdata(L, 1);
    t->co = lua_newthread(L);
    t->ref = luaL_ref(L, LUA_REGISTRYINDEX);
    return 0;
}

struct task *task_new(struct script *s, enum task_kind kind, const char *name) {
    struct task *t = X_NEW(struct task, 1), **end = &s->tasks;
    t->kind = kind;
    t->name = mem_str(name ? name : "");
    t->ref = LUA_NOREF;
    lua_pushcfunction(s->L, new_thread);
    lua_pushlightuserdata(s->L, t);
    if (lua_pcall(s->L, 1, 0, 0) != LUA_OK) {
        lua_pop(s->L, 1);
        log_write(LOG_ERROR, "%s cannot run: the script's memory is used up", t->name);
        free(t->name);
        free(t);
        return NULL;
    }
    while (*end) end = &(*end)->next;
    *end = t;
    bool first = kind != TASK_CALLBACK && atomic_fetch_add(&s->live, 1) == 0;
    if (kind == TASK_SCRIPT && atomic_fetch_add(&s->scripts, 1) == 0) first = true;
    if (first && hub_runs(s->hub)) runs_wake(hub_runs(s->hub)); /* the dashboard shows its seconds */
    return t;
}

void task_start(struct task *t) { t->queued = true; }

static void release(struct script *s, struct task *t) {
    struct task **p = &s->tasks;
    while (*p && *p != t) p = &(*p)->next;
    if (*p) *p = t->next;
    if (t->kind != TASK_CALLBACK) atomic_fetch_sub(&s->live, 1);
    if (t->kind == TASK_SCRIPT) atomic_fetch_sub(&s->scripts, 1);
    if (t->wait) task_abandon(t->wait);
    luaL_unref(s->L, LUA_REGISTRYINDEX, t->ref);
    buf_release(&t->out);
    free(t->name);
    free(t->text);
    free(t->jobs);
    free(t);
}

static struct script_reply *new_reply(struct task *t, bool output, int status, char *text_take) {
    struct script_reply *r = X_NEW(struct script_reply, 1);
    *r = (struct script_reply){.tag = t->tag, .output = output, .status = status, .text = text_take};
    return r;
}

void task_end(struct script *s, struct task *t, int status, struct err *err, const char *text) {
    struct buf b = BUF_INIT;
    task_flush(s, t, true);
    if (of_prompt(t)) s->prompt_ended = clock_now();
    switch (t->kind) {
    case TASK_PROMPT:
        if (t->dropped) buf_addf(&b, "(%zu pieces of output were dropped: nobody took them)\n", t->dropped);
        buf_adds(&b, text ? text : status ? err->text : "");
        watch_say(s, &b);
        queue_put_reserved(t->reply, new_reply(t, false, status, buf_take(&b)));
        break;
    case TASK_SCRIPT:
    case TASK_LUA:
    case TASK_ASK:
        if (status) t->call->err = *err;
        else if (t->kind == TASK_LUA && text) call_result(t->call, val_str(text));
        call_done(t->call, status);
        break;
    case TASK_CALLBACK:
    case TASK_CONFIG:
        if (!status) break;
        if (!text) text = err->text;
        if (t->kind == TASK_CALLBACK) buf_addf(&b, "run:on(\"%s\"): ", t->name);
        else if (!strstr(text, t->name)) buf_addf(&b, "%s: ", t->name); /* most say where they are */
        buf_adds(&b, text);
        if (hub_runs(s->hub)) runs_notice(hub_runs(s->hub), "error", b.data);
        else log_write(LOG_ERROR, "%s", b.data);
        buf_release(&b);
        break;
    }
    release(s, t);
}

/* ---- output ---- */
void task_flush(struct script *s, struct task *t, bool now) {
    if (!t->out.len || (!now && t->out.len < OUT_BYTES && clock_now() - t->out_at < OUT_SECONDS)) return;
    struct script_reply *r = new_reply(t, true, 0, buf_take(&t->out));
    /* A slow reader is waited for a little, so that a loop of a thousand lines loses none; Ctrl-C still counts. */
    for (int i = 0; queue_put(t->reply, r) != 0; i++) {
        if (i < 200 && !t->dropped && !atomic_load(&s->intr)) {
            clock_sleep(0.001);
            continue;
        }
        t->dropped++;
        reply_free(r);
        break;
    }
    t->out_at = clock_now();
}

void task_output(struct script *s, struct task *t, const char *text, size_t n) {
    if (t && t->kind == TASK_PROMPT) {
        buf_add(&t->out, text, n);
        task_flush(s, t, false);
    } else if (s->print) s->print(s->print_ctx, text, n);
    else log_write(LOG_INFO, "%.*s", (int)(n && text[n - 1] == '\n' ? n - 1 : n), text);
}

/* ---- running ---- */
static bool job_failed(struct script *s, struct handle h, struct err *e) {
    struct job *j = hub_job(s->hub, h);
    enum job_state st = j ? hub_job_state(s->hub, j) : JOB_DONE;
    if (st == JOB_FAILED && !e->code) *e = j->err;
    if (st == JOB_FAILED && !e->code) err_set(e, "a run of the script failed");
    if (st == JOB_STOPPED && !e->code) err_code(e, ERR_STOPPED, "a run of the script was stopped");
    return st >= JOB_DONE;
}

static void drain(struct script *s, struct task *t) {
    struct err e = {0};
    for (size_t i = 0; i < t->n_jobs; i++)
        if (!job_failed(s, t->jobs[i], &e)) return;
    task_end(s, t, e.code ? -1 : 0, &e, NULL);
}

static void ended_well(struct script *s, struct task *t, int n) {
    int top = lua_gettop(t->co), first = top - n + 1;
    struct buf b = BUF_INIT;
    struct err none = {0};
    if (t->kind == TASK_SCRIPT && t->n_jobs) {
        t->draining = true;
        drain(s, t);
        return;
    }
    if (t->kind == TASK_ASK) {
        cmds_answer(s, t, n ? first : 0);
        return;
    }
    if (n && (t->show || t->kind == TASK_LUA)) show_values(t->co, first, top, &b);
    if (n == 1 && t->show && t->kind == TASK_PROMPT && lua_isnil(t->co, first)) names_nil(s, t->text ? t->text : "", &b);
    if (n && t->kind == TASK_PROMPT) names_keep(s, t, first);
    task_end(s, t, 0, &none, b.data ? b.data : "");
    buf_release(&b);
}

static void ended_badly(struct script *s, struct task *t) {
    struct buf b = BUF_INIT;
    struct err e = t->err;
    if (!t->unwind && lua_status(t->co) == LUA_ERRMEM && task_stopping(s, t)) t->unwind = true; /* refused memory because of the interrupt */
    if (t->unwind) {
        buf_adds(&b, atomic_load(&s->quit) ? "interrupted: hone ends" : "interrupted");
        e.code = ERR_STOPPED;
    } else {
        chunk_error(s, t->co, &b, t);
        if (!e.text[0] || !strstr(b.data, e.text)) e.code = ERR_FAIL;
    }
    if (!state_poisoned(t->co)) lua_resetthread(t->co); /* runs what <close> asks for */
    snprintf(e.text, sizeof e.text, "%s", b.data);
    task_end(s, t, -1, &e, b.data);
    buf_release(&b);
}

static void resume(struct script *s, struct task *t) {
    struct task *outer = s->cur;
    int n = 0, nargs = t->nargs;
    s->cur = t;
    t->running = true;
    t->queued = false;
    t->nargs = 0;
    t->wait = NULL;
    t->slice = t->out_at = clock_now();
    int rc = lua_resume(t->co, outer ? outer->co : NULL, nargs, &n);
    if (rc == LUA_YIELD) {
        t->running = false;
        if (!t->wait) { /* the script's own yield at the top: a turn for the others */
            lua_pop(t->co, n);
            t->queued = true;
        }
        task_flush(s, t, true);
    } else if (rc == LUA_OK) {
        ended_well(s, t, n);
    } else ended_badly(s, t);
    s->cur = outer;
}

void task_run_ready(struct script *s) {
    struct task *t = s->tasks;
    while (t) {
        bool ready = t->queued || (t->wait && (t->wait->done || t->wait->interrupted));
        if (!ready || t->running || t->draining || s->depth > DEPTH_MAX) {
            t = t->next;
            continue;
        }
        resume(s, t);
        t = s->tasks; /* the list may be another one now */
        if (atomic_load(&s->intr) || s->cur) break;
    }
}

void task_drain(struct script *s) {
    for (struct task *t = s->tasks, *next; t; t = next) {
        next = t->next;
        if (t->draining) drain(s, t);
    }
}

bool task_draining(const struct script *s) {
    for (const struct task *t = s->tasks; t; t = t->next)
        if (t->draining || (t->queued && !t->running)) return true;
    return false;
}

/* ---- waiting ---- */
void task_wait_free(struct wait *w) {
    val_free(w->args);
    free(w);
}

void task_abandon(struct wait *w) {
    if (w->done) {
        call_free(w->done);
        task_wait_free(w);
    } else w->task = NULL, w->box = NULL, w->interrupted = true;
}

int task_wait(lua_State *L, struct wait *w, lua_KFunction k) {
    struct script *s = state_of(L);
    struct task *t = s->cur;
    script_replies(s);
    if (w->done) return k(L, LUA_OK, (lua_KContext)w);
    if (t) t->wait = w;
    if (t && L == t->co && lua_isyieldable(L)) return lua_yieldk(L, 0, (lua_KContext)w, k);
    s->depth++;
    while (!w->done && !w->interrupted) {
        if (t) task_flush(s, t, true);
        script_serve(s, 100);
        if (t && task_stopping(s, t)) w->interrupted = true;
    }
    s->depth--;
    s->cur = t;
    if (t) t->wait = NULL, t->slice = clock_now();
    return k(L, LUA_OK, (lua_KContext)w);
}

/* ---- interrupts ---- */
bool task_stopping(struct script *s, struct task *t) {
    if (atomic_load_explicit(&s->quit, memory_order_relaxed)) return true;
    if (!atomic_load_explicit(&s->intr, memory_order_relaxed)) return false;
    if (of_prompt(t) ? t->seq > atomic_load(&s->intr_upto) : clock_now() - t->slice < SLICE_MAX) return false;
    atomic_store(&s->intr, INTR_USED);
    return true;
}

static void interrupt_one(struct script *s, struct task *t) {
    struct err e = {0};
    if (t->wait) t->wait->interrupted = true;
    else if ((t->queued && !t->running) || t->draining) {
        err_code(&e, ERR_STOPPED, "interrupted");
        task_end(s, t, -1, &e, NULL);
    }
}

void task_interrupt_waiting(struct script *s) {
    int v = atomic_exchange(&s->intr, 0);
    uint64_t upto = atomic_load(&s->intr_upto);
    bool any = false;
    if (!v) return;
    for (struct task *t = s->tasks; t; t = t->next) any |= of_prompt(t) && t->seq <= upto;
    /* Nothing at the prompt: it means the scripts, unless it came for an evaluation that has just ended by itself. */
    if (!any && (v == INTR_USED || clock_now() - s->prompt_ended < JUST_NOW)) return;
    for (struct task *t = s->tasks, *next; t; t = next) {
        next = t->next;
        if (any ? of_prompt(t) && t->seq <= upto : t->kind == TASK_SCRIPT || t->kind == TASK_CONFIG) interrupt_one(s, t);
    }
}

void task_kill_all(struct script *s) {
    struct err e = {0};
    err_code(&e, ERR_STOPPED, "interrupted: hone ends");
    while (s->tasks) task_end(s, s->tasks, -1, &e, NULL);
}
