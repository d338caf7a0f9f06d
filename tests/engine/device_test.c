/* Walks the op table over a device: every sample of every op the backend has a kernel for, with 0, 1, 3 and 7 rows, outputs and gradients against the
 * reference in double, by tensor norm; then what the device keeps and rounds in 16 bits under mixed precision, in bf16 and, for products, f16, against the
 * reference on rounded inputs. HONE_CUDA names the plugin; without one (no C++ compiler, no toolkit) everything is skipped. HONE_OP=NAME,NAME looks at these
 * ops alone. */
#include "config.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/graph/backend.h"
#include "engine/graph/plan.h"
#include "engine/graph/plan_priv.h"
#include "src/base/mem.h"
#include "src/base/rng.h"
#include "tests/engine/fake_device.h"
#include "tests/engine/sample.h"
#include "tests/tap.h"

#define TOL 1e-5
#define TOL_HALF 2e-2

static struct backend_device *dev;
static enum dtype half = DT_F32; /* of this pass: f32, or what is kept and rounded in 16 bits */

struct rig {
    struct graph *g;
    struct plan *p;
    struct extents x;
    tid in[OP_IN], out[OP_OUT], seed[OP_OUT], din[OP_IN];
    int n_in, n_out, short_ones; /* tensors in 16 bits, nodes that round to them */
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

/* Tensors whose maker and all readers on the device take it are kept in 16 bits, also those that are looked at; inputs where `inputs`. */
static void keep_half(struct rig *r, bool inputs) {
    struct graph *g = r->g;
    for (int t = 0; t < g->n_tensor; t++)
        if (g->tensor[t].block) return; /* images in blocks are the CPU's */
    backend_half(dev, g);
    for (int t = 0; t < g->n_tensor; t++) {
        struct tensor *x = &g->tensor[t];
        struct takes takes = {0};
        bool ok = x->dtype == DT_F32 && !x->block && (x->role == ROLE_TEMP || (x->role == ROLE_INPUT && inputs));
        if (x->node >= 0) ok = ok && dev->b->supports(dev->self, &g->node[x->node], &takes) && takes.half_out >> x->out & 1;
        for (int k = 0; k < g->n_node && ok; k++)
            for (int m = 0; m < g->node[k].n_in; m++)
                if (g->node[k].in[m] == t) ok = ok && dev->b->supports(dev->self, &g->node[k], &takes) && takes.half_in >> m & 1;
        if (ok) x->dtype = half, r->short_ones++;
    }
    for (int k = 0; k < g->n_node; k++) r->short_ones += g->node[k].half != DT_F32;
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
    if (there) r->g->half = half;
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
    if (there && half != DT_F32) keep_half(r, rows == 7);
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
        uint16_t word;
        struct view to = {.data = &word, .len = 1, .dtype = half};
        bool round = half != DT_F32 && dtypes[w.dtype].is_float && s->in[i].kind != 's';
        for (int64_t k = 0; w.data && k < w.len; k++) {
            if (round) view_put(&to, 0, v[k]);
            view_put(&w, k, round ? view_get(&to, 0) : v[k]);
        }
        free(v);
    }
    for (int j = 0; j < r->n_out; j++) {
        if (r->seed[j] < 0) continue;
        struct view w = view_of(r, r->seed[j]);
        for (int64_t i = 0; w.data && i < w.len; i++) view_put(&w, i, floor(rng_unit(3, (uint64_t)j, (uint64_t)i) * 256) / 128 - 1); /* exact in any type */
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

static double tol(void) { return half == DT_F32 ? TOL : TOL_HALF; }

struct worst {
    double error;
    int runs, here, short_ones; /* steps that ran on the device; see struct rig */
    char what[ERR_TEXT + 200];
};

static void compare(struct rig *a, struct rig *b, tid ta, tid tb, const char *what, int i, const struct sample *smp, int64_t rows, int turn, struct worst *w) {
    if (ta < 0 || tb < 0) return;
    struct view va = view_of(a, ta), vb = view_of(b, tb);
    double d = va.len == 0 ? 0 : va.data && vb.data ? norm_error(&va, &vb) : INFINITY;
    if (!(d <= w->error)) w->error = d;
    if (!(d <= (dtypes[vb.dtype].is_float ? tol() : 0)) && !w->what[0])
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
    for (int turn = 1; turn <= (half == DT_F32 ? 3 : 1) && a.p && w->error < INFINITY; turn++) { /* run, kept, replayed */
        if (rig_run(&a, &s, &e) < 0) {
            snprintf(w->what, sizeof w->what, "\"%s\": %.900s", smp->in, e.text);
            w->error = INFINITY;
            break;
        }
        for (int j = 0; j < a.n_out; j++) compare(&a, &b, a.out[j], b.out[j], "output", j, smp, rows, turn, w);
        for (int i = 0; i < s.n; i++) compare(&a, &b, a.din[i], b.din[i], "gradient of input", i, smp, rows, turn, w);
    }
    for (int i = 0; a.p && i < a.p->n_step; i++) w->here += device_has(a.p, i) && !(a.p->exec[i].node->op->flags & OP_VIEW);
    w->runs++, w->short_ones += a.short_ones;
    rig_free(&a);
    rig_free(&b);
}

static void check_op(const struct op *op) {
    struct worst w = {0};
    static const int64_t rows[] = {0, 1, 3, 7};
    if (op->flags & OP_VIEW || !op->samples[0].in) return;
    for (const struct sample *s = op->samples; s->in; s++)
        for (size_t i = half == DT_F32 ? 0 : half == DT_BF16 ? 3 : 2; i < (half == DT_F16 ? 3 : LEN(rows)); i++) check(op, s, rows[i], &w);
    if (half != DT_F32 && w.short_ones == 0) return; /* nothing of it is in 16 bits */
    if (w.here == 0 && w.error <= TOL) {
        tap_skip(op->kind.name, strcmp(op->kind.name, "relayout") == 0 ? "images on a device stay row-major" : "the device has no kernel for this op");
        return;
    }
    tap_ok(!w.what[0], "%s: %s on the device as the reference, worst %.1e over %d runs, %d steps there", op->kind.name, dtypes[half].name, w.error, w.runs,
        w.here);
    if (w.what[0]) printf("# %s\n", w.what);
}

/* ---- attention over texts longer than a block of threads holds, of many lengths: outputs, gradient, mask, dropout */
static const int32_t text_ends[] = {0, 1, 1, 38, 86, 91, 194, 197, 262};
enum { TEXTS = LEN(text_ends) - 1, TOKENS = 262 };
static int texts_new(struct rig *r, bool there, const char *attr, int64_t width, double p, struct err *e) {
    r->x = (struct extents){.n = {1, TEXTS, TEXTS + 1, TOKENS}};
    r->g = graph_new(there ? DT_F32 : DT_F64, true, 7);
    if (there) r->g->half = half;
    graph_path(r->g, "texts");
    enum dtype real = r->g->real;
    struct dim qkv[] = {{1, AXIS_T0}, {3 * width, AXIS_ONE}}, dy[] = {{1, AXIS_T0}, {width, AXIS_ONE}}, off[] = {{1, AXIS_R1}};
    r->in[1] = graph_input(r->g, "offsets", DT_I32, off, 1, -1);
    r->in[0] = graph_input(r->g, "qkv", real, qkv, 2, r->in[1]);
    r->in[2] = p > 0 ? graph_scalar(r->g, "p") : -1;
    r->seed[0] = graph_input(r->g, "dy", real, dy, 2, r->in[1]);
    r->g->tensor[r->in[0]].needs_grad = true;
    if (graph_attr(r->g, "attention", attr, r->in, p > 0 ? 3 : 2, r->out, e) < 0) return -1;
    r->n_out = 1;
    const struct node n = r->g->node[r->g->n_node - 1];
    tid dout[OP_OUT] = {r->seed[0], -1, -1, -1, -1, -1};
    r->g->phase = PHASE_BACKWARD;
    r->g->of = &n;
    for (int i = 0; i < OP_IN; i++) r->din[i] = -1;
    int rc = n.op->grad(r->g, &n, dout, r->din, e);
    r->g->of = NULL;
    if (rc < 0) return -1;
    if (there && half != DT_F32) keep_half(r, true);
    tid keep[] = {r->out[0], r->din[0]};
    struct plan_options o = {.device = there ? dev : NULL, .reference = !there, .keep = keep, .n_keep = 2};
    r->p = plan_new(r->g, &r->x, &o, e);
    if (!r->p || plan_alloc(r->p, e) < 0) return -1;
    memcpy(plan_data(r->p, r->in[1]), text_ends, sizeof text_ends);
    for (int k = 0; k < 2; k++) {
        struct view v = view_of(r, k ? r->seed[0] : r->in[0]);
        for (int64_t i = 0; i < v.len; i++) view_put(&v, i, floor(rng_unit(5, (uint64_t)k, (uint64_t)i) * 256) / 64 - 2); /* exact in any type */
    }
    if (p > 0) plan_scalar(r->p, r->in[2], p);
    plan_step(r->p, 3);
    return plan_run(r->p, &r->x, PHASE_FORWARD, PHASE_UPDATE, e);
}
static void texts(const char *attr, int64_t width, double p) {
    struct rig a = {0}, b = {0};
    struct err e = {0};
    bool ok = texts_new(&b, false, attr, width, p, &e) == 0 && texts_new(&a, true, attr, width, p, &e) == 0;
    double out = INFINITY, grad = INFINITY;
    if (ok) {
        struct view va = view_of(&a, a.out[0]), vb = view_of(&b, b.out[0]), da = view_of(&a, a.din[0]), db = view_of(&b, b.din[0]);
        out = norm_error(&va, &vb), grad = norm_error(&da, &db);
    }
    tap_ok(out <= tol() && grad <= tol(), "attention %s, %lld values, dropout %.1f, texts of up to 103 tokens in %s: %.1e, gradient %.1e%s%s", attr,
        (long long)width, p, dtypes[half].name, out, grad, ok ? "" : ": ", ok ? "" : e.text);
    rig_free(&a);
    rig_free(&b);
}

/* Is an op among those asked for? */
static bool asked(const char *names, const char *op) {
    size_t n = strlen(op);
    for (const char *at = names; at && *at; at += strcspn(at, ","), at += *at == ',')
        if (strcspn(at, ",") == n && strncmp(at, op, n) == 0) return true;
    return !names;
}

int main(void) {
    const char *only = getenv("HONE_OP");
    if (!(dev = fake_beside_cpu())) return 0;
    printf("# %s, compute capability %s, %s\n", dev->info.name, dev->info.capability, dev->info.runtime);
    static const enum dtype passes[] = {DT_F32, DT_BF16, DT_F16};
    for (size_t i = 0; i < LEN(passes); i++) {
        half = passes[i];
        for (const struct op *const *op = op_all(); *op; op++)
            if (asked(only, (*op)->kind.name)) check_op(*op);
        if (!asked(only, "attention")) continue;
        texts("heads=2", 64, 0);
        texts("heads=1 causal=true", 64, 0.25);
        texts("heads=1", 104, half == DT_F32 ? 0 : 0.5);
    }
    backends_close();
    return tap_done();
}
