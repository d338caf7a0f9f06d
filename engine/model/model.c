/* A model from its description: the builder that gives layers their graph, path and parameters; first weights; copies.
 * Describing never computes: numbers are touched only by model_new (first weights) and model_clone. Engine thread, or whoever owns the model. */
#include "engine/model/build.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/graph/backend.h"
#include "engine/graph/op.h"
#include "engine/ops/i8.h"
#include "src/base/mem.h"
#include "src/base/rng.h"
#include "src/base/size.h"

struct scope {
    const char *name[1024];
    tid t[1024];
    int n;
}; /* what `from` may name */
struct builder {
    struct model *m; /* parameters are looked up here, or added while `discover` */
    bool discover;
    struct graph *g;
    struct model_io *io;
    int64_t ids[MODEL_INPUTS], len[MODEL_INPUTS];
    char path[160], share[160]; /* share: path whose parameters are used instead, or "" */
    bool buffer; /* what build_param adds now is not trained */
    const struct val *store; /* of the layer: parameter -> how it is held; NULL: none */
    const char *kind;
    const struct val *args;
    struct built *built; /* or NULL */
    int n_built, depth, layers, parts;
};

struct graph *build_graph(struct builder *b) {
    return b->g;
}
const char *build_path(struct builder *b) { return b->path; }
const struct val *build_args(const struct builder *b) { return b->args; }
const char *build_kind(const struct builder *b) { return b->kind; }

int64_t build_ids(const struct builder *b, tid t) {
    for (int i = 0; i < b->io->n_in; i++)
        if (b->io->in[i].data == t) return b->ids[i];
    return 0;
}

int64_t build_len(const struct builder *b, tid t) {
    for (int i = 0; i < b->io->n_in; i++)
        if (b->io->in[i].data == t) return b->len[i];
    return 0;
}

tid build_weights(const struct builder *b, tid t) {
    tid off = graph_tensor(b->g, t)->offsets;
    for (int i = 0; i < b->io->n_in && off >= 0; i++)
        if (b->io->in[i].offsets == off) return b->io->in[i].weight;
    return -1;
}

void build_part(struct builder *b) {
    if (b->g->part < 0) b->g->part = b->parts++;
}

tid build_live(struct builder *b, const char *name, double v, struct err *e) {
    if (b->io->n_live == MODEL_LIVE) return err_set(e, "%s: a model has at most %d live values", b->path, MODEL_LIVE);
    struct model_live *l = &b->io->live[b->io->n_live++];
    snprintf(l->name, sizeof l->name, "%.90s.%s", b->path, name);
    l->value = v;
    return l->scalar = graph_scalar(b->g, l->name);
}

/* How the parameter is held: what the layer's `store` says of it. */
static int held(const struct builder *b, const char *name, const char *full, int ndim, bool packed, struct param *p, struct err *e) {
    const char *s = val_get_str(b->store, name, "f32");
    p->dtype = p->store = DT_F32;
    if (strcmp(s, "i8") == 0) {
        if (ndim != 2) return err_set(e, "%s: only matrices can be held in 8 bits", full);
        p->dtype = p->store = DT_I8;
        p->packed = packed;
        p->trainable = false;
    } else if (strcmp(s, "f16") == 0) p->store = DT_F16;
    else if (strcmp(s, "bf16") == 0) p->store = DT_BF16;
    return 0;
}

/* A table of vectors by id, whose gradient is row-sparse. */
static bool is_table(const char *kind, const char *full) {
    return strncmp(kind, "embedding", 9) == 0 || (strcmp(kind, "text_embedding") == 0 && strstr(full, ".word."));
}

static struct param *add_param(
    struct builder *b, const char *name, const char *full, const int64_t *dim, int ndim, bool packed, enum init init, double a, struct err *e) {
    struct model *m = b->m;
    int64_t len = 1;
    struct param add = {.trainable = !b->buffer};
    for (int i = 0; i < ndim; i++)
        if (dim[i] < 0 || !size_mul_i64(len, dim[i], &len) || len > (int64_t)1 << 34) {
            err_set(e, "%s: this parameter would have more than 2^34 values", full);
            return NULL;
        }
    if (held(b, name, full, ndim, packed, &add, e) < 0) return NULL;
    add.bytes = add.packed ? i8_bytes(dim[0], dim[1]) : dtype_bytes(add.dtype, len);
    if (m->n_param == MODEL_PARAMS) {
        err_set(e, "%s: a model has at most %d parameters", full, MODEL_PARAMS);
        return NULL;
    }
    m->param = X_GROW(m->param, struct param, (size_t)m->n_param + 1);
    struct param *p = &m->param[m->n_param++];
    add.name = mem_str(full), add.ndim = ndim, add.len = len, add.offset = m->bytes, add.init = init, add.a = a;
    add.table = is_table(b->kind, full);
    *p = add;
    memcpy(p->dim, dim, (size_t)ndim * sizeof *dim);
    m->bytes += size_up(p->bytes, 64);
    return p;
}

