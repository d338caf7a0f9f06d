/* Averaged weights: the moving average and the plain mean against their formulas in double and against numbers of torch.optim.swa_utils; running statistics
 * against sums made here; a run evaluates and ends with the averaged weights; ended in the middle of an epoch and resumed, with accumulation and dropout, it
 * gives the same bits; no allocation in steps. */
#include "config.h"

#include "tests/engine/allocations.h"
#include "tests/engine/fake_device.h"
#include "tests/engine/step_fix.h"
#include "tests/engine/train_fix.h"

#include "engine/train/average.h"

static const char mlp[] = "{\"input\":30,\"n_class\":3,\"layers\":[{\"layer\":\"linear\",\"out\":32},{\"layer\":\"relu\"},{\"layer\":\"linear\",\"out\":3}]}";

/* 30 steps of training; the average against the formula in double. */
static void formula(const char *what, double decay) {
    struct err e = {0};
    struct fix f;
    if (fix_open(&f, mlp, "\"adam\"", 2, (struct step_spec){.rows = 20}, &e) < 0) return (void)tap_ok(false, "%s", what);
    struct average *a = average_new(f.m, decay, &e);
    size_t n = f.m->bytes / sizeof(float);
    double *want = X_NEW(double, n), worst = 0, scale = 0;
    long made = 0;
    bool ok = a != NULL;
    for (int64_t i = 0; ok && i < 30; i++) {
        double h[CTL_N], share = decay > 0 ? 1 - fmin(decay, (1.0 + (double)i) / (10.0 + (double)i)) : 1 / (1.0 + (double)i);
        struct step_result r;
        struct extents x = put_rows(&f, 20 * i, 20 * i + 20, 0, 3);
        optimiser_hyper(f.o, 0.01, 0, 0, h);
        ok = step_run(f.s, &x, (uint64_t)i + 1, h, &r, &e) == 0 && r.ok;
        optimiser_applied(f.o, 0.01);
#ifdef COUNTED
        long before = allocations;
#endif
        average_add(a, f.m, f.pool);
#ifdef COUNTED
        made += allocations - before;
#endif
        for (size_t k = 0; k < n; k++) want[k] = i == 0 ? (double)f.m->data[k] : want[k] + share * ((double)f.m->data[k] - want[k]);
    }
    for (size_t k = 0; ok && k < n; k++) worst = fmax(worst, fabs(want[k] - (double)a->data[k])), scale = fmax(scale, fabs(want[k]));
    tap_ok(ok && worst < 1e-6 * scale && made == 0, "%s: 30 steps agree with the formula to %.1e, %ld allocations %s", what, worst / scale, made, e.text);
    free(want);
    average_free(a);
    fix_close(&f);
}

