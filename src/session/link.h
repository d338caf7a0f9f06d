/* The plain end of the control socket: asks one thing at a time, or follows events. Blocking, with time limits. One thread. */
#ifndef HONE_SESSION_LINK_H
#define HONE_SESSION_LINK_H

#include <stdbool.h>

#include "src/base/buf.h"
#include "src/base/val.h"
#include "src/session/socket.h"

struct link {
    int fd;
    struct buf in;
    long next_id;
    char version[32]; /* of the session */
};

/* Connects and exchanges hello; role is owner or watcher. *hello: what the session answered, or NULL. */
int link_open(struct link *l, const struct place *p, const char *role, struct err *e);
int link_open_within(struct link *l, const struct place *p, const char *role, double timeout_s, struct val **hello, struct err *e);
/* The sessions of this user, of all folders: list of {folder, pid, run, state, step, epoch}. Asks each one: not for a thread that one of them waits for. */
struct val *link_sessions(struct err *e);
void link_close(struct link *l);
int link_send(struct link *l, const char *cmd, struct val *args_take, struct err *e); /* the request's id, or -1 */
/* Sends and waits for the answer; timeout_s < 0: for ever. stop_fd readable (or -1): gives up with ERR_STOPPED. *result may be NULL. */
int link_call(struct link *l, const char *cmd, struct val *args_take, double timeout_s, int stop_fd, struct val **result, struct err *e);
/* A line that is there, without waiting; NULL: none yet, or with *gone: there will be none. */
struct val *link_take(struct link *l, bool *gone);
/* Next JSON line; NULL with *e: session gone, time over (ERR_FAIL), stop_fd readable (ERR_STOPPED). */
struct val *link_next(struct link *l, double timeout_s, int stop_fd, struct err *e);

#endif
