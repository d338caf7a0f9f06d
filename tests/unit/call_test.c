/* The hub: calls from several threads, full queues, replies, jobs that are paused, stopped, edited and undone, lines of words, help,
 * and a walk over every command row. The jobs are fakes with properties of their own. */
#include "config.h"

#include <pthread.h>
#include <stdlib.h>

#include "src/base/json.h"
#include "src/base/mem.h"
#include "src/base/thread.h"
#include "src/call/call.h"
#include "src/call/help.h"
#include "src/call/job.h"
#include "src/call/port.h"
#include "src/call/settings.h"
#include "src/run/record.h"
#include "tests/tap.h"

/* ---- a fake engine ---- */

struct fake {
    double lr, wd;
};
static const struct arg fake_args[] = {
    {"lr", "learning rate", NULL, "1e-3", ARG_NUM, offsetof(struct fake, lr), ARG_LIVE | ARG_LOG, AT_STEP, 0, 1e6, NULL, SRC_NONE},
    {"weight_decay", "decay", NULL, "0.1", ARG_NUM, offsetof(struct fake, wd), ARG_LIVE, AT_STEP, 0, 1, NULL, SRC_NONE}, {0}};
static const struct kind fake_kind = {"sgd", "plain descent", "optim.sgd{lr=0.1}", fake_args, sizeof(struct fake)};
static const struct kind *const optims[] = {&fake_kind, NULL};
static const struct catalog catalogs[] = {{"optim", "optim", optims}, {0}};
static const struct key keys[] = {{NULL, "t", "train steps=3", "trains"}, {0}};

static int fake_set(struct job *j, const char *name, const struct val *v, struct val **old, struct err *e) {
    struct val *was = args_get(&fake_kind, j->data, name);
    if (args_set(&fake_kind, j->data, name, v, e) != 0) {
        val_free(was);
        return -1;
    }
    *old = was;
    return 0;
}
static struct val *fake_get(struct job *j, const char *name) { return args_get(&fake_kind, j->data, name); }
static void fake_props(struct job *j, void (*each)(void *ctx, const char *name, const struct arg *a, const struct val *v), void *ctx) {
    for (const struct arg *a = fake_args; a->name; a++) {
        struct val *v = args_get(&fake_kind, j->data, a->name);
        each(ctx, a->name, a, v);
        val_free(v);
    }
}
static int fake_checkpoint(struct job *j, struct val **result, struct err *e) {
    (void)e;
    *result = val_int(j->step);
    return 0;
}
static int fake_evaluate(struct job *j, struct val **result, struct err *e) {
    (void)e;
    *result = val_bool(job_boundary(j) == STOP_NONE); /* evaluation calls the boundary too: nothing may be served inside */
    return 0;
}
static const struct job_ops fake_ops = {fake_set, fake_get, fake_props, fake_checkpoint, fake_evaluate, NULL};

struct train_args {
    int64_t steps;
    bool fail, late;
};
static const struct arg train_args[] = {
    {"steps", "how many; 0: until it is stopped", NULL, "3", ARG_INT, offsetof(struct train_args, steps), ARG_POSITIONAL, 0, 0, 1e9, NULL, SRC_NONE},
    {"fail", "fails at the end", NULL, NULL, ARG_BOOL, offsetof(struct train_args, fail), 0, 0, 0, 0, NULL, SRC_NONE},
    {"late", "has its properties only after a while", NULL, NULL, ARG_BOOL, offsetof(struct train_args, late), 0, 0, 0, 0, NULL, SRC_NONE}, {0}};
static _Atomic int64_t steps_done;

