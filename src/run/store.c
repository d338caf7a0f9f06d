/* The writer: one thread per process that puts rows, journal lines, log lines and run.json of every run into files. A full or
 * failing disk never stops training: what does not fit waits in memory up to a bound, then is dropped and counted; the user
 * hears of it at most once in 30 s. Reading is in read.c. */
#include "config.h"

#include "src/run/store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>

#include "src/base/io.h"
#include "src/base/json.h"
#include "src/base/err.h"
#include "src/base/thread.h"
#include "src/run/code.h"
#include "src/run/points.h"
#include "src/run/private.h"
#include "src/run/pyramid.h"

void store_dirty(struct runs *rs) {
    if (!rs->dirty) pthread_cond_signal(&rs->work);
    rs->dirty = true;
}

void store_row(struct run *r, int64_t step, double t, double epoch, const int *ids, const double *values, size_t n) {
    struct buf *b = &r->st.rows;
    if (b->len > PENDING_MAX) {
        r->st.dropped++;
        return;
    }
    points_row(b, step, t, epoch, ids, values, n);
    store_dirty(r->rs);
}

void store_log(struct run *r, double t, const char *level, const char *text) {
    struct buf *b = &r->st.log;
    if (!r->st.dir || b->len > PENDING_MAX) return;
    buf_addf(b, "%10.3f %-5s ", t, level);
    size_t n = strnlen(text, 4096);
    for (size_t i = 0; i < n; i++) buf_addc(b, text[i] == '\n' || text[i] == '\r' ? ' ' : text[i]);
    buf_addc(b, '\n');
    store_dirty(r->rs);
}

/* ---- folder ---- */

/* The first number that no folder and no run of this process has. */
static int next_number(struct runs *rs, const char *prefix) {
    int k = 1;
    size_t len = strlen(prefix);
    DIR *d = opendir(rs->dir);
    for (struct dirent *de; d && (de = readdir(d));) {
        if (strncmp(de->d_name, prefix, len) != 0 || de->d_name[len] != '-') continue;
        char *end;
        long was = strtol(de->d_name + len + 1, &end, 10);
        if (!*end && was >= k && was < 100000000) k = (int)was + 1;
    }
    if (d) closedir(d);
    pthread_mutex_lock(&rs->lock);
    int known = runs_number(rs, prefix);
    pthread_mutex_unlock(&rs->lock);
    return known > k ? known : k;
}

