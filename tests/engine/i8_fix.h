/* Graphs of one op of 8-bit inference with made-up inputs, for the tests on the CPU and on a device. */
#ifndef HONE_TESTS_I8_FIX_H
#define HONE_TESTS_I8_FIX_H

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "engine/graph/graph.h"
#include "engine/graph/plan.h"
#include "engine/graph/plan_priv.h"
#include "src/base/rng.h"

static inline bool all_there(const struct plan *p) {
    for (int i = 0; i < p->n_step; i++)
        if (!device_has(p, i)) return false;
    return true;
}

/* Rows of a table of 9 x 37 by 11 ids of 4 texts: an op of engine/ops/embed_i8.c. y: as many numbers as *len tells then, at most 11 x 37. how: device,
 * pool, reference; on a device everything has to be there. -1: it failed. */
static inline int i8_table(const char *op, struct plan_options how, bool weighted, float *y, int64_t *len, struct err *e) {
    enum { V = 9, D = 37, T = 11, R = 4 };
    static const int32_t ids[T] = {0, 8, 3, 3, -1, 5, 9, 2, 1, 7, 6}, off[R + 1] = {0, 3, 3, 4, T};
    struct graph *g = graph_new(DT_F32, false, 1);
    struct dim td = {1, AXIS_T0}, od = {1, AXIS_R1}, wd[] = {{V, 0}, {D, 0}}, pd[] = {{4, 0}, {D, 0}};
    tid o = graph_input(g, "o", DT_I32, &od, 1, -1), i = graph_input(g, "i", DT_I32, &td, 1, o), w = graph_input(g, "w", DT_I8, wd, 2, -1),
        s = graph_input(g, "s", DT_F32, wd, 1, -1);
    tid pos = graph_input(g, "p", DT_F32, pd, 2, -1), tw = graph_input(g, "tw", DT_F32, &td, 1, o);
    bool bag = strcmp(op, "embedding_bag_i8") == 0, embed = strcmp(op, "embed_i8") == 0;
    tid in[] = {i, w, bag || embed ? o : s, bag ? s : pos, bag && weighted ? tw : -1, s};
    tid out = graph_attr(g, op, NULL, in, bag ? (weighted ? 5 : 4) : embed ? 6 : 3, NULL, e);
    struct extents ex = {{1, R, R + 1, T}};
    how.keep = &out, how.n_keep = 1;
    struct plan *p = out >= 0 ? plan_new(g, &ex, &how, e) : NULL;
    int rc = p ? plan_alloc(p, e) : -1;
    if (rc == 0) {
        memcpy(plan_data(p, i), ids, sizeof ids);
        if (plan_data(p, o)) memcpy(plan_data(p, o), off, sizeof off);
        for (int k = 0; k < V * D; k++) ((int8_t *)plan_data(p, w))[k] = (int8_t)(k * 29 % 255 - 127);
        for (int k = 0; k < V; k++) ((float *)plan_data(p, s))[k] = 0.01f * (float)(k + 1);
        for (int k = 0; plan_data(p, pos) && k < 4 * D; k++) ((float *)plan_data(p, pos))[k] = (float)k * 0.1f;
        for (int k = 0; plan_data(p, tw) && k < T; k++) ((float *)plan_data(p, tw))[k] = (float)(k + 1);
        rc = plan_run(p, &ex, PHASE_FORWARD, PHASE_FORWARD, e);
        *len = tensor_len(graph_tensor(g, out), &ex);
        if (rc == 0) memcpy(y, plan_data(p, out), (size_t)*len * sizeof *y);
        if (rc == 0 && how.device && !all_there(p)) rc = err_set(e, "not on the device");
    }
    plan_free(p);
    graph_free(g);
    return rc;
}

/* Attention over packed texts of these lengths. nan_at: the input that is NaN, < 0: none. y: as many numbers as *n tells then. how, -1: as above. */
static inline int i8_attention(
    const char *op, int64_t heads, int64_t d, const int64_t *len, int texts, struct plan_options how, double nan_at, float *y, int64_t *n, struct err *e) {
    struct graph *g = graph_new(DT_F32, false, 1);
    struct dim qd[] = {{1, AXIS_T0}, {3 * heads * d, 0}}, od[] = {{1, AXIS_R1}};
    char attr[32];
    int64_t tokens = 0;
    for (int i = 0; i < texts; i++) tokens += len[i];
    snprintf(attr, sizeof attr, "heads=%d", (int)heads);
    tid o = graph_input(g, "o", DT_I32, od, 1, -1), q = graph_input(g, "q", DT_F32, qd, 2, o), out[OP_OUT];
    struct extents ex = {{1, texts, texts + 1, tokens}};
    int rc = graph_attr(g, op, attr, (tid[]){q, o}, 2, out, e) < 0 ? -1 : 0;
    how.keep = out, how.n_keep = 1;
    struct plan *p = rc == 0 ? plan_new(g, &ex, &how, e) : NULL;
    rc = p ? plan_alloc(p, e) : -1;
    if (rc == 0) {
        float *v = plan_data(p, q);
        int32_t *off = plan_data(p, o);
        for (int i = 0; i < texts; i++) off[i + 1] = off[i] + (int32_t)len[i];
        for (int64_t i = 0; i < tokens * 3 * heads * d; i++) v[i] = (float)rng_normal(21, 0, (uint64_t)i);
        if (nan_at >= 0) v[(int64_t)nan_at] = NAN;
        *n = tokens * heads * d;
        if ((rc = plan_run(p, &ex, PHASE_FORWARD, PHASE_FORWARD, e)) == 0) memcpy(y, plan_data(p, out[0]), (size_t)*n * sizeof *y);
        if (rc == 0 && how.device && !all_there(p)) rc = err_set(e, "not on the device");
    }
    plan_free(p);
    graph_free(g);
    return rc;
}

#endif
