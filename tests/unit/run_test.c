/* The run record and its files: series pyramid, events, journal, metrics.bin, crashed or running, a full disk. */
#include "config.h"

#include <fcntl.h>
#include <float.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "src/base/io.h"
#include "src/base/json.h"
#include "src/base/mem.h"
#include "src/base/thread.h"
#include "src/run/record.h"
#include "src/run/series.h"
#include "src/run/store.h"
#include "tests/tap.h"

static void series_tests(void) {
    struct series *s = series_new("loss");
    for (int64_t i = 0; i < 10000000; i++) series_add(s, i, i == 7654321 ? 99.0 : 1.0 + 1e-7 * (double)i);
    struct bucket b[64];
    int k = 0;
    size_t n = series_read(s, b, 52, &k);
    float top = 0;
    int64_t count = 0;
    for (size_t i = 0; i < n; i++) {
        if (b[i].max > top) top = b[i].max;
        count += b[i].count;
    }
    tap_ok(n >= 26 && n <= 52, "10 M steps in %zu columns of 2^%d", n, k);
    tap_ok(top == 99.0f, "a spike of one step in 10 M survives");
    tap_ok(count == 10000000, "every point is counted");
    tap_ok(series_bytes(s) <= 65536, "%zu bytes a series", series_bytes(s));
    tap_near(b[1].mean, 1 + 1e-7 * (1.5 * (double)((int64_t)1 << k) - 0.5), 1e-9, "mean of a bucket");
    n = series_window(s, 9999900, 10000000, b, 64);
    tap_ok(n == 50 && b[0].count == 2 && b[0].step0 == 9999900, "the last 100 steps in raw resolution (%zu)", n);
    n = series_window(s, 9990000, 10000000, b, 64);
    count = 0;
    for (size_t i = 0; i < n; i++) count += b[i].count;
    tap_ok(n > 32 && count >= 10000 && count < 10600, "the last 10,000 steps from a ring (%zu buckets, %lld points)", n, (long long)count);
    series_free(s);

    s = series_new("bad");
    for (int64_t i = 0; i < 5000; i++) series_add(s, i, i % 2 ? NAN : INFINITY);
    n = series_read(s, b, 64, &k);
    int64_t bad = 0;
    count = 0;
    for (size_t i = 0; i < n; i++) bad += b[i].bad, count += b[i].count;
    tap_ok(bad == 5000 && count == 0, "an all-NaN series only counts them");
    tap_ok(isnan(series_trend(s)), "and has no trend");
    series_free(s);

    s = series_new("huge");
    series_add(s, 0, 1e300);
    series_add(s, 1, -1e300);
    series_add(s, 1000000000000, 5);
    n = series_read(s, b, 64, &k);
    tap_ok(n <= 64 && b[0].max == FLT_MAX && b[0].min == -FLT_MAX, "values beyond float stay finite; a far step is taken");
    series_free(s);

    s = series_new("trend");
    for (int64_t i = 0; i < 1000; i++) series_add(s, i, i < 900 ? 2.0 : 1.0);
    tap_near(series_trend(s), -0.5, 0.02, "trend: last tenth against the tenth before");
    series_free(s);
}

struct seen {
    int n, metric;
    char last[64];
    uint64_t seq;
    char line[512];
};
static void see(void *ctx, uint64_t seq, const struct val *ev) {
    struct seen *s = ctx;
    struct buf b = BUF_INIT;
    s->n++;
    s->seq = seq;
    snprintf(s->last, sizeof s->last, "%s", val_get_str(ev, "event", "?"));
    if (strcmp(s->last, "metric") == 0) s->metric++;
    json_write(&b, ev);
    snprintf(s->line, sizeof s->line, "%.511s", b.data);
    buf_release(&b);
}

