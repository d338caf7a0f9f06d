/* 8-bit inference on a device: layers give the CPU's bits by both ways to the product, at once, kept and replayed; a form of the weights that the device
 * keeps follows them when the host writes others; tables, attention and whole models as the CPU has them, with everything on the device; rows that are not
 * finite. Without a device, or a plugin for the fake one, everything is skipped. */
#include "config.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/graph/backend.h"
#include "engine/graph/plan.h"
#include "engine/model/model.h"
#include "engine/ops/i8.h"
#include "src/base/json.h"
#include "src/base/mem.h"
#include "src/base/rng.h"
#include "tests/engine/fake_device.h"
#include "tests/engine/i8_fix.h"
#include "tests/tap.h"

static struct backend_device *dev;

static double apart(const float *a, const float *b, int64_t n) {
    double d = 0;
    for (int64_t i = 0; i < n; i++) {
        double x = fabs((double)a[i] - (double)b[i]);
        if (!(x <= d)) d = isnan(a[i]) && isnan(b[i]) ? d : x;
    }
    return d;
}

/* ---- products */
struct ask {
    int64_t m, k, n;
    const char *act;
    bool bias;
    double tol;
};
struct one { /* one of the CPU, one of the device, over the same weights */
    struct graph *g;
    struct plan *p;
    tid x, y;
};
static char *weights_of(const struct ask *q, size_t *scale_at, size_t *bias_at) {
    *scale_at = (i8_bytes(q->n, q->k) + 63) / 64 * 64, *bias_at = *scale_at + ((size_t)q->n * 4 + 63) / 64 * 64;
    return mem_new(1, *bias_at + (size_t)q->n * 4 + 64);
}
static void fill_weights(char *base, const struct ask *q, size_t scale_at, size_t bias_at, uint64_t seed) {
    int8_t *w = X_NEW(int8_t, (size_t)(q->n * q->k) + 1);
    for (int64_t i = 0; i < q->n * q->k; i++) w[i] = (int8_t)((int)rng_below(seed, 0, (uint64_t)i, 255) - 127);
    i8_pack(w, q->n, q->k, base);
    for (int64_t j = 0; j < q->n; j++) {
        ((float *)(void *)(base + scale_at))[j] = 0.001f * (float)(1 + j % 7);
        ((float *)(void *)(base + bias_at))[j] = (float)rng_normal(seed, 1, (uint64_t)j);
    }
    free(w);
}
static int layer_new(struct one *l, bool there, const struct ask *q, char *base, size_t scale_at, size_t bias_at, struct err *e) {
    struct dim xd[] = {{1, AXIS_R}, {q->k, 0}}, wd[] = {{q->n, 0}, {q->k, 0}};
    struct extents ex = {{1, q->m, q->m + 1}};
    *l = (struct one){.g = graph_new(DT_F32, false, 1)};
    l->x = graph_input(l->g, "x", DT_F32, xd, 2, -1);
    tid in[] = {l->x, graph_param(l->g, "w", DT_I8, wd, 2, 0, false), graph_param(l->g, "s", DT_F32, wd, 1, scale_at, false),
        q->bias ? graph_param(l->g, "b", DT_F32, wd, 1, bias_at, false) : -1};
    if ((l->y = graph_attr(l->g, "linear_i8", q->act, in, q->bias ? 4 : 3, NULL, e)) < 0) return -1;
    l->p = plan_new(l->g, &ex, &(struct plan_options){.device = there ? dev : NULL, .keep = &l->y, .n_keep = 1, .param = base}, e);
    return l->p && plan_alloc(l->p, e) == 0 ? 0 : -1;
}
static int layer_run(struct one *l, const struct ask *q, uint64_t seed, struct err *e) {
    struct extents ex = {{1, q->m, q->m + 1}};
    float *x = plan_data(l->p, l->x);
    for (int64_t i = 0; i < q->m * q->k; i++) {
        int64_t r = i / q->k;
        x[i] = (float)(rng_normal(seed, 2, (uint64_t)i) * (r % 3 == 1 ? 1e3 : 1));
        if (r % 5 == 3) x[i] = fabsf(x[i]) + 1; /* a row whose range ends at 0 */
        if (r % 7 == 6) x[i] = 0;
    }
    return plan_run(l->p, &ex, PHASE_FORWARD, PHASE_FORWARD, e);
}
static void layer_free(struct one *l) {
    plan_free(l->p);
    graph_free(l->g);
}

