/* A ring of batches between the loader thread and the engine thread. Fields are grouped by who owns them. */
#include "config.h"

#include "engine/train/loader.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "engine/train/order.h"
#include "src/base/mem.h"
#include "src/base/rng.h"
#include "src/base/thread.h"

#define SLOTS 3

struct loader {
    struct loader_spec spec; /* immutable but for batch, which the lock protects */
    int64_t max_rows, max_tokens[LOADER_COLS];
    pthread_t thread;
    bool started;
    struct batch slot[SLOTS]; /* a slot belongs to the engine thread while taken, to the loader thread while it fills it */
    struct order *order; /* loader thread */
    struct augment *augment; /* loader thread; NULL: batches stay as they are */
    pthread_mutex_t lock; /* protects everything below */
    pthread_cond_t changed;
    int64_t made, taken; /* batches filled and handed out so far; slot of batch i: i % SLOTS */
    int64_t epoch, start; /* of the next batch to fill */
    int64_t generation; /* counts seeks */
    bool held, quit, ended; /* held: batch taken - 1 is in use by the engine */
};

static _Atomic uint64_t serials; /* of batches, of all loaders */

static int by_size(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x < y) - (x > y);
}

void loader_limits(const struct part *p, int64_t batch, int64_t batch_tokens, bool again, int64_t *rows, int64_t tokens[LOADER_COLS]) {
    *rows = batch < p->n ? batch : p->n;
    int64_t *len = X_NEW(int64_t, (size_t)p->n + 1);
    for (int c = 0; c < LOADER_COLS; c++) {
        tokens[c] = 0;
        if (c >= p->n_col || p->col[c].type != COL_TOKENS) continue;
        for (int64_t i = 0; i < p->n; i++) len[i] = p->col[c].offset[i + 1] - p->col[c].offset[i];
        qsort(len, (size_t)p->n, sizeof *len, by_size);
        for (int64_t i = 0; i < *rows; i++) tokens[c] += len[again ? 0 : i];
        if (batch_tokens > 0 && tokens[c] > batch_tokens) tokens[c] = p->n && len[0] > batch_tokens ? len[0] : batch_tokens;
    }
    free(len);
}

static int alloc_slot(struct loader *l, struct batch *b, struct err *e) {
    const struct part *p = l->spec.part;
    int64_t rows = l->max_rows > 0 ? l->max_rows : 1;
    b->index = X_NEW(int64_t, (size_t)rows);
    b->share = 1;
    if (l->spec.augment.mixup > 0) b->other = X_NEW(int32_t, (size_t)rows);
    for (int c = 0; c < p->n_col; c++) {
        const struct column *col = &p->col[c];
        if (col->type == COL_TEXT) continue;
        int64_t n = col->type == COL_TOKENS ? l->max_tokens[c] + 1 : rows * (col->width > 0 ? col->width : 1);
        if (!(b->col[c].data = mem_try((size_t)n, 4, "the next batches", e))) return -1;
        if (col->type != COL_TOKENS) continue;
        if (!(b->col[c].offset = mem_try((size_t)rows + 1, 4, "the next batches", e))) return -1;
        if (l->spec.weights && !(b->col[c].weight = mem_try((size_t)n, 4, "the next batches", e))) return -1;
    }
    return 0;
}

/* Rows of the batch that begins at start. */
static int64_t batch_rows(const struct loader *l, const int64_t *order, int64_t start, int64_t batch, int64_t *tokens) {
    const struct part *p = l->spec.part;
    int64_t n = 0;
    *tokens = 0;
    for (; n < batch && n < l->max_rows && start + n < p->n; n++) {
        int64_t t = part_tokens(p, order[start + n]);
        if (n && l->spec.batch_tokens > 0 && *tokens + t > l->spec.batch_tokens) break;
        *tokens += t;
    }
    return n;
}

static void fill(struct loader *l, struct batch *b, int64_t epoch, int64_t start, int64_t batch) {
    const struct part *p = l->spec.part;
    const int64_t *order = order_make(l->order, epoch);
    b->epoch = epoch;
    b->start = start;
    b->rows = batch_rows(l, order, start, batch, &b->total_tokens);
    b->last = start + b->rows >= p->n;
    memcpy(b->index, order + start, (size_t)b->rows * sizeof *b->index);
    int64_t shift = p->slide > 0 && l->spec.shuffle ? (int64_t)rng_below(rng_stream(l->spec.seed, "slide", 0), (uint64_t)epoch, 0, (uint64_t)p->slide + 1) : 0;
    part_fill_at(p, b->index, b->rows, shift, b->col);
    if (l->augment) b->share = augment_batch(l->augment, epoch, start, b->rows, b->col, b->other);
    for (int c = 0; c < p->n_col; c++) b->tokens[c] = b->col[c].offset ? b->col[c].offset[b->rows] : 0;
}

