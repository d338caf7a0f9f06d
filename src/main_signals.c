/* Signals by the table of the manual: handlers set a flag and write one byte; what ends the process at once uses only
 * async-signal-safe calls. A crash writes one report and dies by its own signal. Installed before any other thread starts,
 * and before ncurses, which only replaces default handlers. */
#include "config.h"

#include "src/main.h"

#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "src/session/client.h"

enum { GRACE_S = 5 }; /* from the first TERM to the end */

static int wake[2] = {-1, -1};
static volatile sig_atomic_t interrupts, preempts;
static volatile sig_atomic_t crashing, at_prompt;
static struct timespec first_int;
static char crash_path[512];

static void poke(void) {
    int keep = errno;
    ssize_t r = write(wake[1], "s", 1);
    (void)r; /* full: a byte is there already */
    errno = keep;
}

static void die_by(int sig) {
    signal(sig, SIG_DFL);
    sigset_t s;
    sigemptyset(&s);
    sigaddset(&s, sig);
    pthread_sigmask(SIG_UNBLOCK, &s, NULL);
    raise(sig);
}

static void on_int(int sig) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    double since = (double)(now.tv_sec - first_int.tv_sec) + 1e-9 * (double)(now.tv_nsec - first_int.tv_nsec);
    if (interrupts && since >= 0.2 && since <= 5 && !at_prompt) die_by(sig);
    if (!interrupts || since > 5) first_int = now;
    interrupts = 1;
    poke();
}

static void on_preempt(int sig) {
    (void)sig;
    if (preempts) client_restore_now();
    if (preempts) _exit(EXIT_PREEMPTED);
    preempts = 1;
    alarm(GRACE_S);
    poke();
}

static void on_alarm(int sig) {
    (void)sig;
    client_restore_now();
    _exit(EXIT_PREEMPTED);
}

static size_t put(char *at, const char *s) {
    size_t n = strlen(s);
    memcpy(at, s, n);
    return n;
}

static void on_crash(int sig) {
    if (crashing++) die_by(sig);
    client_restore_now();
    char line[160] = "";
    char digits[4] = {(char)('0' + sig / 10), (char)('0' + sig % 10), 0, 0};
    size_t n = put(line, "hone: ended by signal ");
    n += put(line + n, digits);
    n += put(line + n, ", a bug in hone; the newest checkpoint is safe. Where it happened:\n");
    int fd = crash_path[0] ? open(crash_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600) : STDERR_FILENO;
    if (fd < 0) fd = STDERR_FILENO;
    ssize_t r = write(fd, line, n);
    (void)r;
    void *frame[48];
    backtrace_symbols_fd(frame, backtrace(frame, 48), fd);
    die_by(sig);
}

static void install(int sig, void (*fn)(int), int flags) {
    struct sigaction a;
    memset(&a, 0, sizeof a);
    a.sa_handler = fn;
    a.sa_flags = flags;
    sigfillset(&a.sa_mask);
    sigaction(sig, &a, NULL);
}

static void common(void) {
    static const int fatal[] = {SIGQUIT, SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGSEGV, SIGSYS};
    static const int ends[] = {SIGTERM, SIGUSR1, SIGUSR2, SIGXCPU};
    static char stack[64 * 1024];
    stack_t alt = {.ss_sp = stack, .ss_size = sizeof stack};
    void *frame[2];
    if (wake[0] < 0 && pipe2(wake, O_CLOEXEC | O_NONBLOCK) != 0) wake[0] = wake[1] = -1;
    backtrace(frame, 2); /* loads the unwinder now, not in the handler */
    sigaltstack(&alt, NULL);
    for (size_t i = 0; i < LEN(fatal); i++) install(fatal[i], on_crash, SA_ONSTACK | SA_NODEFER);
    for (size_t i = 0; i < LEN(ends); i++) install(ends[i], on_preempt, SA_RESTART);
    install(SIGALRM, on_alarm, 0);
    install(SIGPIPE, SIG_IGN, 0);
    install(SIGXFSZ, SIG_IGN, 0);
}

void signals_line_mode(void) {
    struct sigaction old;
    common();
    install(SIGINT, on_int, SA_RESTART);
    if (sigaction(SIGHUP, NULL, &old) == 0 && old.sa_handler != SIG_IGN) install(SIGHUP, on_preempt, SA_RESTART);
}

void signals_session(void) {
    common();
    install(SIGINT, SIG_IGN, 0);
    install(SIGHUP, SIG_IGN, 0);
    install(SIGTSTP, SIG_IGN, 0);
    install(SIGTTIN, SIG_IGN, 0);
    install(SIGTTOU, SIG_IGN, 0);
}

void signals_at_prompt(bool on) {
    at_prompt = on;
    interrupts = 0;
}

int signals_fd(void) { return wake[0]; }

enum stop_wish signals_take(void) {
    char sink[64];
    while (read(wake[0], sink, sizeof sink) > 0) continue;
    if (preempts == 1) {
        preempts = 2;
        return WISH_PREEMPT;
    }
    if (interrupts == 1) {
        interrupts = 2;
        return WISH_INTERRUPT;
    }
    return WISH_NONE;
}

bool signals_preempted(void) { return signals_take() == WISH_PREEMPT; }

void signals_crash_file(const char *path) {
    crash_path[0] = 0;
    if (path && strlen(path) < sizeof crash_path) memcpy(crash_path, path, strlen(path) + 1);
}
