/* Layers in 8 bits: the products give the same bits on every instruction set and in plain loops, for weights and inputs that would saturate pairs of 16-bit
 * sums too; tables in 8 bits against plain loops in double; relu and gelu joined in; a whole model gives the same answers to 10,000 inputs on every set;
 * models with such layers are made, saved and loaded with the same bits, refuse what does not fit, and say what training cannot change. */
#include "config.h"

#include <stdlib.h>
#include <unistd.h>

#include "engine/cpu/gemm.h"
#include "engine/cpu/pool.h"
#include "engine/graph/op.h"
#include "engine/model/safetensors.h"
#include "engine/ops/i8.h"
#include "engine/train/step.h"
#include "src/base/io.h"
#include "src/base/json.h"
#include "src/base/log.h"
#include "src/base/mem.h"
#include "src/base/rng.h"
#include "tests/engine/i8_fix.h"
#include "tests/tap.h"

static void hush(void *ctx, enum log_level l, const char *text) { (void)ctx, (void)l, (void)text; }

/* What a product is asked: shape, activation, and how inputs and weights are filled. */
enum fill { FILL_RANDOM, FILL_EXTREME, FILL_MIXED };
struct ask {
    int64_t m, k, n;
    const char *act;
    enum fill fill;
};

static void fill_x(float *x, const struct ask *q) {
    for (int64_t i = 0; i < q->m * q->k; i++) {
        if (q->fill == FILL_EXTREME) x[i] = i % q->k == 0 ? 0 : 255; /* scale 1, zero point 0: bytes of 255 */
        else x[i] = (float)(rng_normal(3, 1, (uint64_t)i) * (q->fill == FILL_MIXED && i / q->k % 3 == 0 ? 1e3 : 1));
    }
}
static void fill_w(int8_t *w, const struct ask *q) {
    for (int64_t i = 0; i < q->n * q->k; i++) {
        int64_t o = i / q->k;
        if (q->fill == FILL_EXTREME) w[i] = (int8_t)(o % 3 == 0 ? 127 : o % 3 == 1 ? -127 : i % 2 ? 127 : -127);
        else w[i] = (int8_t)((int)rng_below(4, 0, (uint64_t)i, 255) - 127);
    }
}

/* y (m, n) on the table of ops in force; reference: in plain loops. */
static int product(const struct ask *q, struct pool *pool, bool reference, float *y, struct err *e) {
    struct graph *g = graph_new(DT_F32, false, 1);
    struct dim xd[] = {{1, AXIS_R}, {q->k, 0}}, wd[] = {{q->n, 0}, {q->k, 0}};
    size_t w_bytes = (i8_bytes(q->n, q->k) + 63) / 64 * 64, row = ((size_t)q->n * 4 + 63) / 64 * 64;
    char *mem = mem_new(1, w_bytes + 2 * row + 64), *base = mem + (64 - (uintptr_t)mem % 64) % 64;
    int8_t *w = X_NEW(int8_t, (size_t)(q->n * q->k) + 1);
    fill_w(w, q);
    i8_pack(w, q->n, q->k, base);
    float *scale = (float *)(base + w_bytes), *bias = (float *)(base + w_bytes + row);
    for (int64_t j = 0; j < q->n; j++)
        scale[j] = q->fill == FILL_EXTREME ? 1 : 0.001f * (float)(1 + j % 7), bias[j] = q->fill == FILL_EXTREME ? 0 : (float)rng_normal(5, 0, (uint64_t)j);
    tid x = graph_input(g, "x", DT_F32, xd, 2, -1), in[] = {x, graph_param(g, "w", DT_I8, wd, 2, 0, false), graph_param(g, "s", DT_F32, wd, 1, w_bytes, false),
                                                        graph_param(g, "b", DT_F32, wd, 1, w_bytes + row, false)};
    tid out = graph_attr(g, "linear_i8", q->act, in, 4, NULL, e);
    struct extents ex = {{1, q->m, q->m + 1}};
    struct plan_options o = {.keep = &out, .n_keep = 1, .param = base, .reference = reference, .pool = pool};
    struct plan *p = out >= 0 ? plan_new(g, &ex, &o, e) : NULL;
    int rc = p ? plan_alloc(p, e) : -1;
    if (rc == 0) fill_x(plan_data(p, x), q);
    if (rc == 0) rc = plan_run(p, &ex, PHASE_FORWARD, PHASE_FORWARD, e);
    if (rc == 0 && q->m) memcpy(y, plan_data(p, out), (size_t)(q->m * q->n) * sizeof *y);
    plan_free(p);
    graph_free(g);
    free(mem);
    free(w);
    return rc;
}

