/* The commands that belong to no part in particular: help, properties, notes, and control of jobs. Those about properties run on
 * the engine thread at a boundary; those that only raise a flag or read run where they are called. */
#include "config.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/mem.h"
#include "src/base/thread.h"
#include "src/call/help.h"
#include "src/call/parse.h"
#include "src/call/private.h"
#include "src/call/settings.h"
#include "src/run/record.h"

/* ---- which job ---- */

static void job_name(const struct job *j, char out[64]) {
    struct run *r = j->run;
    if (r) snprintf(out, 64, "%s", run_name(r));
    else handle_text(j->h, out);
}

static struct job *given_job(struct hub *h, struct handle which, const char *who, struct err *e) {
    char text[48];
    if (which.kind != HANDLE_RUN && which.kind != HANDLE_JOB) {
        handle_text(which, text);
        err_code(e, ERR_USAGE, "%s: %s is not a run", who, text);
        return NULL;
    }
    struct job *j = hub_job(h, which);
    if (j) return j;
    handle_text(which, text);
    err_set(e, "%s: there is no %s in this session", who, text);
    return NULL;
}

/* The given one, or the one that runs or waits; NULL with a sentence when it has ended or there is none. */
static struct job *live_job(struct call *c, struct handle which, struct err *e) {
    const char *who = c->cmd->kind.name;
    char name[64];
    struct job *j = which.id ? given_job(c->hub, which, who, e) : hub_job(c->hub, which);
    if (!j) {
        if (!which.id) err_set(e, "%s: nothing is running", who);
        return NULL;
    }
    if (hub_job_state(c->hub, j) < JOB_DONE) return j;
    job_name(j, name);
    if (which.id) err_set(e, "%s: %s has ended", who, name);
    else err_set(e, "%s: nothing is running; the last was %s", who, name);
    return NULL;
}

/* ---- properties ---- */

struct prop_args {
    struct handle run;
    char *name;
    struct val *value;
    bool force;
};

struct prop { /* one property of a running job, found by name */
    const char *name;
    const struct arg *arg;
    struct val *value;
};
static void match(void *ctx, const char *name, const struct arg *a, const struct val *v) {
    struct prop *p = ctx;
    if (p->value || strcmp(p->name, name) != 0) return;
    p->arg = a;
    p->value = val_copy(v);
}

/* p->value NULL: the job has no such property. */
static struct prop find_prop(struct job *j, const char *name) {
    struct prop p = {name, NULL, NULL};
    if (!j || !j->ops) return p;
    if (j->ops->props) j->ops->props(j, match, &p);
    if (!p.value && j->ops->get) p.value = j->ops->get(j, name);
    return p;
}

static bool jump(const struct val *old, const struct val *v) { /* more than 10x */
    double a, b;
    if (!val_as_num(old, &a) || !val_as_num(v, &b) || !(a > 0) || !(b > 0)) return false;
    return b / a > 10 * (1 + 1e-9) || a / b > 10 * (1 + 1e-9);
}

static int ask_jump(const struct prop *p, const struct val *v, struct err *e) {
    struct buf b = BUF_INIT;
    double d = 0;
    bool out_of_range = val_as_num(v, &d) && (p->arg->lo != 0 || p->arg->hi != 0) && (d < p->arg->lo || d > p->arg->hi);
    if (!(p->arg->flags & ARG_LOG) || !jump(p->value, v) || out_of_range) return 0;
    buf_addf(&b, "set: %s would change from ", p->name);
    val_as_num(p->value, &d);
    buf_addnum(&b, d);
    buf_adds(&b, " to ");
    val_as_num(v, &d);
    buf_addnum(&b, d);
    err_code(e, ERR_USAGE, "%s, more than 10 times; add force=true if you mean it", b.data);
    buf_release(&b);
    return -1;
}

static int absent(struct hub *h, struct job *j, const char *who, const char *name, const struct val *v, struct err *e) {
    char job[64];
    if (j) job_name(j, job);
    return parse_no_property(h, who, name, v, j ? job : NULL, e);
}

