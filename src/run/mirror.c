/* A copy of a run that another process owns, for `hone watch`: its events come over a socket, its past from its files. Both may be there: the files fill the
 * series up to where they end, events go on from there, and a step is never counted twice because steps only go forward. Nothing is ever written.
 * One thread fills; others read the record as always. */
#include "config.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "src/base/err.h"
#include "src/base/io.h"
#include "src/base/mem.h"
#include "src/run/private.h"
#include "src/run/pyramid.h"
#include "src/run/store.h"

enum { READ_WHOLE = 64 << 20, LOG_MAX = 256 << 10 };

struct run *run_mirror(struct runs *rs, const char *name) {
    struct run *r = runs_find(rs, name);
    if (r || !store_name_ok(name)) return r;
    r = run_blank(rs);
    r->mirror = true;
    snprintf(r->name, sizeof r->name, "%s", name);
    r->folder = rs->dir ? io_join(rs->dir, name) : NULL;
    pthread_mutex_lock(&rs->lock);
    run_join(rs, r);
    pthread_mutex_unlock(&rs->lock);
    return r;
}

/* ---- with the lock held ---- */

static void clock_to(struct run *r, double t, double busy) { /* it is t seconds after its start */
    double now = r->rs->now();
    r->t0 = now - t;
    r->busy = busy;
    r->busy0 = now;
    if (r->ended) r->t_end = now;
}

static void ended(struct run *r, enum run_state s, int code, double t) {
    r->state = s;
    clock_to(r, t, run_busy(r));
    r->ended = true;
    r->exit_code = code;
    r->t_end = r->rs->now();
}

static void start_to(struct run *r, const struct val *start) {
    val_free(r->start);
    r->start = val_table();
    for (size_t i = 0; start && start->type == VAL_TABLE && i < start->u.t.n_field; i++) {
        const struct val_field *f = &start->u.t.field[i];
        if (strcmp(f->name, "t") && strcmp(f->name, "event") && strcmp(f->name, "run")) val_set(r->start, f->name, val_copy(f->v));
    }
    snprintf(r->model, sizeof r->model, "%s", val_get_str(r->start, "model", ""));
    r->started = true;
}

static bool newer(struct series *s, int64_t step) {
    int64_t last = -1;
    series_last(s, &last);
    return step > last;
}

static void step_axes(struct run *r, int64_t step, double epoch, double busy, double t) {
    double axis[RUN_AXES] = {epoch, busy, t}; /* ORDER enum run_axis */
    for (int a = 0; a < RUN_AXES; a++)
        if (newer(r->axis[a], step)) series_add(r->axis[a], step, axis[a]);
    if (step > r->step) r->step = step, r->epoch = epoch;
}

static void one_value(struct run *r, const char *name, int64_t step, double v, int guess) {
    int id = run_series_id(r, name, guess);
    if (id >= 0 && newer(r->series[id], step)) series_add(r->series[id], step, v);
}

static void take_metric(struct run *r, const struct val *ev) {
    int64_t step = val_get_int(ev, "step", 0);
    for (size_t i = 0, k = 0; i < ev->u.t.n_field; i++) {
        const char *name = ev->u.t.field[i].name;
        double v;
        if (!val_as_num(ev->u.t.field[i].v, &v)) v = NAN; /* "nan", "inf" are strings there */
        if (strcmp(name, "t") && strcmp(name, "event") && strcmp(name, "run") && strcmp(name, "step") && strcmp(name, "epoch"))
            one_value(r, name, step, v, (int)k++);
    }
    step_axes(r, step, val_get_num(ev, "epoch", r->epoch), run_busy(r), val_get_num(ev, "t", 0));
}

