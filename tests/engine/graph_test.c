/* Graph and plan: messages of shape errors; memory reuse against no reuse on random graphs (outputs, gradients); no allocation in a
 * step after the first, whatever the batch; the same bits on any thread count; fusion against no fusion; sums of gradients; random
 * ops; missing memory is a sentence. */
#include "config.h"

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "engine/cpu/gemm.h"
#include "engine/cpu/pool.h"
#include "engine/graph/op.h"
#include "engine/graph/plan.h"
#include "src/base/mem.h"
#include "src/base/rng.h"
#include "tests/engine/allocations.h"
#include "tests/tap.h"

static struct pool *pools[4];

static struct dim rows(int64_t k) { return (struct dim){k, AXIS_R}; }
static struct dim fixed(int64_t k) { return (struct dim){k, AXIS_ONE}; }
static struct extents batch(int64_t r) { return (struct extents){.n = {[AXIS_ONE] = 1, [AXIS_R] = r, [AXIS_R1] = r + 1, [AXIS_T0] = 3 * r}}; }

static void messages(void) {
    struct graph *g = graph_new(DT_F32, true, 1);
    struct err e = {0};
    graph_path(g, "block1.fc");
    tid x = graph_input(g, "x", DT_F32, (struct dim[]){rows(1), fixed(128)}, 2, -1);
    tid w = graph_param(g, "w", DT_F32, (struct dim[]){fixed(10), fixed(64)}, 2, 0, true);
    tap_ok(graph_add2(g, "linear", x, w, &e) < 0 && strstr(e.text, "(R, 128) f32") && strstr(e.text, "(10, 64) f32") && strstr(e.text, "linear at block1.fc"),
        "both shapes: %s", e.text);
    e = (struct err){0};
    tap_ok(graph_add1(g, "linear", x, &e) < 0 && strstr(e.text, "1 input given"), "count of inputs: %s", e.text);
    e = (struct err){0};
    tap_ok(graph_add1(g, "no_such_op", x, &e) < 0 && strstr(e.text, "no_such_op"), "unknown op: %s", e.text);
    e = (struct err){0};
    tap_ok(graph_attr(g, "softmax", "axsi=1", &x, 1, NULL, &e) < 0 && strstr(e.text, "softmax at block1.fc"), "unknown argument: %s", e.text);
    struct buf b = BUF_INIT;
    tensor_shape(&b, &(struct tensor){.dim = {rows(1), {3, AXIS_T1}, {1, AXIS_R1}, fixed(7)}, .ndim = 4});
    tap_is(b.data, "(R, 3*T1, R+1, 7)", "shape text");
    buf_release(&b);
    graph_free(g);
}

/* ---- random graphs: a pool of (R, W) values, unary and binary ops, some products; loss is the sum of the last few ---- */
enum { WIDTH = 9, WEIGHTS = 3, STEPS = 24 };
struct net {
    struct graph *g;
    struct plan *p;
    tid x, w[WEIGHTS], out[3], grad[WEIGHTS], dloss, p_drop;
    float weight[WEIGHTS * (WIDTH * WIDTH + 16)];
};

