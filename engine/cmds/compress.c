/* The commands compress (a job with a run record of its own) and table (the report of a model that came out of one). Engine thread. */
#include "config.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/cmds/objects.h"
#include "engine/cmds/pick.h"
#include "engine/compress/compress.h"
#include "engine/cpu/pool.h"
#include "src/base/io.h"
#include "src/base/err.h"
#include "src/base/mem.h"
#include "src/base/thread.h"
#include "src/call/job.h"
#include "src/call/settings.h"
#include "src/run/record.h"

struct compress_args {
    struct val *model, *data, *recipe, *loss;
    double max_drop, seconds;
    bool force;
    char *save, *name;
};
struct table_args {
    struct handle model;
};

struct work {
    struct job *j;
    struct run *run;
    double told;
};

static bool stopping(void *ctx) { return job_boundary(((struct work *)ctx)->j) != STOP_NONE; }

static void phase(void *ctx, const char *what, int64_t done, int64_t total) {
    struct work *w = ctx;
    double t = clock_now();
    if (done > 0 && done < total && t - w->told < 0.1) return;
    w->told = t;
    run_phase(w->run, what);
    run_progress(w->run, done, total, 0, 0, 0, 0);
}

static bool of_text(const struct val *v) { return v && v->type == VAL_STR; }

/* The call that gives the numbers of row `i` again: of the model given an evaluation, of a step the same compression up to it. A refused step is refused
 * again. */
static void put_command(struct work *w, size_t i, struct val *row) {
    const struct val *args = w->j->call->args, *recipe = val_get(args, "recipe");
    struct err e = {0};
    struct val *t = val_table();
    struct buf b = BUF_INIT;
    if (val_get(args, "model")) val_set(t, "model", val_copy(val_get(args, "model")));
    if (val_get(args, "data")) val_set(t, "data", val_copy(val_get(args, "data")));
    if (i == 0) {
        val_set_str(t, "split", "val");
    } else {
        struct val *part = recipe && recipe->type == VAL_TABLE && val_len(recipe) > i ? val_list() : NULL;
        for (size_t k = 0; part && k < i; k++) val_push(part, val_copy(val_at(recipe, k)));
        if (recipe) val_set(t, "recipe", part ? part : val_copy(recipe));
        if (val_get(args, "force")) val_set(t, "force", val_copy(val_get(args, "force")));
        if (val_get(args, "max_drop")) val_set(t, "max_drop", val_copy(val_get(args, "max_drop")));
    }
    struct call *c = call_new(w->j->hub, i == 0 ? "eval" : "compress", t, BY_HONE, &e);
    if (!c) return;
    call_lua(c, &b);
    val_set_str(row, "command", b.data ? b.data : "");
    buf_release(&b);
    call_free(c);
}

/* The report as the dashboard shows it: each row with its command, and what was given. */
static void complete(struct work *w, struct val *report) {
    static const char *const names[] = {"model", "data"};
    struct val *steps = val_get(report, "steps"), *given = val_table();
    for (size_t i = 0; i < val_len(steps); i++)
        if (!of_text(val_get(val_at(steps, i), "command"))) put_command(w, i, val_at(steps, i));
    for (size_t i = 0; i < LEN(names); i++)
        if (val_get(w->j->call->args, names[i])) val_set(given, names[i], val_copy(val_get(w->j->call->args, names[i])));
    val_set(report, "given", given);
}

/* A line for each step as it comes, and the rows so far for whoever looks at the run. */
static void said(void *ctx, const struct val *step) {
    struct work *w = ctx;
    struct val *seen = run_last_report(w->run, "compress"), *steps = val_get(seen, "steps");
    struct buf b = BUF_INIT;
    if (!seen) seen = val_table();
    if (!steps) val_set(seen, "steps", steps = val_list());
    val_push(steps, val_copy(step));
    bool kept = val_get_bool(step, "kept", false);
    double quality = val_get_num(step, "acc", val_get_num(step, "r2", NAN));
    buf_addf(&b, "%s: ", val_get_str(step, "name", ""));
    if (!kept) buf_addf(&b, "refused: %s", val_get_str(step, "why", ""));
    else {
        buf_addf(&b, "%s %.4f, %.2f MB", val_get(step, "acc") ? "accuracy" : "r2", quality, val_get_num(step, "bytes", 0) / 1e6);
        if (val_get(step, "faster_1"))
            buf_addf(
                &b, ", %.2f times as fast at batch 1, %.2f at batch %d", val_get_num(step, "faster_1", NAN), val_get_num(step, "faster_32", NAN), SPEED_ROWS);
    }
    runs_notice(hub_runs(w->j->hub), "info", b.data);
    buf_release(&b);
    complete(w, seen);
    run_report(w->run, "compress", seen);
}

