/* What handles stand for: data sets and models of this process. A handle is an index and a generation, so one of something that was
 * dropped is recognised. Data sets are shared by reference count and may be taken by any thread; models belong to the engine thread. */
#ifndef HONE_ENGINE_CMDS_OBJECTS_H
#define HONE_ENGINE_CMDS_OBJECTS_H

#include <stddef.h>

#include "datasets/dataset.h"
#include "src/base/err.h"
#include "src/base/val.h"

struct model; /* engine/model/model.h */

struct handle objects_add_data(struct dataset *d_take);
struct handle objects_add_model(struct model *m_take);
/* A reference that the caller gives back with dataset_unref; HANDLE_PART gives its data set. NULL with a sentence: no such data set. */
struct dataset *objects_data(struct handle h, struct err *e);
struct model *objects_model(struct handle h, struct err *e); /* borrowed; engine thread only */
/* Takes it out of the table; its handles are dead from then on. Models: engine thread, which frees what it gets. */
struct model *objects_take_model(struct handle h, struct err *e);
int objects_drop_data(struct handle h, struct err *e);
/* The i-th live handle of a kind in the order of making, id 0 at the end. */
struct handle objects_at(enum handle_kind kind, size_t i);
void objects_release(void (*free_model)(struct model *m)); /* at the end of the process, all other threads joined */

#endif
