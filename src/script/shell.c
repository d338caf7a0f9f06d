/* `!cmd` at the prompt: the user's own shell line, run by /bin/sh in the session's folder with no input; what it says comes back at its end, at most 256 KiB. A thread of
 * its own waits for each, so that the script thread serves on; an interrupt goes to the program's whole group, and after a second it is killed. */
#include "config.h"

#include "src/script/state.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "src/base/mem.h"
#include "src/base/thread.h"

#define SAID_MAX (256u << 10)
#define AT_ONCE 8

struct shell {
    struct call *call; /* deferred */
    pid_t pid; /* leads a group of its own */
    int fd;
    _Atomic bool interrupted;
};
static struct shell *_Atomic running[AT_ONCE];

extern char **environ;

static int start(struct shell *h, const char *text, struct err *e) {
    int p[2];
    char *const argv[] = {(char *)(uintptr_t) "sh", (char *)(uintptr_t) "-c", (char *)(uintptr_t)text, NULL};
    posix_spawn_file_actions_t fa;
    posix_spawnattr_t at;
    sigset_t none, all;
    if (pipe2(p, O_CLOEXEC) != 0) return err_set(e, "!: no pipe: %s", strerror(errno));
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawn_file_actions_init(&fa);
    posix_spawnattr_init(&at);
    posix_spawn_file_actions_addopen(&fa, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&fa, p[1], 1);
    posix_spawn_file_actions_adddup2(&fa, p[1], 2);
    posix_spawnattr_setflags(&at, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
    posix_spawnattr_setpgroup(&at, 0);
    posix_spawnattr_setsigmask(&at, &none);
    posix_spawnattr_setsigdefault(&at, &all);
    int rc = posix_spawn(&h->pid, "/bin/sh", &fa, &at, argv, environ);
    posix_spawn_file_actions_destroy(&fa);
    posix_spawnattr_destroy(&at);
    close(p[1]);
    h->fd = p[0];
    if (rc == 0) return 0;
    close(p[0]);
    return err_set(e, "!: /bin/sh cannot be started: %s", strerror(rc));
}

/* Reads until the program closes its output; an interrupted one gets a second. */
static void read_all(struct shell *h, struct buf *out, size_t *dropped) {
    char piece[8192];
    double asked = 0;
    for (bool killed = false;;) {
        struct pollfd p = {.fd = h->fd, .events = POLLIN};
        int ready = poll(&p, 1, 50);
        if (atomic_load(&h->interrupted)) {
            if (asked == 0) asked = clock_now(), kill(-h->pid, SIGINT);
            else if (!killed && clock_now() - asked > 1) killed = true, kill(-h->pid, SIGKILL);
            else if (killed && clock_now() - asked > 2) return; /* somebody who left the group holds the pipe */
        }
        if (ready <= 0) continue;
        ssize_t n = read(h->fd, piece, sizeof piece);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return;
        size_t room = SAID_MAX - out->len, take = (size_t)n < room ? (size_t)n : room;
        buf_add(out, piece, take);
        *dropped += (size_t)n - take;
    }
}

static void *wait_for(void *arg) {
    struct shell *h = arg;
    struct buf said = BUF_INIT;
    size_t dropped = 0;
    int status = 0;
    read_all(h, &said, &dropped);
    close(h->fd);
    while (waitpid(h->pid, &status, 0) < 0 && errno == EINTR) {}
    for (int i = 0; i < AT_ONCE; i++)
        if (atomic_load(&running[i]) == h) atomic_store(&running[i], NULL);
    if (dropped) buf_addf(&said, "%s(%zu bytes more were left out)\n", said.len && said.data[said.len - 1] != '\n' ? "\n" : "", dropped);
    if (WIFSIGNALED(status)) buf_addf(&said, "(ended by signal %d)", WTERMSIG(status));
    else if (WEXITSTATUS(status)) buf_addf(&said, "(exit %d)", WEXITSTATUS(status));
    while (said.len && said.data[said.len - 1] == '\n') said.data[--said.len] = 0;
    call_result(h->call, val_strn(said.data ? said.data : "", said.len));
    call_done(h->call, 0);
    buf_release(&said);
    free(h);
    return NULL;
}

void shell_interrupt(void) {
    for (int i = 0; i < AT_ONCE; i++) {
        struct shell *h = atomic_load(&running[i]);
        if (h) atomic_store(&h->interrupted, true);
    }
}

struct sh_args {
    char *line;
};
static int run_sh(struct call *c, const void *args, struct err *e) {
    const struct sh_args *a = args;
    struct shell *h = X_NEW(struct shell, 1);
    pthread_t t;
    int slot = 0;
    while (slot < AT_ONCE && atomic_load(&running[slot])) slot++;
    if (slot == AT_ONCE) {
        free(h);
        return err_set(e, "!: %d programs run already; Ctrl-C ends them", AT_ONCE);
    }
    if (start(h, a->line, e) < 0) {
        free(h);
        return -1;
    }
    h->call = c;
    call_defer(c);
    atomic_store(&running[slot], h);
    if (thread_start(&t, "hone-shell", wait_for, h, e) == 0) {
        pthread_detach(t);
        return 0;
    }
    atomic_store(&running[slot], NULL);
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