/* Emits the edit event, which is also the journal's line. sets: what was set, by name and value; old_take, new_take: owned here. */
static void emit_edit(struct call *c, struct job *j, const char *name, const struct val *sets, struct val *old_take, struct val *new_take) {
    struct hub *h = c->hub;
    struct run *r = j ? (struct run *)j->run : h->running ? (struct run *)h->running->run : NULL;
    struct val *v = val_table();
    struct buf lua = BUF_INIT;
    bool force = j && jump(old_take, new_take);
    for (size_t i = 0; i < val_len(sets); i++) {
        if (i) buf_adds(&lua, "; ");
        call_lua_set(&lua, val_get_str(val_at(sets, i), "name", ""), val_get(val_at(sets, i), "value"), !j, force);
    }
    val_set_str(v, "name", name);
    val_set(v, "old", old_take ? old_take : val_nil());
    val_set(v, "new", new_take);
    val_set_str(v, "by", by_names[c->by]);
    val_set_str(v, "lua", lua.data);
    if (r) run_event(r, "edit", h->running ? h->running->step : -1, v);
    else if (h->runs) runs_event(h->runs, "edit", v);
    else val_free(v);
    buf_release(&lua);
}

static struct val *reading(struct job *j, const char *name) {
    struct settings s;
    if (j) return find_prop(j, name).value;
    settings_get(&s);
    struct val *v = args_get(&settings_kind, &s, name);
    args_release(&settings_kind, &s);
    return v;
}

/* Sets it in the job if j is not NULL, else in the settings; *old is the caller's. */
static int apply(struct call *c, struct job *j, const char *name, const struct val *v, struct val **old, struct err *e) {
    *old = NULL;
    int rc = !j ? settings_set(name, v, old, e) : j->ops && j->ops->set ? j->ops->set(j, name, v, old, e) : err_set(e, "set: %s cannot be changed", name);
    if (rc != 0) return -1;
    struct run *live = !j && c->hub->running ? (struct run *)c->hub->running->run : NULL;
    int64_t every;
    if (live && strcmp(name, "log_every") == 0 && val_as_int(v, &every)) run_log_every(live, every);
    return 0;
}

int call_set_all(struct call *c, struct job *j, const char *name, const struct val *sets, struct val **was, struct err *e) {
    struct val *back = edits_back(j, name), *old = reading(j, name), *result, *now;
    int rc = 0;
    for (size_t i = 0; i < val_len(sets) && rc == 0; i++) {
        struct val *one = NULL;
        rc = apply(c, j, val_get_str(val_at(sets, i), "name", ""), val_get(val_at(sets, i), "value"), &one, e);
        val_free(one);
    }
    if (rc == 0) {
        *was = back ? back : edits_one(name, val_copy(old));
        now = reading(j, name);
        result = val_table();
        val_set_str(result, "name", name);
        val_set(result, "value", now ? val_copy(now) : val_nil());
        call_result(c, result);
        emit_edit(c, j, name, sets, old, now ? now : val_nil());
        return 0;
    }
    val_free(back);
    val_free(old);
    return -1;
}

/* Engine thread. *j: the job to ask, or NULL: settings only. 1: the call was parked until the job can answer. */
static int choose_job(struct call *c, const struct prop_args *a, struct job **j, struct err *e) {
    bool setting = a->name && args_find(&settings_kind, a->name);
    *j = a->run.id ? given_job(c->hub, a->run, c->cmd->kind.name, e) : c->hub->running;
    if (a->run.id && !*j) return -1;
    if (!*j || (!a->run.id && setting)) return 0;
    if (hub_job_state(c->hub, *j) < JOB_DONE && !(*j)->ops) {
        hub_park(c->hub, c, *j);
        return 1;
    }
    return 0;
}

static int set_run(struct call *c, const void *args, struct err *e) {
    const struct prop_args *a = args;
    struct job *j;
    char name[64];
    int rc = choose_job(c, a, &j, e);
    if (rc != 0) return rc < 0 ? -1 : 0;
    if (a->run.id && hub_job_state(c->hub, j) >= JOB_DONE) {
        job_name(j, name);
        return err_set(e, "set: %s has ended, so its %s cannot be set", name, a->name);
    }
    struct prop p = find_prop(j, a->name);
    struct val *old, *back, *now, *sets;
    if (!p.value && (a->run.id || !args_find(&settings_kind, a->name))) return absent(c->hub, j, "set", a->name, a->value, e);
    rc = p.value && p.arg && !a->force ? ask_jump(&p, a->value, e) : 0;
    if (!p.value) j = NULL;
    val_free(p.value);
    if (rc != 0) return -1;
    back = edits_back(j, a->name);
    if (apply(c, j, a->name, a->value, &old, e) != 0) {
        val_free(back);
        return -1;
    }
    now = reading(j, a->name);
    sets = edits_one(a->name, val_copy(a->value));
    emit_edit(c, j, a->name, sets, val_copy(old), now ? now : val_copy(a->value));
    edits_remember(c->hub, j, a->name, back ? back : edits_one(a->name, val_copy(old)));
    val_free(sets);
    val_free(old);
    return 0;
}

