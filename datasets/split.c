/* Rows sorted by class, each class shuffled by its own stream; draws take from the front of every class. */
#include "datasets/split.h"

#include <stdlib.h>
#include <string.h>

#include "src/base/mem.h"
#include "src/base/rng.h"

struct strata {
    int n_class;
    int64_t *row; /* grouped by class, shuffled inside */
    int64_t *from, *end; /* what is left of each class in row */
    int64_t left;
};

struct strata *strata_new(const int32_t *cls, int64_t n, int n_class, uint64_t seed, const char *what) {
    struct strata *s = X_NEW(struct strata, 1);
    s->n_class = cls ? n_class : 1;
    s->row = X_NEW(int64_t, (size_t)n + 1);
    s->from = X_NEW(int64_t, (size_t)s->n_class + 1);
    s->end = X_NEW(int64_t, (size_t)s->n_class + 1);
    s->left = n;
    for (int64_t i = 0; i < n; i++) s->end[cls ? cls[i] : 0]++;
    int64_t at = 0;
    for (int c = 0; c < s->n_class; c++) {
        s->from[c] = at;
        at += s->end[c];
        s->end[c] = s->from[c];
    }
    for (int64_t i = 0; i < n; i++) s->row[s->end[cls ? cls[i] : 0]++] = i;
    uint64_t stream = rng_stream(seed, what, 0);
    for (int c = 0; c < s->n_class; c++) rng_shuffle(stream, (uint64_t)c, s->row + s->from[c], (size_t)(s->end[c] - s->from[c]));
    return s;
}

int64_t strata_left(const struct strata *s) { return s->left; }

struct rest {
    double part;
    int cls;
};
static int by_rest(const void *pa, const void *pb) {
    const struct rest *a = pa, *b = pb;
    if (a->part != b->part) return a->part < b->part ? 1 : -1;
    return a->cls - b->cls;
}
static int by_row(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

void strata_take(struct strata *s, int64_t want, int64_t *out) {
    int64_t *quota = X_NEW(int64_t, (size_t)s->n_class + 1), sum = 0, n = 0;
    struct rest *rest = X_NEW(struct rest, (size_t)s->n_class + 1);
    for (int c = 0; c < s->n_class && s->left; c++) {
        int64_t have = s->end[c] - s->from[c];
        double exact = (double)want * (double)have / (double)s->left;
        quota[c] = (int64_t)exact > have ? have : (int64_t)exact;
        rest[c] = (struct rest){have > quota[c] ? exact - (double)quota[c] : -1, c};
        sum += quota[c];
    }
    qsort(rest, (size_t)s->n_class, sizeof *rest, by_rest);
    for (int round = 0; sum < want && round < 3; round++)
        for (int i = 0; i < s->n_class && sum < want; i++)
            if (quota[rest[i].cls] < s->end[rest[i].cls] - s->from[rest[i].cls]) quota[rest[i].cls]++, sum++;
    for (int c = 0; c < s->n_class; c++) {
        if (quota[c]) memcpy(out + n, s->row + s->from[c], (size_t)quota[c] * sizeof *out);
        n += quota[c];
        s->from[c] += quota[c];
    }
    s->left -= n;
    qsort(out, (size_t)n, sizeof *out, by_row);
    free(quota);
    free(rest);
}

void strata_free(struct strata *s) {
    free(s->row);
    free(s->from);
    free(s->end);
    free(s);
}
