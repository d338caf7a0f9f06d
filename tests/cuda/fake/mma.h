/* Products of 16 x 16 tiles by a warp (wmma), for the fake device: a lane holds every 32nd element, products are summed in float, and addresses and
 * distances of rows that a GPU would not take are an error. */
#ifndef HONE_TESTS_CUDA_FAKE_MMA_H
#define HONE_TESTS_CUDA_FAKE_MMA_H

#include <stdio.h>
#include <stdlib.h>

#include "cuda_bf16.h"
#include "cuda_fp16.h"
#include "cuda_runtime.h"

float *fake_warp_area(void); /* 512 floats of this warp */

namespace nvcuda {
namespace wmma {
struct matrix_a;
struct matrix_b;
struct accumulator;
struct row_major;
struct col_major;
enum layout_t { mem_row_major, mem_col_major };
template <class Use, int M, int N, int K, class T, class Layout = void> struct fragment {
    enum { num_elements = 8 };
    T x[8];
};
inline float fake_float(__half h) { return __half2float(h); }
inline float fake_float(__nv_bfloat16 h) {
    uint32_t bits = (uint32_t)h.bits << 16;
    float f;
    __builtin_memcpy(&f, &bits, 4);
    return f;
}
inline void fake_check(const void *p, unsigned ldm, size_t size) {
    if ((uintptr_t)p % 32 == 0 && ldm * size % 16 == 0) return;
    fprintf(stderr, "wmma: address %p or distance of rows %u is not aligned\n", p, ldm);
    abort();
}
inline int fake_row(int e) { return (e * 32 + fake_lane()) / 16; }
inline int fake_col(int e) { return (e * 32 + fake_lane()) % 16; }
template <class L> struct fake_is_row;
template <> struct fake_is_row<row_major> {
    enum { yes = 1 };
};
template <> struct fake_is_row<col_major> {
    enum { yes = 0 };
};
template <class F, class V> inline void fill_fragment(F &f, V v) {
    for (int i = 0; i < 8; i++) f.x[i] = v;
}
template <class U, class T, class L> inline void load_matrix_sync(fragment<U, 16, 16, 16, T, L> &f, const T *p, unsigned ldm) {
    fake_check(p, ldm, sizeof(T));
    for (int e = 0; e < 8; e++) f.x[e] = fake_is_row<L>::yes ? p[fake_row(e) * ldm + fake_col(e)] : p[fake_col(e) * ldm + fake_row(e)];
}
inline void load_matrix_sync(fragment<accumulator, 16, 16, 16, float> &f, const float *p, unsigned ldm, layout_t l) {
    fake_check(p, ldm, sizeof(float));
    for (int e = 0; e < 8; e++) f.x[e] = l == mem_row_major ? p[fake_row(e) * ldm + fake_col(e)] : p[fake_col(e) * ldm + fake_row(e)];
}
inline void store_matrix_sync(float *p, const fragment<accumulator, 16, 16, 16, float> &f, unsigned ldm, layout_t l) {
    fake_check(p, ldm, sizeof(float));
    for (int e = 0; e < 8; e++) *(l == mem_row_major ? &p[fake_row(e) * ldm + fake_col(e)] : &p[fake_col(e) * ldm + fake_row(e)]) = f.x[e];
}
template <class T, class La, class Lb>
inline void mma_sync(fragment<accumulator, 16, 16, 16, float> &d, const fragment<matrix_a, 16, 16, 16, T, La> &a,
    const fragment<matrix_b, 16, 16, 16, T, Lb> &b, const fragment<accumulator, 16, 16, 16, float> &c) {
    float *area = fake_warp_area(), sum[8];
    for (int e = 0; e < 8; e++) area[fake_row(e) * 16 + fake_col(e)] = fake_float(a.x[e]), area[256 + fake_row(e) * 16 + fake_col(e)] = fake_float(b.x[e]);
    fake_shuffle(0, 0);
    for (int e = 0; e < 8; e++) {
        sum[e] = c.x[e];
        for (int k = 0; k < 16; k++) sum[e] += area[fake_row(e) * 16 + k] * area[256 + k * 16 + fake_col(e)];
    }
    fake_shuffle(0, 0);
    for (int e = 0; e < 8; e++) d.x[e] = sum[e];
}
} // namespace wmma
} // namespace nvcuda
#endif
