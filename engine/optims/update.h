/* What the update ops share: the layout of the control numbers, which rows of a parameter a step touches, tiles, shapes, the reference
 * driver. Included only by the op files of this folder (compiled once per instruction set), so everything is static.
 *
 * An update op takes  param, state 0..k-1, grad, ctl (groups CTL_N) [, slots | ids, count]  and gives param and states back in place (OP_TIED).
 * Dense gradients have the shape of the parameter. A row-sparse one is (T, D) values of `count` rows: rows=sweep walks every row of the
 * parameter once (slots (V): the row of `grad`, or -1: its gradient is zero), rows=lazy touches the listed rows alone.
 * Nothing is written when ctl[CTL_OK] is 0. */
#ifndef HONE_ENGINE_OPTIMS_UPDATE_H
#define HONE_ENGINE_OPTIMS_UPDATE_H

#include <stddef.h>

#include "engine/graph/op.h"
#include "engine/optims/ctl.h"

#define UPDATE_TILE 32768 /* elements */
#define UPDATE_STATES 4

enum update_rows { ROWS_ALL, ROWS_SWEEP, ROWS_LAZY };
struct update_attr {
    int rows; /* enum update_rows */
    int64_t variant; /* bits that the optimiser gives a meaning */
    int64_t group; /* which CTL_N of the control numbers */
};
static const char *const update_row_names[] = {"all", "sweep", "lazy", NULL};
static const struct arg update_args[] = {
    {"rows", "rows of a row-sparse gradient that are updated", NULL, "all", ARG_ENUM, offsetof(struct update_attr, rows), 0, AT_REBUILD, 0, 0,
        update_row_names},
    {"variant", "bits that choose a form of the rule", NULL, "0", ARG_INT, offsetof(struct update_attr, variant), 0, AT_REBUILD, 0, 255},
    {"group", "which row of the control numbers", NULL, "0", ARG_INT, offsetof(struct update_attr, group), 0, AT_REBUILD, 0, 1e6},
    {NULL},
};

/* Learning rate and the like for the fast path: the gradient that a rule sees is clamp(g * scale, -clip, clip) + l2 p + l1 sign(p). */
struct update_grad {
    float scale, clip, l1, l2;
};

static inline float update_g(struct update_grad h, float g, float p) {
    float s = g * h.scale;
    s = s > h.clip ? h.clip : s;
    s = s < -h.clip ? -h.clip : s;
    return s + h.l2 * p + (p > 0 ? h.l1 : 0.0f) - (p < 0 ? h.l1 : 0.0f);
}

/* The same for a gradient of zero. */
static inline float update_g0(struct update_grad h, float p) { return h.l2 * p + (p > 0 ? h.l1 : 0.0f) - (p < 0 ? h.l1 : 0.0f); }

static inline int update_states(const struct exec *x) {
    const struct update_attr *a = x->attr;
    return x->n_in - 3 - a->rows;
}

static inline int update_shape(struct shaping *s, struct err *e) {
    const struct update_attr *a = s->attr;
    int k = s->n_in - 3 - a->rows;
    if (k < 0 || k > UPDATE_STATES) return err_set(e, "an update with rows=%s takes 0 to %d states, not %d", update_row_names[a->rows], UPDATE_STATES, k);
    const struct tensor *p = s->in[0], *g = s->in[k + 1];
    for (int i = 0; i <= k; i++) {
        if (s->in[i]->ndim != p->ndim || s->in[i]->dtype != p->dtype) return err_set(e, "state %d does not have the shape of the parameter", i);
        for (int j = 0; j < p->ndim; j++)
            if (!dim_same(s->in[i]->dim[j], p->dim[j])) return err_set(e, "state %d does not have the shape of the parameter", i);
        s->out[i] = *s->in[i];
        s->out[i].offsets = -1;
    }
    if (a->rows == ROWS_ALL && g->ndim != p->ndim) return err_set(e, "the gradient does not have the shape of the parameter");
    for (int j = a->rows == ROWS_ALL ? 0 : 1; j < p->ndim; j++)
        if (!dim_same(g->dim[j], p->dim[j])) return err_set(e, "the gradient does not have the shape of the parameter");
    s->n_out = k + 1;
    return 0;
}

/* Rows and width of the walk: dense tensors are cut as one long row. */
static inline int64_t update_width(const struct exec *x) {
    int64_t w = 1;
    for (int i = 1; i < x->in[0].ndim; i++) w *= x->in[0].n[i];
    return w;
}

static inline int64_t update_tile_rows(int64_t width) {
    int64_t r = UPDATE_TILE / (width > 0 ? width : 1);
    return r > 0 ? r : 1;
}

static inline int64_t update_tiles(const struct exec *x) {
    const struct update_attr *a = x->attr;
    if (a->rows == ROWS_ALL) return (x->in[0].len + UPDATE_TILE - 1) / UPDATE_TILE;
    int64_t per = update_tile_rows(update_width(x)), rows = a->rows == ROWS_SWEEP ? x->in[0].n[0] : x->in[update_states(x) + 1].n[0];
    return (rows + per - 1) / per;
}

