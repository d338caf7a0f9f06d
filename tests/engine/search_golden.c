/* The line search of L-BFGS against numbers of another tool (tests/golden/make_searches.py) on functions of one, two and four variables: each point that is
 * evaluated, how many there are, and where it ends. In double within 1e-9, in float of every instruction set within 2e-3 where that tool makes the same
 * decisions in float; no step ends higher than it began in either. Then what has no counterpart there: a loss that is not finite where the search begins,
 * slopes whose squares are not. */
#include <math.h>
#include <stdio.h>

#include "src/base/json.h"
#include "tests/engine/optim_fix.h"
#include "tests/tap.h"

enum { DIMS = 4, MOST = 400 };
static const double pi = 3.14159265358979323846;

static struct { /* of the case at hand */
    double arg[4], scale;
    const char *name;
} now;

static double more1(double x, double *g) {
    double d = x * x + 2;
    *g = (x * x - 2) / (d * d);
    return -x / d;
}
static double more2(double x, double *g) {
    double v = x + 0.004;
    *g = 5 * pow(v, 4) - 8 * pow(v, 3);
    return pow(v, 5) - 2 * pow(v, 4);
}
static double more3(double x, double *g) {
    double b = 0.01, l = 39, hat = x <= 1 - b ? 1 - x : x >= 1 + b ? x - 1 : (x - 1) * (x - 1) / (2 * b) + b / 2;
    *g = (x <= 1 - b ? -1 : x >= 1 + b ? 1 : (x - 1) / b) + (1 - b) * cos(l * pi / 2 * x);
    return hat + 2 * (1 - b) / (l * pi) * sin(l * pi / 2 * x);
}
static double yanai(double x, double *g) {
    double b1 = now.arg[0], b2 = now.arg[1], c1 = sqrt(1 + b1 * b1) - b1, c2 = sqrt(1 + b2 * b2) - b2;
    double r1 = sqrt((1 - x) * (1 - x) + b2 * b2), r2 = sqrt(x * x + b1 * b1);
    *g = c1 * (x - 1) / r1 + c2 * x / r2;
    return c1 * r1 + c2 * r2;
}
static double waves(double x, double *g) {
    const double *a = now.arg;
    *g = -a[0] + a[1] * a[2] * cos(a[2] * x) + 2 * a[3] * x;
    return -a[0] * x + a[1] * sin(a[2] * x) + a[3] * x * x;
}
static double barrier(double x, double *g) { /* no number beyond 1, where the formula of the slope is one */
    *g = 1 / (1 - x) - now.arg[0];
    return -log(1 - x) - now.arg[0] * x;
}
static double overflow(double x, double *g) { /* both infinite far out */
    *g = 2 * x * exp(x * x);
    return exp(x * x);
}
static double no_slope(double x, double *g) { /* a loss everywhere, a slope below 4 only */
    *g = x < 4 ? -sin(x) : NAN;
    return cos(x);
}
static double rosenbrock(const double *w, double *g) {
    double b = w[1] - w[0] * w[0], a = 1 - w[0];
    g[0] = -400 * b * w[0] - 2 * a, g[1] = 200 * b;
    return 100 * b * b + a * a;
}
static double beale(const double *w, double *g) {
    static const double y[3] = {1.5, 2.25, 2.625};
    double f = 0;
    g[0] = g[1] = 0;
    for (int i = 0; i < 3; i++) {
        double p = pow(w[1], i + 1), r = y[i] - w[0] * (1 - p);
        f += r * r;
        g[0] -= 2 * r * (1 - p), g[1] += 2 * r * w[0] * (i + 1) * pow(w[1], i);
    }
    return f;
}
static double powell(const double *w, double *g) {
    double a = w[0] + 10 * w[1], b = w[2] - w[3], c = w[1] - 2 * w[2], d = w[0] - w[3];
    g[0] = 2 * a + 40 * d * d * d, g[1] = 20 * a + 4 * c * c * c;
    g[2] = 10 * b - 8 * c * c * c, g[3] = -10 * b - 40 * d * d * d;
    return a * a + 5 * b * b + c * c * c * c + 10 * d * d * d * d;
}
static const struct {
    const char *name;
    double (*one)(double x, double *g);
    trial_function many;
    int n; /* variables */
} functions[] = {{"more1", more1, NULL, 1}, {"more2", more2, NULL, 1}, {"more3", more3, NULL, 1}, {"yanai", yanai, NULL, 1}, {"waves", waves, NULL, 1},
    {"barrier", barrier, NULL, 1}, {"overflow", overflow, NULL, 1}, {"no_slope", no_slope, NULL, 1}, {"rosenbrock", NULL, rosenbrock, 2},
    {"beale", NULL, beale, 2}, {"powell", NULL, powell, 4}};