static const struct ask asks[] = {
    {1, 1, 1, NULL, FILL_RANDOM},
    {3, 7, 5, NULL, FILL_RANDOM},
    {13, 33, 65, "act=relu", FILL_MIXED},
    {128, 384, 96, NULL, FILL_RANDOM},
    {2, 1536, 40, NULL, FILL_RANDOM},
    {1600, 36, 32, NULL, FILL_MIXED},
    {0, 8, 8, NULL, FILL_RANDOM},
    {12, 384, 64, NULL, FILL_EXTREME},
    {7, 515, 33, NULL, FILL_EXTREME},
    {24, 64, 31, "act=relu", FILL_EXTREME},
};

static void products(struct pool *pool) {
    for (size_t a = 0; a < LEN(asks); a++) {
        const struct ask *q = &asks[a];
        size_t n = (size_t)(q->m * q->n) + 1;
        float *want = X_NEW(float, n), *got = X_NEW(float, n);
        struct err e = {0};
        int bad = 0, sets = 0;
        ops_select("base", NULL);
        bad += product(q, NULL, true, want, &e) < 0;
        for (; isa_all(sets); sets++) {
            ops_select(isa_all(sets)->name, NULL);
            for (int t = 0; t < 2; t++) {
                memset(got, 0, n * sizeof *got);
                bool same = product(q, t ? pool : NULL, false, got, &e) == 0 && memcmp(got, want, n * sizeof *got) == 0;
                if (!same) printf("# %s: %s\n", isa_all(sets)->name, e.code ? e.text : "other bits"), bad++;
            }
        }
        tap_ok(!bad, "(%d, %d) from %d inputs, %s%s: plain loops and %d instruction sets give the same bits", (int)q->m, (int)q->n, (int)q->k,
            q->fill == FILL_EXTREME ? "extreme weights and inputs" : "random", q->act ? ", relu" : "", sets);
        if (q->fill == FILL_EXTREME && q->k == 384)
            tap_ok(want[0] == 255.0f * 127 * 383 && want[1] == -255.0f * 127 * 383, "383 products of 255 and 127 are summed without saturation");
        free(want);
        free(got);
    }
    ops_select("auto", NULL);
}

/* An input value is at most half a step of its row from what stands for it, its row's zero is exact, and a weight at most half a step of its own row. The
 * products here are those with the unit matrix. */
