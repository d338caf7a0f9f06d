/* Training with the optimisers whose state is not one tensor a moment, with groups, frozen layers and moments of 8 bits: exact resume, the same bits at any
 * number of threads, what is frozen stays, patterns that match nothing; the learning rate range test. Data is made here. */
#include "config.h"

#include "engine/train/lr_range.h"
#include "src/base/json.h"
#include "tests/engine/train_fix.h"

static struct val *parse(const char *text) {
    struct err e = {0};
    struct val *v = json_parse(text, strlen(text), "test", &e);
    if (!v) printf("# %s\n", e.text);
    return v;
}

/* 12 -> 400 -> 24 -> 3: the first two matrices are large enough for moments of 8 bits. */
static struct handle wide_model(struct handle d) { return dense_model(d, 400, 24, "relu"); }

static struct val *args_of(struct handle m, struct handle d, const char *optim, int64_t steps) {
    struct val *t = val_table();
    val_set(t, "model", val_handle(m));
    val_set(t, "data", val_handle(d));
    val_set_int(t, "steps", steps);
    val_set_int(t, "batch", 50);
    val_set(t, "optim", parse(optim));
    val_set(t, "sched", parse("{\"sched\":\"exponential\",\"gamma\":0.9}"));
    return t;
}

static const char *const optims_here[] = {
    "{\"optim\":\"lamb\",\"lr\":0.02}",
    "{\"optim\":\"adafactor\",\"lr\":0.05}",
    "{\"optim\":\"muon\",\"lr\":0.02,\"rest\":\"linear3\"}",
    "{\"optim\":\"lbfgs\",\"lr\":0.05,\"history\":4}",
    "{\"optim\":\"lbfgs\",\"history\":4,\"line_search\":\"strong_wolfe\"}",
    "{\"optim\":\"rprop\",\"lr\":0.001}",
    "{\"optim\":\"asgd\",\"lr\":0.05,\"t0\":3}",
    "{\"optim\":\"adam\",\"lr\":0.003,\"bits\":8}",
    "{\"optim\":\"adamw\",\"lr\":0.003,\"bits\":8,\"weight_decay\":0.1,\"decay_bias\":false,\"layer_decay\":0.7,\"groups\":[{\"match\":\"linear2\",\"lr_"
    "scale\":0.5,\"weight_decay\":0}]}",
    "{\"optim\":\"nadam\",\"lr\":0.003,\"groups\":[{\"match\":[\"*.bias\"],\"lr_scale\":3}]}",
};

static struct val *run(const char *optim, struct handle m, struct handle d, int64_t steps, const char *resume, const char *freeze, struct err *e) {
    struct val *a = args_of(m, d, optim, steps);
    if (resume) val_set_str(a, "resume", resume);
    if (freeze) val_set_str(a, "freeze", freeze);
    struct val *r = train(a, e);
    if (!r) printf("# %s\n", e->text);
    return r;
}

/* 20 steps at once and with 1, 2 and 4 threads; 7 steps, then the rest from the checkpoint. */
static void exact(const char *optim, struct handle d, const char *freeze) {
    struct err e;
    char want[65], hex[65];
    bool same = true;
    static const int threads[] = {1, 2, 4};
    for (size_t i = 0; i < LEN(threads); i++) {
        struct handle m = wide_model(d);
        setting("threads", val_int(threads[i]));
        struct val *r = run(optim, m, d, 20, NULL, freeze, &e);
        sum_of(m, i ? hex : want);
        same = same && r && (i == 0 || strcmp(hex, want) == 0);
        val_free(r);
    }
    tap_ok(same, "%s%s: the same bits at 1, 2 and 4 threads", optim, freeze ? ", frozen" : "");
    struct handle m = wide_model(d), again = wide_model(d), start = wide_model(d);
    char first[65];
    struct val *r = run(optim, m, d, 7, NULL, freeze, &e), *r2 = r ? run(optim, again, d, 20, val_get_str(r, "run", "?"), NULL, &e) : NULL;
    sum_of(again, hex);
    sum_of(start, first);
    tap_ok(r2 && strcmp(hex, want) == 0 && strcmp(first, want) != 0, "%s%s: resumed at step 7 to the same bits", optim, freeze ? ", frozen" : "");
    val_free(r);
    val_free(r2);
    setting("threads", val_int(2));
}

