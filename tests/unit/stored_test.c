/* Runs on disk: the stored pyramid, the list with its index, what crashed, tags. Each criterion of the specification has its id in the name. */
#include "config.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "src/base/io.h"
#include "src/base/err.h"
#include "src/stored/about.h"
#include "src/stored/shelf.h"
#include "src/run/store.h"
#include "tests/tap.h"

static struct val *config_of(double lr, int64_t seed) {
    struct val *start = val_table(), *config = val_table(), *optim = val_table();
    val_set_num(optim, "lr", lr);
    val_set_str(optim, "optim", "adam");
    val_set(config, "optim", optim);
    val_set_int(config, "batch", 32);
    val_set(start, "config", config);
    val_set_str(start, "model", "mlp");
    val_set_int(start, "seed", seed);
    return start;
}

/* A run of `steps` points of two metrics; the loss falls, with one spike. */
static void make(const char *dir, const char *prefix, int64_t steps, double lr, int64_t seed) {
    static const char *const names[] = {"loss", "acc"};
    struct runs *rs = runs_new(dir);
    struct run *r = run_new(rs, prefix, NULL);
    run_info(r, config_of(lr, seed));
    run_set_state(r, RUN_TRAINING);
    for (int64_t i = 1; i <= steps; i++) {
        run_metrics(r, i, 0, names, (double[]){i == steps / 3 ? 50 : 1.0 / (double)i, (double)i / (double)steps}, 2);
        if (i % 20000 == 0) runs_flush(rs, 30);
    }
    run_end(r, RUN_DONE, 0);
    runs_free(rs);
}

static bool same_buckets(const struct bucket *a, const struct bucket *b, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (a[i].step0 != b[i].step0 || a[i].count != b[i].count || a[i].bad != b[i].bad || a[i].min != b[i].min || a[i].max != b[i].max ||
            fabs(a[i].mean - b[i].mean) > 1e-12 * fabs(b[i].mean))
            return false;
    return true;
}