static tid param_of(struct builder *b, const char *name, const int64_t *dim, int ndim, bool packed, enum init init, double a, struct err *e) {
    char full[224];
    snprintf(full, sizeof full, "%s.%s", b->share[0] ? b->share : b->path, name);
    struct param *p = model_param(b->m, full);
    if (!p && !b->discover) return err_set(e, "%s: the model has no such parameter: its description was changed without it", full);
    if (!p && !(p = add_param(b, name, full, dim, ndim, packed, init, a, e))) return -1;
    if (p->dtype == DT_I8 && b->g->real == DT_F64) return err_set(e, "%s is held in 8 bits: it cannot be computed in double", full);
    bool same = p->ndim == ndim && memcmp(p->dim, dim, (size_t)ndim * sizeof *dim) == 0;
    int i = (int)(p - b->m->param);
    struct dim d[TENSOR_DIMS];
    for (int j = 0; j < p->ndim; j++) d[j] = (struct dim){p->dim[j], AXIS_ONE};
    if (!same) {
        struct buf have = BUF_INIT;
        for (int j = 0; j < p->ndim; j++) buf_addf(&have, "%s%lld", j ? ", " : "", (long long)p->dim[j]);
        buf_adds(&have, ") and (");
        for (int j = 0; j < ndim; j++) buf_addf(&have, "%s%lld", j ? ", " : "", (long long)dim[j]);
        err_set(e, "%s: the shared parameter %s has another shape: (%s)", b->path, full, have.data);
        buf_release(&have);
        return -1;
    }
    if (b->io->param[i] < 0) {
        size_t scale = b->g->real == DT_F64 ? 2 : 1;
        b->io->param[i] = graph_param(b->g, full, p->dtype == DT_I8 ? DT_I8 : b->g->real, d, p->ndim, p->offset * scale, p->trainable && !p->frozen);
        if (b->built && b->n_built) b->built[b->n_built - 1].params += p->trainable || p->dtype == DT_I8 ? p->len : 0;
    }
    return b->io->param[i];
}

tid build_param(struct builder *b, const char *name, const int64_t *dim, int ndim, enum init init, double a, struct err *e) {
    return param_of(b, name, dim, ndim, false, init, a, e);
}

tid build_matrix(struct builder *b, const char *name, const int64_t dim[2], double a, struct err *e) {
    return param_of(b, name, dim, 2, true, INIT_UNIFORM, a, e);
}

bool build_is_i8(struct builder *b, tid w) { return w >= 0 && graph_tensor(b->g, w)->dtype == DT_I8; }

tid build_scale(struct builder *b, const char *name, int64_t n, struct err *e) {
    char full[64];
    snprintf(full, sizeof full, "%.50s.scale", name);
    return build_buffer(b, full, &n, 1, INIT_ZERO, e);
}

tid build_buffer(struct builder *b, const char *name, const int64_t *dim, int ndim, enum init init, struct err *e) {
    b->buffer = true;
    tid t = build_param(b, name, dim, ndim, init, 0, e);
    b->buffer = false;
    return t;
}

static tid scope_find(const struct scope *s, const char *name) {
    for (int i = s->n - 1; i >= 0; i--)
        if (strcmp(s->name[i], name) == 0) return s->t[i];
    return -1;
}

static int gather(const struct scope *s, const struct val *v, tid prev, tid *in, int *n, const char *path, struct err *e) {
    const struct val *from = val_get(v, "from");
    *n = 0;
    if (!from) in[(*n)++] = prev;
    for (size_t i = 0; i < val_len(from); i++) {
        const struct val *f = val_at(from, i);
        tid t = f->type == VAL_STR ? scope_find(s, f->u.s.p) : -1;
        if (t < 0) return err_set(e, "%s: from names \"%s\", which is no earlier layer or input", path, f->type == VAL_STR ? f->u.s.p : val_type_name(f));
        if (*n == OP_IN) return err_set(e, "%s: a layer has at most %d inputs", path, OP_IN);
        in[(*n)++] = t;
    }
    return 0;
}

