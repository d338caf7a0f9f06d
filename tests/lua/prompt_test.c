/* The prompt through its port: keys, blocks, pastes, history of two sessions, search with accents, interrupts. */
#include "config.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "src/base/io.h"
#include "src/call/settings.h"
#include "src/prompt/history.h"
#include "src/prompt/prompt.h"
#include "tests/tap.h"
#include "tests/lua/fake.h"

static struct fake f;
static struct prompt_port p;

/* Keys as a user types them: one call a character or escape sequence. */
static void type(const char *s) {
    while (*s) {
        size_t n = 1;
        if (*s == '\x1b') {
            n = s[1] == '[' ? 3 : 2;
        } else
            while (((unsigned char)s[n] & 0xc0) == 0x80) n++;
        p.key(p.ctx, s, n);
        s += n;
    }
}
static struct prompt_view view(void) {
    struct prompt_view v;
    p.view(p.ctx, &v);
    return v;
}
static bool settle(double seconds) {
    for (double end = clock_now() + seconds; clock_now() < end; clock_sleep(0.002)) {
        p.poll(p.ctx);
        if (!view().busy) return true;
    }
    return false;
}
static const char *last(void) {
    struct prompt_view v = view();
    return v.n_out ? v.out[v.n_out - 1] : "";
}
static void enter(const char *s) {
    type(s);
    type("\r");
    settle(5);
}

static bool said(const char *what, int among) { /* in the newest lines */
    struct prompt_view v = view();
    for (int i = 0; i < among && (size_t)i < v.n_out; i++)
        if (strstr(v.out[v.n_out - 1 - (size_t)i], what)) return true;
    return false;
}

static void keys(void) {
    enter("1 + 1");
    tap_is(last(), "2", "an expression is printed");
    enter("= 2 * 21");
    tap_is(last(), "42", "also after =, as in line mode and in the palette");
    enter(" =trian");
    tap_ok(strstr(last(), "did you mean hone.train?") != NULL, "where it says as much: %s", last());
    enter("= 1 2");
    tap_ok(said("unexpected", 4) || said("near '2'", 4), "and a mistake behind it is shown");
    type("ab\x1b[D"
         "X");
    tap_is(view().line, "aXb", "an arrow key arrives whole");
    tap_ok(view().cursor == 2, "the cursor is a byte offset");
    type("\x03");
    tap_is(view().line, "", "Ctrl-C clears the line");
    enter("'\xc3\xa9\xe6\xbc\xa2'");
    tap_is(last(), "\xc3\xa9\xe6\xbc\xa2", "accents and Chinese characters");
    enter("print('a\\27[31mb')");
    tap_ok(strchr(last(), 27) == NULL, "no escape reaches the drawer: %s", last());
    type("for i = 1, 2 do\r");
    settle(5);
    tap_is(view().prompt, ">> ", "an open loop continues");
    tap_is(view().line, "for i = 1, 2 do\n", "as one block");
    type("print(i) end\r");
    settle(5);
    tap_is(last(), "2", "and runs when it is whole");
    type("\x1b[A");
    tap_is(view().line, "for i = 1, 2 do\nprint(i) end", "history brings the whole block back");
    type("\x03");
    enter("x = = 1");
    tap_ok(strstr(last(), "^") != NULL, "t.L5: a syntax error shows a caret at once");
    type("hone.ec\t");
    tap_is(view().line, "hone.echo", "Tab completes");
    type("\x03");
    type("string.\t");
    tap_ok(view().n_choices > 10, "%zu choices are shown", view().n_choices);
    tap_is(view().line, "string.", "and the line stays");
    type("\x03");
    type("while true do end\r");
    clock_sleep(0.05);
    p.poll(p.ctx);
    tap_ok(view().busy, "an endless loop is running");
    type("typed meanwhile");
    double t = clock_now();
    type("\x03");
    bool stopped = settle(5);
    tap_ok(stopped && clock_now() - t < 5, "t.L1: Ctrl-C stops it after %.0f ms", (clock_now() - t) * 1000);
    tap_is(view().line, "typed meanwhile", "what was typed meanwhile stays");
    type("\x03");
    tap_is(last(), "> typed meanwhile", "a second Ctrl-C drops the line");
}

