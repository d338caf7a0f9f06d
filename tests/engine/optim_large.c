/* Tensors that are cut into several tiles, and row-sparse gradients: the fast path of every instruction set beside the reference in double, three steps.
 * Moments of 8 bits: the code book and the choice of codes. Groups while the set of trained parameters changes. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/graph/op.h"
#include "engine/graph/plan.h"
#include "engine/optims/optim.h"
#include "src/base/json.h"
#include "src/base/mem.h"
#include "src/base/rng.h"
#include "tests/engine/optim_fix.h"
#include "tests/tap.h"

enum { PARAMS = 5, STEPS = 3, TABLE = 4, ROWS = 6 };
static const struct {
    int64_t dim[4];
    int ndim;
} shape[PARAMS] = {{{311, 150}, 2}, {{33, 1000}, 2}, {{70001}, 1}, {{40, 9, 11, 10}, 4}, {{900, 40}, 2}};
static const int32_t ids[ROWS] = {3, 899, 3, 17, 0, 17}; /* of a batch, with repeats */

static struct val *parse(const char *text) {
    struct err e = {0};
    struct val *v = json_parse(text, strlen(text), "test", &e);
    if (!v) printf("# %s\n", e.text);
    return v;
}

/* The gradients are inputs, that of the table comes from embedding_grad. */
struct side {
    struct optimiser *o;
    struct graph *g;
    struct plan *plan;
    tid param[PARAMS], grad[PARAMS], dy, id, hyper, loss, weight, ctl;
    int64_t len[PARAMS];
    size_t offset[PARAMS];
    char *weights;
    enum dtype real;
};

static int table_grad(struct side *s, struct err *e) {
    struct dim ids_dim = {1, AXIS_R}, out[2] = {{1, AXIS_R}, {40, AXIS_ONE}};
    s->id = graph_input(s->g, "ids", DT_I32, &ids_dim, 1, -1);
    s->dy = graph_input(s->g, "dy", s->real, out, 2, -1);
    tid y = graph_attr(s->g, "embedding", NULL, (tid[]){s->id, s->param[TABLE]}, 2, NULL, e);
    return y < 0 ? -1 : grad_build(s->g, y, s->dy, &s->param[TABLE], 1, &s->grad[TABLE], e);
}

static int open_side(struct side *s, const char *spec, enum dtype real, struct err *e) {
    static const char *const names[PARAMS] = {"p0", "p1", "p2", "p3", "table"};
    struct optim_param p[PARAMS];
    struct extents x = {{1, ROWS, ROWS + 1}};
    struct val *v = parse(spec);
    size_t at = 0;
    *s = (struct side){.real = real, .o = optimiser_new(v, e), .g = graph_new(real, true, 1)};
    val_free(v);
    if (!s->o) return -1;
    for (int k = 0; k < PARAMS; k++) {
        struct dim d[4];
        p[k] = (struct optim_param){.name = names[k], .ndim = shape[k].ndim, .len = 1, .trained = true, .table = k == TABLE};
        for (int j = 0; j < shape[k].ndim; j++) d[j] = (struct dim){p[k].dim[j] = shape[k].dim[j], AXIS_ONE}, p[k].len *= shape[k].dim[j];
        s->len[k] = p[k].len;
        s->offset[k] = at;
        at += ((size_t)p[k].len * 8 + 63) / 64 * 64;
        s->param[k] = graph_param(s->g, names[k], real, d, shape[k].ndim, s->offset[k], true);
        if (k != TABLE) s->grad[k] = graph_input(s->g, "g", real, d, shape[k].ndim, -1);
    }
    s->weights = mem_try(at, 1, "weights", e);
    s->g->phase = PHASE_BACKWARD;
    if (table_grad(s, e) < 0 || optimiser_layout(s->o, p, PARAMS, real, e) < 0) return -1;
    struct dim h = {CTL_N * s->o->l.n_group, AXIS_ONE};
    s->hyper = graph_input(s->g, "hyper", real, &h, 1, -1);
    s->loss = graph_scalar(s->g, "loss");
    s->weight = graph_scalar(s->g, "weight");
    if (optimiser_build(s->o, s->g, s->param, s->grad, PARAMS, s->hyper, s->loss, s->weight, &s->ctl, e) < 0) return -1;
    struct plan_options po = {.keep = &s->ctl, .n_keep = 1, .param = s->weights, .state = s->o->l.state};
    s->plan = plan_new(s->g, &x, &po, e);
    if (!s->plan || plan_alloc(s->plan, e) < 0) return -1;
    for (int k = 0; k < PARAMS; k++)
        for (int64_t i = 0; i < s->len[k]; i++) real_put(s->real, s->weights + s->offset[k], i, (double)(float)(0.1 * rng_normal(1, (uint64_t)k, (uint64_t)i)));
    return 0;
}