static int train(struct job *j, const void *args, struct err *e) {
    const struct train_args *a = args;
    struct fake f = {1e-3, 0.1};
    if (a->late)
        for (int i = 0; i < 20; i++) {
            job_boundary(j);
            clock_sleep(0.002);
        }
    j->run = run_new(hub_runs(j->hub), "fake", NULL);
    run_info(j->run, val_table());
    run_set_state(j->run, RUN_TRAINING);
    j->data = &f;
    j->ops = &fake_ops;
    const char *const names[] = {"loss"};
    for (; !a->steps || j->step < a->steps; j->step++) {
        int stop = job_boundary(j);
        if (stop != STOP_NONE) return err_code(e, stop == STOP_PREEMPT ? ERR_PREEMPTED : ERR_STOPPED, "stopped at step %lld", (long long)j->step);
        double loss = 1.0 / (double)(j->step + 1);
        run_metrics(j->run, j->step, 0, names, &loss, 1);
        atomic_fetch_add(&steps_done, 1);
        clock_sleep(0.0005);
    }
    return a->fail ? err_set(e, "the data ended") : 0;
}

static int broken(struct job *j, const void *args, struct err *e) {
    (void)j, (void)args;
    return err_set(e, "there is no data set nix");
}

struct num_args {
    int64_t n;
};
static const struct arg num_args[] = {
    {"n", "a number", NULL, NULL, ARG_INT, offsetof(struct num_args, n), ARG_POSITIONAL | ARG_REQUIRED, 0, 0, 0, NULL, SRC_NONE}, {0}};
static int64_t added; /* engine thread only, until it has ended */
static int add(struct call *c, const void *args, struct err *e) {
    (void)e;
    added += ((const struct num_args *)args)->n;
    call_result(c, val_int(added));
    return 0;
}
static int measure(struct job *j, const void *args, struct err *e) {
    (void)args, (void)e;
    struct val *v = val_table();
    val_set_num(v, "acc", 0.5);
    job_result(j, v);
    return 0;
}
static int make(struct call *c, const void *args, struct err *e) {
    (void)args, (void)e;
    call_result(c, val_handle((struct handle){4, 1, HANDLE_MODEL, 0}));
    return 0;
}
static const struct cmd train_cmd = {{"train", "trains", "hone.train{}", train_args, sizeof(struct train_args)}, OWNER_ENGINE, CMD_LINE, NULL, train};
static const struct cmd measure_cmd = {{"measure", "measures", NULL, NULL, 0}, OWNER_ENGINE, CMD_WAIT, NULL, measure};
static const struct cmd add_cmd = {{"add", "adds", NULL, num_args, sizeof(struct num_args)}, OWNER_ENGINE, CMD_WHILE_RUNNING, add, NULL};
static const struct cmd idle_cmd = {{"idle_add", "adds when nothing runs", NULL, num_args, sizeof(struct num_args)}, OWNER_ENGINE, 0, add, NULL};
static const struct cmd make_cmd = {{"make", "makes a model", NULL, NULL, 0}, OWNER_ENGINE, 0, make, NULL};
static const struct cmd draw_cmd = {{"draw", "draws", NULL, NULL, 0}, OWNER_UI, 0, make, NULL};
static const struct cmd broken_cmd = {{"broken", "fails before it has a run", NULL, NULL, 0}, OWNER_ENGINE, 0, NULL, broken};
static const struct cmd *const fake_cmds[] = {&train_cmd, &broken_cmd, &measure_cmd, &add_cmd, &idle_cmd, &make_cmd, &draw_cmd, NULL};
static const struct cmd *const *const lists[] = {cmds_call, fake_cmds, NULL};

static double engine_cpu;
static void *engine(void *h) {
    hub_engine_loop(h);
    engine_cpu = clock_cpu();
    return NULL;
}

/* ---- helpers ---- */

