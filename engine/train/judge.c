/* What best, patience and plateau look at: the metric, refused before the first step where it could never be a number, and what an evaluation was worth.
 * Also said before the first step: what of the plan lies behind the end of the run. */
#include "config.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "engine/train/train.h"

static const char *wanted(const struct metric *m) { return m->of & METRIC_CLASSES ? "classes" : m->of & METRIC_VALUES ? "numbers" : "sequences of classes"; }

static int unknown(const char *name, struct err *e) {
    const char *names[64];
    size_t n = 0;
    for (; metrics[n].name && n < LEN(names); n++) names[n] = metrics[n].name;
    const char *near = args_nearest(name, names, n);
    return err_code(e, ERR_USAGE, "there is no metric \"%.60s\"; %s%s%s", name, near ? "did you mean \"" : "hone help metric lists them", near ? near : "",
        near ? "\"?" : "");
}

int train_metric(struct train *t, struct err *e) {
    bool labels = t->loss.row->labels;
    int of = t->loss.row->sequence ? METRIC_SEQUENCES : labels ? METRIC_CLASSES : METRIC_VALUES;
    const char *name = t->a.metric ? t->a.metric : labels ? "acc" : "loss";
    const struct metric *m = t->metric = metric_find(name);
    if (!m) return unknown(name, e);
    if (!(m->of & of))
        return err_code(e, ERR_USAGE, "metric=\"%s\" is of %s, but the targets here are %s: use %s or loss", m->name, wanted(m),
            of == METRIC_CLASSES     ? "classes"
            : of == METRIC_SEQUENCES ? "sequences"
                                     : "numbers",
            of == METRIC_CLASSES     ? "acc, f1_macro"
            : of == METRIC_SEQUENCES ? "acc, ler"
                                     : "mae, r2");
    if (!t->val && strcmp(m->name, "loss") != 0 && !(labels && strcmp(m->name, "acc") == 0))
        return err_code(e, ERR_USAGE,
            "metric=\"%s\" is taken on a validation part, and %s has none: load it with val=N, as in data = { \"%s\", val = %" PRId64 " }", m->name,
            t->data->name, t->data->name, t->part->n > 9 ? t->part->n / 10 : 1);
    if (m->of & METRIC_PROBABILITIES && t->val->n * t->data->n_class > EVAL_PROBABILITIES)
        return err_code(e, ERR_USAGE,
            "metric=\"%s\" needs the probabilities of all classes of each validation row, here %" PRId64
            " x %d; make val smaller, or use acc, f1_macro or loss",
            m->name, t->val->n, t->data->n_class);
    return 0;
}

bool train_judge(struct train *t, const struct val *values) {
    double v = val_get_num(values, t->metric->name, NAN), d = t->metric->higher ? v - t->best : t->best - v;
    sched_metric(t->sched, v, t->metric->higher);
    bool better = isfinite(v) && (t->best_step < 0 || d > t->a.min_delta);
    t->waited = better ? 0 : t->waited + 1;
    if (!better) return false;
    t->best = v;
    t->best_step = t->n_step;
    return true;
}

void train_say_early(const struct train *t, struct buf *say) {
    buf_addf(say, "stopped early: %s did not improve in %" PRId64 " evaluations; ", t->metric->name, t->waited);
    if (t->best_step >= 0) buf_addf(say, "the best was %.6g at step %" PRId64, t->best, t->best_step);
    else buf_adds(say, "it was never a finite number");
}

void train_foresee(struct train *t) {
    struct buf say = BUF_INIT;
    int64_t steps = train_total_steps(t);
    double epochs = t->a.steps > 0 && t->part->n > 0 ? (double)steps * (double)(t->a.batch * t->a.accum) / (double)t->part->n : (double)t->a.epochs;
    if (sched_beyond(t->sched, (double)steps, epochs, &say)) run_say(t->run, "notice", t->n_step, "warn", say.data);
    buf_clear(&say);
    if (t->a.swa > 0 && t->a.swa >= epochs) {
        buf_addf(&say, "swa=%g begins after epoch %g, but the run ends after %.3g: no weights are averaged", t->a.swa, t->a.swa, epochs);
        run_say(t->run, "notice", t->n_step, "warn", say.data);
    }
    buf_release(&say);
}
