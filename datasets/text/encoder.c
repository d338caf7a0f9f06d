/* The text pipeline in the order tokens -> cut to len -> ids -> hashed runs -> TF-IDF weights, and its saved form. */
#include "datasets/text/encoder.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/thread.h"

static bool stopped(const struct texts *t, int64_t i, const char *phase) { return t->progress && !(i & 1023) && t->progress(t->ctx, phase, (double)i / (double)(t->n ? t->n : 1)); }

static const char *text_at(const struct texts *t, int64_t i, size_t *n) {
    int64_t row = t->idx ? t->idx[i] : i;
    *n = (size_t)(t->col->offset[row + 1] - t->col->offset[row]);
    return (const char *)t->col->data + t->col->offset[row];
}

int encoder_learn(struct encoder *x, const struct texts *t, int64_t size, struct err *e) {
    if (x->tokenizer) return 0;
    bool runs = x->ngrams > 1 || x->char_lo;
    if (runs && !x->buckets) x->buckets = 100000;
    if (!x->buckets || runs) {
        struct tokens tok = {0};
        x->vocab = vocab_new();
        for (int64_t i = 0; i < t->n; i++) {
            if (stopped(t, i, "counting words")) {
                tokens_release(&tok);
                return err_code(e, ERR_STOPPED, "loading was stopped");
            }
            size_t n;
            const char *s = text_at(t, i, &n);
            tokens_split(&tok, x->kind, x->lower, s, n, 0);
            for (int64_t k = 0; k < tok.n; k++) {
                s = tokens_at(&tok, k, &n);
                vocab_count(x->vocab, s, n);
            }
        }
        tokens_release(&tok);
        vocab_finish(x->vocab, size);
    }
    x->max_id = (x->vocab ? vocab_size(x->vocab) : 2) + x->buckets;
    return x->max_id > INT32_MAX ? err_set(e, "vocab + hash_buckets is %lld ids; at most %d", (long long)x->max_id, INT32_MAX) : 0;
}

static void one_text(const struct encoder *x, struct tokens *tok, struct ids *d, const char *s, size_t n) {
    tokens_split(tok, x->kind, x->lower, s, n, x->tail ? 0 : x->len);
    int64_t from = x->len && tok->n > x->len ? tok->n - x->len : 0, base = x->vocab ? vocab_size(x->vocab) : 2;
    ids_reserve(d, tok->n - from + 1);
    for (int64_t k = from; k < tok->n; k++) {
        s = tokens_at(tok, k, &n);
        d->p[d->n++] = x->vocab ? vocab_id(x->vocab, s, n) : (int32_t)(base + (int64_t)(token_hash(s, n, 0) % (uint64_t)x->buckets));
    }
    if (x->ngrams > 1) ngrams_words(d, tok, from, x->ngrams, base, x->buckets);
    if (x->char_lo) ngrams_chars(d, tok, from, x->char_lo, x->char_hi, base, x->buckets);
}

/* ---- with the tokenizer of a pre-trained model ----
 * Blocks of texts are taken by whoever is free and put together in their order, so the ids do not depend on the number of threads. */
#define BLOCK 256
#define THREADS 16
struct block { struct ids d; int32_t count[BLOCK]; };
struct sharing {
    const struct encoder *x;
    const struct texts *t;
    struct block *block;
    int64_t n_block;
    _Atomic int64_t next, cut;
    _Atomic bool stop;
};

static void *encode_blocks(void *arg) {
    struct sharing *s = arg;
    struct tokenizer_work *w = tokenizer_work_new();
    for (int64_t b; !atomic_load(&s->stop) && (b = atomic_fetch_add(&s->next, 1)) < s->n_block;)
        for (int64_t i = b * BLOCK; i < s->t->n && i < (b + 1) * BLOCK; i++) {
            struct ids *d = &s->block[b].d;
            size_t n;
            const char *text = text_at(s->t, i, &n);
            int64_t from = d->n;
            if (tokenizer_encode(s->x->tokenizer, w, text, n, s->x->len, s->x->tail, d)) atomic_fetch_add(&s->cut, 1);
            if (d->n == from) {
                ids_reserve(d, 1);
                d->p[d->n++] = tokenizer_pad(s->x->tokenizer);
            }
            s->block[b].count[i - b * BLOCK] = (int32_t)(d->n - from);
        }
    tokenizer_work_free(w);
    return NULL;
}

