/* A layer: arguments and a build function that composes ops. No layer class. Its name and arguments are the file format. */
#ifndef HONE_ENGINE_LAYERS_LAYER_H
#define HONE_ENGINE_LAYERS_LAYER_H

#include "engine/graph/graph.h"
#include "src/base/args.h"

struct builder; /* engine/model/model.c: gives parameters their place */

enum init { INIT_ZERO, INIT_ONE, INIT_UNIFORM, INIT_NORMAL }; /* UNIFORM: in (-a, a); NORMAL: deviation a */
/* A parameter of the layer being built: PATH.NAME, shared with an earlier layer of the same share name. In training graphs it is trainable. */
tid build_param(struct builder *b, const char *name, const int64_t *dim, int ndim, enum init init, double a, struct err *e);
/* A buffer that is saved with the weights but not trained: running statistics. */
tid build_buffer(struct builder *b, const char *name, const int64_t *dim, int ndim, enum init init, struct err *e);
/* A matrix (out, in) of a product, first values uniform in (-a, a); where the layer's `store` says so it is held in 8 bits and belongs into linear_i8, with
 * build_scale (NAME.scale, a value a row, not trained). Other parameters that build_param makes may be held in 8 bits as plain rows. */
tid build_matrix(struct builder *b, const char *name, const int64_t dim[2], double a, struct err *e);
bool build_is_i8(struct builder *b, tid w);
tid build_scale(struct builder *b, const char *name, int64_t n, struct err *e);
/* y = x w^T + bias with the parameters PREFIXweight and PREFIXbias, held as the layer says; first values as PyTorch's. engine/layers/dense.c */
tid build_dense(struct builder *b, const char *prefix, tid x, int64_t out, bool bias, struct err *e);
struct graph *build_graph(struct builder *b);
const char *build_path(struct builder *b);
const struct val *build_args(const struct builder *b); /* the layer's arguments as a table, without layer, name, from, share */
const char *build_kind(const struct builder *b); /* the layer's kind: "relu" */
int64_t build_ids(const struct builder *b, tid t); /* how many ids the input `t` has (vocabulary); 0: t is not an input of ids */
int64_t build_len(const struct builder *b, tid t); /* the length its texts are cut to; 0: not known */
tid build_weights(const struct builder *b, tid t); /* the token weights of a ragged tensor's input, or -1 */
void build_part(struct builder *b); /* this layer is a part whose inside may be computed again in the backward pass, unless it lies in one */
tid build_live(struct builder *b, const char *name, double v, struct err *e); /* a live scalar PATH.NAME with its value now */
/* A list of layers inside this one, as a chain from `in`; their paths are PATH.NAME. */
int build_chain(struct builder *b, const struct val *layers, tid in, tid *out, struct err *e);

struct layer {
    struct kind kind; /* first */
    int in_min, in_max;
    int (*build)(struct builder *b, const void *args, const tid *in, int n_in, tid *out, struct err *e); /* one output */
};
const struct layer *layer_find(const char *name); /* rows of engine/layers and ops flagged OP_LAYER */
extern const struct layer *const layers[]; /* NULL-terminated */
const struct kind *const *layer_kinds(void); /* all, for the catalogue: layers then layer ops */

#endif
