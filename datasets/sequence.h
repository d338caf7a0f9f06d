/* Targets that are sequences of classes, as connectionist temporal classification takes them: the characters of a text, or a row of class numbers that ends
 * at its first 0 or negative one. Class 0 is the blank, which no target has. */
#ifndef HONE_DATASETS_SEQUENCE_H
#define HONE_DATASETS_SEQUENCE_H

#include "datasets/target.h"

/* The classes: of texts the code points of the training rows in rising order, of numbers 1 to the largest; with `classes` (names of a model's, the blank
 * first; or NULL) those. */
int sequence_learn(struct target *t, const struct table *tab, int col, const struct val *classes, struct err *e);
/* Makes room for the longest of this table too. */
int sequence_widen(struct target *t, const struct table *tab, int col, struct err *e);
/* (rows, t->width), -1 behind the end, heap; NULL with a sentence that names the row. */
int32_t *sequence_classes(const struct target *t, const struct table *tab, int col, struct err *e);

#endif
