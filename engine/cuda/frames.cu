/* Dense rows of frames and packed ones (engine/ops/frames.c), and casts between types (engine/ops/move.c). */
#include "engine/cuda/random.cuh"

/* x (R, T, D), off (R+1) -> y (F, D): the first frames of each row, zeros where a row has fewer than its offsets say */
__global__ void pack(vec x, const int32_t *off, int64_t rows, int64_t t, int64_t d, vec y, int64_t n) {
    EACH(i, n) {
        int64_t f = i / d, r = text_of(off, rows, f), j = f - off[r];
        y.put(i, f < off[rows] && j < t ? x.get((r * t + j) * d + i % d) : 0.0f);
    }
}
static int pack_run(struct cuda *c, const struct exec *x, const uint64_t *, struct err *) {
    const struct view *a = &x->in[0], *y = &x->out[0];
    if (y->len > 0 && x->in[1].len > 1)
        LAUNCH(pack, grid_for(c, y->len), 256, c->stream, vec_of(a), (const int32_t *)x->in[1].data, x->in[1].len - 1, a->n[1], a->n[2], vec_of(y), y->len);
    return 0;
}
/* x (F, D), off (R+1) -> y (R, T, D): at most T frames of each row, zeros behind its end */
__global__ void unpack(vec x, const int32_t *off, int64_t t, int64_t d, vec y, int64_t n) {
    EACH(i, n) {
        int64_t r = i / (t * d), j = i / d % t;
        y.put(i, j < off[r + 1] - off[r] ? x.get((off[r] + j) * d + i % d) : 0.0f);
    }
}
static int unpack_run(struct cuda *c, const struct exec *x, const uint64_t *, struct err *) {
    const struct view *y = &x->out[0];
    if (y->len > 0) LAUNCH(unpack, grid_for(c, y->len), 256, c->stream, vec_of(&x->in[0]), (const int32_t *)x->in[1].data, y->n[1], y->n[2], vec_of(y), y->len);
    return 0;
}
__global__ void even_offsets(int32_t *y, int32_t count, int64_t n) { EACH(i, n) y[i] = (int32_t)i * count; }
static int offsets_run(struct cuda *c, const struct exec *x, const uint64_t *, struct err *) {
    if (x->out[0].len > 0)
        LAUNCH(even_offsets, grid_for(c, x->out[0].len), 256, c->stream, (int32_t *)x->out[0].data, (int32_t)c->host->number(x->node, "count"), x->out[0].len);
    return 0;
}

/* ---- cast: towards whole numbers fractions are cut off; doubles stay on the CPU */
__global__ void cast(const void *x, int from, void *y, int to, int64_t n) {
    EACH(i, n) {
        int64_t whole = 0;
        float f = 0;
        if (from == DT_F32) f = ((const float *)x)[i], whole = (int64_t)f;
        else {
            whole = from == DT_I32   ? ((const int32_t *)x)[i]
                    : from == DT_I64 ? ((const int64_t *)x)[i]
                    : from == DT_I8  ? ((const int8_t *)x)[i]
                                     : ((const uint8_t *)x)[i];
            f = (float)whole;
        }
        if (to == DT_F32) ((float *)y)[i] = f;
        else if (to == DT_I32) ((int32_t *)y)[i] = (int32_t)whole;
        else if (to == DT_I64) ((int64_t *)y)[i] = whole;
        else if (to == DT_I8) ((int8_t *)y)[i] = (int8_t)whole;
        else ((uint8_t *)y)[i] = (uint8_t)whole;
    }
}
static int cast_run(struct cuda *c, const struct exec *x, const uint64_t *, struct err *) {
    if (x->in[0].len > 0)
        LAUNCH(cast, grid_for(c, x->in[0].len), 256, c->stream, (const void *)x->in[0].data, (int)x->in[0].dtype, x->out[0].data, (int)x->out[0].dtype,
            x->in[0].len);
    return 0;
}

extern const struct kernel frames_kernels[];
const struct kernel frames_kernels[] = {{"frames", 1, 1, false, NULL, pack_run}, {"unframes", 1, 1, false, NULL, unpack_run},
    {"frame_offsets", 1, 0, false, NULL, offsets_run}, {"cast", 0, 0, false, NULL, cast_run}, {}};
