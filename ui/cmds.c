/* Commands of the dashboard: every key is one of these or a command about the run. UI thread (OWNER_UI); they act on the one
 * dashboard of the process, bound here. */
#include "config.h"

#include <string.h>

#include "ui/rows.h"

static struct ui *bound; /* UI thread only */
void ui_cmds_bind(struct ui *u) { bound = u; }

struct ui *ui_bound(struct err *e) {
    if (!bound) err_set(e, "there is no dashboard here; start hone on a terminal");
    return bound;
}

const char *const move_names[] = {"up", "down", "left", "right", "pgup", "pgdn", "home", "end", "next", "prev", NULL};
#define SCREEN_NAME(ID, name) #name,
static const char *const screen_names[] = {SCREENS(SCREEN_NAME) NULL};
static const char *const ask_names[] = {"lr", "note", "stop", "filter", NULL};
static const char *const glyph_picks[] = {"next", "braille", "half", "line", "ascii", NULL};

static int screen_run(struct call *c, const void *args, struct err *e) {
    BEGIN_NONE;
    struct buf b = BUF_INIT;
    ui_refresh(u);
    ui_compose(u);
    grid_dump(&u->next, &b);
    call_result(c, val_strn(b.data, b.len));
    buf_release(&b);
    return 0;
}
static int open_run(struct call *c, const void *args, struct err *e) {
    BEGIN(pick_args);
    ui_open_screen(u, a->what);
    return 0;
}
struct move_args {
    int to;
    int64_t times;
};
static int move_run(struct call *c, const void *args, struct err *e) {
    BEGIN(move_args);
    for (int64_t i = 0; i < a->times && views[u->screen]->move; i++) views[u->screen]->move(u, (enum move)a->to);
    return 0;
}
static int enter_run(struct call *c, const void *args, struct err *e) {
    BEGIN_NONE;
    if (views[u->screen]->enter) views[u->screen]->enter(u);
    return 0;
}
static int back_run(struct call *c, const void *args, struct err *e) {
    BEGIN_NONE;
    if (u->popup) popup_open(u, POP_NONE);
    else if (u->drawer) u->drawer = 0;
    else if (u->banner[0]) u->banner[0] = 0;
    else if (u->zoom) u->zoom = false;
    else if (views[u->screen]->back && views[u->screen]->back(u)) return 0;
    else u->screen = SCR_OVERVIEW;
    return 0;
}
static int zoom_run(struct call *c, const void *args, struct err *e) {
    BEGIN_NONE;
    u->zoom = !u->zoom;
    u->cursor = -1;
    return 0;
}
static int freeze_run(struct call *c, const void *args, struct err *e) {
    BEGIN_NONE;
    u->frozen = !u->frozen;
    return 0;
}
static int glyphs_run(struct call *c, const void *args, struct err *e) {
    BEGIN(pick_args);
    if (u->scr && screen_ascii(u->scr)) return err_set(e, "this terminal's codeset is not UTF-8, so only the ASCII set can be drawn");
    u->glyphs = a->what > 0 ? (enum glyphs)(a->what - 1) : (enum glyphs)((u->glyphs + 1) % GLYPHS_N);
    says_glyphs_chosen(u);
    return 0;
}
static int redraw_run(struct call *c, const void *args, struct err *e) {
    BEGIN_NONE;
    if (u->scr) screen_redraw(u->scr);
    return 0;
}
static int detach_run(struct call *c, const void *args, struct err *e) {
    BEGIN_NONE;
    u->detach = true;
    return 0;
}
static int palette_run(struct call *c, const void *args, struct err *e) {
    BEGIN_NONE;
    popup_open(u, POP_PALETTE);
    return 0;
}
static int help_keys_run(struct call *c, const void *args, struct err *e) {
    BEGIN_NONE;
    popup_open(u, POP_HELP);
    return 0;
}
static int prompt_run(struct call *c, const void *args, struct err *e) {
    BEGIN_NONE;
    if (hub_read_only(u->hub)) {
        u->refused = true;
        return 0;
    }
    if (!u->prompt) return err_set(e, "there is no Lua prompt in this session");
    u->drawer = u->drawer == 0 ? 8 : u->drawer == 8 ? -1 : u->drawer < 0 ? 1 : 0;
    return 0;
}
static int ask_run(struct call *c, const void *args, struct err *e) {
    BEGIN(pick_args);
    bool acts = a->what <= 2; /* lr, note, stop */
    if (acts && hub_read_only(u->hub)) u->refused = true;
    else if (a->what == 2) popup_open(u, POP_STOP);
    else if (a->what == 3) filter_open(u);
    else popup_form(u, a->what == 0 ? FORM_LR : FORM_NOTE, NULL);
    return 0;
}
PICK(screen, "which screen", screen_names, ARG_REQUIRED, NULL);
static const struct arg move_table[] = {
    {"to", "where", NULL, NULL, ARG_ENUM, offsetof(struct move_args, to), ARG_POSITIONAL | ARG_REQUIRED, 0, 0, 0, move_names, SRC_NONE},
    {"times", "how often", NULL, "1", ARG_INT, offsetof(struct move_args, times), 0, 0, 1, 1000000, NULL, SRC_NONE}, {0}};
