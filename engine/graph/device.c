/* Running a plan on a device. Its blocks are laid out there exactly as on the host, so a tensor has one offset and two addresses. What goes up is queued
 * before the steps (inputs, live numbers, the number of the step), what is kept comes back behind them, then one sync. A step the device has no kernel for
 * runs on the CPU between copies. Weights and optimiser states are mirrors (backend.h). A run with extents seen before is replayed as a whole, or, where
 * several devices sum gradients meanwhile, in the parts between the sums, which are queued each time. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/graph/backend.h"
#include "engine/graph/buckets.h"
#include "engine/graph/choose.h"
#include "engine/graph/plan_priv.h"
#include "engine/graph/tuned.h"
#include "src/base/log.h"
#include "src/base/mem.h"
#include "src/base/size.h"
#include "src/base/thread.h"

#define ALIGN 256
#define WHOLE ((size_t)1 << 20) /* inputs up to this size go up in one piece */
#define PIN_MAX ((size_t)64 << 20) /* of a block on the host: locked pages are taken from everybody else */
#define RUNS 16 /* kept runs of a plan */
#define AHEAD_LEAST ((size_t)32 << 10) /* bytes of inputs: less is up sooner than it is waited for */

static const enum arena_role up[] = {ROLE_SCALAR, ROLE_CONST, ROLE_INPUT}, down[] = {ROLE_TEMP, ROLE_GRAD};

struct kept {
    struct extents x;
    enum phase from, to;
    bool summed, there; /* there: inputs that went ahead do not go up */
    int seen; /* runs so far */
    uint64_t used;
    void *graph[BUCKETS_MAX + 1]; /* by part; NULL: not kept */
    bool never; /* it cannot be */
};
struct part { /* of a run: these steps */
    int lo, hi;
    bool first, last; /* what goes up comes before them, what is kept comes back behind them */
};
struct ahead { /* inputs of the run after this one */
    char *there, *host; /* as ROLE_INPUT is laid out; NULL: not made */
    bool never; /* there is no room */
    tid *t; /* those that were written for it, n of them */
    int n, known; /* known: how many go ahead, as the first time said; 0: not known */
    struct extents x;
    uint64_t number; /* of what is on its way; 0: nothing */
    bool take, has; /* the next run takes it; the device has these inputs, the host does not */
};
struct away {
    struct backend_device *d; /* borrowed */
    bool *here; /* per step: the device runs it */
    int n_cpu; /* steps left to the CPU */
    char *block[ROLE_N], *memory; /* on the device */
    char *scratch;
    char *pinned; /* host memory of what goes up and comes back */
    char *rest; /* host memory of everything else, where the CPU has steps or all is looked at */
    uint64_t *word, *word_there; /* the number of the step */
    size_t up_bytes, kept_end; /* bytes that go up in front of the inputs, with them; end of the kept tensors in ROLE_TEMP */
    struct kept run[RUNS];
    uint64_t clock;
    struct buckets *buckets; /* of p->sum; NULL: not cut yet */
    struct ahead ahead;
};

static size_t root_bytes(const struct plan *p, tid t) { return size_up(tensor_bytes(&p->g->tensor[t], &p->max), 64); }

bool device_has(const struct plan *p, int s) { return p->away && p->away->here[s]; }

void *device_at(const struct plan *p, tid t) {
    if (t < 0 || p->place[t].root < 0) return NULL;
    int r = p->place[t].root;
    char *base = p->away->block[p->g->tensor[r].role];
    return base ? base + p->place[r].offset : NULL;
}

/* Sixteen-bit storage was decided for the CPU's kernels; a node whose types the device does not take there stays on the CPU. */
static bool takes(struct away *a, const struct graph *g, const struct node *n) {
    struct takes takes = {0};
    if (n->op->flags & OP_VIEW) return true;
    if (!a->d->b->supports(a->d->self, n, &takes)) return false;
    for (int j = 0; j < n->n_in + n->n_out; j++) {
        tid t = j < n->n_in ? n->in[j] : n->out[j - n->n_in];
        if (t < 0) continue;
        enum dtype d = g->tensor[t].dtype;
        bool half = j < n->n_in ? takes.half_in >> j & 1 : takes.half_out >> (j - n->n_in) & 1;
        if (d == DT_F64 || g->tensor[t].block || ((d == DT_BF16 || d == DT_F16) && !half)) return false;
    }
    return true;
}