static void event_tests(void) {
    struct runs *rs = runs_new(NULL);
    int fd[2];
    tap_ok(pipe(fd) == 0, "pipe");
    fcntl(fd[0], F_SETFL, O_NONBLOCK);
    fcntl(fd[1], F_SETFL, O_NONBLOCK);
    runs_watch(rs, fd[1]);
    struct run *r = run_new(rs, "fashion", NULL);
    tap_is(run_name(r), "fashion-1", "the first run of a name");
    tap_is(run_name(run_new(rs, "fashion", NULL)), "fashion-2", "the second");
    const char *hostile = run_name(run_new(rs, "../\x1b[31m x", NULL));
    tap_ok(!strchr(hostile, '/') && !strchr(hostile, '\x1b') && hostile[0] != '.', "a hostile prefix becomes %s", hostile);
    char buf[64];
    tap_ok(read(fd[0], buf, sizeof buf) == 1, "wake-ups are merged into one byte");
    struct val *info = val_table();
    val_set_str(info, "model", "mlp");
    val_set_int(info, "params", 407050);
    run_info(r, info);
    struct seen s = {0};
    uint64_t lost;
    uint64_t next = runs_events(rs, 1, see, &s, &lost);
    tap_ok(strncmp(strchr(s.line, ','), ",\"event\":\"start\",\"run\":\"fashion-1\",\"model\":\"mlp\",\"params\":407050}", 60) == 0, "start event: %s", s.line);
    const char *const names[] = {"loss", "acc"};
    double t0 = clock_now();
    for (int64_t i = 1; i <= 20000; i++) run_metrics(r, i, (double)i / 469, names, (double[]){1.0 / (double)i, 0.5}, 2);
    double took = clock_now() - t0;
    s.metric = 0;
    next = runs_events(rs, next, see, &s, &lost);
    tap_ok(s.metric >= 1 && s.metric <= 2 + (int)(took * 20), "%d metric events in %.3f s", s.metric, took);
    tap_ok(took / 20000 < 20e-6, "%.2f us a step", took / 20000 * 1e6);
    struct val *f = val_table();
    val_set_num(f, "epoch", 1);
    val_set_num(f, "loss", 0.5);
    val_set_num(f, "val_acc", 0.9);
    run_event(r, "epoch", 20000, f);
    struct run_now now;
    run_now(r, &now);
    tap_ok(now.n == 3 && strcmp(now.metric[2].name, "val_acc") == 0 && now.metric[2].value == 0.9, "numbers of an epoch event become series");
    tap_ok(now.metric[0].value == 1.0 / 20000, "but not over what the steps said");
    for (int i = 0; i < 10000; i++) runs_notice(rs, "info", "x");
    next = runs_events(rs, next, see, &s, &lost);
    tap_ok(lost > 5000, "overwritten events are counted (%llu)", (unsigned long long)lost);
    run_progress(r, 10, 100, 100, 1000, 1, 10);
    run_set_state(r, RUN_TRAINING);
    clock_sleep(0.02);
    run_progress(r, 20, 100, 200, 1000, 2, 10);
    run_now(r, &now);
    tap_ok(now.eta > 0.1 && now.eta < 2, "eta %.3f s", now.eta);
    run_end(r, RUN_DONE, 0);
    run_end(r, RUN_FAILED, 1);
    runs_events(rs, next, see, &s, &lost);
    tap_ok(strstr(s.line, "\"event\":\"end\",\"run\":\"fashion-1\",\"state\":\"done\",\"exit\":0}") != NULL, "end event once: %s", s.line);
    runs_unwatch(rs, fd[1]);
    runs_free(rs);
    close(fd[0]);
    close(fd[1]);
}

struct sum {
    int64_t rows;
    double total;
    int64_t last;
};
static bool add_up(void *ctx, const struct point *p) {
    struct sum *s = ctx;
    s->rows++;
    s->last = p->step;
    for (size_t i = 0; i < p->n; i++)
        if (strcmp(p->names[i], "loss") == 0) s->total += p->values[i];
    return true;
}

