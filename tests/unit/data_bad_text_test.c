/* Broken text files: each must be refused by one sentence that names the file, the place, the value and what to do. */
#include "config.h"

#include <stdlib.h>

#include "datasets/data_args.h"
#include "datasets/dataset.h"
#include "src/base/io.h"
#include "src/base/json.h"
#include "src/base/mem.h"
#include "tests/tap.h"

static char tmp[64];

#define B(s) (s), sizeof(s) - 1
struct bad {
    const char *file, *bytes;
    size_t n;
    const char *args; /* JSON fields beside the name, or "" */
    const char *want; /* part of the sentence */
};

static const struct bad csv[] = {
    {"a.csv", B(""), "", "is empty"},
    {"a.csv", B("\n\n\n"), "", "only blank lines"},
    {"a.csv", B("\xef\xbb\xbf"), "", "is empty"},
    {"a.csv", B("text,label\n"), "", "a header and no rows"},
    {"a.csv", B("text,label\na b,x,y\n"), "", "line 2: 3 columns instead of 2"},
    {"a.csv", B("text,label\na b,x\nc d\n"), "", "line 3: 1 column instead of 2"},
    {"a.csv", B("text,label\n\"a b,x\nc d,y\n"), "", "line 2: a quote (\") is opened and never closed"},
    {"a.csv", B("text,label\n\"a\" b,x\n"), "", "line 2: \" \" after the closing quote of cell 1"},
    {"a.csv", B("text,label\nx y,a\n\"p \"\" q,b\n"), "", "line 3: a quote"},
    {"a.csv", B("text,text\na,b\n"), "", "names \"text\" twice, columns 1 and 2"},
    {"a.csv", B("text,label\na\rb c,x\n\"d\"\re,y\n"), "", "a carriage return inside a row"},
    {"a.csv",
        B("text,label\n\xff\xfe"
          "ab,x\n"),
        "", "line 2 is not UTF-8 (byte 0xff"},
    {"a.csv", B("text,label\nok,x\nb\xc3(,y\n"), "", "line 3 is not UTF-8"},
    {"a.csv", B("text,label\nok,x\nb\xc3"), "", "is not UTF-8"},
    {"a.csv", B("text,label\n\xed\xa0\x80 a,x\n"), "", "is not UTF-8"},
    {"a.csv", B("text,label\n\xc0\xaf a,x\n"), "", "is not UTF-8"},
    {"a.csv", B("\xff\xfet\0e\0x\0t\0"), "", "is UTF-16 text"},
    {"a.csv", B("\xfe\xff\0t\0e"), "", "is UTF-16 text"},
    {"a.csv", B("text,label\na\0b,x\n"), "", "a NUL byte at offset 12"},
    {"a.csv", B("text,label\na b,\nc d,x\n"), "", "line 2: the label in column \"label\" is empty"},
    {"a.csv", B("text,label\na b,x\n"), "\"y\":\"kind\"", "y=\"kind\": "},
    {"a.csv", B("text,label\na b,x\n"), "\"text\":\"body\"", "has no such column; it has text, label"},
    {"a.csv", B("1,2,x\n3,4,y\n"), "\"y\":\"9\"", "there is no header"},
    {"a.csv", B("text,label\na b,x\n"), "\"x\":[\"label\"],\"y\":\"label\"", "is the target, so it cannot be an input"},
    {"a.csv", B("text,label\na b,x\n"), "\"text\":\"label\",\"y\":\"label\"", "both text and target"},
    {"a.csv", B("text,label\na b,x\n"), "\"sep\":\"ab\"", "sep=\"ab\" is not one character"},
    {"a.csv", B("text,label\na b,x\n"), "\"header\":7", "header= is true, false"},
    {"a.csv", B("text,label\na b,x\n"), "\"encoding\":\"koi8-r\"", "encoding=\"koi8-r\" is unknown"},
    {"a.csv", B("text,label\na b,x\n"), "\"train\":5", "train=5 is more than the 1 examples"},
    {"a.csv", B("text,label\na b,x\nc d,y\n"), "\"val\":2", "no example is left for training"},
    {"a.csv", B("text,label\na b,x\nc d,y\n"), "\"test\":3", "test=3 is more than the 2"},
    {"a.csv", B("text,label\na b,x\n"), "\"chars\":\"5-3\"", "no range of 1 to 16 characters"},
    {"a.csv", B("text,label\na b,x\n"), "\"variant\":\"q\",\"vocab\":2", "vocab"},
    {"a.csv", B("a,b,y\n1,2,1.5\n2,3,NaN\n"), "", "line 3: the target in column \"y\" is missing (NaN), all others are numbers"},
    {"a.csv", B("a,b,y\n1,2,0\nnan,3,1\n"), "", "line 3, column \"a\": the value is missing"},
    {"a.csv", B("a,b,y\n1,inf,0\n2,3,1\n"), "", "line 2, column \"b\": \"inf\" is not a finite number"},
    {"a.csv", B("a,b,y\n1,2,0\n?,3,1\n"), "", "line 3, column \"a\": the value is missing"},
    {"a.csv", B("a,b,y\n1,2,0\n,3,1\n"), "", "the value is missing, in 1 of 2 rows; give missing=\"mean\""},
    {"a.csv", B("a,b,y\n1,1,0\n1,2,0\n1,3,0\n1,4,1\n1,5,1\n1,6,1\n1,7,1\n1,8,1\n1,9,1\n1,10,1\n1,1x,0\n"), "\"header\":true",
        "line 12, column \"b\": \"1x\" is not a number"},
    {"a.csv", B("a,y\n1,0.5\n2,1.5\n3,zz\n"), "\"target\":\"number\"", "line 4, column \"y\": the target \"zz\" is not a number"},
    {"a.csv", B("a,y\n1,0.5\n2,1e999\n"), "\"target\":\"number\"", "the target \"1e999\" is not a finite number"},
    {"a.csv", B("y\n1\n2\n"), "\"y\":\"y\"", "no column left for the inputs"},
    {"a.tsv", B("text\tlabel\na\tb\tc\n"), "", "line 2: 3 columns instead of 2"},
    {"a.tsv", B("a b\t1\nc\n"), "", "line 2: 1 column instead of 2 (it begins \"c\")"},
    {"a.csv", B("a,y\n1,x\n2,y\n"), "\"missing\":\"maybe\"", "missing"},
};

