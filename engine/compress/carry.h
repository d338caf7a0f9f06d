/* From one model to its smaller form: descriptions edited in place, weights and optimiser state carried over by index maps. Engine thread. */
#ifndef HONE_ENGINE_COMPRESS_CARRY_H
#define HONE_ENGINE_COMPRESS_CARRY_H

#include "engine/model/model.h"
#include "engine/optims/optim.h"

struct index_row {
    char *name;
    int64_t *keep[2], n[2];
}; /* of a parameter: positions left of its first and second extent, ascending; NULL: all */
struct index_map {
    struct index_row *row;
    int n;
};
void index_add(struct index_map *map, const char *name, int extent, const int64_t *keep, int64_t n); /* copies */
void index_release(struct index_map *map);

/* The layer at PATH ("block1", "res.linear2") in a description, NULL: none; how a parameter of it is held from now on. */
struct val *desc_layer(struct val *desc, const char *path);
void desc_hold(struct val *desc, const char *param, const char *how);

/* `keep` of a compressor: a pattern or a list of patterns (optim_match) of what is left alone. A pattern that matches no parameter is an error. */
bool keep_has(const struct val *keep, const char *param);
int keep_check(const struct model *m, const struct val *keep, const char *what, struct err *e);

/* The model that desc_take describes with the weights of old: parameters of the same name, cut by map (may be NULL), quantised where the description says
 * so. */
struct model *carry_model(const struct model *old, struct val *desc_take, const struct index_map *map, struct err *e);
/* The states of old's optimiser into that of now, which is laid out: states of a parameter's shape are cut as the parameter is, others of the same size are
 * copied. */
void carry_states(const struct model *old, const struct optimiser *from, const struct model *now, struct optimiser *to, const struct index_map *map);

#endif
