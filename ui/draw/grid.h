/* A grid of cells: what a screen shows, before any terminal. Drawing functions are pure: sizes and data in, cells out. Every
 * string goes through the text sink here, so no view can forget it. UI thread, tests. */
#ifndef HONE_UI_DRAW_GRID_H
#define HONE_UI_DRAW_GRID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "src/base/buf.h"

enum ink { /* what a colour means; the terminal decides what it looks like */
    INK_TEXT,
    INK_DIM,
    INK_GOOD,
    INK_WARN,
    INK_BAD,
    INK_TITLE,
    INK_SERIES, /* .. INK_SERIES + 7 */
    INK_N = INK_SERIES + 8
};
enum { AT_BOLD = 1, AT_DIM = 2, AT_REVERSE = 4, AT_UNDER = 8 };
struct style {
    uint8_t ink, at;
};

struct gcell {
    char text[13]; /* UTF-8, one character with its marks; "" inside a wide one */
    uint8_t width; /* 1, 2; 0: right half of a wide one */
    struct style style;
};
enum { GRID_MAX = 1000 }; /* rows, and columns */
struct grid {
    int rows, cols;
    bool ascii; /* only bytes 0x20..0x7e may come in */
    int cur_row, cur_col; /* -1: cursor hidden */
    struct gcell *cell;
};
struct rect {
    int row, col, rows, cols;
};

void grid_init(struct grid *g, int rows, int cols, bool ascii); /* blank; sizes are clamped as by grid_size */
void grid_blank(struct grid *g, int rows, int cols, bool ascii); /* the same for one that may be in use: its memory is kept while the size stays */
int grid_size(int n); /* 1 .. GRID_MAX */
void grid_release(struct grid *g);
void grid_clear(struct grid *g, struct rect r);
bool grid_equal(const struct grid *a, const struct grid *b);
void grid_copy(struct grid *to, const struct grid *from);
/* Writes foreign or own text; at most max columns (cut ends in ~), never past the edge. Returns the columns used. */
int grid_text(struct grid *g, int row, int col, int max, struct style s, const char *text);
/* Cut in the middle, where names of one beginning must stay apart: card_pay~_charged. */
int grid_middle(struct grid *g, int row, int col, int max, struct style s, const char *text);
int grid_textf(struct grid *g, int row, int col, int max, struct style s, const char *fmt, ...) __attribute__((format(printf, 6, 7)));
int grid_right(struct grid *g, int row, int end, int max, struct style s, const char *text); /* ends before column end */
/* Bytes of a text that fill at most `cols` columns when it is written here; at least one character. */
size_t grid_fit(const struct grid *g, const char *text, size_t n, int cols);
int grid_fit_rows(const struct grid *g, const char *text, size_t n, int cols); /* that the text needs broken so; at least one */
/* Writes what fits into that row, with every place of want marked ("": none). Returns its bytes. */
size_t grid_fit_text(struct grid *g, int row, int col, int cols, struct style s, const char *text, size_t n, const char *want);
/* Text over the rows of r, broken at blanks; what does not fit ends in "..". Returns the rows used. */
int grid_wrap(struct grid *g, struct rect r, struct style s, const char *text);
int grid_wrap_rows(const struct grid *g, int cols, const char *text); /* that it needs */
void grid_put(struct grid *g, int row, int col, struct style s, uint32_t cp); /* one narrow glyph of ours */
void grid_fill(struct grid *g, int row, int col, int n, struct style s, uint32_t cp);
void grid_style(struct grid *g, int row, int col, int n, struct style s);
void grid_row_text(const struct grid *g, int row, struct buf *out); /* without trailing blanks */
void grid_dump(const struct grid *g, struct buf *out);

/* Glyph sets and the pieces drawn with them. */
enum glyphs { GLYPHS_BRAILLE, GLYPHS_HALF, GLYPHS_LINE, GLYPHS_ASCII, GLYPHS_N };
void draw_rule(struct grid *g, int row, int col, int n);
void draw_bar(struct grid *g, int row, int col, int n, double part, enum glyphs set, struct style s); /* [####----] in n columns */
void draw_box(struct grid *g, struct rect r, enum glyphs set, const char *title); /* cleared inside */
extern const char *const glyphs_names[]; /* braille half line ascii, NULL */

#endif
