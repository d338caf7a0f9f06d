/* What the ranks tell each other. An order goes from rank 0 to all: STATE (everything a checkpoint would hold, and at first the training rows) or STEP
 * (learning rate). A rank that got STATE is a run resumed from a checkpoint that came by memory; an edit sends STATE anew, a step costs one small message and
 * a sum for each turn of the ranks. Sums are made in the order of the batches, so a run has the same bits with any number of ranks, and with accum in one
 * process. With a device each rank has one of its own, counted on from rank 0's, and adds up its batches there; while the last one of a rank goes backward
 * the devices sum what is final among themselves (plan_run_summed), so the order of the sums is theirs. Gradients of tables are dense then. */
#include "config.h"

#include "engine/train/parallel.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/cpu/pool.h"
#include "engine/graph/backend.h"
#include "engine/ranks/ranks.h"
#include "src/base/hex.h"
#include "src/base/json.h"
#include "src/base/err.h"
#include "src/base/mem.h"
#include "src/base/thread.h"
#include "src/call/settings.h"

enum { ORDER_STATE = 1, ORDER_STEP };
enum { AGAIN_MAX = 5 }; /* times that ranks are started anew in one run */
struct order {
    int64_t what, json, rows; /* STATE: bytes of its JSON text; whether training rows follow */
    double lr, loss_scale; /* STEP */
};

struct rows_sum { /* a row-sparse gradient over the batches so far */
    float *sum; /* (n, width) */
    int32_t *id, *slot; /* of its rows; of each row of the table, or -1 */
    int32_t n, cap;
};
struct parallel {
    struct ranks *ranks;
    bool told, rows_told; /* the others know the state as it stands, the training rows */
    bool joined; /* the devices of all ranks are */
    int restarts; /* of the others */
    bool onto; /* the sums of earlier turns of this step are in carry */
    struct {
        bool there, summed; /* a batch of this rank waits to be run; the devices have summed */
        int64_t i; /* which of the step */
        uint64_t n; /* number of all micro-batches */
        struct extents x;
    } wait; /* with devices */
    struct piece *piece;
    float *carry; /* of all pieces */
    int64_t n_carry;
    struct rows_sum *rows; /* by parameter */
    int n_rows;
    float *in; /* rows of another rank */
    int32_t *in_id;
    int32_t in_cap;
};

/* ---- rows ---- */

static const size_t cell[] = {[COL_U8] = 1, [COL_I32] = 4, [COL_F32] = 4, [COL_TOKENS] = 4, [COL_TEXT] = 0};

/* slide: tokens of a stream behind the last window, which windows that begin later reach into. */
static size_t column_cells(const struct column *c, int64_t n, int64_t slide) {
    if (c->type == COL_TEXT) return 0; /* of no use to a step */
    return (size_t)(c->type == COL_TOKENS ? c->offset[n] + slide : n * c->width);
}

static struct val *part_meta(const struct dataset *d, const struct part *p) {
    struct val *v = val_table(), *cols = val_list();
    val_set_str(v, "name", d->name);
    val_set_int(v, "classes", d->n_class);
    val_set_int(v, "longest", d->longest);
    val_set_int(v, "inputs", d->n_input);
    val_set_int(v, "rows", p->n);
    val_set_int(v, "slide", p->slide);
    for (int i = 0; i < p->n_col; i++) {
        const struct column *c = &p->col[i];
        struct val *one = val_table(), *dim = val_list();
        val_set_str(one, "name", c->name);
        val_set_int(one, "type", c->type);
        for (int k = 0; k < c->ndim; k++) val_push(dim, val_int(c->dim[k]));
        val_set(one, "dim", dim);
        val_set_int(one, "width", c->width);
        val_set_num(one, "scale", (double)c->scale);
        val_set_num(one, "shift", (double)c->shift);
        val_set_int(one, "max_id", c->max_id);
        val_set_bool(one, "weight", c->weight != NULL);
        val_set_bool(one, "standard", c->mean != NULL);
        val_push(cols, one);
    }
    val_set(v, "columns", cols);
    return v;
}