void runs_take(struct runs *rs, const struct val *ev) {
    const char *name = val_get_str(ev, "run", NULL), *event = val_get_str(ev, "event", "");
    struct run *r = name ? run_mirror(rs, name) : NULL;
    double t = val_get_num(ev, "t", 0);
    pthread_mutex_lock(&rs->lock);
    if (r && !r->ended) {
        if (strcmp(event, "start") == 0) start_to(r, ev);
        else if (strcmp(event, "metric") == 0) take_metric(r, ev);
        else if (strcmp(event, "state") == 0) {
            r->busy = run_busy(r);
            r->busy0 = rs->now();
            r->state = run_state_named(val_get_str(ev, "state", NULL), r->state);
        } else if (strcmp(event, "end") == 0) ended(r, run_state_named(val_get_str(ev, "state", NULL), RUN_DONE), (int)val_get_int(ev, "exit", 0), t);
        else run_event_seen(r, event, val_get_int(ev, "step", -1), ev, t);
        r->version++;
    }
    event_put(rs, val_copy(ev));
    pthread_mutex_unlock(&rs->lock);
}

bool run_start_known(struct run *r) {
    pthread_mutex_lock(&r->rs->lock);
    bool known = r->started;
    pthread_mutex_unlock(&r->rs->lock);
    return known;
}

/* ---- progress: what is no event ---- */

struct val *run_progress_told(struct run *r) {
    struct val *v = val_table();
    pthread_mutex_lock(&r->rs->lock);
    val_set_str(v, "run", r->name);
    val_set_str(v, "state", run_state_names[r->state]);
    val_set_num(v, "t", run_clock(r));
    val_set_num(v, "busy", run_busy(r));
    val_set_str(v, "phase", r->phase);
    val_set_num(v, "phase_t", (r->ended ? r->t_end : r->rs->now()) - r->phase_t0);
    val_set_int(v, "done", r->done);
    val_set_int(v, "total", r->total);
    val_set_int(v, "step", r->step);
    val_set_int(v, "steps", r->steps);
    val_set_num(v, "epoch", r->epoch);
    val_set_num(v, "epochs", r->epochs);
    val_set_num(v, "eta", run_eta(r));
    if (r->ended) val_set_int(v, "exit", r->exit_code);
    pthread_mutex_unlock(&r->rs->lock);
    return v;
}

void run_follow(struct run *r, const struct val *told) {
    struct runs *rs = r->rs;
    double now = rs->now();
    pthread_mutex_lock(&rs->lock);
    if (!r->ended) {
        /* elapsed time alone is no news: a paused run costs no frame */
        bool news = r->state != run_state_named(val_get_str(told, "state", NULL), r->state) || r->step != val_get_int(told, "step", r->step) ||
                    r->done != val_get_int(told, "done", 0) || r->steps != val_get_int(told, "steps", 0) ||
                    strcmp(r->phase, val_get_str(told, "phase", "")) != 0;
        r->state = run_state_named(val_get_str(told, "state", NULL), r->state);
        clock_to(r, val_get_num(told, "t", 0), val_get_num(told, "busy", 0));
        snprintf(r->phase, sizeof r->phase, "%s", val_get_str(told, "phase", ""));
        r->phase_t0 = now - val_get_num(told, "phase_t", 0);
        r->done = val_get_int(told, "done", 0);
        r->total = val_get_int(told, "total", 0);
        r->step = val_get_int(told, "step", r->step);
        r->steps = val_get_int(told, "steps", 0);
        r->epoch = val_get_num(told, "epoch", 0);
        r->epochs = val_get_num(told, "epochs", 0);
        r->eta_told = val_get_num(told, "eta", -1);
        r->eta_at = now;
        if (run_state_ended(r->state)) ended(r, r->state, (int)val_get_int(told, "exit", 0), val_get_num(told, "t", 0));
        if (news) r->version++, runs_tell(rs);
    }
    pthread_mutex_unlock(&rs->lock);
}

/* ---- from the files ---- */

