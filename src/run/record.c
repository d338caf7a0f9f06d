/* The run record: numbers, state, progress, series of every run of this process. One mutex for all of it, held for well under
 * a microsecond per step; nothing here touches a file (the writer thread of store.c does). Any thread. */
#include "config.h"

#include "src/run/record.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "src/base/err.h"
#include "src/base/mem.h"
#include "src/base/thread.h"
#include "src/base/utf8.h"
#include "src/run/private.h"

static void copy_text(char *to, size_t size, const char *from) { snprintf(to, size, "%s", from ? from : ""); }

struct runs *runs_new(const char *dir) {
    struct runs *rs = X_NEW(struct runs, 1);
    rs->dir = mem_str(dir);
    rs->now = clock_now;
    rs->t0 = rs->now();
    rs->next = 1;
    rs->full_notice_t = -1e9;
    alarms_init(&rs->alarms);
    pthread_mutex_init(&rs->lock, NULL);
    pthread_condattr_t a;
    pthread_condattr_init(&a);
    pthread_condattr_setclock(&a, CLOCK_MONOTONIC);
    pthread_cond_init(&rs->work, &a);
    pthread_cond_init(&rs->idle, &a);
    pthread_condattr_destroy(&a);
    if (dir) store_start(rs);
    return rs;
}

static void run_free(struct run *r) {
    store_close(r);
    for (int s = 0; s < r->n_series; s++) series_free(r->series[s]);
    for (int a = 0; a < RUN_AXES; a++) series_free(r->axis[a]);
    val_free(r->start);
    val_free(r->reports);
    val_free(r->reported);
    val_free(r->result);
    val_free(r->code);
    free(r->folder);
    free(r);
}

void runs_free(struct runs *rs) {
    if (!rs) return;
    alarms_release(&rs->alarms);
    if (rs->dir) store_stop(rs);
    for (size_t i = 0; i < rs->n; i++) run_free(rs->run[i]);
    for (int i = 0; i < EVENT_RING; i++) val_free(rs->event[i]);
    if (rs->kept) rs->release(rs->kept);
    val_free(rs->machine);
    free(rs->run);
    free(rs->dir);
    pthread_cond_destroy(&rs->work);
    pthread_cond_destroy(&rs->idle);
    pthread_mutex_destroy(&rs->lock);
    free(rs);
}

void runs_set_clock(struct runs *rs, double (*now)(void)) {
    rs->now = now;
    rs->t0 = now();
}

const char *runs_dir(const struct runs *rs) { return rs->dir; }

void *runs_kept(struct runs *rs, void *(*make)(void), void (*release)(void *)) {
    pthread_mutex_lock(&rs->lock);
    if (!rs->kept) {
        rs->kept = make();
        rs->release = release;
    }
    void *kept = rs->kept;
    pthread_mutex_unlock(&rs->lock);
    return kept;
}

size_t runs_count(struct runs *rs) {
    pthread_mutex_lock(&rs->lock);
    size_t n = rs->n;
    pthread_mutex_unlock(&rs->lock);
    return n;
}

struct run *runs_at(struct runs *rs, size_t i) {
    pthread_mutex_lock(&rs->lock);
    struct run *r = i < rs->n ? rs->run[i] : NULL;
    pthread_mutex_unlock(&rs->lock);
    return r;
}

struct run *runs_current(struct runs *rs) {
    pthread_mutex_lock(&rs->lock);
    struct run *r = rs->n ? rs->run[rs->n - 1] : NULL;
    for (size_t i = rs->n; i-- > 0;)
        if (!rs->run[i]->ended) {
            r = rs->run[i];
            break;
        }
    pthread_mutex_unlock(&rs->lock);
    return r;
}

struct run *runs_find(struct runs *rs, const char *name) {
    struct run *r = NULL;
    pthread_mutex_lock(&rs->lock);
    for (size_t i = rs->n; i-- > 0 && !r;)
        if (strcmp(rs->run[i]->name, name) == 0) r = rs->run[i];
    pthread_mutex_unlock(&rs->lock);
    return r;
}

