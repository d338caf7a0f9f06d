/* Screens Runs and Compare over a folder of made runs: as text against golden files (UPDATE_GOLDEN=1 rewrites them), and what their keys do. */
#include "config.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "src/base/io.h"
#include "src/base/mem.h"
#include "src/base/rng.h"
#include "src/call/settings.h"
#include "src/stored/about.h"
#include "src/stored/shelf.h"
#include "src/script/script.h"
#include "tests/tap.h"
#include "tests/ui/golden.h"
#include "ui/runs.h"

enum { RUNS = 14, STEPS = 600 };
#define WIDE "\xe4\xb8\xad\xe6\x96\x87\xe8\xb7\x91" /* three characters of two columns */

static double fx_time = 1000;
static double fx_clock(void) { return fx_time; }
static uint64_t fx_stream;

static struct val *start_of(int i) {
    static const char *const optims[] = {"adam", "sgd", "lion"};
    struct val *start = val_table(), *config = val_table(), *optim = val_table(), *sched = val_table();
    val_set_str(optim, "optim", optims[i / 2 % 3]);
    val_set_num(optim, "lr", 0.0001 * (1 + i % 5));
    val_set_num(optim, "weight_decay", 0.01);
    val_set_str(sched, "sched", i % 4 == 3 ? "constant" : "cosine");
    val_set_int(config, "batch", 32 << i % 3);
    val_set(config, "optim", optim);
    val_set(config, "sched", sched);
    val_set_str(start, "model", "mlp");
    val_set_int(start, "params", 407050);
    val_set_int(start, "seed", 1);
    val_set_str(start, "data", "made");
    val_set(start, "config", config);
    if (i >= 12) { /* twins of run 1 */
        val_free(start);
        start = start_of(0);
        val_set_int(start, "seed", i);
    }
    return start;
}

/* A checkpoint of as many bytes as are missing to a round size: run.json tells the machine and is not of the same length everywhere. */
static void fill_up(const char *dir, int64_t bytes) {
    struct shelf_row *r = row_read(dir, "x");
    char *ckpt = io_join(dir, "ckpt/600"), *file = io_join(dir, "ckpt/600/model.safetensors");
    struct err e = {0};
    io_mkdirs(ckpt, 0777, &e);
    int fd = open(file, O_WRONLY | O_CREAT, 0600);
    if (fd < 0 || ftruncate(fd, bytes - row_run(r)->bytes) != 0) printf("# %s cannot be made\n", file);
    if (fd >= 0) close(fd);
    row_unref(r);
    free(ckpt);
    free(file);
}

static void make(const char *dir, int i) {
    static const char *const names[] = {"loss", "acc", "val_loss", "val_acc"};
    struct runs *rs = runs_new(dir);
    runs_set_clock(rs, fx_clock);
    struct run *r = run_new(rs, i == 7 ? "wide" : i >= 12 ? "seed" : "mlp", NULL);
    run_info(r, start_of(i));
    run_set_state(r, RUN_TRAINING);
    for (int64_t s = 1; s <= (i == 5 ? 100 : STEPS); s++) {
        double x = (double)s / STEPS, z = rng_unit(fx_stream, (uint64_t)s, (uint64_t)i) - 0.5, fall = exp(-x * (4 + i % 5));
        double v[] = {0.1 + 2 * fall + 0.05 * z, 0.95 - 0.8 * fall + 0.01 * z, 0.15 + 2 * fall, 0.94 - 0.005 * (i % 6) - 0.8 * fall};
        if (i == 5 && s > 90) v[0] = NAN;
        run_metrics(r, s, x * 3, names, v, 4);
        if (s == 300 && i == 1) run_journal(rs, r, "run:set(\"lr\", 0.00005)", s);
        fx_time += 0.01;
    }
    run_end(r, i == 5 ? RUN_FAILED : RUN_DONE, i == 5);
    runs_flush(rs, 10);
    char *path = mem_str(run_dir(r));
    runs_free(rs);
    fill_up(path, (int64_t)(i + 1) << 20);
    free(path);
}

static struct hub *hub;
static struct ui *u;

/* The helper's answers, until none is waited for. */
static void settle(struct buf *frame) {
    for (int i = 0; i < 50; i++) {
        fx_time += 0.01;
        buf_clear(frame);
        ui_port(u)->frame(u, frame);
        if (!hub_serve(hub, OWNER_HELPER, 0) && !u->waiting) break;
    }
    fx_time += 0.6;
    ui_port(u)->frame(u, frame);
}

static void attach(int rows, int cols) {
    struct term_info t = {.term = "xterm-256color", .codeset = "UTF-8", .colors = "auto", .glyphs = "ascii", .rows = rows, .cols = cols};
    struct err e = {0};
    ui_port(u)->attach(u, &t, &e);
}

static void keys(const char *k) { ui_port(u)->input(u, k, strlen(k)); }

static void press(const char *k) { /* one key after the other, a lone Esc with its time */
    struct buf frame = BUF_INIT;
    for (; *k; k++) {
        char one[2] = {*k, 0};
        keys(one);
        fx_time += 0.1;
        settle(&frame);
    }
    buf_release(&frame);
}

static char *screen(void) {
    struct buf text = BUF_INIT;
    ui_port(u)->last_screen(u, &text);
    return buf_take(&text);
}

static bool shows(const char *part) {
    char *text = screen();
    bool found = strstr(text, part) != NULL;
    if (!found) printf("# not shown: %s\n", part), tap_note(text);
    free(text);
    return found;
}