/* Which ops are left to the CPU, once for each list of them. */
static void say_left(const struct plan *p) {
    static char said[400]; /* engine thread only */
    char names[400] = "";
    for (int s = 0; s < p->n_step; s++) {
        const char *op = p->g->node[p->step_node[s]].op->kind.name;
        size_t n = strlen(names);
        if (p->away->here[s] || strstr(names, op) || n + strlen(op) + 3 > sizeof names) continue;
        snprintf(names + n, sizeof names - n, "%s%s", n ? ", " : "", op);
    }
    if (!names[0] || strcmp(names, said) == 0) return;
    memcpy(said, names, sizeof said);
    log_write(LOG_WARN, "%s has no kernel for %d of %d steps, the CPU runs them: %s", p->away->d->name, p->away->n_cpu, p->n_step, names);
}

void backend_half(struct backend_device *d, struct graph *g) {
    for (int i = 0; i < g->n_node && g->half != DT_F32; i++) {
        struct node *n = &g->node[i];
        struct takes t = {0};
        if (!d->b->supports(d->self, n, &t)) continue;
        n->half_in = t.half_in, n->half_out = t.half_out;
        n->half = t.rounds ? g->half : DT_F32;
        n->still = !g->training;
        n->fp8 = t.fp8 && g->fp8 && n->n_in > 1 && g->tensor[n->in[1]].role == ROLE_PARAM;
    }
}

void device_new(struct plan *p) {
    struct away *a = p->away = X_NEW(struct away, 1);
    a->d = p->o.device;
    a->here = X_NEW(bool, (size_t)p->n_step + 1);
    for (int s = 0; s < p->n_step; s++) {
        a->here[s] = takes(a, p->g, &p->g->node[p->step_node[s]]);
        if (!a->here[s]) a->n_cpu++;
    }
    if (a->n_cpu) say_left(p);
}

static void forget(struct away *a, struct kept *k) {
    for (int i = 0; i <= BUCKETS_MAX; i++)
        if (k->graph[i]) a->d->b->forget(a->d->self, k->graph[i]);
    *k = (struct kept){0};
}

void device_free(struct plan *p) {
    struct away *a = p->away;
    if (!a) return;
    const struct backend *b = a->d->b;
    for (int i = 0; i < RUNS; i++) forget(a, &a->run[i]);
    buckets_free(a->buckets);
    if (a->ahead.there) b->free(a->d->self, a->ahead.there);
    if (a->ahead.host) b->unpin(a->d->self, a->ahead.host);
    free(a->ahead.t);
    if (a->memory) b->free(a->d->self, a->memory);
    if (a->pinned) b->unpin(a->d->self, a->pinned);
    free(a->rest);
    free(a->here);
    free(a);
    p->away = NULL;
}

/* Kept tensors lie at the front of ROLE_TEMP (see place_temp). */
static size_t kept_end(const struct plan *p) {
    size_t end = 0;
    for (int i = 0; i < p->o.n_keep; i++) {
        int r = p->o.keep[i] < 0 ? -1 : p->place[p->o.keep[i]].root;
        if (r >= 0 && p->g->tensor[r].role == ROLE_TEMP && p->place[r].offset + root_bytes(p, r) > end) end = p->place[r].offset + root_bytes(p, r);
    }
    return end;
}

/* The host's side: what goes up and comes back is pinned; the rest is there only if somebody needs it. */
static int host_side(struct plan *p, struct err *e) {
    struct away *a = p->away;
    bool all = a->n_cpu > 0 || p->o.no_reuse;
    size_t temp = all ? p->bytes[ROLE_TEMP] : a->kept_end, rest = 64 + p->scratch, n = ALIGN;
    bool pin_temp = temp <= PIN_MAX;
    for (size_t i = 0; i < LEN(up); i++) n += size_up(p->bytes[up[i]], ALIGN);
    n += size_up(p->bytes[ROLE_GRAD], ALIGN) * (p->bytes[ROLE_GRAD] <= PIN_MAX);
    if (!pin_temp) rest += size_up(temp, 64);
    if (p->bytes[ROLE_GRAD] > PIN_MAX) rest += size_up(p->bytes[ROLE_GRAD], 64);
    if (!(a->pinned = a->d->b->pin(a->d->self, n + (pin_temp ? size_up(temp, ALIGN) : 0), e))) return -1;
    if (!(a->rest = mem_try(rest, 1, "the host's part of a run on the device", e))) return -1;
    char *at = a->pinned, *far = a->rest;
    a->word = (uint64_t *)(void *)at, at += ALIGN;
    for (size_t i = 0; i < LEN(up); i++) p->block[up[i]] = at, at += size_up(p->bytes[up[i]], ALIGN);
    for (size_t i = 0; i < LEN(down); i++) {
        size_t bytes = down[i] == ROLE_TEMP ? temp : p->bytes[down[i]];
        bool pinned = bytes <= PIN_MAX;
        p->block[down[i]] = pinned ? at : far;
        *(pinned ? &at : &far) += size_up(bytes, pinned ? ALIGN : 64) * (pinned || bytes);
    }
    p->scratch_mem = p->scratch ? far : NULL;
    return 0;
}

