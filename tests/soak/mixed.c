/* Everything at once, for as long as asked: a run trains while a dashboard is steered, resized, detached, killed and attached again, prompt lines run and
 * are interrupted, and words of the command line ask and set. Reports of a sanitizer in any process are counted; the run must still be going at the end.
 *     mixed [SECONDS [SEED]]        $top_builddir/hone is driven; make soak-tsan, soak-asan build it with a sanitizer first */
#include "config.h"

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "src/base/io.h"
#include "src/base/rng.h"
#include "src/base/thread.h"
#include "tests/ui/pty.h"
#include "tests/tap.h"

static char hone[4200], dir[64];
static struct buf out;
static uint64_t seed = 1, draws;
static int n_keys, n_sizes, n_attach, n_lines, n_words;

static const char script[] =
    "local data = hone.data{ 'german-credit', val = 200 }\n"
    "local net = nn.model{ input = data, nn.linear{64}, nn.relu{}, nn.dropout{0.1}, nn.linear{2} }\n"
    "local run = hone.train{ model = net, data = data, epochs = 1000000, batch = 32, optim = optim.adam{ lr = 1e-4 }, eval_every = 400, ckpt_every = 1000 }\n"
    "run:on('epoch', function(e) seen = (seen or 0) + 1 if seen % 50 == 0 then print('epochs', seen) end end)\n"
    "run:wait()\n";

static int below(int n) { return (int)rng_below(seed, 1, draws++, (uint64_t)n); }
static const char *one_of(const char *const *list, size_t n) { return list[below((int)n)]; }

static int word(const char *a, const char *b, const char *c) {
    char *argv[] = {hone, (char *)(uintptr_t)a, (char *)(uintptr_t)b, (char *)(uintptr_t)c, NULL};
    n_words++;
    return run_out(&out, argv);
}

static double number_after(const char *key) {
    char *p = out.len ? strstr(out.data, key) : NULL;
    return p ? strtod(p + strlen(key), NULL) : -1;
}
static double steps(void) { return word("status", "--json", NULL) == 0 ? number_after("\"step\":") : -1; }

static bool attach(struct pty *p) {
    static const char *const terms[] = {"xterm-256color", "xterm", "tmux-256color", "vt100", "linux", "screen-256color"};
    char *argv[] = {hone, (char *)(uintptr_t) "attach", NULL};
    n_attach++;
    pty_start(p, 10 + below(50), 40 + below(150), one_of(terms, LEN(terms)), argv);
    return pty_expect(p, "\033", 20);
}

static void leave(struct pty *p) {
    int how = below(3);
    if (how == 0) pty_keys(p, "q");
    else if (how == 1) kill(p->pid, SIGKILL);
    else pty_hangup(p);
    pty_ended(p, 5);
    pty_close(p);
}

static void keys(struct pty *p) {
    static const char *const all[] = {"1", "2", "5", "9", "0", "3", "p", "p", "c", "e", "u", "f", "z", "g", "j", "k", "\t", "?", "\033", ":", "\033", "lx0.9\r",
        "lx1.1\r", "mnote\r", ":metrics\r", "\014", "\033[A", "\033[6~"};
    n_keys++;
    pty_keys(p, one_of(all, LEN(all)));
}

static void lines(struct pty *p) {
    static const char *const all[] = {"1 + 1\r", "hone.runs and 1\r", "for i = 1, 100 do local t = {} t[1] = i end\r", "while true do end\r",
        "run = hone.runs\r", "print(('x'):rep(5000))\r", "hone.status{}\r", "hone.prop.refresh = 5\r", "hone.prop.refresh = 2\r",
        "x = {} for i = 1, 10 do x[i] = i end x\r", "= = 3\r", "hone.checkpoint{}\r", "hone.note{'from the prompt'}\r", "hone.pr\t\t\025\r"};
    n_lines++;
    pty_keys(p, "`");
    pty_read(p, 0.05);
    pty_keys(p, one_of(all, LEN(all)));
    pty_read(p, 0.2);
    pty_keys(p, "\003"); /* ends what may still run */
    pty_keys(p, "\033[200~a = 1\nb = 2\033[201~\r");
    pty_read(p, 0.05);
    pty_keys(p, "\033");
}

