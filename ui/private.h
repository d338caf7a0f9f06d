/* Shared by the files of ui only: the dashboard's state. All of it belongs to the UI thread. */
#ifndef HONE_UI_PRIVATE_H
#define HONE_UI_PRIVATE_H

#include "src/call/call.h"
#include "src/call/port.h"
#include "src/run/record.h"
#include "ui/draw/grid.h"
#include "ui/draw/plot.h"
#include "ui/machine.h"
#include "ui/term/decode.h"
#include "ui/term/osc.h"
#include "ui/term/pace.h"
#include "ui/term/screen.h"
#include "ui/ui.h"

/* The screens in the order of their number keys: ui/views/NAME.c defines view_NAME. */
#define SCREENS(X)        \
    X(OVERVIEW, overview) \
    X(METRICS, metrics)   \
    X(RUNS, runs)         \
    X(COMPARE, compare)   \
    X(EVAL, eval)         \
    X(COMPRESS, compress) \
    X(MODEL, model)       \
    X(SYSTEM, system)     \
    X(LOG, log)           \
    X(SETTINGS, settings)
#define SCREEN_ID(ID, name) SCR_##ID,
enum screen_id { SCREENS(SCREEN_ID) SCR_N };
enum move { MOVE_UP, MOVE_DOWN, MOVE_LEFT, MOVE_RIGHT, MOVE_PGUP, MOVE_PGDN, MOVE_HOME, MOVE_END, MOVE_NEXT, MOVE_PREV, MOVE_N };
enum popup { POP_NONE, POP_PALETTE, POP_HELP, POP_STOP, POP_FORM, POP_CONFIRM };
enum form { FORM_LR, FORM_NOTE, FORM_SET, FORM_FILTER };

static const double LOOK_SHARE = 33; /* seconds from one look at the layers to the next for each second that one takes: 3 % of the time */
enum { LOG_LINES = 2000, MARKS = 64, FIELD_MAX = 1024 };

struct field {
    char text[FIELD_MAX];
    size_t len, cur;
}; /* one line of UTF-8; cur at a character */
struct log_line {
    char *text;
    uint8_t ink;
};
struct item {
    char label[96], detail[96], command[160];
    int score;
}; /* a row of a list popup; command: what Enter runs, "=lua" or "screen.." */
struct key_row {
    const char *screen, *keys, *command, *help, *paused;
}; /* screen "*": everywhere; paused: the command while paused */
struct view_filter { /* what / does on a screen: asks for a text and gives it to a command */
    const char *title, *info; /* of the form */
    const char *command, *arg; /* Enter calls command{arg=text} */
    const char *(*now)(const struct ui *u); /* the text that holds, "" for none */
    void (*typed)(struct ui *u, const char *text); /* at every key, to show what it would do; Esc: with the text of before. NULL: only Enter counts */
};
struct view {
    const char *name, *title;
    void (*draw)(struct ui *u, struct grid *g, struct rect r);
    void (*move)(struct ui *u, enum move m); /* NULL: nothing moves */
    void (*enter)(struct ui *u); /* NULL: nothing opens */
    bool (*back)(struct ui *u); /* true: it closed something of its own; NULL: it has nothing to close */
    const char *footer; /* its keys in one line; "%s": pause or resume */
    const struct key_row *keys; /* bindings of this screen only, ended by a row without keys; NULL: none */
    const struct key_row *also; /* bindings it shares with other screens; their `screen` is a name for all of these */
    double every; /* seconds between refreshes while it is shown though the record did not change; 0: none */
    const struct view_filter *filter; /* NULL: / looks among the metrics */
    void (*copy)(struct ui *u, struct buf *out); /* y: the text of what is selected; NULL: the screen */
    void (*next)(struct ui *u, bool back); /* n N: what the filter found next; NULL: nothing */
    size_t state_size; /* what u->state[SCREEN] points to: zeroed at start, the view's alone */
    void (*start)(struct ui *u); /* fills that state; NULL: zeros will do */
    void (*refresh)(struct ui *u); /* while it is shown: copies what it draws, after the record was read; NULL: nothing */
    void (*release)(struct ui *u); /* frees what the state holds; NULL: nothing */
};

struct chart_look { /* how charts look: the settings chart_* as last seen; then what part of the run they show */
    double smooth;
    bool log, outliers;
    enum plot_axis x;
    int grid, ghost;
    char filter[128], pins[256];
    int64_t from, span; /* a window of steps; span 0: the whole run */
    bool follow; /* it moves on with the run */
    int64_t cursor_step; /* of the point that is read */
};

