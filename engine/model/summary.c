/* What a model costs and looks like, from shapes alone: products of one example, output width, live values, the table of layers. Nothing is computed. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/graph/derive.h"
#include "engine/graph/op.h"
#include "engine/model/build.h"
#include "src/base/mem.h"

struct sheet {
    struct graph *g;
    struct model_io *io;
    struct built *row;
    int n;
};

static void sheet_release(struct sheet *s) {
    graph_free(s->g);
    free(s->io);
    free(s->row);
}
static int sheet_open(struct sheet *s, const struct model *m, struct err *e) {
    *s = (struct sheet){.g = graph_new(DT_F32, false, m->seed), .io = X_NEW(struct model_io, 1), .row = X_NEW(struct built, BUILT_MAX)};
    int rc = build_noted(m, s->g, s->io, s->row, &s->n, e);
    if (rc < 0) sheet_release(s);
    return rc;
}

static void view_of(const struct graph *g, tid t, const struct extents *x, struct view *v) {
    *v = (struct view){0};
    if (t < 0) return;
    const struct tensor *s = graph_tensor(g, t);
    v->ndim = s->ndim;
    v->dtype = s->dtype;
    v->len = tensor_len(s, x);
    for (int i = 0; i < s->ndim; i++) v->n[i] = dim_value(s->dim[i], x);
}
static double node_macs(const struct graph *g, const struct node *n, const struct extents *x) {
    struct exec e = {.node = n, .attr = n->attr, .n_in = n->n_in, .n_out = n->n_out, .x = x};
    struct cost c = {0};
    if (!n->op->cost) return 0;
    for (int i = 0; i < n->n_in; i++) view_of(g, n->in[i], x, &e.in[i]);
    for (int i = 0; i < n->n_out; i++) view_of(g, n->out[i], x, &e.out[i]);
    n->op->cost(&e, &c);
    return c.macs;
}
/* One example; texts have `tokens` tokens, or the length the data is cut to. */
static struct extents one_example(const struct model *m, int64_t tokens) {
    struct extents x = {.n = {1, 1, 2, 1, 1, 1, 1}};
    const struct val *in = val_get(m->desc, "input");
    for (size_t i = 0, k = 0; i < val_len(in) && k < 4; i++)
        if (val_get_bool(val_at(in, i), "ragged", false)) x.n[AXIS_T0 + k++] = tokens > 0 ? tokens : val_get_int(val_at(in, i), "len", 1);
    return x;
}
static double macs_between(const struct graph *g, int first, int end, const struct extents *x) {
    double n = 0;
    for (int i = first; i < end; i++) n += node_macs(g, &g->node[i], x);
    return n;
}

int64_t model_macs(const struct model *m, int64_t tokens, struct err *e) {
    struct sheet s;
    struct extents x = one_example(m, tokens);
    if (sheet_open(&s, m, e) < 0) return -1;
    derive_extents(s.g, &x, false);
    double n = macs_between(s.g, 0, s.g->n_node, &x);
    sheet_release(&s);
    return (int64_t)n;
}

int64_t model_outputs(const struct model *m, struct err *e) {
    struct sheet s;
    if (sheet_open(&s, m, e) < 0) return -1;
    const struct tensor *t = graph_tensor(s.g, s.io->out);
    int64_t n = t->ndim > 1 && t->dim[t->ndim - 1].axis == AXIS_ONE ? t->dim[t->ndim - 1].k : t->ndim == 1 ? 1 : -1;
    if (n < 0) {
        struct buf b = BUF_INIT;
        tensor_shape(&b, t);
        err_set(e, "the model's output %s has no fixed width: end it with a pooling and a linear layer", b.data);
        buf_release(&b);
    }
    sheet_release(&s);
    return n;
}

/* Walks layers that drop values. Returns how many matched `name` (PATH.p of a dropout layer, PATH.dropout of another, or "dropout" for all; PATH.drop of a
 * residual path that is dropped as a whole, or "drop"). */
static int live_walk(struct val *stack, const char *prefix, const char *name, const double *set, double *first) {
    int hits = 0;
    for (size_t i = 0; i < val_len(stack); i++) {
        struct val *v = val_at(stack, i);
        char path[256];
        snprintf(path, sizeof path, "%.120s%.60s", prefix, val_get_str(v, "name", ""));
        if (val_get(v, "layers")) {
            char inner[256];
            snprintf(inner, sizeof inner, "%.200s.", path);
            hits += live_walk(val_get(v, "layers"), inner, name, set, first);
        }
        bool plain = strcmp(val_get_str(v, "layer", ""), "dropout") == 0; /* its p; other layers have a field "dropout" */
        bool whole = val_get_num(v, "drop", 0) > 0;
        const char *field = plain ? "p" : whole ? "drop" : "dropout";
        if (!plain && !whole && !(val_get_num(v, "dropout", 0) > 0)) continue;
        size_t n = strlen(path);
        bool hit = strcmp(name, whole ? "drop" : "dropout") == 0 || (strncmp(name, path, n) == 0 && name[n] == '.' && strcmp(name + n + 1, field) == 0);
        if (!hit) continue;
        if (set) val_set_num(v, field, *set);
        if (isnan(*first)) *first = val_get_num(v, field, 0.5);
        hits++;
    }
    return hits;
}
double model_live(const struct model *m, const char *name) {
    double first = NAN;
    live_walk(val_get(m->desc, "layers"), "", name, NULL, &first);
    return first;
}
int model_live_set(struct model *m, const char *name, double v, struct err *e) {
    double first = NAN;
    if (!(v >= 0 && v <= 0.999)) return err_code(e, ERR_USAGE, "%s: the share of dropped values is between 0 and 0.999, not %g", name, v);
    if (live_walk(val_get(m->desc, "layers"), "", name, &v, &first)) return 0;
    return err_code(e, ERR_USAGE, "the model has no live value \"%s\": it needs a dropout layer", name);
}

