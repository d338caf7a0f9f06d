/* Fuzz target of safetensors: whatever is accepted obeys the format (tensors lie in the file, without overlap) and survives writing and reading again. */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "engine/model/safetensors.h"
#include "tests/fuzz/fuzz.h"

static void check(const struct st_file *f) {
    volatile unsigned sum = 0;
    size_t total = 0;
    for (size_t i = 0; i < f->n; i++) {
        const struct st_tensor *t = &f->tensor[i];
        const char *p = t->data;
        if (p < f->bytes + 8 || p + t->bytes > f->bytes + f->n_bytes || st_find(f, t->name) != t) abort();
        for (size_t k = 0; k < t->bytes; k++) sum += (unsigned char)p[k];
        total += t->bytes;
    }
    if (total > f->n_bytes) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct st_file f, again;
    struct err e = {0};
    char *copy = malloc(size ? size : 1); /* so that one byte too far is seen */
    memcpy(copy, data, size);
    fuzz_limit = ((size_t)16 << 20) + 2 * size;
    int r = st_parse(copy, size, "input", &f, &e);
    if (r == (e.code == 0 ? -1 : 0)) abort(); /* an error has a sentence, a success has none */
    if (r == 0) {
        struct buf b = BUF_INIT;
        check(&f);
        st_bytes(f.tensor, f.n, f.meta, &b);
        size_t n = b.len;
        if (st_parse(buf_take(&b), n, "again", &again, &e) < 0 || again.n != f.n) abort();
        check(&again);
        st_release(&again);
        st_release(&f);
    }
    fuzz_limit = 0;
    return 0;
}
