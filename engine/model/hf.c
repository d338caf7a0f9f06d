/* Folders of transformers: config.json says the sizes, a const table which of their tensors make which of ours (queries, keys and values are stacked into
 * one). Everything is checked before memory is taken. Encoders of the BERT, DistilBERT and RoBERTa layouts; the folder's tokenizer becomes the model's
 * preparation of texts. Engine or helper thread. */
#include "config.h"

#include "engine/model/hf.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "datasets/text/encoder.h"
#include "engine/model/build.h"
#include "engine/model/safetensors.h"
#include "src/base/io.h"
#include "src/base/json.h"
#include "src/base/log.h"
#include "src/base/mem.h"
#include "src/base/utf8.h"

#define JSON_MAX ((size_t)64 << 20)
#define PARTS 3

struct name {
    const char *ours, *theirs[PARTS];
}; /* # stands for the block's number: from 1 in ours, from 0 in theirs; each has .weight and .bias */
struct layout {
    const char *type, *prefix; /* model_type; what may stand before every name of the encoder */
    const char *width, *blocks, *heads, *ffn, *act, *eps, *dropout; /* keys of config.json; eps NULL: 1e-12 */
    bool types, after_pad; /* types of tokens; positions begin behind the padding id */
    const char *head[2]; /* tensors of a classifier: inner, outer (inner NULL: the pooler) */
    const char *inner_act;
    const struct name *names;
};
static const struct layout layouts[];

struct hf { /* one folder being read */
    const char *path;
    const struct layout *l;
    struct val *config;
    struct st_file f;
    struct hf_options o;
};

bool hf_is(const char *path) {
    char *config = io_join(path, "config.json"), *own = io_join(path, "model.json");
    bool is = io_is_dir(path) && io_exists(config) && !io_exists(own);
    free(config);
    free(own);
    return is;
}

static const char *shown(struct buf *b, const char *s) {
    buf_clear(b);
    utf8_show(b, s, strlen(s), 60, UTF8_FULL);
    return b->data ? b->data : "";
}

static int find_layout(struct hf *h, struct err *e) {
    const char *type = val_get_str(h->config, "model_type", NULL);
    struct buf b = BUF_INIT;
    for (h->l = layouts; type && h->l->type && strcmp(h->l->type, type) != 0;) h->l++;
    if (!type || !h->l->type) {
        h->l = NULL;
        err_set(e, "%s/config.json: model_type %s is not known here: bert (MiniLM too), distilbert and roberta are", h->path,
            type ? shown(&b, type) : "is missing and");
    }
    buf_release(&b);
    return h->l ? 0 : -1;
}

static int whole(const struct hf *h, const char *key, int64_t lo, int64_t hi, int64_t *out, struct err *e) {
    const struct val *v = val_get(h->config, key);
    double given;
    char is[40] = "missing";
    if (v && val_as_int(v, out) && *out >= lo && *out <= hi) return 0;
    if (v && val_as_num(v, &given)) snprintf(is, sizeof is, "%.15g", given);
    else if (v) snprintf(is, sizeof is, "a %s", val_type_name(v));
    return err_set(e, "%s/config.json: %s is %s, it must be a whole number from %" PRId64 " to %" PRId64, h->path, key, is, lo, hi);
}

/* The tensor NAME.SUFFIX, with or without the encoder's prefix. */
static const struct st_tensor *their(const struct hf *h, const char *name, const char *suffix) {
    char full[256];
    snprintf(full, sizeof full, "%s.%s", name, suffix);
    const struct st_tensor *t = st_find(&h->f, full);
    if (t) return t;
    snprintf(full, sizeof full, "%s%s.%s", h->l->prefix, name, suffix);
    return st_find(&h->f, full);
}
static bool has_head(const struct hf *h) { return their(h, h->l->head[1], "weight") && (!h->l->head[0] || their(h, h->l->head[0], "weight")); }

