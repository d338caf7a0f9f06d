/* The norm of the gradient, the gate, and the updates of the optimisers, as engine/optims define them. Nothing is written where the gate says no; the gate
 * and the live numbers stay on the device, so a step needs no answer in between. */
#include "engine/cuda/update.cuh"

#include <math.h>

/* ---- norm: partial sums in double by blocks, in their order at the end */
enum { NORM_PARTS = 1024 };
__global__ void norm_part(const float *g, int64_t n, int64_t width, const int32_t *count, double *part) {
    if (count) n = width * (int64_t)*count;
    double s = 0;
    EACH(i, n) s += (double)g[i] * (double)g[i];
    s = block_all<plus>(s);
    if (threadIdx.x == 0) part[blockIdx.x] = s;
}
__global__ void norm_end(const double *part, int parts, const float *prior, float *out) {
    double s = 0;
    for (int i = (int)threadIdx.x; i < parts; i += (int)blockDim.x) s += part[i];
    s = block_all<plus>(s);
    if (threadIdx.x == 0) *out = (float)sqrt(s + (prior ? (double)*prior * (double)*prior : 0.0));
}
static int grad_norm_run(struct cuda *c, const struct exec *x, const uint64_t *, struct err *) {
    int64_t n = x->in[0].len, rows = x->in[0].n[0];
    unsigned parts = grid_for(c, n);
    if (parts > NORM_PARTS) parts = NORM_PARTS;
    double *part = (double *)c->workspace;
    LAUNCH(norm_part, parts, 256, c->stream, (const float *)x->in[0].data, n, rows > 0 ? n / rows : 0, has(x, 1) ? (const int32_t *)x->in[1].data : NULL, part);
    LAUNCH(norm_end, 1, 256, c->stream, part, (int)parts, has(x, 2) ? (const float *)x->in[2].data : NULL, (float *)x->out[0].data);
    return 0;
}

/* ---- averaged weights (engine/train/average.c) */
__global__ void mix(float *y, const float *x, int64_t n, float share) { EACH(i, n) y[i] += share * (x[i] - y[i]); }
int mix_weights(struct cuda *c, float *y, const float *x, int64_t n, float share, struct err *e) {
    if (n > 0) LAUNCH(mix, grid_for(c, n), 256, c->stream, y, x, n, share);
    return cuda_launched(c, e);
}

/* ---- gate */
__global__ void gate(const float *hyper, const float *loss_sum, const float *weight_sum, const float *norm_of, float *ctl, int64_t n) {
    double loss = *loss_sum, weight = *weight_sum, norm = *norm_of, h[CTL_COEF];
    for (int i = 0; i < CTL_COEF; i++) h[i] = hyper[i];
    double per = weight > 0 ? h[CTL_SCALE] / weight : 0;
    bool ok = h[CTL_OK] != 0 && isfinite(loss) && isfinite(weight) && isfinite(norm) && fmin(norm * per, h[CTL_CLIP_NORM]) < 1e18;
    h[CTL_NORM] = weight > 0 ? norm * per : norm;
    h[CTL_LOSS] = weight > 0 ? loss / weight : loss;
    h[CTL_OK] = ok;
    h[CTL_SCALE] = per;
    if (h[CTL_NORM] > h[CTL_CLIP_NORM]) h[CTL_SCALE] = per * (h[CTL_CLIP_NORM] / (h[CTL_NORM] + 1e-6));
    EACH(i, n) {
        int k = (int)(i % CTL_N);
        bool own = k >= CTL_COEF || k == CTL_L1 || k == CTL_L2 || k == CTL_CLIP_VALUE;
        ctl[i] = own ? hyper[i] : (float)h[k];
    }
}
static int gate_run(struct cuda *c, const struct exec *x, const uint64_t *, struct err *) {
    LAUNCH(gate, 1, 128, c->stream, (const float *)x->in[0].data, (const float *)x->in[1].data, (const float *)x->in[2].data, (const float *)x->in[3].data,
        (float *)x->out[0].data, x->in[0].len);
    return 0;
}

