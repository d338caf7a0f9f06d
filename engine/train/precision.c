/* Choosing the precision, by the time of a product. */
#include "config.h"

#include "engine/train/precision.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/graph/backend.h"
#include "engine/graph/choose.h"
#include "engine/graph/plan.h"
#include "engine/graph/remember.h"
#include "src/base/mem.h"
#include "src/base/thread.h"
#include "src/call/settings.h"

#define PAYS 0.95 /* of the time of fp32, or it is not worth the rounding */
#define LEAST 32 /* as engine/ops/linear_half.c: smaller products stay exact */
#define ROWS_MAX 1024 /* of a timed product: rates do not change beyond */
#define WORK 3e8 /* multiply-adds of a timed product, about */
#define ROUNDS 7
#define SCALE_EVERY 2000

struct timed { /* one product in a graph of its own, on the caller's thread */
    struct graph *g;
    struct plan *p;
    struct extents x;
};

static void timed_release(struct timed *t) {
    plan_free(t->p);
    if (t->g) graph_free(t->g);
}
static int timed_init(struct timed *t, enum dtype half, const struct precision *at, struct err *e) {
    struct dim xd[2] = {{1, AXIS_R}, {at->k, AXIS_ONE}}, wd[2] = {{at->n, AXIS_ONE}, {at->k, AXIS_ONE}};
    *t = (struct timed){.g = graph_new(DT_F32, false, 1), .x = {{1, at->m, at->m + 1}}};
    t->g->half = half;
    tid x = graph_input(t->g, "x", DT_F32, xd, 2, -1), w = graph_input(t->g, "w", DT_F32, wd, 2, -1), y = graph_add2(t->g, "linear", x, w, e);
    struct plan_options o = {.keep = &y, .n_keep = 1};
    if (y < 0 || !(t->p = plan_new(t->g, &t->x, &o, e)) || plan_alloc(t->p, e) < 0) return -1;
    float *a = plan_data(t->p, x), *b = plan_data(t->p, w);
    for (int64_t i = 0; i < at->m * at->k; i++) a[i] = (float)(i % 17 - 8) / 8;
    for (int64_t i = 0; i < at->n * at->k; i++) b[i] = (float)(i % 13 - 6) / 64;
    return 0;
}
static int timed_run(struct timed *t, double *ms, struct err *e) {
    double from = clock_now();
    if (plan_run(t->p, &t->x, PHASE_FORWARD, PHASE_FORWARD, e) < 0) return -1;
    *ms = fmin(*ms, (clock_now() - from) * 1e3);
    return 0;
}
static int time_product(void *ctx, struct precision *p, struct err *e) {
    struct timed f = {0}, h = {0};
    (void)ctx;
    p->ms_fp32 = p->ms_bf16 = INFINITY;
    int rc = timed_init(&f, DT_F32, p, e) < 0 || timed_init(&h, DT_BF16, p, e) < 0 ? -1 : 0;
    for (int i = 0; rc == 0 && i < ROUNDS; i++) rc = timed_run(&f, &p->ms_fp32, e) < 0 || timed_run(&h, &p->ms_bf16, e) < 0 ? -1 : 0;
    timed_release(&f);
    timed_release(&h);
    return rc;
}

/* ---- remembering ---- */
static struct { /* what this process knows of its machine */
    char *identity;
    struct precision p[64];
    int n;
} known;

void precision_forget(void) {
    free(known.identity);
    known.identity = NULL;
    known.n = 0;
}

static const struct precision *find(int64_t m, int64_t n, int64_t k) {
    for (int i = 0; i < known.n; i++)
        if (known.p[i].m == m && known.p[i].n == n && known.p[i].k == k) return &known.p[i];
    return NULL;
}
static enum dtype what_pays(const struct precision *p) { return p->ms_bf16 < PAYS * p->ms_fp32 ? DT_BF16 : DT_F32; }