static const struct ask asks[] = {
    {1, 1, 1, NULL, true, 0}, {3, 7, 5, NULL, true, 0}, {8, 384, 96, NULL, false, 0}, {13, 33, 65, "act=relu", true, 0}, {16, 64, 33, NULL, true, 0},
    {17, 64, 33, NULL, true, 0}, {128, 96, 130, "act=relu", false, 0}, {40, 515, 48, "act=gelu", true, 5e-6}, {5, 100, 64, "act=gelu", true, 5e-6},
    {0, 8, 8, NULL, true, 0}, {1900, 16, 608, NULL, true, 0}, /* in two pieces */
};
static void products(void) {
    for (size_t a = 0; a < LEN(asks); a++) {
        const struct ask *q = &asks[a];
        size_t scale_at, bias_at, n = (size_t)(q->m * q->n);
        char *base = weights_of(q, &scale_at, &bias_at);
        struct one cpu, there;
        struct err e = {0};
        double worst = 0, big = 1;
        fill_weights(base, q, scale_at, bias_at, 4);
        bool ok = layer_new(&cpu, false, q, base, scale_at, bias_at, &e) == 0 && layer_new(&there, true, q, base, scale_at, bias_at, &e) == 0;
        bool here = ok && all_there(there.p);
        for (uint64_t turn = 0; turn < 5 && ok; turn++) { /* at once, kept, replayed; then the same with other weights */
            if (turn == 3) fill_weights(base, q, scale_at, bias_at, 9), mirror_wrote(base);
            ok = layer_run(&cpu, q, turn, &e) == 0 && layer_run(&there, q, turn, &e) == 0;
            const float *want = plan_data(cpu.p, cpu.y), *got = plan_data(there.p, there.y);
            for (size_t i = 0; ok && i < n; i++) big = fmax(big, fabs((double)want[i]));
            if (ok) worst = fmax(worst, apart(got, want, (int64_t)n));
        }
        tap_ok(ok && here && worst <= q->tol * big, "(%d, %d) from %d inputs%s%s: %s, also replayed and with other weights (%.1e)%s", (int)q->m, (int)q->n,
            (int)q->k, q->act ? ", " : "", q->act ? q->act : "", q->tol > 0 ? "as on the CPU" : "the CPU's bits", worst, e.text);
        layer_free(&cpu);
        layer_free(&there);
        mirror_drop(base);
        free(base);
    }
}

static void not_finite(void) {
    static const struct ask q[] = {{4, 40, 3, "act=relu", false, 0}, {36, 40, 3, "act=relu", false, 0}};
    for (size_t a = 0; a < LEN(q); a++) {
        size_t scale_at, bias_at;
        char *base = weights_of(&q[a], &scale_at, &bias_at);
        struct extents ex = {{1, q[a].m, q[a].m + 1}};
        struct one l;
        struct err e = {0};
        fill_weights(base, &q[a], scale_at, bias_at, 4);
        bool ok = layer_new(&l, true, &q[a], base, scale_at, bias_at, &e) == 0;
        float *v = ok ? plan_data(l.p, l.x) : NULL;
        for (int64_t i = 0; ok && i < q[a].m * 40; i++) v[i] = i < 40 ? 0 : i < 80 ? 1e-42f : 1;
        if (ok) v[90] = NAN, v[130] = INFINITY;
        ok = ok && plan_run(l.p, &ex, PHASE_FORWARD, PHASE_FORWARD, &e) == 0;
        const float *o = ok ? plan_data(l.p, l.y) : NULL;
        tap_ok(ok && o[0] == 0 && o[3] == 0 && isnan(o[6]) && isnan(o[9]) && isnan(o[11]),
            "%d rows: one of zeros gives zeros, one of denormals too, one with NaN or infinity NaN %s", (int)q[a].m, e.text);
        layer_free(&l);
        mirror_drop(base);
        free(base);
    }
}

