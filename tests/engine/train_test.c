/* The training job through the hub: same bits at any number of threads, exact resume after an end, a stop and a kill at every fault point of a save, live
 * edits, a loss that is not finite, early stopping, no allocation in a step. Data is made here. */
#include "config.h"

#include <dirent.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/cpu/pool.h"
#include "tests/engine/allocations.h"
#include "tests/engine/train_fix.h"

static void threads(void) {
    char first[65], hex[65];
    bool same = true;
    for (int n = 1; n <= 4; n++) {
        struct err e;
        setting("threads", val_int(n));
        struct handle d = objects_add_data(make_data(200, 40, -1, 0)), m = make_model(d, false);
        struct val *r = train(train_args(m, d, 2), &e);
        if (!r) printf("# %s\n", e.text);
        sum_of(m, n == 1 ? first : hex);
        if (n > 1) same = same && r && strcmp(first, hex) == 0;
        val_free(r);
    }
    tap_ok(same, "1, 2, 3 and 4 threads give the same weights: %.16s", first);
    setting("threads", val_int(2));
}

/* ---- resume ---- */

static bool averaged; /* the runs of whole and of children that are killed: with averaged weights and two batches a step */
static struct val *run_args(struct handle m, struct handle d) {
    struct val *a = train_args(m, d, 4);
    if (averaged) val_set_num(a, "ema", 0.9), val_set_int(a, "accum", 2);
    return a;
}

static void whole(char hex[65], struct handle *d) {
    struct err e;
    *d = objects_add_data(make_data(200, 40, -1, 0));
    struct handle m = make_model(*d, false);
    struct val *r = train(run_args(m, *d), &e);
    if (!r) printf("# %s\n", e.text);
    val_free(r);
    sum_of(m, hex);
}

static void resume_at(int64_t step, const char *want, struct handle d) {
    struct err e;
    char hex[65];
    struct handle m = make_model(d, false);
    struct val *a = train_args(m, d, 4), *r;
    val_set_int(a, "steps", step); /* the schedule does not look at the length of the run */
    r = train(a, &e);
    const char *name = r ? val_get_str(r, "run", "?") : "?";
    struct handle m2 = make_model(d, false);
    struct val *b = train_args(m2, d, 4), *r2;
    val_set_str(b, "resume", name);
    val_set_int(b, "batch", 64); /* what decides the bits comes from the checkpoint */
    r2 = train(b, &e);
    sum_of(m2, hex);
    tap_ok(r2 && strcmp(hex, want) == 0, "ended at step %d and resumed: the same weights %s", (int)step, r2 ? "" : e.text);
    val_free(r);
    val_free(r2);
}

static char *newest_run(void) {
    DIR *dp = opendir(dir);
    struct dirent *f;
    char best[256] = "";
    while (dp && (f = readdir(dp)))
        if (strncmp(f->d_name, "killed", 6) == 0 && strcmp(f->d_name, best) > 0) snprintf(best, sizeof best, "%s", f->d_name);
    if (dp) closedir(dp);
    return mem_str(best);
}

/* The run of a child, which dies in a save. */
static int child(void) {
    struct err e = {0};
    settings_init();
    log_set_sink(quiet, NULL);
    setting("threads", val_int(1));
    if (engine_init(&e) < 0) return 1;
    open_hone();
    struct handle d = objects_add_data(make_data(200, 40, -1, 0)), m = make_model(d, false);
    struct val *a = run_args(m, d);
    val_set_int(a, "ckpt_every", 5);
    val_set_str(a, "name", "killed");
    train(a, &e);
    return 7;
}

/* A child (this program again, as fault points are read once a process) trains and dies; then we go on from what is there. */
static __attribute__((unused)) void kill_at(const char *point, int hit, const char *want) {
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        char fault[96];
        snprintf(fault, sizeof fault, "%s:%d:kill", point, hit);
        setenv("HONE_FAULT", fault, 1);
        execl("/proc/self/exe", "train_test", averaged ? "averaged" : "child", dir, (char *)NULL);
        _exit(8);
    }
    int status = 0;
    waitpid(pid, &status, 0);
    if (!WIFSIGNALED(status)) {
        tap_ok(false, "%s hit %d did not kill", point, hit);
        return;
    }
    struct err e;
    char hex[65], *name = newest_run();
    open_hone();
    struct handle d = objects_add_data(make_data(200, 40, -1, 0)), m = make_model(d, false);
    struct val *a = train_args(m, d, 4);
    val_set_str(a, "resume", name);
    struct val *r = train(a, &e);
    sum_of(m, hex);
    tap_ok(r && strcmp(hex, want) == 0, "t.E4: killed%s at %s, pass %d, resumed from %s: the same weights %s", averaged ? " with averaged weights" : "", point,
        hit, name, r ? "" : e.text);
    val_free(r);
    close_hone();
    char *path = io_join(dir, name);
    io_remove_tree(path, NULL);
    free(path);
    free(name);
}

