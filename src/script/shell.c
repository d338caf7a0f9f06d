/* `!cmd` at the prompt: the user's own shell line, run by /bin/sh in the session's folder with no input; what it says comes back at its end, at most 256
 * KiB. A thread of its own waits for each, so that the script thread serves on; an interrupt goes to the program's whole group, and after a second it is
 * killed. What the line leaves in the background (`!prog &`) goes on and holds nobody up. */
#include "config.h"

#include "src/script/state.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "src/base/child.h"
#include "src/base/mem.h"
#include "src/base/thread.h"

#define SAID_MAX (256u << 10)
#define AT_ONCE 8
#define THREADS_MAX 32 /* with those whose shell has ended and left a program in the background */
#define AFTER_END 0.05 /* seconds for what the pipe still holds */

struct shell { /* its thread's, but interrupted */
    struct call *call; /* deferred */
    pid_t pid; /* leads a group of its own */
    int fd; /* of its output; -1: closed */
    struct buf said;
    size_t dropped;
    _Atomic bool interrupted;
};
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* protects running and the life of what it points to */
static struct shell *running[AT_ONCE];
static _Atomic int threads;

static int start(struct shell *h, const char *text, struct err *e) {
    int p[2];
    const char *const argv[] = {"sh", "-c", text, NULL};
    if (pipe2(p, O_CLOEXEC) != 0) return err_set(e, "!: no pipe: %s", strerror(errno));
    struct child c = {.argv = argv, .program = "/bin/sh", .fd = {CHILD_NULL, p[1], p[1], CHILD_KEEP}, .place = CHILD_GROUP};
    int rc = child_start(&c, &h->pid);
    close(p[1]);
    h->fd = p[0];
    if (rc == 0) return 0;
    close(p[0]);
    return err_set(e, "!: /bin/sh cannot be started: %s", strerror(rc));
}

static void take_out(struct shell *h) {
    pthread_mutex_lock(&lock);
    for (int i = 0; i < AT_ONCE; i++)
        if (running[i] == h) running[i] = NULL;
    pthread_mutex_unlock(&lock);
}

/* One look at the pipe, which is closed at its end (h->fd -1). What is over SAID_MAX is counted only. */
static void read_some(struct shell *h, int timeout_ms) {
    char piece[8192];
    struct pollfd p = {.fd = h->fd, .events = POLLIN};
    if (poll(&p, 1, timeout_ms) <= 0) return;
    ssize_t n = read(h->fd, piece, sizeof piece);
    if (n < 0 && errno == EINTR) return;
    if (n <= 0) {
        close(h->fd);
        h->fd = -1;
        return;
    }
    size_t room = SAID_MAX - h->said.len, take = (size_t)n < room ? (size_t)n : room;
    buf_add(&h->said, piece, take);
    h->dropped += (size_t)n - take;
}

/* Until the program has ended, whatever it does with its output; an interrupted one gets a second. Its status. */
static int wait_end(struct shell *h) {
    int status = 0;
    double asked = 0;
    for (bool killed = false;;) {
        pid_t r = waitpid(h->pid, &status, WNOHANG);
        if (r == h->pid || (r < 0 && errno != EINTR)) return r < 0 ? 0 : status;
        if (atomic_load(&h->interrupted)) { /* not reaped yet: the number is still the group's */
            if (asked == 0) asked = clock_now(), kill(-h->pid, SIGINT);
            else if (!killed && clock_now() - asked > 1) killed = true, kill(-h->pid, SIGKILL);
        }
        if (h->fd >= 0) read_some(h, 20);
        else clock_sleep(0.002); /* it closed its output: at its end, or long before */
    }
}

static void *wait_for(void *arg) {
    struct shell *h = arg;
    int status = wait_end(h);
    for (double end = clock_now() + AFTER_END; h->fd >= 0 && clock_now() < end;) read_some(h, 10); /* what lies in the pipe */
    take_out(h);
    struct buf *said = &h->said;
    const char *line = said->len && said->data[said->len - 1] != '\n' ? "\n" : "";
    if (h->dropped) buf_addf(said, "%s(%zu bytes more were left out)\n", line, h->dropped), line = "";
    if (h->fd >= 0) buf_addf(said, "%s(a program goes on in the background; what it says from now on is not kept)\n", line), line = "";
    if (WIFSIGNALED(status)) buf_addf(said, "%s(ended by signal %d)", line, WTERMSIG(status));
    else if (WEXITSTATUS(status)) buf_addf(said, "%s(exit %d)", line, WEXITSTATUS(status));
    while (said->len && said->data[said->len - 1] == '\n') said->data[--said->len] = 0;
    call_result(h->call, val_strn(said->data ? said->data : "", said->len));
    call_done(h->call, 0);
    buf_release(said);
    for (char piece[8192]; h->fd >= 0;) { /* for one in the background, so that its writing does not end it */
        ssize_t n = read(h->fd, piece, sizeof piece);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) close(h->fd), h->fd = -1;
    }
    atomic_fetch_sub(&threads, 1);
    free(h);
    return NULL;
}

void shell_interrupt(void) {
    pthread_mutex_lock(&lock);
    for (int i = 0; i < AT_ONCE; i++)
        if (running[i]) atomic_store(&running[i]->interrupted, true);
    pthread_mutex_unlock(&lock);
}

/* A place among those that run; false: there is none. */
static bool put_in(struct shell *h) {
    bool found = false;
    pthread_mutex_lock(&lock);
    for (int i = 0; i < AT_ONCE && !found; i++)
        if (!running[i]) running[i] = h, found = true;
    pthread_mutex_unlock(&lock);
    return found;
}

struct sh_args {
    char *line;
};
static int run_sh(struct call *c, const void *args, struct err *e) {
    const struct sh_args *a = args;
    pthread_t t;
    if (atomic_load(&threads) >= THREADS_MAX) return err_set(e, "!: %d programs run in the background already; end one first", THREADS_MAX);
    struct shell *h = X_NEW(struct shell, 1);
    if (!put_in(h)) {
        free(h);
        return err_set(e, "!: %d programs run already; Ctrl-C ends them", AT_ONCE);
    }
    if (start(h, a->line, e) < 0) {
        take_out(h);
        free(h);
        return -1;
    }
    h->call = c;
    call_defer(c);
    atomic_fetch_add(&threads, 1);
    if (thread_start(&t, "hone-shell", wait_for, h, e) == 0) {
        pthread_detach(t);
        return 0;
    }
    atomic_fetch_sub(&threads, 1);
    take_out(h);
    kill(-h->pid, SIGKILL);
    close(h->fd);
    waitpid(h->pid, NULL, 0);
    free(h);
    c->err = *e;
    call_done(c, -1);
    return 0;
}
static const struct arg sh_table[] = {
    {.name = "line", .help = "what /bin/sh is to run", .type = ARG_STR, .flags = ARG_POSITIONAL | ARG_REQUIRED, .offset = offsetof(struct sh_args, line)}, {0}};
const struct cmd cmd_sh = {.kind = {.name = "sh",
                               .help = "runs a line of the shell and gives what it says; !LINE at the prompt",
                               .example = "print(hone.sh\"ls runs\")",
                               .args = sh_table,
                               .size = sizeof(struct sh_args)},
    .owner = OWNER_SCRIPT,
    .flags = CMD_WHILE_RUNNING,
    .run = run_sh};