static void copy_head(const char *from, const char *to, size_t n) {
    struct buf b = BUF_INIT;
    struct err e = {0};
    io_read_file(from, 1 << 28, &b, &e);
    if (n > b.len) n = b.len;
    int fd = open(to, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    io_write_all(fd, b.data, n, to, &e);
    close(fd);
    buf_release(&b);
}

static void pyramid_tests(const char *dir) {
    enum { STEPS = 30000, COLS = 100 };
    struct bucket a[COLS], b[COLS];
    int ka = 0, kb = 0;
    make(dir, "long", STEPS, 0.1, 1);
    char *run = io_join(dir, "long-1"), *file = io_join(run, "series.bin"), *points = io_join(run, "metrics.bin"), *kept = io_join(dir, "kept.bin");
    tap_ok(io_exists(file), "a run that ends leaves its curves in series.bin");
    size_t n = stored_series(dir, "long-1", "loss", a, COLS, &ka);
    float top = 0;
    for (size_t i = 0; i < n; i++)
        if (a[i].max > top) top = a[i].max;
    tap_ok(n > COLS / 2 && top == 50, "the curve of one metric: %zu columns of 2^%d steps, the spike is in it", n, ka);
    copy_head(file, kept, SIZE_MAX);
    unlink(file);
    tap_ok(stored_series(dir, "long-1", "loss", b, COLS, &kb) == n && ka == kb && same_buckets(a, b, n), "without series.bin the same curve from metrics.bin");
    tap_ok(io_exists(file), "which leaves series.bin for the next reader");

    int wrong = 0, tried = 0;
    struct stat st;
    stat(kept, &st);
    for (off_t at = 0; at < st.st_size; at += 311, tried++) { /* a flipped bit anywhere, and a cut */
        copy_head(kept, file, SIZE_MAX);
        int fd = open(file, O_RDWR);
        unsigned char c = 0;
        if (pread(fd, &c, 1, at) != 1) wrong++;
        c ^= 0x10;
        if (pwrite(fd, &c, 1, at) != 1) wrong++;
        close(fd);
        if (stored_series(dir, "long-1", "loss", b, COLS, &kb) != n || !same_buckets(a, b, n)) wrong++;
        copy_head(kept, file, (size_t)at);
        if (stored_series(dir, "long-1", "loss", b, COLS, &kb) != n || !same_buckets(a, b, n)) wrong++;
    }
    tap_ok(wrong == 0, "a damaged or cut series.bin is never believed (%d places)", tried);

    make(dir, "long", STEPS / 2, 0.1, 1); /* the curves of another run, and of a shorter beginning of this one */
    char *other = io_join(dir, "long-2/series.bin");
    copy_head(other, file, SIZE_MAX);
    tap_ok(stored_series(dir, "long-1", "loss", b, COLS, &kb) == n && same_buckets(a, b, n), "nor one that belongs to another run");
    struct metric_ends ends[4];
    int got = pyramid_ends(run, ends, 4, NULL);
    tap_ok(got == 2 && ends[0].ends.hi == 50 && ends[0].ends.hi_step == STEPS / 3 && ends[0].ends.lo == 1.0 / STEPS && ends[1].ends.value == 1,
        "last values and extremes of every metric, with their steps");
    copy_head(points, kept, SIZE_MAX);
    copy_head(kept, points, 40);
    tap_ok(stored_series(dir, "long-1", "loss", b, COLS, &kb) == 0, "nor one whose metrics.bin is gone");
    free(run);
    free(file);
    free(points);
    free(kept);
    free(other);
}

static void shelf_tests(const char *dir) {
    for (int i = 0; i < 12; i++) make(dir, "s", 30 + i, i % 2 ? 0.01 : 0.001, i / 2);
    struct err e = {0};
    char *index = io_join(dir, ".index");
    struct shelf *s = shelf_read(dir, NULL, &e);
    tap_ok(s && s->n == 12 && s->read_anew == 12 && io_exists(index), "a list of 12 runs leaves an index");
    struct shelf *again = shelf_read(dir, NULL, &e);
    tap_ok(again->n == 12 && again->read_anew == 0, "with which none is read anew");
    const struct shelf_run *r = shelf_find(again, "s-4");
    int64_t step;
    tap_ok(r && r->state == RUN_DONE && r->step == 33 && r->seed == 1 && strcmp(r->model, "mlp") == 0 && r->bytes > 0,
        "a row tells state, step, seed, model, size");
    tap_ok(shelf_value(r, "lr") && shelf_value(r, "lr")->num == 0.01 && shelf_value(r, "optim.lr") == shelf_value(r, "lr") && !shelf_value(r, "r"),
        "the configuration by full name or last part");
    tap_ok(shelf_best(shelf_metric(r, "acc"), &step) == 1 && step == 33 && shelf_best(shelf_metric(r, "loss"), &step) == 1.0 / 33 && step == 33,
        "the best value and its step: highest accuracy, lowest loss");
    char *run = io_join(dir, "s-4");
    tap_ok(about_tag(run, "baseline", true, &e) == 0 && about_tag(run, "old", true, &e) == 0 && about_tag(run, "old", false, &e) == 0,
        "tags are set and taken back");
    shelf_unref(s);
    s = shelf_read(dir, again, &e);
    tap_ok(s->read_anew == 1 && shelf_tagged(shelf_find(s, "s-4"), "baseline") && shelf_find(s, "s-4")->n_tag == 1, "only the changed row is read again");
    tap_ok(shelf_baseline(s) == shelf_find(s, "s-4") && shelf_find(s, "s-3") == shelf_find(again, "s-3"), "the others are the same rows");
    shelf_unref(again);

    int fd = open(index, O_RDWR);
    char c = 'x';
    tap_ok(pwrite(fd, &c, 1, 2000) == 1, "a byte of the index is overwritten");
    close(fd);
    again = shelf_read(dir, NULL, &e);
    tap_ok(again->n == 12 && again->read_anew == 12, "a damaged index is made anew");
    shelf_unref(again);
    shelf_unref(s);
    io_remove_tree(run, &e);
    s = shelf_read(dir, NULL, &e);
    tap_ok(s->n == 11 && s->read_anew == 0, "a run that is gone is in no list");
    shelf_unref(s);
    free(run);
    free(index);
}

/* A run is crashed as soon as its process is dead, and is not while it lives, however long it says nothing. */
static void crash_tests(const char *dir) {
    int ready[2], die[2];
    char byte;
    struct err e = {0};
    tap_ok(pipe(ready) == 0 && pipe(die) == 0, "pipes");
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        struct runs *rs = runs_new(dir);
        struct run *r = run_new(rs, "live", NULL);
        run_info(r, config_of(0.1, 1));
        run_set_state(r, RUN_TRAINING);
        runs_flush(rs, 5);
        if (write(ready[1], "r", 1) != 1 || read(die[0], &byte, 1) != 1) _exit(1);
        _exit(9);
    }
    tap_ok(read(ready[0], &byte, 1) == 1, "a run lives in another process");
    char *run = io_join(dir, "live-1"), *meta = io_join(run, "run.json");
    struct timespec old[2] = {{1000, 0}, {1000, 0}};
    utimensat(AT_FDCWD, meta, old, 0); /* no timer is asked: its files may be as old as they like */
    struct shelf *s = shelf_read(dir, NULL, &e);
    const struct shelf_run *r = shelf_find(s, "live-1");
    bool live = r && r->state == RUN_TRAINING;
    shelf_unref(s);
    int status;
    tap_ok(write(die[1], "d", 1) == 1 && waitpid(pid, &status, 0) == pid, "its process dies");
    s = shelf_read(dir, NULL, &e);
    r = shelf_find(s, "live-1");
    tap_ok(live && r && r->state == RUN_CRASHED, "t.R4 a crashed run is told from a running one by its lock");
    shelf_unref(s);
    free(run);
    free(meta);
    for (int i = 0; i < 2; i++) close(ready[i]), close(die[i]);
}

