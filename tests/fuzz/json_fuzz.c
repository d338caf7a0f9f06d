/* Fuzz target of JSON and the text sink: whatever can be read is written, read again and must be equal; every text must come out
 * of the sink as valid UTF-8 of the width it tells. */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "src/base/json.h"
#include "src/base/utf8.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct err e = {0};
    struct buf b = BUF_INIT;
    const char *text = size ? (const char *)data : "";
    int cols = utf8_show(&b, text, size, size ? data[0] % 100 : -1, UTF8_FULL);
    if (!utf8_valid(b.data, b.len) || utf8_columns(b.data, b.len) != cols) abort();
    buf_clear(&b);
    struct val *v = json_parse(text, size, "input", &e);
    if (v) {
        json_write(&b, v);
        struct val *again = json_parse(b.data, b.len, "output", &e);
        if (!again || !val_equal(v, again)) abort();
        buf_clear(&b);
        json_write_pretty(&b, again);
        val_free(again);
        again = json_parse(b.data, b.len, "output", &e);
        if (!again || !val_equal(v, again)) abort();
        buf_clear(&b);
        lua_write(&b, v);
        struct val *copy = val_copy(v);
        if (!val_equal(copy, again)) abort();
        val_free(copy);
        val_free(again);
        val_free(v);
    } else if (!e.code || !utf8_valid(e.text, strlen(e.text))) abort();
    buf_release(&b);
    return 0;
}
