/* adafactor: a second moment kept as row and column means, relative steps, clipped by their size. Formula: torch.optim.Adafactor (Shazeer and Stern 2018).
 * The last two extents of a tensor are factored, the ones before count matrices; vectors keep their second moment whole.
 * adafactor_moments: row and column means. adafactor_update: norms of weights and step, then the weights. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "engine/optims/optim.h"
#include "engine/optims/update.h"

struct adafactor_args {
    struct optim_common common;
    double beta2_decay, eps1, eps2, d;
};

/* c: share of the new mean, rho = min(lr, 1 / sqrt(t)) ... */
enum { C_NEW, C_RHO, C_SHRINK, C_EPS1, C_EPS2, C_D };
#define PARTS 64 /* most pieces that the rows of one matrix are cut into */

/* A tensor as matrices (batch, rows, cols), and how it is cut: many matrices by matrix, one by rows. */
struct matrices {
    int64_t batch, rows, cols, len, tiles, per;
};

static struct matrices matrices_of(const int64_t *n, int ndim) {
    struct matrices m = {1, 1, 1, 1, 0, 0};
    for (int i = 0; i < ndim; i++) m.len *= n[i];
    if (ndim < 2) {
        m.cols = m.len;
        m.per = UPDATE_TILE;
        m.tiles = (m.len + m.per - 1) / m.per;
        return m;
    }
    m.rows = n[ndim - 2];
    m.cols = n[ndim - 1];
    m.batch = m.len / (m.rows * m.cols > 0 ? m.rows * m.cols : 1);
    int64_t unit = m.batch > 1 ? m.rows * m.cols : m.cols, units = m.batch > 1 ? m.batch : m.rows;
    m.per = UPDATE_TILE / (unit > 0 ? unit : 1);
    if (m.per < (units + PARTS - 1) / PARTS) m.per = (units + PARTS - 1) / PARTS;
    if (m.per < 1) m.per = 1;
    m.tiles = (units + m.per - 1) / m.per;
    return m;
}

static struct matrices matrices_in(const struct exec *x, int i) { return matrices_of(x->in[i].n, x->in[i].ndim); }

static const float *ctl_of(const struct exec *x, int i) { return (const float *)x->in[i].data + ((const struct update_attr *)x->attr)->group * CTL_N; }

static double ctl_ref(const struct exec *x, int i, double *ctl) {
    for (int k = 0; k < CTL_N; k++) ctl[k] = view_get(&x->in[i], ((const struct update_attr *)x->attr)->group * CTL_N + k);
    return ctl[CTL_OK];
}

static struct update_grad grad_of(const float *ctl) { return (struct update_grad){ctl[CTL_SCALE], ctl[CTL_CLIP_VALUE], ctl[CTL_L1], ctl[CTL_L2]}; }

static void shape_of(const struct tensor *t, int64_t *n) {
    for (int i = 0; i < t->ndim; i++) n[i] = t->dim[i].k;
}

/* ---- row (.., rows, 1), col (.., 1, cols), param, grad, ctl -> row, col ---- */
static int moments_shape(struct shaping *s, struct err *e) {
    int64_t n[TENSOR_DIMS];
    if (s->in[2]->ndim < 2 || s->in[3]->ndim != s->in[2]->ndim) return err_set(e, "a factored moment needs a matrix and its gradient");
    shape_of(s->in[2], n);
    struct matrices m = matrices_of(n, s->in[2]->ndim);
    s->n_out = 2;
    s->out[0] = *s->in[0];
    s->out[1] = *s->in[1];
    s->out[0].offsets = s->out[1].offsets = -1;
    s->scratch_fixed = 64 + (size_t)m.tiles * (size_t)m.cols * sizeof(float); /* sums of columns of a tile */
    return 0;
}

