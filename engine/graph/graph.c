/* Building graphs: sources, nodes with their shape check, messages with all shapes. Numbers are never touched. A node's parsed
 * arguments live in the graph's arena; strings in them are released with the graph. Engine thread (or any one thread). */
#include "engine/graph/graph.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "engine/graph/op.h"
#include "src/base/mem.h"
#include "src/base/rng.h"

struct graph *graph_new(enum dtype real, bool training, uint64_t seed) {
    struct graph *g = X_NEW(struct graph, 1);
    g->real = real, g->half = DT_F32, g->training = training, g->seed = seed, g->path = "", g->part = -1;
    return g;
}

void graph_free(struct graph *g) {
    if (!g) return;
    for (int i = 0; i < g->n_node; i++)
        if (g->node[i].attr && g->node[i].own_attr) args_release(&g->node[i].op->kind, (void *)(uintptr_t)g->node[i].attr);
    free(g->tensor);
    free(g->node);
    arena_release(&g->mem);
    free(g);
}

void graph_path(struct graph *g, const char *path) { g->path = arena_str(&g->mem, path ? path : ""); }

const struct tensor *graph_tensor(const struct graph *g, tid t) {
    if (t < 0 || t >= g->n_tensor) BUG("tensor %d of %d", t, g->n_tensor);
    return &g->tensor[t];
}

static tid add_tensor(struct graph *g, const struct tensor *t) {
    if (g->n_tensor == g->cap_tensor) {
        g->cap_tensor = g->cap_tensor ? 2 * g->cap_tensor : 64;
        g->tensor = X_GROW(g->tensor, struct tensor, (size_t)g->cap_tensor);
    }
    g->tensor[g->n_tensor] = *t;
    return g->n_tensor++;
}

static tid source(struct graph *g, const char *name, enum dtype d, const struct dim *dim, int ndim, enum arena_role role) {
    struct tensor t = {.ndim = ndim, .dtype = d, .role = role, .node = -1, .offsets = -1};
    if (ndim > TENSOR_DIMS) BUG("%d dimensions", ndim);
    if (ndim) memcpy(t.dim, dim, (size_t)ndim * sizeof *dim);
    t.name = name ? arena_str(&g->mem, name) : NULL;
    return add_tensor(g, &t);
}

tid graph_input(struct graph *g, const char *name, enum dtype d, const struct dim *dim, int ndim, tid offsets) {
    tid t = source(g, name, d, dim, ndim, ROLE_INPUT);
    g->tensor[t].offsets = offsets;
    return t;
}

tid graph_scalar(struct graph *g, const char *name) { return source(g, name, g->real, NULL, 0, ROLE_SCALAR); }

tid graph_param(struct graph *g, const char *name, enum dtype d, const struct dim *dim, int ndim, size_t offset, bool trainable) {
    tid t = source(g, name, d, dim, ndim, ROLE_PARAM);
    g->tensor[t].offset = offset;
    g->tensor[t].needs_grad = trainable;
    return t;
}

tid graph_state(struct graph *g, const char *name, enum dtype d, const struct dim *dim, int ndim, size_t offset) {
    tid t = source(g, name, d, dim, ndim, ROLE_STATE);
    g->tensor[t].offset = offset;
    return t;
}

tid graph_sum(struct graph *g, const char *name, enum dtype d, const struct dim *dim, int ndim) { return source(g, name, d, dim, ndim, ROLE_GRAD); }

tid graph_const(struct graph *g, double v) {
    tid t = source(g, NULL, g->real, NULL, 0, ROLE_CONST);
    g->tensor[t].value = v;
    return t;
}

/* Puts op and path before the sentence and the shapes of all inputs behind it. */
static tid explain(const struct graph *g, const struct op *op, const char *path, const tid *in, int n_in, struct err *e) {
    struct buf b = BUF_INIT;
    for (int i = 0; i < n_in; i++) {
        buf_adds(&b, i == 0 ? "" : i == n_in - 1 ? " and " : ", ");
        if (in[i] < 0) buf_adds(&b, "none");
        else {
            tensor_shape(&b, &g->tensor[in[i]]);
            buf_addf(&b, " %s", dtypes[g->tensor[in[i]].dtype].name);
        }
    }
    if (e) {
        char *what = mem_str(e->text[0] ? e->text : "its inputs do not fit together");
        err_code(e, e->code ? e->code : ERR_FAIL, "%s%s%s: %s (%s %s)", op->kind.name, *path ? " at " : "", path, what,
            n_in > 1 ? "inputs are" : "the input is", n_in ? b.data : "none");
        free(what);
    }
    buf_release(&b);
    return -1;
}

static int parse_attr(struct graph *g, const struct op *op, const struct val *attr, void **out, struct err *e) {
    *out = NULL;
    if (!op->kind.size) {
        if (attr && (val_len(attr) || attr->u.t.n_field)) return err_code(e, ERR_USAGE, "%s takes no arguments", op->kind.name);
        return 0;
    }
    struct val *none = attr ? NULL : val_table();
    void *p = arena_new(&g->mem, 1, op->kind.size);
    int rc = args_parse(&op->kind, attr ? attr : none, p, e);
    val_free(none);
    if (rc == 0) *out = p;
    return rc;
}