static void steps(void) {
    enum { M = 40, K = 64 };
    static int8_t unit[K * K], q[K];
    static float x[M * K], y[M * K];
    struct err e = {0};
    struct graph *g = graph_new(DT_F32, false, 1);
    struct dim xd[] = {{1, AXIS_R}, {K, 0}}, wd[] = {{K, 0}, {K, 0}};
    size_t w_bytes = (i8_bytes(K, K) + 63) / 64 * 64;
    char *mem = mem_new(1, w_bytes + K * 4 + 64), *base = mem + (64 - (uintptr_t)mem % 64) % 64;
    for (int i = 0; i < K; i++) unit[i * K + i] = 1, ((float *)(base + w_bytes))[i] = 1;
    i8_pack(unit, K, K, base);
    tid xt = graph_input(g, "x", DT_F32, xd, 2, -1),
        out = graph_attr(
            g, "linear_i8", NULL, (tid[]){xt, graph_param(g, "w", DT_I8, wd, 2, 0, false), graph_param(g, "s", DT_F32, wd, 1, w_bytes, false)}, 3, NULL, &e);
    struct extents ex = {{1, M, M + 1}};
    struct plan *p = out >= 0 ? plan_new(g, &ex, &(struct plan_options){.keep = &out, .n_keep = 1, .param = base}, &e) : NULL;
    bool ok = p && plan_alloc(p, &e) == 0;
    for (int i = 0; i < M * K; i++) x[i] = (float)(rng_normal(8, 0, (uint64_t)i) + (i / K % 4 == 0 ? 3 : 0)) * (i % K == 5 ? 0 : 1);
    for (int i = 0; i < K; i++) x[K + i] = fabsf(x[K + i]) + 1; /* a row that is positive throughout */
    if (ok) memcpy(plan_data(p, xt), x, sizeof x);
    ok = ok && plan_run(p, &ex, PHASE_FORWARD, PHASE_FORWARD, &e) == 0;
    if (ok) memcpy(y, plan_data(p, out), sizeof y);
    double far = 0, zero = 0;
    for (int r = 0; ok && r < M; r++) {
        double lo = 0, hi = 0;
        for (int i = 0; i < K; i++) lo = fmin(lo, (double)x[r * K + i]), hi = fmax(hi, (double)x[r * K + i]);
        for (int i = 0; i < K; i++) far = fmax(far, fabs((double)y[r * K + i] - (double)x[r * K + i]) / ((hi - lo) / 255));
        for (int i = 0; i < K; i++) zero = fmax(zero, x[r * K + i] == 0 ? fabs((double)y[r * K + i]) : 0);
    }
    tap_ok(ok && far < 0.502 && far > 0.4 && zero == 0, "inputs of 40 rows: within %.3f of a step, zero stays zero %s", far, e.text);
    far = 0;
    int least = 127;
    for (int r = 0; r < M; r++) {
        float scale;
        int top = 0;
        i8_rows(x + r * K, 1, K, q, &scale);
        for (int i = 0; i < K; i++)
            far = fmax(far, fabs((double)q[i] * (double)scale / (double)scale - (double)x[r * K + i] / (double)scale)), top = abs(q[i]) > top ? abs(q[i]) : top;
        least = top < least ? top : least;
    }
    tap_ok(far < 0.5001 && far > 0.4 && least == 127, "weights: within %.3f of a step, the largest of each row is 127", far);
    plan_free(p);
    graph_free(g);
    free(mem);
}

/* One row with each kind of trouble. */
static void not_finite(void) {
    struct err e = {0};
    for (int s = 0; isa_all(s); s++) {
        ops_select(isa_all(s)->name, NULL);
        struct graph *g = graph_new(DT_F32, false, 1);
        struct dim xd[] = {{1, AXIS_R}, {40, 0}}, wd[] = {{3, 0}, {40, 0}};
        int8_t rows[120];
        char mem[2048] __attribute__((aligned(64))) = {0};
        for (int i = 0; i < 120; i++) rows[i] = (int8_t)(i % 11 - 5);
        i8_pack(rows, 3, 40, mem);
        for (int i = 0; i < 3; i++) ((float *)(mem + 1536))[i] = 0.5f;
        tid x = graph_input(g, "x", DT_F32, xd, 2, -1),
            y = graph_attr(g, "linear_i8", "act=relu", (tid[]){x, graph_param(g, "w", DT_I8, wd, 2, 0, false), graph_param(g, "s", DT_F32, wd, 1, 1536, false)},
                3, NULL, &e);
        struct extents ex = {{1, 4, 5}};
        struct plan *p = plan_new(g, &ex, &(struct plan_options){.keep = &y, .n_keep = 1, .param = mem}, &e);
        plan_alloc(p, &e);
        float *v = plan_data(p, x);
        for (int i = 0; i < 160; i++) v[i] = i < 40 ? 0 : i < 80 ? 1e-42f : 1;
        v[90] = NAN, v[130] = INFINITY;
        plan_run(p, &ex, PHASE_FORWARD, PHASE_FORWARD, &e);
        const float *o = plan_data(p, y);
        tap_ok(o[0] == 0 && o[3] == 0 && isnan(o[6]) && isnan(o[9]) && isnan(o[11]),
            "%s: a row of zeros gives zeros, of denormals too, a row with NaN or infinity NaN", isa_all(s)->name);
        plan_free(p);
        graph_free(g);
    }
    ops_select("auto", NULL);
}

