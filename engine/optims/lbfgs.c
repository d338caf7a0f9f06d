/* lbfgs: the limited-memory quasi-Newton step. Rule: torch.optim.LBFGS, one iteration a step (Nocedal and Wright 2006, algorithm 7.4): many of its iterations on one batch
 * are many steps here. Without a line search, or with one that evaluates the batch again (lbfgs_search.c). For whole batches: differences of gradients of different
 * batches are noise.
 *
 * The two loops need only inner products (Chen et al. 2014, "Large-scale L-BFGS using MapReduce"): the direction is a sum of the stored steps s, the stored
 * differences y and the gradient. So three ops do: lbfgs_dots, one a parameter, chained: inner products of what is new with what is stored;
 * lbfgs_solve: the factors, from numbers alone; lbfgs_apply, one a parameter: stores the new pair, makes the direction, moves. Products are kept in double. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "engine/optims/lbfgs.h"
#include "engine/optims/update.h"

struct lbfgs_args {
    struct optim_common common;
    int64_t history;
    double tolerance_grad, tolerance_change;
    int search;
    int64_t evaluations;
};
static const char *const searches[] = {"none", "strong_wolfe", NULL};

enum { C_LR, C_TOL_GRAD, C_TOL_CHANGE, C_EVALUATIONS };
#define MIN_YS 1e-10 /* a pair with less curvature is left out */

/* Dots: five products a stored pair, then those of the new pair (s, y) and the gradient g. */
enum { D_SY, D_YS, D_YY, D_GS, D_GY, D_PER }; /* new s . y_j; s_j . new y; new y . y_j; g . s_j; g . y_j */
enum { E_SY, E_YY, E_GS, E_GY, E_GG, E_MAX, E_SUM, E_N };
static int64_t dots_len(int64_t m) { return D_PER * m + E_N; }

static inline double dot(const double *a, const double *b, int64_t n) {
    double s = 0;
#pragma omp simd reduction(+ : s)
    for (int64_t i = 0; i < n; i++) s += a[i] * b[i];
    return s;
}

/* The gradient that the rule sees. */
static void gradient(const struct exec *x, int ip, int ig, int ic, int64_t at, int64_t n, double *g) {
    double ctl[CTL_N], p[LBFGS_CHUNK];
    for (int i = 0; i < CTL_N; i++) ctl[i] = view_get(&x->in[ic], ((const struct update_attr *)x->attr)->group * CTL_N + i);
    lbfgs_load(&x->in[ig], at, n, g);
    lbfgs_load(&x->in[ip], at, n, p);
    for (int64_t i = 0; i < n; i++) g[i] = update_ref_g(ctl, g[i], p[i]);
}

/* ---- lbfgs_dots: param, s (m, len), y (m, len), step, last gradient, grad, ctl [, dots so far] -> dots ---- */
enum { IN_P, IN_S, IN_Y, IN_STEP, IN_LAST, IN_G, IN_CTL, IN_DOTS };
static int dots_shape(struct shaping *s, struct err *e) {
    if (s->in[IN_S]->ndim != 2 || s->in[IN_Y]->ndim != 2) return err_set(e, "the history is (pairs, elements)");
    s->n_out = 1;
    s->out[0] = (struct tensor){.ndim = 1, .dim = {{dots_len(s->in[IN_S]->dim[0].k), AXIS_ONE}}, .dtype = DT_F64, .offsets = -1};
    s->scratch_fixed = 64 + sizeof(double) * (size_t)(dots_len(s->in[IN_S]->dim[0].k) * (s->in[IN_S]->dim[1].k / LBFGS_TILE + 1));
    return 0;
}

