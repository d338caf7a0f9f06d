/* Walks the op table over a device: every sample of every op the backend has a kernel for, with 0, 1, 3 and 7 rows, outputs and gradients against the reference in double,
 * by tensor norm; then whole trainings on the device and on the CPU. HONE_CUDA names the plugin; without one (no C++ compiler, no toolkit) everything is skipped.
 * HONE_OP=NAME looks at one op. */
#include "config.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/cpu/gemm.h"
#include "engine/graph/backend.h"
#include "engine/graph/plan.h"
#include "engine/graph/plan_priv.h"
#include "src/base/mem.h"
#include "src/base/rng.h"
#include "tests/engine/sample.h"
#include "tests/tap.h"

#define TOL 1e-5

static struct backend_device *dev;

struct rig {
    struct graph *g;
    struct plan *p;
    struct extents x;
    tid in[OP_IN], out[OP_OUT], seed[OP_OUT], din[OP_IN];
    int n_in, n_out;
};

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

static int rig_new(struct rig *r, bool there, const struct op *op, const struct sample *smp, const struct sample_set *s, int64_t rows, struct err *e) {
    tid keep[OP_OUT + OP_IN];
    *r = (struct rig){.n_in = s->n};
    for (int i = 0; i < OP_IN; i++) r->din[i] = -1;
    for (int j = 0; j < OP_OUT; j++) r->out[j] = r->seed[j] = -1;
    r->g = graph_new(there ? DT_F32 : DT_F64, true, 7);
    r->g->plain = there;
    graph_path(r->g, "sample");
    sample_sources(r->g, s, r->in);
    sample_extents(rows, &r->x);
    for (int i = 0; i < s->n; i++)
        if (r->in[i] >= 0 && s->in[i].kind == 'f') r->g->tensor[r->in[i]].needs_grad = true;
    if (graph_attr(r->g, op->kind.name, smp->attr, r->in, s->n, r->out, e) < 0) return -1;
    r->n_out = r->g->node[r->g->n_node - 1].n_out;
    if (op->grad && s->diff > 0 && add_gradient(r, op, s, e) < 0) return -1;
    for (int i = 0; i < OP_OUT + OP_IN; i++) {
        tid *t = i < OP_OUT ? &r->out[i] : &r->din[i - OP_OUT];
        if (*t >= 0 && graph_tensor(r->g, *t)->block && (*t = graph_add1(r->g, "relayout", *t, e)) < 0) return -1;
    }
    memcpy(keep, r->out, sizeof r->out);
    memcpy(keep + OP_OUT, r->din, sizeof r->din);
    struct plan_options o = {.device = there ? dev : NULL, .reference = !there, .keep = keep, .n_keep = OP_OUT + OP_IN};
    r->p = plan_new(r->g, &r->x, &o, e);
    return r->p && plan_alloc(r->p, e) == 0 ? 0 : -1;
}

static struct view view_of(const struct rig *r, tid t) {
    const struct tensor *x = graph_tensor(r->g, t);
    return (struct view){.data = plan_data(r->p, t), .len = tensor_len(x, &r->x), .dtype = x->dtype};
}

