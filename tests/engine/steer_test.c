/* Steering a run that goes on: edits of the learning rate under a schedule and their undo, also after a resume; ramps. Data is made here. */
#include "config.h"

#include "tests/engine/train_fix.h"

static int64_t pause_run(void) {
    struct err e;
    struct run_now now;
    val_free(call("pause", val_table(), &e));
    if (!wait_state(RUN_PAUSED)) return -1;
    run_now(runs_current(rs), &now);
    return now.step;
}

/* Lets it run for a while, then pauses it: the step it stands at. */
static int64_t go_on(void) {
    struct err e;
    struct run_now now;
    run_now(runs_current(rs), &now);
    int64_t from = now.step;
    val_free(call("resume", val_table(), &e));
    for (int i = 0; i < 3000 && now.step < from + 3; i++) {
        clock_sleep(0.001);
        run_now(runs_current(rs), &now);
    }
    return pause_run();
}

#define LONG_RUN 4000000
static struct val *cosine_args(struct handle m, struct handle d, const char *name) {
    struct val *a = train_args(m, d, 1), *s = val_table();
    val_unset(a, "epochs");
    val_set_int(a, "steps", LONG_RUN);
    val_set_str(s, "sched", "cosine");
    val_set_int(s, "total", 2000); /* falls quickly, then stays at its least */
    val_set_num(s, "min", 1e-5);
    val_set(a, "sched", s);
    val_set_str(a, "name", name);
    return a;
}

static double cosine_at(int64_t step) { return 1e-5 + (0.01 - 1e-5) * (1 + cos(M_PI * (step < 2000 ? (double)step : 2000.0) / 2000)) / 2; }

static struct val *set_now(const char *name, struct val *v) {
    struct err e;
    struct val *a = set_args(name, v);
    val_set_bool(a, "force", true);
    struct val *r = call("set", a, &e);
    if (!r) printf("# set %s: %s\n", name, e.text);
    return r;
}

static void last_line(void *ctx, uint64_t seq, const struct val *ev) {
    (void)seq;
    if (strcmp(val_get_str(ev, "event", ""), "edit") == 0) snprintf(ctx, 400, "%s", val_get_str(ev, "lua", "?"));
}

static bool near(double a, double b) { return fabs(a - b) <= 1e-12 * fabs(b); }

static void undo_under_schedule(void) {
    struct err e;
    char line[400] = "";
    uint64_t from = runs_next_event(rs), lost;
    struct handle d = objects_add_data(make_data(4000, 0, -1, 0)), m = make_model(d, false);
    struct val *run = call("train", cosine_args(m, d, "back"), &e);
    int64_t s0 = pause_run(), s1, s2, s3;
    tap_ok(near(get_number("lr"), cosine_at(s0)), "the schedule's rate at step %d", (int)s0);
    val_free(set_now("lr", val_num(cosine_at(s0) / 4)));
    s1 = go_on();
    tap_ok(s1 > s0 && near(get_number("lr"), cosine_at(s1) / 4), "an edit is a factor: the schedule goes on below it, %d steps later", (int)(s1 - s0));
    val_free(set_now("lr", val_num(3e-5)));
    val_free(set_now("lr", val_num(7e-5)));
    s2 = go_on();
    double factor = get_number("lr") / cosine_at(s2);
    val_free(call("undo", val_table(), &e));
    tap_ok(near(get_number("lr"), cosine_at(s2) * factor * 3 / 7), "undo takes back one edit of a chain");
    val_free(call("undo", val_table(), &e));
    tap_ok(near(get_number("lr"), cosine_at(s2) / 4), "and another");
    s3 = go_on();
    val_free(call("undo", val_table(), &e));
    tap_ok(get_number("lr") == cosine_at(s3), "the first taken back: the schedule's own value at step %d, to the bit: %.17g", (int)s3, get_number("lr"));
    runs_events(rs, from, last_line, line, &lost);
    tap_ok(strcmp(line, "run:set(\"lr_scale\", 1)") == 0, "its line says what was done: %s", line);
    val_free(call("redo", val_table(), &e));
    tap_ok(near(get_number("lr"), cosine_at(s3) / 4), "undo of the undo: the factor is there again");
    struct val *ramp = val_table();
    val_set_num(ramp, "to", 0.002);
    val_set_int(ramp, "steps", 1000000);
    val_free(set_now("lr_ramp", ramp));
    s3 = go_on();
    tap_ok(
        get_number("lr") > 0.002 && get_number("lr") < cosine_at(s3) && !near(get_number("lr"), cosine_at(s3) / 4), "a ramp has begun: %g", get_number("lr"));
    double on = get_number("lr");
    val_free(set_now("lr", val_num(on / 2)));
    val_free(call("undo", val_table(), &e));
    tap_ok(get_number("lr") == on, "an edit within a ramp taken back: the ramp goes on");
    struct val *s = val_table();
    val_set_str(s, "sched", "exponential");
    val_set_num(s, "gamma", 0.5);
    val_free(set_now("sched", s));
    tap_ok(!near(get_number("lr"), on), "another schedule");
    val_free(call("undo", val_table(), &e));
    tap_ok(get_number("lr") == on, "schedule and ramp are back");
    val_free(call("undo", val_table(), &e));
    tap_ok(near(get_number("lr"), cosine_at(s3) / 4), "the ramp taken back: the factor before it");
    ramp = val_table();
    val_set_num(ramp, "to", 0.003);
    val_set_int(ramp, "steps", 2);
    val_free(set_now("lr_ramp", ramp));
    s3 = go_on();
    tap_ok(fabs(get_number("lr") / 0.003 - 1) < 0.1, "a ramp that is over leaves its end, from which the schedule goes on: %g", get_number("lr"));
    /* from a checkpoint: the edits are there */
    val_free(call("stop", val_table(), &e));
    struct val *p = val_table();
    val_set(p, "run", run);
    struct val *r = call("wait", p, &e), *b;
    m = make_model(d, false);
    b = cosine_args(m, d, "back");
    val_set_str(b, "resume", val_get_str(r, "run", "?"));
    run = call("train", b, &e);
    s3 = pause_run();
    tap_ok(s3 > s2 && fabs(get_number("lr") / 0.003 - 1) < 0.2, "resumed at step %d: the rate goes on", (int)s3);
    val_free(call("undo", val_table(), &e));
    tap_ok(near(get_number("lr"), cosine_at(s3) / 4), "undo after a resume takes back the edit before it");
    val_free(call("undo", val_table(), &e));
    tap_ok(get_number("lr") == cosine_at(s3), "and the first one");
    struct val *none = call("undo", val_table(), &e);
    tap_ok(!none, "then there is none: %s", e.text);
    val_free(set_now("lr", val_num(0)));
    tap_ok(get_number("lr") == 0, "a rate of 0");
    val_free(call("undo", val_table(), &e));
    tap_ok(get_number("lr") == cosine_at(s3), "taken back");
    val_free(call("stop", val_table(), &e));
    p = val_table();
    val_set(p, "run", run);
    val_free(call("wait", p, &e));
    val_free(r);
}

int main(void) {
    struct err e = {0};
    strcpy(dir, "/tmp/hone-steer-XXXXXX");
    if (!mkdtemp(dir)) return 1;
    settings_init();
    log_set_sink(quiet, NULL);
    setting("threads", val_int(1));
    if (engine_init(&e) < 0) return 1;
    open_hone();
    undo_under_schedule();
    close_hone();
    io_remove_tree(dir, NULL);
    return tap_done();
}
