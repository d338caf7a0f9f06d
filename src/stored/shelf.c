/* Snapshots of the folder of runs, and the index file behind them: rows one after the other, each with its length, and a CRC of the whole. The index
 * is a cache: without it, or where it does not fit, the rows are read from the runs. Rows of runs that have not ended are never kept in it. */
#include "config.h"

#include "src/stored/shelf.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "src/base/hash.h"
#include "src/base/io.h"
#include "src/base/mem.h"
#include "src/base/thread.h"
#include "src/run/record.h"
#include "src/run/store.h"

enum { INDEX_MAX = 512 << 20, INDEX_MIN = 8 }; /* bytes; fewer rows than that are read as fast without an index */
static const char magic[8] = "HONEIDX1";

/* ---- rows by name ---- */

struct by_name { /* open addressing; slots is a power of two */
    const struct shelf_row **slot;
    size_t slots;
};

static size_t hash(const char *s) { return (size_t)hash_bytes(HASH_START, s, strlen(s)); }

static void table_init(struct by_name *t, size_t n) {
    t->slots = 16;
    while (t->slots < 2 * n) t->slots *= 2;
    t->slot = X_NEW(const struct shelf_row *, t->slots);
}

static const struct shelf_row **table_at(const struct by_name *t, const char *name) {
    size_t i = hash(name) & (t->slots - 1);
    while (t->slot[i] && strcmp(row_run(t->slot[i])->name, name) != 0) i = (i + 1) & (t->slots - 1);
    return &t->slot[i];
}

/* ---- the index file ---- */

struct rows {
    struct shelf_row **row;
    size_t n;
};

static void rows_add(struct rows *l, struct shelf_row *r) {
    if ((l->n & (l->n - 1)) == 0) l->row = X_GROW(l->row, struct shelf_row *, l->n ? 2 * l->n : 16);
    l->row[l->n++] = r;
}

static void rows_release(struct rows *l) {
    for (size_t i = 0; i < l->n; i++) row_unref(l->row[i]);
    free(l->row);
}

static void index_read(const char *dir, struct rows *out) {
    char *path = io_join(dir, ".index");
    struct buf b = BUF_INIT;
    uint32_t crc;
    bool ok = io_exists(path) && io_read_file(path, INDEX_MAX, &b, NULL) == 0 && b.len >= sizeof magic + 4 && memcmp(b.data, magic, sizeof magic) == 0;
    if (ok) {
        memcpy(&crc, b.data + b.len - 4, 4);
        ok = (uint32_t)crc32(0, (const unsigned char *)b.data, (unsigned)(b.len - 4)) == crc;
    }
    for (size_t at = sizeof magic; ok && b.len - 4 - at >= 4;) {
        uint32_t n;
        memcpy(&n, b.data + at, 4);
        at += 4;
        struct shelf_row *r = n <= b.len - 4 - at ? row_unpack(b.data + at, n) : NULL;
        if (!r) break;
        rows_add(out, r);
        at += n;
    }
    buf_release(&b);
    free(path);
}

/* A cache: renamed into place whole, but not waited for until the disk has it. */
static void index_write(const char *dir, const struct shelf *s) {
    struct buf b = BUF_INIT;
    buf_add(&b, magic, sizeof magic);
    for (size_t i = 0; i < s->n; i++) {
        const struct shelf_row *r = row_of(s->run[i]);
        if (!run_state_ended(s->run[i]->state)) continue;
        size_t at = b.len;
        buf_add(&b, "\0\0\0\0", 4);
        row_pack(r, &b);
        uint32_t n = (uint32_t)(b.len - at - 4);
        memcpy(b.data + at, &n, 4);
    }
    uint32_t crc = (uint32_t)crc32(0, (const unsigned char *)b.data, (unsigned)b.len);
    buf_add(&b, &crc, 4);
    char name[64], *path = io_join(dir, ".index"), *tmp;
    snprintf(name, sizeof name, ".index.%ld", (long)getpid());
    tmp = io_join(dir, name);
    int fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0666);
    bool ok = fd >= 0 && io_write_all(fd, b.data, b.len, tmp, NULL) == 0;
    if (fd >= 0) close(fd);
    if (!ok || rename(tmp, path) != 0) unlink(tmp);
    free(tmp);
    free(path);
    buf_release(&b);
}

/* ---- snapshots ---- */

static int oldest_first(const void *a, const void *b) {
    const struct shelf_run *x = *(const struct shelf_run *const *)a, *y = *(const struct shelf_run *const *)b;
    return x->created < y->created ? -1 : x->created > y->created ? 1 : strcmp(x->name, y->name);
}

/* Unchanged rows of `was`, else of the index, else from the files. */
static struct shelf *collect(const char *dir, const struct val *names, const struct shelf *was, const struct rows *kept) {
    struct shelf *s = X_NEW(struct shelf, 1);
    struct by_name t;
    size_t n = val_len(names);
    table_init(&t, (was ? was->n : 0) + kept->n);
    for (size_t i = 0; i < kept->n; i++) *table_at(&t, row_run(kept->row[i])->name) = kept->row[i];
    for (size_t i = 0; was && i < was->n; i++) *table_at(&t, was->run[i]->name) = row_of(was->run[i]);
    s->refs = 1;
    s->run = X_NEW(const struct shelf_run *, n ? n : 1);
    for (size_t i = 0; i < n; i++) {
        const char *name = val_at(names, i)->u.s.p;
        if (!store_name_ok(name)) continue;
        char *path = io_join(dir, name);
        const struct shelf_row *old = *table_at(&t, name);
        bool fresh = old && row_fresh(old, path);
        struct shelf_row *r = fresh ? row_ref(old) : row_read(path, name);
        if (!fresh && run_state_ended(row_run(r)->state)) s->read_anew++;
        s->run[s->n++] = row_run(r);
        free(path);
    }
    free(t.slot);
    if (s->n) qsort(s->run, s->n, sizeof *s->run, oldest_first);
    return s;
}

