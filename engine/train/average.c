/* Averaged weights, and running statistics for them. Izmailov et al. 2018, "Averaging weights leads to wider optima"; formulas as in torch.optim.swa_utils. */
#include "config.h"

#include "engine/graph/backend.h"
#include "engine/train/average.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/graph/op.h"
#include "engine/train/train.h"
#include "src/base/mem.h"

#define TILE 65536 /* values */

struct average *average_new(const struct model *m, double decay, struct err *e) {
    struct average *a = X_NEW(struct average, 1);
    a->decay = decay;
    if ((a->data = mem_try(m->bytes ? m->bytes : 1, 1, "the averaged weights", e))) return a;
    free(a);
    return NULL;
}

void average_free(struct average *a) {
    if (!a) return;
    mirror_drop(a->data);
    free(a->data);
    free(a);
}

struct adding {
    float *a;
    const float *p;
    int64_t n;
    float share;
};
static void add_tiles(void *ctx, int64_t lo, int64_t hi) {
    const struct adding *d = ctx;
    int64_t to = hi * TILE < d->n ? hi * TILE : d->n;
    float *restrict a = d->a;
    const float *restrict p = d->p, share = d->share;
    int64_t i = lo * TILE;
    for (; i + 16 <= to; i += 16)
        for (int j = 0; j < 16; j++) a[i + j] += share * (p[i + j] - a[i + j]);
    for (; i < to; i++) a[i] += share * (p[i] - a[i]);
}

static double share_of_next(const struct average *a) {
    double n = (double)a->n;
    return a->decay > 0 ? 1 - fmin(a->decay, (1 + n) / (10 + n)) : 1 / (n + 1);
}

const float *average_read(const struct average *a) {
    mirror_read(a->data);
    return a->data;
}

int average_add_on(struct average *a, const struct model *m, struct backend_device *d, struct err *e) {
    float share = (float)share_of_next(a);
    if (a->n == 0) {
        mirror_read(m->data);
        memcpy(a->data, m->data, m->bytes);
        mirror_wrote(a->data);
    }
    char *to = mirror_device(d, a->data, m->bytes, e), *from = to ? mirror_device(d, m->data, m->bytes, e) : NULL;
    if (!from) return -1;
    for (int i = 0, k; i < m->n_param && a->n > 0; i = k) { /* neighbours in one pass, with the gaps between them */
        size_t at = m->param[i].offset, end = at;
        for (k = i; k < m->n_param && (m->param[k].dtype == DT_F32) == (m->param[i].dtype == DT_F32) && m->param[k].offset >= end; k++)
            end = m->param[k].offset + (size_t)m->param[k].len * sizeof(float);
        if (m->param[i].dtype != DT_F32) continue;
        if (d->b->mix(d->self, (float *)(void *)(to + at), (const float *)(const void *)(from + at), (int64_t)((end - at) / sizeof(float)), share, e) < 0)
            return -1;
    }
    a->n++;
    a->stale = true;
    mirror_device_wrote(d, a->data);
    return 0;
}

void average_add(struct average *a, const struct model *m, struct pool *pool) {
    int64_t n = a->n;
    double share = share_of_next(a);
    mirror_read(m->data);
    if (a->n++ == 0) memcpy(a->data, m->data, m->bytes);
    for (int i = 0; i < m->n_param && n > 0; i++) {
        const struct param *p = &m->param[i];
        struct adding d = {(float *)((char *)a->data + p->offset), (const float *)((const char *)m->data + p->offset), p->len, (float)share};
        if (p->dtype == DT_F32) pool_run(pool, (p->len + TILE - 1) / TILE, add_tiles, &d);
    }
    a->stale = true;
}

/* ---- running statistics ---- */

struct statistic {
    float *to;
    const float *from;
    int64_t n;
    double *sum;
}; /* a running mean or variance and the batch's */

static struct step *statistics_step(struct average *a, const struct model *m, struct pool *pool, const int64_t *tokens, int64_t rows, struct err *e) {
    struct step *s = X_NEW(struct step, 1);
    s->target = s->class_weight = s->loss = s->weight = s->ctl = s->hyper = s->hits = s->sum_loss = s->sum_weight = s->sum_hits = s->first = s->other =
        s->share = s->rest = -1;
    s->g = graph_new(DT_F32, true, 0);
    int rc = model_build(m, s->g, &s->io, e);
    if (rc == 0) rc = fuse_forward(s->g, e);
    if (rc == 0) {
        s->max = step_extents(s, rows, tokens, LOADER_COLS);
        s->plan = plan_new(s->g, &s->max, &(struct plan_options){.pool = pool, .param = a->data, .keep = &s->io.out, .n_keep = 1}, e);
        rc = s->plan ? plan_alloc(s->plan, e) : -1;
    }
    for (int i = 0; rc == 0 && i < s->io.n_live; i++) plan_scalar(s->plan, s->io.live[i].scalar, 0);
    if (rc == 0) return s;
    step_free(s);
    return NULL;
}

