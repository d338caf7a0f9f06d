/* Tokenizers against what the `tokenizers` package makes of 2,000 lines (tests/golden/make_tokenizer.py), cutting, saved forms,
 * broken files. */
#include "config.h"

#include <stdlib.h>
#include <unistd.h>

#include "datasets/dataset.h"
#include "datasets/text/encoder.h"
#include "datasets/text/subword.h"
#include "src/base/io.h"
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

static void expect_ids(const struct tokenizer *t, const char *s, int64_t len, const int32_t *want, int64_t n, const char *what) {
    struct tokenizer_work *w = tokenizer_work_new();
    struct ids d = {0};
    struct buf got = BUF_INIT;
    if (t) tokenizer_encode(t, w, s, strlen(s), len, false, &d);
    for (int64_t i = 0; i < d.n; i++) buf_addf(&got, " %d", (int)d.p[i]);
    tap_ok(t && d.n == n && !memcmp(d.p, want, (size_t)n * sizeof *want), "%s:%s", what, got.data ? got.data : " none");
    buf_release(&got);
    free(d.p);
    tokenizer_work_free(w);
}

/* Small vocabularies: what the 2,000 lines do not hold. */
static void test_small(void) {
    static const char words[] = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n\xc3\xa9\n##\xc3\xa9\nA\na\n\xe3\x90\x80\n\xe4\xb6\xb5\n";
    static const char bpe[] =
        "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"'\":0,\"r\":1,\"e\":2,\"x\":3,\"'r\":4,\"'re\":5,\"re\":6,\"\xc4\xa0\":7,\"\xc3\x82\":9,\"\xc2\xb2\":10,"
        "\"x\xc3\x82\":11},"
        "\"merges\":[\"' r\",\"'r e\",\"r e\",\"x \xc3\x82\"]},\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"trim_offsets\":true},"
        "\"decoder\":{\"type\":\"ByteLevel\"},\"added_tokens\":[{\"id\":8,\"content\":\"<m>\",\"single_word\":false,\"lstrip\":false,\"rstrip\":true,"
        "\"normalized\":false,\"special\":true}]}";
    static const char config[] = "{\"do_lower_case\":false,\"model_max_length\":77}";
    char dir[] = "/tmp/hone-tok-XXXXXX";
    struct err e = {0};
    if (!mkdtemp(dir)) BUG("no folder in /tmp");
    char *v = io_join(dir, "vocab.txt"), *c = io_join(dir, "tokenizer_config.json"), *j = io_join(dir, "tokenizer.json");
    io_write_file(v, words, sizeof words - 1, &e);
    struct tokenizer *t = tokenizer_load(dir, true, &e);
    expect_ids(t, "A a", 0, (int32_t[]){2, 8, 8, 3}, 4, "lower case where nothing else is said");
    expect_ids(t,
        "a\xe3\x90\x80"
        "a\xe4\xb6\xb5"
        "a",
        0, (int32_t[]){2, 8, 9, 8, 10, 8, 3}, 7, "ideographs of extension A stand alone");
    tokenizer_free(t);
    io_write_file(c, config, sizeof config - 1, &e);
    t = tokenizer_load(dir, true, &e);
    expect_ids(t, "A a", 0, (int32_t[]){2, 7, 8, 3}, 4, "do_lower_case=false beside it");
    tap_ok(t && tokenizer_len(t) == 77, "and model_max_length");
    struct buf long_word = BUF_INIT;
    int32_t want[104] = {2, 5};
    for (int i = 0; i < 100; i++) buf_adds(&long_word, "\xc3\xa9"), want[i + 1] = i ? 6 : 5;
    want[101] = 3;
    expect_ids(t, long_word.data, 0, want, 102, "a word of 100 characters in 200 bytes has pieces");
    buf_adds(&long_word, "\xc3\xa9");
    expect_ids(t, long_word.data, 0, (int32_t[]){2, 1, 3}, 3, "one of 101 is unknown");
    expect_ids(t, "a a a", 1, (int32_t[]){2}, 1, "a length that has no room for the special tokens");
    int64_t offset[] = {0, 5, 6, 6};
    char text[] = "a a aa";
    struct column col = {.type = COL_TEXT, .data = text, .offset = offset}, out = {0};
    struct encoder x = {.tokenizer = t, .len = 4};
    tap_ok(t && encoder_encode(&x, &(struct texts){&col, NULL, 3, NULL, NULL, 1}, false, &out, &e) == 0 && x.cut == 1, "one of three texts is counted as cut");
    free(out.data), free(out.offset);
    tokenizer_free(t);
    io_write_file(j, bpe, sizeof bpe - 1, &e);
    t = tokenizer_load(dir, true, &e);
    expect_ids(t, "x're", 0, (int32_t[]){3, 5}, 2, "'re is a piece of its own");
    expect_ids(t, "<m> x", 0, (int32_t[]){8, 3}, 2, "rstrip: blanks behind an added token go with it");
    expect_ids(t, "x\xc2\xb2", 0, (int32_t[]){3, 9, 10}, 3, "a superscript two is a number, not of the letters' piece");
    expect_ids(t, "x x", 0, (int32_t[]){3, 7, 3}, 3, "other blanks stay");
    x = (struct encoder){.tokenizer = t};
    out = (struct column){0};
    tap_ok(t && encoder_encode(&x, &(struct texts){&col, (int64_t[]){2}, 1, NULL, NULL, 1}, false, &out, &e) == 0 && out.offset[1] == 1 &&
               *(int32_t *)out.data == 0,
        "a text without ids is one padding id %s", e.text);
    free(out.data), free(out.offset);
    tokenizer_free(t);
    buf_release(&long_word);
    io_remove_tree(dir, &e);
    free(v), free(c), free(j);
}

static void test_normal(void) {
    static const struct {
        unsigned flags;
        const char *in, *out;
    } t[] = {{NORMAL_LOWER, "\xc4\xb0", "i\xcc\x87"}, {NORMAL_LOWER, "\xc3\x89Z", "\xc3\xa9z"}, {NORMAL_LOWER | NORMAL_STRIP, "\xc3\x89", "e"},
        {NORMAL_NFKC, "\xef\xac\x81\xe2\x91\xa0", "fi1"},
        {NORMAL_NFC,
            "\xef\xac\x81"
            "e\xcc\x81",
            "\xef\xac\x81\xc3\xa9"},
        {NORMAL_NFKD, "\xc3\xa9\xef\xac\x81",
            "e\xcc\x81"
            "fi"},
        {NORMAL_NFD, "\xc3\xa9\xef\xac\x81", "e\xcc\x81\xef\xac\x81"},
        {NORMAL_CJK,
            "a\xf0\xa0\x80\x80"
            "b",
            "a \xf0\xa0\x80\x80 b"},
        {NORMAL_CLEAN, "a\x01\tb", "a b"}};
    int right = 0;
    for (size_t i = 0; i < LEN(t); i++) {
        struct buf b = BUF_INIT;
        normal_pass(t[i].flags, t[i].in, strlen(t[i].in), &b);
        bool ok = b.data && strcmp(b.data, t[i].out) == 0;
        if (!ok) printf("# %u %s: %s\n", t[i].flags, t[i].in, b.data ? b.data : "");
        right += ok;
        buf_release(&b);
    }
    tap_ok(right == (int)LEN(t), "normal forms, lower case, marks, ideographs, controls");
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
    test_small();
    test_normal();
    test_broken();
    test_mutated();
    buf_release(&lines);
    buf_release(&expect);
    return tap_done();
}
