/* For engine/model and looks at the layers (engine/train/look.c): building with a note of each layer, for counts and the summary. */
#ifndef HONE_ENGINE_MODEL_BUILD_H
#define HONE_ENGINE_MODEL_BUILD_H

#include "engine/model/model.h"

#define BUILT_MAX 1024
struct built { /* one layer, in the order built; layers inside others have depth > 0 */
    char path[160];
    const char *kind;
    tid out;
    int first, end; /* its nodes */
    int64_t params;
    int depth;
};
/* As model_build; built holds BUILT_MAX rows. */
int build_noted(const struct model *m, struct graph *g, struct model_io *io, struct built *built, int *n_built, struct err *e);

/* A model without weights yet (data NULL, bytes known); takes desc. */
struct model *model_blank(struct val *desc_take, uint64_t seed, struct err *e);
void model_init_param(const struct model *m, const struct param *p, float *w); /* first values (p->len), by the model's seed */
struct st_file;
/* The weights of f for m into data (m->bytes); nothing is taken unless every tensor fits. */
int model_read_weights(const struct model *m, void *data, const struct st_file *f, const char *path, struct err *e);

#endif
