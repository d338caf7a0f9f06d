/* Pruning by magnitude. Units of feed-forward parts and of hidden linear layers, and heads of attention, are removed as a whole: a unit's score is the norm
 * of all that belongs to it (the row that makes it, its bias, the column that reads it), and the description gets smaller, so products do. A batch norm behind
 * a hidden layer loses the same units: it divides the size of their rows out, so its own gain and bias count instead of them (network slimming, Liu et al.
 * 2017). what="weights" only sets single weights to zero and is said to give no speed-up. In each layer the same share goes. */
#include "config.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/compress/compress.h"
#include "engine/graph/op.h"
#include "src/base/mem.h"

enum { WHAT_ALL, WHAT_UNITS, WHAT_HEADS, WHAT_WEIGHTS };
static const char *const whats[] = {"all", "units", "heads", "weights", NULL};
struct magnitude_args {
    double amount;
    int what;
    struct val *keep;
};

enum { NORMS = 2, MEMBERS = 3 + 4 * NORMS }; /* batch norms behind a hidden layer; what belongs to a unit then */

/* Positions of unit u in an extent of a parameter: part * part_len + u * per + 0 .. per, for each part. */
struct member {
    char name[256];
    int extent;
    int64_t per, parts, part_len;
    bool weightless; /* is no part of the score */
};
struct group { /* what is removed together */
    char path[200];
    const char *what, *field; /* field of the layer that counts the units */
    int64_t n, head; /* head > 0: values of a head */
    struct member member[MEMBERS];
    int n_member;
};
struct plan_prune {
    struct group *g;
    int n;
    const struct model *m;
    const struct magnitude_args *a;
    char why[256]; /* of the first hidden layer that has to stay: what stands in the way */
};

static void member_add(struct group *g, const struct model *m, const char *name, int extent, int64_t per, int64_t parts, int64_t part_len) {
    struct member *b = &g->member[g->n_member];
    char full[256];
    snprintf(full, sizeof full, "%.150s.%.60s", g->path, name);
    if (!model_param(m, full)) return; /* no bias */
    memcpy(b->name, full, sizeof full);
    b->extent = extent, b->per = per, b->parts = parts, b->part_len = part_len;
    g->n_member++;
}

static struct group *group_add(struct plan_prune *p, const char *path, const char *what, const char *field, int64_t n) {
    p->g = X_GROW(p->g, struct group, (size_t)p->n + 1);
    struct group *g = &p->g[p->n++];
    *g = (struct group){.what = what, .field = field, .n = n};
    snprintf(g->path, sizeof g->path, "%s", path);
    return g;
}

static const struct param *param_at(const struct model *m, const char *path, const char *name) {
    char full[256];
    snprintf(full, sizeof full, "%.150s.%.60s", path, name);
    return model_param(m, full);
}

static void heads_of(struct plan_prune *p, const struct val *v, const char *path, const char *prefix) {
    char qkv[48], out[48];
    snprintf(qkv, sizeof qkv, "%sqkv.weight", prefix);
    snprintf(out, sizeof out, "%sout.weight", prefix);
    const struct param *w = param_at(p->m, path, out);
    int64_t heads = val_get_int(v, "heads", 0), inner = w ? w->dim[1] : 0;
    if (heads < 2 || !inner || (p->a->what != WHAT_ALL && p->a->what != WHAT_HEADS) || keep_has(p->a->keep, w->name)) return;
    struct group *g = group_add(p, path, "heads", "heads", heads);
    g->head = inner / heads;
    member_add(g, p->m, qkv, 0, g->head, 3, inner);
    snprintf(qkv, sizeof qkv, "%sqkv.bias", prefix);
    member_add(g, p->m, qkv, 0, g->head, 3, inner);
    member_add(g, p->m, out, 1, g->head, 1, inner);
}

static void ffn_of(struct plan_prune *p, const struct val *v, const char *path) {
    const struct param *w = param_at(p->m, path, "down.weight");
    if (!w || w->dim[1] < 2 || p->a->what == WHAT_HEADS || keep_has(p->a->keep, w->name)) return;
    int64_t n = w->dim[1], parts = val_get_bool(v, "gated", false) ? 2 : 1;
    struct group *g = group_add(p, path, "feed-forward units", "ffn", n);
    member_add(g, p->m, "up.weight", 0, 1, parts, n);
    member_add(g, p->m, "up.bias", 0, 1, parts, n);
    member_add(g, p->m, "down.weight", 1, 1, 1, n);
}

