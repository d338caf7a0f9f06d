/* about.json: read, changed under a lock of the folder's own file, replaced durably. Any thread but UI. */
#include "config.h"

#include "src/stored/about.h"

#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "src/base/io.h"
#include "src/base/json.h"

enum { ABOUT_MAX = 4 << 20, TAGS_MAX = 256 };

struct val *about_read(const char *dir) {
    char *path = io_join(dir, "about.json");
    struct val *v = io_exists(path) ? json_read_file(path, ABOUT_MAX, NULL) : NULL;
    free(path);
    if (v && v->type == VAL_TABLE) return v;
    val_free(v);
    return val_table();
}

bool about_tag_ok(const char *tag) {
    size_t n = strlen(tag);
    if (n == 0 || n > 40 || (tag[0] >= '0' && tag[0] <= '9')) return false;
    return strspn(tag, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") == n;
}

static struct val *list_of(struct val *about, const char *name) {
    struct val *l = val_get(about, name);
    if (l && l->type == VAL_TABLE) return l;
    val_set(about, name, l = val_list());
    return l;
}

static void tag_set(struct val *about, const char *tag, bool on) {
    struct val *was = list_of(about, "tags"), *now = val_list();
    for (size_t i = 0; i < val_len(was); i++) {
        const struct val *t = val_at(was, i);
        if (t->type == VAL_STR && strcmp(t->u.s.p, tag) != 0 && val_len(now) < TAGS_MAX) val_push(now, val_str(t->u.s.p));
    }
    if (on) val_push(now, val_str(tag));
    val_set(about, "tags", now);
}

/* Two who tag at once wait for each other; the lock is the folder's. */
static int change(const char *dir, const char *tag, bool on, const char *note, struct err *e) {
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return err_sys(e, "open", dir);
    flock(fd, LOCK_EX);
    struct val *about = about_read(dir);
    struct buf b = BUF_INIT;
    if (tag) tag_set(about, tag, on);
    if (note) {
        struct timespec ts;
        struct val *n = val_table();
        clock_gettime(CLOCK_REALTIME, &ts);
        val_set_num(n, "time", floor((double)ts.tv_sec * 1000 + (double)ts.tv_nsec * 1e-6) / 1000);
        val_set_str(n, "text", note);
        val_push(list_of(about, "notes"), n);
    }
    json_write_pretty(&b, about);
    char *path = io_join(dir, "about.json");
    int rc = io_write_file(path, b.data, b.len, e);
    free(path);
    buf_release(&b);
    val_free(about);
    close(fd);
    return rc;
}

int about_tag(const char *dir, const char *tag, bool on, struct err *e) { return change(dir, tag, on, NULL, e); }
int about_note(const char *dir, const char *text, struct err *e) { return change(dir, NULL, false, text, e); }
