/* The terminal of the tests; see the header. */
#include "config.h"

#include "tests/ui/vt.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/mem.h"
#include "src/base/utf8.h"

enum { GROUND, ESC, CSI, OSC, OSC_ESC, CHARSET, CHARSET1 };

static struct vt_cell blank(const struct vt *v) { return (struct vt_cell){.text = " ", .width = 1, .fg = -1, .bg = (int16_t)v->cur.bg}; }
static struct vt_cell *at(struct vt *v, int row, int col) { return &v->cell[row * v->cols + col]; }

static void wipe(struct vt *v, int row, int from, int to) {
    for (int x = from < 0 ? 0 : from; x < to && x < v->cols; x++) *at(v, row, x) = blank(v);
}

static void home(struct vt *v) { v->cur = (struct vt_place){.fg = -1, .bg = -1}; }

static struct vt_cell *cells(struct vt *v) {
    struct vt_cell *c = X_NEW(struct vt_cell, (size_t)v->rows * (size_t)v->cols);
    for (int i = 0; i < v->rows * v->cols; i++) c[i] = blank(v);
    return c;
}

void vt_init(struct vt *v, int rows, int cols) {
    memset(v, 0, sizeof *v);
    v->rows = v->end = rows;
    v->cols = cols;
    v->shown = true;
    home(v);
    v->cell = cells(v);
}

void vt_release(struct vt *v) {
    free(v->cell);
    free(v->other);
    buf_release(&v->answer);
    v->cell = v->other = NULL;
}

void vt_resize(struct vt *v, int rows, int cols) {
    struct vt_cell *old[] = {v->cell, v->other}, *now[2] = {NULL, NULL};
    int was_rows = v->rows, was_cols = v->cols;
    v->rows = v->end = rows;
    v->cols = cols;
    v->top = 0;
    for (int i = 0; i < 2; i++) {
        if (!old[i]) continue;
        now[i] = cells(v);
        for (int y = 0; y < rows && y < was_rows; y++)
            for (int x = 0; x < cols && x < was_cols; x++) now[i][y * cols + x] = old[i][y * was_cols + x];
        free(old[i]);
    }
    v->cell = now[0];
    v->other = now[1];
    if (v->cur.row >= rows) v->cur.row = rows - 1;
    if (v->cur.col >= cols) v->cur.col = cols - 1;
    v->cur.wraps = false;
}

static void bad(struct vt *v, const char *what, const char *seq, size_t n) {
    if (v->n_bad++) return;
    struct buf b = BUF_INIT;
    utf8_show(&b, seq, n, 120, UTF8_ASCII);
    snprintf(v->bad, sizeof v->bad, "%s %.120s", what, b.data ? b.data : "");
    buf_release(&b);
}

/* ---- moving and erasing ---- */

static int clamp(int x, int lo, int hi) { return x < lo ? lo : x > hi ? hi : x; }

static void go(struct vt *v, int row, int col) {
    v->cur.row = clamp(row, 0, v->rows - 1);
    v->cur.col = clamp(col, 0, v->cols - 1);
    v->cur.wraps = false;
}

static void roll(struct vt *v, int top, int end, int n) { /* n > 0: up */
    int k = n < 0 ? -n : n;
    size_t row = sizeof(struct vt_cell) * (size_t)v->cols;
    if (k > end - top) k = end - top;
    if (n > 0) memmove(at(v, top, 0), at(v, top, 0) + k * v->cols, row * (size_t)(end - top - k));
    else memmove(at(v, top, 0) + k * v->cols, at(v, top, 0), row * (size_t)(end - top - k));
    for (int y = 0; y < k; y++) wipe(v, n > 0 ? end - 1 - y : top + y, 0, v->cols);
    v->n_scroll++;
}

static void down(struct vt *v) {
    v->cur.wraps = false;
    if (v->cur.row == v->end - 1) roll(v, v->top, v->end, 1);
    else if (v->cur.row < v->rows - 1) v->cur.row++;
}

