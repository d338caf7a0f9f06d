/* What a terminal is told besides its cells (title, notification, clipboard, mouse), what it answers (status and cursor reports, clicks), and the glyph set
 * that suits it. UI thread. */
#include "config.h"

#include <stdio.h>
#include <string.h>

#include "src/call/settings.h"
#include "ui/drawer.h"
#include "ui/rows.h"

/* ---- glyphs: chosen by key before, else by what the terminal answers ---- */

/* The set remembered for a type in "xterm=half,vt100=ascii"; < 0: none. */
static int remembered(const char *list, const char *term) {
    size_t n = strlen(term);
    for (const char *p = list ? list : ""; *p;) {
        size_t len = strcspn(p, ",");
        if (len > n + 1 && strncmp(p, term, n) == 0 && p[n] == '=')
            for (int i = 0; glyphs_names[i]; i++)
                if (strlen(glyphs_names[i]) == len - n - 1 && strncmp(glyphs_names[i], p + n + 1, len - n - 1) == 0) return i;
        p += len + (p[len] == ',');
    }
    return -1;
}

void says_glyphs_chosen(struct ui *u) {
    struct settings s;
    struct err e = {0};
    struct buf b = BUF_INIT;
    size_t n = strlen(u->term), kept = 0;
    if (!n || strpbrk(u->term, ",=")) return;
    settings_get(&s);
    buf_addf(&b, "%s=%s", u->term, glyphs_names[u->glyphs]);
    for (const char *p = s.glyphs_term ? s.glyphs_term : ""; *p && kept < 16;) { /* the newest first, sixteen at most */
        size_t len = strcspn(p, ",");
        if (!(len > n && strncmp(p, u->term, n) == 0 && p[n] == '=')) buf_addf(&b, ",%.*s", (int)len, p), kept++;
        p += len + (p[len] == ',');
    }
    struct val *v = val_strn(b.data, b.len);
    settings_set("glyphs_term", v, NULL, &e);
    val_free(v);
    buf_release(&b);
    args_release(&settings_kind, &s);
}

void says_attached(struct ui *u, bool glyphs_auto) {
    struct settings s;
    settings_get(&s);
    int set = glyphs_auto && !screen_ascii(u->scr) ? remembered(s.glyphs_term, u->term) : -1;
    args_release(&settings_kind, &s);
    if (set >= 0) u->glyphs = (enum glyphs)set;
    pace_init(&u->pace);
    u->probe_counts = glyphs_auto && set < 0 && !screen_ascii(u->scr);
    u->probed = u->mouse = false;
    u->title[0] = 0;
    screen_probe(u->scr);
}

static void width_known(struct ui *u, int col) {
    if (!u->probe_counts || u->glyphs == GLYPHS_ASCII) return;
    u->probe_counts = false;
    if (col == SCREEN_PROBE_COLS) return;
    u->glyphs = GLYPHS_ASCII;
    u->dirty = true;
    log_add(u, INK_WARN, "This terminal draws two chart glyphs in %d columns, so charts are drawn in ASCII; g changes that.", col);
}

void says_reply(struct ui *u, const struct tkey *k) {
    char final = k->n ? k->bytes[k->n - 1] : 0;
    if (final == 'R') width_known(u, k->col);
    if (final == 'R' || final == 'n') pace_answer(&u->pace, u->clock());
}

/* ---- title, end of a run ---- */

void says_title(struct ui *u) {
    char text[sizeof u->title] = "hone";
    if (!u->scr || !screen_titles(u->scr) || (!u->titled && !u->title[0])) return;
    if (u->run && u->titled) snprintf(text, sizeof text, "hone: %.90s %.20s", u->now.name, run_state_names[u->now.state]);
    if (strcmp(text, u->title) == 0) return;
    struct buf *b = screen_more(u->scr);
    if (!u->title[0]) buf_adds(b, OSC_TITLE_KEEP);
    osc_title(b, text, screen_ascii(u->scr));
    memcpy(u->title, text, sizeof text);
}

