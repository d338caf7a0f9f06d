/* Log-mel energies of a sound. The transform is written out here: its lengths are a few powers of two, and a library that picks its code by the processor
 * would give other bits on other machines, so that the same recordings were another data set there. */
#include "datasets/formats/sound.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/mem.h"

#define LEAST 512 /* points, so that the lowest bands are wider than a bin */
static const double pi = 3.14159265358979323846;

struct mel {
    int64_t rate;
    int bands, win, hop, n; /* n: points of the transform */
    double *window, *cosine, *sine, *re, *im; /* win; n / 2 twice; n twice */
    int *from, *to; /* bins of a band */
    float **weight; /* of those bins */
    float *store;
};

static double to_mel(double f) { return 2595 * log10(1 + f / 700); }
static double to_hz(double m) { return 700 * (pow(10, m / 2595) - 1); }

static void make_bands(struct mel *m) {
    int bins = m->n / 2 + 1;
    double top = to_mel((double)m->rate / 2), bin = (double)m->rate / m->n;
    m->store = X_NEW(float, (size_t)bins * 2 + (size_t)m->bands * 4);
    float *w = m->store;
    for (int b = 0; b < m->bands; b++) { /* each bin lies in at most two bands */
        double lo = to_hz(top * b / (m->bands + 1)), mid = to_hz(top * (b + 1) / (m->bands + 1)), hi = to_hz(top * (b + 2) / (m->bands + 1));
        m->from[b] = (int)floor(lo / bin) + 1;
        m->to[b] = m->from[b];
        m->weight[b] = w;
        for (int k = m->from[b]; k < bins && k * bin < hi; k++, m->to[b]++)
            *w++ = (float)(k * bin <= mid ? (k * bin - lo) / (mid - lo) : (hi - k * bin) / (hi - mid));
    }
}

struct mel *mel_new(int64_t rate, int bands) {
    struct mel *m = X_NEW(struct mel, 1);
    m->rate = rate;
    m->bands = bands;
    m->win = (int)(rate / 40);
    m->hop = (int)(rate / 100);
    for (m->n = LEAST; m->n < m->win;) m->n *= 2;
    m->window = X_NEW(double, (size_t)m->win);
    for (int i = 0; i < m->win; i++) m->window[i] = 0.5 - 0.5 * cos(2 * pi * i / m->win);
    m->cosine = X_NEW(double, (size_t)m->n / 2);
    m->sine = X_NEW(double, (size_t)m->n / 2);
    for (int i = 0; i < m->n / 2; i++) m->cosine[i] = cos(2 * pi * i / m->n), m->sine[i] = -sin(2 * pi * i / m->n);
    m->re = X_NEW(double, (size_t)m->n);
    m->im = X_NEW(double, (size_t)m->n);
    m->from = X_NEW(int, (size_t)bands);
    m->to = X_NEW(int, (size_t)bands);
    m->weight = X_NEW(float *, (size_t)bands);
    make_bands(m);
    return m;
}

void mel_free(struct mel *m) {
    if (!m) return;
    free(m->window);
    free(m->cosine);
    free(m->sine);
    free(m->re);
    free(m->im);
    free(m->from);
    free(m->to);
    free(m->weight);
    free(m->store);
    free(m);
}

int64_t mel_frames(const struct mel *m, int64_t samples) { return samples <= m->win ? 1 : 1 + (samples - m->win) / m->hop; }
int64_t mel_samples(const struct mel *m, int64_t frames) { return m->win + (frames - 1) * m->hop; }

/* In place, decimation in time (Cooley and Tukey 1965). */
static void transform(struct mel *m) {
    double *re = m->re, *im = m->im;
    for (int i = 1, j = 0; i < m->n; i++) { /* bits reversed */
        int bit = m->n >> 1;
        for (; j & bit; bit >>= 1) j ^= bit;
        j ^= bit;
        if (i >= j) continue;
        double a = re[i], b = im[i];
        re[i] = re[j], im[i] = im[j];
        re[j] = a, im[j] = b;
    }
    for (int len = 2; len <= m->n; len *= 2) {
        int half = len / 2, step = m->n / len;
        for (int i = 0; i < m->n; i += len)
            for (int k = 0; k < half; k++) {
                double c = m->cosine[k * step], s = m->sine[k * step], x = re[i + k + half], y = im[i + k + half];
                double a = c * x - s * y, b = c * y + s * x;
                re[i + k + half] = re[i + k] - a, im[i + k + half] = im[i + k] - b;
                re[i + k] += a, im[i + k] += b;
            }
    }
}

void mel_run(struct mel *m, const float *x, int64_t n, int64_t frames, float *out) {
    for (int64_t f = 0; f < frames; f++) {
        int64_t at = f * m->hop;
        memset(m->re, 0, (size_t)m->n * sizeof *m->re);
        memset(m->im, 0, (size_t)m->n * sizeof *m->im);
        for (int i = 0; i < m->win && at + i < n; i++) m->re[i] = m->window[i] * (double)x[at + i];
        transform(m);
        for (int b = 0; b < m->bands; b++) {
            double sum = 0;
            for (int k = m->from[b]; k < m->to[b]; k++) sum += (double)m->weight[b][k - m->from[b]] * (m->re[k] * m->re[k] + m->im[k] * m->im[k]);
            out[f * m->bands + b] = (float)log(sum / m->win + SOUND_FLOOR);
        }
    }
}
