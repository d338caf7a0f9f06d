/* Log: events, captured output, alerts, and the Lua line of every action; follows the end unless moved; search. UI thread. */
#include "config.h"

#include <stdio.h>
#include <string.h>

#include "ui/rows.h"

struct log_state {
    int64_t top; /* first line shown; < 0: follows the end */
};

static int64_t oldest(const struct ui *u) { return u->n_log > LOG_LINES ? u->n_log - LOG_LINES : 0; }

static void draw(struct ui *u, struct grid *g, struct rect r) {
    const struct log_state *s = u->state[SCR_LOG];
    int64_t last = u->n_log - r.rows, top = s->top < 0 ? last : s->top;
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
    snprintf(
        text, sizeof text, " %lld above%s%.40s%s ", (long long)(above > 0 ? above : 0), u->find[0] ? ", find " : "", u->find, s->top < 0 ? ", following" : "");
    grid_right(g, 1, g->cols - 1, 80, (struct style){INK_TEXT, 0}, text);
}

static void move(struct ui *u, enum move m) {
    struct log_state *s = u->state[SCR_LOG];
    int page = u->rows - 4 > 1 ? u->rows - 4 : 1;
    int64_t last = u->n_log - (u->rows - 3), top = s->top < 0 ? last : s->top;
    if (m == MOVE_UP) top--;
    if (m == MOVE_DOWN) top++;
    if (m == MOVE_PGUP) top -= page;
    if (m == MOVE_PGDN) top += page;
    if (m == MOVE_HOME) top = oldest(u);
    if (top < oldest(u)) top = oldest(u);
    s->top = m == MOVE_END || top >= last ? -1 : top;
}

static void start(struct ui *u) { ((struct log_state *)u->state[SCR_LOG])->top = -1; }

static void next(struct ui *u, bool back) {
    struct log_state *s = u->state[SCR_LOG];
    int64_t top = s->top < 0 ? u->n_log : s->top;
    for (int64_t i = top + (back ? 1 : -1); u->find[0] && log_at(u, i); i += back ? 1 : -1)
        if (strstr(log_at(u, i)->text, u->find)) {
            s->top = i;
            break;
        }
}

static const char *found_now(const struct ui *u) { return u->find; }
static const struct view_filter filter = {"Find in the log", "Enter searches upwards; n and N go on.", "find", "text", found_now, NULL};

struct find_args {
    char *text;
};
static int find_run(struct call *c, const void *args, struct err *e) {
    BEGIN(find_args);
    snprintf(u->find, sizeof u->find, "%.127s", a->text ? a->text : "");
    ((struct log_state *)u->state[SCR_LOG])->top = -1;
    next(u, false);
    return 0;
}

static const struct arg find_table[] = {
    {"text", "what a line holds; none: no search", NULL, NULL, ARG_STR, offsetof(struct find_args, text), ARG_POSITIONAL, 0, 0, 0, NULL, SRC_NONE}, {0}};
ROW_EX(find, "Finds text in the log, from its end upwards", "hone.find{\"val_acc\"}", find_table, find_args);

const struct view view_log = {.name = "log",
    .title = "Log",
    .draw = draw,
    .move = move,
    .footer = " ?help :cmd  arrows  / find  n N next  End follow  1 overview  q detach",
    .filter = &filter,
    .next = next,
    .state_size = sizeof(struct log_state),
    .start = start};
