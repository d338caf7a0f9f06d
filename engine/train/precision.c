/* Choosing the precision, by the time of a product. */
#include "config.h"

#include "engine/train/precision.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/cpu/pool.h"
#include "engine/graph/op.h"
#include "engine/graph/plan.h"
#include "src/base/mem.h"
#include "src/base/thread.h"

#define PAYS 0.95 /* of the time of fp32, or it is not worth the rounding */
#define LEAST 32 /* as engine/ops/linear_half.c: smaller products stay exact */
#define ROWS_MAX 1024 /* of a timed product: rates do not change beyond */
#define WORK 3e8 /* multiply-adds of a timed product, about */
#define ROUNDS 7
#define SCALE_EVERY 2000

struct timed { /* one product in a graph of its own */
    struct graph *g;
    struct plan *p;
    struct extents x;
};

static void timed_release(struct timed *t) {
    plan_free(t->p);
    if (t->g) graph_free(t->g);
}
static int timed_init(struct timed *t, enum dtype half, int64_t m, int64_t n, int64_t k, struct pool *pool, struct err *e) {
    struct dim xd[2] = {{1, AXIS_R}, {k, AXIS_ONE}}, wd[2] = {{n, AXIS_ONE}, {k, AXIS_ONE}};
    *t = (struct timed){.g = graph_new(DT_F32, false, 1), .x = {{1, m, m + 1}}};
    t->g->half = half;
    tid x = graph_input(t->g, "x", DT_F32, xd, 2, -1), w = graph_input(t->g, "w", DT_F32, wd, 2, -1), y = graph_add2(t->g, "linear", x, w, e);
    struct plan_options o = {.pool = pool, .keep = &y, .n_keep = 1};
    if (y < 0 || !(t->p = plan_new(t->g, &t->x, &o, e)) || plan_alloc(t->p, e) < 0) return -1;
    float *a = plan_data(t->p, x), *b = plan_data(t->p, w);
    for (int64_t i = 0; i < m * k; i++) a[i] = (float)(i % 17 - 8) / 8;
    for (int64_t i = 0; i < n * k; i++) b[i] = (float)(i % 13 - 6) / 64;
    return 0;
}
static int timed_run(struct timed *t, double *ms, struct err *e) {
    double from = clock_now();
    if (plan_run(t->p, &t->x, PHASE_FORWARD, PHASE_FORWARD, e) < 0) return -1;
    *ms = fmin(*ms, (clock_now() - from) * 1e3);
    return 0;
}

/* Measured before in this process. */
static struct known {
    const char *isa;
    int threads;
    struct precision p;
} known[32];
static int n_known;

static const struct known *recall(int64_t m, int64_t n, int64_t k, int threads) {
    for (int i = 0; i < n_known; i++)
        if (known[i].p.m == m && known[i].p.n == n && known[i].p.k == k && known[i].threads == threads && strcmp(known[i].isa, ops_isa()) == 0)
            return &known[i];
    return NULL;
}

int precision_measure(struct precision *p, int64_t m, int64_t n, int64_t k, struct pool *pool, struct err *e) {
    int64_t most = (int64_t)(WORK / ((double)n * (double)k)) + 64;
    m = m < 1 ? 1 : m > ROWS_MAX ? ROWS_MAX : m;
    if (m > most) m = most;
    const struct known *was = recall(m, n, k, pool_threads(pool));
    struct timed f = {0}, h = {0};
    *p = was ? was->p : (struct precision){DT_F32, m, n, k, INFINITY, INFINITY};
    if (was) return 0;
    int rc = timed_init(&f, DT_F32, m, n, k, pool, e) < 0 || timed_init(&h, DT_BF16, m, n, k, pool, e) < 0 ? -1 : 0;
    for (int i = 0; rc == 0 && i < ROUNDS; i++) rc = timed_run(&f, &p->ms_fp32, e) < 0 || timed_run(&h, &p->ms_bf16, e) < 0 ? -1 : 0;
    timed_release(&f);
    timed_release(&h);
    if (rc == 0 && n_known < (int)LEN(known)) known[n_known++] = (struct known){ops_isa(), pool_threads(pool), *p};
    return rc;
}

