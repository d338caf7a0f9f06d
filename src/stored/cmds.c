/* Commands about runs: what there is and was, their log, their points, and the outcome a script publishes. Those that read
 * folders run on the helper thread; the others only take the record's lock. */
#include "config.h"

#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "src/base/io.h"
#include "src/base/mem.h"
#include "src/call/call.h"
#include "src/call/job.h"
#include "src/run/alarm.h"
#include "src/stored/folder.h"
#include "src/run/record.h"
#include "src/stored/shelf.h"

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

static struct val *stored_describe(const struct shelf_run *r) {
    struct val *v = val_table(), *m = val_table();
    val_set_str(v, "run", r->name);
    val_set_str(v, "state", run_state_names[r->state]);
    if (r->step >= 0) val_set_int(v, "step", r->step);
    if (r->steps >= 0) val_set_int(v, "steps", r->steps);
    val_set_num(v, "epoch", r->epoch);
    val_set_num(v, "seconds", r->seconds);
    if (*r->model) val_set_str(v, "model", r->model);
    for (size_t i = 0; i < r->n_metric; i++) val_append(m, r->metric[i].name, val_num(r->metric[i].ends.value));
    val_set(v, "metrics", m);
    if (r->n_tag) {
        struct val *tags = val_list();
        for (size_t i = 0; i < r->n_tag; i++) val_push(tags, val_str(r->tag[i]));
        val_set(v, "tags", tags);
    }
    return v;
}

struct ls_args {
    char *where, *sort;
    bool names;
    char *run;
    bool live;
};

/* ---- order: by a field of the row, a value of the configuration, or the best value of a metric ---- */

struct sort_key {
    const struct shelf_run *r;
    double num; /* NAN comes last */
    const char *text;
};

static struct sort_key key_of(const struct shelf_run *r, const char *by) {
    struct sort_key k = {r, NAN, NULL};
    const struct shelf_value *v = shelf_value(r, by);
    const struct metric_ends *m = shelf_metric(r, by);
    const struct {
        const char *name;
        double num;
    } own[] = {{"created", r->created}, {"seconds", r->seconds}, {"step", (double)r->step}, {"epoch", r->epoch}, {"bytes", (double)r->bytes},
        {"params", (double)r->params}};
    if (strcmp(by, "run") == 0) k.text = r->name;
    else if (strcmp(by, "state") == 0) k.text = run_state_names[r->state];
    else if (v) k.num = v->num, k.text = isnan(v->num) ? v->text : NULL;
    else if (m) k.num = shelf_best(m, NULL);
    for (size_t i = 0; i < LEN(own); i++)
        if (strcmp(by, own[i].name) == 0) k.num = own[i].num;
    return k;
}

static int key_order(const void *a, const void *b) {
    const struct sort_key *x = a, *y = b;
    if (x->text || y->text) {
        int d = strcmp(x->text ? x->text : "\x7f", y->text ? y->text : "\x7f");
        if (d) return d;
    } else if (isnan(x->num) != isnan(y->num)) return isnan(x->num) ? 1 : -1;
    else if (x->num != y->num && !isnan(x->num)) return x->num < y->num ? -1 : 1;
    return x->r->created < y->r->created ? -1 : x->r->created > y->r->created;
}

/* The rows of a shelf that are asked for, in order; how many. */
static int chosen(struct runs *rs, const struct shelf *s, const struct ls_args *a, struct sort_key *out, size_t *n, struct err *e) {
    bool *keep = X_NEW(bool, s->n + 1), down = a->sort && a->sort[0] == '-';
    const char *by = a->sort ? a->sort + down : NULL;
    int rc = 0;
    for (size_t i = 0; i < s->n; i++) keep[i] = true;
    if (a->where) rc = runs_where(rs, a->where, s, keep, e);
    *n = 0;
    bool known = !by;
    for (size_t i = 0; i < s->n && rc == 0; i++) {
        const struct shelf_run *r = s->run[i];
        if (!keep[i] || (a->run && strcmp(a->run, r->name) != 0) || (a->live && run_state_ended(r->state))) continue;
        out[*n] = by ? key_of(r, by) : (struct sort_key){r, NAN, NULL};
        known = known || out[*n].text || !isnan(out[*n].num);
        (*n)++;
    }
    if (rc == 0 && by && *n) qsort(out, *n, sizeof *out, key_order);
    for (size_t i = 0; down && i < *n / 2; i++) {
        struct sort_key k = out[i];
        out[i] = out[*n - 1 - i];
        out[*n - 1 - i] = k;
    }
    if (rc == 0 && !known && *n)
        rc = err_code(e, ERR_USAGE,
            "ls: no run has a \"%.60s\" to sort by; a metric, a value of the configuration, run, state, created, seconds, step, bytes, params", by);
    free(keep);
    return rc;
}

