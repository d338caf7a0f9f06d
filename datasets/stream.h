/* A stream: one long text as windows of len tokens, each with the tokens that follow as its target. For language models. */
#ifndef HONE_DATASETS_STREAM_H
#define HONE_DATASETS_STREAM_H

#include "datasets/formats/format.h"
#include "datasets/text/encoder.h"

#define STREAM_LEN 128
struct stream_spec {
    struct encoder *enc; /* gets its vocabulary from the training tokens */
    const struct table *tab; /* (PART_N) one text each; n == 0: cut from the end of the training text */
    int64_t len; /* tokens of a window */
    int64_t want[PART_N]; /* windows; ARG_NONE_INT: what is there; 0: none */
    double val_share; /* of the tokens, where want says nothing and there is no text of that part */
    int64_t vocab;
    data_progress progress;
    void *ctx;
};
/* Fills d->part, n_class and class_name: the classes are the tokens. */
int stream_build(const struct stream_spec *s, struct dataset *d, struct err *e);

#endif
