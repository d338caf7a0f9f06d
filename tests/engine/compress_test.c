/* Compression: recipes are read and refused; a step that is slower, by an injected clock, is refused unless forced, and noise is not taken for slowness;
 * max_drop; the command with its run record, saved result and exit; a model timed alone by the bench. */
#include "config.h"

#include "src/run/record.h"
#include "tests/engine/compress_fix.h"

static void recipes(void) {
    static const struct {
        const char *json;
        int n;
        const char *says;
    } r[] = {
        {"\"quant.int8\"", 1, NULL},
        {"\"int8\"", 1, NULL},
        {"\"prune.magnitude{0.5}, quant.int8{choose=false}\"", 2, NULL},
        {"[\"half{bf16}\",{\"quant\":\"int8\"}]", 2, NULL},
        {"{\"quant\":\"half\",\"type\":\"bf16\"}", 1, NULL},
        {"[]", 0, "a recipe is a compressor or a list"},
        {"\"quant.int9\"", 0, "did you mean \"quant.int8\""},
        {"\"prune.int8\"", 0, "there is no compressor \"prune.int8\""},
        {"[7]", 0, "step 1 of the recipe is a number"},
        {"\"prune.magnitude\"", 0, "amount"},
        {"\"prune.magnitude{2}\"", 0, "0 to 0.999"},
        {"\"prune.magnitude(0.5)\"", 0, "no compressor"},
        {"\"quant.int8,,\"", 0, "is empty"},
        {"{\"quant\":\"half\",\"typ\":\"bf16\"}", 0, "did you mean"},
        {"\"prune.magnitude{0.5\"", 0, "in braces"},
        {"null", 0, "a recipe is a compressor"},
    };
    for (size_t i = 0; i < LEN(r); i++) {
        struct err e = {0};
        struct recipe got;
        struct val *v = parse(r[i].json);
        int rc = recipe_init(&got, v, &e);
        tap_ok(r[i].says ? rc < 0 && strstr(e.text, r[i].says) != NULL : rc == 0 && got.n == r[i].n, "recipe %s: %s", r[i].json, r[i].says ? e.text : "read");
        if (rc == 0) recipe_release(&got);
        val_free(v);
    }
}

/* ---- refusal, by a clock of ours ---- */
struct fake {
    double after[SPEEDS], noise;
    int calls, first[2]; /* first: how often a pair began with the model before, with the one after */
};
static double fake_timer(void *ctx, int which, int64_t from, int64_t rows) {
    struct fake *f = ctx;
    (void)from;
    f->first[which] += f->calls % 2 == 0;
    double base = rows == 1 ? 1e-3 : 1e-2, wobble = 1 + f->noise * (rng_unit(11, 0, (uint64_t)f->calls++) - 0.5);
    return base * (which ? f->after[rows > 1] : 1) * wobble;
}

/* All weights at 0; the first layer's. */
static float *zeroed(struct model *m) {
    for (int i = 0; i < m->n_param; i++) memset((char *)m->data + m->param[i].offset, 0, m->param[i].bytes);
    return weights(m, "linear1.weight");
}

/* A recipe at work on the model of two hidden layers: spec is the usual one until a test changes it; what a run gave lies in out, with rc 0. */
struct trial {
    struct err e;
    struct dataset *d;
    struct model *m;
    struct loss_spec loss;
    struct fake clock;
    struct compress_spec spec;
    struct compress_result out;
    int rc;
};
static void trial_begin(struct trial *t, int64_t n_val, double seconds) {
    *t = (struct trial){.rc = -1, .d = make_data(40, n_val, -1, 0)};
    t->m = make(cuts[0].json, &t->e);
    loss_init(&t->loss, NULL, true, &t->e);
    t->spec = (struct compress_spec){.model = t->m,
        .loss = &t->loss,
        .data = "made",
        .split = "val",
        .max_drop = NAN,
        .bed = {.part = &t->d->part[PART_VAL], .seconds = seconds, .timer = fake_timer, .ctx = &t->clock}};
}
static void trial_forget(struct trial *t) {
    if (t->rc == 0) model_free(t->out.model), val_free(t->out.report), val_free(t->out.before), val_free(t->out.after);
    t->rc = -1;
}
static void trial_end(struct trial *t) {
    trial_forget(t);
    loss_release(&t->loss);
    model_free(t->m);
    dataset_unref(t->d);
}
/* The report's steps, those of the run before are gone; NULL: it failed. */
static const struct val *trial_run(struct trial *t, const char *recipe, struct fake clock) {
    struct val *v = val_str(recipe);
    struct recipe r;
    trial_forget(t);
    t->clock = clock;
    if (recipe_init(&r, v, &t->e) == 0) {
        t->spec.recipe = &r;
        t->rc = compress_run(&t->spec, &t->out, &t->e);
        t->spec.recipe = NULL;
        recipe_release(&r);
    }
    val_free(v);
    return t->rc == 0 ? val_get(t->out.report, "steps") : NULL;
}

