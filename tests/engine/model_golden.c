/* Three small models against numbers of another tool (tests/golden/make_golden.py): loss, every gradient, 10 steps of plain descent. Reference kernels in double to 1e-9,
 * fp32 kernels to 1e-5, each with and without fusion. */
#include <stdlib.h>

#include "engine/graph/op.h"
#include "engine/model/model.h"
#include "src/base/json.h"
#include "src/base/mem.h"
#include "tests/tap.h"

enum { ROWS = 4, TOKENS = 15, STEPS = 10 };
static const int lens[ROWS] = {5, 0, 3, 7};

static double val(int64_t k, int64_t i) { return (double)((i * 37 + k * 101 + i * i % 97) % 199) / 199.0 - 0.5; }
struct trial { struct graph *g; struct plan *p; struct model *m; struct model_io *io; bool wide; char *weights; tid loss, dl, grad[16]; struct extents x; };
static void put(const struct trial *t, void *at, int64_t i, double v) {
    if (t->wide) ((double *)at)[i] = v;
    else ((float *)at)[i] = (float)v;
}
static double get(const struct trial *t, const void *at, int64_t i) { return t->wide ? ((const double *)at)[i] : (double)((const float *)at)[i]; }
static char *weight(const struct trial *t, int k) { return t->weights + t->m->param[k].offset * (t->wide ? 2 : 1); }

static void fill(struct trial *t) {
    for (int k = 0; k < t->m->n_param; k++)
        for (int64_t i = 0; i < t->m->param[k].len; i++) put(t, weight(t, k), i, val(k, i));
    if (t->io->in[0].offsets < 0) {
        for (int i = 0; i < ROWS * 6; i++) put(t, plan_data(t->p, t->io->in[0].data), i, 2 * val(50, i));
        return;
    }
    int32_t *off = plan_data(t->p, t->io->in[0].offsets), *ids = plan_data(t->p, t->io->in[0].data);
    off[0] = 0;
    for (int i = 0; i < ROWS; i++) off[i + 1] = off[i] + lens[i];
    for (int i = 0; i < TOKENS; i++) ids[i] = (i * 11 + i * i) % 12;
}

static int open_trial(struct trial *t, const struct val *c, bool fuse, struct err *e) {
    struct val *d = model_describe(val_get(c, "model"), NULL, e);
    struct dim row = {1, AXIS_R};
    if (!d || !(t->m = model_new(d, 1, e))) return -1;
    t->g = graph_new(t->wide ? DT_F64 : DT_F32, true, 1);
    if (model_build(t->m, t->g, t->io, e) < 0) return -1;
    tid label = graph_input(t->g, "y", DT_I32, &row, 1, -1), in[] = {t->io->out, label}, out[2];
    t->dl = graph_scalar(t->g, "dl");
    struct val *a = val_table();
    val_set_num(a, "label_smoothing", val_get_num(c, "smooth", 0));
    t->loss = graph_add(t->g, "softmax_ce", a, in, 2, out, e);
    val_free(a);
    if (t->loss < 0 || (fuse && fuse_forward(t->g, e) < 0) || grad_build(t->g, t->loss, t->dl, t->io->param, t->m->n_param, t->grad, e) < 0) return -1;
    tid keep[64] = {t->loss};
    int n = 1;
    for (int k = 0; k < t->m->n_param; k++) {
        keep[n++] = t->grad[k];
        if (grad_rows(t->g, t->grad[k], keep + n)) n += 3;
    }
    t->weights = mem_try(t->m->bytes * 2, 1, "weights", e);
    struct plan_options o = {.reference = t->wide, .keep = keep, .n_keep = n, .param = t->weights};
    t->x = (struct extents){.n = {1, ROWS, ROWS + 1, TOKENS}};
    if (!(t->p = plan_new(t->g, &t->x, &o, e)) || plan_alloc(t->p, e) < 0) return -1;
    for (int i = 0; i < ROWS; i++) ((int32_t *)plan_data(t->p, label))[i] = (i * 5 + 1) % 3;
    plan_scalar(t->p, t->dl, 1.0 / ROWS);
    fill(t);
    return 0;
}

/* Gradient of parameter k, element i, dense or row-sparse. */
static double gradient(const struct trial *t, int k, int64_t i) {
    tid r[3];
    if (!grad_rows(t->g, t->grad[k], r)) return get(t, plan_data(t->p, t->grad[k]), i);
    int64_t d = t->m->param[k].dim[1], s = ((int32_t *)plan_data(t->p, r[2]))[i / d];
    return s < 0 ? 0 : get(t, plan_data(t->p, t->grad[k]), s * d + i % d);
}

static void run(const struct val *c, bool wide, bool fuse) {
    struct err e = {0};
    struct trial t = {.wide = wide, .io = X_NEW(struct model_io, 1)};
    double off = 0, goff = 0;
    const struct val *losses = val_get(c, "losses"), *grads = val_get(c, "grads");
    int rc = open_trial(&t, c, fuse, &e);
    for (int s = 0; rc == 0 && s <= STEPS; s++) {
        double want = 0;
        rc = plan_run(t.p, &t.x, PHASE_FORWARD, PHASE_BACKWARD, &e);
        val_as_num(val_at(losses, (size_t)s), &want);
        off = fmax(off, fabs(get(&t, plan_data(t.p, t.loss), 0) / ROWS - want));
        for (int k = 0; k < t.m->n_param; k++)
            for (int64_t i = 0; i < t.m->param[k].len; i++) {
                double g = gradient(&t, k, i);
                if (s == 0 && val_as_num(val_at(val_at(grads, (size_t)k), (size_t)i), &want)) goff = fmax(goff, fabs(g - want));
                else if (s == 0) goff = 1;
                put(&t, weight(&t, k), i, get(&t, weight(&t, k), i) - 0.1 * g);
            }
    }
    double tol = wide ? 1e-9 : 1e-5;
    tap_ok(rc == 0 && off <= tol && goff <= tol, "%s, %s%s: losses of 11 steps within %.1e, gradients within %.1e %s", val_get_str(c, "name", "?"), wide ? "double" : "fp32", fuse ? ", fused" : "", off, goff, e.text);
    plan_free(t.p);
    graph_free(t.g);
    model_free(t.m);
    free(t.weights);
    free(t.io);
}

int main(void) {
    struct err e = {0};
    char path[4096];
    snprintf(path, sizeof path, "%s/tests/golden/models.json", getenv("top_srcdir") ? getenv("top_srcdir") : ".");
    struct val *all = json_read_file(path, 1 << 20, &e);
    if (ops_select("auto", &e) < 0 || !tap_ok(all && val_len(all) == 3, "the numbers are there %s", e.text)) return tap_done();
    for (size_t i = 0; i < val_len(all); i++)
        for (int k = 0; k < 4; k++) run(val_at(all, i), k & 1, k & 2);
    val_free(all);
    return tap_done();
}
