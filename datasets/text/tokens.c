/* Words and characters. ASCII goes through a 256-entry table, the rest through utf8proc. No state, any thread. */
#include "datasets/text/tokens.h"

#include <stdlib.h>
#include <string.h>

#include <utf8proc.h>

#include "datasets/text/unicode.h"
#include "src/base/mem.h"
#include "src/base/utf8.h"

const char *const tokens_names[] = {"words", "chars", "exact", NULL};

static void end_token(struct tokens *t) {
    if (t->n == t->cap_n) {
        t->cap_n = t->cap_n ? 2 * t->cap_n : 256;
        t->end = X_GROW(t->end, uint32_t, (size_t)t->cap_n);
    }
    t->end[t->n++] = (uint32_t)t->len;
}

static void put(struct tokens *t, uint32_t cp) {
    char u[4];
    size_t k = utf8_put(u, cp);
    if (t->cap - t->len < 4) {
        t->cap = 2 * t->cap + 64;
        t->text = X_GROW(t->text, char, t->cap);
    }
    memcpy(t->text + t->len, u, k);
    t->len += k;
}

static bool is_word(uint32_t cp) {
    if (cp >= 0xfe00 && cp <= 0xfe0f) return false; /* how a picture is to be drawn */
    utf8proc_category_t c = utf8proc_category((utf8proc_int32_t)cp);
    return c >= UTF8PROC_CATEGORY_LU && c <= UTF8PROC_CATEGORY_NO; /* letters, marks, numbers stand together */
}

/* Ideographs, between which no blanks stand, and the pictures of moods: each is a word. */
static bool stands_alone(uint32_t cp) {
    if (cp < 0x2600) return false;
    return unicode_cjk(cp) || cp <= 0x27bf || (cp >= 0x1f300 && cp <= 0x1faff && !(cp >= 0x1f3fb && cp <= 0x1f3ff)); /* not the colours of skin */
}

static void words(struct tokens *t, bool lower, const unsigned char *s, size_t n, int64_t max) {
    size_t begin = t->len;
    for (size_t i = 0; i < n;) {
        unsigned char c = s[i];
        bool in;
        if (c < 0x80) {
            i++;
            bool upper = c >= 'A' && c <= 'Z';
            if ((in = upper || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '\''))
                t->text[t->len++] = (char)(upper && lower ? c + 32 : c); /* room: see tokens_split */
        } else {
            uint32_t cp;
            i += utf8_next((const char *)s + i, n - i, &cp);
            bool alone = stands_alone(cp);
            if (alone && t->len > begin) {
                end_token(t);
                begin = t->len;
                if (t->n == max) return;
            }
            if ((in = alone || (!(cp & UTF8_BAD) && is_word(cp)))) {
                put(t, lower ? (uint32_t)utf8proc_tolower((utf8proc_int32_t)cp) : cp);
                if (t->cap - t->len < n - i + 8) t->text = X_GROW(t->text, char, t->cap = t->len + n - i + 64);
                in = !alone; /* its token ends with it */
            }
        }
        if (!in && t->len > begin) {
            end_token(t);
            begin = t->len;
            if (t->n == max) return;
        }
    }
    if (t->len > begin) end_token(t);
}

static bool is_space(uint32_t cp) { return cp <= ' ' || cp == 0x85 || cp == 0xa0 || cp == 0x3000; }

static void chars(struct tokens *t, bool lower, const unsigned char *s, size_t n, int64_t max) {
    bool blank = true; /* none at the begin */
    for (size_t i = 0; i < n && (!max || t->n < max);) {
        uint32_t cp;
        i += utf8_next((const char *)s + i, n - i, &cp);
        if (is_space(cp)) {
            if (blank) continue;
            blank = true;
            size_t j = i; /* none at the end */
            while (j < n && s[j] <= ' ') j++;
            if (j == n) return;
            cp = ' ';
        } else blank = false;
        if (cp & UTF8_BAD) cp = 0xfffd;
        put(t, lower ? (uint32_t)utf8proc_tolower((utf8proc_int32_t)cp) : cp);
        end_token(t);
    }
}

static void exact(struct tokens *t, bool lower, const unsigned char *s, size_t n, int64_t max) {
    for (size_t i = 0; i < n && (!max || t->n < max);) {
        uint32_t cp;
        i += utf8_next((const char *)s + i, n - i, &cp);
        if (cp & UTF8_BAD) cp = 0xfffd;
        put(t, lower ? (uint32_t)utf8proc_tolower((utf8proc_int32_t)cp) : cp);
        end_token(t);
    }
}

void tokens_split(struct tokens *t, enum tokens_kind kind, bool lower, const char *s, size_t n, int64_t max) {
    t->len = 0;
    t->n = 0;
    if (n > (size_t)1 << 30) n = (size_t)1 << 30; /* ends are 32 bit */
    if (t->cap < n + 8) t->text = X_GROW(t->text, char, t->cap = n + n / 2 + 64);
    if (kind == TOKENS_EXACT) exact(t, lower, (const unsigned char *)s, n, max);
    else if (kind == TOKENS_CHARS) chars(t, lower, (const unsigned char *)s, n, max);
    else words(t, lower, (const unsigned char *)s, n, max);
}

void tokens_release(struct tokens *t) {
    free(t->text);
    free(t->end);
    memset(t, 0, sizeof *t);
}
