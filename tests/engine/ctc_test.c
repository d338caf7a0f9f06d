/* Connectionist temporal classification against numbers of PyTorch (tests/golden/make_ctc.py), packed and row by row, the reference in double and every
 * instruction set in fp32; decoding on examples of the literature and against all paths counted out; edit distances. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/graph/op.h"
#include "engine/graph/plan.h"
#include "engine/train/decode.h"
#include "src/base/json.h"
#include "src/base/mem.h"
#include "src/base/rng.h"
#include "tests/tap.h"

static double val(int64_t k, int64_t i) { return (double)((i * 37 + k * 101 + i * i % 97) % 199) / 199.0 - 0.5; }

struct rig { /* one ctc node and its gradient */
    struct graph *g;
    struct plan *p;
    struct extents x;
    tid z, y, off, out[2], seed, dz;
};
struct trial {
    const struct val *c; /* of the golden file */
    int64_t k, rows, frames, longest, classes;
    bool wide;
};

static int rig_new(struct rig *r, const struct trial *t, int64_t dense, const char *more, struct err *e) {
    struct dim zd[] = {{1, dense ? AXIS_R : AXIS_T0}, {dense ? dense : t->classes, AXIS_ONE}, {t->classes, AXIS_ONE}};
    struct dim yd[] = {{1, AXIS_R}, {t->longest, AXIS_ONE}}, od = {1, AXIS_R1};
    char attr[160];
    *r = (struct rig){.g = graph_new(t->wide ? DT_F64 : DT_F32, true, 1), .off = -1};
    if (!dense) r->off = graph_input(r->g, "o", DT_I32, &od, 1, -1);
    r->z = graph_input(r->g, "z", r->g->real, zd, dense ? 3 : 2, r->off);
    r->y = graph_input(r->g, "y", DT_I32, yd, 2, -1);
    r->g->tensor[r->z].needs_grad = true;
    snprintf(attr, sizeof attr, "blank=%lld zero_infinity=%s%s", (long long)val_get_int(t->c, "blank", 0),
        val_get_bool(t->c, "zero_infinity", false) ? "true" : "false", more);
    if (graph_attr(r->g, "ctc", attr, (tid[]){r->z, r->y, r->off}, dense ? 2 : 3, r->out, e) < 0) return -1;
    const struct node n = r->g->node[r->g->n_node - 1];
    r->seed = graph_scalar(r->g, "seed");
    r->g->phase = PHASE_BACKWARD;
    tid din[8];
    if (n.op->grad(r->g, &n, (tid[]){r->seed, -1}, din, e) < 0) return -1;
    r->dz = din[0];
    tid keep[] = {r->out[0], r->out[1], r->dz};
    struct plan_options o = {.reference = t->wide, .keep = keep, .n_keep = 3};
    r->x = (struct extents){.n = {1, dense ? 1 : t->rows, dense ? 2 : t->rows + 1, t->frames}};
    return (r->p = plan_new(r->g, &r->x, &o, e)) && plan_alloc(r->p, e) == 0 ? 0 : -1;
}
static void rig_free(struct rig *r) {
    plan_free(r->p);
    graph_free(r->g);
}
static double get(const struct rig *r, tid t, int64_t i) {
    const void *p = plan_data(r->p, t);
    return r->g->real == DT_F64 ? ((const double *)p)[i] : (double)((const float *)p)[i];
}
static int64_t frames_of(const struct trial *t, int64_t row) {
    int64_t n = 0;
    val_as_int(val_at(val_get(t->c, "frames"), (size_t)row), &n);
    return n;
}
/* Rows from `row` on, of which the first frame is number `from`. */
static int rig_run(struct rig *r, const struct trial *t, int64_t row, int64_t from, int64_t rows, int64_t frames, struct err *e) {
    int32_t *y = plan_data(r->p, r->y), *off = r->off >= 0 ? plan_data(r->p, r->off) : NULL;
    void *z = plan_data(r->p, r->z);
    double scale = val_get_num(t->c, "scale", 1);
    for (int64_t i = 0; off && i < rows; i++) off[i + 1] = (int32_t)((i ? off[i] : (off[0] = 0)) + frames_of(t, i));
    for (int64_t i = 0; i < rows * t->longest; i++) {
        int64_t v = -1;
        val_as_int(val_at(val_at(val_get(t->c, "targets"), (size_t)(row + i / t->longest)), (size_t)(i % t->longest)), &v);
        y[i] = (int32_t)v;
    }
    for (int64_t i = 0; i < frames * t->classes; i++) {
        double v = scale * val(t->k, from * t->classes + i);
        if (t->wide) ((double *)z)[i] = v;
        else ((float *)z)[i] = (float)v;
    }
    plan_scalar(r->p, r->seed, 1);
    return plan_run(r->p, &r->x, PHASE_FORWARD, PHASE_BACKWARD, e);
}

