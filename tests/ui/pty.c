/* The pseudo-terminal harness; see the header. */
#include "config.h"

#include "tests/ui/pty.h"

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

#include "src/base/mem.h"
#include "src/base/thread.h"

extern char **environ;

static struct {
    char name[48], *value;
    bool set;
} env_own[32]; /* by pty_env */

void pty_env(const char *name, const char *value) {
    size_t i = 0;
    while (i < LEN(env_own) - 1 && env_own[i].set && strcmp(env_own[i].name, name) != 0) i++;
    snprintf(env_own[i].name, sizeof env_own[i].name, "%s", name);
    free(env_own[i].value);
    env_own[i].value = value ? mem_str(value) : NULL;
    env_own[i].set = true;
}

static void env_put(char **env, size_t *n, const char *name, const char *value) {
    struct buf b = BUF_INIT;
    for (size_t i = 0; i < LEN(env_own); i++)
        if (env_own[i].set && strcmp(env_own[i].name, name) == 0) value = env_own[i].value;
    if (!value) return;
    buf_addf(&b, "%s=%s", name, value);
    env[(*n)++] = b.data;
}

/* Made from nothing; see the header. */
static char **env_make(const char *term) {
    static const char *const kept[] = {"HONE_", "ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS", "LSAN_OPTIONS", "LD_PRELOAD", "TMPDIR", "GCOV_"};
    char **env = X_NEW(char *, 256), here[4096] = "/", cache[4200];
    const char *path = getenv("PATH"), *home = getenv("HOME"), *xdg = getenv("XDG_CACHE_HOME");
    size_t n = 0;
    if (!getcwd(here, sizeof here)) return env;
    snprintf(cache, sizeof cache, "%s%s", xdg && *xdg ? xdg : home ? home : here, xdg && *xdg ? "" : "/.cache");
    env_put(env, &n, "PATH", path ? path : "/usr/bin:/bin");
    env_put(env, &n, "HOME", here);
    env_put(env, &n, "XDG_CACHE_HOME", cache); /* what was measured on this machine is no state of the user's */
    env_put(env, &n, "LC_ALL", "C.UTF-8");
    env_put(env, &n, "TERM", term);
    for (char **e = environ; *e && n < 200; e++)
        for (size_t i = 0; i < LEN(kept); i++) {
            char name[64];
            size_t len = strcspn(*e, "=");
            if (strncmp(*e, kept[i], strlen(kept[i])) != 0 || len >= sizeof name) continue;
            snprintf(name, sizeof name, "%.*s", (int)len, *e);
            env_put(env, &n, name, *e + len + 1);
        }
    for (size_t i = 0; i < LEN(env_own); i++) { /* those that are new */
        bool there = !env_own[i].set || !env_own[i].value;
        for (size_t k = 0; k < n && !there; k++)
            there = strncmp(env[k], env_own[i].name, strlen(env_own[i].name)) == 0 && env[k][strlen(env_own[i].name)] == '=';
        if (!there) env_put(env, &n, env_own[i].name, NULL);
    }
    return env;
}

static void env_free(char **env) {
    for (char **e = env; *e; e++) free(*e);
    free(env);
}

static bool under_shell;
void pty_under_shell(bool on) { under_shell = on; }

/* Tells the program's pid, waits for it, and ends as it ended. */
static void be_shell(int tell, char *const argv[], char **env) {
    int status = 0;
    for (int sig = 1; sig < 32; sig++)
        if (sig != SIGCHLD) signal(sig, SIG_IGN);
    pid_t pid = fork();
    if (pid == 0) {
        for (int sig = 1; sig < 32; sig++) signal(sig, SIG_DFL);
        execve(argv[0], argv, env);
        _exit(127);
    }
    setpgid(pid, pid);
    tcsetpgrp(0, pid);
    ssize_t r = write(tell, &pid, sizeof pid);
    (void)r;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) continue;
    if (WIFEXITED(status)) _exit(WEXITSTATUS(status));
    signal(WTERMSIG(status), SIG_DFL);
    kill(getpid(), WTERMSIG(status));
    _exit(126);
}

