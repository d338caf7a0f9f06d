/* Layers of transformers over packed texts: text_embedding (words, positions, types, normalisation), attention, encoder_block (attention and feed-forward
 * part with residuals; normalisation behind the sums as in BERT, or before the parts as in GPT-2; gated feed-forward; rotary positions), first_token. Weights
 * of queries, keys and values lie under each other in one matrix, so that one product makes all three. Linear weights start as those of linear. */
#include <stdio.h>

#include "engine/graph/op.h"
#include "engine/layers/layer.h"

struct embed_args {
    int64_t n, dim, positions, types, start;
    bool norm;
    double eps, dropout;
};
struct attn_args {
    int64_t heads;
    bool causal, bias;
    double rope, dropout;
    int64_t head;
    int math;
};
struct block_args {
    int64_t heads, ffn;
    int act;
    bool gated, pre;
    bool causal, bias;
    double eps, rope, dropout;
    int64_t head;
    int math;
};

static const char *const maths[] = {"f32", "i8", NULL};
static const char *const acts[] = {"gelu", "gelu_tanh", "relu", "silu", "tanh", "sigmoid", NULL};

static int norm_params(struct builder *b, const char *name, int64_t n, tid out[2], struct err *e) {
    char full[48];
    snprintf(full, sizeof full, "%s.weight", name);
    if ((out[0] = build_param(b, full, &n, 1, INIT_ONE, 0, e)) < 0) return -1;
    snprintf(full, sizeof full, "%s.bias", name);
    return (out[1] = build_param(b, full, &n, 1, INIT_ZERO, 0, e)) < 0 ? -1 : 0;
}
static tid with_eps(struct graph *g, const char *op, double eps, const tid *in, int n, tid *out, struct err *e) {
    struct val *a = val_table();
    val_set_num(a, "eps", eps);
    tid t = graph_add(g, op, a, in, n, out, e);
    val_free(a);
    return t;
}
static tid norm(struct builder *b, const char *name, tid x, double eps, struct err *e) {
    const struct tensor *t = graph_tensor(build_graph(b), x);
    tid p[2], out[OP_OUT];
    if (norm_params(b, name, t->dim[t->ndim - 1].k, p, e) < 0) return -1;
    return with_eps(build_graph(b), "layer_norm", eps, (tid[]){x, p[0], p[1]}, 3, out, e);
}
/* *sum = a + b; returns its normalisation. */
static tid add_norm(struct builder *b, const char *name, tid x, tid y, double eps, tid *sum, struct err *e) {
    const struct tensor *t = graph_tensor(build_graph(b), x);
    tid p[2], out[OP_OUT];
    if (norm_params(b, name, t->dim[t->ndim - 1].k, p, e) < 0) return -1;
    *sum = with_eps(build_graph(b), "add_norm", eps, (tid[]){x, y, p[0], p[1]}, 4, out, e);
    return *sum < 0 ? -1 : out[1];
}
static tid drop(struct builder *b, tid x, tid p, struct err *e) { return x < 0 || p < 0 ? x : graph_add2(build_graph(b), "dropout", x, p, e); }
/* The live probability of this layer, or -1 where nothing is dropped. */
static int live(struct builder *b, double dropout, tid *p, struct err *e) {
    *p = -1;
    if (!build_graph(b)->training || dropout <= 0) return 0;
    return (*p = build_live(b, "dropout", dropout, e)) < 0 ? -1 : 0;
}

