/* What the ops over images share: positions in either layout, tiles of whole images, the vector type of a channel block. */
#ifndef HONE_ENGINE_OPS_IMAGE_H
#define HONE_ENGINE_OPS_IMAGE_H

#include "engine/ops/kit.h"

#if defined(__AVX512F__)
#define IMAGE_B 16
#else
#define IMAGE_B 8
#endif
typedef float image_vec __attribute__((vector_size(IMAGE_B * 4)));
typedef float image_vec_u __attribute__((vector_size(IMAGE_B * 4), aligned(4)));

typedef int32_t image_int __attribute__((vector_size(IMAGE_B * 4)));
static inline void image_where(const image_int *mask, image_vec *v) { /* v, or 0 where the comparison failed */
    union {
        image_vec f;
        image_int i;
    } u = {.f = *v};
    u.i &= *mask;
    *v = u.f;
}

/* Is this (R, C, H, W) tensor one that fast kernels keep in blocks of channels? */
static inline bool image_blocks(const struct tensor *t) {
    return t->dtype == DT_F32 && t->ndim == 4 && t->dim[1].axis == AXIS_ONE && t->dim[1].k % IMAGE_B == 0 && t->dim[1].k > 0 && t->dim[0].axis == AXIS_R;
}
/* Where (n, c, p) lies: image, channel, pixel. */
static inline int64_t image_at(const struct view *v, int64_t n, int64_t c, int64_t p) {
    int64_t channels = v->n[1], pixels = v->ndim > 2 ? v->n[2] : 1, b = v->block;
    if (v->ndim > 3) pixels *= v->n[3];
    return b ? ((n * (channels / b) + c / b) * pixels + p) * b + c % b : (n * channels + c) * pixels + p;
}
static inline int64_t image_pixels(const struct view *v) {
    int64_t p = 1;
    for (int i = 2; i < v->ndim; i++) p *= v->n[i];
    return p;
}
/* Whole images are cut into at most `most` tiles. */
static inline int64_t image_tiles(int64_t images, int64_t most) { return images < most ? images : most; }
static inline int64_t image_from(int64_t images, int64_t tiles, int64_t tile) { return images * tile / tiles; }

#endif
