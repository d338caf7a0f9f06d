/* The encoder of texts that the arguments of hone.data{...} ask for. */
#ifndef HONE_DATASETS_TEXT_ARGS_H
#define HONE_DATASETS_TEXT_ARGS_H

#include "datasets/data_args.h"
#include "datasets/text/encoder.h"

/* search: where a tokenizer's name is looked for; NULL-terminated. */
int encoder_from_args(struct encoder *x, const struct data_args *a, const char *const *search, struct err *e);

#endif
