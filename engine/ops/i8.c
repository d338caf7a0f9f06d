/* Packing of weights in 8 bits; see i8.h. Runs when a model is made or read, never in a step. */
#include "engine/ops/i8.h"

#include <math.h>
#include <string.h>

size_t i8_bytes(int64_t out, int64_t in) { return (size_t)i8_out(out) * (size_t)i8_in(in) + (size_t)i8_out(out) * sizeof(int32_t); }

/* Where weight (o, i) lies. */
static int64_t place(int64_t o, int64_t i, int64_t in) { return o / I8_PANEL * I8_PANEL * i8_in(in) + i / 4 * 4 * I8_PANEL + o % I8_PANEL * 4 + i % 4; }

void i8_pack(const int8_t *rows, int64_t out, int64_t in, void *packed) {
    int8_t *q = packed;
    int32_t *sum = (int32_t *)((char *)packed + i8_out(out) * i8_in(in));
    memset(packed, 0, i8_bytes(out, in));
    for (int64_t o = 0; o < out; o++)
        for (int64_t i = 0; i < in; i++) {
            q[place(o, i, in)] = rows[o * in + i];
            sum[o] += rows[o * in + i];
        }
}

void i8_unpack(const void *packed, int64_t out, int64_t in, int8_t *rows) {
    const int8_t *q = packed;
    for (int64_t o = 0; o < out; o++)
        for (int64_t i = 0; i < in; i++) rows[o * in + i] = q[place(o, i, in)];
}

void i8_rows(const float *w, int64_t n, int64_t width, int8_t *q, float *scale) {
    for (int64_t r = 0; r < n; r++, w += width, q += width) {
        float max = 0, bad = 0;
        for (int64_t i = 0; i < width; i++) max = fmaxf(max, fabsf(w[i])), bad += w[i] - w[i]; /* fmaxf passes over NaN */
        scale[r] = bad == 0 ? max / 127 : NAN; /* what is not a number stays visible */
        float inv = max > 0 && bad == 0 ? 127 / max : 0;
        for (int64_t i = 0; i < width; i++) {
            float v = isfinite(w[i]) ? roundf(w[i] * inv) : 0;
            q[i] = (int8_t)(v > 127 ? 127 : v < -127 ? -127 : v);
        }
    }
}
