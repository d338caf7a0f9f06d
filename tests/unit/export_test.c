/* The commands on stored runs, called as every front calls them: diff, export in its four formats, bundles, curves, report, tag, mv, rm, gc. */
#include "config.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <zlib.h>

#include "src/base/io.h"
#include "src/base/json.h"
#include "src/base/mem.h"
#include "src/call/call.h"
#include "src/stored/export.h"
#include "src/stored/html.h"
#include "src/stored/shelf.h"
#include "src/run/store.h"
#include "tests/tap.h"

static struct hub *hub;
static struct runs *own; /* of the process that asks: it has made none of the runs */
static atomic_bool quit;

static void *helper(void *arg) {
    (void)arg;
    while (!atomic_load(&quit)) hub_serve(hub, OWNER_HELPER, 20);
    return NULL;
}

/* A command line as typed; its result, NULL with the error in *e. */
static struct val *ask(const char *line, struct err *e) {
    struct val *v = NULL;
    *e = (struct err){0};
    struct call *c = call_parse(hub, line, BY_LINE, e);
    if (!c) return NULL;
    if (call_sync(hub, c->cmd->kind.name, val_copy(c->args), BY_LINE, &v, e) != 0) v = NULL;
    else if (!v) v = val_nil();
    call_free(c);
    return v;
}

static bool fails(const char *line, const char *part) {
    struct err e;
    struct val *v = ask(line, &e);
    val_free(v);
    bool ok = !v && strstr(e.text, part);
    if (!ok) printf("# %s: %s\n", line, v ? "it succeeds" : e.text);
    return ok;
}

static struct val *start_of(const char *json) {
    struct err e = {0};
    struct val *v = json_parse(json, strlen(json), "test", &e);
    if (!v) printf("# %s\n", e.text);
    return v;
}

static double value_of(int64_t step, int metric) { /* awkward doubles, some not finite */
    static const double odd[] = {0.1, 1e-310, 1.7976931348623157e308, -0.0, 5e-324, 3.141592653589793, NAN, INFINITY, -INFINITY, 123456789012345680};
    return metric == 0 ? 1.0 / (double)(3 + step) : odd[(step + metric) % 10];
}

static void make(const char *dir, const char *start, int64_t steps, double shift) {
    static const char *const names[] = {"loss", "odd_a", "odd_b"};
    struct runs *rs = runs_new(dir);
    struct run *r = run_new(rs, "r", NULL);
    run_info(r, start_of(start));
    run_set_state(r, RUN_TRAINING);
    for (int64_t i = 1; i <= steps; i++) {
        if (i == 40) run_journal(rs, r, "run:set(\"lr\", 0.5) <b>", i);
        run_metrics(r, i, 0.25, names, (double[]){value_of(i, 0) + shift, value_of(i, 1), value_of(i, 2)}, 3);
    }
    run_end(r, RUN_DONE, 0);
    runs_free(rs);
}

/* ---- diff ---- */

static const char config_a[] =
    "{\"model\":\"mlp\",\"seed\":1,\"version\":\"1\",\"config\":{\"batch\":32,\"optim\":{\"optim\":\"adam\",\"lr\":0.001,\"beta\":[0.9,0.999]},"
    "\"sched\":{\"sched\":\"cosine\",\"warm\":{\"steps\":10,\"from\":0}},\"only_a\":true}}";
static const char config_b[] =
    "{\"model\":\"mlp\",\"seed\":1,\"version\":\"2\",\"config\":{\"batch\":32,\"optim\":{\"optim\":\"adam\",\"lr\":0.002,\"beta\":[0.9,0.99]},"
    "\"sched\":{\"sched\":\"cosine\",\"warm\":{\"steps\":10,\"from\":0.5}}}}";

