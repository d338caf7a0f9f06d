/* Changes to a filled batch of the training part: pictures cropped, mirrored, cut out; rows mixed in pairs. What happens to a row is a function of
 * (seed, epoch, place in the epoch's order) alone. Loader thread; no allocation after augment_new. */
#ifndef HONE_ENGINE_TRAIN_AUGMENT_H
#define HONE_ENGINE_TRAIN_AUGMENT_H

#include <stdbool.h>
#include <stdint.h>

#include "datasets/dataset.h"

struct augment_spec {
    int64_t crop; /* pixels added around a picture, of which a window of its size is taken anywhere; 0: not */
    int64_t cutout; /* side of a square set to 0 (DeVries and Taylor 2017); 0: not */
    double mixup; /* alpha of Beta(alpha, alpha) (Zhang et al. 2018, mixup); 0: not */
    bool flip; /* mirrored left to right, every second time */
};
static inline bool augment_any(const struct augment_spec *s) { return s->crop > 0 || s->cutout > 0 || s->mixup > 0 || s->flip; }
int augment_check(const struct augment_spec *s, const struct part *p, struct err *e); /* what the data must have */

struct augment;
struct augment *augment_new(const struct augment_spec *s, const struct part *p, int64_t max_rows, uint64_t seed, struct err *e);
void augment_free(struct augment *a);
/* Rows start.. of the epoch's order lie in col. Mixed: every row becomes share * itself + (1 - share) * another row of the batch; class targets of the
 * others go to `other`, other targets are mixed like the inputs. Returns the share, 1: not mixed. */
float augment_batch(struct augment *a, int64_t epoch, int64_t start, int64_t rows, struct batch_col *col, int32_t *other);

#endif
