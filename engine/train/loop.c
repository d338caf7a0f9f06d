/* The training loop. One step is: boundary (the world may change things), next batch, step graph, numbers. Everything a step needs was made before
 * the first one. The order of things at a boundary is fixed, so a run and its edits replay to the same bits. */
#include "config.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/cpu/pool.h"
#include "engine/graph/backend.h"
#include "engine/graph/gpus.h"
#include "engine/train/parallel.h"
#include "engine/train/train.h"
#include "src/base/log.h"
#include "src/base/mem.h"
#include "src/base/thread.h"
#include "src/call/settings.h"

static int64_t steps_per_epoch(const struct train *t, int64_t rows) {
    int64_t n = (rows + t->a.batch - 1) / t->a.batch, tokens = 0, k = t->a.accum;
    if (t->a.batch_tokens <= 0) return (n + k - 1) / k;
    for (int64_t i = 0; i < t->part->n; i++) tokens += part_tokens(t->part, i);
    int64_t by_tokens = (int64_t)((double)tokens * ((double)rows / (double)t->part->n) / (double)t->a.batch_tokens) + 1;
    return ((by_tokens > n ? by_tokens : n) + k - 1) / k;
}

int64_t train_total_steps(const struct train *t) {
    if (t->a.steps > 0) return t->a.steps;
    int64_t left = t->a.epochs - t->epoch - 1;
    return t->n_step + (left < 0 ? 0 : steps_per_epoch(t, t->part->n - t->pos) + left * steps_per_epoch(t, t->part->n));
}

/* Rows of a product: tokens of a batch of texts. */
static int64_t product_rows(const struct train *t) {
    int64_t rows, tokens[LOADER_COLS];
    loader_limits(t->part, t->a.batch, t->a.batch_tokens, false, &rows, tokens);
    return t->ragged ? tokens[0] : rows;
}

int train_choose_precision(struct train *t, struct err *e) {
    struct buf say = BUF_INIT;
    int asked = t->a.precision;
    if (precision_choose(&t->precision, asked, t->a.force_precision, t->model, product_rows(t), e) < 0) return -1;
    if (precision_say(&t->precision, asked, t->a.force_precision, &say)) log_write(LOG_INFO, "%s", say.data);
    buf_release(&say);
    return 0;
}

/* While a device runs: the next batch goes up, if it is ready. */
static void next_goes_up(void *ctx) {
    struct train *t = ctx;
    const struct batch *b = t->loader ? loader_peek(t->loader) : NULL;
    if (b) step_load_ahead(t->step, t->part, b);
}

int train_build_step(struct train *t, struct err *e) {
    struct step_spec ss = {.model = t->model,
        .loss = &t->loss,
        .optim = t->optim,
        .device = t->device,
        .pool = t->pool,
        .seed = (uint64_t)t->a.seed,
        .accum = t->a.accum > 1 || t->par,
        .dense = t->par && t->device,
        .recompute = (enum recompute)t->a.recompute,
        .mixed = t->a.mixup > 0,
        .half = t->precision.half,
        .products = &t->products};
    struct loader_spec ls = {.part = t->part,
        .seed = (uint64_t)t->a.seed,
        .shuffle = t->a.shuffle,
        .batch = t->a.batch,
        .batch_tokens = t->a.batch_tokens,
        .augment = {t->a.crop, t->a.cutout, t->a.mixup, t->a.flip},
        .balanced = t->a.balanced,
        .bucket = t->a.buckets,
        .block = t->block};
    loader_limits(t->part, t->a.batch, t->a.batch_tokens, t->a.balanced, &ss.rows, ss.tokens);
    struct step *s = step_new(&ss, e);
    if (!s) return -1;
    if (step_check(s, t->part, &t->loss, e) < 0 || step_fits(s, t->part, &t->loss, e) < 0) {
        step_free(s);
        optimiser_settle(t->optim, false);
        return -1;
    }
    for (int i = 0; i < s->io.n_in; i++) ls.weights |= s->io.in[i].weight >= 0;
    struct loader *l = loader_new(&ls, t->epoch, t->pos, e);
    if (!l) {
        step_free(s);
        optimiser_settle(t->optim, false);
        return -1;
    }
    optimiser_settle(t->optim, true);
    train_spent_plan(t);
    step_free(t->step);
    loader_free(t->loader);
    t->step = s;
    t->loader = l;
    if (t->device && !t->par) plan_meanwhile(s->plan, next_goes_up, t); /* ranks leave batches out */
    t->planned_batch = t->a.batch;
    if (!(t->loss_unit > 0))
        t->loss_unit = exp2(round(log2((double)(s->target >= 0 ? dim_value(graph_tensor(s->g, s->target)->dim[0], &s->max) * t->a.accum : 1))));
    return 0;
}

