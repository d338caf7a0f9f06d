/* Runs: the runs of the folder as a table with state, best value of a metric and its step, difference to the baseline, the values of the
 * configuration that vary among those shown, size and tags; sorted, filtered by words or by a condition, marked for comparison. The folder is read
 * on the helper thread; here only its snapshot is looked at. UI thread. */
#include "config.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/mem.h"
#include "src/base/utf8.h"
#include "src/stored/diff.h"
#include "ui/draw/fmt.h"
#include "ui/rows.h"
#include "ui/runs.h"
#include "ui/scroll.h"

enum { VARY = 32, NAME_MAX_COLS = 24, METRICS = 256 };
static const double OLD = 2; /* seconds: an older snapshot is read anew when the screen is drawn */

struct runs_state {
    struct shelf *shelf; /* a reference, NULL: not read yet */
    bool *keep; /* one for each run of the shelf: the condition holds; NULL: there is none */
    bool asked;
    double asked_t;
    struct run *ended; /* the run of this process after whose end the folder was read */
    char filter[256], refused[200];
    const struct shelf_run **row; /* what is shown, in order */
    size_t n, sel, top;
    char sel_name[64], metric[32], sort[64];
    bool down, chosen; /* down: large, late or z first; chosen: the metric, by the user */
    char mark[MARKED][64];
    int n_mark;
    const char *vary[VARY];
    size_t n_vary;
};

static struct runs_state *state(const struct ui *u) { return u->state[SCR_RUNS]; }
const struct shelf *runs_list(const struct ui *u) { return state(u)->shelf; }
const char *runs_metric(const struct ui *u) { return state(u)->metric; }
static const char *runs_filter(const struct ui *u) { return state(u)->filter; }

static void start(struct ui *u) {
    struct runs_state *s = state(u);
    snprintf(s->sort, sizeof s->sort, "created");
    s->down = true;
    s->asked_t = -1e9;
}

static void release(struct ui *u) {
    struct runs_state *s = state(u);
    shelf_unref(s->shelf);
    free(s->keep);
    free(s->row);
}

/* ---- which rows ---- */

static bool is_condition(const char *text) { return strpbrk(text, "<>=~()") || strstr(text, "tag.") || strstr(text, "not "); }

/* Every word stands somewhere in the run's text. */
static bool has_words(const struct shelf_run *r, const char *text) {
    char word[256];
    while (*text) {
        size_t n = strcspn(text, " ");
        for (size_t i = 0; i < n && i < sizeof word - 1; i++) word[i] = (char)tolower((unsigned char)text[i]);
        word[n < sizeof word - 1 ? n : sizeof word - 1] = 0;
        if (n && !strstr(r->search, word)) return false;
        text += n + (text[n] == ' ');
    }
    return true;
}

struct order {
    const struct shelf_run *r;
    double num;
    const char *text;
};

static struct order order_of(const struct shelf_run *r, const char *by, const char *metric) {
    struct order o = {r, NAN, NULL};
    const struct metric_ends *m = shelf_metric(r, metric);
    const struct shelf_value *v = value_named(r, by);
    if (strcmp(by, "created") == 0) o.num = r->created;
    else if (strcmp(by, "size") == 0) o.num = (double)r->bytes;
    else if (strcmp(by, "run") == 0) o.text = r->name;
    else if (strcmp(by, "state") == 0) o.text = run_state_names[r->state];
    else if (strcmp(by, "best") == 0) o.num = m && m->ends.count ? shelf_best(m, NULL) : NAN;
    else if (v) o.num = v->num, o.text = isnan(v->num) ? v->text : NULL;
    return o;
}

static int by_order(const void *a, const void *b) { /* what is unknown comes last, both ways round */
    const struct order *x = a, *y = b;
    bool no_x = !x->text && isnan(x->num), no_y = !y->text && isnan(y->num);
    if (no_x != no_y) return no_x ? 1 : -1;
    if (x->text && y->text) return strcmp(x->text, y->text);
    if (!x->text != !y->text) return x->text ? 1 : -1;
    if (!no_x && x->num != y->num) return x->num < y->num ? -1 : 1;
    return x->r->created < y->r->created ? -1 : x->r->created > y->r->created;
}

static int by_order_down(const void *a, const void *b) {
    const struct order *x = a, *y = b;
    bool no_x = !x->text && isnan(x->num), no_y = !y->text && isnan(y->num);
    return no_x != no_y ? by_order(a, b) : by_order(b, a);
}

