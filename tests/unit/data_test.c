/* Loading whole data sets: real ones where they are there ($HONE_DATA, /usr/share/datasets), small ones made here. */
#include "config.h"

#include <stdlib.h>
#include <unistd.h>

#include "datasets/data_args.h"
#include "datasets/dataset.h"
#include "datasets/fetch.h"
#include "datasets/text/vocab.h"
#include "src/base/buf.h"
#include "src/base/io.h"
#include "src/base/json.h"
#include "src/base/mem.h"
#include "src/base/thread.h"
#include "tests/tap.h"

static char *folders[64];
static char tmp[64];

static void find_folders(void) {
    int n = 0;
    const char *env = getenv("HONE_DATA");
    for (char *all = mem_str(env ? env : ""), *p = strtok(all, ":"); p && n < 60; p = strtok(NULL, ":")) folders[n++] = p;
    char *s = getenv("top_srcdir");
    folders[n++] = io_join(s ? s : ".", "datasets/samples");
    folders[n++] = mem_str("/usr/share/datasets");
}

static struct dataset *load(const char *lua_json, struct err *e) {
    struct val *t = json_parse(lua_json, strlen(lua_json), "test", e);
    struct data_args a = {0};
    struct dataset *d = NULL;
    if (!t) BUG("bad test %s", lua_json);
    struct val *args = val_table(); /* JSON has no positional items beside fields: "name" is given by name */
    for (size_t i = 0; i < t->u.t.n_field; i++) val_set(args, t->u.t.field[i].name, val_copy(t->u.t.field[i].v));
    if (!args_parse(&data_kind, args, &a, e)) {
        d = dataset_load(&a, (const char *const *)folders, NULL, NULL, e);
        args_release(&data_kind, &a);
    }
    val_free(args);
    val_free(t);
    return d;
}

static struct dataset *real(const char *name, const char *json) {
    struct err e = {0};
    struct dataset *d = load(json, &e);
    if (d) return d;
    if (strstr(e.text, "is in none of these folders")) tap_skip(name, e.text);
    else tap_ok(false, "%s: %s", name, e.text);
    return NULL;
}

static void clinc(void) {
    static const struct {
        const char *json;
        int64_t n[PART_N];
        int classes;
    } want[] = {{"{\"name\":\"clinc150\"}", {15000, 3000, 4500}, 150}, {"{\"name\":\"clinc150\",\"variant\":\"oos\"}", {15100, 3100, 5500}, 151}};
    for (size_t i = 0; i < LEN(want); i++) {
        struct dataset *d = real("clinc150", want[i].json);
        if (!d) continue;
        bool ok = d->n_class == want[i].classes;
        for (int p = 0; p < PART_N; p++) ok = ok && d->part[p].n == want[i].n[p];
        tap_ok(ok, "clinc150: %lld %lld %lld rows, %d classes", (long long)d->part[0].n, (long long)d->part[1].n, (long long)d->part[2].n, d->n_class);
        dataset_unref(d);
    }
    char *path = io_join(tmp, "clinc150/data_full.json"), *dir = io_join(tmp, "clinc150");
    static const struct {
        const char *text, *part;
    } bad[] = {{"{\"train\":[[\"a\",\"b\"]]}", "no list \"val\""}, {"{\"train\":[[\"a\"]],\"val\":[],\"test\":[]}", "item 1"},
        {"{\"train\":7}", "no list \"train\""}, {"[", "not valid JSON"}};
    for (size_t i = 0; i < LEN(bad); i++) {
        struct err e = {0};
        struct buf b = BUF_INIT;
        io_mkdirs(dir, 0700, &e);
        io_write_file(path, bad[i].text, strlen(bad[i].text), &e);
        buf_addf(&b, "{\"name\":\"%s\"}", dir);
        struct dataset *d = load(b.data, &e);
        tap_ok(!d && strstr(e.text, bad[i].part), "refused: %s", e.text);
        dataset_unref(d);
        buf_release(&b);
    }
    free(path);
    free(dir);
}

