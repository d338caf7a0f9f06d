/* What the dashboard costs a run, and what a run costs the dashboard: steps a second attached against detached, processor shares
 * of the threads that are not the engine's, key to first byte with all cores busy. Prints; decides nothing. */
#include "config.h"

#include <ctype.h>
#include <dirent.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "src/base/io.h"
#include "src/base/err.h"
#include "src/base/thread.h"
#include "tests/ui/pty.h"

enum { KEYS = 400, PAIRS_MAX = 400 };

static char hone[4200], dir[64];
static int session;
static struct buf out;

/* The short step is the hard case for the record's lock, the long one for the cores. */
static const struct work {
    const char *name;
    int width, batch;
} works[] = {{"short steps", 64, 32}, {"long steps", 1024, 128}};
static const char script[] =
    "local data = hone.data{ 'bench.csv', y = 'y' }\n"
    "local w, b = tonumber(arg[1]), tonumber(arg[2])\n"
    "local net = nn.model{ input = data, nn.linear{w}, nn.relu{}, nn.linear{w}, nn.relu{}, nn.linear{2} }\n"
    "hone.train{ model = net, data = data, epochs = 10000000, batch = b, ckpt_every = 1e12, optim = optim.adam{ lr = 1e-5 } }:wait()\n";

static int word(const char *a, const char *b, const char *c) {
    char *argv[] = {hone, (char *)(uintptr_t)a, (char *)(uintptr_t)b, (char *)(uintptr_t)c, NULL};
    return run_out(&out, argv);
}

static double steps(void) {
    const char *last = NULL;
    for (int i = 0; i < 5 && !last; i++) { /* a machine with much other work may keep it from answering in time */
        const char *p = word("status", "--json", NULL) == 0 && out.len ? out.data : NULL;
        while (p && (p = strstr(p, "\"step\":"))) last = p += 7; /* the newest run comes last */
    }
    return last ? strtod(last, NULL) : 0;
}

/* Whose processor time: the engine's is not counted. */
enum who { UI, SCRIPT, WRITER, CLIENT, WHO };
static enum who who(const char *name) {
    if (strncmp(name, "hone-writer", 11) == 0) return WRITER;
    if (strncmp(name, "hone-script", 11) == 0) return SCRIPT;
    return strcmp(name, "hone\n") == 0 ? UI : WHO;
}

struct thread {
    char name[64];
    double run, ready; /* s so far; ready: without a core */
};
static DIR *threads_of(int pid) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/task", pid);
    return opendir(path);
}
/* The next one that can be read; false: there is none. */
static bool thread_next(DIR *d, int pid, struct thread *t) {
    for (struct dirent *x; d && (x = readdir(d)) != NULL;) {
        char path[128];
        if (!isdigit((unsigned char)x->d_name[0])) continue;
        snprintf(path, sizeof path, "/proc/%d/task/%.20s/comm", pid, x->d_name);
        FILE *f = fopen(path, "r");
        bool ok = f && fgets(t->name, sizeof t->name, f);
        if (f) fclose(f);
        snprintf(path, sizeof path, "/proc/%d/task/%.20s/schedstat", pid, x->d_name);
        f = ok ? fopen(path, "r") : NULL;
        ok = f && fscanf(f, "%lf %lf", &t->run, &t->ready) == 2;
        if (f) fclose(f);
        if (!ok) continue;
        t->run *= 1e-9, t->ready *= 1e-9;
        return true;
    }
    return false;
}

/* Adds a process's seconds of processor time so far. */
static void cpu(int pid, bool client, double sign, double sum[WHO]) {
    DIR *d = threads_of(pid);
    for (struct thread t; thread_next(d, pid, &t);) {
        enum who w = client ? CLIENT : who(t.name);
        if (w < WHO) sum[w] += sign * t.run;
    }
    if (d) closedir(d);
}

/* A stretch of time, with a terminal that is read or not, or none (NULL); adds what the session and the client take of the processor in it. */
static void pass(struct pty *p, bool read, double seconds, double sum[WHO]) {
    for (int end = 0; end < 2; end++) {
        cpu(session, false, end ? 1 : -1, sum);
        if (p) cpu(p->pid, true, end ? 1 : -1, sum);
        if (end) break;
        if (p && read) pty_read(p, seconds);
        else clock_sleep(seconds);
    }
}

struct stretch {
    double rate, share[WHO];
};

/* The questions at both ends lie outside the stretch whose processor time is counted. */
static struct stretch stretch(struct pty *p, double seconds) {
    struct stretch s = {0};
    double n0 = steps(), t0 = clock_now();
    pass(p, true, seconds, s.share);
    double n1 = steps(), t = clock_now() - t0;
    for (int i = 0; i < WHO; i++) s.share[i] *= 100 / t;
    s.rate = (n1 - n0) / t;
    return s;
}