static void shift(struct vt *v, int n) { /* cells right of the cursor; n > 0: to the right */
    struct vt_cell *row = at(v, v->cur.row, 0);
    int x = v->cur.col, left = v->cols - x, k = clamp(n < 0 ? -n : n, 0, left);
    if (n > 0) memmove(row + x + k, row + x, sizeof *row * (size_t)(left - k)), wipe(v, v->cur.row, x, x + k);
    else memmove(row + x, row + x + k, sizeof *row * (size_t)(left - k)), wipe(v, v->cur.row, v->cols - k, v->cols);
}

static void erase(struct vt *v, int how, bool screen) {
    int y = v->cur.row, x = v->cur.col;
    wipe(v, y, how == 0 ? x : 0, how == 1 ? x + 1 : v->cols);
    for (int i = 0; screen && i < v->rows; i++)
        if (how == 2 || (how == 0 && i > y) || (how == 1 && i < y)) wipe(v, i, 0, v->cols);
    if (screen && (how == 2 || (how == 0 && y == 0 && x == 0))) v->n_clear++;
}

static void put(struct vt *v, const char *text, size_t n, int width) {
    if (width > v->cols) return;
    if (v->cur.wraps || v->cur.col + width > v->cols) {
        v->cur.col = 0;
        down(v);
    }
    if (v->insert) shift(v, width);
    struct vt_cell *c = at(v, v->cur.row, v->cur.col);
    if (c->width == 0 && v->cur.col > 0) c[-1] = blank(v); /* half of a wide one is gone */
    if (v->cur.col + width < v->cols && c[width].width == 0) c[width] = blank(v);
    *c = (struct vt_cell){.width = (uint8_t)width, .at = (uint8_t)v->cur.at, .fg = (int16_t)v->cur.fg, .bg = (int16_t)v->cur.bg};
    memcpy(c->text, text, n);
    if (width == 2) c[1] = (struct vt_cell){.fg = c->fg, .bg = c->bg, .at = c->at};
    v->cur.col += width;
    if (v->cur.col == v->cols) v->cur.col--, v->cur.wraps = true;
}

/* A mark joins the character before it. */
static void mark(struct vt *v, const char *text, size_t n) {
    int x = v->cur.wraps ? v->cur.col : v->cur.col - 1;
    while (x > 0 && at(v, v->cur.row, x)->width == 0) x--;
    if (x < 0) return;
    struct vt_cell *c = at(v, v->cur.row, x);
    size_t len = strlen(c->text);
    if (len + n < sizeof c->text) memcpy(c->text + len, text, n), c->text[len + n] = 0;
    else bad(v, "too many marks on", c->text, len);
}

static void glyph(struct vt *v, const char *s, size_t n) {
    static const char *const line[] = {"\xe2\x97\x86", "\xe2\x96\x92", "b", "c", "d", "e", "\xc2\xb0", "\xc2\xb1", "h", "i", "\xe2\x94\x98", "\xe2\x94\x90",
        "\xe2\x94\x8c", "\xe2\x94\x94", "\xe2\x94\xbc", "\xe2\x8e\xba", "\xe2\x8e\xbb", "\xe2\x94\x80", "\xe2\x8e\xbc", "\xe2\x8e\xbd", "\xe2\x94\x9c",
        "\xe2\x94\xa4", "\xe2\x94\xb4", "\xe2\x94\xac", "\xe2\x94\x82", "\xe2\x89\xa4", "\xe2\x89\xa5", "\xcf\x80", "\xe2\x89\xa0", "\xc2\xa3", "\xc2\xb7"};
    uint32_t cp;
    bool drawing = v->shifted ? v->g1 : v->line_drawing;
    if (drawing && n == 1 && *s >= '`' && *s <= '~') {
        const char *t = line[*s - '`'];
        put(v, t, strlen(t), 1);
        return;
    }
    utf8_next(s, n, &cp);
    int width = cp & UTF8_BAD ? -1 : utf8_width(cp);
    if (width < 0) bad(v, "not printable:", s, n);
    else if (width == 0) mark(v, s, n);
    else put(v, s, n, width);
}

