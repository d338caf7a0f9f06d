/* The learning rate of a run: what its schedule gives times a factor that edits move, or for a while a straight ramp. An edit of lr changes the factor
 * and never the schedule, so taking it back brings the factor back and the schedule's own value of that step with it. Engine thread, at a boundary. */
#include "config.h"

#include <math.h>
#include <string.h>

#include "engine/train/train.h"

static double scheduled(const struct train *t) {
    struct sched_at at = {t->n_step, train_total_steps(t), t->epoch, t->a.epochs > 0 ? t->a.epochs : 0};
    return sched_lr(t->sched, optimiser_common(t->optim)->lr, &at);
}

static bool ramp_over(const struct train *t) { return t->n_step - t->ramp.at >= t->ramp.steps; }

double train_lr(const struct train *t) {
    const struct lr_ramp *r = &t->ramp;
    if (r->steps > 0) return ramp_over(t) ? r->to : r->from + (r->to - r->from) * ((double)(t->n_step - r->at) / (double)r->steps);
    return t->lr_scale * scheduled(t);
}

/* The factor that makes the next step's rate lr. While the schedule stands at 0, lr is what its base stands for. */
static void scale_to(struct train *t, double lr) {
    struct optim_common *o = optimiser_common(t->optim);
    t->ramp.steps = 0;
    if (lr > 0 && !(o->lr > 0)) o->lr = lr;
    double now = scheduled(t);
    t->lr_scale = lr <= 0 ? 0 : now > 0 ? lr / now : lr / o->lr;
    double got = t->lr_scale * now;
    if (got > 0 && got != lr) t->lr_scale *= lr / got; /* the last bit */
}

void train_lr_step(struct train *t) {
    if (t->ramp.steps > 0 && ramp_over(t)) scale_to(t, t->ramp.to);
}

/* ---- edits ---- */

struct ramp_args {
    double to, from;
    int64_t steps, at;
};
static const struct arg ramp_table[] = {
    {"to", "learning rate at its end", NULL, NULL, ARG_NUM, offsetof(struct ramp_args, to), ARG_POSITIONAL | ARG_REQUIRED, AT_STEP, 0, 1e6},
    {"steps", "how long it takes; 0: at once", "steps", NULL, ARG_INT, offsetof(struct ramp_args, steps), ARG_POSITIONAL | ARG_REQUIRED, AT_STEP, 0, 1e15},
    {"from", "learning rate at its beginning; the present one if not given", NULL, NULL, ARG_NUM, offsetof(struct ramp_args, from), 0, AT_STEP, 0, 1e6},
    {"at", "step of its beginning; the next one if not given", NULL, NULL, ARG_INT, offsetof(struct ramp_args, at), 0, AT_STEP, 0, 1e15},
    {NULL},
};
static const struct kind ramp_kind = {
    "lr_ramp", "a straight ramp of the learning rate", "run:set(\"lr_ramp\", {to=1e-4, steps=200})", ramp_table, sizeof(struct ramp_args)};

static struct val *ramp_val(const struct train *t) {
    const struct lr_ramp *r = &t->ramp;
    struct val *v = val_table();
    val_set_num(v, "to", r->steps > 0 ? r->to : train_lr(t));
    val_set_int(v, "steps", r->steps);
    if (r->steps > 0) {
        val_set_num(v, "from", r->from);
        val_set_int(v, "at", r->at);
    }
    return v;
}

static int set_ramp(struct train *t, const struct val *v, struct err *e) {
    struct ramp_args a = {0};
    if (v->type != VAL_TABLE) return err_code(e, ERR_USAGE, "lr_ramp must be a table like {to=1e-4, steps=200}, not a %s", val_type_name(v));
    if (args_parse(&ramp_kind, v, &a, e) < 0) return -1;
    if (a.steps == 0) scale_to(t, a.to);
    else t->ramp = (struct lr_ramp){isnan(a.from) ? train_lr(t) : a.from, a.to, a.at == ARG_NONE_INT ? t->n_step : a.at, a.steps};
    train_lr_step(t);
    return 0;
}

static int set_sched(struct train *t, const struct val *v, struct err *e) {
    struct sched *s = sched_new(v, e);
    if (!s) return -1;
    sched_free(t->sched);
    t->sched = s;
    t->lr_scale = 1;
    t->ramp.steps = 0;
    return 0;
}

/* Range and type as the table of train says. */
static int number(const char *name, const struct val *v, double *out, struct err *e) {
    struct train_args a = {0};
    const struct arg *arg = args_find(&train_kind, name);
    const struct kind one = {"set", NULL, NULL, arg, train_kind.size};
    struct val *only = val_table();
    val_set(only, name, val_copy(v));
    int rc = v->type == VAL_NIL ? err_code(e, ERR_USAGE, "set: %s must be a number, not nil", name) : args_parse(&one, only, &a, e);
    if (rc == 0) {
        *out = strcmp(name, "lr") == 0 ? a.lr : a.lr_scale;
        args_release(&one, &a);
    }
    val_free(only);
    return rc;
}

