/* What a user can do is reachable in every way (t.K1); text of any script stands in its columns (t.A6); what the terminal answers about widths and what it
 * is told. */
#include "config.h"

#include "tests/tap.h"
#include "tests/ui/fixture.h"
#include "tests/ui/vt.h"

/* ---- t.K1 ---- */

static bool offered(struct ui *u, const char *command) {
    for (int i = 0; i < u->n_item; i++)
        if (strcmp(u->item[i].command, command) == 0 || (u->item[i].command[0] == '?' && strcmp(u->item[i].command + 1, command) == 0)) return true;
    return false;
}

/* Every binding: a command that is there, with help, in the palette, on the list of its screen, and a line of Lua that does the same. */
static void test_bindings(struct fx *f) {
    int bad = 0, n = 0;
    struct ui *u = f->u;
    for (const struct key_row *r = key_rows(); r->keys; r++, n++) {
        struct err e = {0};
        struct buf lua = BUF_INIT;
        struct call *c = call_parse(f->hub, r->command, BY_KEY, &e);
        bool listed = false;
        for (int s = 0; s < SCR_N && !listed; s++) {
            if (!keys_of(r, views[s]) && strcmp(r->screen, "*") != 0) continue;
            u->screen = (enum screen_id)s;
            popup_open(u, POP_HELP);
            for (int i = 0; i < u->n_item; i++) listed = listed || (strcmp(u->item[i].label, r->keys) == 0 && strcmp(u->item[i].detail, r->help) == 0);
        }
        popup_open(u, POP_PALETTE);
        if (c) call_lua(c, &lua);
        bool ok = c && !(c->cmd->flags & (CMD_HIDDEN | CMD_SHELL)) && r->help && r->help[0] && c->cmd->kind.help && c->cmd->kind.help[0] && listed &&
                  offered(u, r->command) && lua.len > 6 && (memcmp(lua.data, "hone.", 5) == 0 || memcmp(lua.data, "run:", 4) == 0);
        if (!ok)
            bad++, printf("# %s %s: command %d help %d listed %d palette %d lua %s %s\n", r->screen, r->keys, c != NULL, r->help && r->help[0], listed,
                       offered(u, r->command), lua.data ? lua.data : "", e.text);
        if (c) call_free(c);
        buf_release(&lua);
    }
    popup_open(u, POP_NONE);
    tap_ok(bad == 0 && n > 60, "t.K1: %d bindings: each on the key list of its screen, in the palette, a line of Lua, with help", n);
}

static bool bound(const char *name) {
    for (const struct key_row *r = key_rows(); r->keys; r++) {
        const char *rows[] = {r->command, r->paused};
        for (int i = 0; i < 2; i++)
            if (rows[i] && strncmp(rows[i], name, strlen(name)) == 0 && (rows[i][strlen(name)] == 0 || rows[i][strlen(name)] == ' ')) return true;
    }
    for (int s = 0; s < SCR_N; s++)
        if (views[s]->filter && strcmp(views[s]->filter->command, name) == 0) return true;
    return false;
}

/* Every command of the dashboard and every one that steers a run: by key too. */
static void test_commands(struct fx *f) {
    /* commands that forms build, that belong to other programs, or that keys reach by other names */
    static const char *const by_form[] = {"stop", "note", "set"}, *const outside[] = {"screen"};
    int bad = 0, n = 0;
    popup_open(f->u, POP_PALETTE);
    for (size_t i = 0; i < hub_count(f->hub); i++) {
        const struct cmd *c = hub_cmd(f->hub, i);
        bool form = false, other = false;
        for (size_t k = 0; k < LEN(by_form); k++) form = form || strcmp(c->kind.name, by_form[k]) == 0;
        for (size_t k = 0; k < LEN(outside); k++) other = other || strcmp(c->kind.name, outside[k]) == 0;
        if (c->flags & (CMD_HIDDEN | CMD_SHELL)) continue;
        bool ours = false;
        for (const struct cmd *const *p = cmds_ui; *p; p++) ours = ours || *p == c;
        bool keyed = form || bound(c->kind.name), palette = false;
        for (int k = 0; k < f->u->n_item; k++) {
            const char *t = f->u->item[k].command + (f->u->item[k].command[0] == '?');
            size_t len = strlen(c->kind.name);
            palette = palette || (strncmp(t, c->kind.name, len) == 0 && (t[len] == 0 || t[len] == ' '));
        }
        n++;
        if ((ours && !other && !keyed) || !palette || !c->kind.help || !c->kind.help[0])
            bad++, printf("# %s: key %d palette %d\n", c->kind.name, keyed, palette);
    }
    popup_open(f->u, POP_NONE);
    tap_ok(bad == 0 && n > 20, "t.K1: %d commands: in the palette and with help, those of the dashboard by key", n);
}

