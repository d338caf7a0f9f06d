/* History on disk. Newlines of a block are written as \n and backslashes doubled, so that an entry is a line. */
#include "config.h"

#include "src/prompt/history.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "src/base/buf.h"
#include "src/base/io.h"
#include "src/base/mem.h"
#include "src/base/utf8.h"

#define TAIL_MAX (4 << 20) /* bytes of the file that are read */

char *history_path(const char *folder) {
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    char hex[65], name[64], *base = state && *state ? mem_str(state) : home && *home ? io_join(home, ".local/state") : NULL;
    if (!base) return NULL;
    io_sha256(folder, strlen(folder), hex);
    snprintf(name, sizeof name, "hone/history-%.16s", hex);
    char *path = io_join(base, name);
    free(base);
    return path;
}

static int open_locked(const char *path, int flags, int lock, struct err *e) {
    int fd = open(path, flags | O_CLOEXEC | O_NOFOLLOW, 0600);
    struct stat st;
    if (fd < 0) return err_sys(e, "open", path);
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        close(fd);
        return err_set(e, "the history file %s is not a plain file", path);
    }
    while (flock(fd, lock) != 0 && errno == EINTR) {}
    return fd;
}

static bool harmless(const char *s) { return *s && utf8_harmless(s, "\n\t"); }

/* In place: \n and \\ back to what they mean. */
static void unescape(char *s) {
    char *o = s;
    for (; *s; s++) {
        if (*s == '\\' && s[1] == 'n') *o++ = '\n', s++;
        else if (*s == '\\' && s[1] == '\\') *o++ = '\\', s++;
        else *o++ = *s;
    }
    *o = '\0';
}

struct line {
    char *text;
    size_t i;
};
static int by_text(const void *a, const void *b) {
    const struct line *x = a, *y = b;
    int c = strcmp(x->text, y->text);
    return c ? c : (x->i > y->i) - (x->i < y->i);
}
static int by_place(const void *a, const void *b) {
    const struct line *x = a, *y = b;
    return (x->i > y->i) - (x->i < y->i);
}

/* Keeps the last of equal entries, in their order; how many. */
static size_t unique(struct line *v, size_t n) {
    size_t k = 0;
    if (n) qsort(v, n, sizeof *v, by_text);
    for (size_t i = 0; i < n; i++)
        if (i + 1 == n || strcmp(v[i].text, v[i + 1].text) != 0) v[k++] = v[i];
    if (k) qsort(v, k, sizeof *v, by_place);
    return k;
}

int history_load(const char *path, size_t max, void (*fn)(void *ctx, const char *entry), void *ctx, struct err *e) {
    struct stat st;
    if (!io_exists(path)) return 0;
    int fd = open_locked(path, O_RDONLY, LOCK_SH, e);
    if (fd < 0) return -1;
    off_t from = fstat(fd, &st) == 0 && st.st_size > TAIL_MAX ? st.st_size - TAIL_MAX : 0;
    size_t size = (size_t)(st.st_size - from), got = 0, n = 0, cap = 0;
    char *text = mem_new(size + 1, 1), *p = text, *end;
    for (ssize_t r; got < size && (r = pread(fd, text + got, size - got, from + (off_t)got)) > 0;) got += (size_t)r;
    close(fd);
    text[got] = '\0';
    if (from && (end = strchr(p, '\n'))) p = end + 1;
    struct line *v = NULL;
    for (; (end = strchr(p, '\n')); p = end + 1) { /* a last line without its end was cut by a crash of the machine */
        *end = '\0';
        unescape(p);
        if (!harmless(p)) continue;
        v = X_ROOM(v, struct line, n, &cap);
        v[n].text = p;
        v[n].i = n;
        n++;
    }
    n = unique(v, n);
    for (size_t i = n > max ? n - max : 0; i < n; i++) fn(ctx, v[i].text);
    free(v);
    free(text);
    return 0;
}

int history_append(const char *path, const char *entry, struct err *e) {
    struct buf b = BUF_INIT;
    char *copy = mem_str(path);
    int rc = io_mkdirs(dirname(copy), 0700, e), fd = rc == 0 ? open_locked(path, O_RDWR | O_CREAT | O_APPEND, LOCK_EX, e) : -1;
    free(copy);
    if (fd < 0) return -1;
    struct stat st;
    char last = '\n';
    if (fstat(fd, &st) == 0 && st.st_size > 0 && pread(fd, &last, 1, st.st_size - 1) == 1 && last != '\n') buf_addc(&b, '\n');
    for (; *entry; entry++) {
        if (*entry == '\n') buf_adds(&b, "\\n");
        else if (*entry == '\\') buf_adds(&b, "\\\\");
        else buf_addc(&b, *entry);
    }
    buf_addc(&b, '\n');
    rc = io_write_all(fd, b.data, b.len, path, e);
    close(fd);
    buf_release(&b);
    return rc;
}
