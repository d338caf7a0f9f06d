/* The plan: every buffer has an offset before the first step; running never allocates. Liveness over the node order, in place
 * where the op allows. PARAM and STATE memory belongs to the model and the optimiser; the plan owns INPUT, SCALAR, GRAD, TEMP. */
#ifndef HONE_ENGINE_GRAPH_PLAN_H
#define HONE_ENGINE_GRAPH_PLAN_H

#include "engine/graph/graph.h"

struct pool; /* engine/cpu/pool.h */
struct plan;

struct plan_options {
    struct backend_device *device; /* runs what it can there (backend.h); NULL: on the CPU */
    struct pool *pool; /* NULL: the caller's thread alone */
    bool reference; /* use op->ref everywhere */
    bool profile; /* time every node */
    const tid *keep; /* tensors that must stay valid after the run (outputs, metrics) */
    int n_keep;
    void *param, *state; /* base addresses; may be set later with plan_bind */
    bool no_reuse; /* every tensor has memory of its own (for tests and for looking at everything) */
};
/* g is borrowed and must outlive the plan. max: the largest extents it will ever run with. */
struct plan *plan_new(struct graph *g, const struct extents *max, const struct plan_options *o, struct err *e);
void plan_free(struct plan *p);
void plan_bind(struct plan *p, void *param, void *state);
/* Takes the memory; plan_run does it at first need. The sentence names MiB and how many rows would fit. */
int plan_alloc(struct plan *p, struct err *e);
size_t plan_bytes(const struct plan *p, enum arena_role role); /* planned, before anything is allocated for ROLE_PARAM, ROLE_STATE too */
void *plan_data(const struct plan *p, tid t); /* where a tensor lives; NULL if it was optimised away */
void plan_scalar(struct plan *p, tid t, double v);
double plan_spent(const struct plan *p, enum phase f); /* seconds of all runs in a phase, on the caller's clock */
void plan_step(struct plan *p, uint64_t step); /* for random ops */
/* Runs nodes of the phases from..to in order, for these extents (<= max; a rows or tokens count of 0 is allowed). */
int plan_run(struct plan *p, const struct extents *now, enum phase from, enum phase to, struct err *e);
/* After a run with a non-finite result: reruns nothing, scans outputs in node order that are still valid, else NULL. */
const struct node *plan_first_nonfinite(struct plan *p, const struct extents *now);
struct node_time {
    const struct node *node;
    double seconds;
    int64_t calls;
    double flop, macs;
}; /* flop, macs: of one call with the latest extents */
size_t plan_profile(const struct plan *p, struct node_time *out, size_t n);
/* Costs of one run by shapes (op->cost), forward only or all phases. */
struct cost_sum {
    double flop, macs, bytes;
};
void plan_cost(const struct plan *p, const struct extents *x, enum phase from, enum phase to, struct cost_sum *out);

/* On a device: inputs of the run after this one go up while this one runs. fn is called between what a run from PHASE_FORWARD on queues and the wait for it.
 * In it plan_ahead gives where input t of the next run is to be written, NULL: nothing goes ahead here; plan_ahead_send sends what was written for these
 * extents under a number that is not 0. Before the next run plan_ahead_is says whether that number's are there, all others are dropped: where it says no,
 * the inputs are written as ever. It is asked whenever inputs are new; where it said yes, the host has them not. */
void plan_meanwhile(struct plan *p, void (*fn)(void *ctx), void *ctx);
void *plan_ahead(struct plan *p, tid t);
void plan_ahead_send(struct plan *p, const struct extents *now, uint64_t number);
bool plan_ahead_is(struct plan *p, uint64_t number);

/* Of a plan on one of several devices that were joined (backend.comm_open). plan_sums says, once, which float tensors, of no axis that moves, are summed over
 * all of them. plan_run_summed is plan_run with these sums behind the steps that make them final, beside the steps that follow; what is kept does not come
 * to the host. plan_sum_none is for a device that has nothing to add: zeros take part in the sums of the others. Each ends when all sums are there. */
void plan_sums(struct plan *p, const tid *t, int n);
int plan_run_summed(struct plan *p, const struct extents *now, enum phase from, enum phase to, struct err *e);
int plan_sum_none(struct plan *p, enum phase to, struct err *e);

#endif