/* ---- t.A6 ---- */

static void feed(struct fx *f, struct vt *v, const char *keys) {
    struct buf b = BUF_INIT;
    fx_keys(f, keys);
    fx_time += 1;
    fx_frame(f, &b);
    if (b.len) vt_feed(v, b.data, b.len);
    buf_release(&b);
}

static void test_scripts(void) {
    static const char *const text[] = {"\xe6\xb5\x8b\xe8\xaf\x95-\xe6\xa8\xa1\xe5\x9e\x8b", "\xe3\x83\x86\xe3\x82\xb9\xe3\x83\x88", "e\xcc\x81tude",
        "\xf0\x9f\x99\x82smile", "\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x94\xac", "\xff\xfe broken", "\xed\x95\x9c\xea\xb8\x80", "plain"};
    static const int size[][2] = {{24, 80}, {10, 40}, {50, 200}};
    struct fx f;
    int apart = 0, screens = 0, lines = 0, escaped = 0;
    char bad[160] = "";
    fx_open(&f, 100, 1000);
    for (size_t i = 0; i < LEN(text); i++) {
        struct val *v = val_table();
        val_set_str(v, "text", text[i]);
        run_event(f.r, "note", (int64_t)i, v);
        runs_notice(f.rs, "warn", text[i]);
        run_metrics(f.r, 100, 0, &text[i], (double[]){0.5}, 1);
    }
    struct val *e = fx_eval(8, false), *c = val_list();
    for (size_t i = 0; i < 8; i++) val_push(c, val_str(text[i]));
    val_set(e, "classes", c);
    run_report(f.r, "eval", e);
    for (size_t z = 0; z < LEN(size); z++) {
        struct vt v;
        vt_init(&v, size[z][0], size[z][1]);
        fx_attach(&f, "xterm-256color", "UTF-8", "auto", size[z][0], size[z][1], false);
        for (const char *k = "1259345780"; *k; k++, screens++) {
            char key[2] = {*k, 0};
            struct buf shown = BUF_INIT, said = BUF_INIT;
            feed(&f, &v, key);
            vt_text(&v, &shown);
            ui_port(f.u)->last_screen(f.u, &said);
            if (shown.len != said.len || memcmp(shown.data, said.data, said.len) != 0)
                apart++, printf("# screen %c at %dx%d\n%s# terminal\n%s", *k, v.cols, v.rows, said.data, shown.data);
            if (strstr(said.data, "\\xff\\xfe")) escaped++;
            if (*k == '1' && z == 0) /* the line between list and chart */
                for (int y = 4; y < 12; y++) lines += strcmp(v.cell[y * v.cols + 27].text, "\xe2\x94\x82") == 0;
            buf_release(&shown);
            buf_release(&said);
        }
        if (v.n_bad) snprintf(bad, sizeof bad, "%s", v.bad);
        vt_release(&v);
    }
    tap_ok(apart == 0 && !bad[0],
        "t.A6: CJK, combining marks, emoji in names, notes and classes: the terminal shows the cells that were meant on %d screens %s", screens, bad);
    tap_ok(lines == 8, "t.A6: the line beside the list of metrics stands in one column (%d of 8 rows)", lines);
    tap_ok(escaped >= 3, "t.A6: broken UTF-8 is shown escaped");
    static const char *const named[][2] = {{"\xe6\xbc\xa2\xe5\xad\x97\xe3\x81\xae-run", "\xe6\xbc\xa2\xe5\xad\x97\xe3\x81\xae-run-1"},
        {"e\xcc\x81tude \xf0\x9f\x99\x82", "e\xcc\x81tude_\xf0\x9f\x99\x82-1"}, {"../a b\x1b[31m\xff", "_._a_b__31m_-1"}, {"\xe3\x80\x80\xe2\x80\xae", "__-1"},
        {"", "run-1"},
        {"\xe6\xbc\xa2\xe6\xbc\xa2\xe6\xbc\xa2\xe6\xbc\xa2\xe6\xbc\xa2\xe6\xbc\xa2\xe6\xbc\xa2\xe6\xbc\xa2\xe6\xbc\xa2\xe6\xbc\xa2\xe6\xbc\xa2\xe6\xbc\xa2\xe6"
         "\xbc\xa2"
         "\xe6\xbc\xa2\xe6\xbc\xa2\xe6\xbc\xa2",
            "\xe6\xbc\xa2\xe6\xbc\xa2\xe6\xbc\xa2\xe6\xbc\xa2\xe6\xbc\xa2\xe6\xbc\xa2\xe6\xbc\xa2\xe6\xbc\xa2\xe6\xbc\xa2\xe6\xbc\xa2\xe6\xbc\xa2\xe6\xbc\xa2"
            "\xe6\xbc\xa2"
            "\xe6\xbc\xa2\xe6\xbc\xa2-1"}};
    for (size_t i = 0; i < LEN(named); i++)
        tap_is(run_name(run_new(f.rs, named[i][0], NULL)), named[i][1], "t.A6: a run's name keeps letters of every script and nothing else");
    fx_close(&f);
}