static void dots_piece(const struct exec *x, int64_t at, int64_t n, double *d) {
    int64_t m = x->in[IN_S].n[0], len = x->in[IN_P].len;
    double g[LBFGS_CHUNK], s[LBFGS_CHUNK], y[LBFGS_CHUNK], v[LBFGS_CHUNK];
    gradient(x, IN_P, IN_G, IN_CTL, at, n, g);
    lbfgs_load(&x->in[IN_STEP], at, n, s);
    lbfgs_load(&x->in[IN_LAST], at, n, y);
    for (int64_t i = 0; i < n; i++) y[i] = g[i] - y[i];
    for (int64_t j = 0; j < m; j++) {
        double *k = d + D_PER * j;
        lbfgs_load(&x->in[IN_S], j * len + at, n, v);
        k[D_YS] += dot(v, y, n);
        k[D_GS] += dot(v, g, n);
        lbfgs_load(&x->in[IN_Y], j * len + at, n, v);
        k[D_SY] += dot(v, s, n);
        k[D_YY] += dot(v, y, n);
        k[D_GY] += dot(v, g, n);
    }
    double *k = d + D_PER * m;
    k[E_SY] += dot(s, y, n);
    k[E_YY] += dot(y, y, n);
    k[E_GS] += dot(g, s, n);
    k[E_GY] += dot(g, y, n);
    k[E_GG] += dot(g, g, n);
    for (int64_t i = 0; i < n; i++) {
        k[E_MAX] = fmax(k[E_MAX], fabs(g[i]));
        k[E_SUM] += fabs(g[i]);
    }
}

static void dots_run(const struct exec *x, int64_t lo, int64_t hi) {
    int64_t n = dots_len(x->in[IN_S].n[0]), len = x->in[IN_P].len;
    for (int64_t t = lo; t < hi; t++) {
        double *d = (double *)x->scratch + t * n;
        int64_t end = (t + 1) * LBFGS_TILE < len ? (t + 1) * LBFGS_TILE : len;
        memset(d, 0, (size_t)n * sizeof *d);
        for (int64_t at = t * LBFGS_TILE; at < end; at += LBFGS_CHUNK) dots_piece(x, at, end - at < LBFGS_CHUNK ? end - at : LBFGS_CHUNK, d);
    }
}

static void dots_add(double *to, const double *from, int64_t n) {
    double most = fmax(to[n - E_N + E_MAX], from[n - E_N + E_MAX]);
    for (int64_t i = 0; i < n; i++) to[i] += from[i];
    to[n - E_N + E_MAX] = most;
}

static void dots_finish(const struct exec *x) {
    int64_t n = dots_len(x->in[IN_S].n[0]);
    double *out = x->out[0].data;
    bool more = x->n_in > IN_DOTS && x->in[IN_DOTS].data;
    if (more) memcpy(out, x->in[IN_DOTS].data, (size_t)n * sizeof *out);
    else memset(out, 0, (size_t)n * sizeof *out);
    for (int64_t t = 0, tiles = lbfgs_tiles(x); t < tiles; t++) dots_add(out, (double *)x->scratch + t * n, n);
}

static void dots_ref(const struct exec *x) {
    dots_run(x, 0, lbfgs_tiles(x));
    dots_finish(x);
}

/* ---- lbfgs_solve: numbers, dots, ctl -> numbers ---- */
static int solve_shape(struct shaping *s, struct err *e) {
    if (s->in[0]->dtype != DT_F64 || s->in[1]->dtype != DT_F64) return err_set(e, "the products must be doubles");
    s->n_out = 1;
    s->out[0] = *s->in[0];
    s->out[0].offsets = -1;
    return 0;
}

static int64_t pairs_of(int64_t n_dots) { return (n_dots - E_N) / D_PER; }

/* The new pair takes the place of the oldest: its products replace a row and a column of both tables. */
static void keep_pair(double *w, const double *d, int64_t m) {
    int64_t slot = (int64_t)w[N_NEXT];
    double *sy = w + lbfgs_tables(m), *yy = sy + m * m;
    const double *n = d + D_PER * m;
    for (int64_t j = 0; j < m; j++) {
        const double *k = d + D_PER * j;
        sy[slot * m + j] = k[D_SY];
        sy[j * m + slot] = k[D_YS];
        yy[slot * m + j] = yy[j * m + slot] = k[D_YY];
    }
    sy[slot * m + slot] = n[E_SY];
    yy[slot * m + slot] = n[E_YY];
    w[N_SLOT] = (double)slot;
    w[N_NEXT] = (double)((slot + 1) % m);
    w[N_COUNT] = fmin(w[N_COUNT] + 1, (double)m);
    w[N_H] = n[E_SY] / n[E_YY];
}

