/* The prompt of line mode on a pseudo-terminal: editing, blocks, history, completion, interrupts, the editor, output of runs beside the line that is
 * edited, line settings on every way out; and the same lines from a pipe. */
#include "config.h"

#include "src/base/buf.h"
#include "tests/sock/fix.h"

static struct pty p;

static bool open_prompt(const char *term) {
    char *argv[] = {hone, (char *)(uintptr_t) "--plain", NULL};
    return pty_start(&p, 24, 80, term, argv) == 0 && pty_expect(&p, "> ", 10 * TAP_SLOW);
}

static void enter(const char *line) {
    pty_keys(&p, line);
    pty_keys(&p, "\r");
}

/* A line that is run, and the next prompt: what is typed before it is another matter. */
static void run_line(const char *line) {
    pty_forget(&p);
    enter(line);
    pty_expect(&p, "2004h> ", 20 * TAP_SLOW);
}

static bool shows(const char *text, const char *what) {
    bool ok = tap_ok(pty_shows(&p, text, 10 * TAP_SLOW) >= 0, "%s", what);
    if (!ok) show(&p);
    return ok;
}

static void lines(void) {
    struct termios before, now;
    tap_ok(open_prompt("xterm-256color"), "line mode has a prompt on a terminal");
    run_line("40 + 2");
    shows("42", "a value");
    enter("for i = 1, 2 do");
    enter("print('row ' .. i)");
    pty_read(&p, 0.1);
    tap_ok(!vt_shows(&p.vt, "row 1"), "a block goes on until it is whole");
    run_line("end");
    shows("row 2", "and runs then");
    run_line("x = = 1");
    shows("syntax error in line 1", "t.L5: a syntax error in line mode");
    tap_ok(vt_shows(&p.vt, "     ^"), "with a caret below its place");
    run_line("forty = 40");
    run_line("_1");
    pty_keys(&p, "fort\033[A\005");
    run_line("1");
    run_line("forty");
    shows("401", "Up finds by what stands before the cursor");
    pty_keys(&p, "hone.compre\t");
    shows("> hone.compress", "Tab completes");
    pty_keys(&p, "\t");
    shows("compress_revert", "and shows the candidates");
    pty_keys(&p, "\003");
    pty_keys(&p, "\022row");
    shows("(reverse-i-search)`row'", "Ctrl-R searches");
    pty_keys(&p, "\007\003");
    run_line("data = 5");
    run_line("data + 900");
    shows("905", "what is assigned to is no command, though one has its name");
    run_line("get seed");
    shows("1", "a command is one");
    pty_read(&p, 0.2);
    pty_modes(&p, &before);
    bool lost = false;
    double worst = 0;
    for (int i = 0; i < 5 && !lost; i++) { /* quicker than the two interrupts that end hone elsewhere, and slower */
        pty_forget(&p);
        enter("print('lo' .. 'op') while true do end");
        if (!pty_expect(&p, "loop", 10 * TAP_SLOW)) lost = true;
        pty_read(&p, 0.06 * i);
        pty_forget(&p);
        double t = clock_now();
        pty_keys(&p, "\003");
        lost = !pty_expect(&p, "interrupted", 5 * TAP_SLOW);
        if (clock_now() - t > worst) worst = clock_now() - t;
        pty_expect(&p, "2004h> ", 5 * TAP_SLOW);
    }
    tap_ok(!lost && worst > 0, "t.L1: Ctrl-C again and again ends evaluations only: %.0f ms", worst * 1e3);
    run_line("'still ' .. 'here'");
    shows("still here", "the prompt goes on");
    pty_read(&p, 0.2);
    pty_modes(&p, &now);
    tap_ok(pty_same(&before, &now), "in the same line settings");
}

