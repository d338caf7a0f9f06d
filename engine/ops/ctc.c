/* Connectionist temporal classification (Graves et al. 2006): -log of the probability that a sequence of frames, each with a distribution over classes and a
 * blank, reads as the target once repeats are joined and blanks taken out. Logits (R, T, C) or those of packed frames (F, C) with their offsets, so that
 * inputs have their own lengths; targets (R, L) end before their first blank or negative number; any other number outside 0..C-1 makes the loss NaN. The
 * softmax over the classes is part of it: log-probabilities give the same. Gives (sum, rows). As torch.nn.functional.ctc_loss: a target that does not fit
 * into its frames has an infinite loss and NaN gradients, or neither with zero_infinity; without frames an empty target costs 0.
 *   states of a row: blank, label 1, blank, label 2, .., blank: S = 2 n + 1; a step stays, goes on by one, or by two between different labels (equation 6)
 *   alpha_t(s) = log p_t(s) + log(the sum of exp alpha_{t-1} over where s is reached from); beta_t(s) likewise from the end, without p_t
 *   d loss / d logit_tk = p_tk - sum of exp(alpha_t(s) + beta_t(s) - log p(target)) over the states s of class k (equation 16)
 * Fast: in logarithms, in double, a row a tile. Reference: the rescaled probabilities of section 4.1. */
#include <stdlib.h>

#include "engine/ops/kit.h"
#include "engine/ops/math.h"
#include "src/base/mem.h"

struct ctc_args {
    int64_t blank;
    bool zero_infinity, by_length;
};
/* in: 0 logits, 1 targets, then offsets of packed frames; the gradient has that of the sum between */
struct row {
    int64_t from, frames, n, states; /* its first frame, how many, labels, 2 n + 1 */
    double share; /* of its loss in the sum */
    bool bad; /* a label that is none */
};

static bool logits_targets(const struct shaping *s, int off) {
    const struct tensor *z = s->in[0], *y = s->in[1];
    if (!kit_float(s, 0) || !kit_int(s, 1) || y->ndim != 2 || y->dim[1].axis != AXIS_ONE || y->dim[1].k > 1 << 20) return false;
    if (z->dim[z->ndim - 1].axis != AXIS_ONE || z->dim[z->ndim - 1].k < 1) return false;
    if (z->ndim == 3) return s->n_in == off && dim_same(z->dim[0], y->dim[0]) && z->dim[1].axis == AXIS_ONE && z->dim[1].k <= 1 << 24;
    return z->ndim == 2 && z->dim[0].axis >= AXIS_T0 && s->n_in == off + 1 && kit_int(s, off) && s->in[off]->ndim == 1 && s->in[off]->dim[0].axis == AXIS_R1 &&
           y->dim[0].axis == AXIS_R && y->dim[0].k == 1;
}
static int blank_fits(const struct shaping *s, struct err *e) {
    const struct ctc_args *a = s->attr;
    int64_t c = s->in[0]->dim[s->in[0]->ndim - 1].k;
    return a->blank < c ? 0 : err_set(e, "the blank is class %lld, but there are %lld classes", (long long)a->blank, (long long)c);
}
static int ctc_shape(struct shaping *s, struct err *e) {
    if (!logits_targets(s, 2))
        return err_set(e, "needs logits (rows, frames, classes), or of packed frames with their offsets, and i32 targets (rows, labels)");
    if (blank_fits(s, e) < 0) return -1;
    kit_one(&s->out[0], s->in[0]->dtype);
    kit_one(&s->out[1], s->in[0]->dtype);
    s->n_out = 2;
    s->scratch = (struct dim){(2 * s->in[1]->dim[1].k + 2) * (int64_t)sizeof(double) * s->in[1]->dim[0].k, s->in[1]->dim[0].axis}; /* (R, S + 1) */
    s->scratch_fixed = 64;
    return 0;
}
static int ctc_grad_shape(struct shaping *s, struct err *e) {
    if (!logits_targets(s, 3) || !kit_float(s, 2))
        return err_set(e, "needs logits, i32 targets (rows, labels), the gradient of the sum and offsets of packed frames");
    if (blank_fits(s, e) < 0) return -1;
    kit_like(&s->out[0], s->in[0]);
    s->n_out = 1;
    const struct tensor *z = s->in[0];
    int64_t frames = z->dim[0].k * (z->ndim == 3 ? z->dim[1].k : 1);
    s->scratch = (struct dim){frames * (2 * s->in[1]->dim[1].k + 2) * (int64_t)sizeof(double), z->dim[0].axis}; /* (frames, S + 1) */
    s->scratch_fixed = 64;
    return 0;
}
static int ctc_grad(struct graph *g, const struct node *n, const tid *dout, tid *din, struct err *e) {
    struct node k = *n;
    tid in[] = {k.in[0], k.in[1], dout[0], k.n_in > 2 ? k.in[2] : -1};
    return (din[0] = kit_add_take(g, "ctc_grad", args_to_val(&k.op->kind, k.attr), in, k.n_in > 2 ? 4 : 3, NULL, e)) < 0 ? -1 : 0;
}

