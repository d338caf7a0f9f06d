/* A user's model under `hone bench`: rows to run, and what is said of the time they take. The timing is that of compression (engine/compress/measure.c). */
#include "engine/cmds/bench_model.h"

#include <string.h>

#include "engine/cpu/pool.h"
#include "engine/graph/backend.h"
#include "src/base/mem.h"
#include "src/base/rng.h"

enum { ROWS = 64, LEN_USUAL = 128 };

static void made_ids(struct column *c, int64_t n, int64_t ids, uint64_t stream) {
    int32_t *x = X_NEW(int32_t, (size_t)n + 1);
    for (int64_t i = 0; i < n; i++) x[i] = (int32_t)rng_below(1, stream, (uint64_t)i, (uint64_t)ids);
    c->data = x, c->max_id = ids;
}
static void made_column(struct column *c, const struct val *in, uint64_t stream) {
    int64_t ids = val_get_int(in, "ids", 0), len = val_get_int(in, "len", LEN_USUAL), d = 0;
    *c = (struct column){.name = mem_str(val_get_str(in, "name", "x")), .type = COL_F32, .width = 1, .scale = 1};
    if (ids > 0 && val_get_bool(in, "ragged", true)) {
        c->type = COL_TOKENS, c->width = 0;
        c->offset = X_NEW(int64_t, ROWS + 1);
        for (int i = 0; i <= ROWS; i++) c->offset[i] = i * len;
        made_ids(c, ROWS * len, ids, stream);
        return;
    }
    if (ids > 0) {
        c->type = COL_I32;
        made_ids(c, ROWS, ids, stream);
        return;
    }
    const struct val *shape = val_get(in, "shape");
    for (size_t i = 0; i < val_len(shape) && i < LEN(c->dim); i++)
        if (val_as_int(val_at(shape, i), &d)) c->dim[c->ndim++] = d, c->width *= d;
    float *x = X_NEW(float, (size_t)(ROWS * c->width) + 1);
    for (int64_t i = 0; i < ROWS * c->width; i++) x[i] = (float)rng_unit(1, stream, (uint64_t)i);
    c->data = x;
}

struct part *bench_rows(const struct model *m) {
    const struct val *in = val_get(m->desc, "input");
    struct part *p = X_NEW(struct part, 1);
    p->n = ROWS, p->n_col = (int)val_len(in) + 1;
    p->col = X_NEW(struct column, (size_t)p->n_col);
    for (int i = 0; i + 1 < p->n_col; i++) made_column(&p->col[i], val_at(in, (size_t)i), (uint64_t)i);
    p->col[p->n_col - 1] = (struct column){.name = mem_str("y"), .type = COL_I32, .width = 1};
    return p;
}

struct val *bench_model(const struct bed *bed, const struct model *m, const struct precision *pr, int scenario, const char *data, struct err *e) {
    struct speed s[SPEEDS] = {{0}};
    int64_t bytes, tokens = 0, macs;
    unsigned which = scenario == SCENARIO_SINGLE ? 1U << SPEED_ONE : scenario == SCENARIO_BATCH ? 1U << SPEED_MANY : ~0U;
    for (int64_t i = 0; i < bed->part->n; i++) tokens += part_tokens(bed->part, i);
    if (measure_alone(bed, m, pr, which, s, e) < 0 || model_disk_bytes(m, &bytes, e) < 0) return NULL;
    if ((macs = model_macs(m, (tokens + bed->part->n / 2) / bed->part->n, e)) < 0) return NULL;
    struct val *v = val_table();
    val_set_str(v, "event", "bench");
    val_set_str(v, "model", val_get_str(m->desc, "name", "model"));
    val_set_str(v, "data", data ? data : "made up");
    if (tokens) val_set_num(v, "tokens", (double)tokens / (double)bed->part->n);
    if (bed->device) val_set_str(v, "device", bed->device->name);
    val_set_int(v, "threads", pool_threads(bed->pool));
    val_set_str(v, "precision", precision_name(pr));
    if (s[SPEED_ONE].n) {
        val_set_num(v, "p50_ms", s[SPEED_ONE].p50 * 1e3);
        val_set_num(v, "p90_ms", s[SPEED_ONE].p90 * 1e3);
        val_set_num(v, "p99_ms", s[SPEED_ONE].p99 * 1e3);
        val_set_int(v, "n_single", s[SPEED_ONE].n);
    }
    if (s[SPEED_MANY].n) {
        val_set_int(v, "batch", s[SPEED_MANY].rows);
        val_set_num(v, "examples_s", (double)s[SPEED_MANY].rows / s[SPEED_MANY].p50);
        val_set_int(v, "n_batch", s[SPEED_MANY].n);
    }
    val_set_int(v, "params", model_params(m));
    val_set_int(v, "macs", macs);
    val_set_int(v, "bytes", bytes);
    return v;
}

const char *const bench_scenarios[] = {"single", "batch", NULL};
