/* What the record of a run says about how it was made, for one that goes on from it. Engine thread. */
#ifndef HONE_ENGINE_CMDS_RESUME_H
#define HONE_ENGINE_CMDS_RESUME_H

#include "src/call/job.h"

/* The argument table of j's call, a new one: with resume=, what is not given there comes from the run's record, the model from the checkpoint, the data
 * set loaded again (another content is refused). Without resume= a plain copy. NULL with a sentence. */
struct val *resume_args(struct job *j, struct err *e);
struct val *resume_fill(struct hub *h, struct val *args_take, struct err *e); /* the same for a table that is given */
int train_with(struct job *j, struct val *args_take, struct err *e); /* the job of train for such a table; NULL: it could not be made, *e says why */

#endif