/* A weight that is not finite makes its row's scale NaN, so that all that the row gives is; the rows beside it stay. */
static void weights_not_finite(void) {
    float w[4 * 40], scale[4];
    int8_t q[4 * 40];
    for (int i = 0; i < 160; i++) w[i] = (float)(i % 11 - 5);
    w[40 + 7] = NAN, w[80 + 39] = -INFINITY;
    i8_rows(w, 4, 40, q, scale);
    tap_ok(isnan(scale[1]) && isnan(scale[2]) && scale[0] == 5.0f / 127 && scale[3] == 5.0f / 127,
        "weights: scales of rows with NaN and infinity: %g %g, of those beside them %g %g", (double)scale[1], (double)scale[2], (double)scale[0],
        (double)scale[3]);
}

/* ---- tables ---- */
static void tables(void) {
    static const char *const ops[] = {"embedding_i8", "embedding_bag_i8", "embedding_bag_i8", "embed_i8"};
    for (size_t k = 0; k < LEN(ops); k++) {
        float want[11 * 37], got[11 * 37];
        int64_t n = 0;
        struct err e = {0};
        double worst = 0;
        bool ok = i8_table(ops[k], (struct plan_options){.reference = true}, k == 2, want, &n, &e) == 0;
        for (int s = 0; ok && isa_all(s); s++) {
            ops_select(isa_all(s)->name, NULL);
            ok = i8_table(ops[k], (struct plan_options){0}, k == 2, got, &n, &e) == 0;
            for (int64_t i = 0; ok && i < n; i++) worst = fmax(worst, fabs((double)got[i] - (double)want[i]));
        }
        tap_ok(ok && worst < 2e-5, "%s%s: every instruction set as plain loops in double (%.1e)%s", ops[k], k == 2 ? " with weights" : "", worst, e.text);
    }
    ops_select("auto", NULL);
}

/* ---- attention ---- */
static void attentions(struct pool *pool) {
    static const struct {
        int64_t heads, d, len[4];
    } a[] = {{2, 8, {5, 1, 0, 9}}, {3, 32, {40, 33, 128, 7}}, {1, 33, {13, 600, 12, 1}}, {2, 128, {64, 1, 2, 3}}};
    for (size_t k = 0; k < LEN(a); k++) {
        int64_t n = 0, tokens = a[k].len[0] + a[k].len[1] + a[k].len[2] + a[k].len[3];
        size_t size = (size_t)(tokens * a[k].heads * a[k].d) + 1;
        float *want = X_NEW(float, size), *got = X_NEW(float, size), *once = X_NEW(float, size);
        struct err e = {0};
        double worst = 0, sum = 0, sets = 0, big = 0;
        bool ok = i8_attention("attention", a[k].heads, a[k].d, a[k].len, 4, (struct plan_options){0}, -1, want, &n, &e) == 0, same = true;
        for (int s = 0; ok && isa_all(s); s++) {
            ops_select(isa_all(s)->name, NULL);
            ok = i8_attention("attention_i8", a[k].heads, a[k].d, a[k].len, 4, (struct plan_options){0}, -1, got, &n, &e) == 0;
            for (int64_t i = 0; ok && i < n; i++)
                worst = fmax(worst, fabs((double)got[i] - (double)want[i])), sum += fabs((double)got[i] - (double)want[i]), sets++,
                big = fmax(big, fabs((double)want[i]));
            ok = ok && i8_attention("attention_i8", a[k].heads, a[k].d, a[k].len, 4, (struct plan_options){.pool = pool}, -1, once, &n, &e) == 0;
            same = same && memcmp(got, once, size * sizeof *got) == 0;
        }
        ops_select("auto", NULL);
        tap_ok(ok && worst < 0.05 * big && sum / sets < 0.006 * big,
            "attention of %d heads of %d in 8 bits: at most %.1e, in the mean %.1e of up to %.1f from floats on every instruction set%s", (int)a[k].heads,
            (int)a[k].d, worst, sum / fmax(1, sets), big, e.text);
        tap_ok(same, "the same bits on several threads");
        /* not a number in a query spoils its row, in a key or value its text */
        int64_t row = 3 * a[k].heads * a[k].d, w = a[k].heads * a[k].d;
        ok = i8_attention("attention_i8", a[k].heads, a[k].d, a[k].len, 4, (struct plan_options){0}, (double)(2 * row), got, &n, &e) == 0;
        ok = ok && isnan(got[2 * w]) && !isnan(got[w]) &&
             i8_attention("attention_i8", a[k].heads, a[k].d, a[k].len, 4, (struct plan_options){0}, (double)(2 * row + w), got, &n, &e) == 0;
        tap_ok(ok && isnan(got[0]) && isnan(got[2 * w]) && !isnan(got[a[k].len[0] * w]), "NaN in a query makes its row NaN, in a key the text, no other");
        free(want), free(got), free(once);
    }
    struct err e = {0};
    int64_t n, one[] = {2};
    float y[600];
    tap_ok(i8_attention("attention_i8", 1, 129, one, 1, (struct plan_options){0}, -1, y, &n, &e) < 0 && strstr(e.text, "at most 128"), "%s", e.text);
}

