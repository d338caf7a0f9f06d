/* Products with a packed right operand: packed once by its rows and columns, then used for any rows of the left one, so that tiles share it. */
#ifndef HONE_ENGINE_OPS_PACKED_H
#define HONE_ENGINE_OPS_PACKED_H

#include "engine/graph/op.h"

size_t ISA(packed_size)(int64_t k, int64_t n);                                              /* floats */
void ISA(packed_put)(bool t, const float *b, int64_t ldb, int64_t k, int64_t n, float *out); /* op(B) (k, n) row-major */
/* C (m, n) = op(A) op(B) + bias (n) or nothing; op(A) is (m, k). A sum over k has one order whatever m is, so rows may be cut anywhere. */
void ISA(packed_gemm)(bool ta, int64_t m, int64_t n, int64_t k, const float *a, int64_t lda, const float *packed, const float *bias, float *c, int64_t ldc);

#endif