/* The two loops on factors: a of s_j, b of y_j, c of g. */
static void two_loops(double *w, const double *gs, const double *gy, int64_t m) {
    double *a = w + N_FACTORS, *b = a + m, *c = b + m, *sy = w + lbfgs_tables(m), *yy = sy + m * m, al[1024];
    int64_t count = (int64_t)w[N_COUNT], first = ((int64_t)w[N_NEXT] - count + m) % m;
    memset(a, 0, (size_t)(2 * m) * sizeof *a);
    *c = -1;
    for (int64_t i = count - 1; i >= 0; i--) {
        int64_t k = (first + i) % m;
        double q = *c * gs[k];
        for (int64_t j = 0; j < m; j++) q += b[j] * sy[k * m + j];
        al[k] = q / sy[k * m + k];
        b[k] -= al[k];
    }
    *c *= w[N_H];
    for (int64_t j = 0; j < m; j++) b[j] *= w[N_H];
    for (int64_t i = 0; i < count; i++) {
        int64_t k = (first + i) % m;
        double r = *c * gy[k];
        for (int64_t j = 0; j < m; j++) r += b[j] * yy[k * m + j] + a[j] * sy[j * m + k];
        a[k] += al[k] - r / sy[k * m + k];
    }
}

/* What a search along the new direction needs; memory of this step's control numbers is used again before it is over. */
static void search_ready(double *l, const double *ctl, double first) {
    l[L_STAGE] = first > 0 ? SEARCH_START : SEARCH_OVER;
    l[L_FIRST] = first;
    l[L_MOST] = ctl[CTL_COEF + C_EVALUATIONS], l[L_TOL] = ctl[CTL_COEF + C_TOL_CHANGE];
    l[L_SCALE] = ctl[CTL_SCALE], l[L_L1] = ctl[CTL_L1], l[L_L2] = ctl[CTL_L2];
    l[L_CLIPPED] = ctl[CTL_NORM] > ctl[CTL_CLIP_NORM] ? ctl[CTL_CLIP_NORM] / (ctl[CTL_NORM] + 1e-6) : 1; /* as engine/optims/gate.c */
}

static void solve_ref(const struct exec *x) {
    double *w = x->in[0].data, gs[1024], gy[1024], ctl[CTL_N];
    const double *d = x->in[1].data, *c = ctl + CTL_COEF;
    int64_t m = pairs_of(x->in[1].len);
    const double *n = d + D_PER * m;
    for (int i = 0; i < CTL_N; i++) ctl[i] = view_get(&x->in[2], ((const struct update_attr *)x->attr)->group * CTL_N + i);
    w[N_ACTIVE] = ctl[CTL_OK] != 0 && n[E_MAX] > c[C_TOL_GRAD];
    w[N_SLOT] = -1;
    bool search = c[C_EVALUATIONS] > 0;
    double *l = w + x->in[0].len - L_N;
    if (search) l[L_STAGE] = SEARCH_OVER;
    if (w[N_ACTIVE] == 0) return;
    bool first = w[N_ITER] == 0;
    w[N_ITER]++;
    if (first) w[N_H] = 1;
    else if (n[E_SY] > MIN_YS) keep_pair(w, d, m);
    for (int64_t j = 0; j < m; j++) {
        gs[j] = j == (int64_t)w[N_SLOT] ? n[E_GS] : d[D_PER * j + D_GS];
        gy[j] = j == (int64_t)w[N_SLOT] ? n[E_GY] : d[D_PER * j + D_GY];
    }
    two_loops(w, gs, gy, m);
    const double *a = w + N_FACTORS, *b = a + m;
    double gtd = b[m] * n[E_GG];
    for (int64_t j = 0; j < m; j++) gtd += a[j] * gs[j] + b[j] * gy[j];
    w[N_RATE] = first ? fmin(1, 1 / n[E_SUM]) * c[C_LR] : c[C_LR];
    w[N_MOVE] = gtd <= -c[C_TOL_CHANGE];
    if (!search) return;
    search_ready(l, ctl, w[N_MOVE] != 0 ? w[N_RATE] : 0);
    w[N_RATE] = 1, w[N_MOVE] = 0; /* the direction stays in "step", lbfgs_move does the rest */
}

/* ---- lbfgs_apply: param, s, y, step, last gradient, grad, numbers, ctl -> param, s, y, step, last gradient ---- */
enum { A_NUMBERS = 6, A_CTL };
static int apply_shape(struct shaping *s, struct err *e) {
    if (s->in[A_NUMBERS]->dtype != DT_F64) return err_set(e, "the factors must be doubles");
    s->n_out = 5;
    for (int i = 0; i < 5; i++) {
        s->out[i] = *s->in[i];
        s->out[i].offsets = -1;
    }
    return 0;
}