/* ---- live edits ---- */

static void edits(void) {
    struct err e;
    struct seen s = {0};
    uint64_t from = runs_next_event(rs), lost;
    struct handle d = objects_add_data(make_data(4000, 0, -1, 0)), m = make_model(d, false);
    struct val *a = train_args(m, d, 200);
    val_unset(a, "sched");
    val_set_str(a, "name", "edits");
    struct val *run = call("train", a, &e), *p = val_table();
    val_set(p, "run", val_copy(run));
    val_free(call("pause", p, &e));
    tap_ok(wait_state(RUN_PAUSED), "the run pauses");
    struct run_now now;
    run_now(runs_current(rs), &now);
    int64_t paused_at = now.step;
    static const struct {
        const char *name;
        double v;
    } set[] = {{"lr", 0.005}, {"batch", 80}, {"dropout1.p", 0.1}, {"weight_decay", 0.01}, {"label_smoothing", 0.05}, {"clip_norm", 0.7}, {"beta1", 0.8}};
    bool all = true;
    for (size_t i = 0; i < LEN(set); i++) {
        struct val *ok = call("set", set_args(set[i].name, val_num(set[i].v)), &e);
        if (!ok) printf("# %s: %s\n", set[i].name, e.text);
        val_free(ok);
        all = all && fabs(get_number(set[i].name) - set[i].v) < 1e-12;
    }
    tap_ok(all, "seven live arguments are set and read back while the run is paused");
    struct val *bad = call("set", set_args("lr", val_num(NAN)), &e);
    tap_ok(!bad, "a learning rate that is not finite is refused: %s", e.text);
    p = val_table();
    val_set(p, "run", val_copy(run));
    val_free(call("resume", p, &e));
    clock_sleep(0.3);
    p = val_table();
    val_set(p, "run", val_copy(run));
    val_set_str(p, "after", "step");
    val_free(call("stop", p, &e));
    p = val_table();
    val_set(p, "run", run);
    struct val *r = call("wait", p, &e);
    s.step = paused_at;
    runs_events(rs, from, see, &s, &lost);
    tap_ok(r && strcmp(val_get_str(r, "state", ""), "stopped") == 0, "stop ends the run as stopped");
    tap_ok(s.edits == (int)LEN(set) && s.step_ok, "each edit left an event that carries its step (%d)", s.edits);
    tap_near(s.last_lr, 0.005, 1e-12, "the steps after it use the edited learning rate");
    val_free(r);
}

/* ---- something is not finite ---- */

static bool finite_model(struct handle h) {
    struct err e = {0};
    struct model *m = objects_model(h, &e);
    for (size_t i = 0; m && i < m->bytes / sizeof(float); i++)
        if (!isfinite(m->data[i])) return false;
    return m != NULL;
}

static void nonfinite(void) {
    static const float bad[] = {NAN, INFINITY, 1e30f};
    static const char *const first[] = {"input x", "input x", "exp1"};
    struct err e;
    uint64_t lost;
    setting("nonfinite", val_str("skip"));
    for (int i = 0; i < 3; i++) {
        struct seen s = {0};
        uint64_t from = runs_next_event(rs);
        struct handle d = objects_add_data(make_data(100, 0, 37, bad[i])), m = make_model(d, i == 2);
        struct val *r = train(train_args(m, d, 2), &e);
        runs_events(rs, from, see, &s, &lost);
        tap_ok(r && s.alerts == 2 && strcmp(s.layer, first[i]) == 0 && finite_model(m),
            "%g in a row: refused once an epoch, first in \"%s\", weights stay finite", (double)bad[i], s.layer);
        val_free(r);
    }
    setting("nonfinite", val_str("stop"));
    struct handle d = objects_add_data(make_data(100, 0, 37, NAN)), m = make_model(d, false);
    struct val *r = train(train_args(m, d, 2), &e);
    tap_ok(!r && e.code == ERR_GOAL, "policy stop ends with the code of a missed goal: %s", e.text);
    val_free(r);
    setting("nonfinite", val_str("pause"));
    m = make_model(d, false);
    struct val *run = call("train", train_args(m, d, 1), &e);
    tap_ok(wait_state(RUN_PAUSED), "policy pause pauses");
    struct val *p = val_table();
    val_set(p, "run", val_copy(run));
    val_free(call("resume", p, &e));
    p = val_table();
    val_set(p, "run", run);
    r = call("wait", p, &e);
    tap_ok(r && strcmp(val_get_str(r, "state", ""), "done") == 0, "and goes on with the next batch when resumed");
    val_free(r);
}

