/* What the tests of the training job share: a hub with the engine, data made here, a small model, calls and what is heard of a run. */
#ifndef HONE_TESTS_TRAIN_FIX_H
#define HONE_TESTS_TRAIN_FIX_H

#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/cmds/objects.h"
#include "engine/engine.h"
#include "engine/train/train.h"
#include "src/base/io.h"
#include "src/base/log.h"
#include "src/base/mem.h"
#include "src/base/rng.h"
#include "src/base/thread.h"
#include "src/call/settings.h"
#include "tests/tap.h"

static const struct cmd *const *const cmds[] = {cmds_call, cmds_run, cmds_engine, NULL};
static char dir[64];
static struct runs *rs;
static struct hub *hub;

static __attribute__((unused)) void quiet(void *ctx, enum log_level l, const char *text) { (void)ctx, (void)l, (void)text; }

static __attribute__((unused)) void open_hone(void) {
    struct err e = {0};
    rs = runs_new(dir);
    hub = hub_new(cmds, rs);
    hub_add_resumer(hub);
    if (engine_start(hub, &e) < 0) tap_ok(false, "engine: %s", e.text);
}

static __attribute__((unused)) void close_hone(void) {
    hub_quit(hub);
    engine_stop();
    objects_release(model_free);
    hub_free(hub);
    runs_free(rs);
}

/* ---- data: 3 classes, 12 numbers a row; `bad` < 0: nothing; else one value of that row ---- */
static __attribute__((unused)) struct dataset *make_data(int64_t n, int64_t n_val, int64_t bad, float bad_value) {
    struct dataset *d = X_NEW(struct dataset, 1);
    atomic_store(&d->refs, 1);
    d->name = mem_str("made");
    d->path = mem_str("made");
    d->n_input = 1;
    d->n_class = 3;
    d->class_name = X_NEW(char *, 3);
    for (int c = 0; c < 3; c++) d->class_name[c] = mem_strn("abc" + c, 1);
    for (int p = 0; p < 2; p++) {
        struct part *part = &d->part[p];
        part->n = p ? n_val : n;
        part->n_col = 2;
        part->col = X_NEW(struct column, 2);
        part->col[0] = (struct column){
            .name = mem_str("x"), .type = COL_F32, .ndim = 1, .dim = {12}, .width = 12, .scale = 1, .data = X_NEW(float, (size_t)(part->n * 12 + 1))};
        part->col[1] = (struct column){.name = mem_str("y"), .type = COL_I32, .width = 1, .max_id = 3, .data = X_NEW(int32_t, (size_t)part->n + 1)};
        float *x = part->col[0].data;
        int32_t *y = part->col[1].data;
        for (int64_t i = 0; i < part->n; i++) {
            y[i] = (int32_t)rng_below(5, (uint64_t)p, (uint64_t)i, 3);
            for (int j = 0; j < 12; j++) x[i * 12 + j] = (float)(rng_normal(6, (uint64_t)p, (uint64_t)(i * 12 + j)) + (j % 3 == y[i]));
        }
        if (p == 0 && bad >= 0) x[bad * 12 + 5] = bad_value;
    }
    return d;
}

static __attribute__((unused)) struct val *layer(const char *name, int64_t size) {
    struct val *l = val_table();
    val_set_str(l, "layer", name);
    if (size) val_push(l, val_int(size));
    return l;
}

static __attribute__((unused)) struct val *call(const char *name, struct val *args, struct err *e) {
    struct val *out = NULL;
    *e = (struct err){0};
    if (call_sync(hub, name, args, BY_LINE, &out, e) < 0) return NULL;
    return out ? out : val_nil();
}

static __attribute__((unused)) struct val *set_args(const char *name, struct val *v) {
    struct val *t = val_table();
    val_set_str(t, "name", name);
    val_set(t, "value", v);
    return t;
}

static __attribute__((unused)) void setting(const char *name, struct val *v) {
    struct err e = {0};
    if (settings_set(name, v, NULL, &e) < 0) printf("# %s\n", e.text);
    val_free(v);
}