/* ---- what the terminal answers and is told ---- */

static void test_answers(void) {
    struct fx f;
    struct buf b = BUF_INIT;
    fx_open(&f, 100, 1000);
    fx_attach(&f, "xterm-256color", "UTF-8", "auto", 24, 80, false);
    fx_frame(&f, &b);
    fx_keys(&f, "\033[1;3R\033[0n");
    bool kept = f.u->glyphs == GLYPHS_BRAILLE && f.u->pace.answers && f.u->pace.n == 0;
    fx_attach(&f, "xterm-256color", "UTF-8", "auto", 24, 80, false);
    fx_frame(&f, &b);
    fx_keys(&f, "\033[1;7R\033[0n");
    tap_ok(kept && f.u->glyphs == GLYPHS_ASCII, "a terminal that draws two glyphs in two columns gets braille, one that draws them in six ASCII");
    buf_clear(&b);
    fx_keys(&f, "2");
    bool first = fx_frame(&f, &b) > 0;
    for (int64_t i = 100; i < 110; i++) fx_step(f.r, i, 1000);
    fx_time += 0.6;
    buf_clear(&b);
    bool waits = fx_frame(&f, &b) == 0; /* the frame before was not read */
    fx_keys(&f, "1");
    bool key = fx_frame(&f, &b) > 0;
    fx_keys(&f, "\033[0n\033[0n");
    for (int64_t i = 110; i < 120; i++) fx_step(f.r, i, 1000);
    fx_time += 0.6;
    tap_ok(first && waits && key && fx_frame(&f, &b) > 0, "a frame by time waits for the answer to the one before, a key's goes at once");
    fx_keys(&f, "2");
    fx_frame(&f, &b);
    for (int64_t i = 120; i < 130; i++) fx_step(f.r, i, 1000);
    fx_time += 11;
    tap_ok(fx_frame(&f, &b) > 0 && !f.u->pace.answers, "an answer that does not come within 10 s is not waited for");
    fx_keys(&f, "M");
    buf_clear(&b);
    fx_frame(&f, &b);
    bool on = b.len && strstr(b.data, "\033[?1000h\033[?1006h");
    struct buf text = BUF_INIT;
    ui_port(f.u)->last_screen(f.u, &text);
    bool said = strstr(text.data, "mouse: M");
    fx_keys(&f, "1");
    fx_frame(&f, &b);
    int was = f.u->sel;
    fx_keys(&f, "\033[<65;5;5M\033[<65;5;5m");
    bool moved = f.u->sel != was;
    fx_keys(&f, "M");
    buf_clear(&b);
    fx_frame(&f, &b);
    tap_ok(on && said && moved && b.len && strstr(b.data, "\033[?1000l"), "M turns the mouse on, the footer says so, the wheel moves; and off");
    buf_clear(&text);
    osc_copy(&text, "any carnal pleasure.", 20);
    tap_is(text.data, "\033]52;c;YW55IGNhcm5hbCBwbGVhc3VyZS4=\a", "OSC 52 in base64");
    buf_clear(&text);
    osc_notify(&text, NOTIFY_AUTO, "xterm-256color", "x", false);
    osc_notify(&text, NOTIFY_AUTO, "xterm-kitty", "run\033 1", false);
    tap_is(text.data, "\033]9;run\\x1b 1\a", "notifications only where they are known, through the sink");
    buf_release(&text);
    buf_release(&b);
    fx_close(&f);
}

int main(void) {
    struct fx f;
    fx_open(&f, 100, 1000);
    fx_attach(&f, "xterm-256color", "UTF-8", "auto", 24, 80, false);
    test_bindings(&f);
    test_commands(&f);
    fx_close(&f);
    test_scripts();
    test_answers();
    return tap_done();
}