int device_alloc(struct plan *p, struct err *e) {
    struct away *a = p->away;
    if (a->memory) return 0;
    a->kept_end = kept_end(p);
    size_t total = ALIGN + size_up(p->scratch, ALIGN);
    for (size_t i = 0; i < LEN(up); i++) total += size_up(p->bytes[up[i]], ALIGN);
    for (size_t i = 0; i < LEN(down); i++) total += size_up(p->bytes[down[i]], ALIGN);
    struct err why = {0};
    if (!(a->memory = a->d->b->alloc(a->d->self, total, &why))) return plan_too_large(p, total, a->d->b->available(a->d->self), e);
    if (host_side(p, e) < 0) return -1;
    char *at = a->memory;
    a->word_there = (uint64_t *)(void *)at, at += ALIGN;
    for (size_t i = 0; i < LEN(up); i++) a->block[up[i]] = at, at += size_up(p->bytes[up[i]], ALIGN);
    a->up_bytes = ALIGN + size_up(p->bytes[ROLE_SCALAR], ALIGN) + size_up(p->bytes[ROLE_CONST], ALIGN);
    for (size_t i = 0; i < LEN(down); i++) a->block[down[i]] = at, at += size_up(p->bytes[down[i]], ALIGN);
    a->scratch = p->scratch ? at : NULL;
    return a->d->b->fill(a->d->self, a->memory, 0, total, e);
}

/* ---- running ---- */

static bool goes_ahead(const struct ahead *q, tid t) {
    for (int i = 0; i < q->known; i++)
        if (q->t[i] == t) return true;
    return false;
}

static int send(struct plan *p, struct err *e) {
    struct away *a = p->away;
    const struct backend *b = a->d->b;
    size_t inputs = size_up(p->bytes[ROLE_INPUT], ALIGN);
    bool whole = inputs <= WHOLE && !a->ahead.has;
    if (b->upload(a->d->self, a->memory, a->pinned, a->up_bytes + (whole ? inputs : 0), e) < 0) return -1;
    for (int t = 0; t < p->g->n_tensor && !whole; t++) {
        const struct tensor *x = &p->g->tensor[t];
        size_t n = x->role == ROLE_INPUT && p->place[t].root == t ? tensor_bytes(x, &p->now) : 0;
        if (n && a->ahead.has && goes_ahead(&a->ahead, t)) continue;
        if (n && b->upload(a->d->self, device_at(p, t), plan_data(p, t), n, e) < 0) return -1;
    }
    return 0;
}

/* ---- inputs that go up while the run before theirs runs */

void plan_meanwhile(struct plan *p, void (*fn)(void *ctx), void *ctx) { p->meanwhile = fn, p->meanwhile_ctx = ctx; }

void *plan_ahead(struct plan *p, tid t) {
    struct away *a = p->away;
    struct ahead *q = a ? &a->ahead : NULL;
    if (!q || t < 0 || p->place[t].root != t || p->g->tensor[t].role != ROLE_INPUT) return NULL;
    if (p->bytes[ROLE_INPUT] < AHEAD_LEAST || a->n_cpu > 0 || p->o.no_reuse || p->o.profile || q->never) return NULL;
    if (!q->t) {
        struct err e = {0};
        q->t = X_NEW(tid, (size_t)p->g->n_tensor + 1);
        q->there = a->d->b->alloc(a->d->self, p->bytes[ROLE_INPUT], &e);
        q->host = q->there ? a->d->b->pin(a->d->self, p->bytes[ROLE_INPUT], &e) : NULL;
        q->never = !q->host;
        if (q->never) return NULL;
    }
    if (q->number) q->number = 0, q->n = 0; /* written anew */
    if (q->known && (q->n >= q->known || q->t[q->n] != t)) { /* not those of the first time */
        q->never = true;
        return NULL;
    }
    q->t[q->n++] = t;
    return q->host + p->place[t].offset;
}

