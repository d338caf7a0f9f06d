/* The thread of the readings. Everything it shares is in one struct with one lock, which is never held while the library is called. */
#include "config.h"

#include "engine/graph/gpus.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "engine/graph/nvml.h"
#include "src/base/err.h"
#include "src/base/log.h"
#include "src/base/thread.h"

#define EVERY_S 2.0
#define STALE_S 6.0
#define ASKED_S 10.0 /* nobody asked for so long: nothing is read */
#define AGAIN_S 10.0 /* after the library could not be opened */
#define HEAR_MS 250 /* the longest wait for an error: the thread looks whether it is to end */
#define DEVICES_MAX 16
#define ERRORS 32 /* the last ones are kept */

struct heard {
    char bus[16];
    int xid;
    double at;
};
static struct {
    pthread_mutex_t lock; /* protects everything below; a leaf lock */
    pthread_cond_t turn; /* something to do, or an error came */
    bool running, end, deaf; /* deaf: errors cannot be heard */
    struct val *list; /* the newest readings, or NULL */
    double read_at, asked_at;
    uint64_t seq; /* of the readings */
    char why[ERR_TEXT];
    struct {
        char bus[16];
        int users;
        double since;
    } open[DEVICES_MAX];
    struct heard heard[ERRORS];
    int n_heard; /* ever */
    void (*tell)(void *ctx, const char *sentence, bool fatal);
    void *ctx;
} g = {.lock = PTHREAD_MUTEX_INITIALIZER, .turn = PTHREAD_COND_INITIALIZER};

/* ---- on the thread; with the lock held unless said ---- */

static bool in_use(void) {
    for (int i = 0; i < DEVICES_MAX; i++)
        if (g.open[i].users > 0) return true;
    return false;
}
static bool wanted(void) { return in_use() || (g.asked_at > 0 && clock_now() - g.asked_at < ASKED_S); }

/* Gives the lock away for at most so many seconds. */
static void nap(double seconds) {
    struct timespec t = clock_after(CLOCK_REALTIME, seconds);
    pthread_cond_timedwait(&g.turn, &g.lock, &t);
}

/* The same until a time. */
static void nap_until(double until) { nap(fmax(until - clock_now(), 0.01)); }

static const char *bus_of(const struct val *list, unsigned device) { return val_get_str(val_at(list, device), "bus", ""); }

/* A device that does not tell its bus may be any. */
static bool may_be(const char *a, const char *b) { return !*a || !*b || strcmp(a, b) == 0; }

static bool opened(const char *bus) {
    for (int i = 0; i < DEVICES_MAX; i++)
        if (g.open[i].users > 0 && may_be(g.open[i].bus, bus)) return true;
    return false;
}
static int open_at(const char *bus) { /* in open; -1: not there */
    for (int i = 0; i < DEVICES_MAX; i++)
        if (g.open[i].users > 0 && strcmp(g.open[i].bus, bus) == 0) return i;
    return -1;
}

/* Notes an error and says it, without the lock. */
static void said(unsigned device, int xid) {
    bool fatal;
    const char *words = nvml_xid_words(xid, &fatal);
    char text[400];
    const char *bus = bus_of(g.list, device);
    struct heard *h = &g.heard[g.n_heard % ERRORS];
    if (!opened(bus)) return; /* somebody else's */
    snprintf(h->bus, sizeof h->bus, "%s", bus);
    h->xid = xid, h->at = clock_now();
    g.n_heard++;
    pthread_cond_broadcast(&g.turn);
    void (*tell)(void *, const char *, bool) = g.tell;
    void *ctx = g.ctx;
    snprintf(text, sizeof text, "the driver reports an error of GPU %u: Xid %d: %s", device, xid, words);
    pthread_mutex_unlock(&g.lock);
    if (tell) tell(ctx, text, fatal);
    else log_write(LOG_ERROR, "%s", text);
    pthread_mutex_lock(&g.lock);
}

static void take(struct val *list) {
    val_free(g.list);
    g.list = list;
    g.read_at = clock_now();
    g.seq++;
    g.why[0] = 0;
}

/* Until the next reading is due: errors are heard, or the thread sleeps. */
static void between(struct nvml *n, double until) {
    while (!g.end && wanted() && clock_now() < until) {
        unsigned device = 0;
        int xid = 0;
        if (!in_use() || g.deaf) {
            nap_until(until);
            continue;
        }
        pthread_mutex_unlock(&g.lock);
        int rc = nvml_wait(n, HEAR_MS, &device, &xid);
        pthread_mutex_lock(&g.lock);
        if (rc < 0) g.deaf = true;
        if (rc > 0) said(device, xid);
    }
}

static void *readings(void *unused) {
    struct nvml *n = NULL;
    (void)unused;
    pthread_mutex_lock(&g.lock);
    while (!g.end) {
        struct err e = {0};
        double until = clock_now() + EVERY_S;
        if (!wanted()) {
            struct nvml *old = n;
            n = NULL;
            g.deaf = false;
            pthread_mutex_unlock(&g.lock);
            nvml_close(old);
            pthread_mutex_lock(&g.lock);
            if (!wanted() && !g.end) nap(EVERY_S);
            continue;
        }
        pthread_mutex_unlock(&g.lock);
        if (!n) n = nvml_open(&e);
        struct val *list = n ? nvml_read(n) : NULL;
        pthread_mutex_lock(&g.lock);
        if (n) take(list);
        else snprintf(g.why, sizeof g.why, "%s", e.text);
        if (n) between(n, until);
        else
            for (until = clock_now() + AGAIN_S; !g.end && clock_now() < until;) nap_until(until);
    }
    g.running = false;
    pthread_cond_broadcast(&g.turn);
    pthread_mutex_unlock(&g.lock);
    nvml_close(n);
    return NULL;
}

