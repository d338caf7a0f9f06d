/* Two whole training steps written straight down, with hone's own product and vector loops, beside hone's engine on the same shapes:
 * what the machine reaches without a graph, a plan and options. One thread. Prints a line a workload: engine, floor, ratio.
 * --profile shows where the engine's time goes. Not part of make check: timing on a busy machine proves nothing. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/cmds/bench_work.h"
#include "engine/cpu/gemm.h"
#include "engine/graph/op.h"
#include "src/base/mem.h"
#include "src/base/thread.h"

enum { B = 128, I = 784, H = 512, O = 10, V = 10000, D = 128, EB = 32, L = 128, C = 4 };
static float *x, *w1, *b1, *w2, *b2, *h, *z, *dh, *g1, *gb1, *g2, *gb2, *st;
static float *emb, *em, *ev, *eg, *wd, *eh, *ez, *edh;
static int32_t tok[EB * L];
static int y[B], ey[EB], seen[V], rows[EB * L], epoch;

static void adam(float *restrict p, const float *restrict g, float *restrict m, float *restrict v, size_t n, float k1, float k2) {
    for (size_t i = 0; i < n; i++) {
        float G = g[i], M = .9f * m[i] + .1f * G, W = .999f * v[i] + .001f * G * G;
        m[i] = M, v[i] = W, p[i] -= 1e-3f * (M * k1) / (sqrtf(W * k2) + 1e-8f);
    }
}

static void adam_zero(float *restrict p, float *restrict m, float *restrict v, size_t n, float k1, float k2) {
    for (size_t i = 0; i < n; i++) {
        float M = .9f * m[i], W = .999f * v[i];
        m[i] = M, v[i] = W, p[i] -= 1e-3f * (M * k1) / (sqrtf(W * k2) + 1e-8f);
    }
}

static void softmax_ce(float *l, const int *t, int n, int c) {
    for (int b = 0; b < n; b++) {
        float *p = l + b * c, m = p[0], s = 0;
        for (int i = 1; i < c; i++) m = fmaxf(m, p[i]);
        for (int i = 0; i < c; i++) s += p[i] = expf(p[i] - m);
        for (int i = 0; i < c; i++) p[i] /= s * (float)n;
        p[t[b]] -= 1.f / (float)n;
    }
}

static void mlp(void) {
    for (int b = 0; b < B; b++) memcpy(h + b * H, b1, H * 4);
    gemm_f32(false, false, B, H, I, 1, x, I, w1, H, 1, h, H);
    for (int i = 0; i < B * H; i++) h[i] = h[i] > 0 ? h[i] : 0;
    for (int b = 0; b < B; b++) memcpy(z + b * O, b2, O * 4);
    gemm_f32(false, false, B, O, H, 1, h, H, w2, O, 1, z, O);
    softmax_ce(z, y, B, O);
    gemm_f32(true, false, H, O, B, 1, h, H, z, O, 0, g2, O);
    memset(gb2, 0, O * 4);
    for (int b = 0; b < B; b++)
        for (int i = 0; i < O; i++) gb2[i] += z[b * O + i];
    gemm_f32(false, true, B, H, O, 1, z, O, w2, O, 0, dh, H);
    memset(gb1, 0, H * 4);
    for (int b = 0; b < B; b++)
        for (int i = 0; i < H; i++) {
            float d = h[b * H + i] > 0 ? dh[b * H + i] : 0;
            dh[b * H + i] = d, gb1[i] += d;
        }
    gemm_f32(true, false, I, H, B, 1, x, I, dh, H, 0, g1, H);
    adam(w1, g1, st, st + I * H, I * H, 1.1f, 1.1f);
    adam(w2, g2, st + 2 * I * H, st + 2 * I * H + H * O, H * O, 1.1f, 1.1f);
}

static void bag(bool lazy) {
    for (int b = 0; b < EB; b++) {
        float a[D] = {0};
        for (int t = 0; t < L; t++)
            for (int i = 0; i < D; i++) a[i] += emb[(size_t)tok[b * L + t] * D + (size_t)i];
        for (int i = 0; i < D; i++) eh[b * D + i] = a[i] / L;
    }
    for (int b = 0; b < EB; b++)
        for (int c = 0; c < C; c++) {
            float s = 0;
            for (int i = 0; i < D; i++) s += eh[b * D + i] * wd[c * D + i];
            ez[b * C + c] = s;
        }
    softmax_ce(ez, ey, EB, C);
    for (int b = 0; b < EB; b++)
        for (int i = 0; i < D; i++) {
            float s = 0;
            for (int c = 0; c < C; c++) s += ez[b * C + c] * wd[c * D + i];
            edh[b * D + i] = s / L;
        }
    int n = 0;
    epoch++;
    for (int t = 0; t < EB * L; t++) {
        float *g = eg + (size_t)tok[t] * D;
        const float *d = edh + t / L * D;
        if (seen[tok[t]] != epoch) seen[tok[t]] = epoch, rows[n++] = tok[t], memcpy(g, d, D * 4);
        else
            for (int i = 0; i < D; i++) g[i] += d[i];
    }
    for (int k = 0; k < (lazy ? n : V); k++) {
        size_t o = (size_t)(lazy ? rows[k] : k) * D;
        if (lazy || seen[k] == epoch) adam(emb + o, eg + o, em + o, ev + o, D, 1.1f, 1.1f);
        else adam_zero(emb + o, em + o, ev + o, D, 1.1f, 1.1f);
    }
}

static void bag_dense(void) { bag(false); }
static void bag_lazy(void) { bag(true); }

static float *numbers(size_t n, uint32_t s, float by) {
    float *p = mem_try(n, sizeof(float), "the bench", NULL);
    for (size_t i = 0; s && i < n; i++) s = s * 1664525u + 1013904223u, p[i] = (float)((int)(s >> 9) - (1 << 22)) / (float)(1 << 22) * by;
    return p;
}

static int by_value(const void *a, const void *b) {
    double u = *(const double *)a, v = *(const double *)b;
    return u < v ? -1 : u > v;
}

/* Median ms of 41 samples of about 25 ms. */
static double floor_ms(void (*fn)(void)) {
    double v[41], t = clock_now();
    fn(), fn(), fn();
    long n = (long)(25e-3 / ((clock_now() - t) / 3)) + 1;
    for (int i = 0; i < 41; i++) {
        t = clock_now();
        for (long k = 0; k < n; k++) fn();
        v[i] = (clock_now() - t) * 1e3 / (double)n;
    }
    qsort(v, 41, sizeof *v, by_value);
    return v[20];
}

