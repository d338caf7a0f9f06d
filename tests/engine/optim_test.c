/* Optimisers against an implementation written here from the formulas of PyTorch's documentation: 100-step trajectories in double (a quadratic, and a
 * two-layer net) to 1e-10, single steps in float of every instruction set to 2e-6; row-sparse gradients, dense sweep and lazy; the gate. */
#include "config.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/graph/op.h"
#include "engine/graph/plan.h"
#include "engine/optims/optim.h"
#include "src/base/mem.h"
#include "src/base/rng.h"
#include "tests/engine/optim_fix.h"
#include "tests/tap.h"

#define N 23
#define STEPS 100

/* ---- the reference: one parameter vector, state vectors, plain text of the formulas ---- */
struct want {
    double p[N], a[N], b[N], c[N], mu;
};

static void want_adam(struct want *w, const double *g0, int t, double lr, double wd, bool decoupled, bool amsgrad) {
    for (int i = 0; i < N; i++) {
        double g = g0[i];
        if (decoupled) w->p[i] = w->p[i] - lr * wd * w->p[i];
        else g = g + wd * w->p[i];
        w->a[i] = 0.9 * w->a[i] + 0.1 * g;
        w->b[i] = 0.999 * w->b[i] + 0.001 * g * g;
        double v = w->b[i];
        if (amsgrad) {
            if (v > w->c[i]) w->c[i] = v;
            v = w->c[i];
        }
        double mh = w->a[i] / (1 - pow(0.9, t)), vh = v / (1 - pow(0.999, t));
        w->p[i] = w->p[i] - lr * mh / (sqrt(vh) + 1e-8);
    }
}
static void ref_adam(struct want *w, const double *g, int t) { want_adam(w, g, t, 0.01, 0, false, false); }
static void ref_adam_wd(struct want *w, const double *g, int t) { want_adam(w, g, t, 0.01, 0.1, false, true); }
static void ref_adamw(struct want *w, const double *g, int t) { want_adam(w, g, t, 0.01, 0.1, true, false); }
static void ref_adamax(struct want *w, const double *g, int t) {
    for (int i = 0; i < N; i++) {
        w->a[i] = 0.9 * w->a[i] + 0.1 * g[i];
        w->b[i] = fmax(0.999 * w->b[i], fabs(g[i]) + 1e-8);
        w->p[i] -= 0.01 / (1 - pow(0.9, t)) * w->a[i] / w->b[i];
    }
}
static void ref_nadam(struct want *w, const double *g, int t) {
    double mu = 0.9 * (1 - 0.5 * pow(0.96, 0.004 * t)), next = 0.9 * (1 - 0.5 * pow(0.96, 0.004 * (t + 1)));
    w->mu = (t == 1 ? 1 : w->mu) * mu;
    for (int i = 0; i < N; i++) {
        w->a[i] = 0.9 * w->a[i] + 0.1 * g[i];
        w->b[i] = 0.999 * w->b[i] + 0.001 * g[i] * g[i];
        double mh = next * w->a[i] / (1 - w->mu * next) + (1 - mu) * g[i] / (1 - w->mu), vh = w->b[i] / (1 - pow(0.999, t));
        w->p[i] -= 0.01 * mh / (sqrt(vh) + 1e-8);
    }
}
static void ref_radam(struct want *w, const double *g, int t) {
    double inf = 2 / (1 - 0.999) - 1, b2t = pow(0.999, t), rho = inf - 2 * t * b2t / (1 - b2t);
    for (int i = 0; i < N; i++) {
        w->a[i] = 0.9 * w->a[i] + 0.1 * g[i];
        w->b[i] = 0.999 * w->b[i] + 0.001 * g[i] * g[i];
        double mh = w->a[i] / (1 - pow(0.9, t));
        if (rho > 5) {
            double r = sqrt((rho - 4) * (rho - 2) * inf / ((inf - 4) * (inf - 2) * rho)), l = sqrt(1 - b2t) / (sqrt(w->b[i]) + 1e-8);
            w->p[i] -= 0.01 * mh * r * l;
        } else w->p[i] -= 0.01 * mh;
    }
}
static void ref_sgd(struct want *w, const double *g, int t) {
    (void)t;
    for (int i = 0; i < N; i++) w->p[i] -= 0.01 * (g[i] + 0.05 * w->p[i]);
}
static void want_momentum(struct want *w, const double *g, int t, double damp, bool nesterov) {
    for (int i = 0; i < N; i++) {
        w->a[i] = t == 1 ? g[i] : 0.9 * w->a[i] + (1 - damp) * g[i];
        w->p[i] -= 0.01 * (nesterov ? g[i] + 0.9 * w->a[i] : w->a[i]);
    }
}
static void ref_momentum(struct want *w, const double *g, int t) { want_momentum(w, g, t, 0.3, false); }
static void ref_nesterov(struct want *w, const double *g, int t) { want_momentum(w, g, t, 0, true); }
static void ref_adagrad(struct want *w, const double *g, int t) {
    for (int i = 0; i < N; i++) {
        w->a[i] += g[i] * g[i];
        w->p[i] -= 0.01 / (1 + (t - 1) * 0.02) * g[i] / (sqrt(w->a[i]) + 1e-10);
    }
}
static void ref_adadelta(struct want *w, const double *g, int t) {
    (void)t;
    for (int i = 0; i < N; i++) {
        w->a[i] = 0.9 * w->a[i] + 0.1 * g[i] * g[i];
        double d = sqrt(w->b[i] + 1e-6) / sqrt(w->a[i] + 1e-6) * g[i];
        w->b[i] = 0.9 * w->b[i] + 0.1 * d * d;
        w->p[i] -= 0.5 * d;
    }
}
static void want_rmsprop(struct want *w, const double *g, bool centered, double mu) {
    for (int i = 0; i < N; i++) {
        w->a[i] = 0.99 * w->a[i] + 0.01 * g[i] * g[i];
        double v = w->a[i];
        if (centered) {
            w->b[i] = 0.99 * w->b[i] + 0.01 * g[i];
            v -= w->b[i] * w->b[i];
        }
        double d = g[i] / (sqrt(v) + 1e-8);
        w->c[i] = mu * w->c[i] + d;
        w->p[i] -= 0.01 * w->c[i];
    }
}
static void ref_rmsprop(struct want *w, const double *g, int t) { (void)t, want_rmsprop(w, g, false, 0); }
static void ref_rmsprop_all(struct want *w, const double *g, int t) { (void)t, want_rmsprop(w, g, true, 0.9); }
static void ref_lion(struct want *w, const double *g, int t) {
    (void)t;
    for (int i = 0; i < N; i++) {
        double c = 0.9 * w->a[i] + 0.1 * g[i];
        w->p[i] = w->p[i] * (1 - 0.001 * 0.1) - 0.001 * ((c > 0) - (c < 0));
        w->a[i] = 0.99 * w->a[i] + 0.01 * g[i];
    }
}
static void ref_penalties(struct want *w, const double *g, int t) {
    (void)t;
    for (int i = 0; i < N; i++) w->p[i] -= 0.01 * (g[i] + 0.2 * w->p[i] + 0.03 * ((w->p[i] > 0) - (w->p[i] < 0)));
}

