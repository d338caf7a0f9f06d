/* Commands about the session itself. The words of the command line that attach or watch are rows here too, so that help and
 * the manual know them; they act in the client, before a session is asked. UI thread. */
#include "config.h"

#include <stddef.h>

#include "src/call/call.h"
#include "src/session/link.h"
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

static int run_sessions(struct call *c, const void *args, struct err *e) {
    (void)args;
    struct val *list = link_sessions(e);
    if (!list) return -1;
    call_result(c, list);
    return 0;
}

struct switch_args {
    char *folder;
};
static int run_switch(struct call *c, const void *args, struct err *e) {
    (void)c;
    return server_switch(((const struct switch_args *)args)->folder, e);
}
static const struct arg switch_args[] = {
    {"folder", "whose session", NULL, NULL, ARG_PATH, offsetof(struct switch_args, folder), ARG_POSITIONAL | ARG_REQUIRED, 0, 0, 0, NULL, SRC_FILE}, {0}};

struct word_args {
    char *name;
    struct val *args;
};
static const struct arg demo_args[] = {{"name", "fashion, intents, article, credit or another one of share/hone/experiments", NULL, "fashion", ARG_STR,
                                           offsetof(struct word_args, name), ARG_POSITIONAL},
    {"args", "what the example sees in the table arg", NULL, NULL, ARG_TABLE, offsetof(struct word_args, args), ARG_POSITIONAL | ARG_REST}, {0}};
static const struct arg run_args[] = {{"script", "the Lua file of the experiment", NULL, NULL, ARG_PATH, offsetof(struct word_args, name),
                                          ARG_POSITIONAL | ARG_REQUIRED, 0, 0, 0, NULL, SRC_FILE},
    {"args", "what the script sees in the table arg", NULL, NULL, ARG_TABLE, offsetof(struct word_args, args), ARG_POSITIONAL | ARG_REST}, {0}};
static const struct arg watch_args[] = {{"run", "its name; without it the session's run, else the newest of the folder", NULL, NULL, ARG_STR,
                                            offsetof(struct word_args, name), ARG_POSITIONAL, .source = SRC_RUN},
    {0}};
static const struct cmd cmd_demo = {{"demo", "runs a built-in example on real data: on a terminal with the dashboard, elsewhere in lines",
                                        "-- in a shell: hone demo fashion", demo_args, sizeof(struct word_args)},
    OWNER_ANY, CMD_LINE | CMD_SHELL, only_shell, NULL};
static const struct cmd cmd_run = {{"run", "runs an experiment script: on a terminal in this folder's session with the dashboard, elsewhere in lines",
                                       "-- in a shell: hone run script.lua", run_args, sizeof(struct word_args)},
    OWNER_ANY, CMD_LINE | CMD_SHELL, only_shell, NULL};
static const struct cmd cmd_attach = {{"attach", "shows the dashboard of this folder's session on this terminal", "-- in a shell: hone attach", NULL, 0},
    OWNER_ANY, CMD_LINE | CMD_SHELL, only_shell, NULL};
static const struct cmd cmd_watch = {
    {"watch", "shows a run, read only: on a terminal the dashboard's screens in a process of their own, elsewhere its events as lines",
        "-- in a shell: hone watch", watch_args, sizeof(struct word_args)},
    OWNER_ANY, CMD_LINE | CMD_SHELL, only_shell, NULL};
static const struct cmd cmd_reset = {{"reset", "mends a terminal that a killed program left in disorder", "-- in a shell: hone reset", NULL, 0}, OWNER_ANY,
    CMD_LINE | CMD_SHELL, only_shell, NULL};
static const struct cmd cmd_clients = {
    {"clients", "tells who is connected to this session", "hone.clients{}", NULL, 0}, OWNER_UI, CMD_WATCHER, run_clients, NULL};
static const struct cmd cmd_shutdown = {{"shutdown", "stops the jobs at the next step, saves, and ends this folder's session", "hone.shutdown{}", NULL, 0},
    OWNER_UI, CMD_LINE | CMD_CONFIRM | CMD_WHILE_RUNNING, run_shutdown, NULL};

static const struct cmd cmd_sessions = {
    {"sessions", "lists your live sessions, of all folders", "for _, s in ipairs(hone.sessions{}) do print(s.folder, s.state) end", NULL, 0}, OWNER_HELPER,
    CMD_LINE | CMD_WATCHER | CMD_WHILE_RUNNING, run_sessions, NULL};
static const struct cmd cmd_switch = {
    {"switch", "takes this terminal to the session of another folder", "hone.switch{\"../other\"}", switch_args, sizeof(struct switch_args)}, OWNER_UI,
    CMD_WHILE_RUNNING, run_switch, NULL};

const struct cmd *const cmds_session[] = {
    &cmd_attach, &cmd_clients, &cmd_demo, &cmd_reset, &cmd_run, &cmd_sessions, &cmd_shutdown, &cmd_switch, &cmd_watch, NULL};