/* Is the layer's name used beside the chain: by `from` of another layer, or are its weights shared? */
static bool used_elsewhere(const struct val *list, const struct val *layer) {
    const char *name = val_get_str(layer, "name", "");
    if (val_get(layer, "share")) return true;
    for (size_t i = 0; i < val_len(list); i++) {
        const struct val *v = val_at(list, i), *from = val_get(v, "from");
        if (strcmp(val_get_str(v, "share", ""), name) == 0) return true;
        for (size_t k = 0; k < val_len(from); k++)
            if (val_at(from, k)->type == VAL_STR && strcmp(val_at(from, k)->u.s.p, name) == 0) return true;
    }
    return false;
}

static bool works_on_elements(const char *kind) {
    static const char *const ops[] = {"relu", "gelu", "tanh", "sigmoid", "silu", "leaky_relu", "elu", "softplus", "dropout"};
    for (size_t i = 0; i < LEN(ops); i++)
        if (strcmp(kind, ops[i]) == 0) return true;
    return false;
}

/* Does a batch norm take the rows of a matrix, so that its channels are the units of the linear layer before it? */
static bool norms_units(const struct model *m, const char *path) {
    struct graph *g = graph_new(DT_F32, false, 0);
    struct model_io io;
    bool is = false;
    if (model_build(m, g, &io, NULL) == 0)
        for (int i = 0; i < g->n_node && !is; i++) {
            const struct node *n = &g->node[i];
            is = strcmp(n->op->kind.name, "batch_norm") == 0 && n->path && strcmp(n->path, path) == 0 && graph_tensor(g, n->in[0])->ndim == 2;
        }
    graph_free(g);
    return is;
}

static void keep_why(struct plan_prune *p, const struct val *layer, const char *what, const char *other) {
    if (!p->why[0]) snprintf(p->why, sizeof p->why, "%.60s has to stay whole: %.60s %s", val_get_str(layer, "name", "?"), other, what);
}

/* The linear layer that alone reads linear layer i of the list, with nothing but functions of single values and batch norms between them; NULL: none. */
static const struct val *reader_of(struct plan_prune *p, const struct val *list, size_t i, const char *prefix, const struct val *norm[NORMS], int *n_norm) {
    const struct val *layer = val_at(list, i);
    if (used_elsewhere(list, layer)) return keep_why(p, layer, "is used beside the chain", "it"), NULL;
    *n_norm = 0;
    for (size_t j = i + 1; j < val_len(list); j++) {
        const struct val *v = val_at(list, j);
        const char *kind = val_get_str(v, "layer", ""), *name = val_get_str(v, "name", kind);
        if (val_get(v, "from")) return keep_why(p, layer, "takes another input", name), NULL;
        char path[200];
        snprintf(path, sizeof path, "%.100s%.60s", prefix, name);
        bool is_norm = strcmp(kind, "batch_norm") == 0 && *n_norm < NORMS && !val_get(v, "share") && norms_units(p->m, path);
        if (strcmp(kind, "linear") == 0) return val_get(v, "share") ? (keep_why(p, layer, "shares its weights", name), NULL) : v;
        if (!works_on_elements(kind) && !is_norm) return keep_why(p, layer, "behind it takes its units together", name), NULL;
        if (used_elsewhere(list, v)) return keep_why(p, layer, "is used beside the chain", name), NULL;
        if (is_norm) norm[(*n_norm)++] = v;
    }
    return NULL;
}

/* What a batch norm keeps of each unit; the statistics say nothing of its weight. */
static void norm_of(struct plan_prune *p, struct group *g, const char *prefix, const struct val *norm) {
    static const char *const parts[] = {"weight", "bias", "running_mean", "running_var"};
    for (size_t k = 0; k < LEN(parts); k++) {
        struct member *b = &g->member[g->n_member];
        *b = (struct member){.per = 1, .parts = 1, .part_len = g->n, .weightless = k > 1};
        snprintf(b->name, sizeof b->name, "%.80s%.60s.%s", prefix, val_get_str(norm, "name", ""), parts[k]);
        if (model_param(p->m, b->name)) g->n_member++;
    }
}

