/* Model: the tree of layers with shapes, parameters and multiply-adds, and what the last look at them saw: ranges of outputs, gradients, dead units. While
 * it is shown and a run trains, a look is asked for every few seconds, so rarely that it takes at most 3 % of the time. Enter shows one layer in full with
 * histograms of its weights. UI thread. */
#include "config.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "ui/draw/bars.h"
#include "ui/draw/fmt.h"
#include "ui/rows.h"
#include "ui/scroll.h"

enum { ROWS_MAX = 1024, BINS = 40 };
static const double LOOK_S = 3; /* seconds from one look to the next at least */

struct model_state {
    struct val *rep; /* the report "model" of the run, or NULL */
    uint64_t seen;
    struct run *run;
    double asked; /* when a look was asked for; 0: never */
    bool waiting;
    char why[200]; /* why the last look failed */
    int sel, top, weight; /* layer (index into the report) selected, first row shown; in the detail: weight shown */
    bool folded[ROWS_MAX];
};

static const struct val *layer_at(const struct model_state *s, int i) { return val_at(val_get(s->rep, "layers"), (size_t)i); }
static int layer_count(const struct model_state *s) {
    size_t n = val_len(val_get(s->rep, "layers"));
    return n < ROWS_MAX ? (int)n : ROWS_MAX;
}
static int depth_at(const struct model_state *s, int i) { return (int)val_get_int(layer_at(s, i), "depth", 0); }
static bool has_inside(const struct model_state *s, int i) {
    /* a layer inside another stands behind it in the report */
    return i + 1 < layer_count(s) && depth_at(s, i + 1) > depth_at(s, i);
}

/* Rows that are not inside a folded layer, in order. */
static int visible(const struct model_state *s, int out[ROWS_MAX]) {
    int n = 0, hide = -1;
    for (int i = 0; i < layer_count(s); i++) {
        int d = depth_at(s, i);
        if (hide >= 0 && d > hide) continue;
        hide = s->folded[i] ? d : -1;
        out[n++] = i;
    }
    return n;
}

/* The row of a layer; of one inside a folded layer the row of that one. */
static int row_of(const int *list, int n, int layer) {
    int at = 0;
    for (int i = 0; i < n; i++)
        if (list[i] <= layer) at = i;
    return at;
}

/* ---- numbers of a layer ---- */

struct grads {
    double rms, most; /* over all weights of the layer; NAN: none */
    int64_t bad;
};

static bool belongs(const char *weight, const char *path) {
    size_t n = strlen(path);
    return strncmp(weight, path, n) == 0 && weight[n] == '.';
}

static struct grads gradients(const struct model_state *s, const char *path) {
    struct grads r = {NAN, NAN, 0};
    const struct val *weights = val_get(s->rep, "weights");
    double sum = 0, n = 0;
    for (size_t i = 0; i < val_len(weights); i++) {
        const struct val *w = val_at(weights, i), *g = val_get(w, "g");
        if (!g || !belongs(val_get_str(w, "name", ""), path)) continue;
        double k = val_get_num(g, "n", 0), rms = val_get_num(g, "rms", NAN), most = fmax(fabs(val_get_num(g, "min", 0)), fabs(val_get_num(g, "max", 0)));
        r.bad += val_get_int(g, "bad", 0);
        if (isnan(rms)) continue;
        sum += rms * rms * k;
        n += k;
        if (!(r.most >= most)) r.most = most;
    }
    if (n > 0) r.rms = sqrt(sum / n);
    return r;
}

static void range_text(char *out, size_t size, const struct val *v) {
    char a[FMT_MAX], b[FMT_MAX];
    double lo = val_get_num(v, "min", NAN), hi = val_get_num(v, "max", NAN);
    int64_t bad = val_get_int(v, "bad", 0);
    if (!v) snprintf(out, size, "-");
    else if (isnan(lo)) snprintf(out, size, "%lld not finite", (long long)bad);
    else snprintf(out, size, "%s..%s%s", fmt_short(a, lo), fmt_short(b, hi), bad ? " !" : "");
}

/* ---- the tree ---- */

