/* From what a user gives (a handle, a path, a name, nothing) to the model or data set it stands for. Engine thread. */
#ifndef HONE_ENGINE_CMDS_PICK_H
#define HONE_ENGINE_CMDS_PICK_H

#include "engine/model/hf.h"
#include "engine/model/model.h"

/* v: HANDLE_DATA, HANDLE_PART (*part set), a name or path, or NULL/nil: the newest one. A reference that the caller gives back. part may be NULL. */
struct dataset *pick_data(const struct val *v, int *part, struct err *e);
/* The same; what is loaded from a name or path is prepared as the model's training data was, with its classes. Nothing: what the run read that m was loaded
 * from, where it was loaded from one. */
struct dataset *pick_data_for(const struct val *v, const struct model *m, int *part, struct err *e);
/* As it was read for the run that m was loaded from. NULL without an error: m is of no run, or nothing tells what that read. */
struct dataset *pick_data_of_run(const struct model *m, struct err *e);
const struct part *pick_part(const struct dataset *d, int part, const char **name, struct err *e); /* that part; below 0: test, else val, else train */
/* Of the table of hone.data; like: a model's description, as whose training data they are prepared, or NULL. */
struct dataset *pick_load_data(const struct val *args, const struct val *like, struct err *e);
/* v: HANDLE_MODEL, a path, the name of a run, or NULL/nil: the newest one. Borrowed from the table of objects. */
struct model *pick_model(const struct val *v, struct err *e);
/* The name means something that is stored: a file or folder, a run, a pretrained model of the recipe table. *folder: heap, where it is of transformers;
 * else NULL. False with *e: a pretrained model that is not here. */
bool pick_is_stored(const char *name, char **folder, struct err *e);
/* pair.c: what model= and data= of a command mean together. model may also be a name of scripts/lib/hone/models.lua, or {NAME, ARG=..}; data that are named
 * are then read as the model wants them. m is borrowed from the table of objects, d a reference; part -1: all of them. In a job: a name asks the script
 * thread. */
struct job;
struct pair {
    struct model *m;
    struct dataset *d;
    int part;
};
int pick_pair(struct job *j, const struct val *model, const struct val *data, struct pair *out, struct err *e);
/* A saved model, a run (its best or last checkpoint), a folder of transformers, or a pretrained model of the recipe table by its name. o: zero, dropout
 * below: as the folder says. A new model, or NULL. */
struct model *pick_load(const char *path, const struct hf_options *o, struct err *e);
/* Before any thread: where runs lie, whose names stand for their best or last checkpoint; borrowed, NULL: nowhere. */
void pick_runs(const char *dir);
/* engine/cmds/fit.c: d as the model takes it, for `parts` (bits 1 << PART_..). A reference that the caller gives back; NULL: other classes, or ids beyond
 * its table. pick_fit: texts encoded in another way than the model's training data were are encoded anew as those were. */
struct dataset *pick_fit(const struct model *m, struct dataset *d, unsigned parts, struct err *e);
/* The same of one part p of d: that part of *fit, whose reference the caller gives back. NULL, and *fit too. */
const struct part *pick_fit_part(const struct model *m, struct dataset *d, const struct part *p, struct dataset **fit, struct err *e);
/* pick_pair, the data made to fit for training (its training and validation part): as pick_fit, but where only the length of texts differs, it becomes the
 * model's own (its preparation and input say so from then on); texts longer than its positions are cut. */
int pick_pair_training(struct job *j, const struct val *model, const struct val *data, struct pair *out, struct err *e);

#endif