static void hidden_of(struct plan_prune *p, const struct val *list, size_t i, const char *prefix, const char *path) {
    const struct param *w = param_at(p->m, path, "weight");
    const struct val *norm[NORMS];
    char reader[256];
    int n_norm;
    if (!w || w->dim[0] < 2 || p->a->what == WHAT_HEADS || keep_has(p->a->keep, w->name)) return;
    const struct val *next = reader_of(p, list, i, prefix, norm, &n_norm);
    if (!next) return;
    for (size_t k = 0; k < val_len(list); k++) /* the reader's weights may be shared too */
        if (strcmp(val_get_str(val_at(list, k), "share", ""), val_get_str(next, "name", "")) == 0) return;
    snprintf(reader, sizeof reader, "%.80s%.60s.weight", prefix, val_get_str(next, "name", ""));
    const struct param *r = model_param(p->m, reader);
    if (!r || r->dim[1] != w->dim[0]) return; /* a reader of longer rows */
    struct group *g = group_add(p, path, "units", "out", w->dim[0]);
    member_add(g, p->m, "weight", 0, 1, 1, w->dim[0]);
    member_add(g, p->m, "bias", 0, 1, 1, w->dim[0]);
    for (int k = 0; k < g->n_member; k++) g->member[k].weightless = n_norm > 0;
    for (int k = 0; k < n_norm; k++) norm_of(p, g, prefix, norm[k]);
    struct member *b = &g->member[g->n_member++];
    *b = (struct member){.extent = 1, .per = 1, .parts = 1, .part_len = w->dim[0]};
    snprintf(b->name, sizeof b->name, "%s", reader);
}

static void groups_of(struct plan_prune *p, const struct val *list, const char *prefix) {
    for (size_t i = 0; i < val_len(list); i++) {
        const struct val *v = val_at(list, i);
        const char *kind = val_get_str(v, "layer", "");
        char path[200], inner[200];
        snprintf(path, sizeof path, "%.100s%.60s", prefix, val_get_str(v, "name", ""));
        snprintf(inner, sizeof inner, "%.180s.", path);
        if (val_get(v, "layers")) groups_of(p, val_get(v, "layers"), inner);
        bool shared = val_get(v, "share") != NULL;
        for (size_t k = 0; k < val_len(list); k++) shared |= strcmp(val_get_str(val_at(list, k), "share", ""), val_get_str(v, "name", "")) == 0;
        if (shared) continue;
        if (strcmp(kind, "encoder_block") == 0) {
            heads_of(p, v, path, "attn.");
            ffn_of(p, v, path);
        } else if (strcmp(kind, "attention") == 0) heads_of(p, v, path, "");
        else if (strcmp(kind, "linear") == 0) hidden_of(p, list, i, prefix, path);
    }
}

/* ---- scores ---- */
struct scored {
    double score;
    int64_t unit;
};
static int by_score(const void *a, const void *b) { /* largest first; equal ones in their order */
    const struct scored *x = a, *y = b;
    return x->score != y->score ? (x->score < y->score ? 1 : -1) : x->unit < y->unit ? -1 : 1;
}
static int by_unit(const void *a, const void *b) {
    const struct scored *x = a, *y = b;
    return x->unit < y->unit ? -1 : x->unit > y->unit;
}

static int score(const struct model *m, const struct group *g, struct scored *s, struct err *e) {
    for (int64_t u = 0; u < g->n; u++) s[u] = (struct scored){0, u};
    for (int k = 0; k < g->n_member; k++) {
        const struct member *b = &g->member[k];
        const struct param *p = model_param(m, b->name);
        if (b->weightless) continue;
        int64_t cols = p->ndim > 1 ? p->dim[1] : 1;
        float *w = mem_try((size_t)p->len + 1, sizeof *w, "the weights", e);
        if (!w) return -1;
        param_get(m, p, w);
        for (int64_t i = 0; i < p->len; i++) {
            int64_t at = b->extent ? i % cols : i / cols;
            s[at % b->part_len / b->per].score += (double)w[i] * (double)w[i];
        }
        free(w);
    }
    qsort(s, (size_t)g->n, sizeof *s, by_score);
    return 0;
}

static int64_t left_of(int64_t n, double amount) {
    int64_t k = llround((double)n * (1 - amount));
    return k < 1 ? 1 : k > n ? n : k;
}

