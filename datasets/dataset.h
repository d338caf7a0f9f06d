/* A data set in memory: parts of columns. Readers of files (datasets/formats) produce tables of columns; a data set is made from
 * them by drawing, splitting, building a vocabulary, tokenising. Immutable once loaded, shared by reference count. */
#ifndef HONE_DATASETS_DATASET_H
#define HONE_DATASETS_DATASET_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "src/base/err.h"
#include "src/base/val.h"

enum col_type { COL_U8, COL_I32, COL_F32, COL_TOKENS, COL_TEXT };
struct column {
    char *name; /* "x", "y", "text", or the file's column name */
    enum col_type type;
    int ndim; /* shape of one example, without the batch: image (C, H, W), scalar: 0 */
    int64_t dim[4];
    int64_t width; /* values an example: product of dim; TOKENS, TEXT: 0 (ragged) */
    void *data; /* U8 I32 F32: n * width values; TOKENS: int32 ids packed; TEXT: bytes packed */
    int64_t *offset; /* TOKENS, TEXT: n + 1 */
    float *weight; /* TOKENS: a weight per token (TF-IDF), or NULL */
    float scale, shift; /* U8 and F32 become value * scale + shift (one for all), applied when a batch is filled */
    float *mean, *inv_std; /* F32: per value standardisation (width entries) after scale/shift, or NULL */
    int64_t max_id; /* TOKENS, I32 labels: number of ids (vocabulary, classes) */
};
/* Values become (v - mean) / std when a batch is filled. */
void column_standardise(struct column *c, double mean, double std);
/* n values as a batch has them, back to what they were; out may be in. */
void column_restore(const struct column *c, const float *in, float *out, int64_t n);
struct part {
    int64_t n;
    int n_col;
    struct column *col; /* inputs first, the target last */
    struct column *raw; /* TEXT: the texts as read, for people; NULL where the input is no text */
    int64_t slide; /* of a stream: every row may begin up to so many tokens later; 0: rows are fixed */
};
enum { PART_TRAIN, PART_VAL, PART_TEST, PART_N };
extern const char *const part_names[PART_N];

struct vocab; /* datasets/text/vocab.h */
struct dataset {
    _Atomic int refs;
    char *name, *path;
    struct part part[PART_N]; /* n == 0: not there */
    int n_input; /* columns of each part before the target */
    int n_class; /* 0: regression or no target */
    int64_t longest; /* the target is a sequence of classes, class 0 the blank, of up to so many labels; 0: one class a row */
    char **class_name; /* n_class names */
    struct vocab *vocab; /* or NULL */
    struct val *prep; /* everything needed to prepare new input the same way: saved with the model */
    struct val *identity; /* files: path, bytes, sha256; rows a part; seeds */
    int64_t len; /* tokens kept of each text; 0: all */
    struct dataset *of; /* of dataset_fit: the columns and names that are borrowed, or NULL */
};
void dataset_ref(struct dataset *d);
void dataset_unref(struct dataset *d);

/* Threads that encode texts with a tokenizer (0, the begin: all this process may use); the ids are the same with any number. */
void dataset_set_threads(int n);
/* args as in `hone.data{NAME_OR_PATH, train=N, val=N, split=SEED, vocab=, len=, x=, y=, text=, header=, sep=, ...}`, parsed with data_kind.
 * progress is called now and then with a phase and a fraction (< 0: unknown); nonzero from it: stop. Helper thread. */
extern const struct kind data_kind;
struct data_args;
typedef int (*data_progress)(void *ctx, const char *phase, double fraction);
struct dataset *dataset_load(
    const struct data_args *a, const char *const *search, data_progress fn, void *ctx, struct err *e); /* search: NULL-terminated folders */

/* d as a model takes it; what is not changed is borrowed, so a reference to d is held. prep given: the texts of `parts` (bits 1 << PART_..) that have kept
 * what was read (part.raw) are encoded by it. Else, longest > 0: texts of more tokens are cut to so many, which is logged and counted in identity.cut. Other
 * parts are empty. d itself (a reference) where there is nothing to change. */
struct dataset *dataset_fit(struct dataset *d, const struct val *prep, int64_t longest, unsigned parts, struct err *e);

/* The set, whose reference is taken, with targets that are numbers scaled as prep, a model's, says: itself or one that borrows it. */
struct dataset *dataset_retarget(struct dataset *d_take, const struct val *prep);

/* One batch in buffers the caller owns (sizes by the caller's plan). */
struct batch_col {
    void *data; /* f32 of dense inputs, i32 of labels and token ids */
    int32_t *offset; /* of token ids: rows + 1; else NULL */
    float *weight; /* of token ids; NULL: not wanted */
};
/* Fills rows idx[0..n) of columns; U8 becomes f32 by scale/shift/mean. Returns tokens of the first ragged column (0 if none). */
int64_t part_fill(const struct part *p, const int64_t *idx, int64_t n, struct batch_col *out);
/* The same with the rows of a stream begun `shift` tokens later, 0..slide. */
int64_t part_fill_at(const struct part *p, const int64_t *idx, int64_t n, int64_t shift, struct batch_col *out);
int64_t part_tokens(const struct part *p, int64_t row); /* of all ragged columns, for batch_tokens and buckets; 0: dense */
/* New inputs (texts, or a table of column values) prepared as `prep` says: a part without a target. */
struct part *dataset_prepare(const struct val *prep, const struct val *inputs, struct err *e);
void part_free(struct part *p); /* of dataset_prepare */
/* Texts in the rows of a file (.csv, .tsv, .jsonl, .json, packed or not). By its name alone: */
bool dataset_is_rows(const char *path);
struct val *dataset_texts(const char *path, const char *column, struct err *e); /* a list: this column, else the only one or that with the longest texts */

#endif