static struct err last;
static struct val *ask(struct hub *h, const char *line) { /* NULL: failed, see last */
    struct queue q;
    struct val *v = NULL;
    memset(&last, 0, sizeof last);
    struct call *c = call_parse(h, line, BY_PALETTE, &last);
    if (!c) return NULL;
    queue_init(&q, 1);
    if (call_submit(c, &q, NULL, &last) == 0) {
        c = queue_get(&q, 20000);
        if (!c) {
            printf("Bail out! no answer to %s\n", line);
            exit(1);
        }
        if (c->status == 0) {
            v = c->result ? c->result : val_nil();
            c->result = NULL;
        } else last = c->err;
        call_free(c);
    }
    queue_release(&q);
    return v;
}
static bool ok(struct hub *h, const char *line) {
    struct val *v = ask(h, line);
    val_free(v);
    return v != NULL;
}
static bool gives(struct hub *h, const char *line, const char *json) {
    struct val *v = ask(h, line);
    struct buf b = BUF_INIT;
    if (v) json_write(&b, v);
    bool same = v && strcmp(b.data, json) == 0;
    tap_ok(same, "%s -> %s", line, json);
    if (!same) printf("# got %s %s\n", v ? b.data : "error:", last.text);
    buf_release(&b);
    val_free(v);
    return same;
}
static bool fails(struct hub *h, const char *line, const char *text) {
    struct val *v = ask(h, line);
    bool good = !v && strcmp(last.text, text) == 0;
    tap_ok(good, "%s -> %s", line, text);
    if (!good) printf("# got %s\n", v ? "success" : last.text);
    val_free(v);
    return good;
}

struct seen {
    const char *event;
    struct val *last;
    int n;
};
static void see(void *ctx, uint64_t seq, const struct val *event) {
    struct seen *s = ctx;
    (void)seq;
    if (strcmp(val_get_str(event, "event", ""), s->event) != 0) return;
    val_free(s->last);
    s->last = val_copy(event);
    s->n++;
}
static void check_edit(struct hub *h, int n, double old, double new, const char *lua) {
    struct seen s = {"edit", NULL, 0};
    uint64_t lost;
    runs_events(hub_runs(h), 0, see, &s, &lost);
    tap_ok(s.n == n && val_get_num(s.last, "old", -1) == old && val_get_num(s.last, "new", -1) == new &&strcmp(val_get_str(s.last, "lua", ""), lua) == 0 &&
               strcmp(val_get_str(s.last, "by", ""), "palette") == 0,
        "edit event %d: %s", n, val_get_str(s.last, "lua", "none"));
    val_free(s.last);
}

/* ---- tests ---- */

static void *submitter(void *p) {
    struct hub *h = p;
    struct queue q;
    struct err e;
    intptr_t good = 0;
    queue_init(&q, 64);
    for (int i = 0; i < 500; i++) {
        struct val *t = val_table();
        val_push(t, val_int(1));
        struct call *c = call_new(h, "add", t, BY_SCRIPT, &e);
        if (call_submit(c, &q, &q, &e) != 0) {
            i--;
            sched_yield();
        }
        while ((c = queue_get(&q, 0))) good += c->status == 0 && c->ctx == &q, call_free(c);
    }
    while (good < 500) {
        struct call *c = queue_get(&q, 5000);
        if (!c) break;
        good += c->status == 0;
        call_free(c);
    }
    queue_release(&q);
    return (void *)good;
}

static void test_threads(struct hub *h) {
    pthread_t t[4];
    struct err e;
    intptr_t good = 0;
    for (int i = 0; i < 4; i++) thread_start(&t[i], "submitter", submitter, h, &e);
    for (int i = 0; i < 4; i++) {
        void *n;
        pthread_join(t[i], &n);
        good += (intptr_t)n;
    }
    tap_ok(good == 2000, "4 threads get 2000 answers");
    gives(h, "add 0", "2000");
}

static void test_full(void) {
    struct hub *h = hub_new(lists, NULL);
    struct err e;
    struct queue q;
    int n = 0;
    queue_init(&q, 2);
    for (; n < 2; n++) call_submit(call_new(h, "make", NULL, BY_KEY, &e), &q, NULL, &e);
    tap_ok(call_submit(call_new(h, "make", NULL, BY_KEY, &e), &q, NULL, &e) == -1, "no slot for the reply: %s", e.text);
    while (call_submit(call_new(h, "make", NULL, BY_KEY, &e), NULL, NULL, &e) == 0) n++;
    tap_ok(n == 256 && strstr(e.text, "too many calls"), "a full queue says so: %s", e.text);
    hub_absent(h, OWNER_UI);
    tap_ok(call_submit(call_new(h, "draw", NULL, BY_KEY, &e), NULL, NULL, &e) == -1 && strstr(e.text, "dashboard"), "an absent owner: %s", e.text);
    hub_free(h);
    n = 0;
    for (struct call *c; (c = queue_get(&q, 0)); call_free(c)) n += c->status == -1 && c->err.code == ERR_STOPPED;
    tap_ok(n == 2, "calls that nobody served are answered at the end");
    queue_release(&q);
}