static void judged(void) {
    static const struct {
        const char *name;
        double one, many, noise;
        bool force, kept;
        const char *why;
    } t[] = {
        {"faster", 0.5, 0.5, 0.01, false, true, NULL},
        {"as fast", 1, 1, 0.01, false, true, NULL},
        {"1.5 % slower: within what is allowed", 1.015, 1.015, 0.002, false, true, NULL},
        {"4 % slower for single rows", 1.04, 0.8, 0.01, false, false, "slower at batch 1: "},
        {"4 % slower for batches", 0.8, 1.04, 0.01, false, false, "slower at batch 32: "},
        {"slower, forced", 1.5, 1.5, 0.01, true, true, NULL},
        {"3 % slower in noise of 200 %", 1.03, 1.03, 2, false, true, NULL},
    };
    struct trial q;
    trial_begin(&q, 60, 0.02);
    for (size_t i = 0; i < LEN(t); i++) {
        q.spec.force = t[i].force;
        const struct val *row = val_at(trial_run(&q, "quant.half", (struct fake){{t[i].one, t[i].many}, t[i].noise, 0, {0}}), 1);
        const int *first = q.clock.first;
        if (i == 0) tap_ok(abs(first[0] - first[1]) <= 4 && first[0] > 4, "both models begin equally often: %d and %d", first[0], first[1]);
        bool ok = row && val_get_bool(row, "kept", !t[i].kept) == t[i].kept && q.out.met && (!t[i].why || strstr(val_get_str(row, "why", ""), t[i].why));
        tap_ok(ok, "%s: %s %s", t[i].name, t[i].kept ? "kept" : "refused:", row ? val_get_str(row, "why", "") : q.e.text);
        if (q.rc == 0) {
            double lo = val_get_num(row, "faster_1_lo", 9), hi = val_get_num(row, "faster_1_hi", 0), faster = val_get_num(row, "faster_1", 0);
            tap_ok(fabs(faster * t[i].one - 1) < 0.3 && lo < hi && lo <= faster && faster <= hi, "the factor and its interval are in the report");
            const struct val *first_row = val_at(val_get(q.out.report, "steps"), 0);
            double off = fabs(val_get_num(first_row, "p50_ms", 0) - 1) + fabs(val_get_num(row, "p50_ms", 0) / t[i].one - 1) +
                         fabs(val_get_num(first_row, "examples_s", 0) / 3200 - 1) + fabs(val_get_num(row, "examples_s", 0) * t[i].many / 3200 - 1);
            tap_ok(off < 4 * t[i].noise, "1 ms and 10 ms for 32 rows before, %g and %g times that after: off by %.4f", t[i].one, t[i].many, off);
            tap_ok(model_values(q.out.model) == model_values(q.m) && (q.out.model->param[0].store == DT_F16) == t[i].kept, "the result is the %s",
                t[i].kept ? "new model" : "old one");
        }
    }
    trial_end(&q);
}

