/* Byte-level BPE as GPT-2: the text is cut as by its regular expression
 *   's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
 * (a scanner, no regular expressions), each piece becomes bytes, and the pair of the lowest rank is joined first, ties from the left.
 * Short pieces by scanning for the lowest pair, long ones by a heap, so that no text takes quadratic time. */
#include <string.h>

#include "datasets/text/subword.h"
#include "datasets/text/unicode.h"
#include "src/base/utf8.h"

#define SHORT 48

uint32_t bpe_byte_char(unsigned char b) {
    if ((b >= '!' && b <= '~') || (b >= 0xa1 && b != 0xad)) return b;
    return 256u + (b <= ' ' ? b : b <= 0xa0 ? b - 0x7fu + 33 : 67);
}

int bpe_char_byte(uint32_t cp) {
    if (cp < 256) return bpe_byte_char((unsigned char)cp) == cp ? (int)cp : -1;
    if (cp < 256 + 33) return (int)cp - 256;
    if (cp < 256 + 67) return (int)cp - 256 - 33 + 0x7f;
    return cp == 256 + 67 ? 0xad : -1;
}

static const struct merge *find(const struct tokenizer *t, int32_t left, int32_t right) {
    uint64_t pair = (uint64_t)(uint32_t)left << 32 | (uint32_t)right, h = pair * 0x9e3779b97f4a7c15u;
    for (size_t i = (h >> 32) & t->merge_mask;; i = (i + 1) & t->merge_mask) {
        const struct merge *m = &t->merge[i];
        if (m->rank < 0) return NULL;
        if (m->pair == pair) return m;
    }
}

static int64_t short_piece(const struct tokenizer *t, int32_t *id, int64_t n) {
    const struct merge *m[SHORT];
    for (int64_t i = 0; i + 1 < n; i++) m[i] = find(t, id[i], id[i + 1]);
    for (;;) {
        int64_t at = -1;
        for (int64_t i = 0; i + 1 < n; i++)
            if (m[i] && (at < 0 || m[i]->rank < m[at]->rank)) at = i;
        if (at < 0) return n;
        id[at] = m[at]->id;
        n--;
        for (int64_t i = at + 1; i < n; i++) id[i] = id[i + 1];
        for (int64_t i = at + 1; i + 1 < n; i++) m[i] = m[i + 1];
        if (at + 1 < n) m[at] = find(t, id[at], id[at + 1]);
        else m[at] = NULL;
        if (at) m[at - 1] = find(t, id[at - 1], id[at]);
    }
}

static bool before(const struct candidate *a, const struct candidate *b) { return a->rank != b->rank ? a->rank < b->rank : a->at < b->at; }

static void push(const struct tokenizer *t, struct tokenizer_work *w, int32_t at) {
    if (at < 0 || w->sym[at].next < 0) return;
    int32_t left = w->sym[at].id, right = w->sym[w->sym[at].next].id;
    const struct merge *m = find(t, left, right);
    if (!m) return;
    if (w->n_heap == w->cap_heap) w->heap = X_GROW(w->heap, struct candidate, w->cap_heap = w->cap_heap ? 2 * w->cap_heap : 256);
    struct candidate c = {m->rank, at, left, right, m->id};
    size_t i = w->n_heap++;
    for (; i && before(&c, &w->heap[(i - 1) / 2]); i = (i - 1) / 2) w->heap[i] = w->heap[(i - 1) / 2];
    w->heap[i] = c;
}

static struct candidate pop(struct tokenizer_work *w) {
    struct candidate top = w->heap[0], last = w->heap[--w->n_heap];
    size_t i = 0;
    for (size_t k; (k = 2 * i + 1) < w->n_heap; i = k) {
        if (k + 1 < w->n_heap && before(&w->heap[k + 1], &w->heap[k])) k++;
        if (!before(&w->heap[k], &last)) break;
        w->heap[i] = w->heap[k];
    }
    if (w->n_heap) w->heap[i] = last;
    return top;
}

static int64_t long_piece(const struct tokenizer *t, struct tokenizer_work *w, int32_t *id, int64_t n) {
    if ((size_t)n > w->cap_sym) w->sym = X_GROW(w->sym, struct symbol, w->cap_sym = (size_t)n + (size_t)n / 2);
    w->n_heap = 0;
    for (int64_t i = 0; i < n; i++) w->sym[i] = (struct symbol){id[i], (int32_t)i - 1, i + 1 < n ? (int32_t)i + 1 : -1};
    for (int64_t i = 0; i + 1 < n; i++) push(t, w, (int32_t)i);
    while (w->n_heap) {
        struct candidate c = pop(w);
        struct symbol *s = &w->sym[c.at];
        if (s->id != c.left || s->next < 0 || w->sym[s->next].id != c.right) continue; /* one of the two was joined meanwhile */
        struct symbol *r = &w->sym[s->next];
        s->id = c.id;
        r->id = -1;
        s->next = r->next;
        if (s->next >= 0) w->sym[s->next].prev = c.at;
        push(t, w, c.at);
        push(t, w, s->prev);
    }
    int64_t k = 0;
    for (int32_t i = 0; i >= 0; i = w->sym[i].next) id[k++] = w->sym[i].id;
    return k;
}