static int share_column(struct ranks *r, struct column *c, const struct part *p, bool weight, bool standard, struct err *e) {
    bool here = ranks_rank(r) == 0;
    int64_t n = p->n;
    size_t width = c->width > 0 ? (size_t)c->width : 1;
    if (c->type == COL_TEXT) return 0;
    if (c->type == COL_TOKENS) {
        if (!here) c->offset = X_NEW(int64_t, (size_t)n + 1);
        if (ranks_share(r, 0, c->offset, ((size_t)n + 1) * sizeof *c->offset, e) < 0) return -1;
    }
    size_t cells = column_cells(c, n, 0), bytes = column_cells(c, n, p->slide) * cell[c->type];
    if (!here && !(c->data = mem_try(bytes + 1, 1, "the training rows", e))) return -1;
    if (ranks_share(r, 0, c->data, bytes, e) < 0) return -1;
    if (weight) {
        if (!here) c->weight = X_NEW(float, cells + 1);
        if (ranks_share(r, 0, c->weight, cells * sizeof *c->weight, e) < 0) return -1;
    }
    if (!standard) return 0;
    if (!here) c->mean = X_NEW(float, width), c->inv_std = X_NEW(float, width);
    return ranks_share(r, 0, c->mean, width * sizeof(float), e) < 0 ? -1 : ranks_share(r, 0, c->inv_std, width * sizeof(float), e);
}

static int share_rows(struct ranks *r, struct part *p, const struct val *meta, struct err *e) {
    const struct val *cols = val_get(meta, "columns");
    for (int i = 0; i < p->n_col; i++) {
        const struct val *one = val_at(cols, (size_t)i);
        if (share_column(r, &p->col[i], p, val_get_bool(one, "weight", false), val_get_bool(one, "standard", false), e) < 0) return -1;
    }
    return 0;
}

static struct dataset *rows_taken(struct ranks *r, const struct val *meta, struct err *e) {
    struct dataset *d = X_NEW(struct dataset, 1);
    struct part *p = &d->part[PART_TRAIN];
    const struct val *cols = val_get(meta, "columns");
    atomic_store(&d->refs, 1);
    d->name = mem_str(val_get_str(meta, "name", ""));
    d->n_class = (int)val_get_int(meta, "classes", 0);
    d->longest = val_get_int(meta, "longest", 0);
    d->class_name = X_NEW(char *, (size_t)d->n_class + 1);
    for (int i = 0; i < d->n_class; i++) d->class_name[i] = mem_str("");
    d->n_input = (int)val_get_int(meta, "inputs", 1);
    p->n = val_get_int(meta, "rows", 0);
    p->slide = val_get_int(meta, "slide", 0);
    p->n_col = (int)val_len(cols);
    p->col = X_NEW(struct column, (size_t)p->n_col + 1);
    for (int i = 0; i < p->n_col; i++) {
        const struct val *one = val_at(cols, (size_t)i), *dim = val_get(one, "dim");
        struct column *c = &p->col[i];
        c->name = mem_str(val_get_str(one, "name", ""));
        c->type = (enum col_type)val_get_int(one, "type", 0);
        c->ndim = (int)val_len(dim);
        for (int k = 0; k < c->ndim; k++) c->dim[k] = val_at(dim, (size_t)k)->u.i;
        c->width = val_get_int(one, "width", 0);
        c->scale = (float)val_get_num(one, "scale", 1), c->shift = (float)val_get_num(one, "shift", 0);
        c->max_id = val_get_int(one, "max_id", 0);
    }
    if (share_rows(r, p, meta, e) == 0) return d;
    dataset_unref(d);
    return NULL;
}

/* ---- sums ---- */

static int64_t tensor_cells(const struct step *s, tid t) {
    const struct tensor *x = graph_tensor(s->g, t);
    int64_t n = 1;
    for (int i = 0; i < x->ndim; i++) n *= x->dim[i].k; /* of a sum, which has no axis that moves */
    return n;
}

/* What the sums need beside the step; again after the step was built anew. Buffers of rows grow to the largest that comes. */
static void prepare(struct parallel *p, const struct step *s) {
    tid rows[3];
    int64_t n = 3;
    for (int i = 0; i < p->n_rows; i++) free(p->rows[i].sum), free(p->rows[i].id), free(p->rows[i].slot);
    free(p->rows);
    p->piece = X_GROW(p->piece, struct piece, (size_t)s->n_grad + 3);
    p->rows = X_NEW(struct rows_sum, (size_t)s->n_grad + 1);
    p->n_rows = s->n_grad;
    for (int i = 0; i < s->n_grad; i++) {
        if (s->grad[i] < 0) continue;
        if (grad_rows(s->g, s->grad[i], rows)) p->rows[i].slot = X_NEW(int32_t, (size_t)tensor_cells(s, rows[2]) + 1);
        else n += tensor_cells(s, s->grad[i]);
    }
    free(p->carry);
    p->carry = X_NEW(float, (size_t)n);
    p->n_carry = n;
}

