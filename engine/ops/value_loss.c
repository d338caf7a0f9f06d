/* Losses of values against values of the same shape: squared, absolute, huber, logistic (from logits, targets in 0..1). Gives (sum, number of values). A target
 * that is not finite makes the loss not finite, so the step is refused. Tiles are ranges of elements; partial sums are joined in order. */
#include <math.h>

#include "engine/ops/kit.h"

#define GRAIN 8192

enum { SQUARED, ABSOLUTE, HUBER, LOGISTIC };
struct value_args {
    int form;
    double delta;
};

static int value_shape(struct shaping *s, struct err *e) {
    struct dim all;
    if (!kit_float(s, 0) || !kit_float(s, 1) || !kit_same(s->in[0], s->in[1]) || !kit_flat(s->in[0], 0, s->in[0]->ndim, &all))
        return err_set(e, "values and targets must be floats of one shape");
    kit_one(&s->out[0], s->in[0]->dtype);
    kit_one(&s->out[1], s->in[0]->dtype);
    s->scratch = (struct dim){(int64_t)sizeof(double) * (all.k / GRAIN + 1), all.axis};
    s->scratch_fixed = 64;
    s->n_out = 2;
    return 0;
}
static int value_grad_shape(struct shaping *s, struct err *e) {
    if (!kit_float(s, 0) || !kit_float(s, 2) || !kit_same(s->in[0], s->in[1])) return err_set(e, "values and targets must be floats of one shape");
    kit_like(&s->out[0], s->in[0]);
    s->n_out = 1;
    return 0;
}
static int value_grad(struct graph *g, const struct node *n, const tid *dout, tid *din, struct err *e) {
    tid in[] = {n->in[0], n->in[1], dout[0]};
    din[0] = kit_add_take(g, "value_loss_grad", args_to_val(&n->op->kind, n->attr), in, 3, NULL, e);
    return din[0] < 0 ? -1 : 0;
}
/* logistic: max(z, 0) - z y + log(1 + exp(-|z|)) */
static double value_of(const struct value_args *a, double z, double y) {
    double d = z - y, m = fabs(d);
    if (a->form == ABSOLUTE) return m;
    if (a->form == HUBER) return m <= a->delta ? d * d / 2 : a->delta * (m - a->delta / 2);
    if (a->form == LOGISTIC) return fmax(z, 0) - z * y + log1p(exp(-fabs(z)));
    return d * d;
}
static double slope_of(const struct value_args *a, double z, double y) {
    double d = z - y;
    if (a->form == ABSOLUTE) return d > 0 ? 1 : d < 0 ? -1 : d;
    if (a->form == HUBER) return d > a->delta ? a->delta : d < -a->delta ? -a->delta : d;
    if (a->form == LOGISTIC) return 1 / (1 + exp(-z)) - y;
    return 2 * d;
}
static int64_t value_tiles(const struct exec *x) { return kit_max(1, kit_tiles(x->in[0].len, GRAIN)); }
static void value_run(const struct exec *x, int64_t lo, int64_t hi) {
    const struct value_args *a = x->attr;
    const float *z = x->in[0].data, *y = x->in[1].data;
    for (int64_t t = lo; t < hi; t++) {
        double sum = 0;
        for (int64_t i = t * GRAIN; i < kit_min(x->in[0].len, (t + 1) * GRAIN); i++) sum += value_of(a, (double)z[i], (double)y[i]);
        ((double *)x->scratch)[t] = sum;
    }
}
static void value_finish(const struct exec *x) {
    double sum = 0;
    for (int64_t t = 0; t < value_tiles(x); t++) sum += ((double *)x->scratch)[t];
    view_put(&x->out[0], 0, sum);
    view_put(&x->out[1], 0, (double)x->in[0].len);
}
static void value_ref(const struct exec *x) {
    double sum = 0;
    for (int64_t i = 0; i < x->in[0].len; i++) sum += value_of(x->attr, view_get(&x->in[0], i), view_get(&x->in[1], i));
    view_put(&x->out[0], 0, sum);
    view_put(&x->out[1], 0, (double)x->in[0].len);
}
static void value_grad_ref(const struct exec *x) {
    double d = view_get(&x->in[2], 0);
    for (int64_t i = 0; i < x->in[0].len; i++) view_put(&x->out[0], i, d * slope_of(x->attr, view_get(&x->in[0], i), view_get(&x->in[1], i)));
}
static void value_grad_run(const struct exec *x, int64_t lo, int64_t hi) {
    const float *z = x->in[0].data, *y = x->in[1].data, d = *(const float *)x->in[2].data;
    float *o = x->out[0].data;
    for (int64_t i = lo * GRAIN; i < kit_min(x->in[0].len, hi * GRAIN); i++) o[i] = d * (float)slope_of(x->attr, (double)z[i], (double)y[i]);
}

static const char *const forms[] = {"squared", "absolute", "huber", "logistic", NULL};
static const struct arg value_arg[] = {
    {.name = "form", .help = "which loss", .def = "squared", .type = ARG_ENUM, .offset = offsetof(struct value_args, form), .names = forms},
    {.name = "delta",
        .help = "huber: where squared becomes absolute",
        .def = "1",
        .type = ARG_NUM,
        .offset = offsetof(struct value_args, delta),
        .lo = 1e-9,
        .hi = 1e9},
    {0}};
static const struct sample value_samples[] = {{NULL, "f(R,4) c(R,4)[2,3]"}, {"form=absolute", "f(R,3,5) c(R,3,5)[2,3]"},
    {"form=huber delta=0.7", "f(R,5) c(R,5)[3,4]"}, {"form=logistic", "f(R,9)[-3,3] c(R,9)[0,1]"}, {0}};
static const struct sample value_grad_samples[] = {{NULL, "f(R,4) f(R,4) s(0.5)"}, {"form=logistic", "f(R,9) c(R,9)[0,1] s(1)"}, {0}};

const struct op ISA(op_value_loss) = {
    .kind = {.name = "value_loss", .help = "loss of values against values: sum and number", .args = value_arg, .size = sizeof(struct value_args)},
    .in_min = 2,
    .in_max = 2,
    .n_out = 2,
    .shape = value_shape,
    .grad = value_grad,
    .ref = value_ref,
    .tiles = value_tiles,
    .run = value_run,
    .finish = value_finish,
    .samples = value_samples};
const struct op ISA(op_value_loss_grad) = {
    .kind = {.name = "value_loss_grad", .help = "gradient of value_loss", .args = value_arg, .size = sizeof(struct value_args)},
    .in_min = 3,
    .in_max = 3,
    .n_out = 1,
    .shape = value_grad_shape,
    .ref = value_grad_ref,
    .tiles = value_tiles,
    .run = value_grad_run,
    .samples = value_grad_samples};