/* A run.json that is JSON but no object: a row of what is not known, a sentence for those who ask. */
static void foreign_tests(const char *dir) {
    static const char *const text[] = {"9", "[1, 2]", "\"run\"", "null"};
    char *run = io_join(dir, "r-1"), *meta = io_join(run, "run.json"), *lock = io_join(run, "lock");
    struct err e = {0};
    int bad = 0;
    if (io_mkdirs(run, 0700, &e) || io_write_file(lock, "", 0, &e)) BUG("%s", e.text);
    for (size_t i = 0; i < LEN(text); i++) {
        struct err why = {0}, filled = {0};
        if (io_write_file(meta, text[i], strlen(text[i]), &e)) BUG("%s", e.text);
        struct val *v = store_describe(run, &why);
        struct shelf *s = shelf_read(dir, NULL, &e);
        const struct shelf_run *row = s ? shelf_find(s, "r-1") : NULL;
        struct runs *rs = runs_new(dir);
        bool list = text[i][0] == '['; /* a table too, as far as values go */
        bad += (v != NULL) != list || !row || row->state != RUN_CRASHED || (!list && !strstr(why.text, "run.json is no description of a run")) ||
               (run_fill(run_mirror(rs, "r-1"), false, &filled) < 0) == list;
        runs_free(rs);
        shelf_unref(s);
        val_free(v);
    }
    tap_ok(bad == 0, "a run.json that is no object is said to be none (%d of %zu wrong)", bad, LEN(text));
    free(run);
    free(meta);
    free(lock);
}

int main(void) {
    char base[] = "/tmp/hone-stored-XXXXXX";
    struct err e = {0};
    tap_ok(mkdtemp(base) != NULL, "folder");
    char *a = io_join(base, "a"), *b = io_join(base, "b"), *c = io_join(base, "c"), *d = io_join(base, "d");
    pyramid_tests(a);
    shelf_tests(b);
    crash_tests(c);
    foreign_tests(d);
    io_remove_tree(base, &e);
    free(a);
    free(b);
    free(c);
    free(d);
    return tap_done();
}
