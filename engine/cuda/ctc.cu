/* Connectionist temporal classification and its gradient, as engine/ops/ctc.c defines them: in logarithms, in double, a block of threads a row of the
 * batch. The states of a frame are handled in chunks of a block: from the last one down going forward, from the first one up going back, so that a frame's
 * states take the place of those of its neighbour. Sums over the states of a class are made in their order. */
#include "engine/cuda/cuda.h"

#include <math.h>

enum { THREADS = 128 };
struct ctc {
    const float *z; /* logits */
    const int32_t *y, *off; /* targets (R, L); offsets of packed frames, or NULL */
    int64_t rows, most, frames, classes, width; /* most: L; width: numbers of a frame in the scratch, 2 L + 2 */
    int blank;
    bool zero_infinity, by_length;
};
struct ctc_row {
    const int32_t *y;
    int64_t from, frames, n, states; /* its first frame, how many, labels, 2 n + 1 */
    double share;
    bool bad; /* a label that is none */
};
static __device__ ctc_row row_at(const ctc &c, int64_t r) { /* the same in every thread */
    ctc_row w;
    w.y = c.y + r * c.most;
    w.from = c.off ? c.off[r] : r * c.frames, w.frames = c.off ? c.off[r + 1] - c.off[r] : c.frames;
    w.bad = false;
    for (w.n = 0; w.n < c.most && w.y[w.n] >= 0 && w.y[w.n] != c.blank; w.n++) w.bad |= w.y[w.n] >= c.classes;
    w.states = 2 * w.n + 1;
    w.share = c.by_length ? 1 / (double)(w.n > 1 ? w.n : 1) : 1;
    return w;
}
static __device__ __forceinline__ int64_t class_of(const ctc &c, const ctc_row &w, int64_t s) { return s % 2 ? w.y[s / 2] : c.blank; }
static __device__ __forceinline__ bool skips(const ctc_row &w, int64_t s) { return s % 2 && s >= 3 && w.y[s / 2] != w.y[s / 2 - 1]; }
static __device__ double log_sum(double a, double b, double c) {
    double m = a > b ? a : b;
    m = c > m ? c : m;
    return m == -INFINITY ? m : m + log(exp(a - m) + exp(b - m) + exp(c - m));
}
/* log sum exp of a frame's logits, for every thread. */
static __device__ double log_norm(const float *z, int64_t n) {
    float m = -INFINITY, s = 0;
    for (int64_t k = threadIdx.x; k < n; k += blockDim.x) m = larger::of(m, z[k]);
    m = block_all<larger>(m);
    __syncthreads();
    for (int64_t k = threadIdx.x; k < n; k += blockDim.x) s += expf(z[k] - m);
    s = block_all<plus>(s);
    __syncthreads();
    return (double)m + log((double)s);
}
/* alpha: each frame's states `stride` apart, 0: only the last frame's are kept. Behind them a frame has log sum exp of its logits. The loss, for every
 * thread. */
static __device__ double forward(const ctc &c, const ctc_row &w, double *alpha, int64_t stride) {
    int64_t n = w.states, chunks = (n + THREADS - 1) / THREADS;
    if (w.bad) return NAN;
    if (w.frames == 0) return w.n ? INFINITY : 0;
    for (int64_t t = 0; t < w.frames; t++) {
        const float *z = c.z + (w.from + t) * c.classes;
        double *a = alpha + t * stride, norm = log_norm(z, c.classes);
        const double *b = a - stride;
        for (int64_t k = chunks - 1; k >= 0; k--) {
            int64_t s = k * THREADS + threadIdx.x;
            double v = -INFINITY;
            if (s < n) {
                double from = t == 0 ? (s < 2 ? 0 : -INFINITY) : log_sum(b[s], s ? b[s - 1] : -INFINITY, skips(w, s) ? b[s - 2] : -INFINITY);
                v = from + (double)z[class_of(c, w, s)] - norm;
            }
            __syncthreads(); /* all have read */
            if (s < n) a[s] = v;
            __syncthreads();
        }
        if (threadIdx.x == 0) a[n] = norm;
        __syncthreads();
    }
    const double *end = alpha + (w.frames - 1) * stride;
    return -log_sum(end[n - 1], n > 1 ? end[n - 2] : -INFINITY, -INFINITY);
}
__global__ void __launch_bounds__(THREADS) ctc_losses(ctc c, double *scratch) {
    for (int64_t r = blockIdx.x; r < c.rows; r += gridDim.x) {
        ctc_row w = row_at(c, r);
        double *a = scratch + r * c.width, loss = forward(c, w, a, 0);
        __syncthreads();
        if (threadIdx.x == 0) a[0] = isinf(loss) && c.zero_infinity ? 0 : w.share * loss;
    }
}
__global__ void ctc_total(const double *scratch, int64_t rows, int64_t width, float *sum, float *count) { /* one block */
    double s = 0;
    for (int64_t r = threadIdx.x; r < rows; r += blockDim.x) s += scratch[r * width];
    s = block_all<plus>(s);
    if (threadIdx.x == 0) *sum = (float)s, *count = (float)rows;
}

