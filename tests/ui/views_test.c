/* The screens Eval, Compress, Model, System, Log, Settings: golden captures (UPDATE_GOLDEN=1 rewrites them), what their keys do, what they may cost. */
#include "config.h"

#include <stdlib.h>

#include "src/base/io.h"
#include "src/base/mem.h"
#include "src/base/thread.h"
#include "tests/tap.h"
#include "tests/ui/fixture.h"
#include "ui/evaluation.h"

static const struct { int rows, cols; } sizes[] = {{24, 80}, {30, 100}, {43, 132}, {50, 200}};

/* The screen after these keys; the caller frees it. A second of the clock passes, for what reads the machine twice. */
static char *shown(struct fx *f, const char *keys) {
    struct buf frame = BUF_INIT, text = BUF_INIT;
    fx_keys(f, keys);
    fx_frame(f, &frame);
    fx_time += 1;
    fx_frame(f, &frame);
    ui_port(f->u)->last_screen(f->u, &text);
    buf_release(&frame);
    return text.data;
}

static void escape(struct fx *f, int n) {
    struct buf frame = BUF_INIT;
    for (int i = 0; i < n; i++) {
        fx_keys(f, "\x1b");
        fx_time += 0.1;
        fx_frame(f, &frame);
    }
    buf_release(&frame);
}

/* S1: nothing but what hone means to show, the footer in the last row, the same as the golden file. */
static void golden(struct fx *f, const char *id, const char *name, const char *keys) {
    const char *src = getenv("top_srcdir");
    for (size_t z = 0; z < LEN(sizes); z++) {
        struct buf want = BUF_INIT;
        struct err e = {0};
        char path[512];
        fx_attach(f, "xterm-256color", "UTF-8", "ascii", sizes[z].rows, sizes[z].cols, false);
        char *now = shown(f, keys);
        size_t n = strlen(now);
        snprintf(path, sizeof path, "%s/tests/ui/golden/%s-%dx%d.txt", src ? src : ".", name, sizes[z].cols, sizes[z].rows);
        if (getenv("UPDATE_GOLDEN")) io_write_file(path, now, n, &e);
        bool read = io_read_file(path, 1 << 20, &want, &e) == 0, same = read && want.len == n && memcmp(want.data, now, n) == 0;
        bool footer = n > 2 && strstr(now, "?help") != NULL;
        tap_ok(same && footer, "%s: %s at %dx%d", id, name, sizes[z].cols, sizes[z].rows);
        if (!same) printf("# %s differs (UPDATE_GOLDEN=1 rewrites); now:\n", path);
        for (const char *p = now; !same && *p;) {
            size_t len = strcspn(p, "\n");
            printf("# %.*s\n", (int)len, p);
            p += len + (p[len] == '\n');
        }
        buf_release(&want);
        free(now);
        escape(f, 4);
    }
}

static bool has(const char *text, const char *part) { return text && strstr(text, part); }

/* ---- Model, System ---- */

static void model(void) {
    struct fx f;
    fx_open(&f, 2000, 4000);
    golden(&f, "t.S1", "model", "7");
    golden(&f, "t.S1", "model-layer", "7\x1b[Hj\r");
    fx_attach(&f, "xterm-256color", "UTF-8", "ascii", 24, 80, false);
    char *text = shown(&f, "7\x1b[Hjjjh");
    tap_ok(has(text, "+block1") && !has(text, "  relu1  ") && has(text, "301/512") && has(text, "6 bad"),
        "t.S1: a layer folds; dead units and gradients that are not finite show");
    free(text);
    text = shown(&f, "F");
    tap_ok(has(text, "-block1"), "F unfolds");
    free(text);
    fx_attach(&f, "xterm-256color", "UTF-8", "ascii", 10, 40, false);
    text = shown(&f, "7");
    tap_ok(has(text, "hidden") && has(text, "?help"), "t.S3: layers that do not fit are announced");
    free(text);
    fx_close(&f);
}

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

/* ---- Eval ---- */