/* ---- sequences ---- */

static int params(const char *s, int *p, int max) { /* of "1;2;3": missing ones are -1 */
    int n = 0;
    while (n < max) {
        p[n++] = *s >= '0' && *s <= '9' ? (int)strtol(s, NULL, 10) : -1;
        s += strcspn(s, ";");
        if (*s++ != ';') break;
    }
    return n;
}

static bool attributes(struct vt *v, const int *p, int n) {
    for (int i = 0; i < n; i++) {
        int a = p[i] < 0 ? 0 : p[i];
        static const uint8_t on[] = {0, VT_BOLD, VT_DIM, VT_ITALIC, VT_UNDER, VT_BLINK, 0, VT_REVERSE};
        if (a == 0) v->cur.at = 0, v->cur.fg = v->cur.bg = -1;
        else if (a < 8 && on[a]) v->cur.at |= on[a];
        else if (a == 10 || a == 11) v->line_drawing = a == 11;
        else if (a == 22) v->cur.at &= ~(VT_BOLD | VT_DIM);
        else if (a >= 23 && a <= 27 && a != 26) v->cur.at &= ~on[a - 20];
        else if (a == 39) v->cur.fg = -1;
        else if (a == 49) v->cur.bg = -1;
        else if ((a == 38 || a == 48) && i + 2 < n && p[i + 1] == 5 && p[i + 2] >= 0 && p[i + 2] < 256) {
            *(a == 38 ? &v->cur.fg : &v->cur.bg) = p[i + 2];
            v->n_color++;
            i += 2;
        } else if ((a >= 30 && a <= 37) || (a >= 90 && a <= 97)) v->cur.fg = a >= 90 ? a - 82 : a - 30, v->n_color++;
        else if ((a >= 40 && a <= 47) || (a >= 100 && a <= 107)) v->cur.bg = a >= 100 ? a - 92 : a - 40, v->n_color++;
        else return false;
    }
    return true;
}

static void alternate(struct vt *v, bool on) {
    if (on && !v->alt) {
        v->saved = v->cur;
        v->other = v->cell;
        v->cell = cells(v);
    } else if (!on && v->alt) {
        free(v->cell);
        v->cell = v->other;
        v->other = NULL;
        v->cur = v->saved;
        go(v, v->cur.row, v->cur.col);
    }
    v->alt = on;
}

static bool private_mode(struct vt *v, int mode, bool on) {
    switch (mode) {
    case 1: v->app_keys = on; return true;
    case 7: return true; /* autowrap: on in all that is known here */
    case 12: return true; /* blinking cursor */
    case 25: v->shown = on; return true;
    case 1000:
    case 1002:
    case 1003:
    case 1006: v->mouse = on; return true;
    case 1049: alternate(v, on); return true;
    case 2004: v->paste = on; return true;
    default: return false;
    }
}

static bool report(struct vt *v, int what) {
    v->n_asked++;
    if (what == 5) buf_adds(&v->answer, "\033[0n");
    else if (what == 6) buf_addf(&v->answer, "\033[%d;%dR", v->cur.row + 1, v->cur.col + 1);
    return what == 5 || what == 6;
}

static bool marked(struct vt *v, char mark, char final, const int *p, int n) { /* CSI ? .. and CSI > .. */
    if (mark == '?' && (final == 'h' || final == 'l')) {
        for (int i = 0; i < n; i++)
            if (!private_mode(v, p[i], final == 'h')) return false;
        return true;
    }
    return mark == '?' && final == 'c' && n == 1 && (p[0] == 0 || p[0] == 1 || p[0] == 8); /* the console's cursor */
}

static bool movement(struct vt *v, char final, int a, int b) {
    int y = v->cur.row, x = v->cur.col;
    switch (final) {
    case 'A': go(v, y - a, x); return true;
    case 'B':
    case 'e': go(v, y + a, x); return true;
    case 'C':
    case 'a': go(v, y, x + a); return true;
    case 'D': go(v, y, x - a); return true;
    case 'G':
    case '`': go(v, y, a - 1); return true;
    case 'd': go(v, a - 1, x); return true;
    case 'H':
    case 'f': go(v, a - 1, b - 1); return true;
    case 'Z': go(v, y, (x - 1) / 8 * 8); return true;
    default: return false;
    }
}