/* x (T, n): ragged tokens of a fixed width; n. */
static int64_t width(struct builder *b, tid x, struct err *e) {
    const struct tensor *t = graph_tensor(build_graph(b), x);
    if (t->offsets >= 0 && t->ndim == 2 && t->dim[1].axis == AXIS_ONE) return t->dim[1].k;
    return err_set(
        e, "%s: %s works on the tokens of texts or frames of rows: put an embedding or frames{} before it and no pooling", build_path(b), build_kind(b));
}
static tid attend(struct builder *b, const char *prefix, tid x, int64_t n, const struct attn_args *a, tid p, struct err *e) {
    struct graph *g = build_graph(b);
    char name[32];
    if (a->head == ARG_NONE_INT && n % a->heads != 0)
        return err_set(
            e, "%s: %lld values do not split into %lld heads: the width must be a multiple of heads", build_path(b), (long long)n, (long long)a->heads);
    int64_t inner = a->head == ARG_NONE_INT ? n : a->heads * a->head;
    tid off = graph_tensor(g, x)->offsets, out[OP_OUT];
    snprintf(name, sizeof name, "%sqkv.", prefix);
    tid qkv = build_dense(b, name, x, 3 * inner, a->bias, e);
    if (qkv < 0) return -1;
    struct val *t = val_table();
    val_set_int(t, "heads", a->heads);
    if (a->rope > 0) {
        val_set_num(t, "base", a->rope);
        qkv = graph_add(g, "rope", t, (tid[]){qkv, off}, 2, out, e);
        val_unset(t, "base");
    }
    bool i8 = a->math == 1 && !a->causal && !g->training && g->real == DT_F32;
    if (a->causal) val_set_bool(t, "causal", true);
    tid y = qkv < 0 ? -1 : graph_add(g, i8 ? "attention_i8" : "attention", t, (tid[]){qkv, off, p}, p >= 0 ? 3 : 2, out, e);
    val_free(t);
    snprintf(name, sizeof name, "%sout.", prefix);
    return y < 0 ? -1 : build_dense(b, name, y, n, a->bias, e);
}
static int attention_build(struct builder *b, const void *args, const tid *in, int n_in, tid *out, struct err *e) {
    const struct attn_args *a = args;
    int64_t n = width(b, in[0], e);
    tid p;
    (void)n_in;
    if (n < 0 || live(b, a->dropout, &p, e) < 0) return -1;
    return (*out = attend(b, "", in[0], n, a, p, e)) < 0 ? -1 : 0;
}

static tid act_of(struct builder *b, int act, tid x, struct err *e) {
    bool tanh_form = act == 1;
    return x < 0 ? -1 : graph_attr(build_graph(b), tanh_form ? "gelu" : acts[act], tanh_form ? "approx=tanh" : NULL, &x, 1, NULL, e);
}
static tid feed_forward(struct builder *b, const struct block_args *a, tid x, int64_t n, struct err *e) {
    int64_t ffn = a->ffn == ARG_NONE_INT ? 4 * n : a->ffn;
    tid u = build_dense(b, "up.", x, a->gated ? 2 * ffn : ffn, a->bias, e);
    if (a->gated) { /* act(first half) * second half */
        char line[48];
        snprintf(line, sizeof line, "act=%s gate=first", acts[a->act]);
        u = u < 0 ? -1 : graph_attr(build_graph(b), "glu", line, &u, 1, NULL, e);
    } else u = act_of(b, a->act, u, e);
    return u < 0 ? -1 : build_dense(b, "down.", u, n, a->bias, e);
}
static int block_build(struct builder *b, const void *args, const tid *in, int n_in, tid *out, struct err *e) {
    const struct block_args *a = args;
    struct attn_args attn = {a->heads, a->causal, a->bias, a->rope, 0, a->head, a->math};
    int64_t n = width(b, in[0], e);
    tid x = in[0], p, sum, y;
    (void)n_in;
    build_part(b);
    if (n < 0 || live(b, a->dropout, &p, e) < 0) return -1;
    tid first = a->pre ? norm(b, "norm1", x, a->eps, e) : x;
    if (first < 0 || (y = attend(b, "attn.", first, n, &attn, p, e)) < 0 || (y = drop(b, y, p, e)) < 0) return -1;
    if ((y = add_norm(b, a->pre ? "norm2" : "norm1", y, x, a->eps, &sum, e)) < 0) return -1;
    tid f = drop(b, feed_forward(b, a, y, n, e), p, e);
    if (f < 0) return -1;
    if (a->pre) *out = graph_add2(build_graph(b), "add", f, sum, e);
    else *out = add_norm(b, "norm2", f, y, a->eps, &sum, e);
    return *out < 0 ? -1 : 0;
}

