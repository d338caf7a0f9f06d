/* Log: events, captured output, alerts, and the Lua line of every action; follows the end unless moved. Search in both directions with what was found
 * marked, lines by level, long lines wrapped if wanted. UI thread. */
#include "config.h"

#include <stdio.h>
#include <string.h>

#include "src/base/utf8.h"
#include "ui/rows.h"
#include "ui/scroll.h"

enum log_level_shown { LEVEL_ALL, LEVEL_NO_ACTIONS, LEVEL_WARN, LEVEL_ERROR, LEVELS };
static const char *const level_names[] = {"all", "events", "warnings", "errors", NULL}; /* ORDER enum log_level_shown */
struct log_state {
    int64_t top; /* first line shown; < 0: follows the end */
    enum log_level_shown level;
    bool wrap;
    int64_t found; /* line of the last match; < 0: none */
    bool missing; /* there is no (further) one */
};

static int64_t oldest(const struct ui *u) { return u->n_log > LOG_LINES ? u->n_log - LOG_LINES : 0; }

static bool passes(const struct log_state *s, const struct log_line *l) {
    if (s->level == LEVEL_ALL || l->ink == INK_BAD) return true;
    return s->level == LEVEL_NO_ACTIONS ? l->ink != INK_DIM : s->level == LEVEL_WARN && l->ink == INK_WARN;
}

/* The nearest line from i on in a direction that is shown; -1: none. */
static int64_t seek(const struct ui *u, int64_t i, int by) {
    const struct log_state *s = u->state[SCR_LOG];
    for (const struct log_line *l; (l = log_at(u, i)); i += by)
        if (passes(s, l)) return i;
    return -1;
}

/* ---- rows ---- */

/* What went wrong is always shown whole. */
static bool wraps(const struct ui *u, const struct log_line *l) {
    const struct log_state *s = u->state[SCR_LOG];
    return s->wrap || l->ink == INK_WARN || l->ink == INK_BAD;
}

static int rows_of(const struct ui *u, const struct log_line *l) {
    struct buf b = BUF_INIT;
    if (!wraps(u, l)) return 1;
    utf8_show(&b, l->text, strlen(l->text), -1, u->next.ascii ? UTF8_ASCII : UTF8_FULL);
    int rows = grid_fit_rows(&u->next, b.data ? b.data : "", b.len, u->cols - 1);
    buf_release(&b);
    return rows;
}

static int line_draw(const struct ui *u, struct grid *g, int row, int room, const struct log_line *l) {
    struct buf b = BUF_INIT;
    int y = 0, cols = g->cols - 1;
    utf8_show(&b, l->text, strlen(l->text), wraps(u, l) ? -1 : cols, g->ascii ? UTF8_ASCII : UTF8_FULL);
    const char *text = b.data ? b.data : "";
    for (size_t at = 0; y < room && (at < b.len || y == 0); y++)
        at += grid_fit_text(g, row + y, 1, cols, (struct style){l->ink, 0}, text + at, b.len - at, u->find);
    buf_release(&b);
    return y;
}

/* The first line of a screen that ends with the last one. */
static int64_t following(const struct ui *u, int rows) {
    int64_t top = -1;
    for (int64_t i = seek(u, u->n_log - 1, -1); i >= 0; i = seek(u, i - 1, -1)) {
        rows -= rows_of(u, log_at(u, i));
        if (rows < 0 && top >= 0) break;
        top = i;
    }
    return top;
}

static void draw(struct ui *u, struct grid *g, struct rect r) {
    const struct log_state *s = u->state[SCR_LOG];
    int64_t last = following(u, r.rows), top = s->top < 0 || s->top > last ? last : seek(u, s->top < oldest(u) ? oldest(u) : s->top, 1);
    int y = 0;
    if (top < 0) grid_text(g, r.row, 1, -1, (struct style){INK_TEXT, 0}, u->n_log ? "No line of this level; v shows others." : "Nothing has happened yet.");
    for (int64_t i = top; i >= 0 && y < r.rows; i = seek(u, i + 1, 1)) y += line_draw(u, g, r.row + y, r.rows - y, log_at(u, i));
    char text[200];
    int64_t above = 0;
    for (int64_t i = top >= 0 ? seek(u, top - 1, -1) : -1; i >= 0; i = seek(u, i - 1, -1)) above++;
    snprintf(text, sizeof text, " %lld above%s%s%s%.40s%s%s%s ", (long long)above, s->level ? ", " : "", s->level ? level_names[s->level] : "",
        u->find[0] ? ", find " : "", u->find, s->missing ? " not found" : "", s->wrap ? ", wrapped" : "", s->top < 0 ? ", following" : "");
    grid_right(g, 1, g->cols - 1, g->cols - 4, (struct style){INK_TEXT, 0}, text);
}