struct input { /* keys that came; input.c's alone */
    size_t piece; /* bytes of what is being taken */
    int n; /* keys served since the last pause, and the time they took */
    double spent, since, lasts, last; /* when the first of them came, how long they have been coming, when the last came */
    char move[64]; /* the move that is gathered, and how often */
    int times;
    struct buf text; /* for the prompt */
    long passed; /* keys of a flood that were not served; the last of them */
    struct tkey kept;
    char kept_bytes[64];
};
struct pager_place { /* a row of what was said at the prompt: lines are counted from the first that ever came */
    size_t line;
    int row;
};
struct pager {
    bool open, full; /* full: over all rows of the screen that a drawer may have */
    bool asking, missing; /* / was pressed; what was looked for is not there */
    struct pager_place top;
    size_t found; /* 1 + the line of the last match; 0: none, or it was scrolled away from */
    int rows; /* it has on the screen */
    char find[128];
};

struct ui {
    struct hub *hub; /* immutable, as are the next four */
    struct runs *runs;
    const struct prompt_port *prompt;
    struct ui_port port;
    double (*clock)(void);
    void (*machine)(struct machine_reading *m, const char *root, const char *runs); /* machine_read */
    struct queue replies;
    int waiting; /* calls whose reply has not come */
    /* the attached terminal */
    struct screen *scr; /* NULL: detached */
    struct decode dec;
    struct grid next, shown;
    int rows, cols;
    enum glyphs glyphs;
    bool dirty, detach, acting; /* acting: a key is being served */
    char complaint[200]; /* what the last key could not do, or a warning that came while the drawer was open; the footer says it until the next key */
    struct input input;
    bool list_old; /* what is typed is newer than item */
    bool refused; /* the last key would act, and this dashboard may only look: the footer says so */
    double drawn_t, read_t; /* the last frame by time; the last frame */
    double sized_t, sized_drawn_t; /* when the size changed, when a frame was drawn after that */
    uint64_t drawn_version;
    enum working working; /* what runs while there is no run yet, and since when */
    double working_since;
    char term[64]; /* of the attached terminal */
    struct pace pace; /* what it has read */
    bool probed, probe_counts, mouse; /* was asked for its widths; the answer decides about glyphs; it reports clicks */
    int shown_rows; /* of the view, without drawer and footer */
    char title[160]; /* of its window, as last set; "" */
    /* what the settings say, as last seen */
    unsigned set_version;
    int set_glyphs, set_color;
    int64_t set_budget;
    double refresh;
    bool bell, titled, clipboard;
    int notify;
    uint64_t bell_from; /* events from before the attach ring no bell */
    /* bytes a second */
    int64_t budget;
    double allowance, allowance_t; /* bytes that may be sent; when it was counted */
    bool rest; /* the last frame was cut: rows wait */
    bool slowed;
    double reached, reached_t; /* whole frames a second of the last stretch; when the present one began */
    int reached_n;
    /* copies of the record */
    struct run *run;
    struct run_now now;
    double trend[RUN_MAX_METRICS], trend_t; /* of the metrics, as shown, and since when */
    double epoch_t; /* when an epoch last took the Overview's line */
    struct val *start;
    uint64_t next_event;
    struct log_line log[LOG_LINES];
    int64_t n_log; /* lines ever; slot = n % LOG_LINES */
    struct plot_mark mark[MARKS];
    char mark_text[MARKS][32];
    int n_marks;
    char edited[32], alert[600], last[200], ckpt[64];
    char banner[240]; /* the last alert that nobody has seen; "": none */
    int64_t edited_step;
    int alerts; /* since the log was last looked at */
    /* what is shown */
    enum screen_id screen;
    bool zoom, frozen;
    int sel, cursor; /* metric, column read */
    char find[128]; /* text looked for in the log */
    void *state[SCR_N]; /* of each view */
    struct plot_range range[RUN_MAX_METRICS], main_range;
    int main_sel;
    struct chart_look look;
    struct chart_work *chart; /* buffers, or NULL */
    struct ghosts *ghosts; /* curves of other runs, or NULL */
    /* popups */
    enum popup popup;
    enum form form;
    struct field field;
    char form_title[96], form_info[160], form_name[64], form_was[FIELD_MAX], confirm[160], confirm_lua[200];
    bool form_sure;
    struct val *sessions; /* of this user, as last told; NULL: not asked yet */
    struct val *ahead, *props; /* what forms show: the schedule to come, the properties there are; NULL: not known */
    struct item *item;
    int n_item, item_sel, item_top;
    int list_row, list_rows; /* where they stand on the screen */
    struct pager pager;
    size_t evals; /* of the prompt that had ended when it was last looked at */
    int drawer; /* lines of the prompt; 0: closed, -1: all */
};

