/* The one file that owns the BLAS. It is never linked: gemm_open sets the core type for this processor in the environment,
 * opens the library with dlopen, checks it (two concurrent products against a plain loop, thread count read back, core read back)
 * and falls back to a plain blocked kernel. Always single-threaded: ops cut tiles. */
#ifndef HONE_ENGINE_CPU_GEMM_H
#define HONE_ENGINE_CPU_GEMM_H

#include <stdbool.h>
#include <stdint.h>

#include "src/base/err.h"

struct gemm_info {
    char library[256], core[64], version[64], why[256]; /* library "" : none, plain kernel; version as it calls itself, "": it does not */
    bool corrected; /* the library's own guess was replaced */
    double probe_ms;
};
/* Before any other thread runs. lib NULL: HONE_BLAS, else the usual names. Never fails hard: says in info what it chose. */
void gemm_open(const char *lib, struct gemm_info *info);
const struct gemm_info *gemm_info(void);
/* The core type the library takes when left alone (`hone doctor` says what was replaced): opens a second copy and changes
 * the environment meanwhile, so only on request. -1: cannot be told. */
int gemm_own_guess(char core[64]);

/* C (m, n) = alpha op(A) op(B) + beta C, row-major; op(A) is (m, k), op(B) is (k, n). */
void gemm_f32(bool ta, bool tb, int64_t m, int64_t n, int64_t k, float alpha, const float *a, int64_t lda, const float *b, int64_t ldb, float beta, float *c,
    int64_t ldc);
/* The same cut: how an (m, n, k) product is split into tiles, by shape only. Rows and columns of tile i. */
struct gemm_cut {
    int64_t rows, cols, nr, nc;
}; /* tile size, tiles down, tiles across */
struct gemm_cut gemm_cut(int64_t m, int64_t n, int64_t k);

#endif
