/* adam and adamw with moments of 8 bits: codes of a dynamic data type (code8.h) with a scale for each block of 256, decoded, updated and coded again in one
 * pass. The first moment has signed codes, the second one unsigned. Source: Dettmers et al. 2022, "8-bit optimizers via block-wise quantization", section 2.
 * */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "engine/optims/adam.h"
#include "engine/optims/code8.h"
#include "engine/optims/optim.h"
#include "engine/optims/update.h"

#define BLOCK CODE8_BLOCK
#define TILE_BLOCKS (UPDATE_TILE / BLOCK)
enum { IN_P, IN_M, IN_MS, IN_V, IN_VS, IN_G, IN_CTL };

struct book {
    float value[256];
    struct code8 c;
};

static void book_init(struct book *b, int shift) {
    for (int c = 0; c < 256; c++) b->value[c] = (float)code8_value(shift ? c : c - 127, shift);
    for (int i = 0; i < CODE8_DECADES; i++) code8_init(&b->c, shift, i);
}

/* One block of n <= 256: codes to floats and back. Signed codes are 127 + k. */
static void decode(const struct book *b, const uint8_t *restrict q, float scale, float *restrict out, int64_t n) {
#pragma omp simd
    for (int64_t i = 0; i < n; i++) out[i] = b->value[q[i]] * scale;
}

static void encode_signed(const struct book *b, const float *restrict x, uint8_t *restrict q, float *scale, int64_t n) {
    float most = 0;
#pragma omp simd reduction(max : most)
    for (int64_t i = 0; i < n; i++) most = fabsf(x[i]) > most ? fabsf(x[i]) : most;
    const float inv = most > 0 ? 1 / most : 0;
    const struct code8 c = b->c;
    *scale = most;
#pragma omp simd
    for (int64_t i = 0; i < n; i++) {
        float k = code8_of(&c, fabsf(x[i]) * inv, x[i] < 0 ? 127.0f : 128.0f); /* there is no code for -1 */
        q[i] = (uint8_t)(int)(127.0f + (x[i] < 0 ? -k : k));
    }
}

static void encode_unsigned(const struct book *b, const float *restrict x, uint8_t *restrict q, float *scale, int64_t n) {
    float most = 0;
#pragma omp simd reduction(max : most)
    for (int64_t i = 0; i < n; i++) most = x[i] > most ? x[i] : most;
    const float inv = most > 0 ? 1 / most : 0;
    const struct code8 c = b->c;
    *scale = most;
#pragma omp simd
    for (int64_t i = 0; i < n; i++) q[i] = (uint8_t)(int)code8_of(&c, x[i] * inv, 255.0f);
}

static void step(float *restrict p, float *restrict m, float *restrict v, const float *restrict g, int64_t n, struct update_grad h, const float *c) {
    const float shrink = c[C_SHRINK], rate = c[C_STEP], root = c[C_ROOT], eps = c[C_EPS], n1 = c[C_N1], b2 = c[C_B2], n2 = c[C_N2];
#pragma omp simd
    for (int64_t i = 0; i < n; i++) {
        float y = update_g(h, g[i], p[i]), a = m[i] + n1 * (y - m[i]), b = b2 * v[i] + n2 * y * y;
        m[i] = a;
        v[i] = b;
        p[i] = p[i] * shrink - a * rate / (sqrtf(b) * root + eps);
    }
}

static int adam8_shape(struct shaping *s, struct err *e) {
    if (s->in[IN_M]->dtype != DT_U8 || s->in[IN_V]->dtype != DT_U8) return err_set(e, "the codes of the moments must be bytes");
    if (s->in[IN_G]->ndim != s->in[IN_P]->ndim) return err_set(e, "the gradient does not have the shape of the parameter");
    s->n_out = 5;
    for (int i = 0; i < 5; i++) {
        s->out[i] = *s->in[i];
        s->out[i].offsets = -1;
    }
    s->scratch_fixed = 64 + 2 * sizeof(struct book);
    return 0;
}

static const float *adam8_ctl(const struct exec *x) { return (const float *)x->in[IN_CTL].data + ((const struct update_attr *)x->attr)->group * CTL_N; }
static int64_t adam8_tiles(const struct exec *x) { return (x->in[IN_P].len + UPDATE_TILE - 1) / UPDATE_TILE; }

static void adam8_begin(const struct exec *x) {
    book_init(x->scratch, 0);
    book_init((struct book *)x->scratch + 1, 1);
}

static void adam8_run(const struct exec *x, int64_t lo, int64_t hi) {
    const float *ctl = adam8_ctl(x), *g = x->in[IN_G].data;
    const struct book *book = x->scratch;
    float *p = x->in[IN_P].data, *ms = x->in[IN_MS].data, *vs = x->in[IN_VS].data, m[BLOCK], v[BLOCK];
    uint8_t *qm = x->in[IN_M].data, *qv = x->in[IN_V].data;
    struct update_grad h = {ctl[CTL_SCALE], ctl[CTL_CLIP_VALUE], ctl[CTL_L1], ctl[CTL_L2]};
    int64_t blocks = (x->in[IN_P].len + BLOCK - 1) / BLOCK, end = hi * TILE_BLOCKS < blocks ? hi * TILE_BLOCKS : blocks;
    if (ctl[CTL_OK] == 0) return;
    for (int64_t b = lo * TILE_BLOCKS; b < end; b++) {
        int64_t at = b * BLOCK, n = x->in[IN_P].len - at < BLOCK ? x->in[IN_P].len - at : BLOCK;
        /* a state that was never written is all zero: code 0 of the first moment would be its least value, times a scale of 0 */
        decode(&book[0], qm + at, ms[b], m, n);
        decode(&book[1], qv + at, vs[b], v, n);
        step(p + at, m, v, g + at, n, h, ctl + CTL_COEF);
        encode_signed(&book[0], m, qm + at, &ms[b], n);
        encode_unsigned(&book[1], v, qv + at, &vs[b], n);
    }
}