/* What sentence-transformers wrote beside the model. */
static bool says(const struct hf *h, const char *file, const char *key) {
    char *path = io_join(h->path, file);
    struct err none = {0};
    struct val *v = io_exists(path) ? json_read_file(path, 1 << 20, &none) : NULL;
    bool yes = v && val_get_bool(v, key, false);
    for (size_t i = 0; v && !yes && i < val_len(v); i++) yes = strstr(val_get_str(val_at(v, i), "type", ""), key) != NULL;
    val_free(v);
    free(path);
    return yes;
}
static const char *pooling(const struct hf *h) {
    if (h->o.pool) return h->o.pool;
    if (says(h, "1_Pooling/config.json", "pooling_mode_mean_tokens")) return "mean";
    if (!h->o.classes && has_head(h)) return "first";
    return their(h, "pooler.dense", "weight") ? "first" : "none";
}

static struct val *layer(struct val *list, const char *kind, const char *name) {
    struct val *v = val_table();
    val_set_str(v, "layer", kind);
    if (name) val_set_str(v, "name", name);
    val_push(list, v);
    return v;
}
static void linear(struct val *list, const char *name, int64_t out, const char *act) {
    struct val *v = layer(list, "linear", name);
    val_set_int(v, "out", out);
    if (act) val_set_str(v, "act", act);
}

struct sizes {
    int64_t vocab, width, blocks, heads, ffn, positions, types, start, len;
    double eps, dropout;
    const char *act;
};
static int read_sizes(const struct hf *h, struct sizes *s, struct err *e) {
    static const char *const acts[][2] = {
        {"gelu", "gelu"}, {"gelu_new", "gelu_tanh"}, {"gelu_pytorch_tanh", "gelu_tanh"}, {"relu", "relu"}, {"silu", "silu"}, {"swish", "silu"}};
    const struct layout *l = h->l;
    *s = (struct sizes){.eps = l->eps ? val_get_num(h->config, l->eps, 1e-12) : 1e-12};
    if (whole(h, "vocab_size", 1, 1 << 24, &s->vocab, e) < 0 || whole(h, l->width, 1, 1 << 14, &s->width, e) < 0 ||
        whole(h, l->blocks, 1, 200, &s->blocks, e) < 0 || whole(h, l->heads, 1, 1024, &s->heads, e) < 0 || whole(h, l->ffn, 1, 1 << 18, &s->ffn, e) < 0 ||
        whole(h, "max_position_embeddings", 1, 1 << 20, &s->positions, e) < 0 || (l->types && whole(h, "type_vocab_size", 0, 1024, &s->types, e) < 0) ||
        (l->after_pad && whole(h, "pad_token_id", 0, 1000, &s->start, e) < 0))
        return -1;
    if (l->after_pad) s->start++;
    if (s->width % s->heads)
        return err_set(e, "%s/config.json: %s %" PRId64 " does not split into %s %" PRId64 ": the width must be a multiple of the heads", h->path, l->width,
            s->width, l->heads, s->heads);
    if (s->positions <= s->start)
        return err_set(e, "%s/config.json: max_position_embeddings %" PRId64 " leaves no place for a text: the first %" PRId64 " are unused", h->path,
            s->positions, s->start);
    s->dropout = h->o.dropout >= 0 ? h->o.dropout : val_get_num(h->config, l->dropout, 0.1);
    if (!(s->dropout >= 0 && s->dropout < 1)) return err_set(e, "%s/config.json: %s must be a number from 0 to below 1", h->path, l->dropout);
    s->len = h->o.len > 0 ? h->o.len : s->positions - s->start < 128 ? s->positions - s->start : 128;
    const char *act = val_get_str(h->config, l->act, "gelu"), *kind = val_get_str(h->config, "position_embedding_type", "absolute");
    for (size_t i = 0; i < LEN(acts); i++)
        if (strcmp(acts[i][0], act) == 0) s->act = acts[i][1];
    struct buf b = BUF_INIT;
    int rc = 0;
    if (!s->act)
        rc = err_set(e, "%s/config.json: the activation %s of %s is not known here: gelu, gelu_new, gelu_pytorch_tanh, relu, silu and swish are", h->path,
            shown(&b, act), l->act);
    else if (strcmp(kind, "absolute") != 0)
        rc = err_set(e, "%s/config.json: position_embedding_type %s is not known here, only absolute", h->path, shown(&b, kind));
    buf_release(&b);
    return rc;
}