static bool build_net(struct net *n, uint64_t seed, struct err *e) {
    static const char *const unary[] = {"relu", "tanh", "sigmoid", "gelu", "neg", "softmax"}, *const binary[] = {"add", "mul", "sub"};
    tid v[STEPS + 1];
    struct dim xw[] = {rows(1), fixed(WIDTH)}, ww[] = {fixed(WIDTH), fixed(WIDTH)};
    struct graph *g = n->g = graph_new(DT_F32, true, seed);
    v[0] = n->x = graph_input(g, "x", DT_F32, xw, 2, -1);
    n->p_drop = graph_scalar(g, "p");
    for (int i = 0; i < WEIGHTS; i++) n->w[i] = graph_param(g, "w", DT_F32, ww, 2, (size_t)i * sizeof(float) * (WIDTH * WIDTH + 15), true);
    for (int i = 1; i <= STEPS; i++) {
        uint64_t r = rng_u32(seed, 1, (uint64_t)i);
        tid a = v[rng_below(seed, 2, (uint64_t)i, (uint64_t)i)], b = v[rng_below(seed, 3, (uint64_t)i, (uint64_t)i)];
        if (r % 7 < 3) v[i] = graph_add1(g, unary[r / 7 % LEN(unary)], a, e);
        else if (r % 7 < 5) v[i] = graph_add2(g, binary[r / 7 % LEN(binary)], a, b, e);
        else if (r % 7 == 5) v[i] = graph_add2(g, "dropout", a, n->p_drop, e);
        else v[i] = graph_add2(g, "linear", a, n->w[r / 7 % WEIGHTS], e);
        if (v[i] < 0) return false;
    }
    for (int i = 0; i < 3; i++) n->out[i] = v[STEPS - i];
    tid s = graph_add2(g, "add", n->out[0], graph_add2(g, "add", n->out[1], n->out[2], e), e);
    n->dloss = graph_input(g, "dloss", DT_F32, xw, 2, -1);
    return s >= 0 && grad_build(g, s, n->dloss, n->w, WEIGHTS, n->grad, e) == 0;
}

static bool plan_net(struct net *n, const struct plan_options *o, struct err *e) {
    struct extents max = batch(13);
    tid keep[3 + WEIGHTS];
    memcpy(keep, n->out, sizeof n->out);
    memcpy(keep + 3, n->grad, sizeof n->grad);
    struct plan_options mine = *o;
    mine.keep = keep, mine.n_keep = LEN(keep), mine.param = n->weight;
    n->p = plan_new(n->g, &max, &mine, e);
    return n->p && plan_alloc(n->p, e) == 0;
}

static bool run_net(struct net *n, int64_t r, uint64_t step, struct err *e) {
    struct extents x = batch(r);
    float *in = plan_data(n->p, n->x), *d = plan_data(n->p, n->dloss);
    for (int64_t i = 0; i < r * WIDTH; i++) in[i] = (float)rng_unit(4, step, (uint64_t)i) - 0.5f, d[i] = (float)rng_unit(5, step, (uint64_t)i) - 0.5f;
    for (size_t i = 0; i < LEN(n->weight); i++) n->weight[i] = ((float)rng_unit(6, 0, i) - 0.5f) * 0.7f;
    plan_scalar(n->p, n->p_drop, 0.25);
    plan_step(n->p, step);
    return plan_run(n->p, &x, PHASE_FORWARD, PHASE_UPDATE, e) == 0;
}

static bool same(const struct net *a, const struct net *b, int64_t r) {
    struct extents x = batch(r);
    for (int i = 0; i < 3 + WEIGHTS; i++) {
        tid t = i < 3 ? a->out[i] : a->grad[i - 3];
        if (t >= 0 && memcmp(plan_data(a->p, t), plan_data(b->p, t), tensor_bytes(graph_tensor(a->g, t), &x)) != 0) return false;
    }
    return true;
}

static void free_net(struct net *n) {
    plan_free(n->p);
    graph_free(n->g);
    free(n);
}

static struct net *new_net(uint64_t seed, const struct plan_options *o) {
    struct net *n = X_NEW(struct net, 1);
    struct err e = {0};
    if (!build_net(n, seed, &e) || !plan_net(n, o, &e)) {
        printf("# seed %llu: %s\n", (unsigned long long)seed, e.text);
        exit(1);
    }
    return n;
}

