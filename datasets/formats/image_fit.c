/* Scaling pictures down or up: separable triangle filter whose width follows the scale (what Pillow calls BILINEAR), so that shrinking averages. */
#include "datasets/formats/image.h"

#include <math.h>
#include <stdlib.h>

#include "src/base/mem.h"

/* Weights of output pixel i of `to`: source pixels [*from, *from + n) of `size`; w has room for all of them. Returns n. */
static int weights(int i, int to, int size, float *w, int *from) {
    double scale = (double)size / to, reach = scale > 1 ? scale : 1, centre = (i + 0.5) * scale, sum = 0;
    int lo = (int)(centre - reach + 0.5), hi = (int)(centre + reach + 0.5), n = 0;
    lo = lo > 0 ? lo : 0;
    hi = hi < size ? hi : size;
    for (int k = lo; k < hi; k++) {
        double d = 1 - fabs((k + 0.5 - centre) / reach);
        w[n++] = (float)(d > 0 ? d : 0);
        sum += d > 0 ? d : 0;
    }
    for (int k = 0; k < n; k++) w[k] = (float)(w[k] / sum);
    *from = lo;
    return n;
}

/* in (rows, size, inner) -> out (rows, to, inner) along the middle axis. */
static void scale_axis(const float *in, float *out, int64_t rows, int size, int to, int inner, float *w) {
    for (int i = 0; i < to; i++) {
        int from, n = weights(i, to, size, w, &from);
        for (int64_t r = 0; r < rows; r++)
            for (int c = 0; c < inner; c++) {
                float v = 0;
                for (int k = 0; k < n; k++) v += w[k] * in[(r * size + from + k) * inner + c];
                out[(r * to + i) * inner + c] = v;
            }
    }
}

int image_fit(struct image *m, int size, const char *name, struct err *e) {
    int small = m->w < m->h ? m->w : m->h, c = m->c;
    int w = (int)((int64_t)m->w * size / small), h = (int)((int64_t)m->h * size / small), x0 = (w - size) / 2, y0 = (h - size) / 2, rc = -1;
    if (m->w == size && m->h == size) return 0;
    if (w > 64 * size || h > 64 * size) return err_set(e, "%s: %d x %d pixels are too far from a square for size=%d", name, m->w, m->h, size);
    size_t n = (size_t)m->w * (size_t)m->h * (size_t)c;
    float *in = mem_try(n, sizeof *in, name, e), *wide = in ? mem_try((size_t)m->h * (size_t)w * (size_t)c, sizeof *wide, name, e) : NULL;
    float *out = wide ? mem_try((size_t)h * (size_t)w * (size_t)c, sizeof *out, name, e) : NULL,
          *weight = X_NEW(float, (size_t)(m->w > m->h ? m->w : m->h) + 2);
    uint8_t *p = out ? mem_try((size_t)size * (size_t)size * (size_t)c, 1, name, e) : NULL;
    if (p) {
        for (size_t i = 0; i < n; i++) in[i] = m->p[i];
        scale_axis(in, wide, m->h, m->w, w, c, weight);
        scale_axis(wide, out, 1, m->h, h, w * c, weight);
        for (int y = 0; y < size; y++)
            for (int x = 0; x < size * c; x++) {
                float v = out[((int64_t)(y + y0) * w + x0) * c + x] + 0.5f;
                p[(int64_t)y * size * c + x] = (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v);
            }
        free(m->p);
        *m = (struct image){size, size, c, p};
        rc = 0;
    }
    free(in);
    free(wide);
    free(out);
    free(weight);
    return rc;
}
