/* Rows of a table by id, means and sums of them over texts, and their row-sparse gradients, as engine/ops/embedding.c defines them: slots in order of first
 * appearance, each slot's sum over its tokens in their order, so that nothing depends on which block came first. */
#include "engine/cuda/rows.cuh"

#include <limits.h>

static int floats_look_run(struct cuda *c, const struct exec *x, const uint64_t *, struct err *) { return look_run(c, x, float_rows_of(&x->in[1])); }
static int floats_bag_run(struct cuda *c, const struct exec *x, const uint64_t *, struct err *) { return bag_run(c, x, float_rows_of(&x->in[1]), 3); }

/* ---- slots: the first token of each id, numbered along the tokens */
__global__ void slots_clear(int32_t *slot, int64_t v) { EACH(i, v) slot[i] = INT_MAX; }
__global__ void slots_first(const int32_t *ids, int32_t *slot, int64_t n, int64_t v) {
    EACH(t, n) {
        int64_t id = ids[t];
        if (id >= 0 && id < v) atomicMin(&slot[id], (int)t);
    }
}
/* One block: at[t] = number of first tokens before t, for first tokens. */
__global__ void slots_number(const int32_t *ids, const int32_t *slot, int32_t *at, int32_t *row, int32_t *count, int64_t n, int64_t v) {
    __shared__ int warp_sum[32];
    int base = 0, lane = (int)threadIdx.x % 32, warp = (int)threadIdx.x / 32, warps = (int)blockDim.x / 32;
    for (int64_t from = 0; from < n; from += blockDim.x) {
        int64_t t = from + threadIdx.x, id = t < n ? ids[t] : -1;
        bool first = id >= 0 && id < v && slot[id] == (int)t;
        unsigned bits = __ballot_sync(0xffffffffu, first);
        if (lane == 0) warp_sum[warp] = __popc(bits);
        __syncthreads();
        int before = base, all = 0;
        for (int w = 0; w < warps; w++) {
            if (w < warp) before += warp_sum[w];
            all += warp_sum[w];
        }
        before += __popc(bits & ((1u << lane) - 1u));
        if (first) at[t] = before, row[before] = (int32_t)id;
        base += all;
        __syncthreads();
    }
    if (threadIdx.x == 0) *count = base;
}
__global__ void slots_tokens(const int32_t *ids, const int32_t *slot, const int32_t *at, int32_t *slot_of, int64_t n, int64_t v) {
    EACH(t, n) {
        int64_t id = ids[t];
        slot_of[t] = id >= 0 && id < v ? at[slot[id]] : -1;
    }
}
__global__ void slots_rows(int32_t *slot, const int32_t *at, int64_t v) { EACH(i, v) slot[i] = slot[i] == INT_MAX ? -1 : at[slot[i]]; }
/* out[0..3] of a row-sparse gradient but the values; the slot of every token. */
static const int32_t *slots(struct cuda *c, const struct exec *x, int32_t **first_at) {
    int64_t n = x->in[0].len, v = x->out[3].len;
    const int32_t *ids = (const int32_t *)x->in[0].data;
    int32_t *slot = (int32_t *)x->out[3].data, *at = (int32_t *)x->scratch, *slot_of = at + n;
    LAUNCH(slots_clear, grid_for(c, v), 256, c->stream, slot, v);
    LAUNCH(slots_first, grid_for(c, n), 256, c->stream, ids, slot, n, v);
    LAUNCH(slots_number, 1, 1024, c->stream, ids, slot, at, (int32_t *)x->out[1].data, (int32_t *)x->out[2].data, n, v);
    LAUNCH(slots_tokens, grid_for(c, n), 256, c->stream, ids, slot, at, slot_of, n, v);
    LAUNCH(slots_rows, grid_for(c, v), 256, c->stream, slot, at, v);
    *first_at = at;
    return slot_of;
}
/* One block a slot: it looks through the tokens 256 at a time, gathers those of its slot in order, and adds their rows. off: rows of dy are texts, weighed
 * by factor. */
