/* Tokenizers against what the `tokenizers` package makes of 2,000 lines (tests/golden/make_tokenizer.py), cutting, saved forms,
 * broken files. */
#include "config.h"

#include <stdlib.h>
#include <unistd.h>

#include "datasets/dataset.h"
#include "datasets/text/encoder.h"
#include "datasets/text/unicode.h"
#include "src/base/io.h"
#include "src/base/json.h"
#include "tests/tap.h"

static char *golden(const char *name) {
    const char *s = getenv("top_srcdir");
    struct buf b = BUF_INIT;
    buf_addf(&b, "%s/tests/golden/tokenizer/%s", s ? s : ".", name);
    return buf_take(&b);
}

static void read_gz(const char *name, struct buf *b) {
    struct err e = {0};
    char *path = golden(name), tmp[4096];
    struct io_stream *s = io_stream_open(path, &e);
    for (ssize_t k; s && (k = io_stream_read(s, tmp, sizeof tmp, &e)) > 0;) buf_add(b, tmp, (size_t)k);
    if (s) io_stream_close(s);
    tap_ok(!e.code && b->len, "%s is read %s", name, e.text);
    free(path);
}

static uint32_t fold(const int32_t *id, int64_t n) {
    uint64_t h = 0xcbf29ce484222325u;
    for (int64_t i = 0; i < n; i++)
        for (int k = 0; k < 4; k++) h = (h ^ (((uint32_t)id[i] >> (8 * k)) & 255)) * 0x100000001b3u;
    return (uint32_t)(h ^ h >> 32);
}

static char *find_vocab(const char *name) {
    char *all = mem_str(getenv("HONE_DATA") ? getenv("HONE_DATA") : ""), *found = NULL;
    for (char *p = strtok(all, ":"); p && !found; p = strtok(NULL, ":")) {
        struct buf b = BUF_INIT;
        buf_addf(&b, "%s/vocab/%s.txt", p, name);
        if (io_exists(b.data)) found = buf_take(&b);
        buf_release(&b);
    }
    free(all);
    return found;
}

static void compare(int column, const char *what, const struct tokenizer *t, const struct buf *lines, const struct buf *expect) {
    struct tokenizer_work *w = tokenizer_work_new();
    struct ids d = {0};
    const char *p = lines->data, *x = expect->data;
    int line = 0, wrong = 0;
    for (; p < lines->data + lines->len; line++) {
        const char *nl = strchr(p, '\n'), *want = x;
        for (int k = 0; k < column; k++) want = strchr(want, ' ') + 1;
        char got[32];
        d.n = 0;
        tokenizer_encode(t, w, p, (size_t)(nl - p), 0, false, &d);
        int n = snprintf(got, sizeof got, "%lld:%08x", (long long)d.n, fold(d.p, d.n));
        if (strncmp(got, want, (size_t)n) != 0 && ++wrong <= 5)
            printf("# %s line %d: %s, not %.16s: %.*s\n", what, line + 1, got, want, (int)(nl - p < 300 ? nl - p : 300), p);
        p = nl + 1;
        x = strchr(x, '\n') + 1;
    }
    tap_ok(line == 2000 && !wrong, "%s: the ids of %d lines, %d wrong", what, line, wrong);
    free(d.p);
    tokenizer_work_free(w);
}

static void test_golden(const struct buf *lines, const struct buf *expect) {
    static const struct {
        const char *file;
        bool lower, real;
    } all[] = {{"wordpiece.json", true, false}, {"bpe.json", true, false}, {"roberta.json", true, false}, {"bert-base-uncased", true, true},
        {"bert-base-chinese", true, true}, {"bert-base-uncased", false, true}};
    for (int i = 0; i < (int)LEN(all); i++) {
        char *path = all[i].real ? find_vocab(all[i].file) : golden(all[i].file);
        struct err e = {0};
        if (!path) {
            tap_skip(all[i].file, "no folder of $HONE_DATA has vocab");
            continue;
        }
        struct tokenizer *t = tokenizer_load(path, all[i].lower, &e);
        tap_ok(t != NULL, "%s is read %s", all[i].file, e.text);
        if (t) {
            compare(i, all[i].file, t, lines, expect);
            struct val *v = tokenizer_to_val(t);
            struct tokenizer *again = tokenizer_from_val(v, &e);
            struct buf b = BUF_INIT;
            io_read_file(path, TOKENIZER_MAX_BYTES, &b, &e);
            tap_ok(again && !strcmp(b.data, val_get_str(v, "text", "")), "%s: saved as it was, byte for byte", all[i].file);
            if (again) compare(i, "saved and read again", again, lines, expect);
            buf_release(&b);
            val_free(v);
            tokenizer_free(again);
        }
        tokenizer_free(t);
        free(path);
    }
}

