/* series.bin: a head, a table of metrics with their last values and extremes, then the packed pyramids. Everything is checked before it is
 * believed: sizes by the file, the table and each pyramid by a CRC, the whole by the record of metrics.bin where it ended. */
#include "config.h"

#include "src/run/pyramid.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "src/base/io.h"
#include "src/base/mem.h"
#include "src/run/store.h"

/* Bytes of metrics.bin that series.bin does not cover: from WORTH on a reader brings series.bin up to date; from READ_ALL on also one that wants a single
 * metric reads all of them for that. */
enum { WORTH = 32 << 10, READ_ALL = 128 << 10 };

static const char magic[8] = "HONESER2";
struct head {
    char magic[8];
    int64_t covered;
    uint32_t record[2]; /* length and CRC of the last record covered */
    uint32_t n, crc; /* entries; of the table */
};
struct entry {
    char name[32];
    struct series_ends ends;
    uint64_t at; /* byte of its pyramid */
    uint32_t bytes, crc;
};

/* ---- writing ---- */

void pyramid_pack(struct buf *out, struct series *const *series, int n, int64_t covered, const uint32_t len_crc[2]) {
    struct head h = {.covered = covered, .record = {len_crc[0], len_crc[1]}, .n = (uint32_t)n};
    struct entry *table = X_NEW(struct entry, n ? (size_t)n : 1);
    struct buf body = BUF_INIT;
    uint64_t at = sizeof h + (size_t)n * sizeof *table;
    memcpy(h.magic, magic, sizeof magic);
    for (int i = 0; i < n; i++) {
        size_t before = body.len;
        series_pack(series[i], &body);
        memcpy(table[i].name, series_name(series[i]), strlen(series_name(series[i])) + 1);
        series_ends(series[i], &table[i].ends);
        table[i].at = at + before;
        table[i].bytes = (uint32_t)(body.len - before);
        table[i].crc = (uint32_t)crc32(0, (const unsigned char *)body.data + before, (unsigned)(body.len - before));
    }
    h.crc = (uint32_t)crc32(0, (const unsigned char *)table, (unsigned)((size_t)n * sizeof *table));
    buf_add(out, &h, sizeof h);
    buf_add(out, table, (size_t)n * sizeof *table);
    if (body.len) buf_add(out, body.data, body.len);
    buf_release(&body);
    free(table);
}

int pyramid_save(const char *dir, const struct buf *packed, struct err *e) {
    char *path = io_join(dir, "series.bin");
    int rc = io_write_file(path, packed->data, packed->len, e);
    free(path);
    return rc;
}

/* ---- reading ---- */

struct file { /* an open series.bin that fits its metrics.bin */
    int fd;
    int64_t size;
    struct head head;
    struct entry *entry;
};

static void file_close(struct file *f) {
    if (f->fd >= 0) close(f->fd);
    free(f->entry);
}

/* False: there is none, or it does not fit. */
static bool file_open(const char *dir, struct file *f) {
    char *path = io_join(dir, "series.bin"), *points = io_join(dir, "metrics.bin");
    struct stat st;
    uint32_t record[2];
    *f = (struct file){.fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW)};
    bool ok = f->fd >= 0 && fstat(f->fd, &st) == 0 && S_ISREG(st.st_mode) && pread(f->fd, &f->head, sizeof f->head, 0) == (ssize_t)sizeof f->head &&
              memcmp(f->head.magic, magic, sizeof magic) == 0 && f->head.n <= RUN_MAX_METRICS;
    if (ok) {
        size_t bytes = f->head.n * sizeof *f->entry;
        f->size = st.st_size;
        f->entry = X_NEW(struct entry, f->head.n ? f->head.n : 1);
        ok = pread(f->fd, f->entry, bytes, sizeof f->head) == (ssize_t)bytes &&
             (uint32_t)crc32(0, (const unsigned char *)f->entry, (unsigned)bytes) == f->head.crc;
    }
    for (uint32_t i = 0; ok && i < f->head.n; i++) {
        const struct entry *en = &f->entry[i];
        ok = memchr(en->name, 0, sizeof en->name) && en->at <= (uint64_t)f->size && en->bytes <= (uint64_t)f->size - en->at;
    }
    ok = ok && store_record(points, f->head.covered, record) && memcmp(record, f->head.record, sizeof record) == 0;
    if (!ok) file_close(f);
    free(path);
    free(points);
    return ok;
}