/* Typed without waiting for what came before. */
static void typed_ahead(void) {
    type("for i = 7, 8 do\rprint('ahead ' .. i)\rend\rx9 = 3\rx9 * 4\r");
    for (int i = 0; i < 500 && strcmp(last(), "12") != 0; i++) p.poll(p.ctx), clock_sleep(0.01);
    tap_is(last(), "12", "lines that are entered while one runs wait for their turn");
    tap_ok(said("ahead 8", 6) && said(">> end", 6), "and those of a block that was not whole become part of it");
    type("while true do end\r1\r2\r");
    tap_ok(view().ahead == 2, "how many wait is known: %zu", view().ahead);
    type("\x03");
    settle(5);
    tap_ok(view().ahead == 0 && !view().busy && said("2 lines that waited: dropped", 4), "Ctrl-C drops them too: %s", last());
    enter("hone");
    tap_ok(said("echo", 40) && said("?NAME helps", 40), "hone by itself lists its commands");
    enter("run");
    tap_is(last(), "nil (nothing is named run: did you mean hone.runs?)", "there is no run");
    enter("hone.train{ steps = 3 };");
    enter("type(run) .. ' ' .. tostring(run == nil)");
    tap_is(last(), "userdata false", "run is the run that goes on, as in the lines of log and journal");
    enter("run = 7");
    enter("run");
    tap_is(last(), "7", "or the user's own");
    enter("run = nil");
    enter("error({ code = 3 })");
    tap_is(last(), "an error object: {code = 3}", "an error that is a table is shown");
}

static void lines_that_are_no_lua(void) {
    enter("x7 = { 1, 2 }");
    enter(":who");
    tap_ok(said("x7", 40) && said("table", 40) && !said("string.format", 40), ":who lists the user's own globals: %s", last());
    enter("!echo hi; echo oops >&2; exit 3");
    tap_ok(said("hi", 4) && said("oops", 4) && said("(exit 3)", 1), "!cmd gives what a program says and how it ended: %s", last());
    enter("!printf 'a\\033[31mb\\233c'");
    tap_ok(strchr(last(), 27) == NULL && !said("\xc2\x9b", 3), "no escape of a program reaches the drawer");
    double t = clock_now();
    type("!sleep 20 & sleep 20\r");
    for (int i = 0; i < 20; i++) p.poll(p.ctx), clock_sleep(0.01);
    tap_ok(view().busy, "a program runs");
    type("\x03");
    settle(5);
    tap_ok(!view().busy && clock_now() - t < 3 * TAP_SLOW, "Ctrl-C ends it after %.1f s", clock_now() - t);
    t = clock_now();
    char sign[64], quiet[200];
    snprintf(sign, sizeof sign, "/tmp/hone-shell-%d", (int)getpid());
    snprintf(quiet, sizeof quiet, "!exec >&- 2>&-; trap 'echo > %s; exit' INT; sleep 8\r", sign);
    type(quiet);
    for (int i = 0; i < 20; i++) p.poll(p.ctx), clock_sleep(0.01);
    tap_ok(view().busy, "a program that closed its output is waited for");
    type("\x03");
    settle(5);
    for (int i = 0; i < 200 && !io_exists(sign); i++) clock_sleep(0.01);
    tap_ok(!view().busy && io_exists(sign) && clock_now() - t < 3 * TAP_SLOW, "and Ctrl-C reaches it after %.1f s", clock_now() - t);
    unlink(sign);
    t = clock_now();
    enter("!sleep 3 & echo started");
    tap_ok(clock_now() - t < 2 && said("started", 4) && said("background", 3), "!prog & does not hold the prompt: %.2f s: %s", clock_now() - t, last());
    enter("??learning rate");
    tap_ok(said("optim.", 60) || said("learning rate", 60), "??text searches names and help");
    enter("?train");
    tap_ok(said("train", 60), "?name helps");
    enter(":reload");
    tap_ok(said("no script was run", 2), ":reload without a script says so: %s", last());
    enter("5 + 5;");
    enter("_");
    tap_is(last(), "10", "; silences, _ holds the value");
    enter("20 + 1");
    enter("_1 + _");
    tap_is(last(), "31", "_1 is the value before _");
    enter("{_, _1, _2}");
    tap_is(last(), "{31, 21, 10}", "_2 the one before that");
    enter("_2");
    enter("_");
    tap_ok(said("{31, 21, 10}", 1), "looking at one moves none: %s", last());
    enter("trian");
    tap_is(last(), "nil (nothing is named trian: did you mean hone.train?)", "an undeclared name that is nil says what was meant");
    enter("linear");
    tap_is(last(), "nil (nothing is named linear: did you mean nn.linear?)", "or where it lives");
    enter("math.sqr");
    tap_is(last(), "nil (nothing is named math.sqr: did you mean math.sqrt?)", "also in tables");
    enter("some_name_of_nothing");
    tap_is(last(), "nil (nothing is named some_name_of_nothing)", "nothing is near");
    enter("trian{}");
    tap_ok(said("did you mean hone.train?", 1), "so does a call: %s", last());
    enter("({}).a");
    tap_is(last(), "nil", "other nils are only nil");
    enter("local c = hone.clock() while hone.clock() - c < 0.15 do end");
    tap_ok(last()[0] == '(' && strstr(last(), " s)"), "what takes over 100 ms says how long: %s", last());
    enter("prefix_one = 1");
    enter("other_two = 2");
    type("pref\x1b[A");
    tap_is(view().line, "prefix_one = 1", "Up finds by what stands before the cursor");
    enter("");
    enter("prefix_two = 2");
    type("pref\x1b[A\x1b[A");
    tap_is(view().line, "prefix_one = 1", "and again the one before it");
    type("\x03");
    p.paste(p.ctx, "aa\nbbbb\ncc", 10);
    size_t end = view().cursor;
    type("\x1b[A");
    tap_ok(end == 10 && view().cursor == 5, "Up moves inside a block: from %zu to %zu", end, view().cursor);
    type("\x1b[A");
    type("\x1b[B");
    tap_ok(view().cursor == 5, "and Down");
    type("\x03");
}

