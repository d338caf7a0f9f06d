/* Commands about the session itself. The words of the command line that attach or watch are rows here too, so that help and
 * the manual know them; they act in the client, before a session is asked. UI thread. */
#include "config.h"

#include "src/call/call.h"
#include "src/session/server.h"

static int only_shell(struct call *c, const void *args, struct err *e) {
    (void)args;
    return err_code(e, ERR_USAGE, "%s is a word of the shell: hone %s", c->cmd->kind.name, c->cmd->kind.name);
}

static int run_shutdown(struct call *c, const void *args, struct err *e) {
    (void)c, (void)args, (void)e;
    server_shutdown();
    return 0;
}

static int run_clients(struct call *c, const void *args, struct err *e) {
    (void)args, (void)e;
    call_result(c, server_clients());
    return 0;
}

static const struct cmd cmd_attach = {
    {"attach", "the dashboard of this folder's session, on this terminal", "-- in a shell: hone attach", NULL, 0}, OWNER_ANY, CMD_LINE, only_shell, NULL};
static const struct cmd cmd_watch = {
    {"watch", "follow the session's events, read only", "-- in a shell: hone watch", NULL, 0}, OWNER_ANY, CMD_LINE, only_shell, NULL};
static const struct cmd cmd_reset = {
    {"reset", "mend a terminal that a killed program left in disorder", "-- in a shell: hone reset", NULL, 0}, OWNER_ANY, CMD_LINE, only_shell, NULL};
static const struct cmd cmd_clients = {
    {"clients", "who is connected to this session", "hone.clients{}", NULL, 0}, OWNER_UI, CMD_WATCHER, run_clients, NULL};
static const struct cmd cmd_shutdown = {
    {"shutdown", "stop the jobs at the next step, save, and end this folder's session", "hone.shutdown{}", NULL, 0},
    OWNER_UI, CMD_LINE | CMD_CONFIRM | CMD_WHILE_RUNNING, run_shutdown, NULL};

const struct cmd *const cmds_session[] = {&cmd_attach, &cmd_clients, &cmd_reset, &cmd_shutdown, &cmd_watch, NULL};
