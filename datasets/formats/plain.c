/* A plain text as one row: what a stream of tokens is cut from. Taken when a stream is asked for, never guessed. */
#include "datasets/formats/format.h"

#include <stdlib.h>

static int plain_read(const struct bytes *in, const struct read_opts *o, struct table *out, struct err *e) {
    struct bytes t;
    char *own = NULL;
    struct cells c = {0};
    int r = text_open(in, o && o->latin1, &t, &own, e);
    if (!r) {
        cells_add(&c, t.p, t.n);
        cells_end_cell(&c);
        cells_into(&c, table_add(out, "text", COL_TEXT));
        out->n = 1;
        out->named = true;
    }
    free(own);
    return r;
}

static const char *const ext[] = {NULL};
const struct format format_plain = {"plain", "a plain text, read as a stream of tokens", ext, NULL, plain_read, NULL, NULL, "encoding"};
