/* The product: library and plain kernels of every instruction set against a loop in double, all transpositions, odd sizes, leading
 * dimensions larger than the matrix, alpha and beta; the cut covers a product once; the probe refuses what is no BLAS. */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "engine/cpu/gemm.h"
#include "engine/graph/op.h"
#include "src/base/mem.h"
#include "tests/tap.h"

static uint32_t seed = 5;
static float next(void) {
    seed = seed * 1664525u + 1013904223u;
    return (float)(seed >> 8) / 8388608.0f - 1;
}

/* Worst error relative to the sum of magnitudes. */
static double one(bool ta, bool tb, int64_t m, int64_t n, int64_t k, float alpha, float beta, int64_t pad) {
    int64_t lda = (ta ? m : k) + pad, ldb = (tb ? k : n) + pad, ldc = n + pad;
    float *a = X_NEW(float, (size_t)((ta ? k : m) * lda + 1)), *b = X_NEW(float, (size_t)((tb ? n : k) * ldb + 1)), *c = X_NEW(float, (size_t)(m * ldc + 1)),
          *old = X_NEW(float, (size_t)(m * ldc + 1));
    for (int64_t i = 0; i < (ta ? k : m) * lda; i++) a[i] = next();
    for (int64_t i = 0; i < (tb ? n : k) * ldb; i++) b[i] = next();
    for (int64_t i = 0; i < m * ldc; i++) c[i] = old[i] = beta == 0 ? NAN : next();
    gemm_f32(ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
    double worst = 0;
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < ldc; j++) {
            double s = 0, size = 1e-6;
            for (int64_t p = 0; p < k && j < n; p++) {
                double v = (double)a[ta ? p * lda + i : i * lda + p] * (double)b[tb ? j * ldb + p : p * ldb + j];
                s += v, size += fabs(v);
            }
            double want = j >= n ? old[i * ldc + j] : alpha * s + (beta == 0 ? 0 : beta * old[i * ldc + j]);
            double d = isnan(want) && isnan(c[i * ldc + j]) ? 0 : fabs(c[i * ldc + j] - want) / (size + fabs(want));
            if (!(d <= worst)) worst = d;
        }
    free(a), free(b), free(c), free(old);
    return worst;
}

static double sweep(void) {
    static const int64_t sizes[][3] = {
        {1, 1, 1}, {1, 17, 5}, {7, 1, 33}, {3, 5, 0}, {0, 4, 4}, {5, 0, 3}, {49, 33, 129}, {64, 32, 257}, {128, 10, 51}, {131, 130, 7}};
    static const float ab[][2] = {{1, 0}, {1, 1}, {-0.5f, 2}};
    double worst = 0;
    for (size_t s = 0; s < LEN(sizes); s++)
        for (int t = 0; t < 4; t++)
            for (size_t x = 0; x < LEN(ab); x++)
                for (int pad = 0; pad < 4; pad += 3) {
                    double d = one(t & 1, t & 2, sizes[s][0], sizes[s][1], sizes[s][2], ab[x][0], ab[x][1], pad);
                    if (!(d <= worst)) worst = d;
                }
    return worst;
}

static bool cut_covers(int64_t m, int64_t n, int64_t k) {
    struct gemm_cut c = gemm_cut(m, n, k);
    if (m == 0 || n == 0) return c.nr * c.nc == 0;
    return c.nr > 0 && c.nc > 0 && (c.nr - 1) * c.rows < m && c.nr * c.rows >= m && (c.nc - 1) * c.cols < n && c.nc * c.cols >= n;
}

int main(void) {
    struct gemm_info info;
    for (int i = 0; isa_all(i); i++) {
        ops_select(isa_all(i)->name, NULL);
        double d = sweep();
        tap_ok(d <= 2e-6, "plain kernel, %s: all transpositions and odd sizes within %.1e", isa_all(i)->name, d);
    }
    gemm_open("none", &info);
    tap_ok(!info.library[0] && info.why[0], "no library on request: %s", info.why);
    gemm_open("/nonexistent/libopenblas.so.0", &info);
    tap_ok(!info.library[0] && strstr(info.why, "/nonexistent/"), "a missing library is named: %s", info.why);
    gemm_open("libm.so.6", &info);
    tap_ok(!info.library[0] && strstr(info.why, "cblas_sgemm"), "a library without a product is refused: %s", info.why);
    unsetenv("OPENBLAS_CORETYPE");
    gemm_open(NULL, &info);
    if (info.library[0]) {
        double d = sweep();
        tap_ok(d <= 2e-6, "%s: all transpositions and odd sizes within %.1e", info.library, d);
        printf("# %s, %.1f ms\n", info.why, info.probe_ms);
        tap_ok(info.probe_ms < 200, "opened and probed");
    } else tap_skip("library", info.why);
    static const int64_t s[] = {0, 1, 10, 31, 128, 129, 512, 784, 4096, 100000};
    int bad = 0;
    for (size_t i = 0; i < LEN(s); i++)
        for (size_t j = 0; j < LEN(s); j++)
            for (size_t k = 0; k < LEN(s); k++) bad += !cut_covers(s[i], s[j], s[k]);
    tap_ok(bad == 0, "the cut covers each product once");
    return tap_done();
}
