/* Attaching, detaching and what happens between: a run that never notices, take-over, first paints on five terminal types, no leak over many cycles,
 * resizes and stops without number, output of native code. With HONE_LONG=1 more of it, with HONE_LONG=full in full length. Ratios of speed are printed; here
 * only a stall fails. */
#include "config.h"

#include <fcntl.h>

#include "src/base/rng.h"
#include "tests/sock/fix.h"

static const char *const terms[] = {"xterm-256color", "xterm", "tmux-256color", "vt100", "linux"};
static const int sizes[][2] = {{24, 80}, {50, 200}, {12, 46}};

static double middle(double *v, int n) {
    qsort(v, (size_t)n, sizeof *v, by_value);
    return v[n / 2];
}

/* The terminal shows the cells that the session says it drew. Numbers may move between the two looks. */
static bool same_screen(struct pty *p) {
    for (int i = 0; i < 10; i++) {
        struct buf b = BUF_INIT;
        pty_quiet(p, 0.05, 1);
        vt_text(&p->vt, &b);
        bool same = word("screen", NULL, NULL) == 0 && strcmp(out.data, b.data) == 0;
        buf_release(&b);
        if (same) return true;
    }
    return false;
}

static void test_paints(void) {
    int rounds = full ? 7 : longer ? 2 : 1, good = 0, n = 0;
    double t[105];
    for (int r = 0; r < rounds; r++)
        for (size_t k = 0; k < LEN(terms); k++)
            for (size_t s = 0; s < LEN(sizes); s++) {
                struct pty p;
                bool ok = dash(&p, sizes[s][0], sizes[s][1], terms[k], n ? "attach" : NULL, NULL);
                t[n++] = p.first > 0 ? p.first - p.started : 9;
                ok = ok && same_screen(&p);
                pty_keys(&p, "q");
                ok = pty_ended(&p, 5) && pty_code(&p) == 0 && vt_plain(&p.vt) && p.vt.n_bad == 0 && ok;
                if (!ok) printf("# %s %dx%d: code %d %s\n", terms[k], sizes[s][1], sizes[s][0], pty_code(&p), p.vt.bad);
                good += ok;
                pty_close(&p);
            }
    tap_ok(good == n, "t.D2: %d of %d attaches over 5 terminal types and 3 sizes draw what the session drew and leave the terminal plain", good, n);
    qsort(t + 1, (size_t)n - 1, sizeof *t, by_value);
    tap_ok(t[n / 2] < 1 * TAP_SLOW, "t.D2: attach to first byte p50 %.1f ms, p95 %.1f ms, exec included", t[n / 2] * 1e3, t[n * 95 / 100] * 1e3);
}

static void test_cycles(void) {
    int rounds = full ? 1000 : longer ? 200 : 40, pid = session_pid(dir), drawn = 0;
    long kb = 0;
    int fds = 0;
    for (int i = -20; i < rounds; i++) {
        struct pty p;
        if (i == 0) kb = resident_kb(pid), fds = count_fds(pid);
        drawn += dash(&p, sizes[(i + 20) % 3][0], sizes[(i + 20) % 3][1], terms[(i + 20) % 5], "attach", NULL);
        if (i % 4 == 1) kill(p.pid, SIGKILL);
        else if (i % 4 == 2) kill(p.pid, SIGHUP);
        else pty_keys(&p, "q");
        pty_ended(&p, 5);
        pty_close(&p);
    }
    clock_sleep(0.3);
    long grown = resident_kb(pid) - kb;
    int after = count_fds(pid);
    long room = TAP_SLOW > 1 ? 256 << 10 : 1024; /* the address sanitizer keeps what was freed, up to 256 MiB */
    tap_ok(drawn == rounds + 20 && grown < room && after <= fds, "t.D3: %d attach cycles: resident memory grew by %ld KiB, descriptors %d then %d", rounds,
        grown, fds, after);
}

static void test_idle_cost(void) {
    int pid = session_pid(dir);
    double seconds = full ? 20 : 3;
    clock_sleep(0.5);
    double cpu = ui_seconds(pid);
    clock_sleep(seconds);
    double share = 100 * (ui_seconds(pid) - cpu) / seconds;
    tap_ok(cpu >= 0 && share < 0.1 * TAP_SLOW, "t.D4: detached and idle the thread that draws takes %.4f %% of a core", share);
}

