/* What lies over a screen: palette and key list, stop menu, one-line forms with confirmation. UI thread. */
#include "config.h"

#include <stdio.h>
#include <string.h>

#include "src/base/utf8.h"
#include "ui/edit.h"
#include "ui/private.h"
#include "ui/scroll.h"

/* ---- the field ---- */

void field_set(struct field *f, const char *text) {
    snprintf(f->text, sizeof f->text, "%s", text);
    f->len = f->cur = strlen(f->text);
}

void field_insert(struct field *f, const char *s, size_t n) {
    for (size_t i = 0; i < n;) { /* whole printable characters only */
        uint32_t cp;
        size_t used = utf8_next(s + i, n - i, &cp);
        if (!used) break;
        if (!(cp & UTF8_BAD) && cp >= 0x20 && cp != 0x7f && f->len + used < sizeof f->text) {
            memmove(f->text + f->cur + used, f->text + f->cur, f->len - f->cur + 1);
            memcpy(f->text + f->cur, s + i, used);
            f->len += used;
            f->cur += used;
        }
        i += used;
    }
}

bool field_key(struct field *f, const struct tkey *k) {
    const char *n = k->name;
    size_t from = f->cur;
    if (strcmp(n, "Left") == 0 || strcmp(n, "C-b") == 0 || strcmp(n, "Bsp") == 0) {
        while (from > 0 && ((unsigned char)f->text[--from] & 0xc0) == 0x80) {}
        if (strcmp(n, "Bsp") == 0) {
            memmove(f->text + from, f->text + f->cur, f->len - f->cur + 1);
            f->len -= f->cur - from;
        }
        f->cur = from;
    } else if (strcmp(n, "Right") == 0 || strcmp(n, "C-f") == 0) {
        while (f->cur < f->len && ((unsigned char)f->text[++f->cur] & 0xc0) == 0x80) {}
    } else if (strcmp(n, "Home") == 0 || strcmp(n, "C-a") == 0) {
        f->cur = 0;
    } else if (strcmp(n, "End") == 0 || strcmp(n, "C-e") == 0) {
        f->cur = f->len;
    } else if (strcmp(n, "C-u") == 0) {
        field_set(f, "");
    } else if (strcmp(n, "C-k") == 0) {
        f->text[f->len = f->cur] = 0;
    } else if (k->n && (unsigned char)k->bytes[0] >= 0x20 && k->bytes[0] != 0x7f) {
        field_insert(f, k->bytes, k->n);
    } else {
        return false;
    }
    return true;
}

void field_draw(const struct ui *u, struct grid *g, int row, int col, int cols, const char *lead) {
    const struct field *f = &u->field;
    int x = col + grid_text(g, row, col, cols, (struct style){INK_DIM, 0}, lead), room = cols - (x - col) - 1;
    size_t from = 0;
    while (utf8_columns(f->text + from, f->cur - from) > room - 1 && from < f->cur) from++;
    while (from < f->cur && ((unsigned char)f->text[from] & 0xc0) == 0x80) from++;
    grid_text(g, row, x, room, (struct style){INK_TEXT, 0}, f->text + from);
    g->cur_row = row;
    g->cur_col = x + utf8_columns(f->text + from, f->cur - from);
}

/* ---- opening ---- */

void popup_open(struct ui *u, enum popup p) {
    u->popup = p;
    u->item_sel = u->item_top = 0;
    u->form_sure = false;
    field_set(&u->field, "");
    if (p == POP_PALETTE) list_ask(u);
    if (p == POP_PALETTE || p == POP_HELP || p == POP_STOP) list_fill(u);
    if (p == POP_PALETTE) edit_props(u);
    if (p == POP_STOP) u->item_sel = u->n_item - 1; /* cancel */
}

void popup_form(struct ui *u, enum form f, const char *name) {
    static const char *const titles[] = {"Learning rate", "Note", "Setting", ""};
    static const char *const infos[] = {
        "0.001 sets, x0.5 scales the rest, 1e-4 in 200 ramps, back: as scheduled", "A line on every chart and in the journal.", "", ""};
    popup_open(u, POP_FORM);
    u->form = f;
    snprintf(u->form_title, sizeof u->form_title, "%s%s%.60s", titles[f], name ? " " : "", name ? name : "");
    snprintf(u->form_info, sizeof u->form_info, "%s", infos[f]);
    snprintf(u->form_name, sizeof u->form_name, "%s", name ? name : "");
    if (f == FORM_LR || f == FORM_SET) edit_open(u);
}

/* ---- submitting ---- */

