/* Terminals of every kind over a run that trains: types and codesets (t.A1), no colours (t.A2), output to a file (t.A4), a storm of sizes (t.A5), the
 * Escape key (t.K3), random keys (t.K4), a slow link (t.W6), line mode for screen readers, and what is said besides cells. With HONE_LONG=1 more of
 * everything, with HONE_LONG=full (make soak-terminal) the times of the criteria. */
#include "config.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "src/base/io.h"
#include "src/base/json.h"
#include "src/base/rng.h"
#include "src/base/thread.h"
#include "tests/tap.h"
#include "tests/ui/pty.h"

static char hone[4200], dir[64];
static bool longer, full;
static struct buf out;

static const char script[] = "local data = hone.data{ 'german-credit' }\n"
                             "local net = nn.model{ input = data, nn.linear{16}, nn.relu{}, nn.linear{2} }\n"
                             "local run = hone.train{ model = net, data = data, epochs = arg[1] and tonumber(arg[1]) or 100000000, batch = 32 }\n"
                             "run:wait()\n";

static char *arg(const char *s) { return (char *)(uintptr_t)s; }

static int word(const char *a, const char *b, const char *c) {
    char *argv[] = {hone, arg(a), arg(b), arg(c), NULL};
    return run_out(&out, argv);
}

static bool attach(struct pty *p, int rows, int cols, const char *term) {
    char *argv[] = {hone, arg("attach"), NULL};
    return pty_dash(p, rows, cols, term, argv, 10);
}

static bool leave(struct pty *p) {
    pty_keys(p, "\033");
    pty_read(p, 0.08);
    pty_keys(p, "q");
    bool ended = pty_ended(p, 5) && pty_code(p) == 0;
    return ended && vt_plain(&p->vt);
}

static bool trains(void) { return word("status", "--json", NULL) == 0 && out.len && (strstr(out.data, "training") || strstr(out.data, "paused")); }

static int by_value(const void *a, const void *b) { return (*(const double *)a > *(const double *)b) - (*(const double *)a < *(const double *)b); }

/* A session of its own, with its own settings and a run that trains, in a folder below; what happens in it is nobody else's. */
static bool begin(const char *name) {
    struct pty p;
    struct err e = {0};
    char *argv[] = {hone, arg("run"), arg("a.lua"), NULL};
    if (mkdir(name, 0700) || chdir(name) || io_write_file("a.lua", script, sizeof script - 1, &e)) return false;
    bool there = pty_dash(&p, 24, 80, "xterm-256color", argv, 10) && pty_shows(&p, "TRAINING", 20) >= 0;
    there = leave(&p) && there;
    pty_close(&p);
    return there;
}

static void finish(void) {
    word("shutdown", NULL, NULL);
    if (chdir("..")) printf("# the folder above has gone\n");
}

/* ---- t.A1 ---- */

static void test_matrix(void) {
    static const char *const term[] = {"xterm-256color", "xterm", "screen-256color", "tmux-256color", "linux", "vt100", "ansi", "no-such-terminal"};
    for (size_t t = 0; t < LEN(term); t++)
        for (int c = 0; c < 2; c++) {
            struct pty p;
            if (!longer && (t == 1 || t == 2 || t == 3)) continue; /* drawn as xterm-256color is */
            pty_env("LC_ALL", c ? "C" : "C.UTF-8");
            bool drawn = attach(&p, 24, 80, term[t]), resized;
            for (const char *k = "234567890?"; *k; k++) {
                char key[2] = {*k, 0};
                pty_keys(&p, key);
                pty_read(&p, 0.03);
            }
            pty_keys(&p, "\033");
            pty_read(&p, 0.08);
            pty_keys(&p, "1");
            pty_size(&p, 30, 100);
            resized = pty_shows(&p, "q detach", 2) >= 0 && pty_quiet(&p, 0.06, 0.6) >= 0 && pty_shows(&p, "TRAINING", 2) >= 0;
            bool titled = p.vt.title[0];
            bool left = leave(&p);
            tap_ok(drawn && resized && left && !p.vt.n_bad && !(c && p.vt.n_high) && titled == (t < 2 || t == 3),
                "t.A1: TERM=%s in %s: draws, resizes, leaves a plain terminal; %ld bytes >= 0x80, not allowed: %ld %s", term[t], c ? "C" : "UTF-8", p.vt.n_high,
                p.vt.n_bad, p.vt.bad);
            if (!drawn || !resized || !left) printf("# drawn %d resized %d left %d title '%s'\n", drawn, resized, left, p.vt.title);
            pty_close(&p);
        }
    pty_env("LC_ALL", "C.UTF-8");
    struct pty p;
    attach(&p, 24, 100, "no-such-terminal");
    pty_keys(&p, "9/");
    pty_shows(&p, "Find in", 2);
    pty_keys(&p, "not known\r"); /* the run tells a lot meanwhile */
    tap_ok(pty_shows(&p, "is not known here", 2) >= 0, "t.A1: an unknown type is said in the log");
    leave(&p);
    pty_close(&p);
    for (int c = 0; c < 2; c++) {
        char *argv[] = {hone, NULL};
        pty_env("LC_ALL", c ? "C" : "C.UTF-8");
        pty_start(&p, 24, 80, "dumb", argv);
        bool prompt = pty_shows(&p, ">", 5) >= 0;
        pty_keys(&p, "= 20 + 3\n");
        bool answer = pty_shows(&p, "23", 5) >= 0;
        pty_keys(&p, "\004");
        bool ended = pty_ended(&p, 5) && pty_code(&p) == 0, plain = !memchr(p.got.data, '\033', p.got.len) && !p.vt.n_bad;
        tap_ok(prompt && answer && ended && plain, "t.A1: TERM=dumb in %s: a prompt without an escape", c ? "C" : "UTF-8");
        if (!prompt || !answer || !ended) printf("# prompt %d, answer %d, ended %d with %d\n", prompt, answer, ended, pty_code(&p));
        pty_close(&p);
    }
    pty_env("LC_ALL", "C.UTF-8");
}