/* A weight that is no number refuses every step: it is named, the first refusal alone is saved, and the hundredth ends the run. */
static void refused(void) {
    struct err e;
    uint64_t lost, from = runs_next_event(rs);
    struct seen s = {0};
    setting("nonfinite", val_str("skip"));
    struct handle d = objects_add_data(make_data(100, 0, -1, 0)), h = make_model(d, false);
    struct model *m = objects_model(h, &e);
    m->data[m->param[1].offset / sizeof(float)] = NAN;
    struct val *r = train(train_args(h, d, 30), &e);
    runs_events(rs, from, see, &s, &lost);
    tap_ok(
        !r && e.code == ERR_GOAL && strstr(e.text, "the 100th refused step in a row") && s.alerts == 100, "%d steps are refused, then: %s", s.alerts, e.text);
    tap_ok(strcmp(s.layer, m->param[1].name) == 0 && s.checkpoints < 40, "first in \"%s\"; %d checkpoints", s.layer, s.checkpoints);
    val_free(r);
}

/* Row 37 is in the first of the two batches of a step: it is found there, and the step after it goes on behind the second. */
static void refused_group(void) {
    struct err e;
    uint64_t lost, from = runs_next_event(rs);
    struct seen s = {0};
    struct handle d = objects_add_data(make_data(96, 0, 37, NAN));
    struct val *a = train_args(make_model(d, false), d, 2);
    val_set_int(a, "accum", 2);
    val_set_bool(a, "shuffle", false);
    struct val *r = train(a, &e);
    runs_events(rs, from, see, &s, &lost);
    tap_ok(r && s.alerts == 2 && strcmp(s.layer, "input x") == 0 && val_get_num(r, "step", 0) == 6,
        "of two batches a step the first is to blame: \"%s\", %g steps", s.layer, val_get_num(r, "step", NAN));
    val_free(r);
}

static void early(void) {
    struct err e;
    struct handle d = objects_add_data(make_data(60, 60, -1, 0)), m = make_model(d, false);
    struct val *a = train_args(m, d, 500);
    val_unset(a, "sched");
    val_set_int(a, "patience", 3);
    val_set_str(a, "keep", "best");
    val_set_str(a, "metric", "loss");
    struct val *r = train(a, &e), *t = val_table();
    double best = val_get_num(r, "best_val_loss", NAN);
    tap_ok(r && val_get_num(r, "epoch", 1e9) < 400, "patience ends the run early, at epoch %g", val_get_num(r, "epoch", NAN));
    val_set(t, "model", val_handle(m));
    val_set(t, "data", val_handle(d));
    val_set_str(t, "split", "val");
    struct val *rep = call("eval", t, &e);
    tap_near(val_get_num(rep, "loss", NAN), best, 1e-9, "keep=best leaves the best weights in the model");
    tap_ok(val_len(val_get(rep, "confusion")) == 3 && val_len(val_get(rep, "table")) == 3 && val_get(rep, "acc_lo"),
        "a report has confusion, a table of classes and an interval");
    val_free(rep);
    val_free(r);
}

