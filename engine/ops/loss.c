/* Softmax cross-entropy from logits. Losses give (sum, weight): the division happens once a step. With class weights w, smoothing s and C classes (as
 * PyTorch): row loss = (1 - s) w[y] (-log p[y]) + s / C sum_c w[c] (-log p[c]); row weight = w[y]. Rows whose label is ignore_index count nothing; any other
 * label outside 0..C-1 makes the loss NaN, so the step is refused. Also the number of rows whose label is among the k largest. */
#include "engine/ops/kit.h"
#include "engine/ops/math.h"

#define WORK 8192 /* logits a tile */

struct ce_args {
    double smooth;
    int64_t ignore;
};
struct top_args {
    int64_t k;
};

static bool logits_labels(const struct shaping *s) {
    const struct tensor *z = s->in[0], *y = s->in[1];
    if (!kit_float(s, 0) || !kit_int(s, 1) || z->ndim < 2 || y->ndim != z->ndim - 1 || z->dim[z->ndim - 1].axis != AXIS_ONE || z->dim[z->ndim - 1].k < 1)
        return false;
    for (int i = 0; i < y->ndim; i++)
        if (!dim_same(z->dim[i], y->dim[i])) return false;
    return true;
}
static bool class_weights(const struct shaping *s, int i) {
    const struct tensor *w = i < s->n_in ? s->in[i] : NULL, *z = s->in[0];
    return !w || (dtypes[w->dtype].is_float && w->ndim == 1 && dim_same(w->dim[0], z->dim[z->ndim - 1]));
}
static int64_t ce_grain(const struct tensor *z) { return kit_grain(WORK, z->dim[z->ndim - 1].k); }
static void row_partials(struct shaping *s) { /* two doubles a tile of rows */
    struct dim rows;
    if (!kit_flat(s->in[1], 0, s->in[1]->ndim, &rows)) BUG("labels with two axis symbols");
    s->scratch = (struct dim){2 * (int64_t)sizeof(double) * (rows.k / ce_grain(s->in[0]) + 1), rows.axis};
    s->scratch_fixed = 64;
}
static int ce_shape(struct shaping *s, struct err *e) {
    if (!logits_labels(s)) return err_set(e, "needs logits (.., classes) and i32 labels (..)");
    if (!class_weights(s, 2)) return err_set(e, "needs one class weight for each class");
    kit_one(&s->out[0], s->in[0]->dtype);
    kit_one(&s->out[1], s->in[0]->dtype);
    row_partials(s);
    s->n_out = 2;
    return 0;
}
static int ce_grad(struct graph *g, const struct node *n, const tid *dout, tid *din, struct err *e) {
    tid in[] = {n->in[0], n->in[1], dout[0], n->n_in > 2 ? n->in[2] : -1};
    din[0] = kit_add_take(g, "softmax_ce_grad", args_to_val(&n->op->kind, n->attr), in, 4, NULL, e);
    return din[0] < 0 ? -1 : 0;
}
static int ce_grad_shape(struct shaping *s, struct err *e) {
    if (!logits_labels(s) || !kit_float(s, 2) || !class_weights(s, 3))
        return err_set(e, "needs logits (.., classes), i32 labels (..) and the gradient of the sum");
    kit_like(&s->out[0], s->in[0]);
    s->n_out = 1;
    return 0;
}
static int64_t ce_tiles(const struct exec *x) { return kit_max(1, kit_tiles(x->in[1].len, kit_grain(WORK, kit_last(&x->in[0])))); }

