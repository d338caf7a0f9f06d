/* WordPiece: words at blanks, punctuation alone, then the longest known begin first (Schuster and Nakajima 2012). The hashes of all
 * prefixes of a word come in one pass, so a try is one probe. Words are cached a thread. */
#include <string.h>

#include "datasets/text/subword.h"
#include "datasets/text/unicode.h"
#include "src/base/hash.h"
#include "src/base/utf8.h"

#define LONG_WORD 1024

static void split_word(const struct tokenizer *t, const char *s, size_t n, struct ids *d) {
    int64_t chars = 0, from = d->n;
    uint64_t hash[LONG_WORD + 1];
    for (size_t i = 0; i < n; i++) chars += ((unsigned char)s[i] & 0xc0) != 0x80;
    bool known = chars <= t->max_chars && n <= LONG_WORD;
    for (size_t at = 0; at < n && known;) {
        const struct pieces *p = at ? &t->inner : &t->word;
        size_t left = n - at, k = left < p->longest ? left : p->longest;
        hash[0] = HASH_START;
        for (size_t i = 0; i < k; i++) hash[i + 1] = hash_byte(hash[i], (unsigned char)s[at + i]);
        int32_t id = -1;
        for (; k && (id = pieces_find_hash(p, hash[k], s + at, k)) < 0; k--) {}
        known = id >= 0;
        ids_reserve(d, 1);
        d->p[d->n++] = id;
        at += k;
    }
    if (known) return;
    d->n = from;
    d->p[d->n++] = t->unk;
}

static void word(const struct tokenizer *t, struct tokenizer_work *w, const char *s, size_t n, struct ids *d) {
    ids_reserve(d, 8);
    struct cached *c = NULL;
    uint32_t h = 0;
    if (n <= sizeof c->word) {
        h = cache_hash(s, n);
        c = &w->cache[h >> (32 - CACHE_BITS)];
        if (c->hash == h && c->len == n && !memcmp(c->word, s, n)) {
            memcpy(d->p + d->n, c->id, sizeof c->id);
            d->n += c->n;
            return;
        }
    }
    int64_t from = d->n;
    split_word(t, s, n, d);
    if (!c || d->n - from > 8) return;
    c->hash = h, c->len = (uint8_t)n, c->n = (uint8_t)(d->n - from);
    memcpy(c->word, s, n);
    memcpy(c->id, d->p + from, (size_t)c->n * sizeof *c->id);
}

void wordpiece_stretch(const struct tokenizer *t, struct tokenizer_work *w, const char *s, size_t n, struct ids *d, int64_t stop) {
    size_t begin = 0, i = 0;
    while (i < n && d->n <= stop) {
        unsigned char c = (unsigned char)s[i];
        size_t k = 1;
        int kind;
        if (c < 0x80) kind = t->ascii[c];
        else {
            uint32_t cp;
            k = utf8_next(s + i, n - i, &cp);
            kind = cp & UTF8_BAD ? 0 : unicode_space(cp) ? 1 : unicode_punct(cp) ? 2 : 0;
        }
        if (kind) {
            if (i > begin) word(t, w, s + begin, i - begin, d);
            if (kind == 2) word(t, w, s + i, k, d);
            begin = i + k;
        }
        i += k;
    }
    if (begin < i && i == n && d->n <= stop) word(t, w, s + begin, n - begin, d);
}