static void fashion(void) {
    double t = clock_now();
    struct dataset *d = real("fashion-mnist", "{\"name\":\"fashion-mnist\"}");
    if (!d) return;
    printf("# fashion-mnist read in %.3f s\n", clock_now() - t);
    struct part *p = &d->part[PART_TRAIN];
    tap_ok(p->n == 60000 && d->part[PART_TEST].n == 10000 && !d->part[PART_VAL].n, "fashion-mnist: 60000, 10000, no validation part");
    tap_ok(d->n_class == 10 && !strcmp(d->class_name[0], "T-shirt/top") && !strcmp(d->class_name[9], "Ankle boot"), "its class names");
    tap_ok(p->col[0].ndim == 3 && p->col[0].dim[0] == 1 && p->col[0].dim[1] == 28 && p->col[0].width == 784, "images are (1, 28, 28)");
    int64_t count[10] = {0};
    for (int64_t i = 0; i < p->n; i++) count[((int32_t *)p->col[1].data)[i]]++;
    bool even = true;
    for (int i = 0; i < 10; i++) even &= count[i] == 6000;
    tap_ok(even, "6000 of each class");
    static float x[128 * 784];
    int32_t y[128];
    int64_t idx[128];
    for (int i = 0; i < 128; i++) idx[i] = i * 37;
    struct batch_col b[2] = {{.data = x}, {.data = y}};
    double best = 1;
    for (int k = 0; k < 50; k++) {
        t = clock_now();
        part_fill(p, idx, 128, b);
        double s = clock_now() - t;
        if (s < best) best = s;
    }
    printf("# part_fill of 128 x 784: %.1f us\n", best * 1e6);
    tap_ok(x[784 * 5 + 300] == (float)((uint8_t *)p->col[0].data)[185 * 784 + 300] * (1.0f / 255) && y[5] == ((int32_t *)p->col[1].data)[185],
        "a batch holds the scaled pixels and labels of its rows");
    dataset_unref(d);
    d = real("fashion-mnist", "{\"name\":\"fashion-mnist\",\"val\":6000,\"train\":1000,\"test\":100,\"normalize\":true}");
    if (!d) return;
    memset(count, 0, sizeof count);
    for (int64_t i = 0; i < d->part[PART_VAL].n; i++) count[((int32_t *)d->part[PART_VAL].col[1].data)[i]]++;
    tap_ok(
        d->part[PART_TRAIN].n == 1000 && d->part[PART_VAL].n == 6000 && d->part[PART_TEST].n == 100 && count[3] == 600, "val is cut from training, stratified");
    dataset_unref(d);
}

static void imdb(void) {
    double t = clock_now();
    struct dataset *d = real("imdb", "{\"name\":\"imdb\",\"train\":10000,\"vocab\":10000,\"len\":128}");
    if (!d) return;
    printf("# imdb (10000 drawn of 25000, 25000 test rows) read, counted, encoded in %.3f s\n", clock_now() - t);
    struct part *p = &d->part[PART_TRAIN];
    int64_t pos = 0, longest = 0;
    for (int64_t i = 0; i < p->n; i++) {
        pos += ((int32_t *)p->col[1].data)[i];
        if (part_tokens(p, i) > longest) longest = part_tokens(p, i);
    }
    tap_ok(p->n == 10000 && pos == 5000 && d->part[PART_TEST].n == 25000, "imdb: 10000 of 25000 drawn, 5000 of each class");
    tap_ok(vocab_size(d->vocab) == 10000 && p->col[0].max_id == 10000 && longest == 128, "10000 ids, 128 tokens");
    size_t n;
    const char *w = vocab_word(d->vocab, 2, &n);
    tap_ok(n == 3 && !memcmp(w, "the", 3), "the most frequent word is \"the\"");
    const struct val *f = val_at(val_get(d->identity, "files"), 0);
    tap_is(val_get_str(f, "sha256", ""), "97704cc990f47a879405944b120bfa17d5a8648515b9f6c360cfa7ae16dc2c4c", "the identity holds the file's checksum");
    dataset_unref(d);
}