/* The weight of the model with most values that products take rounded; NULL: none. */
static const struct param *largest(const struct model *m) {
    const struct param *best = NULL;
    for (int i = 0; i < m->n_param; i++) {
        const struct param *p = &m->param[i];
        bool fits = p->ndim == 2 && !p->table && p->dtype == DT_F32 && p->dim[0] >= LEAST && p->dim[1] >= LEAST;
        if (fits && (!best || p->len > best->len)) best = p;
    }
    return best;
}

int precision_choose(struct precision *p, int asked, bool force, const struct model *m, int64_t rows, struct pool *pool, struct err *e) {
    const struct param *w = largest(m);
    *p = (struct precision){.half = asked == PRECISION_FP16 ? DT_F16 : DT_F32};
    if (asked == PRECISION_FP32 || asked == PRECISION_FP16 || (!w && !force)) return 0;
    if (force && asked == PRECISION_BF16) {
        p->half = DT_BF16;
        return 0;
    }
    if (precision_measure(p, rows, w->dim[0], w->dim[1], pool, e) < 0) return -1;
    p->half = p->ms_bf16 < PAYS * p->ms_fp32 ? DT_BF16 : DT_F32;
    return 0;
}

const char *precision_name(const struct precision *p) { return p->half == DT_BF16 ? "bf16" : p->half == DT_F16 ? "fp16" : "fp32"; }

bool precision_say(const struct precision *p, int asked, bool force, struct buf *out) {
    if (force || (asked != PRECISION_BF16 && asked != PRECISION_AUTO)) return false;
    if (!p->m) buf_adds(out, "no product of this model is large enough for bf16 to pay: computing in fp32");
    else
        buf_addf(out, "a product of %" PRId64 " x %" PRId64 " x %" PRId64 " takes %.2f ms in bf16 and %.2f in fp32 on this machine: computing in %s%s", p->m,
            p->n, p->k, p->ms_bf16, p->ms_fp32, precision_name(p),
            asked == PRECISION_BF16 && p->half == DT_F32 ? "; force_precision=true computes in bf16 all the same" : "");
    return true;
}

struct val *precision_val(const struct precision *p) {
    struct val *v = val_table();
    val_set_str(v, "name", precision_name(p));
    if (!p->m) return v;
    val_set_int(v, "m", p->m);
    val_set_int(v, "n", p->n);
    val_set_int(v, "k", p->k);
    val_set_num(v, "ms_fp32", p->ms_fp32);
    val_set_num(v, "ms_bf16", p->ms_bf16);
    return v;
}

int precision_from(struct precision *p, const struct val *v, struct err *e) {
    const char *name = v ? val_get_str(v, "name", "") : "fp32";
    *p = (struct precision){
        DT_F32, val_get_int(v, "m", 0), val_get_int(v, "n", 0), val_get_int(v, "k", 0), val_get_num(v, "ms_fp32", 0), val_get_num(v, "ms_bf16", 0)};
    if (strcmp(name, "bf16") == 0) p->half = DT_BF16;
    else if (strcmp(name, "fp16") == 0) p->half = DT_F16;
    else if (strcmp(name, "fp32") != 0) return err_set(e, "it was computed in \"%s\", which this version does not know", name);
    return 0;
}

void scaler_after(double *scale, int64_t *good, bool applied) {
    *good = applied ? *good + 1 : 0;
    if (!applied) *scale *= 0.5;
    else if (*good >= SCALE_EVERY) *scale *= 2, *good = 0;
}

const char *const precision_names[] = {"fp32", "bf16", "fp16", "auto", NULL};
