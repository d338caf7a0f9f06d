/* Series of fixed size: buckets of 2^k steps for the whole run (k grows when they are full), rings of finer buckets for the
 * recent part, and the last raw points. Everything is aligned to multiples of 2^k steps, so series of one run share columns.
 * A value that is not finite is counted and touches nothing else. Protected by the run record's lock. */
#include "config.h"

#include "src/run/series.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/err.h"
#include "src/base/mem.h"

enum { WHOLE = 1024, RAW = 448, RINGS = 4, RING = 192, RING_SHIFT = 4 };

struct cell { /* 32 bytes; counts stop at their maximum */
    float min, max;
    double mean;
    uint32_t count;
    uint16_t bad, low; /* low: values of 0 and below */
    uint32_t at_min, at_max; /* where they were logged: steps from the beginning of the bucket */
};
struct ring { /* buckets of 2^shift steps; slot = index % RING; index of the newest, -1: none */
    int64_t newest;
    struct cell cell[RING];
};
struct series {
    char name[32];
    int k;
    int64_t first, last; /* steps; last < 0: empty */
    double value; /* the last one, finite or not */
    double lo, hi; /* of the finite ones, NAN: none yet; and the first steps that had them */
    int64_t lo_step, hi_step, count, bad;
    bool unpacked; /* rings and raw points hold only what came after */
    int64_t n_raw; /* points ever added; slot = n % RAW */
    int64_t raw_step[RAW];
    double raw[RAW];
    struct ring ring[RINGS];
    struct cell whole[WHOLE];
};

struct series *series_new(const char *name) {
    struct series *s = X_NEW(struct series, 1);
    size_t n = strlen(name);
    if (n >= sizeof s->name) n = sizeof s->name - 1;
    memcpy(s->name, name, n);
    s->last = s->lo_step = s->hi_step = -1;
    s->value = s->lo = s->hi = NAN;
    for (int i = 0; i < RINGS; i++) s->ring[i].newest = -1;
    return s;
}

struct series *series_copy(const struct series *s) {
    struct series *c = X_NEW(struct series, 1);
    *c = *s;
    return c;
}

void series_free(struct series *s) { free(s); }
const char *series_name(const struct series *s) { return s->name; }
size_t series_bytes(const struct series *s) { return sizeof *s; }

static uint32_t offset(int64_t steps) { return steps > UINT32_MAX ? UINT32_MAX : (uint32_t)steps; }

static void cell_add(struct cell *c, double v, int64_t at) {
    if (!isfinite(v)) {
        if (c->bad < UINT16_MAX) c->bad++;
        return;
    }
    float f = v > FLT_MAX ? FLT_MAX : v < -FLT_MAX ? -FLT_MAX : (float)v;
    if (!c->count || f < c->min) c->min = f, c->at_min = offset(at);
    if (!c->count || f > c->max) c->max = f, c->at_max = offset(at);
    if (c->count < UINT32_MAX) c->count++;
    if (v <= 0 && c->low < UINT16_MAX) c->low++;
    c->mean += v / c->count - c->mean / c->count;
}

static void cell_merge(struct cell *a, const struct cell *b, int64_t at) { /* at: where b begins in a, in steps */
    if (b->count) {
        double n = (double)a->count + b->count;
        if (!a->count || b->min < a->min) a->min = b->min, a->at_min = offset(at + b->at_min);
        if (!a->count || b->max > a->max) a->max = b->max, a->at_max = offset(at + b->at_max);
        a->mean = a->count ? a->mean * (a->count / n) + b->mean * (b->count / n) : b->mean;
        a->count = n > UINT32_MAX ? UINT32_MAX : (uint32_t)n;
    }
    a->bad = (uint16_t)(a->bad > UINT16_MAX - b->bad ? UINT16_MAX : a->bad + b->bad);
    a->low = (uint16_t)(a->low > UINT16_MAX - b->low ? UINT16_MAX : a->low + b->low);
}

static void whole_halve(struct series *s) {
    for (int i = 0; i < WHOLE / 2; i++) {
        struct cell c = s->whole[2 * i];
        cell_merge(&c, &s->whole[2 * i + 1], (int64_t)1 << s->k);
        s->whole[i] = c;
    }
    memset(s->whole + WHOLE / 2, 0, WHOLE / 2 * sizeof *s->whole);
    s->k++;
}

static void ring_add(struct ring *r, int64_t index, double v, int64_t at) {
    if (index <= r->newest - RING) return; /* older than what is kept */
    if (index > r->newest) {
        int64_t from = r->newest + 1 > index - RING + 1 ? r->newest + 1 : index - RING + 1;
        for (int64_t i = from; i <= index; i++) memset(&r->cell[i % RING], 0, sizeof *r->cell);
        r->newest = index;
    }
    cell_add(&r->cell[index % RING], v, at);
}