static void words(void) {
    switch (below(6)) {
    case 0: word("status", "--json", NULL); break;
    case 1: word("log", NULL, NULL); break;
    case 2: word("set", "lr=0.0002", NULL); break;
    case 3: word("note", "from outside", NULL); break;
    case 4: word("ls", NULL, NULL); break;
    default: word("checkpoint", NULL, NULL); break;
    }
}

/* Says what sanitizers wrote; how many files there are. */
static int reports(void) {
    int n = 0;
    DIR *d = opendir(dir);
    for (struct dirent *f; d && (f = readdir(d));) {
        if (strncmp(f->d_name, "report.", 7) != 0) continue;
        struct buf b = BUF_INIT;
        char *path = io_join(dir, f->d_name);
        if (io_read_file(path, 1 << 24, &b, NULL) == 0 && b.len) {
            n++;
            for (char *s = b.data, *nl; n <= 3 && s && *s && s < b.data + 6000; s = nl ? nl + 1 : NULL) {
                nl = strchr(s, '\n');
                printf("# %.*s\n", (int)(nl ? nl - s : (long)strlen(s)), s);
            }
        }
        free(path);
        buf_release(&b);
    }
    if (d) closedir(d);
    return n;
}

static bool set_up(void) {
    const char *top = getenv("top_builddir");
    struct err e = {0};
    char text[128];
    snprintf(hone, sizeof hone, "%s/hone", top ? top : ".");
    snprintf(dir, sizeof dir, "/tmp/hone-mixed-XXXXXX");
    if (!mkdtemp(dir) || chdir(dir)) return false;
    snprintf(text, sizeof text, "%s/sock", dir);
    setenv("HONE_SOCKET_DIR", text, 1);
    setenv("LC_ALL", "C.UTF-8", 1);
    unsetenv("CI");
    snprintf(text, sizeof text, "log_path=%s/report:allocator_may_return_null=1", dir);
    setenv("TSAN_OPTIONS", text, 1);
    setenv("ASAN_OPTIONS", text, 1);
    setenv("UBSAN_OPTIONS", text, 1);
    return io_write_file("long.lua", script, sizeof script - 1, &e) == 0;
}

int main(int argc, char **argv) {
    double seconds = argc > 1 ? strtod(argv[1], NULL) : 180;
    if (argc > 2) seed = strtoull(argv[2], NULL, 10);
    if (!set_up()) return 99;
    struct pty p;
    char *run[] = {hone, (char *)(uintptr_t) "run", (char *)(uintptr_t) "long.lua", NULL};
    pty_start(&p, 24, 80, "xterm-256color", run);
    for (int i = 0; i < 300 && steps() < 10; i++) pty_read(&p, 0.1);
    double first = steps(), end = clock_now() + seconds;
    int failed = 0;
    bool on = true;
    while (clock_now() < end) {
        int what = on ? below(20) : 19;
        if (what < 9) keys(&p);
        else if (what < 12) lines(&p);
        else if (what < 16) n_sizes++, pty_size(&p, 1 + below(60), 1 + below(200));
        else if (what < 17) words();
        else if (on) leave(&p), on = false;
        else if (!(on = attach(&p))) failed++, pty_close(&p);
        if (on) pty_read(&p, 0.02 + below(10) / 100.0);
    }
    word("resume", NULL, NULL); /* the last p may have paused it */
    double s0 = steps();
    for (int i = 0; i < 100 && steps() <= s0; i++) clock_sleep(0.1);
    double last = steps();
    tap_ok(first >= 10 && last > s0, "the run goes on after %.0f s: step %.0f, then %.0f", seconds, first, last);
    tap_ok(failed == 0, "%d of %d attaches drew nothing", failed, n_attach);
    word("stop", "--after-step", NULL);
    word("wait", NULL, NULL);
    word("shutdown", NULL, NULL);
    for (int i = 0; i < 100 && session_pid(dir); i++) clock_sleep(0.1);
    if (on) pty_ended(&p, 5), pty_close(&p);
    int n = reports();
    tap_ok(n == 0, "t.P4: %d processes with reports of a sanitizer; %d keys, %d prompt lines, %d sizes, %d attaches, %d words", n, n_keys, n_lines, n_sizes,
        n_attach, n_words);
    if (!n && chdir("/") == 0) io_remove_tree(dir, NULL);
    return tap_done();
}