static void metric_default(struct runs_state *s) {
    static const char *const first[] = {"val_acc", "val_loss", "test_acc", "test_loss", "acc", "loss"};
    const char *one;
    if (s->chosen || !s->shelf) return;
    for (size_t k = 0; k < LEN(first); k++)
        for (size_t i = s->shelf->n; i-- > 0;)
            if (shelf_metric(s->shelf->run[i], first[k])) {
                snprintf(s->metric, sizeof s->metric, "%s", first[k]);
                return;
            }
    if (metric_names(s->shelf->run, s->shelf->n, &one, 1)) snprintf(s->metric, sizeof s->metric, "%s", one);
}

/* The rows anew, after the snapshot, the filter or the order changed. The same run stays selected. */
static void rebuild(struct runs_state *s) {
    size_t all = s->shelf ? s->shelf->n : 0;
    struct order *o = X_NEW(struct order, all + 1);
    bool condition = is_condition(s->filter);
    metric_default(s);
    s->row = X_GROW(s->row, const struct shelf_run *, all + 1);
    s->n = 0;
    for (size_t i = 0; i < all; i++) {
        const struct shelf_run *r = s->shelf->run[i];
        if (condition ? !s->keep || s->keep[i] : has_words(r, s->filter)) o[s->n++] = order_of(r, s->sort, s->metric);
    }
    if (s->n) qsort(o, s->n, sizeof *o, s->down ? by_order_down : by_order);
    size_t sel = s->sel < s->n ? s->sel : s->n ? s->n - 1 : 0;
    for (size_t i = 0; i < s->n; i++) {
        s->row[i] = o[i].r;
        if (strcmp(o[i].r->name, s->sel_name) == 0) sel = i;
    }
    s->sel = sel;
    s->n_vary = s->n > 1 ? vary_names(s->row, s->n, s->vary, VARY) : 0;
    free(o);
}

static void names_came(struct ui *u, void *ctx, const struct call *c) {
    struct runs_state *s = state(u);
    const char *where = val_get_str(c->args, "where", NULL);
    (void)ctx;
    s->asked = false;
    bool condition = is_condition(s->filter);
    struct shelf *now = runs_shelf(u->runs);
    if (now) {
        shelf_unref(s->shelf);
        s->shelf = now;
        free(s->keep);
        s->keep = NULL;
    }
    s->refused[0] = 0;
    if (c->status != 0) snprintf(s->refused, sizeof s->refused, "%.199s", c->err.text);
    else if (condition && where && strcmp(where, s->filter) == 0 && s->shelf) { /* the names come in the order of the snapshot */
        s->keep = X_NEW(bool, s->shelf->n + 1);
        for (size_t i = 0, k = 0; i < s->shelf->n; i++) {
            s->keep[i] = val_at(c->result, k) && strcmp(val_at(c->result, k)->u.s.p, s->shelf->run[i]->name) == 0;
            k += s->keep[i];
        }
    }
    if (condition && (!where || strcmp(where, s->filter) != 0)) s->asked_t = -1e9; /* it was asked before the condition was typed */
    rebuild(s);
}

void runs_want(struct ui *u) {
    struct runs_state *s = state(u);
    bool ended = u->run && run_state_ended(u->now.state) && s->ended != u->run; /* nothing is drawn after that by itself: its end is looked at once */
    if (s->asked || (u->clock() - s->asked_t < OLD && !ended) || !hub_find(u->hub, "ls")) return;
    if (ended) s->ended = u->run;
    struct val *t = val_table();
    val_set_bool(t, "names", true);
    if (is_condition(s->filter)) val_set_str(t, "where", s->filter);
    s->asked_t = u->clock();
    s->asked = ui_ask(u, "ls", t, names_came, NULL) == 0;
}

static void runs_typed(struct ui *u, const char *text) {
    struct runs_state *s = state(u);
    snprintf(s->filter, sizeof s->filter, "%.255s", text);
    s->refused[0] = 0;
    free(s->keep);
    s->keep = NULL;
    s->sel_name[0] = 0;
    s->sel = s->top = 0;
    if (is_condition(text)) s->asked_t = -1e9;
    rebuild(s);
}

/* ---- marks ---- */

static int marked(const struct runs_state *s, const char *name) {
    for (int i = 0; i < s->n_mark; i++)
        if (strcmp(s->mark[i], name) == 0) return i;
    return -1;
}