void series_add(struct series *s, int64_t step, double v) {
    if (step < 0) return;
    while (step >> s->k >= WHOLE) whole_halve(s);
    cell_add(&s->whole[step >> s->k], v, step & (((int64_t)1 << s->k) - 1));
    for (int i = 0; i < RINGS; i++) {
        int shift = RING_SHIFT * (i + 1);
        ring_add(&s->ring[i], step >> shift, v, step & (((int64_t)1 << shift) - 1));
    }
    s->raw_step[s->n_raw % RAW] = step;
    s->raw[s->n_raw++ % RAW] = v;
    if (!isfinite(v)) s->bad++;
    else {
        s->count++;
        if (!(v >= s->lo)) s->lo = v, s->lo_step = step; /* also against NAN */
        if (!(v <= s->hi)) s->hi = v, s->hi_step = step;
    }
    if (s->last < 0) s->first = step;
    if (step > s->last) s->last = step;
    s->value = v;
}

double series_last(const struct series *s, int64_t *step) {
    if (step) *step = s->last;
    return s->value;
}

static void bucket_from(struct bucket *b, const struct cell *c, int64_t step0) {
    *b = (struct bucket){.step0 = step0,
        .min = c->min,
        .max = c->max,
        .mean = c->mean,
        .count = c->count,
        .bad = c->bad,
        .low = c->low,
        .at_min = step0 + c->at_min,
        .at_max = step0 + c->at_max};
}

size_t series_read(const struct series *s, struct bucket *out, size_t n, int *k) {
    if (k) *k = s->k;
    if (s->last < 0 || !n) return 0;
    int shift = s->k;
    while ((uint64_t)(s->last >> shift) >= n) shift++;
    size_t m = (size_t)(s->last >> shift) + 1;
    size_t per = (size_t)1 << (shift - s->k);
    for (size_t i = 0; i < m; i++) {
        struct cell c = s->whole[i * per];
        for (size_t j = i * per + 1; j < (i + 1) * per && j < WHOLE; j++) cell_merge(&c, &s->whole[j], (int64_t)(j - i * per) << s->k);
        bucket_from(&out[i], &c, (int64_t)i << shift);
    }
    if (k) *k = shift;
    return m;
}

/* The finest source that still holds step `from`: -1 raw points, 0..RINGS-1 a ring, RINGS the whole run. */
static int source_for(const struct series *s, int64_t from) {
    if (s->unpacked) return RINGS;
    if (s->n_raw <= RAW || s->raw_step[s->n_raw % RAW] <= from) return -1;
    for (int i = 0; i < RINGS; i++) {
        int shift = RING_SHIFT * (i + 1);
        if (shift >= s->k) break;
        if (s->ring[i].newest - RING < from >> shift) return i;
    }
    return RINGS;
}

size_t series_window(const struct series *s, int64_t from, int64_t to, struct bucket *out, size_t n) {
    if (from < 0) from = 0;
    if (to > s->last + 1) to = s->last + 1;
    if (s->last < 0 || !n || from >= to) return 0;
    int src = source_for(s, from);
    int own = src < 0 ? 0 : src < RINGS ? RING_SHIFT * (src + 1) : s->k, shift = own;
    while ((uint64_t)(((to - 1) >> shift) - (from >> shift)) >= n) shift++;
    int64_t lo = from >> shift, hi = (to - 1) >> shift;
    size_t m = (size_t)(hi - lo) + 1;
    for (size_t i = 0; i < m; i++) {
        struct cell c = {0};
        int64_t a = (lo + (int64_t)i) << (shift - own), b = (lo + (int64_t)i + 1) << (shift - own);
        for (int64_t j = a; src >= 0 && j < b; j++) {
            const struct ring *r = src < RINGS ? &s->ring[src] : NULL;
            if (r && j <= r->newest && j > r->newest - RING) cell_merge(&c, &r->cell[j % RING], (j - a) << own);
            if (!r && j < WHOLE) cell_merge(&c, &s->whole[j], (j - a) << own);
        }
        bucket_from(&out[i], &c, (lo + (int64_t)i) << shift);
    }
    if (src >= 0) return m;
    struct cell *cells = X_NEW(struct cell, m);
    int64_t kept = s->n_raw < RAW ? s->n_raw : RAW;
    for (int64_t i = s->n_raw - kept; i < s->n_raw; i++) {
        int64_t step = s->raw_step[i % RAW];
        if (step >= from && step < to) cell_add(&cells[(step >> shift) - lo], s->raw[i % RAW], step & (((int64_t)1 << shift) - 1));
    }
    for (size_t i = 0; i < m; i++) bucket_from(&out[i], &cells[i], (lo + (int64_t)i) << shift);
    free(cells);
    return m;
}

void bucket_merge(struct bucket *a, const struct bucket *b) {
    if (!a->count && !a->bad) a->step0 = b->step0;
    if (b->count) {
        double n = (double)(a->count + b->count);
        if (!a->count || b->min < a->min) a->min = b->min, a->at_min = b->at_min;
        if (!a->count || b->max > a->max) a->max = b->max, a->at_max = b->at_max;
        a->mean = a->count ? a->mean * ((double)a->count / n) + b->mean * ((double)b->count / n) : b->mean;
        a->count += b->count;
    }
    a->bad += b->bad;
    a->low += b->low;
}

