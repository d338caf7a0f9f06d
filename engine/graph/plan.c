/* Planning: which nodes run, in which order, and where every tensor lives. Nodes nobody needs are left out; tensors that share
 * memory (views, in place, tied updates) form one root; roots that are live at different times overlap, placed largest first into
 * the smallest gap that fits. Offsets are for the largest extents. Nothing is allocated for numbers here: see exec.c. */
#include <stdlib.h>
#include <string.h>

#include "engine/graph/derive.h"
#include "engine/graph/plan_priv.h"
#include "src/base/mem.h"
#include "src/base/size.h"

#define ALIGN 64

static size_t root_bytes(const struct plan *p, tid t) { return size_up(tensor_bytes(&p->g->tensor[t], &p->max), ALIGN); }

/* Nodes that a kept tensor, a parameter's update or a needed node needs. */
static void mark_needed(const struct plan *p, bool *node) {
    const struct graph *g = p->g;
    bool *want = X_NEW(bool, (size_t)g->n_tensor + 1);
    for (int i = 0; i < p->o.n_keep; i++)
        if (p->o.keep[i] >= 0) want[p->o.keep[i]] = true;
    for (int i = g->n_node - 1; i >= 0; i--) {
        const struct node *n = &g->node[i];
        node[i] = (n->op->flags & OP_UPDATE) != 0;
        for (int j = 0; j < n->n_out; j++) node[i] |= want[n->out[j]];
        for (int j = 0; node[i] && j < n->n_in; j++)
            if (n->in[j] >= 0) want[n->in[j]] = true;
    }
    free(want);
}

/* Where node i stands: behind its latest producer of the same phase if it runs early, else where it was added. where: of the nodes before it. */
static int standing(const struct graph *g, int i, const int *where) {
    const struct node *n = &g->node[i];
    int at = -1;
    for (int j = 0; (n->op->flags & OP_EARLY) && j < n->n_in; j++) {
        int from = n->in[j] < 0 ? -1 : g->tensor[n->in[j]].node;
        if (from >= 0 && g->node[from].phase == n->phase && where[from] > at) at = where[from];
    }
    return at >= 0 ? at : i;
}

/* By phase, within a phase in the order added but for the early ones; a producer must come before its readers. */
static int order(struct plan *p, const bool *needed, struct err *e) {
    const struct graph *g = p->g;
    int *at = X_NEW(int, (size_t)g->n_node + 1);
    p->step_node = X_NEW(int, (size_t)g->n_node + 1);
    int *where = X_NEW(int, (size_t)g->n_node + 1), *next = X_NEW(int, (size_t)g->n_node + 1), *first = X_NEW(int, (size_t)g->n_node + 1);
    for (int i = g->n_node; i-- > 0;) first[i] = next[i] = -1;
    for (int i = 0; i < g->n_node; i++) where[i] = standing(g, i, where);
    for (int i = g->n_node; i-- > 0;) next[i] = first[where[i]], first[where[i]] = i; /* those that stand together, as added */
    for (int ph = PHASE_FORWARD; ph < PHASE_N; ph++)
        for (int w = 0; w < g->n_node; w++)
            for (int i = first[w]; i >= 0; i = next[i])
                if (needed[i] && g->node[i].phase == (enum phase)ph) at[i] = p->n_step, p->step_node[p->n_step++] = i;
    free(where);
    free(next);
    free(first);
    int rc = 0;
    for (int s = 0; s < p->n_step && rc == 0; s++) {
        const struct node *n = &g->node[p->step_node[s]];
        for (int j = 0; j < n->n_in && rc == 0; j++) {
            int from = n->in[j] < 0 ? -1 : g->tensor[n->in[j]].node;
            if (from >= 0 && at[from] >= s)
                rc = err_set(
                    e, "%s%s%s reads a tensor that %s makes in a later phase", n->op->kind.name, *n->path ? " at " : "", n->path, g->node[from].op->kind.name);
        }
    }
    free(at);
    return rc;
}

