/* The commands eval and compare: metrics of one or several models on a part of a data set, read once. Engine thread. */
#include "config.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/cmds/pick.h"
#include "engine/cpu/pool.h"
#include "engine/graph/backend.h"
#include "engine/metrics/threshold.h"
#include "engine/train/eval.h"
#include "engine/train/precision.h"
#include "src/base/io.h"
#include "src/base/log.h"
#include "src/base/mem.h"
#include "src/base/thread.h"
#include "src/call/job.h"
#include "src/call/settings.h"
#include "src/run/record.h"
#include "src/run/store.h"

struct eval_args {
    struct val *model, *data, *loss;
    int part;
    int64_t batch;
    struct val *models, *threshold;
    int precision;
    bool force_precision;
};
static const char *const part_choice[] = {"train", "val", "test", NULL};

static bool ask(void *ctx, int64_t done, int64_t total) {
    (void)done, (void)total;
    return job_boundary(ctx) != STOP_NONE;
}

static struct pool *make_pool(struct err *e) {
    struct settings s;
    settings_get(&s);
    int threads = (int)s.threads;
    args_release(&settings_kind, &s);
    return pool_new(threads, e);
}

static struct val *report_of(const struct tally *t, const struct model *m, const struct dataset *d, const char *split, const struct precision *pr) {
    struct val *r = tally_values_val(t);
    val_set_str(r, "precision", precision_name(pr));
    val_set_str(r, "split", split);
    val_set_str(r, "data", d->name);
    val_set_str(r, "model", val_get_str(m->desc, "name", "model"));
    val_set_int(r, "params", model_params(m));
    if (!t->n_class) return r;
    struct val *names = val_list();
    for (int i = 0; i < t->n_class; i++) {
        struct val *c = val_at(val_get(m->desc, "classes"), (size_t)i);
        if (i < d->n_class) val_push(names, val_str(d->class_name[i]));
        else val_push(names, c ? val_copy(c) : val_int(i));
    }
    val_set(r, "classes", names);
    val_set(r, "confusion", tally_confusion(t));
    val_set(r, "table", tally_classes(t, t->n_class <= d->n_class ? d->class_name : NULL));
    return r;
}

struct judged { /* an evaluation of one model, and what it needs */
    struct dataset *fit; /* the data as the model takes them */
    struct loss_spec loss;
    struct precision pr;
    struct eval *v;
};

/* g: zeroed, to be released in any case. NULL: it failed. */
static struct eval *judged_open(
    struct judged *g, const struct eval_args *a, const struct model *m, struct dataset *d, const struct part *p, struct pool *pool, struct err *e) {
    const struct part *fitted = pick_fit_part(m, d, p, &g->fit, e);
    if (!fitted || loss_for(&g->loss, a->loss, d, e) < 0) return NULL;
    int64_t rows, tokens[LOADER_COLS];
    struct buf say = BUF_INIT;
    loader_limits(fitted, a->batch > 0 ? a->batch : 64, 0, false, &rows, tokens);
    if (precision_choose(&g->pr, a->precision, a->force_precision, m, fitted->col[0].type == COL_TOKENS ? tokens[0] : rows, e) < 0) return NULL;
    if (precision_say(&g->pr, a->precision, a->force_precision, &say)) log_write(LOG_INFO, "%s", say.data);
    buf_release(&say);
    struct eval_spec spec = {.model = m,
        .part = fitted,
        .loss = &g->loss,
        .pool = pool,
        .half = g->pr.half,
        .fp8 = g->pr.fp8,
        .batch = a->batch > 0 ? a->batch : 0,
        .probabilities = true,
        .guesses = true,
        .examples = true};
    return g->v = backend_of_setting(&spec.device, e) == 0 ? eval_new(&spec, e) : NULL;
}

static void judged_release(struct judged *g) {
    eval_free(g->v);
    if (g->fit) dataset_unref(g->fit);
    loss_release(&g->loss);
}

