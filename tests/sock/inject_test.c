/* Nothing that comes from data reaches a terminal as more than text: 500 hostile strings through what prints, names, labels, fails, is typed and is noted, on a
 * dashboard, in line mode on a terminal, in the words of the command line, and in a watcher. The terminal of tests/ui/vt.h knows what hone may send. */
#include "config.h"

#include "src/base/rng.h"
#include "tests/sock/fix.h"

enum { STRINGS = 500 };

static const char *const seeds[] = {"\033]52;c;aGFjaw==\a", "\033]0;title\a", "\033]8;;http://x\033\\link\033]8;;\033\\", "\033[2J\033[H", "\033[6n", "\033c",
    "\033P0;0q\033\\", "\033_app\033\\", "\033^pm\033\\",
    "\233"
    "31m",
    "\302\233"
    "31m",
    "\302\205", "\342\200\256evil\342\200\254", "\342\200\213", "\357\273\277", "\342\201\246x\342\201\251", "\b\b\b", "\r\rover", "\a\a", "\016\017", "\177",
    "\x01\x02\x03", "\377\376", "\300\200", "\355\240\200", "\364\220\200\200", "\360\237\222\251\357\270\217", "e\314\201\314\202\314\203", "\033[?1049l",
    "\033[?2004h", "\033[1;1r", "\033#8", "\033(0lqk", "\033]9;done\a", "\342\200\250x", "\342\200\217", "\363\240\200\201", "\033[38;2;1;2;3m"};

/* The k-th string: one seed, or bytes at random, or several of them; now and then long or with many marks. */
static void hostile(struct buf *b, int k) {
    uint64_t s = rng_stream(17, "hostile", 0);
    buf_clear(b);
    if (k < (int)LEN(seeds)) buf_adds(b, seeds[k]);
    for (int i = 0; k >= (int)LEN(seeds) && i < 4; i++) {
        uint64_t what = rng_below(s, (uint64_t)k, (uint64_t)i, 2 * LEN(seeds));
        if (what < LEN(seeds)) buf_adds(b, seeds[what]);
        else
            for (uint64_t n = 0; n < 6; n++) buf_addc(b, (char)(1 + rng_below(s, (uint64_t)k, 100 + (uint64_t)i * 8 + n, 255)));
    }
    for (int i = 0; k % 100 == 77 && i < 10000; i++) buf_adds(b, "\314\201");
    for (int i = 0; k % 100 == 78 && i < 100000; i++) buf_addc(b, "ab\033["[i % 4]);
}

static void lua_text(struct buf *to, const struct buf *s) {
    buf_addc(to, '"');
    for (size_t i = 0; i < s->len; i++) buf_addf(to, "\\%03d", (unsigned char)s->data[i]);
    buf_addc(to, '"');
}

/* A table whose columns and classes are hostile, and a script that prints, notes, publishes and fails with each string. */
static bool write_files(void) {
    struct buf b = BUF_INIT, csv = BUF_INIT, lua = BUF_INIT;
    struct err e = {0};
    for (int c = 0; c < 6; c++) {
        hostile(&b, c * 7);
        buf_adds(&csv, "\"");
        for (size_t i = 0; i < b.len; i++)
            if (b.data[i] != '"' && b.data[i] != '\n' && b.data[i] != '\r') buf_addc(&csv, b.data[i]);
        buf_addf(&csv, "%d\",", c);
    }
    buf_adds(&csv, "y\n");
    for (int r = 0; r < 200; r++) {
        for (int c = 0; c < 6; c++) buf_addf(&csv, "%d,", (r * 7 + c * 3) % 11);
        buf_addf(&csv, "\"%s\"\n", r % 2 ? "good\033]0;x\a" : "bad\342\200\256");
    }
    buf_adds(&lua, "local s = {\n");
    for (int k = 0; k < STRINGS; k++) {
        hostile(&b, k);
        lua_text(&lua, &b);
        buf_adds(&lua, ",\n");
    }
    buf_adds(&lua, "}\nlocal data = hone.data{ 'hostile.csv', y = 'y' }\n"
                   "local net = nn.model{ input = data, nn.linear{2} }\n"
                   "local run = hone.train{ model = net, data = data, steps = 50, batch = 16, optim = optim.sgd{ lr = 0.01 } }\n"
                   "for i, x in ipairs(s) do print(x) pcall(function() hone.note{ x } end) pcall(function() hone.result{ [x] = x } end) "
                   "pcall(function() hone.set{ name = x, value = 1 } end) end\n"
                   "run:wait()\nprint(data, net:summary())\nhone.eval{ model = net, data = data }\nerror(s[1] .. s[2] .. s[12])\n");
    bool ok = io_write_file("hostile.csv", csv.data, csv.len, &e) == 0 && io_write_file("hostile.lua", lua.data, lua.len, &e) == 0;
    if (!ok) printf("# %s\n", e.text);
    buf_release(&b);
    buf_release(&csv);
    buf_release(&lua);
    return ok;
}

