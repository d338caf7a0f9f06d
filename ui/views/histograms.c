/* Histograms of weights and gradients over time, a part of the screen Metrics: one heat map for each tensor of the report "histograms". While they are
 * shown a look at the layers is asked for now and then, so rarely that it takes at most 3 % of the time. UI thread. */
#include "config.h"

#include "ui/views/histograms.h"

#include <fnmatch.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/mem.h"
#include "ui/draw/heat.h"
#include "ui/scroll.h"

static const double LOOK_S = 4; /* seconds from one look to the next at least */

struct histograms {
    struct run *run;
    uint64_t seen;
    struct val *rep; /* or NULL */
    double asked, took; /* when a look was asked for; how long the answer took */
    bool waiting;
    int sel, page;
};
enum { MAPS = 64 };
/* Of one tensor: its weights or its gradient. */
struct map {
    const struct val *list;
    char title[80];
};

struct histograms *histograms_new(void) {
    return X_NEW(struct histograms, 1);
}

void histograms_free(struct histograms *h) {
    if (h) val_free(h->rep);
    free(h);
}

static void looked(struct ui *u, void *ctx, const struct call *c) {
    struct histograms *h = ctx;
    (void)c;
    h->waiting = false;
    h->took = u->clock() - h->asked;
}

void histograms_refresh(struct ui *u, struct histograms *h) {
    if (h->run != u->run) {
        val_free(h->rep);
        *h = (struct histograms){.run = u->run, .waiting = h->waiting};
    }
    if (!u->run) return;
    ui_report(u->run, "histograms", &h->rep, &h->seen);
    double now = u->clock(), gap = fmax(LOOK_S, LOOK_SHARE * h->took);
    if (u->now.state != RUN_TRAINING || h->waiting || (h->asked > 0 && now - h->asked < gap) || !hub_find(u->hub, "look")) return;
    h->asked = now;
    h->waiting = ui_ask(u, "look", NULL, looked, h) == 0;
}

static int maps(const struct ui *u, const struct histograms *h, struct map out[MAPS]) {
    const struct val *weights = val_get(h->rep, "weights");
    int n = 0;
    for (size_t i = 0; i < val_len(weights); i++)
        for (int k = 0; k < 2 && n < MAPS; k++) {
            const struct val *w = val_at(weights, i), *list = val_get(w, k ? "g" : "w");
            const char *name = val_get_str(w, "name", "?");
            bool any = false;
            for (size_t s = 0; s < val_len(list) && !any; s++) any = val_at(list, s)->type == VAL_STR;
            if (!any || (u->look.filter[0] && fnmatch(u->look.filter, name, 0) != 0)) continue;
            out[n].list = list;
            snprintf(out[n++].title, sizeof out->title, "%.60s%s", name, k ? "  gradient" : "");
        }
    return n;
}

void histograms_draw(struct ui *u, struct histograms *h, struct grid *g, struct rect r, int rows, int cols) {
    struct map m[MAPS];
    struct heat_col *col = X_NEW(struct heat_col, HEAT_COLS);
    const struct val *steps = val_get(h->rep, "steps");
    int n = maps(u, h, m), per = rows * cols;
    if (!n) {
        grid_text(g, r.row, 1, g->cols - 1, (struct style){INK_TEXT, 0},
            val_len(steps) ? "No weight is called like that; / changes the filter."
                           : "No look at the layers yet; while a run trains there is one every few seconds.");
        grid_text(g, r.row + 1, 1, g->cols - 1, (struct style){INK_TEXT, 0}, "look_every=100 keeps one every 100 steps without that. H: the metrics again");
    }
    h->sel = clamp_index(h->sel, n);
    h->page = first_shown(h->page, h->sel, per);
    for (int i = 0; i < per && h->page + i < n; i++) {
        const struct map *at = &m[h->page + i];
        int y = i / cols, x = i % cols, count = 0;
        struct rect a = {r.row + y * r.rows / rows, x * r.cols / cols, (y + 1) * r.rows / rows - y * r.rows / rows,
            (x + 1) * r.cols / cols - x * r.cols / cols - (x + 1 < cols)};
        char title[96];
        size_t from = val_len(at->list) > HEAT_COLS ? val_len(at->list) - HEAT_COLS : 0;
        for (size_t s = from; s < val_len(at->list); s++) {
            struct heat_col *c = &col[count++];
            const struct val *v = val_at(at->list, s), *step = val_at(steps, s);
            *c = (struct heat_col){.step = step && step->type == VAL_INT ? step->u.i : 0};
            if (v->type == VAL_STR) heat_read(v->u.s.p, c);
        }
        snprintf(title, sizeof title, "%c %s", h->page + i == h->sel ? '>' : ' ', at->title);
        heat_draw(g, a, col, count, u->glyphs, (struct style){INK_SERIES, 0}, (struct style){INK_TITLE, h->page + i == h->sel ? AT_BOLD : 0}, title);
    }
    if (n > per) {
        char text[80];
        snprintf(text, sizeof text, " +%d hidden, %s ", n - per, u->zoom ? "z to see them" : "arrows move, z to zoom");
        grid_right(g, 1, g->cols - 1, 60, (struct style){INK_TEXT, 0}, text);
    }
    free(col);
}

int histograms_count(const struct ui *u, const struct histograms *h) {
    struct map m[MAPS];
    return maps(u, h, m);
}

void histograms_move(const struct ui *u, struct histograms *h, int by, bool around) {
    int n = histograms_count(u, h);
    h->sel += by;
    if (around && h->sel >= n) h->sel = 0;
    h->sel = clamp_index(h->sel, n);
}