static void liveness(void) {
    int bad = 0, smaller = 0, differ_threads = 0;
    struct err e = {0};
    for (uint64_t seed = 1; seed <= 300; seed++) {
        struct net *a = new_net(seed, &(struct plan_options){0}), *b = new_net(seed, &(struct plan_options){.no_reuse = true}),
                   *c = new_net(seed, &(struct plan_options){.pool = pools[3]});
        static const int64_t size[] = {13, 0, 1, 5, 13};
        for (size_t i = 0; i < LEN(size); i++) {
            bad += !run_net(a, size[i], i, &e) || !run_net(b, size[i], i, &e) || !same(a, b, size[i]);
            differ_threads += !run_net(c, size[i], i, &e) || !same(a, c, size[i]);
        }
        smaller += plan_bytes(a->p, ROLE_TEMP) < plan_bytes(b->p, ROLE_TEMP);
        free_net(a), free_net(b), free_net(c);
    }
    tap_ok(bad == 0, "300 random graphs: shared memory changes no bit of outputs and gradients (%d bad)", bad);
    tap_ok(smaller >= 280, "memory is shared in %d of 300", smaller);
    tap_ok(differ_threads == 0, "300 random graphs: the same bits on 3 threads");
}

static void no_allocation(void) {
#ifdef COUNTED
    struct err e = {0};
    struct net *a = new_net(3, &(struct plan_options){.pool = pools[2], .profile = true});
    run_net(a, 13, 0, &e);
    long before = allocations;
    for (uint64_t s = 1; s < 200; s++) run_net(a, (int64_t)(s % 14), s, &e);
    tap_ok(allocations == before, "199 steps of changing batches allocate nothing (%ld)", allocations - before);
    free_net(a);
#else
    tap_skip("steps allocate nothing", "a sanitizer owns the allocator");
#endif
}

/* ---- fusion: embedding, mean pooling, linear ---- */
static struct plan *bag(struct graph *g, bool fuse, tid out[2], tid in[3], float *param, struct err *e) {
    tid offsets = in[1] = graph_input(g, "offsets", DT_I32, (struct dim[]){{1, AXIS_R1}}, 1, -1), grad[2];
    tid ids = in[0] = graph_input(g, "ids", DT_I32, (struct dim[]){{1, AXIS_T0}}, 1, offsets);
    tid table = graph_param(g, "table", DT_F32, (struct dim[]){fixed(11), fixed(8)}, 2, 0, true),
        w = graph_param(g, "w", DT_F32, (struct dim[]){fixed(2), fixed(8)}, 2, 512, true);
    tid x = graph_add2(g, "embedding", ids, table, e), m = x < 0 ? -1 : graph_add2(g, "mean_pool", x, offsets, e),
        y = m < 0 ? -1 : graph_add2(g, "linear", m, w, e);
    if (y < 0 || (fuse && fuse_forward(g, e) < 0)) return NULL;
    in[2] = graph_input(g, "dy", DT_F32, (struct dim[]){rows(1), fixed(2)}, 2, -1);
    if (grad_build(g, y, in[2], (tid[]){table, w}, 2, grad, e) < 0) return NULL;
    tid rws[3];
    if (!grad_rows(g, grad[0], rws)) return NULL;
    g->phase = PHASE_BACKWARD;
    out[0] = y, out[1] = graph_attr(g, "rows_dense", NULL, (tid[]){grad[0], rws[0], rws[1], rws[2]}, 4, NULL, e);
    struct extents max = batch(7);
    return plan_new(g, &max, &(struct plan_options){.keep = out, .n_keep = 2, .param = param}, e);
}