/* ---- for others ---- */

static void start(void) { /* with the lock held */
    pthread_t t;
    struct err e = {0};
    if (g.running || g.end) return;
    if (thread_start(&t, "hone-gpus", readings, NULL, &e) < 0) {
        snprintf(g.why, sizeof g.why, "%s", e.text);
        return;
    }
    pthread_detach(t);
    g.running = true;
}

struct val *gpus_now(void) {
    struct val *v = val_table();
    pthread_mutex_lock(&g.lock);
    double now = clock_now();
    bool slept = !wanted();
    g.asked_at = now;
    start();
    if (slept) pthread_cond_broadcast(&g.turn);
    val_set(v, "gpus", g.list ? val_copy(g.list) : val_list());
    if (g.list) val_set_num(v, "age", now - g.read_at);
    val_set_bool(v, "stale", g.list && now - g.read_at > STALE_S);
    val_set_str(v, "why", g.why);
    pthread_mutex_unlock(&g.lock);
    return v;
}

void gpus_use(const char *bus, int more) {
    pthread_mutex_lock(&g.lock);
    int at = open_at(bus);
    for (int i = 0; at < 0 && i < DEVICES_MAX; i++)
        if (g.open[i].users == 0) at = i;
    if (at >= 0) {
        if (g.open[at].users == 0) g.open[at].since = clock_now();
        snprintf(g.open[at].bus, sizeof g.open[at].bus, "%s", bus);
        g.open[at].users += more;
        if (g.open[at].users < 0) g.open[at].users = 0;
    }
    if (more > 0) start();
    pthread_cond_broadcast(&g.turn);
    pthread_mutex_unlock(&g.lock);
}

static const struct val *find(const char *bus) {
    const struct val *only = val_len(g.list) == 1 ? val_at(g.list, 0) : NULL;
    for (size_t i = 0; i < val_len(g.list); i++)
        if (*bus && strcmp(bus_of(g.list, (unsigned)i), bus) == 0) return val_at(g.list, i);
    return only && !*bus_of(g.list, 0) ? only : NULL;
}

bool gpus_since(const char *bus, uint64_t *seen, struct gpu_numbers *out) {
    pthread_mutex_lock(&g.lock);
    const struct val *v = g.seq != *seen ? find(bus) : NULL;
    *seen = g.seq;
    if (v)
        *out = (struct gpu_numbers){val_get_num(v, "use_percent", NAN), val_get_num(v, "memory_used_gib", NAN), val_get_num(v, "watts", NAN),
            val_get_num(v, "celsius", NAN), val_get_num(v, "mhz", NAN)};
    pthread_mutex_unlock(&g.lock);
    return v != NULL;
}

/* The first error of the device since it was opened: later ones follow from it. */
static const struct heard *first(const char *bus) {
    int at = open_at(bus);
    double since = at < 0 ? 0 : g.open[at].since;
    for (int i = g.n_heard > ERRORS ? g.n_heard - ERRORS : 0; i < g.n_heard; i++) {
        const struct heard *h = &g.heard[i % ERRORS];
        if (h->at >= since && may_be(h->bus, bus)) return h;
    }
    return NULL;
}

bool gpus_error(const char *bus, double wait_s, struct buf *b) {
    double end = clock_now() + wait_s;
    bool fatal;
    pthread_mutex_lock(&g.lock);
    const struct heard *h;
    while (!(h = first(bus)) && g.running && !g.deaf && !g.why[0] && clock_now() < end) nap(0.05);
    if (h) buf_addf(b, "Xid %d: %s", h->xid, nvml_xid_words(h->xid, &fatal));
    pthread_mutex_unlock(&g.lock);
    return h != NULL;
}

bool gpus_gone(const char *bus, double seconds) {
    bool fatal = false;
    pthread_mutex_lock(&g.lock);
    const struct heard *h = first(bus);
    if (h) nvml_xid_words(h->xid, &fatal);
    fatal = fatal && clock_now() - h->at >= seconds;
    pthread_mutex_unlock(&g.lock);
    return fatal;
}

void gpus_on_error(void (*fn)(void *ctx, const char *sentence, bool fatal), void *ctx) {
    pthread_mutex_lock(&g.lock);
    g.tell = fn, g.ctx = ctx;
    pthread_mutex_unlock(&g.lock);
}

void gpus_stop(void) {
    pthread_mutex_lock(&g.lock);
    g.end = true, g.tell = NULL;
    pthread_cond_broadcast(&g.turn);
    for (double end = clock_now() + 1; g.running && clock_now() < end;) nap(0.1);
    if (!g.running) {
        val_free(g.list);
        g.list = NULL;
        g.end = false; /* it may be started again */
    }
    g.asked_at = 0;
    pthread_mutex_unlock(&g.lock);
}