static void golden(const char *name, int rows, int cols) {
    char *text = screen();
    tap_ok(golden_same(name, rows, cols, text), "t.S1 %s at %dx%d", name, cols, rows);
    free(text);
}

static void mark(const char *name) { /* or takes the mark away */
    struct err e = {0};
    struct val *t = val_table();
    val_set_str(t, "run", name);
    struct call *c = call_new(hub, "mark", t, BY_KEY, &e);
    if (c) ui_call(u, c);
    else printf("# %s\n", e.text);
}

static void shots(void) {
    static const char *const four[] = {"mlp-1", "mlp-2", WIDE, "seed-2"};
    for (size_t z = 0; z < LEN(sizes); z++) {
        attach(sizes[z].rows, sizes[z].cols);
        press("3");
        for (size_t i = 0; i < LEN(four); i++) mark(four[i]);
        press("3");
        golden("runs", sizes[z].rows, sizes[z].cols);
        press("4");
        golden("compare", sizes[z].rows, sizes[z].cols);
        for (size_t i = 0; i < LEN(four); i++) mark(four[i]);
    }
}

static void list_tests(void) {
    attach(24, 80);
    press("3");
    tap_ok(shows("14 runs") && shows("x") && shows("base"), "the runs of the folder, with their baseline");
    press("/lr > 4.5e-4\r");
    tap_ok(shows("2 shown"), "a condition in Lua filters");
    press("/\x15"
          "adam cosine\r");
    tap_ok(shows("5 shown"), "words filter");
    press("/\x15"
          "lr >\r");
    tap_ok(shows("no condition on runs"), "a mistake in a condition is said");
    press("/\x15\r");
    tap_ok(shows("14 runs  order"), "and without a filter all come back");
    press("o");
    tap_ok(shows("order: best down"), "o orders by the best value");
    press("O");
    tap_ok(shows("order: best up"), "O the other way round");
    press("b");
    struct err e = {0};
    struct shelf *s = runs_shelf_read(hub_runs(hub), &e);
    tap_ok(shelf_baseline(s) && shows("base"), "b sets the baseline");
    shelf_unref(s);
}

static void compare_tests(void) {
    static const char *const three[] = {"mlp-1", "seed-1", "seed-2"};
    for (size_t i = 0; i < LEN(three); i++) mark(three[i]);
    press("4");
    tap_ok(shows("1 differ") && shows("  seed "), "exactly what differs is listed");
    press("a");
    tap_ok(shows("mean over seeds") && shows("mlp-1 +2 seeds"), "runs that differ only in the seed are joined");
    press("a");
    tap_ok(shows("mean over seeds, 95 %"), "with the 95 %% interval of their mean as a band");
    press("a");
    mark("mlp-2");
    press("4");
    tap_ok(shows("v x lr 0.00005"), "an edit of a run is a mark of the chart");
    for (int i = 3; i < 7; i++) {
        char name[16];
        snprintf(name, sizeof name, "mlp-%d", i);
        mark(name);
    }
    press("z");
    tap_ok(shows("5 differ") && shows("sched.sched") && shows("batch"), "z shows the whole table of differences of 8 runs");
    press("z");
    mark("mlp-9");
    press("4");
    tap_ok(shows("mlp-6") && u->n_log > 0 && strstr(log_at(u, u->n_log - 2)->text, "8 runs are marked"), "a ninth run is refused");
}

/* Any size: nothing is written past an edge (the grid clips) and the names of the screens stand. */
static void size_tests(void) {
    int bad = 0;
    for (uint64_t i = 0; i < 60; i++) {
        int rows = 10 + (int)rng_below(fx_stream, 9, i, 60), cols = 40 + (int)rng_below(fx_stream, 10, i, 200);
        attach(rows, cols);
        press(i % 3 == 0 ? "3" : i % 3 == 1 ? "4" : "4z");
        char *text = screen();
        bad += !strstr(text, i % 3 == 0 ? "Runs" : "Compare");
        free(text);
        if (i % 3 == 2) press("z");
    }
    tap_ok(bad == 0, "60 sizes from 40x10 on");
}

int main(void) {
    static const struct cmd *const *const lists[] = {cmds_call, cmds_run, cmds_ui, NULL};
    char base[] = "/tmp/hone-screens-XXXXXX";
    struct err e = {0};
    tap_ok(mkdtemp(base) != NULL, "folder");
    char *dir = io_join(base, "runs"), *first = io_join(dir, "mlp-1");
    settings_init();
    fx_stream = rng_stream(1, "screens", 0);
    for (int i = 0; i < RUNS; i++) make(dir, i);
    about_tag(first, "baseline", true, &e);
    char *wide = io_join(dir, "wide-1"), *name = io_join(dir, WIDE);
    if (rename(wide, name) != 0) printf("# no wide name\n");
    free(wide);
    free(name);
    struct runs *rs = runs_new(dir);
    runs_set_clock(rs, fx_clock);
    runs_set_where(rs, script_where);
    hub = hub_new(lists, rs);
    u = ui_new(hub, NULL);
    u->clock = fx_clock;
    shots();
    list_tests();
    compare_tests();
    size_tests();
    hub_quit(hub);
    hub_free(hub);
    ui_free(u);
    runs_free(rs);
    io_remove_tree(base, &e);
    free(dir);
    free(first);
    return tap_done();
}