static void attach(struct pty *p) {
    char *argv[] = {hone, (char *)(uintptr_t) "attach", NULL};
    pty_start(p, 24, 80, "xterm-256color", argv);
    pty_quiet(p, 0.2, 1);
}

static void detach(struct pty *p) {
    pty_keys(p, "q");
    pty_ended(p, 3);
    pty_close(p);
}

static int by_value(const void *a, const void *b) { return (*(const double *)a > *(const double *)b) - (*(const double *)a < *(const double *)b); }
static double middle(double *v, int n) {
    qsort(v, (size_t)n, sizeof *v, by_value);
    return n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

static void costs(const char *hz, int pairs, double seconds) {
    static double rate[2][PAIRS_MAX], share[2][WHO][PAIRS_MAX];
    double sum = 0, squares = 0, all[2] = {0};
    word("set", "refresh", hz);
    for (int i = 0; i < pairs; i++)
        for (int turn = 0; turn < 2; turn++) { /* A B, B A, A B .. */
            struct pty p;
            int on = turn != i % 2;
            if (on) attach(&p);
            struct stretch s = stretch(on ? &p : NULL, seconds);
            if (on) detach(&p);
            rate[on][i] = s.rate;
            for (int k = 0; k < WHO; k++) share[on][k][i] = s.share[k];
        }
    for (int i = 0; i < pairs; i++) {
        double r = log(rate[1][i] / rate[0][i]);
        sum += r;
        squares += r * r;
    }
    double mean = sum / pairs, var = pairs > 1 ? (squares - sum * mean) / (pairs - 1) : 0, half = 2.1 * sqrt(var > 0 ? var / pairs : 0);
    for (int on = 0; on < 2; on++)
        for (int k = 0; k < WHO; k++) all[on] += middle(share[on][k], pairs);
    printf("  %2s Hz  steps/s attached %.0f, detached %.0f; ratio %.4f [%.4f, %.4f]\n", hz, middle(rate[1], pairs), middle(rate[0], pairs), exp(mean),
        exp(mean - half), exp(mean + half));
    for (int on = 1; on >= 0; on--)
        printf("         %s: %.3f %% of a core (UI %.3f, script %.3f, writer %.3f, client %.3f)\n", on ? "attached" : "detached", all[on],
            middle(share[on][UI], pairs), middle(share[on][SCRIPT], pairs), middle(share[on][WRITER], pairs), middle(share[on][CLIENT], pairs));
    fflush(stdout);
}

/* ---- one per cent ----
 * What a stretch of wall-clock time gives differs by more than that from one second to the next where other work shares the cores. So what counts is the
 * engine thread's own time: what passed less what it stood ready to run and had no core. Waiting for a lock, a reader, its pool is in it. */

struct engine_time {
    double passed, run, ready; /* s; ready: without a core */
    double steps;
};

static int control = -1; /* a connection to the session: starting a program to ask takes longer than one per cent of a stretch */

static void control_open(void) {
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    const char *folder = getenv("HONE_SOCKET_DIR");
    DIR *d = opendir(folder);
    for (struct dirent *x; d && (x = readdir(d)) != NULL;)
        if (strstr(x->d_name, ".sock")) snprintf(a.sun_path, sizeof a.sun_path, "%.80s/%.24s", folder, x->d_name);
    if (d) closedir(d);
    control = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(control, (struct sockaddr *)&a, sizeof a)) close(control), control = -1;
}

/* And the middle of the moment in which it was told. */
static double steps_at(double *t) {
    static const char ask[] = "{\"id\":1,\"cmd\":\"progress\"}\n";
    char text[4096] = "";
    size_t n = 0;
    double t0 = clock_now();
    if (control < 0 || write(control, ask, sizeof ask - 1) < 0) return NAN;
    while (n < sizeof text - 1 && !memchr(text, '\n', n)) {
        ssize_t got = read(control, text + n, sizeof text - 1 - n);
        if (got <= 0) return NAN;
        n += (size_t)got;
    }
    *t = (t0 + clock_now()) / 2;
    const char *p = strstr(text, "\"step\":");
    return p ? strtod(p + 7, NULL) : NAN;
}

static struct engine_time engine_time(void) {
    struct engine_time e = {.run = NAN, .ready = NAN};
    e.steps = steps_at(&e.passed);
    DIR *d = threads_of(session);
    for (struct thread t; thread_next(d, session, &t);)
        if (strcmp(t.name, "hone-engine\n") == 0) e.run = t.run, e.ready = t.ready;
    if (d) closedir(d);
    return e;
}

