/* A look at the layers of a running training: one forward and backward pass of a small batch, the next rows training would read, over the weights as they
 * are, in a graph of its own that is neither fused nor shares memory, so that every layer's output can be read. It changes nothing: neither weights nor
 * running statistics nor the order of rows, and random layers draw what they draw in the next step. Always in fp32 and on the CPU. Off it costs nothing.
 * Engine thread, at a boundary.
 *
 * The report "model" is model_sheet's and: step, rows (of the small batch), seconds (what the look took); a layer has out = {n, min, max, mean, rms, bad,
 * zero, units, dead}: bad counts values that are not finite, zero those that are 0, dead the units (last axis; channels of pictures) that are 0 in every
 * row; a weight has w (values) and, if it is trained, g (gradient of the mean loss; of a table of vectors its touched rows), each {n, min, max, mean, rms,
 * bad, zero, hist}.
 * hist is the text "LO HI BINS": BINS are HIST_BINS two-digit hexadecimal numbers, the counts in equal parts of [LO, HI] relative to the fullest (ff).
 * The report "histograms" is those over time: {steps = {..}, weights = {{name=, w={hist, ..}, g={hist, ..}}, ..}}, of the HIST_WEIGHTS largest weights,
 * a place a step (false: none); when HIST_STEPS are kept every second one goes. */
#include "config.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/graph/backend.h"
#include "engine/model/build.h"
#include "engine/train/train.h"
#include "src/base/mem.h"
#include "src/base/thread.h"

enum { LOOK_ROWS = 64, HIST_BINS = 40, HIST_STEPS = 32, HIST_WEIGHTS = 32 };
#define LOOK_BYTES ((size_t)96 << 20) /* of values and gradients; fewer rows above it */

struct look {
    struct step s; /* its graph, plan and where a batch goes; no optimiser */
    struct built *row;
    int n_row;
    tid *grad;
    double seconds;
};

static void look_close(struct look *k) {
    plan_free(k->s.plan);
    graph_free(k->s.g);
    k->s.plan = NULL;
    k->s.g = NULL;
}

static int look_open(struct look *k, struct train *t, int64_t rows, struct err *e) {
    struct step *s = &k->s;
    const struct model *m = t->model;
    int64_t tokens[LOADER_COLS];
    *s = (struct step){.g = graph_new(DT_F32, true, (uint64_t)t->a.seed), .ctl = -1, .hyper = -1, .hits = -1};
    s->sum_loss = s->sum_weight = s->sum_hits = s->first = s->other = s->share = s->rest = s->seed = -1;
    tid *want = X_NEW(tid, (size_t)m->n_param + 1), *keep;
    int n_keep = 0;
    if (build_noted(m, s->g, &s->io, k->row, &k->n_row, e) < 0) goto fail;
    if (loss_build(&t->loss, s->g, s->io.out, &s->target, &s->class_weight, &s->loss, &s->weight, e) < 0) goto fail;
    for (int i = 0; i < m->n_param; i++) {
        want[i] = m->param[i].trainable && !m->param[i].frozen ? s->io.param[i] : -1;
        k->grad[i] = -1;
    }
    s->g->phase = PHASE_BACKWARD;
    if (grad_build(s->g, s->loss, graph_const(s->g, 1), want, m->n_param, k->grad, e) < 0) goto fail;
    loader_limits(t->part, rows, t->a.batch_tokens, t->a.balanced, &rows, tokens);
    s->max = step_extents(s, rows, tokens, STEP_COLS);
    keep = X_NEW(tid, (size_t)k->n_row + 4 * (size_t)m->n_param + 2);
    keep[n_keep++] = s->loss, keep[n_keep++] = s->weight;
    for (int i = 0; i < k->n_row; i++) keep[n_keep++] = k->row[i].out;
    for (int i = 0; i < m->n_param; i++) {
        tid sparse[3];
        if (k->grad[i] < 0) continue;
        keep[n_keep++] = k->grad[i];
        for (int j = 0; grad_rows(s->g, k->grad[i], sparse) && j < 3; j++) keep[n_keep++] = sparse[j];
    }
    struct plan_options o = {.pool = t->pool, .keep = keep, .n_keep = n_keep, .param = m->data, .no_reuse = true};
    s->plan = plan_new(s->g, &s->max, &o, e);
    free(keep);
    free(want);
    return s->plan ? 0 : -1;
fail:
    free(want);
    return -1;
}

