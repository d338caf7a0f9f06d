/* Training in mixed precision: a small encoder learns as in fp32 within the rounding, with the same bits at 1, 2, 3 and 4 threads; the loss scale of fp16
 * follows the rule of torch.amp.GradScaler, where a forced overflow skips exactly one step and halves it; ended runs resume to the same bits with it; what
 * pays is measured and said. */
#include "config.h"

#include "engine/cpu/pool.h"
#include "engine/graph/remember.h"
#include "engine/optims/optim.h"
#include "engine/train/step.h"
#include "src/base/json.h"
#include "tests/engine/train_fix.h"

#define BLOCK "{\"layer\":\"encoder_block\",\"heads\":4,\"ffn\":128}"
#define ENCODER                                                                                                                                         \
    "{\"input\":{\"ids\":50,\"len\":24},\"n_class\":3,\"layers\":[{\"layer\":\"text_embedding\",\"n\":50,\"dim\":64,\"positions\":32}," BLOCK "," BLOCK \
    ",{\"layer\":\"first_token\"},{\"layer\":\"linear\",\"out\":3}]}"
enum { ROWS = 24, STEPS = 30 };

static void bail(const char *why) {
    printf("Bail out! %s\n", why);
    exit(1);
}

struct rig {
    struct model *m;
    struct optimiser *o;
    struct loss_spec loss;
    struct pool *pool;
    struct step *s;
    struct extents x;
};
static int rig_new_with(struct rig *r, const struct val *optim, enum dtype half, int threads, struct err *e) {
    struct val *user = json_parse(ENCODER, strlen(ENCODER), "model", e), *desc = user ? model_describe(user, NULL, e) : NULL;
    *r = (struct rig){.m = desc ? model_new(desc, 1, e) : NULL, .o = optimiser_new(optim, e), .pool = pool_new(threads, e)};
    val_free(user);
    if (!r->m || loss_init(&r->loss, NULL, true, e) < 0) return -1;
    int64_t tokens = 0;
    for (int i = 0; i < ROWS; i++) tokens += 1 + i;
    struct step_spec spec = {.model = r->m, .loss = &r->loss, .optim = r->o, .pool = r->pool, .seed = 1, .half = half, .rows = ROWS, .tokens = {tokens}};
    if (!(r->s = step_new(&spec, e))) return -1;
    int32_t *offsets, *ids = step_input(r->s, 0, &offsets, NULL), *y = step_target(r->s);
    offsets[0] = 0;
    for (int i = 0; i < ROWS; i++) offsets[i + 1] = offsets[i] + 1 + i, y[i] = i % 3;
    for (int64_t i = 0; i < tokens; i++) ids[i] = (int32_t)rng_below(4, 0, (uint64_t)i, 50);
    r->x = step_extents(r->s, ROWS, &tokens, 1);
    return 0;
}
static int rig_new(struct rig *r, enum dtype half, int threads, struct err *e) {
    struct val *adam = val_str("adam");
    int rc = rig_new_with(r, adam, half, threads, e);
    val_free(adam);
    return rc;
}
static void rig_free(struct rig *r) {
    step_free(r->s);
    optimiser_free(r->o);
    loss_release(&r->loss);
    model_free(r->m);
    pool_free(r->pool);
}
static int rig_step(struct rig *r, int i, struct step_result *out, struct err *e) {
    double h[CTL_N];
    optimiser_hyper(r->o, 1e-3, 0, 0, h);
    if (step_run(r->s, &r->x, (uint64_t)i, h, out, e) < 0) return -1;
    if (out->ok) optimiser_applied(r->o, 1e-3);
    return 0;
}

/* loss[STEPS]; hex: the weights behind them. */
static void learn(enum dtype half, int threads, double *loss, char hex[65]) {
    struct rig r;
    struct err e = {0};
    struct step_result q = {0};
    if (rig_new(&r, half, threads, &e) < 0) bail(e.text);
    r.s->loss_scale = half == DT_F16 ? 4096 : 1;
    for (int i = 0; i < STEPS; i++) {
        if (rig_step(&r, i + 1, &q, &e) < 0 || !q.ok) printf("# step %d: %s\n", i + 1, e.text);
        loss[i] = q.loss;
    }
    io_sha256(r.m->data, r.m->bytes, hex);
    rig_free(&r);
}
static void learning(void) {
    double full[STEPS], loss[STEPS];
    char hex[65], first[65];
    learn(DT_F32, 2, full, hex);
    for (int d = 0; d < 2; d++) {
        enum dtype half = d ? DT_F16 : DT_BF16;
        bool same = true;
        double worst = 0, tol = d ? 5e-4 : 2e-3;
        learn(half, 1, loss, first);
        for (int i = 0; i < STEPS; i++) worst = fmax(worst, fabs(loss[i] - full[i]));
        for (int t = 2; t <= 4; t++) {
            learn(half, t, loss, hex);
            same = same && strcmp(hex, first) == 0;
        }
        tap_ok(worst < tol && worst > 0 && loss[STEPS - 1] < 0.7 * loss[0],
            "%s: %d steps of an encoder stay within %.1e of the loss in fp32 (at most %.0e), which falls from %.3f to %.3f", dtypes[half].name, STEPS, worst,
            tol, loss[0], loss[STEPS - 1]);
        tap_ok(same, "%s: the same weights at 1, 2, 3 and 4 threads", dtypes[half].name);
    }
}

