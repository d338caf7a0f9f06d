/* Streams of tokens, and data sets of several files: what the windows hold, where the parts are cut, and what is refused. */
#include "config.h"

#include <stdlib.h>
#include <sys/stat.h>

#include "datasets/data_args.h"
#include "datasets/text/vocab.h"
#include "src/base/buf.h"
#include "src/base/io.h"
#include "src/base/mem.h"
#include "tests/tap.h"

static char tmp[64];

static void put(const char *name, const void *p, size_t n) {
    struct err e = {0};
    char *path = io_join(tmp, name);
    if (io_write_file(path, p, n, &e)) BUG("%s", e.text);
    free(path);
}

/* line: further arguments, "len=4 val=2". */
static struct dataset *load(const char *name, const char *line, struct err *e) {
    struct data_args *a = mem_new(1, data_kind.size);
    char *path = io_join(tmp, name), *copy = mem_str(line);
    struct val *args = val_table();
    val_push(args, val_str(path));
    for (char *w = strtok(copy, " "); w; w = strtok(NULL, " ")) {
        char *eq = strchr(w, '=');
        *eq = 0;
        val_set(args, w, args_text(eq + 1));
    }
    *e = (struct err){0};
    struct dataset *d = NULL;
    if (args_parse(&data_kind, args, a, e) == 0) {
        d = dataset_load(a, NULL, NULL, NULL, e);
        args_release(&data_kind, a);
    }
    val_free(args);
    free(a);
    free(copy);
    free(path);
    return d;
}

static const char *text_of(const struct dataset *d, const struct column *c, int64_t row, int64_t shift) {
    static struct buf b = BUF_INIT;
    buf_clear(&b);
    for (int64_t i = c->offset[row]; i < c->offset[row + 1]; i++) {
        size_t n;
        const char *s = vocab_word(d->vocab, ((int32_t *)c->data)[i + shift], &n);
        buf_add(&b, s, n);
    }
    buf_addc(&b, 0);
    return b.data;
}

static void windows(void) {
    struct err e;
    put("a.txt", "abcdefghijklmnopqrstuvwx\nYZ!", 28);
    struct dataset *d = load("a.txt", "stream=true len=4 val=2", &e);
    tap_ok(d != NULL, "a plain text as a stream %s", e.text);
    if (!d) return;
    const struct part *t = &d->part[PART_TRAIN], *v = &d->part[PART_VAL];
    tap_ok(t->n == 3 && t->slide == 3 && v->n == 2 && v->slide == 0, "19 training tokens: 3 windows that may begin 3 later; 2 fixed ones held out (%d, %d)",
        (int)t->n, (int)v->n);
    tap_is(text_of(d, &t->col[0], 1, 0), "efgh", "the second window");
    tap_is(text_of(d, &t->col[1], 1, 0), "fghi", "its target: what follows each token");
    tap_is(text_of(d, &t->col[0], 2, 3), "lmno", "the last window three tokens later");
    tap_is(text_of(d, &t->col[1], 2, 3), "mnop", "and its target");
    tap_is(text_of(d, &v->col[0], 0, 0), "????", "held-out characters that training never saw are unknown");
    tap_ok(((int32_t *)v->col[0].data)[0] == VOCAB_UNKNOWN && d->n_class == 19 + 2, "the vocabulary is that of the training tokens (%d ids)", d->n_class);
    int32_t x[4], y[4], ox[2], oy[2];
    int64_t row = 1;
    struct batch_col col[2] = {{.data = x, .offset = ox}, {.data = y, .offset = oy}};
    part_fill_at(t, &row, 1, 2, col);
    tap_ok(x[0] == ((int32_t *)t->col[0].data)[6] && y[0] == x[1] && y[2] == x[3] && ox[1] == 4, "a batch begun two tokens later");
    dataset_unref(d);
    d = load("a.txt", "stream=true len=4 val=1 test=1 train=2", &e);
    tap_ok(d && d->part[PART_TRAIN].n == 2 && d->part[PART_VAL].n == 1 && d->part[PART_TEST].n == 1, "train, val and test in windows %s", e.text);
    if (d) dataset_unref(d);
}