static void file_tests(const char *dir) {
    struct err e = {0};
    struct runs *rs = runs_new(dir);
    struct run *r = run_new(rs, "t", NULL);
    char *path = io_join(run_dir(r), "metrics.bin"), *folder = mem_str(run_dir(r));
    run_info(r, val_table());
    run_set_state(r, RUN_TRAINING);
    const char *const names[] = {"loss"};
    double want = 0;
    for (int64_t i = 0; i < 3000; i++) {
        double v = 1.0 / (double)(i + 3);
        want += v;
        run_metrics(r, i, 0.1, names, &v, 1);
        if (i % 1000 == 999) runs_flush(rs, 5);
    }
    run_journal(rs, r, "hone.train{epochs=1}", 0);
    run_journal(rs, NULL, "run:set(\"lr\", 0.1)", 12);
    struct val *f = val_table();
    val_set_str(f, "lua", "run:set(\"lr\", 0.1)");
    run_event(r, "edit", 12, f);
    tap_ok(runs_flush(rs, 5), "flushed");
    struct sum s = {0};
    int64_t cut = -1;
    tap_ok(store_points(path, add_up, &s, &cut, &e) == 0 && s.rows == 3000 && s.total == want && cut == 0, "every point comes back with its bits");
    s = (struct sum){0};
    tap_ok(store_tail(path, add_up, &s, &e) == 0 && s.last == 2999 && s.rows < 3000, "the end alone (%lld rows)", (long long)s.rows);
    struct buf b = BUF_INIT, j = BUF_INIT;
    char *jp = io_join(folder, "journal.lua");
    io_read_file(jp, 1 << 20, &j, &e);
    const char *first = strstr(j.data, "run:set");
    tap_ok(strstr(j.data, "run = hone.train{epochs=1} -- step 0 t=") != NULL && first && !strstr(first + 1, "run:set"), "the journal holds each line once");
    tap_ok(store_alive(folder), "the lock is held while the process lives");
    struct val *d = store_describe(folder, &e);
    tap_is(val_get_str(d, "state", ""), "training", "described as training");
    tap_ok(val_get_int(d, "step", 0) == 2999, "with the last step");
    val_free(d);

    io_read_file(path, 1 << 24, &b, &e);
    char *torn = io_join(dir, "torn.bin");
    int bad = 0;
    for (size_t n = 0; n < b.len; n += n < 64 || n > b.len - 64 ? 1 : 997) {
        int fd = open(torn, O_WRONLY | O_CREAT | O_TRUNC, 0600);
        io_write_all(fd, b.data, n, torn, &e);
        close(fd);
        s = (struct sum){0};
        if (store_points(torn, add_up, &s, &cut, &e) != 0 || s.rows > 3000 || (n && s.rows == 0 && cut == 0)) bad++;
    }
    tap_ok(bad == 0, "a file cut anywhere gives whole records only");
    for (size_t i = 0; i < b.len; i += 211) {
        b.data[i] ^= 0x40;
        int fd = open(torn, O_WRONLY | O_CREAT | O_TRUNC, 0600);
        io_write_all(fd, b.data, b.len, torn, &e);
        close(fd);
        b.data[i] ^= 0x40;
        s = (struct sum){0};
        if (store_points(torn, add_up, &s, &cut, &e) != 0 || cut == 0) bad++;
    }
    tap_ok(bad == 0, "a flipped bit is always noticed");
    buf_release(&b);
    buf_release(&j);

    struct seen seen = {0};
    setenv("HONE_FAULT", "", 1);
    run_end(r, RUN_DONE, 0);
    runs_flush(rs, 5);
    d = store_describe(folder, &e);
    tap_is(val_get_str(d, "state", ""), "done", "the end is stored");
    val_free(d);
    runs_events(rs, 1, see, &seen, NULL);
    runs_free(rs);
    tap_ok(!store_alive(folder), "the lock is free after");
    free(jp);
    free(torn);
    free(path);
    free(folder);
}

/* A process that dies leaves a run that is told apart from a running one at once. */
static void crash_test(const char *dir) {
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        struct runs *rs = runs_new(dir);
        struct run *r = run_new(rs, "dead", NULL);
        run_info(r, val_table());
        run_set_state(r, RUN_TRAINING);
        runs_flush(rs, 5);
        _exit(9);
    }
    int status;
    waitpid(pid, &status, 0);
    struct err e = {0};
    char *path = io_join(dir, "dead-1");
    struct val *d = store_describe(path, &e), *list = store_list(dir, &e);
    tap_is(val_get_str(d, "state", ""), "crashed", "a run whose process died is crashed, by its lock");
    tap_ok(val_len(list) == 2 && strcmp(val_at(list, 1)->u.s.p, "dead-1") == 0, "runs are listed oldest first");
    val_free(d);
    val_free(list);
    free(path);
}

/* A run that cannot be kept is refused and leaves nothing; nor does one that fails before its start event, whose number is not used again here. */
static void no_folder_test(const char *dir) {
    struct err e = {0};
    struct runs *rs = runs_new("/dev/full/runs");
    tap_ok(run_new(rs, "x", &e) == NULL && runs_count(rs) == 0 && strstr(e.text, "/dev/full: Not a directory") && strstr(e.text, "--runs DIR"),
        "no folder of runs: no run (%s)", e.text);
    runs_free(rs);
    err_clear(&e);
    rs = runs_new(dir);
    struct run *r = run_new(rs, "x", NULL);
    char *path = io_join(dir, "x-1"), *second = io_join(dir, "x-2");
    run_set_state(r, RUN_PREPARING);
    run_say(r, "notice", 0, "error", "no optimiser");
    tap_ok(run_dir(r) && io_exists(path), "else it has a folder");
    run_end(r, RUN_FAILED, 1);
    struct run_now now;
    run_now(r, &now);
    tap_ok(!run_dir(r) && !io_exists(path) && now.state == RUN_FAILED, "a run that fails before it began leaves no folder");
    r = run_new(rs, "x", NULL);
    run_info(r, val_table());
    run_end(r, RUN_FAILED, 1);
    tap_ok(run_dir(r) && io_exists(second), "one that had begun leaves %s", run_name(r));
    runs_free(rs);
    free(path);
    free(second);
}

int main(void) {
    char dir[] = "/tmp/hone-run-XXXXXX";
    struct err e = {0};
    tap_ok(mkdtemp(dir) != NULL, "folder");
    series_tests();
    event_tests();
    file_tests(dir);
    crash_test(dir);
    no_folder_test(dir);
    io_remove_tree(dir, &e);
    return tap_done();
}
