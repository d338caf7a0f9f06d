/* Fuzz target of tokenizers: a tokenizer.json, or (first byte 'v') a vocab.txt. What is read encodes texts to ids that it has, decodes them, and its saved form
 * gives the same ids again. */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "datasets/text/tokenizer.h"
#include "tests/fuzz/fuzz.h"

static const char *const texts[] = {
    "", "The cat's 12 caf\xc3\xa9s, aab  caab!\n", "[CLS] a<s> \xe4\xb8\xad\xe6\x96\x87 \xcc\x81\xf0\x9f\x98\x80\t##b </s>aaaaaaaaaaaaaaaaaaaa"};

static void encode(const struct tokenizer *t, struct tokenizer_work *w, size_t i, int64_t len, struct ids *out) {
    out->n = 0;
    bool cut = tokenizer_encode(t, w, texts[i], strlen(texts[i]), len, i & 1, out);
    if (len > 0 && (out->n > len || (!cut && out->n > len))) abort();
    for (int64_t k = 0; k < out->n; k++)
        if (out->p[k] < 0 || out->p[k] >= tokenizer_size(t)) abort();
}

static void use(const struct tokenizer *t) {
    struct err e = {0};
    struct val *saved = tokenizer_to_val(t);
    struct tokenizer *again = tokenizer_from_val(saved, &e);
    struct tokenizer_work *w = tokenizer_work_new(), *v = tokenizer_work_new();
    struct ids a = {0}, b = {0};
    struct buf text = BUF_INIT;
    if (!again || tokenizer_size(t) < 1 || tokenizer_pad(t) < 0 || tokenizer_pad(t) >= tokenizer_size(t)) abort();
    for (size_t i = 0; i < LEN(texts); i++)
        for (int64_t len = 0; len < 12; len = 2 * len + 1) {
            encode(t, w, i, len, &a);
            encode(again, v, i, len, &b);
            if (a.n != b.n || (a.n && memcmp(a.p, b.p, (size_t)a.n * sizeof *a.p))) abort();
            buf_clear(&text);
            tokenizer_decode(t, a.p, a.n, i & 1, &text);
        }
    buf_release(&text);
    free(a.p);
    free(b.p);
    tokenizer_work_free(w);
    tokenizer_work_free(v);
    tokenizer_free(again);
    val_free(saved);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct err e = {0};
    struct val *v = val_table();
    bool vocab = size && data[0] == 'v';
    val_set_str(v, "file", vocab ? "vocab.txt" : "tokenizer.json");
    val_set(v, "text", val_strn(size ? (const char *)data + vocab : "", size - vocab));
    fuzz_limit = ((size_t)16 << 20) + 64 * size;
    struct tokenizer *t = tokenizer_from_val(v, &e);
    if (!t == !e.code) abort(); /* an error has a sentence, a success has none */
    if (t) use(t);
    tokenizer_free(t);
    fuzz_limit = 0;
    val_free(v);
    return 0;
}