/* Codes by search of the whole book. */
static int nearest(double x, int shift) {
    int best = 0;
    for (int c = 1; c < 256; c++)
        if (fabs(code8_value(shift ? c : c - 127, shift) - x) < fabs(code8_value(shift ? best : best - 127, shift) - x)) best = c;
    return best;
}

static void adam8_ref(const struct exec *x) {
    const int64_t base = ((const struct update_attr *)x->attr)->group * CTL_N;
    double ctl[CTL_N], m[BLOCK], v[BLOCK];
    const double *c = ctl + CTL_COEF;
    for (int i = 0; i < CTL_N; i++) ctl[i] = view_get(&x->in[IN_CTL], base + i);
    if (ctl[CTL_OK] == 0) return;
    for (int64_t at = 0; at < x->in[IN_P].len; at += BLOCK) {
        int64_t n = x->in[IN_P].len - at < BLOCK ? x->in[IN_P].len - at : BLOCK, b = at / BLOCK;
        double ms = view_get(&x->in[IN_MS], b), vs = view_get(&x->in[IN_VS], b), mm = 0, vm = 0;
        for (int64_t i = 0; i < n; i++) {
            double p = view_get(&x->in[IN_P], at + i), g = update_ref_g(ctl, view_get(&x->in[IN_G], at + i), p);
            m[i] = code8_value((int)view_get(&x->in[IN_M], at + i) - 127, 0) * ms;
            v[i] = code8_value((int)view_get(&x->in[IN_V], at + i), 1) * vs;
            m[i] += c[C_N1] * (g - m[i]);
            v[i] = c[C_B2] * v[i] + c[C_N2] * g * g;
            mm = fmax(mm, fabs(m[i]));
            vm = fmax(vm, v[i]);
            view_put(&x->in[IN_P], at + i, p * c[C_SHRINK] - m[i] * c[C_STEP] / (sqrt(v[i]) * c[C_ROOT] + c[C_EPS]));
        }
        view_put(&x->in[IN_MS], b, mm);
        view_put(&x->in[IN_VS], b, vm);
        for (int64_t i = 0; i < n; i++) {
            view_put(&x->in[IN_M], at + i, nearest(mm > 0 ? m[i] / mm : 0, 0));
            view_put(&x->in[IN_V], at + i, nearest(vm > 0 ? v[i] / vm : 0, 1));
        }
    }
}

static void adam8_coef(const void *args, int64_t t, double lr, double *memory, double *c) {
    const struct adam_args *a = args;
    (void)memory;
    ISA(adam_numbers)(a->beta1, a->beta2, a->eps, t, lr, c);
}

static void adamw8_coef(const void *args, int64_t t, double lr, double *memory, double *c) {
    adam8_coef(args, t, lr, memory, c);
    c[C_SHRINK] = 1 - lr * ((const struct adam_args *)args)->common.weight_decay;
}

static int adam8_shapes(const void *args, const struct optim_param *p, struct optim_state *s) {
    static const char *const names[] = {"m8", "m_scale", "v8", "v_scale"};
    (void)args;
    for (int i = 0; i < 4; i++) {
        s[i] = (struct optim_state){.name = names[i], .dtype = i % 2 ? DT_F32 : DT_U8, .ndim = i % 2 ? 1 : p->ndim};
        for (int j = 0; j < s[i].ndim; j++) s[i].dim[j] = i % 2 ? (p->len + BLOCK - 1) / BLOCK : p->dim[j];
    }
    return 4;
}

static int adam8_build(struct graph *g, const struct optim_update *u, struct err *e) {
    tid grad = optim_dense_grad(g, u, e);
    char attr[32];
    snprintf(attr, sizeof attr, "group=%d", u->slot->group);
    return grad < 0                                                                                                                                   ? -1
           : graph_attr(g, "adam8_update", attr, (tid[]){u->param, u->state[0], u->state[1], u->state[2], u->state[3], grad, u->ctl}, 7, NULL, e) < 0 ? -1
                                                                                                                                                      : 0;
}

/* Not rows that a user names: adam and adamw give them to the parameters that they suit. */
const struct optim ISA(optim_adam8) = {
    .kind = {.name = "adam8"},
    .op = "adam8_update",
    .coef = adam8_coef,
    .shapes = adam8_shapes,
    .build = adam8_build,
};
const struct optim ISA(optim_adamw8) = {
    .kind = {.name = "adamw8"},
    .op = "adam8_update",
    .decoupled = true,
    .coef = adamw8_coef,
    .shapes = adam8_shapes,
    .build = adam8_build,
};
const struct op ISA(op_adam8_update) = {
    .kind = {"adam8_update", "one step of adam or adamw with moments of 8 bits", NULL, update_args, sizeof(struct update_attr)},
    .in_min = 7,
    .in_max = 7,
    .n_out = 5,
    .flags = OP_UPDATE | OP_TIED | OP_NO_GRAD,
    .shape = adam8_shape,
    .ref = adam8_ref,
    .tiles = adam8_tiles,
    .begin = adam8_begin,
    .run = adam8_run,
    .samples = update_samples,
};
