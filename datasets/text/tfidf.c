/* TF-IDF: idf = ln((1 + n) / (1 + df)) + 1, weight = count x idf, each text of Euclidean length 1. */
#include "datasets/text/encoder.h"

#include <math.h>
#include <stdlib.h>

static int by_id(const void *a, const void *b) {
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return (x > y) - (x < y);
}

/* Padding and unknown ids are dropped; a text without any other keeps one padding id of weight 0. */
int64_t tfidf_distinct(int32_t *ids, float *weight, int64_t n) {
    qsort(ids, (size_t)n, sizeof *ids, by_id);
    int64_t k = 0;
    for (int64_t i = 0; i < n; i++) {
        if (ids[i] <= VOCAB_UNKNOWN) continue;
        if (k && ids[k - 1] == ids[i]) weight[k - 1]++;
        else {
            ids[k] = ids[i];
            weight[k++] = 1;
        }
    }
    if (k) return k;
    ids[0] = VOCAB_PAD;
    weight[0] = 0;
    return 1;
}

float *tfidf_learn(const struct column *c, int64_t rows, int64_t max_id) {
    float *idf = X_NEW(float, (size_t)max_id);
    const int32_t *id = c->data;
    for (int64_t i = 0; i < c->offset[rows]; i++) idf[id[i]]++;
    for (int64_t i = 0; i < max_id; i++) idf[i] = (float)(log((1.0 + (double)rows) / (1.0 + idf[i])) + 1);
    return idf;
}

void tfidf_weigh(struct column *c, int64_t rows, const float *idf) {
    const int32_t *id = c->data;
    for (int64_t r = 0; r < rows; r++) {
        double sum = 0;
        for (int64_t i = c->offset[r]; i < c->offset[r + 1]; i++) {
            c->weight[i] *= idf[id[i]];
            sum += (double)c->weight[i] * c->weight[i];
        }
        float inv = sum > 0 ? (float)(1 / sqrt(sum)) : 0;
        for (int64_t i = c->offset[r]; i < c->offset[r + 1]; i++) c->weight[i] *= inv;
    }
}