/* ---- evaluation ---- */

static bool stop_eval(void *ctx, int64_t done, int64_t total) {
    struct train *t = ctx;
    run_progress(t->run, done, total, t->n_step, train_total_steps(t), (double)t->epoch, (double)t->a.epochs);
    int how = job_boundary(t->j);
    return how == STOP_NOW || how == STOP_DISCARD || how == STOP_PREEMPT;
}

/* The numbers of an eval event; the whole report goes into the run record. */
static struct val *short_values(const struct train *t) {
    static const char *const keep[] = {"loss", "acc", "acc_lo", "acc_hi", "top5", "ler", "f1_macro", "mse", "mae", "rmse", "r2"};
    const struct tally *tally = eval_tally(t->eval);
    struct val *all = tally_values_val(tally), *v = val_table();
    for (size_t i = 0; i < LEN(keep); i++)
        if (val_get(all, keep[i])) val_set(v, keep[i], val_copy(val_get(all, keep[i])));
    if (val_get(all, t->metric->name)) val_set(v, t->metric->name, val_copy(val_get(all, t->metric->name)));
    val_set_str(all, "split", t->val ? "val" : "train");
    val_set_str(all, "data", t->data->name);
    val_set_int(all, "step", t->n_step);
    if (tally->confusion) {
        bool named = tally->n_class <= t->data->n_class;
        struct val *names = val_list();
        for (int i = 0; i < tally->n_class; i++) val_push(names, named ? val_str(t->data->class_name[i]) : val_int(i));
        val_set(all, "classes", names);
        examples_confusion(tally, all);
        val_set(all, "table", tally_classes(tally, named ? t->data->class_name : NULL));
    }
    if (eval_examples(t->eval)) examples_report(eval_examples(t->eval), t->val ? t->val : t->part, all);
    examples_publish(t->run, all);
    return v;
}

int train_evaluate(struct train *t, struct val **values, struct err *e) {
    const struct part *p = t->val ? t->val : t->part;
    struct eval_spec spec = {.model = t->model,
        .part = p,
        .loss = &t->loss,
        .device = t->device,
        .pool = t->pool,
        .batch_tokens = t->a.batch_tokens,
        .half = t->precision.half,
        .probabilities = t->metric->of & METRIC_PROBABILITIES,
        .examples = true};
    spec.products = &t->products;
    if (!t->eval && !(t->eval = eval_new(&spec, e))) return -1;
    run_set_state(t->run, RUN_EVALUATING);
    const struct job_ops *ops = t->j->ops;
    t->j->ops = NULL; /* edits wait for the boundary between two steps */
    eval_weights(t->eval, train_weights(t));
    int rc = train_average_ready(t, stop_eval, e);
    run_phase(t->run, t->val ? "evaluating val" : "evaluating train");
    double from = clock_now();
    if (rc == 0) rc = eval_run(t->eval, stop_eval, t, e);
    t->j->ops = ops;
    t->spent.eval += clock_now() - from;
    run_set_state(t->run, RUN_TRAINING);
    run_phase(t->run, "training");
    if (rc < 0) return -1;
    *values = short_values(t);
    return 0;
}

static void emit_eval(struct train *t, const struct val *values) {
    struct val *ev = val_table();
    val_set_str(ev, "split", t->val ? "val" : "train");
    for (size_t i = 0; i < values->u.t.n_field; i++) val_set(ev, values->u.t.field[i].name, val_copy(values->u.t.field[i].v));
    run_event(t->run, "eval", t->n_step, ev);
}

static bool judge(struct train *t, const struct val *values) {
    if (!train_judge(t, values)) return false;
    mirror_read(train_weights(t));
    if (t->a.keep == 1 && t->best_data) memcpy(t->best_data, train_weights(t), t->model->bytes);
    return true;
}

