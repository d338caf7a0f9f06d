/* Log: events, captured output, alerts, and the Lua line of every action; follows the end unless moved; search. UI thread. */
#include "config.h"

#include <stdio.h>
#include <string.h>

#include "ui/private.h"

static int64_t oldest(const struct ui *u) { return u->n_log > LOG_LINES ? u->n_log - LOG_LINES : 0; }

static void draw(struct ui *u, struct grid *g, struct rect r) {
    int64_t last = u->n_log - r.rows, top = u->log_top < 0 ? last : u->log_top;
    if (top > last) top = last;
    if (top < oldest(u)) top = oldest(u);
    for (int y = 0; y < r.rows; y++) {
        const struct log_line *l = log_at(u, top + y);
        if (!l) break;
        bool hit = u->find[0] && strstr(l->text, u->find);
        grid_text(g, r.row + y, 1, g->cols - 1, (struct style){l->ink, hit ? AT_REVERSE : 0}, l->text);
    }
    if (!u->n_log) grid_text(g, r.row, 1, -1, (struct style){INK_TEXT, 0}, "Nothing has happened yet.");
    char text[160];
    int64_t above = top - oldest(u);
    snprintf(text, sizeof text, " %lld above%s%.40s%s ", (long long)(above > 0 ? above : 0), u->find[0] ? ", find " : "", u->find,
        u->log_top < 0 ? ", following" : "");
    grid_right(g, 1, g->cols - 1, 80, (struct style){INK_TEXT, 0}, text);
}

static void move(struct ui *u, enum move m) {
    int page = u->rows - 4 > 1 ? u->rows - 4 : 1;
    int64_t last = u->n_log - (u->rows - 3), top = u->log_top < 0 ? last : u->log_top;
    if (m == MOVE_UP) top--;
    if (m == MOVE_DOWN) top++;
    if (m == MOVE_PGUP) top -= page;
    if (m == MOVE_PGDN) top += page;
    if (m == MOVE_HOME) top = oldest(u);
    if (top < oldest(u)) top = oldest(u);
    u->log_top = m == MOVE_END || top >= last ? -1 : top;
}

const struct view view_log = {"log", "Log", draw, move, NULL};