/* ---- tables */
static void tables(void) {
    static const char *const ops[] = {"embedding_i8", "embedding_bag_i8", "embedding_bag_i8", "embed_i8"};
    for (size_t k = 0; k < LEN(ops); k++) {
        float want[11 * 37], got[11 * 37];
        int64_t n = 0;
        struct err e = {0};
        bool ok = i8_table(ops[k], (struct plan_options){.reference = true}, k == 2, want, &n, &e) == 0 &&
                  i8_table(ops[k], (struct plan_options){.device = dev}, k == 2, got, &n, &e) == 0;
        tap_ok(ok && apart(got, want, n) < 2e-5, "%s%s: as plain loops in double (%.1e)%s", ops[k], k == 2 ? " with weights" : "",
            ok ? apart(got, want, n) : NAN, e.text);
    }
}

/* ---- attention */
static void attentions(void) {
    static const struct { int64_t heads, d, len[4]; } a[] = {{2, 8, {5, 1, 0, 9}}, {1, 33, {13, 70, 12, 1}}, {2, 128, {34, 1, 2, 3}}};
    for (size_t k = 0; k < LEN(a); k++) {
        int64_t n = 0, tokens = a[k].len[0] + a[k].len[1] + a[k].len[2] + a[k].len[3];
        size_t size = (size_t)(tokens * a[k].heads * a[k].d) + 1;
        float *want = X_NEW(float, size), *got = X_NEW(float, size);
        struct err e = {0};
        double big = 0, sum = 0;
        bool ok = i8_attention("attention_i8", a[k].heads, a[k].d, a[k].len, 4, (struct plan_options){.reference = true}, -1, want, &n, &e) == 0 &&
                  i8_attention("attention_i8", a[k].heads, a[k].d, a[k].len, 4, (struct plan_options){.device = dev}, -1, got, &n, &e) == 0;
        for (int64_t i = 0; ok && i < n; i++) big = fmax(big, fabs((double)want[i])), sum += fabs((double)got[i] - (double)want[i]);
        tap_ok(ok && apart(got, want, n) < 0.02 * big && sum / (double)n < 0.002 * big,
            "attention of %d heads of %d in 8 bits: at most %.1e, in the mean %.1e of up to %.1f from floats%s", (int)a[k].heads, (int)a[k].d,
            ok ? apart(got, want, n) : NAN, sum / (double)n, big, e.text);
        free(want), free(got);
    }
}

/* ---- models */
static const char encoder[] =
    "{\"input\":{\"ids\":50,\"len\":12},\"n_class\":3,\"layers\":[{\"layer\":\"text_embedding\",\"n\":50,\"dim\":24,\"positions\":12,\"store\":{\"word."
    "weight\":\"i8\"}},{\"layer\":\"encoder_block\",\"heads\":2,\"ffn\":40,\"math\":\"i8\",\"store\":{\"attn.qkv.weight\":\"i8\",\"attn.out.weight\":\"i8\","
    "\"up.weight\":\"i8\",\"down.weight\":\"i8\"}},{\"layer\":\"mean_pool\"},{\"layer\":\"linear\",\"out\":3,\"store\":{\"weight\":\"i8\"}}]}";
static const char bag[] = "{\"input\":{\"ids\":50,\"len\":12},\"n_class\":3,\"layers\":[{\"layer\":\"embedding\",\"n\":50,\"dim\":24,\"store\":{\"weight\":"
                          "\"i8\"}},{\"layer\":\"mean_pool\"},{\"layer\":\"linear\",\"out\":3}]}";
