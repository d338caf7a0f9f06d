/* A packed, register-blocked product (Goto and van de Geijn, "Anatomy of high-performance matrix multiplication", 2008) on the
 * vectors of this instruction set; the sum over k is cut by k alone, so bits do not depend on how rows and columns are tiled.
 * Packing buffers are on the stack (88 KiB). Also the FMA and memory loops of `hone doctor` and `hone bench`. */
#include "engine/ops/plain.h"

#include <string.h>

#if defined(__AVX512F__)
#define LANES 16
#define MR 8
#elif defined(__AVX2__)
#define LANES 8
#define MR 6
#else
#define LANES 4
#define MR 4
#endif
#define NV 2 /* vectors across */
#define NR (NV * LANES)
#define KC 128
#define MC 48 /* a multiple of every MR */
#define NC 128
typedef float vec __attribute__((vector_size(LANES * 4)));
typedef float vec_u __attribute__((vector_size(LANES * 4), aligned(4)));

/* Panels of MR rows (NR columns), k-major, zero-filled at the edge. */
static void pack_a(bool t, const float *a, int64_t lda, int64_t m, int64_t k, float *out) {
    for (int64_t i = 0; i < m; i += MR)
        for (int64_t p = 0; p < k; p++)
            for (int64_t r = 0; r < MR; r++) *out++ = i + r < m ? (t ? a[p * lda + i + r] : a[(i + r) * lda + p]) : 0;
}
static void pack_b(bool t, const float *b, int64_t ldb, int64_t k, int64_t n, float *out) {
    for (int64_t j = 0; j < n; j += NR)
        for (int64_t p = 0; p < k; p++, out += NR) {
            int64_t w = n - j < NR ? n - j : NR;
            if (!t && w == NR) memcpy(out, b + p * ldb + j, NR * sizeof(float));
            else
                for (int64_t q = 0; q < NR; q++) out[q] = q < w ? (t ? b[(j + q) * ldb + p] : b[p * ldb + j + q]) : 0;
        }
}

static void micro(int64_t k, const float *a, const float *b, float alpha, float beta, float *c, int64_t ldc, int64_t m, int64_t n) {
    vec s[MR][NV] = {{{0}}};
    float out[MR * NR] __attribute__((aligned(64)));
    for (int64_t p = 0; p < k; p++, a += MR, b += NR) {
        vec b0 = *(const vec_u *)b, b1 = *(const vec_u *)(b + LANES);
#pragma GCC unroll 8
        for (int r = 0; r < MR; r++) s[r][0] += a[r] * b0, s[r][1] += a[r] * b1;
    }
#pragma GCC unroll 8
    for (int r = 0; r < MR; r++)
        *(vec *)(out + r * NR) = s[r][0], *(vec *)(out + r * NR + LANES) = s[r][1]; /* indexing s by a variable would keep it in memory */
    for (int64_t r = 0; r < m; r++)
        for (int64_t j = 0; j < n; j++) c[r * ldc + j] = alpha * out[r * NR + j] + (beta == 0 ? 0 : beta * c[r * ldc + j]);
}

static void scale(float *c, int64_t ldc, int64_t m, int64_t n, float beta) {
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++) c[i * ldc + j] = beta == 0 ? 0 : beta * c[i * ldc + j];
}

void ISA(plain_gemm)(bool ta, bool tb, int64_t m, int64_t n, int64_t k, float alpha, const float *a, int64_t lda, const float *b, int64_t ldb, float beta,
    float *c, int64_t ldc) {
    float pa[MC * KC] __attribute__((aligned(64))), pb[NC * KC] __attribute__((aligned(64)));
    if (k == 0 || alpha == 0) scale(c, ldc, m, n, beta);
    if (alpha == 0) return;
    for (int64_t j = 0; j < n; j += NC)
        for (int64_t p = 0; p < k; p += KC) {
            int64_t nc = n - j < NC ? n - j : NC, kc = k - p < KC ? k - p : KC;
            float be = p == 0 ? beta : 1;
            pack_b(tb, tb ? b + j * ldb + p : b + p * ldb + j, ldb, kc, nc, pb);
            for (int64_t i = 0; i < m; i += MC) {
                int64_t mc = m - i < MC ? m - i : MC;
                pack_a(ta, ta ? a + p * lda + i : a + i * lda + p, lda, mc, kc, pa);
                for (int64_t q = 0; q < nc; q += NR)
                    for (int64_t r = 0; r < mc; r += MR)
                        micro(kc, pa + r * kc, pb + q * kc, alpha, be, c + (i + r) * ldc + j + q, ldc, mc - r < MR ? mc - r : MR, nc - q < NR ? nc - q : NR);
            }
        }
}

/* Twelve independent sums hide the latency of one multiply-add; the empty asm keeps each in its register and the loop alive. */
#if LANES == 16
#define HOLD(v) __asm__ volatile("" : "+v"(v))
#elif defined(__x86_64__)
#define HOLD(v) __asm__ volatile("" : "+x"(v))
#else
#define HOLD(v) __asm__ volatile("" : "+w"(v))
#endif
double ISA(plain_fma)(int64_t rounds) {
    vec a = {0}, b = {0}, c = {0}, d = {0}, e = {0}, f = {0}, g = {0}, h = {0}, i = {0}, j = {0}, k = {0}, l = {0}, x = {0}, y = {0};
    for (int64_t r = 0; r < rounds; r++) {
        HOLD(x);
        HOLD(y);
        a += x * y, b += x * y, c += x * y, d += x * y, e += x * y, f += x * y, g += x * y, h += x * y, i += x * y, j += x * y, k += x * y, l += x * y;
        HOLD(a);
        HOLD(b);
        HOLD(c);
        HOLD(d);
        HOLD(e);
        HOLD(f);
        HOLD(g);
        HOLD(h);
        HOLD(i);
        HOLD(j);
        HOLD(k);
        HOLD(l);
    }
    return (double)rounds * 12 * LANES * 2;
}

double ISA(plain_stream)(float *p, const float *q, int64_t n) {
#pragma omp simd
    for (int64_t i = 0; i < n; i++) p[i] += q[i];
    return (double)n * 12;
}
