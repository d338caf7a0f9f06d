/* What an evaluation was worth: whether it is the best so far, by how much, and how many there were since. When steps that left the range of fp16 are too many. */
#include <math.h>
#include <string.h>

#include "engine/train/train.h"
#include "src/base/log.h"
#include "tests/tap.h"

struct seen {
    double value;
    bool better;
    int waited; /* afterwards */
};

static void judged(const char *metric, double min_delta, const struct seen *s, int n, const char *what) {
    struct err e = {0};
    struct train t = {.metric = metric_find(metric), .sched = sched_new(NULL, &e), .best_step = -1, .a = {.min_delta = min_delta}};
    int wrong = 0;
    double best = NAN;
    int64_t step = -1;
    for (int i = 0; i < n; i++) {
        struct val *v = val_table();
        t.n_step = 10 * (i + 1);
        val_set_num(v, metric, s[i].value);
        if (s[i].better) best = s[i].value, step = t.n_step;
        bool is = train_judge(&t, v);
        wrong += is != s[i].better || t.waited != s[i].waited || t.best_step != step || (step >= 0 && t.best != best);
        val_free(v);
    }
    sched_free(t.sched);
    tap_ok(wrong == 0, "%s: %d of %d evaluations are judged otherwise", what, wrong, n);
}

static void quiet(void *ctx, enum log_level level, const char *text) { (void)ctx, (void)level, (void)text; }
static void overflows(void) {
    struct err e = {0};
    struct train t = {.n_step = 6};
    int n = 0;
    while (n < 1000 && train_overflow(&t, &e) == 0) n++;
    tap_ok(n == 99 && t.skipped == 100 && e.code == ERR_GOAL && strstr(e.text, "step 7 was the 100th in a row"), "%d steps are let pass, then: %s", n, e.text);
}

int main(void) {
    static const struct seen higher[] = {{1, true, 0}, {1.25, false, 1}, {1.5, true, 0}, {0.5, false, 1}, {NAN, false, 2}, {INFINITY, false, 3}, {2, true, 0}};
    static const struct seen lower[] = {{NAN, false, 1}, {-INFINITY, false, 2}, {4, true, 0}, {3.75, false, 1}, {5, false, 2}, {3.5, true, 0}};
    static const struct seen any[] = {{4, true, 0}, {4, false, 1}, {3.999, true, 0}, {4, false, 1}};
    judged("acc", 0.25, higher, 7, "more is better, by more than 0.25");
    judged("loss", 0.25, lower, 6, "less is better, by more than 0.25");
    judged("loss", 0, any, 4, "by anything, but not by nothing");
    log_set_sink(quiet, NULL);
    overflows();
    return tap_done();
}