/* A golden number: non-finite ones are strings. */
static double number(const struct val *v) {
    double x = NAN;
    if (v && v->type == VAL_STR) return strcmp(v->u.s.p, "inf") == 0 ? INFINITY : NAN;
    return val_as_num(v, &x) ? x : -1e300;
}
static double apart(double a, double b) {
    return a == b || (isnan(a) && isnan(b)) ? 0 : isfinite(a) && isfinite(b) ? fabs(a - b) / fmax(1, fabs(b)) : INFINITY;
}

static double gradient_apart(const struct rig *r, const struct trial *t, int64_t from, int64_t n) {
    const struct val *grad = val_get(t->c, "grad"), *sums = val_get(t->c, "sums");
    double worst = 0, norm = 0, dot = 0;
    for (int64_t i = 0; i < n * t->classes; i++) {
        double g = get(r, r->dz, i);
        norm += g * g, dot += g * cos((double)i);
        if (grad) worst = fmax(worst, apart(g, number(val_at(grad, (size_t)(from * t->classes + i)))));
    }
    if (sums && n == t->frames) worst = fmax(apart(sqrt(norm), number(val_at(sums, 0))), apart(dot, number(val_at(sums, 1))));
    return worst;
}

/* All rows packed: their sum, and their mean of losses by the lengths. Then each as a dense input of its own. */
static double off_by(const struct trial *t, struct err *e) {
    const struct val *loss = val_get(t->c, "loss");
    double worst = 0, sum = 0;
    struct rig r;
    for (int64_t i = 0; i < t->rows; i++) sum += number(val_at(loss, (size_t)i));
    for (int k = 0; k < 2; k++) {
        int rc = rig_new(&r, t, 0, k ? " by_length=true" : "", e) || rig_run(&r, t, 0, 0, t->rows, t->frames, e);
        if (rc) worst = INFINITY;
        else if (k) worst = fmax(worst, apart(get(&r, r.out[0], 0) / get(&r, r.out[1], 0), number(val_get(t->c, "mean"))));
        else worst = fmax(worst, fmax(apart(get(&r, r.out[0], 0), sum), gradient_apart(&r, t, 0, t->frames)));
        rig_free(&r);
    }
    for (int64_t i = 0, from = 0; i < t->rows; from += frames_of(t, i++)) {
        int64_t n = frames_of(t, i);
        if (rig_new(&r, t, n, "", e) < 0 || rig_run(&r, t, i, from, 1, n, e) < 0) worst = INFINITY;
        else worst = fmax(worst, fmax(apart(get(&r, r.out[0], 0), number(val_at(loss, (size_t)i))), gradient_apart(&r, t, from, n)));
        rig_free(&r);
    }
    return worst;
}

