/* The text pipeline in the order tokens -> cut to len -> ids -> hashed runs -> TF-IDF weights, and its saved form. */
#include "datasets/text/encoder.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/mem.h"
#include "src/base/thread.h"

static bool stopped(const struct texts *t, int64_t i, const char *phase) {
    return t->progress && !(i & 1023) && t->progress(t->ctx, phase, (double)i / (double)(t->n ? t->n : 1));
}

static const char *text_at(const struct texts *t, int64_t i, size_t *n) {
    int64_t row = t->idx ? t->idx[i] : i;
    *n = (size_t)(t->col->offset[row + 1] - t->col->offset[row]);
    return (const char *)t->col->data + t->col->offset[row];
}

/* ---- on several threads ----
 * What is computed does not depend on their number: counts of runs of texts are merged in the order of the texts, encoded blocks put together in theirs. */
#define THREADS 16
#define WORTH (1 << 17) /* bytes of text below which another thread does not pay */

static int helpers(const struct texts *t) {
    int want = t->threads > 0 ? t->threads : thread_cores();
    int64_t most = (t->idx ? t->n : t->col->offset[t->n] / WORTH), n = want - 1;
    n = n < THREADS ? n : THREADS;
    return (int)(n < most ? n : most);
}

struct counting {
    const struct encoder *x;
    const struct texts *t;
    int64_t from, to;
    struct vocab *vocab;
    _Atomic bool *stop;
    bool asks; /* on the caller's thread: looks at the user's wish to stop */
};

static void *count_words(void *arg) {
    struct counting *c = arg;
    struct tokens tok = {0};
    c->vocab = vocab_new();
    for (int64_t i = c->from; i < c->to && !atomic_load_explicit(c->stop, memory_order_relaxed); i++) {
        if (c->asks && stopped(c->t, i, "counting words")) atomic_store(c->stop, true);
        size_t n;
        const char *s = text_at(c->t, i, &n);
        tokens_split(&tok, c->x->kind, c->x->lower, s, n, 0);
        for (int64_t k = 0; k < tok.n; k++) {
            s = tokens_at(&tok, k, &n);
            vocab_count(c->vocab, s, n);
        }
    }
    tokens_release(&tok);
    return NULL;
}

static int learn_words(struct encoder *x, const struct texts *t, int64_t size, struct err *e) {
    struct counting c[THREADS + 1];
    pthread_t thread[THREADS + 1];
    _Atomic bool stop = false;
    int n = helpers(t), started = 0;
    for (int i = 0; i <= n; i++) c[i] = (struct counting){x, t, t->n * i / (n + 1), t->n * (i + 1) / (n + 1), NULL, &stop, i == 0};
    for (int i = 1; i <= n && !thread_start(&thread[i], "hone-tok", count_words, &c[i], NULL); i++) started = i;
    for (int i = started + 1; i <= n; i++) count_words(&c[i]);
    count_words(&c[0]);
    for (int i = 1; i <= started; i++) pthread_join(thread[i], NULL);
    x->vocab = c[0].vocab;
    for (int i = 1; i <= n; i++) vocab_merge_take(x->vocab, c[i].vocab);
    if (stop) return err_code(e, ERR_STOPPED, "loading was stopped");
    vocab_finish(x->vocab, size);
    return 0;
}