static bool same_param(struct handle a, struct handle b, const char *name) {
    struct err e;
    const struct model *x = objects_model(a, &e), *y = objects_model(b, &e);
    for (int i = 0; i < x->n_param; i++)
        if (strcmp(x->param[i].name, name) == 0)
            return memcmp((char *)x->data + x->param[i].offset, (char *)y->data + y->param[i].offset, (size_t)x->param[i].len * 4) == 0;
    return false;
}

static void frozen(struct handle d) {
    struct err e;
    struct handle m = wide_model(d), start = wide_model(d);
    val_free(run("{\"optim\":\"adamw\",\"lr\":0.003}", m, d, 10, NULL, "linear[12]", &e));
    tap_ok(same_param(m, start, "linear1.weight") && same_param(m, start, "linear2.bias") && !same_param(m, start, "linear3.weight"),
        "what is frozen stays to the bit, the rest moves");
    tap_ok(!objects_model(m, &e)->param[0].frozen, "a run leaves no mark in the model");
    m = wide_model(d);
    val_free(run("{\"optim\":\"adam\",\"lr\":0.003,\"groups\":[{\"match\":\"linear1\",\"lr_scale\":0}]}", m, d, 10, NULL, NULL, &e));
    tap_ok(same_param(m, start, "linear1.weight") && !same_param(m, start, "linear2.weight"), "a group with lr_scale=0 stays");
}

static void refused(const char *what, const char *optim, const char *freeze, const char *sentence, struct handle d) {
    struct err e;
    struct handle m = wide_model(d);
    struct val *a = args_of(m, d, optim, 5);
    if (freeze) val_set(a, "freeze", parse(freeze));
    struct val *r = train(a, &e);
    tap_ok(!r && strstr(e.text, sentence), "%s: %s", what, e.text);
    val_free(r);
}

static void refusals(struct handle d) {
    refused("freeze names no layer", "{\"optim\":\"adam\"}", "\"liner1\"", "did you mean \"linear1\"?", d);
    refused("one of a list", "{\"optim\":\"adam\"}", "[\"linear1\",\"block\"]", "\"block\"", d);
    refused("freeze is no name", "{\"optim\":\"adam\"}", "[3]", "freeze must be a name", d);
    refused("all frozen", "{\"optim\":\"adam\"}", "\"*\"", "nothing to train", d);
    refused("a group names no layer", "{\"optim\":\"adam\",\"groups\":[{\"match\":\"linear1\"},{\"match\":\"embedding\"}]}", NULL, "groups[2]", d);
    refused("a group with a wrong field", "{\"optim\":\"adam\",\"groups\":[{\"match\":\"linear1\",\"lr\":3}]}", NULL, "groups[1]", d);
    refused("a group without match", "{\"optim\":\"adam\",\"groups\":[{\"lr_scale\":3}]}", NULL, "match", d);
    refused("groups under L-BFGS", "{\"optim\":\"lbfgs\",\"groups\":[{\"match\":\"linear1\",\"lr_scale\":3}]}", NULL, "lbfgs", d);
    refused("7 bits", "{\"optim\":\"adam\",\"bits\":7}", NULL, "bits", d);
    refused("16 bits", "{\"optim\":\"adam\",\"bits\":16}", NULL, "32 or 8", d);
    refused("8 bits with amsgrad", "{\"optim\":\"adamw\",\"bits\":8,\"amsgrad\":true}", NULL, "amsgrad", d);
}