static void add_rows(struct rows_sum *g, const float *in, const int32_t *id, int32_t n, int64_t width) {
    if (g->n + n > g->cap) {
        g->cap = g->n + n + n / 4;
        g->sum = X_GROW(g->sum, float, (size_t)(g->cap * width) + 1);
        g->id = X_GROW(g->id, int32_t, (size_t)g->cap + 1);
    }
    for (int32_t i = 0; i < n; i++, in += width) {
        int32_t at = g->slot[id[i]];
        float *to = g->sum + (int64_t)(at < 0 ? g->n : at) * width;
        if (at < 0) g->id[g->n] = id[i], g->slot[id[i]] = g->n++, memcpy(to, in, (size_t)width * sizeof *to);
        else
            for (int64_t j = 0; j < width; j++) to[j] += in[j];
    }
}

/* A row-sparse gradient: the lists of all ranks in their order, rows in the order of their first appearance. The same as rows_accumulate over the batches
 * of one process. */
static int sum_rows(struct train *t, int param, const tid rows[3], uint64_t has, struct err *e) {
    struct parallel *p = t->par;
    const struct step *s = t->step;
    struct rows_sum *g = &p->rows[param];
    float *sum = plan_data(s->plan, s->grad[param]);
    int32_t *id = plan_data(s->plan, rows[0]), *count = plan_data(s->plan, rows[1]), *slot = plan_data(s->plan, rows[2]);
    int64_t table = tensor_cells(s, rows[2]), width = table > 0 ? tensor_cells(s, s->grad[param]) / table : 0;
    int me = ranks_rank(p->ranks);
    if (!p->onto) {
        g->n = 0;
        for (int64_t i = 0; i < table; i++) g->slot[i] = -1;
    }
    for (int r = 0; r < ranks_size(p->ranks); r++) {
        int32_t k = *count;
        if (!(has >> r & 1)) continue;
        if (ranks_share(p->ranks, r, &k, sizeof k, e) < 0) return -1;
        if (k > p->in_cap) {
            p->in_cap = k + k / 4;
            p->in_id = X_GROW(p->in_id, int32_t, (size_t)p->in_cap);
        }
        p->in = X_GROW(p->in, float, (size_t)((int64_t)p->in_cap * width) + 1);
        int32_t *from_id = r == me ? id : p->in_id;
        float *from = r == me ? sum : p->in;
        if (ranks_share(p->ranks, r, from_id, (size_t)k * sizeof *from_id, e) < 0) return -1;
        if (ranks_share(p->ranks, r, from, (size_t)(k * width) * sizeof *from, e) < 0) return -1;
        add_rows(g, from, from_id, k, width);
    }
    memcpy(sum, g->sum, (size_t)(g->n * width) * sizeof *sum);
    memcpy(id, g->id, (size_t)g->n * sizeof *id);
    memcpy(slot, g->slot, (size_t)table * sizeof *slot);
    *count = g->n;
    return 0;
}

/* ---- devices: a rank's last batch of a step sums as it goes backward, so it waits until it is known to be that */
static int run_waiting(struct train *t, bool last, struct err *e) {
    struct parallel *p = t->par;
    const struct extents *x = p->wait.there ? &p->wait.x : NULL;
    p->wait.there = false;
    if (last) p->wait.summed = true;
    return last ? step_micro_summed(t->step, x, p->wait.n, e) : x ? step_micro(t->step, x, p->wait.n, e) : 0;
}
static int batch_of_device(struct train *t, const struct extents *x, int64_t i, bool end, struct err *e) {
    struct parallel *p = t->par;
    if (x) p->wait.there = true, p->wait.i = i, p->wait.n = (uint64_t)t->n_micro, p->wait.x = *x;
    bool last = end || (p->wait.there && p->wait.i + ranks_size(p->ranks) >= t->a.accum);
    return last && !p->wait.summed ? run_waiting(t, true, e) : 0;
}
int parallel_next(struct train *t, struct err *e) { return t->device ? run_waiting(t, false, e) : 0; }