static int encode_subwords(struct encoder *x, const struct texts *t, struct column *out, struct err *e) {
    struct sharing s = {.x = x, .t = t, .n_block = (t->n + BLOCK - 1) / BLOCK};
    pthread_t thread[THREADS];
    int n = 0, want = t->threads > 0 ? t->threads : thread_cores(), r = 0;
    s.block = X_NEW(struct block, (size_t)s.n_block + 1);
    for (; n < want - 1 && n < THREADS && n + 1 < s.n_block && t->col->offset[t->n] > 1 << 17; n++)
        if (thread_start(&thread[n], "hone-tok", encode_blocks, &s, NULL)) break;
    encode_blocks(&s);
    for (int i = 0; i < n; i++) pthread_join(thread[i], NULL);
    int64_t total = 0;
    for (int64_t b = 0; b < s.n_block; b++) total += s.block[b].d.n;
    int32_t *p = mem_try((size_t)total + 1, sizeof *p, "the token ids", e);
    if (!p) r = -1;
    for (int64_t b = 0, at = 0; b < s.n_block; b++) {
        struct block *k = &s.block[b];
        for (int64_t i = b * BLOCK; i < t->n && i < (b + 1) * BLOCK; i++) out->offset[i + 1] = out->offset[i] + k->count[i - b * BLOCK];
        if (p && k->d.n) memcpy(p + at, k->d.p, (size_t)k->d.n * sizeof *p);
        at += k->d.n;
        free(k->d.p);
    }
    free(s.block);
    x->cut = atomic_load(&s.cut);
    x->max_id = out->max_id = tokenizer_size(x->tokenizer);
    out->data = p;
    return r;
}

int encoder_encode(struct encoder *x, const struct texts *t, bool learn, struct column *out, struct err *e) {
    struct tokens tok = {0};
    struct ids d = {0};
    int64_t weight_cap = 0;
    float *weight = NULL;
    int r = 0;
    out->type = COL_TOKENS;
    out->offset = X_NEW(int64_t, (size_t)t->n + 1);
    if (x->tokenizer) return encode_subwords(x, t, out, e);
    for (int64_t i = 0; i < t->n; i++) {
        if (stopped(t, i, "tokenising")) {
            r = err_code(e, ERR_STOPPED, "loading was stopped");
            break;
        }
        size_t n;
        const char *s = text_at(t, i, &n);
        int64_t from = d.n;
        one_text(x, &tok, &d, s, n);
        if (d.n == from) {
            ids_reserve(&d, 1);
            d.p[d.n++] = VOCAB_PAD;
        }
        if (x->tfidf) {
            if (d.n > weight_cap) weight = X_GROW(weight, float, (size_t)(weight_cap = d.n + d.n / 2 + 256));
            d.n = from + tfidf_distinct(d.p + from, weight + from, d.n - from);
        }
        out->offset[i + 1] = d.n;
    }
    tokens_release(&tok);
    if (d.cap - d.n > d.n / 8) d.p = X_GROW(d.p, int32_t, (size_t)d.n + 1);
    out->data = d.p;
    out->weight = weight;
    out->max_id = x->max_id;
    if (!r && x->tfidf) {
        if (learn) {
            free(x->idf);
            x->idf = tfidf_learn(out, t->n, x->max_id);
        }
        tfidf_weigh(out, t->n, x->idf);
    }
    return r;
}