static void test_decode(const struct buf *lines) {
    struct err e = {0};
    char *path = golden("bpe.json");
    struct tokenizer *t = tokenizer_load(path, true, &e);
    struct tokenizer_work *w = tokenizer_work_new();
    struct ids d = {0};
    struct buf b = BUF_INIT;
    int wrong = 0;
    for (const char *p = lines->data, *nl; (nl = strchr(p, '\n')); p = nl + 1) {
        d.n = 0;
        buf_clear(&b);
        tokenizer_encode(t, w, p, (size_t)(nl - p), 0, false, &d);
        tokenizer_decode(t, d.p, d.n, true, &b);
        wrong += b.len != (size_t)(nl - p) || memcmp(b.data, p, b.len) != 0;
    }
    tap_ok(!wrong, "bytes of all lines come back from their BPE ids, %d do not", wrong);
    /* one long piece: the heap and the scan join the same pairs */
    char *s = X_NEW(char, 400001);
    for (int i = 0; i < 400000; i++) s[i] = "the"[i % 3];
    d.n = 0;
    tokenizer_encode(t, w, s, 400000, 0, false, &d);
    buf_clear(&b);
    tokenizer_decode(t, d.p, d.n, true, &b);
    tap_ok(b.len == 400000 && d.n < 400000, "400,000 letters are one piece and end soon: %lld ids", (long long)d.n);
    free(s);
    buf_release(&b);
    free(d.p);
    tokenizer_work_free(w);
    tokenizer_free(t);
    free(path);
}

static void test_cut(void) {
    struct err e = {0};
    char *path = golden("wordpiece.json");
    struct tokenizer *t = tokenizer_load(path, true, &e);
    struct tokenizer_work *w = tokenizer_work_new();
    struct ids full = {0}, d = {0};
    const char *s = "How long does a transfer from my bank take until it is there?";
    tokenizer_encode(t, w, s, strlen(s), 0, false, &full);
    bool head = tokenizer_encode(t, w, s, strlen(s), 8, false, &d);
    tap_ok(head && d.n == 8 && d.p[0] == 2 && d.p[7] == 3 && !memcmp(d.p, full.p, 7 * sizeof *d.p), "the first six with both special tokens");
    d.n = 0;
    bool tail = tokenizer_encode(t, w, s, strlen(s), 8, true, &d);
    tap_ok(tail && d.n == 8 && d.p[0] == 2 && d.p[7] == 3 && !memcmp(d.p + 1, full.p + full.n - 7, 6 * sizeof *d.p), "the last six with both special tokens");
    d.n = 0;
    tap_ok(!tokenizer_encode(t, w, s, strlen(s), full.n, false, &d) && d.n == full.n, "a text that just fits is whole");
    d.n = 0;
    tap_ok(!tokenizer_encode(t, w, "", 0, 8, false, &d) && d.n == 2, "an empty text is its special tokens");
    free(d.p);
    free(full.p);
    tokenizer_work_free(w);
    struct encoder x = {.tokenizer = t, .len = 8, .ngrams = 1};
    struct val *v = encoder_to_val(&x), *in = val_list();
    for (int i = 0; i < 1000; i++) val_push(in, val_str(i % 3 ? s : "hi"));
    struct part *p = dataset_prepare(v, in, &e);
    tap_ok(p && p->n == 1000 && p->col[0].offset[1000] == 334 * (p->col[0].offset[1]) + 666 * 8, "texts are prepared from the saved form %s", e.text);
    part_free(p);
    val_free(in);
    val_free(v);
    encoder_release(&x);
    free(path);
}

static void refuse(const char *file, const char *text, size_t n, const char *part) {
    char dir[] = "/tmp/hone-tok-XXXXXX";
    struct err e = {0};
    if (!mkdtemp(dir)) BUG("no folder in /tmp");
    char *path = io_join(dir, file);
    io_write_file(path, text, n, &e);
    struct tokenizer *t = tokenizer_load(path, true, &e);
    tap_ok(!t && strstr(e.text, part), "refused: %s", t ? "not at all" : e.text);
    tokenizer_free(t);
    io_remove_tree(dir, &e);
    free(path);
}
#define REFUSE(file, text, part) refuse(file, text, sizeof(text) - 1, part)
#define WP(vocab)                                                                                                                                       \
    "{\"added_tokens\":[],\"normalizer\":null,\"pre_tokenizer\":{\"type\":\"BertPreTokenizer\"},\"model\":{\"type\":\"WordPiece\",\"unk_token\":\"u\"," \
    "\"vocab\":" vocab "}}"
