/* Mixed precision: products and attention on operands rounded to bf16 or f16 against the definition in double on operands rounded before; the same bits on
 * every instruction set (products) and at 1, 2, 3 and 4 threads; tensors between such ops are kept in 16 bits; the 16-bit conversions against those of the
 * reference. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "engine/cpu/gemm.h"
#include "engine/cpu/pool.h"
#include "engine/graph/op.h"
#include "engine/graph/plan.h"
#include "src/base/rng.h"
#include "tests/tap.h"

static struct pool *pools[5];
static double round_to(enum dtype d, double v) {
    uint16_t h;
    struct view w = {.data = &h, .len = 1, .dtype = d};
    view_put(&w, 0, v);
    return view_get(&w, 0);
}

/* A graph of one chain, in half precision or as the reference in double. */
struct rig {
    struct graph *g;
    struct plan *p;
    struct extents x;
    tid in[8], out[8];
    int n_in, n_out;
};
typedef int (*chain)(struct rig *r, struct err *e);

static tid input(struct rig *r, int64_t a, int64_t b, int axis) {
    struct dim d[2] = {{a, axis}, {b, AXIS_ONE}};
    tid t = graph_input(r->g, "x", r->g->real, d, b ? 2 : 1, -1);
    r->g->tensor[t].needs_grad = true;
    return r->in[r->n_in++] = t;
}
/* y = down(gelu(up(x))) and the gradients of x, up and down; 70 rows, 40 -> 130 -> 36, so that nothing divides. */
static int feed_forward(struct rig *r, struct err *e) {
    struct graph *g = r->g;
    tid x = input(r, 70, 40, AXIS_ONE), u = input(r, 130, 40, AXIS_ONE), ub = input(r, 130, 0, AXIS_ONE), d = input(r, 36, 130, AXIS_ONE),
        dy = input(r, 70, 36, AXIS_ONE);
    tid a = graph_attr(g, "linear", NULL, (tid[]){x, u, ub}, 3, NULL, e), b = a < 0 ? -1 : graph_add1(g, "gelu", a, e),
        y = b < 0 ? -1 : graph_add2(g, "linear", b, d, e), want[] = {x, u, ub, d}, grad[4];
    if (y < 0 || grad_build(g, y, dy, want, 4, grad, e) < 0) return -1;
    r->out[r->n_out++] = y;
    for (int i = 0; i < 4; i++) r->out[r->n_out++] = grad[i];
    return 0;
}
/* Queries, keys and values from a product, attention, a product behind it, with gradients. */
static const char *attn_args;
static int64_t attn_width;
static int attend(struct rig *r, struct err *e) {
    struct graph *g = r->g;
    int64_t n = attn_width;
    struct dim offsets = {1, AXIS_R1};
    tid off = graph_input(g, "offsets", DT_I32, &offsets, 1, -1), x = input(r, 1, 33, AXIS_T0), w = input(r, 3 * n, 33, AXIS_ONE),
        o = input(r, 34, n, AXIS_ONE), dy = input(r, 1, 34, AXIS_T0);
    g->tensor[x].offsets = g->tensor[dy].offsets = off;
    tid qkv = graph_add2(g, "linear", x, w, e), a = qkv < 0 ? -1 : graph_attr(g, "attention", attn_args, (tid[]){qkv, off}, 2, NULL, e),
        y = a < 0 ? -1 : graph_add2(g, "linear", a, o, e), want[] = {x, w, o}, grad[3];
    if (y < 0 || grad_build(g, y, dy, want, 3, grad, e) < 0) return -1;
    r->out[r->n_out++] = y;
    for (int i = 0; i < 3; i++) r->out[r->n_out++] = grad[i];
    return 0;
}

static const int64_t lengths[] = {1, 0, 37, 48, 5, 200, 3};
enum { TEXTS = 7, TOKENS = 294 };