struct val *encoder_to_val(const struct encoder *x) {
    struct val *v = val_table();
    val_set_str(v, "kind", "text");
    if (x->tokenizer) {
        val_set_str(v, "tokens", tokenizer_kind(x->tokenizer));
        val_set_str(v, "trunc", x->tail ? "tail" : "head");
        val_set_int(v, "len", x->len);
        val_set_int(v, "ids", tokenizer_size(x->tokenizer));
        val_set(v, "tokenizer", tokenizer_to_val(x->tokenizer));
        return v;
    }
    val_set_str(v, "tokens", tokens_names[x->kind]);
    val_set_bool(v, "lower", x->lower);
    val_set_str(v, "trunc", x->tail ? "tail" : "head");
    val_set_int(v, "len", x->len);
    val_set_int(v, "ngrams", x->ngrams);
    val_set_int(v, "char_lo", x->char_lo);
    val_set_int(v, "char_hi", x->char_hi);
    val_set_int(v, "hash_buckets", x->buckets);
    val_set_int(v, "ids", x->max_id);
    if (x->vocab) val_set(v, "words", vocab_to_val(x->vocab));
    if (x->idf) {
        struct val *l = val_list();
        for (int64_t i = 0; i < x->max_id; i++) val_push(l, val_num(x->idf[i]));
        val_set(v, "idf", l);
    }
    return v;
}

int encoder_from_val(struct encoder *x, const struct val *v, struct err *e) {
    memset(x, 0, sizeof *x);
    x->kind = strcmp(val_get_str(v, "tokens", "words"), "chars") ? TOKENS_WORDS : TOKENS_CHARS;
    x->lower = val_get_bool(v, "lower", true);
    x->tail = !strcmp(val_get_str(v, "trunc", "head"), "tail");
    int64_t ngrams = val_get_int(v, "ngrams", 1), lo = val_get_int(v, "char_lo", 0), hi = val_get_int(v, "char_hi", 0);
    x->len = val_get_int(v, "len", 0);
    x->buckets = val_get_int(v, "hash_buckets", 0);
    const struct val *words = val_get(v, "words"), *idf = val_get(v, "idf"), *own = val_get(v, "tokenizer");
    if (own) {
        x->ngrams = 1;
        if (x->len < 0) return err_set(e, "the saved preparation of texts is damaged: len %lld", (long long)x->len);
        if (!(x->tokenizer = tokenizer_from_val(own, e))) return -1;
        x->max_id = tokenizer_size(x->tokenizer);
        return 0;
    }
    if (x->len < 0 || ngrams < 1 || ngrams > 8 || lo < 0 || lo > hi || hi > 16 || x->buckets < 0 || x->buckets > 1000000000 || ((ngrams > 1 || lo || !words) && !x->buckets))
        return err_set(e, "the saved preparation of texts is damaged: len %lld, ngrams %lld, characters %lld to %lld, buckets %lld", (long long)x->len, (long long)ngrams,
            (long long)lo, (long long)hi, (long long)x->buckets);
    x->ngrams = (int)ngrams, x->char_lo = (int)lo, x->char_hi = (int)hi;
    if (words && !(x->vocab = vocab_from_val(words, e))) return -1;
    x->max_id = (x->vocab ? vocab_size(x->vocab) : 2) + x->buckets;
    if (idf) {
        if ((int64_t)val_len(idf) != x->max_id)
            return err_set(e, "the saved preparation of texts is damaged: %zu weights for %lld ids", val_len(idf), (long long)x->max_id);
        x->tfidf = true;
        x->idf = X_NEW(float, (size_t)x->max_id);
        for (int64_t i = 0; i < x->max_id; i++) {
            double d = 0;
            val_as_num(val_at(idf, (size_t)i), &d);
            x->idf[i] = (float)d;
        }
    }
    return 0;
}

void encoder_release(struct encoder *x) {
    vocab_free(x->vocab);
    tokenizer_free(x->tokenizer);
    free(x->idf);
    memset(x, 0, sizeof *x);
}
