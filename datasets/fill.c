/* Batches: rows of columns into the caller's buffers. Loader thread; no allocation. The inner loops run over blocks of a constant
 * length, which is what gets them vectorised at -O2. */
#include <string.h>

#include "datasets/dataset.h"

#define BLOCK 32

static void scale_u8(float *restrict out, const uint8_t *restrict in, int64_t n, float scale, float shift) {
    int64_t i = 0;
    for (; i + BLOCK <= n; i += BLOCK)
        for (int k = 0; k < BLOCK; k++) out[i + k] = (float)in[i + k] * scale + shift;
    for (; i < n; i++) out[i] = (float)in[i] * scale + shift;
}

static void scale_f32(float *restrict out, const float *restrict in, int64_t n, float scale, float shift) {
    int64_t i = 0;
    for (; i + BLOCK <= n; i += BLOCK)
        for (int k = 0; k < BLOCK; k++) out[i + k] = in[i + k] * scale + shift;
    for (; i < n; i++) out[i] = in[i] * scale + shift;
}

static void standardise(float *restrict out, const float *restrict mean, const float *restrict inv, int64_t n) {
    for (int64_t i = 0; i < n; i++) out[i] = (out[i] - mean[i]) * inv[i];
}

void column_standardise(struct column *c, double mean, double std) {
    c->scale = (float)(1 / std);
    c->shift = (float)(-mean / std);
}

void column_restore(const struct column *c, const float *in, float *out, int64_t n) {
    double scale = (double)c->scale, shift = (double)c->shift;
    for (int64_t i = 0; i < n; i++) out[i] = (float)(((double)in[i] - shift) / scale);
}

static void fill_dense(const struct column *c, const int64_t *idx, int64_t n, void *data) {
    int64_t w = c->width;
    if (c->type == COL_I32) {
        int32_t *out = data;
        const int32_t *in = c->data;
        if (w == 1)
            for (int64_t i = 0; i < n; i++) out[i] = in[idx[i]];
        else
            for (int64_t i = 0; i < n; i++) memcpy(out + i * w, in + idx[i] * w, (size_t)w * 4);
        return;
    }
    float *out = data;
    for (int64_t i = 0; i < n; i++, out += w) {
        if (i + 1 < n) __builtin_prefetch((const char *)c->data + idx[i + 1] * w * (c->type == COL_U8 ? 1 : 4));
        if (c->type == COL_U8) scale_u8(out, (const uint8_t *)c->data + idx[i] * w, w, c->scale, c->shift);
        else if (c->scale == 1 && c->shift == 0) memcpy(out, (const float *)c->data + idx[i] * w, (size_t)w * 4);
        else scale_f32(out, (const float *)c->data + idx[i] * w, w, c->scale, c->shift);
        if (c->mean) standardise(out, c->mean, c->inv_std, w);
    }
}

static int64_t fill_ragged(const struct column *c, const int64_t *idx, int64_t n, int64_t shift, struct batch_col *b) {
    const int32_t *in = c->data;
    int32_t *out = b->data;
    int64_t at = 0;
    b->offset[0] = 0;
    for (int64_t i = 0; i < n; i++) {
        int64_t from = c->offset[idx[i]], k = c->offset[idx[i] + 1] - from;
        memcpy(out + at, in + from + shift, (size_t)k * 4);
        if (b->weight) {
            if (c->weight) memcpy(b->weight + at, c->weight + from, (size_t)k * 4);
            else
                for (int64_t j = 0; j < k; j++) b->weight[at + j] = 1;
        }
        b->offset[i + 1] = (int32_t)(at += k);
    }
    return at;
}

int64_t part_fill_at(const struct part *p, const int64_t *idx, int64_t n, int64_t shift, struct batch_col *out) {
    int64_t tokens = 0;
    for (int i = 0; i < p->n_col; i++) {
        if (!out[i].data) continue; /* a column the caller has no use for */
        if (p->col[i].type == COL_TOKENS) {
            int64_t k = fill_ragged(&p->col[i], idx, n, shift, &out[i]);
            if (!tokens) tokens = k;
        } else if (p->col[i].type != COL_TEXT) fill_dense(&p->col[i], idx, n, out[i].data);
    }
    return tokens;
}

int64_t part_fill(const struct part *p, const int64_t *idx, int64_t n, struct batch_col *out) { return part_fill_at(p, idx, n, 0, out); }

int64_t part_tokens(const struct part *p, int64_t row) {
    int64_t n = 0;
    for (int i = 0; i < p->n_col; i++)
        if (p->col[i].type == COL_TOKENS) n += p->col[i].offset[row + 1] - p->col[i].offset[row];
    return n;
}