/* ---- updates (engine/optims/update.h): param, states, grad, ctl [, slots | ids, count] */
enum { STATES = 4 };
struct update {
    float *p, *s[STATES];
    const float *g, *ctl;
    const int32_t *list, *count;
    int rows; /* 0 all, 1 sweep, 2 lazy */
    int64_t n, width, variant;
};
template <class R> __global__ void update_all(update u, int64_t group) {
    const float *ctl = u.ctl + group * CTL_N;
    if (u.ctl[CTL_OK] == 0) return;
    int64_t n = u.rows == 2 ? (int64_t)*u.count * u.width : u.n;
    EACH(i, n) {
        int64_t at = i, from = i;
        if (u.rows == 2) at = (int64_t)u.list[i / u.width] * u.width + i % u.width;
        if (u.rows == 1) from = u.list[i / u.width] < 0 ? -1 : (int64_t)u.list[i / u.width] * u.width + i % u.width;
        float p = u.p[at], x = sees(ctl, from < 0 ? 0.0f : u.g[from], p);
        u.p[at] = R::step(u, at, p, x, ctl + CTL_COEF);
    }
}
static update update_of(const struct cuda *c, const struct exec *x) {
    update u = {};
    u.rows = (int)c->host->number(x->node, "rows");
    u.variant = (int64_t)c->host->number(x->node, "variant");
    int k = x->n_in - 3 - u.rows;
    u.p = (float *)x->in[0].data;
    for (int i = 0; i < k; i++) u.s[i] = (float *)x->in[i + 1].data;
    u.g = (const float *)x->in[k + 1].data, u.ctl = (const float *)x->in[k + 2].data;
    if (u.rows > 0) u.list = (const int32_t *)x->in[k + 3].data;
    if (u.rows == 2) u.count = (const int32_t *)x->in[k + 4].data;
    u.n = x->in[0].len, u.width = 1;
    for (int i = 1; i < x->in[0].ndim; i++) u.width *= x->in[0].n[i];
    return u;
}
template <class R> static int update_run(struct cuda *c, const struct exec *x, const uint64_t *, struct err *) {
    update u = update_of(c, x);
    int64_t most = u.rows == 2 ? x->in[x->n_in - 4].len : u.n;
    if (most > 0) LAUNCH((update_all<R>), grid_for(c, most), 256, c->stream, u, (int64_t)c->host->number(x->node, "group"));
    return 0;
}

/* engine/optims/sgd.c */
struct sgd {
    static __device__ __forceinline__ float step(const update &u, int64_t i, float p, float g, const float *c) {
        if (!u.s[0]) return p - c[0] * g;
        float v = c[1] * u.s[0][i] + c[2] * g;
        u.s[0][i] = v;
        return p - c[0] * (u.variant & 1 ? g + c[1] * v : v);
    }
};
/* engine/optims/adam.c: shrink, step, step_g, root, eps, b1, n1, b2, n2 */
struct adam {
    static __device__ __forceinline__ float step(const update &u, int64_t i, float p, float g, const float *c) {
        float a = u.s[0][i] + c[6] * (g - u.s[0][i]), b = c[7] * u.s[1][i] + c[8] * g * g;
        u.s[0][i] = a;
        u.s[1][i] = b;
        if (u.variant & 1) u.s[2][i] = b = u.s[2][i] > b ? u.s[2][i] : b;
        return p * c[0] - (c[1] * a + c[2] * g) / (sqrtf(b) * c[3] + c[4]);
    }
};
struct adamax {
    static __device__ __forceinline__ float step(const update &u, int64_t i, float p, float g, const float *c) {
        float a = u.s[0][i] + c[6] * (g - u.s[0][i]), b = c[7] * u.s[1][i], d = fabsf(g) + c[4];
        u.s[0][i] = a;
        u.s[1][i] = b = b > d ? b : d;
        return p - c[1] * a / b;
    }
};