static int undo_run(struct call *c, const void *args, struct err *e) {
    (void)args;
    return edits_take(c, false, e);
}

static int redo_run(struct call *c, const void *args, struct err *e) {
    (void)args;
    return edits_take(c, true, e);
}

static int get_run(struct call *c, const void *args, struct err *e) {
    const struct prop_args *a = args;
    struct job *j;
    int rc = choose_job(c, a, &j, e);
    if (rc != 0) return rc < 0 ? -1 : 0;
    struct val *v = find_prop(j, a->name).value;
    struct run *r = j ? (struct run *)j->run : NULL;
    if (!v && r) { /* an ended run still tells its numbers */
        struct run_now *now = X_NEW(struct run_now, 1);
        struct val *info = run_start_info(r), *field = val_get(info, a->name);
        run_now(r, now);
        for (int i = 0; i < now->n && !v; i++)
            if (strcmp(now->metric[i].name, a->name) == 0) v = val_num(now->metric[i].value);
        if (!v && field) v = val_copy(field);
        val_free(info);
        free(now);
    }
    if (!v && !a->run.id && args_find(&settings_kind, a->name)) {
        struct settings s;
        settings_get(&s);
        v = args_get(&settings_kind, &s, a->name);
        args_release(&settings_kind, &s);
    }
    if (!v) return absent(c->hub, j, "get", a->name, NULL, e);
    call_result(c, v);
    return 0;
}

static void add_prop(void *ctx, const char *name, const struct arg *a, const struct val *v) {
    static const char *const types[] = {"int", "num", "bool", "str", "path", "enum", "shape", "handle", "table", "val"}; /* ORDER enum arg_type */
    struct val *list = ctx, *t = val_table();
    val_set_str(t, "name", name);
    val_set(t, "value", v ? val_copy(v) : val_nil());
    val_push(list, t);
    if (!a) return;
    val_set_str(t, "type", types[a->type]);
    if (a->lo != 0 || a->hi != 0) {
        val_set_num(t, "lo", a->lo);
        val_set_num(t, "hi", a->hi);
    }
    if (a->type == ARG_ENUM) {
        struct val *names = val_list();
        for (int i = 0; a->names[i]; i++) val_push(names, val_str(a->names[i]));
        val_set(t, "names", names);
    }
    if (a->unit) val_set_str(t, "unit", a->unit);
    if (a->def) val_set_str(t, "default", a->def);
    val_set_str(t, "when", args_when(a));
    val_set_bool(t, "log", a->flags & ARG_LOG);
    val_set_str(t, "help", a->help);
}

static int props_run(struct call *c, const void *args, struct err *e) {
    const struct prop_args *a = args;
    struct job *j = c->hub->running;
    struct settings s;
    if (a->run.id && !(j = given_job(c->hub, a->run, "props", e))) return -1;
    struct val *list = val_list();
    if (j && j->ops && j->ops->props) j->ops->props(j, add_prop, list);
    for (size_t i = 0; i < val_len(list); i++) val_set_str(val_at(list, i), "of", "run");
    size_t n = val_len(list);
    settings_get(&s);
    for (const struct arg *p = settings_kind.args; p->name; p++) {
        struct val *v = args_get(&settings_kind, &s, p->name);
        add_prop(list, p->name, p, v);
        val_set_str(val_at(list, n++), "of", "hone");
        val_free(v);
    }
    args_release(&settings_kind, &s);
    call_result(c, list);
    return 0;
}

struct ahead_args {
    struct prop_args of;
    int64_t points;
};