/* Where the result goes: the path given, else the folder "model" of the run; NULL: nowhere. */
static char *place(const struct compress_args *a, const struct run *r) {
    if (a->save) return mem_str(a->save);
    return run_dir(r) ? io_join(run_dir(r), "model") : NULL;
}

static void emit_start(const struct work *w, const struct model *m, const struct dataset *d, const struct pool *pool) {
    struct val *v = val_table();
    val_set_str(v, "model", val_get_str(m->desc, "name", "model"));
    val_set_int(v, "params", model_params(m));
    val_set_str(v, "device", "cpu");
    val_set_int(v, "threads", pool_threads(pool));
    val_set_str(v, "version", PACKAGE_VERSION);
    val_set_str(v, "data", d->name);
    if (d->identity) val_set(v, "identity", val_copy(d->identity));
    run_info(w->run, v);
    run_set_state(w->run, RUN_COMPRESSING);
}

/* Both as evaluations, so that the Eval screen shows what changed. Takes the counts. */
static void put_eval(struct work *w, const char *kind, const char *which, struct val *counts_take, const struct dataset *d) {
    struct val *names = val_list();
    for (int i = 0; i < d->n_class; i++) val_push(names, val_str(d->class_name[i]));
    val_set_str(counts_take, "split", "val");
    val_set_str(counts_take, "data", d->name);
    val_set_str(counts_take, "model", which);
    if (d->n_class) val_set(counts_take, "classes", names);
    else val_free(names);
    run_report(w->run, kind, counts_take);
}

/* The result: its handle, the report's fields, the table as text. Takes r's model and report. */
static int deliver(struct work *w, const struct compress_args *a, const struct dataset *d, struct compress_result *r, struct err *e) {
    char *path = place(a, w->run);
    put_eval(w, "eval_before", "as given", r->before, d);
    put_eval(w, "eval", "compressed", r->after, d);
    struct buf text = BUF_INIT;
    if (path && model_save(r->model, path, e) < 0) {
        free(path);
        model_free(r->model);
        val_free(r->report);
        return -1;
    }
    report_table(r->report, &text);
    if (path) val_set_str(r->report, "path", path);
    complete(w, r->report);
    run_report(w->run, "compress", val_copy(r->report));
    val_set(r->report, "model", val_handle(objects_add_model(r->model)));
    val_set(r->report, "text", val_strn(text.data, text.len));
    buf_release(&text);
    bool met = r->met;
    job_result(w->j, r->report);
    if (!met)
        err_code(e, ERR_GOAL, "the goal was missed: a step took more than max_drop = %g; the best model that keeps it is %s%s", a->max_drop,
            path ? "in " : "the newest model", path ? path : "");
    free(path);
    return met ? 0 : -1;
}

static int run_it(struct work *w, const struct compress_args *a, const struct model *m, const struct dataset *d, const struct part *p,
    const struct recipe *recipe, struct err *e) {
    struct settings s;
    settings_get(&s);
    struct pool *pool = pool_new((int)s.threads, e);
    args_release(&settings_kind, &s);
    struct loss_spec loss = {0};
    struct compress_result r;
    int rc = pool ? loss_for(&loss, a->loss, d, e) : -1;
    if (rc == 0) {
        struct compress_spec spec = {.model = m,
            .recipe = recipe,
            .loss = &loss,
            .data = d->name,
            .split = "val",
            .max_drop = a->max_drop,
            .force = a->force,
            .said = said,
            .bed = {.part = p, .pool = pool, .seconds = a->seconds, .stop = stopping, .phase = phase, .ctx = w}};
        emit_start(w, m, d, pool);
        rc = compress_run(&spec, &r, e);
    }
    if (rc == 0) rc = deliver(w, a, d, &r, e);
    loss_release(&loss);
    pool_free(pool);
    return rc;
}