static bool editing(struct vt *v, char final, int a, const int *p) {
    int y = v->cur.row, x = v->cur.col, how = p[0] < 0 ? 0 : p[0];
    char last[32];
    switch (final) {
    case '@': shift(v, a); return true;
    case 'P': shift(v, -a); return true;
    case 'X': wipe(v, y, x, x + a); return true;
    case 'J':
    case 'K': erase(v, how, final == 'J'); return how <= 2;
    case 'L':
    case 'M':
        if (y >= v->top && y < v->end) roll(v, y, v->end, final == 'M' ? a : -a);
        return true;
    case 'S':
    case 'T': roll(v, v->top, v->end, final == 'S' ? a : -a); return true;
    case 'b':
        if (x == 0) return false;
        memcpy(last, at(v, y, v->cur.wraps ? x : x - 1)->text, sizeof last);
        for (int i = 0; i < a && i < v->cols; i++) put(v, last, strlen(last), 1);
        return true;
    default: return false;
    }
}

static bool csi(struct vt *v, char final) {
    int p[16] = {0}, n;
    const char *s = v->seq;
    char head = *s == '?' || *s == '>' ? *s : 0;
    if (s[strspn(s + (head != 0), "0123456789;") + (head != 0)]) return false; /* intermediates: none is allowed */
    n = params(s + (head != 0), p, 16);
    if (head) return marked(v, head, final, p, n);
    int a = p[0] < 1 ? 1 : p[0], b = n < 2 || p[1] < 1 ? 1 : p[1];
    if (movement(v, final, a, b) || editing(v, final, a, p)) return true;
    switch (final) {
    case 'm': return attributes(v, p, n);
    case 'h':
    case 'l': v->insert = final == 'h' && p[0] == 4 ? true : p[0] == 4 ? false : v->insert; return p[0] == 4 || p[0] == 34;
    case 'n': return report(v, p[0]);
    case 'r':
        v->top = a - 1;
        v->end = n < 2 || p[1] < 1 || p[1] > v->rows ? v->rows : p[1];
        if (v->top >= v->end) v->top = 0;
        go(v, 0, 0);
        return true;
    case 't': return p[0] == 22 || p[0] == 23; /* title kept and given back */
    default: return false;
    }
}

static bool osc(struct vt *v) {
    const char *text = strchr(v->seq, ';');
    int what = text ? atoi(v->seq) : -1;
    if (what == 0 || what == 2) {
        snprintf(v->title, sizeof v->title, "%.120s", text + 1);
        return true;
    }
    return (what == 9 && v->allow & VT_OSC_9) || (what == 52 && v->allow & VT_OSC_52) || (what == 8 && v->allow & VT_OSC_8);
}

static bool escape(struct vt *v, char c) {
    switch (c) {
    case '7': v->saved = v->cur; return true;
    case '8': v->cur = v->saved; return true;
    case '=':
    case '>': v->keypad = c == '='; return true;
    case 'D': down(v); return true;
    case 'E': v->cur.col = 0, down(v); return true;
    case 'M':
        v->cur.wraps = false;
        if (v->cur.row == v->top) roll(v, v->top, v->end, -1);
        else if (v->cur.row > 0) v->cur.row--;
        return true;
    default: return false;
    }
}

static void control(struct vt *v, char c) {
    switch (c) {
    case 7: v->n_bell++; break;
    case 8: go(v, v->cur.row, v->cur.col - 1); break;
    case 9: go(v, v->cur.row, (v->cur.col / 8 + 1) * 8); break;
    case 10: down(v); break;
    case 13: go(v, v->cur.row, 0); break;
    case 14:
    case 15: v->shifted = c == 14; break;
    case 27: v->state = ESC, v->n_seq = 0; break;
    default: bad(v, "control byte", &c, 1);
    }
}