/* max_drop: a model of the data's own rule, pruned to nothing, loses accuracy. */
static void missed(void) {
    struct trial q;
    trial_begin(&q, 60, 0.01);
    float *w1 = zeroed(q.m), *w2 = weights(q.m, "linear2.weight"), *w3 = weights(q.m, "linear3.weight");
    for (int o = 0; o < 3; o++) { /* sums of every third value, through both layers */
        for (int j = o; j < 12; j += 3) w1[o * 12 + j] = 1;
        w2[o * 20 + o] = 1;
        w3[o * 16 + o] = 1;
    }
    q.spec.max_drop = 0.01;
    const struct val *steps = trial_run(&q, "prune.magnitude{0.9},quant.half", (struct fake){{1, 1}, 0.001, 0, {0}}), *row = val_at(steps, 1);
    tap_ok(steps && !q.out.met && !val_get_bool(row, "kept", true) && strstr(val_get_str(row, "why", ""), "max_drop allows 0.0100"), "max_drop: %s",
        val_get_str(row, "why", q.e.text));
    tap_ok(steps && val_get_bool(val_at(steps, 2), "kept", false) && model_param(q.out.model, "linear1.weight")->dim[0] == 20 &&
               q.out.model->param[0].store == DT_F16,
        "the next step goes on from what was kept");
    double p = val_get_num(row, "p_mcnemar", NAN);
    int64_t lost = val_get_int(row, "lost", -1), won = val_get_int(row, "won", -1);
    tap_ok(lost > won && p == metric_mcnemar(lost, won), "with its exact paired test: lost %d, won %d, p %.3g", (int)lost, (int)won, p);
    trial_end(&q);
}

/* A step that changes nothing claims nothing: no layer of ours is faster in 8 bits by this clock. */
static double never_clock(void *ctx, bool i8, int64_t rows, int64_t out, int64_t in) {
    (void)ctx, (void)rows, (void)out, (void)in;
    return i8 ? 2e-5 : 1e-5;
}
static void nothing_done(void) {
    struct trial q;
    struct buf b = BUF_INIT;
    trial_begin(&q, 60, 0.02);
    q.spec.bed.layer_timer = never_clock;
    const struct val *steps = trial_run(&q, "quant.int8", (struct fake){{0.5, 0.5}, 0.001, 0, {0}}), *step = val_at(steps, 1);
    if (step) report_table(q.out.report, &b);
    tap_ok(step && !val_get_bool(step, "kept", true) && !val_get(step, "faster_1") && val_get(val_at(steps, 0), "p50_ms"),
        "a step that changes nothing is not kept and claims no speed; the given model has its times %s", q.e.text);
    tap_ok(b.data && strstr(b.data, "quant.int8: 0 of 3 layers in 8 bits; refused: it leaves the model as it was"), "the report says so: %s",
        b.data ? b.data : "");
    buf_release(&b);
    trial_end(&q);
}

/* max_drop is a limit on the whole recipe: two steps that stay below it one by one but not together. Each input is a unit of both layers, the last ones
 * with the larger weights. */
static void dropped(void) {
    struct trial q;
    trial_begin(&q, 200, 0.01);
    double acc[3] = {0}, limit = NAN;
    bool kept[2] = {false, false};
    float *w1 = zeroed(q.m), *w2 = weights(q.m, "linear2.weight"), *w3 = weights(q.m, "linear3.weight");
    for (int u = 0; u < 12; u++) {
        w1[u * 12 + u] = w2[u * 20 + u] = 1 + 0.05f * (float)u;
        w3[u % 3 * 16 + u] = 1;
    }
    for (int round = 0; round < 2; round++) {
        q.spec.max_drop = limit;
        const struct val *steps = trial_run(&q, "prune.magnitude{0.5},prune.magnitude{0.5}", (struct fake){{1, 1}, 0.001, 0, {0}});
        if (!steps) break;
        for (size_t i = 0; i < 3 && !round; i++) acc[i] = val_get_num(val_at(steps, i), "acc", NAN);
        for (size_t i = 0; i < 2; i++) kept[i] = val_get_bool(val_at(steps, i + 1), "kept", false);
        limit = fmax(acc[0] - acc[1], acc[1] - acc[2]) + 1e-9;
    }
    tap_ok(acc[0] > acc[1] && acc[1] > acc[2] && kept[0] && !kept[1], "max_drop %.3f counts from the model as given: accuracies %.3f, %.3f, %.3f %s", limit,
        acc[0], acc[1], acc[2], q.e.text);
    trial_end(&q);
}