static void diff_tests(void) {
    struct err e;
    struct val *v = ask("diff r-1 r-2", &e);
    struct buf b = BUF_INIT;
    for (size_t i = 0; i < val_len(v); i++)
        if (strcmp(val_get_str(val_at(v, i), "what", ""), "config") == 0) json_write(&b, val_at(v, i)), buf_addc(&b, '\n');
    tap_is(b.data,
        "{\"what\":\"config\",\"name\":\"optim.lr\",\"r-1\":0.001,\"r-2\":0.002}\n"
        "{\"what\":\"config\",\"name\":\"optim.beta.2\",\"r-1\":0.999,\"r-2\":0.99}\n"
        "{\"what\":\"config\",\"name\":\"sched.warm.from\",\"r-1\":0,\"r-2\":0.5}\n"
        "{\"what\":\"config\",\"name\":\"only_a\",\"r-1\":true}\n",
        "t.R2 exactly the differing keys of nested configurations, with both values");
    const struct val *best = val_at(v, 4), *delta = val_at(v, 6);
    tap_ok(val_get_num(best, "r-1", 0) == 1.0 / 103 && val_get_num(best, "r-2", 0) == 1.0 / 103 + 2 && fabs(val_get_num(delta, "r-2", 0) - 2) < 1e-12,
        "then the best values and the difference to the first run");
    val_free(v);
    buf_release(&b);
    v = ask("diff r-1 r-1", &e);
    tap_ok(v && strcmp(val_get_str(val_at(v, 0), "what", ""), "config") != 0, "a run does not differ from itself");
    val_free(v);
    tap_ok(fails("diff r-1", "needs the names of 2 runs") && fails("diff r-1 r-22", "did you mean r-2"), "one run, or one that is not there, is a sentence");
}

/* ---- export ---- */

struct check {
    const char *p; /* the text, behind the head */
    int64_t rows, wrong;
    char run[16];
};

static bool same_bits(double a, double b) { return (isnan(a) && isnan(b)) || memcmp(&a, &b, sizeof a) == 0; }

static bool check_csv(void *ctx, const struct point *pt) {
    struct check *c = ctx;
    for (size_t i = 0; i < pt->n; i++, c->rows++) {
        char want[64], *end;
        int n = snprintf(want, sizeof want, "%s,%lld,", c->run, (long long)pt->step);
        bool ok = strncmp(c->p, want, (size_t)n) == 0;
        ok = ok && same_bits(strtod(c->p + n, &end), pt->t) && *end == ',' && same_bits(strtod(end + 1, &end), pt->epoch) && *end == ',';
        n = snprintf(want, sizeof want, ",%s,", pt->names[i]);
        ok = ok && strncmp(end, want, (size_t)n) == 0 && same_bits(strtod(end + n, &end), pt->values[i]) && *end == '\n';
        c->wrong += !ok;
        if ((c->p = strchr(c->p, '\n'))) c->p++;
        if (!c->p) return false;
    }
    return true;
}

static void csv_tests(const char *dir) {
    struct err e;
    struct val *v = ask("export r-1 r-2 format=csv", &e);
    static const char head[] = "run,step,t,epoch,metric,value\n";
    bool ok = v && v->type == VAL_STR && strncmp(v->u.s.p, head, sizeof head - 1) == 0;
    struct check c = {.p = ok ? v->u.s.p + sizeof head - 1 : ""};
    for (int i = 1; i <= 2; i++) {
        char name[32];
        snprintf(c.run, sizeof c.run, "r-%d", i);
        snprintf(name, sizeof name, "r-%d/metrics.bin", i);
        char *path = io_join(dir, name);
        store_points(path, check_csv, &c, NULL, &e);
        free(path);
    }
    tap_ok(ok && c.wrong == 0 && c.rows == 2 * 300 && c.p && !*c.p,
        "t.R3 export --csv has all metrics of all selected runs, and reading it gives identical doubles (%lld values, %lld wrong)", (long long)c.rows,
        (long long)c.wrong);
    val_free(v);
    v = ask("export r-1 format=jsonl", &e);
    size_t lines = 0, good = 0;
    for (const char *p = v ? v->u.s.p : ""; *p;) {
        size_t n = strcspn(p, "\n");
        struct val *line = json_parse(p, n, "line", &e), *value = val_get(line, "value");
        int64_t step = val_get_int(line, "step", -1);
        double d = value && value->type == VAL_STR ? strtod(value->u.s.p, NULL) : NAN;
        if (value && value->type != VAL_STR) val_as_num(value, &d);
        good += same_bits(d, value_of(step, (int)(lines % 3)));
        lines++;
        val_free(line);
        p += n + 1;
    }
    tap_ok(lines == 300 && good == 300, "JSON lines too (%zu of %zu)", good, lines);
    val_free(v);
}

