/* What was done during a stored run, out of its journal: edits, notes, checkpoints asked for. Reads a file: not for the UI thread. */
#ifndef HONE_RUN_MARKS_H
#define HONE_RUN_MARKS_H

#include <stddef.h>
#include <stdint.h>

struct mark {
    int64_t step;
    double t; /* seconds since the run began */
    char text[160]; /* the Lua line, cut if long */
};
/* Those with a step, but for the line that began the run; in file order. How many, at most max. */
size_t marks_read(const char *dir, struct mark *out, size_t max);

#endif
