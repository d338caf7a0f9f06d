/* Every optimiser against numbers of another tool (tests/golden/make_optims.py) on a quadratic and a two-layer net, L-BFGS also on three harder functions:
 * 100 steps (10 or 25 with a line search and on those three) in double to 1e-10, one step in float of every instruction set to 2e-6. Five tensors: a tall and
 * a wide matrix, two vectors, a kernel of four extents. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/json.h"
#include "tests/engine/optim_fix.h"
#include "tests/tap.h"

enum { PARAMS = 5, POINTS = 6, ALL = 28 + 7 + 21 + 3 + 24 };
static const struct trial_shape shape[PARAMS] = {{{7, 4}, 2, 28, 0}, {{7}, 1, 7, 28}, {{3, 7}, 2, 21, 35}, {{3}, 1, 3, 56}, {{2, 3, 2, 2}, 4, 24, 59}};

static double val(int64_t k, int64_t i) { return (double)((i * 37 + k * 101 + i * i % 97) % 199) / 199.0 - 0.5; }

/* Each gives its value, and the gradient. */
static double quadratic(const double *w, double *g) {
    double f = 0;
    for (int k = 0; k < PARAMS; k++) {
        double sum = 0;
        for (int i = 0; i < shape[k].len; i++) sum += w[shape[k].at + i];
        f += 0.25 * sum * sum;
        for (int i = 0; i < shape[k].len; i++) f += 0.5 * (1 + 1.8 * val(60 + k, i)) * pow(w[shape[k].at + i] - val(70 + k, i), 2);
        for (int i = 0; i < shape[k].len; i++) g[shape[k].at + i] = (1 + 1.8 * val(60 + k, i)) * (w[shape[k].at + i] - val(70 + k, i)) + 0.5 * sum;
    }
    return f;
}

/* W1 (7, 4), b1, W2 (3, 7), b2 */
static double net(const double *w, double *g) {
    double f = 0;
    const double *w1 = w, *b1 = w + 28, *w2 = w + 35, *b2 = w + 56;
    memset(g, 0, ALL * sizeof *g);
    for (int n = 0; n < POINTS; n++) {
        double h[7], d[3], x[4];
        for (int j = 0; j < 4; j++) x[j] = 2 * val(50, n * 4 + j);
        for (int i = 0; i < 7; i++) {
            h[i] = b1[i];
            for (int j = 0; j < 4; j++) h[i] += w1[i * 4 + j] * x[j];
            h[i] = tanh(h[i]);
        }
        for (int o = 0; o < 3; o++) {
            d[o] = b2[o] - 2 * val(51, n * 3 + o);
            for (int i = 0; i < 7; i++) d[o] += w2[o * 7 + i] * h[i];
            f += 0.5 * d[o] * d[o];
            g[56 + o] += d[o];
            for (int i = 0; i < 7; i++) g[35 + o * 7 + i] += d[o] * h[i];
        }
        for (int i = 0; i < 7; i++) {
            double back = 0;
            for (int o = 0; o < 3; o++) back += d[o] * w2[o * 7 + i];
            back *= 1 - h[i] * h[i];
            g[28 + i] += back;
            for (int j = 0; j < 4; j++) g[i * 4 + j] += back * x[j];
        }
    }
    for (int i = 0; i < 24; i++) g[59 + i] = w[59 + i] - val(80, i), f += 0.5 * g[59 + i] * g[59 + i];
    return f;
}

static double waves(const double *w, double *g) {
    double f = 0;
    for (int k = 0; k < PARAMS; k++)
        for (int i = 0; i < shape[k].len; i++) {
            double v = w[shape[k].at + i], far = v - 4 * val(70 + k, i);
            f += 0.1 * far * far + cos(4 * v + k);
            g[shape[k].at + i] = 0.2 * far - 4 * sin(4 * v + k);
        }
    return f;
}

