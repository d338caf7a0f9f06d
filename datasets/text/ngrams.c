/* Hashed runs: of 2..n tokens (hash of the tokens with a blank between), and of lo..hi characters of "<word>" as fastText does
 * (Bojanowski et al. 2017). The hash never changes: it is part of saved models. */
#include "datasets/text/encoder.h"

#include <string.h>

static void put(struct ids *d, uint64_t hash, int64_t base, int64_t buckets) {
    ids_reserve(d, 1);
    d->p[d->n++] = (int32_t)(base + (int64_t)(hash % (uint64_t)buckets));
}

void ngrams_words(struct ids *d, const struct tokens *t, int64_t from, int longest, int64_t base, int64_t buckets) {
    for (int k = 2; k <= longest; k++)
        for (int64_t i = from; i + k <= t->n; i++) {
            uint64_t h = (uint64_t)k;
            for (int j = 0; j < k; j++) {
                size_t n;
                const char *s = tokens_at(t, i + j, &n);
                h = token_hash(s, n, h * 0x9e3779b97f4a7c15u);
            }
            put(d, h, base, buckets);
        }
}

void ngrams_chars(struct ids *d, const struct tokens *t, int64_t from, int lo, int hi, int64_t base, int64_t buckets) {
    char w[512];
    for (int64_t i = from; i < t->n; i++) {
        size_t n;
        const char *s = tokens_at(t, i, &n);
        if (n > sizeof w - 2) n = sizeof w - 2; /* longer is no word; cut anywhere, it is only hashed */
        w[0] = '<';
        memcpy(w + 1, s, n);
        w[n + 1] = '>';
        n += 2;
        for (size_t b = 0; b < n; b++) {
            if (((unsigned char)w[b] & 0xc0) == 0x80) continue; /* only at the begin of a character */
            size_t q = b;
            for (int k = 1; k <= hi && q < n; k++) {
                q++;
                while (q < n && ((unsigned char)w[q] & 0xc0) == 0x80) q++;
                if (k >= lo && !(b == 0 && q == n)) put(d, token_hash(w + b, q - b, 0xc4a5), base, buckets);
            }
        }
    }
}