/* Squares of rows lo..hi of one matrix: means of rows go into row, sums of columns are added to sum. */
static void squares(const float *p, const float *g, int64_t lo, int64_t hi, int64_t cols, struct update_grad h, float new, float *row, float *restrict sum) {
    for (int64_t r = lo; r < hi; r++) {
        const float *restrict gr = g + r * cols, *restrict pr = p + r * cols;
        float s = 0;
#pragma omp simd reduction(+ : s)
        for (int64_t i = 0; i < cols; i++) {
            float x = update_g(h, gr[i], pr[i]), q = x * x;
            s += q;
            sum[i] += q;
        }
        row[r] += new *(s / (float)cols - row[r]);
    }
}

static void to_mean(float *restrict col, const float *restrict sum, int64_t cols, float new, float per) {
#pragma omp simd
    for (int64_t i = 0; i < cols; i++) col[i] += new *(sum[i] * per - col[i]);
}

static int64_t moments_tiles(const struct exec *x) { return matrices_in(x, 2).tiles; }

static void moments_run(const struct exec *x, int64_t lo, int64_t hi) {
    const float *ctl = ctl_of(x, 4), *p = x->in[2].data, *g = x->in[3].data, new = ctl[CTL_COEF + C_NEW];
    float *row = x->in[0].data, *col = x->in[1].data;
    struct matrices m = matrices_in(x, 2);
    if (ctl[CTL_OK] == 0) return;
    for (int64_t t = lo; t < hi; t++) {
        float *sum = (float *)x->scratch + t * m.cols;
        if (m.batch == 1) {
            memset(sum, 0, (size_t)m.cols * sizeof *sum);
            squares(p, g, t * m.per, (t + 1) * m.per < m.rows ? (t + 1) * m.per : m.rows, m.cols, grad_of(ctl), new, row, sum);
            continue;
        }
        for (int64_t b = t * m.per; b < (t + 1) * m.per && b < m.batch; b++) {
            memset(sum, 0, (size_t)m.cols * sizeof *sum);
            squares(p + b * m.rows * m.cols, g + b * m.rows * m.cols, 0, m.rows, m.cols, grad_of(ctl), new, row + b * m.rows, sum);
            to_mean(col + b * m.cols, sum, m.cols, new, 1 / (float)m.rows);
        }
    }
}

static void moments_finish(const struct exec *x) {
    const float *ctl = ctl_of(x, 4);
    struct matrices m = matrices_in(x, 2);
    float *sum = x->scratch;
    if (ctl[CTL_OK] == 0 || m.batch > 1 || m.len == 0) return;
    for (int64_t t = 1; t < m.tiles; t++)
        for (int64_t i = 0; i < m.cols; i++) sum[i] += sum[t * m.cols + i];
    to_mean(x->in[1].data, sum, m.cols, ctl[CTL_COEF + C_NEW], 1 / (float)m.rows);
}

static void moments_ref(const struct exec *x) {
    double ctl[CTL_N];
    struct matrices m = matrices_in(x, 2);
    if (ctl_ref(x, 4, ctl) == 0) return;
    for (int pass = 0; pass < 2; pass++) { /* rows, then columns */
        int64_t outer = pass == 0 ? m.rows : m.cols, inner = pass == 0 ? m.cols : m.rows;
        for (int64_t k = 0; k < m.batch * outer; k++) {
            double s = 0;
            for (int64_t i = 0; i < inner; i++) {
                int64_t b = k / outer, r = pass == 0 ? k % outer : i, c = pass == 0 ? i : k % outer, at = (b * m.rows + r) * m.cols + c;
                double g = update_ref_g(ctl, view_get(&x->in[3], at), view_get(&x->in[2], at));
                s += g * g;
            }
            double was = view_get(&x->in[pass], k);
            view_put(&x->in[pass], k, was + ctl[CTL_COEF + C_NEW] * (s / (double)inner - was));
        }
    }
}

/* ---- param, row, col, grad, ctl -> param; for vectors param, variance, grad, ctl -> param, variance ---- */
static bool is_vector(const struct exec *x) { return x->n_in == 4; }
static int in_grad(const struct exec *x) { return x->n_in - 2; }
static int in_ctl(const struct exec *x) { return x->n_in - 1; }

