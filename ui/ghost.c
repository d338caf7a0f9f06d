/* Ghost curves; see the header. */
#include "config.h"

#include "ui/ghost.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/mem.h"
#include "src/call/settings.h"
#include "src/stored/diff.h"
#include "src/stored/shelf.h"

struct ghosts { /* one slot a metric, for one run and one wish */
    struct run *of;
    int kind;
    size_t runs; /* of this process, when it was filled */
    struct slot {
        char metric[32];
        bool known; /* asked for; what came is in g */
        struct ghost g;
        struct bucket *b;
    } slot[RUN_MAX_METRICS];
    int n;
};

static void forget(struct ghosts *m) {
    for (int i = 0; i < m->n; i++) free(m->slot[i].b);
    m->n = 0;
}

void ghost_free(struct ui *u) {
    if (u->ghosts) forget(u->ghosts);
    free(u->ghosts);
}

/* ---- runs of this process ---- */

static bool has(struct run *r, const char *metric) {
    struct bucket b;
    return run_series(r, metric, &b, 1, NULL) > 0;
}

/* Asked for the same but for the seed. */
static bool twins(struct run *a, struct run *b) {
    static const char *const fields[] = {"model", "params", "data", "config", "train_rows", "val_rows"};
    struct val *x = run_start_info(a), *y = run_start_info(b);
    bool same = x && y;
    for (size_t i = 0; same && i < LEN(fields); i++) {
        struct val *p = val_copy(val_get(x, fields[i])), *q = val_copy(val_get(y, fields[i]));
        if (p && p->type == VAL_TABLE) val_unset(p, "seed"), val_unset(p, "name");
        if (q && q->type == VAL_TABLE) val_unset(q, "seed"), val_unset(q, "name");
        same = p && q ? val_equal(p, q) : !p == !q;
        val_free(p);
        val_free(q);
    }
    val_free(x);
    val_free(y);
    return same;
}

bool ghost_twin(struct ui *u, struct run *r, const char *metric) { return has(r, metric) && (r == u->run || twins(r, u->run)); }

static double score(struct run *r, const char *metric) {
    struct bucket b;
    if (!run_series(r, metric, &b, 1, NULL) || !b.count) return -INFINITY;
    return metric_direction(metric) > 0 ? b.max : -b.min;
}

static struct run *live_run(struct ui *u, const char *metric) {
    struct run *best = NULL;
    bool before = false; /* runs that began before the current one */
    for (size_t i = runs_count(u->runs); i-- > 0;) {
        struct run *r = runs_at(u->runs, i);
        if (r == u->run) before = true;
        if (r == u->run || !has(r, metric)) continue;
        if (u->look.ghost == GHOST_PREVIOUS && before) return r;
        if (u->look.ghost == GHOST_BEST && (!best || score(r, metric) > score(best, metric))) best = r;
    }
    return best;
}

/* ---- stored runs ---- */

static void take(struct ui *u, struct slot *s, const struct val *curve) {
    const struct val *points = val_get(curve, "points"), *runs = val_get(curve, "runs");
    const char *name = val_get_str(curve, "run", "");
    size_t n = val_len(points);
    if (!n || (u->look.ghost == GHOST_SEEDS && val_len(runs) < 2)) return;
    s->g.live = runs ? NULL : runs_find(u->runs, name); /* the record knows its time as well */
    if (runs) snprintf(s->g.name, sizeof s->g.name, "%zu seeds", val_len(runs));
    else snprintf(s->g.name, sizeof s->g.name, "%.63s", name);
    s->b = X_NEW(struct bucket, n);
    for (size_t i = 0; i < n; i++) {
        const struct val *p = val_at(points, i);
        int64_t step = val_get_int(p, "step", 0);
        double mean = val_get_num(p, "mean", NAN);
        s->b[i] = (struct bucket){.step0 = step,
            .at_min = step,
            .at_max = step,
            .count = isfinite(mean) ? val_get_int(p, "count", 0) : 0,
            .mean = mean,
            .min = (float)val_get_num(p, "min", NAN),
            .max = (float)val_get_num(p, "max", NAN)};
    }
    s->g.b = s->b;
    s->g.n = n;
}

static void curves_came(struct ui *u, void *ctx, const struct call *c) {
    struct ghosts *m = u->ghosts;
    const char *metric = val_get_str(c->args, "metric", "");
    struct run *of = ctx;
    if (!m || c->status != 0 || of != m->of) return;
    for (int i = 0; i < m->n; i++)
        if (strcmp(m->slot[i].metric, metric) == 0 && !m->slot[i].b) take(u, &m->slot[i], val_at(c->result, 0));
}

/* The stored runs that differ from the current one only in the seed, and itself. NULL: fewer than two. */
static struct val *stored_twins(struct ui *u) {
    struct shelf *s = runs_shelf(u->runs);
    const struct shelf_run *own = s ? shelf_find(s, run_name(u->run)) : NULL;
    struct val *list = val_list();
    for (size_t i = 0; own && i < s->n && val_len(list) < 64; i++)
        if (s->run[i] == own || same_but_seed(s->run[i], own)) val_push(list, val_str(s->run[i]->name));
    shelf_unref(s);
    if (val_len(list) >= 2) return list;
    val_free(list);
    return NULL;
}

static void ask(struct ui *u, const char *metric) {
    struct val *t = u->look.ghost == GHOST_SEEDS ? stored_twins(u) : val_list();
    if (!t) return;
    if (u->look.ghost != GHOST_SEEDS) val_push(t, val_str(u->look.ghost == GHOST_BEST ? "best" : "previous"));
    val_set_str(t, "metric", metric);
    val_set_int(t, "points", 512);
    if (u->look.ghost == GHOST_SEEDS) val_set_bool(t, "seeds", true);
    ui_ask(u, "curves", t, curves_came, u->run);
}

const struct ghost *ghost_find(struct ui *u, const char *metric) {
    if (!u->ghosts) u->ghosts = X_NEW(struct ghosts, 1);
    struct ghosts *m = u->ghosts;
    size_t runs = runs_count(u->runs);
    if (m->of != u->run || m->kind != u->look.ghost || m->runs != runs) {
        forget(m);
        m->of = u->run;
        m->kind = u->look.ghost;
        m->runs = runs;
    }
    struct slot *s = NULL;
    for (int i = 0; i < m->n && !s; i++)
        if (strcmp(m->slot[i].metric, metric) == 0) s = &m->slot[i];
    if (!s && m->n == RUN_MAX_METRICS) return NULL;
    if (!s) {
        s = &m->slot[m->n++];
        memset(s, 0, sizeof *s);
        snprintf(s->metric, sizeof s->metric, "%.31s", metric);
        bool stored = runs_dir(u->runs) && hub_find(u->hub, "curves");
        if (u->look.ghost != GHOST_SEEDS && !(stored && u->look.ghost == GHOST_BEST)) s->g.live = live_run(u, metric);
        if (s->g.live) snprintf(s->g.name, sizeof s->g.name, "%.63s", run_name(s->g.live));
        else if (stored) ask(u, metric);
    }
    return s->g.live || s->g.n ? &s->g : NULL;
}