/* engine/optims/adagrad.c: lr, eps, rho */
struct adagrad {
    static __device__ __forceinline__ float step(const update &u, int64_t i, float p, float g, const float *c) {
        float v = u.s[0][i] + g * g;
        u.s[0][i] = v;
        return p - c[0] * g / (sqrtf(v) + c[1]);
    }
};
struct adadelta {
    static __device__ __forceinline__ float step(const update &u, int64_t i, float p, float g, const float *c) {
        float a = c[2] * u.s[0][i] + (1 - c[2]) * g * g, d = sqrtf(u.s[1][i] + c[1]) / sqrtf(a + c[1]) * g;
        u.s[0][i] = a;
        u.s[1][i] = c[2] * u.s[1][i] + (1 - c[2]) * d * d;
        return p - c[0] * d;
    }
};
/* engine/optims/rmsprop.c: lr, alpha, eps, momentum; variant 1 centred, 2 with momentum */
struct rmsprop {
    static __device__ __forceinline__ float step(const update &u, int64_t i, float p, float g, const float *c) {
        float v = c[1] * u.s[0][i] + (1 - c[1]) * g * g;
        u.s[0][i] = v;
        if (u.variant & 1) {
            float m = u.s[1][i] + (1 - c[1]) * (g - u.s[1][i]);
            u.s[1][i] = m;
            v = v > m * m ? v - m * m : 0.0f;
        }
        float d = g / (sqrtf(v) + c[2]);
        if (u.variant & 2) {
            float *buf = u.variant & 1 ? u.s[2] : u.s[1];
            buf[i] = d = c[3] * buf[i] + d;
        }
        return p - c[0] * d;
    }
};
/* engine/optims/lion.c: shrink, lr, b1, b2 */
struct lion {
    static __device__ __forceinline__ float step(const update &u, int64_t i, float p, float g, const float *c) {
        float d = c[2] * u.s[0][i] + (1 - c[2]) * g;
        u.s[0][i] = c[3] * u.s[0][i] + (1 - c[3]) * g;
        return p * c[0] - (d > 0 ? c[1] : 0.0f) + (d < 0 ? c[1] : 0.0f);
    }
};
/* engine/optims/asgd.c: eta, shrink, mu */
struct asgd {
    static __device__ __forceinline__ float step(const update &u, int64_t i, float p, float g, const float *c) {
        float q = p * c[1] - c[0] * g;
        u.s[0][i] = c[2] < 1 ? u.s[0][i] + c[2] * (q - u.s[0][i]) : q;
        return q;
    }
};
/* engine/optims/rprop.c: first, minus, plus, min, max */
struct rprop {
    static __device__ __forceinline__ float step(const update &u, int64_t i, float p, float g, const float *c) {
        float was = u.s[0][i], s = u.s[1][i] > 0 ? u.s[1][i] : c[0];
        bool up = (g > 0 && was > 0) || (g < 0 && was < 0), turn = (g > 0 && was < 0) || (g < 0 && was > 0);
        s *= up ? c[2] : turn ? c[1] : 1.0f;
        s = s < c[3] ? c[3] : s;
        s = s > c[4] ? c[4] : s;
        g = turn ? 0.0f : g;
        u.s[1][i] = s;
        u.s[0][i] = g;
        return p - (g > 0 ? s : 0.0f) + (g < 0 ? s : 0.0f);
    }
};

extern const struct kernel update_kernels[];
const struct kernel update_kernels[] = {{"grad_norm", 0, 0, false, NULL, grad_norm_run}, {"update_gate", 0, 0, false, NULL, gate_run},
    {"sgd_update", 0, 0, false, NULL, update_run<sgd>}, {"adam_update", 0, 0, false, NULL, update_run<adam>},
    {"adamax_update", 0, 0, false, NULL, update_run<adamax>}, {"adagrad_update", 0, 0, false, NULL, update_run<adagrad>},
    {"adadelta_update", 0, 0, false, NULL, update_run<adadelta>}, {"rmsprop_update", 0, 0, false, NULL, update_run<rmsprop>},
    {"lion_update", 0, 0, false, NULL, update_run<lion>}, {"asgd_update", 0, 0, false, NULL, update_run<asgd>},
    {"rprop_update", 0, 0, false, NULL, update_run<rprop>}, {}};
