/* The packed product of packed.h on the vectors of this instruction set (Goto and van de Geijn 2008): panels of MM_NR columns, blocks of KC products deep. */
#include "engine/ops/packed.h"

#include <string.h>

#include "engine/ops/mm.h"

#define KC 384
#define MC (16 * MM_MR)

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t columns(int64_t n) { return (n + MM_NR - 1) / MM_NR * MM_NR; }

size_t ISA(packed_size)(int64_t k, int64_t n) { return (size_t)k * (size_t)columns(n); }

/* One panel of a block: out[p][j]; t: b holds columns as rows. */
static void put_panel(bool t, const float *b, int64_t ldb, int64_t k, int64_t w, float *out) {
    if (w < MM_NR) memset(out, 0, (size_t)(k * MM_NR) * sizeof(float));
    if (!t) {
        for (int64_t p = 0; p < k; p++) memcpy(out + p * MM_NR, b + p * ldb, (size_t)w * sizeof(float));
        return;
    }
    for (int64_t p0 = 0; p0 < k; p0 += 16) /* 16 steps of all columns stay in the first cache */
        for (int64_t j = 0; j < w; j++)
            for (int64_t p = p0; p < least(k, p0 + 16); p++) out[p * MM_NR + j] = b[j * ldb + p];
}
void ISA(packed_put)(bool t, const float *b, int64_t ldb, int64_t k, int64_t n, float *out) {
    for (int64_t p = 0; p < k; p += KC) {
        int64_t kc = least(KC, k - p);
        for (int64_t j = 0; j < n; j += MM_NR, out += kc * MM_NR) put_panel(t, t ? b + j * ldb + p : b + p * ldb + j, ldb, kc, least(MM_NR, n - j), out);
    }
}

/* Panels of MM_MR rows, zero rows at the end; t: a holds rows as columns. */
static void put_rows(bool t, const float *a, int64_t lda, int64_t m, int64_t k, float *out) {
    for (int64_t i = 0; i < m; i += MM_MR, out += MM_MR * k) {
        int64_t rows = least(MM_MR, m - i);
        if (rows < MM_MR) memset(out, 0, (size_t)(MM_MR * k) * sizeof(float));
        for (int64_t p = 0; t && p < k; p++) memcpy(out + p * MM_MR, a + p * lda + i, (size_t)rows * sizeof(float));
        for (int64_t p0 = 0; !t && p0 < k; p0 += 16)
            for (int64_t r = 0; r < rows; r++)
                for (int64_t p = p0; p < least(k, p0 + 16); p++) out[p * MM_MR + r] = a[(i + r) * lda + p];
    }
}

static void tile(int64_t k, const float *a, const float *b, const float *bias, bool first, float *c, int64_t ldc, int64_t rows, int64_t w) {
    float own[MM_MR * MM_NR] __attribute__((aligned(64)));
    if (rows == MM_MR && w == MM_NR) {
        if (first && bias)
            for (int r = 0; r < MM_MR; r++) memcpy(c + r * ldc, bias, sizeof(float) * MM_NR);
        if (first && !bias) mm_tile(k, a, 1, MM_MR, b, MM_NR, c, ldc, false);
        else mm_tile(k, a, 1, MM_MR, b, MM_NR, c, ldc, true);
        return;
    }
    mm_tile(k, a, 1, MM_MR, b, MM_NR, own, MM_NR, false);
    for (int64_t r = 0; r < rows; r++)
        for (int64_t j = 0; j < w; j++) c[r * ldc + j] = own[r * MM_NR + j] + (!first ? c[r * ldc + j] : bias ? bias[j] : 0);
}

void ISA(packed_gemm)(bool ta, int64_t m, int64_t n, int64_t k, const float *a, int64_t lda, const float *packed, const float *bias, float *c, int64_t ldc) {
    float pa[MC * KC] __attribute__((aligned(64)));
    for (int64_t i0 = 0; i0 < m; i0 += MC) {
        int64_t mc = least(MC, m - i0);
        const float *b = packed;
        for (int64_t p = 0; p < k; p += KC) {
            int64_t kc = least(KC, k - p);
            put_rows(ta, ta ? a + p * lda + i0 : a + i0 * lda + p, lda, mc, kc, pa);
            for (int64_t j = 0; j < n; j += MM_NR, b += kc * MM_NR)
                for (int64_t i = 0; i < mc; i += MM_MR)
                    tile(kc, pa + i * kc, b, bias ? bias + j : NULL, p == 0, c + (i0 + i) * ldc + j, ldc, least(MM_MR, mc - i), least(MM_NR, n - j));
        }
    }
}
