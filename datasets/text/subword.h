/* Inside a tokenizer: its tables, shared by reading (tokenizer.c), normalising (normal.c) and splitting (wordpiece.c, bpe.c). */
#ifndef HONE_DATASETS_TEXT_SUBWORD_H
#define HONE_DATASETS_TEXT_SUBWORD_H

#include "datasets/text/tokenizer.h"

/* Open addressing from bytes to an id; hash: of src/base/hash.h, so that the hashes of all prefixes of a word come in one pass. */
struct piece {
    uint64_t hash;
    const char *s;
    uint32_t n;
    int32_t id;
}; /* s NULL: free */
struct pieces {
    struct piece *p;
    size_t mask, n;
    uint32_t longest;
};
void pieces_init(struct pieces *t, size_t n);
void pieces_add(struct pieces *t, const char *s, size_t n, int32_t id); /* a later one replaces an earlier one */
int32_t pieces_find(const struct pieces *t, const char *s, size_t n); /* -1: none */
int32_t pieces_find_hash(const struct pieces *t, uint64_t hash, const char *s, size_t n);

struct added {
    char *s;
    size_t n;
    int32_t id;
    bool single_word, lstrip, rstrip, normalized, special;
};
struct merge {
    uint64_t pair;
    int32_t rank, id;
}; /* pair: left << 32 | right; rank < 0: free */
enum { NORMAL_CLEAN = 1, NORMAL_CJK = 2, NORMAL_STRIP = 4, NORMAL_LOWER = 8, NORMAL_NFC = 16, NORMAL_NFD = 32, NORMAL_NFKC = 64, NORMAL_NFKD = 128 };

struct tokenizer {
    bool bpe, from_json, lower;
    char *text; /* of the file */
    size_t text_n;
    int64_t file_len;
    unsigned normal[8]; /* passes; each the flags of one normaliser */
    int n_normal;
    struct added *added; /* longest first */
    int n_added;
    bool raw_first[256], normal_first[256], has_raw, has_normal; /* first bytes of added tokens matched before, after normalising */
    int32_t *front, *back; /* special tokens around a text */
    int n_front, n_back;
    char **token; /* by id; NULL: hole */
    int64_t n_id;
    int32_t pad, unk;
    struct pieces word, inner; /* WordPiece: begins of words; continuations without their prefix. BPE: word alone */
    int64_t max_chars;
    bool prefix_space, regex, ignore_merges, fuse_unk;
    int32_t byte_id[256];
    struct merge *merge;
    size_t merge_mask;
    unsigned char ascii[128]; /* WordPiece: class of a normalised byte: 0 word, 1 space, 2 punctuation */
};

struct cached {
    uint32_t hash;
    uint8_t len, n;
    char word[26];
    int32_t id[8];
}; /* one cache line; len 0: free */
#define CACHE_BITS 15
struct symbol {
    int32_t id, prev, next;
};
struct candidate {
    int32_t rank, at, left, right, id;
};
struct tokenizer_work {
    struct cached *cache;
    const struct tokenizer *of; /* whose words are cached */
    struct buf a, b, c; /* texts between passes */
    struct symbol *sym; /* BPE */
    size_t cap_sym;
    struct candidate *heap;
    size_t n_heap, cap_heap;
};

/* normal.c: s as one pass leaves it, appended to out. */
void normal_pass(unsigned flags, const char *s, size_t n, struct buf *out);
/* wordpiece.c, bpe.c: ids of a normalised stretch between added tokens; stop: no more are needed from there on. */
void wordpiece_stretch(const struct tokenizer *t, struct tokenizer_work *w, const char *s, size_t n, struct ids *d, int64_t stop);
void bpe_stretch(const struct tokenizer *t, struct tokenizer_work *w, const char *s, size_t n, struct ids *d, int64_t stop);
uint32_t bpe_byte_char(unsigned char b); /* the visible character GPT-2 writes for a byte */
int bpe_char_byte(uint32_t cp); /* -1: none */
/* tokenizer_read.c */
int tokenizer_read_json(struct tokenizer *t, const char *name, struct err *e);
int tokenizer_read_vocab(struct tokenizer *t, const char *name, struct err *e);

static inline uint32_t cache_hash(const char *s, size_t n) {
    uint64_t h = n * 0x9e3779b97f4a7c15u;
    for (; n >= 8; s += 8, n -= 8) {
        uint64_t v;
        __builtin_memcpy(&v, s, 8);
        h = (h ^ v) * 0xff51afd7ed558ccdu;
        h ^= h >> 32;
    }
    uint64_t v = 0;
    for (size_t i = 0; i < n; i++) v |= (uint64_t)(unsigned char)s[i] << (8 * i);
    h = (h ^ v) * 0xff51afd7ed558ccdu;
    return (uint32_t)(h >> 32);
}

#endif
