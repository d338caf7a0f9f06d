/* The screens Eval, Compress, Model, Log, Settings: golden captures (UPDATE_GOLDEN=1 rewrites them), what their keys do, what they may cost. */
#include "config.h"

#include <stdlib.h>

#include "src/base/io.h"
#include "src/base/err.h"
#include "src/base/thread.h"
#include "tests/ui/views_fix.h"
#include "ui/evaluation.h"

/* ---- Model ---- */

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

/* Of a pair all rows went the same way: the list beside the text tells them apart by what they say. */
static void rows_of_pair(struct fx *f) {
    run_report(f->r, "eval", fx_eval(10, false));
    fx_attach(f, "xterm-256color", "UTF-8", "ascii", 36, 120, false);
    free(shown(f, "\x1b"));
    fx_time += 1;
    char *text = shown(f, "5\x1b[D\x1b[D\x1b[C\x1b[C\x1b[C\x1b[C\r");
    tap_ok(has(text, "of T-shirt were called Coat") && has(text, "\n>  6.9078  A short one.  "), "t.S1: the rows behind a pair are listed by their texts");
    free(text);
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
    rows_of_pair(&f);
    run_report(f.r, "eval", fx_eval(77, false));
    fx_attach(&f, "xterm-256color", "UTF-8", "ascii", 24, 80, false);
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

/* ---- Compress ---- */

static struct val *compressed(void) {
    static const struct {
        const char *name, *why;
        double acc, p, bytes, p50, rate, faster;
    } step[] = {{"as given", NULL, 0.8731, NAN, 1628200, 0.0512, 61000, NAN}, {"prune.magnitude", NULL, 0.8722, 0.41, 1628200, 0.0511, 61100, 1.0},
        {"quant.int8", NULL, 0.8719, 0.82, 410900, 0.0231, 129000, 2.2},
        {"prune.units", "accuracy on the val part falls from 0.8731 to 0.8401, by 0.0330 where max_drop allows 0.0100", 0.8401, 1e-9, 201000, 0.0131, 201000,
            1.7}};
    struct val *v = val_table(), *steps = val_list(), *layers = val_list();
    val_set_str(v, "model", "mlp");
    val_set_str(v, "data", "fashion-mnist");
    val_set_str(v, "split", "val");
    val_set_str(v, "kernels", "avx512");
    val_set_int(v, "threads", 2);
    for (size_t i = 0; i < LEN(step); i++) {
        struct val *r = val_table();
        char command[160];
        snprintf(command, sizeof command,
            i ? "hone.compress{model=hone.handle(\"model#1\"), recipe={... %zu steps}}" : "hone.eval{model=hone.handle(\"model#1\"), split=\"val\"}", i);
        val_set_str(r, "name", step[i].name);
        val_set_bool(r, "kept", !step[i].why);
        if (step[i].why) val_set_str(r, "why", step[i].why);
        val_set_num(r, "acc", step[i].acc);
        val_set_num(r, "acc_lo", step[i].acc - 0.02);
        val_set_num(r, "acc_hi", step[i].acc + 0.02);
        if (i) val_set_num(r, "p_mcnemar", step[i].p);
        val_set_num(r, "bytes", step[i].bytes);
        val_set_num(r, "p50_ms", step[i].p50);
        val_set_num(r, "examples_s", step[i].rate);
        if (i)
            for (int k = 0; k < 2; k++) {
                val_set_num(r, k ? "faster_32" : "faster_1", step[i].faster);
                val_set_num(r, k ? "faster_32_lo" : "faster_1_lo", step[i].faster - 0.1);
                val_set_num(r, k ? "faster_32_hi" : "faster_1_hi", step[i].faster + 0.1);
            }
        val_set_str(r, "command", command);
        val_push(steps, r);
    }
    for (int i = 0; i < 4; i++) {
        struct val *l = val_table();
        static const char *const names[] = {"linear1.weight", "linear1.bias", "linear2.weight", "linear2.bias"};
        static const int n[] = {401408, 512, 5120, 10};
        val_set_str(l, "name", names[i]);
        val_set_int(l, "n", n[i]);
        val_set_int(l, "bits", i % 2 ? 32 : 8);
        val_set_int(l, "bits_before", 32);
        val_set_int(l, "bytes", n[i] * (i % 2 ? 4 : 1));
        val_set_int(l, "bytes_before", n[i] * 4);
        val_set_num(l, "sparsity", i % 2 ? 0 : 0.5);
        val_push(layers, l);
    }
    val_set(v, "steps", steps);
    val_set(v, "layers", layers);
    return v;
}

static void compress(void) {
    struct fx f;
    fx_open(&f, 2000, 4000);
    fx_attach(&f, "xterm-256color", "UTF-8", "ascii", 24, 80, false);
    char *text = shown(&f, "6");
    tap_ok(has(text, "Nothing was compressed yet"), "the Compress screen before anything was compressed says how");
    free(text);
    run_report(f.r, "compress", compressed());
    golden(&f, "t.S1", "compress", "6");
    golden(&f, "t.S1", "compress-weights", "6\x1b[F\t");
    fx_attach(&f, "xterm-256color", "UTF-8", "ascii", 24, 80, false);
    int named = 0;
    free(shown(&f, "6\x1b[H"));
    for (int i = 0; i < 4; i++) {
        text = shown(&f, i ? "j" : "");
        named += has(text, i ? "hone.compress{" : "hone.eval{");
        if (i == 3) tap_ok(has(text, "refused: accuracy"), "a refused step says why");
        free(text);
    }
    tap_ok(named == 4, "t.V3: each row of the table names the command that gives its numbers again");
    struct val *rep = compressed(); /* while it goes on, and of a regression */
    val_unset(rep, "layers");
    val_unset(val_at(val_get(rep, "steps"), 1), "acc");
    run_report(f.r, "compress", rep);
    text = shown(&f, "a\t");
    tap_ok(has(text, "when the last step is done"), "a compression that goes on shows what there is");
    free(text);
    fx_close(&f);
}

/* ---- Log ---- */

static void logs(void) {
    struct fx f;
    fx_open(&f, 2000, 4000);
    fx_attach(&f, "xterm-256color", "UTF-8", "ascii", 24, 80, false);
    free(shown(&f, "9"));
    for (int i = 0; i < 100; i++) {
        char line[300];
        snprintf(line, sizeof line, "line %d of many, %s", i,
            i % 10 == 3 ? "needle here and a needle there, in a line so long that it does not fit into eighty columns of a terminal by far" : "plain");
        runs_notice(f.rs, i % 50 == 7 ? "error" : i % 25 == 5 ? "warn" : "info", line);
    }
    char *text = shown(&f, "/needle\r");
    tap_ok(has(text, "line 93 of many") && has(text, "find needle"), "/ finds upwards from the end");
    free(text);
    int reversed = 0;
    for (int k = 0; k < f.u->next.rows * f.u->next.cols; k++) reversed += f.u->next.cell[k].style.at & AT_REVERSE ? 1 : 0;
    tap_ok(reversed > 0 && reversed % 6 == 0, "what was found is marked, only that (%d cells)", reversed);
    text = shown(&f, "n");
    tap_ok(has(text, "line 83 of many"), "n goes on upwards");
    free(text);
    text = shown(&f, "nN");
    tap_ok(has(text, "line 83 of many") && !has(text, "line 73 of many"), "N downwards");
    free(text);
    text = shown(&f, "w");
    tap_ok(has(text, "wrapped") && has(text, "by far"), "w wraps long lines");
    free(text);
    text = shown(&f, "wvv");
    tap_ok(has(text, "warnings") && has(text, "line 5 of") && has(text, "line 7 of") && !has(text, "line 6 of"), "v shows warnings and errors alone");
    free(text);
    text = shown(&f, "v");
    tap_ok(has(text, "errors") && has(text, "line 57 of") && !has(text, "line 5 of"), "and errors alone");
    free(text);
    fx_close(&f);
}

/* ---- Settings, keys ---- */

static void keeping(void) {
    struct err e = {0};
    char dir[] = "/tmp/hone-views-XXXXXX", path[128];
    struct buf text = BUF_INIT;
    if (!mkdtemp(dir)) return;
    snprintf(path, sizeof path, "%s/a/settings.lua", dir);
    struct val *v = val_num(5);
    settings_set("refresh", v, NULL, &e);
    val_free(v);
    v = val_str("line");
    settings_set("glyphs", v, NULL, &e);
    val_free(v);
    bool saved = settings_save(path, &e) == 0 && io_read_file(path, 1 << 16, &text, &e) == 0;
    buf_addc(&text, 0);
    tap_ok(saved && has(text.data, "hone.prop.refresh = 5") && has(text.data, "hone.prop.glyphs = \"line\"") && !has(text.data, "budget"),
        "settings that are not at their defaults are kept");
    v = val_num(2);
    settings_set("refresh", v, NULL, &e);
    val_free(v);
    v = val_str("auto");
    settings_set("glyphs", v, NULL, &e);
    val_free(v);
    struct settings s;
    bool loaded = settings_load(path, &e) == 0;
    settings_get(&s);
    tap_ok(loaded && s.refresh == 5 && s.glyphs == 3, "and come back");
    args_release(&settings_kind, &s);
    const char *bad = "hone.prop.refresh = 3\nhone.prop.nothing = 1\nrm -rf\n";
    io_write_file(path, bad, strlen(bad), &e);
    struct err why = {0};
    int rc = settings_load(path, &why);
    settings_get(&s);
    tap_ok(rc < 0 && has(why.text, "line 2") && s.refresh == 3, "a mistake names its line, the rest counts: %s", why.text);
    args_release(&settings_kind, &s);
    v = val_num(2);
    settings_set("refresh", v, NULL, &e);
    val_free(v);
    v = val_str("auto");
    settings_set("glyphs", v, NULL, &e);
    val_free(v);
    io_remove_tree(dir, &e);
    buf_release(&text);
}

/* S2: every screen here at every size from 40x10 on, each pane of it, keys at random: never an exit, always a footer. */
static void sizes_and_keys(void) {
    static const char *const seqs[] = {
        "\x1b[A", "\x1b[B", "\x1b[C", "\x1b[D", "\r", "\t", "\x1b[5~", "\x1b[6~", "\x1b[H", "\x1b[F", "z", "o", "d", "t", "v", "w", "F", "n", "N", "\x1b[Z"};
    static const char screens[] = "567890";
    struct fx f;
    struct buf b = BUF_INIT;
    fx_open(&f, 300, 4000);
    run_report(f.r, "compress", compressed());
    fx_attach(&f, "xterm-256color", "UTF-8", "auto", 24, 80, false);
    int missing = 0;
    for (uint64_t i = 0; i < 3000; i++) {
        uint32_t x = rng_u32(fx_stream, 5, i);
        if (i % 40 == 0) {
            char key[2] = {screens[i / 40 % 6], 0};
            escape(&f, 3);
            fx_keys(&f, key);
            run_report(f.r, "eval", i % 80 ? fx_eval(2 + (int)(x % 90), i % 3 == 0) : binary());
        }
        if (i % 7 == 0) ui_port(f.u)->resize(f.u, 10 + (int)(x >> 8) % 50, 40 + (int)(x >> 16) % 170);
        fx_keys(&f, seqs[x % LEN(seqs)]);
        fx_time += 0.5;
        buf_clear(&b);
        fx_frame(&f, &b);
        struct buf last = BUF_INIT;
        grid_row_text(&f.u->next, f.u->next.rows - 1, &last);
        missing += !f.u->popup && !has(last.data, "?help");
        buf_release(&last);
    }
    tap_ok(missing == 0, "t.S1, t.S2: 3,000 keys over six screens at sizes from 40x10 to 210x60: the footer is there (%d times not)", missing);
    fx_close(&f);
    buf_release(&b);
}

static void last_row(struct fx *f, struct buf *out) {
    buf_clear(out);
    grid_row_text(&f->u->next, f->u->next.rows - 1, out);
    while (out->len && out->data[out->len - 1] == ' ') out->data[--out->len] = 0;
}

/* S1: at every width each entry of the footer is whole or absent, and how to leave is the last. */
static void footers(void) {
    struct fx f;
    struct buf wide = BUF_INIT, now = BUF_INIT, row = BUF_INIT;
    int cut = 0, last = 0;
    fx_open(&f, 300, 4000);
    for (const char *key = "1234567890"; *key; key++) {
        char one[2] = {*key, 0};
        for (int cols = 200; cols >= 40; cols--) {
            fx_attach(&f, "xterm-256color", "UTF-8", "ascii", 24, cols, false);
            free(shown(&f, one));
            last_row(&f, cols == 200 ? &wide : &now);
            if (cols == 200) continue;
            buf_clear(&row);
            buf_addf(&row, "%s  ", wide.data);
            for (char *save = NULL, *e = strtok_r(now.data, " ", &save); e; e = strtok_r(NULL, " ", &save)) cut += !strstr(row.data, e);
            last_row(&f, &now); /* strtok cut it */
            const char *end = strrchr(wide.data, ' ');
            for (const char *p = wide.data; (p = strstr(p, "  ")) != NULL; p += 2) end = p + 2;
            size_t n = strlen(end);
            last += now.len < n || strcmp(now.data + now.len - n, end) != 0;
        }
    }
    tap_ok(cut == 0 && last == 0, "t.S1: footers of ten screens at 40 to 199 columns: %d words cut, %d without the last entry", cut, last);
    fx_attach(&f, "xterm-256color", "UTF-8", "ascii", 24, 80, false);
    free(shown(&f, "3n"));
    last_row(&f, &now);
    bool plain = has(now.data, "?help");
    free(shown(&f, "2lnonsense\r"));
    escape(&f, 1);
    char *text = shown(&f, ":checkpoint to=7\r");
    last_row(&f, &now);
    tap_ok(plain && !has(now.data, "?help") && now.len > 10, "what a key could not do is said in the footer: %s", now.data);
    free(text);
    free(shown(&f, "j"));
    last_row(&f, &now);
    tap_ok(has(now.data, "?help"), "until the next key");
    buf_release(&wide);
    buf_release(&now);
    buf_release(&row);
    fx_close(&f);
}

/* S1: what a drawer leaves of the screen above it, down to three rows: no line over another. */
static void behind_drawer(void) {
    struct fx f;
    int over = 0;
    fx_open(&f, 2000, 4000);
    for (int rows = 10; rows < 30; rows++)
        for (int size = 0; size < 3; size++) {
            fx_attach(&f, "xterm-256color", "UTF-8", "ascii", rows, 80, false);
            f.u->drawer = size == 0 ? 1 : size == 1 ? 8 : -1;
            char *text = shown(&f, "");
            over += !has(text, " mnist-mlp-1  TRAINING") || strncmp(text, " mnist-mlp", 10) != 0;
            const char *second = strchr(text, '\n');
            over += !second || strncmp(second, "\n train ", 8) != 0;
            free(text);
        }
    f.u->drawer = 0;
    tap_ok(over == 0, "t.S1: the Overview behind a drawer of every size keeps its first lines (%d do not)", over);
    fx_close(&f);
}

/* At 40x12, and what is cut nowhere. */
static void narrow(void) {
    struct fx f;
    fx_open(&f, 2000, 4000);
    fx_attach(&f, "xterm-256color", "UTF-8", "ascii", 12, 40, false);
    char *text = shown(&f, "5");
    tap_ok(
        has(text, "confused") && !has(text, "prec") && has(text, "Right: the classes"), "t.S1: Eval at 40x12 shows one of its tables, and where the other is");
    free(text);
    text = shown(&f, "\x1b[C");
    tap_ok(has(text, "prec") && has(text, "recall") && !has(text, "confused:") && has(text, "Left: confused pairs"), "t.S1: Right shows the other");
    free(text);
    text = shown(&f, "6");
    tap_ok(has(text, "max_drop=0.01") && has(text, "val = 1000"), "t.S1: the example on Compress is whole at 40x12");
    free(text);
    log_add(f.u, INK_BAD, "error: a.lua:3: train: unknown argument thread; did you mean threads?");
    text = shown(&f, "9");
    tap_ok(has(text, "did you mean"), "an error in the log is shown whole at 40x12");
    free(text);
    text = shown(&f, "/zzz\r");
    tap_ok(has(text, "find zzz not found"), "a search in the log that finds nothing says so");
    free(text);
    f.u->alerts = 1;
    snprintf(f.u->alert, sizeof f.u->alert, "a.lua:3: train: unknown argument");
    text = shown(&f, "1");
    tap_ok(has(text, "alert: none new"), "what the log has shown is no new alert");
    free(text);
    fx_close(&f);
    fx_empty(&f);
    f.u->alerts = 1;
    snprintf(f.u->alert, sizeof f.u->alert, "/a/long/path/of/some/folder/script.lua:3: train: unknown argument thread; did you mean threads?");
    fx_attach(&f, "xterm-256color", "UTF-8", "ascii", 24, 80, false);
    text = shown(&f, "");
    tap_ok(
        has(text, "did you mean") && has(text, "threads?") && has(text, "hone demo"), "why a script failed stands whole on the Overview while there is no run");
    free(text);
    fx_close(&f);
}

int main(void) {
    footers();
    behind_drawer();
    narrow();
    sizes_and_keys();
    compress();
    logs();
    keeping();
    rates();
    evaluation();
    model();
    return tap_done();
}
