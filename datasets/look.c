/* A text column as a person would judge it: by the first rows alone. */
#include "datasets/look.h"

#include <string.h>
#include <strings.h>

#include "datasets/tabular.h"
#include "datasets/text/vocab.h"

#define ROWS 2000
#define FEW 20 /* rows below which nothing is said of codes */

struct look look_at(const struct table *t, int col) {
    struct look k = {.rows = t->n < ROWS ? t->n : ROWS};
    struct vocab *v = vocab_new();
    for (int64_t i = 0; i < k.rows; i++) {
        size_t n;
        const char *s = table_text(t, col, i, &n), *why;
        double d;
        while (n && (*s == ' ' || *s == '\t')) s++, n--;
        while (n && (s[n - 1] == ' ' || s[n - 1] == '\t')) n--;
        if (tabular_missing(s, n)) continue;
        bool number = tabular_number(s, n, &d, &why), letter = false, blank = false;
        k.n++;
        k.numbers += number;
        k.whole += number && !memchr(s, '.', n) && !memchr(s, 'e', n);
        k.bytes += (int64_t)n;
        k.words++;
        for (size_t j = 0; j < n; j++) {
            letter |= ((s[j] | 0x20) >= 'a' && (s[j] | 0x20) <= 'z') || (unsigned char)s[j] >= 0x80;
            if (s[j] != ' ') continue;
            blank = true;
            k.words += s[j + 1] != ' ';
        }
        k.letters += letter && !number;
        k.blanks += blank;
        vocab_count(v, s, n);
    }
    vocab_finish(v, 0);
    k.distinct = vocab_size(v) - 2;
    vocab_free(v);
    return k;
}

bool look_text(const struct look *k, bool sure) {
    if (k->letters * 2 <= k->n || k->distinct * 2 <= k->n) return false;
    return sure ? k->words > 6 * k->n || k->bytes > 60 * k->n : k->blanks * 2 > k->n || k->bytes > 24 * k->n;
}

static bool ends(const char *s, const char *end) {
    size_t n = strlen(s), m = strlen(end);
    return n >= m && strcmp(s + n - m, end) == 0;
}

/* A name of a column that tells rows apart. */
static bool names_rows(const char *s) {
    return strcasecmp(s, "id") == 0 || strcasecmp(s, "index") == 0 || strcmp(s, "Unnamed: 0") == 0 || ends(s, "_id") || ends(s, "_ID") || ends(s, "Id") ||
           ends(s, " ID");
}

const char *look_useless(const struct look *k, const struct table *t, int col) {
    bool each = k->distinct * 2 > k->n, enough = k->n >= FEW;
    if (!k->n) return k->rows == t->n ? "no value at all" : NULL;
    if (k->whole == k->rows && k->distinct == k->n && ((col == 0 && t->blank_first && k->n > 1) || (enough && names_rows(t->col[col].name))))
        return "numbers the rows";
    return enough && k->numbers * 10 < k->n && (each || k->distinct > LOOK_VALUES) ? "another value in most rows" : NULL;
}
