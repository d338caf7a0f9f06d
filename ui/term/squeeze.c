/* See the header. */
#include "config.h"

#include "ui/term/squeeze.h"

#include <stdbool.h>
#include <string.h>

enum { JOIN_MAX = 200 };
struct run {
    char text[JOIN_MAX];
    size_t n;
    bool open, reset, plain;
}; /* attribute changes since the last other byte, joined by ';'; plain: the last is 39 */

/* Length of ESC [ digits and ; m at p, 0: it is not one. */
static size_t is_sgr(const char *p, size_t n) {
    size_t i = 2;
    if (n < 3 || p[0] != '\033' || p[1] != '[') return 0;
    while (i < n && ((p[i] >= '0' && p[i] <= '9') || p[i] == ';')) i++;
    return i < n && p[i] == 'm' ? i + 1 : 0;
}

static void put(char *p, size_t *at, struct run *r) {
    if (!r->open) return;
    memcpy(p + *at, "\033[", 2);
    *at += 2;
    if (r->reset && r->n) memcpy(p + *at, "0;", 2), *at += 2;
    memcpy(p + *at, r->text, r->n);
    *at += r->n;
    p[(*at)++] = 'm';
    *r = (struct run){0};
}

static void add(struct run *r, const char *params, size_t n) {
    bool zero = n == 0 || (params[0] == '0' && (n == 1 || params[1] == ';'));
    if (zero) { /* what came before has no effect */
        *r = (struct run){.reset = true};
        params += n < 2 ? n : 2;
        n -= n < 2 ? n : 2;
    }
    if (n == 5 && memcmp(params, "39;49", 5) == 0) n = 2; /* no background is ever set */
    bool color = n >= 2 && params[0] == '3';
    if (color && r->plain) r->n -= r->n == 2 ? 2 : 3;
    bool plain = n == 2 && memcmp(params, "39", 2) == 0;
    if (color) r->plain = false;
    r->open = true;
    if (n == 0 || (plain && r->reset && r->n == 0)) return;
    if (r->n) r->text[r->n++] = ';';
    memcpy(r->text + r->n, params, n);
    r->n += n;
    r->plain = plain;
}

size_t squeeze(char *p, size_t n) {
    struct run r = {0};
    size_t at = 0;
    for (size_t i = 0; i < n;) {
        size_t len = is_sgr(p + i, n - i);
        if (p[i] == '\017') {
            i++;
        } else if (n - i >= 3 && memcmp(p + i, "\033(B", 3) == 0) {
            i += 3;
        } else if (len && len < 64 && r.n + len < JOIN_MAX) {
            add(&r, p + i + 2, len - 3);
            i += len;
        } else {
            put(p, &at, &r);
            p[at++] = p[i++];
        }
    }
    put(p, &at, &r);
    return at;
}