PICK(set, "which set", glyph_picks, 0, "next");
PICK(what, "what to ask for", ask_names, ARG_REQUIRED, NULL);
static const struct cmd screen_cmd = {{"screen", "the visible cells of the dashboard as text", "print(hone.screen{})", NULL, 0}, OWNER_UI,
    CMD_WHILE_RUNNING | CMD_LINE | CMD_WATCHER, screen_run, NULL};
static ROW_EX(open, "opens a screen of the dashboard", "hone.open{\"metrics\"}", screen_table, pick_args);
static ROW_EX(move, "moves the selection of the dashboard", "hone.move{\"down\", times=3}", move_table, move_args);
static ROW_NONE(enter, "opens what is selected");
static ROW_NONE(back, "closes the popup, the zoom or the screen");
static ROW_NONE(zoom, "the selected pane alone, and back");
static ROW_NONE(freeze, "freezes the display; the run goes on");
static ROW(glyphs, "sets or changes the glyph set", set_table, pick_args);
static ROW_NONE(redraw, "repaints the screen");
static ROW_NONE(detach, "leaves the dashboard; the run goes on");
static ROW_NONE(palette, "opens the list of everything");
static ROW_NONE(help_keys, "opens the list of keys");
static ROW_NONE(prompt, "opens the Lua prompt: 8, all, 1 line, closed");
static ROW_EX(
    ask, "opens the form for the learning rate, a note, the filter or search of this screen, or the stop menu", "hone.ask{\"lr\"}", what_table, pick_args);

const struct cmd *const cmds_ui[] = {&by_error_cmd, &eval_diff_cmd, /* views/eval.c */
    &compress_apply_cmd, &compress_revert_cmd, &compress_compare_cmd, &log_level_cmd, &log_wrap_cmd, /* views/compress.c, log.c */
    &screen_cmd, &open_cmd, &move_cmd, &enter_cmd, &back_cmd, &zoom_cmd, &freeze_cmd, &glyphs_cmd, &redraw_cmd, &detach_cmd, &smooth_cmd, &axis_cmd,
    &outliers_cmd, &x_axis_cmd, &window_cmd, &ghost_cmd, &grid_cmd, &filter_cmd, &pin_cmd, &group_cmd, &matrix_cmd, &fold_cmd, &histograms_cmd, &find_runs_cmd,
    &sort_cmd, &mark_cmd, &baseline_cmd, &seeds_cmd, &palette_cmd, &help_keys_cmd, &prompt_cmd, &ask_cmd, &find_cmd, &find_next_cmd, &mouse_cmd, &copy_cmd,
    NULL};
