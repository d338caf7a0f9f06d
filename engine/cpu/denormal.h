/* Kernels treat numbers below the normal range as 0, on every thread alike: optimiser states of rows that are never seen decay into
 * that range, where some processors are a hundred times slower. Set around a run and in the pool's threads; the caller's mode comes back. */
#ifndef HONE_ENGINE_CPU_DENORMAL_H
#define HONE_ENGINE_CPU_DENORMAL_H

#if defined(__SSE2__)
#include <xmmintrin.h>
static inline unsigned denormal_off(void) {
    unsigned old = _mm_getcsr();
    _mm_setcsr(old | 0x8040); /* flush to zero, denormals are zero */
    return old;
}
static inline void denormal_back(unsigned old) { _mm_setcsr(old); }
#else
static inline unsigned denormal_off(void) { return 0; }
static inline void denormal_back(unsigned old) { (void)old; }
#endif

#endif
