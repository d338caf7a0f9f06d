/* The form of an edit: what is typed becomes a set of one property, and beside it stand the old value, the new one, and for the learning rate a
 * chart of the schedule to come with and without the edit, which the engine works out (command ahead). UI thread. */
#include "config.h"

#include "ui/edit.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ui/draw/fmt.h"

enum { POINTS = 160 };

struct edit { /* what a text asks for */
    const char *name; /* the property that is set */
    struct val *value;
    double to; /* the rate it leads to; NAN: not known here */
};

static void edit_release(struct edit *x) {
    val_free(x->value);
    x->value = NULL;
}

static double ahead_at(const struct val *ahead, const char *which, size_t i) {
    const struct val *list = val_get(ahead, which);
    double x = NAN;
    if (i < val_len(list)) val_as_num(val_at(list, i), &x);
    return x;
}

static double rate_now(const struct ui *u) {
    double x = ahead_at(u->ahead, "now", 0);
    for (int i = 0; i < u->now.n && !isfinite(x); i++)
        if (strcmp(u->now.metric[i].name, "lr") == 0) x = u->now.metric[i].value;
    return x;
}

/* 0.001: set; x0.5: the rest scaled; 1e-4 in 200: a ramp; back: as scheduled. False: none of these. */
static bool rate_parse(const struct ui *u, const char *text, struct edit *x) {
    double now = rate_now(u), v, steps;
    char *end;
    *x = (struct edit){.name = "lr", .to = NAN};
    while (*text == ' ') text++;
    if (strcmp(text, "back") == 0) {
        *x = (struct edit){"lr_scale", val_num(1), NAN};
        return true;
    }
    bool scale = *text == 'x' || *text == '*';
    v = strtod(text + scale, &end);
    if (end == text + scale || !isfinite(v) || v < 0 || (scale && !isfinite(now))) return false;
    if (scale) v *= now;
    while (*end == ' ') end++;
    if (strncmp(end, "in ", 3) == 0) {
        char *after;
        steps = strtod(end + 3, &after);
        if (after == end + 3 || !(steps >= 0) || steps > 1e15 || steps != floor(steps)) return false;
        while (*after == ' ') after++;
        if (*after && strcmp(after, "steps") != 0) return false;
        struct val *ramp = val_table();
        val_set_num(ramp, "to", v);
        val_set_int(ramp, "steps", (int64_t)steps);
        *x = (struct edit){"lr_ramp", ramp, v};
        return true;
    }
    if (*end) return false;
    x->value = val_num(v);
    x->to = v;
    return true;
}

/* ---- asking ---- */

static void ahead_came(struct ui *u, void *ctx, const struct call *c) {
    (void)ctx;
    if (u->popup != POP_FORM || u->form != FORM_LR) return;
    if (c->status != 0) {
        if (val_get(c->args, "value")) snprintf(u->form_info, sizeof u->form_info, "%.150s", c->err.text);
        return;
    }
    val_free(u->ahead);
    u->ahead = val_copy(c->result);
}

/* As many as the chart has columns. */
static int points(const struct ui *u) {
    int cols = (u->cols - 4 > 76 ? 76 : u->cols - 4) - 4 - 7, n = u->glyphs == GLYPHS_BRAILLE ? 2 * cols : cols;
    return n < 8 ? 8 : n > POINTS ? POINTS : n;
}

static void ahead_ask(struct ui *u, const struct edit *x) {
    struct val *t = val_table();
    val_set_str(t, "name", x ? x->name : "lr");
    if (x) val_set(t, "value", val_copy(x->value));
    val_set_int(t, "points", points(u));
    ui_ask(u, "ahead", t, ahead_came, NULL);
}

static void props_came(struct ui *u, void *ctx, const struct call *c) {
    (void)ctx;
    if (c->status != 0) return;
    bool others = val_len(u->props) != val_len(c->result);
    val_free(u->props);
    u->props = val_copy(c->result);
    if (u->popup == POP_PALETTE && others && !u->item_sel) list_fill(u);
}

void edit_props(struct ui *u) { ui_ask(u, "props", NULL, props_came, NULL); }

const struct val *edit_prop(const struct ui *u, const char *name) {
    for (size_t i = 0; i < val_len(u->props); i++)
        if (strcmp(val_get_str(val_at(u->props, i), "name", ""), name) == 0) return val_at(u->props, i);
    return NULL;
}

void edit_about(const struct val *p, struct buf *b) {
    double lo = val_get_num(p, "lo", NAN), hi = val_get_num(p, "hi", NAN);
    char x[FMT_MAX], y[FMT_MAX];
    const struct val *names = val_get(p, "names");
    value_short(b, val_get(p, "value"));
    if (isfinite(lo) && isfinite(hi)) buf_addf(b, "; %s to %s", fmt_short(x, lo), fmt_short(y, hi));
    for (size_t i = 0; i < val_len(names); i++) buf_addf(b, "%s%s", i ? "|" : "; ", val_at(names, i)->u.s.p);
    if (val_get_str(p, "unit", NULL)) buf_addf(b, " %s", val_get_str(p, "unit", ""));
    if (val_get_str(p, "when", "")[0]) buf_addf(b, "; %s", val_get_str(p, "when", ""));
}