/* t.C5 for the export: against the sums of the definition, term by term. */
static void smooth_tests(void) {
    struct err e;
    struct val *v = ask("export r-1 format=csv smooth=0.9", &e);
    double worst = 0;
    int64_t rows = 0;
    for (const char *p = v && v->type == VAL_STR ? strchr(v->u.s.p, '\n') + 1 : ""; *p; p = strchr(p, '\n') + 1) {
        const char *at = strstr(p, ",loss,"), *end = strchr(p, '\n');
        if (!at || at > end) continue;
        double want = 0, got = strtod(strchr(at + 6, ',') + 1, NULL), weight = 0;
        int64_t i = ++rows;
        for (int64_t j = 1; j <= i; j++) {
            want += 0.1 * pow(0.9, (double)(i - j)) * value_of(j, 0);
            weight += 0.1 * pow(0.9, (double)(i - j));
        }
        worst = fmax(worst, fabs(got - want / weight));
    }
    tap_ok(rows == 100 && worst < 1e-12, "smoothed values are exported (%lld rows, largest error %.1g)", (long long)rows, worst);
    val_free(v);
}

/* One field of a protocol buffer: its number, and the bytes or the number in it. */
static const unsigned char *field(const unsigned char *p, const unsigned char *end, unsigned *number, uint64_t *n, const unsigned char **data) {
    uint64_t key = 0;
    for (int s = 0; p < end; s += 7) {
        key |= (uint64_t)(*p & 0x7f) << s;
        if (!(*p++ & 0x80)) break;
    }
    *number = (unsigned)(key >> 3);
    *data = p;
    *n = 0;
    if ((key & 7) == 1) return *n = 8, p + 8;
    if ((key & 7) == 5) return *n = 4, p + 4;
    for (int s = 0; p < end; s += 7) {
        *n |= (uint64_t)(*p & 0x7f) << s;
        if (!(*p++ & 0x80)) break;
    }
    if ((key & 7) == 0) return p;
    *data = p;
    return p + *n;
}

