/* Columns of a table to one vector of numbers: number columns standardised, text columns one-hot. Learned from the training part. */
#ifndef HONE_DATASETS_TABULAR_H
#define HONE_DATASETS_TABULAR_H

#include "datasets/data_args.h"
#include "datasets/formats/format.h"

#define TABULAR_MAX_WIDTH 65536
struct feature {
    char *name;
    bool category;
    char **value; /* of a category, sorted */
    int n_value;
    double mean, std; /* of a number column: (v - mean) / std */
};
struct tabular {
    struct feature *f;
    int n;
    int64_t width;
    enum data_missing missing;
};
/* cols: n column numbers of a TEXT table. Learns over rows idx[0..n_row). */
int tabular_learn(struct tabular *t, const struct table *tab, const int *cols, int n, const int64_t *idx, int64_t n_row, bool standardize, struct err *e);
/* An F32 column of width t->width. A cell that is no number, or without missing="mean" a value the training part never had, is an error with its
 * place. */
int tabular_fill(const struct tabular *t, const struct table *tab, const int *cols, const int64_t *idx, int64_t n_row, struct column *out, struct err *e);
bool tabular_missing(const char *s, size_t n); /* empty, ?, NA */
/* A cell as a number; why: what is wrong with it, for a sentence. */
bool tabular_number(const char *s, size_t n, double *out, const char **why);
struct val *tabular_to_val(const struct tabular *t);
int tabular_from_val(struct tabular *t, const struct val *v, struct err *e);
void tabular_release(struct tabular *t);

#endif