static void number(char out[32], double n) { /* 1,280,258 */
    char raw[32];
    int k = snprintf(raw, sizeof raw, "%.0f", n), at = 0;
    for (int i = 0; i < k && at < 30; i++) {
        if (i && (k - i) % 3 == 0) out[at++] = ',';
        out[at++] = raw[i];
    }
    out[at] = 0;
}
static void row(struct buf *b, const char *name, int indent, const char *kind, const char *shape, double params, double macs) {
    char p[32], k[32], label[200];
    number(p, params);
    number(k, macs);
    snprintf(label, sizeof label, "%*s%.150s", indent, "", name);
    buf_addf(b, "%-20s %-12s %-18s %13s %15s\n", label, kind, shape, p, k);
}
void model_summary(const struct model *m, struct buf *b) {
    struct sheet s;
    struct err e = {0};
    struct extents x = one_example(m, 0);
    if (sheet_open(&s, m, &e) < 0) {
        buf_addf(b, "%s\n", e.text);
        return;
    }
    derive_extents(s.g, &x, false);
    buf_addf(b, "%-20s %-12s %-18s %13s %15s\n", "layer", "kind", "output", "params", "MACs");
    double total = 0, macs = macs_between(s.g, 0, s.g->n_node, &x), act = 0;
    for (int i = 0; i < s.io->n_in; i++) {
        struct buf shape = BUF_INIT;
        tensor_shape(&shape, graph_tensor(s.g, s.io->in[i].data));
        row(b, graph_tensor(s.g, s.io->in[i].data)->name, 0, "input", shape.data, 0, 0);
        buf_release(&shape);
    }
    for (int i = 0; i < s.n; i++) {
        struct buf shape = BUF_INIT;
        const char *dot = strrchr(s.row[i].path, '.');
        tensor_shape(&shape, graph_tensor(s.g, s.row[i].out));
        row(b, s.row[i].depth && dot ? dot + 1 : s.row[i].path, 2 * s.row[i].depth, s.row[i].kind, shape.data, (double)s.row[i].params,
            macs_between(s.g, s.row[i].first, s.row[i].end, &x));
        total += (double)s.row[i].params;
        buf_release(&shape);
    }
    for (int i = 0; i < s.g->n_tensor; i++)
        if (s.g->tensor[i].role == ROLE_TEMP) act += (double)tensor_bytes(&s.g->tensor[i], &x);
    row(b, "total", 0, "", "", total, macs);
    double mib = total * 4 / 1048576, held = (double)m->bytes / 1048576;
    const char *i8 = NULL;
    if (model_i8(m, &i8)) buf_addf(b, "memory: weights %.2f MiB, partly in 8 bits (%s ...), which are not trained\n", held, i8);
    else
        buf_addf(b,
            "memory: weights %.2f MiB; training with Adam %.2f MiB (weights, gradients, two moments) and %.1f KiB an example for values between layers\n", mib,
            4 * mib, 2 * act / 1024);
    sheet_release(&s);
}

static void set_shape(struct val *v, const struct tensor *t) {
    struct buf b = BUF_INIT;
    tensor_shape(&b, t);
    val_set_str(v, "shape", b.data ? b.data : "");
    buf_release(&b);
}
static struct val *sheet_row(const struct sheet *s, int i, const struct extents *x) {
    const struct built *b = &s->row[i];
    const char *dot = strrchr(b->path, '.');
    struct val *v = val_table();
    val_append(v, "path", val_str(b->path));
    val_append(v, "name", val_str(b->depth && dot ? dot + 1 : b->path));
    val_append(v, "depth", val_int(b->depth));
    val_append(v, "kind", val_str(b->kind));
    set_shape(v, graph_tensor(s->g, b->out));
    val_append(v, "params", val_int(b->params));
    val_append(v, "macs", val_int((int64_t)macs_between(s->g, b->first, b->end, x)));
    return v;
}
struct val *model_sheet(const struct model *m) {
    struct sheet s;
    struct err e = {0};
    struct extents x = one_example(m, 0);
    struct val *v = val_table(), *rows = val_list(), *weights = val_list();
    val_set_str(v, "name", val_get_str(m->desc, "name", "model"));
    val_set_int(v, "params", model_params(m));
    if (sheet_open(&s, m, &e) == 0) {
        derive_extents(s.g, &x, false);
        val_set_int(v, "macs", (int64_t)macs_between(s.g, 0, s.g->n_node, &x));
        for (int i = 0; i < s.n; i++) val_push(rows, sheet_row(&s, i, &x));
        sheet_release(&s);
    }
    for (int i = 0; i < m->n_param; i++) {
        const struct param *p = &m->param[i];
        struct val *w = val_table();
        struct buf b = BUF_INIT;
        for (int k = 0; k < p->ndim; k++) buf_addf(&b, "%s%lld", k ? ", " : "(", (long long)p->dim[k]);
        buf_adds(&b, p->ndim ? ")" : "()");
        val_append(w, "name", val_str(p->name));
        val_append(w, "shape", val_str(b.data));
        val_append(w, "n", val_int(p->len));
        val_append(w, "trained", val_bool(p->trainable && !p->frozen));
        val_push(weights, w);
        buf_release(&b);
    }
    val_set(v, "layers", rows);
    val_set(v, "weights", weights);
    return v;
}
