/* A run that trains while its terminal misbehaves: dashboards that stall, are killed, come back; stop, wait, status from outside;
 * signals in line mode and in the session. With HONE_LONG=full the stall lasts 60 s. Needs no data but the samples. */
#include "config.h"

#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "src/base/io.h"
#include "src/base/thread.h"
#include "tests/ui/pty.h"
#include "tests/tap.h"

static char hone[4200], dir[64];
static bool longer, full;
static struct buf out;

static const char script[] = "local data = hone.data{ 'german-credit' }\n"
                             "local net = nn.model{ input = data, nn.linear{64}, nn.relu{}, nn.linear{2} }\n"
                             "local run = hone.train{ model = net, data = data, epochs = 1000000, batch = 32, optim = optim.adam{ lr = 1e-4 } }\n"
                             "run:wait()\n";

static int word(const char *a, const char *b, const char *c) {
    char *argv[] = {hone, (char *)(uintptr_t)a, (char *)(uintptr_t)b, (char *)(uintptr_t)c, NULL};
    return run_out(&out, argv);
}

static double number_after(const char *key) {
    char *p = out.len ? strstr(out.data, key) : NULL;
    return p ? strtod(p + strlen(key), NULL) : -1;
}

static double steps(void) { return word("status", "--json", NULL) == 0 ? number_after("\"step\":") : -1; }

/* Steps a second over a stretch; the status calls at both ends are the same work for every stretch. */
static double rate(double seconds, struct pty *reads) {
    double s0 = steps(), t0 = clock_now();
    if (reads) pty_read(reads, seconds);
    else clock_sleep(seconds);
    double s1 = steps(), t1 = clock_now();
    return (s1 - s0) / (t1 - t0);
}

static bool started(struct pty *p, const char *name) {
    char *argv[] = {hone, (char *)(uintptr_t) "run", (char *)(uintptr_t)name, NULL};
    pty_start(p, 24, 80, "xterm-256color", argv);
    for (int i = 0; i < 100 && steps() < 100; i++) pty_read(p, 0.1);
    return steps() >= 100;
}

static int by_value(const void *a, const void *b) { return (*(const double *)a > *(const double *)b) - (*(const double *)a < *(const double *)b); }

/* Steps a second in the middle stretch of each kind: while the terminal is read, while it is not. */
static void stretches(struct pty *p, int rounds, double *read_out, double *stalled_out) {
    double read_s[6], stalled_s[6], stretch = full ? 8 : 1.5;
    for (int i = 0; i < rounds; i++) { /* interleaved, and the middle one counts: the machine has other work too */
        read_s[i] = rate(stretch, p);
        for (int k = 0; k < 40; k++) { /* screens enough to fill what lies between */
            pty_keys(p, k % 2 ? "9" : "1");
            clock_sleep(0.005);
        }
        stalled_s[i] = rate(i == 0 && longer ? (full ? 60 : 12) : stretch, NULL);
        pty_quiet(p, 0.1, 3);
    }
    qsort(read_s, (size_t)rounds, sizeof read_s[0], by_value);
    qsort(stalled_s, (size_t)rounds, sizeof stalled_s[0], by_value);
    *read_out = read_s[rounds / 2];
    *stalled_out = stalled_s[rounds / 2];
}

static void test_stall(struct pty *p) {
    int rounds = full ? 6 : 3;
    double read = 0, stalled = 0;
    for (int tries = 0; tries < 3 && (stalled <= 0 || stalled < 0.8 * read); tries++) stretches(p, rounds, &read, &stalled);
    tap_ok(stalled > 0 && stalled >= 0.8 * read, "t.P2: a terminal that is not read: %.0f steps/s, read %.0f (middle of %d stretches)", stalled, read, rounds);
    for (int k = 0; k < 40; k++) pty_keys(p, k % 2 ? "9" : "1"); /* and stays stalled */
    struct pty second;
    char *argv[] = {hone, (char *)(uintptr_t) "attach", NULL};
    pty_start(&second, 24, 80, "xterm", argv);
    pty_expect(&second, "\033", 3);
    tap_ok(
        second.first > 0 && second.first - second.started <= 0.15, "t.P2: attach beside it: first paint after %.1f ms", (second.first - second.started) * 1e3);
    kill(second.pid, SIGKILL);
    pty_ended(&second, 2);
    pty_close(&second);
    double before = steps();
    clock_sleep(0.5);
    tap_ok(steps() > before, "kill -9 of a client: the run goes on");
}

