/* Rewrites of the forward graph, before the gradient is built: one const table. A rule replaces a reader in place, so its
 * output keeps its tid; what it no longer reads is left out by the plan. Each rule has a test that fused and unfused agree. */
#include <string.h>

#include "engine/graph/op.h"

struct rule {
    const char *reader, *producer; /* reader's in[0] is made by producer, and nothing else reads it */
    const char *fused;
    int (*rewrite)(struct graph *g, int reader, int producer, const struct op *fused, struct err *e); /* 1: done, 0: does not fit */
};

static int readers(const struct graph *g, tid t) {
    int n = 0;
    for (int i = 0; i < g->n_node; i++)
        for (int j = 0; j < g->node[i].n_in; j++) n += g->node[i].in[j] == t;
    return n;
}

/* mean_pool(embedding(ids, table), offsets [, weights]) = embedding_bag(ids, table, offsets [, weights]), mode mean by default */
static int bag(struct graph *g, int reader, int producer, const struct op *fused, struct err *e) {
    struct node *r = &g->node[reader];
    const struct node *p = &g->node[producer];
    tid offsets = r->n_in > 1 ? r->in[1] : -1, weight = r->n_in > 2 ? r->in[2] : -1;
    if (offsets < 0 || g->tensor[p->in[0]].ndim != 1) return 0;
    struct val *none = val_table();
    void *attr = arena_new(&g->mem, 1, fused->kind.size);
    int rc = args_parse(&fused->kind, none, attr, e);
    val_free(none);
    if (rc < 0) return -1;
    if (r->attr && r->own_attr) args_release(&r->op->kind, (void *)(uintptr_t)r->attr);
    r->op = fused, r->attr = attr, r->own_attr = true;
    r->in[0] = p->in[0], r->in[1] = p->in[1], r->in[2] = offsets, r->in[3] = weight;
    r->n_in = weight >= 0 ? 4 : 3;
    r->scratch = (struct dim){0}, r->scratch_fixed = 0;
    return 1;
}

static const struct rule rules[] = {
    {"mean_pool", "embedding", "embedding_bag", bag},
};

int fuse_forward(struct graph *g, struct err *e) {
    for (int i = 0; i < g->n_node; i++)
        for (size_t r = 0; r < LEN(rules); r++) {
            const struct node *n = &g->node[i];
            if (n->n_in < 1 || n->in[0] < 0 || strcmp(n->op->kind.name, rules[r].reader) != 0) continue;
            int from = g->tensor[n->in[0]].node;
            const struct op *fused = op_find(rules[r].fused);
            if (from < 0 || !fused || strcmp(g->node[from].op->kind.name, rules[r].producer) != 0 || readers(g, n->in[0]) != 1) continue;
            if (rules[r].rewrite(g, i, from, fused, e) < 0) return -1;
        }
    return 0;
}
