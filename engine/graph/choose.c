/* Choosing the route of products: the shapes of a graph, timing them, remembering by machine. */
#include "config.h"

#include "engine/graph/choose.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/cpu/dnnl.h"
#include "engine/cpu/gemm.h"
#include "engine/graph/derive.h"
#include "engine/graph/op.h"
#include "engine/graph/plan.h"
#include "engine/graph/remember.h"
#include "src/base/log.h"
#include "src/base/mem.h"
#include "src/base/thread.h"
#include "src/call/settings.h"

#define LEAST_FLOP 1e6 /* smaller products go by shape */
#define PAYS 0.95 /* of the time of the usual route, or it stays */
#define HOPELESS 1.2 /* of the best so far after the first round: no further rounds */
#define ROUNDS 3
#define BUDGET 0.3 /* seconds */
#define TIMED_ROWS 512 /* of a timed product: rates hardly change beyond */
#define NEAR 2 /* powers of two between the rows of a product and those of a choice for it */

static bool enabled;

static const char *const product_names[] = {"linear", "linear_dx", "linear_dw"};

static int log2_up(int64_t v) {
    int b = 0;
    while (b < 62 && (int64_t)1 << b < v) b++;
    return b;
}
static double flop_of(int64_t rows, int64_t out, int64_t in) { return 2 * (double)rows * (double)out * (double)in; }

static bool same_shape(const struct choice *a, const struct choice *b) {
    return a->what == b->what && a->rows == b->rows && a->out == b->out && a->in == b->in;
}
static const struct choice *find(const struct choice *list, int n, const struct choice *want) {
    for (int i = 0; i < n; i++)
        if (same_shape(&list[i], want)) return &list[i];
    return NULL;
}

const struct route *choose_route(const struct products *p, enum product_op what, int64_t rows, int64_t out, int64_t in) {
    if (!p || p->n == 0 || flop_of(rows, out, in) < LEAST_FLOP) return NULL;
    int best = NEAR + 1, route = 0, bits = log2_up(rows);
    for (int i = 0; i < p->n; i++) {
        const struct choice *c = &p->c[i];
        if (c->what != what || c->out != out || c->in != in) continue;
        int d = log2_up(c->rows) - bits;
        if (abs(d) < best) best = abs(d), route = c->route;
    }
    return best <= NEAR ? &routes[route] : NULL;
}

/* ---- remembering ---- */
static struct { /* what this process knows of its machine */
    char *identity;
    struct choice c[4 * CHOICES_MAX];
    int n;
} known;

void choose_forget(void) {
    free(known.identity);
    known.identity = NULL;
    known.n = 0;
}

static struct val *list_val(const struct choice *c, int n) {
    struct val *l = val_list();
    for (int i = 0; i < n; i++) {
        struct val *v = val_table();
        val_set_str(v, "product", product_names[c[i].what]);
        val_set_int(v, "rows", c[i].rows);
        val_set_int(v, "out", c[i].out);
        val_set_int(v, "in", c[i].in);
        val_set_str(v, "route", routes[c[i].route].name);
        val_push(l, v);
    }
    return l;
}
/* One entry of such a list; a route of no known name is -1. */
static int entry(const struct val *v, struct choice *c, struct err *e) {
    const char *what = val_get_str(v, "product", ""), *route = val_get_str(v, "route", "");
    int w = 0;
    *c = (struct choice){0, val_get_int(v, "rows", 0), val_get_int(v, "out", 0), val_get_int(v, "in", 0), -1};
    while (w < (int)LEN(product_names) && strcmp(product_names[w], what) != 0) w++;
    bool ok = w < (int)LEN(product_names) && c->rows > 0 && c->rows <= (int64_t)1 << 40 && c->out > 0 && c->in > 0;
    if (!ok) return err_set(e, "the choice of a product is not sound: \"%s\" of %" PRId64 " x %" PRId64 " x %" PRId64, what, c->rows, c->out, c->in);
    c->what = (enum product_op)w;
    for (int i = 0; routes[i].name; i++)
        if (strcmp(routes[i].name, route) == 0) c->route = i;
    return 0;
}

