/* What the tests of whole steps share: models from JSON, rows made here (texts of different lengths, empty ones among them, or values), and their run. */
#ifndef HONE_TESTS_STEP_FIX_H
#define HONE_TESTS_STEP_FIX_H

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/cpu/gemm.h"
#include "engine/cpu/pool.h"
#include "engine/graph/op.h"
#include "engine/train/step.h"
#include "src/base/json.h"
#include "src/base/mem.h"
#include "src/base/rng.h"
#include "tests/tap.h"

struct fix {
    struct model *m;
    struct optimiser *o;
    struct loss_spec loss;
    struct pool *pool;
    struct step *s;
};

static __attribute__((unused)) struct val *from_json(const char *text, struct err *e) { return json_parse(text, strlen(text), "test", e); }

static __attribute__((unused)) void fix_close(struct fix *f) {
    step_free(f->s);
    if (f->loss.row) loss_release(&f->loss);
    pool_free(f->pool);
    if (f->o) optimiser_free(f->o);
    model_free(f->m);
    *f = (struct fix){0};
}

/* spec: what differs from the usual; model, loss, optimiser and pool are filled in. */
static __attribute__((unused)) int fix_open(struct fix *f, const char *model, const char *optim, int threads, struct step_spec spec, struct err *e) {
    *f = (struct fix){0};
    struct val *user = from_json(model, e), *o = from_json(optim, e), *desc = user ? model_describe(user, NULL, e) : NULL;
    f->m = desc ? model_new(desc, 1, e) : NULL;
    f->o = o ? optimiser_new(o, e) : NULL;
    f->pool = pool_new(threads, e);
    int rc = f->m && f->o && f->pool ? loss_init(&f->loss, NULL, true, e) : -1;
    spec.model = f->m, spec.loss = &f->loss, spec.optim = f->o, spec.pool = f->pool, spec.seed = 1;
    f->s = rc == 0 ? step_new(&spec, e) : NULL;
    val_free(user);
    val_free(o);
    if (f->s) return 0;
    printf("# %s\n", e->text);
    fix_close(f);
    return -1;
}

static __attribute__((unused)) int64_t row_len(int64_t r) { return r % 7 == 3 ? 1 : 1 + (int64_t)rng_below(4, 0, (uint64_t)r, 12); }

/* Rows from..to-1 of the made data into the step; their extents. */
static __attribute__((unused)) struct extents put_rows(const struct fix *f, int64_t from, int64_t to, int ids, int classes) {
    int32_t *offsets = NULL, *y = step_target(f->s);
    float *weights = NULL;
    void *x = step_input(f->s, 0, &offsets, &weights);
    int64_t t = 0;
    if (offsets) offsets[0] = 0;
    for (int64_t r = from; r < to; r++) {
        y[r - from] = (int32_t)(r % classes);
        if (!offsets) {
            struct extents one = {{1, 1, 2}};
            int64_t w = tensor_len(graph_tensor(f->s->g, f->s->io.in[0].data), &one);
            for (int64_t j = 0; j < w; j++)
                ((float *)x)[(r - from) * w + j] = (float)rng_normal(5, (uint64_t)r, (uint64_t)j) + (float)(j % classes == r % classes);
            continue;
        }
        for (int64_t j = 0; j < row_len(r); j++) ((int32_t *)x)[t++] = (int32_t)rng_below(6, (uint64_t)r, (uint64_t)j, (uint64_t)ids);
        offsets[r - from + 1] = (int32_t)t;
    }
    return step_extents(f->s, to - from, &t, offsets != NULL);
}

/* Largest difference of two blocks of weights, relative to the norm of the first. */
static __attribute__((unused)) double apart(const struct model *a, const struct model *b) {
    double d = 0, n = 0;
    for (size_t i = 0; i < a->bytes / sizeof(float); i++) {
        double x = (double)a->data[i], y = (double)b->data[i];
        d += (x - y) * (x - y), n += x * x;
    }
    return sqrt(d / n);
}

#endif
