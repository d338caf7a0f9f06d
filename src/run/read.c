/* Reading run folders back: points, description, liveness. Every size is bounded by the remaining file before it is trusted;
 * a torn or damaged record ends the reading there and is said. Any thread; no locks. */
#include "config.h"

#include "src/run/store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "src/base/io.h"
#include "src/base/json.h"
#include "src/base/mem.h"
#include "src/run/points.h"

enum { META_MAX = 16 << 20 };

/* The record at offset; *len: its payload. 1, 0 (not whole), -1 (read error). */
static int record_at(int fd, int64_t at, int64_t size, unsigned char **buf, size_t *cap, uint32_t *len) {
    uint32_t head[2], tail;
    if (size - at < 12 || pread(fd, head, 8, at) != 8) return 0;
    *len = head[0];
    if (*len > POINTS_MAX || (int64_t)*len > size - at - 12) return 0;
    if (*len > *cap) {
        *cap = *len;
        *buf = X_GROW(*buf, unsigned char, *cap);
    }
    if (pread(fd, *buf, *len, at + 8) != (ssize_t)*len || pread(fd, &tail, 4, at + 8 + *len) != 4) return -1;
    return tail == *len && crc32(0, *buf, *len) == head[1];
}

static int points_open(const char *path, int64_t *size, struct err *e) {
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
    struct stat st;
    if (fd < 0) return errno == ENOENT ? -2 : err_sys(e, "open", path);
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        close(fd);
        return err_set(e, "%s is not a plain file, so it holds no metrics", path);
    }
    *size = st.st_size;
    return fd;
}

int store_points_from(const char *path, int64_t from, bool (*fn)(void *ctx, const struct point *p), void *ctx, int64_t *cut, struct err *e) {
    int64_t size = 0, at = from;
    int fd = points_open(path, &size, e);
    if (cut) *cut = 0;
    if (fd == -2) return 0;
    if (fd < 0) return -1;
    unsigned char *buf = NULL;
    size_t cap = 0;
    uint32_t len = 0;
    int rc = 1;
    while (at < size && (rc = record_at(fd, at, size, &buf, &cap, &len)) == 1) {
        int more = points_each(buf, len, fn, ctx);
        if (more < 0) break;
        at += (int64_t)len + 12;
        if (more == 0) {
            at = size;
            break;
        }
    }
    if (cut) *cut = size - at;
    free(buf);
    close(fd);
    return rc < 0 ? err_set(e, "cannot read %s at byte %lld: %s", path, (long long)at, strerror(errno)) : 0;
}

int store_points(const char *path, bool (*fn)(void *ctx, const struct point *p), void *ctx, int64_t *cut, struct err *e) {
    return store_points_from(path, 0, fn, ctx, cut, e);
}

bool store_record(const char *path, int64_t end, uint32_t len_crc[2]) {
    int64_t size = 0;
    uint32_t back = 0;
    int fd = points_open(path, &size, NULL);
    if (fd < 0) return false;
    bool ok = end >= 12 && end <= size && pread(fd, &back, 4, end - 4) == 4 && (int64_t)back <= end - 12 && pread(fd, len_crc, 8, end - 12 - back) == 8 &&
              len_crc[0] == back;
    close(fd);
    return ok;
}

int store_tail(const char *path, bool (*fn)(void *ctx, const struct point *p), void *ctx, struct err *e) {
    int64_t size = 0, cut = 0;
    int fd = points_open(path, &size, e);
    if (fd == -2) return 0;
    if (fd < 0) return -1;
    unsigned char *buf = NULL;
    size_t cap = 0;
    uint32_t len = 0, back = 0;
    bool done = size >= 12 && pread(fd, &back, 4, size - 4) == 4 && (int64_t)back <= size - 12 &&
                record_at(fd, size - 12 - back, size, &buf, &cap, &len) == 1 && len == back && points_each(buf, len, fn, ctx) >= 0;
    free(buf);
    close(fd);
    return done || !size ? 0 : store_points(path, fn, ctx, &cut, e); /* torn end: from the start */
}