void plan_ahead_send(struct plan *p, const struct extents *now, uint64_t number) {
    struct away *a = p->away;
    struct ahead *q = a ? &a->ahead : NULL;
    struct err e = {0};
    if (!q || q->never || q->n == 0 || (q->known && q->n != q->known)) return;
    q->known = q->n;
    q->x = *now;
    q->x.n[AXIS_ONE] = 1, q->x.n[AXIS_R1] = now->n[AXIS_R] + 1;
    int rc = 0;
    for (int i = 0; i < q->n && rc == 0; i++) {
        size_t at = p->place[q->t[i]].offset, n = tensor_bytes(&p->g->tensor[q->t[i]], &q->x);
        if (n) rc = a->d->b->ahead(a->d->self, q->there + at, q->host + at, n, &e);
    }
    q->number = rc == 0 ? number : 0;
    q->n = 0;
    if (rc < 0) q->never = true; /* the next run will say what is wrong */
}

bool plan_ahead_is(struct plan *p, uint64_t number) {
    struct ahead *q = p->away ? &p->away->ahead : NULL;
    if (!q) return false;
    q->has = q->take = number && q->number == number && !q->never;
    q->number = 0, q->n = 0;
    return q->take;
}

static int take_ahead(struct plan *p, struct err *e) {
    struct away *a = p->away;
    struct ahead *q = &a->ahead;
    if (!q->take) return 0;
    q->take = false;
    void **to = X_NEW(void *, (size_t)q->known);
    const void **from = X_NEW(const void *, (size_t)q->known);
    size_t *bytes = X_NEW(size_t, (size_t)q->known);
    int n = 0;
    for (int i = 0; i < q->known; i++) {
        size_t at = p->place[q->t[i]].offset, len = tensor_bytes(&p->g->tensor[q->t[i]], &q->x);
        if (len) to[n] = a->block[ROLE_INPUT] + at, from[n] = q->there + at, bytes[n++] = len;
    }
    int rc = a->d->b->take(a->d->self, n, to, from, bytes, e);
    free(to);
    free(from);
    free(bytes);
    return rc;
}

static int fetch(struct plan *p, struct err *e) {
    struct away *a = p->away;
    const struct backend *b = a->d->b;
    bool whole = a->kept_end <= WHOLE;
    if (whole && a->kept_end && b->download(a->d->self, p->block[ROLE_TEMP], a->block[ROLE_TEMP], a->kept_end, e) < 0) return -1;
    for (int i = 0; i < p->o.n_keep; i++) {
        int r = p->o.keep[i] < 0 ? -1 : p->place[p->o.keep[i]].root;
        enum arena_role role = r < 0 ? ROLE_N : p->g->tensor[r].role;
        if (role != ROLE_GRAD && (role != ROLE_TEMP || whole)) continue;
        size_t n = tensor_bytes(&p->g->tensor[p->o.keep[i]], &p->now);
        if (n && b->download(a->d->self, plan_data(p, p->o.keep[i]), device_at(p, p->o.keep[i]), n, e) < 0) return -1;
    }
    return 0;
}

/* A step on the CPU: its inputs come down, its outputs go up. */
static int cpu_step(struct plan *p, int s, struct err *e) {
    struct away *a = p->away;
    const struct backend *b = a->d->b;
    const struct node *n = p->exec[s].node;
    for (int j = 0; j < n->n_in; j++) {
        size_t bytes = n->in[j] < 0 ? 0 : tensor_bytes(&p->g->tensor[n->in[j]], &p->now);
        if (bytes && b->download(a->d->self, plan_data(p, n->in[j]), device_at(p, n->in[j]), bytes, e) < 0) return -1;
    }
    for (int j = 0; j < n->n_out && !(n->op->flags & OP_TIED); j++) { /* what it leaves alone must not be lost */
        size_t bytes = tensor_bytes(&p->g->tensor[n->out[j]], &p->now);
        if (bytes && b->download(a->d->self, plan_data(p, n->out[j]), device_at(p, n->out[j]), bytes, e) < 0) return -1;
    }
    if (b->sync(a->d->self, e) < 0) return -1;
    plan_step_run(p, s);
    for (int j = 0; j < n->n_out; j++) {
        size_t bytes = tensor_bytes(&p->g->tensor[n->out[j]], &p->now);
        if (bytes && b->upload(a->d->self, device_at(p, n->out[j]), plan_data(p, n->out[j]), bytes, e) < 0) return -1;
    }
    return b->sync(a->d->self, e);
}