static int sum_ranks(struct train *t, int64_t i, bool more, struct err *e) {
    struct parallel *p = t->par;
    const struct step *s = t->step;
    int size = ranks_size(p->ranks), k = 0, turn = (int)(i % size) + 1;
    if (more && turn < size) return 0;
    double from = clock_now();
    uint64_t has = turn == 64 ? ~(uint64_t)0 : ((uint64_t)1 << turn) - 1;
    int64_t at = 0;
    tid rows[3];
    for (int g = 0; g < s->n_grad; g++) {
        if (s->grad[g] < 0) continue;
        if (!grad_rows(s->g, s->grad[g], rows)) p->piece[k++] = (struct piece){plan_data(s->plan, s->grad[g]), tensor_cells(s, s->grad[g]), NULL};
        else if (sum_rows(t, g, rows, has, e) < 0) return -1;
    }
    const tid number[] = {s->sum_loss, s->sum_weight, s->sum_hits};
    for (size_t j = 0; j < LEN(number); j++)
        if (number[j] >= 0) p->piece[k++] = (struct piece){plan_data(s->plan, number[j]), 1, NULL};
    for (int j = 0; j < k && p->onto; at += p->piece[j++].n) p->piece[j].onto = p->carry + at;
    if (ranks_sum(p->ranks, p->piece, k, has, e) < 0) return -1;
    p->onto = more;
    t->spent.ranks += clock_now() - from;
    if (!more) return 0;
    at = 0;
    for (int j = 0; j < k; at += p->piece[j++].n) memcpy(p->carry + at, p->piece[j].p, (size_t)p->piece[j].n * sizeof *p->carry);
    t->step->begun = false; /* the next batch begins sums of its own, which come onto these */
    return 0;
}

int parallel_batch(struct train *t, const struct extents *x, int64_t i, bool end, struct err *e) {
    if (t->device) return batch_of_device(t, x, i, end, e);
    if (x && step_micro(t->step, x, (uint64_t)t->n_micro, e) < 0) return -1;
    return sum_ranks(t, i, !end, e);
}

/* ---- rank 0 ---- */

static int order(struct train *t, struct order *o, struct err *e) { return ranks_share(t->par->ranks, 0, o, sizeof *o, e); }

static int share_weights(struct train *t, struct err *e) {
    mirror_read(t->model->data);
    mirror_read(t->optim->l.state);
    if (ranks_share(t->par->ranks, 0, t->model->data, t->model->bytes, e) < 0) return -1;
    return ranks_share(t->par->ranks, 0, t->optim->l.state, t->optim->l.bytes, e);
}

static bool waited(void *ctx) { return ranks_look(ctx); }

/* All ranks at once: their devices become one group. */
static int join_devices(struct train *t, const char *id, struct err *e) {
    struct ranks *r = t->par->ranks;
    const struct backend *b = t->device->b;
    backend_on_wait(waited, r);
    b->comm_close(t->device->self, true);
    int rc = ranks_agree(r, b->comm_open(t->device->self, id, ranks_rank(r), ranks_size(r), e), e);
    t->par->joined = rc == 0;
    return rc;
}
static void part_devices(struct train *t) {
    if (!t->device || !t->par) return;
    t->device->b->comm_close(t->device->self, true);
    t->par->joined = false;
    backend_on_wait(NULL, NULL);
}

static int tell(struct train *t, struct err *e) {
    char id[COMM_ID], hex[2 * COMM_ID + 1];
    bool join = t->device && !t->par->joined;
    if (join && t->device->b->comm_id(t->device->self, id, e) < 0) return -1;
    struct val *v = val_table(), *state = train_state(t);
    struct buf text = BUF_INIT;
    static const char *const own[] = {"edits", "ema", "swa", "swa_every", "averaged"}; /* of rank 0 alone */
    for (size_t i = 0; i < LEN(own); i++) val_unset(state, own[i]);
    val_set(v, "state", state);
    val_set(v, "model", val_copy(t->model->desc));
    val_set_int(v, "recompute", t->a.recompute);
    val_set_int(v, "threads", pool_threads(t->pool));
    val_set_num(v, "loss_unit", t->loss_unit);
    if (t->device) val_set_str(v, "kind", t->device->b->name), val_set_int(v, "device", t->device->info.index), val_set_bool(v, "tf32", t->device->tf32);
    if (join) hex_of(hex, id, COMM_ID), val_set_str(v, "join", hex);
    struct val *rows = part_meta(t->data, t->part);
    val_set(v, "rows", rows);
    json_write(&text, v);
    struct order o = {.what = ORDER_STATE, .json = (int64_t)text.len, .rows = !t->par->rows_told};
    int rc = order(t, &o, e);
    if (rc == 0) rc = ranks_share(t->par->ranks, 0, text.data, text.len, e);
    if (rc == 0 && o.rows) rc = share_rows(t->par->ranks, (struct part *)(uintptr_t)t->part, rows, e); /* only read here */
    if (rc == 0) rc = ranks_agree(t->par->ranks, 0, e);
    if (rc == 0 && join) rc = join_devices(t, id, e);
    if (rc == 0) rc = share_weights(t, e);
    buf_release(&text);
    val_free(v);
    if (rc < 0) return -1;
    t->par->rows_told = t->par->told = true;
    if (!t->device) prepare(t->par, t->step);
    return 0;
}