int runs_chosen(struct ui *u, const char *out[MARKED]) {
    struct runs_state *s = state(u);
    const struct shelf_run *base = shelf_baseline(s->shelf);
    int n = 0;
    for (int i = 0; i < s->n_mark; i++) out[n++] = s->mark[i];
    if (n) return n;
    if (base) out[n++] = base->name;
    const char *one = s->sel < s->n ? s->row[s->sel]->name : u->run ? run_name(u->run) : NULL;
    if (one && !(base && strcmp(one, base->name) == 0)) out[n++] = one;
    return n;
}

/* ---- drawing ---- */

void runs_delta(struct grid *g, int row, int end, int cols, const char *metric, double v, double base) {
    char num[FMT_MAX], text[FMT_MAX + 2];
    int d = metric_direction(metric);
    double by = v - base;
    if (!isfinite(by)) return;
    snprintf(text, sizeof text, "%s%s", by < 0 ? "-" : by > 0 ? "+" : "", fmt_value(num, fabs(by)));
    grid_right(g, row, end, cols, (struct style){by * d > 0 ? INK_GOOD : by * d < 0 ? INK_BAD : INK_TEXT, 0}, by == 0 ? "0" : text);
}

const char *value_text(char out[64], const struct shelf_value *v) {
    if (!v) return "-";
    if (isnan(v->num) || strlen(v->text) <= 8) return v->text;
    snprintf(out, 64, "%.6g", v->num);
    return out;
}

static const char *last_part(const char *name) {
    const char *dot = strrchr(name, '.');
    return dot && dot[1] && !isdigit((unsigned char)dot[1]) ? dot + 1 : name;
}

static int width_of(const char *text, int most) {
    int w = utf8_columns(text, strlen(text));
    return w > most ? most : w;
}

struct columns {
    int name, state, best, step, delta, vary[VARY], size, tags, n_vary; /* right ends, but for name, state, tags: where they begin */
    int name_cols, state_cols, tags_cols;
    bool base;
};

/* The widest of what the rows shown put into a column. */
struct widths {
    int name, state, step, tags;
};

static void widths_find(const struct runs_state *s, size_t first, size_t shown, struct widths *w) {
    *w = (struct widths){8, 5, 7, 0};
    for (size_t i = first; i < first + shown && i < s->n; i++) {
        const struct shelf_run *r = s->row[i];
        const struct metric_ends *m = shelf_metric(r, s->metric);
        char t[FMT_MAX];
        int64_t step = 0;
        int tags = 0, name = width_of(r->name, NAME_MAX_COLS), st = (int)strlen(run_state_names[r->state]);
        for (size_t k = 0; k < r->n_tag; k++) tags += width_of(r->tag[k], 12) + 1;
        if (m && m->ends.count) shelf_best(m, &step);
        int digits = (int)strlen(fmt_count(t, step));
        if (name > w->name) w->name = name;
        if (st > w->state) w->state = st;
        if (digits > w->step) w->step = digits;
        if (tags > w->tags) w->tags = tags > 16 ? 16 : tags;
    }
}

static int vary_width(const struct runs_state *s, const char *name, size_t first, size_t shown) {
    int w = width_of(last_part(name), 12);
    for (size_t i = first; i < first + shown && i < s->n; i++) {
        char num[64];
        int vw = width_of(value_text(num, value_named(s->row[i], name)), 12);
        if (vw > w) w = vw;
    }
    return w;
}

/* From left to right what there is room for; the values that vary get what is left before size and tags, and two of them go before the size. */
static void columns_fit(const struct runs_state *s, int cols, size_t first, size_t shown, struct columns *c) {
    struct widths w;
    widths_find(s, first, shown, &w);
    if (cols < 70 && w.name > 16) w.name = 16;
    *c = (struct columns){.name = 3, .name_cols = w.name, .state = 4 + w.name, .state_cols = w.state, .base = shelf_baseline(s->shelf) != NULL};
    int x = c->state + w.state;
    c->best = x += 9;
    if (x + 1 + w.step <= cols) c->step = x += 1 + w.step;
    if (c->base && x + 9 <= cols) c->delta = x += 9;
    int room = cols - x - (w.tags ? w.tags + 1 : 0);
    for (size_t k = 0; k < s->n_vary; k++) {
        int need = vary_width(s, s->vary[k], first, shown) + 2;
        if (need > room - (k < 2 ? 0 : 9)) break;
        room -= need;
        c->vary[c->n_vary++] = x += need;
    }
    if (room >= 9) c->size = x += 9;
    if (w.tags && x + 5 <= cols) c->tags = x + 1, c->tags_cols = cols - x - 1;
}

