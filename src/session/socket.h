/* Where a session is found: one socket a real folder, in a directory that only its owner can enter. The directory is opened
 * once and everything below it is reached through that descriptor, so nothing planted later is followed. Any thread. */
#ifndef HONE_SESSION_SOCKET_H
#define HONE_SESSION_SOCKET_H

#include <stdbool.h>

#include "src/base/err.h"

struct place {
    int dir; /* descriptor of the directory, -1: not open */
    char path[512]; /* of the directory, for messages */
    char folder[4096]; /* the real folder whose session this is */
    char id[17]; /* from the folder's path: ID.sock, ID.lock */
};

/* HONE_SOCKET_DIR or /tmp/hone-UID. make: create it when missing. Refuses links, other owners, group or world bits, a parent in
 * which others could replace it. Missing and not made: -1 with *e, and p->dir == -1. */
int place_open(struct place *p, const char *folder, bool make, struct err *e);
/* Calls fn for each socket in the directory: a place that shares p's descriptor and knows its folder only by id. */
void place_each(const struct place *p, void (*fn)(void *ctx, const struct place *one), void *ctx);
void place_close(struct place *p);
/* Lock of the session process, held while it lives. Descriptor; -1: held by another (*e untouched); -2: failed. */
int place_lock(const struct place *p, struct err *e);
bool place_taken(const struct place *p); /* a session holds the lock */
int place_listen(const struct place *p, struct err *e); /* only with the lock; a stale socket is replaced, anything else refused */
int place_connect(const struct place *p, struct err *e); /* descriptor, or -1: nobody there or refused (sentence) */
void place_remove(const struct place *p); /* the socket, at the session's end */
bool socket_peer_is_me(int fd); /* credentials of the other end: same user */

#endif
