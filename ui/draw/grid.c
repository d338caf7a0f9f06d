/* The cell grid and the small pieces drawn on it; see the header. */
#include "config.h"

#include "ui/draw/grid.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/mem.h"
#include "src/base/utf8.h"

static const struct gcell blank = {" ", 1, {INK_TEXT, 0}};

int grid_size(int n) { return n < 1 ? 1 : n > GRID_MAX ? GRID_MAX : n; }

void grid_init(struct grid *g, int rows, int cols, bool ascii) {
    rows = grid_size(rows);
    cols = grid_size(cols);
    *g = (struct grid){.rows = rows, .cols = cols, .ascii = ascii, .cur_row = -1, .cur_col = -1, .cell = X_NEW(struct gcell, (size_t)rows * (size_t)cols)};
    for (int i = 0; i < rows * cols; i++) g->cell[i] = blank;
}

void grid_blank(struct grid *g, int rows, int cols, bool ascii) {
    if (!g->cell || g->rows != grid_size(rows) || g->cols != grid_size(cols)) {
        grid_release(g);
        grid_init(g, rows, cols, ascii);
        return;
    }
    g->ascii = ascii;
    g->cur_row = g->cur_col = -1;
    for (int i = 0; i < g->rows * g->cols; i++) g->cell[i] = blank;
}

void grid_release(struct grid *g) {
    free(g->cell);
    *g = (struct grid){0};
}

static struct gcell *at(struct grid *g, int row, int col) { return &g->cell[row * g->cols + col]; }

/* Overwriting half of a wide character must not leave the other half. */
static void cell_break(struct grid *g, int row, int col) {
    struct gcell *c = at(g, row, col);
    if (c->width == 0 && col > 0) *at(g, row, col - 1) = blank;
    if (c->width == 2 && col + 1 < g->cols) *at(g, row, col + 1) = blank;
    *c = blank;
}

void grid_clear(struct grid *g, struct rect r) {
    for (int y = r.row < 0 ? 0 : r.row; y < r.row + r.rows && y < g->rows; y++)
        for (int x = r.col < 0 ? 0 : r.col; x < r.col + r.cols && x < g->cols; x++) cell_break(g, y, x);
}

static bool cell_equal(const struct gcell *a, const struct gcell *b) {
    return memcmp(a, b, sizeof *a) == 0 ||
           (a->width == b->width && a->style.ink == b->style.ink && a->style.at == b->style.at && strcmp(a->text, b->text) == 0);
}

bool grid_equal(const struct grid *a, const struct grid *b) {
    if (a->rows != b->rows || a->cols != b->cols || a->cur_row != b->cur_row || a->cur_col != b->cur_col) return false;
    for (int i = 0; i < a->rows * a->cols; i++)
        if (!cell_equal(&a->cell[i], &b->cell[i])) return false;
    return true;
}

void grid_copy(struct grid *to, const struct grid *from) {
    if (to->rows != from->rows || to->cols != from->cols) {
        grid_release(to);
        grid_init(to, from->rows, from->cols, from->ascii);
    }
    memcpy(to->cell, from->cell, (size_t)from->rows * (size_t)from->cols * sizeof *to->cell);
    to->ascii = from->ascii;
    to->cur_row = from->cur_row;
    to->cur_col = from->cur_col;
}

int grid_text(struct grid *g, int row, int col, int max, struct style s, const char *text) {
    if (row < 0 || row >= g->rows || col < 0 || col >= g->cols || !text) return 0;
    if (max < 0 || max > g->cols - col) max = g->cols - col;
    if (max <= 0) return 0;
    int n_plain = 0;
    while (text[n_plain] >= 0x20 && text[n_plain] < 0x7f && n_plain <= max) n_plain++;
    if (!text[n_plain] && n_plain <= max) { /* most of what is drawn */
        for (int i = 0; i < n_plain; i++) {
            cell_break(g, row, col + i);
            *at(g, row, col + i) = (struct gcell){{text[i]}, 1, s};
        }
        return n_plain;
    }
    struct buf b = BUF_INIT;
    int used = utf8_show(&b, text, strlen(text), max, g->ascii ? UTF8_ASCII : UTF8_FULL), x = col;
    for (size_t i = 0; i < b.len;) {
        uint32_t cp;
        size_t n = utf8_next(b.data + i, b.len - i, &cp);
        int w = utf8_width(cp);
        if (w == 0 && x > col) { /* a mark belongs to the character before */
            struct gcell *c = at(g, row, x - 1);
            if (c->width == 0 && x > col + 1) c--;
            size_t len = strlen(c->text);
            if (len + n < sizeof c->text) memcpy(c->text + len, b.data + i, n), c->text[len + n] = 0;
        } else if (w > 0 && x + w <= col + max) {
            for (int k = 0; k < w; k++) cell_break(g, row, x + k);
            struct gcell *c = at(g, row, x);
            memcpy(c->text, b.data + i, n);
            c->text[n] = 0;
            c->width = (uint8_t)w;
            c->style = s;
            if (w == 2) *at(g, row, x + 1) = (struct gcell){"", 0, s};
            x += w;
        }
        i += n;
    }
    buf_release(&b);
    return used < x - col ? x - col : used;
}

