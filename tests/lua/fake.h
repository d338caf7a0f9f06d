/* A command table for tests of script and prompt: echo, add, slow jobs with a run record, fields of handles; an engine thread that
 * serves it. No engine. */
#ifndef HONE_TESTS_LUA_FAKE_H
#define HONE_TESTS_LUA_FAKE_H

#include <stddef.h>
#include <stdlib.h>

#include "src/base/log.h"
#include "src/base/mem.h"
#include "src/base/thread.h"
#include "src/call/job.h"
#include "src/call/port.h"
#include "src/run/record.h"
#include "src/script/script.h"

struct echo_args {
    struct val *v;
};
static int echo_run(struct call *c, const void *args, struct err *e) {
    const struct echo_args *a = args;
    (void)e;
    call_result(c, val_copy(a->v));
    return 0;
}
static const struct arg echo_argv[] = {{"value", "comes back", NULL, NULL, ARG_VAL, offsetof(struct echo_args, v), ARG_POSITIONAL}, {NULL}};
static const struct cmd cmd_echo = {
    {"echo", "gives its argument back", "hone.echo{1}", echo_argv, sizeof(struct echo_args)}, OWNER_ENGINE, CMD_WHILE_RUNNING, echo_run, NULL};
static const struct cmd cmd_now = {{"now", "gives its argument back here", "hone.now{1}", echo_argv, sizeof(struct echo_args)}, OWNER_ANY, 0, echo_run, NULL};

struct train_args {
    int64_t steps, batch;
    double lr, ms;
    struct val *freeze;
};
static int train_job(struct job *j, const void *args, struct err *e) {
    const struct train_args *a = args;
    struct run *r = run_new(hub_runs(j->hub), "fake", NULL);
    j->run = r;
    struct val *model = val_table(), *layers = val_list(), *layer = val_table();
    val_set_str(layer, "path", "body.linear1");
    val_push(layers, layer);
    val_set(model, "layers", layers);
    run_report(r, "model", model);
    run_info(r, val_table());
    run_set_state(r, RUN_TRAINING);
    int stop = STOP_NONE;
    for (int64_t i = 1; i <= a->steps && stop == STOP_NONE; i++) {
        const char *names[] = {"loss"};
        double values[] = {1.0 / (double)i};
        clock_sleep(a->ms / 1000);
        j->step = i;
        run_metrics(r, i, (double)i / 10, names, values, 1);
        if (i % 10 == 0) {
            struct val *f = val_table();
            val_set_num(f, "val_acc", 0.5 + 0.01 * (double)(i / 10));
            run_event(r, "epoch", i, f);
        }
        stop = job_boundary(j);
    }
    run_end(r, stop ? RUN_STOPPED : RUN_DONE, stop ? 3 : 0);
    return stop ? err_code(e, ERR_STOPPED, "stopped by the user") : 0;
}
static const struct arg train_argv[] = {
    {"steps", "how many", NULL, "20", ARG_INT, offsetof(struct train_args, steps), ARG_POSITIONAL, 0, 1, 1e9},
    {"batch", "rows", NULL, "32", ARG_INT, offsetof(struct train_args, batch), 0, 0, 1, 1e6},
    {"lr", "learning rate", NULL, "0.001", ARG_NUM, offsetof(struct train_args, lr), ARG_LIVE, 0, 0, 1},
    {"ms", "of a step", NULL, "1", ARG_NUM, offsetof(struct train_args, ms), 0, 0, 0, 1000},
    {"freeze", "layers", NULL, NULL, ARG_VAL, offsetof(struct train_args, freeze), 0, 0, 0, 0, NULL, SRC_LAYER},
    {NULL},
};
static const struct cmd cmd_train = {
    {"train", "trains", "hone.train{steps=5}", train_argv, sizeof(struct train_args)}, OWNER_ENGINE, CMD_LINE, NULL, train_job};

