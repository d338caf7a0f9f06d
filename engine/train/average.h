/* Averaged weights: an exponential moving average with one share each step (ema), or the plain mean of the weights at chosen moments (swa). Engine thread. */
#ifndef HONE_ENGINE_TRAIN_AVERAGE_H
#define HONE_ENGINE_TRAIN_AVERAGE_H

#include "datasets/dataset.h"
#include "engine/cpu/pool.h"
#include "engine/model/model.h"
#include "engine/train/eval.h"

struct backend_device;
struct average {
    double decay; /* of the moving average; 0: plain mean */
    int64_t n; /* weights taken in so far; 0: there is no average yet */
    float *data; /* laid out as model->data; a device may have newer ones: average_read */
    bool stale; /* plain mean: running statistics were not taken since */
};
struct average *average_new(const struct model *m, double decay, struct err *e);
void average_free(struct average *a);
/* Takes the model's weights in, in one pass. The first ones are copied; the (n+1)-th have the share 1 - min(decay, (1 + n) / (10 + n)), so that early
 * averages are not held back by the start (as ExponentialMovingAverage of TensorFlow with num_updates), or 1 / (n + 1). Running statistics are averaged with
 * the weights. */
void average_add(struct average *a, const struct model *m, struct pool *pool);
/* The same where the weights are: nothing is copied but the first time. */
int average_add_on(struct average *a, const struct model *m, struct backend_device *d, struct err *e);
const float *average_read(const struct average *a); /* as the host sees them */
/* Running statistics of batch normalisation for the averaged weights: the mean of those of all batches of the part (as torch.optim.swa_utils.update_bn, but
 * nothing is dropped out). A model without any: nothing to do. */
int average_statistics(struct average *a, const struct model *m, const struct part *part, struct pool *pool, int64_t batch, int64_t batch_tokens,
    eval_stop stop, void *ctx, struct err *e);

#endif
