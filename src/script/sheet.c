/* An evaluation as people read it: scripts/lib/hone/report.lua makes the text for the command line that print(rep), rep:table() and rep:confusion() give a
 * script. Script thread. */
#include "config.h"

#include "src/script/state.h"

#include <stddef.h>

struct sheet_args {
    struct val *report;
    char *command;
};

static int run_sheet(struct call *c, const void *args, struct err *e) {
    const struct sheet_args *a = args;
    struct val *command = a->command ? val_str(a->command) : NULL;
    int rc = cmds_ask(c, "hone.report", "sheet", (const struct val *const[]){a->report, command, NULL}, e);
    val_free(command);
    return rc;
}

static const struct arg sheet_argv[] = {
    {"report", "what the command gave", NULL, NULL, ARG_TABLE, offsetof(struct sheet_args, report), ARG_POSITIONAL | ARG_REQUIRED},
    {"command", "its name", NULL, "eval", ARG_STR, offsetof(struct sheet_args, command)},
    {NULL},
};
const struct cmd cmd_sheet = {{"sheet", "an evaluation as text: its metrics, the classes, the confusion", NULL, sheet_argv, sizeof(struct sheet_args)},
    OWNER_SCRIPT, CMD_HIDDEN | CMD_WATCHER, run_sheet, NULL};