static int ahead_run(struct call *c, const void *args, struct err *e) {
    const struct ahead_args *a = args;
    struct job *j;
    int rc = choose_job(c, &a->of, &j, e);
    if (rc != 0) return rc < 0 ? -1 : 0;
    bool can = j && j->ops && j->ops->ahead && hub_job_state(c->hub, j) < JOB_DONE;
    struct val *v = can ? j->ops->ahead(j, a->of.name, a->of.value && a->of.value->type != VAL_NIL ? a->of.value : NULL, (int)a->points, e) : NULL;
    if (!can) return err_set(e, "ahead: nothing is known of how %s goes on", a->of.name);
    if (!v) return -1;
    call_result(c, v);
    return 0;
}

/* ---- control of jobs ---- */

struct run_args {
    struct handle run;
};

static int pause_run(struct call *c, const void *args, struct err *e) {
    struct job *j = live_job(c, ((const struct run_args *)args)->run, e);
    return j ? hub_pause(c->hub, j, true) : -1;
}

static int resume_run(struct call *c, const void *args, struct err *e) {
    struct job *j = live_job(c, ((const struct run_args *)args)->run, e);
    return j ? hub_pause(c->hub, j, false) : -1;
}

struct stop_args {
    struct handle run;
    int after;
    bool after_epoch, after_step, now, discard;
};

static int stop_run(struct call *c, const void *args, struct err *e) {
    static const enum job_stop stops[] = {STOP_AFTER_EPOCH, STOP_AFTER_STEP, STOP_NOW}; /* ORDER stop_after */
    const struct stop_args *a = args;
    struct job *j = live_job(c, a->run, e);
    if (!j) return -1;
    if (a->after_epoch + a->after_step + a->now > 1) return err_code(e, ERR_USAGE, "stop: give one of after_epoch, after_step and now");
    enum job_stop how = a->discard ? STOP_DISCARD : a->now ? STOP_NOW : a->after_epoch ? STOP_AFTER_EPOCH : a->after_step ? STOP_AFTER_STEP : stops[a->after];
    struct run *r = j->run;
    struct buf lua = BUF_INIT;
    hub_stop(c->hub, j, how);
    if (r && c->hub->runs) {
        struct run_now *now = X_NEW(struct run_now, 1);
        run_now(r, now);
        call_lua(c, &lua);
        run_journal(c->hub->runs, r, lua.data, now->step);
        buf_release(&lua);
        free(now);
    }
    return 0;
}

enum boundary { AT_CHECKPOINT, AT_EVALUATE, AT_LOOK };
static int at_boundary(struct call *c, struct handle which, enum boundary what, struct err *e) {
    const char *who = c->cmd->kind.name;
    char name[64];
    struct val *result = NULL;
    struct job *j = live_job(c, which, e);
    if (!j) return -1;
    if (!j->ops) {
        hub_park(c->hub, c, j);
        return 0;
    }
    job_name(j, name);
    int (*fn)(struct job *, struct val **, struct err *) = what == AT_EVALUATE ? j->ops->evaluate : what == AT_LOOK ? j->ops->look : j->ops->checkpoint;
    if (!fn) return err_set(e, "%s: %s has nothing to %s", who, name, who);
    if (fn(j, &result, e) != 0) return -1;
    if (result) call_result(c, result);
    return 0;
}

static int checkpoint_run(struct call *c, const void *args, struct err *e) { return at_boundary(c, ((const struct run_args *)args)->run, AT_CHECKPOINT, e); }
static int evaluate_run(struct call *c, const void *args, struct err *e) { return at_boundary(c, ((const struct run_args *)args)->run, AT_EVALUATE, e); }
static int look_run(struct call *c, const void *args, struct err *e) { return at_boundary(c, ((const struct run_args *)args)->run, AT_LOOK, e); }

static int wait_run(struct call *c, const void *args, struct err *e) {
    const struct run_args *a = args;
    struct job *j = a->run.id ? given_job(c->hub, a->run, "wait", e) : hub_job(c->hub, a->run);
    if (!j) return a->run.id ? -1 : err_set(e, "wait: nothing runs and nothing has run");
    call_defer(c);
    hub_on_job_end(c->hub, c, j);
    return 0;
}