/* A device for each rank, from that of this one on. */
static int check_devices(const struct train *t, int64_t n, struct err *e) {
    char last[32];
    snprintf(last, sizeof last, "%s:%" PRId64, t->device->b->name, t->device->info.index + n - 1);
    if (backend_there(last, e) < 0) return err_wrap(e, "%" PRId64 " ranks from device %s on want a GPU each", n, t->device->name);
    if (optimiser_common(t->optim)->lazy)
        return err_code(e, ERR_USAGE, "several GPUs sum whole gradients, so rows of tables cannot be left alone: leave out lazy, or ranks at 1");
    return 0;
}

int parallel_start(struct train *t, struct err *e) {
    struct settings set;
    settings_get(&set);
    int64_t n = set.ranks;
    args_release(&settings_kind, &set);
    if (n < 2) return 0;
    if (t->device && check_devices(t, n, e) < 0) return -1;
    if (optimiser_searches(t->optim)) return err_code(e, ERR_USAGE, "a line search computes its batch again, which ranks cannot share: leave ranks at 1");
    bool again = t->a.resume && t->a.resume->type != VAL_NIL; /* what a step is then comes from the checkpoint */
    if (!again && t->a.accum == 1) {
        if (t->a.batch % n)
            return err_code(e, ERR_USAGE, "a batch of %" PRId64 " cannot be cut into %" PRId64 " equal parts: use %" PRId64 " or %" PRId64, t->a.batch, n,
                t->a.batch / n > 0 ? t->a.batch / n * n : n, (t->a.batch / n + 1) * n);
        t->a.batch /= n;
        t->a.batch_tokens = (t->a.batch_tokens + n - 1) / n;
        t->a.accum = n;
    }
    struct ranks *r = ranks_start((int)n, e);
    if (!r) return -1;
    t->par = X_NEW(struct parallel, 1);
    t->par->ranks = r;
    return 0;
}

void parallel_stop(struct train *t) {
    struct parallel *p = t->par;
    if (!p) return;
    part_devices(t);
    ranks_stop(p->ranks);
    for (int i = 0; i < p->n_rows; i++) free(p->rows[i].sum), free(p->rows[i].id), free(p->rows[i].slot);
    free(p->rows);
    free(p->piece);
    free(p->carry);
    free(p->in);
    free(p->in_id);
    free(p);
    t->par = NULL;
}

void parallel_changed(struct train *t) {
    if (t->par) t->par->told = false;
}

int parallel_begin(struct train *t, double lr, struct err *e) {
    struct order o = {.what = ORDER_STEP, .lr = lr, .loss_scale = t->a.loss_scale};
    t->par->onto = t->par->wait.there = t->par->wait.summed = false;
    if (!t->par->told && tell(t, e) < 0) return -1;
    return order(t, &o, e);
}

bool parallel_mine(const struct train *t, int64_t i) { return !t->par || i % ranks_size(t->par->ranks) == ranks_rank(t->par->ranks); }
bool parallel_lead(const struct train *t) { return ranks_rank(t->par->ranks) == 0; }
bool parallel_broken(const struct train *t) { return ranks_broken(t->par->ranks); }

