/* Settings: every property of the session with value, unit and help; Enter changes one. Made from the settings' own table. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/call/settings.h"
#include "ui/keymap.h"
#include "ui/private.h"
#include "ui/scroll.h"

struct settings_state {
    int sel;
};

static int count(void) {
    int n = 0;
    while (settings_kind.args[n].name) n++;
    return n;
}

/* What holds on this terminal where that is not what is set: "auto", or another wish of the command line. */
static void in_effect(const struct ui *u, const char *name, struct buf *b) {
    char text[32] = "";
    if (!u->scr) return;
    if (strcmp(name, "glyphs") == 0) snprintf(text, sizeof text, "%s", glyphs_names[u->glyphs]);
    else if (strcmp(name, "color") == 0 && screen_colors(u->scr)) snprintf(text, sizeof text, "%d", screen_colors(u->scr));
    else if (strcmp(name, "color") == 0) snprintf(text, sizeof text, "none");
    else if (strcmp(name, "budget") == 0) snprintf(text, sizeof text, "%lld", (long long)u->budget);
    if (text[0] && strcmp(text, b->data) != 0) buf_addf(b, " (%s)", text);
}

/* Where settings and keys are kept. */
static void files_draw(struct grid *g, int row) {
    char *path = settings_path();
    const char *keys = keymap_path();
    struct style dim = {INK_DIM, 0};
    grid_textf(g, row, 1, g->cols - 1, dim, path ? "w keeps them in %s" : "they cannot be kept: no XDG_CONFIG_HOME, no HOME", path);
    if (!keys) grid_text(g, row + 1, 1, g->cols - 1, dim, "no keys file: no XDG_CONFIG_HOME, no HOME");
    else if (keymap_problems())
        grid_textf(
            g, row + 1, 1, g->cols - 1, (struct style){INK_WARN, 0}, "keys %s: %d bindings, %d problems, see 9", keys, keymap_count(), keymap_problems());
    else grid_textf(g, row + 1, 1, g->cols - 1, dim, keymap_count() ? "keys %s: %d bindings" : "keys %s: no bindings of your own", keys, keymap_count());
    free(path);
}

static void draw(struct ui *u, struct grid *g, struct rect r) {
    const struct settings_state *st = u->state[SCR_SETTINGS];
    if (r.rows > 6) {
        r.rows -= 3;
        files_draw(g, r.row + r.rows + 1);
    }
    struct settings s;
    settings_get(&s);
    int top = st->sel >= r.rows ? st->sel - r.rows + 1 : 0;
    for (int i = top; i < count() && i - top < r.rows; i++) {
        const struct arg *a = &settings_kind.args[i];
        struct val *v = args_get(&settings_kind, &s, a->name);
        struct buf b = BUF_INIT;
        if (v && v->type == VAL_STR) buf_adds(&b, v->u.s.p);
        else if (v && v->type == VAL_BOOL) buf_adds(&b, v->u.b ? "true" : "false");
        else if (v && v->type == VAL_INT) buf_addf(&b, "%lld", (long long)v->u.i);
        else if (v && v->type == VAL_NUM) buf_addnum(&b, v->u.n);
        else buf_adds(&b, "-");
        in_effect(u, a->name, &b);
        int row = r.row + i - top;
        grid_put(g, row, 0, (struct style){INK_TEXT, 0}, i == st->sel ? '>' : ' ');
        grid_text(g, row, 1, 16, (struct style){INK_TEXT, i == st->sel ? AT_BOLD : 0}, a->name);
        grid_text(g, row, 18, 16, (struct style){INK_TEXT, AT_BOLD}, b.data);
        grid_textf(g, row, 36, g->cols - 36, (struct style){INK_DIM, 0}, "%s%s%s", a->help ? a->help : "", a->unit ? ", " : "", a->unit ? a->unit : "");
        buf_release(&b);
        val_free(v);
    }
    args_release(&settings_kind, &s);
    int hidden = count() - r.rows;
    if (hidden > 0) grid_textf(g, 1, g->cols - 26, 25, (struct style){INK_TEXT, 0}, " +%d hidden, arrows move ", hidden);
}

static void move(struct ui *u, enum move m) {
    struct settings_state *st = u->state[SCR_SETTINGS];
    int n = count();
    st->sel = clamp_index(st->sel + move_by(m, 0, n) + (m == MOVE_NEXT) - (m == MOVE_PREV), n);
}

static void enter(struct ui *u) {
    const struct settings_state *st = u->state[SCR_SETTINGS];
    popup_form(u, FORM_SET, settings_kind.args[st->sel].name);
}

static const struct key_row keys[] = {{"settings", "w", "save_settings", "keep the settings for sessions to come", NULL}, {0}};

const struct view view_settings = {.name = "settings",
    .title = "Settings",
    .draw = draw,
    .move = move,
    .enter = enter,
    .footer = " ?help :cmd  arrows  Enter change  w keep them  1 overview  q detach",
    .keys = keys,
    .state_size = sizeof(struct settings_state)};
