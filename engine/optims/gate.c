/* The two ops between gradients and updates. grad_norm: the norm over all gradients, one node each, chained. update_gate: decides whether
 * this step is applied and with which factor. Partial sums follow the shape alone, so bits do not depend on the number of threads. */
#include <math.h>
#include <string.h>

#include "engine/graph/op.h"
#include "engine/optims/ctl.h"

#define NORM_TILE 65536
#define NORM_BLOCK 1024
#define NORM_MAX 1e18 /* a larger gradient counts as not finite: its square leaves the range of a float */

/* grad [, count (1) i32 of valid rows] [, norm so far] -> norm () */
static int norm_shape(struct shaping *s, struct err *e) {
    if (!dtypes[s->in[0]->dtype].is_float) return err_set(e, "a gradient is a float tensor");
    s->n_out = 1;
    s->out[0].ndim = 0;
    s->out[0].dtype = s->g->real;
    int64_t k = 1;
    int axis = AXIS_ONE;
    for (int i = 0; i < s->in[0]->ndim; i++) {
        k *= s->in[0]->dim[i].k;
        if (s->in[0]->dim[i].axis != AXIS_ONE) axis = s->in[0]->dim[i].axis;
    }
    s->scratch_fixed = 64 + (axis == AXIS_ONE ? sizeof(double) * ((size_t)k / NORM_TILE + 1) : 0);
    if (axis != AXIS_ONE) s->scratch = (struct dim){(int64_t)sizeof(double) * (k / NORM_TILE + 1), axis};
    return 0;
}

static int64_t norm_len(const struct exec *x) {
    int64_t n = x->in[0].len;
    if (x->n_in > 1 && x->in[1].data && x->in[0].n[0] > 0) n = n / x->in[0].n[0] * (int64_t)view_get(&x->in[1], 0);
    return n;
}

static double prior(const struct exec *x) {
    double p = x->n_in > 2 && x->in[2].data ? view_get(&x->in[2], 0) : 0;
    return p * p;
}

static void norm_ref(const struct exec *x) {
    double s = prior(x);
    for (int64_t i = 0, n = norm_len(x); i < n; i++) {
        double g = view_get(&x->in[0], i);
        s += g * g;
    }
    view_put(&x->out[0], 0, sqrt(s));
}

static int64_t norm_tiles(const struct exec *x) { return (x->in[0].len + NORM_TILE - 1) / NORM_TILE; }

static void norm_run(const struct exec *x, int64_t lo, int64_t hi) {
    const float *g = x->in[0].data;
    double *part = x->scratch;
    int64_t n = norm_len(x);
    for (int64_t t = lo; t < hi; t++) {
        double sum = 0;
        int64_t end = (t + 1) * NORM_TILE < n ? (t + 1) * NORM_TILE : n;
        for (int64_t i = t * NORM_TILE; i < end; i += NORM_BLOCK) {
            int64_t m = end - i < NORM_BLOCK ? end - i : NORM_BLOCK;
            float s = 0;
#pragma omp simd reduction(+ : s)
            for (int64_t j = 0; j < m; j++) s += g[i + j] * g[i + j];
            double d = s;
            if (!(s < 1e30f) || s < 1e-30f) { /* the squares left the range of a float, or a value is not finite */
                d = 0;
                for (int64_t j = 0; j < m; j++) d += (double)g[i + j] * g[i + j];
            }
            sum += d;
        }
        part[t] = sum;
    }
}

static void norm_finish(const struct exec *x) {
    double s = prior(x);
    const double *part = x->scratch;
    for (int64_t t = 0, n = norm_tiles(x); t < n; t++) s += part[t];
    view_put(&x->out[0], 0, sqrt(s));
}

/* hyper (groups CTL_N), loss sum, weight, norm -> ctl (groups CTL_N). What is about the whole step (ok, scale, clip_norm) is that of the first group. */
static int gate_shape(struct shaping *s, struct err *e) {
    if (s->in[0]->ndim != 1 || s->in[0]->dim[0].k % CTL_N != 0) return err_set(e, "the first input holds %d control numbers a group", CTL_N);
    s->n_out = 1;
    s->out[0] = *s->in[0];
    s->out[0].offsets = -1;
    return 0;
}

static void gate_ref(const struct exec *x) {
    double h[CTL_N], loss = view_get(&x->in[1], 0), weight = view_get(&x->in[2], 0), norm = view_get(&x->in[3], 0);
    for (int i = 0; i < CTL_N; i++) h[i] = view_get(&x->in[0], i);
    double per = weight > 0 ? h[CTL_SCALE] / weight : 0;
    bool ok = h[CTL_OK] != 0 && isfinite(loss) && isfinite(weight) && isfinite(norm) && fmin(norm * per, h[CTL_CLIP_NORM]) < NORM_MAX;
    h[CTL_NORM] = weight > 0 ? norm * per : norm;
    h[CTL_LOSS] = weight > 0 ? loss / weight : loss;
    h[CTL_OK] = ok;
    h[CTL_SCALE] = per;
    if (h[CTL_NORM] > h[CTL_CLIP_NORM]) h[CTL_SCALE] = per * (h[CTL_CLIP_NORM] / (h[CTL_NORM] + 1e-6)); /* torch.nn.utils.clip_grad_norm_ */
    for (int64_t i = 0; i < x->in[0].len; i++) {
        int c = (int)(i % CTL_N);
        bool own = c >= CTL_COEF || c == CTL_L1 || c == CTL_L2 || c == CTL_CLIP_VALUE;
        view_put(&x->out[0], i, own ? view_get(&x->in[0], i) : h[c]);
    }
}

static const struct sample none[] = {{NULL, NULL}};

const struct op ISA(op_grad_norm) = {
    .kind = {"grad_norm", "norm over all gradients: sqrt(so far^2 + sum of squares)"},
    .in_min = 1,
    .in_max = 3,
    .n_out = 1,
    .flags = OP_NO_GRAD,
    .shape = norm_shape,
    .ref = norm_ref,
    .tiles = norm_tiles,
    .run = norm_run,
    .finish = norm_finish,
    .samples = none,
};
const struct op ISA(op_update_gate) = {
    .kind = {"update_gate", "whether a step is applied, and the factor of its gradients"},
    .in_min = 4,
    .in_max = 4,
    .n_out = 1,
    .flags = OP_NO_GRAD,
    .shape = gate_shape,
    .ref = gate_ref,
    .samples = none,
};
