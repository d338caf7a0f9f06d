/* The session process's loop on the UI thread: clients on the control socket, the one attached dashboard, the run record's
 * news, the UI's calls, signals, captured output of native libraries. It blocks nowhere but in poll. */
#ifndef HONE_SESSION_SERVER_H
#define HONE_SESSION_SERVER_H

#include <stdbool.h>

#include "src/call/call.h"
#include "src/call/port.h"
#include "src/session/socket.h"

struct server_config {
    struct hub *hub;
    struct runs *runs;
    const struct ui_port *ui;
    const struct script_port *script;
    const struct place *place;
    int listen_fd;
    int captured; /* read end of the pipe on stdout and stderr, or -1 */
    int signal_fd; /* readable after a signal */
    bool (*preempted)(void); /* a signal asked to end */
    int (*start)(void *ctx, struct err *e); /* engine and script threads: called after the first frame, or when first needed */
    void *start_ctx;
    double idle_s; /* ends after that long without job and client */
    /* hone watch: the only client comes with the start, and the record is filled from elsewhere */
    bool viewer;
    int client_fd, feed_fd; /* a viewer's; feed_fd may change, -1: nothing to wait for */
    double (*feed)(void *ctx, int *feed_fd); /* called when feed_fd is readable and when its time has come: seconds until it wants to be called again */
    void *feed_ctx;
    const char *version;
};
enum { SERVER_ENDED = 0, SERVER_FAILED = 1, SERVER_PREEMPTED = 75 };
int server_run(const struct server_config *cfg); /* one of the above */

/* For the commands of cmds.c, UI thread. */
void server_shutdown(void); /* ends the session when jobs have stopped */
int server_switch(const char *folder, struct err *e); /* asks the attached client to go to the session of another folder */
struct val *server_clients(void); /* list of {role, attached, since} */

#endif