static uint64_t next_stream(const struct graph *g, const char *path) {
    uint32_t draw = (uint32_t)g->phase << 16; /* backward nodes borrow a forward stream and do not count */
    for (int i = 0; i < g->n_node; i++)
        if ((g->node[i].op->flags & (OP_RANDOM | OP_DRAWS)) && g->node[i].phase == g->phase && strcmp(g->node[i].path, path) == 0) draw++;
    return rng_stream(g->seed, path, draw);
}

static void add_outputs(struct graph *g, struct node *n, const struct shaping *s) {
    bool grad = false;
    for (int i = 0; i < n->n_in; i++)
        if (n->in[i] >= 0 && g->tensor[n->in[i]].needs_grad) grad = true;
    for (int i = 0; i < n->n_out; i++) {
        struct tensor t = s->out[i];
        t.role = ROLE_TEMP, t.name = NULL, t.node = g->n_node, t.out = i;
        t.needs_grad = grad && dtypes[t.dtype].is_float && !(n->op->flags & (OP_NO_GRAD | OP_UPDATE));
        if (t.ndim > 0 && t.dim[0].axis >= AXIS_T0 && t.offsets < 0) /* stays ragged in the same way */
            for (int j = 0; j < n->n_in && t.offsets < 0; j++)
                if (n->in[j] >= 0 && g->tensor[n->in[j]].ndim > 0 && g->tensor[n->in[j]].dim[0].axis == t.dim[0].axis) t.offsets = g->tensor[n->in[j]].offsets;
        n->out[i] = add_tensor(g, &t);
    }
}

static void add_node(struct graph *g, const struct node *n) {
    if (g->n_node == g->cap_node) {
        g->cap_node = g->cap_node ? 2 * g->cap_node : 64;
        g->node = X_GROW(g->node, struct node, (size_t)g->cap_node);
    }
    g->node[g->n_node++] = *n;
}

/* A random op that does not act: its first output is its first input. */
static tid identity(const struct op *op, const tid *in, void *attr, tid *out) {
    if (attr) args_release(&op->kind, attr);
    for (int i = 0; out && i < op->n_out; i++) out[i] = i ? -1 : in[0];
    return in[0];
}

static int check_inputs(const struct graph *g, const struct op *op, const tid *in, int n_in, struct err *e) {
    if (n_in < op->in_min || n_in > op->in_max || n_in > OP_IN)
        return err_set(e, "%d input%s given, it takes %d to %d", n_in, n_in == 1 ? "" : "s", op->in_min, op->in_max);
    for (int i = 0; i < n_in; i++) {
        if (in[i] >= g->n_tensor) BUG("%s: input %d is tensor %d of %d", op->kind.name, i, in[i], g->n_tensor);
        if (in[i] < 0 && i < op->in_min) return err_set(e, "input %d is missing", i + 1);
    }
    return 0;
}

/* t in another layout; a conversion made before in this phase is used again. */
static tid relayout(struct graph *g, tid t, int block, struct err *e) {
    for (int i = g->n_node - 1; i >= 0; i--) {
        const struct node *n = &g->node[i];
        if (n->in[0] == t && n->phase == g->phase && strcmp(n->op->kind.name, "relayout") == 0 && g->tensor[n->out[0]].block == block) return n->out[0];
    }
    struct val *a = val_table();
    val_set_int(a, "block", block);
    t = graph_add(g, "relayout", a, &t, 1, NULL, e);
    val_free(a);
    return t;
}

/* The one layout that inputs of equal shape share, or row-major. */
static int common_layout(const struct graph *g, const struct op *op, const tid *in, int n_in) {
    const struct tensor *first = NULL;
    int block = 0;
    for (int i = 0; i < n_in; i++) {
        const struct tensor *t = in[i] < 0 || g->tensor[in[i]].ndim == 0 ? NULL : &g->tensor[in[i]];
        if (!t) continue;
        bool same = !first || first->ndim == t->ndim;
        for (int j = 0; first && same && j < t->ndim; j++) same = dim_same(first->dim[j], t->dim[j]);
        if (!same || !(op->flags & OP_ELEMENTS)) return 0;
        if (t->block) block = t->block;
        first = t;
    }
    return block;
}

static int harmonise(struct graph *g, tid *in, int n_in, const int *want, int all, struct err *e) {
    for (int i = 0; i < n_in; i++) {
        int block = want ? want[i] : all;
        if (in[i] < 0 || g->tensor[in[i]].ndim == 0 || g->tensor[in[i]].block == block) continue;
        if ((in[i] = relayout(g, in[i], block, e)) < 0) return -1;
    }
    return 0;
}