/* The lock, and a line in it: what cannot take one line can take no run. -1: errno. */
static int lock_make(struct run *r, const char *path) {
    char line[32];
    char *lock = io_join(path, "lock");
    int n = snprintf(line, sizeof line, "%ld\n", (long)getpid());
    r->st.lock_fd = open(lock, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    free(lock);
    if (r->st.lock_fd < 0) return -1;
    flock(r->st.lock_fd, LOCK_EX | LOCK_NB);
    errno = 0;
    if (io_fault("run.lock") == 0 && io_write_all(r->st.lock_fd, line, (size_t)n, NULL, NULL) == 0 && fdatasync(r->st.lock_fd) == 0) return 0;
    int why = errno ? errno : EIO;
    close(r->st.lock_fd);
    r->st.lock_fd = -1;
    errno = why;
    return -1;
}

static int not_kept(struct err *e) {
    return err_set(e, "%s: nothing of the run could be kept, so it was not begun; --runs DIR or HONE_RUNS says where else runs may go", e ? e->text : "");
}

int store_open(struct run *r, const char *prefix, struct err *e) {
    struct runs *rs = r->rs;
    char name[64];
    char *path = NULL;
    if (!rs->dir) return 0;
    if (io_mkdirs(rs->dir, 0777, e) != 0) return not_kept(e);
    int k = next_number(rs, prefix), rc = -1;
    for (int tries = 0; tries < 1000 && rc != 0; tries++, k++) { /* another process may take the number first */
        snprintf(name, sizeof name, "%s-%d", prefix, k);
        free(path);
        path = io_join(rs->dir, name);
        rc = mkdir(path, 0777);
        if (rc != 0 && errno != EEXIST) break;
    }
    bool made = rc == 0;
    if (made) rc = lock_make(r, path);
    if (rc != 0) {
        err_sys(e, made ? "write into the run folder" : "make the run folder", path);
        if (made) io_remove_tree(path, NULL);
        free(path);
        return not_kept(e);
    }
    memcpy(r->name, name, sizeof name);
    r->st.dir = path;
    buf_addf(&r->st.journal, "-- journal of %s: what was done, in order; the lines run again\n", r->name);
    return 0;
}

static void close_files(struct store *st) {
    int *fds[] = {&st->metrics_fd, &st->journal_fd, &st->log_fd, &st->lock_fd};
    for (size_t i = 0; i < LEN(fds); i++) {
        if (*fds[i] >= 0) close(*fds[i]);
        *fds[i] = -1;
    }
}

void store_discard(struct run *r) {
    struct runs *rs = r->rs;
    while (rs->writing) pthread_cond_wait(&rs->idle, &rs->lock);
    r->st.gone = r->st.dir;
    r->st.dir = NULL;
    pthread_mutex_unlock(&rs->lock);
    close_files(&r->st);
    io_remove_tree(r->st.gone, NULL);
    pthread_mutex_lock(&rs->lock);
}

void store_close(struct run *r) {
    struct store *st = &r->st;
    close_files(st);
    buf_release(&st->rows);
    buf_release(&st->journal);
    buf_release(&st->log);
    buf_release(&st->spare);
    free(st->dir);
    free(st->gone);
    st->dir = st->gone = NULL;
}

/* ---- the writer thread ---- */

struct job_out { /* what was taken out of one run, written without the lock */
    struct series *series[RUN_MAX_METRICS]; /* of a run that has ended: copies for series.bin */
    int n_series;
    struct buf rows, journal, log, names;
    struct val *meta;
    int64_t dropped;
    bool ended;
};

bool runs_may_complain(struct runs *rs) {
    double now = clock_now();
    pthread_mutex_lock(&rs->lock);
    bool may = now - rs->full_notice_t >= 30;
    if (may) rs->full_notice_t = now;
    pthread_mutex_unlock(&rs->lock);
    return may;
}

static void full_notice(struct run *r, const char *what, int err) {
    struct runs *rs = r->rs;
    char text[256];
    if (!runs_may_complain(rs)) return;
    snprintf(
        text, sizeof text, "Cannot write %s of %s: %s. The run goes on; what does not fit is kept in memory and tried again.", what, r->name, strerror(err));
    runs_notice(rs, "warn", text);
}

static int file_open(struct run *r, int *fd, const char *name) {
    if (*fd >= 0) return 0;
    char *path = io_join(r->st.dir, name);
    *fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_APPEND, 0666);
    free(path);
    return *fd >= 0 ? 0 : -1;
}

/* Removes from b what was written; the rest stays. 0, or errno. */
static int text_out(struct run *r, int *fd, const char *name, struct buf *b) {
    if (!b->len) return 0;
    if (file_open(r, fd, name) != 0) return errno;
    size_t done = 0;
    while (done < b->len) {
        ssize_t n = io_fault("run.text") ? -1 : write(*fd, b->data + done, b->len - done);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) {
            int err = n < 0 ? errno : ENOSPC;
            memmove(b->data, b->data + done, b->len - done + 1);
            b->len -= done;
            return err;
        }
        done += (size_t)n;
    }
    buf_clear(b);
    return 0;
}

void store_record_put(struct buf *rec, const struct buf *names, const struct buf *rows) {
    uint32_t head[2] = {0, 0};
    size_t at = rec->len;
    buf_add(rec, head, sizeof head);
    points_pack(rec, names, rows);
    const char *payload = rec->data + at + sizeof head;
    head[0] = (uint32_t)(rec->len - at - sizeof head);
    head[1] = (uint32_t)crc32(0, (const unsigned char *)payload, head[0]);
    memcpy(rec->data + at, head, sizeof head);
    buf_add(rec, head, sizeof head[0]);
}

/* One record of all rows, in one call, so that a death leaves all of it or a torn end. On failure the file is cut back to whole records and the rows stay.
 * 0, or errno. */
static int rows_out(struct run *r, struct job_out *o) {
    struct store *st = &r->st;
    if (!o->rows.len) return 0;
    if (st->metrics_fd < 0) {
        if (file_open(r, &st->metrics_fd, "metrics.bin") != 0) return errno;
        off_t end = lseek(st->metrics_fd, 0, SEEK_END);
        st->metrics_good = end < 0 ? 0 : end;
    }
    struct buf rec = BUF_INIT;
    store_record_put(&rec, &o->names, &o->rows);
    int rc = io_fault("run.metrics") ? errno : 0;
    errno = 0;
    if (!rc && io_write_all(st->metrics_fd, rec.data, rec.len, NULL, NULL) < 0) rc = errno ? errno : EIO;
    if (rc) {
        if (ftruncate(st->metrics_fd, st->metrics_good) != 0) rc = errno;
    } else {
        st->metrics_good += (int64_t)rec.len;
        memcpy(st->record, rec.data, sizeof st->record);
        buf_clear(&o->rows);
    }
    buf_release(&rec);
    return rc;
}

