/* Walks the op table. For every sample of every op, with 0, 1, 3 and 7 rows:
 *   gradients   central differences of the reference in double against the built gradient, <= 1e-6 by norm;
 *   kernels     each instruction set in f32 against the reference in double, outputs and gradients, <= 1e-5 by norm;
 *   threads     the same bits on 1, 2 and 3 threads, also at a size that makes many tiles.
 * One TAP line an op and property. HONE_OP=NAME runs one op and prints every number. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/cpu/gemm.h"
#include "engine/cpu/pool.h"
#include "engine/graph/plan.h"
#include "src/base/mem.h"
#include "src/base/rng.h"
#include "tests/engine/sample.h"
#include "tests/tap.h"

#define STEP 1e-5
#define GRAD_TOL 1e-6
#define KERNEL_TOL 1e-5
#define CHECKED 16 /* elements of an input that are moved */

struct rig { /* one op in a graph of its own, with its gradient if asked */
    struct graph *g;
    struct plan *p;
    struct extents x;
    tid in[OP_IN], out[OP_OUT], seed[OP_OUT], din[OP_IN];
    int n_in, n_out;
};
static struct pool *pools[4];
static bool loud;

static bool wants(const struct sample_set *s, int i) { return s->in[i].kind == 'f'; }

static int add_gradient(struct rig *r, const struct op *op, const struct sample_set *s, struct err *e) {
    struct graph *g = r->g;
    const struct node n = g->node[g->n_node - 1];
    tid dout[OP_OUT];
    for (int j = 0; j < OP_OUT; j++) dout[j] = -1;
    for (int j = 0; j < r->n_out && j < s->diff; j++) {
        struct tensor t = *graph_tensor(g, r->out[j]);
        if (dtypes[t.dtype].is_float) dout[j] = r->seed[j] = graph_input(g, "seed", t.dtype, t.dim, t.ndim, t.offsets);
    }
    g->phase = PHASE_BACKWARD;
    g->of = &n;
    int rc = op->grad(g, &n, dout, r->din, e);
    g->of = NULL;
    for (int i = 0; rc == 0 && i < r->n_in; i++) {
        tid rows[3];
        if (r->din[i] < 0 || !grad_rows(g, r->din[i], rows)) continue;
        tid in[] = {r->din[i], rows[0], rows[1], rows[2]};
        if ((r->din[i] = graph_attr(g, "rows_dense", NULL, in, 4, NULL, e)) < 0) rc = -1;
    }
    return rc;
}

static void rig_free(struct rig *r) {
    plan_free(r->p);
    graph_free(r->g);
    *r = (struct rig){0};
}

static int rig_new(struct rig *r, const char *isa, enum dtype real, const struct op *op, const struct sample *smp, const struct sample_set *s, int64_t rows,
    bool grad, int threads, struct err *e) {
    tid keep[OP_OUT + OP_IN];
    *r = (struct rig){.n_in = s->n};
    for (int i = 0; i < OP_IN; i++) r->din[i] = -1;
    for (int j = 0; j < OP_OUT; j++) r->out[j] = r->seed[j] = -1;
    if (ops_select(isa, e) < 0) return -1;
    r->g = graph_new(real, true, 7);
    graph_path(r->g, "sample");
    sample_sources(r->g, s, r->in);
    sample_extents(rows, &r->x);
    for (int i = 0; i < s->n; i++)
        if (r->in[i] >= 0 && wants(s, i)) r->g->tensor[r->in[i]].needs_grad = true;
    if (graph_attr(r->g, op->kind.name, smp->attr, r->in, s->n, r->out, e) < 0) return -1;
    r->n_out = r->g->node[r->g->n_node - 1].n_out;
    if (grad && op->grad && s->diff > 0 && add_gradient(r, op, s, e) < 0) return -1;
    for (int i = 0; i < OP_OUT + OP_IN; i++) { /* images in channel blocks are looked at row-major */
        tid *t = i < OP_OUT ? &r->out[i] : &r->din[i - OP_OUT];
        if (*t >= 0 && graph_tensor(r->g, *t)->block && (*t = graph_add1(r->g, "relayout", *t, e)) < 0) return -1;
    }
    memcpy(keep, r->out, sizeof r->out);
    memcpy(keep + OP_OUT, r->din, sizeof r->din);
    struct plan_options o = {.pool = pools[threads], .reference = real == DT_F64, .keep = keep, .n_keep = OP_OUT + OP_IN};
    r->p = plan_new(r->g, &r->x, &o, e);
    return r->p && plan_alloc(r->p, e) == 0 ? 0 : -1;
}

