/* The terminal comes back after every kind of death: 14 signals in six states of the dashboard, hang-ups, kill -9 of client or session, and what hone reset and
 * the next start repair. Line settings are compared bit by bit, modes by the terminal of tests/ui/vt.h. With HONE_LONG=1 every signal in every
 * state, with HONE_LONG=full ten times. */
#include "config.h"

#include <fcntl.h>

#include "tests/sock/fix.h"

enum outcome { DETACHES, DIES, STOPS };
static const struct {
    int sig;
    const char *name;
    enum outcome is;
} signals[] = {{SIGHUP, "HUP", DETACHES}, {SIGINT, "INT", DETACHES}, {SIGQUIT, "QUIT", DIES}, {SIGILL, "ILL", DIES}, {SIGTRAP, "TRAP", DIES},
    {SIGABRT, "ABRT", DIES}, {SIGBUS, "BUS", DIES}, {SIGFPE, "FPE", DIES}, {SIGSEGV, "SEGV", DIES}, {SIGSYS, "SYS", DIES}, {SIGTERM, "TERM", DETACHES},
    {SIGUSR1, "USR1", DETACHES}, {SIGUSR2, "USR2", DETACHES}, {SIGTSTP, "TSTP", STOPS}};

enum state { DASHBOARD, LINE_EDIT, SEARCH, PAGER, RESIZE, SUSPENDED, STATES };
static const char *const state_names[] = {"dashboard", "line edit", "reverse search", "pager", "resize", "suspended"};

static struct termios fresh; /* line settings of a new terminal */

static bool stopped(const struct pty *p) {
    char path[64], text[256] = "";
    snprintf(path, sizeof path, "/proc/%d/stat", (int)p->pid);
    FILE *f = fopen(path, "r");
    size_t n = f ? fread(text, 1, sizeof text - 1, f) : 0;
    if (f) fclose(f);
    const char *close = n ? strrchr(text, ')') : NULL;
    return close && close[2] == 'T';
}

static bool wait_stopped(struct pty *p) {
    for (int i = 0; i < 200 && !stopped(p); i++) pty_read(p, 0.01);
    return stopped(p);
}

/* The terminal is a shell's again, within a second: what a killed client leaves is mended by the session. */
static bool restored(struct pty *p) {
    struct termios now;
    for (int i = 0; i < 100; i++) {
        if (vt_plain(&p->vt) && pty_modes(p, &now) && pty_same(&fresh, &now)) return true;
        pty_read(p, 0.01);
    }
    return false;
}

static bool into(struct pty *p, enum state s) {
    if (!dash(p, 24, 80, "xterm-256color", NULL, NULL)) return false;
    for (int i = 0; i < 20 && pty_shows(p, "?help", 0.1) < 0; i++) pty_keys(p, "\033"); /* a prompt or pager that was left open */
    if (s == LINE_EDIT || s == SEARCH || s == PAGER) pty_keys(p, "`"), pty_shows(p, "Lua", 2);
    if (s == LINE_EDIT) pty_keys(p, "print(1 +"), pty_shows(p, "print(1 +", 2);
    if (s == SEARCH) pty_keys(p, "\022x"), pty_shows(p, "search", 2);
    if (s == PAGER) pty_keys(p, "for i = 1, 300 do print(i) end\r"), pty_keys(p, "`"), pty_read(p, 0.15);
    if (s == RESIZE) pty_size(p, 30, 100), pty_size(p, 20, 60);
    if (s == SUSPENDED) {
        kill(p->pid, SIGTSTP);
        return wait_stopped(p) && restored(p);
    }
    return true;
}

/* After TSTP: restored while stopped, a dashboard again after CONT. */
static bool stops_and_goes_on(struct pty *p, enum state s) {
    if (!wait_stopped(p) || !restored(p)) return false;
    kill(p->pid, SIGCONT);
    bool back = pty_shows(p, s == LINE_EDIT || s == SEARCH || s == PAGER ? "Lua" : "?help", 3) >= 0 && p->vt.alt;
    kill(p->pid, SIGTERM);
    return pty_ended(p, 3) && pty_code(p) == 0 && back;
}

static bool one_trial(size_t k, enum state s) {
    struct pty p;
    pty_under_shell(s == SUSPENDED || signals[k].is == STOPS);
    bool ok = into(&p, s);
    pty_under_shell(false);
    if (signals[k].is == STOPS && s == SUSPENDED) {
        kill(p.pid, SIGCONT);
        ok = ok && pty_shows(&p, "?help", 3) >= 0;
    }
    kill(p.pid, signals[k].sig);
    if (s == SUSPENDED && signals[k].is != STOPS) kill(p.pid, SIGCONT);
    if (signals[k].is == STOPS) ok = ok && stops_and_goes_on(&p, s);
    else ok = ok && pty_ended(&p, 3) && pty_code(&p) == (signals[k].is == DIES ? 128 + signals[k].sig : 0);
    ok = restored(&p) && ok && p.vt.n_bad == 0;
    if (!ok) printf("# %s in %s: code %d, %s, %s\n", signals[k].name, state_names[s], pty_code(&p), restored(&p) ? "restored" : "not restored", p.vt.bad);
    pty_close(&p);
    return ok;
}

static void test_signals(void) {
    int rounds = full ? 10 : 1, good = 0, all = 0;
    for (int r = 0; r < rounds; r++)
        for (size_t k = 0; k < LEN(signals); k++)
            for (int s = 0; s < STATES; s++) {
                if (!longer && (k + (size_t)s) % 7 != 0 && s != DASHBOARD) continue; /* a Latin square's worth of them */
                good += one_trial(k, (enum state)s);
                all++;
            }
    tap_ok(good == all && session_alive(), "r.D1 t.D5: %d of %d trials of 14 signals in six states leave the terminal as it was, the session lives", good, all);
}

