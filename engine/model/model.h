/* A model: a description (value tree, saved as JSON) and its weights. Engine thread owns the numbers; handles go out. */
#ifndef HONE_ENGINE_MODEL_MODEL_H
#define HONE_ENGINE_MODEL_MODEL_H

#include "datasets/dataset.h"
#include "engine/graph/plan.h"
#include "engine/layers/layer.h"

struct param {
    char *name; /* "linear1.weight": PATH.NAME; unique */
    int64_t dim[TENSOR_DIMS];
    int ndim;
    int64_t len;
    size_t offset; /* bytes into model->data; 64-byte aligned */
    enum init init;
    double a;
    bool trainable;
    bool frozen; /* left as it is while freeze= names it: no gradient is made for it */
    bool table; /* an embedding table: its gradient is row-sparse */
    enum dtype dtype; /* in memory: f32, or i8 with the scales of its rows in the parameter NAME.scale */
    enum dtype store; /* in files: as in memory, or f16, bf16 for f32 */
    bool packed; /* i8 of a product: as engine/ops/i8.h lays it out */
    size_t bytes; /* in memory, without what aligns */
};
struct model {
    struct val *desc; /* see model_describe */
    struct param *param;
    int n_param;
    float *data; /* all parameters, one block */
    size_t bytes;
    uint64_t seed;
    uint64_t version; /* changes with every update of the weights */
    char run[64]; /* the run of this process that trained it last; "": none, as for copies */
    char *stored; /* folder of the run whose checkpoint it was loaded from, and the step; NULL: none, as for copies */
    int64_t stored_step;
    struct val *report; /* of the compression it came from, saved with it; NULL: none */
};
/* desc_take: normalised description. Builds the graph once to find parameters, then initialises them from seed:
 * linear/conv uniform(-1/sqrt(fan_in), ..) for weight and bias as PyTorch does, embeddings uniform(-0.05, 0.05). */
struct model *model_new(struct val *desc_take, uint64_t seed, struct err *e);
void model_free(struct model *m);
struct model *model_clone(const struct model *m);
int64_t model_params(const struct model *m); /* trainable scalars */
int64_t model_values(const struct model *m); /* weights and buffers, in whatever type; scales of 8-bit parameters apart */
int64_t model_macs(const struct model *m, int64_t tokens, struct err *e); /* of one example (tokens: its length where ragged) */
/* What a user wrote (`nn.model{...}` table, a data set for input/classes or NULL) -> normalised description:
 * {name="bag", input=[{name="x", shape=[784]} or {name="text", ids=10000, ragged=true, len=128, weighted=true} ...],
 *  layers=[{layer="linear", out=10, ..., name="linear1", from=["a", "b"], share="c"} ...], classes=["cat", ..] or n_class=3, prep={...}}.
 * Layer arguments stand in the order of their table, names are always there. */
struct val *model_describe(const struct val *user, const struct dataset *d, struct err *e);
/* A model without names of classes, with as many outputs as the data set has classes, gets the names of those: what it is trained on. */
void model_name_classes(struct model *m, const struct dataset *d);
/* Tokens of the longest text the model has learned positions for; 0: any length. */
int64_t model_positions(const struct model *m);
#define MODEL_INPUTS 4
#define MODEL_PARAMS 1024
#define MODEL_LIVE 64
/* Inputs of a built graph, in the order of desc.input: data tid, offsets tid or -1, weights tid or -1; `axis` is its ragged axis (AXIS_T0 ..) or AXIS_R.
 * Live scalars (only in a training graph): set each with plan_scalar; name "dropout1.p". */
struct model_live {
    char name[96];
    tid scalar;
    double value;
};
struct model_io {
    int n_in;
    struct {
        tid data, offsets, weight;
        int axis;
    } in[MODEL_INPUTS];
    tid out;
    tid param[MODEL_PARAMS];
    int n_live;
    struct model_live live[MODEL_LIVE];
};
int model_build(const struct model *m, struct graph *g, struct model_io *io,
    struct err *e); /* forward nodes; parameters by model->param offsets (doubled in a DT_F64 graph) */
/* Live values by description: PATH.p of every dropout; name "dropout" means all of them. Reading gives the first; NAN: no such property. */
double model_live(const struct model *m, const char *name);
int model_live_set(struct model *m, const char *name, double v, struct err *e); /* changes the description; the caller sets the scalars of its plan */
int64_t model_outputs(const struct model *m, struct err *e); /* width of the last axis of the output; -1: error */
/* The table of layers as a value: {name=, params=, macs=, layers={{path=, name=, depth=, kind=, shape=, params=, macs=}, ..}, weights={{name=, shape=, n=,
 * trained=}, ..}}; layers in the order built, those inside others with depth > 0; macs of one example. */
struct val *model_sheet(const struct model *m);
void model_summary(const struct model *m, struct buf *b); /* a table: layer, output shape, parameters, MACs */

/* engine/model/quantised.c. Values of a parameter as floats, whatever it is held in; and back: an i8 parameter is quantised, its scales are set. */
void param_get(const struct model *m, const struct param *p, float *out);
void param_put(struct model *m, const struct param *p, const float *w);
struct param *model_param(const struct model *m, const char *name); /* NULL: none of that name */
int64_t model_i8(const struct model *m, const char **first); /* how many parameters are in 8 bits; *first (may be NULL): one of them */
void model_ready_training(struct model *m); /* says what stays as it is; what was stored in 16 bits is stored in full again, so that a run resumes exactly */

/* engine/model/save.c: a folder (model.json + model.safetensors) or one file PATH.hone; durable. */
int model_save(const struct model *m, const char *path, struct err *e);
int model_may_save(const char *path, struct err *e); /* before long work: what can be seen of the path beforehand */
int model_disk_bytes(const struct model *m, int64_t *bytes, struct err *e); /* of the folder that model_save would write */
struct model *model_load(const char *path, struct err *e);

#endif