/* ---- t.A2 ---- */

static void test_no_color(void) {
    struct pty p;
    double end = clock_now() + (full ? 60 : longer ? 5 : 2);
    pty_env("NO_COLOR", "1");
    bool ok = attach(&p, 24, 80, "xterm-256color"), states = pty_shows(&p, "TRAINING", 3) >= 0;
    for (int i = 0; clock_now() < end; i++) {
        static const char *const keys[] = {"2", "5", "9", "0", "j", ":", "\033", "?", "\033", "3", "7", "8", "1", "k", "z", "z"};
        pty_keys(&p, keys[i % (int)LEN(keys)]);
        pty_read(&p, 0.06);
    }
    pty_keys(&p, "\033");
    pty_read(&p, 0.1);
    pty_keys(&p, "1");
    pty_keys(&p, "p");
    states = states && pty_shows(&p, "PAUSED", 3) >= 0;
    pty_keys(&p, "p");
    states = states && pty_shows(&p, "TRAINING", 3) >= 0;
    pty_keys(&p, "f");
    states = states && pty_shows(&p, "FROZEN", 3) >= 0;
    pty_keys(&p, "f");
    bool selected = false;
    for (int y = 2; y < 20; y++) selected = selected || p.vt.cell[y * p.vt.cols].text[0] == '>';
    pty_env("NO_COLOR", NULL);
    if (!ok || !states || !selected) printf("# attached %d states %d selected %d\n", ok, states, selected);
    tap_ok(ok && states && selected && p.vt.n_color == 0 && p.total > 2000,
        "t.A2: NO_COLOR: %ld colours in %zu bytes; states and selection are told by words and marks", p.vt.n_color, p.total);
    leave(&p);
    pty_close(&p);
}

/* ---- t.A4 ---- */

static int bad_bytes(const struct buf *b) {
    int bad = 0;
    for (size_t i = 0; i < b->len; i++) bad += b->data[i] == '\033' || b->data[i] == '\b' || b->data[i] == '\r';
    return bad;
}

static void test_file(void) {
    char *argv[] = {hone, arg("run"), arg("a.lua"), arg("3"), NULL}, *json[] = {hone, arg("run"), arg("--json"), arg("a.lua"), arg("3"), NULL};
    double t = clock_now();
    int code = run_out(&out, argv), lines = 0, wrong = 0, objects = 0;
    t = clock_now() - t;
    for (size_t i = 0; i < out.len; i++) lines += out.data[i] == '\n';
    tap_ok(code == 0 && bad_bytes(&out) == 0 && lines >= 3 && lines <= 3 + 12 + (int)(t / 10),
        "t.A4: output to a file: no escape, backspace or return; %d lines in %.1f s", lines, t);
    code = run_out(&out, json);
    for (const char *p = out.data ? out.data : ""; *p;) {
        size_t n = strcspn(p, "\n");
        struct err e = {0};
        struct val *v = *p == '{' ? json_parse(p, n, "a line", &e) : NULL;
        if (*p == '{') objects++, wrong += !v;
        val_free(v);
        p += n + (p[n] == '\n');
    }
    tap_ok(code == 0 && objects > 5 && !wrong && bad_bytes(&out) == 0, "t.A4: --json: %d objects, %d that are none", objects, wrong);
}

