/* Schedules at every step: against numbers of another tool (tests/golden/make_scheds.py), and against closed forms written here. */
#include "config.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/train/sched.h"
#include "src/base/json.h"
#include "src/base/err.h"
#include "tests/tap.h"

enum { STEPS = 120, PER = 10 };
#define BASE 0.3

static double lr_at(const struct sched *s, int64_t step) {
    struct sched_at at = {step, STEPS, step / PER, STEPS / PER};
    return sched_lr(s, BASE, &at);
}

static void golden(const struct val *c) {
    struct err e = {0};
    struct sched *s = sched_new(val_get(c, "spec"), &e);
    const struct val *lr = val_get(c, "lr"), *metric = val_get(c, "metric");
    bool rising = val_get_bool(c, "rising", false);
    double worst = s && val_len(lr) == STEPS ? 0 : INFINITY, want, m;
    for (int64_t t = 0; s && t < STEPS && val_as_num(val_at(lr, (size_t)t), &want); t++) {
        double d = fabs(lr_at(s, t) - want) / BASE;
        if (!(d <= worst)) worst = d;
        if ((t + 1) % PER == 0 && val_as_num(val_at(metric, (size_t)(t / PER)), &m)) sched_metric(s, rising ? 1 - m / 2 : m, rising);
    }
    tap_ok(worst <= 1e-12, "%s: 120 steps within %.1e %s", val_get_str(c, "name", "?"), worst, e.text);
    sched_free(s);
}

/* ---- closed forms: t steps done of n ---- */
static double half_cosine(double t, double n) { return 0.01 + (BASE - 0.01) * (1 + cos(M_PI * fmin(t, n) / n)) / 2; }
static double f_constant(double t) { return t < 0 ? 0 : BASE; }
static double f_step(double t) { return BASE * pow(0.4, floor(floor(t / PER) / 3)); }
static double f_multi(double t) { return BASE * (t >= 5 ? 0.1 : 1) * (t >= 60 ? 0.1 : 1); }
static double f_exp(double t) { return BASE * pow(0.95, floor(t / PER)); }
static double f_cosine(double t) { return half_cosine(t, STEPS); }
static double f_restarts(double t) { return half_cosine(t - 40 * floor(t / 40), 40); }
static double f_warm(double t) { return t < 30 ? BASE * (0.01 + 0.99 * t / 30) : BASE; }
static double f_poly(double t) { return 0.02 + (BASE - 0.02) * pow(1 - fmin(t, 100) / 100, 1.5); }
static double f_chain(double t) { return t < 50 ? BASE * pow(0.99, t) : half_cosine(t - 50, STEPS - 50); }
static double f_cycle(double t) {
    double up = 0.25 * STEPS - 1, low = BASE / 10, end = low / 100;
    return t <= up ? BASE + (low - BASE) * (1 + cos(M_PI * t / up)) / 2 : end + (BASE - end) * (1 + cos(M_PI * (t - up) / (STEPS - 1 - up))) / 2;
}

static const struct closed {
    const char *name, *spec;
    double (*f)(double t);
} forms[] = {
    {"constant", "{\"sched\":\"constant\"}", f_constant},
    {"step", "{\"sched\":\"step\",\"every\":3,\"gamma\":0.4}", f_step},
    {"multi_step", "{\"sched\":\"multi_step\",\"at\":[5,60],\"by\":\"step\"}", f_multi},
    {"exponential", "{\"sched\":\"exponential\",\"gamma\":0.95}", f_exp},
    {"cosine", "{\"sched\":\"cosine\",\"min\":0.01}", f_cosine},
    {"cosine with restarts", "{\"sched\":\"cosine\",\"min\":0.01,\"restarts\":3}", f_restarts},
    {"warmup", "{\"sched\":\"warmup\",\"steps\":30}", f_warm},
    {"polynomial", "{\"sched\":\"polynomial\",\"total\":100,\"power\":1.5,\"min\":0.02}", f_poly},
    {"one_cycle", "{\"sched\":\"one_cycle\",\"rise\":0.25,\"div\":10,\"final_div\":100}", f_cycle},
    {"chain",
        "{\"sched\":\"chain\",\"schedules\":[{\"sched\":\"exponential\",\"gamma\":0.99,\"by\":\"step\"},{\"sched\":\"cosine\",\"min\":0.01}],\"at\":[50]}",
        f_chain},
};

static void closed_form(const struct closed *c) {
    struct err e = {0};
    struct val *spec = json_parse(c->spec, strlen(c->spec), "spec", &e);
    struct sched *s = spec ? sched_new(spec, &e) : NULL;
    double worst = s ? 0 : INFINITY;
    for (int64_t t = 0; s && t < STEPS; t++) {
        double d = fabs(lr_at(s, t) - c->f((double)t)) / BASE;
        if (!(d <= worst)) worst = d;
    }
    tap_ok(worst <= 1e-14, "%s: the closed form at every step, within %.1e %s", c->name, worst, e.text);
    sched_free(s);
    val_free(spec);
}

