/* Kullback-Leibler divergence of softmax(z / T) from a target distribution q, times T^2 so that gradients keep their size at any temperature (Hinton et al.
 * 2015): row loss = T^2 sum q (log q - log softmax(z / T)). The target is probabilities, or logits of a teacher: q = softmax(t / T); nothing flows back to it.
 * Gives (sum, rows). dz = T (p sum(q) - q). Tiles are rows; partial sums are joined in order. */
#include "engine/ops/kit.h"
#include "engine/ops/math.h"

#define WORK 8192 /* logits a tile */

enum { PROBS, LOGITS };
struct kl_args {
    double temperature;
    int target;
};

static bool pair_ok(const struct shaping *s) {
    return kit_float(s, 0) && kit_float(s, 1) && s->in[0]->ndim >= 2 && kit_same(s->in[0], s->in[1]) && s->in[0]->dim[s->in[0]->ndim - 1].axis == AXIS_ONE &&
           s->in[0]->dim[s->in[0]->ndim - 1].k > 0;
}
static int kl_shape(struct shaping *s, struct err *e) {
    if (!pair_ok(s) || !kit_sums(s, s->in[0], WORK)) return err_set(e, "needs logits (.., classes) and a target of their shape");
    return 0;
}
static int kl_grad_shape(struct shaping *s, struct err *e) {
    if (!pair_ok(s) || !kit_float(s, 2)) return err_set(e, "needs logits (.., classes), a target of their shape and the gradient of the sum");
    kit_like(&s->out[0], s->in[0]);
    s->n_out = 1;
    return 0;
}
static int kl_grad(struct graph *g, const struct node *n, const tid *dout, tid *din, struct err *e) {
    struct node k = *n;
    tid in[] = {k.in[0], k.in[1], dout[0]};
    return (din[0] = kit_add_take(g, "kl_div_grad", args_to_val(&k.op->kind, k.attr), in, 3, NULL, e)) < 0 ? -1 : 0;
}
static double lse_ref(const struct view *v, int64_t at, int64_t c, double t) {
    double m = -INFINITY, s = 0;
    for (int64_t i = 0; i < c; i++) m = fmax(m, view_get(v, at + i) / t);
    for (int64_t i = 0; i < c; i++) s += exp(view_get(v, at + i) / t - m);
    return m + log(s);
}
static double target_ref(const struct exec *x, int64_t i, double lse, double *log_q) {
    const struct kl_args *a = x->attr;
    double v = view_get(&x->in[1], i);
    if (a->target == LOGITS) return *log_q = v / a->temperature - lse, exp(*log_q);
    return *log_q = v > 0 ? log(v) : v < 0 ? NAN : 0, v;
}
static void kl_ref(const struct exec *x) {
    const struct kl_args *a = x->attr;
    int64_t c = kit_last(&x->in[0]);
    double sum = 0;
    for (int64_t r = 0; r < kit_rows(&x->in[0]); r++) {
        double lz = lse_ref(&x->in[0], r * c, c, a->temperature), lt = a->target == LOGITS ? lse_ref(&x->in[1], r * c, c, a->temperature) : 0, lq;
        for (int64_t i = r * c; i < (r + 1) * c; i++) {
            double q = target_ref(x, i, lt, &lq);
            sum += q * (lq - view_get(&x->in[0], i) / a->temperature + lz);
        }
    }
    view_put(&x->out[0], 0, a->temperature * a->temperature * sum);
    view_put(&x->out[1], 0, (double)kit_rows(&x->in[0]));
}
static void kl_grad_ref(const struct exec *x) {
    const struct kl_args *a = x->attr;
    int64_t c = kit_last(&x->in[0]);
    double d = view_get(&x->in[2], 0) * a->temperature;
    for (int64_t r = 0; r < kit_rows(&x->in[0]); r++) {
        double lz = lse_ref(&x->in[0], r * c, c, a->temperature), lt = a->target == LOGITS ? lse_ref(&x->in[1], r * c, c, a->temperature) : 0, lq, all = 0;
        for (int64_t i = r * c; i < (r + 1) * c; i++) all += target_ref(x, i, lt, &lq);
        for (int64_t i = r * c; i < (r + 1) * c; i++)
            view_put(&x->out[0], i, d * (exp(view_get(&x->in[0], i) / a->temperature - lz) * all - target_ref(x, i, lt, &lq)));
    }
}

