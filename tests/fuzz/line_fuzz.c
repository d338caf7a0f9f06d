/* Fuzz target of command lines, as the palette and the socket take them: any line gives a call whose Lua text can be written, or a sentence. */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "src/base/mem.h"
#include "src/base/utf8.h"
#include "src/call/call.h"
#include "tests/fuzz/fuzz.h"

static const struct cmd *const *const lists[] = {cmds_call, NULL};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct hub *h;
    struct err e = {0};
    struct buf lua = BUF_INIT;
    if (!h) h = hub_new(lists, NULL);
    char *line = mem_strn(size ? (const char *)data : "", size);
    struct call *c = call_parse(h, line, BY_PALETTE, &e);
    if (c) {
        call_lua(c, &lua);
        if (!lua.len) abort();
        call_free(c);
    } else if (!e.code || !e.text[0] || (utf8_valid(line, strlen(line)) && !utf8_valid(e.text, strlen(e.text)))) abort();
    val_free(args_text(line));
    buf_release(&lua);
    free(line);
    return 0;
}