/* Evaluates when there is something to evaluate on; fields of the epoch event come out with prefix val_. */
static int evaluate_now(struct train *t, bool end_of_epoch, bool *best, struct err *e) {
    struct val *values = NULL, *ev = val_table();
    double epoch = (double)t->epoch + (double)t->pos / (double)t->part->n;
    *best = false;
    if (t->val ? train_evaluate(t, &values, e) < 0 : train_average_ready(t, stop_eval, e) < 0) {
        val_free(ev);
        return -1;
    }
    val_set_num(ev, "epoch", epoch);
    if (t->sum_weight > 0) val_set_num(ev, "loss", t->sum_loss / t->sum_weight);
    if (t->sum_weight > 0 && t->loss.row->labels) val_set_num(ev, "acc", t->sum_hits / t->sum_weight);
    if (!values) { /* without a validation part the training numbers are judged */
        values = val_table();
        for (size_t i = 1; i < ev->u.t.n_field; i++) val_set(values, ev->u.t.field[i].name, val_copy(ev->u.t.field[i].v));
        *best = judge(t, values);
    } else {
        *best = judge(t, values);
        val_free(t->last_values);
        t->last_values = val_table();
        for (size_t i = 0; i < values->u.t.n_field; i++) {
            char name[64];
            snprintf(name, sizeof name, "val_%s", values->u.t.field[i].name);
            val_set(t->last_values, name, val_copy(values->u.t.field[i].v));
        }
        val_set(ev, "val_loss", val_num(val_get_num(values, "loss", NAN)));
        if (strcmp(t->metric->name, "loss") != 0) {
            char name[64];
            snprintf(name, sizeof name, "val_%s", t->metric->name);
            val_set(ev, name, val_num(val_get_num(values, t->metric->name, NAN)));
        }
    }
    if (end_of_epoch) run_event(t->run, "epoch", t->n_step, ev);
    else val_free(ev);
    if (t->val) emit_eval(t, values);
    val_free(values);
    t->last_eval = t->n_step;
    return 0;
}

/* ---- checkpoints ---- */

static void report_save(struct train *t, const struct ckpt_done *done, bool always) {
    const struct ckpt_done d = *done;
    if (d.ok) {
        struct val *v = val_table();
        t->unsaved = 0;
        t->saved_step = d.step;
        val_set_str(v, "path", d.text);
        val_set_int(v, "bytes", d.bytes);
        val_set_num(v, "seconds", floor(d.seconds * 1e4) / 1e4);
        val_set_bool(v, "best", d.best);
        run_event(t->run, "checkpoint", d.step, v);
        return;
    }
    t->unsaved++;
    if (!runs_may_complain(hub_runs(t->j->hub)) && !always) return;
    struct buf b = BUF_INIT;
    buf_addf(&b, "the checkpoint of step %" PRId64 " could not be saved: %s; ", d.step, d.text);
    if (!always) buf_adds(&b, "training goes on, the next one is tried");
    else if (t->saved_step >= 0) buf_addf(&b, "the newest on disk is that of step %" PRId64, t->saved_step);
    else buf_adds(&b, "none is on disk");
    if (t->unsaved > 1) buf_addf(&b, " (%" PRId64 " could not be saved one after another)", t->unsaved);
    run_say(t->run, "notice", d.step, "error", b.data);
    buf_release(&b);
}

/* always: the last ones, also where another one was said a moment ago. */
static void report_saves(struct train *t, bool always) {
    struct ckpt_done d;
    while (t->writer && ckpt_writer_done(t->writer, &d)) report_save(t, &d, always);
}

int train_checkpoint(struct train *t, bool best, struct err *e) {
    if (!t->writer) return 0;
    report_saves(t, false);
    t->last_ckpt = t->n_step;
    double from = clock_now();
    int rc = ckpt_writer_put(
        t->writer, t->model, t->optim, t->average && t->average->n > 0 ? average_read(t->average) : NULL, train_state(t), t->n_step, best, e);
    t->spent.save += clock_now() - from;
    return rc;
}