/* The nodes that would move running statistics say which there are. Caller frees the list and each sum. */
static int find_statistics(const struct step *s, struct statistic **out) {
    int n = 0;
    *out = NULL;
    for (int i = 0; i < s->g->n_node; i++) {
        const struct node *d = &s->g->node[i];
        if (strcmp(d->op->kind.name, "batch_norm_update") != 0) continue;
        for (int j = 0; j < 2; j++) {
            int64_t len = tensor_len(graph_tensor(s->g, d->in[j]), &s->max);
            *out = X_GROW(*out, struct statistic, (size_t)n + 1);
            (*out)[n++] = (struct statistic){plan_data(s->plan, d->in[j]), plan_data(s->plan, d->in[j + 2]), len, X_NEW(double, (size_t)len + 1)};
        }
    }
    return n;
}

int average_statistics(struct average *a, const struct model *m, const struct part *part, struct pool *pool, int64_t batch, int64_t batch_tokens,
    eval_stop stop, void *ctx, struct err *e) {
    int64_t rows, tokens[LOADER_COLS], batches = 0;
    bool any = false;
    for (int i = 0; i < m->n_param; i++) any |= strstr(m->param[i].name, ".running_") != NULL;
    a->stale = false;
    if (!any) return 0;
    loader_limits(part, batch, batch_tokens, false, &rows, tokens);
    mirror_read(a->data);
    struct step *s = statistics_step(a, m, pool, tokens, rows, e);
    if (!s) return -1;
    struct statistic *st;
    int n = find_statistics(s, &st), rc = 0;
    struct loader_spec ls = {.part = part, .batch = batch, .batch_tokens = batch_tokens, .epochs = 1};
    for (int i = 0; i < s->io.n_in; i++) ls.weights |= s->io.in[i].weight >= 0;
    struct loader *l = n ? loader_new(&ls, 0, 0, e) : NULL;
    const struct batch *b;
    if (n && !l) rc = -1;
    while (rc == 0 && l && (b = loader_next(l))) {
        struct extents x = step_load(s, part, b);
        rc = plan_run(s->plan, &x, PHASE_FORWARD, PHASE_FORWARD, e);
        for (int k = 0; rc == 0 && k < n; k++)
            for (int64_t i = 0; i < st[k].n; i++) st[k].sum[i] += (double)st[k].from[i];
        batches++;
        if (rc == 0 && stop && stop(ctx, b->start + b->rows, part->n))
            rc = err_code(e, ERR_STOPPED, "the running statistics were stopped after %lld of %lld rows", (long long)(b->start + b->rows), (long long)part->n);
    }
    for (int k = 0; k < n; k++) {
        for (int64_t i = 0; rc == 0 && batches && i < st[k].n; i++) st[k].to[i] = (float)(st[k].sum[i] / (double)batches);
        free(st[k].sum);
    }
    mirror_wrote(a->data);
    a->stale = rc < 0;
    free(st);
    loader_free(l);
    step_free(s);
    return rc;
}

/* ---- in a training run ---- */

int train_average_start(struct train *t, struct err *e) {
    average_free(t->average);
    t->average = NULL;
    if (t->a.ema > 0 && t->a.swa > 0) return err_code(e, ERR_USAGE, "ema and swa are two ways to average the weights: give one of them");
    if (t->a.ema <= 0 && t->a.swa <= 0) return 0;
    return (t->average = average_new(t->model, t->a.ema, e)) ? 0 : -1;
}

int train_average_step(struct train *t, bool epoch_end, struct err *e) {
    struct average *a = t->average;
    double epochs = (double)t->epoch + (double)t->pos / (double)t->part->n;
    if (!a) return 0;
    bool now = a->decay > 0 || (epochs >= t->a.swa && (t->a.swa_every > 0 ? t->n_step % t->a.swa_every == 0 : epoch_end));
    if (now && t->device) return average_add_on(a, t->model, t->device, e);
    if (now) average_add(a, t->model, t->pool);
    return 0;
}

int train_average_ready(struct train *t, eval_stop stop, struct err *e) {
    struct average *a = t->average;
    if (!a || a->n == 0 || a->decay > 0 || !a->stale) return 0;
    run_phase(t->run, "running statistics of the averaged weights");
    return average_statistics(a, t->model, t->part, t->pool, t->a.batch, t->a.batch_tokens, stop, t, e);
}

const float *train_weights(const struct train *t) { return t->average && t->average->n > 0 ? t->average->data : t->model->data; }
