/* Weights in 8 bits. A matrix (out, in) of a product lies in memory in panels of 32 outputs: for every four inputs, the four bytes of each of the 32
 * outputs; both extents are filled up with zeros. Behind the panels stand the sums of each output's weights (i32), which correct for the zero point of the
 * inputs. One layout serves every instruction set; files hold plain rows. An output has a scale s: weight = s * q, q in -127..127. Compiled once, any thread.
 * */
#ifndef HONE_ENGINE_OPS_I8_H
#define HONE_ENGINE_OPS_I8_H

#include <stddef.h>
#include <stdint.h>

#define I8_PANEL 32
#define I8_MAX_IN 16384 /* 255 * 127 * in stays below 2^31, with room for the zero point */

static inline int64_t i8_in(int64_t in) { return (in + 3) / 4 * 4; }
static inline int64_t i8_out(int64_t out) { return (out + I8_PANEL - 1) / I8_PANEL * I8_PANEL; }
static inline const int32_t *i8_sums(const void *packed, int64_t out, int64_t in) { return (const int32_t *)((const char *)packed + i8_out(out) * i8_in(in)); }

size_t i8_bytes(int64_t out, int64_t in);
void i8_pack(const int8_t *rows, int64_t out, int64_t in, void *packed);
void i8_unpack(const void *packed, int64_t out, int64_t in, int8_t *rows);
/* Each row of w (n, width) to 8 bits with a scale of its own, the largest magnitude / 127; a row of zeros has scale 0, one that holds
 * something not finite NaN. Rounds to nearest, ties away from zero. */
void i8_rows(const float *w, int64_t n, int64_t width, int8_t *q, float *scale);

#endif