/* ---- while a run trains ---- */

enum cause { SIG_HUP, KILL_9, VANISH, STALL, FROZEN, CAUSES };
static const char *const cause_names[] = {
    "HUP to the client", "kill -9 of the client", "a terminal that vanishes", "a terminal that does not read", "a stopped client"};

static void happens(struct pty *p, enum cause c) {
    if (c == SIG_HUP) kill(p->pid, SIGHUP);
    if (c == KILL_9) kill(p->pid, SIGKILL);
    if (c == VANISH) {
        close(p->slave);
        p->slave = open("/dev/null", O_RDONLY | O_CLOEXEC);
        pty_hangup(p);
    }
    if (c == FROZEN) kill(p->pid, SIGSTOP);
    for (int k = 0; c == STALL && k < 60; k++) { /* screens enough to fill what lies between */
        pty_keys(p, k % 2 ? "9" : "1");
        clock_sleep(0.005);
    }
}

static void test_run_goes_on(void) {
    int rounds = full ? 5 : longer ? 3 : 1;
    double stretch = full ? 6 : 0.7, worst = 9;
    for (int c = 0; c < CAUSES; c++) {
        double ratio[5];
        for (int i = 0; i < rounds; i++) {
            struct pty p;
            dash(&p, 24, 80, "xterm-256color", "attach", NULL);
            double before = rate(stretch, &p);
            happens(&p, (enum cause)c);
            ratio[i] = rate(stretch, NULL) / before;
            kill(p.pid, SIGCONT);
            kill(p.pid, SIGKILL);
            pty_ended(&p, 2);
            pty_close(&p);
        }
        double m = middle(ratio, rounds);
        printf("# %s: steps a second %.3f of those before\n", cause_names[c], m);
        if (m < worst) worst = m;
    }
    tap_ok(worst > (full ? 0.5 : 0.1),
        "t.D1: hang-up, HUP, kill -9, a stopped client, a terminal that does not read: the run goes on, %.3f of its speed at worst", worst);
}

/* The first client is stopped, so its session cannot reach it; it says why it ended when it goes on. */
static void test_take_over(void) {
    struct pty p, q;
    dash(&p, 24, 80, "xterm-256color", "attach", NULL);
    kill(p.pid, SIGSTOP);
    pty_start(&q, 40, 120, "xterm", (char *[]){hone, (char *)(uintptr_t) "attach", NULL});
    bool drawn = pty_shows(&q, "?help", 15) >= 0;
    double first = q.first - q.started;
    kill(p.pid, SIGCONT);
    bool said = pty_ended(&p, 15) && pty_code(&p) == 0 && pty_expect(&p, "detached: another terminal attached to this session", 5) && vt_plain(&p.vt);
    tap_ok(drawn && said, "t.D1: a second attach takes over from a stopped client, which then says so in one line");
    tap_ok(drawn && first < 0.1 * (TAP_SLOW + 4), "t.P2: it succeeds beside a stalled one: first byte after %.1f ms", first * 1e3);
    leave(&q);
    pty_close(&p);
}

static void test_run_cost(void) {
    int pid = session_pid(dir);
    double seconds = full ? 20 : 2, cpu = ui_seconds(pid);
    clock_sleep(seconds);
    double share = 100 * (ui_seconds(pid) - cpu) / seconds;
    tap_ok(cpu >= 0 && share < 0.5 * TAP_SLOW, "t.D4: detached while a run trains the thread that draws takes %.4f %% of a core", share);
}

/* Seconds of processor time of a process's threads that are not the engine's: they serve and draw, run scripts, write files. */
static double other_seconds(int pid) {
    static const char *const names[] = {"hone\n", "hone-script\n", "hone-writer\n"};
    char path[128], text[64];
    double sum = 0;
    snprintf(path, sizeof path, "/proc/%d/task", pid);
    DIR *d = opendir(path);
    for (struct dirent *x; d && (x = readdir(d)) != NULL;) {
        bool counts = false;
        snprintf(path, sizeof path, "/proc/%d/task/%.20s/comm", pid, x->d_name);
        FILE *f = fopen(path, "r");
        if (f && fgets(text, sizeof text, f))
            for (size_t i = 0; i < LEN(names); i++) counts = counts || strcmp(text, names[i]) == 0;
        if (f) fclose(f);
        snprintf(path, sizeof path, "/proc/%d/task/%.20s/schedstat", pid, x->d_name);
        f = counts ? fopen(path, "r") : NULL;
        if (f && fgets(text, sizeof text, f)) sum += strtod(text, NULL) * 1e-9;
        if (f) fclose(f);
    }
    if (d) closedir(d);
    return sum;
}

