/* What main needs of the engine: start and stop, catalogues for the fronts, the command list (engine/cmds/list.c). */
#ifndef HONE_ENGINE_ENGINE_H
#define HONE_ENGINE_ENGINE_H

#include "src/call/call.h"
#include "src/call/port.h"

/* Before any other thread: chooses the instruction set, opens the BLAS. Cheap (<= 20 ms). */
int engine_init(struct err *e);
int engine_start(struct hub *h, struct err *e); /* starts engine thread and helper thread */
void engine_stop(void);
int engine_rank(int rank, struct err *e); /* this process is one more rank of a run, until that tells it to end; descriptor 3: what ranks share */
int engine_device(const char *name, struct err *e); /* is this device there? "cuda", "cuda:N" */
extern const struct catalog *const engine_catalogs; /* nn optim sched loss ...; ends with group == NULL. Filled by engine_init */
void engine_version(struct buf *b); /* one line: kernels, BLAS, core */

#endif
