/* Alarms over made curves: divergence, plateau, limits; once each, and again after it was over; the program of an alarm and its failure. */
#include "config.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "src/base/io.h"
#include "src/base/rng.h"
#include "src/base/thread.h"
#include "src/call/call.h"
#include "src/run/record.h"
#include "tests/tap.h"

static const struct cmd *const *const cmds[] = {cmds_call, cmds_run, NULL};
static struct runs *rs;
static struct hub *hub;

struct heard {
    int alerts, notices;
    int64_t step;
    char text[300], notice[300];
    bool bell;
};
static void hear(void *ctx, uint64_t seq, const struct val *ev) {
    struct heard *h = ctx;
    const char *name = val_get_str(ev, "event", "");
    (void)seq;
    if (strcmp(name, "alert") == 0) {
        h->alerts++;
        h->step = val_get_int(ev, "step", -1);
        h->bell = val_get_bool(ev, "bell", false);
        snprintf(h->text, sizeof h->text, "%.299s", val_get_str(ev, "text", ""));
    }
    if (strcmp(name, "notice") == 0) {
        h->notices++;
        snprintf(h->notice, sizeof h->notice, "%.299s", val_get_str(ev, "text", ""));
    }
}

static struct heard since(uint64_t from) {
    struct heard h = {.step = -1};
    uint64_t lost;
    runs_events(rs, from, hear, &h, &lost);
    return h;
}

static bool command(const char *line, struct err *e) {
    struct call *c = call_parse(hub, line, BY_USER, e);
    return c && call_submit(c, NULL, NULL, e) == 0;
}

static double falling(int i) { return 0.1 + 2.2 * exp(-i / 300.0) + 0.05 * rng_normal(3, 1, (uint64_t)i); }

/* A metric of `metric` for n steps from a function; the alerts they made. */
static struct heard feed(struct run *r, const char *metric, int from, int n, double (*fn)(int)) {
    uint64_t first = runs_next_event(rs);
    for (int i = from; i < from + n; i++) {
        double v = fn(i);
        run_metrics(r, i, 0, &metric, &v, 1);
    }
    return since(first);
}

static double rising(int i) { return 0.1 + 0.002 * (i - 2000) + 0.05 * rng_normal(3, 2, (uint64_t)i); }
static double spiky(int i) { return i % 100 == 0 ? 50 : 0.1 + 0.05 * rng_normal(3, 4, (uint64_t)i); }
static double wild(int i) { return 2.3 * exp(i / 200.0); }
static double flat(int i) { return 0.7 + 1e-5 * rng_normal(3, 3, (uint64_t)i); }
static double cold(int i) { return i < 10 ? 80 : i < 20 ? 95 : 80; }

static void judged(void) {
    struct err e = {0};
    struct run *r = run_new(rs, "a", NULL);
    struct heard h = feed(r, "loss", 0, 2000, falling);
    tap_ok(h.alerts == 0, "a loss that falls with noise: no alarm");
    h = feed(r, "loss", 2000, 100, spiky);
    tap_ok(h.alerts == 0, "nor for single spikes");
    h = feed(r, "loss", 2100, 2000, rising);
    tap_ok(h.alerts == 1 && h.bell && strstr(h.text, "loss diverges"), "it rises: one alert with bell at step %d: %s", (int)h.step, h.text);
    h = feed(r, "loss", 4100, 1000, flat);
    struct heard again = feed(r, "loss", 5100, 1000, rising);
    tap_ok(h.alerts == 0 && again.alerts == 1, "it recovers, then rises again: one more");
    r = run_new(rs, "b", NULL);
    h = feed(r, "loss", 0, 1000, wild);
    tap_ok(h.alerts == 1, "one that never fell: %s", h.text);
    tap_ok(command("alarm acc plateau patience=500", &e), "a plateau alarm %s", e.text);
    h = feed(r, "acc", 0, 400, flat);
    again = feed(r, "acc", 400, 1200, flat);
    tap_ok(h.alerts == 0 && again.alerts == 1 && strstr(again.text, "plateau"), "no progress in 500 values: %s", again.text);
    tap_ok(command("alarm temp above value=90", &e), "a limit");
    h = feed(r, "temp", 0, 40, cold);
    tap_ok(h.alerts == 1 && h.step == 10 && strstr(h.text, "temp is above 90: 95"), "above it: %s", h.text);
    tap_ok(command("alarm temp above off=true", &e) && feed(r, "temp", 50, 1, falling).alerts == 0, "taken away");
    tap_ok(!command("alarm temp above off=true", &e), "twice: %s", e.text);
    tap_ok(!command("alarm temp above", &e) && strstr(e.text, "value="), "no value: %s", e.text);
    tap_ok(!command("alarm loss sideways", &e), "another condition: %s", e.text);
    bool all = true;
    for (int i = 0; i < 20 && all; i++) {
        char line[64];
        snprintf(line, sizeof line, "alarm m%d below value=0", i);
        all = command(line, &e);
    }
    tap_ok(!all && strstr(e.text, "16"), "too many: %s", e.text);
    for (int i = 0; i < 20; i++) {
        char line[64];
        snprintf(line, sizeof line, "alarm m%d below off=true", i);
        command(line, &e);
    }
}

