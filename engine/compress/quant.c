/* Quantisation: quant.int8 holds matrices of products and embedding tables in 8 bits (engine/ops/linear_i8.c, embed_i8.c) where that is measured to be
 * faster, layer by layer at the shapes the model has; quant.half stores weights in 16 bits and computes in f32. */
#include "config.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/compress/compress.h"
#include "engine/graph/op.h"
#include "engine/ops/i8.h"
#include "src/base/mem.h"
#include "src/base/thread.h"

struct int8_args {
    bool choose, embeddings, attention;
    struct val *keep;
};
struct half_args {
    int type;
};

/* ---- one product, in floats and in 8 bits ---- */
struct product {
    int64_t m[SPEEDS], k, n;
    int act;
    double ratio[SPEEDS], us[SPEEDS];
    bool known;
}; /* act: 0 none, 1 relu, 2 gelu behind it */

static struct plan *product_plan(const struct product *q, bool i8, int64_t rows, struct pool *pool, struct graph **g, char **mem, struct err *e) {
    static const char *const acts[] = {NULL, "relu", "gelu"};
    struct dim xd[] = {{1, AXIS_R}, {q->k, AXIS_ONE}}, wd[] = {{q->n, AXIS_ONE}, {q->k, AXIS_ONE}};
    size_t w = i8 ? i8_bytes(q->n, q->k) : (size_t)(q->n * q->k) * sizeof(float), row = ((size_t)q->n * sizeof(float) + 63) / 64 * 64;
    w = (w + 63) / 64 * 64;
    *g = graph_new(DT_F32, false, 1);
    if (!(*mem = mem_try(w + 2 * row, 1, "a layer to be timed", e))) return NULL;
    tid in[4] = {graph_input(*g, "x", DT_F32, xd, 2, -1), graph_param(*g, "w", i8 ? DT_I8 : DT_F32, wd, 2, 0, false)};
    int n = 2;
    if (i8) in[n++] = graph_param(*g, "s", DT_F32, wd, 1, w, false);
    in[n++] = graph_param(*g, "b", DT_F32, wd, 1, w + row, false);
    tid y = graph_attr(*g, i8 ? "linear_i8" : "linear", NULL, in, n, NULL, e);
    if (y >= 0 && q->act) y = graph_add1(*g, acts[q->act], y, e);
    if (y < 0 || fuse_forward(*g, e) < 0) return NULL;
    struct extents x = {{1, rows, rows + 1}};
    struct plan *p = plan_new(*g, &x, &(struct plan_options){.pool = pool, .keep = &y, .n_keep = 1, .param = *mem}, e);
    if (!p || plan_alloc(p, e) < 0) return p;
    int8_t *bytes = (int8_t *)*mem; /* anything but zeros: bytes for 8 bits, small numbers for floats */
    float *v = (float *)*mem, *xs = plan_data(p, in[0]);
    for (size_t i = 0; i < w + 2 * row && i8; i++) bytes[i] = i < w ? (int8_t)(i * 37 % 251 - 125) : 0;
    for (size_t i = 0; i < (w + 2 * row) / sizeof(float) && !i8; i++) v[i] = (float)(i % 17) * 0.01f - 0.08f;
    for (int64_t i = 0; i < rows * q->k; i++) xs[i] = (float)(i % 13) * 0.1f - 0.6f;
    return p;
}

/* Times two prepared plans in turns; ratio[s] and us[s] of q. */
static int time_plans(struct product *q, int s, struct plan *p[2], const struct extents *x, const struct bed *bed, struct err *e) {
    double t[2][21];
    int rc = 0, n = 0, reps = 1;
    double until = clock_now() + 0.25;
    for (; rc == 0 && n < 21 && (n < 5 || clock_now() < until); n++)
        for (int j = 0; j < 2 && rc == 0; j++) {
            int k = (n & 1) ^ j;
            double from = clock_now();
            for (int r = 0; r < reps && rc == 0 && !bed->layer_timer; r++) rc = plan_run(p[k], x, PHASE_FORWARD, PHASE_FORWARD, e);
            t[k][n] = bed->layer_timer ? bed->layer_timer(bed->ctx, k, q->m[s], q->n, q->k) : (clock_now() - from) / reps;
            if (n == 0 && j == 1)
                reps = (int)fmin(1e5, ceil(100e-6 / fmax(fmin(t[0][0], t[1][0]), 1e-8))); /* the first pair warms up and says how long one takes */
        }
    if (rc == 0) {
        struct pair_speed v;
        pair_ratio(t[0] + 1, t[1] + 1, n - 1, &v);
        q->ratio[s] = v.ratio, q->us[s] = v.a50 * 1e6;
    }
    return rc;
}

