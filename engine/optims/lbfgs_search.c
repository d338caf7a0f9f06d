/* The line search of L-BFGS: along the direction it finds a point that meets the strong Wolfe conditions (Nocedal and Wright 2006, algorithms 3.5 and 3.6) in
 * the form of torch.optim.LBFGS with line_search_fn="strong_wolfe": c1 = 1e-4, c2 = 0.9, cubic interpolation (equation 3.59).
 *
 * The step's forward and backward passes run again for each point (step_run), then these nodes of PHASE_SEARCH: lbfgs_slope, one a parameter, chained: the
 * slope of f along the direction d; lbfgs_search: what comes next, from numbers alone; lbfgs_move, one a parameter: to start + t d. Random layers draw the
 * same numbers each time, as those are a function of the step. f is the mean loss, times the factor of clipping by norm, plus the penalties, so that it
 * belongs to the gradients of the step. */
#include <math.h>
#include <string.h>

#include "engine/ops/kit.h"
#include "engine/optims/lbfgs.h"
#include "engine/optims/update.h"

#define C1 1e-4
#define C2 0.9
#define WIDER 10 /* times the last point, at most, while there is no bracket */

/* ---- lbfgs_slope: param, direction, grad, numbers [, sums so far] -> sums ---- */
enum { IN_P, IN_D, IN_G, IN_W, IN_SUMS };
static int slope_shape(struct shaping *s, struct err *e) {
    if (s->in[IN_W]->dtype != DT_F64) return err_set(e, "the numbers must be doubles");
    s->n_out = 1;
    s->out[0] = (struct tensor){.ndim = 1, .dim = {{S_N, AXIS_ONE}}, .dtype = DT_F64, .offsets = -1};
    int64_t len = 1;
    for (int i = 0; i < s->in[IN_P]->ndim; i++) len *= s->in[IN_P]->dim[i].k;
    s->scratch_fixed = 64 + sizeof(double) * (size_t)(S_N * (len / LBFGS_TILE + 1));
    return 0;
}
static const double *search_of(const struct view *numbers) { return (const double *)numbers->data + numbers->len - L_N; }

static void slope_piece(const struct exec *x, int64_t at, int64_t n, double *sum) {
    const double *l = search_of(&x->in[IN_W]);
    double p[LBFGS_CHUNK], d[LBFGS_CHUNK], g[LBFGS_CHUNK];
    lbfgs_load(&x->in[IN_P], at, n, p);
    lbfgs_load(&x->in[IN_D], at, n, d);
    lbfgs_load(&x->in[IN_G], at, n, g);
    for (int64_t i = 0; i < n; i++) {
        sum[S_SLOPE] += (g[i] * l[L_SCALE] + l[L_L2] * p[i] + (p[i] > 0 ? l[L_L1] : p[i] < 0 ? -l[L_L1] : 0)) * d[i];
        sum[S_MAX] = fmax(sum[S_MAX], fabs(d[i]));
        sum[S_PENALTY] += l[L_L2] * p[i] * p[i] / 2 + l[L_L1] * fabs(p[i]);
    }
}
static void slope_run(const struct exec *x, int64_t lo, int64_t hi) {
    int64_t len = x->in[IN_P].len;
    for (int64_t t = lo; t < hi; t++) {
        double *sum = (double *)x->scratch + t * S_N;
        int64_t end = kit_min((t + 1) * LBFGS_TILE, len);
        memset(sum, 0, S_N * sizeof *sum);
        for (int64_t at = t * LBFGS_TILE; at < end; at += LBFGS_CHUNK) slope_piece(x, at, kit_min(end - at, LBFGS_CHUNK), sum);
    }
}
static void slope_finish(const struct exec *x) {
    double sum[S_N] = {0};
    if (kit_has(x, IN_SUMS)) memcpy(sum, x->in[IN_SUMS].data, sizeof sum);
    for (int64_t t = 0, tiles = lbfgs_tiles(x); t < tiles; t++) {
        const double *s = (const double *)x->scratch + t * S_N;
        sum[S_SLOPE] += s[S_SLOPE], sum[S_PENALTY] += s[S_PENALTY], sum[S_MAX] = fmax(sum[S_MAX], s[S_MAX]);
    }
    memcpy(x->out[0].data, sum, sizeof sum);
}
static void slope_ref(const struct exec *x) {
    slope_run(x, 0, lbfgs_tiles(x));
    slope_finish(x);
}

/* ---- lbfgs_search: numbers, sums, loss, weight -> numbers ---- */