static const struct test {
    const char *name, *spec;
    void (*ref)(struct want *w, const double *g, int t);
} tests[] = {
    {"sgd", "{optim='sgd', lr=0.01, weight_decay=0.05}", ref_sgd},
    {"sgd momentum dampening", "{optim='sgd', lr=0.01, momentum=0.9, dampening=0.3}", ref_momentum},
    {"sgd nesterov", "{optim='sgd', lr=0.01, momentum=0.9, nesterov=true}", ref_nesterov},
    {"l1 and l2", "{optim='sgd', lr=0.01, l1=0.03, l2=0.2}", ref_penalties},
    {"adagrad", "{optim='adagrad', lr=0.01, lr_decay=0.02}", ref_adagrad},
    {"adadelta", "{optim='adadelta', lr=0.5}", ref_adadelta},
    {"rmsprop", "{optim='rmsprop', lr=0.01}", ref_rmsprop},
    {"rmsprop centred momentum", "{optim='rmsprop', lr=0.01, centered=true, momentum=0.9}", ref_rmsprop_all},
    {"adam", "{optim='adam', lr=0.01}", ref_adam},
    {"adam weight decay amsgrad", "{optim='adam', lr=0.01, weight_decay=0.1, amsgrad=true}", ref_adam_wd},
    {"adamw", "{optim='adamw', lr=0.01, weight_decay=0.1}", ref_adamw},
    {"adamax", "{optim='adamax', lr=0.01}", ref_adamax},
    {"nadam", "{optim='nadam', lr=0.01}", ref_nadam},
    {"radam", "{optim='radam', lr=0.01}", ref_radam},
    {"lion", "{optim='lion', lr=0.001, weight_decay=0.1}", ref_lion},
};