/* The file's choices become known; a file with a choice that is not sound counts for nothing. */
static void load(const char *folder) {
    struct err e = {0};
    struct val *list = remember_load(folder, "products", known.identity);
    bool ok = true;
    int n = 0;
    for (size_t i = 0; ok && i < val_len(list) && n < (int)LEN(known.c); i++) {
        ok = entry(val_at(list, i), &known.c[n], &e) == 0 && known.c[n].route >= 0;
        if (ok && !find(known.c, n, &known.c[n])) n++;
    }
    known.n = ok ? n : 0;
    val_free(list);
}
/* What is known is of this machine as it is now (a test may change the instruction set). */
static void recall(const char *folder) {
    struct buf b = BUF_INIT;
    remember_identity(&b);
    if (!known.identity || strcmp(known.identity, b.data) != 0) {
        choose_forget();
        known.identity = mem_str(b.data);
        if (folder) load(folder);
    }
    buf_release(&b);
}

/* ---- timing a product in a graph of its own ---- */
struct bed {
    struct graph *g;
    struct plan *p;
    struct extents x;
    struct products force;
    struct choice shape;
    int64_t rows;
};
static void bed_release(struct bed *b) {
    plan_free(b->p);
    if (b->g) graph_free(b->g);
    b->p = NULL, b->g = NULL;
}
static int bed_open(struct bed *b, const struct choice *c, int64_t rows) {
    struct err e = {0};
    bool y = c->what == PRODUCT_Y, dw = c->what == PRODUCT_DW;
    struct dim left[2] = {{1, AXIS_R}, {y ? c->in : c->out, AXIS_ONE}}, right[2] = {{dw ? 1 : c->out, dw ? AXIS_R : AXIS_ONE}, {c->in, AXIS_ONE}};
    bed_release(b);
    b->shape = *c, b->rows = rows, b->x = (struct extents){{1, rows, rows + 1}};
    b->g = graph_new(DT_F32, false, 1);
    tid in[2] = {graph_input(b->g, "a", DT_F32, left, 2, -1), graph_input(b->g, "b", DT_F32, right, 2, -1)};
    tid out = graph_add2(b->g, product_names[c->what], in[0], in[1], &e);
    b->g->products = &b->force;
    struct plan_options o = {.keep = &out, .n_keep = 1};
    if (out < 0 || !(b->p = plan_new(b->g, &b->x, &o, &e)) || plan_alloc(b->p, &e) < 0) return -1;
    for (int j = 0; j < 2; j++) {
        float *v = plan_data(b->p, in[j]);
        int64_t n = tensor_len(graph_tensor(b->g, in[j]), &b->x);
        for (int64_t i = 0; i < n; i++) v[i] = (float)(i % 17 - 8) / 64;
    }
    return plan_run(b->p, &b->x, PHASE_FORWARD, PHASE_FORWARD, &e); /* memory is touched, kernels are made */
}
static double bed_time(void *ctx, const struct choice *c, int64_t rows, int route, double *spent) {
    struct bed *b = ctx;
    struct err e = {0};
    double from = clock_now(), t = 0;
    b->force = (struct products){.pinned = true, .n = 1};
    b->force.c[0] = *c;
    b->force.c[0].rows = (int64_t)1 << log2_up(rows), b->force.c[0].route = route;
    bool ok = (b->p && b->rows == rows && same_shape(&b->shape, c)) || bed_open(b, c, rows) == 0;
    if (ok) {
        t = clock_now();
        ok = plan_run(b->p, &b->x, PHASE_FORWARD, PHASE_FORWARD, &e) == 0;
        t = clock_now() - t;
    }
    *spent += clock_now() - from;
    return ok ? t : -1;
}