static struct view view_of(const struct rig *r, tid t) {
    const struct tensor *x = graph_tensor(r->g, t);
    return (struct view){.data = plan_data(r->p, t), .len = tensor_len(x, &r->x), .dtype = x->dtype};
}

static void put(const struct rig *r, tid t, const double *v) {
    struct view w = view_of(r, t);
    for (int64_t i = 0; w.data && i < w.len; i++) view_put(&w, i, v[i]);
}

/* moved: which input gets delta added to element at; -1: none. */
static int rig_run(struct rig *r, const struct sample_set *s, int moved, int64_t at, double delta, struct err *e) {
    for (int i = 0; i < s->n; i++) {
        if (r->in[i] < 0) continue;
        double *v = X_NEW(double, (size_t)sample_len(&s->in[i], &r->x) + 1);
        sample_values(s, i, &r->x, 11, v);
        if (moved == i) v[at] += delta;
        put(r, r->in[i], v);
        free(v);
    }
    for (int j = 0; j < r->n_out; j++) {
        if (r->seed[j] < 0) continue;
        struct view w = view_of(r, r->seed[j]);
        for (int64_t i = 0; w.data && i < w.len; i++) view_put(&w, i, (float)(rng_unit(3, (uint64_t)j, (uint64_t)i) * 2 - 1));
    }
    plan_step(r->p, 5);
    return plan_run(r->p, &r->x, PHASE_FORWARD, PHASE_UPDATE, e);
}

/* sum over outputs of seed times output */
static double rig_loss(const struct rig *r) {
    double sum = 0;
    for (int j = 0; j < r->n_out; j++) {
        if (r->seed[j] < 0) continue;
        struct view w = view_of(r, r->out[j]);
        for (int64_t i = 0; i < w.len; i++) sum += view_get(&w, i) * (float)(rng_unit(3, (uint64_t)j, (uint64_t)i) * 2 - 1);
    }
    return sum;
}

/* Relative error of the gradient of input i at CHECKED elements, by norm. */
static double gradient_error(struct rig *r, const struct sample_set *s, int i, struct err *e) {
    struct view d = view_of(r, r->din[i]);
    int64_t n = d.len < CHECKED ? d.len : CHECKED;
    double got[CHECKED], want[CHECKED], diff = 0, norm = 0;
    int64_t at[CHECKED];
    if (d.len != sample_len(&s->in[i], &r->x)) return INFINITY;
    if (rig_run(r, s, -1, 0, 0, e) < 0) return INFINITY;
    for (int64_t k = 0; k < n; k++) {
        at[k] = n == d.len ? k : (int64_t)rng_below(9, (uint64_t)i, (uint64_t)k, (uint64_t)d.len);
        got[k] = view_get(&d, at[k]);
    }
    for (int64_t k = 0; k < n; k++) {
        rig_run(r, s, i, at[k], STEP, e);
        double up = rig_loss(r);
        rig_run(r, s, i, at[k], -STEP, e);
        want[k] = (up - rig_loss(r)) / (2 * STEP);
        diff += (got[k] - want[k]) * (got[k] - want[k]), norm += want[k] * want[k];
        if (loud && !(fabs(got[k] - want[k]) <= 1e-7))
            printf("#   input %d element %lld: gradient %.9g, difference %.9g\n", i + 1, (long long)at[k], got[k], want[k]);
    }
    return sqrt(diff) / fmax(sqrt(norm), 1e-2);
}