/* ---- writing ---- */

static bool is_space(uint32_t cp) {
    return cp == 0xa0 || cp == 0x1680 || (cp >= 0x2000 && cp <= 0x200a) || cp == 0x2028 || cp == 0x2029 || cp == 0x202f || cp == 0x205f || cp == 0x3000;
}

/* What can be a folder's name, be typed without quotes and be seen: other characters become "_"; letters of any script stay. */
static void prefix_clean(char *out, size_t size, const char *prefix) {
    size_t n = 0, used, left = prefix ? strlen(prefix) : 0;
    uint32_t cp;
    for (const char *p = prefix; left && (used = utf8_next(p, left, &cp)) > 0 && n + used < size; p += used, left -= used) {
        bool ok = (cp >= 'a' && cp <= 'z') || (cp >= 'A' && cp <= 'Z') || (cp >= '0' && cp <= '9') || cp == '_' || (n && (cp == '.' || cp == '-'));
        int w = cp >= 0x80 && !(cp & UTF8_BAD) && !is_space(cp) ? utf8_width(cp) : -1;
        if (ok || w > 0 || (w == 0 && n)) memcpy(out + n, p, used), n += used; /* w 0: a mark on the character before */
        else out[n++] = '_';
    }
    out[n] = 0;
    if (!n) copy_text(out, size, "run");
}

struct run *run_blank(struct runs *rs) {
    struct run *r = X_NEW(struct run, 1);
    r->rs = rs;
    r->exit_code = -1;
    r->log_every = 10;
    r->logged_t = -1;
    r->logged = -1;
    r->eta_told = -1;
    r->reports = val_table();
    r->reported = val_table();
    for (int a = 0; a < RUN_AXES; a++) r->axis[a] = series_new("");
    r->st = (struct store){.lock_fd = -1, .metrics_fd = -1, .journal_fd = -1, .log_fd = -1, .journal_step = -1};
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    r->created = (double)ts.tv_sec + 1e-9 * (double)ts.tv_nsec;
    r->t0 = r->phase_t0 = r->busy0 = rs->now();
    return r;
}

void run_join(struct runs *rs, struct run *r) {
    rs->run = X_ROOM(rs->run, struct run *, rs->n, &rs->cap);
    rs->run[rs->n++] = r;
    r->version++;
    runs_tell(rs);
}

int runs_number(const struct runs *rs, const char *prefix) {
    int k = 1;
    size_t len = strlen(prefix);
    for (size_t i = 0; i < rs->n; i++) {
        const char *name = rs->run[i]->name;
        if (strncmp(name, prefix, len) == 0 && name[len] == '-' && atoi(name + len + 1) >= k) k = atoi(name + len + 1) + 1;
    }
    return k;
}

struct run *run_new(struct runs *rs, const char *prefix, struct err *e) {
    char clean[48];
    prefix_clean(clean, sizeof clean, prefix);
    struct run *r = run_blank(rs);
    if (store_open(r, clean, e) < 0) {
        run_free(r);
        return NULL;
    }
    pthread_mutex_lock(&rs->lock);
    if (!r->name[0]) snprintf(r->name, sizeof r->name, "%s-%d", clean, runs_number(rs, clean));
    run_join(rs, r);
    pthread_mutex_unlock(&rs->lock);
    return r;
}

const char *run_name(const struct run *r) { return r->name; }
const char *run_dir(const struct run *r) {
    pthread_mutex_lock(&r->rs->lock);
    const char *dir = r->st.dir;
    pthread_mutex_unlock(&r->rs->lock);
    return dir;
}

double run_clock(const struct run *r) { return (r->ended ? r->t_end : r->rs->now()) - r->t0; }

double run_busy(const struct run *r) { return r->busy + (r->state == RUN_PAUSED || r->ended ? 0 : r->rs->now() - r->busy0); }