/* Typed at once, and the terminal reads it a little later: nothing of the block is lost, and Ctrl-C comes after it, not before. */
static void interrupted_block(void) {
    int whole = 0, searched = 0;
    for (int i = 0; i < 10; i++) {
        pty_forget(&p);
        pty_keys(&p, "if first then\rprint('second')\rprint('third row'");
        clock_sleep(0.002 * i); /* it writes; nobody reads */
        pty_keys(&p, "\003'next ' .. 'line'\r");
        bool next = pty_expect(&p, "next line", 10 * TAP_SLOW);
        pty_expect(&p, "2004h> ", 5 * TAP_SLOW);
        whole += next && vt_shows(&p.vt, "> if first then") && vt_shows(&p.vt, "print('second')") && vt_shows(&p.vt, "print('third row'^C");
        pty_keys(&p, "\022row\003'found ' .. 'out'\r");
        searched += pty_expect(&p, "found out", 10 * TAP_SLOW);
        pty_expect(&p, "2004h> ", 5 * TAP_SLOW);
    }
    tap_ok(whole == 10, "Ctrl-C behind a block that was typed at once leaves all its rows on the screen: %d of 10", whole);
    tap_ok(searched == 10, "and behind a search in the history leaves both: %d of 10", searched);
}

static void paste(void) {
    struct buf b = BUF_INIT;
    buf_adds(&b, "\033[200~n = 0\r");
    for (int i = 0; i < 500; i++) buf_addf(&b, "\tif n >= 0 then n = n + 1 end -- %d\r", i);
    buf_adds(&b, "\033[201~");
    pty_keys(&p, b.data);
    pty_quiet(&p, 0.5, 10);
    run_line("");
    run_line("'n is ' .. n");
    shows("n is 500", "t.L3: a paste with tabs is one block, which Enter runs");
    buf_release(&b);
}

static const char script[] = "#!/bin/sh\nls -l \"$2\" | cut -c1-10 > mode.txt; cat \"$2\" > was.txt\necho \"'edited ' .. $1\" > \"$2\"\n";
static void editor(void) {
    struct err e = {0};
    char was[400];
    struct buf text = BUF_INIT;
    pty_keys(&p, "os.getenv('EDITOR')");
    pty_keys(&p, "\030\005");
    shows("> 'edited ' .. 77", "Ctrl-X Ctrl-E: the block comes back from the editor");
    run_line("");
    shows("edited 77", "and runs with Enter");
    bool read = io_read_file("was.txt", 1000, &text, &e) == 0;
    snprintf(was, sizeof was, "%s", text.data ? text.data : "");
    tap_ok(read && strcmp(was, "os.getenv('EDITOR')\n") == 0, "the editor got it: %s", was);
    buf_clear(&text);
    read = io_read_file("mode.txt", 1000, &text, &e) == 0;
    tap_ok(read && strncmp(text.data, "-rw-------", 10) == 0, "in a file of mode 0600");
    buf_release(&text);
}

static void runs_meanwhile(void) {
    run_line("d = hone.data{ 'german-credit', val = 200 }");
    run_line("m = nn.model{ input = d, nn.linear{8}, nn.relu{}, nn.linear{2} }");
    run_line("r = hone.train{ model = m, data = d, epochs = 30, batch = 32 }");
    pty_keys(&p, "'typed meanwhile'");
    shows("done after", "a run tells of its end");
    shows("> 'typed meanwhile'", "above the line that is edited");
    pty_read(&p, 0.3);
    int rows = 0;
    struct buf b = BUF_INIT;
    for (int y = 0; y < 24; y++) {
        buf_clear(&b);
        vt_row(&p.vt, y, &b);
        if (strstr(b.data, "typed meanwhile")) rows++;
    }
    tap_ok(rows == 1, "of which nothing else is left on the screen: %d", rows);
    buf_release(&b);
    pty_keys(&p, "\003");
    run_line("r = hone.train{ model = m, data = d, epochs = 1000000, batch = 32 }");
    shows("step 100", "another trains");
    pty_keys(&p, "half\003");
    bool on = false;
    for (int i = 0; i < 10 && !on; i++) { /* it may be evaluating just then */
        run_line("j = hone.jobs{}; for _, x in ipairs(j) do if x.state == 'training' then print('go' .. 'es on') end end");
        on = pty_expect(&p, "goes on", 1 * TAP_SLOW);
    }
    tap_ok(on, "Ctrl-C at the prompt left the run alone");
    run_line("r:stop()");
    run_line("'run ' .. r:wait().state");
    tap_ok(pty_expect(&p, "run stopped", 10 * TAP_SLOW), "r:stop() ends it");
}

