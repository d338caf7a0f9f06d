/* Floods of keys, the drawer's block and what was said in it, over a prompt that only keeps its line and text; the session is tests/sock/prompt_test. */
#include "config.h"

#include <stdlib.h>

#include "src/base/mem.h"
#include "src/base/thread.h"
#include "tests/tap.h"
#include "tests/ui/fixture.h"

/* ---- a prompt ---- */

static struct {
    struct buf line, out;
    const char *row[6000];
    struct prompt_view view;
    int keys, pastes;
    enum working working;
} fake;

static void fake_key(void *ctx, const char *bytes, size_t n) {
    (void)ctx;
    fake.keys++;
    if (n == 1 && bytes[0] >= ' ') buf_add(&fake.line, bytes, n);
}
static void fake_paste(void *ctx, const char *text, size_t n) {
    (void)ctx;
    fake.pastes++;
    buf_add(&fake.line, text, n);
}
static void fake_size(void *ctx, int rows, int cols) { (void)ctx, (void)rows, (void)cols; }
static void fake_view(void *ctx, struct prompt_view *v) {
    (void)ctx;
    *v = fake.view;
    v->prompt = "> ";
    v->line = fake.line.data ? fake.line.data : "";
    v->out = fake.row;
}
static bool fake_poll(void *ctx) {
    (void)ctx;
    return true;
}
static enum working fake_working(void *ctx) {
    (void)ctx;
    return fake.working;
}
static const struct prompt_port port = {.key = fake_key, .paste = fake_paste, .size = fake_size, .view = fake_view, .poll = fake_poll, .working = fake_working};

static void line_is(const char *text, size_t cursor) {
    buf_clear(&fake.line);
    buf_adds(&fake.line, text);
    fake.view.cursor = cursor;
}

/* Lines of output, of which the last evaluation said those from `since` on. */
static void said(int n, size_t since) {
    static char text[6000][24];
    for (int i = 0; i < n; i++) {
        snprintf(text[i], sizeof text[i], "line %d%s", i, i % 70 == 50 ? " needle" : "");
        fake.row[i] = text[i];
    }
    fake.view.n_out = (size_t)n;
    fake.view.since = since;
    fake.view.ended++;
}

static void draw(struct fx *f) {
    struct buf frame = BUF_INIT;
    fx_frame(f, &frame);
    buf_release(&frame);
}

static bool on_screen(struct fx *f, const char *what) {
    struct buf text = BUF_INIT;
    draw(f);
    ui_port(f->u)->last_screen(f->u, &text);
    bool there = strstr(text.data, what);
    if (!there) printf("# \"%s\" is not on:\n", what), tap_note(text.data);
    buf_release(&text);
    return there;
}
static bool row_is(struct fx *f, int row, const char *want) {
    struct buf b = BUF_INIT;
    grid_row_text(&f->u->next, row, &b);
    bool same = strcmp(b.data ? b.data : "", want) == 0;
    if (!same) printf("# row %d: \"%s\", not \"%s\"\n", row, b.data ? b.data : "", want);
    buf_release(&b);
    return same;
}

static void press(struct fx *f, const char *keys) { /* as a user does, with pauses */
    for (size_t n; *keys; keys += n) {
        n = *keys == '\033' && keys[1] == '[' ? (keys[2] >= '0' && keys[2] <= '9' ? 4 : 3) : 1;
        ui_port(f->u)->input(f->u, keys, n);
        fx_time += 0.1;
        draw(f);
    }
}

static void start(struct fx *f, int rows, int cols) {
    memset(&fake, 0, sizeof fake);
    fx_open(f, 100, 4000);
    f->u->prompt = &port;
    fx_attach(f, "xterm-256color", "UTF-8", "ascii", rows, cols, false);
}
static void end(struct fx *f) {
    f->u->prompt = NULL;
    buf_release(&fake.line);
    fx_close(f);
}

/* ---- floods ---- */

static double costly_t = 5000, look_s;
static double costly_clock(void) { return costly_t += look_s; } /* every look at it costs */

