/* The committed series generator: 10 noisy metrics, 100,000 steps, from a fixed seed and a simulated clock; and a dashboard over it. */
#ifndef HONE_TESTS_UI_FIXTURE_H
#define HONE_TESTS_UI_FIXTURE_H

#include <math.h>
#include <string.h>

#include "src/base/json.h"
#include "src/base/rng.h"
#include "src/call/call.h"
#include "src/call/settings.h"
#include "src/run/record.h"
#include "ui/private.h"

static double fx_time = 1000;
static double fx_clock(void) { return fx_time; }
static const char *const fx_names[] = {"loss", "acc", "lr", "grad_norm", "val_loss", "val_acc", "param_norm", "f1_macro", "examples_s", "step_ms"};
static uint64_t fx_stream;

static void fx_step(struct run *r, int64_t step, int64_t steps) {
    double v[10], x = (double)step / (double)steps, z[10];
    for (int i = 0; i < 10; i++) z[i] = rng_normal(fx_stream, (uint64_t)step, (uint64_t)i);
    v[0] = 0.08 + 2.22 * exp(-x * 9) + 0.02 * fabs(z[0]);
    v[1] = 0.975 - 0.87 * exp(-x * 8) + 0.005 * z[1];
    v[2] = 6e-4 * (1 - 0.9 * x) + 1e-6 * z[2];
    v[3] = 0.7 + exp(-x * 5) + 0.1 * fabs(z[3]);
    v[4] = 0.1 + 2.1 * exp(-x * 8) + 0.01 * fabs(z[4]);
    v[5] = 0.965 - 0.85 * exp(-x * 8) + 0.004 * z[5];
    v[6] = 30 + 10 * x + 0.05 * z[6];
    v[7] = 0.96 - 0.85 * exp(-x * 7) + 0.006 * z[7];
    v[8] = 61000 + 900 * z[8];
    v[9] = 2.1 + 0.05 * z[9];
    run_metrics(r, step, (double)step / 5000, fx_names, v, 10);
}

/* What an evaluation shows besides counts: rows that went wrong as text and as a picture, calibration. */
static void fx_extras(struct val *e) {
    static const char *const text[] = {"A short one.",
        "The parcel has been on its way for eleven days now and nobody can tell me whether it was lost or is only late, which is why I write again"};
    struct val *list = val_list(), *bins = val_list();
    for (int i = 0; i < 24; i++) {
        struct val *x = val_table();
        val_set_int(x, "i", 17 * i);
        val_set_int(x, "y", i % 3);
        val_set_int(x, "g", (i + 4) % 10);
        val_set_num(x, "p", 0.99 - 0.02 * i);
        val_set_num(x, "q", 0.001 * (i + 1));
        val_set_num(x, "loss", -log(0.001 * (i + 1)));
        if (i % 3 == 2) {
            struct val *pic = val_table();
            char px[12 * 12 + 1];
            for (int k = 0; k < 144; k++) px[k] = "0123456789abcdef"[(k % 12 > 3 && k % 12 < 8) || k / 12 == 5 ? 15 : (k / 12) % 8];
            px[144] = 0;
            val_set_int(pic, "h", 12);
            val_set_int(pic, "w", 12);
            val_set_str(pic, "pixels", px);
            val_set(x, "picture", pic);
        } else {
            val_set_str(x, "text", text[i % 3]);
        }
        val_push(list, x);
    }
    for (int b = 0; b < 15; b++) {
        struct val *x = val_table();
        val_set_int(x, "n", b < 2 ? 0 : 40 * b);
        if (b >= 2) {
            val_set_num(x, "conf", (b + 0.5) / 15);
            val_set_num(x, "acc", (b + 0.5) / 15 - 0.05);
        }
        val_push(bins, x);
    }
    val_set(e, "examples", list);
    val_set(e, "calibration", bins);
}