enum state_of { DETACHED, READ, STALLED, STATES };

/* Seconds a step: own time, and time on a core. What the threads that are not the engine's and the client take, in per cent of a core. */
static void one_stretch(enum state_of state, double seconds, double *own, double *run, double *others) {
    double share[WHO] = {0};
    struct pty p;
    if (state != DETACHED) attach(&p);
    for (int i = 0; state == STALLED && i < 60; i++) { /* screens enough to fill what lies between; nobody reads them */
        pty_keys(&p, i % 2 ? "9" : "1");
        clock_sleep(0.003);
    }
    struct engine_time a = engine_time();
    pass(state == DETACHED ? NULL : &p, state == READ, seconds, share);
    struct engine_time b = engine_time();
    *others = 100 * (share[UI] + share[SCRIPT] + share[CLIENT]) / (b.passed - a.passed);
    *own = (b.passed - a.passed - (b.ready - a.ready)) / (b.steps - a.steps);
    *run = (b.run - a.run) / (b.steps - a.steps);
    if (state == READ) detach(&p);
    if (state == STALLED) pty_close(&p); /* hangs up */
}

/* Steps a second in b over those in a, by the rounds, with the intervals of mean and median. */
static void ratio(const char *what, const double *a, const double *b, int n) {
    double sum = 0, squares = 0, r[PAIRS_MAX];
    int all = n;
    n = 0;
    for (int i = 0; i < all; i++)
        if (isfinite(a[i] / b[i]) && a[i] / b[i] > 0) r[n] = log(a[i] / b[i]), sum += r[n], squares += r[n] * r[n], n++; /* else no answer came */
    double mean = sum / n, var = n > 1 ? (squares - sum * mean) / (n - 1) : NAN, half = 2.1 * sqrt(var / n), med = n ? middle(r, n) : NAN;
    int low = (int)floor(n / 2.0 - 0.98 * sqrt(n)); /* ranks of the median's 95 % interval: the binomial of the sign test, as a normal */
    printf("    %s %.4f [%.4f, %.4f]", what, exp(mean), exp(mean - half), exp(mean + half));
    if (low > 0) printf(", median %.4f [%.4f, %.4f]", exp(med), exp(r[low - 1]), exp(r[n - low]));
    printf(", %d rounds\n", n);
}

static void stalls(int rounds, double seconds) {
    static double own[STATES][PAIRS_MAX], run[STATES][PAIRS_MAX], others[STATES][PAIRS_MAX];
    for (int i = 0; i < rounds; i++)
        for (int k = 0; k < STATES; k++) { /* each state in each place */
            int state = (i + k) % STATES;
            one_stretch((enum state_of)state, seconds, &own[state][i], &run[state][i], &others[state][i]);
        }
    printf("  UI, script and client take of a core: detached %.3f %%, read %.3f %%, not read %.3f %% (median)\n", middle(others[DETACHED], rounds),
        middle(others[READ], rounds), middle(others[STALLED], rounds));
    printf("  steps in the engine's own time\n");
    ratio("attached, read / detached", own[DETACHED], own[READ], rounds);
    ratio("attached, not read / detached", own[DETACHED], own[STALLED], rounds);
    ratio("attached, not read / read", own[READ], own[STALLED], rounds);
    printf("  steps in the engine's time on a core\n");
    ratio("attached, read / detached", run[DETACHED], run[READ], rounds);
    ratio("attached, not read / detached", run[DETACHED], run[STALLED], rounds);
    fflush(stdout);
}

