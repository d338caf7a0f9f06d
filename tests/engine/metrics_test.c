/* Metrics and schedules against numbers worked out by other means: counts by hand, scikit-learn's published definitions computed here in long
 * double from lists of pairs (not from a confusion matrix), closed forms of the schedules step by step. */
#include "config.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/metrics/metric.h"
#include "engine/metrics/threshold.h"
#include "engine/train/sched.h"
#include "src/base/mem.h"
#include "src/base/rng.h"
#include "tests/tap.h"

static double value(const struct tally *t, const char *name) {
    const struct metric *m = metric_find(name);
    return m ? m->value(t) : NAN;
}

/* Everything again from the list of pairs, one class at a time. */
struct again {
    long double p_macro, r_macro, f_macro, j_macro, p_weighted, r_weighted, f_weighted, acc, kappa, mcc;
};
static struct again from_pairs(const int *y, const int *g, int n, int classes) {
    struct again a = {0};
    long double present = 0, pe = 0, hits = 0, sum_tp = 0, sum_pp = 0, sum_tt = 0;
    for (int i = 0; i < n; i++) hits += y[i] == g[i];
    for (int c = 0; c < classes; c++) {
        long double tp = 0, fp = 0, fn = 0;
        for (int i = 0; i < n; i++) tp += y[i] == c && g[i] == c, fp += y[i] != c && g[i] == c, fn += y[i] == c && g[i] != c;
        long double p = tp + fp > 0 ? tp / (tp + fp) : 0, r = tp + fn > 0 ? tp / (tp + fn) : 0, f = p + r > 0 ? 2 * p * r / (p + r) : 0;
        if (tp + fp + fn > 0) present++, a.p_macro += p, a.r_macro += r, a.f_macro += f, a.j_macro += tp / (tp + fp + fn);
        a.p_weighted += p * (tp + fn) / n, a.r_weighted += r * (tp + fn) / n, a.f_weighted += f * (tp + fn) / n;
        pe += (tp + fp) / n * ((tp + fn) / n);
        sum_tp += (tp + fp) * (tp + fn), sum_pp += (tp + fp) * (tp + fp), sum_tt += (tp + fn) * (tp + fn);
    }
    a.p_macro /= present, a.r_macro /= present, a.f_macro /= present, a.j_macro /= present;
    a.acc = hits / n;
    a.kappa = (a.acc - pe) / (1 - pe);
    a.mcc = (hits * n - sum_tp) / sqrtl(((long double)n * n - sum_pp) * ((long double)n * n - sum_tt));
    return a;
}

static void random_classes(int classes, int absent, int n) {
    struct tally t;
    int *y = X_NEW(int, (size_t)n), *g = X_NEW(int, (size_t)n);
    tally_init(&t, classes, 0);
    for (int i = 0; i < n; i++) {
        y[i] = (int)rng_below(1, (uint64_t)classes, (uint64_t)i, (uint64_t)(classes - absent));
        g[i] = rng_unit(2, 0, (uint64_t)i) < 0.6 ? y[i] : (int)rng_below(3, 0, (uint64_t)i, (uint64_t)(classes - absent / 2));
        tally_guess(&t, y[i], g[i]);
    }
    struct again a = from_pairs(y, g, n, classes);
    double worst = 0;
    const struct {
        const char *name;
        long double want;
    } all[] = {{"acc", a.acc}, {"precision_macro", a.p_macro}, {"recall_macro", a.r_macro}, {"f1_macro", a.f_macro}, {"jaccard_macro", a.j_macro},
        {"hamming", 1 - a.acc}, {"f1_micro", a.acc}, {"precision_weighted", a.p_weighted}, {"recall_weighted", a.r_weighted}, {"f1_weighted", a.f_weighted},
        {"kappa", a.kappa}, {"mcc", a.mcc}};
    for (size_t i = 0; i < LEN(all); i++) worst = fmax(worst, fabs(value(&t, all[i].name) - (double)all[i].want));
    tap_ok(worst <= 1e-12, "%d classes, %d of them without labels: twelve metrics within %.1e", classes, absent, worst);
    tally_release(&t);
    free(y);
    free(g);
}

