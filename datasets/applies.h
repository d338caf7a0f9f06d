/* Arguments of hone.data that say nothing about the data they were given with: refused, instead of left aside. */
#ifndef HONE_DATASETS_APPLIES_H
#define HONE_DATASETS_APPLIES_H

#include "datasets/data_args.h"
#include "datasets/formats/format.h"

enum {
    HOLDS_TEXTS = 1,
    HOLDS_STREAM = 2, /* one text */
    HOLDS_CELLS = 4, /* a table of numbers and categories */
    HOLDS_ARRAYS = 8, /* not of sounds */
    HOLDS_SOUNDS = 16,
    HOLDS_NUMBERS = 32 /* beside one of the above: targets that are numbers */
};
/* tab: the table of each part, with the format it was read from; name: of the data set; holds: what it turned out to be. -1: the first argument, in the order
 * of the table, that is not at its default and goes with nothing of these, with what it goes with. */
int data_applies(const struct data_args *a, const char *name, const struct table tab[PART_N], unsigned holds, struct err *e);

#endif