struct columns {
    int name, kind, shape, params, macs, range, rms, grad, dead; /* widths; 0: not shown */
};
static struct columns columns_for(int cols) {
    struct columns c = {.name = 15, .kind = 10, .shape = 13, .params = 10, .range = 13, .grad = 9, .dead = 9};
    int spare = cols - 80;
    if (spare >= 20) c.macs = 13, spare -= 13;
    if (spare >= 16) c.rms = 10, spare -= 10;
    int more = spare > 0 ? spare / 3 : 0;
    c.name += more > 24 ? 24 : more;
    c.shape += more > 10 ? 10 : more;
    c.range += more > 8 ? 8 : more;
    return c;
}

static void cell_right(struct grid *g, int row, int *x, int w, struct style s, const char *text) {
    if (w) grid_right(g, row, *x + w, w - 1, s, text);
    *x += w;
}
static void cell_left(struct grid *g, int row, int *x, int w, struct style s, const char *text) {
    if (w) grid_text(g, row, *x, w - 1, s, text);
    *x += w;
}

static void head_row(struct grid *g, int row, const struct columns *c) {
    struct style s = {INK_TITLE, AT_BOLD};
    int x = 1;
    cell_left(g, row, &x, c->name, s, "layer");
    cell_left(g, row, &x, c->kind, s, "kind");
    cell_left(g, row, &x, c->shape, s, "output");
    cell_right(g, row, &x, c->params, s, "params");
    cell_right(g, row, &x, c->macs, s, "MACs");
    cell_right(g, row, &x, c->range, s, "values");
    cell_right(g, row, &x, c->rms, s, "rms");
    cell_right(g, row, &x, c->grad, s, "grad rms");
    cell_right(g, row, &x, c->dead, s, "dead");
}

static void layer_row(const struct model_state *s, struct grid *g, int row, int i, const struct columns *c) {
    const struct val *l = layer_at(s, i), *out = val_get(l, "out");
    struct grads gr = gradients(s, val_get_str(l, "path", ""));
    char name[200], text[64], a[FMT_MAX];
    bool sel = i == s->sel;
    struct style plain = {INK_TEXT, 0}, warn = {INK_BAD, AT_BOLD};
    int x = 1, d = depth_at(s, i);
    grid_put(g, row, 0, plain, sel ? '>' : ' ');
    snprintf(name, sizeof name, "%*s%s%.120s", 2 * d, "", !has_inside(s, i) ? "" : s->folded[i] ? "+" : "-", val_get_str(l, "name", "?"));
    cell_left(g, row, &x, c->name, (struct style){INK_TEXT, sel ? AT_REVERSE : 0}, name);
    cell_left(g, row, &x, c->kind, plain, val_get_str(l, "kind", ""));
    cell_left(g, row, &x, c->shape, plain, val_get_str(l, "shape", ""));
    cell_right(g, row, &x, c->params, plain, fmt_count(a, val_get_int(l, "params", 0)));
    cell_right(g, row, &x, c->macs, plain, fmt_count(a, val_get_int(l, "macs", 0)));
    range_text(text, sizeof text, out);
    cell_right(g, row, &x, c->range, val_get_int(out, "bad", 0) ? warn : plain, text);
    cell_right(g, row, &x, c->rms, plain, out ? fmt_value(a, val_get_num(out, "rms", NAN)) : "-");
    if (gr.bad) snprintf(text, sizeof text, "%lld bad", (long long)gr.bad);
    else snprintf(text, sizeof text, "%s", isnan(gr.rms) ? "-" : fmt_value(a, gr.rms));
    cell_right(g, row, &x, c->grad, gr.bad ? warn : plain, text);
    int64_t dead = val_get_int(out, "dead", 0), units = val_get_int(out, "units", 0);
    if (units <= 0) snprintf(text, sizeof text, "-");
    else snprintf(text, sizeof text, "%lld/%lld", (long long)dead, (long long)units);
    if (units > 0 && (int)strlen(text) >= c->dead) snprintf(text, sizeof text, "%.0f%%", 100 * (double)dead / (double)units);
    cell_right(g, row, &x, c->dead, dead * 2 > units && units > 0 ? (struct style){INK_WARN, AT_BOLD} : plain, text);
}