bool store_name_ok(const char *name) {
    size_t n = strlen(name);
    for (size_t i = 0; i < n; i++)
        if (name[i] == '/' || (unsigned char)name[i] < 0x20 || name[i] == 0x7f) return false;
    return n > 0 && n < 64 && name[0] != '.' && name[0] != '-';
}

bool store_alive(const char *dir) {
    char *path = io_join(dir, "lock");
    int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    free(path);
    if (fd < 0) return false;
    bool held = flock(fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    close(fd);
    return held;
}

int store_own(const char *dir) {
    char *path = io_join(dir, "lock");
    int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    free(path);
    if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) != 0) close(fd), fd = -1;
    return fd;
}

struct latest {
    int64_t step;
    double epoch, t;
    struct val *metrics;
};
static bool see_latest(void *ctx, const struct point *p) {
    struct latest *l = ctx;
    if (p->step >= l->step) l->step = p->step, l->epoch = p->epoch;
    if (p->t > l->t) l->t = p->t;
    for (size_t i = 0; i < p->n; i++) val_set_num(l->metrics, p->names[i], p->values[i]);
    return true;
}

struct val *store_read_meta(const char *dir, struct err *e) {
    char *path = io_join(dir, "run.json");
    struct val *v = json_read_file(path, META_MAX, e);
    if (v && v->type != VAL_TABLE) {
        err_set(e, "%s is no description of a run: it holds a %s where an object belongs", path, val_type_name(v));
        val_free(v);
        v = NULL;
    }
    free(path);
    return v;
}

struct val *store_describe(const char *dir, struct err *e) {
    struct val *v = store_read_meta(dir, e);
    char *path;
    if (!v) return NULL;
    bool ended = run_state_ended(run_state_named(val_get_str(v, "state", "crashed"), RUN_QUEUED));
    if (!ended && !store_alive(dir)) val_set_str(v, "state", "crashed");
    const struct val *known = val_get(v, "metrics");
    struct latest l = {.t = val_get_num(v, "seconds", 0),
        .step = val_get_int(v, "step", 0),
        .epoch = val_get_num(v, "epoch", 0),
        .metrics = known && known->type == VAL_TABLE ? val_copy(known) : val_table()};
    if (!ended) { /* newer than run.json */
        path = io_join(dir, "metrics.bin");
        store_tail(path, see_latest, &l, NULL);
        free(path);
    }
    val_set_int(v, "step", l.step);
    val_set_num(v, "epoch", l.epoch);
    val_set_num(v, "seconds", l.t);
    val_set(v, "metrics", l.metrics);
    return v;
}

struct entry {
    char *name;
    double created;
};
static int entry_order(const void *a, const void *b) {
    const struct entry *x = a, *y = b;
    return x->created < y->created ? -1 : x->created > y->created ? 1 : strcmp(x->name, y->name);
}

struct val *store_list(const char *dir, struct err *e) {
    struct val *list = val_list();
    DIR *d = dir ? opendir(dir) : NULL;
    if (!d) {
        if (!dir || errno == ENOENT) return list;
        err_sys(e, "read", dir);
        val_free(list);
        return NULL;
    }
    struct entry *entry = NULL;
    size_t n = 0, cap = 0;
    for (struct dirent *de; (de = readdir(d));) {
        struct stat st;
        if (de->d_name[0] == '.') continue;
        char *sub = io_join(dir, de->d_name), *lock = io_join(sub, "lock");
        bool is_run = stat(lock, &st) == 0; /* made with the folder, touched by nobody after */
        free(lock);
        free(sub);
        if (!is_run) continue;
        entry = X_ROOM(entry, struct entry, n, &cap);
        entry[n++] = (struct entry){mem_str(de->d_name), (double)st.st_mtim.tv_sec + 1e-9 * (double)st.st_mtim.tv_nsec};
    }
    closedir(d);
    if (n) qsort(entry, n, sizeof *entry, entry_order);
    for (size_t i = 0; i < n; i++) {
        val_push(list, val_str(entry[i].name));
        free(entry[i].name);
    }
    free(entry);
    return list;
}