/* What the dashboard shows of it: with examples, and the confusion of many classes in less room. */
static void publish(struct run *run, const struct eval *v, const struct tally *t, const struct part *p, const struct val *report) {
    struct val *r = val_copy(report);
    val_unset(r, "confusion");
    examples_confusion(t, r);
    if (eval_examples(v)) examples_report(eval_examples(v), p, r);
    examples_publish(run, r);
}

/* The run of this process that trained the model, or whose checkpoint it is. */
static struct run *trained_by(struct runs *rs, const struct model *m) {
    if (m->run[0]) return runs_find(rs, m->run);
    const char *name = m->stored ? strrchr(m->stored, '/') : NULL;
    char *here = name && runs_dir(rs) ? io_join(runs_dir(rs), name + 1) : NULL;
    struct run *r = here && strcmp(here, m->stored) == 0 ? runs_find(rs, name + 1) : NULL;
    free(here);
    return r;
}

/* ---- two classes and a threshold ---- */

struct decision { /* how the positive class is told from the other one */
    struct threshold t;
    char from[128]; /* the part it was picked on; empty: it was given */
    struct tally counted;
};

/* On the validation part; of data that have none on that of the run which the model is of, else on the rows that are judged. */
static int pick(struct job *j, struct decision *c, const struct eval_args *a, const struct model *m, struct dataset *d, const struct eval *v, const char *split,
    struct pool *pool, struct err *e) {
    struct err none = {0};
    struct dataset *own = d->part[PART_VAL].n == 0 ? pick_data_of_run(m, &none) : NULL, *on = own && own->part[PART_VAL].n > 0 ? own : d;
    const struct part *val = &on->part[PART_VAL];
    if (val->n == 0 || strcmp(split, "val") == 0) {
        if (own) dataset_unref(own);
        snprintf(c->from, sizeof c->from, "%s", split);
        log_write(LOG_WARN, "the threshold is picked on the rows that it is judged by, which flatters it: load the data with val=N and judge another part");
        return threshold_pick(&c->t, eval_tally(v), split, e);
    }
    struct judged g = {0};
    struct eval *on_val = judged_open(&g, a, m, on, val, pool, e);
    int rc = on_val ? eval_run(on_val, ask, j, e) : -1;
    snprintf(c->from, sizeof c->from, on == own ? "val of %.100s" : "val", on->name);
    if (rc == 0) rc = threshold_pick(&c->t, eval_tally(on_val), "val", e);
    judged_release(&g);
    if (own) dataset_unref(own);
    return rc;
}

static int decide(struct job *j, struct decision *c, const struct eval_args *a, const struct model *m, struct dataset *d, const struct eval *v,
    const char *split, struct pool *pool, struct err *e) {
    if (threshold_class(&c->t, eval_tally(v)->n_class, d->n_class == 2 ? (const char *const *)d->class_name : NULL, e) < 0) return -1;
    if (!threshold_given(&c->t) && pick(j, c, a, m, d, v, split, pool, e) < 0) return -1;
    return threshold_tally(&c->t, eval_tally(v), &c->counted, e);
}

/* threshold, positive, threshold_from and threshold_for (where it was picked), cost (where costs were given). */
static void say_decision(const struct decision *c, struct val *r) {
    double cost = threshold_cost(&c->t, &c->counted);
    struct val *name = val_at(val_get(r, "classes"), (size_t)c->t.cls);
    struct buf b = BUF_INIT;
    val_set_num(r, "threshold", c->t.at);
    val_set(r, "positive", name ? val_copy(name) : val_int(c->t.cls));
    threshold_say(&c->t, &b);
    if (c->from[0]) val_set_str(r, "threshold_from", c->from), val_set_str(r, "threshold_for", b.data);
    if (!isnan(cost)) val_set_num(r, "cost", cost);
    buf_release(&b);
}