/* What the numbers are of. */
static void state_line(struct ui *u, struct grid *g, int row) {
    const struct model_state *s = u->state[SCR_MODEL];
    char a[FMT_MAX], b[FMT_MAX], text[256];
    int n = snprintf(text, sizeof text, "%.40s  params %s", val_get_str(s->rep, "name", "model"), fmt_count(a, val_get_int(s->rep, "params", 0)));
    if (val_get(s->rep, "macs")) n += snprintf(text + n, sizeof text - (size_t)n, "  MACs %s", fmt_count(b, val_get_int(s->rep, "macs", 0)));
    int64_t rows = val_get_int(s->rep, "rows", 0);
    if (rows)
        snprintf(text + n, sizeof text - (size_t)n, "  looked at step %s, %lld rows, %.0f ms", fmt_count(a, val_get_int(s->rep, "step", 0)), (long long)rows,
            1e3 * val_get_num(s->rep, "seconds", 0));
    else if (s->why[0]) snprintf(text + n, sizeof text - (size_t)n, "  not looked at: %.120s", s->why);
    else snprintf(text + n, sizeof text - (size_t)n, "  not looked at while it trained");
    grid_text(g, row, 1, g->cols - 1, (struct style){INK_TEXT, 0}, text);
}

static void tree_draw(struct ui *u, struct grid *g, struct rect r) {
    struct model_state *s = u->state[SCR_MODEL];
    int list[ROWS_MAX], n = visible(s, list), room = r.rows - 2 > 1 ? r.rows - 2 : 1, at = row_of(list, n, s->sel);
    struct columns c = columns_for(r.cols);
    if (n) s->sel = list[at];
    s->top = first_shown(s->top, at, room);
    if (s->top > n - room) s->top = n > room ? n - room : 0;
    state_line(u, g, r.row);
    head_row(g, r.row + 1, &c);
    for (int y = 0; y < room && s->top + y < n; y++) layer_row(s, g, r.row + 2 + y, list[s->top + y], &c);
    int hidden = n - room;
    if (hidden > 0) {
        char text[64];
        snprintf(text, sizeof text, " +%d hidden, %d above, arrows move ", hidden, s->top);
        grid_right(g, 1, g->cols - 1, 60, (struct style){INK_TEXT, 0}, text);
    }
}

/* ---- one layer in full ---- */

/* "LO HI BINS" of the report; false: it is not. */
static bool hist_read(const char *text, double *lo, double *hi, double v[BINS]) {
    int used = 0;
    if (!text || sscanf(text, "%lf %lf %n", lo, hi, &used) < 2 || strlen(text + used) < 2 * BINS) return false;
    for (int i = 0; i < BINS; i++) {
        unsigned x;
        if (sscanf(text + used + 2 * i, "%2x", &x) != 1) return false;
        v[i] = x;
    }
    return true;
}

static void hist_draw(const struct ui *u, struct grid *g, struct rect r, const char *title, const struct val *v, int ink) {
    double lo, hi, bin[BINS];
    char a[FMT_MAX], b[FMT_MAX], c[FMT_MAX], d[FMT_MAX];
    struct style plain = {INK_TEXT, 0};
    if (r.rows < 3) return;
    grid_text(g, r.row, r.col, r.cols, (struct style){INK_TITLE, AT_BOLD}, title);
    if (!v || !hist_read(val_get_str(v, "hist", NULL), &lo, &hi, bin)) {
        grid_text(g, r.row + 1, r.col, r.cols, (struct style){INK_DIM, 0}, v ? "no finite value" : "none: not looked at, or not trained");
        return;
    }
    int64_t bad = val_get_int(v, "bad", 0), n = val_get_int(v, "n", 0), zero = val_get_int(v, "zero", 0);
    grid_textf(g, r.row + 1, r.col, r.cols, plain, "mean %s  rms %s", fmt_value(a, val_get_num(v, "mean", NAN)), fmt_value(b, val_get_num(v, "rms", NAN)));
    if (bad) grid_textf(g, r.row + 2, r.col, r.cols, (struct style){INK_BAD, AT_BOLD}, "%s values, %s not finite", fmt_count(a, n), fmt_count(b, bad));
    else grid_textf(g, r.row + 2, r.col, r.cols, plain, "%s values, %s are 0", fmt_count(a, n), fmt_count(b, zero));
    if (r.rows < 6) return;
    int w = r.cols > BINS * 2 ? BINS * 2 : r.cols > BINS ? BINS : r.cols;
    draw_hist(g, (struct rect){r.row + 3, r.col, r.rows - 4, w}, bin, BINS, u->glyphs, (struct style){(uint8_t)(INK_SERIES + ink), 0});
    grid_text(g, r.row + r.rows - 1, r.col, w / 2, plain, fmt_value(c, lo));
    grid_right(g, r.row + r.rows - 1, r.col + w, w / 2, plain, fmt_value(d, hi));
}