void run_info(struct run *r, struct val *start_take) {
    pthread_mutex_lock(&r->rs->lock);
    val_free(r->start);
    r->start = start_take ? start_take : val_table();
    copy_text(r->model, sizeof r->model, val_get_str(r->start, "model", ""));
    struct val *ev = event_new(r, run_clock(r), "start");
    event_fields(ev, r->start);
    r->started = true;
    r->version++;
    r->st.meta_dirty = true;
    store_dirty(r->rs);
    event_put(r->rs, ev);
    pthread_mutex_unlock(&r->rs->lock);
}

static void state_to(struct run *r, enum run_state s) {
    r->busy = run_busy(r);
    r->busy0 = r->rs->now();
    r->state = s;
    r->version++;
    r->st.meta_dirty = true;
    store_dirty(r->rs);
}

void run_set_state(struct run *r, enum run_state s) {
    pthread_mutex_lock(&r->rs->lock);
    if (s != r->state && !r->ended && s >= 0 && s < RUN_STATES) {
        state_to(r, s);
        if (r->started && !run_state_ended(s)) {
            struct val *ev = event_new(r, run_clock(r), "state");
            val_set_int(ev, "step", r->step);
            val_set_str(ev, "state", run_state_names[s]);
            event_put(r->rs, ev);
        } else runs_tell(r->rs);
    }
    pthread_mutex_unlock(&r->rs->lock);
}

void run_phase(struct run *r, const char *phase) {
    pthread_mutex_lock(&r->rs->lock);
    copy_text(r->phase, sizeof r->phase, phase);
    r->phase_t0 = r->rs->now();
    r->done = r->total = 0;
    r->version++;
    runs_tell(r->rs);
    pthread_mutex_unlock(&r->rs->lock);
}

/* Samples of (busy time, step), spread over the whole run: when full, every second one goes and only every second one comes. */
static void rate_add(struct run *r) {
    if (r->rate_seen++ % (r->rate_skip + 1)) return;
    if (r->n_rate == RATE_SAMPLES) {
        for (int i = 0; i < RATE_SAMPLES / 2; i++) r->rate[i] = r->rate[2 * i];
        r->n_rate = RATE_SAMPLES / 2;
        r->rate_skip = r->rate_skip * 2 + 1;
    }
    r->rate[r->n_rate++] = (struct rate_sample){run_busy(r), r->step};
}

/* From the speed of the last half of the run; pauses do not count. Falls back to the phase's own progress. */
double run_eta(const struct run *r) {
    if (r->ended) return r->state == RUN_DONE ? 0 : -1;
    if (r->mirror) {
        double left = r->eta_told - (r->rs->now() - r->eta_at);
        return r->eta_told < 0 ? -1 : left < 0 ? 0 : left;
    }
    if (r->steps > 0 && r->n_rate > 1) {
        double busy = run_busy(r);
        int i = r->n_rate / 2;
        if (r->rate[i].step >= r->step) i = 0;
        int64_t did = r->step - r->rate[i].step;
        double took = busy - r->rate[i].busy;
        if (did > 0 && took > 0) return r->step >= r->steps ? 0 : took / (double)did * (double)(r->steps - r->step);
    }
    double in_phase = r->rs->now() - r->phase_t0;
    if (r->total > 0 && r->done > 0 && in_phase > 0 && r->steps <= 0) return in_phase / (double)r->done * (double)(r->total - r->done);
    return -1;
}

void run_progress(struct run *r, int64_t done, int64_t total, int64_t step, int64_t steps, double epoch, double epochs) {
    pthread_mutex_lock(&r->rs->lock);
    r->done = done;
    r->total = total;
    r->step = step;
    r->steps = steps;
    r->epoch = epoch;
    r->epochs = epochs;
    rate_add(r);
    r->version++;
    runs_tell(r->rs);
    pthread_mutex_unlock(&r->rs->lock);
}

