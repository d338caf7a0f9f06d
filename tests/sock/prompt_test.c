/* The drawer's prompt in a session on a pseudo-terminal: the user's editor and how it may end, floods of keys, a start that flashes nothing. */
#include "config.h"

#include "tests/sock/fix.h"

static struct pty p;

static bool shows(const char *text, double seconds) {
    bool there = pty_shows(&p, text, seconds * TAP_SLOW) >= 0;
    if (!there) printf("# no \"%s\"\n", text), show(&p);
    return there;
}

static void put(const char *path, const char *text) {
    struct err e = {0};
    if (io_write_file(path, text, strlen(text), &e) != 0) tap_ok(false, "%s", e.text);
}

/* ---- the editor ---- */

/* What it does stands in the file mode.txt. */
static const char editor[] = "cp \"$1\" was.txt\n"
                             ": > ready.txt\n"
                             "case $(cat mode.txt) in\n"
                             "whole) printf 'for i = 1, 2 do\\n\\tprint(\"\\303\\251 \\346\\274\\242 \" .. i)\\nend\\n' > \"$1\" ;;\n"
                             "fails) echo ruined > \"$1\"; exit 3 ;;\n"
                             "killed) echo ruined > \"$1\"; kill -9 $$ ;;\n"
                             "same) ;;\n"
                             "binary) printf 'x = \\377\\376' > \"$1\" ;;\n"
                             "gone) rm \"$1\" ;;\n"
                             "waits) while [ ! -e go.txt ]; do sleep 0.02; done; echo '\"after the wait\"' > \"$1\" ;;\n"
                             "empty) : > \"$1\" ;;\n"
                             "esac\n";

static void edit(const char *mode, const char *block) {
    put("mode.txt", mode);
    unlink("ready.txt");
    pty_keys(&p, "\003"); /* an empty line */
    pty_keys(&p, block);
    shows(block, 5);
    pty_keys(&p, "\030\005");
}

static bool started(void) {
    for (int i = 0; i < 200 && access("ready.txt", F_OK) != 0; i++) pty_read(&p, 0.05);
    return access("ready.txt", F_OK) == 0;
}

/* The dashboard is there again after the editor: what stood on the screen before it proves nothing. */
static bool back(void) {
    bool was = started();
    for (int i = 0; i < 200 && vt_plain(&p.vt); i++) pty_read(&p, 0.05);
    return was && !vt_plain(&p.vt);
}

static void line_stays(const char *mode, const char *why) {
    char block[64];
    snprintf(block, sizeof block, "'kept by %s'", mode);
    edit(mode, block);
    tap_ok(back() && (!why || shows(why, 10)) && shows(block, 5) && !vt_shows(&p.vt, "ruined"), "an editor that %s leaves the block as it was%s", mode,
        why ? " and it is said" : "");
}

static void editors(void) {
    edit("whole", "first(1)");
    tap_ok(shows("for i = 1, 2 do", 10) && shows("print(\"\xc3\xa9 \xe6\xbc\xa2 \" .. i)", 2), "Ctrl-X Ctrl-E: a block comes back whole, with its accents");
    pty_keys(&p, "\r");
    tap_ok(shows("\xc3\xa9 \xe6\xbc\xa2 2", 10), "and runs with Enter, not before");
    struct buf was = BUF_INIT;
    struct err e = {0};
    bool read = io_read_file("was.txt", 1000, &was, &e) == 0 && was.len;
    tap_ok(read && strcmp(was.data, "first(1)\n") == 0, "the editor got what was typed: %s", read ? was.data : e.text);
    buf_release(&was);
    line_stays("fails", "the block is as it was: status 3 of the editor sh ");
    line_stays("killed", "the block is as it was: signal 9 ended the editor");
    line_stays("same", NULL);
    line_stays("binary", "is not UTF-8: the block is as it was");
    line_stays("gone", "No such file");
    edit("empty", "'to be dropped'");
    tap_ok(back() && !vt_shows(&p.vt, "> 'to be dropped'") && shows(" Enter runs", 5), "an empty file empties the line");
}

/* A Ctrl-C may find the dashboard, a terminal that nobody has yet, the editor, or the dashboard again: it ends the editor or clears the line. */
static void interrupts(void) {
    bool there = true;
    for (int i = 0; i < 10 && there; i++) {
        edit("same", "'interrupted'");
        for (int k = 0; k < 200; k++) pty_keys(&p, "\003"), clock_sleep(0.0001);
        pty_quiet(&p, 0.15, 5);
        there = !pty_ended(&p, 0);
    }
    tap_ok(there, "Ctrl-C at any moment of an editor's start ends no dashboard");
    pty_keys(&p, "\003=40 + 1.25\r");
    tap_ok(shows("41.25", 10), "and the prompt goes on");
}