static void ground(struct vt *v, char c) {
    unsigned char b = (unsigned char)c;
    if (v->want) { /* inside a character */
        v->part[v->n_part++] = c;
        if ((b & 0xc0) != 0x80) bad(v, "broken UTF-8:", v->part, (size_t)v->n_part), v->want = 0;
        else if (v->n_part == v->want) v->want = 0, glyph(v, v->part, (size_t)v->n_part);
        return;
    }
    if (b < 0x20) control(v, c);
    else if (b < 0x7f) glyph(v, &c, 1);
    else if (b >= 0xc2 && b < 0xf5) v->part[0] = c, v->n_part = 1, v->want = b < 0xe0 ? 2 : b < 0xf0 ? 3 : 4;
    else bad(v, "byte", &c, 1);
}

static void keep(struct vt *v, char c) {
    if (v->n_seq + 1 < sizeof v->seq) v->seq[v->n_seq++] = c;
    v->seq[v->n_seq] = 0;
}

static void csi_byte(struct vt *v, char c) {
    if (c >= 0x20 && c < 0x40 && v->n_seq < 64) {
        keep(v, c);
        return;
    }
    v->state = GROUND;
    if (c >= 0x40 && c < 0x7f && csi(v, c)) return;
    keep(v, c);
    bad(v, "CSI", v->seq, v->n_seq);
}

static void feed(struct vt *v, char c) {
    if ((unsigned char)c >= 0x80) v->n_high++;
    switch (v->state) {
    case GROUND: ground(v, c); break;
    case ESC:
        v->state = c == '[' ? CSI : c == ']' ? OSC : c == '(' ? CHARSET : c == ')' ? CHARSET1 : GROUND;
        v->seq[0] = 0;
        if (v->state == GROUND && !escape(v, c)) bad(v, "ESC", &c, 1);
        break;
    case CSI: csi_byte(v, c); break;
    case CHARSET:
    case CHARSET1:
        *(v->state == CHARSET ? &v->line_drawing : &v->g1) = c == '0';
        if (c != '0' && c != 'B') bad(v, "charset", &c, 1);
        v->state = GROUND;
        break;
    case OSC:
        if (c == 27) v->state = OSC_ESC;
        else if (c != 7) keep(v, c);
        if (c != 7) break;
        v->state = GROUND;
        if (!osc(v)) bad(v, "OSC", v->seq, v->n_seq);
        break;
    default:
        v->state = GROUND;
        if (c != '\\' || !osc(v)) bad(v, "OSC", v->seq, v->n_seq);
    }
}

void vt_feed(struct vt *v, const char *bytes, size_t n) {
    for (size_t i = 0; i < n; i++) feed(v, bytes[i]);
}

/* ---- looking ---- */

void vt_row(const struct vt *v, int row, struct buf *out) {
    int end = v->cols;
    const struct vt_cell *c = v->cell + row * v->cols;
    while (end > 0 && strcmp(c[end - 1].text, " ") == 0) end--;
    for (int x = 0; x < end; x++) buf_adds(out, c[x].text);
}

void vt_text(const struct vt *v, struct buf *out) {
    for (int y = 0; y < v->rows; y++) {
        vt_row(v, y, out);
        buf_addc(out, '\n');
    }
}

bool vt_shows(const struct vt *v, const char *text) {
    struct buf b = BUF_INIT;
    bool found = false;
    for (int y = 0; y < v->rows && !found; y++) {
        buf_clear(&b);
        vt_row(v, y, &b);
        found = b.len && strstr(b.data, text);
    }
    buf_release(&b);
    return found;
}

bool vt_plain(const struct vt *v) {
    return !v->alt && v->shown && !v->mouse && !v->paste && !v->app_keys && !v->keypad && !v->insert && !v->line_drawing && !v->shifted && v->top == 0 &&
           v->end == v->rows && v->cur.at == 0 && v->cur.fg == -1 && v->cur.bg == -1 && v->state == GROUND && !v->want;
}
