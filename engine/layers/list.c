/* The layers: rows of this folder, then every op flagged OP_LAYER as a layer of one input. Names and arguments are the file format. Any thread. */
#include <pthread.h>
#include <string.h>

#include "engine/graph/op.h"
#include "engine/layers/layer.h"
#include "src/base/err.h"

#define LAYERS(X)      \
    X(add)             \
    X(attention)       \
    X(avg_pool2d)      \
    X(batch_norm)      \
    X(concat)          \
    X(conv1d)          \
    X(conv2d)          \
    X(dropout)         \
    X(embedding)       \
    X(embedding_bag)   \
    X(encoder_block)   \
    X(first_token)     \
    X(frames)          \
    X(geglu)           \
    X(global_max_pool) \
    X(group_norm)      \
    X(gru)             \
    X(layer_norm)      \
    X(linear)          \
    X(lstm)            \
    X(max_pool)        \
    X(max_pool2d)      \
    X(mean_pool)       \
    X(mul)             \
    X(pad_shortcut)    \
    X(reglu)           \
    X(residual)        \
    X(rms_norm)        \
    X(sum_pool)        \
    X(swiglu)          \
    X(text_embedding)

#define DECLARE(n) extern const struct layer layer_##n;
LAYERS(DECLARE)

static int build_op(struct builder *b, const void *args, const tid *in, int n_in, tid *out, struct err *e) {
    const struct val *t = build_args(b);
    tid all[OP_OUT];
    (void)args;
    (void)n_in;
    *out = graph_add(build_graph(b), build_kind(b), t && (val_len(t) || t->u.t.n_field) ? t : NULL, in, 1, all, e);
    return *out < 0 ? -1 : 0;
}

static struct layer op_layer[128]; /* written once under the guard, const afterwards */
static const struct kind *kinds[192];
static int n_op_layer;

static void fill(void) {
    size_t k = 0;
    for (; layers[k]; k++) kinds[k] = &layers[k]->kind;
    for (const struct op *const *o = op_all(); *o && n_op_layer < (int)LEN(op_layer); o++) {
        if (!((*o)->flags & OP_LAYER)) continue;
        op_layer[n_op_layer] = (struct layer){.kind = (*o)->kind, .in_min = 1, .in_max = 1, .build = build_op};
        kinds[k++] = &op_layer[n_op_layer++].kind;
    }
    kinds[k] = NULL;
}
static pthread_once_t filled = PTHREAD_ONCE_INIT;

const struct kind *const *layer_kinds(void) {
    pthread_once(&filled, fill);
    return kinds;
}

const struct layer *layer_find(const char *name) {
    for (size_t i = 0; layers[i]; i++)
        if (strcmp(layers[i]->kind.name, name) == 0) return layers[i];
    pthread_once(&filled, fill);
    for (int i = 0; i < n_op_layer; i++)
        if (strcmp(op_layer[i].kind.name, name) == 0) return &op_layer[i];
    return NULL;
}

#define ROW(n) &layer_##n,
const struct layer *const layers[] = {LAYERS(ROW) NULL};