static double function(const double *w, double *g) {
    size_t i = 0;
    while (strcmp(functions[i].name, now.name) != 0) i++;
    double f = functions[i].one ? functions[i].one(*w, g) : functions[i].many(w, g);
    for (int k = 0; k < functions[i].n; k++) g[k] *= now.scale;
    return now.scale * f;
}

static int list(const struct val *l, double *to, int room) {
    int n = (int)val_len(l);
    for (int i = 0; i < n && i < room; i++) val_as_num(val_at(l, (size_t)i), &to[i]);
    return n;
}

static struct val *spec_of(double lr, double evaluations, double tolerance, struct err *e) {
    char text[400];
    snprintf(text, sizeof text,
        "{\"optim\":\"lbfgs\",\"lr\":%.17g,\"history\":5,\"line_search\":\"strong_wolfe\",\"evaluations\":%.0f,\"tolerance_change\":%.17g}", lr, evaluations,
        tolerance);
    return json_parse(text, strlen(text), "spec", e);
}

static double loss_of(const struct trial *t) {
    double w[DIMS], g[DIMS];
    trial_weights(t, w);
    return function(w, g);
}

static void run(const struct val *c, enum dtype real, const char *isa) {
    struct err e = {0};
    struct trial t;
    double start[DIMS], path[DIMS * MOST], end[DIMS], far = 0;
    bool same = real == DT_F64 || val_get_bool(c, "in_float", false);
    int n = list(val_get(c, "start"), start, DIMS), steps = (int)val_get_num(c, "steps", 0), rc, higher = 0;
    struct trial_shape shape = {{n}, 1, n, 0};
    struct val *spec = spec_of(val_get_num(c, "lr", 0), val_get_num(c, "evaluations", 0), val_get_num(c, "tolerance_change", 0), &e);
    const struct val *points = val_get(c, "points");
    now.name = val_get_str(c, "function", "");
    now.scale = val_get_num(c, "scale", 0);
    list(val_get(c, "args"), now.arg, 4);
    rc = trial_open(&t, spec, real, &shape, 1, start, &e);
    t.path = path, t.room = MOST;
    for (int s = 0; rc == 0 && s < steps; s++) {
        double before = loss_of(&t);
        rc = trial_step(&t, function, 0, 0, &e);
        higher += !(loss_of(&t) <= before + 1e-6 * fabs(before));
    }
    if (rc == 0) {
        trial_weights(&t, end);
        for (int i = 0; i < t.evaluations && i < (int)val_len(points); i++) far = fmax(far, trial_off(path + i * n, val_at(points, (size_t)i), n));
        far = fmax(far, trial_off(end, val_get(c, "end"), n));
    }
    const char *which = same ? "points as there are" : "points, not the decisions of its";
    tap_ok(rc == 0 && higher == 0 && (!same || (t.evaluations == (int)val_len(points) && far <= (real == DT_F64 ? 1e-9 : 2e-3))),
        "%s from lr %g, tolerance %g, %g evaluations a step%s%s: %d %s %zu, within %.1e, %d steps upwards %s", now.name, val_get_num(c, "lr", 0),
        val_get_num(c, "tolerance_change", 0), val_get_num(c, "evaluations", 0), *isa ? ", float, " : "", isa, t.evaluations, which, val_len(points), far,
        higher, e.text);
    val_free(spec);
    trial_close(&t);
}