/* What the report says is of which two models: each row's pairs of it and the last one kept, the whole report's of the first and the last one kept. */
static int64_t zero_share(const struct model *m, int i) {
    const float *w = (const float *)(const void *)((const char *)m->data + m->param[i].offset);
    int64_t n = 0;
    for (int64_t k = 0; k < m->param[i].len; k++) n += w[k] == 0;
    return n;
}
static void told(void) {
    struct trial q;
    trial_begin(&q, 200, 0.01);
    double acc[3] = {0}, lost[3] = {0};
    float *w1 = zeroed(q.m), *w2 = weights(q.m, "linear2.weight"), *w3 = weights(q.m, "linear3.weight");
    for (int u = 0; u < 12; u++) {
        w1[u * 12 + u] = w2[u * 20 + u] = 1 + 0.05f * (float)u;
        w3[u % 3 * 16 + u] = 1;
    }
    const struct val *steps = trial_run(&q, "prune.magnitude{0.5},prune.magnitude{0.5}", (struct fake){{1, 1}, 0.001, 0, {0}}), *r = q.out.report;
    for (size_t i = 0; i < val_len(steps); i++) {
        acc[i] = val_get_num(val_at(steps, i), "acc", NAN);
        lost[i] = (val_get_num(val_at(steps, i), "lost", NAN) - val_get_num(val_at(steps, i), "won", NAN)) / 200;
    }
    tap_ok(q.rc == 0 && acc[1] > acc[2] && fabs(acc[0] - acc[1] - lost[1]) < 1e-12 && fabs(acc[1] - acc[2] - lost[2]) < 1e-12,
        "pairs are of a step and the one before it: accuracies %g, %g, %g; lost %g, %g", acc[0], acc[1], acc[2], lost[1], lost[2]);
    tap_ok(q.rc == 0 && fabs(val_get_num(r, "drop", NAN) - acc[0] + acc[2]) < 1e-12 && val_get_num(r, "acc", NAN) == acc[2] &&
               val_get_num(r, "acc_before", NAN) == acc[0],
        "the report's are of the last one and the first: %g", val_get_num(r, "drop", NAN));
    int right = 0;
    for (int i = 0; q.rc == 0 && i < q.out.model->n_param; i++) {
        double share = val_get_num(val_at(val_get(r, "layers"), (size_t)i), "sparsity", NAN);
        right += fabs(share - (double)zero_share(q.out.model, i) / (double)q.out.model->param[i].len) < 1e-12;
    }
    tap_ok(q.rc == 0 && right == 6 && zero_share(q.out.model, 0) > 0, "each weight's share of zeros: %d of 6", right);
    q.spec.max_drop = acc[0] - acc[1];
    steps = trial_run(&q, "prune.magnitude{0.5},prune.magnitude{0.5}", (struct fake){{1, 1}, 0.001, 0, {0}});
    tap_ok(q.rc == 0 && val_get_bool(val_at(steps, 1), "kept", false) && !val_get_bool(val_at(steps, 2), "kept", true),
        "a drop of all that is allowed is allowed");
    tap_ok(q.rc == 0 && val_get_num(q.out.report, "acc", NAN) == acc[1] && fabs(val_get_num(q.out.report, "drop", NAN) - acc[0] + acc[1]) < 1e-12,
        "with the last step refused the report is of the one before it: %g", val_get_num(q.out.report, "acc", NAN));
    trial_end(&q);
}

/* Binomial sums by hand, and what the ratio of pairs does with outliers. */
static void statistics(void) {
    tap_near(metric_mcnemar(1, 9), 22.0 / 1024, 1e-15, "McNemar 1 to 9: 2 (1 + 10) / 2^10");
    tap_near(metric_mcnemar(10, 2), 158.0 / 4096, 1e-15, "McNemar 10 to 2: 2 (1 + 12 + 66) / 2^12");
    tap_near(metric_mcnemar(0, 0), 1, 0, "McNemar without a difference: 1");
    double a[41], b[41];
    struct pair_speed p;
    for (int i = 0; i < 41; i++) a[i] = 1 + 0.3 * (i % 5), b[i] = a[i] * (i % 10 == 3 ? 9 : 1.1);
    pair_ratio(a, b, 41, &p);
    tap_ok(fabs(p.ratio - 1.1) < 1e-12 && fabs(p.lo - 1.1) < 1e-12 && fabs(p.hi - 1.1) < 1e-12 && pair_slower(&p),
        "a few outliers move neither the ratio nor its interval");
    for (int i = 0; i < 41; i++) b[i] = a[i] * (i % 2 ? 0.7 : 1.5);
    pair_ratio(a, b, 41, &p);
    tap_ok(p.lo < 1 && p.hi > 1 && !pair_slower(&p), "what is now faster, now slower is not called slower");
}