/* ---- t.A5 ---- */

static void test_storm(void) {
    struct pty p;
    uint64_t s = rng_stream(9, "sizes", 0);
    attach(&p, 24, 80, "xterm-256color");
    pty_quiet(&p, 0.1, 1);
    size_t before = p.total, most = 0;
    long clears = p.vt.n_clear;
    double began = clock_now();
    int rests = 0; /* longer than between sizes at 50 Hz, where it may be drawn */
    for (int i = 0; i < 200; i++) {
        int rows = i % 25 == 0 ? 1 : 1 + (int)rng_below(s, 0, (uint64_t)i * 2, 60), cols = i % 25 == 0 ? 1 : 1 + (int)rng_below(s, 0, (uint64_t)i * 2 + 1, 200);
        double from = clock_now();
        pty_size(&p, rows, cols);
        pty_read(&p, 0.02);
        rests += clock_now() - from > 0.025;
    }
    clears = p.vt.n_clear - clears;
    most = p.total - before;
    double room = 20 * fmax(1, (clock_now() - began) / 4) + rests; /* a machine with other work sends the sizes more slowly */
    pty_size(&p, 24, 80);
    double t = clock_now(), right = -1;
    while (right < 0 && clock_now() - t < 3) {
        struct buf shown = BUF_INIT;
        pty_read(&p, 0.004);
        vt_row(&p.vt, 23, &shown);
        if (shown.data && strstr(shown.data, "?help") && vt_shows(&p.vt, "TRAINING")) right = clock_now() - t;
        buf_release(&shown);
    }
    tap_ok(right >= 0 && (double)clears <= room && trains(),
        "t.A5: 200 sizes at 50 Hz, 1x1 among them: right %.0f ms after the last; %ld full frames of at most %.0f, %zu bytes", right * 1e3, clears, room, most);
    leave(&p);
    pty_close(&p);
}

/* ---- keys ---- */

static void test_escape(void) {
    struct pty p;
    enum { N = 40 };
    double t[N];
    attach(&p, 24, 80, "xterm-256color");
    int n = 0, split = 0;
    pty_keys(&p, "f"); /* frames by time end in questions; an answer between the pieces of a key would be no terminal's */
    pty_shows(&p, "FROZEN", 2);
    for (int i = 0; i < N; i++) {
        pty_keys(&p, ":");
        pty_shows(&p, "Find", 2);
        pty_quiet(&p, 0.03, 1);
        double from = clock_now();
        pty_keys(&p, "\033");
        while (vt_shows(&p.vt, " Find ") && clock_now() - from < 2) pty_read(&p, 0.001);
        if (!vt_shows(&p.vt, " Find ")) t[n++] = clock_now() - from;
        pty_quiet(&p, 0.01, 0.1);
    }
    qsort(t, (size_t)n, sizeof t[0], by_value);
    tap_ok(n == N && t[n * 95 / 100] < 1, "t.K3: a lone Escape acts within %.1f ms (p50), %.1f ms (p95)", t[n / 2] * 1e3, t[n * 95 / 100] * 1e3);
    for (int i = 0; i < 20; i++) { /* the palette stays open if no Escape is seen */
        static const char *const piece[] = {"\033", "[", "B"};
        pty_keys(&p, ":");
        pty_shows(&p, "Find", 2);
        pty_quiet(&p, 0.03, 1);
        double longest = 0;
        for (int k = 0; k < 3; k++) {
            double from = clock_now();
            pty_keys(&p, piece[k]);
            if (k < 2) pty_read(&p, 0.001 * i), longest = fmax(longest, clock_now() - from);
        }
        pty_read(&p, 0.06);
        split += vt_shows(&p.vt, " Find ") || longest > 0.02; /* it grew beyond what is asked for: a busy machine */
        pty_keys(&p, "\033");
        pty_read(&p, 0.06);
    }
    tap_ok(split >= 19, "t.K3: arrow sequences with gaps of 0 to 19 ms stay arrows (%d of 20)", split); /* a gap may grow on a busy machine */
    leave(&p);
    pty_close(&p);
}