/* All runs: those of the folder, those of this process with their present numbers, then those that are only in memory. */
static struct val *describe_all(struct runs *rs, const struct ls_args *a, struct err *e) {
    bool bundle = a->run && bundle_is(a->run);
    runs_flush(rs, 1); /* what this process's runs have said so far is in their files */
    struct shelf *s = bundle ? bundle_shelf(a->run, e) : runs_shelf_read(rs, e);
    if (!s) return NULL;
    struct ls_args b = *a;
    if (bundle) b.run = NULL;
    struct val *list = val_list();
    struct sort_key *row = X_NEW(struct sort_key, s->n + 1);
    size_t n = 0;
    int rc = chosen(rs, s, &b, row, &n, e);
    for (size_t i = 0; i < n && rc == 0; i++) {
        struct run *r = bundle ? NULL : runs_find(rs, row[i].r->name);
        if (a->names) val_push(list, val_str(row[i].r->name));
        else val_push(list, r ? live_describe(r) : stored_describe(row[i].r));
    }
    for (size_t i = 0; i < runs_count(rs) && rc == 0 && !bundle && !a->where; i++) {
        struct run *r = runs_at(rs, i);
        if ((a->run && strcmp(a->run, run_name(r)) != 0) || (a->live && run_state_ended(run_state(r))) || shelf_find(s, run_name(r))) continue;
        val_push(list, a->names ? val_str(run_name(r)) : live_describe(r));
    }
    shelf_unref(s);
    free(row);
    if (rc == 0 && a->run && !val_len(list))
        rc = err_code(e, ERR_FAIL, "there is no run named \"%s\" in %s; hone ls lists them", a->run, runs_dir(rs) ? runs_dir(rs) : "this session");
    if (rc == 0) return list;
    val_free(list);
    return NULL;
}

static int ls_run(struct call *c, const void *args, struct err *e) {
    const struct ls_args *a = args;
    struct val *list = describe_all(runs_of(c), a, e);
    if (!list) return -1;
    call_result(c, list);
    return 0;
}