__global__ void slots_sum(const int32_t *slot_of, const int32_t *count, vec dy, vec y, int64_t n, int64_t d, const int32_t *off, int64_t texts,
    const float *factor, const float *weight) {
    __shared__ int found[256], warp_sum[8];
    int lane = (int)threadIdx.x % 32, warp = (int)threadIdx.x / 32;
    for (int64_t s = blockIdx.x; s < *count; s += gridDim.x) {
        bool begun = false;
        for (int64_t from = 0; from < n; from += 256) {
            int64_t t = from + threadIdx.x;
            bool mine = t < n && slot_of[t] == (int)s;
            unsigned bits = __ballot_sync(0xffffffffu, mine);
            if (lane == 0) warp_sum[warp] = __popc(bits);
            __syncthreads();
            int before = 0, all = 0;
            for (int w = 0; w < 8; w++) {
                if (w < warp) before += warp_sum[w];
                all += warp_sum[w];
            }
            if (mine) found[before + __popc(bits & ((1u << lane) - 1u))] = (int)t;
            __syncthreads();
            for (int64_t i = threadIdx.x; i < d && all > 0; i += blockDim.x) {
                float sum = begun ? y.get(s * d + i) : 0.0f;
                for (int k = 0; k < all; k++) {
                    int64_t q = found[k], row = off ? text_of(off, texts, q) : q;
                    sum += dy.get(row * d + i) * (off ? factor[row] : 1.0f) * (weight ? weight[q] : 1.0f);
                }
                y.put(s * d + i, sum);
            }
            begun = begun || all > 0;
            __syncthreads();
        }
    }
}
static int egrad_run(struct cuda *c, const struct exec *x, const uint64_t *, struct err *) {
    int64_t n = x->in[0].len, d = last_of(&x->out[0]);
    int32_t *at;
    const int32_t *slot_of = slots(c, x, &at);
    if (n > 0)
        LAUNCH(slots_sum, (unsigned)(n < c->sms * 16 ? n : c->sms * 16), 256, c->stream, slot_of, (const int32_t *)x->out[2].data, vec_of(&x->in[2]),
            vec_of(&x->out[0]), n, d, (const int32_t *)NULL, (int64_t)0, (const float *)NULL, (const float *)NULL);
    return 0;
}
/* 1 / (weight of the text), or 1 for sums */
__global__ void text_factor(const int32_t *off, const float *weight, float *factor, int64_t rows, bool mean) {
    EACH(r, rows) {
        double w = (double)(off[r + 1] - off[r]);
        if (weight) {
            w = 0;
            for (int t = off[r]; t < off[r + 1]; t++) w += (double)weight[t];
        }
        factor[r] = !mean ? 1.0f : w != 0 ? (float)(1 / w) : 0.0f;
    }
}
static int bgrad_run(struct cuda *c, const struct exec *x, const uint64_t *, struct err *e) {
    int64_t n = x->in[0].len, d = last_of(&x->out[0]), rows = x->in[3].n[0];
    const int32_t *off = (const int32_t *)x->in[2].data;
    const float *weight = has(x, 4) ? (const float *)x->in[4].data : NULL;
    float *factor = (float *)c->workspace;
    int32_t *at;
    if (rows * (int64_t)sizeof(float) > WORKSPACE) return c->host->fail(e, "%lld texts are more than the workspace holds", (long long)rows);
    const int32_t *slot_of = slots(c, x, &at);
    if (rows > 0) LAUNCH(text_factor, grid_for(c, rows), 256, c->stream, off, weight, factor, rows, c->host->number(x->node, "mode") == 0);
    if (n > 0)
        LAUNCH(slots_sum, (unsigned)(n < c->sms * 16 ? n : c->sms * 16), 256, c->stream, slot_of, (const int32_t *)x->out[2].data, vec_of(&x->in[3]),
            vec_of(&x->out[0]), n, d, off, rows, factor, weight);
    return 0;
}

/* ---- the dense form */
__global__ void dense(vec a, const int32_t *slot, vec y, int64_t v, int64_t d) {
    EACH(i, v * d) {
        int64_t s = slot[i / d];
        y.put(i, s < 0 ? 0.0f : a.get(s * d + i % d));
    }
}
static int dense_run(struct cuda *c, const struct exec *x, const uint64_t *, struct err *) {
    int64_t d = last_of(&x->in[0]), v = x->in[3].len;
    if (v * d > 0) LAUNCH(dense, grid_for(c, v * d), 256, c->stream, vec_of(&x->in[0]), (const int32_t *)x->in[3].data, vec_of(&x->out[0]), v, d);
    return 0;
}

extern const struct kernel embedding_kernels[];
const struct kernel embedding_kernels[] = {{"embedding", 0, 1, false, NULL, floats_look_run}, {"embedding_grad", 4, 0, false, NULL, egrad_run},
    {"embedding_bag", 0, 0, false, NULL, floats_bag_run}, {"embedding_bag_grad", 8, 0, false, NULL, bgrad_run}, {"rows_dense", 0, 0, false, NULL, dense_run},
    {}};
