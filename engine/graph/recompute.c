/* Activation recompute (Chen et al. 2016, "Training deep nets with sublinear memory cost") as a rewrite of the whole graph, after the gradient is built:
 * the forward pass is cut into parts; what the backward pass reads of a part's inside is computed again, by copies of the forward nodes that stand before the
 * first backward node which needs them. A copy has the same inputs, arguments and random stream, so the bits are the same; the plan's liveness does the rest.
 * Between parts all outputs of a node stay that makes what a later part reads, and the last part stays whole, since its gradient comes next. What only updates
 * read, such as the mean and variance that move the running ones of a batch norm, stays as it is. Nothing is computed here. */
#include <stdlib.h>
#include <string.h>

#include "engine/graph/op.h"
#include "src/base/mem.h"

struct cutting {
    struct graph *g;
    const struct extents *max;
    int n_node, n_tensor; /* of the graph as it came */
    bool *needed; /* per node: a result, update or needed node reads it */
    bool *out; /* per tensor: read from outside the forward pass by others than gradients, or asked to stay */
    int *part; /* per node: its part, -1: none */
    bool *stays; /* per tensor: not computed again */
};

static bool is_forward(const struct cutting *c, int i) { return c->g->node[i].phase == PHASE_FORWARD; }
static int maker(const struct cutting *c, tid t) { return t < 0 ? -1 : c->g->tensor[t].node; }

static void look(struct cutting *c, const tid *keep, int n_keep) {
    const struct graph *g = c->g;
    bool *want = X_NEW(bool, (size_t)c->n_tensor + 1);
    for (int i = 0; i < n_keep; i++)
        if (keep[i] >= 0) want[keep[i]] = c->out[keep[i]] = true;
    for (int pass = 0; pass < 2; pass++) /* nodes of a later phase may stand before those they read */
        for (int i = c->n_node - 1; i >= 0; i--) {
            const struct node *n = &g->node[i];
            c->needed[i] |= (n->op->flags & OP_UPDATE) != 0;
            for (int j = 0; j < n->n_out; j++) c->needed[i] |= want[n->out[j]];
            for (int j = 0; c->needed[i] && j < n->n_in; j++) {
                if (n->in[j] < 0) continue;
                want[n->in[j]] = true;
                if (n->phase > PHASE_BACKWARD) c->out[n->in[j]] = true;
            }
        }
    free(want);
}

static double bytes_of(const struct cutting *c, tid t) { return (double)tensor_bytes(&c->g->tensor[t], c->max); }

/* Is the largest of a node's outputs read from outside? A small one, such as a batch's mean for the running one, stays by itself while the node runs again. */
static bool out_whole(const struct cutting *c, const struct node *n) {
    bool whole = false;
    double most = 0;
    for (int j = 0; j < n->n_out; j++) {
        double bytes = bytes_of(c, n->out[j]);
        if (bytes > most) whole = false;
        if (bytes >= most) most = bytes, whole |= c->out[n->out[j]];
    }
    return whole;
}

/* Which tensors stay, given the parts. */
static void settle(struct cutting *c) {
    const struct graph *g = c->g;
    bool *edge = X_NEW(bool, (size_t)c->n_node + 1); /* nodes that make what another part reads */
    for (int i = 0; i < c->n_node; i++) {
        const struct node *n = &g->node[i];
        for (int j = 0; j < n->n_in && c->needed[i] && is_forward(c, i); j++) {
            int from = maker(c, n->in[j]);
            if (from >= 0 && c->part[from] != c->part[i]) edge[from] = true;
        }
        edge[i] |= out_whole(c, n);
        if (n->op->flags & (OP_UPDATE | OP_TIED)) edge[i] = true; /* may run once only */
    }
    for (int t = 0; t < c->n_tensor; t++) {
        int from = g->tensor[t].node;
        c->stays[t] = from < 0 || !is_forward(c, from) || c->part[from] < 0 || edge[from] || c->out[t];
    }
    free(edge);
}

/* ---- parts ---- */

/* Blocks of the model: layers that are marked as such. The last one is left alone. */
static int cut_blocks(struct cutting *c) {
    int last = -1;
    for (int i = 0; i < c->n_node; i++)
        if (is_forward(c, i) && c->needed[i] && c->g->node[i].part > last) last = c->g->node[i].part;
    for (int i = 0; i < c->n_node; i++) {
        int p = is_forward(c, i) && c->needed[i] ? c->g->node[i].part : -1;
        c->part[i] = p == last ? -1 : p;
    }
    return last;
}

