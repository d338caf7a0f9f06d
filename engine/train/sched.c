/* The schedules. Counting: x is steps (by="step") or whole epochs (by="epoch") done before the step that is about to run, so the first step sees
 * x = 0, as in PyTorch when scheduler.step() follows optimizer.step(). Engine thread. */
#include "config.h"

#include "engine/train/sched.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/mem.h"

enum { BY_STEP, BY_EPOCH };
static const char *const by_units[] = {"step", "epoch", NULL};

struct plateau {
    double best, scale;
    int64_t bad, cool;
    bool seen;
};
struct row;
struct sched {
    const struct row *row;
    void *args;
    struct val *spec;
    struct sched *kid[16]; /* chain: in order; warmup: the one that follows, or none */
    int n_kid;
    struct plateau p;
};
struct row {
    struct kind kind; /* first */
    double (*lr)(const struct sched *s, double base, double x, double total); /* x, total: see sched_at */
    int (*init)(struct sched *s, struct err *e);
};

/* All arguments begin with what is counted. */
struct counted {
    int by;
};
struct constant_args {
    struct counted c;
};
struct step_args {
    struct counted c;
    int64_t every;
    double gamma;
};
struct multi_args {
    struct counted c;
    struct val *at;
    double gamma;
};
struct exp_args {
    struct counted c;
    double gamma;
};
struct cosine_args {
    struct counted c;
    double min;
    int64_t total;
    double restarts, mult;
};
struct warmup_args {
    struct counted c;
    int64_t steps;
    double from;
    struct val *then;
};
struct poly_args {
    struct counted c;
    int64_t total;
    double power, end;
};
struct cycle_args {
    struct counted c;
    int64_t total;
    double rise, div, final_div;
};
struct plateau_args {
    struct counted c;
    double factor, threshold, min;
    int64_t patience, cooldown;
};
struct chain_args {
    struct counted c;
    struct val *parts, *at;
};

static double at_lr(const struct sched *s, double base, double step, double epoch, double steps, double epochs) {
    bool by_epoch = ((const struct counted *)s->args)->by == BY_EPOCH;
    return s->row->lr(s, base, by_epoch ? epoch : step, by_epoch ? epochs : steps);
}

static double constant_lr(const struct sched *s, double base, double x, double total) {
    (void)s, (void)x, (void)total;
    return base;
}

/* StepLR: base gamma^floor(x / every) */
static double step_lr(const struct sched *s, double base, double x, double total) {
    const struct step_args *a = s->args;
    (void)total;
    return base * pow(a->gamma, floor(x / (double)a->every));
}

/* MultiStepLR: base gamma^(milestones <= x) */
static double multi_lr(const struct sched *s, double base, double x, double total) {
    const struct multi_args *a = s->args;
    double n = 0, m;
    (void)total;
    for (size_t i = 0; i < val_len(a->at); i++) n += val_as_num(val_at(a->at, i), &m) && m <= x;
    return base * pow(a->gamma, n);
}

static double exp_lr(const struct sched *s, double base, double x, double total) {
    (void)total;
    return base * pow(((const struct exp_args *)s->args)->gamma, x);
}

/* CosineAnnealingLR: min + (base - min) (1 + cos(pi x / total)) / 2; with `restarts` pieces, each `mult` times as long as the one before
 * (CosineAnnealingWarmRestarts; SGDR, Loshchilov and Hutter 2017). */
static double cosine_lr(const struct sched *s, double base, double x, double total) {
    const struct cosine_args *a = s->args;
    double n = a->total > 0 ? (double)a->total : total, r = a->restarts > 1 ? a->restarts : 1, turn = n / r;
    if (!(n > 0)) return base;
    double at = x >= n ? turn : fmod(x, turn);
    if (a->mult > 1 && r > 1) {
        double from = 0;
        turn = n * (a->mult - 1) / (pow(a->mult, r) - 1);
        for (int i = 1; i < (int)r && x >= from + turn; i++) from += turn, turn *= a->mult;
        at = fmin(x - from, turn);
    }
    return a->min + (base - a->min) * (1 + cos(M_PI * at / turn)) / 2;
}

/* LinearLR: base (from + (1 - from) x / steps), then what follows, counted from there. */
static double warmup_lr(const struct sched *s, double base, double x, double total) {
    const struct warmup_args *a = s->args;
    double n = (double)a->steps;
    if (x < n) return base * (a->from + (1 - a->from) * x / n);
    if (!s->n_kid) return base;
    return s->kid[0]->row->lr(s->kid[0], base, x - n, total > n ? total - n : 0);
}

