/* One open-addressing table from token to entry; entries in order of first appearance until vocab_finish sorts them by count. */
#include "datasets/text/vocab.h"

#include <stdlib.h>
#include <string.h>

#include "src/base/arena.h"
#include "src/base/hash.h"
#include "src/base/mem.h"

struct entry {
    const char *s;
    uint32_t n, hash;
    int64_t count;
    uint32_t first; /* rank of first appearance */
};
struct vocab {
    struct arena text;
    struct entry *e;
    size_t n, cap;
    uint32_t *slot; /* entry + 1; 0: free */
    size_t slots; /* power of two */
};

uint64_t token_hash(const char *s, size_t n, uint64_t seed) {
    uint64_t h = hash_bytes(HASH_START ^ seed, s, n);
    h ^= h >> 33;
    h *= 0xff51afd7ed558ccdu;
    return h ^ h >> 33;
}

struct vocab *vocab_new(void) {
    struct vocab *v = X_NEW(struct vocab, 1);
    v->slots = 1 << 12;
    v->slot = X_NEW(uint32_t, v->slots);
    return v;
}

void vocab_free(struct vocab *v) {
    if (!v) return;
    arena_release(&v->text);
    free(v->e);
    free(v->slot);
    free(v);
}

static size_t find_slot(const struct vocab *v, const char *s, size_t n, uint32_t hash) {
    size_t i = hash & (v->slots - 1);
    for (; v->slot[i]; i = (i + 1) & (v->slots - 1)) {
        const struct entry *e = &v->e[v->slot[i] - 1];
        if (e->hash == hash && e->n == n && !memcmp(e->s, s, n)) break;
    }
    return i;
}

static void index_all(struct vocab *v, size_t slots) {
    free(v->slot);
    v->slots = slots;
    v->slot = X_NEW(uint32_t, slots);
    for (size_t k = 0; k < v->n; k++) {
        size_t i = v->e[k].hash & (slots - 1);
        while (v->slot[i]) i = (i + 1) & (slots - 1);
        v->slot[i] = (uint32_t)k + 1;
    }
}

static void add(struct vocab *v, const char *s, size_t n, uint32_t hash, int64_t count) {
    size_t i = find_slot(v, s, n, hash);
    if (v->slot[i]) {
        v->e[v->slot[i] - 1].count += count;
        return;
    }
    if (v->n == v->cap) {
        v->cap = v->cap ? 2 * v->cap : 1024;
        v->e = X_GROW(v->e, struct entry, v->cap);
    }
    char *copy = ARENA_NEW(&v->text, char, n + 1);
    memcpy(copy, s, n);
    v->e[v->n] = (struct entry){copy, (uint32_t)n, hash, count, (uint32_t)v->n};
    v->slot[i] = (uint32_t)++v->n;
    if (2 * v->n > v->slots) index_all(v, 4 * v->slots);
}

void vocab_count(struct vocab *v, const char *s, size_t n) { add(v, s, n, (uint32_t)token_hash(s, n, 0), 1); }

void vocab_merge_take(struct vocab *v, struct vocab *later) {
    for (size_t k = 0; k < later->n; k++) add(v, later->e[k].s, later->e[k].n, later->e[k].hash, later->e[k].count);
    vocab_free(later);
}

static int by_count(const void *pa, const void *pb) {
    const struct entry *a = pa, *b = pb;
    if (a->count != b->count) return a->count < b->count ? 1 : -1;
    return (a->first > b->first) - (a->first < b->first);
}

void vocab_finish(struct vocab *v, int64_t size) {
    if (v->n) qsort(v->e, v->n, sizeof *v->e, by_count);
    if (size >= 2 && v->n > (size_t)size - 2) v->n = (size_t)size - 2;
    size_t slots = 16;
    while (slots < 3 * v->n) slots *= 2;
    index_all(v, slots);
}

int64_t vocab_size(const struct vocab *v) { return (int64_t)v->n + 2; }

int32_t vocab_id(const struct vocab *v, const char *s, size_t n) {
    size_t i = find_slot(v, s, n, (uint32_t)token_hash(s, n, 0));
    return v->slot[i] ? (int32_t)v->slot[i] + 1 : VOCAB_UNKNOWN;
}

const char *vocab_word(const struct vocab *v, int64_t id, size_t *n) {
    *n = id != VOCAB_PAD;
    if (id == VOCAB_PAD) return "";
    if (id < 2 || id - 2 >= (int64_t)v->n) return "?";
    *n = v->e[id - 2].n;
    return v->e[id - 2].s;
}

struct val *vocab_to_val(const struct vocab *v) {
    struct val *t = val_list();
    for (size_t i = 0; i < v->n; i++) val_push(t, val_strn(v->e[i].s, v->e[i].n));
    return t;
}

struct vocab *vocab_from_val(const struct val *list, struct err *e) {
    struct vocab *v = vocab_new();
    for (size_t i = 0; i < val_len(list); i++) {
        const struct val *w = val_at(list, i);
        size_t before = v->n;
        if (w->type == VAL_STR) vocab_count(v, w->u.s.p, w->u.s.len);
        if (v->n == before) {
            err_set(e, "word %zu of the saved vocabulary is %s; the model file is damaged", i + 1, w->type == VAL_STR ? "there twice" : "not a text");
            vocab_free(v);
            return NULL;
        }
    }
    vocab_finish(v, 0); /* all counts are 1: the order stays */
    return v;
}
