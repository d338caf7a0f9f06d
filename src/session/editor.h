/* A text in the user's editor, on the terminal that this process has. Blocks until the editor has ended. */
#ifndef HONE_SESSION_EDITOR_H
#define HONE_SESSION_EDITOR_H

#include <stdbool.h>
#include <stddef.h>

#include "src/base/buf.h"
#include "src/base/err.h"

/* $VISUAL (not on a dumb terminal), else $EDITOR, else vi, on a file of mode 0600 in a folder of its own. over: asked now and then, true hangs the
 * editor up; NULL: never. What was saved is appended to out, without newlines at its end. -1: the editor failed or left no text, which is then to
 * stay as it was. */
int editor_run(const char *text, size_t n, bool (*over)(void), struct buf *out, struct err *e);

#endif
