/* Running a plan: memory once, then pointers and shapes prepared before the first step; a run touches no allocator. Shapes are
 * refreshed only when the extents changed. Engine thread; kernels run on the pool's threads. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/cpu/denormal.h"
#include "engine/cpu/memory.h"
#include "engine/cpu/pool.h"
#include "engine/graph/backend.h"
#include "engine/graph/derive.h"
#include "engine/graph/plan_priv.h"
#include "src/base/mem.h"
#include "src/base/thread.h"

static const enum arena_role owned[] = {ROLE_INPUT, ROLE_SCALAR, ROLE_CONST, ROLE_GRAD, ROLE_TEMP};

void *plan_data(const struct plan *p, tid t) {
    if (t < 0 || t >= p->g->n_tensor || p->place[t].root < 0) return NULL;
    int r = p->place[t].root;
    char *base = p->block[p->g->tensor[r].role];
    return base ? base + p->place[r].offset : NULL;
}

static void set_view(const struct plan *p, bool there, struct view *v, tid t) {
    *v = (struct view){0};
    if (t < 0) return;
    const struct tensor *x = &p->g->tensor[t];
    v->dtype = x->dtype, v->ndim = x->ndim, v->block = x->block, v->data = there ? device_at(p, t) : plan_data(p, t);
}

static void set_shape(struct view *v, const struct tensor *t, const struct extents *x) {
    v->len = 1;
    for (int i = 0; i < t->ndim; i++) v->len *= v->n[i] = dim_value(t->dim[i], x);
}

static void shapes(struct plan *p, const struct extents *now) {
    const struct graph *g = p->g;
    p->now = *now;
    p->now.n[AXIS_ONE] = 1, p->now.n[AXIS_R1] = now->n[AXIS_R] + 1;
    for (int s = 0; s < p->n_step; s++) {
        struct exec *x = &p->exec[s];
        for (int j = 0; j < x->n_in; j++)
            if (x->node->in[j] >= 0) set_shape(&x->in[j], &g->tensor[x->node->in[j]], &p->now);
        for (int j = 0; j < x->n_out; j++) set_shape(&x->out[j], &g->tensor[x->node->out[j]], &p->now);
    }
}

static void bind(struct plan *p) {
    for (int s = 0; s < p->n_step; s++) {
        struct exec *x = &p->exec[s];
        x->node = &p->g->node[p->step_node[s]]; /* the graph may have grown since */
        for (int j = 0; j < x->n_in; j++) set_view(p, device_has(p, s), &x->in[j], x->node->in[j]);
        for (int j = 0; j < x->n_out; j++) set_view(p, device_has(p, s), &x->out[j], x->node->out[j]);
        x->scratch = p->scratch_mem, x->products = p->g->products;
    }
    shapes(p, &p->now);
    p->bound = true;
}

/* Bytes the plan would take with `rows` rows and tokens in proportion, by the sizes of its tensors. */
static double share_of_rows(const struct plan *p) {
    double fixed = 0, moving = 0;
    for (int t = 0; t < p->g->n_tensor; t++) {
        const struct tensor *x = &p->g->tensor[t];
        bool moves = false;
        if (p->place[t].root != t || x->role == ROLE_PARAM || x->role == ROLE_STATE) continue;
        for (int i = 0; i < x->ndim; i++) moves |= x->dim[i].axis != AXIS_ONE;
        *(moves ? &moving : &fixed) += (double)tensor_bytes(x, &p->max);
    }
    return moving + fixed > 0 ? moving / (moving + fixed) : 0;
}

int plan_too_large(const struct plan *p, size_t total, size_t available, struct err *e) {
    int64_t rows = p->max.n[AXIS_R], fit = rows;
    double share = share_of_rows(p), mib = (double)total / 1048576;
    while (fit > 1) { /* halve until the system grants the rest as well */
        fit /= 2;
        double need = (double)total * (1 - share + share * (double)fit / (double)rows);
        void *t = need < (double)available ? malloc(p->away ? 1 : (size_t)need + 1) : NULL;
        bool ok = t != NULL;
        free(t);
        if (ok) return err_set(e, "this batch needs %.0f MiB, more than is there; a batch of %" PRId64 " instead of %" PRId64 " fits", mib, fit, rows);
    }
    return err_set(e, "the model needs %.0f MiB for one run, more than is there even with a batch of 1; use a smaller model", mib);
}

/* Numbers of the graph that never change, and the addresses of the steps. */
static int settle(struct plan *p) {
    for (int t = 0; t < p->g->n_tensor; t++)
        if (p->g->tensor[t].role == ROLE_CONST && p->place[t].root == t)
            view_put(&(struct view){.data = plan_data(p, t), .len = 1, .dtype = p->g->tensor[t].dtype}, 0, p->g->tensor[t].value);
    p->block[ROLE_PARAM] = p->o.param, p->block[ROLE_STATE] = p->o.state;
    bind(p);
    return 0;
}

