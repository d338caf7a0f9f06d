/* Checkpoints: runs/NAME/ckpt/STEP/{model.json, model.safetensors, state.safetensors, commit}. A folder is written beside its place, every part
 * synced, the commit record (size and SHA-256 of each part) last, then renamed and its parent synced. Older ones go only after the next is durable:
 * the best and the last stay. The engine thread stages copies; a writer thread does the rest. */
#ifndef HONE_ENGINE_TRAIN_CKPT_H
#define HONE_ENGINE_TRAIN_CKPT_H

#include "engine/model/model.h"
#include "engine/optims/optim.h"

struct ckpt_done { /* how a save ended */
    int64_t step, bytes;
    bool best, ok;
    double seconds;
    char text[ERR_TEXT]; /* path, or the sentence of the error */
};
struct ckpt_writer;
/* dir: the run's folder. Nothing is staged before the first put. */
struct ckpt_writer *ckpt_writer_new(const char *dir, struct err *e);
/* average: weights that are saved as the model's, while those that training goes on from lie in the state as NAME/raw; NULL: none.
 * Stages a copy and returns; waits while one save goes on and another is staged (a large model: while one goes on).
 * meta_take: the training state. */
int ckpt_writer_put(struct ckpt_writer *w, const struct model *m, const struct optimiser *o, const float *average, struct val *meta_take, int64_t step,
    bool best, struct err *e);
bool ckpt_writer_done(struct ckpt_writer *w, struct ckpt_done *out); /* true: a save ended that was not told yet, oldest first */
void ckpt_writer_wait(struct ckpt_writer *w); /* until nothing is being written */
size_t ckpt_writer_bytes(const struct ckpt_writer *w); /* staging memory */
void ckpt_writer_free(struct ckpt_writer *w); /* waits first */

/* Another run's checkpoint becomes the best one of this folder (hard links, or copies on another file system). Before the first put. */
int ckpt_writer_adopt(struct ckpt_writer *w, const char *folder, struct err *e);

/* Reading. path: a run's folder, its ckpt folder or one STEP folder. The newest one whose commit record fits its parts is taken; each that does not
 * is named in a notice. Gives the folder (heap) and the training state; NULL with a sentence if there is none. */
char *ckpt_find(const char *path, struct val **meta, struct err *e);
/* average: as ckpt_writer_put had one, else NULL. Weights into m (same parameters, else a sentence), optimiser state into o (already laid out). */
int ckpt_load(const char *folder, struct model *m, struct optimiser *o, float *average, struct err *e);

int ckpt_weights(const char *folder, const struct model *m, void *data, struct err *e); /* laid out as m->data */
char *ckpt_at(const char *folder, int64_t step); /* the whole checkpoint of that step beside another one (heap), or NULL */

#endif