/* ---- choosing ---- */
static double median(double *t, int n) {
    for (int i = 1; i < n; i++)
        for (int j = i; j > 0 && t[j] < t[j - 1]; j--) {
            double x = t[j];
            t[j] = t[j - 1], t[j - 1] = x;
        }
    return n ? t[n / 2] : INFINITY;
}
static bool there(int route) { return !routes[route].there || routes[route].there(); }

/* 0: c->route is what was measured; -1: the budget is spent or it cannot be told. */
static int measure(struct choice *c, int64_t rows, const struct choosing *how, double *left) {
    double t[ROUTES][ROUNDS], spent = 0, least = INFINITY;
    bool on[ROUTES];
    for (int i = 0; i < ROUTES; i++) on[i] = there(i);
    for (int i = 0; i < ROUTES; i++)
        if (on[i] && how->time(how->ctx, c, rows, i, &spent) < 0) return -1; /* the first run of each does not count */
    for (int r = 0; r < ROUNDS; r++) {
        for (int i = 0; i < ROUTES; i++)
            if (on[i] && (t[i][r] = how->time(how->ctx, c, rows, i, &spent)) < 0) return -1;
        if (r == 0)
            for (int i = 0; i < ROUTES; i++) least = on[i] ? fmin(least, t[i][0]) : least;
        for (int i = 1; r == 0 && i < ROUTES; i++) on[i] = on[i] && t[i][0] <= HOPELESS * least;
        if (spent > *left) break;
    }
    *left -= spent;
    if (*left < 0) return -1;
    double m[ROUTES];
    for (int i = 0; i < ROUTES; i++) m[i] = on[i] ? median(t[i], ROUNDS) : INFINITY;
    c->route = 0;
    for (int i = 1; i < ROUTES; i++)
        if (m[i] < PAYS * m[0] && m[i] < m[c->route]) c->route = i;
    return 0;
}

struct need { /* a shape of the graph */
    struct choice c;
    int64_t rows; /* of the largest product */
    double flop; /* of all products of this shape */
};
static int by_flop(const void *a, const void *b) {
    const struct need *x = a, *y = b;
    if (x->flop != y->flop) return x->flop < y->flop ? 1 : -1;
    return x->c.what != y->c.what ? (int)x->c.what - (int)y->c.what : x->c.out != y->c.out ? (x->c.out < y->c.out ? -1 : 1) : x->c.in < y->c.in ? -1 : 1;
}
static int collect(const struct graph *g, const struct extents *max, struct need *out, int most) {
    struct extents x = *max;
    int n = 0;
    x.n[AXIS_ONE] = 1, x.n[AXIS_R1] = max->n[AXIS_R] + 1;
    derive_extents(g, &x, true);
    for (int i = 0; i < g->n_node && g->real == DT_F32; i++) {
        const struct node *d = &g->node[i];
        int w = 0, j = 0;
        while (w < (int)LEN(product_names) && strcmp(product_names[w], d->op->kind.name) != 0) w++;
        if (w == (int)LEN(product_names) || d->half != DT_F32) continue;
        const struct tensor *a = graph_tensor(g, d->in[0]), *b = graph_tensor(g, w == PRODUCT_DW ? d->out[0] : d->in[1]);
        int64_t wide = a->dim[a->ndim - 1].k, rows = wide > 0 ? tensor_len(a, &x) / wide : 0;
        struct need q = {{(enum product_op)w, (int64_t)1 << log2_up(rows), b->dim[0].k, b->dim[1].k, 0}, rows, 0};
        q.flop = flop_of(rows, q.c.out, q.c.in);
        if (q.flop < LEAST_FLOP || rows > (int64_t)1 << 40) continue;
        while (j < n && !same_shape(&out[j].c, &q.c)) j++;
        if (j == most) continue;
        if (j == n) out[n++] = q;
        else out[j].flop += q.flop, out[j].rows = out[j].rows > rows ? out[j].rows : rows;
    }
    qsort(out, (size_t)n, sizeof *out, by_flop);
    return n;
}

