/* Sequences of classes out of an answer for each frame, as a model trained by connectionist temporal classification gives them. Class 0 is the blank. */
#ifndef HONE_ENGINE_TRAIN_DECODE_H
#define HONE_ENGINE_TRAIN_DECODE_H

#include <stdint.h>

/* The most likely class of each frame, repeats joined, blanks left out: logits (frames, classes) -> at most `frames` classes in out; how many. */
int64_t decode_best_path(const float *z, int64_t frames, int64_t classes, int32_t *out);
/* The most likely sequence that a search with `beam` prefixes finds (Graves 2012, section 7.5; Hannun et al. 2014, algorithm 1, without a language model);
 * *log_p gets the log of its probability, as far as the search has seen its paths. */
int64_t decode_beam(const float *z, int64_t frames, int64_t classes, int64_t beam, int32_t *out, double *log_p);
/* Insertions, deletions and substitutions that turn a into b at least (Levenshtein 1966). */
int64_t decode_distance(const int32_t *a, int64_t n, const int32_t *b, int64_t m);

#endif