static void test_random(void) {
    struct pty p;
    static const char *const special[] = {
        "\033[A", "\033[B", "\033[C", "\033[D", "\t", "\r", "\033", "\033[200~x = 1\033[201~", "\033OS", "\033[<0;10;10M", "\xc3\xa9", "\xff", "\033[5~"};
    uint64_t s = rng_stream(12, "keys", 0);
    int n = full ? 10000 : longer ? 1000 : 400, again = 0;
    bool own = begin("random");
    attach(&p, 24, 80, "xterm-256color");
    p.vt.allow = VT_OSC_9 | VT_OSC_52;
    for (int i = 0; i < n; i++) {
        uint64_t k = rng_below(s, 1, (uint64_t)i, 95 + LEN(special));
        char one[2] = {(char)(32 + k % 95), 0};
        if (one[0] == 'y' || one[0] == '`') one[0] = 'Q'; /* y confirms; ` leads to a prompt, which may do anything */
        pty_keys(&p, k >= 95 ? special[k - 95] : one);
        if (i % 10 == 0) pty_read(&p, 0.01);
        if (i % 10 == 0 && pty_ended(&p, 0.001)) {
            pty_close(&p);
            attach(&p, 24, 80, "xterm-256color");
            p.vt.allow = VT_OSC_9 | VT_OSC_52;
            again++;
        }
    }
    bool alive = pty_quiet(&p, 0.2, 3) >= 0 && trains();
    tap_ok(own && alive && !p.vt.n_bad, "t.K4: %d random keys without a confirmation (%d detaches): nothing hangs, the run goes on %s", n, again, p.vt.bad);
    if (!alive) printf("# %s\n", out.data ? out.data : "");
    leave(&p);
    pty_close(&p);
    finish();
}

/* A keyboard that is no person: floods of each kind into each state, with sizes of 1x1 meanwhile; the dashboard answers afterwards, the run goes on. */
static const struct flood {
    const char *name, *begin, *unit, *end;
    size_t size; /* bytes of a whole one */
} floods[] = {{"a paste of words", "\033[200~", "some words and a line\n", "\033[201~", 1 << 20},
    {"a paste of one line", "\033[200~", "xyzzy", "\033[201~", 1 << 20}, {"a paste of CJK", "\033[200~", "\xe6\xbc\xa2", "\033[201~", 1 << 20},
    {"words as keys", "", "wibble ", "", 1 << 18}, {"tabs", "", "\t", "", 1 << 13}, {"arrows", "", "\033[B", "", 1 << 14},
    {"bad UTF-8", "", "\xff\xc3", "", 1 << 18}, {"escapes", "", "\033", "", 1 << 13}, {"a paste that never ends", "\033[200~", "abc", "", 1 << 18},
    {"a sequence that never ends", "\033[", "1;", "", 1 << 16}};

static void flood(struct pty *p, const struct flood *f, size_t size) {
    struct buf b = BUF_INIT;
    buf_adds(&b, f->begin);
    while (b.len < size) buf_adds(&b, f->unit);
    buf_adds(&b, f->end);
    for (size_t at = 0, k = 0; at < b.len && !pty_ended(p, 0); at += 4000, k++) {
        char piece[4001];
        snprintf(piece, sizeof piece, "%.*s", (int)(b.len - at < 4000 ? b.len - at : 4000), b.data + at);
        pty_keys(p, piece);
        if (k % 32 == 3) {
            pty_size(p, 1, 1);
            pty_read(p, 0.002);
            pty_size(p, 24, 80);
        }
    }
    if (!*f->end) pty_keys(p, "\033[201~m"); /* ends what did not */
    buf_release(&b);
}

/* Seconds until keys count again; < 0: they do not. On a busy machine an Escape and the key after it may come as one, which is another key. */
static double answers(struct pty *p) {
    double from = clock_now();
    while (clock_now() - from < 30) {
        for (int i = 0; i < 3; i++) {
            pty_keys(p, "\033");
            pty_read(p, 0.08);
        }
        pty_keys(p, "0");
        if (pty_shows(p, "Settings", 2) < 0) continue;
        pty_keys(p, "1");
        if (pty_shows(p, "ms/step", 2) >= 0) return clock_now() - from - 0.24;
    }
    return -1;
}