/* ---- one model alone, by a clock that counts ---- */
static double counting(void *ctx, int which, int64_t from, int64_t rows) {
    int *calls = ctx;
    (void)from, (void)which, (void)rows;
    return 1e-6 * ++*calls;
}
static void alone(void) {
    struct err e = {0};
    struct dataset *d = make_data(40, 60, -1, 0);
    struct model *m = make(cuts[0].json, &e);
    struct speed s[SPEEDS] = {{0}};
    int calls = 0;
    struct bed bed = {.part = &d->part[PART_VAL], .seconds = 0, .timer = counting, .ctx = &calls};
    int rc = measure_alone(&bed, m, &(struct precision){.half = DT_F32}, 1U << SPEED_ONE, s, &e);
    tap_ok(rc == 0 && s[0].n == 9 && s[0].rows == 1 && s[1].n == 0 && calls == 12, "nine runs of one row behind three that do not count %s", e.text);
    tap_ok(fabs(s[0].p50 - 8e-6) < 1e-12 && fabs(s[0].p90 - 12e-6) < 1e-12 && fabs(s[0].p99 - 12e-6) < 1e-12, "quantiles by nearest rank: %g %g %g", s[0].p50,
        s[0].p90, s[0].p99);
    bed = (struct bed){.part = &d->part[PART_VAL], .seconds = 0.02};
    rc = measure_alone(&bed, m, &(struct precision){.half = DT_F32}, ~0U, s, &e);
    tap_ok(rc == 0 && s[0].n >= 9 && s[1].rows == SPEED_ROWS && s[0].p50 > 0 && s[0].p50 <= s[0].p90 && s[0].p90 <= s[0].p99, "the model itself is run %s",
        e.text);
    model_free(m);
    dataset_unref(d);
}

static void tables(void) {
    static const char *const bad[] = {"{}", "7", "{\"steps\":7}", "{\"steps\":[1,{}]}",
        "{\"steps\":[{\"name\":\"\\u001b[31mred\",\"acc\":\"x\",\"bytes\":1e300},{\"name\":7,\"faster_1\":\"fast\",\"did\":[]}],\"data\":9,\"split\":"
        "\"\\u202eabc\"}"};
    bool ok = true;
    for (size_t i = 0; i < LEN(bad); i++) {
        struct val *v = parse(bad[i]);
        struct buf b = BUF_INIT;
        report_table(v, &b);
        ok = ok && b.len && !memchr(b.data, 27, b.len) && !strstr(b.data, "\xe2\x80\xae");
        buf_release(&b);
        val_free(v);
    }
    tap_ok(ok, "the table takes any value tree and lets no escape or bidi code through");
    struct val *v = parse("{\"steps\":[{\"name\":\"as given\",\"kept\":true,\"acc\":0.5,\"acc_lo\":0.25,\"acc_hi\":0.75,\"bytes\":1280258,\"memory\":100,"
                          "\"p50_ms\":1.25},{\"name\":\"half\",\"kept\":false,\"r2\":0.5,\"bytes\":-123456,\"p_mcnemar\":0.125,\"p99_ms\":2,"
                          "\"examples_s\":12345.6,\"why\":\"slower\"}],\"split\":\"val\",\"data\":\"made\",\"threads\":2,\"kernels\":\"base\"}");
    struct buf b = BUF_INIT;
    report_table(v, &b);
    const char *want = "step      kept  acc (95 %)                      p      bytes  p50 ms  p99 ms    ex/s  memory\n"
                       "as given        0.5000 (0.2500 to 0.7500)       -  1,280,258    1.25       -       -     100\n"
                       "half      no    r2 0.5000                  0.1250   -123,456       -       2  12,346       -\n"
                       "half: refused: slower\n"
                       "measured on the val part of made, 2 threads, kernels base; p: exact McNemar test against the row before that was kept\n";
    tap_ok(b.data && strcmp(b.data, want) == 0, "a table, to the letter");
    if (b.data && strcmp(b.data, want) != 0) printf("%s", b.data);
    buf_release(&b);
    val_free(v);
}