/* "{a='x', b=1}" by args_text: names and values of a flat table. */
static struct val *table_of(const char *text) {
    struct val *t = val_table();
    char *copy = mem_str(text), *save = NULL;
    for (char *w = strtok_r(copy, "{}, ", &save); w; w = strtok_r(NULL, "{}, ", &save)) {
        char *eq = strchr(w, '=');
        *eq = 0;
        if (eq[1] == '\'') {
            eq[strlen(eq + 1)] = 0;
            val_set_str(t, w, eq + 2);
        } else val_set(t, w, args_text(eq + 1));
    }
    free(copy);
    return t;
}

/* ---- one parameter under an optimiser ---- */
struct bench {
    struct optimiser *o;
    struct graph *g;
    struct plan *plan;
    tid grad, hyper, loss, weight, ctl;
    double param[N]; /* floats or doubles */
    enum dtype real;
};

static void bench_open(struct bench *b, const char *spec, enum dtype real) {
    struct err e = {0};
    struct val *v = table_of(spec);
    struct dim d = {N, AXIS_ONE}, dc = {CTL_N, AXIS_ONE};
    struct extents x = {{1, 1, 2}};
    struct optim_param op = {.name = "p", .dim = {N}, .ndim = 1, .len = N, .trained = true};
    *b = (struct bench){.real = real};
    b->o = optimiser_new(v, &e);
    if (!b->o) printf("# %s\n", e.text);
    val_free(v);
    b->g = graph_new(real, true, 1);
    tid p = graph_param(b->g, "p", real, &d, 1, 0, true);
    b->grad = graph_input(b->g, "g", real, &d, 1, -1);
    b->hyper = graph_input(b->g, "hyper", real, &dc, 1, -1);
    b->loss = graph_scalar(b->g, "loss");
    b->weight = graph_scalar(b->g, "weight");
    optimiser_layout(b->o, &op, 1, real, &e);
    if (optimiser_build(b->o, b->g, &p, &b->grad, 1, b->hyper, b->loss, b->weight, &b->ctl, &e) < 0) printf("# %s\n", e.text);
    struct plan_options po = {.keep = &b->ctl, .n_keep = 1, .param = b->param, .state = b->o->l.state};
    b->plan = plan_new(b->g, &x, &po, &e);
    if (!b->plan || plan_alloc(b->plan, &e) < 0) printf("# %s\n", e.text);
}

static void bench_close(struct bench *b) {
    plan_free(b->plan);
    graph_free(b->g);
    optimiser_free(b->o);
}

/* grads are sums over a weight, as losses give them. */
static bool bench_step(struct bench *b, const double *g, double weight, double clip_norm, double clip_value) {
    struct err e = {0};
    double h[CTL_N], lr = optimiser_common(b->o)->lr;
    struct extents x = {{1, 1, 2}};
    optimiser_hyper(b->o, lr, clip_norm, clip_value, h);
    for (int i = 0; i < CTL_N; i++) real_put(b->real, plan_data(b->plan, b->hyper), i, h[i]);
    for (int i = 0; i < N; i++) real_put(b->real, plan_data(b->plan, b->grad), i, g[i] * weight);
    plan_scalar(b->plan, b->loss, 1);
    plan_scalar(b->plan, b->weight, weight);
    if (plan_run(b->plan, &x, PHASE_UPDATE, PHASE_UPDATE, &e) < 0) printf("# %s\n", e.text);
    bool ok = real_get(b->real, plan_data(b->plan, b->ctl), CTL_OK) != 0;
    if (ok) optimiser_applied(b->o, lr);
    return ok;
}

