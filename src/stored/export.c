/* The command export: every point of the chosen runs as one tidy CSV (one value a row), JSON lines, TensorBoard event files, or the last values for
 * Prometheus. CSV and JSON lines carry doubles in the shortest form that reads back as the same double. Helper thread or line mode. */
#include "config.h"

#include "src/stored/export.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "src/base/io.h"
#include "src/base/json.h"
#include "src/base/mem.h"
#include "src/run/series.h"
#include "src/stored/shelf.h"
#include "src/run/store.h"

struct export_args {
    struct val *runs;
    int format;
    char *out;
    double smooth;
};
enum { EXPORT_CSV, EXPORT_JSONL, EXPORT_TENSORBOARD, EXPORT_PROMETHEUS };
static const char *const formats[] = {"csv", "jsonl", "tensorboard", "prometheus", NULL};

struct smoothed { /* the average of one metric of the run that is being written */
    char name[32];
    struct ema m;
};
struct export_ctx {
    FILE *f;
    const char *run;
    int format;
    double smooth; /* 0: none */
    struct smoothed *ema;
    size_t n_ema;
    int64_t rows;
    struct buf line;
};

static void field_csv(struct buf *b, const char *s) { /* RFC 4180 */
    if (!strpbrk(s, ",\"\r\n")) {
        buf_adds(b, s);
        return;
    }
    buf_addc(b, '"');
    for (; *s; s++) {
        if (*s == '"') buf_addc(b, '"');
        buf_addc(b, *s);
    }
    buf_addc(b, '"');
}

static void field_json(struct buf *b, const char *s) {
    struct val *v = val_str(s);
    json_write(b, v);
    val_free(v);
}

/* As charts smooth: exponential with start-up correction over the finite values. */
static double smooth_next(struct export_ctx *x, const char *name, double v) {
    size_t i = 0;
    while (i < x->n_ema && strcmp(x->ema[i].name, name) != 0) i++;
    if (i == RUN_MAX_METRICS) return NAN;
    if (i == x->n_ema) {
        x->ema[i].m = (struct ema)EMA_START;
        snprintf(x->ema[x->n_ema++].name, sizeof x->ema[i].name, "%.31s", name);
    }
    return ema_next(&x->ema[i].m, v, x->smooth);
}

static void number(struct buf *b, double v, bool csv) { /* JSON has no words for what is not finite */
    bool quoted = !csv && !isfinite(v);
    if (quoted) buf_addc(b, '"');
    buf_addnum(b, v);
    if (quoted) buf_addc(b, '"');
}

static bool export_point(void *ctx, const struct point *p) {
    struct export_ctx *x = ctx;
    struct buf *b = &x->line;
    bool csv = x->format == EXPORT_CSV;
    for (size_t i = 0; i < p->n; i++) {
        buf_clear(b);
        if (!csv) buf_adds(b, "{\"run\":");
        (csv ? field_csv : field_json)(b, x->run);
        buf_addf(b, csv ? ",%lld," : ",\"step\":%lld,\"t\":", (long long)p->step);
        buf_addnum(b, p->t);
        buf_adds(b, csv ? "," : ",\"epoch\":");
        buf_addnum(b, p->epoch);
        buf_adds(b, csv ? "," : ",\"metric\":");
        (csv ? field_csv : field_json)(b, p->names[i]);
        buf_adds(b, csv ? "," : ",\"value\":");
        number(b, p->values[i], csv);
        if (x->smooth > 0) {
            buf_adds(b, csv ? "," : ",\"smoothed\":");
            number(b, smooth_next(x, p->names[i], p->values[i]), csv);
        }
        buf_adds(b, csv ? "\n" : "}\n");
        x->rows++;
        if (fwrite(b->data, 1, b->len, x->f) != b->len) return false;
    }
    return true;
}