static void head_draw(const struct runs_state *s, struct grid *g, int row, const struct columns *c) {
    struct style bold = {INK_TITLE, AT_BOLD}, by = {INK_TITLE, AT_BOLD | AT_UNDER};
#define STYLE(word) (strcmp(s->sort, word) == 0 ? by : bold)
    grid_text(g, row, c->name, c->name_cols, STYLE("run"), "run");
    grid_text(g, row, c->state, c->state_cols, STYLE("state"), "state");
    grid_right(g, row, c->best, 8, STYLE("best"), s->metric);
    if (c->step) grid_right(g, row, c->step, 12, bold, "at step");
    if (c->delta) grid_right(g, row, c->delta, 9, bold, "delta");
    for (int k = 0; k < c->n_vary; k++) grid_right(g, row, c->vary[k], 12, STYLE(s->vary[k]), last_part(s->vary[k]));
    if (c->size) grid_right(g, row, c->size, 9, STYLE("size"), "size");
    if (c->tags) grid_text(g, row, c->tags, c->tags_cols, bold, "tags");
#undef STYLE
}

static uint8_t state_ink(enum run_state s) {
    return s == RUN_FAILED || s == RUN_CRASHED ? INK_BAD : s == RUN_STOPPED ? INK_WARN : run_state_ended(s) ? INK_TEXT : INK_GOOD;
}

static void row_draw(const struct runs_state *s, struct grid *g, int row, const struct columns *c, const struct shelf_run *r, bool sel) {
    struct style text = {INK_TEXT, 0};
    const struct metric_ends *m = shelf_metric(r, s->metric);
    const struct shelf_run *base = shelf_baseline(s->shelf);
    const struct metric_ends *mb = base ? shelf_metric(base, s->metric) : NULL;
    char t[FMT_MAX];
    int64_t step = -1;
    double best = m && m->ends.count ? shelf_best(m, &step) : NAN;
    grid_put(g, row, 0, text, sel ? '>' : ' ');
    if (marked(s, r->name) >= 0) grid_put(g, row, 1, (struct style){INK_TITLE, AT_BOLD}, 'x');
    grid_text(g, row, c->name, c->name_cols, (struct style){INK_TEXT, sel ? AT_REVERSE : 0}, r->name);
    grid_text(g, row, c->state, c->state_cols, (struct style){state_ink(r->state), 0}, run_state_names[r->state]);
    grid_right(g, row, c->best, 9, text, isnan(best) ? "-" : fmt_value(t, best));
    if (c->step && step >= 0) grid_right(g, row, c->step, 12, text, fmt_count(t, step));
    if (c->delta && r == base) grid_right(g, row, c->delta, 9, text, "base");
    else if (c->delta && mb && mb->ends.count) runs_delta(g, row, c->delta, 9, s->metric, best, shelf_best(mb, NULL));
    for (int k = 0; k < c->n_vary; k++) {
        char num[64];
        grid_right(g, row, c->vary[k], 12, text, value_text(num, value_named(r, s->vary[k])));
    }
    if (c->size) grid_right(g, row, c->size, 9, text, fmt_bytes(t, (double)r->bytes));
    int x = c->tags;
    for (size_t k = 0; c->tags && k < r->n_tag && x < c->tags + c->tags_cols - 1; k++)
        x += 1 + grid_text(g, row, x, c->tags + c->tags_cols - x, (struct style){INK_TITLE, 0}, r->tag[k]);
}

static void line_draw(const struct runs_state *s, struct grid *g, int row, const struct columns *c) {
    struct buf b = BUF_INIT;
    char a[FMT_MAX];
    buf_addf(&b, "%s run%s", fmt_count(a, s->shelf ? (int64_t)s->shelf->n : 0), s->shelf && s->shelf->n == 1 ? "" : "s");
    if (s->filter[0]) buf_addf(&b, ", %s shown", fmt_count(a, (int64_t)s->n));
    if (s->n_mark) buf_addf(&b, ", %d marked", s->n_mark);
    buf_addf(&b, "  order: %s %s", strcmp(s->sort, "created") == 0 ? "time" : last_part(s->sort), s->down ? "down" : "up");
    int hidden = (int)s->n_vary - c->n_vary;
    char more[48] = "";
    if (hidden > 0) snprintf(more, sizeof more, "+%d values hidden", hidden);
    int end = g->cols - 1 - (int)strlen(more), x = 1 + grid_text(g, row, 1, end - 2, (struct style){INK_TEXT, 0}, b.data);
    if (s->filter[0] && x + 4 < end) grid_textf(g, row, x + 2, end - x - 3, (struct style){INK_TITLE, 0}, "/%s", s->filter);
    if (more[0]) grid_text(g, row, end, (int)strlen(more), (struct style){INK_DIM, 0}, more);
    buf_release(&b);
}