/* Numbers of another tool (tests/golden/make_averages.py): weights come from a formula, step by step; running statistics from batches of 4, 4 and 2 rows. */
static double made(int64_t k, int64_t i) { return (double)((i * 37 + k * 101 + i * i % 97) % 199) / 199.0 - 0.5; }
static float *of_param(const struct model *m, const float *data, int i) { return (float *)((char *)(uintptr_t)data + m->param[i].offset); }
static void put_weights(struct model *m, int t) {
    for (int i = 0; i < m->n_param; i++)
        for (int64_t j = 0; j < m->param[i].len; j++) of_param(m, m->data, i)[j] = (float)(made(10 * t + i, j) + (i == 5));
}
static struct part made_rows(struct column *c, float *x) {
    c[0] = (struct column){.name = (char *)(uintptr_t) "x", .type = COL_F32, .ndim = 1, .dim = {5}, .width = 5, .scale = 1, .data = x};
    c[1] = (struct column){.name = (char *)(uintptr_t) "y", .type = COL_I32, .width = 1, .max_id = 3, .data = x};
    for (int i = 0; i < 50; i++) x[i] = (float)(2 * made(990, i));
    return (struct part){.n = 10, .n_col = 2, .col = c};
}
static void golden_case(struct model *m, const struct val *c) {
    struct err e = {0};
    struct average *a = average_new(m, val_get_num(c, "decay", 0), &e);
    const struct val *want = val_get(c, "weights");
    const char *name = val_get_str(c, "name", "?");
    double worst = 0, w = NAN;
    size_t at = 0;
    for (int t = 0; t < 40; t++) {
        put_weights(m, t);
        average_add(a, m, NULL);
    }
    if (strcmp(name, "statistics") == 0) {
        float x[50];
        struct column col[2];
        struct part p = made_rows(col, x);
        if (average_statistics(a, m, &p, NULL, 4, 0, NULL, NULL, &e) < 0) printf("# %s\n", e.text);
    }
    for (int i = 0; i < m->n_param; i++)
        for (int64_t j = 0; j < m->param[i].len; j++)
            worst = fmax(worst, val_as_num(val_at(want, at++), &w) ? fabs(w - (double)of_param(m, a->data, i)[j]) : INFINITY);
    tap_ok(at == val_len(want) && worst < 1e-6, "%s: %zu numbers after 40 steps agree with another tool's to %.1e", name, at, worst);
    average_free(a);
}
static void golden(void) {
    struct err e = {0};
    char path[1024];
    static const char net[] = "{\"input\":5,\"n_class\":3,\"layers\":[{\"layer\":\"linear\",\"out\":4},{\"layer\":\"batch_norm\"},{\"layer\":\"relu\"},"
                              "{\"layer\":\"linear\",\"out\":3}]}";
    snprintf(path, sizeof path, "%s/tests/golden/averages.json", getenv("top_srcdir") ? getenv("top_srcdir") : ".");
    struct val *user = from_json(net, &e), *desc = user ? model_describe(user, NULL, &e) : NULL, *all = json_read_file(path, 1 << 20, &e);
    struct model *m = desc ? model_new(desc, 1, &e) : NULL;
    tap_ok(m && m->n_param == 8 && strstr(m->param[5].name, "running_var") && val_len(all) == 4, "the net and the numbers are there %s", e.text);
    for (size_t i = 0; m && i < val_len(all); i++) golden_case(m, val_at(all, i));
    val_free(user);
    val_free(all);
    model_free(m);
}

/* batch_norm on the input itself: its batch statistics can be made here. Batches of 16, the last of 8. */
static void statistics(void) {
    struct err e = {0};
    struct dataset *d = make_data(200, 40, -1, 0);
    static const char net[] = "{\"input\":12,\"n_class\":3,\"layers\":[{\"layer\":\"dropout\",\"p\":0.5},{\"layer\":\"batch_norm\",\"name\":\"n\"},{\"layer\":"
                              "\"relu\"},{\"layer\":\"linear\",\"out\":3}]}";
    struct val *user = from_json(net, &e), *desc = user ? model_describe(user, NULL, &e) : NULL;
    struct model *m = desc ? model_new(desc, 1, &e) : NULL;
    struct average *a = m ? average_new(m, 0, &e) : NULL;
    double mean[12] = {0}, var[12] = {0}, worst = 0;
    const float *x = d->part[0].col[0].data;
    bool ok = a != NULL;
    if (ok) average_add(a, m, NULL);
    ok = ok && average_statistics(a, m, &d->part[0], NULL, 16, 0, NULL, NULL, &e) == 0 && !a->stale;
    for (int b = 0; b < 13; b++)
        for (int j = 0; j < 12; j++) {
            double s = 0, q = 0, n = b < 12 ? 16 : 8;
            for (int i = b * 16; i < b * 16 + (int)n; i++) s += (double)x[i * 12 + j];
            for (int i = b * 16; i < b * 16 + (int)n; i++) q += ((double)x[i * 12 + j] - s / n) * ((double)x[i * 12 + j] - s / n);
            mean[j] += s / n / 13, var[j] += q / (n - 1) / 13;
        }
    for (int i = 0; ok && i < m->n_param; i++)
        for (int j = 0; j < 12; j++) {
            double got = (double)((float *)((char *)a->data + m->param[i].offset))[j];
            if (strcmp(m->param[i].name, "n.running_mean") == 0) worst = fmax(worst, fabs(got - mean[j]));
            if (strcmp(m->param[i].name, "n.running_var") == 0) worst = fmax(worst, fabs(got - var[j]));
        }
    tap_ok(ok && worst < 1e-5, "running statistics are the means of those of 13 batches to %.1e, nothing dropped out %s", worst, e.text);
    average_free(a);
    val_free(user);
    model_free(m);
    dataset_unref(d);
}

/* batch_norm alone: its running statistics after two steps of training with the momentum given, from those of the batches (variances divided by n - 1), and
 * what it gives in evaluation, where no row's output depends on the others'. A batch that is not finite leaves them as they are. */
