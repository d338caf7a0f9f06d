/* See the header. */
#include "config.h"

#include "ui/term/squeeze.h"

#include <string.h>

#include "src/base/utf8.h"

enum { PARAMS = 16, PLACE = 32 };

void squeeze_start(struct squeeze *q, int rows, int cols, bool column, bool row) {
    *q = (struct squeeze){.rows = rows, .cols = cols, .column = column, .row = row, .looks = true};
}

void squeeze_size(struct squeeze *q, int rows, int cols) {
    q->rows = rows;
    q->cols = cols;
    q->there = q->wanted = false;
}

void squeeze_at(struct squeeze *q, int y, int x) {
    q->y = q->to_y = y;
    q->x = q->to_x = x;
    q->there = q->wanted = q->sure = true;
}

/* ---- cursor ---- */

struct way {
    char text[PLACE];
    int n;
};

/* Written out: printf takes a detour in a process with libquadmath. */
static int digits(char *out, int v) {
    char d[12];
    int n = 0, len = 0;
    do d[n++] = (char)('0' + v % 10);
    while (v /= 10);
    while (n) out[len++] = d[--n];
    return len;
}

/* CSI a ; b last, where numbers below 0 are left out. */
static void shorter(struct way *best, int a, int b, char last) {
    struct way w = {"\033[", 2};
    if (a >= 0) w.n += digits(w.text + w.n, a);
    if (b >= 0) w.text[w.n++] = ';', w.n += digits(w.text + w.n, b);
    w.text[w.n++] = last;
    if (!best->n || w.n < best->n) *best = w;
}

static void repeated(struct way *best, char c, int n) {
    if (n >= PLACE || (best->n && n >= best->n)) return;
    memset(best->text, c, (size_t)n);
    best->n = n;
}

/* n cells on, or back below 0; forward and back: the last bytes of the sequences. */
static void steps(struct way *best, int n, char forward, char back) {
    int k = n < 0 ? -n : n;
    shorter(best, k == 1 ? -1 : k, -1, n < 0 ? back : forward);
}

static struct way vertical(const struct squeeze *q) {
    struct way w = {.n = 0};
    int n = q->to_y - q->y;
    if (n == 0) return w;
    steps(&w, n, 'B', 'A');
    if (n > 0) repeated(&w, '\n', n);
    if (q->row) shorter(&w, q->to_y + 1, -1, 'd');
    return w;
}

static struct way horizontal(const struct squeeze *q) {
    struct way w = {.n = 0};
    int n = q->to_x - q->x;
    if (n == 0) return w;
    steps(&w, n, 'C', 'D');
    if (n < 0) repeated(&w, '\b', -n);
    if (q->to_x == 0) repeated(&w, '\r', 1);
    if (q->column) shorter(&w, q->to_x + 1, -1, 'G');
    return w;
}

static void place(struct squeeze *q, struct buf *out) {
    if (!q->wanted || (q->there && q->y == q->to_y && q->x == q->to_x)) return;
    struct way there = {.n = 0};
    shorter(&there, q->to_x || q->to_y ? q->to_y + 1 : -1, q->to_x ? q->to_x + 1 : -1, 'H');
    if (q->there && q->sure && !q->region) {
        struct way down = vertical(q), along = horizontal(q);
        if (down.n + along.n <= there.n) {
            memcpy(there.text, down.text, (size_t)down.n);
            memcpy(there.text + down.n, along.text, (size_t)along.n);
            there.n = down.n + along.n;
        }
    }
    if (there.text[there.n - 1] == 'H') q->sure = true;
    buf_add(out, there.text, (size_t)there.n);
    q->y = q->to_y;
    q->x = q->to_x;
    q->there = true;
}

static void lose(struct squeeze *q) { q->there = q->wanted = false; }

static int clamp(int v, int hi) { return v < 0 ? 0 : v > hi ? hi : v; }

static void want(struct squeeze *q, int y, int x) {
    q->to_y = clamp(y, q->rows - 1);
    q->to_x = clamp(x, q->cols - 1);
    q->wanted = true;
}

