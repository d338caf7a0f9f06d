/* A text in the user's editor, on the terminal that this process has. Blocks until the editor has ended. */
#ifndef HONE_SESSION_EDITOR_H
#define HONE_SESSION_EDITOR_H

#include <stdbool.h>
#include <stddef.h>

#include "src/base/buf.h"
#include "src/base/err.h"

/* Whose terminal it is: given to the editor and taken back while the keyboard's signals are the editor's, so that a Ctrl-C typed meanwhile is never
 * taken for one that ends the caller. */
struct editor_host {
    void (*give)(void *), (*take)(void *);
    void *ctx;
    bool (*over)(void); /* asked now and then, true hangs the editor up */
};

/* $VISUAL (not on a dumb terminal), else $EDITOR, else vi, on a file of mode 0600 in a folder of its own. host: NULL: the terminal is as the editor
 * wants it. What was saved is appended to out, without newlines at its end. -1: the editor failed or left no text, which is then to stay as it was. */
int editor_run(const char *text, size_t n, const struct editor_host *host, struct buf *out, struct err *e);

#endif