/* The lowest point of the cubic through two points with their slopes, within lo .. hi. */
static double cubic(double x1, double f1, double g1, double x2, double f2, double g2, double lo, double hi) {
    double d1 = g1 + g2 - 3 * (f1 - f2) / (x1 - x2), square = d1 * d1 - g1 * g2;
    if (!(square >= 0)) return (lo + hi) / 2;
    double d2 = sqrt(square), at = x1 <= x2 ? x2 - (x2 - x1) * ((g2 + d2 - d1) / (g2 - g1 + 2 * d2)) : x1 - (x1 - x2) * ((g1 + d2 - d1) / (g1 - g2 + 2 * d2));
    return isnan(at) ? (lo + hi) / 2 : fmin(fmax(at, lo), hi);
}

static void finish_at(double *l, double t) { l[L_T] = t, l[L_STAGE] = SEARCH_OVER; }
static void set_end(double *l, int i, double t, double f, double g) { l[L_BT + i] = t, l[L_BF + i] = f, l[L_BG + i] = g; }
static void order_ends(double *l) { l[L_LOW] = l[L_BF] <= l[L_BF + 1] ? 0 : 1; }

/* The next point of the zoom; over where the bracket is too small or there were evaluations enough. */
static void zoom_next(double *l, double longest) {
    const double *b = l + L_BT;
    double lo = fmin(b[0], b[1]), hi = fmax(b[0], b[1]), eps = 0.1 * (hi - lo);
    if (l[L_ITER] >= l[L_MOST] || fabs(b[1] - b[0]) * longest < l[L_TOL]) {
        finish_at(l, b[(int)l[L_LOW]]);
        return;
    }
    double t = cubic(b[0], l[L_BF], l[L_BG], b[1], l[L_BF + 1], l[L_BG + 1], lo, hi);
    bool close = fmin(hi - t, t - lo) < eps;
    if (close && (l[L_SHORT] != 0 || t >= hi || t <= lo)) {
        t = fabs(t - hi) < fabs(t - lo) ? hi - eps : lo + eps;
        close = false;
    }
    l[L_SHORT] = close;
    l[L_T] = t, l[L_STAGE] = SEARCH_ZOOM;
}
static void zoom_begin(double *l, double f, double slope, double longest) {
    set_end(l, 1, l[L_T], f, slope);
    order_ends(l);
    l[L_SHORT] = 0;
    zoom_next(l, longest);
}
static void bracket(double *l, double f, double slope, double longest) {
    double t = l[L_T], before = l[L_BT];
    if (l[L_ITER] >= l[L_MOST]) finish_at(l, l[L_F0] <= f ? 0 : t);
    else if (f > l[L_F0] + C1 * t * l[L_G0] || (l[L_ITER] > 1 && f >= l[L_BF])) zoom_begin(l, f, slope, longest);
    else if (fabs(slope) <= -C2 * l[L_G0]) finish_at(l, t);
    else if (slope >= 0) zoom_begin(l, f, slope, longest);
    else {
        l[L_T] = cubic(before, l[L_BF], l[L_BG], t, f, slope, t + 0.01 * (t - before), t * WIDER);
        set_end(l, 0, t, f, slope);
        l[L_ITER]++;
    }
}
static void zoom(double *l, double f, double slope, double longest) {
    int low = (int)l[L_LOW], high = 1 - low;
    double t = l[L_T];
    l[L_ITER]++;
    if (f > l[L_F0] + C1 * t * l[L_G0] || f >= l[L_BF + low]) {
        set_end(l, high, t, f, slope);
        order_ends(l);
    } else {
        if (fabs(slope) <= -C2 * l[L_G0]) {
            finish_at(l, t);
            return;
        }
        if (slope * (l[L_BT + high] - l[L_BT + low]) >= 0) set_end(l, high, l[L_BT + low], l[L_BF + low], l[L_BG + low]);
        set_end(l, low, t, f, slope);
    }
    zoom_next(l, longest);
}

/* A direction upwards (it belongs to a gradient whose elements were clipped, the slope does not) would come again and again, as no step makes no new pair:
 * then the history is forgotten, and the next step is a first one. */
static void begin(double *w, double *l, double f, double slope) {
    l[L_F0] = f, l[L_G0] = slope;
    set_end(l, 0, 0, f, slope);
    l[L_ITER] = 0;
    l[L_T] = l[L_FIRST], l[L_STAGE] = SEARCH_BRACKET;
    if (slope < 0) return;
    finish_at(l, 0);
    w[N_ITER] = w[N_COUNT] = 0;
}

