/* Optimisers at work: finding the row, laying out state, appending the update ops, the control numbers of a step. No arithmetic on tensors:
 * that is in the update ops. Engine thread. */
#include "config.h"

#include "engine/optims/optim.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/graph/backend.h"
#include "engine/graph/op.h"
#include "src/base/mem.h"

/* clang-format off */
#define OPTIMS(X)                                                                                         \
    X(adadelta) X(adafactor) X(adagrad) X(adam) X(adamax) X(adamw) X(asgd) X(lamb) X(lbfgs) X(lion) X(muon) \
    X(nadam) X(radam) X(rmsprop) X(rprop) X(sgd)
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

#define ARGS_MAX 512 /* bytes of the arguments of any optimiser */

static int unknown(const char *name, struct err *e) {
    const char *names[32];
    size_t n = 0;
    for (; optims[n]; n++) names[n] = optims[n]->kind.name;
    const char *near = args_nearest(name, names, n);
    return err_code(e, ERR_USAGE, "there is no optimiser \"%s\"%s%s%s", name, near ? "; did you mean \"" : "; `optim.` and Tab lists them", near ? near : "",
        near ? "\"?" : "");
}

struct optimiser *optimiser_new(const struct val *spec, struct err *e) {
    const char *name = spec && spec->type == VAL_STR ? spec->u.s.p : spec && spec->type == VAL_TABLE ? val_get_str(spec, "optim", "adam") : "adam";
    if (spec && spec->type != VAL_STR && spec->type != VAL_TABLE && spec->type != VAL_NIL) {
        err_code(e, ERR_USAGE, "optim is a name or a table like optim.adam{lr=1e-3}, not a %s", val_type_name(spec));
        return NULL;
    }
    static const char *const others[] = {"sched", "loss", "layer"};
    for (size_t i = 0; i < LEN(others) && spec && spec->type == VAL_TABLE; i++)
        if (val_get(spec, others[i]) && !val_get(spec, "optim")) {
            err_code(e, ERR_USAGE, "optim is a name or a table like optim.adam{lr=1e-3}, not a table of a %s", others[i]);
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
    if (row->kind.size > ARGS_MAX) BUG("the arguments of optimiser %s are too large", row->kind.name);
    o->row = row;
    o->args = mem_new(1, row->kind.size);
    if (args_parse(&row->kind, t, o->args, e) < 0) {
        free(o->args);
        free(o);
        o = NULL;
    } else if (row->check && row->check(o->args, e) < 0) {
        optimiser_free(o);
        o = NULL;
    }
    val_free(t);
    return o;
}

void optimiser_free(struct optimiser *o) {
    if (!o) return;
    args_release(&o->row->kind, o->args);
    free(o->args);
    optimiser_layout_free(o);
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

static int add_norm(struct graph *g, tid grad, tid *norm, struct err *e) {
    tid rows[3] = {-1, -1, -1};
    grad_rows(g, grad, rows);
    *norm = graph_attr(g, "grad_norm", NULL, (tid[]){grad, rows[1], *norm}, 3, NULL, e);
    return *norm < 0 ? -1 : 0;
}

/* The states of a slot as tensors. */
static void add_states(struct graph *g, const char *owner, const struct optim_slot *s, tid *out) {
    for (int i = 0; i < s->n; i++) {
        char name[512];
        struct dim d[TENSOR_DIMS];
        for (int j = 0; j < s->state[i].ndim; j++) d[j] = (struct dim){s->state[i].dim[j], AXIS_ONE};
        snprintf(name, sizeof name, "%s/%s", owner, s->state[i].name);
        out[i] = graph_state(g, name, s->state[i].dtype, d, s->state[i].ndim, s->at[i]);
    }
}

/* param, states, grad, ctl [, slots | ids, count]: the form of every op of update.h. */
static int add_update(struct graph *g, const struct optim_update *u, struct err *e) {
    tid in[OP_IN] = {u->param}, rows[3];
    int n = 0;
    for (int i = 0; i < u->slot->n; i++) in[++n] = u->state[i];
    in[++n] = u->grad;
    in[++n] = u->ctl;
    bool sparse = grad_rows(g, u->grad, rows), lazy = optimiser_common(u->o)->lazy;
    if (sparse && lazy) in[++n] = rows[0], in[++n] = rows[1];
    else if (sparse) in[++n] = rows[2];
    const struct optim *r = u->slot->rule;
    char attr[96];
    snprintf(attr, sizeof attr, "rows=%s variant=%d group=%d",
        !sparse ? "all"
        : lazy  ? "lazy"
                : "sweep",
        r->variant ? r->variant(u->o->args) : 0, u->slot->group);
    return graph_attr(g, r->op, attr, in, n + 1, NULL, e) < 0 ? -1 : 0;
}

tid optim_dense_grad(struct graph *g, const struct optim_update *u, struct err *e) {
    tid rows[3];
    if (!grad_rows(g, u->grad, rows)) return u->grad;
    return graph_attr(g, "rows_dense", NULL, (tid[]){u->grad, rows[0], rows[1], rows[2]}, 4, NULL, e);
}

static int add_all(const struct optimiser *o, struct graph *g, const tid *param, const tid *grad, int n, tid ctl, tid loss, tid weight, struct err *e) {
    struct optim_update *u = X_NEW(struct optim_update, (size_t)n + 1);
    tid shared[OPTIM_STATES], rows[3];
    int rc = 0, m = 0;
    add_states(g, "optim", &o->l.shared, shared);
    for (int i = 0; i < n && rc == 0; i++) {
        const struct optim_slot *s = &o->l.slot[i];
        if (grad[i] < 0 || !s->rule) continue;
        struct optim_update *v = &u[m++];
        *v = (struct optim_update){.o = o, .slot = s, .param = param[i], .grad = grad[i], .ctl = ctl, .loss = loss, .weight = weight};
        graph_path(g, graph_tensor(g, param[i])->name);
        add_states(g, graph_tensor(g, param[i])->name, s, v->state);
        if (optimiser_common(o)->lazy && (s->rule->build || s->rule->build_all) && grad_rows(g, grad[i], rows)) {
            rc = err_code(e, ERR_USAGE, "%s looks at whole tensors, so it cannot leave rows of %s alone: leave out lazy", o->row->kind.name,
                graph_tensor(g, param[i])->name);
            break;
        }
        if (!o->row->build_all) rc = s->rule->build ? s->rule->build(g, v, e) : add_update(g, v, e);
    }
    if (rc == 0 && o->row->build_all) rc = o->row->build_all(g, u, m, shared, e);
    free(u);
    return rc;
}

int optimiser_build(
    const struct optimiser *o, struct graph *g, const tid *param, const tid *grad, int n, tid hyper, tid loss, tid weight, tid *ctl, struct err *e) {
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
    return add_all(o, g, param, grad, n, *ctl, loss, weight, e);
}

/* The arguments as a group has them: its own decay in place of the optimiser's. */
static void group_coef(const struct optimiser *o, struct optim_group *g, int64_t t, double lr, double *memory, double *c) {
    _Alignas(16) char own[ARGS_MAX];
    const struct optim_common *a = optimiser_common(o);
    memcpy(own, o->args, o->row->kind.size);
    struct optim_common *mine = (struct optim_common *)(void *)own;
    if (!isnan(g->weight_decay)) mine->weight_decay = g->weight_decay;
    c[CTL_L1] = a->l1;
    c[CTL_L2] = a->l2 + (g->rule->decoupled ? 0 : mine->weight_decay);
    g->rule->coef(own, t - g->born, lr * g->lr_scale, memory, c + CTL_COEF);
}

void optimiser_hyper(const struct optimiser *o, double lr, double clip_norm, double clip_value, double *hyper) {
    memset(o->l.hyper, 0, (size_t)o->l.n_group * CTL_N * sizeof *hyper);
    for (int i = 0; i < o->l.n_group; i++) {
        double *h = o->l.hyper + i * CTL_N, memory[OPTIM_MEMORY];
        memcpy(memory, o->l.group[i].memory, sizeof memory);
        h[CTL_OK] = 1;
        h[CTL_SCALE] = 1;
        h[CTL_CLIP_NORM] = clip_norm > 0 ? clip_norm : INFINITY;
        h[CTL_CLIP_VALUE] = clip_value > 0 ? clip_value : INFINITY;
        group_coef(o, &o->l.group[i], o->t + 1, lr, memory, h);
    }
    memcpy(hyper, o->l.hyper, CTL_N * sizeof *hyper);
}

void optimiser_applied(struct optimiser *o, double lr) {
    double c[CTL_N];
    o->t++;
    for (int i = 0; i < o->l.n_group; i++) group_coef(o, &o->l.group[i], o->t, lr, o->l.group[i].memory, c);
}

bool optimiser_searches(const struct optimiser *o) { return o->row->searches && o->row->searches(o->args); }
bool optimiser_again(const struct optimiser *o) {
    const struct optim_slot *s = &o->l.shared;
    mirror_read(o->l.state);
    return s->n && o->row->again((const double *)(const void *)((const char *)o->l.state + s->at[0]), s->state[0].dim[0]);
}

#define ROW(name) &optim_##name##_base,
const struct optim *const optims[] = {OPTIMS(ROW) NULL};