/* Whole batches: however far the first point of a search is, the loss of a step is below that of the one before; with dropout too, as the search draws once. */
static double searched(struct handle d, const char *optim, bool drop, double *first, struct err *e) {
    struct handle m = drop ? make_model(d, false) : wide_model(d);
    struct val *a = args_of(m, d, optim, 1), *r;
    val_set_int(a, "batch", 300);
    r = train(val_copy(a), e);
    *first = r ? val_get_num(r, "loss", NAN) : NAN;
    val_free(r);
    val_set_int(a, "steps", 15);
    r = train(a, e);
    double last = r ? val_get_num(r, "loss", NAN) : NAN;
    if (!r) printf("# %s\n", e->text);
    val_free(r);
    return last;
}
static void searching(struct handle d) {
    struct err e;
    double first, far, near, drop;
    far = searched(d, "{\"optim\":\"lbfgs\",\"lr\":1000,\"line_search\":\"strong_wolfe\"}", false, &first, &e);
    near = searched(d, "{\"optim\":\"lbfgs\",\"lr\":0.0001,\"line_search\":\"strong_wolfe\"}", false, &first, &e);
    tap_ok(far < 0.3 * first && near < 0.3 * first, "16 steps with a search from far and from near: loss %.4f to %.4f and %.4f", first, far, near);
    drop = searched(d, "{\"optim\":\"lbfgs\",\"line_search\":\"strong_wolfe\",\"l2\":0.001}", true, &first, &e);
    tap_ok(drop < 0.8 * first, "with dropout and a penalty: %.4f to %.4f", first, drop);
    struct val *a = args_of(wide_model(d), d, "{\"optim\":\"lbfgs\",\"line_search\":\"strong_wolfe\"}", 2);
    val_set_int(a, "accum", 2);
    tap_ok(!train(a, &e) && strstr(e.text, "leave out accum"), "%s", e.text);
}

/* Freezing while a run goes on: the moments of the others stay, and the layer moves again when it is let go. */
static void live(struct handle d) {
    struct err e;
    struct handle m = wide_model(d);
    struct val *a = args_of(m, d, "{\"optim\":\"nadam\",\"lr\":0.0001}", 4000000), *h = call("train", a, &e);
    struct run_now now = {0};
    char before[65], after[65];
    bool ok = h != NULL;
    static const char *const edits[] = {"\"linear1\"", "[]"};
    struct model *mm = objects_model(m, &e);
    for (int k = 0; ok && k < 2; k++) {
        val_free(call("pause", val_table(), &e));
        ok = wait_state(RUN_PAUSED);
        struct val *r = call("set", set_args("freeze", parse(edits[k])), &e);
        if (!r) printf("# %s\n", e.text);
        ok = ok && r;
        val_free(r);
        io_sha256(mm->data, (size_t)mm->param[0].len * 4, before);
        run_now(runs_current(rs), &now);
        int64_t from = now.step;
        val_free(call("resume", val_table(), &e));
        for (int i = 0; i < 3000 && now.step < from + 5; i++) clock_sleep(0.001), run_now(runs_current(rs), &now);
        val_free(call("pause", val_table(), &e));
        ok = ok && wait_state(RUN_PAUSED);
        io_sha256(mm->data, (size_t)mm->param[0].len * 4, after);
        tap_ok(ok && (k == 0) == (strcmp(before, after) == 0), "freeze set to %s in a running run: the layer %s", edits[k], k == 0 ? "stays" : "moves again");
    }
    struct val *bad = call("set", set_args("freeze", parse("\"linear9\"")), &e);
    tap_ok(!bad && strstr(e.text, "linear9"), "a pattern that matches nothing is refused in a running run: %s", e.text);
    val_free(bad);
    struct val *s = val_table();
    val_set_bool(s, "now", true);
    val_free(call("stop", s, &e));
    struct val *w = val_table();
    if (h) val_set(w, "run", h);
    val_free(call("wait", w, &e));
}