/* A step of plain descent in fp16, two groups, norm above clip_norm: gradients are divided by the scale again, whatever it is, before they are clipped. */
static void unscaled(void) {
    static const char sgd[] = "{\"optim\":\"sgd\",\"groups\":[{\"match\":\"encoder_block1\",\"lr_scale\":2}]}";
    struct err e = {0};
    struct val *spec = json_parse(sgd, strlen(sgd), "sgd", &e);
    struct rig r[3] = {{0}};
    struct step_result q[3];
    for (int k = 0; k < 3; k++) { /* fp32, fp16 with a small and with a large scale */
        double h[CTL_N];
        if (rig_new_with(&r[k], spec, k ? DT_F16 : DT_F32, 1, &e) < 0) bail(e.text);
        r[k].s->loss_scale = k == 2 ? 512 : k == 1 ? 8 : 1;
        optimiser_hyper(r[k].o, 0.1, 0.5, 0, h);
        if (step_run(r[k].s, &r[k].x, 1, h, &q[k], &e) < 0) bail(e.text);
    }
    double far[3] = {0}, moved = 0;
    for (int i = 0; i < r[0].m->n_param; i++)
        for (int64_t j = 0; j < r[0].m->param[i].len; j++) {
            size_t at = r[0].m->param[i].offset / sizeof(float) + (size_t)j;
            for (int k = 1; k < 3; k++) far[k] = fmax(far[k], fabs((double)((float *)r[k].m->data)[at] - (double)((float *)r[0].m->data)[at]));
        }
    for (int k = 1; k < 3; k++) moved = fmax(moved, fabs(q[k].grad_norm / q[0].grad_norm - 1));
    tap_ok(q[0].grad_norm > 0.5 && moved < 0.01 && far[1] < 5e-4 && far[2] < 5e-4,
        "fp16, scales 8 and 512: the norm is that of fp32, %.3f, and a clipped step ends within %.1e and %.1e of its", q[0].grad_norm, far[1], far[2]);
    for (int k = 0; k < 3; k++) rig_free(&r[k]);
    val_free(spec);
}

/* M11: at step 4 the scale is beyond the range of fp16. */
static void forced(void) {
    struct rig r;
    struct err e = {0};
    struct step_result q = {0};
    double scale = 65536, seen[8] = {0};
    int64_t good = 0;
    int skipped = 0;
    char before[65] = "", after[65] = "";
    if (rig_new(&r, DT_F16, 2, &e) < 0) bail(e.text);
    for (int i = 1; i <= 7; i++) {
        r.s->loss_scale = i == 4 ? 1e30 : scale / 32;
        io_sha256(r.m->data, r.m->bytes, before);
        if (rig_step(&r, i, &q, &e) < 0) bail(e.text);
        io_sha256(r.m->data, r.m->bytes, after);
        scaler_after(&scale, &good, q.ok);
        seen[i] = scale;
        if (!q.ok) skipped += strcmp(before, after) == 0 && isfinite(q.loss) && i == 4 ? 1 : 100;
        else if (strcmp(before, after) == 0) skipped += 100;
    }
    tap_ok(skipped == 1 && seen[3] == 65536 && seen[4] == 32768 && seen[7] == 32768 && good == 3,
        "a forced infinite gradient skips exactly one step, weights as before, and halves the scale: %g", scale);
    const struct arg *begin = args_find(&train_kind, "loss_scale");
    tap_ok(begin && strtod(begin->def, NULL) == 65536, "it begins at 65536");
    for (good = 0, scale = 8; good < 1999;) scaler_after(&scale, &good, true);
    tap_ok(scale == 8, "1999 applied steps in a row leave the scale");
    scaler_after(&scale, &good, true);
    tap_ok(scale == 16 && good == 0, "the 2000th doubles it and counts again");
    rig_free(&r);
}

/* ---- through the training job ---- */