static int embed_build(struct builder *b, const void *args, const tid *in, int n_in, tid *out, struct err *e) {
    const struct embed_args *a = args;
    struct graph *g = build_graph(b);
    int64_t ids = build_ids(b, in[0]), n = a->n == ARG_NONE_INT ? ids : a->n, len = build_len(b, in[0]), off = graph_tensor(g, in[0])->offsets;
    tid p, ins[6] = {in[0], -1, (tid)off, -1, -1, -1};
    (void)n_in;
    if (off < 0 || graph_tensor(g, in[0])->dtype != DT_I32) return err_set(e, "%s: a text embedding takes the ids of texts", build_path(b));
    if (n < 1) return err_set(e, "%s: say how many ids there are: text_embedding{ n, dim }", build_path(b));
    if (ids > n) return err_set(e, "%s: the table has %lld rows but the input has %lld ids: make n at least that", build_path(b), (long long)n, (long long)ids);
    if (a->positions > 0 && len + a->start > a->positions)
        return err_set(e, "%s: the input's texts have up to %lld tokens, the table has %lld positions%s: cut them with len=%lld", build_path(b), (long long)len,
            (long long)a->positions, a->start ? ", the first unused" : "", (long long)(a->positions - a->start));
    if ((ins[1] = build_param(b, "word.weight", (int64_t[]){n, a->dim}, 2, INIT_UNIFORM, 0.05, e)) < 0) return -1;
    if (build_is_i8(b, ins[1]) && (ins[5] = build_scale(b, "word.weight", n, e)) < 0) return -1;
    if (a->positions > 0 && (ins[3] = build_param(b, "position.weight", (int64_t[]){a->positions, a->dim}, 2, INIT_UNIFORM, 0.05, e)) < 0) return -1;
    if (a->types > 0 && (ins[4] = build_param(b, "type.weight", (int64_t[]){a->types, a->dim}, 2, INIT_UNIFORM, 0.05, e)) < 0) return -1;
    char line[48];
    snprintf(line, sizeof line, "start=%lld", (long long)a->start);
    tid y = graph_attr(g, ins[5] >= 0 ? "embed_i8" : "embed", line, ins, ins[5] >= 0 ? 6 : 5, NULL, e);
    if (y >= 0 && a->norm) y = norm(b, "norm", y, a->eps, e);
    if (y < 0 || live(b, a->dropout, &p, e) < 0) return -1;
    return (*out = drop(b, y, p, e)) < 0 ? -1 : 0;
}
static int first_build(struct builder *b, const void *args, const tid *in, int n_in, tid *out, struct err *e) {
    (void)args;
    (void)n_in;
    if (width(b, in[0], e) < 0) return -1;
    return (*out = graph_add2(build_graph(b), "first_token", in[0], graph_tensor(build_graph(b), in[0])->offsets, e)) < 0 ? -1 : 0;
}

#define DROPOUT(T, at) \
    { .name = "dropout", .help = at, .def = "0", .type = ARG_NUM, .flags = ARG_LIVE, .offset = offsetof(struct T, dropout), .lo = 0, .hi = 0.999 }
#define EPS(T, d) \
    { .name = "eps", .help = "added to the variance of a normalisation", .def = d, .type = ARG_NUM, .offset = offsetof(struct T, eps), .lo = 0, .hi = 1 }
#define HEADS(T) \
    { .name = "heads", .help = "heads", .type = ARG_INT, .flags = ARG_POSITIONAL | ARG_REQUIRED, .offset = offsetof(struct T, heads), .lo = 1, .hi = 4096 }
#define HEAD(T)                                                                                                                                \
    {.name = "head",                                                                                                                           \
        .help = "values of a head; default: the width over the heads. Said where heads were removed",                                          \
        .type = ARG_INT,                                                                                                                       \
        .offset = offsetof(struct T, head),                                                                                                    \
        .lo = 1,                                                                                                                               \
        .hi = 65536},                                                                                                                          \
    {                                                                                                                                          \
        .name = "math", .help = "products of attention where nothing is trained and every token sees all: f32, or i8 in 8 bits", .def = "f32", \
        .type = ARG_ENUM, .offset = offsetof(struct T, math), .names = maths                                                                   \
    }