static void banking(void) {
    struct dataset *d = real("banking77", "{\"name\":\"banking77\",\"vocab\":3000}");
    if (!d) return;
    struct part *p = &d->part[PART_TRAIN];
    tap_ok(p->n == 10003 && d->part[PART_TEST].n == 3080 && d->n_class == 77, "banking77: 10003, 3080, 77 classes (%lld, %lld, %d)", (long long)p->n,
        (long long)d->part[PART_TEST].n, d->n_class);
    struct val *in = val_str("How do I reset my card's PIN?");
    struct err e = {0};
    struct part *q = dataset_prepare(d->prep, in, &e);
    tap_ok(q && q->n == 1 && part_tokens(q, 0) == 7, "a new text is prepared by the saved preparation");
    size_t n;
    int32_t id = q ? ((int32_t *)q->col[0].data)[5] : 0;
    const char *w = vocab_word(d->vocab, id, &n);
    tap_ok(n == 6 && !memcmp(w, "card's", 6), "its sixth word is card's");
    part_free(q);
    val_free(in);
    dataset_unref(d);
}

static uint64_t rows_hash(const struct part *p) { /* of the targets and texts, so of which rows were drawn */
    uint64_t h = token_hash(p->col[1].data, (size_t)p->n * 4, 1);
    return p->raw ? token_hash(p->raw->data, (size_t)p->raw->offset[p->n], h) : h;
}

static void draws(void) {
    struct dataset *a = real("draws", "{\"name\":\"banking77\",\"train\":2000,\"val\":500}"),
                   *b = real("draws", "{\"name\":\"banking77\",\"train\":2000,\"val\":500}"),
                   *c = real("draws", "{\"name\":\"banking77\",\"train\":2000,\"val\":500,\"split\":2}"),
                   *d = real("draws", "{\"name\":\"banking77\",\"train\":1000,\"val\":500}");
    if (!a || !b || !c || !d) return;
    printf("# banking77 split 1: %016llx %016llx\n", (unsigned long long)rows_hash(&a->part[0]), (unsigned long long)rows_hash(&a->part[1]));
    tap_ok(rows_hash(&a->part[0]) == rows_hash(&b->part[0]) && rows_hash(&a->part[1]) == rows_hash(&b->part[1]), "the same seed draws the same rows");
    tap_ok(
        rows_hash(&a->part[0]) == 0xeb8213875ceca0c1ull && rows_hash(&a->part[1]) == 0xcd1c0ec6f4a9388aull, "and the rows it drew when this test was written");
    tap_ok(rows_hash(&a->part[0]) != rows_hash(&c->part[0]), "another seed draws others");
    tap_ok(rows_hash(&a->part[1]) == rows_hash(&d->part[1]), "val does not depend on train");
    int64_t n[77] = {0}, lo = 1 << 30, hi = 0;
    for (int64_t i = 0; i < 500; i++) n[((int32_t *)a->part[1].col[1].data)[i]]++;
    for (int i = 0; i < 77; i++) lo = n[i] < lo ? n[i] : lo, hi = n[i] > hi ? n[i] : hi;
    tap_ok(lo >= 1 && hi <= 10, "every class of 35 to 187 is in the draw of 500 (%lld to %lld)", (long long)lo, (long long)hi);
    dataset_unref(a), dataset_unref(b), dataset_unref(c), dataset_unref(d);
}