int plan_alloc(struct plan *p, struct err *e) {
    if (p->bound) return 0;
    if (p->away) return device_alloc(p, e) < 0 ? -1 : settle(p);
    size_t total = 64 + p->scratch, huge = (size_t)2 << 20;
    for (size_t i = 0; i < LEN(owned); i++) total += p->bytes[owned[i]];
    if (total < huge || total < memory_available()) p->memory = mem_try(total >= huge ? (total + 63) / 64 * 64 : total, 1, "the working memory of a run", NULL);
    if (!p->memory) return plan_too_large(p, total, memory_available(), e);
    char *at = p->memory;
    for (size_t i = 0; i < LEN(owned); i++) p->block[owned[i]] = at, at += p->bytes[owned[i]];
    p->scratch_mem = at;
    return settle(p);
}

void plan_bind(struct plan *p, void *param, void *state) {
    p->o.param = p->block[ROLE_PARAM] = param;
    p->o.state = p->block[ROLE_STATE] = state;
    if (p->bound) bind(p);
}

void plan_scalar(struct plan *p, tid t, double v) {
    struct err e = {0};
    if (plan_alloc(p, &e) < 0) return; /* the run that follows reports it */
    void *at = plan_data(p, t);
    if (at) view_put(&(struct view){.data = at, .len = 1, .dtype = p->g->tensor[t].dtype}, 0, v);
}

double plan_spent(const struct plan *p, enum phase f) { return p->spent[f]; }

void plan_step(struct plan *p, uint64_t step) { p->step = step; }

static void run_tiles(void *ctx, int64_t lo, int64_t hi) {
    const struct exec *x = ctx;
    x->node->op->run(x, lo, hi);
}

static void run_tiles2(void *ctx, int64_t lo, int64_t hi) {
    const struct exec *x = ctx;
    x->node->op->run2(x, lo, hi);
}

void plan_step_run(struct plan *p, int s) {
    struct exec *x = &p->exec[s];
    const struct op *op = x->node->op;
    x->step = p->step;
    if (!p->fast[s]) {
        op->ref(x);
        return;
    }
    int64_t tiles = op->tiles ? op->tiles(x) : 1;
    if (op->begin) op->begin(x);
    if (tiles == 1) op->run(x, 0, 1);
    else if (tiles > 0) pool_run(p->o.pool, tiles, run_tiles, x);
    if (op->mid) op->mid(x);
    tiles = op->tiles2 ? op->tiles2(x) : 0;
    if (tiles == 1) op->run2(x, 0, 1);
    else if (tiles > 0) pool_run(p->o.pool, tiles, run_tiles2, x);
    if (op->finish) op->finish(x);
}

static const int32_t *offsets_of(const void *p, tid t) { return plan_data(p, t); }

static int check_extents(const struct plan *p, const struct extents *now, struct err *e) {
    for (int a = AXIS_R; a < AXIS_N; a++)
        if (a != AXIS_R1 && (now->n[a] < 0 || now->n[a] > p->max.n[a]))
            return err_set(e, "this batch has %" PRId64 " of %s, but the run was planned for at most %" PRId64, now->n[a], axis_names[a], p->max.n[a]);
    return 0;
}

void plan_sums(struct plan *p, const tid *t, int n) {
    free(p->sum);
    p->sum = X_NEW(tid, (size_t)n + 1);
    memcpy(p->sum, t, (size_t)n * sizeof *t);
    p->n_sum = n;
}

/* Memory and the shapes of a run. */
static int extents(struct plan *p, const struct extents *given, struct err *e) {
    struct extents own = *given, *now = &own;
    if (plan_alloc(p, e) < 0) return -1;
    derive_count(p->g, now, offsets_of, p);
    if (check_extents(p, now, e) < 0) return -1;
    for (int a = AXIS_R; a < AXIS_N; a++)
        if (a != AXIS_R1 && now->n[a] != p->now.n[a]) {
            shapes(p, now);
            break;
        }
    return 0;
}

int plan_run_summed(struct plan *p, const struct extents *now, enum phase from, enum phase to, struct err *e) {
    return extents(p, now, e) < 0 ? -1 : device_run(p, from, to, true, e);
}

