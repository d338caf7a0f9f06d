/* Small models against numbers of PyTorch (tests/golden/make_golden.py): loss, every gradient, plain descent. Reference kernels in double to 1e-9 of the
 * loss over 100 steps; fp32 kernels: the first loss to 1e-6, gradients and 10 steps to 1e-5, 100 steps to 3 times the distance of PyTorch's own float32. Each
 * with and without fusion. HONE_GOLDEN=NAME runs one model; the residual net does 100 steps in double, which take half a minute, with HONE_LONG=1 only and 10
 * otherwise. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/graph/op.h"
#include "engine/model/model.h"
#include "engine/train/loss.h"
#include "src/base/json.h"
#include "src/base/mem.h"
#include "tests/tap.h"

enum { ROWS = 4, TOKENS = 15, STEPS = 100, SHORT = 10, PARAMS = 128, CLASSES = 3 };
static const int lens[ROWS] = {5, 0, 3, 7};

static double val(int64_t k, int64_t i) { return (double)((i * 37 + k * 101 + i * i % 97) % 199) / 199.0 - 0.5; }
struct trial {
    struct graph *g;
    struct plan *p;
    struct model *m;
    struct model_io *io;
    bool wide;
    char *weights;
    tid loss, dl, grad[PARAMS];
    struct extents x;
};
static void put(const struct trial *t, void *at, int64_t i, double v) {
    if (t->wide) ((double *)at)[i] = v;
    else ((float *)at)[i] = (float)v;
}
static double get(const struct trial *t, const void *at, int64_t i) { return t->wide ? ((const double *)at)[i] : (double)((const float *)at)[i]; }
static char *weight(const struct trial *t, int k) { return t->weights + t->m->param[k].offset * (t->wide ? 2 : 1); }

static void fill(struct trial *t) {
    for (int k = 0, n = 0; k < t->m->n_param; k++) /* running statistics have no number and are not read in training */
        for (int64_t i = 0, own = t->m->param[k].trainable ? n++ : -1; own >= 0 && i < t->m->param[k].len; i++) put(t, weight(t, k), i, val(own, i));
    if (t->io->in[0].offsets < 0) {
        int64_t n = tensor_len(graph_tensor(t->g, t->io->in[0].data), &t->x);
        for (int64_t i = 0; i < n; i++) put(t, plan_data(t->p, t->io->in[0].data), i, 2 * val(50, i));
        return;
    }
    int32_t *off = plan_data(t->p, t->io->in[0].offsets), *ids = plan_data(t->p, t->io->in[0].data);
    off[0] = 0;
    for (int i = 0; i < ROWS; i++) off[i + 1] = off[i] + lens[i];
    for (int i = 0; i < TOKENS; i++) ids[i] = (i * 11 + i * i) % 12;
}

static int open_trial(struct trial *t, const struct val *c, bool fuse, struct err *e) {
    struct val *d = model_describe(val_get(c, "model"), NULL, e);
    struct loss_spec loss;
    if (!d || !(t->m = model_new(d, 1, e))) return -1;
    t->g = graph_new(t->wide ? DT_F64 : DT_F32, true, 1);
    if (model_build(t->m, t->g, t->io, e) < 0) return -1;
    const struct val *spec = val_get(c, "loss");
    const char *name = val_get_str(spec, "loss", "");
    if (loss_init(&loss, spec, strcmp(name, "cross_entropy") == 0, e) < 0) return -1;
    tid target = -1, share, weight;
    bool labels = loss.row->labels, probs = strcmp(name, "kl") == 0 || strcmp(name, "bce") == 0;
    int rc = loss_build(&loss, t->g, t->io->out, &target, &share, &t->loss, &weight, e);
    loss_release(&loss);
    if (rc < 0) return -1;
    t->dl = graph_scalar(t->g, "dl");
    if (t->loss < 0 || (fuse && fuse_forward(t->g, e) < 0) || grad_build(t->g, t->loss, t->dl, t->io->param, t->m->n_param, t->grad, e) < 0) return -1;
    tid keep[2 * PARAMS] = {t->loss};
    int n = 1;
    for (int k = 0; k < t->m->n_param; k++) {
        keep[n++] = t->grad[k];
        if (t->grad[k] >= 0 && grad_rows(t->g, t->grad[k], keep + n)) n += 3;
    }
    t->weights = mem_try(t->m->bytes * 2, 1, "weights", e);
    struct plan_options o = {.reference = t->wide, .keep = keep, .n_keep = n, .param = t->weights};
    t->x = (struct extents){.n = {1, ROWS, ROWS + 1, TOKENS}};
    if (!(t->p = plan_new(t->g, &t->x, &o, e)) || plan_alloc(t->p, e) < 0) return -1;
    for (int i = 0; labels && i < ROWS; i++) ((int32_t *)plan_data(t->p, target))[i] = (i * 5 + 1) % 3;
    double number;
    for (int i = 0; share >= 0 && i < CLASSES; i++)
        if (val_as_num(val_at(val_get(spec, "class_weights"), (size_t)i), &number)) put(t, plan_data(t->p, share), i, number);
    for (int i = 0; !labels && i < ROWS; i++) {
        double sum = 0;
        for (int j = 0; j < CLASSES; j++) sum += val(60, i * CLASSES + j) + 0.6;
        for (int j = 0; j < CLASSES; j++)
            put(t, plan_data(t->p, target), i * CLASSES + j, probs ? (val(60, i * CLASSES + j) + 0.6) / sum : val(60, i * CLASSES + j));
    }
    plan_scalar(t->p, t->dl, 1.0 / ROWS);
    fill(t);
    return 0;
}

