/* Augmentation, in place. */
#include "config.h"

#include "engine/train/augment.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/mem.h"
#include "src/base/rng.h"

struct augment {
    struct augment_spec s;
    const struct part *part;
    uint64_t seed;
    float *copy; /* one picture, or the batch of a column if rows are mixed */
    int64_t *perm;
};

static bool is_picture(const struct column *c) { return (c->type == COL_U8 || c->type == COL_F32) && c->ndim == 3; }

int augment_check(const struct augment_spec *s, const struct part *p, struct err *e) {
    const char *what = s->crop > 0 ? "crop" : s->flip ? "flip" : s->cutout > 0 ? "cutout" : NULL;
    bool any = false;
    for (int i = 0; i + 1 < p->n_col; i++) {
        any |= is_picture(&p->col[i]);
        if (is_picture(&p->col[i]) && s->crop > p->col[i].dim[1])
            return err_code(e, ERR_USAGE, "crop=%" PRId64 " is more than the %" PRId64 " rows of a picture", s->crop, p->col[i].dim[1]);
        if (s->mixup > 0 && p->col[i].type != COL_U8 && p->col[i].type != COL_F32)
            return err_code(e, ERR_USAGE, "mixup mixes numbers, but the input \"%s\" holds %s", p->col[i].name, p->col[i].type == COL_I32 ? "ids" : "texts");
    }
    if (what && !any) return err_code(e, ERR_USAGE, "%s changes pictures (C, H, W), but this data holds none", what);
    if (s->mixup > 0 && (p->n_col < 2 || p->col[p->n_col - 1].type == COL_TOKENS)) return err_code(e, ERR_USAGE, "mixup needs one target for each row");
    return 0;
}

struct augment *augment_new(const struct augment_spec *s, const struct part *p, int64_t max_rows, uint64_t seed, struct err *e) {
    struct augment *a = X_NEW(struct augment, 1);
    int64_t width = 1, rows = s->mixup > 0 ? max_rows : 1;
    *a = (struct augment){.s = *s, .part = p, .seed = seed, .perm = X_NEW(int64_t, (size_t)max_rows + 1)};
    for (int i = 0; i < p->n_col; i++) width = p->col[i].width > width ? p->col[i].width : width;
    if ((a->copy = mem_try((size_t)rows * (size_t)width, sizeof *a->copy, "mixed batches", e))) return a;
    augment_free(a);
    return NULL;
}

void augment_free(struct augment *a) {
    if (!a) return;
    free(a->copy);
    free(a->perm);
    free(a);
}

/* The window of the picture that lies at (dy, dx) of the padded one, mirrored or not. The border is what 0 becomes in the column. */
static void move_picture(const struct column *c, float *x, float *copy, int64_t dy, int64_t dx, bool mirror) {
    int64_t ch = c->dim[0], h = c->dim[1], w = c->dim[2];
    if (!dy && !dx && !mirror) return;
    memcpy(copy, x, (size_t)c->width * sizeof *x);
    for (int64_t k = 0; k < ch; k++)
        for (int64_t i = 0; i < h; i++)
            for (int64_t j = 0; j < w; j++) {
                int64_t y = i + dy, z = (mirror ? w - 1 - j : j) + dx;
                x[(k * h + i) * w + j] = y < 0 || y >= h || z < 0 || z >= w ? c->shift : copy[(k * h + y) * w + z];
            }
}

static void cut_out(const struct column *c, float *x, int64_t side, int64_t cy, int64_t cx) {
    int64_t h = c->dim[1], w = c->dim[2], y0 = cy - side / 2, x0 = cx - side / 2, y1 = y0 + side, x1 = x0 + side;
    y0 = y0 < 0 ? 0 : y0, x0 = x0 < 0 ? 0 : x0, y1 = y1 > h ? h : y1, x1 = x1 > w ? w : x1;
    for (int64_t k = 0; k < c->dim[0]; k++)
        for (int64_t i = y0; i < y1; i++)
            for (int64_t j = x0; j < x1; j++) x[(k * h + i) * w + j] = 0;
}

