/* What the writers of other tools' formats get: one stored run. */
#ifndef HONE_STORED_EXPORT_H
#define HONE_STORED_EXPORT_H

#include "src/stored/folder.h"

/* tensorboard.c: makes OUT/RUN/events.out.tfevents.N.hone; adds the points written to *points. */
int tensorboard_write(const struct folder *run, const char *out, int64_t *points, struct err *e);
uint32_t crc32c(uint32_t crc, const void *p, size_t n); /* Castagnoli, as in iSCSI (RFC 3720); begin with 0 */

#endif
