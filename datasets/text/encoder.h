/* Texts to token ids: tokeniser, vocabulary, hashed runs, weights. Learned from the training part, saved in prep, the same for
 * new texts. Every text has at least one id: an empty one is a single padding id (of weight 0 with TF-IDF). */
#ifndef HONE_DATASETS_TEXT_ENCODER_H
#define HONE_DATASETS_TEXT_ENCODER_H

#include "datasets/dataset.h"
#include "datasets/text/ids.h"
#include "datasets/text/tokenizer.h"
#include "datasets/text/tokens.h"
#include "datasets/text/vocab.h"

struct encoder {
    enum tokens_kind kind;
    bool lower, tail, tfidf;
    int64_t len; /* 0: all */
    int ngrams, char_lo, char_hi; /* runs of 2..ngrams tokens; of char_lo..char_hi characters inside a word (0: none) */
    int64_t buckets;
    struct vocab *vocab; /* NULL: every token is hashed */
    float *idf; /* max_id entries, or NULL */
    int64_t max_id;
    struct tokenizer *tokenizer; /* of a pre-trained model, instead of all of the above but len and tail; or NULL */
    int64_t cut; /* texts of the last encoder_encode that were longer than len (with a tokenizer) */
};
/* Texts come from a TEXT column by row numbers. progress may be NULL. */
struct texts {
    const struct column *col;
    const int64_t *idx; /* NULL: 0, 1, .. */
    int64_t n;
    data_progress progress;
    void *ctx;
    int threads; /* 0: all cores */
};
int encoder_learn(struct encoder *x, const struct texts *t, int64_t size, struct err *e); /* vocabulary of `size` ids */
/* Fills a TOKENS column; learn: computes the idf from these texts first. */
int encoder_encode(struct encoder *x, const struct texts *t, bool learn, struct column *out, struct err *e);
struct val *encoder_to_val(const struct encoder *x);
int encoder_from_val(struct encoder *x, const struct val *v, struct err *e);
void encoder_release(struct encoder *x);

/* ngrams.c: hashed runs of the tokens [from, t->n), appended; base: the id of bucket 0. */
void ngrams_words(struct ids *d, const struct tokens *t, int64_t from, int longest, int64_t base, int64_t buckets);
void ngrams_chars(struct ids *d, const struct tokens *t, int64_t from, int lo, int hi, int64_t base, int64_t buckets);
/* tfidf.c: ids[from..) become distinct and sorted, *weight their counts; idf = ln((1 + n) / (1 + df)) + 1, each text's weights of
 * Euclidean length 1 (the formula of scikit-learn's TfidfVectorizer). */
int64_t tfidf_distinct(int32_t *ids, float *weight, int64_t n);
float *tfidf_learn(const struct column *c, int64_t rows, int64_t max_id);
void tfidf_weigh(struct column *c, int64_t rows, const float *idf);

#endif