/* PolynomialLR with an end value: end + (base - end) (1 - x / total)^power */
static double poly_lr(const struct sched *s, double base, double x, double total) {
    const struct poly_args *a = s->args;
    double n = a->total > 0 ? (double)a->total : total;
    if (!(n > 0)) return base;
    return a->end + (base - a->end) * pow(1 - fmin(x, n) / n, a->power);
}

static double anneal(double from, double to, double share) { return to + (from - to) / 2 * (1 + cos(M_PI * share)); }

/* OneCycleLR, cosine, two phases: base is the highest rate; from base / div up over `rise` of the run, then down to base / div / final_div. */
static double cycle_lr(const struct sched *s, double base, double x, double total) {
    const struct cycle_args *a = s->args;
    double n = a->total > 0 ? (double)a->total : total;
    if (!(n > 1)) return base;
    double up = a->rise * n - 1, end = n - 1, low = base / a->div;
    x = fmin(x, end);
    if (x <= up && up > 0) return anneal(low, base, x / up);
    return anneal(base, low / a->final_div, (x - up) / (end - up));
}

/* ReduceLROnPlateau, threshold_mode rel. */
static double plateau_lr(const struct sched *s, double base, double x, double total) {
    (void)x, (void)total;
    return fmax(base * s->p.scale, fmin(base, ((const struct plateau_args *)s->args)->min));
}

static void plateau_see(struct sched *s, double value, bool higher) {
    const struct plateau_args *a = s->args;
    struct plateau *p = &s->p;
    bool better = !p->seen || (higher ? value > p->best * (1 + a->threshold) : value < p->best * (1 - a->threshold));
    if (!isfinite(value)) better = false;
    if (better) p->best = value, p->seen = true;
    p->bad = better ? 0 : p->bad + 1;
    if (p->cool > 0) p->cool--, p->bad = 0;
    if (p->bad > a->patience) p->scale *= a->factor, p->cool = a->cooldown, p->bad = 0;
}

/* SequentialLR: part i runs from at[i-1] to at[i], counted from its own beginning. */
static double chain_lr(const struct sched *s, double base, double x, double total) {
    const struct chain_args *a = s->args;
    double from = 0, to = 0;
    int i = 0;
    for (; i + 1 < s->n_kid; i++) {
        if (!val_as_num(val_at(a->at, (size_t)i), &to) || x < to) break;
        from = to;
    }
    double end = i + 1 < s->n_kid ? to : total;
    return s->kid[i]->row->lr(s->kid[i], base, x - from, end > from ? end - from : 0);
}

static int add_kid(struct sched *s, const struct val *spec, struct err *e) {
    if (s->n_kid == (int)LEN(s->kid)) return err_code(e, ERR_USAGE, "a chain holds at most %zu schedules", LEN(s->kid));
    struct sched *k = sched_new(spec, e);
    if (!k) return err_wrap(e, "in sched.%s", s->row->kind.name);
    s->kid[s->n_kid++] = k;
    return 0;
}

static int cosine_init(struct sched *s, struct err *e) {
    const struct cosine_args *a = s->args;
    if (a->mult <= 1 || a->restarts * log(a->mult) < 30) return 0;
    return err_code(
        e, ERR_USAGE, "%g restarts of sched.cosine, each %g times as long as the one before, leave no length for the first: give fewer", a->restarts, a->mult);
}

static int warmup_init(struct sched *s, struct err *e) {
    const struct warmup_args *a = s->args;
    return a->then ? add_kid(s, a->then, e) : 0;
}

static int chain_init(struct sched *s, struct err *e) {
    const struct chain_args *a = s->args;
    double last = 0, m;
    size_t n = val_len(a->parts);
    if (n == 0) return err_code(e, ERR_USAGE, "sched.chain needs schedules: sched.chain{sched.warmup{100}, sched.cosine{}, at={100}}");
    if (val_len(a->at) != n - 1)
        return err_code(e, ERR_USAGE, "sched.chain of %zu schedules needs at={..} with %zu positions, not %zu", n, n - 1, val_len(a->at));
    for (size_t i = 0; i + 1 < n; i++) {
        if (!val_as_num(val_at(a->at, i), &m) || m <= last) return err_code(e, ERR_USAGE, "at[%zu] of sched.chain must be a number above %g", i + 1, last);
        last = m;
    }
    for (size_t i = 0; i < n; i++)
        if (add_kid(s, val_at(a->parts, i), e) < 0) return -1;
    return 0;
}

static int multi_init(struct sched *s, struct err *e) {
    const struct multi_args *a = s->args;
    double m;
    for (size_t i = 0; i < val_len(a->at); i++)
        if (!val_as_num(val_at(a->at, i), &m) || !(m >= 0)) return err_code(e, ERR_USAGE, "at[%zu] of sched.multi_step must be a number from 0 on", i + 1);
    return 0;
}