static int time_product(struct product *q, int s, const struct bed *bed, struct err *e) {
    struct graph *g[2] = {NULL, NULL};
    struct plan *p[2] = {NULL, NULL};
    char *mem[2] = {NULL, NULL};
    struct extents x = {{1, q->m[s], q->m[s] + 1}};
    int rc = 0;
    for (int k = 0; k < 2 && rc == 0; k++) rc = (p[k] = product_plan(q, k, q->m[s], bed->pool, &g[k], &mem[k], e)) ? 0 : -1;
    if (rc == 0) rc = time_plans(q, s, p, &x, bed, e);
    for (int k = 0; k < 2; k++) {
        plan_free(p[k]);
        graph_free(g[k]);
        free(mem[k]);
    }
    return rc;
}

/* ---- attention ---- */
static struct plan *attention_plan(bool i8, int64_t heads, int64_t n, int64_t rows, int64_t tokens, struct pool *pool, struct graph **g, struct err *e) {
    struct dim qd[] = {{1, AXIS_T0}, {3 * n, AXIS_ONE}}, od[] = {{1, AXIS_R1}};
    struct val *a = val_table();
    tid out[OP_OUT], off;
    *g = graph_new(DT_F32, false, 1);
    off = graph_input(*g, "o", DT_I32, od, 1, -1);
    tid q = graph_input(*g, "q", DT_F32, qd, 2, off);
    val_set_int(a, "heads", heads);
    tid y = graph_add(*g, i8 ? "attention_i8" : "attention", a, (tid[]){q, off}, 2, out, e);
    val_free(a);
    if (y < 0) return NULL;
    struct extents x = {{1, rows, rows + 1, tokens}};
    struct plan *p = plan_new(*g, &x, &(struct plan_options){.pool = pool, .keep = &y, .n_keep = 1}, e);
    if (!p || plan_alloc(p, e) < 0) return p;
    int32_t *o = plan_data(p, off);
    float *v = plan_data(p, q);
    for (int64_t r = 0; r <= rows; r++) o[r] = (int32_t)(tokens * r / rows);
    for (int64_t i = 0; i < tokens * 3 * n; i++) v[i] = (float)(i * 7 % 19) * 0.1f - 0.9f;
    return p;
}

/* ---- which parameters ---- */
struct found {
    char name[256];
    struct product q;
    bool table, attention, take;
    const char *why;
    int64_t heads, width;
};
struct finder {
    struct found *f;
    int n;
    const struct bed *bed;
};

static int64_t tokens_of(const struct bed *bed, int64_t rows) {
    int64_t all = 0, n = bed->part->n > 0 ? bed->part->n : 1;
    for (int64_t i = 0; i < bed->part->n; i++) all += part_tokens(bed->part, i);
    return (all * rows + n - 1) / n;
}

/* The activation that joins in, as engine/graph/fuse.c has it. */
static int act_behind(const struct graph *g, tid y) {
    int act = 0, readers = 0;
    for (int i = 0; i < g->n_node; i++)
        for (int j = 0; j < g->node[i].n_in; j++) {
            if (g->node[i].in[j] != y) continue;
            const char *op = g->node[i].op->kind.name;
            readers++;
            act = strcmp(op, "relu") == 0 ? 1 : strcmp(op, "gelu") == 0 ? 2 : 0;
        }
    return readers == 1 ? act : 0;
}

static void find(struct finder *w, const struct model *m, const struct graph *g, const struct node *n, const struct int8_args *a) {
    const char *op = n->op->kind.name;
    bool linear = strcmp(op, "linear") == 0, table = strcmp(op, "embedding") == 0 || strcmp(op, "embed") == 0;
    const struct tensor *t = linear || table ? graph_tensor(g, n->in[1]) : NULL;
    const struct param *p = t && t->role == ROLE_PARAM ? model_param(m, t->name) : NULL;
    if (!p || p->dtype != DT_F32) return;
    for (int i = 0; i < w->n; i++)
        if (strcmp(w->f[i].name, p->name) == 0) return; /* shared */
    w->f = X_GROW(w->f, struct found, (size_t)w->n + 1);
    struct found *f = &w->f[w->n++];
    *f = (struct found){.table = table, .take = true, .why = ""};
    snprintf(f->name, sizeof f->name, "%s", p->name);
    if (keep_has(a->keep, p->name)) f->take = false, f->why = "kept as asked";
    else if (table && !a->embeddings) f->take = false, f->why = "embeddings=false";
    else if (linear && p->dim[1] > I8_MAX_IN) f->take = false, f->why = "too many inputs";
    if (!linear) return;
    const struct tensor *x = graph_tensor(g, n->in[0]);
    f->q = (struct product){.k = p->dim[1], .n = p->dim[0], .act = act_behind(g, n->out[0])};
    for (int s = 0; s < SPEEDS; s++) {
        int64_t rows = s == SPEED_ONE ? 1 : SPEED_ROWS;
        struct extents e = {{1, rows, rows + 1, 1, 1, 1, 1}};
        for (int k = AXIS_T0; k <= AXIS_T3; k++) e.n[k] = tokens_of(w->bed, rows);
        f->q.m[s] = tensor_len(x, &e) / (p->dim[1] > 0 ? p->dim[1] : 1);
    }
}