/* Two classes: probabilities of the right class lie higher. */
static struct val *binary(void) {
    struct val *e = val_table(), *m = val_list(), *c = val_list(), *t = val_table(), *pos = val_list(), *neg = val_list();
    static const int count[2][2] = {{420, 80}, {60, 440}};
    static const char *const name[2] = {"ham", "spam"};
    for (int i = 0; i < 2; i++) {
        struct val *row = val_list();
        for (int j = 0; j < 2; j++) val_push(row, val_int(count[i][j]));
        val_push(m, row);
        val_push(c, val_str(name[i]));
    }
    for (int b = 0; b < 100; b++) {
        val_push(pos, val_int(b / 10));
        val_push(neg, val_int((99 - b) / 10));
    }
    val_set(t, "pos", pos);
    val_set(t, "neg", neg);
    val_set_str(e, "split", "test");
    val_set_num(e, "acc", 0.86);
    val_set(e, "classes", c);
    val_set(e, "confusion", m);
    val_set(e, "thresholds", t);
    return e;
}

/* V2: every rate against plain sums in long double, straight from the matrix; a class nobody has shows as "-". */
static void rates(void) {
    enum { N = 40 };
    static long double m[N][N];
    struct val *report = val_table(), *list = val_list();
    for (int i = 0; i < N; i++) {
        struct val *row = val_list();
        for (int j = 0; j < N; j++) {
            m[i][j] = i == 7 || j == 11 ? 0 : (long double)rng_below(3, 1, (uint64_t)(i * N + j), i == j ? 900 : 30); /* 7 has no examples, 11 is never said */
            val_push(row, val_int((int64_t)m[i][j]));
        }
        val_push(list, row);
    }
    val_set(report, "confusion", list);
    struct evaluation e;
    bool ok = evaluation_read(&e, report);
    long double worst = 0, rows = 0, unions = 0, right = 0, all = 0, k = 0;
    for (int c = 0; c < N; c++) {
        long double row = 0, col = 0;
        for (int j = 0; j < N; j++) row += m[c][j], col += m[j][c];
        right += m[c][c], all += row;
        if (row > 0) rows += m[c][c] / row, unions += m[c][c] / (row + col - m[c][c]), k++;
        long double want[] = {col > 0 ? m[c][c] / col : NAN, row > 0 ? m[c][c] / row : NAN, row + col > 0 ? 2 * m[c][c] / (row + col) : NAN,
            row > 0 ? m[c][c] / (row + col - m[c][c]) : NAN};
        double have[] = {class_precision(&e, c), class_recall(&e, c), class_f1(&e, c), class_union(&e, c)};
        for (int i = 0; i < 4; i++) {
            if (isnan(want[i]) != isnan(have[i])) ok = false;
            else if (!isnan(want[i])) worst = fmaxl(worst, fabsl(want[i] - have[i]));
        }
    }
    worst = fmaxl(worst, fabsl(rows / k - mean_row(&e)));
    worst = fmaxl(worst, fabsl(unions / k - mean_union(&e)));
    worst = fmaxl(worst, fabsl(right / all - overall(&e)));
    tap_ok(ok && worst < 1e-12L, "t.V2: precision, recall, F1, union, row mean, union mean, overall of %d classes: largest difference %.1Le", N, worst);
    tap_ok(isnan(class_recall(&e, 7)) && isnan(class_precision(&e, 11)) && !isnan(class_precision(&e, 7)), "t.V2: rates without samples do not exist");
    struct val *bins = val_list();
    double ece = 0, n = 0;
    for (int b = 0; b < 15; b++) {
        struct val *v = val_table();
        double have = b * 7, acc = 0.9 - 0.01 * b, conf = 0.06 * b;
        val_set_num(v, "n", have);
        if (have > 0) val_set_num(v, "acc", acc), val_set_num(v, "conf", conf), ece += have * fabs(acc - conf), n += have;
        val_push(bins, v);
    }
    tap_ok(fabs(calibration_error(bins) - ece / n) < 1e-12, "t.V2: calibration error");
    val_free(bins);
    evaluation_release(&e);
    val_free(report);
}