int parallel_again(struct train *t, const char *why, struct err *e) {
    if (++t->par->restarts > AGAIN_MAX) return err_set(e, "%s; the ranks were started anew %d times in this run, which is enough", why, AGAIN_MAX);
    double from = clock_now();
    part_devices(t);
    if (ranks_again(t->par->ranks, e) < 0) return -1;
    t->par->told = t->par->rows_told = false;
    struct buf b = BUF_INIT;
    buf_addf(&b, "%s; step %" PRId64 " is done again with new ranks, nothing is lost (%.2f s)", why, t->n_step + 1, clock_now() - from);
    run_say(t->run, "notice", t->n_step, "warn", b.data);
    buf_release(&b);
    return 0;
}

/* ---- another rank ---- */

/* What STATE says of model, arguments and position; the numbers follow. */
static int take(struct train *t, const struct val *v, struct err *e) {
    const struct val *state = val_get(v, "state");
    if (t->model) {
        step_free(t->step);
        loader_free(t->loader);
        pool_free(t->pool);
        model_free(t->model);
        t->step = NULL, t->loader = NULL, t->pool = NULL;
    }
    t->part = &t->data->part[PART_TRAIN];
    t->a.recompute = (int)val_get_int(v, "recompute", 0);
    t->loss_unit = val_get_num(v, "loss_unit", 1);
    t->a.loss_scale = 1;
    for (int i = 0; i < t->part->n_col; i++) t->ragged |= t->part->col[i].type == COL_TOKENS;
    if (!(t->pool = pool_new((int)val_get_int(v, "threads", 1), e))) return -1;
    if (val_get(v, "device")) {
        char name[32];
        snprintf(name, sizeof name, "%.12s:%d", val_get_str(v, "kind", ""), (int)val_get_int(v, "device", 0) + ranks_rank(t->par->ranks));
        if (!(t->device = backend_open(name, e))) return -1;
        backend_tf32(t->device, val_get_bool(v, "tf32", false));
    }
    if (!(t->model = model_new(val_copy(val_get(v, "model")), 0, e))) return -1;
    model_ready_training(t->model);
    if (train_state_take(t, state, e) < 0) return -1;
    t->products.pinned = true;
    return train_build_step(t, e);
}

static int take_state(struct train *t, const struct order *o, struct err *e) {
    struct ranks *r = t->par->ranks;
    char *text = X_NEW(char, (size_t)o->json + 1);
    int rc = ranks_share(r, 0, text, (size_t)o->json, e);
    if (rc < 0) return -1;
    struct val *v = json_parse(text, (size_t)o->json, "the state of a run", e);
    rc = v ? 0 : -1;
    if (rc == 0 && o->rows) {
        if (t->data) dataset_unref((struct dataset *)(uintptr_t)t->data);
        t->data = rows_taken(r, val_get(v, "rows"), e);
        if (!t->data) rc = -1;
    }
    if (rc == 0) rc = take(t, v, e);
    const char *join = rc == 0 ? val_get_str(v, "join", NULL) : NULL;
    char id[COMM_ID];
    rc = ranks_agree(r, rc, e);
    if (rc == 0 && join && !hex_to(join, id, COMM_ID)) rc = err_set(e, "rank 0 does not say how the GPUs are joined");
    if (rc == 0 && join) rc = join_devices(t, id, e);
    if (rc == 0) rc = share_weights(t, e);
    if (rc == 0) mirror_wrote(t->model->data), mirror_wrote(t->optim->l.state), step_live(t->step, t->model);
    if (rc == 0 && !t->device) prepare(t->par, t->step);
    val_free(v);
    free(text);
    return rc;
}

static int take_step(struct train *t, const struct order *o, struct err *e) {
    struct group g;
    struct step_result r;
    const struct batch *b;
    t->a.loss_scale = o->loss_scale;
    t->par->onto = t->par->wait.there = t->par->wait.summed = false;
    if (train_group(t, o->lr, &g, &r, &b, e) < 0) return -1;
    if (r.ok) optimiser_applied(t->optim, o->lr);
    t->pos = g.last ? 0 : g.start + g.rows;
    if (g.last) t->epoch++;
    return 0;
}

int parallel_serve(int rank, int fd, struct err *e) {
    static struct parallel p;
    static struct train t = {.par = &p, .best_step = -1};
    struct order o;
    if (!(p.ranks = ranks_join(rank, fd, e))) return -1;
    for (;;) { /* the end comes from outside, or with the other ranks */
        if (ranks_share(p.ranks, 0, &o, sizeof o, e) < 0) return -1;
        if ((o.what == ORDER_STATE ? take_state(&t, &o, e) : take_step(&t, &o, e)) < 0) return -1;
    }
}
