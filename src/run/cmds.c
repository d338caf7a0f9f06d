/* Commands about runs: what there is and was, their log, their points, and the outcome a script publishes. Those that read
 * folders run on the helper thread; the others only take the record's lock. */
#include "config.h"

#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "src/base/io.h"
#include "src/base/mem.h"
#include "src/call/call.h"
#include "src/call/job.h"
#include "src/run/record.h"
#include "src/run/store.h"

static struct runs *runs_of(struct call *c) { return hub_runs(c->hub); }

/* ---- ls, status, runs ---- */

static struct val *live_describe(struct run *r) {
    struct run_now *now = X_NEW(struct run_now, 1);
    run_now(r, now);
    struct val *v = val_table(), *m = val_table();
    val_set_str(v, "run", now->name);
    val_set_str(v, "state", run_state_names[now->state]);
    val_set_int(v, "step", now->step);
    if (now->steps > 0) val_set_int(v, "steps", now->steps);
    val_set_num(v, "epoch", now->epoch);
    if (now->model[0]) val_set_str(v, "model", now->model);
    if (now->phase[0]) val_set_str(v, "phase", now->phase);
    val_set_num(v, "seconds", floor(now->t * 1000) / 1000);
    if (now->eta >= 0) val_set_num(v, "eta", floor(now->eta));
    for (int i = 0; i < now->n; i++) val_set_num(m, now->metric[i].name, now->metric[i].value);
    val_set(v, "metrics", m);
    free(now);
    return v;
}

static struct val *stored_describe(const char *dir, const char *name) {
    char *path = io_join(dir, name);
    struct err e = {0};
    struct val *d = store_describe(path, &e), *v = val_table();
    val_set_str(v, "run", name);
    const char *const copied[] = {"state", "step", "steps", "epoch", "seconds"};
    for (size_t i = 0; d && i < LEN(copied); i++)
        if (val_get(d, copied[i])) val_set(v, copied[i], val_copy(val_get(d, copied[i])));
    const char *model = val_get_str(val_get(d, "start"), "model", NULL);
    if (model) val_set_str(v, "model", model);
    val_set(v, "metrics", d && val_get(d, "metrics") ? val_copy(val_get(d, "metrics")) : val_table());
    if (!d) val_set_str(v, "state", store_alive(path) ? "queued" : "crashed");
    val_free(d);
    free(path);
    return v;
}

struct ls_args {
    char *run;
    bool live;
};

/* All runs: those of the folder, then those only in memory. which: NULL for all. */
static struct val *describe_all(struct runs *rs, const char *which, bool live_only, struct err *e) {
    struct val *list = val_list(), *names = store_list(runs_dir(rs), e);
    if (!names) {
        val_free(list);
        return NULL;
    }
    for (size_t i = 0; i < val_len(names); i++) {
        const char *name = val_at(names, i)->u.s.p;
        if ((which && strcmp(which, name) != 0) || runs_find(rs, name)) continue;
        struct val *v = stored_describe(runs_dir(rs), name);
        const char *state = val_get_str(v, "state", "");
        bool over = strcmp(state, "done") == 0 || strcmp(state, "stopped") == 0 || strcmp(state, "failed") == 0 || strcmp(state, "crashed") == 0;
        if (live_only && over) val_free(v);
        else val_push(list, v);
    }
    val_free(names);
    for (size_t i = 0; i < runs_count(rs); i++) {
        struct run *r = runs_at(rs, i);
        if ((which && strcmp(which, run_name(r)) != 0) || (live_only && run_state_ended(run_state(r)))) continue;
        val_push(list, live_describe(r));
    }
    if (which && !val_len(list)) {
        val_free(list);
        err_code(e, ERR_FAIL, "There is no run named \"%s\" in %s; hone ls lists them.", which, runs_dir(rs) ? runs_dir(rs) : "this session");
        return NULL;
    }
    return list;
}

static int ls_run(struct call *c, const void *args, struct err *e) {
    const struct ls_args *a = args;
    struct val *list = describe_all(runs_of(c), a->run, a->live, e);
    if (!list) return -1;
    call_result(c, list);
    return 0;
}

/* The answer of `status` is flat: run state step epoch, then the last metrics; the newest live run comes last. */
static int status_run(struct call *c, const void *args, struct err *e) {
    const struct ls_args *a = args;
    struct val *list = describe_all(runs_of(c), a->run, a->live, e);
    if (!list) return -1;
    for (size_t i = 0; i < val_len(list); i++) {
        struct val *v = val_at(list, i), *m = val_get(v, "metrics");
        struct val *flat = val_table();
        val_set_str(flat, "event", "status");
        for (size_t f = 0; f < v->u.t.n_field; f++)
            if (strcmp(v->u.t.field[f].name, "metrics") != 0) val_set(flat, v->u.t.field[f].name, val_copy(v->u.t.field[f].v));
        for (size_t f = 0; m && m->type == VAL_TABLE && f < m->u.t.n_field; f++)
            if (!val_get(flat, m->u.t.field[f].name)) val_set(flat, m->u.t.field[f].name, val_copy(m->u.t.field[f].v));
        val_free(list->u.t.item[i]);
        list->u.t.item[i] = flat;
    }
    call_result(c, list);
    return 0;
}