static void tables(void) {
    struct dataset *d = real("german-credit", "{\"name\":\"german-credit\",\"val\":100,\"test\":200}");
    struct err e = {0};
    if (d) {
        struct part *p = &d->part[PART_TRAIN];
        int64_t bad = 0;
        for (int64_t i = 0; i < 200; i++) bad += ((int32_t *)d->part[PART_TEST].col[1].data)[i];
        tap_ok(p->n == 700 && d->part[PART_VAL].n == 100 && d->part[PART_TEST].n == 200 && bad == 60, "german-credit: 700, 100, 200 rows, 60 bad of 200");
        tap_ok(!strcmp(d->class_name[1], "bad") && p->col[0].width == 61, "7 number columns and 54 codes: %lld numbers an example", (long long)p->col[0].width);
        double sum = 0, sq = 0;
        for (int64_t i = 0; i < p->n; i++) { /* column 2 (duration) stands after the 4 codes of column 1 */
            double v = (double)((float *)p->col[0].data)[i * p->col[0].width + 4];
            sum += v, sq += v * v;
        }
        tap_ok(fabs(sum / 700) < 1e-5 && fabs(sq / 700 - 1) < 1e-4, "number columns have mean 0 and deviation 1 over the training part");
        const char *row = "[\"A11\",6,\"A34\",\"A43\",1169,\"A65\",\"A75\",4,\"A93\",\"A101\",4,\"A121\",67,\"A143\",\"A152\",2,\"A173\",1,\"A192\",\"A201\"]";
        struct val *in = json_parse(row, strlen(row), "row", &e);
        struct part *q = dataset_prepare(d->prep, in, &e);
        tap_ok(q && q->n == 1 && ((float *)q->col[0].data)[0] == 1 && ((float *)q->col[0].data)[4] < -1, "a new row is prepared the same way %s", e.text);
        part_free(q);
        val_free(in);
        dataset_unref(d);
    }
    if ((d = real("breast-cancer", "{\"name\":\"breast-cancer\"}")))
        tap_ok(d->part[0].n == 569 && d->part[0].col[0].width == 30 && d->n_class == 2 && !strcmp(d->class_name[1], "M"),
            "breast-cancer: 569 rows, 30 numbers, without the id");
    dataset_unref(d);
    d = load("{\"name\":\"breast-cancer\",\"variant\":\"original\"}", &e);
    if (strstr(e.text, "is in none")) tap_skip("breast-cancer original", "not here");
    else {
        tap_ok(!d && strstr(e.text, "line 24, column \"7\": the value is missing"), "its original form has gaps: %s", e.text);
        d = real("breast-cancer", "{\"name\":\"breast-cancer\",\"variant\":\"original\",\"missing\":\"drop\"}");
        tap_ok(d && d->part[0].n == 683 && d->part[0].col[0].width == 9, "without the 16 rows that have them: 683 rows, 9 numbers");
        dataset_unref(d);
    }
}

static void other_texts(void) {
    struct dataset *d = real("chnsenticorp", "{\"name\":\"chnsenticorp\",\"tokens\":\"chars\",\"len\":64}");
    if (d) {
        size_t n;
        const char *w = vocab_word(d->vocab, 2, &n);
        tap_ok(d->part[0].n == 9600 && d->part[1].n == 1200 && d->part[2].n == 1200 && n == 3 && !memcmp(w, "\xef\xbc\x8c", 3),
            "chnsenticorp: 9600, 1200, 1200; the most frequent character is the comma");
    }
    dataset_unref(d);
    if ((d = real("sst2", "{\"name\":\"sst2\"}"))) tap_ok(d->part[0].n == 6920 && d->part[1].n == 872 && d->part[2].n == 1821, "sst2: 6920, 872, 1821");
    dataset_unref(d);
    if ((d = real("news-aggregator", "{\"name\":\"news-aggregator\"}")))
        tap_ok(
            d->part[0].n == 10684 && d->part[1].n == 1336 && d->part[2].n == 1336 && !strcmp(d->class_name[3], "health"), "news-aggregator: 10684, 1336, 1336");
    dataset_unref(d);
    if ((d = real("sib200", "{\"name\":\"sib200\",\"variant\":\"zho_Hans\",\"tokens\":\"chars\"}")))
        tap_ok(d->part[0].n == 701 && d->part[1].n == 99 && d->part[2].n == 204 && d->n_class == 7, "sib200 in Chinese: 701, 99, 204; 7 classes");
    dataset_unref(d);
    if ((d = real("mnist", "{\"name\":\"mnist\",\"train\":1000}"))) tap_ok(d->part[0].n == 1000 && d->part[2].n == 10000, "mnist: 10000 test images");
    dataset_unref(d);
}