static int32_t whole_token(const struct tokenizer *t, const char *s, size_t n) {
    char u[4 * SHORT];
    size_t k = 0;
    if (n > SHORT) return -1;
    for (size_t i = 0; i < n; i++) k += utf8_put(u + k, bpe_byte_char((unsigned char)s[i]));
    return pieces_find(&t->word, u, k);
}

static void split_piece(const struct tokenizer *t, struct tokenizer_work *w, const char *s, size_t n, struct ids *d) {
    int64_t from = d->n;
    int32_t id = t->ignore_merges ? whole_token(t, s, n) : -1;
    ids_reserve(d, (int64_t)n);
    if (id >= 0) {
        d->p[d->n++] = id;
        return;
    }
    for (size_t i = 0; i < n; i++) {
        id = t->byte_id[(unsigned char)s[i]];
        if (id < 0 && (t->unk < 0 || (t->fuse_unk && d->n > from && d->p[d->n - 1] == t->unk))) continue;
        d->p[d->n++] = id < 0 ? t->unk : id;
    }
    int64_t k = d->n - from;
    d->n = from + (k < 2 ? k : k <= SHORT ? short_piece(t, d->p + from, k) : long_piece(t, w, d->p + from, k));
}

static void piece(const struct tokenizer *t, struct tokenizer_work *w, const char *s, size_t n, struct ids *d) {
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
    split_piece(t, w, s, n, d);
    if (!c || d->n - from > 8) return;
    c->hash = h, c->len = (uint8_t)n, c->n = (uint8_t)(d->n - from);
    memcpy(c->word, s, n);
    memcpy(c->id, d->p + from, (size_t)c->n * sizeof *c->id);
}

#define L UNICODE_LETTER
#define N UNICODE_NUMBER
#define S UNICODE_SPACE
#define O UNICODE_OTHER
static const unsigned char ascii[128] = {O, O, O, O, O, O, O, O, O, S, S, S, S, S, O, O, O, O, O, O, O, O, O, O, O, O, O, O, O, O, O, O, S, O, O, O, O, O, O, O,
    O, O, O, O, O, O, O, O, N, N, N, N, N, N, N, N, N, N, O, O, O, O, O, O, O, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, O,
    O, O, O, O, O, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, O, O, O, O, O};

static int class_at(const char *s, size_t n, size_t *k) {
    unsigned char c = (unsigned char)s[0];
    *k = 1;
    if (c < 0x80) return ascii[c];
    uint32_t cp;
    *k = utf8_next(s, n, &cp);
    return cp & UTF8_BAD ? O : unicode_class(cp);
}
#undef L
#undef N
#undef S
#undef O

static size_t contraction(const char *s, size_t n) { /* s[0] is ' */
    if (n < 2) return 0;
    if (strchr("stmd", s[1]) && s[1]) return 2;
    if (n > 2 && ((s[1] == 'r' && s[2] == 'e') || (s[1] == 'v' && s[2] == 'e') || (s[1] == 'l' && s[2] == 'l'))) return 3;
    return 0;
}

static size_t next_piece(const char *s, size_t n) {
    size_t k, i = 0, last = 0;
    if (s[0] == '\'' && (k = contraction(s, n))) return k;
    int c = class_at(s, n, &k);
    if (s[0] == ' ' && n > 1) {
        int after = class_at(s + 1, n - 1, &k);
        if (after != UNICODE_SPACE) c = after, i = 1;
    }
    if (c != UNICODE_SPACE) {
        while (i < n && class_at(s + i, n - i, &k) == c) i += k;
        return i;
    }
    while (i < n && class_at(s + i, n - i, &k) == UNICODE_SPACE) last = i, i += k;
    return i < n && last ? last : i; /* the last blank of several goes with what follows */
}

void bpe_stretch(const struct tokenizer *t, struct tokenizer_work *w, const char *s, size_t n, struct ids *d, int64_t stop) {
    if (!n) return;
    if (t->prefix_space && s[0] != ' ') {
        buf_clear(&w->c);
        buf_addc(&w->c, ' ');
        buf_add(&w->c, s, n);
        s = w->c.data, n = w->c.len;
    }
    if (!t->regex) {
        if (n) piece(t, w, s, n, d);
        return;
    }
    while (n && d->n <= stop) {
        size_t k = next_piece(s, n);
        piece(t, w, s, k, d);
        s += k, n -= k;
    }
}