static bool same_shape(const struct tensor *a, const struct tensor *b) {
    if (a->ndim != b->ndim || a->dtype != b->dtype || a->block != b->block) return false;
    for (int i = 0; i < a->ndim; i++)
        if (!dim_same(a->dim[i], b->dim[i])) return false;
    return true;
}

/* May step s write out[0] over in[0]? Only if nothing reads that memory later or beside it. */
static bool in_place(const struct plan *p, int s, const struct node *n, const int *last_use) {
    const struct graph *g = p->g;
    if (p->o.no_reuse || !(n->op->flags & OP_INPLACE) || n->n_in < 1 || n->in[0] < 0 || n->n_out < 1) return false;
    int r = p->place[n->in[0]].root;
    if (g->tensor[r].role != ROLE_TEMP || p->place[r].pinned || last_use[r] > s) return false;
    if (!same_shape(&g->tensor[n->in[0]], &g->tensor[n->out[0]]) || !same_shape(&g->tensor[r], &g->tensor[n->out[0]])) return false;
    if (g->tensor[n->out[0]].role != ROLE_TEMP) return false;
    for (int j = 1; j < n->n_in; j++)
        if (n->in[j] >= 0 && p->place[n->in[j]].root == r) return false;
    return true;
}

/* Views and tied outputs are known without liveness; they come first so that a root's last use counts all its names. */
static void share_fixed(struct plan *p) {
    const struct graph *g = p->g;
    for (int t = 0; t < g->n_tensor; t++) p->place[t] = (struct place){.root = g->tensor[t].node < 0 ? t : -1, .first = -1, .last = -1};
    for (int s = 0; s < p->n_step; s++) {
        const struct node *n = &g->node[p->step_node[s]];
        for (int j = 0; j < n->n_out; j++) {
            bool tied = (n->op->flags & OP_TIED) && j < n->n_in && n->in[j] >= 0;
            bool view = (n->op->flags & OP_VIEW) && j == 0 && n->n_in > 0 && n->in[0] >= 0;
            p->place[n->out[j]].root = tied || view ? p->place[n->in[j]].root : n->out[j];
        }
    }
}

static void grow_use(int *last, const struct plan *p, tid t, int s) {
    int r = p->place[t].root;
    if (last[r] < s) last[r] = s;
}

static void share(struct plan *p) {
    const struct graph *g = p->g;
    int *last = X_NEW(int, (size_t)g->n_tensor + 1);
    share_fixed(p);
    for (int t = 0; t < g->n_tensor; t++) last[t] = -1;
    for (int s = 0; s < p->n_step; s++) {
        const struct node *n = &g->node[p->step_node[s]];
        for (int j = 0; j < n->n_in; j++)
            if (n->in[j] >= 0) grow_use(last, p, n->in[j], s);
        for (int j = 0; j < n->n_out; j++) grow_use(last, p, n->out[j], s);
    }
    for (int i = 0; i < p->o.n_keep; i++)
        if (p->o.keep[i] >= 0) p->place[p->place[p->o.keep[i]].root].pinned = true;
    for (int t = 0; t < g->n_tensor; t++) /* all names of a root may be GRAD: then the root is */
        if (p->place[t].root >= 0 && g->tensor[t].role == ROLE_GRAD) p->place[p->place[t].root].pinned = true;
    for (int s = 0; s < p->n_step; s++) {
        const struct node *n = &g->node[p->step_node[s]];
        if (!(n->op->flags & (OP_VIEW | OP_TIED)) && in_place(p, s, n, last)) {
            int from = n->out[0], to = p->place[n->in[0]].root;
            if (p->place[from].pinned) p->place[to].pinned = true;
            if (last[to] < last[from]) last[to] = last[from];
            for (int t = 0; t < g->n_tensor; t++)
                if (p->place[t].root == from) p->place[t].root = to;
        }
        for (int j = 0; j < n->n_out; j++) {
            struct place *r = &p->place[p->place[n->out[j]].root];
            if (r->first < 0) r->first = s;
        }
    }
    for (int t = 0; t < g->n_tensor; t++) p->place[t].last = p->place[t].pinned || p->o.no_reuse ? p->n_step : last[t];
    free(last);
}

