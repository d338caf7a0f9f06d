/* Timing two models in turns or one alone, and evaluating one. Each sample runs the same rows through both, first the one, then the other, and the next
 * sample the other way round; what is compared are the ratios of such pairs. A sample of a small model repeats its run, so that the clock's grain and the
 * pool's wake-up do not count. */
#include "config.h"

#include "engine/compress/measure.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/mem.h"
#include "src/base/thread.h"

#define SAMPLE_S 200e-6 /* shortest sample */
enum { PAIRS_MIN = 9, PAIRS_MAX = 400, RUNS_MAX = 20000, WARM = 3 };

struct probe { /* a model ready to run `rows` rows */
    struct step *step;
    struct products products;
    const struct part *part;
    int64_t rows;
    struct extents x;
};

static const struct precision full = {.half = DT_F32};

static int probe_open(struct probe *p, const struct bed *bed, const struct model *m, const struct precision *pr, int64_t rows, struct err *e) {
    int64_t tokens[LOADER_COLS];
    struct step_spec s = {.model = m, .device = bed->device, .pool = bed->pool, .half = pr->half, .fp8 = pr->fp8, .products = &p->products};
    *p = (struct probe){.part = bed->part};
    loader_limits(bed->part, rows, 0, false, &p->rows, tokens);
    s.rows = p->rows;
    memcpy(s.tokens, tokens, sizeof s.tokens);
    p->step = step_new(&s, e);
    return p->step ? 0 : -1;
}

/* Rows from .. from + rows of the part, round the end, become the input. */
static void probe_load(struct probe *p, int64_t from) {
    int64_t index[SPEED_ROWS], tokens[LOADER_COLS] = {0};
    struct batch_col col[LOADER_COLS] = {{0}};
    for (int64_t i = 0; i < p->rows; i++) index[i] = (from + i) % p->part->n;
    for (int i = 0; i < p->step->io.n_in; i++) col[i].data = step_input(p->step, i, &col[i].offset, &col[i].weight);
    part_fill(p->part, index, p->rows, col);
    for (int i = 0; i < p->step->io.n_in; i++) tokens[i] = col[i].offset ? col[i].offset[p->rows] : 0;
    p->x = step_extents(p->step, p->rows, tokens, LOADER_COLS);
}

static int probe_time(struct probe *p, int reps, double *seconds, struct err *e) {
    struct step_result r;
    double from = clock_now();
    for (int i = 0; i < reps; i++)
        if (step_run(p->step, &p->x, 0, NULL, &r, e) < 0) return -1;
    *seconds = (clock_now() - from) / reps;
    return 0;
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}
static double quantile(double *v, int n, double q) { /* sorts v; nearest rank */
    qsort(v, (size_t)n, sizeof *v, by_value);
    int i = (int)ceil(q * n) - 1;
    return v[i < 0 ? 0 : i >= n ? n - 1 : i];
}

void pair_ratio(const double *a, const double *b, int n, struct pair_speed *out) {
    double *v = X_NEW(double, (size_t)n + 1);
    for (int i = 0; i < n; i++) v[i] = b[i] / a[i];
    out->ratio = quantile(v, n, 0.5);
    int k = (int)floor(n / 2.0 - 0.98 * sqrt(n)); /* ranks k + 1 and n - k hold the median with 95 % (normal form of the sign test) */
    out->lo = v[k < 0 ? 0 : k], out->hi = v[n - 1 - (k < 0 ? 0 : k)];
    memcpy(v, a, (size_t)n * sizeof *v);
    out->a50 = quantile(v, n, 0.5), out->a99 = quantile(v, n, 0.99);
    memcpy(v, b, (size_t)n * sizeof *v);
    out->b50 = quantile(v, n, 0.5), out->b99 = quantile(v, n, 0.99);
    out->n = n;
    free(v);
}

bool pair_slower(const struct pair_speed *p) { return p->ratio > 1.02 && p->lo > 1; }

/* One sample: both models on rows from `from`; the one of `first` begins. */
static int sample(const struct bed *bed, struct probe p[2], int64_t from, int64_t rows, int first, int reps, bool warm, double t[2], struct err *e) {
    for (int k = 0; k < 2; k++) {
        int which = first ^ k;
        if (bed->timer) t[which] = bed->timer(bed->ctx, which, from, rows);
        else {
            probe_load(&p[which], from);
            if ((warm && probe_time(&p[which], 1, &t[which], e) < 0) || probe_time(&p[which], reps, &t[which], e) < 0) return -1;
        }
    }
    return 0;
}

static int pairs(const struct bed *bed, struct probe p[2], int64_t rows, struct pair_speed *out, struct err *e) {
    double *a = X_NEW(double, PAIRS_MAX), *b = X_NEW(double, PAIRS_MAX), t[2], until;
    int n = 0, reps = 1, rc = sample(bed, p, 0, rows, 0, 1, true, t, e);
    bool warm = rc == 0 && t[0] + t[1] < 0.2; /* the other model's run left its own weights in the caches; of long runs that is no part */
    if (rc == 0 && !bed->timer) {
        double once = fmax(fmin(t[0], t[1]), 1e-8);
        reps = (int)fmin(1e5, ceil(SAMPLE_S / once));
    }
    until = clock_now() + bed->seconds;
    for (; rc == 0 && n < PAIRS_MAX && (n < PAIRS_MIN || clock_now() < until); n++) {
        if (bed->stop && bed->stop(bed->ctx)) rc = err_code(e, ERR_STOPPED, "the timing was stopped");
        else rc = sample(bed, p, (int64_t)n * rows % bed->part->n, rows, n & 1, reps, warm, t, e);
        a[n] = t[0], b[n] = t[1];
    }
    if (rc == 0) pair_ratio(a, b, n, out);
    free(a);
    free(b);
    return rc;
}