#define BPE(rest) "{\"pre_tokenizer\":{\"type\":\"ByteLevel\"},\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1,\"ab\":2}," rest "}}"

static void test_broken(void) {
    REFUSE("vocab.txt", "", "1 to");
    REFUSE("vocab.txt", "a\nb\n", "[UNK]");
    REFUSE("vocab.txt", "a\n\xff\xfe\n", "not UTF-8");
    REFUSE("tokenizer.json", "{\"model\":", "not valid JSON");
    REFUSE("tokenizer.json", "{}", "no \"model\"");
    REFUSE("tokenizer.json", "{\"model\":{\"type\":\"Unigram\",\"vocab\":[]}}", "Unigram");
    REFUSE("tokenizer.json", WP("[]"), "not an object");
    REFUSE("tokenizer.json", WP("{\"u\":-1}"), "id -1");
    REFUSE("tokenizer.json", WP("{\"u\":16000000}"), "id 16000000");
    REFUSE("tokenizer.json", WP("{\"u\":9223372036854775807}"), "id 9223372036854775807");
    REFUSE("tokenizer.json", WP("{\"u\":\"x\"}"), "whole numbers");
    REFUSE("tokenizer.json", WP("{\"u\":0,\"v\":0}"), "same id");
    REFUSE("tokenizer.json", WP("{\"v\":0}"), "unknown token");
    REFUSE("tokenizer.json", BPE("\"merges\":[\"a\"]"), "not a pair");
    REFUSE("tokenizer.json", BPE("\"merges\":[\"b a\"]"), "merge 1");
    REFUSE("tokenizer.json", BPE("\"merges\":[\"a b\"],\"dropout\":0.1"), "dropout");
    REFUSE("tokenizer.json", BPE("\"merges\":[],\"byte_fallback\":true"), "byte_fallback");
    REFUSE("tokenizer.json", "{\"pre_tokenizer\":{\"type\":\"Split\"},\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[]}}", "Split");
    REFUSE("tokenizer.json",
        "{\"normalizer\":{\"type\":\"Replace\"},\"pre_tokenizer\":{\"type\":\"ByteLevel\"},\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[]}}",
        "Replace");
}

/* Bytes of good files changed at random: read or refused, and what is read encodes. */
static void test_mutated(void) {
    static const char *const files[] = {"wordpiece.json", "bpe.json", "roberta.json"};
    const char *s = "A tale of 中文 e\xcc\x81 and <mask> it's 12!  ";
    int read = 0;
    for (size_t f = 0; f < LEN(files); f++) {
        struct err e = {0};
        struct buf b = BUF_INIT;
        char *path = golden(files[f]);
        io_read_file(path, TOKENIZER_MAX_BYTES, &b, &e);
        for (uint64_t i = 0; i < 60; i++) {
            char *p = mem_strn(b.data, b.len);
            struct val *v = val_table();
            for (uint64_t k = 0; k < 3; k++) {
                uint64_t at = (i * 7919 + k * 104729 + f) * 2654435761u % (k ? b.len : 3000);
                p[at] = "0192{}[],:\"ax-"[(i + 3 * k) % 14];
            }
            val_set_str(v, "file", "tokenizer.json");
            val_set(v, "text", val_strn(p, b.len));
            struct tokenizer *t = tokenizer_from_val(v, &e);
            if (t) {
                struct tokenizer_work *w = tokenizer_work_new();
                struct ids d = {0};
                tokenizer_encode(t, w, s, strlen(s), 16, i & 1, &d);
                for (int64_t k = 0; k < d.n; k++)
                    if (d.p[k] < 0 || d.p[k] >= tokenizer_size(t)) BUG("id %d", d.p[k]);
                free(d.p);
                tokenizer_work_free(w);
                read++;
            }
            tokenizer_free(t);
            val_free(v);
            free(p);
        }
        buf_release(&b);
        free(path);
    }
    tap_ok(true, "180 changed files: %d still read, none out of range", read);
}

int main(void) {
    struct buf lines = BUF_INIT, expect = BUF_INIT;
    read_gz("lines.txt.gz", &lines);
    read_gz("expect.txt.gz", &expect);
    if (lines.len && expect.len) {
        test_golden(&lines, &expect);
        test_decode(&lines);
    }
    test_cut();
    test_broken();
    test_mutated();
    buf_release(&lines);
    buf_release(&expect);
    return tap_done();
}
