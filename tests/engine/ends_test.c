/* Activations at the ends of the numbers: at infinity every one is its limit, near it too, NaN stays NaN; so are their derivatives. On every instruction
 * set and in the plain loops, alone, as a gate and joined to a product. */
#include "config.h"

#include <math.h>
#include <string.h>

#include "engine/graph/op.h"
#include "engine/graph/plan.h"
#include "tests/tap.h"

enum { N = 41 }; /* whole vectors and a rest */
static const float xs[] = {-INFINITY, INFINITY, NAN, -1e30f, 1e30f};
enum { LOW, HIGH, NONE, FAR_LOW, FAR_HIGH, KINDS };

struct act {
    const char *op, *attr;
    double low, high; /* the limits; 0 times an infinite number is 0 */
    double slope_low, slope_high;
    bool slope; /* the derivative is an op of x */
    const char *gate; /* the same function in a gated unit */
};
#define INF INFINITY
static const struct act acts[] = {
    {"relu", NULL, 0, INF, 0, 1, false, "act=relu gate=first"},
    {"leaky_relu", "slope=0.25", -INF, INF, 0.25, 1, true, NULL},
    {"tanh", NULL, -1, 1, 0, 0, false, "act=tanh gate=first"},
    {"sigmoid", NULL, 0, 1, 0, 0, false, "act=sigmoid gate=first"},
    {"silu", NULL, 0, INF, 0, 1, true, "act=silu gate=first"},
    {"gelu", NULL, 0, INF, 0, 1, true, "act=gelu gate=first"},
    {"gelu", "approx=tanh", 0, INF, 0, 1, true, "act=gelu_tanh gate=first"},
    {"elu", "alpha=0.5", -0.5, INF, 0, 1, true, NULL},
    {"softplus", "beta=2", 0, INF, 0, 1, true, NULL},
    {"exp", NULL, 0, INF, 0, 0, false, NULL},
    {"abs", NULL, INF, INF, -1, 1, true, NULL},
};

struct input {
    const float *v;
    int64_t rows, cols;
};
/* op of the inputs; out gets `len` numbers. */
static int run(const char *op, const char *attr, bool reference, const struct input *in, int n_in, float *out, int64_t len, struct err *e) {
    struct graph *g = graph_new(DT_F32, false, 1);
    tid t[2];
    for (int i = 0; i < n_in; i++) {
        struct dim d[] = {{in[i].rows, 0}, {in[i].cols, 0}};
        t[i] = graph_input(g, i ? "b" : "a", DT_F32, d, 2, -1);
    }
    struct extents x = {{1}};
    tid y = graph_attr(g, op, attr, t, n_in, NULL, e);
    struct plan *p = y >= 0 ? plan_new(g, &x, &(struct plan_options){.keep = &y, .n_keep = 1, .reference = reference}, e) : NULL;
    int rc = p ? plan_alloc(p, e) : -1;
    for (int i = 0; rc == 0 && i < n_in; i++) memcpy(plan_data(p, t[i]), in[i].v, (size_t)(in[i].rows * in[i].cols) * sizeof(float));
    if (rc == 0) rc = plan_run(p, &x, PHASE_FORWARD, PHASE_FORWARD, e);
    if (rc == 0) memcpy(out, plan_data(p, y), (size_t)len * sizeof(float));
    plan_free(p);
    graph_free(g);
    return rc;
}

/* y of the xs, `each` numbers of each: at infinity the limit, far out the same or, where that is infinite, as far as a float goes. */
static bool right(const float *y, int64_t each, double low, double high, bool nan_stays) {
    for (int64_t i = 0; i < N * each; i++) {
        int kind = (int)(i / each % KINDS);
        double v = (double)y[i], want = kind == LOW || kind == FAR_LOW ? low : high;
        if (kind == NONE ? nan_stays && !isnan(v) : kind == LOW || kind == HIGH ? !(v == want) : !(isinf(want) ? v * (want > 0 ? 1 : -1) >= 9e28 : v == want)) {
            printf("# of %g comes %g\n", (double)xs[kind], v);
            return false;
        }
    }
    return true;
}

static void check(const struct act *a, const char *where, bool reference) {
    enum { OUT = 33 };
    float x[N], one[N], both[2 * N], y[N * OUT];
    struct err e = {0};
    for (int i = 0; i < N; i++) x[i] = both[i] = xs[i % KINDS], one[i] = both[N + i] = 1;
    const struct input pair[] = {{x, 1, N}, {one, 1, N}}, gated = {both, 1, 2 * N}, product[] = {{x, N, 1}, {one, OUT, 1}};
    bool ok = run(a->op, a->attr, reference, pair, 1, y, N, &e) == 0 && right(y, 1, a->low, a->high, true);
    char name[40], act[40];
    snprintf(name, sizeof name, "%s_grad", a->op);
    if (a->slope)
        ok &= run(name, a->attr, reference, pair, 2, y, N, &e) == 0 && right(y, 1, a->slope_low, a->slope_high, strcmp(a->op, "abs") != 0 && a->low == 0);
    if (a->gate) ok &= run("glu", a->gate, reference, &gated, 1, y, N, &e) == 0 && right(y, 1, a->low, a->high, true);
    snprintf(act, sizeof act, "act=gelu%s", a->attr ? "_tanh" : "");
    if (strcmp(a->op, "gelu") == 0) ok &= run("linear", act, reference, product, 2, y, N * OUT, &e) == 0 && right(y, OUT, a->low, a->high, true);
    tap_ok(
        ok, "%s%s%s, %s: its limits at infinity, NaN of NaN%s%.200s", a->op, a->attr ? " " : "", a->attr ? a->attr : "", where, e.text[0] ? ": " : "", e.text);
}

int main(void) {
    for (size_t i = 0; i < LEN(acts); i++) {
        ops_select("base", NULL);
        check(&acts[i], "plain loops", true);
        for (int s = 0; isa_all(s); s++) {
            ops_select(isa_all(s)->name, NULL);
            check(&acts[i], isa_all(s)->name, false);
        }
    }
    return tap_done();
}
