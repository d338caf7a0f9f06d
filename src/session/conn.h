/* One client of the session: JSON lines, or frames once attached. UI thread only. */
#ifndef HONE_SESSION_CONN_H
#define HONE_SESSION_CONN_H

#include <stdbool.h>
#include <stdint.h>
#include <termios.h>

#include "src/base/buf.h"
#include "src/session/server.h"
#include "src/session/wire.h"

enum conn_state { CONN_LINES, CONN_ATTACHED, CONN_CLOSING /* what is in out is sent, then closed */ };
struct conn {
    int fd; /* -1: free slot */
    uint64_t serial; /* never reused */
    enum conn_state state;
    bool watcher, subscribed;
    uint64_t next_event;
    struct buf in, out;
    double stalled; /* since when out did not move; 0: it moves */
    int pending; /* calls under way */
    double since;
    /* attached */
    bool unread; /* a frame was sent and not acknowledged */
    int passed, tty; /* descriptors: received, not yet claimed; the terminal's. -1: none */
    struct termios modes, raw;
    bool have_modes;
    char term[64];
    struct buf edited; /* pieces of a text from the editor */
    struct val *wishes; /* the arguments of attach, for a redraw on a terminal that others used meanwhile */
};

struct server {
    const struct server_config *cfg;
    struct conn conn[WIRE_CLIENTS];
    struct conn *attached; /* or NULL */
    struct queue replies; /* finished calls of clients */
    uint64_t serial;
    int watch; /* eventfd of the run record */
    bool watching, started, ending, preempt;
    double now, quiet_since, watch_after, end_by, started_at;
    int feed_fd;
    double feed_at; /* when the feed wants to be called */
    struct buf frame, line; /* reused */
};

void conn_accept(struct server *s);
void conn_add(struct server *s, struct conn *c, int fd); /* into a free slot */
void conn_readable(struct server *s, struct conn *c);
void conn_flush(struct server *s, struct conn *c);
void conn_close(struct server *s, struct conn *c); /* the client is gone or dropped */
void conn_reply(struct server *s, struct call *c_take); /* a call of a client has finished */
void conn_events(struct server *s, struct conn *c); /* news for a subscriber */
void conn_say(struct conn *c, const struct val *v); /* one JSON line */
/* Ends the dashboard of an attached client: last screen and `why` below its prompt, exit code. */
void conn_end(struct server *s, struct conn *c, int code, const char *why);
void server_start(struct server *s); /* once: engine and script threads */

#endif
