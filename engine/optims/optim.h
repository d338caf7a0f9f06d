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
    struct val *groups; /* a list of {match=, lr_scale=, weight_decay=}; see group.c */
    double layer_decay;
    bool decay_bias;
};
#define OPTIM_ARGS(type, lr_default, wd_default)                                                                                                               \
    {"lr", "learning rate", NULL, lr_default, ARG_NUM, offsetof(struct type, common.lr), ARG_LIVE | ARG_LOG, AT_STEP, 0, 1e6},                                 \
        {"weight_decay", "weight decay as in PyTorch: decoupled in adamw and lion, else added to the gradient", NULL, wd_default, ARG_NUM,                     \
            offsetof(struct type, common.weight_decay), ARG_LIVE, AT_STEP, 0, 1e6},                                                                            \
        {"l1", "penalty on sum |p|: l1 sign(p) is added to the gradient", NULL, "0", ARG_NUM, offsetof(struct type, common.l1), ARG_LIVE, AT_STEP, 0, 1e6},    \
        {"l2", "penalty on sum p^2 / 2: l2 p is added to the gradient", NULL, "0", ARG_NUM, offsetof(struct type, common.l2), ARG_LIVE, AT_STEP, 0, 1e6},      \
        {"lazy", "update only the touched rows of embedding tables", NULL, "false", ARG_BOOL, offsetof(struct type, common.lazy), 0, AT_RUN},                  \
        {"groups", "parameters with a rate or decay of their own, the first that matches: {{match=\"embed*\", lr_scale=0.1, weight_decay=0}, ..}", NULL, NULL, \
            ARG_TABLE, offsetof(struct type, common.groups), 0, AT_RUN},                                                                                       \
        {"layer_decay", "the rate of each layer is this times that of the layer after it, the last has the full one", NULL, "1", ARG_NUM,                      \
            offsetof(struct type, common.layer_decay), 0, AT_RUN, 0.01, 1},                                                                                    \
    {                                                                                                                                                          \
        "decay_bias", "false: no weight decay on biases and norms (parameters of one dimension)", NULL, "true", ARG_BOOL,                                      \
            offsetof(struct type, common.decay_bias), 0, AT_RUN                                                                                                \
    }

#define OPTIM_STATES 5
#define OPTIM_MEMORY 2
#define OPTIM_GROUPS 256
struct optimiser;
/* What an optimiser knows of a parameter. */
struct optim_param {
    const char *name; /* "block1.ffn.weight" */
    int64_t dim[TENSOR_DIMS];
    int ndim;
    int64_t len;
    bool trained; /* false: left alone, no state */
    bool table; /* an embedding table: its gradient is row-sparse */
};
struct optim_state {
    const char *name;
    enum dtype dtype; /* DT_F32 stands for the float type of the graph */
    int64_t dim[TENSOR_DIMS];
    int ndim;
};
/* Where a parameter stands: its rule, its group, and its states in the state block. */
struct optim_slot {
    const struct optim *rule; /* NULL: not trained */
    int group, n;
    struct optim_state state[OPTIM_STATES];
    size_t at[OPTIM_STATES], bytes[OPTIM_STATES];
};
/* Parameters with the same numbers. */
struct optim_group {
    const struct optim *rule;
    double lr_scale, weight_decay; /* weight_decay NAN: the optimiser's */
    int64_t born; /* steps applied when its parameters began to be trained */
    double memory[OPTIM_MEMORY]; /* carried from step to step */
};
/* One parameter's update while the graph is built. */
struct optim_update {
    const struct optimiser *o;
    const struct optim_slot *slot;
    tid param, grad, ctl, loss, weight, state[OPTIM_STATES];
};