/* The table of arguments alone; the caller frees it. */
static struct val *plain_args(const struct val *v) {
    struct val *t = val_copy(v);
    val_unset(t, "layer");
    val_unset(t, "name");
    val_unset(t, "from");
    val_unset(t, "share");
    val_unset(t, "store");
    return t;
}

static int build_args_of(struct builder *b, const struct layer *l, const tid *in, int n_in, tid *out, struct err *e) {
    struct val *args = plain_args(b->args);
    const struct val *outer = b->args;
    void *p = l->kind.size ? mem_new(1, l->kind.size) : NULL;
    int rc = l->kind.size ? args_parse(&l->kind, args, p, e) : 0;
    if (rc < 0) err_wrap(e, "%s", b->path);
    else {
        b->args = args;
        rc = l->build(b, p, in, n_in, out, e);
        b->args = outer;
        if (rc < 0 && n_in > 0 && graph_tensor(build_graph(b), in[0])->dtype == DT_I32)
            err_set(e, "%s; its input holds the ids of tokens: embedding{} or embedding_bag{} makes vectors of them first", e->text);
        if (l->kind.size) args_release(&l->kind, p);
    }
    free(p);
    val_free(args);
    return rc;
}

/* Every name in `store` is a parameter of the layer. */
static int check_store(const struct builder *b, const char *path, struct err *e) {
    char full[224];
    for (size_t i = 0; b->store && i < b->store->u.t.n_field; i++) {
        snprintf(full, sizeof full, "%.150s.%.60s", path, b->store->u.t.field[i].name);
        if (!model_param(b->m, full)) return err_set(e, "%s: store names \"%.60s\", which is no parameter of this layer", path, b->store->u.t.field[i].name);
    }
    return 0;
}

static void note_layer(struct builder *b) {
    if (!b->built) return;
    struct built *r = &b->built[b->n_built++];
    *r = (struct built){.kind = b->kind, .out = -1, .depth = b->depth, .first = b->g->n_node};
    memcpy(r->path, b->path, sizeof r->path);
}

/* One layer; path, share and kind of the builder are the layer's while it is built. */
static int build_layer(struct builder *b, const struct val *v, const char *prefix, const struct scope *s, tid prev, tid *out, struct err *e) {
    const char *kind = val_get_str(v, "layer", ""), *name = val_get_str(v, "name", ""), *share = val_get_str(v, "share", NULL);
    const struct layer *l = layer_find(kind);
    const struct val *outer_args = b->args;
    const struct val *outer_store = b->store;
    const char *outer_kind = b->kind;
    tid in[OP_IN];
    int n_in, row = b->n_built, part = b->g->part;
    if (!l) return err_set(e, "%s%s: there is no layer \"%.60s\"", prefix, name, kind);
    if (++b->layers >= BUILT_MAX) return err_set(e, "a model has at most %d layers", BUILT_MAX - 1);
    snprintf(b->path, sizeof b->path, "%.80s%.60s", prefix, name);
    if (share) snprintf(b->share, sizeof b->share, "%.80s%.60s", prefix, share);
    else b->share[0] = 0;
    if (gather(s, v, prev, in, &n_in, b->path, e) < 0) return -1;
    if (n_in < l->in_min || n_in > l->in_max)
        return err_set(e, "%s: %s takes %d to %d inputs, from gives %d", b->path, l->kind.name, l->in_min, l->in_max, n_in);
    b->kind = l->kind.name, b->args = v, b->store = share ? NULL : val_get(v, "store");
    if (b->store && b->store->type != VAL_TABLE) return err_set(e, "%s: store is a table of parameters, not a %s", b->path, val_type_name(b->store));
    note_layer(b);
    graph_path(b->g, b->path);
    int rc = build_args_of(b, l, in, n_in, out, e);
    b->g->part = part;
    if (rc == 0 && b->built) b->built[row].out = *out, b->built[row].end = b->g->n_node;
    if (rc == 0 && b->discover) rc = check_store(b, b->path, e);
    b->kind = outer_kind, b->args = outer_args, b->store = outer_store;
    return rc;
}

static int build_list(struct builder *b, const struct val *stack, const char *prefix, struct scope *s, tid in, tid *out, struct err *e) {
    tid prev = in;
    for (size_t i = 0; i < val_len(stack); i++) {
        const struct val *v = val_at(stack, i);
        if (s->n == (int)LEN(s->name)) return err_set(e, "%sthere are more than %zu layers", prefix, LEN(s->name));
        if (build_layer(b, v, prefix, s, prev, out, e) < 0) return -1;
        s->name[s->n] = val_get_str(v, "name", "");
        s->t[s->n++] = prev = *out;
    }
    *out = prev;
    return 0;
}

