/* Models as the Python package transformers saves them: a folder with config.json and model.safetensors. */
#ifndef HONE_ENGINE_MODEL_HF_H
#define HONE_ENGINE_MODEL_HF_H

#include "engine/model/model.h"

struct hf_options {
    const char *pool; /* "first" "mean" "none", or NULL: by the folder (sentence-transformers' pooling, else the pooler where there is one, else none) */
    int64_t classes; /* a new linear head with so many outputs; 0: the folder's own head if it has one */
    int64_t len; /* texts are cut to so many tokens; 0: 128, or the positions if they are fewer */
    double dropout; /* share dropped in training; < 0 or NAN: as config.json says */
    uint64_t seed; /* of a new head */
};
bool hf_is(const char *path); /* a folder of that kind */
/* Nothing is taken unless every tensor that the description needs is there, of a float type and of the right shape, and no other tensor but heads that are
 * not used. */
struct model *hf_load(const char *path, const struct hf_options *o, struct err *e);

#endif
