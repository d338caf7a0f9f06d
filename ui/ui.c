/* The dashboard's loop body: input to commands, record to cells, cells to one frame. Time-driven frames come at the refresh
 * rate and only when the record changed; a key is answered at once. UI thread. */
#include "config.h"

#include "ui/ui.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/mem.h"
#include "src/base/thread.h"
#include "src/call/settings.h"
#include "ui/chart.h"
#include "ui/draw/fmt.h"
#include "ui/drawer.h"
#include "ui/keymap.h"

static const double brief_s = 1, trend_s = 2;

#define SCREEN_ROW(ID, name) &view_##name,
const struct view *const views[SCR_N] = {SCREENS(SCREEN_ROW)};

/* ---- calls ---- */

enum { REPLIES = 64, OTHERS_MAX = 48 }; /* calls under way; those of other threads: the dashboard itself goes on under any number of them */

static bool is_movement(const char *name) {
    static const char *const quiet[] = {"move", "enter", "back", "palette", "help_keys", "prompt", "redraw", "find_next"};
    for (size_t i = 0; i < LEN(quiet); i++)
        if (strcmp(name, quiet[i]) == 0) return true;
    return false;
}

struct ask { /* of ui_ask, until its answer comes */
    ui_done *done;
    void *ctx;
};

static void replies_take(struct ui *u) {
    for (struct call *c; (c = queue_get(&u->replies, 0));) {
        u->waiting--;
        u->acting = true; /* what it says answers a key */
        struct ask *ask = c->ctx;
        if (ask) ask->done(u, ask->ctx, c);
        else if (c->status != 0) log_add(u, INK_BAD, "%s", c->err.text);
        else if (c->cmd->owner == OWNER_SCRIPT && c->result && c->result->type == VAL_STR) log_add(u, INK_TEXT, "%s", c->result->u.s.p);
        free(ask);
        call_free(c);
        u->acting = false;
        u->dirty = true;
    }
}

void ui_call(struct ui *u, struct call *c_take) {
    struct err e = {0};
    enum owner owner = c_take->cmd->owner;
    if (hub_read_only(u->hub) && hub_acts(c_take->cmd, c_take->args)) {
        u->refused = u->dirty = true;
        call_free(c_take);
        return;
    }
    if (!is_movement(c_take->cmd->kind.name)) { /* the dashboard teaches the prompt */
        struct buf b = BUF_INIT;
        call_lua(c_take, &b);
        char last[sizeof u->last]; /* the line of the last event stays when only the view changed */
        memcpy(last, u->last, sizeof last);
        log_add(u, INK_DIM, "> %s", b.data ? b.data : "");
        if (owner == OWNER_UI) memcpy(u->last, last, sizeof last);
        buf_release(&b);
    }
    bool own = owner == OWNER_UI || owner == OWNER_ANY;
    if (!own && u->waiting >= OTHERS_MAX) {
        log_add(u, INK_BAD, "%d calls are under way already: %s was not made", u->waiting, c_take->cmd->kind.name);
        call_free(c_take);
        return;
    }
    if (call_submit(c_take, &u->replies, NULL, &e) != 0) log_add(u, INK_BAD, "%s", e.text);
    else u->waiting++;
    if (!own) return;
    hub_serve(u->hub, OWNER_UI, 0); /* what follows on the keyboard must meet its effect */
    replies_take(u);
}

void ui_command(struct ui *u, const char *line, enum by by) {
    struct err e = {0};
    struct call *c = call_parse(u->hub, line, by, &e);
    if (c) ui_call(u, c);
    else log_add(u, INK_BAD, "%s", e.text);
    u->dirty = true;
}

void ui_report(struct run *r, const char *kind, struct val **to, uint64_t *seen) {
    struct val *v = run_report_since(r, kind, seen);
    if (!v) return;
    val_free(*to);
    *to = v;
}

void ui_do(struct ui *u, const char *command, struct val *args_take, enum by by) {
    struct err e = {0};
    struct call *c = call_new(u->hub, command, args_take, by, &e);
    if (c) ui_call(u, c);
    else log_add(u, INK_BAD, "%s", e.text);
}

