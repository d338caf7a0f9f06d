/* A model: a description (value tree, saved as JSON) and its weights. Engine thread owns the numbers; handles go out. */
#ifndef HONE_ENGINE_MODEL_MODEL_H
#define HONE_ENGINE_MODEL_MODEL_H

#include "datasets/dataset.h"
#include "engine/graph/plan.h"
#include "engine/layers/layer.h"

struct param {
    char *name;                 /* "linear1.weight": PATH.NAME; unique */
    int64_t dim[TENSOR_DIMS];
    int ndim;
    int64_t len;
    size_t offset;              /* bytes into model->data; 64-byte aligned */
    enum init init;
    double a;
    bool trainable;
    bool table;                 /* an embedding table: its gradient is row-sparse */
};
struct model {
    struct val *desc;           /* {input=[...], layers=[{layer="linear",out=10,name=..,from=..},...], classes=[..], prep={...}, seed=, name=} */
    struct param *param;
    int n_param;
    float *data;                /* all parameters, one block */
    size_t bytes;
    uint64_t seed;
    uint64_t version;           /* changes with every update of the weights */
};
/* desc_take: normalised description. Builds the graph once to find parameters, then initialises them from seed:
 * linear/conv uniform(-1/sqrt(fan_in), ..) for weight and bias as PyTorch does, embeddings uniform(-0.05, 0.05). */
struct model *model_new(struct val *desc_take, uint64_t seed, struct err *e);
void model_free(struct model *m);
struct model *model_clone(const struct model *m);
int64_t model_params(const struct model *m);                 /* trainable scalars */
int64_t model_macs(const struct model *m, int64_t tokens, struct err *e); /* of one example (tokens: its length where ragged) */
/* What a user wrote (`nn.model{...}` table, a data set for input/classes or NULL) -> normalised description. */
struct val *model_describe(const struct val *user, const struct dataset *d, struct err *e);
/* Inputs of a built graph, in the order of desc.input: data tid, offsets tid or -1, weights tid or -1. */
struct model_io { int n_in; struct { tid data, offsets, weight; } in[4]; tid out; tid param[512]; };
int model_build(const struct model *m, struct graph *g, struct model_io *io, struct err *e); /* forward nodes; parameters by model->param offsets */
void model_summary(const struct model *m, struct buf *b);    /* a table: layer, output shape, parameters, MACs */

/* engine/model/save.c: a folder (model.json + model.safetensors) or one file PATH.hone; durable. */
int model_save(const struct model *m, const char *path, struct err *e);
struct model *model_load(const char *path, struct err *e);

#endif