void says_ended(struct ui *u, const char *text) {
    if (u->bell) screen_bell(u->scr);
    if (screen_titles(u->scr)) osc_notify(screen_more(u->scr), (enum notify)u->notify, u->term, text, screen_ascii(u->scr));
}

/* ---- mouse and clipboard ---- */

/* Row of what is selected: its line begins with ">"; -1: nothing is. */
static int selected_row(const struct ui *u) {
    for (int y = 0; y < u->shown_rows && y < u->next.rows; y++)
        if (strcmp(u->next.cell[y * u->next.cols].text, ">") == 0) return y;
    return -1;
}

static void click(struct ui *u, int row) {
    int at = selected_row(u);
    if (at < 0 || row < 2 || row >= u->next.rows - 1) return;
    if (row == at && views[u->screen]->enter) views[u->screen]->enter(u);
    for (int i = at; i != row && views[u->screen]->move; i += row > at ? 1 : -1) views[u->screen]->move(u, row > at ? MOVE_DOWN : MOVE_UP);
}

void says_mouse(struct ui *u, const struct tkey *k) {
    enum { LEFT = 0, WHEEL_UP = 64, WHEEL_DOWN = 65 };
    if (!u->mouse) return;
    u->dirty = true;
    if (u->drawer && !u->popup) {
        if (k->button == WHEEL_UP || k->button == WHEEL_DOWN) drawer_wheel(u, k->button == WHEEL_UP ? -3 : 3);
    } else if (u->popup) popup_mouse(u, k->button == LEFT ? k->row : -1, k->button == WHEEL_UP ? -1 : k->button == WHEEL_DOWN ? 1 : 0);
    else if (k->button == LEFT) click(u, k->row);
    else if ((k->button == WHEEL_UP || k->button == WHEEL_DOWN) && views[u->screen]->move)
        views[u->screen]->move(u, k->button == WHEEL_UP ? MOVE_UP : MOVE_DOWN);
}

static int mouse_run(struct call *c, const void *args, struct err *e) {
    BEGIN_NONE;
    if (!u->scr || !screen_mouse(u->scr))
        return err_set(e, "mouse: the terminal type %.40s has none; every action has a key, ? lists them", u->scr ? u->term : "-");
    u->mouse = !u->mouse;
    buf_adds(screen_more(u->scr), u->mouse ? "\033[?1000h\033[?1006h" : "\033[?1006l\033[?1000l");
    return 0;
}

static int copy_run(struct call *c, const void *args, struct err *e) {
    BEGIN_NONE;
    struct buf b = BUF_INIT;
    int rc = 0, row;
    if (!u->clipboard) return err_set(e, "copy: the setting clipboard is off; :set clipboard true lets y write the terminal's clipboard");
    if (!u->scr || !screen_titles(u->scr)) return err_set(e, "copy: a terminal of type %.40s has no clipboard", u->scr ? u->term : "-");
    if (views[u->screen]->copy) views[u->screen]->copy(u, &b);
    else if ((row = selected_row(u)) >= 0) {
        grid_row_text(&u->next, row, &b);
        memmove(b.data, b.data + 1, b.len--);
    } else grid_dump(&u->next, &b);
    if (!osc_copy(screen_more(u->scr), b.data ? b.data : "", b.len))
        rc = err_set(e, "copy: %zu bytes are more than a terminal takes (%d)", b.len, OSC_COPY_MAX);
    else log_add(u, INK_DIM, "copied %zu bytes to the terminal's clipboard", b.len);
    buf_release(&b);
    return rc;
}

ROW_NONE(mouse, "turns the mouse on or off: clicks select, the wheel scrolls");
ROW_NONE(copy, "copies what is selected, or the screen's text, to the terminal's clipboard where the setting clipboard allows it");