int ui_ask(struct ui *u, const char *command, struct val *args_take, ui_done *done, void *ctx) {
    struct err e = {0};
    struct call *c = call_new(u->hub, command, args_take, BY_KEY, &e);
    struct ask *ask = c ? X_NEW(struct ask, 1) : NULL;
    if (ask) *ask = (struct ask){done, ctx};
    if (c && call_submit(c, &u->replies, ask, &e) == 0) {
        u->waiting++;
        return 0;
    }
    free(ask);
    return -1;
}

/* ---- record to copies ---- */

/* A run that evaluates for a moment after each epoch would change its state, its phase and the window's title twice a second: until it has taken a while it is
 * training. The trends change every few seconds: at the pace of the frames nobody could read them. */
static void now_read(struct ui *u, struct run *r) {
    enum run_state state = u->now.state;
    char phase[sizeof u->now.phase];
    double now = u->clock();
    bool all = !u->now.n || now - u->trend_t >= trend_s;
    int n = u->now.n;
    memcpy(phase, u->now.phase, sizeof phase);
    run_now(r, &u->now);
    if (state == RUN_TRAINING && u->now.state == RUN_EVALUATING && u->now.phase_t < brief_s) {
        u->now.state = state;
        memcpy(u->now.phase, phase, sizeof phase);
    }
    run_trends(r, u->trend, all ? 0 : n, u->now.n);
    if (all) u->trend_t = now;
}

static void record_read(struct ui *u) {
    struct run *r = runs_current(u->runs);
    u->drawn_version = runs_version(u->runs);
    if (r != u->run) {
        u->run = r;
        u->n_marks = 0;
        u->sel = 0;
        u->cursor = u->main_sel = -1;
        chart_whole(u);
        u->ckpt[0] = u->edited[0] = 0;
        u->trend_t = u->epoch_t = -1e9;
        memset(u->range, 0, sizeof u->range);
        memset(&u->main_range, 0, sizeof u->main_range);
        val_free(u->start);
        u->start = NULL;
    }
    uint64_t lost = 0;
    u->next_event = runs_events(u->runs, u->next_event, event_seen, u, &lost);
    if (lost) log_add(u, INK_WARN, "%llu events came faster than they could be shown", (unsigned long long)lost);
    if (!r) {
        u->now = (struct run_now){.eta = -1};
        return;
    }
    bool named = u->now.n > 0;
    now_read(u, r);
    if (!u->start) u->start = run_start_info(r);
    if (!named)
        for (int i = 0; i < u->now.n; i++)
            if (strcmp(u->now.metric[i].name, "loss") == 0) u->sel = i;
}

void ui_refresh(struct ui *u) {
    record_read(u);
    if (views[u->screen]->refresh) views[u->screen]->refresh(u);
}

/* ---- drawing ---- */

static void header(struct ui *u, struct grid *g, const char *title) {
    struct style bold = {INK_TITLE, AT_BOLD};
    int x = 1 + grid_text(g, 0, 1, 24, bold, title);
    if (u->run) {
        x += 2 + grid_text(g, 0, x + 2, 30, (struct style){INK_TEXT, 0}, u->now.name);
        x += 2 + grid_text(g, 0, x + 2, 12, bold, run_state_names[u->now.state]);
        char a[FMT_MAX];
        if (x + 2 + 5 + (int)strlen(fmt_count(a, u->now.step)) < g->cols) grid_textf(g, 0, x + 2, -1, (struct style){INK_TEXT, 0}, "step %s", a);
    }
    draw_rule(g, 1, 0, g->cols);
}

/* An alert stands on the line below the title, on every screen, until the log was opened or Esc pressed. */
static void banner(struct ui *u, struct grid *g, int row) {
    struct style bad = {INK_BAD, AT_REVERSE | AT_BOLD};
    if (!u->banner[0]) return;
    grid_fill(g, row, 0, g->cols, bad, ' ');
    static const char seen[] = " 9: log  Esc: seen ";
    int room = g->cols - (int)sizeof seen;
    grid_textf(g, row, 1, room - 1, bad, "! %s", u->banner);
    grid_text(g, row, room, (int)sizeof seen, bad, seen);
}

