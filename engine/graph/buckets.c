/* Cutting what devices sum into buckets. */
#include "engine/graph/buckets.h"

#include <stdlib.h>

#include "src/base/mem.h"

#define LEAST ((int64_t)1 << 18) /* numbers of a bucket: less is hardly faster to sum */
#define GAP 16 /* numbers: less than that between two tensors is the end of the first one's last 64 bytes, and summed along */

struct final { /* a tensor that is summed */
    float *at;
    int64_t len;
    int step; /* that writes it last */
};
static int by_step(const void *a, const void *b) {
    const struct final *x = a, *y = b;
    return x->step != y->step ? x->step - y->step : x->at < y->at ? -1 : x->at > y->at;
}
static int by_place(const void *a, const void *b) {
    const struct final *x = a, *y = b;
    return x->at < y->at ? -1 : x->at > y->at;
}

static int last_writer(const struct plan *p, tid t, enum phase to) {
    int at = 0;
    for (int s = 0; s < p->n_step; s++) {
        const struct node *n = &p->g->node[p->step_node[s]];
        for (int j = 0; j < n->n_out && n->phase <= to; j++)
            if (p->place[n->out[j]].root == p->place[t].root) at = s;
    }
    return at;
}

/* Neighbours in memory become one piece. */
static void pieces(struct buckets *b, struct final *f, int n) {
    struct bucket *k = &b->bucket[b->n++];
    *k = (struct bucket){.first = b->n_piece};
    for (int i = 0; i < n; i++)
        if (f[i].step > k->step) k->step = f[i].step;
    qsort(f, (size_t)n, sizeof *f, by_place);
    for (int i = 0; i < n; i++) {
        int last = k->n ? k->first + k->n - 1 : -1;
        int64_t gap = last < 0 ? -1 : f[i].at - (b->at[last] + b->len[last]);
        if (last >= 0 && gap >= 0 && gap < GAP) b->len[last] += gap + f[i].len;
        else b->at[b->n_piece] = f[i].at, b->len[b->n_piece++] = f[i].len, k->n++;
    }
}

struct buckets *buckets_new(const struct plan *p, const tid *t, int n, enum phase to) {
    struct buckets *b = X_NEW(struct buckets, 1);
    struct final *f = X_NEW(struct final, (size_t)n + 1);
    int64_t all = 0, some = 0;
    int k = 0;
    for (int i = 0; i < n; i++) {
        float *at = t[i] < 0 ? NULL : device_at(p, t[i]);
        int64_t len = t[i] < 0 ? 0 : tensor_len(&p->g->tensor[t[i]], &p->max);
        if (at && len) f[k++] = (struct final){at, len, last_writer(p, t[i], to)}, all += len;
    }
    qsort(f, (size_t)k, sizeof *f, by_step);
    b->at = X_NEW(float *, (size_t)k + 1);
    b->len = X_NEW(int64_t, (size_t)k + 1);
    for (int i = 0, from = 0; i < k; i++) {
        some += f[i].len;
        if (i + 1 < k && (some < LEAST || some < all / (BUCKETS_MAX - 1) || b->n == BUCKETS_MAX - 1)) continue;
        pieces(b, f + from, i + 1 - from);
        from = i + 1, some = 0;
    }
    free(f);
    return b;
}

void buckets_free(struct buckets *b) {
    if (!b) return;
    free(b->at);
    free(b->len);
    free(b);
}