int run_series_id(struct run *r, const char *name, int guess) {
    if (guess >= 0 && guess < r->n_series && strcmp(series_name(r->series[guess]), name) == 0) return guess;
    for (int i = 0; i < r->n_series; i++)
        if (strncmp(series_name(r->series[i]), name, 31) == 0) return i;
    if (r->n_series == RUN_MAX_METRICS) return -1;
    r->series[r->n_series] = series_new(name);
    return r->n_series++;
}

void run_metrics(struct run *r, int64_t step, double epoch, const char *const *names, const double *values, size_t n) {
    int ids[RUN_MAX_METRICS];
    if (n > RUN_MAX_METRICS) n = RUN_MAX_METRICS;
    pthread_mutex_lock(&r->rs->lock);
    for (size_t i = 0; i < n; i++) {
        ids[i] = run_series_id(r, names[i], (int)i);
        if (ids[i] >= 0) series_add(r->series[ids[i]], step, values[i]);
        alarm_value(r, names[i], step, values[i]);
    }
    if (step > r->step) r->step = step;
    r->epoch = epoch;
    r->version++;
    double t = run_clock(r), axis[RUN_AXES] = {epoch, run_busy(r), t}; /* ORDER enum run_axis */
    for (int a = 0; a < RUN_AXES; a++) series_add(r->axis[a], step, axis[a]);
    if (r->st.dir) store_row(r, step, t, epoch, ids, values, n);
    if (step / r->log_every != r->logged / r->log_every && (r->logged_t < 0 || t - r->logged_t >= 0.05)) {
        struct val *ev = event_new(r, t, "metric");
        val_set_int(ev, "step", step);
        val_set_num(ev, "epoch", epoch);
        for (size_t i = 0; i < n; i++) val_set_num(ev, names[i], values[i]);
        r->logged = step;
        r->logged_t = t;
        event_put(r->rs, ev);
    } else runs_tell(r->rs);
    pthread_mutex_unlock(&r->rs->lock);
}

void run_log_every(struct run *r, int64_t steps) {
    pthread_mutex_lock(&r->rs->lock);
    r->log_every = steps < 1 ? 1 : steps;
    r->logged = -1;
    pthread_mutex_unlock(&r->rs->lock);
}

/* Numbers of a split that come with an epoch or eval event, from its field `first` on, become series too, unless the engine has put them there already. */
static void event_numbers(struct run *r, const char *split, int64_t step, const struct val *ev, size_t first) {
    for (size_t i = first; i < ev->u.t.n_field; i++) {
        const char *name = ev->u.t.field[i].name;
        char full[40];
        double v;
        if (!val_as_num(ev->u.t.field[i].v, &v) || strcmp(name, "step") == 0 || strcmp(name, "epoch") == 0) continue;
        bool named = strncmp(name, "val_", 4) == 0 || strncmp(name, "test_", 5) == 0;
        if (!split && !named) continue;
        if (!split && strlen(name) > 5 && (strcmp(name + strlen(name) - 3, "_lo") == 0 || strcmp(name + strlen(name) - 3, "_hi") == 0)) continue;
        if (split && !score_kept(name)) continue;
        if (split) snprintf(full, sizeof full, "%.8s_%.24s", split, name);
        else snprintf(full, sizeof full, "%.31s", name);
        int id = run_series_id(r, full, -1);
        int64_t last = -1;
        if (id >= 0) series_last(r->series[id], &last);
        if (id < 0 || last >= step) continue;
        series_add(r->series[id], step, v);
        alarm_value(r, full, step, v);
        if (r->st.dir) store_row(r, step, run_clock(r), r->epoch, &id, &v, 1);
    }
}

