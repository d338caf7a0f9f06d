/* Orders: shuffled, balanced by class, bucketed by length. */
#include "config.h"

#include "engine/train/order.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/mem.h"
#include "src/base/rng.h"

struct order {
    struct order_spec s;
    int64_t *row, *spare; /* (n) */
    int64_t *by_class, *first; /* balanced: rows grouped by class; where each class begins, n_class + 1 */
    int64_t n_class, *key; /* bucketed: (length, place) of a run of rows, in one number */
    int64_t made; /* epoch in row; -1: none */
};

static const struct column *target(const struct part *p) { return &p->col[p->n_col - 1]; }

int order_check(const struct order_spec *s, struct err *e) {
    const struct column *y = s->part->n_col ? target(s->part) : NULL;
    if (s->balanced && (!y || y->type != COL_I32 || y->width != 1))
        return err_code(e, ERR_USAGE, "balanced draws every class equally often, but this data has no class for each row");
    if (s->bucket > 0 && (!s->part->n || !part_tokens(s->part, 0)))
        return err_code(e, ERR_USAGE, "buckets=%" PRId64 " sorts texts by their length, but this data holds no texts", s->bucket);
    if ((s->balanced || s->bucket > 0) && !s->shuffle) return err_code(e, ERR_USAGE, "%s needs shuffle=true", s->balanced ? "balanced" : "buckets");
    return 0;
}

static void group(struct order *o) {
    const struct part *p = o->s.part;
    const int32_t *y = target(p)->data;
    for (int64_t i = 0; i < p->n; i++) o->n_class = y[i] >= o->n_class ? y[i] + 1 : o->n_class;
    o->by_class = X_NEW(int64_t, (size_t)p->n + 1);
    o->first = X_NEW(int64_t, (size_t)o->n_class + 2);
    for (int64_t i = 0; i < p->n; i++) o->first[y[i] + 2]++;
    for (int64_t c = 2; c <= o->n_class + 1; c++) o->first[c] += o->first[c - 1];
    for (int64_t i = 0; i < p->n; i++) o->by_class[o->first[y[i] + 1]++] = i; /* now first[c] is where class c begins */
}

struct order *order_new(const struct order_spec *s) {
    struct order *o = X_NEW(struct order, 1);
    size_t n = (size_t)s->part->n + 1;
    o->s = *s;
    o->made = -1;
    o->row = X_NEW(int64_t, n);
    o->spare = X_NEW(int64_t, n);
    if (s->bucket > 0) o->key = X_NEW(int64_t, n);
    if (s->balanced) group(o);
    return o;
}

void order_free(struct order *o) {
    if (!o) return;
    free(o->row);
    free(o->spare);
    free(o->by_class);
    free(o->first);
    free(o->key);
    free(o);
}

/* Place k goes to class k mod classes, which gives its rows in an order of its own, again and again. */
static void balance(struct order *o, int64_t epoch) {
    uint64_t stream = rng_stream(o->s.seed, "balanced", 0);
    int64_t n = o->s.part->n, full = 0;
    memcpy(o->spare, o->by_class, (size_t)n * sizeof *o->spare);
    for (int64_t c = 0; c < o->n_class; c++) {
        int64_t k = o->first[c + 1] - o->first[c];
        if (k) rng_shuffle(rng_stream(stream, "class", (uint32_t)c), (uint64_t)epoch, o->spare + o->first[c], (size_t)k);
        full += k > 0;
    }
    int64_t at = 0;
    for (int64_t round = 0; at < n && full; round++)
        for (int64_t i = 0; i < o->n_class && at < n; i++) {
            int64_t c = (i + epoch) % o->n_class; /* the last round is not whole: another class begins each epoch */
            int64_t k = o->first[c + 1] - o->first[c];
            if (k) o->row[at++] = o->spare[o->first[c] + round % k];
        }
}

/* Heap sort: the keys are all different, and nothing is allocated. */
static void sift(int64_t *k, int64_t i, int64_t n) {
    for (int64_t c; (c = 2 * i + 1) < n; i = c) {
        if (c + 1 < n && k[c + 1] > k[c]) c++;
        if (k[i] >= k[c]) return;
        int64_t t = k[i];
        k[i] = k[c];
        k[c] = t;
    }
}
static void sort_keys(int64_t *k, int64_t n) {
    for (int64_t i = n / 2; i-- > 0;) sift(k, i, n);
    for (int64_t m = n; m-- > 1;) {
        int64_t t = k[0];
        k[0] = k[m];
        k[m] = t;
        sift(k, 0, m);
    }
}

#define PLACE_BITS 32 /* rows of a run; lengths have the bits above */
static void sort_run(struct order *o, int64_t *row, int64_t n, int64_t epoch, int64_t from) {
    int64_t block = o->s.block < 1 ? 1 : o->s.block, blocks = n / block;
    for (int64_t i = 0; i < n; i++) {
        int64_t len = part_tokens(o->s.part, row[i]);
        o->key[i] = (len < INT32_MAX ? len : INT32_MAX) << PLACE_BITS | i;
    }
    sort_keys(o->key, n);
    for (int64_t i = 0; i < n; i++) o->spare[i] = row[o->key[i] & (((int64_t)1 << PLACE_BITS) - 1)];
    for (int64_t b = 0; b < blocks; b++) o->key[b] = b; /* the last block, which is not whole, stays behind the others */
    rng_shuffle(rng_stream(o->s.seed, "buckets", (uint32_t)(from / o->s.bucket)), (uint64_t)epoch, o->key, (size_t)blocks);
    for (int64_t b = 0; b < blocks; b++) memcpy(row + b * block, o->spare + o->key[b] * block, (size_t)block * sizeof *row);
    if (blocks * block < n) memcpy(row + blocks * block, o->spare + blocks * block, (size_t)(n - blocks * block) * sizeof *row);
}

const int64_t *order_make(struct order *o, int64_t epoch) {
    int64_t n = o->s.part->n;
    if (o->made == epoch) return o->row;
    for (int64_t i = 0; i < n; i++) o->row[i] = i;
    if (o->s.balanced) balance(o, epoch);
    if (o->s.shuffle) rng_shuffle(rng_stream(o->s.seed, "shuffle", 0), (uint64_t)epoch, o->row, (size_t)n);
    for (int64_t i = 0; o->s.bucket > 0 && i < n; i += o->s.bucket) sort_run(o, o->row + i, n - i < o->s.bucket ? n - i : o->s.bucket, epoch, i);
    o->made = epoch;
    return o->row;
}