static int eval_job(struct job *j, const void *args, struct err *e) {
    const struct train_args *a = args;
    for (int64_t i = 0; i < a->steps; i++) {
        clock_sleep(a->ms / 1000);
        if (job_boundary(j) != STOP_NONE) return err_code(e, ERR_STOPPED, "stopped by the user");
    }
    struct val *v = val_table(), *m = val_table();
    val_set_num(v, "acc", 0.875);
    for (int i = 0; i < 2; i++) {
        struct val *row = val_table();
        val_push(row, val_int(i ? 3 : 40)), val_push(row, val_int(i ? 50 : 7));
        val_push(m, row);
    }
    val_set(v, "confusion_matrix", m);
    job_result(j, v);
    return 0;
}
static const struct cmd cmd_eval = {{"eval", "evaluates", "hone.eval{}", train_argv, sizeof(struct train_args)}, OWNER_ENGINE, CMD_WAIT, NULL, eval_job};

struct data_args_ {
    char *name;
};
static int data_run(struct call *c, const void *args, struct err *e) {
    (void)args, (void)e;
    call_result(c, val_handle((struct handle){7, 1, HANDLE_DATA, 0}));
    return 0;
}
static const struct arg data_argv[] = {
    {"name", "of the set", NULL, NULL, ARG_STR, offsetof(struct data_args_, name), ARG_POSITIONAL, 0, 0, 0, NULL, SRC_DATA}, {NULL}};
static const struct cmd cmd_data = {
    {"data", "loads data", "hone.data{\"x\"}", data_argv, sizeof(struct data_args_)}, OWNER_ENGINE, CMD_WHILE_RUNNING, data_run, NULL};

struct field_args {
    struct handle of;
    struct val *name;
};
static int field_run(struct call *c, const void *args, struct err *e) {
    const struct field_args *a = args;
    int64_t i;
    const char *s = a->name->type == VAL_STR ? a->name->u.s.p : "";
    if (a->of.kind == HANDLE_DATA && strcmp(s, "train") == 0) call_result(c, val_handle((struct handle){a->of.id, a->of.gen, HANDLE_PART, 0}));
    else if (strcmp(s, "#") == 0) call_result(c, val_int(3));
    else if (val_as_int(a->name, &i)) {
        struct val *row = val_table();
        val_set_int(row, "label", i);
        call_result(c, i >= 1 && i <= 3 ? row : val_nil());
        if (i < 1 || i > 3) val_free(row);
    } else return err_set(e, "a data set has no field %s", s);
    return 0;
}
static const struct arg field_argv[] = {{"of", "", NULL, NULL, ARG_HANDLE, offsetof(struct field_args, of), ARG_POSITIONAL | ARG_REQUIRED},
    {"name", "", NULL, NULL, ARG_VAL, offsetof(struct field_args, name), ARG_POSITIONAL | ARG_REQUIRED}, {NULL}};
static const struct cmd cmd_field = {{"field", "", NULL, field_argv, sizeof(struct field_args)}, OWNER_ANY, CMD_HIDDEN, field_run, NULL};

struct rest_args {
    struct val *values;
};
static int result_run(struct call *c, const void *args, struct err *e) {
    const struct rest_args *a = args;
    (void)e;
    call_result(c, val_copy(a->values));
    return 0;
}
static const struct arg result_argv[] = {{"values", "", NULL, NULL, ARG_TABLE, offsetof(struct rest_args, values), ARG_POSITIONAL | ARG_REST}, {NULL}};
static const struct cmd cmd_outcome = {{"outcome", "gives a table back whole", NULL, result_argv, sizeof(struct rest_args)}, OWNER_ANY, 0, result_run, NULL};

static const struct cmd *const fake_list[] = {&cmd_echo, &cmd_now, &cmd_train, &cmd_eval, &cmd_data, &cmd_field, &cmd_outcome, NULL};

struct linear {
    int64_t out;
    bool bias;
};
static const struct arg linear_argv[] = {{"out", "outputs", NULL, NULL, ARG_INT, offsetof(struct linear, out), ARG_POSITIONAL | ARG_REQUIRED, 0, 1, 1e9},
    {"bias", "adds one", NULL, "true", ARG_BOOL, offsetof(struct linear, bias)}, {NULL}};