/* The file's figures become known, unless one is not sound. */
static void load(const char *folder) {
    struct val *list = remember_load(folder, "precision", known.identity);
    bool ok = val_len(list) <= LEN(known.p);
    for (size_t i = 0; ok && i < val_len(list); i++) {
        struct precision *p = &known.p[i];
        ok = precision_from(p, val_at(list, i), NULL) == 0 && p->m > 0 && p->n > 0 && p->k > 0 && p->ms_fp32 > 0 && p->ms_bf16 > 0;
        p->half = what_pays(p);
    }
    known.n = ok ? (int)val_len(list) : 0;
    val_free(list);
}
static void save(const char *folder) {
    struct val *list = val_list();
    for (int i = 0; i < known.n; i++) val_push(list, precision_val(&known.p[i]));
    remember_save(folder, "precision", known.identity, list);
}
/* What is known is of this machine as it is now (a test may change the instruction set). */
static void recall(const char *folder) {
    struct buf b = BUF_INIT;
    remember_identity(&b);
    if (!known.identity || strcmp(known.identity, b.data) != 0) {
        precision_forget();
        known.identity = mem_str(b.data);
        if (folder) load(folder);
    }
    buf_release(&b);
}

/* The power of two at v or above it. */
static int64_t power_up(int64_t v) {
    int64_t p = 1;
    while (p < v) p *= 2;
    return p;
}
int precision_measure_with(struct precision *p, int64_t m, int64_t n, int64_t k, const struct precision_timing *how, struct err *e) {
    int64_t most = (int64_t)(WORK / ((double)n * (double)k)) + 64;
    m = power_up(m < ROWS_MAX ? m : ROWS_MAX);
    while (m > most) m /= 2;
    recall(how->folder);
    const struct precision *was = find(m, n, k);
    *p = was ? *was : (struct precision){DT_F32, false, m, n, k, 0, 0};
    if (was) return 0;
    if ((how->time ? how->time : time_product)(how->ctx, p, e) < 0) return -1;
    p->half = what_pays(p);
    if (known.n < (int)LEN(known.p)) {
        known.p[known.n++] = *p;
        if (how->folder) save(how->folder);
    }
    return 0;
}
int precision_measure(struct precision *p, int64_t m, int64_t n, int64_t k, struct err *e) {
    char *folder = choose_enabled() ? remember_folder() : NULL;
    int rc = precision_measure_with(p, m, n, k, &(struct precision_timing){.folder = folder}, e);
    free(folder);
    return rc;
}

void precision_say_known(struct buf *b) {
    char *folder = remember_folder();
    int fast = 0;
    recall(folder);
    for (int i = 0; i < known.n; i++) fast += known.p[i].half == DT_BF16;
    buf_addf(b, "%d products timed in bf16 and fp32 remembered", known.n);
    if (known.n) buf_addf(b, ": bf16 for %d of them", fast);
    if (folder) {
        char *path = remember_path(folder, "precision", known.identity);
        buf_addf(b, " (%s)", path);
        free(path);
    }
    free(folder);
}

/* The weight of the model with most values that products take rounded; NULL: none. */
static const struct param *largest(const struct model *m) {
    const struct param *best = NULL;
    for (int i = 0; i < m->n_param; i++) {
        const struct param *p = &m->param[i];
        bool fits = p->ndim == 2 && !p->table && p->dtype == DT_F32 && p->dim[0] >= LEAST && p->dim[1] >= LEAST;
        if (fits && (!best || p->len > best->len)) best = p;
    }
    return best;
}

/* The setting deterministic: nothing goes by time. */
static bool pinned(void) {
    struct settings s;
    settings_get(&s);
    bool same = s.deterministic;
    args_release(&settings_kind, &s);
    return same;
}

static bool device_set(void) {
    struct settings s;
    settings_get(&s);
    bool set = s.device && strcmp(s.device, "cpu") != 0;
    args_release(&settings_kind, &s);
    return set;
}