static int jobs_run(struct call *c, const void *args, struct err *e) {
    struct job *all[256];
    struct val *list = val_list();
    size_t n = hub_jobs(c->hub, all, LEN(all));
    (void)args, (void)e;
    for (size_t i = 0; i < n; i++) {
        struct val *t = val_table();
        struct run *r = all[i]->run;
        enum job_state s = hub_job_state(c->hub, all[i]);
        val_set(t, "job", val_handle(all[i]->h));
        val_set_str(t, "command", all[i]->call->cmd->kind.name);
        if (r) val_set_str(t, "run", run_name(r));
        val_set_str(t, "state", r ? run_state_names[run_state(r)] : s == JOB_RUNNING && all[i]->pause ? "paused" : job_state_names[s]);
        val_push(list, t);
    }
    call_result(c, list);
    return 0;
}

/* ---- clock, notes, help, handles ---- */

static int clock_run(struct call *c, const void *args, struct err *e) {
    (void)args, (void)e;
    call_result(c, val_num(clock_now()));
    return 0;
}

struct note_args {
    struct handle run;
    char *text;
};

static int note_run(struct call *c, const void *args, struct err *e) {
    const struct note_args *a = args;
    struct job *j = a->run.id ? given_job(c->hub, a->run, "note", e) : NULL;
    if (a->run.id && !j) return -1;
    if (!c->hub->runs) return err_set(e, "note: runs are not recorded here");
    struct run *r = j ? (struct run *)j->run : runs_current(c->hub->runs);
    struct val *v = val_table();
    val_set_str(v, "text", a->text);
    val_set_str(v, "by", by_names[c->by]);
    if (r) {
        struct run_now *now = X_NEW(struct run_now, 1);
        struct buf lua = BUF_INIT;
        run_now(r, now);
        call_lua(c, &lua);
        val_set_str(v, "lua", lua.data);
        run_event(r, "note", now->step, v);
        buf_release(&lua);
        free(now);
    } else runs_event(c->hub->runs, "note", v);
    return 0;
}

struct help_args {
    char *topic;
};

static int help_run(struct call *c, const void *args, struct err *e) {
    struct buf b = BUF_INIT;
    int rc = help_topic(c->hub, ((const struct help_args *)args)->topic, &b, e);
    if (rc == 0) call_result(c, val_strn(b.data, b.len));
    buf_release(&b);
    return rc;
}

struct apropos_args {
    char *text;
};

static int apropos_run(struct call *c, const void *args, struct err *e) {
    struct buf b = BUF_INIT;
    int rc = help_find(c->hub, ((const struct apropos_args *)args)->text, &b, e);
    if (rc == 0) call_result(c, val_strn(b.data, b.len));
    buf_release(&b);
    return rc;
}

struct manual_args {
    int part;
};

static int manual_run(struct call *c, const void *args, struct err *e) {
    struct buf b = BUF_INIT;
    (void)e;
    help_manual(c->hub, (enum help_manual)((const struct manual_args *)args)->part, &b);
    call_result(c, val_strn(b.data, b.len));
    buf_release(&b);
    return 0;
}

struct handle_args {
    struct handle of;
};

static int handle_run(struct call *c, const void *args, struct err *e) {
    struct handle h = ((const struct handle_args *)args)->of;
    struct job *j;
    if (h.kind == HANDLE_RUN || h.kind == HANDLE_JOB) {
        if (!(j = given_job(c->hub, h, "handle", e))) return -1;
        h = j->h;
    }
    call_result(c, val_handle(h));
    return 0;
}

/* ---- rows ---- */

#define RUN_ARG(type, why) \
    { "run", why, NULL, NULL, ARG_HANDLE, offsetof(struct type, run), ARG_POSITIONAL, 0, 0, 0, NULL, SRC_RUN }
#define NAME_ARG \
    { "name", "which property", NULL, NULL, ARG_STR, offsetof(struct prop_args, name), ARG_POSITIONAL | ARG_REQUIRED, 0, 0, 0, NULL, SRC_PROP }

static const char *const stop_after[] = {"epoch", "step", "now", NULL};