static void batch_norm(const char *net, double momentum) {
    enum { ROWS = 6, C = 3 };
    struct err e = {0};
    struct fix f = {0};
    double want[2][C] = {{0, 0, 0}, {1, 1, 1}}, worst = 0, off = 0;
    float before[2 * C];
    if (fix_open(&f, net, "{\"optim\":\"sgd\",\"lr\":0}", 2, (struct step_spec){.rows = ROWS}, &e) < 0) return (void)tap_ok(false, "%s", e.text);
    const float *gain = of_param(f.m, f.m->data, 0), *bias = of_param(f.m, f.m->data, 1), *stat[2] = {of_param(f.m, f.m->data, 2), of_param(f.m, f.m->data, 3)};
    for (int s = 0; s < 3; s++) {
        struct extents x = put_rows(&f, s * ROWS, (s + 1) * ROWS, 0, C);
        float *in = step_input(f.s, 0, NULL, NULL);
        double h[CTL_N];
        struct step_result r;
        for (int c = 0; c < C && s < 2; c++) {
            double m = 0, v = 0;
            for (int i = 0; i < ROWS; i++) m += (double)in[i * C + c] / ROWS;
            for (int i = 0; i < ROWS; i++) v += pow((double)in[i * C + c] - m, 2) / (ROWS - 1);
            want[0][c] += momentum * (m - want[0][c]);
            want[1][c] += momentum * (v - want[1][c]);
        }
        if (s == 2) in[4] = NAN, memcpy(before, stat[0], sizeof(float) * C), memcpy(before + C, stat[1], sizeof(float) * C);
        optimiser_hyper(f.o, 0, 0, 0, h);
        if (step_run(f.s, &x, (uint64_t)s, h, &r, &e) < 0) tap_ok(false, "%s", e.text);
    }
    for (int k = 0; k < 2; k++)
        for (int c = 0; c < C; c++) worst = fmax(worst, fabs((double)stat[k][c] - want[k][c]));
    tap_ok(worst < 1e-6, "momentum %g: running statistics of two batches within %.1e", momentum, worst);
    tap_ok(!memcmp(before, stat[0], sizeof(float) * C) && !memcmp(before + C, stat[1], sizeof(float) * C), "a batch that is not finite leaves them alone");
    struct step *s = step_new(&(struct step_spec){.model = f.m, .loss = &f.loss, .pool = f.pool, .rows = ROWS}, &e);
    float *in = s ? step_input(s, 0, NULL, NULL) : NULL;
    for (int i = 0; s && i < ROWS * C; i++) in[i] = (float)(made(3, i) * 4);
    for (int i = 0; s && i < ROWS; i++) ((int32_t *)step_target(s))[i] = 0;
    struct step_result r;
    struct extents x = {{1, ROWS, ROWS + 1}};
    int64_t rows = 0, width = 0;
    const float *y = s && step_run(s, &x, 0, NULL, &r, &e) == 0 ? step_output(s, &x, &rows, &width) : NULL;
    for (int i = 0; y && i < ROWS * C; i++) {
        int c = i % C;
        off = fmax(off, fabs((double)y[i] - (((double)in[i] - want[0][c]) / sqrt(want[1][c] + 1e-5) * (double)gain[c] + (double)bias[c])));
    }
    tap_ok(y && rows == ROWS && width == C && off < 1e-5, "and they, not the batch's, make its output in evaluation, within %.1e %s", off, e.text);
    step_free(s);
    fix_close(&f);
}

static struct val *args_of(struct handle m, struct handle d, const char *how, int64_t accum) {
    struct val *a = train_args(m, d, 4);
    val_set_int(a, "accum", accum);
    if (strcmp(how, "ema") == 0) val_set_num(a, "ema", 0.9);
    if (strcmp(how, "swa") == 0) val_set_num(a, "swa", 1.4), val_set_int(a, "swa_every", 3);
    return a;
}