static const struct bad jsonl[] = {
    {"a.jsonl", B(""), "", "is empty"},
    {"a.jsonl", B("  \n \n"), "", "holds no objects"},
    {"a.jsonl", B("{\"text\":\"a\",\"label\":1}\n[1,2]\n"), "", "line 2 is not an object"},
    {"a.jsonl", B("[]\n"), "", "holds no objects"},
    {"a.jsonl", B("{}\n"), "", "has no keys"},
    {"a.jsonl", B("{\"text\":\"a\",\"label\":1\n"), "", "line 1"},
    {"a.jsonl", B("{\"text\":\"a\",\"label\":1}}\n"), "", "line 1"},
    {"a.jsonl", B("{\"text\":\"a\" \"label\":1}\n"), "", "line 1"},
    {"a.jsonl", B("{'text':'a'}\n"), "", "line 1"},
    {"a.jsonl", B("{\"text\":\"a\",\"text\":\"b\"}\n"), "", "text"},
    {"a.jsonl", B("{\"text\":\"a\",\"label\":1}\n{\"text\":\"b\"}\n"), "", "line 2: the label in column \"label\" is empty"},
    {"a.jsonl", B("{\"a\":1,\"label\":1}\n{\"label\":2}\n"), "", "line 2, column \"a\": the value is missing"},
    {"a.json", B("[{\"text\":\"a\",\"label\":1},\n{\"text\":\"b\",\"label\":2}\n"), "", "the ] that closes its list is missing"},
    {"a.json", B("[{\"text\":\"a\",\"label\":1},\n{\"text\":\"b\",\"la"), "", "line 2"},
    {"a.json", B("[{\"text\":\"a\",\"label\":1}]x"), "", "line 1"},
    {"a.json", B("[]"), "", "holds no objects"},
    {"a.json", B("["), "", "the ] that closes its list is missing"},
    {"a.json", B("{\"text\":{\"0\":\"a\"},\"label\":{\"0\":1}}\n"), "", "write one object a row"},
    {"a.jsonl", B("{\"text\":{\"a\":1},\"label\":1}\n"), "\"text\":\"text\"", "no such column; it has label"},
    {"a.jsonl", B("{\"text\":\"a\\u0000b\",\"label\":1}\n"), "", "line 1"},
    {"a.jsonl", B("{\"text\":\"a\\ud800\",\"label\":1}\n"), "", "line 1"},
    {"a.jsonl", B("{\"text\":\"a\\x\",\"label\":1}\n"), "", "line 1"},
    {"a.jsonl", B("{\"text\":\"a\xff\",\"label\":1}\n"), "", "is not UTF-8"},
    {"a.jsonl", B("{\"text\":\"a\",\"label\":1}\0\n"), "", "a NUL byte at offset 22"},
    {"a.jsonl", B("{\"text\":\"a\",\"label\":null}\n"), "", "line 1: the label in column \"label\" is empty"},
    {"a.jsonl", B("{\"text\":\"a\",\"label\":1e999}\n"), "", "line 1"},
    {"a.jsonl", B("{\"text\":\"a\",\"label\":NaN}\n"), "", "line 1"},
    {"a.jsonl", B("{\"text\":\"a\",\"label\":01}\n"), "", "line 1"},
    {"a.jsonl", B("{\"text\":\"a\",\"label\":1},\n{\"text\":\"b\",\"label\":1}\n"), "", "line 1"},
    {"a.jsonl", B("{\"text\":\"a\nb\",\"label\":1}\n"), "", "line 1"},
    {"a.jsonl", B("{\"text\":\"a\tb\",\"label\":1}\n"), "", "line 1"},
    {"a.jsonl", B("nul\n"), "", "line 1"},
    {"a.jsonl", B("\"text\"\n"), "", "line 1"},
    {"a.jsonl", B("12\n"), "", "line 1"},
    {"a.jsonl", B("{\"text\":\"a\",\"label\":1}\n{\n"), "", "line 2"},
    {"a.jsonl", B("{\"text\":\"a\",\"label\":1}\nnot json\n"), "", "line 2"},
    {"a.jsonl", B("{\"text\":\"a\",}\n"), "", "line 1"},
    {"a.jsonl", B("{text:\"a\"}\n"), "", "line 1"},
    {"a.jsonl", B("{\"text\":tru}\n"), "", "line 1"},
    {"a.jsonl", B("// comment\n{\"text\":\"a\"}\n"), "", "line 1"},
    {"a.jsonl", B("{\"text\":\"a\",\"label\":1}\n\xef\xbb\xbf{\"text\":\"b\",\"label\":2}\n"), "", "line 2"},
    {"a.jsonl", B("{\"\":1}\n{\"\":2}\n"), "\"y\":\"label\"", "y=\"label\""},
    {"a.jsonl", B("{\"a\":\"q\",\"y\":1}\n{\"a\":null,\"y\":2}\n"), "", "line 2, column \"a\": the value is missing"},
    {"a.jsonl", B("{\"a\":1,\"y\":1}\n{\"a\":\"inf\",\"y\":2}\n"), "", "line 2, column \"a\": \"inf\" is not a finite number"},
    {"a.jsonl", B("{\"a\":1,\"y\":\"\"}\n"), "", "the label in column \"y\" is empty"},
    {"a.jsonl", B("{\"a\":1,\"y\":[]}\n"), "", "the label in column \"y\" is empty"},
    {"a.jsonl", B("{\"text\":\"a\",\"label\":1}\n"), "\"text\":\"nope\"", "it has text, label"},
    {"a.jsonl", B("\xff\xfe{\0"), "", "is UTF-16 text"},
};