static struct handle wide_model(struct handle d) { return dense_model(d, 64, 64, "gelu"); }
static struct val *asked(struct handle m, struct handle d, const char *precision) {
    struct val *a = train_args(m, d, 3);
    val_set_str(a, "precision", precision);
    val_set_bool(a, "force_precision", true);
    if (strcmp(precision, "fp16") == 0) val_set_num(a, "loss_scale", 4194304); /* some steps overflow first */
    return a;
}
static void resumed(const char *precision) {
    struct err e = {0};
    char want[65], plain[65], hex[65];
    struct handle d = objects_add_data(make_data(200, 40, -1, 0)), m = wide_model(d);
    struct val *r = train(asked(m, d, precision), &e), *a;
    if (!r) printf("# %s\n", e.text);
    val_free(r);
    sum_of(m, want);
    m = wide_model(d);
    val_free(train(train_args(m, d, 3), &e));
    sum_of(m, plain);
    bool all = true;
    static const int64_t at[] = {1, 3, 13, 20};
    for (size_t i = 0; i < LEN(at); i++) {
        m = wide_model(d);
        a = asked(m, d, precision);
        val_set_int(a, "steps", at[i]);
        r = train(a, &e);
        m = wide_model(d);
        a = train_args(m, d, 3);
        val_set_str(a, "resume", r ? val_get_str(r, "run", "?") : "?");
        struct val *r2 = train(a, &e); /* precision and loss scale are the checkpoint's */
        if (!r2) printf("# %s\n", e.text);
        sum_of(m, hex);
        all = all && strcmp(hex, want) == 0;
        val_free(r);
        val_free(r2);
    }
    tap_ok(all && strcmp(want, plain) != 0, "%s: runs ended after 1, 3, 13 and 20 steps resume to the weights of the whole run, which are not those of fp32",
        precision);
}
static void live(void) {
    struct err e = {0};
    struct handle d = objects_add_data(make_data(4000, 0, -1, 0)), m = wide_model(d);
    struct val *a = asked(m, d, "fp16"), *run, *p = val_table();
    val_set_int(a, "epochs", 100);
    run = call("train", a, &e);
    val_set(p, "run", val_copy(run));
    val_free(call("pause", p, &e));
    tap_ok(wait_state(RUN_PAUSED), "a run in fp16 pauses");
    struct val *v = call("set", set_args("loss_scale", val_num(1048576)), &e);
    tap_ok(v && get_number("loss_scale") == 1048576, "its loss scale is a live number %s", e.text);
    val_free(v);
    v = call("set", set_args("precision", val_str("fp32")), &e);
    tap_ok(v != NULL, "and its precision changes at a step %s", e.text);
    val_free(v);
    p = val_table();
    val_set(p, "run", val_copy(run));
    val_free(call("resume", p, &e));
    clock_sleep(0.1);
    p = val_table();
    val_set(p, "run", run);
    val_set_str(p, "after", "step");
    val_free(call("stop", p, &e));
    wait_state(RUN_STOPPED);
}
static void choice(void) {
    struct err e = {0};
    struct rig r;
    struct precision p, q;
    struct buf say = BUF_INIT;
    if (rig_new(&r, DT_F32, 1, &e) < 0) bail(e.text);
    int rc = precision_choose(&p, PRECISION_BF16, false, r.m, 300, &e);
    tap_ok(rc == 0 && p.m > 0 && p.ms_bf16 > 0 && (p.half == DT_BF16) == (p.ms_bf16 < 0.95 * p.ms_fp32),
        "what pays is measured at the model's largest product: %lld x %lld x %lld %s", (long long)p.m, (long long)p.n, (long long)p.k, e.text);
    bool said = precision_say(&p, PRECISION_BF16, false, &say);
    tap_ok(said, "and said: %s", say.data);
    rc = precision_choose(&q, PRECISION_BF16, true, r.m, 300, &e);
    tap_ok(rc == 0 && q.half == DT_BF16 && !precision_say(&q, PRECISION_BF16, true, &say), "bf16 can be forced");
    setting("deterministic", val_bool(true));
    rc = precision_choose(&q, PRECISION_BF16, false, r.m, 300, &e);
    tap_ok(rc == 0 && q.half == DT_BF16 && q.m == 0, "with deterministic=true nothing is measured: bf16 is bf16");
    rc = precision_choose(&q, PRECISION_AUTO, false, r.m, 300, &e);
    buf_clear(&say);
    tap_ok(rc == 0 && q.half == DT_F32 && q.m == 0 && precision_say(&q, PRECISION_AUTO, false, &say) && strstr(say.data, "deterministic"),
        "and auto is fp32: %s", say.data);
    setting("deterministic", val_bool(false));
    struct val *v = precision_val(&p), *bad = val_table();
    rc = precision_from(&q, v, &e);
    tap_ok(rc == 0 && q.half == p.half && q.m == p.m && q.ms_bf16 == p.ms_bf16, "the choice goes into a checkpoint and back");
    val_set_str(bad, "name", "fp8");
    tap_ok(precision_from(&q, bad, &e) < 0 && strstr(e.text, "fp8"), "an unknown precision is refused: %s", e.text);
    val_free(v);
    val_free(bad);
    buf_release(&say);
    rig_free(&r);
}