static const struct arg run_only[] = {RUN_ARG(run_args, "the run; without it the one that runs"), {0}};
static const struct arg wait_args[] = {RUN_ARG(run_args, "the run; without it the newest"), {0}};
static const struct arg set_args[] = {RUN_ARG(prop_args, "the run; without it the one that runs, then hone itself"), NAME_ARG,
    {"value", "its new value", NULL, NULL, ARG_VAL, offsetof(struct prop_args, value), ARG_POSITIONAL | ARG_REQUIRED, 0, 0, 0, NULL, SRC_NONE},
    {"force", "do not ask about a change of more than 10 times", NULL, NULL, ARG_BOOL, offsetof(struct prop_args, force), 0, 0, 0, 0, NULL, SRC_NONE}, {0}};
static const struct arg get_args[] = {RUN_ARG(prop_args, "the run; without it the one that runs, then hone itself"), NAME_ARG, {0}};
static const struct arg ahead_args[] = {
    {"run", "the run; without it the one that runs", NULL, NULL, ARG_HANDLE, offsetof(struct ahead_args, of.run), ARG_POSITIONAL, 0, 0, 0, NULL, SRC_RUN},
    {"name", "which property", NULL, "lr", ARG_STR, offsetof(struct ahead_args, of.name), ARG_POSITIONAL, 0, 0, 0, NULL, SRC_PROP},
    {"value", "what it would be set to", NULL, NULL, ARG_VAL, offsetof(struct ahead_args, of.value), ARG_POSITIONAL, 0, 0, 0, NULL, SRC_NONE},
    {"points", "at most so many values", NULL, "40", ARG_INT, offsetof(struct ahead_args, points), 0, 0, 2, 1024, NULL, SRC_NONE}, {0}};
static const struct arg props_args[] = {RUN_ARG(prop_args, "the run; without it the one that runs"), {0}};
static const struct arg stop_args[] = {RUN_ARG(stop_args, "the run; without it the one that runs"),
    {"after", "where it stops", NULL, "step", ARG_ENUM, offsetof(struct stop_args, after), ARG_POSITIONAL, 0, 0, 0, stop_after, SRC_NONE},
    {"after_epoch", "at the end of the epoch", NULL, NULL, ARG_BOOL, offsetof(struct stop_args, after_epoch), 0, 0, 0, 0, NULL, SRC_NONE},
    {"after_step", "after this step", NULL, NULL, ARG_BOOL, offsetof(struct stop_args, after_step), 0, 0, 0, 0, NULL, SRC_NONE},
    {"now", "before anything else", NULL, NULL, ARG_BOOL, offsetof(struct stop_args, now), 0, 0, 0, 0, NULL, SRC_NONE},
    {"discard", "save nothing", NULL, NULL, ARG_BOOL, offsetof(struct stop_args, discard), 0, 0, 0, 0, NULL, SRC_NONE}, {0}};
static const struct arg note_args[] = {RUN_ARG(note_args, "the run; without it the current one"),
    {"text", "what to write down", NULL, NULL, ARG_STR, offsetof(struct note_args, text), ARG_POSITIONAL | ARG_REQUIRED, 0, 0, 0, NULL, SRC_NONE}, {0}};
static const struct arg help_args[] = {{"topic", "a command, a layer or another kind, a property, properties, keys", NULL, NULL, ARG_STR,
                                           offsetof(struct help_args, topic), ARG_POSITIONAL, 0, 0, 0, NULL, SRC_COMMAND},
    {0}};
static const struct arg apropos_args[] = {
    {"text", "what to look for", NULL, NULL, ARG_STR, offsetof(struct apropos_args, text), ARG_POSITIONAL | ARG_REQUIRED}, {0}};
static const struct arg manual_args[] = {
    {"part", "which table", NULL, "commands", ARG_ENUM, offsetof(struct manual_args, part), ARG_POSITIONAL, 0, 0, 0, help_manual_names, SRC_NONE}, {0}};
static const struct arg handle_args[] = {
    {"of", "its text, such as model#3", NULL, NULL, ARG_HANDLE, offsetof(struct handle_args, of), ARG_POSITIONAL | ARG_REQUIRED, 0, 0, 0, NULL, SRC_RUN}, {0}};

#define ROW(id, about, example, args, type, owner, flags) \
    static const struct cmd id##_cmd = {{#id, about, example, args, sizeof(struct type)}, owner, flags, id##_run, NULL}