static double weight_of(const struct exec *x, int i, int64_t c) { return kit_has(x, i) ? view_get(&x->in[i], c) : 1; }
static void ce_ref(const struct exec *x) {
    const struct ce_args *a = x->attr;
    int64_t c = kit_last(&x->in[0]);
    double sum = 0, weight = 0;
    for (int64_t r = 0; r < x->in[1].len; r++) {
        int64_t y = (int64_t)view_get(&x->in[1], r);
        if (y == a->ignore) continue;
        double m = -INFINITY, s = 0, all = 0;
        for (int64_t i = 0; i < c; i++) m = fmax(m, view_get(&x->in[0], r * c + i));
        for (int64_t i = 0; i < c; i++) s += exp(view_get(&x->in[0], r * c + i) - m);
        double lse = m + log(s);
        for (int64_t i = 0; i < c && a->smooth > 0; i++) all += weight_of(x, 2, i) * (lse - view_get(&x->in[0], r * c + i));
        if (y < 0 || y >= c) {
            sum = NAN;
            continue;
        }
        sum += (1 - a->smooth) * weight_of(x, 2, y) * (lse - view_get(&x->in[0], r * c + y)) + a->smooth / (double)c * all;
        weight += weight_of(x, 2, y);
    }
    view_put(&x->out[0], 0, sum);
    view_put(&x->out[1], 0, weight);
}
static inline float row_max(const float *z, int64_t c) {
    float m = z[0];
    for (int64_t i = 1; i < c; i++) m = z[i] > m ? z[i] : m;
    return m;
}
static inline float row_sum(const float *z, int64_t c, float m) {
    float s = 0;
#pragma omp simd reduction(+ : s)
    for (int64_t i = 0; i < c; i++) s += math_exp(z[i] - m);
    return s;
}
static void ce_run(const struct exec *x, int64_t lo, int64_t hi) {
    const struct ce_args *a = x->attr;
    int64_t c = kit_last(&x->in[0]), grain = kit_grain(WORK, c);
    const int32_t *label = x->in[1].data;
    const float *cw = kit_has(x, 2) ? x->in[2].data : NULL;
    for (int64_t t = lo; t < hi; t++) {
        double sum = 0, weight = 0;
        for (int64_t r = t * grain; r < kit_min(x->in[1].len, (t + 1) * grain); r++) {
            const float *z = (const float *)x->in[0].data + r * c;
            if (label[r] == a->ignore) continue;
            if (label[r] < 0 || label[r] >= c) {
                sum = NAN;
                continue;
            }
            float m = row_max(z, c), w = cw ? cw[label[r]] : 1.0f, all = 0;
            float lse = m + logf(row_sum(z, c, m));
            for (int64_t i = 0; i < c && a->smooth > 0; i++) all += (cw ? cw[i] : 1.0f) * (lse - z[i]);
            sum += (1 - a->smooth) * (double)(w * (lse - z[label[r]])) + a->smooth / (double)c * (double)all;
            weight += (double)w;
        }
        ((double *)x->scratch)[2 * t] = sum;
        ((double *)x->scratch)[2 * t + 1] = weight;
    }
}
static void ce_finish(const struct exec *x) {
    double sum = 0, weight = 0;
    for (int64_t t = 0; t < ce_tiles(x); t++) {
        sum += ((double *)x->scratch)[2 * t];
        weight += ((double *)x->scratch)[2 * t + 1];
    }
    view_put(&x->out[0], 0, sum);
    view_put(&x->out[1], 0, weight);
}
/* d z[j] = dsum ( (1 - s) w[y] (p[j] - [j = y]) + s / C (p[j] W - w[j]) ), W = sum w */
static void ce_grad_ref(const struct exec *x) {
    const struct ce_args *a = x->attr;
    int64_t c = kit_last(&x->in[0]);
    double d = view_get(&x->in[2], 0), all = 0;
    for (int64_t i = 0; i < c; i++) all += weight_of(x, 3, i);
    for (int64_t r = 0; r < x->in[1].len; r++) {
        int64_t y = (int64_t)view_get(&x->in[1], r);
        double m = -INFINITY, s = 0;
        for (int64_t i = 0; i < c; i++) m = fmax(m, view_get(&x->in[0], r * c + i));
        for (int64_t i = 0; i < c; i++) s += exp(view_get(&x->in[0], r * c + i) - m);
        for (int64_t i = 0; i < c; i++) {
            double p = exp(view_get(&x->in[0], r * c + i) - m) / s, v;
            if (y == a->ignore) v = 0;
            else if (y < 0 || y >= c) v = NAN;
            else v = (1 - a->smooth) * weight_of(x, 3, y) * (p - (i == y)) + a->smooth / (double)c * (p * all - weight_of(x, 3, i));
            view_put(&x->out[0], r * c + i, d * v);
        }
    }
}
static void ce_grad_run(const struct exec *x, int64_t lo, int64_t hi) {
    const struct ce_args *a = x->attr;
    int64_t c = kit_last(&x->in[0]), grain = kit_grain(WORK, c), to = kit_min(x->in[1].len, hi * grain);
    const int32_t *label = x->in[1].data;
    const float *cw = kit_has(x, 3) ? x->in[3].data : NULL;
    float d = *(const float *)x->in[2].data, all = (float)c, soft = (float)(a->smooth / (double)c);
    if (cw) all = 0;
    for (int64_t i = 0; cw && i < c; i++) all += cw[i];
    for (int64_t r = lo * grain; r < to; r++) {
        const float *z = (const float *)x->in[0].data + r * c;
        float *o = (float *)x->out[0].data + r * c;
        bool bad = label[r] < 0 || label[r] >= c;
        if (bad) {
            for (int64_t i = 0; i < c; i++) o[i] = label[r] == a->ignore ? 0 : NAN;
            continue;
        }
        float m = row_max(z, c), s = 0, hit = (float)(1 - a->smooth) * (cw ? cw[label[r]] : 1.0f);
#pragma omp simd reduction(+ : s)
        for (int64_t i = 0; i < c; i++) s += o[i] = math_exp(z[i] - m);
        float k = label[r] == a->ignore ? 0 : d * (hit + soft * all) / s;
        for (int64_t i = 0; i < c; i++) o[i] = label[r] == a->ignore ? 0 : k * o[i] - d * soft * (cw ? cw[i] : 1.0f);
        if (label[r] != a->ignore) o[label[r]] -= d * hit;
    }
}
static void ce_cost(const struct exec *x, struct cost *c) {
    c->flop = 5.0 * (double)x->in[0].len;
    c->bytes = 4.0 * (double)(x->in[0].len + x->in[1].len);
}