int build_chain(struct builder *b, const struct val *stack, tid in, tid *out, struct err *e) {
    struct scope *s = X_NEW(struct scope, 1);
    char prefix[160], own[160], share[160];
    memcpy(own, b->path, sizeof own);
    memcpy(share, b->share, sizeof share);
    snprintf(prefix, sizeof prefix, "%.150s.", b->path);
    s->name[0] = "input", s->t[0] = in, s->n = 1;
    int rc = strlen(b->path) > 100 || b->depth > 16 ? err_set(e, "%s: layers are nested too deep", b->path) : 0;
    b->depth++;
    if (rc == 0) rc = build_list(b, stack, prefix, s, in, out, e);
    b->depth--;
    memcpy(b->path, own, sizeof own);
    memcpy(b->share, share, sizeof share);
    graph_path(b->g, own);
    free(s);
    return rc;
}

static int build_input(struct builder *b, const struct val *v, int i, int *ragged, struct err *e) {
    const char *name = val_get_str(v, "name", "x");
    int64_t ids = val_get_int(v, "ids", 0);
    struct dim d[TENSOR_DIMS] = {{1, AXIS_R}}, off = {1, AXIS_R1};
    char sub[96];
    b->io->in[i].offsets = b->io->in[i].weight = -1;
    b->io->in[i].axis = AXIS_R;
    b->ids[i] = ids;
    b->len[i] = val_get_int(v, "len", 0);
    if (ids > 0 && val_get_bool(v, "ragged", false)) {
        if (*ragged == 4) return err_set(e, "a model has at most 4 inputs of text");
        d[0].axis = b->io->in[i].axis = AXIS_T0 + (*ragged)++;
        snprintf(sub, sizeof sub, "%.60s.offsets", name);
        b->io->in[i].offsets = graph_input(b->g, sub, DT_I32, &off, 1, -1);
        b->io->in[i].data = graph_input(b->g, name, DT_I32, d, 1, b->io->in[i].offsets);
        snprintf(sub, sizeof sub, "%.60s.weight", name);
        if (val_get_bool(v, "weighted", false)) b->io->in[i].weight = graph_input(b->g, sub, b->g->real, d, 1, b->io->in[i].offsets);
        return 0;
    }
    const struct val *shape = val_get(v, "shape");
    size_t len = val_len(shape);
    int n = ids > 0 ? 0 : len < TENSOR_DIMS ? (int)len : TENSOR_DIMS - 1;
    for (int j = 0; j < n; j++) {
        if (!val_as_int(val_at(shape, (size_t)j), &d[j + 1].k) || d[j + 1].k < 1 || d[j + 1].k > 1 << 28)
            return err_set(e, "input %s: its shape has an extent that is not between 1 and 2^28", name);
        d[j + 1].axis = AXIS_ONE;
    }
    b->io->in[i].data = graph_input(b->g, name, ids > 0 ? DT_I32 : b->g->real, d, n + 1, -1);
    return 0;
}

static int build_all(struct builder *b, struct err *e) {
    const struct val *input = val_get(b->m->desc, "input"), *stack = val_get(b->m->desc, "layers");
    struct scope *s = X_NEW(struct scope, 1);
    int ragged = 0, rc = 0;
    memset(b->io, 0, sizeof *b->io);
    for (int i = 0; i < MODEL_PARAMS; i++) b->io->param[i] = -1;
    if (val_len(input) < 1 || val_len(input) > MODEL_INPUTS) rc = err_set(e, "a model has 1 to %d inputs, this one has %zu", MODEL_INPUTS, val_len(input));
    else if (!val_len(stack)) rc = err_set(e, "the model has no layers");
    for (size_t i = 0; rc == 0 && i < val_len(input); i++) {
        rc = build_input(b, val_at(input, i), (int)i, &ragged, e);
        b->io->n_in++;
        s->name[s->n] = val_get_str(val_at(input, i), "name", "x");
        s->t[s->n++] = b->io->in[i].data;
        if (i == 0) s->name[s->n] = "input", s->t[s->n++] = b->io->in[0].data;
    }
    if (rc == 0) rc = build_list(b, stack, "", s, b->io->in[0].data, &b->io->out, e);
    if (rc == 0 && graph_tensor(b->g, b->io->out)->block) rc = (b->io->out = graph_add1(b->g, "relayout", b->io->out, e)) < 0 ? -1 : 0;
    for (int i = 0; rc == 0 && i < b->g->n_derived; i++)
        if (b->g->tensor[b->io->out].ndim && b->g->tensor[b->io->out].dim[0].axis == b->g->derived[i].axis && !b->g->derived[i].times)
            rc = err_set(e, "the model's output has a row for each token that a strided conv1d left: end it with a pooling and a linear layer");
    graph_path(b->g, "");
    free(s);
    return rc;
}