/* ---- log ---- */

struct log_args {
    char *run;
    int64_t n;
};

static char *run_folder(struct runs *rs, const char *name, struct err *e) {
    struct run *r = name ? runs_find(rs, name) : runs_current(rs);
    if (r && run_dir(r)) return mem_str(run_dir(r));
    if (!runs_dir(rs)) {
        err_set(e, "Runs are not kept on disk here, so there is nothing to read.");
        return NULL;
    }
    if (!name) {
        struct val *names = store_list(runs_dir(rs), e);
        char *dir = names && val_len(names) ? io_join(runs_dir(rs), val_at(names, val_len(names) - 1)->u.s.p) : NULL;
        if (names && !dir) err_set(e, "There are no runs in %s yet.", runs_dir(rs));
        val_free(names);
        return dir;
    }
    char *dir = strchr(name, '/') || strcmp(name, "..") == 0 || strcmp(name, ".") == 0 ? NULL : io_join(runs_dir(rs), name);
    if (dir && io_is_dir(dir)) return dir;
    err_set(e, "There is no run named \"%s\" in %s; hone ls lists them.", name, runs_dir(rs));
    free(dir);
    return NULL;
}

/* The last n lines of log.txt, read from its end. */
static int log_run(struct call *c, const void *args, struct err *e) {
    const struct log_args *a = args;
    runs_flush(runs_of(c), 1);
    char *dir = run_folder(runs_of(c), a->run, e);
    if (!dir) return -1;
    char *path = io_join(dir, "log.txt");
    free(dir);
    struct val *lines = val_list();
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat st;
    if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
        int64_t want = a->n * 200 < 65536 ? 65536 : a->n * 200, from = st.st_size > want ? st.st_size - want : 0;
        struct buf b = BUF_INIT;
        buf_reserve(&b, (size_t)(st.st_size - from));
        ssize_t got = pread(fd, b.data, (size_t)(st.st_size - from), from);
        b.len = got > 0 ? (size_t)got : 0;
        size_t start = b.len;
        for (int64_t n = 0; start > 0; start--)
            if (b.data[start - 1] == '\n' && start < b.len && ++n >= a->n) break;
        while (start < b.len) {
            const char *nl = memchr(b.data + start, '\n', b.len - start);
            size_t end = nl ? (size_t)(nl - b.data) : b.len;
            val_push(lines, val_strn(b.data + start, end - start));
            start = end + 1;
        }
        buf_release(&b);
    }
    if (fd >= 0) close(fd);
    free(path);
    call_result(c, lines);
    return 0;
}

/* ---- series, result ---- */

struct series_args {
    struct handle run;
    char *name;
    int64_t points, from, to;
};