static void draw(struct ui *u, struct grid *g, struct rect r) {
    struct runs_state *s = state(u);
    struct columns c;
    struct style text = {INK_TEXT, 0};
    size_t room = r.rows > 2 ? (size_t)r.rows - 2 : 0;
    if (!s->shelf || !s->shelf->n) {
        const char *why = !s->shelf && s->asked ? "Reading the runs ..."
                          : runs_dir(u->runs)   ? "There are no runs in the folder yet."
                                                : "Runs are not kept on disk here.";
        grid_text(g, r.row, 1, -1, text, why);
        return;
    }
    s->top = (size_t)first_shown((int)s->top, (int)s->sel, (int)room);
    if (s->top + room > s->n) s->top = s->n > room ? s->n - room : 0;
    columns_fit(s, g->cols, s->top, room, &c);
    line_draw(s, g, r.row, &c);
    head_draw(s, g, r.row + 1, &c);
    for (size_t i = 0; i < room && s->top + i < s->n; i++) row_draw(s, g, r.row + 2 + (int)i, &c, s->row[s->top + i], s->top + i == s->sel);
    if (s->refused[0]) grid_text(g, r.row + 2, 3, g->cols - 3, (struct style){INK_BAD, 0}, s->refused);
    else if (!s->n) grid_text(g, r.row + 2, 3, g->cols - 3, text, "No run is like that; / changes the filter.");
    size_t below = s->n > s->top + room ? s->n - s->top - room : 0;
    char more[48];
    if (below) {
        snprintf(more, sizeof more, " +%zu below ", below);
        grid_right(g, 1, g->cols - 1, 30, text, more);
    }
}

/* ---- keys ---- */

static void select_row(struct runs_state *s, size_t i) {
    s->sel = i;
    if (i < s->n) snprintf(s->sel_name, sizeof s->sel_name, "%s", s->row[i]->name);
}

void runs_metric_step(struct ui *u, int by) {
    struct runs_state *s = state(u);
    const char *name[METRICS];
    size_t n = s->shelf ? metric_names(s->shelf->run, s->shelf->n, name, METRICS) : 0, at = 0;
    while (at < n && strcmp(name[at], s->metric) != 0) at++;
    if (!n) return;
    if (at == n) at = 0;
    else at = by > 0 ? (at + 1) % n : at ? at - 1 : n - 1;
    snprintf(s->metric, sizeof s->metric, "%s", name[at]);
    s->chosen = true;
    rebuild(s);
}

static void move(struct ui *u, enum move m) {
    struct runs_state *s = state(u);
    int page = u->rows > 8 ? u->rows - 7 : 1;
    int n = (int)s->n, by = move_by(m, page, n);
    if (m == MOVE_LEFT || m == MOVE_RIGHT) runs_metric_step(u, m == MOVE_RIGHT ? 1 : -1);
    if (by && n) select_row(s, (size_t)clamp_index((int)s->sel + by, n));
}

static void enter(struct ui *u) { ui_command(u, "open compare", BY_KEY); }

/* ---- commands ---- */

struct text_args {
    char *text;
};

static int find_runs_run(struct call *c, const void *args, struct err *e) {
    BEGIN(text_args);
    runs_typed(u, a->text ? a->text : "");
    runs_want(u);
    return 0;
}

/* What can be sorted by, in the order of the columns. */
static size_t sort_names(const struct runs_state *s, const char **out, size_t max) {
    static const char *const own[] = {"created", "best", "run", "state", "size"};
    size_t n = 0;
    for (size_t i = 0; i < LEN(own) && n < max; i++) out[n++] = own[i];
    for (size_t i = 0; i < s->n_vary && n < max; i++) out[n++] = s->vary[i];
    return n;
}