static void file(const char *name, const char *text) {
    char *p = io_join(tmp, name), *dir = mem_str(p);
    struct err e = {0};
    *strrchr(dir, '/') = 0;
    if (io_mkdirs(dir, 0777, &e) || io_write_file(p, text, strlen(text), &e)) BUG("%s", e.text);
    free(dir);
    free(p);
}
static struct dataset *made(const char *name, const char *extra, struct err *e) {
    struct buf b = BUF_INIT;
    buf_addf(&b, "{\"name\":\"%s/%s\"%s%s}", tmp, name, *extra ? "," : "", extra);
    struct dataset *d = load(b.data, e);
    buf_release(&b);
    return d;
}

static void encoders(void) {
    struct err e = {0};
    file("t.csv", "text,label\n\"the cat The dog\",a\nthe Caf\xc3\x89 CAT it's,b\n\"\",a\n");
    struct dataset *d = made("t.csv", "\"header\":true", &e);
    size_t n;
    tap_ok(d && vocab_size(d->vocab) == 7 && part_tokens(&d->part[0], 0) == 4 && part_tokens(&d->part[0], 2) == 1,
        "words: 5 of them; an empty text is one padding id %s", e.text);
    if (d) {
        int32_t *id = d->part[0].col[0].data;
        tap_ok(id[0] == 2 && id[1] == 3 && id[2] == 2 && id[3] == 4, "ids by frequency, ties by first appearance");
        const char *w = vocab_word(d->vocab, 5, &n);
        tap_ok(n == 5 && !memcmp(w, "caf\xc3\xa9", 5), "lower-cased beyond ASCII");
    }
    dataset_unref(d);
    d = made("t.csv", "\"header\":true,\"ngrams\":2,\"hash_buckets\":1000,\"len\":3,\"trunc\":\"tail\"", &e);
    tap_ok(d && part_tokens(&d->part[0], 0) == 5 && d->part[0].col[0].max_id == 1007 && ((int32_t *)d->part[0].col[0].data)[3] >= 7,
        "the last 3 words and 2 hashed pairs %s", e.text);
    dataset_unref(d);
    d = made("t.csv", "\"header\":true,\"chars\":\"3-3\"", &e);
    tap_ok(d && part_tokens(&d->part[0], 0) == 4 + 3 * 4, "each word of 3 letters has 3 runs of 3 characters in <word> %s", e.text);
    dataset_unref(d);
    d = made("t.csv", "\"header\":true,\"hash_buckets\":50", &e);
    tap_ok(d && !d->vocab && d->part[0].col[0].max_id == 52, "hash_buckets alone: no vocabulary %s", e.text);
    dataset_unref(d);
    d = made("t.csv", "\"header\":true,\"tfidf\":true", &e);
    if (tap_ok(d && d->part[0].col[0].weight && part_tokens(&d->part[0], 0) == 3, "tfidf: distinct ids with weights %s", e.text)) {
        /* the, cat, dog: counts 2 1 1, df 2 2 1 of 3 texts: idf = ln(4/3)+1, ln(4/3)+1, ln(4/2)+1 */
        double i2 = log(4.0 / 3) + 1, i1 = log(2.0) + 1, len = sqrt(4 * i2 * i2 + i2 * i2 + i1 * i1);
        const float *w = d->part[0].col[0].weight;
        tap_ok(fabs((double)w[0] - 2 * i2 / len) < 1e-6 && fabs((double)w[2] - i1 / len) < 1e-6, "weights are those of the formula");
        struct val *in = val_str("dog the the cat");
        struct part *q = dataset_prepare(d->prep, in, &e);
        tap_ok(q && q->col[0].weight && memcmp(q->col[0].weight, w, 12) == 0, "a new text gets the same weights");
        part_free(q);
        val_free(in);
    }
    dataset_unref(d);
}