static void close_side(struct side *s) {
    plan_free(s->plan);
    graph_free(s->g);
    optimiser_free(s->o);
    free(s->weights);
}

static int step_side(struct side *s, int t, struct err *e) {
    struct extents x = {{1, ROWS, ROWS + 1}};
    double h[CTL_N], lr = optimiser_common(s->o)->lr;
    optimiser_hyper(s->o, lr, 0, 0, h);
    for (int i = 0; i < CTL_N * s->o->l.n_group; i++) real_put(s->real, plan_data(s->plan, s->hyper), i, (double)(float)s->o->l.hyper[i]);
    for (int k = 0; k < TABLE; k++)
        for (int64_t i = 0; i < s->len[k]; i++)
            real_put(s->real, plan_data(s->plan, s->grad[k]), i, (double)(float)(0.05 * rng_normal((uint64_t)(2 + t), (uint64_t)k, (uint64_t)i)));
    memcpy(plan_data(s->plan, s->id), ids, sizeof ids);
    for (int i = 0; i < ROWS * 40; i++) real_put(s->real, plan_data(s->plan, s->dy), i, (double)(float)(0.05 * rng_normal((uint64_t)(2 + t), 9, (uint64_t)i)));
    plan_scalar(s->plan, s->loss, 1);
    plan_scalar(s->plan, s->weight, 1);
    if (plan_run(s->plan, &x, PHASE_FORWARD, PHASE_UPDATE, e) < 0) return -1;
    optimiser_applied(s->o, lr);
    return 0;
}

static void beside(const char *spec, double tol) {
    struct err e = {0};
    struct side want;
    int rc = open_side(&want, spec, DT_F64, &e);
    for (int t = 0; rc == 0 && t < STEPS; t++) rc = step_side(&want, t, &e);
    for (int i = 0; isa_all(i) && rc == 0; i++) {
        struct side got;
        if (ops_select(isa_all(i)->name, &e) < 0) break;
        rc = open_side(&got, spec, DT_F32, &e);
        for (int t = 0; rc == 0 && t < STEPS; t++) rc = step_side(&got, t, &e);
        double worst = 0, moved = 0;
        for (int k = 0; rc == 0 && k < PARAMS; k++)
            for (int64_t j = 0; j < want.len[k]; j++) {
                double d = fabs(real_get(got.real, got.weights + got.offset[k], j) - real_get(want.real, want.weights + want.offset[k], j));
                if (!(d <= worst)) worst = isnan(d) ? INFINITY : d;
                moved = fmax(
                    moved, fabs(real_get(want.real, want.weights + want.offset[k], j) - (double)(float)(0.1 * rng_normal(1, (uint64_t)k, (uint64_t)j))));
            }
        tap_ok(
            rc == 0 && worst <= tol && moved > 1e-4, "%s, %s: within %.1e of the reference, steps up to %.1e %s", spec, isa_all(i)->name, worst, moved, e.text);
        close_side(&got);
    }
    if (rc < 0) tap_ok(false, "%s: %s", spec, e.text);
    close_side(&want);
}

/* ---- moments of 8 bits ---- */