/* False: what the run ends with is not on disk. */
static bool save_last(struct train *t) {
    struct err e = {0};
    if (!t->writer) return true;
    run_phase(t->run, "saving");
    if ((t->last_ckpt != t->n_step || t->last_ckpt < 0) && train_checkpoint(t, false, &e) < 0) log_write(LOG_ERROR, "%s", e.text);
    ckpt_writer_wait(t->writer);
    report_saves(t, true);
    return t->saved_step == t->n_step;
}

/* ---- a step ---- */

static void rates(struct train *t, const struct group *g, double now) {
    t->rows_rate += (double)g->rows;
    t->tokens_rate += (double)g->tokens;
    double dt = now - t->t_rate;
    if (dt < 0.25 && t->examples_s > 0) return;
    if (dt <= 0) return;
    train_spent(t, false);
    t->examples_s = t->rows_rate / dt;
    t->tokens_s = t->tokens_rate / dt;
    t->rows_rate = t->tokens_rate = 0;
    t->t_rate = now;
}

/* What the device does, where it was read since the last step: into the same row of numbers. */
static size_t publish_device(struct train *t, const char **use, double *v) {
    static const char *const names[] = {"gpu_use", "gpu_gib", "gpu_watts", "gpu_celsius", "gpu_mhz"}; /* ORDER struct gpu_numbers */
    struct gpu_numbers g;
    size_t n = 0;
    if (!t->device || !gpus_since(t->device->info.bus, &t->gpu_seen, &g)) return 0;
    const double all[] = {g.use, g.memory_gib, g.watts, g.celsius, g.mhz};
    for (size_t i = 0; i < LEN(all); i++)
        if (isfinite(all[i])) use[n] = names[i], v[n++] = all[i];
    return n;
}

static void publish(struct train *t, const struct step_result *r, double lr, double seconds) {
    static const char *const names[] = {"loss", "acc", "lr", "grad_norm", "examples_s", "step_ms", "tokens_s", "loss_scale"};
    bool labels = t->loss.row->labels;
    double all[] = {r->loss, r->weight > 0 ? r->hits / r->weight : NAN, lr, r->grad_norm, t->examples_s, seconds * 1e3, t->tokens_s, t->a.loss_scale},
           v[LEN(all) + 5];
    const char *use[LEN(v)];
    size_t n = 0;
    for (size_t i = 0; i < LEN(all); i++) {
        if ((i == 1 && !labels) || (i == 6 && !t->ragged) || (i == 7 && t->precision.half != DT_F16)) continue;
        use[n] = names[i];
        v[n++] = all[i];
    }
    n += publish_device(t, use + n, v + n);
    double epoch = (double)t->epoch + (double)t->pos / (double)t->part->n;
    run_metrics(t->run, t->n_step, epoch, use, v, n);
    run_progress(t->run, t->pos, t->part->n, t->n_step, train_total_steps(t), epoch, (double)t->a.epochs);
}

static int one_step(struct train *t, struct err *e) {
    bool scaled = t->precision.half == DT_F16;
    train_lr_step(t);
    double start = clock_now(), lr = train_lr(t);
    struct group g;
    struct step_result r;
    const struct batch *b;
    if (train_group(t, lr, &g, &r, &b, e) < 0) return -1;
    if (scaled) scaler_after(&t->a.loss_scale, &t->good, r.ok);
    if (!r.ok && (scaled && isfinite(r.loss) ? train_overflow(t, e) : train_not_finite(t, b, &g, &r, e)) < 0) return -1;
    if (r.ok) {
        optimiser_applied(t->optim, lr);
        t->model->version++;
        t->bad_row = 0;
        t->sum_loss += r.loss * r.weight;
        t->sum_weight += r.weight;
        if (!isnan(r.hits)) t->sum_hits += r.hits;
    }
    t->j->step = ++t->n_step;
    t->pos = g.start + g.rows;
    double now = clock_now();
    t->spent.step += now - start;
    t->spent.steps++;
    rates(t, &g, now);
    publish(t, &r, lr, now - start);
    t->due = g.last ? DUE_EPOCH : t->a.eval_every > 0 && t->n_step % t->a.eval_every == 0 ? DUE_EVAL : DUE_NOTHING;
    if (g.last) {
        t->epoch++;
        t->pos = 0;
    }
    return r.ok ? train_average_step(t, g.last, e) : 0;
}