static struct val *fx_eval(int n, bool hostile) {
    static const char *const wear[] = {"T-shirt", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Boot"};
    struct val *e = val_table(), *m = val_list(), *c = val_list();
    val_set_str(e, "split", "val");
    val_set_num(e, "acc", 0.8731);
    val_set_num(e, "f1_macro", 0.8722);
    for (int i = 0; i < n; i++) {
        struct val *row = val_list();
        char name[64];
        snprintf(name, sizeof name, hostile ? "\x1b]52;c;eA==\a\xe2\x80\xae\x9b%d\n\xff" : "class %d", i);
        val_push(c, val_str(n == 10 && !hostile ? wear[i] : name));
        for (int j = 0; j < n; j++)
            val_push(row, val_int(i == n - 1 ? 0 : i == j ? 900 : (int64_t)rng_below(fx_stream, 7, (uint64_t)(i * n + j), 40) / (n > 20 ? 10 : 1)));
        val_push(m, row);
    }
    val_set(e, "classes", c);
    val_set(e, "confusion", m);
    if (n == 10 && !hostile) fx_extras(e);
    return e;
}

/* The reports of a small net: a tree with an inner part, one layer with dead units and one whose gradient is not finite; histograms. */
static struct val *fx_numbers(double lo, double hi, int64_t n, int64_t bad, bool hist) {
    struct val *v = val_table();
    val_set_int(v, "n", n);
    val_set_int(v, "bad", bad);
    val_set_int(v, "zero", n / 10);
    val_set_num(v, "min", lo);
    val_set_num(v, "max", hi);
    val_set_num(v, "mean", (lo + hi) / 2);
    val_set_num(v, "rms", (hi - lo) / 4);
    if (!hist) return v;
    char text[128];
    int at = snprintf(text, sizeof text, "%g %g ", lo, hi);
    for (int i = 0; i < 40; i++) at += snprintf(text + at, sizeof text - (size_t)at, "%02x", (int)(255 * exp(-(i - 20) * (i - 20) / 40.0)));
    val_set_str(v, "hist", text);
    return v;
}

static struct val *fx_model(void) {
    static const struct {
        const char *path, *name, *kind, *shape;
        int depth, units, dead;
        int64_t params, macs;
    } layer[] = {{"flatten1", "flatten1", "flatten", "(R, 784)", 0, 784, 17, 0, 0}, {"linear1", "linear1", "linear", "(R, 512)", 0, 512, 0, 401920, 401408},
        {"relu1", "relu1", "relu", "(R, 512)", 0, 512, 301, 0, 0}, {"block1", "block1", "residual", "(R, 512)", 0, 512, 12, 0, 262144},
        {"block1.linear1", "linear1", "linear", "(R, 512)", 1, 512, 0, 262656, 262144}, {"block1.relu1", "relu1", "relu", "(R, 512)", 1, 512, 90, 0, 0},
        {"linear2", "linear2", "linear", "(R, 10)", 0, 10, 0, 5130, 5120}};
    struct val *v = val_table(), *list = val_list(), *weights = val_list();
    val_set_str(v, "name", "mlp");
    val_set_int(v, "params", 669706);
    val_set_int(v, "macs", 668672);
    val_set_int(v, "step", 59000);
    val_set_int(v, "rows", 64);
    val_set_num(v, "seconds", 0.012);
    for (size_t i = 0; i < sizeof layer / sizeof *layer; i++) {
        struct val *l = val_table(), *out = fx_numbers(layer[i].depth ? -5.78 : 0, 4.82 + (double)i, 64 * layer[i].units, 0, false);
        val_set_str(l, "path", layer[i].path);
        val_set_str(l, "name", layer[i].name);
        val_set_int(l, "depth", layer[i].depth);
        val_set_str(l, "kind", layer[i].kind);
        val_set_str(l, "shape", layer[i].shape);
        val_set_int(l, "params", layer[i].params);
        val_set_int(l, "macs", layer[i].macs);
        val_set_int(out, "units", layer[i].units);
        val_set_int(out, "dead", layer[i].dead);
        val_set(l, "out", out);
        val_push(list, l);
        for (int k = 0; k < 2 && layer[i].params; k++) {
            struct val *w = val_table();
            char name[64];
            snprintf(name, sizeof name, "%s.%s", layer[i].path, k ? "bias" : "weight");
            val_set_str(w, "name", name);
            val_set_str(w, "shape", k ? "(512)" : "(512, 784)");
            val_set_int(w, "n", layer[i].params);
            val_set_bool(w, "trained", true);
            val_set(w, "w", fx_numbers(-0.49, 0.31, layer[i].params, 0, true));
            val_set(w, "g", fx_numbers(-0.02, 0.018, layer[i].params, i == 6 ? 3 : 0, true));
            val_push(weights, w);
        }
    }
    val_set(v, "layers", list);
    val_set(v, "weights", weights);
    return v;
}

static struct val *fx_spent(void) {
    struct val *v = val_table();
    static const struct {
        const char *name;
        double s;
    } part[] = {{"data", 6.1}, {"forward", 40.2}, {"backward", 55.3}, {"update", 11.5}, {"eval", 3.2}, {"checkpoint", 0.4}, {"step", 114}};
    for (size_t i = 0; i < sizeof part / sizeof *part; i++) val_set_num(v, part[i].name, part[i].s);
    val_set_int(v, "steps", 60000);
    return v;
}

/* A machine of 16 cores, each busier than the one before. */
static void fx_machine(struct machine_reading *m, const char *root, const char *runs) {
    (void)root, (void)runs;
    memset(m, 0, sizeof *m);
    m->t = fx_time;
    m->n = 16;
    for (int i = 0; i <= 16; i++) {
        m->all[i] = (uint64_t)(fx_time * 100);
        m->busy[i] = (uint64_t)(fx_time * (i ? 6 * i : 50));
        m->wait[i] = (uint64_t)fx_time;
    }
    m->own = (uint64_t)(fx_time * 150);
    m->rss = 1.2e8, m->peak = 1.4e8, m->total = 2.5e10, m->available = 2.1e10;
    m->read = 1e5 * fx_time, m->written = 2e6 * fx_time;
    m->threads = 8;
    m->load = 3.25;
    m->disk_free = 5e10, m->disk_total = 2.7e11;
}

struct fx {
    struct runs *rs;
    struct hub *hub;
    struct ui *u;
    struct run *r;
};
/* What the engine says of GPUs: JSON, or NULL: there is no answer. */
static const char *fx_gpus;
static int fx_gpus_run(struct call *c, const void *args, struct err *e) {
    (void)args;
    struct val *v = fx_gpus ? json_parse(fx_gpus, strlen(fx_gpus), "gpus", e) : NULL;
    if (!v) return err_set(e, "no GPUs");
    call_result(c, v);
    return 0;
}
static const struct cmd fx_cmd_gpus = {{"gpus", "what GPUs do", "", NULL, 0}, OWNER_ANY, CMD_WATCHER | CMD_WHILE_RUNNING | CMD_HIDDEN, fx_gpus_run, NULL};
static const struct cmd *const fx_engine[] = {&fx_cmd_gpus, NULL};
static const struct cmd *const *const fx_cmds[] = {cmds_call, cmds_run, cmds_ui, fx_engine, NULL};

/* A dashboard without a run. */
static void fx_empty(struct fx *f) {
    *f = (struct fx){0};
    fx_time = 1000;
    settings_init();
    fx_stream = rng_stream(1, "screens", 0);
    f->rs = runs_new(NULL);
    runs_set_clock(f->rs, fx_clock);
    f->hub = hub_new(fx_cmds, f->rs);
    f->u = ui_new(f->hub, NULL);
    f->u->clock = fx_clock;
    f->u->machine = fx_machine;
}

static void fx_open(struct fx *f, int64_t steps, int64_t of) {
    fx_empty(f);
    f->r = run_new(f->rs, "mnist-mlp", NULL);
    struct val *info = val_table();
    val_set_str(info, "model", "mlp");
    val_set_int(info, "params", 407050);
    val_set_str(info, "device", "cpu");
    val_set_int(info, "threads", 2);
    run_info(f->r, info);
    run_phase(f->r, "train");
    run_set_state(f->r, RUN_TRAINING);
    for (int64_t i = 0; i < steps; i++) {
        if (i % 1000 == 0) {
            fx_time += 2;
            run_progress(f->r, i, of, i, of, (double)i / 5000, (double)of / 5000);
        }
        fx_step(f->r, i, of);
        if (i == steps / 2) {
            struct val *ed = val_table();
            val_set_str(ed, "name", "lr");
            val_set_num(ed, "old", 6e-4);
            val_set_num(ed, "new", 3e-4);
            val_set_str(ed, "by", "user");
            val_set_str(ed, "lua", "run:set(\"lr\", 0.0003)");
            run_event(f->r, "edit", i, ed);
        }
    }
    run_report(f->r, "eval", fx_eval(10, false));
    run_report(f->r, "model", fx_model());
    run_report(f->r, "time", fx_spent());
}

static void fx_close(struct fx *f) {
    hub_quit(f->hub);
    hub_free(f->hub);
    ui_free(f->u);
    runs_free(f->rs);
}

static int fx_attach(struct fx *f, const char *term, const char *codeset, const char *glyphs, int rows, int cols, bool no_color) {
    struct term_info t = {.term = term, .codeset = codeset, .colors = "auto", .glyphs = glyphs, .rows = rows, .cols = cols, .no_color = no_color};
    struct err e = {0};
    return ui_port(f->u)->attach(f->u, &t, &e);
}
static void fx_keys(struct fx *f, const char *keys) { ui_port(f->u)->input(f->u, keys, strlen(keys)); }
static int fx_frame(struct fx *f, struct buf *b) { return ui_port(f->u)->frame(f->u, b); }

#endif