bool train_lr_has(const char *name) {
    return strcmp(name, "lr") == 0 || strcmp(name, "lr_scale") == 0 || strcmp(name, "lr_ramp") == 0 || strcmp(name, "sched") == 0;
}

struct val *train_lr_get(const struct train *t, const char *name) {
    if (strcmp(name, "lr") == 0) return val_num(train_lr(t));
    if (strcmp(name, "lr_ramp") == 0) return ramp_val(t);
    if (strcmp(name, "sched") == 0) return sched_val(t->sched);
    double now = t->ramp.steps > 0 ? scheduled(t) : 0;
    return val_num(now > 0 ? train_lr(t) / now : t->lr_scale);
}

int train_lr_set(struct train *t, const char *name, const struct val *v, struct err *e) {
    double x;
    if (strcmp(name, "sched") == 0) return set_sched(t, v, e);
    if (strcmp(name, "lr_ramp") == 0) return set_ramp(t, v, e);
    if (number(name, v, &x, e) < 0) return -1;
    if (strcmp(name, "lr") == 0) scale_to(t, x);
    else {
        t->lr_scale = x;
        t->ramp.steps = 0;
    }
    return 0;
}

static void add(struct val *list, const char *name, struct val *v_take) {
    struct val *one = val_table();
    val_set_str(one, "name", name);
    val_set(one, "value", v_take);
    val_push(list, one);
}

struct val *train_lr_back(const struct train *t, const char *name) {
    struct val *list = val_list(), *state = sched_state(t->sched), *s;
    if (strcmp(name, "sched") == 0) {
        s = sched_val(t->sched);
        if (state) val_set(s, "state", val_copy(state));
        add(list, "sched", s);
    }
    if (t->ramp.steps > 0) add(list, "lr_ramp", ramp_val(t));
    else add(list, "lr_scale", val_num(t->lr_scale));
    val_free(state);
    return list;
}

struct val *train_lr_state(const struct train *t) {
    return t->ramp.steps > 0 ? ramp_val(t) : NULL;
}

int train_lr_start(struct train *t, struct err *e) {
    t->lr_scale = t->a.lr_scale;
    return t->a.lr_ramp ? set_ramp(t, t->a.lr_ramp, e) : 0;
}

void train_lr_restore(struct train *t, double scale, const struct val *ramp) {
    t->lr_scale = scale;
    t->ramp = (struct lr_ramp){val_get_num(ramp, "from", 0), val_get_num(ramp, "to", 0), val_get_int(ramp, "at", 0), ramp ? val_get_int(ramp, "steps", 0) : 0};
}

/* ---- what is to come ---- */

/* The rate of a later step, nothing happening until then. Epochs are counted on by rows. */
static double later(struct train *t, int64_t step) {
    int64_t n_step = t->n_step, epoch = t->epoch, rows = t->pos + (step - t->n_step) * t->a.batch * t->a.accum;
    struct lr_ramp r = t->ramp;
    double lr;
    t->n_step = step;
    t->epoch += rows / (t->part->n > 0 ? t->part->n : 1);
    if (r.steps > 0 && ramp_over(t)) { /* its end became a factor */
        double now = scheduled(t), factor;
        t->n_step = r.at + r.steps;
        factor = scheduled(t);
        lr = factor > 0 ? r.to / factor * now : r.to;
    } else {
        lr = train_lr(t);
    }
    t->n_step = n_step;
    t->epoch = epoch;
    return lr;
}

static struct val *later_all(struct train *t, int64_t from, int k, int n) {
    struct val *list = val_list();
    for (int i = 0; i < n; i++) val_push(list, val_num(later(t, from + ((int64_t)i << k))));
    return list;
}

struct val *train_lr_ahead(struct train *t, const char *name, const struct val *v, int n, struct err *e) {
    int64_t from = t->n_step, total = train_total_steps(t), left = total - from < 2 ? 2 : total - from;
    int k = 0, m;
    if (v && strcmp(name, "sched") == 0) {
        err_set(e, "ahead: another schedule is only known once it is set");
        return NULL;
    }
    while ((left - 1) >> k >= n) k++;
    m = (int)((left - 1) >> k) + 1;
    struct lr_ramp ramp = t->ramp;
    double scale = t->lr_scale, base = optimiser_common(t->optim)->lr;
    struct val *now = later_all(t, from, k, m), *then = NULL;
    int rc = v ? train_lr_set(t, name, v, e) : 0;
    if (v && rc == 0) then = later_all(t, from, k, m);
    t->ramp = ramp;
    t->lr_scale = scale;
    optimiser_common(t->optim)->lr = base;
    if (rc < 0) {
        val_free(now);
        return NULL;
    }
    struct val *out = val_table();
    val_set_int(out, "from", from);
    val_set_int(out, "k", k);
    val_set(out, "now", now);
    if (then) val_set(out, "new", then);
    return out;
}