/* Evaluation and checkpoints that are due after a step. What is due is part of the state, so a run that is cut off in an evaluation does it again. */
static int after_step(struct train *t, struct err *e) {
    bool best = false, epoch_end = t->due == DUE_EPOCH, asked = t->a.eval_every > 0 ? t->due != DUE_NOTHING && t->n_step % t->a.eval_every == 0 : epoch_end;
    if (t->due != DUE_NOTHING && evaluate_now(t, epoch_end, &best, e) < 0) return -1;
    if (epoch_end) t->sum_loss = t->sum_weight = t->sum_hits = 0;
    t->due = DUE_NOTHING;
    bool save = t->a.ckpt_every > 0 ? t->n_step % t->a.ckpt_every == 0 : epoch_end;
    if ((save || best) && train_checkpoint(t, best, e) < 0) {
        log_write(LOG_ERROR, "%s", e->text);
        err_clear(e);
    }
    report_saves(t, false);
    if (t->a.look_every > 0 && t->n_step % t->a.look_every == 0 && train_look(t, e) < 0) {
        log_write(LOG_WARN, "%s", e->text);
        err_clear(e);
    }
    if (t->a.patience > 0 && asked && t->waited >= t->a.patience) {
        struct buf b = BUF_INIT;
        train_say_early(t, &b);
        run_say(t->run, "notice", t->n_step, "info", b.data);
        buf_release(&b);
        return 1;
    }
    return epoch_end ? 2 : 0;
}

static bool finished(const struct train *t) { return t->a.steps > 0 ? t->n_step >= t->a.steps : t->epoch >= t->a.epochs; }

/* 0: the planned end; -1: error or stop. */
static int loop(struct train *t, struct err *e) {
    bool after_epoch = false;
    if (t->due != DUE_NOTHING && after_step(t, e) < 0) return -1;
    while (!finished(t)) {
        train_edits_due(t);
        int how = job_boundary(t->j);
        if (t->j->unanswered) return err_code(e, ERR_GOAL, "%s; nobody here can resume a pause, so it stops: the state before it is saved", t->refused);
        if (how == STOP_AFTER_EPOCH) after_epoch = true;
        else if (how != STOP_NONE)
            return how == STOP_PREEMPT ? err_code(e, ERR_PREEMPTED, "preempted at step %" PRId64 "; start again to go on", t->n_step)
                                       : err_code(e, ERR_STOPPED, "stopped at step %" PRId64, t->n_step);
        if (finished(t)) break;
        if (one_step(t, e) < 0) return -1;
        int rc = after_step(t, e);
        if (rc < 0) return -1;
        if (rc == 1) return 0;
        if (rc == 2 && after_epoch && !finished(t)) return err_code(e, ERR_STOPPED, "stopped after epoch %" PRId64, t->epoch);
    }
    return 0;
}

/* ---- begin and end ---- */

/* What the run will take must be there: parameters and optimiser exist already, the plan has been granted; the system must not be about to swap. */
static int check_memory(const struct train *t, struct err *e) {
    long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);
    double need = (double)step_memory(t->step, NULL) + (t->average ? (double)t->model->bytes : 0) +
                  (t->writer ? (double)t->model->bytes + (double)t->optim->l.bytes : 0),
           have = (double)pages * (double)size;
    if (pages <= 0 || need < have) return 0;
    return err_set(e, "training needs %.0f MiB, this machine has %.0f MiB: use a smaller batch than %" PRId64 " or a smaller model", need / 1048576,
        have / 1048576, t->a.batch);
}

