/* Files: whole reads, durable writes, folders, hashes, fault points. Streams of packed files are in io_stream.c. Any thread. */
#include "config.h"

#include "src/base/io.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "src/base/mem.h"
#include "src/base/sha256.h"

/* ---- fault points ---- */

struct fault {
    char *point;
    long hit; /* 1: the first pass */
    int error; /* errno, or 0: kill */
    _Atomic long seen;
};
static struct fault *fault; /* set once; NULL: none */
static pthread_once_t fault_once = PTHREAD_ONCE_INIT;

static const struct {
    const char *name;
    int value;
} fault_errors[] = {{"EIO", EIO}, {"ENOSPC", ENOSPC}, {"EDQUOT", EDQUOT}, {"EACCES", EACCES}, {"EROFS", EROFS}, {"EINTR", EINTR}, {"EMFILE", EMFILE},
    {"ENOMEM", ENOMEM}, {"EFBIG", EFBIG}, {"ESTALE", ESTALE}, {"ENOENT", ENOENT}, {"EPIPE", EPIPE}, {"EAGAIN", EAGAIN}};

static void fault_read(void) {
    static struct fault f;
    const char *env = getenv("HONE_FAULT"), *a = env ? strchr(env, ':') : NULL, *b = a ? strchr(a + 1, ':') : NULL;
    if (!b) return;
    f.point = mem_strn(env, (size_t)(a - env));
    f.hit = strtol(a + 1, NULL, 10);
    f.error = EIO;
    if (strcmp(b + 1, "kill") == 0) f.error = 0;
    for (size_t i = 0; i < LEN(fault_errors); i++)
        if (strcmp(b + 1, fault_errors[i].name) == 0) f.error = fault_errors[i].value;
    fault = &f;
}

int io_fault(const char *point) {
    pthread_once(&fault_once, fault_read);
    if (!fault) return 0;
    if (strcmp(point, fault->point) != 0 || atomic_fetch_add(&fault->seen, 1) + 1 != fault->hit) return 0;
    if (fault->error == 0) raise(SIGKILL);
    errno = fault->error;
    return -1;
}

/* ---- reading ---- */

/* Opens a regular file for reading and nothing else: a FIFO or a terminal could block for ever. */
int io_open_file(const char *path, int64_t *size, struct err *e) {
    struct stat st;
    int fd = io_fault("read.open") == 0 ? open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY) : -1;
    if (fd < 0) return err_sys(e, "read", path);
    const char *what = NULL;
    if (fstat(fd, &st) != 0) {
        err_sys(e, "read", path);
        close(fd);
        return -1;
    }
    if (S_ISDIR(st.st_mode)) what = "a folder";
    else if (S_ISFIFO(st.st_mode)) what = "a FIFO";
    else if (!S_ISREG(st.st_mode)) what = "a device";
    if (what) {
        close(fd);
        return err_set(e, "cannot read %s: it is %s, not a file", path, what);
    }
    if (size) *size = st.st_size;
    return fd;
}

static ssize_t read_some(int fd, void *p, size_t n) {
    ssize_t got;
    do got = io_fault("read.read") == 0 ? read(fd, p, n) : -1;
    while (got < 0 && errno == EINTR);
    return got;
}

int io_read_file(const char *path, size_t max, struct buf *out, struct err *e) {
    int64_t size;
    size_t start = out->len, got = 0;
    int fd = io_open_file(path, &size, e);
    if (fd < 0) return -1;
    if ((uint64_t)size <= max) buf_reserve(out, (size_t)size + 1);
    for (;;) {
        if ((uint64_t)size > max || got > max) {
            double is = (double)((uint64_t)size > got ? (uint64_t)size : got) / (1 << 20);
            err_set(e, "%s is too large: %.3f MiB, and at most %.3f MiB are read", path, is, (double)max / (1 << 20));
            break;
        }
        buf_reserve(out, 1);
        size_t room = out->cap - out->len - 1;
        if (room < 2) {
            buf_reserve(out, 65536);
            room = out->cap - out->len - 1;
        }
        if (room > max - got + 1) room = max - got + 1; /* one more than allowed tells that it grew */
        ssize_t n = read_some(fd, out->data + out->len, room);
        if (n < 0) {
            err_sys(e, "read", path);
            break;
        }
        if (n == 0) {
            close(fd);
            buf_add(out, "", 0);
            return 0;
        }
        out->len += (size_t)n;
        got += (size_t)n;
    }
    close(fd);
    out->len = start;
    buf_add(out, "", 0);
    return -1;
}

/* ---- writing ---- */

int io_write_all(int fd, const void *data, size_t n, const char *path, struct err *e) {
    const char *p = data;
    while (n) {
        ssize_t w = io_fault("write.write") == 0 ? write(fd, p, n < (1u << 30) ? n : 1u << 30) : -1;
        if (w < 0 && errno == EINTR) continue;
        if (w < 0) return err_sys(e, "write", path);
        p += w, n -= (size_t)w;
    }
    return 0;
}

static int sync_parent(const char *path, struct err *e) {
    char *dir = io_parent(path);
    int rc = io_sync_dir(dir, e);
    free(dir);
    return rc;
}

int io_sync_dir(const char *path, struct err *e) {
    int fd = io_fault("write.sync_dir") == 0 ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (fd < 0) return err_sys(e, "sync the folder", path);
    int rc = fsync(fd);
    if (rc != 0 && (errno == EINVAL || errno == EROFS)) rc = 0; /* a file system that has nothing to sync */
    if (rc != 0) err_sys(e, "sync the folder", path);
    close(fd);
    return rc;
}

