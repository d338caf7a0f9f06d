/* The terminal side: a cell grid becomes the bytes of one frame. The only file that knows curses. ncurses writes into a memory
 * file, never to a terminal; sizes come from the client. One screen at a time; UI thread only. */
#ifndef HONE_UI_TERM_SCREEN_H
#define HONE_UI_TERM_SCREEN_H

#include "src/call/port.h"
#include "ui/draw/grid.h"

struct screen;
struct screen *screen_open(const struct term_info *t, struct err *e);
void screen_close(struct screen *s); /* frees it; its bytes are dropped: the client restores the terminal */
void screen_resize(struct screen *s, int rows, int cols); /* the next frame is a full one */
void screen_looks(struct screen *s, const char *colors, const char *glyphs); /* as in term_info; the next frame is a full one if colours change */
void screen_clear(struct screen *s); /* the next frame starts from an empty screen: cheaper where little stays */
void screen_redraw(struct screen *s); /* the next frame repaints everything and enters the alternate screen again */
/* With a limit above 0 rows are drawn until it is reached, the rest by later calls, from where this one ended: `whole` tells
 * whether all is drawn. A full frame knows no limit. */
size_t screen_frame_part(struct screen *s, struct grid *g, size_t limit, bool *whole, struct buf *out);
/* Appends the bytes that turn what was shown into g; returns how many. 0: nothing differs. Blanks of g may change their style. */
size_t screen_frame(struct screen *s, struct grid *g, struct buf *out);
void screen_bell(struct screen *s); /* with the next frame */
struct buf *screen_more(struct screen *s); /* bytes for behind the next frame's cells: osc.h, modes */
bool screen_titles(const struct screen *s); /* the terminal is known to have a title */
bool screen_mouse(const struct screen *s); /* and a mouse */
/* Columns at the right to leave empty: of a type that says the cursor wraps at once (ansi), most terminals in use wrap later, and what ncurses
 * then takes for its place is wrong. */
int screen_spare(const struct screen *s);
/* The first frame then draws SCREEN_PROBE in the empty corner and asks where the cursor is: column SCREEN_PROBE_COLS (0-based) where
 * glyphs are as wide as we think. Where only ASCII is drawn it asks for the status instead. */
void screen_probe(struct screen *s);
bool screen_asked(const struct screen *s); /* the first frame did so; it does not where it finds no sequence that clears the screen */
#define SCREEN_PROBE "\xe2\xa3\xbf\xe2\x94\x80" /* braille; a line piece, wide where the terminal takes ambiguous ones for wide */
#define SCREEN_PROBE_COLS 2
bool screen_ascii(const struct screen *s); /* the client's codeset is not UTF-8 */
enum glyphs screen_glyphs(const struct screen *s); /* the best set for this terminal, or the one asked for */
const char *screen_note(const struct screen *s); /* what to say once (another TERM was used), or NULL */
int screen_colors(const struct screen *s); /* 256 16 8 0 */

/* Colours of the series in the 256-colour palette, for the test of their distances. */
extern const short screen_series_256[8], screen_ink_256[INK_SERIES]; /* -1: the terminal's own foreground */

#endif