static int setup(struct train *t, struct err *e) {
    struct settings set;
    model_ready_training(t->model);
    settings_get(&set);
    int threads = set.ranks > 1 ? ((int)set.threads > 0 ? (int)set.threads : thread_cores()) / (int)set.ranks : (int)set.threads;
    if (set.ranks > 1 && threads < 1) threads = 1;
    int64_t seed = set.seed, every = set.log_every;
    args_release(&settings_kind, &set);
    if (t->a.seed == ARG_NONE_INT) t->a.seed = seed;
    if (t->a.epochs <= 0 && t->a.steps <= 0) t->a.epochs = 3;
    run_log_every(t->run, every > 0 ? every : 10);
    if (t->part->n == 0) return err_set(e, "data set %s has no training part", t->data->name);
    if (loss_for(&t->loss, t->a.loss, t->data, e) < 0) return -1;
    if (t->loss.row->labels || t->loss.row->sequence) model_name_classes(t->model, t->data);
    if (!(t->optim = optimiser_new(t->a.optim, e)) || !(t->sched = sched_new(t->a.sched, e))) return -1;
    if (!isnan(t->a.lr)) optimiser_common(t->optim)->lr = t->a.lr;
    if (!(t->pool = pool_new(threads, e)) || backend_of_setting(&t->device, e) < 0 || parallel_start(t, e) < 0) return -1;
    t->block = t->a.batch;
    if (train_metric(t, e) < 0) return -1;
    for (int i = 0; i < t->part->n_col; i++) t->ragged |= t->part->col[i].type == COL_TOKENS;
    if (train_edits_start(t, e) < 0 || train_lr_start(t, e) < 0 || train_average_start(t, e) < 0 || train_freeze(t, t->a.freeze, e) < 0) return -1;
    if (t->a.keep == 1 && !(t->best_data = mem_try(t->model->bytes, 1, "the best weights", e))) return -1;
    const char *dir = run_dir(t->run);
    if (dir && !(t->writer = ckpt_writer_new(dir, e))) return -1;
    return 0;
}

void train_resume_path(struct hub *h, const struct val *resume, char *out, size_t size) {
    const char *text = resume->type == VAL_STR ? resume->u.s.p : "", *dir = runs_dir(hub_runs(h));
    struct job *j = resume->type == VAL_HANDLE ? hub_job(h, resume->u.h) : NULL;
    struct run *r = j ? hub_job_run(j) : NULL;
    if (r && run_dir(r)) snprintf(out, size, "%s", run_dir(r));
    else if (dir && *text && !strchr(text, '/')) snprintf(out, size, "%s/%s", dir, text); /* a run's name */
    else snprintf(out, size, "%s", text);
}

static int begin(struct train *t, struct err *e) {
    char path[4096];
    run_set_state(t->run, RUN_PREPARING);
    run_phase(t->run, "preparing");
    bool again = t->a.resume && t->a.resume->type != VAL_NIL; /* a checkpoint says what was chosen */
    t->products.pinned = again;
    if (setup(t, e) < 0 || (!again && train_choose_precision(t, e) < 0) || train_build_step(t, e) < 0 || check_memory(t, e) < 0) return -1;
    if (again) {
        train_resume_path(t->j->hub, t->a.resume, path, sizeof path);
        if (train_resume(t, path, e) < 0) return err_wrap(e, "cannot resume from %s", path);
    }
    t->products.pinned = true; /* evaluation and live edits take what there is: a resumed run does the same */
    train_start_event(t);
    train_foresee(t);
    t->j->step = t->n_step;
    if (t->n_step > 0)
        run_progress(t->run, t->pos, t->part->n, t->n_step, train_total_steps(t), (double)t->epoch + (double)t->pos / (double)t->part->n, (double)t->a.epochs);
    t->last_ckpt = -1;
    t->t_rate = clock_now();
    run_set_state(t->run, RUN_TRAINING);
    run_phase(t->run, "training");
    return 0;
}