static void form_submit(struct ui *u) {
    if (u->form == FORM_LR || (u->form == FORM_SET && u->field.len)) {
        if (!edit_submit(u)) return;
    } else if (u->form == FORM_NOTE && u->field.len) {
        struct val *t = val_table();
        val_set_str(t, "text", u->field.text);
        ui_do(u, "note", t, BY_KEY);
    } else if (u->form == FORM_FILTER) {
        filter_submit(u);
    }
    if (u->popup == POP_FORM) popup_open(u, POP_NONE);
}

/* ---- keys ---- */

/* Many keys may come in one piece: the list is made when it is drawn or used. */
static void list_ready(struct ui *u) {
    if (u->list_old) list_fill(u);
}

static void list_key(struct ui *u, const struct tkey *k) {
    int page = u->rows - 8 > 1 ? u->rows - 8 : 1, by = 0;
    if (strcmp(k->name, "Up") == 0 || strcmp(k->name, "C-p") == 0) by = -1;
    else if (strcmp(k->name, "Down") == 0 || strcmp(k->name, "C-n") == 0 || strcmp(k->name, "Tab") == 0) by = 1;
    else if (strcmp(k->name, "PgUp") == 0) by = -page;
    else if (strcmp(k->name, "PgDn") == 0) by = page;
    else if (strcmp(k->name, "Enter") == 0) {
        list_ready(u);
        list_run(u);
        return;
    } else if (u->popup != POP_STOP && field_key(&u->field, k)) {
        u->item_sel = u->item_top = 0;
        u->list_old = true;
        return;
    }
    list_ready(u);
    u->item_sel += by;
    u->item_sel = u->item_sel < 0 ? 0 : u->item_sel >= u->n_item ? (u->n_item ? u->n_item - 1 : 0) : u->item_sel;
}

bool popup_key(struct ui *u, const struct tkey *k) {
    if (!u->popup) return false;
    if (k->type == TKEY_PASTE) {
        popup_paste(u, k->bytes, k->n);
    } else if (strcmp(k->name, "Esc") == 0 || strcmp(k->name, "C-c") == 0 || strcmp(k->name, "C-g") == 0) {
        if (u->popup == POP_FORM && u->form == FORM_FILTER) filter_typed(u, false);
        popup_open(u, POP_NONE);
    } else if (u->popup == POP_CONFIRM) {
        bool yes = strcmp(k->name, "y") == 0;
        popup_open(u, POP_NONE);
        if (yes) ui_command(u, u->confirm_lua, BY_KEY);
    } else if (u->popup == POP_FORM) {
        char was[FIELD_MAX];
        memcpy(was, u->field.text, u->field.len + 1);
        if (strcmp(k->name, "Enter") == 0) form_submit(u);
        else if (field_key(&u->field, k) && strcmp(was, u->field.text) != 0) {
            u->form_sure = false;
            edit_changed(u);
            filter_typed(u, true);
        }
    } else {
        list_key(u, k);
    }
    return true;
}

void popup_paste(struct ui *u, const char *text, size_t n) {
    if (u->popup == POP_CONFIRM || u->popup == POP_STOP) return;
    field_insert(&u->field, text, n < FIELD_MAX ? n : FIELD_MAX);
    if (u->popup != POP_FORM) u->list_old = true;
    filter_typed(u, true);
}

void popup_mouse(struct ui *u, int row, int by) {
    struct tkey enter = {.type = TKEY_KEY, .name = "Enter"};
    if (u->popup == POP_FORM || u->popup == POP_CONFIRM) return;
    list_ready(u);
    int i = u->item_top + row - u->list_row;
    bool on = row >= u->list_row && row < u->list_row + u->list_rows && i < u->n_item;
    if (on && i == u->item_sel) list_key(u, &enter);
    else if (on) u->item_sel = i;
    else if (by) u->item_sel = u->item_sel + by < 0 ? 0 : u->item_sel + by >= u->n_item ? (u->n_item ? u->n_item - 1 : 0) : u->item_sel + by;
}

/* ---- drawing ---- */

