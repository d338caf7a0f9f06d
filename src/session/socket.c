/* The session's directory, lock and socket. Connecting and listening go through /proc/self/fd/DIR/ID.sock: the directory was
 * checked on its open descriptor, and no path is too long for sockaddr_un. */
#include "config.h"

#include "src/session/socket.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "src/base/io.h"

static int check_parent(const char *path, struct err *e) {
    char parent[512];
    struct stat s;
    snprintf(parent, sizeof parent, "%s", path);
    char *slash = strrchr(parent, '/');
    if (!slash) snprintf(parent, sizeof parent, ".");
    else if (slash == parent) parent[1] = 0;
    else *slash = 0;
    if (stat(parent, &s)) return err_sys(e, "look at", parent);
    if ((s.st_mode & 022) && !(s.st_mode & S_ISVTX))
        return err_set(e,
            "the folder %s is writable by others without the sticky bit, so sockets in it could be replaced; "
            "set HONE_SOCKET_DIR to a folder of yours",
            parent);
    return 0;
}

static int check_dir(const char *path, int fd, struct err *e) {
    struct stat s;
    if (fstat(fd, &s)) return err_sys(e, "look at", path);
    if (s.st_uid != geteuid())
        return err_set(e, "the socket folder %s belongs to user %u, not to you; set HONE_SOCKET_DIR to a folder of yours", path, (unsigned)s.st_uid);
    if (s.st_mode & 077)
        return err_set(e, "the socket folder %s has mode %04o, so others could enter it; run chmod 700 %s", path, (unsigned)s.st_mode & 07777, path);
    return 0;
}

static void name_folder(struct place *p) {
    char hex[65];
    io_sha256(p->folder, strlen(p->folder), hex);
    memcpy(p->id, hex, 16);
    p->id[16] = 0;
}

int place_open(struct place *p, const char *folder, bool make, struct err *e) {
    memset(p, 0, sizeof *p);
    p->dir = -1;
    const char *env = getenv("HONE_SOCKET_DIR");
    int n = env && *env ? snprintf(p->path, sizeof p->path, "%s", env) : snprintf(p->path, sizeof p->path, "/tmp/hone-%u", (unsigned)geteuid());
    while (n > 1 && n < (int)sizeof p->path && p->path[n - 1] == '/') p->path[--n] = 0;
    if (n >= (int)sizeof p->path) return err_set(e, "HONE_SOCKET_DIR is %d characters long; at most %d are taken", n, (int)sizeof p->path - 1);
    char *real = realpath(folder, NULL);
    if (!real) return err_sys(e, "find the folder", folder);
    snprintf(p->folder, sizeof p->folder, "%s", real);
    free(real);
    name_folder(p);
    if (check_parent(p->path, e)) return -1;
    if (make && mkdir(p->path, 0700) && errno != EEXIST) return err_sys(e, "make the socket folder", p->path);
    int fd = open(p->path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 && (errno == ELOOP || errno == ENOTDIR))
        return err_set(e, "%s is not a plain folder (a link or a file was put in its place); remove it or set HONE_SOCKET_DIR", p->path);
    if (fd < 0 && errno == ENOENT) return err_set(e, "no session is running for %s", p->folder);
    if (fd < 0) return err_sys(e, "open the socket folder", p->path);
    if (check_dir(p->path, fd, e)) {
        close(fd);
        return -1;
    }
    p->dir = fd;
    return 0;
}