static void start(double *p) {
    for (int i = 0; i < N; i++) p[i] = rng_normal(7, 0, (uint64_t)i);
}
/* gradient of 1/2 p' A p - b p with a full matrix, condition about 100 */
static void quadratic(const double *p, double *g) {
    double mean = 0;
    for (int i = 0; i < N; i++) mean += p[i] / N;
    for (int i = 0; i < N; i++) g[i] = (0.05 + 0.2 * i) * p[i] + 0.5 * mean - 0.3 * sin(i);
}
/* p: W1 (5, 3) row-major, W2 (5), the rest free: loss = 1/2 sum over 4 points of (w2 tanh(W1 x) - y)^2 */
static void net(const double *p, double *g) {
    memset(g, 0, N * sizeof *g);
    for (int k = 0; k < 4; k++) {
        double x[3], h[5], y = cos(k), out = 0;
        for (int j = 0; j < 3; j++) x[j] = sin(1 + k + 2 * j);
        for (int i = 0; i < 5; i++) {
            double s = 0;
            for (int j = 0; j < 3; j++) s += p[3 * i + j] * x[j];
            h[i] = tanh(s);
            out += p[15 + i] * h[i];
        }
        for (int i = 0; i < 5; i++) {
            g[15 + i] += (out - y) * h[i];
            for (int j = 0; j < 3; j++) g[3 * i + j] += (out - y) * p[15 + i] * (1 - h[i] * h[i]) * x[j];
        }
    }
    for (int i = 20; i < N; i++) g[i] = 0.01 * p[i];
}

static void trajectory(const struct test *t, void (*gradient)(const double *p, double *g), const char *what) {
    struct bench b;
    struct want w = {0};
    double g[N], worst = 0;
    bench_open(&b, t->spec, DT_F64);
    start(w.p);
    memcpy(b.param, w.p, sizeof w.p);
    for (int s = 1; s <= STEPS; s++) {
        gradient(b.param, g);
        bench_step(&b, g, 1, 0, 0);
        gradient(w.p, g);
        t->ref(&w, g, s);
        for (int i = 0; i < N; i++) worst = fmax(worst, fabs(b.param[i] - w.p[i]) / fmax(1, fabs(w.p[i])));
    }
    tap_ok(worst <= 1e-10, "%s: 100 steps on %s within %.1e", t->name, what, worst);
    bench_close(&b);
}

static void single(const struct test *t, const char *isa) {
    struct bench b;
    double g[N], worst = 0;
    bench_open(&b, t->spec, DT_F32);
    struct want w = {0};
    start(w.p);
    for (int i = 0; i < N; i++) real_put(b.real, b.param, i, w.p[i]), w.p[i] = real_get(b.real, b.param, i);
    for (int s = 1; s <= 3; s++) {
        for (int i = 0; i < N; i++) g[i] = (double)(float)(rng_normal(8, (uint64_t)s, (uint64_t)i) * 0.1);
        bench_step(&b, g, 1, 0, 0);
        t->ref(&w, g, s);
        for (int i = 0; i < N; i++) worst = fmax(worst, fabs(real_get(b.real, b.param, i) - w.p[i]) / fmax(1, fabs(w.p[i])));
    }
    tap_ok(worst <= 2e-6, "%s in float, %s: within %.1e", t->name, isa, worst);
    bench_close(&b);
}

