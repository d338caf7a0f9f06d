/* What was said at the prompt, as rows of the drawer: the newest, or from some place on once it is scrolled or longer than the screen. Then some keys are
 * its own, the footer tells which, and any other one is typed into the line as ever. UI thread. */
#include "config.h"

#include "ui/drawer.h"

#include <stdio.h>
#include <string.h>

static size_t end_of(const struct prompt_view *v) { return v->first + v->n_out; }
static const char *text_of(const struct prompt_view *v, size_t line) { return v->out[line - v->first]; }

static int rows_of(const struct grid *g, const char *text) { return grid_fit_rows(g, text, strlen(text), g->cols); }

/* One row on or back; false: there is none. */
static bool step(const struct prompt_view *v, const struct grid *g, struct pager_place *p, int by) {
    if (by > 0 && p->row + 1 < rows_of(g, text_of(v, p->line))) p->row++;
    else if (by > 0 && p->line + 1 < end_of(v)) *p = (struct pager_place){p->line + 1, 0};
    else if (by < 0 && p->row > 0) p->row--;
    else if (by < 0 && p->line > v->first) *p = (struct pager_place){p->line - 1, rows_of(g, text_of(v, p->line - 1)) - 1};
    else return false;
    return true;
}

/* The place whose row is the first of the last `rows`; how many there are. */
static int last(const struct prompt_view *v, const struct grid *g, int rows, struct pager_place *p) {
    int n = 0;
    *p = (struct pager_place){end_of(v), 0};
    if (!v->n_out || rows < 1) return 0;
    *p = (struct pager_place){end_of(v) - 1, rows_of(g, text_of(v, end_of(v) - 1)) - 1};
    for (n = 1; n < rows && step(v, g, p, -1); n++) {}
    return n;
}

static bool before(const struct pager_place *a, const struct pager_place *b) { return a->line < b->line || (a->line == b->line && a->row < b->row); }

/* Lines go when there are too many, rows when the window grows: where it stands then. */
static void settle(struct pager *s, const struct prompt_view *v, const struct grid *g) {
    struct pager_place end;
    if (s->top.line < v->first) s->top = (struct pager_place){v->first, 0};
    last(v, g, s->rows, &end);
    if (before(&end, &s->top)) s->top = end;
    if (v->n_out && s->top.row >= rows_of(g, text_of(v, s->top.line))) s->top.row = 0;
}

void pager_close(struct ui *u) { memset(&u->pager, 0, sizeof u->pager); }

void pager_draw(struct ui *u, struct grid *g, const struct prompt_view *v, int top, int rows) {
    struct pager *s = &u->pager;
    struct pager_place p;
    char text[80] = "";
    s->rows = rows;
    int n = last(v, g, rows, &p), y = top + rows - n;
    if (s->open) {
        settle(s, v, g);
        p = s->top;
    }
    size_t above = p.line - v->first, shown = p.line;
    for (int i = 0; i < n; i++, y++) {
        const char *t = text_of(v, p.line);
        size_t at = 0, len = strlen(t);
        for (int k = 0; k < p.row; k++) at += grid_fit(g, t + at, len - at, g->cols);
        grid_fit_text(g, y, 0, g->cols, (struct style){INK_TEXT, 0}, t + at, len - at, s->find);
        shown = p.line;
        if (!step(v, g, &p, 1)) break;
    }
    size_t below = n ? end_of(v) - 1 - shown : 0;
    if (s->open) snprintf(text, sizeof text, " lines %zu-%zu of %zu ", above + 1, shown - v->first + 1, v->n_out);
    else if (above + below > 0) snprintf(text, sizeof text, " +%zu above, PgUp ", above);
    grid_right(g, top - 1, g->cols - 1, 40, (struct style){INK_DIM, 0}, text);
}

void pager_footer(const struct ui *u, struct buf *out) {
    const struct pager *s = &u->pager;
    if (s->missing) buf_addf(out, " not found: %s   any key goes on", s->find);
    else buf_addf(out, " Space PgUp Up Down Home End  / find%s  q the prompt", s->find[0] ? "  n N next" : "");
}

