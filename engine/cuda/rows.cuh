/* Rows of a table by id, and their mean or sum over texts: the same for tables in floats (embedding.cu) and in 8 bits with a scale a row (embed_i8.cu). */
#ifndef HONE_ENGINE_CUDA_ROWS_CUH
#define HONE_ENGINE_CUDA_ROWS_CUH

#include "engine/cuda/random.cuh"

/* A table (v, d); get: w times element i of row id, multiplied in the order written here. */
struct float_rows {
    const float *table;
    int64_t d, v;
    __device__ __forceinline__ bool has(int64_t id) const { return id >= 0 && id < v; }
    __device__ __forceinline__ float get(int64_t id, int64_t i, float w = 1.0f) const { return w * table[id * d + i]; }
};
struct byte_rows {
    const int8_t *table;
    const float *scale;
    int64_t d, v;
    __device__ __forceinline__ bool has(int64_t id) const { return id >= 0 && id < v; }
    __device__ __forceinline__ float get(int64_t id, int64_t i, float w = 1.0f) const { return w * scale[id] * (float)table[id * d + i]; }
};
static inline float_rows float_rows_of(const struct view *table) { return float_rows{(const float *)table->data, last_of(table), table->n[0]}; }
static inline byte_rows byte_rows_of(const struct view *table, const struct view *scale) {
    return byte_rows{(const int8_t *)table->data, (const float *)scale->data, last_of(table), table->n[0]};
}

/* ---- lookup */
template <class R> __global__ void look(const int32_t *ids, R rows, vec y, int64_t n) {
    EACH(i, n * rows.d) {
        int64_t id = ids[i / rows.d];
        y.put(i, rows.has(id) ? rows.get(id, i % rows.d) : 0.0f);
    }
}
template <class R> static int look_run(struct cuda *c, const struct exec *x, R rows) {
    const struct view *y = &x->out[0];
    if (y->len > 0) LAUNCH(look<R>, grid_for(c, y->len), 256, c->stream, (const int32_t *)x->in[0].data, rows, vec_of(y), x->in[0].len);
    return 0;
}

/* ---- bags: one block a text, threads over columns */
template <class R> __global__ void bag(const int32_t *ids, R rows, const int32_t *off, const float *weight, vec y, int64_t texts, bool mean) {
    for (int64_t r = blockIdx.x; r < texts; r += gridDim.x)
        for (int64_t i = threadIdx.x; i < rows.d; i += blockDim.x) {
            float s = 0, sw = 0;
            for (int t = off[r]; t < off[r + 1]; t++) {
                float w = weight ? weight[t] : 1.0f;
                int64_t id = ids[t];
                sw += w;
                if (rows.has(id)) s += rows.get(id, i, w);
            }
            y.put(r * rows.d + i, !mean ? s : sw != 0 ? s / sw : 0.0f);
        }
}
/* weight: the input that may hold a weight for each id */
template <class R> static int bag_run(struct cuda *c, const struct exec *x, R rows, int weight) {
    int64_t texts = x->out[0].n[0];
    if (x->out[0].len > 0)
        LAUNCH(bag<R>, (unsigned)(texts < 65535 ? texts : 65535), threads_for(rows.d), c->stream, (const int32_t *)x->in[0].data, rows,
            (const int32_t *)x->in[2].data, has(x, weight) ? (const float *)x->in[weight].data : NULL, vec_of(&x->out[0]), texts,
            c->host->number(x->node, "mode") == 0);
    return 0;
}

#endif