static void tensorboard_tests(const char *base) {
    struct err e;
    char line[256], *out = io_join(base, "tb");
    tap_ok(crc32c(0, "123456789", 9) == 0xe3069283u, "CRC-32C of the check string of RFC 3720");
    snprintf(line, sizeof line, "export r-1 format=tensorboard out=%s", out);
    struct val *v = ask(line, &e), *meta;
    tap_ok(
        val_get_int(v, "points", 0) == 300 && strcmp(val_get_str(v, "path", ""), out) == 0, "300 values as TensorBoard events: %s", val_get_str(v, "text", ""));
    char *run = io_join(base, "runs/r-1/run.json");
    meta = json_read_file(run, 1 << 20, &e);
    snprintf(line, sizeof line, "%s/r-1/events.out.tfevents.%.0f.hone", out, val_get_num(meta, "created", 0));
    struct buf b = BUF_INIT;
    bool ok = io_read_file(line, 1 << 20, &b, &e) == 0;
    size_t at = 0, events = 0;
    int64_t wrong = 0;
    while (ok && at + 16 <= b.len) {
        uint64_t len;
        uint32_t crc, want;
        memcpy(&len, b.data + at, 8);
        memcpy(&crc, b.data + at + 8, 4);
        want = crc32c(0, &len, 8);
        ok = crc == (want >> 15 | want << 17) + 0xa282ead8u && len <= b.len - at - 16;
        if (!ok) break;
        memcpy(&crc, b.data + at + 12 + len, 4);
        want = crc32c(0, b.data + at + 12, len);
        ok = crc == (want >> 15 | want << 17) + 0xa282ead8u;
        const unsigned char *p = (const unsigned char *)b.data + at + 12, *end = p + len, *data;
        uint64_t step = 0, size;
        unsigned number;
        int metric = 0;
        while (p < end) {
            p = field(p, end, &number, &size, &data);
            if (number == 2) step = size;
            if (number == 3) ok = ok && size == 13 && memcmp(data, "brain.Event:2", 13) == 0 && events == 0;
            if (number != 5) continue;
            for (const unsigned char *q = data, *stop = data + size, *in; q < stop;) { /* Summary: values */
                uint64_t m;
                unsigned which;
                q = field(q, stop, &which, &m, &in);
                for (const unsigned char *r = in, *last = in + m, *d; r < last;) {
                    r = field(r, last, &which, &m, &d);
                    float f = 0;
                    if (which == 2) memcpy(&f, d, 4);
                    double full = value_of((int64_t)step, metric);
                    if (which == 2) wrong += !same_bits(f, (float)full), metric++;
                }
            }
        }
        at += 16 + len;
        events++;
    }
    tap_ok(ok && at == b.len && events == 101 && wrong == 0, "every record has its checksums, every value its step (%zu events, %lld wrong)", events,
        (long long)wrong);
    tap_ok(fails("export r-1 format=tensorboard", "out="), "without a folder it says so");
    buf_release(&b);
    val_free(meta);
    val_free(v);
    free(run);
    free(out);
}

static void prometheus_tests(const char *base) {
    struct err e;
    char *out = io_join(base, "m.prom"), line[256];
    snprintf(line, sizeof line, "export r-1 r-2 format=prometheus out=%s", out);
    struct val *v = ask(line, &e);
    struct buf b = BUF_INIT;
    io_read_file(out, 1 << 20, &b, &e);
    tap_ok(v && strstr(b.data, "# TYPE hone_metric gauge\nhone_metric{run=\"r-1\",metric=\"loss\"} 0.009708737864077669\n") &&
               strstr(b.data, "hone_metric{run=\"r-2\",metric=\"odd_a\"} ") && strstr(b.data, "hone_state{run=\"r-2\",state=\"done\"} 1\n"),
        "last values and states for Prometheus");
    val_free(v);
    buf_release(&b);
    free(out);
}

/* ---- bundles ---- */

static void write_gz(const char *path, const void *p, size_t n) {
    gzFile z = gzopen(path, "wb");
    gzwrite(z, p, (unsigned)n);
    gzclose(z);
}

static void sign(char h[512]) { /* the checksum of a changed header */
    unsigned sum = 0;
    memset(h + 148, ' ', 8);
    for (int i = 0; i < 512; i++) sum += (unsigned char)h[i];
    snprintf(h + 148, 8, "%06o", sum);
}