/* ---- models ---- */
#define I8 ",\"store\":{\"weight\":\"i8\"}}"
static const char mlp[] = "{\"input\":40,\"n_class\":7,\"layers\":[{\"layer\":\"linear\",\"out\":96" I8
                          ",{\"layer\":\"relu\"},{\"layer\":\"linear\",\"out\":50,\"act\":\"relu\"" I8 ",{\"layer\":\"linear\",\"out\":7" I8 "]}";
static const char gelu[] = "{\"input\":40,\"n_class\":7,\"layers\":[{\"layer\":\"linear\",\"out\":96" I8
                           ",{\"layer\":\"gelu\"},{\"layer\":\"linear\",\"out\":7" I8 "]}";
static const char encoder[] =
    "{\"input\":{\"ids\":50,\"len\":12},\"n_class\":3,\"layers\":[{\"layer\":\"text_embedding\",\"n\":50,\"dim\":24,\"positions\":12,\"store\":{\"word."
    "weight\":\"i8\"}},"
    "{\"layer\":\"encoder_block\",\"heads\":2,\"ffn\":40,\"math\":\"i8\",\"store\":{\"attn.qkv.weight\":\"i8\",\"up.weight\":\"i8\",\"down.weight\":\"bf16\"}},"
    "{\"layer\":\"mean_pool\"},{\"layer\":\"linear\",\"out\":3,\"store\":{\"weight\":\"f16\",\"bias\":\"f16\"}}]}";
static const char bag[] = "{\"input\":{\"ids\":50,\"len\":12},\"n_class\":3,\"layers\":[{\"layer\":\"embedding\",\"n\":50,\"dim\":24,\"store\":{\"weight\":"
                          "\"i8\"}},{\"layer\":\"mean_pool\"},{\"layer\":\"linear\",\"out\":3}]}";
static const char recurrent[] =
    "{\"input\":{\"ids\":50,\"len\":12},\"n_class\":3,\"layers\":[{\"layer\":\"embedding\",\"n\":50,\"dim\":24},{\"layer\":\"gru\",\"units\":10,"
    "\"bidirectional\":true,"
    "\"store\":{\"weight_ih_l0\":\"i8\",\"weight_ih_l0_reverse\":\"i8\"}},{\"layer\":\"lstm\",\"units\":8,\"bias\":false,\"states\":\"last\","
    "\"store\":{\"weight_ih_l0\":\"i8\"}},{\"layer\":\"linear\",\"out\":3}]}";

static struct model *make(const char *json, struct err *e) {
    struct val *user = json_parse(json, strlen(json), "model", e), *desc = user ? model_describe(user, NULL, e) : NULL;
    val_free(user);
    return desc ? model_new(desc, 1, e) : NULL;
}

