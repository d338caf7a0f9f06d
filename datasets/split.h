/* Stratified draws: which rows go where, a function of the seed and the classes alone. */
#ifndef HONE_DATASETS_SPLIT_H
#define HONE_DATASETS_SPLIT_H

#include <stdint.h>

struct strata;
/* cls: class of each of n rows, or NULL (one class). what: names the random stream ("train", "val", "test"). */
struct strata *strata_new(const int32_t *cls, int64_t n, int n_class, uint64_t seed, const char *what);
int64_t strata_left(const struct strata *s);
/* Takes `want` (<= left) rows, each class in proportion to what is left of it (largest remainder), rows of a class in
 * shuffled order; writes their numbers in rising order. */
void strata_take(struct strata *s, int64_t want, int64_t *out);
void strata_free(struct strata *s);

#endif