static void rig_free(struct rig *r) {
    plan_free(r->p);
    graph_free(r->g);
}
static int rig_new(struct rig *r, chain c, enum dtype half, struct pool *pool, struct err *e) {
    *r = (struct rig){.x = {{1}}};
    r->x.n[AXIS_R] = TEXTS, r->x.n[AXIS_R1] = TEXTS + 1, r->x.n[AXIS_T0] = TOKENS;
    r->g = graph_new(half == DT_F32 ? DT_F64 : DT_F32, true, 1);
    r->g->half = half;
    if (c(r, e) < 0) return -1;
    half_store(r->g, r->out, r->n_out);
    struct plan_options o = {.pool = pool, .reference = half == DT_F32, .keep = r->out, .n_keep = r->n_out};
    if (!(r->p = plan_new(r->g, &r->x, &o, e)) || plan_alloc(r->p, e) < 0) return -1;
    for (int t = 0; t < r->g->n_tensor; t++)
        if (r->g->tensor[t].dtype == DT_I32 && r->g->tensor[t].role == ROLE_INPUT) {
            int32_t *off = plan_data(r->p, t);
            off[0] = 0;
            for (int i = 0; i < TEXTS; i++) off[i + 1] = off[i] + (int32_t)lengths[i];
        }
    return 0;
}
/* round: the type the inputs are rounded to. */
static int rig_run(struct rig *r, enum dtype to, struct err *e) {
    for (int i = 0; i < r->n_in; i++) {
        struct view v = {.data = plan_data(r->p, r->in[i]), .len = tensor_len(graph_tensor(r->g, r->in[i]), &r->x), .dtype = r->g->real};
        for (int64_t j = 0; j < v.len; j++) view_put(&v, j, round_to(to, rng_unit(7, (uint64_t)i, (uint64_t)j) * 2 - 1));
    }
    return plan_run(r->p, &r->x, PHASE_FORWARD, PHASE_UPDATE, e);
}
static double distance(const struct rig *a, const struct rig *b, int i) {
    int64_t n = tensor_len(graph_tensor(a->g, a->out[i]), &a->x);
    struct view v = {.data = plan_data(a->p, a->out[i]), .dtype = a->g->real}, w = {.data = plan_data(b->p, b->out[i]), .dtype = b->g->real};
    double d = 0, s = 0;
    for (int64_t j = 0; j < n; j++) d += pow(view_get(&v, j) - view_get(&w, j), 2), s += pow(view_get(&w, j), 2);
    return sqrt(d / s);
}
static bool same(const struct rig *a, const struct rig *b) {
    for (int i = 0; i < a->n_out; i++) {
        size_t n = (size_t)tensor_len(graph_tensor(a->g, a->out[i]), &a->x) * 4;
        if (memcmp(plan_data(a->p, a->out[i]), plan_data(b->p, b->out[i]), n) != 0) return false;
    }
    return true;
}
static int kept_short(const struct rig *r) {
    int n = 0;
    for (int t = 0; t < r->g->n_tensor; t++) n += r->g->tensor[t].dtype == r->g->half;
    return n;
}

/* tol: of what is computed from rounded intermediate values; about 2^-9 a value in bf16, 2^-12 in f16. */
static void chain_case(const char *name, chain c, enum dtype half, double tol, int kept) {
    struct err e = {0};
    struct rig ref, first = {0};
    if (rig_new(&ref, c, DT_F32, NULL, &e) < 0 || rig_run(&ref, half, &e) < 0) {
        tap_ok(0, "%s: reference: %s", name, e.text);
        return;
    }
    for (int s = 0; isa_all(s); s++) {
        ops_select(isa_all(s)->name, NULL);
        double worst = 0;
        bool bits = true;
        int n = 0;
        struct rig one = {0};
        for (int t = 1; t <= 4; t++) {
            struct rig r;
            if (rig_new(&r, c, half, pools[t], &e) < 0 || rig_run(&r, half, &e) < 0) {
                tap_ok(0, "%s on %s: %s", name, isa_all(s)->name, e.text);
                return;
            }
            for (int i = 0; i < r.n_out; i++) worst = fmax(worst, distance(&r, &ref, i));
            n = kept_short(&r);
            if (t == 1) one = r;
            else {
                bits = bits && same(&one, &r);
                rig_free(&r);
            }
        }
        tap_ok(worst < tol && n == kept, "%s %s on %s: %.1e from the double reference on rounded inputs (at most %.0e), %d tensors in 16 bits", name,
            dtypes[half].name, isa_all(s)->name, worst, tol, n);
        tap_ok(bits, "%s %s on %s: the same bits at 1, 2, 3 and 4 threads", name, dtypes[half].name, isa_all(s)->name);
        if (s == 0) first = one;
        else rig_free(&one);
    }
    rig_free(&first);
    rig_free(&ref);
}

