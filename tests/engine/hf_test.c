/* Encoders in the layout of the transformers package against numbers of PyTorch (tests/golden/make_encoders.py): outputs, first gradients and the losses of
 * 100 steps of plain descent in double to 1e-9, fp32 outputs to 1e-6 and 10 steps to 1e-5. Then folders that are broken in one way each: one sentence, nothing
 * loaded. */
#include "config.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/graph/op.h"
#include "engine/model/hf.h"
#include "engine/model/safetensors.h"
#include "src/base/io.h"
#include "src/base/json.h"
#include "src/base/mem.h"
#include "tests/tap.h"

enum { ROWS = 4, CLASSES = 3, STEPS = 100, SHORT = 10 };
struct trial {
    struct graph *g;
    struct plan *p;
    struct model *m;
    struct model_io *io;
    bool wide;
    char *weights;
    tid loss, dl, grad[128];
    struct extents x;
};
static double get(const struct trial *t, const void *at, int64_t i) { return t->wide ? ((const double *)at)[i] : (double)((const float *)at)[i]; }
static void put(const struct trial *t, void *at, int64_t i, double v) {
    if (t->wide) ((double *)at)[i] = v;
    else ((float *)at)[i] = (float)v;
}
static char *weight(const struct trial *t, int k) { return t->weights + t->m->param[k].offset * (t->wide ? 2 : 1); }
static char *folder(const char *name) {
    struct buf b = BUF_INIT;
    buf_addf(&b, "%s/tests/golden/encoders/%s", getenv("top_srcdir") ? getenv("top_srcdir") : ".", name);
    return buf_take(&b);
}

static int open_trial(struct trial *t, const struct val *c, struct err *e) {
    char *path = folder(val_get_str(c, "name", ""));
    struct dim row = {1, AXIS_R};
    t->m = hf_load(path, &(struct hf_options){.len = 12, .seed = 1}, e);
    free(path);
    if (!t->m) return -1;
    t->g = graph_new(t->wide ? DT_F64 : DT_F32, true, 1);
    if (model_build(t->m, t->g, t->io, e) < 0) return -1;
    tid label = graph_input(t->g, "y", DT_I32, &row, 1, -1), out[2];
    t->dl = graph_scalar(t->g, "dl");
    t->loss = graph_attr(t->g, "softmax_ce", NULL, (tid[]){t->io->out, label}, 2, out, e);
    if (t->loss < 0 || fuse_forward(t->g, e) < 0 || grad_build(t->g, t->loss, t->dl, t->io->param, t->m->n_param, t->grad, e) < 0) return -1;
    tid keep[600] = {t->loss, t->io->out};
    int n = 2;
    for (int k = 0; k < t->m->n_param; k++) {
        keep[n++] = t->grad[k];
        if (t->grad[k] >= 0 && grad_rows(t->g, t->grad[k], keep + n)) n += 3;
    }
    t->weights = mem_try(t->m->bytes * 2, 1, "weights", e);
    t->x = (struct extents){.n = {1, ROWS, ROWS + 1, (int64_t)val_len(val_get(c, "ids"))}};
    struct plan_options o = {.reference = t->wide, .keep = keep, .n_keep = n, .param = t->weights};
    if (!(t->p = plan_new(t->g, &t->x, &o, e)) || plan_alloc(t->p, e) < 0) return -1;
    int32_t *off = plan_data(t->p, t->io->in[0].offsets), *ids = plan_data(t->p, t->io->in[0].data), *y = plan_data(t->p, label);
    int64_t v;
    for (size_t i = 0; i < ROWS; i++) {
        if (val_as_int(val_at(val_get(c, "lens"), i), &v)) off[i + 1] = off[i] + (int32_t)v;
        if (val_as_int(val_at(val_get(c, "y"), i), &v)) y[i] = (int32_t)v;
    }
    for (size_t i = 0; i < val_len(val_get(c, "ids")); i++)
        if (val_as_int(val_at(val_get(c, "ids"), i), &v)) ids[i] = (int32_t)v;
    plan_scalar(t->p, t->dl, 1.0 / ROWS);
    for (int k = 0; k < t->m->n_param; k++)
        for (int64_t i = 0; i < t->m->param[k].len; i++) put(t, weight(t, k), i, (double)((float *)((char *)t->m->data + t->m->param[k].offset))[i]);
    return 0;
}

static double gradient(const struct trial *t, int k, int64_t i) {
    tid r[3];
    if (t->grad[k] < 0) return 0;
    if (!grad_rows(t->g, t->grad[k], r)) return get(t, plan_data(t->p, t->grad[k]), i);
    int64_t d = t->m->param[k].dim[1], s = ((int32_t *)plan_data(t->p, r[2]))[i / d];
    return s < 0 ? 0 : get(t, plan_data(t->p, t->grad[k]), s * d + i % d);
}

