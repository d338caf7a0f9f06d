/* For the files of ui that end in rows of commands: the beginning of a command's function and the shape of its row. The
 * commands act on the one dashboard of the process; UI thread. */
#ifndef HONE_UI_ROWS_H
#define HONE_UI_ROWS_H

#include "ui/private.h"

struct pick_args {
    int what;
};

/* The first line of a run function (c, args, e) without arguments: u is the dashboard. */
#define BEGIN_NONE              \
    struct ui *u = ui_bound(e); \
    (void)c;                    \
    (void)args;                 \
    if (!u) return -1;          \
    u->dirty = true
/* The same, and a is the parsed arguments. */
#define BEGIN(type)              \
    const struct type *a = args; \
    BEGIN_NONE

/* The table of one argument that is one of some names. */
#define PICK(id, about, names, flags, def)   \
    static const struct arg id##_table[] = { \
        {#id, about, NULL, def, ARG_ENUM, offsetof(struct pick_args, what), ARG_POSITIONAL | (flags), 0, 0, 0, names, SRC_NONE}, {0}}

/* The row id##_cmd of the function id##_run; private.h declares it, cmds_ui lists it. */
#define ROW_NONE(id, about) const struct cmd id##_cmd = {{#id, about, "hone." #id "{}", NULL, 0}, OWNER_UI, CMD_WHILE_RUNNING, id##_run, NULL}
#define ROW(id, about, table, type) \
    const struct cmd id##_cmd = {{#id, about, "hone." #id "{}", table, sizeof(struct type)}, OWNER_UI, CMD_WHILE_RUNNING, id##_run, NULL}
#define ROW_EX(id, about, example, table, type) \
    const struct cmd id##_cmd = {{#id, about, example, table, sizeof(struct type)}, OWNER_UI, CMD_WHILE_RUNNING, id##_run, NULL}

#endif