static int export_points(struct runs *rs, const struct folder *f, struct export_ctx *x, struct err *e) {
    char *path = io_join(f->dir, "metrics.bin");
    int64_t cut = 0;
    x->run = f->name;
    x->n_ema = 0;
    int rc = store_points(path, export_point, x, &cut, e);
    if (!rc && cut && !store_alive(f->dir)) { /* a live run is in the middle of a write at times */
        char text[256];
        snprintf(text, sizeof text, "The last %lld bytes of the metrics of %.64s are not a whole record and were left out.", (long long)cut, x->run);
        runs_notice(rs, "warn", text);
    }
    free(path);
    return rc;
}

/* ---- Prometheus: the text exposition format, version 0.0.4; without time stamps, which the textfile collector of node_exporter refuses ---- */

static void label(struct buf *b, const char *s) {
    buf_addc(b, '"');
    for (; *s; s++) {
        if (*s == '\\' || *s == '"') buf_addc(b, '\\');
        if (*s == '\n') buf_adds(b, "\\n");
        else buf_addc(b, *s);
    }
    buf_addc(b, '"');
}

static void sample(struct buf *b, const char *family, const char *run, const char *label_name, const char *value_name, double v) {
    buf_addf(b, "%s{run=", family);
    label(b, run);
    if (label_name) {
        buf_addf(b, ",%s=", label_name);
        label(b, value_name);
    }
    buf_adds(b, "} ");
    if (isnan(v)) buf_adds(b, "NaN");
    else if (isinf(v)) buf_adds(b, v > 0 ? "+Inf" : "-Inf");
    else buf_addnum(b, v);
    buf_addc(b, '\n');
}

static void prometheus(struct buf *b, const struct folder *f, size_t n, int64_t *rows) {
    static const struct {
        const char *name, *help;
    } family[] = {{"hone_metric", "Last value of a metric of a run."}, {"hone_step", "Steps done."}, {"hone_epoch", "Epochs done."},
        {"hone_seconds", "Seconds since the run began."}, {"hone_state", "1 for the state that the run is in."}}; /* ORDER the switch below */
    struct shelf_row **row = X_NEW(struct shelf_row *, n + 1);
    for (size_t i = 0; i < n; i++) row[i] = row_read(f[i].dir, f[i].name);
    for (size_t k = 0; k < LEN(family); k++) {
        buf_addf(b, "# HELP %s %s\n# TYPE %s gauge\n", family[k].name, family[k].help, family[k].name);
        for (size_t i = 0; i < n; i++) {
            const struct shelf_run *r = row_run(row[i]);
            switch (k) {
            case 0:
                for (size_t m = 0; m < r->n_metric; m++, ++*rows) sample(b, family[k].name, f[i].name, "metric", r->metric[m].name, r->metric[m].ends.value);
                break;
            case 1: sample(b, family[k].name, f[i].name, NULL, NULL, (double)r->step); break;
            case 2: sample(b, family[k].name, f[i].name, NULL, NULL, r->epoch); break;
            case 3: sample(b, family[k].name, f[i].name, NULL, NULL, r->seconds); break;
            default: sample(b, family[k].name, f[i].name, "state", run_state_names[r->state], 1);
            }
        }
    }
    for (size_t i = 0; i < n; i++) row_unref(row[i]);
    free(row);
}

/* ---- the command ---- */

/* {text=, points=, path=} of what went into a file or folder. */
static struct val *written(int64_t points, const char *path) {
    struct val *v = val_table();
    struct buf b = BUF_INIT;
    buf_addf(&b, "%s: %" PRId64 " points", path, points);
    val_set_str(v, "text", b.data);
    val_set_int(v, "points", points);
    val_set_str(v, "path", path);
    buf_release(&b);
    return v;
}

static int export_prometheus(struct call *c, const char *out, const struct folder *f, size_t n, struct err *e) {
    struct buf b = BUF_INIT;
    int64_t rows = 0;
    prometheus(&b, f, n, &rows);
    int rc = out ? io_write_file(out, b.data, b.len, e) : 0; /* whole: a collector may read it at any time */
    if (rc == 0) call_result(c, out ? written(rows, out) : val_strn(b.data, b.len));
    buf_release(&b);
    return rc;
}

