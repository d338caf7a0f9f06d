/* The prompt's drawer over a screen: the block that is edited, wrapped, as much of it as there is room for around the cursor; candidates; what was said
 * (pager.c). Cost does not grow with the length of the block. UI thread. */
#include "config.h"

#include "ui/drawer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/mem.h"
#include "src/base/utf8.h"

int drawer_rows(const struct ui *u, int rows) {
    int most = rows - 4;
    if (!u->drawer) return 0;
    return u->drawer < 0 || u->pager.full || u->drawer + 2 > most ? most : u->drawer + 1;
}

/* Without a prompt: an empty line. */
static struct prompt_view view_now(const struct ui *u) {
    struct prompt_view v = {.prompt = "> ", .line = ""};
    if (u->prompt) u->prompt->view(u->prompt->ctx, &v);
    return v;
}

/* ---- the block ---- */

struct row { /* of the block as it is shown */
    size_t at, n;
    bool begins; /* a line of the block begins here */
};
struct shown {
    struct row *row;
    int n, cursor; /* rows; the one with the cursor */
    bool above, below; /* there is more */
};

/* Where to begin laying out so that `rows` rows before the cursor are there: at the beginning of a line if one is near, else inside a line of great length, at
 * a place that does not move with every key. */
static size_t look_from(const char *line, size_t cursor, size_t far, int rows) {
    size_t from = cursor, floor = cursor > far ? cursor - far : 0;
    int lines = 0;
    while (from > floor && !(line[from - 1] == '\n' && ++lines > rows)) from--;
    if (from > floor || from == 0 || line[from - 1] == '\n') return from;
    for (size_t at = from; at < cursor; at++) /* the first line that begins within it */
        if (line[at] == '\n' && cursor - at > far / 2) return at + 1;
    from = (cursor - far / 2) / (far / 2) * (far / 2);
    while (from < cursor && ((unsigned char)line[from] & 0xc0) == 0x80) from++;
    return from;
}

static void lay_out(const struct grid *g, const char *line, size_t len, size_t cursor, int cols, int rows, struct shown *s) {
    size_t at = look_from(line, cursor, (size_t)rows * (size_t)cols * 8, rows);
    int cap = 0, after = 0;
    *s = (struct shown){.cursor = -1, .above = at > 0};
    for (bool begins = at == 0 || line[at - 1] == '\n', over = false; !over && after < rows;) {
        size_t room = len - at < (size_t)cols * 16 ? len - at : (size_t)cols * 16;
        const char *nl = room ? memchr(line + at, '\n', room) : NULL;
        size_t part = nl ? (size_t)(nl - line) - at : room, n = part ? grid_fit(g, line + at, part, cols) : 0;
        bool ends = nl && n == part;
        over = at + n == len;
        if (s->n == cap) s->row = X_GROW(s->row, struct row, cap = cap ? cap * 2 : 32);
        s->row[s->n] = (struct row){at, n, begins};
        if (s->cursor >= 0) after++;
        else if (cursor < at + n || (cursor == at + n && (ends || over))) s->cursor = s->n;
        s->n++;
        at += n + ends;
        begins = ends;
        s->below = !over;
    }
}

/* The rows around the cursor that fit; returns how many. */
static int cut(struct shown *s, int rows) {
    int first = s->n <= rows ? 0 : s->cursor - rows / 2;
    if (first + rows > s->n) first = s->n - rows;
    if (first < 0) first = 0;
    int n = s->n - first < rows ? s->n - first : rows;
    s->above = s->above || first > 0;
    s->below = s->below || first + n < s->n;
    memmove(s->row, s->row + first, (size_t)n * sizeof *s->row);
    s->cursor -= first;
    return s->n = n;
}

static void block_draw(const struct ui *u, struct grid *g, const struct prompt_view *v, const struct shown *s, int y, int lead) {
    struct buf b = BUF_INIT;
    for (int i = 0; i < s->n; i++) {
        const struct row *r = &s->row[i];
        if (r->at == 0) grid_right(g, y + i, lead, lead, (struct style){INK_DIM, 0}, v->prompt);
        else if (r->begins) grid_right(g, y + i, lead, lead, (struct style){INK_DIM, 0}, ">> ");
        buf_clear(&b);
        buf_add(&b, v->line + r->at, r->n);
        grid_text(g, y + i, lead, g->cols - lead, (struct style){INK_TEXT, 0}, b.data ? b.data : "");
        if (i != s->cursor || u->popup || u->pager.open) continue;
        buf_clear(&b);
        g->cur_row = y + i;
        g->cur_col = lead + utf8_show(&b, v->line + r->at, v->cursor - r->at, -1, g->ascii ? UTF8_ASCII : UTF8_FULL);
        if (g->cur_col >= g->cols) g->cur_col = g->cols - 1;
    }
    buf_release(&b);
}