/* ---- the command ---- */
static void command(void) {
    struct err e;
    open_hone();
    struct handle d = objects_add_data(make_data(300, 200, -1, 0)), bare = objects_add_data(make_data(30, 0, -1, 0)), m = make_model(d, false);
    struct val *run = train(train_args(m, d, 2), &e);
    val_free(run);
    struct val *a = val_table();
    char *path = io_join(dir, "small");
    val_set(a, "model", val_handle(m));
    val_set(a, "data", val_handle(d));
    val_set_str(a, "recipe", "quant.int8{choose=false},quant.half");
    val_set_num(a, "seconds", 0.02);
    val_set_bool(a, "force", true);
    val_set_str(a, "save", path);
    struct val *r = call("compress", val_copy(a), &e);
    struct run *rec = runs_current(rs);
    struct val *seen = rec ? run_last_report(rec, "compress") : NULL;
    tap_ok(r && val_get(r, "model") && val_get(r, "model")->type == VAL_HANDLE && val_len(val_get(r, "steps")) == 3 &&
               strstr(val_get_str(r, "text", ""), "quant.int8"),
        "compress gives the model, the steps and the table %s", r ? "" : e.text);
    tap_ok(seen && val_len(val_get(seen, "steps")) == 3 && val_get_num(seen, "bytes", 0) < val_get_num(seen, "bytes_before", 0),
        "the report is in the run record");
    struct val *was = rec ? run_last_report(rec, "eval_before") : NULL, *now = rec ? run_last_report(rec, "eval") : NULL;
    int named = 0;
    for (size_t i = 0; i < val_len(val_get(seen, "steps")); i++)
        named += strstr(val_get_str(val_at(val_get(seen, "steps"), i), "command", ""), i ? "hone.compress" : "hone.eval") != NULL;
    const struct val *first = val_at(val_get(seen, "layers"), 0);
    tap_ok(named == 3, "t.V3: every row names the command that gives its numbers again");
    tap_ok(val_len(val_get(was, "confusion")) == 3 && val_len(val_get(now, "confusion")) == 3 && val_len(val_get(now, "classes")) == 3,
        "the counts before and after are there for the Eval screen");
    tap_ok(val_get_int(first, "bits", 0) == 8 && val_get_int(first, "bits_before", 0) == 32 &&
               val_get_int(first, "bytes", 0) * 4 == val_get_int(first, "bytes_before", 0),
        "each weight's bits and bytes, before and after");
    val_free(was);
    val_free(now);
    tap_ok(rec && run_state(rec) == RUN_DONE && run_exit_code(rec) == 0, "its run is done");
    struct err le = {0};
    struct model *l = model_load(path, &le);
    tap_ok(l && model_i8(l, NULL) == 2 && l->report, "the result is saved with its report and loads%s", le.text);
    struct val *t = val_table();
    if (r) val_push(t, val_copy(val_get(r, "model")));
    struct val *text = call("table", t, &e);
    tap_ok(
        text && text->type == VAL_STR && r && strcmp(text->u.s.p, val_get_str(r, "text", "")) == 0, "table gives the same text again %s", text ? "" : e.text);
    val_set_str(a, "recipe", "prune.magnitude{0.9}");
    val_set_num(a, "max_drop", 0);
    struct val *missed = call("compress", val_copy(a), &e);
    tap_ok(!missed && e.code == ERR_GOAL && strstr(e.text, "the goal was missed") && strstr(e.text, path), "%s", e.text);
    tap_ok(run_exit_code(runs_current(rs)) == 4, "which is exit 4");
    val_set(a, "data", val_handle(bare));
    tap_ok(!call("compress", a, &e) && strstr(e.text, "no validation part"), "%s", e.text);
    struct val *none = val_table();
    val_push(none, val_handle(m));
    tap_ok(!call("table", none, &e) && strstr(e.text, "did not come out of hone.compress"), "%s", e.text);
    val_free(r), val_free(seen), val_free(text);
    model_free(l);
    close_hone();
    free(path);
}

