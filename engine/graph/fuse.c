/* Rewrites of the forward graph, before the gradient is built: one const table. A rule replaces a reader in place, so its
 * output keeps its tid; what it no longer reads is left out by the plan. Each rule has a test that fused and unfused agree. */
#include <string.h>

#include "engine/graph/op.h"

struct rule {
    const char *reader, *producer; /* reader's in[arg] is made by producer, and nothing else reads it */
    const char *fused;
    int (*rewrite)(struct graph *g, int reader, int producer, const struct op *fused, struct err *e); /* 1: done, 0: does not fit */
    int arg; /* which input of the reader */
};

static int readers(const struct graph *g, tid t) {
    int n = 0;
    for (int i = 0; i < g->n_node; i++)
        for (int j = 0; j < g->node[i].n_in; j++) n += g->node[i].in[j] == t;
    return n;
}

/* Another op with arguments of its own. */
static void become(struct node *r, const struct op *op, void *attr) {
    if (r->attr && r->own_attr) args_release(&r->op->kind, (void *)(uintptr_t)r->attr);
    r->op = op, r->attr = attr, r->own_attr = true;
}

/* mean_pool(embedding(ids, table), offsets [, weights]) = embedding_bag(ids, table, offsets [, weights]), mode mean by default */
static int bag(struct graph *g, int reader, int producer, const struct op *fused, struct err *e) {
    struct node *r = &g->node[reader];
    const struct node *p = &g->node[producer];
    tid offsets = r->n_in > 1 ? r->in[1] : -1, weight = r->n_in > 2 ? r->in[2] : -1, scale = p->n_in > 2 ? p->in[2] : -1;
    if (offsets < 0 || g->tensor[p->in[0]].ndim != 1) return 0;
    struct val *none = val_table();
    void *attr = arena_new(&g->mem, 1, fused->kind.size);
    int rc = args_parse(&fused->kind, none, attr, e);
    val_free(none);
    if (rc < 0) return -1;
    become(r, fused, attr);
    r->in[0] = p->in[0], r->in[1] = p->in[1], r->in[2] = offsets, r->n_in = 3;
    if (scale >= 0) r->in[r->n_in++] = scale; /* of a table in 8 bits */
    if (weight >= 0) r->in[r->n_in++] = weight;
    r->scratch = (struct dim){0}, r->scratch_fixed = 0;
    return 1;
}

/* Node `reader` becomes batch normalisation with what it did joined in; it takes over the statistics, so that the old node is left out. */
static int take_norm(struct graph *g, int reader, int producer, tid residual, bool relu) {
    struct node *r = &g->node[reader], *p = &g->node[producer];
    struct tensor *y = &g->tensor[r->out[0]], *was = &g->tensor[p->out[0]];
    if (p->phase != r->phase || y->block != was->block || y->dtype != was->dtype) return 0;
    struct val *v = args_to_val(&p->op->kind, p->attr);
    if (val_get_bool(v, "relu", false) || (residual >= 0 && p->n_in > 5)) {
        val_free(v);
        return 0;
    }
    val_set_bool(v, "relu", relu);
    void *attr = arena_new(&g->mem, 1, p->op->kind.size);
    int rc = args_parse(&p->op->kind, v, attr, NULL);
    val_free(v);
    if (rc < 0) return -1;
    become(r, p->op, attr);
    r->scratch = p->scratch, r->scratch_fixed = p->scratch_fixed;
    memcpy(r->in, p->in, sizeof r->in);
    r->n_in = p->n_in, r->n_out = p->n_out;
    if (residual >= 0) r->in[5] = residual, r->n_in = 6;
    for (int i = 1; i < p->n_out; i++) r->out[i] = p->out[i], g->tensor[p->out[i]].node = reader;
    p->n_out = 1;
    return 1;
}
/* relu(batch_norm(x)) */
static int norm_relu(struct graph *g, int reader, int producer, const struct op *fused, struct err *e) {
    (void)fused;
    (void)e;
    return take_norm(g, reader, producer, -1, true);
}
/* batch_norm(x) + residual, either way round */
static int norm_add(struct graph *g, int reader, int producer, const struct op *fused, struct err *e) {
    const struct node *r = &g->node[reader];
    tid y = g->node[producer].out[0], other = r->in[0] == y ? r->in[1] : r->in[0];
    const struct tensor *a = &g->tensor[y], *b = &g->tensor[other];
    bool same = other != y && a->ndim == b->ndim && a->block == b->block;
    (void)fused;
    (void)e;
    for (int i = 0; same && i < a->ndim; i++) same = dim_same(a->dim[i], b->dim[i]);
    return same ? take_norm(g, reader, producer, other, false) : 0;
}