static void profile(const struct val *nodes) {
    for (size_t i = 0; i < val_len(nodes); i++)
        printf("    %-24s %-16s %8.4f ms\n", val_get_str(val_at(nodes, i), "op", ""), val_get_str(val_at(nodes, i), "path", ""),
            val_get_num(val_at(nodes, i), "ms", 0));
}

int main(int argc, char **argv) {
    static const struct {
        const char *work;
        void (*fn)(void);
    } pair[] = {{"mlp-train", mlp}, {"bag-train", bag_dense}, {"bag-train-lazy", bag_lazy}};
    struct gemm_info info;
    bool prof = argc > 1 && strcmp(argv[1], "--profile") == 0;
    int rounds = argc > 1 && !prof ? atoi(argv[1]) : 1;
    gemm_open(NULL, &info);
    ops_select("auto", NULL);
    printf("# kernels %s, %s %s\n", ops_isa(), info.library[0] ? info.library : "plain product", info.core);
    x = numbers(B * I, 1, 1), w1 = numbers(I * H, 2, .04f), b1 = numbers(H, 0, 0), w2 = numbers(H * O, 3, .04f), b2 = numbers(O, 0, 0),
    h = numbers(B * H, 0, 0), z = numbers(B * O, 0, 0);
    dh = numbers(B * H, 0, 0), g1 = numbers(I * H, 0, 0), gb1 = numbers(H, 0, 0), g2 = numbers(H * O, 0, 0), gb2 = numbers(O, 0, 0),
    st = numbers(2 * I * H + 2 * H * O, 0, 0);
    emb = numbers(V * D, 4, 1), em = numbers(V * D, 0, 0), ev = numbers(V * D, 0, 0), eg = numbers(V * D, 0, 0), wd = numbers(C * D, 5, 1),
    eh = numbers(EB * D, 0, 0), ez = numbers(EB * C, 0, 0), edh = numbers(EB * D, 0, 0);
    for (int i = 0; i < B; i++) y[i] = i % O;
    for (int i = 0; i < EB; i++) ey[i] = i % C;
    bench_zipf(tok, EB * L, V);
    for (int r = 0; r < rounds; r++)
        for (size_t i = 0; i < LEN(pair); i++) {
            struct err e = {0};
            struct val *nodes = NULL;
            double before = floor_ms(pair[i].fn);
            struct val *v = bench_work(pair[i].work, 0, NULL, 1, NULL, NULL, prof ? &nodes : NULL, &e);
            double f = (before + floor_ms(pair[i].fn)) / 2, ms = val_get_num(v, "ms", NAN);
            if (!v) printf("%s: %s\n", pair[i].work, e.text);
            else printf("%-16s %.3f ms, floor %.3f ms, ratio %.3f, yard %.1f GFLOPS\n", pair[i].work, ms, f, ms / f, val_get_num(v, "yard_gflops", 0));
            profile(nodes);
            val_free(nodes);
            val_free(v);
        }
    return 0;
}
