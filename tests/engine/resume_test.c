/* Going on from a run with nothing but its name: arguments and data set come from its record, the model from its checkpoint; the best weights of before
 * stay the best. A data set that has changed, or a run that is not there, is a sentence. */
#include "config.h"

#include "tests/engine/train_fix.h"

/* 90 rows, 4 numbers and a class; odd: one number differs. */
static char *write_table(bool odd) {
    char *path = io_join(dir, "table.csv");
    struct buf b = BUF_INIT;
    struct err e = {0};
    buf_adds(&b, "a,b,c,d,kind\n");
    for (int i = 0; i < 90; i++) {
        int y = (int)rng_below(5, 1, (uint64_t)i, 3);
        for (int j = 0; j < 4; j++) buf_addf(&b, "%.4f,", rng_normal(6, 1, (uint64_t)(i * 4 + j)) + (j == y) + (odd && i == 40));
        buf_addf(&b, "%c\n", "xyz"[y]);
    }
    if (io_write_file(path, b.data, b.len, &e) < 0) tap_ok(false, "%s", e.text);
    buf_release(&b);
    return path;
}

static struct handle load(const char *path) {
    struct val *t = val_table();
    struct err e;
    val_set_str(t, "name", path);
    val_set_str(t, "y", "kind");
    val_set_int(t, "val", 30);
    struct val *v = call("data", t, &e);
    if (!v) tap_ok(false, "%s", e.text);
    struct handle h = v ? v->u.h : (struct handle){0};
    val_free(v);
    return h;
}

/* The best epoch is an early one: later the rate is far too high. */
static struct val *args_of(struct handle m, struct handle d, int64_t epochs) {
    struct val *a = train_args(m, d, epochs), *s = val_table(), *at = val_list();
    val_push(at, val_int(1));
    val_set_str(s, "sched", "multi_step");
    val_set(s, "at", at);
    val_set_num(s, "gamma", 1e6);
    val_set(a, "sched", s);
    val_set_int(a, "batch", 10);
    val_set_str(a, "keep", "best");
    val_set_str(a, "metric", "loss");
    return a;
}

static struct val *resume(const char *name, int64_t epochs, struct err *e) {
    struct val *a = val_table();
    val_set_str(a, "resume", name);
    if (epochs) val_set_int(a, "epochs", epochs);
    return train(a, e);
}

static void newest_sum(char hex[65]) {
    struct handle h = {0}, x;
    for (size_t i = 0; (x = objects_at(HANDLE_MODEL, i)).id; i++) h = x;
    sum_of(h, hex);
}

int main(void) {
    struct err e = {0};
    char want[65], hex[65];
    strcpy(dir, "/tmp/hone-resume-XXXXXX");
    if (!mkdtemp(dir)) return 1;
    settings_init();
    log_set_sink(quiet, NULL);
    setting("threads", val_int(1));
    if (engine_init(&e) < 0) return 1;
    open_hone();
    char *path = write_table(false);
    struct handle d = load(path), m = make_model(d, false);
    struct val *r = train(args_of(m, d, 5), &e);
    sum_of(m, want);
    tap_ok(r && val_get_int(r, "best_step", 0) < 18, "keep=best: the best is an early step, %d", r ? (int)val_get_int(r, "best_step", 0) : -1);
    val_free(r);
    m = make_model(d, false);
    struct val *first = train(args_of(m, d, 3), &e);
    const char *name = first ? val_get_str(first, "run", "?") : "?";
    r = resume(name, 5, &e);
    newest_sum(hex);
    tap_ok(r && strcmp(hex, want) == 0, "three epochs, then resumed by name alone to five: the best weights are the same %s", r ? "" : e.text);
    char *again = mem_str(r ? val_get_str(r, "run", "?") : "?");
    val_free(r);
    r = resume(again, 6, &e);
    newest_sum(hex);
    tap_ok(r && strcmp(hex, want) == 0, "and from that run once more %s", r ? "" : e.text);
    val_free(r);
    r = resume(again, 0, &e);
    tap_ok(r && val_get_int(r, "step", 0) == 30, "without epochs the planned end is the run's own: step %d", r ? (int)val_get_int(r, "step", 0) : -1);
    val_free(r);
    free(write_table(true));
    r = resume(name, 4, &e);
    tap_ok(!r && strstr(e.text, "has changed since"), "a changed file is refused: %s", r ? "it was not" : e.text);
    val_free(r);
    r = resume("nobody-1", 4, &e);
    tap_ok(!r && strstr(e.text, "there is no run"), "a run that is not there: %s", r ? "?" : e.text);
    val_free(r);
    val_free(first);
    free(again);
    free(path);
    close_hone();
    io_remove_tree(dir, NULL);
    return tap_done();
}