static void write_file(const char *path, const char *text) {
    struct err e = {0};
    if (io_write_file(path, text, strlen(text), &e) != 0) tap_ok(false, "%s", e.text);
}

static void changed_files(void) {
    char dir[64], file[96], module[96], line[256], folder[300];
    struct err e = {0};
    snprintf(dir, sizeof dir, "/tmp/hone-changed-%d", (int)getpid());
    snprintf(file, sizeof file, "%s/one.lua", dir);
    snprintf(module, sizeof module, "%s/part_of_one.lua", dir);
    io_mkdirs(dir, 0700, &e);
    write_file(file, "made = require 'part_of_one' + 1");
    write_file(module, "return 10");
    snprintf(line, sizeof line, "hone.run_script{'%s'}", file);
    enter(line);
    enter("made");
    tap_is(last(), "11", "a script and its module ran");
    write_file(module, "return 200");
    enter("made;");
    tap_ok(said("part_of_one.lua changed on disk: :reload", 1), "a change on disk is noticed: %s", last());
    enter("made;");
    tap_ok(said("> made;", 1), "once: %s", last());
    enter(":reload");
    enter("made");
    tap_is(last(), "201", ":reload runs the script again with its modules as they are now");
    write_file(file, "made = 7");
    enter("1 + 1");
    tap_ok(said("one.lua changed on disk", 1) && said("2", 2), "the script itself too: %s", last());
    enter(":reload");
    enter("made");
    tap_is(last(), "7", "and is run again");
    write_file(file, "made = = 1");
    enter(":reload");
    tap_ok(said("one.lua:1:", 3), "a mistake in it names file and line: %s", last());
    snprintf(folder, sizeof folder, "%s", dir);
    io_remove_tree(folder, &e);
}

static void paste(void) {
    struct buf b = BUF_INIT;
    buf_adds(&b, "n = 0\r\n");
    for (int i = 0; i < 5000; i++) buf_addf(&b, "\tif n >= 0 then n = n + 1 end -- %d\r\n", i);
    double t = clock_now();
    p.paste(p.ctx, b.data, b.len);
    double ms = (clock_now() - t) * 1000;
    tap_ok(ms < 200 * TAP_SLOW && strlen(view().line) > 5000 * 30, "t.L3: 5,000 lines with tabs are inserted in %.1f ms", ms);
    tap_ok(!view().busy && view().n_choices == 0, "nothing runs before Enter, no Tab was pressed");
    type("\r");
    settle(5);
    enter("n");
    tap_is(last(), "5000", "the block ran whole");
    buf_clear(&b);
    buf_adds(&b, "bad \x80\xff text");
    p.paste(p.ctx, b.data, b.len);
    tap_is(view().line, "", "a paste that is not UTF-8 is refused");
    p.paste(p.ctx, "a\x1b[31m\x01\tb\n", 10);
    tap_is(view().line, "a[31m\tb", "control characters of a paste are dropped");
    type("\x03");
    buf_release(&b);
}

