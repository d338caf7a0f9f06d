/* This program is started again, before any thread or BLAS exists in the client; the new process tells by one byte that it
 * listens, or by a sentence why it cannot. */
#include "config.h"

#include "src/session/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "src/base/child.h"
#include "src/base/thread.h"

/* The byte 'R', or an error sentence and the end of the pipe. */
static int wait_ready(int fd, struct err *e) {
    char text[ERR_TEXT] = "";
    size_t n = 0;
    double end = clock_now() + 10;
    while (n < sizeof text - 1) {
        struct pollfd p = {fd, POLLIN, 0};
        double left = end - clock_now();
        if (left <= 0) return err_set(e, "the session did not start within 10 s");
        poll(&p, 1, (int)(left * 1000) + 1);
        if (!p.revents) continue;
        ssize_t r = read(fd, text + n, sizeof text - 1 - n);
        if (r < 0 && errno == EINTR) continue;
        if (r <= 0) break;
        n += (size_t)r;
        if (text[0] == 'R') return 0;
    }
    text[n] = 0;
    return err_set(e, "the session could not start: %s", n ? text : "it ended without a word");
}

/* This program again with `word`, then descriptor 3, which is `fd` here, then `extra`. */
static int spawn(const char *word, const char *const *extra, int fd, struct err *e) {
    char exe[4096];
    const char *argv[32] = {"hone", word, "--ready", "3"};
    size_t n = 4;
    for (; extra && *extra && n + 1 < LEN(argv); extra++) argv[n++] = *extra;
    argv[n] = NULL;
    ssize_t len = readlink("/proc/self/exe", exe, sizeof exe - 1);
    if (len <= 0) return err_sys(e, "find", "this program (/proc/self/exe)");
    exe[len] = 0;
    struct child c = {.argv = argv, .program = exe, .fd = {CHILD_NULL, CHILD_NULL, CHILD_NULL, fd}, .place = CHILD_SESSION};
    pid_t pid;
    int r = child_start(&c, &pid);
    return r ? err_set(e, "cannot start %s: %s", exe, strerror(r)) : 0;
}

int spawn_viewer(const char *const *extra, struct err *e) {
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) return err_sys(e, "make", "a pair of sockets");
    int r = spawn("--viewer", extra, pair[1], e);
    close(pair[1]);
    if (r == 0) return pair[0];
    close(pair[0]);
    return -1;
}

int spawn_session(const struct place *p, const char *const *extra, struct err *e) {
    int ready[2];
    for (int attempt = 0; attempt < 50; attempt++) { /* one that is just starting or ending */
        struct err why = {0};
        int fd = place_connect(p, &why);
        if (fd >= 0) {
            close(fd);
            return 0;
        }
        if (!place_taken(p)) break;
        clock_sleep(0.1);
    }
    if (pipe2(ready, O_CLOEXEC) != 0) return err_sys(e, "make", "a pipe");
    int r = spawn("--session", extra, ready[1], e);
    close(ready[1]);
    if (r == 0) r = wait_ready(ready[0], e);
    close(ready[0]);
    return r;
}
