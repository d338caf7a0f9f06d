/* Subword tokenizers of pre-trained models: WordPiece and byte-level BPE, read from vocab.txt or tokenizer.json (the normalisers of
 * BERT, NFC .. NFKD, Lowercase, StripAccents; the pre-tokenisers of BERT and GPT-2; template, BERT and RoBERTa post-processing).
 * Ids equal those of the `tokenizers` package byte for byte. What cannot be honoured is refused in one sentence, never ignored.
 * A tokenizer is immutable once loaded; every thread encodes with a tokenizer_work of its own. */
#ifndef HONE_DATASETS_TEXT_TOKENIZER_H
#define HONE_DATASETS_TEXT_TOKENIZER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "datasets/text/ids.h"
#include "src/base/buf.h"
#include "src/base/err.h"
#include "src/base/val.h"

#define TOKENIZER_MAX_BYTES ((size_t)64 << 20) /* of a vocabulary file */
#define TOKENIZER_MAX_IDS (1 << 24)

struct tokenizer;
struct tokenizer_work; /* buffers and a cache of words */

/* path: vocab.txt, tokenizer.json, or a folder with one of them (tokenizer_config.json beside it is honoured). lower: for a vocab.txt
 * without a configuration. */
struct tokenizer *tokenizer_load(const char *path, bool lower, struct err *e);
/* The saved form {file, text, lower, len}: the text of the file as it was, so it can be written again byte for byte. */
struct val *tokenizer_to_val(const struct tokenizer *t);
struct tokenizer *tokenizer_from_val(const struct val *v, struct err *e);
void tokenizer_free(struct tokenizer *t);

const char *tokenizer_kind(const struct tokenizer *t); /* "wordpiece" or "bpe" */
int64_t tokenizer_size(const struct tokenizer *t); /* ids: highest + 1 */
int64_t tokenizer_len(const struct tokenizer *t); /* longest text its files name, special tokens included; 0: none named */
int32_t tokenizer_id(const struct tokenizer *t, const char *token); /* -1: no such token */
const char *tokenizer_token(const struct tokenizer *t, int64_t id, size_t *n); /* as in the file; "" if there is none */
int32_t tokenizer_pad(const struct tokenizer *t); /* 0 if no token is for padding */

struct tokenizer_work *tokenizer_work_new(void);
void tokenizer_work_free(struct tokenizer_work *w);
/* Appends the ids of one text with its special tokens. len > 0: at most len ids, special ones kept; tail: the last ones.
 * Returns whether the text was cut. */
bool tokenizer_encode(const struct tokenizer *t, struct tokenizer_work *w, const char *s, size_t n, int64_t len, bool tail, struct ids *out);
void tokenizer_decode(const struct tokenizer *t, const int32_t *ids, int64_t n, bool special, struct buf *out); /* special: those too */

#endif
