/* One JSON object of named lists, each of [text, label] pairs, as CLINC150 is published. Only the lists that the recipe picks are read, in
 * the order they are named. */
#include "datasets/formats/format.h"

#include <stdlib.h>
#include <string.h>

#include "src/base/json.h"
#include "src/base/mem.h"

#define MAX_VALUES 2000000

static int add_list(struct table *out, struct cells cells[2], const struct val *l, const char *name, const char *file, struct err *e) {
    for (size_t i = 0; i < val_len(l); i++) {
        const struct val *row = val_at(l, i);
        for (size_t k = 0; k < 2; k++) {
            const struct val *v = val_len(row) == 2 ? val_at(row, k) : NULL;
            if (!v || v->type != VAL_STR || memchr(v->u.s.p, 0, v->u.s.len))
                return err_set(e, "%s: item %zu of the list \"%.40s\" is not a pair [text, label] of strings", file, i + 1, name);
            cells_add(&cells[k], v->u.s.p, v->u.s.len);
            cells_end_cell(&cells[k]);
        }
        out->n++;
    }
    return 0;
}

static int jsonlists_read(const struct bytes *in, const struct read_opts *o, struct table *out, struct err *e) {
    struct bytes t;
    char *own;
    if (text_open(in, o->latin1, &t, &own, e)) return -1;
    struct val *v = NULL;
    if (json_count((const char *)t.p, t.n) > MAX_VALUES) err_set(e, "%s holds more than %d values; split it", in->name, MAX_VALUES);
    else v = json_parse((const char *)t.p, t.n, in->name, e);
    struct cells cells[2] = {{0}};
    int r = v ? 0 : -1;
    out->named = true;
    table_add(out, "text", COL_TEXT);
    table_add(out, "label", COL_TEXT);
    for (const char *p = o->pick; !r && *p;) {
        size_t n = strcspn(p, " ");
        char *name = mem_strn(p, n);
        const struct val *l = val_get(v, name);
        r = val_len(l) ? add_list(out, cells, l, name, in->name, e) : err_set(e, "%s has no list \"%.40s\" of [text, label] pairs", in->name, name);
        free(name);
        p += n + (p[n] == ' ');
    }
    for (int i = 0; i < 2; i++) cells_into(&cells[i], &out->col[i]);
    val_free(v);
    free(own);
    return r;
}

static const char *const ext[] = {NULL};
const struct format format_jsonlists = {"jsonlists", "a JSON object of lists of [text, label]", ext, NULL, jsonlists_read, NULL, NULL, "encoding"};
