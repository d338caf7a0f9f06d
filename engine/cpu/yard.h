/* What this machine does at this moment: the yardstick beside every measured time. Ratios to it can be compared across runs. */
#ifndef HONE_ENGINE_CPU_YARD_H
#define HONE_ENGINE_CPU_YARD_H

#include "engine/cpu/pool.h"
#include "engine/graph/op.h"

/* fp32 multiply-add rate in GFLOPS (a multiply-add counts 2) of all threads of the pool, best of a few short samples (about 15 ms). */
double yard_gflops(struct pool *p, const struct isa *isa);
/* GB/s of p[i] += q[i] over 64 MiB a thread (read, read, write), best of 3. 0: no memory for it. */
double yard_memory(struct pool *p, const struct isa *isa);

#endif