/* exp: an exponential in the middle, which overflows for large inputs. */
static __attribute__((unused)) struct handle make_model(struct handle d, bool exponential) {
    struct val *t = val_table();
    struct err e;
    val_set(t, "input", val_handle(d));
    val_push(t, layer("linear", 16));
    val_push(t, exponential ? layer("exp", 0) : layer("relu", 0));
    struct val *drop = layer("dropout", 0);
    val_set_num(drop, "p", 0.25);
    val_push(t, drop);
    val_push(t, layer("linear", 3));
    struct val *m = call("model", t, &e);
    if (!m) printf("# %s\n", e.text);
    struct handle h = m ? m->u.h : (struct handle){0};
    val_free(m);
    return h;
}

/* Linear layers of a and b units with relu and `act` behind them, then three outputs. */
static __attribute__((unused)) struct handle dense_model(struct handle d, int64_t a, int64_t b, const char *act) {
    struct val *t = val_table();
    struct err e;
    val_set(t, "input", val_handle(d));
    val_push(t, layer("linear", a));
    val_push(t, layer("relu", 0));
    val_push(t, layer("linear", b));
    val_push(t, layer(act, 0));
    val_push(t, layer("linear", 3));
    struct val *m = call("model", t, &e);
    if (!m) printf("# %s\n", e.text);
    struct handle h = m ? m->u.h : (struct handle){0};
    val_free(m);
    return h;
}

static __attribute__((unused)) struct val *train_args(struct handle m, struct handle d, int64_t epochs) {
    struct val *t = val_table(), *o = val_table(), *s = val_table(), *w = val_table();
    val_set(t, "model", val_handle(m));
    val_set(t, "data", val_handle(d));
    val_set_int(t, "epochs", epochs);
    val_set_int(t, "batch", 16);
    val_set_str(o, "optim", "nadam");
    val_set_num(o, "lr", 0.01);
    val_set(t, "optim", o);
    val_set_str(w, "sched", "plateau");
    val_set_int(w, "patience", 0);
    val_set_num(w, "factor", 0.5);
    val_set_str(s, "sched", "warmup");
    val_set_int(s, "steps", 9);
    val_set(s, "next", w);
    val_set(t, "sched", s);
    val_set_num(t, "clip_norm", 1.5);
    return t;
}

/* Trains to the end; the result of wait. */
static __attribute__((unused)) struct val *train(struct val *args, struct err *e) {
    struct val *run = call("train", args, e), *out = NULL;
    if (!run) return NULL;
    struct val *w = val_table();
    val_set(w, "run", run);
    out = call("wait", w, e);
    return out;
}

static __attribute__((unused)) void sum_of(struct handle h, char hex[65]) {
    struct err e = {0};
    struct model *m = objects_model(h, &e);
    strcpy(hex, "?");
    if (m) io_sha256(m->data, m->bytes, hex);
}

struct seen {
    int edits, alerts, checkpoints;
    char layer[96];
    int64_t step;
    double last_lr;
    bool step_ok;
};
static __attribute__((unused)) void see(void *ctx, uint64_t seq, const struct val *ev) {
    struct seen *s = ctx;
    const char *name = val_get_str(ev, "event", "");
    (void)seq;
    if (strcmp(name, "edit") == 0) {
        s->edits++;
        s->step_ok = val_get_int(ev, "step", -1) == s->step;
    }
    if (strcmp(name, "alert") == 0) {
        s->alerts++;
        snprintf(s->layer, sizeof s->layer, "%s", val_get_str(ev, "layer", "?"));
    }
    s->checkpoints += strcmp(name, "checkpoint") == 0;
    if (strcmp(name, "metric") == 0) s->last_lr = val_get_num(ev, "lr", NAN);
}

static __attribute__((unused)) bool wait_state(enum run_state want) {
    for (int i = 0; i < 3000; i++) {
        struct run *r = runs_current(rs);
        struct run_now now;
        if (r) {
            run_now(r, &now);
            if (now.state == want) return true;
        }
        clock_sleep(0.002);
    }
    return false;
}

static __attribute__((unused)) double get_number(const char *name) {
    struct err e;
    struct val *t = val_table();
    double x = NAN;
    val_set_str(t, "name", name);
    struct val *v = call("get", t, &e);
    if (v) val_as_num(v, &x);
    val_free(v);
    return x;
}

#endif