/* ---- numbers ---- */

struct sums {
    int64_t n, bad, zero;
    double min, max, sum, sum2;
};

static void sums_add(struct sums *s, const float *p, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        double v = (double)p[i];
        if (!isfinite(v)) {
            s->bad++;
            continue;
        }
        if (s->n == s->bad) s->min = s->max = v;
        if (v < s->min) s->min = v;
        if (v > s->max) s->max = v;
        s->sum += v;
        s->sum2 += v * v;
        s->zero += v == 0;
        s->n++;
    }
}

static struct val *sums_val(const struct sums *s, double scale) {
    struct val *v = val_table();
    double n = (double)s->n;
    val_append(v, "n", val_int(s->n + s->bad));
    val_append(v, "bad", val_int(s->bad));
    val_append(v, "zero", val_int(s->zero));
    if (!s->n) return v;
    val_append(v, "min", val_num(s->min * scale));
    val_append(v, "max", val_num(s->max * scale));
    val_append(v, "mean", val_num(s->sum / n * scale));
    val_append(v, "rms", val_num(sqrt(s->sum2 / n) * scale));
    return v;
}

static void hist_text(const struct sums *s, const float *p, int64_t n, double scale, char *out, size_t size) {
    int64_t count[HIST_BINS] = {0}, most = 1;
    double per = s->max > s->min ? HIST_BINS / (s->max - s->min) : 0;
    for (int64_t i = 0; i < n; i++) {
        if (!isfinite(p[i])) continue;
        int b = (int)(((double)p[i] - s->min) * per);
        count[b < 0 ? 0 : b >= HIST_BINS ? HIST_BINS - 1 : b]++;
    }
    for (int b = 0; b < HIST_BINS; b++)
        if (count[b] > most) most = count[b];
    int at = snprintf(out, size, "%.6g %.6g ", s->min * scale, s->max * scale);
    for (int b = 0; b < HIST_BINS; b++) /* what is there at all shows */
        at += snprintf(out + at, size - (size_t)at, "%02x", (unsigned)((count[b] * 255 + most - 1) / most));
}

/* n values and their place in the history; scale: of the numbers that are shown. */
static struct val *numbers(const float *p, int64_t n, double scale) {
    char hist[64 + 2 * HIST_BINS] = "";
    struct sums s = {0};
    sums_add(&s, p, n);
    struct val *v = sums_val(&s, scale);
    if (s.n) hist_text(&s, p, n, scale, hist, sizeof hist);
    if (s.n) val_append(v, "hist", val_str(hist));
    return v;
}

/* The unit that value i of a tensor belongs to: its last axis, the channel of a picture (also of one in blocks). */
static int64_t unit_of(const struct tensor *t, const int64_t *dim, int64_t i) {
    if (t->ndim != 4) return i % dim[t->ndim - 1];
    int64_t plane = dim[2] * dim[3];
    if (!t->block) return i / plane % dim[1];
    return i / (plane * t->block) % (dim[1] / t->block) * t->block + i % t->block;
}

static struct val *output_numbers(const struct look *k, const struct extents *x, tid id) {
    const struct tensor *t = graph_tensor(k->s.g, id);
    const float *p = plan_data(k->s.plan, id);
    int64_t dim[TENSOR_DIMS], n = tensor_len(t, x), dead = 0;
    if (!p || t->dtype != DT_F32 || n == 0) return NULL;
    struct sums s = {0};
    sums_add(&s, p, n);
    struct val *v = sums_val(&s, 1);
    for (int i = 0; i < t->ndim; i++) dim[i] = dim_value(t->dim[i], x);
    int64_t units = t->ndim < 2 ? 0 : t->ndim == 4 ? dim[1] : dim[t->ndim - 1];
    if (units < 1 || units > 1 << 20) return v;
    bool *alive = X_NEW(bool, (size_t)units);
    for (int64_t i = 0; i < n; i++)
        if (p[i] != 0) alive[unit_of(t, dim, i)] = true;
    for (int64_t i = 0; i < units; i++) dead += !alive[i];
    free(alive);
    val_append(v, "units", val_int(units));
    val_append(v, "dead", val_int(dead));
    return v;
}

