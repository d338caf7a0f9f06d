/* How much memory this process may still take without being killed for it. */
#ifndef HONE_ENGINE_CPU_MEMORY_H
#define HONE_ENGINE_CPU_MEMORY_H

#include <stddef.h>

/* The least of: what the system has available, what the control group still allows. SIZE_MAX: cannot be told. Any thread. */
size_t memory_available(void);

#endif