/* A processor as it is given: ms of any product in fp32 and bf16. */
struct given {
    double fp32, bf16;
    int runs;
};
static int given_time(void *ctx, struct precision *p, struct err *e) {
    struct given *g = ctx;
    (void)e;
    p->ms_fp32 = g->fp32, p->ms_bf16 = g->bf16;
    g->runs++;
    return 0;
}
static enum dtype chosen(struct given *g, const char *folder, int64_t m, int64_t n) {
    struct err e = {0};
    struct precision p;
    if (precision_measure_with(&p, m, n, 384, &(struct precision_timing){given_time, g, folder}, &e) < 0) bail(e.text);
    return p.half;
}
static char *only_file(const char *folder) {
    struct buf id = BUF_INIT;
    remember_identity(&id);
    char *path = remember_path(folder, "precision", id.data);
    buf_release(&id);
    return path;
}
static void remembered(void) {
    struct err e = {0};
    struct buf say = BUF_INIT;
    struct given slow = {2, 4, 0}, even = {2, 1.96, 0}, fast = {2, 1, 0};
    char *folder = io_join(dir, "cache");
    precision_forget();
    tap_ok(chosen(&slow, NULL, 300, 1536) == DT_F32 && slow.runs == 1, "a processor whose bf16 takes twice the time computes in fp32");
    tap_ok(chosen(&fast, NULL, 500, 1536) == DT_F32 && fast.runs == 0, "500 rows share the figure of 300: nothing is measured again");
    tap_ok(chosen(&even, NULL, 300, 512) == DT_F32 && even.runs == 1 && chosen(&fast, NULL, 300, 1024) == DT_BF16 && fast.runs == 1,
        "a gain of 2 %% does not pay, one of half the time does");
    precision_forget();
    enum dtype first = chosen(&slow, folder, 300, 1536);
    chosen(&fast, folder, 300, 1024);
    char *path = only_file(folder);
    tap_ok(io_exists(path), "figures are written to a file");
    precision_forget();
    slow.runs = fast.runs = 0;
    tap_ok(chosen(&fast, folder, 300, 1536) == first && chosen(&slow, folder, 300, 1024) == DT_BF16 && slow.runs + fast.runs == 0,
        "and read by the next program, which measures nothing");
    setenv("XDG_CACHE_HOME", dir, 1);
    setenv("HONE_CACHE", "", 1);
    precision_forget();
    precision_say_known(&say);
    tap_ok(strncmp(say.data, "0 products", 10) == 0, "the doctor says what is known: %s", say.data);
    setenv("HONE_CACHE", "off", 1);
    static const char *const damaged[] = {"{\"format\":\"hone-prec", "[]", "{\"format\":\"hone-precision\",\"identity\":\"another machine\",\"choices\":[]}",
        "{\"format\":\"hone-precision\",\"choices\":7}", NULL};
    for (size_t i = 0; i < LEN(damaged); i++) {
        struct val *v = json_read_file(path, 1 << 20, &e);
        struct buf b = BUF_INIT;
        if (!damaged[i]) { /* whole, but a figure below zero */
            val_set_num(val_at(val_get(v, "choices"), 0), "ms_fp32", -1);
            json_write(&b, v);
        } else buf_adds(&b, damaged[i]);
        if (io_write_file(path, b.data, b.len, &e) < 0) bail(e.text);
        buf_release(&b);
        val_free(v);
        precision_forget();
        slow.runs = fast.runs = 0;
        bool same = chosen(&slow, folder, 300, 1536) == DT_F32;
        precision_forget();
        tap_ok(same && slow.runs == 1 && chosen(&fast, folder, 300, 1536) == DT_F32 && fast.runs == 0, "damaged file %zu is measured anew and written whole",
            i + 1);
    }
    precision_forget();
    buf_release(&say);
    free(path);
    free(folder);
}