static bool take_point(void *ctx, const struct point *p) {
    struct run *r = ctx;
    for (size_t i = 0; i < p->n; i++) one_value(r, p->names[i], p->step, p->values[i], (int)i);
    step_axes(r, p->step, p->epoch, p->t, p->t); /* pauses are not in the file: they count as training here */
    return true;
}

/* Whole files row by row, so that the x axes are exact too; of a very long run the stored pyramid, and the axes from its two ends. Returns how many bytes
 * are new. */
static int64_t fill_series(struct run *r) {
    char *path = io_join(r->folder, "metrics.bin");
    struct stat st;
    int64_t from = r->read_to, cut = 0, size = stat(path, &st) == 0 ? st.st_size : 0;
    if (size > from && from == 0 && size > READ_WHOLE) {
        struct pyramid *p = X_NEW(struct pyramid, 1);
        if (pyramid_read(r->folder, NULL, p, NULL) == 0) {
            pthread_mutex_lock(&r->rs->lock);
            for (int i = 0; i < p->n && r->n_series < RUN_MAX_METRICS; i++) r->series[r->n_series++] = series_copy(p->series[i]);
            step_axes(r, 0, 0, 0, 0);
            store_tail(path, take_point, r, NULL);
            pthread_mutex_unlock(&r->rs->lock);
            r->read_to = size;
        }
        pyramid_release(p);
        free(p);
    } else if (size > from) {
        pthread_mutex_lock(&r->rs->lock);
        if (store_points_from(path, from, take_point, r, &cut, NULL) == 0) r->read_to = size - cut > from ? size - cut : from;
        pthread_mutex_unlock(&r->rs->lock);
    }
    free(path);
    return r->read_to - from;
}

/* With the lock held: what run.json says. */
static void take_meta(struct run *r, const struct val *m, bool live) {
    const struct val *start = val_get(m, "start"), *reports = val_get(m, "reports"), *result = val_get(m, "result");
    enum run_state s = run_state_named(val_get_str(m, "state", NULL), RUN_CRASHED);
    double seconds = val_get_num(m, "seconds", 0);
    r->created = val_get_num(m, "created", r->created);
    if (start && start->type == VAL_TABLE) start_to(r, start);
    for (size_t i = 0; reports && reports->type == VAL_TABLE && i < reports->u.t.n_field; i++) {
        val_set(r->reports, reports->u.t.field[i].name, val_copy(reports->u.t.field[i].v));
        val_set_int(r->reported, reports->u.t.field[i].name, (int64_t)++r->n_report);
    }
    if (result) val_free(r->result), r->result = val_copy(result);
    r->steps = val_get_int(m, "steps", r->steps);
    if (val_get_int(m, "step", 0) > r->step) r->step = val_get_int(m, "step", 0), r->epoch = val_get_num(m, "epoch", 0);
    if (r->epochs <= 0) r->epochs = val_get_num(val_get(r->start, "config"), "epochs", 0);
    if (live || r->ended) return;
    r->state = s;
    if (run_state_ended(s)) ended(r, s, (int)val_get_int(m, "exit", 1), seconds);
    else clock_to(r, seconds, seconds);
}

static int fill_meta(struct run *r, bool live, struct err *e) {
    char *path = io_join(r->folder, "run.json");
    struct stat st;
    int rc = 0;
    if (stat(path, &st)) {
        free(path);
        return err_set(e, "there is no run named \"%s\" in %s; hone ls lists them", r->name, r->rs->dir);
    }
    double t = (double)st.st_mtim.tv_sec + 1e-9 * (double)st.st_mtim.tv_nsec;
    bool alive = live || r->ended || store_alive(r->folder);
    if (t != r->meta_time || st.st_size != r->meta_size || !alive) {
        struct val *m = store_read_meta(r->folder, e);
        if (!m) rc = -1;
        else {
            if (!alive && !run_state_ended(run_state_named(val_get_str(m, "state", NULL), RUN_CRASHED))) val_set_str(m, "state", "crashed");
            pthread_mutex_lock(&r->rs->lock);
            take_meta(r, m, live);
            pthread_mutex_unlock(&r->rs->lock);
            val_free(m);
            rc = 1;
        }
        r->meta_time = t;
        r->meta_size = st.st_size;
    }
    free(path);
    return rc;
}

