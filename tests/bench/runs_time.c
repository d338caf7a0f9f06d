/* Times what screens Runs and Compare ask of a folder of runs (t.R1), on one that runs_make made:
 *   tests/bench/runs_time DIR [METRIC]
 * One line a figure: ms, best and worst of 9 with a warm cache. First the functions alone, then the screens from a key to the finished frame, the
 * helper thread's answer included. */
#include "config.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "src/base/io.h"
#include "src/base/mem.h"
#include "src/base/thread.h"
#include "src/call/settings.h"
#include "src/stored/shelf.h"
#include "src/script/script.h"
#include "ui/private.h"

enum { TRIES = 9, POINTS = 400, COMPARED = 8 };

static const char *dir, *metric;
static struct shelf *list;
static char *index_file;

static void say(const char *what, double (*fn)(void)) {
    double best = 1e9, worst = 0;
    for (int i = 0; i < TRIES; i++) {
        double ms = fn() * 1e3;
        if (ms < best) best = ms;
        if (ms > worst) worst = ms;
    }
    printf("%-58s %9.3f .. %9.3f ms\n", what, best, worst);
    fflush(stdout);
}

/* ---- the functions ---- */

static double list_read(const struct shelf *was) {
    double t0 = clock_now();
    shelf_unref(shelf_read(dir, was, NULL));
    return clock_now() - t0;
}
static double list_bare(void) {
    unlink(index_file);
    return list_read(NULL);
}
static double list_indexed(void) { return list_read(NULL); }
static double list_again(void) { return list_read(list); }
static double condition(void) {
    bool *keep = X_NEW(bool, list->n + 1);
    double t0 = clock_now();
    script_where("lr > 1e-3 and batch == 64 and best.acc > 0.5", list, keep, NULL);
    double s = clock_now() - t0;
    free(keep);
    return s;
}

static double curves(bool drop) {
    struct bucket b[POINTS];
    for (size_t k = 0; drop && k < COMPARED && k < list->n; k++) {
        char *run = io_join(dir, list->run[k]->name), *path = io_join(run, "series.bin");
        unlink(path);
        free(path);
        free(run);
    }
    double t0 = clock_now();
    for (size_t k = 0; k < COMPARED && k < list->n; k++) stored_series(dir, list->run[k]->name, metric, b, POINTS, NULL);
    return clock_now() - t0;
}
static double curves_stored(void) { return curves(false); }
static double curves_made(void) { return curves(true); }

/* ---- the screens ---- */

static struct hub *hub;
static struct runs *rs;
static struct ui *u;
static atomic_bool quit;

static void *helper(void *arg) {
    (void)arg;
    while (!atomic_load(&quit)) hub_serve(hub, OWNER_HELPER, 20);
    return NULL;
}

static void dashboard(void) {
    struct term_info t = {.term = "xterm-256color", .codeset = "UTF-8", .colors = "auto", .glyphs = "auto", .rows = 50, .cols = 200};
    if (u) ui_free(u);
    u = ui_new(hub, NULL);
    ui_port(u)->attach(u->port.ctx, &t, NULL);
}

/* Keys to the frame that shows their answer. */
static double keys(const char *k) {
    struct buf frame = BUF_INIT;
    double t0 = clock_now();
    ui_port(u)->input(u, k, strlen(k));
    do ui_port(u)->frame(u, &frame);
    while (u->waiting);
    ui_port(u)->frame(u, &frame);
    double s = clock_now() - t0;
    buf_release(&frame);
    return s;
}

static double open_list(void) { /* a dashboard that has seen nothing */
    dashboard();
    return keys("3");
}
static double type_words(void) {
    static const char *const word[] = {"a", "d", "a", "m"};
    double worst = 0;
    keys("3/\x15");
    for (size_t i = 0; i < LEN(word); i++) {
        double s = keys(word[i]);
        if (s > worst) worst = s;
    }
    keys("\x15\r");
    return worst;
}
static double type_condition(void) {
    keys("3/\x15lr > 1e-");
    double s = keys("3");
    keys("\x15\r");
    return s;
}
static double open_compare(void) {
    dashboard();
    keys("3");
    for (int i = 0; i < COMPARED; i++) keys("x");
    return keys("4");
}

int main(int argc, char **argv) {
    static const struct cmd *const *const lists[] = {cmds_call, cmds_run, cmds_ui, NULL};
    pthread_t t;
    if (argc < 2) {
        fprintf(stderr, "usage: %s DIR [METRIC]\n", argv[0]);
        return 2;
    }
    dir = argv[1];
    metric = argc > 2 ? argv[2] : "loss";
    index_file = io_join(dir, ".index");
    list = shelf_read(dir, NULL, NULL);
    if (!list || !list->n) return 1;
    printf("%zu runs, %zu metrics in the first, %lld steps\n", list->n, list->run[0]->n_metric, (long long)list->run[0]->step);
    say("list without its index", list_bare);
    say("list with its index", list_indexed);
    say("list that is there already", list_again);
    say("condition in Lua on every run", condition);
    say("one metric of 8 runs", curves_stored);
    say("screen Runs: key to frame, first time",
        (settings_init(), rs = runs_new(dir), runs_set_where(rs, script_where), hub = hub_new(lists, rs), pthread_create(&t, NULL, helper, NULL), open_list));
    say("screen Runs: worst of 4 keystrokes of a filter of words", type_words);
    say("screen Runs: keystroke of a condition, answer shown", type_condition);
    say("screen Compare: 8 runs, key to frame, first time", open_compare);
    if (argc > 3) say("one metric of 8 runs, curves made again from metrics.bin", curves_made);
    atomic_store(&quit, true);
    hub_quit(hub);
    pthread_join(t, NULL);
    hub_free(hub);
    ui_free(u);
    runs_free(rs);
    shelf_unref(list);
    free(index_file);
    return 0;
}
