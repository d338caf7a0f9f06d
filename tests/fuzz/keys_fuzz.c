/* Fuzz target of terminal input: whatever bytes come, in whatever pieces and with whatever pauses, every key has a name of UTF-8, and in the end nothing
 * waits. */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "src/base/utf8.h"
#include "tests/fuzz/fuzz.h"
#include "ui/term/decode.h"

static void see(void *ctx, const struct tkey *k) {
    volatile unsigned *sum = ctx;
    if (k->type == TKEY_KEY && (!*k->name || !memchr(k->name, 0, sizeof k->name) || !utf8_valid(k->name, strlen(k->name)))) abort();
    for (size_t i = 0; i < k->n; i++) *sum += (unsigned char)k->bytes[i];
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct decode d;
    volatile unsigned sum = 0;
    size_t piece = size ? 1 + data[0] % 32 : 1;
    double now = 0;
    decode_init(&d);
    for (size_t at = 1; at < size; at += piece) {
        size_t n = size - at < piece ? size - at : piece;
        char *copy = malloc(n); /* so that one byte too far is seen */
        memcpy(copy, data + at, n);
        decode_feed(&d, copy, n, now, see, (void *)&sum);
        free(copy);
        if (decode_wait(&d, now) > 1.001) abort();
        now += size && data[0] & 64 ? 0.026 : 0.001;
        if (data[0] & 128) decode_tick(&d, now, see, (void *)&sum);
    }
    decode_tick(&d, now + 2, see, (void *)&sum);
    if (decode_wait(&d, now + 2) >= 0) abort();
    decode_release(&d);
    return 0;
}
