/* Weights in another form (bytes in rows, fp8), made once and again only after the weights changed. The core says which memory of the device holds weights
 * and when it was written (backend.weights); what was made from it is then out of date, and is made again before the next use: a kernel that runs asks here,
 * and what is replayed goes by the addresses it was kept with, so everything out of date is renewed before a replay. Where there is no room, or no weights,
 * kernels make the form each time. */
#include "engine/cuda/cuda.h"

#include <stdlib.h>

struct block {
    struct block *next;
    const char *from;
    size_t bytes;
    struct held_weight *first;
};
struct held_weight {
    struct held_weight *next;
    const void *from;
    void *to;
    held_make make;
    int64_t n, k;
    bool stale;
};

static struct block *block_of(const struct cuda *c, const void *p) {
    struct block *b = c->blocks;
    while (b && !((const char *)p >= b->from && (const char *)p < b->from + b->bytes)) b = b->next;
    return b;
}
static void block_free(struct cuda *c, struct block *b) {
    for (struct held_weight *h = b->first, *next; h; h = next) {
        next = h->next;
        if (!c->lost) cudaFree(h->to);
        free(h);
    }
    free(b);
}

void held_weights(struct cuda *c, const void *p, size_t n) {
    struct block **at = &c->blocks, *b;
    while (*at && (*at)->from != p) at = &(*at)->next;
    b = *at;
    if (b && n == b->bytes) {
        for (struct held_weight *h = b->first; h; h = h->next) h->stale = c->held_stale = true;
        return;
    }
    if (b) {
        *at = b->next;
        block_free(c, b);
    }
    if (n == 0 || !(b = (struct block *)calloc(1, sizeof *b))) return; /* unknown weights are not held, which costs time alone */
    b->from = (const char *)p, b->bytes = n, b->next = c->blocks;
    c->blocks = b;
}
void held_free(struct cuda *c) {
    while (c->blocks) {
        struct block *b = c->blocks;
        c->blocks = b->next;
        block_free(c, b);
    }
}

void held_renew(struct cuda *c) {
    for (struct block *b = c->held_stale ? c->blocks : NULL; b; b = b->next)
        for (struct held_weight *h = b->first; h; h = h->next) {
            if (h->stale) h->make(c, h->from, h->to, h->n, h->k);
            h->stale = false;
        }
    c->held_stale = false;
}

const void *held(struct cuda *c, const void *from, held_make make, size_t bytes, int64_t n, int64_t k) {
    struct block *b = block_of(c, from);
    struct held_weight *h = b ? b->first : NULL;
    while (h && !(h->from == from && h->make == make && h->n == n && h->k == k)) h = h->next;
    if (h && !(h->stale && c->keeping)) {
        if (h->stale) make(c, from, h->to, n, k);
        h->stale = false;
        c->held_used = true;
        return h->to;
    }
    if (!b || h || c->keeping || !(h = (struct held_weight *)calloc(1, sizeof *h))) return NULL;
    c->n_allocations++;
    if (cudaMalloc(&h->to, bytes) != cudaSuccess) {
        cudaGetLastError();
        free(h);
        return NULL;
    }
    h->from = from, h->make = make, h->n = n, h->k = k, h->next = b->first;
    b->first = h;
    make(c, from, h->to, n, k);
    c->held_used = true;
    return h->to;
}
