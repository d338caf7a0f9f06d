/* Where a run's time goes: reading and copying batches, forward, backward, update, sums over ranks, evaluation, handing checkpoints over. Two looks at the
 * clock a phase and step, always on. The report "time": seconds by those names, `step` and `steps`: the steps alone, their seconds and how many. Engine
 * thread. */
#include "config.h"

#include "engine/train/train.h"
#include "src/base/thread.h"

void train_spent_plan(struct train *t) {
    for (int f = PHASE_FORWARD; t->step && f < PHASE_N; f++) t->spent.plan[f] += plan_spent(t->step->plan, (enum phase)f);
}

static double phase(const struct train *t, enum phase f) { return t->spent.plan[f] + (t->step ? plan_spent(t->step->plan, f) : 0); }

void train_spent(struct train *t, bool now) {
    double at = clock_now();
    if (!now && at - t->spent.said < 1) return;
    t->spent.said = at;
    struct val *v = val_table();
    val_set_num(v, "data", t->spent.data);
    val_set_num(v, "forward", phase(t, PHASE_FORWARD));
    val_set_num(v, "backward", phase(t, PHASE_BACKWARD));
    val_set_num(v, "update", phase(t, PHASE_BUFFERS) + phase(t, PHASE_UPDATE) + phase(t, PHASE_SEARCH));
    if (t->par) val_set_num(v, "ranks", t->spent.ranks);
    val_set_num(v, "eval", t->spent.eval);
    val_set_num(v, "checkpoint", t->spent.save);
    val_set_num(v, "step", t->spent.step);
    val_set_int(v, "steps", t->spent.steps);
    run_report_live(t->run, "time", v);
}
