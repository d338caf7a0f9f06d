/* Live edits, pause and stop, by their ids: an edit holds from the next step on, edits replay to the same bits, a paused run costs nothing and goes on to
 * the same bits, stopping saves, a step that is not finite is refused. Data is made here. */
#include "config.h"

#include <time.h>

#include "src/run/store.h"
#include "tests/engine/train_fix.h"

static double cpu(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static struct val *plain_args(struct handle m, struct handle d, int64_t steps, const char *name) {
    struct val *a = train_args(m, d, 1);
    val_unset(a, "epochs");
    val_unset(a, "sched");
    val_set_int(a, "steps", steps);
    val_set_str(a, "name", name);
    return a;
}

static int64_t step_now(void) {
    struct run_now now;
    run_now(runs_current(rs), &now);
    return now.step;
}

static void wait_step(int64_t step) {
    for (int i = 0; i < 20000 && step_now() < step; i++) clock_sleep(0.0005);
}

/* Started, and its run is there. */
static struct val *begin(struct val *args, struct err *e) {
    size_t n = runs_count(rs);
    struct val *run = call("train", args, e);
    for (int i = 0; i < 5000 && runs_count(rs) == n; i++) clock_sleep(0.001);
    return run;
}

static struct val *wait_for_run(const struct val *run, struct err *e) {
    struct val *w = val_table();
    val_set(w, "run", val_copy(run));
    return call("wait", w, e);
}

/* The edit events of a run as a list {{step, name, value}, ..}, which train takes as edits. */
static void gather(void *ctx, uint64_t seq, const struct val *ev) {
    struct val *one = val_list();
    (void)seq;
    if (strcmp(val_get_str(ev, "event", ""), "edit") != 0) {
        val_free(one);
        return;
    }
    val_push(one, val_int(val_get_int(ev, "step", -1)));
    val_push(one, val_copy(val_get(ev, "name")));
    val_push(one, val_copy(val_get(ev, "new")));
    val_push(ctx, one);
}

static double lr_at(int64_t step) {
    struct bucket b;
    return run_series_window(runs_current(rs), "lr", step, step + 1, &b, 1) == 1 && b.count == 1 ? b.mean : NAN;
}

static void next_step(void) {
    struct err e;
    uint64_t from = runs_next_event(rs), lost;
    struct handle d = objects_add_data(make_data(400, 0, -1, 0)), m = make_model(d, false);
    struct val *run = begin(plain_args(m, d, 4000000, "e1"), &e), *edits = val_list();
    bool right = true;
    for (int i = 0; i < 20; i++) {
        wait_step(step_now() + 3);
        val_free(call("set", set_args("lr", val_num(0.001 + 0.0001 * i)), &e));
        wait_step(step_now() + 3);
        struct val *seen = val_list();
        runs_events(rs, from, gather, seen, &lost);
        const struct val *one = val_at(seen, val_len(seen) - 1);
        int64_t step = val_at(one, 0)->u.i;
        double was = i ? 0.001 + 0.0001 * (i - 1) : 0.01;
        if (val_len(seen) != (size_t)i + 1 || fabs(lr_at(step) - was) > 1e-9 || fabs(lr_at(step + 1) - (0.001 + 0.0001 * i)) > 1e-9)
            right = false, printf("# edit %d, step %d: lr %g, then %g\n", i, (int)step, lr_at(step), lr_at(step + 1));
        val_free(seen);
    }
    tap_ok(right, "t.E1: 20 edits while it trains: each event carries the step after which the next one uses the new value");
    val_free(call("stop", val_table(), &e));
    val_free(wait_for_run(run, &e));
    val_free(run);
    val_free(edits);
}

static void replay(void) {
    struct err e;
    char one[65], two[65], none[65];
    uint64_t from = runs_next_event(rs), lost;
    static const struct {
        const char *name;
        double v;
    } set[] = {{"lr", 0.004}, {"dropout1.p", 0.1}, {"weight_decay", 0.01}, {"batch", 24}, {"clip_norm", 0.7}, {"lr_scale", 0.3}, {"beta1", 0.8}, {"accum", 2}};
    struct handle d = objects_add_data(make_data(4000, 0, -1, 0)), m = make_model(d, false);
    struct val *run = begin(plain_args(m, d, 4000000, "e2"), &e), *edits = val_list();
    for (size_t i = 0; i < LEN(set); i++) {
        wait_step(step_now() + 20);
        struct val *ok = call("set", set_args(set[i].name, val_num(set[i].v)), &e);
        if (!ok) printf("# %s: %s\n", set[i].name, e.text);
        val_free(ok);
    }
    wait_step(step_now() + 20);
    val_free(call("stop", val_table(), &e));
    struct val *r = wait_for_run(run, &e);
    int64_t steps = val_get_int(r, "step", 0);
    sum_of(m, one);
    runs_events(rs, from, gather, edits, &lost);
    struct handle again = make_model(d, false), without = make_model(d, false);
    struct val *a = plain_args(again, d, steps, "e2"), *r2, *r3;
    val_set(a, "edits", val_copy(edits));
    r2 = train(a, &e);
    sum_of(again, two);
    r3 = train(plain_args(without, d, steps, "e2"), &e);
    sum_of(without, none);
    tap_ok(val_len(edits) == LEN(set) && r2 && strcmp(one, two) == 0, "t.E2: script and its %zu edits replayed over %d steps: bit-identical weights %s",
        val_len(edits), (int)steps, r2 ? "" : e.text);
    tap_ok(r3 && strcmp(one, none) != 0, "without them they are others");
    a = plain_args(without, d, 9, "e2");
    val_set(a, "edits", val_list());
    struct val *bad = val_list();
    val_push(bad, val_int(3));
    val_push(val_get(a, "edits"), bad);
    struct val *refused = train(a, &e);
    tap_ok(!refused, "an edit without a name is refused: %s", e.text);
    val_free(r);
    val_free(r2);
    val_free(r3);
    val_free(run);
    val_free(edits);
}

static void pauses(void) {
    struct err e;
    char plain[65], paused[65];
    struct handle d = objects_add_data(make_data(4000, 0, -1, 0)), m = make_model(d, false);
    enum { STEPS = 3000 };
    val_free(train(plain_args(m, d, STEPS, "e3"), &e));
    sum_of(m, plain);
    m = make_model(d, false);
    struct val *run = begin(plain_args(m, d, STEPS, "e3"), &e);
    int64_t most = 0;
    double share = 0;
    for (int i = 0; i < 5; i++) {
        wait_step(100 * (i + 1));
        struct val *p = val_table();
        val_set(p, "run", val_copy(run));
        val_free(call("pause", p, &e));
        int64_t at = step_now();
        bool is = wait_state(RUN_PAUSED);
        if (!is || step_now() - at > most) most = is ? step_now() - at : 1000;
        if (i < 2) clock_sleep(0.4); /* its files are written once more */
        double c = cpu();
        if (i < 2) clock_sleep(1);
        share += i < 2 ? (cpu() - c) / 2 : 0;
        p = val_table();
        val_set(p, "run", val_copy(run));
        val_free(call("resume", p, &e));
    }
    struct val *r = wait_for_run(run, &e);
    sum_of(m, paused);
    tap_ok(most <= 1, "t.E3: a pause takes at most one step (%d)", (int)most);
    tap_ok(share < 0.01, "t.E3: paused it takes %.3f %% of a core", 100 * share);
    tap_ok(r && val_get_int(r, "step", 0) == STEPS && strcmp(plain, paused) == 0, "t.E3: paused five times and resumed: bit-identical to a run never paused");
    val_free(r);
    val_free(run);
}

struct last {
    int64_t ckpt, alert;
    bool bell;
    char state[16];
};
static void watch(void *ctx, uint64_t seq, const struct val *ev) {
    struct last *l = ctx;
    const char *name = val_get_str(ev, "event", "");
    (void)seq;
    if (strcmp(name, "checkpoint") == 0) l->ckpt = val_get_int(ev, "step", -1);
    if (strcmp(name, "end") == 0) snprintf(l->state, sizeof l->state, "%s", val_get_str(ev, "state", "?"));
    if (strcmp(name, "alert") == 0) {
        l->alert = val_get_int(ev, "step", -1);
        l->bell = val_get_bool(ev, "bell", false);
    }
}

static void stops(void) {
    struct err e;
    struct last l = {.ckpt = -1};
    uint64_t from = runs_next_event(rs), lost;
    struct handle d = objects_add_data(make_data(1600, 0, -1, 0)), m = make_model(d, false);
    struct val *a = plain_args(m, d, 4000000, "e4");
    val_set_int(a, "ckpt_every", 1000000);
    struct val *run = begin(a, &e), *s = val_table();
    wait_step(10);
    val_set_str(s, "after", "epoch");
    val_free(call("stop", s, &e));
    struct val *r = wait_for_run(run, &e);
    runs_events(rs, from, watch, &l, &lost);
    int64_t step = val_get_int(r, "step", 0);
    runs_flush(rs, 5);
    char *folder = io_join(dir, val_get_str(r, "run", "?"));
    struct val *about = store_describe(folder, &e);
    tap_ok(step > 0 && step % 100 == 0 && l.ckpt == step && strcmp(l.state, "stopped") == 0 && strcmp(val_get_str(about, "state", ""), "stopped") == 0,
        "t.E4: stop after the epoch: step %d, checkpoint of step %d, stored as %s", (int)step, (int)l.ckpt, val_get_str(about, "state", "?"));
    free(folder);
    val_free(about);
    val_free(r);
    val_free(run);
}

static void not_finite(void) {
    struct err e;
    char before[65], at[65];
    uint64_t lost;
    /* row 37 of the file is the first that is not a number: without shuffling the third step meets it */
    struct handle d = objects_add_data(make_data(160, 0, 37, NAN)), m = make_model(d, false);
    struct val *a = plain_args(m, d, 2, "e5");
    val_set_bool(a, "shuffle", false);
    val_free(train(a, &e));
    sum_of(m, before);
    for (int policy = 0; policy < 3; policy++) {
        static const char *const names[] = {"pause", "stop", "skip"};
        struct last l = {.ckpt = -1, .alert = -1};
        uint64_t from = runs_next_event(rs);
        setting("nonfinite", val_str(names[policy]));
        m = make_model(d, false);
        a = plain_args(m, d, policy == 2 ? 3 : 9, "e5");
        val_set_bool(a, "shuffle", false);
        struct val *run = begin(a, &e), *r = NULL;
        bool paused = policy == 0 && wait_state(RUN_PAUSED);
        if (paused) { /* the writer may still be at it */
            for (int i = 0; i < 400 && l.ckpt < 0; i++) {
                clock_sleep(0.005);
                val_free(call("checkpoint", val_table(), &e)); /* served while it is paused; says what was saved */
                runs_events(rs, from, watch, &l, &lost);
            }
            sum_of(m, at);
            val_free(call("stop", val_table(), &e));
        }
        r = wait_for_run(run, &e);
        if (policy) sum_of(m, at);
        runs_events(rs, from, watch, &l, &lost);
        bool same = strcmp(before, at) == 0;
        tap_ok(l.alert == 2 && l.ckpt >= 2 && l.bell && same && (policy || paused),
            "t.E5: policy %s: step 3 not applied, alert with bell at step %d, state of step %d saved, weights those of step 2%s", names[policy], (int)l.alert,
            (int)l.ckpt, paused ? ", paused" : "");
        val_free(r);
        val_free(run);
    }
    setting("nonfinite", val_str("pause"));
}

/* What the rate will be, and what it was asked to become, without a change. */
static void ahead(void) {
    struct err e;
    struct handle d = objects_add_data(make_data(1600, 0, -1, 0)), m = make_model(d, false);
    struct val *a = plain_args(m, d, 100000, "ahead"), *s = val_table(), *q = val_table();
    val_set_str(s, "sched", "cosine");
    val_set(a, "sched", s);
    struct val *run = begin(a, &e), *p = val_table();
    val_set(p, "run", val_copy(run));
    val_free(call("pause", p, &e));
    wait_state(RUN_PAUSED);
    double lr = get_number("lr");
    val_set_str(q, "name", "lr");
    val_set_num(q, "value", lr / 4);
    val_set_int(q, "points", 50);
    struct val *r = call("ahead", q, &e);
    size_t n = val_len(val_get(r, "now"));
    int64_t from = val_get_int(r, "from", 0), k = val_get_int(r, "k", 0);
    double worst = 0;
    for (size_t i = 0; i < n; i++) {
        double now = 0, then = 0, want = 0.01 * (1 + cos(M_PI * (double)(from + ((int64_t)i << k)) / 100000)) / 2;
        val_as_num(val_at(val_get(r, "now"), i), &now);
        val_as_num(val_at(val_get(r, "new"), i), &then);
        worst = fmax(worst, fmax(fabs(now - want), fabs(then - want / 4)));
    }
    tap_ok(n > 25 && n <= 50 && worst < 1e-9, "the schedule to come and the one after an edit: %zu points, off by at most %.1e", n, worst);
    tap_ok(get_number("lr") == lr, "asking changed nothing");
    val_free(r);
    q = val_table();
    struct val *ramp = val_table();
    val_set_num(ramp, "to", 0.001);
    val_set_int(ramp, "steps", 50000);
    val_set_str(q, "name", "lr_ramp");
    val_set(q, "value", ramp);
    r = call("ahead", q, &e);
    double first = 0, mid = 0;
    n = val_len(val_get(r, "new"));
    val_as_num(val_at(val_get(r, "new"), 0), &first);
    int64_t i = 25000 >> val_get_int(r, "k", 0);
    val_as_num(val_at(val_get(r, "new"), (size_t)i), &mid);
    double want = lr + (0.001 - lr) * (double)(i << val_get_int(r, "k", 0)) / 50000;
    tap_ok(first == lr && fabs(mid - want) < 1e-12, "a ramp to come: %g, %g", first, mid);
    tap_ok(get_number("lr") == lr, "nor does asking for a ramp");
    val_free(r);
    val_free(call("stop", val_table(), &e));
    val_free(wait_for_run(run, &e));
    val_free(run);
}

int main(void) {
    struct err e = {0};
    strcpy(dir, "/tmp/hone-edits-XXXXXX");
    if (!mkdtemp(dir)) return 1;
    settings_init();
    log_set_sink(quiet, NULL);
    setting("threads", val_int(1));
    if (engine_init(&e) < 0) return 1;
    open_hone();
    next_step();
    replay();
    pauses();
    stops();
    not_finite();
    ahead();
    close_hone();
    io_remove_tree(dir, NULL);
    return tap_done();
}