static void clean(struct pty *p, const char *what) {
    tap_ok(
        p->total > 0 && p->vt.n_bad == 0, "r.D5: %s: %zu bytes, %ld that nobody allowed%s%s", what, p->total, p->vt.n_bad, p->vt.n_bad ? ": " : "", p->vt.bad);
}

static void test_dashboard(void) {
    static const char *const screens[] = {"1", "2", "3", "4", "5", "6", "7", "8", "9", "0", "?", "\033", ":", "\033"};
    struct pty p, w;
    struct buf b = BUF_INIT;
    bool there = dash(&p, 24, 80, "xterm-256color", "run", "hostile.lua");
    tap_ok(there, "a dashboard appeared");
    for (int i = 0; i < 100 && steps() < 50; i++) pty_read(&p, 0.1);
    tap_ok(steps() >= 50, "its run trained on columns and classes with hostile names");
    bool watching = dash(&w, 30, 120, "xterm", "watch", NULL);
    for (size_t i = 0; i < LEN(screens); i++) {
        pty_keys(&p, screens[i]);
        pty_read(&p, 0.1);
        pty_keys(&w, screens[i]);
        pty_read(&w, 0.1);
    }
    pty_keys(&p, "9");
    for (int i = 0; i < 40; i++) pty_keys(&p, "\033[5~"), pty_read(&p, 0.02); /* pages of the log */
    clean(&p, "the dashboard's screens, and 500 strings in its log");
    clean(&w, "a watcher");
    pty_keys(&w, "q");
    pty_ended(&w, 3);
    pty_close(&w);
    tap_ok(watching, "the watcher drew");
    pty_keys(&p, "`");
    for (int k = 0; k < STRINGS; k += 5) { /* pasted into the prompt, evaluated, completed */
        hostile(&b, k);
        if (b.len > 4000 || memchr(b.data, 0, b.len)) continue;
        pty_keys(&p, "\033[200~x = '");
        pty_keys(&p, b.data);
        pty_keys(&p, k % 2 ? "'\033[201~\r" : "'\033[201~\t\003");
        pty_read(&p, 0.02);
    }
    pty_quiet(&p, 0.3, 3);
    clean(&p, "the prompt");
    pty_keys(&p, "\033");
    pty_read(&p, 0.1);
    pty_keys(&p, "\033");
    pty_read(&p, 0.1);
    pty_keys(&p, "q");
    pty_ended(&p, 3);
    clean(&p, "the last screen below the shell's prompt");
    pty_close(&p);
    buf_release(&b);
}

static void test_words(void) {
    static const char *const words[][3] = {{"log", NULL, NULL}, {"ls", NULL, NULL}, {"status", NULL, NULL}, {"clients", NULL, NULL}, {"sessions", NULL, NULL},
        {"run", "--plain", "hostile.lua"}, {"run", "\033]0;x\a\342\200\256.lua", NULL}, {"\033[2Jnosuch", NULL, NULL}, {"help", "\033]52;c;aA==\a", NULL},
        {"-c", "print \033[6n", NULL}, {"watch", "\033[?1049h", NULL}, {"train", "data=\033c", NULL}};
    long bad = 0;
    size_t bytes = 0;
    for (size_t i = 0; i < LEN(words); i++) {
        struct pty p;
        char *argv[] = {hone, (char *)(uintptr_t)words[i][0], (char *)(uintptr_t)words[i][1], (char *)(uintptr_t)words[i][2], NULL};
        if (i == 5) pty_env("CI", "1"); /* in lines, on a terminal */
        pty_start(&p, 24, 80, "xterm-256color", argv);
        pty_ended(&p, 20 * TAP_SLOW);
        pty_env("CI", NULL);
        if (pty_code(&p) < 0) printf("# word %zu has not ended\n", i);
        if (p.vt.n_bad) printf("# %s: %s\n", i == 7 ? "nosuch" : words[i][0], p.vt.bad);
        bad += p.vt.n_bad;
        bytes += p.total;
        pty_close(&p);
    }
    tap_ok(bytes > 1000 && bad == 0, "r.D5: %zu words of the command line on a terminal: %zu bytes, %ld that nobody allowed", LEN(words), bytes, bad);
}

int main(void) {
    if (!fix_open("inject") || !write_files()) return 99;
    test_dashboard();
    test_words();
    return fix_close();
}