void run_event_seen(struct run *r, const char *event, int64_t step, const struct val *ev, double t) {
    r->version++;
    if (strcmp(event, "epoch") == 0 && step >= 0) event_numbers(r, NULL, step, ev, 3);
    const char *split = val_get_str(ev, "split", NULL);
    if (strcmp(event, "eval") == 0 && step >= 0 && split && strcmp(split, "train")) event_numbers(r, split, step, ev, 3);
    if (strcmp(event, "result") == 0) {
        struct val *v = val_get(ev, "values");
        if (v && !r->result) r->result = val_table();
        for (size_t i = 0; v && v->type == VAL_TABLE && i < v->u.t.n_field; i++) val_set(r->result, v->u.t.field[i].name, val_copy(v->u.t.field[i].v));
        r->st.meta_dirty = true;
        store_dirty(r->rs);
    }
    const char *lua = val_get_str(ev, "lua", NULL), *text = val_get_str(ev, "text", NULL);
    if (lua) journal_put(r, lua, step);
    if (strcmp(event, "alert") == 0) alarm_alert(r, text ? text : "", step);
    if (text) store_log(r, t, val_get_str(ev, "level", event), text);
}

void run_scores(struct run *r, const char *split, const struct val *report) {
    pthread_mutex_lock(&r->rs->lock);
    if (report->type == VAL_TABLE && r->step >= 0) event_numbers(r, split, r->step, report, 0);
    r->version++;
    r->st.meta_dirty = true;
    store_dirty(r->rs);
    runs_tell(r->rs);
    pthread_mutex_unlock(&r->rs->lock);
}

static void report(struct run *r, const char *kind, struct val *report_take, bool save) {
    pthread_mutex_lock(&r->rs->lock);
    val_set(r->reports, kind, report_take ? report_take : val_nil());
    val_set_int(r->reported, kind, (int64_t)++r->n_report);
    r->version++;
    if (save) {
        r->st.meta_dirty = true;
        store_dirty(r->rs);
    }
    runs_tell(r->rs);
    pthread_mutex_unlock(&r->rs->lock);
}

void run_report(struct run *r, const char *kind, struct val *report_take) { report(r, kind, report_take, true); }
void run_report_live(struct run *r, const char *kind, struct val *report_take) { report(r, kind, report_take, false); }

void run_end(struct run *r, enum run_state s, int exit_code) {
    pthread_mutex_lock(&r->rs->lock);
    if (!r->ended) {
        state_to(r, s);
        r->t_end = r->rs->now();
        r->ended = true;
        r->exit_code = exit_code;
        struct val *ev = event_new(r, run_clock(r), "end");
        val_set_str(ev, "state", run_state_names[s]);
        val_set_int(ev, "exit", exit_code);
        event_put(r->rs, ev);
        if (s == RUN_FAILED && !r->started && r->st.dir) store_discard(r);
    }
    pthread_mutex_unlock(&r->rs->lock);
}

/* ---- reading ---- */

void run_now(struct run *r, struct run_now *out) {
    pthread_mutex_lock(&r->rs->lock);
    for (int i = 0; i < r->rs->n_watch; i++) r->rs->watch[i].told = false;
    *out = (struct run_now){.state = r->state,
        .t = run_clock(r),
        .phase_t = (r->ended ? r->t_end : r->rs->now()) - r->phase_t0,
        .done = r->done,
        .total = r->total,
        .step = r->step,
        .steps = r->steps,
        .epoch = r->epoch,
        .epochs = r->epochs,
        .eta = run_eta(r),
        .n = r->n_series,
        .version = r->version};
    copy_text(out->name, sizeof out->name, r->name);
    copy_text(out->model, sizeof out->model, r->model);
    copy_text(out->phase, sizeof out->phase, r->ended ? "" : r->phase);
    for (int i = 0; i < r->n_series; i++) {
        struct run_metric *m = &out->metric[i];
        copy_text(m->name, sizeof m->name, series_name(r->series[i]));
        m->value = series_last(r->series[i], &m->step);
    }
    pthread_mutex_unlock(&r->rs->lock);
}

void run_trends(struct run *r, double *trend, int from, int n) {
    pthread_mutex_lock(&r->rs->lock);
    for (int i = from; i < n; i++) trend[i] = i < r->n_series ? series_trend(r->series[i]) : NAN;
    pthread_mutex_unlock(&r->rs->lock);
}

