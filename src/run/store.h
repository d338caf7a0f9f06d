/* Reading what runs left on disk: points of metrics.bin, the description in run.json, and whether a run is alive.
 *
 * metrics.bin is a sequence of records: u32 length, u32 crc32 of the payload, payload, u32 length again (so that the end can be
 * read without the rest). Payload: u8 format, u16 number of names, {u8 length, bytes}.., then with format 1 rows of i64 step, f64 t,
 * f64 epoch, u16 n, n x {u16 name, f64 value}; with format 2 u32 bytes of those rows, u32 bytes of blocks, and zlib data of the blocks
 * that points.c makes of the rows, to the same bits. Little-endian. A record needs no other; a torn last record is not read. */
#ifndef HONE_RUN_STORE_H
#define HONE_RUN_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "src/base/err.h"
#include "src/base/val.h"
#include "src/run/record.h"

struct point { /* one row of one step, borrowed during the call */
    int64_t step;
    double t, epoch;
    size_t n;
    const char *const *names;
    const double *values;
};
/* All rows in file order; *cut: bytes at the end that are no whole record. A file that is not there has no rows. fn returns false to stop. */
int store_points(const char *path, bool (*fn)(void *ctx, const struct point *p), void *ctx, int64_t *cut, struct err *e);
/* The same from a byte where a record begins. store_record tells of the record that ends at byte `end`: its length and checksum, which a file that
 * was made from metrics.bin keeps to see whether it still fits. False: none ends there. */
int store_points_from(const char *path, int64_t from, bool (*fn)(void *ctx, const struct point *p), void *ctx, int64_t *cut, struct err *e);
bool store_record(const char *path, int64_t end, uint32_t len_crc[2]);
int store_tail(const char *path, bool (*fn)(void *ctx, const struct point *p), void *ctx, struct err *e); /* the last record only */
/* What is known of the run in a folder: run state step epoch metrics model start result created. NULL: no run there. A run that
 * has not ended and whose lock nobody holds is "crashed". */
struct val *store_describe(const char *dir, struct err *e);
/* Names of run folders under dir, oldest first, as a list; NULL with an error. */
struct val *store_list(const char *dir, struct err *e);
bool store_name_ok(const char *name); /* can be a folder of runs: no slash, no leading dot, not empty, at most 63 bytes, no control characters */
bool store_alive(const char *dir); /* somebody holds its lock */
/* The run's lock where nobody holds it, a descriptor to close; -1: somebody does, or there is none. */
int store_own(const char *dir);
struct val *store_read_meta(const char *dir, struct err *e); /* run.json as it is, a table */
int store_meta(const char *dir, const struct val *meta, struct err *e); /* writes run.json, whole or not at all */
/* scores.c: an evaluation of weights of that step by another process, once the run has ended: SPLIT_loss and so on as series, the report into run.json.
 * Nothing is done while the run lives. */
int store_scores(const char *dir, const char *split, int64_t step, const struct val *report, struct err *e);

#endif