static void list_draw(struct ui *u, struct grid *g) {
    static const char *const titles[] = {[POP_PALETTE] = "Find", [POP_HELP] = "Keys", [POP_STOP] = "How to stop"};
    bool stop = u->popup == POP_STOP;
    list_ready(u);
    int rows = stop ? u->n_item + 2 : g->rows - 3, cols = stop ? 60 : g->cols - 4;
    if (cols > g->cols) cols = g->cols;
    if (cols > 110) cols = 110;
    if (rows > g->rows - 1) rows = g->rows - 1;
    struct rect r = {(g->rows - 1 - rows) / 2, (g->cols - cols) / 2, rows, cols};
    if (!stop && g->cols - cols < 8) grid_clear(g, (struct rect){r.row, 0, rows, g->cols}); /* no rags of the screen beside it */
    draw_box(g, r, u->glyphs, titles[u->popup]);
    int first = r.row + (stop ? 1 : 2), room = rows - (stop ? 2 : 3);
    if (!stop) field_draw(u, g, r.row + 1, r.col + 2, cols - 4, u->popup == POP_HELP ? "filter: " : ": ");
    u->item_top = first_shown(u->item_top, u->item_sel, room);
    u->list_row = first;
    u->list_rows = room;
    int name = u->popup == POP_HELP ? 12 : stop ? cols - 4 : (cols - 6) * (cols < 60 ? 3 : 2) / 5;
    for (int y = 0; y < room && u->item_top + y < u->n_item; y++) {
        const struct item *it = &u->item[u->item_top + y];
        bool sel = u->item_top + y == u->item_sel;
        grid_put(g, first + y, r.col + 1, (struct style){INK_TEXT, 0}, sel ? '>' : ' ');
        grid_text(g, first + y, r.col + 3, name - 1, (struct style){INK_TEXT, sel ? AT_REVERSE : 0}, it->label);
        if (!stop) grid_text(g, first + y, r.col + 3 + name, cols - 5 - name, (struct style){INK_DIM, 0}, it->detail);
    }
    if (!u->n_item) grid_text(g, first, r.col + 3, cols - 5, (struct style){INK_DIM, 0}, "Enter evaluates this as Lua.");
    int hidden = u->n_item - u->item_top - room;
    if (hidden > 0 && !stop) {
        char t[40];
        snprintf(t, sizeof t, " +%d below ", hidden);
        grid_right(g, r.row + rows - 1, r.col + cols - 2, 30, (struct style){INK_TEXT, 0}, t);
    }
}

void popup_draw(struct ui *u, struct grid *g) {
    if (!u->popup) return;
    if (u->popup != POP_FORM && u->popup != POP_CONFIRM) {
        list_draw(u, g);
        return;
    }
    int cols = g->cols - 4 > 76 ? 76 : g->cols - 4;
    struct buf b = BUF_INIT;
    const struct val *p = u->popup == POP_FORM && u->form == FORM_SET && !u->form_info[0] ? edit_prop(u, u->form_name) : NULL;
    if (p) buf_adds(&b, "now "), edit_about(p, &b);
    else buf_adds(&b, u->popup == POP_CONFIRM ? u->confirm : u->form_info);
    int info = grid_wrap_rows(g, cols - 4, b.data), more = u->popup == POP_FORM ? edit_rows(u, g->rows) : 0;
    info = info < 1 ? 1 : info > 3 ? 3 : info;
    struct rect r = {(g->rows - more - info + 1) / 2 - 3, (g->cols - cols) / 2, 3 + info + more, cols};
    if (r.row < 0) r.row = 0;
    draw_box(g, r, u->glyphs, u->popup == POP_CONFIRM ? "Sure?" : u->form_title);
    if (u->popup == POP_CONFIRM) {
        grid_wrap(g, (struct rect){r.row + 1, r.col + 2, info, cols - 4}, (struct style){INK_TEXT, 0}, b.data);
        grid_text(g, r.row + 1 + info, r.col + 2, cols - 4, (struct style){INK_TEXT, AT_BOLD},
            cols < 40 ? "y: yes, any other key: no" : "y does it, any other key does not");
    } else {
        field_draw(u, g, r.row + 1, r.col + 2, cols - 4, "> ");
        grid_wrap(g, (struct rect){r.row + 2, r.col + 2, info, cols - 4}, (struct style){INK_DIM, 0}, b.data);
        if (more) edit_draw(u, g, (struct rect){r.row + 2 + info, r.col + 2, more, cols - 4});
    }
    buf_release(&b);
}

void popup_footer(const struct ui *u, int cols, struct buf *out) {
    const struct item *it = u->item_sel < u->n_item ? &u->item[u->item_sel] : NULL;
    if (u->popup == POP_FORM) buf_adds(out, " Enter takes it  Esc leaves it as it was");
    else if (u->popup == POP_CONFIRM) buf_adds(out, " y does it  Esc does not");
    else if (u->popup == POP_STOP) buf_adds(out, " Up Down choose  Enter takes it  Esc cancels");
    else if (it && cols < 60 && it->detail[0]) buf_addf(out, " %s", it->detail); /* beside its name it is cut */
    else buf_adds(out, " typing filters  Up Down choose  Enter runs  Esc closes");
}
