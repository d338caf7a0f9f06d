/* An evaluation's report read once into counts and rates, for the Eval and Compress screens. Pure; UI thread, tests. */
#ifndef HONE_UI_EVALUATION_H
#define HONE_UI_EVALUATION_H

#include <stdbool.h>
#include <stdint.h>

#include "src/base/val.h"

struct confused {
    int i, j; /* truth, answer */
    int64_t n;
};
struct evaluation {
    int n; /* classes; 0: no confusion matrix */
    int64_t *v; /* (n, n) counts, rows are the truth; of very many classes the largest cells only */
    int64_t *row, *col, *hit, *error; /* (n) examples, answers, right ones, wrong ones of and for a class */
    const char **name; /* (n) borrowed from the report */
    char (*own)[16];
    struct confused *pair; /* off the diagonal, the most first */
    int n_pair;
    int *order; /* (n) classes by error mass, the most first */
    int64_t total, right, left; /* left: cells that the report left out */
};
bool evaluation_read(struct evaluation *e, const struct val *report); /* report is borrowed and must stay; false: no matrix */
void evaluation_release(struct evaluation *e);

/* Rates; NAN: there is nothing to divide by. */
double class_precision(const struct evaluation *e, int c); /* right of the answers */
double class_recall(const struct evaluation *e, int c); /* right of the examples: what Torch's ConfusionMatrix calls the row's valid */
double class_f1(const struct evaluation *e, int c);
double class_union(const struct evaluation *e, int c); /* right of examples and answers together; classes with examples only */
/* As torch/optim ConfusionMatrix.lua (updateValids): means over the classes that have examples, and right of all. */
double mean_row(const struct evaluation *e);
double mean_union(const struct evaluation *e);
double overall(const struct evaluation *e);
/* Expected calibration error (Guo et al. 2017) from the report's bins: sum n |acc - conf| / N. */
double calibration_error(const struct val *bins);

#endif