/* A report of very many classes as the engine makes it: exact sums, the cells as text. */
static struct val *many(int n) {
    struct val *r = val_table(), *sums = val_table(), *rows = val_list(), *cols = val_list(), *hits = val_list();
    struct buf b = BUF_INIT;
    for (int i = 0; i < n; i++) {
        val_push(rows, val_int(50));
        val_push(cols, val_int(50));
        val_push(hits, val_int(40));
        buf_addf(&b, "%s%d %d 40", i ? " " : "", i, i);
        for (int k = 1; k <= 10; k++) buf_addf(&b, " %d %d 1", i, (i + 37 * k) % n);
    }
    val_set(sums, "rows", rows);
    val_set(sums, "cols", cols);
    val_set(sums, "hits", hits);
    val_set(r, "sums", sums);
    val_set_str(r, "cells", b.data);
    val_set_str(r, "split", "test");
    buf_release(&b);
    return r;
}

static void thousand(struct fx *f) {
    struct buf b = BUF_INIT;
    run_report(f->r, "eval", many(1000));
    fx_attach(f, "xterm-256color", "UTF-8", "ascii", 24, 80, false);
    fx_keys(f, "1");
    fx_frame(f, &b);
    double t0 = clock_now();
    fx_keys(f, "5");
    fx_frame(f, &b);
    double first = 1e3 * (clock_now() - t0), worst = 0;
    fx_keys(f, "\x1b[C");
    fx_frame(f, &b);
    char *before = shown(f, "");
    for (int i = 0; i < 30; i++) {
        double t = clock_now();
        fx_keys(f, "\x1b[6~");
        fx_frame(f, &b);
        t = 1e3 * (clock_now() - t);
        if (t > worst) worst = t;
    }
    char *text = shown(f, "");
    tap_ok(first < 1000 && worst < 500 && has(text, "class 900") && !has(before, "class 900"),
        "t.V1: 1,000 classes: first frame %.1f ms, 30 rows a key, worst key %.1f ms (bounds that catch a hang only)", first, worst);
    free(before);
    free(text);
    buf_release(&b);
}

static void evaluation(void) {
    struct fx f;
    fx_open(&f, 2000, 4000);
    golden(&f, "t.S1", "eval-examples", "5\tjj");
    golden(&f, "t.S1", "eval-calibration", "5\t\t");
    run_report(f.r, "eval_before", binary());
    run_report(f.r, "eval", binary());
    golden(&f, "t.S1", "eval-curves", "5\t\t\t");
    fx_attach(&f, "xterm-256color", "UTF-8", "ascii", 24, 80, false);
    char *text = shown(&f, "5d");
    tap_ok(has(text, "against test") && has(text, "nothing changed") && has(text, "acc +0.0000"), "the difference to the evaluation before");
    free(text);
    fx_keys(&f, "d");
    run_report(f.r, "eval", fx_eval(77, false));
    golden(&f, "t.S1", "eval-77", "5");
    fx_attach(&f, "xterm-256color", "UTF-8", "ascii", 24, 80, false);
    text = shown(&f, "5\r");
    tap_ok(has(text, "were called"), "t.S1: Enter shows the rows behind a pair");
    free(text);
    text = shown(&f, "\x1b");
    fx_time += 1;
    free(text);
    text = shown(&f, "o");
    tap_ok(has(text, "most errors") && has(text, "class 76") == false, "classes by their errors");
    free(text);
    thousand(&f);
    run_report(f.r, "eval", fx_eval(77, true));
    text = shown(&f, "5\t");
    tap_ok(!has(text, "\x1b") && !has(text, "\xe2\x80\xae"), "names of classes pass the sink on every pane");
    free(text);
    fx_attach(&f, "xterm-256color", "UTF-8", "ascii", 10, 40, false);
    text = shown(&f, "5\x1b[Z");
    tap_ok(has(text, "?help"), "t.S2: 40x10");
    free(text);
    fx_close(&f);
}

int main(void) {
    rates();
    evaluation();
    model();
    machine();
    return tap_done();
}