int grid_middle(struct grid *g, int row, int col, int max, struct style s, const char *text) {
    enum utf8_set set = g->ascii ? UTF8_ASCII : UTF8_FULL;
    struct buf b = BUF_INIT;
    int w = text ? utf8_show(&b, text, strlen(text), -1, set) : 0, used;
    if (w <= max || max < 5) {
        used = grid_text(g, row, col, max, s, text);
    } else {
        int keep = (max - 1) / 2, left = w; /* columns of the end; columns from byte i on */
        size_t i = 0;
        while (i < b.len && left > keep) {
            uint32_t cp;
            i += utf8_next(b.data + i, b.len - i, &cp);
            left -= utf8_width(cp);
        }
        for (uint32_t cp; i < b.len && utf8_next(b.data + i, b.len - i, &cp) && utf8_width(cp) == 0;) i += utf8_next(b.data + i, b.len - i, &cp);
        used = grid_text(g, row, col, max - left, s, text); /* cut with its mark */
        used += grid_text(g, row, col + used, left, s, b.data + i);
    }
    buf_release(&b);
    return used;
}

int grid_textf(struct grid *g, int row, int col, int max, struct style s, const char *fmt, ...) {
    char text[1024];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    return grid_text(g, row, col, max, s, text);
}

int grid_right(struct grid *g, int row, int end, int max, struct style s, const char *text) {
    struct buf b = BUF_INIT;
    int w = utf8_show(&b, text, strlen(text), max, g->ascii ? UTF8_ASCII : UTF8_FULL);
    buf_release(&b);
    grid_text(g, row, end - w, max, s, text);
    return w;
}

static int columns_of(const struct grid *g, const char *p, size_t n, uint32_t cp) {
    int w = cp == '\t' || cp == '\n' ? 1 : cp & UTF8_BAD ? -1 : utf8_width(cp);
    if (w >= 0 && (cp < 0x7f || !g->ascii)) return w;
    struct buf b = BUF_INIT; /* written as an escape */
    w = utf8_show(&b, p, n, -1, g->ascii ? UTF8_ASCII : UTF8_FULL);
    buf_release(&b);
    return w;
}

size_t grid_fit(const struct grid *g, const char *text, size_t n, int cols) {
    size_t at = 0, used;
    uint32_t cp;
    for (int x = 0; at < n && (used = utf8_next(text + at, n - at, &cp)) > 0; at += used) {
        x += columns_of(g, text + at, used, cp);
        if (at > 0 && x > cols) break;
    }
    return at;
}

int grid_fit_rows(const struct grid *g, const char *text, size_t n, int cols) {
    size_t at = 0;
    int rows = 0;
    do at += grid_fit(g, text + at, n - at, cols), rows++;
    while (at < n);
    return rows;
}

/* Every place of want in the text that was written there. */
static void mark(struct grid *g, int row, int col, const char *text, const char *want) {
    size_t len = strlen(want);
    for (const char *p = text; len && (p = strstr(p, want)); p += len) {
        int x = col + utf8_columns(text, (size_t)(p - text)), w = utf8_columns(p, len);
        for (int k = x; k < x + w && k < g->cols; k++) {
            struct style st = g->cell[row * g->cols + k].style;
            st.at |= AT_REVERSE;
            grid_style(g, row, k, 1, st);
        }
    }
}

size_t grid_fit_text(struct grid *g, int row, int col, int cols, struct style s, const char *text, size_t n, const char *want) {
    struct buf b = BUF_INIT;
    size_t fits = grid_fit(g, text, n, cols);
    buf_add(&b, text, fits);
    grid_text(g, row, col, cols, s, b.data);
    mark(g, row, col, b.data, want);
    buf_release(&b);
    return fits;
}

/* Bytes of the next row of a text that is broken at blanks. */
static size_t row_cut(const struct grid *g, const char *text, size_t n, int cols) {
    size_t fits = grid_fit(g, text, n, cols), cut = fits;
    while (fits < n && cut > fits / 2 && text[cut] != ' ') cut--;
    return fits < n && text[cut] != ' ' ? fits : cut; /* one long word */
}