static void editor_meanwhile(void) {
    edit("waits", "'before the wait'");
    tap_ok(started() && vt_plain(&p.vt), "the editor gets the terminal as a shell leaves it");
    double s0 = steps();
    pty_size(&p, 30, 100);
    for (int i = 0; i < 100 && steps() <= s0; i++) pty_read(&p, 0.05);
    tap_ok(steps() > s0, "training goes on meanwhile");
    put("go.txt", "");
    tap_ok(shows("> \"after the wait\"", 10), "its text comes back");
    struct buf last = BUF_INIT;
    vt_row(&p.vt, 29, &last);
    tap_ok(last.len && strstr(last.data, "Enter runs") && shows("TRAINING", 2) && p.vt.n_bad == 0,
        "the dashboard is drawn again, for the size that the terminal has by now: %s", last.data);
    buf_release(&last);
    pty_keys(&p, "\r");
    tap_ok(shows("after the wait", 5), "and runs");
    pty_size(&p, 24, 80);
}

/* ---- floods ---- */

static void flood(const char *unit, size_t n, const char *name, bool prompt) {
    size_t len = strlen(unit);
    char piece[4097] = "";
    for (size_t i = 0; i < 4096 / len; i++) memcpy(piece + i * len, unit, len + 1);
    for (size_t at = 0; at < n; at += strlen(piece)) pty_keys(&p, piece), pty_read(&p, 0.0005);
    pty_read(&p, 0.05); /* the moment before somebody presses a key */
    double t = clock_now();
    pty_keys(&p, prompt ? "\003=40 + 2.5\r" : "9");
    bool there = prompt ? pty_shows(&p, "42.5", 20) >= 0 : pty_shows(&p, " Log", 20) >= 0;
    if (!there && *unit == '\033' &&
        !vt_shows(&p.vt, " Lua ")) { /* a sequence that a busy machine tore apart is a lone Escape, which closes the drawer (t.K3) */
        pty_keys(&p, "`");
        shows(" Lua ", 5);
        t = clock_now();
        pty_keys(&p, "\003=40 + 2.5\r");
        there = pty_shows(&p, "42.5", 20) >= 0;
    }
    tap_ok(there && clock_now() - t < 5 * TAP_SLOW, "after 256 KB of %s the next key is served in %.0f ms", name, 1e3 * (clock_now() - t));
    if (!there) show(&p);
    pty_keys(&p, prompt ? "\003" : "1");
    pty_read(&p, 0.1);
}

static void floods(void) {
    pty_keys(&p, "\003\033");
    pty_read(&p, 0.1);
    pty_keys(&p, "1");
    flood("\t", 256 << 10, "Tabs on the Overview", false);
    flood("jk+-zgX", 256 << 10, "mixed keys", false);
    pty_keys(&p, "1");
    flood("\033[A", 256 << 10, "arrows", false);
    pty_keys(&p, "1`");
    shows(" Lua ", 5);
    flood("\t", 256 << 10, "Tabs at the prompt", true);
    flood("print('x') ", 256 << 10, "text at the prompt", true);
    flood("\033[D", 256 << 10, "arrows at the prompt", true);
    tap_ok(p.vt.n_bad == 0, "only allowed sequences: %s", p.vt.bad);
}

/* ---- a start ---- */

static void start(void) {
    int bad = 0;
    for (int i = 0; i < 5; i++) {
        bool there = dash(&p, 24, 80, "xterm-256color", NULL, NULL);
        pty_quiet(&p, 0.3, 3);
        buf_addc(&p.got, 0);
        if (!there || strstr(p.got.data, "works") || strstr(p.got.data, "script runs")) bad++;
        leave(&p);
        session_end();
    }
    tap_ok(bad == 0, "a new session announces no work while Lua starts: %d of 5 did", bad);
}

int main(void) {
    if (!fix_open("prompt")) return 99;
    fix_editor(editor, "");
    start();
    tap_ok(trains(&p), "a run trains");
    pty_keys(&p, "`");
    tap_ok(shows(" Enter runs", 5), "the drawer tells its keys");
    editors();
    interrupts();
    editor_meanwhile();
    floods();
    leave(&p);
    return fix_close();
}
