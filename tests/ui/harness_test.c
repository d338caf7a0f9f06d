/* The harness itself: the terminal's cells, its list of allowed sequences, the link's rate and delay, the environment, and a dashboard whose cells are those
 * that the session says it drew. */
#include "config.h"

#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include "src/base/err.h"
#include "src/base/thread.h"
#include "tests/tap.h"
#include "tests/ui/pty.h"

static char hone[4200], dir[64];

static void draws(const char *bytes, const char *want, const char *name) {
    struct vt v;
    struct buf b = BUF_INIT;
    vt_init(&v, 3, 6);
    for (const char *c = bytes; *c; c++) vt_feed(&v, c, 1); /* cut everywhere */
    vt_text(&v, &b);
    tap_is(b.data, want, name);
    if (v.n_bad) printf("# %s\n", v.bad);
    buf_release(&b);
    vt_release(&v);
}

static void test_cells(void) {
    draws("abcdefgh", "abcdef\ngh\n\n", "a long line wraps");
    draws("abcdef\rX\nY", "Xbcdef\n Y\n\n", "the last column does not wrap by itself");
    draws("abc\033[1;2HX\033[K\033[3;1Hz", "aX\n\nz\n", "moves and erases");
    draws("a\033[4bb\033[2G\033[1P\033[1@-", "a-aaab\n\n\n", "repeats, deletes, inserts");
    draws("1\r\n2\r\n3\r\n4", "2\n3\n4\n", "scrolls");
    draws("1\r\n2\r\n3\033[2;3r\033[3;1H\n5\033[r", "1\n3\n5\n", "scrolls a region");
    draws("1\r\n2\r\n3\033[H\033M0", "0\n1\n2\n", "scrolls back");
    draws("\xe6\xb5\x8b\xe8\xaf\x95x", "\xe6\xb5\x8b\xe8\xaf\x95x\n\n\n", "wide characters take two columns");
    draws("ab\xe6\xb5\x8b\033[3Gx", "abx\n\n\n", "and are gone when half is overwritten");
    draws("e\xcc\x81t\xe2\xa3\xbf", "e\xcc\x81t\xe2\xa3\xbf\n\n\n", "a mark joins its character");
    draws("main\033[?1049h\033[H\033[2Jother\033[?1049l", "main\n\n\n", "the main screen comes back");
    draws("\033(0qx\033(Bq", "\xe2\x94\x80\xe2\x94\x82q\n\n\n", "line drawing");
    struct vt v;
    vt_init(&v, 3, 6);
    static const char on[] = "\033[?1049h\033[?25l\033[?2004h\033[1;38;5;29mX", off[] = "\033[m\033[?2004l\033[?25h\033[?1049l";
    vt_feed(&v, on, sizeof on - 1);
    bool held = !vt_plain(&v) && v.n_color == 1 && v.cell[0].fg == 29 && v.cell[0].at == VT_BOLD;
    vt_feed(&v, off, sizeof off - 1);
    tap_ok(held && vt_plain(&v) && v.n_bad == 0, "modes and attributes are known, and that they are off again");
    vt_feed(&v, "\033[2;3H\033[6n", 10);
    tap_ok(v.answer.len == 6 && memcmp(v.answer.data, "\033[2;3R", 6) == 0, "it answers where the cursor is");
    vt_release(&v);
}

static void test_list(void) {
    static const char *const bad[] = {"\x01", "\x7f", "\xff", "\xc3(", "\xc2\x9b", "\033[5i", "\033[?1001h", "\033[?2026h", "\033[>c", "\033[c", "\033[!p",
        "\033c", "\033]52;c;aGk=\a", "\033]9;x\a", "\033]8;;x\033\\", "\033]10;?\a", "\033P0q\033\\", "\033_x\033\\", "\033^x\033\\", "\033[8;1;1t", "\033[3q",
        "\033[7h", "\xe2\x80\xae", "\xe2\x80\x8b", "\xef\xbb\xbf", "\033[38;2;1;2;3m", "\033[1 q", "\033#8"};
    int found = 0;
    for (size_t i = 0; i < LEN(bad); i++) {
        struct vt v;
        vt_init(&v, 3, 6);
        vt_feed(&v, bad[i], strlen(bad[i]));
        vt_feed(&v, "ok", 2);
        if (v.n_bad > 0 && v.bad[0]) found++;
        else printf("# not found: %zu\n", i);
        vt_release(&v);
    }
    tap_ok(found == (int)LEN(bad), "%d of %zu sequences that nobody asked for are found", found, LEN(bad));
    struct vt v;
    vt_init(&v, 3, 6);
    v.allow = VT_OSC_9 | VT_OSC_52;
    static const char fine[] = "\033]52;c;aGk=\a\033]9;done\a\033]2;title\033\\\a";
    vt_feed(&v, fine, sizeof fine - 1);
    tap_ok(v.n_bad == 0 && v.n_bell == 1 && strcmp(v.title, "title") == 0, "clipboard and notification where they are allowed; title and bell always");
    vt_release(&v);
}

