/* Optimisers at work: finding the row, laying out state, appending the update ops, the control numbers of a step. No arithmetic on tensors:
 * that is in the update ops. Engine thread. */
#include "config.h"

#include "engine/optims/optim.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/graph/op.h"
#include "src/base/mem.h"
#include "src/base/size.h"

/* clang-format off */
#define OPTIMS(X) X(adadelta) X(adagrad) X(adam) X(adamax) X(adamw) X(lion) X(nadam) X(radam) X(rmsprop) X(sgd)
/* clang-format on */
#define DECLARE(name) extern const struct optim optim_##name##_base; /* the rows stand beside their kernels; one copy is as good as another */
OPTIMS(DECLARE)

const struct optim *optim_find(const char *name) {
    for (int i = 0; optims[i]; i++)
        if (strcmp(optims[i]->kind.name, name) == 0) return optims[i];
    return NULL;
}

const struct kind *const *optim_kinds(void) {
    static const struct kind *kinds[32];
    int n = 0;
    for (; optims[n]; n++) kinds[n] = &optims[n]->kind;
    kinds[n] = NULL;
    return kinds;
}

static int unknown(const char *name, struct err *e) {
    const char *names[32];
    size_t n = 0;
    for (; optims[n]; n++) names[n] = optims[n]->kind.name;
    const char *near = args_nearest(name, names, n);
    return err_code(e, ERR_USAGE, "there is no optimiser \"%s\"%s%s%s", name, near ? "; did you mean \"" : "; `optim.` and Tab lists them", near ? near : "", near ? "\"?" : "");
}

struct optimiser *optimiser_new(const struct val *spec, struct err *e) {
    const char *name = spec && spec->type == VAL_STR ? spec->u.s.p : spec && spec->type == VAL_TABLE ? val_get_str(spec, "optim", "adam") : "adam";
    if (spec && spec->type != VAL_STR && spec->type != VAL_TABLE && spec->type != VAL_NIL) {
        err_code(e, ERR_USAGE, "optim is a name or a table like optim.adam{lr=1e-3}, not a %s", val_type_name(spec));
        return NULL;
    }
    const struct optim *row = optim_find(name);
    if (!row) {
        unknown(name, e);
        return NULL;
    }
    struct val *t = spec && spec->type == VAL_TABLE ? val_copy(spec) : val_table();
    val_unset(t, "optim");
    struct optimiser *o = X_NEW(struct optimiser, 1);
    o->row = row;
    o->args = mem_new(1, row->kind.size);
    if (args_parse(&row->kind, t, o->args, e) < 0) {
        free(o->args);
        free(o);
        o = NULL;
    }
    val_free(t);
    return o;
}

void optimiser_free(struct optimiser *o) {
    if (!o) return;
    args_release(&o->row->kind, o->args);
    free(o->args);
    free(o->state);
    free(o);
}

struct optim_common *optimiser_common(const struct optimiser *o) {
    return o->args;
}

struct val *optimiser_val(const struct optimiser *o) {
    struct val *a = args_to_val(&o->row->kind, o->args), *v = val_table();
    val_set_str(v, "optim", o->row->kind.name);
    for (size_t i = 0; i < a->u.t.n_field; i++) val_set(v, a->u.t.field[i].name, val_copy(a->u.t.field[i].v));
    val_free(a);
    return v;
}

static int n_states(const struct optimiser *o, const char *names[OPTIM_STATES]) {
    return o->row->states ? o->row->states(o->args, names) : 0;
}

size_t optimiser_layout(const struct optimiser *o, const int64_t *len, enum dtype d, size_t *offset, int n) {
    const char *names[OPTIM_STATES];
    size_t at = 0;
    int k = n_states(o, names);
    for (int i = 0; i < n; i++) {
        offset[i] = at;
        at += (size_t)k * size_up(dtype_bytes(d, len[i]), 64);
    }
    return at;
}

int optimiser_alloc(struct optimiser *o, size_t bytes, struct err *e) {
    free(o->state);
    o->bytes = bytes;
    o->state = mem_try(bytes ? bytes : 1, 1, "optimiser state", e);
    return o->state ? 0 : -1;
}