static void folders_of_files(void) {
    struct err e = {0};
    file("imdbish/train/pos/1.txt", "good film");
    file("imdbish/train/pos/2.txt", "very good");
    file("imdbish/train/neg/1.txt", "bad film");
    file("imdbish/train/unsup/1.txt", "who knows");
    file("imdbish/test/pos/1.txt", "good");
    file("imdbish/test/neg/1.txt", "bad");
    struct dataset *d = made("imdbish", "", &e);
    tap_ok(d && d->part[0].n == 3 && d->part[2].n == 2 && d->n_class == 2 && !strcmp(d->class_name[0], "neg"),
        "a folder of texts: train/CLASS/FILE, without unsup %s", e.text);
    if (d)
        tap_ok(strlen(val_get_str(val_at(val_get(d->identity, "files"), 0), "sha256", "")) == 64 &&
                   val_get_int(val_at(val_get(d->identity, "files"), 0), "bytes", 0) == 26,
            "its identity is the sum of its 26 bytes of text");
    dataset_unref(d);
    file("mine/train.jsonl", "{\"text\":\"a b c\",\"label\":\"p\"}\n{\"label\":\"q\",\"text\":\"d e\"}\n");
    file("mine/dev.csv", "text,label\nx y z,q\n");
    d = made("mine", "", &e);
    tap_ok(d && d->part[0].n == 2 && d->part[1].n == 1 && !d->part[2].n, "a folder with train.jsonl and dev.csv %s", e.text);
    dataset_unref(d);
    file("mine/dev.csv", "text,label\nx y z,r\n");
    d = made("mine", "", &e);
    tap_ok(!d && strstr(e.text, "dev.csv line 2: the label \"r\" is none of the 2 classes (p to q)"), "a label that training never had: %s", e.text);
    file("reg.csv", "size,colour,price\n1,red,10.5\n2,blue,20\n3,red,31.5\n4,blue,39.5\n");
    d = made("reg.csv", "\"y\":\"price\"", &e);
    memset(&e, 0, sizeof e);
    tap_ok(d && !d->n_class && d->part[0].col[1].type == COL_F32 && d->part[0].col[0].width == 3,
        "regression: numbers that are not whole are the target as they are %s", e.text);
    dataset_unref(d);
    file("plain.csv", "1,2,7,a\n3,?,8,b\n5,6,9,a\n");
    d = made("plain.csv", "\"x\":[1,2],\"y\":4,\"missing\":\"mean\"", &e);
    tap_ok(d && d->part[0].col[0].width == 2 && ((float *)d->part[0].col[0].data)[3] == 0, "columns by number; a missing value becomes the mean %s", e.text);
    dataset_unref(d);
    file("semi.csv", "\xef\xbb\xbf"
                     "age;width;kind\n34;1,5;b\n;-2,5;a\n29;3;b\n");
    d = made("semi.csv", "\"missing\":\"drop\"", &e);
    const struct val *wide = d ? val_at(val_get(d->prep, "columns"), 1) : NULL;
    tap_ok(d && d->part[0].n == 2 && !strcmp(val_get_str(wide, "name", ""), "width") && val_get_num(wide, "mean", 0) == 2.25,
        "semicolons, a byte order mark, decimal commas, a header over a column that misses a cell: %s", e.text);
    if (d) dataset_unref(d);
    struct buf prices = BUF_INIT;
    buf_adds(&prices, "rooms,price\n");
    for (int i = 0; i < 150; i++) buf_addf(&prices, "%d,%d\n", i % 7, 100000 + 137 * i);
    file("prices.csv", prices.data);
    buf_release(&prices);
    d = made("prices.csv", "\"y\":\"price\"", &e);
    tap_ok(d && d->n_class == 0 && d->part[0].col[1].type == COL_F32, "whole numbers that hardly repeat are a target to predict, not classes: %s", e.text);
    if (d) dataset_unref(d);
    d = made("prices.csv", "\"y\":\"price\",\"target\":\"class\"", &e);
    tap_ok(d && d->n_class == 150, "unless classes are asked for: %s", e.text);
    if (d) dataset_unref(d);
    file("mac.csv", "a,b,y\r1,2,0\r3,4,1\r");
    d = made("mac.csv", "\"y\":\"y\"", &e);
    tap_ok(d && d->part[0].n == 2 && d->n_class == 2, "rows that end in carriage returns only: %s", e.text);
    if (d) dataset_unref(d);
    file("latin.csv", "text,label\nun caf\xe9 noir,a\n");
    d = made("latin.csv", "\"encoding\":\"latin1\"", &e);
    tap_ok(d && d->part[0].raw->offset[1] == 13, "latin1 is converted %s", e.text);
    dataset_unref(d);
    memset(&e, 0, sizeof e);
    d = load("{\"name\":\"banking7\"}", &e);
    tap_ok(!d && strstr(e.text, "did you mean banking77?"), "a wrong name: %s", e.text);
    d = load("{\"name\":\"no/such.csv\"}", &e);
    tap_ok(!d && strstr(e.text, "there is no file or folder no/such.csv"), "a wrong path: %s", e.text);
}