static struct dataset *load(const char *path, const char *extra, struct err *e) {
    struct buf b = BUF_INIT;
    struct data_args a = {0};
    struct dataset *d = NULL;
    buf_addf(&b, "{\"name\":\"%s\"%s%s}", path, *extra ? "," : "", extra);
    struct val *t = json_parse(b.data, b.len, "test", e);
    if (!t) BUG("bad test: %s", b.data);
    if (!args_parse(&data_kind, t, &a, e)) {
        d = dataset_load(&a, NULL, NULL, NULL, e);
        args_release(&data_kind, &a);
    }
    val_free(t);
    buf_release(&b);
    return d;
}

static void table(const char *what, const struct bad *b, size_t n) {
    int good = 0;
    for (size_t i = 0; i < n; i++) {
        struct err e = {0};
        char *path = io_join(tmp, b[i].file);
        if (io_write_file(path, b[i].bytes, b[i].n, &e)) BUG("%s", e.text);
        struct dataset *d = load(path, b[i].args, &e);
        bool named = strstr(e.text, path) || *b[i].args; /* a wrong argument need not name the file */
        bool ok = !d && strstr(e.text, b[i].want) && named && !strchr(e.text, '\n');
        if (ok) good++;
        else tap_ok(false, "%s %zu: \"%s\", wanted \"%s\"", what, i, d ? "it was read" : e.text, b[i].want);
        dataset_unref(d);
        free(path);
    }
    tap_ok(good == (int)n, "%s: %d of %zu broken files refused by the right sentence", what, good, n);
}

