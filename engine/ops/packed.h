/* Products on the register tile of mm.h. The left operand is read where it lies; the right one is packed once by its rows and columns, so that tiles share
 * it, or read where it lies as well. A sum over k has one order whatever m and n are, so rows and columns may be cut anywhere. */
#ifndef HONE_ENGINE_OPS_PACKED_H
#define HONE_ENGINE_OPS_PACKED_H

#include "engine/graph/op.h"

#define PACKED_COLS 128 /* columns of a tile of packed_put: a multiple of every MM_NR */

enum packed_act { PACKED_NO_ACT, PACKED_GELU, PACKED_GELU_TANH };
size_t ISA(packed_size)(int64_t k, int64_t n); /* floats */
void ISA(packed_put)(bool t, const float *b, int64_t ldb, int64_t k, int64_t n, float *out); /* op(B) (k, n); t: b holds columns as rows */
/* Tiles lo .. hi of PACKED_COLS columns of it. */
void ISA(packed_put_tiles)(bool t, const float *b, int64_t ldb, int64_t k, int64_t n, int64_t lo, int64_t hi, float *out);
/* C (m, n) = A (m, k) B + bias (n) or nothing; packed: by packed_put. */
void ISA(packed_gemm)(int64_t m, int64_t n, int64_t k, const float *a, int64_t lda, const float *packed, const float *bias, float *c, int64_t ldc);
/* act of it. */
void ISA(packed_gemm_act)(
    int64_t m, int64_t n, int64_t k, const float *a, int64_t lda, const float *packed, const float *bias, enum packed_act act, float *c, int64_t ldc);
/* C (m, n) = A (m, k) B (k, n), nothing packed: for few rows. */
void ISA(packed_nn)(int64_t m, int64_t n, int64_t k, const float *a, int64_t lda, const float *b, int64_t ldb, float *c, int64_t ldc);
/* Columns lo .. hi of C (m, ..) = act(A W^T + bias) for few rows: a packed as op(B) (k, m), t; rows of W (.., k) where they lie. */
void ISA(packed_few)(
    int64_t m, int64_t k, const float *packed, const float *w, const float *bias, enum packed_act act, float *c, int64_t ldc, int64_t lo, int64_t hi);
/* C (m, n) = A (k, m)^T B (k, n), nothing packed. */
void ISA(packed_tn)(int64_t m, int64_t n, int64_t k, const float *a, int64_t lda, const float *b, int64_t ldb, float *c, int64_t ldc);
void ISA(packed_activate)(enum packed_act act, float *c, int64_t ldc, int64_t m, int64_t n);

#endif
