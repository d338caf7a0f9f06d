/* What a person meets who comes back: what was prepared while they waited, runs that were killed, settings that were kept. Needs no data but the samples.
 * With HONE_LONG=1 there are 10 kills instead of four, with HONE_LONG=full 25. */
#include "config.h"

#include <fcntl.h>

#include "src/base/rng.h"
#include "tests/sock/fix.h"

static void screen_print(const struct pty *p) {
    struct buf b = BUF_INIT;
    vt_text(&p->vt, &b);
    for (const char *l = b.data; l && *l; l += strcspn(l, "\n") + 1) printf("#   %.*s\n", (int)strcspn(l, "\n"), l);
    buf_release(&b);
}

/* ---- t.S4: seconds while a script prepares ---- */

static const char slow_script[] = "local t = os.time()\nwhile os.time() < t + 4 do end\n";

static void test_prepare(void) {
    static const char *const terms[] = {"xterm-256color", "screen-256color", "linux"};
    int good = 0;
    for (size_t i = 0; i < LEN(terms); i++) {
        struct pty p;
        double first = dash(&p, 24, 80, terms[i], "run", "slow.lua") ? pty_shows(&p, "A script runs, 1 s", 8 * TAP_SLOW) : -1;
        double next = first < 0 ? -1 : pty_shows(&p, "A script runs, 2 s", 3 * TAP_SLOW);
        if (next > 0 && p.vt.n_bad == 0) good++;
        else
            printf("# %s: 1 s after %.1f s, 2 s after %.1f s more; %s\n", terms[i], first, next, p.vt.bad), screen_print(&p), pty_keys(&p, "9"),
                pty_read(&p, 1), screen_print(&p);
        pty_close(&p);
        session_end();
    }
    tap_ok(good == (int)LEN(terms), "t.S4: while a script prepares its seconds go on, on %d of %d terminal types", good, (int)LEN(terms));
}

/* ---- t.E4: kill -9 at a random moment, and the next start ---- */

enum { INTERVAL = 1000 };
static const char kill_script[] =
    "local data = hone.data{ 'german-credit', val = 200 }\n"
    "local net = nn.model{ input = data, nn.linear{64}, nn.relu{}, nn.linear{2} }\n"
    "hone.train{ model = net, data = data, epochs = 1000000, batch = 32, ckpt_every = 1000, optim = optim.adam{ lr = 1e-4 } }:wait()\n";

static int64_t saved_steps(const char *run) { /* newest folder with a commit record */
    char path[300];
    int64_t best = -1;
    snprintf(path, sizeof path, "runs/%s/ckpt", run);
    DIR *d = opendir(path);
    for (struct dirent *de; d && (de = readdir(d));) {
        char commit[600];
        snprintf(commit, sizeof commit, "%s/%s/commit", path, de->d_name);
        if (de->d_name[0] != '.' && access(commit, F_OK) == 0 && strtoll(de->d_name, NULL, 10) > best) best = strtoll(de->d_name, NULL, 10);
    }
    if (d) closedir(d);
    return best;
}

static pid_t line_run(const char *script) {
    pid_t pid = fork();
    if (pid == 0) {
        int null = open("/dev/null", O_RDWR);
        for (int fd = 0; fd < 3; fd++) dup2(null, fd);
        execl(hone, hone, "run", "--plain", script, (char *)NULL);
        _exit(127);
    }
    return pid;
}

static const char *said_line(const char *run) {
    static char line[400];
    char want[100];
    snprintf(want, sizeof want, "%s crashed", run);
    const char *p = out.len ? strstr(out.data, want) : NULL;
    snprintf(line, sizeof line, "%.*s", p ? (int)strcspn(p, "\n") : 0, p ? p : "");
    return line;
}

