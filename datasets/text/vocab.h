/* A vocabulary: id 0 is padding, 1 unknown, then the most frequent tokens of the training part, ties by first appearance. */
#ifndef HONE_DATASETS_TEXT_VOCAB_H
#define HONE_DATASETS_TEXT_VOCAB_H

#include <stddef.h>
#include <stdint.h>

#include "src/base/err.h"
#include "src/base/val.h"

#define VOCAB_PAD 0
#define VOCAB_UNKNOWN 1

struct vocab;
struct vocab *vocab_new(void);
void vocab_free(struct vocab *v);
void vocab_count(struct vocab *v, const char *s, size_t n); /* one more occurrence; before vocab_finish */
void vocab_merge_take(struct vocab *v, struct vocab *later); /* as if the tokens counted in `later` came after those of v; frees it */
void vocab_finish(struct vocab *v, int64_t size); /* keeps the size - 2 most frequent; ids are fixed from here */
int64_t vocab_size(const struct vocab *v); /* ids, padding and unknown included */
int32_t vocab_id(const struct vocab *v, const char *s, size_t n); /* VOCAB_UNKNOWN if not there */
const char *vocab_word(const struct vocab *v, int64_t id, size_t *n); /* "" for 0, "?" for 1 and ids that are not there */
struct val *vocab_to_val(const struct vocab *v); /* list of the words from id 2 on */
struct vocab *vocab_from_val(const struct val *list, struct err *e);
uint64_t token_hash(const char *s, size_t n, uint64_t seed); /* FNV-1a 64 with a final mix: part of saved models, never changes */

#endif
