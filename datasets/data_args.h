/* The arguments of hone.data{...}, as data_kind parses them. */
#ifndef HONE_DATASETS_DATA_ARGS_H
#define HONE_DATASETS_DATA_ARGS_H

#include <stdbool.h>
#include <stdint.h>

#include "datasets/dataset.h"
#include "src/base/args.h"

enum data_target { TARGET_AUTO, TARGET_CLASS, TARGET_NUMBER, TARGET_SEQUENCE };
enum { DATA_WORDPIECE = 2, DATA_BPE };
enum data_missing { MISSING_ERROR, MISSING_DROP, MISSING_MEAN };
struct data_args {
    char *name; /* of a recipe, or a path */
    int64_t train, val, test, split; /* rows; ARG_NONE_INT: not given */
    char *variant;
    struct val *x, *drop; /* a column name or a list of them */
    char *y, *text, *sep, *encoding;
    struct val *header; /* true, false or "auto" */
    struct val *quote; /* true, false or absent */
    int target, missing;
    int tokens; /* enum tokens_kind, then DATA_WORDPIECE, DATA_BPE */
    char *tokenizer;
    bool lower, tfidf, normalize, standardize, stream;
    int64_t size; /* side of pictures */
    int64_t frames, mel, rate; /* of sounds */
    int64_t vocab, len, ngrams, hash_buckets;
    int trunc; /* 0 head, 1 tail */
    char *chars; /* "3-5" */
    const struct val *like; /* no argument of users: {prep=, classes=} of a model, which are taken instead of learned ones; NULL: none */
};
extern const struct arg data_arg_table[]; /* of data_kind, for other kinds with the same arguments */

#endif
