/* The series of a run on disk. series.bin beside metrics.bin holds the pyramid of every series, so that one metric of a run of a million steps
 * opens in one small read. It is made from metrics.bin and never trusted over it: it says how far it went and which record ended there; what
 * came after is read on, and a file that does not fit is made anew. These functions read and write files: not for the UI thread. */
#ifndef HONE_RUN_PYRAMID_H
#define HONE_RUN_PYRAMID_H

#include "src/base/err.h"
#include "src/run/series.h"

struct pyramid {
    struct series *series[RUN_MAX_METRICS]; /* in order of first appearance */
    int n;
};
/* dir: a run's folder. only: one metric, NULL: all of them. Keeps series.bin up to date where that saves the next reader much. 0, or -1. */
int pyramid_read(const char *dir, const char *only, struct pyramid *out, struct err *e);
void pyramid_release(struct pyramid *p);
struct series *pyramid_find(const struct pyramid *p, const char *name);

/* The series of a stored run in at most n buckets of 2^k steps, as run_series gives those of a live one: the ghost curve of another run. runs_folder:
 * runs_dir(rs); *k may be NULL. How many buckets; 0: no such run or series. */
size_t stored_series(const char *runs_folder, const char *run, const char *metric, struct bucket *out, size_t n, int *k);

/* Last value and extremes of every metric, without the curves. How many, at most max; -1: the files cannot be read. */
struct metric_ends {
    char name[32];
    struct series_ends ends;
};
int pyramid_ends(const char *dir, struct metric_ends *out, int max, struct err *e);

/* For the writer of a run: the bytes of series.bin, of which metrics.bin up to byte `covered` is the source; len_crc: of its last record. */
void pyramid_pack(struct buf *out, struct series *const *series, int n, int64_t covered, const uint32_t len_crc[2]);
int pyramid_save(const char *dir, const struct buf *packed, struct err *e);

#endif