static void arrays(void) {
    struct err e = {0};
    const char *src = getenv("top_srcdir");
    struct buf b = BUF_INIT;
    buf_addf(&b, "{\"name\":\"%s/tests/fuzz/corpus/npz/deflated\"}", src ? src : ".");
    struct dataset *d = load(b.data, &e);
    tap_ok(d && d->part[0].n == 4 && d->part[2].n == 1 && d->n_class == 2 && d->part[0].col[0].width == 2,
        "npz: x_train, y_train, x_test, y_test are two parts %s", e.text);
    dataset_unref(d);
    buf_clear(&b);
    buf_addf(&b, "{\"name\":\"%s/tests/fuzz/corpus/npz/vectors\"}", src ? src : ".");
    d = load(b.data, &e);
    bool wide = d && d->part[0].n == 6 && d->part[0].n_col == 2 && d->n_class == 0 && d->part[0].col[1].type == COL_F32 && d->part[0].col[1].width == 3;
    const float *px = wide ? d->part[0].col[0].data : NULL, *py = wide ? d->part[0].col[1].data : NULL;
    for (int64_t i = 0; wide && i < 18; i++)
        wide = py[i] == (px[i / 3 * 2] / 2 * 3 + (float)(i % 3)) / 4; /* written so that an example's target follows from its values */
    tap_ok(wide, "npz: a target of floats may have several numbers an example %s", e.text);
    dataset_unref(d);
    buf_clear(&b);
    buf_addf(&b, "%s/tests/fuzz/corpus/npy/u1", src ? src : ".");
    const char *saved = "{\"kind\":\"array\",\"dtype\":\"u8\",\"shape\":[3,5,5],\"scale\":0.5,\"shift\":1}",
               *rows = "{\"kind\":\"array\",\"shape\":[2],\"scale\":2,\"shift\":0}";
    struct val *prep = json_parse(saved, strlen(saved), "prep", &e), *in = val_str(b.data);
    struct part *p = dataset_prepare(prep, in, &e);
    float x[75];
    int64_t row = 0;
    struct batch_col bc[1] = {{.data = x}};
    if (p) part_fill(p, &row, 1, bc);
    tap_ok(p && p->n == 1 && x[0] == 1 && x[1] == 2.5f && x[25] == 1.5f, "a file of images is a new input, channels first, scaled %s", e.text);
    part_free(p);
    val_free(prep);
    val_free(in);
    static const struct {
        const char *in, *want;
        int64_t n;
    } t[] = {{"[1,2]", NULL, 1}, {"[[1,2],[3,4],[5,6]]", NULL, 3}, {"[[1,2,3]]", "input 1 has 3 values; this model takes 2", 0},
        {"[[1,\"a\"]]", "is a string", 0}, {"[]", "there is no input", 0}};
    prep = json_parse(rows, strlen(rows), "prep", &e);
    for (size_t i = 0; i < LEN(t); i++) {
        memset(&e, 0, sizeof e);
        in = json_parse(t[i].in, strlen(t[i].in), "in", &e);
        p = dataset_prepare(prep, in, &e);
        tap_ok(t[i].want ? !p && strstr(e.text, t[i].want) : p && p->n == t[i].n, "input %s: %s", t[i].in, e.text);
        part_free(p);
        val_free(in);
    }
    val_free(prep);
    buf_release(&b);
}