#define SHARED(T)                                                                                                                                             \
    {.name = "causal", .help = "a token sees itself and earlier ones only", .def = "false", .type = ARG_BOOL, .offset = offsetof(struct T, causal)},          \
        {.name = "bias", .help = "products add a bias", .def = "true", .type = ARG_BOOL, .offset = offsetof(struct T, bias)}, {                               \
        .name = "rope", .help = "base of rotary positions, usually 10000; 0: none", .def = "0", .type = ARG_NUM, .offset = offsetof(struct T, rope), .lo = 0, \
        .hi = 1e9                                                                                                                                             \
    }
static const struct arg embed_arg[] = {{.name = "n",
                                           .help = "number of ids; default: those of the data",
                                           .type = ARG_INT,
                                           .flags = ARG_POSITIONAL,
                                           .offset = offsetof(struct embed_args, n),
                                           .lo = 1,
                                           .hi = 1 << 28},
    {.name = "dim",
        .help = "values a vector",
        .type = ARG_INT,
        .flags = ARG_POSITIONAL | ARG_REQUIRED,
        .offset = offsetof(struct embed_args, dim),
        .lo = 1,
        .hi = 1 << 16},
    {.name = "positions",
        .help = "longest text; 0: no learned positions",
        .def = "512",
        .type = ARG_INT,
        .offset = offsetof(struct embed_args, positions),
        .lo = 0,
        .hi = 1 << 20},
    {.name = "types",
        .help = "types of tokens, all of type 0; 0: none",
        .def = "0",
        .type = ARG_INT,
        .offset = offsetof(struct embed_args, types),
        .lo = 0,
        .hi = 1024},
    {.name = "start",
        .help = "position of the first token (RoBERTa: 2)",
        .def = "0",
        .type = ARG_INT,
        .offset = offsetof(struct embed_args, start),
        .lo = 0,
        .hi = 1024},
    {.name = "norm", .help = "normalises the sum", .def = "true", .type = ARG_BOOL, .offset = offsetof(struct embed_args, norm)}, EPS(embed_args, "1e-12"),
    DROPOUT(embed_args, "share of values dropped in training"), {0}};
static const struct arg attn_arg[] = {
    HEADS(attn_args), SHARED(attn_args), DROPOUT(attn_args, "share of attention weights dropped in training"), HEAD(attn_args), {0}};
static const struct arg block_arg[] = {HEADS(block_args),
    {.name = "ffn",
        .help = "width of the feed-forward part; default: 4 times the input's",
        .type = ARG_INT,
        .flags = ARG_POSITIONAL,
        .offset = offsetof(struct block_args, ffn),
        .lo = 1,
        .hi = 1 << 20},
    {.name = "act", .help = "activation of the feed-forward part", .def = "gelu", .type = ARG_ENUM, .offset = offsetof(struct block_args, act), .names = acts},
    {.name = "gated",
        .help = "act(half of it) times the other half: silu gives SwiGLU",
        .def = "false",
        .type = ARG_BOOL,
        .offset = offsetof(struct block_args, gated)},
    {.name = "pre",
        .help = "normalises before each part instead of behind each sum",
        .def = "false",
        .type = ARG_BOOL,
        .offset = offsetof(struct block_args, pre)},
    SHARED(block_args), EPS(block_args, "1e-12"), DROPOUT(block_args, "share dropped in training, of attention weights and of both parts"), HEAD(block_args),
    {0}};

#define LAYER(n, h, ex, build_, args_, size_) \
    extern const struct layer layer_##n;      \
    const struct layer layer_##n = {.kind = {.name = #n, .help = h, .example = ex, .args = args_, .size = size_}, .in_min = 1, .in_max = 1, .build = build_};
LAYER(attention, "multi-head self-attention over the tokens of each text", "nn.attention{ 12 }", attention_build, attn_arg, sizeof(struct attn_args))
LAYER(encoder_block, "a transformer block: attention, feed-forward part, residuals, normalisation", "nn.encoder_block{ 12, ffn=1536 }", block_build, block_arg,
    sizeof(struct block_args))
LAYER(text_embedding, "vectors of words, positions and types, summed and normalised", "nn.text_embedding{ 30522, 384, types=2 }", embed_build, embed_arg,
    sizeof(struct embed_args))
LAYER(first_token, "the first token of each text ([CLS])", "nn.first_token{}", first_build, NULL, 0)