static struct val *weight_numbers(const struct model *m, const struct param *p) {
    if (p->dtype == DT_F32) return numbers((const float *)((const char *)m->data + p->offset), p->len, 1);
    float *w = mem_try((size_t)p->len + 1, sizeof *w, "the values of a weight", NULL);
    if (!w) return NULL;
    param_get(m, p, w);
    struct val *v = numbers(w, p->len, 1);
    free(w);
    return v;
}

/* The gradient of the mean loss. Of a row-sparse one only what is there. */
static struct val *gradient_numbers(const struct look *k, const struct extents *x, tid id, double weight) {
    tid rows[3];
    const struct tensor *t = id < 0 ? NULL : graph_tensor(k->s.g, id);
    const float *p = t ? plan_data(k->s.plan, id) : NULL;
    if (!p || t->dtype != DT_F32) return NULL;
    int64_t n = tensor_len(t, x);
    if (grad_rows(k->s.g, id, rows)) {
        const int32_t *count = plan_data(k->s.plan, rows[1]);
        int64_t width = t->ndim > 1 ? t->dim[t->ndim - 1].k : 1;
        if (!count) return NULL;
        n = *count * width < n ? *count * width : n;
    }
    return numbers(p, n, weight > 0 ? 1 / weight : 1);
}

/* ---- history ---- */

static void thin(struct val *list) {
    size_t n = 0;
    for (size_t i = 0; i < list->u.t.n_item; i++)
        if (i % 2) val_free(list->u.t.item[i]);
        else list->u.t.item[n++] = list->u.t.item[i];
    list->u.t.n_item = n;
}

static void keep_hist(struct val *list, const struct val *numbers) {
    const char *h = val_get_str(numbers, "hist", NULL);
    val_push(list, h ? val_str(h) : val_bool(false));
}

struct size_rank {
    int i;
    int64_t len;
};
static int by_size(const void *a, const void *b) {
    const struct size_rank *x = a, *y = b;
    return x->len != y->len ? (x->len < y->len ? 1 : -1) : x->i - y->i;
}
static int by_place(const void *a, const void *b) { return ((const struct size_rank *)a)->i - ((const struct size_rank *)b)->i; }

static struct val *history_new(const struct model *m) {
    struct size_rank *r = X_NEW(struct size_rank, (size_t)m->n_param + 1);
    struct val *h = val_table(), *list = val_list();
    int n = m->n_param < HIST_WEIGHTS ? m->n_param : HIST_WEIGHTS;
    for (int i = 0; i < m->n_param; i++) r[i] = (struct size_rank){i, m->param[i].len};
    qsort(r, (size_t)m->n_param, sizeof *r, by_size);
    qsort(r, (size_t)n, sizeof *r, by_place);
    for (int i = 0; i < n; i++) {
        struct val *w = val_table();
        val_set_str(w, "name", m->param[r[i].i].name);
        val_set(w, "w", val_list());
        val_set(w, "g", val_list());
        val_push(list, w);
    }
    val_set(h, "steps", val_list());
    val_set(h, "weights", list);
    free(r);
    return h;
}

static void history_add(struct train *t, const struct val *weights) {
    if (!t->histograms) t->histograms = history_new(t->model);
    struct val *steps = val_get(t->histograms, "steps"), *list = val_get(t->histograms, "weights");
    int64_t last = -1;
    if (val_len(steps) && val_as_int(val_at(steps, val_len(steps) - 1), &last) && last == t->n_step) return;
    bool full = val_len(steps) == HIST_STEPS;
    if (full) thin(steps);
    val_push(steps, val_int(t->n_step));
    for (size_t i = 0; i < val_len(list); i++) {
        struct val *row = val_at(list, i), *w = val_get(row, "w"), *g = val_get(row, "g");
        const struct val *now = NULL;
        for (size_t j = 0; j < val_len(weights) && !now; j++)
            if (strcmp(val_get_str(val_at(weights, j), "name", ""), val_get_str(row, "name", "?")) == 0) now = val_at(weights, j);
        if (full) thin(w), thin(g);
        keep_hist(w, val_get(now, "w"));
        keep_hist(g, val_get(now, "g"));
    }
    run_report_live(t->run, "histograms", val_copy(t->histograms));
}