static int export_tensorboard(struct call *c, const char *out, const struct folder *f, size_t n, struct err *e) {
    int64_t points = 0;
    if (!out) return err_code(e, ERR_USAGE, "export: give out=FOLDER for TensorBoard; tensorboard --logdir FOLDER shows it");
    for (size_t i = 0; i < n; i++)
        if (tensorboard_write(&f[i], out, &points, e) != 0) return -1;
    call_result(c, written(points, out));
    return 0;
}

static int export_text(struct call *c, const struct export_args *a, const struct folder *f, size_t n, struct err *e) {
    char *text = NULL, tmp[4096];
    size_t len = 0;
    if (a->out && snprintf(tmp, sizeof tmp, "%s.tmp-%ld", a->out, (long)getpid()) >= (int)sizeof tmp) return err_set(e, "the path %.200s is too long", a->out);
    struct stat st;
    bool plain = a->out && (stat(a->out, &st) != 0 || S_ISREG(st.st_mode)); /* not into a device or a pipe */
    struct export_ctx x = {.f = a->out ? fopen(plain ? tmp : a->out, "we") : open_memstream(&text, &len),
        .format = a->format,
        .smooth = a->smooth,
        .ema = X_NEW(struct smoothed, RUN_MAX_METRICS)};
    if (!x.f) {
        free(x.ema);
        return err_sys(e, "write", a->out ? a->out : "memory");
    }
    if (a->format == EXPORT_CSV) fprintf(x.f, "run,step,t,epoch,metric,value%s\n", a->smooth > 0 ? ",smoothed" : "");
    int rc = 0;
    for (size_t i = 0; i < n && rc == 0; i++) rc = export_points(hub_runs(c->hub), &f[i], &x, e);
    bool bad = ferror(x.f) != 0;
    if (fclose(x.f) != 0) bad = true;
    if (rc == 0 && bad) rc = err_sys(e, "write", a->out ? a->out : "memory");
    if (rc == 0 && plain && rename(tmp, a->out) != 0) rc = err_sys(e, "write", a->out);
    if (rc != 0 && plain) unlink(tmp);
    if (rc == 0) call_result(c, a->out ? written(x.rows, a->out) : val_strn(text, len));
    buf_release(&x.line);
    free(x.ema);
    free(text);
    return rc;
}

static int export_run(struct call *c, const void *args, struct err *e) {
    const struct export_args *a = args;
    size_t n = 0;
    struct folder *f = folders_open(c, a->runs, 1, &n, e);
    if (!f) return -1;
    int rc = a->format == EXPORT_TENSORBOARD  ? export_tensorboard(c, a->out, f, n, e)
             : a->format == EXPORT_PROMETHEUS ? export_prometheus(c, a->out, f, n, e)
                                              : export_text(c, a, f, n, e);
    folders_close(f, n);
    return rc;
}

static const struct arg export_table[] = {
    {"runs", "names of runs; the newest without", NULL, NULL, ARG_TABLE, offsetof(struct export_args, runs), ARG_POSITIONAL | ARG_REST, .source = SRC_RUN},
    {"format",
        "csv, jsonl: one row or object a value: run step t epoch metric value; tensorboard: event files; prometheus: last values for a textfile collector",
        NULL, "csv", ARG_ENUM, offsetof(struct export_args, format), .names = formats},
    {"out", "file to write, or TensorBoard's folder; the text is the result without it", NULL, NULL, ARG_PATH, offsetof(struct export_args, out),
        .source = SRC_FILE},
    {"smooth", "csv, jsonl: adds smoothed values, by an exponential average of this weight as charts have it; 0: none", NULL, "0", ARG_NUM,
        offsetof(struct export_args, smooth), 0, 0, 0, 0.9999},
    {0}};
const struct cmd cmd_export = {{"export", "writes every metric point of runs as CSV, JSON lines, TensorBoard events, or the last values for Prometheus",
                                   "hone.export{\"fashion-1\", out=\"points.csv\"}", export_table, sizeof(struct export_args)},
    OWNER_HELPER, CMD_LINE | CMD_WHILE_RUNNING, export_run, NULL};