/* Gradient of parameter k, element i, dense or row-sparse. */
static double gradient(const struct trial *t, int k, int64_t i) {
    tid r[3];
    if (t->grad[k] < 0) return 0;
    if (!grad_rows(t->g, t->grad[k], r)) return get(t, plan_data(t->p, t->grad[k]), i);
    int64_t d = t->m->param[k].dim[1], s = ((int32_t *)plan_data(t->p, r[2]))[i / d];
    return s < 0 ? 0 : get(t, plan_data(t->p, t->grad[k]), s * d + i % d);
}

/* How far the gradients of all parameters are from PyTorch's: element by element, or norm and weighted sum relative to the norm. */
static double gradients(const struct trial *t, const struct val *c) {
    const struct val *grads = val_get(c, "grads"), *sums = val_get(c, "sums");
    double worst = 0, want = 0;
    size_t k = 0;
    for (int p = 0; p < t->m->n_param; p++) {
        double norm = 0, dot = 0, a = 0, b = 0;
        if (!t->m->param[p].trainable) continue;
        for (int64_t i = 0; i < t->m->param[p].len; i++) {
            double g = gradient(t, p, i);
            norm += g * g;
            dot += g * cos((double)i);
            if (grads) worst = fmax(worst, val_as_num(val_at(val_at(grads, k), (size_t)i), &want) ? fabs(g - want) : INFINITY);
        }
        if (sums && val_as_num(val_at(val_at(sums, k), 0), &a) && val_as_num(val_at(val_at(sums, k), 1), &b))
            worst = fmax(worst, fmax(fabs(sqrt(norm) - a), fabs(dot - b)) / (a > 1e-3 ? a : 1));
        else if (sums || !grads) worst = INFINITY;
        k++;
    }
    return worst;
}

static void step(const struct trial *t, double lr) {
    for (int k = 0; k < t->m->n_param; k++)
        for (int64_t i = 0; i < t->m->param[k].len && t->m->param[k].trainable; i++) put(t, weight(t, k), i, get(t, weight(t, k), i) - lr * gradient(t, k, i));
}

static void run(const struct val *c, bool wide, bool fuse) {
    struct err e = {0};
    struct trial t = {.wide = wide, .io = X_NEW(struct model_io, 1)};
    double off = 0, first = 0, early = 0, goff = 0, gap = val_get_num(c, "gap", 0);
    int rc = open_trial(&t, c, fuse, &e), steps = wide && t.m && t.m->n_param > 64 && !getenv("HONE_LONG") ? SHORT : STEPS;
    for (int s = 0; rc == 0 && s <= steps; s++) {
        double want = 0;
        rc = plan_run(t.p, &t.x, PHASE_FORWARD, PHASE_BACKWARD, &e);
        if (!val_as_num(val_at(val_get(c, "losses"), (size_t)s), &want)) rc = err_set(&e, "loss %d is missing", s);
        off = fmax(off, fabs(get(&t, plan_data(t.p, t.loss), 0) / ROWS - want));
        if (s == 0) first = off, goff = gradients(&t, c);
        if (s == SHORT) early = off;
        step(&t, val_get_num(c, "lr", 0));
    }
    bool ok = rc == 0 && (wide ? off <= 1e-9 && goff <= 1e-9 : first <= 1e-6 && goff <= 1e-5 && early <= 1e-5 && off <= fmax(3 * gap, 1e-6));
    tap_ok(ok, "%s, %s%s: loss at step 0 within %.1e, gradients %.1e, 10 steps %.1e, %d steps %.1e (PyTorch's own fp32: %.1e) %s", val_get_str(c, "name", "?"),
        wide ? "double" : "fp32", fuse ? ", fused" : "", first, goff, early, steps, off, gap, e.text);
    plan_free(t.p);
    graph_free(t.g);
    model_free(t.m);
    free(t.weights);
    free(t.io);
}

int main(void) {
    struct err e = {0};
    char path[4096];
    const char *only = getenv("HONE_GOLDEN");
    snprintf(path, sizeof path, "%s/tests/golden/models.json", getenv("top_srcdir") ? getenv("top_srcdir") : ".");
    struct val *all = json_read_file(path, 1 << 20, &e);
    if (ops_select("auto", &e) < 0 || !tap_ok(all && val_len(all) == 22, "the numbers are there %s", e.text)) return tap_done();
    for (size_t i = 0; i < val_len(all); i++)
        for (int k = 0; k < 4; k++)
            if (!only || strcmp(only, val_get_str(val_at(all, i), "name", "")) == 0) run(val_at(all, i), k & 1, k & 2);
    val_free(all);
    return tap_done();
}
