/* Lists longer than the screen: how far a movement goes, and which row is shown first. Pure. */
#ifndef HONE_UI_SCROLL_H
#define HONE_UI_SCROLL_H

#include "ui/private.h"

/* Rows to go, < 0: upwards. page: rows of a page; all: as many as there are. 0 for movements that are not up or down. */
static inline int move_by(enum move m, int page, int all) {
    const int by[MOVE_N] = {[MOVE_UP] = -1, [MOVE_DOWN] = 1, [MOVE_PGUP] = -page, [MOVE_PGDN] = page, [MOVE_HOME] = -all, [MOVE_END] = all};
    return by[m];
}

/* The nearest of 0 .. n - 1; 0 if n is 0. */
static inline int clamp_index(int i, int n) { return i >= n ? (n > 0 ? n - 1 : 0) : i < 0 ? 0 : i; }

/* The first row shown, moved as little as brings sel among the `room` rows on the screen. */
static inline int first_shown(int first, int sel, int room) { return sel < first ? sel : room > 0 && sel >= first + room ? sel - room + 1 : first; }

#endif