/* Logits of rows of normal numbers, or of texts. */
static float *logits(const struct model *m, int64_t rows, bool text, bool fuse, int64_t *len, struct err *e) {
    float *y = NULL;
    struct graph *g = graph_new(DT_F32, false, 1);
    struct model_io *io = X_NEW(struct model_io, 1);
    int rc = model_build(m, g, io, e);
    if (rc == 0 && fuse) rc = fuse_forward(g, e);
    struct extents ex = {{1, rows, rows + 1, text ? rows * 5 : 0}};
    struct plan *p = rc == 0 ? plan_new(g, &ex, &(struct plan_options){.keep = &io->out, .n_keep = 1, .param = m->data}, e) : NULL;
    if (p && plan_alloc(p, e) == 0) {
        float *x = plan_data(p, io->in[0].data);
        int32_t *off = plan_data(p, io->in[0].offsets);
        for (int64_t i = 0; !text && i < rows * 40; i++) x[i] = (float)rng_normal(9, 0, (uint64_t)i);
        for (int64_t i = 0; text && i < rows * 5; i++) ((int32_t *)x)[i] = (int32_t)rng_below(9, 0, (uint64_t)i, 50);
        for (int64_t i = 0; off && i <= rows; i++) off[i] = (int32_t)(i * 5);
        *len = tensor_len(graph_tensor(g, io->out), &ex);
        if (plan_run(p, &ex, PHASE_FORWARD, PHASE_FORWARD, e) == 0) {
            y = X_NEW(float, (size_t)*len);
            memcpy(y, plan_data(p, io->out), (size_t)*len * sizeof *y);
        }
    }
    plan_free(p);
    graph_free(g);
    free(io);
    return y;
}

static double apart(const float *a, const float *b, int64_t n) {
    double d = 0;
    for (int64_t i = 0; i < n; i++) d = fmax(d, fabs((double)a[i] - (double)b[i]));
    return d;
}

static void one_answer(void) {
    struct err e = {0};
    char first[65] = "", now[65] = "";
    int sets = 0, same = 0;
    struct model *m = make(mlp, &e);
    for (; m && isa_all(sets); sets++) {
        int64_t n = 0;
        ops_select(isa_all(sets)->name, NULL);
        float *y = logits(m, 10000, false, true, &n, &e);
        if (y) io_sha256(y, (size_t)n * sizeof *y, sets ? now : first);
        same += y && (!sets || strcmp(first, now) == 0);
        free(y);
    }
    ops_select("auto", NULL);
    tap_ok(sets && same == sets, "10,000 inputs through a model of three such layers: one SHA-256 of the logits on %d instruction sets%s", sets, e.text);
    model_free(m);
    static const struct {
        const char *json, *what;
        bool text;
        double tol;
    } joined[] = {{mlp, "relu", false, 0}, {gelu, "gelu", false, 5e-5}, {bag, "the mean of a table", true, 2e-6}, {encoder, "an encoder", true, 5e-3}};
    for (size_t k = 0; k < LEN(joined); k++) {
        int64_t n = 0;
        m = make(joined[k].json, &e);
        float *a = m ? logits(m, 33, joined[k].text, false, &n, &e) : NULL, *b = a ? logits(m, 33, joined[k].text, true, &n, &e) : NULL;
        tap_ok(b && apart(a, b, n) <= joined[k].tol, "%s joined in agrees with apart (%.1e)%s", joined[k].what, b ? apart(a, b, n) : NAN, e.text);
        free(a);
        free(b);
        model_free(m);
    }
}

/* The same model in floats: the json without its store. */
static void close_to_float(void) {
    struct err e = {0};
    static const char *const all[] = {mlp, gelu, bag, encoder, recurrent};
    for (size_t k = 0; k < LEN(all); k++) {
        struct val *user = json_parse(all[k], strlen(all[k]), "model", &e);
        for (size_t i = 0; i < val_len(val_get(user, "layers")); i++)
            val_unset(val_at(val_get(user, "layers"), i), "store"), val_unset(val_at(val_get(user, "layers"), i), "math");
        struct val *desc = model_describe(user, NULL, &e);
        struct model *f = model_new(desc, 1, &e), *q = make(all[k], &e);
        int64_t n = 0;
        float *a = logits(f, 20, k >= 2, true, &n, &e), *b = logits(q, 20, k >= 2, true, &n, &e);
        double big = 0, d = a && b ? apart(a, b, n) : 1;
        for (int64_t i = 0; a && i < n; i++) big = fmax(big, fabs((double)a[i]));
        tap_ok(d > 0 && d < 0.05 * big, "model %zu: from the same seed in 8 bits and in floats: apart by %.2g of %.2g%s", k + 1, d, big, e.text);
        free(a), free(b);
        val_free(user);
        model_free(f), model_free(q);
    }
}

