/* The one file that owns oneDNN: its product of matrices, dnnl_sgemm of the C API. It is never linked and no header of it is needed: the library is opened at
 * first need, told to use the calling thread alone, and trusted only after two products at once agree with a plain loop. */
#ifndef HONE_ENGINE_CPU_DNNL_H
#define HONE_ENGINE_CPU_DNNL_H

#include <stdbool.h>
#include <stdint.h>

struct dnnl_info {
    char library[256], version[64], why[256]; /* library "": none, and why */
};
/* Opens the library that HONE_ONEDNN names (none: no library), else the usual ones; once, on any thread. */
const struct dnnl_info *dnnl_info(void);
/* As gemm_f32, on the calling thread. Without the library, or where it gives up, gemm_f32 itself. */
void dnnl_f32(bool ta, bool tb, int64_t m, int64_t n, int64_t k, float alpha, const float *a, int64_t lda, const float *b, int64_t ldb, float beta, float *c,
    int64_t ldc);

#endif
