/* Products in fp8 of inference on a device: linear layers against operands rounded to E4M3 by its definition, at once, kept and replayed, with other
 * weights; shapes and graphs that stay in 16 bits; inputs that are zero, tiny or not finite; which way is taken goes by time. The fake device counts products
 * of fp8; a real one is compared only. */
#include "config.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/graph/backend.h"
#include "engine/graph/plan.h"
#include "src/base/mem.h"
#include "src/base/rng.h"
#include "tests/engine/fake_device.h"
#include "tests/tap.h"

static struct backend_device *dev;
static long (*eights)(void), (*launches)(void); /* NULL: a real device */

struct ask {
    int64_t m, k, n;
    const char *act;
    bool bias, fp8; /* fp8: by the graph */
    long products; /* of fp8 in a run */
};
struct one {
    struct graph *g;
    struct plan *p;
    tid x, y;
};

static int one_new(struct one *l, const struct ask *q, float *base, struct err *e) {
    struct dim xd[] = {{1, AXIS_R}, {q->k, 0}}, wd[] = {{q->n, 0}, {q->k, 0}};
    struct extents ex = {{1, q->m, q->m + 1}};
    *l = (struct one){.g = graph_new(DT_F32, false, 1)};
    l->g->half = DT_BF16, l->g->fp8 = q->fp8, l->g->plain = true;
    l->x = graph_input(l->g, "x", DT_F32, xd, 2, -1);
    tid in[] = {l->x, graph_param(l->g, "w", DT_F32, wd, 2, 0, false),
        q->bias ? graph_param(l->g, "b", DT_F32, wd, 1, (size_t)(q->n * q->k) * sizeof(float), false) : -1};
    if ((l->y = graph_attr(l->g, "linear", q->act, in, q->bias ? 3 : 2, NULL, e)) < 0) return -1;
    if ((l->y = graph_add1(l->g, "neg", l->y, e)) < 0) return -1; /* so that the layer's result is kept in 16 bits */
    backend_half(dev, l->g);
    half_store(l->g, &l->y, 1);
    l->p = plan_new(l->g, &ex, &(struct plan_options){.device = dev, .keep = &l->y, .n_keep = 1, .param = base}, e);
    return l->p && plan_alloc(l->p, e) == 0 ? 0 : -1;
}

/* The nearest number of E4M3, ties to even: of all of them. */
static double e4m3(double v) {
    double a = fabs(v), best = 0;
    for (int i = 0; i < 127; i++) {
        double c = i >> 3 ? ldexp(1 + (i & 7) / 8.0, (i >> 3) - 7) : ldexp(i & 7, -9);
        if (fabs(c - a) < fabs(best - a) || (fabs(c - a) == fabs(best - a) && i % 2 == 0)) best = c;
    }
    return v < 0 ? -best : best;
}
static void rounded(const float *x, double *y, int64_t n) {
    float top = 0;
    for (int64_t i = 0; i < n; i++) top = isfinite(x[i]) && fabsf(x[i]) > top ? fabsf(x[i]) : top;
    for (int64_t i = 0; i < n; i++) y[i] = !isfinite(x[i]) ? NAN : top > 0 ? e4m3((double)(x[i] * (448.0f / top))) * (double)(top / 448.0f) : 0;
}
/* The share of the norm by which y is off what fp8 should give, and off what exact products give. */
static void off(const struct ask *q, const float *x, const float *base, const float *y, double *of8, double *exact) {
    double *xr = X_NEW(double, (size_t)(q->m * q->k)), *wr = X_NEW(double, (size_t)(q->n * q->k)), d8 = 0, d = 0, norm = 0;
    rounded(x, xr, q->m * q->k), rounded(base, wr, q->n * q->k);
    for (int64_t i = 0; i < q->m; i++)
        for (int64_t j = 0; j < q->n; j++) {
            double s8 = 0, s = 0, b = q->bias ? (double)base[q->n * q->k + j] : 0;
            for (int64_t p = 0; p < q->k; p++) s8 += xr[i * q->k + p] * wr[j * q->k + p], s += (double)x[i * q->k + p] * (double)base[j * q->k + p];
            s8 += b, s += b;
            if (q->act) s8 *= 0.5 * erfc(-s8 * M_SQRT1_2), s *= 0.5 * erfc(-s * M_SQRT1_2);
            double got = -(double)y[i * q->n + j];
            d8 += (got - s8) * (got - s8), d += (got - s) * (got - s), norm += s * s;
        }
    *of8 = fmax(*of8, sqrt(d8 / norm)), *exact = fmax(*exact, sqrt(d / norm));
    free(xr), free(wr);
}