static struct val *bench_args(struct handle m, const char *more) {
    struct val *a = parse(more);
    val_set(a, "model", val_handle(m));
    val_set_num(a, "seconds", 0.02);
    return a;
}
static void bench(void) {
    static const char *const fields[] = {"event", "model", "data", "threads", "precision", "p50_ms", "p90_ms", "p99_ms", "n_single", "batch", "examples_s",
        "n_batch", "params", "macs", "bytes"};
    struct err e;
    open_hone();
    struct handle d = objects_add_data(make_data(300, 200, -1, 0)), m = make_model(d, false);
    struct val *a = bench_args(m, "{}"), *r;
    val_set(a, "data", val_handle(d));
    r = call("bench", a, &e);
    bool same = r && r->u.t.n_field == LEN(fields);
    for (size_t i = 0; same && i < LEN(fields); i++) same = val_get(r, fields[i]) != NULL;
    tap_ok(same && strcmp(val_get_str(r, "data", ""), "made") == 0 && val_get_num(r, "p50_ms", 0) > 0 && val_get_num(r, "examples_s", 0) > 0 &&
               val_get_int(r, "params", 0) == 12 * 16 + 16 + 16 * 3 + 3 && val_get_int(r, "macs", 0) == 12 * 16 + 16 * 3,
        "bench times a model on rows of a data set: %g ms, %g a second %s", val_get_num(r, "p50_ms", 0), val_get_num(r, "examples_s", 0), r ? "" : e.text);
    val_free(r);
    r = call("bench", bench_args(m, "{\"scenario\":\"batch\",\"precision\":\"bf16\",\"force_precision\":true}"), &e);
    tap_ok(r && strcmp(val_get_str(r, "data", ""), "made up") == 0 && strcmp(val_get_str(r, "precision", ""), "bf16") == 0 && !val_get(r, "p50_ms") &&
               val_get_int(r, "batch", 0) == SPEED_ROWS,
        "without one on rows made up, one figure alone if asked %s", r ? "" : e.text);
    val_free(r);
    static const char *const inputs[] = {"{\"ids\":50,\"len\":7}", "{\"ids\":50,\"ragged\":false}", "{\"shape\":[2,5,5]}", "{\"ids\":50,\"weighted\":true}"};
    static const char *const nets[] = {"{\"layer\":\"embedding\",\"n\":50,\"dim\":4},{\"layer\":\"mean_pool\"}", "{\"layer\":\"embedding\",\"n\":50,\"dim\":4}",
        "{\"layer\":\"flatten\"}", "{\"layer\":\"embedding\",\"n\":50,\"dim\":4},{\"layer\":\"mean_pool\"}"};
    static const double tokens[] = {7, 0, 0, 128};
    for (size_t i = 0; i < LEN(inputs); i++) {
        struct buf b = BUF_INIT;
        buf_addf(&b, "{\"input\":%s,\"n_class\":3,\"layers\":[%s,{\"layer\":\"linear\",\"out\":3}]}", inputs[i], nets[i]);
        struct model *net = make(b.data, &e);
        r = net ? call("bench", bench_args(objects_add_model(net), "{}"), &e) : NULL;
        tap_ok(
            r && val_get_num(r, "p99_ms", 0) > 0 && val_get_num(r, "tokens", 0) == tokens[i], "rows are made for the input %s %s", inputs[i], r ? "" : e.text);
        val_free(r);
        buf_release(&b);
        if (i != 2) continue;
        a = bench_args(objects_at(HANDLE_MODEL, 3), "{}");
        val_set(a, "data", val_handle(d));
        tap_ok(!call("bench", a, &e) && strstr(e.text, "50 values"), "data of another shape is refused: %s", e.text);
    }
    tap_ok(!call("bench", bench_args(m, "{\"works\":[\"mlp-train\"]}"), &e) && e.code == ERR_USAGE, "%s", e.text);
    close_hone();
}

int main(void) {
    snprintf(dir, sizeof dir, "/tmp/hone-compress-XXXXXX");
    if (!mkdtemp(dir)) return 1;
    compress_open();
    recipes();
    judged();
    missed();
    nothing_done();
    dropped();
    told();
    statistics();
    tables();
    alone();
    command();
    bench();
    io_remove_tree(dir, NULL);
    return tap_done();
}
