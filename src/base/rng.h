/* Counter-based random numbers (Philox4x32-10, Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3").
 * A number is a function of (stream, step, element): no state, so any thread count, resume and recompute agree. */
#ifndef HONE_BASE_RNG_H
#define HONE_BASE_RNG_H

#include <stddef.h>
#include <stdint.h>

void rng_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]); /* the bare function */
uint64_t rng_stream(uint64_t seed, const char *path, uint32_t draw); /* FNV-1a 64 of path and draw, mixed with seed */
void rng_block(uint64_t stream, uint64_t step, uint64_t block, uint32_t out[4]); /* elements 4*block .. +3 */
uint32_t rng_u32(uint64_t stream, uint64_t step, uint64_t element);
double rng_unit(uint64_t stream, uint64_t step, uint64_t element); /* [0, 1), 32 bits */
double rng_normal(uint64_t stream, uint64_t step, uint64_t element); /* Box-Muller */
uint64_t rng_below(uint64_t stream, uint64_t step, uint64_t element, uint64_t n); /* [0, n), unbiased to 2^-64 */
void rng_shuffle(uint64_t stream, uint64_t step, int64_t *index, size_t n); /* Fisher-Yates in place */

#endif