static void gate(void) {
    struct bench b;
    double g[N], before[N], norm = 0;
    bench_open(&b, "{optim='sgd', lr=1}", DT_F64);
    start(b.param);
    memcpy(before, b.param, sizeof before);
    for (int i = 0; i < N; i++) g[i] = cos(i), norm += g[i] * g[i];
    norm = sqrt(norm);
    static const double bad[] = {NAN, INFINITY, -INFINITY, 1e300};
    for (int k = 0; k < 4; k++) {
        double h[N];
        memcpy(h, g, sizeof h);
        h[k * 5] = bad[k];
        bool ok = bench_step(&b, h, 1, 0, 0);
        tap_ok(!ok && memcmp(before, b.param, sizeof before) == 0 && b.o->t == 0, "a gradient with %g is not applied", bad[k]);
    }
    bench_step(&b, g, 32, 0, 0);
    double d = 0;
    for (int i = 0; i < N; i++) d = fmax(d, fabs(before[i] - g[i] - b.param[i]));
    tap_ok(d < 1e-12, "sums are divided by the weight once");
    tap_near(real_get(b.real, plan_data(b.plan, b.ctl), CTL_NORM), norm, 1e-12, "the norm is that of the mean gradient");
    memcpy(b.param, before, sizeof before);
    bench_step(&b, g, 32, 0.5, 0);
    d = 0;
    for (int i = 0; i < N; i++) d = fmax(d, fabs(before[i] - g[i] * 0.5 / (norm + 1e-6) - b.param[i]));
    tap_ok(d < 1e-12, "clip_norm scales the whole gradient");
    memcpy(b.param, before, sizeof before);
    bench_step(&b, g, 32, 1.01 * norm, 0);
    d = 0;
    for (int i = 0; i < N; i++) d = fmax(d, fabs(before[i] - g[i] - b.param[i]));
    tap_ok(d < 1e-12, "a mean gradient below clip_norm is left alone, though its sum is above");
    memcpy(b.param, before, sizeof before);
    bench_step(&b, g, 32, 0, 0.25);
    d = 0;
    for (int i = 0; i < N; i++) d = fmax(d, fabs(before[i] - fmin(0.25, fmax(-0.25, g[i])) - b.param[i]));
    tap_ok(d < 1e-12, "clip_value bounds every element");
    bench_close(&b);
}

/* A step that is refused leaves L-BFGS as it was: nothing of it stays. */
static void refused_pair(void) {
    struct bench b;
    double g[N], before[N];
    bench_open(&b, "{optim='lbfgs', lr=0.1, history=2}", DT_F64);
    start(b.param);
    for (int k = 0; k < 3; k++) {
        for (int i = 0; i < N; i++) g[i] = (1 + i % 3) * b.param[i] + cos(i);
        bench_step(&b, g, 1, 0, 0);
    }
    memcpy(before, b.param, sizeof before);
    void *state = mem_new(1, b.o->l.bytes);
    memcpy(state, b.o->l.state, b.o->l.bytes);
    g[3] = NAN;
    bool ok = bench_step(&b, g, 1, 0, 0);
    size_t differ = 0, moved = 0;
    for (int j = 0; j < 4; j++) /* pairs, the last step and gradient; the numbers of the whole say that nothing was done */
        for (size_t i = b.o->l.slot[0].at[j]; i < b.o->l.slot[0].at[j] + b.o->l.slot[0].bytes[j]; i++)
            differ += ((char *)state)[i] != ((char *)b.o->l.state)[i], moved += ((char *)state)[i] != 0;
    tap_ok(!ok && moved > 0 && differ == 0 && memcmp(before, b.param, sizeof before) == 0,
        "lbfgs: a refused step leaves weights, pairs and the last gradient: %zu bytes differ", differ);
    free(state);
    bench_close(&b);
}