static double norm_error(const struct view *a, const struct view *b) {
    double diff = 0, norm = 0;
    for (int64_t i = 0; i < b->len; i++) {
        double x = view_get(a, i), y = view_get(b, i);
        if (x == y || (isnan(x) && isnan(y))) x = y = isfinite(y) ? y : 0;
        diff += (x - y) * (x - y), norm += y * y;
    }
    return b->len == 0 ? 0 : diff == 0 ? 0 : sqrt(diff) / fmax(sqrt(norm), 1e-6);
}

struct worst {
    double grad, kernel;
    int bits, runs;
    char what[ERR_TEXT + 160];
};

static void note(struct worst *w, const struct op *op, const struct sample *smp, int64_t rows, const char *isa, const char *fmt, const char *detail) {
    char more[ERR_TEXT];
    if (w->what[0]) return;
    snprintf(more, sizeof more, fmt, detail);
    snprintf(w->what, sizeof w->what, "%s %s, \"%s\", %lld rows, %s: %.900s", op->kind.name, smp->attr ? smp->attr : "", smp->in, (long long)rows, isa, more);
}

static void check_gradient(const struct op *op, const struct sample *smp, const struct sample_set *s, int64_t rows, struct worst *w) {
    struct rig r;
    struct err e = {0};
    if (rig_new(&r, "base", DT_F64, op, smp, s, rows, true, 1, &e) < 0) w->grad = INFINITY, note(w, op, smp, rows, "reference", "%s", e.text);
    for (int i = 0; r.p && i < s->n; i++) {
        if (!wants(s, i) || r.in[i] < 0) continue;
        double d = r.din[i] < 0 ? INFINITY : gradient_error(&r, s, i, &e);
        char text[200];
        snprintf(text, sizeof text, r.din[i] < 0 ? "input %d gets no gradient" : "gradient of input %d is off by %.2e", i + 1, d);
        if (!(d <= GRAD_TOL)) note(w, op, smp, rows, "reference", "%s", text);
        if (!(d <= w->grad)) w->grad = d;
    }
    rig_free(&r);
}

static void compare(struct rig *a, struct rig *b, tid ta, tid tb, const char *what, int i, const struct op *op, const struct sample *smp, int64_t rows,
    const char *isa, struct worst *w) {
    if (ta < 0 || tb < 0) return;
    struct view va = view_of(a, ta), vb = view_of(b, tb);
    double d = va.data && vb.data ? norm_error(&va, &vb) : INFINITY;
    char text[120];
    snprintf(text, sizeof text, "%s %d is off by %.2e", what, i + 1, d);
    bool exact = !dtypes[vb.dtype].is_float;
    if (!(d <= (exact ? 0 : KERNEL_TOL))) note(w, op, smp, rows, isa, "%s", text);
    if (exact && d > 0) d = INFINITY;
    if (!(d <= w->kernel)) w->kernel = d;
}

static bool same_bits(const struct rig *a, const struct rig *b) {
    for (int i = 0; i < OP_OUT + OP_IN; i++) {
        tid ta = i < OP_OUT ? a->out[i] : a->din[i - OP_OUT], tb = i < OP_OUT ? b->out[i] : b->din[i - OP_OUT];
        if (ta < 0 || tb < 0) continue;
        struct view va = view_of(a, ta), vb = view_of(b, tb);
        if (va.len && memcmp(va.data, vb.data, dtype_bytes(va.dtype, va.len)) != 0) return false;
    }
    return true;
}