/* The code book as its authors make it: decades from 10^-6 to 1, means of the cells of a linear scale from 0.1 to 1 in each, 0 and 1. */
static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}
static void book(bool is_signed, double out[256]) {
    int n = 0;
    for (int i = 0; i < 7; i++) {
        int cells = 1 << (is_signed ? i : i + 1);
        for (int j = 0; j < cells; j++) {
            double lo = 0.1 + 0.9 * j / cells, hi = 0.1 + 0.9 * (j + 1) / cells, v = (lo + hi) / 2 * pow(10, i - 6);
            out[n++] = v;
            if (is_signed) out[n++] = -v;
        }
    }
    out[n++] = 0;
    out[n++] = 1;
    qsort(out, 256, sizeof *out, by_value);
}

enum { BIG = 5000 };
static void codes(const char *isa) {
    const struct op *op = op_find_isa(isa, "adam8_update");
    static float p[BIG], g[BIG], ms[20], vs[20];
    static uint8_t m[BIG], v[BIG];
    struct {
        int rows;
        int64_t variant, group;
    } attr = {0, 0, 0}; /* as in engine/optims/update.h */
    float ctl[CTL_N] = {0};
    struct err e = {0};
    struct val *spec = parse("{\"optim\":\"adam\",\"bits\":8,\"lr\":0}");
    struct optimiser *o = optimiser_new(spec, &e);
    struct optim_param op1 = {.name = "p", .dim = {BIG}, .ndim = 1, .len = BIG, .trained = true};
    double h[CTL_N], signs[256], squares[256], worst = 0;
    val_free(spec);
    optimiser_layout(o, &op1, 1, DT_F32, &e);
    optimiser_hyper(o, 0, 0, 0, h);
    for (int i = 0; i < CTL_N; i++) ctl[i] = (float)h[i];
    for (int i = 0; i < BIG; i++) g[i] = (float)(rng_normal(4, 0, (uint64_t)i) * pow(10, -5 * rng_unit(4, 1, (uint64_t)i)));
    for (int i = 0; i < BIG; i += 7) g[i] = 0;
    memset(m, 0, sizeof m), memset(v, 0, sizeof v), memset(ms, 0, sizeof ms), memset(vs, 0, sizeof vs);
    struct view flat = {p, {BIG}, 1, BIG, DT_F32}, vm = {m, {BIG}, 1, BIG, DT_U8}, vv = {v, {BIG}, 1, BIG, DT_U8}, sm = {ms, {20}, 1, 20, DT_F32},
                sv = {vs, {20}, 1, 20, DT_F32};
    struct view vg = {g, {BIG}, 1, BIG, DT_F32}, vc = {ctl, {CTL_N}, 1, CTL_N, DT_F32};
    double *scratch = mem_try(1, 16384, "scratch", &e);
    struct exec x = {.attr = &attr, .n_in = 7, .in = {flat, vm, sm, vv, sv, vg, vc}, .scratch = scratch, .scratch_bytes = 16384};
    op->begin(&x);
    op->run(&x, 0, op->tiles(&x));
    book(true, signs);
    book(false, squares);
    bool sorted = true;
    for (int i = 0; i < BIG; i++) {
        double wm = 0.1 * g[i], wv = 0.001 * (double)g[i] * g[i], am = fabs(signs[m[i]] * ms[i / 256] - wm), av = fabs(squares[v[i]] * vs[i / 256] - wv);
        for (int c = 0; c < 256; c++) {
            worst = fmax(worst, (am - fabs(signs[c] * ms[i / 256] - wm)) / ms[i / 256]);
            worst = fmax(worst, (av - fabs(squares[c] * vs[i / 256] - wv)) / vs[i / 256]);
        }
        sorted = sorted && (g[i] != 0 || (signs[m[i]] == 0 && squares[v[i]] == 0));
    }
    tap_ok(worst <= 1e-6, "codes of 8 bits, %s: no code of the book is nearer by more than %.1e", isa, worst);
    tap_ok(sorted, "zero stays zero");
    free(scratch);
    optimiser_free(o);
}