static int add_norm(struct graph *g, tid grad, tid *norm, struct err *e) {
    tid rows[3] = {-1, -1, -1};
    grad_rows(g, grad, rows);
    *norm = graph_attr(g, "grad_norm", NULL, (tid[]){grad, rows[1], *norm}, 3, NULL, e);
    return *norm < 0 ? -1 : 0;
}

static int add_update(const struct optimiser *o, struct graph *g, tid param, tid grad, size_t offset, tid ctl, struct err *e) {
    const char *names[OPTIM_STATES];
    int k = n_states(o, names), n = 0;
    const struct tensor *p = graph_tensor(g, param);
    struct tensor shape = *p;
    tid in[OP_IN] = {param}, rows[3];
    static const struct extents one = {{1, 1, 1, 1, 1, 1, 1}};
    size_t step = size_up(tensor_bytes(p, &one), 64);
    for (int i = 0; i < k; i++) {
        char name[512];
        snprintf(name, sizeof name, "%s/%s", shape.name ? shape.name : "param", names[i]);
        in[++n] = graph_state(g, name, shape.dtype, shape.dim, shape.ndim, offset + (size_t)i * step);
    }
    in[++n] = grad;
    in[++n] = ctl;
    bool sparse = grad_rows(g, grad, rows), lazy = optimiser_common(o)->lazy;
    if (sparse && lazy) in[++n] = rows[0], in[++n] = rows[1];
    else if (sparse) in[++n] = rows[2];
    char attr[64];
    snprintf(attr, sizeof attr, "rows=%s variant=%d", !sparse ? "all" : lazy ? "lazy" : "sweep", o->row->variant ? o->row->variant(o->args) : 0);
    return graph_attr(g, o->row->op, attr, in, n + 1, NULL, e) < 0 ? -1 : 0;
}

int optimiser_build(const struct optimiser *o, struct graph *g, const tid *param, const tid *grad, const size_t *offset, int n, tid hyper, tid loss, tid weight, tid *ctl, struct err *e) {
    tid norm = -1;
    g->phase = PHASE_UPDATE;
    for (int i = 0; i < n; i++) {
        if (grad[i] < 0) continue;
        graph_path(g, graph_tensor(g, param[i])->name);
        if (add_norm(g, grad[i], &norm, e) < 0) return -1;
    }
    if (norm < 0) return err_set(e, "no parameter of this model gets a gradient: nothing can be trained");
    graph_path(g, "update");
    *ctl = graph_attr(g, "update_gate", NULL, (tid[]){hyper, loss, weight, norm}, 4, NULL, e);
    if (*ctl < 0) return -1;
    for (int i = 0; i < n; i++) {
        if (grad[i] < 0) continue;
        graph_path(g, graph_tensor(g, param[i])->name);
        if (add_update(o, g, param[i], grad[i], offset[i], *ctl, e) < 0) return -1;
    }
    return 0;
}

void optimiser_hyper(const struct optimiser *o, double lr, double clip_norm, double clip_value, double *hyper) {
    const struct optim_common *a = optimiser_common(o);
    double memory[OPTIM_MEMORY];
    memcpy(memory, o->memory, sizeof memory);
    memset(hyper, 0, CTL_N * sizeof *hyper);
    hyper[CTL_OK] = 1;
    hyper[CTL_SCALE] = 1;
    hyper[CTL_CLIP_NORM] = clip_norm > 0 ? clip_norm : INFINITY;
    hyper[CTL_CLIP_VALUE] = clip_value > 0 ? clip_value : INFINITY;
    hyper[CTL_L1] = a->l1;
    hyper[CTL_L2] = a->l2 + (o->row->decoupled ? 0 : a->weight_decay);
    o->row->coef(o->args, o->t + 1, lr, memory, hyper + CTL_COEF);
}

void optimiser_applied(struct optimiser *o, double lr) {
    double c[CTL_N];
    o->row->coef(o->args, ++o->t, lr, o->memory, c);
}

#define ROW(name) &optim_##name##_base,
const struct optim *const optims[] = {OPTIMS(ROW) NULL};