static void golden(const struct val *c, int64_t k) {
    struct err e = {0};
    struct trial t = {.c = c, .k = k, .rows = (int64_t)val_len(val_get(c, "frames")), .longest = 1, .classes = val_get_int(c, "classes", 1)};
    for (int64_t i = 0; i < t.rows; i++) {
        int64_t n = (int64_t)val_len(val_at(val_get(c, "targets"), (size_t)i));
        t.longest = n > t.longest ? n : t.longest;
        t.frames += frames_of(&t, i);
    }
    t.wide = true;
    ops_select("base", &e);
    double wide = off_by(&t, &e), narrow = 0;
    t.wide = false;
    for (int i = 0; isa_all(i); i++)
        if (ops_select(isa_all(i)->name, &e) == 0) narrow = fmax(narrow, off_by(&t, &e));
    tap_ok(wide <= 1e-12 && narrow <= 2e-6, "%s: loss and gradient within %.1e of PyTorch in double, %.1e in fp32 on every instruction set %s",
        val_get_str(c, "name", "?"), wide, narrow, e.text);
}

/* ---- decoding ---- */
static void logs(const double *p, int64_t n, float *z) {
    for (int64_t i = 0; i < n; i++) z[i] = (float)log(p[i] > 0 ? p[i] : 1e-30);
}
static bool same(const int32_t *a, int64_t n, const int32_t *b, int64_t m) { return n == m && (n == 0 || memcmp(a, b, (size_t)n * sizeof *a) == 0); }

static void examples(void) {
    float z[64];
    int32_t out[8];
    double log_p;
    /* Graves 2012, section 7.5.1: the best path is empty with 0.7 * 0.6, the label has 0.3 * 0.4 + 0.3 * 0.6 + 0.7 * 0.4. */
    logs((const double[]){0.7, 0.3, 0.6, 0.4}, 4, z);
    tap_ok(decode_best_path(z, 2, 2, out) == 0, "two frames of one label: the best path is empty");
    int64_t n = decode_beam(z, 2, 2, 2, out, &log_p);
    tap_ok(same(out, n, (const int32_t[]){1}, 1) && fabs(exp(log_p) - 0.58) < 1e-6, "but the label is more likely: %.9f", exp(log_p));
    /* The two examples of TensorFlow's tests of its decoders, with the blank as class 0. */
    logs((const double[]){0, .1, .9, 0, 0, 0, .9, .1, .9, 0, 0, .1, .1, 0, .9, .1, 0, .9, .1, 0}, 20, z);
    n = decode_best_path(z, 5, 4, out);
    tap_ok(same(out, n, (const int32_t[]){2, 2, 1}, 3), "equal labels with a blank between stay two");
    static const double beam[] = {0.173908, 0.30999, 0.309938, 0.0679938, 0.0673362, 0.0708352, 0.230517, 0.215136, 0.439699, 0.0370931, 0.0393967, 0.0381581,
        0.238763, 0.199959, 0.489485, 0.0233221, 0.0251417, 0.0233289, 0.20655, 0.279611, 0.452966, 0.0204795, 0.0209126, 0.0194803, 0.129878, 0.51286,
        0.288951, 0.0243026, 0.0220788, 0.0219297};
    logs(beam, 30, z);
    n = decode_beam(z, 5, 6, 2, out, &log_p);
    tap_ok(same(out, n, (const int32_t[]){2, 1}, 2), "five frames of five labels, two prefixes");
    tap_ok(decode_best_path(z, 0, 6, out) == 0 && decode_beam(z, 0, 6, 3, out, &log_p) == 0 && log_p == 0, "no frames read as nothing, for certain");
}

