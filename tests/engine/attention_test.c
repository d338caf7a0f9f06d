/* Attention on texts longer than its blocks: fast kernels of every instruction set against the reference, output and gradient, with and without a causal
 * mask and dropout; the same bits on 1, 2, 3, 4 and 8 threads. The op table's own walk covers short and empty texts and the finite differences. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/cpu/pool.h"
#include "engine/graph/op.h"
#include "engine/graph/plan.h"
#include "src/base/mem.h"
#include "src/base/rng.h"
#include "tests/tap.h"

enum { TEXTS = 5, HEADS = 2, D = 40, W = HEADS * D };
static const int lens[TEXTS] = {1, 47, 0, 70, 210};

struct result {
    float *out, *grad;
    int64_t n;
};

static struct result run(const char *isa, bool reference, int threads, bool causal, double p) {
    struct err e = {0};
    ops_select(isa, &e);
    struct graph *g = graph_new(DT_F32, true, 3);
    struct extents x = {.n = {1, TEXTS, TEXTS + 1}};
    for (int i = 0; i < TEXTS; i++) x.n[AXIS_T0] += lens[i];
    struct dim qd[2] = {{1, AXIS_T0}, {3 * W, AXIS_ONE}}, od = {1, AXIS_R1}, gd[2] = {{1, AXIS_T0}, {W, AXIS_ONE}};
    tid off = graph_input(g, "off", DT_I32, &od, 1, -1), q = graph_input(g, "q", DT_F32, qd, 2, off), d = graph_input(g, "d", DT_F32, gd, 2, off),
        pt = graph_scalar(g, "p"), out[OP_OUT], dq = -1;
    g->tensor[q].needs_grad = true;
    tid y = graph_attr(g, "attention", causal ? "heads=2 causal=true" : "heads=2", (tid[]){q, off, p > 0 ? pt : -1}, p > 0 ? 3 : 2, out, &e);
    if (y < 0 || grad_build(g, y, d, &q, 1, &dq, &e) < 0) tap_ok(false, "%s", e.text);
    struct pool *pool = pool_new(threads, &e);
    struct plan_options o = {.pool = pool, .reference = reference, .keep = (tid[]){y, dq}, .n_keep = 2};
    struct plan *plan = plan_new(g, &x, &o, &e);
    plan_alloc(plan, &e);
    int32_t *offsets = plan_data(plan, off);
    for (int i = 0; i < TEXTS; i++) offsets[i + 1] = offsets[i] + lens[i];
    int64_t n = x.n[AXIS_T0];
    for (int64_t i = 0; i < 3 * W * n; i++) ((float *)plan_data(plan, q))[i] = (float)(2 * rng_normal(1, 0, (uint64_t)i));
    for (int64_t i = 0; i < W * n; i++) ((float *)plan_data(plan, d))[i] = (float)rng_normal(2, 0, (uint64_t)i);
    plan_scalar(plan, pt, p);
    plan_step(plan, 9);
    if (plan_run(plan, &x, PHASE_FORWARD, PHASE_BACKWARD, &e) < 0) tap_ok(false, "%s", e.text);
    struct result r = {X_NEW(float, (size_t)(W * n)), X_NEW(float, (size_t)(3 * W * n)), n};
    memcpy(r.out, plan_data(plan, y), (size_t)(W * n) * sizeof(float));
    memcpy(r.grad, plan_data(plan, dq), (size_t)(3 * W * n) * sizeof(float));
    plan_free(plan);
    graph_free(g);
    pool_free(pool);
    return r;
}

static double far(const float *a, const float *b, int64_t n) {
    double d = 0, s = 0;
    for (int64_t i = 0; i < n; i++) d += ((double)a[i] - b[i]) * ((double)a[i] - b[i]), s += (double)b[i] * b[i];
    return sqrt(d / s);
}
static void drop(struct result r) {
    free(r.out);
    free(r.grad);
}

static void trial(bool causal, double p) {
    struct result want = run("auto", true, 1, causal, p);
    for (int i = 0; isa_all(i); i++) {
        struct result r = run(isa_all(i)->name, false, 1, causal, p);
        double o = far(r.out, want.out, W * want.n), g = far(r.grad, want.grad, 3 * W * want.n);
        tap_ok(o <= 2e-6 && g <= 5e-6, "%s, dropout %g%s: output within %.1e, gradient within %.1e of the reference", isa_all(i)->name, p,
            causal ? ", causal" : "", o, g);
        bool same = true;
        static const int threads[] = {2, 3, 4, 8};
        for (size_t k = 0; k < LEN(threads); k++) {
            struct result t = run(isa_all(i)->name, false, threads[k], causal, p);
            same = same && !memcmp(t.out, r.out, (size_t)(W * r.n) * sizeof(float)) && !memcmp(t.grad, r.grad, (size_t)(3 * W * r.n) * sizeof(float));
            drop(t);
        }
        tap_ok(same, "%s: the same bits on 1, 2, 3, 4 and 8 threads", isa_all(i)->name);
        drop(r);
    }
    drop(want);
}

int main(void) {
    trial(false, 0);
    trial(true, 0);
    trial(true, 0.2);
    return tap_done();
}