/* The floor: a program that does nothing but echo, in the same minute on the same cores. */
enum keys_of { SCREENS, PROMPT, FLOOR };
static void keys(const char *what, enum keys_of of) {
    static const char *const of_name[] = {"", ", echo at the prompt", ", bare echo"}, *const typed[] = {"9k1j", "ab c", "9k1j"};
    static double t[KEYS];
    struct pty p;
    int n = 0;
    char *echo[] = {(char *)(uintptr_t) "/bin/sh", (char *)(uintptr_t) "-c", (char *)(uintptr_t) "stty raw -echo; exec cat", NULL};
    if (of == FLOOR) pty_start(&p, 24, 80, "xterm", echo), pty_quiet(&p, 0.3, 0.5);
    else attach(&p);
    if (of == PROMPT) pty_keys(&p, "`"), pty_shows(&p, "Lua", 2), pty_quiet(&p, 0.1, 0.5);
    for (int i = 0; i < KEYS; i++) {
        if (of == PROMPT && i % 50 == 49) pty_keys(&p, "\003"), pty_quiet(&p, 0.05, 0.2); /* a new line */
        char key[2] = {typed[of][i % 4], 0};
        double at = pty_answer(&p, key, 1);
        if (at >= 0) t[n++] = at * 1e3;
        pty_quiet(&p, 0.015, 0.1);
    }
    if (of == PROMPT) pty_keys(&p, "\003"), pty_read(&p, 0.1), pty_keys(&p, "\033"), pty_read(&p, 0.1);
    if (of == FLOOR) pty_close(&p);
    else detach(&p);
    qsort(t, (size_t)n, sizeof *t, by_value);
    if (n)
        printf("  key to first byte, %s%s: %d of %d answered; p50 %.2f ms, p95 %.2f ms, p99 %.2f ms\n", what, of_name[of], n, KEYS, t[n / 2], t[n * 95 / 100],
            t[n * 99 / 100]);
    fflush(stdout);
}

/* A table long enough that epochs, with their events, are as rare as they are in earnest. */
static int table(struct err *e) {
    struct buf b = BUF_INIT;
    uint32_t x = 12345;
    buf_adds(&b, "a,b,c,d,e,f,g,h,y\n");
    for (int i = 0; i < 40000; i++) {
        for (int j = 0; j < 8; j++) buf_addf(&b, "%.4f,", (double)((x = x * 1664525u + 1013904223u) >> 8) / (1 << 24));
        buf_addf(&b, "%s\n", x >> 31 ? "yes" : "no");
    }
    int r = io_write_file("bench.csv", b.data, b.len, e);
    buf_release(&b);
    return r;
}

static bool train(const struct work *w) {
    char width[16], batch[16];
    struct pty p;
    snprintf(width, sizeof width, "%d", w->width);
    snprintf(batch, sizeof batch, "%d", w->batch);
    char *argv[] = {hone, (char *)(uintptr_t) "run", (char *)(uintptr_t) "bench.lua", width, batch, NULL};
    pty_start(&p, 24, 80, "xterm-256color", argv);
    for (int i = 0; i < 400 && steps() < 50; i++) pty_read(&p, 0.1);
    detach(&p);
    session = session_pid(dir);
    return steps() >= 50 && session > 0;
}

int main(int argc, char **argv) {
    bool stall = argc > 1 && strcmp(argv[1], "stall") == 0;
    if (stall) argc--, argv++;
    int pairs = argc > 1 ? atoi(argv[1]) : 10;
    double seconds = argc > 2 ? strtod(argv[2], NULL) : 3;
    struct err e = {0};
    char sock[96], *real = realpath("hone", NULL);
    pairs = pairs < 1 ? 1 : pairs > PAIRS_MAX ? PAIRS_MAX : pairs;
    if (!real) return fprintf(stderr, "start it in the build folder, where ./hone is\n"), 1;
    snprintf(hone, sizeof hone, "%s", real);
    free(real);
    snprintf(dir, sizeof dir, "/tmp/hone-attach-XXXXXX");
    if (!mkdtemp(dir) || chdir(dir)) return 1;
    snprintf(sock, sizeof sock, "%s/sock", dir);
    setenv("HONE_SOCKET_DIR", sock, 1);
    setenv("LC_ALL", "C.UTF-8", 1);
    unsetenv("CI");
    if (io_write_file("bench.lua", script, sizeof script - 1, &e) || table(&e)) return 1;
    for (size_t i = 0; i < LEN(works); i++) {
        if (argc > 3 && strncmp(works[i].name, argv[3], strlen(argv[3])) != 0) continue;
        if (!train(&works[i])) return fprintf(stderr, "the run did not start\n"), 1;
        printf("%s, %d threads, %d pairs of %g s\n", works[i].name, thread_cores(), pairs, seconds);
        if (control < 0) control_open();
        if (stall) stalls(pairs, seconds);
        else costs("2", pairs, seconds), costs("10", pairs, seconds);
        for (int of = SCREENS; of <= FLOOR && !stall; of++) keys("all cores training", (enum keys_of)of);
        word("stop", "--after-step", NULL);
        word("wait", NULL, NULL);
    }
    for (int of = SCREENS; of <= FLOOR && !stall; of++) keys("idle", (enum keys_of)of);
    word("shutdown", NULL, NULL);
    char *clean[] = {(char *)(uintptr_t) "/bin/rm", (char *)(uintptr_t) "-rf", dir, NULL};
    if (chdir("/") == 0) run_out(&out, clean);
    buf_release(&out);
    return 0;
}