static void resumed(const char *how, int64_t accum) {
    static const int64_t at[] = {1, 3, 7, 11, 19};
    struct err e;
    char want[65], hex[65];
    bool same = true;
    struct handle d = objects_add_data(make_data(200, 40, -1, 0)), m = make_model(d, false);
    struct val *r = train(args_of(m, d, how, accum), &e);
    if (!r) printf("# %s\n", e.text);
    sum_of(m, want);
    for (size_t i = 0; r && i < LEN(at); i++) {
        struct handle m1 = make_model(d, false), m2 = make_model(d, false);
        struct val *a = args_of(m1, d, how, accum), *b = args_of(m2, d, "", 1), *r2;
        val_set_int(a, "steps", at[i]);
        struct val *r1 = train(a, &e);
        val_set_str(b, "resume", r1 ? val_get_str(r1, "run", "?") : "?");
        val_set_int(b, "epochs", 4);
        r2 = r1 ? train(b, &e) : NULL;
        sum_of(m2, hex);
        if (!r2) printf("# %s\n", e.text);
        else if (strcmp(hex, want) != 0) printf("# differs when ended at step %d\n", (int)at[i]);
        same = same && r2 && strcmp(hex, want) == 0;
        val_free(r1);
        val_free(r2);
    }
    tap_ok(r && same, "%s, %d batches a step, dropout: ended at 5 steps within epochs and resumed, the same weights: %.12s", *how ? how : "no average",
        (int)accum, want);
    val_free(r);
}

/* What was evaluated last is what the model is at the end, and not what it would be without averaging. */
static void evaluated(const char *how) {
    struct err e;
    char hex[65], plain[65];
    struct handle d = objects_add_data(make_data(200, 40, -1, 0)), m = make_model(d, false), p = make_model(d, false);
    struct val *r = train(args_of(m, d, how, 1), &e), *r0 = train(args_of(p, d, "", 1), &e), *t = val_table(), *rep;
    double got = r ? val_get_num(r, "val_loss", NAN) : NAN;
    val_set(t, "model", val_handle(m));
    val_set(t, "data", val_handle(d));
    val_set_str(t, "split", "val");
    rep = call("eval", t, &e);
    double want = rep ? val_get_num(rep, "loss", NAN) : NAN;
    sum_of(m, hex);
    sum_of(p, plain);
    tap_ok(r && r0 && rep && fabs(got - want) < 1e-9 && strcmp(hex, plain) != 0,
        "%s: the model at the end has the loss that was evaluated, %.6f, and is not the one without (%.6f) %s", how, want,
        r0 ? val_get_num(r0, "val_loss", NAN) : NAN, rep ? "" : e.text);
    val_free(r);
    val_free(r0);
    val_free(rep);
}

/* Four epochs with swa=3 end in the mean of the weights after the third and the fourth, with running statistics of the training rows under them (of their
 * inputs, as batch_norm comes first: the mean over batches). */
static void averaged(void) {
    struct err e = {0};
    struct handle d = objects_add_data(make_data(200, 40, -1, 0)), h[3];
    struct model *m[3];
    double worst = 0, moved = 0, off = 0;
    bool ok = true;
    for (int k = 0; k < 3; k++) {
        struct val *t = val_table(), *n = layer("batch_norm", 0), *v;
        val_set(t, "input", val_handle(d));
        val_set_str(n, "name", "n");
        val_push(t, n);
        val_push(t, layer("linear", 3));
        v = call("model", t, &e);
        h[k] = v ? v->u.h : (struct handle){0};
        val_free(v);
        struct val *a = train_args(h[k], d, k ? 4 : 3), *r;
        val_set_str(a, "sched", "constant");
        if (k == 2) val_set_num(a, "swa", 3);
        r = train(a, &e);
        ok = ok && r && (m[k] = objects_model(h[k], &e)) != NULL;
        val_free(r);
    }
    struct dataset *rows = ok ? objects_data(d, &e) : NULL;
    const float *x = rows ? rows->part[0].col[0].data : NULL;
    for (int i = 0; ok && i < m[2]->n_param; i++) {
        const float *a = of_param(m[0], m[0]->data, i), *b = of_param(m[1], m[1]->data, i), *c = of_param(m[2], m[2]->data, i);
        bool mean = strcmp(m[2]->param[i].name, "n.running_mean") == 0;
        for (int64_t j = 0; j < m[2]->param[i].len; j++) {
            if (m[2]->param[i].trainable)
                worst = fmax(worst, fabs((double)c[j] - ((double)a[j] + (double)b[j]) / 2)), moved = fmax(moved, fabs((double)c[j] - (double)b[j]));
            double want = 0;
            for (int r = 0; mean && r < 200; r++) want += (double)x[r * 12 + j] / (r < 192 ? 16 : 8) / 13;
            if (mean) off = fmax(off, fabs((double)c[j] - want));
        }
    }
    tap_ok(ok && worst < 1e-6 && moved > 1e-4, "swa=3: the mean of what three and four epochs give, within %.1e %s", worst, e.text);
    dataset_unref(rows);
    tap_ok(ok && off < 1e-5 && off > 0, "and its running means are those of the training rows, within %.1e", off);
}

