/* Two ways to do the same work, of which the faster is taken: measured before the first run of a shape (c->preparing) on the operands it will see, kept by
 * device, driver and shape with rows rounded up to a power of two (host->keep). Where nothing may be measured the caller's own rule decides. */
#include "engine/cuda/cuda.h"

#include <stdio.h>
#include <stdlib.h>

static const int ROUNDS = 5, REPEAT = 4;
struct way {
    const struct two_ways *what;
    int64_t n, k, rows;
    int which;
};

static void key_of(const struct way *w, char *key, size_t n) {
    snprintf(key, n, "%s of %lld from %lld for %lld rows", w->what->name, (long long)w->n, (long long)w->k, (long long)w->rows);
}
static int by_size(const void *a, const void *b) { return *(const float *)a < *(const float *)b ? -1 : *(const float *)a > *(const float *)b; }
/* Microseconds, the median of a few; below 0: this way does not run. */
static float time_of(struct cuda *c, const struct two_ways *what, int which, void *ctx, void *y, cudaEvent_t from, cudaEvent_t to) {
    float t[ROUNDS];
    bool ok = what->run(c, ctx, which, y, NULL) == 0; /* the first does not count */
    for (int i = 0; i < ROUNDS && ok; i++) {
        float ms = 0;
        ok = cudaEventRecord(from, c->stream) == cudaSuccess;
        for (int r = 0; r < REPEAT && ok; r++) ok = what->run(c, ctx, which, y, NULL) == 0;
        ok = ok && cudaEventRecord(to, c->stream) == cudaSuccess && cudaEventSynchronize(to) == cudaSuccess &&
             cudaEventElapsedTime(&ms, from, to) == cudaSuccess;
        t[i] = ms * 1e3f / (float)REPEAT;
    }
    if (ok) qsort(t, ROUNDS, sizeof *t, by_size);
    else cudaGetLastError(); /* that it does not run is told by the time */
    return ok ? t[ROUNDS / 2] : -1;
}
static void measure(struct cuda *c, struct way *w, void *ctx, size_t bytes) {
    cudaEvent_t from = NULL, to = NULL;
    void *y = NULL;
    char id[256], key[128], value[64];
    if (cudaMalloc(&y, bytes) != cudaSuccess) { /* the result's own memory stays as it is */
        cudaGetLastError();
        return;
    }
    c->preparing = false;
    float t[2] = {-1, -1};
    bool ok = cudaEventCreate(&from) == cudaSuccess && cudaEventCreate(&to) == cudaSuccess;
    for (int i = 0; i < 2 && ok; i++) t[i] = time_of(c, w->what, i, ctx, y, from, to);
    c->preparing = true;
    if (from) cudaEventDestroy(from);
    if (to) cudaEventDestroy(to);
    cudaFree(y);
    if (t[0] < 0 && t[1] < 0) return;
    w->which = t[0] < 0 || (t[1] >= 0 && t[1] < t[0]);
    if (t[0] < 0 || t[1] < 0) return; /* one that does not run is found out again */
    key_of(w, key, sizeof key);
    snprintf(value, sizeof value, "%s %.2f %.2f", w->what->names[w->which], (double)t[0], (double)t[w->which]);
    device_identity(c, id, sizeof id);
    c->host->keep(id, key, value);
}
static int recalled(struct cuda *c, const struct way *w) {
    char id[256], key[128], value[64] = "";
    key_of(w, key, sizeof key);
    device_identity(c, id, sizeof id);
    if (!c->host->measuring() || c->host->recall(id, key, value, sizeof value) < 0) return -1;
    value[strcspn(value, " ")] = 0;
    return strcmp(value, w->what->names[0]) == 0 ? 0 : strcmp(value, w->what->names[1]) == 0 ? 1 : -1;
}

int way_of(struct cuda *c, const struct two_ways *what, int64_t n, int64_t k, int64_t rows, int otherwise, void *ctx, size_t bytes) {
    struct way w = {what, n, k, 1, -1}, *all = c->ways;
    while (w.rows < rows) w.rows *= 2;
    for (int i = 0; i < c->n_ways; i++)
        if (all[i].what == what && all[i].n == n && all[i].k == k && all[i].rows == w.rows) return all[i].which;
    if ((w.which = recalled(c, &w)) < 0 && c->preparing && c->host->measuring()) measure(c, &w, ctx, bytes);
    if (w.which < 0 && c->host->measuring()) return otherwise; /* another time */
    if (w.which < 0) w.which = otherwise;
    if ((all = (struct way *)realloc(all, (size_t)(c->n_ways + 1) * sizeof *all))) {
        c->ways = all;
        all[c->n_ways++] = w;
    }
    return w.which;
}
