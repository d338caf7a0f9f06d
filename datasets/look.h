/* What a text column of a table looks like, from its first rows: numbers, words, codes that are different in every row. */
#ifndef HONE_DATASETS_LOOK_H
#define HONE_DATASETS_LOOK_H

#include "datasets/formats/format.h"

#define LOOK_VALUES 1000 /* different values of a category */
struct look { /* of the cells that are not missing */
    int64_t rows, n; /* rows looked at; cells not missing */
    int64_t numbers, whole; /* cells that are numbers; whole ones without a point */
    int64_t words, blanks, bytes, letters; /* sums; blanks: cells that hold one; letters: cells that hold one */
    int64_t distinct;
};
struct look look_at(const struct table *t, int col);
/* Words of a language, not categories, codes or dates. Sure: longer than names or places are. */
bool look_text(const struct look *k, bool sure);
/* Nothing that can be learned from: "no value at all", "numbers the rows" or "another value in most rows"; NULL: it can. */
const char *look_useless(const struct look *k, const struct table *t, int col);

#endif