/* The update op alone on a table (V, D) with gradient rows for ids. */
enum { V = 700, D = 24, K = 9 };
static void rows(const char *isa, bool lazy) {
    const struct op *op = op_find_isa(isa, "adam_update");
    static float p[V * D], m[V * D], v[V * D], q[V * D], qm[V * D], qv[V * D], g[K * D], full[V * D];
    static int32_t slots[V], ids[K];
    int32_t count = K;
    float ctl[CTL_N] = {0};
    struct val *spec = table_of("{optim='adam', lr=0.01}");
    struct optimiser *o = optimiser_new(spec, NULL);
    double h[CTL_N];
    val_free(spec);
    memset(full, 0, sizeof full);
    for (int i = 0; i < V; i++) slots[i] = -1;
    for (int i = 0; i < V * D; i++)
        p[i] = q[i] = (float)rng_normal(1, 0, (uint64_t)i), m[i] = qm[i] = 0.01f * (float)rng_normal(2, 0, (uint64_t)i), v[i] = qv[i] = 0.01f;
    for (int r = 0; r < K; r++) {
        ids[r] = (r * 131) % V;
        slots[ids[r]] = r;
        for (int i = 0; i < D; i++) full[ids[r] * D + i] = g[r * D + i] = (float)rng_normal(3, (uint64_t)r, (uint64_t)i);
    }
    struct optim_param op1 = {.name = "p", .dim = {V, D}, .ndim = 2, .len = V * D, .trained = true, .table = true};
    optimiser_layout(o, &op1, 1, DT_F32, NULL);
    o->t = 4;
    optimiser_hyper(o, 0.01, 0, 0, h);
    for (int i = 0; i < CTL_N; i++) ctl[i] = (float)h[i];
    struct update {
        int rows;
        int64_t variant, group;
    } attr = {lazy ? 2 : 1, 0, 0}, dense = {0, 0, 0}; /* as in engine/optims/update.h */
    struct view table = {.n = {V, D}, .ndim = 2, .len = V * D, .dtype = DT_F32}, vg = {g, {K, D}, 2, K * D, DT_F32}, vc = {ctl, {CTL_N}, 1, CTL_N, DT_F32};
    struct view P = table, M = table, S = table, P2 = table, M2 = table, S2 = table, G2 = table, vs = {slots, {V}, 1, V, DT_I32}, vi = {ids, {K}, 1, K, DT_I32},
                vn = {&count, {1}, 1, 1, DT_I32};
    P.data = p, M.data = m, S.data = v, P2.data = q, M2.data = qm, S2.data = qv, G2.data = full;
    struct exec x = {.attr = &attr, .n_in = lazy ? 7 : 6, .in = {P, M, S, vg, vc, lazy ? vi : vs, vn}},
                y = {.attr = &dense, .n_in = 5, .in = {P2, M2, S2, G2, vc}};
    op->run(&x, 0, op->tiles(&x));
    op->run(&y, 0, op->tiles(&y));
    int same = 0, still = 0;
    for (int r = 0; r < V; r++) {
        bool eq = memcmp(p + r * D, q + r * D, D * 4) == 0 && memcmp(m + r * D, qm + r * D, D * 4) == 0 && memcmp(v + r * D, qv + r * D, D * 4) == 0;
        float w[D];
        for (int i = 0; i < D; i++) w[i] = (float)rng_normal(1, 0, (uint64_t)(r * D + i));
        bool old = memcmp(p + r * D, w, sizeof w) == 0;
        if (slots[r] >= 0 || !lazy) same += eq;
        else still += old;
    }
    if (lazy) tap_ok(same == K && still == V - K, "lazy adam, %s: listed rows as dense, all others untouched", isa);
    else tap_ok(same >= V - K, "sweep adam, %s: every row as dense (%d of %d to the bit)", isa, same, V);
    optimiser_free(o);
}

/* lamb: weights of norm 0 have no rate of their own, they move by lr. */
static void from_zero(void) {
    struct bench b;
    double g[N], off = 0;
    bench_open(&b, "{optim='lamb', lr=0.1, weight_decay=0}", DT_F64);
    memset(b.param, 0, sizeof b.param);
    for (int i = 0; i < N; i++) g[i] = cos(i);
    bench_step(&b, g, 1, 0, 0);
    for (int i = 0; i < N; i++) off = fmax(off, fabs(b.param[i] + 0.1 * (g[i] > 0 ? 1 : -1)));
    tap_ok(off < 1e-4, "lamb from zero: a step of the rate, within %.1e", off);
    bench_close(&b);
}