/* A plateau in the middle of its waiting goes on the same from its saved state. */
static void plateau_state(void) {
    struct err e = {0};
    static const char text[] = "{\"sched\":\"warmup\",\"steps\":5,\"next\":{\"sched\":\"plateau\",\"factor\":0.5,\"patience\":2}}";
    struct val *spec = json_parse(text, strlen(text), "spec", &e);
    struct sched *a = sched_new(spec, &e), *b = sched_new(spec, &e);
    bool same = a && b;
    for (int i = 0; same && i < 12; i++) {
        sched_metric(a, i < 3 ? 1.0 / (i + 1) : 0.5, false);
        if (i == 4) {
            struct val *state = sched_state(a);
            sched_restore(b, state);
            val_free(state);
        }
        if (i > 4) {
            sched_metric(b, 0.5, false);
            same = lr_at(a, 10 + i) == lr_at(b, 10 + i);
        }
    }
    tap_ok(same && lr_at(a, 50) < BASE / 4, "plateau goes on from its saved state, to the bit: %g", a ? lr_at(a, 50) : NAN);
    sched_free(a);
    sched_free(b);
    val_free(spec);
}

/* Progress below the threshold is none: with 1 % and no patience 0.995 after 1 cuts, 0.98 does not. A schedule by name alone has PyTorch's numbers. */
static void plateau_threshold(void) {
    struct err e = {0};
    static const char text[] = "{\"sched\":\"plateau\",\"factor\":0.5,\"patience\":0,\"threshold\":0.01}";
    static const double value[] = {1, 0.995, 0.98, 0.9702, 0.97}, want[] = {1, 0.5, 0.5, 0.25, 0.25};
    struct val *spec = json_parse(text, strlen(text), "spec", &e);
    struct sched *s = spec ? sched_new(spec, &e) : NULL;
    bool ok = s != NULL;
    for (size_t i = 0; ok && i < LEN(value); i++) {
        sched_metric(s, value[i], false);
        ok = lr_at(s, 3) == BASE * want[i];
    }
    tap_ok(ok, "plateau: what is within the threshold is no progress %s", e.text);
    sched_free(s);
    val_free(spec);
    static const struct {
        const char *name, *arg;
        double want;
    } d[] = {{"step", "gamma", 0.1}, {"multi_step", "gamma", 0.1}, {"cosine", "min", 0}, {"cosine", "mult", 1}, {"polynomial", "power", 1},
        {"polynomial", "min", 0}, {"one_cycle", "rise", 0.3}, {"one_cycle", "div", 25}, {"one_cycle", "final_div", 1e4}, {"plateau", "factor", 0.1},
        {"plateau", "patience", 10}, {"plateau", "threshold", 1e-4}, {"plateau", "cooldown", 0}, {"plateau", "min", 0}};
    for (size_t i = 0; i < LEN(d); i++) {
        const struct kind *k = NULL;
        for (int j = 0; sched_kinds[j] && !k; j++)
            if (strcmp(sched_kinds[j]->name, d[i].name) == 0) k = sched_kinds[j];
        const struct arg *a = k ? args_find(k, d[i].arg) : NULL;
        tap_ok(a && a->def && strtod(a->def, NULL) == d[i].want, "%s.%s is %g where it is not said", d[i].name, d[i].arg, d[i].want);
    }
}

static void refusal(void) {
    struct err e = {0};
    static const char text[] = "{\"sched\":\"cosine\",\"restarts\":1000,\"mult\":2}";
    struct val *spec = json_parse(text, strlen(text), "spec", &e);
    struct sched *s = sched_new(spec, &e);
    tap_ok(!s && strstr(e.text, "1000 restarts"), "too many growing restarts: %s", e.text);
    sched_free(s);
    val_free(spec);
}

int main(void) {
    struct err e = {0};
    char path[4096];
    snprintf(path, sizeof path, "%s/tests/golden/scheds.json", getenv("top_srcdir") ? getenv("top_srcdir") : ".");
    struct val *all = json_read_file(path, 1 << 20, &e);
    tap_ok(all && val_len(all) == 17, "the numbers are there %s", e.text);
    for (size_t i = 0; i < val_len(all); i++) golden(val_at(all, i));
    for (size_t i = 0; i < LEN(forms); i++) closed_form(&forms[i]);
    plateau_state();
    plateau_threshold();
    refusal();
    val_free(all);
    return tap_done();
}