int grid_wrap(struct grid *g, struct rect r, struct style s, const char *text) {
    struct buf b = BUF_INIT;
    int y = 0;
    size_t n = strlen(text);
    for (size_t at = 0, cut; y < r.rows && r.cols > 2 && at < n; y++, at += cut + (text[at + cut] == ' ')) {
        bool last = y == r.rows - 1 && row_cut(g, text + at, n - at, r.cols) < n - at;
        cut = row_cut(g, text + at, n - at, last ? r.cols - 3 : r.cols);
        buf_clear(&b);
        buf_addf(&b, "%.*s%s", (int)cut, text + at, last ? " .." : "");
        grid_text(g, r.row + y, r.col, r.cols, s, b.data);
    }
    buf_release(&b);
    return y;
}

int grid_wrap_rows(const struct grid *g, int cols, const char *text) {
    int y = 0;
    size_t n = strlen(text);
    for (size_t at = 0, cut; cols > 2 && at < n; y++, at += cut + (text[at + cut] == ' ')) cut = row_cut(g, text + at, n - at, cols);
    return y;
}

void grid_put(struct grid *g, int row, int col, struct style s, uint32_t cp) {
    if (row < 0 || row >= g->rows || col < 0 || col >= g->cols) return;
    if (g->ascii && cp > 0x7e) cp = '?';
    cell_break(g, row, col);
    struct gcell *c = at(g, row, col);
    size_t n = utf8_put(c->text, cp);
    c->text[n] = 0;
    c->style = s;
}

void grid_fill(struct grid *g, int row, int col, int n, struct style s, uint32_t cp) {
    for (int i = 0; i < n; i++) grid_put(g, row, col + i, s, cp);
}

void grid_style(struct grid *g, int row, int col, int n, struct style s) {
    if (row < 0 || row >= g->rows) return;
    for (int x = col < 0 ? 0 : col; x < col + n && x < g->cols; x++) at(g, row, x)->style = s;
}

void grid_row_text(const struct grid *g, int row, struct buf *out) {
    int end = g->cols;
    const struct gcell *c = &g->cell[row * g->cols];
    while (end > 0 && strcmp(c[end - 1].text, " ") == 0) end--;
    for (int x = 0; x < end; x++) buf_adds(out, c[x].text);
}

void grid_dump(const struct grid *g, struct buf *out) {
    for (int y = 0; y < g->rows; y++) {
        grid_row_text(g, y, out);
        buf_addc(out, '\n');
    }
}

void draw_rule(struct grid *g, int row, int col, int n) { /* of "-": a repeated ASCII character is a few bytes, a line of box pieces three a column */
    grid_fill(g, row, col, n, (struct style){INK_DIM, 0}, '-');
}

void draw_bar(struct grid *g, int row, int col, int n, double part, enum glyphs set, struct style s) {
    if (n < 3) return;
    int inner = n - 2, full = (int)(part * inner + 1e-9);
    full = !(part > 0) ? 0 : full > inner ? inner : full;
    grid_put(g, row, col, (struct style){INK_TEXT, 0}, '[');
    grid_fill(g, row, col + 1, full, s, set == GLYPHS_ASCII ? '#' : set == GLYPHS_LINE ? 0x2501 : 0x2588);
    grid_fill(g, row, col + 1 + full, inner - full, (struct style){INK_DIM, 0}, set == GLYPHS_ASCII ? '-' : set == GLYPHS_LINE ? 0x2500 : 0x2591);
    grid_put(g, row, col + n - 1, (struct style){INK_TEXT, 0}, ']');
}

void draw_box(struct grid *g, struct rect r, enum glyphs set, const char *title) {
    static const uint32_t uni[] = {0x250c, 0x2510, 0x2514, 0x2518, 0x2500, 0x2502}, asc[] = {'+', '+', '+', '+', '-', '|'};
    const uint32_t *c = set == GLYPHS_ASCII ? asc : uni;
    struct style s = {INK_TEXT, 0};
    grid_clear(g, r);
    grid_fill(g, r.row, r.col, r.cols, s, c[4]);
    grid_fill(g, r.row + r.rows - 1, r.col, r.cols, s, c[4]);
    for (int y = r.row; y < r.row + r.rows; y++) {
        grid_put(g, y, r.col, s, c[5]);
        grid_put(g, y, r.col + r.cols - 1, s, c[5]);
    }
    grid_put(g, r.row, r.col, s, c[0]);
    grid_put(g, r.row, r.col + r.cols - 1, s, c[1]);
    grid_put(g, r.row + r.rows - 1, r.col, s, c[2]);
    grid_put(g, r.row + r.rows - 1, r.col + r.cols - 1, s, c[3]);
    if (title && *title) {
        int n = grid_text(g, r.row, r.col + 3, r.cols - 6, (struct style){INK_TITLE, AT_BOLD}, title);
        grid_put(g, r.row, r.col + 2, s, ' ');
        grid_put(g, r.row, r.col + 3 + n, s, ' ');
    }
}

const char *const glyphs_names[] = {"braille", "half", "line", "ascii", NULL};