static int steps(struct plan *p, int lo, int hi, enum phase from, enum phase to, struct err *e) {
    struct away *a = p->away;
    for (int s = lo; s < hi; s++) {
        struct exec *x = &p->exec[s];
        if (x->node->phase < from || x->node->phase > to || (x->node->op->flags & OP_VIEW)) continue;
        double t = p->o.profile ? clock_now() : 0;
        x->step = p->step, x->scratch = a->here[s] ? a->scratch : p->scratch_mem;
        int rc = a->here[s] ? a->d->b->run(a->d->self, x, a->word_there, e) : cpu_step(p, s, e);
        if (rc == 0 && p->o.profile) rc = a->d->b->sync(a->d->self, e);
        if (rc < 0) return err_wrap(e, "%s%s%s on %s", x->node->op->kind.name, *x->node->path ? " at " : "", x->node->path, a->d->name);
        if (p->o.profile) p->seconds[s] += clock_now() - t, p->calls[s]++;
    }
    return 0;
}

static bool same_extents(const struct extents *a, const struct extents *b) {
    for (int i = 0; i < AXIS_N; i++)
        if (a->n[i] != b->n[i]) return false;
    return true;
}

/* The entry of these extents and phases; the one not used for longest gives way to a new one. */
static struct kept *entry(struct away *a, const struct kept *want) {
    struct kept *old = &a->run[0];
    for (int i = 0; i < RUNS; i++) {
        struct kept *k = &a->run[i];
        if (k->seen && k->from == want->from && k->to == want->to && k->summed == want->summed && k->there == want->there && same_extents(&k->x, &want->x))
            return k;
        if (k->used < old->used) old = k;
    }
    forget(a, old);
    *old = *want;
    return old;
}

static bool cpu_between(const struct plan *p, enum phase from, enum phase to) {
    for (int s = 0; s < p->n_step && p->away->n_cpu; s++)
        if (!p->away->here[s] && p->exec[s].node->phase >= from && p->exec[s].node->phase <= to) return true;
    return false;
}

static int queue(struct plan *p, const struct kept *k, const struct part *q, struct err *e) {
    if (q->first && send(p, e) < 0) return -1;
    return steps(p, q->lo, q->hi, k->from, k->to, e) < 0 || (q->last && fetch(p, e) < 0) ? -1 : 0;
}

/* What the steps choose by measuring, before the first run of these extents. */
static int prepare(struct plan *p, enum phase from, enum phase to, struct err *e) {
    const struct away *a = p->away;
    if (send(p, e) < 0) return -1;
    for (int s = 0; s < p->n_step; s++) {
        const struct exec *x = &p->exec[s];
        if (!a->here[s] || x->node->phase < from || x->node->phase > to || (x->node->op->flags & OP_VIEW)) continue;
        if (a->d->b->prepare(a->d->self, x, e) < 0)
            return err_wrap(e, "%s%s%s on %s", x->node->op->kind.name, *x->node->path ? " at " : "", x->node->path, a->d->name);
    }
    tuned_save();
    return 0;
}

/* Seen once: run. Seen again: kept while it is queued, then replayed, as ever after. */
static int queue_or_replay(struct plan *p, struct kept *k, int i, const struct part *q, struct err *e) {
    struct away *a = p->away;
    const struct backend *b = a->d->b;
    if (k->graph[i]) return b->replay(a->d->self, k->graph[i], e);
    if (k->seen < 2 || k->never) return queue(p, k, q, e);
    struct err why = {0};
    int rc = b->begin(a->d->self, &why);
    if (rc == 0) {
        rc = queue(p, k, q, &why);
        k->graph[i] = b->end(a->d->self, rc == 0 ? &why : NULL);
    }
    if (k->graph[i] && rc == 0) return b->replay(a->d->self, k->graph[i], e);
    k->never = true;
    return queue(p, k, q, e);
}

static int run_whole(struct plan *p, struct kept *k, struct err *e) {
    const struct part all = {0, p->n_step, true, true};
    return queue_or_replay(p, k, 0, &all, e);
}