/* y = 0 0 1 1 2 2, guesses 0 2 1 1 1 0; class 3 never: by hand P = 1/2 2/3 0, R = 1/2 1 0, F1 = 1/2 4/5 0. */
static void by_hand(void) {
    static const int y[] = {0, 0, 1, 1, 2, 2}, g[] = {0, 2, 1, 1, 1, 0};
    struct tally t;
    tally_init(&t, 4, 0);
    for (int i = 0; i < 6; i++) tally_guess(&t, y[i], g[i]);
    tap_near(value(&t, "acc"), 0.5, 1e-15, "accuracy 3 of 6");
    tap_near(value(&t, "precision_macro"), (0.5 + 2.0 / 3) / 3, 1e-15, "macro precision leaves an absent class out and counts a missed one as 0");
    tap_near(value(&t, "f1_macro"), (0.5 + 0.8) / 3, 1e-15, "macro F1");
    tap_near(value(&t, "kappa"), (0.5 - 1.0 / 3) / (1 - 1.0 / 3), 1e-15, "kappa");
    struct val *c = tally_classes(&t, NULL);
    tap_ok(!val_get(val_at(c, 3), "precision") && val_get_num(val_at(c, 2), "f1", -1) == 0, "a class that never occurs has no rates, one never right has 0");
    val_free(c);
    tally_release(&t);
    double lo, hi;
    metric_wilson(8, 10, &lo, &hi);
    tap_ok(fabs(lo - 0.4901624715366814) < 1e-12 && fabs(hi - 0.9433178485456247) < 1e-12, "Wilson interval of 8 in 10: %.15f %.15f", lo, hi);
    metric_wilson(0, 0, &lo, &hi);
    tap_ok(lo == 0 && hi == 1, "Wilson interval of nothing");
    tap_near(metric_mcnemar(2, 8), 0.109375, 1e-12, "McNemar exact 2 against 8: 2 (1 + 10 + 45) / 1024");
    tap_near(metric_mcnemar(0, 0), 1, 0, "McNemar of no difference");
}

static void scores(void) {
    /* one logit pair a row; p1 = 1 / (1 + exp(z0 - z1)) */
    static const float z[] = {0, 2, 0, -1, 0, 1, 0, -2, 0, 1, 0, 0.5f};
    static const int32_t y[] = {1, 0, 1, 0, 0, 1};
    struct tally t;
    tally_init(&t, 2, 6);
    tally_logits(&t, z, y, 6, NULL);
    /* positives 2, 1, .5; negatives -1, -2, 1: pairs 9, won 7 + half of the tie (1, 1) = 7.5, lost (.5, 1) */
    tap_near(value(&t, "auroc"), 7.5 / 9, 1e-12, "AUROC by pairs, a tie counts half");
    /* thresholds 2: P 1 R 1/3; 1: P 2/3 R 2/3; .5: P 3/4 R 1 */
    tap_near(value(&t, "ap"), 1.0 / 3 + 2.0 / 3 / 3 + 3.0 / 4 / 3, 1e-12, "average precision by steps");
    double ll = 0, br = 0;
    for (int i = 0; i < 6; i++) {
        double p = 1 / (1 + exp((double)z[2 * i] - (double)z[2 * i + 1]));
        ll -= log(y[i] ? p : 1 - p) / 6;
        br += (p - y[i]) * (p - y[i]) / 6;
    }
    tap_near(value(&t, "log_loss"), ll, 1e-7, "log loss");
    tap_near(value(&t, "brier"), br, 1e-7, "Brier score");
    /* said: 1 0 1 0 1 1; by hand, as scikit-learn 1.9 gives them: tn 2, fp 1, fn 0; hinge of the differences 0 0 0 0 2 .5 */
    tap_near(value(&t, "specificity"), 2.0 / 3, 1e-12, "specificity");
    tap_near(value(&t, "npv"), 1, 1e-12, "negative predictive value");
    tap_near(value(&t, "hinge"), 2.5 / 6, 1e-12, "hinge loss");
    double worst_bin = 0;
    for (int b = 0; b < 15; b++) {
        double conf = 0, right = 0, n = 0;
        for (int i = 0; i < 6; i++) {
            double p1 = 1 / (1 + exp((double)z[2 * i] - (double)z[2 * i + 1])), top = fmax(p1, 1 - p1);
            if (top <= b / 15.0 || top > (b + 1) / 15.0) continue;
            conf += top, right += (p1 > 0.5) == (y[i] == 1), n++;
        }
        if (n > 0) worst_bin = fmax(worst_bin, fabs(conf - right) / n);
    }
    tap_near(value(&t, "mce"), worst_bin, 1e-6, "largest calibration error of a bin");
    tally_release(&t);
    static const float guess[] = {2.5f, 0, 2, 8}, real[] = {3, -0.5f, 2, 7}; /* scikit-learn's own example: mse 0.375, mae 0.5, r2 0.948608137 */
    tally_init(&t, 0, 0);
    tally_values(&t, guess, real, 4);
    tap_near(value(&t, "mse"), 0.375, 1e-12, "mse");
    tap_near(value(&t, "mae"), 0.5, 1e-12, "mae");
    tap_near(value(&t, "rmse"), sqrt(0.375), 1e-12, "rmse");
    tap_near(value(&t, "r2"), 1 - 1.5 / 29.1875, 1e-12, "r2");
    struct val *v = tally_values_val(&t);
    tap_ok(!val_get(v, "acc") && !val_get(v, "f1_macro") && val_get(v, "mse"), "a regression has no accuracy");
    val_free(v);
    tally_release(&t);
}

