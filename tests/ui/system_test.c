/* The System screen: golden captures of a machine and of its GPUs (UPDATE_GOLDEN=1 rewrites them), old readings, what reading the machine costs. */
#include "config.h"

#include <stdlib.h>

#include "src/base/thread.h"
#include "tests/ui/views_fix.h"

static void machine(void) {
    static struct machine_reading m;
    struct fx f;
    fx_open(&f, 2000, 4000);
    golden(&f, "t.S1", "system", "8");
    fx_attach(&f, "xterm-256color", "UTF-8", "ascii", 24, 80, false);
    free(shown(&f, "8"));
    double t0 = clock_now();
    for (int i = 0; i < 20; i++) machine_read(&m, "/proc", ".");
    double ms = (clock_now() - t0) * 1e3 / 20;
    tap_ok(ms < 50 && m.n >= 1 && m.rss > 1e5 && m.total > m.rss && m.threads >= 1 && m.disk_total > 0, "a reading of /proc: %.2f ms, %d cores", ms, m.n);
    fx_keys(&f, "1");
    struct buf b = BUF_INIT;
    fx_frame(&f, &b);
    tap_ok(ui_port(f.u)->timeout(f.u) == -1, "t.W1: no wake-up is wanted while the System screen is not shown");
    buf_release(&b);
    fx_close(&f);
}

static void gpus(void) {
    static const char now[] = "{\"age\":0.5,\"stale\":false,\"why\":\"\",\"gpus\":[{\"index\":0,\"name\":\"large\",\"use_percent\":87,\"memory_used_gib\":12,"
                              "\"memory_gib\":80,\"celsius\":61,"
                              "\"watts\":412.3,\"watts_limit\":700,\"mhz\":1980,\"memory_mhz\":2619,\"slowed_by\":\"the power limit\",\"ecc_errors\":2},"
                              "{\"index\":1,\"name\":\"plain\",\"memory_used_gib\":1.5,\"memory_gib\":8},{\"index\":2,\"error\":\"GPU is lost\"}]}",
                      old[] = "{\"age\":42,\"stale\":true,\"why\":\"\",\"gpus\":[{\"index\":0,\"name\":\"large\",\"use_percent\":87}]}";
    struct fx f;
    fx_open(&f, 2000, 4000);
    fx_gpus = now;
    golden(&f, "t.S1", "system-gpus", "8");
    fx_gpus = old;
    fx_attach(&f, "xterm-256color", "UTF-8", "ascii", 24, 80, false);
    fx_time += 2;
    char *text = shown(&f, "8");
    tap_ok(has(text, "gpu 0     [42 s old] large: 87% busy"), "a reading that is old says so");
    free(text);
    fx_gpus = NULL;
    fx_close(&f);
}

int main(void) {
    machine();
    gpus();
    return tap_done();
}
