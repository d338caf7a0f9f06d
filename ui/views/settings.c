/* Settings: every property of the session with value, unit and help; Enter changes one. Made from the settings' own table. */
#include "config.h"

#include <stdio.h>
#include <string.h>

#include "src/call/settings.h"
#include "ui/private.h"

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

static void draw(struct ui *u, struct grid *g, struct rect r) {
    const struct settings_state *st = u->state[SCR_SETTINGS];
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
}

static void move(struct ui *u, enum move m) {
    struct settings_state *st = u->state[SCR_SETTINGS];
    int n = count();
    st->sel += m == MOVE_UP || m == MOVE_PREV ? -1 : m == MOVE_DOWN || m == MOVE_NEXT ? 1 : m == MOVE_HOME ? -n : m == MOVE_END ? n : 0;
    st->sel = st->sel < 0 ? 0 : st->sel >= n ? n - 1 : st->sel;
}

static void enter(struct ui *u) {
    const struct settings_state *st = u->state[SCR_SETTINGS];
    popup_form(u, FORM_SET, settings_kind.args[st->sel].name);
}

const struct view view_settings = {.name = "settings",
    .title = "Settings",
    .draw = draw,
    .move = move,
    .enter = enter,
    .footer = " ?help :cmd  arrows  Enter change  1 overview  q detach",
    .state_size = sizeof(struct settings_state)};