/* ---- thresholds ---- */

struct at {
    double recall, precision, cost;
}; /* of a threshold, counted from the pairs alone */
static struct at count_at(const float *p, const int32_t *y, int n, double t, double fp_cost, double fn_cost) {
    double tp = 0, fp = 0, fn = 0;
    for (int i = 0; i < n; i++) {
        bool flagged = (double)p[2 * i + 1] >= t;
        tp += flagged && y[i] == 1, fp += flagged && y[i] == 0, fn += !flagged && y[i] == 1;
    }
    return (struct at){tp / (tp + fn), tp + fp > 0 ? tp / (tp + fp) : 0, (fp_cost * fp + fn_cost * fn) / n};
}

/* Against every threshold that the rows tell apart: of those with the recall none has a larger precision, and so on. */
static void picked(const char *spec_text, int n, double levels) {
    struct err e = {0};
    struct threshold t;
    struct tally rows, counted;
    float *z = X_NEW(float, 2 * (size_t)n);
    int32_t *y = X_NEW(int32_t, (size_t)n);
    tally_init(&rows, 2, n);
    for (int i = 0; i < n; i++) {
        y[i] = rng_unit(7, 1, (uint64_t)i) < 0.3;
        z[2 * i + 1] = (float)(floor(levels * (rng_unit(7, 2, (uint64_t)i) + 0.7 * y[i])) / levels * 4 - 3); /* ties */
    }
    tally_logits(&rows, z, y, n, NULL);
    struct val *spec = args_text(spec_text);
    bool ok = threshold_init(&t, spec, &e) == 0 && threshold_class(&t, 2, NULL, &e) == 0 && threshold_pick(&t, &rows, "val", &e) == 0;
    double fp = isnan(t.fp) ? 1 : t.fp, fn = isnan(t.fn) ? 1 : t.fn;
    struct at is = count_at(rows.prob, y, n, t.at, fp, fn);
    for (int i = 0; ok && i <= n; i++) {
        struct at other = count_at(rows.prob, y, n, i < n ? (double)rows.prob[2 * i + 1] : 2, fp, fn);
        if (!isnan(t.recall)) ok = is.recall >= t.recall && (other.recall < t.recall || other.recall >= is.recall);
        else if (!isnan(t.precision)) ok = is.precision >= t.precision && (other.precision < t.precision || other.recall <= is.recall);
        else ok = other.cost >= is.cost - 1e-12;
    }
    ok = ok && threshold_tally(&t, &rows, &counted, &e) == 0;
    tap_ok(ok, "%s: threshold %.4f, recall %.3f, precision %.3f, cost %.3f%s", spec_text, t.at, is.recall, is.precision, is.cost, e.text);
    if (ok) {
        tap_near((double)counted.confusion[3] / (double)(counted.confusion[2] + counted.confusion[3]), is.recall, 1e-12, "and the rows are counted by it");
        tap_ok(value(&counted, "auroc") == value(&rows, "auroc") && counted.n == rows.n, "while what needs no threshold stays");
        if (!isnan(t.fp)) tap_near(threshold_cost(&t, &counted), is.cost, 1e-12, "the cost of a row");
        threshold_untally(&counted);
    }
    val_free(spec);
    threshold_release(&t);
    tally_release(&rows);
    free(z), free(y);
}