static void test_parse(struct hub *h) {
    static const struct {
        const char *line, *lua;
    } good[] = {{"train steps=5", "hone.train{steps=5}"}, {"train 5 fail=on", "hone.train{steps=5, fail=true}"}, {"  train  ", "hone.train{}"},
        {"set lr 0.1", "run:set(\"lr\", 0.1)"}, {"set lr=0.1", "run:set(\"lr\", 0.1)"}, {"lr 0.1", "run:set(\"lr\", 0.1)"}, {"lr=0.1", "run:set(\"lr\", 0.1)"},
        {"lr = 0.1", "run:set(\"lr\", 0.1)"}, {"set lr 0.5 force=true", "run:set{\"lr\", 0.5, force=true}"}, {"refresh 4", "hone.prop.refresh = 4"},
        {"lr", "hone.get{name=\"lr\"}"}, {"set data '/a b'", "hone.prop.data = \"/a b\""}, {"note 'two words'", "hone.note{text=\"two words\"}"},
        {"note 007", "hone.note{text=\"007\"}"}, {"stop run#1 after=epoch", "run:stop{after=\"epoch\"}"},
        {"stop --after-epoch=true", "hone.stop{after_epoch=true}"}, {"stop --after-epoch", "hone.stop{after_epoch=true}"},
        {"train --steps 7 --fail", "hone.train{steps=7, fail=true}"}, {"set x {1, 2}", "run:set(\"x\", {1, 2})"}, {"idle-add 3", "hone.idle_add{n=3}"},
        {"pause run#1", "run:pause()"}};
    for (size_t i = 0; i < LEN(good); i++) {
        struct buf b = BUF_INIT;
        struct err e = {0};
        struct call *c = call_parse(h, good[i].line, BY_PALETTE, &e);
        if (c) call_lua(c, &b);
        tap_is(c ? b.data : e.text, good[i].lua, good[i].line);
        call_free(c);
        buf_release(&b);
    }
    fails(h, "", "the line is empty; help lists the commands");
    fails(h, "trian", "unknown command 'trian', did you mean 'train'?");
    fails(h, "train epoch=3", "train: unknown argument 'epoch'; it takes steps, fail, late");
    fails(h, "train step=3", "train: unknown argument 'step', did you mean 'steps'?");
    fails(h, "train 3 steps=4", "train: 'steps' is given twice, as argument 1 and by its name");
    fails(h, "note 'open", "the quote ' is not closed");
    fails(h, "set x {1", "a { is not closed");
    fails(h, "set lr", "set: 'value' is missing: its new value");
    fails(h, "train --steps", "train: --steps needs a value");
    fails(h, "add", "add: 'n' is missing: a number");
}

