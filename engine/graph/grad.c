/* Reverse mode by building: walks the nodes backwards and lets each op append the nodes of its gradient. Gradients that meet in
 * one tensor are joined with op "add"; row-sparse ones of a shared table are first spread with op "rows_dense". Nothing is computed. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/graph/op.h"
#include "src/base/mem.h"

static const char *const row_ops[] = {"embedding_grad", "embedding_bag_grad", "rows_accumulate"};

bool grad_rows(const struct graph *g, tid t, tid rows[3]) {
    const struct tensor *x = graph_tensor(g, t);
    if (x->node < 0 || x->out != 0) return false;
    const struct node *n = &g->node[x->node];
    for (size_t i = 0; i < LEN(row_ops); i++)
        if (strcmp(n->op->kind.name, row_ops[i]) == 0) {
            for (int j = 0; j < 3; j++) rows[j] = n->out[j + 1];
            return true;
        }
    return false;
}

/* The row-sparse gradient t of a table as a dense one. */
tid grad_dense(struct graph *g, tid t, struct err *e) {
    tid rows[3];
    if (!grad_rows(g, t, rows)) return t;
    return graph_attr(g, "rows_dense", NULL, (tid[]){t, rows[0], rows[1], rows[2]}, 4, NULL, e);
}

static int meet(struct graph *g, tid *sum, tid d, struct err *e) {
    if (*sum < 0) {
        *sum = d;
        return 0;
    }
    tid a = grad_dense(g, *sum, e), b = a < 0 ? -1 : grad_dense(g, d, e);
    if (b < 0) return -1;
    *sum = graph_add2(g, "add", a, b, e);
    return *sum < 0 ? -1 : 0;
}

/* need[t]: a wanted tensor can be reached from t going backwards. Ops ask needs_grad, so wanted inputs are marked there too. */
static void mark(struct graph *g, const tid *want, int n_want, int n_node, bool *need) {
    for (int i = 0; i < n_want; i++)
        if (want[i] >= 0) need[want[i]] = true;
    for (int i = 0; i < n_node; i++) {
        const struct node *n = &g->node[i];
        bool any = false;
        for (int j = 0; j < n->n_in; j++) any |= n->in[j] >= 0 && need[n->in[j]];
        if (!any || (n->op->flags & OP_NO_GRAD)) continue;
        for (int j = 0; j < n->n_out; j++)
            if (dtypes[g->tensor[n->out[j]].dtype].is_float) need[n->out[j]] = true;
    }
    for (int i = 0; i < g->n_tensor; i++) g->tensor[i].needs_grad |= need[i];
}

static int back(struct graph *g, int i, const bool *need, tid *sum, struct err *e) {
    const struct node n = g->node[i]; /* a copy: the array moves while gradients are added */
    tid dout[OP_OUT], din[OP_IN];
    bool some = false, wanted = false;
    for (int j = 0; j < OP_OUT; j++) {
        dout[j] = j < n.n_out ? sum[n.out[j]] : -1;
        some |= dout[j] >= 0;
    }
    for (int j = 0; j < OP_IN; j++) {
        din[j] = -1;
        wanted |= j < n.n_in && n.in[j] >= 0 && need[n.in[j]];
    }
    if (!some || !wanted || (n.op->flags & OP_NO_GRAD)) return 0;
    if (!n.op->grad) return err_set(e, "%s at %s has no gradient: it cannot stand between the loss and a trained parameter", n.op->kind.name, n.path);
    g->of = &n;
    int rc = n.op->grad(g, &n, dout, din, e);
    for (int j = 0; rc == 0 && j < n.n_in; j++)
        if (n.in[j] >= 0 && din[j] >= 0 && need[n.in[j]]) rc = meet(g, &sum[n.in[j]], din[j], e);
    g->of = NULL;
    return rc;
}

int grad_build(struct graph *g, tid loss, tid dloss, const tid *want, int n_want, tid *grad_of, struct err *e) {
    int n_node = g->n_node, n_tensor = g->n_tensor;
    bool *need = X_NEW(bool, (size_t)n_tensor);
    tid *sum = X_NEW(tid, (size_t)n_tensor);
    enum phase phase = g->phase;
    int rc = 0;
    for (int i = 0; i < n_tensor; i++) sum[i] = -1;
    mark(g, want, n_want, n_node, need);
    sum[loss] = dloss;
    g->phase = PHASE_BACKWARD;
    for (int i = n_node - 1; i >= 0 && rc == 0; i--) rc = back(g, i, need, sum, e);
    g->phase = phase;
    for (int i = 0; i < n_want; i++) {
        grad_of[i] = rc == 0 && want[i] >= 0 ? sum[want[i]] : -1;
        tid rows[3];
        if (grad_of[i] < 0 || g->tensor[want[i]].role != ROLE_PARAM || grad_rows(g, grad_of[i], rows)) continue;
        if (g->tensor[grad_of[i]].role == ROLE_TEMP) g->tensor[grad_of[i]].role = ROLE_GRAD; /* one block: norms and sums are single passes */
    }
    free(need);
    free(sum);
    return rc;
}

/* The sum lies in an arena of fixed shape: extents that move with the batch (a row-sparse gradient has one for each token) do not occur in it. */
static tid sum_like(struct graph *g, const char *name, const char *what, const struct tensor *like, int64_t rows) {
    struct dim dim[TENSOR_DIMS];
    char full[512];
    memcpy(dim, like->dim, sizeof dim);
    if (rows > 0) dim[0] = (struct dim){rows, AXIS_ONE};
    snprintf(full, sizeof full, "%s/%s", name, what);
    return graph_sum(g, full, like->dtype, dim, like->ndim);
}

tid grad_sum(struct graph *g, const char *name, tid t, tid first, struct err *e) {
    const struct tensor x = *graph_tensor(g, t);
    tid rows[3], out[4];
    if (!grad_rows(g, t, rows)) {
        if (x.role == ROLE_GRAD) g->tensor[t].role = ROLE_TEMP; /* the sum takes its place in the arena */
        return graph_attr(g, "accumulate", NULL, (tid[]){sum_like(g, name, "sum", &x, 0), t, first}, 3, NULL, e);
    }
    const struct tensor list = *graph_tensor(g, rows[0]), count = *graph_tensor(g, rows[1]), slot = *graph_tensor(g, rows[2]);
    int64_t n = slot.dim[0].k;
    tid in[] = {sum_like(g, name, "sum", &x, n), sum_like(g, name, "rows", &list, n), sum_like(g, name, "count", &count, 0),
        sum_like(g, name, "slots", &slot, 0), t, rows[0], rows[1], first};
    return graph_attr(g, "rows_accumulate", NULL, in, 8, out, e);
}

int grad_accumulate(struct graph *g, tid *grad, int n, tid first, struct err *e) {
    enum phase phase = g->phase;
    char name[32];
    int rc = 0;
    g->phase = PHASE_BACKWARD;
    graph_path(g, "accumulate");
    for (int i = 0; i < n && rc == 0; i++) {
        snprintf(name, sizeof name, "%d", i);
        if (grad[i] >= 0 && (grad[i] = grad_sum(g, name, grad[i], first, e)) < 0) rc = -1;
    }
    g->phase = phase;
    return rc;
}