static void thresholds(void) {
    picked("{recall=0.95}", 400, 1e6);
    picked("{recall=1}", 400, 12);
    picked("{precision=0.6}", 400, 1e6);
    picked("{precision=0.8}", 400, 12);
    picked("{fp=1, fn=5}", 400, 1e6);
    picked("{fp=9, fn=1}", 400, 12);
    picked("{fp=1, fn=0}", 50, 12); /* none is positive */
    static const struct {
        const char *text, *why;
    } bad[] = {{"{recall=0.9, precision=0.9}", "give one of"}, {"{fp=1}", "give one of"}, {"{}", "give one of"}, {"1.5", "must be a number from 0 to 1"},
        {"{recal=0.9}", "did you mean 'recall'"}};
    for (size_t i = 0; i < LEN(bad); i++) {
        struct err e = {0};
        struct threshold t;
        struct val *v = args_text(bad[i].text);
        tap_ok(threshold_init(&t, v, &e) < 0 && strstr(e.text, bad[i].why), "%s: %s", bad[i].text, e.text);
        val_free(v);
    }
    struct err e = {0};
    struct threshold t;
    struct val *v = args_text("{0.5, positive=\"maybe\"}"), *hard = args_text("{precision=0.99}");
    static const char *const names[] = {"no", "yes"};
    tap_ok(threshold_init(&t, v, &e) == 0 && threshold_class(&t, 2, names, &e) < 0 && strstr(e.text, "\"no\" and \"yes\""), "%s", e.text);
    tap_ok(threshold_class(&t, 3, NULL, &e) < 0 && strstr(e.text, "the model has 3"), "%s", e.text);
    threshold_release(&t);
    struct tally rows;
    tally_init(&rows, 2, 4);
    tally_logits(&rows, (const float[]){0, 1, 0, 1, 0, 0, 0, -1}, (const int32_t[]){1, 0, 1, 0}, 4, NULL); /* precisions 1/2, 2/3, 1/2 */
    tap_ok(threshold_init(&t, hard, &e) == 0 && threshold_class(&t, 2, names, &e) == 0 && threshold_pick(&t, &rows, "val", &e) < 0 &&
               strstr(e.text, "the best has 0.6667"),
        "%s", e.text);
    threshold_release(&t);
    tally_release(&rows);
    val_free(v), val_free(hard);
}

/* ---- schedules ---- */

static struct val *spec(const char *name) {
    struct val *t = val_table();
    val_set_str(t, "sched", name);
    return t;
}
static double lr_at(const struct sched *s, int64_t step, int64_t steps, int64_t epoch, int64_t epochs) {
    return sched_lr(s, 0.1, &(struct sched_at){step, steps, epoch, epochs});
}
typedef double (*closed)(double x);
static double c_constant(double x) { return (void)x, 0.1; }
static double c_step(double x) { return 0.1 * pow(0.5, floor(x / 30)); }
static double c_multi(double x) { return 0.1 * (x >= 80 ? 0.01 : x >= 20 ? 0.1 : 1); }
static double c_exp(double x) { return 0.1 * exp(x * log(0.97)); }
static double c_cosine(double x) { return 0.001 + 0.099 * (1 + cos(M_PI * x / 100)) / 2; }
static double c_warm(double x) { return x < 10 ? 0.1 * (0.2 + 0.8 * x / 10) : 0.1 * (1 + cos(M_PI * (x - 10) / 90)) / 2; }
static double c_poly(double x) { return 0.01 + 0.09 * (1 - x / 100) * (1 - x / 100); }
static double c_cycle(double x) { /* torch.optim.lr_scheduler.OneCycleLR, max_lr 0.1, 100 steps, cos */
    double a = 0.1 / 25, b = 0.1, c = 0.1 / 25 / 1e4;
    if (x <= 29) return a + (b - a) * (1 - cos(M_PI * x / 29)) / 2;
    return b + (c - b) * (1 - cos(M_PI * (x - 29) / 70)) / 2;
}
static double c_chain(double x) { return x < 40 ? 0.1 * pow(0.9, x) : 0.1 * pow(0.5, floor((x - 40) / 7)); }