static void test_floods(void) {
    static const char *const state[] = {"1", ":", "l", "`", "3/", "2", "?", "m", "9/", "0\r"};
    struct pty p;
    int n = 0, good = 0, again = 0;
    double worst = 0;
    bool own = begin("floods");
    attach(&p, 24, 80, "xterm-256color");
    for (size_t k = 0; k < LEN(state); k++)
        for (size_t f = 0; f < LEN(floods); f++) {
            if (!full && k != f && (longer ? k >= 4 : k != f % 4)) continue;
            if (k < 4 ? false : !*floods[f].end && floods[f].size > 1 << 17 && !strpbrk(state[k], "/?m")) continue; /* single letters are commands there */
            if (k == 0 && f == 3) continue;
            pty_keys(&p, state[k]);
            pty_read(&p, 0.1);
            flood(&p, &floods[f], longer ? floods[f].size : floods[f].size / 8);
            if (pty_ended(&p, 0.01)) {
                pty_close(&p);
                attach(&p, 24, 80, "xterm-256color");
                again++;
            }
            double s = answers(&p);
            n++;
            good += s >= 0 && p.vt.n_bad == 0;
            worst = fmax(worst, s);
            if (s < 0 || s > 5) printf("# %s into %s: answers after %.2f s\n", floods[f].name, state[k], s);
            pty_forget(&p);
        }
    tap_ok(own && good == n && trains(),
        "t.K4: %d of %d floods of keys and pastes: the dashboard answers, after %.2f s at worst (%d detaches), the run goes on", good, n, worst, again);
    leave(&p);
    pty_close(&p);
    finish();
}

/* ---- t.W6 ---- */

/* Seconds until the text is or is not shown. While this program was stopped itself no time passes. */
static double wait_word(struct pty *p, const char *text, bool shown, double limit) {
    double t = clock_now();
    while (vt_shows(&p->vt, text) != shown && clock_now() - t < limit) {
        double from = clock_now();
        pty_read(p, 0.005);
        if (clock_now() - from > 1) t += clock_now() - from;
    }
    return clock_now() - t;
}

static void test_link(void) {
    struct pty p;
    uint64_t s = rng_stream(11, "link", 0);
    double end = clock_now() + (full ? 600 : longer ? 15 : 8), worst = 0, first = 0, last = 0, large = 0, t0 = clock_now(), t[2048];
    int n = 0;
    attach(&p, 24, 80, "xterm-256color");
    pty_keys(&p, "2"); /* another screen is not frozen */
    pty_shows(&p, "Metrics", 5);
    pty_keys(&p, "1");
    bool moves = pty_shows(&p, "ms/step", 5) >= 0 && !vt_shows(&p.vt, "FROZEN");
    pty_quiet(&p, 0.2, 2);
    pty_link(&p, 2000, 0.3);
    pty_read(&p, 4);
    while (clock_now() < end && n + 2 < (int)LEN(t)) {
        for (int on = 1; on >= 0; on--) {
            pty_read(&p, 0.3 + rng_unit(s, 0, (uint64_t)n));
            pty_keys(&p, "f");
            t[n] = wait_word(&p, "FROZEN", on, 5);
            if (t[n] > worst) worst = t[n];
            *(clock_now() - t0 < (end - t0) / 2 ? &first : &last) = fmax(clock_now() - t0 < (end - t0) / 2 ? first : last, t[n]);
            n++;
        }
        pty_read(&p, 1 + rng_unit(s, 1, (uint64_t)n));
        size_t from = p.total;
        pty_keys(&p, n % 4 ? "2" : "1");
        double took = wait_word(&p, n % 4 ? "Metrics" : "TRAINING", true, 8);
        pty_quiet(&p, 0.1, 4);
        large = fmax(large, took - 0.7 - (double)(p.total - from) / 2000);
    }
    qsort(t, (size_t)n, sizeof t[0], by_value);
    tap_ok(moves && n >= 2 && t[0] > 0.2 && worst < 3 && last < first + 1, /* the link alone takes 0.6 s */
        "t.W6: 2 kB/s and 300 ms: %d small effects seen after %.2f s (p50), %.2f s (p95), %.2f s at most; halves %.2f and %.2f s", n, t[n / 2], t[n * 95 / 100],
        worst, first, last);
    tap_ok(large < 1, "t.W6: a change of screen: at most 0.7 s + bytes/rate %+.2f s", large);
    p.rate = p.delay = 0;
    pty_read(&p, 1);
    leave(&p);
    pty_close(&p);
}

/* ---- line mode, and what is said besides cells ---- */

/* An escape that is not the switch of bracketed paste, or a backspace. */
static bool moves(const struct buf *got) {
    for (size_t i = 0; i < got->len; i++) {
        bool paste = got->len - i >= 8 && memcmp(got->data + i, "\033[?2004", 7) == 0 && memchr("hl", got->data[i + 7], 2);
        if (got->data[i] == '\b' || (got->data[i] == '\033' && !paste)) return true;
    }
    return false;
}