static int plateau_init(struct sched *s, struct err *e) {
    (void)e;
    s->p.scale = 1;
    return 0;
}

static const struct row rows[];

static const struct row *find(const char *name, struct err *e) {
    const char *names[32];
    size_t n = 0;
    for (; rows[n].kind.name; n++) {
        if (strcmp(rows[n].kind.name, name) == 0) return &rows[n];
        names[n] = rows[n].kind.name;
    }
    const char *near = args_nearest(name, names, n);
    err_code(e, ERR_USAGE, "there is no schedule \"%s\"%s%s%s", name, near ? "; did you mean \"" : "; `sched.` and Tab lists them", near ? near : "",
        near ? "\"?" : "");
    return NULL;
}

struct sched *sched_new(const struct val *spec, struct err *e) {
    bool none = !spec || spec->type == VAL_NIL;
    if (!none && spec->type != VAL_STR && spec->type != VAL_TABLE) {
        err_code(e, ERR_USAGE, "sched is a name or a table like sched.cosine{}, not a %s", val_type_name(spec));
        return NULL;
    }
    const char *name = none ? "constant" : spec->type == VAL_STR ? spec->u.s.p : val_get_str(spec, "sched", NULL);
    if (!name) {
        err_code(e, ERR_USAGE, "a schedule is a table made by sched.NAME{...}; this one has no field \"sched\"");
        return NULL;
    }
    const struct row *row = find(name, e);
    if (!row) return NULL;
    struct val *t = !none && spec->type == VAL_TABLE ? val_copy(spec) : val_table();
    struct val *state = val_copy(val_get(t, "state")); /* of plateau, with an edit that is taken back */
    val_unset(t, "sched");
    val_unset(t, "state");
    struct sched *s = X_NEW(struct sched, 1);
    s->row = row;
    s->args = mem_new(1, row->kind.size);
    if (args_parse(&row->kind, t, s->args, e) < 0) {
        free(s->args);
        free(s);
        val_free(t);
        val_free(state);
        return NULL;
    }
    s->spec = t;
    val_set_str(s->spec, "sched", name);
    if (row->init && row->init(s, e) < 0) {
        sched_free(s);
        val_free(state);
        return NULL;
    }
    sched_restore(s, state);
    val_free(state);
    return s;
}

void sched_free(struct sched *s) {
    if (!s) return;
    for (int i = 0; i < s->n_kid; i++) sched_free(s->kid[i]);
    args_release(&s->row->kind, s->args);
    free(s->args);
    val_free(s->spec);
    free(s);
}

double sched_lr(const struct sched *s, double base, const struct sched_at *at) {
    return at_lr(s, base, (double)at->step, (double)at->epoch, (double)at->steps, (double)at->epochs);
}

void sched_metric(struct sched *s, double value, bool higher_is_better) {
    if (s->row->lr == plateau_lr) plateau_see(s, value, higher_is_better);
    for (int i = 0; i < s->n_kid; i++) sched_metric(s->kid[i], value, higher_is_better);
}

static int64_t own_total(const struct sched *s) {
    return s->row->lr == cosine_lr  ? ((const struct cosine_args *)s->args)->total
           : s->row->lr == poly_lr  ? ((const struct poly_args *)s->args)->total
           : s->row->lr == cycle_lr ? ((const struct cycle_args *)s->args)->total
                                    : 0;
}

bool sched_beyond(const struct sched *s, double steps, double epochs, struct buf *say) {
    const struct counted *c = s->args;
    double n = c->by == BY_EPOCH ? epochs : steps, total = (double)own_total(s), last = 0;
    const char *name = s->row->kind.name, *unit = c->by == BY_EPOCH ? "epochs" : "steps";
    if (!(n > 0)) return false;
    if (total > 0 && total < n) {
        buf_addf(say, "sched.%s ends after %g %s of the run's %g: from there the learning rate stays at its end", name, total, unit, n);
        return true;
    }
    if (s->row->lr == warmup_lr && (double)((const struct warmup_args *)s->args)->steps >= n) {
        buf_addf(say, "sched.%s rises for %" PRId64 " %s, but the run ends after %g: the full learning rate is not reached", name,
            ((const struct warmup_args *)s->args)->steps, unit, n);
        return true;
    }
    const struct val *at = s->row->lr == chain_lr ? ((const struct chain_args *)s->args)->at : NULL;
    if (!at || val_len(at) == 0 || !val_as_num(val_at(at, val_len(at) - 1), &last) || last < n) return false;
    buf_addf(say, "schedule %d of sched.%s begins after %g %s, but the run ends after %g", s->n_kid, name, last, unit, n);
    return true;
}