/* Of an evaluation that was run: the job's result, and what its run keeps. Scores by a threshold are not put beside those without. */
static void deliver(
    struct job *j, const struct model *m, const struct dataset *d, const struct part *p, const struct judged *g, const struct decision *by, const char *split) {
    const struct tally *t = by ? &by->counted : eval_tally(g->v);
    struct val *r = report_of(t, m, d, split, &g->pr);
    struct err kept = {0};
    struct run *own = trained_by(hub_runs(j->hub), m), *run = own ? own : runs_current(hub_runs(j->hub));
    if (by) say_decision(by, r);
    if (run) publish(run, g->v, t, p, r);
    bool keep = !by && strcmp(split, "train") != 0;
    if (own && keep) run_scores(own, split, r);
    if (!own && m->stored && keep && store_scores(m->stored, split, m->stored_step, r, &kept) != 0)
        log_write(LOG_WARN, "the evaluation is not kept with its run: %s", kept.text);
    job_result(j, r);
}

static int eval_job(struct job *j, const void *args, struct err *e) {
    const struct eval_args *a = args;
    const char *split = "";
    int part;
    struct decision c = {0};
    bool by = a->threshold && a->threshold->type != VAL_NIL;
    if (by && threshold_init(&c.t, a->threshold, e) < 0) return -1;
    struct model *m = pick_model(a->model, e); /* first: data is read as it wants it */
    struct dataset *d = m ? pick_data_for(a->data, m, &part, e) : NULL;
    const struct part *p = d ? pick_part(d, part >= 0 ? part : a->part, &split, e) : NULL;
    struct pool *pool = p ? make_pool(e) : NULL;
    struct judged g = {0};
    struct eval *v = pool ? judged_open(&g, a, m, d, p, pool, e) : NULL;
    int rc = v ? eval_run(v, ask, j, e) : -1;
    if (rc == 0 && by) rc = decide(j, &c, a, m, d, v, split, pool, e);
    if (rc == 0) deliver(j, m, d, p, &g, by ? &c : NULL, split);
    if (by) threshold_untally(&c.counted), threshold_release(&c.t);
    judged_release(&g);
    pool_free(pool);
    if (d) dataset_unref(d);
    return rc;
}

/* Counts of rows that only one of two lists of guesses has right. */
static void discordant(const struct part *p, const int32_t *a, const int32_t *b, int64_t *only_a, int64_t *only_b) {
    const int32_t *y = p->col[p->n_col - 1].data;
    *only_a = *only_b = 0;
    for (int64_t i = 0; i < p->n; i++) {
        *only_a += a[i] == y[i] && b[i] != y[i];
        *only_b += a[i] != y[i] && b[i] == y[i];
    }
}

/* One row: report, size, milliseconds of the pass; against the first model the paired exact McNemar test and the rows that flipped. */
static int compare_one(struct job *j, const struct eval_args *a, struct model *m, const struct val *given, struct dataset *d, const struct part *p,
    const char *split, struct pool *pool, struct val *rows, int32_t **first, struct err *e) {
    struct judged g = {0};
    struct eval *v = judged_open(&g, a, m, d, p, pool, e);
    double t = clock_now();
    int rc = v ? eval_run(v, ask, j, e) : -1;
    if (rc == 0) {
        struct val *r = report_of(eval_tally(v), m, d, split, &g.pr);
        const int32_t *guess = eval_guesses(v);
        val_unset(r, "confusion");
        val_unset(r, "table");
        val_unset(r, "classes");
        if (given->type == VAL_STR) val_set_str(r, "model", given->u.s.p); /* two runs of one kind of model */
        val_set_int(r, "bytes", (int64_t)m->bytes);
        val_set_num(r, "seconds", clock_now() - t);
        if (guess && !*first) {
            *first = X_NEW(int32_t, (size_t)p->n + 1);
            memcpy(*first, guess, (size_t)p->n * sizeof **first);
        } else if (guess && p->col[p->n_col - 1].type == COL_I32) {
            int64_t b, c;
            discordant(p, *first, guess, &b, &c);
            val_set_int(r, "lost", b);
            val_set_int(r, "won", c);
            val_set_num(r, "p_mcnemar", metric_mcnemar(b, c));
        }
        val_push(rows, r);
    }
    judged_release(&g);
    return rc;
}

