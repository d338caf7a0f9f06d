/* A frame in fewer bytes with the same effect. curses writes each change of attributes as if nothing were on, and moves the cursor mostly by absolute
 * addresses. Here both are put off until something is printed or erased, and then written in the shortest form known from what the terminal has: places
 * relative to the cursor, attributes without a reset where none has to go off. Selections of the charset are left out, because no other is ever selected.
 * Only sequences that curses itself may send are written. What is not understood goes through as it is, and nothing is assumed after it. One thread. */
#ifndef HONE_UI_TERM_SQUEEZE_H
#define HONE_UI_TERM_SQUEEZE_H

#include <stdbool.h>

#include "src/base/buf.h"

enum { SQUEEZE_256 = 1000 };
struct squeeze_look {
    unsigned at; /* bit n: attribute n of SGR is on, 1 to 9 */
    int fg, bg; /* parameters of the colours, 0: the terminal's own; SQUEEZE_256 + n: colour n of 256 */
};
struct squeeze {
    int rows, cols;
    bool column, row; /* the terminal knows CSI G, CSI d */
    int y, x, to_y, to_x; /* where its cursor is, where curses wants it */
    bool there, wanted; /* y and x are known; so are to_y and to_x */
    bool sure; /* since an absolute address only glyphs were printed whose width all terminals agree on */
    bool looks; /* `is` is known */
    bool region; /* only a part of the rows scrolls */
    struct squeeze_look is, want;
};

void squeeze_start(struct squeeze *q, int rows, int cols, bool column, bool row); /* nothing is known of the terminal's state */
void squeeze_size(struct squeeze *q, int rows, int cols); /* nothing of its cursor */
void squeeze_at(struct squeeze *q, int y, int x); /* the cursor was put there */
void squeeze(struct squeeze *q, const char *p, size_t n, struct buf *out); /* appends; whole sequences only */
void squeeze_end(struct squeeze *q, bool cursor, struct buf *out); /* of a frame: a cursor that is seen goes to its place */

#endif