static int time_attention(struct found *f, int s, const struct bed *bed, struct err *e) {
    struct graph *g[2] = {NULL, NULL};
    struct plan *p[2] = {NULL, NULL};
    int64_t rows = s == SPEED_ONE ? 1 : SPEED_ROWS, tokens = f->q.m[s];
    struct extents x = {{1, rows, rows + 1, tokens}};
    int rc = 0;
    for (int k = 0; k < 2 && rc == 0; k++) rc = (p[k] = attention_plan(k, f->heads, f->width, rows, tokens, bed->pool, &g[k], e)) ? 0 : -1;
    if (rc == 0) rc = time_plans(&f->q, s, p, &x, bed, e);
    for (int k = 0; k < 2; k++) {
        plan_free(p[k]);
        graph_free(g[k]);
    }
    return rc;
}

/* An attention that a layer's `math` can put into 8 bits: every token sees all, heads of up to 128 values. */
static void find_attention(struct finder *w, const struct graph *g, const struct node *n, const struct int8_args *a) {
    const struct tensor *t = graph_tensor(g, n->in[0]);
    struct val *v = args_to_val(&n->op->kind, n->attr);
    int64_t heads = val_get_int(v, "heads", 1), width = t->dim[1].k / 3;
    bool causal = val_get_bool(v, "causal", false);
    val_free(v);
    if (causal || width / heads > 128 || !a->attention) return;
    w->f = X_GROW(w->f, struct found, (size_t)w->n + 1);
    struct found *f = &w->f[w->n++];
    *f = (struct found){.attention = true, .take = !keep_has(a->keep, n->path), .why = "", .heads = heads, .width = width};
    if (!f->take) f->why = "kept as asked";
    snprintf(f->name, sizeof f->name, "%s", n->path);
    for (int s = 0; s < SPEEDS; s++) f->q.m[s] = tokens_of(w->bed, s == SPEED_ONE ? 1 : SPEED_ROWS);
    f->q.k = width, f->q.n = heads, f->q.act = -1;
}

static bool same_product(const struct product *a, const struct product *b) {
    return a->k == b->k && a->n == b->n && a->act == b->act && a->m[0] == b->m[0] && a->m[1] == b->m[1];
}

/* Times each shape once; a layer stays in floats where 8 bits are not faster for single rows and for batches. */
static int choose(struct finder *w, struct err *e) {
    const struct bed *bed = w->bed;
    for (int i = 0; i < w->n; i++) {
        struct found *f = &w->f[i];
        for (int j = 0; j < i && !f->table && !f->q.known; j++)
            if (w->f[j].q.known && same_product(&f->q, &w->f[j].q)) f->q = w->f[j].q;
        if (bed->phase) bed->phase(bed->ctx, "timing layers", i, w->n);
        if (bed->stop && bed->stop(bed->ctx)) return err_code(e, ERR_STOPPED, "the timing of layers was stopped");
        if (!f->take || f->table) continue;
        for (int s = 0; s < SPEEDS && !f->q.known; s++)
            if ((f->attention ? time_attention(f, s, bed, e) : time_product(&f->q, s, bed, e)) < 0) return -1;
        f->q.known = true;
        if (f->q.ratio[0] > 0.97 || f->q.ratio[1] > 0.97) f->take = false, f->why = "8 bits are not faster here";
    }
    return 0;
}

static void note(struct squeeze *s, const struct finder *w, bool timed) {
    struct val *list = val_list();
    int64_t taken = 0;
    for (int i = 0; i < w->n; i++) {
        const struct found *f = &w->f[i];
        struct val *v = val_table();
        taken += f->take;
        val_set_str(v, "name", f->name);
        val_set_str(v, "held", f->take ? "i8" : "f32");
        if (*f->why) val_set_str(v, "why", f->why);
        for (int k = 0; k < SPEEDS && timed && f->q.known; k++) {
            val_set_num(v, k ? "faster_32" : "faster_1", 1 / f->q.ratio[k]);
            val_set_num(v, k ? "us_32" : "us_1", f->q.us[k]);
        }
        val_push(list, v);
    }
    val_set_int(s->note, "int8", taken);
    val_set_int(s->note, "of", w->n);
    val_set(s->note, "layers", list);
}