static double ripples(const double *w, double *g) {
    double f = 0;
    for (int k = 0; k < PARAMS; k++) {
        double sum = k;
        for (int i = 0; i < shape[k].len; i++) sum += 3 * w[shape[k].at + i];
        f += 0.2 * cos(sum);
        for (int i = 0; i < shape[k].len; i++) {
            double far = w[shape[k].at + i] - 2 * val(70 + k, i);
            f += 0.1 * far * far;
            g[shape[k].at + i] = 0.2 * far - 0.6 * sin(sum);
        }
    }
    return f;
}

static double valley(const double *w, double *g) {
    double f = 0;
    memset(g, 0, ALL * sizeof *g);
    for (int i = 0; i + 1 < ALL; i++) {
        double b = w[i + 1] - w[i] * w[i], a = 1 - w[i];
        f += 10 * b * b + a * a;
        g[i + 1] += 20 * b;
        g[i] -= 40 * b * w[i] + 2 * a;
    }
    return f;
}

static trial_function problem(const char *name) {
    return strcmp(name, "quadratic") == 0 ? quadratic
           : strcmp(name, "net") == 0     ? net
           : strcmp(name, "waves") == 0   ? waves
           : strcmp(name, "ripples") == 0 ? ripples
                                          : valley;
}

static int open_trial(struct trial *t, const struct val *spec, enum dtype real, struct err *e) {
    double start[ALL];
    for (int k = 0; k < PARAMS; k++)
        for (int i = 0; i < shape[k].len; i++) start[shape[k].at + i] = val(k, i);
    return trial_open(t, spec, real, shape, PARAMS, start, e);
}

static double off(const struct trial *t, const struct val *want) {
    double w[ALL];
    trial_weights(t, w);
    return trial_off(w, want, ALL);
}

static void run(const struct val *c, enum dtype real, const char *isa) {
    struct err e = {0};
    struct trial t;
    bool far = real == DT_F64;
    int rc = open_trial(&t, val_get(c, "spec"), real, &e);
    double first = INFINITY, last = 0;
    const struct val *at = val_get(c, "steps");
    const char *many = val_get(at, "10") ? "10" : val_get(at, "25") ? "25" : "100";
    int steps = atoi(many);
    for (int s = 1; rc == 0 && s <= (far ? steps : 1); s++) {
        rc = trial_step(&t, problem(val_get_str(c, "problem", "")), val_get_num(c, "clip", 0), 0, &e);
        if (s == 1) first = off(&t, val_get(at, "1"));
        if (s == steps) last = off(&t, val_get(at, many));
    }
    const char *name = val_get_str(c, "name", "?"), *what = val_get_str(c, "problem", "?");
    if (far) tap_ok(rc == 0 && first <= 1e-12 && last <= 1e-10, "%s on a %s: first step within %.1e, %s within %.1e %s", name, what, first, many, last, e.text);
    else tap_ok(rc == 0 && first <= 2e-6, "%s on a %s in float, %s: a step within %.1e %s", name, what, isa, first, e.text);
    if (t.evaluations > steps) printf("# %d evaluations\n", t.evaluations);
    trial_close(&t);
}

int main(void) {
    struct err e = {0};
    char path[4096];
    snprintf(path, sizeof path, "%s/tests/golden/optims.json", getenv("top_srcdir") ? getenv("top_srcdir") : ".");
    struct val *all = json_read_file(path, 1 << 20, &e);
    if (!tap_ok(all && val_len(all) >= 40, "the numbers are there %s", e.text)) return tap_done();
    for (int i = 0; isa_all(i) && ops_select(isa_all(i)->name, &e) == 0; i++)
        for (size_t k = 0; k < val_len(all); k++) run(val_at(all, k), DT_F32, isa_all(i)->name);
    for (size_t k = 0; k < val_len(all); k++) run(val_at(all, k), DT_F64, "");
    val_free(all);
    return tap_done();
}