static void bundle_tests(const char *base) {
    struct err e;
    char line[512], *file = io_join(base, "two.tar.gz"), *bad = io_join(base, "bad.tar.gz");
    snprintf(line, sizeof line, "bundle r-1 r-2 %s", file);
    struct val *v = ask(line, &e);
    tap_ok(v && io_exists(file), "a bundle of two runs");
    val_free(v);
    snprintf(line, sizeof line, "diff %s:r-1 r-2", file);
    v = ask(line, &e);
    struct val *w = ask("diff r-1 r-2", &e);
    tap_ok(v && val_equal(v, w), "a run in a bundle is read in place as one of the folder");
    val_free(v);
    val_free(w);
    snprintf(line, sizeof line, "ls %s", file);
    v = ask(line, &e);
    tap_ok(val_len(v) == 2, "and listed");
    val_free(v);
    snprintf(line, sizeof line, "export %s", file);
    tap_ok(fails(line, "holds 2 runs"), "of several one has to be named");

    struct buf tar = BUF_INIT;
    gzFile z = gzopen(file, "rb");
    char piece[4096];
    for (int n; (n = gzread(z, piece, sizeof piece)) > 0;) buf_add(&tar, piece, (size_t)n);
    gzclose(z);
    static const struct {
        const char *name, *want;
        char type;
    } hostile[] = {{"../../x", "RUN/FILE", '0'}, {"/etc/run.json", "RUN/FILE", '0'}, {"r-9/../run.json", "RUN/FILE", '0'}, {"r-9/evil.sh", "RUN/FILE", '0'},
        {".x/run.json", "RUN/FILE", '0'}, {"r-9/run.json", "plain files", '2'}, {"r-9/run.json", "plain files", '5'}, {"r-9/run.json", "plain files", 'x'},
        {"r-2/run.json", "twice", '0'}};
    int refused = 0;
    for (size_t i = 0; i < LEN(hostile); i++) {
        char *t = X_NEW(char, tar.len);
        memcpy(t, tar.data, tar.len);
        memset(t, 0, 100);
        memcpy(t, hostile[i].name, strlen(hostile[i].name));
        t[156] = hostile[i].type;
        sign(t);
        write_gz(bad, t, tar.len);
        snprintf(line, sizeof line, "ls %s", bad);
        refused += fails(line, hostile[i].want);
        free(t);
    }
    tap_ok(refused == (int)LEN(hostile), "paths that lead out, links, devices, strange files, a file twice: refused (%d of %zu)", refused, LEN(hostile));
    char *t = X_NEW(char, tar.len);
    memcpy(t, tar.data, tar.len);
    memcpy(t + 124, "77777777777", 11);
    sign(t);
    write_gz(bad, t, tar.len);
    snprintf(line, sizeof line, "ls %s", bad);
    bool large = fails(line, "larger than");
    char *zeros = X_NEW(char, 64 << 20);
    memcpy(zeros, tar.data, 512);
    memset(zeros, 0, 100);
    memcpy(zeros, "r-9/metrics.bin", 15);
    memcpy(zeros + 124, "00400000000", 11);
    sign(zeros);
    write_gz(bad, zeros, 64 << 20);
    tap_ok(large && fails(line, "unpack to far more"), "a size beyond what the file can be, and a bomb, are refused before they are unpacked");
    free(zeros);
    free(t);
    int wrong = 0, tried = 0;
    for (size_t n = 0; n < tar.len; n += n < 1024 ? 97 : 4999, tried++) { /* cut anywhere */
        write_gz(bad, tar.data, n);
        struct val *l = ask(line, &e);
        wrong += l != NULL && val_len(l) == 0;
        val_free(l);
    }
    tap_ok(wrong == 0, "a bundle cut anywhere is whole or refused (%d cuts)", tried);
    buf_release(&tar);
    free(file);
    free(bad);
}

/* ---- curves ---- */

static void curves_tests(void) {
    struct err e;
    struct val *v = ask("curves r-1 r-2 r-3 r-4 metric=loss points=32 seeds=true", &e);
    const struct val *group = val_at(v, 0), *p = val_at(val_get(group, "points"), 0);
    tap_ok(val_len(v) == 2 && val_len(val_get(group, "runs")) == 3 && strcmp(val_get_str(val_at(v, 1), "run", ""), "r-2") == 0,
        "runs that differ only in the seed are one group");
    /* r-1, r-3, r-4 are the same curve shifted by 0, 1, 2: mean 1 above, standard error 1/sqrt(3), t of two degrees of freedom 4.303 */
    double base = 0, mean = val_get_num(p, "mean", 0);
    for (int i = 1; i < 4; i++) base += value_of(i, 0) / 3;
    tap_ok(fabs(mean - base - 1) < 1e-12 && fabs(val_get_num(p, "hi", 0) - mean - 4.303 / sqrt(3)) < 1e-9 && val_get_num(p, "min", 0) == (float)value_of(3, 0),
        "with mean, band from min to max, and the 95 %% interval of the mean");
    val_free(v);
    v = ask("curves best previous metric=loss points=8", &e);
    tap_ok(val_len(v) == 2 && strcmp(val_get_str(val_at(v, 0), "run", ""), "r-1") == 0 && strcmp(val_get_str(val_at(v, 1), "run", ""), "r-4") == 0,
        "best and previous are runs too");
    val_free(v);
}