void edit_open(struct ui *u) {
    val_free(u->ahead);
    u->ahead = NULL;
    if (u->form == FORM_LR && u->run && !run_state_ended(u->now.state)) ahead_ask(u, NULL);
    if (u->form == FORM_SET) edit_props(u);
}

void edit_changed(struct ui *u) {
    struct edit x;
    if (u->form != FORM_LR || !u->run || run_state_ended(u->now.state)) return;
    if (rate_parse(u, u->field.text, &x)) ahead_ask(u, &x);
    else ahead_ask(u, NULL);
    edit_release(&x);
}

/* ---- doing ---- */

static void submit(struct ui *u, const char *name, struct val *v_take, bool force) {
    struct val *t = val_table();
    val_set_str(t, "name", name);
    val_set(t, "value", v_take);
    if (force) val_set_bool(t, "force", true);
    ui_do(u, "set", t, BY_KEY);
}

bool edit_submit(struct ui *u) {
    struct edit x;
    if (u->form == FORM_SET) {
        submit(u, u->form_name, args_text(u->field.text), false);
        return true;
    }
    if (!rate_parse(u, u->field.text, &x)) {
        snprintf(u->form_info, sizeof u->form_info, "\"%.30s\" is no learning rate; write 0.001, x0.5, 1e-4 in 200, or back.", u->field.text);
        return false;
    }
    double now = rate_now(u);
    if (!u->form_sure && now > 0 && x.to > 0 && (x.to > 10 * now * (1 + 1e-9) || x.to < now / 10 * (1 - 1e-9))) {
        char a[FMT_MAX], b[FMT_MAX];
        snprintf(u->form_info, sizeof u->form_info, "That is %s -> %s, more than 10 times. Enter again to do it.", fmt_value(a, now), fmt_value(b, x.to));
        u->form_sure = true;
        edit_release(&x);
        return false;
    }
    submit(u, x.name, x.value, u->form_sure || !isfinite(x.to));
    return true;
}

/* ---- drawing ---- */

int edit_rows(const struct ui *u, int rows) { return u->form == FORM_LR && val_len(val_get(u->ahead, "now")) > 1 && rows >= 18 ? 9 : 0; }

static size_t curve(const struct val *ahead, const char *which, struct bucket b[POINTS]) {
    size_t n = val_len(val_get(ahead, which));
    int64_t from = val_get_int(ahead, "from", 0), k = val_get_int(ahead, "k", 0);
    for (size_t i = 0; i < n && i < POINTS; i++) {
        double v = ahead_at(ahead, which, i);
        int64_t step = from + ((int64_t)i << k);
        b[i] = (struct bucket){.step0 = step, .min = (float)v, .max = (float)v, .mean = v, .count = 1, .at_min = step, .at_max = step};
    }
    return n < POINTS ? n : POINTS;
}

static void old_new(const struct ui *u, struct grid *g, struct rect r) {
    char a[FMT_MAX], b[FMT_MAX], c[FMT_MAX], d[FMT_MAX], at[FMT_MAX];
    size_t n = val_len(val_get(u->ahead, "now"));
    double now = ahead_at(u->ahead, "now", 0), then = ahead_at(u->ahead, "new", 0), end = ahead_at(u->ahead, "now", n - 1),
           new_end = ahead_at(u->ahead, "new", n - 1);
    fmt_count(at, val_get_int(u->ahead, "from", 0) + 1);
    if (isfinite(then))
        grid_textf(g, r.row, r.col, r.cols, (struct style){INK_TEXT, AT_BOLD}, "from step %s: %s -> %s; at the end %s -> %s", at, fmt_value(a, now),
            fmt_value(b, then), fmt_value(c, end), fmt_value(d, new_end));
    else grid_textf(g, r.row, r.col, r.cols, (struct style){INK_TEXT, 0}, "step %s: %s; at the end %s", at, fmt_value(a, now), fmt_value(c, end));
}

void edit_draw(const struct ui *u, struct grid *g, struct rect r) {
    struct bucket now[POINTS], then[POINTS];
    size_t n = curve(u->ahead, "now", now), m = curve(u->ahead, "new", then);
    struct plot_series s[2];
    struct plot_range range = {0};
    struct plot p = {.area = {r.row + 1, r.col, r.rows - 1, r.cols}, .set = u->glyphs, .cursor = -1};
    p.x = (struct plot_x){.from = val_get_int(u->ahead, "from", 0), .k = (int)val_get_int(u->ahead, "k", 0), .sub = u->glyphs == GLYPHS_BRAILLE ? 2 : 1};
    old_new(u, g, r);
    if (m) s[p.n++] = (struct plot_series){.name = "with the edit", .b = then, .n = m, .ink = 0, .flags = PLOT_NO_BAND};
    s[p.n++] = (struct plot_series){.name = m ? "without" : "learning rate to come", .b = now, .n = n, .ink = 1, .flags = PLOT_NO_BAND | (m ? PLOT_GHOST : 0)};
    p.s = s;
    plot_draw(g, &p, &range, 0);
}