static const struct ask asks[] = {
    {20, 64, 48, NULL, true, true, 1}, {1, 32, 16, NULL, true, true, 1}, {33, 80, 32, NULL, false, true, 1}, {20, 48, 64, "act=gelu", true, true, 1},
    {20, 64, 40, NULL, true, true, 0}, /* 40 is no multiple of 16 */
    {20, 72, 48, NULL, true, true, 0}, {7, 64, 48, NULL, true, true, 0}, /* which the fake library refuses */
    {20, 64, 48, NULL, true, false, 0}, /* bf16 is asked for */
};
static void layers(void) {
    for (size_t a = 0; a < LEN(asks); a++) {
        const struct ask *q = &asks[a];
        struct extents ex = {{1, q->m, q->m + 1}};
        size_t n_x = (size_t)(q->m * q->k), n_w = (size_t)(q->n * q->k + q->n);
        float *base = X_NEW(float, n_w + 16), *x = X_NEW(float, n_x); /* a block of parameters is whole lines of 64 bytes */
        struct one l;
        struct err e = {0};
        double of8 = 0, exact = 0;
        long was = 0, all = 0;
        bool ok = true;
        for (size_t i = 0; i < n_w; i++) base[i] = (float)rng_normal(4, 0, i) * 0.1f;
        ok = one_new(&l, q, base, &e) == 0;
        for (uint64_t turn = 0; turn < 5 && ok; turn++) { /* at once, kept, replayed; then the same with other weights */
            for (size_t i = 0; i < n_w && turn == 3; i++) base[i] = (float)rng_normal(5, 0, i) * 3;
            if (turn == 3) mirror_wrote(base);
            for (size_t i = 0; i < n_x; i++) x[i] = (float)rng_normal(6 + turn, 0, i) * (turn == 1 ? 1000 : 1);
            memcpy(plan_data(l.p, l.x), x, n_x * sizeof *x);
            was = eights ? eights() : 0;
            ok = plan_run(l.p, &ex, PHASE_FORWARD, PHASE_FORWARD, &e) == 0;
            if (eights && eights() - was == q->products) all++;
            if (ok) off(q, x, base, plan_data(l.p, l.y), &of8, &exact);
        }
        bool counted = !eights || all == 5;
        tap_ok(ok && counted && (q->products || (!eights && q->m == 7) ? of8 < 6e-3 && exact < 0.06 && exact > 0.01 : exact < 8e-3),
            "(%d, %d) from %d%s%s in %s: off by %.1e%s, %.1e from exact%s", (int)q->m, (int)q->n, (int)q->k, q->act ? ", " : "", q->act ? q->act : "",
            q->products ? "fp8" : "bf16", q->products ? of8 : exact, q->products ? " of rounded operands" : "", exact, e.text);
        plan_free(l.p);
        graph_free(l.g);
        mirror_drop(base);
        free(base), free(x);
    }
}

/* What is made from weights is not made again while they stay: kernels of a replayed run, beside the product. */
static void kept(void) {
    static const struct ask q[] = {{20, 64, 48, NULL, true, false, 0}, {20, 64, 48, NULL, true, true, 1}};
    static const long want[] = {2, 3}; /* inputs to bf16, the op behind; the largest input, inputs to fp8, the op behind */
    for (size_t a = 0; launches && a < LEN(q); a++) {
        struct extents ex = {{1, 20, 21}};
        float *base = X_NEW(float, 64 * 48 + 48);
        struct one l;
        struct err e = {0};
        long at = 0, again = 0;
        bool ok = one_new(&l, &q[a], base, &e) == 0;
        for (int turn = 0; turn < 5 && ok; turn++) {
            if (turn == 4) mirror_wrote(base);
            at = launches();
            ok = plan_run(l.p, &ex, PHASE_FORWARD, PHASE_FORWARD, &e) == 0;
            if (turn == 3) again = launches() - at;
        }
        tap_ok(ok && again == want[a] && launches() - at > again, "%s: %ld kernels in a replayed run, %ld after the weights were written",
            q[a].fp8 ? "fp8" : "bf16", again, launches() - at);
        plan_free(l.p);
        graph_free(l.g);
        mirror_drop(base);
        free(base);
    }
}

static void odd_inputs(void) {
    static const struct ask q = {6, 32, 16, NULL, false, true, 1};
    struct extents ex = {{1, 6, 7}};
    static float base[32 * 16];
    struct one l;
    struct err e = {0};
    for (int i = 0; i < 32 * 16; i++) base[i] = (float)rng_normal(4, 0, (uint64_t)i);
    bool ok = one_new(&l, &q, base, &e) == 0;
    float *x = ok ? plan_data(l.p, l.x) : NULL, *y = ok ? plan_data(l.p, l.y) : NULL;
    for (int i = 0; ok && i < 6 * 32; i++) x[i] = 0;
    ok = ok && plan_run(l.p, &ex, PHASE_FORWARD, PHASE_FORWARD, &e) == 0;
    bool zero = ok;
    for (int i = 0; zero && i < 6 * 16; i++) zero = y[i] == 0;
    for (int i = 0; ok && i < 6 * 32; i++) x[i] = 1e-40f;
    ok = ok && plan_run(l.p, &ex, PHASE_FORWARD, PHASE_FORWARD, &e) == 0;
    for (int i = 0; zero && i < 6 * 16; i++) zero = y[i] == 0;
    tap_ok(ok && zero, "inputs of zeros, and of numbers too small to be scaled, give zeros %s", e.text);
    for (int i = 0; ok && i < 6 * 32; i++) x[i] = i < 32 ? 3e38f : 1e38f;
    if (ok) x[2 * 32 + 5] = NAN, x[4 * 32 + 1] = -INFINITY;
    ok = ok && plan_run(l.p, &ex, PHASE_FORWARD, PHASE_FORWARD, &e) == 0;
    bool only = ok;
    for (int r = 0; only && r < 6; r++)
        for (int j = 0; only && j < 16; j++) only = (isnan(y[r * 16 + j]) != 0) == (r == 2 || r == 4);
    tap_ok(only, "what is not finite makes its own row NaN and no other, beside numbers of 1e38 %s", e.text);
    plan_free(l.p);
    graph_free(l.g);
    mirror_drop(base);
}

int main(void) {
    if (!(dev = fake_beside_cpu())) return 0;
    if (!backend_has_fp8(&dev->info)) {
        printf("1..0 # SKIP the device has no fp8\n");
        return 0;
    }
    fake_function(&eights, "fake_eights");
    fake_function(&launches, "fake_launches");
    layers();
    kept();
    odd_inputs();
    backends_close();
    return tap_done();
}