static struct row row_of(const struct exec *x, int off, int64_t r) {
    const struct ctc_args *a = x->attr;
    int64_t most = x->in[1].n[1], c = kit_last(&x->in[0]);
    struct row w = {.from = r * x->in[0].n[1], .frames = x->in[0].n[1]};
    if (x->n_in > off) {
        const int32_t *o = x->in[off].data;
        w.from = o[r], w.frames = o[r + 1] - o[r];
    }
    const int32_t *y = (const int32_t *)x->in[1].data + r * most;
    for (; w.n < most && y[w.n] >= 0 && y[w.n] != a->blank; w.n++) w.bad |= y[w.n] >= c;
    w.states = 2 * w.n + 1;
    w.share = a->by_length ? 1 / (double)kit_max(1, w.n) : 1;
    return w;
}
static int64_t rows_of(const struct exec *x) { return x->in[1].n[0]; }
static const int32_t *target_of(const struct exec *x, int64_t r) { return (const int32_t *)x->in[1].data + r * x->in[1].n[1]; }
static int64_t class_of(const struct exec *x, const int32_t *y, int64_t s) { return s % 2 ? y[s / 2] : ((const struct ctc_args *)x->attr)->blank; }
static bool skips(const int32_t *y, int64_t s) { return s % 2 && s >= 3 && y[s / 2] != y[s / 2 - 1]; } /* s is reached from s - 2 */

