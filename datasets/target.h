/* The target column: class labels to class numbers (the same classes for every part), numbers, of an array of floats several an example, or sequences of
 * classes (sequence.h). */
#ifndef HONE_DATASETS_TARGET_H
#define HONE_DATASETS_TARGET_H

#include "datasets/data_args.h"
#include "datasets/formats/format.h"
#include "datasets/recipes/recipes.h"
#include "datasets/text/vocab.h"

struct target_point {
    uint32_t cp;
    int32_t cls;
};
struct target {
    bool number, sequence;
    int64_t width; /* numbers an example; 1 of labels; the longest sequence */
    struct vocab *label; /* id - 2: order of the vocabulary */
    int32_t *cls; /* of each vocabulary entry */
    struct target_point *point; /* sequences of characters: code points in rising order */
    int64_t n_point;
    int n_class;
    char **name; /* n_class names; target_release frees them unless they were taken */
};
/* From the rows of the training file. want: what the user said; r may be NULL. classes: names of a model's, which then are the classes, in that order; or
 * NULL. */
int target_learn(struct target *t, const struct table *tab, int col, enum data_target want, const struct recipe *r, const struct val *classes, struct err *e);
/* Class number of every row, of sequences `width` of each with -1 behind the end, heap; NULL with a sentence that names the row. */
int32_t *target_classes(const struct target *t, const struct table *tab, int col, struct err *e);
float *target_numbers(const struct target *t, const struct table *tab, int col, struct err *e);
/* The target of a row as text, into tmp if it is a number. As a label "1.0" is "1": what pandas writes of whole numbers where some are missing. */
const char *target_text(const struct table *tab, int col, int64_t row, char tmp[32], size_t *n);
const char *target_label(const struct table *tab, int col, int64_t row, char tmp[32], size_t *n);
void target_release(struct target *t);

#endif
