/* What goes over the control socket: JSON lines; after `attach` frames of one type byte, a little-endian 32-bit length and that
 * many bytes. Plus the strings and line settings with which a terminal is restored, known to both ends. Any thread. */
#ifndef HONE_SESSION_WIRE_H
#define HONE_SESSION_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <termios.h>

#include "src/base/buf.h"

enum {
    WIRE_LINE_MAX = 64 * 1024, /* of a JSON line */
    WIRE_UP_MAX = 64 * 1024, /* of a frame from client to session */
    WIRE_DOWN_MAX = 16 << 20, /* the other way: the largest screen seen was 2.1 MB */
    WIRE_CLIENTS = 16
};
enum wire_type {
    /* client to session */
    WIRE_KEYS = 'k', /* bytes as read from the terminal */
    WIRE_ACK = 'a', /* the last frame has been written */
    WIRE_SIZE = 's', /* rows, columns: two 16-bit numbers */
    WIRE_REDRAW = 'r', /* the same; the terminal was used by others meanwhile */
    WIRE_DETACH = 'd',
    WIRE_NOTE = 'n', /* a sentence for the dashboard's log */
    WIRE_EDITED = 'e', /* a byte, 1 in the last piece, and a piece of the text that comes back from the editor; none comes where that failed */
    /* session to client */
    WIRE_FRAME = 'F',
    WIRE_FRESH = 'N', /* the answer to WIRE_REDRAW: frames before it were for the screen as it was, the next one draws it whole */
    WIRE_EDIT = 'E', /* a text for the user's editor: the client gives it the terminal and asks for a redraw at its end, which acknowledges it */
    WIRE_SWITCH = 'S', /* the folder whose session is wanted instead; the client looks for itself */
    WIRE_END = 'X' /* exit code byte, then text for below the prompt */
};
#define WIRE_HEAD 5

void wire_put(struct buf *out, enum wire_type type, const void *data, size_t n);
/* A complete frame at the start of p? Its whole size with *type, *data, *n set; 0: not yet; -1: longer than max. */
long wire_get(const char *p, size_t len, size_t max, enum wire_type *type, const char **data, size_t *n);
void wire_put_size(struct buf *out, enum wire_type type, int rows, int cols);
bool wire_size(const char *data, size_t n, int *rows, int *cols);
void wire_eat(struct buf *b, size_t n); /* removes n bytes at the front */

/* Mouse off, paste off, cursor on, alternate screen off; titled: the window's title comes back from the terminal's stack. */
const char *wire_restore(const char *term, bool titled);
#define WIRE_TITLE_KEPT "\033[22;2t" /* a frame that holds it put the title there: OSC_TITLE_KEEP of ui/term/osc.h */
bool wire_same_modes(const struct termios *a, const struct termios *b);

#endif