static int sort_run(struct call *c, const void *args, struct err *e) {
    BEGIN(text_args);
    struct runs_state *s = state(u);
    const char *name[VARY + 8];
    size_t n = sort_names(s, name, LEN(name)), at = 0;
    if (a->text && strcmp(a->text, "reverse") == 0) s->down = !s->down;
    else {
        bool minus = a->text && a->text[0] == '-';
        const char *want = a->text ? a->text + minus : NULL;
        while (at < n && strcmp(name[at], want ? want : s->sort) != 0 && !(want && strcmp(last_part(name[at]), want) == 0)) at++;
        if (want && at == n) return err_code(e, ERR_USAGE, "sort: the runs have no \"%.60s\"; created, best, run, state, size, or a value that varies", want);
        const char *by = want ? name[at] : name[at < n ? (at + 1) % n : 0];
        snprintf(s->sort, sizeof s->sort, "%s", by);
        s->down = want ? minus : strcmp(by, "created") == 0 || strcmp(by, "size") == 0 || (strcmp(by, "best") == 0 && metric_direction(s->metric) > 0);
    }
    rebuild(s);
    return 0;
}

/* The run that a command means: the one named, else the selected one. */
static const char *meant(const struct runs_state *s, const char *name, struct err *e) {
    if (name && shelf_find(s->shelf, name)) return name;
    if (name) err_set(e, "there is no run named \"%.60s\" in the list", name);
    else if (s->sel < s->n) return s->row[s->sel]->name;
    else err_set(e, "no run is selected");
    return NULL;
}

static int mark_run(struct call *c, const void *args, struct err *e) {
    BEGIN(text_args);
    struct runs_state *s = state(u);
    const char *name = meant(s, a->text, e);
    int at = name ? marked(s, name) : -1;
    if (!name) return -1;
    if (at >= 0) {
        memmove(s->mark[at], s->mark[at + 1], sizeof *s->mark * (size_t)(s->n_mark - at - 1));
        s->n_mark--;
    } else if (s->n_mark == MARKED) return err_set(e, "%d runs are marked already, as many as can be compared; x takes a mark away", MARKED);
    else snprintf(s->mark[s->n_mark++], sizeof *s->mark, "%s", name);
    if (!a->text && s->sel + 1 < s->n) select_row(s, s->sel + 1);
    return 0;
}

static int baseline_run(struct call *c, const void *args, struct err *e) {
    BEGIN(text_args);
    struct runs_state *s = state(u);
    const char *name = meant(s, a->text, e);
    const struct shelf_run *base = shelf_baseline(s->shelf);
    if (!name) return -1;
    struct val *t = val_table();
    val_set_str(t, "run", name);
    val_set_str(t, "tag", "baseline");
    if (base && strcmp(base->name, name) == 0) val_set_bool(t, "remove", true);
    struct call *tag = call_new(u->hub, "tag", t, BY_KEY, e);
    if (!tag) return -1;
    ui_call(u, tag);
    s->asked_t = -1e9;
    return 0;
}

#define TEXT(id, about, source) \
    static const struct arg id##_table[] = {{#id, about, NULL, NULL, ARG_STR, offsetof(struct text_args, text), ARG_POSITIONAL, 0, 0, 0, NULL, source}, {0}}
TEXT(text, "words, or a condition in Lua; all runs without", SRC_NONE);
TEXT(by, "created, best, run, state, size or a value that varies, with - large first; reverse; the next one without", SRC_NONE);
TEXT(run, "its name; the selected one without", SRC_RUN);
ROW_EX(find_runs, "shows only some runs in the list", "hone.find_runs{\"lr > 1e-3\"}", text_table, text_args);
ROW_EX(sort, "orders the list of runs", "hone.sort{\"-best\"}", by_table, text_args);
ROW_EX(mark, "marks a run for comparison, or takes the mark away", "hone.mark{\"fashion-1\"}", run_table, text_args);
ROW_EX(baseline, "makes a run the one that others are compared with, or no more", "hone.baseline{\"fashion-1\"}", run_table, text_args);

static const struct view_filter filter = {
    "Which runs", "Words, or a condition: lr > 1e-3 and tag.baseline. Nothing shows all.", "find_runs", "text", runs_filter, runs_typed};
static const struct key_row keys[] = {{"runs", "x", "mark", "mark the run for comparison, or not", NULL},
    {"runs", "o", "sort", "order by the next column", NULL}, {"runs", "O", "sort reverse", "the other way round", NULL},
    {"runs", "b", "baseline", "the run that others are compared with", NULL}, {0}};

const struct view view_runs = {.name = "runs",
    .title = "Runs",
    .draw = draw,
    .move = move,
    .enter = enter,
    .footer = " ?help :cmd  x mark  Enter compare  / filter  o order  b baseline  q detach",
    .keys = keys,
    .every = 5, /* other processes have runs too */
    .filter = &filter,
    .state_size = sizeof(struct runs_state),
    .start = start,
    .refresh = runs_want,
    .release = release};
