/* Dropout and stochastic depth with the CPU's random numbers, so that the same elements are dropped (engine/ops/dropout.c). The step's number is read on
 * the device. */
#include "engine/cuda/random.cuh"

__global__ void drop(vec x, const float *p, vec y, int64_t n, uint64_t stream, const uint64_t *step) {
    float k = *p;
    EACH(i, n) {
        float f = random_keep(stream, *step, (uint64_t)i, k);
        y.put(i, f > 0 ? f * x.get(i) : 0.0f);
    }
}
static int drop_run(struct cuda *c, const struct exec *x, const uint64_t *at, struct err *) {
    if (x->in[0].len > 0)
        LAUNCH(
            drop, grid_for(c, x->in[0].len), 256, c->stream, vec_of(&x->in[0]), (const float *)x->in[1].data, vec_of(&x->out[0]), x->in[0].len, x->stream, at);
    return 0;
}
/* One number for an example, or for the text of a token. */
__global__ void drop_path(vec x, const float *p, const int32_t *off, int64_t texts, vec y, int64_t rows, int64_t width, uint64_t stream, const uint64_t *step) {
    float k = *p;
    EACH(i, rows * width) {
        int64_t r = off ? text_of(off, texts, i / width) : i / width;
        float f = random_keep(stream, *step, (uint64_t)r, k);
        y.put(i, f > 0 ? f * x.get(i) : 0.0f);
    }
}
static int path_run(struct cuda *c, const struct exec *x, const uint64_t *at, struct err *) {
    int64_t rows = x->in[0].n[0];
    if (x->in[0].len > 0)
        LAUNCH(drop_path, grid_for(c, x->in[0].len), 256, c->stream, vec_of(&x->in[0]), (const float *)x->in[1].data,
            has(x, 2) ? (const int32_t *)x->in[2].data : NULL, has(x, 2) ? x->in[2].len - 1 : 0, vec_of(&x->out[0]), rows, x->in[0].len / rows, x->stream, at);
    return 0;
}

extern const struct kernel dropout_kernels[];
const struct kernel dropout_kernels[] = {{"dropout", 1, 1, false, NULL, drop_run}, {"drop_path", 1, 1, false, NULL, path_run}, {}};