/* On the fake device (tests/cuda): the weights stay there, and the average is the CPU's. */
static void on_device(double decay) {
    struct err e = {0};
    struct backend_device *d = fake_device(true, &e);
    long (*copied)(int kind) = NULL;
    if (d) fake_function(&copied, "fake_copied");
    if (!copied) {
        tap_skip("an average on a device", "the fake device is not built");
        return;
    }
    static const char net[] =
        "{\"input\":5,\"n_class\":3,\"layers\":[{\"layer\":\"linear\",\"out\":17},{\"layer\":\"batch_norm\"},{\"layer\":\"linear\",\"out\":3}]}";
    struct val *user = from_json(net, &e), *desc = user ? model_describe(user, NULL, &e) : NULL;
    struct model *m = desc ? model_new(desc, 3, &e) : NULL;
    struct average *a = m ? average_new(m, decay, &e) : NULL, *b = m ? average_new(m, decay, &e) : NULL;
    bool ok = a && b;
    long down = 0;
    for (int k = 0; ok && k < 5; k++) {
        for (size_t i = 0; i < m->bytes / sizeof(float); i++) ((float *)m->data)[i] += (float)((int)(i * 7 + (size_t)k * 3) % 11 - 5) / 16;
        mirror_wrote(m->data); /* as if training had gone on */
        average_add(a, m, NULL);
        if (k == 1) down = copied(2);
        ok = average_add_on(b, m, d, &e) == 0;
    }
    tap_ok(ok && copied(2) == down, "decay %g: an average on a device copies nothing to the host: %ld bytes", decay, ok ? copied(2) - down : -1);
    const float *y = ok ? average_read(b) : NULL;
    double worst = ok ? 0 : INFINITY;
    for (int i = 0; ok && i < m->n_param; i++)
        for (int64_t j = 0; j < m->param[i].len && m->param[i].dtype == DT_F32; j++) {
            size_t at = m->param[i].offset / sizeof(float) + (size_t)j;
            worst = fmax(worst, fabs((double)y[at] - (double)a->data[at]));
        }
    tap_ok(worst < 1e-6 && ok && b->n == 5 && copied(2) == down + (long)m->bytes, "and is that of the CPU: %.1e%s%s", worst, ok ? "" : ": ", ok ? "" : e.text);
    average_free(a);
    average_free(b);
    model_free(m);
    val_free(user);
    backends_close();
}

static void refused(void) {
    struct err e;
    struct handle d = objects_add_data(make_data(200, 40, -1, 0)), m = make_model(d, false);
    struct val *a = args_of(m, d, "ema", 1);
    val_set_num(a, "swa", 2);
    struct val *r = train(a, &e);
    tap_ok(!r && strstr(e.text, "give one of them"), "both at once are refused: %s", e.text);
    val_free(r);
}

int main(void) {
    struct err e = {0};
    struct gemm_info info;
    settings_init();
    log_set_sink(quiet, NULL);
    strcpy(dir, "/tmp/hone-average-XXXXXX");
    if (!mkdtemp(dir) || engine_init(&e) < 0) return 1;
    gemm_open(NULL, &info);
    formula("moving average", 0.8);
    formula("moving average, slow", 0.999);
    formula("plain mean", 0);
    on_device(0.9);
    on_device(0);
    golden();
    statistics();
    batch_norm("{\"input\":3,\"n_class\":3,\"layers\":[{\"layer\":\"batch_norm\"}]}", 0.1);
    batch_norm("{\"input\":3,\"n_class\":3,\"layers\":[{\"layer\":\"batch_norm\",\"momentum\":0.3}]}", 0.3);
    open_hone();
    setting("threads", val_int(2));
    resumed("", 3);
    resumed("ema", 3);
    resumed("swa", 2);
    evaluated("ema");
    evaluated("swa");
    averaged();
    refused();
    close_hone();
    io_remove_tree(dir, &e);
    return tap_done();
}
