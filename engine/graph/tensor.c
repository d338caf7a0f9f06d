/* Shapes, dtypes and their arithmetic; loads and stores of any dtype. No memory is owned here. Any thread. */
#include "engine/graph/tensor.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "engine/graph/op.h"
#include "src/base/err.h"

int64_t dim_value(struct dim d, const struct extents *x) {
    return d.axis == AXIS_R1 ? d.k * (x->n[AXIS_R] + 1) : d.axis == AXIS_ONE ? d.k : d.k * x->n[d.axis];
}

bool dim_same(struct dim a, struct dim b) { return a.k == b.k && a.axis == b.axis; }

int64_t tensor_len(const struct tensor *t, const struct extents *x) {
    int64_t n = 1;
    for (int i = 0; i < t->ndim; i++) n *= dim_value(t->dim[i], x);
    return n;
}

size_t dtype_bytes(enum dtype d, int64_t n) { return (size_t)n * (size_t)dtypes[d].bits / 8; }

size_t tensor_bytes(const struct tensor *t, const struct extents *x) { return dtype_bytes(t->dtype, tensor_len(t, x)); }

void tensor_shape(struct buf *b, const struct tensor *t) {
    buf_addc(b, '(');
    for (int i = 0; i < t->ndim; i++) {
        const struct dim *d = &t->dim[i];
        if (i) buf_adds(b, ", ");
        if (d->axis == AXIS_ONE) buf_addf(b, "%" PRId64, d->k);
        else if (d->k == 1) buf_adds(b, axis_names[d->axis]);
        else buf_addf(b, d->axis == AXIS_R1 ? "%" PRId64 "*(%s)" : "%" PRId64 "*%s", d->k, axis_names[d->axis]);
    }
    buf_addc(b, ')');
}

static float from_bf16(uint16_t h) {
    uint32_t u = (uint32_t)h << 16;
    float f;
    memcpy(&f, &u, 4);
    return f;
}

static uint16_t to_bf16(float f) { /* round to nearest even; NaN stays NaN */
    uint32_t u;
    memcpy(&u, &f, 4);
    if (isnan(f)) return (uint16_t)((u >> 16) | 0x40);
    return (uint16_t)((u + 0x7fff + ((u >> 16) & 1)) >> 16);
}

static double from_f16(uint16_t h) {
    int e = h >> 10 & 31, m = h & 1023;
    double v = e == 31 ? (m ? NAN : INFINITY) : e ? ldexp(1024 + m, e - 25) : ldexp(m, -24);
    return h >> 15 ? -v : v;
}

static uint16_t to_f16(double v) { /* round to nearest even by scaling to the unit in the last place */
    uint16_t sign = signbit(v) ? 0x8000 : 0;
    double a = fabs(v);
    if (isnan(v)) return sign | 0x7e00;
    if (a >= 65520) return sign | 0x7c00;
    int e;
    frexp(a, &e);
    if (a < ldexp(1, -14)) return sign | (uint16_t)nearbyint(ldexp(a, 24));
    uint32_t m = (uint32_t)nearbyint(ldexp(a, 11 - e)); /* 1024 .. 2048 */
    return sign | (uint16_t)(((uint32_t)(e + 13) << 10) + m); /* m's leading one adds 1 to the exponent field */
}

double view_get(const struct view *v, int64_t i) {
    switch (v->dtype) {
    case DT_F32: return ((const float *)v->data)[i];
    case DT_F64: return ((const double *)v->data)[i];
    case DT_I32: return ((const int32_t *)v->data)[i];
    case DT_I64: return (double)((const int64_t *)v->data)[i];
    case DT_U8: return ((const uint8_t *)v->data)[i];
    case DT_I8: return ((const int8_t *)v->data)[i];
    case DT_BOOL: return ((const uint8_t *)v->data)[i] != 0;
    case DT_BF16: return from_bf16(((const uint16_t *)v->data)[i]);
    case DT_F16: return from_f16(((const uint16_t *)v->data)[i]);
    case DT_N: break;
    }
    BUG("load of dtype %d", (int)v->dtype);
}

void view_put(const struct view *v, int64_t i, double x) {
    switch (v->dtype) {
    case DT_F32: ((float *)v->data)[i] = (float)x; return;
    case DT_F64: ((double *)v->data)[i] = x; return;
    case DT_I32: ((int32_t *)v->data)[i] = (int32_t)x; return;
    case DT_I64: ((int64_t *)v->data)[i] = (int64_t)x; return;
    case DT_U8: ((uint8_t *)v->data)[i] = (uint8_t)x; return;
    case DT_I8: ((int8_t *)v->data)[i] = (int8_t)x; return;
    case DT_BOOL: ((uint8_t *)v->data)[i] = x != 0; return;
    case DT_BF16: ((uint16_t *)v->data)[i] = to_bf16((float)x); return;
    case DT_F16: ((uint16_t *)v->data)[i] = to_f16(x); return;
    case DT_N: break;
    }
    BUG("store of dtype %d", (int)v->dtype);
}

const char *const axis_names[AXIS_N] = {"", "R", "R+1", "T0", "T1", "T2", "T3"};

const struct dtype_row dtypes[DT_N] = {
    [DT_F32] = {"f32", "F32", 32, true},
    [DT_F64] = {"f64", "F64", 64, true},
    [DT_I32] = {"i32", "I32", 32, false},
    [DT_I64] = {"i64", "I64", 64, false},
    [DT_U8] = {"u8", "U8", 8, false},
    [DT_I8] = {"i8", "I8", 8, false},
    [DT_BOOL] = {"bool", "BOOL", 8, false},
    [DT_BF16] = {"bf16", "BF16", 16, true},
    [DT_F16] = {"f16", "F16", 16, true},
};