/* The echo of a key at the prompt while the engine trains. A time: here only a hang fails, tests/bench/attach measures. */
static void test_echo(void) {
    enum { N = 100 };
    struct pty p;
    char *argv[] = {hone, (char *)(uintptr_t) "attach", NULL};
    double t[N];
    int n = 0;
    bool open = pty_dash(&p, 24, 80, "xterm-256color", argv, 10);
    pty_keys(&p, "`");
    open = open && pty_shows(&p, "Lua", 5) >= 0;
    for (int i = 0; i < N; i++) {
        if (i % 50 == 49) pty_keys(&p, "\003"), pty_quiet(&p, 0.05, 0.2); /* a new line */
        double s = pty_answer(&p, i % 4 == 3 ? " " : "a", 5);
        if (s >= 0) t[n++] = s * 1e3;
        pty_quiet(&p, 0.01, 0.05);
    }
    qsort(t, (size_t)n, sizeof t[0], by_value);
    tap_ok(open && n == N && t[n * 95 / 100] < 1000, "t.L2: echo of a key at the prompt while training: p50 %.2f ms, p95 %.2f ms, %d of %d", n ? t[n / 2] : -1,
        n ? t[n * 95 / 100] : -1, n, N);
    pty_keys(&p, "\003");
    pty_quiet(&p, 0.05, 0.2);
    pty_keys(&p, "\033");
    pty_quiet(&p, 0.1, 0.3);
    pty_keys(&p, "q");
    pty_ended(&p, 5);
    pty_close(&p);
}

static bool has_high(const struct buf *b) {
    for (size_t i = 0; i < b->len; i++)
        if ((unsigned char)b->data[i] >= 0x80) return true;
    return false;
}

/* Settings change what an attached terminal gets at once; a budget is kept, first paint apart. */
static void test_settings(void) {
    struct pty p;
    char *argv[] = {hone, (char *)(uintptr_t) "attach", (char *)(uintptr_t) "--budget", (char *)(uintptr_t) "200", NULL};
    double seconds = full ? 120 : longer ? 31 : 6, window = 30;
    size_t worst = 0, sum = 0, piece[1200] = {0};
    word("set", "refresh", "10");
    pty_start(&p, 24, 80, "xterm-256color", argv);
    pty_expect(&p, "\033[2J", 3);
    pty_read(&p, 0.5);
    for (int i = 0; i < seconds * 10; i++) {
        piece[i] = pty_read(&p, 0.1);
        sum += piece[i] - (i >= window * 10 ? piece[i - (int)window * 10] : 0);
        if (sum > worst) worst = sum;
    }
    double over = seconds < window ? seconds : window;
    tap_ok(worst > 0 && (double)worst <= over * 220 + 100, "t.W7: --budget 200 at 10 Hz: %.0f B/s in the worst %g s", (double)worst / over, over);
    word("set", "budget", "0");
    pty_quiet(&p, 0.05, 0.2);
    word("set", "glyphs", "ascii");
    pty_read(&p, 0.4);
    pty_forget(&p);
    pty_read(&p, 1);
    tap_ok(p.got.len > 50 && !has_high(&p.got), "set budget 0 and set glyphs ascii hold from the next frame (%zu bytes in 1 s)", p.got.len);
    word("set", "color", "none");
    pty_read(&p, 0.3);
    pty_forget(&p);
    pty_read(&p, 0.5);
    tap_ok(p.got.len > 0 && !memmem(p.got.data, p.got.len, "38;5", 4), "so does set color none");
    static const char *const back[][2] = {{"color", "auto"}, {"glyphs", "auto"}, {"refresh", "2"}};
    for (size_t i = 0; i < LEN(back); i++) word("set", back[i][0], back[i][1]);
    pty_keys(&p, "q");
    pty_ended(&p, 2);
    pty_close(&p);
}