/* "     1.234 warn  text" of log.txt, `run:set("lr", 0.1) -- step 5 t=1.2` of journal.lua: as the events that they were. */
static struct val *log_event(const struct run *r, const char *line) {
    char level[8], *end;
    double t = strtod(line, &end);
    if (end == line || sscanf(end, " %7s", level) != 1 || strlen(line) < 17) return NULL;
    struct val *v = val_table();
    val_set_num(v, "t", t);
    val_set_str(v, "event", "notice");
    val_set_str(v, "run", r->name);
    val_set_str(v, "level", level);
    val_set_str(v, "text", line + 17);
    return v;
}

static struct val *edit_event(const struct run *r, const char *line) {
    char name[64];
    double value, t;
    long long step;
    const char *tail = strstr(line, " -- step ");
    if (!tail || sscanf(line, "run:set(\"%63[^\"]\", %lf", name, &value) != 2 || sscanf(tail, " -- step %lld t=%lf", &step, &t) != 2) return NULL;
    struct val *v = val_table();
    val_set_num(v, "t", t);
    val_set_str(v, "event", "edit");
    val_set_str(v, "run", r->name);
    val_set_int(v, "step", step);
    val_set_str(v, "name", name);
    val_set_num(v, "new", value);
    val_set_str(v, "by", "the journal");
    return v;
}

static int by_time(const void *a, const void *b) {
    double x = val_get_num(*(const struct val *const *)a, "t", 0), y = val_get_num(*(const struct val *const *)b, "t", 0);
    return (x > y) - (x < y);
}

static size_t read_lines(
    const struct run *r, const char *file, struct val *(*line_event)(const struct run *, const char *), struct val **ev, size_t n, size_t max) {
    struct buf b = BUF_INIT;
    char *path = io_join(r->folder, file);
    if (io_read_file(path, LOG_MAX, &b, NULL) == 0 && b.len)
        for (char *p = b.data, *nl; p && *p && n < max; p = nl ? nl + 1 : NULL) {
            nl = strchr(p, '\n');
            if (nl) *nl = 0;
            if ((ev[n] = line_event(r, p)) != NULL) n++;
        }
    free(path);
    buf_release(&b);
    return n;
}

/* Once, of a run that no session tells about. */
static void fill_events(struct run *r) {
    struct val *ev[EVENT_RING / 2];
    size_t n = read_lines(r, "log.txt", log_event, ev, 0, EVENT_RING / 2 - 256);
    n = read_lines(r, "journal.lua", edit_event, ev, n, EVENT_RING / 2);
    qsort(ev, n, sizeof *ev, by_time);
    pthread_mutex_lock(&r->rs->lock);
    for (size_t i = 0; i < n; i++) event_put(r->rs, ev[i]);
    if (r->ended) {
        struct val *end = event_new(r, run_clock(r), "end");
        val_set_str(end, "state", run_state_names[r->state]);
        val_set_int(end, "exit", r->exit_code);
        event_put(r->rs, end);
    }
    pthread_mutex_unlock(&r->rs->lock);
}

int run_fill(struct run *r, bool live, struct err *e) {
    if (!r->mirror || !r->folder) return 0;
    bool first = r->meta_time == 0;
    int meta = fill_meta(r, live, e);
    if (meta < 0) return -1;
    if (first && !live) fill_events(r);
    bool news = fill_series(r) > 0 || meta > 0;
    if (news) {
        pthread_mutex_lock(&r->rs->lock);
        r->version++;
        runs_tell(r->rs);
        pthread_mutex_unlock(&r->rs->lock);
    }
    return news;
}
