/* Conditions on runs, as hone ls --where and the filter of screen Runs take them: what they see, and what they cannot do. */
#include "config.h"

#include <stdlib.h>

#include "src/base/io.h"
#include "src/base/err.h"
#include "src/base/thread.h"
#include "src/stored/about.h"
#include "src/stored/shelf.h"
#include "src/script/script.h"
#include "tests/tap.h"

enum { RUNS = 10 };

static void make(const char *dir, int i) {
    static const char *const names[] = {"loss", "acc"};
    struct runs *rs = runs_new(dir);
    struct run *r = run_new(rs, "r", NULL);
    struct val *start = val_table(), *config = val_table(), *optim = val_table();
    val_set_num(optim, "lr", 0.001 * (i + 1));
    val_set_str(optim, "optim", i % 2 ? "adam" : "sgd");
    val_set(config, "optim", optim);
    val_set_bool(config, "shuffle", i % 2);
    val_set(start, "config", config);
    val_set_int(start, "seed", i);
    val_set_int(start, "params", 1000);
    run_info(r, start);
    for (int s = 1; s <= 5; s++) run_metrics(r, s, 0, names, (double[]){1.0 / (s + i), s == 3 ? 0.9 : 0.5}, 2);
    run_end(r, i == 4 ? RUN_FAILED : RUN_DONE, 0);
    runs_free(rs);
}

/* Which runs it holds for, as digits; "!" and the reason where it is refused. */
static const char *holds(const struct shelf *s, const char *text) {
    static char out[ERR_TEXT + 2];
    bool keep[RUNS];
    struct err e = {0};
    size_t n = 0;
    if (script_where(text, s, keep, &e) != 0) snprintf(out, sizeof out, "!%s", e.text);
    else {
        for (size_t i = 0; i < s->n; i++)
            if (keep[i]) out[n++] = (char)('0' + i);
        out[n] = 0;
    }
    return out;
}

int main(void) {
    char dir[] = "/tmp/hone-where-XXXXXX";
    struct err e = {0};
    tap_ok(mkdtemp(dir) != NULL, "folder");
    for (int i = 0; i < RUNS; i++) make(dir, i);
    char *one = io_join(dir, "r-3");
    about_tag(one, "baseline", true, &e);
    struct shelf *s = shelf_read(dir, NULL, &e);
    static const struct {
        const char *text, *want, *name;
    } cases[] = {{"lr > 5e-3 and optim == 'adam'", "579", "values of the configuration by their last name"},
        {"config['optim.lr'] <= 0.002", "01", "or by the whole"}, {"tag.baseline", "2", "tags"}, {"tag.baseline or lr > 9.5e-3", "29", "and both"},
        {"not shuffle", "02468", "booleans"}, {"state == 'failed'", "4", "the state"}, {"loss < 0.075", "9", "a metric is its last value"},
        {"best.acc == 0.9 and best_step.acc == 3 and seed < 2", "01", "best values and their steps"}, {"max.loss == 1 and min.loss == 0.2", "0", "extremes"},
        {"has(run, 'R-1')", "09", "a part of a name in either case"}, {"val_acc > 0.5 or seed == 7", "!", "a name that no run has is said"},
        {"params == 1000 and abs(seed - 3) <= 1", "234", "arithmetic"}};
    for (size_t i = 0; i < LEN(cases); i++) {
        const char *got = holds(s, cases[i].text);
        if (cases[i].want[0] == '!') tap_ok(got[0] == '!' && strstr(got, "val_acc"), "%s: %s", cases[i].name, got);
        else tap_is(got, cases[i].want, cases[i].name);
    }
    static const char *const refused[] = {"lr >", "while", "os.exit(1)", "io.open('x','w')", "load('return 1')()", "('x'):rep(1e9)", "print(1)",
        "run = 2 return 1", "require 'hone'", "(function() while true do end end)()", "(function() local t = {} while true do t[#t+1] = t end end)()",
        "(function() while true do pcall(error) end end)()", "\x1bLua"};
    int bad = 0;
    double t0 = clock_now();
    for (size_t i = 0; i < LEN(refused); i++) {
        const char *got = holds(s, refused[i]);
        if (got[0] == '!') continue;
        bad++;
        printf("# %s holds for \"%s\"\n", refused[i], got);
    }
    tap_ok(bad == 0, "what is no condition is refused with a reason");
    tap_ok(clock_now() - t0 < 3 * TAP_SLOW, "and no loop holds it up (%.2f s)", clock_now() - t0);
    shelf_unref(s);
    io_remove_tree(dir, &e);
    free(one);
    return tap_done();
}