static void test_link(void) {
    struct pty p;
    char *argv[] = {(char *)(uintptr_t) "/bin/sh", (char *)(uintptr_t) "-c",
        (char *)(uintptr_t) "stty raw -echo; printf ready; read x; head -c 6000 /dev/zero | tr '\\0' x; exec cat", NULL};
    pty_start(&p, 24, 80, "xterm", argv);
    pty_expect(&p, "ready", 5);
    pty_link(&p, 20000, 0.1);
    pty_forget(&p);
    double t = clock_now();
    pty_keys(&p, "\n");
    while (p.got.len < 1 && clock_now() - t < 9) pty_read(&p, 0.001);
    double first = clock_now() - t;
    while (p.got.len < 6000 && clock_now() - t < 9) pty_read(&p, 0.001);
    double all = clock_now() - t;
    tap_ok(first >= 0.199 && first < 2, "a key and its answer take two delays of 100 ms: %.3f s", first);
    tap_ok(p.got.len == 6000 && all - first >= 0.29 && all - first < 3, "6,000 bytes at 20 kB/s: %.3f s", all - first);
    double echo = pty_answer(&p, "k", 5);
    tap_ok(echo >= 0.199 && echo < 2, "the link is free again: %.3f s", echo);
    pty_close(&p);
}

static void test_environment(void) {
    struct pty p;
    char *argv[] = {(char *)(uintptr_t) "/usr/bin/env", NULL};
    setenv("CI", "1", 1);
    setenv("NO_COLOR", "1", 1);
    setenv("HONE_CACHE", "off", 1);
    pty_env("LC_ALL", "C");
    pty_start(&p, 24, 80, "vt100", argv);
    pty_ended(&p, 5);
    pty_env("LC_ALL", "C.UTF-8");
    tap_ok(!vt_shows(&p.vt, "CI=") && !vt_shows(&p.vt, "NO_COLOR") && vt_shows(&p.vt, "LC_ALL=C") && !vt_shows(&p.vt, "UTF-8") &&
               vt_shows(&p.vt, "TERM=vt100") && vt_shows(&p.vt, "HONE_CACHE=off"),
        "the environment is made from nothing");
    unsetenv("HONE_CACHE");
    pty_close(&p);
}

/* What the session says it drew, and what the terminal shows. */
static void test_dashboard(void) {
    struct pty p;
    struct buf said = BUF_INIT, shown = BUF_INIT;
    char *argv[] = {hone, NULL}, *screen[] = {hone, (char *)(uintptr_t) "screen", NULL}, *end[] = {hone, (char *)(uintptr_t) "shutdown", NULL};
    tap_ok(pty_dash(&p, 24, 80, "xterm-256color", argv, 10) && pty_shows(&p, "No run yet", 10) >= 0, "a dashboard appeared"); /* its Lua has started, too */
    static const char *const keys[] = {"1", "2", "0", "?", "\033", ":"};
    int same = 0;
    for (size_t i = 0; i < LEN(keys); i++) {
        pty_keys(&p, keys[i]);
        pty_quiet(&p, 0.1, 2);
        buf_clear(&shown);
        vt_text(&p.vt, &shown);
        if (run_out(&said, screen) == 0 && said.data && strcmp(said.data, shown.data) == 0) same++;
        else printf("# after %s the session says\n%s# the terminal\n%s", keys[i], said.data ? said.data : "", shown.data);
    }
    tap_ok(same == (int)LEN(keys), "%d of %zu screens: the cells are those of `hone screen`", same, LEN(keys));
    pty_keys(&p, "\033");
    pty_read(&p, 0.1);
    pty_keys(&p, "q");
    tap_ok(pty_ended(&p, 5) && pty_code(&p) == 0 && vt_plain(&p.vt), "and it leaves a plain terminal");
    tap_ok(p.vt.n_bad == 0, "no byte that is not allowed: %s", p.vt.bad);
    run_out(&said, end);
    pty_close(&p);
    buf_release(&said);
    buf_release(&shown);
}

int main(void) {
    const char *top = getenv("top_builddir");
    char sock[96];
    snprintf(hone, sizeof hone, "%s/hone", top ? top : ".");
    snprintf(dir, sizeof dir, "/tmp/hone-harness-XXXXXX");
    if (!mkdtemp(dir) || chdir(dir)) return 99;
    snprintf(sock, sizeof sock, "%s/sock", dir);
    setenv("HONE_SOCKET_DIR", sock, 1);
    test_cells();
    test_list();
    test_link();
    test_environment();
    test_dashboard();
    char *clean[] = {(char *)(uintptr_t) "/bin/rm", (char *)(uintptr_t) "-rf", dir, NULL};
    struct buf out = BUF_INIT;
    if (chdir("/") == 0) run_out(&out, clean);
    return tap_done();
}