static int factor_shape(struct shaping *s, struct err *e) {
    int64_t n[TENSOR_DIMS];
    if (s->in[s->n_in - 2]->ndim != s->in[0]->ndim) return err_set(e, "the gradient does not have the shape of the parameter");
    shape_of(s->in[0], n);
    struct matrices m = matrices_of(n, s->in[0]->ndim);
    s->n_out = s->n_in == 4 ? 2 : 1;
    for (int i = 0; i < s->n_out; i++) {
        s->out[i] = *s->in[i];
        s->out[i].offsets = -1;
    }
    /* alpha / denom, |p|^2 and |u|^2 of each tile; 1 / mean of the row means of each matrix */
    s->scratch_fixed = 64 + sizeof(double) * (size_t)(2 + 2 * m.tiles) + sizeof(float) * (size_t)m.batch;
    return 0;
}

static int64_t factor_tiles(const struct exec *x) { return matrices_in(x, 0).tiles; }

static float *row_scale(const struct exec *x, const struct matrices *m) { return (float *)(void *)((double *)x->scratch + 2 + 2 * m->tiles); }

static void factor_begin(const struct exec *x) {
    struct matrices m = matrices_in(x, 0);
    const float *ctl = ctl_of(x, in_ctl(x)), *row = x->in[1].data;
    float *scale = row_scale(x, &m);
    for (int64_t b = 0; !is_vector(x) && b < m.batch; b++) {
        double s = 0;
        for (int64_t r = 0; r < m.rows; r++) s += row[b * m.rows + r];
        scale[b] = (float)(1 / fmax(s / (double)m.rows, ctl[CTL_COEF + C_EPS1]));
    }
}

/* One row: u = g / sqrt(max(v, eps^2)), v = row scale col. add: adds squares of p and u; else p = p shrink - rate u. */
static inline __attribute__((always_inline)) void factor_row(float *restrict p, const float *restrict g, const float *restrict col, float r, int64_t n,
    struct update_grad h, float floor, float shrink, float rate, double *pp, double *uu) {
    float a = 0, b = 0;
    if (pp) {
#pragma omp simd reduction(+ : a, b)
        for (int64_t i = 0; i < n; i++) {
            float v = r * col[i], u = update_g(h, g[i], p[i]) / sqrtf(v > floor ? v : floor);
            a += p[i] * p[i];
            b += u * u;
        }
        *pp += a;
        *uu += b;
        return;
    }
#pragma omp simd
    for (int64_t i = 0; i < n; i++) {
        float v = r * col[i], u = update_g(h, g[i], p[i]) / sqrtf(v > floor ? v : floor);
        p[i] = p[i] * shrink - rate * u;
    }
}

static void factor_tile(const struct exec *x, int64_t t, float rate, double *pp, double *uu) {
    struct matrices m = matrices_in(x, 0);
    const float *ctl = ctl_of(x, in_ctl(x)), *c = ctl + CTL_COEF, *g = x->in[in_grad(x)].data, *row = x->in[1].data, *col = x->in[2].data,
                *scale = row_scale(x, &m);
    float *p = x->in[0].data, floor = c[C_EPS1] * c[C_EPS1];
    if (is_vector(x)) {
        float *v = x->in[1].data;
        int64_t from = t * m.per, n = (from + m.per < m.len ? from + m.per : m.len) - from;
        for (int64_t i = from; pp && i < from + n; i++) {
            float y = update_g(grad_of(ctl), g[i], p[i]);
            v[i] += c[C_NEW] * (y * y - v[i]);
        }
        factor_row(p + from, g + from, v + from, 1, n, grad_of(ctl), floor, c[C_SHRINK], rate, pp, uu);
        return;
    }
    int64_t per = m.batch > 1 ? m.per * m.rows : m.per, end = (t + 1) * per < m.batch * m.rows ? (t + 1) * per : m.batch * m.rows;
    for (int64_t r = t * per; r < end; r++) {
        int64_t b = r / m.rows;
        factor_row(p + r * m.cols, g + r * m.cols, col + b * m.cols, row[r] * scale[b], m.cols, grad_of(ctl), floor, c[C_SHRINK], rate, pp, uu);
    }
}