/* What the dashboard costs at 10 Hz, in turns with stretches without one. tests/bench/attach gives the figures of a quiet machine. */
static void test_cost(void) {
    int pairs = full ? 20 : longer ? 4 : 2, pid = session_pid(dir);
    double seconds = full ? 3 : 0.7, share[2] = {0}, ratio[20];
    word("set", "refresh", "10");
    for (int i = 0; i < pairs; i++) {
        double speed[2];
        for (int turn = 0; turn < 2; turn++) {
            int on = turn != i % 2;
            struct pty p;
            if (on) dash(&p, 24, 80, "xterm-256color", "attach", NULL), pty_read(&p, 0.2);
            double s0 = steps(), t0 = clock_now(), before = other_seconds(pid) + (on ? ui_seconds(p.pid) : 0);
            if (on) pty_read(&p, seconds);
            else clock_sleep(seconds);
            share[on] += 100 * (other_seconds(pid) + (on ? ui_seconds(p.pid) : 0) - before) / (clock_now() - t0) / pairs;
            speed[on] = (steps() - s0) / (clock_now() - t0);
            if (on) leave(&p);
        }
        ratio[i] = speed[1] / speed[0];
    }
    word("set", "refresh", "2");
    double m = middle(ratio, pairs);
    tap_ok(share[1] > 0 && share[1] < 10 * TAP_SLOW && share[0] < 5 * TAP_SLOW && m > 0.2,
        "t.P1: all threads but the engine's and the client: %.3f %% of a core at 10 Hz, %.3f %% detached; steps a second attached %.3f of those detached",
        share[1], share[0], m);
}

/* Readers that go away or cannot write, while a run trains in the session they ask. */
static void test_pipes(void) {
    static const char *const line[] = {"'%s' log -f | head -n 1 >/dev/null; exit 0", "'%s' status >/dev/full; [ $? = 1 ]", "'%s' status 1>&-; [ $? = 1 ]",
        "'%s' status 2>/dev/full >/dev/full; [ $? = 1 ]", "'%s' ls | head -c 1 >/dev/null", "'%s' status >/dev/null <&- 2>&-"};
    int good = 0;
    word("note", "a line for the log", NULL);
    for (size_t i = 0; i < LEN(line); i++) {
        char text[4400];
        const char *at = strstr(line[i], "%s");
        snprintf(text, sizeof text, "%.*s%s%s", (int)(at - line[i]), line[i], hone, at + 2);
        char *argv[] = {(char *)(uintptr_t) "/bin/sh", (char *)(uintptr_t) "-c", text, NULL};
        int code = run_out(&out, argv);
        good += code == 0;
        if (code) printf("# %s: exit %d, %s\n", line[i], code, out.len ? out.data : "");
    }
    double before = steps();
    for (int i = 0; i < 50 && steps() <= before; i++) clock_sleep(0.1);
    tap_ok(good == (int)LEN(line) && steps() > before,
        "r.D7: pipes that close, full devices, closed descriptors: %d of %zu exit codes are right, the run goes on", good, LEN(line));
}

static void test_last_screen(void) {
    struct pty p;
    dash(&p, 24, 80, "xterm-256color", "attach", NULL);
    leave(&p);
    struct pty q;
    char *argv[] = {hone, (char *)(uintptr_t) "attach", NULL};
    pty_dash(&q, 24, 80, "xterm-256color", argv, 5);
    pty_keys(&q, "q");
    bool ended = pty_ended(&q, 3);
    const char *after = q.got.len ? memmem(q.got.data, q.got.len, "\033[?1049l", 8) : NULL;
    tap_ok(ended && after && strstr(after, " german-credit-") && strstr(after, "detached; the run goes on: hone attach") &&
               vt_shows(&q.vt, "detached; the run goes on"),
        "t.D1: the last screen and what goes on stand below the prompt after q");
    pty_close(&q);
}