static void test_job(struct hub *h) {
    static const struct handle newest = {0};
    gives(h, "train steps=3", "\"run#1\"");
    gives(h, "wait run#1", "{\"state\":\"done\",\"run\":\"fake-1\",\"step\":2,\"epoch\":0,\"loss\":0.3333333333333333}");
    gives(h, "wait fake-1", "{\"state\":\"done\",\"run\":\"fake-1\",\"step\":2,\"epoch\":0,\"loss\":0.3333333333333333}");
    fails(h, "set run#1 lr 0.1", "set: fake-1 has ended, so its lr cannot be set");
    fails(h, "pause", "pause: nothing is running; the last was fake-1");
    fails(h, "stop fake-1", "stop: fake-1 has ended");
    fails(h, "wait run#9", "wait: there is no run#9 in this session");
    fails(h, "set lr 0.1", "set: lr is a property of a run, and nothing is running");
    fails(h, "set lr=0.1", "set: lr is a property of a run, and nothing is running");
    fails(h, "get lr", "get: lr is a property of a run, and nothing is running");
    fails(h, "set lr=-1", "set: lr must be a number from 0 to 1e+06, not -1");
    fails(h, "lr=-1", "set: lr must be a number from 0 to 1e+06, not -1");
    fails(h, "set weight_decay x", "set: weight_decay must be a number from 0 to 1, not 'x'");
    fails(h, "set lrr=1", "set: unknown property 'lrr', did you mean 'lr'?");
    fails(h, "lrr=1", "set: unknown property 'lrr', did you mean 'lr'?");
    fails(h, "set zzzzzz=1", "set: unknown property 'zzzzzz'; props lists them");
    gives(h, "measure", "{\"acc\":0.5}");

    ok(h, "train steps=0 late=true"); /* run#3 */
    tap_ok(hub_busy(h), "busy");
    tap_ok(ok(h, "set run#3 lr 0.002"), "a set before the run has properties waits for them: %s", last.text);
    check_edit(h, 1, 0.001, 0.002, "run:set(\"lr\", 0.002)");
    gives(h, "get lr", "0.002");
    tap_ok(!ok(h, "set lr -1") && strstr(last.text, "lr must be a number from 0 to 1e+06, not -1"), "range: %s", last.text);
    fails(h, "set lr 0.5", "set: lr would change from 0.002 to 0.5, more than 10 times; add force=true if you mean it");
    tap_ok(ok(h, "set lr 0.5 force=true"), "forced");
    check_edit(h, 2, 0.002, 0.5, "run:set{\"lr\", 0.5, force=true}");
    tap_ok(ok(h, "undo"), "undo");
    check_edit(h, 3, 0.5, 0.002, "run:set{\"lr\", 0.002, force=true}");
    tap_ok(ok(h, "undo") && gives(h, "lr", "0.001"), "undo again goes further back");
    fails(h, "undo", "undo: there is no edit to take back");
    tap_ok(ok(h, "redo") && gives(h, "lr", "0.002") && ok(h, "redo") && gives(h, "lr", "0.5") && ok(h, "undo") && gives(h, "lr", "0.002"),
        "redo makes both again, and undo takes one back");
    tap_ok(ok(h, "lr 0.003") && !ok(h, "redo"), "after another edit there is nothing to redo: %s", last.text);
    tap_ok(ok(h, "undo") && ok(h, "undo") && gives(h, "lr", "0.001"), "the chain back to its beginning");
    fails(h, "set lrr 1", "set: unknown property 'lrr', did you mean 'lr'?");
    tap_ok(ok(h, "weight_decay=0.5") && gives(h, "weight_decay", "0.5"), "another property");
    tap_ok(ok(h, "refresh 4") && gives(h, "refresh", "4") && ok(h, "undo") && gives(h, "refresh", "2"), "a setting, and undone");
    tap_ok(!ok(h, "refresh 100") && strstr(last.text, "from 0.1 to 30, not 100"), "range of a setting: %s", last.text);
    tap_ok(!ok(h, "set device gpu") && strstr(last.text, "cpu, cuda or cuda:N"), "device: %s", last.text);
    struct val *v = ask(h, "props");
    tap_ok(
        val_len(v) > 10 && strcmp(val_get_str(val_at(v, 0), "name", ""), "lr") == 0 && strcmp(val_get_str(val_at(v, 0), "when", ""), "at once") == 0, "props");
    val_free(v);
    v = ask(h, "checkpoint");
    tap_ok(v && v->type == VAL_INT, "checkpoint at a boundary");
    val_free(v);
    gives(h, "evaluate", "true");

    struct err e;
    struct queue q;
    queue_init(&q, 4);
    struct val *one = val_table();
    val_push(one, val_int(100));
    call_submit(call_new(h, "idle_add", one, BY_KEY, &e), &q, NULL, &e);
    tap_ok(queue_get(&q, 50) == NULL, "a call that may not run beside a job waits");
    tap_ok(ok(h, "pause"), "pause");
    clock_sleep(0.02);
    int64_t before = steps_done;
    v = ask(h, "add 1");
    tap_ok(v && v->u.i == 2001 && ok(h, "lr 0.003") && gives(h, "lr", "0.003"), "calls are served while it is paused");
    val_free(v);
    clock_sleep(0.1);
    struct run *r = runs_current(hub_runs(h));
    tap_ok(steps_done == before && run_state(r) == RUN_PAUSED, "no step while it is paused");
    tap_ok(ok(h, "resume"), "resume");
    clock_sleep(0.05);
    tap_ok(steps_done > before && run_state(r) == RUN_TRAINING, "it goes on");
    gives(h, "train steps=2", "\"run#4\"");
    gives(h, "train steps=2", "\"run#5\"");
    tap_ok(hub_job(h, newest)->h.id == 3, "the live job is the one that runs");
    tap_ok(ok(h, "stop run#5"), "a waiting job is stopped at once");
    gives(h, "wait run#5", "{\"state\":\"stopped\"}");
    tap_ok(ok(h, "pause") && ok(h, "stop now=true"), "stop ends a pause");
    v = ask(h, "wait run#3");
    tap_ok(v && strcmp(val_get_str(v, "state", ""), "stopped") == 0 && run_exit_code(r) == 3, "stopped, exit 3");
    val_free(v);
    struct call *c = queue_get(&q, 5000);
    tap_ok(c && c->status == 0 && c->result->u.i == 2101, "then the call that waited ran");
    call_free(c);
    v = ask(h, "wait run#4");
    tap_ok(v && strcmp(val_get_str(v, "state", ""), "done") == 0, "and the job behind it");
    val_free(v);
    gives(h, "train steps=1 fail=true", "\"run#6\"");
    fails(h, "wait run#6", "the data ended");
    r = runs_current(hub_runs(h));
    tap_ok(run_state(r) == RUN_FAILED && run_exit_code(r) == 1, "failed, exit 1");
    v = ask(h, "jobs");
    tap_ok(val_len(v) == 6 && strcmp(val_get_str(val_at(v, 5), "state", ""), "failed") == 0 && !hub_busy(h), "jobs");
    val_free(v);
    gives(h, "handle model#7", "\"model#7\"");
    tap_ok(ok(h, "note hello") && ok(h, "note fake-1 hello"), "notes");
    struct val *sync = NULL;
    tap_ok(call_sync(h, "add", val_table(), BY_LINE, NULL, &e) == -1 && call_sync(h, "make", NULL, BY_LINE, &sync, &e) == 0 && sync->type == VAL_HANDLE,
        "call_sync");
    val_free(sync);
    queue_release(&q);
}