/* The answer of `status` is flat: run state step epoch, then the last metrics; the newest live run comes last. */
static int status_run(struct call *c, const void *args, struct err *e) {
    const struct ls_args *a = args;
    struct val *list = describe_all(runs_of(c), a, e);
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

/* The last n lines of log.txt, read from its end. */
static int log_run(struct call *c, const void *args, struct err *e) {
    const struct log_args *a = args;
    runs_flush(runs_of(c), 1);
    struct folder f;
    if (folder_open(runs_of(c), a->run, &f, e) != 0) return -1;
    char *path = io_join(f.dir, "log.txt");
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
    folder_close(&f);
    call_result(c, lines);
    return 0;
}

/* ---- progress ---- */

struct progress_args {
    char *run;
};

static int progress_run(struct call *c, const void *args, struct err *e) {
    const struct progress_args *a = args;
    struct run *r = a->run ? runs_find(runs_of(c), a->run) : runs_current(runs_of(c));
    if (a->run && !r) return err_set(e, "this session has no run named \"%s\"; hone ls lists those of the folder", a->run);
    call_result(c, r ? run_progress_told(r) : val_table());
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
    struct run *r = j ? hub_job_run(j) : a->run.id ? NULL : runs_current(runs_of(c));
    if (!r) return err_set(e, "there is no run whose series could be read");
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
    for (size_t i = 0; i < got; i++)
        if (b[i].count || b[i].bad) val_push(list, bucket_to_val(&b[i]));
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

/* ---- rows ---- */

static const struct arg ls_table[] = {{"run", "only this one", NULL, NULL, ARG_STR, offsetof(struct ls_args, run), ARG_POSITIONAL, .source = SRC_RUN},
    {"live", "only runs that have not ended", NULL, "false", ARG_BOOL, offsetof(struct ls_args, live)},
    {"where", "only runs for which this Lua expression holds: lr > 1e-3 and tag.baseline", NULL, NULL, ARG_STR, offsetof(struct ls_args, where)},
    {"sort", "a metric (its best value), a value of the configuration, run, created ..; - before it: the other way round", NULL, NULL, ARG_STR,
        offsetof(struct ls_args, sort)},
    {"names", "only the names", NULL, "false", ARG_BOOL, offsetof(struct ls_args, names)}, {0}};
static const struct arg log_table[] = {{"run", "the newest without it", NULL, NULL, ARG_STR, offsetof(struct log_args, run), ARG_POSITIONAL, .source = SRC_RUN},
    {"n", "how many lines from the end", "lines", "50", ARG_INT, offsetof(struct log_args, n), 0, 0, 1, 100000}, {0}};
static const struct arg progress_table[] = {
    {"run", "the current one without it", NULL, NULL, ARG_STR, offsetof(struct progress_args, run), ARG_POSITIONAL, .source = SRC_RUN}, {0}};
static const struct arg series_table[] = {
    {"run", "the run; the current one without it", NULL, NULL, ARG_HANDLE, offsetof(struct series_args, run), ARG_POSITIONAL, .source = SRC_RUN},
    {"name", "name of a metric", NULL, NULL, ARG_STR, offsetof(struct series_args, name), ARG_POSITIONAL | ARG_REQUIRED, .source = SRC_METRIC},
    {"points", "at most so many buckets of 2^k steps", NULL, "512", ARG_INT, offsetof(struct series_args, points), 0, 0, 1, 65536},
    {"from", "first step of a window", "step", "0", ARG_INT, offsetof(struct series_args, from), 0, 0, 0, 9e15},
    {"to", "step after the window; -1: the end", "step", "-1", ARG_INT, offsetof(struct series_args, to), 0, 0, -1, 9e15}, {0}};
static const struct arg result_table[] = {
    {"values", "names and values of the outcome", NULL, NULL, ARG_TABLE, offsetof(struct result_args, values), ARG_POSITIONAL | ARG_REQUIRED | ARG_REST}, {0}};

static const struct cmd cmd_ls = {{"ls", "lists runs with state, step and last metrics", "hone.ls{}", ls_table, sizeof(struct ls_args)}, OWNER_HELPER,
    CMD_WATCHER | CMD_LINE | CMD_WHILE_RUNNING, ls_run, NULL};
static const struct cmd cmd_runs = {
    {"runs", "the same list as ls, as a value for scripts", "for _, r in ipairs(hone.runs{}) do print(r.run, r.state) end", ls_table, sizeof(struct ls_args)},
    OWNER_HELPER, CMD_WATCHER | CMD_WHILE_RUNNING, ls_run, NULL};
static const struct cmd cmd_status = {
    {"status", "state, step, epoch and last metrics of every run", "hone.status{live=true}", ls_table, sizeof(struct ls_args)}, OWNER_HELPER,
    CMD_WATCHER | CMD_LINE | CMD_WHILE_RUNNING, status_run, NULL};
static const struct cmd cmd_log = {{"log", "the last lines of a run's log", "hone.log{n=20}", log_table, sizeof(struct log_args)}, OWNER_HELPER,
    CMD_WATCHER | CMD_LINE | CMD_WHILE_RUNNING, log_run, NULL};
static const struct cmd cmd_series = {
    {"series", "the points of one metric, as buckets with mean, min, max, count", "run:series(\"loss\")", series_table, sizeof(struct series_args)}, OWNER_ANY,
    CMD_WATCHER | CMD_WHILE_RUNNING, series_run, NULL};
static const struct cmd cmd_result = {
    {"result", "publishes the outcome of a script: printed, stored with the run", "hone.result{acc=0.91}", result_table, sizeof(struct result_args)}, OWNER_ANY,
    CMD_WHILE_RUNNING, result_run, NULL};

static const struct cmd cmd_progress = {{"progress", "how far a run of this session is: phase, step, epoch, seconds left", "print(hone.progress{}.eta)",
                                            progress_table, sizeof(struct progress_args)},
    OWNER_ANY, CMD_WATCHER | CMD_WHILE_RUNNING, progress_run, NULL};

const struct cmd *const cmds_run[] = {&cmd_ls, &cmd_runs, &cmd_status, &cmd_log, &cmd_progress, &cmd_series, &cmd_result, &cmd_export, &cmd_bundle, &cmd_import,
    &cmd_diff, &cmd_curves, &cmd_report, &cmd_rm, &cmd_mv, &cmd_tag, &cmd_gc, &cmd_crashed, &cmd_alarm, &cmd_alarms, NULL};