static void ways_out(void) {
    struct termios before, after;
    char *argv[] = {hone, (char *)(uintptr_t) "--plain", NULL}, *other[] = {(char *)(uintptr_t) "/bin/cat", NULL};
    pty_start(&p, 24, 80, "xterm-256color", other);
    pty_modes(&p, &before);
    pty_close(&p);
    struct {
        int sig;
        const char *name;
    } ends[] = {{SIGTERM, "SIGTERM"}, {SIGSEGV, "SIGSEGV"}, {SIGHUP, "SIGHUP"}};
    signal(SIGHUP, SIG_DFL); /* under nohup it is ignored, and children keep that */
    for (size_t i = 0; i < LEN(ends); i++) {
        pty_start(&p, 24, 80, "xterm-256color", argv);
        pty_expect(&p, "> ", 10 * TAP_SLOW);
        pty_keys(&p, "half a li");
        pty_read(&p, 0.3);
        kill(p.pid, ends[i].sig);
        pty_ended(&p, 10 * TAP_SLOW);
        pty_modes(&p, &after);
        tap_ok(pty_same(&before, &after) && !p.vt.paste, "t.D5: %s while a line is edited: the line settings are as before (%d)", ends[i].name, pty_code(&p));
        pty_close(&p);
    }
}

static void plain(void) {
    tap_ok(open_prompt("dumb"), "a dumb terminal has a prompt");
    enter("6 * 7");
    tap_ok(pty_expect(&p, "42", 5 * TAP_SLOW), "and editing");
    pty_keys(&p, "abc\033[Dx\003");
    pty_read(&p, 0.2);
    tap_ok(!memchr(p.got.data, 27, p.got.len), "without an escape");
    pty_keys(&p, "\004");
    tap_ok(pty_ended(&p, 10) && pty_code(&p) == 0, "Ctrl-D ends it");
    pty_close(&p);
    char *argv[] = {(char *)(uintptr_t) "/bin/sh", (char *)(uintptr_t) "-c", NULL, NULL};
    char cmd[4600];
    snprintf(cmd, sizeof cmd, "printf '1 + 1\\nprint(3)\\n\"x\"' | %s", hone);
    argv[2] = cmd;
    buf_clear(&out);
    int code = run_out(&out, argv);
    tap_ok(code == 0 && strcmp(out.data ? out.data : "", "2\n3\nx\n") == 0, "lines from a pipe: each value has its line: %s", out.data ? out.data : "");
}

static void settings(void) {
    static const char kept[] = "hone.prop.seed = 77\n", config[] = "hone.prop.log_every = 33\n";
    struct err e = {0};
    char cfg[128], file[160];
    snprintf(cfg, sizeof cfg, "%s/.config/hone", dir);
    io_mkdirs(cfg, 0700, &e);
    snprintf(file, sizeof file, "%s/settings.lua", cfg);
    io_write_file(file, kept, sizeof kept - 1, &e);
    snprintf(file, sizeof file, "%s/config.lua", cfg);
    io_write_file(file, config, sizeof config - 1, &e);
    word("get", "seed", NULL);
    tap_ok(out.len && strstr(out.data, "77"), "the settings that are kept hold for line mode: %s", out.data);
    word("-c", "ls", NULL);
    word("get", "log_every", NULL);
    tap_ok(out.len && strstr(out.data, "33"), "config.lua too: %s", out.data);
    io_remove_tree(cfg, &e);
}

int main(void) {
    if (!fix_open("terminal")) return 99;
    fix_editor(script, " 77");
    lines();
    interrupted_block();
    paste();
    editor();
    runs_meanwhile();
    pty_keys(&p, "\004");
    tap_ok(pty_ended(&p, 20) && pty_code(&p) == 0, "Ctrl-D ends it: %d", pty_code(&p));
    pty_close(&p);
    ways_out();
    plain();
    settings();
    return fix_close();
}
