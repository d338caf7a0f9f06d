/* Looks at the layers against plain sums over the weights, what they must not change, and what an evaluation keeps of the rows it got wrong. Data is made
 * here. */
#include "config.h"

#include "src/base/json.h"
#include "tests/engine/train_fix.h"

static const struct val *named(const struct val *list, const char *field, const char *name) {
    for (size_t i = 0; i < val_len(list); i++)
        if (strcmp(val_get_str(val_at(list, i), field, ""), name) == 0) return val_at(list, i);
    return NULL;
}

static struct val *run_with(struct handle m, struct handle d, int64_t look_every, struct err *e) {
    struct val *a = train_args(m, d, 2);
    val_set_int(a, "look_every", look_every);
    return train(a, e);
}

static void changes_nothing(void) {
    struct err e;
    char hex[2][65];
    for (int i = 0; i < 2; i++) {
        struct handle d = objects_add_data(make_data(200, 60, -1, 0)), m = make_model(d, false);
        val_free(run_with(m, d, i, &e));
        sum_of(m, hex[i]);
    }
    tap_ok(strcmp(hex[0], hex[1]) == 0, "a look after every step leaves the weights as they are without: the same bits");
}

static void numbers(void) {
    struct err e;
    struct handle d = objects_add_data(make_data(200, 60, -1, 0)), mh = make_model(d, false);
    struct model *m = objects_model(mh, &e);
    val_free(run_with(mh, d, 1, &e));
    struct val *rep = run_last_report(runs_current(rs), "model"), *hist = run_last_report(runs_current(rs), "histograms"),
               *time = run_last_report(runs_current(rs), "time");
    const struct val *weights = val_get(rep, "weights");
    double worst = 0;
    int seen = 0;
    for (int i = 0; i < m->n_param; i++) {
        const struct param *p = &m->param[i];
        const float *w = (const float *)((const char *)m->data + p->offset);
        const struct val *v = val_get(named(weights, "name", p->name), "w");
        double lo = INFINITY, hi = -INFINITY, sum = 0, sum2 = 0, a = NAN, b = NAN;
        for (int64_t k = 0; k < p->len; k++) {
            double x = (double)w[k];
            lo = fmin(lo, x), hi = fmax(hi, x), sum += x, sum2 += x * x;
        }
        double n = (double)p->len, want[] = {lo, hi, sum / n, sqrt(sum2 / n)};
        static const char *const names[] = {"min", "max", "mean", "rms"};
        for (int k = 0; k < 4; k++) worst = fmax(worst, fabs(val_get_num(v, names[k], NAN) - want[k]));
        const char *h = val_get_str(v, "hist", "");
        seen += sscanf(h, "%lf %lf", &a, &b) == 2 && fabs(a - lo) < 1e-5 && fabs(b - hi) < 1e-5 && strstr(h, "ff") && strlen(strrchr(h, ' ') + 1) == 80;
    }
    tap_ok(
        val_get_int(rep, "step", -1) == 26 && worst < 1e-12, "the last look is of the last step; ranges, mean, rms of the weights differ by at most %g", worst);
    tap_ok(seen == m->n_param, "each weight has a histogram between its least and largest value");
    const struct val *bias = val_get(named(weights, "name", "linear2.bias"), "g");
    double most = fmax(fabs(val_get_num(bias, "min", NAN)), fabs(val_get_num(bias, "max", NAN)));
    tap_ok(most > 1e-4 && fabs(val_get_num(bias, "mean", NAN)) < 1e-6 * most + 1e-8, "the gradient of a softmax's bias sums to 0: mean %g of at most %g",
        val_get_num(bias, "mean", NAN), most);
    const struct val *relu = val_get(named(val_get(rep, "layers"), "path", "relu1"), "out");
    tap_ok(val_get_num(relu, "min", -1) == 0 && val_get_int(relu, "units", 0) == 16 && val_get_int(relu, "zero", 0) > 0,
        "the outputs of relu: from 0 on, 16 units");
    tap_ok(val_len(val_get(hist, "steps")) == 26 && val_len(val_get(val_at(val_get(hist, "weights"), 0), "g")) == 26, "histograms over 26 steps");
    double parts = 0, step = val_get_num(time, "step", 0);
    static const char *const phases[] = {"data", "forward", "backward", "update"};
    for (size_t i = 0; i < LEN(phases); i++) parts += val_get_num(time, phases[i], NAN);
    tap_ok(step > 0 && parts > 0 && parts <= step * 1.02 && val_get_int(time, "steps", 0) == 26, "the time of 26 steps by phase: %.2f of %.2f ms", 1e3 * parts,
        1e3 * step);
    val_free(rep);
    val_free(hist);
    val_free(time);
}