enum run_state run_state(struct run *r) {
    pthread_mutex_lock(&r->rs->lock);
    enum run_state s = r->state;
    pthread_mutex_unlock(&r->rs->lock);
    return s;
}

int run_exit_code(struct run *r) {
    pthread_mutex_lock(&r->rs->lock);
    int code = r->exit_code;
    pthread_mutex_unlock(&r->rs->lock);
    return code;
}

struct val *run_start_info(struct run *r) {
    pthread_mutex_lock(&r->rs->lock);
    struct val *v = val_copy(r->start);
    pthread_mutex_unlock(&r->rs->lock);
    return v;
}

struct val *run_last_report(struct run *r, const char *kind) {
    pthread_mutex_lock(&r->rs->lock);
    struct val *v = val_copy(val_get(r->reports, kind));
    pthread_mutex_unlock(&r->rs->lock);
    return v;
}

bool run_has_report(struct run *r, const char *kind) {
    pthread_mutex_lock(&r->rs->lock);
    bool has = val_get(r->reports, kind) != NULL;
    pthread_mutex_unlock(&r->rs->lock);
    return has;
}

struct val *run_report_since(struct run *r, const char *kind, uint64_t *seen) {
    pthread_mutex_lock(&r->rs->lock);
    uint64_t at = (uint64_t)val_get_int(r->reported, kind, 0);
    struct val *v = at > *seen ? val_copy(val_get(r->reports, kind)) : NULL;
    if (v) *seen = at;
    pthread_mutex_unlock(&r->rs->lock);
    return v;
}

static struct series *find_series(struct run *r, const char *name) {
    for (int i = 0; i < r->n_series; i++)
        if (strcmp(series_name(r->series[i]), name) == 0) return r->series[i];
    return NULL;
}

size_t run_series(struct run *r, const char *name, struct bucket *out, size_t n, int *k) {
    pthread_mutex_lock(&r->rs->lock);
    struct series *s = find_series(r, name);
    size_t got = s ? series_read(s, out, n, k) : 0;
    pthread_mutex_unlock(&r->rs->lock);
    return got;
}

size_t run_series_window(struct run *r, const char *name, int64_t from, int64_t to, struct bucket *out, size_t n) {
    pthread_mutex_lock(&r->rs->lock);
    struct series *s = find_series(r, name);
    size_t got = s ? series_window(s, from, to, out, n) : 0;
    pthread_mutex_unlock(&r->rs->lock);
    return got;
}

double run_smooth(struct run *r, const char *name, double w) {
    pthread_mutex_lock(&r->rs->lock);
    struct series *s = find_series(r, name);
    double v = s ? series_smooth(s, w) : NAN;
    pthread_mutex_unlock(&r->rs->lock);
    return v;
}

size_t run_axis(struct run *r, enum run_axis a, int64_t from, int64_t to, struct bucket *out, size_t n) {
    pthread_mutex_lock(&r->rs->lock);
    size_t got = series_window(r->axis[a], from, to, out, n);
    pthread_mutex_unlock(&r->rs->lock);
    return got;
}

double run_created(const struct run *r) { return r->created; }

size_t run_series_names(struct run *r, char names[][32], size_t max) {
    pthread_mutex_lock(&r->rs->lock);
    size_t n = 0;
    for (; n < (size_t)r->n_series && n < max; n++) copy_text(names[n], 32, series_name(r->series[n]));
    pthread_mutex_unlock(&r->rs->lock);
    return n;
}

enum run_state run_state_named(const char *name, enum run_state other) {
    for (int s = 0; s < RUN_STATES; s++)
        if (name && strcmp(name, run_state_names[s]) == 0) return (enum run_state)s;
    return other;
}

const char *const run_state_names[RUN_STATES] = {
    "queued", "preparing", "training", "evaluating", "compressing", "paused", "done", "stopped", "failed", "crashed"};
