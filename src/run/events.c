/* The ring of events and who is woken by it. Events are value tables exactly as they appear as JSON lines: t, event, run
 * first. Written under the runs lock by any thread; readers get copies outside it. */
#include "config.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "src/run/private.h"

struct val *event_new(struct run *r, double t, const char *event) {
    struct val *ev = val_table();
    val_set_num(ev, "t", t);
    val_set_str(ev, "event", event);
    if (r) val_set_str(ev, "run", r->name);
    return ev;
}

void event_fields(struct val *ev, const struct val *f) {
    for (size_t i = 0; f && f->type == VAL_TABLE && i < f->u.t.n_field; i++)
        if (!val_get(ev, f->u.t.field[i].name)) val_set(ev, f->u.t.field[i].name, val_copy(f->u.t.field[i].v));
}

void event_put(struct runs *rs, struct val *ev_take) {
    struct val **slot = &rs->event[rs->next % EVENT_RING];
    val_free(*slot);
    *slot = ev_take;
    rs->next++;
    runs_tell(rs);
}

/* The readers' descriptors do not block, so a reader that sleeps costs one failed write at most. */
void runs_tell(struct runs *rs) {
    rs->version++;
    for (int i = 0; i < rs->n_watch; i++) {
        struct watch *w = &rs->watch[i];
        if (w->told) continue;
        uint64_t one = 1;
        ssize_t n = write(w->fd, &one, w->wide ? sizeof one : 1);
        (void)n; /* a full pipe is readable already */
        w->told = true;
    }
}

void runs_wake(struct runs *rs) {
    pthread_mutex_lock(&rs->lock);
    runs_tell(rs);
    pthread_mutex_unlock(&rs->lock);
}

int runs_watch(struct runs *rs, int fd) {
    struct stat st;
    bool narrow = fstat(fd, &st) == 0 && (S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode));
    int rc = -1;
    pthread_mutex_lock(&rs->lock);
    if (rs->n_watch < WATCHERS) {
        rs->watch[rs->n_watch++] = (struct watch){.fd = fd, .wide = !narrow};
        rc = 0;
    }
    pthread_mutex_unlock(&rs->lock);
    return rc;
}

void runs_unwatch(struct runs *rs, int fd) {
    pthread_mutex_lock(&rs->lock);
    for (int i = 0; i < rs->n_watch; i++)
        if (rs->watch[i].fd == fd) {
            rs->watch[i] = rs->watch[--rs->n_watch];
            break;
        }
    pthread_mutex_unlock(&rs->lock);
}

uint64_t runs_version(struct runs *rs) {
    pthread_mutex_lock(&rs->lock);
    uint64_t v = rs->version;
    pthread_mutex_unlock(&rs->lock);
    return v;
}

uint64_t runs_next_event(struct runs *rs) {
    pthread_mutex_lock(&rs->lock);
    uint64_t n = rs->next;
    pthread_mutex_unlock(&rs->lock);
    return n;
}

uint64_t runs_events(struct runs *rs, uint64_t since, void (*fn)(void *ctx, uint64_t seq, const struct val *event), void *ctx, uint64_t *lost) {
    uint64_t missed = 0;
    pthread_mutex_lock(&rs->lock);
    for (int i = 0; i < rs->n_watch; i++) rs->watch[i].told = false;
    uint64_t end = rs->next;
    if (since < 1) since = 1;
    while (since < end) {
        uint64_t oldest = rs->next > EVENT_RING ? rs->next - EVENT_RING : 1;
        if (since < oldest) {
            missed += oldest - since;
            since = oldest;
            continue;
        }
        struct val *ev = val_copy(rs->event[since % EVENT_RING]);
        pthread_mutex_unlock(&rs->lock);
        fn(ctx, since, ev);
        val_free(ev);
        since++;
        pthread_mutex_lock(&rs->lock);
    }
    pthread_mutex_unlock(&rs->lock);
    if (lost) *lost = missed;
    return since;
}

void runs_notice(struct runs *rs, const char *level, const char *text) {
    pthread_mutex_lock(&rs->lock);
    struct run *r = rs->n ? rs->run[rs->n - 1] : NULL;
    if (r && r->ended) r = NULL;
    double t = r ? run_clock(r) : rs->now() - rs->t0;
    struct val *ev = event_new(r, t, "notice");
    val_set_str(ev, "level", level);
    val_set(ev, "text", val_strn(text, strnlen(text, 4096)));
    if (r) store_log(r, t, level, text);
    event_put(rs, ev);
    pthread_mutex_unlock(&rs->lock);
}

void run_event(struct run *r, const char *event, int64_t step, struct val *fields_take) {
    struct runs *rs = r->rs;
    pthread_mutex_lock(&rs->lock);
    double t = run_clock(r);
    struct val *ev = event_new(r, t, event);
    if (step >= 0) val_set_int(ev, "step", step);
    event_fields(ev, fields_take);
    run_event_seen(r, event, step, ev, t);
    event_put(rs, ev);
    pthread_mutex_unlock(&rs->lock);
    val_free(fields_take);
}

void run_say(struct run *r, const char *event, int64_t step, const char *level, const char *text) {
    struct val *v = val_table();
    val_set_str(v, "level", level);
    val_set_str(v, "text", text);
    run_event(r, event, step, v);
}

void runs_event(struct runs *rs, const char *event, struct val *fields_take) {
    pthread_mutex_lock(&rs->lock);
    struct val *ev = event_new(NULL, rs->now() - rs->t0, event);
    event_fields(ev, fields_take);
    event_put(rs, ev);
    pthread_mutex_unlock(&rs->lock);
    val_free(fields_take);
}
