/* Encodes the texts of a data set with a tokenizer on one core, from a cold cache of words each time: tokenizer TOKENIZER DATASET [ROUNDS].
 * Prints milliseconds (median), MB/s, ids and their hash; tests/bench/tokenizer_peer.py does the same with the `tokenizers` package. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "datasets/text/tokenizer.h"
#include "src/base/io.h"
#include "src/base/thread.h"

static int by_value(const void *a, const void *b) { return (*(const double *)a > *(const double *)b) - (*(const double *)a < *(const double *)b); }

/* The texts: column 2 of "label<TAB>text<TAB>file", the header left out. */
static void read_texts(const char *path, struct buf *b) {
    struct err e = {0};
    static char tmp[1 << 16];
    struct io_stream *s = io_stream_open(path, &e);
    for (ssize_t k; s && (k = io_stream_read(s, tmp, sizeof tmp, &e)) > 0;) buf_add(b, tmp, (size_t)k);
    if (s) io_stream_close(s);
    if (e.code) {
        fprintf(stderr, "%s\n", e.text);
        exit(1);
    }
}

int main(int argc, char **argv) {
    struct err e = {0};
    struct buf b = BUF_INIT;
    if (argc < 3) return fprintf(stderr, "usage: tokenizer VOCAB.txt|TOKENIZER.json imdb/train.tsv.gz [ROUNDS]\n"), 2;
    int rounds = argc > 3 ? atoi(argv[3]) : 5;
    struct tokenizer *t = tokenizer_load(argv[1], true, &e);
    if (!t) return fprintf(stderr, "%s\n", e.text), 1;
    read_texts(argv[2], &b);
    double ms[99];
    int64_t bytes = 0, n = 0;
    uint64_t h = 0;
    if (rounds < 1 || rounds > 99) rounds = 5;
    for (int r = 0; r < rounds; r++) {
        double from = clock_now();
        struct tokenizer_work *w = tokenizer_work_new();
        struct ids d = {0};
        bytes = n = 0;
        h = 0xcbf29ce484222325u;
        for (const char *p = strchr(b.data, '\n') + 1, *nl; (nl = strchr(p, '\n')); p = nl + 1) {
            const char *text = memchr(p, '\t', (size_t)(nl - p)), *end = text ? memchr(text + 1, '\t', (size_t)(nl - text - 1)) : NULL;
            if (!text) continue;
            if (!end) end = nl;
            d.n = 0;
            tokenizer_encode(t, w, text + 1, (size_t)(end - text - 1), 0, false, &d);
            bytes += end - text - 1, n += d.n;
            for (int64_t i = 0; i < d.n; i++) h = (h ^ (uint32_t)d.p[i]) * 0x100000001b3u;
        }
        tokenizer_work_free(w);
        free(d.p);
        ms[r] = 1000 * (clock_now() - from);
    }
    qsort(ms, (size_t)rounds, sizeof *ms, by_value);
    printf("hone %s: %.0f ms, %.1f MB/s, %lld bytes, %lld ids, hash %016llx\n", tokenizer_kind(t), ms[rounds / 2], (double)bytes / ms[rounds / 2] / 1000,
        (long long)bytes, (long long)n, (unsigned long long)h);
    tokenizer_free(t);
    buf_release(&b);
    return 0;
}