static int cut(const struct plan_prune *p, const struct group *g, struct val *desc, struct index_map *map, struct val *list, struct err *e) {
    struct scored *s = X_NEW(struct scored, (size_t)g->n + 1);
    int64_t left = left_of(g->n, p->a->amount);
    int rc = score(p->m, g, s, e);
    if (rc == 0) qsort(s, (size_t)left, sizeof *s, by_unit);
    for (int k = 0; k < g->n_member && rc == 0; k++) {
        const struct member *b = &g->member[k];
        int64_t *keep = X_NEW(int64_t, (size_t)(left * b->per * b->parts) + 1), n = 0;
        for (int64_t part = 0; part < b->parts; part++)
            for (int64_t u = 0; u < left; u++)
                for (int64_t j = 0; j < b->per; j++) keep[n++] = part * b->part_len + s[u].unit * b->per + j;
        index_add(map, b->name, b->extent, keep, n);
        free(keep);
    }
    struct val *layer = desc_layer(desc, g->path), *v = val_table();
    val_set_int(layer, g->field, left);
    if (g->head) val_set_int(layer, "head", g->head);
    val_set_str(v, "name", g->path);
    val_set_str(v, "what", g->what);
    val_set_int(v, "left", left);
    val_set_int(v, "of", g->n);
    val_push(list, v);
    free(s);
    return rc;
}

/* ---- single weights ---- */
static int by_size(const void *a, const void *b) {
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}
static struct model *zeros(const struct model *m, const struct magnitude_args *a, struct squeeze *s, struct err *e) {
    struct model *out = model_clone(m);
    int64_t all = 0, zero = 0;
    if (!out) err_set(e, "there is not enough memory for a copy of the model");
    for (int i = 0; out && i < out->n_param; i++) {
        const struct param *p = &out->param[i];
        if (p->ndim < 2 || p->table || !p->len || p->dtype != DT_F32 || keep_has(a->keep, p->name)) continue;
        float *w = (float *)((char *)out->data + p->offset), *v = mem_try((size_t)p->len, sizeof *v, "the weights", e);
        int64_t n = llround((double)p->len * a->amount), done = 0;
        if (!v) {
            model_free(out);
            return NULL;
        }
        for (int64_t k = 0; k < p->len; k++) v[k] = fabsf(w[k]);
        qsort(v, (size_t)p->len, sizeof *v, by_size);
        for (int64_t k = 0; k < p->len && n > 0 && done < n; k++)
            if (fabsf(w[k]) <= v[n - 1]) w[k] = 0, done++;
        all += p->len, zero += done;
        free(v);
    }
    val_set_int(s->note, "zeros", zero);
    val_set_int(s->note, "of", all);
    val_set_num(s->note, "sparsity", all ? (double)zero / (double)all : 0);
    val_set_str(s->note, "claim", "zeros only: no speed-up, no smaller file");
    return out;
}

static struct model *magnitude_run(const struct model *m, const void *args, struct squeeze *s, struct err *e) {
    const struct magnitude_args *a = args;
    struct plan_prune p = {.m = m, .a = a};
    if (keep_check(m, a->keep, "prune.magnitude", e) < 0) return NULL;
    if (a->what == WHAT_WEIGHTS) return zeros(m, a, s, e);
    groups_of(&p, val_get(m->desc, "layers"), "");
    struct val *desc = val_copy(m->desc), *list = val_list();
    int rc = p.n ? 0
                 : err_set(e, "prune.magnitude: the model has no %s that can be removed: hidden linear layers, feed-forward parts and heads can be%s%s",
                       a->what == WHAT_HEADS ? "heads" : "units", p.why[0] ? "; " : "", p.why);
    for (int i = 0; i < p.n && rc == 0; i++) rc = cut(&p, &p.g[i], desc, s->map, list, e);
    val_set(s->note, "layers", list);
    free(p.g);
    if (rc == 0) return carry_model(m, desc, s->map, e);
    val_free(desc);
    return NULL;
}

static const struct arg magnitude_arg[] = {{.name = "amount",
                                               .help = "share that goes, in each layer",
                                               .type = ARG_NUM,
                                               .flags = ARG_POSITIONAL | ARG_REQUIRED,
                                               .offset = offsetof(struct magnitude_args, amount),
                                               .lo = 0,
                                               .hi = 0.999},
    {.name = "what",
        .help = "units (of feed-forward parts and hidden layers), heads, all: both; weights: single ones become zero, no speed-up",
        .def = "all",
        .type = ARG_ENUM,
        .offset = offsetof(struct magnitude_args, what),
        .names = whats},
    {.name = "keep", .help = "layers that stay whole: \"block1\", { \"linear1\", .. }", .type = ARG_VAL, .offset = offsetof(struct magnitude_args, keep)}, {0}};
extern const struct compressor compressor_magnitude;
const struct compressor compressor_magnitude = {.kind = {.name = "magnitude",
                                                    .help = "removes the units and heads with the smallest weights",
                                                    .example = "prune.magnitude{ 0.5 }",
                                                    .args = magnitude_arg,
                                                    .size = sizeof(struct magnitude_args)},
    .group = "prune",
    .run = magnitude_run};
