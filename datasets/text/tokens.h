/* Cutting a text into tokens: words (runs of letters, digits and apostrophes, lower-cased: on ASCII the same as the regular
 * expression [a-z0-9']+ over the lower-cased text; ideographs and emoji one by one) or characters (one a code point, runs of white space are one blank);
 * exact: every code point as it stands, for streams. */
#ifndef HONE_DATASETS_TEXT_TOKENS_H
#define HONE_DATASETS_TEXT_TOKENS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum tokens_kind { TOKENS_WORDS, TOKENS_CHARS, TOKENS_EXACT, TOKENS_KINDS };
extern const char *const tokens_names[TOKENS_KINDS + 1];

struct tokens { /* reused from text to text */
    char *text; /* the normalised tokens, packed */
    size_t len, cap;
    uint32_t *end; /* end of token i in text */
    int64_t n, cap_n;
};
/* Replaces what is in t. max: stop after so many tokens (0: all). */
void tokens_split(struct tokens *t, enum tokens_kind kind, bool lower, const char *s, size_t n, int64_t max);
static inline const char *tokens_at(const struct tokens *t, int64_t i, size_t *n) {
    uint32_t from = i ? t->end[i - 1] : 0;
    *n = t->end[i] - from;
    return t->text + from;
}
void tokens_release(struct tokens *t);

#endif
