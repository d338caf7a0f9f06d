/* Which argument goes with what. How a file is read stands in the rows of the formats; what is made of it, in the rows here. Helper thread; no state. */
#include "datasets/applies.h"

#include <string.h>

#include "src/base/buf.h"
#include "src/base/json.h"
#include "src/base/err.h"

struct goes {
    const char *name;
    unsigned with;
};
static const struct {
    const char *all, *one;
} held[] = {{"texts", "texts"}, {"a stream", "a stream"}, {"tables of numbers and categories", "a table of numbers and categories"},
    {"pictures and other arrays", "arrays"}, {"sounds", "sounds"}, {"targets that are numbers", "with targets that are numbers"}}; /* ORDER HOLDS_.. */

static const struct goes rows[];

static bool has_word(const char *list, const char *word) {
    size_t n = strlen(word);
    for (const char *p = list; p && *p; p += strcspn(p, " "), p += *p == ' ')
        if (strcspn(p, " ") == n && !memcmp(p, word, n)) return true;
    return false;
}

/* Whether some format takes it as a way to read, and one of those that were read. */
static bool reads(const char *arg, const struct table tab[PART_N], unsigned holds, bool *known) {
    bool taken = false;
    *known = false;
    for (const struct format *const *f = formats; *f; f++) *known |= has_word((*f)->takes, arg);
    for (int p = 0; p < PART_N; p++) taken |= tab[p].format && has_word(tab[p].format->takes, arg);
    bool of_sounds = !strcmp(arg, "frames") || !strcmp(arg, "mel") || !strcmp(arg, "rate"),
         of_pictures = !strcmp(arg, "size"); /* a folder holds the ones or the others */
    return taken && !(of_sounds && !(holds & HOLDS_SOUNDS)) && !(of_pictures && holds & HOLDS_SOUNDS);
}

static void add(struct buf *b, const char *what) { buf_addf(b, "%s%s", b->len ? ", " : "", what); }

static const struct goes *find(const char *arg) {
    for (const struct goes *g = rows; g->name; g++)
        if (!strcmp(g->name, arg)) return g;
    return NULL;
}

static int refuse(const char *arg, const struct val *v, const char *name, const struct table tab[PART_N], unsigned holds, struct err *e) {
    struct buf with = BUF_INIT, is = BUF_INIT, text = BUF_INIT;
    const struct goes *g = find(arg);
    for (size_t i = 0; g && i < LEN(held); i++)
        if (g->with & 1u << i) add(&with, held[i].all);
    for (const struct format *const *f = formats; !g && *f; f++)
        if (has_word((*f)->takes, arg)) add(&with, (*f)->name);
    if (g)
        for (size_t i = 0; i < LEN(held); i++)
            if (holds & 1u << i) add(&is, held[i].one);
    if (!g) add(&is, tab[PART_TRAIN].format ? tab[PART_TRAIN].format->name : "of another format");
    lua_write(&text, v);
    err_code(e, ERR_USAGE, "%s=%s goes with %s, but %.100s was read as %s%s: leave it out", arg, text.data ? text.data : "", with.data, name,
        is.data ? is.data : "neither", g && g->with & HOLDS_TEXTS && holds & HOLDS_CELLS ? " (text=COLUMN names one that holds texts)" : "");
    buf_release(&with), buf_release(&is), buf_release(&text);
    return -1;
}

int data_applies(const struct data_args *a, const char *name, const struct table tab[PART_N], unsigned holds, struct err *e) {
    struct val *given = args_to_val(&data_kind, a);
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < given->u.t.n_field; i++) {
        const struct val_field *f = &given->u.t.field[i];
        const struct arg *arg = args_find(&data_kind, f->name);
        struct val *usual = arg->def ? args_text(arg->def) : NULL;
        const struct goes *g = find(f->name);
        bool said = f->v->type != VAL_NIL && !(usual && val_equal(usual, f->v)), known, taken = reads(f->name, tab, holds, &known);
        val_free(usual);
        bool ok = g ? (g->with & holds) != 0 || a->like : !known || taken;
        if (!strcmp(f->name, "missing") && a->missing == MISSING_DROP && !(holds & HOLDS_STREAM)) ok = true; /* rows without a target, broken files */
        if (said && !ok) rc = refuse(f->name, f->v, name, tab, holds, e);
    }
    val_free(given);
    return rc;
}

static const struct goes rows[] = {{"tokens", HOLDS_TEXTS | HOLDS_STREAM}, {"tokenizer", HOLDS_TEXTS | HOLDS_STREAM}, {"lower", HOLDS_TEXTS | HOLDS_STREAM},
    {"vocab", HOLDS_TEXTS | HOLDS_STREAM}, {"len", HOLDS_TEXTS | HOLDS_STREAM}, {"trunc", HOLDS_TEXTS}, {"ngrams", HOLDS_TEXTS}, {"chars", HOLDS_TEXTS},
    {"hash_buckets", HOLDS_TEXTS}, {"tfidf", HOLDS_TEXTS}, {"missing", HOLDS_CELLS}, {"drop", HOLDS_CELLS | HOLDS_TEXTS},
    {"standardize", HOLDS_CELLS | HOLDS_NUMBERS}, {"normalize", HOLDS_ARRAYS}, {"x", HOLDS_TEXTS | HOLDS_CELLS | HOLDS_ARRAYS | HOLDS_SOUNDS},
    {"y", HOLDS_TEXTS | HOLDS_CELLS | HOLDS_ARRAYS | HOLDS_SOUNDS}, {"text", HOLDS_TEXTS | HOLDS_CELLS},
    {"target", HOLDS_TEXTS | HOLDS_CELLS | HOLDS_ARRAYS | HOLDS_SOUNDS}, {NULL, 0}};