static int compress_job(struct job *j, const void *args, struct err *e) {
    const struct compress_args *a = args;
    struct work w = {.j = j};
    struct recipe recipe;
    struct dataset *fit = NULL;
    if ((a->save && *a->save && model_may_save(a->save, e) < 0) || recipe_init(&recipe, a->recipe, e) < 0) return -1;
    struct model *m = pick_model(a->model, e);
    struct dataset *d = m ? pick_data_for(a->data, m, NULL, e) : NULL;
    int rc = d ? 0 : -1;
    if (rc == 0 && d->part[PART_VAL].n == 0)
        rc = err_set(e,
            "data set %s has no validation part, on which compression is judged (never on the test part): load it with val=N, as in data = { \"%s\", val = "
            "1000 }",
            d->name, d->name);
    if (rc == 0 && !(fit = pick_fit(m, d, 1u << PART_VAL, e))) rc = -1;
    if (rc == 0) {
        j->run = w.run = run_new(hub_runs(j->hub), a->name ? a->name : "compress", e);
        rc = w.run ? run_it(&w, a, m, d, &fit->part[PART_VAL], &recipe, e) : -1;
    }
    if (fit) dataset_unref(fit);
    if (d) dataset_unref(d);
    recipe_release(&recipe);
    return rc;
}

static int table_run(struct call *c, const void *args, struct err *e) {
    const struct model *m = objects_model(((const struct table_args *)args)->model, e);
    struct buf b = BUF_INIT;
    if (!m) return -1;
    if (!m->report) return err_set(e, "this model has no report: it did not come out of hone.compress");
    report_table(m->report, &b);
    call_result(c, val_strn(b.data ? b.data : "", b.len));
    buf_release(&b);
    return 0;
}

static const struct arg compress_table[] = {
    {"model", "a model, the path of a saved one, or a run; the newest model if not given", NULL, NULL, ARG_VAL, offsetof(struct compress_args, model),
        ARG_POSITIONAL},
    {"data", "a data set with a validation part, or {NAME, val=N}; if not given a run's own, else the newest", NULL, NULL, ARG_VAL,
        offsetof(struct compress_args, data), 0, 0, 0, 0, NULL, SRC_DATA},
    {"recipe", "compressors, one after another: { prune.magnitude{ 0.5 }, quant.int8{} }, or as text prune.magnitude{0.5},quant.int8", NULL, "quant.int8",
        ARG_VAL, offsetof(struct compress_args, recipe)},
    {"max_drop", "a step that takes more accuracy (r2 without classes) on the validation part than this, absolute, is not kept and the goal is missed", NULL,
        NULL, ARG_NUM, offsetof(struct compress_args, max_drop), 0, 0, 0, 1},
    {"force", "keeps steps that made the model slower", NULL, "false", ARG_BOOL, offsetof(struct compress_args, force)},
    {"save", "where the result is saved: a folder or a file PATH.hone; the run's folder if not given", NULL, NULL, ARG_PATH,
        offsetof(struct compress_args, save), 0, 0, 0, 0, NULL, SRC_FILE},
    {"seconds", "time for one pair of models at one batch size", "s", "2", ARG_NUM, offsetof(struct compress_args, seconds), 0, 0, 0.01, 3600},
    {"loss", "loss: a name or loss.NAME{..}; by the data if not given", NULL, NULL, ARG_VAL, offsetof(struct compress_args, loss)},
    {"name", "name of the run", NULL, NULL, ARG_STR, offsetof(struct compress_args, name)},
    {NULL},
};
static const struct arg table_table[] = {
    {"model", "a model that came out of compress", NULL, NULL, ARG_HANDLE, offsetof(struct table_args, model), ARG_POSITIONAL}, {NULL}};
extern const struct cmd cmd_compress, cmd_table;
const struct cmd cmd_compress = {
    {"compress", "makes a model smaller and faster, each step measured on this machine before it is kept",
        "tiny = hone.compress{ model = m, data = d, recipe = { quant.int8{} }, max_drop = 0.01 }", compress_table, sizeof(struct compress_args)},
    OWNER_ENGINE, CMD_WAIT | CMD_LINE, NULL, compress_job};
const struct cmd cmd_table = {{"table", "what compression did to a model, a row a step", "print(tiny:table())", table_table, sizeof(struct table_args)},
    OWNER_ENGINE, CMD_WHILE_RUNNING | CMD_WATCHER, table_run};