/* o[k] -= d times the posteriors of the states of class k, in the order of the states; post (S) */
static __device__ void subtract(const ctc &c, const ctc_row &w, const double *post, float *o, float d) {
    double blank = 0;
    for (int64_t s = 2 * (int64_t)threadIdx.x; s < w.states; s += 2 * THREADS) blank += post[s];
    blank = block_all<plus>(blank);
    if (threadIdx.x == 0) o[c.blank] -= d * (float)blank;
    for (int64_t j = threadIdx.x; j < w.n; j += THREADS) { /* the first label of its class sums for all of them */
        double all = post[2 * j + 1];
        bool first = true;
        for (int64_t i = 0; i < j && first; i++) first = w.y[i] != w.y[j];
        for (int64_t i = j + 1; i < w.n && first; i++)
            if (w.y[i] == w.y[j]) all += post[2 * i + 1];
        if (first) o[w.y[j]] -= d * (float)all;
    }
    __syncthreads();
}
/* o (C) = dz of frame t. beta (S) of the frame behind it, with its emissions, becomes that of this one; the frame's alphas become posteriors. The betas are
 * where the last frame's alphas are: of that frame only the last two states have a posterior. */
static __device__ void frame_back(const ctc &c, const ctc_row &w, int64_t t, double *alpha, double *beta, double loss, float d, float *o) {
    __shared__ double last[2];
    const float *z = c.z + (w.from + t) * c.classes;
    int64_t n = w.states;
    double norm = alpha[n];
    float all = 0;
    for (int64_t k = threadIdx.x; k < c.classes; k += THREADS) all += o[k] = expf(z[k] - (float)norm);
    all = d / block_all<plus>(all);
    for (int64_t k = threadIdx.x; k < c.classes; k += THREADS) o[k] *= all;
    for (int64_t k = 0; k < (n + THREADS - 1) / THREADS; k++) {
        int64_t s = k * THREADS + threadIdx.x;
        double to = s >= n - 2 ? 0 : -INFINITY, post = 0;
        if (s < n) {
            if (t + 1 < w.frames) to = log_sum(beta[s], s + 1 < n ? beta[s + 1] : -INFINITY, s + 2 < n && skips(w, s + 2) ? beta[s + 2] : -INFINITY);
            post = exp(alpha[s] + to + loss);
        }
        __syncthreads(); /* all have read */
        if (s < n && t + 1 < w.frames) alpha[s] = post;
        else if (s < n && s >= n - 2) last[s - (n - 2)] = post;
        if (s < n) beta[s] = to + (double)z[class_of(c, w, s)] - norm;
        __syncthreads();
    }
    if (t + 1 < w.frames) subtract(c, w, alpha, o, d);
    else if (threadIdx.x == 0) {
        o[c.blank] -= d * (float)last[1];
        if (n > 1) o[class_of(c, w, n - 2)] -= d * (float)last[0];
    }
    __syncthreads();
}
__global__ void __launch_bounds__(THREADS) ctc_back(ctc c, const float *dout, float *out, double *scratch) {
    for (int64_t r = blockIdx.x; r < c.rows; r += gridDim.x) {
        ctc_row w = row_at(c, r);
        double *alpha = scratch + w.from * c.width, loss = forward(c, w, alpha, c.width);
        float d = *dout * (float)w.share, *o = out + w.from * c.classes;
        __syncthreads(); /* all have read what the loss is made of */
        if (!isfinite(loss))
            for (int64_t i = threadIdx.x; i < w.frames * c.classes; i += THREADS) o[i] = isinf(loss) && c.zero_infinity ? 0.0f : NAN;
        else
            for (int64_t t = w.frames - 1; t >= 0; t--) frame_back(c, w, t, alpha + t * c.width, alpha + (w.frames - 1) * c.width, loss, d, o + t * c.classes);
    }
}

static ctc ctc_of(const struct cuda *c, const struct exec *x, int off) {
    ctc k = {};
    k.z = (const float *)x->in[0].data, k.y = (const int32_t *)x->in[1].data, k.off = has(x, off) ? (const int32_t *)x->in[off].data : NULL;
    k.rows = x->in[1].n[0], k.most = x->in[1].n[1], k.frames = x->in[0].n[1], k.classes = last_of(&x->in[0]), k.width = 2 * k.most + 2;
    k.blank = (int)c->host->number(x->node, "blank");
    k.zero_infinity = c->host->number(x->node, "zero_infinity") != 0, k.by_length = c->host->number(x->node, "by_length") != 0;
    return k;
}
static unsigned rows_grid(const ctc &k) { return (unsigned)(k.rows < 65535 ? k.rows : 65535); }
static int ctc_run(struct cuda *c, const struct exec *x, const uint64_t *, struct err *) {
    ctc k = ctc_of(c, x, 2);
    if (k.rows > 0) LAUNCH(ctc_losses, rows_grid(k), THREADS, c->stream, k, (double *)x->scratch);
    LAUNCH(ctc_total, 1, 128, c->stream, (const double *)x->scratch, k.rows, k.width, (float *)x->out[0].data, (float *)x->out[1].data);
    return 0;
}
static int ctc_grad_run(struct cuda *c, const struct exec *x, const uint64_t *, struct err *) {
    ctc k = ctc_of(c, x, 3);
    if (k.rows > 0) LAUNCH(ctc_back, rows_grid(k), THREADS, c->stream, k, (const float *)x->in[2].data, (float *)x->out[0].data, (double *)x->scratch);
    return 0;
}

extern const struct kernel ctc_kernels[];
const struct kernel ctc_kernels[] = {{"ctc", 0, 0, false, NULL, ctc_run}, {"ctc_grad", 0, 0, false, NULL, ctc_grad_run}, {}};