static const int64_t speed_rows[SPEEDS] = {1, SPEED_ROWS};

static int rows_there(const struct bed *bed, struct err *e) { return bed->part->n > 0 ? 0 : err_set(e, "there are no rows to time the model with"); }

int measure_pair(const struct bed *bed, const struct model *a, const struct model *b, struct pair_speed out[SPEEDS], struct err *e) {
    const int64_t *rows = speed_rows;
    int rc = rows_there(bed, e);
    for (int s = 0; s < SPEEDS && rc == 0; s++) {
        struct probe p[2] = {{0}};
        if (bed->phase) bed->phase(bed->ctx, s ? "timing batches" : "timing single rows", s, SPEEDS);
        if (!bed->timer && (probe_open(&p[0], bed, a, &full, rows[s], e) < 0 || probe_open(&p[1], bed, b, &full, rows[s], e) < 0)) rc = -1;
        if (rc == 0) rc = pairs(bed, p, bed->timer ? rows[s] : p[0].rows, &out[s], e);
        step_free(p[0].step);
        step_free(p[1].step);
    }
    return rc;
}

/* ---- alone ---- */

/* One run of the rows from `from`, or what the given clock says of it. */
static int alone_time(const struct bed *bed, struct probe *p, int64_t from, double *seconds, struct err *e) {
    if (bed->timer) return *seconds = bed->timer(bed->ctx, 0, from, p->rows), 0;
    probe_load(p, from);
    return probe_time(p, 1, seconds, e);
}
static int alone(const struct bed *bed, struct probe *p, struct speed *out, struct err *e) {
    double *t = X_NEW(double, RUNS_MAX), until;
    int n = 0, rc = 0;
    for (int i = 0; i < WARM && rc == 0; i++) rc = alone_time(bed, p, 0, &t[0], e);
    until = clock_now() + bed->seconds;
    for (; rc == 0 && n < RUNS_MAX && (n < PAIRS_MIN || clock_now() < until); n++) {
        if (bed->stop && bed->stop(bed->ctx)) rc = err_code(e, ERR_STOPPED, "the timing was stopped");
        else rc = alone_time(bed, p, (int64_t)n * p->rows % bed->part->n, &t[n], e);
    }
    if (rc == 0) *out = (struct speed){quantile(t, n, 0.5), quantile(t, n, 0.9), quantile(t, n, 0.99), p->rows, n};
    free(t);
    return rc;
}

int measure_alone(const struct bed *bed, const struct model *m, const struct precision *pr, unsigned which, struct speed out[SPEEDS], struct err *e) {
    int rc = rows_there(bed, e);
    for (int s = 0; s < SPEEDS && rc == 0; s++) {
        struct probe p = {0};
        if (!(which >> s & 1)) continue;
        if (bed->phase) bed->phase(bed->ctx, s ? "timing batches" : "timing single rows", s, SPEEDS);
        rc = probe_open(&p, bed, m, pr, speed_rows[s], e);
        if (rc == 0) rc = step_check(p.step, bed->part, NULL, e);
        if (rc == 0) rc = alone(bed, &p, &out[s], e);
        step_free(p.step);
    }
    return rc;
}

/* ---- worth ---- */
static bool ask(void *ctx, int64_t done, int64_t total) {
    const struct bed *bed = ctx;
    if (bed->phase) bed->phase(bed->ctx, "evaluating", done, total);
    return bed->stop && bed->stop(bed->ctx);
}

static int64_t mean_tokens(const struct part *p) {
    int64_t n = 0;
    for (int64_t i = 0; i < p->n; i++) n += part_tokens(p, i);
    return p->n ? (n + p->n / 2) / p->n : 0;
}

int measure_worth(const struct bed *bed, const struct model *m, const struct loss_spec *loss, struct worth *out, struct err *e) {
    struct eval_spec spec = {.model = m, .part = bed->part, .loss = loss, .pool = bed->pool, .probabilities = true, .guesses = true};
    struct probe p = {0};
    *out = (struct worth){.quality = NAN};
    struct eval *v = eval_new(&spec, e);
    int rc = v ? eval_run(v, ask, (void *)(uintptr_t)bed, e) : -1;
    if (rc == 0) rc = probe_open(&p, bed, m, &full, SPEED_ROWS, e);
    if (rc == 0) rc = model_disk_bytes(m, &out->bytes, e);
    if (rc == 0) {
        const struct tally *t = eval_tally(v);
        out->values = tally_values_val(t);
        out->counts = val_copy(out->values);
        examples_confusion(t, out->counts);
        out->quality = val_get_num(out->values, t->n_class || t->sequence ? "acc" : "r2", NAN);
        out->memory = (int64_t)step_memory(p.step, NULL);
        out->params = model_values(m);
        out->macs = model_macs(m, mean_tokens(bed->part), e);
        if (eval_guesses(v)) {
            out->guess = X_NEW(int32_t, (size_t)bed->part->n + 1);
            memcpy(out->guess, eval_guesses(v), (size_t)bed->part->n * sizeof *out->guess);
        }
        if (out->macs < 0) rc = -1;
    }
    step_free(p.step);
    eval_free(v);
    if (rc < 0) worth_release(out);
    return rc;
}

void worth_release(struct worth *w) {
    val_free(w->counts);
    val_free(w->values);
    free(w->guess);
    *w = (struct worth){0};
}