static struct model *int8_run(const struct model *m, const void *args, struct squeeze *s, struct err *e) {
    const struct int8_args *a = args;
    struct finder w = {.bed = s->bed};
    struct graph *g = graph_new(DT_F32, false, m->seed);
    struct model_io *io = X_NEW(struct model_io, 1);
    struct model *out = NULL;
    int rc = model_build(m, g, io, e);
    for (int i = 0; rc == 0 && i < g->n_node; i++) {
        if (strcmp(g->node[i].op->kind.name, "attention") == 0) find_attention(&w, g, &g->node[i], a);
        else find(&w, m, g, &g->node[i], a);
    }
    if (rc == 0 && !w.n) rc = err_set(e, "quant.int8: the model has no linear layer or embedding in floats");
    if (rc == 0) rc = keep_check(m, a->keep, "quant.int8", e);
    if (rc == 0 && a->choose) rc = choose(&w, e);
    if (rc == 0) {
        struct val *desc = val_copy(m->desc);
        for (int i = 0; i < w.n; i++)
            if (w.f[i].take && w.f[i].attention) val_set_str(desc_layer(desc, w.f[i].name), "math", "i8");
            else if (w.f[i].take) desc_hold(desc, w.f[i].name, "i8");
        note(s, &w, a->choose);
        out = carry_model(m, desc, NULL, e);
    }
    graph_free(g);
    free(io);
    free(w.f);
    return out;
}

/* ---- storage in 16 bits ---- */
static struct model *half_run(const struct model *m, const void *args, struct squeeze *s, struct err *e) {
    enum dtype d = ((const struct half_args *)args)->type == 0 ? DT_F16 : DT_BF16;
    struct val *desc = val_copy(m->desc);
    int64_t n = 0, lost = 0;
    for (int i = 0; i < m->n_param; i++) {
        size_t k = strlen(m->param[i].name);
        bool scale = k > 6 && strcmp(m->param[i].name + k - 6, ".scale") == 0;
        if (m->param[i].dtype == DT_F32 && !scale) desc_hold(desc, m->param[i].name, d == DT_F16 ? "f16" : "bf16"), n++;
    }
    struct model *out = carry_model(m, desc, NULL, e);
    for (int i = 0; out && i < out->n_param; i++) {
        const struct param *p = &out->param[i];
        float *w = (float *)((char *)out->data + p->offset);
        uint16_t h;
        struct view v = {.data = &h, .dtype = p->store};
        for (int64_t j = 0; j < p->len && p->dtype == DT_F32 && p->store != DT_F32; j++) { /* what a file would give back */
            view_put(&v, 0, (double)w[j]);
            lost += isfinite(w[j]) && !isfinite(view_get(&v, 0));
            w[j] = (float)view_get(&v, 0);
        }
    }
    if (lost) {
        err_set(e, "quant.half: %lld weights are beyond 65504, the largest number of f16: use quant.half{ \"bf16\" }", (long long)lost);
        model_free(out);
        return NULL;
    }
    val_set_int(s->note, "parameters", n);
    val_set_str(s->note, "claim", "smaller file, no speed-up");
    return out;
}

static const char *const types[] = {"f16", "bf16", NULL};
static const struct arg int8_arg[] = {{.name = "choose",
                                          .help = "times each layer and leaves it in floats where 8 bits are not faster; false: all",
                                          .def = "true",
                                          .type = ARG_BOOL,
                                          .offset = offsetof(struct int8_args, choose)},
    {.name = "embeddings", .help = "tables too, row by row", .def = "true", .type = ARG_BOOL, .offset = offsetof(struct int8_args, embeddings)},
    {.name = "attention", .help = "products of attention too", .def = "true", .type = ARG_BOOL, .offset = offsetof(struct int8_args, attention)},
    {.name = "keep",
        .help = "layers or parameters that stay in floats: \"head\", { \"block1.*\", .. }",
        .type = ARG_VAL,
        .offset = offsetof(struct int8_args, keep)},
    {0}};
static const struct arg half_arg[] = {{.name = "type",
                                          .help = "f16 (11 bits of precision, up to 65504) or bf16 (8 bits, the range of f32)",
                                          .def = "f16",
                                          .type = ARG_ENUM,
                                          .flags = ARG_POSITIONAL,
                                          .offset = offsetof(struct half_args, type),
                                          .names = types},
    {0}};
extern const struct compressor compressor_int8, compressor_half;
const struct compressor compressor_int8 = {.kind = {.name = "int8",
                                               .help = "weights in 8 bits a scale a row, inputs quantised as they come",
                                               .example = "quant.int8{}",
                                               .args = int8_arg,
                                               .size = sizeof(struct int8_args)},
    .group = "quant",
    .run = int8_run};
const struct compressor compressor_half = {.kind = {.name = "half",
                                               .help = "weights stored in 16 bits, computed in f32",
                                               .example = "quant.half{ \"bf16\" }",
                                               .args = half_arg,
                                               .size = sizeof(struct half_args)},
    .group = "quant",
    .run = half_run};