static void floods(void) {
    struct fx f;
    static char many[4096];
    start(&f, 24, 80);
    on_screen(&f, "loss");
    int from = f.u->sel, all = f.u->now.n - 2; /* two metrics stand above the list */
    memset(many, '\t', sizeof many);
    for (int i = 0; i < 64; i++) ui_port(f.u)->input(f.u, many, sizeof many);
    int at = f.u->sel;
    f.u->sel = from;
    for (int i = 0; i < (int)(64 * sizeof many) % all; i++) press(&f, "\t");
    tap_ok(f.u->sel == at, "262,144 Tabs select the metric that as many single ones would: %d, %d", at, f.u->sel);
    memset(many, 'z', sizeof many);
    ui_port(f.u)->input(f.u, many, 1000);
    ui_port(f.u)->input(f.u, "9", 1);
    tap_ok(f.u->screen == SCR_LOG && on_screen(&f, "> hone.zoom{}"), "a thousand keys at once are all answered: the next one is served");
    look_s = 1e-5;
    f.u->clock = costly_clock;
    for (int i = 0; i < 20000; i++) costly_t += 0.016, ui_port(f.u)->input(f.u, "j", 1);
    tap_ok(f.u->input.passed == 0, "a key that is held down for minutes is no flood: %ld passed over", f.u->input.passed);
    look_s = 0.0002;
    ui_port(f.u)->input(f.u, "1", 1);
    costly_t += 1;
    memset(many, 'f', sizeof many);
    double t = costly_t;
    for (int i = 0; i < 64; i++) {
        if (i == 63) many[sizeof many - 1] = '9';
        ui_port(f.u)->input(f.u, many, sizeof many);
    }
    tap_ok(f.u->input.passed > 200000 && costly_t - t < 0.3, "of a flood only some keys are served: %ld were passed over", f.u->input.passed);
    double wait = ui_port(f.u)->timeout(f.u) / 1000.0;
    tap_ok(f.u->screen != SCR_LOG && wait >= 0 && wait <= 0.021, "its end is waited for, at most %.0f ms", wait * 1000);
    costly_t += 0.03;
    draw(&f);
    tap_ok(f.u->screen == SCR_LOG, "then its last key is served");
    f.u->clock = fx_clock;
    tap_ok(on_screen(&f, "came faster than they could be served"), "and it is said");
    end(&f);
}

static void burst_at_prompt(void) {
    struct fx f;
    start(&f, 24, 80);
    press(&f, "`");
    static const char block[] = "for i = 1, 3 do\r\tprint(i)\r\tprint('\xe6\xbc\xa2')\rend";
    ui_port(f.u)->input(f.u, block, sizeof block - 1);
    tap_ok(fake.pastes == 1 && fake.keys == 0 && strcmp(fake.line.data, "for i = 1, 3 do\n\tprint(i)\n\tprint('\xe6\xbc\xa2')\nend") == 0,
        "t.L3: a paste that is not bracketed is one block too");
    ui_port(f.u)->input(f.u, "print('typed quickly by a test program')\r", 41);
    tap_ok(fake.pastes == 2 && fake.keys == 1, "the Enter at its end is one");
    end(&f);
}

/* ---- the block ---- */

static void block(void) {
    struct fx f;
    char text[4000] = "";
    start(&f, 24, 80);
    press(&f, "`");
    line_is("0123456789012345678901234567890123456789012345678901234567890123456789ABCDEFGHIJKLMNO", 85);
    tap_ok(on_screen(&f, "IJKLMNO") && f.u->next.cur_row == 22 && f.u->next.cur_col == 2 + 8, "a line longer than the window is wrapped: row %d column %d",
        f.u->next.cur_row, f.u->next.cur_col);
    for (int i = 0; i < 40; i++) sprintf(text + strlen(text), "line_%d()\n", i);
    line_is(text, strlen(text));
    tap_ok(on_screen(&f, "line_39()") && on_screen(&f, "goes on above") && f.u->next.cur_row == 22,
        "of a block longer than the drawer the end with the cursor shows");
    line_is(text, 0);
    tap_ok(on_screen(&f, "line_0()") && on_screen(&f, "goes on below"), "or its beginning");
    line_is(text, (size_t)(strstr(text, "line_20") - text) + 4);
    tap_ok(on_screen(&f, "above and below") && row_is(&f, f.u->next.cur_row, ">> line_20()") && f.u->next.cur_col == 3 + 4, "or its middle");
    line_is("\xe6\xbc\xa2\xe5\xad\x97 e\xcc\x81 \tx", 12);
    on_screen(&f, "x");
    tap_ok(f.u->next.cur_col == 2 + 4 + 1 + 1 + 1 + 1, "the cursor stands right behind wide, combined characters and tabs: %d", f.u->next.cur_col);
    /* megabytes: the time does not follow the length */
    size_t n = 8 << 20;
    char *big = mem_new(n + 1, 1);
    for (int kind = 0; kind < 2; kind++) {
        memset(big, 'x', n);
        for (size_t i = 63; kind && i < n; i += 64) big[i] = '\n';
        line_is(big, n / 2);
        double t = clock_now();
        for (int i = 0; i < 20; i++) {
            fake.view.cursor = n / 2 + (size_t)i;
            fx_keys(&f, "\033[C");
            draw(&f);
        }
        t = (clock_now() - t) / 20;
        tap_ok(t < 0.05 * TAP_SLOW, "an arrow key in 8 MB %s is drawn in %.1f ms", kind ? "of lines" : "in one line", t * 1000);
    }
    free(big);
    end(&f);
}

