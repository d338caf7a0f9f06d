/* The curve of another run that stands behind those of a chart: the run before, the best one, or the mean over seeds. Runs of this process are
 * read from the record; stored ones are asked for once (command curves) and kept while the same run is shown. UI thread. */
#ifndef HONE_UI_GHOST_H
#define HONE_UI_GHOST_H

#include "ui/private.h"

struct ghost {
    char name[64]; /* of the run, or what it is the mean of */
    struct run *live; /* a run of this process; NULL: the buckets */
    const struct bucket *b;
    size_t n;
};
const struct ghost *ghost_find(struct ui *u, const char *metric); /* NULL: none, or not yet */
bool ghost_twin(struct ui *u, struct run *r, const char *metric); /* has it, and is the current run or differs from that only in the seed */
void ghost_free(struct ui *u);

#endif