static int64_t kl_tiles(const struct exec *x) { return kit_max(1, kit_tiles(kit_rows(&x->in[0]), kit_grain(WORK, kit_last(&x->in[0])))); }
/* log sum exp(v / t) as its maximum and the rest: *m + log(returned). */
static float sum_exp(const float *v, int64_t c, float k, float *m) {
    float top = v[0] * k, s = 0;
    for (int64_t i = 1; i < c; i++) top = v[i] * k > top ? v[i] * k : top;
#pragma omp simd reduction(+ : s)
    for (int64_t i = 0; i < c; i++) s += math_exp(v[i] * k - top);
    *m = top;
    return s;
}
static void kl_run(const struct exec *x, int64_t lo, int64_t hi) {
    const struct kl_args *a = x->attr;
    int64_t c = kit_last(&x->in[0]), grain = kit_grain(WORK, c), rows = kit_rows(&x->in[0]);
    float k = (float)(1 / a->temperature);
    for (int64_t t = lo; t < hi; t++) {
        double sum = 0;
        for (int64_t r = t * grain; r < kit_min(rows, (t + 1) * grain); r++) {
            const float *z = (const float *)x->in[0].data + r * c, *q = (const float *)x->in[1].data + r * c;
            float m, mt, s = sum_exp(z, c, k, &m), part = 0, lz = m + logf(s);
            if (a->target == LOGITS) {
                float st = sum_exp(q, c, k, &mt), lt = mt + logf(st);
#pragma omp simd reduction(+ : part)
                for (int64_t i = 0; i < c; i++) part += math_exp(q[i] * k - lt) * (q[i] * k - lt - z[i] * k + lz);
            } else {
#pragma omp simd reduction(+ : part)
                for (int64_t i = 0; i < c; i++) part += q[i] != 0 ? q[i] * (math_log(q[i]) - z[i] * k + lz) : 0;
            }
            sum += (double)part;
        }
        ((double *)x->scratch)[t] = a->temperature * a->temperature * sum;
    }
}
static void kl_finish(const struct exec *x) {
    double sum = 0;
    for (int64_t t = 0; t < kl_tiles(x); t++) sum += ((double *)x->scratch)[t];
    view_put(&x->out[0], 0, sum);
    view_put(&x->out[1], 0, (double)kit_rows(&x->in[0]));
}
static void kl_grad_run(const struct exec *x, int64_t lo, int64_t hi) {
    const struct kl_args *a = x->attr;
    int64_t c = kit_last(&x->in[0]), grain = kit_grain(WORK, c);
    float k = (float)(1 / a->temperature), d = *(const float *)x->in[2].data * (float)a->temperature;
    for (int64_t r = lo * grain; r < kit_min(kit_rows(&x->in[0]), hi * grain); r++) {
        const float *z = (const float *)x->in[0].data + r * c, *q = (const float *)x->in[1].data + r * c;
        float *y = (float *)x->out[0].data + r * c, m, mt, all = 0, s = sum_exp(z, c, k, &m);
        if (a->target == LOGITS) {
            float st = d / sum_exp(q, c, k, &mt), sz = d / s;
#pragma omp simd
            for (int64_t i = 0; i < c; i++) y[i] = math_exp(z[i] * k - m) * sz - math_exp(q[i] * k - mt) * st;
            continue;
        }
#pragma omp simd reduction(+ : all)
        for (int64_t i = 0; i < c; i++) all += q[i];
        all /= s;
#pragma omp simd
        for (int64_t i = 0; i < c; i++) y[i] = d * (math_exp(z[i] * k - m) * all - q[i]);
    }
}

static const char *const targets[] = {"probs", "logits", NULL};
static const struct arg kl_arg[] = {{.name = "temperature",
                                        .help = "logits are divided by it",
                                        .def = "1",
                                        .type = ARG_NUM,
                                        .offset = offsetof(struct kl_args, temperature),
                                        .lo = 1e-3,
                                        .hi = 1e3},
    {.name = "target", .help = "what the target holds", .def = "probs", .type = ARG_ENUM, .offset = offsetof(struct kl_args, target), .names = targets}, {0}};
static const struct sample kl_samples[] = {{NULL, "f(R,4)[-3,3] q(R,4)"}, {"temperature=3", "f(R,3,5)[-3,3] q(R,3,5)"},
    {"temperature=2 target=logits", "f(R,33)[-3,3] c(R,33)[-2,2]"}, {NULL, "f(R,2) m(R,2)"}, {0}};
static const struct sample kl_grad_samples[] = {{NULL, "f(R,4)[-3,3] q(R,4) s(0.5)"}, {"temperature=2 target=logits", "f(R,33)[-3,3] c(R,33)[-2,2] s(2)"}, {0}};

const struct op ISA(op_kl_div) = {
    .kind = {.name = "kl_div", .help = "divergence of a softmax from a distribution: sum and rows", .args = kl_arg, .size = sizeof(struct kl_args)},
    .in_min = 2,
    .in_max = 2,
    .n_out = 2,
    .shape = kl_shape,
    .grad = kl_grad,
    .ref = kl_ref,
    .tiles = kl_tiles,
    .run = kl_run,
    .finish = kl_finish,
    .samples = kl_samples};
const struct op ISA(op_kl_div_grad) = {.kind = {.name = "kl_div_grad", .help = "gradient of kl_div", .args = kl_arg, .size = sizeof(struct kl_args)},
    .in_min = 3,
    .in_max = 3,
    .n_out = 1,
    .shape = kl_grad_shape,
    .ref = kl_grad_ref,
    .tiles = kl_tiles,
    .run = kl_grad_run,
    .samples = kl_grad_samples};