/* ---- what was said ---- */

static void output(void) {
    struct fx f;
    start(&f, 24, 80);
    press(&f, "`");
    said(10, 0);
    press(&f, "a\177");
    buf_clear(&fake.line);
    tap_ok(on_screen(&f, "line 9") && on_screen(&f, "+3 above, PgUp") && !f.u->pager.open, "what does not fit is told, with its key");
    said(200, 20);
    tap_ok(on_screen(&f, "lines 21-38 of 200") && row_is(&f, 4, "line 20"), "output longer than the screen is shown from its beginning over the whole screen");
    tap_ok(on_screen(&f, "Space PgUp Up Down Home End  / find  q the prompt"), "its keys are told");
    press(&f, " ");
    tap_ok(row_is(&f, 4, "line 37"), "Space goes a page on");
    press(&f, "\033[5~j");
    tap_ok(row_is(&f, 4, "line 21"), "PgUp back, j a line on");
    press(&f, "/needle\r");
    tap_ok(row_is(&f, 4, "line 50 needle") && on_screen(&f, "n N next"), "/ finds");
    press(&f, "n");
    tap_ok(row_is(&f, 4, "line 120 needle"), "n the next");
    press(&f, "nn");
    tap_ok(on_screen(&f, "not found: needle"), "there is no more: said");
    press(&f, "NN");
    tap_ok(row_is(&f, 4, "line 50 needle"), "N the one before");
    press(&f, "\033[F ");
    tap_ok(!f.u->pager.open && on_screen(&f, "+193 above, PgUp"), "Space at the end goes back to the prompt");
    press(&f, "\033[5~");
    tap_ok(f.u->pager.open && !f.u->pager.full, "PgUp looks back in the drawer as it is");
    press(&f, "p");
    tap_ok(!f.u->pager.open && strcmp(fake.line.data, "p") == 0, "any other key is typed");
    said(400, 200);
    tap_ok(on_screen(&f, "+393 above, PgUp") && !f.u->pager.open, "who types already is not disturbed");
    buf_clear(&fake.line);
    press(&f, "\004");
    tap_ok(!f.u->drawer, "Ctrl-D on an empty line closes the drawer");
    end(&f);
}

/* ---- what works before a run is there ---- */

static void no_flash(void) {
    struct fx f;
    memset(&fake, 0, sizeof fake);
    fx_empty(&f);
    f.u->prompt = &port;
    fake.working = WORKING_LINE;
    fx_attach(&f, "xterm-256color", "UTF-8", "ascii", 24, 80, false);
    tap_ok(on_screen(&f, "No run yet.") && on_screen(&f, "hone demo"), "the start of Lua, or a short line, flashes nothing");
    fx_time += 0.5;
    int wait = ui_port(f.u)->timeout(f.u);
    tap_ok(wait > 0 && wait <= 501, "it is looked at again when it has lasted a second: in %d ms", wait);
    fx_time += 0.6;
    tap_ok(on_screen(&f, "Lua works, 1 s"), "then its seconds are shown");
    fake.working = WORKING_SCRIPT;
    fx_time += 1;
    tap_ok(on_screen(&f, "A script runs, 2 s"), "a script is called one");
    fake.working = WORKING_NONE;
    fx_time += 0.1;
    tap_ok(on_screen(&f, "No run yet."), "and gone");
    f.u->prompt = NULL;
    fx_close(&f);
}

int main(void) {
    floods();
    burst_at_prompt();
    block();
    output();
    no_flash();
    return tap_done();
}
