/* NVIDIA's management library (libnvidia-ml.so.1, part of the driver): what the devices of this machine do, and the errors their driver reports. Opened at
 * need, never linked; HONE_NVML of the environment names another file. Its calls can block for seconds: not for the thread that draws or the engine's. */
#ifndef HONE_ENGINE_GRAPH_NVML_H
#define HONE_ENGINE_GRAPH_NVML_H

#include "src/base/buf.h"
#include "src/base/err.h"
#include "src/base/val.h"

struct nvml;
struct nvml *nvml_open(struct err *e); /* NULL with the reason */
void nvml_close(struct nvml *n);
/* A table for each device, numbered as nvidia-smi does it: index, name, bus ("0000:3b:00"), use_percent, memory_used_gib, memory_gib, celsius, watts,
 * watts_limit, mhz, memory_mhz, slowed_by, ecc_errors, or error. A value that a device does not tell is left out. */
struct val *nvml_read(struct nvml *n);
void nvml_words(const struct val *device, struct buf *b); /* of one of those: one line */
/* Waits up to ms for the driver to report an error of a device (an Xid). 1: one came, 0: none; -1: this library or these devices do not tell. */
int nvml_wait(struct nvml *n, unsigned ms, unsigned *device, int *xid);
/* What an Xid means and what to do about it; fatal: what ran on the device is lost. Never NULL. */
const char *nvml_xid_words(int xid, bool *fatal);

/* For `hone doctor`: opens, reads, closes. One line of words on every device, or why nothing is known; the tables are pushed to list. */
void nvml_say(struct buf *b, struct val *list);

#endif