static void saved(const char *dir) {
    struct err e = {0};
    static const char *const names[] = {"folder", "one.hone"}, *const all[] = {mlp, encoder, bag, recurrent};
    for (size_t k = 0; k < 2 * LEN(all); k++) {
        char *path = io_join(dir, names[k % 2]);
        struct model *m = make(all[k / 2], &e), *l = NULL;
        bool ok = m && model_save(m, path, &e) == 0 && (l = model_load(path, &e)) && l->bytes == m->bytes && val_equal(l->desc, m->desc);
        for (int i = 0; ok && i < m->n_param; i++) {
            const struct param *p = &m->param[i];
            float *a = X_NEW(float, (size_t)p->len), *b = X_NEW(float, (size_t)p->len);
            param_get(m, p, a), param_get(l, &l->param[i], b);
            for (int64_t j = 0; ok && j < p->len; j++) ok = p->store == DT_BF16 || p->store == DT_F16 ? fabsf(a[j] - b[j]) <= fabsf(a[j]) / 256 : a[j] == b[j];
            ok = ok && l->param[i].store == p->store && l->param[i].dtype == p->dtype;
            free(a), free(b);
        }
        tap_ok(ok, "model %zu as %s: saved, loaded: the same values and types%s", k / 2 + 1, names[k % 2], e.text);
        if (ok) model_save(l, path, &e), model_free(m), m = l, l = model_load(path, &e);
        tap_ok(l && memcmp(l->data, m->data, m->bytes) == 0, "and once more: the same bits");
        model_free(m), model_free(l);
        free(path);
    }
}

static void hostile(const char *dir) {
    static const struct {
        const char *json, *says;
    } bad[] = {
        {"{\"input\":4,\"layers\":[{\"layer\":\"linear\",\"out\":3,\"store\":{\"weight\":\"i4\"}}]}", "is \"i8\", \"f16\" or \"bf16\", not \"i4\""},
        {"{\"input\":4,\"layers\":[{\"layer\":\"linear\",\"out\":3,\"store\":{\"weight\":8}}]}", "not \"number\""},
        {"{\"input\":4,\"layers\":[{\"layer\":\"linear\",\"out\":3,\"store\":\"i8\"}]}", "store says how parameters are held"},
        {"{\"input\":4,\"layers\":[{\"layer\":\"linear\",\"out\":3,\"store\":{\"wieght\":\"i8\"}}]}", "names \"wieght\", which is no parameter"},
        {"{\"input\":4,\"layers\":[{\"layer\":\"linear\",\"out\":3,\"store\":{\"bias\":\"i8\"}}]}", "only matrices"},
        {"{\"input\":20000,\"layers\":[{\"layer\":\"linear\",\"out\":3,\"store\":{\"weight\":\"i8\"}}]}", "at most 16384 inputs"},
        {"{\"input\":4,\"layers\":[{\"layer\":\"relu\",\"store\":{\"weight\":\"i8\"}}]}", "no parameter of this layer"},
    };
    for (size_t i = 0; i < LEN(bad); i++) {
        struct err e = {0};
        struct model *m = make(bad[i].json, &e);
        tap_ok(!m && strstr(e.text, bad[i].says), "refused: %s", e.text);
        model_free(m);
    }
    /* Files whose tensors are not what the description asks for. */
    static const struct {
        const char *name;
        enum dtype d;
        int64_t rows;
        const char *says;
    } files[] = {
        {"linear1.weight", DT_F32, 96, "holds f32, the description asks for i8"},
        {"linear1.weight", DT_U8, 96, "holds u8, the description asks for i8"},
        {"linear1.weight", DT_I8, 95, "is (95, 40), the description asks for (96, 40)"},
        {"linear1.weight.scale", DT_I8, 96, "weights are floats"},
        {"linear1.weight.scale", DT_N, 0, "is missing"},
    };
    char *path = io_join(dir, "bad.hone");
    for (size_t i = 0; i < LEN(files); i++) {
        struct err e = {0};
        struct model *m = make(mlp, &e), *l = NULL;
        struct st_file f = {0};
        model_save(m, path, &e);
        bool read = st_read(path, &f, &e) == 0;
        char *zero = mem_new(96 * 40, 4);
        size_t n = 0;
        for (size_t t = 0; read && t < f.n; t++) {
            struct st_tensor *s = &f.tensor[t];
            if (strcmp(s->name, files[i].name) == 0) {
                if (files[i].d == DT_N) {
                    free((char *)(uintptr_t)s->name);
                    continue;
                }
                s->dtype = files[i].d, s->dim[0] = files[i].rows, s->data = zero;
                s->bytes = dtype_bytes(s->dtype, s->dim[0] * (s->ndim > 1 ? s->dim[1] : 1));
            }
            f.tensor[n++] = *s;
        }
        size_t all = f.n;
        st_write(path, f.tensor, n, f.meta, &e);
        e = (struct err){0};
        l = model_load(path, &e);
        tap_ok(!l && strstr(e.text, files[i].says), "refused: %s", e.text);
        if (n < all) f.n = n; /* the dropped one's name is free already */
        st_release(&f);
        model_free(m), model_free(l);
        free(zero);
    }
    free(path);
}