static int compare_job(struct job *j, const void *args, struct err *e) {
    const struct eval_args *a = args;
    const char *split = "";
    int part, rc = 0;
    if (val_len(a->models) < 1) return err_code(e, ERR_USAGE, "compare needs models: hone.compare{ a, b, data = d.test }");
    struct model *m = pick_model(val_at(a->models, 0), e);
    struct dataset *d = m ? pick_data_for(a->data, m, &part, e) : NULL;
    const struct part *p = d ? pick_part(d, part >= 0 ? part : a->part, &split, e) : NULL;
    struct pool *pool = p ? make_pool(e) : NULL;
    struct val *rows = val_list();
    int32_t *first = NULL;
    if (!pool) rc = -1;
    for (size_t i = 0; rc == 0 && i < val_len(a->models); i++) {
        const struct val *given = val_at(a->models, i);
        if (i > 0) m = pick_model(given, e);
        rc = m ? compare_one(j, a, m, given, d, p, split, pool, rows, &first, e) : -1;
    }
    if (rc == 0) job_result(j, rows);
    else val_free(rows);
    free(first);
    pool_free(pool);
    if (d) dataset_unref(d);
    return rc;
}

#define DATA(flags)                                                                                                                             \
    {                                                                                                                                           \
        "data", "a data set or one of its parts; the test part of a whole set; if not given a run's own, else the newest", NULL, NULL, ARG_VAL, \
            offsetof(struct eval_args, data), flags, 0, 0, 0, NULL, SRC_DATA                                                                    \
    }
#define REST                                                                                                                                   \
    {"split", "which part", NULL, NULL, ARG_ENUM, offsetof(struct eval_args, part), 0, 0, 0, 0, part_choice},                                  \
        {"loss", "loss: a name or loss.NAME{..}; by the data if not given", NULL, NULL, ARG_VAL, offsetof(struct eval_args, loss)},            \
        {"precision", PRECISION_INFER_HELP, NULL, "fp32", ARG_ENUM, offsetof(struct eval_args, precision), 0, 0, 0, 0, precision_infer_names}, \
        {"force_precision", PRECISION_FORCE_HELP, NULL, "false", ARG_BOOL, offsetof(struct eval_args, force_precision)},                       \
        {"batch", "rows at once; chosen if not given", NULL, NULL, ARG_INT, offsetof(struct eval_args, batch), 0, 0, 1, 1e9}, {                \
        NULL                                                                                                                                   \
    }
static const struct arg eval_table[] = {
    {"model", "a model, the path of a saved one, or a run: its best checkpoint, else its last; the newest model if not given", NULL, NULL, ARG_VAL,
        offsetof(struct eval_args, model), ARG_POSITIONAL},
    DATA(ARG_POSITIONAL),
    {"threshold",
        "two classes: from which probability on the answer is the second one (or positive=NAME): a number, or the one that on the validation part has recall "
        "or "
        "precision as wanted or the least cost: {recall=0.95}, {precision=0.9}, {fp=1, fn=5}",
        NULL, NULL, ARG_VAL, offsetof(struct eval_args, threshold)},
    REST,
};
static const struct arg compare_table[] = {
    {"models", "models or paths", NULL, NULL, ARG_TABLE, offsetof(struct eval_args, models), ARG_POSITIONAL | ARG_REST},
    DATA(0),
    REST,
};

extern const struct cmd cmd_eval, cmd_compare;
const struct cmd cmd_eval = {
    {"eval", "metrics of a model on a part of a data set", "rep = hone.eval{ model = m, data = d.test }", eval_table, sizeof(struct eval_args)}, OWNER_ENGINE,
    CMD_WAIT | CMD_LINE, NULL, eval_job};
const struct cmd cmd_compare = {{"compare", "models side by side, with a paired test against the first", "print(hone.compare{ a, b, data = d.test })",
                                    compare_table, sizeof(struct eval_args)},
    OWNER_ENGINE, CMD_WAIT | CMD_LINE, NULL, compare_job};