/* ---- keys ---- */

static void move(struct ui *u, enum move m) {
    struct log_state *s = u->state[SCR_LOG];
    int page = u->rows - 4 > 1 ? u->rows - 4 : 1, by = move_by(m, page, 0);
    int64_t last = following(u, u->rows - 3), top = s->top < 0 || s->top > last ? last : s->top;
    if (m == MOVE_HOME) top = seek(u, oldest(u), 1);
    for (int k = 0; k < (by < 0 ? -by : by); k++) {
        int64_t to = seek(u, top + (by < 0 ? -1 : 1), by < 0 ? -1 : 1);
        if (to < 0) break;
        top = to;
    }
    s->top = m == MOVE_END || (top >= last && m != MOVE_HOME && by >= 0) ? -1 : top;
}

static void start(struct ui *u) {
    struct log_state *s = u->state[SCR_LOG];
    s->top = s->found = -1;
}

static void next(struct ui *u, bool back) {
    struct log_state *s = u->state[SCR_LOG];
    int by = back ? 1 : -1;
    int64_t from = s->found >= 0 && log_at(u, s->found) ? s->found : s->top < 0 ? u->n_log : s->top;
    s->missing = u->find[0];
    for (int64_t i = seek(u, from + by, by); u->find[0] && i >= 0; i = seek(u, i + by, by))
        if (strstr(log_at(u, i)->text, u->find) && strncmp(log_at(u, i)->text, "> hone.find", 11) != 0) { /* not the search itself */
            s->top = s->found = i;
            s->missing = false;
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
    start(u);
    next(u, false);
    return 0;
}
static int log_level_run(struct call *c, const void *args, struct err *e) {
    BEGIN(pick_args);
    struct log_state *s = u->state[SCR_LOG];
    s->level = a->what > 0 ? (enum log_level_shown)(a->what - 1) : (enum log_level_shown)((s->level + 1) % LEVELS);
    s->top = -1;
    return 0;
}
static int log_wrap_run(struct call *c, const void *args, struct err *e) {
    BEGIN_NONE;
    struct log_state *s = u->state[SCR_LOG];
    s->wrap = !s->wrap;
    return 0;
}

static const char *const level_picks[] = {"next", "all", "events", "warnings", "errors", NULL};
PICK(level, "which lines", level_picks, 0, "next");
static const struct arg find_table[] = {
    {"text", "what a line holds; none: no search", NULL, NULL, ARG_STR, offsetof(struct find_args, text), ARG_POSITIONAL, 0, 0, 0, NULL, SRC_NONE}, {0}};
ROW_EX(find, "finds text in the log, from its end upwards", "hone.find{\"val_acc\"}", find_table, find_args);
ROW_EX(log_level, "log screen: all lines, those without actions, warnings and errors, errors", "hone.log_level{\"warnings\"}", level_table, pick_args);
ROW_NONE(log_wrap, "log screen: long lines over several rows, or cut");

static const struct key_row keys[] = {
    {"log", "v", "log_level", "all lines, events, warnings, errors", NULL}, {"log", "w", "log_wrap", "wrap long lines, or cut them", NULL}, {0}};

const struct view view_log = {.name = "log",
    .title = "Log",
    .draw = draw,
    .move = move,
    .footer = " ?help :cmd  arrows  / find  n N next  v level  w wrap  End follow  q detach",
    .keys = keys,
    .filter = &filter,
    .next = next,
    .state_size = sizeof(struct log_state),
    .start = start};