static int rig_run(struct rig *r, const struct sample_set *s, struct err *e) {
    for (int i = 0; i < s->n; i++) {
        if (r->in[i] < 0) continue;
        double *v = X_NEW(double, (size_t)sample_len(&s->in[i], &r->x) + 1);
        sample_values(s, i, &r->x, 11, v);
        struct view w = view_of(r, r->in[i]);
        for (int64_t k = 0; w.data && k < w.len; k++) view_put(&w, k, v[k]);
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

static double norm_error(const struct view *a, const struct view *b) {
    double diff = 0, norm = 0;
    for (int64_t i = 0; i < b->len; i++) {
        double x = view_get(a, i), y = view_get(b, i);
        if (x == y || (isnan(x) && isnan(y))) x = y = isfinite(y) ? y : 0;
        diff += (x - y) * (x - y), norm += y * y;
    }
    return diff == 0 ? 0 : sqrt(diff) / fmax(sqrt(norm), 1e-6);
}

struct worst {
    double error;
    int runs, here; /* steps that ran on the device */
    char what[ERR_TEXT + 200];
};

static void compare(struct rig *a, struct rig *b, tid ta, tid tb, const char *what, int i, const struct sample *smp, int64_t rows, int turn, struct worst *w) {
    if (ta < 0 || tb < 0) return;
    struct view va = view_of(a, ta), vb = view_of(b, tb);
    double d = va.len == 0 ? 0 : va.data && vb.data ? norm_error(&va, &vb) : INFINITY;
    if (!(d <= w->error)) w->error = d;
    if (!(d <= (dtypes[vb.dtype].is_float ? TOL : 0)) && !w->what[0])
        snprintf(w->what, sizeof w->what, "%s, \"%s\", %lld rows, run %d: %s %d is off by %.2e", smp->attr ? smp->attr : "", smp->in, (long long)rows, turn,
            what, i + 1, d);
}

static void check(const struct op *op, const struct sample *smp, int64_t rows, struct worst *w) {
    struct sample_set s;
    struct rig a = {0}, b = {0};
    struct err e = {0};
    if (sample_parse(smp->in, &s, &e) < 0 || rig_new(&b, false, op, smp, &s, rows, &e) < 0 || rig_run(&b, &s, &e) < 0 ||
        rig_new(&a, true, op, smp, &s, rows, &e) < 0) {
        if (!w->what[0]) snprintf(w->what, sizeof w->what, "\"%s\": %.900s", smp->in, e.text);
        w->error = INFINITY;
    }
    for (int turn = 1; turn <= 3 && a.p && w->error < INFINITY; turn++) { /* run, kept, replayed */
        if (rig_run(&a, &s, &e) < 0) {
            snprintf(w->what, sizeof w->what, "\"%s\": %.900s", smp->in, e.text);
            w->error = INFINITY;
            break;
        }
        for (int j = 0; j < a.n_out; j++) compare(&a, &b, a.out[j], b.out[j], "output", j, smp, rows, turn, w);
        for (int i = 0; i < s.n; i++) compare(&a, &b, a.din[i], b.din[i], "gradient of input", i, smp, rows, turn, w);
    }
    for (int i = 0; a.p && i < a.p->n_step; i++) w->here += device_has(a.p, i) && !(a.p->exec[i].node->op->flags & OP_VIEW);
    w->runs++;
    rig_free(&a);
    rig_free(&b);
}

static void check_op(const struct op *op) {
    struct worst w = {0};
    static const int64_t rows[] = {0, 1, 3, 7};
    if (op->flags & OP_VIEW || !op->samples[0].in) return;
    for (const struct sample *s = op->samples; s->in; s++)
        for (size_t i = 0; i < LEN(rows); i++) check(op, s, rows[i], &w);
    if (w.here == 0 && w.error <= TOL) {
        tap_skip(op->kind.name, "the device has no kernel for this op");
        return;
    }
    tap_ok(!w.what[0], "%s: on the device as the reference, worst %.1e over %d runs, %d steps there", op->kind.name, w.error, w.runs, w.here);
    if (w.what[0]) printf("# %s\n", w.what);
}

int main(void) {
    struct err e = {0};
    const char *only = getenv("HONE_OP");
    if (ops_select("base", &e) < 0) return 1;
    struct gemm_info info;
    gemm_open(NULL, &info);
    const char *build = getenv("top_builddir"); /* the fake device, unless another plugin is named */
    char path[4096];
    snprintf(path, sizeof path, "%s/tests/cuda/hone_cuda.so", build ? build : ".");
    setenv("HONE_CUDA", path, 0);
    dev = backend_open("cuda", &e);
    if (!dev) {
        printf("1..0 # SKIP %s\n", e.text);
        return 0;
    }
    printf("# %s, compute capability %s, %s\n", dev->info.name, dev->info.capability, dev->info.runtime);
    for (const struct op *const *op = op_all(); *op; op++)
        if (!only || strcmp(only, (*op)->kind.name) == 0) check_op(*op);
    backends_close();
    return tap_done();
}