/* The preparation of texts by the tokenizer of the folder; NULL where there is none, or none that is known here: the model works, on ids. */
static struct val *preparation(const struct hf *h, int64_t len) {
    static const char *const files[] = {"tokenizer.json", "vocab.txt"};
    bool any = false;
    for (size_t i = 0; i < LEN(files) && !any; i++) {
        char *path = io_join(h->path, files[i]);
        any = io_exists(path);
        free(path);
    }
    struct err why = {0};
    struct encoder x = {.len = len};
    if (!any) return NULL;
    if (!(x.tokenizer = tokenizer_load(h->path, true, &why))) {
        log_write(LOG_WARN, "%s is loaded without its tokenizer: %s", h->path, why.text);
        return NULL;
    }
    struct val *v = encoder_to_val(&x);
    encoder_release(&x);
    return v;
}

static struct val *describe(const struct hf *h, struct err *e) {
    struct sizes s;
    if (read_sizes(h, &s, e) < 0) return NULL;
    const char *pool = pooling(h);
    bool own_head = !h->o.classes && !h->o.pool && has_head(h), mean = strcmp(pool, "mean") == 0, first = strcmp(pool, "first") == 0;
    struct val *user = val_table(), *input = val_table(), *list = val_list(), *v;
    val_set_int(input, "ids", s.vocab);
    val_set_int(input, "len", s.len);
    val_set(user, "input", input);
    val_set_str(user, "name", h->l->type);
    if ((v = preparation(h, s.len))) val_set(user, "prep", v);
    v = layer(list, "text_embedding", "embed");
    val_set_int(v, "n", s.vocab), val_set_int(v, "dim", s.width), val_set_int(v, "positions", s.positions), val_set_int(v, "types", s.types),
        val_set_int(v, "start", s.start), val_set_num(v, "eps", s.eps), val_set_num(v, "dropout", s.dropout);
    for (int64_t i = 1; i <= s.blocks; i++) {
        char name[32];
        snprintf(name, sizeof name, "block%lld", (long long)i);
        v = layer(list, "encoder_block", name);
        val_set_int(v, "heads", s.heads), val_set_int(v, "ffn", s.ffn), val_set_str(v, "act", s.act), val_set_num(v, "eps", s.eps),
            val_set_num(v, "dropout", s.dropout);
    }
    if (first) layer(list, "first_token", NULL);
    if (mean) layer(list, "mean_pool", NULL);
    if (own_head && h->l->head[0]) linear(list, "inner", s.width, h->l->inner_act);
    else if (first && their(h, "pooler.dense", "weight")) linear(list, "pooler", s.width, "tanh");
    const struct st_tensor *outer = own_head ? their(h, h->l->head[1], "weight") : NULL;
    int64_t outputs = outer ? (outer->ndim == 2 ? outer->dim[0] : 1) : h->o.classes;
    if (outputs > 1) val_set_int(user, "classes", outputs);
    if (outputs) linear(list, "head", outputs, NULL);
    else if (mean && says(h, "modules.json", "Normalize")) layer(list, "l2_norm", NULL);
    for (size_t i = 0; i < val_len(list); i++) val_push(user, val_copy(val_at(list, i)));
    val_free(list);
    struct val *d = model_describe(user, NULL, e);
    val_free(user);
    return d;
}

/* The tensors that make parameter p; 0: none do (a new head). */
static int sources(const struct hf *h, const struct param *p, const struct st_tensor *out[PARTS], char missing[256]) {
    char stem[64];
    const char *dot = strrchr(p->name, '.'), *suffix = dot + 1;
    int block = 0, at = 0;
    if (sscanf(p->name, "block%d.%n", &block, &at) == 1 && at > 0) snprintf(stem, sizeof stem, "block#.%.*s", (int)(dot - p->name) - at, p->name + at);
    else snprintf(stem, sizeof stem, "%.*s", (int)(dot - p->name), p->name);
    const char *theirs[PARTS] = {0};
    if (strcmp(stem, "inner") == 0) theirs[0] = h->l->head[0];
    else if (strcmp(stem, "head") == 0) theirs[0] = h->o.classes ? NULL : h->l->head[1];
    else
        for (const struct name *n = h->l->names; n->ours; n++)
            if (strcmp(n->ours, stem) == 0) memcpy(theirs, n->theirs, sizeof theirs);
    int k = 0;
    for (; k < PARTS && theirs[k]; k++) {
        char full[160];
        const char *hash = strchr(theirs[k], '#');
        if (hash) snprintf(full, sizeof full, "%.*s%d%s", (int)(hash - theirs[k]), theirs[k], block - 1, hash + 1);
        else snprintf(full, sizeof full, "%s", theirs[k]);
        out[k] = their(h, full, suffix);
        if (!out[k] && strstr(full, "LayerNorm")) out[k] = their(h, full, strcmp(suffix, "weight") == 0 ? "gamma" : "beta"); /* files of 2018 */
        if (!out[k]) {
            snprintf(missing, 256, "%s.%s", full, suffix);
            return -1;
        }
    }
    return k;
}

