/* Rows of tables in 8 bits with a scale a row, as engine/ops/embed_i8.c defines them: lookup, the mean or sum of the rows of a text, words with positions
 * and types. */
#include "engine/cuda/rows.cuh"

static int look8_run(struct cuda *c, const struct exec *x, const uint64_t *, struct err *) { return look_run(c, x, byte_rows_of(&x->in[1], &x->in[2])); }
static int bag8_run(struct cuda *c, const struct exec *x, const uint64_t *, struct err *) { return bag_run(c, x, byte_rows_of(&x->in[1], &x->in[3]), 4); }

/* ---- words with positions and types */
__global__ void embed8(
    const int32_t *ids, byte_rows word, const int32_t *off, const float *pos, const float *type, vec y, int64_t n, int64_t texts, int64_t np, int64_t start) {
    int64_t d = word.d;
    EACH(i, n * d) {
        int64_t t = i / d, k = i % d, id = ids[t];
        float s = word.has(id) ? word.get(id, k) : 0.0f;
        if (pos) {
            int64_t p = t - off[text_of(off, texts, t)] + start;
            if (p < np) s += pos[p * d + k];
        }
        if (type) s += type[k];
        y.put(i, s);
    }
}
static int embed8_run(struct cuda *c, const struct exec *x, const uint64_t *, struct err *) {
    if (x->out[0].len > 0)
        LAUNCH(embed8, grid_for(c, x->out[0].len), 256, c->stream, (const int32_t *)x->in[0].data, byte_rows_of(&x->in[1], &x->in[5]),
            (const int32_t *)x->in[2].data, has(x, 3) ? (const float *)x->in[3].data : NULL, has(x, 4) ? (const float *)x->in[4].data : NULL,
            vec_of(&x->out[0]), x->in[0].len, x->in[2].len - 1, has(x, 3) ? x->in[3].n[0] : (int64_t)0, (int64_t)c->host->number(x->node, "start"));
    return 0;
}

extern const struct kernel embed_i8_kernels[];
const struct kernel embed_i8_kernels[] = {
    {"embedding_i8", 0, 1, false, NULL, look8_run}, {"embedding_bag_i8", 0, 1, false, NULL, bag8_run}, {"embed_i8", 0, 1, false, NULL, embed8_run}, {}};