static void training(void) {
    struct err e = {0};
    struct model *m = make(mlp, &e), *b = make(bag, &e);
    struct optimiser *o = optimiser_new(NULL, &e), *o2 = optimiser_new(NULL, &e);
    struct loss_spec loss;
    loss_init(&loss, NULL, true, &e);
    struct step_spec s = {.model = m, .loss = &loss, .optim = o, .seed = 1, .rows = 8},
                     t = {.model = b, .loss = &loss, .optim = o2, .seed = 1, .rows = 8, .tokens = {40}};
    struct step *a = step_new(&s, &e);
    tap_ok(!a && strstr(e.text, "linear") && strstr(e.text, "its weights are in 8 bits, which training cannot change"),
        "training says what cannot be trained: %s", e.text);
    e = (struct err){0};
    struct step *c = step_new(&t, &e);
    tap_ok(c != NULL, "behind a table in 8 bits the rest can be trained%s", e.text);
    tap_ok(model_params(b) == 3 * 24 + 3, "and only that counts as trainable");
    struct model *h = make("{\"input\":4,\"n_class\":3,\"layers\":[{\"layer\":\"linear\",\"out\":3,\"store\":{\"weight\":\"bf16\",\"bias\":\"f16\"}}]}", &e);
    model_ready_training(h), model_ready_training(b);
    tap_ok(h->param[0].store == DT_F32 && !val_get(val_at(val_get(h->desc, "layers"), 0), "store") && model_i8(b, NULL) == 1,
        "training stores 16-bit weights in full again, so that it resumes exactly; tables in 8 bits stay");
    model_free(h);
    step_free(a), step_free(c);
    optimiser_free(o), optimiser_free(o2);
    loss_release(&loss);
    model_free(m), model_free(b);
}

int main(void) {
    struct err e = {0};
    struct gemm_info info;
    char dir[] = "/tmp/hone-int8-XXXXXX";
    log_set_sink(hush, NULL);
    gemm_open(NULL, &info);
    struct pool *pool = pool_new(3, &e);
    if (!mkdtemp(dir)) return 1;
    products(pool);
    steps();
    not_finite();
    weights_not_finite();
    tables();
    attentions(pool);
    one_answer();
    close_to_float();
    saved(dir);
    hostile(dir);
    training();
    pool_free(pool);
    io_remove_tree(dir, NULL);
    return tap_done();
}