static void search(void) {
    enter("gr\xc3\xbc\xc3\x9f"
          "e = 'f\xc3\xa4hre'");
    enter("\xe6\xbc\xa2\xe5\xad\x97 = nil or 5;");
    enter("other = 1");
    type("\x12\xc3\xbc\xc3\x9f");
    tap_is(view().line,
        "gr\xc3\xbc\xc3\x9f"
        "e = 'f\xc3\xa4hre'",
        "t.L4: Ctrl-R finds accented text");
    tap_ok(strstr(view().prompt, "\xc3\xbc\xc3\x9f") != NULL, "and shows what is searched: %s", view().prompt);
    type("\x07");
    type("\x12\xe5\xad\x97");
    tap_ok(strstr(view().line, "\xe6\xbc\xa2\xe5\xad\x97") != NULL, "Ctrl-R finds Chinese characters");
    type("\x07\x03");
}

struct names {
    char all[4096];
    size_t n;
};
static void collect(void *ctx, const char *entry) {
    struct names *x = ctx;
    x->n++;
    if (strlen(x->all) + strlen(entry) + 2 < sizeof x->all) strcat(strcat(x->all, entry), "|");
}

static void history(void) {
    char path[64];
    struct err e = {0};
    snprintf(path, sizeof path, "/tmp/hone-history-%d/h/history", (int)getpid());
    for (int k = 0; k < 2; k++) /* two writers at once, one of them killed in the middle */
        if (fork() == 0) {
            char text[64];
            for (int i = 0; i < 500; i++) {
                snprintf(text, sizeof text, "session%d line\n%d", k, i);
                history_append(path, text, &e);
            }
            if (k) raise(SIGKILL);
            _exit(0);
        }
    while (wait(NULL) > 0) {}
    history_append(path, "again", &e);
    history_append(path, "b\\n", &e);
    history_append(path, "again", &e);
    struct names x = {{0}, 0};
    history_load(path, 5000, collect, &x, &e);
    tap_ok(x.n == 1002, "t.L7: 1,000 entries of two sessions and two of mine: %zu", x.n);
    x.n = 0, x.all[0] = 0;
    history_load(path, 2, collect, &x, &e);
    tap_is(x.all, "b\\n|again|", "doubles are dropped, the newest stays, backslashes survive");
    char *real = history_path("/some/folder"), *other = history_path("/some/other");
    tap_ok(real && other && strcmp(real, other) != 0 && strstr(real, "hone/history-"), "a file a folder: %s", real);
    free(real);
    free(other);
    prompt_close(&p);
    tap_ok(prompt_new(&f.script, path, &p, &e) == 0, "a prompt with that history");
    type("\x1b[A\x1b[A");
    tap_is(view().line, "b\\n", "the arrow key reaches entries of an earlier session");
    type("\x03");
    enter("'kept'");
    x.n = 0, x.all[0] = 0;
    history_load(path, 1, collect, &x, &e);
    tap_is(x.all, "'kept'|", "an entry is on disk as soon as it was entered");
    char cmd[128];
    snprintf(cmd, sizeof cmd, "/tmp/hone-history-%d", (int)getpid());
    io_remove_tree(cmd, &e);
}

static int by_value(const void *a, const void *b) { return (*(const double *)a > *(const double *)b) - (*(const double *)a < *(const double *)b); }

/* Ctrl-C again and again never ends the process. */
static void interrupts(void) {
    static double ms[1000];
    int all = 1000 / TAP_SLOW, n = 0;
    for (int i = 0; i < all; i++) {
        type("while true do end\r");
        clock_sleep(0.001);
        double t = clock_now();
        type("\x03");
        if (settle(2)) ms[n++] = 1e3 * (clock_now() - t);
    }
    qsort(ms, (size_t)n, sizeof *ms, by_value);
    tap_ok(n == all, "t.L1: %d of %d endless loops stopped; p50 %.1f ms, p95 %.1f ms, at most %.1f ms", n, all, n ? ms[n / 2] : 0, n ? ms[n * 95 / 100] : 0,
        n ? ms[n - 1] : 0);
}

int main(void) {
    struct err e = {0};
    setenv("INPUTRC", "/dev/null", 1);
    setenv("XDG_CONFIG_HOME", "/nonexistent", 1);
    if (fake_open(&f, "") != 0) return 1;
    if (prompt_new(&f.script, NULL, &p, &e) != 0) return 1;
    keys();
    typed_ahead();
    lines_that_are_no_lua();
    changed_files();
    paste();
    search();
    history();
    interrupts();
    enter("1 + 1");
    tap_is(last(), "2", "and the prompt goes on");
    fake_close(&f);
    prompt_close(&p);
    return tap_done();
}