/* (logits, labels) -> number of rows whose label is among the k largest; of equal logits the first wins */
static int top_shape(struct shaping *s, struct err *e) {
    if (!logits_labels(s)) return err_set(e, "needs logits (.., classes) and i32 labels (..)");
    kit_one(&s->out[0], s->in[0]->dtype);
    row_partials(s);
    s->n_out = 1;
    return 0;
}
static bool top_hit(const struct exec *x, int64_t r, int64_t c) {
    int64_t y = (int64_t)view_get(&x->in[1], r), before = 0;
    if (y < 0 || y >= c) return false;
    double v = view_get(&x->in[0], r * c + y);
    for (int64_t i = 0; i < c; i++) {
        double u = view_get(&x->in[0], r * c + i);
        before += !(u < v) && i != y && (u > v || i < y || isnan(u));
    }
    return !isnan(v) && before < ((const struct top_args *)x->attr)->k;
}
static void top_ref(const struct exec *x) {
    int64_t c = kit_last(&x->in[0]), n = 0;
    for (int64_t r = 0; r < x->in[1].len; r++) n += top_hit(x, r, c);
    view_put(&x->out[0], 0, (double)n);
}
static void top_run(const struct exec *x, int64_t lo, int64_t hi) {
    int64_t c = kit_last(&x->in[0]), grain = kit_grain(WORK, c), k = ((const struct top_args *)x->attr)->k;
    const int32_t *label = x->in[1].data;
    for (int64_t t = lo; t < hi; t++) {
        int64_t n = 0;
        for (int64_t r = t * grain; r < kit_min(x->in[1].len, (t + 1) * grain); r++) {
            const float *z = (const float *)x->in[0].data + r * c;
            int32_t y = label[r], before = 0;
            if (y < 0 || y >= c || z[y] != z[y]) continue;
            for (int32_t i = 0; i < y; i++) before += !(z[i] < z[y]);
            for (int64_t i = y + 1; i < c; i++) before += z[i] > z[y] || z[i] != z[i];
            n += before < k;
        }
        ((double *)x->scratch)[t] = (double)n;
    }
}
static void top_finish(const struct exec *x) {
    double n = 0;
    for (int64_t t = 0; t < ce_tiles(x); t++) n += ((double *)x->scratch)[t];
    view_put(&x->out[0], 0, n);
}