static void picture(const struct augment *a, const struct column *c, float *x, int64_t epoch, int64_t place) {
    uint32_t r[8];
    uint64_t stream = rng_stream(a->seed, "augment", 0);
    for (uint64_t i = 0; i < 2; i++) rng_block(stream, (uint64_t)epoch, 2 * (uint64_t)place + i, r + 4 * i);
#define BELOW(i, n) ((int64_t)((uint64_t)r[i] * (uint64_t)(n) >> 32))
    int64_t span = 2 * a->s.crop + 1;
    move_picture(c, x, a->copy, BELOW(0, span) - a->s.crop, BELOW(1, span) - a->s.crop, a->s.flip && r[2] >> 31);
    if (a->s.cutout > 0) cut_out(c, x, a->s.cutout, BELOW(3, c->dim[1]), BELOW(4, c->dim[2]));
#undef BELOW
}

/* Gamma(shape, 1) by Marsaglia and Tsang 2000; shapes below 1 through shape + 1. Draws are elements of (stream, step) from *at on. */
static double gamma_draw(double shape, uint64_t stream, uint64_t step, uint64_t *at) {
    double boost = 1;
    if (shape < 1) {
        boost = pow((rng_u32(stream, step, (*at)++) + 0.5) * 0x1p-32, 1 / shape);
        shape += 1;
    }
    double d = shape - 1.0 / 3, c = 1 / sqrt(9 * d);
    for (;;) {
        *at = (*at + 1) & ~(uint64_t)1;
        double x = rng_normal(stream, step, *at), v = 1 + c * x, u = (rng_u32(stream, step, *at + 2) + 0.5) * 0x1p-32;
        *at += 4;
        if (v <= 0) continue;
        v = v * v * v;
        if (log(u) < 0.5 * x * x + d - d * v + d * log(v)) return boost * d * v;
    }
}

static void mix_column(const struct augment *a, float *x, int64_t width, int64_t rows, float share) {
    memcpy(a->copy, x, (size_t)(rows * width) * sizeof *x);
    for (int64_t r = 0; r < rows; r++) {
        const float *other = a->copy + a->perm[r] * width;
        float *y = x + r * width;
        for (int64_t i = 0; i < width; i++) y[i] = share * y[i] + (1 - share) * other[i];
    }
}

static float mix(const struct augment *a, uint64_t batch, int64_t rows, struct batch_col *col, int32_t *other) {
    const struct part *p = a->part;
    uint64_t stream = rng_stream(a->seed, "mixup", 0), at = 0;
    double g1 = gamma_draw(a->s.mixup, stream, batch, &at), g2 = gamma_draw(a->s.mixup, stream, batch, &at);
    float share = g1 + g2 > 0 ? (float)(g1 / (g1 + g2)) : 1;
    for (int64_t i = 0; i < rows; i++) a->perm[i] = i;
    rng_shuffle(rng_stream(a->seed, "mixup", 1), batch, a->perm, (size_t)rows);
    for (int i = 0; i < p->n_col; i++)
        if (col[i].data && (p->col[i].type == COL_U8 || p->col[i].type == COL_F32)) mix_column(a, col[i].data, p->col[i].width, rows, share);
    const int32_t *y = col[p->n_col - 1].data;
    if (p->col[p->n_col - 1].type == COL_I32)
        for (int64_t i = 0; i < rows; i++) other[i] = y[a->perm[i]];
    return share;
}

float augment_batch(struct augment *a, int64_t epoch, int64_t start, int64_t rows, struct batch_col *col, int32_t *other) {
    bool pictures = a->s.crop > 0 || a->s.flip || a->s.cutout > 0;
    for (int i = 0; pictures && i + 1 < a->part->n_col; i++) {
        const struct column *c = &a->part->col[i];
        if (!is_picture(c) || !col[i].data) continue;
        for (int64_t r = 0; r < rows; r++) picture(a, c, (float *)col[i].data + r * c->width, epoch, start + r);
    }
    return a->s.mixup > 0 ? mix(a, (uint64_t)epoch * ((uint64_t)a->part->n + 1) + (uint64_t)start, rows, col, other) : 1;
}