ROW(help, "tells about commands, kinds, properties, keys", "hone.help{\"train\"}", help_args, help_args, OWNER_ANY, CMD_WATCHER | CMD_LINE);
ROW(set, "sets a property of the run or of hone", "run:set(\"lr\", 0.0005)", set_args, prop_args, OWNER_ENGINE, CMD_WHILE_RUNNING | CMD_LINE);
ROW(get, "gives the value of a property", "print(run:get(\"lr\"))", get_args, prop_args, OWNER_ENGINE, CMD_WHILE_RUNNING | CMD_WATCHER | CMD_LINE);
ROW(props, "lists the properties with type, range, unit and value", "hone.props{}", props_args, prop_args, OWNER_ENGINE,
    CMD_WHILE_RUNNING | CMD_WATCHER | CMD_LINE);
ROW(ahead, "tells what the learning rate will be over the rest of the run, also after an edit that is not made", "hone.ahead{\"lr\", 0.001}", ahead_args,
    ahead_args, OWNER_ENGINE, CMD_WHILE_RUNNING | CMD_WATCHER);
ROW(undo, "takes the last edit back, which is an edit too", "hone.undo{}", NULL, run_args, OWNER_ENGINE, CMD_WHILE_RUNNING);
ROW(redo, "makes an edit again that undo took back", "hone.redo{}", NULL, run_args, OWNER_ENGINE, CMD_WHILE_RUNNING);
ROW(note, "writes a note into the run", "run:note(\"warm restart\")", note_args, note_args, OWNER_ANY, CMD_LINE);
ROW(pause, "pauses the run after this step", "run:pause()", run_only, run_args, OWNER_ANY, CMD_LINE);
ROW(resume, "lets a paused run go on", "run:resume()", run_only, run_args, OWNER_ANY, CMD_LINE);
ROW(stop, "stops the run and saves its state", "run:stop{after=\"epoch\"}", stop_args, stop_args, OWNER_ANY, CMD_LINE | CMD_CONFIRM);
ROW(checkpoint, "saves the run's state after this step", "run:checkpoint()", run_only, run_args, OWNER_ENGINE, CMD_WHILE_RUNNING);
ROW(evaluate, "evaluates the run's model after this step", "run:evaluate()", run_only, run_args, OWNER_ENGINE, CMD_WHILE_RUNNING);
ROW(look, "looks at the layers after this step: ranges of values and gradients, dead units, histograms; the Model screen shows them", "run:look()", run_only,
    run_args, OWNER_ENGINE, CMD_WHILE_RUNNING | CMD_WATCHER);
ROW(wait, "waits for the end of a run; gives state and last metrics", "print(run:wait())", wait_args, run_args, OWNER_ANY, CMD_WATCHER | CMD_LINE);
ROW(jobs, "lists what runs, waits and has run", "hone.jobs{}", NULL, run_args, OWNER_ANY, CMD_WATCHER);
ROW(clock, "gives the seconds of a clock that never jumps; the difference of two is a duration", "hone.clock()", NULL, run_args, OWNER_ANY, CMD_WATCHER);
ROW(handle, "gives the handle that a text names", "hone.handle{\"model#3\"}", handle_args, handle_args, OWNER_ANY, CMD_WATCHER | CMD_HIDDEN);
ROW(apropos, "finds commands, constructors, arguments, metrics and properties by a text in their name or help; ??TEXT at the prompt",
    "print(hone.apropos\"learning rate\")", apropos_args, apropos_args, OWNER_ANY, CMD_WATCHER | CMD_LINE);
ROW(manual, "writes a table of the manual pages", "hone.manual{\"commands\"}", manual_args, manual_args, OWNER_ANY, CMD_WATCHER | CMD_HIDDEN);

extern const struct cmd save_settings_cmd; /* settings_file.c */
const struct cmd *const cmds_call[] = {&save_settings_cmd, &help_cmd, &apropos_cmd, &set_cmd, &get_cmd, &props_cmd, &ahead_cmd, &undo_cmd, &redo_cmd, &note_cmd,
    &pause_cmd, &resume_cmd, &stop_cmd, &checkpoint_cmd, &evaluate_cmd, &look_cmd, &wait_cmd, &jobs_cmd, &clock_cmd, &handle_cmd, &manual_cmd, NULL};
