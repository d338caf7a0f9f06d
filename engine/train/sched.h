/* Learning rate schedules: const rows with closed forms. A schedule is a tree (chain, warmup then another); what it gives at a step is a function
 * of the step alone, but for plateau, whose state is saved. Formulas are those of torch.optim.lr_scheduler. Engine thread. */
#ifndef HONE_ENGINE_TRAIN_SCHED_H
#define HONE_ENGINE_TRAIN_SCHED_H

#include "src/base/args.h"

struct sched;
/* Where a run is. x counts what the schedule counts: steps or epochs done, since its own beginning; total: of the run, 0: unknown. */
struct sched_at {
    int64_t step, steps; /* steps done, planned */
    int64_t epoch, epochs; /* whole epochs done, planned */
};
/* spec: NULL or nil (constant), "cosine", {sched="cosine", ...}; a field `state` is what sched_state gave. */
struct sched *sched_new(const struct val *spec, struct err *e);
void sched_free(struct sched *s);
double sched_lr(const struct sched *s, double base, const struct sched_at *at);
void sched_metric(struct sched *s, double value, bool higher_is_better); /* after each evaluation: plateau looks at it */
bool sched_wants_metric(const struct sched *s);
/* A part of it lies behind the end of a run of so many steps and epochs, or it ends long before: says so. */
bool sched_beyond(const struct sched *s, double steps, double epochs, struct buf *say);
struct val *sched_state(const struct sched *s); /* NULL: none */
void sched_restore(struct sched *s, const struct val *state);
struct val *sched_val(const struct sched *s); /* as written */
extern const struct kind *const sched_kinds[]; /* for the catalogue "sched", NULL-terminated */

#endif