static void shape_text(struct buf *b, const int64_t *dim, int ndim) {
    buf_addc(b, '(');
    for (int i = 0; i < ndim; i++) buf_addf(b, "%s%lld", i ? ", " : "", (long long)dim[i]);
    buf_addc(b, ')');
}
static int check_one(const struct hf *h, const struct param *p, const struct st_tensor *t, int parts, struct err *e) {
    struct buf want = BUF_INIT, have = BUF_INIT, name = BUF_INIT;
    int64_t dim[TENSOR_DIMS];
    memcpy(dim, p->dim, sizeof dim);
    dim[0] /= parts;
    int rc = 0;
    shape_text(&want, dim, p->ndim);
    shape_text(&have, t->dim, t->ndim);
    if (t->ndim != p->ndim || memcmp(t->dim, dim, (size_t)p->ndim * sizeof *dim) != 0)
        rc = err_set(e, "%s/model.safetensors: %s is %s, config.json asks for %s", h->path, shown(&name, t->name), have.data, want.data);
    else if (!dtypes[t->dtype].is_float)
        rc = err_set(e, "%s/model.safetensors: %s holds %s, weights are floats", h->path, shown(&name, t->name), dtypes[t->dtype].name);
    buf_release(&want);
    buf_release(&have);
    buf_release(&name);
    return rc;
}

static bool unused_head(const char *name) {
    static const char *const heads[] = {
        "cls.", "lm_head.", "classifier.", "pre_classifier.", "vocab_", "qa_outputs.", "pooler.", "bert.pooler.", "roberta.pooler."};
    for (size_t i = 0; i < LEN(heads); i++)
        if (strncmp(name, heads[i], strlen(heads[i])) == 0) return true;
    size_t n = strlen(name);
    return n >= 12 && strcmp(name + n - 12, "position_ids") == 0;
}

/* Every parameter has its tensors and every tensor a use; names up to eight that break this. */
static int check_all(const struct hf *h, const struct model *m, struct err *e) {
    struct buf missing = BUF_INIT, extra = BUF_INIT, name = BUF_INIT;
    bool *used = X_NEW(bool, h->f.n + 1);
    int n_missing = 0, n_extra = 0, rc = 0;
    for (int i = 0; i < m->n_param && rc == 0; i++) {
        const struct st_tensor *t[PARTS];
        char lost[256];
        int k = sources(h, &m->param[i], t, lost);
        if (k < 0 && n_missing++ < 8) buf_addf(&missing, "%s%s", n_missing > 1 ? ", " : "", lost);
        for (int j = 0; j < k && rc == 0; j++) {
            used[t[j] - h->f.tensor] = true;
            rc = check_one(h, &m->param[i], t[j], k, e);
        }
    }
    for (size_t i = 0; i < h->f.n && rc == 0; i++)
        if (!used[i] && !unused_head(h->f.tensor[i].name) && n_extra++ < 8)
            buf_addf(&extra, "%s%s", n_extra > 1 ? ", " : "", shown(&name, h->f.tensor[i].name));
    if (rc == 0 && n_missing)
        rc = err_set(e, "%s/model.safetensors: %d tensors are missing: %s%s", h->path, n_missing, missing.data, n_missing > 8 ? " ..." : "");
    else if (rc == 0 && n_extra)
        rc = err_set(e, "%s/model.safetensors: %d tensors do not belong to a model of type %s: %s%s", h->path, n_extra, h->l->type, extra.data,
            n_extra > 8 ? " ..." : "");
    free(used);
    buf_release(&missing);
    buf_release(&extra);
    buf_release(&name);
    return rc;
}