static void refused(void) {
    static const struct {
        const char *line, *want;
    } bad[] = {{"stream=true len=4 val=100", "val and test leave none for training"},
        {"stream=true len=4 val=5 test=5", "val and test leave none for training"},
        {"stream=true len=30", "28 tokens are too few for the train part: it needs 2 windows of len=30"},
        {"stream=true len=4 val=6", "3 tokens are too few for the train part"}, {"stream=true len=4 train=7", "train=7 is more than the 6 windows"},
        {"stream=true len=0", "len"}, {"stream=true x=a", "a stream is one text"}, {"stream=true ngrams=2", "a stream is one text"},
        {"stream=true tfidf=true", "a stream is one text"}, {"stream=true hash_buckets=100", "a stream is one text"}, {"stream=true val=-1", "val"},
        {"size=0", "size"}, {"size=5000", "size"}};
    int good = 0;
    for (size_t i = 0; i < LEN(bad); i++) {
        struct err e;
        struct dataset *d = load("a.txt", bad[i].line, &e);
        if (!d && strstr(e.text, bad[i].want) && !strchr(e.text, '\n')) good++;
        else tap_ok(false, "%s: \"%s\"", bad[i].line, d ? "it was read" : e.text);
        if (d) dataset_unref(d);
    }
    tap_ok(good == (int)LEN(bad), "%d of %d wrong wishes for a stream or a size are refused by the right sentence", good, (int)LEN(bad));
}

/* The layout of CIFAR-10 as published: rows of several files follow each other, names lie beside them. */
static void several_files(void) {
    struct err e;
    char *dir = io_join(tmp, "cifar-10-batches-bin"), *one = mem_new(1, 3073 * 2);
    mkdir(dir, 0755);
    for (int b = 1; b <= 5; b++) {
        char name[64];
        snprintf(name, sizeof name, "cifar-10-batches-bin/data_batch_%d.bin", b);
        one[0] = (char)b, one[3073] = 0;
        one[1] = (char)(10 * b);
        put(name, one, 3073 * 2);
    }
    put("cifar-10-batches-bin/test_batch.bin", one, 3073);
    put("cifar-10-batches-bin/batches.meta.txt", "airplane\nautomobile\nbird\ncat\ndeer\r\ndog\n\n", 41);
    struct dataset *d = load("cifar-10-batches-bin", "", &e);
    const struct column *x = d ? &d->part[PART_TRAIN].col[0] : NULL;
    tap_ok(d && d->part[PART_TRAIN].n == 10 && d->part[PART_TEST].n == 1 && d->n_class == 6, "five files are one training part %s", e.text);
    tap_ok(d && ((uint8_t *)x->data)[0] == 10 && ((uint8_t *)x->data)[6 * 3072] == 40 && ((int32_t *)d->part[PART_TRAIN].col[1].data)[6] == 4,
        "rows in the order of the files");
    if (d) tap_is(d->class_name[4], "deer", "class names from the file beside them");
    if (d) dataset_unref(d);
    put("cifar-10-batches-bin/data_batch_3.bin", one, 100);
    d = load("cifar-10-batches-bin", "", &e);
    tap_ok(!d && strstr(e.text, "data_batch_3.bin is 100 bytes long"), "a damaged one among them is named: %s", e.text);
    free(one);
    free(dir);
}

int main(void) {
    snprintf(tmp, sizeof tmp, "/tmp/hone-stream-XXXXXX");
    if (!mkdtemp(tmp)) BUG("no folder %s", tmp);
    windows();
    refused();
    several_files();
    struct err e = {0};
    io_remove_tree(tmp, &e);
    return tap_done();
}
