/* What the tests of compression share: models from JSON, a compressor at work on one of them, the nets that are cut. */
#ifndef HONE_TESTS_COMPRESS_FIX_H
#define HONE_TESTS_COMPRESS_FIX_H

#include "engine/compress/compress.h"
#include "engine/cpu/gemm.h"
#include "src/base/json.h"
#include "tests/engine/train_fix.h"

static __attribute__((unused)) struct val *parse(const char *json) {
    struct err e = {0};
    struct val *v = json_parse(json, strlen(json), "test", &e);
    if (!v) printf("# %s\n", e.text);
    return v;
}
static __attribute__((unused)) struct model *make(const char *json, struct err *e) {
    struct val *user = parse(json), *desc = model_describe(user, NULL, e);
    val_free(user);
    return desc ? model_new(desc, 7, e) : NULL;
}
/* clock: of layers' products; NULL: they are run and timed. */
static __attribute__((unused)) struct model *squeeze_by(double (*clock)(void *, bool, int64_t, int64_t, int64_t), const struct model *m, const char *recipe,
    struct val **note, struct index_map *map, struct err *e) {
    struct recipe r;
    struct val *v = val_str(recipe);
    struct dataset *d = make_data(40, 40, -1, 0);
    struct bed bed = {.part = &d->part[PART_VAL], .seconds = 0.01, .layer_timer = clock};
    struct squeeze s = {.bed = &bed, .note = val_table(), .map = map};
    struct model *out = recipe_init(&r, v, e) == 0 ? r.step[0].row->run(m, r.step[0].args, &s, e) : NULL;
    recipe_release(&r);
    if (note) *note = s.note;
    else val_free(s.note);
    val_free(v);
    dataset_unref(d);
    return out;
}
static __attribute__((unused)) struct model *squeeze(const struct model *m, const char *recipe, struct val **note, struct index_map *map, struct err *e) {
    return squeeze_by(NULL, m, recipe, note, map, e);
}

static __attribute__((unused)) float *weights(const struct model *m, const char *name) { return (float *)((char *)m->data + model_param(m, name)->offset); }

static const struct {
    const char *name, *json, *recipe;
    bool text;
    int64_t params;
} cuts[] = {
    {"two hidden layers",
        "{\"input\":12,\"n_class\":3,\"layers\":[{\"layer\":\"linear\",\"out\":20,\"act\":\"relu\"},{\"layer\":\"linear\",\"out\":16},{\"layer\":\"gelu\"},{"
        "\"layer\":\"linear\",\"out\":3}]}",
        "magnitude{0.5}", false, 12 * 10 + 10 + 10 * 8 + 8 + 8 * 3 + 3},
    {"layers inside a residual",
        "{\"input\":12,\"n_class\":3,\"layers\":[{\"layer\":\"residual\",\"layers\":[{\"layer\":\"linear\",\"out\":20},{\"layer\":\"tanh\"},{\"layer\":"
        "\"linear\",\"out\":12,\"bias\":false}]},{\"layer\":\"linear\",\"out\":3}]}",
        "magnitude{0.75,what=units}", false, 12 * 5 + 5 + 5 * 12 + 12 * 3 + 3},
    {"an encoder",
        "{\"input\":{\"ids\":20,\"len\":8},\"n_class\":3,\"layers\":[{\"layer\":\"text_embedding\",\"n\":20,\"dim\":24,\"positions\":8},{\"layer\":\"encoder_"
        "block\",\"heads\":4,\"ffn\":40},"
        "{\"layer\":\"encoder_block\",\"heads\":4,\"ffn\":32,\"gated\":true,\"act\":\"silu\",\"pre\":true,\"bias\":false,\"rope\":100},{\"layer\":\"mean_"
        "pool\"},{\"layer\":\"linear\",\"out\":3}]}",
        "prune.magnitude{0.5}", true, 0},
    {"attention alone, heads",
        "{\"input\":{\"ids\":20,\"len\":8},\"n_class\":3,\"layers\":[{\"layer\":\"embedding\",\"n\":20,\"dim\":24},{\"layer\":\"attention\",\"heads\":3,"
        "\"causal\":true},{\"layer\":\"mean_pool\"},{\"layer\":\"linear\",\"out\":3}]}",
        "prune.magnitude{0.34,what=heads}", true, 20 * 24 + 48 * 24 + 48 + 24 * 16 + 24 + 75},
    {"a batch norm behind a hidden layer",
        "{\"input\":12,\"n_class\":3,\"layers\":[{\"layer\":\"linear\",\"out\":20},{\"layer\":\"batch_norm\"},{\"layer\":\"relu\"},{\"layer\":"
        "\"dropout\",\"p\":0.1},{\"layer\":\"batch_norm\"},{\"layer\":\"linear\",\"out\":3}]}",
        "magnitude{0.5}", false, 12 * 10 + 10 + 2 * 20 + 10 * 3 + 3},
};

static __attribute__((unused)) void compress_open(void) {
    struct gemm_info info;
    log_set_sink(quiet, NULL);
    gemm_open(NULL, &info);
    settings_init();
}

#endif
