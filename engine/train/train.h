/* The training job: what its files share. train_job is the function of command `train`; compression and search call it too. Engine thread. */
#ifndef HONE_ENGINE_TRAIN_TRAIN_H
#define HONE_ENGINE_TRAIN_TRAIN_H

#include "engine/train/average.h"
#include "engine/train/ckpt.h"
#include "engine/train/eval.h"
#include "engine/train/precision.h"
#include "engine/train/sched.h"
#include "src/call/job.h"
#include "src/run/record.h"

struct train_args {
    struct val *model, *data, *optim, *sched, *loss, *resume, *lr_ramp, *freeze, *edits;
    int64_t epochs, steps, batch, batch_tokens, accum, seed, eval_every, ckpt_every, patience;
    double lr, lr_scale, clip_norm, clip_value, min_delta;
    double ema, swa;
    int64_t swa_every;
    char *name, *metric;
    int keep; /* weights at the end: 0 last, 1 best */
    bool shuffle, flip, balanced, force_precision;
    int precision; /* enum precision_asked */
    double loss_scale; /* of fp16, as it stands now */
    int64_t crop, cutout, buckets;
    double mixup;
    int recompute; /* enum recompute */
    int64_t look_every;
};
extern const struct kind train_kind;

enum train_due { DUE_NOTHING, DUE_EVAL, DUE_EPOCH };
struct train {
    struct job *j;
    struct run *run;
    struct train_args a; /* a copy whose pointers belong to the caller; LIVE fields change */
    struct model *model; /* leased */
    const struct dataset *data;
    const struct part *part, *val; /* val NULL: none */
    struct loss_spec loss;
    struct optimiser *optim;
    struct sched *sched;
    struct backend_device *device; /* NULL: the CPU */
    struct pool *pool;
    struct step *step;
    struct loader *loader;
    struct parallel *par; /* ranks that share the work of each step (parallel.h); NULL: alone */
    struct eval *eval; /* of val, made at first need */
    struct ckpt_writer *writer; /* NULL: nothing is kept on disk */
    const struct metric *metric; /* what best, plateau and patience look at */
    int64_t planned_batch; /* the step is planned for */
    int64_t block; /* rows that buckets keep together: the batch the run began with */
    /* ---- the state that a checkpoint holds ---- */
    int64_t n_step, epoch, pos; /* steps run, whole epochs done, rows of this epoch done */
    int64_t n_micro; /* micro-batches run: of their number random layers are a function */
    double lr_scale; /* live edits of lr scale the schedule */
    struct lr_ramp {
        double from, to;
        int64_t at, steps;
    } ramp; /* instead of the schedule from step `at` on; steps 0: none */
    double best;
    int64_t best_step, waited; /* best_step -1: none yet; evaluations since */
    double sum_loss, sum_weight, sum_hits; /* of this epoch */
    struct val *freeze; /* patterns of what is not trained, a list or a word */
    struct precision precision; /* what was chosen */
    struct products products; /* routes of products, likewise; pinned once the first step is built */
    int64_t good; /* applied steps since the loss scale last changed */
    double loss_unit; /* a power of two near the rows of a step: losses are sums over rows, their scale is that of a mean */
    int due; /* enum train_due: not yet done after the last step */
    int64_t skipped; /* steps refused because something was not finite */
    /* ---- of this process ---- */
    int64_t n_edit; /* edits given with the run that were looked at */
    int64_t last_eval, last_ckpt, saved_step; /* steps; saved_step: of the newest checkpoint that is on disk, -1: none */
    uint64_t gpu_seen; /* of the device's readings */
    int64_t unsaved; /* checkpoints in a row that could not be written */
    struct average *average; /* ema, swa; NULL: neither */
    float *best_data; /* keep=best: the weights of best_step */
    struct val *last_values; /* of the newest evaluation, names with prefix val_ */
    double t_rate, rows_rate, tokens_rate, examples_s, tokens_s;
    int64_t bad_row; /* refused steps in a row */
    char refused[ERR_TEXT]; /* what was said of the last one under policy pause */
    bool ragged;
    struct spent {
        double data, eval, save, step, ranks, plan[PHASE_N], said; /* seconds; plan: by enum phase, of plans that are gone */
        int64_t steps;
    } spent;
    struct val *histograms; /* of looks so far, see look.c; NULL: none */
};