static inline void update_cost(const struct exec *x, struct cost *c) {
    int k = update_states(x);
    double n = (double)x->in[0].len;
    c->flop = 10 * n;
    c->bytes = 4 * (n * (2 * k + 2) + (double)x->in[k + 1].len);
}

/* The rule on n consecutive elements; g NULL: the gradient is zero. c: control numbers from CTL_COEF on. */
typedef void (*update_fn)(float *p, float *const *s, const float *g, int64_t n, struct update_grad h, const float *c, int64_t variant);

static inline void update_piece(const struct exec *x, update_fn fn, int k, int64_t at, const float *g, int64_t n) {
    const struct update_attr *a = x->attr;
    const float *ctl = (const float *)x->in[k + 2].data + a->group * CTL_N;
    float *s[UPDATE_STATES];
    for (int i = 0; i < UPDATE_STATES; i++) s[i] = i < k ? (float *)x->in[i + 1].data + at : NULL;
    struct update_grad h = {ctl[CTL_SCALE], ctl[CTL_CLIP_VALUE], ctl[CTL_L1], ctl[CTL_L2]};
    fn((float *)x->in[0].data + at, s, g, n, h, ctl + CTL_COEF, a->variant);
}

static inline void update_run(const struct exec *x, int64_t lo, int64_t hi, update_fn fn) {
    const struct update_attr *a = x->attr;
    int k = update_states(x);
    const float *ctl = x->in[k + 2].data, *g = x->in[k + 1].data;
    if (ctl[CTL_OK] == 0) return;
    if (a->rows == ROWS_ALL) {
        int64_t from = lo * UPDATE_TILE, to = hi * UPDATE_TILE < x->in[0].len ? hi * UPDATE_TILE : x->in[0].len;
        update_piece(x, fn, k, from, g + from, to - from);
        return;
    }
    int64_t w = update_width(x), per = update_tile_rows(w);
    const int32_t *list = x->in[k + 3].data;
    int64_t rows = a->rows == ROWS_SWEEP ? x->in[0].n[0] : *(const int32_t *)x->in[k + 4].data;
    int64_t end = hi * per < rows ? hi * per : rows;
    for (int64_t r = lo * per; r < end; r++)
        if (a->rows == ROWS_LAZY) update_piece(x, fn, k, list[r] * w, g + r * w, w);
        else update_piece(x, fn, k, r * w, list[r] >= 0 ? g + list[r] * w : NULL, w);
}

/* The rule on one element in double: changes s, returns the new parameter. */
typedef double (*update_one)(double p, double *s, double g, const double *c, int64_t variant);

/* The gradient that a rule sees; ctl: of its group. */
static inline double update_ref_g(const double *ctl, double g, double p) {
    g *= ctl[CTL_SCALE];
    g = g > ctl[CTL_CLIP_VALUE] ? ctl[CTL_CLIP_VALUE] : g < -ctl[CTL_CLIP_VALUE] ? -ctl[CTL_CLIP_VALUE] : g;
    return g + ctl[CTL_L2] * p + (p > 0 ? ctl[CTL_L1] : p < 0 ? -ctl[CTL_L1] : 0);
}

static inline void update_ref_row(const struct exec *x, update_one fn, int k, int64_t at, int64_t g_at, int64_t n) {
    const struct update_attr *a = x->attr;
    double ctl[CTL_N], s[UPDATE_STATES];
    for (int i = 0; i < CTL_N; i++) ctl[i] = view_get(&x->in[k + 2], a->group * CTL_N + i);
    for (int64_t i = 0; i < n; i++) {
        double p = view_get(&x->in[0], at + i), g = update_ref_g(ctl, g_at < 0 ? 0 : view_get(&x->in[k + 1], g_at + i), p);
        for (int j = 0; j < k; j++) s[j] = view_get(&x->in[j + 1], at + i);
        view_put(&x->in[0], at + i, fn(p, s, g, ctl + CTL_COEF, a->variant));
        for (int j = 0; j < k; j++) view_put(&x->in[j + 1], at + i, s[j]);
    }
}

static inline void update_ref(const struct exec *x, update_one fn) {
    const struct update_attr *a = x->attr;
    int k = update_states(x);
    if (view_get(&x->in[k + 2], CTL_OK) == 0) return;
    if (a->rows == ROWS_ALL) {
        update_ref_row(x, fn, k, 0, 0, x->in[0].len);
        return;
    }
    int64_t w = update_width(x), rows = a->rows == ROWS_SWEEP ? x->in[0].n[0] : (int64_t)view_get(&x->in[k + 4], 0);
    for (int64_t r = 0; r < rows; r++) {
        int64_t other = (int64_t)view_get(&x->in[k + 3], r);
        if (a->rows == ROWS_LAZY) update_ref_row(x, fn, k, other * w, r * w, w);
        else update_ref_row(x, fn, k, r * w, other < 0 ? -1 : other * w, w);
    }
}

static const struct sample update_samples[] = {{NULL, NULL}};

#endif