/* vocab.txt, where there is one, has no more words than the table has rows. */
static int check_vocab(const struct hf *h, struct err *e) {
    char *path = io_join(h->path, "vocab.txt");
    struct buf b = BUF_INIT;
    int64_t lines = 0, size = val_get_int(h->config, "vocab_size", 0);
    int rc = io_exists(path) ? io_read_file(path, JSON_MAX, &b, e) : 0;
    for (size_t i = 0; i < b.len; i++) lines += b.data[i] == '\n' || i + 1 == b.len;
    if (rc == 0 && lines > size)
        rc = err_set(e, "%s holds %lld words, config.json says vocab_size %lld: it belongs to another model", path, (long long)lines, (long long)size);
    buf_release(&b);
    free(path);
    return rc;
}

static int take(const struct hf *h, struct model *m, struct err *e) {
    if (check_all(h, m, e) < 0 || check_vocab(h, e) < 0) return -1;
    if (!(m->data = mem_try(m->bytes, 1, "the weights", e))) return -1;
    for (int i = 0; i < m->n_param; i++) {
        const struct st_tensor *t[PARTS];
        char lost[256];
        const struct param *p = &m->param[i];
        int k = sources(h, p, t, lost);
        float *w = (float *)((char *)m->data + p->offset);
        if (k == 0) model_init_param(m, p, w);
        for (int j = 0; j < k; j++) st_floats(t[j], w + j * (p->len / k));
    }
    return 0;
}

struct model *hf_load(const char *path, const struct hf_options *o, struct err *e) {
    struct hf h = {.path = path, .o = *o};
    struct model *m = NULL;
    char *config = io_join(path, "config.json"), *weights = io_join(path, "model.safetensors");
    h.config = json_read_file(config, JSON_MAX, e);
    if (h.config && find_layout(&h, e) == 0 && st_read(weights, &h.f, e) == 0) {
        struct val *d = describe(&h, e);
        m = d ? model_blank(d, o->seed, e) : NULL;
        if (m && take(&h, m, e) < 0) {
            model_free(m);
            m = NULL;
        }
    }
    st_release(&h.f);
    val_free(h.config);
    free(config);
    free(weights);
    return m;
}

static const struct name bert_names[] = {{"embed.word", {"embeddings.word_embeddings"}}, {"embed.position", {"embeddings.position_embeddings"}},
    {"embed.type", {"embeddings.token_type_embeddings"}}, {"embed.norm", {"embeddings.LayerNorm"}},
    {"block#.attn.qkv", {"encoder.layer.#.attention.self.query", "encoder.layer.#.attention.self.key", "encoder.layer.#.attention.self.value"}},
    {"block#.attn.out", {"encoder.layer.#.attention.output.dense"}}, {"block#.norm1", {"encoder.layer.#.attention.output.LayerNorm"}},
    {"block#.up", {"encoder.layer.#.intermediate.dense"}}, {"block#.down", {"encoder.layer.#.output.dense"}},
    {"block#.norm2", {"encoder.layer.#.output.LayerNorm"}}, {"pooler", {"pooler.dense"}}, {NULL, {NULL}}};
static const struct name distil_names[] = {{"embed.word", {"embeddings.word_embeddings"}}, {"embed.position", {"embeddings.position_embeddings"}},
    {"embed.norm", {"embeddings.LayerNorm"}},
    {"block#.attn.qkv", {"transformer.layer.#.attention.q_lin", "transformer.layer.#.attention.k_lin", "transformer.layer.#.attention.v_lin"}},
    {"block#.attn.out", {"transformer.layer.#.attention.out_lin"}}, {"block#.norm1", {"transformer.layer.#.sa_layer_norm"}},
    {"block#.up", {"transformer.layer.#.ffn.lin1"}}, {"block#.down", {"transformer.layer.#.ffn.lin2"}},
    {"block#.norm2", {"transformer.layer.#.output_layer_norm"}}, {NULL, {NULL}}};
static const struct layout layouts[] = {{"bert", "bert.", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "hidden_act",
                                            "layer_norm_eps", "hidden_dropout_prob", true, false, {NULL, "classifier"}, NULL, bert_names},
    {"roberta", "roberta.", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "hidden_act", "layer_norm_eps",
        "hidden_dropout_prob", true, true, {"classifier.dense", "classifier.out_proj"}, "tanh", bert_names},
    {"distilbert", "distilbert.", "dim", "n_layers", "n_heads", "hidden_dim", "activation", NULL, "dropout", false, false, {"pre_classifier", "classifier"},
        "relu", distil_names},
    {0}};
