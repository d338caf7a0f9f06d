/* A small terminal: cells from bytes, for tests. It understands what hone may send and nothing else: every other sequence, control byte, bad UTF-8 or
 * invisible character is counted in n_bad and the first one kept in words. Widths are those of utf8_width; a line wraps as xterm's does.
 *
 *     struct vt v;
 *     vt_init(&v, 24, 80);
 *     vt_feed(&v, bytes, n);              // any cut of the stream will do
 *     vt_text(&v, &out);                  // rows without trailing blanks, as the command `screen` prints them
 *     tap_ok(v.n_bad == 0, "..: %s", v.bad);
 *     vt_release(&v);
 * A program on a pseudo-terminal has one already: p->vt of tests/ui/pty.h. */
#ifndef HONE_TESTS_VT_H
#define HONE_TESTS_VT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "src/base/buf.h"

enum { VT_BOLD = 1, VT_DIM = 2, VT_UNDER = 4, VT_REVERSE = 8, VT_BLINK = 16, VT_ITALIC = 32 };
struct vt_cell {
    char text[32]; /* one character with its marks; "" in the right half of a wide one */
    uint8_t width, at;
    int16_t fg, bg; /* -1: the terminal's own */
};
struct vt_place {
    int row, col, fg, bg, at;
    bool wraps; /* the cursor stands behind the last column */
};
struct vt {
    int rows, cols;
    struct vt_place cur, saved;
    struct vt_cell *cell, *other; /* other: the main screen while the alternate one is shown */
    int top, end; /* scroll region: rows top .. end - 1 */
    bool alt, shown /* cursor */, mouse, paste, app_keys, keypad, insert, line_drawing, g1, shifted;
    char title[128]; /* OSC 0 or 2 */
    /* what came */
    unsigned allow; /* enum vt_allow; 0 at the start */
    long n_bad, n_bell, n_color, n_high, n_scroll, n_clear; /* colour attributes; bytes >= 0x80; scrolls; whole screens cleared */
    char bad[160]; /* the first that is not on the list, "" */
    struct buf answer; /* what a terminal would send back: status and cursor reports */
    long n_asked;
    /* parser */
    int state;
    size_t n_seq;
    char seq[256], part[4];
    int n_part, want;
};
/* More than the usual may be allowed: OSC 9 (notification), 52 (clipboard), 8 (links). */
enum vt_allow { VT_OSC_9 = 1, VT_OSC_52 = 2, VT_OSC_8 = 4 };

void vt_init(struct vt *v, int rows, int cols);
void vt_release(struct vt *v);
void vt_resize(struct vt *v, int rows, int cols); /* keeps the upper left corner */
void vt_feed(struct vt *v, const char *bytes, size_t n);
void vt_row(const struct vt *v, int row, struct buf *out); /* without trailing blanks */
void vt_text(const struct vt *v, struct buf *out); /* all rows, each with a newline */
bool vt_shows(const struct vt *v, const char *text); /* within one row */
bool vt_plain(const struct vt *v); /* as a shell expects it: main screen, cursor on, mouse, paste, keypad, insert, line drawing, region off */

#endif
