/* The commands of the engine: their rows live in the files of this folder, one line each here, sorted. */
#include "src/call/cmd.h"

/* clang-format off */
#define CMDS(X) \
    X(bench) \
    X(clone) \
    X(compare) \
    X(compress) \
    X(data) \
    X(data_fetch) \
    X(data_ls) \
    X(data_show) \
    X(doctor) \
    X(eval) \
    X(field) \
    X(fork) \
    X(gpus) \
    X(load) \
    X(lr_range) \
    X(machine) \
    X(macs) \
    X(model) \
    X(params) \
    X(predict) \
    X(save) \
    X(summary) \
    X(table) \
    X(train)
/* clang-format on */

#define DECLARE(name) extern const struct cmd cmd_##name;
CMDS(DECLARE)

#define ROW(name) &cmd_##name,
const struct cmd *const cmds_engine[] = {CMDS(ROW) NULL};