static void check(const char *name, struct val *v, closed f, bool by_epoch) {
    struct err e = {0};
    struct sched *s = sched_new(v, &e);
    double worst = s ? 0 : 1;
    for (int x = 0; s && x < 100; x++) worst = fmax(worst, fabs(by_epoch ? lr_at(s, x * 7 + 3, 700, x, 100) - f(x) : lr_at(s, x, 100, x / 10, 10) - f(x)));
    tap_ok(worst <= 1e-15, "%s equals its closed form at 100 positions (%.1e) %s", name, worst, e.text);
    sched_free(s);
    val_free(v);
}

static struct val *by(struct val *t, const char *name, double x) {
    val_set_num(t, name, x);
    return t;
}

static void schedules(void) {
    struct val *v, *at = val_list(), *chain = spec("chain");
    check("constant", spec("constant"), c_constant, false);
    check("step, by epochs", by(by(spec("step"), "every", 30), "gamma", 0.5), c_step, true);
    val_push(at, val_int(20));
    val_push(at, val_int(80));
    v = spec("multi_step");
    val_set(v, "at", at);
    check("multi_step, by epochs", v, c_multi, true);
    check("exponential, by epochs", by(spec("exponential"), "gamma", 0.97), c_exp, true);
    check("cosine with min", by(spec("cosine"), "min", 0.001), c_cosine, false);
    v = by(by(spec("warmup"), "steps", 10), "from", 0.2);
    val_set(v, "next", spec("cosine"));
    check("warmup then cosine", v, c_warm, false);
    check("polynomial", by(by(spec("polynomial"), "power", 2), "min", 0.01), c_poly, false);
    check("one_cycle", spec("one_cycle"), c_cycle, false);
    val_push(chain, by(spec("exponential"), "gamma", 0.9));
    val_push(chain, by(by(spec("step"), "every", 7), "gamma", 0.5));
    at = val_list();
    val_push(at, val_int(40));
    val_set(chain, "at", at);
    check("chain", chain, c_chain, false);

    v = by(by(spec("plateau"), "factor", 0.5), "patience", 2);
    struct sched *s = sched_new(v, NULL);
    static const double seen[] = {0.5, 0.6, 0.6, 0.59, 0.58, 0.7, 0.7, 0.7, 0.7};
    static const double want[] = {0.1, 0.1, 0.1, 0.1, 0.05, 0.05, 0.05, 0.05, 0.025};
    bool ok = true;
    for (size_t i = 0; i < LEN(seen); i++) {
        sched_metric(s, seen[i], true);
        ok = ok && fabs(lr_at(s, 1, 100, 0, 10) - want[i]) < 1e-15;
        struct val *state = sched_state(s); /* through its saved state each time */
        sched_free(s);
        s = sched_new(v, NULL);
        sched_restore(s, state);
        val_free(state);
    }
    tap_ok(ok, "plateau cuts after more than `patience` evaluations without progress, also through its saved state");
    sched_free(s);
    val_free(v);
    struct err e = {0};
    v = val_str("cosin");
    tap_ok(!sched_new(v, &e) && strstr(e.text, "\"cosine\""), "a wrong schedule names the nearest: %s", e.text);
    val_free(v);
}

int main(void) {
    by_hand();
    random_classes(2, 0, 500);
    random_classes(5, 0, 37);
    random_classes(77, 9, 3080);
    random_classes(10, 4, 100);
    scores();
    thresholds();
    schedules();
    return tap_done();
}