/* Where the line is too long, entries before the last go, whole: how to leave stays. Entries are ASCII, two blanks apart. */
static void footer_fit(struct buf *b, int cols) {
    char *last = NULL;
    for (char *p = b->data; p && (p = strstr(p, "  ")) != NULL; p += 2) last = p;
    while (last && (int)b->len > cols) {
        char *cut = last;
        while (cut > b->data + 1 && !(cut[-1] == ' ' && cut[-2] == ' ')) cut--;
        if (cut - 2 <= b->data) return;
        cut -= 2;
        memmove(cut, last, b->len - (size_t)(last - b->data) + 1);
        b->len -= (size_t)(last - cut);
        last = cut;
    }
}

static void footer(struct ui *u, struct grid *g) {
    struct buf b = BUF_INIT;
    int row = g->rows - 1;
    if (u->refused) {
        grid_textf(g, row, 0, g->cols, (struct style){INK_WARN, AT_REVERSE}, " %s ", hub_read_only(u->hub));
        return;
    }
    if (u->complaint[0] && (u->drawer || (u->screen != SCR_OVERVIEW && u->screen != SCR_LOG))) { /* those show it anyway */
        grid_text(g, row, 1, g->cols - 1, (struct style){INK_BAD, 0}, u->complaint);
        return;
    }
    if (u->popup) popup_footer(u, g->cols, &b);
    else if (u->drawer) drawer_footer(u, &b);
    else keys_footer(u, &b);
    if (!u->popup) footer_fit(&b, g->cols);
    grid_text(g, row, 0, g->cols, (struct style){INK_TEXT, 0}, b.data);
    buf_release(&b);
    if (u->frozen) grid_right(g, row, g->cols, 12, (struct style){INK_WARN, AT_REVERSE}, " FROZEN: f ");
    else if (u->mouse) grid_right(g, row, g->cols, 10, (struct style){INK_WARN, 0}, " mouse: M");
    else if (u->slowed) {
        char text[32];
        snprintf(text, sizeof text, " budget: %.1f Hz", u->reached);
        grid_right(g, row, g->cols, 18, (struct style){INK_WARN, 0}, text);
    }
}

/* Below 40x10: the size that is needed, in as many words as there is room for. */
static void small_draw(struct ui *u, struct grid *g) {
    char text[4][64];
    snprintf(text[0], sizeof text[0], "hone needs 40x10, this is %dx%d", u->cols, u->rows);
    snprintf(text[1], sizeof text[1], "hone needs 40x10");
    snprintf(text[2], sizeof text[2], "need 40x10");
    snprintf(text[3], sizeof text[3], "40x10");
    int i = 0;
    while (i < 3 && (int)strlen(text[i]) > u->cols) i++;
    grid_text(g, 0, 0, u->cols, (struct style){INK_TEXT, 0}, text[i]);
}

void ui_compose(struct ui *u) {
    struct grid *g = &u->next;
    grid_blank(g, u->rows, u->cols, u->scr ? screen_ascii(u->scr) : false);
    if (u->rows < 10 || u->cols < 40) {
        small_draw(u, g);
        return;
    }
    const struct view *v = views[u->screen];
    int drawer = drawer_rows(u, g->rows);
    if (u->screen == SCR_OVERVIEW) {
        v->draw(u, g, (struct rect){0, 0, g->rows - 1 - drawer, g->cols});
    } else {
        header(u, g, v->title);
        v->draw(u, g, (struct rect){2, 0, g->rows - 3 - drawer, g->cols});
    }
    banner(u, g, u->screen == SCR_OVERVIEW ? 2 : 1);
    u->shown_rows = g->rows - 1 - drawer;
    footer(u, g);
    if (drawer) drawer_draw(u, g);
    popup_draw(u, g);
}

/* ---- input ---- */

void ui_open_screen(struct ui *u, int screen) {
    if (u->scr && u->screen != (enum screen_id)screen) screen_clear(u->scr);
    enum screen_id was = u->screen;
    u->screen = (enum screen_id)screen;
    if (screen == SCR_LOG) u->banner[0] = 0;
    if (screen == SCR_LOG || was == SCR_LOG) u->alerts = 0; /* seen */
    u->zoom = u->frozen = false;
    u->cursor = -1;
    popup_open(u, POP_NONE);
    if (views[screen]->refresh) views[screen]->refresh(u); /* keys that follow at once meet what it shows */
}