/* ---- reference: probabilities, rescaled to sum 1 at each frame */
static double softmax_at(const struct view *z, int64_t frame, int64_t c, int64_t k) {
    double m = -INFINITY, s = 0;
    for (int64_t i = 0; i < c; i++) m = fmax(m, view_get(z, frame * c + i));
    for (int64_t i = 0; i < c; i++) s += exp(view_get(z, frame * c + i) - m);
    return exp(view_get(z, frame * c + k) - m) / s;
}
static double rescale(double *v, int64_t n) {
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += v[i];
    for (int64_t i = 0; i < n && sum > 0; i++) v[i] /= sum;
    return sum;
}
/* alpha (frames, S); the loss of the row. */
static double ref_alpha(const struct exec *x, const struct row *w, const int32_t *y, double *alpha) {
    int64_t c = kit_last(&x->in[0]), n = w->states;
    double loss = 0;
    if (w->bad) return NAN;
    if (!w->frames) return w->n ? INFINITY : 0;
    for (int64_t t = 0; t < w->frames; t++) {
        double *a = alpha + t * n, *b = a - n;
        for (int64_t s = 0; s < n; s++) {
            double from = t ? b[s] + (s ? b[s - 1] : 0) + (skips(y, s) ? b[s - 2] : 0) : s < 2;
            a[s] = from * softmax_at(&x->in[0], w->from + t, c, class_of(x, y, s));
        }
        loss -= log(rescale(a, n));
    }
    const double *end = alpha + (w->frames - 1) * n;
    return loss - log(end[n - 1] + (n > 1 ? end[n - 2] : 0));
}
static void ctc_ref(const struct exec *x) {
    double sum = 0;
    for (int64_t r = 0; r < rows_of(x); r++) {
        struct row w = row_of(x, 2, r);
        double *alpha = X_NEW(double, (size_t)(w.frames * w.states) + 1), loss = ref_alpha(x, &w, target_of(x, r), alpha);
        sum += isinf(loss) && ((const struct ctc_args *)x->attr)->zero_infinity ? 0 : w.share * loss;
        free(alpha);
    }
    view_put(&x->out[0], 0, sum);
    view_put(&x->out[1], 0, (double)rows_of(x));
}
/* The posterior of frame t over the states, from beta of the frame behind it, which it replaces. */
static void ref_posterior(const struct exec *x, const struct row *w, const int32_t *y, int64_t t, const double *alpha, double *beta, double *post) {
    int64_t n = w->states, c = kit_last(&x->in[0]);
    for (int64_t s = 0; s < n; s++) {
        double to = s >= n - 2;
        if (t + 1 < w->frames) to = beta[s] + (s + 1 < n ? beta[s + 1] : 0) + (s + 2 < n && skips(y, s + 2) ? beta[s + 2] : 0);
        post[s] = alpha[t * n + s] * to;
        beta[s] = to * softmax_at(&x->in[0], w->from + t, c, class_of(x, y, s));
    }
    rescale(beta, n);
    rescale(post, n);
}
static void ctc_grad_ref(const struct exec *x) {
    int64_t c = kit_last(&x->in[0]);
    for (int64_t r = 0; r < rows_of(x); r++) {
        struct row w = row_of(x, 3, r);
        const int32_t *y = target_of(x, r);
        double *alpha = X_NEW(double, (size_t)((w.frames + 2) * w.states) + 1), *beta = alpha + w.frames * w.states, *post = beta + w.states;
        double loss = ref_alpha(x, &w, y, alpha), d = view_get(&x->in[2], 0) * w.share;
        for (int64_t t = w.frames - 1; t >= 0; t--) {
            bool none = !isfinite(loss);
            if (!none) ref_posterior(x, &w, y, t, alpha, beta, post);
            for (int64_t k = 0; k < c; k++) {
                double g = none ? 0 : softmax_at(&x->in[0], w.from + t, c, k);
                for (int64_t s = 0; s < w.states && !none; s++) g -= class_of(x, y, s) == k ? post[s] : 0;
                view_put(&x->out[0], (w.from + t) * c + k, !none ? d * g : isinf(loss) && ((const struct ctc_args *)x->attr)->zero_infinity ? 0 : NAN);
            }
        }
        free(alpha);
    }
}

