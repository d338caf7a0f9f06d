/* Rows of tables in 8 bits with a scale a row, as engine/ops/embed_i8.c defines them: lookup, the mean or sum of the rows of a text, words with positions
 * and types. */
#include "engine/cuda/random.cuh"

/* ---- lookup */
__global__ void look8(const int32_t *ids, const int8_t *table, const float *scale, vec y, int64_t n, int64_t d, int64_t v) {
    EACH(i, n * d) {
        int64_t id = ids[i / d];
        y.put(i, id < 0 || id >= v ? 0.0f : scale[id] * (float)table[id * d + i % d]);
    }
}
static int look8_run(struct cuda *c, const struct exec *x, const uint64_t *, struct err *) {
    if (x->out[0].len > 0)
        LAUNCH(look8, grid_for(c, x->out[0].len), 256, c->stream, (const int32_t *)x->in[0].data, (const int8_t *)x->in[1].data, (const float *)x->in[2].data,
            vec_of(&x->out[0]), x->in[0].len, last_of(&x->in[1]), x->in[1].n[0]);
    return 0;
}

/* ---- bags: one block a text, threads over columns */
__global__ void bag8(const int32_t *ids, const int8_t *table, const int32_t *off, const float *scale, const float *weight, vec y, int64_t rows, int64_t d,
    int64_t v, bool mean) {
    for (int64_t r = blockIdx.x; r < rows; r += gridDim.x)
        for (int64_t i = threadIdx.x; i < d; i += blockDim.x) {
            float s = 0, sw = 0;
            for (int t = off[r]; t < off[r + 1]; t++) {
                float w = weight ? weight[t] : 1.0f;
                int64_t id = ids[t];
                sw += w;
                if (id >= 0 && id < v) s += w * scale[id] * (float)table[id * d + i];
            }
            y.put(r * d + i, !mean ? s : sw != 0 ? s / sw : 0.0f);
        }
}
static int bag8_run(struct cuda *c, const struct exec *x, const uint64_t *, struct err *) {
    int64_t d = last_of(&x->in[1]), rows = x->out[0].n[0];
    if (x->out[0].len > 0)
        LAUNCH(bag8, (unsigned)(rows < 65535 ? rows : 65535), threads_for(d), c->stream, (const int32_t *)x->in[0].data, (const int8_t *)x->in[1].data,
            (const int32_t *)x->in[2].data, (const float *)x->in[3].data, has(x, 4) ? (const float *)x->in[4].data : NULL, vec_of(&x->out[0]), rows, d,
            x->in[1].n[0], c->host->number(x->node, "mode") == 0);
    return 0;
}

/* ---- words with positions and types */
__global__ void embed8(const int32_t *ids, const int8_t *word, const float *scale, const int32_t *off, const float *pos, const float *type, vec y, int64_t n,
    int64_t rows, int64_t d, int64_t v, int64_t np, int64_t start) {
    EACH(i, n * d) {
        int64_t t = i / d, k = i % d, id = ids[t];
        float s = id >= 0 && id < v ? scale[id] * (float)word[id * d + k] : 0.0f;
        if (pos) {
            int64_t p = t - off[text_of(off, rows, t)] + start;
            if (p < np) s += pos[p * d + k];
        }
        if (type) s += type[k];
        y.put(i, s);
    }
}
static int embed8_run(struct cuda *c, const struct exec *x, const uint64_t *, struct err *) {
    if (x->out[0].len > 0)
        LAUNCH(embed8, grid_for(c, x->out[0].len), 256, c->stream, (const int32_t *)x->in[0].data, (const int8_t *)x->in[1].data, (const float *)x->in[5].data,
            (const int32_t *)x->in[2].data, has(x, 3) ? (const float *)x->in[3].data : NULL, has(x, 4) ? (const float *)x->in[4].data : NULL,
            vec_of(&x->out[0]), x->in[0].len, x->in[2].len - 1, last_of(&x->in[1]), x->in[1].n[0], has(x, 3) ? x->in[3].n[0] : (int64_t)0,
            (int64_t)c->host->number(x->node, "start"));
    return 0;
}

extern const struct kernel embed_i8_kernels[];
const struct kernel embed_i8_kernels[] = {
    {"embedding_i8", 0, 1, false, NULL, look8_run}, {"embedding_bag_i8", 0, 1, false, NULL, bag8_run}, {"embed_i8", 0, 1, false, NULL, embed8_run}, {}};