static const struct kind kind_linear = {"linear", "product with a matrix", "nn.linear{10}", linear_argv, sizeof(struct linear)};
struct residual {
    struct val *layers;
};
static const struct arg residual_argv[] = {
    {"layers", "the inner ones", NULL, NULL, ARG_TABLE, offsetof(struct residual, layers), ARG_POSITIONAL | ARG_REST}, {NULL}};
static const struct kind kind_residual = {"residual", "x + f(x)", "nn.residual{nn.linear{10}}", residual_argv, sizeof(struct residual)};
static const struct kind kind_relu = {"relu", "max(0, x)", "nn.relu{}", NULL, 0};
struct adam {
    double lr;
};
static const struct arg adam_argv[] = {{"lr", "rate", NULL, "0.001", ARG_NUM, offsetof(struct adam, lr), 0, 0, 0, 10}, {NULL}};
static const struct kind kind_adam = {"adam", "Adam", "optim.adam{lr=1e-3}", adam_argv, sizeof(struct adam)};
static const struct kind *const fake_nn[] = {&kind_linear, &kind_residual, &kind_relu, NULL};
static const struct kind *const fake_optim[] = {&kind_adam, NULL};
static const struct catalog fake_catalogs[] = {{"nn", "layer", fake_nn}, {"optim", "optim", fake_optim}, {NULL, NULL, NULL}};

struct fake {
    struct runs *runs;
    struct hub *hub;
    struct script_port script;
    struct queue reply;
    pthread_t engine;
    struct buf out; /* pieces printed by the evaluation */
    char *text; /* of its end */
    int status;
    bool incomplete;
    double seconds;
};

static void *fake_engine(void *h) {
    hub_engine_loop(h);
    return NULL;
}

static int fake_open(struct fake *f, const char *lib) {
    static const struct cmd *const *const lists[] = {fake_list, cmds_call, cmds_run, cmds_script, NULL};
    struct err e = {0};
    *f = (struct fake){0};
    settings_init();
    f->runs = runs_new(NULL);
    f->hub = hub_new(lists, f->runs);
    if (queue_init(&f->reply, 256) || thread_start(&f->engine, "engine", fake_engine, f->hub, &e) || script_start(f->hub, fake_catalogs, lib, &f->script, &e)) {
        printf("Bail out! %s\n", e.text);
        return -1;
    }
    return 0;
}

static void fake_close(struct fake *f) {
    struct script_reply *r;
    script_stop(&f->script);
    hub_quit(f->hub);
    pthread_join(f->engine, NULL);
    while ((r = queue_get(&f->reply, 0))) reply_free(r);
    hub_free(f->hub);
    runs_free(f->runs);
    queue_release(&f->reply);
    buf_release(&f->out);
    free(f->text);
}

/* Waits for the end of the evaluation that was submitted; false: nothing in time. */
static bool fake_wait(struct fake *f, double seconds) {
    double end = clock_now() + seconds, left;
    while ((left = end - clock_now()) > 0) {
        struct script_reply *r = queue_get(&f->reply, (int)(left * 1000) + 1);
        if (!r) continue;
        if (r->output) buf_adds(&f->out, r->text);
        else {
            free(f->text);
            f->text = r->text;
            r->text = NULL;
            f->status = r->status;
            f->incomplete = r->incomplete;
        }
        bool done = !r->output;
        reply_free(r);
        if (done) return true;
    }
    return false;
}

static inline const char *fake_eval(struct fake *f, const char *text) {
    struct err e = {0};
    double t = clock_now();
    buf_clear(&f->out);
    if (f->script.eval(f->script.ctx, text, strlen(text), "prompt", &f->reply, NULL, &e) != 0) return "cannot submit";
    bool ok = fake_wait(f, 20);
    f->seconds = clock_now() - t;
    return ok ? f->text : "(no reply in 20 s)";
}

#endif