static void fusion(void) {
    struct err e = {0};
    struct graph *g[2] = {graph_new(DT_F32, true, 1), graph_new(DT_F32, true, 1)};
    struct plan *p[2];
    tid out[2][2], in[2][3];
    float param[128 + 16];
    double worst = 0;
    for (int i = 0; i < 144; i++) param[i] = (float)rng_unit(8, 0, (uint64_t)i) - 0.5f;
    for (int k = 0; k < 2; k++) p[k] = bag(g[k], k, out[k], in[k], param, &e);
    if (!tap_ok(p[0] && p[1], "embedding and mean pooling build%s%s", e.text[0] ? ": " : "", e.text)) return;
    struct extents x = batch(7);
    static const int32_t offsets[8] = {0, 4, 4, 9, 10, 15, 20, 21};
    for (int k = 0; k < 2; k++) {
        plan_alloc(p[k], &e);
        memcpy(plan_data(p[k], in[k][1]), offsets, sizeof offsets);
        for (int i = 0; i < 21; i++) ((int32_t *)plan_data(p[k], in[k][0]))[i] = (int32_t)rng_below(9, 0, (uint64_t)i, 11);
        for (int i = 0; i < 14; i++) ((float *)plan_data(p[k], in[k][2]))[i] = (float)rng_unit(10, 0, (uint64_t)i);
        plan_run(p[k], &x, PHASE_FORWARD, PHASE_UPDATE, &e);
    }
    for (int o = 0; o < 2; o++)
        for (int64_t i = 0; i < (o ? 88 : 14); i++)
            worst = fmax(worst, fabs((double)((float *)plan_data(p[0], out[0][o]))[i] - ((float *)plan_data(p[1], out[1][o]))[i]));
    bool fused = false;
    for (int i = 0; i < g[1]->n_node; i++) fused |= strcmp(g[1]->node[i].op->kind.name, "embedding_bag") == 0;
    tap_ok(fused && worst < 1e-6, "embedding + mean_pool -> embedding_bag agrees within %.1e", worst);
    tap_ok(plan_bytes(p[1], ROLE_TEMP) < plan_bytes(p[0], ROLE_TEMP), "and needs less memory");
    for (int k = 0; k < 2; k++) plan_free(p[k]), graph_free(g[k]);
}

/* gelu(linear(x)) joined in one op where no gradient is built: few rows, many rows, and sizes that fill no tile */
static void product_act(void) {
    static float param[77 * 41 + 77];
    double worst = 0;
    int joined = 0, kept = 0;
    for (int i = 0; i < (int)LEN(param); i++) param[i] = (float)rng_unit(8, 0, (uint64_t)i) - 0.5f;
    for (int form = 0; form < 2; form++)
        for (int64_t n = 5; n <= 500; n *= 10) {
            struct plan *p[3];
            struct graph *g[3];
            tid y[3];
            struct extents x = batch(n);
            struct err e = {0};
            for (int k = 0; k < 3; k++) { /* apart, joined, a graph that trains */
                g[k] = graph_new(DT_F32, k == 2, 1);
                tid in = graph_input(g[k], "x", DT_F32, (struct dim[]){rows(1), fixed(41)}, 2, -1);
                tid w = graph_param(g[k], "w", DT_F32, (struct dim[]){fixed(77), fixed(41)}, 2, 0, true),
                    b = graph_param(g[k], "b", DT_F32, (struct dim[]){fixed(77)}, 1, 77 * 41 * 4, true);
                tid u = graph_attr(g[k], "linear", NULL, (tid[]){in, w, b}, 3, NULL, &e);
                y[k] = graph_attr(g[k], "gelu", form ? "approx=tanh" : NULL, &u, 1, NULL, &e);
                if (k && fuse_forward(g[k], &e) < 0) tap_ok(false, "%s", e.text);
                p[k] = plan_new(g[k], &x, &(struct plan_options){.keep = &y[k], .n_keep = 1, .param = param}, &e);
                plan_alloc(p[k], &e);
                for (int64_t i = 0; i < n * 41; i++) ((float *)plan_data(p[k], in))[i] = (float)rng_unit(10, 0, (uint64_t)i) - 0.5f;
                plan_run(p[k], &x, PHASE_FORWARD, PHASE_FORWARD, &e);
            }
            joined += strcmp(g[1]->node[g[1]->tensor[y[1]].node].op->kind.name, "linear") == 0;
            kept += strcmp(g[2]->node[g[2]->tensor[y[2]].node].op->kind.name, "gelu") == 0;
            for (int64_t i = 0; i < n * 77; i++) worst = fmax(worst, fabs((double)((float *)plan_data(p[0], y[0]))[i] - ((float *)plan_data(p[1], y[1]))[i]));
            for (int k = 0; k < 3; k++) plan_free(p[k]), graph_free(g[k]);
        }
    tap_ok(joined == 6 && kept == 6 && worst < 1e-6, "linear + gelu join where nothing trains, and agree within %.1e", worst);
}