/* One product, sums longer than a block, odd extents: every instruction set gives the same bits, and the sums are those of the rounded values. */
static int64_t pm, pn, pk;
static int product(struct rig *r, struct err *e) {
    tid x = input(r, pm, pk, AXIS_ONE), w = input(r, pn, pk, AXIS_ONE), b = input(r, pn, 0, AXIS_ONE), dy = input(r, pm, pn, AXIS_ONE), want[] = {x, w},
        grad[2];
    tid y = graph_attr(r->g, "linear", NULL, (tid[]){x, w, b}, 3, NULL, e);
    if (y < 0 || grad_build(r->g, y, dy, want, 2, grad, e) < 0) return -1;
    r->out[r->n_out++] = y, r->out[r->n_out++] = grad[0], r->out[r->n_out++] = grad[1];
    return 0;
}
static void product_case(enum dtype half, int64_t m, int64_t n, int64_t k) {
    struct err e = {0};
    struct rig ref, first = {0};
    double worst = 0;
    bool bits = true;
    pm = m, pn = n, pk = k;
    int rc = rig_new(&ref, product, DT_F32, NULL, &e);
    if (rc == 0) rc = rig_run(&ref, half, &e);
    for (int s = 0; rc == 0 && isa_all(s); s++) {
        struct rig r;
        ops_select(isa_all(s)->name, NULL);
        if ((rc = rig_new(&r, product, half, NULL, &e)) < 0 || (rc = rig_run(&r, half, &e)) < 0) break;
        for (int i = 0; i < r.n_out; i++) worst = fmax(worst, distance(&r, &ref, i));
        if (s == 0) first = r;
        else {
            bits = bits && same(&first, &r);
            rig_free(&r);
        }
    }
    tap_ok(rc == 0 && worst < 1e-6 && bits,
        "product and gradients in %s, %" PRId64 " x %" PRId64 " x %" PRId64 ": %.1e from double, %s bits on every instruction set %s", dtypes[half].name, m, n,
        k, worst, bits ? "the same" : "other", e.text);
    if (first.g) rig_free(&first);
    rig_free(&ref);
}

/* The conversions that kernels are held to: no neighbour is nearer. */
static void bad_rounding(enum dtype half, int64_t *bad) {
    uint32_t u = 12345;
    for (int i = 0; i < 400000; i++) {
        u = u * 1664525u + 1013904223u;
        float f;
        uint32_t bits = i < 65536 ? (uint32_t)i << 16 : u;
        memcpy(&f, &bits, 4);
        if (!isfinite(f) || (half == DT_BF16 && fabsf(f) < 1.2e-38f)) continue;
        double a = round_to(half, f), lo = fabs((double)f - a);
        uint16_t h;
        struct view w = {.data = &h, .len = 1, .dtype = half};
        view_put(&w, 0, f);
        for (int d = -1; d <= 1; d += 2) { /* no neighbour is nearer, a tie goes to the even one */
            uint16_t near = (uint16_t)(h + d);
            struct view q = {.data = &near, .len = 1, .dtype = half};
            double b = view_get(&q, 0), far = fabs((double)f - b);
            if (isfinite(a) && isfinite(b) && (far < lo || (far == lo && (h & 1) && b != a))) ++*bad;
        }
    }
}

int main(void) {
    struct err e = {0};
    struct gemm_info info;
    gemm_open(NULL, &info);
    for (int t = 1; t <= 4; t++) pools[t] = pool_new(t, &e);
    int64_t bad = 0;
    bad_rounding(DT_BF16, &bad);
    bad_rounding(DT_F16, &bad);
    tap_ok(bad == 0, "the reference rounds to the nearest bf16 and f16, ties to even");
    for (int d = 0; d < 2; d++) {
        enum dtype half = d ? DT_F16 : DT_BF16;
        product_case(half, 13, 33, 35);
        product_case(half, 300, 70, 1030);
        product_case(half, 1, 32, 2100);
        chain_case("feed-forward", feed_forward, half, d ? 1e-3 : 8e-3, 4);
        attn_width = 48, attn_args = "heads=3";
        chain_case("attention", attend, half, d ? 2e-3 : 1.5e-2, 4);
        attn_width = 70, attn_args = "heads=2 causal=true";
        chain_case("causal attention", attend, half, d ? 2e-3 : 1.5e-2, 4);
    }
    for (int t = 1; t <= 4; t++) pool_free(pools[t]);
    return tap_done();
}