static void apply_piece(const struct exec *x, const double *w, int64_t m, int64_t at, int64_t n) {
    int64_t len = x->in[IN_P].len, slot = (int64_t)w[N_SLOT];
    const double *a = w + N_FACTORS, *b = a + m;
    double g[LBFGS_CHUNK], v[LBFGS_CHUNK], d[LBFGS_CHUNK] = {0};
    gradient(x, IN_P, IN_G, A_CTL, at, n, g);
    if (slot >= 0) {
        lbfgs_load(&x->in[IN_STEP], at, n, v);
        lbfgs_store(&x->in[IN_S], slot * len + at, n, v);
        lbfgs_load(&x->in[IN_LAST], at, n, v);
        for (int64_t i = 0; i < n; i++) v[i] = g[i] - v[i];
        lbfgs_store(&x->in[IN_Y], slot * len + at, n, v);
    }
    lbfgs_axpy(d, g, b[m], n);
    for (int64_t j = 0; j < m; j++) {
        if (a[j] == 0 && b[j] == 0) continue;
        lbfgs_load(&x->in[IN_S], j * len + at, n, v);
        lbfgs_axpy(d, v, a[j], n);
        lbfgs_load(&x->in[IN_Y], j * len + at, n, v);
        lbfgs_axpy(d, v, b[j], n);
    }
    lbfgs_store(&x->in[IN_LAST], at, n, g);
    for (int64_t i = 0; i < n; i++) d[i] *= w[N_RATE];
    lbfgs_store(&x->in[IN_STEP], at, n, d);
    if (w[N_MOVE] == 0) return;
    lbfgs_load(&x->in[IN_P], at, n, v);
    for (int64_t i = 0; i < n; i++) v[i] += d[i];
    lbfgs_store(&x->in[IN_P], at, n, v);
}

static void apply_run(const struct exec *x, int64_t lo, int64_t hi) {
    const double *w = x->in[A_NUMBERS].data;
    int64_t len = x->in[IN_P].len, end = hi * LBFGS_TILE < len ? hi * LBFGS_TILE : len;
    if (w[N_ACTIVE] == 0) return;
    for (int64_t at = lo * LBFGS_TILE; at < end; at += LBFGS_CHUNK) apply_piece(x, w, x->in[IN_S].n[0], at, end - at < LBFGS_CHUNK ? end - at : LBFGS_CHUNK);
}

static void apply_ref(const struct exec *x) { apply_run(x, 0, lbfgs_tiles(x)); }

/* ---- the optimiser ---- */
static void lbfgs_coef(const void *args, int64_t t, double lr, double *memory, double *c) {
    const struct lbfgs_args *a = args;
    (void)memory, (void)t;
    c[C_LR] = lr;
    c[C_TOL_GRAD] = a->tolerance_grad;
    c[C_TOL_CHANGE] = a->tolerance_change;
    c[C_EVALUATIONS] = a->search ? (double)a->evaluations : 0;
}

static int lbfgs_shapes(const void *args, const struct optim_param *p, struct optim_state *s) {
    int64_t m = ((const struct lbfgs_args *)args)->history;
    s[0] = (struct optim_state){.name = "s", .dtype = DT_F32, .ndim = 2, .dim = {m, p->len}};
    s[1] = s[0];
    s[1].name = "y";
    s[2] = (struct optim_state){.name = "step", .dtype = DT_F32, .ndim = p->ndim};
    for (int i = 0; i < p->ndim; i++) s[2].dim[i] = p->dim[i];
    s[3] = s[2];
    s[3].name = "grad";
    s[4] = s[2];
    s[4].name = "start";
    return ((const struct lbfgs_args *)args)->search ? 5 : 4;
}

static int lbfgs_shared(const void *args, struct optim_state *s) {
    const struct lbfgs_args *a = args;
    s[0] = (struct optim_state){.name = "lbfgs", .dtype = DT_F64, .ndim = 1, .dim = {lbfgs_numbers(a->history) + (a->search ? L_N : 0)}};
    return 1;
}

static bool lbfgs_again(const double *shared, int64_t n) { return shared[n - L_N + L_STAGE] != SEARCH_OVER; }
static bool lbfgs_searches(const void *args) { return ((const struct lbfgs_args *)args)->search != 0; }

