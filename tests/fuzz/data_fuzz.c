/* Fuzz target of one data format, chosen by FUZZ_FORMAT (its row) and FUZZ_RATIO (bytes that one byte of input may become).
 * Any request for more memory than 16 MiB + FUZZ_RATIO x input ends the program. */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "datasets/formats/format.h"
#include "tests/fuzz/fuzz.h"

#ifndef FUZZ_RATIO
#define FUZZ_RATIO 2
#endif

/* What a reader promises when it returns 0. */
static void check(const struct table *t) {
    if (t->n < 1 || t->n_col < 1) abort();
    volatile unsigned sum = 0;
    for (int c = 0; c < t->n_col; c++) {
        const struct column *k = &t->col[c];
        int64_t n = t->rows ? t->rows[c] : t->n;
        if (!k->name || n < 1) abort();
        if (k->type == COL_TEXT) {
            for (int64_t i = 0; i < n; i++)
                if (k->offset[i] > k->offset[i + 1]) abort();
            if (text_bad_byte(k->data, (size_t)k->offset[n]) >= 0) abort();
            continue;
        }
        int64_t w = 1;
        for (int i = 0; i < k->ndim; i++) w *= k->dim[i];
        if (w != k->width) abort();
        const unsigned char *p = k->data;
        for (int64_t i = 0; i < n * w * (k->type == COL_U8 ? 1 : 4); i++) sum += p[i];
    }
}

/* libsndfile 1.2 forgets what libvorbis made of a damaged Ogg file. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void) { return "leak:vorbis_info_init\nleak:vorbis_\nleak:ogg_\n"; }

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct table t = {0};
    struct err e = {0};
    struct read_opts o = {.header = -1, .quote = -1};
    char *copy = malloc(size ? size : 1); /* so that one byte too far is seen */
    memcpy(copy, data, size);
    struct bytes in = {"input", (unsigned char *)copy, size};
    fuzz_limit = ((size_t)16 << 20) + FUZZ_RATIO * size;
    int r = size ? FUZZ_FORMAT.read(&in, &o, &t, &e) : -1;
    if (size && r == (e.code == 0 ? -1 : 0)) abort(); /* an error has a sentence, a success has none */
    if (!r) check(&t);
    table_free(&t);
    fuzz_limit = 0;
    free(copy);
    return 0;
}