static void choices_draw(struct grid *g, const struct prompt_view *v, int y) {
    int x = 0;
    for (size_t i = 0; i < v->n_choices; i++) {
        int w = utf8_columns(v->choices[i], strlen(v->choices[i])), rest = i + 1 < v->n_choices ? 7 : 0; /* room for what is left out */
        if (x + w + rest > g->cols) {
            grid_textf(g, y, x, g->cols - x, (struct style){INK_DIM, 0}, "+%zu", v->n_choices - i);
            break;
        }
        x += grid_text(g, y, x, g->cols - x, (struct style){INK_DIM, 0}, v->choices[i]) + 2;
    }
}

void drawer_draw(struct ui *u, struct grid *g) {
    struct prompt_view v = view_now(u);
    struct shown s;
    int want = drawer_rows(u, g->rows), bottom = g->rows - 2, top = g->rows - 1 - want;
    int lead = utf8_columns(v.prompt, strlen(v.prompt));
    if (lead < 3 && memchr(v.line, '\n', strnlen(v.line, v.cursor + 1024))) lead = 3;
    if (lead > g->cols / 2) lead = g->cols / 2;
    grid_clear(g, (struct rect){top, 0, want, g->cols});
    draw_rule(g, top, 0, g->cols);
    lay_out(g, v.line, strlen(v.line), v.cursor, g->cols - lead - 1, want - 1, &s);
    int y = bottom - cut(&s, u->pager.open ? 1 : want - 1) + 1;
    char ahead[32] = "";
    if (v.ahead) snprintf(ahead, sizeof ahead, ", %zu to come", v.ahead);
    grid_textf(g, top, 2, 50, (struct style){INK_TITLE, AT_BOLD}, " Lua%s%s%s%s%s ", v.busy ? ", running" : "", ahead,
        s.above || s.below ? ", the block goes on" : "", s.above ? " above" : "", s.below ? (s.above ? " and below" : " below") : "");
    if (u->pager.asking) {
        grid_clear(g, (struct rect){bottom, 0, 1, g->cols});
        field_draw(u, g, bottom, 0, g->cols, "/");
    } else {
        block_draw(u, g, &v, &s, y, lead);
    }
    free(s.row);
    if (v.n_choices && y - 1 > top) choices_draw(g, &v, --y);
    pager_draw(u, g, &v, top + 1, y - top - 1);
}

void drawer_footer(const struct ui *u, struct buf *out) {
    struct prompt_view v = view_now(u);
    if (u->pager.open) pager_footer(u, out);
    else if (v.busy) buf_adds(out, " C-c interrupts  PgUp what was said  F4 size  Esc closes");
    else if (v.searching) buf_adds(out, " C-r the one before  Enter runs it  C-g back");
    else buf_adds(out, " Enter runs  Tab completes  ?name helps  C-r history  C-x C-e editor  PgUp output  F4 size  Esc closes");
}

/* ---- keys ---- */

void drawer_text(struct ui *u, const char *text, size_t n) {
    pager_close(u);
    if (u->prompt) u->prompt->paste(u->prompt->ctx, text, n);
}

void drawer_key(struct ui *u, const struct tkey *k) {
    struct prompt_view v = view_now(u);
    if (pager_key(u, &v, k)) return;
    if (k->type == TKEY_PASTE) drawer_text(u, k->bytes, k->n);
    else if (strcmp(k->name, "F4") == 0) ui_command(u, "prompt", BY_KEY);
    else if (strcmp(k->name, "C-l") == 0) ui_command(u, "redraw", BY_KEY);
    else if (!v.searching && (strcmp(k->name, "Esc") == 0 || (strcmp(k->name, "C-d") == 0 && !*v.line))) u->drawer = 0;
    else if (u->prompt) u->prompt->key(u->prompt->ctx, k->bytes, k->n);
}

void drawer_poll(struct ui *u) {
    if (!u->prompt || !u->prompt->poll(u->prompt->ctx)) return;
    struct prompt_view v = view_now(u);
    u->dirty = true;
    if (u->drawer) pager_offer(u, &v);
    else u->evals = v.ended;
}

void drawer_wheel(struct ui *u, int rows) {
    static const struct tkey page = {.type = TKEY_KEY, .name = "PgUp"}, up = {.type = TKEY_KEY, .name = "Up"}, down = {.type = TKEY_KEY, .name = "Down"};
    struct prompt_view v = view_now(u);
    if (!u->pager.open && rows < 0) pager_key(u, &v, &page);
    else
        for (int i = 0; i < (rows < 0 ? -rows : rows) && u->pager.open; i++) pager_key(u, &v, rows < 0 ? &up : &down);
}