/* gate[i]: of all that was made up to forward node i, later forward nodes read one tensor alone. */
static void find_gates(const struct cutting *c, bool *gate) {
    const struct graph *g = c->g;
    int *last = X_NEW(int, (size_t)c->n_tensor + 1), open = 0;
    int *closing = X_NEW(int, (size_t)c->n_node + 1);
    for (int i = 0; i < c->n_node; i++)
        for (int j = 0; j < g->node[i].n_in && is_forward(c, i) && c->needed[i]; j++)
            if (maker(c, g->node[i].in[j]) >= 0) last[g->node[i].in[j]] = i;
    for (int i = 0; i < c->n_node; i++) {
        if (!is_forward(c, i) || !c->needed[i]) continue;
        for (int j = 0; j < g->node[i].n_out; j++)
            if (last[g->node[i].out[j]] > i) open++, closing[last[g->node[i].out[j]]]++;
        open -= closing[i];
        gate[i] = open == 1;
    }
    free(last);
    free(closing);
}

/* Bytes that the backward pass finds at its peak: what stays, and the largest inside of a part. */
static double estimate(struct cutting *c, const bool *read, int parts) {
    double *inside = X_NEW(double, (size_t)parts + 1), stays = 0, most = 0;
    settle(c);
    for (int t = 0; t < c->n_tensor; t++) {
        int from = c->g->tensor[t].node;
        if (from < 0 || !read[t]) continue;
        if (c->stays[t]) stays += bytes_of(c, t);
        else inside[c->part[from]] += bytes_of(c, t);
    }
    for (int p = 0; p < parts; p++)
        if (inside[p] > most) most = inside[p];
    free(inside);
    return stays + most;
}

/* Parts that end at gates and hold at least `least` bytes that gradients read. The last one is left alone (-1). Returns how many. */
static int cut_gates(struct cutting *c, const bool *gate, const bool *read, double least) {
    double sum = 0;
    int p = 0;
    for (int i = 0; i < c->n_node; i++) {
        c->part[i] = -1;
        if (!is_forward(c, i) || !c->needed[i]) continue;
        c->part[i] = p;
        for (int j = 0; j < c->g->node[i].n_out; j++)
            if (read[c->g->node[i].out[j]]) sum += bytes_of(c, c->g->node[i].out[j]);
        if (gate[i] && sum >= least) p++, sum = 0;
    }
    for (int i = 0; i < c->n_node; i++)
        if (c->part[i] == p) c->part[i] = -1;
    return p;
}

/* Forward tensors that backward nodes read. */
static void gradients_read(const struct cutting *c, bool *read) {
    for (int i = 0; i < c->n_node; i++)
        for (int j = 0; j < c->g->node[i].n_in && c->needed[i] && c->g->node[i].phase == PHASE_BACKWARD; j++)
            if (maker(c, c->g->node[i].in[j]) >= 0 && is_forward(c, maker(c, c->g->node[i].in[j]))) read[c->g->node[i].in[j]] = true;
}

/* The cut with the smallest estimate among those into 1 to 64 parts of about equal size. */
static int cut_auto(struct cutting *c) {
    bool *gate = X_NEW(bool, (size_t)c->n_node + 1), *read = X_NEW(bool, (size_t)c->n_tensor + 1);
    double all = 0, best = 0;
    int n = 0;
    gradients_read(c, read);
    for (int t = 0; t < c->n_tensor; t++)
        if (read[t]) all += bytes_of(c, t);
    find_gates(c, gate);
    best = all;
    for (int k = 2; k <= 64; k++) {
        double e = estimate(c, read, cut_gates(c, gate, read, all / k));
        if (e < best) best = e, n = k;
    }
    if (n) n = cut_gates(c, gate, read, all / n);
    free(gate);
    free(read);
    return n;
}

/* Every node that works on the elements of one tensor which gradients read as well is a part, and its output does not stay. Returns how many. */
static int cut_light(struct cutting *c) {
    const struct graph *g = c->g;
    bool *read = X_NEW(bool, (size_t)c->n_tensor + 1);
    int parts = 0;
    gradients_read(c, read);
    for (int t = 0; t < c->n_tensor; t++) c->stays[t] = true;
    for (int i = 0; i < c->n_node; i++) {
        const struct node *n = &g->node[i];
        bool one = n->in[0] >= 0;
        c->part[i] = -1;
        for (int j = 1; j < n->n_in; j++) one = one && (n->in[j] < 0 || g->tensor[n->in[j]].ndim == 0);
        if (!one || !is_forward(c, i) || !(n->op->flags & OP_ELEMENTS) || n->n_out != 1 || !read[n->in[0]] || !c->stays[n->in[0]] || c->out[n->out[0]])
            continue;
        c->part[i] = parts++;
        c->stays[n->out[0]] = false;
    }
    free(read);
    return parts;
}

/* ---- copies ---- */

struct copying {
    struct cutting *c;
    int *need; /* per forward node: the backward node before which its copy stands, -1: none */
    tid *twin; /* per tensor: its copy, or itself */
};

/* The copy of the forward node that makes t is there before backward node `at`, and so are those that it needs. */
static void demand(struct copying *k, tid t, int at) {
    if (t < 0 || k->c->stays[t]) return;
    int from = maker(k->c, t);
    if (k->need[from] >= 0) return;
    k->need[from] = at;
    const struct node *n = &k->c->g->node[from];
    for (int j = 0; j < n->n_in; j++) demand(k, n->in[j], at);
}