/* One instruction set: against the reference (if given), and 2 and 3 threads against 1. */
static void check_isa(
    const char *isa, struct rig *ref, const struct op *op, const struct sample *smp, const struct sample_set *s, int64_t rows, struct worst *w) {
    struct rig one, more;
    struct err e = {0};
    if (rig_new(&one, isa, DT_F32, op, smp, s, rows, true, 1, &e) < 0 || rig_run(&one, s, -1, 0, 0, &e) < 0) {
        w->kernel = INFINITY, note(w, op, smp, rows, isa, "%s", e.text);
        rig_free(&one);
        return;
    }
    for (int j = 0; ref && j < one.n_out; j++) compare(&one, ref, one.out[j], ref->out[j], "output", j, op, smp, rows, isa, w);
    for (int i = 0; ref && i < s->n; i++) compare(&one, ref, one.din[i], ref->din[i], "gradient of input", i, op, smp, rows, isa, w);
    for (int t = 2; t <= 3; t++) {
        if (rig_new(&more, isa, DT_F32, op, smp, s, rows, true, t, &e) < 0 || rig_run(&more, s, -1, 0, 0, &e) < 0 || !same_bits(&one, &more))
            w->bits++, note(w, op, smp, rows, isa, "other bits on %s threads", t == 2 ? "2" : "3");
        rig_free(&more);
    }
    w->runs++;
    rig_free(&one);
}

/* Rows that make many tiles without taking long. */
static int64_t many_rows(const struct sample_set *s) {
    struct extents a, b;
    int64_t per = 1;
    sample_extents(7, &a);
    sample_extents(14, &b);
    for (int i = 0; i < s->n; i++) {
        int64_t d = (sample_len(&s->in[i], &b) - sample_len(&s->in[i], &a)) / 7;
        if (d > per) per = d;
    }
    int64_t rows = 200000 / per;
    return rows > 3000 ? 3000 : rows;
}

static void check_op(const struct op *op) {
    static const int64_t rows[] = {0, 1, 3, 7};
    struct worst w = {0};
    bool differentiable = false;
    if (!op->samples) tap_ok(false, "%s has samples", op->kind.name);
    if (!op->samples || !op->samples[0].in) return;
    for (const struct sample *smp = op->samples; smp->in; smp++) {
        struct sample_set s;
        struct err e = {0};
        if (sample_parse(smp->in, &s, &e) < 0) {
            w.grad = INFINITY, note(&w, op, smp, 0, "grammar", "%s", e.text);
            continue;
        }
        int n_rows = sample_has_axis(&s) ? 4 : 1;
        for (int k = 0; k < n_rows; k++) {
            int64_t r = n_rows == 1 ? 1 : rows[k];
            struct rig ref;
            if (op->grad && s.diff > 0) differentiable = true, check_gradient(op, smp, &s, r, &w);
            if (rig_new(&ref, "base", DT_F64, op, smp, &s, r, true, 1, &e) < 0 || rig_run(&ref, &s, -1, 0, 0, &e) < 0)
                w.kernel = INFINITY, note(&w, op, smp, r, "reference", "%s", e.text);
            for (int i = 0; ref.p && isa_all(i); i++) check_isa(isa_all(i)->name, &ref, op, smp, &s, r, &w);
            rig_free(&ref);
        }
        if (n_rows > 1 && smp == op->samples) check_isa("auto", NULL, op, smp, &s, many_rows(&s), &w);
    }
    if (differentiable) tap_ok(w.grad <= GRAD_TOL, "%s: gradient within %.1e of central differences", op->kind.name, w.grad);
    tap_ok(w.kernel <= KERNEL_TOL, "%s: f32 kernels within %.1e of the reference", op->kind.name, w.kernel);
    tap_ok(w.bits == 0, "%s: the same bits on 1, 2 and 3 threads", op->kind.name);
    if (w.what[0]) printf("# %s\n", w.what);
}

int main(void) {
    struct gemm_info info;
    struct err e = {0};
    const char *only = getenv("HONE_OP");
    loud = only != NULL;
    gemm_open(NULL, &info);
    printf("# BLAS %s, core %s\n", info.library[0] ? info.library : "none", info.core);
    for (int t = 2; t <= 3; t++) pools[t] = pool_new(t, &e);
    ops_select("base", NULL);
    int n = 0;
    for (const struct op *const *op = op_all(); *op; op++)
        if (!only || strcmp(only, (*op)->kind.name) == 0) check_op(*op), n++;
    tap_ok(n > 0, "%d ops walked", n);
    for (int t = 2; t <= 3; t++) pool_free(pools[t]);
    return tap_done();
}