int store_meta(const char *dir, const struct val *meta, struct err *e) {
    struct buf b = BUF_INIT;
    json_write_pretty(&b, meta);
    buf_addc(&b, '\n');
    char *path = io_join(dir, "run.json");
    errno = 0;
    int rc = io_write_file(path, b.data, b.len, e), why = errno;
    free(path);
    buf_release(&b);
    errno = why;
    return rc;
}

static int meta_out(struct run *r, struct job_out *o) {
    struct err e = {0};
    if (!o->meta || store_meta(r->st.dir, o->meta, &e) == 0) return 0;
    return errno ? errno : EIO;
}

static void names_put(struct buf *b, const struct run *r) {
    const char *names[RUN_MAX_METRICS];
    for (int i = 0; i < r->n_series; i++) names[i] = series_name(r->series[i]);
    points_names(b, names, (size_t)r->n_series);
}

/* Of a run that has ended the next reader finds its curves made. A disk that is full costs only that. */
static void series_out(struct run *r, struct job_out *o, bool rows_are_out) {
    struct store *st = &r->st;
    struct buf b = BUF_INIT;
    if (o->n_series && rows_are_out && st->metrics_good > 0) {
        pyramid_pack(&b, o->series, o->n_series, st->metrics_good, st->record);
        st->packed = pyramid_save(st->dir, &b, NULL) == 0;
        buf_release(&b);
    }
    for (int i = 0; i < o->n_series; i++) series_free(o->series[i]);
}

enum { KEPT = 1 << 20 };
static void give_back(struct buf *to, struct buf *rest) { /* what could not be written goes before what came meanwhile */
    if (rest->len) {
        buf_add(rest, to->data ? to->data : "", to->len);
        buf_release(to);
        *to = *rest;
    } else if (!to->cap && rest->cap <= KEPT) *to = *rest; /* room for what comes next */
    else buf_release(rest);
}

/* Once for each run, before its first run.json: the folder's commit. Lock held on entry and exit. */
static void look_around(struct runs *rs, struct run *r) {
    if (!r->st.dir || !r->started || r->code_known) return;
    r->code_known = true;
    pthread_mutex_unlock(&rs->lock);
    struct val *code = code_describe(), *machine = rs->machine ? NULL : machine_describe();
    pthread_mutex_lock(&rs->lock);
    r->code = code;
    if (machine) rs->machine = machine;
}

/* Short epochs change run.json many times a second: a second apart is enough while the run goes on. */
static bool meta_waits(const struct store *st, const struct run *r, bool flush) { return !flush && !r->ended && clock_now() - st->meta_t < 1; }

/* Lock held on entry and exit. True: everything of this run is on disk, or waits. */
static bool run_write(struct runs *rs, struct run *r, bool flush) {
    struct store *st = &r->st;
    if (!st->dir || (!st->rows.len && !st->journal.len && !st->log.len && !st->meta_dirty)) return true;
    struct job_out o = {.rows = st->rows, .journal = st->journal, .log = st->log, .dropped = st->dropped, .ended = r->ended};
    st->rows = st->spare; /* two buffers in turns: neither grows again from nothing */
    st->spare = st->journal = st->log = (struct buf)BUF_INIT;
    names_put(&o.names, r);
    bool waits = st->meta_dirty && meta_waits(st, r, flush);
    if (st->meta_dirty && !waits) o.meta = run_meta(r), st->meta_t = clock_now();
    if (o.rows.len) st->packed = false;
    if (r->ended && !st->packed)
        for (; o.n_series < r->n_series; o.n_series++) o.series[o.n_series] = series_copy(r->series[o.n_series]);
    st->meta_dirty = waits;
    pthread_mutex_unlock(&rs->lock);

    int rc_rows = rows_out(r, &o), rc_meta = meta_out(r, &o);
    series_out(r, &o, !rc_rows);
    bool said = o.journal.len > 0;
    int rc_text = text_out(r, &st->journal_fd, "journal.lua", &o.journal);
    if (!rc_text && said) fdatasync(st->journal_fd);
    if (!rc_text) rc_text = text_out(r, &st->log_fd, "log.txt", &o.log);
    if (o.ended && st->metrics_fd >= 0) fdatasync(st->metrics_fd);
    int rc = rc_rows ? rc_rows : rc_meta ? rc_meta : rc_text;
    if (rc) full_notice(r, rc_rows ? "metrics" : rc_meta ? "run.json" : "the log", rc);

    pthread_mutex_lock(&rs->lock);
    give_back(o.rows.len ? &st->rows : &st->spare, &o.rows);
    if (o.ended) buf_release(&st->spare);
    give_back(&st->journal, &o.journal);
    give_back(&st->log, &o.log);
    if (rc_meta) st->meta_dirty = true;
    if (waits) rs->dirty = true;
    if (!rc_rows && o.dropped) st->dropped -= o.dropped;
    buf_release(&o.names);
    val_free(o.meta);
    return rc == 0;
}