static const struct arg ce_arg[] = {{.name = "label_smoothing",
                                        .help = "share of the target spread over all classes",
                                        .def = "0",
                                        .type = ARG_NUM,
                                        .offset = offsetof(struct ce_args, smooth),
                                        .hi = 1},
    {.name = "ignore_index", .help = "rows with this label count nothing", .def = "-100", .type = ARG_INT, .offset = offsetof(struct ce_args, ignore)}, {0}};
static const struct arg top_arg[] = {
    {.name = "k", .help = "how many guesses a row has", .def = "1", .type = ARG_INT, .offset = offsetof(struct top_args, k), .lo = 1, .hi = 1e6}, {0}};
static const struct sample ce_samples[] = {{NULL, "f(R,4) i(R)[0,3]"}, {"label_smoothing=0.1", "f(R,5)[-3,3] i(R)[0,4]"},
    {"label_smoothing=0.2 ignore_index=-1", "f(R,7)[-3,3] i(R)[-1,6] c(7)[0.1,2]"}, {NULL, "f(R,2,33)[-3,3] i(R,2)[0,32]"}, {NULL, "f(R,1) i(R)[0,0]"}, {0}};
static const struct sample ce_grad_samples[] = {{NULL, "f(R,4) i(R)[0,3] s(0.5)"}, {"label_smoothing=0.1", "f(R,5) i(R)[0,4] s(1)"},
    {"label_smoothing=0.2 ignore_index=-1", "f(R,7) i(R)[-1,6] s(2) c(7)[0.1,2]"}, {0}};
static const struct sample top_samples[] = {{NULL, "f(R,4) i(R)[0,3]"}, {"k=2", "f(R,5) i(R)[0,4]"}, {"k=5", "f(R,33) i(R)[-1,32]"}, {0}};

const struct op ISA(op_softmax_ce) = {
    .kind = {.name = "softmax_ce", .help = "softmax cross-entropy: sum and weight", .args = ce_arg, .size = sizeof(struct ce_args)},
    .in_min = 2,
    .in_max = 3,
    .n_out = 2,
    .shape = ce_shape,
    .grad = ce_grad,
    .cost = ce_cost,
    .ref = ce_ref,
    .tiles = ce_tiles,
    .run = ce_run,
    .finish = ce_finish,
    .samples = ce_samples};
const struct op ISA(op_softmax_ce_grad) = {
    .kind = {.name = "softmax_ce_grad", .help = "gradient of softmax_ce", .args = ce_arg, .size = sizeof(struct ce_args)},
    .in_min = 3,
    .in_max = 4,
    .n_out = 1,
    .shape = ce_grad_shape,
    .cost = ce_cost,
    .ref = ce_grad_ref,
    .tiles = ce_tiles,
    .run = ce_grad_run,
    .samples = ce_grad_samples};
const struct op ISA(op_accuracy_count) = {
    .kind = {.name = "accuracy_count", .help = "rows whose label is among the k largest", .args = top_arg, .size = sizeof(struct top_args)},
    .in_min = 2,
    .in_max = 2,
    .n_out = 1,
    .flags = OP_NO_GRAD,
    .shape = top_shape,
    .ref = top_ref,
    .tiles = ce_tiles,
    .run = top_run,
    .finish = top_finish,
    .samples = top_samples};