int pty_start(struct pty *p, int rows, int cols, const char *term, char *const argv[]) {
    memset(p, 0, sizeof *p);
    p->status = -1;
    vt_init(&p->vt, rows, cols);
    p->master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
    if (p->master < 0 || grantpt(p->master) || unlockpt(p->master)) return -1;
    p->slave = open(ptsname(p->master), O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (p->slave < 0) return -1;
    pty_size(p, rows, cols);
    char **env = env_make(term);
    int told[2] = {-1, -1};
    if (under_shell && pipe(told)) return -1;
    p->started = clock_now();
    p->pid = fork();
    if (p->pid == 0) {
        setsid();
        ioctl(p->slave, TIOCSCTTY, 0);
        for (int i = 0; i < 3; i++) dup2(p->slave, i);
        if (under_shell) be_shell(told[1], argv, env);
        execve(argv[0], argv, env);
        _exit(127);
    }
    env_free(env);
    if (under_shell) {
        p->shell = p->pid;
        if (read(told[0], &p->pid, sizeof p->pid) != sizeof p->pid) p->pid = p->shell;
        close(told[0]);
        close(told[1]);
    }
    return p->pid > 0 ? 0 : -1;
}

bool pty_dash(struct pty *p, int rows, int cols, const char *term, char *const argv[], double seconds) {
    if (pty_start(p, rows, cols, term, argv)) return false;
    if (rows < 10 || cols < 40) return pty_shows(p, "40x10", seconds) >= 0 && p->vt.cur.row < rows;
    for (double end = clock_now() + seconds; p->status == -1 && clock_now() < end;) /* a prompt or pager that was left open has a footer of its own */
        if (pty_shows(p, "?help", 0.1) >= 0 || vt_shows(&p->vt, " Lua") || vt_shows(&p->vt, "Esc")) return p->vt.cur.row < rows;
    return false;
}

/* ---- the link ---- */

enum { DOWN, UP };

void pty_link(struct pty *p, double rate, double delay) {
    p->rate = rate;
    p->delay = delay;
    p->clear = clock_now();
    if (p->window == 0) p->window = 64 << 10;
}

static void sent(struct pty *p, int way, size_t n) {
    if (p->n_piece[way] == p->cap_piece[way]) {
        p->cap_piece[way] = p->cap_piece[way] ? 2 * p->cap_piece[way] : 64;
        p->piece[way] = X_GROW(p->piece[way], struct pty_piece, p->cap_piece[way]);
    }
    p->piece[way][p->n_piece[way]++] = (struct pty_piece){n, clock_now()};
}

static void eat(struct buf *b, size_t n) {
    memmove(b->data, b->data + n, b->len - n);
    b->len -= n;
}

/* n bytes at the front are through; pieces follow. */
static void passed(struct pty *p, int way, struct buf *b, size_t n) {
    size_t k = 0;
    eat(b, n);
    while (n > 0 && k < p->n_piece[way]) {
        size_t m = p->piece[way][k].n < n ? p->piece[way][k].n : n;
        n -= m;
        if ((p->piece[way][k].n -= m) == 0) k++;
    }
    p->n_piece[way] -= k;
    memmove(p->piece[way], p->piece[way] + k, p->n_piece[way] * sizeof *p->piece[way]);
}

static bool slow(const struct pty *p) { return p->rate > 0 || p->delay > 0; }

static void type(struct pty *p, const char *keys, size_t n) {
    size_t at = 0;
    for (int i = 0; at < n && i < 1000 && p->master >= 0; i++) {
        ssize_t r = write(p->master, keys + at, n - at);
        if (r > 0) at += (size_t)r;
        else clock_sleep(0.001); /* its input is full */
    }
}

/* Keys and answers on their way to the program. */
static void up(struct pty *p, const char *keys, size_t n) {
    if (p->delay <= 0) {
        type(p, keys, n);
        return;
    }
    buf_add(&p->up, keys, n);
    sent(p, UP, n);
}

static void arrive(struct pty *p, const char *bytes, size_t n) {
    p->came = clock_now();
    if (p->first == 0) p->first = p->came;
    buf_add(&p->got, bytes, n);
    p->total += n;
    vt_feed(&p->vt, bytes, n);
    if (p->vt.answer.len && !p->mute) up(p, p->vt.answer.data, p->vt.answer.len);
    buf_clear(&p->vt.answer);
}

/* When the next byte arrives, or the next key: seconds from now, limit at most. */
static double due(const struct pty *p, double now, double limit) {
    double wait = limit;
    if (p->n_piece[DOWN]) {
        double from = p->piece[DOWN][0].at > p->clear ? p->piece[DOWN][0].at : p->clear, t = from + (p->rate > 0 ? 1 / p->rate : 0) + p->delay - now;
        if (t < wait) wait = t;
    }
    if (p->n_piece[UP] && p->piece[UP][0].at + p->delay - now < wait) wait = p->piece[UP][0].at + p->delay - now;
    return wait < 0 ? 0 : wait;
}

static size_t deliver(struct pty *p) {
    double now = clock_now();
    size_t n = 0;
    while (p->n_piece[UP] && p->piece[UP][0].at + p->delay <= now) {
        size_t k = p->piece[UP][0].n;
        type(p, p->up.data, k);
        passed(p, UP, &p->up, k);
    }
    while (p->n_piece[DOWN]) {
        struct pty_piece *x = &p->piece[DOWN][0];
        double from = x->at > p->clear ? x->at : p->clear, left = now - p->delay - from;
        size_t k = p->rate <= 0 ? (left >= 0 ? x->n : 0) : left <= 0 ? 0 : (size_t)(left * p->rate);
        if (k > x->n) k = x->n;
        if (k == 0) break;
        p->clear = p->rate > 0 ? from + (double)k / p->rate : from;
        arrive(p, p->wire.data, k);
        passed(p, DOWN, &p->wire, k);
        n += k;
    }
    return n;
}

/* Waits for that long at most; bytes that arrived. */
static size_t read_some(struct pty *p, int timeout_ms) {
    bool takes = p->master >= 0 && (!slow(p) || p->wire.len < p->window);
    double wait = slow(p) || p->n_piece[UP] ? due(p, clock_now(), timeout_ms / 1000.0) : timeout_ms / 1000.0;
    struct pollfd f = {takes ? p->master : -1, POLLIN, 0};
    char piece[65536];
    int ready = poll(&f, 1, wait <= 0 ? 0 : (int)(wait * 1000) + 1);
    ssize_t n = ready > 0 ? read(p->master, piece, sizeof piece) : 0;
    if (ready > 0 && n <= 0 && (n == 0 || errno == EIO)) clock_sleep(0.001);
    if (n > 0 && !slow(p) && p->wire.len == 0) {
        arrive(p, piece, (size_t)n);
        return (size_t)n;
    }
    if (n > 0) {
        buf_add(&p->wire, piece, (size_t)n);
        sent(p, DOWN, (size_t)n);
    }
    return deliver(p);
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

static bool reaped(struct pty *p) {
    pid_t who = p->shell ? p->shell : p->pid;
    int s;
    if (p->status == -1 && waitpid(who, &s, WNOHANG) == who) p->status = s;
    return p->status != -1;
}

double pty_shows(struct pty *p, const char *text, double seconds) {
    double begin = clock_now();
    for (;;) {
        bool over = reaped(p); /* what it wrote before is read once more */
        if (over) pty_read(p, 0.02);
        if (vt_shows(&p->vt, text)) return clock_now() - begin;
        if (over || clock_now() - begin > seconds) return -1;
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
    size_t n = strlen(keys), at = p->delay > 0 ? n : 0;
    for (int i = 0; at < n && i < 1000 && p->master >= 0; i++) {
        ssize_t r = write(p->master, keys + at, n - at);
        if (r > 0) at += (size_t)r;
        else read_some(p, 5); /* its input is full: let it go on */
    }
    if (p->delay > 0) up(p, keys, n);
}

double pty_answer(struct pty *p, const char *keys, double limit) {
    double t = clock_now();
    pty_keys(p, keys);
    while (clock_now() - t < limit)
        if (read_some(p, 5)) return p->came - t;
    return -1;
}

void pty_size(struct pty *p, int rows, int cols) {
    struct winsize w = {.ws_row = (unsigned short)rows, .ws_col = (unsigned short)cols};
    if (rows > 0 && cols > 0 && (rows != p->vt.rows || cols != p->vt.cols)) vt_resize(&p->vt, rows, cols);
    ioctl(p->master, TIOCSWINSZ, &w);
}

bool pty_ended(struct pty *p, double seconds) {
    double end = clock_now() + seconds;
    while (p->status == -1 && clock_now() < end) {
        read_some(p, 5);
        reaped(p);
    }
    if (p->status != -1) pty_read(p, 0.02);
    return p->status != -1;
}

int pty_code(const struct pty *p) { return p->status == -1 ? -1 : WIFEXITED(p->status) ? WEXITSTATUS(p->status) : 128 + WTERMSIG(p->status); }

void pty_hangup(struct pty *p) {
    if (p->master >= 0) close(p->master);
    p->master = -1;
}

void pty_close(struct pty *p) {
    if (p->status == -1) {
        kill(p->pid, SIGKILL);
        kill(p->pid, SIGCONT);
        waitpid(p->shell ? p->shell : p->pid, &p->status, 0);
    }
    pty_hangup(p);
    close(p->slave);
    buf_release(&p->got);
    buf_release(&p->wire);
    buf_release(&p->up);
    free(p->piece[DOWN]);
    free(p->piece[UP]);
    vt_release(&p->vt);
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
    char **env = env_make(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        int null = open("/dev/null", O_RDONLY);
        dup2(null, 0);
        dup2(fd[1], 1);
        dup2(fd[1], 2);
        close(fd[0]);
        close(fd[1]);
        execve(argv[0], argv, env);
        _exit(127);
    }
    env_free(env);
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
