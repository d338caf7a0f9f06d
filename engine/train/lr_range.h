/* The learning rate range test (Smith 2017, "Cyclical learning rates", section 3.3): a copy of the model is trained while the rate grows by a constant factor a
 * step; the loss, smoothed, is written beside it. The rate where it falls fastest is a good one to begin with. Engine thread. */
#ifndef HONE_ENGINE_TRAIN_LR_RANGE_H
#define HONE_ENGINE_TRAIN_LR_RANGE_H

#include "datasets/dataset.h"
#include "engine/model/model.h"
#include "src/call/job.h"

struct lr_range_args {
    struct val *model, *data, *optim, *loss;
    double from, to, smooth, diverge;
    int64_t steps, batch, batch_tokens, seed;
    char *name;
};
int lr_range_run(struct job *j, const struct lr_range_args *a, const struct model *m, struct dataset *d, struct err *e);
/* Index of the steepest fall of n smoothed losses at equal steps of log rate, the first `skip` left out; -1: it never falls. */
int64_t lr_range_steepest(const double *loss, int64_t n, int64_t skip);

#endif
