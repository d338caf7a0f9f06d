/* What the GPUs of this machine do: the newest readings of their thread. Answers at once, on the caller's thread. */
#include "config.h"

#include "engine/graph/gpus.h"
#include "src/call/call.h"

static int gpus_run(struct call *c, const void *args, struct err *e) {
    (void)args, (void)e;
    call_result(c, gpus_now());
    return 0;
}
extern const struct cmd cmd_gpus;
const struct cmd cmd_gpus = {
    {"gpus",
        "load, memory, temperature, power, clocks of the GPUs and what slows them down, as last read (at most every two seconds); age: how "
        "many seconds ago that was",
        "for _, g in ipairs(hone.gpus{}.gpus) do print(g.name, g.use_percent) end", NULL, 0},
    OWNER_ANY, CMD_WATCHER | CMD_WHILE_RUNNING, gpus_run, NULL};