/* ---- keys ---- */

static void find(struct ui *u, const struct prompt_view *v, int by) {
    struct pager *s = &u->pager;
    size_t from = s->found ? s->found - 1 + (size_t)by : s->top.line;
    for (size_t i = from; i >= v->first && i < end_of(v); i += (size_t)by)
        if (strstr(text_of(v, i), s->find)) {
            s->top = (struct pager_place){i, 0};
            s->found = i + 1;
            return;
        }
    s->missing = true;
}

/* The field of / in the last row of the drawer. */
static void asked(struct ui *u, const struct prompt_view *v, const struct tkey *k) {
    struct pager *s = &u->pager;
    if (strcmp(k->name, "Enter") == 0) {
        s->asking = false;
        snprintf(s->find, sizeof s->find, "%.*s", (int)sizeof s->find - 1, u->field.text);
        s->found = 0;
        if (s->find[0]) find(u, v, 1);
    } else if (strcmp(k->name, "Esc") == 0 || strcmp(k->name, "C-c") == 0 || strcmp(k->name, "C-g") == 0) {
        s->asking = false;
    } else if (k->type == TKEY_PASTE) {
        field_insert(&u->field, k->bytes, k->n < FIELD_MAX ? k->n : FIELD_MAX);
    } else {
        field_key(&u->field, k);
    }
}

static bool is(const struct tkey *k, const char *names) { /* one of some, parted by blanks */
    const struct key_row r = {.keys = names};
    return k->type == TKEY_KEY && keys_has(&r, k->name);
}

static bool scrolled(struct ui *u, const struct prompt_view *v, const struct grid *g, const struct tkey *k) {
    struct pager *s = &u->pager;
    struct pager_place end;
    int page = s->rows > 2 ? s->rows - 1 : 1, back = is(k, "PgUp b") ? page : is(k, "Up k") ? 1 : 0, on = is(k, "PgDn Space") ? page : is(k, "Down j") ? 1 : 0;
    last(v, g, s->rows, &end);
    if (is(k, "Home g")) s->top = (struct pager_place){v->first, 0};
    else if (is(k, "End G")) s->top = end;
    else if (on && !before(&s->top, &end)) pager_close(u); /* beyond the end: back to the prompt */
    else if (back || on)
        for (int i = 0; i < back + on && step(v, g, &s->top, on ? 1 : -1); i++) {}
    else return false;
    s->found = 0;
    return true;
}

bool pager_key(struct ui *u, const struct prompt_view *v, const struct tkey *k) {
    struct pager *s = &u->pager;
    const struct grid *g = &u->next;
    if (s->open && s->asking) {
        asked(u, v, k);
        return true;
    }
    if (!s->open && (!is(k, "PgUp") || !v->n_out)) return is(k, "PgUp PgDn");
    if (!s->open) {
        s->open = true;
        last(v, g, s->rows, &s->top);
    }
    bool told = s->missing;
    s->missing = false;
    if (scrolled(u, v, g, k)) return true;
    if (is(k, "/")) {
        s->asking = true;
        field_set(&u->field, "");
    } else if (is(k, "n") && s->find[0]) find(u, v, 1);
    else if (is(k, "N") && s->find[0]) find(u, v, -1);
    else if (is(k, "q Esc Enter C-c C-g")) pager_close(u);
    else if (!told) {
        pager_close(u);
        return false; /* it is typed */
    }
    return true;
}

void pager_offer(struct ui *u, const struct prompt_view *v) {
    const struct grid *g = &u->next;
    struct pager *s = &u->pager;
    size_t from = v->since > v->first ? v->since : v->first;
    int rows = 0, screen = u->rows - 6; /* of a whole drawer, without its rule and its line */
    if (v->ended == u->evals) return;
    u->evals = v->ended;
    for (size_t i = from; i < end_of(v) && rows <= screen; i++) rows += rows_of(g, text_of(v, i));
    if (rows <= screen || *v->line || u->popup) return; /* who types already is not disturbed */
    *s = (struct pager){.open = true, .full = true, .rows = screen, .top = {from, 0}};
}