/* Kills one run at a random moment after its first checkpoint; what the next start says. lost < 0: it says nothing right. */
static int64_t one_kill(int i) {
    char run[40];
    snprintf(run, sizeof run, "german-credit-%d", i + 1);
    pid_t pid = line_run("kill.lua");
    for (int k = 0; k < 600 * TAP_SLOW && saved_steps(run) < 0; k++) clock_sleep(0.05);
    clock_sleep(0.7 * rng_unit(5, 0, (uint64_t)i));
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    int64_t saved = saved_steps(run);
    char *argv[] = {hone, (char *)(uintptr_t) "run", (char *)(uintptr_t) "--plain", (char *)(uintptr_t) "nothing.lua", NULL};
    run_out(&out, argv);
    const char *text = said_line(run);
    long long from = -1, done = -1, lost = -1;
    const char *at = strstr(text, "from step "), *had = strstr(text, "had done step "), *so = strstr(text, ", so ");
    if (at) from = strtoll(at + 10, NULL, 10);
    if (had) done = strtoll(had + 14, NULL, 10);
    if (so) lost = strtoll(so + 5, NULL, 10);
    bool right = saved > 0 && from == saved && lost == done - from && lost >= 0 && strstr(text, "hone train resume=");
    run_out(&out, argv);
    bool once = !said_line(run)[0];
    if (!right || !once) printf("# kill %d: saved %lld, said \"%s\", once %d\n", i, (long long)saved, text, once);
    return right && once ? lost : -1;
}

static void test_kills(void) {
    int n = full ? 25 : longer ? 10 : 4, good = 0;
    int64_t most = 0;
    for (int i = 0; i < n; i++) {
        int64_t lost = one_kill(i);
        if (lost >= 0) good++;
        if (lost > most) most = lost;
    }
    tap_ok(good == n && most <= 2 * INTERVAL,
        "t.E4: %d of %d runs killed with -9: the next start says it, once, with the newest checkpoint; at most %lld steps were lost, checkpoints are %d apart",
        good, n, (long long)most, INTERVAL);
    word("status", "--json", NULL);
    tap_ok(out.len && strstr(out.data, "\"crashed\"") && steps() > 0, "t.E4: the list of runs knows how far it had come (%.0f)", steps());
}

/* The session is killed with a dashboard attached: the client says so, the next dashboard has a banner, the run goes on from its checkpoint. */
static void test_session_kill(void) {
    struct pty p;
    char run[40] = "", path[80];
    bool up = dash(&p, 24, 80, "xterm-256color", "run", "kill.lua");
    for (int k = 1; k < 60; k++) { /* its name is the next free one */
        snprintf(run, sizeof run, "german-credit-%d", k);
        snprintf(path, sizeof path, "runs/%s/run.json", run);
        if (!io_exists(path) || word("status", run, "--json") != 0 || !out.len || !strstr(out.data, "\"crashed\"")) break;
    }
    for (int i = 0; i < 300 * TAP_SLOW && saved_steps(run) < INTERVAL; i++) pty_read(&p, 0.1);
    int64_t saved = -1;
    pid_t session = session_pid(dir);
    if (session > 1) kill(session, SIGKILL);
    bool ended = pty_ended(&p, 5 * TAP_SLOW), told = p.got.len && strstr(p.got.data, "ended without a word");
    pty_close(&p);
    tap_ok(up && ended && told, "t.E4: kill -9 of the session: its client says so and leaves");
    saved = saved_steps(run);
    char *argv[] = {hone, NULL};
    bool again = pty_dash(&p, 24, 80, "xterm-256color", argv, 10 * TAP_SLOW);
    char want[100];
    snprintf(want, sizeof want, "! %s crashed: hone train resume=", run);
    double shown = pty_shows(&p, want, 5 * TAP_SLOW);
    tap_ok(again && shown >= 0, "t.E4: the next dashboard says it on every screen (%.1f s)", shown);
    if (shown < 0) screen_print(&p);
    char resume[100];
    snprintf(resume, sizeof resume, ":train resume=%s\r", run);
    pty_keys(&p, resume);
    double goes_on = pty_shows(&p, "TRAINING", 20 * TAP_SLOW);
    pty_read(&p, 0.5);
    double at = steps();
    tap_ok(goes_on >= 0 && at > (double)saved, "t.E4: it goes on from there by what was said: step %.0f, saved was %lld", at, (long long)saved);
    pty_close(&p);
    word("stop", "--now", "--discard");
    session_end();
}

int main(void) {
    struct err e = {0};
    if (!fix_open("story") || io_write_file("slow.lua", slow_script, sizeof slow_script - 1, &e) ||
        io_write_file("kill.lua", kill_script, sizeof kill_script - 1, &e) || io_write_file("nothing.lua", "", 0, &e))
        return 99;
    test_prepare();
    test_kills();
    test_session_kill();
    return fix_close();
}