/* A crash says once where it happened. */
static void test_crash_report(void) {
    struct pty p;
    dash(&p, 24, 80, "xterm-256color", NULL, NULL);
    kill(p.pid, SIGSEGV);
    pty_ended(&p, 3);
    const char *first = p.got.len ? memmem(p.got.data, p.got.len, "ended by signal 11", 18) : NULL;
    size_t left = first ? p.got.len - (size_t)(first - p.got.data) - 18 : 0;
    tap_ok(first && !memmem(first + 18, left, "ended by signal", 15), "r.D1: exactly one crash report");
    pty_close(&p);
}

static void test_client_killed(void) {
    int rounds = full ? 50 : longer ? 15 : 6, good = 0;
    for (int i = 0; i < rounds; i++) {
        struct pty p, q;
        bool ok = dash(&p, 24, 80, i % 2 ? "xterm-256color" : "vt100", NULL, NULL);
        kill(p.pid, SIGKILL);
        ok = pty_ended(&p, 2) && restored(&p) && ok;
        ok = dash(&q, 24, 80, "xterm-256color", NULL, NULL) && ok; /* the next start */
        leave(&q);
        pty_close(&p);
        good += ok;
    }
    tap_ok(good == rounds, "r.D2 t.D5: %d of %d kills of the client: the session mends the terminal, the next start draws", good, rounds);
}

/* Nobody is left to mend it: the session is killed first. hone reset does. */
static void test_reset(void) {
    int rounds = full ? 50 : longer ? 15 : 3, good = 0;
    for (int i = 0; i < rounds; i++) {
        struct pty p;
        bool ok = dash(&p, 24, 80, "xterm-256color", NULL, NULL);
        int session = session_pid(dir);
        kill(p.pid, SIGSTOP);
        if (session > 1) kill(session, SIGKILL);
        kill(p.pid, SIGKILL);
        ok = pty_ended(&p, 2) && !vt_plain(&p.vt) && ok;
        char reset[4300];
        snprintf(reset, sizeof reset, "TERM=xterm-256color '%s' reset <'%s' >'%s'", hone, ptsname(p.master), ptsname(p.master));
        char *argv[] = {(char *)(uintptr_t) "/bin/sh", (char *)(uintptr_t) "-c", reset, NULL};
        ok = run_out(&out, argv) == 0 && ok;
        pty_quiet(&p, 0.05, 1);
        struct termios now;
        pty_modes(&p, &now);
        ok = ok && vt_plain(&p.vt) && (now.c_lflag & (ICANON | ECHO | ISIG)) == (ICANON | ECHO | ISIG) && now.c_oflag & OPOST;
        pty_close(&p);
        good += ok;
    }
    tap_ok(good == rounds, "r.D2: %d of %d times hone reset mends what a killed client of a killed session left", good, rounds);
}

static void test_session_killed(void) {
    int rounds = full ? 10 : longer ? 5 : 2, good = 0;
    static const int how[] = {SIGKILL, SIGSEGV, SIGABRT};
    for (int i = 0; i < rounds; i++) {
        struct pty p;
        bool ok = dash(&p, 24, 80, "xterm-256color", NULL, NULL);
        int session = session_pid(dir);
        if (session > 1) kill(session, how[i % 3]);
        ok = ok && session > 1 && pty_ended(&p, 3) && pty_code(&p) == 1 && restored(&p);
        ok = ok && memmem(p.got.data, p.got.len, "ended without a word", 20);
        pty_close(&p);
        good += ok;
    }
    tap_ok(good == rounds, "t.D5: %d of %d deaths of the session: the client restores the terminal and says so", good, rounds);
}

/* A parent that ignores HUP, or one that blocks it, must not keep a client of a vanished terminal alive. */
static void test_hangup(void) {
    int good = 0, rounds = 0;
    for (int i = 0; i < 3; i++, rounds++) {
        struct pty p;
        sigset_t s;
        sigemptyset(&s);
        sigaddset(&s, SIGHUP);
        if (i == 1) signal(SIGHUP, SIG_IGN);
        if (i == 2) sigprocmask(SIG_BLOCK, &s, NULL);
        bool ok = dash(&p, 24, 80, "xterm-256color", NULL, NULL);
        signal(SIGHUP, SIG_DFL);
        sigprocmask(SIG_UNBLOCK, &s, NULL);
        close(p.slave);
        p.slave = open("/dev/null", O_RDONLY | O_CLOEXEC);
        double t = clock_now();
        pty_hangup(&p);
        ok = pty_ended(&p, 3) && clock_now() - t <= 1 * TAP_SLOW && ok;
        double cpu = ui_seconds(session_pid(dir));
        clock_sleep(0.5);
        double used = ui_seconds(session_pid(dir)) - cpu;
        good += ok && used < 0.05 && session_alive();
        if (used >= 0.05) printf("# the session used %.3f s of 0.5 s\n", used);
        pty_close(&p);
    }
    tap_ok(good == rounds, "r.D3: %d of %d hang-ups (HUP as it comes, ignored, blocked): the client is gone within 1 s, what remains is idle", good, rounds);
}

int main(void) {
    struct pty p;
    char *sleeper[] = {(char *)(uintptr_t) "/bin/true", NULL};
    if (!fix_open("restore")) return 99;
    pty_start(&p, 24, 80, "xterm-256color", sleeper);
    pty_modes(&p, &fresh);
    pty_close(&p);
    test_signals();
    test_crash_report();
    test_client_killed();
    test_hangup();
    test_reset();
    test_session_killed();
    return fix_close();
}