static int set_hook(const char *metric, const char *when, double value, const char *const *argv) {
    struct err e = {0};
    struct val *t = val_table(), *list = val_list(), *out = NULL;
    val_set_str(t, "metric", metric);
    val_set_str(t, "when", when);
    if (isfinite(value)) val_set_num(t, "value", value);
    for (; *argv; argv++) val_push(list, val_str(*argv));
    val_set(t, "hook", list);
    int rc = call_sync(hub, "alarm", t, BY_USER, &out, &e);
    val_free(out);
    if (rc < 0) printf("# %s\n", e.text);
    return rc;
}

static void programs(void) {
    char path[] = "/tmp/hone-alarm-XXXXXX";
    int fd = mkstemp(path);
    struct buf b = BUF_INIT;
    struct err e = {0};
    close(fd);
    struct run *r = run_new(rs, "hook", NULL);
    const char *argv[] = {"/bin/sh", "-c", "echo \"$HONE_RUN $HONE_METRIC $HONE_STEP $HONE_VALUE $1 $HONE_TEXT\" >\"$0\"", path, "$(no shell) ; 'x", NULL};
    set_hook("temp", "above", 90, argv);
    feed(r, "temp", 0, 40, cold);
    for (int i = 0; i < 400 && b.len == 0; i++) {
        clock_sleep(0.01);
        buf_clear(&b);
        io_read_file(path, 4096, &b, &e);
    }
    if (b.len) b.data[b.len - 1] = 0;
    tap_is(b.len ? b.data : "nothing", "hook-1 temp 10 95 $(no shell) ; 'x temp is above 90: 95", "an argument list, no shell line");
    uint64_t from = runs_next_event(rs);
    const char *none[] = {"/no/such/program", NULL}, *bad[] = {"/bin/false", NULL};
    set_hook("temp", "above", 90, none);
    feed(r, "temp", 50, 1, wild);
    feed(r, "temp", 51, 1, cold);
    struct heard h = {0};
    r = run_new(rs, "hook", NULL);
    feed(r, "temp", 0, 40, cold);
    for (int i = 0; i < 400 && !h.notices; i++) clock_sleep(0.01), h = since(from);
    clock_sleep(0.05);
    h = since(from);
    tap_ok(h.notices == 1 && strstr(h.notice, "/no/such/program"), "a program that is not there: one notice: %s", h.notice);
    from = runs_next_event(rs);
    set_hook("*", "alert", NAN, bad);
    set_hook("temp", "above", 1e9, none);
    struct val *v = val_table();
    val_set_str(v, "text", "the loss is not finite");
    run_event(r, "alert", 7, v);
    h.notices = 0;
    for (int i = 0; i < 400 && !h.notices; i++) clock_sleep(0.01), h = since(from);
    tap_ok(h.notices == 1 && strstr(h.notice, "/bin/false, ended with 1"), "one that fails after any alert: %s", h.notice);
    unlink(path);
    buf_release(&b);
}

int main(void) {
    rs = runs_new(NULL);
    hub = hub_new(cmds, rs);
    judged();
    programs();
    hub_quit(hub);
    hub_free(hub);
    runs_free(rs);
    return tap_done();
}