int model_build(const struct model *m, struct graph *g, struct model_io *io, struct err *e) {
    struct builder b = {.m = (struct model *)(uintptr_t)m, .g = g, .io = io}; /* without discover the model is only read */
    return build_all(&b, e);
}

int build_noted(const struct model *m, struct graph *g, struct model_io *io, struct built *built, int *n_built, struct err *e) {
    struct builder b = {.m = (struct model *)(uintptr_t)m, .g = g, .io = io, .built = built};
    int rc = build_all(&b, e);
    *n_built = b.n_built;
    return rc;
}

void model_init_param(const struct model *m, const struct param *p, float *w) {
    uint64_t stream = rng_stream(m->seed, p->name, 0);
    if (p->init == INIT_ONE || p->init == INIT_ZERO) {
        for (int64_t i = 0; i < p->len; i++) w[i] = p->init == INIT_ONE;
        return;
    }
    for (int64_t i = 0; i < p->len && p->init == INIT_NORMAL; i++) w[i] = (float)(p->a * rng_normal(stream, 0, (uint64_t)i));
    for (int64_t i = 0; i < p->len && p->init == INIT_UNIFORM; i += 4) {
        uint32_t r[4];
        rng_block(stream, 0, (uint64_t)i / 4, r);
        for (int64_t j = 0; j < 4 && i + j < p->len; j++) w[i + j] = (float)(p->a * (((double)r[j] + 0.5) / 2147483648.0 - 1));
    }
}

struct model *model_blank(struct val *desc_take, uint64_t seed, struct err *e) {
    struct model *m = X_NEW(struct model, 1);
    struct model_io *io = X_NEW(struct model_io, 1);
    m->desc = desc_take;
    m->seed = seed;
    struct builder b = {.m = m, .discover = true, .g = graph_new(DT_F32, false, seed), .io = io};
    int rc = build_all(&b, e);
    graph_free(b.g);
    free(io);
    if (rc == 0) return m;
    model_free(m);
    return NULL;
}

struct model *model_new(struct val *desc_take, uint64_t seed, struct err *e) {
    struct model *m = model_blank(desc_take, seed, e);
    if (m && m->bytes && !(m->data = mem_try(m->bytes, 1, "the weights", e))) {
        model_free(m);
        return NULL;
    }
    for (int i = 0; m && i < m->n_param; i++)
        if (m->param[i].dtype == DT_F32) model_init_param(m, &m->param[i], (float *)((char *)m->data + m->param[i].offset));
    for (int i = 0; m && i < m->n_param; i++) { /* behind the others: they set their scales */
        const struct param *p = &m->param[i];
        if (p->dtype == DT_F32) continue;
        float *w = mem_try((size_t)p->len + 1, sizeof(float), "the first weights", e);
        if (!w) {
            model_free(m);
            return NULL;
        }
        model_init_param(m, p, w);
        param_put(m, p, w);
        free(w);
    }
    return m;
}

void model_free(struct model *m) {
    if (!m) return;
    for (int i = 0; i < m->n_param; i++) free(m->param[i].name);
    free(m->param);
    mirror_drop(m->data);
    free(m->data);
    val_free(m->desc);
    val_free(m->report);
    free(m->stored);
    free(m);
}

struct model *model_clone(const struct model *m) {
    struct model *c = X_NEW(struct model, 1);
    *c = *m;
    c->run[0] = 0;
    c->stored = NULL;
    c->desc = val_copy(m->desc);
    c->report = val_copy(m->report);
    c->param = X_NEW(struct param, (size_t)m->n_param + 1);
    for (int i = 0; i < m->n_param; i++) {
        c->param[i] = m->param[i];
        c->param[i].name = mem_str(m->param[i].name);
    }
    c->data = NULL;
    struct err e = {0};
    if (m->bytes && !(c->data = mem_try(m->bytes, 1, "the copy of the weights", &e))) {
        model_free(c);
        return NULL;
    }
    mirror_read(m->data);
    if (m->bytes) memcpy(c->data, m->data, m->bytes);
    return c;
}

int64_t model_params(const struct model *m) {
    int64_t n = 0;
    for (int i = 0; i < m->n_param; i++) n += m->param[i].trainable ? m->param[i].len : 0;
    return n;
}