int plan_run(struct plan *p, const struct extents *now, enum phase from, enum phase to, struct err *e) {
    if (extents(p, now, e) < 0) return -1;
    if (p->away) return device_run(p, from, to, false, e);
    mirror_read(p->block[ROLE_PARAM]);
    mirror_read(p->block[ROLE_STATE]);
    unsigned mode = denormal_off();
    enum phase in = from;
    double since = clock_now(); /* once a phase, not once a node */
    for (int s = 0; s < p->n_step; s++) {
        enum phase ph = p->exec[s].node->phase;
        if (ph < from || ph > to) continue;
        if (ph != in) {
            double now_s = clock_now();
            p->spent[in] += now_s - since;
            in = ph, since = now_s;
        }
        double t = p->o.profile ? clock_now() : 0;
        plan_step_run(p, s);
        if (p->o.profile) p->seconds[s] += clock_now() - t, p->calls[s]++;
    }
    p->spent[in] += clock_now() - since;
    denormal_back(mode);
    if (to >= PHASE_BUFFERS) mirror_wrote(p->block[ROLE_PARAM]), mirror_wrote(p->block[ROLE_STATE]);
    return 0;
}

/* The value of a step's output is still there if no later step wrote over its memory. */
static bool still_valid(const struct plan *p, int s, tid t) {
    const struct place *r = &p->place[p->place[t].root];
    enum arena_role role = p->g->tensor[p->place[t].root].role;
    size_t bytes = tensor_bytes(&p->g->tensor[t], &p->max);
    for (int i = s + 1; i < p->n_step; i++) {
        const struct node *n = &p->g->node[p->step_node[i]];
        for (int j = 0; j < n->n_out; j++) {
            int o = p->place[n->out[j]].root;
            if (p->g->tensor[o].role != role || (n->op->flags & OP_VIEW)) continue;
            size_t at = p->place[o].offset, len = tensor_bytes(&p->g->tensor[n->out[j]], &p->max);
            if (at < r->offset + bytes && r->offset < at + len) return false;
        }
    }
    return true;
}

static bool all_finite(const struct view *v) {
    for (int64_t i = 0; i < v->len; i++)
        if (!isfinite(view_get(v, i))) return false;
    return true;
}

const struct node *plan_first_nonfinite(struct plan *p, const struct extents *now) {
    struct err e = {0};
    if (!p->bound || (p->away && device_fetch(p, &e) < 0)) return NULL;
    struct extents own = *now;
    derive_count(p->g, &own, offsets_of, p);
    shapes(p, &own);
    for (int s = 0; s < p->n_step; s++) {
        const struct exec *x = &p->exec[s];
        for (int j = 0; j < x->n_out; j++)
            if (dtypes[x->out[j].dtype].is_float && x->out[j].data && still_valid(p, s, x->node->out[j]) && !all_finite(&x->out[j])) return x->node;
    }
    return NULL;
}

/* The cost of step s for extents `at`. */
static struct cost step_cost(const struct plan *p, int s, const struct extents *at) {
    const struct graph *g = p->g;
    const struct node *n = &g->node[p->step_node[s]];
    struct exec ex = p->exec[s];
    struct cost c = {0};
    for (int j = 0; j < n->n_in + n->n_out; j++) {
        tid t = j < n->n_in ? n->in[j] : n->out[j - n->n_in];
        struct view *v = j < n->n_in ? &ex.in[j] : &ex.out[j - n->n_in];
        if (t < 0) continue;
        v->dtype = g->tensor[t].dtype, v->ndim = g->tensor[t].ndim;
        if (!v->data) v->data = &ex; /* present, never read: costs go by shape */
        set_shape(v, &g->tensor[t], at);
        c.bytes += (double)tensor_bytes(&g->tensor[t], at);
    }
    ex.x = at;
    if (n->op->cost) n->op->cost(&ex, &c);
    return c;
}

size_t plan_profile(const struct plan *p, struct node_time *out, size_t n) {
    size_t k = 0;
    for (int s = 0; s < p->n_step && k < n; s++) {
        struct cost c = step_cost(p, s, &p->now);
        out[k++] = (struct node_time){&p->g->node[p->step_node[s]], p->seconds[s], p->calls[s], c.flop, c.macs};
    }
    return k;
}

void plan_cost(const struct plan *p, const struct extents *x, enum phase from, enum phase to, struct cost_sum *out) {
    struct extents at = *x;
    at.n[AXIS_ONE] = 1, at.n[AXIS_R1] = x->n[AXIS_R] + 1;
    derive_extents(p->g, &at, false);
    *out = (struct cost_sum){0};
    for (int s = 0; s < p->n_step; s++) {
        enum phase ph = p->g->node[p->step_node[s]].phase;
        if (ph < from || ph > to) continue;
        struct cost c = step_cost(p, s, &at);
        out->flop += c.flop, out->macs += c.macs, out->bytes += c.bytes;
    }
}