/* look.c */
int train_look(struct train *t, struct err *e); /* the reports "model" and "histograms" as of now; changes nothing else */
/* spent.c */
void train_spent_plan(struct train *t); /* before the step is made anew: its plan's times are kept */
void train_spent(struct train *t, bool now); /* the report "time", at most once a second unless `now` */
/* loop.c */
int train_run(struct job *j, const struct train_args *a, struct model *m, struct dataset *d, struct err *e);
int train_choose_precision(struct train *t, struct err *e); /* as the arguments ask; train_build_step comes after it */
int train_build_step(struct train *t, struct err *e); /* (re)builds step and loader for the arguments as they stand now */
int64_t train_total_steps(const struct train *t);
void train_start_event(struct train *t); /* into the run record */
int train_evaluate(struct train *t, struct val **values, struct err *e); /* on val, else on the training part; emits the eval event */
int train_checkpoint(struct train *t, bool best, struct err *e);
/* lr.c */
double train_lr(const struct train *t); /* of the next step */
void train_lr_step(struct train *t); /* before a step: a ramp that is over becomes the factor that its end stands for */
int train_lr_start(struct train *t, struct err *e); /* as the arguments say */
bool train_lr_has(const char *name); /* lr, lr_scale, lr_ramp, sched */
struct val *train_lr_get(const struct train *t, const char *name);
int train_lr_set(struct train *t, const char *name, const struct val *v, struct err *e);
struct val *train_lr_back(const struct train *t, const char *name); /* as job_ops.back */
struct val *train_lr_ahead(struct train *t, const char *name, const struct val *v, int n, struct err *e); /* as job_ops.ahead */
struct val *train_lr_state(const struct train *t); /* a ramp that is going on, or NULL */
void train_lr_restore(struct train *t, double scale, const struct val *ramp);
/* judge.c */
int train_metric(struct train *t, struct err *e); /* as the arguments and the data say */
bool train_judge(struct train *t, const struct val *values); /* after an evaluation. True: a new best */
void train_say_early(const struct train *t, struct buf *say); /* why patience is over */
void train_foresee(struct train *t); /* warnings of what lies behind the end */
/* edits.c: edits given with the run */
int train_edits_start(struct train *t, struct err *e);
void train_edits_due(struct train *t); /* before a boundary: those of this step */
/* freeze.c */
int train_freeze(struct train *t, const struct val *patterns, struct err *e); /* marks parameters; the step is built afterwards */
int train_freeze_set(struct train *t, const struct val *patterns, struct err *e); /* with the step */
void train_freeze_end(struct train *t);
void train_resume_path(struct hub *h, const struct val *resume, char *out, size_t size); /* a run's folder by its handle or name, or a path as given */
/* nonfinite.c */
struct group {
    int64_t start, rows, tokens, n;
    bool last;
}; /* the batches of one step: first row, rows, tokens, how many, whether they end the epoch */
/* group.c: one step at this learning rate; last: its last batch, valid until the next step */
int train_group(struct train *t, double lr, struct group *g, struct step_result *r, const struct batch **last, struct err *e);
int train_not_finite(
    struct train *t, const struct batch *b, const struct group *g, const struct step_result *r, struct err *e); /* b: the last batch of the step */
int train_overflow(struct train *t, struct err *e); /* fp16: the step was not applied, the loss scale is halved already */
/* average.c */
int train_average_start(struct train *t, struct err *e); /* as the arguments say */
int train_average_step(struct train *t, bool epoch_end, struct err *e); /* after a step that was applied */
int train_average_ready(struct train *t, eval_stop stop, struct err *e); /* before the averaged weights are used */
const float *train_weights(const struct train *t); /* what is evaluated and kept: the averaged weights where there are any */
/* state.c: the state as a value, and back */
struct val *train_state(const struct train *t);
int train_state_take(struct train *t, const struct val *v, struct err *e); /* arguments and position; train_build_step comes after it */
int train_resume(struct train *t, const char *path, struct err *e);
/* props.c */
extern const struct job_ops train_ops;

#endif