/* ---- settings ---- */

static const char *name_of(const char *setting, int value) { return args_find(&settings_kind, setting)->names[value]; }

/* What was set since the last look takes effect at once, also over a wish that came with the attach. */
static void settings_follow(struct ui *u) {
    unsigned version = settings_version();
    if (version == u->set_version) return;
    struct settings s;
    settings_get(&s);
    if (u->scr && (s.glyphs != u->set_glyphs || s.color != u->set_color)) {
        const char *same = screen_colors(u->scr) == 256 ? "256" : screen_colors(u->scr) == 16 ? "16" : screen_colors(u->scr) ? "8" : "none";
        screen_looks(u->scr, s.color != u->set_color ? name_of("color", s.color) : same,
            s.glyphs != u->set_glyphs ? name_of("glyphs", s.glyphs) : glyphs_names[u->glyphs]);
        u->glyphs = screen_glyphs(u->scr);
        u->dirty = true;
    }
    if (s.budget != u->set_budget) u->budget = s.budget;
    u->set_version = version;
    u->set_glyphs = s.glyphs;
    u->set_color = s.color;
    u->set_budget = s.budget;
    u->refresh = s.refresh;
    u->bell = s.bell;
    u->titled = s.title;
    u->clipboard = s.clipboard;
    u->notify = s.notify;
    chart_look(u);
    u->dirty = true;
    args_release(&settings_kind, &s);
}

/* ---- the port ---- */

static void port_detach(void *ctx) {
    struct ui *u = ctx;
    screen_close(u->scr);
    u->scr = NULL;
    u->detach = false;
}

static void size_take(struct ui *u, int rows, int cols) {
    u->rows = grid_size(rows);
    u->cols = grid_size(cols);
    if (!u->scr) return;
    screen_resize(u->scr, u->rows, u->cols);
    if (u->cols > 1) u->cols -= screen_spare(u->scr);
}

static int port_attach(void *ctx, const struct term_info *t, struct err *e) {
    struct ui *u = ctx;
    struct screen *s;
    struct term_info in = *t;
    port_detach(u);
    settings_follow(u);
    if (!in.colors || strcmp(in.colors, "auto") == 0) in.colors = name_of("color", u->set_color);
    if (!in.glyphs || strcmp(in.glyphs, "auto") == 0) in.glyphs = name_of("glyphs", u->set_glyphs);
    if (!(s = screen_open(&in, e))) return -1;
    u->scr = s;
    u->glyphs = screen_glyphs(s);
    snprintf(u->term, sizeof u->term, "%.63s", t->term ? t->term : "");
    says_attached(u, strcmp(in.glyphs, "auto") == 0);
    u->bell_from = runs_next_event(u->runs);
    decode_release(&u->dec);
    decode_init(&u->dec);
    size_take(u, t->rows < 1 ? 24 : t->rows, t->cols < 1 ? 80 : t->cols);
    u->budget = t->budget > 0 ? t->budget : u->set_budget;
    u->allowance = 0;
    u->allowance_t = u->reached_t = u->clock();
    u->reached_n = 0;
    u->slowed = u->rest = false;
    u->dirty = true;
    if (screen_note(s)) log_add(u, INK_WARN, "%s", screen_note(s));
    if (u->prompt) u->prompt->size(u->prompt->ctx, u->rows, u->cols);
    return 0;
}

static void port_input(void *ctx, const char *bytes, size_t n) { input_take(ctx, bytes, n); }

static void port_resize(void *ctx, int rows, int cols) {
    struct ui *u = ctx;
    size_take(u, rows, cols);
    u->sized_t = u->clock();
    if (u->prompt) u->prompt->size(u->prompt->ctx, u->rows, u->cols);
    u->dirty = true;
}

static double interval(const struct ui *u) { return 1 / (u->refresh > 0 ? u->refresh : 2); }

/* A script is shown from the start, a line or the start of Lua itself once it lasts: most end at once, and nothing should flash. */
bool ui_works(const struct ui *u) { return u->working == WORKING_SCRIPT || (u->working == WORKING_LINE && u->clock() - u->working_since >= 1); }