/* All nodes of a part that are needed at all stand together, before the first backward node that reads one. */
static void demand_all(struct copying *k) {
    const struct cutting *c = k->c;
    int *first = X_NEW(int, (size_t)c->n_node + 1); /* per part */
    for (int p = 0; p < c->n_node; p++) first[p] = -1;
    for (int i = 0; i < c->n_node; i++) {
        const struct node *n = &c->g->node[i];
        if (n->phase != PHASE_BACKWARD || !c->needed[i]) continue;
        for (int j = 0; j < n->n_in; j++) {
            if (n->in[j] < 0 || c->stays[n->in[j]]) continue;
            int p = c->part[maker(c, n->in[j])];
            if (first[p] < 0) first[p] = i;
            demand(k, n->in[j], first[p]);
        }
    }
    free(first);
}

static tid copy_tensor(struct graph *g, tid t, int node) {
    if (g->n_tensor == g->cap_tensor) {
        g->cap_tensor *= 2;
        g->tensor = X_GROW(g->tensor, struct tensor, (size_t)g->cap_tensor);
    }
    g->tensor[g->n_tensor] = g->tensor[t];
    g->tensor[g->n_tensor].node = node;
    return g->n_tensor++;
}

static void put_copy(struct copying *k, struct node *to, int from, int at) {
    struct graph *g = k->c->g;
    *to = g->node[from];
    to->own_attr = false;
    to->phase = PHASE_BACKWARD;
    for (int j = 0; j < to->n_in; j++)
        if (to->in[j] >= 0) to->in[j] = k->twin[to->in[j]];
    for (int j = 0; j < to->n_out; j++) {
        tid t = g->node[from].out[j], copy = copy_tensor(g, t, at);
        to->out[j] = copy;
        if (!k->c->stays[t]) k->twin[t] = copy;
    }
}

static int rebuild(struct copying *k) {
    struct graph *g = k->c->g;
    int n_old = k->c->n_node, copies = 0, at = 0, *moved = X_NEW(int, (size_t)n_old + 1);
    for (int i = 0; i < n_old; i++) copies += k->need[i] >= 0;
    struct node *list = X_NEW(struct node, (size_t)(n_old + copies) + 1);
    for (int i = 0; i < n_old; i++) {
        bool here = g->node[i].phase == PHASE_BACKWARD && copies > 0;
        for (int f = 0; here && f < i; f++)
            if (k->need[f] == i) put_copy(k, &list[at], f, at), at++;
        list[at] = g->node[i];
        for (int j = 0; j < list[at].n_in && list[at].phase == PHASE_BACKWARD; j++)
            if (list[at].in[j] >= 0) list[at].in[j] = k->twin[list[at].in[j]];
        moved[i] = at++;
    }
    for (int t = 0; t < k->c->n_tensor; t++)
        if (g->tensor[t].node >= 0) g->tensor[t].node = moved[g->tensor[t].node];
    free(moved);
    free(g->node);
    g->node = list, g->n_node = at, g->cap_node = n_old + copies + 1;
    return copies;
}

int recompute_build(struct graph *g, enum recompute how, const struct extents *max, const tid *keep, int n_keep, struct err *e) {
    struct cutting c = {.g = g, .max = max, .n_node = g->n_node, .n_tensor = g->n_tensor};
    int copies = 0;
    if (how == RECOMPUTE_NONE) return 0;
    c.needed = X_NEW(bool, (size_t)c.n_node + 1), c.out = X_NEW(bool, (size_t)c.n_tensor + 1), c.stays = X_NEW(bool, (size_t)c.n_tensor + 1);
    c.part = X_NEW(int, (size_t)c.n_node + 1);
    struct copying k = {&c, X_NEW(int, (size_t)c.n_node + 1), X_NEW(tid, (size_t)c.n_tensor + 1)};
    for (int i = 0; i < c.n_node; i++) k.need[i] = -1;
    for (int t = 0; t < c.n_tensor; t++) k.twin[t] = t;
    look(&c, keep, n_keep);
    if (how == RECOMPUTE_BLOCKS && cut_blocks(&c) < 0) {
        copies = err_set(e, "recompute=blocks: this model has no blocks (layers residual and encoder_block): use recompute=auto");
        goto out;
    }
    if (how == RECOMPUTE_AUTO && cut_auto(&c) == 0) goto out;
    if (how == RECOMPUTE_LIGHT && cut_light(&c) == 0) goto out;
    if (how != RECOMPUTE_LIGHT) settle(&c);
    demand_all(&k);
    copies = rebuild(&k);
out:
    free(c.needed);
    free(c.out);
    free(c.stays);
    free(c.part);
    free(k.need);
    free(k.twin);
    return copies;
}