/* A loss of infinity that has a gradient, as squares of large numbers in float: nothing moves and nothing is evaluated; the step after it is the first. */
static double infinite(const double *w, double *g) {
    g[0] = w[0];
    return INFINITY;
}
static double parabola(const double *w, double *g) {
    g[0] = w[0];
    return w[0] * w[0] / 2;
}
static void not_finite(enum dtype real) {
    struct err e = {0};
    struct trial t;
    double start = 3, stays = 0, end = 0;
    struct trial_shape shape = {{1}, 1, 1, 0};
    struct val *spec = spec_of(1, 25, 1e-9, &e);
    int rc = trial_open(&t, spec, real, &shape, 1, &start, &e), tried;
    if (rc == 0) rc = trial_step(&t, infinite, 0, 0, &e);
    tried = t.evaluations;
    trial_weights(&t, &stays);
    if (rc == 0) rc = trial_step(&t, parabola, 0, 0, &e);
    trial_weights(&t, &end);
    tap_ok(rc == 0 && stays == 3 && tried == 1 && fabs(end - 2) < 1e-6, "%s: from an infinite loss no step, after %d evaluations at %g; from there to %g %s",
        real == DT_F64 ? "double" : "float", tried, stays, end, e.text);
    val_free(spec);
    trial_close(&t);
}

/* exp(x^2) at 24 has a slope whose square leaves the range of a double, so no cubic is known: the middle of the bracket is next. */
static void halved(void) {
    struct err e = {0};
    struct trial t;
    double start = 1.5, path[MOST];
    struct trial_shape shape = {{1}, 1, 1, 0};
    struct val *spec = spec_of(30, 25, 1e-9, &e);
    int rc = trial_open(&t, spec, DT_F64, &shape, 1, &start, &e), first = 0;
    now.name = "overflow", now.scale = 1;
    t.path = path, t.room = MOST;
    for (int i = 0; i < 2 && rc == 0; i++) {
        first = t.evaluations;
        rc = trial_step(&t, function, 0, 0, &e);
    }
    double middle = (path[first] + path[first + 1]) / 2;
    tap_ok(rc == 0 && path[first + 1] > 20 && fabs(path[first + 2] - middle) < 1e-12 && fabs(loss_of(&t)) < exp(path[first] * path[first]),
        "between %g and %g, where no cubic is known, %g is next, and the step goes down %s", path[first], path[first + 1], path[first + 2], e.text);
    val_free(spec);
    trial_close(&t);
}

/* Elements of the gradient clipped: the direction is that of another function, and may lead upwards. Then no step is made, and the history is forgotten, so
 * it goes on. */
static void uphill(const char *name, const double *start, int n, double clip, enum dtype real) {
    struct err e = {0};
    struct trial t;
    struct trial_shape shape = {{n}, 1, n, 0};
    struct val *spec = spec_of(1, 25, 1e-9, &e);
    int rc = trial_open(&t, spec, real, &shape, 1, start, &e), rises = 0, left_out = 0, steps = 0;
    now.name = name, now.scale = 1;
    for (double before = loss_of(&t); rc == 0 && steps < 100 && before > 1e-4; steps++) {
        int tried = t.evaluations;
        rc = trial_step(&t, function, 0, clip, &e);
        left_out += t.evaluations == tried + 1;
        rises += !(loss_of(&t) <= before);
        before = loss_of(&t);
    }
    tap_ok(rc == 0 && left_out > 0 && rises == 0 && loss_of(&t) <= 1e-4,
        "%s, elements clipped at %g, %s: %d steps, %d of them left out, %d upwards, to a loss of %.1e %s", name, clip, real == DT_F64 ? "double" : "float",
        steps, left_out, rises, loss_of(&t), e.text);
    val_free(spec);
    trial_close(&t);
}

int main(void) {
    struct err e = {0};
    char path[4096];
    snprintf(path, sizeof path, "%s/tests/golden/searches.json", getenv("top_srcdir") ? getenv("top_srcdir") : ".");
    struct val *all = json_read_file(path, 1 << 20, &e);
    if (!tap_ok(all && val_len(all) >= 40, "the numbers are there %s", e.text)) return tap_done();
    for (size_t k = 0; k < val_len(all); k++) run(val_at(all, k), DT_F64, "");
    for (int i = 0; isa_all(i) && ops_select(isa_all(i)->name, &e) == 0; i++)
        for (size_t k = 0; k < val_len(all); k++) run(val_at(all, k), DT_F32, isa_all(i)->name);
    val_free(all);
    not_finite(DT_F64);
    not_finite(DT_F32);
    halved();
    for (int i = 0; i < 2; i++) {
        enum dtype real = i ? DT_F64 : DT_F32;
        uphill("rosenbrock", (double[]){-1.2, 1}, 2, 5, real);
        uphill("powell", (double[]){3, -1, 0, 1}, 4, 1, real);
    }
    return tap_done();
}