/* Norm and weighted sum of a gradient, values from .. from + n - 1, against PyTorch's of the tensor `name`; relative to the norm. */
static double far(const struct trial *t, int k, int64_t from, int64_t n, const struct val *want) {
    double s = 0, dot = 0, a = 0, b = 0;
    for (int64_t i = 0; i < n; i++) {
        double g = gradient(t, k, from + i);
        s += g * g;
        dot += g * cos((double)i);
    }
    if (!val_as_num(val_at(want, 0), &a) || !val_as_num(val_at(want, 1), &b)) return INFINITY;
    return fmax(fabs(sqrt(s) - a), fabs(dot - b)) / (a > 1e-9 ? a : 1);
}
/* A few tensors of each layout: word vectors, keys (the middle third of a stacked weight), a normalisation, the head. */
static double gradients(const struct trial *t, const struct val *c) {
    static const char *const names[3][5] = {
        {"bert.embeddings.word_embeddings.weight", "bert.encoder.layer.1.attention.self.key.weight", "bert.encoder.layer.0.output.LayerNorm.weight",
            "bert.embeddings.position_embeddings.weight", "classifier.weight"},
        {"roberta.embeddings.word_embeddings.weight", "roberta.encoder.layer.1.attention.self.key.weight", "roberta.encoder.layer.0.output.LayerNorm.weight",
            "roberta.embeddings.position_embeddings.weight", "classifier.out_proj.weight"},
        {"distilbert.embeddings.word_embeddings.weight", "distilbert.transformer.layer.1.attention.k_lin.weight",
            "distilbert.transformer.layer.0.output_layer_norm.weight", "distilbert.embeddings.position_embeddings.weight", "classifier.weight"}};
    static const char *const ours[5] = {"embed.word.weight", "block2.attn.qkv.weight", "block1.norm2.weight", "embed.position.weight", "head.weight"};
    const char *kind = val_get_str(c, "name", "");
    int row = strcmp(kind, "bert") == 0 ? 0 : strcmp(kind, "roberta") == 0 ? 1 : 2;
    double worst = 0;
    for (int i = 0; i < 5; i++)
        for (int k = 0; k < t->m->n_param; k++)
            if (strcmp(t->m->param[k].name, ours[i]) == 0) {
                int64_t n = t->m->param[k].len / (i == 1 ? 3 : 1);
                worst = fmax(worst, far(t, k, i == 1 ? n : 0, n, val_get(val_get(c, "grads"), names[row][i])));
            }
    return worst;
}

static void run(const struct val *c, bool wide) {
    struct err e = {0};
    struct trial t = {.wide = wide, .io = X_NEW(struct model_io, 1)};
    double off = 0, goff = 0, ooff = 0;
    int rc = open_trial(&t, c, &e);
    for (int s = 0; rc == 0 && s <= (wide ? STEPS : SHORT); s++) {
        double want = 0;
        rc = plan_run(t.p, &t.x, PHASE_FORWARD, PHASE_BACKWARD, &e);
        val_as_num(val_at(val_get(c, "losses"), (size_t)s), &want);
        off = fmax(off, fabs(get(&t, plan_data(t.p, t.loss), 0) / ROWS - want));
        for (int i = 0; s == 0 && i < ROWS * CLASSES; i++)
            if (val_as_num(val_at(val_at(val_get(c, "logits"), (size_t)(i / CLASSES)), (size_t)(i % CLASSES)), &want))
                ooff = fmax(ooff, fabs(get(&t, plan_data(t.p, t.io->out), i) - want));
        if (s == 0) goff = gradients(&t, c);
        for (int k = 0; k < t.m->n_param; k++)
            for (int64_t i = 0; i < t.m->param[k].len; i++) put(&t, weight(&t, k), i, get(&t, weight(&t, k), i) - 0.05 * gradient(&t, k, i));
    }
    tap_ok(rc == 0 && off <= (wide ? 1e-9 : 1e-5) && goff <= (wide ? 1e-9 : 1e-5) && ooff <= (wide ? 1e-9 : 5e-6),
        "%s, %s: outputs within %.1e, gradients within %.1e, losses of %d steps within %.1e %s", val_get_str(c, "name", "?"), wide ? "double" : "fp32", ooff,
        goff, wide ? STEPS : SHORT, off, e.text);
    plan_free(t.p);
    graph_free(t.g);
    model_free(t.m);
    free(t.weights);
    free(t.io);
}

/* ---- broken folders */
static char dir[] = "/tmp/hone-hf-XXXXXX";