bool sched_wants_metric(const struct sched *s) {
    if (s->row->lr == plateau_lr) return true;
    for (int i = 0; i < s->n_kid; i++)
        if (sched_wants_metric(s->kid[i])) return true;
    return false;
}

struct val *sched_val(const struct sched *s) {
    return val_copy(s->spec);
}

struct val *sched_state(const struct sched *s) {
    if (!sched_wants_metric(s)) return NULL;
    struct val *t = val_table();
    if (s->row->lr == plateau_lr) {
        val_set_num(t, "best", s->p.best);
        val_set_num(t, "scale", s->p.scale);
        val_set_int(t, "bad", s->p.bad);
        val_set_int(t, "cool", s->p.cool);
        val_set_bool(t, "seen", s->p.seen);
    }
    for (int i = 0; i < s->n_kid; i++) {
        struct val *k = sched_state(s->kid[i]);
        val_push(t, k ? k : val_bool(false));
    }
    return t;
}

void sched_restore(struct sched *s, const struct val *t) {
    if (!t || t->type != VAL_TABLE) return;
    if (s->row->lr == plateau_lr)
        s->p = (struct plateau){
            val_get_num(t, "best", 0), val_get_num(t, "scale", 1), val_get_int(t, "bad", 0), val_get_int(t, "cool", 0), val_get_bool(t, "seen", false)};
    for (int i = 0; i < s->n_kid; i++) sched_restore(s->kid[i], val_at(t, (size_t)i));
}

#define BY(type, def) \
    { "by", "what is counted", NULL, def, ARG_ENUM, offsetof(struct type, c.by), 0, AT_RUN, 0, 0, by_units }
#define TOTAL(type) \
    { "total", "length; the whole run if not given", NULL, NULL, ARG_INT, offsetof(struct type, total), ARG_POSITIONAL, AT_RUN, 1, 1e15 }
static const struct arg constant_table[] = {BY(constant_args, "step"), {NULL}};
static const struct arg step_table[] = {
    {"every", "steps or epochs between two cuts", NULL, NULL, ARG_INT, offsetof(struct step_args, every), ARG_POSITIONAL | ARG_REQUIRED, AT_RUN, 1, 1e15},
    {"gamma", "factor of a cut", NULL, "0.1", ARG_NUM, offsetof(struct step_args, gamma), ARG_POSITIONAL, AT_RUN, 0, 1e6},
    BY(step_args, "epoch"),
    {NULL},
};
static const struct arg multi_table[] = {
    {"at", "positions of the cuts, a list", NULL, NULL, ARG_TABLE, offsetof(struct multi_args, at), ARG_POSITIONAL | ARG_REQUIRED, AT_RUN},
    {"gamma", "factor of a cut", NULL, "0.1", ARG_NUM, offsetof(struct multi_args, gamma), 0, AT_RUN, 0, 1e6},
    BY(multi_args, "epoch"),
    {NULL},
};
static const struct arg exp_table[] = {
    {"gamma", "factor of each step or epoch", NULL, NULL, ARG_NUM, offsetof(struct exp_args, gamma), ARG_POSITIONAL | ARG_REQUIRED, AT_RUN, 0, 10},
    BY(exp_args, "epoch"),
    {NULL},
};
static const struct arg cosine_table[] = {
    TOTAL(cosine_args),
    {"min", "learning rate at the end", NULL, "0", ARG_NUM, offsetof(struct cosine_args, min), 0, AT_RUN, 0, 1e6},
    {"restarts", "number of cosine pieces", NULL, "1", ARG_NUM, offsetof(struct cosine_args, restarts), 0, AT_RUN, 1, 1e6},
    {"mult", "each piece is so many times as long as the one before", NULL, "1", ARG_NUM, offsetof(struct cosine_args, mult), 0, AT_RUN, 1, 1e3},
    BY(cosine_args, "step"),
    {NULL},
};
static const struct arg warmup_table[] = {
    {"steps", "length of the rise", NULL, NULL, ARG_INT, offsetof(struct warmup_args, steps), ARG_POSITIONAL | ARG_REQUIRED, AT_RUN, 1, 1e15},
    {"next", "schedule that follows", NULL, NULL, ARG_VAL, offsetof(struct warmup_args, then), ARG_POSITIONAL, AT_RUN},
    {"from", "share of the learning rate at the first step", NULL, "0.01", ARG_NUM, offsetof(struct warmup_args, from), 0, AT_RUN, 0, 1},
    BY(warmup_args, "step"),
    {NULL},
};
static const struct arg poly_table[] = {
    TOTAL(poly_args),
    {"power", "exponent", NULL, "1", ARG_NUM, offsetof(struct poly_args, power), 0, AT_RUN, 0, 100},
    {"min", "learning rate at the end", NULL, "0", ARG_NUM, offsetof(struct poly_args, end), 0, AT_RUN, 0, 1e6},
    BY(poly_args, "step"),
    {NULL},
};
static const struct arg cycle_table[] = {
    TOTAL(cycle_args),
    {"rise", "share of the run that rises", NULL, "0.3", ARG_NUM, offsetof(struct cycle_args, rise), 0, AT_RUN, 0, 1},
    {"div", "the first rate is lr / div", NULL, "25", ARG_NUM, offsetof(struct cycle_args, div), 0, AT_RUN, 1, 1e9},
    {"final_div", "the last rate is lr / div / final_div", NULL, "1e4", ARG_NUM, offsetof(struct cycle_args, final_div), 0, AT_RUN, 1, 1e12},
    BY(cycle_args, "step"),
    {NULL},
};
static const struct arg plateau_table[] = {
    {"factor", "factor of a cut", NULL, "0.1", ARG_NUM, offsetof(struct plateau_args, factor), ARG_POSITIONAL, AT_RUN, 0, 1},
    {"patience", "evaluations without progress before a cut", NULL, "10", ARG_INT, offsetof(struct plateau_args, patience), ARG_POSITIONAL, AT_RUN, 0, 1e9},
    {"threshold", "relative progress that counts", NULL, "1e-4", ARG_NUM, offsetof(struct plateau_args, threshold), 0, AT_RUN, 0, 1},
    {"cooldown", "evaluations to wait after a cut", NULL, "0", ARG_INT, offsetof(struct plateau_args, cooldown), 0, AT_RUN, 0, 1e9},
    {"min", "smallest learning rate", NULL, "0", ARG_NUM, offsetof(struct plateau_args, min), 0, AT_RUN, 0, 1e6},
    BY(plateau_args, "epoch"),
    {NULL},
};
static const struct arg chain_table[] = {
    {"schedules", "one after another", NULL, NULL, ARG_TABLE, offsetof(struct chain_args, parts), ARG_POSITIONAL | ARG_REST, AT_RUN},
    {"at", "positions where the next one begins, a list", NULL, NULL, ARG_TABLE, offsetof(struct chain_args, at), 0, AT_RUN},
    BY(chain_args, "step"),
    {NULL},
};

