/* Starting the session process of a folder: this program again with --session, in a session of its own. */
#ifndef HONE_SESSION_SPAWN_H
#define HONE_SESSION_SPAWN_H

#include "src/base/err.h"
#include "src/session/socket.h"

/* Connectable on return: finds a running session or starts one. extra: options for the new process, NULL-terminated. */
int spawn_session(const struct place *p, const char *const *extra, struct err *e);

/* The viewer process of `hone watch`: this program with --viewer and `extra`. The client's end of its connection, or -1. */
int spawn_viewer(const char *const *extra, struct err *e);

#endif