/* ---- in evaluation and prediction ---- */
static struct val *of_model(const char *name, struct handle m, const struct val *rest, const char *precision, bool force) {
    struct err e = {0};
    struct val *a = val_table();
    val_set(a, "model", val_handle(m));
    if (rest) val_set(a, strcmp(name, "eval") == 0 ? "data" : "inputs", val_copy(rest));
    if (precision) val_set_str(a, "precision", precision);
    val_set_bool(a, "force_precision", force);
    struct val *r = call(name, a, &e);
    if (!r) printf("# %s: %s\n", name, e.text);
    return r;
}
static void reports(void) {
    static const char text[] = "{\"kind\":\"array\",\"name\":\"x\",\"type\":\"f32\",\"shape\":[12],\"scale\":1}";
    struct err e = {0};
    struct dataset *set = make_data(200, 40, -1, 0);
    set->prep = json_parse(text, strlen(text), "prep", &e);
    struct handle d = objects_add_data(set), m = wide_model(d);
    struct val *data = val_handle(d), *row = val_list(), *rows = val_list();
    for (int i = 0; i < 12; i++) val_push(row, val_num(i / 8.0 + 0.01));
    val_push(rows, row);
    struct val *full = of_model("eval", m, data, NULL, false), *half = of_model("eval", m, data, "bf16", true),
               *choice = of_model("eval", m, data, "auto", false);
    double a = val_get_num(full, "loss", NAN), b = val_get_num(half, "loss", NAN);
    tap_ok(strcmp(val_get_str(full, "precision", ""), "fp32") == 0 && strcmp(val_get_str(half, "precision", ""), "bf16") == 0 && a != b && fabs(a - b) < 5e-3,
        "eval computes in the precision asked for and says so: loss %.6f and %.6f", a, b);
    const char *name = val_get_str(choice, "precision", "?");
    double c = val_get_num(choice, "loss", NAN);
    tap_ok((strcmp(name, "bf16") == 0 && c == b) || (strcmp(name, "fp32") == 0 && c == a), "and with auto in what is measured faster: %s", name);
    val_free(full), val_free(half), val_free(choice);
    full = of_model("predict", m, rows, NULL, false), half = of_model("predict", m, rows, "bf16", true);
    a = val_get_num(full, "p", NAN), b = val_get_num(half, "p", NAN);
    tap_ok(!val_get(full, "precision") && strcmp(val_get_str(half, "precision", ""), "bf16") == 0 && a != b && fabs(a - b) < 5e-3,
        "predict does too: p %.6f and %.6f", a, b);
    val_free(full), val_free(half), val_free(data), val_free(rows);
}

/* A flat list is one row of a table, in full precision or not. */
static void rows_of_tables(void) {
    static const char *const cells[] = {
        "A11", "6", "A34", "A43", "1169", "A65", "A75", "4", "A93", "A101", "4", "A121", "67", "A143", "A152", "2", "A173", "1", "A192", "A201"};
    struct err e = {0};
    struct buf samples = BUF_INIT;
    buf_addf(&samples, "%s/datasets/samples", getenv("top_srcdir") ? getenv("top_srcdir") : ".");
    setting("data", val_str(samples.data));
    struct val *name = val_table(), *row = val_list(), *two = val_list();
    val_set_str(name, "name", "german-credit");
    struct val *d = call("data", name, &e);
    if (!d) printf("# %s\n", e.text);
    struct handle m = d ? wide_model(d->u.h) : (struct handle){0};
    for (size_t i = 0; i < LEN(cells); i++) val_push(row, val_str(cells[i]));
    val_push(two, val_copy(row));
    val_push(two, val_copy(row));
    struct val *one = of_model("predict", m, row, "bf16", true), *list = of_model("predict", m, two, NULL, false);
    tap_ok(one && val_get_str(one, "label", NULL) && val_get_num(one, "p", 0) > 0.3, "a row of a table is one input: %s",
        one ? val_get_str(one, "label", "?") : "?");
    tap_ok(list && val_len(list) == 2 && val_get_str(val_at(list, 1), "label", NULL), "two rows are two");
    val_free(one), val_free(list), val_free(row), val_free(two), val_free(d);
    buf_release(&samples);
}

int main(void) {
    struct err e = {0};
    strcpy(dir, "/tmp/hone-precision-XXXXXX");
    if (!mkdtemp(dir)) return 1;
    settings_init();
    log_set_sink(quiet, NULL);
    setting("threads", val_int(2));
    if (engine_init(&e) < 0) return 1;
    choice();
    remembered();
    learning();
    unscaled();
    forced();
    open_hone();
    resumed("bf16");
    resumed("fp16");
    live();
    reports();
    rows_of_tables();
    close_hone();
    io_remove_tree(dir, NULL);
    return tap_done();
}