/* BERT's folder as it is, and an empty one to write others into. */
struct source {
    char *path;
    struct buf config;
    struct st_file f;
    struct st_tensor *t; /* its tensors to be changed, with room for one more */
};
static bool source_open(struct source *s) {
    struct err e = {0};
    *s = (struct source){.path = folder("bert"), .config = BUF_INIT};
    char *c = io_join(s->path, "config.json"), *w = io_join(s->path, "model.safetensors");
    strcpy(dir + strlen(dir) - 6, "XXXXXX");
    bool ok = tap_ok(mkdtemp(dir) && io_read_file(c, 1 << 20, &s->config, &e) == 0 && st_read(w, &s->f, &e) == 0, "the folder is there %s", e.text);
    free(c), free(w);
    if (!ok) return false;
    buf_addc(&s->config, 0);
    s->t = X_NEW(struct st_tensor, s->f.n + 1);
    memcpy(s->t, s->f.tensor, s->f.n * sizeof *s->t);
    return true;
}
static void source_close(struct source *s) {
    st_release(&s->f);
    buf_release(&s->config);
    free(s->t), free(s->path);
    io_remove_tree(dir, NULL);
}
static void write_folder(const char *config, const struct st_tensor *t, size_t n, size_t cut) {
    struct err e = {0};
    struct buf b = BUF_INIT;
    char *c = io_join(dir, "config.json"), *w = io_join(dir, "model.safetensors");
    st_bytes(t, n, NULL, &b);
    if (io_write_file(c, config, strlen(config), &e) < 0 || io_write_file(w, b.data, b.len - cut, &e) < 0) tap_ok(false, "%s", e.text);
    buf_release(&b);
    free(c);
    free(w);
}
static void refused(const char *says, const char *what) {
    struct err e = {0};
    struct model *m = model_load(dir, &e);
    tap_ok(!m && strstr(e.text, says), "%s: %s", what, e.text);
    model_free(m);
}
static void broken(void) {
    struct err e = {0};
    struct source s;
    if (!source_open(&s)) return;
    char *words = io_join(dir, "vocab.txt");
    struct st_tensor *t = s.t;
    write_folder("{\"model_type\":\"t5\"}", t, s.f.n, 0);
    refused("model_type t5 is not known", "unknown model_type");
    write_folder("{\"model_type\":\"bert\",\"vocab_size\":-3}", t, s.f.n, 0);
    refused("vocab_size is -3, it must be a whole number from 1", "a size that is none");
    write_folder(s.config.data, t + 1, s.f.n - 1, 0);
    refused("1 tensors are missing: ", "a missing tensor is named");
    write_folder(s.config.data, t + 10, s.f.n - 10, 0);
    refused("10 tensors are missing: ", "ten missing tensors");
    struct model *none = model_load(dir, &e);
    int named = 0;
    for (size_t i = 0; i < 10; i++) named += strstr(e.text, strncmp(t[i].name, "bert.", 5) == 0 ? t[i].name + 5 : t[i].name) != NULL;
    tap_ok(!none && named == 8 && strstr(e.text, " ..."), "eight of them are named (%d)", named);
    e = (struct err){0};
    t[s.f.n] = t[0], t[s.f.n].name = "encoder.layer.9.what.weight";
    write_folder(s.config.data, t, s.f.n + 1, 0);
    refused("encoder.layer.9.what.weight", "an extra tensor is named");
    write_folder(s.config.data, t, s.f.n, 100);
    refused("cut short", "a truncated file");
    for (size_t i = 0; i < s.f.n; i++)
        if (strstr(t[i].name, "word_embeddings")) {
            struct st_tensor old = t[i];
            t[i].dim[0] = 24, t[i].dim[1] = 40;
            write_folder(s.config.data, t, s.f.n, 0);
            refused("is (24, 40), config.json asks for (40, 24)", "a wrong shape");
            t[i] = old, t[i].dtype = DT_I32;
            write_folder(s.config.data, t, s.f.n, 0);
            refused("holds i32, weights are floats", "a wrong dtype");
            t[i] = old;
        }
    write_folder(s.config.data, t, s.f.n, 0);
    struct model *m = model_load(dir, &e);
    tap_ok(m && val_get_int(m->desc, "n_class", 0) == 3, "whole again, it loads, with 3 classes %s", e.text);
    model_free(m);
    struct buf many = BUF_INIT;
    for (int i = 0; i < 41; i++) buf_addf(&many, "w%d\n", i);
    io_write_file(words, many.data, many.len, &e);
    refused("holds 41 words, config.json says vocab_size 40", "a vocabulary of another size");
    buf_release(&many);
    free(words);
    source_close(&s);
}

/* The values of a folder as bf16, f16 and f64: numbers that each of them holds come back as they are. Files of 2018 name gain and bias of a normalisation
 * gamma and beta. */