/* ---- report ---- */

/* The numbers beside a chart have 50 of its units, about 8 characters. */
static void tick_tests(void) {
    static const struct {
        double lo, hi;
        const char *has;
    } t[] = {{12350, 12360, ">12355<"}, {1.25e6, 1.5e6, ">1.3e6<"}, {-3e-5, -1e-5, ">-2.5e-5<"}, {0, 1, ">0.5<"}, {250000, 260000, ">255000<"}};
    int bad = 0;
    for (size_t i = 0; i < LEN(t); i++) {
        struct series *s = series_new("rate");
        struct buf b = BUF_INIT;
        for (int k = 0; k < 50; k++) series_add(s, k, t[i].lo + (t[i].hi - t[i].lo) * k / 49);
        svg_chart(&b, "rate", &s, 1, NULL, 0);
        bool ok = strstr(b.data, t[i].has) != NULL;
        for (const char *p = b.data; (p = strstr(p, "text-anchor=\"end\">")) != NULL;) p += 18, ok = ok && strcspn(p, "<") <= 8;
        if (!ok) bad++, printf("# %g to %g: %.1500s\n", t[i].lo, t[i].hi, b.data);
        buf_release(&b);
        series_free(s);
    }
    tap_ok(bad == 0, "the numbers of a chart are short enough for the place beside it");
}

static void report_tests(const char *base) {
    struct err e;
    struct buf b = BUF_INIT;
    char *run = io_join(base, "runs/r-1/report.html");
    struct val *v = ask("tag r-1 note='<script>alert(1)</script> \x1b[31m & more'", &e), *w = ask("report r-1", &e);
    io_read_file(run, 1 << 24, &b, &e);
    tap_ok(v && w && b.data && strstr(b.data, "<svg") && strstr(b.data, "class=\"band c0\"") && strstr(b.data, "class=\"mark\""),
        "a report has curves with bands and edit marks");
    tap_ok(b.data && !strstr(b.data, "<script") && !strchr(b.data, '\x1b') && strstr(b.data, "&lt;script&gt;alert(1)&lt;/script&gt;") &&
               strstr(b.data, "&lt;b&gt;"),
        "foreign strings are escaped, no script is in it");
    tap_ok(b.data && !strstr(b.data, "=\"http") && !strstr(b.data, " src=\""), "and it loads nothing");
    val_free(v);
    val_free(w);
    buf_release(&b);
    free(run);
}

/* ---- order in the folder ---- */