/* ---- groups and what is trained ---- */
static void relayout(void) {
    struct err e = {0};
    struct val *spec = parse("{\"optim\":\"nadam\",\"lr\":0.01}");
    struct optimiser *o = optimiser_new(spec, &e);
    struct optim_param p[2] = {
        {.name = "a.weight", .dim = {3}, .ndim = 1, .len = 3, .trained = true}, {.name = "b.weight", .dim = {5}, .ndim = 1, .len = 5, .trained = true}};
    double h[CTL_N], first[CTL_N];
    val_free(spec);
    optimiser_layout(o, p, 2, DT_F32, &e);
    optimiser_hyper(o, 0.01, 0, 0, first);
    for (int i = 0; i < 4; i++) optimiser_applied(o, 0.01);
    ((float *)o->l.state)[1] = 42;
    p[1].trained = false;
    optimiser_layout(o, p, 2, DT_F32, &e);
    optimiser_settle(o, false);
    tap_ok(o->l.slot[1].rule && o->l.n_group == 1, "a layout that is given back is as before");
    optimiser_layout(o, p, 2, DT_F32, &e);
    tap_ok(!o->l.slot[1].rule && o->l.bytes == 128 && ((float *)o->l.state)[1] == 42, "what is not trained has no state, the others keep theirs");
    for (int i = 0; i < 4; i++) optimiser_applied(o, 0.01);
    p[1].trained = true;
    optimiser_layout(o, p, 2, DT_F32, &e);
    optimiser_hyper(o, 0.01, 0, 0, h);
    tap_ok(
        o->l.n_group == 2 && o->l.slot[1].group == 1 && memcmp(o->l.hyper + CTL_N, first, sizeof first) == 0, "what is trained again begins at its first step");
    struct val *state = val_table();
    optimiser_progress(o, state);
    spec = optimiser_val(o);
    struct optimiser *b = optimiser_new(spec, &e);
    optimiser_restore(b, state);
    optimiser_layout(b, p, 2, DT_F32, &e);
    optimiser_hyper(b, 0.01, 0, 0, first);
    tap_ok(
        b->l.n_group == 2 && memcmp(b->l.hyper, o->l.hyper, 2 * CTL_N * sizeof(double)) == 0, "counters of groups come back from their saved form, to the bit");
    val_free(spec);
    val_free(state);
    optimiser_free(o);
    optimiser_free(b);
}

static void patterns(void) {
    static const struct {
        const char *pattern, *name;
        bool want;
    } t[] = {{"block1", "block1.ffn.weight", true}, {"block1", "block12.ffn.weight", false}, {"block", "block12.ffn.weight", true},
        {"block[12]", "block2.bias", true}, {"*.bias", "block2.bias", true}, {"ffn", "block2.ffn.weight", false}, {"block2.ffn", "block2.ffn.weight", true},
        {"embed", "embedding1.weight", false}, {"head.weight", "head.weight", true}, {"", "head.weight", false}, {"*", "head.weight", true}};
    int right = 0;
    for (size_t i = 0; i < LEN(t); i++) {
        bool got = optim_match(t[i].pattern, t[i].name);
        if (got != t[i].want) printf("# %s on %s: %d\n", t[i].pattern, t[i].name, got);
        right += got == t[i].want;
    }
    tap_ok(right == (int)LEN(t), "patterns of layers and parameters");
}

/* Numbers of parameters: the first group that matches counts; with layer_decay all parameters of a layer have one rate, the last layer its own. */
static void numbers(void) {
    static const char *const names[] = {"a.weight", "a.bias", "b.weight", "c.weight"};
    static const char groups[] = "{\"optim\":\"adam\",\"groups\":[{\"match\":\"a.weight\",\"lr_scale\":2},{\"match\":\"[ab]\",\"lr_scale\":3}]}",
                      decay[] = "{\"optim\":\"adam\",\"layer_decay\":0.5}";
    static const double want[2][4] = {{2, 3, 3, 1}, {0.25, 0.25, 0.5, 1}};
    struct optim_param p[4];
    for (int i = 0; i < 4; i++) p[i] = (struct optim_param){.name = names[i], .dim = {3}, .ndim = 1, .len = 3, .trained = true};
    for (int k = 0; k < 2; k++) {
        struct err e = {0};
        struct val *spec = parse(k ? decay : groups);
        struct optimiser *o = optimiser_new(spec, &e);
        double scale[4] = {0}, wd[4];
        bool ok = o && optim_group_numbers(optimiser_common(o), p, 4, scale, wd, &e) == 0;
        tap_ok(ok && memcmp(scale, want[k], sizeof scale) == 0, "%s: rates %g %g %g %g %s", k ? "layer_decay" : "groups", scale[0], scale[1], scale[2],
            scale[3], e.text);
        val_free(spec);
        optimiser_free(o);
    }
}