static void test_stop(void) {
    struct pty w;
    char *argv[] = {hone, (char *)(uintptr_t) "wait", NULL};
    pty_start(&w, 24, 80, "dumb", argv);
    clock_sleep(0.2);
    tap_ok(word("pause", "german-credit-1", NULL) == 0 && word("resume", "german-credit-1", NULL) == 0, "a run is named by its name");
    tap_ok(word("stop", "german-credit-1", "--after-step") == 0, "hone stop RUN --after-step");
    bool ended = pty_ended(&w, 5);
    tap_ok(ended && WIFEXITED(w.status) && WEXITSTATUS(w.status) == 3, "hone wait ends with 3 (%s, %d)", ended ? "ended" : "still there",
        ended ? WEXITSTATUS(w.status) : -1);
    pty_close(&w);
    tap_ok(word("ls", NULL, NULL) == 0 && strstr(out.data, "stopped"), "hone ls says stopped");
    tap_ok(word("status", "--json", NULL) == 0 && strstr(out.data, "\"event\":\"status\""), "hone status --json");
    tap_ok(word("log", NULL, NULL) == 0, "hone log");
}

static void test_session_term(void) {
    struct pty p;
    tap_ok(started(&p, "long.lua"), "a second run in the same session");
    word("clients", "--json", NULL);
    int pid = session_pid(dir);
    double t = clock_now();
    if (pid > 1) kill(pid, SIGTERM);
    bool ended = pty_ended(&p, 6);
    tap_ok(pid > 1 && ended && WIFEXITED(p.status) && WEXITSTATUS(p.status) == 75, "TERM to the session: dashboard ends with 75 after %.2f s", clock_now() - t);
    pty_close(&p);
    tap_ok(word("clients", NULL, NULL) == 1, "and the session is gone");
}

static void line_signal(const char *name, int first, int second, int want) {
    int status = 0;
    pid_t pid = fork();
    if (pid == 0) {
        int null = open("/dev/null", O_RDWR);
        for (int i = 0; i < 3; i++) dup2(null, i);
        signal(SIGHUP, SIG_DFL);
        execl(hone, hone, "run", "long.lua", (char *)NULL);
        _exit(127);
    }
    clock_sleep(1.2);
    double t = clock_now();
    kill(pid, first);
    if (second) {
        clock_sleep(0.3);
        kill(pid, second);
    }
    while (waitpid(pid, &status, WNOHANG) == 0 && clock_now() - t < 8) clock_sleep(0.01);
    double took = clock_now() - t;
    if (took >= 8) {
        kill(pid, SIGKILL);
        waitpid(pid, &status, 0);
    }
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    tap_ok(code == want && took < 5, "line mode, %s: exit %d after %.2f s", name, code, took);
}

int main(void) {
    const char *top = getenv("top_builddir"), *lg = getenv("HONE_LONG");
    struct err e = {0};
    longer = lg && *lg;
    full = longer && strcmp(lg, "full") == 0;
    snprintf(hone, sizeof hone, "%s/hone", top ? top : ".");
    snprintf(dir, sizeof dir, "/tmp/hone-train-XXXXXX");
    if (!mkdtemp(dir) || chdir(dir)) return 99;
    char sock[96];
    snprintf(sock, sizeof sock, "%s/sock", dir);
    setenv("HONE_SOCKET_DIR", sock, 1);
    setenv("LC_ALL", "C.UTF-8", 1);
    unsetenv("CI");
    if (io_write_file("long.lua", script, sizeof script - 1, &e)) return 99;
    struct pty p;
    if (tap_ok(started(&p, "long.lua"), "hone run on a terminal trains in a session")) {
        test_stall(&p);
        test_echo();
        test_settings();
        test_stop();
        pty_close(&p);
        test_session_term();
    }
    setenv("CI", "1", 1);
    line_signal("INT", SIGINT, 0, 3);
    line_signal("TERM", SIGTERM, 0, 75);
    line_signal("HUP", SIGHUP, 0, 75);
    line_signal("USR1", SIGUSR1, 0, 75);
    char *clean[] = {(char *)(uintptr_t) "/bin/rm", (char *)(uintptr_t) "-rf", dir, NULL};
    if (chdir("/") == 0) run_out(&out, clean);
    return tap_done();
}
