/* The pseudo-terminal harness; see the header. */
#include "config.h"

#include "tests/sock/pty.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "src/base/thread.h"

int pty_start(struct pty *p, int rows, int cols, const char *term, char *const argv[]) {
    memset(p, 0, sizeof *p);
    p->status = -1;
    p->master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
    if (p->master < 0 || grantpt(p->master) || unlockpt(p->master)) return -1;
    p->slave = open(ptsname(p->master), O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (p->slave < 0) return -1;
    pty_size(p, rows, cols);
    p->started = clock_now();
    p->pid = fork();
    if (p->pid == 0) {
        setsid();
        ioctl(p->slave, TIOCSCTTY, 0);
        for (int i = 0; i < 3; i++) dup2(p->slave, i);
        setenv("TERM", term, 1);
        execv(argv[0], argv);
        _exit(127);
    }
    return p->pid > 0 ? 0 : -1;
}

static size_t read_some(struct pty *p, int timeout_ms) {
    struct pollfd f = {p->master, POLLIN, 0};
    char piece[65536];
    if (p->master < 0 || poll(&f, 1, timeout_ms) <= 0) return 0;
    ssize_t n = read(p->master, piece, sizeof piece);
    if (n <= 0) {
        if (n == 0 || errno == EIO) clock_sleep(0.001);
        return 0;
    }
    if (p->first == 0) p->first = clock_now();
    buf_add(&p->got, piece, (size_t)n);
    return (size_t)n;
}

size_t pty_read(struct pty *p, double seconds) {
    double end = clock_now() + seconds, left;
    size_t n = 0;
    while ((left = end - clock_now()) > 0) n += read_some(p, (int)(left * 1000) + 1);
    return n;
}

bool pty_expect(struct pty *p, const char *text, double seconds) {
    double end = clock_now() + seconds;
    for (;;) {
        if (p->got.len && memmem(p->got.data, p->got.len, text, strlen(text))) return true;
        if (clock_now() > end) return false;
        read_some(p, 20);
    }
}

double pty_quiet(struct pty *p, double quiet, double limit) {
    double begin = clock_now(), last = begin;
    while (clock_now() - last < quiet && clock_now() - begin < limit)
        if (read_some(p, 10)) last = clock_now();
    return last - begin;
}

void pty_forget(struct pty *p) { buf_clear(&p->got); }

void pty_keys(struct pty *p, const char *keys) {
    size_t n = strlen(keys), at = 0;
    for (int i = 0; at < n && i < 1000; i++) {
        ssize_t r = write(p->master, keys + at, n - at);
        if (r > 0) at += (size_t)r;
        else read_some(p, 5); /* its input is full: let it go on */
    }
}

double pty_answer(struct pty *p, const char *keys, double limit) {
    double t = clock_now();
    pty_keys(p, keys);
    while (clock_now() - t < limit)
        if (read_some(p, 5)) return clock_now() - t;
    return -1;
}

void pty_size(struct pty *p, int rows, int cols) {
    struct winsize w = {.ws_row = (unsigned short)rows, .ws_col = (unsigned short)cols};
    ioctl(p->master, TIOCSWINSZ, &w);
}

bool pty_ended(struct pty *p, double seconds) {
    double end = clock_now() + seconds;
    while (p->status == -1 && clock_now() < end) {
        read_some(p, 5);
        int s;
        if (waitpid(p->pid, &s, WNOHANG) == p->pid) p->status = s;
    }
    if (p->status != -1) pty_read(p, 0.02);
    return p->status != -1;
}

void pty_hangup(struct pty *p) {
    if (p->master >= 0) close(p->master);
    p->master = -1;
}

void pty_close(struct pty *p) {
    if (p->status == -1) {
        kill(p->pid, SIGKILL);
        kill(p->pid, SIGCONT);
        waitpid(p->pid, &p->status, 0);
    }
    pty_hangup(p);
    close(p->slave);
    buf_release(&p->got);
}

bool pty_modes(struct pty *p, struct termios *t) { return tcgetattr(p->slave, t) == 0; }

bool pty_same(const struct termios *a, const struct termios *b) {
    return a->c_iflag == b->c_iflag && a->c_oflag == b->c_oflag && a->c_cflag == b->c_cflag && a->c_lflag == b->c_lflag &&
           memcmp(a->c_cc, b->c_cc, sizeof a->c_cc) == 0;
}

int run_out(struct buf *out, char *const argv[]) {
    int fd[2], status;
    char piece[4096];
    ssize_t n;
    buf_clear(out);
    if (pipe(fd)) return -1;
    pid_t pid = fork();
    if (pid == 0) {
        int null = open("/dev/null", O_RDONLY);
        dup2(null, 0);
        dup2(fd[1], 1);
        dup2(fd[1], 2);
        close(fd[0]);
        close(fd[1]);
        execv(argv[0], argv);
        _exit(127);
    }
    close(fd[1]);
    while ((n = read(fd[0], piece, sizeof piece)) > 0) buf_add(out, piece, (size_t)n);
    close(fd[0]);
    if (waitpid(pid, &status, 0) != pid) return -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int session_pid(const char *folder) {
    int pid = 0;
    DIR *d = opendir("/proc");
    for (struct dirent *x; d && (x = readdir(d)) != NULL;) {
        char path[64], cwd[128] = "", line[64] = "";
        snprintf(path, sizeof path, "/proc/%.20s/cwd", x->d_name);
        if (readlink(path, cwd, sizeof cwd - 1) < 0 || strcmp(cwd, folder) != 0) continue;
        snprintf(path, sizeof path, "/proc/%.20s/cmdline", x->d_name);
        FILE *f = fopen(path, "r");
        size_t n = f ? fread(line, 1, sizeof line - 1, f) : 0;
        if (f) fclose(f);
        if (n && memmem(line, n, "--session", 9)) pid = atoi(x->d_name);
    }
    if (d) closedir(d);
    return pid;
}