static int series_run(struct call *c, const void *args, struct err *e) {
    const struct series_args *a = args;
    struct job *j = a->run.id ? hub_job(c->hub, a->run) : NULL;
    struct run *r = j ? hub_job_run(c->hub, j) : a->run.id ? NULL : runs_current(runs_of(c));
    if (!r) return err_set(e, "There is no run whose series could be read.");
    size_t n = (size_t)a->points;
    struct bucket *b = X_NEW(struct bucket, n);
    bool window = a->from > 0 || a->to >= 0;
    size_t got = window ? run_series_window(r, a->name, a->from, a->to >= 0 ? a->to : INT64_MAX, b, n) : run_series(r, a->name, b, n, NULL);
    if (!got && !window) {
        free(b);
        char names[RUN_MAX_METRICS][32];
        const char *list[RUN_MAX_METRICS];
        size_t m = run_series_names(r, names, RUN_MAX_METRICS);
        for (size_t i = 0; i < m; i++) list[i] = names[i];
        const char *near = args_nearest(a->name, list, m);
        return err_set(e, "%s has no series \"%s\"%s%s%s.", run_name(r), a->name, near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
    }
    struct val *list = val_list();
    for (size_t i = 0; i < got; i++) {
        if (!b[i].count && !b[i].bad) continue;
        struct val *p = val_table();
        val_set_int(p, "step", b[i].step0);
        if (b[i].count) {
            val_set_num(p, "mean", b[i].mean);
            val_set_num(p, "min", b[i].min);
            val_set_num(p, "max", b[i].max);
        }
        val_set_int(p, "count", b[i].count);
        if (b[i].bad) val_set_int(p, "bad", b[i].bad);
        val_push(list, p);
    }
    free(b);
    call_result(c, list);
    return 0;
}

struct result_args {
    struct val *values;
};

static int result_run(struct call *c, const void *args, struct err *e) {
    const struct result_args *a = args;
    struct val *values = a->values;
    if (values && values->type == VAL_TABLE && val_len(values) == 1 && !values->u.t.n_field && val_at(values, 0)->type == VAL_TABLE) values = val_at(values, 0);
    if (!values || values->type != VAL_TABLE || !values->u.t.n_field)
        return err_code(e, ERR_USAGE, "result takes names with values, such as hone.result{acc=0.9}.");
    struct val *f = val_table();
    val_set(f, "values", val_copy(values));
    struct run *r = runs_current(runs_of(c));
    if (r) run_event(r, "result", -1, f);
    else runs_event(runs_of(c), "result", f);
    return 0;
}

/* ---- export ---- */

struct export_args {
    struct val *runs;
    int format;
    char *out;
};
enum { EXPORT_CSV, EXPORT_JSONL };
static const char *const formats[] = {"csv", "jsonl", NULL};

struct export_ctx {
    FILE *f;
    const char *run;
    int format;
    int64_t rows;
    struct buf line;
};

static void field_csv(struct buf *b, const char *s) {
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

static bool export_point(void *ctx, const struct point *p) {
    struct export_ctx *x = ctx;
    struct buf *b = &x->line;
    for (size_t i = 0; i < p->n; i++) {
        buf_clear(b);
        if (x->format == EXPORT_CSV) field_csv(b, x->run);
        else buf_addf(b, "{\"run\":\"%s\"", x->run); /* run and metric names hold no quotes: run_new and the metric table see to it */
        buf_addf(b, x->format == EXPORT_CSV ? ",%lld," : ",\"step\":%lld,\"t\":", (long long)p->step);
        buf_addnum(b, p->t);
        buf_adds(b, x->format == EXPORT_CSV ? "," : ",\"epoch\":");
        buf_addnum(b, p->epoch);
        buf_adds(b, x->format == EXPORT_CSV ? "," : ",\"metric\":\"");
        field_csv(b, p->names[i]);
        buf_adds(b, x->format == EXPORT_CSV ? "," : "\",\"value\":");
        bool quoted = x->format == EXPORT_JSONL && !isfinite(p->values[i]);
        if (quoted) buf_addc(b, '"');
        buf_addnum(b, p->values[i]);
        if (quoted) buf_addc(b, '"');
        buf_adds(b, x->format == EXPORT_CSV ? "\n" : "}\n");
        x->rows++;
        if (fwrite(b->data, 1, b->len, x->f) != b->len) return false;
    }
    return true;
}

static int export_one(struct runs *rs, const char *name, struct export_ctx *x, struct err *e) {
    char *dir = run_folder(rs, name, e);
    if (!dir) return -1;
    char *path = io_join(dir, "metrics.bin");
    const char *slash = strrchr(dir, '/');
    x->run = slash ? slash + 1 : dir;
    int64_t cut = 0;
    int rc = store_points(path, export_point, x, &cut, e);
    if (!rc && cut) {
        char text[256];
        snprintf(text, sizeof text, "The last %lld bytes of the metrics of %.64s are not a whole record and were left out.", (long long)cut, x->run);
        runs_notice(rs, "warn", text);
    }
    free(path);
    free(dir);
    return rc;
}

static int export_run(struct call *c, const void *args, struct err *e) {
    const struct export_args *a = args;
    struct runs *rs = runs_of(c);
    runs_flush(rs, 2);
    char *text = NULL;
    size_t len = 0;
    FILE *f = a->out ? fopen(a->out, "we") : open_memstream(&text, &len);
    if (!f) return err_sys(e, "write", a->out ? a->out : "memory");
    struct export_ctx x = {.f = f, .format = a->format};
    if (a->format == EXPORT_CSV) fputs("run,step,t,epoch,metric,value\n", f);
    int rc = 0;
    if (!val_len(a->runs)) rc = export_one(rs, NULL, &x, e);
    for (size_t i = 0; i < val_len(a->runs) && !rc; i++) {
        const struct val *v = val_at(a->runs, i);
        rc = v->type == VAL_STR ? export_one(rs, v->u.s.p, &x, e) : err_code(e, ERR_USAGE, "export takes names of runs, not a %s.", val_type_name(v));
    }
    bool bad = ferror(f) != 0;
    if (fclose(f) != 0) bad = true;
    buf_release(&x.line);
    if (!rc && bad) rc = err_sys(e, "write", a->out ? a->out : "memory");
    if (!rc) call_result(c, a->out ? val_int(x.rows) : val_strn(text, len));
    free(text);
    return rc;
}

/* ---- rows ---- */

static const struct arg ls_table[] = {{"run", "only this one", NULL, NULL, ARG_STR, offsetof(struct ls_args, run), ARG_POSITIONAL, .source = SRC_RUN},
    {"live", "only runs that have not ended", NULL, "false", ARG_BOOL, offsetof(struct ls_args, live)}, {0}};
static const struct arg log_table[] = {{"run", "the newest without it", NULL, NULL, ARG_STR, offsetof(struct log_args, run), ARG_POSITIONAL, .source = SRC_RUN},
    {"n", "how many lines from the end", "lines", "50", ARG_INT, offsetof(struct log_args, n), 0, 0, 1, 100000}, {0}};
static const struct arg series_table[] = {
    {"run", "the run; the current one without it", NULL, NULL, ARG_HANDLE, offsetof(struct series_args, run), ARG_POSITIONAL, .source = SRC_RUN},
    {"name", "name of a metric", NULL, NULL, ARG_STR, offsetof(struct series_args, name), ARG_POSITIONAL | ARG_REQUIRED, .source = SRC_METRIC},
    {"points", "at most so many buckets of 2^k steps", NULL, "512", ARG_INT, offsetof(struct series_args, points), 0, 0, 1, 65536},
    {"from", "first step of a window", "step", "0", ARG_INT, offsetof(struct series_args, from), 0, 0, 0, 9e15},
    {"to", "step after the window; -1: the end", "step", "-1", ARG_INT, offsetof(struct series_args, to), 0, 0, -1, 9e15}, {0}};
static const struct arg result_table[] = {
    {"values", "names and values of the outcome", NULL, NULL, ARG_TABLE, offsetof(struct result_args, values), ARG_POSITIONAL | ARG_REQUIRED | ARG_REST}, {0}};
static const struct arg export_table[] = {
    {"runs", "names of runs; the newest without", NULL, NULL, ARG_TABLE, offsetof(struct export_args, runs), ARG_POSITIONAL | ARG_REST, .source = SRC_RUN},
    {"format", "one row or object a value: run step t epoch metric value", NULL, "csv", ARG_ENUM, offsetof(struct export_args, format), .names = formats},
    {"out", "file to write; the text is the result without it", NULL, NULL, ARG_PATH, offsetof(struct export_args, out), .source = SRC_FILE}, {0}};

static const struct cmd cmd_ls = {{"ls", "Lists runs with state, step and last metrics", "hone.ls{}", ls_table, sizeof(struct ls_args)}, OWNER_HELPER,
    CMD_WATCHER | CMD_LINE | CMD_WHILE_RUNNING, ls_run, NULL};
static const struct cmd cmd_runs = {
    {"runs", "The same list as ls, as a value for scripts", "for _, r in ipairs(hone.runs{}) do print(r.run, r.state) end", ls_table, sizeof(struct ls_args)},
    OWNER_HELPER, CMD_WATCHER | CMD_WHILE_RUNNING, ls_run, NULL};
static const struct cmd cmd_status = {
    {"status", "State, step, epoch and last metrics of every run", "hone.status{live=true}", ls_table, sizeof(struct ls_args)}, OWNER_HELPER,
    CMD_WATCHER | CMD_LINE | CMD_WHILE_RUNNING, status_run, NULL};
static const struct cmd cmd_log = {{"log", "The last lines of a run's log", "hone.log{n=20}", log_table, sizeof(struct log_args)}, OWNER_HELPER,
    CMD_WATCHER | CMD_LINE | CMD_WHILE_RUNNING, log_run, NULL};
static const struct cmd cmd_series = {
    {"series", "The points of one metric, as buckets with mean, min, max, count", "run:series(\"loss\")", series_table, sizeof(struct series_args)}, OWNER_ANY,
    CMD_WATCHER | CMD_WHILE_RUNNING, series_run, NULL};
static const struct cmd cmd_result = {
    {"result", "Publishes the outcome of a script: printed, stored with the run", "hone.result{acc=0.91}", result_table, sizeof(struct result_args)}, OWNER_ANY,
    CMD_WHILE_RUNNING, result_run, NULL};
static const struct cmd cmd_export = {{"export", "Writes every metric point of runs as CSV or JSON lines", "hone.export{\"fashion-1\", out=\"points.csv\"}",
                                          export_table, sizeof(struct export_args)},
    OWNER_HELPER, CMD_LINE | CMD_WHILE_RUNNING, export_run, NULL};

const struct cmd *const cmds_run[] = {&cmd_ls, &cmd_runs, &cmd_status, &cmd_log, &cmd_series, &cmd_result, &cmd_export, NULL};