static double final_loss(const char *optim, struct handle d) {
    struct err e;
    struct handle m = wide_model(d);
    val_free(run(optim, m, d, 300, NULL, NULL, &e));
    struct val *t = val_table();
    val_set(t, "model", val_handle(m));
    val_set(t, "data", val_handle(d));
    val_set_str(t, "split", "train");
    struct val *rep = call("eval", t, &e);
    double loss = val_get_num(rep, "loss", NAN);
    val_free(rep);
    return loss;
}

static void eight_bits(struct handle d) {
    double a = final_loss("{\"optim\":\"adam\",\"lr\":0.001}", d), b = final_loss("{\"optim\":\"adam\",\"lr\":0.001,\"bits\":8}", d);
    tap_ok(fabs(b / a - 1) <= 0.01 && a != b, "adam with moments of 8 bits: final loss %.5f, with 32 bits %.5f (%+.2f %%)", b, a, 100 * (b / a - 1));
    a = final_loss("{\"optim\":\"adamw\",\"lr\":0.002,\"weight_decay\":0.1}", d),
    b = final_loss("{\"optim\":\"adamw\",\"lr\":0.002,\"weight_decay\":0.1,\"bits\":8}", d);
    tap_ok(fabs(b / a - 1) <= 0.01 && a != b, "adamw with moments of 8 bits: final loss %.5f, with 32 bits %.5f (%+.2f %%)", b, a, 100 * (b / a - 1));
}

static void range_test(struct handle d) {
    struct err e;
    char before[65], after[65];
    double curve[40];
    for (int i = 0; i < 40; i++) curve[i] = 1 / (1 + exp((i - 23.0) / 2)) + (i > 33 ? i - 33 : 0); /* steepest at 23, then up */
    tap_ok(lr_range_steepest(curve, 40, 5) == 23 && lr_range_steepest(curve, 3, 2) == -1, "the steepest fall is found");
    struct handle m = wide_model(d);
    struct val *t = val_table();
    sum_of(m, before);
    val_set(t, "model", val_handle(m));
    val_set(t, "data", val_handle(d));
    val_set_num(t, "to", 100);
    struct val *r = call("lr_range", t, &e);
    sum_of(m, after);
    double lr = val_get_num(r, "lr", 0);
    tap_ok(r && lr > 1e-5 && lr < 1 && strcmp(before, after) == 0, "a rate is suggested, %g, and the model stays as it was %s", lr, r ? "" : e.text);
    tap_ok(val_get_bool(r, "diverged", false) && val_get_int(r, "steps", 1000) < 100, "it ends when the loss diverges, at step %d",
        (int)val_get_int(r, "steps", 0));
    struct bucket smooth[64], rate[64];
    struct run *run = runs_current(rs);
    int k;
    bool drawn = run && run_series(run, "loss_smooth", smooth, 64, &k) > 10 && run_series(run, "lr", rate, 64, &k) > 10;
    tap_ok(drawn, "smoothed loss and rate are series of a run");
    val_free(r);
    t = val_table();
    val_set(t, "model", val_handle(m));
    val_set(t, "data", val_handle(d));
    val_set_num(t, "from", 2);
    r = call("lr_range", t, &e);
    tap_ok(!r && strstr(e.text, "from"), "from above to is refused: %s", e.text);
}

int main(void) {
    struct err e = {0};
    strcpy(dir, "/tmp/hone-groups-XXXXXX");
    if (!mkdtemp(dir)) return 1;
    settings_init();
    log_set_sink(quiet, NULL);
    setting("threads", val_int(2));
    if (engine_init(&e) < 0) return 1;
    open_hone();
    struct handle d = objects_add_data(make_data(300, 60, -1, 0));
    for (size_t i = 0; i < LEN(optims_here); i++) exact(optims_here[i], d, NULL);
    exact("{\"optim\":\"adamw\",\"lr\":0.003}", d, "linear2");
    frozen(d);
    refusals(d);
    searching(d);
    live(d);
    eight_bits(d);
    range_test(d);
    close_hone();
    io_remove_tree(dir, NULL);
    return tap_done();
}