/* After a glyph or a repetition. Behind the last column terminals differ. */
static void advance(struct squeeze *q, int n) {
    q->x = q->to_x += n;
    if (q->x >= q->cols) lose(q);
}

/* ---- attributes ---- */

static bool same(const struct squeeze_look *a, const struct squeeze_look *b) { return a->at == b->at && a->fg == b->fg && a->bg == b->bg; }

struct list {
    char text[80]; /* a reset, nine attributes and two colours fit */
    int n;
};
static void param(struct list *l, int v) {
    if (l->n) l->text[l->n++] = ';';
    l->n += digits(l->text + l->n, v);
}

static void color(struct list *l, int v, int ground) { /* ground: 30 or 40 */
    if (v >= SQUEEZE_256) param(l, ground + 8), param(l, 5), param(l, v - SQUEEZE_256);
    else param(l, v ? v : ground + 9);
}

static void look(struct squeeze *q, struct buf *out) {
    const struct squeeze_look *is = &q->is, *to = &q->want;
    if (q->looks && same(is, to)) return;
    bool plain = !to->at && !to->fg && !to->bg;
    bool reset = !q->looks || plain || is->at & ~to->at || (is->bg && !to->bg);
    struct list l = {.n = 0};
    if (reset && !plain) param(&l, 0);
    for (int i = 1; i < 10; i++)
        if (to->at >> i & 1 && (reset || !(is->at >> i & 1))) param(&l, i);
    if (reset ? to->fg : is->fg != to->fg) color(&l, to->fg, 30);
    if (reset ? to->bg : is->bg != to->bg) color(&l, to->bg, 40);
    buf_adds(out, "\033[");
    buf_add(out, l.text, (size_t)l.n);
    buf_addc(out, 'm');
    q->is = *to;
    q->looks = true;
}

/* False: a parameter is not one of those that are told apart here. */
static bool attributes(struct squeeze_look *l, const int *p, int n) {
    for (int i = 0; i < n; i++) {
        int a = p[i];
        bool many = (a == 38 || a == 48) && i + 2 < n && p[i + 1] == 5;
        if (a == 0) *l = (struct squeeze_look){0};
        else if (a < 10) l->at |= 1u << a;
        else if (a == 10) continue; /* the usual charset */
        else if (a == 39) l->fg = 0;
        else if (a == 49) l->bg = 0;
        else if (many) *(a == 38 ? &l->fg : &l->bg) = SQUEEZE_256 + (p[i + 2] & 255), i += 2;
        else if ((a >= 30 && a < 38) || (a >= 90 && a < 98)) l->fg = a;
        else if ((a >= 40 && a < 48) || (a >= 100 && a < 108)) l->bg = a;
        else return false;
    }
    return true;
}

/* ---- the stream ---- */

static void through(struct squeeze *q, const char *p, size_t n, struct buf *out) {
    place(q, out);
    look(q, out);
    buf_add(out, p, n);
}

/* CSI, digits and semicolons, a last byte. */
static void sequence(struct squeeze *q, const char *p, size_t n, struct buf *out) {
    int v[PARAMS] = {0}, k = 1;
    for (size_t i = 2; i + 1 < n; i++) {
        if (p[i] == ';' && k < PARAMS) k++;
        else if (p[i] != ';' && v[k - 1] < 10000) v[k - 1] = v[k - 1] * 10 + (p[i] - '0');
    }
    int a = v[0] ? v[0] : 1, b = v[1] ? v[1] : 1, y = q->to_y, x = q->to_x;
    struct squeeze_look l = q->want;
    switch (p[n - 1]) {
    case 'H': want(q, a - 1, b - 1); return;
    case 'd': y = a - 1; break;
    case 'G': x = a - 1; break;
    case 'A':
    case 'B':
        y += p[n - 1] == 'A' ? -a : a;
        if (!q->region) break;
        through(q, p, n, out); /* it may stop at the region's edge */
        lose(q);
        return;
    case 'C': x += a; break;
    case 'D': x -= a; break;
    case 'm':
        if (k < PARAMS && attributes(&l, v, k)) {
            q->want = l;
            return;
        }
        through(q, p, n, out);
        q->looks = false;
        return;
    case 'b':
        through(q, p, n, out);
        if (q->wanted) advance(q, a);
        return;
    case 'X':
    case 'K':
    case 'J':
    case 'P':
    case '@': through(q, p, n, out); return;
    case 'h':
    case 'l': buf_add(out, p, n); return; /* inserting; a console's cursor */
    default:
        if (p[n - 1] == 'r') q->region = n > 3 && !(a == 1 && b == q->rows);
        through(q, p, n, out);
        lose(q);
        return;
    }
    if (q->wanted) want(q, y, x);
    else buf_add(out, p, n);
}

