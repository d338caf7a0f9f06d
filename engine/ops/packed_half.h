/* Products of operands rounded to bf16 or f16, summed in f32, with a packed right operand as in packed.h. Where the processor multiplies pairs of bf16 the
 * packed form holds such pairs; elsewhere it holds the rounded values as floats. Both add the odd product of a pair before the even one, as that instruction
 * does, so the bits are the same with and without it. */
#ifndef HONE_ENGINE_OPS_PACKED_HALF_H
#define HONE_ENGINE_OPS_PACKED_HALF_H

#include "engine/graph/op.h"

struct half_mat {
    const void *data;
    int64_t ld;
    enum dtype type;
}; /* rows of f32, bf16 or f16 */

#define HALF_BLOCK 1024 /* products of one sum in registers; an output of 16 bits takes no more, for it is not read back */

size_t ISA(half_size)(int64_t k, int64_t n); /* bytes */
void ISA(half_put)(enum dtype as, bool t, struct half_mat b, int64_t k, int64_t n, int64_t from, int64_t to,
    void *out); /* columns from..to of op(B) (k, n); from: a multiple of 64 */
/* C (m, n) = op(A) op(B) + bias (n) or nothing; op(A) is (m, k). as: DT_BF16 or DT_F16. Rows may be cut anywhere. c: f32, or with k <= HALF_BLOCK of 16
 * bits. */
void ISA(half_gemm)(enum dtype as, bool ta, int64_t m, int64_t n, int64_t k, struct half_mat a, const void *packed, const float *bias, struct half_mat c);

#endif