/* ---- sizes and stops ---- */

static void test_resizes(void) {
    struct pty p;
    int n = full ? 10000 : longer ? 2000 : 250;
    uint64_t s = rng_stream(11, "sizes", 0);
    dash(&p, 24, 80, "xterm-256color", NULL, NULL);
    for (int i = 0; i < n; i++) {
        uint64_t k = (uint64_t)i * 2;
        int rows = 1 + (int)rng_below(s, 0, k, 120), cols = 1 + (int)rng_below(s, 0, k + 1, 300);
        if (i % 50 == 7) rows = cols = 1;
        if (i % 50 == 14) rows = cols = 0;
        if (i % 500 == 21) rows = cols = 1000;
        pty_size(&p, rows, cols);
        pty_read(&p, i % 10 ? 0.001 : 0.02);
    }
    pty_size(&p, 24, 80);
    bool shows = pty_shows(&p, "?help", 5) >= 0;
    tap_ok(shows && same_screen(&p) && session_alive(), "r.D4: %d resizes, 1x1, 0x0 and 1000x1000 among them: the last screen is that of a fresh draw", n);
    leave(&p);
}

static void test_stops(void) {
    struct pty p;
    int n = full ? 200 : longer ? 50 : 8, back = 0;
    pty_under_shell(true);
    dash(&p, 24, 80, "xterm-256color", "attach", NULL);
    pty_under_shell(false);
    for (int i = 0; i < n; i++) {
        kill(p.pid, SIGTSTP);
        for (int k = 0; k < 300 && p.vt.alt; k++) pty_read(&p, 0.005);
        bool left = !p.vt.alt && vt_plain(&p.vt);
        pty_size(&p, 24 + i % 3, 80 + i % 7); /* the window changed meanwhile */
        pty_read(&p, 0.005);
        kill(p.pid, SIGCONT);
        for (int k = 0; k < 300 && !p.vt.alt; k++) pty_read(&p, 0.005);
        back += left && pty_shows(&p, "?help", 3) >= 0;
    }
    bool same = same_screen(&p);
    tap_ok(back == n && same, "r.D4: %d of %d stops and continues, each with another size: a plain terminal, then the whole screen", back, n);
    leave(&p);
}

static void test_native(void) {
    static const char text[] = "io.stdout:write('printed by native code\\n') io.stdout:flush()\n";
    struct err e = {0};
    struct pty p;
    io_write_file("native.lua", text, sizeof text - 1, &e);
    dash(&p, 24, 80, "xterm-256color", "run", "native.lua");
    pty_quiet(&p, 0.3, 2);
    pty_keys(&p, "2");
    pty_quiet(&p, 0.1, 1);
    bool clean = !vt_shows(&p.vt, "native code") && p.vt.n_bad == 0 && same_screen(&p);
    pty_keys(&p, "9");
    tap_ok(clean && pty_shows(&p, "printed by native code", 3) >= 0 && same_screen(&p), "t.P3: what native code prints is in the log, not on the screen");
    pty_keys(&p, "1");
    leave(&p);
}

/* The script learns that its run was stopped; for the user who asked for it that is no alert. */
static void test_stopped(void) {
    struct pty p;
    dash(&p, 24, 80, "xterm-256color", "attach", NULL);
    pty_keys(&p, "1");
    pty_shows(&p, "TRAINING", 5);
    word("stop", "--now", NULL);
    bool stopped = pty_shows(&p, "STOPPED", 20) >= 0, told = pty_shows(&p, "a run of the script was stopped", 10) >= 0;
    tap_ok(stopped && told && vt_shows(&p.vt, "alerts: none"), "a stop that was asked for is told, and is no alert");
    leave(&p);
}

int main(void) {
    struct pty p;
    if (!fix_open("attach")) return 99;
    test_paints();
    test_cycles();
    test_idle_cost();
    test_native();
    test_resizes();
    test_stops();
    if (tap_ok(trains(&p), "a dashboard appeared and its run trains")) {
        leave(&p);
        test_take_over();
        test_run_cost();
        test_cost();
        test_pipes();
        test_last_screen();
        test_run_goes_on();
        test_stopped();
    }
    return fix_close();
}