static void finish(struct train *t, int rc, const struct err *e) {
    int stop = atomic_load(&t->j->stop);
    t->j->ops = NULL;
    struct err why = {0};
    bool lost = t->device && t->device->lost, kept = true;
    if (t->step && !lost && train_average_ready(t, NULL, &why) < 0) log_write(LOG_ERROR, "%s", why.text);
    if (t->step && stop != STOP_DISCARD && (rc == 0 || e->code == ERR_STOPPED || e->code == ERR_PREEMPTED)) kept = save_last(t);
    else if (t->writer) ckpt_writer_wait(t->writer), report_saves(t, true); /* what was begun, such as the state before a step that was refused */
    bool best = rc == 0 && t->a.keep == 1 && t->best_data && t->best_step >= 0;
    if (t->average && t->average->n > 0 && !best && t->step) {
        memcpy(t->model->data, average_read(t->average), t->model->bytes);
        mirror_wrote(t->model->data);
        t->model->version++;
    }
    if (best) {
        memcpy(t->model->data, t->best_data, t->model->bytes);
        mirror_wrote(t->model->data);
        t->model->version++;
    }
    train_spent(t, true);
    struct val *out = val_table(), *ev = val_table(), *values = t->last_values ? val_copy(t->last_values) : val_table();
    if (t->best_step >= 0) {
        char name[64];
        snprintf(name, sizeof name, "best_%s%s", t->val ? "val_" : "", t->metric->name);
        val_set_num(out, name, t->best);
        val_set_int(out, "best_step", t->best_step);
    }
    if (!kept) val_set_bool(out, "unsaved", true);
    for (size_t i = 0; i < values->u.t.n_field; i++) val_set(out, values->u.t.field[i].name, val_copy(values->u.t.field[i].v));
    job_result(t->j, out);
    if (rc == 0 && values->u.t.n_field) {
        val_set(ev, "values", values);
        run_event(t->run, "result", t->n_step, ev);
    } else {
        val_free(values);
        val_free(ev);
    }
    if (rc == 0) run_end(t->run, RUN_DONE, 0);
    else if (e->code == ERR_PREEMPTED) run_end(t->run, RUN_STOPPED, 75);
    else if (e->code == ERR_STOPPED) run_end(t->run, RUN_STOPPED, 3);
}

/* The device is lost and with it what it computed since the last checkpoint: which one that is. */
static void name_checkpoint(const struct train *t, struct err *e) {
    if (t->saved_step >= 0)
        err_set(e, "%.800s; steps %" PRId64 " to %" PRId64 " are lost, the checkpoint of step %" PRId64 " is there: resume = \"%s\"", e->text,
            t->saved_step + 1, t->n_step, t->saved_step, run_name(t->run));
    else err_set(e, "%.800s; %s", e->text, t->writer ? "this run had no checkpoint yet" : "this run kept no checkpoints");
}

/* Of a data set that is a path the file's name without its ending. */
static struct run *new_run(struct runs *rs, const char *name, struct err *e) {
    const char *base = strrchr(name, '/');
    char *prefix = mem_str(base && base[1] ? base + 1 : name), *dot = strchr(prefix, '.');
    if (dot && dot > prefix) *dot = '\0';
    struct run *r = run_new(rs, prefix, e);
    free(prefix);
    return r;
}

int train_run(struct job *j, const struct train_args *a, struct model *m, struct dataset *d, struct err *e) {
    struct run *r = a->name ? run_new(hub_runs(j->hub), a->name, e) : new_run(hub_runs(j->hub), d->name, e);
    if (!r) return -1;
    struct train *t = X_NEW(struct train, 1);
    *t = (struct train){.j = j,
        .run = r,
        .a = *a,
        .model = m,
        .data = d,
        .part = &d->part[PART_TRAIN],
        .val = d->part[PART_VAL].n > 0 ? &d->part[PART_VAL] : NULL,
        .lr_scale = 1,
        .best_step = -1,
        .saved_step = -1,
        .last_ckpt = -1,
        .last_eval = -1};
    snprintf(m->run, sizeof m->run, "%s", run_name(t->run));
    j->run = t->run;
    j->data = t;
    int rc = begin(t, e);
    if (rc == 0) {
        j->ops = &train_ops;
        rc = loop(t, e);
    }
    if (rc < 0 && e->code == ERR_STOPPED && atomic_load(&j->stop) == STOP_PREEMPT) e->code = ERR_PREEMPTED; /* in an evaluation */
    finish(t, rc, e);
    if (rc < 0 && t->device && t->device->lost && e->code == ERR_FAIL) name_checkpoint(t, e);
    j->data = NULL;
    train_freeze_end(t);
    ckpt_writer_free(t->writer);
    loader_free(t->loader);
    eval_free(t->eval);
    average_free(t->average);
    step_free(t->step);
    parallel_stop(t);
    optimiser_free(t->optim);
    sched_free(t->sched);
    loss_release(&t->loss);
    pool_free(t->pool);
    val_free(t->last_values);
    val_free(t->histograms);
    free(t->best_data);
    free(t);
    return rc;
}