static void factor_run(const struct exec *x, int64_t lo, int64_t hi) {
    double *part = x->scratch;
    if (ctl_of(x, in_ctl(x))[CTL_OK] == 0) return;
    for (int64_t t = lo; t < hi; t++) {
        part[2 + 2 * t] = part[3 + 2 * t] = 0;
        factor_tile(x, t, 0, &part[2 + 2 * t], &part[3 + 2 * t]);
    }
}

static double factor_rate(double pp, double uu, double len, double rho, double eps2, double d) {
    return fmax(eps2, sqrt(pp / len)) * rho / fmax(1, sqrt(uu / len) / d);
}

static void factor_mid(const struct exec *x) {
    const float *c = ctl_of(x, in_ctl(x)) + CTL_COEF;
    double *part = x->scratch, pp = 0, uu = 0;
    if (c[CTL_OK - CTL_COEF] == 0) return;
    for (int64_t t = 0, n = factor_tiles(x); t < n; t++) pp += part[2 + 2 * t], uu += part[3 + 2 * t];
    part[0] = factor_rate(pp, uu, (double)x->in[0].len, c[C_RHO], c[C_EPS2], c[C_D]);
}

static void factor_run2(const struct exec *x, int64_t lo, int64_t hi) {
    if (ctl_of(x, in_ctl(x))[CTL_OK] == 0) return;
    for (int64_t t = lo; t < hi; t++) factor_tile(x, t, (float)*(const double *)x->scratch, NULL, NULL);
}

static double factor_ref_v(const struct exec *x, const struct matrices *m, int64_t i, double eps1) {
    if (is_vector(x)) return view_get(&x->in[1], i);
    int64_t r = i / m->cols, b = r / m->rows;
    double mean = 0;
    for (int64_t k = 0; k < m->rows; k++) mean += view_get(&x->in[1], b * m->rows + k) / (double)m->rows;
    return view_get(&x->in[1], r) * view_get(&x->in[2], b * m->cols + i % m->cols) / fmax(mean, eps1);
}

static void factor_ref(const struct exec *x) {
    double ctl[CTL_N], pp = 0, uu = 0, rate = 0;
    const double *c = ctl + CTL_COEF;
    struct matrices m = matrices_in(x, 0);
    if (ctl_ref(x, in_ctl(x), ctl) == 0) return;
    for (int pass = 0; pass < 2; pass++) {
        for (int64_t i = 0; i < m.len; i++) {
            double p = view_get(&x->in[0], i), g = update_ref_g(ctl, view_get(&x->in[in_grad(x)], i), p);
            if (is_vector(x) && pass == 0) view_put(&x->in[1], i, view_get(&x->in[1], i) + c[C_NEW] * (g * g - view_get(&x->in[1], i)));
            double u = g / sqrt(fmax(factor_ref_v(x, &m, i, c[C_EPS1]), c[C_EPS1] * c[C_EPS1]));
            if (pass == 0) pp += p * p, uu += u * u;
            else view_put(&x->in[0], i, p * c[C_SHRINK] - rate * u);
        }
        rate = factor_rate(pp, uu, (double)m.len, c[C_RHO], c[C_EPS2], c[C_D]);
    }
}

/* ---- the optimiser ---- */
static void adafactor_coef(const void *args, int64_t t, double lr, double *memory, double *c) {
    const struct adafactor_args *a = args;
    (void)memory;
    c[C_NEW] = pow((double)t, a->beta2_decay);
    c[C_RHO] = fmin(lr, 1 / sqrt((double)t));
    c[C_SHRINK] = 1 - lr * a->common.weight_decay;
    c[C_EPS1] = a->eps1;
    c[C_EPS2] = a->eps2;
    c[C_D] = a->d;
}

