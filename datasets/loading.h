/* What is known of a data set while it is loaded: one struct that dataset.c passes through the steps. Helper thread. */
#ifndef HONE_DATASETS_LOADING_H
#define HONE_DATASETS_LOADING_H

#include <string.h>

#include "datasets/data_args.h"
#include "datasets/formats/format.h"
#include "datasets/source.h"
#include "datasets/tabular.h"
#include "datasets/target.h"
#include "datasets/text/encoder.h"

enum input { INPUT_ARRAY, INPUT_TEXT, INPUT_TABLE };
struct loading {
    const struct data_args *a;
    struct read_opts opts;
    char **want; /* names given by the user: y, text, x.., as they are there */
    struct source src;
    struct table tab[PART_N];
    enum input input;
    int x[FORMAT_MAX_COLUMNS], n_x; /* inputs, in the training table */
    struct target target;
    bool has_y, stream;
    bool guessed; /* the target, by its place */
    struct val *left; /* {{column=, why=}, ..} that are no inputs, or NULL */
    int64_t rate; /* of sounds; 0: there are none */
    int32_t *cls[PART_N]; /* of every row of a table, or NULL */
    float *num[PART_N];
    double y_mean, y_std; /* of targets that are numbers: (y - mean) / std is what a model learns */
    int from[PART_N]; /* the table a part is drawn from */
    int64_t *idx[PART_N], n[PART_N];
    struct encoder enc;
    struct tabular tabular;
    const struct val *prep; /* of a model, instead of learned ones; NULL: none */
    struct dataset *d;
};
static inline bool prep_is(const struct loading *l, const char *kind) { return l->prep && strcmp(val_get_str(l->prep, "kind", ""), kind) == 0; }

/* Target and inputs among the columns of the training table: into l; *y: the column of the target, -1: there is none. */
int choose_columns(struct loading *l, int *y, struct err *e);
/* Says what was guessed, and puts the columns into the identity; when the target is known. */
void choose_note(struct loading *l, int y);
/* The same column in the table of another part. */
int same_column(const struct loading *l, int part, int col, struct err *e);

#endif