/* What AdamW trains beside muon follows the rate as the matrices do; 8 bits hold the moments of large parameters that are no tables. */
static void rules(void) {
    struct err e = {0};
    struct val *spec = parse("{\"optim\":\"muon\",\"lr\":0.02,\"adam_lr\":0.004}");
    struct optimiser *o = optimiser_new(spec, &e);
    struct optim_param p[3] = {{.name = "w", .dim = {100, 100}, .ndim = 2, .len = 10000, .trained = true},
        {.name = "b", .dim = {4095}, .ndim = 1, .len = 4095, .trained = true},
        {.name = "t", .dim = {100, 100}, .ndim = 2, .len = 10000, .trained = true, .table = true}};
    double full[3 * CTL_N], half[3 * CTL_N], h[CTL_N];
    optimiser_layout(o, p, 3, DT_F32, &e);
    int n = o->l.n_group, rest = o->l.slot[1].group * CTL_N + CTL_COEF, matrix = o->l.slot[0].group * CTL_N + CTL_COEF;
    optimiser_hyper(o, 0.02, 0, 0, h);
    memcpy(full, o->l.hyper, (size_t)n * CTL_N * sizeof *full);
    optimiser_hyper(o, 0.01, 0, 0, h);
    memcpy(half, o->l.hyper, (size_t)n * CTL_N * sizeof *half);
    int step = -1; /* the coefficient that is 0.004 / (1 - beta1) in the first step */
    for (int i = rest; i < rest + CTL_N - CTL_COEF; i++)
        if (fabs(full[i] - 0.04) < 1e-9) step = i;
    tap_ok(n == 2 && o->l.slot[1].group == o->l.slot[2].group && full[matrix] == 0.02 && half[matrix] == 0.01 && step >= 0 && fabs(half[step] - 0.02) < 1e-9,
        "muon: with half the rate AdamW's is half too");
    optimiser_free(o);
    val_free(spec);
    spec = parse("{\"optim\":\"adam\",\"bits\":8}");
    o = optimiser_new(spec, &e);
    optimiser_layout(o, p, 3, DT_F32, &e);
    tap_ok(o->l.slot[0].state[0].dtype == DT_U8 && o->l.slot[1].state[0].dtype == DT_F32 && o->l.slot[2].state[0].dtype == DT_F32,
        "8 bits for a large matrix, 32 for a vector of 4095 and for a table");
    optimiser_free(o);
    val_free(spec);
}

int main(void) {
    beside("{\"optim\":\"adam\",\"lr\":0.01}", 2e-6);
    beside("{\"optim\":\"rprop\",\"lr\":0.01}", 2e-6);
    beside("{\"optim\":\"asgd\",\"lr\":0.01,\"t0\":1}", 2e-6);
    beside("{\"optim\":\"lamb\",\"lr\":0.01,\"l1\":0.001}", 2e-6);
    beside("{\"optim\":\"adafactor\",\"lr\":0.01,\"weight_decay\":0.1}", 2e-6);
    beside("{\"optim\":\"muon\",\"lr\":0.02,\"adam_lr\":0.001}", 5e-6);
    beside("{\"optim\":\"lbfgs\",\"lr\":1,\"l2\":1000,\"history\":2}", 5e-6);
    for (int i = 0; isa_all(i); i++) codes(isa_all(i)->name);
    relayout();
    patterns();
    numbers();
    rules();
    return tap_done();
}