int io_write_file(const char *path, const void *data, size_t n, struct err *e) {
    static _Atomic unsigned count; /* two threads may write the same path */
    struct buf tmp = BUF_INIT;
    bool made = false;
    int rc = -1, fd;
    buf_addf(&tmp, "%s.tmp-%ld-%u", path, (long)getpid(), atomic_fetch_add(&count, 1));
    fd = io_fault("write.open") == 0 ? open(tmp.data, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0666) : -1;
    if (fd < 0) {
        err_sys(e, "write", path);
        goto out;
    }
    made = true;
    if (io_write_all(fd, data, n, path, e) != 0) goto out;
    if (io_fault("write.sync") != 0 || fsync(fd) != 0) {
        err_sys(e, "sync", path);
        goto out;
    }
    int closed = close(fd);
    fd = -1;
    if (closed != 0 || io_fault("write.rename") != 0 || rename(tmp.data, path) != 0) {
        err_sys(e, "write", path);
        goto out;
    }
    made = false;
    rc = sync_parent(path, e);
out:
    if (fd >= 0) close(fd);
    if (made) unlink(tmp.data);
    buf_release(&tmp);
    return rc;
}

int io_mkdirs(const char *path, unsigned mode, struct err *e) {
    char *p = mem_str(path);
    int rc = 0;
    for (char *s = p + 1; rc == 0 && *p; s++) {
        if (*s != '/' && *s != '\0') continue;
        char keep = *s;
        *s = '\0';
        if (mkdir(p, (mode_t)mode) != 0 && !io_is_dir(p)) {
            if (errno == EEXIST) errno = ENOTDIR;
            rc = err_sys(e, "make the folder", p);
        }
        *s = keep;
        if (!keep) break;
    }
    free(p);
    return rc;
}

static int remove_at(int at, const char *name, const char *path, int depth, struct err *e) {
    if (unlinkat(at, name, 0) == 0) return 0;
    if (errno != EISDIR && errno != EPERM) return err_sys(e, "remove", path);
    if (depth > 64) return err_set(e, "cannot remove %s: its folders are nested deeper than 64", path);
    int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), rc = 0;
    DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
    if (!d) {
        err_sys(e, "remove", path);
        if (fd >= 0) close(fd);
        return -1;
    }
    for (struct dirent *de; rc == 0 && (de = readdir(d));)
        if (strcmp(de->d_name, ".") != 0 && strcmp(de->d_name, "..") != 0) rc = remove_at(fd, de->d_name, path, depth + 1, e);
    closedir(d);
    if (rc == 0 && unlinkat(at, name, AT_REMOVEDIR) != 0) rc = err_sys(e, "remove", path);
    return rc;
}

int io_remove_tree(const char *path, struct err *e) { return remove_at(AT_FDCWD, path, path, 0, e); }

/* ---- names ---- */

bool io_exists(const char *path) { return access(path, F_OK) == 0; }

bool io_is_empty_dir(const char *path) {
    DIR *d = opendir(path);
    bool empty = d != NULL;
    for (struct dirent *f; d && (f = readdir(d));) empty = empty && (strcmp(f->d_name, ".") == 0 || strcmp(f->d_name, "..") == 0);
    if (d) closedir(d);
    return empty;
}

bool io_is_dir(const char *path) {
    struct stat st;
    int saved = errno;
    bool yes = stat(path, &st) == 0 && S_ISDIR(st.st_mode);
    errno = saved;
    return yes;
}

char *io_join(const char *dir, const char *name) {
    struct buf b = BUF_INIT;
    size_t n = strlen(dir);
    buf_add(&b, dir, n);
    if (n && dir[n - 1] != '/') buf_addc(&b, '/');
    buf_adds(&b, name);
    return buf_take(&b);
}

char *io_config_path(const char *name) {
    const char *xdg = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
    char *dir = xdg && *xdg == '/' ? io_join(xdg, "hone") : home && *home == '/' ? io_join(home, ".config/hone") : NULL;
    char *path = dir ? io_join(dir, name) : NULL;
    free(dir);
    return path;
}

char *io_parent(const char *path) {
    const char *slash = strrchr(path, '/');
    return !slash ? mem_str(".") : slash == path ? mem_str("/") : mem_strn(path, (size_t)(slash - path));
}

char *io_exe_dir(void) {
    char path[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);
    if (n <= 0) return mem_str(".");
    path[n] = '\0';
    char *slash = strrchr(path, '/');
    if (slash) slash[slash == path] = '\0';
    return mem_str(path);
}

/* ---- hashes ---- */

void io_sha256(const void *data, size_t n, char hex[65]) {
    struct sha256 h;
    sha256_init(&h);
    sha256_add(&h, data, n);
    sha256_hex(&h, hex);
}

int io_sha256_file(const char *path, char hex[65], int64_t *bytes, struct err *e) {
    enum { PIECE = 65536 };
    struct sha256 h;
    ssize_t n;
    int fd = io_open_file(path, NULL, e);
    if (fd < 0) return -1;
    char *piece = mem_new(PIECE, 1);
    sha256_init(&h);
    while ((n = read_some(fd, piece, PIECE)) > 0) sha256_add(&h, piece, (size_t)n);
    if (n < 0) err_sys(e, "read", path);
    close(fd);
    free(piece);
    if (n < 0) return -1;
    if (bytes) *bytes = (int64_t)h.bytes;
    sha256_hex(&h, hex);
    return 0;
}