static void test_plain(void) {
    struct pty p;
    char *argv[] = {hone, arg("--plain"), NULL};
    pty_start(&p, 24, 80, "xterm-256color", argv);
    bool prompt = pty_shows(&p, ">", 5) >= 0;
    pty_keys(&p, "dofile 'a.lua'\n");
    pty_read(&p, 0.3);
    pty_keys(&p, "arg = {'4'}; local f = io.open('a.lua')\n");
    pty_read(&p, 0.3);
    pty_keys(&p, "nosuch 1\n");
    pty_read(&p, 0.3);
    pty_keys(&p, "= 6 * 7\n");
    bool answer = pty_shows(&p, "42", 5) >= 0;
    pty_keys(&p, "ls\n");
    pty_read(&p, 0.5);
    pty_keys(&p, "\004");
    bool ended = pty_ended(&p, 5);
    tap_ok(prompt && answer && ended && !moves(&p.got), "line mode on a terminal: prompt, answers, no cursor movement");
    pty_close(&p);
    char *run[] = {hone, arg("run"), arg("--plain"), arg("a.lua"), arg("400"), NULL};
    pty_start(&p, 24, 80, "xterm-256color", run);
    ended = pty_ended(&p, 60);
    int returns = 0;
    for (size_t i = 0; i + 1 < p.got.len; i++) returns += p.got.data[i] == '\r' && p.got.data[i + 1] != '\n';
    tap_ok(ended && pty_code(&p) == 0 && returns == 0 && !memchr(p.got.data, '\033', p.got.len),
        "hone run --plain: lines only, no bar (%d returns within a line)", returns);
    pty_close(&p);
}

static void test_end(void) {
    struct pty p;
    attach(&p, 24, 80, "xterm-256color");
    p.vt.allow = VT_OSC_9;
    pty_read(&p, 0.5);
    bool titled = strstr(p.vt.title, "training");
    long bells = p.vt.n_bell;
    word("set", "notify", "osc9");
    pty_read(&p, 0.2);
    word("stop", "--now", NULL);
    bool told = pty_expect(&p, "\033]9;", 10), ended = true;
    pty_read(&p, 0.6);
    ended = strstr(p.vt.title, "stopped");
    tap_ok(titled && told && ended && p.vt.n_bell > bells, "the end of a run: bell, notification, title \"%s\"", p.vt.title);
    pty_forget(&p);
    bool left = leave(&p);
    tap_ok(left && memmem(p.got.data, p.got.len, "\033[23;2t", 7) && !p.vt.n_bad, "the window's own title comes back");
    pty_close(&p);
}

static const struct part {
    const char *name;
    void (*run)(void);
} parts[] = {{"file", test_file}, {"plain", test_plain}, {"matrix", test_matrix}, {"no_color", test_no_color}, {"storm", test_storm}, {"escape", test_escape},
    {"random", test_random}, {"floods", test_floods}, {"link", test_link}, {"end", test_end}};
enum { ALONE = 2 }; /* the first ones need no session */

/* Names of parts: only these. */
int main(int argc, char **argv) {
    const char *top = getenv("top_builddir"), *lg = getenv("HONE_LONG");
    struct err e = {0};
    char sock[96];
    longer = lg && *lg;
    full = longer && strcmp(lg, "full") == 0;
    snprintf(hone, sizeof hone, "%s/hone", top ? top : ".");
    snprintf(dir, sizeof dir, "/tmp/hone-access-XXXXXX");
    if (!mkdtemp(dir) || chdir(dir) || mkdir("sock", 0700)) return 99;
    snprintf(sock, sizeof sock, "%s/sock", dir);
    setenv("HONE_SOCKET_DIR", sock, 1);
    io_write_file("a.lua", script, sizeof script - 1, &e);
    for (size_t i = 0; i < LEN(parts); i++) {
        bool wanted = argc < 2;
        for (int k = 1; k < argc; k++) wanted = wanted || strcmp(argv[k], parts[i].name) == 0;
        if (i == ALONE) tap_ok(begin("all"), "a dashboard with a run that trains");
        if (wanted) parts[i].run();
    }
    finish();
    char *clean[] = {arg("/bin/rm"), arg("-rf"), dir, NULL};
    if (chdir("/") == 0) run_out(&out, clean);
    buf_release(&out);
    return tap_done();
}
