/* What was measured on a device, by what the device is and a key (a shape, a type), with a value only its backend understands; remembered by machine like
 * the choices of choose.h, in a file a device. Engine thread. */
#ifndef HONE_ENGINE_GRAPH_TUNED_H
#define HONE_ENGINE_GRAPH_TUNED_H

#include "src/base/buf.h"

int tuned_recall(const char *identity, const char *key, char *value, size_t n); /* -1: nothing is known */
void tuned_keep(const char *identity, const char *key, const char *value); /* in this process; the oldest gives way */
void tuned_save(void); /* what is new goes to the file */
void tuned_forget(void); /* what this process knows */
/* "12 measured products of NAME remembered, 5 of them by another algorithm than the library's first choice (PATH)" for each device whose file is there;
 * nothing otherwise. */
void tuned_say(struct buf *b);

#endif