/* The most likely labelling by counting out all paths of T frames; its log-probability. */
enum { T = 6, C = 3, PATHS = 729 };
static int64_t count_out(const float *z, int32_t *best, double *log_p) {
    static struct {
        int32_t label[T];
        int64_t n;
        double p;
    } seen[PATHS];
    int n_seen = 0, top = 0;
    for (int path = 0; path < PATHS; path++) {
        int32_t label[T];
        int64_t n = 0;
        int before = 0, rest = path;
        double p = 1;
        for (int t = 0; t < T; t++, rest /= C) {
            double sum = 0;
            for (int k = 0; k < C; k++) sum += exp((double)z[t * C + k]);
            int k = rest % C;
            p *= exp((double)z[t * C + k]) / sum;
            if (k && k != before) label[n++] = k;
            before = k;
        }
        int at = 0;
        while (at < n_seen && !same(seen[at].label, seen[at].n, label, n)) at++;
        if (at == n_seen) {
            memcpy(seen[at].label, label, sizeof label);
            seen[at].n = n, seen[at].p = 0;
            n_seen++;
        }
        seen[at].p += p;
    }
    for (int i = 1; i < n_seen; i++)
        if (seen[i].p > seen[top].p) top = i;
    memcpy(best, seen[top].label, sizeof seen[top].label);
    *log_p = log(seen[top].p);
    return seen[top].n;
}
static void all_paths(void) {
    int right = 0, tries = 200, greedy = 0;
    for (int k = 0; k < tries; k++) {
        float z[T * C];
        int32_t want[T], got[T];
        double p, q;
        for (int i = 0; i < T * C; i++) z[i] = (float)(2 * rng_normal(5, (uint64_t)k, (uint64_t)i));
        int64_t n = count_out(z, want, &p), m = decode_beam(z, T, C, PATHS, got, &q);
        right += same(want, n, got, m) && fabs(p - q) < 1e-9;
        m = decode_best_path(z, T, C, got);
        greedy += same(want, n, got, m);
    }
    tap_ok(right == tries, "with room for all prefixes the search finds the most likely of all labellings and its probability: %d of %d", right, tries);
    tap_ok(greedy > tries / 2 && greedy < tries, "the best path finds it %d times", greedy);
}

/* The same search written plainly: prefixes as lists of labels, equal ones joined by comparison, all of them sorted. */
enum { N_FRAMES = 30, N_CLASSES = 5, N_BEAM = 5, N_SEEN = N_BEAM * N_CLASSES };
struct prefix {
    int32_t label[N_FRAMES];
    int64_t n;
    double blank, other; /* probabilities */
};
static int likelier(const void *a, const void *b) {
    const struct prefix *x = a, *y = b;
    double p = x->blank + x->other, q = y->blank + y->other;
    return (q > p) - (q < p);
}
static struct prefix *seen_as(struct prefix *all, int *n, const struct prefix *old, int32_t more) {
    struct prefix p = *old;
    p.blank = p.other = 0;
    if (more) p.label[p.n++] = more;
    int at = 0;
    while (at < *n && !same(all[at].label, all[at].n, p.label, p.n)) at++;
    if (at == *n) all[(*n)++] = p;
    return &all[at];
}
static int64_t plain_search(const float *z, int beam, int32_t *out, double *log_p) {
    struct prefix kept[N_BEAM] = {{.blank = 1}}, next[N_SEEN];
    int n_kept = 1;
    for (int t = 0; t < N_FRAMES; t++, z += N_CLASSES) {
        double sum = 0;
        int n = 0;
        for (int k = 0; k < N_CLASSES; k++) sum += exp((double)z[k]);
        for (int i = 0; i < n_kept; i++)
            for (int32_t k = 0; k < N_CLASSES; k++) {
                const struct prefix *old = &kept[i];
                double p = exp((double)z[k]) / sum;
                bool again = old->n > 0 && k == old->label[old->n - 1];
                if (k == 0) seen_as(next, &n, old, 0)->blank += (old->blank + old->other) * p;
                if (again) seen_as(next, &n, old, 0)->other += old->other * p;
                if (k > 0) seen_as(next, &n, old, k)->other += (again ? old->blank : old->blank + old->other) * p;
            }
        qsort(next, (size_t)n, sizeof *next, likelier);
        n_kept = n < beam ? n : beam;
        memcpy(kept, next, (size_t)n_kept * sizeof *kept);
    }
    memcpy(out, kept[0].label, sizeof kept[0].label);
    *log_p = log(kept[0].blank + kept[0].other);
    return kept[0].n;
}
static void narrow(void) {
    int right = 0, tries = 100;
    float z[N_FRAMES * N_CLASSES];
    for (int k = 0; k < tries; k++) {
        int32_t want[N_FRAMES], got[N_FRAMES];
        double p, q;
        for (int i = 0; i < N_FRAMES * N_CLASSES; i++) z[i] = (float)(1.5 * rng_normal(6, (uint64_t)k, (uint64_t)i));
        int64_t n = plain_search(z, 1 + k % N_BEAM, want, &p), m = decode_beam(z, N_FRAMES, N_CLASSES, 1 + k % N_BEAM, got, &q);
        right += same(want, n, got, m) && fabs(p - q) < 1e-9;
    }
    tap_ok(right == tries, "with room for 1 to %d prefixes the search finds what a plain one does: %d of %d", N_BEAM, right, tries);
    double p;
    int32_t a[4] = {0}, b[4] = {0};
    const float even[] = {0, 2, 2, 1, 3, 0, 3, 3};
    tap_ok(decode_best_path(even, 2, 4, a) == 1 && a[0] == 1 && decode_beam(even, 1, 4, 3, b, &p) == 1 && b[0] == 1, "of equal classes the first is taken");
}