/* A paused run must not burn the processor. */
static void test_pause_cost(struct hub *h) {
    ok(h, "train steps=0");
    ok(h, "pause");
    clock_sleep(0.5);
    ok(h, "stop");
    ok(h, "wait");
}

static void test_help(struct hub *h) {
    static const struct {
        const char *topic, *has;
    } t[] = {{"", "train"}, {"train", "steps"}, {"optim", "optim.sgd"}, {"sgd", "learning rate"}, {"optim.sgd", "example: optim.sgd"},
        {"lr", "of optim.sgd; takes"}, {"properties", "weight_decay"}, {"keys", "train steps=3"}, {"hone.set", "force"}};
    struct buf b = BUF_INIT;
    struct err e;
    for (size_t i = 0; i < LEN(t); i++) {
        buf_clear(&b);
        tap_ok(help_topic(h, t[i].topic, &b, &e) == 0 && strstr(b.data, t[i].has), "help '%s' tells '%s'", t[i].topic, t[i].has);
    }
    tap_ok(help_topic(h, "trian", &b, &e) == -1 && strstr(e.text, "did you mean 'train'"), "%s", e.text);
    for (int p = 0; p < MAN_N; p++) {
        buf_clear(&b);
        help_manual(h, (enum help_manual)p, &b);
        bool lines = b.len > 0;
        for (const char *s = b.data; s && *s; s = strchr(s, '\n') ? strchr(s, '\n') + 1 : NULL)
            if (*s == '.' && strncmp(s, ".SS ", 4) && strncmp(s, ".TP\n", 4) && strncmp(s, ".B ", 3) && strncmp(s, ".PP\n", 4) && strncmp(s, ".EX\n", 4) &&
                strncmp(s, ".EE\n", 4))
                lines = false;
        tap_ok(lines, "manual part %s", help_manual_names[p]);
    }
    buf_release(&b);
}