/* fp8 is there or the reason in words. */
static int check_fp8(struct err *e) {
    struct backend_device *d = NULL;
    if (backend_of_setting(&d, e) < 0) return -1;
    if (!d) return err_code(e, ERR_USAGE, "precision=fp8 needs a GPU of compute capability 8.9 or newer (device=cuda), this computes on the CPU; bf16 works");
    if (!backend_has_fp8(&d->info))
        return err_code(e, ERR_USAGE, "%s (%s) has compute capability %s; fp8 needs 8.9 or newer; bf16 works", d->name, d->info.name, d->info.capability);
    return 0;
}

int precision_choose(struct precision *p, int asked, bool force, const struct model *m, int64_t rows, struct err *e) {
    const struct param *w = largest(m);
    *p = (struct precision){.half = asked == PRECISION_FP16 ? DT_F16 : DT_F32};
    if (asked == PRECISION_FP32 || asked == PRECISION_FP16) return 0;
    if (asked == PRECISION_FP8) {
        p->half = DT_BF16, p->fp8 = true;
        return check_fp8(e);
    }
    if (device_set()) { /* figures of this processor say nothing of a device */
        if (w || force || model_i8(m, NULL)) p->half = DT_BF16; /* also what lies between layers in 8 bits */
        return 0;
    }
    if (!w && !force) return 0;
    if (pinned() && asked == PRECISION_AUTO) return 0;
    if ((force || pinned()) && asked == PRECISION_BF16) {
        p->half = DT_BF16;
        return 0;
    }
    return precision_measure(p, rows, w->dim[0], w->dim[1], e);
}

const char *precision_name(const struct precision *p) { return p->fp8 ? "fp8" : p->half == DT_BF16 ? "bf16" : p->half == DT_F16 ? "fp16" : "fp32"; }

bool precision_say(const struct precision *p, int asked, bool force, struct buf *out) {
    if (force || device_set() || (asked != PRECISION_BF16 && asked != PRECISION_AUTO)) return false;
    if (!p->m && pinned()) buf_addf(out, "computing in %s: deterministic=true measures nothing", precision_name(p));
    else if (!p->m) buf_adds(out, "no product of this model is large enough for bf16 to pay: computing in fp32");
    else
        buf_addf(out, "a product of %" PRId64 " x %" PRId64 " x %" PRId64 " takes %.2f ms in bf16 and %.2f in fp32 on this machine: computing in %s%s", p->m,
            p->n, p->k, p->ms_bf16, p->ms_fp32, precision_name(p),
            asked == PRECISION_BF16 && p->half == DT_F32 ? "; force_precision=true computes in bf16 all the same" : "");
    return true;
}

struct val *precision_val(const struct precision *p) {
    struct val *v = val_table();
    val_set_str(v, "name", precision_name(p));
    if (!p->m) return v;
    val_set_int(v, "m", p->m);
    val_set_int(v, "n", p->n);
    val_set_int(v, "k", p->k);
    val_set_num(v, "ms_fp32", p->ms_fp32);
    val_set_num(v, "ms_bf16", p->ms_bf16);
    return v;
}

int precision_from(struct precision *p, const struct val *v, struct err *e) {
    const char *name = v ? val_get_str(v, "name", "") : "fp32";
    *p = (struct precision){
        DT_F32, false, val_get_int(v, "m", 0), val_get_int(v, "n", 0), val_get_int(v, "k", 0), val_get_num(v, "ms_fp32", 0), val_get_num(v, "ms_bf16", 0)};
    if (strcmp(name, "bf16") == 0) p->half = DT_BF16;
    else if (strcmp(name, "fp16") == 0) p->half = DT_F16;
    else if (strcmp(name, "fp32") != 0) return err_set(e, "it was computed in \"%s\", which this version does not know", name);
    return 0;
}

void scaler_after(double *scale, int64_t *good, bool applied) {
    *good = applied ? *good + 1 : 0;
    if (!applied) *scale *= 0.5;
    else if (*good >= SCALE_EVERY) *scale *= 2, *good = 0;
}

const char *const precision_names[] = {"fp32", "bf16", "fp16", "auto", NULL};
const char *const precision_infer_names[] = {"fp32", "bf16", "fp16", "auto", "fp8", NULL};
