/* Where the state of an optimiser lies: which row trains a parameter, its group, its state tensors in one block. A new layout takes over what an old one
 * held, so that freezing and unfreezing layers keeps the moments of all others. Engine thread. */
#include "config.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/graph/backend.h"
#include "engine/optims/optim.h"
#include "src/base/mem.h"
#include "src/base/size.h"

static int same_shape(const void *args, const struct optim *rule, const struct optim_param *p, struct optim_state *s) {
    const char *names[OPTIM_STATES];
    int k = rule->states ? rule->states(args, names) : 0;
    for (int i = 0; i < k; i++) {
        s[i] = (struct optim_state){.name = names[i], .dtype = DT_F32, .ndim = p->ndim};
        memcpy(s[i].dim, p->dim, sizeof s[i].dim);
    }
    return k;
}

/* Bytes of each state, and where they begin. */
static size_t place(struct optim_slot *s, enum dtype real, size_t at) {
    for (int i = 0; i < s->n; i++) {
        int64_t len = 1;
        for (int j = 0; j < s->state[i].ndim; j++) len *= s->state[i].dim[j];
        if (s->state[i].dtype == DT_F32) s->state[i].dtype = real;
        s->bytes[i] = dtype_bytes(s->state[i].dtype, len);
        s->at[i] = at;
        at += size_up(s->bytes[i], 64);
    }
    return at;
}

static bool same_number(double a, double b) { return a == b || (isnan(a) && isnan(b)); }

static int find_group(struct optim_layout *o, const struct optim_group *g, struct err *e) {
    for (int i = 0; i < o->n_group; i++)
        if (o->group[i].rule == g->rule && o->group[i].lr_scale == g->lr_scale && same_number(o->group[i].weight_decay, g->weight_decay) &&
            o->group[i].born == g->born)
            return i;
    if (o->n_group == OPTIM_GROUPS) return err_set(e, "the parameters fall into more than %d groups of equal rate and decay", OPTIM_GROUPS);
    o->group = X_GROW(o->group, struct optim_group, (size_t)o->n_group + 1);
    o->group[o->n_group] = *g;
    return o->n_group++;
}

/* Frees a layout, but not the state block `keep`. */
static void drop(struct optim_layout *l, const void *keep) {
    free(l->slot);
    free(l->group);
    free(l->hyper);
    if (l->state != keep) mirror_drop(l->state), free(l->state);
    *l = (struct optim_layout){0};
}

static bool same_states(const struct optim_slot *a, const struct optim_slot *b) {
    if (a->rule != b->rule || a->n != b->n) return false;
    for (int i = 0; i < a->n; i++)
        if (a->bytes[i] != b->bytes[i] || a->state[i].dtype != b->state[i].dtype) return false;
    return true;
}

/* Born and memory of a parameter that was not laid out before: those of a checkpoint, else it begins now. */
static void progress_of(const struct optimiser *o, int i, struct optim_group *g) {
    const struct val *born = val_get(o->progress, "born"), *memory = val_get(o->progress, "memory");
    size_t from = val_len(memory) > OPTIM_MEMORY ? (size_t)i * OPTIM_MEMORY : 0;
    double x;
    g->born = !o->progress ? o->t : val_as_num(val_at(born, (size_t)i), &x) ? (int64_t)x : 0;
    for (size_t k = 0; k < OPTIM_MEMORY; k++) g->memory[k] = val_as_num(val_at(memory, from + k), &x) ? x : 0;
}

static int fill_slots(struct optimiser *o, const struct optim_param *p, int n, enum dtype real, const double *lr_scale, const double *decay, struct err *e) {
    const struct optim_layout *old = &o->old;
    struct optim_layout *l = &o->l;
    size_t at = 0;
    if (o->row->shared) {
        l->shared.rule = o->row;
        l->shared.n = o->row->shared(o->args, l->shared.state);
        at = place(&l->shared, real, at);
    }
    for (int i = 0; i < n; i++) {
        struct optim_slot *s = &l->slot[i];
        if (!p[i].trained) continue;
        s->rule = o->row->rule ? o->row->rule(o->args, &p[i]) : o->row;
        s->n = s->rule->shapes ? s->rule->shapes(o->args, &p[i], s->state) : same_shape(o->args, s->rule, &p[i], s->state);
        at = place(s, real, at);
        struct optim_group g = {.rule = s->rule, .lr_scale = lr_scale[i], .weight_decay = decay[i]};
        if (i < old->n_slot && same_states(&old->slot[i], s)) {
            g.born = old->group[old->slot[i].group].born;
            memcpy(g.memory, old->group[old->slot[i].group].memory, sizeof g.memory);
        } else progress_of(o, i, &g);
        if ((s->group = find_group(l, &g, e)) < 0) return -1;
    }
    if (l->n_group == 0) find_group(l, &(struct optim_group){.rule = o->row, .lr_scale = 1, .weight_decay = NAN}, e);
    if (o->row->build_all && l->n_group > 1)
        return err_code(e, ERR_USAGE, "%s takes all parameters as one: groups, layer_decay and decay_bias cannot be given", o->row->kind.name);
    l->bytes = at;
    return 0;
}