static bool text_ok(const char *s) { return s && *s && !strchr(s, '\n') && s[strlen(s) - 1] != ' '; }

static void walk_kind(const char *what, const struct kind *k) {
    bool good = text_ok(k->name) && text_ok(k->help);
    for (const struct arg *a = k->args; a && a->name; a++) {
        good = good && text_ok(a->name) && text_ok(a->help) && a->lo <= a->hi && (a->type != ARG_ENUM || a->names) && a->offset < k->size;
        for (const struct arg *b = k->args; b != a; b++) good = good && strcmp(a->name, b->name) != 0;
        if (!a->def) continue;
        struct val *t = val_table(); /* the default, given as a value, must pass the same checks as a user's */
        struct arg one[2] = {*a, {0}};
        struct kind alone = {k->name, k->help, NULL, one, k->size};
        struct err e;
        void *s = mem_new(1, k->size);
        bool text = a->type == ARG_STR || a->type == ARG_PATH || a->type == ARG_ENUM;
        val_set(t, a->name, text ? val_str(a->def) : args_text(a->def));
        one[0].def = NULL;
        if (args_parse(&alone, t, s, &e) == 0) args_release(&alone, s);
        else good = false;
        free(s);
        val_free(t);
    }
    tap_ok(good, "%s %s: name, help, arguments, defaults in range", what, k->name);
}

/* The prompt, the palette and a key go on once the job has begun: nobody waits. */
static void test_unseen(struct hub *h) {
    static const enum by by[] = {BY_PROMPT, BY_PALETTE, BY_KEY};
    int said[LEN(by)];
    struct seen first = {"notice", NULL, 0};
    uint64_t none;
    runs_events(hub_runs(h), 0, see, &first, &none);
    val_free(first.last);
    for (size_t i = 0; i < LEN(by); i++) {
        struct err e = {0};
        struct seen s = {"notice", NULL, 0};
        uint64_t lost;
        struct val *made = NULL;
        tap_ok(call_sync(h, "broken", val_table(), by[i], &made, &e) == 0, "broken begins");
        struct job *j = hub_job(h, made ? made->u.h : (struct handle){0});
        while (hub_job_state(h, j) < JOB_DONE) clock_sleep(0.001);
        val_free(made);
        runs_events(hub_runs(h), 0, see, &s, &lost);
        said[i] = s.n;
        val_free(s.last);
    }
    tap_ok(said[0] == first.n + 1 && said[1] == said[0] + 1 && said[2] == said[1] + 1,
        "a job of the prompt, the palette or a key that failed before it had a run says so");
}

int main(void) {
    pthread_t t;
    struct err e;
    test_full();
    struct runs *rs = runs_new(NULL);
    struct hub *h = hub_new(lists, rs);
    hub_set_catalogs(h, catalogs);
    hub_set_keys(h, keys);
    for (size_t i = 0; i < hub_count(h); i++) walk_kind("command", &hub_cmd(h, i)->kind);
    walk_kind("kind", &settings_kind);
    test_help(h);
    thread_start(&t, "engine", engine, h, &e);
    test_threads(h);
    test_parse(h);
    test_job(h);
    test_pause_cost(h);
    test_unseen(h);
    ok(h, "train steps=0");
    hub_quit(h);
    pthread_join(t, NULL);
    struct job *j = hub_job(h, (struct handle){0});
    tap_ok(hub_job_state(h, j) == JOB_STOPPED, "hub_quit stops the job");
    tap_ok(engine_cpu < 0.4, "the engine thread used %.3f s of processor time", engine_cpu);
    hub_free(h);
    runs_free(rs);
    return tap_done();
}