tid graph_add(struct graph *g, const char *name, const struct val *attr, const tid *given, int n_in, tid *out, struct err *e) {
    tid in[OP_IN];
    for (int i = 0; i < n_in && i < OP_IN; i++) in[i] = given[i];
    const struct op *op = op_find(name);
    if (!op) return err_set(e, "there is no op \"%s\"", name);
    const char *path = g->of ? g->of->path : g->path;
    struct err why = {0};
    void *parsed;
    if (check_inputs(g, op, in, n_in, &why) < 0 || parse_attr(g, op, attr, &parsed, &why) < 0) {
        if (e) *e = why;
        return explain(g, op, path, given, n_in > OP_IN ? OP_IN : n_in, e);
    }
    if ((op->flags & OP_RANDOM) && !g->training && n_in > 0) return identity(op, in, parsed, out);
    if (!(op->flags & OP_BLOCKS) && harmonise(g, in, n_in, NULL, common_layout(g, op, in, n_in), e) < 0) return -1;
    struct shaping s = {.g = g, .attr = parsed, .path = path, .n_in = n_in, .n_out = op->n_out};
    for (int i = 0; i < n_in; i++) s.in[i] = in[i] < 0 ? NULL : &g->tensor[in[i]];
    for (int i = 0; i < OP_OUT; i++) s.out[i].offsets = -1, s.out[i].dtype = g->real;
    if (op->shape(&s, &why) < 0) {
        if (parsed) args_release(&op->kind, parsed);
        if (e) *e = why;
        return explain(g, op, path, in, n_in, e);
    }
    if ((op->flags & OP_BLOCKS) && harmonise(g, in, n_in, s.want, 0, e) < 0) return -1;
    struct node n = {.op = op,
        .attr = parsed,
        .own_attr = true,
        .path = path,
        .n_in = n_in,
        .n_out = s.n_out,
        .phase = g->phase,
        .part = g->part,
        .scratch_fixed = s.scratch_fixed,
        .scratch = s.scratch};
    if (s.half && g->half != DT_F32) n.half = g->half;
    if (g->half != DT_F32) n.half_in = s.half_in, n.half_out = s.half_out;
    for (int i = 0; i < OP_IN; i++) n.in[i] = i < n_in ? in[i] : -1;
    for (int i = 0; i < OP_OUT; i++) n.out[i] = -1;
    n.stream = g->of ? g->of->stream : (op->flags & (OP_RANDOM | OP_DRAWS)) ? next_stream(g, path) : 0;
    add_outputs(g, &n, &s);
    add_node(g, &n);
    for (int i = 0; out && i < n.n_out; i++) out[i] = n.out[i];
    return n.n_out ? n.out[0] : 0;
}

tid graph_add1(struct graph *g, const char *op, tid a, struct err *e) { return graph_attr(g, op, NULL, &a, 1, NULL, e); }

tid graph_add2(struct graph *g, const char *op, tid a, tid b, struct err *e) { return graph_attr(g, op, NULL, (tid[]){a, b}, 2, NULL, e); }

/* "axis=1 size={2, 2} mean": words cut at spaces outside braces. */
static struct val *attr_table(const char *line) {
    struct val *t = val_table();
    while (*line) {
        while (isspace((unsigned char)*line)) line++;
        const char *from = line, *eq = NULL;
        for (int depth = 0; *line && (depth > 0 || !isspace((unsigned char)*line)); line++) {
            if (*line == '{') depth++;
            if (*line == '}') depth--;
            if (*line == '=' && depth == 0 && !eq) eq = line;
        }
        if (line == from) break;
        char *word = mem_strn(from, (size_t)(line - from));
        if (eq) {
            word[eq - from] = 0;
            val_set(t, word, args_text(word + (eq - from) + 1));
        } else val_push(t, args_text(word));
        free(word);
    }
    return t;
}

tid graph_attr(struct graph *g, const char *op, const char *attr_line, const tid *in, int n_in, tid *out, struct err *e) {
    struct val *t = attr_line && *attr_line ? attr_table(attr_line) : NULL;
    tid r = graph_add(g, op, t, in, n_in, out, e);
    val_free(t);
    return r;
}

static void dump_tensor(struct buf *b, const struct graph *g, tid t) {
    if (t < 0) {
        buf_adds(b, " -");
        return;
    }
    const struct tensor *x = &g->tensor[t];
    buf_addf(b, " %%%d", t);
    if (x->name) buf_addf(b, "[%s]", x->name);
    tensor_shape(b, x);
    if (x->dtype != g->real) buf_addf(b, ":%s", dtypes[x->dtype].name);
}

void graph_dump(const struct graph *g, struct buf *b) {
    static const char *const phases[] = {"forward", "backward", "buffers", "update", "search"};
    for (int i = 0; i < g->n_node; i++) {
        const struct node *n = &g->node[i];
        buf_addf(b, "%4d %-8s %-20s %s:", i, phases[n->phase], n->op->kind.name, n->path);
        for (int j = 0; j < n->n_in; j++) dump_tensor(b, g, n->in[j]);
        buf_adds(b, " ->");
        for (int j = 0; j < n->n_out; j++) dump_tensor(b, g, n->out[j]);
        buf_addc(b, '\n');
    }
}