/* Everything as before: the block stays where it is. */
static bool same_layout(const struct optim_layout *a, const struct optim_layout *b) {
    bool same = a->state && a->n_slot == b->n_slot && a->bytes == b->bytes;
    for (int i = 0; same && i < a->n_slot; i++) same = same_states(&a->slot[i], &b->slot[i]);
    return same;
}

/* Copies what both have. The shared state is about all parameters together: it begins anew when one came or went. */
static void take_over(struct optimiser *o) {
    const struct optim_layout *old = &o->old;
    struct optim_layout *l = &o->l;
    mirror_read(old->state);
    for (int i = 0; i < l->n_slot && i < old->n_slot && !o->row->shared; i++)
        for (int k = 0; same_states(&old->slot[i], &l->slot[i]) && k < l->slot[i].n; k++)
            memcpy((char *)l->state + l->slot[i].at[k], (const char *)old->state + old->slot[i].at[k], l->slot[i].bytes[k]);
}

int optimiser_layout(struct optimiser *o, const struct optim_param *p, int n, enum dtype real, struct err *e) {
    double *lr_scale = X_NEW(double, (size_t)n + 1), *decay = X_NEW(double, (size_t)n + 1);
    struct optim_layout *l = &o->l;
    optimiser_settle(o, true);
    o->old = *l;
    *l = (struct optim_layout){.n_slot = n, .slot = X_NEW(struct optim_slot, (size_t)n + 1)};
    int rc = optim_group_numbers(optimiser_common(o), p, n, lr_scale, decay, e);
    if (rc == 0) rc = fill_slots(o, p, n, real, lr_scale, decay, e);
    bool same = rc == 0 && same_layout(&o->old, l);
    if (same) l->state = o->old.state;
    else if (rc == 0 && !(l->state = mem_try(l->bytes ? l->bytes : 1, 1, "optimiser state", e))) rc = -1;
    if (rc == 0) l->hyper = X_NEW(double, (size_t)l->n_group *CTL_N);
    if (rc == 0 && !same && o->old.state) take_over(o);
    o->unsettled = true;
    if (rc < 0) optimiser_settle(o, false);
    free(lr_scale);
    free(decay);
    return rc;
}

void optimiser_settle(struct optimiser *o, bool keep) {
    if (!o->unsettled) return;
    o->unsettled = false;
    if (keep) {
        drop(&o->old, o->l.state);
        val_free(o->progress);
        o->progress = NULL;
        return;
    }
    drop(&o->l, o->old.state);
    o->l = o->old;
    o->old = (struct optim_layout){0};
}

void optimiser_progress(const struct optimiser *o, struct val *v) {
    const struct optim_layout *l = &o->l;
    struct val *list = val_list(), *born = val_list();
    for (int i = 0; i < (l->n_group > 1 ? l->n_slot : 1); i++)
        for (int k = 0; k < OPTIM_MEMORY; k++) val_push(list, val_num(l->n_group ? l->group[l->n_group > 1 ? l->slot[i].group : 0].memory[k] : 0));
    for (int i = 0; i < l->n_slot; i++) val_push(born, val_int(l->slot[i].rule ? l->group[l->slot[i].group].born : 0));
    val_set_int(v, "applied", o->t);
    val_set(v, "memory", list);
    val_set(v, "born", born);
}

void optimiser_restore(struct optimiser *o, const struct val *v) {
    o->t = val_get_int(v, "applied", 0);
    val_free(o->progress);
    o->progress = val_table();
    if (val_get(v, "memory")) val_set(o->progress, "memory", val_copy(val_get(v, "memory")));
    if (val_get(v, "born")) val_set(o->progress, "born", val_copy(val_get(v, "born")));
}

void optimiser_layout_free(struct optimiser *o) {
    optimiser_settle(o, true);
    drop(&o->l, NULL);
    val_free(o->progress);
}
