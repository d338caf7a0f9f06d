/* Makes a folder of runs to measure lists and comparisons with (t.R1):
 *   tests/bench/runs_make DIR RUNS METRICS STEPS
 * Runs of a nested configuration that varies, noisy metrics, a point of every metric at every step. The same numbers give the same folder. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>

#include "src/base/rng.h"
#include "src/run/record.h"

static struct val *start_of(int i) {
    struct val *start = val_table(), *config = val_table(), *optim = val_table(), *sched = val_table();
    val_set_str(optim, "optim", i % 3 ? "adam" : "sgd");
    val_set_num(optim, "lr", 1e-4 * (1 + i % 37));
    val_set_num(optim, "weight_decay", i % 5 * 0.01);
    val_set_str(sched, "sched", i % 2 ? "cosine" : "constant");
    val_set_int(sched, "warmup", i % 7 * 10);
    val_set_int(config, "batch", 32 << i % 4);
    val_set_int(config, "epochs", 3);
    val_set(config, "optim", optim);
    val_set(config, "sched", sched);
    val_set_str(start, "model", i % 2 ? "mlp" : "bag");
    val_set_int(start, "params", 1000 + i);
    val_set_int(start, "seed", i % 11);
    val_set_str(start, "data", "made");
    val_set(start, "config", config);
    return start;
}

static void one(const char *dir, int i, int metrics, int64_t steps) {
    char name[RUN_MAX_METRICS][32];
    const char *names[RUN_MAX_METRICS];
    double v[RUN_MAX_METRICS];
    uint64_t stream = rng_stream((uint64_t)i, "noise", 0);
    for (int m = 0; m < metrics; m++) {
        static const char *const first[] = {"loss", "acc", "val_loss", "val_acc", "lr"};
        if (m < 5) snprintf(name[m], sizeof name[m], "%s", first[m]);
        else snprintf(name[m], sizeof name[m], "metric_%d", m);
        names[m] = name[m];
    }
    struct runs *rs = runs_new(dir);
    struct run *r = run_new(rs, "made", NULL);
    run_info(r, start_of(i));
    run_set_state(r, RUN_TRAINING);
    for (int64_t s = 1; s <= steps; s++) {
        for (int m = 0; m < metrics; m++) {
            double fall = 1 / (1 + 5 * (double)s / (double)steps), noise = 0.1 * (rng_unit(stream, (uint64_t)s, (uint64_t)m) - 0.5);
            v[m] = m % 5 == 1 || m % 5 == 3 ? 1 - fall * (0.5 + 0.01 * (i % 20)) + noise * 0.1 : fall * (1 + 0.01 * (i % 20)) + noise;
        }
        run_metrics(r, s, 3.0 * (double)s / (double)steps, names, v, (size_t)metrics);
        if (s % 20000 == 0) runs_flush(rs, 60);
    }
    run_end(r, i % 50 == 49 ? RUN_FAILED : RUN_DONE, i % 50 == 49);
    runs_flush(rs, 60);
    runs_free(rs);
}

int main(int argc, char **argv) {
    if (argc != 5) {
        fprintf(stderr, "usage: %s DIR RUNS METRICS STEPS\n", argv[0]);
        return 2;
    }
    int metrics = atoi(argv[3]);
    if (metrics < 1 || metrics > RUN_MAX_METRICS) return 2;
    for (int i = 0; i < atoi(argv[2]); i++) one(argv[1], i, metrics, atoll(argv[4]));
    return 0;
}