/* ---- no allocation in a step ---- */
static void allocations_of_steps(void) {
#ifdef COUNTED
    struct err e = {0};
    struct dataset *d = make_data(500, 0, -1, 0);
    struct handle h = objects_add_data(d), mh = make_model(h, false);
    struct model *m = objects_model(mh, &e);
    struct loss_spec loss;
    struct optimiser *o = optimiser_new(NULL, &e);
    struct pool *pool = pool_new(2, &e);
    loss_init(&loss, NULL, true, &e);
    struct step_spec ss = {.model = m, .loss = &loss, .optim = o, .pool = pool, .seed = 1, .rows = 16};
    struct loader_spec ls = {.part = &d->part[PART_TRAIN], .seed = 1, .shuffle = true, .batch = 16};
    struct step *s = step_new(&ss, &e);
    struct loader *l = loader_new(&ls, 0, 0, &e);
    struct step_result r;
    double hyper[CTL_N];
    long before = 0, made = 1;
    for (int round = 0; made && round < 40; round++) { /* the threads of runs that have ended may still put things away: until none does */
        long seen = -1;
        for (int wait = 0; wait < 100 && seen != atomic_load(&allocations); wait++) {
            seen = atomic_load(&allocations);
            clock_sleep(0.05);
        }
        for (int i = 0; s && l && i < 120; i++) { /* through the ends of three epochs */
            if (i == 5) before = atomic_load(&allocations);
            const struct batch *b = loader_next(l);
            struct extents x = step_load(s, &d->part[PART_TRAIN], b);
            optimiser_hyper(o, 0.01, 0, 0, hyper);
            step_run(s, &x, (uint64_t)i, hyper, &r, &e);
            optimiser_applied(o, 0.01);
        }
        made = atomic_load(&allocations) - before;
    }
    tap_ok(s && l && made == 0, "115 steps, loading included, make %ld allocations", made);
    loader_free(l);
    step_free(s);
    optimiser_free(o);
    loss_release(&loss);
    pool_free(pool);
#else
    tap_skip("no allocation in a step", "the sanitizer owns malloc");
#endif
}

/* A model that was made without names of classes has those of what it was trained on; one with other outputs, or names of its own, keeps what it has. */
static void named(void) {
    struct err e = {0};
    struct handle d = objects_add_data(make_data(60, 0, -1, 0));
    static const char *const last[] = {"3", "4", "3"}, *const classes[] = {NULL, NULL, "x"};
    bool right = true;
    for (int i = 0; i < 3; i++) {
        struct val *t = val_table(), *own = val_list(), *r;
        val_set_int(t, "input", 12);
        val_push(t, layer("linear", atoi(last[i])));
        for (int c = 0; c < 3; c++) val_push(own, val_str(classes[i] ? classes[i] : ""));
        if (classes[i]) val_set(t, "classes", own);
        else val_free(own);
        struct val *m = call("model", t, &e);
        if (m && (r = train(train_args(m->u.h, d, 1), &e))) val_free(r);
        const struct model *made = m ? objects_model(m->u.h, &e) : NULL;
        const struct val *names = made ? val_get(made->desc, "classes") : NULL, *second = val_at(names, 1);
        const char *got = second && second->type == VAL_STR ? second->u.s.p : "-", *want = i == 0 ? "b" : i == 1 ? "-" : "x";
        if (!made || strcmp(got, want) != 0) printf("# %d: %s, not %s %s\n", i, got, want, e.text), right = false;
        val_free(m);
    }
    tap_ok(right, "training gives a model without names of classes those of the data");
}

int main(int argc, char **argv) {
    struct err e = {0};
    char want[65];
    struct handle d;
    if (argc == 3 && (strcmp(argv[1], "child") == 0 || strcmp(argv[1], "averaged") == 0)) {
        averaged = argv[1][0] == 'a';
        snprintf(dir, sizeof dir, "%s", argv[2]);
        return child();
    }
    strcpy(dir, "/tmp/hone-train-XXXXXX");
    if (!mkdtemp(dir)) return 1;
    settings_init();
    log_set_sink(quiet, NULL);
    setting("threads", val_int(1));
    if (engine_init(&e) < 0) return 1;
    open_hone();
    threads();
    whole(want, &d);
    static const int64_t at[] = {1, 5, 12, 13, 14, 26, 40, 51};
    for (size_t i = 0; i < LEN(at); i++) resume_at(at[i], want, d);
    edits();
    nonfinite();
    refused();
    refused_group();
    early();
    named();
    allocations_of_steps();
    close_hone();
#ifndef __SANITIZE_THREAD__
    static const struct {
        const char *point;
        int hit;
    } kills[] = {{"ckpt.state", 2}, {"ckpt.commit", 2}, {"ckpt.rename", 3}, {"ckpt.remove", 1}, {"model.rename", 3}};
    for (size_t i = 0; i < LEN(kills); i++) kill_at(kills[i].point, kills[i].hit, want);
    open_hone();
    averaged = true;
    whole(want, &d);
    close_hone();
    for (size_t i = 0; i < LEN(kills); i++) kill_at(kills[i].point, kills[i].hit, want);
#endif
    io_remove_tree(dir, NULL);
    return tap_done();
}