static struct series *entry_read(const struct file *f, const struct entry *en) {
    void *p = en->bytes <= 64 << 10 ? malloc(en->bytes ? en->bytes : 1) : NULL;
    struct series *s = NULL;
    if (p && pread(f->fd, p, en->bytes, (off_t)en->at) == (ssize_t)en->bytes && (uint32_t)crc32(0, p, en->bytes) == en->crc)
        s = series_unpack(en->name, p, en->bytes);
    free(p);
    return s;
}

struct adding {
    struct pyramid *p;
    const char *only;
};

static bool add_point(void *ctx, const struct point *pt) {
    struct adding *a = ctx;
    struct pyramid *p = a->p;
    for (size_t i = 0; i < pt->n; i++) {
        const char *name = pt->names[i];
        if (a->only && strcmp(name, a->only) != 0) continue;
        int k = i < (size_t)p->n && strcmp(series_name(p->series[i]), name) == 0 ? (int)i : 0;
        while (k < p->n && strcmp(series_name(p->series[k]), name) != 0) k++;
        if (k == RUN_MAX_METRICS) continue;
        if (k == p->n) p->series[p->n++] = series_new(name);
        series_add(p->series[k], pt->step, pt->values[i]);
    }
    return true;
}

/* What series.bin has; how many bytes of metrics.bin that covers. */
static int64_t begin(const char *dir, const char *only, struct pyramid *out) {
    struct file f;
    bool ok = file_open(dir, &f);
    if (!ok) return 0;
    for (uint32_t i = 0; ok && i < f.head.n; i++) {
        if (only && strcmp(only, f.entry[i].name) != 0) continue;
        struct series *s = entry_read(&f, &f.entry[i]);
        ok = s != NULL;
        if (s) out->series[out->n++] = s;
    }
    int64_t covered = ok ? f.head.covered : 0;
    file_close(&f);
    if (!ok) pyramid_release(out);
    return covered;
}

static int64_t bytes_of(const char *path) {
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode) ? st.st_size : 0;
}

int pyramid_read(const char *dir, const char *only, struct pyramid *out, struct err *e) {
    *out = (struct pyramid){.n = 0};
    char *path = io_join(dir, "metrics.bin");
    int64_t covered = begin(dir, only, out), size = bytes_of(path), cut = 0;
    if (only && size - covered > READ_ALL) {
        pyramid_release(out);
        covered = begin(dir, only = NULL, out);
    }
    struct adding a = {out, only};
    int rc = size > covered ? store_points_from(path, covered, add_point, &a, &cut, e) : 0;
    uint32_t record[2];
    int64_t end = bytes_of(path) - cut;
    if (rc == 0 && !only && size - covered > WORTH && store_record(path, end, record)) {
        struct buf b = BUF_INIT;
        pyramid_pack(&b, out->series, out->n, end, record);
        pyramid_save(dir, &b, NULL); /* where nothing can be written the next reader takes as long */
        buf_release(&b);
    }
    free(path);
    if (rc != 0) pyramid_release(out);
    return rc;
}

void pyramid_release(struct pyramid *p) {
    for (int i = 0; i < p->n; i++) series_free(p->series[i]);
    p->n = 0;
}

struct series *pyramid_find(const struct pyramid *p, const char *name) {
    for (int i = 0; i < p->n; i++)
        if (strcmp(series_name(p->series[i]), name) == 0) return p->series[i];
    return NULL;
}

size_t stored_series(const char *runs_folder, const char *run, const char *metric, struct bucket *out, size_t n, int *k) {
    struct pyramid p;
    if (!runs_folder || !store_name_ok(run)) return 0;
    char *dir = io_join(runs_folder, run);
    size_t got = 0;
    if (pyramid_read(dir, metric, &p, NULL) == 0) {
        struct series *s = pyramid_find(&p, metric);
        if (s) got = series_read(s, out, n, k);
        pyramid_release(&p);
    }
    free(dir);
    return got;
}

int pyramid_ends(const char *dir, struct metric_ends *out, int max, struct err *e) {
    char *path = io_join(dir, "metrics.bin");
    struct file f;
    struct pyramid p;
    int n = 0;
    bool there = file_open(dir, &f), whole = there && f.head.covered == bytes_of(path);
    for (uint32_t i = 0; whole && i < f.head.n && n < max; i++, n++) {
        memcpy(out[n].name, f.entry[i].name, sizeof out[n].name);
        out[n].ends = f.entry[i].ends;
    }
    if (there) file_close(&f);
    free(path);
    if (whole) return n;
    if (pyramid_read(dir, NULL, &p, e) != 0) return -1;
    for (; n < p.n && n < max; n++) {
        memcpy(out[n].name, series_name(p.series[n]), strlen(series_name(p.series[n])) + 1);
        series_ends(p.series[n], &out[n].ends);
    }
    pyramid_release(&p);
    return n;
}
