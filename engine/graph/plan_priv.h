/* The inside of a plan, shared by plan.c (building) and exec.c (running). Not for other files. */
#ifndef HONE_ENGINE_GRAPH_PLAN_PRIV_H
#define HONE_ENGINE_GRAPH_PLAN_PRIV_H

#include "engine/graph/op.h"
#include "engine/graph/plan.h"

struct place { /* where a tensor lives */
    int root; /* tensor whose memory it is; -1: optimised away */
    size_t offset; /* of a root, in the block of its role */
    int first, last; /* of a root: steps between which it is live */
    bool pinned; /* of a root: stays valid to the end */
};
struct plan {
    struct graph *g; /* borrowed */
    struct extents max, now;
    struct plan_options o;
    int n_step;
    int *step_node; /* node of each step, in running order */
    struct exec *exec; /* per step; shapes belong to `now` */
    bool *fast; /* per step: op->run serves these dtypes */
    double *seconds; /* per step, if profiling */
    int64_t *calls;
    struct place *place; /* per tensor */
    size_t bytes[ROLE_N], scratch, align_pad;
    char *block[ROLE_N]; /* memory of the roles the plan owns; PARAM, STATE: bound */
    char *scratch_mem, *memory; /* memory: one allocation behind block[] and scratch_mem */
    bool bound; /* exec pointers are set */
    uint64_t step;
    void (*meanwhile)(void *ctx); /* plan_meanwhile; on a device */
    void *meanwhile_ctx;
    tid *sum; /* plan_sums; on a device */
    int n_sum;
    struct away *away; /* device.c: the same memory and steps on a device; NULL: on the CPU */
    double spent[PHASE_N];
};

/* engine/graph/device.c */
void device_new(struct plan *p); /* which steps the device runs; before offsets are given out */
void device_free(struct plan *p);
int device_alloc(struct plan *p, struct err *e);
void *device_at(const struct plan *p, tid t); /* where a tensor lives on the device */
bool device_has(const struct plan *p, int s); /* step s runs there */
int device_run(struct plan *p, enum phase from, enum phase to, bool summed, struct err *e); /* for p->now */
int device_fetch(struct plan *p, struct err *e); /* every tensor back to the host */
/* engine/graph/exec.c */
void plan_step_run(struct plan *p, int s); /* on the CPU */
int plan_too_large(const struct plan *p, size_t total, size_t available, struct err *e);

#endif
