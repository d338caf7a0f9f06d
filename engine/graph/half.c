/* Mixed precision after the graph is built: which tensors are kept in 16 bits. Which op computes how is its shape function's business (shaping.half):
 * products and attention round their operands, as under torch.autocast; norms, softmax, losses, sums and updates do not. Here only memory is decided: a tensor
 * between two ops that both know the type takes half the room and half the bandwidth. Parameters, gradients of parameters, optimiser states, and what is kept
 * stay f32. */
#include <stdlib.h>

#include "engine/graph/op.h"
#include "src/base/mem.h"

void half_store(struct graph *g, const tid *keep, int n_keep) {
    if (g->half == DT_F32) return;
    bool *read = X_NEW(bool, (size_t)g->n_tensor + 1), *no = X_NEW(bool, (size_t)g->n_tensor + 1);
    for (int i = 0; i < n_keep; i++)
        if (keep[i] >= 0) no[keep[i]] = true;
    for (int i = 0; i < g->n_node; i++) {
        const struct node *n = &g->node[i];
        for (int j = 0; j < n->n_in; j++)
            if (n->in[j] >= 0) read[n->in[j]] = true, no[n->in[j]] |= !(n->half_in >> j & 1);
    }
    for (int t = 0; t < g->n_tensor; t++) {
        struct tensor *x = &g->tensor[t];
        if (x->role != ROLE_TEMP || x->node < 0 || x->dtype != DT_F32 || x->block || !read[t] || no[t]) continue;
        if (g->node[x->node].half_out >> x->out & 1) x->dtype = g->half;
    }
    free(read);
    free(no);
}
