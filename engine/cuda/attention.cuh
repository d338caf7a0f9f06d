/* What the attention kernels share: the packed texts, who sees whom, dropout. */
#ifndef HONE_ENGINE_CUDA_ATTENTION_CUH
#define HONE_ENGINE_CUDA_ATTENTION_CUH

#include "engine/cuda/random.cuh"

struct heads {
    vec qkv; /* (T, 3 n) */
    const int32_t *off;
    const float *p; /* dropout, or NULL */
    int64_t tokens, texts, n, d, count; /* n = count d */
    float scale;
    bool causal;
    uint64_t stream;
    const uint64_t *step;
};
/* Tokens of the text of token t. */
struct range {
    int64_t from, to;
};
static __device__ range text_range(const heads &a, int64_t t) {
    int64_t r = text_of(a.off, a.texts, t);
    return range{a.off[r], a.off[r + 1]};
}
static __device__ float keep_of(const heads &a, int64_t query, int64_t h, int64_t key_in_text) {
    if (!a.p) return 1.0f;
    return random_keep(a.stream, *a.step, ((uint64_t)(query * a.count + h) << 20) + (uint64_t)key_in_text, *a.p);
}
static __device__ bool sees(const heads &a, const range &text, int64_t query, int64_t key) {
    return key >= text.from && key < text.to && (!a.causal || key <= query);
}

/* attention_half.cu: on tensor cores, operands rounded to 16 bits; false: not for these (heads too wide, a device without such products) */
bool attention_half_can(const struct cuda *c, const heads &a, int type);
void attention_half(struct cuda *c, const heads &a, int type, vec out, float *lse);
void attention_half_grad(struct cuda *c, const heads &a, int type, const float *lse, const float *delta, vec dout, vec dqkv);

#endif