/* ---- the look ---- */

static struct val *report(struct train *t, const struct look *k, const struct extents *x) {
    const float *w = plan_data(k->s.plan, k->s.weight);
    struct val *v = model_sheet(t->model), *list = val_get(v, "layers"), *weights = val_get(v, "weights");
    val_set_int(v, "step", t->n_step);
    val_set_int(v, "rows", x->n[AXIS_R]);
    for (int i = 0; i < k->n_row && (size_t)i < val_len(list); i++) {
        struct val *n = output_numbers(k, x, k->row[i].out);
        if (n) val_append(val_at(list, (size_t)i), "out", n);
    }
    for (int i = 0; i < t->model->n_param && (size_t)i < val_len(weights); i++) {
        struct val *n = weight_numbers(t->model, &t->model->param[i]), *g = gradient_numbers(k, x, k->grad[i], w ? (double)*w : 0);
        if (n) val_append(val_at(weights, (size_t)i), "w", n);
        if (g) val_append(val_at(weights, (size_t)i), "g", g);
    }
    return v;
}

/* The rows that training reads next, the whole of the epoch behind them if they are fewer. */
static struct loader *next_rows(const struct train *t, int64_t rows, bool weights, struct err *e) {
    struct loader_spec ls = {.part = t->part,
        .seed = (uint64_t)t->a.seed,
        .shuffle = t->a.shuffle,
        .weights = weights,
        .batch = rows,
        .batch_tokens = t->a.batch_tokens,
        .augment = {t->a.crop, t->a.cutout, 0, t->a.flip},
        .balanced = t->a.balanced,
        .bucket = t->a.buckets,
        .block = t->block};
    return loader_new(&ls, t->epoch, t->pos < t->part->n ? t->pos : 0, e);
}

static int open_bounded(struct look *k, struct train *t, int64_t *rows, struct err *e) {
    *rows = t->a.batch < LOOK_ROWS ? t->a.batch : LOOK_ROWS;
    for (;;) {
        if (look_open(k, t, *rows, e) < 0) return -1;
        size_t bytes = plan_bytes(k->s.plan, ROLE_TEMP) + plan_bytes(k->s.plan, ROLE_GRAD);
        if (bytes <= LOOK_BYTES || *rows <= 4) return plan_alloc(k->s.plan, e);
        *rows = *rows / 2 > 4 ? *rows / 2 : 4;
        look_close(k);
    }
}

int train_look(struct train *t, struct err *e) {
    struct look k = {.row = X_NEW(struct built, BUILT_MAX), .grad = X_NEW(tid, (size_t)t->model->n_param + 1)};
    struct loader *l = NULL;
    const struct batch *b = NULL;
    double from = clock_now();
    int64_t rows;
    mirror_read(t->model->data);
    int rc = open_bounded(&k, t, &rows, e);
    bool weights = false;
    for (int i = 0; rc == 0 && i < k.s.io.n_in; i++) weights |= k.s.io.in[i].weight >= 0;
    if (rc == 0 && !(l = next_rows(t, rows, weights, e))) rc = -1;
    if (rc == 0 && !(b = loader_next(l))) rc = err_set(e, "the loader gave no batch for a look at the layers");
    if (rc == 0) {
        struct extents x = step_load(&k.s, t->part, b);
        step_class_weights(&k.s, &t->loss);
        step_live(&k.s, t->model);
        plan_step(k.s.plan, (uint64_t)t->n_micro + 1);
        rc = plan_run(k.s.plan, &x, PHASE_FORWARD, PHASE_BACKWARD, e);
        if (rc == 0) {
            struct val *v = report(t, &k, &x);
            val_set_num(v, "seconds", clock_now() - from);
            history_add(t, val_get(v, "weights"));
            run_report(t->run, "model", v);
        }
    }
    loader_free(l);
    look_close(&k);
    free(k.row);
    free(k.grad);
    return rc;
}