struct optim {
    struct kind kind; /* first */
    const char *op; /* "adam_update" */
    bool decoupled; /* weight_decay is a coefficient of its own, not part of the gradient */
    int (*states)(const void *args, const char *names[OPTIM_STATES]); /* of the shape of the parameter: how many, and their names in a checkpoint; NULL: none */
    int (*variant)(const void *args); /* NULL: 0 */
    /* Coefficients of step t (1, 2, ...) at learning rate lr. memory: numbers carried from step to step (zero at first), already a copy. */
    void (*coef)(const void *args, int64_t t, double lr, double *memory, double *c);
    /* The rest is optional. */
    int (*check)(const void *args, struct err *e); /* arguments that do not go together */
    const struct optim *(*rule)(const void *args, const struct optim_param *p); /* the row that trains this parameter, with the same args; NULL: this one */
    int (*shapes)(const void *args, const struct optim_param *p, struct optim_state *s); /* instead of states, where they have other shapes */
    int (*build)(struct graph *g, const struct optim_update *u, struct err *e); /* appends the nodes of a parameter, instead of one node `op` */
    int (*shared)(const void *args, struct optim_state *s); /* states of the whole optimiser */
    int (*build_all)(struct graph *g, const struct optim_update *u, int n, const tid *shared, struct err *e); /* all parameters at once, instead of build */
    /* A line search: with these arguments the batch of a step is computed again, and the nodes of PHASE_SEARCH run, until `again` says no. shared: n doubles. */
    bool (*searches)(const void *args);
    bool (*again)(const double *shared, int64_t n);
};
extern const struct optim *const optims[]; /* NULL-terminated */
const struct optim *optim_find(const char *name);
const struct kind *const *optim_kinds(void); /* for the catalogue "optim" */

/* Where everything lies: slots of the parameters, groups, the state block. */
struct optim_layout {
    int n_slot, n_group;
    struct optim_slot *slot, shared;
    struct optim_group *group; /* at least one */
    double *hyper; /* (n_group, CTL_N) of the next step */
    void *state;
    size_t bytes;
};
/* An optimiser at work: arguments, how many steps were applied, state tensors of all parameters in one block. */
struct optimiser {
    const struct optim *row;
    void *args; /* row->kind.size bytes, begins with struct optim_common */
    int64_t t; /* steps applied */
    struct optim_layout l, old; /* old: until optimiser_settle */
    bool unsettled;
    struct val *progress; /* of a checkpoint, for the next layout */
};
/* spec: NULL or "adam" or {optim="adam", lr=...}; NULL: adam. Slots and state are made by optimiser_layout. */
struct optimiser *optimiser_new(const struct val *spec, struct err *e);
void optimiser_free(struct optimiser *o);
struct optim_common *optimiser_common(const struct optimiser *o);
struct val *optimiser_val(const struct optimiser *o); /* {optim="adam", lr=0.001, ...} as it stands now */
/* layout.c. Groups and states of n parameters, zeroed. A layout that is there already gives what it holds to the same states of the new one; a parameter
 * that it did not train begins at step 1. real: float type of the graph. The old one stays until optimiser_settle: keep, or go back to it. */
int optimiser_layout(struct optimiser *o, const struct optim_param *p, int n, enum dtype real, struct err *e);
void optimiser_settle(struct optimiser *o, bool keep);
void optimiser_layout_free(struct optimiser *o);
void optimiser_progress(const struct optimiser *o, struct val *v); /* adds the counters that stand beside the tensors in a checkpoint */
void optimiser_restore(struct optimiser *o, const struct val *v); /* before the layout */
/* Appends the updates of the laid out parameters to g (phase PHASE_UPDATE), with gradients grad[i] (-1: none, left alone). hyper: graph input
 * (n_group CTL_N); loss, weight: as the loss op gave them. *ctl: the control numbers after the gate. */
int optimiser_build(
    const struct optimiser *o, struct graph *g, const tid *param, const tid *grad, int n, tid hyper, tid loss, tid weight, tid *ctl, struct err *e);
/* Control numbers of the next step: all groups in o->l.hyper, those of the first also in hyper (CTL_N). clip_norm, clip_value: 0 or less: none. */
void optimiser_hyper(const struct optimiser *o, double lr, double clip_norm, double clip_value, double *hyper);
bool optimiser_searches(const struct optimiser *o); /* its steps compute their batch again */
bool optimiser_again(const struct optimiser *o); /* and once more: behind the phases PHASE_UPDATE and PHASE_SEARCH */
/* The step was applied (ctl[CTL_OK] was 1). */
void optimiser_applied(struct optimiser *o, double lr);
/* For rows with `build`: the gradient as one dense tensor, whatever it was. */
tid optim_dense_grad(struct graph *g, const struct optim_update *u, struct err *e);

/* group.c: which numbers a parameter gets. A pattern is a glob over a parameter's name or its layer's ("block1", "block1.*", "*.bias"); a word without a
 * number at its end also stands for itself with one ("linear" for linear1, linear2 ...). */
bool optim_match(const char *pattern, const char *name);
int optim_match_list(const struct val *patterns, const char *what, const struct optim_param *p, int n, bool *hit,
    struct err *e); /* a word or a list of words; one that matches nothing is an error */
int optim_group_numbers(const struct optim_common *c, const struct optim_param *p, int n, double *lr_scale, double *weight_decay, struct err *e);

#endif
