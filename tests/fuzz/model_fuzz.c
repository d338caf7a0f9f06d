/* Fuzz target of models from elsewhere. The first byte chooses: 'b' 'd' 'r' the config.json of an encoder of BERT, DistilBERT or RoBERTa beside the weights of
 * tests/golden/encoders, else the description in a model.json. A model that can be described is summed up; a small one is saved and comes back the same. */
#include "config.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/model/build.h"
#include "engine/model/hf.h"
#include "src/base/io.h"
#include "src/base/json.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/scratch.h"

enum { SMALL = 1 << 18 };

static void look(const struct model *m) {
    struct buf b = BUF_INIT;
    struct err e = {0};
    val_free(model_sheet(m));
    model_summary(m, &b);
    if (!b.len || model_params(m) < 0 || model_outputs(m, &e) < -1) abort();
    buf_release(&b);
}

static void again(const struct model *m) {
    struct err e = {0};
    char *path = scratch("m.hone");
    if (model_save(m, path, &e)) abort();
    struct model *l = model_load(path, &e);
    if (!l || !val_equal(l->desc, m->desc) || l->bytes != m->bytes || (m->bytes && memcmp(l->data, m->data, m->bytes) != 0)) abort();
    model_free(l);
    free(path);
}

static void own(const uint8_t *p, size_t n) {
    struct err e = {0};
    struct val *v = json_parse(n ? (const char *)p : "", n, "input", &e), *d = v ? model_describe(v, NULL, &e) : NULL;
    struct model *m = d ? model_blank(val_copy(d), 1, &e) : NULL;
    if (!m == !e.code) abort(); /* an error has a sentence, a success has none */
    if (m) {
        look(m);
        struct model *full = m->bytes <= SMALL ? model_new(val_copy(d), 1, &e) : NULL;
        if (full) again(full);
        model_free(full);
    }
    model_free(m);
    val_free(d);
    val_free(v);
}

static void encoder(const char *name, const uint8_t *p, size_t n) {
    struct err e = {0};
    struct buf from = BUF_INIT;
    const char *src = getenv("top_srcdir");
    char *into = scratch(name), *config = io_join(into, "config.json"), *weights = io_join(into, "model.safetensors");
    if (!io_is_dir(into)) {
        buf_addf(&from, "%s/tests/golden/encoders/%s/model.safetensors", src ? src : ".", name);
        if (io_mkdirs(into, 0700, &e) || symlink(from.data, weights)) abort();
        buf_release(&from);
    }
    scratch_put(config, p, n);
    struct model *m = hf_load(into, &(struct hf_options){.classes = n % 3, .dropout = -1, .seed = 1}, &e);
    if (!m == !e.code) abort();
    if (m) look(m);
    model_free(m);
    free(into);
    free(config);
    free(weights);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (!size || size > 1 << 20) return 0;
    if (data[0] == 'b') encoder("bert", data + 1, size - 1);
    else if (data[0] == 'd') encoder("distilbert", data + 1, size - 1);
    else if (data[0] == 'r') encoder("roberta", data + 1, size - 1);
    else own(data + 1, size - 1);
    return 0;
}