/* ui.c */
void ui_command(struct ui *u, const char *line, enum by by); /* parses and submits; errors go to the log */
void ui_call(struct ui *u, struct call *c_take);
void ui_do(struct ui *u, const char *command, struct val *args_take, enum by by); /* a new call; a mistake goes into the log */
/* Asks another thread for something: done gets the call with its result or error, later, on this thread; not echoed. -1: nobody can be asked. */
typedef void ui_done(struct ui *u, void *ctx, const struct call *c);
int ui_ask(struct ui *u, const char *command, struct val *args_take, ui_done *done, void *ctx);
void ui_report(struct run *r, const char *kind, struct val **to, uint64_t *seen); /* *to becomes the report if it is newer than *seen */
void ui_refresh(struct ui *u);
void ui_compose(struct ui *u); /* draws everything into u->next */
void ui_open_screen(struct ui *u, int screen);
bool ui_works(const struct ui *u); /* what runs before there is a run is worth a line */
/* input.c */
void input_take(struct ui *u, const char *bytes, size_t n);
void input_tick(struct ui *u, double now); /* what time brings: a lone Esc, the end of a flood */
double input_wait(const struct ui *u, double now); /* seconds until then; < 0: nothing waits */
void input_release(struct ui *u);
/* says.c: what is said to the terminal besides cells, and what it answers */
void says_attached(struct ui *u, bool glyphs_auto); /* glyphs_auto: nobody asked for a set */
void says_reply(struct ui *u, const struct tkey *k);
void says_title(struct ui *u); /* if it changed */
void says_ended(struct ui *u, const char *text); /* a run */
void says_glyphs_chosen(struct ui *u); /* by key: remembered for this terminal type */
void says_mouse(struct ui *u, const struct tkey *k);
/* events.c */
void log_add(struct ui *u, enum ink ink, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
const struct log_line *log_at(const struct ui *u, int64_t i); /* NULL: not kept */
void value_short(struct buf *b, const struct val *v);
void event_seen(void *ctx, uint64_t seq, const struct val *ev);
/* popup.c */
void popup_open(struct ui *u, enum popup p);
void popup_form(struct ui *u, enum form f, const char *name);
void popup_draw(struct ui *u, struct grid *g);
void popup_footer(const struct ui *u, int cols, struct buf *out); /* the keys while one is open */
bool popup_key(struct ui *u, const struct tkey *k); /* true: taken */
void popup_paste(struct ui *u, const char *text, size_t n);
void popup_mouse(struct ui *u, int row, int by); /* a click on that row, or -1 and the wheel */
/* filter.c: the form of / */
void filter_open(struct ui *u);
void filter_typed(struct ui *u, bool kept); /* kept: what was typed; else the text that held before comes back */
void filter_submit(struct ui *u);
/* a line of text that is edited, also by the pager */
void field_set(struct field *f, const char *text);
void field_insert(struct field *f, const char *s, size_t n);
bool field_key(struct field *f, const struct tkey *k);
void field_draw(const struct ui *u, struct grid *g, int row, int col, int cols, const char *lead);
/* list.c: what the palette and help offer */
void list_fill(struct ui *u);
void list_ask(struct ui *u); /* what others have to be asked for */
void list_run(struct ui *u);
/* keys.c */
const struct key_row *key_rows(void); /* all of them, ended by a row without keys */
const struct key_row *keys_find(const struct ui *u, const char *key);
bool keys_has(const struct key_row *r, const char *key);
bool keys_of(const struct key_row *r, const struct view *v); /* a binding of that screen */
void keys_footer(const struct ui *u, struct buf *out);
/* views */
extern const struct view *const views[SCR_N];
#define SCREEN_VIEW(ID, name) extern const struct view view_##name;
SCREENS(SCREEN_VIEW)
void metric_pair(const struct ui *u, int sel, const char *names[2], int *n); /* a metric and its validation twin */
void chart_draw(struct ui *u, struct grid *g, struct rect area, int sel, struct plot_range *range, const char *title, int cursor);
/* commands that stand beside their view, for the list in cmds.c */
extern const struct cmd smooth_cmd, axis_cmd, outliers_cmd, x_axis_cmd, window_cmd, ghost_cmd; /* chart.c */
extern const struct cmd grid_cmd, filter_cmd, pin_cmd, group_cmd, histograms_cmd; /* views/metrics.c */
extern const struct cmd matrix_cmd; /* views/eval.c */
extern const struct cmd fold_cmd; /* views/model.c */
extern const struct cmd find_cmd; /* views/log.c */
extern const struct cmd find_next_cmd; /* filter.c */
extern const struct cmd mouse_cmd, copy_cmd; /* says.c */
extern const struct cmd find_runs_cmd, sort_cmd, mark_cmd, baseline_cmd; /* views/runs.c */
extern const struct cmd seeds_cmd; /* views/compare.c */
extern const struct cmd by_error_cmd, eval_diff_cmd; /* views/eval.c */
extern const struct cmd compress_apply_cmd, compress_revert_cmd, compress_compare_cmd; /* views/compress.c */
extern const struct cmd log_level_cmd, log_wrap_cmd; /* views/log.c */
/* cmds.c */
void ui_cmds_bind(struct ui *u);
struct ui *ui_bound(struct err *e); /* the dashboard of the process; NULL with an error: there is none */
extern const char *const move_names[];

#endif