static void search_ref(const struct exec *x) {
    double *w = x->in[0].data, *l = w + x->in[0].len - L_N;
    const double *sum = x->in[1].data;
    double loss = view_get(&x->in[2], 0), weight = view_get(&x->in[3], 0), f = loss / weight * l[L_CLIPPED] + sum[S_PENALTY], slope = sum[S_SLOPE];
    if (!isfinite(f) || !isfinite(slope)) f = slope = INFINITY; /* too far: the bracket is halved */
    l[L_DO] = l[L_STAGE] == SEARCH_OVER ? MOVE_NOT : l[L_STAGE] == SEARCH_START ? MOVE_FIRST : MOVE_ON;
    if (l[L_STAGE] == SEARCH_START) begin(w, l, f, slope);
    else if (l[L_STAGE] == SEARCH_BRACKET) bracket(l, f, slope, sum[S_MAX]);
    else if (l[L_STAGE] == SEARCH_ZOOM) zoom(l, f, slope, sum[S_MAX]);
}
static int search_shape(struct shaping *s, struct err *e) {
    if (s->in[0]->dtype != DT_F64 || s->in[1]->dtype != DT_F64) return err_set(e, "the numbers must be doubles");
    s->n_out = 1;
    s->out[0] = *s->in[0];
    s->out[0].offsets = -1;
    return 0;
}

/* ---- lbfgs_move: param, start, direction, numbers -> param, start, direction; at the end the direction becomes the step that was made ---- */
static int move_shape(struct shaping *s, struct err *e) {
    if (s->in[3]->dtype != DT_F64) return err_set(e, "the numbers must be doubles");
    s->n_out = 3;
    for (int i = 0; i < 3; i++) {
        s->out[i] = *s->in[i];
        s->out[i].offsets = -1;
    }
    return 0;
}
static void move_piece(const struct exec *x, const double *l, int64_t at, int64_t n) {
    double start[LBFGS_CHUNK], d[LBFGS_CHUNK];
    lbfgs_load(&x->in[2], at, n, d);
    lbfgs_load(&x->in[l[L_DO] == MOVE_FIRST ? 0 : 1], at, n, start);
    if (l[L_DO] == MOVE_FIRST) lbfgs_store(&x->in[1], at, n, start);
    for (int64_t i = 0; i < n; i++) d[i] *= l[L_T];
    if (l[L_STAGE] == SEARCH_OVER) lbfgs_store(&x->in[2], at, n, d);
    lbfgs_axpy(start, d, 1, n);
    lbfgs_store(&x->in[0], at, n, start);
}
static void move_run(const struct exec *x, int64_t lo, int64_t hi) {
    const double *l = search_of(&x->in[3]);
    int64_t end = kit_min(hi * LBFGS_TILE, x->in[0].len);
    if (l[L_DO] == MOVE_NOT) return;
    for (int64_t at = lo * LBFGS_TILE; at < end; at += LBFGS_CHUNK) move_piece(x, l, at, kit_min(end - at, LBFGS_CHUNK));
}
static void move_ref(const struct exec *x) { move_run(x, 0, lbfgs_tiles(x)); }

int ISA(lbfgs_search_build)(struct graph *g, const struct optim_update *u, int n, tid numbers, struct err *e) {
    tid sums = -1;
    g->phase = PHASE_SEARCH;
    for (int i = 0; i < n; i++) {
        tid grad = optim_dense_grad(g, &u[i], e);
        if (grad < 0 || (sums = graph_attr(g, "lbfgs_slope", NULL, (tid[]){u[i].param, u[i].state[2], grad, numbers, sums}, i ? 5 : 4, NULL, e)) < 0) return -1;
    }
    tid w = n ? graph_attr(g, "lbfgs_search", NULL, (tid[]){numbers, sums, u[0].loss, u[0].weight}, 4, NULL, e) : -1;
    for (int i = 0; i < n && w >= 0; i++)
        if (graph_attr(g, "lbfgs_move", NULL, (tid[]){u[i].param, u[i].state[4], u[i].state[2], w}, 4, NULL, e) < 0) return -1;
    return w < 0 ? -1 : 0;
}

const struct op ISA(op_lbfgs_slope) = {
    .kind = {"lbfgs_slope", "the slope of the loss along a direction"},
    .in_min = 4,
    .in_max = 5,
    .n_out = 1,
    .flags = OP_NO_GRAD,
    .shape = slope_shape,
    .ref = slope_ref,
    .tiles = lbfgs_tiles,
    .run = slope_run,
    .finish = slope_finish,
    .samples = update_samples,
};
const struct op ISA(op_lbfgs_search) = {
    .kind = {"lbfgs_search", "the next point of a line search"},
    .in_min = 4,
    .in_max = 4,
    .n_out = 1,
    .flags = OP_UPDATE | OP_TIED | OP_NO_GRAD,
    .shape = search_shape,
    .ref = search_ref,
    .samples = update_samples,
};
const struct op ISA(op_lbfgs_move) = {
    .kind = {"lbfgs_move", "to a point along a direction"},
    .in_min = 4,
    .in_max = 4,
    .n_out = 3,
    .flags = OP_UPDATE | OP_TIED | OP_NO_GRAD,
    .shape = move_shape,
    .ref = move_ref,
    .tiles = lbfgs_tiles,
    .run = move_run,
    .samples = update_samples,
};