static void sums_and_random(void) {
    struct err e = {0};
    struct graph *g = graph_new(DT_F64, false, 1);
    tid x = graph_input(g, "x", DT_F64, (struct dim[]){rows(1)}, 1, -1), n = g->n_node;
    tap_ok(graph_add2(g, "dropout", x, graph_scalar(g, "p"), &e) == x && g->n_node == n, "a random op is the identity outside training");
    tid y = graph_add2(g, "mul", x, x, &e), d = graph_input(g, "d", DT_F64, (struct dim[]){rows(1)}, 1, -1), gx;
    y = graph_add2(g, "add", y, x, &e);
    tap_ok(grad_build(g, y, d, &x, 1, &gx, &e) == 0 && gx >= 0, "a gradient of an input");
    struct extents max = batch(2);
    struct plan *p = plan_new(g, &max, &(struct plan_options){.keep = (tid[]){y, gx}, .n_keep = 2, .reference = true}, &e);
    plan_alloc(p, &e);
    double *in = plan_data(p, x), *seed = plan_data(p, d);
    in[0] = 3, in[1] = -2, seed[0] = 1, seed[1] = 10;
    plan_run(p, &max, PHASE_FORWARD, PHASE_BACKWARD, &e);
    const double *got = plan_data(p, gx);
    tap_ok(got[0] == 7 && got[1] == -30, "three gradients of one tensor are summed: %g %g", got[0], got[1]);
    in[1] = INFINITY;
    plan_run(p, &max, PHASE_FORWARD, PHASE_BACKWARD, &e);
    const struct node *bad = plan_first_nonfinite(p, &max);
    tap_ok(bad && bad->phase == PHASE_FORWARD, "the first non-finite output is found: %s", bad ? bad->op->kind.name : "none");
    struct extents more = batch(3);
    tap_ok(plan_run(p, &more, PHASE_FORWARD, PHASE_BACKWARD, &e) < 0 && strstr(e.text, "at most 2"), "a batch larger than planned: %s", e.text);
    plan_free(p);
    graph_free(g);
}

/* One op on inputs of given values, in double by its reference or in float by the kernel; out: its first n outputs' first values, and those of the first
 * input's gradient. */
struct given {
    struct dim dim[4];
    int ndim;
    const double *v;
    bool ids;
};
static bool op_values(
    const char *op, const char *attr, const struct given *in, int n_in, int64_t r, bool wide, double *y, int64_t n_y, int which, double *dx, int64_t n_dx) {
    struct err e = {0};
    enum dtype real = wide ? DT_F64 : DT_F32;
    struct graph *g = graph_new(real, true, 1);
    struct extents x = batch(r);
    tid t[OP_IN], out[OP_OUT], grad = -1;
    for (int i = 0; i < n_in; i++) t[i] = graph_input(g, "in", in[i].ids ? DT_I32 : real, in[i].dim, in[i].ndim, -1);
    g->tensor[t[0]].needs_grad = dx != NULL;
    bool ok = graph_attr(g, op, attr, t, n_in, out, &e) >= 0;
    struct tensor o = ok ? *graph_tensor(g, out[0]) : (struct tensor){0};
    tid seed = graph_input(g, "seed", real, o.dim, o.ndim, -1);
    ok = ok && (!dx || grad_build(g, out[0], seed, t, 1, &grad, &e) == 0);
    struct plan *p = ok ? plan_new(g, &x, &(struct plan_options){.reference = wide, .keep = (tid[]){out[which], grad}, .n_keep = dx ? 2 : 1}, &e) : NULL;
    ok = p && plan_alloc(p, &e) == 0;
    for (int i = 0; ok && i < n_in; i++)
        for (int64_t j = 0, n = tensor_len(graph_tensor(g, t[i]), &x); j < n; j++) {
            void *d = plan_data(p, t[i]);
            if (in[i].ids) ((int32_t *)d)[j] = (int32_t)in[i].v[j];
            else if (wide) ((double *)d)[j] = in[i].v[j];
            else ((float *)d)[j] = (float)in[i].v[j];
        }
    for (int64_t j = 0, n = tensor_len(&o, &x); ok && dx && j < n; j++)
        if (wide) ((double *)plan_data(p, seed))[j] = 1;
        else ((float *)plan_data(p, seed))[j] = 1;
    if (ok) plan_step(p, 3);
    ok = ok && plan_run(p, &x, PHASE_FORWARD, PHASE_BACKWARD, &e) == 0;
    for (int64_t j = 0; ok && j < n_y; j++) y[j] = wide ? ((double *)plan_data(p, out[which]))[j] : (double)((float *)plan_data(p, out[which]))[j];
    for (int64_t j = 0; ok && j < n_dx; j++) dx[j] = wide ? ((double *)plan_data(p, grad))[j] : (double)((float *)plan_data(p, grad))[j];
    if (!ok) printf("# %s: %s\n", op, e.text);
    plan_free(p);
    graph_free(g);
    return ok;
}

