/* M15: files whose headers were changed at random, a million of them, are read or refused by a sentence. safetensors files lie in a block of exactly their
 * size, so that a read outside of it is found where memory is checked; npy and IDX files are read from the disk. What is read has values inside the file. */
#include "config.h"

#include <stdlib.h>
#include <unistd.h>

#include "datasets/formats/format.h"
#include "engine/model/safetensors.h"
#include "src/base/buf.h"
#include "src/base/io.h"
#include "src/base/mem.h"
#include "src/base/rng.h"
#include "tests/tap.h"

enum { SAFETENSORS = 990000, ARRAYS = 5000 }; /* files each; of arrays, of npy and of IDX */

struct tally {
    int read, refused, wrong;
};

/* The k-th draw below n for file i. */
static size_t draw(uint64_t i, uint64_t k, size_t n) { return (size_t)rng_below(15, i, k, n); }

/* One to four changes among the first `head` bytes: a byte, one that means something, one less, one more, a part twice, a cut, a long number. */
static void mutate(struct buf *b, size_t head, uint64_t i) {
    static const char marks[] = "{}[]:,\"\\-.e0123456789 \n";
    for (uint64_t k = 0, n = 1 + draw(i, 0, 4); k < n && b->len > 1; k++) {
        size_t at = draw(i, 8 * k + 1, head < b->len ? head : b->len), part = 1 + draw(i, 8 * k + 2, 12);
        char copy[16], c = (char)draw(i, 8 * k + 3, 256);
        switch (draw(i, 8 * k + 4, 8)) {
        case 0: b->data[at] = c; break;
        case 1:
        case 2: b->data[at] = marks[draw(i, 8 * k + 5, sizeof marks - 1)]; break;
        case 3: memmove(b->data + at, b->data + at + 1, --b->len - at); break;
        case 4:
        case 5:
            if (part > b->len - at) part = b->len - at;
            memcpy(copy, b->data + at, part);
            buf_add(b, copy, part); /* room for it */
            memmove(b->data + at + part, b->data + at, b->len - at - part);
            memcpy(b->data + at, copy, part);
            break;
        case 6: b->len = draw(i, 8 * k + 5, 4) ? b->len : at + 1; break;
        default: memcpy(b->data + at, "99999999999", b->len - at < part ? b->len - at : part < 11 ? part : 11);
        }
    }
}

static void safetensors(void) {
    static const char head[] =
        "{\"__metadata__\":{\"by\":\"h\\u00e9\"},\"w\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]},"
        "\"b\":{\"dtype\":\"BF16\",\"shape\":[4],\"data_offsets\":[24,32]},\"n\":{\"dtype\":\"I64\",\"shape\":[],\"data_offsets\":[32,40]}}";
    struct tally t = {0};
    struct buf b = BUF_INIT;
    size_t sum = 0;
    for (uint64_t i = 0; i < SAFETENSORS; i++) {
        size_t h = sizeof head - 1;
        char *p, zero[48] = {0};
        struct st_file f;
        struct err e = {0};
        buf_clear(&b);
        buf_add(&b, zero, 8);
        buf_adds(&b, head);
        b.data[0] = (char)h;
        buf_add(&b, zero, 40);
        mutate(&b, 8 + h, i);
        if (i % 4 && b.len > 48)
            b.data[0] = (char)(b.len - 48), b.data[1] = (char)((b.len - 48) >> 8), memset(b.data + 2, 0, 6); /* most have the right length */
        p = X_NEW(char, b.len);
        memcpy(p, b.data, b.len);
        if (st_parse(p, b.len, "t", &f, &e) < 0) {
            t.refused++;
            t.wrong += !*e.text || strchr(e.text, '\n') != NULL;
            continue;
        }
        t.read++;
        for (size_t k = 0; k < f.n; k++) {
            const char *d = f.tensor[k].data;
            t.wrong += d < f.bytes || f.tensor[k].bytes > f.n_bytes - (size_t)(d - f.bytes);
            for (size_t j = 0; j < f.tensor[k].bytes; j++) sum += (unsigned char)d[j];
        }
        st_release(&f);
    }
    buf_release(&b);
    tap_ok(t.wrong == 0 && t.read > 0 && t.refused > 0, "M15: %d mutated safetensors headers: %d read, %d refused, %d wrongly (sum of what was read: %zu)",
        SAFETENSORS, t.read, t.refused, t.wrong, sum);
}

static void arrays(const char *dir, const char *name, const char *head, size_t h, size_t data) {
    char *path = io_join(dir, name);
    struct tally t = {0};
    struct buf b = BUF_INIT;
    double sum = 0;
    for (uint64_t i = 0; i < ARRAYS; i++) {
        struct table table;
        struct read_opts o = {.header = -1, .quote = -1};
        struct err e = {0};
        buf_clear(&b);
        buf_add(&b, head, h);
        for (size_t k = 0; k < data; k++) buf_addc(&b, (char)(k % 7));
        mutate(&b, h, i);
        unlink(path); /* some file systems wait for the disk where a file is written over, as io_write_file does */
        FILE *f = fopen(path, "wb");
        if (!f || fwrite(b.data, 1, b.len, f) != b.len || fclose(f)) BUG("%s", path);
        if (format_read(path, &o, &table, &e)) {
            t.refused++;
            if (!*e.text || strchr(e.text, '\n')) t.wrong++, tap_ok(false, "file %d: \"%s\"", (int)i, e.text);
            continue;
        }
        t.read++;
        for (int c = 0; c < table.n_col; c++)
            if (table.col[c].type == COL_F32)
                for (int64_t k = 0; k < table.n * table.col[c].width; k++) sum += ((float *)table.col[c].data)[k];
        table_free(&table);
    }
    buf_release(&b);
    unlink(path);
    free(path);
    tap_ok(t.wrong == 0 && t.read > 0 && t.refused > 0, "M15: %d mutated headers of %s: %d read, %d refused, %d without a sentence (%s)", ARRAYS, name, t.read,
        t.refused, t.wrong, sum >= 0 ? "values sum up" : "values are not numbers");
}

int main(void) {
    static const char npy[] = "\x93NUMPY\1\0\x3a\0{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3)}\n", idx[] = "\0\0\x08\x03\0\0\0\2\0\0\0\3\0\0\0\4";
    char dir[] = "/tmp/hone-mutated-XXXXXX";
    if (!mkdtemp(dir)) BUG("mkdtemp");
    safetensors();
    arrays(dir, "a.npy", npy, sizeof npy - 1, 24);
    arrays(dir, "a-idx3-ubyte", idx, sizeof idx - 1, 24);
    rmdir(dir);
    return tap_done();
}
