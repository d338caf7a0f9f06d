/* Kernels that need no library: the product used when there is no BLAS, and the two loops that measure this core. */
#ifndef HONE_ENGINE_OPS_PLAIN_H
#define HONE_ENGINE_OPS_PLAIN_H

#include "engine/graph/op.h"

void ISA(plain_gemm)(bool ta, bool tb, int64_t m, int64_t n, int64_t k, float alpha, const float *a, int64_t lda, const float *b, int64_t ldb, float beta,
    float *c, int64_t ldc);
double ISA(plain_fma)(int64_t rounds);
double ISA(plain_stream)(float *p, const float *q, int64_t n);

#endif