/* What is kept grows by 1 / (1 - p), what is dropped is 0, about a share of p: of values, of whole examples, of attention weights (whose values are all 1
 * here). */
static void dropped(bool wide) {
    enum { R = 2000, W = 3 };
    static double one[9 * R], y[R * W];
    const double p = 0.25;
    const char *how = wide ? "reference" : "kernel";
    for (size_t i = 0; i < LEN(one); i++) one[i] = 1;
    struct given v = {{rows(1), fixed(W)}, 2, one, false}, prob = {{{0}}, 0, &p, false};
    for (int path = 0; path < 2; path++) {
        int64_t zero = 0, other = 0, torn = 0;
        bool ok = op_values(path ? "drop_path" : "dropout", NULL, (struct given[]){v, prob}, 2, R, wide, y, R * W, 0, NULL, 0);
        for (int i = 0; i < R * W; i++) zero += y[i] == 0, other += y[i] != 0 && fabs(y[i] - 4.0 / 3) > 1e-6, torn += i % W && y[i] != y[i - 1];
        tap_ok(ok && !other && fabs((double)zero / (R * W) - p) < 0.04 && (path ? torn == 0 : torn > 0),
            "%s, %s: %.1f %% are dropped, the rest is 4/3 as large", path ? "drop_path" : "dropout", how, 100.0 * (double)zero / (R * W));
    }
    double off[R + 1], mean = 0;
    for (int i = 0; i <= R; i++) off[i] = 3 * i;
    struct given qkv = {{{1, AXIS_T0}, fixed(3)}, 2, one, false}, offsets = {{{1, AXIS_R1}}, 1, off, true};
    bool ok = op_values("attention", NULL, (struct given[]){qkv, offsets, prob}, 3, R / 2, wide, y, 3 * R / 2, 0, NULL, 0);
    for (int i = 0; i < 3 * R / 2; i++) mean += y[i] / (3 * R / 2);
    tap_ok(ok && fabs(mean - 1) < 0.04, "attention, %s: dropped weights leave the mean at %.3f", how, mean);
}

