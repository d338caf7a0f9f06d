/* The client of a dashboard: it owns the real terminal (raw mode, reading keys, writing frames, restoring) and knows nothing of
 * what is drawn. Main thread of the client process. */
#ifndef HONE_SESSION_CLIENT_H
#define HONE_SESSION_CLIENT_H

#include "src/base/val.h"
#include "src/session/socket.h"

/* Called once, when the first frame is on the screen; -1 with *e ends the dashboard. */
struct client_then {
    int (*fn)(void *ctx, struct err *e);
    void *ctx;
};
/* Attaches the terminal on descriptors 0 and 1 to the session and stays until detached. wishes: {colors, glyphs, budget}. Returns
 * the exit code; *e is set when the dashboard could not be shown or the session died. */
int client_attach(const struct place *p, const struct val *wishes, const struct client_then *then, struct err *e);
/* The same over a connection that is there already; it is closed at the end. */
int client_attach_to(int sock, const struct val *wishes, const struct client_then *then, struct err *e);
/* One write of a prepared string and the line settings back; async-signal-safe, nothing if no terminal is held. */
void client_restore_now(void);
struct termios;
/* What client_restore_now restores while line mode edits a line on descriptors 0 and 1; NULL: nothing. */
void client_guard(const struct termios *t);
/* `hone reset`: restores modes and sane line settings of the terminal on descriptor 0 or 1. */
int client_reset(struct err *e);

#endif