static const struct row rows[] = {
    {{"constant", "the learning rate stays", "sched.constant{}", constant_table, sizeof(struct constant_args)}, constant_lr},
    {{"step", "a cut every so often", "sched.step{30, gamma=0.1}", step_table, sizeof(struct step_args)}, step_lr},
    {{"multi_step", "cuts at given positions", "sched.multi_step{{80, 120}, gamma=0.1}", multi_table, sizeof(struct multi_args)}, multi_lr, multi_init},
    {{"exponential", "a factor each step or epoch", "sched.exponential{0.95}", exp_table, sizeof(struct exp_args)}, exp_lr},
    {{"cosine", "half a cosine down, with restarts if asked", "sched.cosine{min=1e-5}", cosine_table, sizeof(struct cosine_args)}, cosine_lr, cosine_init},
    {{"warmup", "a linear rise, then another schedule", "sched.warmup{500, sched.cosine{}}", warmup_table, sizeof(struct warmup_args)}, warmup_lr, warmup_init},
    {{"polynomial", "a polynomial down to min", "sched.polynomial{power=2}", poly_table, sizeof(struct poly_args)}, poly_lr},
    {{"one_cycle", "up and down once (Smith and Topin 2017)", "sched.one_cycle{}", cycle_table, sizeof(struct cycle_args)}, cycle_lr},
    {{"plateau", "a cut when the validation metric stops improving", "sched.plateau{0.5, patience=2}", plateau_table, sizeof(struct plateau_args)}, plateau_lr,
        plateau_init},
    {{"chain", "schedules one after another", "sched.chain{sched.warmup{100}, sched.cosine{}, at={100}}", chain_table, sizeof(struct chain_args)}, chain_lr,
        chain_init},
    {{NULL}},
};
const struct kind *const sched_kinds[] = {
    &rows[0].kind,
    &rows[1].kind,
    &rows[2].kind,
    &rows[3].kind,
    &rows[4].kind,
    &rows[5].kind,
    &rows[6].kind,
    &rows[7].kind,
    &rows[8].kind,
    &rows[9].kind,
    NULL,
};