/* ---- fast: logarithms */
static double log_sum(double a, double b, double c) {
    double m = a > b ? a : b;
    m = c > m ? c : m;
    return m == -INFINITY ? m : m + log(exp(a - m) + exp(b - m) + exp(c - m));
}
static float sum_exp(const float *z, int64_t c, float *max) { /* sum exp(z - max) */
    float m = z[0], s = 0;
    for (int64_t i = 1; i < c; i++) m = z[i] > m ? z[i] : m;
#pragma omp simd reduction(+ : s)
    for (int64_t i = 0; i < c; i++) s += math_exp(z[i] - m);
    *max = m;
    return s;
}
static double log_norm(const float *z, int64_t c) {
    float m, s = sum_exp(z, c, &m);
    return (double)m + log((double)s);
}
/* alpha of frame t from that of the frame before, which may be the same memory: from the last state down. */
static void step_on(const struct exec *x, const struct row *w, const int32_t *y, const float *z, double norm, const double *before, double *a) {
    for (int64_t s = w->states - 1; s >= 0; s--) {
        double from = !before ? (s < 2 ? 0 : -INFINITY) : log_sum(before[s], s ? before[s - 1] : -INFINITY, skips(y, s) ? before[s - 2] : -INFINITY);
        a[s] = from + (double)z[class_of(x, y, s)] - norm;
    }
}
/* alpha: each frame's states `stride` apart, 0: only the last frame's are kept. Behind them a frame has log sum exp of its logits. */
static double forward(const struct exec *x, const struct row *w, const int32_t *y, double *alpha, int64_t stride) {
    int64_t c = kit_last(&x->in[0]), n = w->states;
    if (w->bad) return NAN;
    if (!w->frames) return w->n ? INFINITY : 0;
    for (int64_t t = 0; t < w->frames; t++) {
        const float *z = (const float *)x->in[0].data + (w->from + t) * c;
        double *a = alpha + t * stride, norm = log_norm(z, c);
        step_on(x, w, y, z, norm, t ? a - stride : NULL, a);
        a[n] = norm;
    }
    const double *end = alpha + (w->frames - 1) * stride;
    return -log_sum(end[n - 1], n > 1 ? end[n - 2] : -INFINITY, -INFINITY);
}
static int64_t ctc_tiles(const struct exec *x) { return kit_max(1, rows_of(x)); }
static void ctc_run(const struct exec *x, int64_t lo, int64_t hi) {
    int64_t width = 2 * x->in[1].n[1] + 2;
    for (int64_t r = lo; r < kit_min(hi, rows_of(x)); r++) {
        struct row w = row_of(x, 2, r);
        double *a = (double *)x->scratch + r * width, loss = forward(x, &w, target_of(x, r), a, 0);
        a[0] = isinf(loss) && ((const struct ctc_args *)x->attr)->zero_infinity ? 0 : w.share * loss;
    }
}
static void ctc_finish(const struct exec *x) {
    double sum = 0;
    for (int64_t r = 0; r < rows_of(x); r++) sum += ((const double *)x->scratch)[r * (2 * x->in[1].n[1] + 2)];
    view_put(&x->out[0], 0, sum);
    view_put(&x->out[1], 0, (double)rows_of(x));
}
/* dz of frame t; beta of the frame behind it (with its emissions) becomes that of this one. */
static void frame_back(const struct exec *x, const struct row *w, const int32_t *y, int64_t t, const double *alpha, double *beta, double loss, float d) {
    int64_t c = kit_last(&x->in[0]), n = w->states;
    const float *z = (const float *)x->in[0].data + (w->from + t) * c;
    float *o = (float *)x->out[0].data + (w->from + t) * c, norm = (float)alpha[n], all = 0;
#pragma omp simd reduction(+ : all)
    for (int64_t k = 0; k < c; k++) all += o[k] = math_exp(z[k] - norm);
    all = d / all;
#pragma omp simd
    for (int64_t k = 0; k < c; k++) o[k] *= all;
    for (int64_t s = 0; s < n; s++) {
        double to = s >= n - 2 ? 0 : -INFINITY;
        if (t + 1 < w->frames) to = log_sum(beta[s], s + 1 < n ? beta[s + 1] : -INFINITY, s + 2 < n && skips(y, s + 2) ? beta[s + 2] : -INFINITY);
        int64_t k = class_of(x, y, s);
        o[k] -= d * (float)exp(alpha[s] + to + loss);
        beta[s] = to + (double)z[k] - alpha[n];
    }
}
static void ctc_grad_run(const struct exec *x, int64_t lo, int64_t hi) {
    int64_t c = kit_last(&x->in[0]), width = 2 * x->in[1].n[1] + 2;
    for (int64_t r = lo; r < kit_min(hi, rows_of(x)); r++) {
        struct row w = row_of(x, 3, r);
        const int32_t *y = target_of(x, r);
        double *alpha = (double *)x->scratch + w.from * width, loss = forward(x, &w, y, alpha, width);
        float d = *(const float *)x->in[2].data * (float)w.share, *o = (float *)x->out[0].data + w.from * c;
        if (!w.frames) continue;
        bool none = !isfinite(loss), zero = isinf(loss) && ((const struct ctc_args *)x->attr)->zero_infinity;
        for (int64_t i = 0; none && i < w.frames * c; i++) o[i] = zero ? 0 : NAN;
        double *beta = alpha + (w.frames - 1) * width; /* a frame's alphas are read once: its betas take the place of those of the last one */
        for (int64_t t = w.frames - 1; t >= 0 && !none; t--) frame_back(x, &w, y, t, alpha + t * width, beta, loss, d);
    }
}
static void ctc_cost(const struct exec *x, struct cost *c) {
    double states = 2 * (double)x->in[1].n[1] + 1, frames = (double)x->in[0].len / (double)kit_max(1, kit_last(&x->in[0]));
    c->flop = 5.0 * (double)x->in[0].len + 60.0 * frames * states;
    c->bytes = 4.0 * (double)(x->in[0].len + x->in[1].len) + 8.0 * frames * states;
}