/* Between the parts that make them final, the buckets are given to the sums. */
static int run_summed(struct plan *p, struct kept *k, struct err *e) {
    struct away *a = p->away;
    const struct buckets *s = a->buckets;
    int rc = 0;
    for (int i = 0; i <= s->n && rc == 0; i++) {
        struct part q = {i ? s->bucket[i - 1].step + 1 : 0, i < s->n ? s->bucket[i].step + 1 : p->n_step, i == 0, false};
        rc = queue_or_replay(p, k, i, &q, e);
        if (rc == 0 && i < s->n) rc = a->d->b->comm_sum(a->d->self, s->at + s->bucket[i].first, s->len + s->bucket[i].first, s->bucket[i].n, e);
    }
    return rc == 0 ? a->d->b->comm_join(a->d->self, e) : rc;
}

static void cut(struct plan *p, enum phase to) {
    if (!p->away->buckets) p->away->buckets = buckets_new(p, p->sum, p->n_sum, to);
}

static int run(struct plan *p, enum phase from, enum phase to, bool summed, struct err *e) {
    struct away *a = p->away;
    const struct kept want = {.x = p->now, .from = from, .to = to, .summed = summed, .there = a->ahead.has};
    struct kept *k = entry(a, &want);
    k->used = ++a->clock;
    if (take_ahead(p, e) < 0) return -1;
    if (k->seen == 0 && choose_measures() && prepare(p, from, to, e) < 0) return -1;
    if (k->seen++ == 0) k->never = p->o.profile || cpu_between(p, from, to);
    if (summed) cut(p, to);
    return summed ? run_summed(p, k, e) : run_whole(p, k, e);
}

static bool updates(const struct plan *p, enum phase from, enum phase to) {
    for (int s = 0; s < p->n_step; s++)
        if (p->exec[s].node->phase >= from && p->exec[s].node->phase <= to && (p->exec[s].node->op->flags & OP_UPDATE)) return true;
    return false;
}

int device_run(struct plan *p, enum phase from, enum phase to, bool summed, struct err *e) {
    struct away *a = p->away;
    static const enum arena_role kept[] = {ROLE_PARAM, ROLE_STATE};
    for (size_t i = 0; i < LEN(kept); i++) {
        char *host = p->block[kept[i]];
        if (!host || !p->bytes[kept[i]]) continue;
        char *there = mirror_device(a->d, host, p->bytes[kept[i]], e);
        if (!there) return -1;
        if (there == a->block[kept[i]]) continue;
        a->block[kept[i]] = there;
        plan_bind(p, p->o.param, p->o.state); /* new addresses: nothing kept holds any more */
        for (int j = 0; j < RUNS; j++) forget(a, &a->run[j]);
    }
    *a->word = p->step;
    int rc = run(p, from, to, summed, e);
    if (rc == 0 && p->meanwhile && from == PHASE_FORWARD) p->meanwhile(p->meanwhile_ctx);
    if (a->d->b->sync(a->d->self, rc == 0 ? e : NULL) < 0) rc = -1;
    if (rc < 0) backend_failed(a->d, e);
    if (updates(p, from, to))
        for (size_t i = 0; i < LEN(kept); i++) mirror_device_wrote(a->d, p->block[kept[i]]);
    return rc;
}

int plan_sum_none(struct plan *p, enum phase to, struct err *e) {
    if (plan_alloc(p, e) < 0) return -1;
    struct backend_device *d = p->away->d;
    cut(p, to);
    const struct buckets *s = p->away->buckets;
    int rc = 0;
    for (int i = 0; i < s->n_piece && rc == 0; i++) rc = d->b->fill(d->self, s->at[i], 0, (size_t)s->len[i] * sizeof(float), e);
    for (int i = 0; i < s->n && rc == 0; i++) rc = d->b->comm_sum(d->self, s->at + s->bucket[i].first, s->len + s->bucket[i].first, s->bucket[i].n, e);
    if (rc == 0) rc = d->b->comm_join(d->self, e);
    if (rc == 0) rc = d->b->sync(d->self, e);
    if (rc < 0) backend_failed(d, e);
    return rc;
}

int device_fetch(struct plan *p, struct err *e) {
    struct away *a = p->away;
    for (size_t i = 0; i < LEN(down); i++)
        if (p->bytes[down[i]] && a->d->b->download(a->d->self, p->block[down[i]], a->block[down[i]], p->bytes[down[i]], e) < 0) return -1;
    return a->d->b->sync(a->d->self, e);
}