static const struct val *weight_of(const struct model_state *s, const char *path, int i, int *count) {
    const struct val *weights = val_get(s->rep, "weights"), *found = NULL;
    *count = 0;
    for (size_t k = 0; k < val_len(weights); k++)
        if (belongs(val_get_str(val_at(weights, k), "name", ""), path)) {
            if (*count == i) found = val_at(weights, k);
            (*count)++;
        }
    return found;
}

static void layer_draw(struct ui *u, struct grid *g, struct rect r) {
    struct model_state *s = u->state[SCR_MODEL];
    const struct val *l = layer_at(s, s->sel), *out = val_get(l, "out");
    const char *path = val_get_str(l, "path", "");
    char a[FMT_MAX], b[FMT_MAX], range[64];
    struct style plain = {INK_TEXT, 0};
    int count, half = r.cols / 2 - 2;
    int x = 1 + grid_text(g, r.row, 1, r.cols / 2, (struct style){INK_TITLE, AT_BOLD}, path);
    grid_textf(g, r.row, x + 2, r.cols - x - 2, plain, "%s  output %s  params %s  MACs %s", val_get_str(l, "kind", ""), val_get_str(l, "shape", ""),
        fmt_count(a, val_get_int(l, "params", 0)), fmt_count(b, val_get_int(l, "macs", 0)));
    range_text(range, sizeof range, out);
    if (out) {
        double n = val_get_num(out, "n", 0);
        char mean[FMT_MAX], rms[FMT_MAX];
        grid_textf(g, r.row + 1, 1, r.cols - 1, plain, "values %s  mean %s  rms %s  zero %.0f%%  dead %lld of %lld units  bad %lld", range,
            fmt_value(mean, val_get_num(out, "mean", NAN)), fmt_value(rms, val_get_num(out, "rms", NAN)), n > 0 ? 100 * val_get_num(out, "zero", 0) / n : 0,
            (long long)val_get_int(out, "dead", 0), (long long)val_get_int(out, "units", 0), (long long)val_get_int(out, "bad", 0));
    } else {
        grid_text(g, r.row + 1, 1, r.cols - 1, plain, "its values were not looked at");
    }
    const struct val *w = weight_of(s, path, s->weight, &count);
    if (s->weight >= count) w = weight_of(s, path, s->weight = 0, &count);
    if (!w) {
        grid_text(g, r.row + 3, 1, r.cols - 1, plain, "It has no weights.");
        return;
    }
    grid_textf(g, r.row + 2, 1, r.cols - 1, (struct style){INK_TEXT, AT_BOLD}, "weight %d of %d%s: %s %s%s", s->weight + 1, count,
        count > 1 ? ", arrows show the others" : "", val_get_str(w, "name", ""), val_get_str(w, "shape", ""),
        val_get_bool(w, "trained", true) ? "" : ", not trained");
    hist_draw(u, g, (struct rect){r.row + 4, 1, r.rows - 4, half}, "values", val_get(w, "w"), 0);
    hist_draw(u, g, (struct rect){r.row + 4, r.cols / 2 + 1, r.rows - 4, half}, "gradient of the mean loss", val_get(w, "g"), 1);
}

