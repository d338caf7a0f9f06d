/* Helpers of op files that need no vector code: shape rules, gradients. No numbers here. Any thread. */
#include "engine/ops/kit.h"

#include <string.h>

#include "src/base/size.h"

bool kit_float(const struct shaping *s, int i) { return i < s->n_in && s->in[i] && dtypes[s->in[i]->dtype].is_float; }
bool kit_int(const struct shaping *s, int i) { return i < s->n_in && s->in[i] && s->in[i]->dtype == DT_I32; }

bool kit_same(const struct tensor *a, const struct tensor *b) {
    if (a->ndim != b->ndim) return false;
    for (int i = 0; i < a->ndim; i++)
        if (!dim_same(a->dim[i], b->dim[i])) return false;
    return true;
}

void kit_like(struct tensor *out, const struct tensor *t) {
    memcpy(out->dim, t->dim, sizeof out->dim);
    out->ndim = t->ndim;
    out->dtype = t->dtype;
    out->offsets = t->offsets;
    out->block = t->block;
}

void kit_one(struct tensor *out, enum dtype d) {
    out->ndim = 0;
    out->dtype = d;
    out->offsets = -1;
}

bool kit_flat(const struct tensor *t, int from, int to, struct dim *d) {
    *d = (struct dim){1, AXIS_ONE};
    for (int i = from; i < to; i++) {
        if (t->dim[i].axis != AXIS_ONE) {
            if (d->axis != AXIS_ONE) return false;
            d->axis = t->dim[i].axis;
        }
        if (!size_mul_i64(d->k, t->dim[i].k, &d->k)) return false;
    }
    return true;
}

void kit_partials(struct shaping *s, const struct tensor *t, int64_t grain) {
    struct dim d;
    if (!kit_flat(t, 0, t->ndim, &d)) BUG("a tensor with two axis symbols");
    s->scratch = (struct dim){2 * (int64_t)sizeof(double) * (d.k / grain + 1), d.axis};
    s->scratch_fixed = 64;
}

bool kit_sums(struct shaping *s, const struct tensor *t, int64_t work) {
    struct dim rows;
    if (!kit_flat(t, 0, t->ndim - 1, &rows)) return false;
    kit_one(&s->out[0], t->dtype);
    kit_one(&s->out[1], t->dtype);
    s->scratch = (struct dim){(int64_t)sizeof(double) * (rows.k / kit_grain(work, t->dim[t->ndim - 1].k) + 1), rows.axis};
    s->scratch_fixed = 64;
    s->n_out = 2;
    return true;
}

bool kit_needs(const struct graph *g, tid t) { return t >= 0 && graph_tensor(g, t)->needs_grad; }

struct val *kit_dims_val(const struct tensor *t) {
    struct val *v = val_table(), *k = val_list(), *axis = val_list();
    for (int i = 0; i < t->ndim; i++) {
        val_push(k, val_int(t->dim[i].k));
        val_push(axis, val_int(t->dim[i].axis));
    }
    val_set(v, "k", k);
    val_set(v, "axis", axis);
    return v;
}

void kit_dims_get(const struct kit_dims *d, struct tensor *out) {
    out->ndim = d->k.n;
    for (int i = 0; i < d->k.n; i++) out->dim[i] = (struct dim){d->k.d[i], i < d->axis.n ? (int)d->axis.d[i] : AXIS_ONE};
    out->offsets = -1;
}

tid kit_add_take(struct graph *g, const char *op, struct val *attr_take, const tid *in, int n_in, tid *out, struct err *e) {
    tid own[OP_OUT];
    tid t = graph_add(g, op, attr_take, in, n_in, out ? out : own, e);
    val_free(attr_take);
    return t;
}
