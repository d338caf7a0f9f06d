/* What NVIDIA's management library (libnvidia-ml.so.1, part of the driver) says of the devices of this machine. Opened at need, never linked. */
#ifndef HONE_ENGINE_GRAPH_NVML_H
#define HONE_ENGINE_GRAPH_NVML_H

#include "src/base/buf.h"
#include "src/base/val.h"

/* One line of words on every device: load, memory, temperature, power, clock, what slows it down, memory errors; or why nothing is known. The same as tables, pushed to
 * list. Devices are numbered as nvidia-smi does it. Any thread, one at a time. */
void nvml_say(struct buf *b, struct val *list);

#endif