struct item {
    tid t;
    size_t bytes;
    bool front; /* kept by a plan on a device: they come back in one piece */
};
static int larger_first(const void *a, const void *b) {
    const struct item *x = a, *y = b;
    if (x->front != y->front) return x->front ? -1 : 1;
    return x->bytes != y->bytes ? (x->bytes < y->bytes ? 1 : -1) : x->t - y->t;
}
static _Thread_local const struct plan *sort_plan; /* qsort has no context; set and used inside one call of place_temp */
static int by_offset(const void *a, const void *b) {
    size_t x = sort_plan->place[*(const tid *)a].offset, y = sort_plan->place[*(const tid *)b].offset;
    return x < y ? -1 : x > y;
}

/* The smallest gap below the roots already placed that overlap in time. busy: scratch array, sorted by offset here. */
static size_t best_gap(const tid *busy, int n, const struct plan *p, size_t bytes) {
    size_t end = 0, best = SIZE_MAX, at = 0;
    for (int i = 0; i < n; i++) {
        size_t off = p->place[busy[i]].offset;
        if (off > end && off - end >= bytes && off - end < best) best = off - end, at = end;
        size_t stop = off + root_bytes(p, busy[i]);
        if (stop > end) end = stop;
    }
    return best == SIZE_MAX ? end : at;
}

static void place_temp(struct plan *p) {
    const struct graph *g = p->g;
    struct item *item = X_NEW(struct item, (size_t)g->n_tensor + 1);
    tid *busy = X_NEW(tid, (size_t)g->n_tensor + 1);
    int n = 0;
    for (int t = 0; t < g->n_tensor; t++)
        if (p->place[t].root == t && g->tensor[t].role == ROLE_TEMP && p->place[t].first >= 0)
            item[n++] = (struct item){t, root_bytes(p, t), p->away && p->place[t].pinned};
    qsort(item, (size_t)n, sizeof *item, larger_first);
    for (int i = 0; i < n; i++) {
        struct place *a = &p->place[item[i].t];
        int k = 0;
        for (int j = 0; j < i; j++) {
            const struct place *b = &p->place[item[j].t];
            if (b->first <= a->last && a->first <= b->last && item[j].bytes) busy[k++] = item[j].t;
        }
        sort_plan = p;
        qsort(busy, (size_t)k, sizeof *busy, by_offset);
        a->offset = best_gap(busy, k, p, item[i].bytes);
        if (a->offset + item[i].bytes > p->bytes[ROLE_TEMP]) p->bytes[ROLE_TEMP] = a->offset + item[i].bytes;
    }
    free(item);
    free(busy);
}

static void place_rest(struct plan *p) {
    const struct graph *g = p->g;
    for (int t = 0; t < g->n_tensor; t++) {
        enum arena_role r = g->tensor[t].role;
        if (p->place[t].root != t || r == ROLE_TEMP) continue;
        if (r == ROLE_PARAM || r == ROLE_STATE) {
            size_t end = g->tensor[t].offset + root_bytes(p, t);
            p->place[t].offset = g->tensor[t].offset;
            if (end > p->bytes[r]) p->bytes[r] = end;
        } else {
            p->place[t].offset = p->bytes[r];
            p->bytes[r] += root_bytes(p, t);
        }
    }
}