void place_each(const struct place *p, void (*fn)(void *ctx, const struct place *one), void *ctx) {
    int fd = openat(p->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
    if (!d && fd >= 0) close(fd);
    for (struct dirent *x; d && (x = readdir(d)) != NULL;) {
        struct place one = *p;
        if (strlen(x->d_name) != 21 || strcmp(x->d_name + 16, ".sock") != 0) continue;
        memcpy(one.id, x->d_name, 16);
        snprintf(one.folder, sizeof one.folder, "%s/%s", p->path, x->d_name);
        fn(ctx, &one);
    }
    if (d) closedir(d);
}

void place_close(struct place *p) {
    if (p->dir >= 0) close(p->dir);
    p->dir = -1;
}

static void entry(const struct place *p, const char *what, char *out, size_t n) { snprintf(out, n, "%s.%s", p->id, what); }

static int open_lock(const struct place *p, int flags) {
    char name[32];
    struct stat s;
    entry(p, "lock", name, sizeof name);
    int fd = openat(p->dir, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | flags, 0600);
    if (fd >= 0 && (fstat(fd, &s) || !S_ISREG(s.st_mode) || s.st_uid != geteuid())) {
        close(fd);
        errno = EPERM;
        return -1;
    }
    return fd;
}

int place_lock(const struct place *p, struct err *e) {
    int fd = open_lock(p, O_CREAT);
    if (fd < 0) {
        err_set(e, "cannot open the session's lock %s/%s.lock: %s", p->path, p->id, strerror(errno));
        return -2;
    }
    if (flock(fd, LOCK_EX | LOCK_NB) == 0) return fd;
    close(fd);
    return -1;
}

bool place_taken(const struct place *p) {
    int fd = p->dir < 0 ? -1 : open_lock(p, 0);
    if (fd < 0) return false;
    bool taken = flock(fd, LOCK_SH | LOCK_NB) != 0;
    close(fd);
    return taken;
}

static int address(const struct place *p, struct sockaddr_un *a, struct err *e) {
    memset(a, 0, sizeof *a);
    a->sun_family = AF_UNIX;
    int n = access("/proc/self/fd", X_OK) == 0 ? snprintf(a->sun_path, sizeof a->sun_path, "/proc/self/fd/%d/%s.sock", p->dir, p->id)
                                               : snprintf(a->sun_path, sizeof a->sun_path, "%s/%s.sock", p->path, p->id);
    if (n >= (int)sizeof a->sun_path) return err_set(e, "the socket's path %s/%s.sock is too long; set HONE_SOCKET_DIR to a shorter one", p->path, p->id);
    return 0;
}

/* 1: a socket of ours is there, 0: nothing, -1: something else. */
static int look(const struct place *p, struct err *e) {
    char name[32];
    struct stat s;
    entry(p, "sock", name, sizeof name);
    if (fstatat(p->dir, name, &s, AT_SYMLINK_NOFOLLOW)) return 0;
    if (S_ISSOCK(s.st_mode) && s.st_uid == geteuid()) return 1;
    return err_set(e, "%s/%s is not a socket of yours (a link or a file was put in its place); remove it", p->path, name);
}

int place_listen(const struct place *p, struct err *e) {
    struct sockaddr_un a;
    char name[32];
    if (address(p, &a, e) || look(p, e) < 0) return -1;
    entry(p, "sock", name, sizeof name);
    if (unlinkat(p->dir, name, 0) && errno != ENOENT) return err_sys(e, "remove the stale socket", name);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return err_sys(e, "make", "the session's socket");
    mode_t old = umask(0177);
    int r = bind(fd, (struct sockaddr *)&a, sizeof a);
    umask(old);
    if (r || listen(fd, 32)) {
        err_set(e, "cannot listen on %s/%s: %s", p->path, name, strerror(errno));
        close(fd);
        return -1;
    }
    return fd;
}

int place_connect(const struct place *p, struct err *e) {
    struct sockaddr_un a;
    if (address(p, &a, e)) return -1;
    int there = look(p, e);
    if (there < 0) return -1;
    if (there == 0) return err_set(e, "no session is running for %s", p->folder);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return err_sys(e, "make", "a socket");
    if (connect(fd, (struct sockaddr *)&a, sizeof a)) {
        int why = errno;
        close(fd);
        if (why == ECONNREFUSED || why == ENOENT) return err_set(e, "no session is running for %s", p->folder);
        return err_set(e, "cannot reach the session of %s: %s", p->folder, strerror(why));
    }
    if (!socket_peer_is_me(fd)) {
        close(fd);
        return err_set(e, "the session's socket in %s is served by another user; refused", p->path);
    }
    return fd;
}

void place_remove(const struct place *p) {
    char name[32];
    entry(p, "sock", name, sizeof name);
    unlinkat(p->dir, name, 0);
}

bool socket_peer_is_me(int fd) {
    struct ucred c;
    socklen_t n = sizeof c;
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &c, &n) == 0 && n == sizeof c && c.uid == geteuid();
}
