/* Fuzz target of the preparation that is saved with a model: {"prep": .., "in": ..}. Inputs are prepared by it, or a sentence says why not; ids are below
 * the number of ids, rows lie one after the other. Names of files are no input here. */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "datasets/dataset.h"
#include "src/base/json.h"
#include "src/base/log.h"
#include "tests/fuzz/fuzz.h"

static void quiet(void *ctx, enum log_level level, const char *text) { (void)ctx, (void)level, (void)text; }

static void check(const struct part *p) {
    const struct column *c = &p->col[0];
    volatile unsigned sum = 0;
    if (p->n < 0 || p->n_col != 1) abort();
    if (c->type == COL_TOKENS) {
        for (int64_t i = 0; i < p->n; i++)
            if (c->offset[i] > c->offset[i + 1]) abort();
        for (int64_t i = 0; i < c->offset[p->n]; i++)
            if (((const int32_t *)c->data)[i] < 0 || ((const int32_t *)c->data)[i] >= c->max_id) abort();
        return;
    }
    const unsigned char *b = c->data;
    for (int64_t i = 0; i < p->n * c->width * 4; i++) sum += b[i];
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct err e = {0};
    if (!size) return 0;
    log_set_sink(quiet, NULL);
    dataset_set_threads(1);
    struct val *v = json_parse((const char *)data, size, "input", &e);
    const struct val *in = val_get(v, "in"), *first = val_len(in) ? val_at(in, 0) : in;
    bool text = strcmp(val_get_str(val_get(v, "prep"), "kind", ""), "text") == 0;
    if (v && in && (text || first->type != VAL_STR)) {
        fuzz_limit = ((size_t)64 << 20) + 400 * size;
        struct part *p = dataset_prepare(val_get(v, "prep"), in, &e);
        if (!p == !e.code) abort(); /* an error has a sentence, a success has none */
        if (p) check(p), part_free(p);
        fuzz_limit = 0;
    }
    val_free(v);
    return 0;
}