/* Small sums by hand. */
static void by_hand(bool wide) {
    static const double a[] = {1, 0, 1, 0, 1, 0, 1, 0}, b[] = {0.6, 0.8, 0.6, 0.8, 0.1, 0.99498743710662, -1, 0}, mark[] = {1, -1, -1, -1}, none[16] = {0};
    static const double z[] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, label[] = {0, 2, 1, 3}, share[] = {0.5, 2, 1.5};
    const char *how = wide ? "reference" : "kernel";
    struct given x = {{rows(1), fixed(2)}, 2, a, false}, y = {{rows(1), fixed(2)}, 2, b, false}, m = {{rows(1)}, 1, mark, false};
    double got[4] = {0}, dx[16] = {0};
    bool ok = op_values("cosine_loss", "margin=0.2", (struct given[]){x, y, m}, 3, 4, wide, got, 1, 0, NULL, 0); /* 0.4, 0.6 - 0.2, nothing, nothing */
    tap_ok(ok && fabs(got[0] - 0.8) < 1e-6, "cosine_loss, %s: pairs that belong together, and apart with a margin: %.6f", how, got[0]);
    struct given zs = {{rows(1), fixed(3)}, 2, z, false}, ls = {{rows(1)}, 1, label, true}, ws = {{fixed(3)}, 1, share, false};
    ok = op_values("softmax_ce", "ignore_index=3", (struct given[]){zs, ls, ws}, 3, 4, wide, got, 1, 1, NULL, 0);
    tap_ok(ok && fabs(got[0] - 4) < 1e-6, "softmax_ce, %s: the weight is that of the classes of the rows that count, %g", how, got[0]);
    struct given img = {{rows(1), fixed(1), fixed(4), fixed(4)}, 4, none, false};
    ok = op_values("max_pool2d", NULL, &img, 1, 1, wide, got, 4, 0, dx, 16);
    tap_ok(ok && dx[0] == 1 && dx[2] == 1 && dx[8] == 1 && dx[10] == 1, "max_pool2d, %s: the first of equal values gets the gradient", how);
}

static void memory(void) {
    struct err e = {0};
    struct graph *g = graph_new(DT_F32, false, 1);
    tid x = graph_input(g, "x", DT_F32, (struct dim[]){rows(1), fixed(1 << 20)}, 2, -1);
    tid y = graph_add1(g, "relu", x, &e);
    struct extents max = batch(1024);
    struct plan *p = plan_new(g, &max, &(struct plan_options){.keep = &y, .n_keep = 1}, &e);
    tap_ok(p && plan_bytes(p, ROLE_INPUT) == (size_t)4 << 30, "memory need is known before it is taken: %zu MiB of inputs",
        p ? plan_bytes(p, ROLE_INPUT) >> 20 : 0);
#ifdef COUNTED
    struct rlimit old, low;
    getrlimit(RLIMIT_AS, &old);
    low = old, low.rlim_cur = (rlim_t)1 << 30;
    setrlimit(RLIMIT_AS, &low);
    int rc = plan_alloc(p, &e);
    setrlimit(RLIMIT_AS, &old);
    const char *says = strstr(e.text, "a batch of ");
    tap_ok(rc < 0 && says && atoi(says + 11) > 0 && atoi(says + 11) <= 128, "too little memory is a sentence with a batch: %s", e.text);
#else
    tap_skip("too little memory is a sentence", "a sanitizer owns the address space");
#endif
    plan_free(p);
    max = batch((int64_t)1 << 24);
    e = (struct err){0};
    p = plan_new(g, &max, &(struct plan_options){.keep = &y, .n_keep = 1}, &e);
    tap_ok(p && plan_alloc(p, &e) < 0 && strstr(e.text, "MiB"), "more than the machine has is refused before it is touched: %s", e.text);
    plan_free(p);
    max = batch(INT64_MAX / 1024);
    e = (struct err){0};
    tap_ok(!plan_new(g, &max, &(struct plan_options){.keep = &y, .n_keep = 1}, &e) && e.text[0], "a size that overflows: %s", e.text);
    graph_free(g);
}

int main(void) {
    struct gemm_info info;
    gemm_open(NULL, &info);
    ops_select("auto", NULL);
    for (int t = 2; t <= 3; t++) pools[t] = pool_new(t, NULL);
    messages();
    liveness();
    no_allocation();
    fusion();
    product_act();
    sums_and_random();
    for (int wide = 0; wide < 2; wide++) dropped(wide), by_hand(wide);
    memory();
    for (int t = 2; t <= 3; t++) pool_free(pools[t]);
    return tap_done();
}