/* Fast kernels are written for f32 and integers, some for 16-bit floats at some places; the rest goes through ref. */
static bool fast_dtypes(const struct graph *g, const struct node *n) {
    for (int j = 0; j < n->n_in + n->n_out; j++) {
        tid t = j < n->n_in ? n->in[j] : n->out[j - n->n_in];
        enum dtype d = t < 0 ? DT_F32 : g->tensor[t].dtype;
        bool half = j < n->n_in ? n->half_in >> j & 1 : n->half_out >> (j - n->n_in) & 1;
        if (d == DT_F64 || ((d == DT_BF16 || d == DT_F16) && !half)) return false;
    }
    return true;
}

static void steps(struct plan *p) {
    p->exec = X_NEW(struct exec, (size_t)p->n_step + 1);
    p->fast = X_NEW(bool, (size_t)p->n_step + 1);
    p->seconds = X_NEW(double, (size_t)p->n_step + 1);
    p->calls = X_NEW(int64_t, (size_t)p->n_step + 1);
    for (int s = 0; s < p->n_step; s++) {
        const struct node *n = &p->g->node[p->step_node[s]];
        size_t scratch = n->scratch_fixed + (n->scratch.k > 0 ? (size_t)dim_value(n->scratch, &p->max) : 0);
        p->exec[s] = (struct exec){.node = n, .attr = n->attr, .n_in = n->n_in, .n_out = n->n_out, .stream = n->stream, .x = &p->now, .scratch_bytes = scratch};
        p->fast[s] = !p->o.reference && n->op->run && fast_dtypes(p->g, n);
        if (scratch > p->scratch) p->scratch = scratch;
    }
    p->scratch = size_up(p->scratch, ALIGN);
}

/* Total of every tensor once, so that no later sum of sizes can overflow. */
static int check_sizes(const struct plan *p, struct err *e) {
    const struct graph *g = p->g;
    int64_t all = 0;
    for (int t = 0; t < g->n_tensor; t++) {
        int64_t n = 8;
        bool ok = true;
        for (int i = 0; i < g->tensor[t].ndim; i++) {
            int64_t d = dim_value(g->tensor[t].dim[i], &p->max);
            ok = ok && d >= 0 && size_mul_i64(n, d, &n);
        }
        if (ok && size_add_i64(all, n, &all)) ok = size_add_i64(all, ALIGN, &all);
        else ok = false;
        if (!ok || all > INT64_MAX / 4) return err_set(e, "the model needs more memory than can be counted; make its layers or the batch smaller");
    }
    return 0;
}

struct plan *plan_new(struct graph *g, const struct extents *max, const struct plan_options *o, struct err *e) {
    struct plan *p = X_NEW(struct plan, 1);
    bool *needed = X_NEW(bool, (size_t)g->n_node + 1);
    tid *keep = X_NEW(tid, (size_t)o->n_keep + 1);
    if (o->n_keep) memcpy(keep, o->keep, (size_t)o->n_keep * sizeof *keep);
    p->g = g, p->max = p->now = *max, p->o = *o, p->o.keep = keep;
    p->max.n[AXIS_ONE] = 1, p->max.n[AXIS_R1] = p->max.n[AXIS_R] + 1;
    derive_extents(g, &p->max, true);
    p->now = p->max;
    p->place = X_NEW(struct place, (size_t)g->n_tensor + 1);
    mark_needed(p, needed);
    int rc = check_sizes(p, e);
    if (rc == 0) rc = order(p, needed, e);
    free(needed);
    if (rc < 0) {
        plan_free(p);
        return NULL;
    }
    if (p->o.device && !p->o.reference) device_new(p);
    share(p);
    place_temp(p);
    place_rest(p);
    steps(p);
    return p;
}

size_t plan_bytes(const struct plan *p, enum arena_role role) { return p->bytes[role] + (role == ROLE_TEMP ? p->scratch : 0); }

void plan_free(struct plan *p) {
    if (!p) return;
    device_free(p);
    free((void *)(uintptr_t)p->o.keep);
    free(p->sum);
    free(p->step_node);
    free(p->exec);
    free(p->fast);
    free(p->seconds);
    free(p->calls);
    free(p->place);
    free(p->memory);
    free(p);
}