static void *loop(void *arg) {
    struct loader *l = arg;
    pthread_mutex_lock(&l->lock);
    while (!l->quit) {
        int busy = l->held ? 1 : 0;
        if (l->ended || l->made - l->taken + busy >= SLOTS) {
            pthread_cond_wait(&l->changed, &l->lock);
            continue;
        }
        int64_t epoch = l->epoch, start = l->start, batch = l->spec.batch, generation = l->generation;
        struct batch *b = &l->slot[l->made % SLOTS];
        pthread_mutex_unlock(&l->lock);
        fill(l, b, epoch, start, batch);
        pthread_mutex_lock(&l->lock);
        if (generation != l->generation) continue; /* a seek came in between: fill this slot again */
        b->serial = atomic_fetch_add(&serials, 1) + 1;
        l->made++;
        l->epoch = b->last ? epoch + 1 : epoch;
        l->start = b->last ? 0 : start + b->rows;
        l->ended = l->spec.epochs > 0 && l->epoch >= l->spec.epochs;
        pthread_cond_broadcast(&l->changed);
    }
    pthread_mutex_unlock(&l->lock);
    return NULL;
}

struct loader *loader_new(const struct loader_spec *spec, int64_t epoch, int64_t start, struct err *e) {
    struct loader *l = X_NEW(struct loader, 1);
    l->spec = *spec;
    l->epoch = epoch;
    l->start = start;
    pthread_mutex_init(&l->lock, NULL);
    pthread_cond_init(&l->changed, NULL);
    if (spec->part->n <= 0 || spec->part->n_col > LOADER_COLS || spec->batch < 1) {
        err_set(e, "there is nothing to read: the part has no rows, or more than %d columns", LOADER_COLS);
        goto fail;
    }
    l->ended = spec->epochs > 0 && epoch >= spec->epochs;
    struct order_spec os = {spec->part, spec->seed, spec->shuffle, spec->balanced, spec->bucket, spec->block};
    if (order_check(&os, e) < 0 || augment_check(&spec->augment, spec->part, e) < 0) goto fail;
    loader_limits(spec->part, spec->batch, spec->batch_tokens, spec->balanced, &l->max_rows, l->max_tokens);
    l->order = order_new(&os);
    if (augment_any(&spec->augment) && !(l->augment = augment_new(&spec->augment, spec->part, l->max_rows, spec->seed, e))) goto fail;
    for (int i = 0; i < SLOTS; i++)
        if (alloc_slot(l, &l->slot[i], e) < 0) goto fail;
    if (thread_start(&l->thread, "loader", loop, l, e) < 0) goto fail;
    l->started = true;
    return l;
fail:
    loader_free(l);
    return NULL;
}

void loader_free(struct loader *l) {
    if (!l) return;
    if (l->started) {
        pthread_mutex_lock(&l->lock);
        l->quit = true;
        pthread_cond_broadcast(&l->changed);
        pthread_mutex_unlock(&l->lock);
        pthread_join(l->thread, NULL);
    }
    for (int i = 0; i < SLOTS; i++) {
        free(l->slot[i].index);
        free(l->slot[i].other);
        for (int c = 0; c < LOADER_COLS; c++) {
            free(l->slot[i].col[c].data);
            free(l->slot[i].col[c].offset);
            free(l->slot[i].col[c].weight);
        }
    }
    order_free(l->order);
    augment_free(l->augment);
    pthread_cond_destroy(&l->changed);
    pthread_mutex_destroy(&l->lock);
    free(l);
}

const struct batch *loader_next(struct loader *l) {
    const struct batch *b = NULL;
    pthread_mutex_lock(&l->lock);
    l->held = false;
    pthread_cond_broadcast(&l->changed);
    while (l->made == l->taken && !l->ended) pthread_cond_wait(&l->changed, &l->lock);
    if (l->made > l->taken) {
        b = &l->slot[l->taken++ % SLOTS];
        l->held = true;
    }
    pthread_mutex_unlock(&l->lock);
    return b;
}

const struct batch *loader_peek(struct loader *l) {
    pthread_mutex_lock(&l->lock);
    const struct batch *b = l->made > l->taken ? &l->slot[l->taken % SLOTS] : NULL;
    pthread_mutex_unlock(&l->lock);
    return b;
}

void loader_seek(struct loader *l, int64_t epoch, int64_t start, int64_t batch) {
    pthread_mutex_lock(&l->lock);
    l->generation++;
    l->made = l->taken;
    l->epoch = epoch;
    l->start = start;
    l->spec.batch = batch;
    l->ended = l->spec.epochs > 0 && epoch >= l->spec.epochs;
    pthread_cond_broadcast(&l->changed);
    pthread_mutex_unlock(&l->lock);
}
