/* The encoder of texts that the arguments of hone.data{...} ask for. Helper thread. */
#include "datasets/text_args.h"

#include <stdlib.h>
#include <string.h>

#include "src/base/buf.h"
#include "src/base/io.h"
#include "src/base/mem.h"

/* A tokenizer by its path, or as NAME or vocab/NAME.txt in one of the search folders. */
static int set_tokenizer(struct encoder *x, const struct data_args *a, const char *const *search, struct err *e) {
    const char *name = a->tokenizer ? a->tokenizer : "bert-base-uncased";
    if (!a->tokenizer && a->tokens == DATA_BPE) return err_code(e, ERR_USAGE, "tokens=\"bpe\" needs tokenizer=, a tokenizer.json or the folder of a model");
    if (a->ngrams > 1 || a->chars || a->hash_buckets > 0 || a->tfidf)
        return err_code(e, ERR_USAGE, "ngrams, chars, hash_buckets and tfidf go with tokens=\"words\", not with a tokenizer");
    char *path = io_exists(name) ? mem_str(name) : NULL;
    for (int i = 0; !path && name[0] != '/' && search && search[i]; i++)
        for (int k = 0; !path && k < 2; k++) {
            struct buf b = BUF_INIT;
            buf_addf(&b, k ? "%s/vocab/%s.txt" : "%s/%s", search[i], name);
            if (io_exists(b.data)) path = buf_take(&b);
            buf_release(&b);
        }
    if (!path)
        return err_set(e,
            "there is no tokenizer %s: it is neither a file or folder here nor a vocabulary of the search folders; give tokenizer= a vocab.txt, a "
            "tokenizer.json or the folder of a model",
            name);
    x->tokenizer = tokenizer_load(path, a->lower, e);
    free(path);
    if (!x->tokenizer) return -1;
    const char *kind = tokenizer_kind(x->tokenizer);
    if (a->tokens >= DATA_WORDPIECE && (a->tokens == DATA_BPE) != !strcmp(kind, "bpe"))
        return err_code(e, ERR_USAGE, "tokens=\"%s\", but %s is a %s tokenizer", a->tokens == DATA_BPE ? "bpe" : "wordpiece", name, kind);
    if (!x->len) x->len = tokenizer_len(x->tokenizer);
    return 0;
}

int encoder_from_args(struct encoder *x, const struct data_args *a, const char *const *search, struct err *e) {
    *x = (struct encoder){.kind = a->tokens == TOKENS_CHARS ? TOKENS_CHARS : TOKENS_WORDS,
        .lower = a->lower,
        .tail = a->trunc,
        .tfidf = a->tfidf,
        .len = a->len > 0 ? a->len : 0,
        .ngrams = (int)a->ngrams};
    x->buckets = a->hash_buckets > 0 ? a->hash_buckets : 0;
    if (a->tokenizer || a->tokens >= DATA_WORDPIECE) return set_tokenizer(x, a, search, e);
    if (!a->chars) return 0;
    char *end;
    long lo = strtol(a->chars, &end, 10), hi = lo;
    if (*end == '-') hi = strtol(end + 1, &end, 10);
    if (*end || lo < 1 || hi < lo || hi > 16) return err_code(e, ERR_USAGE, "chars=\"%.20s\" is no range of 1 to 16 characters, such as \"3-5\"", a->chars);
    x->char_lo = (int)lo, x->char_hi = (int)hi;
    return 0;
}