static int adafactor_shapes(const void *args, const struct optim_param *p, struct optim_state *s) {
    (void)args;
    s[0] = s[1] = (struct optim_state){.name = "variance", .dtype = DT_F32, .ndim = p->ndim};
    for (int i = 0; i < p->ndim; i++) s[0].dim[i] = s[1].dim[i] = p->dim[i];
    if (p->ndim < 2) return 1;
    s[0].name = "row";
    s[1].name = "col";
    s[0].dim[p->ndim - 1] = 1;
    s[1].dim[p->ndim - 2] = 1;
    return 2;
}

static int adafactor_build(struct graph *g, const struct optim_update *u, struct err *e) {
    tid grad = optim_dense_grad(g, u, e), row = u->state[0], col = u->state[1], out[OP_OUT];
    char attr[32];
    snprintf(attr, sizeof attr, "group=%d", u->slot->group);
    if (grad < 0) return -1;
    if (u->slot->n == 1) return graph_attr(g, "adafactor_update", attr, (tid[]){u->param, row, grad, u->ctl}, 4, NULL, e) < 0 ? -1 : 0;
    if (graph_attr(g, "adafactor_moments", attr, (tid[]){row, col, u->param, grad, u->ctl}, 5, out, e) < 0) return -1;
    return graph_attr(g, "adafactor_update", attr, (tid[]){u->param, out[0], out[1], grad, u->ctl}, 5, NULL, e) < 0 ? -1 : 0;
}

static const struct arg adafactor_table[] = {
    OPTIM_ARGS(adafactor_args, "0.01", "0"),
    {"beta2_decay", "the second moment takes t^beta2_decay of the new squares", NULL, "-0.8", ARG_NUM, offsetof(struct adafactor_args, beta2_decay), ARG_LIVE,
        AT_STEP, -10, -1e-6},
    {"eps1", "floor of the root of the second moment", NULL, "1.1920928955078125e-7", ARG_NUM, offsetof(struct adafactor_args, eps1), ARG_LIVE, AT_STEP, 1e-30,
        1},
    {"eps2", "floor of the root mean square of the weights, to which steps are relative", NULL, "1e-3", ARG_NUM, offsetof(struct adafactor_args, eps2),
        ARG_LIVE, AT_STEP, 0, 1},
    {"d", "largest root mean square of a step before the rate", NULL, "1", ARG_NUM, offsetof(struct adafactor_args, d), ARG_LIVE, AT_STEP, 1, 1e6},
    {NULL},
};

const struct optim ISA(optim_adafactor) = {
    .kind = {"adafactor", "second moment as row and column means, little state (Shazeer and Stern 2018)", "optim.adafactor{lr=0.01}", adafactor_table,
        sizeof(struct adafactor_args)},
    .op = "adafactor_update",
    .decoupled = true,
    .coef = adafactor_coef,
    .shapes = adafactor_shapes,
    .build = adafactor_build,
};
const struct op ISA(op_adafactor_moments) = {
    .kind = {"adafactor_moments", "row and column means of squares", NULL, update_args, sizeof(struct update_attr)},
    .in_min = 5,
    .in_max = 5,
    .n_out = 2,
    .flags = OP_UPDATE | OP_TIED | OP_NO_GRAD,
    .shape = moments_shape,
    .ref = moments_ref,
    .tiles = moments_tiles,
    .run = moments_run,
    .finish = moments_finish,
    .samples = update_samples,
};
const struct op ISA(op_adafactor_update) = {
    .kind = {"adafactor_update", "one step of adafactor", NULL, update_args, sizeof(struct update_attr)},
    .in_min = 4,
    .in_max = 5,
    .n_out = 2,
    .flags = OP_UPDATE | OP_TIED | OP_NO_GRAD,
    .shape = factor_shape,
    .ref = factor_ref,
    .tiles = factor_tiles,
    .begin = factor_begin,
    .run = factor_run,
    .mid = factor_mid,
    .tiles2 = factor_tiles,
    .run2 = factor_run2,
    .samples = update_samples,
};