static const struct arg ctc_arg[] = {
    {.name = "blank", .help = "class of the blank", .def = "0", .type = ARG_INT, .offset = offsetof(struct ctc_args, blank), .lo = 0, .hi = 1e9},
    {.name = "zero_infinity",
        .help = "a target that does not fit into its frames counts nothing",
        .def = "false",
        .type = ARG_BOOL,
        .offset = offsetof(struct ctc_args, zero_infinity)},
    {.name = "by_length",
        .help = "a loss is divided by the length of its target",
        .def = "false",
        .type = ARG_BOOL,
        .offset = offsetof(struct ctc_args, by_length)},
    {0}};
static const struct sample ctc_samples[] = {{NULL, "f(R,5,4)[-2,2] i(R,2)[1,3]"}, {"blank=4", "f(R,9,5)[-3,3] i(R,4)[-1,3]"},
    {"by_length=true", "f(R,13,33)[-3,3] i(R,6)[0,32]"}, {"zero_infinity=true", "f(T0,5)[-3,3] i(R,3)[0,4] o(T0)"},
    {"zero_infinity=true by_length=true blank=2", "f(T0,3)[-1,1] i(R,2)[-1,2] o(T0)"}, {NULL, "f(R,2,1) i(R,1)[0,0]"}, {0}};
static const struct sample ctc_grad_samples[] = {{"blank=4", "c(R,9,5)[-3,3] i(R,4)[-1,3] s(0.5)"},
    {"zero_infinity=true by_length=true", "c(T0,7)[-3,3] i(R,3)[0,6] s(2) o(T0)"}, {NULL, "c(R,150,5)[-3,3] i(R,70)[1,4] s(0.5)"}, {0}};

const struct op ISA(op_ctc) = {
    .kind = {.name = "ctc", .help = "connectionist temporal classification: sum and rows", .args = ctc_arg, .size = sizeof(struct ctc_args)},
    .in_min = 2,
    .in_max = 3,
    .n_out = 2,
    .shape = ctc_shape,
    .grad = ctc_grad,
    .cost = ctc_cost,
    .ref = ctc_ref,
    .tiles = ctc_tiles,
    .run = ctc_run,
    .finish = ctc_finish,
    .samples = ctc_samples};
const struct op ISA(op_ctc_grad) = {.kind = {.name = "ctc_grad", .help = "gradient of ctc", .args = ctc_arg, .size = sizeof(struct ctc_args)},
    .in_min = 3,
    .in_max = 4,
    .n_out = 1,
    .shape = ctc_grad_shape,
    .cost = ctc_cost,
    .ref = ctc_grad_ref,
    .tiles = ctc_tiles,
    .run = ctc_grad_run,
    .samples = ctc_grad_samples};