static void working_follow(struct ui *u, double now) {
    enum working was = u->working;
    bool shown = ui_works(u);
    u->working = !u->run && u->prompt && u->prompt->working ? u->prompt->working(u->prompt->ctx) : WORKING_NONE;
    if (u->working == WORKING_NONE) u->working_since = 0;
    else if (was == WORKING_NONE) u->working_since = now;
    if (ui_works(u) != shown && !u->run) u->dirty = true;
}

/* While something is prepared its seconds are shown: one frame a second, though nothing else changes. */
static bool preparing(const struct ui *u) { return u->working || (u->run && u->now.state == RUN_PREPARING && !u->frozen); }

/* Until the second that is shown passes. */
static double second_left(const struct ui *u, double now) {
    double shown = u->run ? u->now.phase_t : u->read_t - u->working_since;
    return floor(shown) + 1 - (shown + now - u->read_t);
}

/* A screen that shows more than the record is drawn at its own pace. */
static bool ticks(struct ui *u, double now) {
    double every = views[u->screen]->every;
    return every > 0 && !u->frozen && now - u->drawn_t >= every - 1e-3;
}

/* A window that is being dragged has a new size every few ms, and each costs a whole frame: seconds to wait until it rests, 0: draw. */
static double storm_wait(const struct ui *u, double now) {
    double rests = u->sized_t + 0.03 - now, shown = u->sized_drawn_t + 0.25 - now;
    if (u->sized_t <= u->sized_drawn_t || rests <= 0 || shown <= 0) return 0;
    return rests < shown ? rests : shown;
}

static bool changed(struct ui *u) { return !u->frozen && u->drawn_version != runs_version(u->runs); }

/* ---- the budget: half a second of it may be saved up; frames are cut between rows, keys are answered whole ---- */

static double least(const struct ui *u) { return u->budget < 80 ? (double)u->budget / 2 : 40; } /* bytes worth beginning a frame with */

static void allowance_add(struct ui *u, double now) {
    u->allowance += (now - u->allowance_t) * (double)u->budget;
    if (u->allowance > (double)u->budget / 2) u->allowance = (double)u->budget / 2;
    u->allowance_t = now;
}

/* The footer tells the rate reached while it is clearly below the one asked for. */
static void reached_count(struct ui *u, double now) {
    if (now - u->reached_t < 10) return;
    u->reached = u->reached_n / (now - u->reached_t);
    u->slowed = u->budget && now - u->reached_t < 20 && u->reached < 0.7 * u->refresh; /* a longer stretch was idle */
    u->reached_n = 0;
    u->reached_t = now;
}

static int port_frame(void *ctx, struct buf *out) {
    struct ui *u = ctx;
    if (!u->scr) return 0;
    double now = u->clock();
    input_tick(u, now);
    replies_take(u);
    settings_follow(u);
    drawer_poll(u);
    working_follow(u, now);
    bool by_key = u->dirty, whole = true;
    bool due = !u->rest && ((changed(u) && now - u->drawn_t >= interval(u) - 1e-3) || (preparing(u) && second_left(u, now) <= 0) ||
                               ticks(u, now)); /* what was begun is finished as it was */
    size_t limit = 0;
    if (storm_wait(u, now) > 0) return 0;
    if ((by_key || due || u->rest) && pace_wait(&u->pace, now, by_key) > 0) return 0;
    if (u->budget && !by_key && (due || u->rest)) {
        allowance_add(u, now);
        if (u->allowance < least(u)) return 0;
        limit = (size_t)u->allowance;
    }
    if (!by_key && !due && !u->rest) return 0;
    if (!u->frozen && (by_key || due)) ui_refresh(u);
    says_title(u);
    if (now - u->drawn_t >= interval(u) - 1e-3 || due) u->drawn_t = now;
    u->read_t = now;
    u->dirty = false;
    if (u->sized_t > u->sized_drawn_t) u->sized_drawn_t = now;
    reached_count(u, now);
    ui_compose(u);
    size_t n = screen_frame_part(u->scr, &u->next, limit, &whole, out);
    if (n && (u->pace.answers || !u->probed)) { /* of one that does not answer nothing is asked a second time */
        buf_adds(out, PACE_ASK);
        n += sizeof PACE_ASK - 1;
        if (!u->probed && screen_asked(u->scr)) pace_sent(&u->pace, now, 0);
        u->probed = true;
        pace_sent(&u->pace, now, n);
    }
    u->rest = !whole;
    u->reached_n += whole;
    if (limit) u->allowance -= (double)n;
    return (int)n;
}