int choose_with(struct products *p, const struct graph *g, const struct extents *max, const struct choosing *given) {
    struct need *need = X_NEW(struct need, CHOICES_MAX);
    struct bed *bed = X_NEW(struct bed, 1);
    struct choosing how = *given;
    int n = collect(g, max, need, CHOICES_MAX), measured = 0;
    double left = how.budget;
    bool fresh = false;
    if (!how.time) how.time = bed_time, how.ctx = bed;
    if (n) recall(how.folder);
    for (int i = 0; i < n && p->n < CHOICES_MAX; i++) {
        struct choice *c = &need[i].c;
        const struct choice *was = find(known.c, known.n, c);
        if (find(p->c, p->n, c)) continue;
        if (was && there(was->route)) c->route = was->route;
        else { /* what the budget has no time for goes by shape from now on too: another run must not choose otherwise */
            if (left > 0 && measure(c, need[i].rows < TIMED_ROWS ? need[i].rows : TIMED_ROWS, &how, &left) == 0) measured++;
            else c->route = 0;
            if (known.n < (int)LEN(known.c)) known.c[known.n++] = *c, fresh = true;
        }
        p->c[p->n++] = *c;
    }
    if (fresh && how.folder) remember_save(how.folder, "products", known.identity, list_val(known.c, known.n));
    bed_release(bed);
    free(bed);
    free(need);
    return measured;
}

void choose_enable(bool on) { enabled = on; }
bool choose_enabled(void) { return enabled; }

bool choose_measures(void) {
    const char *env = getenv("HONE_PRODUCTS");
    struct settings s;
    if (!enabled || (env && strcmp(env, "shape") == 0)) return false;
    settings_get(&s);
    bool same = s.deterministic;
    args_release(&settings_kind, &s);
    return !same;
}

int choose_products(struct products *p, const struct graph *g, const struct extents *max) {
    if (p->pinned || !choose_measures()) return 0;
    char *folder = remember_folder();
    int n = choose_with(p, g, max, &(struct choosing){.folder = folder, .budget = BUDGET});
    free(folder);
    return n;
}

/* ---- with the run ---- */
struct val *choose_val(const struct products *p) {
    return list_val(p->c, p->n);
}

int choose_from(struct products *p, const struct val *v, struct err *e) {
    bool said = false;
    p->pinned = true, p->n = 0;
    if (val_len(v) > CHOICES_MAX) return err_set(e, "it has %zu choices of products, more than %d", val_len(v), CHOICES_MAX);
    for (size_t i = 0; i < val_len(v); i++) {
        struct choice *c = &p->c[p->n];
        if (entry(val_at(v, i), c, e) < 0) return -1;
        if (c->route >= 0 && there(c->route)) p->n++;
        else if (!said) {
            log_write(
                LOG_WARN, "products were computed by \"%s\", which is not on this machine: the last bits may differ", val_get_str(val_at(v, i), "route", "?"));
            said = true;
        }
    }
    return 0;
}

void choose_say(struct buf *b) {
    char *folder = remember_folder();
    int count[ROUTES] = {0};
    recall(folder);
    for (int i = 0; i < known.n; i++) count[known.c[i].route]++;
    buf_addf(b, "%d measured products remembered", known.n);
    for (int i = 0; known.n && i < ROUTES; i++) buf_addf(b, "%s %d %s", i ? "," : ":", count[i], routes[i].name);
    if (folder) {
        char *path = remember_path(folder, "products", known.identity);
        buf_addf(b, " (%s)", path);
        free(path);
    }
    free(folder);
}

static bool blas_there(void) { return gemm_info()->library[0] != '\0'; }
static bool dnnl_there(void) { return dnnl_info()->library[0] != '\0'; }

const struct route routes[] = {{"own", "kernels of this program where the shape suits them, else the BLAS", NULL, NULL},
    {"blas", "the BLAS on tiles", gemm_f32, blas_there}, {"onednn", "oneDNN on tiles", dnnl_f32, dnnl_there}, {0}};
_Static_assert(LEN(routes) == ROUTES + 1, "a row for each route");