static void keep_tests(const char *dir) {
    struct err e;
    struct val *v = ask("tag r-3 baseline", &e), *w = ask("tag r-4 baseline", &e);
    struct shelf *s = shelf_read(dir, NULL, &e);
    tap_ok(v && w && !shelf_tagged(shelf_find(s, "r-3"), "baseline") && shelf_baseline(s) == shelf_find(s, "r-4"), "one run of a folder is the baseline");
    shelf_unref(s);
    val_free(v);
    val_free(w);
    tap_ok(fails("tag r-4 'two words'", "is no tag"), "a tag is a word");
    tap_ok(fails("mv r-4 r-3", "already") && fails("mv r-4 ../x", "cannot be the name") && fails("mv r-4 best", "cannot be the name"),
        "a run is not renamed over another one, nor out of the folder");
    v = ask("mv r-4 fourth", &e);
    w = ask("ls fourth", &e);
    tap_ok(v && val_len(w) == 1 && fails("ls r-4", "no run named"), "mv renames");
    val_free(v);
    val_free(w);
    tap_ok(fails("rm fourth", "add yes=true"), "rm says what it would delete");
    struct runs *live = runs_new(dir);
    struct run *r = run_new(live, "live", NULL);
    run_info(r, start_of(config_a));
    runs_flush(live, 5);
    tap_ok(fails("rm live-1 yes=true", "held by a process") && fails("mv live-1 x", "held by a process"), "a live run is neither deleted nor renamed");
    run_end(r, RUN_FAILED, 1);
    runs_free(live);
    char *old = io_join(dir, "r-3/ckpt/10"), *best = io_join(dir, "r-3/ckpt/99"), *last = io_join(dir, "r-3/ckpt/100"),
         *torn = io_join(dir, "r-3/ckpt/.100.tmp");
    io_mkdirs(old, 0777, &e);
    io_mkdirs(best, 0777, &e);
    io_mkdirs(last, 0777, &e);
    io_mkdirs(torn, 0777, &e);
    v = ask("gc dry_run=true", &e);
    struct buf b = BUF_INIT;
    for (size_t i = 0; i < val_len(v); i++) buf_addf(&b, "%s\n", val_get_str(val_at(v, i), "path", "") + strlen(dir));
    tap_ok(val_len(v) == 4 && strstr(b.data, "/r-3/ckpt/10\n") && strstr(b.data, "/r-3/ckpt/99\n") && strstr(b.data, "/r-3/ckpt/.100.tmp\n") &&
               strstr(b.data, "/live-1\n"),
        "gc lists a run that failed before its first step, checkpoints but the best and last, torn saves");
    if (val_len(v) != 4) printf("# %s\n", b.data);
    val_free(v);
    tap_ok(fails("gc", "deletes 4 things") && io_exists(old), "and deletes nothing unasked");
    v = ask("gc yes=true", &e);
    tap_ok(v && !io_exists(old) && !io_exists(torn) && io_exists(last), "with yes it does");
    val_free(v);
    v = ask("rm fourth r-3 yes=true", &e);
    w = ask("ls names=true", &e);
    tap_ok(v && val_len(w) == 2, "rm deletes");
    val_free(v);
    val_free(w);
    buf_release(&b);
    free(old);
    free(best);
    free(last);
    free(torn);
}

int main(void) {
    static const struct cmd *const *const lists[] = {cmds_call, cmds_run, NULL};
    char base[] = "/tmp/hone-export-XXXXXX", seed[sizeof config_a + 8];
    struct err e = {0};
    pthread_t t;
    tap_ok(mkdtemp(base) != NULL, "folder");
    char *dir = io_join(base, "runs");
    setenv("TMPDIR", base, 1);
    make(dir, config_a, 100, 0);
    make(dir, config_b, 100, 2);
    for (int i = 2; i < 4; i++) { /* as r-1 but for the seed */
        snprintf(seed, sizeof seed, "%s", config_a);
        *(strstr(seed, "\"seed\":") + 7) = (char)('0' + i);
        make(dir, seed, 100, i - 1);
    }
    own = runs_new(dir);
    hub = hub_new(lists, own);
    pthread_create(&t, NULL, helper, NULL);
    diff_tests();
    csv_tests(dir);
    smooth_tests();
    tensorboard_tests(base);
    prometheus_tests(base);
    bundle_tests(base);
    curves_tests();
    tick_tests();
    report_tests(base);
    keep_tests(dir);
    atomic_store(&quit, true);
    hub_quit(hub);
    pthread_join(t, NULL);
    hub_free(hub);
    runs_free(own);
    io_remove_tree(base, &e);
    free(dir);
    return tap_done();
}
