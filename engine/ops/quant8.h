/* A row of floats to unsigned 8 bits with a scale and a zero point of its own: value = scale * (q - zero). The range always holds zero. Files that include
 * this switch contraction and reordering of float sums off, so that all instruction sets give the same bits. */
#ifndef HONE_ENGINE_OPS_QUANT8_H
#define HONE_ENGINE_OPS_QUANT8_H

#include <math.h>

#include "engine/ops/dot8.h"

struct row8 {
    float scale;
    int32_t zero;
};

/* q gets i8_in(k) values, zeros behind the k. A row that holds something not finite gets the scale NaN. */
static inline struct row8 quant8_row(const float *x, int64_t k, dot8_in *q) {
    float lo = 0, hi = 0, bad = 0;
#pragma omp simd reduction(min : lo) reduction(max : hi) reduction(+ : bad)
    for (int64_t i = 0; i < k; i++) {
        lo = x[i] < lo ? x[i] : lo;
        hi = x[i] > hi ? x[i] : hi;
        bad += x[i] - x[i];
    }
    float range = hi - lo, inv = range > 0 ? 255.0f / range : 0;
    struct row8 r = {range / 255.0f, 0};
    if (bad != 0 || !(range < INFINITY) || !(inv < INFINITY)) {
        r.scale = bad == 0 && range < 1 ? 0 : NAN; /* a range below the smallest normal number is none */
        inv = 0;
    }
    float zero = (float)(int32_t)(-lo * inv + 0.5f), shift = zero + 0.5f;
    r.zero = (int32_t)zero;
#pragma omp simd
    for (int64_t i = 0; i < k; i++) {
        float v = x[i] * inv + shift;
        v = v > 255.0f ? 255.0f : v;
        v = v > 0 ? v : 0; /* not a number: 0 */
        q[i] = (dot8_in)(int32_t)v;
    }
    for (int64_t i = k; i < i8_in(k); i++) q[i] = 0;
    return r;
}

#endif
