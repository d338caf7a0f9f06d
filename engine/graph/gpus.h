/* Readings of this machine's GPUs, taken on a thread of their own every two seconds while a device is open or somebody asks: the library of the driver may
 * not answer for seconds, and nobody else waits for it. The same thread hears of the errors that the driver reports (Xid). Any thread. */
#ifndef HONE_ENGINE_GRAPH_GPUS_H
#define HONE_ENGINE_GRAPH_GPUS_H

#include <stdbool.h>
#include <stdint.h>

#include "src/base/buf.h"
#include "src/base/val.h"

/* {gpus = tables of nvml_read, age = seconds since they were read, stale = whether that is too long ago, why = what was wrong, or ""}. Answers at once;
 * without readings yet the list is empty and age is missing. Starts the thread. */
struct val *gpus_now(void);
/* A device is open from now on (+1), or no longer (-1): it is read all the time and its errors are heard. bus: as struct device has it. */
void gpus_use(const char *bus, int more);
/* Numbers of an open device, if they were read after *seen (0: any), which is set then. */
struct gpu_numbers {
    double use, memory_gib, watts, celsius, mhz; /* NAN: the device does not tell */
};
bool gpus_since(const char *bus, uint64_t *seen, struct gpu_numbers *out);
/* What the driver said of a device since it was opened: "Xid 79: ..", waiting up to so many seconds for the first; false: nothing. The device cannot be
 * told: any device's. */
bool gpus_error(const char *bus, double wait_s, struct buf *b);
/* Did the driver report, at least so many seconds ago, an error of this device that ended what ran there? */
bool gpus_gone(const char *bus, double seconds);
/* Called on the thread of the readings for each error of a device that is open, with a whole sentence. NULL: nobody; then it is logged. */
void gpus_on_error(void (*fn)(void *ctx, const char *sentence, bool fatal), void *ctx);
void gpus_stop(void); /* waits a second for the thread; one that the driver holds up is left alone */

#endif
