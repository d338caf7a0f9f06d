/* What charts cost: bytes of history a series, and a grid of nine charts at 200x50, composed anew and as a whole frame. Prints; decides nothing. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>

#include "src/base/thread.h"
#include "src/run/series.h"
#include "tests/ui/fixture.h"
#include "ui/chart.h"

enum { ROUNDS = 200 };

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static void report(const char *what, double *ms) {
    qsort(ms, ROUNDS, sizeof *ms, by_value);
    printf(
        "{\"event\":\"bench\",\"work\":\"%s\",\"ms\":%.3f,\"min\":%.3f,\"p95\":%.3f,\"n\":%d}\n", what, ms[ROUNDS / 2], ms[0], ms[ROUNDS * 95 / 100], ROUNDS);
}

int main(void) {
    struct fx f;
    struct buf b = BUF_INIT;
    struct err e = {0};
    double ms[ROUNDS];
    struct series *s = series_new("x");
    printf("{\"event\":\"bench\",\"work\":\"series-bytes\",\"bytes\":%zu}\n", series_bytes(s));
    series_free(s);
    fx_open(&f, 100000, 100000);
    for (int i = 0; i < 4; i++) { /* two more charts than the generator's eight: nine are shown */
        const char *extra = i % 2 ? "extra/two" : "extra/one";
        double v = i;
        run_metrics(f.r, 100000 + i, 20, &extra, &v, 1);
    }
    fx_attach(&f, "xterm-256color", "UTF-8", "braille", 50, 200, false);
    struct val *grid = val_str("3x3");
    chart_set(f.u, "chart_grid", grid, &e);
    fx_keys(&f, "2");
    fx_frame(&f, &b);
    for (int i = 0; i < ROUNDS; i++) {
        double t0 = clock_now();
        ui_compose(f.u);
        ms[i] = 1e3 * (clock_now() - t0);
    }
    report("charts-compose", ms);
    for (int i = 0; i < ROUNDS; i++) {
        fx_step(f.r, 100010 + i, 100000);
        fx_time += 1;
        buf_clear(&b);
        double t0 = clock_now();
        fx_frame(&f, &b);
        ms[i] = 1e3 * (clock_now() - t0);
    }
    report("charts-frame", ms);
    chart_set(f.u, "chart_smooth", val_num(0.99), &e);
    chart_set(f.u, "chart_x", val_str("time"), &e);
    for (int i = 0; i < ROUNDS; i++) {
        double t0 = clock_now();
        ui_compose(f.u);
        ms[i] = 1e3 * (clock_now() - t0);
    }
    report("charts-compose-smooth-time", ms);
    fx_close(&f);
    buf_release(&b);
    return 0;
}