int encoder_learn(struct encoder *x, const struct texts *t, int64_t size, struct err *e) {
    if (x->tokenizer) return 0;
    bool runs = x->ngrams > 1 || x->char_lo;
    if (runs && !x->buckets) x->buckets = 100000;
    if ((!x->buckets || runs) && learn_words(x, t, size, e)) return -1;
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

/* Blocks of texts are taken by whoever is free. */
#define BLOCK 256
struct block {
    struct ids d;
    float *weight;
    int64_t weight_cap;
    int32_t count[BLOCK];
};
struct sharing {
    const struct encoder *x;
    const struct texts *t;
    struct block *block;
    int64_t n_block;
    _Atomic int64_t next, cut;
    _Atomic bool stop;
};

static void one_subword_text(struct sharing *s, struct tokenizer_work *w, struct ids *d, const char *text, size_t n) {
    int64_t from = d->n;
    if (tokenizer_encode(s->x->tokenizer, w, text, n, s->x->len, s->x->tail, d)) atomic_fetch_add(&s->cut, 1);
    if (d->n > from) return;
    ids_reserve(d, 1);
    d->p[d->n++] = tokenizer_pad(s->x->tokenizer);
}

static void one_word_text(const struct encoder *x, struct tokens *tok, struct block *b, const char *text, size_t n) {
    struct ids *d = &b->d;
    int64_t from = d->n;
    one_text(x, tok, d, text, n);
    if (d->n == from) {
        ids_reserve(d, 1);
        d->p[d->n++] = VOCAB_PAD;
    }
    if (!x->tfidf) return;
    if (d->n > b->weight_cap) b->weight = X_GROW(b->weight, float, (size_t)(b->weight_cap = d->n + d->n / 2 + 256));
    d->n = from + tfidf_distinct(d->p + from, b->weight + from, d->n - from);
}

static void encode_some(struct sharing *s, bool asks) {
    struct tokenizer_work *w = s->x->tokenizer ? tokenizer_work_new() : NULL;
    struct tokens tok = {0};
    for (int64_t b; !atomic_load(&s->stop) && (b = atomic_fetch_add(&s->next, 1)) < s->n_block;)
        for (int64_t i = b * BLOCK; i < s->t->n && i < (b + 1) * BLOCK; i++) {
            if (asks && stopped(s->t, i, "tokenising")) atomic_store(&s->stop, true);
            struct block *k = &s->block[b];
            size_t n;
            const char *text = text_at(s->t, i, &n);
            int64_t from = k->d.n;
            if (w) one_subword_text(s, w, &k->d, text, n);
            else one_word_text(s->x, &tok, k, text, n);
            k->count[i - b * BLOCK] = (int32_t)(k->d.n - from);
        }
    if (w) tokenizer_work_free(w);
    tokens_release(&tok);
}
static void *encode_blocks(void *arg) {
    encode_some(arg, false);
    return NULL;
}

/* The blocks one after the other into the column. */
static int gather(struct sharing *s, struct column *out, struct err *e) {
    int64_t total = 0, rows = s->t->n;
    for (int64_t b = 0; b < s->n_block; b++) total += s->block[b].d.n;
    int32_t *p = mem_try((size_t)total + 1, sizeof *p, "the token ids", e);
    float *weight = p && s->x->tfidf ? mem_try((size_t)total + 1, sizeof *weight, "the token weights", e) : NULL;
    out->data = p;
    out->weight = weight;
    if (!p || (s->x->tfidf && !weight)) return -1;
    for (int64_t b = 0, at = 0; b < s->n_block; b++) {
        struct block *k = &s->block[b];
        for (int64_t i = b * BLOCK; i < rows && i < (b + 1) * BLOCK; i++) out->offset[i + 1] = out->offset[i] + k->count[i - b * BLOCK];
        if (k->d.n) memcpy(p + at, k->d.p, (size_t)k->d.n * sizeof *p);
        if (k->d.n && weight) memcpy(weight + at, k->weight, (size_t)k->d.n * sizeof *weight);
        at += k->d.n;
    }
    return 0;
}

int encoder_encode(struct encoder *x, const struct texts *t, bool learn, struct column *out, struct err *e) {
    struct sharing s = {.x = x, .t = t, .n_block = (t->n + BLOCK - 1) / BLOCK};
    pthread_t thread[THREADS];
    int n = 0, want = helpers(t);
    out->type = COL_TOKENS;
    out->offset = X_NEW(int64_t, (size_t)t->n + 1);
    s.block = X_NEW(struct block, (size_t)s.n_block + 1);
    for (; n < want && n + 1 < s.n_block; n++)
        if (thread_start(&thread[n], "hone-tok", encode_blocks, &s, NULL)) break;
    encode_some(&s, true);
    for (int i = 0; i < n; i++) pthread_join(thread[i], NULL);
    int r = atomic_load(&s.stop) ? err_code(e, ERR_STOPPED, "loading was stopped") : gather(&s, out, e);
    for (int64_t b = 0; b < s.n_block; b++) {
        free(s.block[b].d.p);
        free(s.block[b].weight);
    }
    free(s.block);
    if (x->tokenizer) {
        x->cut = atomic_load(&s.cut);
        x->max_id = tokenizer_size(x->tokenizer);
    }
    out->max_id = x->max_id;
    if (r || !x->tfidf || x->tokenizer) return r;
    if (learn) {
        free(x->idf);
        x->idf = tfidf_learn(out, t->n, x->max_id);
    }
    tfidf_weigh(out, t->n, x->idf);
    return 0;
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
    for (int k = 0; k < TOKENS_KINDS; k++)
        if (!strcmp(val_get_str(v, "tokens", "words"), tokens_names[k])) x->kind = (enum tokens_kind)k;
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
    if (x->len < 0 || ngrams < 1 || ngrams > 8 || lo < 0 || lo > hi || hi > 16 || x->buckets < 0 || x->buckets > 1000000000 ||
        ((ngrams > 1 || lo || !words) && !x->buckets))
        return err_set(e, "the saved preparation of texts is damaged: len %lld, ngrams %lld, characters %lld to %lld, buckets %lld", (long long)x->len,
            (long long)ngrams, (long long)lo, (long long)hi, (long long)x->buckets);
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