static int port_timeout(void *ctx) {
    struct ui *u = ctx;
    if (!u->scr) return -1;
    double now = u->clock(), wait = input_wait(u, now), held = pace_wait(&u->pace, now, u->dirty);
    if (storm_wait(u, now) > held) held = storm_wait(u, now);
    if (u->dirty) return held > 0 && (wait < 0 || held < wait) ? (int)ceil(held * 1000) : held > 0 ? (int)ceil(wait * 1000) : 0;
    if (u->waiting && (wait < 0 || wait > 0.02)) wait = 0.02;
    if (changed(u) || u->rest || preparing(u)) {
        double left = u->rest ? 0 : changed(u) ? u->drawn_t + interval(u) - now : second_left(u, now);
        double saved = u->budget ? (least(u) - u->allowance) / (double)u->budget - (now - u->allowance_t) : 0;
        if (saved > left) left = saved;
        if (held > left) left = held;
        if (left < 0) left = 0;
        if (wait < 0 || left < wait) wait = left;
    }
    double every = u->frozen ? 0 : views[u->screen]->every, left = u->drawn_t + every - now;
    if (held > left) left = held;
    if (every > 0 && (wait < 0 || left < wait)) wait = left > 0 ? left : 0;
    return wait < 0 ? -1 : (int)ceil(wait * 1000);
}

static bool port_wants_detach(void *ctx) {
    struct ui *u = ctx;
    bool d = u->detach;
    u->detach = false;
    return d;
}

static bool port_wants_editor(void *ctx, struct buf *text) {
    struct ui *u = ctx;
    return u->prompt && u->prompt->wants_editor && !hub_read_only(u->hub) && u->prompt->wants_editor(u->prompt->ctx, text);
}

static void port_edited(void *ctx, const char *text, size_t n) {
    struct ui *u = ctx;
    if (u->prompt && u->prompt->edited) u->prompt->edited(u->prompt->ctx, text, n);
    u->dirty = true;
}

static void port_last_screen(void *ctx, struct buf *out) {
    struct ui *u = ctx;
    if (u->next.cell) grid_dump(&u->next, out);
}

struct ui *ui_new(struct hub *h, const struct prompt_port *prompt) {
    struct ui *u = X_NEW(struct ui, 1);
    u->hub = h;
    u->runs = hub_runs(h);
    u->prompt = prompt && prompt->key ? prompt : NULL;
    u->clock = clock_now;
    u->machine = machine_read;
    u->next_event = 1;
    u->cursor = -1;
    u->rows = 24;
    u->cols = 80;
    u->drawn_t = u->trend_t = u->epoch_t = -1e9;
    settings_follow(u);
    queue_init(&u->replies, REPLIES);
    decode_init(&u->dec);
    u->port = (struct ui_port){
        u, port_attach, port_detach, port_input, port_resize, port_frame, port_timeout, port_wants_detach, port_wants_editor, port_edited, port_last_screen};
    for (int i = 0; i < SCR_N; i++) {
        if (views[i]->state_size) u->state[i] = mem_new(1, views[i]->state_size);
        if (views[i]->start) views[i]->start(u);
    }
    ui_cmds_bind(u);
    keymap_report(u);
    return u;
}

void ui_free(struct ui *u) {
    if (!u) return;
    port_detach(u);
    ui_cmds_bind(NULL);
    replies_take(u);
    queue_release(&u->replies);
    decode_release(&u->dec);
    input_release(u);
    grid_release(&u->next);
    for (int i = 0; i < LOG_LINES; i++) free(u->log[i].text);
    free(u->item);
    val_free(u->sessions);
    chart_free(u);
    val_free(u->start);
    val_free(u->ahead);
    val_free(u->props);
    for (int i = 0; i < SCR_N; i++) {
        if (views[i]->release) views[i]->release(u);
        free(u->state[i]);
    }
    free(u);
}

const struct ui_port *ui_port(struct ui *u) { return &u->port; }