static const char recurrent[] = "{\"input\":{\"ids\":50,\"len\":12},\"n_class\":3,\"layers\":[{\"layer\":\"embedding\",\"n\":50,\"dim\":24},{\"layer\":\"gru\","
                                "\"units\":10,\"store\":{\"weight_ih_l0\":\"i8\"}},{\"layer\":\"mean_pool\"},{\"layer\":\"linear\",\"out\":3}]}";

static float *logits(const struct model *m, bool there, enum dtype half, int *kept_short, struct err *e) {
    enum { ROWS = 20 };
    float *y = NULL;
    struct graph *g = graph_new(DT_F32, false, 1);
    struct model_io *io = X_NEW(struct model_io, 1);
    g->plain = there, g->half = half;
    int rc = model_build(m, g, io, e);
    if (rc == 0) rc = fuse_forward(g, e);
    if (rc == 0 && half != DT_F32) backend_half(dev, g), half_store(g, &io->out, 1);
    for (int i = 0; i < g->n_tensor; i++) *kept_short += g->tensor[i].dtype == DT_BF16;
    struct extents ex = {{1, ROWS, ROWS + 1, ROWS * 5}};
    struct plan *p = rc == 0 ? plan_new(g, &ex, &(struct plan_options){.device = there ? dev : NULL, .keep = &io->out, .n_keep = 1, .param = m->data}, e)
                             : NULL;
    if (p && plan_alloc(p, e) == 0) {
        int32_t *x = plan_data(p, io->in[0].data), *off = plan_data(p, io->in[0].offsets);
        for (int64_t i = 0; i < ROWS * 5; i++) x[i] = (int32_t)rng_below(9, 0, (uint64_t)i, 50);
        for (int64_t i = 0; i <= ROWS; i++) off[i] = (int32_t)(i * 5);
        rc = plan_run(p, &ex, PHASE_FORWARD, PHASE_FORWARD, e);
        if (rc == 0 && there && !all_there(p)) rc = err_set(e, "a step is left to the CPU");
        if (rc == 0) memcpy(y = X_NEW(float, ROWS * 3), plan_data(p, io->out), ROWS * 3 * sizeof *y);
    }
    plan_free(p);
    graph_free(g);
    free(io);
    return y;
}
static void models(void) {
    static const struct {
        const char *json, *what;
        double tol, tol_half;
        int kept_short; /* at least, in bf16 */
    } all[] = {{encoder, "an encoder", 0.02, 0.04, 5}, {bag, "the mean of a table", 1e-5, 0.02, 1}, {recurrent, "a recurrent layer", 1e-4, 0.03, 1}};
    for (size_t k = 0; k < LEN(all); k++) {
        struct err e = {0};
        struct val *user = json_parse(all[k].json, strlen(all[k].json), "model", &e), *desc = user ? model_describe(user, NULL, &e) : NULL;
        struct model *m = desc ? model_new(desc, 1, &e) : NULL;
        int none = 0, some = 0;
        float *a = m ? logits(m, false, DT_F32, &none, &e) : NULL, *b = a ? logits(m, true, DT_F32, &none, &e) : NULL;
        float *h = b ? logits(m, true, DT_BF16, &some, &e) : NULL;
        double big = 0;
        for (int i = 0; a && i < 60; i++) big = fmax(big, fabs((double)a[i]));
        tap_ok(b && apart(a, b, 60) <= all[k].tol * big, "%s in 8 bits, all on the device: within %.1e of the CPU's %.2g%s", all[k].what,
            b ? apart(a, b, 60) : NAN, big, e.text);
        tap_ok(h && apart(a, h, 60) <= all[k].tol_half * big && some >= all[k].kept_short && !none, "%s, with %d tensors between kept in bf16: within %.1e%s",
            all[k].what, some, h ? apart(a, h, 60) : NAN, e.text);
        free(a), free(b), free(h);
        val_free(user);
        if (m) mirror_drop(m->data), model_free(m);
    }
}

int main(void) {
    if (!(dev = fake_beside_cpu())) return 0;
    products();
    not_finite();
    tables();
    attentions();
    models();
    backends_close();
    return tap_done();
}