static void other_types(void) {
    static const enum dtype types[] = {DT_F32, DT_BF16, DT_F16, DT_F64};
    struct err e = {0};
    struct source s;
    struct model *first = NULL;
    if (!source_open(&s)) return;
    struct st_tensor *t = s.t;
    char **names = X_NEW(char *, s.f.n + 1);
    for (size_t k = 0; k < LEN(types); k++) {
        for (size_t i = 0; i < s.f.n; i++) {
            size_t n = s.f.tensor[i].bytes / 4, each = dtypes[types[k]].bits / 8u;
            struct view v = {.data = mem_new(n + 1, each), .len = (int64_t)n, .dtype = types[k]};
            for (size_t j = 0; j < n; j++) view_put(&v, (int64_t)j, (double)((int)((j * 37 + i * 11) % 31) - 15) / 16); /* 5 bits */
            t[i] = s.f.tensor[i], t[i].dtype = types[k], t[i].data = v.data, t[i].bytes = n * each;
        }
        write_folder(s.config.data, t, s.f.n, 0);
        for (size_t i = 0; i < s.f.n; i++) free((void *)(uintptr_t)t[i].data);
        struct model *m = model_load(dir, &e);
        if (!first) first = m;
        tap_ok(m && first && memcmp(m->data, first->data, first->bytes) == 0 && m->data[1] != m->data[2], "weights of %s %s", dtypes[types[k]].name, e.text);
        if (m != first) model_free(m);
    }
    model_free(first);
    struct model *now = model_load(s.path, &e), *old = NULL;
    for (size_t i = 0; i < s.f.n; i++) {
        const char *at = strstr(s.f.tensor[i].name, "LayerNorm.");
        struct buf b = BUF_INIT;
        t[i] = s.f.tensor[i];
        if (at) buf_addf(&b, "%.*sLayerNorm.%s", (int)(at - t[i].name), t[i].name, strcmp(at + 10, "weight") == 0 ? "gamma" : "beta");
        if (at) t[i].name = names[i] = buf_take(&b);
    }
    write_folder(s.config.data, t, s.f.n, 0);
    old = model_load(dir, &e);
    tap_ok(now && old && memcmp(now->data, old->data, now->bytes) == 0, "gamma and beta %s", e.text);
    model_free(now), model_free(old);
    for (size_t i = 0; i < s.f.n; i++) free(names[i]);
    free(names);
    source_close(&s);
}
/* Keys of config.json that change the description. */
static void settings_of(void) {
    static const struct {
        const char *key, *value, *says, *field;
    } t[] = {{"hidden_act", "\"gelu_new\"", "gelu_tanh", "act"}, {"hidden_act", "\"relu\"", "relu", "act"}, {"hidden_dropout_prob", "0.25", "0.25", "dropout"},
        {"layer_norm_eps", "0.001", "0.001", "eps"},
        {"position_embedding_type", "\"relative_key\"", NULL, "position_embedding_type relative_key is not known"}};
    struct err e = {0};
    struct source s;
    if (!source_open(&s)) return;
    struct val *config = json_parse(s.config.data, strlen(s.config.data), "config.json", &e);
    for (size_t i = 0; i < LEN(t); i++) {
        struct val *own = val_copy(config);
        struct buf b = BUF_INIT, got = BUF_INIT;
        val_set(own, t[i].key, json_parse(t[i].value, strlen(t[i].value), "value", &e));
        json_write(&b, own);
        write_folder(b.data, s.f.tensor, s.f.n, 0);
        e = (struct err){0};
        struct model *m = model_load(dir, &e);
        const struct val *block = m ? val_at(val_get(m->desc, "layers"), 1) : NULL, *v = val_get(block, t[i].field);
        if (v && v->type == VAL_STR) buf_adds(&got, v->u.s.p);
        else if (v) buf_addf(&got, "%g", v->u.n);
        tap_ok(t[i].says ? got.data && strcmp(got.data, t[i].says) == 0 : !m && strstr(e.text, t[i].field), "%s %s: %s", t[i].key, t[i].value,
            m ? got.data : e.text);
        model_free(m);
        buf_release(&b);
        buf_release(&got);
        val_free(own);
    }
    val_free(config);
    source_close(&s);
}

int main(void) {
    struct err e = {0};
    struct buf path = BUF_INIT;
    buf_addf(&path, "%s/tests/golden/encoders.json", getenv("top_srcdir") ? getenv("top_srcdir") : ".");
    struct val *all = json_read_file(path.data, 1 << 20, &e);
    buf_release(&path);
    if (ops_select("auto", &e) < 0 || !tap_ok(all && val_len(all) == 3, "the numbers are there %s", e.text)) return tap_done();
    for (size_t i = 0; i < val_len(all); i++)
        for (int k = 0; k < 2; k++) run(val_at(all, i), k == 0);
    val_free(all);
    broken();
    other_types();
    settings_of();
    return tap_done();
}