static void draw(struct ui *u, struct grid *g, struct rect r) {
    const struct model_state *s = u->state[SCR_MODEL];
    if (!layer_count(s)) {
        grid_text(g, r.row, 1, -1, (struct style){INK_TEXT, 0}, u->run ? "This run has no model." : "No run yet; its model is shown here.");
        return;
    }
    if (u->zoom) layer_draw(u, g, r);
    else tree_draw(u, g, r);
}

/* ---- looking ---- */

static void looked(struct ui *u, void *ctx, const struct call *c) {
    struct model_state *s = ctx;
    (void)u;
    s->waiting = false;
    snprintf(s->why, sizeof s->why, "%.199s", c->status != 0 ? c->err.text : "");
}

static void refresh(struct ui *u) {
    struct model_state *s = u->state[SCR_MODEL];
    if (s->run != u->run) {
        val_free(s->rep);
        *s = (struct model_state){.run = u->run, .waiting = s->waiting};
    }
    if (!u->run) return;
    ui_report(u->run, "model", &s->rep, &s->seen);
    double now = u->clock(), gap = fmax(LOOK_S, LOOK_SHARE * val_get_num(s->rep, "seconds", 0));
    bool live = u->now.state == RUN_TRAINING && layer_count(s) && val_get_int(s->rep, "step", -1) != u->now.step;
    if (!live || s->waiting || (s->asked > 0 && now - s->asked < gap) || !hub_find(u->hub, "look")) return;
    s->asked = now;
    s->waiting = ui_ask(u, "look", NULL, looked, s) == 0;
}

static void release(struct ui *u) { val_free(((struct model_state *)u->state[SCR_MODEL])->rep); }

/* ---- keys ---- */

static void move(struct ui *u, enum move m) {
    struct model_state *s = u->state[SCR_MODEL];
    int list[ROWS_MAX], n = visible(s, list), count, page = u->rows - 6 > 1 ? u->rows - 6 : 1;
    if (!n) return;
    if (u->zoom) {
        weight_of(s, val_get_str(layer_at(s, s->sel), "path", ""), 0, &count);
        int by = m == MOVE_DOWN || m == MOVE_RIGHT || m == MOVE_NEXT ? 1 : m == MOVE_UP || m == MOVE_LEFT || m == MOVE_PREV ? -1 : 0;
        if (count) s->weight = (s->weight + by + count) % count;
        return;
    }
    if (m == MOVE_LEFT || m == MOVE_RIGHT) {
        if (has_inside(s, s->sel)) s->folded[s->sel] = m == MOVE_LEFT;
        return;
    }
    s->sel = list[clamp_index(row_of(list, n, s->sel) + move_by(m, page, n) + (m == MOVE_NEXT) - (m == MOVE_PREV), n)];
    s->weight = 0;
}

static void enter(struct ui *u) { u->zoom = !u->zoom; }

static int fold_run(struct call *c, const void *args, struct err *e) {
    BEGIN_NONE;
    struct model_state *s = u->state[SCR_MODEL];
    bool any = false;
    for (int i = 0; i < layer_count(s); i++) any |= s->folded[i];
    for (int i = 0; i < layer_count(s); i++) s->folded[i] = !any && has_inside(s, i);
    return 0;
}
ROW_NONE(fold, "model screen: folds all layers with others inside, or unfolds them");

static const struct key_row keys[] = {{"model", "Left h", "move left", "fold the layer", NULL}, {"model", "Right", "move right", "unfold it", NULL},
    {"model", "F", "fold", "fold or unfold all", NULL}, {"model", "L", "look", "look at the layers now", NULL}, {0}};

const struct view view_model = {.name = "model",
    .title = "Model",
    .draw = draw,
    .move = move,
    .enter = enter,
    .footer = " ?help :cmd  arrows  left right fold  F all  Enter layer  L look  1 overview",
    .keys = keys,
    .state_size = sizeof(struct model_state),
    .refresh = refresh,
    .release = release};