/* Every prefix of a good file, and every single byte changed: read or refused, never worse. */
static void mutate(const char *what, const char *file, const char *text) {
    size_t n = strlen(text), read = 0, refused = 0;
    char *path = io_join(tmp, file), *copy = mem_str(text);
    for (size_t i = 0; i < n; i++)
        for (int k = 0; k < 4; k++) {
            struct err e = {0};
            memcpy(copy, text, n);
            if (k) copy[i] = "\0\"\xff"[k - 1];
            FILE *f = fopen(path, "wb"); /* not durable: there are many */
            if (!f || fwrite(copy, 1, k ? n : i, f) != (k ? n : i) || fclose(f)) BUG("cannot write %s", path);
            struct dataset *d = load(path, "", &e);
            if (d) read++;
            else if (*e.text) refused++;
            dataset_unref(d);
        }
    tap_ok(read + refused == 4 * n && refused > 0, "%s: %zu mutations, %zu read, %zu refused", what, 4 * n, read, refused);
    free(copy);
    free(path);
}

/* Lines that would become large trees: refused before. */
static void large(void) {
    static const char *const piece[] = {",{}", ",0", ",[]"};
    for (size_t i = 0; i < LEN(piece); i++) {
        struct buf b = BUF_INIT;
        buf_adds(&b, "{\"text\":[0");
        for (int k = 0; k < 20000; k++) buf_adds(&b, piece[i]);
        buf_adds(&b, "]}\n");
        struct bad x = {"a.jsonl", b.data, b.len, "", "line 1 holds more than 16384 values"};
        table(piece[i] + 1, &x, 1);
        buf_release(&b);
    }
}

int main(void) {
    snprintf(tmp, sizeof tmp, "/tmp/hone-data-test-XXXXXX");
    if (!mkdtemp(tmp)) return 1;
    table("CSV", csv, LEN(csv));
    table("JSON lines", jsonl, LEN(jsonl));
    large();
    mutate("CSV", "m.csv", "text,label\n\"a, \"\"b\"\"\nc\",x\nd \xc3\xa9 e,y\n");
    mutate("table", "m2.csv", "a,b,y\n1,2,x\n3.5,A1,y\n-4e2,A2,x\n");
    mutate("JSON lines", "m.jsonl", "{\"text\":\"a b\",\"label\":1}\n{\"text\":\"\\u00e9\",\"label\":2}\n");
    struct err e = {0};
    io_remove_tree(tmp, &e);
    return tap_done();
}