/* The length of the escape sequence at p. */
static size_t escape(struct squeeze *q, const char *p, size_t n, struct buf *out) {
    size_t len = 2;
    if (n >= 3 && p[1] == '(' && p[2] == 'B') return 3;
    if (n >= 2 && p[1] == '[') {
        while (len < n && (p[len] < 0x40 || p[len] > 0x7e)) len++;
        if (len < n) len++;
        size_t k = 2;
        while (k < len && ((p[k] >= '0' && p[k] <= '9') || p[k] == ';')) k++;
        bool cursor = len > 5 && (memcmp(p + 2, "?25", 3) == 0 || memcmp(p + 2, "?12", 3) == 0); /* seen or not, it stays where it is */
        if (k + 1 == len) sequence(q, p, len, out);
        else if (cursor) buf_add(out, p, len);
        else through(q, p, len, out), lose(q);
        return len;
    }
    if (n < 2) len = n;
    if (n >= 3 && p[1] == '(') len = 3;
    through(q, p, len, out);
    lose(q);
    return len;
}

/* Bytes of the glyphs at the front that are one column wide on any terminal, `most` of them at most: ASCII, and what charts and boxes are made of. */
static size_t narrow(const char *p, size_t n, int most, int *cols) {
    size_t i = 0;
    for (*cols = 0; *cols < most; (*cols)++) {
        const unsigned char *c = (const unsigned char *)p + i;
        if (i < n && c[0] >= 0x20 && c[0] < 0x7f) i++;
        else if (i + 2 < n && c[0] == 0xe2 && (c[1] == 0x94 || c[1] == 0x95 || (c[1] == 0x96 && c[2] < 0xa0) || (c[1] >= 0xa0 && c[1] < 0xa4)) && c[2] < 0xc0)
            i += 3;
        else break;
    }
    return i;
}

/* One glyph, or several that stand together. */
static size_t glyphs(struct squeeze *q, const char *p, size_t n, struct buf *out) {
    int width;
    size_t len = narrow(p, n, q->wanted ? q->cols - q->to_x : q->cols, &width);
    bool sure = len > 0;
    if (!sure) {
        uint32_t cp;
        len = utf8_next(p, n, &cp);
        width = cp & UTF8_BAD ? 0 : utf8_width(cp);
    }
    through(q, p, len, out);
    if (!sure) q->sure = false;
    if (q->wanted && width > 0) advance(q, width);
    return len;
}

static void control(struct squeeze *q, char c, struct buf *out) {
    bool move = c == '\r' || c == '\b' || c == '\t' || (c == '\n' && q->to_y + 1 < q->rows && !q->region);
    if (c == '\017') return;
    if (move && q->wanted) {
        want(q, q->to_y + (c == '\n'), c == '\r' ? 0 : c == '\b' ? q->to_x - 1 : c == '\t' ? (q->to_x / 8 + 1) * 8 : q->to_x);
        return;
    }
    if (c == '\n') place(q, out), lose(q);
    buf_addc(out, c);
}

void squeeze(struct squeeze *q, const char *p, size_t n, struct buf *out) {
    for (size_t i = 0; i < n;) {
        if (p[i] == '\033') i += escape(q, p + i, n - i, out);
        else if ((unsigned char)p[i] < 0x20) control(q, p[i++], out);
        else i += glyphs(q, p + i, n - i, out);
    }
}

void squeeze_end(struct squeeze *q, bool cursor, struct buf *out) {
    if (cursor) place(q, out);
}