/* Many frames, classes and prefixes: what is kept stays small, and more room finds no worse sequence here. */
static void wide(void) {
    enum { FRAMES = 150, CLASSES = 120 };
    static const int64_t room[] = {1, 10, 300};
    float *z = X_NEW(float, FRAMES *CLASSES);
    int32_t out[FRAMES];
    double p[3];
    bool ok = true;
    for (int i = 0; i < FRAMES * CLASSES; i++) z[i] = (float)(3 * rng_normal(8, 0, (uint64_t)i));
    for (int k = 0; k < 3; k++) {
        int64_t n = decode_beam(z, FRAMES, CLASSES, room[k], out, &p[k]);
        ok = ok && isfinite(p[k]) && n > 0 && n <= FRAMES && (k == 0 || p[k] >= p[k - 1]);
        for (int64_t i = 0; i < n; i++) ok = ok && out[i] > 0 && out[i] < CLASSES;
    }
    tap_ok(ok, "1, 10 and 300 prefixes over %d frames of %d classes: log-probability %.2f, %.2f, %.2f", FRAMES, CLASSES, p[0], p[1], p[2]);
    free(z);
}

static int64_t distance(const char *a, const char *b) {
    int32_t x[16], y[16];
    int64_t n = (int64_t)strlen(a), m = (int64_t)strlen(b);
    for (int64_t i = 0; i < n; i++) x[i] = a[i];
    for (int64_t i = 0; i < m; i++) y[i] = b[i];
    return decode_distance(x, n, y, m);
}
static void distances(void) {
    tap_ok(distance("kitten", "sitting") == 3 && distance("sitting", "kitten") == 3, "kitten, sitting: 3 edits");
    tap_ok(distance("intention", "execution") == 5, "intention, execution: 5 edits");
    tap_ok(distance("", "abc") == 3 && distance("abc", "") == 3 && distance("", "") == 0 && distance("abc", "abc") == 0, "empty and equal ones");
    tap_ok(distance("abcdef", "bcdefg") == 2 && distance("aaaa", "aa") == 2, "one lost and one more; two lost");
}

int main(void) {
    struct err e = {0};
    char path[4096];
    snprintf(path, sizeof path, "%s/tests/golden/ctc.json", getenv("top_srcdir") ? getenv("top_srcdir") : ".");
    struct val *all = json_read_file(path, 1 << 20, &e);
    tap_ok(all && val_len(all) == 10, "the numbers are there %s", e.text);
    for (size_t i = 0; i < val_len(all); i++) golden(val_at(all, i), (int64_t)i);
    val_free(all);
    examples();
    all_paths();
    narrow();
    wide();
    distances();
    return tap_done();
}