struct val *bucket_to_val(const struct bucket *b) {
    struct val *v = val_table();
    val_append(v, "step", val_int(b->step0));
    if (b->count) {
        val_append(v, "mean", val_num(b->mean));
        val_append(v, "min", val_num(b->min));
        val_append(v, "max", val_num(b->max));
    }
    val_append(v, "count", val_int(b->count));
    if (b->bad) val_append(v, "bad", val_int(b->bad));
    return v;
}

double ema_next(struct ema *m, double x, double w) {
    if (isfinite(x)) {
        m->sum = w * m->sum + (1 - w) * x;
        m->left *= w;
    }
    return m->left < 1 ? m->sum / (1 - m->left) : NAN;
}

double series_smooth(const struct series *s, double w) {
    struct ema m = EMA_START;
    double v = NAN;
    for (int64_t i = 0; s->last >= 0 && i <= s->last >> s->k; i++)
        if (s->whole[i].count) v = ema_next(&m, s->whole[i].mean, w);
    return v;
}

/* The mean of several cells. */
struct level {
    double n, sum; /* in units of 2^32 values: no sum of finite means overflows */
};
static void level_add(struct level *l, const struct cell *c) {
    double n = c->count * 0x1p-32;
    l->n += n;
    l->sum += n * c->mean;
}

double series_trend(const struct series *s) {
    if (s->last < 0) return NAN;
    int64_t end = s->last >> s->k, tenth = (end + 9) / 10;
    if (tenth < 1) tenth = 1;
    struct level now = {0, 0}, before = {0, 0};
    for (int64_t i = end; i >= 0 && i > end - tenth; i--) level_add(&now, &s->whole[i]);
    for (int64_t i = end - tenth; i >= 0 && (i > end - 2 * tenth || !(before.n > 0)); i--) level_add(&before, &s->whole[i]);
    if (!(now.n > 0) || !(before.n > 0)) return NAN;
    double is = now.sum / now.n, was = before.sum / before.n, size = fabs(was);
    return size > 0 ? (is - was) / size : is == was ? 0 : NAN;
}

void series_ends(const struct series *s, struct series_ends *out) {
    *out = (struct series_ends){s->value, s->lo, s->hi, s->last, s->lo_step, s->hi_step, s->count, s->bad};
}

/* ---- as bytes: the head, then the used cells. In the machine's own order: files of another order fail the bounds below or their checksum ---- */

struct packed {
    int64_t k, cells, first, last, lo_step, hi_step, count, bad;
    double value, lo, hi, reserved;
};
_Static_assert(sizeof(struct packed) == SERIES_HEAD, "SERIES_HEAD");

void series_pack(const struct series *s, struct buf *out) {
    struct packed h = {s->k, s->last < 0 ? 0 : (s->last >> s->k) + 1, s->first, s->last, s->lo_step, s->hi_step, s->count, s->bad, s->value, s->lo, s->hi, 0};
    buf_add(out, &h, sizeof h);
    buf_add(out, s->whole, (size_t)h.cells * sizeof *s->whole);
}

struct series *series_unpack(const char *name, const void *p, size_t n) {
    struct packed h;
    if (n < sizeof h) return NULL;
    memcpy(&h, p, sizeof h);
    if (h.k < 0 || h.k > 62 || h.cells < 0 || h.cells > WHOLE || n != sizeof h + (size_t)h.cells * sizeof(struct cell)) return NULL;
    if (h.last < -1 || h.cells != (h.last < 0 ? 0 : (h.last >> h.k) + 1)) return NULL;
    struct series *s = series_new(name);
    s->k = (int)h.k;
    s->first = h.first;
    s->last = h.last;
    s->value = h.value;
    s->lo = h.lo;
    s->hi = h.hi;
    s->lo_step = h.lo_step;
    s->hi_step = h.hi_step;
    s->count = h.count;
    s->bad = h.bad;
    s->unpacked = true;
    memcpy(s->whole, (const char *)p + sizeof h, (size_t)h.cells * sizeof *s->whole);
    return s;
}

_Static_assert(sizeof(struct series) <= 64 * 1024, "history of one series");

static bool begins(const char *name, const char *word) {
    size_t n = strlen(word);
    return strncmp(name, word, n) == 0 && (name[n] == 0 || name[n] == '_');
}

int metric_direction(const char *name) {
    static const char *const split[] = {"val_", "test_", "train_", "best_"};
    static const char *const up[] = {
        "acc", "top5", "precision", "recall", "f1", "auroc", "ap", "mcc", "kappa", "r2", "examples_s", "tokens_s", "flops_s", "sparsity"};
    static const char *const down[] = {
        "loss", "mse", "mae", "rmse", "log_loss", "brier", "ece", "step_ms", "p50_ms", "p90_ms", "p99_ms", "bytes", "perplexity"};
    for (size_t i = 0; i < LEN(split); i++)
        if (strncmp(name, split[i], strlen(split[i])) == 0) return metric_direction(name + strlen(split[i]));
    for (size_t i = 0; i < LEN(up); i++)
        if (begins(name, up[i])) return 1;
    for (size_t i = 0; i < LEN(down); i++)
        if (begins(name, down[i])) return -1;
    return 0;
}
