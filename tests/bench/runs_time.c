/* Times what screens Runs and Compare ask of a folder of runs (t.R1), on one that runs_make made:
 *   tests/bench/runs_time DIR [METRIC]
 * One line a figure: ms, best of 5 with a warm cache. The list is timed without an index, with it, and as a refresh of a list that is there. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "src/base/io.h"
#include "src/base/mem.h"
#include "src/base/thread.h"
#include "src/run/shelf.h"

enum { TRIES = 5, POINTS = 400, COMPARED = 8 };

static double read_ms(const char *dir, const struct shelf *was, const char *drop, size_t *n) {
    double best = 1e9;
    for (int i = 0; i < TRIES; i++) {
        if (drop) unlink(drop);
        double t0 = clock_now();
        struct shelf *s = shelf_read(dir, was, NULL);
        double ms = (clock_now() - t0) * 1e3;
        if (ms < best) best = ms;
        if (s) *n = s->n;
        shelf_unref(s);
    }
    return best;
}

static double filter_ms(const struct shelf *s, const char *text, size_t *n) {
    double best = 1e9;
    for (int i = 0; i < TRIES; i++) {
        double t0 = clock_now();
        *n = 0;
        for (size_t k = 0; k < s->n; k++) *n += strstr(s->run[k]->search, text) != NULL;
        double ms = (clock_now() - t0) * 1e3;
        if (ms < best) best = ms;
    }
    return best;
}

static double compare_ms(const char *dir, const struct shelf *s, const char *metric, const char *drop, size_t *points) {
    struct bucket b[POINTS];
    double best = 1e9;
    for (int i = 0; i < TRIES; i++) {
        for (size_t k = 0; drop && k < COMPARED && k < s->n; k++) {
            char *run = io_join(dir, s->run[k]->name), *path = io_join(run, drop);
            unlink(path);
            free(path);
            free(run);
        }
        double t0 = clock_now();
        *points = 0;
        for (size_t k = 0; k < COMPARED && k < s->n; k++) *points += stored_series(dir, s->run[k]->name, metric, b, POINTS, NULL);
        double ms = (clock_now() - t0) * 1e3;
        if (ms < best) best = ms;
    }
    return best;
}

static void say(const char *what, double ms, const size_t *n, const char *of) { printf("%-46s%9.3f ms  %zu %s\n", what, ms, *n, of); }

int main(int argc, char **argv) {
    if (argc < 2) {
        fprintf(stderr, "usage: %s DIR [METRIC]\n", argv[0]);
        return 2;
    }
    size_t n = 0;
    const char *dir = argv[1], *metric = argc > 2 ? argv[2] : "loss";
    char *index = io_join(dir, ".index");
    struct shelf *s = shelf_read(dir, NULL, NULL);
    if (!s || !s->n) return 1;
    say("list, no index", read_ms(dir, NULL, index, &n), &n, "runs");
    say("list, index", read_ms(dir, NULL, NULL, &n), &n, "runs");
    say("list, refresh", read_ms(dir, s, NULL, &n), &n, "runs");
    say("filter, text", filter_ms(s, "sgd", &n), &n, "found");
    say("compare 8 runs", compare_ms(dir, s, metric, NULL, &n), &n, "columns");
    say("the same, curves made again from metrics.bin", compare_ms(dir, s, metric, "series.bin", &n), &n, "columns");
    shelf_unref(s);
    free(index);
    return 0;
}