/* A relu whose input is always below 0: all its units are dead, and stay so. */
static void dead(void) {
    struct err e;
    struct handle d = objects_add_data(make_data(200, 60, -1, 0)), mh = make_model(d, false);
    struct model *m = objects_model(mh, &e);
    for (int i = 0; i < m->n_param; i++) {
        float *w = (float *)((char *)m->data + m->param[i].offset);
        bool bias = strcmp(m->param[i].name, "linear1.bias") == 0;
        for (int64_t k = 0; k < m->param[i].len && (bias || strcmp(m->param[i].name, "linear1.weight") == 0); k++) w[k] = bias ? -1 : 0;
    }
    val_free(run_with(mh, d, 1, &e));
    struct val *rep = run_last_report(runs_current(rs), "model");
    const struct val *layers_of = val_get(rep, "layers"), *g = val_get(named(val_get(rep, "weights"), "name", "linear1.weight"), "g");
    tap_ok(val_get_int(val_get(named(layers_of, "path", "relu1"), "out"), "dead", -1) == 16 &&
               val_get_int(val_get(named(layers_of, "path", "linear1"), "out"), "dead", -1) == 0,
        "16 of 16 units are dead behind a relu that gets nothing above 0, none before it");
    tap_ok(val_get_int(g, "zero", -1) == 192 && val_get_num(g, "rms", -1) == 0, "no gradient comes through");
    val_free(rep);
}

static void without(void) {
    struct err e;
    struct handle d = objects_add_data(make_data(60, 0, -1, 0)), m = make_model(d, false);
    val_free(run_with(m, d, 0, &e));
    struct val *rep = run_last_report(runs_current(rs), "model"), *hist = run_last_report(runs_current(rs), "histograms");
    tap_ok(rep && !val_get(rep, "step") && val_len(val_get(rep, "layers")) == 4 && !hist, "without looks the tree alone is there");
    struct val *none = call("look", val_table(), &e);
    tap_ok(!none, "a look at a run that has ended is refused: %s", e.text);
    val_free(none);
    val_free(rep);
}

static void examples(void) {
    struct err e;
    struct handle d = objects_add_data(make_data(200, 300, -1, 0)), m = make_model(d, false);
    val_free(run_with(m, d, 0, &e));
    struct val *t = val_table();
    val_set(t, "model", val_handle(m));
    val_set(t, "data", val_handle(d));
    val_set_str(t, "split", "val");
    struct val *told = call("eval", t, &e), *rep = run_last_report(runs_current(rs), "eval"), *before = run_last_report(runs_current(rs), "eval_before");
    const struct val *list = val_get(rep, "examples"), *bins = val_get(rep, "calibration");
    int64_t errors = 0, rows = 0;
    double last = INFINITY, ece = 0;
    bool sorted = true, wrong = true;
    for (size_t i = 0; i < val_len(list); i++) {
        const struct val *x = val_at(list, i);
        double loss = val_get_num(x, "loss", NAN);
        sorted = sorted && loss <= last && fabs(loss + log(val_get_num(x, "q", NAN))) < 1e-4;
        wrong = wrong && val_get_int(x, "y", -1) != val_get_int(x, "g", -1) && val_get_num(x, "p", 0) > val_get_num(x, "q", 1) && val_get_str(x, "text", NULL);
        last = loss;
    }
    for (size_t i = 0; i < 3; i++)
        for (size_t j = 0; j < 3; j++) {
            int64_t n = 0;
            val_as_int(val_at(val_at(val_get(rep, "confusion"), i), j), &n);
            errors += i != j ? n : 0;
        }
    for (size_t i = 0; i < val_len(bins); i++) {
        double n = val_get_num(val_at(bins, i), "n", 0);
        rows += (int64_t)n;
        if (n > 0) ece += n * fabs(val_get_num(val_at(bins, i), "acc", NAN) - val_get_num(val_at(bins, i), "conf", NAN));
    }
    tap_ok(errors > 0 && (int64_t)val_len(list) == (errors < 100 ? errors : (int64_t)val_len(list)) && sorted && wrong,
        "the rows that went wrong, %d of them, by loss -log q", (int)val_len(list));
    tap_ok(rows == 300 && fabs(ece / 300 - val_get_num(told, "ece", NAN)) < 1e-6, "calibration of 300 rows: %g, the metric says %g", ece / 300,
        val_get_num(told, "ece", NAN));
    tap_ok(!val_get(told, "examples") && before && !val_get(before, "examples") && val_get(before, "confusion"),
        "scripts get the metrics; the evaluation before is kept without rows");
    char *path = io_join(run_dir(runs_current(rs)), "run.json");
    runs_flush(rs, 10);
    struct val *file = json_read_file(path, 1 << 22, &e);
    const struct val *kept = val_get(file, "reports"), *eval = val_get(kept, "eval");
    tap_ok(val_len(val_get(eval, "calibration")) == 15 && val_get(eval, "confusion") && !val_get(eval, "examples") && !val_get(kept, "eval_before"),
        "run.json keeps the numbers, not the rows");
    val_free(file);
    free(path);
    val_free(told);
    val_free(rep);
    val_free(before);
}

int main(void) {
    struct err e = {0};
    strcpy(dir, "/tmp/hone-look-XXXXXX");
    if (!mkdtemp(dir)) return 1;
    settings_init();
    log_set_sink(quiet, NULL);
    setting("threads", val_int(1));
    if (engine_init(&e) < 0) return 1;
    open_hone();
    changes_nothing();
    numbers();
    dead();
    without();
    examples();
    close_hone();
    io_remove_tree(dir, NULL);
    return tap_done();
}