static int stop_now(void *ctx, const char *phase, double f) {
    (void)phase, (void)f;
    return ++*(int *)ctx > 3;
}

static void fetching(void) {
    struct err e = {0};
    struct buf from = BUF_INIT, sum = BUF_INIT;
    char hex[65];
    char *root = io_join(tmp, "got");
    file("pub/train.csv", "text,label\na b,x\nc d,y\n");
    file("pub/test.csv", "text,label\na b,x\n");
    io_sha256("text,label\na b,x\nc d,y\n", 23, hex);
    struct recipe_file files[] = {{"train.csv", NULL, PART_TRAIN, ROLE_ALL, 23, hex, NULL}, {"test.csv", NULL, PART_TEST, ROLE_ALL, 17, NULL, NULL}, {NULL}};
    buf_addf(&from, "file://%s/pub", tmp);
    int r = fetch_files("toy", files, NULL, root, from.data, NULL, NULL, &e);
    if (r && strstr(e.text, "neither curl nor wget")) {
        tap_skip("fetch", e.text);
        goto out;
    }
    tap_ok(r == 0, "a set is fetched from its address %s", e.text);
    struct dataset *d = made("got/toy", "", &e);
    tap_ok(d && d->part[0].n == 2 && d->part[2].n == 1, "and read");
    dataset_unref(d);
    tap_ok(fetch_files("toy", files, NULL, root, from.data, NULL, NULL, &e) == 1, "a second time it is there already");
    file("pub/train.csv", "text,label\na b,x\nc d,z\n");
    r = fetch_files("bad", files, NULL, root, from.data, NULL, NULL, &e);
    tap_ok(r < 0 && strstr(e.text, "is not the expected file"), "another content is refused: %s", e.text);
    files[1].path = "none.csv";
    files[0].sha256 = NULL;
    memset(&e, 0, sizeof e);
    r = fetch_files("bad", files, NULL, root, from.data, NULL, NULL, &e);
    tap_ok(r < 0 && strstr(e.text, "cannot be fetched"), "a file that is not there: %s", e.text);
    int calls = 3;
    r = fetch_files("bad", files, NULL, root, from.data, stop_now, &calls, &e);
    tap_ok(r < 0, "a stop ends it");
    char *bad = io_join(root, "bad");
    buf_addf(&sum, "%s.part-%ld", bad, (long)getpid());
    tap_ok(!io_exists(bad) && !io_exists(sum.data), "nothing half-made stays");
    free(bad);
    tap_ok(fetch_recipe(recipe_find("imdb"), NULL, root, NULL, NULL, NULL, &e) < 0 && strstr(e.text, "no known public address of imdb"),
        "a set without an address says so: %s", e.text);
out:
    buf_release(&from);
    buf_release(&sum);
    free(root);
}

int main(void) {
    find_folders();
    snprintf(tmp, sizeof tmp, "/tmp/hone-data-test-XXXXXX");
    if (!mkdtemp(tmp)) return 1;
    fashion();
    clinc();
    imdb();
    banking();
    draws();
    tables();
    other_texts();
    encoders();
    folders_of_files();
    arrays();
    fetching();
    struct err e = {0};
    io_remove_tree(tmp, &e);
    return tap_done();
}
