/* What is said to a terminal besides its cells: title, notification, clipboard. Text goes through the sink; nothing here
 * decides whether the terminal understands it. Pure. */
#ifndef HONE_UI_TERM_OSC_H
#define HONE_UI_TERM_OSC_H

#include <stdbool.h>
#include <stddef.h>

#include "src/base/buf.h"

enum notify { NOTIFY_OFF, NOTIFY_AUTO, NOTIFY_OSC9, NOTIFY_OSC777 }; /* ORDER of the setting notify */
enum { OSC_COPY_MAX = 48 * 1024 }; /* bytes of text; xterm's limit is higher, tmux passes on 100 KB */

#define OSC_TITLE_KEEP "\033[22;2t" /* the title goes onto the terminal's stack; the client takes it back: src/session/wire.c */
void osc_title(struct buf *out, const char *text, bool ascii); /* OSC 2 */
/* OSC 9 (iTerm2, Windows Terminal, kitty, foot ...) or OSC 777 (rxvt, VTE); AUTO: what a terminal of that name is known for, else nothing. */
void osc_notify(struct buf *out, enum notify how, const char *term, const char *text, bool ascii);
bool osc_copy(struct buf *out, const char *text, size_t n); /* OSC 52, base64; false: too long, nothing was added */

#endif
