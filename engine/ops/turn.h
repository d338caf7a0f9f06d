/* Transposing small matrices four by four in registers, for packing. */
#ifndef HONE_ENGINE_OPS_TURN_H
#define HONE_ENGINE_OPS_TURN_H

#include <stdint.h>

typedef float turn_vec __attribute__((vector_size(16)));
typedef float turn_vec_u __attribute__((vector_size(16), aligned(4)));

/* out[j os + i] = in[i is + j], i, j < 4 */
static inline __attribute__((always_inline)) void turn4(const float *in, int64_t is, float *out, int64_t os) {
    turn_vec a = *(const turn_vec_u *)in, b = *(const turn_vec_u *)(in + is), c = *(const turn_vec_u *)(in + 2 * is), d = *(const turn_vec_u *)(in + 3 * is);
    turn_vec ab = __builtin_shufflevector(a, b, 0, 4, 1, 5), ab2 = __builtin_shufflevector(a, b, 2, 6, 3, 7);
    turn_vec cd = __builtin_shufflevector(c, d, 0, 4, 1, 5), cd2 = __builtin_shufflevector(c, d, 2, 6, 3, 7);
    *(turn_vec_u *)out = __builtin_shufflevector(ab, cd, 0, 1, 4, 5);
    *(turn_vec_u *)(out + os) = __builtin_shufflevector(ab, cd, 2, 3, 6, 7);
    *(turn_vec_u *)(out + 2 * os) = __builtin_shufflevector(ab2, cd2, 0, 1, 4, 5);
    *(turn_vec_u *)(out + 3 * os) = __builtin_shufflevector(ab2, cd2, 2, 3, 6, 7);
}
/* out[j os + i] = in[i is + j], i < n, j < w; 16 columns at a time, so that what is written stays in the first cache */
static inline void turn(const float *in, int64_t is, int64_t n, int64_t w, float *out, int64_t os) {
    int64_t n4 = n / 4 * 4;
    for (int64_t j0 = 0; j0 < w; j0 += 16) {
        int64_t end = j0 + 16 < w ? j0 + 16 : w, end4 = j0 + (end - j0) / 4 * 4;
        for (int64_t i = 0; i < n4; i += 4)
            for (int64_t j = j0; j < end4; j += 4) turn4(in + i * is + j, is, out + j * os + i, os);
        for (int64_t i = 0; i < n; i++)
            for (int64_t j = i < n4 ? end4 : j0; j < end; j++) out[j * os + i] = in[i * is + j];
    }
}

#endif
