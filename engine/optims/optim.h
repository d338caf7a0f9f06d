/* Optimisers: const rows. A row says which update op it uses, how many state tensors a parameter gets, and which numbers the op needs at a
 * step. Formulas are those of torch.optim (documentation of PyTorch 2.x, "Algorithms"), where not said otherwise. Engine thread. */
#ifndef HONE_ENGINE_OPTIMS_OPTIM_H
#define HONE_ENGINE_OPTIMS_OPTIM_H

#include "engine/graph/graph.h"
#include "engine/optims/ctl.h"
#include "src/base/args.h"

/* Every optimiser's arguments begin with these. */
struct optim_common {
    double lr, weight_decay, l1, l2;
    bool lazy; /* rows of embedding tables without gradient are left alone */
};
#define OPTIM_ARGS(type, lr_default, wd_default) \
    {"lr", "learning rate", NULL, lr_default, ARG_NUM, offsetof(struct type, common.lr), ARG_LIVE | ARG_LOG, AT_STEP, 0, 1e6}, \
    {"weight_decay", "weight decay as in PyTorch: decoupled in adamw and lion, else added to the gradient", NULL, wd_default, ARG_NUM, offsetof(struct type, common.weight_decay), ARG_LIVE, AT_STEP, 0, 1e6}, \
    {"l1", "penalty on sum |p|: l1 sign(p) is added to the gradient", NULL, "0", ARG_NUM, offsetof(struct type, common.l1), ARG_LIVE, AT_STEP, 0, 1e6}, \
    {"l2", "penalty on sum p^2 / 2: l2 p is added to the gradient", NULL, "0", ARG_NUM, offsetof(struct type, common.l2), ARG_LIVE, AT_STEP, 0, 1e6}, \
    {"lazy", "update only the touched rows of embedding tables", NULL, "false", ARG_BOOL, offsetof(struct type, common.lazy), 0, AT_RUN}

#define OPTIM_STATES 3
#define OPTIM_MEMORY 2
struct optim {
    struct kind kind;   /* first */
    const char *op;     /* "adam_update" */
    bool decoupled;     /* weight_decay is a coefficient of its own, not part of the gradient */
    int (*states)(const void *args, const char *names[OPTIM_STATES]); /* how many, and their names in a checkpoint; NULL: none */
    int (*variant)(const void *args);                                 /* NULL: 0 */
    /* Coefficients of step t (1, 2, ...) at learning rate lr. memory: numbers carried from step to step (zero at first), already a copy. */
    void (*coef)(const void *args, int64_t t, double lr, double *memory, double *c);
};
extern const struct optim *const optims[];    /* NULL-terminated */
const struct optim *optim_find(const char *name);
const struct kind *const *optim_kinds(void);  /* for the catalogue "optim" */

/* An optimiser at work: arguments, how many steps were applied, state tensors of all parameters in one block. */
struct optimiser {
    const struct optim *row;
    void *args;                   /* row->kind.size bytes, begins with struct optim_common */
    int64_t t;                    /* steps applied */
    double memory[OPTIM_MEMORY];
    void *state;
    size_t bytes;
};
struct model;
/* spec: NULL or "adam" or {optim="adam", lr=...}; NULL: adam. The state block is made by optimiser_attach. */
struct optimiser *optimiser_new(const struct val *spec, struct err *e);
void optimiser_free(struct optimiser *o);
struct optim_common *optimiser_common(const struct optimiser *o);
struct val *optimiser_val(const struct optimiser *o);      /* {optim="adam", lr=0.001, ...} as it stands now */

/* Appends the updates of n parameters to g (phase PHASE_UPDATE), with gradients grad[i] (-1: none, left alone). offset[i]: where the states of
 * parameter i begin in the state block, as optimiser_layout gives it. hyper: graph input (CTL_N); loss, weight: as the loss op gave them.
 * *ctl: the control numbers after the gate. */
int optimiser_build(const struct optimiser *o, struct graph *g, const tid *param, const tid *grad, const size_t *offset, int n, tid hyper, tid loss, tid weight, tid *ctl, struct err *e);
/* State bytes by parameter lengths; fills offset[n]; returns the total. A parameter that is not trainable has len 0. */
size_t optimiser_layout(const struct optimiser *o, const int64_t *len, enum dtype d, size_t *offset, int n);
int optimiser_alloc(struct optimiser *o, size_t bytes, struct err *e);
/* Control numbers of the next step. clip_norm, clip_value: 0 or less: none. */
void optimiser_hyper(const struct optimiser *o, double lr, double clip_norm, double clip_value, double *hyper);
/* The step was applied (ctl[CTL_OK] was 1). */
void optimiser_applied(struct optimiser *o, double lr);

#endif