/* Numbers of an optimiser that is named alone: torch.optim's; sgd, which had none there for long, and lamb and lion as their papers' code. */
static void defaults(void) {
    static const struct {
        const char *name;
        double lr, decay;
        struct {
            const char *arg;
            double v;
        } more[6];
    } t[] = {{"sgd", 0.01, 0, {{"momentum", 0}, {"dampening", 0}}}, {"adagrad", 0.01, 0, {{"lr_decay", 0}, {"eps", 1e-10}}},
        {"adadelta", 1, 0, {{"rho", 0.9}, {"eps", 1e-6}}}, {"rmsprop", 0.01, 0, {{"alpha", 0.99}, {"eps", 1e-8}, {"momentum", 0}}},
        {"adam", 1e-3, 0, {{"beta1", 0.9}, {"beta2", 0.999}, {"eps", 1e-8}, {"bits", 32}}},
        {"adamw", 1e-3, 0.01, {{"beta1", 0.9}, {"beta2", 0.999}, {"eps", 1e-8}}}, {"adamax", 2e-3, 0, {{"beta1", 0.9}, {"beta2", 0.999}, {"eps", 1e-8}}},
        {"nadam", 2e-3, 0, {{"beta1", 0.9}, {"beta2", 0.999}, {"eps", 1e-8}, {"momentum_decay", 4e-3}}},
        {"radam", 1e-3, 0, {{"beta1", 0.9}, {"beta2", 0.999}, {"eps", 1e-8}}},
        {"rprop", 0.01, 0, {{"eta_minus", 0.5}, {"eta_plus", 1.2}, {"step_min", 1e-6}, {"step_max", 50}}},
        {"asgd", 0.01, 0, {{"lambd", 1e-4}, {"alpha", 0.75}, {"t0", 1e6}}}, {"adafactor", 0.01, 0, {{"beta2_decay", -0.8}, {"eps2", 1e-3}, {"d", 1}}},
        {"muon", 1e-3, 0.1, {{"momentum", 0.95}, {"ns_steps", 5}, {"adam_lr", 3e-4}, {"beta1", 0.9}, {"beta2", 0.999}, {"eps", 1e-8}}},
        {"lbfgs", 1, 0, {{"tolerance_grad", 1e-7}, {"tolerance_change", 1e-9}}}, {"lion", 1e-4, 0, {{"beta1", 0.9}, {"beta2", 0.99}}},
        {"lamb", 1e-3, 0.01, {{"beta1", 0.9}, {"beta2", 0.999}, {"eps", 1e-6}}}};
    for (size_t i = 0; i < LEN(t); i++) {
        struct err e = {0};
        struct val *name = val_str(t[i].name), *v;
        struct optimiser *o = optimiser_new(name, &e);
        bool ok = o != NULL;
        v = o ? optimiser_val(o) : NULL;
        ok = ok && val_get_num(v, "lr", NAN) == t[i].lr && val_get_num(v, "weight_decay", NAN) == t[i].decay;
        for (int k = 0; ok && k < 6 && t[i].more[k].arg; k++)
            if (!(ok = val_get_num(v, t[i].more[k].arg, NAN) == t[i].more[k].v)) printf("# %s: %g\n", t[i].more[k].arg, val_get_num(v, t[i].more[k].arg, NAN));
        tap_ok(ok, "%s by name alone: lr %g, weight_decay %g %s", t[i].name, t[i].lr, t[i].decay, e.text);
        val_free(v);
        val_free(name);
        optimiser_free(o);
    }
}

static void refusals(void) {
    struct err e = {0};
    struct val *s = val_str("adamm");
    tap_ok(!optimiser_new(s, &e) && strstr(e.text, "\"adam\""), "a wrong optimiser names the nearest: %s", e.text);
    val_free(s);
    s = table_of("{optim='adam', lr=-1}");
    e = (struct err){0};
    tap_ok(!optimiser_new(s, &e) && strstr(e.text, "lr"), "a negative learning rate is refused: %s", e.text);
    val_free(s);
}

int main(void) {
    struct err e = {0};
    for (int i = 0; isa_all(i); i++) {
        if (ops_select(isa_all(i)->name, &e) < 0) break;
        for (size_t t = 0; t < LEN(tests); t++) single(&tests[t], isa_all(i)->name);
        rows(isa_all(i)->name, false);
        rows(isa_all(i)->name, true);
    }
    for (size_t t = 0; t < LEN(tests); t++) {
        trajectory(&tests[t], quadratic, "a quadratic");
        trajectory(&tests[t], net, "a two-layer net");
    }
    gate();
    refused_pair();
    from_zero();
    defaults();
    refusals();
    return tap_done();
}