static void wait_for(struct runs *rs, double seconds) {
    struct timespec ts = clock_after(CLOCK_MONOTONIC, seconds);
    pthread_cond_timedwait(&rs->work, &rs->lock, &ts);
}

static void *writer(void *arg) {
    struct runs *rs = arg;
    bool failed = false;
    pthread_mutex_lock(&rs->lock);
    for (;;) {
        while (!rs->dirty && !rs->writer_stop) pthread_cond_wait(&rs->work, &rs->lock);
        if (!rs->writer_stop && !rs->flush) wait_for(rs, failed ? 0.9 : 0.25); /* gathers what comes meanwhile */
        bool last = rs->writer_stop, flush = rs->flush || last;
        rs->dirty = rs->flush = failed = false;
        rs->writing = true;
        for (size_t i = 0; i < rs->n; i++) {
            look_around(rs, rs->run[i]);
            if (!run_write(rs, rs->run[i], flush)) failed = true;
        }
        rs->writing = false;
        if (failed) rs->dirty = true;
        pthread_cond_broadcast(&rs->idle);
        if (last) break;
    }
    pthread_mutex_unlock(&rs->lock);
    return NULL;
}

bool runs_flush(struct runs *rs, double timeout) {
    double until = clock_now() + timeout;
    pthread_mutex_lock(&rs->lock);
    while (rs->writer_on && (rs->dirty || rs->writing) && clock_now() < until) {
        rs->flush = true;
        pthread_cond_signal(&rs->work);
        struct timespec ts = clock_after(CLOCK_MONOTONIC, 0.05);
        pthread_cond_timedwait(&rs->idle, &rs->lock, &ts);
    }
    bool done = !rs->dirty && !rs->writing;
    pthread_mutex_unlock(&rs->lock);
    return done;
}

int store_start(struct runs *rs) {
    struct err e = {0};
    rs->writer_on = thread_start(&rs->writer, "hone-writer", writer, rs, &e) == 0;
    return rs->writer_on ? 0 : -1;
}

void store_stop(struct runs *rs) {
    if (!rs->writer_on) return;
    pthread_mutex_lock(&rs->lock);
    rs->writer_stop = true;
    pthread_cond_signal(&rs->work);
    pthread_mutex_unlock(&rs->lock);
    pthread_join(rs->writer, NULL);
    rs->writer_on = false;
}

struct val *run_meta(struct run *r) {
    struct val *m = val_table();
    val_set_str(m, "run", r->name);
    val_set_num(m, "created", floor(r->created * 1000) / 1000);
    val_set_int(m, "pid", getpid());
    val_set_str(m, "state", run_state_names[r->state]);
    if (r->ended) val_set_int(m, "exit", r->exit_code);
    val_set_num(m, "seconds", floor(run_clock(r) * 1000) / 1000);
    val_set_int(m, "step", r->step);
    val_set_int(m, "steps", r->steps);
    val_set_num(m, "epoch", r->epoch);
    struct val *metrics = val_table();
    for (int i = 0; i < r->n_series; i++) val_set_num(metrics, series_name(r->series[i]), series_last(r->series[i], NULL));
    val_set(m, "metrics", metrics);
    val_set(m, "start", r->start ? val_copy(r->start) : val_table());
    if (r->rs->machine) val_set(m, "environment", val_copy(r->rs->machine));
    if (r->code) val_set(m, "git", val_copy(r->code));
    if (r->result) val_set(m, "result", val_copy(r->result));
    if (r->reports->u.t.n_field) {
        struct val *reports = val_copy(r->reports);
        val_unset(val_get(reports, "eval"), "examples"); /* texts and pictures: for whoever looks now; lists of runs read this file */
        val_unset(reports, "eval_before");
        val_set(m, "reports", reports);
    }
    return m;
}