static int lbfgs_build(struct graph *g, const struct optim_update *u, int n, const tid *shared, struct err *e) {
    tid dots = -1;
    for (int i = 0; i < n; i++) {
        const struct optim_update *v = &u[i];
        tid grad = optim_dense_grad(g, v, e);
        if (grad < 0 || (dots = graph_attr(g, "lbfgs_dots", NULL, (tid[]){v->param, v->state[0], v->state[1], v->state[2], v->state[3], grad, v->ctl, dots},
                             i ? 8 : 7, NULL, e)) < 0)
            return -1;
    }
    tid w = graph_attr(g, "lbfgs_solve", NULL, (tid[]){shared[0], dots, u[0].ctl}, 3, NULL, e);
    for (int i = 0; i < n && w >= 0; i++) {
        const struct optim_update *v = &u[i];
        tid grad = optim_dense_grad(g, v, e);
        if (grad < 0 ||
            graph_attr(g, "lbfgs_apply", NULL, (tid[]){v->param, v->state[0], v->state[1], v->state[2], v->state[3], grad, w, v->ctl}, 8, NULL, e) < 0)
            return -1;
    }
    if (w >= 0 && lbfgs_searches(u[0].o->args)) return ISA(lbfgs_search_build)(g, u, n, shared[0], e);
    return w < 0 ? -1 : 0;
}

static const struct arg lbfgs_table[] = {
    OPTIM_ARGS(lbfgs_args, "1", "0"),
    {"history", "pairs of steps and differences kept; two copies of the weights each", NULL, "10", ARG_INT, offsetof(struct lbfgs_args, history), 0, AT_RUN, 1,
        100},
    {"tolerance_grad", "the step is left out while no element of the gradient is larger", NULL, "1e-7", ARG_NUM, offsetof(struct lbfgs_args, tolerance_grad),
        ARG_LIVE, AT_STEP, 0, 1e6},
    {"line_search", "how far along the direction: to lr of it, or to a point with enough less loss and slope, found by computing the batch again", NULL, "none",
        ARG_ENUM, offsetof(struct lbfgs_args, search), 0, AT_RUN, 0, 0, searches},
    {"evaluations", "line_search: of the batch in a step, at most, besides the first", NULL, "25", ARG_INT, offsetof(struct lbfgs_args, evaluations), 0, AT_RUN,
        1, 1000},
    {"tolerance_change", "the step is left out while the slope along it is less; a line search ends where its bracket is smaller", NULL, "1e-9", ARG_NUM,
        offsetof(struct lbfgs_args, tolerance_change), ARG_LIVE, AT_STEP, 0, 1e6},
    {NULL},
};

const struct optim ISA(optim_lbfgs) = {
    .kind = {"lbfgs", "L-BFGS (Nocedal 1980); for whole batches, an iteration a step", "optim.lbfgs{lr=1, history=10, line_search=\"strong_wolfe\"}",
        lbfgs_table, sizeof(struct lbfgs_args)},
    .op = "lbfgs_apply",
    .coef = lbfgs_coef,
    .shapes = lbfgs_shapes,
    .shared = lbfgs_shared,
    .build_all = lbfgs_build,
    .searches = lbfgs_searches,
    .again = lbfgs_again,
};
const struct op ISA(op_lbfgs_dots) = {
    .kind = {"lbfgs_dots", "inner products of a new pair and the gradient with the stored pairs", NULL, update_args, sizeof(struct update_attr)},
    .in_min = 7,
    .in_max = 8,
    .n_out = 1,
    .flags = OP_NO_GRAD,
    .shape = dots_shape,
    .ref = dots_ref,
    .tiles = lbfgs_tiles,
    .run = dots_run,
    .finish = dots_finish,
    .samples = update_samples,
};
const struct op ISA(op_lbfgs_solve) = {
    .kind = {"lbfgs_solve", "the direction of L-BFGS as factors of what is stored", NULL, update_args, sizeof(struct update_attr)},
    .in_min = 3,
    .in_max = 3,
    .n_out = 1,
    .flags = OP_UPDATE | OP_TIED | OP_NO_GRAD,
    .shape = solve_shape,
    .ref = solve_ref,
    .samples = update_samples,
};
const struct op ISA(op_lbfgs_apply) = {
    .kind = {"lbfgs_apply", "one step of L-BFGS", NULL, update_args, sizeof(struct update_attr)},
    .in_min = 8,
    .in_max = 8,
    .n_out = 5,
    .flags = OP_UPDATE | OP_TIED | OP_NO_GRAD,
    .shape = apply_shape,
    .ref = apply_ref,
    .tiles = lbfgs_tiles,
    .run = apply_run,
    .samples = update_samples,
};