/* The producer takes the reader's activation into its argument `act`, if it has none yet: the reader becomes the fused op. */
static int take_act(struct graph *g, int reader, int producer, const char *act, const struct op *fused, struct err *e) {
    struct node *r = &g->node[reader];
    const struct node *p = &g->node[producer];
    struct val *v = args_to_val(&p->op->kind, p->attr);
    bool fits = p->phase == r->phase && strcmp(val_get_str(v, "act", "none"), "none") == 0;
    val_set_str(v, "act", act);
    void *attr = arena_new(&g->mem, 1, fused->kind.size);
    int rc = fits ? args_parse(&fused->kind, v, attr, e) : 0;
    val_free(v);
    if (rc < 0 || !fits) return rc;
    become(r, fused, attr);
    r->scratch = p->scratch, r->scratch_fixed = p->scratch_fixed;
    memcpy(r->in, p->in, sizeof r->in);
    r->n_in = p->n_in;
    return 1;
}
static bool gelu_is_tanh(const struct node *n) {
    struct val *v = n->attr ? args_to_val(&n->op->kind, n->attr) : NULL;
    bool yes = strcmp(val_get_str(v, "approx", "none"), "none") != 0;
    val_free(v);
    return yes;
}
/* relu or gelu of a linear layer in 8 bits */
static int i8_act(struct graph *g, int reader, int producer, const struct op *fused, struct err *e) {
    const struct node *r = &g->node[reader];
    return gelu_is_tanh(r) ? 0 : take_act(g, reader, producer, r->op->kind.name, fused, e);
}
/* gelu of a linear layer where no gradient is built: the product's tiles go through it while they lie in the cache */
static int linear_gelu(struct graph *g, int reader, int producer, const struct op *fused, struct err *e) {
    const struct node *r = &g->node[reader];
    if (g->training || g->tensor[r->out[0]].dtype != g->tensor[g->node[producer].out[0]].dtype) return 0;
    return take_act(g, reader, producer, gelu_is_tanh(r) ? "gelu_tanh" : "gelu", fused, e);
}

static const struct rule rules[] = {
    {"mean_pool", "embedding", "embedding_bag", bag, 0},
    {"mean_pool", "embedding_i8", "embedding_bag_i8", bag, 0},
    {"relu", "linear_i8", "linear_i8", i8_act, 0},
    {"gelu", "linear_i8", "linear_i8", i8_act, 0},
    {"gelu", "linear", "linear", linear_gelu, 0},
    {"add", "batch_norm", "batch_norm", norm_add, 0},
    {"add", "batch_norm", "batch_norm", norm_add, 1},
    {"relu", "batch_norm", "batch_norm", norm_relu, 0},
};

int fuse_forward(struct graph *g, struct err *e) {
    for (int i = 0; i < g->n_node; i++)
        for (size_t r = 0; r < LEN(rules); r++) {
            const struct node *n = &g->node[i];
            int arg = rules[r].arg;
            if (n->n_in <= arg || n->in[arg] < 0 || strcmp(n->op->kind.name, rules[r].reader) != 0) continue;
            int from = g->tensor[n->in[arg]].node;
            const struct op *fused = op_find(rules[r].fused);
            if (from < 0 || !fused || strcmp(g->node[from].op->kind.name, rules[r].producer) != 0 || readers(g, n->in[arg]) != 1) continue;
            int done = rules[r].rewrite(g, i, from, fused, e);
            if (done < 0) return -1;
            if (done) g->node[i].half = g->node[from].half, g->node[i].half_in = g->node[from].half_in, g->node[i].half_out = g->node[from].half_out;
        }
    return 0;
}