struct shelf *shelf_read(const char *dir, const struct shelf *was, struct err *e) {
    static atomic_uint_fast64_t versions;
    double t0 = clock_now();
    struct val *names = store_list(dir, e);
    if (!names) return NULL;
    struct rows kept = {NULL, 0};
    if (!was && dir) index_read(dir, &kept);
    struct shelf *s = collect(dir, names, was, &kept);
    s->version = atomic_fetch_add(&versions, 1) + 1;
    bool gone = !was && kept.n > s->n + 64; /* runs that were removed since */
    if (s->n >= INDEX_MIN && (s->read_anew || gone)) index_write(dir, s);
    s->seconds = clock_now() - t0;
    rows_release(&kept);
    val_free(names);
    return s;
}

struct shelf *shelf_ref(struct shelf *s) {
    if (s) atomic_fetch_add(&s->refs, 1);
    return s;
}

void shelf_unref(struct shelf *s) {
    if (!s || atomic_fetch_sub(&s->refs, 1) != 1) return;
    for (size_t i = 0; i < s->n; i++) row_unref(row_of(s->run[i]));
    free(s->run);
    free(s);
}

/* ---- questions ---- */

const struct shelf_run *shelf_find(const struct shelf *s, const char *name) {
    for (size_t i = s ? s->n : 0; i-- > 0;)
        if (strcmp(s->run[i]->name, name) == 0) return s->run[i];
    return NULL;
}

const struct shelf_value *shelf_value(const struct shelf_run *r, const char *name) {
    const struct shelf_value *last = NULL;
    size_t n = strlen(name);
    for (size_t i = 0; i < r->n_value; i++) {
        const struct shelf_value *v = &r->value[i];
        size_t len = strlen(v->name);
        if (strcmp(v->name, name) == 0) return v;
        if (len > n && v->name[len - n - 1] == '.' && strcmp(v->name + len - n, name) == 0) {
            if (last) return NULL;
            last = v;
        }
    }
    return last;
}

const struct metric_ends *shelf_metric(const struct shelf_run *r, const char *name) {
    for (size_t i = 0; i < r->n_metric; i++)
        if (strcmp(r->metric[i].name, name) == 0) return &r->metric[i];
    return NULL;
}

bool shelf_tagged(const struct shelf_run *r, const char *tag) {
    for (size_t i = 0; i < r->n_tag; i++)
        if (strcmp(r->tag[i], tag) == 0) return true;
    return false;
}

const struct shelf_run *shelf_baseline(const struct shelf *s) {
    for (size_t i = s ? s->n : 0; i-- > 0;)
        if (shelf_tagged(s->run[i], "baseline")) return s->run[i];
    return NULL;
}

double shelf_best(const struct metric_ends *m, int64_t *step) {
    int d = metric_direction(m->name);
    if (step) *step = d > 0 ? m->ends.hi_step : d < 0 ? m->ends.lo_step : m->ends.step;
    return d > 0 ? m->ends.hi : d < 0 ? m->ends.lo : m->ends.value;
}

/* ---- of this process ---- */

struct kept {
    pthread_mutex_t lock;
    struct shelf *shelf; /* the last snapshot, or NULL */
    shelf_where_fn *where; /* set before the first thread */
};

static void *kept_new(void) {
    struct kept *k = X_NEW(struct kept, 1);
    pthread_mutex_init(&k->lock, NULL);
    return k;
}

static void kept_free(void *p) {
    struct kept *k = p;
    shelf_unref(k->shelf);
    pthread_mutex_destroy(&k->lock);
    free(k);
}

static struct kept *kept_of(struct runs *rs) { return runs_kept(rs, kept_new, kept_free); }

struct shelf *runs_shelf_read(struct runs *rs, struct err *e) {
    struct kept *k = kept_of(rs);
    struct shelf *was = runs_shelf(rs), *now = shelf_read(runs_dir(rs), was, e);
    if (now) {
        pthread_mutex_lock(&k->lock);
        struct shelf *old = k->shelf;
        k->shelf = shelf_ref(now);
        pthread_mutex_unlock(&k->lock);
        shelf_unref(old);
    }
    shelf_unref(was);
    return now;
}

struct shelf *runs_shelf(struct runs *rs) {
    struct kept *k = kept_of(rs);
    pthread_mutex_lock(&k->lock);
    struct shelf *s = shelf_ref(k->shelf);
    pthread_mutex_unlock(&k->lock);
    return s;
}

void runs_set_where(struct runs *rs, shelf_where_fn *fn) { kept_of(rs)->where = fn; }

int runs_where(struct runs *rs, const char *text, const struct shelf *s, bool *keep, struct err *e) {
    struct kept *k = kept_of(rs);
    return k->where ? k->where(text, s, keep, e) : err_set(e, "predicates need Lua, which is not here");
}
